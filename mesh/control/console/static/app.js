// The frame: menu, address, who is logged in. Pages fill the main part (pages.js).
import { can, session } from "./api.js";
import { h, replace, say } from "./dom.js";
import { follow, watch } from "./live.js";
import { pages } from "./pages.js";

const open = pages.filter((p) => !p.right || can(p.right));
const main = h("main", { id: "main", tabindex: "-1" });
const counts = new Map(open.filter((p) => p.count).map((p) => [p, h("span", { class: "count", hidden: true })]));
const menu = h("ul", {}, open.map((p) => h("li", {}, h("a", { href: `#/${p.path}` }, p.title, counts.get(p)))));
const line = h("p", { class: "care line", role: "status", hidden: true }, "The server does not answer. What is shown may be old.");
let leave = null;
let turn = 0;

function header() {
  const form = h("form", { method: "post", action: "/logout" }, h("input", { type: "hidden", name: "form", value: session.form }),
    h("button", { class: "quiet" }, "Log out"));
  return h("header", {}, h("a", { class: "brand", href: "#/" + open[0].path }, h("span", { class: "mark", "aria-hidden": "true" }), "Ropewalk"),
    h("nav", { "aria-label": "Pages" }, menu),
    h("div", { class: "who" }, h("span", { title: session.kind === "admin" ? "an admin of this server" : "logged in by a provider" }, session.name), form));
}

// Where the menu is wider than the screen, the part of it that says where one is.
const reveal = () => menu.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

async function show(isFirst) {
  const [path, ...parts] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const page = open.find((p) => p.path === path) ?? open[0];
  const mine = ++turn;
  for (const a of menu.querySelectorAll("a"))
    if (a.getAttribute("href") === `#/${page.path}`) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  reveal();
  const module = await page.load();
  if (mine !== turn) return; // another was chosen meanwhile
  leave?.();
  document.title = `${page.title} · Ropewalk`;
  const root = h("div", { class: `page ${page.path}` });
  replace(main, root);
  leave = null;
  const left = await module.show(root, { parts, go: (to) => { location.hash = `#/${to}`; } });
  if (mine !== turn) return left?.();
  leave = left ?? null;
  if (!isFirst) {
    const heading = root.querySelector("h1");
    heading?.setAttribute("tabindex", "-1");
    heading?.focus();
    scrollTo(0, 0);
  }
}

async function count() {
  for (const [page, place] of counts) {
    const n = await page.count().catch(() => 0);
    place.textContent = String(n);
    place.hidden = !n;
  }
}

watch((kind, there) => {
  if (kind === "line") line.hidden = there;
  if (kind === "other") count();
});
addEventListener("resize", reveal);
addEventListener("hashchange", () => show(false).catch((e) => say(e.message, true)));
document.body.append(
  h("a", { class: "skip", href: "#main", onclick: (e) => { e.preventDefault(); main.focus(); } }, "To the content"),
  header(), line, main,
  h("div", { id: "said", role: "status", "aria-live": "polite" }));
follow();
show(true).catch((e) => say(e.message, true));
