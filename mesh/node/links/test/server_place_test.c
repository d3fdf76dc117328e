/* Where a server is: through a translator, by a proxy. */
#include "mesh/node/links/test/site.h"
#include "mesh/node/links/server_place.h"
#include "mesh/os/sock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Its key and the link both: by a prefix of zeros 0.0.0.1 is ::1, and nothing else leads there. */
static void test_link_through_nat64(void **state)
{
	struct site *s = site_new_at((struct addr) { { [15] = 1 } });
	struct endpoint at;
	(void)state;
	s->us.logged_in = true;
	s->us.server = s->pub;
	assert_int_equal(sock_local(s->fd, &at), 0);
	snprintf(s->us.prefs.control_url, sizeof(s->us.prefs.control_url), "http://0.0.0.1:%u", at.port);
	site_open(s);
	WAIT(s->link->backoff_ms);
	assert_int_equal(s->n_links, 0);
	server_link_nat64_set(s->link, &(struct nat64) { .bits = 96 });
	WAIT(s->n_maps);
	site_free(s);
}

/* An IPv4 address in the URL of a server is reached through the prefix; what IPv6 reaches or a name server
 * knows is not. */
static void test_through_nat64(void **state)
{
	static const char *const urls[] = { "192.0.2.1:80", "192.0.2.1:80/x", "[2001:db8::1]:80",
		"name.test:80" };
	struct server_way way = { .prefix = { .bits = 96 } };
	char far[64], at[ENDPOINT_TEXT];
	(void)state;
	assert_true(addr_parse("2001:db8:64::", &way.prefix.prefix));
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		struct url u;
		struct endpoint to;
		snprintf(far, sizeof(far), "http://%s", urls[i]);
		assert_true(url_parse(far, &u));
		assert_int_equal(server_place(&way, &u, &to), i < 2);
		if (i < 2)
			assert_string_equal(endpoint_format(&to, at), "[2001:db8:64::c000:201]:80");
		assert_false(server_place(&(struct server_way) { 0 }, &u, &to));
	}
}

/* The address of a proxy is not kept as the server's. */
static void test_by_proxy(void **state)
{
	struct proxies *p = proxies_new("http://10.0.0.8:3128", NULL, "near.test");
	(void)state;
	assert_non_null(p);
	assert_true(server_is_proxied(p, "https://far.test"));
	assert_false(server_is_proxied(p, "http://far.test"));
	assert_false(server_is_proxied(p, "https://near.test"));
	assert_false(server_is_proxied(NULL, "https://far.test"));
	proxies_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_link_through_nat64),
		cmocka_unit_test(test_through_nat64),
		cmocka_unit_test(test_by_proxy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
