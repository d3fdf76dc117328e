/* What a policy costs: 1,000 rules over 5,000 nodes. One line for each: reading and compiling the whole for all nodes,
 * one node's change, one node that joins, and what another policy changes. control_policy_compile_bench [NODES [RULES]]:
 * "NAME MILLISECONDS". */
#include "mesh/base/buf.h"
#include "mesh/control/policy/difference.h"
#include "mesh/control/policy/source.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { USERS = 200, TAGS = 100, GROUPS = 40, NODES = 5000, RULES = 1000, CHANGES = 200 };

static double cpu_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Groups of users, tags, addresses and nets, as larger files have them. */
static void print_policy(struct buf *text, size_t n_rules, size_t skip)
{
	buf_printf(text, "{\"groups\":{");
	for (int g = 0; g < GROUPS; g++) {
		buf_printf(text, "%s\"group:g%d\":[", g ? "," : "", g);
		for (int u = 0; u < 10; u++)
			buf_printf(text, "%s\"user%d@\"", u ? "," : "", (g * 7 + u * 3) % USERS);
		buf_printf(text, "]");
	}
	buf_printf(text, "},\"tagOwners\":{\"tag:t0\":[]");
	for (int i = 1; i < TAGS; i++)
		buf_printf(text, ",\"tag:t%d\":[\"group:g%d\"]", i, i % GROUPS);
	buf_printf(text, "},\"acls\":[{\"action\":\"accept\",\"src\":[\"autogroup:member\"],\"dst\":["
			 "\"autogroup:self:*\"]}");
	for (size_t i = 1; i < n_rules; i++)
		if (i != skip)
			buf_printf(text,
				",{\"action\":\"accept\",\"src\":[\"group:g%zu\",\"tag:t%zu\"],\"dst\":["
				"\"tag:t%zu:"
				"%zu\",\"10.%zu.0.0/16:443\"]}",
				i % GROUPS, i * 7 % TAGS, i % TAGS, 1000 + i, i % 250);
	buf_printf(text, "]}");
}

static struct member *put_node(struct fleet *f, int64_t id, int64_t tag)
{
	char name[32], text[16];
	const char *tags = text;
	struct member d = { .id = id,
		.user = 1 + id % USERS,
		.name = name,
		.hostname = name,
		.has_v4 = true,
		.v4 = addr_v4(0x64400000 + (uint32_t)id),
		.expiry_ms = FLEET_NO_TIME,
		.last_seen_ms = FLEET_NO_TIME };
	snprintf(name, sizeof(name), "node%lld", (long long)id);
	snprintf(text, sizeof(text), "tag:t%lld", (long long)tag);
	memcpy(d.key.b, &id, sizeof(id));
	memcpy(d.machine.b, &id, sizeof(id));
	if (id % 2)
		d.tags = (struct ctl_strings) { .v = &tags, .n = 1 };
	struct member *m = member_copy(&d);
	return m && fleet_put(f, m) ? m : NULL;
}

static void filter(
	const struct policy *p, const struct fleet *f, struct policy_cache *c, const struct member *m)
{
	struct arena a = { 0 };
	struct ctl_rule *rules;
	size_t n;
	if (!policy_filter(p, f, c, m, &a, &rules, &n))
		abort();
	arena_free(&a);
}

/* For every node: whom it sees is asked of the cache, and its packet filter is made. */
static double compile_whole(
	const struct buf *text, const struct fleet *f, struct policy_source **p, struct policy_cache *c)
{
	struct errbuf eb = { 0 };
	double begin = cpu_ms();
	*p = policy_source_new((const char *)buf_data(text), text->len, &eb);
	if (!*p) {
		fprintf(stderr, "%s\n", eb.text);
		exit(1);
	}
	for (size_t i = 0; i < f->n; i++)
		filter((*p)->rules, f, c, f->v[i]);
	return cpu_ms() - begin;
}

/* A node gets another tag (or is new): what is found out anew until everybody's rules are known again. Nodes 1 to TAGS
 * stand for everybody: each rule ends at one of them. */
static double change_nodes(const struct policy *p, struct fleet *f, struct policy_cache *c, int64_t first)
{
	double begin = cpu_ms();
	for (int64_t i = 0; i < CHANGES; i++) {
		int64_t id = first + 2 * i + 1;
		uint64_t mark;
		const struct member *m = put_node(f, id, (id + 1) % TAGS);
		policy_cache_member_changed(c, id);
		if (!policy_filter_mark(p, f, c, m, &mark))
			abort();
		for (int64_t k = 1; k <= TAGS; k++)
			if (!policy_filter_mark(p, f, c, fleet_by_id(f, k), &mark))
				abort();
		filter(p, f, c, m);
	}
	return (cpu_ms() - begin) / CHANGES;
}

int main(int argc, char **argv)
{
	size_t nodes = argc > 1 ? strtoul(argv[1], NULL, 10) : NODES,
	       n_rules = argc > 2 ? strtoul(argv[2], NULL, 10) : RULES;
	struct buf text = { 0 }, other = { 0 };
	struct policy_cache *c = policy_cache_new();
	struct policy_source *p, *q;
	struct fleet f;
	struct arena a = { 0 };
	struct difference d;
	fleet_init(&f, 1);
	for (int64_t u = 1; u <= USERS; u++) {
		struct user put = { .id = u };
		snprintf(put.name, sizeof(put.name), "user%lld", (long long)u - 1);
		if (!fleet_user_put(&f, &put))
			return 1;
	}
	for (size_t i = 1; i <= nodes; i++)
		if (!put_node(&f, (int64_t)i, (int64_t)i % TAGS))
			return 1;
	print_policy(&text, n_rules, 0);
	print_policy(&other, n_rules, n_rules / 2);
	printf("whole %.2f\n", compile_whole(&text, &f, &p, c));
	printf("change %.3f\n", change_nodes(p->rules, &f, c, 0));
	printf("join %.3f\n", change_nodes(p->rules, &f, c, (int64_t)nodes));
	q = policy_source_new((const char *)buf_data(&other), other.len, NULL);
	double begin = cpu_ms();
	if (!q || !policy_difference(p->rules, q->rules, &f, &a, &d))
		return 1;
	printf("difference %.2f\n", cpu_ms() - begin);
	arena_free(&a);
	policy_cache_free(c);
	policy_source_put(p);
	policy_source_put(q);
	fleet_fini(&f);
	buf_free(&text);
	buf_free(&other);
	return 0;
}
