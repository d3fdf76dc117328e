/* search -> the router answers where its description is -> the description is read -> found. The answers of one
 * search name a few places; each is tried until one describes a service that maps ports.
 * map -> the calls of a upnp_talk, one request each -> mapped. */
#include "mesh/node/links/upnp_link.h"

#include "mesh/base/log.h"
#include "mesh/os/sock.h"
#include "mesh/transport/http.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PLACES_MAX = 8,
	READS_PER_WAKEUP = 16,
	DATAGRAM_MAX = 2048,
	REQUEST_MS = 5000,
	UNMAP_MS = 1000,
	GROUP_HOPS = 2,
	LEASE_S = 7200
};

struct upnp_link {
	struct loop *loop;
	struct upnp_link_events ev;
	struct addr router, self;
	int fd; /* of the search; -1: none */
	struct loop_fd *watch;
	struct upnp_url places[PLACES_MAX]; /* of descriptions: those up to `next` are asked */
	size_t n_places, next;
	struct upnp_talk talk; /* n_services 0: nothing is found */
	bool talking;
	struct http_client *rq;
	struct loop_timer *later; /* for an answer that is known at once */
};

static void search_end(struct upnp_link *u)
{
	loop_fd_free(u->watch);
	if (u->fd >= 0)
		close(u->fd);
	u->watch = NULL;
	u->fd = -1;
}

/* One request to the router; NULL: it cannot be made. */
static struct http_client *ask_router(struct upnp_link *u, const struct upnp_url *to,
	const struct upnp_request *call, uint64_t timeout_ms, const struct http_client_events *ev)
{
	char host[ENDPOINT_TEXT], extra[256];
	struct endpoint at = { .ip = u->router, .port = to->port };
	struct http_request rq = { .to = { .host = endpoint_format(&at, host),
					   .port = to->port,
					   .at = &at,
					   .socket_hook = sock_mark_hook },
		.method = call ? "POST" : "GET",
		.target = to->path,
		.host = host,
		.extra = "Connection: close\r\n",
		.body_cap = UPNP_BODY_MAX,
		.timeout_ms = timeout_ms };

	if (call) {
		snprintf(extra, sizeof(extra), "Connection: close\r\nSOAPAction: %s\r\n", call->action);
		rq.extra = extra;
		rq.body = call->body;
		rq.body_len = strlen(call->body);
		rq.content_type = "text/xml; charset=\"utf-8\"";
	}
	return http_request(u->loop, &rq, ev);
}

/* false: it cannot be made. */
static bool start_request(struct upnp_link *u, const struct upnp_url *to, const struct upnp_request *call,
	struct http_client_events *ev)
{
	ev->arg = u;
	u->rq = ask_router(u, to, call, REQUEST_MS, ev);
	return u->rq != NULL;
}

/* --- the description --- */

static void describe_next(struct upnp_link *u);

static void described(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct upnp_link *u = arg;
	const struct upnp_url *at = &u->places[u->next - 1];

	u->rq = NULL;
	if (head->status == 200)
		u->talk.n_services =
			upnp_description_read((const char *)body, len, &u->router, at, u->talk.services);
	u->talk.service = 0;
	if (!u->talk.n_services) {
		describe_next(u);
		return;
	}
	search_end(u);
	u->ev.found(u->ev.arg);
}

static void not_described(void *arg, int code, const char *why)
{
	struct upnp_link *u = arg;

	(void)code;
	u->rq = NULL;
	log_debug("UPnP: %s", why);
	describe_next(u);
}

static void describe_next(struct upnp_link *u)
{
	struct http_client_events ev = { .done = described, .failed = not_described };

	while (!u->rq && !u->talk.n_services && u->next < u->n_places)
		(void)start_request(u, &u->places[u->next++], NULL, &ev);
}

/* --- the search --- */

static void place_found(struct upnp_link *u, const struct upnp_url *at)
{
	for (size_t i = 0; i < u->n_places; i++)
		if (u->places[i].port == at->port && strcmp(u->places[i].path, at->path) == 0)
			return; /* said twice, as most do */
	if (u->n_places == PLACES_MAX)
		return;
	u->places[u->n_places++] = *at;
	describe_next(u);
}

static void search_readable(void *arg, int events)
{
	struct upnp_link *u = arg;
	uint8_t b[DATAGRAM_MAX];

	(void)events;
	for (int i = 0; i < READS_PER_WAKEUP && u->fd >= 0; i++) {
		struct sockaddr_storage ss;
		socklen_t n_ss = sizeof(ss);
		struct endpoint from;
		struct upnp_url at;
		ssize_t n = recvfrom(u->fd, b, sizeof(b), MSG_DONTWAIT, (struct sockaddr *)&ss, &n_ss);
		if (n < 0)
			break;
		if (endpoint_from_sockaddr((struct sockaddr *)&ss, &from) &&
			addr_equal(&from.ip, &u->router) && upnp_found_read(b, (size_t)n, &u->router, &at))
			place_found(u, &at);
	}
}

