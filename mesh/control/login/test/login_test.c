#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/login/flows.h"
#include "mesh/control/login/proxy.h"
#include "mesh/control/login/sessions.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static int setup(void **state)
{
	(void)state;
	return key_setup() ? 0 : -1;
}

static void test_flow_once(void **state)
{
	struct flows f;
	struct flow out;
	struct browser_hash mine = browser_token_hash("mine"), other = browser_token_hash("other");
	struct addr net = { 0 };
	char was[OIDC_RANDOM];
	(void)state;
	flows_init(&f, 1);
	const struct flow *a =
		flows_begin(&f, &random_system, &mine, 3, "0123456789abcdef01234567", &net, 1000);
	assert_non_null(a);
	if (!a)
		return;
	assert_true(strlen(a->attempt.state) == 43 && strcmp(a->attempt.state, a->attempt.nonce) != 0 &&
		    strcmp(a->attempt.nonce, a->attempt.verifier) != 0);
	memcpy(was, a->attempt.state, sizeof(was));
	assert_int_equal(flows_take(&f, "nonsense", &mine, 1001, &out), FLOW_UNKNOWN);
	enum { LONG = 1000000 };
	char *state_of = calloc(1, LONG + 1);
	static const size_t lengths[] = { 0, 1, 5, 42, LONG };
	assert_non_null(state_of);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) { /* as much of it, or with more behind it */
		memset(state_of, 'a', lengths[i]);
		memcpy(state_of, was, lengths[i] < strlen(was) ? lengths[i] : strlen(was));
		state_of[lengths[i]] = 0;
		assert_int_equal(flows_take(&f, state_of, &mine, 1001, &out), FLOW_UNKNOWN);
	}
	free(state_of);
	assert_int_equal(flows_take(&f, was, &other, 1001, &out), FLOW_ELSEWHERE);
	assert_int_equal(flows_take(&f, was, &mine, 1001, &out), FLOW_GOOD);
	assert_int_equal(out.provider, 3);
	assert_string_equal(out.pending, "0123456789abcdef01234567");
	assert_int_equal(flows_take(&f, was, &mine, 1002, &out), FLOW_UNKNOWN); /* played again */
	a = flows_begin(&f, &random_system, &mine, 0, "", &net, 1000);
	memcpy(was, a->attempt.state, sizeof(was));
	assert_int_equal(flows_take(&f, was, &mine, 1000 + FLOW_MS, &out), FLOW_UNKNOWN); /* too late */
	assert_int_equal(f.n, 0);
	flows_fini(&f);
}

/* One address that begins logins without end costs others nothing. */
static void test_flow_share(void **state)
{
	struct flows f;
	struct flow out;
	struct browser_hash mine = browser_token_hash("mine");
	struct addr honest, flood;
	char was[OIDC_RANDOM];
	(void)state;
	flows_init(&f, 1);
	assert_true(addr_parse("192.0.2.1", &honest) && addr_parse("192.0.2.2", &flood));
	const struct flow *a = flows_begin(&f, &random_system, &mine, 0, "", &honest, 1000);
	memcpy(was, a->attempt.state, sizeof(was));
	for (int i = 0; i < 2 * FLOWS_MAX; i++)
		assert_non_null(flows_begin(&f, &random_system, &mine, 0, "", &flood, 1000));
	assert_int_equal(f.n, FLOWS_MAX / 4 + 1);
	assert_int_equal(flows_take(&f, was, &mine, 1001, &out), FLOW_GOOD);
	assert_true(addr_parse("2001:db8:1:2::", &flood));
	for (uint32_t i = 0; i < 2 * FLOWS_MAX; i++) { /* a whole /64 is one's own */
		memcpy(flood.b + 12, &i, sizeof(i));
		assert_non_null(flows_begin(&f, &random_system, &mine, 0, "", &flood, 1000));
	}
	assert_int_equal(f.n, 2 * (FLOWS_MAX / 4));
	for (uint32_t i = 0; i < FLOWS_MAX + 10; i++) {
		struct addr each = addr_v4(0x0a000000 + i);
		assert_non_null(flows_begin(&f, &random_system, &mine, 0, "", &each, 1000));
	}
	assert_int_equal(f.n, FLOWS_MAX);
	flows_fini(&f);
}

