/* The pages of a login as a browser has them, with a local admin: cookies, forms, and what is refused. What a provider adds
 * is scenarios/interop/login-browser.yaml. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/test/browser.h"
#include "mesh/os/work.h"
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void test_admin(void **state)
{
	struct world *w = *state;
	struct browser b = { .w = w }, stranger = { .w = w };
	static struct world_node n;
	char url[256], form[80], text[256], before[160];
	json_decref(world_admin(w, "/v1/users/create", "{\"name\":\"alice\"}"));
	json_decref(world_admin(w, "/v1/users/create", "{\"name\":\"bob\"}"));
	json_decref(world_admin(w, "/v1/users/role", "{\"name\":\"bob\",\"role\":\"admin\"}"));
	world_node_open(&n, w);
	world_node_join(&n, "", "<b>alpha");
	snprintf(url, sizeof(url), "%s", n.answer.auth_url + strlen("https://hs.test"));

	/* The page: of a machine that calls itself so, no markup; no script but ours. */
	assert_null(strstr(browser_visit(&b, url, NULL, NULL), "<b>"));
	assert_non_null(strstr(b.page, "&lt;b&gt;alpha asks to join"));
	assert_non_null(strstr(b.csp, "default-src 'none'; style-src 'self'; script-src 'self';"));
	assert_non_null(strstr(b.csp, "frame-ancestors 'none'"));
	assert_string_equal(b.opener, "same-origin");
	assert_memory_equal(b.set_cookie, "__Host-ropewalk=", 16);
	assert_non_null(strstr(b.set_cookie, "; Path=/; HttpOnly; SameSite=Lax; Secure"));
	assert_null(strstr(b.page, "/login?")); /* there is no admin yet */

	world_make_admin(w, "/v1/admins/create");
	assert_non_null(strstr(browser_visit(&b, url, NULL, NULL), "/login?register="));
	assert_string_equal(b.set_cookie, ""); /* it has one */
	snprintf(before, sizeof(before), "%s", b.cookie);
	browser_log_in(&b, "a%20short%20one", NULL);
	assert_int_equal(b.status, 403);
	browser_log_in(&b, "a+long+password", "cross-site");
	assert_int_equal(b.status, 400);
	browser_log_in(&b, "a+long+password", "same-origin");
	assert_int_equal(b.status, 303);
	assert_string_equal(b.location, "/admin");
	assert_string_not_equal(b.cookie, before); /* not the cookie that somebody may have put there */

	/* Who has the old cookie, or none, is nobody. */
	assert_non_null(strstr(browser_visit(&b, url, NULL, NULL), "logged in as <strong>root"));
	browser_form(&b, form);
	snprintf(stranger.cookie, sizeof(stranger.cookie), "%s", before);
	assert_null(strstr(browser_visit(&stranger, url, NULL, NULL), "logged in"));
	snprintf(text, sizeof(text), "%s&user=bob", form);
	(void)browser_visit(&stranger, url, text, NULL); /* root's form with another cookie */
	assert_int_equal(stranger.status, 400);
	stranger.cookie[0] = 0;
	(void)browser_visit(&stranger, url, text, NULL);
	assert_int_equal(stranger.status, 400);
	(void)browser_visit(&b, url, "user=bob",
		NULL); /* the cookie without a form of ours, as another site could send */
	assert_int_equal(b.status, 400);
	(void)browser_visit(&b, url, text, "cross-site");
	assert_int_equal(b.status, 400);

	world_node_register(&n, "", n.answer.auth_url, "<b>alpha");
	(void)browser_visit(&b, url, text, "same-origin");
	assert_int_equal(b.status, 303);
	assert_string_equal(b.location, url);
	WAIT(w, n.registered);
	assert_true(n.answer.machine_authorized);
	assert_string_equal(n.answer.login.login_name, "bob");
	assert_non_null(strstr(browser_visit(&b, url, NULL, NULL), "The machine is in"));
	snprintf(text, sizeof(text), "/pending/%s", strrchr(url, '/') + 1);
	assert_string_equal(browser_visit(&stranger, text, NULL, NULL), "{\"state\":\"in\"}");
	world_node_close(&n);
	free(b.page);
	free(stranger.page);
}

