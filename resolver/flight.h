/* Inside of a question in flight, shared by flight.c (its life), attempt.c (what it sends), received.c (what
 * comes back) and mixed_case.c (the case of its name). */
#ifndef RW_RESOLVER_FLIGHT_H
#define RW_RESOLVER_FLIGHT_H

#include "resolver/core.h"

enum {
	ATTEMPTS_MAX = 12,
	DEADLINE_MS = 3500,	 /* under the 5 s after which clients ask again */
	HELD_DEADLINE_MS = 1000, /* when every upstream is held; longer where round trips are */
	TCP_MS = 2000,
};

struct attempt {
	struct upstream *to;
	uint64_t sent_ms;
	uint16_t id;
	bool waiting, edns;
	bool tcp;     /* in the place of UDP; never of one that is secure */
	bool noticed; /* that it is slower than it should be */
	uint8_t bad;  /* wrong packets so far */
	/* mixed_case.c */
	bool other_case; /* an answer came whose name was in another case */
	bool settles; /* asked since one came to an earlier attempt: by TCP, or in lower case from another port */
	uint64_t upper; /* letters that were asked in upper case: dns_name_mix */
};
struct flight {
	struct flight *chain, *older, *younger;
	struct routes *routes;
	uint64_t began_ms, deadline_ms, next_ms;
	uint64_t stale_ms; /* when its askers get what is past its time; UINT64_MAX: never */
	struct heap_item timer;
	uint32_t generation;
	uint16_t slot, n_waiters;
	enum resolver_order mode;
	bool race, own_trouble;
	bool untrusted;		 /* somebody showed the wrong certificate or key */
	bool in_doubt;		 /* every upstream is held: the wait is short, and all are asked */
	bool ring;		 /* one of the route asks us */
	bool lingering;		 /* its askers have their reply; what may still come is a sign of life */
	bool canary;		 /* of a check */
	struct upstream *checks; /* a check of this one; NULL: somebody's question */
	struct waiter *waiters;
	struct {
		struct upstream *to;
		bool failed;
	} order[RESOLVER_UPSTREAMS_MAX];
	uint8_t n_order, turn, n_attempts;
	uint16_t rcode, ede; /* the failure so far; rcode 0 = none said anything */
	uint8_t *partial;    /* owned: a truncated answer, should TCP fail */
	size_t partial_len;
	uint8_t *kept; /* owned: a backup's "there is none", while a preferred one may know better */
	size_t kept_len;
	uint64_t kept_until_ms;
	uint8_t kept_rank;
	struct flight_key key; /* all before it is zero at first */
	struct attempt attempts[ATTEMPTS_MAX];
};

/* Strangers cannot answer it, and nothing has to be cut. */
static inline bool attempt_is_stream(const struct attempt *a)
{
	return a->tcp || a->to->secure || a->to->validates;
}

/* flight.c */
/* Replies to all who asked. rank: of the upstream that answered; 0: none did. The flight lingers or is gone.
 */
void flight_land(
	struct resolver *r, uint64_t now_ms, struct flight *f, const struct landing *l, unsigned rank);
/* Gone, with its sockets. Nobody waits for it any more. */
void flight_end(struct resolver *r, uint64_t now_ms, struct flight *f);
/* An upstream is out of the running for this flight. The flight may be gone afterwards. */
void flight_drop_upstream(struct resolver *r, uint64_t now_ms, struct flight *f, const struct upstream *u);

/* attempt.c */
struct attempt_how {
	bool tcp, plain; /* plain: without EDNS */
	bool settles;	 /* see struct attempt */
};
bool attempt_send(struct resolver *r, uint64_t now_ms, struct flight *f, struct upstream *to,
	struct attempt_how how); /* false: enough were sent */
/* To the next upstream in turn that has not failed. */
bool attempt_send_next(struct resolver *r, uint64_t now_ms, struct flight *f);
void attempt_stop(struct resolver *r, struct flight *f, struct attempt *a);
void attempt_question(const struct flight *f, const struct attempt *a, struct dns_ask *out);
uint64_t attempt_notice_at(const struct attempt *a); /* slower than it should be from then on */
bool flight_is_waiting(const struct flight *f);
bool flight_waits_for(const struct flight *f, const struct upstream *u);
unsigned flight_rank(const struct flight *f, const struct upstream *u); /* n_order: not of this flight */
/* Until when may an upstream before `rank` answer? 0: none will. */
uint64_t flight_preferred_until(const struct flight *f, unsigned rank, uint64_t now_ms);
void flight_due_set(struct resolver *r, struct flight *f);
uint64_t attempt_random(struct resolver *r, size_t n); /* of n bytes, at most 8 */

/* mixed_case.c */
/* By UDP to `to` after an answer in another case and no better one by TCP: in lower case, from a port of its own. */
bool mixed_case_is_lower(const struct flight *f, const struct upstream *to);
/* Which letters of the name are to be in upper case for that question; 0: none. */
uint64_t mixed_case_choose(
	struct resolver *r, uint64_t now_ms, const struct flight *f, const struct upstream *to);
/* As answer_read. An answer whose name is in another case than it was asked in is ANSWER_OTHER_CASE. */
enum answer_read mixed_case_read(struct resolver *r, uint64_t now_ms, const struct flight *f,
	const struct attempt *a, const uint8_t *msg, size_t len, struct answer *out);
/* Is the question out to this server that settles it? */
bool mixed_case_settles(const struct flight *f, const struct upstream *to);
/* Such a one came to a. */
void mixed_case_changed(struct resolver *r, uint64_t now_ms, struct flight *f, struct attempt *a);
/* a, which settles it by TCP, is slower than it should be. */
void mixed_case_slow(struct resolver *r, uint64_t now_ms, struct flight *f, const struct attempt *a);
/* a failed, or got an answer that is none: where it settles it by TCP, it is stopped, and the same question goes on. false: it
 * does not, or nothing more can be sent. */
bool mixed_case_failed(struct resolver *r, uint64_t now_ms, struct flight *f, struct attempt *a);
/* An answer to a question came to a, and it is right. */
void mixed_case_learn(struct resolver *r, uint64_t now_ms, const struct flight *f, const struct attempt *a);

#endif
