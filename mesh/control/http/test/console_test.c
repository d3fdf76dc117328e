/* What a session opens, by who it is: every row of the table. How a browser shows one is mesh/control/test/console_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/http/console.h"
#include "mesh/control/http/login.h"
#include "mesh/control/http/verbs.h"
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A letter for each role, and * for a local admin. */
static const char letters[] = "mubinao*";
static const char readers[] = "ubinao*", masters[] = "ao*";

struct desk {
	struct api api;
	struct registry reg;
	struct login login;
	struct control_config cfg;
	char token[8][BROWSER_TOKEN], form[8][BROWSER_FORM];
};

static int open_desk(void **state)
{
	static struct desk d;
	d = (struct desk) { 0 };
	d.api = (struct api) { .reg = &d.reg, .login = &d.login, .cfg = &d.cfg };
	fleet_init(&d.reg.fleet, 1);
	sessions_init(&d.login.sessions, 1);
	memset(d.login.secret, 7, sizeof(d.login.secret));
	assert_true(admins_put(&d.reg.admins, &(struct admin) { .id = 1, .name = "root" }));
	for (int i = 0; i < 8; i++) {
		struct user u = { .id = i + 1, .role = (enum user_role)i };
		struct session s = { .kind = i < 7 ? SESSION_PERSON : SESSION_ADMIN,
			.id = i < 7 ? i + 1 : 1,
			.until_ms = UINT64_MAX };
		snprintf(u.name, sizeof(u.name), "user-%d", i);
		assert_true(i == 7 || fleet_user_put(&d.reg.fleet, &u));
		assert_true(sessions_begin(&d.login.sessions, &random_system, &s, 0, d.token[i]));
		browser_form_make(d.login.secret, d.token[i], d.form[i]);
	}
	*state = &d;
	return 0;
}

static int close_desk(void **state)
{
	struct desk *d = *state;
	sessions_fini(&d->login.sessions);
	fleet_fini(&d->reg.fleet);
	return 0;
}

/* The call of a browser with this cookie and this word of the page. */
static struct api_call call_of(struct desk *d, const char *path, const char *token, const char *form,
	const char *site, struct http_head *head)
{
	static char cookie[128];
	struct api_call c = { .api = &d->api, .method = "POST", .head = head };
	snprintf(cookie, sizeof(cookie), "ropewalk=%s", token);
	*head = (struct http_head) { .method = "POST", .target = path };
	head->headers[head->n_headers++] = (struct http_header) { "Cookie", cookie };
	if (form)
		head->headers[head->n_headers++] = (struct http_header) { "X-Ropewalk-Form", form };
	if (site)
		head->headers[head->n_headers++] = (struct http_header) { "Sec-Fetch-Site", site };
	snprintf(c.path, sizeof(c.path), "%s", path);
	return c;
}

/* Who reaches it: for all nodes, and for their own. */
static void find_who(struct desk *d, const struct api_row *r, char all[static 9], char own[static 9])
{
	size_t n_all = 0, n_own = 0;
	for (int i = 0; i < 8; i++) {
		struct http_head head;
		struct api_call c = call_of(d, r->path, d->token[i], d->form[i], "same-origin", &head);
		int status;
		console_authenticate(&c);
		assert_int_equal(c.right, API_SESSION);
		if (!api_find(r->method, r->path, c.right, &status) || !api_may(&c, r))
			continue;
		if (c.own)
			own[n_own++] = letters[i];
		else
			all[n_all++] = letters[i];
	}
	all[n_all] = own[n_own] = 0;
}

