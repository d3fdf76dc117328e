"use strict";
/* Shows records of runs (docs/simnet/runs.md): those in the page, or on a live page those that the server tells. Nothing that a
 * program said becomes markup: text goes in as text, and of the map's picture only known elements are taken. */
(() => {
const $ = (id) => document.getElementById(id);
const h = (tag, attrs, ...kids) => {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attrs || {}))
    if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else if (k === "style") e.style.cssText = v;
    else if (v !== false && v != null) e.setAttribute(k, v === true ? "" : v);
  e.append(...kids.flat().filter((k) => k != null && k !== false));
  return e;
};
const SVG = "http://www.w3.org/2000/svg";
const s = (tag, attrs, ...kids) => {
  const e = document.createElementNS(SVG, tag);
  for (const [k, v] of Object.entries(attrs || {}))
    if (k.startsWith("on")) e.addEventListener(k.slice(2), v); else e.setAttribute(k, v);
  e.append(...kids);
  return e;
};
const live = document.documentElement.hasAttribute("data-live");

/* ---- runs out of records ---- */
const runs = [];
const title = (r) => r.scenario + (r.variant ? ` [${r.variant}]` : "");
const newRun = (rec) => ({ scenario: rec.scenario || "", variant: rec.variant || "", file: rec.file || "", head: null, end: null, map: null,
  steps: new Map(), routers: [], hosts: [], lines: [], drops: [], packets: [], glimpses: 0, told: [], programs: [], paths: [], events: [], tmax: 0, now: 0 });
const EVENTS = ["cut", "heal", "reset", "kill", "spawn", "mark", "set", "move", "sleep"];
const stepOf = (run, n) => {
  if (!run.steps.has(n)) run.steps.set(n, { n, what: "", text: "", told: [], from: null, to: null, verdict: "", seconds: null });
  return run.steps.get(n);
};
/* What a live page has of packets until the capture is read: the newest, without numbers of frames, newest last. */
const GLIMPSES = 10000;
function died(run, p, d) {
  const there = p.link.startsWith(d.where + ".") || !run.routers.some((x) => x.name === d.where);
  if (there && p.proto === d.proto && p.src === d.src && p.dst === d.dst && Math.abs(p.t - d.t) < 0.02) p.comment = `dropped at ${d.where}: ${d.rule}`;
}
function glimpse(run, r) {
  if (run.packets.length && !run.glimpses) return; // there are frames already
  for (const d of run.drops.slice(-20)) died(run, r, d);
  run.glimpses += 1 + (r.missed || 0);
  run.packets.push(r);
  if (run.packets.length <= GLIMPSES) return;
  const plain = run.packets.findIndex((p) => !p.comment && !(p.info || "").startsWith("DNS")); // what died, and questions, stay longer
  run.packets.splice(plain >= 0 && plain < GLIMPSES / 4 ? plain : 0, 1);
}
function take(run, r) {
  if (!["packet", "drop", "glimpse"].includes(r.kind)) run.tmax = Math.max(run.tmax, r.t);
  switch (r.kind) {
  case "run": if (r.format) run.head = r; break; /* the story of a step `run` has the same kind */
  case "map": run.map = r.svg; break;
  case "router": run.routers.push(r); break;
  case "host": run.hosts.push(r); break;
  case "plan": Object.assign(stepOf(run, r.step), { what: r.what, text: r.text || "", say: r.say || "", line: r.line }); break;
  case "step": Object.assign(stepOf(run, r.step), { what: r.what, text: r.text || "", from: r.t, line: r.line }); run.now = r.step; break;
  case "step-end": Object.assign(stepOf(run, r.step), { to: r.t, verdict: r.verdict, seconds: r.seconds, failure: r.text }); break;
  case "line": run.lines.push(r); break;
  case "drop": run.drops.push(r); if (run.glimpses) for (const p of run.packets) died(run, p, r); break;
  case "packet": if (run.glimpses) { run.glimpses = 0; run.packets = []; } run.packets.push(r); break;
  case "glimpse": glimpse(run, r); break;
  case "program": run.programs.push(r); break;
  default: break;
  }
  if (r.kind === "path" && r.path) run.paths.push(r);
  if (EVENTS.includes(r.kind)) run.events.push(r);
  if (r.mark) {
    r.step = run.now;
    run.told.push(r);
    if (run.now) stepOf(run, run.now).told.push(r);
  }
  if (["pass", "fail", "error", "skip", "unsure"].includes(r.kind)) { run.end = r; for (const a of [run.packets, run.drops]) a.sort((x, y) => x.t - y.t); }
}
function add(rec) {
  const goesOn = live && !rec.format; /* after the end of a run its network may stay, and be told of */
  let run = runs.findLast((x) => (!x.end || goesOn) && x.scenario === (rec.scenario || "") && x.variant === (rec.variant || ""));
  if (!run) { run = newRun(rec); runs.push(run); }
  take(run, rec);
  return run;
}

