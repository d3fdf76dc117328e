#include "mesh/relay/places.h"

#include <stdlib.h>
#include <string.h>

enum { ADDRESS_KEY = 16, V6_SITE_BYTES = 8 };

struct place_address {
	uint8_t key[ADDRESS_KEY];
	struct place *first, **end;
	size_t n;
};

static void key_of(const struct addr *ip, uint8_t key[static ADDRESS_KEY])
{
	memcpy(key, ip->b, ADDRESS_KEY);
	if (!addr_is_v4(ip))
		memset(key + V6_SITE_BYTES, 0, ADDRESS_KEY - V6_SITE_BYTES);
}

void places_init(struct places *p, size_t max, size_t per_address, uint64_t seed)
{
	*p = (struct places) { .max = max, .per_address = per_address };
	table_init(&p->by_address, ADDRESS_KEY, seed);
}

void places_fini(struct places *p)
{
	table_fini(&p->by_address);
}

static void place_link(struct place *at)
{
	struct place_address *a = at->from;
	at->next = NULL;
	at->at = a->end;
	*a->end = at;
	a->end = &at->next;
}

static void place_unlink(struct place *at)
{
	*at->at = at->next;
	*(at->next ? &at->next->at : &at->from->end) = at->at;
}

void place_used(struct place *at, uint64_t now_ms)
{
	if (!at)
		return;
	at->busy = true;
	at->active_ms = now_ms;
	if (!at->next)
		return; /* the last already */
	place_unlink(at);
	place_link(at);
}

void place_end(struct places *p, struct place *at)
{
	if (!at)
		return;
	struct place_address *a = at->from;
	place_unlink(at);
	free(at);
	p->n--;
	if (--a->n)
		return;
	table_remove(&p->by_address, a->key);
	free(a);
}

/* Strangers first. NULL: nobody is idle. */
static struct place *find_idle(const struct place_address *a, uint64_t now_ms)
{
	struct place *busy = NULL;
	for (struct place *at = a->first; at; at = at->next) {
		if (!at->busy && now_ms - at->active_ms >= PLACES_STRANGER_IDLE_MS)
			return at;
		if (at->busy && !busy && now_ms - at->active_ms >= PLACES_BUSY_IDLE_MS)
			busy = at;
	}
	return busy;
}

static const struct place_address *find_greedy(const struct places *p)
{
	const struct place_address *most = NULL;
	size_t at = 0;
	for (const struct place_address *a; (a = table_next(&p->by_address, &at));)
		if (!most || a->n > most->n)
			most = a;
	return most;
}

static bool places_make_room(struct places *p, const struct place_address *own, uint64_t now_ms)
{
	const struct place_address *of = own && own->n >= p->per_address ? own
					 : p->n >= p->max		 ? find_greedy(p)
									 : NULL;
	if (!of)
		return true;
	struct place *idle = find_idle(of, now_ms);
	if (idle)
		idle->leave(idle->holder);
	return idle;
}

struct place *places_take(struct places *p, const struct addr *ip, uint64_t now_ms)
{
	uint8_t key[ADDRESS_KEY];
	key_of(ip, key);
	if (!places_make_room(p, table_get(&p->by_address, key), now_ms))
		return NULL;
	struct place_address *a = table_get(&p->by_address, key); /* who left may have been its last */
	struct place *at = calloc(1, sizeof(*at));
	if (at && !a && (a = calloc(1, sizeof(*a)))) {
		memcpy(a->key, key, ADDRESS_KEY);
		a->end = &a->first;
		if (!table_put(&p->by_address, key, a)) {
			free(a);
			a = NULL;
		}
	}
	if (!at || !a) {
		free(at);
		return NULL;
	}
	*at = (struct place) { .from = a, .active_ms = now_ms };
	place_link(at);
	a->n++;
	p->n++;
	return at;
}
