/* The link against a server of the test's: HTTP /key, the Noise link, register and map answers that a row
 * says. The file under test is included, to look at what a finished login leaves in memory. */
#include "mesh/node/links/server_link.c"
#include "mesh/os/sock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { WAIT_MS = 15000 };
#define ACCEPTED "{\"MachineAuthorized\":true,\"User\":{\"ID\":1,\"LoginName\":\"ann@x.test\"}}"
#define ASKS "{\"AuthURL\":\"https://login.test/a/1\"}"
#define GONE "{\"NodeKeyExpired\":true}"
#define SELF \
	"{\"Node\":{\"ID\":1,\"StableID\":\"a\",\"Name\":\"a.x.test.\",\"User\":1,\"Key\":\"nodekey:" \
	"0000000000000000000000000000000000000000000000000000000000000001\",\"Addresses\":[\"100.64.0.1/" \
	"32\"]}}"

struct site {
	struct loop *loop;
	struct loop_fd *watch;
	struct loop_timer *late;
	int fd;
	struct machine_private priv;
	struct machine_key pub;
	struct control_server_link *links[8];
	size_t n_links;
	/* What it answers. */
	const char *registers[4];	  /* one after the other; the last again and again */
	bool holds_followups, holds_keys; /* those are not answered */
	struct h2_stream *held;
	int map_status;
	const char *maps[4];   /* the first of each stream */
	const char *deltas[2]; /* what follows in the first stream */
	/* What it was asked. */
	size_t n_registers, n_streams, n_gone, n_goodbyes;
	struct node_key goodbyes[2];
	char auth_key[256], followup[256];
	struct node_key shown, old;

	/* The node's side. */
	struct state us;
	struct server_link *link;
	bool stays_away; /* accepted says: no further */
	int map_err;	 /* of the map op */
	size_t n_maps, n_first, n_up, n_down, n_forgotten, n_waits, n_server_is, n_accepted, n_told, n_logout;
	char refused[256], asked[256];
	char pinged[128]; /* path and body */
	size_t n_asked;
};

/* --- the server --- */

static void answer_register(struct site *s, struct h2_stream *st, const uint8_t *body, size_t len)
{
	struct arena a = { 0 };
	struct ctl_register_request r;
	struct errbuf eb;
	assert_int_equal(ctl_register_request_read(&a, (const char *)body, len, &r, &eb), 0);
	snprintf(s->auth_key, sizeof(s->auth_key), "%s", r.auth_key);
	snprintf(s->followup, sizeof(s->followup), "%s", r.followup);
	s->shown = r.node;
	s->old = r.old_node;
	bool holds = r.followup[0] ? s->holds_followups : s->holds_keys && r.auth_key[0];
	bool leaves = r.expiry_ms == 123000;
	arena_free(&a);
	size_t i = s->n_registers++;
	if (leaves) {
		assert_true(s->n_goodbyes < ARRAY_LEN(s->goodbyes));
		assert_true(!s->auth_key[0] && !s->followup[0]);
		s->goodbyes[s->n_goodbyes++] = s->shown;
		h2_respond(st, 200, "application/json", GONE, sizeof(GONE) - 1);
		return;
	}
	if (holds) {
		s->held = st;
		return;
	}
	while (i && (i >= ARRAY_LEN(s->registers) || !s->registers[i]))
		i--;
	h2_respond(st, 200, "application/json", s->registers[i], strlen(s->registers[i]));
}

