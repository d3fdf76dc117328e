/* "ipsets": named sets of addresses. Each is worked out once, in the order in which it is written: what is added
 * later may give back what was removed before. What is left of autogroup:internet is kept apart from all other
 * addresses, since it is for exits alone and they are not. */
#include "mesh/control/policy/match.h"
#include "mesh/control/policy/reader.h"

#include <stdio.h>
#include <string.h>

enum { IPSET_NETS_MAX = 1024, IPSET_DEPTH_MAX = 16 };

struct nets {
	struct prefix *v;
	size_t n, size;
};
struct ipset {
	const char *name;
	enum { IPSET_UNREAD, IPSET_BUSY, IPSET_READ } state;
	struct nets own, internet;
};

/* One line: an operation and what it is about. */
struct ipset_line {
	struct ipset *set;
	const char *where, *target; /* target: trimmed */
	bool removes;
	unsigned depth;
};

static bool within(const struct prefix *p, const struct prefix *q)
{
	return q->bits <= p->bits && prefix_contains(q, &p->ip);
}

/* --- adding and removing --- */

static bool nets_add(struct reader *rd, struct nets *to, const struct prefix *p, const char *where)
{
	size_t n = 0;
	for (size_t i = 0; i < to->n; i++)
		if (within(p, &to->v[i]))
			return true;
	for (size_t i = 0; i < to->n; i++)
		if (!within(&to->v[i], p))
			to->v[n++] = to->v[i];
	to->n = n;
	if (to->n >= IPSET_NETS_MAX)
		return reader_refuse(
			rd, where, "the set has more than %d ranges: name wider ones", IPSET_NETS_MAX);
	if (to->n == to->size) {
		size_t size = to->size ? to->size * 2 : 8;
		struct prefix *v = arena_array(&rd->p->mem, size, sizeof(*v));
		if (!v)
			return reader_no_memory(rd);
		if (to->n)
			memcpy(v, to->v, to->n * sizeof(*v));
		to->v = v;
		to->size = size;
	}
	to->v[to->n++] = *p;
	return true;
}

/* The half of q that is not on p's side, one bit below q's end; q becomes the other. */
static struct prefix split(struct prefix *q, const struct prefix *p)
{
	unsigned bit = q->bits + (addr_is_v4(&q->ip) ? 96U : 0U);
	uint8_t mask = (uint8_t)(0x80U >> bit % 8);
	struct prefix other;
	q->bits++;
	q->ip.b[bit / 8] = (uint8_t)((q->ip.b[bit / 8] & ~mask) | (p->ip.b[bit / 8] & mask));
	other = *q;
	other.ip.b[bit / 8] ^= mask;
	return other;
}

static bool nets_remove(struct reader *rd, struct nets *from, const struct prefix *p, const char *where)
{
	struct nets left = { 0 };
	for (size_t i = 0; i < from->n; i++) {
		struct prefix q = from->v[i];
		if (within(&q, p))
			continue;
		while (within(p, &q) && q.bits < p->bits) {
			struct prefix other = split(&q, p);
			if (!nets_add(rd, &left, &other, where))
				return false;
		}
		if (!within(&q, p) && !nets_add(rd, &left, &q, where))
			return false;
	}
	*from = left;
	return true;
}

static bool nets_change(
	struct reader *rd, struct nets *to, const struct prefix *v, size_t n, const struct ipset_line *l)
{
	for (size_t i = 0; i < n; i++)
		if (!(l->removes ? nets_remove : nets_add)(rd, to, &v[i], l->where))
			return false;
	return true;
}

/* --- reading --- */

/* NULL: said. */
static struct ipset *ipset_find(struct reader *rd, const char *name, const char *where, unsigned depth);

static bool take_set(struct reader *rd, const struct ipset_line *l)
{
	const struct ipset *other = ipset_find(rd, l->target, l->where, l->depth + 1);
	return other && nets_change(rd, &l->set->own, other->own.v, other->own.n, l) &&
	       nets_change(rd, &l->set->internet, other->internet.v, other->internet.n, l);
}

