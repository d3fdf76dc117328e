/* What another policy changes, row by row; and that the difference agrees with policy_explain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/buf.h"
#include "mesh/control/fleet/test/net.h"
#include "mesh/control/policy/difference.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* net_make's, and 6: bob's gate, which carries 10.0.0.0/8. */
static void make_fleet(struct fleet *f)
{
	static const char *routes[] = { "10.0.0.0/8", "0.0.0.0/0" };
	net_make(f);
	struct member d = *net_add(f, 6, "gate", 2, NULL);
	d.routes = (struct ctl_strings) { .v = routes, .n = 2 };
	d.hostinfo_json = "{\"RoutableIPs\":[\"10.0.0.0/8\",\"0.0.0.0/0\"]}";
	assert_non_null(net_put(f, &d));
}

/* "" is no policy; else what stands behind a head. */
static struct policy *make_policy(const char *rest)
{
	struct buf text = { 0 };
	struct errbuf eb = { 0 };
	if (!*rest)
		return NULL;
	buf_printf(&text, "{\"tagOwners\":{\"tag:web\":[],\"tag:db\":[]},%s}", rest);
	struct policy *p = policy_parse((char *)buf_data(&text), text.len, &eb);
	if (!p)
		fail_msg("%s: %s", rest, eb.text);
	buf_free(&text);
	return p;
}

static void print_list(const struct ctl_strings *s, struct buf *out)
{
	for (size_t i = 0; i < s->n; i++)
		buf_printf(out, "%s%s", i ? "," : "", s->v[i]);
}

static void print_rows(const struct difference *d, struct buf *out)
{
	for (size_t i = 0; i < d->n; i++) {
		buf_printf(out, "%s%s", i ? " | " : "", d->v[i].gains ? "+" : "-");
		print_list(&d->v[i].from, out);
		buf_printf(out, ">");
		print_list(&d->v[i].to, out);
		buf_printf(out, ": %s", d->v[i].what);
	}
}

#define ACL(src, dst) "{\"action\":\"accept\",\"src\":[" src "],\"dst\":[" dst "]}"
#define ACLS(rules) "\"acls\":[" rules "]"

static void test_rows(void **state)
{
	static const struct {
		const char *old, *now, *rows;
	} rows[] = {
		{ ACLS(ACL("\"*\"", "\"*:*\"")), "", "" },
		{ ACLS(""), ACLS(ACL("\"alice@\"", "\"tag:web:22,80\"")),
			"+laptop,phone>web: tcp and udp 22,80, icmp, icmp6" },
		{ ACLS(ACL("\"alice@\"", "\"tag:web:22,80\"")), ACLS(""),
			"-laptop,phone>web: tcp and udp 22,80, icmp, icmp6" },
		/* what is said otherwise and means the same */
		{ ACLS(ACL("\"alice@\"", "\"tag:web:1-100\"")),
			ACLS(ACL("\"alice@\"", "\"tag:web:1-50\"") "," ACL(
				"\"laptop\"", "\"tag:web:51-100\"") "," ACL("\"alice@\"",
				"\"tag:web:40-100\"")) ",\"hosts\":{\"laptop\":\"100.64.0.1\"}",
			"" },
		{ ACLS(ACL("\"bob@\"", "\"tag:db:1-100\"")), ACLS(ACL("\"bob@\"", "\"tag:db:20-30\"")),
			"-bobs,gate>db: tcp and udp 1-19,31-100" },
		{ ACLS(ACL("\"bob@\"", "\"tag:db:22\"")),
			ACLS("{\"action\":\"accept\",\"proto\":\"tcp\",\"src\":[\"bob@\"],\"dst\":[\"tag:db:"
			     "22\"]}"),
			"-bobs,gate>db: udp 22, icmp, icmp6" },
		/* one's own machines */
		{ ACLS(""), ACLS(ACL("\"autogroup:member\"", "\"autogroup:self:22\"")),
			"+laptop,phone>laptop,phone: tcp and udp 22, icmp, icmp6 | "
			"+bobs,gate>bobs,gate: tcp and udp 22, icmp, icmp6" },
		/* what is carried, and what of it is named */
		{ ACLS(""), ACLS(ACL("\"tag:web\"", "\"10.1.0.0/16:53\"")),
			"+web>10.1.0.0/16: tcp and udp 53, icmp, icmp6" },
		{ ACLS(""), ACLS(ACL("\"tag:web\"", "\"autogroup:internet:*\"")),
			"+web>0.0.0.0/0: tcp and udp *, icmp, icmp6" },
		/* logins, capabilities, attributes */
		{ ACLS(""),
			ACLS("") ",\"ssh\":[{\"action\":\"accept\",\"src\":[\"alice@\"],\"dst\":[\"tag:db\"],"
				 "\"users\":["
				 "\"root\"]}]",
			"+laptop,phone>db: ssh as root" },
		{ "\"grants\":[{\"src\":[\"bob@\"],\"dst\":[\"tag:db\"],\"app\":{\"a.b/c\":[1]}}]", ACLS(""),
			"-bobs,gate>db: {\"a.b/c\":[1]}" },
		{ ACLS(""), ACLS("") ",\"nodeAttrs\":[{\"target\":[\"tag:web\"],\"attr\":[\"x\"]}]",
			"+>web: attribute x" },
	};
	struct fleet f;
	(void)state;
	make_fleet(&f);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct policy *old = make_policy(rows[i].old), *now = make_policy(rows[i].now);
		struct arena a = { 0 };
		struct difference d;
		struct buf text = { 0 };
		assert_true(policy_difference(old, now, &f, &a, &d));
		print_rows(&d, &text);
		if (strcmp(text.len ? buf_cstr(&text) : "", rows[i].rows) != 0)
			fail_msg("row %zu: %s", i, text.len ? buf_cstr(&text) : "nothing");
		assert_false(d.cut);
		buf_free(&text);
		arena_free(&a);
		policy_free(old);
		policy_free(now);
	}
	fleet_fini(&f);
}

