/* A machine's routers that say whatever they like, by datagrams and by HTTP, and the node's link to them. An input is a row of
 * steps of two bytes, what and how; a step that has bytes of a router's own is followed by as many as it says. No packet leaves:
 * the sockets of the link are halves of pairs, whose other halves are the router's, and the routes are this file's. With short
 * memory once more. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/base/log.h"
#include "mesh/base/wire.h"
#include "mesh/node/links/router_link.h"
#include "mesh/os/netlink.h"
#include "mesh/os/sock.h"
#include "mesh/portmap/upnp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
/* The linker puts them in place of those of mesh/os and libc (--wrap). */
int __wrap_sock_udp(const struct endpoint *bind_to, struct errbuf *eb);
int __wrap_sock_udp_connect(const struct endpoint *to, const struct addr *from, struct errbuf *eb);
int __wrap_sock_udp_shared(bool six, uint16_t port, struct errbuf *eb);
int __wrap_sock_tcp_connect_hook(
	const struct endpoint *to, void (*hook)(void *arg, int fd), void *arg, struct errbuf *eb);
int __wrap_sock_local(int fd, struct endpoint *out);
int __wrap_nl_route_get(struct nl *n, const struct addr *to, uint32_t mark, struct nl_route *out);
ssize_t __real_recvfrom(int fd, void *p, size_t cap, int flags, struct sockaddr *from, socklen_t *n_from);
ssize_t __wrap_recvfrom(int fd, void *p, size_t cap, int flags, struct sockaddr *from, socklen_t *n_from);

enum { STEPS_MAX = 64, TURNS = 3, PAIRS = 24, MESSAGE = 512, PORT = 41641, OUTER = 4242, MANY = 20 };
enum kind { NOBODY, ROUTER4, ROUTER6, NEWS4, NEWS6, SEARCH, WEB };

static const struct addr gateway4 = { { [10] = 0xff, [11] = 0xff, 192, 168, 1, 1 } },
			 other4 = { { [10] = 0xff, [11] = 0xff, 192, 168, 1, 2 } },
			 self4 = { { [10] = 0xff, [11] = 0xff, 192, 168, 1, 7 } },
			 public4 = { { [10] = 0xff, [11] = 0xff, 203, 0, 113, 7 } },
			 gateway6 = { { 0xfe, 0x80, [15] = 1 } },
			 self6 = { { 0x20, 0x01, 0x0d, 0xb8, [15] = 7 } };

struct pair { /* of sockets: the link's, and the router's */
	enum kind kind;
	int link, router; /* router -1: a free place */
};
/* Begun anew with each input. */
static struct {
	struct loop *loop;
	struct router_link *link;
	struct pair pairs[PAIRS];
	size_t next;
	uint8_t nonce[ROUTER_NONCE]; /* of the last request of PCP */
	bool no_route4, no_route6, moved, is_public, no_sockets, strange, refuses;
} w;

/* --- sockets and routes --- */

static void pair_close(struct pair *p)
{
	if (p->router >= 0)
		close(p->router);
	*p = (struct pair) { .router = -1, .link = -1 };
}

