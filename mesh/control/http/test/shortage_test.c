/* Every allocation of the JSON library fails once, and from then on all larger ones, while an answer is made: it is the
 * whole answer or none, and nothing is written where it does not belong (what is left behind, the sanitizer tells). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/http/test/sent.h"
#include "mesh/control/http/v1.h"
#include "mesh/control/http/v2.h"
#include "mesh/control/policy/source.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAILURES = 20000, GUARD = 64 };

/* What a failing allocator knows; the library gives it no argument. */
static struct {
	long left;	/* allocations until one fails; < 0: none does */
	size_t lasting; /* then, larger ones fail as well; 0: only one */
	bool failed, smashed;
} memory = { .left = -1 };

static void *failing_alloc(size_t n)
{
	if ((memory.left >= 0 && memory.left-- == 0) ||
		(memory.failed && memory.lasting && n > memory.lasting)) {
		memory.failed = true;
		return NULL;
	}
	char *p = malloc(n + GUARD + sizeof(n)); /* dumped texts go by free() itself */
	if (!p)
		return NULL;
	size_t end = malloc_usable_size(p) - sizeof(n);
	memset(p + n, 0xa5, end - n);
	memcpy(p + end, &n, sizeof(n));
	return p;
}

static void failing_free(void *v)
{
	size_t n;
	if (!v)
		return;
	const char *p = v;
	const size_t end = malloc_usable_size(v) - sizeof(n);
	memcpy(&n, p + end, sizeof(n));
	for (size_t i = n; i < end; i++)
		memory.smashed = memory.smashed || (unsigned char)p[i] != 0xa5;
	free(v);
}

static int begin(void **state)
{
	(void)state;
	json_set_alloc_funcs(failing_alloc, failing_free);
	return 0;
}
static int end(void **state)
{
	(void)state;
	json_set_alloc_funcs(malloc, free);
	return 0;
}

/* run is asked again and again, until nothing fails. */
static void fail_each(void (*run)(void *arg), void *arg)
{
	for (size_t lasting = 0; lasting <= 256; lasting += 256) {
		long n = 0;
		memory.failed = true;
		for (; memory.failed && n < FAILURES; n++) {
			memory.left = n;
			memory.lasting = lasting;
			memory.failed = false;
			run(arg);
			if (memory.smashed)
				fail_msg("allocation %ld: written where it does not belong", n);
		}
		memory.left = -1;
		memory.lasting = 0;
		assert_in_range(n, 5, FAILURES - 1);
	}
}

static void read_user(void *arg)
{
	static const struct user alice = { .id = 1, .name = "alice" };
	json_t *v = v1_user(arg, &alice);
	assert_true(v || memory.failed);
	json_decref(v);
}

/* What is written as text and read again. */
static void test_read_back(void **state)
{
	struct registry *r = calloc(1, sizeof(*r));
	struct api a = { .reg = r };
	struct person who = { .user = 1, .issuer = "https://id.test", .subject = "77" };
	(void)state;
	memset(who.display, 'x', sizeof(who.display) - 1);
	people_init(&r->people, 1);
	assert_true(people_put(&r->people, &who));
	fail_each(read_user, &a);
	people_fini(&r->people);
	free(r);
}

static void list_routes(void *arg)
{
	struct api_call c = { .api = arg, .method = "GET" };
	v1_routes_list(&c);
}

/* Two routes that have one node. */
static void test_routes(void **state)
{
	struct registry *r = calloc(1, sizeof(*r));
	struct api a = { .reg = r };
	const char *routes[] = { "10.0.0.0/8", "192.0.2.0/24" };
	const struct member draft = {
		.id = 1, .name = "a", .hostname = "a", .routes = { .v = routes, .n = 2 }
	};
	struct member *m = member_copy(&draft);
	(void)state;
	fleet_init(&r->fleet, 1);
	assert_true(m && fleet_put(&r->fleet, m));
	fail_each(list_routes, &a);
	fleet_fini(&r->fleet);
	free(r);
}

static void get_rules(void *arg)
{
	struct api_call c = { .api = arg, .method = "GET" };
	v2_acl_get(&c);
}

/* Access rules, of which a program wants JSON. */
static void test_rules(void **state)
{
	enum { LONG = 4000 };
	struct registry *r = calloc(1, sizeof(*r));
	char *text = calloc(1, LONG + 64);
	struct policy_source source = { .text = text, .tag = "t" };
	struct settings set = { .source = &source };
	struct streams streams = { .set = &set };
	const struct control_config cfg = { 0 };
	struct api a = { .reg = r, .streams = &streams, .cfg = &cfg };
	(void)state;
	strcpy(text, "{\"acls\":[{\"src\":[\"");
	memset(text + strlen(text), 'x', LONG);
	strcat(text, "\"]}]}");
	fail_each(get_rules, &a);
	free(text);
	free(r);
}

