/* Questions that wait for the lists of names to block, in the order they came in. */
#include "resolver/core.h"

enum {
	HELD_FOR_MS = 3000, /* what is then still to be asked has the rest of ASKER_WAITS_MS */
};

void hold_add(struct resolver *r, struct waiter *w)
{
	w->next = NULL;
	if (r->held)
		r->held_last->next = w;
	else
		r->held = w;
	r->held_last = w;
}

uint64_t hold_deadline(const struct resolver *r)
{
	if (!r->held)
		return UINT64_MAX;
	return r->block_waits ? r->held->began_ms + HELD_FOR_MS : 0;
}

void hold_tick(struct resolver *r, uint64_t now_ms)
{
	struct waiter *w = r->held;
	for (unsigned n = 0; n < DUE_AT_ONCE && w && hold_deadline(r) <= now_ms; n++) {
		r->held = w->next;
		if (r->block_waits)
			query_done(r, now_ms, w,
				&(struct landing) { .rcode = DNS_SERVFAIL,
					.ede = EDE_NOT_READY,
					.ede_text = "the lists of names to block are being read" });
		else
			query_resume(r, now_ms, w);
		w = r->held;
	}
}

void hold_forget(struct resolver *r, uint64_t client)
{
	struct waiter **at = &r->held, *w;
	r->held_last = NULL;
	while ((w = *at)) {
		if (w->client != client) {
			r->held_last = w;
			at = &w->next;
			continue;
		}
		*at = w->next;
		r->n_waiters--;
		waiter_free(r, w);
	}
}

void hold_drop(struct resolver *r)
{
	for (struct waiter *w = r->held, *next; w; w = next) {
		next = w->next;
		waiter_free(r, w);
	}
	r->held = NULL;
}
