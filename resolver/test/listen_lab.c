#include "resolver/test/listen_lab.h"

#include "mesh/os/sock.h"
#include "resolver/core.h"
#include "resolver/test/fake.h"
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct listen_lab lab;

static int hook(void *arg, int fd, const struct endpoint *to)
{
	struct listen_lab *f = arg;
	(void)to;
	f->hooked += fd >= 0;
	return 0;
}

static struct zone *listen_lab_zone(const char *name, const char *ip)
{
	struct zone *z = zone_new();
	struct addr a;
	assert_true(addr_parse(ip, &a) && !zone_add_address(z, name, &a, true));
	assert_non_null(z);
	return z;
}

struct resolver_server *listen_lab_server(const char *name, const char *ip, uint32_t tcp_ms)
{
	struct endpoint at = { .ip = addr_v4(INADDR_LOOPBACK) };
	struct resolver_server_options o = { .at = &at, .n = 1, .upstream_socket = hook, .arg = &lab };
	o.tcp_message_ms = o.tcp_idle_ms = tcp_ms;
	struct errbuf eb = { 0 };
	struct resolver_server *s = resolver_server_open(lab.loop, &o, &eb);
	if (!s)
		fail_msg("%s", eb.text);
	struct zone *z = listen_lab_zone(name, ip);
	resolver_zone_set(resolver_server_core(s), z);
	zone_put(z);
	return s;
}

void listen_lab_route(const struct endpoint *at)
{
	struct resolver_upstream up = { .at = *at };
	struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1 };
	assert_int_equal(resolver_server_configure(lab.server,
				 &(struct resolver_config) { .routes = &route, .n_routes = 1 }, NULL),
		0);
}

static int setup_with(uint32_t tcp_ms)
{
	memset(&lab, 0, sizeof(lab));
	lab.loop = loop_new();
	lab.client = -1;
	lab.upstream = listen_lab_server("www.example.com", "198.51.100.7", 0);
	lab.server = listen_lab_server("bob.mesh", "100.64.0.2", tcp_ms);
	lab.at = resolver_server_endpoint(lab.server, 0);
	struct endpoint up = resolver_server_endpoint(lab.upstream, 0);
	listen_lab_route(&up);
	return 0;
}

int listen_lab_setup(void **state)
{
	(void)state;
	return setup_with(0);
}
int listen_lab_setup_hasty(void **state)
{
	(void)state;
	return setup_with(LISTEN_LAB_SHORT_MS);
}

int listen_lab_teardown(void **state)
{
	(void)state;
	if (lab.client >= 0)
		close(lab.client);
	resolver_server_close(lab.server);
	resolver_server_close(lab.upstream);
	loop_free(lab.loop);
	return 0;
}

static void client_ready(void *arg, int events)
{
	struct listen_lab *f = arg;
	(void)events;
	ssize_t n = recv(f->client, f->got + f->got_len, sizeof(f->got) - f->got_len, MSG_DONTWAIT);
	if (n > 0)
		f->got_len += (size_t)n;
	f->eof = n == 0 || (n < 0 && errno == ECONNRESET);
	if (f->eof || (f->got_len >= f->want && f->want))
		loop_stop(f->loop);
}

static void gave_up(void *arg)
{
	lab.timed_out = true;
	loop_stop(arg);
}

void listen_lab_wait(size_t want)
{
	struct loop_timer *limit = loop_timer_new(lab.loop, gave_up, lab.loop);
	struct loop_fd *watch = loop_fd_new(lab.loop, lab.client, client_ready, &lab);
	lab.want = want;
	loop_timer_set(limit, LISTEN_LAB_LIMIT_MS);
	loop_fd_set(watch, LOOP_READ);
	if (!want || lab.got_len < want)
		loop_run(lab.loop);
	loop_fd_free(watch);
	loop_timer_free(limit);
	assert_false(lab.timed_out);
}

void listen_lab_client(int type)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&lab.at, false, &ss);
	if (lab.client >= 0)
		close(lab.client);
	lab.client = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	lab.got_len = 0;
	lab.eof = false;
	assert_true(lab.client >= 0 && !connect(lab.client, (struct sockaddr *)&ss, len));
}

unsigned listen_lab_rcode(size_t at)
{
	return lab.got[at + 3] & 15;
}
unsigned listen_lab_answers(size_t at)
{
	return (unsigned)be_get(lab.got + at + 6, 2);
}

size_t listen_lab_frame(uint8_t *buf, const char *name, uint16_t type)
{
	size_t len = fake_question(buf + 2, name, type, DNS_RD);
	be_put(buf, 2, len);
	return len + 2;
}
