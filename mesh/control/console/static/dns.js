// DNS: whom machines ask, for what, how those fare, and a pi-hole of the network made everybody's nameserver in three steps.
import { ask, can, request } from "./api.js";
import { attempt, dialog, field, h, moment, replace, say, values } from "./dom.js";
import { nodes, watch } from "./live.js";
import { button, following, table } from "./table.js";

const path = "/api/v2/tailnet/-/dns/configuration";
const words = (text) => text.split(/[\s,]+/).filter(Boolean);
const asResolvers = (list) => list.map((address) => ({ address }));
const checked = new Map(); // address -> what it answered last, for as long as the page is open

// Changes the settings that hold: they may be another's by now, so they are asked for anew.
async function change(edit) {
  const now = await request("GET", path);
  const next = { nameservers: now.nameservers ?? [], splitDNS: now.splitDNS ?? {}, searchPaths: now.searchPaths ?? [], preferences: now.preferences };
  edit(next);
  await request("POST", path, next);
}

// --- the pi-hole

const likely = (n) => /pi-?hole|adguard|blocky|\bdns\b|\bpi\b|raspberry/.test(`${n.name} ${n.hostname}`.toLowerCase());

function candidates() {
  const list = [...nodes.values()].filter((n) => n.addresses.length && !n.expired);
  list.sort((a, b) => likely(b) - likely(a) || b.online - a.online || a.name.localeCompare(b.name));
  return list.map((n) => [n.addresses[0], `${n.name} (${n.addresses[0]}${n.online ? "" : ", offline"})`]);
}

function found(r) {
  return [
    h("p", { class: r.well ? "gain" : r.reached ? "loss" : "" }, h("strong", {}, r.well ? "Well: " : r.reached ? "Not yet: " : "Not known: "), r.why, r.well ? ` within ${r.took_ms} ms` : "", "."),
    r.reach && h("p", { class: r.reach.without.length ? "loss" : "" }, reachText(r.reach)),
  ];
}

// Whether the machines reach it inside the tunnel: some are asked to ping it. What it answers them they are not asked.
const most = 12;
const atOnce = 4;

async function askReach(address) {
  const to = [...nodes.values()].find((n) => n.addresses.includes(address));
  if (!to || !can("devices:core:read")) return null;
  const asked = [...nodes.values()].filter((n) => n.online && !n.expired && n.id !== to.id).slice(0, most);
  const without = [];
  const left = [...asked];
  const next = async () => {
    for (let n = left.shift(); n; n = left.shift()) {
      const r = await ask("nodes/path", { id: n.id, to: to.id, type: "TSMP" }).catch(() => null);
      if (!r?.answered) without.push(n.name);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, next));
  return { of: asked.length, without };
}

function reachText({ of, without }) {
  if (of === 0) return "No other machine is online that could be asked whether it reaches it.";
  const all = of === 1 ? "The one other machine that is online reaches" : `All ${of} machines that were asked reach`;
  return without.length === 0 ? `${all} it.` : `${of - without.length} of ${of} machines that were asked reach it; not ${without.join(", ")}.`;
}

const checkNow = async (address) => {
  const [r, reach] = await Promise.all([ask("dns/check", { server: address }), askReach(address)]);
  checked.set(address, { ...r, reach });
  return checked.get(address);
};

