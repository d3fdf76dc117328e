#include "mesh/control/view/packed.h"

#include "mesh/base/wire.h"
#include "mesh/transport/control_link.h"
#include <stdlib.h>
#include <string.h>

enum { SPAN = 64, CAPS_MAX = 4, PREFIX = 4, KEPT_MAX = 64 * 1024 };

/* The peers with numbers [number * SPAN, ... + SPAN), each with a comma before it. */
struct span {
	int64_t number;
	struct span_part {
		uint16_t cap;
		struct buf part; /* empty: none */
	} parts[CAPS_MAX];
	unsigned next; /* of parts, the one to be replaced */
};

/* Told to one viewer; the same is due to most others. The texts in it are the view cache's: they are what
 * they were while the journal has not moved. */
struct packed_last {
	uint64_t moment;
	uint16_t cap;
	bool zstd;
	struct ctl_map_response r; /* its lists are copies */
	struct arena mem;
	struct buf frame;
};

/* --- life --- */

void packed_init(struct packed *p, uint64_t seed)
{
	*p = (struct packed) { 0 };
	table_init(&p->spans, sizeof(int64_t), seed);
}

static void free_span(struct span *s)
{
	for (size_t i = 0; s && i < CAPS_MAX; i++)
		buf_free(&s->parts[i].part);
	free(s);
}

static void free_last(struct packed *p)
{
	if (!p->last)
		return;
	arena_free(&p->last->mem);
	buf_free(&p->last->frame);
	free(p->last);
	p->last = NULL;
}

void packed_fini(struct packed *p)
{
	struct span *s;
	size_t at = 0;
	while ((s = table_next(&p->spans, &at)))
		free_span(s);
	table_fini(&p->spans);
	free_last(p);
	map_packer_free(p->packer);
	p->packer = NULL; /* a server that ends does it at the word, and once all is said */
}

/* *out: NULL where nothing is to be packed. */
static bool packer_for(struct packed *p, bool zstd, struct map_packer **out)
{
	if (zstd && !p->packer)
		p->packer = map_packer_new();
	*out = zstd ? p->packer : NULL;
	return !zstd || p->packer;
}

void packed_forget(struct packed *p, int64_t id)
{
	int64_t number = id / SPAN;
	free_span(table_remove(&p->spans, &number));
}

/* --- whole maps --- */

/* A message being put together: text that is not packed yet, and parts that are. */
struct packing {
	struct packed *p;
	const struct view_context *c;
	const struct member *self;
	struct map_packer *packer; /* NULL: for a viewer that unpacks nothing */
	struct buf text, *out;
};

static bool flush_text(struct packing *k)
{
	bool ok = !k->text.len || !map_part_write(buf_data(&k->text), k->text.len, k->packer, k->out);
	buf_consume(&k->text, k->text.len);
	return ok;
}

/* ",{...}" for each, but for the first of all no comma. */
static bool write_peers(const struct view_context *c, const struct member *self,
	const struct member *const *v, size_t n, bool first, struct buf *out)
{
	struct arena a = { 0 };
	struct ctl_map_response only = { .control_time_ms = FLEET_NO_TIME };
	struct buf text = { 0 };
	static const char open[] = "{\"Peers\":[";
	const size_t head = sizeof(open) - 1, tail = 2; /* "]}" */
	only.peers = arena_array(&a, n, sizeof(*only.peers));
	for (size_t i = 0; i < n && only.peers; i++)
		view_describe(c, self, v[i], &a, &only.peers[only.n_peers++]);
	bool ok = !a.failed && ctl_map_response_write(&text, &only) && text.len > head + tail &&
		  !memcmp(buf_data(&text), open, head) && (first || buf_append(out, ",", 1)) &&
		  buf_append(out, buf_data(&text) + head, text.len - head - tail);
	buf_free(&text);
	arena_free(&a);
	return ok;
}

static struct span *span_of(struct packed *p, int64_t number)
{
	struct span *s = table_get(&p->spans, &number);
	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->number = number;
	if (table_put(&p->spans, &s->number, s))
		return s;
	free(s);
	return NULL;
}

/* The span as it is packed for this viewer's version, which is made when there is none. */
static const struct buf *span_part(struct packing *k, int64_t number, const struct member *const *v, size_t n)
{
	struct span *s = span_of(k->p, number);
	struct buf text = { 0 };
	const uint16_t cap = k->c->viewer_cap;
	for (size_t i = 0; s && i < CAPS_MAX; i++)
		if (s->parts[i].part.len && s->parts[i].cap == cap)
			return &s->parts[i].part;
	if (!s || !write_peers(k->c, k->self, v, n, false, &text)) {
		buf_free(&text);
		return NULL;
	}
	struct span_part *to = &s->parts[s->next++ % CAPS_MAX];
	buf_free(&to->part);
	to->cap = cap;
	if (map_part_write(buf_data(&text), text.len, k->packer, &to->part))
		buf_free(&to->part);
	buf_free(&text);
	return to->part.len ? &to->part : NULL;
}

/* How many members the fleet has in the span, from *at on, which is moved behind them; and that none of them
 * carries routes, of which not all viewers are told the same. */
static size_t count_span(const struct fleet *f, int64_t number, size_t *at, bool *common)
{
	size_t n = 0;
	while (*at < f->n && f->v[*at]->id / SPAN < number)
		(*at)++;
	*common = true;
	for (; *at < f->n && f->v[*at]->id / SPAN == number; (*at)++, n++)
		*common = *common && !f->v[*at]->served.n;
	return n;
}

