#include "mesh/node/links/test/site.h"
#include "mesh/os/sock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { WAIT_MS = 60000 };

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
	s->n_updates += !stream;
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
	for (size_t k = 0; k < s->repeats; k++)
		assert_int_equal(map_frame_write(s->deltas[0], strlen(s->deltas[0]), packer, &frame), 0);
	for (size_t k = 0; s->n_streams == 1 && k < ARRAY_LEN(s->deltas) && s->deltas[k]; k++)
		assert_int_equal(map_frame_write(s->deltas[k], strlen(s->deltas[k]), packer, &frame), 0);
	map_packer_free(packer);
	assert_int_equal(h2_respond_chunk(st, buf_data(&frame), frame.len), 0);
	buf_free(&frame);
	if (s->ends_streams)
		h2_respond_end(st);
}

static void srv_request(void *arg, struct control_server_link *c, struct h2_stream *st, const char *method,
	const char *path, const uint8_t *body, size_t len)
{
	struct site *s = arg;
	(void)c;
	assert_string_equal(method, s->holds_pings && !strncmp(path, "/machine/ping", 13) ? "HEAD" : "POST");
	if (strcmp(path, "/machine/register") == 0)
		answer_register(s, st, body, len);
	else if (!strncmp(path, "/machine/ping", 13)) {
		s->n_pinged++;
		if (s->holds_pings)
			return;
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

void logged_out(void *arg)
{
	((struct site *)arg)->n_logout++;
}

/* --- the place --- */

static void too_late(void *arg)
{
	(void)arg;
	fail_msg("what is waited for does not come");
}

struct site *site_new_at(struct addr ip)
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

struct site *site_new(void)
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

void site_open(struct site *s)
{
	struct server_link_ops ops = { describe, server_is, accepted, asked, waits, refused_op, forgotten_op,
		map_op, up, told, ping_op, NULL, s };
	s->link = server_link_open(s->loop, &s->us, &ops);
	assert_non_null(s->link);
	loop_timer_set(s->late, WAIT_MS);
}

void site_free(struct site *s)
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