static bool may(
	const struct policy *p, const struct fleet *f, const struct member *from, const struct member *to)
{
	struct policy_question q = {
		.from = from, .to = to, .from_at = from->v4, .to_at = to->v4, .proto = 6, .port = 22
	};
	struct policy_answer answer;
	policy_explain(p, f, &q, &answer);
	return answer.step == POLICY_PASSES;
}

static bool names(const struct ctl_strings *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->v[i], name))
			return true;
	return false;
}

/* Of two policies, each of a few rules by chance: who may send to port 22 is told right for every pair. */
static void test_agrees(void **state)
{
	static const char *const who[] = { "alice@", "bob@", "tag:web", "tag:db", "*", "autogroup:member",
		"autogroup:tagged" };
	struct fleet f;
	(void)state;
	make_fleet(&f);
	srand(7);
	for (int round = 0; round < 60; round++) {
		struct policy *p[2];
		struct arena a = { 0 };
		struct difference d;
		for (size_t i = 0; i < 2; i++) {
			char text[512] = "\"acls\":[";
			for (int n = rand() % 4; n >= 0; n--)
				snprintf(text + strlen(text), sizeof(text) - strlen(text),
					ACL("\"%s\"", "\"%s:22\"") "%s", who[rand() % ARRAY_LEN(who)],
					rand() % 4 ? who[rand() % ARRAY_LEN(who)] : "10.0.0.1",
					n ? "," : "]");
			p[i] = make_policy(text);
		}
		assert_true(policy_difference(p[0], p[1], &f, &a, &d));
		for (size_t x = 0; x < f.n; x++)
			for (size_t y = 0; y < f.n; y++) {
				bool before = may(p[0], &f, f.v[x], f.v[y]),
				     after = may(p[1], &f, f.v[x], f.v[y]);
				int told = 0;
				for (size_t i = 0; i < d.n && x != y; i++)
					if (names(&d.v[i].from, f.v[x]->name) &&
						names(&d.v[i].to, f.v[y]->name))
						told += d.v[i].gains ? 1 : -1;
				if (x != y)
					assert_int_equal(told, after - before);
			}
		arena_free(&a);
		policy_free(p[0]);
		policy_free(p[1]);
	}
	fleet_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_agrees) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
