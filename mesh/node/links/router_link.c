#include "mesh/node/links/router_link.h"

#include "mesh/base/blake2s.h"
#include "mesh/base/log.h"
#include "mesh/node/links/upnp_link.h"
#include "mesh/os/netlink.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	READS_PER_WAKEUP = 16,
	MESSAGE_MAX = 1101
}; /* one byte more than the longest: it shows what is longer */

struct router_socket {
	int fd; /* -1: closed */
	struct loop_fd *watch;
};
struct router_link {
	struct loop *loop;
	struct nl *nl;
	struct portmap map;
	struct upnp_link *upnp;
	struct portmap_router at;
	struct router_socket router, news;
	struct loop_timer *due;
	struct endpoint told; /* for the log */
	void (*changed)(void *arg);
	void *arg;
};

static uint64_t now_of(const struct router_link *r)
{
	return loop_now_ms(r->loop);
}

static void say_change(struct router_link *r)
{
	char outer[ENDPOINT_TEXT], gateway[ADDR_TEXT], why[256];
	const struct endpoint *at = &r->map.mapped;

	if (endpoint_equal(at, &r->told))
		return;
	addr_format(&r->at.gateway, gateway);
	if (endpoint_is_set(at))
		log_info("router %s: %s leads here, by %s", gateway, endpoint_format(at, outer),
			portmap_protocol_name(r->map.by));
	else
		log_info("router %s: %s no longer leads here%s%s", gateway, endpoint_format(&r->told, outer),
			*portmap_explain(&r->map, why, sizeof(why)) ? ": " : "", why);
	r->told = *at;
}

/* The end of every entry. */
static void settle(struct router_link *r)
{
	uint64_t now = now_of(r), due = portmap_deadline(&r->map);

	if (due == UINT64_MAX)
		loop_timer_clear(r->due);
	else
		loop_timer_set(r->due, due > now ? due - now : 0);
	if (!portmap_take_news(&r->map))
		return;
	say_change(r);
	r->changed(r->arg);
}

static void send_request(void *arg, const uint8_t *p, size_t len)
{
	struct router_link *r = arg;

	/* What cannot be sent is as good as lost: it is sent again. */
	if (r->router.fd >= 0)
		(void)!send(r->router.fd, p, len, MSG_DONTWAIT);
}

static void search_upnp(void *arg)
{
	upnp_link_search(((struct router_link *)arg)->upnp);
}

static void map_upnp(void *arg, const struct router_wish *w)
{
	upnp_link_map(((struct router_link *)arg)->upnp, w);
}

static void unmap_upnp(void *arg, uint16_t outer)
{
	upnp_link_unmap(((struct router_link *)arg)->upnp, outer);
}

static void upnp_found(void *arg)
{
	struct router_link *r = arg;

	portmap_upnp_found(&r->map, now_of(r));
	settle(r);
}

static void upnp_mapped(void *arg, const struct router_reply *got, const char *why)
{
	struct router_link *r = arg;

	portmap_upnp_mapped(&r->map, now_of(r), got, why);
	settle(r);
}

static void read_all(struct router_link *r, const struct router_socket *s,
	void (*take)(struct portmap *, uint64_t, const struct endpoint *, const uint8_t *, size_t))
{
	uint8_t b[MESSAGE_MAX];

	for (int i = 0; i < READS_PER_WAKEUP; i++) {
		struct sockaddr_storage ss;
		socklen_t n_ss = sizeof(ss);
		struct endpoint from;
		ssize_t n = recvfrom(s->fd, b, sizeof(b), MSG_DONTWAIT, (struct sockaddr *)&ss, &n_ss);
		if (n < 0 && errno == ECONNREFUSED) /* nobody listens there; a router that restarts, soon */
			continue;
		if (n < 0)
			break;
		if (endpoint_from_sockaddr((struct sockaddr *)&ss, &from))
			take(&r->map, now_of(r), &from, b, (size_t)n);
	}
	settle(r);
}

static void router_readable(void *arg, int events)
{
	struct router_link *r = arg;

	(void)events;
	read_all(r, &r->router, portmap_received);
}

static void news_readable(void *arg, int events)
{
	struct router_link *r = arg;

	(void)events;
	read_all(r, &r->news, portmap_news_received);
}

static void socket_close(struct router_socket *s)
{
	loop_fd_free(s->watch);
	if (s->fd >= 0)
		close(s->fd);
	*s = (struct router_socket) { .fd = -1 };
}

