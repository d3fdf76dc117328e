// Elements, dialogs, times. Text goes in as text: nothing here reads markup.

// h("a", { href: "#/x", class: "quiet", onclick: f }, "text", otherElement, [more]). false, null and undefined are left out.
export function h(name, props = {}, ...children) {
  return fill(Object.entries(props).reduce(setProp, document.createElement(name)), children);
}

function setProp(e, [name, value]) {
  if (value === false || value === null || value === undefined) return e;
  if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
  else if (name === "value" || name === "checked" || name === "hidden" || name === "disabled") e[name] = value;
  else e.setAttribute(name, value === true ? "" : value);
  return e;
}

const there = (children) => children.flat(9).filter((c) => c !== false && c !== null && c !== undefined);

function fill(e, children) {
  e.append(...there(children));
  return e;
}

// Elements that stay are left where they are: taken out and put back they would lose focus, selection and a click that has begun.
export function replace(e, ...children) {
  const wanted = there(children).map((c) => (c instanceof Node ? c : document.createTextNode(c)));
  const stay = new Set(wanted);
  for (const c of [...e.childNodes]) if (!stay.has(c)) c.remove();
  let at = e.firstChild;
  for (const c of wanted) {
    if (c === at) at = at.nextSibling;
    else e.insertBefore(c, at);
  }
  return e;
}

// --- presses

let press = null; // a promise while a button of the mouse, a finger or a pen is down, with what ends it

addEventListener("pointerdown", () => {
  let end;
  press ??= Object.assign(new Promise((done) => { end = done; }), { end: () => end() });
}, true);

// The click comes after the event that ends the press: what waited runs after both.
function lift() {
  const ended = press;
  press = null;
  if (ended) setTimeout(ended.end);
}
addEventListener("pointerup", lift, true);
addEventListener("pointercancel", lift, true);
addEventListener("blur", lift); // of the window: the rest of the press is another program's

// What draws anew because something changed waits for this: an element that is taken away under a press gets no click.
export const released = () => press ?? Promise.resolve();

// --- times

const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "always", style: "short" });
const units = [["year", 31536e6], ["month", 2592e6], ["day", 864e5], ["hour", 36e5], ["minute", 6e4]];

function ago(ms) {
  const away = ms - Date.now();
  const [unit, size] = units.find(([, s]) => Math.abs(away) >= s) ?? ["minute", 6e4];
  return Math.abs(away) < 6e4 ? "just now" : relative.format(Math.trunc(away / size), unit);
}

// A moment as the server writes it; none: what stands there when there is none.
export function moment(text, none = "never") {
  if (!text) return h("span", { class: "dim" }, none);
  return h("time", { datetime: text, title: new Date(text).toLocaleString() }, ago(Date.parse(text)));
}

setInterval(() => {
  for (const t of document.querySelectorAll("time[datetime]")) t.textContent = ago(Date.parse(t.dateTime));
}, 30000);

// --- said to whoever looks or listens

export function say(text, isTrouble = false) {
  const place = document.getElementById("said");
  const note = h("p", { class: isTrouble ? "note trouble" : "note" }, text);
  place.append(note);
  setTimeout(() => note.remove(), isTrouble ? 15000 : 6000);
}

// Runs it, and says why when it fails. Gives whether it went well.
export async function attempt(run, done) {
  try {
    await run();
    if (done) say(done);
    return true;
  } catch (e) {
    say(e.message, true);
    return false;
  }
}

// --- dialogs

let names = 0;

// One field: { name, label, value, type: "text" | "select" | "check" | "area" | "password", options: [[value, label]], hint, required }.
export function field(f) {
  const id = `f${++names}`;
  const common = { id, name: f.name, required: f.required, "aria-describedby": f.hint ? `${id}h` : null, autocomplete: "off", spellcheck: "false" };
  const hint = f.hint && h("p", { class: "hint", id: `${id}h` }, f.hint);
  if (f.type === "check")
    return h("div", { class: "field check" }, h("input", { ...common, type: "checkbox", checked: Boolean(f.value) }), h("label", { for: id }, f.label), hint);
  const input =
    f.type === "select"
      ? h("select", common, f.options.map(([v, text]) => h("option", { value: v, selected: v === f.value }, text)))
      : f.type === "area"
        ? h("textarea", { ...common, rows: f.rows ?? 4, value: f.value ?? "" })
        : h("input", { ...common, type: f.type ?? "text", value: f.value ?? "" });
  return h("div", { class: "field" }, h("label", { for: id }, f.label), input, hint);
}

export function values(form) {
  const out = {};
  for (const e of form.elements) if (e.name) out[e.name] = e.type === "checkbox" ? e.checked : e.value.trim();
  return out;
}

// Asks before something is done: { title, text, fields, act: the button's word, danger, run: async (values) => ... }. What run throws
// is shown, and the dialog stays. Gives what run gave, or undefined when it was left.
export function dialog({ title, text, fields = [], act = "OK", danger = false, run = async (v) => v, body = [] }) {
  return new Promise((done) => {
    const trouble = h("p", { class: "care", role: "alert", hidden: true });
    const button = h("button", { class: danger ? "button danger" : "button", type: "submit" }, act);
    const leave = h("button", { class: "button plain", type: "button", onclick: () => box.close() }, run ? "Cancel" : "Close");
    const form = h("form", { method: "dialog", onsubmit: send }, h("h2", { id: "dialog-title" }, title), text && h("p", {}, text), body,
      fields.map(field), trouble, h("div", { class: "row end" }, leave, run && button));
    const box = h("dialog", { "aria-labelledby": "dialog-title", onclose: () => { box.remove(); done(result); } }, form);
    let result;
    async function send(event) {
      event.preventDefault();
      if (!run) return box.close();
      button.disabled = true;
      trouble.hidden = true;
      try {
        result = (await run(values(form))) ?? true;
        box.close();
      } catch (e) {
        trouble.textContent = e.message;
        trouble.hidden = false;
      }
      button.disabled = false;
    }
    document.body.append(box);
    box.showModal();
  });
}

// Text to copy, with its button.
export function copyable(text, label = "Copy") {
  const button = h("button", { class: "button plain small", type: "button", onclick: copy }, label);
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      getSelection().selectAllChildren(code); // no clipboard without TLS: it is marked, for Ctrl-C
      say("Marked: copy it with Ctrl-C.");
      return;
    }
    say("Copied.");
  }
  const code = h("code", { tabindex: "0" }, text);
  return h("div", { class: "copyable" }, code, button);
}

// A definition list of [name, value] pairs; empty values are left out.
export function facts(pairs) {
  return h("dl", {}, pairs.filter(([, v]) => v !== null && v !== undefined && v !== "" && v !== false).map(([k, v]) => h("div", {}, h("dt", {}, k), h("dd", {}, v))));
}
