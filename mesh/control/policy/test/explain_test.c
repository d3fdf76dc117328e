/* What policy_explain says, row by row; and that it never says other than the packet filter does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/fleet/test/net.h"
#include "mesh/control/policy/test/rules.h"
#include "mesh/control/policy/policy.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NODES = 6, TCP = 6, UDP = 17, ICMP = 1, ICMP6 = 58, SCTP = 132, GRE = 47 };

/* net_make's, and 6: bob's, which carries 10.0.0.0/8. */
static void make_fleet(struct fleet *f)
{
	static struct prefix net;
	net_make(f);
	struct member d = *net_add(f, 6, "gate", 2, NULL);
	assert_true(prefix_parse("10.0.0.0/8", &net));
	d.carries = (struct ctl_prefixes) { .v = &net, .n = 1 };
	net_put(f, &d);
}

#define HEAD \
	"{\"groups\":{\"group:dev\":[\"alice@\",\"bob@\"]},\n\"tagOwners\":{\"tag:web\":[],\"tag:db\":[]}," \
	"\n\"acls\":["
#define ACL(more, src, dst) "\n{\"action\":\"accept\"," more "\"src\":[" src "],\"dst\":[" dst "]}"
#define GRANT(rest) "{\"tagOwners\":{\"tag:web\":[],\"tag:db\":[]},\n\"grants\":[\n{" rest "}]}"

static struct policy_question ask(
	const struct fleet *f, int64_t from, int64_t to, bool v6, uint8_t proto, uint16_t port)
{
	const struct member *a = fleet_by_id(f, from), *b = fleet_by_id(f, to);
	return (struct policy_question) { .from = a,
		.to = b,
		.from_at = v6 ? a->v6 : a->v4,
		.to_at = v6 ? b->v6 : b->v4,
		.proto = proto,
		.port = port,
		.any_port = !proto };
}

