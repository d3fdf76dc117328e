/* A server whose name nobody knows any more: it is found where it was. resolver.md C44. */
#include "mesh/node/links/server_link.h"
#include "mesh/os/sock.h"
#include "mesh/transport/http.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { WAIT_MS = 30000 };
/* A label that is too long: no name server is asked for it. */
#define NOWHERE "http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test"

struct site {
	struct loop *loop;
	struct loop_fd *watch;
	struct loop_timer *late;
	int fd;
	struct endpoint at;
	struct machine_key key;
	struct state us;
	struct server_link *link;
	size_t asked, is;
	char host[128]; /* by which it was called */
};

static void request(
	void *arg, struct http_server_conn *c, const struct http_head *h, const uint8_t *p, size_t len)
{
	struct site *s = arg;
	char key[KEY_TEXT], text[256];
	(void)p, (void)len;
	if (strncmp(h->target, "/key", 4) != 0) {
		http_reply(c, 404, NULL, NULL, NULL, 0);
		return;
	}
	s->asked++;
	snprintf(s->host, sizeof(s->host), "%s", http_header(h, "Host"));
	int n = snprintf(text, sizeof(text), "{\"legacyPublicKey\":\"%1$s\",\"publicKey\":\"%1$s\"}",
		key_format(s->key.b, "mkey:", key));
	http_reply(c, 200, "application/json", NULL, text, (size_t)n);
}

static void incoming(void *arg, int events)
{
	static const struct stream_events none;
	struct site *s = arg;
	const struct http_server_ops ops = { .request = request, .arg = s };
	(void)events;
	int fd = sock_accept(s->fd, NULL);
	if (fd >= 0)
		http_server_accept(s->loop, stream_accept(s->loop, fd, NULL, &none), &ops);
}

static void too_late(void *arg)
{
	(void)arg;
	fail_msg("what is waited for does not come");
}

static void describe(void *arg, struct arena *a, struct server_link_self *out)
{
	(void)arg, (void)a, (void)out;
}

static void server_is(void *arg, const struct machine_key *k)
{
	struct site *s = arg;
	assert_true(key_equal(k->b, s->key.b));
	s->is++;
}

static void refused(void *arg, const char *why)
{
	(void)arg;
	fail_msg("%s", why);
}

/* At s->at, whose port 0 is any. */
static void site_listen(struct site *s)
{
	struct errbuf eb;
	s->fd = sock_tcp_listen(&s->at, &eb);
	assert_true(s->fd >= 0);
	assert_int_equal(sock_local(s->fd, &s->at), 0);
	s->watch = loop_fd_new(s->loop, s->fd, incoming, s);
	loop_fd_set(s->watch, LOOP_READ);
}

static void site_open(struct site *s)
{
	*s = (struct site) { .loop = loop_new(), .at = { .ip = addr_v4(0x7f000001) } };
	site_listen(s);
	s->late = loop_timer_new(s->loop, too_late, s);
	loop_timer_set(s->late, WAIT_MS);
	memset(s->key.b, 7, KEY_LEN);
	snprintf(s->us.prefs.control_url, sizeof(s->us.prefs.control_url), NOWHERE ":%u", s->at.port);
}

static void link_open(struct site *s)
{
	const struct server_link_ops ops = {
		.describe = describe, .server_is = server_is, .refused = refused, .arg = s
	};
	s->link = server_link_open(s->loop, &s->us, &ops);
	assert_non_null(s->link);
}

static void site_close(struct site *s)
{
	server_link_close(s->link);
	loop_timer_free(s->late);
	loop_fd_free(s->watch);
	close(s->fd);
	loop_free(s->loop);
}

static void test_found(void **state)
{
	struct site s;
	(void)state;
	site_open(&s);
	assert_true(state_server_reached(&s.us, &s.at.ip));
	link_open(&s);
	while (!s.is)
		loop_run_once(s.loop);
	const char *name = strstr(NOWHERE, "//") + 2;
	assert_int_equal(strncmp(s.host, name, strlen(name)), 0);
	/* it answers there, but is of no use: the name is asked next */
	while (!strstr(server_link_waiting_for(s.link), "waiting for"))
		loop_run_once(s.loop);
	while (!strstr(server_link_waiting_for(s.link), "cannot reach"))
		loop_run_once(s.loop);
	assert_int_equal(s.asked, 1);
	site_close(&s);
}

/* It may have moved meanwhile: where it was is one try, and its name the next. */
static void test_moved(void **state)
{
	const struct addr nobody = addr_v4(0x7f0000fe);
	struct site s;
	(void)state;
	site_open(&s);
	assert_true(state_server_reached(&s.us, &nobody));
	link_open(&s);
	while (!strstr(server_link_waiting_for(s.link), "127.0.0.254"))
		loop_run_once(s.loop);
	while (strstr(server_link_waiting_for(s.link), "127.0.0.254"))
		loop_run_once(s.loop);
	assert_int_equal(s.asked, 0);
	site_close(&s);
}

/* Another server has the place by now: it is told nothing, and the name leads to ours again. */
static void test_another_there(void **state)
{
	struct site s, other;
	(void)state;
	site_open(&s);
	other = (struct site) { .loop = s.loop, .at = { .ip = addr_v4(0x7f000002), .port = s.at.port } };
	memset(other.key.b, 9, KEY_LEN);
	site_listen(&other);
	s.us.logged_in = true;
	s.us.server = s.key;
	assert_true(state_server_reached(&s.us, &other.at.ip));
	link_open(&s);
	server_link_login(s.link, "secret", false);
	while (!other.asked)
		loop_run_once(s.loop);
	snprintf(s.us.prefs.control_url, sizeof(s.us.prefs.control_url), "http://localhost:%u", s.at.port);
	assert_true(state_server_reached(&s.us, &other.at.ip)); /* the same by this name, which is found */
	while (!s.is)
		loop_run_once(s.loop);
	assert_int_equal(other.asked, 1);
	assert_true(server_link_has_key(s.link));
	loop_fd_free(other.watch);
	close(other.fd);
	site_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_found), cmocka_unit_test(test_moved),
		cmocka_unit_test(test_another_there) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