/* Another password, and the end of an admin, end what was begun by the old one. */
static void test_ended(void **state)
{
	struct world *w = *state;
	struct browser b = { .w = w };
	static struct world_node n;
	char form[80], url[256], text[256];
	world_node_open(&n, w);
	world_node_join(&n, "", "alpha");
	snprintf(url, sizeof(url), "%s", n.answer.auth_url + strlen("https://hs.test"));
	world_make_admin(w, "/v1/admins/create");
	for (int i = 0; i < 3; i++) {
		browser_log_in(&b, "a+long+password", NULL);
		assert_int_equal(b.status, 303);
		assert_non_null(strstr(browser_visit(&b, url, NULL, NULL), "logged in as"));
		browser_form(&b, form);
		if (i == 0)
			(void)browser_visit(&b, "/logout", form, NULL);
		else if (i == 1)
			world_make_admin(w, "/v1/admins/password");
		else
			json_decref(world_admin(w, "/v1/admins/delete", "{\"name\":\"root\"}"));
		assert_null(strstr(browser_visit(&b, url, NULL, NULL), "logged in as"));
	}
	assert_non_null(strstr(browser_visit(&b, "/login", NULL, NULL), "Nobody can log in yet"));
	snprintf(text, sizeof(text), "%s&name=root&password=a+long+password", form);
	(void)browser_visit(&b, "/login", text, NULL);
	assert_int_equal(b.status, 403);
	world_node_close(&n);
	free(b.page);
}

/* The word that the server has written into its log; "" = none. */
static void first_word(struct world *w, char word[static 33])
{
	static const char before[] = "/login makes the first, with the word ";
	json_t *v = world_admin(w, "/v1/log/show", "{}"), *line;
	size_t i;
	word[0] = 0;
	json_array_foreach(v, i, line)
	{
		const char *text = json_string_value(json_object_get(line, "text"));
		const char *at = text ? strstr(text, before) : NULL;
		if (at)
			snprintf(word, 33, "%.32s", at + strlen(before));
	}
	json_decref(v);
}

static int make_first(struct browser *b, const char *word, const char *rest, const char *site)
{
	char form[80], text[512];
	(void)browser_visit(b, "/login", NULL, NULL);
	browser_form(b, form);
	snprintf(text, sizeof(text), "%s&word=%s&%s", form, word, rest);
	(void)browser_visit(b, "/login/first", text, site);
	return b->status;
}

#define GOOD "name=root&password=a+long+password&again=a+long+password"