function wizard() {
  const answer = h("div", { role: "status" });
  const machine = field({ name: "machine", label: "Which machine it is", type: "select", options: [...candidates(), ["", "another: by its address"]] });
  const other = field({ name: "other", label: "Its address", hint: "Of a nameserver that is no machine of the network." });
  const chosen = (v) => v.machine || v.other;
  const select = machine.querySelector("select");
  const toggle = () => { other.hidden = select.value !== ""; };
  select.addEventListener("change", () => { toggle(); replace(answer); });
  toggle();
  const look = h("button", { class: "button plain small", type: "button", onclick: async (e) => {
    const v = values(e.target.form);
    e.target.disabled = true;
    replace(answer, h("p", { class: "dim" }, "Asking it…"));
    if (!(await attempt(async () => replace(answer, found(await checkNow(chosen(v))))))) replace(answer);
    e.target.disabled = false;
  } }, "Ask it something");
  return dialog({
    title: "A pi-hole for all machines",
    body: [
      h("ol", { class: "steps" },
        h("li", {}, "Its machine is in the network, with ", h("code", {}, "ropewalk up --accept-dns=false"), ": it must not ask itself."),
        h("li", {}, "In the pi-hole, Settings, DNS, Interface settings: “Permit all origins”. It takes the network for strangers otherwise."),
        h("li", {}, "All machines are told to ask it.")),
      machine, other, h("div", { class: "row" }, look), answer,
    ],
    fields: [
      { name: "fallback", label: "One more, for when it does not answer", hint: "What the pi-hole blocks is not blocked then. Leave it empty, and names of the internet are not found while it is away." },
    ],
    act: "Set it for all machines",
    run: async (v) => {
      if (!chosen(v)) throw new Error("Say which machine, or an address.");
      await change((dns) => {
        dns.nameservers = asResolvers([chosen(v), ...words(v.fallback)]);
        dns.preferences = { ...dns.preferences, overrideLocalDNS: true };
      });
      await checkNow(chosen(v)).catch(() => {});
      return true;
    },
  });
}

// --- the tables

function who(s) {
  return s.node ? h("a", { href: `#/machines/${s.node}` }, s.name) : h("span", { class: "dim" }, "no machine of the network");
}

function health(s) {
  const r = checked.get(s.address);
  return [
    s.node && h("div", { class: s.online && !s.expired ? "state on" : "state bad" }, s.expired ? "its login has ended" : s.online ? "online" : ["away since ", moment(s.last_seen)]),
    s.node && s.asked_by < s.machines && h("div", { class: "loss" }, `Access rules let ${s.asked_by} of ${s.machines} machines ask it; not ${s.without.join(", ")}${s.machines - s.asked_by > s.without.length ? ", …" : ""}.`),
    s.node && s.machines > 0 && s.asked_by === s.machines && h("div", { class: "dim" }, "all machines may ask it"),
    r && h("div", { class: r.well ? "gain" : !r.reached && s.node ? "dim" : "loss" }, r.well ? `${r.why}, ${r.took_ms} ms` : r.why),
    r?.reach && h("div", { class: r.reach.without.length ? "loss" : "gain" }, reachText(r.reach)),
  ];
}

const isAddress = (text) => /^[0-9a-f.:]+$/i.test(text);

function serverTable(label, servers, again, remove) {
  return table(label, [
    { title: "Server", cell: (s) => h("span", { class: "mono" }, s.address) },
    { title: "Machine", cell: who },
    { title: "How it is", whole: true, cell: health },
  ], servers, {
    widths: "1.5fr 1fr 2.5fr 11rem", none: "None: machines ask whom they asked before.",
    acts: (s) => can("dns") && [isAddress(s.address) && button("Ask it", () => attempt(() => checkNow(s.address)).then(again)), button("Remove", () => attempt(() => change(remove(s))).then(again), "danger")],
  });
}

function nameservers(dns, servers, again) {
  const add = () => dialog({
    title: "Add a nameserver",
    fields: [{ name: "address", label: "Address", required: true, hint: "100.64.0.7, 9.9.9.9, https://dns.quad9.net/dns-query, tls://192.0.2.1#dns.example" }],
    act: "Add it",
    run: ({ address }) => change((d) => { d.nameservers = [...(d.nameservers ?? []), ...asResolvers([address])]; }),
  }).then(again);
  return h("section", { class: "card", "aria-labelledby": "d1" }, h("div", { class: "top" }, h("h2", { id: "d1" }, "For all names"),
      can("dns") && h("div", { class: "row" }, h("button", { class: "button plain", onclick: add }, "Add a nameserver"))),
    serverTable("Nameservers for all names", servers.filter((s) => s.suffix === "."), again, (s) => (d) => { d.nameservers = (d.nameservers ?? []).filter((r) => r.address !== s.address); }),
    servers.filter((s) => s.suffix === ".").length > 0 && choice("Machines ask these instead of their own", dns.preferences?.overrideLocalDNS, again, (d, on) => { d.preferences = { ...d.preferences, overrideLocalDNS: on }; }));
}

