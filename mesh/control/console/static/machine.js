// One machine: what it is, and what can be done to it.
import { ask, can } from "./api.js";
import { attempt, copyable, dialog, facts, h, moment, released, replace, say } from "./dom.js";
import { drop, isLoaded, nodes, put, watch } from "./live.js";
import { state, waitingRoutes } from "./machines.js";

const isExit = (r) => r === "0.0.0.0/0" || r === "::/0";
const tidy = (text) => text.split(/[\s,]+/).filter(Boolean);

// What is done, told by the node that comes back.
const change = async (verb, args) => put(await ask(`nodes/${verb}`, args));

function rename(n) {
  return dialog({
    title: `Rename ${n.name}`,
    text: "Others reach it by the new name at once, and no longer by the old one.",
    fields: [{ name: "name", label: "Name", value: n.name, required: true, hint: "Letters, digits and hyphens." }],
    act: "Rename",
    run: ({ name }) => change("rename", { id: n.id, name }),
  });
}

function tags(n) {
  return dialog({
    title: `Tags of ${n.name}`,
    text: n.tags.length ? "A tagged machine keeps one tag at least." : "A machine with tags is no longer its user's: rules for tags hold for it.",
    fields: [{ name: "tags", label: "Tags", value: n.tags.join(", "), hint: "Such as tag:server. Each has to be in the tagOwners of the access rules." }],
    act: "Save",
    run: (v) => change("tag", { id: n.id, tags: tidy(v.tags).map((t) => (t.startsWith("tag:") ? t : `tag:${t}`)).join(",") }),
  });
}

function expire(n) {
  return dialog({
    title: `End the login of ${n.name}`,
    text: "From then on its peers let nothing of it in, until somebody logs it in again on the machine.",
    fields: [{ name: "at", label: "When", type: "select", value: "", options: [["", "now"], ["1d", "in a day"], ["7d", "in a week"], ["30d", "in 30 days"], ["90d", "in 90 days"], ["180d", "in 180 days"]] }],
    act: "End it",
    danger: true,
    run: ({ at }) => change("expire", { id: n.id, at }),
  });
}

async function remove(n, go) {
  const done = await dialog({
    title: `Delete ${n.name}?`,
    text: `Its peers stop talking to it at once. ${n.user && !n.tags.length ? `${n.user} has` : "Somebody has"} to let it in again if it shall come back.`,
    act: "Delete",
    danger: true,
    run: () => ask("nodes/delete", { id: n.id }),
  });
  if (!done) return;
  say(`${n.name} is deleted.`);
  go("machines");
  drop(n.id);
}

// Each offered route with a box; exits are one.
function routes(n) {
  const offered = [...new Set([...n.available_routes, ...n.approved_routes])];
  const exits = offered.filter(isExit);
  const nets = offered.filter((r) => !isExit(r));
  const boxes = [...(exits.length ? [["exit", "Exit: traffic of others to the internet", exits]] : []), ...nets.map((r) => [r, r, [r]])];
  return dialog({
    title: `Routes of ${n.name}`,
    text: "What is ticked may be carried by this machine for others, as far as the access rules let them.",
    fields: boxes.map(([name, label, all]) => ({
      name,
      label,
      type: "check",
      value: all.every((r) => n.approved_routes.includes(r)),
      hint: all.every((r) => n.available_routes.includes(r)) ? overlap(n, all) : "It does not offer this at the moment.",
    })),
    act: "Save",
    run: (v) => change("approve-routes", { id: n.id, routes: boxes.filter(([name]) => v[name]).flatMap(([, , all]) => all).join(",") }),
  });
}

// Who carries the same already.
function overlap(n, all) {
  const others = [...nodes.values()].filter((m) => m.id !== n.id && !all.some(isExit) && m.approved_routes.some((r) => all.includes(r)));
  return others.length ? `${others.map((m) => m.name).join(", ")} may carry this too: one does, the others stand by.` : "";
}

