/* What a node is told under a recorded policy, as it goes out on the wire, against what the official service told it: the
 * packet filter, the peers and what of their routes, who may log in, what it is. Of each set as many cases as it takes to
 * be twenty; where the recordings are not there, this test is skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/policy/test/capture.h"
#include "mesh/control/view/view.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every so manieth case of these sets. */
static const struct {
	const char *set;
	unsigned every, least;
} sets[] = { { "routes", 4, 20 }, { "ssh", 4, 10 }, { "grant", 10, 15 }, { "nodeattrs", 4, 5 } };

struct told {
	struct capture c;
	struct settings set;
	struct view_cache cache;
	struct journal journal;
	json_t *msg; /* as it was written */
};

static const char *text_of(struct buf *b)
{
	return b->len ? buf_cstr(b) : "";
}

static void expect_filter(const struct told *t, const struct member *m, json_t *theirs)
{
	struct buf x = { 0 }, y = { 0 };
	json_t *none = json_array(), *told = json_object_get(theirs, "filter");
	capture_print_filter(json_object_get(json_object_get(t->msg, "PacketFilters"), "base"), &x);
	capture_print_filter(told ? told : none, &y);
	if (strcmp(text_of(&x), text_of(&y)) != 0)
		fail_msg("%s, %s: filter\n%s\n%s", t->c.id, m->name, text_of(&x), text_of(&y));
	json_decref(none);
	buf_free(&x);
	buf_free(&y);
}

/* The peer of that name; NULL: it was told of none. */
static json_t *peer_named(const struct told *t, const char *name)
{
	json_t *list = json_object_get(t->msg, "Peers"), *peer;
	size_t i, n = strlen(name);
	json_array_foreach(list, i, peer)
	{
		const char *its = json_string_value(json_object_get(peer, "Name"));
		if (its && !strncmp(its, name, n) && its[n] == '.')
			return peer;
	}
	return NULL;
}

static void expect_peers(const struct told *t, const struct member *m, json_t *theirs)
{
	json_t *peers = json_object_get(theirs, "peers"), *all = json_object_get(theirs, "peer_routes");
	for (size_t i = 0; i < t->c.f.n; i++) {
		const struct member *o = t->c.f.v[i];
		json_t *peer = o == m ? NULL : peer_named(t, o->name);
		if (o == m)
			continue;
		if ((peer != NULL) != capture_lists(peers, o->name))
			fail_msg("%s, %s: peer %s", t->c.id, m->name, o->name);
		for (size_t k = 0; k < o->carries.n && peer; k++) {
			char route[PREFIX_TEXT];
			prefix_format(&o->carries.v[k], route);
			if (o->carries.v[k].bits &&
				capture_lists(json_object_get(peer, "AllowedIPs"), route) !=
					capture_lists(json_object_get(all, o->name), route))
				fail_msg("%s, %s: route %s of %s", t->c.id, m->name, route, o->name);
		}
	}
}

static void expect_caps(const struct told *t, const struct member *m, json_t *theirs)
{
	/* of this server's own doing: it says so to every node, or where anybody may log in anywhere */
	static const char *const ours[] = { "cache-network-maps", "https://tailscale.com/cap/ssh" };
	json_t *map = json_object_get(json_object_get(t->msg, "Node"), "CapMap"),
	       *caps = json_object_get(theirs, "caps"), *value, *cap;
	const char *name;
	size_t i;
	json_array_foreach(caps, i, cap)
	{
		name = json_string_value(cap);
		if (!capture_is_base_cap(name) && !json_object_get(map, name))
			fail_msg("%s, %s: is not told %s", t->c.id, m->name, name);
	}
	json_object_foreach(map, name, value)
	{
		bool own = capture_is_base_cap(name);
		for (i = 0; i < ARRAY_LEN(ours); i++)
			own = own || !strcmp(name, ours[i]);
		if (!own && !capture_lists(caps, name))
			fail_msg("%s, %s: is told %s", t->c.id, m->name, name);
	}
}

