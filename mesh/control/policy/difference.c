/* Nodes that both policies treat alike are one kind, and each kind is compared with each: a fleet of thousands has few.
 * A kind is known by what was found for each rule: whether it is a source, and for each target of it, for each rule of
 * logins and for each row of attributes whether it is meant. Beside kinds there are nets: what is carried, and what of
 * it a rule names. */
#include "mesh/control/policy/difference.h"

#include "mesh/base/table.h"
#include "mesh/control/policy/index.h"
#include "mesh/control/policy/match.h"
#include "mesh/control/policy/reach.h"
#include <string.h>

enum { KINDS_MAX = 512, NETS_MAX = 256, ROWS_MAX = 200, SIDES = 2 };

/* One policy, and where in a kind's bits what was found for it stands. */
struct side {
	const struct policy *p;
	size_t logins, attrs, end; /* bits: [rules][targets][logins: from, to][attrs] */
	size_t *first;		   /* of each rule: where its targets begin among the bits */
	uint64_t *marks;	   /* of each target, by the same place: what it lets one do */
	uint64_t *found;	   /* room for the index's answers */
};
struct kind {
	struct ctl_strings names;
	size_t size;
	uint64_t *bits[SIDES];
	size_t *from[SIDES]; /* the rules that have it as a source */
	size_t n_from[SIDES];
	int64_t person; /* 0: tagged, or it does not matter */
};
struct difference_work {
	struct side side[SIDES];
	const struct fleet *f;
	struct arena *a, scratch;
	struct kind *kinds;
	struct table by_bits; /* hash of the bits -> kind */
	struct prefix *nets;
	size_t n_kinds, n_nets;
	bool people; /* some rule is about machines of one person */
	struct difference *out;
};

static bool bit(const uint64_t *bits, size_t i)
{
	return bits[i / 64] >> i % 64 & 1;
}
static void bit_set(uint64_t *bits, size_t i, bool is)
{
	bits[i / 64] |= (uint64_t)is << i % 64;
}

/* --- kinds of nodes --- */

/* The same for targets that let one do the same. */
static uint64_t mark_of(const struct access_rule *r, const struct target *t)
{
	uint64_t mark = hash_bytes(t->ports, t->n_ports * sizeof(*t->ports), 1, r->n_protos);
	mark ^= hash_bytes(r->protos, r->n_protos, 2, mark);
	return r->caps ? hash_bytes(r->caps, strlen(r->caps), 3, mark) : mark;
}

static void open_side(struct side *s, const struct policy *p, struct arena *a)
{
	size_t words = (p->n_rules + 63) / 64, at = p->n_rules;
	s->p = p;
	s->first = arena_array(a, p->n_rules, sizeof(*s->first));
	s->found = arena_array(a, 3 * words, sizeof(*s->found));
	for (size_t i = 0; i < p->n_rules && s->first; i++) {
		s->first[i] = at;
		at += p->rules[i].n_dst;
	}
	s->marks = arena_array(a, at, sizeof(*s->marks));
	for (size_t i = 0; i < p->n_rules && s->first && s->marks; i++)
		for (size_t k = 0; k < p->rules[i].n_dst; k++)
			s->marks[s->first[i] + k] = mark_of(&p->rules[i], &p->rules[i].dst[k]);
	s->logins = at;
	s->attrs = s->logins + 2 * p->n_ssh;
	s->end = s->attrs + p->n_attrs;
}

static bool is_about_people(const struct policy *p)
{
	bool is = p->self;
	for (size_t i = 0; i < p->n_ssh; i++)
		is = is || selectors_have(&p->ssh[i].dst, SELECT_SELF);
	return is;
}

/* Targets of one rule that mean m. */
static void find_targets(
	const struct side *s, const struct fleet *f, const struct member *m, size_t rule, uint64_t *bits)
{
	const struct access_rule *r = &s->p->rules[rule];
	for (size_t k = 0; k < r->n_dst; k++)
		bit_set(bits, s->first[rule] + k, match_any(&r->dst[k].who, f, m));
}

