#include "mesh/node/plane/tsmp.h"
#include "mesh/base/log.h"
#include "mesh/base/wire.h"
#include "mesh/node/plane/bundle.h"
#include <string.h>

enum {
	TSMP_PING = 'p',
	TSMP_PONG = 'o',
	TSMP_DISCO = 'a',
	TSMP_REJECT = '!',
	REJECT_BY_RULES = 'A',
	REJECT_BY_SHIELDS = 'S',
	REJECT_LEN = 1 + 1 + 1 + 2 + 2,
	ECHO_LEN = 8,
	PONG_LEN = 1 + ECHO_LEN + 2,
	DISCO_LEN = 1 + KEY_LEN
};

/* The two ends' addresses of one family. */
struct ends {
	struct addr us, peer;
};

static void put_packet(struct pkt *out, const struct ends *e, const struct wr *body)
{
	pkt_reset(out);
	memcpy(pkt_data(out) + (addr_is_v4(&e->us) ? 20 : 40), body->p, body->len);
	out->len = (uint16_t)ip_write_header(pkt_data(out), &e->us, &e->peer, IP_TSMP, body->len);
}

static void send_to(struct plane *d, uint64_t peer, const struct path_way *way, const struct ends *e,
	const struct wr *body)
{
	struct pkt out;
	put_packet(&out, e, body);
	bundle_send_inner(d, peer, way, &out);
}

static bool find_ends(const struct plane *d, uint64_t peer, struct ends *out)
{
	const struct netmap_peer *p = plane_peer(d, peer);
	if (!p)
		return false;
	const struct ctl_prefixes *own = &d->map->self->node.addresses, *theirs = &p->node.addresses;
	for (size_t i = 0; i < own->n; i++) {
		for (size_t j = 0; j < theirs->n; j++) {
			if (addr_is_v4(&own->v[i].ip) != addr_is_v4(&theirs->v[j].ip))
				continue;
			*out = (struct ends) { own->v[i].ip, theirs->v[j].ip };
			return true;
		}
	}
	return false;
}

/* Also the way the question came, which is known to work. */
static void answer_ping(struct plane *d, uint64_t peer, bool by_relay, const struct ip_view *v, struct rd r)
{
	uint8_t body[PONG_LEN];
	struct wr w = wr_of(body, sizeof(body));
	struct ends e = { v->dst, v->src };
	struct path_way way = path_way(d->path, peer);
	way.relay = way.relay || (by_relay && way.region != PATH_REGION_NONE);
	wr_u8(&w, TSMP_PONG);
	wr_bytes(&w, rd_take(&r, ECHO_LEN), r.bad ? 0 : ECHO_LEN);
	wr_u16(&w, addr_is_v4(&v->dst) ? d->peer_api4 : d->peer_api6);
	if (!r.bad)
		send_to(d, peer, &way, &e, &w);
}

void tsmp_ping_write(struct pkt *p, const struct addr *us, const struct addr *peer, uint64_t token)
{
	uint8_t body[1 + ECHO_LEN];
	struct wr w = wr_of(body, sizeof(body));
	wr_u8(&w, TSMP_PING);
	wr_bytes(&w, (const uint8_t *)&token, sizeof(token));
	put_packet(p, &(struct ends) { *us, *peer }, &w);
}

void tsmp_ping(struct plane *d, uint64_t peer, uint64_t token, const struct path_way *way)
{
	struct pkt out;
	struct ends e;
	if (!find_ends(d, peer, &e))
		return;
	tsmp_ping_write(&out, &e.us, &e.peer, token);
	bundle_send_inner(d, peer, way, &out);
}

static void ping_answered(struct plane *d, uint64_t peer, struct rd r)
{
	uint64_t token;
	const uint8_t *echo = rd_take(&r, sizeof(token));
	if (!echo)
		return;
	memcpy(&token, echo, sizeof(token));
	path_data_answered(d->path, plane_now(d), peer, token);
	uint16_t port = rd_u16(&r); /* older peers do not say it */
	d->io.echo_answered(d->io.arg, peer, token, r.bad ? 0 : port);
}

static void learn_disco(struct plane *d, uint64_t peer, struct rd r)
{
	struct disco_key key;
	const struct netmap_peer *p = plane_peer(d, peer);
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
	path_peer_set(d->path, plane_now(d), &pp);
}

void tsmp_reject(struct plane *d, uint64_t peer, const struct ip_view *v)
{
	uint8_t body[REJECT_LEN];
	struct wr w = wr_of(body, sizeof(body));
	struct ends e = { v->dst, v->src };
	struct path_way way = path_way(d->path, peer);
	wr_u8(&w, TSMP_REJECT);
	wr_u8(&w, v->proto);
	wr_u8(&w, d->shields_up ? REJECT_BY_SHIELDS : REJECT_BY_RULES);
	wr_u16(&w, v->sport);
	wr_u16(&w, v->dport);
	send_to(d, peer, &way, &e, &w);
}

/* For people who look at the log to see why a connection hangs. */
static void tell_rejected(struct plane *d, uint64_t peer, struct rd r)
{
	const struct netmap_peer *p = plane_peer(d, peer);
	uint8_t proto = rd_u8(&r), why = rd_u8(&r);
	(void)rd_u16(&r);
	uint16_t port = rd_u16(&r);
	d->drops.rejected_by_peer++;
	if (!r.bad && p && log_allowed(&d->rejections, 1, plane_now(d)))
		log_info("peer %s does not let us in: %s port %u%s", p->node.name,
			proto == IP_UDP ? "UDP" : "TCP", (unsigned)port,
			why == REJECT_BY_RULES	   ? ", by the rules of the network"
			: why == REJECT_BY_SHIELDS ? ", its shields are up"
						   : "");
}

void tsmp_received(struct plane *d, uint64_t peer, bool by_relay, const struct ip_view *v, const uint8_t *p)
{
	struct rd r = rd_of(p + v->payload_at, (size_t)(v->total_len - v->payload_at));
	switch (rd_u8(&r)) {
	case TSMP_PING: answer_ping(d, peer, by_relay, v, r); return;
	case TSMP_PONG: ping_answered(d, peer, r); return;
	case TSMP_DISCO: learn_disco(d, peer, r); return;
	case TSMP_REJECT: tell_rejected(d, peer, r); return;
	default: return; /* later versions say more */
	}
}

void tsmp_session_ready(struct plane *d, uint64_t peer)
{
	uint8_t body[DISCO_LEN];
	struct wr w = wr_of(body, sizeof(body));
	struct ends e;
	if (d->server_up || !find_ends(d, peer, &e))
		return;
	struct path_way way = path_way(d->path, peer);
	wr_u8(&w, TSMP_DISCO);
	wr_bytes(&w, path_disco_key(d->path)->b, KEY_LEN);
	send_to(d, peer, &way, &e, &w);
}