static void answer_map(struct site *s, struct h2_stream *st, const uint8_t *body, size_t len)
{
	struct arena a = { 0 };
	struct ctl_map_request r;
	struct errbuf eb;
	struct buf frame = { 0 };
	assert_int_equal(ctl_map_request_read(&a, (const char *)body, len, &r, &eb), 0);
	bool stream = r.stream;
	arena_free(&a);
	if (!stream || s->map_status != 200) {
		h2_respond(st, stream ? s->map_status : 200, NULL, NULL, 0);
		return;
	}
	size_t i = s->n_streams++;
	while (i && (i >= ARRAY_LEN(s->maps) || !s->maps[i]))
		i--;
	h2_respond_begin(st, 200, NULL);
	struct map_packer *packer = map_packer_new();
	assert_non_null(packer);
	assert_int_equal(map_frame_write(s->maps[i], strlen(s->maps[i]), packer, &frame), 0);
	for (size_t k = 0; s->n_streams == 1 && k < ARRAY_LEN(s->deltas) && s->deltas[k]; k++)
		assert_int_equal(map_frame_write(s->deltas[k], strlen(s->deltas[k]), packer, &frame), 0);
	map_packer_free(packer);
	assert_int_equal(h2_respond_chunk(st, buf_data(&frame), frame.len), 0);
	buf_free(&frame);
}

static void srv_request(void *arg, struct control_server_link *c, struct h2_stream *st, const char *method,
	const char *path, const uint8_t *body, size_t len)
{
	struct site *s = arg;
	(void)c;
	assert_string_equal(method, "POST");
	if (strcmp(path, "/machine/register") == 0)
		answer_register(s, st, body, len);
	else if (!strncmp(path, "/machine/ping", 13)) {
		snprintf(s->pinged, sizeof(s->pinged), "%s %.*s", path, (int)len, (const char *)body);
		h2_respond(st, 200, NULL, NULL, 0);
	} else
		answer_map(s, st, body, len);
}

static void srv_gone(void *arg, struct h2_stream *st, void *data)
{
	struct site *s = arg;
	(void)data;
	s->n_gone += st == s->held;
}

static void srv_closed(void *arg, struct control_server_link *c, void *data)
{
	struct site *s = arg;
	(void)data;
	for (size_t i = 0; i < s->n_links; i++)
		if (s->links[i] == c)
			s->links[i] = NULL;
}

static void web_request(
	void *arg, struct http_server_conn *c, const struct http_head *h, const uint8_t *p, size_t len)
{
	struct site *s = arg;
	char key[KEY_TEXT], text[256];
	(void)p;
	(void)len;
	assert_non_null(strstr(h->target, "/key?v="));
	snprintf(text, sizeof(text), "{\"publicKey\":\"%s\"}", key_format(s->pub.b, "mkey:", key));
	http_reply(c, 200, "application/json", NULL, text, strlen(text));
}

static bool web_upgrade(void *arg, struct http_server_conn *conn, const struct http_head *head)
{
	struct site *s = arg;
	struct control_server_ops ops = {
		.request = srv_request, .stream_gone = srv_gone, .closed = srv_closed, .arg = s
	};
	assert_true(s->n_links < ARRAY_LEN(s->links));
	s->links[s->n_links] = control_server_accept(s->loop, conn, head, &s->priv, &random_system, &ops);
	s->n_links++;
	return true;
}

static void incoming(void *arg, int events)
{
	struct site *s = arg;
	struct stream_events none = { 0 };
	struct http_server_ops ops = { .request = web_request, .upgrade = web_upgrade, .arg = s };
	(void)events;
	int fd = sock_accept(s->fd, NULL);
	assert_non_null(http_server_accept(s->loop, stream_accept(s->loop, fd, NULL, &none), &ops));
}

/* --- the node --- */

static void describe(void *arg, struct arena *a, struct server_link_self *out)
{
	(void)arg;
	(void)a;
	out->host = (struct ctl_hostinfo) { .ipn_version = "1",
		.backend_log_id = "",
		.os = "linux",
		.os_version = "",
		.hostname = "a",
		.machine = "",
		.go_arch = "" };
}

static void server_is(void *arg, const struct machine_key *key)
{
	struct site *s = arg;
	s->n_server_is++;
	s->us.server = *key;
}

static bool accepted(void *arg, const struct node_private *key, const char *login_name)
{
	struct site *s = arg;
	s->n_accepted++;
	s->us.node = *key;
	s->us.logged_in = true;
	assert_string_equal(login_name, "ann@x.test");
	return !s->stays_away;
}

