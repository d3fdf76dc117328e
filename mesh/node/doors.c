#include "mesh/node/doors.h"
#include "mesh/node/links/server_link.h"
#include "mesh/node/local/local_api.h"
#include "mesh/node/node_exit.h"
#include "mesh/node/serve/service_web.h"

static int64_t server_ms(void *arg)
{
	return node_server_ms(arg);
}

static void listens(void *arg)
{
	struct node *n = arg;
	if (engine_is_open(&n->engine))
		dataplane_peer_api_set(&n->engine.plane, peer_api_port(n->peer_api, true),
			peer_api_port(n->peer_api, false));
	if (n->server)
		server_link_update(n->server);
}

/* Whether a connection of that peer to the internet's nameservers would be let in, for the first of its addresses:
 * those that rules for the internet as a whole cover. */
static bool is_exit_for(void *arg, const struct addr *peer)
{
	struct node *n = arg;
	const struct plane *d = &n->engine.plane;
	const struct addr internet6 = { { 0x20 } };
	bool v4 = addr_is_v4(peer);
	struct ip_view v = { .src = *peer,
		.dst = v4 ? addr_v4(0x01000000) : internet6,
		.version = v4 ? 4 : 6,
		.proto = IP_TCP,
		.tcp_flags = TCP_SYN,
		.dport = 53 };
	struct filter_drops unseen = { 0 };
	return engine_is_open(&n->engine) && node_offers_exit(n) && d->rules &&
	       filter_in(d->rules, d->flows, loop_now_ms(n->loop), &v, &unseen) == FILTER_PASS;
}

static bool offers_exit(void *arg)
{
	return node_offers_exit(arg);
}

static struct resolver *resolver(void *arg)
{
	const struct node *n = arg;
	return n->names.dns ? resolver_server_core(n->names.dns) : NULL;
}

static bool metrics(void *arg, struct buf *out)
{
	const struct local_node_ops *says = ((const struct node *)arg)->opt.answers;
	return says->metrics(says->arg, out);
}

bool doors_make(struct node *n)
{
	const struct peer_api_ops peers = { .server_ms = server_ms,
		.listens = listens,
		.is_exit_for = is_exit_for,
		.offers_exit = offers_exit,
		.resolver = resolver,
		.arg = n };
	const struct service_web_ops web = { .metrics = metrics, .arg = n };
	n->peer_api = peer_api_open(n->loop, n->files, &peers);
	n->web = service_web_open(n->loop, &web);
	return n->peer_api && n->web;
}

void doors_free(struct node *n)
{
	peer_api_close(n->peer_api);
	service_web_close(n->web);
}

void doors_open(struct node *n)
{
	peer_api_apply(n->peer_api, n->apply.map, tun_name(n->engine.tun));
	service_web_apply(n->web, true, GUARD_WEB_PORT);
}

void doors_shut(struct node *n)
{
	if (n->peer_api)
		peer_api_apply(n->peer_api, NULL, "");
	service_web_apply(n->web, false, 0);
}

/* --- of pings --- */

void doors_ping_done(
	void *arg, uint64_t token, uint64_t peer, const struct endpoint *at, int32_t region, double ms)
{
	local_api_ping_done(((struct node *)arg)->api, token, peer, at, region, ms);
}

void doors_echo_answered(void *arg, uint64_t token, uint64_t peer, uint16_t peer_api)
{
	local_api_echo_answered(((struct node *)arg)->api, token, peer, peer_api);
}

void doors_server_asks(void *arg, const struct ctl_ping *p)
{
	local_api_server_asks(((struct node *)arg)->api, p);
}
