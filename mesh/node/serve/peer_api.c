/* A listener for each family. A connection is a peer's, by the map of the moment it came in, and what it asks is judged by
 * the map of the moment it asks: `routes` has a row for each method and path, with the right it takes. A route may be
 * `streamed`: then its connection leaves this file with the head of the request (http_carry.h).
 *
 * A browser on a peer must not be made to ask on somebody else's behalf: no Origin, no Referer, and of the hosts only
 * "peer" and our own addresses. */
#include "mesh/node/serve/peer_api.h"
#include "mesh/base/err.h"
#include "mesh/base/log.h"
#include "mesh/base/slots.h"
#include "mesh/base/text.h"
#include "mesh/node/serve/exit_dns.h"
#include "mesh/node/serve/sharing.h"
#include "mesh/os/acceptor.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	CONNS_MAX = 64,
	CONNS_OF_A_PEER = 12,
	PORT_TRIES = 5,
	PORT_FIRST = 32768,
	AGAIN_MS = 2000,
	PATH_BYTES = 512,
	LINES_SAID = 3, /* a second */
	HEAD_IDLE_MS = 20000,
	FAMILIES = 2
};

struct peer_listener {
	struct peer_api *api;
	struct endpoint at; /* port 0: closed */
	int fd;
	struct acceptor *acceptor;
};
struct peer_conn {
	struct peer_api *api;
	struct http_server_conn *http;
	struct endpoint from;
	int64_t peer;
	struct addr name; /* the peer's first address, whichever it comes from */
	unsigned slot;
	uint64_t used;		   /* in the order of last requests */
	struct exit_dns *question; /* its answer is what the connection waits for; NULL: none */
};
struct peer_api {
	struct loop *loop;
	struct files *files;
	struct peer_api_ops ops;
	struct netmap *map; /* a reference */
	char ifname[64];
	struct peer_listener listeners[FAMILIES]; /* IPv4, IPv6 */
	struct loop_timer *again;		  /* a listener is missing */
	struct peer_conn *conns[CONNS_MAX];	  /* NULL: a free place */
	uint64_t uses;
	struct log_limit said;
	uint64_t paused; /* listeners, for want of descriptors or memory */
};

/* A request, while it is looked at. */
struct peer_request {
	struct peer_api *api;
	struct peer_conn *conn;
	const struct netmap_peer *peer;
	const struct http_head *head;
	const char *below; /* the path behind the route's own */
	const uint8_t *body;
	size_t len;
};

static void answer(struct peer_request *r, int status, const char *text)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "%s\n", text);
	http_reply(r->conn->http, status, "text/plain; charset=utf-8", NULL, line, (size_t)n);
}

/* --- what may be asked --- */

static void say_hello(struct peer_request *r)
{
	answer(r, 200, "This is the PeerAPI of a machine of your mesh. Programs talk to it.");
}

static struct files_peer caller(const struct peer_request *r)
{
	return (struct files_peer) { .id = r->peer->node.id, .name = r->peer->node.name };
}

/* One more transfer is possible; else it is answered. */
static bool have_place(struct peer_request *r)
{
	const char *why;
	int status = files_refuse_more(r->api->files, r->peer->node.id, &why);
	if (status)
		answer(r, status, why);
	return !status;
}

/* The transfer takes the connection over. */
static struct http_carry *take(struct peer_request *r)
{
	return http_carry_take(r->conn->http);
}

/* "bytes=N-", or absent: from the start. */
static bool read_range(const struct http_head *h, uint64_t *at)
{
	const char *range = http_header(h, "Range");
	char digits[24];
	*at = 0;
	if (!range)
		return true;
	size_t len = strlen(range);
	if (strncmp(range, "bytes=", 6) != 0 || len < 8 || len - 7 >= sizeof(digits) || range[len - 1] != '-')
		return false;
	snprintf(digits, sizeof(digits), "%.*s", (int)(len - 7), range + 6);
	return text_u64(digits, 0, INT64_MAX, at);
}

