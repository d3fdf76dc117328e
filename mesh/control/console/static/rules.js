// Access rules: an editor that says what is wrong while it is written, what a change would do, who reaches whom, and what was before.
import { ask, can } from "./api.js";
import { attempt, dialog, h, moment, replace, say } from "./dom.js";
import { lineDiff } from "./diff.js";
import { editor } from "./editor.js";
import { nodes, watch } from "./live.js";
import { button, following, table } from "./table.js";

const first = `{
  // Everybody reaches their own machines, and nobody another's.
  "grants": [
    { "src": ["autogroup:member"], "dst": ["autogroup:self"], "ip": ["*"] },
  ],
}
`;
let draft = null; // { text, etag of the rules it began from }: kept while other pages are looked at

const names = (list) => (list.length > 6 ? `${list.slice(0, 6).join(", ")} and ${list.length - 6} more` : list.join(", "));

function change(c) {
  if (c.change === "more") return h("li", {}, "… and more than is shown here");
  const gains = c.change === "gains";
  return h("li", { class: gains ? "gain" : "loss" }, h("span", { "aria-hidden": "true" }, gains ? "+ " : "− "), h("span", { class: "unseen" }, gains ? "new: " : "no more: "),
    c.from.length > 0 && [names(c.from), " → "], names(c.to), ": ", c.what);
}

const changes = (list) => (list.length ? h("ul", { class: "plain changes" }, list.map(change)) : h("p", { class: "dim" }, "For the machines that there are it changes nothing."));

// "12:3: acls[0].src[1]: no such group" as { line, column, text }
function fault(message) {
  const [, line, column, text] = /^(\d+):(\d+): ([^]*)$/.exec(message) ?? [];
  return line ? { line: Number(line), column: Number(column), text } : { text: message };
}

async function save(text, tried, again) {
  const saved = await dialog({
    title: "Save these rules",
    text: "What changes for the machines that there are, by all rules together:",
    body: [changes(tried.changes)],
    act: "Save",
    run: () => ask("policy/set", { policy: text, if_tag: draft.etag }),
  });
  if (!saved) return;
  draft = null;
  say(`Saved as version ${saved.version}. In force.`);
  await again();
}

// --- who reaches whom

function reachRows(list, word) {
  const fits = (r) => [...r.from, ...r.to, r.what].some((t) => t.toLowerCase().includes(word));
  return table("Who reaches what", [
    { title: "From", cell: (r) => names(r.from) || h("span", { class: "dim" }, "themselves") },
    { title: "To", cell: (r) => [h("span", { class: "dim", "aria-hidden": "true" }, "→ "), names(r.to)] },
    { title: "What", cell: (r) => r.what },
  ], list.filter((r) => r.to && (!word || fits(r))), { widths: "2fr 2fr 3fr", none: word ? "Nothing of that name." : "Nobody reaches anybody." });
}

function reach() {
  const place = h("div", {});
  const search = h("input", { type: "search", "aria-label": "Only rows with this word", placeholder: "Only rows with…", oninput: draw });
  let list = [];
  function draw() {
    replace(place, reachRows(list, search.value.trim().toLowerCase()), list.some((r) => !r.to) && h("p", { class: "dim" }, "There is more than is shown here."));
  }
  return {
    root: h("section", { class: "card", "aria-labelledby": "r2" }, h("div", { class: "top" }, h("h2", { id: "r2" }, "Who reaches what"), h("div", { class: "search" }, search)), place),
    show: (rows) => { list = rows; draw(); },
  };
}

function verdict(r) {
  return [h("p", { class: r.allowed ? "gain" : "loss" }, h("strong", {}, r.allowed ? "Yes. " : "No. "), r.why, ".")];
}

function pair() {
  const answer = h("div", { role: "status" });
  const list = h("datalist", { id: "machines-known" });
  const known = () => replace(list, [...nodes.values()].map((n) => h("option", { value: n.name })));
  const word = (name, label, hint) => h("div", { class: "field" }, h("label", { for: `pair-${name}` }, label), h("input", { id: `pair-${name}`, name, list: hint ? null : "machines-known", placeholder: hint ?? null, required: !hint, autocomplete: "off", spellcheck: "false" }));
  let asked = null;
  const tell = () => attempt(async () => {
    const ours = asked, r = await ask("policy/explain", ours);
    if (ours === asked) replace(answer, verdict(r));
  });
  const form = h("form", { class: "pair", onfocusin: known, onsubmit: async (e) => {
    e.preventDefault();
    asked = Object.fromEntries(new FormData(form));
    await tell();
  } }, word("from", "From"), word("to", "To"), word("port", "Port", "443, udp:53, icmp; any"), h("button", { class: "button plain" }, "Ask"));
  return {
    root: h("section", { class: "card", "aria-labelledby": "r3" }, h("h2", { id: "r3" }, "May one reach another?"), form, list, answer,
      h("p", { class: "hint" }, "By the rules in force: which one lets it pass, or how far it comes.")),
    again: () => asked && tell(), // the rules in force are others
  };
}

// --- what was before

const mark = { " ": "  ", "+": "+ ", "-": "− " };

function compared(version, now) {
  const rows = lineDiff(now, version.policy);
  if (rows.every(([kind]) => kind === " ")) return h("p", { class: "dim" }, "It is the same as what is in force.");
  return h("pre", { class: "compared", tabindex: "0", role: "region", "aria-label": `Version ${version.version} beside what is in force` },
    rows.map(([kind, text]) => h("span", { class: kind === "+" ? "gain" : kind === "-" ? "loss" : null }, mark[kind], text, "\n")));
}