static void asked(void *arg, const char *auth_url)
{
	struct site *s = arg;
	snprintf(s->asked, sizeof(s->asked), "%s", auth_url);
}

static void waits(void *arg)
{
	((struct site *)arg)->n_waits++;
}

static void refused_op(void *arg, const char *why)
{
	struct site *s = arg;
	snprintf(s->refused, sizeof(s->refused), "%s", why);
}

static void forgotten_op(void *arg, const char *why)
{
	struct site *s = arg;
	(void)why;
	s->n_forgotten++;
	s->us.logged_in = false;
}

static int map_op(void *arg, const struct ctl_map_response *m, bool first, struct errbuf *eb)
{
	struct site *s = arg;
	(void)m;
	s->n_maps++;
	s->n_first += first;
	return s->map_err ? err_say(eb, s->map_err, "no use") : 0;
}

static void up(void *arg, bool is_up, const struct endpoint *at)
{
	struct site *s = arg;
	(void)at;
	*(is_up ? &s->n_up : &s->n_down) += 1;
}

static void told(void *arg, uint64_t since_ms)
{
	((struct site *)arg)->n_told += since_ms != 0;
}

static void logged_out(void *arg)
{
	((struct site *)arg)->n_logout++;
}

/* --- the place --- */

static void too_late(void *arg)
{
	(void)arg;
	fail_msg("what is waited for does not come");
}

static struct site *site_new_at(struct addr ip)
{
	struct site *s = calloc(1, sizeof(*s));
	struct endpoint at = { .ip = ip };
	struct errbuf eb;
	s->loop = loop_new();
	s->late = loop_timer_new(s->loop, too_late, s);
	s->fd = sock_tcp_listen(&at, &eb);
	assert_true(s->fd >= 0);
	assert_int_equal(sock_local(s->fd, &at), 0);
	s->watch = loop_fd_new(s->loop, s->fd, incoming, s);
	loop_fd_set(s->watch, LOOP_READ);
	key_generate(&random_system, s->priv.b);
	key_public(s->priv.b, s->pub.b);
	key_generate(&random_system, s->us.machine.b);
	key_generate(&random_system, s->us.node.b);
	snprintf(s->us.prefs.control_url, sizeof(s->us.prefs.control_url), "http://127.0.0.1:%u", at.port);
	s->registers[0] = ACCEPTED;
	s->map_status = 200;
	s->maps[0] = SELF;
	return s;
}

static struct site *site_new(void)
{
	return site_new_at(addr_v4(0x7f000001));
}

static void ping_op(void *arg, const struct ctl_ping *p)
{
	struct site *s = arg;
	s->n_asked++;
	assert_string_equal(p->types, "disco,TSMP");
	assert_string_equal(p->ip, "100.64.0.2");
	server_link_pinged(s->link, p->url, "{}", 2);
}

static void site_open(struct site *s)
{
	struct server_link_ops ops = { describe, server_is, accepted, asked, waits, refused_op, forgotten_op,
		map_op, up, told, ping_op, NULL, s };
	s->link = server_link_open(s->loop, &s->us, &ops);
	assert_non_null(s->link);
	loop_timer_set(s->late, WAIT_MS);
}

static void site_free(struct site *s)
{
	server_link_close(s->link);
	assert_int_equal(s->n_up, s->n_down);
	for (size_t i = 0; i < s->n_links; i++)
		control_server_close(s->links[i]);
	loop_timer_free(s->late);
	loop_fd_free(s->watch);
	close(s->fd);
	loop_free(s->loop);
	free(s);
}

#define WAIT(cond) \
	while (!(cond)) \
	loop_run_once(s->loop)

static bool holds(const void *p, size_t len, const char *text)
{
	return memmem(p, len, text, strlen(text)) != NULL;
}

/* --- --- */

