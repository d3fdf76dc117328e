#!/usr/bin/env node
// serve DIR HOST CALLBACK: npm's oidc-provider as https://HOST, with a certificate of DIR/ca.pem, which it makes. One client
// "ropewalk"; anybody logs in with any password, and is who the login says: NAME@DOMAIN is verified, NAME is not.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import https from "node:https";
import Provider from "oidc-provider";

const [dir, host, callback] = process.argv.slice(2);
process.chdir(dir);
const openssl = (...words) => execFileSync("openssl", words, { stdio: "ignore" });
const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
openssl("req", "-x509", ...curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=ca");
for (const name of [host, new URL(callback).hostname]) {
  openssl("req", ...curve, "-keyout", name + ".key", "-out", "csr.pem", "-subj", "/CN=" + name);
  writeFileSync("names", "subjectAltName=DNS:" + name + "\n");
  openssl("x509", "-req", "-in", "csr.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", "names", "-out", name + ".pem");
}

const provider = new Provider("https://" + host, {
  clients: [{ client_id: "ropewalk", client_secret: "scenario:secret+1", redirect_uris: [callback] }],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"], groups: ["groups"] },
  pkce: { required: () => true },
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: id, email: id, email_verified: id.includes("@"), groups: id.startsWith("guest") ? ["guests"] : ["staff"] }),
  }),
  cookies: { keys: ["scenario"] },
});
https.createServer({ key: readFileSync(host + ".key"), cert: readFileSync(host + ".pem") }, provider.callback()).listen(443);
