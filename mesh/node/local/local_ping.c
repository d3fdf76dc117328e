#include "mesh/node/local/local_request.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PINGS_MAX = 32, PING_MS = 5000 };

struct ping {
	struct http_server_conn *conn; /* NULL = free */
	uint64_t token;
	char ip[ADDR_TEXT];
	struct loop_timer *timer;
};

struct local_pings {
	const struct local_node_ops *node;
	struct ping pings[PINGS_MAX];
	uint64_t next_token;
};

static void ping_reply(struct ping *p, const struct api_ping_result *result)
{
	struct buf b = { 0 };
	struct http_server_conn *c = p->conn;
	p->conn = NULL;
	loop_timer_free(p->timer);
	p->timer = NULL;
	bool ok = api_ping_write(&b, result);
	local_reply_json(c, &b, ok);
}

static void ping_timed_out(void *arg)
{
	struct ping *p = arg;
	struct api_ping_result r = { .ip = p->ip,
		.node_ip = p->ip,
		.node_name = "",
		.err = "no answer",
		.endpoint = "",
		.derp_code = "" };
	ping_reply(p, &r);
}

void local_api_ping_done(struct local_api *a, uint64_t token, uint64_t peer, const struct endpoint *at,
	int32_t region, double ms)
{
	struct local_pings *all = local_api_pings(a);
	const struct local_node_ops *node = all->node;
	const struct netmap *m = node->map(node->arg);
	char text[ENDPOINT_TEXT] = "", name[64] = "";
	const struct netmap_peer *np = m ? netmap_peer_by_id(m, (int64_t)peer) : NULL;
	if (np)
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(np->node.name, "."), np->node.name);
	for (size_t i = 0; i < PINGS_MAX; i++) {
		struct ping *p = &all->pings[i];
		if (!p->conn || p->token != token)
			continue;
		if (!region && at)
			endpoint_format(at, text);
		struct api_ping_result r = { .ip = p->ip,
			.node_ip = p->ip,
			.node_name = name,
			.err = "",
			.endpoint = text,
			.latency_s = ms / 1000,
			.derp_region = region,
			.derp_code = region ? node->region_code(node->arg, region) : "" };
		ping_reply(p, &r);
		return;
	}
}

static uint64_t peer_with_address(const struct netmap *m, const struct addr *ip)
{
	for (size_t i = 0; m && i < m->n_peers; i++) {
		const struct ctl_node *c = &m->peers[i]->node;
		for (size_t j = 0; j < c->addresses.n; j++) {
			if (addr_equal(&c->addresses.v[j].ip, ip))
				return (uint64_t)c->id;
		}
	}
	return 0;
}

void local_ping(struct request *r)
{
	char text[ADDR_TEXT];
	struct addr ip;
	if (!http_target_query(r->head, "ip", text, sizeof(text)) || !addr_parse(text, &ip)) {
		local_reply_error(r->conn, 400, "ip= must be an address of a peer");
		return;
	}
	if (http_target_query(r->head, "type", text, sizeof(text)) && strcasecmp(text, "disco") != 0) {
		local_reply_error(r->conn, 501,
			"ropewalkd sends disco pings only: leave the type away, or use the ping program");
		return;
	}
	if (http_target_query(r->head, "size", text, sizeof(text)) && strcmp(text, "0") != 0) {
		local_reply_error(r->conn, 501,
			"ropewalkd's pings are of one size: leave --size away, or use the ping program");
		return;
	}
	addr_format(&ip, text);
	uint64_t peer = peer_with_address(r->node->map(r->node->arg), &ip);
	struct local_pings *all = local_api_pings(r->api);
	struct ping *p = NULL;
	for (size_t i = 0; i < PINGS_MAX && !p; i++)
		p = all->pings[i].conn ? NULL : &all->pings[i];
	if (!peer || !p) {
		local_reply_error(r->conn, peer ? 503 : 404,
			peer ? "too many pings at once" : "no peer has this address");
		return;
	}
	*p = (struct ping) { .conn = r->conn, .token = ++all->next_token };
	snprintf(p->ip, sizeof(p->ip), "%s", text);
	p->timer = loop_timer_new(r->loop, ping_timed_out, p);
	if (!p->timer) {
		p->conn = NULL;
		local_reply_error(r->conn, 503, "memory is short");
		return;
	}
	loop_timer_set(p->timer, PING_MS);
	r->node->ping(r->node->arg, peer, p->token);
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
		loop_timer_free(p->pings[i].timer);
	free(p);
}

void local_pings_gone(struct local_pings *p, struct http_server_conn *c)
{
	for (size_t i = 0; i < PINGS_MAX; i++) {
		if (p->pings[i].conn != c)
			continue;
		loop_timer_free(p->pings[i].timer);
		p->pings[i] = (struct ping) { 0 };
	}
}