// use: what to do with a version's text, or nothing where none may be set.
function history(use) {
  const place = h("div", { class: "past" }), versions = h("div", {});
  let open = null, now = "";
  function compare() {
    replace(place, open && [h("div", { class: "top" }, h("h3", {}, `Version ${open.version}, beside what is in force`),
      use && h("button", { class: "button plain", type: "button", onclick: () => use(open.policy) }, "Put it into the editor")), compared(open, now)]);
  }
  const look = (v) => attempt(async () => {
    open = await ask("policy/history", { version: v.version });
    compare();
    place.scrollIntoView({ block: "nearest" });
  });
  return {
    root: h("section", { class: "card", "aria-labelledby": "r4" }, h("h2", { id: "r4" }, "History"), versions, place),
    show(list, text) {
      now = text;
      replace(versions, table("Versions", [
        { title: "Version", cell: (v) => v.version },
        { title: "Set", cell: (v) => moment(v.set) },
        { title: "By", cell: (v) => v.author },
        { title: "Size", wide: true, cell: (v) => `${v.bytes} bytes` },
      ], list, { widths: "5rem 1fr 1.5fr 1fr 7rem", none: "Nothing has been kept yet.", acts: (v) => button("Look", () => look(v)) }));
      compare();
    },
  };
}

// --- the page

function where(rules) {
  if (rules.mode !== "database") return h("p", { class: "care" }, "These rules are in a file of the server (policy.path). Here they can be tried, and looked at; to set them here the settings have to say policy.mode: database.");
  if (!rules.policy) return h("p", { class: "care" }, "No rules are set: every machine reaches every other.");
  return null;
}

export function show(root) {
  let rules, tried = null, timer = 0, turn = 0;
  const status = h("p", { class: "verdict", role: "status" });
  const effect = h("div", {});
  const reaching = reach(), asking = pair();
  const past = history(can("policy_file") && ((text) => { area.set(text); written(); scrollTo(0, 0); area.focus(); }));
  const saves = h("button", { class: "button", type: "button", disabled: true, onclick: () => draft && tried && attempt(() => save(area.text(), tried, live.again)) }, "Save…");
  const discards = h("button", { class: "button plain", type: "button", onclick: () => { draft = null; area.set(rules.policy); written(); } }, "Discard changes");
  const hasNone = h("p", {}, h("button", { class: "button plain small", type: "button", onclick: () => { area.set(first); written(); } }, "Begin with an example"));
  const area = editor({ label: "Rules, as HuJSON", describedBy: status, oninput: written, onsave: () => saves.disabled || saves.click() });
  const top = h("div", { class: "top" }, h("h1", {}, "Access rules"), h("div", { class: "row" }, discards, saves));
  const writing = h("section", { class: "card", "aria-label": "Editor" }, area.root, status, hasNone);

  function offers() {
    discards.hidden = !draft;
    hasNone.hidden = Boolean(rules.policy || draft);
  }

  function written() {
    const text = area.text();
    const dirty = text !== rules.policy;
    draft = dirty ? { text, etag: draft?.etag ?? rules.etag } : null;
    offers();
    tried = null;
    saves.disabled = true;
    clearTimeout(timer);
    timer = setTimeout(() => attempt(trying), 300);
  }

  async function trying() {
    const text = area.text(), mine = ++turn;
    let error = null, found = null; // what was found out about the same text holds until then
    const ours = text.trim() ? { policy: text } : {};
    try {
      if (text.trim()) found = await ask("policy/test", { policy: text });
    } catch (e) {
      error = fault(e.message);
    }
    if (mine !== turn) return;
    tried = found;
    area.fault(error);
    replace(status, error ? [error.line && button(`Line ${error.line}`, () => area.go(error.line, error.column)), " ", error.text] : text.trim() ? "Good; its tests hold." : "There is nothing here.");
    status.classList.toggle("loss", Boolean(error));
    saves.disabled = !(tried && draft && can("policy_file") && rules.mode === "database");
    replace(effect, draft && tried && [h("h2", {}, "What it would change"), changes(tried.changes)]);
    effect.className = draft && tried ? "card" : "";
    if (!error) {
      const answer = await ask("policy/reach", ours);
      if (mine === turn) reaching.show(answer);
    }
  }

  const meanwhile = () => draft && draft.etag !== rules.etag && h("p", { class: "care" }, "Meanwhile somebody has set other rules (look at the history). What is written here began from those before. ",
    h("button", { class: "quiet", onclick: () => { draft.etag = rules.etag; live.again(); } }, "Go on with mine"));

  const live = following(root, watch, () => Promise.all([ask("policy/get"), ask("policy/history")]), ([now, versions]) => {
    if (rules?.etag !== now.etag) asking.again();
    rules = now;
    past.show(versions, now.policy);
    saves.hidden = !(can("policy_file") && rules.mode === "database");
    offers();
    replace(root, top, where(rules), meanwhile(), writing, effect, reaching.root, asking.root, past.root);
    const text = draft?.text ?? rules.policy;
    if (area.text() !== text) area.set(text);
    attempt(trying);
  }, say);
  return () => { clearTimeout(timer); turn = -1; live.leave(); };
}