static void put_file(struct peer_request *r)
{
	uint64_t at;
	if (!sharing_name_is_fit(r->below)) {
		answer(r, 400,
			"invalid filename: one part of a path, of printable UTF-8, without / \\ : * \" < > "
			"|, "
			"not ending in .partial or .deleted");
	} else if (!read_range(r->head, &at)) {
		answer(r, 400, "invalid Range header: bytes=N- is understood");
	} else if (files_is_receiving(r->api->files, r->peer->node.id, r->below)) {
		answer(r, 409, "file already exists: it is on its way from you at this moment");
	} else if (have_place(r)) {
		const struct files_peer from = caller(r);
		struct files *f = r->api->files;
		struct http_carry *c = take(r);
		if (c)
			files_receive(f, c, &from, r->below, at);
	}
}

static void get_file_state(struct peer_request *r)
{
	if (*r->below && !sharing_name_is_fit(r->below)) {
		answer(r, 400, "invalid filename");
	} else if (have_place(r)) {
		const struct files_peer to = caller(r);
		struct files *f = r->api->files;
		struct http_carry *c = take(r);
		if (c && *r->below)
			files_tell_blocks(f, c, &to, r->below);
		else if (c)
			files_tell_partials(f, c, &to);
	}
}

static void name_answered(void *arg, const uint8_t *answer, size_t len)
{
	struct peer_conn *c = arg;
	if (answer)
		http_reply(c->http, 200, EXIT_DNS_MEDIA, NULL, answer, len);
	else
		http_reply(c->http, 504, "text/plain; charset=utf-8", NULL, "no nameserver answers\n", 22);
}

static struct resolver *resolver_now(void *arg)
{
	const struct peer_api *api = ((struct peer_conn *)arg)->api;
	return api->ops.resolver(api->ops.arg);
}

static void ask_name(struct peer_request *r)
{
	const struct exit_dns_ops ops = { .resolver = resolver_now, .done = name_answered, .arg = r->conn };
	const char *type = http_header(r->head, "Content-Type");
	if (!type || strcasecmp(type, EXIT_DNS_MEDIA) != 0)
		answer(r, 415, "a question is of type " EXIT_DNS_MEDIA);
	else if (!resolver_now(r->conn))
		answer(r, 503, "this machine resolves no names just now");
	else if (!exit_dns_ask(r->api->loop, r->body, r->len, &ops, &r->conn->question))
		answer(r, 400, "that is no question of DNS");
}

/* Rights, beside being a peer whose key has not ended. */
enum peer_right { RIGHT_PEER, RIGHT_FILES, RIGHT_EXIT };
static const char *const refusals[] = {
	[RIGHT_FILES] = "this machine takes no files from you: it is another user's or "
			"a tagged one, or the network does not share files",
	[RIGHT_EXIT] = "this machine is no exit for you: it does not offer to be one, or the rules of the "
		       "network do "
		       "not let you out by it"
};

static bool has_right(const struct peer_request *r, enum peer_right right)
{
	switch (right) {
	case RIGHT_PEER: return true;
	case RIGHT_FILES: return r->api->files && sharing_accepts(r->api->map, &r->peer->node);
	case RIGHT_EXIT: return r->api->ops.is_exit_for(r->api->ops.arg, &r->conn->from.ip);
	}
	return false;
}

/* A path that ends in a slash is that of all below it. */
static const struct {
	const char *method, *path;
	enum peer_right right;
	bool streamed;
	void (*run)(struct peer_request *r);
} routes[] = {
	{ "GET", "/", RIGHT_PEER, false, say_hello },
	{ "HEAD", "/", RIGHT_PEER, false, say_hello },
	{ "PUT", "/v0/put/", RIGHT_FILES, true, put_file },
	{ "GET", "/v0/put/", RIGHT_FILES, true, get_file_state },
	{ "POST", "/dns-query", RIGHT_EXIT, false, ask_name },
};

