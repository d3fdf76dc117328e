#include "simnet/lab/failure.h"

#include "simnet/lab/lab.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static bool is_word_char(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '_';
}

/* As a word: "bob", "http://web:80/", "{bob.mesh4}". */
static bool has_name(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = text; at && (at = strstr(at, name)); at++)
		if ((at == text || !is_word_char(at[-1])) && !is_word_char(at[len]))
			return true;
	return false;
}

static bool is_mesh_step(const struct lab *l, const struct scn_step *st)
{
	int from = st->from ? scenario_find_node(l->s, st->from) : -1;
	const struct adapter *a = from < 0 ? NULL : l->programs[from].adapter;
	return a && (a->mesh_name || a->path_argv);
}

bool blame_asks(const struct lab *l, const struct scn_step *st, int node)
{
	const char *name = l->s->nodes[node].name;

	if (!st)
		return l->programs[node].state != PROGRAM_READY;
	if (st->from && !strcmp(st->from, name))
		return true;
	if (st->to && !strcmp(st->to, name))
		return is_mesh_step(l, st); /* its way to the others may be what fails */
	size_t len = strlen(name);
	return st->target && !strncmp(st->target, name, len) && (!st->target[len] || st->target[len] == '.');
}

bool blame_mentions(const struct lab *l, const struct scn_step *st, int node)
{
	const struct scn_node *n = &l->s->nodes[node];
	const char *const texts[] = { st ? st->to : NULL, st ? st->name : NULL, st ? st->is : NULL };

	if (!st || (n->is_service && is_mesh_step(l, st)))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (has_name(texts[i], n->name))
			return true;
	for (size_t i = 0; st->argv && st->argv[i]; i++)
		if (has_name(st->argv[i], n->name))
			return true;
	return false;
}

static bool has_address(const struct lab *l, int node, const struct addr *ip)
{
	const struct scn_node *n = &l->s->nodes[node];
	struct prefix v6 = topology_v6(n->router, &n->ip);
	return addr_equal(&n->ip, ip) || addr_equal(&v6.ip, ip);
}

/* By itself or by a router that translates for it. */
static bool stands_for(const struct lab *l, int node, const struct addr *ip)
{
	for (int i = l->s->nodes[node].router; i >= 0; i = l->s->routers[i].behind)
		if (addr_equal(&l->s->routers[i].wan, ip))
			return true;
	return has_address(l, node, ip);
}

unsigned blame_of_packet(
	const struct lab *l, const struct scn_step *st, const struct addr *src, const struct addr *dst)
{
	bool asker = false, any = false, ends[2] = { false };

	if (!st)
		return 1;
	for (int i = 0; i < (int)l->s->n_nodes; i++) {
		bool asks = blame_asks(l, st, i);
		if (!asks && !blame_mentions(l, st, i))
			continue;
		ends[0] |= stands_for(l, i, src);
		ends[1] |= stands_for(l, i, dst);
		asker |= asks && (has_address(l, i, src) || has_address(l, i, dst));
		any |= asks && (stands_for(l, i, src) || stands_for(l, i, dst));
	}
	return any && ends[0] && ends[1] ? 3 : asker ? 2 : any;
}