static bool take_line(struct reader *rd, const struct ipset_line *l)
{
	struct prefix net;
	const char *host = json_string_value(json_object_get(rd->hosts, l->target));
	size_t n;
	if (!strncmp(l->target, "ipset:", 6))
		return take_set(rd, l);
	if (!strcmp(l->target, "autogroup:internet")) {
		const struct prefix *v = internet_nets(&rd->p->mem, &n);
		return v ? nets_change(rd, &l->set->internet, v, n, l) : reader_no_memory(rd);
	}
	if (!prefix_parse(host ? host : l->target, &net))
		return reader_refuse(rd, l->where,
			"\"%.64s\" is no address, prefix, name in \"hosts\", ipset: or autogroup:internet",
			l->target);
	prefix_mask(&net);
	/* an address that is taken away is taken away from both */
	return nets_change(rd, &l->set->own, &net, 1, l) &&
	       (!l->removes || nets_change(rd, &l->set->internet, &net, 1, l));
}

/* "add X", "remove X", or X alone where nothing is removed. */
static bool read_line(struct reader *rd, const char *text, bool only_adds, struct ipset_line *l)
{
	const char *line = reader_trimmed(rd, text);
	bool adds = line && !strncmp(line, "add ", 4);
	if (!line)
		return false;
	l->removes = !strncmp(line, "remove ", 7);
	if (!adds && !l->removes && !only_adds)
		return reader_refuse(rd, l->where,
			"write \"add %.64s\": in a set that removes, each line says what it does", line);
	l->target = reader_trimmed(rd, line + (adds ? 4 : l->removes ? 7 : 0));
	return l->target && take_line(rd, l);
}

static bool read_set(struct reader *rd, struct ipset *set, unsigned depth)
{
	json_t *list, *item;
	size_t i;
	char where[WHERE_MAX], at[WHERE_MAX];
	bool only_adds = true;
	snprintf(where, sizeof(where), "ipsets.%.64s", set->name);
	if (!reader_strings(rd, rd->ipsets, set->name, true, where, &list))
		return false;
	json_array_foreach(list, i, item) only_adds =
		only_adds && strncmp(json_string_value(item), "remove ", 7) != 0;
	json_array_foreach(list, i, item)
	{
		struct ipset_line l = { .set = set, .where = at, .depth = depth };
		snprintf(at, sizeof(at), "%s[%zu]", where, i);
		if (!read_line(rd, json_string_value(item), only_adds, &l))
			return false;
	}
	return true;
}

static struct ipset *ipset_find(struct reader *rd, const char *name, const char *where, unsigned depth)
{
	struct ipset *set = NULL;
	const char *wrong = NULL;
	for (size_t i = 0; i < rd->n_sets; i++)
		if (!strcmp(rd->sets[i].name, name))
			set = &rd->sets[i];
	if (!set)
		wrong = "%.64s is not in \"ipsets\": add it there";
	else if (set->state == IPSET_BUSY)
		wrong = "%.64s is made of itself";
	else if (depth > IPSET_DEPTH_MAX)
		wrong = "%.64s is made of too many others in a row";
	if (wrong) {
		reader_refuse(rd, where, wrong, name);
		return NULL;
	}
	if (set->state == IPSET_UNREAD) {
		set->state = IPSET_BUSY;
		if (!read_set(rd, set, depth))
			return NULL;
		set->state = IPSET_READ;
	}
	return set;
}

bool ipsets_read(struct reader *rd)
{
	const char *name;
	json_t *list;
	rd->sets = arena_array(&rd->p->mem, json_object_size(rd->ipsets), sizeof(*rd->sets));
	if (!rd->sets)
		return reader_no_memory(rd);
	json_object_foreach(rd->ipsets, name, list)
	{
		char where[WHERE_MAX];
		snprintf(where, sizeof(where), "ipsets.%.64s", name);
		if (strncmp(name, "ipset:", 6) != 0 || !name[6])
			return reader_refuse(rd, where, "a set's name begins with \"ipset:\"");
		rd->sets[rd->n_sets++].name = name;
	}
	for (size_t i = 0; i < rd->n_sets; i++)
		if (!ipset_find(rd, rd->sets[i].name, "ipsets", 0))
			return false;
	return true;
}

bool ipset_select(struct reader *rd, struct selectors *out, const char *name, bool source, const char *where)
{
	const struct ipset *set = ipset_find(rd, name, where, 0);
	if (!set)
		return false;
	if (source && set->internet.n)
		return reader_refuse(
			rd, where, "%.64s has autogroup:internet, which can only be a destination", name);
	for (size_t i = 0; i < set->own.n; i++) {
		const struct selector s = { .kind = SELECT_PREFIX, .net = set->own.v[i] };
		if (!selector_add(rd, out, &s, where))
			return false;
	}
	const struct selector rest = {
		.kind = SELECT_INTERNET, .nets = set->internet.v, .n_nets = set->internet.n
	};
	return !set->internet.n || selector_add(rd, out, &rest, where);
}
