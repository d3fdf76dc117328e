
#include "mesh/os/test/fake_proxy.h"
#include "mesh/transport/proxy.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/os/sock.h"
#include "mesh/proto/verify.h"
#include "mesh/relay/test/derp_peer.h"
#include "mesh/relay/verify.h"
#include "mesh/transport/http.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The server and the admission controller, which know one key each. */
struct asker {
	struct loop *loop;
	int fd[2];
	struct loop_fd *watch[2];
	struct endpoint at;
	char dir[64], socket[96], list[96], url[96];
	struct node_key local, remote, nobody;
	unsigned asked, decided;
	bool allow, odd; /* odd: answers that are none */
};

static void request(
	void *arg, struct http_server_conn *c, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct asker *x = arg;
	struct verify_request rq;
	struct arena a = { 0 };
	struct buf out = { 0 };
	assert_string_equal(head->method, "POST");
	assert_int_equal(verify_request_read(&a, (const char *)body, len, &rq, NULL), 0);
	assert_string_equal(rq.source, "192.0.2.7");
	x->asked++;
	const struct node_key *knows = !strcmp(head->target, "/verify") ? &x->local : &x->remote;
	assert_true(verify_response_write(
		&out, &(struct verify_response) { .allow = key_equal(knows->b, rq.who.b) }));
	http_reply(c, x->odd ? 500 : 200, "application/json", NULL, buf_data(&out), out.len);
	buf_free(&out);
	arena_free(&a);
}

static void readable_at(struct asker *x, int i)
{
	const struct http_server_ops ops = { .request = request, .arg = x };
	const struct stream_events none = { 0 };
	int fd = sock_accept(x->fd[i], NULL);
	if (fd >= 0)
		assert_non_null(http_server_accept(x->loop, stream_accept(x->loop, fd, NULL, &none), &ops));
}
static void local_readable(void *arg, int events)
{
	(void)events;
	readable_at(arg, 0);
}
static void remote_readable(void *arg, int events)
{
	(void)events;
	readable_at(arg, 1);
}

static void decided(void *arg, const struct node_key *who, bool allow)
{
	struct asker *x = arg;
	(void)who;
	x->decided++;
	x->allow = allow;
}

