#!/usr/bin/env node
// providers DIR CALLBACK: npm's oidc-provider under the names of the providers of docs/oidc.md, each telling what that one tells:
// whether it vouches for addresses, which claim has the groups, and whether they are in the ID token.
import { certify, listen, provider } from "./standin.mjs";

const [dir, callback] = process.argv.slice(2);
process.chdir(dir);
const person = (id) => ({ name: id.split("@")[0], email: id });
const groups = (id) => (id.startsWith("guest") ? ["guests"] : ["mesh"]);
const email = ["email", "email_verified"];
const manners = {
  "https://id.example.com": {
    client: "ropewalk",
    claims: { openid: ["sub"], email, profile: ["name"], groups: ["groups"] },
    of: (id) => ({ ...person(id), email_verified: true, groups: groups(id) }),
  },
  "https://accounts.google.com": {
    client: "1234-abcd.apps.googleusercontent.com",
    claims: { openid: ["sub"], email: [...email, "hd"], profile: ["name"] },
    conformIdTokenClaims: false,
    of: (id) => ({ ...person(id), email_verified: true, hd: id.split("@")[1] }),
  },
  "https://login.microsoftonline.com/0b1c2d3e-0000-4000-8000-000000000001/v2.0": {
    client: "5a6b7c8d-0000-4000-8000-000000000002",
    claims: { openid: ["sub", "groups"], email: ["email"], profile: ["name", "preferred_username"] },
    conformIdTokenClaims: false,
    of: (id) => ({ ...person(id), preferred_username: id, groups: id.startsWith("guest") ? [] : ["6f1c2a30-5d7e-4b1c-9a0e-2f4b6d8c0e11"] }),
  },
  "https://name.okta.com": {
    client: "0oa1b2c3d4",
    claims: { openid: ["sub"], email, profile: ["name"], groups: ["groups"] },
    conformIdTokenClaims: false,
    of: (id) => ({ ...person(id), email_verified: true, groups: groups(id) }),
  },
  "https://name.auth0.com/": {
    client: "aBcD1234",
    claims: { openid: ["sub", "https://example.com/groups"], email, profile: ["name"] },
    conformIdTokenClaims: false,
    of: (id) => ({ ...person(id), email_verified: true, "https://example.com/groups": groups(id) }),
  },
};
certify([...Object.keys(manners).map((issuer) => new URL(issuer).hostname), new URL(callback).hostname]);
const answers = {};
for (const [issuer, manner] of Object.entries(manners)) {
  const { hostname, pathname } = new URL(issuer);
  const below = pathname.replace(/\/$/, "");
  const answer = provider(issuer, { callback, ...manner }).callback();
  answers[hostname] = (req, res) => {
    // As a framework does that has it below a path: the provider then writes its own addresses whole.
    if (!req.url.startsWith(below)) return res.writeHead(404).end();
    req.originalUrl = req.url;
    req.url = req.url.slice(below.length) || "/";
    return answer(req, res);
  };
}
listen(answers);
