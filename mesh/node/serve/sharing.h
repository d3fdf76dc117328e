/* Who may send files to whom, and where a peer takes them, as the map says it. Pure. tailscale-protocol.md 7.2. */
#ifndef RW_NODE_SERVE_SHARING_H
#define RW_NODE_SERVE_SHARING_H

#include "mesh/netmap/netmap.h"

/* LocalAPI's numbers (TaildropTarget of a peer's status). */
enum sharing_target {
	SHARING_UNKNOWN,
	SHARING_AVAILABLE,
	SHARING_NO_MAP,
	SHARING_NOT_RUNNING,
	SHARING_OFF, /* the network does not let this machine share files */
	SHARING_OFFLINE,
	SHARING_NO_PEER,
	SHARING_SYSTEM, /* its system takes none */
	SHARING_NO_API, /* it does not say where it takes them */
	SHARING_OTHER_USER
};
bool sharing_is_on(const struct netmap *m); /* the network lets this machine share files */
/* running: the node is. */
enum sharing_target sharing_target(const struct netmap *m, const struct ctl_node *peer, bool running);
const char *sharing_why(enum sharing_target t); /* why none can be sent; "" when they can (OFFLINE too) */
/* The peer may send to this machine. */
bool sharing_accepts(const struct netmap *m, const struct ctl_node *peer);
/* Where the peer's API listens, of a family that this machine has an address of; IPv4 first. */
bool sharing_api_at(const struct netmap *m, const struct ctl_node *peer, struct endpoint *out);
/* A peer that is an exit answers names for those that use it (tailscale-protocol.md 5.3), there. */
bool sharing_answers_names(const struct netmap *m, const struct ctl_node *exit, struct endpoint *out);
/* A fit name for a file that a stranger names: one part of a path, of printable UTF-8, no longer than a folder takes,
 * nothing that steers a terminal or that some system refuses, none of the names of files on their way. */
bool sharing_name_is_fit(const char *name);

#endif
