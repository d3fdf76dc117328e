// What serve and providers share: an authority of a scenario, and npm's oidc-provider behind TLS.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import https from "node:https";
import Provider from "oidc-provider";

const openssl = (...words) => execFileSync("openssl", words, { stdio: "ignore" });
const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

// ca.pem in this folder, and NAME.pem with NAME.key for each name.
export function certify(names) {
  openssl("req", "-x509", ...curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=ca");
  for (const name of names) {
    openssl("req", ...curve, "-keyout", name + ".key", "-out", "csr.pem", "-subj", "/CN=" + name);
    writeFileSync("names", "subjectAltName=DNS:" + name + "\n");
    openssl("x509", "-req", "-in", "csr.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", "names", "-out", name + ".pem");
  }
}

// One client; anybody logs in with any password, and is who the login says.
export function provider(issuer, { client, callback, claims, of, ...more }) {
  return new Provider(issuer, {
    clients: [{ client_id: client, client_secret: "scenario:secret+1", redirect_uris: [callback] }],
    claims,
    pkce: { required: () => true },
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, ...of(id) }) }),
    cookies: { keys: ["scenario"] },
    ...more,
  });
}

// answers: what each host name answers with.
export function listen(answers) {
  const first = Object.keys(answers)[0];
  const context = (name) => ({ key: readFileSync(name + ".key"), cert: readFileSync(name + ".pem") });
  const server = https.createServer(context(first), (req, res) => (answers[req.headers.host] ?? answers[first])(req, res));
  for (const name of Object.keys(answers)) server.addContext(name, context(name));
  server.listen(443);
}