static void socket_watch(
	struct router_link *r, struct router_socket *s, int fd, void (*cb)(void *arg, int events))
{
	*s = (struct router_socket) { .fd = fd };
	if (fd < 0)
		return;
	s->watch = loop_fd_new(r->loop, fd, cb, r);
	if (s->watch)
		loop_fd_set(s->watch, LOOP_READ);
	else
		socket_close(s);
}

static void portmap_due(void *arg)
{
	struct router_link *r = arg;

	portmap_tick(&r->map, now_of(r));
	settle(r);
}

/* The way to everywhere leads over it: a documentation address has no route of its own. */
static struct addr find_gateway(const struct router_link *r)
{
	struct addr far = addr_v4(0xc0000201);
	struct nl_route way;

	if (nl_route_get(r->nl, &far, SOCK_MARK_OUTSIDE, &way) != 0 || !addr_is_private(&way.via))
		return (struct addr) { 0 };
	return way.via;
}

/* *fd: the socket to it; -1 where there is none. Who has a public address needs no mapping. */
static struct portmap_router find_router(const struct router_link *r, uint16_t port, int *fd)
{
	struct endpoint to = { .ip = find_gateway(r), .port = ROUTER_PORT }, self;
	struct errbuf eb;

	*fd = addr_is_unspecified(&to.ip) ? -1 : sock_udp_connect(&to, &eb);
	if (*fd < 0)
		return (struct portmap_router) { 0 };
	if (sock_local(*fd, &self) != 0 || !addr_is_private(&self.ip)) {
		close(*fd);
		*fd = -1;
		return (struct portmap_router) { 0 };
	}
	return (struct portmap_router) { .gateway = to.ip, .self = self.ip, .port = port };
}

static bool same_router(const struct portmap_router *a, const struct portmap_router *b)
{
	return addr_equal(&a->gateway, &b->gateway) && addr_equal(&a->self, &b->self) && a->port == b->port;
}

void router_link_look(struct router_link *r, uint16_t port)
{
	int fd;
	struct portmap_router at = find_router(r, port, &fd);

	if (same_router(&at, &r->at)) {
		if (fd >= 0)
			close(fd);
		return;
	}
	socket_close(&r->router);
	socket_watch(r, &r->router, fd, router_readable);
	r->at = at;
	upnp_link_router_set(r->upnp, &at.gateway, &at.self);
	portmap_router_set(&r->map, now_of(r), &at);
	settle(r);
}

void router_link_doubt(struct router_link *r)
{
	portmap_doubt(&r->map, now_of(r));
	settle(r);
}

const struct portmap *router_link_state(const struct router_link *r)
{
	return &r->map;
}

struct router_link *router_link_open(struct loop *l, const struct node_private *us,
	void (*changed)(void *arg), void *arg, struct errbuf *eb)
{
	static const char what[] = "ropewalk port mapping";
	struct router_link *r = calloc(1, sizeof(*r));
	struct portmap_ops ops = { .send = send_request,
		.upnp_search = search_upnp,
		.upnp_map = map_upnp,
		.upnp_unmap = unmap_upnp,
		.arg = r };
	struct upnp_link_events ev = { .found = upnp_found, .mapped = upnp_mapped, .arg = r };
	uint8_t nonce[BLAKE2S_MAC16];
	struct errbuf no_news;

	if (!r) {
		err_set(eb, -ENOMEM, "start");
		return NULL;
	}
	*r = (struct router_link) {
		.loop = l, .router.fd = -1, .news.fd = -1, .changed = changed, .arg = arg
	};
	blake2s_mac16(us->b, sizeof(us->b), what, sizeof(what), nonce);
	portmap_init(&r->map, &ops, nonce);
	r->due = loop_timer_new(l, portmap_due, r);
	r->upnp = upnp_link_open(l, &ev);
	r->nl = nl_open(eb);
	if (!r->due || !r->upnp || !r->nl) {
		if (!r->due || !r->upnp)
			err_set(eb, -ENOMEM, "start");
		router_link_close(r);
		return NULL;
	}
	socket_watch(r, &r->news, sock_udp_shared(ROUTER_NEWS_PORT, &no_news), news_readable);
	if (r->news.fd < 0) /* a restart of the router is noticed later, by other signs */
		log_debug("router: %s", no_news.text);
	return r;
}

void router_link_close(struct router_link *r)
{
	if (!r)
		return;
	portmap_release(&r->map);
	socket_close(&r->router);
	socket_close(&r->news);
	upnp_link_close(r->upnp);
	loop_timer_free(r->due);
	nl_close(r->nl);
	free(r);
}