static void test_login_by_key(void **state)
{
	struct site *s = site_new();
	struct node_key ours;
	(void)state;
	site_open(s);
	key_public(s->us.node.b, ours.b);
	server_link_login(s->link, "tskey-secret", false);
	assert_true(server_link_has_key(s->link));
	WAIT(s->n_maps);
	assert_string_equal(s->auth_key, "tskey-secret");
	assert_memory_equal(&s->shown, &ours, sizeof(ours));
	assert_true(s->n_accepted == 1 && s->n_up == 1 && s->n_first == 1 && s->n_server_is);
	assert_memory_equal(&s->us.server, &s->pub, sizeof(s->pub));
	assert_true(server_link_connected(s->link));
	assert_string_equal(server_link_waiting_for(s->link), "");
	/* A used key is not kept, not even a part of it. */
	assert_false(server_link_has_key(s->link));
	assert_false(holds(s->link, sizeof(*s->link), "secret"));
	WAIT(s->n_told);
	site_free(s);
}

static void test_refused_key(void **state)
{
	struct site *s = site_new();
	(void)state;
	s->registers[0] = "{\"Error\":\"the key is used up\"}";
	site_open(s);
	server_link_login(s->link, "tskey-secret", false);
	WAIT(s->refused[0]);
	assert_string_equal(s->refused, "the key is used up");
	assert_false(holds(s->link, sizeof(*s->link), "secret"));
	assert_int_equal(s->n_accepted + s->n_up, 0);
	site_free(s);
}

/* Somebody in between, or another server at the same address: it learns nothing from us, and its key is not
 * kept. */
static void test_other_server(void **state)
{
	struct site *s = site_new();
	struct machine_key joined = { { 7 } };
	(void)state;
	s->us.server = joined;
	s->us.logged_in = true;
	site_open(s);
	WAIT(s->refused[0]);
	assert_non_null(strstr(s->refused, "another key"));
	assert_int_equal(s->n_links + s->n_registers + s->n_streams + s->n_server_is, 0);
	assert_memory_equal(&s->us.server, &joined, sizeof(joined));
	/* Ours may come back: it is looked for on. */
	assert_true(loop_timer_is_set(s->link->retry));
	s->us.server = s->pub;
	server_link_try_now(s->link);
	WAIT(s->n_maps);
	assert_int_equal(s->n_registers, 0); /* what was logged in still is */
	site_free(s);
}

/* Invited to a server with another key: whoever is there is told nothing, the auth key least of all, and nobody is
 * asked again until a person acts. */
static void test_pinned(void **state)
{
	(void)state;
	for (int right = 0; right < 2; right++) {
		struct site *s = site_new();
		s->us.prefs.server_pin = right ? s->pub : (struct machine_key) { { 7 } };
		site_open(s);
		server_link_login(s->link, "tskey-secret", false);
		WAIT(right ? s->n_maps : s->refused[0] != 0);
		assert_int_equal(s->n_server_is, right);
		assert_int_equal(s->n_links, right);
		if (!right) {
			assert_non_null(strstr(s->refused, "than the invitation says"));
			assert_false(loop_timer_is_set(s->link->retry));
			assert_false(holds(s->link, sizeof(*s->link), "secret"));
		}
		site_free(s);
	}
}

static void test_person_is_asked(void **state)
{
	struct site *s = site_new();
	(void)state;
	s->registers[0] = "{\"AuthURL\":\"https://login.test/a/1\"}";
	s->registers[1] = ACCEPTED;
	site_open(s);
	WAIT(s->n_maps);
	assert_string_equal(s->asked, "https://login.test/a/1");
	assert_string_equal(s->followup, "https://login.test/a/1");
	assert_int_equal(s->n_registers, 2);
	site_free(s);
}

