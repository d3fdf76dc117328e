/* What the userspace engine has decided, by flow. The log is written in the order of objects and flows, so that two runs
 * with one seed, in which programs sent alike, have equal logs; only the last key of a line, `at_ms`, is not to be compared. */
#ifndef SIMNET_USER_DECISION_H
#define SIMNET_USER_DECISION_H

#include "mesh/base/buf.h"
#include "simnet/fabric/user/draw.h"

#define DECISION_LIST(X) \
	X(MAPPED, "mapped") \
	X(EXPIRED, "expired") \
	X(MOVED, "moved") \
	X(REFUSED, "refused") \
	X(DROPPED, "dropped") \
	X(LOST, "lost") \
	X(DOUBLED, "doubled") \
	X(HELD, "held back") \
	X(DAMAGED, "damaged") \
	X(FORGOTTEN, "forgotten")
enum decision_kind {
#define X(name, text) DECISION_##name,
	DECISION_LIST(X)
#undef X
		DECISION_KINDS
};

struct decision {
	uint64_t at_ns;		  /* of the clock that the engine is given */
	const char *object, *why; /* "home-a", "alice.up"; why may be NULL. Live as long as the log */
	enum decision_kind kind;
	struct draw_flow flow;	 /* of a mapping: the inside's end as src, and of dst what it depends on */
	struct endpoint outside; /* of a mapping; unset: none */
	uint64_t n;		 /* which packet of its flow; 0 = not about one */
};
enum { DECISIONS_MAX = 1 << 16 };
struct decision_log {
	struct decision *v; /* owned; at most DECISIONS_MAX */
	size_t n, size;
	uint64_t left_out; /* for want of room */
	uint64_t start_ns; /* at_ms counts from here */
};

void decision_note(struct decision_log *l, const struct decision *d);
void decision_forget(struct decision_log *l); /* all of them */
/* Sorts, and appends a line of JSON for each. false: memory. */
bool decision_write(struct decision_log *l, struct buf *out);
void decision_fini(struct decision_log *l);

#endif
