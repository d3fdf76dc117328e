// The server's log: the newest lines, and those that come.
import { ask } from "./api.js";
import { h, replace, say } from "./dom.js";

const LINES = 1000;
const EACH_MS = 2000;
const levels = [["error", "errors"], ["warn", "and warnings"], ["info", "and what happens"], ["debug", "everything"]];
const ranks = { error: 0, warn: 1, info: 2, debug: 3 };

export function show(root) {
  let lines = [];
  let left = false;
  const words = h("input", { type: "search", "aria-label": "Search the log", placeholder: "Search the log", oninput: () => draw() });
  const level = h("select", { "aria-label": "Which lines", onchange: () => draw() }, levels.map(([v, text]) => h("option", { value: v, selected: v === "debug" }, text)));
  const list = h("div", { class: "lines", role: "log", tabindex: "0", "aria-label": "Lines of the log" });

  const fits = (l) => ranks[l.level] <= ranks[level.value] && l.text.toLowerCase().includes(words.value.toLowerCase());
  // With the day, where it is another than today.
  const clock = (d) => (d.toDateString() === new Date().toDateString() ? "" : `${d.toLocaleDateString(undefined, { month: "short", day: "numeric" })} `) + d.toLocaleTimeString();
  const line = (l) => h("p", { class: l.level }, h("time", { title: l.time }, clock(new Date(l.time))), " ", h("span", { class: "level" }, l.level), " ", l.text);
  const atEnd = () => list.scrollTop + list.clientHeight > list.scrollHeight - 40;
  function draw() {
    replace(list, lines.filter(fits).map(line));
    list.scrollTop = list.scrollHeight;
  }
  function add(fresh) {
    const follows = atEnd();
    lines = [...lines, ...fresh].slice(-LINES);
    list.append(...fresh.filter(fits).map(line));
    while (list.childElementCount > LINES) list.firstElementChild.remove();
    if (follows) list.scrollTop = list.scrollHeight;
  }
  async function look() {
    try {
      const fresh = await ask("log/show", { after: lines.at(-1)?.seq ?? 0 });
      if (fresh.length && fresh[0].seq <= (lines.at(-1)?.seq ?? 0)) lines = []; // the server has begun anew
      if (fresh.length) add(fresh);
    } catch (e) {
      if (!left && !lines.length) say(e.message, true);
    }
    if (!left) setTimeout(look, document.hidden ? 5 * EACH_MS : EACH_MS);
  }
  function save() {
    const text = lines.map((l) => JSON.stringify({ time: l.time, level: l.level, text: l.text })).join("\n");
    const link = h("a", { href: URL.createObjectURL(new Blob([`${text}\n`], { type: "application/x-ndjson" })), download: "ropewalk-log.jsonl" });
    link.click();
    URL.revokeObjectURL(link.href);
  }
  replace(root, h("div", { class: "top" }, h("h1", {}, "Log"), h("div", { class: "search" }, words), h("div", {}, level), h("button", { class: "button plain", onclick: save }, "Save as JSON lines")), list);
  look();
  return () => { left = true; };
}
