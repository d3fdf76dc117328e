/* What whoever reads the log of the server, or the settings that it shows, must not find there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/test/browser.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOUD "policy: { path: policy.hujson }\nlog: { level: debug }"

enum { SECRETS = 16 };
struct secrets {
	char text[SECRETS][160];
	size_t n;
};

static void keep(struct secrets *s, const char *text)
{
	assert_true(s->n < SECRETS && strlen(text) > 6);
	snprintf(s->text[s->n++], sizeof(s->text[0]), "%s", text);
}

/* What comes after the part that names a key: "hskey-auth-PREFIX-SECRET". */
static void keep_key(struct secrets *s, const char *key)
{
	const char *at = strrchr(key, '-');
	assert_non_null(at);
	keep(s, at + 1);
}

/* The server says as much as it can say. */
static void be_loud(struct world *w)
{
	char text[2048] = "";
	FILE *f = fopen(w->config, "r");
	assert_true(f && fread(text, 1, sizeof(text) - 1, f));
	fclose(f);
	char *quiet = strstr(text, "log: { level: warn }");
	assert_non_null(quiet);
	if (quiet)
		memset(quiet, ' ', strlen("log: { level: warn }"));
	world_write_file(w->config, text);
	world_restart_with(w, LOUD);
}

static void people(struct world *w, struct secrets *s)
{
	struct browser b = { .w = w };
	char form[80];
	world_make_admin(w, "/v1/admins/create");
	browser_log_in(&b, "a+wrong+password", NULL);
	assert_int_equal(b.status, 403);
	browser_log_in(&b, "a+long+password", NULL);
	assert_int_equal(b.status, 303);
	keep(s, strchr(b.cookie, '=') + 1);
	s->text[s->n - 1][strcspn(s->text[s->n - 1], "\r\n")] = 0;
	(void)browser_visit(&b, "/admin", NULL, NULL);
	assert_int_equal(b.status, 200);
	(void)browser_visit(&b, "/login", NULL, NULL);
	browser_form(&b, form);
	keep(s, strchr(form, '=') + 1);
	free(b.page);
	keep(s, "a wrong password");
	keep(s, "a+wrong+password");
	keep(s, "a long password");
	keep(s, "a+long+password");
	keep(s, "$argon2");
}

static void machines(struct world *w, struct secrets *s)
{
	static const char wrong[] = "hskey-auth-0123456789ab-ffffeeeeddddccccbbbbaaaa99998888";
	struct world_node a, b;
	char key[128], machine[80];
	world_key(w, "{\"user\":\"alice\",\"create_user\":true}", key);
	keep_key(s, key);
	world_node_open(&a, w);
	world_node_join(&a, key, "alpha");
	assert_true(a.answer.machine_authorized);
	world_node_open(&b, w);
	world_node_join(&b, key, "beta"); /* it is used up */
	assert_false(b.answer.machine_authorized);
	keep_key(s, wrong);
	world_node_join(&b, wrong, "beta");
	assert_false(b.answer.machine_authorized);
	keep(s, key_format(a.machine.b, "", machine));
	world_node_close(&a);
	world_node_close(&b);
}

static void programs(struct world *w, struct secrets *s)
{
	static const char wrong[] = "hskey-api-0123456789ab-ffffeeeeddddccccbbbbaaaa99997777";
	char key[128];
	world_api_key(w, "{}", key);
	keep_key(s, key);
	json_decref(world_ask(w, key, "GET", "/api/v1/node", NULL));
	assert_int_equal(w->status, 200);
	keep_key(s, wrong);
	json_decref(world_ask(w, wrong, "GET", "/api/v1/node", NULL));
	assert_int_equal(w->status, 401);
}

static void test_log(void **state)
{
	struct world *w = *state;
	struct secrets s = { .n = 0 };
	be_loud(w);
	people(w, &s);
	machines(w, &s);
	programs(w, &s);
	json_t *log = world_admin(w, "/v1/log/show", "{}");
	assert_true(json_array_size(log) > 5);
	char *text = json_dumps(log, JSON_COMPACT);
	assert_non_null(text);
	for (size_t i = 0; text && i < s.n; i++)
		if (strstr(text, s.text[i]))
			fail_msg("the log has secret %zu: %s", i, text);
	free(text);
	json_decref(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_log, world_setup, world_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
