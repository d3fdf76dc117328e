/* What the access rules cost while nodes join one after the other: for each new one, what every node that is
 * there is told, as the server does it. Prints one line for each number
 * of rules: CPU seconds in all, and in proportion to no rules. view_join_bench [NODES] */
#include "mesh/control/view/view.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { USERS = 50, TAGS = 50, NODES = 1000 };

static double cpu_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct policy *make_policy(size_t n_rules)
{
	struct buf text = { 0 };
	struct errbuf eb = { 0 };
	buf_printf(&text, "{\"tagOwners\":{\"tag:t0\":[]");
	for (int i = 1; i < TAGS; i++)
		buf_printf(&text, ",\"tag:t%d\":[]", i);
	buf_printf(&text, "},\"acls\":[{\"action\":\"accept\",\"src\":[\"*\"],\"dst\":[\"*:22\"]}");
	for (size_t i = 1; i < n_rules; i++)
		buf_printf(&text,
			",{\"action\":\"accept\",\"src\":[\"user%zu@\",\"tag:t%zu\"],\"dst\":[\"tag:t%zu:%"
			"zu\"]}",
			i % USERS, i * 7 % TAGS, i % TAGS, 1000 + i);
	buf_printf(&text, "]}");
	struct policy *p = policy_parse((char *)buf_data(&text), text.len, &eb);
	if (!p)
		fprintf(stderr, "%s\n", eb.text);
	buf_free(&text);
	return p;
}

static void add_node(struct fleet *f, int64_t id)
{
	char name[32], tag[16];
	const char *tags = tag;
	struct member d = { .id = id,
		.user = 1 + id % USERS,
		.name = name,
		.hostname = name,
		.has_v4 = true,
		.v4 = addr_v4(0x64400000 + (uint32_t)id),
		.expiry_ms = FLEET_NO_TIME,
		.last_seen_ms = FLEET_NO_TIME };
	snprintf(name, sizeof(name), "node%lld", (long long)id);
	snprintf(tag, sizeof(tag), "tag:t%lld", (long long)(id % TAGS));
	memcpy(d.key.b, &id, sizeof(id));
	memcpy(d.machine.b, &id, sizeof(id));
	if (id % 2)
		d.tags = (struct ctl_strings) { .v = &tags, .n = 1 };
	(void)fleet_put(f, member_copy(&d));
}

struct mesh {
	struct fleet f;
	struct settings set;
	struct view_cache cache;
	struct journal journal;
	struct view_context c;
	struct view *views;
	size_t told;
};

static void tell(struct mesh *m, int64_t id)
{
	struct arena a = { 0 };
	struct ctl_map_response r;
	bool empty = false;
	const struct member *self = fleet_by_id(&m->f, id);
	if (m->views[id].self)
		(void)view_update(&m->c, self, &m->views[id], &a, &r, &empty);
	else
		(void)view_whole(&m->c, self, &m->views[id], &a, &r);
	m->told += !empty;
	arena_free(&a);
}

/* One node more, and what all hear of it. */
static void join(struct mesh *m, int64_t id)
{
	add_node(&m->f, id);
	(void)journal_add(&m->journal, id, NULL, true);
	view_cache_changed(&m->cache, id, true);
	for (int64_t i = 1; i <= id; i++)
		tell(m, i);
	journal_drop(&m->journal, m->journal.now);
	view_cache_told(&m->cache);
}

static double run(size_t n, size_t n_rules)
{
	struct mesh m = { .set = { .refs = 1, .base_domain = "mesh.test" } };
	m.set.policy = n_rules ? make_policy(n_rules) : NULL;
	m.views = calloc(n + 1, sizeof(*m.views));
	m.c = (struct view_context) { .fleet = &m.f,
		.set = &m.set,
		.cache = &m.cache,
		.journal = &m.journal,
		.now_ms = 1,
		.viewer_cap = 113 };
	fleet_init(&m.f, 1);
	if (!m.views || !view_cache_init(&m.cache, 1))
		exit(1);
	for (int i = 0; i < USERS; i++) {
		struct user u = { .id = 1 + i };
		snprintf(u.name, sizeof(u.name), "user%d", i);
		fleet_user_put(&m.f, &u);
	}
	double begin = cpu_s();
	for (int64_t id = 1; id <= (int64_t)n; id++)
		join(&m, id);
	double took = cpu_s() - begin;
	printf("%zu nodes, %zu rules: %.2f s, %zu messages\n", n, n_rules, took, m.told);
	for (size_t i = 0; i <= n; i++)
		view_fini(&m.views[i]);
	free(m.views);
	view_cache_fini(&m.cache);
	journal_free(&m.journal);
	policy_free(m.set.policy);
	fleet_fini(&m.f);
	return took;
}

int main(int argc, char **argv)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : NODES;
	double none = run(n, 0);
	printf("one rule: %.2f x no rules\n", run(n, 1) / none);
	printf("102 rules: %.2f x no rules\n", run(n, 102) / none);
	return 0;
}