static const struct {
	const char *text;
	const char *asked; /* FROM TO FAMILY PROTO PORT; PROTO 0: any */
	enum policy_step step;
	const char *rule; /* SECTION INDEX LINE; "" = none that is written */
} rows[] = {
	{ NULL, "1 3 4 6 22", POLICY_PASSES, "" },
	{ "{}", "1 3 4 6 22", POLICY_PASSES, "" },
	{ HEAD "]}", "1 3 4 0 0", POLICY_NO_SOURCE, "" },
	{ HEAD ACL("", "\"bob@\"", "\"*:*\"") "]}", "1 3 4 0 0", POLICY_NO_SOURCE, "" },
	{ HEAD ACL("", "\"alice@\"", "\"tag:db:*\"") "]}", "1 3 4 0 0", POLICY_NO_TARGET, "acls 0 4" },
	{ HEAD ACL("", "\"alice@\"", "\"bob@:22\"") "]}", "1 3 4 6 22", POLICY_PASSES, "acls 0 4" },
	{ HEAD ACL("", "\"alice@\"", "\"bob@:22\"") "]}", "1 3 6 6 22", POLICY_PASSES, "acls 0 4" },
	{ HEAD ACL("", "\"alice@\"", "\"bob@:22\"") "]}", "1 3 4 6 23", POLICY_NO_PORT, "acls 0 4" },
	{ HEAD ACL("", "\"alice@\"", "\"bob@:22\"") "]}", "1 3 4 0 0", POLICY_PASSES, "acls 0 4" },
	{ HEAD ACL("", "\"alice@\"", "\"bob@:22\"") "]}", "3 1 4 6 22", POLICY_NO_SOURCE, "" },
	{ HEAD ACL("\"proto\":\"udp\",", "\"alice@\"", "\"bob@:53\"") "]}", "1 3 4 6 53", POLICY_NO_PORT,
		"acls 0 4" },
	{ HEAD ACL("\"proto\":\"udp\",", "\"alice@\"", "\"bob@:53\"") "]}", "1 3 4 17 53", POLICY_PASSES,
		"acls 0 4" },
	/* the best of several, and the first of those that are as good */
	{ HEAD ACL("", "\"*\"", "\"tag:web:80\"") "," ACL("", "\"alice@\"", "\"bob@:1-9\"") "," ACL(
		  "", "\"group:dev\"", "\"bob@:20\"") "]}",
		"1 3 4 6 22", POLICY_NO_PORT, "acls 1 5" },
	{ HEAD ACL("", "\"*\"", "\"tag:web:80\"") "," ACL("", "\"alice@\"", "\"bob@:1-9\"") "," ACL(
		  "", "\"group:dev\"", "\"bob@:20\"") "]}",
		"1 3 4 6 20", POLICY_PASSES, "acls 2 6" },
	/* an address is that address alone */
	{ HEAD ACL("", "\"100.64.0.1\"", "\"*:*\"") "]}", "1 3 4 6 22", POLICY_PASSES, "acls 0 4" },
	{ HEAD ACL("", "\"100.64.0.1\"", "\"*:*\"") "]}", "1 3 6 6 22", POLICY_NO_SOURCE, "" },
	{ HEAD ACL("", "\"*\"", "\"100.64.0.3:22\"") "]}", "1 3 6 6 22", POLICY_NO_TARGET, "acls 0 4" },
	{ HEAD ACL("", "\"autogroup:member\"", "\"autogroup:self:*\"") "]}", "1 2 4 6 22", POLICY_PASSES,
		"acls 0 4" },
	{ HEAD ACL("", "\"autogroup:member\"", "\"autogroup:self:*\"") "]}", "1 3 4 6 22", POLICY_NO_TARGET,
		"acls 0 4" },
	{ HEAD ACL("", "\"*\"", "\"10.0.0.0/8:*\"") "]}", "1 6 4 6 22", POLICY_NO_TARGET, "acls 0 4" },
	{ GRANT("\"src\":[\"*\"],\"dst\":[\"tag:web\"],\"ip\":[\"tcp:443\",\"udp:53\"]"), "1 4 4 17 53",
		POLICY_PASSES, "grants 0 3" },
	{ GRANT("\"src\":[\"*\"],\"dst\":[\"tag:web\"],\"ip\":[\"tcp:443\",\"udp:53\"]"), "1 4 4 17 443",
		POLICY_NO_PORT, "grants 0 3" },
	{ GRANT("\"src\":[\"*\"],\"dst\":[\"tag:web\"],\"app\":{\"example.com/cap\":[]}"), "1 4 4 6 443",
		POLICY_NO_SOURCE, "" },
	{ GRANT("\"src\":[\"*\"],\"dst\":[\"10.0.0.0/8\"],\"ip\":[\"*\"],\"via\":[\"tag:web\"]"),
		"1 4 4 6 443", POLICY_NO_SOURCE, "" },
};

static void test_rows(void **state)
{
	struct fleet f;
	(void)state;
	make_fleet(&f);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct policy *p = rows[i].text ? rules_parse_good(rows[i].text) : NULL;
		struct policy_answer got;
		char rule[64] = "";
		int from, to, family, proto, port;
		assert_int_equal(
			sscanf(rows[i].asked, "%d %d %d %d %d", &from, &to, &family, &proto, &port), 5);
		struct policy_question q = ask(&f, from, to, family == 6, (uint8_t)proto, (uint16_t)port);
		policy_explain(p, &f, &q, &got);
		if (got.section)
			snprintf(rule, sizeof(rule), "%s %u %u", got.section, got.index, got.line);
		if (got.step != rows[i].step || strcmp(rule, rows[i].rule) != 0)
			fail_msg("row %zu: step %d by \"%s\"", i, (int)got.step, rule);
		policy_free(p);
	}
	fleet_fini(&f);
}

/* --- beside the filter --- */

static bool is_source(const struct ctl_rule *r, const struct addr *a)
{
	for (size_t i = 0; i < r->n_src; i++)
		if (r->src[i].any || (addr_is_v4(a) == addr_is_v4(&r->src[i].first) &&
					     memcmp(a->b, r->src[i].first.b, sizeof(a->b)) >= 0 &&
					     memcmp(a->b, r->src[i].last.b, sizeof(a->b)) <= 0))
			return true;
	return false;
}

