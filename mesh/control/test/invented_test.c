/* Machines that are not there, as programs for Headscale make them up to try themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/test/world.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID "made-up-0123456789_ABCDE"

static char key[128];

/* The status; the answer is in w->answer. */
static int ask(struct world *w, const char *target, const char *body)
{
	char host[64], extra[160];
	struct http_request rq = { .method = body ? "POST" : "GET",
		.target = target,
		.host = "hs.test",
		.body = body,
		.body_len = body ? strlen(body) : 0,
		.extra = extra };
	snprintf(extra, sizeof(extra), "Authorization: Bearer %s\r\n", key);
	addr_format(&w->at.ip, host);
	rq.to = (struct stream_target) { .host = host, .port = w->at.port, .at = &w->at };
	world_fetch(w, &rq);
	return w->status;
}

static void make_key(struct world *w)
{
	json_decref(world_admin(w, "/v1/users/create", "{\"name\":\"alice\"}"));
	json_t *v = world_admin(w, "/v1/apikeys/create", "{}");
	snprintf(key, sizeof(key), "%s", json_string_value(json_object_get(v, "key")));
	json_decref(v);
}

static void has(const struct world *w, const char *text)
{
	if (!strstr(w->answer, text))
		fail_msg("%s is not in %s", text, w->answer);
}

static void test_refused(void **state)
{
	static const struct {
		const char *body;
		int status;
	} rows[] = {
		{ "{}", 404 },
		{ "{\"user\":\"bob\",\"key\":\"" ID "\",\"name\":\"x\"}", 404 },
		{ "{\"user\":\"alice\",\"name\":\"x\"}", 400 },
		{ "{\"user\":\"alice\",\"key\":\"0123456789012345678901\",\"name\":\"x\"}", 400 },
		{ "{\"user\":\"alice\",\"key\":\"0123456789012345678901234\",\"name\":\"x\"}", 400 },
		{ "{\"user\":\"alice\",\"key\":\"made-up/0123456789_ABCDE\",\"name\":\"x\"}", 400 },
		{ "{\"user\":\"alice\",\"key\":\"" ID "\",\"routes\":[\"10.0.0.0/33\"]}", 400 },
		{ "{\"user\":\"alice\",\"key\":\"" ID "\",\"routes\":[\"\"]}", 200 },
		{ "{\"user\":\"alice\",\"key\":\"" ID "\"}", 409 },
	};
	struct world *w = *state;
	make_key(w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (ask(w, "/api/v1/debug/node", rows[i].body) != rows[i].status)
			fail_msg("row %zu: %d %s", i, w->status, w->answer);
	memset(key, 'x', strlen(key));
	assert_int_equal(ask(w, "/api/v1/debug/node", "{}"), 401);
}

/* It waits as one that has asked, is let in once, and has what it was made with. */
static void test_let_in(void **state)
{
	static const char made[] = "{\"user\":\"alice\",\"key\":\"" ID
				   "\",\"name\":\"made\",\"routes\":[\"10.1.2.3/8\",\"::/0\"]}",
			  in[] = "{\"user\":\"alice\",\"key\":\"" ID "\"}";
	struct world *w = *state;
	make_key(w);
	assert_int_equal(ask(w, "/api/v1/debug/node", made), 200);
	has(w, "{\"node\":{\"id\":\"0\",\"machineKey\":\"mkey:");
	has(w, "\"name\":\"made\",\"user\":{\"id\":\"1\",\"name\":\"alice\"");
	has(w, "\"availableRoutes\":[\"10.0.0.0/8\",\"::/0\"]");
	has(w, "\"ipAddresses\":[]");
	has(w, "\"registerMethod\":\"REGISTER_METHOD_UNSPECIFIED\"");
	json_decref(world_admin(w, "/v1/nodes/pending", "{}"));
	has(w, ID);
	assert_int_equal(ask(w, "/api/v1/node", NULL), 200);
	has(w, "{\"nodes\":[]}");
	assert_int_equal(ask(w, "/api/v1/node/register", in), 200);
	has(w, "\"givenName\":\"made\"");
	has(w, "\"availableRoutes\":[\"10.0.0.0/8\",\"::/0\"]");
	has(w, "\"ipAddresses\":[\"100.64.0.1\"");
	json_decref(world_admin(w, "/v1/nodes/pending", "{}"));
	assert_null(strstr(w->answer, ID));
	assert_int_equal(ask(w, "/api/v1/node/register", in), 404);
	/* The id is free again, and another machine is made. */
	assert_int_equal(ask(w, "/api/v1/debug/node", made), 200);
	assert_int_equal(ask(w, "/api/v1/node/register", in), 200);
	has(w, "\"id\":\"2\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_refused, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_let_in, world_setup, world_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
