#include "mesh/control/login/flows.h"

#include "mesh/web/throttle.h"
#include <stdlib.h>
#include <string.h>

enum { SHARE = 4 /* of one net: a quarter */ };

struct flow_entry {
	struct flow flow;
	struct flow_entry *next, **at; /* oldest first */
	struct browser_hash state;
	struct addr net;
	uint64_t until_ms;
};

void flows_init(struct flows *f, uint64_t seed)
{
	*f = (struct flows) { 0 };
	table_init(&f->by_state, BROWSER_HASH, seed);
	f->end = &f->first;
}

static void drop(struct flows *f, struct flow_entry *e)
{
	table_remove(&f->by_state, e->state.b);
	*e->at = e->next;
	if (e->next)
		e->next->at = e->at;
	else
		f->end = e->at;
	f->n--;
	key_wipe(e, sizeof(*e));
	free(e);
}

void flows_fini(struct flows *f)
{
	while (f->first)
		drop(f, f->first);
	table_fini(&f->by_state);
}

static void drop_old(struct flows *f, uint64_t now_ms)
{
	while (f->first && f->first->until_ms <= now_ms)
		drop(f, f->first);
}

static void make_room(struct flows *f, const struct addr *net)
{
	struct flow_entry *oldest = NULL;
	size_t same = 0;
	if (f->n < FLOWS_MAX / SHARE)
		return;
	for (struct flow_entry *e = f->first; e; e = e->next)
		if (addr_equal(&e->net, net)) {
			same++;
			oldest = oldest ? oldest : e;
		}
	if (oldest && same >= FLOWS_MAX / SHARE)
		drop(f, oldest);
	else if (f->first && f->n >= FLOWS_MAX)
		drop(f, f->first);
}

const struct flow *flows_begin(struct flows *f, const struct random *rnd, const struct browser_hash *browser,
	size_t provider, const char *pending, const struct addr *who, uint64_t now_ms)
{
	const struct addr net = throttle_net(who);
	drop_old(f, now_ms);
	make_room(f, &net);
	struct flow_entry *e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	browser_token_make(rnd, e->flow.attempt.state);
	browser_token_make(rnd, e->flow.attempt.nonce);
	browser_token_make(rnd, e->flow.attempt.verifier);
	e->state = browser_token_hash(e->flow.attempt.state);
	if (!table_put(&f->by_state, e->state.b, e)) {
		free(e);
		return NULL;
	}
	e->flow.browser = *browser;
	e->flow.provider = provider;
	memcpy(e->flow.pending, pending, strnlen(pending, REGISTRY_ID - 1));
	e->net = net;
	e->until_ms = now_ms + FLOW_MS;
	e->at = f->end;
	*f->end = e;
	f->end = &e->next;
	f->n++;
	return &e->flow;
}

enum flow_verdict flows_take(struct flows *f, const char *state, const struct browser_hash *browser,
	uint64_t now_ms, struct flow *out)
{
	struct browser_hash h = browser_token_hash(state);
	drop_old(f, now_ms);
	struct flow_entry *e = table_get(&f->by_state, h.b);
	if (!e)
		return FLOW_UNKNOWN;
	if (!browser_hash_equal(&e->flow.browser, browser))
		return FLOW_ELSEWHERE;
	*out = e->flow;
	drop(f, e);
	return FLOW_GOOD;
}