/* What m itself is, and not what it carries: of those that carry nothing the index knows that, of the others it is
 * asked rule by rule. */
static void find_rules(const struct side *s, const struct fleet *f, const struct member *m, uint64_t *bits)
{
	size_t n = s->p->n_rules, words = (n + 63) / 64;
	if (!m->carries.n)
		policy_index_find(s->p, f, m,
			&(struct index_bits) { s->found, s->found + words, s->found + 2 * words });
	for (size_t i = 0; i < n; i++) {
		bool asked = m->carries.n > 0;
		bit_set(bits, i, asked ? match_any(&s->p->rules[i].src, f, m) : bit(s->found, i));
		if (asked || bit(s->found + words, i))
			find_targets(s, f, m, i, bits);
	}
}

static void find_bits(const struct side *s, const struct fleet *f, const struct member *m, uint64_t *bits)
{
	memset(bits, 0, (s->end / 64 + 1) * sizeof(*bits));
	find_rules(s, f, m, bits);
	for (size_t i = 0; i < s->p->n_ssh; i++) {
		bit_set(bits, s->logins + 2 * i, match_any(&s->p->ssh[i].src, f, m));
		bit_set(bits, s->logins + 2 * i + 1, match_any(&s->p->ssh[i].dst, f, m));
	}
	for (size_t i = 0; i < s->p->n_attrs; i++)
		bit_set(bits, s->attrs + i, match_any(&s->p->attrs[i].target, f, m));
}

static void list_rules(
	struct difference_work *w, const struct side *s, const uint64_t *bits, size_t **v, size_t *n)
{
	*n = 0;
	for (size_t i = 0; i < s->p->n_rules; i++)
		*n += bit(bits, i);
	*v = arena_array(w->a, *n, sizeof(**v));
	*n = 0;
	for (size_t i = 0; i < s->p->n_rules && *v; i++)
		if (bit(bits, i))
			(*v)[(*n)++] = i;
}

struct kind_key {
	uint64_t hash[SIDES];
	int64_t person;
};

/* NULL: memory is short, or there are too many. */
static struct kind *kind_of(
	struct difference_work *w, const struct kind_key *key, uint64_t *const bits[SIDES])
{
	struct kind *k = table_get(&w->by_bits, key);
	if (k)
		return k;
	if (w->n_kinds == KINDS_MAX) {
		w->out->cut = true;
		return NULL;
	}
	k = &w->kinds[w->n_kinds];
	k->person = key->person;
	for (size_t i = 0; i < SIDES; i++)
		k->bits[i] = arena_memdup(w->a, bits[i], (w->side[i].end / 64 + 1) * sizeof(*bits[i]));
	for (size_t i = 0; i < SIDES && !w->a->failed; i++)
		list_rules(w, &w->side[i], k->bits[i], &k->from[i], &k->n_from[i]);
	if (w->a->failed || !table_put(&w->by_bits, key, k)) {
		w->a->failed = true;
		return NULL;
	}
	w->n_kinds++;
	return k;
}

static void add_to_kind(struct difference_work *w, struct kind *k, const struct member *m)
{
	struct ctl_strings *s = &k->names;
	if (s->n == k->size) {
		k->size = k->size ? k->size * 2 : 4;
		const char **v = arena_array(w->a, k->size, sizeof(*v));
		if (!v)
			return;
		if (s->n)
			memcpy(v, s->v, s->n * sizeof(*v));
		s->v = v;
	}
	s->v[s->n++] = m->name;
}

