/* "nodeAttrs" and "randomizeClientPort": what a node is told that it is or may do (CapMap of its own node).
 */
#include "mesh/control/policy/match.h"
#include "mesh/control/policy/reader.h"

#include <stdio.h>
#include <string.h>

/* What the official service keeps for itself, and alloc.c for the machine's own. */
static bool is_reserved(const struct prefix *net)
{
	static const char *const nets[] = { "100.100.0.0/24", "100.100.100.0/24", "100.115.92.0/23" };
	for (size_t i = 0; i < ARRAY_LEN(nets); i++) {
		struct prefix r;
		if (prefix_parse(nets[i], &r) && r.bits <= net->bits && prefix_contains(&r, &net->ip))
			return true;
	}
	return false;
}

static bool read_pools(struct reader *rd, json_t *o, struct node_attr *to, const char *where)
{
	json_t *list, *item;
	struct prefix all;
	size_t i;
	if (!reader_strings(rd, o, "ipPool", false, where, &list))
		return false;
	to->pools.v = arena_array(&rd->p->mem, json_array_size(list), sizeof(*to->pools.v));
	if (!to->pools.v)
		return reader_no_memory(rd);
	(void)prefix_parse("100.64.0.0/10", &all);
	json_array_foreach(list, i, item)
	{
		struct prefix *net = &to->pools.v[to->pools.n++];
		char at[WHERE_MAX];
		snprintf(at, sizeof(at), "%s.ipPool[%zu]", where, i);
		if (!prefix_parse(json_string_value(item), net) || !addr_is_v4(&net->ip) ||
			net->bits < all.bits || !prefix_contains(&all, &net->ip))
			return reader_refuse(rd, at,
				"\"%.64s\" is no prefix inside 100.64.0.0/10 (clients use no other)",
				json_string_value(item));
		prefix_mask(net);
		if (is_reserved(net))
			return reader_refuse(rd, at, "%.64s is kept for other uses: name another",
				json_string_value(item));
	}
	return true;
}

static bool read_attr(struct reader *rd, json_t *o, struct node_attr *to, const char *where)
{
	static const char *const names[] = { "target", "attr", "app", "ipPool", NULL };
	char at[WHERE_MAX];
	json_t *target, *attr;
	if (!reader_keys(rd, o, names, where))
		return false;
	snprintf(at, sizeof(at), "%s.app", where);
	if (json_object_get(o, "app"))
		return reader_refuse(rd, at, "app connectors are not supported by this server");
	if (!reader_strings(rd, o, "target", true, where, &target) ||
		!selectors_read(rd, target, "target", AS_ATTR, where, &to->target) ||
		!read_pools(rd, o, to, where) || !reader_strings(rd, o, "attr", false, where, &attr) ||
		!reader_copy_strings(rd, attr, &to->attrs))
		return false;
	for (size_t i = 0; i < to->attrs.n; i++) {
		snprintf(at, sizeof(at), "%s.attr[%zu]", where, i);
		if (!*to->attrs.v[i])
			return reader_refuse(rd, at, "is empty");
		if (!strcmp(to->attrs.v[i], "funnel"))
			return reader_refuse(rd, at,
				"funnel is not supported by this server: nothing on the internet leads to "
				"it");
	}
	return true;
}

bool attrs_read(struct reader *rd, json_t *root)
{
	json_t *list, *item, *port = json_object_get(root, "randomizeClientPort");
	size_t i;
	if (port && !json_is_boolean(port) && !json_is_null(port))
		return reader_refuse(rd, "randomizeClientPort", "must be true or false");
	rd->p->randomize_port = json_is_true(port);
	if (!reader_objects(rd, root, "nodeAttrs", &list))
		return false;
	rd->p->attrs = arena_array(&rd->p->mem, json_array_size(list), sizeof(*rd->p->attrs));
	if (!rd->p->attrs)
		return reader_no_memory(rd);
	json_array_foreach(list, i, item)
	{
		char where[WHERE_MAX];
		snprintf(where, sizeof(where), "nodeAttrs[%zu]", i);
		if (!read_attr(rd, item, &rd->p->attrs[rd->p->n_attrs++], where))
			return false;
	}
	return true;
}

bool policy_pools(const struct policy *p, const struct fleet *f, const struct member *m, struct arena *a,
	struct ctl_prefixes *out)
{
	size_t most = 0;
	*out = (struct ctl_prefixes) { 0 };
	for (size_t i = 0; p && i < p->n_attrs; i++)
		most += p->attrs[i].pools.n;
	out->v = arena_array(a, most, sizeof(*out->v));
	if (!out->v)
		return false;
	for (size_t i = 0; p && i < p->n_attrs; i++)
		for (size_t k = 0; k < p->attrs[i].pools.n && match_any(&p->attrs[i].target, f, m); k++)
			out->v[out->n++] = p->attrs[i].pools.v[k];
	return true;
}

static void add_once(struct ctl_strings *out, const char *name)
{
	for (size_t i = 0; i < out->n; i++)
		if (!strcmp(out->v[i], name))
			return;
	out->v[out->n++] = name;
}

bool policy_attrs(const struct policy *p, const struct fleet *f, const struct member *m, struct arena *a,
	struct ctl_strings *out)
{
	size_t most = 1;
	*out = (struct ctl_strings) { 0 };
	for (size_t i = 0; p && i < p->n_attrs; i++)
		most += p->attrs[i].attrs.n;
	out->v = arena_array(a, most, sizeof(*out->v));
	if (!out->v)
		return false;
	if (p && p->randomize_port)
		add_once(out, "randomize-client-port");
	for (size_t i = 0; p && i < p->n_attrs; i++)
		for (size_t k = 0; k < p->attrs[i].attrs.n && match_any(&p->attrs[i].target, f, m); k++)
			add_once(out, p->attrs[i].attrs.v[k]);
	return true;
}
