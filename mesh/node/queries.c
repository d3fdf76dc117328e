#include "mesh/node/queries.h"
#include "mesh/node/host/os_dns.h"
#include "mesh/node/links/server_link.h"
#include "mesh/node/metrics.h"
#include "mesh/node/status.h"
#include "mesh/transport/http.h"
#include <stdio.h>

static void answer_facts(void *arg, struct local_facts *out)
{
	const struct node *n = arg;
	const struct backend *b = &n->backend;
	*out = (struct local_facts) { .state = (int)b->state,
		.stopped = b->state == BACKEND_STOPPED,
		.up = b->state >= BACKEND_STARTING,
		.logged_in = n->state.logged_in,
		.logging_in = b->auth_url[0] || (n->server && server_link_has_key(n->server)),
		.auth_url = b->auth_url,
		.error = n->last_error,
		.login_name = n->state.login_name,
		.prefs = &n->state.prefs,
		.server = &n->state.server,
		.way = { .prefix = n->engine.nat64, .proxies = n->opt.proxies } };
}

static struct netmap *answer_map(void *arg)
{
	return ((struct node *)arg)->apply.map;
}

static void answer_status(void *arg, struct arena *a, struct api_status *out)
{
	status_make(arg, a, out);
}

static void answer_status_peer(void *arg, const struct netmap_peer *p, struct arena *a, struct api_peer *out)
{
	status_peer(arg, p, a, out);
}

/* 0 says that nothing came back; what was faster than the clock's millisecond is half of one. */
static double seconds_of(double ms)
{
	return ms < 0 ? 0 : ms > 0 ? ms / 1000 : 0.0005;
}

static const char *endpoint_text(struct arena *a, const struct endpoint *e)
{
	char *text = endpoint_is_set(e) ? arena_alloc(a, ENDPOINT_TEXT) : NULL;
	return text ? endpoint_format(e, text) : "";
}

static void describe_router(const struct node *n, struct arena *a, struct api_netcheck *out)
{
	enum { WHY_TEXT = 256 };
	const struct portmap *m = router_link_state(n->engine.router);
	char *why = arena_alloc(a, WHY_TEXT);
	out->upnp = m->searched ? portmap_is_there(m, PORTMAP_UPNP) : -1;
	out->pmp = m->searched ? portmap_is_there(m, PORTMAP_PMP) : -1;
	out->pcp = m->searched ? portmap_is_there(m, PORTMAP_PCP) : -1;
	out->mapped = endpoint_text(a, &m->mapped);
	out->unmapped = why ? portmap_explain(m, why, WHY_TEXT) : "";
	m = router_link_state6(n->engine.router);
	why = arena_alloc(a, WHY_TEXT);
	out->pinhole6 = endpoint_text(a, &m->mapped);
	out->no_pinhole6 = why ? portmap_explain(m, why, WHY_TEXT) : "";
}

static bool answer_netcheck(void *arg, struct arena *a, struct api_netcheck *out, struct local_measured *when)
{
	struct node *n = arg;
	struct path_report r;
	char *by = arena_alloc(a, PROXIES_TEXT);
	if (!engine_is_open(&n->engine))
		return false;
	path_report(n->engine.path, &r);
	*when = (struct local_measured) { .running = r.running, .at_ms = r.ended_ms };
	*out = (struct api_netcheck) { .udp = r.udp,
		.ipv4 = r.ipv4,
		.ipv6 = r.ipv6,
		.preferred = r.home,
		.mapping_varies = r.mapping_varies == OPT_ABSENT ? -1 : r.mapping_varies == OPT_TRUE,
		.global_v4 = endpoint_text(a, &r.global4),
		.global_v6 = endpoint_text(a, &r.global6),
		.proxy = by ? proxies_text(n->opt.proxies, by) : "" };
	describe_router(n, a, out);
	out->regions = arena_array(a, r.n_regions, sizeof(*out->regions));
	for (size_t i = 0; out->regions && i < r.n_regions; i++)
		out->regions[out->n_regions++] = (struct api_region_latency) { .id = r.regions[i].id,
			.code = relays_region_code(n->engine.relays, r.regions[i].id),
			.name = relays_region_name(n->engine.relays, r.regions[i].id),
			.seconds = seconds_of(r.regions[i].latency_ms) };
	return true;
}

static const char *answer_region_code(void *arg, int32_t region)
{
	const struct node *n = arg;
	return engine_is_open(&n->engine) ? relays_region_code(n->engine.relays, region) : "";
}

static bool answer_relay_at(void *arg, int32_t region, struct addr *out)
{
	const struct node *n = arg;
	return engine_is_open(&n->engine) && relays_is_up(n->engine.relays, region) &&
	       relays_peer(n->engine.relays, region, out);
}

static const char *place_text(const struct node *n, const struct way_place *p, char out[static ENDPOINT_TEXT])
{
	if (endpoint_is_set(&p->at))
		return endpoint_format(&p->at, out);
	const char *code = p->region && engine_is_open(&n->engine)
				   ? relays_region_code(n->engine.relays, p->region)
				   : "";
	if (p->region && !*code) /* it has left the map */
		snprintf(out, ENDPOINT_TEXT, "relay %d", p->region);
	else
		snprintf(out, ENDPOINT_TEXT, "%s%.60s", p->region ? "relay " : "", code);
	return out;
}

static void answer_way_changes(void *arg, uint64_t peer,
	void (*each)(void *k, int64_t unix_ms, const char *from, const char *to), void *k)
{
	const struct node *n = arg;
	const struct way_change *c;
	char from[ENDPOINT_TEXT], to[ENDPOINT_TEXT];
	size_t at = 0;
	while ((c = way_log_next(&n->engine.ways, peer, &at)))
		each(k, c->unix_ms, place_text(n, &c->from, from), place_text(n, &c->to, to));
}

