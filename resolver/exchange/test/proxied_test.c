/* Who is asked by an HTTP proxy, and what it is told. In a network of its own, in which only the proxy answers. */
#include "resolver/exchange/test/asker.h"

#include "mesh/os/test/fake_proxy.h"
#include "mesh/os/test/own_lo.h"
#include "mesh/os/test/own_ns.h"
#include "mesh/transport/proxy.h"
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_who(void **state)
{
	static const struct {
		const char *name, *at, *no_proxy, *asked; /* asked "": the proxy is not */
		enum exchange_by by;
	} rows[] = {
		{ "dns.test", "192.0.2.9:443", NULL, "CONNECT dns.test:443 HTTP/1.1", EXCHANGE_HTTPS },
		{ "dns.test", "192.0.2.9:443", "dns.test", "", EXCHANGE_HTTPS },
		{ "dns.test", "192.0.2.9:443", "192.0.2.0/24", "", EXCHANGE_HTTPS },
		{ "", "192.0.2.9:443", NULL, "CONNECT 192.0.2.9:443 HTTP/1.1", EXCHANGE_HTTPS },
		{ "dns.test", "100.64.0.9:443", NULL, "", EXCHANGE_HTTPS }, /* in the mesh */
		{ "dns.test", "192.0.2.9:853", NULL, "", EXCHANGE_TLS },
		{ "", "192.0.2.9:53", NULL, "", EXCHANGE_TCP },
	};
	static const char *const here[] = { "192.0.2.9/32", "100.64.0.9/32" };
	struct asker a;
	(void)state;
	if (!own_ns(CLONE_NEWNET)) {
		print_message("skipped: this kernel gives no network namespace\n");
		skip();
	}
	own_lo(here, ARRAY_LEN(here));
	asker_open(&a, 40);
	struct fake_proxy *proxy = fake_proxy_open(a.loop);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct proxies *by = proxies_new(fake_proxy_url(proxy), NULL, rows[i].no_proxy);
		struct dns_secure how = { .by = DNS_SECURE_HTTPS, .path = "/dns-query" };
		struct exchange_to to = { .by = rows[i].by, .secure = &how };
		snprintf(how.name, sizeof(how.name), "%s", rows[i].name);
		assert_true(endpoint_parse(rows[i].at, &to.at));
		fake_proxy_forget(proxy);
		exchange_proxies(a.x, by);
		assert_false(asker_is_answered(&a, i, &to));
		if (strcmp(fake_proxy_asked(proxy), rows[i].asked) != 0)
			fail_msg("row %zu: %s", i, fake_proxy_asked(proxy));
		if (*rows[i].asked)
			assert_int_equal(fake_proxy_inside(proxy)[0], 22); /* TLS begins */
		exchange_proxies(a.x, NULL);
		proxies_free(by);
	}
	fake_proxy_close(proxy);
	exchange_close(a.x);
	loop_free(a.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_who) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
