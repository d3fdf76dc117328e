/* Lists from a URL: a web server of our own, on loopback and on an address of the internet in a namespace of its own,
 * says what it is told to, and how it was asked. */
#include "resolver/list_fetch.h"

#include "mesh/base/buf.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include "mesh/os/test/own_lo.h"
#include "mesh/os/test/own_ns.h"
#include "mesh/transport/http.h"
#include "mesh/os/test/fake_proxy.h"
#include "mesh/transport/proxy.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

struct site {
	struct loop *loop;
	int fd;
	struct loop_fd *watch;
	struct endpoint at;
	const char *body, *etag;  /* body NULL: status 500 */
	const char *leads;	  /* host that /inward goes to */
	unsigned inward, longs;	  /* how often these were asked for */
	char host[ENDPOINT_TEXT]; /* as it was asked for last */
	unsigned asked, conditional, changed;
};

static struct site site;
static struct addr listen_at;
static char folder[] = "/tmp/list_fetch_test.XXXXXX", path[64], url[64];

static void request(
	void *arg, struct http_server_conn *c, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct site *s = arg;
	char extra[128], text[64] = "", at[ENDPOINT_TEXT];
	const char *known = http_header(head, "If-None-Match");
	(void)body, (void)len;
	http_target_path(head, text, sizeof(text));
	snprintf(s->host, sizeof(s->host), "%s", http_header(head, "Host"));
	if (strcmp(text, "/moved") == 0 || strcmp(text, "/far") == 0) {
		snprintf(extra, sizeof(extra), "Location: http://%s/list\r\n", endpoint_format(&s->at, at));
		http_reply(
			c, 302, "text/plain", text[1] == 'm' ? "Location: /list\r\n" : extra, "moved\n", 6);
		return;
	}
	if (strcmp(text, "/beside/it") == 0) {
		http_reply(c, 302, "text/plain", "Location: ../list\r\n", "", 0);
		return;
	}
	if (strcmp(text, "/same") == 0) {
		snprintf(extra, sizeof(extra), "Location: //%s/list\r\n", endpoint_format(&s->at, at));
		http_reply(c, 302, "text/plain", extra, "", 0);
		return;
	}
	if (strcmp(text, "/long") == 0) {
		char far[1200] = "Location: /list?";
		memset(far + strlen(far), 'x', 1100);
		memcpy(far + 1100, "\r\n", 3);
		http_reply(c, 302, "text/plain", far, "", 0);
		s->longs++;
		return;
	}
	if (strcmp(text, "/inward") == 0) {
		snprintf(extra, sizeof(extra), "Location: http://%s:%u/list\r\n", s->leads, s->at.port);
		http_reply(c, 307, "text/plain", extra, "", 0);
		s->inward++;
		return;
	}
	if (strcmp(text, "/round") == 0) {
		http_reply(c, 302, "text/plain", "Location: /round\r\n", "", 0);
		s->asked++;
		return;
	}
	s->asked++;
	s->conditional += known != NULL;
	snprintf(extra, sizeof(extra), "ETag: %s\r\n", s->etag);
	if (!s->body)
		http_reply(c, 500, "text/plain", NULL, "ads.example\n", 12);
	else if (known && strcmp(known, s->etag) == 0)
		http_reply(c, 304, NULL, NULL, NULL, 0);
	else
		http_reply(c, 200, "text/plain", extra, s->body, strlen(s->body));
}

static void gone(void *arg, struct http_server_conn *c)
{
	(void)arg, (void)c;
}

static void accepted(void *arg, int what)
{
	struct site *s = arg;
	struct stream_events none = { 0 };
	struct http_server_ops ops = { .request = request, .gone = gone, .arg = s };
	(void)what;
	int fd = sock_accept(s->fd, NULL);
	if (fd >= 0)
		(void)http_server_accept(s->loop, stream_accept(s->loop, fd, NULL, &none), &ops);
}

static void changed(void *arg)
{
	((struct site *)arg)->changed++;
}

