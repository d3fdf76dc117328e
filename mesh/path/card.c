#include "mesh/path/card.h"
#include "mesh/path/candidates.h"
#include "mesh/path/state.h"
#include "mesh/path/way.h"
#include <stdlib.h>
#include <string.h>

struct card *card_find(const struct path *p, uint64_t id)
{
	return table_get(&p->by_id, &id);
}

struct card *card_by_key(const struct path *p, const struct node_key *key)
{
	return table_get(&p->by_key, key->b);
}

static bool list_has(const struct endpoint *v, size_t n, const struct endpoint *at)
{
	for (size_t i = 0; i < n; i++) {
		if (endpoint_equal(&v[i], at))
			return true;
	}
	return false;
}

/* What candidates_add would take of them. */
bool card_name(struct card *c, const struct endpoint *v, size_t n)
{
	struct endpoint kept[NAMED_MAX], *copy = NULL;
	size_t n_kept = 0;
	for (size_t i = 0; i < n && i < NAMED_MAX; i++) {
		if (candidates_sendable(&v[i]) && !list_has(kept, n_kept, &v[i]))
			kept[n_kept++] = v[i];
	}
	if (n_kept && !(copy = malloc(n_kept * sizeof(*copy))))
		return false;
	if (n_kept)
		memcpy(copy, kept, n_kept * sizeof(*copy));
	free(c->named);
	c->named = copy;
	c->n_named = (uint8_t)n_kept;
	return true;
}

struct peer *card_peer(struct path *p, struct card *c)
{
	if (!c || c->peer)
		return c ? c->peer : NULL;
	struct peer *e = calloc(1, sizeof(*e));
	if (!e || !candidates_reserve(e, c->n_named)) {
		free(e);
		return NULL;
	}
	e->id = c->id;
	e->key = c->key;
	e->disco = c->disco;
	e->home = c->home;
	e->next_ms = UINT64_MAX;
	e->way_state = WAY_NONE;
	e->data_state = DATA_PASSES;
	for (size_t i = 0; i < c->n_named; i++)
		candidates_add(p, e, &c->named[i], FROM_NETMAP);
	free(c->named);
	c->named = NULL;
	c->n_named = 0;
	c->peer = e;
	way_publish(p, e);
	return e;
}

struct peer *peer_find(struct path *p, uint64_t id)
{
	return card_peer(p, card_find(p, id));
}

struct peer *peer_made(const struct path *p, uint64_t id)
{
	const struct card *c = card_find(p, id);
	return c ? c->peer : NULL;
}

const struct peer *peer_look(const struct path *p, uint64_t id, struct peer *blank)
{
	const struct card *c = card_find(p, id);
	if (!c || c->peer)
		return c ? c->peer : NULL;
	*blank = (struct peer) { .id = id, .key = c->key, .disco = c->disco, .home = c->home };
	blank->next_ms = UINT64_MAX;
	blank->way_state = WAY_NONE;
	blank->data_state = DATA_PASSES;
	blank->way = way_compute(p, blank);
	blank->n_cands = c->n_named;
	return blank;
}

bool card_index_disco(struct path *p, struct card *c)
{
	c->same_disco = NULL;
	if (key_is_zero(c->disco.b))
		return true;
	struct card *first = table_get(&p->by_disco, c->disco.b);
	if (!first)
		return table_put(&p->by_disco, c->disco.b, c);
	c->same_disco = first->same_disco;
	first->same_disco = c;
	return true;
}

void card_unindex_disco(struct path *p, struct card *c)
{
	struct card *first = table_get(&p->by_disco, c->disco.b);
	if (first == c) {
		table_remove(&p->by_disco, c->disco.b);
		if (c->same_disco)
			table_put(&p->by_disco, c->disco.b, c->same_disco); /* the slot just freed */
	} else {
		while (first && first->same_disco != c)
			first = first->same_disco;
		if (first)
			first->same_disco = c->same_disco;
	}
	c->same_disco = NULL;
}