static bool is_target(const struct ctl_rule *r, const struct policy_question *q)
{
	bool ports = q->proto == TCP || q->proto == UDP || q->proto == SCTP;
	for (size_t i = 0; i < r->n_dst; i++)
		if ((r->dst[i].any_ip || prefix_contains(&r->dst[i].net, &q->to_at)) &&
			(ports ? q->port >= r->dst[i].first && q->port <= r->dst[i].last
			       : q->proto == ICMP || q->proto == ICMP6 ||
						(!r->dst[i].first && r->dst[i].last == UINT16_MAX)))
			return true;
	return false;
}

static bool is_proto(const struct ctl_rule *r, uint8_t proto)
{
	bool ping = proto == ICMP || proto == ICMP6; /* who may connect may ping */
	for (size_t i = 0; i < r->n_protos; i++)
		if (r->protos[i] == proto || (ping && (r->protos[i] == TCP || r->protos[i] == UDP)))
			return true;
	return !r->n_protos && (proto == TCP || proto == UDP || proto == ICMP || proto == ICMP6);
}

static bool filter_passes(const struct policy *p, const struct fleet *f, const struct policy_question *q)
{
	struct arena a = { 0 };
	struct ctl_rule *r = NULL;
	size_t n = 0;
	bool passes = false;
	assert_true(policy_filter(p, f, NULL, q->to, &a, &r, &n));
	for (size_t i = 0; i < n; i++)
		passes = passes || (!r[i].caps_json && is_source(&r[i], &q->from_at) && is_target(&r[i], q) &&
					   is_proto(&r[i], q->proto));
	arena_free(&a);
	return passes;
}

/* Every policy above, and more, between all pairs, families, protocols and a few ports. */
static void test_as_the_filter(void **state)
{
	static const char *const more[] = {
		HEAD ACL("", "\"autogroup:danger-all\"", "\"bob@:22\"") "]}",
		HEAD ACL("", "\"10.0.0.0/8\"", "\"*:*\"") "]}",
		HEAD ACL("", "\"100.64.0.0/29\"", "\"100.64.0.2/31:80\"") "]}",
		HEAD ACL("", "\"autogroup:tagged\"", "\"autogroup:member:*\"") "]}",
		HEAD ACL("", "\"*\"", "\"autogroup:internet:*\"") "]}",
		HEAD ACL("\"proto\":\"gre\",", "\"*\"", "\"*:*\"") "]}",
		HEAD ACL("\"proto\":\"sctp\",", "\"*\"", "\"*:22\"") "]}",
		HEAD ACL("\"proto\":\"icmp\",", "\"alice@\"", "\"tag:db:*\"") "]}",
		HEAD ACL("", "\"alice@\"", "\"autogroup:self:22\",\"tag:db:53\"") "]}",
	};
	static const uint8_t protos[] = { TCP, UDP, ICMP, ICMP6, SCTP, GRE };
	static const uint16_t ports[] = { 1, 22, 53, 80, 443, 65535 };
	struct fleet f;
	size_t passed = 0;
	(void)state;
	make_fleet(&f);
	for (size_t i = 0; i < ARRAY_LEN(rows) + ARRAY_LEN(more); i++) {
		const char *text = i < ARRAY_LEN(rows) ? rows[i].text : more[i - ARRAY_LEN(rows)];
		struct policy *p = text ? rules_parse_good(text) : NULL;
		for (int64_t from = 1; from <= NODES; from++)
			for (int64_t to = 1; to <= NODES; to++)
				for (size_t k = 0; k < 2 * ARRAY_LEN(protos) * ARRAY_LEN(ports); k++) {
					struct policy_question q =
						ask(&f, from, to, k % 2, protos[k / 2 % ARRAY_LEN(protos)],
							ports[k / 2 / ARRAY_LEN(protos)]);
					struct policy_answer got;
					policy_explain(p, &f, &q, &got);
					bool want = !p ? q.proto != GRE && q.proto != SCTP
						       : filter_passes(p, &f, &q);
					if (from != to && (got.step == POLICY_PASSES) != want)
						fail_msg("policy %zu (%s): %lld to %lld, IPv%d, protocol %u, "
							 "port %u: %d",
							i, text, (long long)from, (long long)to,
							k % 2 ? 6 : 4, q.proto, q.port, (int)got.step);
					passed += want;
				}
		policy_free(p);
	}
	assert_true(passed > 1000);
	fleet_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_as_the_filter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