static int setup(void **state)
{
	struct endpoint any = { .ip = listen_at };
	char at[ENDPOINT_TEXT];
	(void)state;
	memset(&site, 0, sizeof(site));
	site.loop = loop_new();
	site.fd = sock_tcp_listen(&any, NULL);
	assert_true(site.fd >= 0);
	sock_local(site.fd, &site.at);
	site.watch = loop_fd_new(site.loop, site.fd, accepted, &site);
	loop_fd_set(site.watch, LOOP_READ);
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/a.list", folder);
	snprintf(url, sizeof(url), "http://%s", endpoint_format(&site.at, at));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	loop_fd_free(site.watch);
	close(site.fd);
	loop_free(site.loop);
	assert_int_equal(dir_remove(folder, NULL), 0);
	return 0;
}

static const struct proxies *proxies; /* NULL: none */

static struct list_fetch *start_as(const char *host, const char *target, bool foreign)
{
	char text[128];
	struct errbuf eb = { 0 };
	snprintf(text, sizeof(text), "%s%s", host, target);
	struct list_fetch_options o = { .loop = site.loop,
		.name = "a",
		.url = text,
		.path = path,
		.every_ms = 20,
		.retry_ms = 5,
		.foreign = foreign,
		.changed = changed,
		.proxies = &proxies,
		.arg = &site };
	struct list_fetch *f = list_fetch_start(&o, &eb);
	if (!f)
		fail_msg("%s", eb.text);
	return f;
}

static struct list_fetch *start(const char *target)
{
	return start_as(url, target, false);
}

static void late(void *arg)
{
	*(bool *)arg = true;
}

/* Until n exchanges or changes are over. */
static void until(const unsigned *what, unsigned n)
{
	enum { LIMIT_MS = 60000 };
	bool over = false;
	struct loop_timer *limit = loop_timer_new(site.loop, late, &over);
	loop_timer_set(limit, LIMIT_MS);
	while (*what < n && !over)
		loop_run_once(site.loop);
	loop_timer_free(limit);
	assert_true(*what >= n);
}

static void file_is(const char *text)
{
	struct buf b = { 0 };
	assert_int_equal(file_read(path, 4096, &b, NULL), 0);
	assert_string_equal(buf_cstr(&b), text);
	buf_free(&b);
}

/* What is new comes once, what has not changed costs a header, across a restart too. */
static void test_etag(void **state)
{
	(void)state;
	site.body = "ads.example\n";
	site.etag = "\"one\"";
	struct list_fetch *f = start("/list");
	until(&site.asked, 4);
	assert_int_equal(site.changed, 1);
	assert_true(site.conditional >= 3);
	file_is("ads.example\n");
	site.body = "more.example\n";
	site.etag = "\"two\"";
	until(&site.changed, 2);
	file_is("more.example\n");
	list_fetch_stop(f);
	site.asked = site.conditional = 0;
	f = start("/list");
	until(&site.asked, 2);
	assert_int_equal(site.conditional, site.asked);
	assert_int_equal(site.changed, 2);
	list_fetch_stop(f);
}

/* Of another URL now: what the one before said stays until this one's is there, which is asked for at once and without the
 * other's ETag; it may be the same. */
static void test_other_url(void **state)
{
	(void)state;
	site.body = "ads.example\n";
	site.etag = "\"one\"";
	struct list_fetch *f = start("/list");
	until(&site.changed, 1);
	list_fetch_stop(f);
	site.body = "more.example\n";
	site.asked = site.conditional = 0;
	struct list_fetch_options o = { .loop = site.loop,
		.name = "a",
		.path = path,
		.every_ms = UINT64_C(86400) * 1000,
		.changed = changed,
		.arg = &site };
	char other[80];
	snprintf(other, sizeof(other), "%s/other", url);
	o.url = other;
	assert_non_null(f = list_fetch_start(&o, NULL));
	file_is("ads.example\n");
	until(&site.changed, 2);
	assert_int_equal(site.asked, 1);
	assert_int_equal(site.conditional, 0);
	file_is("more.example\n");
	list_fetch_stop(f);
}

