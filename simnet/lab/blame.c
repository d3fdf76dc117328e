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

bool blame_in_mesh(const struct lab *l, const struct scn_step *st)
{
	const char *who = st && st->from ? st->from : st ? st->target : NULL;
	int node = who ? scenario_find_node(l->s, who) : -1;
	const struct adapter *a = node < 0 ? NULL : l->programs[node].adapter;
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
		return blame_in_mesh(l, st); /* its way to the others may be what fails */
	size_t len = strlen(name);
	return st->target && !strncmp(st->target, name, len) && (!st->target[len] || st->target[len] == '.');
}

bool blame_mentions(const struct lab *l, const struct scn_step *st, int node)
{
	const struct scn_node *n = &l->s->nodes[node];
	const char *const texts[] = { st ? st->to : NULL, st ? st->name : NULL, st ? st->is : NULL };

	if (!st || (n->is_service && blame_in_mesh(l, st)))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (has_name(texts[i], n->name))
			return true;
	for (size_t i = 0; st->argv && st->argv[i]; i++)
		if (has_name(st->argv[i], n->name))
			return true;
	return false;
}

/* What runs where it runs may be another's: of a router that maps ports, or with other programs on it. */
static bool has_company(const struct lab *l, int node)
{
	const struct scn_node *n = &l->s->nodes[node];

	if (!n->on_router)
		return false;
	bool has = l->s->routers[n->router].portmap;
	for (int i = 0; i < (int)l->s->n_nodes; i++)
		if (i != node && l->s->nodes[i].on_router && l->s->nodes[i].router == n->router)
			has |= l->programs[i].proc || l->programs[i].extras;
	return has;
}

bool blame_in_background(const struct lab *l, int node)
{
	const struct program *p = &l->programs[node];
	return p->state == PROGRAM_READY && !p->proc && !p->stopping && !p->extras && !has_company(l, node) &&
	       hosts_busy(l->hosts, node);
}

/* On the underlay, or in its mesh as its adapter has heard. */
static bool blame_has_ip(const struct lab *l, int node, const struct addr *ip)
{
	const struct program *p = &l->programs[node];
	struct addr own;

	for (size_t i = 0; i < p->n_captures; i++)
		if (addr_parse(p->captures[i].value, &own) && addr_equal(&own, ip))
			return true;
	return topology_has_ip(l->s, node, ip);
}

/* By itself or by a router that translates for it. */
static bool stands_for(const struct lab *l, int node, const struct addr *ip)
{
	for (int i = l->s->nodes[node].router; i >= 0; i = l->s->routers[i].behind)
		if (addr_equal(&l->s->routers[i].wan, ip))
			return true;
	return blame_has_ip(l, node, ip);
}

/* Another node's own address, and not that of a service, which anybody may use without a word of it in the step. */
static bool is_stranger(const struct lab *l, const struct scn_step *st, const struct addr *ip)
{
	for (int i = 0; i < (int)l->s->n_nodes; i++)
		if (!l->s->nodes[i].is_service && !blame_asks(l, st, i) && !blame_mentions(l, st, i) &&
			blame_has_ip(l, i, ip))
			return true;
	return false;
}

unsigned blame_of_packet(
	const struct lab *l, const struct scn_step *st, const struct addr *src, const struct addr *dst)
{
	bool asker = false, any = false, ends[2] = { false };

	if (!st)
		return 1;
	bool unasked = !blame_in_mesh(l, st) &&
		       is_stranger(l, st, src); /* who scans a router is nothing to who is behind it */
	for (int i = 0; i < (int)l->s->n_nodes; i++) {
		bool asks = blame_asks(l, st, i);
		if (!asks && !blame_mentions(l, st, i))
			continue;
		ends[0] |= stands_for(l, i, src);
		ends[1] |= stands_for(l, i, dst);
		asker |= asks && (blame_has_ip(l, i, src) || blame_has_ip(l, i, dst));
		any |= asks && (stands_for(l, i, src) || (stands_for(l, i, dst) && !unasked));
	}
	return any && ends[0] && ends[1] ? 3 : asker ? 2 : any;
}