static int pair_open(enum kind kind, int type)
{
	int fd[2];
	if (w.no_sockets)
		return -EMFILE;
	must(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
	for (size_t i = 0; i < PAIRS; i++)
		if (w.pairs[i].link == fd[0]) /* it was closed: its number is another's now */
			w.pairs[i].link = -1;
	struct pair *p = &w.pairs[w.next++ % PAIRS];
	pair_close(p);
	*p = (struct pair) { .kind = kind, .link = fd[0], .router = fd[1] };
	return fd[0];
}

static enum kind kind_of(int fd)
{
	for (size_t i = 0; i < PAIRS; i++)
		if (w.pairs[i].link == fd)
			return w.pairs[i].kind;
	return NOBODY;
}

int __wrap_sock_udp(const struct endpoint *bind_to, struct errbuf *eb)
{
	must(addr_equal(&bind_to->ip, &self4));
	int fd = pair_open(SEARCH, SOCK_DGRAM);
	return fd < 0 ? err_set(eb, fd, "udp") : fd;
}

int __wrap_sock_udp_connect(const struct endpoint *to, const struct addr *from, struct errbuf *eb)
{
	enum kind kind = addr_is_v4(&to->ip) ? ROUTER4 : ROUTER6;
	(void)from;
	int fd = pair_open(kind, SOCK_DGRAM);
	return fd < 0 ? err_set(eb, fd, "udp") : fd;
}

int __wrap_sock_udp_shared(bool six, uint16_t port, struct errbuf *eb)
{
	must(port == ROUTER_NEWS_PORT);
	int fd = pair_open(six ? NEWS6 : NEWS4, SOCK_DGRAM);
	return fd < 0 ? err_set(eb, fd, "udp") : fd;
}

/* To the router's own address alone, whatever it has said. */
int __wrap_sock_tcp_connect_hook(
	const struct endpoint *to, void (*hook)(void *arg, int fd), void *arg, struct errbuf *eb)
{
	(void)hook, (void)arg;
	must(addr_equal(&to->ip, &gateway4) || addr_equal(&to->ip, &other4));
	int fd = pair_open(WEB, SOCK_STREAM);
	return fd < 0 ? err_set(eb, fd, "tcp") : fd;
}

int __wrap_sock_local(int fd, struct endpoint *out)
{
	*out = (struct endpoint) { .port = PORT, .ip = self6 };
	if (kind_of(fd) == ROUTER4)
		out->ip = w.is_public ? public4 : self4;
	return 0;
}

int __wrap_nl_route_get(struct nl *n, const struct addr *to, uint32_t mark, struct nl_route *out)
{
	bool four = addr_is_v4(to);
	(void)n;
	must(mark == SOCK_MARK_OUTSIDE);
	if (four ? w.no_route4 : w.no_route6)
		return -ENETUNREACH;
	*out = (struct nl_route) { .via = !four ? gateway6 : w.moved ? other4 : gateway4, .ifindex = 1 };
	return 0;
}

ssize_t __wrap_recvfrom(int fd, void *p, size_t cap, int flags, struct sockaddr *from, socklen_t *n_from)
{
	enum kind kind = kind_of(fd);
	ssize_t n = __real_recvfrom(fd, p, cap, flags, NULL, NULL);
	if (n < 0 && kind == ROUTER4 && w.refuses) {
		w.refuses = false;
		errno = ECONNREFUSED;
	}
	if (n < 0 || !from)
		return n;
	bool six = kind == ROUTER6 || kind == NEWS6;
	struct endpoint at = { .ip = six ? gateway6 : w.moved ? other4 : gateway4, .port = ROUTER_PORT };
	if (w.strange)
		at.ip = public4;
	*n_from = endpoint_to_sockaddr(&at, six, (struct sockaddr_storage *)(void *)from);
	return n;
}

/* --- the router --- */

/* What was asked is heard; the nonce of PCP is kept, or no answer would fit. */
static void hear(enum kind kind)
{
	enum { PCP_MAP_REQUEST = 60, NONCE_AT = 24 };
	uint8_t b[MESSAGE];
	ssize_t n;
	for (size_t i = 0; i < PAIRS; i++)
		while (w.pairs[i].kind == kind &&
			(n = recv(w.pairs[i].router, b, sizeof(b), MSG_DONTWAIT)) > 0)
			if (n == PCP_MAP_REQUEST && b[0] == 2 && b[1] == 1)
				memcpy(w.nonce, b + NONCE_AT, sizeof(w.nonce));
}

static void say(enum kind kind, const void *p, size_t len)
{
	for (size_t i = 0; i < PAIRS; i++) {
		struct pair *to = &w.pairs[i];
		if (to->router < 0 || to->kind != kind)
			continue;
		if (send(to->router, p, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN)
			pair_close(to);
	}
}

static void leave_web(void)
{
	for (size_t i = 0; i < PAIRS; i++)
		if (w.pairs[i].kind == WEB)
			pair_close(&w.pairs[i]);
}

/* In answer to what the link asks, or not. */
static void say_datagram(enum kind kind, uint8_t how)
{
	uint8_t b[MESSAGE], result = how & 16 ? 1 + (how >> 5) : 0;
	struct wr out = wr_of(b, sizeof(b));
	uint32_t lifetime_s = how & 8 ? 0 : 3600;
	const struct addr *outer = how & 4 ? &self4 : kind == ROUTER6 ? &self6 : &public4;
	hear(kind);
	switch (how & 3) {
	case 0: /* NAT-PMP: the outer address */
		wr_u16(&out, 0x80);
		wr_u16(&out, result);
		wr_u32(&out, 7);
		wr_bytes(&out, outer->b + 12, 4);
		break;
	case 1: /* NAT-PMP: a mapping */
		wr_u16(&out, 0x81);
		wr_u16(&out, result);
		wr_u32(&out, 7);
		wr_u16(&out, PORT);
		wr_u16(&out, OUTER);
		wr_u32(&out, lifetime_s);
		break;
	default: /* PCP: it is there, and a mapping */
		wr_u8(&out, 2);
		wr_u8(&out, 0x80 | (how & 1));
		wr_u8(&out, 0);
		wr_u8(&out, result);
		wr_u32(&out, lifetime_s);
		wr_zero(&out, 16);
		wr_bytes(&out, w.nonce, how & 1 ? sizeof(w.nonce) : 0);
		if (how & 1) {
			wr_u32(&out, 17U << 24);
			wr_u16(&out, PORT);
			wr_u16(&out, OUTER);
			wr_bytes(&out, outer->b, sizeof(outer->b));
		}
	}
	must(!out.bad);
	for (int i = 0; i < (how == 255 ? MANY : 1); i++) /* more than are read at once */
		say(kind, b, out.len);
}

/* Where a description is; more of them than are kept. */
static void say_place(uint8_t how)
{
	char b[MESSAGE];
	const char *host = how & 1 ? "192.168.1.9" : "192.168.1.1";
	for (int i = 0; i < (how & 2 ? MANY : 1); i++) {
		int n = snprintf(b, sizeof(b), "HTTP/1.1 200 OK\r\nLOCATION: http://%s:5000/d%d.xml\r\n\r\n",
			host, how & 4 ? i : how);
		say(SEARCH, b, (size_t)n);
	}
}

static void say_http(int status, const char *body)
{
	char b[2 * MESSAGE];
	int n = snprintf(
		b, sizeof(b), "HTTP/1.1 %d x\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body), body);
	must(n > 0 && (size_t)n < sizeof(b));
	say(WEB, b, (size_t)n);
}

static void say_page(uint8_t how)
{
#define SERVICE(type) \
	"<service><serviceType>urn:schemas-upnp-org:service:" type \
	"</serviceType><controlURL>/ctl</controlURL></service>"
	static const struct {
		int status;
		const char *body;
	} pages[] = { { 200, SERVICE("WANIPConnection:1") }, { 200, SERVICE("WANIPConnection:2") },
		{ 200, SERVICE("WANIPConnection:1") SERVICE("WANPPPConnection:1") }, { 200, "<x/>" },
		{ 404, SERVICE("WANIPConnection:1") },
		{ 200, "<NewExternalIPAddress>203.0.113.9</NewExternalIPAddress>" },
		{ 200, "<NewExternalIPAddress>10.0.0.9</NewExternalIPAddress>" },
		{ 500, "<errorCode>714</errorCode>" }, { 500, "<errorCode>718</errorCode>" },
		{ 500, "<errorCode>725</errorCode>" }, { 500, "<errorCode>606</errorCode>" },
		{ 500, "<errorCode>501</errorCode>" },
		{ 200, "<NewInternalClient>192.168.1.7</NewInternalClient>" },
		{ 200, "<NewInternalClient>192.168.1.8</NewInternalClient>" },
		{ 200, "<NewReservedPort>4711</NewReservedPort>" } };
#undef SERVICE
	say_http(pages[how % ARRAY_LEN(pages)].status, pages[how % ARRAY_LEN(pages)].body);
}

/* --- the node --- */

/* What is told to peers is an address of the public network, of the family that was asked. */
static void look_at(const struct portmap *m, bool four)
{
	char why[256];
	(void)portmap_explain(m, why, sizeof(why));
	if (!endpoint_is_set(&m->mapped))
		return;
	must(addr_is_v4(&m->mapped.ip) == four && m->mapped.port);
	must(four ? router_address_is_public(&m->mapped.ip) : router_address_is_public6(&m->mapped.ip));
}

static void changed(void *arg)
{
	(void)arg;
	if (!w.link)
		return;
	look_at(router_link_state(w.link), true);
	look_at(router_link_state6(w.link), false);
}

static void come(void)
{
	static const struct node_private us = { { 7 } };
	struct errbuf eb;
	w.link = router_link_open(w.loop, &us, changed, NULL, &eb);
	must(w.link || (trouble_happened() && eb.text[0]));
	if (w.link)
		router_link_look(w.link, PORT);
}

static void leave(void)
{
	router_link_close(w.link);
	w.link = NULL;
}

/* --- steps --- */

static void turn(int n)
{
	while (n--)
		loop_run_once(w.loop);
}

static void move(uint8_t how)
{
	w.no_route4 = how & 1;
	w.no_route6 = how & 2;
	w.moved = how & 4;
	w.is_public = how & 8;
	w.no_sockets = how & 16;
	w.strange = how & 32;
	w.refuses = how & 64;
	if (how & 128) {
		leave();
		come();
	} else if (w.link) {
		router_link_look(w.link, PORT);
	}
}

static void step(struct rd *r)
{
	static const uint32_t times_ms[] = { 1, 300, 1100, 5100, 31000, 121000, 1801000, 7201000 };
	static const enum kind raw[] = { ROUTER4, ROUTER6, NEWS4, NEWS6, SEARCH, WEB };
	uint8_t what = rd_u8(r), how = rd_u8(r);
	switch (what % 10) {
	case 0: move(how); break;
	case 1: say_datagram(ROUTER4, how); break;
	case 2: say_datagram(ROUTER6, how); break;
	case 3: say_datagram(how & 32 ? NEWS6 : NEWS4, how & 31); break;
	case 4: say_place(how); break;
	case 5:
	case 6: say_page(how); break;
	case 7: {
		const struct rd piece = rd_sub(r, how < r->left ? how : r->left);
		say(raw[what / 10 % ARRAY_LEN(raw)], piece.p, piece.left);
		break;
	}
	case 8: trouble_pass_ms(times_ms[how % ARRAY_LEN(times_ms)]); break;
	default:
		if (how & 1)
			leave_web();
		if (w.link && how & 2)
			router_link_doubt(w.link);
	}
}

static void run(const uint8_t *p, size_t len)
{
	struct rd r = rd_of(p, len);
	log_setup(LOG_ERROR, false);
	memset(&w, 0, sizeof(w));
	for (size_t i = 0; i < PAIRS; i++)
		w.pairs[i] = (struct pair) { .link = -1, .router = -1 };
	w.loop = loop_new();
	struct awake awake = awake_loop(w.loop);
	trouble_begin();
	come();
	for (int i = 0; i < STEPS_MAX && r.left; i++) {
		step(&r);
		turn(TURNS);
	}
	leave();
	trouble_end();
	/* What is still asked of the router is answered by nobody, at once. */
	leave_web();
	turn(TURNS);
	awake_free(&awake);
	for (size_t i = 0; i < PAIRS; i++)
		pair_close(&w.pairs[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	return trouble_twice(run, p, len);
}