/* What is no list leaves the last good one where it is, and is asked for again. */
static void test_last_good(void **state)
{
	static const char *const bad[] = { NULL, "<html>\n<body>Please log in</body>\n", "" };
	(void)state;
	site.etag = "\"x\"";
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		site.body = "ads.example\n";
		unsigned changes = site.changed + 1;
		unlink(path);
		struct list_fetch *f = start("/list");
		until(&site.changed, changes);
		site.body = bad[i];
		site.etag = i % 2 ? "\"x\"" : "\"y\"";
		until(&site.asked, site.asked + 3);
		file_is("ads.example\n");
		assert_int_equal(site.changed, changes);
		list_fetch_stop(f);
	}
}

static void test_redirects(void **state)
{
	static const char *const targets[] = { "/moved", "/far", "/beside/it", "/same" };
	(void)state;
	site.body = "ads.example\n";
	site.etag = "\"x\"";
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		unlink(path);
		struct list_fetch *f = start(targets[i]);
		until(&site.changed, (unsigned)i + 1);
		list_fetch_stop(f);
	}
	site.asked = 0;
	struct list_fetch *f = start("/round");
	until(&site.asked, 8);
	assert_int_equal(site.changed, ARRAY_LEN(targets));
	list_fetch_stop(f);
	site.asked = 0;
	f = start("/long");
	until(&site.longs, 3);
	assert_int_equal(site.asked, 0); /* half an address is another one */
	list_fetch_stop(f);
}

/* An IPv6 address stands in brackets, and leads on as any other. */
static void test_six(void **state)
{
	char at[ENDPOINT_TEXT];
	teardown(state);
	listen_at = addr_v6_bytes((const uint8_t[16]) { [15] = 1 });
	setup(state);
	listen_at = addr_v4(INADDR_LOOPBACK);
	site.body = "ads.example\n";
	site.etag = "\"x\"";
	struct list_fetch *f = start("/moved");
	until(&site.changed, 1);
	list_fetch_stop(f);
	assert_string_equal(site.host, endpoint_format(&site.at, at));
}

/* Names that lead to two addresses each: "outer.test" to the internet first, "inner.test" into the network. */
static bool names_make(void)
{
	static const char text[] =
		"198.51.100.1 outer.test\n10.9.8.7 outer.test inner.test\n198.51.100.1 inner.test\n";
	char file[64];
	snprintf(file, sizeof(file), "%s/hosts", folder);
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       file_write_atomic(file, 0644, text, strlen(text), NULL) == 0 &&
	       mount(file, "/etc/hosts", NULL, MS_BIND, NULL) == 0;
}

struct redirect {
	const char *from, *to;
	bool comes, foreign;
};

/* The site is in a network of its own, with those addresses. */
static void place_make(void **state, const char *const *here, size_t n, const struct addr *listen)
{
	if (!own_ns(CLONE_NEWNET | CLONE_NEWNS)) {
		print_message("skipped: this kernel gives no namespaces\n");
		skip();
	}
	teardown(state);
	own_lo(here, n);
	listen_at = *listen;
	setup(state);
	listen_at = addr_v4(INADDR_LOOPBACK);
	site.body = "ads.example\n";
	site.etag = "\"x\"";
}

static void redirects_follow(const struct redirect *rows, size_t n)
{
	char host[64];
	for (size_t i = 0; i < n; i++) {
		snprintf(host, sizeof(host), "http://%s:%u", rows[i].from, site.at.port);
		site.leads = rows[i].to;
		site.asked = site.inward = 0;
		unlink(path);
		struct list_fetch *f = start_as(host, "/inward", rows[i].foreign);
		until(&site.inward, 3);
		if (rows[i].comes)
			until(&site.asked, 1);
		if (!rows[i].comes && site.asked)
			fail_msg("row %zu: %s led to %s", i, rows[i].from, rows[i].to);
		list_fetch_stop(f);
	}
}