bool peer_api_route(size_t i, const char **method, const char **path)
{
	if (i >= ARRAY_LEN(routes))
		return false;
	*method = routes[i].method;
	*path = routes[i].path;
	return true;
}

static bool path_matches(const char *route, const char *path, const char **below)
{
	size_t n = strlen(route);
	if (n > 1 && route[n - 1] == '/' && !strncmp(path, route, n)) {
		*below = path + n;
		return true;
	}
	*below = "";
	return !strcmp(route, path);
}

/* --- a request --- */

static const struct netmap_peer *live_peer_at(struct peer_api *p, const struct addr *ip)
{
	const struct netmap_peer *peer = netmap_peer_by_address(p->map, ip);
	return peer && !netmap_peer_expired(peer, p->ops.server_ms(p->ops.arg)) ? peer : NULL;
}

static bool is_own_host(const struct netmap *m, const char *host)
{
	struct endpoint at;
	if (!host)
		return false;
	if (!strcmp(host, "peer"))
		return true;
	return endpoint_parse_or(host, 80, &at) && ctl_node_has(&m->self->node, &at.ip);
}

/* streamed: the body is still to come, and only the routes that want it so are run. false: nothing was done. */
static bool route_request(
	struct peer_conn *c, const struct http_head *head, bool streamed, const uint8_t *body, size_t len)
{
	struct peer_api *p = c->api;
	char path[PATH_BYTES];
	bool known = false;
	c->used = ++p->uses;
	struct peer_request r = { .api = p,
		.conn = c,
		.head = head,
		.peer = live_peer_at(p, &c->from.ip),
		.body = body,
		.len = len };
	bool ours = r.peer && !http_header(head, "Origin") && !http_header(head, "Referer") &&
		    is_own_host(p->map, http_header(head, "Host"));
	if (!ours || !http_target_path(head, path, sizeof(path))) {
		answer(&r, 403, "invalid peerapi request");
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (!path_matches(routes[i].path, path, &r.below))
			continue;
		known = true;
		if (strcmp(routes[i].method, head->method) != 0)
			continue;
		if (!has_right(&r, routes[i].right))
			answer(&r, 403, refusals[routes[i].right]);
		else if (routes[i].streamed != streamed)
			return false;
		else
			routes[i].run(&r);
		return true;
	}
	answer(&r, known ? 405 : 404, known ? "method not allowed" : "unsupported peerapi path");
	return true;
}

static bool head_received(void *arg, struct http_server_conn *http, const struct http_head *head)
{
	(void)arg;
	return route_request(http_conn_data(http), head, true, NULL, 0);
}

static void request_received(void *arg, struct http_server_conn *http, const struct http_head *head,
	const uint8_t *body, size_t len)
{
	(void)arg;
	(void)route_request(http_conn_data(http), head, false, body, len);
}

/* --- connections --- */

static void connection_gone(void *arg, struct http_server_conn *http)
{
	struct peer_api *p = arg;
	struct peer_conn *gone = http_conn_data(http);
	p->conns[gone->slot] = NULL;
	exit_dns_cancel(gone->question);
	free(gone);
}

static struct slot_holder holder_of(const void *arg, unsigned slot)
{
	const struct peer_conn *c = ((const struct peer_api *)arg)->conns[slot];
	return c ? (struct slot_holder) { .ip = &c->name, .owed = c->question, .used = c->used }
		 : (struct slot_holder) { 0 };
}

/* A place that is free now, or CONNS_MAX. A few peers that say nothing keep no other out. */
static unsigned place_get(struct peer_api *p, const struct addr *name)
{
	const struct slots all = {
		.n = CONNS_MAX, .each = CONNS_OF_A_PEER, .apart = true, .look = holder_of, .arg = p
	};
	unsigned slot = slots_choose(&all, name);
	if (slot < CONNS_MAX && p->conns[slot])
		http_server_close(p->conns[slot]->http, false);
	return slot;
}

