/* The official service's answers to 655 policies, as they were recorded: which files it takes, and for each
 * node of a small tailnet the packet filter, the visible peers and the routes that are told of them. They lie
 * beside the source tree; where they do not, this test is skipped. Filters are compared by what they admit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/policy/test/capture.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Cases that are known to differ, each with why. One that does not differ any more fails the test. */
#define DOMAINS \
	"a domain that is not that tailnet's own is refused there; here users of any domain may be named"
#define FUNNEL "refused by name here: this server has nothing that the internet leads to"
static const struct {
	const char *id, *why;
} known[] = {
	{ "acl-k03",
		"two maps were recorded before the subnet was approved: the others of the case have it" },
	{ "ssh-b4", DOMAINS },
	{ "ssh-d1", DOMAINS },
	{ "ssh-e1", DOMAINS },
	{ "ssh-e2", DOMAINS },
	{ "sshtest-malformed-dst-bare-ipv6",
		"there an IPv6 address names no node, its IPv4 twin does; here both do" },
	{ "nodeattrs-funnel-f1-tag", FUNNEL },
	{ "nodeattrs-funnel-f2-user", FUNNEL },
};

static const char *const sets[] = { "acl", "routes", "issue_3212", "grant", "policytest", "sshtest", "ssh",
	"nodeattrs" };
enum { SETS = ARRAY_LEN(sets) };

struct counts {
	unsigned agree, reason, fail;
};
static void print_ours(const struct capture *c, const struct member *m, struct buf *out)
{
	struct arena a = { 0 };
	struct ctl_rule *rules;
	size_t n;
	assert_true(policy_filter(c->p, &c->f, c->cache, m, &a, &rules, &n));
	capture_print_rules(rules, n, out);
	arena_free(&a);
}

/* --- comparing --- */

static void differ(
	struct capture *c, const char *node, const char *what, const char *ours, const char *theirs)
{
	if (!*c->why)
		snprintf(c->why, sizeof(c->why), "%s: %s\n  ours:   %.800s\n  theirs: %.800s", node, what,
			ours, theirs);
}

static void compare_filter(struct capture *c, const struct member *m, json_t *told)
{
	struct buf ours = { 0 }, theirs = { 0 };
	json_t *filter = json_object_get(told, "filter"), *none = json_array();
	print_ours(c, m, &ours);
	capture_print_filter(filter ? filter : none, &theirs);
	if (strcmp(ours.len ? buf_cstr(&ours) : "", theirs.len ? buf_cstr(&theirs) : "") != 0)
		differ(c, m->name, "filter", ours.len ? buf_cstr(&ours) : "",
			theirs.len ? buf_cstr(&theirs) : "");
	json_decref(none);
	buf_free(&ours);
	buf_free(&theirs);
}

static void compare_peers(struct capture *c, const struct member *m, json_t *told)
{
	json_t *peers = json_object_get(told, "peers"), *all = json_object_get(told, "peer_routes");
	for (size_t i = 0; i < c->f.n; i++) {
		const struct member *o = c->f.v[i];
		bool sees = policy_sees(c->p, &c->f, c->cache, m, o);
		if (o == m)
			continue;
		assert_int_equal(sees, policy_allows(c->p, &c->f, m, o) || policy_allows(c->p, &c->f, o, m));
		if (sees != capture_lists(peers, o->name))
			differ(c, m->name, "peer", sees ? o->name : "-", sees ? "-" : o->name);
		for (size_t k = 0; k < o->carries.n && sees; k++) {
			char route[PREFIX_TEXT];
			prefix_format(&o->carries.v[k], route);
			if (!o->carries.v[k].bits)
				continue;
			bool shows = policy_shows_route(c->p, &c->f, m, o, &o->carries.v[k]);
			if (shows != capture_lists(json_object_get(all, o->name), route))
				differ(c, m->name, o->name, shows ? route : "-", shows ? "-" : route);
		}
	}
}

static bool has_text(const struct ctl_strings *list, const char *text)
{
	for (size_t i = 0; i < list->n; i++)
		if (!strcmp(list->v[i], text))
			return true;
	return false;
}

static void compare_attrs(struct capture *c, const struct member *m, json_t *told)
{
	struct arena a = { 0 };
	struct ctl_strings ours;
	json_t *caps = json_object_get(told, "caps"), *cap;
	size_t i;
	assert_true(policy_attrs(c->p, &c->f, m, &a, &ours));
	json_array_foreach(caps, i, cap) if (!capture_is_base_cap(json_string_value(cap)) &&
					     !has_text(&ours, json_string_value(cap)))
		differ(c, m->name, "attribute", "-", json_string_value(cap));
	for (i = 0; i < ours.n; i++)
		if (!capture_lists(caps, ours.v[i]))
			differ(c, m->name, "attribute", ours.v[i], "-");
	arena_free(&a);
}

