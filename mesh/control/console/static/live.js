// The nodes that this login may see, kept as the server has them. Pages ask for changes with `watch`.
import { ask, events } from "./api.js";
import { released } from "./dom.js";

export const nodes = new Map(); // number -> node, as nodes/list has it
export let isLoaded = false;
const watchers = new Set();

// each(kind, ids): "nodes" (ids: a Set of those that changed, or null for all), "other" (users, keys, who waits, rules), "line"
// (the connection came or went, ids: whether it is there). Gives a function that ends it.
export function watch(each) {
  watchers.add(each);
  return () => watchers.delete(each);
}

// Nodes are drawn when it is told, what is asked for first waits for the press to end when it has come.
async function tell(kind, what) {
  if (kind === "nodes") await released();
  for (const each of [...watchers]) each(kind, what);
}

export function put(node) {
  nodes.set(node.id, node);
  tell("nodes", new Set([node.id]));
}

export function drop(id) {
  if (nodes.delete(id)) tell("nodes", new Set([id]));
}

async function load() {
  const list = await ask("nodes/list");
  nodes.clear();
  for (const n of list) nodes.set(n.id, n);
  isLoaded = true;
  tell("nodes", null);
}

function changed(name, value) {
  if (name === "all") {
    if (isFirst) isFirst = false; // the list that is on its way has it
    else load().catch(() => {});
    tell("other");
  } else if (name === "nodes") {
    for (const n of value.nodes) nodes.set(n.id, n);
    for (const id of value.gone) nodes.delete(id);
    tell("nodes", new Set([...value.nodes.map((n) => n.id), ...value.gone]));
  } else if (name === "other") {
    tell("other");
  }
}

let isFirst = true;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// Follows for as long as the page is open; what was missed while the line was cut is asked for again.
export async function follow() {
  const first = load();
  for (let wait = 500; ; wait = Math.min(wait * 2, 15000)) {
    try {
      const began = performance.now();
      await events((name, value) => {
        if (name === "all") tell("line", true);
        changed(name, value);
      });
      if (performance.now() - began > 5000) wait = 500;
    } catch {
      // told below
    }
    isFirst = false;
    tell("line", false);
    await pause(wait);
    await first.catch(() => {});
  }
}