static void add_connection(void *arg, int fd, const struct endpoint *from)
{
	struct peer_api *p = arg;
	struct stream_events none = { 0 };
	struct http_server_ops ops = { .request = request_received,
		.streamed = head_received,
		.gone = connection_gone,
		.arg = p,
		.body_cap =
			EXIT_DNS_MESSAGE_MAX, /* of those that are not streamed, questions alone have one */
		.idle_ms = HEAD_IDLE_MS };
	const struct netmap_peer *peer = live_peer_at(p, &from->ip);
	const struct addr *name = peer && peer->node.addresses.n ? &peer->node.addresses.v[0].ip : &from->ip;
	unsigned slot = peer ? place_get(p, name) : CONNS_MAX;
	struct peer_conn *c = slot < CONNS_MAX ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		if (log_allowed(&p->said, LINES_SAID, loop_now_ms(p->loop)))
			log_warn("PeerAPI: a connection was refused: %s",
				peer ? "too many, or memory is short" : "it is no peer's");
		close(fd);
		return;
	}
	sock_tcp_liveness(fd, 15, 30000);
	*c = (struct peer_conn) {
		.api = p, .from = *from, .peer = peer->node.id, .name = *name, .slot = slot, .used = ++p->uses
	};
	c->http = http_server_accept(p->loop, stream_accept(p->loop, fd, NULL, &none), &ops);
	if (!c->http) {
		free(c);
		return;
	}
	http_conn_data_set(c->http, c);
	p->conns[slot] = c;
}

/* --- listeners --- */

static void close_listener(struct peer_listener *ls)
{
	acceptor_free(ls->acceptor);
	if (ls->at.port)
		close(ls->fd);
	ls->acceptor = NULL;
	ls->at = (struct endpoint) { 0 };
}

/* The same for as long as the address is, so that a restart changes nothing for peers. */
static uint16_t port_for(const struct addr *ip, int try)
{
	uint64_t h = addr_hash(ip, (uint64_t)try + 1);
	return (uint16_t)(PORT_FIRST + h % (UINT16_MAX - PORT_FIRST));
}

static int open_listener(struct peer_listener *ls, const struct addr *ip, struct errbuf *eb)
{
	const struct acceptor_ops ops = {
		.arrived = add_connection, .arg = ls->api, .what = "PeerAPI", .paused = &ls->api->paused
	};
	int fd = -1;
	for (int try = 0; fd < 0 && try <= PORT_TRIES; try++) {
		ls->at = (struct endpoint) { .ip = *ip, .port = try < PORT_TRIES ? port_for(ip, try) : 0 };
		fd = sock_tcp_listen(&ls->at, eb);
	}
	int err = fd < 0 ? fd : sock_arrive_on(fd, ls->api->ifname);
	if (fd >= 0 && err)
		err_set(eb, err, "listen on %s", ls->api->ifname);
	if (!err)
		err = sock_local(fd, &ls->at);
	if (!err && !(ls->acceptor = acceptor_new(ls->api->loop, fd, &ops)))
		err = err_set(eb, -ENOMEM, "listen");
	if (err) {
		if (fd >= 0)
			close(fd);
		ls->at = (struct endpoint) { 0 };
		return err;
	}
	ls->fd = fd;
	return 0;
}

static const struct addr *own_address(const struct netmap *m, bool v4)
{
	for (size_t i = 0; m && i < m->self->node.addresses.n; i++)
		if (addr_is_v4(&m->self->node.addresses.v[i].ip) == v4)
			return &m->self->node.addresses.v[i].ip;
	return NULL;
}

/* Whether something is another than before. */
static bool apply_listener(struct peer_listener *ls, const struct addr *ip)
{
	struct errbuf eb = { 0 };
	bool had = ls->at.port;
	if (had && ip && addr_equal(&ls->at.ip, ip))
		return false;
	close_listener(ls);
	if (ip && open_listener(ls, ip, &eb) != 0) {
		loop_timer_set(ls->api->again, AGAIN_MS);
		if (log_allowed(&ls->api->said, LINES_SAID, loop_now_ms(ls->api->loop)))
			log_warn("PeerAPI: %s; peers send no files to it until this is mended", eb.text);
	}
	return had || ls->at.port;
}

