#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>

#include "mesh/base/err.h"
#include "simnet/fabric/user/firewall.h"
#include "simnet/fabric/user/test/packets.h"
#include <cmocka.h>
#include <string.h>

/* Rules of a router's firewall, one property at a time. */

static const char inside[] = "192.168.1.10:5000", outside[] = "203.0.113.10:443";
static const uint64_t second = 1000000000;

static enum firewall_verdict ask(struct firewall *w, const struct packet *p, bool inward, uint64_t now)
{
	const char *why = NULL;
	enum firewall_verdict v = firewall_ask(w, &p->v, inward, now, &why);
	assert_int_equal(v == FIREWALL_ACCEPT, !why || v == FIREWALL_ACCEPT);
	return v;
}

static void test_rules(void **state)
{
	(void)state;
	struct prefix net;
	assert_true(prefix_parse("203.0.113.0/28", &net));
	const struct packet https = tcp(inside, outside, TCP_SYN),
			    http = tcp(inside, "203.0.113.10:80", TCP_SYN),
			    dns = udp(inside, "203.0.113.10:53", 20, 0),
			    ping = echo("192.168.1.10", "203.0.113.10", 7, true),
			    far = tcp(inside, "203.0.113.99:443", TCP_SYN);
	const struct {
		struct firewall_rule rule; /* accepts; behind it all is dropped */
		bool https, http, dns, ping, far;
	} rows[] = {
		{ { .proto = FIREWALL_TCP }, true, true, false, false, true },
		{ { .proto = FIREWALL_UDP }, false, false, true, false, false },
		{ { .proto = FIREWALL_ICMP }, false, false, false, true, false },
		{ { .proto = FIREWALL_ANY }, true, true, true, true, true },
		{ { .proto = FIREWALL_TCP, .ports = "443" }, true, false, false, false, true },
		{ { .ports = "50-60,80" }, false, true, true, false, false },
		{ { .has_to = true, .to = net }, true, true, true, true, false },
		{ { .has_from = true, .from = net }, false, false, false, false, false },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct firewall_rule out[2] = { rows[i].rule, { .verdict = FIREWALL_DROP, .text = "drop" } };
		out[0].text = "accept";
		struct firewall *w = firewall_new(&(struct scn_firewall) { .out = out, .n_out = 2 });
		const struct packet *packets[] = { &https, &http, &dns, &ping, &far };
		const bool want[] = { rows[i].https, rows[i].http, rows[i].dns, rows[i].ping, rows[i].far };
		for (size_t k = 0; k < ARRAY_LEN(packets); k++)
			if ((ask(w, packets[k], false, 1) == FIREWALL_ACCEPT) != want[k])
				fail_msg("row %zu, packet %zu", i, k);
		firewall_free(w);
	}
}

static void test_established(void **state)
{
	(void)state;
	struct firewall_rule in[] = { { .established = true, .text = "accept established" },
		{ .verdict = FIREWALL_REJECT, .text = "reject" } };
	struct firewall *w = firewall_new(&(struct scn_firewall) { .in = in, .n_in = 2 });
	struct packet asked = udp(inside, outside, 20, 0), answer = udp(outside, inside, 20, 0),
		      other = udp("203.0.113.10:444", inside, 20, 0);
	const char *why = NULL;
	assert_int_equal(firewall_ask(w, &answer.v, true, 1, &why), FIREWALL_REJECT);
	assert_string_equal(why, "firewall, in: reject");
	assert_int_equal(ask(w, &asked, false, 2), FIREWALL_ACCEPT);
	assert_int_equal(ask(w, &answer, true, 3), FIREWALL_ACCEPT);
	assert_int_equal(ask(w, &other, true, 3), FIREWALL_REJECT);
	struct packet ping = echo("192.168.1.10", "203.0.113.10", 7, true),
		      pong = echo("203.0.113.10", "192.168.1.10", 7, false),
		      theirs = echo("203.0.113.10", "192.168.1.10", 7, true);
	assert_int_equal(ask(w, &ping, false, 4), FIREWALL_ACCEPT);
	assert_int_equal(ask(w, &pong, true, 4), FIREWALL_ACCEPT);
	assert_int_equal(ask(w, &theirs, true, 4), FIREWALL_REJECT);
	assert_int_equal(ask(w, &answer, true, 100 * second), FIREWALL_ACCEPT);
	assert_int_equal(ask(w, &answer, true, 230 * second), FIREWALL_REJECT);
	firewall_free(w);
}

/* Who was let in and got no answer has established nothing. */
static void test_one_way(void **state)
{
	(void)state;
	struct firewall_rule in[] = {
		{ .established = true, .verdict = FIREWALL_DROP, .text = "drop established" }
	};
	struct firewall *w = firewall_new(&(struct scn_firewall) { .in = in, .n_in = 1 });
	struct packet p = udp(outside, inside, 20, 0), answer = udp(inside, outside, 20, 0);
	assert_int_equal(ask(w, &p, true, 1), FIREWALL_ACCEPT);
	assert_int_equal(ask(w, &p, true, 2), FIREWALL_ACCEPT);
	assert_int_equal(ask(w, &answer, false, 3), FIREWALL_ACCEPT);
	assert_int_equal(ask(w, &p, true, 4), FIREWALL_DROP);
	firewall_free(w);
}

