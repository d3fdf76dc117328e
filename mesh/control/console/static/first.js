// The first run: there is no machine yet. From nothing to the first one, in one page that follows what happens.
import { ask, session } from "./api.js";
import { copyable, facts, field, h, replace, say, values } from "./dom.js";
import { joinLine, picture } from "./add.js";
import { nodes, watch } from "./live.js";

const HOUR_MS = 36e5;

function step(number, title, ...body) {
  return h("li", { class: "card" }, h("h2", {}, `${number}. ${title}`), body);
}

function network(health, relays) {
  return step(1, "The network", facts([
    ["Machines come to", h("code", {}, session.server)],
    ["Their names end in", h("code", {}, session.domain)],
    ["Relays", relays.length ? relays.map((r) => r.name).join(", ") : h("span", { class: "state bad" }, "none: machines behind hard NATs will not reach each other")],
    ["Database", health.database],
  ]), h("p", { class: "hint" }, "These are in the settings file: ", h("code", {}, "server_url"), ", ", h("code", {}, "dns.base_domain"), ", ", h("code", {}, "derp"), ". Names and URL are best as they shall stay before machines come."));
}

// Whose the first machine is: one there is, or a new one.
function owner(users, made) {
  const form = h("form", { onsubmit: send }, field({ name: "name", label: "Name", value: users[0]?.name ?? session.name, required: true, hint: "A word, or an e-mail address. The first machine is this user's." }),
    h("button", { class: "button" }, "Go on"));
  async function send(e) {
    e.preventDefault();
    const { name } = values(form);
    form.querySelector("button").disabled = true;
    try {
      if (!users.some((u) => u.name === name)) await ask("users/create", { name });
      await made(name, await ask("invite", { user: name, expiration_ms: HOUR_MS }));
    } catch (error) {
      say(error.message, true);
      form.querySelector("button").disabled = false;
    }
  }
  return step(2, "You", h("p", {}, "Machines belong to users. Who are you here?"), form);
}

async function machine(made, standing) {
  const line = joinLine(made);
  return step(3, "The first machine", h("p", {}, "On it, with Ropewalk installed:"), copyable(line),
    h("p", { class: "hint" }, "It is for one machine, for an hour. Official clients take the server's URL, and a key of the page of keys."), await picture(line).catch(() => null), standing);
}

function welcome(n) {
  return [h("p", {}, h("span", { class: "state on" }, `${n.name} is in, as ${n.addresses[0]}.`)), h("p", {}, h("a", { class: "button", href: `#/machines/${n.id}` }, "Look at it"), " ", h("a", { class: "button plain", href: "#/keys" }, "More machines"))];
}

export function show(root, done) {
  let left = false;
  const standing = h("div", { role: "status" }, h("p", { class: "dim" }, "Nothing has come yet. This page shows it when it has."));
  const list = h("ol", { class: "steps" });
  replace(root, h("div", { class: "top" }, h("h1", {}, "A new network")), list);
  Promise.all([ask("health"), ask("relays/list"), ask("users/list")]).then(([health, relays, users]) => {
    if (!left)
      replace(list, network(health, relays), owner(users, async (name, made) => {
        list.lastElementChild.replaceWith(step(2, "You", h("p", {}, h("span", { class: "state on" }, `${name} it is.`))));
        list.append(await machine(made, standing));
        list.lastElementChild.scrollIntoView({ block: "nearest" });
      }));
  }).catch((e) => say(e.message, true));
  const end = watch((kind) => {
    const [n] = kind === "nodes" ? nodes.values() : [];
    if (!n) return;
    if (standing.isConnected) replace(standing, welcome(n));
    else done(); // it came otherwise
  });
  return () => { left = true; end(); };
}