static void apply_listeners(struct peer_api *p)
{
	bool changed = false;
	for (size_t i = 0; i < ARRAY_LEN(p->listeners); i++)
		changed |= apply_listener(&p->listeners[i], own_address(p->map, i == 0));
	if (changed)
		p->ops.listens(p->ops.arg);
}

static void try_again(void *arg)
{
	apply_listeners(arg);
}

static bool is_live(void *arg, int64_t peer)
{
	struct peer_api *p = arg;
	const struct netmap_peer *at = p->map ? netmap_peer_by_id(p->map, peer) : NULL;
	return at && !netmap_peer_expired(at, p->ops.server_ms(p->ops.arg));
}

/* Who is no peer any more has no connection either, those of files on their way among them. */
static void close_strangers(struct peer_api *p)
{
	if (p->files)
		files_cut(p->files, is_live, p);
	for (size_t i = 0; i < CONNS_MAX; i++) {
		struct peer_conn *c = p->conns[i];
		const struct netmap_peer *peer = c ? live_peer_at(p, &c->from.ip) : NULL;
		if (c && (!peer || peer->node.id != c->peer))
			http_server_close(c->http, false);
	}
}

void peer_api_apply(struct peer_api *p, struct netmap *map, const char *ifname)
{
	if (map == p->map) { /* keys end by the clock too */
		close_strangers(p);
		return;
	}
	netmap_put(p->map);
	p->map = map ? netmap_get(map) : NULL;
	if (map && strcmp(p->ifname, ifname) != 0) {
		for (size_t i = 0; i < ARRAY_LEN(p->listeners); i++)
			close_listener(&p->listeners[i]);
		snprintf(p->ifname, sizeof(p->ifname), "%s", ifname);
	}
	loop_timer_clear(p->again);
	close_strangers(p);
	apply_listeners(p);
}

struct peer_api *peer_api_open(struct loop *l, struct files *files, const struct peer_api_ops *ops)
{
	struct peer_api *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	*p = (struct peer_api) { .loop = l, .files = files, .ops = *ops };
	for (size_t i = 0; i < ARRAY_LEN(p->listeners); i++)
		p->listeners[i].api = p;
	p->again = loop_timer_new(l, try_again, p);
	if (!p->again) {
		free(p);
		return NULL;
	}
	return p;
}

void peer_api_close(struct peer_api *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < CONNS_MAX; i++)
		if (p->conns[i])
			http_server_close(p->conns[i]->http, false);
	for (size_t i = 0; i < ARRAY_LEN(p->listeners); i++)
		close_listener(&p->listeners[i]);
	loop_timer_free(p->again);
	netmap_put(p->map);
	free(p);
}

size_t peer_api_services(const struct peer_api *p, struct ctl_service out[static PEER_API_SERVICES])
{
	static const char *const protos[] = { "peerapi4", "peerapi6" };
	size_t n = 0;
	for (size_t i = 0; i < FAMILIES; i++)
		if (p->listeners[i].at.port)
			out[n++] = (struct ctl_service) {
				.proto = protos[i], .description = "", .port = p->listeners[i].at.port
			};
	if (n && p->ops.offers_exit(p->ops.arg)) /* the port says nothing: it is a path of the others */
		out[n++] =
			(struct ctl_service) { .proto = "peerapi-dns-proxy", .description = "", .port = 1 };
	return n;
}

uint64_t peer_api_paused(const struct peer_api *p)
{
	return p ? p->paused : 0;
}

uint16_t peer_api_port(const struct peer_api *p, bool v4)
{
	return p->listeners[v4 ? 0 : 1].at.port;
}