function choice(label, on, again, edit) {
  const box = field({ name: label, label, type: "check", value: on });
  const input = box.querySelector("input");
  input.disabled = !can("dns");
  input.addEventListener("change", () => attempt(() => change((d) => edit(d, input.checked))).then(again));
  return h("div", { class: "choice" }, box);
}

function split(dns, servers, again) {
  const add = () => dialog({
    title: "Servers for one domain",
    fields: [
      { name: "suffix", label: "Domain", required: true, hint: "corp.example, and what is below it" },
      { name: "servers", label: "Addresses", required: true, hint: "With blanks between." },
    ],
    act: "Add it",
    run: ({ suffix, servers: list }) => change((d) => { d.splitDNS = { ...d.splitDNS, [suffix]: asResolvers(words(list)) }; }),
  }).then(again);
  const suffixes = Object.keys(dns.splitDNS ?? {});
  return h("section", { class: "card", "aria-labelledby": "d2" }, h("div", { class: "top" }, h("h2", { id: "d2" }, "For one domain"), can("dns") && h("button", { class: "button plain", onclick: add }, "Add a domain")),
    suffixes.map((suffix) => [h("h3", {}, suffix), serverTable(`Nameservers for ${suffix}`, servers.filter((s) => s.suffix === suffix), again,
      (s) => (d) => { d.splitDNS = { ...d.splitDNS, [suffix]: (d.splitDNS?.[suffix] ?? []).filter((r) => r.address !== s.address) }; })]),
    suffixes.length === 0 && h("p", { class: "empty" }, "None."));
}

function names(dns, again) {
  const edit = () => dialog({
    title: "Search domains",
    fields: [{ name: "list", label: "Domains", type: "area", value: (dns.searchPaths ?? []).join("\n"), hint: "One a line; tried in this order behind a name that has none." }],
    act: "Save",
    run: ({ list }) => change((d) => { d.searchPaths = words(list); }),
  }).then(again);
  return h("section", { class: "card", "aria-labelledby": "d3" }, h("h2", { id: "d3" }, "Names"),
    choice("Machines know each other by name (MagicDNS)", dns.preferences?.magicDNS, again, (d, on) => { d.preferences = { ...d.preferences, magicDNS: on }; }),
    h("div", { class: "row" }, h("span", {}, "Search domains: ", dns.searchPaths?.length ? dns.searchPaths.join(", ") : h("span", { class: "dim" }, "none")), can("dns") && button("Change", edit)));
}

export function show(root) {
  let known = [];
  const reset = () => dialog({
    title: "Use the settings file",
    text: "What was set here is forgotten: the section dns of the server's settings holds again.",
    act: "Forget it",
    danger: true,
    run: () => ask("dns/reset"),
  }).then(() => live.again());
  const live = following(root, watch, () => Promise.all([request("GET", path), ask("dns/servers")]), ([dns, servers]) => {
    known = servers;
    replace(root,
      h("div", { class: "top" }, h("h1", {}, "DNS"), can("dns") && h("div", { class: "row" }, h("button", { class: "button plain", type: "button", onclick: reset }, "Use the settings file"),
        h("button", { class: "button", type: "button", onclick: () => wizard().then((done) => done && (say("All machines are told."), live.again())) }, "Set up a pi-hole"))),
      nameservers(dns, servers, live.again), split(dns, servers, live.again), names(dns, live.again));
  }, say);
  const seen = watch((kind, ids) => kind === "nodes" && (!ids || known.some((s) => ids.has(s.node))) && live.again());
  return () => { checked.clear(); seen(); live.leave(); };
}
