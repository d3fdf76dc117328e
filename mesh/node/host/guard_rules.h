/* The guard's table as text for nft(8). Pure: what is wanted comes in, a script goes out. */
#ifndef RW_NODE_HOST_GUARD_RULES_H
#define RW_NODE_HOST_GUARD_RULES_H

#include "mesh/base/buf.h"
#include "mesh/node/host/addr_set.h"

/* Where this machine's programs are led that ask 100.100.100.100 at port 80 (serve/service_web.h). */
enum { GUARD_WEB_PORT = 25280 };
enum { GUARD_TABLE_TEXT = 32, GUARD_INSIDE_MAX = 64 };

/* The table of an interface: "ropewalk-rope0". Characters that nft does not take in a name become '_'. */
char *guard_table_name(const char *ifname, char out[static GUARD_TABLE_TEXT]);

/* Bridges whose ports are containers and virtual machines of this machine. */
struct guard_inside {
	char name[GUARD_INSIDE_MAX][16];
	size_t n;
};

/* What this machine carries for the mesh: the networks behind it, as it offers them (borrowed; bits 0: an
 * exit). None: it forwards nothing. */
struct guard_service {
	const struct prefix *nets;
	size_t n;
	bool plain;   /* what comes from the mesh keeps its source; else it gets this machine's */
	bool unasked; /* hosts behind it may begin; else they only answer */
};

struct guard_wish {
	const char *ifname;
	const struct addr_set *own;  /* this machine's in the mesh, and its resolver's */
	const struct addr_set *mesh; /* those, and the peers' */
	const struct guard_inside *inside;
	const struct guard_service *service;
};

/* Everything, in one transaction, in place of what there is. false: memory is short. */
bool guard_rules_whole(const struct guard_wish *w, struct buf *out);
int guard_rules_size(const struct guard_service *s); /* chains and sets in the whole table */
/* Of a table that is there: the set of mesh addresses changed by these. */
bool guard_rules_change(
	const char *ifname, const struct addr_set *come, const struct addr_set *gone, struct buf *out);

#endif