function routeCard(n) {
  const waiting = waitingRoutes(n);
  if (!n.available_routes.length && !n.approved_routes.length) return null;
  const mark = (r) => (n.subnet_routes.includes(r) || (isExit(r) && n.approved_routes.includes(r)) ? "carried" : n.approved_routes.includes(r) ? "stands by" : "waits for approval");
  return h("section", { class: "card", "aria-labelledby": "routes" }, h("div", { class: "top" }, h("h2", { id: "routes" }, "Routes"), can("devices:routes") &&
      h("button", { class: waiting.length ? "button" : "button plain", onclick: () => routes(n) }, waiting.length ? `Approve ${waiting.length === 1 ? "a route" : `${waiting.length} routes`}` : "Change")),
    h("ul", { class: "plain" }, n.available_routes.map((r) => h("li", {}, h("code", {}, r), isExit(r) && " (exit)", " ", h("span", { class: "dim" }, mark(r))))));
}

function buttons(n, go) {
  const mine = can("devices:core") || !can("devices:core:read"); // a member sees none but their own
  const act = (text, run, more = "") => h("button", { class: `button plain ${more}`, onclick: () => run(n, go) }, text);
  return h("div", { class: "row" }, mine && act("Rename", rename), can("devices:core") && act("Tags", tags),
    can("devices:core") && (n.expired || n.expiry) && act("Let the login last", () => attempt(() => change("keep", { id: n.id }), `The login of ${n.name} does not end any more.`)),
    mine && !n.expired && act("End the login", expire, "danger"), mine && act("Delete", remove, "danger"));
}

function draw(root, n, go, details, ways) {
  replace(root, h("p", {}, h("a", { href: "#/machines" }, "← All machines")),
    h("div", { class: "top" }, h("h1", { tabindex: "-1" }, n.name), state(n), buttons(n, go)),
    h("section", { class: "card", "aria-label": "What it is" }, facts([
      ["Name", copyable(n.fqdn)],
      ["Addresses", n.addresses.map((a) => copyable(a))],
      ["User", n.tags.length ? "" : n.user],
      ["Tags", n.tags.length > 0 && n.tags.map((t) => h("span", { class: "tag" }, t))],
      ["Calls itself", n.hostname],
      ["System", details?.os_version ? `${n.os} ${details.os_version}` : n.os],
      ["Version", n.version],
      ["Last seen", n.online ? "now" : moment(n.last_seen)],
      ["In the mesh since", moment(n.created)],
      ["Login ends", n.expired ? h("span", { class: "state bad" }, "it has ended") : moment(n.expiry)],
      ["Ephemeral", n.ephemeral && "yes: it is deleted when it stays away"],
      ["Number", String(n.id)],
      ["Node key", h("code", {}, n.node_key)],
    ])), routeCard(n), networkCard(details), ways);
}

// What it says of its network, in words that say what to do.
function nat(w) {
  if (!w) return "it has not said";
  if (w.udp === false) return "UDP does not get out: everything goes over a relay";
  if (w.mapping_varies === null) return "not known: it takes two relays that answer to tell";
  return w.mapping_varies ? "hard: another port for each peer; a port mapping on its router would make it direct" : "easy: direct paths work";
}

const maps = (w) => [w.pcp && "PCP", w.pmp && "NAT-PMP", w.upnp && "UPnP"].filter(Boolean).join(", ");
const latencies = (w, relays) =>
  Object.entries(w?.latency_ms ?? {}).sort(([, a], [, b]) => a - b).map(([id, ms]) => h("div", {}, `${relays.find((r) => String(r.id) === id)?.name ?? `relay ${id}`}: ${ms.toFixed(1)} ms`));