/* The rows that somebody but an admin reaches; for the others `masters` holds. */
static const struct {
	const char *path, *all, *own;
} known[] = {
	{ "/admin/events", readers, "m" },
	{ "/v1/nodes/list", readers, "m" },
	{ "/v1/nodes/delete", "iao*", "mubn" },
	{ "/v1/nodes/expire", "iao*", "mubn" },
	{ "/v1/nodes/keep", "iao*", "" },
	{ "/v1/nodes/rename", "iao*", "mubn" },
	{ "/v1/nodes/pending", readers, "" },
	{ "/v1/nodes/approve", "iao*", "" },
	{ "/v1/nodes/reject", "iao*", "" },
	{ "/v1/nodes/show", readers, "m" },
	{ "/v1/nodes/path", readers, "" },
	{ "/v1/nodes/tag", "iao*", "" },
	{ "/v1/nodes/approve-routes", "nao*", "" },
	{ "/v1/nodes/list-routes", readers, "" },
	{ "/v1/users/list", readers, "" },
	{ "/v1/users/create", "iao*", "" },
	{ "/v1/users/destroy", "iao*", "" },
	{ "/v1/invite", "iao*", "" },
	{ "/v1/preauthkeys/list", readers, "" },
	{ "/v1/preauthkeys/create", "iao*", "" },
	{ "/v1/preauthkeys/expire", "iao*", "" },
	{ "/v1/apikeys/list", readers, "" },
	{ "/v1/health", readers, "" },
	{ "/v1/relays/list", readers, "" },
	{ "/v1/log/show", readers, "" },
	{ "/v1/qr", readers, "m" },
	{ "/v1/dns/show", readers, "" },
	{ "/v1/dns/servers", readers, "" },
	{ "/v1/dns/check", "nao*", "" },
	{ "/v1/dns/reset", "nao*", "" },
	{ "/v1/ssh/list", readers, "" },
	{ "/v1/policy/explain", readers, "" },
	{ "/v1/policy/get", readers, "" },
	{ "/v1/policy/test", readers, "" },
	{ "/v1/policy/reach", readers, "" },
	{ "/v1/policy/history", readers, "" },
	{ "/v1/policy/set", "nao*", "" },
};

static void test_rows(void **state)
{
	size_t found = 0;
	for (const struct api_row *r = api_rows; r->path; r++) {
		char all[9], own[9];
		const char *want = masters, *want_own = "";
		if (r->right == API_ANYBODY || r->right == API_MACHINE || !strncmp(r->path, "/api/v2/", 8) ||
			!strcmp(r->path, "/metrics"))
			continue;
		find_who(*state, r, all, own);
		for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
			if (!strcmp(known[i].path, r->path)) {
				want = known[i].all;
				want_own = known[i].own;
				found++;
			}
		if (strcmp(all, want) != 0 || strcmp(own, want_own) != 0)
			fail_msg("%s %s: %s for all and %s for their own, not %s and %s", r->method, r->path,
				all, own, want, want_own);
	}
	assert_int_equal(found, sizeof(known) / sizeof(*known));
}

/* The other manner has scopes of its own; nobody gets there what their role does not have. */
static void test_rows_of_others(void **state)
{
	for (const struct api_row *r = api_rows; r->path; r++) {
		char all[9], own[9];
		if (r->right != API_KEYED || strncmp(r->path, "/api/v2/", 8) != 0)
			continue;
		find_who(*state, r, all, own);
		const bool reads = !strcmp(r->method, "GET") || strstr(r->scope, ":read");
		if (*own || strchr(all, 'm') || !strstr(all, masters) || (strchr(all, 'u') != NULL) != reads)
			fail_msg("%s %s: %s", r->method, r->path, all);
	}
}

/* What is no session of one of our pages opens nothing. */
static void test_shown(void **state)
{
	struct desk *d = *state;
	const char *token = d->token[7], *form = d->form[7];
	const struct {
		const char *path, *token, *form, *site;
		bool in;
	} rows[] = { { "/v1/users/list", token, form, "same-origin", true },
		{ "/v1/users/list", token, form, NULL, true }, /* browsers of before 2020 */
		{ "/v1/users/list", token, NULL, "same-origin", false },
		{ "/v1/users/list", token, d->form[6], "same-origin", false },
		{ "/v1/users/list", token, "", "same-origin", false },
		{ "/v1/users/list", token, form, "cross-site", false },
		{ "/v1/users/list", token, form, "same-site", false },
		{ "/v1/users/list", token, form, "none", false },
		{ "/v1/users/list", "0123456789012345678901234567890123456789012", form, NULL, false },
		{ "/v1/users/list", "", form, NULL, false }, { "/api/v1/node", token, form, NULL, true },
		{ "/admin/events", token, form, NULL, true }, { "/register/x", token, form, NULL, false },
		{ "/machine/map", token, form, NULL, false }, { "/v1", token, form, NULL, false } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http_head head;
		struct api_call c =
			call_of(d, rows[i].path, rows[i].token, rows[i].form, rows[i].site, &head);
		console_authenticate(&c);
		if ((c.right == API_SESSION) != rows[i].in)
			fail_msg("row %zu", i);
	}
}