/* Whoever reads the server's log makes the first admin in a browser, once. */
static void test_first(void **state)
{
	static const struct {
		const char *rest, *site;
		int status;
	} rows[] = {
		{ GOOD, "cross-site", 400 },
		{ "name=&password=a+long+password&again=a+long+password", NULL, 400 },
		{ "name=root&password=short&again=short", NULL, 400 },
		{ "name=root&password=a+long+password&again=another+password", NULL, 400 },
		{ "name=%3Cb%3E%0A&password=a+long+password&again=a+long+password", NULL, 400 },
		{ GOOD, "same-origin", 303 },
		{ GOOD, NULL, 403 },
	};
	struct world *w = *state;
	struct browser b = { .w = w }, late = { .w = w };
	char word[33], wrong[33], form[80], text[256];
	first_word(w, word);
	assert_int_equal(strlen(word), 32);
	assert_non_null(strstr(browser_visit(&b, "/login", NULL, NULL), "<h1>The first admin</h1>"));
	assert_non_null(strstr(b.page, "<code>ropewalk-control admins create NAME</code>"));
	assert_non_null(strstr(b.csp, "form-action 'self'"));
	(void)browser_visit(&late, "/login", NULL, NULL);
	browser_form(&late, form);
	/* wrong ones, and what is no word at all */
	memcpy(wrong, word, sizeof(wrong));
	wrong[31] ^= 1;
	assert_int_equal(make_first(&b, wrong, GOOD, NULL), 403);
	assert_int_equal(make_first(&b, "", GOOD, NULL), 403);
	wrong[31] = 0;
	assert_int_equal(make_first(&b, wrong, GOOD, NULL), 403);
	for (size_t i = 0; i + 1 < ARRAY_LEN(rows); i++)
		if (make_first(&b, word, rows[i].rest, rows[i].site) != rows[i].status)
			fail_msg("row %zu: %d: %s", i, b.status, b.page);
	assert_string_equal(b.location, "/admin");
	assert_non_null(strstr(b.set_cookie, "; HttpOnly"));
	/* logged in, and an admin like another */
	assert_null(strstr(browser_visit(&b, "/login", NULL, NULL), "There is no admin yet"));
	json_t *v = world_admin(w, "/v1/admins/list", "{}");
	assert_int_equal(json_array_size(v), 1);
	json_decref(v);
	/* a page that was open meanwhile, with the right word */
	snprintf(text, sizeof(text), "%s&word=%s&%s", form, word, GOOD);
	(void)browser_visit(&late, "/login/first", text, NULL);
	assert_int_equal(late.status, 403);
	browser_log_in(&b, "a+long+password", NULL);
	assert_int_equal(b.status, 303);
	/* not after it either, nor in the next run while there is one */
	json_decref(world_admin(w, "/v1/admins/delete", "{\"name\":\"root\"}"));
	(void)browser_visit(&late, "/login/first", text, NULL);
	assert_int_equal(late.status, 403);
	world_make_admin(w, "/v1/admins/create");
	world_server_kill(w, SIGTERM, 0);
	world_server_start(w);
	first_word(w, word);
	assert_string_equal(word, "");
	free(b.page);
	free(late.page);
}

/* What a header says of the way here, or of the name that was asked for, changes nothing: server_url alone does. */
static void test_headers(void **state)
{
	struct world *w = *state;
	struct browser b = { .w = w };
	world_make_admin(w, "/v1/admins/create");
	for (int known = 0; known < 2; known++) {
		browser_send(&b, "/admin", NULL,
			"X-Forwarded-Proto: http\r\nX-Forwarded-Host: evil.example\r\n"
			"Forwarded: proto=http;host=evil.example\r\n");
		WAIT(w, b.done);
		assert_int_equal(b.status, known ? 200 : 303);
		if (!known) {
			assert_string_equal(b.location, "/login");
			browser_log_in(&b, "a+long+password", NULL);
			assert_memory_equal(b.set_cookie, "__Host-ropewalk=", 16);
			assert_non_null(strstr(b.set_cookie, "; Secure"));
		}
		assert_null(strstr(b.page, "evil.example"));
	}
	free(b.page);
}

/* Many at once, all with the right word, while passwords are being hashed: one becomes an admin. */
static void test_first_at_once(void **state)
{
	enum { MANY = 32 };
	struct world *w = *state;
	struct browser b[MANY] = { { 0 } };
	char word[33], form[80], text[256];
	unsigned made = 0;
	first_word(w, word);
	for (int i = 0; i < MANY; i++) {
		b[i].w = w;
		(void)browser_visit(&b[i], "/login", NULL, NULL);
	}
	for (int i = 0; i < MANY; i++) {
		browser_form(&b[i], form);
		snprintf(text, sizeof(text),
			"%s&word=%s&name=root%d&password=a+long+password&again=a+long+password", form, word,
			i);
		browser_send(&b[i], "/login/first", text, "");
	}
	for (int i = 0; i < MANY; i++) {
		WAIT(w, b[i].done);
		made += b[i].status == 303;
		free(b[i].page);
	}
	assert_int_equal(made, 1);
	json_t *v = world_admin(w, "/v1/admins/list", "{}");
	assert_int_equal(json_array_size(v), 1);
	json_decref(v);
}