static bool add_spans(struct packing *k, const struct view_peers *peers)
{
	size_t at = 0;
	for (size_t i = 0, n; i < peers->n; i += n) {
		const int64_t number = peers->v[i]->id / SPAN;
		bool common;
		for (n = 1; i + n < peers->n && peers->v[i + n]->id / SPAN == number; n++)
			;
		/* all of it, to whom all of it is told alike: the first has no comma */
		bool whole = count_span(k->c->fleet, number, &at, &common) == n && common && k->packer && i;
		const struct buf *part = whole ? span_part(k, number, peers->v + i, n) : NULL;
		if (part ? !flush_text(k) || !buf_append(k->out, buf_data(part), part->len)
			 : !write_peers(k->c, k->self, peers->v + i, n, !i, &k->text))
			return false;
	}
	return true;
}

/* All but the peers, then those, then the end of both. */
static bool add_message(
	struct packing *k, const struct ctl_map_response *head, const struct view_peers *peers)
{
	static const char open[] = ",\"Peers\":[", end[] = "]}";
	if (!ctl_map_response_write(&k->text, head) || k->text.len < 3)
		return false;
	if (peers->n) {
		k->text.len--; /* its last brace comes later */
		if (!buf_append(&k->text, open, sizeof(open) - 1) || !add_spans(k, peers) ||
			!buf_append(&k->text, end, sizeof(end) - 1))
			return false;
	}
	return flush_text(k);
}

bool packed_whole(struct packed *p, const struct view_context *c, const struct member *self, struct view *v,
	bool zstd, struct buf *out)
{
	static const uint8_t length[PREFIX];
	struct arena a = { 0 };
	struct ctl_map_response head;
	struct view_peers peers;
	struct packing k = { .p = p, .c = c, .self = self, .out = out };
	const size_t before = out->len;
	bool ok = view_head(c, self, v, &a, &head, &peers) && packer_for(p, zstd, &k.packer) &&
		  buf_append(out, length, PREFIX) && add_message(&k, &head, &peers);
	if (ok)
		le_put(buf_data(out) + before, PREFIX, out->len - before - PREFIX);
	else
		view_fini(v);
	buf_free(&k.text);
	arena_free(&a);
	return ok;
}

/* --- changes --- */

/* Says nothing but that peers are new, otherwise or gone. */
static bool is_of_peers(const struct ctl_map_response *r)
{
	return !r->node && !r->n_peers && !r->n_filters && !r->ssh_json && !r->dns && !r->derp_map &&
	       !r->keep_alive && r->n_changed + r->n_patches + r->n_removed;
}

/* The same members by the same texts. */
static bool same_nodes(const struct ctl_map_response *a, const struct ctl_map_response *b)
{
	for (size_t i = 0; i < a->n_changed; i++) {
		const struct ctl_node *x = &a->peers_changed[i], *y = &b->peers_changed[i];
		if (x->id != y->id || !x->written || x->written != y->written)
			return false;
	}
	return true;
}

static bool same_bytes(const void *a, const void *b, size_t n)
{
	return !n || !memcmp(a, b, n);
}

static bool same_peers(const struct ctl_map_response *a, const struct ctl_map_response *b)
{
	if (a->n_changed != b->n_changed || a->n_patches != b->n_patches || a->n_removed != b->n_removed ||
		a->n_users != b->n_users || !same_nodes(a, b))
		return false;
	for (size_t i = 0; i < a->n_users; i++)
		if (a->users[i].id != b->users[i].id)
			return false;
	return same_bytes(a->patches, b->patches, a->n_patches * sizeof(*a->patches)) &&
	       same_bytes(a->peers_removed, b->peers_removed, a->n_removed * sizeof(*a->peers_removed));
}

static void *keep_list(struct packed_last *l, const void *v, size_t n)
{
	return n ? arena_memdup(&l->mem, v, n) : NULL;
}

static void keep_lists(struct packed_last *l, const struct ctl_map_response *r)
{
	l->r = *r;
	l->r.peers_changed = keep_list(l, r->peers_changed, r->n_changed * sizeof(*r->peers_changed));
	l->r.patches = keep_list(l, r->patches, r->n_patches * sizeof(*r->patches));
	l->r.peers_removed = keep_list(l, r->peers_removed, r->n_removed * sizeof(*r->peers_removed));
	l->r.users = keep_list(l, r->users, r->n_users * sizeof(*r->users));
}

const struct buf *packed_change(
	struct packed *p, const struct view_context *c, const struct ctl_map_response *r, bool zstd)
{
	struct packed_last *l = p->last;
	struct buf json = { 0 };
	const bool shared = is_of_peers(r);
	if (shared && l && l->moment == c->journal->now && l->cap == c->viewer_cap && l->zstd == zstd &&
		same_peers(&l->r, r))
		return &l->frame;
	free_last(p);
	l = p->last = calloc(1, sizeof(*l));
	struct map_packer *packer;
	bool ok = l && packer_for(p, zstd, &packer) && ctl_map_response_write(&json, r) &&
		  !map_frame_write(buf_data(&json), json.len, packer, &l->frame);
	buf_free(&json);
	if (!ok)
		return NULL;
	if (shared && l->frame.len <= KEPT_MAX) {
		l->moment = c->journal->now;
		l->cap = c->viewer_cap;
		l->zstd = zstd;
		keep_lists(l, r);
	}
	if (l->mem.failed)
		l->moment = 0;
	return &l->frame;
}