/* What a caller is to the users that it changes: its role, an admin by password or key, the owner on the admin socket. */
static void test_ranks(void **state)
{
	struct desk *d = *state;
	const struct api_key keys[] = { { .kind = API_KEY_ADMIN }, { .kind = API_KEY_CLIENT } };
	for (int i = 0; i < 8; i++) {
		struct browser_hash who = browser_token_hash(d->token[i]);
		struct api_call c = { .api = &d->api, .right = API_SESSION };
		assert_true(console_rights(&c, &who));
		assert_int_equal(api_rank(&c), i == 7 ? USER_ADMIN : (enum user_role)i);
		assert_int_equal(api_giver(&c), i < 4 ? i + 1 : 0); /* from network admins on all tags */
		assert_int_equal(api_is_ruled(&c), i < 4);	    /* and all addresses */
	}
	assert_int_equal(api_giver(&(struct api_call) { .right = API_ADMIN }), 0);
	assert_false(api_is_ruled(&(struct api_call) { .right = API_ADMIN }));
	assert_int_equal(api_rank(&(struct api_call) { .right = API_ADMIN }), USER_OWNER);
	assert_int_equal(api_rank(&(struct api_call) { .right = API_KEYED, .key = &keys[0] }), USER_ADMIN);
	assert_int_equal(api_rank(&(struct api_call) { .right = API_KEYED, .key = &keys[1] }), USER_MEMBER);
	assert_int_equal(api_rank(&(struct api_call) { .right = API_MACHINE }), USER_MEMBER);
	assert_int_equal(api_rank(&(struct api_call) { .right = API_ANYBODY }), USER_MEMBER);
}

/* A session ends with whom it is of, and is worth what their role is now. */
static void test_now(void **state)
{
	struct desk *d = *state;
	struct browser_hash who = browser_token_hash(d->token[5]);
	struct api_call c = { .api = &d->api };
	struct user u = { .id = 6, .name = "user-5", .role = USER_MEMBER };
	assert_true(console_rights(&c, &who) && c.whole);
	assert_string_equal(c.who, "user-5");
	assert_true(fleet_user_put(&d->reg.fleet, &u));
	assert_true(console_rights(&c, &who) && !c.whole && !c.scopes && c.own == 6);
	fleet_user_remove(&d->reg.fleet, 6);
	assert_false(console_rights(&c, &who));
	who = browser_token_hash(d->token[7]);
	assert_true(console_rights(&c, &who) && c.whole && !c.own);
	admins_remove(&d->reg.admins, 1);
	assert_false(console_rights(&c, &who));
}

struct asked {
	struct desk *desk;
	const char *at;
};

static void asked_to_end(void *arg, struct http_server_conn *conn, const struct http_head *head,
	const uint8_t *body, size_t len)
{
	const struct asked *a = arg;
	struct api_later *later = NULL;
	struct api_call c = { .api = &a->desk->api,
		.head = head,
		.way = { .conn = conn },
		.later = &later,
		.own = 1,
		.now_ms = INT64_C(1700000000000),
		.args = json_pack("{s:i, s:s}", "id", 3, "at", a->at) };
	(void)body, (void)len;
	admin_nodes_expire(&c);
	assert_null(later); /* it is refused: nothing is on its way */
	json_decref(c.args);
}

static void gone(void *arg, struct http_server_conn *conn)
{
	(void)arg, (void)conn;
}

/* The status of the answer, as a client has it. */
static int ask_to_end(struct desk *d, const char *at)
{
	static const char request[] =
		"POST /v1/nodes/expire HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	struct asked a = { d, at };
	const struct stream_events none = { 0 };
	const struct http_server_ops ops = { .request = asked_to_end, .gone = gone, .arg = &a };
	struct loop *l = loop_new();
	char text[1024];
	int fds[2], status = 0;
	ssize_t n;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	assert_non_null(http_server_accept(l, stream_accept(l, fds[0], NULL, &none), &ops));
	assert_int_equal(write(fds[1], request, strlen(request)), strlen(request));
	while ((n = read(fds[1], text, sizeof(text) - 1)) < 0)
		loop_run_once(l);
	text[n] = 0;
	assert_int_equal(sscanf(text, "HTTP/1.1 %d ", &status), 1);
	close(fds[1]);
	loop_free(l);
	return status;
}

/* A time that is no number any more is no time, and a later one than it had is not theirs to say. */
static void test_end_asked(void **state)
{
	struct desk *d = *state;
	const struct member draft = {
		.id = 3, .user = 1, .name = "phone", .hostname = "phone", .expiry_ms = 5000
	};
	struct member *m = member_copy(&draft);
	assert_true(m && fleet_put(&d->reg.fleet, m));
	assert_int_equal(ask_to_end(d, "1h"), 403);
	assert_int_equal(ask_to_end(d, "292471208y"), 400); /* now and so much is beyond 64 bits */
	assert_int_equal(ask_to_end(d, "584942417y"), 400); /* negative, as a signed number */
}

