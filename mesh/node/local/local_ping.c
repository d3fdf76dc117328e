/* A peer is asked once, and the asker gets the answer or why there is none. By disco: whether a way is there, and which.
 * By TSMP: whether WireGuard's data passes on it, whatever the rules say. By ICMP: whether the peer's machine answers,
 * which its rules have a say in. At the PeerAPI: whether programs reach each other over TCP. The server may ask as
 * programs on this machine do, and is told at the URL that it gives. */
#include "mesh/base/text.h"
#include "mesh/node/local/local_request.h"
#include "mesh/node/serve/sharing.h"
#include "mesh/os/sock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PINGS_MAX = 32, PINGS_OF_SERVER = 16, PING_MS = 5000, URL_TEXT = ENDPOINT_TEXT + 16, TO_MAX = 256 };

enum ping_kind { PING_DISCO, PING_TSMP, PING_ICMP, PING_PEER_API };
static const char *const kind_names[] = {
	[PING_DISCO] = "disco", [PING_TSMP] = "TSMP", [PING_ICMP] = "ICMP", [PING_PEER_API] = "peerapi"
};

struct ping {
	const struct local_node_ops *node;
	bool taken;
	struct http_server_conn *conn; /* NULL: the server asks, and is told at `to` */
	char to[TO_MAX];
	uint64_t token, peer, began_ns;
	enum ping_kind kind;
	uint16_t size; /* 0: none was asked for */
	char ip[ADDR_TEXT], url[URL_TEXT], ifname[32];
	struct loop_timer *timer;
	struct http_client *http;
};

struct local_pings {
	const struct local_node_ops *node;
	struct ping pings[PINGS_MAX];
	uint64_t next_token;
};

static void ping_free(struct ping *p)
{
	loop_timer_free(p->timer);
	http_client_cancel(p->http);
	*p = (struct ping) { 0 };
}

static void name_of(const struct ping *p, char *out, size_t cap)
{
	const struct netmap *m = p->node->map(p->node->arg);
	const struct netmap_peer *np = m ? netmap_peer_by_id(m, (int64_t)p->peer) : NULL;
	const char *name = np ? np->node.name : "";
	snprintf(out, cap, "%.*s", (int)strcspn(name, "."), name);
}

/* With the kind in front: what is told has it, and what programs here are answered has not. */
static void tell_server(const struct ping *p, struct buf *result, bool ok)
{
	struct buf b = { 0 };
	ok = ok && result->len > 2 && buf_printf(&b, "{\"Type\":\"%s\",", kind_names[p->kind]) &&
	     buf_append(&b, buf_data(result) + 1, result->len - 1);
	if (ok)
		p->node->tell_server(p->node->arg, p->to, (const char *)buf_data(&b), b.len);
	buf_free(&b);
	buf_free(result);
}

/* What is not said is "" and 0. The ping is over. */
static void ping_reply(struct ping *p, struct api_ping_result r)
{
	struct buf b = { 0 };
	char name[64], url[URL_TEXT], ip[ADDR_TEXT];
	const struct ping was = *p;
	name_of(p, name, sizeof(name));
	snprintf(url, sizeof(url), "%s", p->url);
	snprintf(ip, sizeof(ip), "%s", p->ip);
	ping_free(p);
	r.ip = r.node_ip = ip;
	r.node_name = name;
	r.peer_api_url = url;
	r.err = r.err ? r.err : "";
	r.endpoint = r.endpoint ? r.endpoint : "";
	r.derp_code = r.derp_code ? r.derp_code : "";
	bool ok = api_ping_write(&b, &r);
	if (was.conn)
		local_reply_json(was.conn, &b, ok);
	else
		tell_server(&was, &b, ok);
}

static double seconds_since(const struct ping *p)
{
	return (double)(clock_now_ns() - p->began_ns) / 1e9;
}

static void ping_timed_out(void *arg)
{
	struct ping *p = arg;
	char why[64] = "no answer";
	if (p->size)
		snprintf(why, sizeof(why), "no answer to %u bytes; try a smaller --size", p->size);
	ping_reply(p, (struct api_ping_result) { .err = why });
}

static struct ping *find(struct local_pings *all, uint64_t token, uint64_t peer, bool disco)
{
	for (size_t i = 0; i < PINGS_MAX; i++) {
		struct ping *p = &all->pings[i];
		if (p->taken && p->token == token && p->peer == peer && (p->kind == PING_DISCO) == disco)
			return p;
	}
	return NULL;
}