/* What a person, or a program for them, is told to open is a page on the web. */
static void test_login_at_no_page(void **state)
{
#define A100 \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aa"
	static const struct {
		const char *url;
		bool page;
	} rows[] = { { "https://login.test/a/1?x=%20", true }, { "HTTP://10.0.0.1:8080/register/x", true },
		{ "file:///etc/passwd", false }, { "javascript:alert(1)", false },
		{ "ssh://-oProxyCommand=x", false }, { "https:///a", false }, { "//login.test/a", false },
		{ "login.test/a", false }, { "https://login.test/a b", false },
		{ "https://login.test/\\u001b[2J", false }, { "https://login.test/\\u00e4", false },
		{ " https://login.test/", false },
		{ "https://login.test/" A100 A100 A100 A100 A100, false } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct site *s = site_new();
		char text[700];
		snprintf(text, sizeof(text), "{\"AuthURL\":\"%s\"}", rows[i].url);
		s->registers[0] = text;
		s->holds_followups = true;
		site_open(s);
		WAIT(s->asked[0] || strstr(server_link_waiting_for(s->link), "no http:// or https:// page"));
		if ((s->asked[0] != 0) != rows[i].page ||
			(rows[i].page && strcmp(s->asked, rows[i].url) != 0))
			fail_msg("row %zu: \"%s\", %s", i, s->asked, server_link_waiting_for(s->link));
		if (rows[i].page)
			WAIT(s->held);
		assert_string_equal(s->followup, rows[i].page ? rows[i].url : "");
		site_free(s);
	}
}

static void test_admin_is_asked(void **state)
{
	struct site *s = site_new();
	(void)state;
	s->registers[0] = "{\"MachineAuthorized\":false,\"User\":{\"ID\":1}}";
	s->registers[1] = ACCEPTED;
	site_open(s);
	WAIT(s->n_maps);
	assert_int_equal(s->n_waits, 1);
	site_free(s);
}

/* The new key is shown beside the old one, and is in force only when it was accepted. */
static void test_new_key(void **state)
{
	(void)state;
	for (int refuse = 0; refuse < 2; refuse++) {
		struct site *s = site_new();
		struct node_private before = s->us.node;
		struct node_key was;
		s->us.logged_in = true;
		s->us.server = s->pub;
		if (refuse)
			s->registers[0] = "{\"Error\":\"no\"}";
		site_open(s);
		WAIT(s->n_maps);
		key_public(before.b, was.b);
		server_link_login(s->link, "tskey-secret", true);
		WAIT(refuse ? s->n_streams == 2 : s->n_accepted == 1);
		assert_memory_equal(&s->old, &was, sizeof(was));
		assert_memory_not_equal(&s->shown, &was, sizeof(was));
		assert_int_equal(memcmp(&before, &s->us.node, sizeof(before)) == 0, refuse);
		assert_true(key_is_zero(s->link->login.next.b));
		site_free(s);
	}
}

/* An engine of another key is made first: this link must not go on with the new one. */
static void test_stays_away(void **state)
{
	struct site *s = site_new();
	(void)state;
	s->stays_away = true;
	site_open(s);
	WAIT(s->n_accepted);
	assert_null(s->link->stream);
	assert_int_equal(s->n_up, 0);
	site_free(s);
}

static void test_forgotten(void **state)
{
	struct site *s = site_new();
	(void)state;
	s->us.logged_in = true;
	s->us.server = s->pub;
	s->map_status = 404;
	site_open(s);
	WAIT(s->n_forgotten);
	s->map_status = 200;
	WAIT(s->n_maps);
	assert_int_equal(s->n_registers, 1); /* it was shown anew */
	site_free(s);
}

/* What cannot be used ends the stream; the next begins with a whole map. */
static void test_map_without_use(void **state)
{
	struct site *s = site_new();
	(void)state;
	s->maps[1] = s->maps[0];
	s->map_err = ERR_MALFORMED;
	site_open(s);
	WAIT(s->n_maps == 1);
	assert_non_null(strstr(server_link_waiting_for(s->link), "no use"));
	s->map_err = 0;
	WAIT(s->n_maps == 2);
	assert_int_equal(s->n_first, 2);
	assert_int_equal(s->n_streams, 2);
	assert_true(server_link_connected(s->link));
	site_free(s);
}

/* What may be a revocation and cannot be read is not passed over: the whole map is asked for. An odd item of
 * another kind, and one in a whole map, is no reason to begin anew. */
