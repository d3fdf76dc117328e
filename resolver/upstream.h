/* One upstream server: what we know of its health. Facts in, judgement out; flight.c and check.c act on it.
 *
 * A question without an answer says something about the name first: many names have servers that are dead,
 * and an upstream that cannot find them out stays silent too. So silence alone never costs an upstream its
 * place. It puts it in question: check.c asks it something that it answered before, and a name that nobody
 * can have. Any word from it, late, odd or an error, to whatever question, means that it is there; only one
 * that says nothing to the check either is held.
 * Held at once, without a check: whose port is closed (upstream_rejected), and whom somebody else knows to be
 * gone (upstream_doubted: a mesh peer that went offline).
 *
 * Whether it keeps the case of names (mixed_case.c): one that was never seen to keep it is believed to change it at the
 * first answer that proves so, one that was at the third within an hour, since a forged one may be among them. What was
 * found out holds for an hour. */
#ifndef RW_RESOLVER_UPSTREAM_H
#define RW_RESOLVER_UPSTREAM_H

#include "mesh/base/dns_secure.h"
#include "resolver/name.h"

enum {
	PATIENCE_MS = 400,
	PATIENCE_MIN_MS = 300,
	PATIENCE_MAX_MS =
		800,	/* without a word for so long: the next upstream is asked too, and this one checked */
	CHECK_MS = 700, /* for the check's answer; four round trips where those are longer */
	CHECK_MAX_MS = 3000,
	CHECK_GAP_MS = 1000, /* between two checks */
	HOLD_MS = 1000,
	HOLD_MAX_MS = 2000, /* between checks of one that is held */
	RING_HOLD_MS = 30000,
	PLAIN_MS = 3600 * 1000, /* how long "does not speak EDNS" is remembered */
	REFUSALS_MAX = 5,	/* in a row, of different questions */
	REFUSE_MS = 1000,
	REFUSE_MAX_MS = 8000, /* between trials of one that refuses everything */
	TRIAL_MS = 500,
	KNOWN_MAX = 2,
	CASE_MS = 3600 * 1000, /* how long "changes the case" is remembered, and what speaks for it */
	CASE_CHANGES = 3,      /* answers within that, where it was seen to keep it */
};

enum upstream_state {
	UPSTREAM_WELL,	  /* asked in its turn */
	UPSTREAM_CHECKED, /* asked in its turn; a check is out. Ends WELL by any word, HELD when the check
			     ends */
	UPSTREAM_HELD,	  /* asked last; checked now and then; WELL again by any word */
	UPSTREAM_RING,	  /* never asked: it asks us. WELL again when a check's canary is answered and did not
			   * come    here */
};
struct upstream_question { /* answered before; name.len 0: none */
	struct dns_name name;
	uint16_t type;
};
struct upstream {
	struct endpoint at;
	struct dns_secure *secure; /* owned; NULL: plain */
	bool trusted, site;
	bool validates; /* no server: the driver finds the answer out, from the others of the route. Its health is theirs */
	int fault; /* of its socket or connection, since it last answered; 0 = none */
	unsigned refs;
	enum upstream_state state;
	uint32_t rtt_ms;   /* smoothed; 0 = unknown */
	uint32_t hold_ms;  /* HELD, RING: between checks */
	uint64_t heard_ms; /* last word of any kind; 0 = never */
	uint64_t check_ms; /* when the next check may begin; while one is out: when it began */
	uint8_t checks;	   /* questions of the check that are out */
	uint64_t plain_until_ms;
	bool keeps_case;      /* it has done so, and was not found to change it since */
	bool case_told;	      /* the driver knows that it changes it */
	uint8_t case_changes; /* answers that prove it, since case_since_ms */
	uint64_t case_since_ms, changes_case_until_ms;
	/* what it answered, newest first, of different names: the check asks one of them */
	struct upstream_question known[KNOWN_MAX];
	/* REFUSED to everything: a limit was reached, or this machine is not welcome */
	uint8_t refusals; /* in a row */
	uint32_t refuse_hold_ms;
	uint64_t refuse_until_ms;
	uint64_t refused_hash; /* the question of the last one */
	/* the canary that is out, or was last; len 0 = none */
	struct dns_name canary;
	bool canary_came;
	struct upstream *next; /* of the resolver's list */
};

static inline bool upstream_is_held(const struct upstream *u)
{
	return u->state == UPSTREAM_HELD;
}
static inline bool upstream_is_ring(const struct upstream *u)
{
	return u->state == UPSTREAM_RING;
}
/* How long it may take for an ordinary answer, for the check's. */
uint32_t upstream_patience_ms(const struct upstream *u);
uint32_t upstream_check_wait_ms(const struct upstream *u);

/* Anything came from it. */
void upstream_heard(struct upstream *u, uint64_t now_ms);
/* It answered a question sent at sent_ms, with records or with the word that there are none. */
void upstream_answered(
	struct upstream *u, uint64_t now_ms, uint64_t sent_ms, const struct dns_name *name, uint16_t type);
/* Nothing came for what was sent at sent_ms. true: it shall be checked now. */
bool upstream_is_in_question(const struct upstream *u, uint64_t now_ms, uint64_t sent_ms);
/* One that is held or a ring: is a check due? */
bool upstream_check_is_due(const struct upstream *u, uint64_t now_ms);
void upstream_check_began(struct upstream *u, uint64_t now_ms);
/* There was no place for its questions: nothing was asked, nothing is learnt. */
void upstream_check_dropped(struct upstream *u);
/* The check's last question came to its end. */
void upstream_check_ended(struct upstream *u, uint64_t now_ms);
/* Somebody says it is gone: held, until it answers. */
void upstream_doubted(struct upstream *u, uint64_t now_ms);
/* It said no at once: port closed, unreachable. */
void upstream_rejected(struct upstream *u, uint64_t now_ms);
/* Its canary came here. */
void upstream_ringed(struct upstream *u, uint64_t now_ms);
/* It answered a question whose name was not all in lower case, in the case of that question. */
void upstream_kept_case(struct upstream *u);
/* It answered one in another case, and then answered where a stranger's answer is none. true: it is known to change it now,
 * and was not before. */
bool upstream_changed_case(struct upstream *u, uint64_t now_ms);
bool upstream_changes_case(const struct upstream *u, uint64_t now_ms);

/* Another network, another time: what was is no guide. */
void upstream_reset(struct upstream *u);

/* It refused the question with this hash. true: it refused so many that it shall be checked. */
bool upstream_refused(struct upstream *u, uint64_t hash);
/* It refuses what it answered before as well, or never answered anything. */
void upstream_refuses_all(struct upstream *u, uint64_t now_ms);
/* It refuses everything, and is left in peace. Now and then one question may try: that one sees false. */
bool upstream_is_refusing(struct upstream *u, uint64_t now_ms);

#endif