static void find_kinds(struct difference_work *w)
{
	uint64_t *bits[SIDES];
	w->kinds = arena_array(w->a, KINDS_MAX, sizeof(*w->kinds));
	for (size_t i = 0; i < SIDES; i++)
		bits[i] = arena_array(w->a, w->side[i].end / 64 + 1, sizeof(*bits[i]));
	for (size_t m = 0; m < w->f->n && !w->a->failed; m++) {
		struct kind_key key = { .person = 0 };
		if (w->people && !member_is_tagged(w->f->v[m]))
			key.person = w->f->v[m]->user;
		for (size_t i = 0; i < SIDES; i++) {
			find_bits(&w->side[i], w->f, w->f->v[m], bits[i]);
			key.hash[i] = hash_bytes(bits[i], (w->side[i].end / 64 + 1) * sizeof(*bits[i]),
				0x9e3779b97f4a7c15, 0xd1b54a32d192ed03);
		}
		struct kind *k = kind_of(w, &key, bits);
		if (k)
			add_to_kind(w, k, w->f->v[m]);
	}
}

/* --- nets --- */

static void add_net(struct difference_work *w, const struct prefix *net)
{
	for (size_t i = 0; i < w->n_nets; i++)
		if (prefix_equal(&w->nets[i], net))
			return;
	if (w->n_nets == NETS_MAX)
		w->out->cut = true;
	else
		w->nets[w->n_nets++] = *net;
}

/* What of the route rules name by itself. */
static void add_parts(struct difference_work *w, const struct policy *p, const struct prefix *route)
{
	for (size_t i = 0; i < p->n_rules; i++)
		for (size_t k = 0; k < p->rules[i].n_dst; k++) {
			const struct selectors *who = &p->rules[i].dst[k].who;
			for (size_t s = 0; s < who->n; s++)
				if (who->v[s].kind == SELECT_PREFIX && who->v[s].net.bits > route->bits &&
					prefix_contains(route, &who->v[s].net.ip))
					add_net(w, &who->v[s].net);
		}
}

static void find_nets(struct difference_work *w)
{
	w->nets = arena_array(w->a, NETS_MAX, sizeof(*w->nets));
	for (size_t m = 0; m < w->f->n && w->nets; m++)
		for (size_t k = 0; k < w->f->v[m]->carries.n; k++) {
			const struct prefix *route = &w->f->v[m]->carries.v[k];
			add_net(w, route);
			for (size_t i = 0; i < SIDES && route->bits; i++)
				add_parts(w, w->side[i].p, route);
		}
}

/* Somebody carries it whom the grant goes by. */
static bool has_way(const struct difference_work *w, const struct access_rule *r, const struct prefix *net)
{
	for (size_t m = 0; m < w->f->n && r->via.n; m++)
		for (size_t k = 0; k < w->f->v[m]->carries.n; k++)
			if (match_via(r, w->f->v[m]) && w->f->v[m]->carries.v[k].bits <= net->bits &&
				prefix_contains(&w->f->v[m]->carries.v[k], &net->ip))
				return true;
	return !r->via.n;
}

/* --- what one may do to another --- */

static void add_logins(const struct policy *p, size_t i, struct reach *out)
{
	const struct ssh_rule *r = &p->ssh[i];
	for (size_t k = 0; k < r->users.n; k++) {
		const char *word = arena_printf(out->a, "ssh as %s", r->users.v[k]);
		if (word)
			reach_add_word(out, word);
	}
}

static void reach_nodes(const struct difference_work *w, size_t at, const struct kind *x,
	const struct kind *y, struct reach *out)
{
	const struct side *s = &w->side[at];
	const uint64_t *from = x->bits[at], *to = y->bits[at];
	bool person = x->person && x->person == y->person;
	for (size_t i = 0; i < x->n_from[at]; i++) {
		const struct access_rule *r = &s->p->rules[x->from[at][i]];
		size_t target = s->first[x->from[at][i]];
		for (size_t k = 0; k < r->n_dst && !r->via.n; k++) {
			if (!bit(to, target + k) && !(person && selectors_have(&r->dst[k].who, SELECT_SELF)))
				continue;
			if (r->caps)
				reach_add_word(out, r->caps);
			else
				reach_add_ports(out, &r->dst[k], r->protos, r->n_protos);
		}
	}
	for (size_t i = 0; i < s->p->n_ssh; i++)
		if (bit(from, s->logins + 2 * i) &&
			(bit(to, s->logins + 2 * i + 1) ||
				(person && selectors_have(&s->p->ssh[i].dst, SELECT_SELF))))
			add_logins(s->p, i, out);
}