/* ---- what is shown ---- */
const state = { run: 0, tab: "story", at: null, frame: null, line: null, filters: { packets: "", logs: "", died: false, node: "", level: "" }, shown: 600, zoom: null, panel: null };
const run = () => runs[state.run];
const steps = (r) => [...r.steps.values()].sort((a, b) => a.n - b.n);
const secs = (t) => (t == null ? "" : t.toFixed(t < 10 ? 3 : 2));
const tEnd = (r) => Math.max(r.tmax, 0.001);
const failedStep = (r) => steps(r).find((x) => x.verdict === "fail") || (r.end && r.end.kind !== "pass" ? steps(r).findLast((x) => x.from != null) : null);
const go = (tab, more) => { Object.assign(state, more || {}); state.tab = tab; location.hash = tab; render(); };

/* "frame 12" and "frames 13, 17" lead to the packets. */
function linked(text) {
  const out = [];
  let last = 0;
  for (const m of text.matchAll(/frames? (\d+)((?: at [\w.-]+)?(?:, \d+(?: at [\w.-]+)?)*)/g)) {
    out.push(text.slice(last, m.index));
    let at = 0;
    for (const n of m[0].matchAll(/\d+(?![\w.])/g)) {
      out.push(m[0].slice(at, n.index), h("a", { href: "#packets", onclick: (e) => { e.preventDefault(); go("packets", { frame: +n[0], filters: { ...state.filters, packets: "", died: false } }); } }, n[0]));
      at = n.index + n[0].length;
    }
    out.push(m[0].slice(at));
    last = m.index + m[0].length;
  }
  out.push(text.slice(last));
  return out;
}
const line = (cls, t, who, text, more) => h("div", { class: "ln " + cls, ...more }, h("span", { class: "t" }, secs(t)), who ? h("span", { class: "who" }, who) : null, h("span", { class: "x" }, linked(text)));
const copyable = (cmd) => h("p", {}, h("code", {}, cmd), " ", h("button", { onclick: (e) => navigator.clipboard && navigator.clipboard.writeText(cmd).then(() => { e.target.textContent = "copied"; }) }, "copy"));
const level = (text) => (/\b(error|fatal|panic|failed)\b/i.test(text) ? "errlevel" : /\b(warn|warning)\b/i.test(text) ? "warnlevel" : /\bdebug\b/i.test(text) ? "debuglevel" : "");

