// The machines: all of them, found and sorted here, and one of them with what can be done to it.
import { ask, can, session } from "./api.js";
import { addMachine, mayAdd } from "./add.js";
import { attempt, h, moment, replace } from "./dom.js";
import { isLoaded, nodes, watch } from "./live.js";

const AT_ONCE = 60; // rows that are made before the first paint; the rest when there is time

const route = { "0.0.0.0/0": "exit", "::/0": "exit" };
export const routesOf = (n) => [...new Set(n.available_routes.map((r) => route[r] ?? r))];
// An exit is one, though it is two routes.
export const waitingRoutes = (n) => [...new Set(n.available_routes.filter((r) => !n.approved_routes.includes(r)).map((r) => route[r] ?? r))];
const owner = (n) => (n.tags.length ? "" : n.user);

const columns = [
  { id: "name", title: "Machine", key: (n) => padded(n.name), cell: (n) => [h("a", { class: "name", href: `#/machines/${n.id}` }, n.name)] },
  { id: "state", title: "State", key: (n) => (n.online ? "~" : (n.last_seen ?? "")), cell: (n) => [state(n)] },
  { id: "address", title: "Addresses", key: (n) => padded(n.addresses[0] ?? ""), cell: (n) => [h("span", { class: "mono", title: n.addresses.join("\n") }, n.addresses[0] ?? "")] },
  { id: "user", title: "User, tags", key: (n) => owner(n) || n.tags.join(), cell: (n) => (n.tags.length ? n.tags.map(tag) : [n.user]) },
  { id: "routes", title: "Routes", wide: true, key: (n) => String(1000 - routesOf(n).length), cell: routeCell },
  { id: "version", title: "Version", wide: true, key: (n) => n.version, cell: (n) => [n.version.split("-")[0], " ", h("span", { class: "dim" }, n.os)] },
  { id: "expiry", title: "Login ends", wide: true, key: (n) => n.expiry ?? "~", cell: (n) => [n.expired ? h("span", { class: "state bad" }, "expired") : moment(n.expiry)] },
];

// Numbers in names and addresses in the order of numbers.
const padded = (text) => text.replace(/\d+/g, (digits) => digits.padStart(5, "0"));
const tag = (t) => h("span", { class: "tag" }, t.replace(/^tag:/, ""));

export function state(n) {
  if (n.expired) return h("span", { class: "state bad" }, "expired");
  if (n.online) return h("span", { class: "state on" }, "online");
  return h("span", { class: "state" }, n.last_seen ? moment(n.last_seen) : "never seen");
}

function routeCell(n) {
  const waiting = waitingRoutes(n).length;
  return [routesOf(n).slice(0, 3).map((r) => h("span", { class: "tag mono" }, r)), routesOf(n).length > 3 && `+${routesOf(n).length - 3} `,
    waiting > 0 && can("devices:routes") && h("span", { class: "state bad" }, `${waiting} to approve`)];
}

// --- found: every word must be somewhere; is:online, is:offline, is:expired, is:exit, is:waiting, user:, tag: say where.
const is = {
  online: (n) => n.online,
  offline: (n) => !n.online,
  expired: (n) => n.expired,
  exit: (n) => routesOf(n).includes("exit"),
  waiting: (n) => waitingRoutes(n).length > 0,
  ephemeral: (n) => n.ephemeral,
};

export function matches(n, text) {
  return text.toLowerCase().split(/\s+/).filter(Boolean).every((word) => {
    const [, where, what] = /^(is|user|tag):(.*)$/.exec(word) ?? [];
    if (where === "is") return is[what]?.(n) ?? false;
    if (where === "user") return owner(n).toLowerCase().includes(what);
    if (where === "tag") return n.tags.some((t) => t.slice(4).toLowerCase().includes(what));
    return [n.name, n.hostname, n.user, n.os, n.version, ...n.addresses, ...n.tags, ...n.available_routes].some((t) => t.toLowerCase().includes(word));
  });
}

function row(n) {
  return h("div", { role: "row", "data-id": n.id }, columns.map((c) => h("div", { role: "cell", class: c.wide ? "wide" : null }, c.cell(n))));
}