function networkCard(d) {
  const w = d?.network;
  return h("section", { class: "card", "aria-labelledby": "net" }, h("h2", { id: "net" }, "Network"), d ? facts([
    ["Behind a NAT that is", nat(w)],
    ["Its router maps ports by", w && (maps(w) || "nothing that it found")],
    ["IPv6", w && (w.ipv6 ? "yes" : "no")],
    ["Home relay", d.home_relay || (d.home_derp ? String(d.home_derp) : "none")],
    ["Latency to relays", w && latencies(w, d.relays)],
    ["Can be reached at", d.endpoints.length > 0 && d.endpoints.map((e) => h("div", { class: "mono" }, e))],
  ]) : h("p", { class: "dim" }, "…"));
}

// By which way it reaches the others now. It is asked, and pings them: nobody but the machines themselves knows.
const most = 24; // asked at a time
const atOnce = 4;

const way = (r) => (!r.answered ? h("span", { class: "dim" }, r.why) : r.relay ? `by the relay ${r.relay}, ${r.latency_ms.toFixed(1)} ms` : r.direct ? ["direct, ", h("span", { class: "mono" }, r.direct), `, ${r.latency_ms.toFixed(1)} ms`] : `${r.latency_ms.toFixed(1)} ms`);

async function askWays(n, found, redraw) {
  const others = [...nodes.values()].filter((m) => m.id !== n.id && m.online && !m.expired).sort((a, b) => a.name.localeCompare(b.name)).slice(0, most);
  found.clear();
  others.forEach((m) => found.set(m.id, null));
  redraw();
  const next = async () => {
    for (let m = others.shift(); m; m = others.shift()) {
      found.set(m.id, await ask("nodes/path", { id: n.id, to: m.id }).catch((e) => ({ answered: false, why: e.message })));
      redraw();
    }
  };
  await Promise.all(Array.from({ length: atOnce }, next));
}

function waysCard(n, found, redraw) {
  if (!n.online || n.expired || !can("devices:core:read")) return null;
  const busy = [...found.values()].includes(null);
  const rows = [...found].map(([id, r]) => h("li", {}, h("a", { href: `#/machines/${id}` }, nodes.get(id)?.name ?? String(id)), ": ", r ? way(r) : h("span", { class: "dim" }, "asked…")));
  return h("section", { class: "card", "aria-labelledby": "ways" }, h("div", { class: "top" }, h("h2", { id: "ways" }, "Ways to others"),
      h("button", { class: "button plain", disabled: busy, onclick: () => askWays(n, found, redraw) }, found.size ? "Ask again" : "Ask it")),
    h("div", { role: "status" }, found.size ? h("ul", { class: "plain" }, rows) : h("p", { class: "dim" }, `The machine pings the others that are online${nodes.size > most ? `, ${most} at most` : ""}, and says by which way: the server does not know it.`)));
}

export function show(root, { id, go }) {
  const found = new Map();
  let details = null; // what the list does not have
  let relays = null; // their names; asked for once
  let asked = null;
  const look = async (n) => {
    if (asked === n) return;
    asked = n;
    relays ??= can("devices:core:read") ? ask("relays/list").catch(() => []) : [];
    const [node, list] = await Promise.all([ask("nodes/show", { id }).catch(() => null), relays]);
    details = node ? { ...node, relays: list } : details;
    await released();
    if (nodes.get(id) === n) redraw();
  };
  const redraw = () => {
    const n = nodes.get(id);
    if (n) look(n);
    const had = document.activeElement?.textContent;
    const inside = root.contains(document.activeElement);
    if (n) draw(root, n, go, details, waysCard(n, found, redraw));
    else replace(root, h("h1", {}, isLoaded ? "There is no such machine" : ""), isLoaded && h("p", {}, h("a", { href: "#/machines" }, "All machines")));
    if (inside && had) [...root.querySelectorAll("h1, button, a")].find((b) => b.textContent === had)?.focus();
  };
  redraw();
  return watch((kind, ids) => kind === "nodes" && (!ids || ids.has(id)) && redraw());
}