static int setup(void **state)
{
	struct asker *x = calloc(1, sizeof(*x));
	struct endpoint any = { .ip = addr_v4(0x7f000001) };
	snprintf(x->dir, sizeof(x->dir), "/tmp/rw-verify-XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	snprintf(x->socket, sizeof(x->socket), "%s/s", x->dir);
	snprintf(x->list, sizeof(x->list), "%s/list", x->dir);
	x->loop = loop_new();
	x->fd[0] = sock_unix_listen(x->socket, 0600, NULL);
	x->fd[1] = sock_tcp_listen(&any, NULL);
	sock_local(x->fd[1], &x->at);
	snprintf(x->url, sizeof(x->url), "http://127.0.0.1:%u/may?x=1", x->at.port);
	for (int i = 0; i < 2; i++) {
		x->watch[i] = loop_fd_new(x->loop, x->fd[i], i ? remote_readable : local_readable, x);
		loop_fd_set(x->watch[i], LOOP_READ);
	}
	memset(x->local.b, 1, KEY_LEN);
	memset(x->remote.b, 2, KEY_LEN);
	memset(x->nobody.b, 3, KEY_LEN);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct asker *x = *state;
	for (int i = 0; i < 2; i++) {
		loop_fd_free(x->watch[i]);
		close(x->fd[i]);
	}
	loop_free(x->loop);
	unlink(x->socket);
	unlink(x->list);
	rmdir(x->dir);
	free(x);
	return 0;
}

/* The verdict in the end. */
static bool may(struct asker *x, struct verify *v, const struct node_key *who)
{
	struct endpoint from = { .ip = addr_v4(0xc0000207), .port = 1 };
	enum relay_verdict now = verify_admits(v, who, &from);
	unsigned before = x->decided;
	if (now != RELAY_LATER)
		return now == RELAY_YES;
	while (x->decided == before)
		loop_run_once(x->loop);
	return x->allow;
}

static struct verify *start(struct asker *x, struct verify_options o)
{
	struct errbuf eb = { 0 };
	o.decided = decided;
	o.arg = x;
	struct verify *v = verify_open(x->loop, &o, &eb);
	if (!v)
		fail_msg("%s", eb.text);
	return v;
}

/* One yes is enough; each is asked in turn, and what was said is kept. */
static void test_ask(void **state)
{
	struct asker *x = *state;
	struct verify *v = start(x, (struct verify_options) { .socket_path = x->socket, .url = x->url });
	assert_true(may(x, v, &x->local));
	assert_int_equal(x->asked, 1);
	assert_true(may(x, v, &x->remote));
	assert_int_equal(x->asked, 3);
	assert_false(may(x, v, &x->nobody));
	assert_int_equal(x->asked, 5);
	assert_true(may(x, v, &x->local) && may(x, v, &x->remote) && !may(x, v, &x->nobody));
	assert_int_equal(x->asked, 5);
	verify_close(v);
}

/* While nobody answers, who was allowed stays so; who is new waits for better times. */
static void test_away(void **state)
{
	struct asker *x = *state;
	struct verify *v = start(x, (struct verify_options) { .socket_path = x->socket, .keep_ms = 1 });
	assert_true(may(x, v, &x->local));
	derp_peer_pass_ms(x->loop, 2);
	x->odd = true;
	assert_true(may(x, v, &x->local));
	assert_false(may(x, v, &x->nobody));
	unlink(x->socket);
	assert_true(may(x, v, &x->local));
	assert_false(may(x, v, &x->nobody));
	verify_close(v);
	v = start(x, (struct verify_options) { .socket_path = x->socket, .fail_open = true });
	assert_true(may(x, v, &x->nobody));
	verify_close(v);
}

static void write_list(struct asker *x, const char *more)
{
	char key[KEY_TEXT];
	FILE *f = fopen(x->list, "w");
	assert_non_null(f);
	fprintf(f, "# ours\n\n  %s # the first\n%s", key_format(x->local.b, "nodekey:", key), more);
	fclose(f);
}

static void test_list(void **state)
{
	struct asker *x = *state;
	struct errbuf eb = { 0 };
	char key[KEY_TEXT];
	write_list(x, "");
	struct verify *v = start(x, (struct verify_options) { .keys_file = x->list });
	assert_true(may(x, v, &x->local));
	assert_false(may(x, v, &x->remote));
	write_list(x, "nodekey:12\n");
	assert_int_equal(verify_reload(v, &eb), ERR_MALFORMED);
	assert_non_null(strstr(eb.text, "list:4: \"nodekey:12\" is not a node key"));
	assert_true(may(x, v, &x->local)); /* the old one stays */
	write_list(x, key_format(x->remote.b, "nodekey:", key));
	assert_int_equal(verify_reload(v, &eb), 0);
	assert_true(may(x, v, &x->remote));
	verify_close(v);
	assert_int_equal(x->asked, 0);
	assert_null(verify_open(x->loop, &(struct verify_options) { .url = "ftp://x" }, &eb));
	assert_null(verify_open(x->loop, &(struct verify_options) { .keys_file = "/none" }, &eb));
}

/* Closed while somebody is being asked. */
static void test_closed(void **state)
{
	struct asker *x = *state;
	struct endpoint from = { .ip = addr_v4(0xc0000207) };
	struct verify *v = start(x, (struct verify_options) { .socket_path = x->socket });
	assert_int_equal(verify_admits(v, &x->local, &from), RELAY_LATER);
	assert_int_equal(verify_admits(v, &x->local, &from), RELAY_LATER); /* one question */
	verify_close(v);
	assert_int_equal(x->decided, 0);
}

/* The URL is asked by a proxy, if that is what leads out. */
static void test_proxied(void **state)
{
	struct asker *x = *state;
	struct fake_proxy *proxy = fake_proxy_open(x->loop);
	struct proxies *by = proxies_new(NULL, fake_proxy_url(proxy), NULL);
	struct verify *v =
		start(x, (struct verify_options) { .url = "http://knows.test/verify", .proxies = by });
	assert_false(may(x, v, &x->remote));
	assert_string_equal(fake_proxy_asked(proxy), "CONNECT knows.test:80 HTTP/1.1");
	assert_non_null(strstr(fake_proxy_inside(proxy), "POST /verify HTTP/1.1\r\n"));
	verify_close(v);
	fake_proxy_close(proxy);
	proxies_free(by);
}

static unsigned readied;
static bool has_no_threads;

bool __real_work_ready(struct loop *l);
bool __wrap_work_ready(struct loop *l);
bool __wrap_work_ready(struct loop *l)
{
	readied++;
	return !has_no_threads && __real_work_ready(l);
}

/* Threads that look up names are made before anybody is at the door: where they cannot be, there is no relay. */
static void test_threads(void **state)
{
	struct asker *x = *state;
	struct errbuf eb = { 0 };
	readied = 0;
	verify_close(start(x, (struct verify_options) { .socket_path = x->socket }));
	assert_int_equal(readied, 0); /* nothing is looked up */
	verify_close(start(x, (struct verify_options) { .url = x->url }));
	assert_int_equal(readied, 1);
	has_no_threads = true;
	assert_null(verify_open(x->loop, &(struct verify_options) { .url = x->url }, &eb));
	assert_int_equal(eb.code, -ENOMEM);
	has_no_threads = false;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_ask), T(test_away), T(test_list), T(test_closed),
		T(test_proxied), T(test_threads) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
