#!/usr/bin/env node
// serve DIR HOST CALLBACK: npm's oidc-provider as https://HOST, with a certificate of DIR/ca.pem, which it makes. One client
// "ropewalk"; anybody logs in with any password, and is who the login says: NAME@DOMAIN is verified, NAME is not.
import { certify, listen, provider } from "./standin.mjs";

const [dir, host, callback] = process.argv.slice(2);
process.chdir(dir);
certify([host, new URL(callback).hostname]);
const one = provider("https://" + host, {
  client: "ropewalk",
  callback,
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"], groups: ["groups"] },
  of: (id) => ({ name: id, email: id, email_verified: id.includes("@"), groups: id.startsWith("guest") ? ["guests"] : ["staff"] }),
});
listen({ [host]: one.callback() });