static void reach_net(const struct difference_work *w, size_t at, const struct kind *x,
	const struct prefix *net, struct reach *out)
{
	const struct policy *p = w->side[at].p;
	for (size_t i = 0; i < x->n_from[at]; i++) {
		const struct access_rule *r = &p->rules[x->from[at][i]];
		for (size_t k = 0; k < r->n_dst && !r->caps; k++)
			if (match_net_whole(&r->dst[k].who, net) && has_way(w, r, net))
				reach_add_ports(out, &r->dst[k], r->protos, r->n_protos);
	}
}

static void reach_attrs(const struct difference_work *w, size_t at, const struct kind *y, struct reach *out)
{
	const struct side *s = &w->side[at];
	for (size_t i = 0; i < s->p->n_attrs; i++)
		for (size_t k = 0; k < s->p->attrs[i].attrs.n && bit(y->bits[at], s->attrs + i); k++) {
			const char *word = arena_printf(out->a, "attribute %s", s->p->attrs[i].attrs.v[k]);
			if (word)
				reach_add_word(out, word);
		}
}

/* --- rows --- */

static bool same_names(const struct ctl_strings *a, const struct ctl_strings *b)
{
	for (size_t i = 0; i < a->n && a->n == b->n; i++)
		if (a->v[i] != b->v[i] && strcmp(a->v[i], b->v[i]) != 0)
			return false;
	return a->n == b->n;
}

static void add_names(struct arena *a, struct ctl_strings *to, const struct ctl_strings *more)
{
	const char **v = arena_array(a, to->n + more->n, sizeof(*v));
	if (!v)
		return;
	if (to->n)
		memcpy(v, to->v, to->n * sizeof(*v));
	if (more->n)
		memcpy(v + to->n, more->v, more->n * sizeof(*v));
	to->v = v;
	to->n += more->n;
}

static void add_row(struct difference_work *w, const struct difference_row *row)
{
	struct difference *d = w->out;
	for (size_t i = 0; i < d->n; i++) /* the same, from others as well */
		if (d->v[i].gains == row->gains && !strcmp(d->v[i].what, row->what) && row->from.n &&
			same_names(&d->v[i].to, &row->to)) {
			add_names(w->a, &d->v[i].from, &row->from);
			return;
		}
	if (d->n == ROWS_MAX)
		d->cut = true;
	else
		d->v[d->n++] = *row;
}

static void compare(struct difference_work *w, const struct reach *old, const struct reach *now,
	struct difference_row row)
{
	for (int gains = 0; gains < 2; gains++) {
		struct buf text = { 0 };
		reach_less(gains ? now : old, gains ? old : now, &text);
		row.gains = gains;
		row.what = text.len ? arena_strndup(w->a, (const char *)buf_data(&text), text.len) : NULL;
		if (row.what)
			add_row(w, &row);
		buf_free(&text);
	}
}

static void compare_settled(
	struct difference_work *w, struct reach r[static SIDES], const struct difference_row *row)
{
	for (size_t i = 0; i < SIDES; i++)
		reach_settle(&r[i]);
	if (!w->a->failed)
		compare(w, &r[0], &r[1], *row);
	w->a->failed = w->a->failed || w->scratch.failed;
	arena_free(&w->scratch);
}

/* The same when the same targets apply, in that order. Most pairs are told apart from a change by this alone. */
static uint64_t mark_nodes(
	const struct difference_work *w, size_t at, const struct kind *x, const struct kind *y)
{
	const struct side *s = &w->side[at];
	bool person = x->person && x->person == y->person;
	uint64_t mark = 0;
	for (size_t i = 0; i < x->n_from[at]; i++) {
		const struct access_rule *r = &s->p->rules[x->from[at][i]];
		size_t target = s->first[x->from[at][i]];
		for (size_t k = 0; k < r->n_dst && !r->via.n; k++)
			if (bit(y->bits[at], target + k) ||
				(person && r->self && selectors_have(&r->dst[k].who, SELECT_SELF)))
				mark = mark * 0x100000001b3 + s->marks[target + k];
	}
	return mark;
}

