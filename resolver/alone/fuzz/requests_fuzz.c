/* What somebody may send to the control socket and to the page: any bytes as one connection, to the whole program. The
 * first byte says to which, and whether the browser is logged in: then what follows is the target of a request, or the rest
 * of its form, between what such a browser sends. Nothing leaves the machine: there are no upstreams. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include "mesh/web/password.h"
#include "resolver/alone/login.h"
#include "resolver/alone/page.h"
#include "resolver/alone/serve.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { TO_CONTROL = 'c', TO_PAGE = 'p', TO_TARGET = 'g', TO_FORM = 'f', REQUEST_MAX = 16384 };

static struct {
	struct running s;
	struct endpoint page;
	char dir[64], config[96], sock[96], token[BROWSER_TOKEN], form[BROWSER_FORM];
} world;

static void logged_in(void *arg, enum login_verdict v, const char *token, const char *why)
{
	(void)arg, (void)why;
	if (v == LOGIN_CHANGED)
		return;
	if (v != LOGIN_IN)
		abort();
	snprintf(world.token, sizeof(world.token), "%s", token);
	login_form(world.s.login, token, world.form);
}

static void log_in(void)
{
	static const struct addr from;
	char hash[PASSWORD_HASH];
	if (!password_make("correct horse", hash))
		abort();
	login_set(world.s.login, hash, logged_in, NULL);
	while (!login_is_set(world.s.login))
		loop_run_once(world.s.loop);
	login_try(world.s.login, &from, "correct horse", logged_in, NULL);
	while (!*world.token)
		loop_run_once(world.s.loop);
}

static void config_write(void)
{
	FILE *to = fopen(world.config, "we");
	if (!to)
		abort();
	fprintf(to,
		"listen: 127.0.0.1:0\nquery-log: true\nstate: %s\nauthority: [ . ]\n"
		"page: { listen: 127.0.0.1:0, metrics: true }\nrecords: [ { name: a.test, value: 192.0.2.1 } "
		"]\n"
		"blocking:\n  lists: [ { name: ads, names: [ ads.test, '/^x[0-9]+/' ] } ]\n"
		"  groups: [ { name: kids, clients: [ 192.0.2.0/24 ], lists: [] } ]\n",
		world.dir);
	fclose(to);
}

static void world_end(void)
{
	struct loop *l = world.s.loop;
	serve_close(&world.s);
	loop_free(l);
	dir_remove(world.dir, NULL);
}

static void world_begin(void)
{
	struct conf c;
	struct zone *z;
	struct errbuf eb = { 0 };
	snprintf(world.dir, sizeof(world.dir), "/tmp/rw-fuzz-XXXXXX");
	if (!mkdtemp(world.dir) || !key_setup())
		abort();
	snprintf(world.config, sizeof(world.config), "%s/conf.yaml", world.dir);
	snprintf(world.sock, sizeof(world.sock), "%s/s", world.dir);
	config_write();
	world.s.config = world.config;
	world.s.socket = world.sock;
	world.s.loop = loop_new();
	if (!world.s.loop || running_config_read(world.config, &c, &z, NULL, &eb) ||
		serve_open(&world.s, &c, z, &eb) || page_endpoints(world.s.page, &world.page, 1) != 1 ||
		atexit(world_end) != 0) {
		fprintf(stderr, "%s\n", eb.text);
		abort();
	}
	zone_put(z);
	conf_free(&c);
	log_in();
}

static int page_connect(void)
{
	struct sockaddr_storage at;
	socklen_t len = endpoint_to_sockaddr(&world.page, false, &at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || trouble_connect(fd, (struct sockaddr *)&at, len) != 0)
		abort();
	return fd;
}

/* The bytes between what a browser that is logged in sends. */
static int wrap(char kind, const uint8_t *data, size_t len, char *out)
{
	static const char head[] = "Host: 127.0.0.1\r\nConnection: close\r\nCookie: ropewalk-resolver=";
	size_t path = kind == TO_FORM && memchr(data, ' ', len)
			      ? (size_t)((const uint8_t *)memchr(data, ' ', len) - data)
			      : len;
	if (kind == TO_TARGET)
		return snprintf(out, REQUEST_MAX, "GET %.*s HTTP/1.1\r\n%s%s\r\n\r\n", (int)len,
			(const char *)data, head, world.token);
	size_t rest = len - path;
	return snprintf(out, REQUEST_MAX,
		"POST %.*s HTTP/1.1\r\n%s%s\r\nContent-Length: %zu\r\n\r\nform=%s&%.*s", (int)path,
		(const char *)data, head, world.token, strlen("form=&") + strlen(world.form) + rest,
		world.form, (int)rest, (const char *)data + path);
}

static void waited(void *arg)
{
	*(bool *)arg = true;
}

/* One who has said all and goes is not answered any more; what is looked for in lists takes a moment. */
static void wait_answer(int fd)
{
	enum { PATIENCE_MS = 20 };
	bool over = false;
	struct loop_timer *t = loop_timer_new(world.s.loop, waited, &over);
	char c;
	loop_timer_set(t, PATIENCE_MS);
	while (!over && recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK) < 0)
		loop_run_once(world.s.loop);
	loop_timer_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	enum { TURNS_MAX = 100000 };
	char sink[8192];
	static char text[REQUEST_MAX];
	if (!len || len > REQUEST_MAX / 2)
		return 0;
	if (!world.s.loop)
		world_begin();
	char kind = (char)*data++;
	bool page = kind != TO_CONTROL;
	len--;
	int fd = page ? page_connect() : sock_unix_connect(world.sock, NULL), n = (int)len;
	if (fd < 0)
		abort();
	if (kind == TO_TARGET || kind == TO_FORM)
		n = wrap(kind, data, len, text);
	else
		memcpy(text, data, len);
	(void)!send(fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (kind == TO_TARGET || memmem(text, (size_t)n, "/blocked?", 9) ||
		memmem(text, (size_t)n, "/query?", 7))
		wait_answer(fd);
	shutdown(fd, SHUT_WR);
	/* Until the other side has ended, too: a connection that stays open is a leak. */
	ssize_t got = 0;
	for (int i = 0; (got = recv(fd, sink, sizeof(sink), MSG_DONTWAIT)) != 0; i++) {
		if (i == TURNS_MAX)
			abort();
		if (got < 0)
			loop_run_once(world.s.loop);
	}
	close(fd);
	return 0;
}
