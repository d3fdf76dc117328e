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
enum { FOUR, SIX, FAMILIES };
struct router_side { /* one family */
	struct router_link *link;
	struct portmap map;
	struct portmap_router at;
	struct router_socket router, news;
	struct loop_timer *due;
	struct endpoint told; /* for the log */
};
struct router_link {
	struct loop *loop;
	struct nl *nl;
	struct router_side sides[FAMILIES];
	struct upnp_link *upnp; /* of IPv4 */
	void (*changed)(void *arg);
	void *arg;
};

static uint64_t now_of(const struct router_link *r)
{
	return loop_now_ms(r->loop);
}

static void say_change(struct router_side *s)
{
	char outer[ENDPOINT_TEXT], gateway[ADDR_TEXT], why[256];
	const struct endpoint *at = &s->map.mapped;

	if (endpoint_equal(at, &s->told))
		return;
	addr_format(&s->at.gateway, gateway);
	if (endpoint_is_set(at))
		log_info("router %s: %s leads here, by %s", gateway, endpoint_format(at, outer),
			portmap_protocol_name(s->map.by));
	else
		log_info("router %s: %s no longer leads here%s%s", gateway, endpoint_format(&s->told, outer),
			*portmap_explain(&s->map, why, sizeof(why)) ? ": " : "", why);
	s->told = *at;
}

/* The end of every entry. */
static void settle(struct router_side *s)
{
	uint64_t now = now_of(s->link), due = portmap_deadline(&s->map);

	if (due == UINT64_MAX)
		loop_timer_clear(s->due);
	else
		loop_timer_set(s->due, due > now ? due - now : 0);
	if (!portmap_take_news(&s->map))
		return;
	say_change(s);
	s->link->changed(s->link->arg);
}

static void send_request(void *arg, const uint8_t *p, size_t len)
{
	struct router_side *s = arg;

	/* What cannot be sent is as good as lost: it is sent again. */
	if (s->router.fd >= 0)
		(void)!send(s->router.fd, p, len, MSG_DONTWAIT);
}

static void search_upnp(void *arg)
{
	upnp_link_search(((struct router_side *)arg)->link->upnp);
}

static void map_upnp(void *arg, const struct router_wish *w)
{
	upnp_link_map(((struct router_side *)arg)->link->upnp, w);
}

static void unmap_upnp(void *arg, uint16_t outer)
{
	upnp_link_unmap(((struct router_side *)arg)->link->upnp, outer);
}

static void upnp_found(void *arg)
{
	struct router_side *s = arg;

	portmap_upnp_found(&s->map, now_of(s->link));
	settle(s);
}

static void upnp_mapped(void *arg, const struct router_reply *got, const char *why)
{
	struct router_side *s = arg;

	portmap_upnp_mapped(&s->map, now_of(s->link), got, why);
	settle(s);
}

static void read_all(struct router_side *side, const struct router_socket *s,
	void (*take)(struct router_side *, const struct endpoint *, const uint8_t *, size_t))
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
			take(side, &from, b, (size_t)n);
	}
	settle(side);
}

static void take_reply(struct router_side *s, const struct endpoint *from, const uint8_t *p, size_t len)
{
	portmap_received(&s->map, now_of(s->link), from, p, len);
}

/* What has restarted is one machine, and miniupnpd tells it of IPv6 on one of its interfaces alone. */
static void take_news(struct router_side *s, const struct endpoint *from, const uint8_t *p, size_t len)
{
	struct router_side *other = &s->link->sides[s == &s->link->sides[FOUR] ? SIX : FOUR];

	if (!portmap_news_received(&s->map, now_of(s->link), from, p, len))
		return;
	portmap_doubt(&other->map, now_of(s->link));
	settle(other);
}

static void router_readable(void *arg, int events)
{
	struct router_side *s = arg;

	(void)events;
	read_all(s, &s->router, take_reply);
}

static void news_readable(void *arg, int events)
{
	struct router_side *s = arg;

	(void)events;
	read_all(s, &s->news, take_news);
}

static void socket_close(struct router_socket *s)
{
	loop_fd_free(s->watch);
	if (s->fd >= 0)
		close(s->fd);
	*s = (struct router_socket) { .fd = -1 };
}

static void socket_watch(
	struct router_side *side, struct router_socket *s, int fd, void (*cb)(void *arg, int events))
{
	*s = (struct router_socket) { .fd = fd };
	if (fd < 0)
		return;
	s->watch = loop_fd_new(side->link->loop, fd, cb, side);
	if (s->watch)
		loop_fd_set(s->watch, LOOP_READ);
	else
		socket_close(s);
}

static void portmap_due(void *arg)
{
	struct router_side *s = arg;

	portmap_tick(&s->map, now_of(s->link));
	settle(s);
}

/* The way to everywhere leads over the default gateway: a documentation address (RFC 5737, RFC 9637) has no route of its
 * own. */
static const struct endpoint far_away[FAMILIES] = {
	[FOUR] = { .ip = { { [10] = 0xff, [11] = 0xff, 192, 0, 2, 1 } }, .port = ROUTER_PORT },
	[SIX] = { .ip = { { 0x3f, 0xff, [15] = 1 } }, .port = ROUTER_PORT }
};

static struct endpoint find_gateway(const struct router_link *r, int family)
{
	struct nl_route way;