const views = {
  story(r) {
    const out = [], cause = r.told.findLast((x) => x.kind === "cause");
    if (r.head && r.head.text) out.push(h("p", { class: "soft" }, r.head.text));
    if (cause) {
      const f = r.told.find((x) => x.kind === "failed"), rest = r.told.filter((x) => ["why", "believed", "table", "so"].includes(x.kind));
      const next = r.told.findLast((x) => x.kind === "next");
      out.push(h("section", { class: "card cause", id: "cause" }, h("p", { class: "big" }, linked(cause.text.replace(/^cause: /, ""))),
        f ? h("p", { class: "soft" }, f.text) : null, rest.filter((x) => x.kind !== "table").map((x) => h("p", {}, linked(x.text))),
        rest.some((x) => x.kind === "table") ? h("details", {}, h("summary", {}, "what the routers remember"), h("div", { class: "lines", style: "padding:0" }, rest.filter((x) => x.kind === "table").map((x) => h("div", {}, x.text.replace(/^table: /, ""))))) : null, next ? copyable(next.text.replace(/^next: /, "").replace(/ {2,}.*/, "")) : null));
    }
    const before = r.told.filter((x) => !x.step);
    if (before.length) out.push(stepCard({ n: 0, what: "begin", text: "network and programs", told: before, verdict: r.now ? "pass" : "", seconds: null }, false));
    const bad = failedStep(r);
    for (const st of steps(r)) out.push(stepCard(st, st === bad));
    return out;
  },
  map(r) {
    const at = state.at ?? tEnd(r), box = h("div", { class: "mapbox card" });
    const label = h("span", { class: "mono" }, secs(at) + " s");
    const draw = () => { box.replaceChildren(mapAt(r, state.at ?? tEnd(r))); label.textContent = secs(state.at ?? tEnd(r)) + " s"; };
    draw();
    const range = h("input", { type: "range", min: 0, max: tEnd(r), step: tEnd(r) / 1000, value: at, "aria-label": "time", oninput: (e) => { state.at = +e.target.value; draw(); } });
    return [h("div", { class: "bar" }, "At", range, label, h("button", { onclick: () => { state.at = null; range.value = tEnd(r); draw(); } }, "end"),
      h("span", { class: "soft" }, "green line: direct; dashed: by relay; red edge: does not run, or cut. A click shows more.")), box];
  },
  timeline(r) { return [timeline(r)]; },
  packets(r) {
    const f = state.filters, q = f.packets.toLowerCase();
    const all = r.packets.filter((p) => (!f.died || p.comment) && (!q || `${p.frame || ""} ${p.link} ${p.proto} ${p.src} ${p.dst} ${p.info || ""} ${p.comment || ""}`.toLowerCase().includes(q)));
    if (!r.packets.length) return [h("div", { class: "empty" }, live && !r.end ? "No packet has been seen yet." : "No packets were kept: they are of failed runs, and of all with --pcap all.")];
    if (r.glimpses) all.reverse(); // the newest on top, as they come
    let from = 0;
    if (state.frame) { const i = all.findIndex((p) => p.frame === state.frame); from = Math.max(0, i - 100); }
    const rows = all.slice(from, from + state.shown).map((p) => h("tr", { class: (p.comment ? "died " : "") + (p.frame && p.frame === state.frame ? "hit" : ""), id: p.frame && "f" + p.frame, onclick: () => { state.at = p.t; state.frame = p.frame; render(); } },
      r.glimpses ? null : h("td", { class: "num" }, String(p.frame)), h("td", { class: "num" }, secs(p.t)), h("td", { class: "link" }, p.link), h("td", {}, p.proto), h("td", { class: "mono" }, `${p.src} → ${p.dst}`), h("td", { class: "num wide" }, String(p.bytes)),
      h("td", {}, p.info || "", p.comment ? h("div", { class: "dead" }, p.comment) : null)));
    return [h("div", { class: "bar" }, search("packets", "frame, link, address, what it is"), toggle("died", "died only"), h("span", { class: "soft" }, r.glimpses ? `${all.length} of ${r.glimpses}: the newest, as they come` : `${all.length} of ${r.packets.length} kept; all are in net.pcapng`)),
      h("div", { class: "card scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ["frame", "time", "link", "", "from → to", "bytes", "what"].map((x, i) => h("th", { class: i === 5 ? "wide" : "" }, x)).slice(r.glimpses ? 1 : 0))), h("tbody", {}, rows))),
      all.length > from + state.shown ? h("button", { onclick: () => { state.shown += 600; render(); } }, "show more") : null];
  },
  logs(r) {
    const f = state.filters, q = f.logs.toLowerCase(), nodes = [...new Set(r.lines.map((x) => x.node))];
    const all = r.lines.filter((x) => (!f.node || x.node === f.node) && (!f.level || level(x.text) === f.level) && (!q || x.text.toLowerCase().includes(q)));
    if (!r.lines.length) return [h("div", { class: "empty" }, "No program said anything.")];
    const at = state.at == null ? -1 : all.findIndex((x) => x.t >= state.at), from = Math.max(0, Math.min(at, all.length - state.shown) - 50);
    return [h("div", { class: "bar" }, search("logs", "search the lines"), choice("node", [["", "all nodes"], ...nodes.map((n) => [n, n])]), choice("level", [["", "all levels"], ["errlevel", "errors"], ["warnlevel", "warnings"], ["debuglevel", "debug"]]), h("span", { class: "soft" }, `${all.length} of ${r.lines.length}`)),
      h("div", { class: "card" }, h("div", { class: "lines", style: "padding:0" }, all.slice(from, from + state.shown).map((x, i) => line(level(x.text) + (from + i === at ? " hit" : ""), x.t, x.node, x.text, { onclick: () => { state.at = x.t; } })))),
      all.length > from + state.shown ? h("button", { onclick: () => { state.shown += 600; render(); } }, "show more") : null];
  },
  dns(r) { return dnsView(r); },
  flakes() { return flakesView(); },
};
function stepCard(st, open) {
  const kind = st.verdict || (st.from != null ? "open" : "");
  return h("details", { class: "step", open: open || null, "data-step": st.n }, h("summary", {}, h("span", { class: "dot " + kind, title: kind || "not reached" }), h("span", { class: "soft" }, st.n ? String(st.n) : ""), h("span", { class: "what" }, st.what), h("span", { class: "text" }, st.say ? h("b", {}, st.say + " ") : null, h("span", { class: "mono" }, st.text)), h("span", { class: "time" }, st.seconds != null ? st.seconds.toFixed(2) + " s" : st.from != null ? "…" : st.n ? "not reached" : "")),
    h("div", { class: "lines" }, st.told.length ? st.told.map((x) => line(x.mark, x.t, "", x.text)) : h("span", { class: "soft" }, "nothing was told")));
}
const search = (key, hint) => h("input", { type: "search", placeholder: hint, "aria-label": hint, value: state.filters[key], id: "search", oninput: (e) => { state.filters[key] = e.target.value; state.shown = 600; state.frame = null; later(); } });
const toggle = (key, text) => h("button", { "aria-pressed": String(state.filters[key]), onclick: () => { state.filters[key] = !state.filters[key]; render(); } }, text);
const choice = (key, list) => h("select", { "aria-label": key, onchange: (e) => { state.filters[key] = e.target.value; render(); } }, list.map(([v, t]) => h("option", { value: v, selected: v === state.filters[key] || null }, t)));

/* ---- map ---- */
const KNOWN = { svg: ["class", "viewBox", "width", "height", "role"], title: [], style: [], g: ["class", "data-name", "transform"], rect: ["width", "height", "rx", "x", "y", "class"], path: ["class", "d"], text: ["x", "y", "class"] };
function known(from) {
  if (from.nodeType === 3) return document.createTextNode(from.data);
  if (from.nodeType !== 1 || !KNOWN[from.localName] || (from.localName === "style")) return null;
  const e = document.createElementNS(SVG, from.localName);
  for (const a of KNOWN[from.localName]) if (from.hasAttribute(a)) e.setAttribute(a, from.getAttribute(a));
  for (const k of from.childNodes) { const c = known(k); if (c) e.append(c); }
  return e;
}
const newest = (list, t, same) => { const m = new Map(); for (const x of list) if (x.t <= t) m.set(same(x), x); return [...m.values()]; };
const cutsAt = (r, t) => { const cut = new Map(); for (const x of r.events) if (x.t <= t) { const m = /^(\S+?)\.(udp|link|carrier)\b/.exec(x.text); if (m && x.kind === "cut") cut.set(m[1] + "." + m[2], x); if (m && x.kind === "heal") cut.delete(m[1] + "." + m[2]); } return [...cut.keys()]; };
function centre(g) { const m = /translate\(([-\d.]+)[ ,]+([-\d.]+)\)/.exec(g.getAttribute("transform") || ""); const b = g.querySelector("rect"); return m ? [+m[1] + +b.getAttribute("width") / 2, +m[2] + +b.getAttribute("height") / 2] : null; }
function mapAt(r, t) {
  const doc = r.map ? new DOMParser().parseFromString(r.map.replace(/<style>[^]*?<\/style>/, ""), "image/svg+xml") : null, svg = doc && doc.documentElement.localName === "svg" ? known(doc.documentElement) : null;
  if (!svg) return h("div", { class: "empty" }, "This record has no map.");
  const at = new Map();
  for (const g of svg.querySelectorAll("g.card")) {
    at.set(g.dataset.name, g);
    g.setAttribute("tabindex", "0");
    g.setAttribute("role", "button");
    g.addEventListener("click", () => openPanel(g.dataset.name));
    g.addEventListener("keydown", (e) => { if (e.key === "Enter") openPanel(g.dataset.name); });
  }
  for (const p of newest(r.programs, t, (x) => x.node)) if (at.has(p.node)) at.get(p.node).classList.add(p.state === "ready" || p.state === "goes on" ? "ready" : p.state === "starting" ? "starts" : "gone");
  for (const c of cutsAt(r, t)) { const g = at.get(c.split(".")[0]); if (g) g.classList.add("cut"); }
  for (const p of newest(r.paths, t, (x) => x.from + ">" + x.to)) {
    const a = at.get(p.from) && centre(at.get(p.from)), b = at.get(p.to) && centre(at.get(p.to));
    if (a && b && (p.path === "direct" || p.path === "relay")) { const side = Math.sign(b[0] - a[0]) || 1, half = 88, lift = p.from < p.to ? 40 : 24;
      svg.append(s("path", { class: "way " + p.path, d: `M${a[0] + side * half} ${a[1]}C${a[0] + side * (half + lift)} ${a[1]} ${b[0] - side * (half + lift)} ${b[1]} ${b[0] - side * half} ${b[1]}` }, s("title", {}, p.text))); }
  }
  return svg;
}
function openPanel(name) { state.panel = name; panel(); }
function panel() {
  const box = $("panel"), r = run(), name = state.panel;
  box.hidden = !name || !r;
  if (box.hidden) return;
  const t = state.at ?? tEnd(r), router = r.routers.find((x) => x.name === name), host = r.hosts.find((x) => x.name === name), info = router || host || {};
  const prog = newest(r.programs, t, (x) => x.node).find((x) => x.node === name), paths = newest(r.paths, t, (x) => x.from + ">" + x.to).filter((x) => x.from === name);
  const drops = r.drops.filter((x) => x.where === name && x.t <= t), said = r.lines.filter((x) => x.node === name && x.t <= t).slice(-40);
  const dl = h("dl", {});
  for (const [k, v] of [["behind", info.behind || info.at], ["outside", info.wan], ["inside", info.lan], ["NAT", info.nat], ["address", info.ip], ["IPv6", info.ip6], ["runs", info.runs], ["state", prog && prog.state]]) if (v) dl.append(h("dt", {}, k), h("dd", {}, v));
  const table = h("pre", { id: "table" });
  box.replaceChildren(h("h2", {}, name, h("span", { class: "grow" }), h("button", { onclick: () => openPanel(null), "aria-label": "close" }, "✕")), dl,
    paths.length ? h("div", {}, h("h2", {}, "Paths"), paths.map((x) => h("p", {}, x.text))) : "",
    router && live ? h("div", {}, h("h2", {}, "Flows it remembers"), table) : "",
    live ? orders(name, !!router) : "",
    h("h2", {}, `Died here (${drops.reduce((n, x) => n + (x.count || 1), 0)})`), h("div", { class: "lines" }, drops.slice(-20).map((x) => line("bad", x.t, "", `${x.count} ${x.proto} ${x.src} → ${x.dst}: ${x.rule}`))),
    host ? h("div", {}, h("h2", {}, "Said last"), h("div", { class: "lines" }, said.map((x) => line(level(x.text), x.t, "", x.text, { onclick: () => { openPanel(null); go("logs", { at: x.t, filters: { ...state.filters, node: name } }); } })))) : "");
  if (router && live) fetch("table?router=" + encodeURIComponent(name)).then((a) => (a.ok ? a.text() : "")).then((x) => { table.textContent = x || "nothing"; }).catch(() => { table.textContent = "the run has ended"; });
}

/* Steps of a running lab, as a file would say them. */
const order = (text) => fetch("do", { method: "POST", body: text }).catch(() => { $("facts").textContent += " · the run has ended"; });
function orders(name, router) {
  const list = router ? [["cut UDP", `cut ${name}.udp`], ["heal UDP", `heal ${name}.udp`], ["cut link", `cut ${name}.link`], ["heal link", `heal ${name}.link`], ["forget all mappings", `reset ${name}`]]
    : [["cut link", `cut ${name}.link`], ["heal link", `heal ${name}.link`], ["stop", `kill ${name} STOP`], ["go on", `kill ${name} CONT`], ["kill", `kill ${name} KILL`], ["start", `spawn ${name}`]];
  return h("div", { class: "bar" }, list.map(([t, what]) => h("button", { "data-order": what, onclick: () => order(what) }, t)));
}

/* ---- timeline ---- */
function timeline(r) {
  const W = Math.max(320, $("main").clientWidth - 64), left = W < 600 ? 86 : 130, H = 26, all = tEnd(r), [a, b] = state.zoom || [0, all * 1.01], x = (t) => left + ((t - a) / (b - a)) * (W - left - 8), inside = (t) => t >= a && t <= b;
  const lanes = [], mark = (t, tip, cls, to, w) => (inside(t) ? s("rect", { class: "b hot " + cls, x: x(t) - (w || 3) / 2, y: 5, width: w || 3, height: H - 10, tabindex: -1, onclick: to || (() => {}) }, s("title", {}, tip)) : "");
  const bar = (t0, t1, tip, cls, label, to) => { const x0 = Math.max(left, x(t0)), x1 = Math.min(W - 8, x(t1)); return x1 < x0 ? "" : s("g", { class: "hot", onclick: to || (() => {}) }, s("rect", { class: "b " + cls, x: x0, y: 4, width: Math.max(2, x1 - x0), height: H - 8 }, s("title", {}, tip)), x1 - x0 > 60 && label ? s("text", { x: x0 + 5, y: 17, class: "in" }, label.slice(0, Math.floor((x1 - x0 - 8) / 6.4))) : ""); };
  lanes.push(["steps", steps(r).filter((z) => z.from != null).map((z) => bar(z.from, z.to ?? all, `${z.n} ${z.what} ${z.text} ${secs(z.seconds)} s`, (z.verdict || "open"), `${z.n} ${z.what} ${z.text}`, () => go("story")))]);
  lanes.push(["events", r.events.map((z) => mark(z.t, secs(z.t) + " " + z.text, "ev", () => go("map", { at: z.t }), 5))]);
  for (const key of new Set(r.paths.map((z) => z.from + " → " + z.to))) {
    const of = r.paths.filter((z) => z.from + " → " + z.to === key);
    lanes.push([key, of.map((z, i) => bar(z.t, i + 1 < of.length ? of[i + 1].t : all, z.text, z.path, z.path, () => go("map", { at: z.t })))]);
  }
  for (const n of [...r.hosts.map((z) => z.name)]) {
    const prog = r.programs.filter((z) => z.node === n), said = r.lines.filter((z) => z.node === n), seen = new Set();
    if (!prog.length && !said.length) continue;
    const up = []; let since = null;
    for (const z of prog) { if (z.state === "ready" || z.state === "goes on") since ??= z.t; else if (since != null) { up.push(bar(since, z.t, n + " runs", "run")); since = null; } if (z.state !== "ready" && z.state !== "starting") up.push(mark(z.t, `${secs(z.t)} ${n} ${z.state}`, "drop", () => go("logs", { at: z.t }), 4)); }
    if (since != null) up.push(bar(since, all, n + " runs", "run"));
    const ticks = said.filter((z) => { const p = Math.round(x(z.t)); if (seen.has(p)) return false; seen.add(p); return true; }).map((z) => mark(z.t, `${secs(z.t)} ${z.text}`, "tick", () => go("logs", { at: z.t, filters: { ...state.filters, node: n } }), 2));
    lanes.push([n, [...up, ...ticks]]);
  }
  for (const w of new Set(r.drops.map((z) => z.where))) { const seen = new Set(); lanes.push(["died at " + w, r.drops.filter((z) => z.where === w).filter((z) => { const p = Math.round(x(z.t)); if (seen.has(p)) return false; seen.add(p); return true; }).map((z) => mark(z.t, `${secs(z.t)} ${z.count} ${z.proto} ${z.src} → ${z.dst}: ${z.rule}`, "drop", () => go("packets", { at: z.t, filters: { ...state.filters, died: true, packets: "" } })))]); }
  const svg = s("svg", { class: "tl", viewBox: `0 0 ${W} ${lanes.length * H + 26}`, role: "img", "aria-label": "timeline" });
  lanes.forEach((_, i) => svg.append(s("rect", { class: "lane" + (i % 2 ? " odd" : ""), x: 0, y: i * H, width: W, height: H })));
  const step = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600].find((d) => (b - a) / d <= (W - left) / 70) || 3600;
  for (let t = Math.ceil(a / step) * step; t <= b; t += step) svg.append(s("path", { class: "grid", d: `M${x(t)} 0V${lanes.length * H + 6}`, opacity: 0.5 }), s("text", { x: x(t) + 2, y: lanes.length * H + 19, class: "soft" }, step < 1 ? t.toFixed(step < 0.01 ? 3 : step < 0.1 ? 2 : 1) : t.toFixed(0)));
  lanes.forEach(([name, kids], i) => svg.append(s("g", { transform: `translate(0 ${i * H})` }, ...kids, s("text", { x: 6, y: 17, class: "soft" }, name.length > left / 7 ? name.slice(0, left / 7 - 1) + "…" : name))));
  if (state.at != null && inside(state.at)) svg.append(s("path", { class: "cursor", d: `M${x(state.at)} 0V${lanes.length * H}` }));
  const zoom = (f, at) => { const m = at ?? (a + b) / 2; state.zoom = [Math.max(0, m - (m - a) * f), Math.min(all * 1.01, m + (b - m) * f)]; if (state.zoom[0] <= 0 && state.zoom[1] >= all * 1.01) state.zoom = null; render(); };
  svg.addEventListener("wheel", (e) => { if (!e.ctrlKey && !e.shiftKey) return; e.preventDefault(); const box = svg.getBoundingClientRect(); zoom(e.deltaY > 0 ? 1.4 : 0.7, a + (((e.clientX - box.left) * (W / box.width) - left) / (W - left - 8)) * (b - a)); }, { passive: false });
  const pan = (d) => { const w = b - a; const from = Math.min(Math.max(0, a + d * w), Math.max(0, all * 1.01 - w)); state.zoom = [from, from + w]; render(); };
  return h("div", {}, h("div", { class: "bar" }, h("button", { onclick: () => zoom(0.5) }, "zoom in"), h("button", { onclick: () => zoom(2) }, "zoom out"), h("button", { onclick: () => pan(-0.5), "aria-label": "earlier" }, "←"), h("button", { onclick: () => pan(0.5), "aria-label": "later" }, "→"), h("button", { onclick: () => { state.zoom = null; render(); } }, "whole run"), h("span", { class: "soft" }, "seconds; a click leads to the log line, packet or map of that moment")), h("div", { class: "card", style: "padding:8px" }, svg));
}

/* ---- DNS ---- */
function questions(r) {
  const open = new Map(), list = [];
  for (const p of r.packets) {
    const m = /^DNS([?=]) (\S+(?: \d+)?) (\S+) ?(.*)$/.exec(p.info || "");
    if (!m || !r.hosts.some((x) => x.name === p.link)) continue;
    const q = m[1] === "?", key = (q ? p.src + p.dst : p.dst + p.src) + m[2] + m[3] + p.link;
    if (q) { const one = { t: p.t, frame: p.frame, link: p.link, from: p.src, to: p.dst, type: m[2], name: m[3], comment: p.comment }; open.set(key, one); list.push(one); }
    else if (open.has(key)) Object.assign(open.get(key), { answer: m[4] || "answered", took: p.t - open.get(key).t, answerFrame: p.frame });
  }
  return list;
}
function dnsView(r) {
  const list = questions(r), told = r.told.filter((x) => x.kind === "resolve"), longest = Math.max(0.001, ...list.map((x) => x.took || 0));
  if (!list.length && !told.length) return [h("div", { class: "empty" }, "No question was asked, or no packets were kept.")];
  const frame = (n) => n && h("a", { href: "#packets", onclick: (e) => { e.preventDefault(); go("packets", { frame: n }); } }, String(n));
  return [told.length ? h("div", { class: "card lines", style: "padding:12px" }, told.map((x) => line(x.mark, x.t, "", x.text))) : null,
    list.length ? h("div", { class: "card scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ["time", "seen at", "question", "asked of", "answer", "took", "", "frames"].map((x) => h("th", {}, x)))), h("tbody", {}, list.slice(0, 2000).map((x) => h("tr", { class: x.answer ? "" : "died" }, h("td", { class: "num" }, secs(x.t)), h("td", {}, x.link), h("td", {}, h("b", {}, x.name), " ", x.type), h("td", { class: "mono" }, x.to), h("td", {}, x.answer || h("span", { class: "dead" }, x.comment || "no answer")), h("td", { class: "num" }, x.took != null ? (x.took * 1000).toFixed(1) + " ms" : ""), h("td", {}, h("div", { class: "wf" }, h("i", { class: x.answer ? "" : "lost", style: `left:0;width:${x.took ? Math.max(2, (x.took / longest) * 100) : 100}%` }))), h("td", {}, frame(x.frame), x.answerFrame ? [" → ", frame(x.answerFrame)] : "")))))) : null];
}

/* ---- runs beside each other ---- */
function flakesView() {
  const groups = new Map();
  runs.forEach((r, i) => { const k = title(r); groups.set(k, [...(groups.get(k) || []), [r, i]]); });
  return [...groups].map(([name, list]) => {
    const n = Math.max(...list.map(([r]) => r.steps.size)), passed = list.filter(([r]) => r.end && r.end.kind === "pass").length;
    const head = h("tr", {}, h("th", {}, "run"), Array.from({ length: n }, (_, i) => h("th", {}, String(i + 1))), h("th", {}, "seconds"), h("th", {}, "seed"));
    const rows = list.map(([r, i]) => h("tr", {}, h("td", {}, h("a", { href: "#story", onclick: (e) => { e.preventDefault(); state.run = i; go("story", { at: null }); } }, String(i + 1))), Array.from({ length: n }, (_, k) => { const st = r.steps.get(k + 1); return h("td", {}, h("div", { class: "cell " + (st ? st.verdict || (st.from != null ? "open" : "") : ""), title: st ? `${st.what} ${st.text} ${secs(st.seconds)}` : "" })); }), h("td", { class: "num" }, r.end ? secs(r.end.seconds) : ""), h("td", { class: "num" }, r.head ? String(r.head.seed) : "")));
    const causes = new Map(); // one line for those that differ in numbers alone: the newest, and how many
    for (const [r] of list) {
      const text = ((r.told.findLast((x) => x.kind === "cause") || {}).text || "").replace(/^cause: /, ""), key = text.replace(/\d[\d.:]*/g, "#");
      if (text) causes.set(key, { text, n: (causes.get(key) || { n: 0 }).n + 1 });
    }
    return h("section", { class: "card scroll" }, h("h2", {}, name), h("p", { class: "soft" }, `${passed} of ${list.length} passed` + (list.length === 1 ? "; one run says nothing of how steady it is" : "")), h("table", { class: "cells" }, h("thead", {}, head), h("tbody", {}, rows)), [...causes.values()].map((x) => h("p", { class: "came" }, (x.n > 1 ? `${x.n} times, such as: ` : "") + x.text)));
  });
}

/* ---- the whole ---- */
const TABS = [["story", "Story"], ["map", "Map"], ["timeline", "Timeline"], ["packets", "Packets"], ["logs", "Logs"], ["dns", "DNS"], ["flakes", "Flakes"]];
let due = 0, pressed = false, waits = false;
const later = () => { due = due || setTimeout(() => { due = 0; if (pressed) waits = true; else render(); }, 120); };
/* News are drawn anew when a press has ended, and its click is over: an element that is taken away under it gets none. */
const lift = () => setTimeout(() => { pressed = false; if (waits) later(); waits = false; });
addEventListener("pointerdown", () => { pressed = true; }, true);
addEventListener("pointerup", lift, true);
addEventListener("pointercancel", lift, true);
addEventListener("blur", lift);
/* What is the same element when it is drawn anew: focus stays with it. */
const sameAs = (e) => e.id || e.dataset.order || e.getAttribute("aria-label") || e.textContent;
function refocus(had, name) {
  if (!name || had.isConnected) return;
  const now = [...document.querySelectorAll(had.tagName)].find((e) => sameAs(e) === name);
  if (now) now.focus({ preventScroll: true });
}
function render() {
  const r = run(), main = $("main"), had = document.activeElement, name = had && had !== document.body && sameAs(had), caret = had && had.id === "search" ? had.selectionStart : -1;
  if (!r) { main.replaceChildren(h("div", { class: "empty" }, live ? "Waiting for the run to begin." : "There is no run in this page.")); return; }
  const kind = r.end ? r.end.kind : live ? "runs" : "killed", counts = { packets: r.packets.length, logs: r.lines.length, flakes: runs.length };
  $("title").textContent = title(r);
  document.title = title(r) + " · simnet";
  $("verdict").textContent = { pass: "passed", fail: "failed", error: "error", skip: "skipped", unsure: "inconclusive", runs: "runs", killed: "was ended" }[kind];
  $("verdict").className = "badge " + kind;
  $("facts").textContent = [r.head && `seed ${r.head.seed}`, r.head && r.head.engine + " engine", r.end && r.end.seconds != null && r.end.seconds.toFixed(1) + " s", r.head && r.head.unix && new Date(r.head.unix * 1000).toISOString().replace("T", " ").slice(0, 19) + " UTC", r.file].filter(Boolean).join(" · ");
  $("tabs").replaceChildren(...TABS.map(([id, name], i) => h("button", { role: "tab", id: "tab-" + id, "aria-selected": String(id === state.tab), tabindex: id === state.tab ? 0 : -1, title: String(i + 1), onclick: () => go(id) }, name, counts[id] ? h("span", { class: "n" }, " " + counts[id]) : null)));
  const bar = $("tabs").getBoundingClientRect().right, tab = $("tab-" + state.tab).getBoundingClientRect().right;
  if (tab > bar) $("tabs").scrollLeft += tab - bar;
  if (runs.length > 1) { $("pick-label").hidden = false; $("pick").replaceChildren(...runs.map((x, i) => h("option", { value: i, selected: i === state.run || null }, `${i + 1} ${title(x)}${x.end ? " · " + x.end.kind : ""}`))); }
  main.replaceChildren(...views[state.tab](r).filter(Boolean));
  const hit = main.querySelector(".hit");
  if (hit) hit.scrollIntoView({ block: "center" });
  panel();
  refocus(had, name);
  if (caret >= 0 && document.activeElement.id === "search") document.activeElement.setSelectionRange(caret, caret);
}
function theme() {
  const root = document.documentElement, dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
}
function help() {
  const keys = [["1 – 7", "the views"], ["n, p", "next, previous run"], ["/", "search"], ["t", "light or dark"], ["Esc", "close"], ["Ctrl or Shift + wheel", "zoom the timeline"], ["← →", "move in the list of views"]];
  $("help").replaceChildren(h("h2", {}, "Keys"), h("table", {}, keys.map(([k, v]) => h("tr", {}, h("td", {}, h("kbd", {}, k)), h("td", {}, v)))), h("p", {}, h("button", { onclick: () => $("help").close() }, "close")));
  $("help").showModal();
}
document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(e.target.tagName);
  if (e.key === "Escape") { if (state.panel) openPanel(null); else if (typing) e.target.blur(); return; }
  if (typing) return;
  const i = TABS.findIndex(([id]) => id === state.tab);
  if (/^[1-7]$/.test(e.key)) go(TABS[+e.key - 1][0]);
  else if (e.key === "t") theme();
  else if (e.key === "?") help();
  else if (e.key === "/") { if (!$("search")) go("logs"); if ($("search")) { e.preventDefault(); $("search").focus(); } }
  else if ((e.key === "n" || e.key === "p") && runs.length) { state.run = (state.run + (e.key === "n" ? 1 : runs.length - 1)) % runs.length; render(); }
  else if (e.target.getAttribute("role") === "tab" && (e.key === "ArrowRight" || e.key === "ArrowLeft")) { go(TABS[(i + (e.key === "ArrowRight" ? 1 : TABS.length - 1)) % TABS.length][0]); $("tab-" + state.tab).focus(); }
});
/* "#map" is a view, "#map:home" the same with what is known of a host or router. */
function follow() {
  const [tab, name] = decodeURIComponent(location.hash.slice(1)).split(":");
  if (views[tab]) state.tab = tab;
  if (name) state.panel = name;
}
addEventListener("hashchange", () => { const was = state.tab; follow(); if (state.tab !== was) render(); else panel(); });
addEventListener("resize", later);
$("theme").addEventListener("click", theme);
$("keys").addEventListener("click", help);
$("pick").addEventListener("change", (e) => { state.run = +e.target.value; state.at = null; render(); });
follow();
const data = $("records");
if (data) for (const one of JSON.parse(data.textContent)) for (const rec of one) add(rec);
const bad = runs.findIndex((r) => r.end && r.end.kind !== "pass");
if (bad > 0) state.run = bad;
if (live) {
  $("theme").before(h("button", { id: "end", onclick: () => order("end") }, "end the run"));
  const news = new EventSource("events");
  news.onmessage = (e) => { add(JSON.parse(e.data)); state.run = runs.length - 1; later(); };
  news.onerror = () => { if (news.readyState === EventSource.CLOSED) $("facts").textContent += " · the run has ended"; };
}
render();
})();
