#include "mesh/node/metrics.h"
#include "mesh/node/local/local_api.h"
#include "mesh/node/serve/peer_api.h"
#include "mesh/node/serve/service_web.h"
#include "mesh/node/status.h"
#include "resolver/report_metrics.h"

static const char *const path_names[] = {
	[PLANE_DIRECT4] = "direct_ipv4", [PLANE_DIRECT6] = "direct_ipv6", [PLANE_RELAY] = "derp"
};

struct labelled {
	const char *label; /* its value */
	uint64_t n;
};

static bool write_head(struct buf *out, const char *name, const char *kind, const char *help)
{
	return buf_printf(out, "# HELP tailscaled_%s %s\n# TYPE tailscaled_%s %s\n", name, help, name, kind);
}

static bool write_family(struct buf *out, const char *name, const char *help, const char *key,
	const struct labelled *v, size_t n)
{
	bool ok = write_head(out, name, "counter", help);
	for (size_t i = 0; ok && i < n; i++)
		ok = buf_printf(out, "tailscaled_%s{%s=\"%s\"} %llu\n", name, key, v[i].label,
			(unsigned long long)v[i].n);
	return ok;
}

static bool write_gauge(struct buf *out, const char *name, const char *labels, const char *help, uint64_t n)
{
	return write_head(out, name, "gauge", help) &&
	       buf_printf(out, "tailscaled_%s%s %llu\n", name, labels, (unsigned long long)n);
}

static bool write_traffic(struct buf *out, const struct plane_traffic *t, const char *const names[static 2],
	const char *const helps[static 2])
{
	struct labelled packets[PLANE_PATHS], bytes[PLANE_PATHS];
	for (size_t i = 0; i < PLANE_PATHS; i++) {
		packets[i] = (struct labelled) { path_names[i], t[i].packets };
		bytes[i] = (struct labelled) { path_names[i], t[i].bytes };
	}
	return write_family(out, names[0], helps[0], "path", bytes, PLANE_PATHS) &&
	       write_family(out, names[1], helps[1], "path", packets, PLANE_PATHS);
}

static bool write_plane(struct buf *out, const struct plane *d)
{
	static const char *const in[] = { "inbound_bytes_total", "inbound_packets_total" },
				 *const in_help[] = { "Counts the number of bytes received from other peers",
					 "Counts the number of packets received from other peers" },
				 *const sent[] = { "outbound_bytes_total", "outbound_packets_total" },
				 *const sent_help[] = { "Counts the number of bytes sent to other peers",
					 "Counts the number of packets sent to other peers" };
	return write_traffic(out, d->in, in, in_help) && write_traffic(out, d->out, sent, sent_help);
}

static bool write_dropped(struct buf *out, const struct plane *d)
{
	static const struct wg_drops none;
	const struct filter_drops *f = &d->filter_drops;
	const struct wg_drops *w = d->wg ? wg_drops(d->wg) : &none;
	const struct labelled in[] = { { "acl", f->no_rule + f->not_local + f->own_source },
		{ "multicast", f->multicast }, { "link_local_unicast", f->link_local },
		{ "fragment", f->fragment },
		{ "error", f->malformed + d->drops.in_malformed + w->bad_inner } };
	const struct labelled sent[] = { { "error",
		d->drops.out_malformed + d->drops.out_no_way + w->no_route + w->stage_full } };
	return write_family(out, "inbound_dropped_packets_total",
		       "Counts the number of dropped packets received by the node from other peers", "reason",
		       in, ARRAY_LEN(in)) &&
	       write_family(out, "outbound_dropped_packets_total",
		       "Counts the number of packets dropped while being sent to other peers", "reason", sent,
		       ARRAY_LEN(sent));
}

/* Networks that others may reach through this node: what the map adds to its own addresses. */
static uint64_t count_approved(const struct netmap *m)
{
	uint64_t n = 0;
	for (size_t i = 0; m && i < m->self->node.allowed_ips.n; i++) {
		bool own = false;
		for (size_t k = 0; !own && k < m->self->node.addresses.n; k++)
			own = prefix_equal(&m->self->node.allowed_ips.v[i], &m->self->node.addresses.v[k]);
		n += !own;
	}
	return n;
}

static uint64_t count_health(struct node *n)
{
	struct arena a = { 0 };
	struct api_status s;
	status_make(n, &a, &s);
	arena_free(&a);
	return s.n_health;
}

/* Of our own: no official client counts it. */
static bool write_doors(struct buf *out, const struct node *n)
{
	return buf_printf(out,
		"# HELP ropewalk_accept_paused_total Counts how often connections waited for lack of "
		"descriptors or memory\n"
		"# TYPE ropewalk_accept_paused_total counter\n"
		"ropewalk_accept_paused_total{door=\"LocalAPI\"} %llu\n"
		"ropewalk_accept_paused_total{door=\"PeerAPI\"} %llu\n"
		"ropewalk_accept_paused_total{door=\"metrics\"} %llu\n",
		(unsigned long long)local_api_paused(n->api),
		(unsigned long long)peer_api_paused(n->peer_api),
		(unsigned long long)service_web_paused(n->web));
}

/* So is this. */
static bool write_threads(struct buf *out, const struct node *n)
{
	struct outward_figures f = outward_figures(n->engine.outward);
	return buf_printf(out,
		"# HELP ropewalk_data_threads Threads that packets may use\n"
		"# TYPE ropewalk_data_threads gauge\n"
		"ropewalk_data_threads %d\n"
		"# HELP ropewalk_second_thread_runs 1 while the second of them sends\n"
		"# TYPE ropewalk_second_thread_runs gauge\n"
		"ropewalk_second_thread_runs %d\n"
		"# HELP ropewalk_second_thread_packets_total Counts packets that it sent\n"
		"# TYPE ropewalk_second_thread_packets_total counter\n"
		"ropewalk_second_thread_packets_total %llu\n",
		n->engine.outward ? 2 : 1, f.on, (unsigned long long)f.packets);
}

/* Under the names that the resolver has without a mesh. */
static bool write_resolver(struct buf *out, const struct node *n)
{
	return !n->names.dns || report_metrics(out, n->names.dns, loop_now_ms(n->loop));
}

bool metrics_write(struct node *n, struct buf *out)
{
	int32_t home = n->engine.path ? path_home(n->engine.path) : 0;
	outward_settle(n->engine.outward);
	return write_plane(out, &n->engine.plane) && write_dropped(out, &n->engine.plane) &&
	       write_doors(out, n) && write_threads(out, n) && write_resolver(out, n) &&
	       write_gauge(out, "advertised_routes", "",
		       "Number of advertised network routes (e.g. by a subnet router)",
		       n->state.prefs.n_offered) &&
	       write_gauge(out, "approved_routes", "",
		       "Number of approved network routes (e.g. by a subnet router)",
		       count_approved(n->apply.map)) &&
	       write_gauge(out, "health_messages", "{type=\"warning\"}",
		       "Number of health messages broken down by type", count_health(n)) &&
	       write_gauge(out, "home_derp_region_id", "", "Region ID of the home relay",
		       home > 0 ? (uint64_t)home : 0);
}
