/* dns-blocked over a node whose lists are the test's. */
#include "mesh/node/local/local_api.h"
#include "mesh/os/file.h"
#include "mesh/transport/http.h"
#include "resolver/blocker.h"
#include "resolver/resolver.h"
#include "mesh/netmap/test/told_map.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct world {
	struct loop *loop;
	char dir[64], sock[96];
	struct local_api *api;
	struct netmap *map;
	struct resolver *core;
	struct blocker *blocker;
	bool blocks;
	int status;
	char body[512];
	bool over;
};

static void say_facts(void *arg, struct local_facts *out)
{
	static const struct state_prefs prefs;
	(void)arg;
	*out = (struct local_facts) { .auth_url = "", .error = "", .login_name = "", .prefs = &prefs };
}

static struct netmap *say_map(void *arg)
{
	return ((struct world *)arg)->map;
}

static bool say_blocks(void *arg)
{
	return ((struct world *)arg)->blocks;
}

static struct blocker *say_blocker(void *arg)
{
	struct world *w = arg;
	return w->blocks ? w->blocker : NULL;
}

static struct blocker_search *say_blocked(void *arg, const struct addr *from, const struct dns_name *name,
	void (*told)(void *k, int err, const struct blocker_why *w, const struct errbuf *eb), void *k)
{
	struct world *w = arg;
	return blocker_search_start(w->blocker, &(struct blocker_client) { .from = from }, name, told, k);
}

static void reply(void *arg, uint64_t client, const uint8_t *msg, size_t len)
{
	(void)arg, (void)client, (void)msg, (void)len;
}

static struct netmap *make_map(void)
{
	static const char json[] =
		"{\"Node\":{\"ID\":1,\"Name\":\"self.x.test.\",\"Addresses\":[\"100.64.0.1/32\"]},\"Peers\":["
		"{\"ID\":2,\"Name\":\"tv.x.test.\",\"Addresses\":[\"100.64.0.2/32\"]}],"
		"\"DNSConfig\":{\"Resolvers\":[{\"Addr\":\"100.64.0.2\"}]}}";
	return told_map(NULL, json);
}

/* Two lists, one of another hour; a group of the machine tv that has the first alone. */
static void lists_arrive(struct world *w)
{
	static const char *ads[] = { "*.ads.example" }, *late[] = { "ads.example", "late.example" };
	struct arena mem = { 0 };
	struct conf_block c = { .n_lists = 2, .n_groups = 1 };
	c.lists = arena_array(&mem, 2, sizeof(*c.lists));
	c.lists[0] = (struct conf_list) { .name = "ads", .names = ads, .n_names = 1 };
	c.lists[1] = (struct conf_list) { .name = "late", .names = late, .n_names = 2, .n_when = 1 };
	c.lists[1].when = arena_array(&mem, 1, sizeof(struct block_hours)); /* on no day */
	c.groups = arena_array(&mem, 1, sizeof(*c.groups));
	c.groups[0] = (struct conf_group) { .name = "tvs", .n_clients = 1, .lists = 1 };
	c.groups[0].clients = arena_array(&mem, 1, sizeof(struct prefix));
	assert_true(prefix_parse("100.64.0.2", &c.groups[0].clients[0]));
	assert_int_equal(blocker_configure(w->blocker, &mem, &c, NULL), 0);
}

static void world_start(struct world *w)
{
	struct errbuf eb = { 0 };
	struct resolver_ops none = { .reply = reply };
	*w = (struct world) { .loop = loop_new(), .dir = "/tmp/rw-blocked-XXXXXX", .map = make_map() };
	struct local_node_ops ops = { .facts = say_facts,
		.map = say_map,
		.blocks = say_blocks,
		.blocker = say_blocker,
		.blocked = say_blocked,
		.arg = w };
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->sock, sizeof(w->sock), "%s/s", w->dir);
	w->core = resolver_new(&none, &random_system);
	w->blocker = blocker_new(w->loop, w->core);
	w->api = local_api_open(w->loop, w->sock, &ops, &eb);
	if (!w->api)
		fail_msg("%s", eb.text);
}

static void world_end(struct world *w)
{
	local_api_close(w->api);
	blocker_free(w->blocker);
	loop_free(w->loop);
	resolver_free(w->core);
	netmap_put(w->map);
	assert_int_equal(dir_remove(w->dir, NULL), 0);
}

static void done(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct world *w = arg;
	w->status = head->status;
	snprintf(w->body, sizeof(w->body), "%.*s", (int)len, (const char *)body);
	w->over = true;
}

static void failed(void *arg, int code, const char *why)
{
	(void)arg;
	fail_msg("%d %s", code, why);
}

/* query: behind dns-; one that begins with '!' is posted. */
static struct http_client *begin_at(struct world *w, const char *query)
{
	char target[128];
	bool post = query[0] == '!';
	struct http_request rq = { .unix_path = w->sock,
		.method = post ? "POST" : "GET",
		.target = target,
		.host = "local-tailscaled.sock" };
	struct http_client_events ev = { .done = done, .failed = failed, .arg = w };
	snprintf(target, sizeof(target), "/localapi/v0/dns-%s", query + post);
	w->over = false;
	return http_request(w->loop, &rq, &ev);
}