	if (nl_route_get(r->nl, &far_away[family].ip, SOCK_MARK_OUTSIDE, &way) != 0 ||
		addr_is_unspecified(&way.via) || addr_is_v4(&way.via) != (family == FOUR) ||
		(family == FOUR && !addr_is_private(&way.via)))
		return (struct endpoint) { 0 };
	return (struct endpoint) { .ip = way.via,
		.port = ROUTER_PORT,
		.scope = addr_is_link_local(&way.via) && family == SIX ? (uint16_t)way.ifindex : 0 };
}

/* What others see of us: to a gateway of the link alone the kernel would speak from an address of the link alone, and
 * PCP opens what it is asked from. false: none. */
static bool find_self6(struct addr *out)
{
	struct endpoint self;
	struct errbuf eb;
	int fd = sock_udp_connect(&far_away[SIX], NULL, &eb);
	bool there = fd >= 0 && sock_local(fd, &self) == 0 && !addr_is_link_local(&self.ip) &&
		     !addr_is_loopback(&self.ip) && !addr_is_mesh(&self.ip);

	if (fd >= 0)
		close(fd);
	if (there)
		*out = self.ip;
	return there;
}

/* *fd: the socket to it; -1 where there is none. Who has a public IPv4 address needs no mapping. */
static struct portmap_router find_router(const struct router_link *r, int family, uint16_t port, int *fd)
{
	struct endpoint to = find_gateway(r, family), self;
	struct addr self6;
	struct errbuf eb;

	*fd = -1;
	if (endpoint_is_set(&to) && (family == FOUR || find_self6(&self6)))
		*fd = sock_udp_connect(&to, family == SIX ? &self6 : NULL, &eb);
	if (*fd < 0)
		return (struct portmap_router) { 0 };
	if (sock_local(*fd, &self) != 0 || (family == FOUR && !addr_is_private(&self.ip))) {
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

static void look(struct router_link *r, int family, uint16_t port)
{
	struct router_side *s = &r->sides[family];
	int fd;
	struct portmap_router at = find_router(r, family, port, &fd);

	if (same_router(&at, &s->at)) {
		if (fd >= 0)
			close(fd);
		return;
	}
	socket_close(&s->router);
	socket_watch(s, &s->router, fd, router_readable);
	s->at = at;
	if (family == FOUR)
		upnp_link_router_set(r->upnp, &at.gateway, &at.self);
	portmap_router_set(&s->map, now_of(r), &at);
	settle(s);
}

void router_link_look(struct router_link *r, uint16_t port)
{
	for (int i = 0; i < FAMILIES; i++)
		look(r, i, port);
}

void router_link_doubt(struct router_link *r)
{
	for (int i = 0; i < FAMILIES; i++) {
		portmap_doubt(&r->sides[i].map, now_of(r));
		settle(&r->sides[i]);
	}
}

const struct portmap *router_link_state(const struct router_link *r)
{
	return &r->sides[FOUR].map;
}

const struct portmap *router_link_state6(const struct router_link *r)
{
	return &r->sides[SIX].map;
}

static bool side_open(struct router_link *r, int family, const uint8_t nonce[static ROUTER_NONCE])
{
	struct router_side *s = &r->sides[family];
	struct portmap_ops ops = { .send = send_request,
		.upnp_search = search_upnp,
		.upnp_map = map_upnp,
		.upnp_unmap = unmap_upnp,
		.arg = s };
	struct errbuf no_news;

	portmap_init(&s->map, &ops, nonce);
	s->due = loop_timer_new(r->loop, portmap_due, s);
	if (!s->due)
		return false;
	socket_watch(s, &s->news, sock_udp_shared(family == SIX, ROUTER_NEWS_PORT, &no_news), news_readable);
	if (s->news.fd < 0) /* a restart of the router is noticed later, by other signs */
		log_debug("router: %s", no_news.text);
	return true;
}

struct router_link *router_link_open(struct loop *l, const struct node_private *us,
	void (*changed)(void *arg), void *arg, struct errbuf *eb)
{
	static const char what[] = "ropewalk port mapping";
	struct router_link *r = calloc(1, sizeof(*r));
	struct upnp_link_events ev = { .found = upnp_found, .mapped = upnp_mapped };
	uint8_t nonce[BLAKE2S_MAC16];

	if (!r) {
		err_set(eb, -ENOMEM, "start");
		return NULL;
	}
	*r = (struct router_link) { .loop = l, .changed = changed, .arg = arg };
	for (int i = 0; i < FAMILIES; i++)
		r->sides[i] = (struct router_side) { .link = r, .router.fd = -1, .news.fd = -1 };
	ev.arg = &r->sides[FOUR];
	blake2s_mac16(us->b, sizeof(us->b), what, sizeof(what), nonce);
	bool made = true;
	for (int i = 0; i < FAMILIES; i++)
		made &= side_open(r, i, nonce);
	r->upnp = upnp_link_open(l, &ev);
	r->nl = nl_open(eb);
	if (!made || !r->upnp || !r->nl) {
		if (!made || !r->upnp)
			err_set(eb, -ENOMEM, "start");
		router_link_close(r);
		return NULL;
	}
	return r;
}

void router_link_close(struct router_link *r)
{
	if (!r)
		return;
	for (int i = 0; i < FAMILIES; i++) {
		struct router_side *s = &r->sides[i];
		portmap_release(&s->map);
		socket_close(&s->router);
		socket_close(&s->news);
		loop_timer_free(s->due);
	}
	upnp_link_close(r->upnp);
	nl_close(r->nl);
	free(r);
}