static void refuse(void *arg)
{
	(void)arg;
	for (enum api_manner manner = API_OURS; manner <= API_V2; manner++)
		api_reply_error(&(struct api_way) { .manner = manner }, 400, "\"\xff\" is no number");
}

static void test_refused(void **state)
{
	(void)state;
	fail_each(refuse, NULL);
}

/* --- DNS settings --- */

/* What is answered, or put into the database (status 0): the linker has these two called instead of the real ones. */
void __wrap_registry_text_put(
	struct registry *r, const char *name, const char *value, struct registry_wait *w);
void __wrap_registry_text_put(
	struct registry *r, const char *name, const char *value, struct registry_wait *w)
{
	(void)r, (void)w;
	assert_string_equal(name, API_DNS_TEXT);
	sent_put(0, value, strlen(value));
}

struct dns_ask {
	struct api *api;
	void (*run)(struct api_call *c);
	json_t *args;
	char whole[2048]; /* what is said where nothing fails; "" = not known yet */
	int status;
};

static void ask_dns(void *arg)
{
	struct dns_ask *ask = arg;
	char conn; /* stands for a connection; never looked at */
	struct api_later *later = NULL;
	struct api_call c = { .api = ask->api,
		.way = { .conn = (void *)&conn, .manner = API_V2 },
		.later = &later,
		.args = ask->args };
	sent.status = -1;
	ask->run(&c);
	api_later_drop(later);
	api_close(ask->api);
	if (!*ask->whole) {
		ask->status = sent.status;
		strcpy(ask->whole, sent.body);
	}
	if (memory.failed && sent.status == 503)
		return;
	if (sent.status != ask->status || strcmp(sent.body, ask->whole) != 0)
		fail_msg("%d %s instead of %d %s", sent.status, sent.body, ask->status, ask->whole);
}

/* What is stored has all of its pins, and what is shown is all. */
static void test_dns(void **state)
{
	static const struct {
		void (*run)(struct api_call *c);
		const char *args;
	} rows[] = {
		{ v2_dns_nameservers_set, "{\"dns\":[\"https://a.test/q\",\"192.0.2.9\"]}" },
		{ v2_dns_searchpaths_set, "{\"searchPaths\":[\"corp.test\"]}" },
		{ v2_dns_preferences_set, "{\"magicDNS\":true}" },
		{ v2_dns_split_set, "{\"c.test\":[\"https://a.test/q\"],\"b.test\":null}" },
		{ v2_dns_split_change, "{\"c.test\":[\"https://a.test/q\"]}" },
		{ v2_dns_whole_set, "{\"nameservers\":[{\"address\":\"https://a.test/q\"}],\"splitDNS\":{"
				    "\"c.test\":[{\"address\":\"192.0.2.8\"}]},\"preferences\":{}}" },
		{ v2_dns_whole_set,
			"{\"nameservers\":[{\"address\":\"https://a.test/q\",\"useWithExitNode\":true},"
			"{\"address\":\"192.0.2.9\",\"useWithExitNode\":true}],\"preferences\":{}}" },
		{ v2_dns_nameservers, "{}" },
		{ v2_dns_searchpaths, "{}" },
		{ v2_dns_preferences, "{}" },
		{ v2_dns_split, "{}" },
		{ v2_dns_whole, "{}" },
		{ admin_dns_show, "{}" },
	};
	const char *at = "192.0.2.7",
		   *pin = "rcW4wJVd3ilEaqLlbTOqkg+YBJyOHkjNfW150X3LWHg=", *search = "lab.test";
	struct ctl_resolver servers[] = {
		{ .addr = "https://a.test/q", .bootstrap = { &at, 1 }, .pins = { &pin, 1 } },
		{ .addr = "192.0.2.53" }
	};
	struct ctl_route route = { .suffix = "b.test", .resolvers = servers, .n = 2 };
	struct settings set = { .base_domain = "mesh.test",
		.dns_overrides = true,
		.dns = { .resolvers = servers,
			.n_resolvers = 2,
			.routes = &route,
			.n_routes = 1,
			.domains = { &search, 1 } } };
	struct streams streams = { .set = &set };
	struct registry *r = calloc(1, sizeof(*r));
	struct api a = { .reg = r, .streams = &streams };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dns_ask ask = {
			.api = &a, .run = rows[i].run, .args = json_loads(rows[i].args, 0, NULL)
		};
		memory.failed = false;
		ask_dns(&ask);
		assert_in_range(ask.status, 0, 200);
		fail_each(ask_dns, &ask);
		json_decref(ask.args);
	}
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_read_back, begin, end),
		cmocka_unit_test_setup_teardown(test_routes, begin, end),
		cmocka_unit_test_setup_teardown(test_rules, begin, end),
		cmocka_unit_test_setup_teardown(test_refused, begin, end),
		cmocka_unit_test_setup_teardown(test_dns, begin, end) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
