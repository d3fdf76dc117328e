// Keys: for machines (auth keys), and for programs (API keys, OAuth clients).
import { ask, can, request } from "./api.js";
import { attempt, copyable, dialog, h, moment, replace, say } from "./dom.js";
import { addMachine, mayAdd } from "./add.js";
import { watch } from "./live.js";
import { button, following, table, tags } from "./table.js";

const words = (text) => text.split(/[\s,]+/).filter(Boolean);
const scopes = ["devices:core", "devices:routes", "auth_keys", "oauth_keys", "policy_file", "dns", "users", "feature_settings"];

const shown = (title, pairs) => dialog({ title, text: "It is shown this once: the server keeps a hash.", body: pairs.map(([name, text]) => [h("p", { class: "hint" }, name), copyable(text)]), run: null });

async function makeApiKey() {
  const made = await dialog({
    title: "A key for a program",
    text: "Whoever has it may do all that an admin may.",
    fields: [
      { name: "description", label: "What it is for" },
      { name: "days", label: "Good for", type: "select", value: "90", options: [["30", "30 days"], ["90", "90 days"], ["365", "a year"], ["0", "ever"]] },
    ],
    act: "Make it",
    run: (v) => ask("apikeys/create", { description: v.description, expiration_ms: Number(v.days) * 864e5 }),
  });
  if (made) await shown("A key for a program", [["Key", made.key]]);
}

async function makeClient() {
  const made = await dialog({
    title: "An OAuth client",
    text: "It gets tokens that are good for an hour, and open what is ticked here.",
    fields: [
      { name: "description", label: "What it is for" },
      ...scopes.map((s) => ({ name: s, label: s, type: "check" })),
      { name: "reads", label: "Only to look", type: "check", hint: "Nothing of what is ticked can be changed." },
      { name: "tags", label: "Tags of machines that it lets in", hint: "Needed with auth_keys and devices:core." },
    ],
    act: "Make it",
    run: (v) =>
      request("POST", "/api/v2/tailnet/-/keys", {
        keyType: "client", description: v.description, scopes: scopes.filter((s) => v[s]).map((s) => (v.reads ? `${s}:read` : s)), tags: words(v.tags),
      }),
  });
  if (made) await shown("An OAuth client", [["Client id", made.id], ["Client secret", made.key]]);
}

async function end(title, text, run) {
  await dialog({ title, text, act: "End it", danger: true, run });
}

function authKeys(keys, users, again) {
  return h("section", { class: "card", "aria-labelledby": "k1" }, h("div", { class: "top" }, h("h2", { id: "k1" }, "For machines"),
      mayAdd() && h("button", { class: "button", onclick: () => attempt(() => addMachine(users)).then(again) }, "Add a machine")),
    table("Auth keys", [
      { title: "Key", cell: (k) => h("span", { class: "mono" }, k.prefix) },
      { title: "User, tags", cell: (k) => (k.tags ? tags(k.tags.split(",")) : k.user) },
      { title: "Kind", wide: true, cell: (k) => [k.reusable ? "several machines" : "one machine", k.ephemeral && ", ephemeral"] },
      { title: "State", cell: (k) => (k.usable ? (k.expiry ? ["ends ", moment(k.expiry)] : "does not end") : h("span", { class: "dim" }, k.used && !k.reusable ? "used" : "ended")) },
    ], keys, {
      widths: "1fr 1.5fr 1.5fr 1fr 6rem",
      acts: (k) => can("auth_keys") && k.usable && button("End", () => end(`End the key ${k.prefix}?`, "Machines that came by it stay in.", () => ask("preauthkeys/expire", { id: k.id })).then(again), "danger"),
    }));
}

function programKeys(keys, again) {
  const all = can("all");
  return h("section", { class: "card", "aria-labelledby": "k2" }, h("div", { class: "top" }, h("h2", { id: "k2" }, "For programs"),
      all && h("div", { class: "row" }, h("button", { class: "button plain", onclick: () => attempt(makeApiKey).then(again) }, "Make an API key"),
        h("button", { class: "button plain", onclick: () => attempt(makeClient).then(again) }, "Make an OAuth client"))),
    table("Keys of programs", [
      { title: "Key", cell: (k) => h("span", { class: "mono" }, k.prefix) },
      { title: "What for", cell: (k) => k.description || h("span", { class: "dim" }, "not said") },
      { title: "Opens", wide: true, cell: (k) => (k.kind === "client" ? k.scopes.split(" ").map((s) => h("span", { class: "tag" }, s)) : "everything") },
      { title: "Last used", wide: true, cell: (k) => moment(k.last_seen) },
      { title: "State", cell: (k) => (k.usable ? (k.expiry ? ["ends ", moment(k.expiry)] : "does not end") : h("span", { class: "dim" }, "ended")) },
    ], keys, {
      widths: "1fr 1.5fr 2fr 1fr 1fr 6rem",
      acts: (k) => all && [k.usable && button("End", () => end(`End the key ${k.prefix}?`, "Programs that use it get no further.", () => ask("apikeys/expire", { id: k.id })).then(again), "danger"),
        !k.usable && button("Forget", () => attempt(() => ask("apikeys/delete", { id: k.id })).then(again))],
    }));
}

export function show(root) {
  const load = () => Promise.all([ask("preauthkeys/list"), ask("apikeys/list"), ask("users/list")]);
  const live = following(root, watch, load, ([machine, program, users]) =>
    replace(root, h("div", { class: "top" }, h("h1", {}, "Keys")), authKeys(machine.reverse(), users, live.again), programKeys(program.reverse(), live.again)), say);
  return live.leave;
}
