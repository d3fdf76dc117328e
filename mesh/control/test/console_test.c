/* The console as a browser has it: its page and files, what it may ask and by what, and what it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/test/browser.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* word: what stands in the page's data-form, by which its scripts ask. */
static void log_in(struct browser *b, char word[static BROWSER_FORM])
{
	static const char field[] = " data-form=\"";
	browser_log_in(b, "a+long+password", NULL);
	assert_string_equal(b->location, "/admin");
	const char *at = strstr(browser_visit(b, "/admin", NULL, NULL), field);
	assert_int_equal(b->status, 200);
	assert_non_null(at);
	snprintf(word, BROWSER_FORM, "%s", at + strlen(field));
}

static void open_console(struct browser *b, char word[static BROWSER_FORM])
{
	world_make_admin(b->w, "/v1/admins/create");
	log_in(b, word);
}

/* As a script asks. word "": without one. */
static json_t *ask_by(
	struct browser *b, const char *word, const char *method, const char *target, const char *body)
{
	char host[64], extra[512];
	struct world *w = b->w;
	snprintf(extra, sizeof(extra), "%s%s%s%s", b->cookie, *word ? "X-Ropewalk-Form: " : "", word,
		*word ? "\r\n" : "");
	struct http_request rq = { .method = method,
		.target = target,
		.host = "hs.test",
		.extra = extra,
		.body = body,
		.body_len = strlen(body),
		.content_type = "application/json" };
	addr_format(&w->at.ip, host);
	rq.to = (struct stream_target) { .host = host, .port = w->at.port, .at = &w->at };
	return json_loads(world_fetch(w, &rq), 0, NULL);
}

static json_t *ask(struct browser *b, const char *word, const char *target, const char *body)
{
	return ask_by(b, word, "POST", target, body);
}

static void test_page(void **state)
{
	struct browser b = { .w = *state };
	char word[BROWSER_FORM];
	(void)browser_visit(&b, "/admin", NULL, NULL);
	assert_int_equal(b.status, 303);
	assert_string_equal(b.location, "/login");
	assert_non_null(strstr(browser_visit(&b, "/", NULL, NULL), "ropewalk up --login-server http"));
	(void)browser_visit(&b, "/admin/", NULL, NULL);
	assert_int_equal(b.status, 303);
	assert_string_equal(b.location, "/admin");
	open_console(&b, word);
	assert_non_null(strstr(b.csp, "default-src 'none'; style-src 'self'; script-src 'self';"));
	assert_null(strstr(b.csp, "unsafe"));
	assert_non_null(strstr(b.page, " data-name=\"root\" data-kind=\"admin\" data-scopes=\"all\""));
	/* Whatever the page and its scripts name is there, and of a size. */
	size_t bytes = strlen(b.page), n = 0;
	for (const char *at = b.page; (at = strstr(at, "/admin/")) != NULL; n++) {
		char path[64];
		struct browser stranger = { .w = b.w };
		snprintf(path, sizeof(path), "%.*s", (int)strcspn(at, "\""), at);
		bytes += strlen(browser_visit(&stranger, path, NULL, NULL));
		assert_int_equal(stranger.status, 200);
		free(stranger.page);
		at += strlen(path);
	}
	assert_true(n > 4 && bytes < 250 * 1000);
	(void)browser_visit(&b, "/admin/none.js", NULL, NULL);
	assert_int_equal(b.status, 404);
	(void)browser_visit(&b, "/admin/../login.js", NULL, NULL);
	assert_int_equal(b.status, 404);
	free(b.page);
}

static void test_asked(void **state)
{
	struct browser b = { .w = *state };
	char word[BROWSER_FORM], form[80], *policy = calloc(1, 40000);
	open_console(&b, word);
	json_decref(ask(&b, "", "/v1/users/create", "{\"name\":\"eve\"}"));
	assert_int_equal(b.w->status, 401); /* the cookie is not enough */
	json_decref(ask(&b, word, "/v1/users/create", "{\"name\":\"alice\"}"));
	assert_int_equal(b.w->status, 200);
	json_t *users = ask(&b, word, "/v1/users/list", "{}");
	assert_int_equal(json_array_size(users), 1);
	json_decref(users);
	/* More than a stranger may send. */
	snprintf(policy, 40000, "{\"policy\":\"{}%*s\"}", 30000, "");
	json_decref(ask(&b, word, "/v1/policy/test", policy));
	assert_int_equal(b.w->status, 200);
	json_t *error = ask(&b, word, "/v1/nodes/rename", "{\"id\":7,\"name\":\"x\"}");
	assert_non_null(json_object_get(json_object_get(error, "error"), "message"));
	json_decref(error);
	(void)browser_visit(&b, "/login", NULL, NULL);
	browser_form(&b, form);
	(void)browser_visit(&b, "/logout", form, NULL);
	json_decref(ask(&b, word, "/v1/users/list", "{}"));
	assert_int_equal(b.w->status, 401);
	free(policy);
	free(b.page);
}