static void expect_logins(const struct told *t, const struct member *m, json_t *theirs)
{
	json_t *x = json_object(), *y = json_object();
	capture_add_logins(json_object_get(json_object_get(t->msg, "SSHPolicy"), "rules"), &t->c, m, x);
	capture_add_logins(json_object_get(theirs, "ssh"), &t->c, m, y);
	if (!json_equal(x, y))
		fail_msg("%s, %s: logins", t->c.id, m->name);
	json_decref(x);
	json_decref(y);
}

static void expect_node(struct told *t, const struct member *m, json_t *theirs)
{
	const struct view_context vc = { .fleet = &t->c.f,
		.set = &t->set,
		.cache = &t->cache,
		.journal = &t->journal,
		.now_ms = 1000000,
		.viewer_cap = 119 };
	struct view v = { .self = NULL };
	struct arena a = { 0 };
	struct ctl_map_response m_out;
	struct buf wire = { 0 };
	assert_true(view_whole(&vc, m, &v, &a, &m_out));
	assert_true(ctl_map_response_write(&wire, &m_out));
	t->msg = json_loadb((const char *)buf_data(&wire), wire.len, 0, NULL);
	assert_non_null(t->msg);
	expect_filter(t, m, theirs);
	expect_peers(t, m, theirs);
	expect_caps(t, m, theirs);
	expect_logins(t, m, theirs);
	json_decref(t->msg);
	view_fini(&v);
	buf_free(&wire);
	arena_free(&a);
}

/* false: it is one that the two servers answer otherwise (policy/test/captures_test.c says why). */
static bool run_case(json_t *one, json_t *topologies)
{
	struct told t = { .c = { .id = json_string_value(json_object_get(one, "id")) } };
	char *text = json_dumps(json_object_get(one, "policy"), 0);
	struct policy_source *source = policy_source_new(text, strlen(text), NULL);
	bool taken = source && json_integer_value(json_object_get(one, "status")) == 200;
	t.c.own_logins = !strstr(text, "localpart:*@");
	free(text);
	if (taken) {
		t.c.p = source->rules;
		t.c.expect = json_object_get(one, "expect");
		capture_make_fleet(&t.c,
			json_object_get(topologies, json_string_value(json_object_get(one, "topology"))));
		capture_settle_routes(&t.c);
		t.set = (struct settings) {
			.refs = 1, .base_domain = "mesh.test", .policy = source->rules, .source = source
		};
		assert_true(view_cache_init(&t.cache, 1));
		for (size_t i = 0; i < t.c.f.n; i++) {
			json_t *theirs = json_object_get(t.c.expect, t.c.f.v[i]->name);
			if (theirs)
				expect_node(&t, t.c.f.v[i], theirs);
		}
		t.set.refs++; /* it is here, and not the cache's to free */
		view_cache_fini(&t.cache);
		journal_free(&t.journal);
		fleet_fini(&t.c.f);
	}
	policy_source_put(source);
	return taken;
}

static void test_captures(void **state)
{
	unsigned seen[ARRAY_LEN(sets)] = { 0 }, run[ARRAY_LEN(sets)] = { 0 };
	const char *root = getenv("RW_SOURCE_DIR");
	json_t *topologies = capture_load("topologies.json");
	char path[1024];
	(void)state;
	snprintf(path, sizeof(path), "%s/../shared/captures/policy/cases.jsonl", root ? root : ".");
	FILE *f = fopen(path, "r");
	if (!f || !topologies) {
		print_message("%s is not there: the recorded answers cannot be compared\n", path);
		skip();
	}
	for (json_t *one; (one = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL)); json_decref(one))
		for (size_t i = 0; i < ARRAY_LEN(sets); i++)
			if (!strcmp(json_string_value(json_object_get(one, "set")), sets[i].set) &&
				seen[i]++ % sets[i].every == 0)
				run[i] += run_case(one, topologies);
	fclose(f);
	json_decref(topologies);
	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		print_message("%-10s %u cases are told as recorded\n", sets[i].set, run[i]);
		assert_true(run[i] >= sets[i].least);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_captures) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
