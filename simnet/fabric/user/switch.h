/* The process that plays links and routers: it reads the TAP devices, asks the board (board.h) what becomes of each frame,
 * and writes it when it is due. Everything is added before it starts; from then on it is spoken to over a socket, call by
 * call. It dies with its parent. */
#ifndef SIMNET_USER_SWITCH_H
#define SIMNET_USER_SWITCH_H

#include "mesh/base/err.h"
#include "simnet/fabric/user/board.h"

struct switch_box;

int switch_new(uint64_t seed, struct switch_box **out, struct errbuf *eb);
/* Descriptors are the box's from here on, whatever is returned: a port (board.h), or a negative code. */
int switch_add_wire(struct switch_box *x, const struct board_wire *w, const int fds[2], struct errbuf *eb);
int switch_add_router(struct switch_box *x, const struct router_config *c, const struct board_wire *wan,
	const int fds[2], struct errbuf *eb);
/* Another way out of the router at `lead` (board_join), which has no LAN of its own. */
int switch_add_way_out(struct switch_box *x, const struct router_config *c, const struct board_wire *wan,
	int fd, int lead, struct errbuf *eb);
/* board_add_host of the router at `port`. rules: where the box reads all its mappings each time, the beginning of a
 * struct router_maps in one message, and answers with a byte. Descriptors as above. */
int switch_add_host(struct switch_box *x, int port, int fd, int rules, struct errbuf *eb);
/* A neighbour that the router at `port` need not ask for; before the start and after. */
int switch_add_neighbour(struct switch_box *x, int port, enum router_side side, const struct addr *who,
	const struct mac *mac, struct errbuf *eb);
int switch_start(struct switch_box *x, struct errbuf *eb);
void switch_close(struct switch_box *x); /* NULL is fine */

/* ---- while it runs: 0 or a negative code ---- */
int switch_set_link(struct switch_box *x, int port, const struct link_model *m, struct errbuf *eb);
/* Why must be static, or live as long as the box; NULL: UDP passes. */
int switch_block_udp(struct switch_box *x, int port, const char *why, struct errbuf *eb);
/* Of a router that has some: other prefixes. */
int switch_set_nptv6(struct switch_box *x, int port, const struct nptv6 *n, struct errbuf *eb);
/* What is on its way over the wire at a port, or over the outer one of a router, is lost. */
int switch_pull(struct switch_box *x, int port, struct errbuf *eb);
/* The interface at a wire's port has a carrier, or has none. */
int switch_carrier(struct switch_box *x, int port, bool up, struct errbuf *eb);
int switch_set_nat(struct switch_box *x, int port, const struct nat_model *m,
	struct errbuf *eb); /* the router's is another one; m is copied */
/* router_set_firewall, of f, which is copied; a box can do so SWITCH_FIREWALLS_MAX times, for a router that has a firewall
 * from the start. */
enum { SWITCH_FIREWALLS_MAX = 64 };
int switch_set_firewall(struct switch_box *x, int port, const struct scn_firewall *f, struct errbuf *eb);
/* router_set_ways */
int switch_set_ways(
	struct switch_box *x, int port, const struct router_way *ways, size_t n_ways, struct errbuf *eb);
/* router_move */
int switch_move_router(struct switch_box *x, int port, const struct router_foot *wan,
	const struct router_way *ways, size_t n_ways, struct errbuf *eb);
/* board_set_idle */
int switch_set_idle(struct switch_box *x, int port, bool idle, struct errbuf *eb);
int switch_reset(struct switch_box *x, int port, struct errbuf *eb); /* the NAT of a router: new ports */
int switch_forget(struct switch_box *x, struct errbuf *eb);	     /* board_forget */
/* board_bypass: what is measured then is the routers. */
int switch_bypass(struct switch_box *x, bool on, struct errbuf *eb);
int switch_lift_firewalls(struct switch_box *x, bool lifted, struct errbuf *eb);
/* Appends nat_format of the router at port; of many sessions only the first. */
int switch_table(struct switch_box *x, int port, struct buf *out, struct errbuf *eb);
int switch_drops(
	struct switch_box *x, struct board_drop *out, size_t cap); /* the count; stamps are monotonic */
/* dir/decisions.jsonl */
int switch_write_log(struct switch_box *x, const char *dir, struct errbuf *eb);

#endif