/* To the router, and to the group: some hear only one of the two. */
static void send_search(struct upnp_link *u)
{
	struct in_addr self = { htonl(addr_v4_get(&u->self)) };
	int hops = GROUP_HOPS;
	struct endpoint to[] = { { .ip = u->router, .port = UPNP_PORT },
		{ .ip = addr_v4(UPNP_GROUP), .port = UPNP_PORT } };

	setsockopt(u->fd, IPPROTO_IP, IP_MULTICAST_IF, &self, sizeof(self));
	setsockopt(u->fd, IPPROTO_IP, IP_MULTICAST_TTL, &hops, sizeof(hops));
	for (size_t i = 0; i < ARRAY_LEN(to) * UPNP_SEARCHES; i++) {
		struct sockaddr_storage ss;
		socklen_t n = endpoint_to_sockaddr(&to[i / UPNP_SEARCHES], false, &ss);
		const char *text = upnp_searches[i % UPNP_SEARCHES];
		(void)!sendto(u->fd, text, strlen(text), MSG_DONTWAIT, (struct sockaddr *)&ss, n);
	}
}

void upnp_link_search(struct upnp_link *u)
{
	struct endpoint at = { .ip = u->self };
	struct errbuf eb;

	if (u->talking || addr_is_unspecified(&u->router))
		return;
	search_end(u);
	http_client_cancel(u->rq);
	u->rq = NULL;
	u->n_places = u->next = u->talk.n_services = 0;
	u->fd = sock_udp(&at, &eb);
	if (u->fd >= 0)
		sock_mark_outside(u->fd);
	u->watch = u->fd >= 0 ? loop_fd_new(u->loop, u->fd, search_readable, u) : NULL;
	if (!u->watch) {
		search_end(u);
		return;
	}
	loop_fd_set(u->watch, LOOP_READ);
	send_search(u);
}

/* --- the mapping --- */

static void talk_next(struct upnp_link *u);

static void talk_over(void *arg)
{
	struct upnp_link *u = arg;
	struct router_reply got = { .address = u->talk.address,
		.outer = u->talk.done ? u->talk.outer : 0,
		.lifetime_s = u->talk.lease_s ? u->talk.lease_s
					      : LEASE_S }; /* without an end: asked for as often */

	u->talking = false;
	u->ev.mapped(u->ev.arg, &got, u->talk.why[0] ? u->talk.why : NULL);
}

static void call_answered(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct upnp_link *u = arg;

	u->rq = NULL;
	upnp_talk_answered(&u->talk, head->status, (const char *)body, len);
	talk_next(u);
}

static void call_failed(void *arg, int code, const char *why)
{
	struct upnp_link *u = arg;

	(void)code;
	u->rq = NULL;
	log_debug("UPnP: %s", why);
	upnp_talk_answered(&u->talk, 0, "", 0);
	talk_next(u);
}

static void talk_next(struct upnp_link *u)
{
	struct http_client_events ev = { .done = call_answered, .failed = call_failed };
	struct upnp_request call;

	while (u->talk.step != UPNP_OVER) {
		upnp_talk_request(&u->talk, &call);
		if (start_request(u, &call.to, &call, &ev))
			return;
		upnp_talk_answered(&u->talk, 0, "", 0);
	}
	loop_timer_set(u->later, 0);
}

void upnp_link_map(struct upnp_link *u, const struct router_wish *w)
{
	if (u->talking)
		return;
	u->talking = true;
	upnp_talk_begin(&u->talk, &u->self, w->inner, w->outer, LEASE_S);
	if (!u->talk.n_services)
		upnp_talk_answered(&u->talk, 0, "", 0);
	talk_next(u);
}

/* Outlives the link, and is waited for by the end of the loop alone. */
struct last_word {
	struct loop *loop;
};

static void last_word_end(struct last_word *w, bool confirmed)
{
	if (!confirmed)
		log_info("UPnP: the router does not confirm that its port is given back");
	loop_release(w->loop);
	free(w);
}

static void unmapped(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	(void)body;
	(void)len;
	last_word_end(arg, head->status == 200);
}

static void not_unmapped(void *arg, int code, const char *why)
{
	(void)code;
	(void)why;
	last_word_end(arg, false);
}

void upnp_link_unmap(struct upnp_link *u, uint16_t outer)
{
	struct upnp_request call;
	struct last_word *w = u->talk.n_services ? malloc(sizeof(*w)) : NULL;
	struct http_client_events ev = { .done = unmapped, .failed = not_unmapped, .arg = w };
	if (!w)
		return;
	*w = (struct last_word) { .loop = u->loop };
	upnp_talk_delete(&u->talk, outer, &call);
	loop_hold(w->loop);
	if (!ask_router(u, &call.to, &call, UNMAP_MS, &ev))
		last_word_end(w, false);
}

/* --- the whole --- */

struct upnp_link *upnp_link_open(struct loop *l, const struct upnp_link_events *ev)
{
	struct upnp_link *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	*u = (struct upnp_link) { .loop = l, .ev = *ev, .fd = -1 };
	u->later = loop_timer_new(l, talk_over, u);
	if (!u->later) {
		free(u);
		return NULL;
	}
	return u;
}

void upnp_link_router_set(struct upnp_link *u, const struct addr *router, const struct addr *self)
{
	search_end(u);
	http_client_cancel(u->rq);
	loop_timer_clear(u->later);
	u->rq = NULL;
	u->talking = false;
	u->talk.n_services = u->n_places = u->next = 0;
	u->router = *router;
	u->self = *self;
}

void upnp_link_close(struct upnp_link *u)
{
	if (!u)
		return;
	search_end(u);
	http_client_cancel(u->rq);
	loop_timer_free(u->later);
	free(u);
}