static void test_sessions(void **state)
{
	struct sessions s;
	struct session what = { .kind = SESSION_PERSON, .id = 7, .until_ms = 5000 };
	char first[BROWSER_TOKEN], token[BROWSER_TOKEN];
	(void)state;
	sessions_init(&s, 1);
	assert_true(sessions_begin(&s, &random_system, &what, 1000, first));
	struct browser_hash h = browser_token_hash(first);
	assert_int_equal(sessions_find(&s, &h, 4999)->id, 7);
	for (int i = 0; i < SESSIONS_EACH; i++)
		assert_true(sessions_begin(&s, &random_system, &what, 1000, token));
	assert_null(sessions_find(&s, &h, 1000)); /* the oldest has gone */
	assert_int_equal(s.n, SESSIONS_EACH);
	h = browser_token_hash(token);
	assert_null(sessions_find(&s, &h, 5000)); /* its time is over */
	what.kind = SESSION_ADMIN;
	assert_true(sessions_begin(&s, &random_system, &what, 1000, first));
	sessions_end_all(&s, SESSION_PERSON, 7);
	assert_int_equal(s.n, 1);
	h = browser_token_hash(first);
	sessions_end(&s, &h);
	sessions_end(&s, &h);
	assert_int_equal(s.n, 0);
	sessions_fini(&s);
}

static void test_proxies(void **state)
{
	static const struct {
		const char *peer, *headers[2], *who; /* headers: the last of the request first */
	} rows[] = {
		{ "192.0.2.9", { "198.51.100.1" }, "192.0.2.9" }, /* nobody's proxy */
		{ "10.0.0.1", { "198.51.100.1" }, "198.51.100.1" },
		{ "10.0.0.1", { "203.0.113.5, 198.51.100.1" },
			"198.51.100.1" }, /* what the client wrote itself */
		{ "10.0.0.1", { "203.0.113.5, 198.51.100.1, 10.2.2.2" }, "198.51.100.1" },
		{ "10.0.0.1", { "198.51.100.1", "203.0.113.5" }, "198.51.100.1" },
		{ "10.0.0.1", { "10.2.2.2", "203.0.113.5" }, "203.0.113.5" },
		{ "10.0.0.1", { "[2001:db8::1]:4711" }, "2001:db8::1" },
		{ "10.0.0.1", { "192.0.2.1:80" }, "192.0.2.1" },
		{ "10.0.0.1", { "unknown" }, "10.0.0.1" },
		{ "10.0.0.1", { "203.0.113.5, unknown, 10.2.2.2" }, "10.2.2.2" },
		{ "10.0.0.1", { "" }, "10.0.0.1" },
		{ "10.0.0.1", { "10.2.2.2" }, "10.2.2.2" },
		{ "10.0.0.1", { ",,," }, "10.0.0.1" },
	};
	struct prefix net;
	struct ctl_prefixes trusted = { .v = &net, .n = 1 };
	(void)state;
	assert_true(prefix_parse("10.0.0.0/8", &net));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr at;
		char text[ADDR_TEXT];
		assert_true(addr_parse(rows[i].peer, &at));
		for (size_t k = 0; k < 2 && rows[i].headers[k]; k++)
			if (!proxy_step(&trusted, rows[i].headers[k], &at))
				break;
		if (strcmp(addr_format(&at, text), rows[i].who) != 0)
			fail_msg("row %zu: %s", i, text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_flow_once),
		cmocka_unit_test(test_flow_share), cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_proxies) };
	return cmocka_run_group_tests(tests, setup, NULL);
}