static void test_odd_messages(void **state)
{
	static const struct {
		const char *first, *then;
		size_t maps; /* before the stream ends, or of it */
		bool anew;
	} rows[] = {
		{ SELF, "{\"Peers\":[", 1, true },
		{ SELF, "{\"PeersRemoved\":[7,\"x\"]}", 2, true }, /* 7 goes at once */
		{ SELF, "{\"PeersChanged\":[{\"ID\":\"x\"}]}", 2, true },
		{ SELF, "{\"PeersChangedPatch\":[{\"NodeID\":7,\"KeyExpiry\":\"x\"}]}", 2, true },
		{ SELF, "{\"PacketFilter\":7}", 2, true },
		{ SELF, "{\"PeersChanged\":[{\"ID\":7,\"KeyExpiry\":\"x\"}],\"Domain\":1}", 3, false },
		{ SELF, "{\"OnlineChange\":{\"x\":true}}", 3, false },
		{ "{\"Node\":{\"ID\":1},\"Peers\":5,\"PacketFilter\":7}", "{\"PeersRemoved\":[7]}", 3,
			false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct site *s = site_new();
		s->us.logged_in = true;
		s->us.server = s->pub;
		s->maps[0] = rows[i].first;
		s->deltas[0] = rows[i].then;
		s->deltas[1] = rows[i].anew ? NULL : "{\"Health\":[]}";
		site_open(s);
		WAIT(s->n_maps == rows[i].maps && (s->n_down || !rows[i].anew));
		if (s->n_streams != 1)
			fail_msg("row %zu: %zu streams", i, s->n_streams);
		if (rows[i].anew)
			WAIT(s->n_streams == 2 && s->n_first == 2);
		/* A server that is never right is asked less and less often. */
		assert_int_equal(s->link->map_backoff_ms, rows[i].anew ? BACKOFF_MIN_MS : 0);
		assert_true(server_link_connected(s->link));
		site_free(s);
	}
}

/* The server asks by which way a peer is reached: inside the link alone, and it is told there. */
static void test_asked_for_a_way(void **state)
{
#define WAY(noise) \
	"{\"KeepAlive\":true,\"PingRequest\":{\"URL\":\"https://ctl.test/machine/ping-response/abc\"," noise \
	"\"Types\":\"disco,TSMP\",\"IP\":\"100.64.0.2\"}}"
	struct site *s = site_new();
	(void)state;
	s->us.logged_in = true;
	s->us.server = s->pub;
	s->deltas[0] = WAY("");
	s->deltas[1] = WAY("\"URLIsNoise\":true,");
	site_open(s);
	WAIT(s->pinged[0]);
	assert_string_equal(s->pinged, "/machine/ping-response/abc {}");
	assert_int_equal(s->n_asked, 1);
	site_free(s);
}

/* Out of an open stream, and with the server away: done is called, once. */
static void test_logout(void **state)
{
	(void)state;
	for (int away = 0; away < 2; away++) {
		struct site *s = site_new();
		s->us.logged_in = true;
		s->us.server = s->pub;
		if (away)
			loop_fd_set(s->watch, 0);
		site_open(s);
		if (!away)
			WAIT(s->n_maps);
		server_link_logout(s->link, logged_out, s);
		WAIT(s->n_logout);
		assert_int_equal(s->n_registers, !away);
		loop_run_once(s->loop);
		assert_int_equal(s->n_logout, 1);
		site_free(s);
	}
}

/* What waits for a person is taken back, and what a server may have let in meanwhile, too: by the key that
 * was shown, and by the one in force where that is another. */
static void test_logout_of_login(void **state)
{
	static const struct {
		bool logged_in, renews;
		size_t goodbyes;
	} rows[] = { { false, false, 1 }, { false, true, 1 }, { true, true, 2 } };
	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		struct site *s = site_new();
		struct node_key ours;
		bool by_key = i >= ARRAY_LEN(rows), other = rows[i % ARRAY_LEN(rows)].renews;
		s->us.logged_in = rows[i % ARRAY_LEN(rows)].logged_in;
		s->us.server = s->pub;
		s->registers[0] = ASKS;
		s->holds_followups = s->holds_keys = true;
		key_public(s->us.node.b, ours.b);
		site_open(s);
		assert_false(server_link_is_shown(s->link));
		server_link_login(s->link, by_key ? "tskey-secret" : "", other);
		WAIT(s->held);
		assert_true(server_link_is_shown(s->link));
		assert_int_equal(key_equal(s->shown.b, ours.b), !other);
		struct node_key shown = s->shown;
		server_link_logout(s->link, logged_out, s);
		if (by_key) /* the server has let it in already */
			h2_respond(s->held, 200, "application/json", ACCEPTED, sizeof(ACCEPTED) - 1);
		WAIT(s->n_logout);
		assert_int_equal(s->n_gone, !by_key);
		assert_int_equal(s->n_accepted + s->n_streams, 0);
		assert_int_equal(s->n_goodbyes, rows[i % ARRAY_LEN(rows)].goodbyes);
		assert_memory_equal(&s->goodbyes[0], &shown, sizeof(shown));
		assert_memory_equal(
			&s->goodbyes[s->n_goodbyes - 1], s->us.logged_in ? &ours : &shown, sizeof(ours));
		assert_false(holds(s->link, sizeof(*s->link), "secret"));
		assert_true(key_is_zero(s->link->login.next.b));
		site_free(s);
	}
}