static struct http_client *begin(struct world *w, const char *query)
{
	char text[96];
	snprintf(text, sizeof(text), "blocked%s", query);
	return begin_at(w, text);
}

static void ask(struct world *w, const char *query)
{
	assert_non_null(begin(w, query));
	while (!w->over)
		loop_run_once(w->loop);
}

static void test_answers(void **state)
{
	static const struct {
		const char *query;
		int status;
		const char *body;
	} rows[] = {
		{ "", 400, "name= is not a domain name" },
		{ "?name=.", 400, "name= is not a domain name" },
		{ "?name=x&client=nobody", 400, "neither an address nor a machine" },
		{ "?name=X.Ads.Example", 200,
			"{\"On\":true,\"Blocked\":true,\"Group\":\"\",\"Lines\":[\"blocked by the list ads, "
			"*.ads.example\"],\"Server\":\"\"}" },
		{ "?name=late.example", 200,
			"\"Blocked\":false,\"Group\":\"\",\"Lines\":[\"blocked by the list late (not now), "
			"late.example\"]" },
		{ "?name=late.example&client=tv", 200, "\"Blocked\":false,\"Group\":\"tvs\",\"Lines\":[]" },
		{ "?name=x.ads.example&client=tv.x.test.", 200, "\"Blocked\":true,\"Group\":\"tvs\"" },
		{ "?name=x.ads.example&client=100.64.0.2", 200, "\"Blocked\":true,\"Group\":\"tvs\"" },
	};
	struct world w;
	(void)state;
	world_start(&w);
	ask(&w, "?name=x.ads.example");
	assert_int_equal(w.status, 200);
	assert_non_null(strstr(w.body, "\"On\":false"));
	assert_non_null(strstr(w.body, "\"Server\":\"tv.x.test.\""));
	w.blocks = true;
	ask(&w, "?name=x.ads.example");
	assert_int_equal(w.status, 503); /* the lists are not read yet */
	lists_arrive(&w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ask(&w, rows[i].query);
		if (w.status != rows[i].status || !strstr(w.body, rows[i].body))
			fail_msg("row %zu: %d %s", i, w.status, w.body);
	}
	world_end(&w);
}

/* Who asked may go, and so may what blocks, while the lists are read through. */
static void test_gone(void **state)
{
	struct world w;
	(void)state;
	world_start(&w);
	w.blocks = true;
	lists_arrive(&w);
	for (int i = 0; i < 20; i++) {
		struct http_client *c = begin(&w, "?name=x.ads.example");
		for (int k = 0; k < i % 5 && !w.over; k++)
			loop_run_once(w.loop);
		if (!w.over)
			http_client_cancel(c);
	}
	assert_non_null(begin(&w, "?name=x.ads.example"));
	blocker_free(w.blocker);
	w.blocker = blocker_new(w.loop, w.core);
	while (!w.over)
		loop_run_once(w.loop);
	world_end(&w);
}

static void test_pause(void **state)
{
	static const struct {
		const char *query;
		int status;
		const char *body;
	} rows[] = {
		{ "blocking", 200, "{\"On\":true,\"Lists\":2,\"Names\":2,\"PauseLeftMs\":0}" },
		{ "!pause?for=1y", 400, "a time up to 24h" },
		{ "!pause?for=25h", 400, "a time up to 24h" },
		{ "!pause?for=", 400, "a time up to 24h" },
		{ "!pause?for=0000000000000000000000010m", 400, "a time up to 24h" },
		{ "!pause?for=10m", 200, "\"PauseLeftMs\":" },
		{ "blocked?name=x.ads.example", 200, "\"Blocked\":false" },
		{ "blocked?name=x.ads.example", 200, "by the list ads (not now)" },
		{ "!pause?for=off", 200, "\"PauseLeftMs\":0}" },
		{ "blocked?name=x.ads.example", 200, "\"Blocked\":true" },
	};
	struct world w;
	(void)state;
	world_start(&w);
	for (size_t i = 0; i < 2; i++) {
		assert_non_null(begin_at(&w, i ? "!pause" : "blocking"));
		while (!w.over)
			loop_run_once(w.loop);
		assert_int_equal(w.status, i ? 409 : 200);
		assert_non_null(strstr(w.body, i ? "blocks no names" : "\"On\":false"));
	}
	w.blocks = true;
	lists_arrive(&w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_non_null(begin_at(&w, rows[i].query));
		while (!w.over)
			loop_run_once(w.loop);
		if (w.status != rows[i].status || !strstr(w.body, rows[i].body))
			fail_msg("row %zu: %d %s", i, w.status, w.body);
	}
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_answers), cmocka_unit_test(test_gone),
		cmocka_unit_test(test_pause) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
