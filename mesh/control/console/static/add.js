// How a machine comes in: the line to copy, as text and as a picture for a phone.
import { ask, can, session } from "./api.js";
import { copyable, dialog, h } from "./dom.js";

// A QR code of the text, made by the server and drawn here; null where there is none.
export async function picture(text) {
  const { size, rows } = await ask("qr", { text });
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const margin = 4;
  svg.setAttribute("viewBox", `${-margin} ${-margin} ${size + 2 * margin} ${size + 2 * margin}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "QR code of the line above");
  svg.setAttribute("class", "qr");
  path.setAttribute("d", rows.flatMap((row, y) => [...row].map((c, x) => (c === "1" ? `M${x} ${y}h1v1h-1z` : ""))).join(""));
  svg.append(path);
  return svg;
}

// made: what the server says of an invitation.
export const joinLine = (made) => `sudo ropewalk join ${made.line}`;

export async function showKey(made, title = "A key for a machine") {
  const line = joinLine(made);
  await dialog({
    title,
    text: "On the machine, with Ropewalk installed. It is shown this once.",
    body: [copyable(line), h("p", { class: "hint" }, `The official clients take ${session.server} as their server, and this key:`), copyable(made.key, "Copy the key"), await picture(line).catch(() => null)],
    run: null,
  });
}

const lives = [["3600000", "an hour"], ["86400000", "a day"], ["604800000", "a week"], ["2592000000", "30 days"], ["7776000000", "90 days"]];

// Asks what the key is for, makes it, shows it.
export async function addMachine(users) {
  const made = await dialog({
    title: "Add a machine",
    text: "A line lets it in, without anybody having to log in there.",
    fields: [
      { name: "user", label: "Whose it is", type: "select", options: [...users.map((u) => [u.name, u.name]), ["", "nobody's: it has tags"]], value: users[0]?.name ?? "" },
      { name: "name", label: "Its name", hint: "None: as it calls itself." },
      { name: "tags", label: "Tags", hint: "Such as tag:server. None: the machine is its user's." },
      { name: "life", label: "The line is good for", type: "select", options: lives, value: "3600000" },
      { name: "reusable", label: "For several machines", type: "check" },
      { name: "ephemeral", label: "Ephemeral", type: "check", hint: "The machine is deleted when it stays away." },
    ],
    act: "Make the line",
    run: (v) =>
      ask("invite", {
        user: v.user, name: v.name, reusable: v.reusable, ephemeral: v.ephemeral, expiration_ms: Number(v.life),
        tags: v.tags.split(/[\s,]+/).filter(Boolean).map((t) => (t.startsWith("tag:") ? t : `tag:${t}`)).join(","),
      }),
  });
  if (made) await showKey(made);
}

export const mayAdd = () => can("auth_keys");