/* A server that is away is not waited for as long as the other tries are apart. */
static void test_logout_waits_for_no_try(void **state)
{
	struct site *s = site_new();
	(void)state;
	s->us.logged_in = true;
	s->us.server = s->pub;
	loop_fd_set(s->watch, 0);
	assert_int_equal(shutdown(s->fd, SHUT_RD), 0); /* connections are refused */
	site_open(s);
	WAIT(s->link->backoff_ms);
	s->link->backoff_ms = BACKOFF_MAX_MS;
	uint64_t from = loop_now_ms(s->loop);
	server_link_logout(s->link, logged_out, s);
	WAIT(s->n_logout);
	assert_true(loop_now_ms(s->loop) - from <= LOGOUT_MS + 500);
	site_free(s);
}

/* A person is asked, and then there is a key: it is the same login, and leaves none behind on the server. */
static void test_key_for_a_login_that_waits(void **state)
{
	struct site *s = site_new();
	(void)state;
	s->us.logged_in = true;
	s->us.server = s->pub;
	s->registers[0] = ASKS;
	s->holds_followups = true;
	site_open(s);
	server_link_login(s->link, "", true);
	WAIT(s->held);
	struct node_key shown = s->shown;
	s->registers[0] = ACCEPTED;
	s->n_registers = 0;
	server_link_login(s->link, "tskey-secret", true);
	WAIT(s->n_accepted);
	assert_memory_equal(&s->shown, &shown, sizeof(shown));
	site_free(s);
}

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
		cmocka_unit_test(test_login_by_key),
		cmocka_unit_test(test_refused_key),
		cmocka_unit_test(test_other_server),
		cmocka_unit_test(test_pinned),
		cmocka_unit_test(test_person_is_asked),
		cmocka_unit_test(test_login_at_no_page),
		cmocka_unit_test(test_admin_is_asked),
		cmocka_unit_test(test_new_key),
		cmocka_unit_test(test_stays_away),
		cmocka_unit_test(test_forgotten),
		cmocka_unit_test(test_map_without_use),
		cmocka_unit_test(test_odd_messages),
		cmocka_unit_test(test_asked_for_a_way),
		cmocka_unit_test(test_logout),
		cmocka_unit_test(test_key_for_a_login_that_waits),
		cmocka_unit_test(test_through_nat64),
		cmocka_unit_test(test_by_proxy),
		cmocka_unit_test(test_link_through_nat64),
		cmocka_unit_test(test_logout_of_login),
		cmocka_unit_test(test_logout_waits_for_no_try),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
