/* Nameservers by TLS and HTTPS with addresses and pins: what is refused where, and what nodes are told. */
#include "mesh/control/config/config.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define URL "server_url: https://hs.test\n"
#define KEY_PIN "rcW4wJVd3ilEaqLlbTOqkg+YBJyOHkjNfW150X3LWHg="

/* Addresses and pins of nameservers, as nodes are told them. */
static void test_servers(void **state)
{
	static const char text[] = URL "dns:\n  nameservers:\n    global:\n      - 192.0.2.1\n"
				       "      - { server: \"https://dns.test/q\", addresses: [ 192.0.2.2, "
				       "\"2001:db8::2\" ], pins: [ \"" KEY_PIN "\" ] }\n"
				       "      - { server: 192.0.2.4, use_with_exit_node: true }\n"
				       "    split:\n      corp.test:\n        - { pins: [ \"sha256/" KEY_PIN
				       "\" ], server: \"tls://192.0.2.3\" }\n";
	struct control_config c;
	struct ctl_dns dns, back;
	struct arena a = { 0 };
	struct buf b = { 0 };
	struct errbuf eb = { 0 };
	(void)state;
	if (config_parse("c.yaml", text, strlen(text), &c, &eb))
		fail_msg("%s", eb.text);
	assert_true(config_dns(&c, &(struct config_records) { 0 }, &a, &dns));
	assert_true(ctl_dns_write(&b, &dns));
	assert_int_equal(ctl_dns_read(&a, buf_cstr(&b), b.len, &back, &eb), 0);
	assert_int_equal(back.n_resolvers, 3);
	assert_true(back.resolvers[2].with_exit && !back.resolvers[0].with_exit);
	assert_int_equal(back.resolvers[0].bootstrap.n + back.resolvers[0].pins.n, 0);
	assert_string_equal(back.resolvers[1].bootstrap.v[1], "2001:db8::2");
	assert_string_equal(back.resolvers[1].pins.v[0], KEY_PIN);
	const struct ctl_route *corp = &back.routes[back.n_routes - 1];
	assert_string_equal(corp->resolvers[0].addr, "tls://192.0.2.3");
	assert_string_equal(corp->resolvers[0].pins.v[0], "sha256/" KEY_PIN);
	/* what official clients read is as ever */
	assert_non_null(strstr(buf_cstr(&b), "{\"Addr\":\"192.0.2.1\"}"));
	assert_non_null(strstr(buf_cstr(&b), "{\"Addr\":\"192.0.2.4\",\"UseWithExitNode\":true}"));
	assert_non_null(strstr(buf_cstr(&b), "\"BootstrapResolution\":[\"192.0.2.2\",\"2001:db8::2\"]"));
	buf_free(&b);
	arena_free(&a);
	config_free(&c);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{ URL "dns:\n  nameservers:\n    global: [{server: 192.0.2.1, pins: []}]\n",
			"c.yaml:4:23: dns.nameservers.global: only servers by TLS or HTTPS have pins and "
			"addresses: in clear nobody can show a key" },
		{ URL "dns:\n  nameservers:\n    global: [{server: \"tls://192.0.2.1\", addresses: "
		      "[192.0.2.2]}]\n",
			"c.yaml:4:53: dns.nameservers.global: the server has an address already" },
		{ URL "dns:\n  nameservers:\n    global: [{pins: []}]\n",
			"c.yaml:4:14: dns.nameservers.global: \"server\" is missing: say who is meant" },
		{ URL "dns:\n  nameservers:\n    global: [{server: \"tls://x.test\", pin: []}]\n",
			"c.yaml:4:39: dns.nameservers.global: unknown key \"pin\": server, addresses, "
			"pins and use_with_exit_node are known" },
		{ URL "dns:\n  nameservers:\n    global: [{server: 192.0.2.1, use_with_exit_node: 5}]\n",
			"c.yaml:4:54: dns.nameservers.global: \"5\" is not true or false" },
		{ URL "dns:\n  nameservers:\n    global: [{server: \"tls://x.test\", pins: [abc]}]\n",
			"c.yaml:4:46: dns.nameservers.global: \"abc\" is not the SHA-256 hash of a key in "
			"base64 (44 characters)" },
		{ URL "dns:\n  nameservers:\n    global: [{server: \"tls://x.test\", addresses: [x.test]}]\n",
			"c.yaml:4:51: dns.nameservers.global: \"x.test\" is not an address" },
		{ URL "dns:\n  nameservers:\n    global: [{server: \"tls://x.test\", addresses: [192.0.2.1, "
		      "192.0.2.2, "
		      "192.0.2.3, 192.0.2.4, 192.0.2.5]}]\n",
			"c.yaml:4:50: dns.nameservers.global: at most 4 are possible here" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct control_config c;
		struct errbuf eb = { 0 };
		int err = config_parse("c.yaml", rows[i].text, strlen(rows[i].text), &c, &eb);
		if (!err || strcmp(eb.text, rows[i].error) != 0)
			fail_msg("row %zu: %s", i, err ? eb.text : "accepted");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_servers), cmocka_unit_test(test_refused) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