/* Other rules judge the flows that the old ones let through, and what was said of a drop stays said. */
static void test_become(void **state)
{
	(void)state;
	struct firewall_rule first[] = { { .verdict = FIREWALL_DROP, .text = "drop" } },
			     then[] = { { .established = true, .text = "accept established" },
				     { .verdict = FIREWALL_DROP, .text = "drop udp" } };
	static struct firewall_lines lines;
	struct firewall *w = firewall_new(&(struct scn_firewall) { .in = first, .n_in = 1 });
	struct packet asked = udp(inside, outside, 20, 0), answer = udp(outside, inside, 20, 0),
		      other = udp("203.0.113.10:444", inside, 20, 0);
	const char *was = NULL, *why = NULL;
	assert_int_equal(ask(w, &asked, false, 1), FIREWALL_ACCEPT);
	assert_int_equal(firewall_ask(w, &answer.v, true, 2, &was), FIREWALL_DROP);
	firewall_lines_of(&(struct scn_firewall) { .in = then, .n_in = 2 }, &lines);
	firewall_become(w, &lines);
	assert_int_equal(ask(w, &answer, true, 3), FIREWALL_ACCEPT);
	assert_int_equal(firewall_ask(w, &other.v, true, 3, &why), FIREWALL_DROP);
	assert_string_equal(was, "firewall, in: drop");
	assert_string_equal(why, "firewall, in: drop udp");
	firewall_free(w);
}

/* A new flow is led where the first rule that matches says, one that was let through before stays; the answers come from whom
 * it asked. */
static void test_redirect(void **state)
{
	(void)state;
	struct firewall_rule out[] = { { .proto = FIREWALL_UDP, .text = "accept udp" },
		{ .verdict = FIREWALL_REDIRECT, .proto = FIREWALL_TCP, .ports = "443", .text = "redirect" },
		{ .verdict = FIREWALL_DROP, .text = "drop" } };
	assert_true(endpoint_parse("198.51.100.7:8443", &out[1].into_at));
	struct firewall *w = firewall_new(&(struct scn_firewall) { 0 });
	static struct firewall_lines lines;
	struct packet before = tcp("192.168.1.10:4999", outside, TCP_SYN),
		      asked = tcp(inside, outside, TCP_SYN), led = tcp(inside, "198.51.100.7:8443", TCP_SYN),
		      answer = tcp("198.51.100.7:8443", inside, TCP_SYN | TCP_ACK),
		      stray = tcp("198.51.100.7:8443", "192.168.1.10:5001", TCP_SYN | TCP_ACK),
		      self = tcp("192.168.1.10:5001", "198.51.100.7:8443", TCP_SYN),
		      name = udp(inside, "203.0.113.10:443", 20, 0);
	struct endpoint to, from;
	char text[ENDPOINT_TEXT];
	assert_int_equal(ask(w, &before, false, 1), FIREWALL_ACCEPT);
	firewall_lines_of(&(struct scn_firewall) { .out = out, .n_out = 3 }, &lines);
	firewall_become(w, &lines);
	assert_false(firewall_redirect(w, &before.v, 2, &to));
	assert_false(firewall_redirect(w, &name.v, 2, &to));
	for (int i = 0; i < 2; i++) {
		assert_true(firewall_redirect(w, &asked.v, 3, &to));
		assert_string_equal(endpoint_format(&to, text), "198.51.100.7:8443");
		assert_int_equal(ask(w, &led, false, 3), FIREWALL_ACCEPT);
	}
	assert_int_equal(ask(w, &self, false, 3), FIREWALL_DROP); /* whoever asks for that place himself */
	assert_true(firewall_redirected(w, &answer.v, &from));
	assert_string_equal(endpoint_format(&from, text), outside);
	assert_false(firewall_redirected(w, &stray.v, &from));
	firewall_free(w);
}

/* Flows beyond the bound are forgotten; nothing grows. */
static void test_many_flows(void **state)
{
	(void)state;
	struct firewall *w = firewall_new(&(struct scn_firewall) { 0 });
	struct packet p = udp(inside, outside, 20, 0);
	for (uint32_t i = 0; i < 3 * FIREWALL_FLOWS_MAX; i++) {
		p.v.sport = (uint16_t)i;
		p.v.dport = (uint16_t)(i >> 16);
		assert_int_equal(ask(w, &p, false, 1), FIREWALL_ACCEPT);
	}
	firewall_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_established),
		cmocka_unit_test(test_one_way),
		cmocka_unit_test(test_become),
		cmocka_unit_test(test_redirect),
		cmocka_unit_test(test_many_flows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
