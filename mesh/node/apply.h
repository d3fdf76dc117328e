/* The one consumer of map changes: what the newest map says is made true, step by step, and what could not be
 * is tried again until it is. apply.c tells how. Pure but for the steps, which are handed in. */
#ifndef RW_NODE_APPLY_H
#define RW_NODE_APPLY_H

#include "mesh/netmap/netmap.h"

enum apply_step { /* those that may fail, in their order */
	APPLY_RULES,
	APPLY_PEERS,
	APPLY_IFACE,
	APPLY_NETS,
	APPLY_NAMES,
	APPLY_STEPS
};
/* None of them may call apply.h. Steps return 0, or an error with a sentence; they are called again with the
 * same map until they are done, so what is there already is no error. */
struct apply_ops {
	/* The snapshot by which packets are judged, with the rules as they are. */
	void (*map_set)(void *arg, struct netmap *m);
	int (*rules_set)(void *arg, const struct netmap *m, struct errbuf *eb);
	void (*rules_shut)(void *arg); /* nothing comes in, until rules_set */
	int (*peer_set)(void *arg, const struct ctl_node *peer, struct errbuf *eb);
	void (*peer_remove)(void *arg, uint64_t id); /* unknown ones too */
	void (*peer_restarted)(void *arg, uint64_t id);
	void (*peer_offline)(void *arg, const struct ctl_node *peer); /* its way to the server ended */
	void (*relays_set)(void *arg, const struct ctl_derp_map *m);
	int (*iface_set)(void *arg, const struct netmap *m, struct errbuf *eb);
	/* The same where only peers changed since: was is the map before m, d what differs. APPLY_BEGUN: what the kernel says
	 * comes by apply_iface_ended; names, which lead to who came, wait for that. */
	int (*iface_change)(void *arg, const struct netmap *was, const struct netmap *m,
		const struct netmap_diff *d, struct errbuf *eb);
	int (*nets_set)(void *arg, const struct netmap *m, struct errbuf *eb); /* for peers that are set */
	int (*names_set)(void *arg, struct netmap *m, bool self_expired, struct errbuf *eb);
	void (*forget)(void *arg); /* names and interface as without a map */
	/* The last of each call: the map, or what is true of it, is another. */
	void (*changed)(void *arg);
	uint64_t (*now_ms)(void *arg);	 /* monotonic */
	int64_t (*server_ms)(void *arg); /* Unix, the server's: server_clock.h; may be set */
	void *arg;
};

enum { APPLY_BEGUN = 1 };

struct apply { /* others read; only apply.c writes */
	struct apply_ops ops;
	struct netmap *map;	    /* the newest; NULL before the first */
	unsigned missing;	    /* bit s: step s of it is not true yet */
	char why[APPLY_STEPS][320]; /* a sentence for each of them, else "" */
	uint64_t retry_ms, backoff_ms;
	int64_t offset_ms; /* when peers were last looked at: the server's clock less the monotonic one */
	bool begun, names_wait; /* iface_change is on its way; and names are to be set when it has ended */
	bool keys_end;		/* some key of the map does, now or later */
	int64_t expiry_ms;	/* Unix, the server's: no key ends before; INT64_MAX: none does */
};

void apply_init(struct apply *a, const struct apply_ops *ops);
void apply_map(struct apply *a, struct netmap *next); /* takes the reference; may be the map that is there */
/* The same where nothing of what was made true is any more, but interface and names: every step is done again. */
void apply_anew(struct apply *a, struct netmap *next);
/* A step that was true is so no more, by another's doing: done again, now. */
void apply_again(struct apply *a, enum apply_step s);
/* What iface_change began is done; why->code is not 0: it is not, why. Never from within a step. */
void apply_iface_ended(struct apply *a, const struct errbuf *why);
void apply_nothing(struct apply *a); /* no trace of the present map is left */
bool apply_is_missing(const struct apply *a, enum apply_step s);
bool apply_self_expired(const struct apply *a);
/* Keys end by the clock too, with the server away; and what is missing is tried again. */
void apply_tick(struct apply *a);
uint64_t apply_deadline(const struct apply *a); /* of the next tick, monotonic; UINT64_MAX: none */

#endif
