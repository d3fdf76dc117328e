/* Addresses of nodes after the settings have got or lost a family. */
#include "mesh/control/fleet/registry_inner.h"

#include "mesh/base/buf.h"
#include <errno.h>
#include <string.h>

enum { TOLD_MAX = 64 << 20 };

static bool is_given(void *arg, const struct addr *a)
{
	const struct change *c = arg;
	if (fleet_by_address(&c->r->fleet, a))
		return true;
	for (size_t i = 0; i < c->n_drafts; i++) /* or has just been, to one before */
		if ((c->drafts[i]->has_v4 && addr_equal(&c->drafts[i]->v4, a)) ||
			(c->drafts[i]->has_v6 && addr_equal(&c->drafts[i]->v6, a)))
			return true;
	return false;
}

static bool is_right(const struct alloc_pool *p, const struct member *m)
{
	return m->has_v4 == p->has_v4 && m->has_v6 == p->has_v6;
}

/* A line for each address that is given or taken. */
static bool tell(struct buf *told, const struct member *m, bool given, int family, const struct addr *a)
{
	char text[ADDR_TEXT];
	return buf_printf(told, "%s IPv%d %s %s Node(%lld) \"%s\"\n", given ? "assigned" : "removing", family,
		given ? addr_format(a, text) : "address", given ? "to" : "from", (long long)m->id,
		m->hostname);
}

static int give(
	struct registry *r, struct change *c, struct member *draft, struct buf *told, struct errbuf *eb)
{
	const struct alloc_pool *p = &r->c.pool;
	struct alloc_pair pair = { 0 };
	int64_t start = c->next_address ? c->next_address : r->next_address > 0 ? r->next_address : 1;
	bool v4 = p->has_v4 && !draft->has_v4, v6 = p->has_v6 && !draft->has_v6, ok = true;
	if (v4 || v6) {
		int err = alloc_pick(p, (uint64_t)start, is_given, c, &pair, eb);
		if (err)
			return err;
		c->next_address = (int64_t)pair.offset + 1;
	}
	if (draft->has_v4 && !p->has_v4)
		ok = tell(told, draft, false, 4, NULL);
	if (draft->has_v6 && !p->has_v6)
		ok = tell(told, draft, false, 6, NULL) && ok;
	if (v4) {
		draft->v4 = pair.v4;
		ok = tell(told, draft, true, 4, &pair.v4) && ok;
	}
	if (v6) {
		draft->v6 = pair.v6;
		ok = tell(told, draft, true, 6, &pair.v6) && ok;
	}
	draft->has_v4 = p->has_v4;
	draft->has_v6 = p->has_v6;
	return ok ? 0 : err_set(eb, -ENOMEM, "give addresses");
}

static int give_all(struct registry *r, struct change *c, struct buf *told, struct errbuf *eb)
{
	c->drafts = arena_array(&c->mem, r->fleet.n, sizeof(struct member *));
	for (size_t i = 0; c->drafts && i < r->fleet.n; i++) {
		struct member draft = *r->fleet.v[i];
		if (is_right(&r->c.pool, &draft))
			continue;
		int err = give(r, c, &draft, told, eb);
		if (err)
			return err;
		struct member *m = member_copy(&draft);
		if (!m)
			return err_set(eb, -ENOMEM, "give addresses");
		c->drafts[c->n_drafts++] = m;
	}
	return c->mem.failed ? err_set(eb, -ENOMEM, "give addresses") : 0;
}

static int backfill_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	struct buf told = { .cap = TOLD_MAX };
	int err = give_all(r, c, &told, eb);
	if (!err && told.len && !(c->told = arena_strndup(&c->mem, (const char *)buf_data(&told), told.len)))
		err = err_set(eb, -ENOMEM, "give addresses");
	buf_free(&told);
	return err;
}

static int backfill_write(struct store *s, struct change *c, struct errbuf *eb)
{
	int err = c->next_address ? store_number_put(s, "next_address", c->next_address, eb) : 0;
	for (size_t i = 0; i < c->n_drafts && !err; i++)
		err = store_node_put(s, c->drafts[i], eb);
	return err;
}

/* The addresses alone: whatever else a node has said meanwhile stands. */
static int backfill_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	int err = 0;
	if (c->next_address)
		r->next_address = c->next_address;
	for (size_t i = 0; i < c->n_drafts && !err; i++) {
		const struct member *m = fleet_by_id(&r->fleet, c->drafts[i]->id), *made = c->drafts[i];
		if (!m)
			continue;
		struct member draft = *m;
		draft.has_v4 = made->has_v4;
		draft.has_v6 = made->has_v6;
		draft.v4 = made->v4;
		draft.v6 = made->v6;
		err = registry_publish(r, &draft, NEWS_IDENTITY, eb);
	}
	return err;
}

static const struct change_kind backfill_kind = {
	.prepare = backfill_prepare, .write = backfill_write, .publish = backfill_publish
};

void registry_backfill(struct registry *r, struct registry_wait *w)
{
	struct change *c = registry_change_new(r, &backfill_kind, w);
	if (c)
		registry_change_submit(c);
}