void local_api_ping_done(struct local_api *a, uint64_t token, uint64_t peer, const struct endpoint *at,
	int32_t region, double ms)
{
	struct local_pings *all = local_api_pings(a);
	struct ping *p = find(all, token, peer, true);
	char text[ENDPOINT_TEXT] = "";
	if (!p)
		return;
	if (!region && at)
		endpoint_format(at, text);
	ping_reply(p, (struct api_ping_result) { .endpoint = text,
			      .latency_s = ms / 1000,
			      .derp_region = region,
			      .derp_code = region ? all->node->region_code(all->node->arg, region) : "" });
}

void local_api_echo_answered(struct local_api *a, uint64_t token, uint64_t peer, uint16_t peer_api)
{
	struct ping *p = find(local_api_pings(a), token, peer, false);
	if (p)
		ping_reply(p, (struct api_ping_result) {
				      .latency_s = seconds_since(p), .peer_api_port = peer_api });
}

/* --- the PeerAPI --- */

static void peer_api_answered(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct ping *p = arg;
	char why[96] = "";
	(void)body;
	(void)len;
	p->http = NULL;
	if (head->status / 100 != 2)
		snprintf(why, sizeof(why), "its PeerAPI answers with HTTP %d", head->status);
	ping_reply(p, (struct api_ping_result) { .err = why, .latency_s = seconds_since(p) });
}

static void peer_api_failed(void *arg, int code, const char *why)
{
	struct ping *p = arg;
	(void)code;
	p->http = NULL;
	ping_reply(p, (struct api_ping_result) { .err = why });
}

/* NULL: it is asked, or memory is short and it times out. */
static const char *ask_peer_api(struct loop *l, struct ping *p, const struct ctl_node *peer)
{
	char at[ENDPOINT_TEXT];
	struct endpoint to;
	if (!sharing_api_at(p->node->map(p->node->arg), peer, &to))
		return "it does not say where its PeerAPI is";
	snprintf(p->ifname, sizeof(p->ifname), "%s", p->node->ifname(p->node->arg));
	snprintf(p->url, sizeof(p->url), "http://%s", endpoint_format(&to, at));
	struct http_request rq = { .to = { .host = "peer",
					   .port = to.port,
					   .at = &to,
					   .timeout_ms = PING_MS,
					   .socket_hook = sock_device_hook,
					   .socket_arg = p->ifname },
		.method = "HEAD",
		.target = "/",
		.host = "peer",
		.timeout_ms = PING_MS };
	struct http_client_events ev = { .done = peer_api_answered, .failed = peer_api_failed, .arg = p };
	p->http = http_request(l, &rq, &ev);
	return NULL;
}

/* --- a request --- */

static bool read_size(struct request *r, uint16_t *size)
{
	char text[ADDR_TEXT] = "0";
	uint64_t n;
	if (http_target_find(r->head, "size", text, sizeof(text)) == HTTP_VALUE_BAD ||
		!text_u64(text, 0, LOCAL_PING_MAX, &n))
		return false;
	*size = (uint16_t)n;
	return true;
}

static bool kind_of(const char *text, enum ping_kind *kind)
{
	for (size_t i = 0; i < ARRAY_LEN(kind_names); i++) {
		if (strcasecmp(text, kind_names[i]) == 0) {
			*kind = (enum ping_kind)i;
			return true;
		}
	}
	return false;
}

static bool read_kind(struct request *r, enum ping_kind *kind)
{
	char text[ADDR_TEXT] = "disco";
	return http_target_find(r->head, "type", text, sizeof(text)) != HTTP_VALUE_BAD && kind_of(text, kind);
}

/* What is asked, into p. false: it was refused. */
static bool read_ping(struct request *r, struct ping *p, struct addr *ip)
{
	char text[ADDR_TEXT], why[96] = "";
	if (!http_target_query(r->head, "ip", text, sizeof(text)) || !addr_parse(text, ip))
		snprintf(why, sizeof(why), "ip= must be an address of a peer");
	else if (!read_kind(r, &p->kind))
		snprintf(why, sizeof(why), "type= must be disco, TSMP, ICMP or peerapi");
	else if (!read_size(r, &p->size))
		snprintf(why, sizeof(why), "size= must be a number of bytes, at most %d", LOCAL_PING_MAX);
	else if (p->size && p->kind != PING_DISCO)
		snprintf(why, sizeof(why), "size= is for disco pings only");
	else
		addr_format(ip, p->ip);
	if (*why)
		local_reply_error(r->conn, 400, why);
	return !*why;
}