/* An admin that is made elsewhere ends it for this run, though that one may be gone before anybody looks at the page. */
static void test_first_elsewhere(void **state)
{
	struct world *w = *state;
	struct browser b = { .w = w };
	char word[33], form[80], text[256];
	first_word(w, word);
	assert_int_equal(strlen(word), 32);
	(void)browser_visit(&b, "/login", NULL, NULL);
	browser_form(&b, form);
	world_make_admin(w, "/v1/admins/create");
	json_decref(world_admin(w, "/v1/admins/delete", "{\"name\":\"root\"}"));
	snprintf(text, sizeof(text), "%s&word=%s&%s", form, word, GOOD);
	(void)browser_visit(&b, "/login/first", text, NULL);
	assert_int_equal(b.status, 403);
	assert_non_null(strstr(browser_visit(&b, "/login", NULL, NULL), "Nobody can log in yet"));
	free(b.page);
}

/* Guessing the word costs time too. */
static void test_first_guessed(void **state)
{
	struct browser b = { .w = *state };
	int status = 0;
	for (int i = 0; i < 8 && status != 429; i++)
		status = make_first(&b, "00000000000000000000000000000000", GOOD, NULL);
	assert_int_equal(status, 429);
	char word[33];
	first_word(*state, word);
	assert_int_equal(make_first(&b, word, GOOD, NULL), 429); /* the right one waits as well */
	free(b.page);
}

/* Guessing costs time: more with each wrong try, so that a slow machine comes to it as well. */
static void test_throttled(void **state)
{
	enum { TRIES = 16 };
	struct browser b = { .w = *state };
	world_make_admin(b.w, "/v1/admins/create");
	for (int i = 0; i < TRIES && b.status != 429; i++) {
		browser_log_in(&b, "wrong", NULL);
		assert_int_equal(b.status, i < 5 || b.status == 403 ? 403 : 429);
	}
	assert_int_equal(b.status, 429);
	assert_non_null(strstr(b.page, "wait"));
	free(b.page);
}

static void server_behind_proxy(struct world *w)
{
	world_server_kill(w, SIGTERM, 0);
	FILE *f = fopen(w->config, "a");
	assert_non_null(f);
	fputs("trusted_proxies: [127.0.0.1]\n", f);
	fclose(f);
	world_server_start(w);
	world_make_admin(w, "/v1/admins/create");
}

/* One password is compared at a time. Who has many addresses, as every site with IPv6 does, waits in the places of one. */
static void test_one_site_waits(void **state)
{
	enum {
		ONE_SITE = 7,
		ALL
	}; /* fewer than there are places: each from a site of its own would get in */
	struct world *w = *state;
	struct browser b[ALL] = { { 0 } };
	char form[80], text[256], extra[96];
	int refused = 0;
	server_behind_proxy(w);
	for (int i = 0; i < ALL; i++)
		b[i].w = w;
	(void)browser_visit(&b[0], "/login", NULL, NULL);
	browser_form(&b[0], form);
	snprintf(text, sizeof(text), "%s&name=root&password=wrong", form);
	for (int i = 0; i < ALL; i++) {
		snprintf(extra, sizeof(extra), "X-Forwarded-For: 2001:db8:0:%d::%d\r\n", i / ONE_SITE, i);
		memcpy(b[i].cookie, b[0].cookie, sizeof(b[i].cookie));
		browser_send(&b[i], "/login", text, extra);
	}
	for (int i = 0; i < ALL; i++) {
		WAIT(w, b[i].done);
		refused += b[i].status == 503;
		free(b[i].page);
	}
	assert_true(refused > 0);
	assert_int_equal(b[ONE_SITE].status, 403);
}

/* Compared passwords of the server, a process of its own, when `on`: the first waits for `go`, the second finds no memory. */
static struct comparing {
	atomic_bool on, go;
	atomic_uint begun;
} * comparing;
static struct {
	void (*run)(void *arg), (*done)(void *arg);
	void *arg;
} first;

static void first_run(void *arg)
{
	while (!comparing->go)
		usleep(1000);
	first.run(first.arg);
	(void)arg;
}

static void first_done(void *arg)
{
	first.done(first.arg);
	(void)arg;
}

struct work *__real_work_start(struct loop *l, void (*run)(void *arg), void (*done)(void *arg), void *arg);
struct work *__wrap_work_start(struct loop *l, void (*run)(void *arg), void (*done)(void *arg), void *arg);

