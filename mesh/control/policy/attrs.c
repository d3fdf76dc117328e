/* "nodeAttrs" and "randomizeClientPort": what a node is told that it is or may do (CapMap of its own node).
 */
#include "mesh/control/policy/match.h"
#include "mesh/control/policy/reader.h"

#include <stdio.h>
#include <string.h>

static bool read_attr(struct reader *rd, json_t *o, struct node_attr *to, const char *where)
{
	static const char *const names[] = { "target", "attr", "app", "ipPool", NULL };
	static const char *const absent[] = { "app", "ipPool" };
	char at[WHERE_MAX];
	json_t *target, *attr;
	if (!reader_keys(rd, o, names, where))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(absent); i++) {
		snprintf(at, sizeof(at), "%s.%s", where, absent[i]);
		if (json_object_get(o, absent[i]))
			return reader_refuse(rd, at, "is not supported by this server");
	}
	if (!reader_strings(rd, o, "target", true, where, &target) ||
		!selectors_read(rd, target, "target", AS_ATTR, where, &to->target) ||
		!reader_strings(rd, o, "attr", false, where, &attr) ||
		!reader_copy_strings(rd, attr, &to->attrs))
		return false;
	for (size_t i = 0; i < to->attrs.n; i++) {
		snprintf(at, sizeof(at), "%s.attr[%zu]", where, i);
		if (!*to->attrs.v[i])
			return reader_refuse(rd, at, "is empty");
		if (!strcmp(to->attrs.v[i], "funnel"))
			return reader_refuse(rd, at, "funnel is not supported by this server");
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