static struct ping *free_place(struct local_pings *all)
{
	for (size_t i = 0; i < PINGS_MAX; i++)
		if (!all->pings[i].taken)
			return &all->pings[i];
	return NULL;
}

static void send_ping(struct loop *l, struct ping *p, const struct addr *ip, const struct ctl_node *peer)
{
	const struct local_node_ops *node = p->node;
	const char *why = NULL;
	if (p->kind == PING_DISCO)
		node->ping(node->arg, p->peer, p->token, p->size);
	else if (p->kind == PING_PEER_API)
		why = ask_peer_api(l, p, peer);
	else if (!node->echo(node->arg, p->peer, ip, p->kind == PING_ICMP, p->token))
		why = "this machine has no address of that family";
	if (why)
		ping_reply(p, (struct api_ping_result) { .err = why });
}

/* NULL: it is out; else why not, with a status of HTTP. */
static const char *start_ping(
	struct local_pings *all, struct loop *l, const struct ping *asked, const struct addr *ip, int *status)
{
	const struct netmap *m = all->node->map(all->node->arg);
	const struct netmap_peer *peer = m ? netmap_peer_by_address(m, ip) : NULL;
	struct ping *p = free_place(all);
	*status = peer ? 503 : 404;
	if (!peer || !p)
		return peer ? "too many pings at once" : "no peer has this address";
	*p = *asked;
	p->taken = true;
	p->node = all->node;
	p->token = ++all->next_token;
	p->peer = (uint64_t)peer->node.id;
	p->began_ns = clock_now_ns();
	p->timer = loop_timer_new(l, ping_timed_out, p);
	if (!p->timer) {
		*p = (struct ping) { 0 };
		return "memory is short";
	}
	loop_timer_set(p->timer, PING_MS);
	send_ping(l, p, ip, &peer->node);
	return NULL;
}

void local_ping(struct request *r)
{
	struct ping asked = { .node = r->node, .conn = r->conn };
	struct addr ip;
	int status;
	if (!read_ping(r, &asked, &ip))
		return;
	const char *why = start_ping(local_api_pings(r->api), r->loop, &asked, &ip, &status);
	if (why)
		local_reply_error(r->conn, status, why);
}

/* --- the server asks --- */

static void ask_for_server(
	struct local_pings *all, struct loop *l, const struct ctl_ping *p, const char *kind)
{
	struct ping asked = { .node = all->node };
	struct addr ip;
	size_t of_server = 0;
	int status;
	for (size_t i = 0; i < PINGS_MAX; i++)
		of_server += all->pings[i].taken && !all->pings[i].conn;
	if (of_server >= PINGS_OF_SERVER || !kind_of(kind, &asked.kind) || !addr_parse(p->ip, &ip) ||
		strlen(p->url) >= TO_MAX)
		return;
	snprintf(asked.to, sizeof(asked.to), "%s", p->url);
	addr_format(&ip, asked.ip);
	const char *why = start_ping(all, l, &asked, &ip, &status);
	if (why) { /* told as what a ping has found */
		struct ping none = asked;
		ping_reply(&none, (struct api_ping_result) { .err = why });
	}
}

void local_pings_server_asks(struct local_pings *all, struct loop *l, const struct ctl_ping *p)
{
	char kind[16];
	const char *at = p->types;
	for (size_t len; *at; at += len + (at[len] == ',')) {
		len = strcspn(at, ",");
		snprintf(kind, sizeof(kind), "%.*s", (int)len, at);
		ask_for_server(all, l, p, kind);
	}
}

struct local_pings *local_pings_new(const struct local_node_ops *node)
{
	struct local_pings *p = calloc(1, sizeof(*p));
	if (p)
		p->node = node;
	return p;
}

void local_pings_free(struct local_pings *p)
{
	for (size_t i = 0; p && i < PINGS_MAX; i++)
		ping_free(&p->pings[i]);
	free(p);
}

void local_pings_gone(struct local_pings *p, struct http_server_conn *c)
{
	for (size_t i = 0; i < PINGS_MAX; i++)
		if (p->pings[i].taken && p->pings[i].conn == c)
			ping_free(&p->pings[i]);
}
