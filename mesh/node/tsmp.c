#include "mesh/node/tsmp.h"
#include "mesh/base/log.h"
#include "mesh/base/wire.h"
#include "mesh/node/control.h"
#include <string.h>

enum {
	TSMP_PING = 'p',
	TSMP_PONG = 'o',
	TSMP_DISCO = 'a',
	TSMP_REJECT = '!',
	REJECT_BY_RULES = 'A',
	REJECT_LEN = 1 + 1 + 1 + 2 + 2,
	ECHO_LEN = 8,
	PONG_LEN = 1 + ECHO_LEN + 2,
	DISCO_LEN = 1 + KEY_LEN
};

static void send_to(
	struct node *n, const struct addr *from, const struct addr *to, const uint8_t *body, size_t len)
{
	struct pkt out;
	pkt_reset(&out);
	memcpy(pkt_data(&out) + (addr_is_v4(from) ? 20 : 40), body, len);
	out.len = (uint16_t)ip_write_header(pkt_data(&out), from, to, IP_TSMP, len);
	dataplane_send_inner(n, &out);
}

static void answer_ping(struct node *n, const struct ip_view *v, struct rd r)
{
	uint8_t body[PONG_LEN];
	struct wr w = wr_of(body, sizeof(body));
	wr_u8(&w, TSMP_PONG);
	wr_bytes(&w, rd_take(&r, ECHO_LEN), r.bad ? 0 : ECHO_LEN);
	wr_u16(&w, 0); /* no peer API here */
	if (!r.bad)
		send_to(n, &v->dst, &v->src, body, w.len);
}

static void learn_disco(struct node *n, uint64_t peer, struct rd r)
{
	struct disco_key key;
	const struct netmap_peer *p = netmap_peer_by_id(n->map, (int64_t)peer);
	rd_copy(&r, key.b, KEY_LEN);
	if (r.bad || !p || key_is_zero(key.b))
		return;
	const struct ctl_node *c = &p->node;
	struct path_peer pp = { .id = peer,
		.key = c->key,
		.disco = key,
		.endpoints = c->endpoints.v,
		.n_endpoints = c->endpoints.n,
		.home = c->home_derp };
	path_peer_set(n->path, loop_now_ms(n->loop), &pp);
}

void tsmp_reject(struct node *n, const struct ip_view *v)
{
	uint8_t body[REJECT_LEN];
	struct wr w = wr_of(body, sizeof(body));
	wr_u8(&w, TSMP_REJECT);
	wr_u8(&w, v->proto);
	wr_u8(&w, REJECT_BY_RULES);
	wr_u16(&w, v->sport);
	wr_u16(&w, v->dport);
	send_to(n, &v->dst, &v->src, body, w.len);
}

/* For people who look at the log to see why a connection hangs. */
static void tell_rejected(struct node *n, uint64_t peer, struct rd r)
{
	const struct netmap_peer *p = netmap_peer_by_id(n->map, (int64_t)peer);
	uint8_t proto = rd_u8(&r), why = rd_u8(&r);
	(void)rd_u16(&r);
	uint16_t port = rd_u16(&r);
	n->drops.rejected_by_peer++;
	if (!r.bad && p && log_allowed(&n->rejections, 1, loop_now_ms(n->loop)))
		log_info("peer %s does not let us in: %s port %u%s", p->node.name,
			proto == IP_UDP ? "UDP" : "TCP", (unsigned)port,
			why == REJECT_BY_RULES ? ", by the rules of the network" : "");
}

void tsmp_received(struct node *n, uint64_t peer, const struct ip_view *v, const uint8_t *p)
{
	struct rd r = rd_of(p + v->payload_at, (size_t)(v->total_len - v->payload_at));
	switch (rd_u8(&r)) {
	case TSMP_PING: answer_ping(n, v, r); return;
	case TSMP_DISCO: learn_disco(n, peer, r); return;
	case TSMP_REJECT: tell_rejected(n, peer, r); return;
	default: return; /* later versions say more */
	}
}

void tsmp_session_ready(struct node *n, uint64_t peer)
{
	const struct netmap_peer *p = n->map ? netmap_peer_by_id(n->map, (int64_t)peer) : NULL;
	if (!p || (n->control && control_connected(n->control)))
		return;
	const struct ctl_prefixes *own = &n->map->self->node.addresses, *theirs = &p->node.addresses;
	uint8_t body[DISCO_LEN] = { TSMP_DISCO };
	memcpy(body + 1, path_disco_key(n->path)->b, KEY_LEN);
	for (size_t i = 0; i < own->n; i++) {
		for (size_t j = 0; j < theirs->n; j++) {
			if (addr_is_v4(&own->v[i].ip) != addr_is_v4(&theirs->v[j].ip))
				continue;
			send_to(n, &own->v[i].ip, &theirs->v[j].ip, body, sizeof(body));
			return;
		}
	}
}