/* From the internet into the network no redirect leads; where the list is in the network itself, any. */
static void test_inward(void **state)
{
	static const struct redirect rows[] = { { "198.51.100.1", "127.0.0.1", false, false },
		{ "198.51.100.1", "localhost", false, false },
		{ "198.51.100.1", "[::ffff:127.0.0.1]", false, false },
		{ "198.51.100.1", "10.9.8.7", false, false }, { "198.51.100.1", "198.51.100.1", true, false },
		{ "outer.test", "10.9.8.7", false, false }, { "outer.test", "198.51.100.1", true, false },
		{ "198.51.100.1", "outer.test", false, false }, { "inner.test", "10.9.8.7", true, false },
		{ "127.0.0.1", "127.0.0.1", true, false }, { "127.0.0.1", "198.51.100.1", true, false },
		{ "198.51.100.1", "198.51.100.1", true, true }, { "198.51.100.1", "10.9.8.7", false, true },
		{ "100.64.9.8", "100.64.9.8", true, true }, { "100.64.9.8", "10.9.8.7", false, true } };
	static const char *const here[] = { "198.51.100.1/32", "10.9.8.7/32", "100.64.9.8/32" };
	const struct addr any = addr_v4(INADDR_ANY);
	place_make(state, here, ARRAY_LEN(here), &any);
	assert_true(names_make());
	redirects_follow(rows, ARRAY_LEN(rows));
}

/* Neither does one by a translator. */
static void test_inward_translated(void **state)
{
	static const struct redirect rows[] = { { "[2001:db8::1]", "[2001:db8::1]", true, false },
		{ "[2001:db8::1]", "[64:ff9b::198.51.100.1]", true, false },
		{ "[2001:db8::1]", "[64:ff9b::10.9.8.7]", false, false },
		{ "[64:ff9b::10.9.8.7]", "[64:ff9b::10.9.8.7]", true, false } };
	static const char *const here[] = { "2001:db8::1/128", "64:ff9b::198.51.100.1/128",
		"64:ff9b::10.9.8.7/128" };
	const struct addr any = addr_v6_bytes((const uint8_t[16]) { 0 });
	place_make(state, here, ARRAY_LEN(here), &any);
	redirects_follow(rows, ARRAY_LEN(rows));
}

/* A name that only the proxy knows; an address in this network that is led to from outside is still none. */
static void test_proxied(void **state)
{
	(void)state;
	struct fake_proxy *proxy = fake_proxy_open(site.loop);
	struct proxies *by = proxies_new(NULL, fake_proxy_url(proxy), NULL);
	proxies = by;
	struct list_fetch *f = start_as("http://nowhere.invalid", "/list", false);
	while (!*fake_proxy_inside(proxy))
		loop_run_once(site.loop);
	assert_string_equal(fake_proxy_asked(proxy), "CONNECT nowhere.invalid:80 HTTP/1.1");
	assert_non_null(strstr(fake_proxy_inside(proxy), "GET /list HTTP/1.1\r\n"));
	list_fetch_stop(f);
	fake_proxy_close(proxy);
	proxies = NULL;
	proxies_free(by);
}

static void test_wrong(void **state)
{
	struct list_fetch_options o = { .loop = site.loop, .name = "a", .url = "ftp://x", .path = path };
	struct errbuf eb = { 0 };
	(void)state;
	assert_null(list_fetch_start(&o, &eb));
	assert_non_null(strstr(eb.text, "the list a: \"ftp://x\" is not a URL"));
	list_fetch_stop(NULL);
	list_fetch_stop(start("/list")); /* while it asks */
}

int main(void)
{
#define ONE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	/* The threads that look names up see /etc/hosts as it was when the first of them began. */
	const struct CMUnitTest tests[] = { ONE(test_inward), ONE(test_inward_translated), ONE(test_etag),
		ONE(test_other_url), ONE(test_last_good), ONE(test_redirects), ONE(test_six), ONE(test_wrong),
		ONE(test_proxied) };
	listen_at = addr_v4(INADDR_LOOPBACK);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
