#include "mesh/node/test/names_place.h"
#include "mesh/base/wire.h"
#include "mesh/netmap/test/told_map.h"
#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include "mesh/os/test/own_lo.h"
#include "mesh/os/test/own_ns.h"
#include "resolver/ask.h"
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static void answer_nothing(void *arg, int events)
{
	struct upstream *u = arg;
	struct sockaddr_storage from;
	socklen_t n = sizeof(from);
	uint8_t b[1500];
	(void)events;
	ssize_t len = recvfrom(u->fd, b, sizeof(b), 0, (struct sockaddr *)&from, &n);
	if (len < 12 || b[2] & 0x80)
		return;
	u->asked++;
	if (u->ring) {
		struct endpoint service = { .ip = addr_service_v4, .port = 53 };
		n = endpoint_to_sockaddr(&service, false, &from);
		sendto(u->fd, b, (size_t)len, 0, (struct sockaddr *)&from, n);
		return;
	}
	b[2] |= 0x80;
	b[3] = 0x80;
	if (u->knows) {
		static const uint8_t record[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 198, 51, 100, 7 };
		size_t at = 12;
		while (b[at])
			at += b[at] + 1u;
		memcpy(b + at + 5, record, sizeof(record));
		len = (ssize_t)(at + 5 + sizeof(record));
		b[7] = 1;
		b[11] = 0;
	}
	sendto(u->fd, b, (size_t)len, 0, (struct sockaddr *)&from, n);
}

static void upstream_open(struct upstream *u, struct loop *l, const char *at)
{
	struct endpoint e;
	struct errbuf eb;
	assert_true(endpoint_parse(at, &e));
	u->fd = sock_udp(&e, &eb);
	if (u->fd < 0)
		fail_msg("%s", eb.text);
	u->watch = loop_fd_new(l, u->fd, answer_nothing, u);
	loop_fd_set(u->watch, LOOP_READ);
}

static void upstream_close(struct upstream *u)
{
	loop_fd_free(u->watch);
	close(u->fd);
}

static void nothing(void *arg)
{
	(void)arg;
}

struct names_place *names_place_make(void)
{
	static const char *const local[] = { "100.100.100.100/32", "100.64.0.1/32", "100.64.0.2/32" };
	if (!own_ns(CLONE_NEWNET)) {
		print_message("skipped: this kernel gives no network namespace\n");
		skip();
	}
	struct names_place *p = calloc(1, sizeof(*p));
	own_lo(local, ARRAY_LEN(local));
	strcpy(p->dir, "/tmp/rw-names-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->resolv, sizeof(p->resolv), "%s/resolv.conf", p->dir);
	p->n.loop = loop_new();
	p->n.prefs = &p->prefs;
	p->prefs.accept_dns = true;
#define X(name, at) upstream_open(&p->name, p->n.loop, at);
	SERVERS(X)
#undef X
	return p;
}

void names_place_end(struct names_place *p)
{
	names_forget(&p->n);
	os_dns_close(p->n.os_dns);
#define X(name, at) upstream_close(&p->name);
	SERVERS(X)
#undef X
	loop_free(p->n.loop);
	assert_int_equal(dir_remove(p->dir, NULL), 0);
	free(p);
}

void names_place_use_after(struct names_place *p, const char *json, const struct netmap *before)
{
	struct errbuf eb = { 0 };
	struct netmap *next = told_map(before, json);
	const struct dns_places places = { .resolv_conf = p->resolv,
		.own_path = true,
		.uplinks = "",
		.networkmanager = "",
		.openresolv = "",
		.bus = "" };
	if (!p->n.os_dns)
		p->n.os_dns = os_dns_open(p->n.loop, &places, nothing, NULL);
	(void)names_apply(
		&p->n, next, "", netmap_peer_expired(next->self, clock_unix_ms()), &eb); /* no_dns says */
	netmap_put(next);
}

void names_place_use(struct names_place *p, const char *json)
{
	names_place_use_after(p, json, NULL);
}

static void answered(void *arg, int code, const uint8_t *b, size_t len)
{
	struct names_answer *a = arg;
	*a = (struct names_answer) { .code = code, .over = true };
	if (!code && len >= 12) {
		a->rcode = b[3] & 15;
		a->count = (int)be_get(b + 6, 2);
	}
}

struct names_answer names_place_ask(struct names_place *p, const char *name, const char *type)
{
	const struct endpoint service = { .ip = addr_service_v4, .port = 53 };
	struct names_answer a = { 0 };
	struct errbuf eb = { 0 };
	if (!dns_ask_start(p->n.loop, &service, name, type, answered, &a, &eb))
		fail_msg("%s", eb.text);
	while (!a.over)
		loop_run_once(p->n.loop);
	return a;
}