static void compare_logins(struct capture *c, const struct member *m, json_t *told)
{
	struct arena a = { 0 };
	const char *text;
	json_t *ours = json_object(), *theirs = json_object();
	assert_true(policy_ssh(c->p, &c->f, m, &a, &text));
	json_t *root = json_loads(text, 0, NULL);
	capture_add_logins(json_object_get(root, "rules"), c, m, ours);
	capture_add_logins(json_object_get(told, "ssh"), c, m, theirs);
	char *x = json_dumps(ours, JSON_SORT_KEYS), *y = json_dumps(theirs, JSON_SORT_KEYS);
	if (strcmp(x, y) != 0)
		differ(c, m->name, "ssh", x, y);
	free(x);
	free(y);
	json_decref(ours);
	json_decref(theirs);
	json_decref(root);
	arena_free(&a);
}

static void compare_nodes(struct capture *c)
{
	for (size_t i = 0; i < c->f.n; i++) {
		json_t *told = json_object_get(c->expect, c->f.v[i]->name);
		if (!told)
			continue;
		compare_filter(c, c->f.v[i], told);
		compare_peers(c, c->f.v[i], told);
		compare_attrs(c, c->f.v[i], told);
		compare_logins(c, c->f.v[i], told);
	}
}

/* "" in c->why: as recorded. */
static void run_case(struct capture *c, json_t *one, json_t *topologies)
{
	json_t *topology = json_object_get(topologies, json_string_value(json_object_get(one, "topology")));
	char *text = json_dumps(json_object_get(one, "policy"), 0);
	struct errbuf eb = { 0 };
	c->own_logins = !strstr(text, "localpart:*@");
	bool taken = json_integer_value(json_object_get(one, "status")) == 200;
	c->id = json_string_value(json_object_get(one, "id"));
	c->expect = json_object_get(one, "expect");
	c->p = policy_parse(text, strlen(text), &eb);
	c->cache = policy_cache_new();
	capture_make_fleet(c, topology);
	capture_settle_routes(c);
	bool ours = c->p && policy_test(c->p, &c->f, &eb) == 0;
	if (ours != taken)
		differ(c, c->id, "the file", ours ? "taken" : eb.text,
			taken ? "taken"
			      : json_string_value(json_object_get(json_object_get(one, "error"), "message")));
	if (ours && taken)
		compare_nodes(c);
	policy_cache_free(c->cache);
	fleet_fini(&c->f);
	policy_free(c->p);
	free(text);
}

static const char *known_reason(const char *id)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (!strcmp(known[i].id, id))
			return known[i].why;
	return NULL;
}

static void count_case(struct capture *c, const char *set, struct counts *counts)
{
	size_t at = 0;
	const char *why = known_reason(c->id);
	while (at + 1 < SETS && strcmp(sets[at], set) != 0)
		at++;
	if (!*c->why && why)
		print_error("%s agrees now: take it off the list\n", c->id);
	if (*c->why && !why)
		print_error("%s: %s\n", c->id, c->why);
	if (!*c->why == !why)
		(*c->why ? &counts[at].reason : &counts[at].agree)[0]++;
	else
		counts[at].fail++;
}

static void test_captures(void **state)
{
	const char *root = getenv("RW_SOURCE_DIR");
	struct counts counts[SETS] = { 0 };
	json_t *topologies = capture_load("topologies.json");
	char path[1024];
	unsigned failed = 0;
	(void)state;
	snprintf(path, sizeof(path), "%s/../shared/captures/policy/cases.jsonl", root ? root : ".");
	FILE *f = fopen(path, "r");
	if (!f || !topologies) {
		print_message("%s is not there: the recorded answers cannot be compared\n", path);
		skip();
	}
	for (json_t *one; (one = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL)); json_decref(one)) {
		struct capture c = { 0 };
		run_case(&c, one, topologies);
		count_case(&c, json_string_value(json_object_get(one, "set")), counts);
	}
	fclose(f);
	json_decref(topologies);
	for (size_t i = 0; i < SETS; i++) {
		print_message("%-10s %3u agree, %2u differ with a reason, %u fail\n", sets[i],
			counts[i].agree, counts[i].reason, counts[i].fail);
		failed += counts[i].fail;
	}
	assert_int_equal(failed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_captures) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