/* Who set rules on a page is who logged in, whatever is said. */
static void test_author(void **state)
{
	struct browser b = { .w = *state };
	char word[BROWSER_FORM];
	world_restart_with(b.w, "policy: { mode: database }");
	open_console(&b, word);
	json_decref(ask(&b, word, "/v1/policy/set", "{\"policy\":\"{\\\"acls\\\":[]}\",\"author\":\"eve\"}"));
	assert_int_equal(b.w->status, 200);
	json_t *list = ask(&b, word, "/v1/policy/history", "{}");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "author")), "root");
	size_t versions = json_array_size(list);
	json_decref(list);
	/* by whichever door */
	static const struct {
		const char *method, *target, *body;
	} rows[] = { { "POST", "/api/v2/tailnet/-/acl", "{\"acls\":[],\"groups\":{}}" },
		{ "PUT", "/api/v1/policy", "{\"policy\":\"{\\\"acls\\\":[],\\\"hosts\\\":{}}\"}" } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_decref(ask_by(&b, word, rows[i].method, rows[i].target, rows[i].body));
		assert_int_equal(b.w->status, 200);
		list = ask(&b, word, "/v1/policy/history", "{}");
		assert_int_equal(json_array_size(list), ++versions);
		assert_string_equal(
			json_string_value(json_object_get(json_array_get(list, 0), "author")), "root");
		json_decref(list);
	}
	free(b.page);
}

/* A machine that waits is told no, as is whoever has its page open. */
static void test_rejected(void **state)
{
	struct world *w = *state;
	struct browser b = { .w = w };
	static struct world_node n;
	char word[BROWSER_FORM], args[128], path[128];
	open_console(&b, word);
	world_node_open(&n, w);
	world_node_join(&n, "", "alpha");
	const char *id = strrchr(n.answer.auth_url, '/') + 1;
	json_t *list = ask(&b, word, "/v1/nodes/pending", "{}");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "id")), id);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "from")), "127.0.0.1");
	json_decref(list);
	snprintf(args, sizeof(args), "{\"id\":\"%s\"}", id);
	snprintf(path, sizeof(path), "/pending/%s", id);
	world_node_register(&n, "", n.answer.auth_url, "alpha"); /* waits */
	json_decref(ask(&b, word, "/v1/nodes/reject", args));
	assert_int_equal(w->status, 200);
	WAIT(w, n.registered);
	assert_non_null(strstr(n.answer.error, "rejected"));
	assert_string_equal(world_get(w, path), "{\"state\":\"rejected\"}");
	list = ask(&b, word, "/v1/nodes/pending", "{}");
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
	world_node_close(&n);
	free(b.page);
}

/* An admin lets machines of the owner in, by whichever call. */
static void test_makers(void **state)
{
	static const struct {
		const char *target, *body; /* %s: the id of who waits */
	} rows[] = { { "/v1/preauthkeys/create", "{\"user\":\"alice\"}" },
		{ "/v1/invite", "{\"user\":\"alice\"}" }, { "/api/v1/preauthkey", "{\"user\":\"1\"}" },
		{ "/api/v2/tailnet/-/keys", "{\"capabilities\":{\"devices\":{\"create\":{}}}}" },
		{ "/v1/nodes/approve", "{\"user\":\"alice\",\"id\":\"%s\"}" },
		{ "/api/v1/auth/register", "{\"user\":\"alice\",\"authId\":\"%s\"}" } };
	struct world *w = *state;
	struct browser b = { .w = w };
	static struct world_node n;
	char word[BROWSER_FORM], body[160];
	open_console(&b, word);
	json_decref(world_admin(w, "/v1/users/create", "{\"name\":\"alice\"}"));
	json_decref(world_admin(w, "/v1/users/role", "{\"name\":\"alice\",\"role\":\"owner\"}"));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool waits = strstr(rows[i].body, "%s");
		if (waits) {
			world_node_open(&n, w);
			world_node_join(&n, "", "alpha");
		}
		snprintf(body, sizeof(body), rows[i].body, waits ? strrchr(n.answer.auth_url, '/') + 1 : "");
		json_decref(ask(&b, word, rows[i].target, body));
		if (waits)
			world_node_close(&n);
		if (w->status != 200)
			fail_msg("%s: %d", rows[i].target, w->status);
	}
	free(b.page);
}

/* A picture of a text, as rows of modules: square, with the three corners that a phone looks for. */
static void test_qr(void **state)
{
	struct browser b = { .w = *state };
	char word[BROWSER_FORM], corner[8];
	open_console(&b, word);
	json_t *v = ask(&b, word, "/v1/qr", "{\"text\":\"ropewalk up\"}");
	size_t size = (size_t)json_integer_value(json_object_get(v, "size"));
	const json_t *rows = json_object_get(v, "rows");
	assert_int_equal(json_array_size(rows), size);
	for (size_t i = 0; i < 3; i++) {
		const char *row = json_string_value(json_array_get(rows, i == 2 ? size - 1 : 0));
		assert_int_equal(strlen(row), size);
		snprintf(corner, sizeof(corner), "%s", row + (i == 1 ? size - 7 : 0));
		assert_string_equal(corner, "1111111");
	}
	json_decref(v);
	json_decref(ask(&b, word, "/v1/qr", "{}"));
	assert_int_equal(b.w->status, 400);
	free(b.page);
}

