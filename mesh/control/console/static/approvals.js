// Machines that ask to come in: an admin lets them in for somebody, or says no.
import { ask, can } from "./api.js";
import { dialog, h, moment, replace, say } from "./dom.js";
import { watch } from "./live.js";
import { button, following, table } from "./table.js";

function approve(p, users, again) {
  return dialog({
    title: `Let ${p.hostname || "this machine"} in`,
    text: "Only if you know who started it. What it says of itself may be anything; its key is what counts.",
    fields: [{ name: "user", label: "Whose machine it is", type: "select", options: users.map((u) => [u.name, u.name]), required: true }],
    body: [h("p", {}, h("code", {}, p.node_key))],
    act: "Let it in",
    run: async ({ user }) => say(`${(await ask("nodes/approve", { id: p.id, user })).name} is in.`),
  }).then(again);
}

function reject(p, again) {
  return dialog({
    title: `Reject ${p.hostname || "this machine"}?`,
    text: "It is told so, and may ask again in ten minutes.",
    act: "Reject",
    danger: true,
    run: () => ask("nodes/reject", { id: p.id }),
  }).then(again);
}

export function show(root) {
  const live = following(root, watch, () => Promise.all([ask("nodes/pending"), ask("users/list")]), ([list, users]) =>
    replace(root, h("div", { class: "top" }, h("h1", {}, "Approvals")),
      users.length === 0 && list.length > 0 && h("p", { class: "care" }, "There is no user yet whose machine this could be: make one first, ", h("a", { href: "#/users" }, "on the page of users"), "."),
      table("Machines that ask", [
        { title: "Machine", cell: (p) => [h("span", { class: "name" }, p.hostname || "says no name"), " ", h("span", { class: "dim" }, p.os)] },
        { title: "Asks from", cell: (p) => h("span", { class: "mono" }, p.from || "not known") },
        { title: "Key", wide: true, cell: (p) => h("span", { class: "mono", title: p.node_key }, `${p.node_key.slice(0, 20)}…`) },
        { title: "Since", wide: true, cell: (p) => moment(p.since) },
      ], list, {
        widths: "2fr 1.5fr 2fr 1fr 12rem",
        none: ["Nobody waits. A machine that runs ", h("code", {}, "ropewalk up"), " without a key is shown here."],
        acts: (p) => can("devices:core") && [users.length > 0 && button("Let in", () => approve(p, users, live.again)), button("Reject", () => reject(p, live.again), "danger")],
      })), say);
  return live.leave;
}