static void compare_nodes(struct difference_work *w, const struct kind *x, const struct kind *y)
{
	bool logins = w->side[0].p->n_ssh || w->side[1].p->n_ssh;
	if (!logins && mark_nodes(w, 0, x, y) == mark_nodes(w, 1, x, y))
		return;
	struct reach r[SIDES] = { { .a = &w->scratch }, { .a = &w->scratch } };
	for (size_t i = 0; i < SIDES; i++)
		reach_nodes(w, i, x, y, &r[i]);
	compare_settled(w, r, &(struct difference_row) { .from = x->names, .to = y->names });
}

static void compare_net(struct difference_work *w, const struct kind *x, const struct prefix *net)
{
	struct reach r[SIDES] = { { .a = &w->scratch }, { .a = &w->scratch } };
	char text[PREFIX_TEXT];
	const char *name = arena_strdup(w->a, prefix_format(net, text));
	for (size_t i = 0; i < SIDES; i++)
		reach_net(w, i, x, net, &r[i]);
	compare_settled(w, r,
		&(struct difference_row) {
			.from = x->names, .to = { .v = arena_memdup(w->a, &name, sizeof(name)), .n = 1 } });
}

static void compare_attrs(struct difference_work *w, const struct kind *y)
{
	struct reach r[SIDES] = { { .a = &w->scratch }, { .a = &w->scratch } };
	for (size_t i = 0; i < SIDES; i++)
		reach_attrs(w, i, y, &r[i]);
	compare_settled(w, r, &(struct difference_row) { .to = y->names });
}

static void compare_all(struct difference_work *w)
{
	for (size_t x = 0; x < w->n_kinds && !w->a->failed && w->out->n < ROWS_MAX; x++) {
		compare_attrs(w, &w->kinds[x]);
		for (size_t y = 0; y < w->n_kinds; y++)
			if (x != y || w->kinds[x].names.n > 1) /* a node alone says nothing to itself */
				compare_nodes(w, &w->kinds[x], &w->kinds[y]);
		for (size_t i = 0; i < w->n_nets; i++)
			compare_net(w, &w->kinds[x], &w->nets[i]);
	}
}

/* From the same, the same: to all of them. */
static void join_rows(struct difference_work *w)
{
	struct difference *d = w->out;
	size_t n = 0;
	for (size_t i = 0; i < d->n; i++) {
		size_t k = 0;
		while (k < n && (d->v[k].gains != d->v[i].gains || strcmp(d->v[k].what, d->v[i].what) != 0 ||
					!same_names(&d->v[k].from, &d->v[i].from)))
			k++;
		if (k < n)
			add_names(w->a, &d->v[k].to, &d->v[i].to);
		else
			d->v[n++] = d->v[i];
	}
	d->n = n;
}

bool policy_difference(const struct policy *old, const struct policy *now, const struct fleet *f,
	struct arena *a, struct difference *out)
{
	char open[] = "{}";
	struct policy *all = policy_parse(open, strlen(open), NULL); /* what holds where there is none */
	struct difference_work w = { .f = f, .a = a, .out = out };
	*out = (struct difference) { .v = arena_array(a, ROWS_MAX, sizeof(*out->v)) };
	if (!all || !out->v) {
		policy_free(all);
		return false;
	}
	open_side(&w.side[0], old ? old : all, a);
	open_side(&w.side[1], now ? now : all, a);
	w.people = is_about_people(w.side[0].p) || is_about_people(w.side[1].p);
	table_init(&w.by_bits, sizeof(struct kind_key), 0);
	if (!a->failed)
		find_kinds(&w);
	find_nets(&w);
	if (!a->failed)
		compare_all(&w);
	join_rows(&w);
	table_fini(&w.by_bits);
	policy_free(all);
	return !a->failed;
}