function list(root) {
  let sort = { id: "name", down: false };
  let text = "";
  const made = new Map(); // number -> { node, row }: a row is made anew when its node is another
  let rest = 0;
  const count = h("p", { class: "dim", role: "status" });
  const body = h("div", { role: "rowgroup", class: "body" });
  const empty = h("p", { class: "empty", hidden: true });
  const heads = columns.map((c) => h("div", { role: "columnheader", class: c.wide ? "wide" : "" }, h("button", { type: "button", onclick: () => choose(c.id) }, c.title)));
  const search = h("input", { type: "search", "aria-label": "Search machines", placeholder: "Search: name, address, is:online, tag:web, user:alice", oninput: () => { text = search.value; draw(); } });

  function choose(id) {
    sort = { id, down: sort.id === id && !sort.down };
    draw();
  }
  function chosen() {
    const key = columns.find((c) => c.id === sort.id).key;
    const found = [...nodes.values()].filter((n) => matches(n, text)).map((n) => [key(n), n]);
    found.sort(([a, m], [b, n]) => (a < b ? -1 : a > b ? 1 : m.id - n.id));
    return (sort.down ? found.reverse() : found).map(([, n]) => n);
  }
  function rowOf(n) {
    const had = made.get(n.id);
    if (had?.node === n) return had.row;
    const fresh = row(n);
    had?.row.replaceWith(fresh);
    made.set(n.id, { node: n, row: fresh });
    return fresh;
  }
  // Rows that stand right already are left alone; focus stays on the machine it is on.
  function put(shown) {
    const id = document.activeElement?.closest?.("[role=row]")?.dataset.id;
    replace(body, shown.map(rowOf));
    for (const n of made.keys()) if (!nodes.has(n)) made.delete(n);
    if (id && !body.contains(document.activeElement)) body.querySelector(`[data-id="${id}"] a`)?.focus();
  }
  function draw() {
    const shown = chosen();
    cancelIdleCallback(rest);
    heads.forEach((e, i) => e.setAttribute("aria-sort", columns[i].id !== sort.id ? "none" : sort.down ? "descending" : "ascending"));
    const isLong = shown.length - made.size > AT_ONCE;
    put(isLong ? shown.slice(0, AT_ONCE) : shown);
    if (isLong) rest = requestIdleCallback(() => put(shown), { timeout: 200 });
    const online = shown.filter((n) => n.online).length;
    count.textContent = isLoaded ? `${shown.length === nodes.size ? shown.length : `${shown.length} of ${nodes.size}`} machines, ${online} online` : "";
    empty.hidden = !isLoaded || shown.length > 0;
    replace(empty, nodes.size ? "No machine is like that." : "There is no machine yet.");
  }
  function arrows(e) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    const at = document.activeElement?.closest?.("[role=row]");
    if (!step || !at || !body.contains(at)) return;
    e.preventDefault();
    (step > 0 ? at.nextElementSibling : at.previousElementSibling)?.querySelector("a")?.focus();
  }
  replace(root, h("div", { class: "top" }, h("h1", {}, session.scopes.length ? "Machines" : "Your machines"), h("div", { class: "search" }, search),
      mayAdd() && h("button", { class: "button", onclick: () => attempt(async () => addMachine(await ask("users/list"))) }, "Add a machine")), count,
    h("div", { class: "table machines", role: "table", "aria-label": "Machines", onkeydown: arrows },
      h("div", { role: "rowgroup", class: "head" }, h("div", { role: "row" }, heads)), body), empty);
  draw();
  return watch((kind) => kind === "nodes" && draw());
}

// The list, or the first run where an admin finds no machine.
function overview(root) {
  let leave = list(root);
  let end = watch((kind) => kind === "nodes" && begin());
  async function begin() {
    if (!isLoaded || nodes.size || !can("all")) return;
    end();
    end = () => {};
    const first = await import("./first.js");
    if (!leave || nodes.size) return;
    leave();
    leave = first.show(root, () => { leave?.(); leave = list(root); });
  }
  begin();
  return () => { end(); leave?.(); leave = null; };
}

export async function show(root, { parts, go }) {
  if (!parts.length) return overview(root);
  const machine = await import("./machine.js");
  return machine.show(root, { id: Number(parts[0]), go });
}
