/* One way of a link: what becomes of each packet. Decides only; whoever owns it holds packets until they are due. */
#ifndef SIMNET_USER_LINK_H
#define SIMNET_USER_LINK_H

#include "mesh/base/table.h"
#include "simnet/fabric/user/decision.h"
#include "simnet/scenario/link_model.h"

enum { LINK_FLOWS_MAX = 16384 }; /* then all flows are counted anew */

struct link_far { /* what lies that much farther away */
	struct prefix net;
	uint64_t delay_us;
};
struct link {
	struct link_way way;
	const struct link_far *far; /* not owned; the first that contains the destination counts */
	size_t n_far;
	struct decision_log *log; /* may be NULL */
	char name[72];
	/* link.c's */
	struct draw_key key;
	struct table flows;
	uint64_t free_at_ns; /* when what waits for the rate has left */
};

enum link_end { LINK_PASSES, LINK_DROPS, LINK_IS_TOO_BIG };
struct link_fate {
	enum link_end end;
	const char *why;	      /* of a drop; static */
	uint64_t due_ns, twin_due_ns; /* twin: 0 = none */
	int32_t turned_bit;	      /* behind the IP header; -1 = none */
};

/* name: of the owner; part: "up" or "down". */
void link_init(struct link *l, const struct link_way *way, uint64_t seed, const char *name, const char *part);
void link_fini(struct link *l);
void link_change(struct link *l, const struct link_way *way); /* flows go on being counted */
void link_forget(struct link *l);			      /* flows are counted anew */
/* A packet that entered at `now`. ip: its bytes. LINK_IS_TOO_BIG: not counted; it is for the caller to cut it, and send
 * the pieces, or to tell the sender, unless way.mtu_silent. */
struct link_fate link_enter(struct link *l, const uint8_t *ip, const struct ip_view *v, uint64_t now_ns);
/* When anything else is due: it is delayed, and otherwise left alone. false: nothing passes. */
bool link_enter_other(struct link *l, uint64_t now_ns, uint64_t *due_ns);
enum link_class link_class_of(const uint8_t *ip, const struct ip_view *v);

#endif
