/* watch-ipn-bus: which watcher hears of files that go to peers, and when. */
#include "mesh/node/local/local_api.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include "mesh/transport/http.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

struct watcher {
	struct http_client *rq;
	char text[8192];
	size_t len;
	bool over;
};
struct world {
	struct loop *loop;
	char dir[64], sock[96];
	struct local_api *api;
	struct files *files;
	struct watcher all, news; /* the first wants what is there already */
	int silent;		  /* a listener that accepts nobody: a peer that is not replying */
	struct endpoint peer;
	int asker; /* who sends a file */
};

static void say_facts(void *arg, struct local_facts *out)
{
	static const struct state_prefs prefs;
	static const struct machine_key none;
	(void)arg;
	*out = (struct local_facts) {
		.state = 6, .auth_url = "", .error = "", .login_name = "", .prefs = &prefs, .server = &none
	};
}

static struct files *say_files(void *arg)
{
	return ((struct world *)arg)->files;
}

static void world_start(struct world *w)
{
	struct errbuf eb = { 0 };
	*w = (struct world) { .loop = loop_new(), .dir = "/tmp/rw-watch-XXXXXX", .asker = -1 };
	struct local_node_ops ops = { .facts = say_facts, .files = say_files, .arg = w };
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->sock, sizeof(w->sock), "%s/s", w->dir);
	w->files = files_open(w->loop, w->dir, &eb);
	w->api = w->files ? local_api_open(w->loop, w->sock, &ops, &eb) : NULL;
	if (!w->api)
		fail_msg("%s", eb.text);
	assert_true(endpoint_parse("127.0.0.1:0", &w->peer));
	w->silent = sock_tcp_listen(&w->peer, &eb);
	assert_int_equal(sock_local(w->silent, &w->peer), 0);
}

static void world_end(struct world *w)
{
	http_client_cancel(w->all.rq);
	http_client_cancel(w->news.rq);
	local_api_close(w->api);
	files_close(w->files);
	if (w->silent >= 0)
		close(w->silent);
	if (w->asker >= 0)
		close(w->asker);
	loop_free(w->loop);
	assert_int_equal(dir_remove(w->dir, NULL), 0);
}

static void heard(void *arg, const uint8_t *p, size_t len)
{
	struct watcher *h = arg;
	assert_true(h->len + len < sizeof(h->text));
	memcpy(h->text + h->len, p, len);
	h->len += len;
}
static void ended(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	(void)head;
	(void)body;
	(void)len;
	((struct watcher *)arg)->rq = NULL;
}
static void failed(void *arg, int code, const char *why)
{
	(void)arg;
	fail_msg("%d %s", code, why);
}

static void watch(struct world *w, struct watcher *h, const char *target)
{
	struct http_request rq = { .unix_path = w->sock,
		.method = "GET",
		.target = target,
		.host = "local-tailscaled.sock",
		.timeout_ms = UINT64_MAX };
	struct http_client_events ev = { .done = ended, .chunk = heard, .failed = failed, .arg = h };
	*h = (struct watcher) { 0 };
	h->rq = http_request(w->loop, &rq, &ev);
	assert_non_null(h->rq);
	while (!strstr(h->text, "\"State\":6"))
		loop_run_once(w->loop);
}

static bool on_head(void *arg, struct http_server_conn *conn, const struct http_head *head)
{
	struct world *w = arg;
	struct files_target to = { .peer = { 9, "bob" }, .stable_id = "nBob", .at = w->peer, .ifname = "lo" };
	struct http_carry *c = http_carry_take(conn);
	(void)head;
	assert_non_null(c);
	files_send(w->files, c, &to, "a.jpg");
	return true;
}

static void send_file(struct world *w)
{
	static const char head[] = "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n";
	struct http_server_ops ops = { .streamed = on_head, .arg = w };
	struct stream_events none = { 0 };
	int fd[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	w->asker = fd[1];
	assert_int_equal(write(fd[1], head, sizeof(head) - 1), sizeof(head) - 1);
	assert_non_null(http_server_accept(w->loop, stream_accept(w->loop, fd[0], NULL, &none), &ops));
}

static void wait_for(struct world *w, const struct watcher *h, const char *text)
{
	while (!strstr(h->text, text))
		loop_run_once(w->loop);
}

static void test_files_are_told(void **state)
{
	static const char
		begun[] = "\"PeerID\":\"nBob\",\"Name\":\"a.jpg\",\"Started\":",
		rest[] = "\"DeclaredSize\":1000,\"Sent\":0,\"Finished\":false,\"Succeeded\":false}]}\n";
	struct world w;
	(void)state;
	world_start(&w);
	watch(&w, &w.news, "/localapi/v0/watch-ipn-bus?mask=2");
	assert_null(strstr(w.news.text, "OutgoingFiles"));
	send_file(&w);
	wait_for(&w, &w.news, rest);
	assert_non_null(strstr(w.news.text, begun));
	/* Of files alone: no state is told with it. */
	assert_null(strstr(strstr(w.news.text, "OutgoingFiles"), "State"));
	watch(&w, &w.all, "/localapi/v0/watch-ipn-bus?mask=16448");
	wait_for(&w, &w.all, rest);
	assert_non_null(strstr(w.all.text, begun));
	assert_ptr_equal(strstr(w.all.text, "\n"), w.all.text + w.all.len - 1); /* one line */
	close(w.silent); /* a reset for who waits there */
	w.silent = -1;
	wait_for(&w, &w.all, "\"Finished\":true,\"Succeeded\":false}]}\n");
	wait_for(&w, &w.news, "\"Finished\":true,\"Succeeded\":false}]}\n");
	http_client_cancel(w.all.rq);
	watch(&w, &w.all, "/localapi/v0/watch-ipn-bus?mask=2");
	assert_null(strstr(w.all.text, "OutgoingFiles"));
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_are_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
