#include "simnet/fabric/user/neighbours.h"
#include <stdlib.h>
#include <string.h>

void neighbours_init(struct neighbours *n)
{
	for (int s = 0; s < ROUTER_SIDES; s++)
		table_init(&n->sides[s], sizeof(struct addr), 0);
}

static void free_side(struct neighbours *n, enum router_side side)
{
	size_t at = 0;
	for (void *mac; (mac = table_next(&n->sides[side], &at));)
		free(mac);
	table_fini(&n->sides[side]);
}

void neighbours_fini(struct neighbours *n)
{
	for (int s = 0; s < ROUTER_SIDES; s++)
		free_side(n, (enum router_side)s);
}

void neighbours_forget(struct neighbours *n, enum router_side side)
{
	free_side(n, side);
	table_init(&n->sides[side], sizeof(struct addr), 0);
	for (size_t i = 0; i < NEIGHBOURS_PENDING; i++)
		n->pending[i].used &= n->pending[i].side != side;
}

bool neighbours_put(
	struct neighbours *n, enum router_side side, const struct addr *who, const struct mac *mac)
{
	struct table *t = &n->sides[side];
	struct mac *m = table_get(t, who);
	if (!m && t->n < NEIGHBOURS_MAX && (m = calloc(1, sizeof(*m))) && !table_put(t, who, m)) {
		free(m);
		m = NULL;
	}
	if (m)
		*m = *mac;
	return m;
}

const struct mac *neighbours_find(const struct neighbours *n, enum router_side side, const struct addr *who)
{
	return table_get(&n->sides[side], who);
}

void neighbours_wait(
	struct neighbours *n, enum router_side side, const struct addr *who, const struct frame *f)
{
	struct neighbours_pending *p = &n->pending[n->next++ % NEIGHBOURS_PENDING];
	p->used = true;
	p->side = side;
	p->who = *who;
	p->frame.len = f->len;
	memcpy(p->frame.b, f->b, f->len);
}

struct frame *neighbours_take(struct neighbours *n, enum router_side side, const struct addr *who)
{
	for (size_t i = 0; i < NEIGHBOURS_PENDING; i++) {
		struct neighbours_pending *p = &n->pending[i];
		if (!p->used || p->side != side || !addr_equal(&p->who, who))
			continue;
		p->used = false;
		return &p->frame;
	}
	return NULL;
}