/* Who changed what is in the log, which the page reads from where it was. */
static void test_log(void **state)
{
	struct browser b = { .w = *state };
	char word[BROWSER_FORM], after[64], text[4096] = "", *at;
	FILE *f = fopen(b.w->config, "r+");
	assert_true(f && fread(text, 1, sizeof(text) - 1, f));
	at = strstr(text, "level: warn");
	assert_non_null(at);
	if (at)
		memcpy(at, "level: info", strlen("level: info"));
	rewind(f);
	fputs(text, f);
	fclose(f);
	json_decref(world_admin(b.w, "/v1/policy/reload", "{}"));
	open_console(&b, word);
	json_decref(ask(&b, word, "/v1/users/create", "{\"name\":\"alice\",\"hash\":\"secret\"}"));
	json_decref(ask(&b, word, "/v1/users/list", "{}"));
	json_t *list = ask(&b, word, "/v1/log/show", "{}");
	const json_t *last = json_array_get(list, json_array_size(list) - 1);
	assert_string_equal(json_string_value(json_object_get(last, "text")),
		"console: root asks for POST /v1/users/create name=alice");
	assert_string_equal(json_string_value(json_object_get(last, "level")), "info");
	snprintf(after, sizeof(after), "{\"after\":%lld}",
		(long long)json_integer_value(json_object_get(last, "seq")));
	json_decref(list);
	list = ask(&b, word, "/v1/log/show", after);
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
	json_decref(ask(&b, word, "/v1/users/create", "{\"name\":\"bob\"}"));
	list = ask(&b, word, "/v1/log/show", after);
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	free(b.page);
}

/* --- told --- */

static int open_events(const struct browser *b, const char *word)
{
	char text[1024];
	const struct timeval wait = { .tv_sec = WAIT_MS / 1000 };
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons(b->w->at.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	int len = snprintf(text, sizeof(text),
		"GET /admin/events HTTP/1.1\r\nHost: hs.test\r\n%sX-Ropewalk-Form: %s\r\n\r\n", b->cookie,
		word);
	assert_int_equal(write(fd, text, (size_t)len), len);
	return fd;
}

/* Reads until it says that; NULL: to its end. */
static void read_until(int fd, const char *what)
{
	static char text[65536];
	size_t len = 0;
	for (;;) {
		ssize_t n = read(fd, text + len, sizeof(text) - 1 - len);
		if (n < 0 && errno == EINTR) /* with a limit, a stop is enough */
			continue;
		if (!n && !what)
			return;
		if (n <= 0)
			fail_msg("waited in vain for %s", what ? what : "the end");
		len += (size_t)n;
		text[len] = 0;
		if (what && strstr(text, what))
			return;
	}
}

static void test_told(void **state)
{
	struct world *w = *state;
	struct browser b = { .w = w };
	static struct world_node n;
	char word[BROWSER_FORM], key[128];
	open_console(&b, word);
	int fd = open_events(&b, word);
	read_until(fd, "event: all\ndata: {}\n\n");
	world_alpha_open(&n, w, key);
	read_until(fd, "\"name\":\"alpha\"");
	world_node_close(&n);
	json_decref(ask(&b, word, "/v1/nodes/delete", "{\"id\":1}"));
	read_until(fd, "\"gone\":[1]");
	read_until(fd, "event: other\n");
	/* The login ends, and with it what it may see. */
	json_decref(world_admin(w, "/v1/admins/delete", "{\"name\":\"root\"}"));
	read_until(fd, NULL);
	close(fd);
	free(b.page);
}

/* Those who look are few, and of one session fewer: the oldest of its own goes, or of all, and comes back if there is
 * still somebody. */
static void test_many_look(void **state)
{
	enum { SESSIONS = 9, EACH = 8 };
	struct world *w = *state;
	int fds[SESSIONS][EACH], last;
	world_make_admin(w, "/v1/admins/create");
	for (size_t k = 0; k < SESSIONS; k++) {
		struct browser b = { .w = w };
		char word[BROWSER_FORM];
		log_in(&b, word);
		for (size_t i = 0; i < (k + 1 < SESSIONS ? EACH : 1); i++) {
			fds[k][i] = open_events(&b, word);
			read_until(fds[k][i], "event: all");
		}
		if (k == 1) { /* one more than its share: nobody else pays */
			last = open_events(&b, word);
			read_until(last, "event: all");
			read_until(fds[k][0], NULL);
			close(fds[k][0]);
			fds[k][0] = last;
		}
		free(b.page);
	}
	read_until(fds[0][0], NULL);
	json_decref(world_admin(w, "/v1/users/create", "{\"name\":\"alice\"}"));
	for (size_t n = 1; n <= EACH * (SESSIONS - 1); n++)
		read_until(fds[n / EACH][n % EACH], "event: other");
	for (size_t n = 0; n <= EACH * (SESSIONS - 1); n++)
		close(fds[n / EACH][n % EACH]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(
						    test_page, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_asked, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_author, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_rejected, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_makers, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_qr, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_log, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_told, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_many_look, world_setup, world_teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