struct work *__wrap_work_start(struct loop *l, void (*run)(void *arg), void (*done)(void *arg), void *arg)
{
	unsigned n = comparing->on ? comparing->begun++ : UINT_MAX;
	if (n == 1)
		return NULL;
	if (n)
		return __real_work_start(l, run, done, arg);
	first.run = run;
	first.done = done;
	first.arg = arg;
	return __real_work_start(l, first_run, first_done, NULL);
}

/* One for whom memory is short takes nobody's turn. */
static void test_no_memory(void **state)
{
	struct world *w = *state;
	struct browser b[3] = { { 0 } };
	char form[80], text[256], extra[96];
	int wrong = 0, short_of_memory = 0;
	server_behind_proxy(w);
	(void)browser_visit((b[0].w = w, &b[0]), "/login", NULL, NULL);
	browser_form(&b[0], form);
	snprintf(text, sizeof(text), "%s&name=root&password=wrong", form);
	comparing->on = true;
	for (size_t i = 0; i < ARRAY_LEN(b); i++) {
		b[i].w = w;
		memcpy(b[i].cookie, b[0].cookie, sizeof(b[i].cookie));
		snprintf(extra, sizeof(extra), "X-Forwarded-For: 2001:db8:0:%zu::1\r\n", i);
		browser_send(&b[i], "/login", text, extra);
	}
	struct browser after = { .w = w }; /* what is answered when all three have come */
	(void)browser_visit(&after, "/login", NULL, NULL);
	free(after.page);
	comparing->go = true;
	for (size_t i = 0; i < ARRAY_LEN(b); i++) {
		WAIT(w, b[i].done);
		wrong += b[i].status == 403;
		short_of_memory += b[i].status == 503;
		free(b[i].page);
	}
	assert_int_equal(short_of_memory, 1);
	assert_int_equal(wrong, 2);
	assert_int_equal(comparing->begun, ARRAY_LEN(b));
	comparing->on = false;
}

/* No form and no address leads away from here. */
static void test_no_way_out(void **state)
{
	static const char *const targets[] = { "/login?register=//evil.example",
		"/login?register=https://evil.example/", "/login?register=0123456789abcdef0123456%3C",
		"/oidc/begin?provider=0&register=//evil.example",
		"/oidc/callback?state=x&code=y&register=//evil.example", "/register/%2F%2Fevil.example",
		"/register/..%2Flogin" };
	struct browser b = { .w = *state };
	for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
		(void)browser_visit(&b, targets[i], NULL, NULL);
		if (strstr(b.page, "evil") || *b.location)
			fail_msg("row %zu: %s %s", i, b.location, b.page);
	}
	free(b.page);
}

/* On pages without TLS browsers ignore that header, and say so for each. */
static void test_plain(void **state)
{
	struct world *w = *state;
	struct browser b = { .w = w };
	world_server_kill(w, SIGTERM, 0);
	FILE *f = fopen(w->config, "r+");
	char config[2048] = "";
	assert_non_null(f);
	config[fread(config, 1, sizeof(config) - 1, f)] = 0;
	fclose(f);
	char *at = strstr(config, "https:");
	assert_non_null(at);
	memmove(at + 4, at + 5, strlen(at + 4));
	world_write_file(w->config, config);
	world_server_start(w);
	(void)browser_visit(&b, "/login", NULL, NULL);
	assert_non_null(strstr(b.csp, "frame-ancestors 'none'"));
	assert_string_equal(b.opener, "");
	(void)browser_visit(&b, "/admin", NULL, NULL); /* sent on */
	assert_int_equal(b.status, 303);
	assert_string_equal(b.opener, "");
	free(b.page);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(
						    test_admin, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_first, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_headers, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_first_at_once, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_first_elsewhere, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_first_guessed, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_ended, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_plain, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_throttled, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_one_site_waits, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_no_memory, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_no_way_out, world_setup, world_teardown) };
	comparing = mmap(NULL, sizeof(*comparing), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (comparing == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