/* --- what open pages are told --- */

struct looker {
	struct desk *desk;
	struct api_later *later;
	int who; /* whose session */
};

static void asked_for_events(void *arg, struct http_server_conn *conn, const struct http_head *head,
	const uint8_t *body, size_t len)
{
	struct looker *a = arg;
	struct desk *d = a->desk;
	struct http_head own;
	struct api_call c =
		call_of(d, "/admin/events", d->token[a->who], d->form[a->who], "same-origin", &own);
	(void)head, (void)body, (void)len;
	c.method = "GET";
	c.way.conn = conn;
	c.later = &a->later;
	console_events(&c);
}

static void looker_gone(void *arg, struct http_server_conn *conn)
{
	(void)conn;
	api_later_drop(((struct looker *)arg)->later);
}

static void add_node(struct desk *d, int64_t id, int64_t user, const char *tag)
{
	char name[16];
	snprintf(name, sizeof(name), "n%d", (int)id);
	const struct member draft = { .id = id,
		.user = user,
		.name = name,
		.hostname = name,
		.tags = { .v = &tag, .n = tag != NULL } };
	struct member *m = member_copy(&draft);
	assert_true(m && fleet_put(&d->reg.fleet, m));
}

/* What comes until that does. */
static void read_events(struct loop *l, int fd, const char *until, char text[static 4096])
{
	size_t len = 0;
	for (*text = 0; !strstr(text, until); text[len] = 0) {
		loop_run_once(l);
		ssize_t n = read(fd, text + len, 4095 - len);
		assert_true(n != 0 && len < 4000);
		len += n > 0 ? (size_t)n : 0;
	}
}

/* A member (the user 1) and an admin look while a node of theirs is renamed, one of another's renamed and deleted, and
 * one of theirs given to a tag. */
static void check_told(struct desk *d, int who, const char *want)
{
	static const char request[] = "GET /admin/events HTTP/1.1\r\nHost: x\r\n\r\n";
	const struct stream_events none = { 0 };
	struct console k;
	struct looker a = { .desk = d, .who = who };
	const struct http_server_ops ops = { .request = asked_for_events, .gone = looker_gone, .arg = &a };
	struct loop *l = loop_new();
	char text[4096];
	int fds[2];
	console_init(&k, l, &d->api);
	d->api.console = &k;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	struct http_server_conn *conn = http_server_accept(l, stream_accept(l, fds[0], NULL, &none), &ops);
	assert_int_equal(write(fds[1], request, strlen(request)), strlen(request));
	read_events(l, fds[1], "event: all", text);
	const struct member others = { .id = 31, .user = 5 }, tagged = { .id = 32, .user = 1 };
	console_node_changed(&k, &others, &others);
	console_node_changed(&k, &others, NULL);
	console_node_changed(&k, &tagged, fleet_by_id(&d->reg.fleet, 32));
	console_node_changed(&k, NULL, fleet_by_id(&d->reg.fleet, 30));
	read_events(l, fds[1], "]}\n\n", text);
	if (!strstr(text, want))
		fail_msg("%d is told %s", who, text);
	console_node_changed(&k, &others, NULL); /* alone */
	d->reg.changes++;
	read_events(l, fds[1], "event: other", text);
	assert_int_equal(strstr(text, "event: nodes") != NULL, who != 0);
	http_server_close(conn, true);
	console_close(&k);
	close(fds[1]);
	loop_free(l);
}

static void test_told(void **state)
{
	struct desk *d = *state;
	add_node(d, 30, 1, NULL);
	add_node(d, 32, 1, "tag:web");
	check_told(d, 0, "\"gone\":[32]");
	check_told(d, 7, "\"gone\":[31]");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_rows, open_desk, close_desk),
		cmocka_unit_test_setup_teardown(test_rows_of_others, open_desk, close_desk),
		cmocka_unit_test_setup_teardown(test_shown, open_desk, close_desk),
		cmocka_unit_test_setup_teardown(test_now, open_desk, close_desk),
		cmocka_unit_test_setup_teardown(test_ranks, open_desk, close_desk),
		cmocka_unit_test_setup_teardown(test_end_asked, open_desk, close_desk),
		cmocka_unit_test_setup_teardown(test_told, open_desk, close_desk) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
