// Users with their roles, and the admins of this server.
import { ask, can, session } from "./api.js";
import { attempt, dialog, h, moment, replace, say } from "./dom.js";
import { nodes, watch } from "./live.js";
import { button, following, table } from "./table.js";

const roles = [
  ["member", "member: their own machines"],
  ["auditor", "auditor: sees all"],
  ["billing-admin", "billing admin: sees all"],
  ["it-admin", "IT admin: machines, keys, users"],
  ["network-admin", "network admin: rules, DNS, routes"],
  ["admin", "admin: everything"],
  ["owner", "owner: everything, and says who is the next"],
];
const machinesOf = (u) => [...nodes.values()].filter((n) => n.user === u.name && !n.tags.length).length;

const create = () =>
  dialog({
    title: "A new user",
    text: "Whoever machines belong to. Persons who log in by a provider become users by themselves.",
    fields: [{ name: "name", label: "Name", required: true, hint: "A word, or an e-mail address." }],
    act: "Make the user",
    run: ({ name }) => ask("users/create", { name }),
  });

const remove = (u) =>
  dialog({ title: `Delete ${u.name}?`, text: "A user who has machines stays: delete those first.", act: "Delete", danger: true, run: () => ask("users/destroy", { name: u.name }) });

function roleOf(u, again) {
  if (!can("all") || u.role === "owner") return roles.find(([r]) => r === u.role)?.[1].split(":")[0];
  const choose = (e) =>
    dialog({
      title: `Make ${u.name} ${e.target.selectedOptions[0].textContent.split(":")[0]}?`,
      text: u.name === session.name ? "That is you: it holds from your next click on." : "It holds from their next click on.",
      act: "Change the role",
      run: () => ask("users/role", { name: u.name, role: e.target.value }),
    }).then(again);
  return h("select", { "aria-label": `Role of ${u.name}`, onchange: choose }, roles.map(([value, text]) => h("option", { value, selected: value === u.role }, text)));
}

// Of a provider. Some give numbers instead of names, and some give a hundred.
const few = 3;
function groupsOf(u) {
  const tag = (g) => h("span", { class: "tag" }, g);
  const rest = u.groups.slice(few);
  return [u.groups.slice(0, few).map(tag), rest.length > 0 && h("details", {}, h("summary", {}, `${rest.length} more`), rest.map(tag))];
}

function columns(users, again) {
  const some = users.some((u) => u.groups.length);
  return [
    { title: "Name", cell: (u) => h("span", { class: "name" }, u.name) },
    { title: "Role", whole: true, cell: (u) => roleOf(u, again) },
    ...(some ? [{ title: "Groups", whole: true, cell: groupsOf }] : []),
    { title: "Machines", wide: true, cell: (u) => h("a", { href: "#/machines" }, String(machinesOf(u))) },
    { title: "Since", wide: true, cell: (u) => moment(u.created) },
  ];
}

function localAdmins(admins) {
  return h("section", { class: "card", "aria-labelledby": "u2" }, h("h2", { id: "u2" }, "Admins with a password"),
    h("p", { class: "hint" }, "They may do everything. On the server, ", h("code", {}, "ropewalk-control admins create NAME"), " makes one, and ", h("code", {}, "admins password NAME"), " gives another password."),
    table("Admins", [{ title: "Name", cell: (a) => h("span", { class: "name" }, a.name) }, { title: "Since", cell: (a) => moment(a.created) }], admins, {
      none: "There is none.",
      acts: (a) => a.name !== session.name && button("Delete", () => dialog({ title: `Delete the admin ${a.name}?`, text: "Their logins end at once.", act: "Delete", danger: true, run: () => ask("admins/delete", { name: a.name }) }), "danger"),
    }));
}

export function show(root) {
  const load = () => Promise.all([ask("users/list"), can("all") ? ask("admins/list") : null]);
  const live = following(root, watch, load, ([users, admins]) =>
    replace(root, h("div", { class: "top" }, h("h1", {}, "Users"), can("users") && h("button", { class: "button", onclick: () => create().then(live.again) }, "Add a user")),
      table("Users", columns(users, live.again), users, {
        widths: `2fr 2fr ${users.some((u) => u.groups.length) ? "2fr " : ""}.75fr 1fr 6rem`,
        acts: (u) => can("users") && u.role !== "owner" && (can("all") || u.role !== "admin") && button("Delete", () => attempt(() => remove(u)).then(live.again), "danger"),
      }),
      admins && localAdmins(admins)), say);
  return live.leave;
}
