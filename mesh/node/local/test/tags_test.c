/* Tags that a machine asks for: kept by the preferences, and a reason for a new login. */
#include "mesh/node/local/local_api.h"
#include "mesh/os/file.h"
#include "mesh/transport/http.h"
#include "mesh/netmap/test/told_map.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define API "/localapi/v0/"

struct world {
	struct loop *loop;
	char dir[64], sock[96];
	struct local_api *api;
	struct state_prefs prefs;
	struct netmap *map;
	bool logged_in;
	char login[32]; /* the key of the last login, "-" for none */
	int logins, tries;
	int status;
	bool over;
};

static void say_facts(void *arg, struct local_facts *out)
{
	static const struct machine_key none;
	struct world *w = arg;
	*out = (struct local_facts) { .auth_url = "",
		.error = "",
		.login_name = "ann",
		.prefs = &w->prefs,
		.server = &none,
		.logged_in = w->logged_in };
}

static struct netmap *say_map(void *arg)
{
	return ((struct world *)arg)->map;
}

static struct netmap *map_with(const char *tags)
{
	char json[256];
	snprintf(json, sizeof(json),
		"{\"Node\":{\"ID\":1,\"Name\":\"a.x.test.\",\"Addresses\":[\"100.64.0.1/"
		"32\"],\"Tags\":[%s]}}",
		tags);
	return told_map(NULL, json);
}

static void take_prefs(void *arg, const struct state_prefs *p)
{
	((struct world *)arg)->prefs = *p;
}

static void take_login(void *arg, const char *key)
{
	struct world *w = arg;
	w->logins++;
	snprintf(w->login, sizeof(w->login), "%s", *key ? key : "-");
}

static void take_try(void *arg)
{
	((struct world *)arg)->tries++;
}

static void done(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct world *w = arg;
	(void)body;
	(void)len;
	w->status = head->status;
	w->over = true;
}

static void failed(void *arg, int code, const char *why)
{
	(void)arg;
	fail_msg("%d %s", code, why);
}

static void ask(struct world *w, const char *method, const char *target, const char *body)
{
	struct http_request rq = { .unix_path = w->sock,
		.method = method,
		.target = target,
		.host = "local-tailscaled.sock",
		.body = body,
		.body_len = strlen(body) };
	struct http_client_events ev = { .done = done, .failed = failed, .arg = w };
	w->over = false;
	assert_non_null(http_request(w->loop, &rq, &ev));
	while (!w->over)
		loop_run_once(w->loop);
}

/* What the official command sends by `up`, and by `set`. */
static void test_tags(void **state)
{
	static const struct {
		const char *method, *target, *body;
		bool logged_in;
		const char *had, *has, *login; /* login NULL: none is begun */
		const char *given;	       /* by the network; NULL: there is no map */
	} rows[] = {
		{ "POST", API "start", "{\"UpdatePrefs\":{\"AdvertiseTags\":[\"tag:a\",\"tag:b\"]}}", true,
			"", "tag:a,tag:b", NULL, "\"tag:b\",\"tag:a\"" },
		{ "POST", API "start", "{\"UpdatePrefs\":{\"AdvertiseTags\":[\"tag:a\"]}}", true, "tag:c",
			"tag:a", "-", "\"tag:b\",\"tag:a\"" },
		{ "POST", API "start", "{\"UpdatePrefs\":{}}", true, "tag:refused", "", NULL, "" },
		{ "POST", API "start", "{\"UpdatePrefs\":{\"AdvertiseTags\":[\"tag:a\",\"tag:b\"]}}", true,
			"", "tag:a,tag:b", "-", NULL },
		{ "POST", API "start", "{\"AuthKey\":\"k\",\"UpdatePrefs\":{\"AdvertiseTags\":[\"tag:a\"]}}",
			true, "tag:b", "tag:a", "k", NULL },
		{ "POST", API "start", "{\"AuthKey\":\"k\",\"UpdatePrefs\":{\"AdvertiseTags\":[\"tag:a\"]}}",
			true, "tag:a", "tag:a", NULL, NULL },
		{ "POST", API "start", "{\"UpdatePrefs\":{\"AdvertiseTags\":null}}", true, "tag:a", "", "-",
			NULL },
		{ "POST", API "start", "{\"UpdatePrefs\":{}}", true, "", "", NULL, NULL },
		{ "POST", API "start", "{}", true, "tag:a", "tag:a", NULL, NULL },
		{ "POST", API "start", "{\"UpdatePrefs\":{\"AdvertiseTags\":[\"tag:a\"]}}", false, "",
			"tag:a", NULL, NULL },
		{ "POST", API "start", "{\"AuthKey\":\"k\",\"UpdatePrefs\":{\"AdvertiseTags\":[\"tag:a\"]}}",
			false, "", "tag:a", "k", NULL },
		{ "PATCH", API "prefs", "{\"AdvertiseTagsSet\":true,\"AdvertiseTags\":[\"tag:a\"]}", true, "",
			"tag:a", NULL, NULL },
		{ "PATCH", API "prefs", "{\"AdvertiseTags\":[\"tag:a\"]}", true, "tag:b", "tag:b", NULL,
			NULL },
	};
	struct errbuf eb = { 0 };
	struct world w = { .loop = loop_new(), .dir = "/tmp/rw-tags-XXXXXX" };
	struct local_node_ops ops = { .facts = say_facts,
		.map = say_map,
		.prefs_set = take_prefs,
		.login = take_login,
		.try_now = take_try,
		.arg = &w };
	(void)state;
	assert_non_null(mkdtemp(w.dir));
	snprintf(w.sock, sizeof(w.sock), "%s/s", w.dir);
	w.api = local_api_open(w.loop, w.sock, &ops, &eb);
	if (!w.api)
		fail_msg("%s", eb.text);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		w.prefs = (struct state_prefs) { .control_url = "https://c.test" };
		strcpy(w.prefs.tags, rows[i].had);
		w.logged_in = rows[i].logged_in;
		w.logins = w.tries = 0;
		w.map = rows[i].given ? map_with(rows[i].given) : NULL;
		ask(&w, rows[i].method, rows[i].target, rows[i].body);
		bool as_told = rows[i].login ? w.logins == 1 && !strcmp(w.login, rows[i].login) : !w.logins;
		if (w.status / 100 != 2 || strcmp(w.prefs.tags, rows[i].has) != 0 || !as_told)
			fail_msg("row %zu: %d, tags \"%s\", %d logins", i, w.status, w.prefs.tags, w.logins);
		netmap_put(w.map);
	}
	local_api_close(w.api);
	loop_free(w.loop);
	assert_int_equal(dir_remove(w.dir, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_tags) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
