// The pages, in the order of the menu. A page is a module with
//   show(root, { parts, go })   fills root; parts: what stands behind its path (#/machines/7 -> ["7"]); go(path) leads elsewhere.
//                               Gives a function that is called when it is left, or
//                               nothing; or a promise of that.
// right: the scope without which it is not in the menu; none: it is for everybody. count: a number beside the title, or 0.
import { ask } from "./api.js";
import * as machines from "./machines.js";

export const pages = [
  { path: "machines", title: "Machines", load: async () => machines },
  { path: "approvals", title: "Approvals", right: "devices:core:read", load: () => import("./approvals.js"), count: async () => (await ask("nodes/pending")).length },
  { path: "keys", title: "Keys", right: "auth_keys:read", load: () => import("./keys.js") },
  { path: "users", title: "Users", right: "users:read", load: () => import("./users.js") },
  { path: "rules", title: "Access rules", right: "policy_file:read", load: () => import("./rules.js") },
  { path: "dns", title: "DNS", right: "dns:read", load: () => import("./dns.js") },
  { path: "relays", title: "Relays", right: "devices:core:read", load: () => import("./relays.js") },
  { path: "log", title: "Log", right: "logs:configuration:read", load: () => import("./log.js") },
];
