// Tables of pages that show some dozens of rows. The machines have their own, for thousands.
import { h, released } from "./dom.js";

// columns: { title, cell: (item) => children, wide: only where there is room, whole: has a line of its own where there is none }; acts: (item) => buttons. widths: of grid-template-columns.
export function table(label, columns, items, { acts, widths, none = "There is none yet." } = {}) {
  if (!items.length) return h("p", { class: "empty" }, none);
  const place = (c) => (c.wide ? "wide" : c.whole ? "whole" : null);
  const heads = columns.map((c) => h("div", { role: "columnheader", class: place(c) }, c.title));
  if (acts) heads.push(h("div", { role: "columnheader" }, h("span", { class: "unseen" }, "What can be done")));
  const row = (item) =>
    h("div", { role: "row" }, columns.map((c) => h("div", { role: "cell", class: place(c) }, c.cell(item))),
      acts && h("div", { role: "cell", class: "acts" }, acts(item)));
  const e = h("div", { class: "table", role: "table", "aria-label": label }, h("div", { role: "rowgroup", class: "head" }, h("div", { role: "row" }, heads)),
    h("div", { role: "rowgroup", class: "body" }, items.map(row)));
  e.style.setProperty("--columns", widths ?? `repeat(${columns.length}, minmax(0, 1fr))${acts ? " 6rem" : ""}`);
  return e;
}

export const button = (text, run, more = "") => h("button", { class: `button plain small ${more}`, type: "button", onclick: run }, text);
export const tags = (list) => (list.length ? list.map((t) => h("span", { class: "tag" }, t.replace(/^tag:/, ""))) : h("span", { class: "dim" }, "none"));

// Loads with `load`, shows with `draw(root, what)`, again at every change of what is no node. For show() of a page.
export function following(root, watch, load, draw, say) {
  let left = false;
  const again = async () => {
    try {
      const what = await load();
      await released();
      const had = document.activeElement;
      const label = root.contains(had) ? had.getAttribute("aria-label") ?? had.textContent : null;
      if (left) return;
      draw(what);
      if (label) [...root.querySelectorAll("button, a, select, input")].find((e) => (e.getAttribute("aria-label") ?? e.textContent) === label)?.focus();
    } catch (e) {
      if (!left) say(e.message, true);
    }
  };
  const done = watch((kind) => kind === "other" && again());
  const first = again();
  return { again, first, leave: () => { left = true; done(); } };
}