static const char *answer_no_resolver(void *arg)
{
	const struct node *n = arg;
	if (n->names.dns)
		return NULL;
	return n->apply.why[APPLY_NAMES][0] ? n->apply.why[APPLY_NAMES]
					    : "the node is not up; run `ropewalk up` first";
}

static bool answer_metrics(void *arg, struct buf *out)
{
	return metrics_write(arg, out);
}

static void answer_os_dns(void *arg, struct local_os_dns *out)
{
	const struct node *n = arg;
	const struct dns_choice *c = os_dns_choice(n->os_dns);
	*out = (struct local_os_dns) { .active = os_dns_active(n->os_dns) };
	out->owner = dns_owner_word(out->active ? c->owner : DNS_OWNER_NOBODY);
	out->reason = !n->state.prefs.accept_dns
			      ? "--accept-dns=false: resolv.conf and its owner are left alone"
		      : out->active || c->owner == DNS_OWNER_NOBODY
			      ? c->reason
			      : "the network has no names to give, or this machine is not connected to it";
	for (const char *s; out->n_match < LOCAL_MATCH_MAX && (s = os_dns_match(n->os_dns, out->n_match));)
		out->match[out->n_match++] = s;
	out->n_base = os_dns_base(n->os_dns, out->base, LOCAL_BASE_MAX);
}

static struct resolver_server *answer_resolver(void *arg)
{
	return ((const struct node *)arg)->names.dns;
}

static const char *answer_secure_fault(void *arg)
{
	return ((const struct node *)arg)->names.clients.trouble;
}

static bool answer_blocks(void *arg)
{
	return ((const struct node *)arg)->names.blocking.wanted;
}

static struct blocker *answer_blocker(void *arg)
{
	return ((const struct node *)arg)->names.blocking.blocker;
}

static struct blocker_search *answer_blocked(void *arg, const struct addr *from, const struct dns_name *name,
	void (*told)(void *k, int err, const struct blocker_why *w, const struct errbuf *eb), void *k)
{
	return blocking_search(&((struct node *)arg)->names.blocking, from, name, told, k);
}

static struct files *answer_files(void *arg)
{
	return ((struct node *)arg)->files;
}

static const char *answer_ifname(void *arg)
{
	return tun_name(((struct node *)arg)->engine.tun);
}

static void order_prefs(void *arg, const struct state_prefs *p)
{
	node_prefs_set(arg, p);
}

static void order_login(void *arg, const char *auth_key)
{
	node_login(arg, auth_key);
}

static void order_logout(void *arg)
{
	node_logout(arg);
}

static void order_try_now(void *arg)
{
	struct node *n = arg;
	if (n->server)
		server_link_try_now(n->server);
}

static void order_ping(void *arg, uint64_t peer, uint64_t token, uint16_t size)
{
	struct node *n = arg;
	if (!engine_is_open(&n->engine))
		return;
	path_ping(n->engine.path, loop_now_ms(n->loop), peer, token, size);
	engine_rearm(&n->engine);
}

static bool order_echo(void *arg, uint64_t peer, const struct addr *at, bool icmp, uint64_t token)
{
	struct node *n = arg;
	return engine_is_open(&n->engine) &&
	       engine_echo(&n->engine, peer, at, icmp ? PLANE_ECHO_ICMP : PLANE_ECHO_TSMP, token);
}

static void tell_server(void *arg, const char *url, const char *json, size_t len)
{
	struct node *n = arg;
	if (n->server)
		server_link_pinged(n->server, url, json, len);
}

static void order_measure(void *arg)
{
	struct node *n = arg;
	if (!engine_is_open(&n->engine))
		return;
	engine_measure(&n->engine);
}

static void order_rebind(void *arg)
{
	engine_rebind(&((struct node *)arg)->engine);
}

static void order_break_relays(void *arg)
{
	engine_break_relays(&((struct node *)arg)->engine);
}

static void order_capture(
	void *arg, void (*packet)(void *k, unsigned how, const uint8_t *p, size_t len), void *k)
{
	struct node *n = arg;
	n->capture = (struct plane_capture) { packet, k };
	engine_capture_set(&n->engine, &n->capture);
}

static const char *answer_state_dir(void *arg)
{
	return ((const struct node *)arg)->opt.state_dir;
}

static void order_trying(void *arg, const char *server)
{
	struct node *n = arg;
	struct url u = { 0 };
	(void)url_parse(server, &u);
	names_trying(&n->names, u.host);
}

struct local_node_ops queries_ops(struct node *n)
{
	return (struct local_node_ops) { .facts = answer_facts,
		.map = answer_map,
		.status = answer_status,
		.status_peer = answer_status_peer,
		.netcheck = answer_netcheck,
		.region_code = answer_region_code,
		.relay_at = answer_relay_at,
		.way_changes = answer_way_changes,
		.no_resolver = answer_no_resolver,
		.metrics = answer_metrics,
		.os_dns = answer_os_dns,
		.resolver = answer_resolver,
		.secure_fault = answer_secure_fault,
		.blocks = answer_blocks,
		.blocker = answer_blocker,
		.blocked = answer_blocked,
		.files = answer_files,
		.ifname = answer_ifname,
		.prefs_set = order_prefs,
		.login = order_login,
		.logout = order_logout,
		.trying = order_trying,
		.try_now = order_try_now,
		.ping = order_ping,
		.echo = order_echo,
		.tell_server = tell_server,
		.measure = order_measure,
		.rebind = order_rebind,
		.break_relays = order_break_relays,
		.capture = order_capture,
		.state_dir = answer_state_dir,
		.arg = n };
}
