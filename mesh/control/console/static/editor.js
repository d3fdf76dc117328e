// A field for text of many lines, with their numbers, and a line that is marked.
import { h } from "./dom.js";

let names = 0;

// describedBy: the element that says what is wrong. onsave: Ctrl-S or Command-S.
export function editor({ label, describedBy, oninput, onsave }) {
  const id = `editor${++names}`;
  if (!describedBy.id) describedBy.id = `${id}h`;
  const numbers = h("div", { class: "numbers", "aria-hidden": "true" });
  const area = h("textarea", { id, class: "code", wrap: "off", rows: 18, spellcheck: "false", autocapitalize: "off", autocomplete: "off", "aria-describedby": describedBy.id, oninput: changed, onscroll: scrolled, onkeydown: pressed });
  let marked = 0;

  function number() {
    const n = area.value.split("\n").length;
    while (numbers.childElementCount > n) numbers.lastChild.remove();
    while (numbers.childElementCount < n) numbers.append(h("span", {}, String(numbers.childElementCount + 1)));
  }
  function scrolled() {
    numbers.scrollTop = area.scrollTop;
  }
  function changed() {
    number();
    scrolled();
    oninput();
  }
  function pressed(e) {
    if (e.key !== "s" || !(e.ctrlKey || e.metaKey)) return;
    e.preventDefault();
    onsave();
  }
  const offset = (line, column) => area.value.split("\n").slice(0, line - 1).reduce((n, text) => n + text.length + 1, 0) + column - 1;
  return {
    root: h("div", {}, h("label", { for: id, class: "hint" }, label), h("div", { class: "editor" }, numbers, area)),
    text: () => area.value,
    set(text) {
      area.value = text;
      number();
      scrolled();
    },
    // { line } or null
    fault(error) {
      numbers.children[marked - 1]?.classList.remove("bad");
      marked = error?.line ?? 0;
      numbers.children[marked - 1]?.classList.add("bad");
      area.setAttribute("aria-invalid", String(Boolean(error)));
    },
    go(line, column) {
      const at = offset(line, column);
      area.focus();
      area.setSelectionRange(at, at);
      area.scrollTop = Math.max(0, (line - 6) * parseFloat(getComputedStyle(area).lineHeight));
      scrolled();
    },
    focus: () => area.focus(),
  };
}
