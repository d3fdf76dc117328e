// The relays: what nodes are told, and how near nodes are to them.
import { ask } from "./api.js";
import { facts, h, replace, say } from "./dom.js";
import { nodes, watch } from "./live.js";
import { following } from "./table.js";

function region(r) {
  const home = r.home_of.map((name) => [...nodes.values()].find((n) => n.name === name)).filter(Boolean);
  return h("section", { class: "card", "aria-label": r.name }, h("h2", {}, r.name, " ", h("span", { class: "tag" }, r.code)), facts([
    ["Number", String(r.id)],
    ["Hosts", r.hosts.map((x) => h("div", { class: "mono" }, `${x.host}:${x.port}${x.stun ? `, STUN ${x.stun}` : ""}`))],
    ["Latency", r.latency_ms === null ? "nobody has measured it" : `${r.latency_ms.toFixed(1)} ms in the middle, by ${r.measured_by} online`],
    ["Home of", r.home_of.length ? `${r.home_of.length} online` : "nobody online"],
  ]), home.length > 0 && h("details", {}, h("summary", {}, "Which"), h("p", {}, home.map((n, i) => [i > 0 && ", ", h("a", { href: `#/machines/${n.id}` }, n.name)]))));
}

export function show(root) {
  const live = following(root, watch, () => ask("relays/list"), (list) =>
    replace(root, h("div", { class: "top" }, h("h1", {}, "Relays"), h("button", { class: "button plain", onclick: () => live.again() }, "Look again")),
      h("p", { class: "dim" }, "A relay carries sealed packets between machines that have no direct path. Each machine calls the nearest its home."),
      list.length ? list.map(region) : h("p", { class: "care" }, "There is no relay: machines behind hard NATs cannot reach each other. ", h("code", {}, "derp.server.enabled: true"), " in the settings starts one in this server.")), say);
  return live.leave;
}
