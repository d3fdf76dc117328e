#include "mesh/control/view/packed.h"

#include "mesh/base/wire.h"
#include "mesh/transport/control_link.h"
#include <stdlib.h>
#include <string.h>

enum {
	SPAN = 64,
	CAPS_MAX = 4,
	PREFIX = 4,
	KEPT_MAX = 1024 * 1024, /* of a message, and of the room for whole maps that is not given back */
	FRONT_MIN = 128
};

/* The peers with numbers [number * SPAN, ... + SPAN), each with a comma before it, but for the first of a list. */
struct span {
	int64_t number;
	struct span_part {
		uint16_t cap;
		bool first;
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

/* What viewers are told of a moment begins alike, and ends with what is their own: the addresses that rules let
 * others come to. */
struct packed_front {
	uint64_t moment;
	uint16_t cap;
	size_t len;	 /* of text: its bytes that are in part; 0: nothing is packed yet */
	struct buf text; /* of the message that it was found in */
	struct buf part, frame;
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

static void free_front(struct packed *p)
{
	if (!p->front)
		return;
	buf_free(&p->front->text);
	buf_free(&p->front->part);
	buf_free(&p->front->frame);
	free(p->front);
	p->front = NULL;
}

void packed_fini(struct packed *p)
{
	struct span *s;
	size_t at = 0;
	while ((s = table_next(&p->spans, &at)))
		free_span(s);
	table_fini(&p->spans);
	free_last(p);
	free_front(p);
	buf_free(&p->whole);
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

/* The span as it is packed for this viewer's version, which is made when there is none. first: of all the peers. */
static const struct buf *span_part(
	struct packing *k, int64_t number, const struct member *const *v, size_t n, bool first)
{
	struct span *s = span_of(k->p, number);
	struct buf text = { 0 };
	const uint16_t cap = k->c->viewer_cap;
	for (size_t i = 0; s && i < CAPS_MAX; i++)
		if (s->parts[i].part.len && s->parts[i].cap == cap && s->parts[i].first == first)
			return &s->parts[i].part;
	if (!s || !write_peers(k->c, k->self, v, n, first, &text)) {
		buf_free(&text);
		return NULL;
	}
	struct span_part *to = &s->parts[s->next++ % CAPS_MAX];
	buf_free(&to->part);
	to->cap = cap;
	to->first = first;
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
		/* all of it, to whom all of it is told alike */
		bool whole = count_span(k->c->fleet, number, &at, &common) == n && common && k->packer;
		const struct buf *part = whole ? span_part(k, number, peers->v + i, n, !i) : NULL;
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

const struct buf *packed_whole(
	struct packed *p, const struct view_context *c, const struct member *self, struct view *v, bool zstd)
{
	static const uint8_t length[PREFIX];
	struct arena a = { 0 };
	struct ctl_map_response head;
	struct view_peers peers;
	struct buf *out = &p->whole;
	struct packing k = { .p = p, .c = c, .self = self, .out = out };
	buf_consume(out, out->len);
	if (out->size > KEPT_MAX)
		buf_free(out);
	bool ok = view_head(c, self, v, &a, &head, &peers) && packer_for(p, zstd, &k.packer) &&
		  buf_append(out, length, PREFIX) && add_message(&k, &head, &peers);
	if (ok)
		le_put(buf_data(out), PREFIX, out->len - PREFIX);
	else
		view_fini(v);
	buf_free(&k.text);
	arena_free(&a);
	return ok ? out : NULL;
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

/* How far the text is what begins the message before. */
static size_t same_front(const struct packed_front *f, const struct buf *text)
{
	const size_t kept = f->len ? f->len : f->text.len, most = kept < text->len ? kept : text->len;
	const uint8_t *a = buf_data(&f->text), *b = buf_data(text);
	size_t n = 0;
	/* by halves, rounded up: most are the same to the end */
	for (size_t step = most; step; step = step > 1 ? step - step / 2 : 0)
		if (step <= most - n && !memcmp(a + n, b + n, step))
			n += step;
	return n;
}

/* Of the front that is packed, or of what the message before and this one have alike, if that is worth it. *len: how
 * much of the text it is, 0: nothing. false: memory is short. */
static bool find_front(struct packed_front *f, const struct view_context *c, const struct buf *text,
	struct map_packer *packer, size_t *len)
{
	const bool is_now = f->moment == c->journal->now && f->cap == c->viewer_cap;
	const size_t same = is_now ? same_front(f, text) : 0;
	*len = 0;
	if (same < FRONT_MIN || same < f->len / 2) { /* those after it may be like this one */
		f->moment = c->journal->now;
		f->cap = c->viewer_cap;
		f->len = 0;
		buf_consume(&f->text, f->text.len);
		return text->len > KEPT_MAX || buf_append(&f->text, buf_data(text), text->len);
	}
	if (same != f->len) {
		f->len = 0;
		buf_consume(&f->part, f->part.len);
		if (map_part_write(buf_data(text), same, packer, &f->part))
			return false;
		f->len = same;
	}
	*len = f->len;
	return true;
}

/* A message that is one viewer's. */
static const struct buf *pack_own(
	struct packed *p, const struct view_context *c, const struct buf *text, struct map_packer *packer)
{
	static const uint8_t length[PREFIX];
	struct packed_front *f = p->front;
	size_t len = 0;
	if (!f && !(f = p->front = calloc(1, sizeof(*f))))
		return NULL;
	buf_consume(&f->frame, f->frame.len);
	if (packer && !find_front(f, c, text, packer, &len)) {
		free_front(p);
		return NULL;
	}
	if (!buf_append(&f->frame, length, PREFIX) ||
		(len && !buf_append(&f->frame, buf_data(&f->part), f->part.len)))
		return NULL;
	const uint8_t *rest = buf_data(text) + len;
	if (len ? map_rest_write(rest, text->len - len, packer, &f->frame)
		: map_part_write(rest, text->len, packer, &f->frame))
		return NULL;
	le_put(buf_data(&f->frame), PREFIX, f->frame.len - PREFIX);
	return &f->frame;
}

/* A message that is the same for many. */
static const struct buf *pack_shared(struct packed *p, const struct view_context *c,
	const struct ctl_map_response *r, const struct buf *text, struct map_packer *packer)
{
	free_last(p);
	struct packed_last *l = p->last = calloc(1, sizeof(*l));
	if (!l || map_frame_write(buf_data(text), text->len, packer, &l->frame))
		return NULL;
	if (l->frame.len <= KEPT_MAX) {
		l->moment = c->journal->now;
		l->cap = c->viewer_cap;
		l->zstd = packer;
		keep_lists(l, r);
	}
	if (l->mem.failed)
		l->moment = 0;
	return &l->frame;
}

const struct buf *packed_change(
	struct packed *p, const struct view_context *c, const struct ctl_map_response *r, bool zstd)
{
	const struct packed_last *l = p->last;
	const struct buf *frame = NULL;
	struct map_packer *packer;
	struct buf text = { 0 };
	const bool shared = is_of_peers(r);
	if (shared && l && l->moment == c->journal->now && l->cap == c->viewer_cap && l->zstd == zstd &&
		same_peers(&l->r, r))
		return &l->frame;
	if (packer_for(p, zstd, &packer) && ctl_map_response_write(&text, r))
		frame = shared ? pack_shared(p, c, r, &text, packer) : pack_own(p, c, &text, packer);
	buf_free(&text);
	return frame;
}
