#include "mesh/proto/control.h"
#include "mesh/proto/shapes.h"
#include <stdio.h>
#include <string.h>

/* --- request --- */

/* EndpointTypes runs beside Endpoints, which stands before it in the table; lists of different length mean
 * nothing. */
static bool read_types(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	struct {
		int64_t *v;
		size_t n;
	} list = { 0 };
	struct ctl_endpoints *e = field;
	if (!json_numbers.read(in, v, &list, row))
		return false;
	if (list.n != e->n)
		return true;
	e->types = arena_alloc(in->arena, list.n);
	if (!e->types)
		return false;
	for (size_t i = 0; i < list.n; i++)
		e->types[i] = list.v[i] > 0 && list.v[i] <= ENDPOINT_EXPLICIT ? (uint8_t)list.v[i]
									      : ENDPOINT_UNKNOWN;
	return true;
}

static void write_types(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	const struct ctl_endpoints *e = field;
	json_put(out, "[");
	for (size_t i = 0; i < e->n; i++) {
		json_put(out, i ? "," : "");
		json_put_i64(out, e->types[i]);
	}
	json_put(out, "]");
}

static bool types_empty(const void *field)
{
	const struct ctl_endpoints *e = field;
	return !e->types || e->n == 0;
}

static const struct json_codec endpoint_types = { NULL, read_types, write_types, types_empty };

#define REQ(name, codec, field, flags) \
	{ \
		name, codec, offsetof(struct ctl_map_request, field), flags, 0, NULL \
	}
static const struct json_row request_rows[] = {
	REQ("Version", &json_u16, version, 0),
	REQ("Compress", &json_str, compress, JSON_OMIT),
	REQ("KeepAlive", &json_bool, keep_alive, 0),
	{ "NodeKey", &json_key, offsetof(struct ctl_map_request, node), 0, 0, nodekey_prefix },
	{ "DiscoKey", &json_key, offsetof(struct ctl_map_request, disco), 0, 0, discokey_prefix },
	REQ("Stream", &json_bool, stream, 0),
	{ "Hostinfo", &json_inside, offsetof(struct ctl_map_request, hostinfo), 0,
		offsetof(struct ctl_map_request, has_hostinfo), &hostinfo_shape },
	REQ("Endpoints", &json_endpoints, endpoints, JSON_OMIT),
	REQ("EndpointTypes", &endpoint_types, endpoints, JSON_OMIT),
	REQ("ReadOnly", &json_bool, read_only, JSON_OMIT),
	REQ("OmitPeers", &json_bool, omit_peers, JSON_OMIT),
	{ 0 },
};
static const struct json_shape request_shape = { request_rows, sizeof(struct ctl_map_request), NULL };

int ctl_map_request_read(
	struct arena *a, const char *json, size_t len, struct ctl_map_request *out, struct errbuf *eb)
{
	return json_read(a, json, len, &request_shape, out, eb);
}

bool ctl_map_request_write(struct buf *out, const struct ctl_map_request *m)
{
	return json_write(out, &request_shape, m);
}

/* --- {"12":true}: OnlineChange, PeerSeenChange --- */
static bool online_read(struct json_in *in, const char *key, const json_t *v, void *element)
{
	struct ctl_online *o = element;
	return (json_text_i64(key, &o->id) || json_fail(in, "not a node id")) &&
	       json_bool.read(in, v, &o->online, NULL);
}

static void online_write(struct json_out *out, const void *element, bool *first)
{
	const struct ctl_online *o = element;
	char key[24];
	snprintf(key, sizeof(key), "%lld", (long long)o->id);
	json_put_name(out, key, first);
	json_put(out, o->online ? "true" : "false");
}

static const struct json_map online_map = { sizeof(struct ctl_online), false, online_read, online_write };

/* --- PacketFilters: the field is the whole response, as "*": null is kept beside the list --- */
static bool read_filters(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	struct ctl_map_response *m = field;
	if (!json_map_list.read(in, v, &m->filters, row)) {
		if (!json_leave_out(in))
			return false;
		m->filters_clear = in->gaps->delta = true; /* as read_rules_or_none */
		return true;
	}
	size_t kept = 0;
	for (size_t i = 0; i < m->n_filters; i++) {
		if (m->filters[i].remove && strcmp(m->filters[i].name, "*") == 0)
			m->filters_clear = true;
		else
			m->filters[kept++] = m->filters[i];
	}
	m->n_filters = kept;
	return true;
}

static void write_filters(struct json_out *out, const void *field, const struct json_row *row)
{
	const struct ctl_map_response *m = field;
	const struct ctl_filter all = { .name = "*", .remove = true };
	bool first = true;
	(void)row;
	json_put(out, "{");
	if (m->filters_clear)
		filter_map.write(out, &all, &first);
	for (size_t i = 0; i < m->n_filters; i++)
		filter_map.write(out, &m->filters[i], &first);
	json_put(out, "}");
}

static bool filters_empty(const void *field)
{
	const struct ctl_map_response *m = field;
	return m->n_filters == 0 && !m->filters_clear;
}

static const struct json_codec filters = { NULL, read_filters, write_filters, filters_empty };

/* --- response --- */
static const struct json_row ping_rows[] = {
	{ "URL", &json_str, offsetof(struct ctl_ping, url), 0, 0, NULL },
	{ "URLIsNoise", &json_bool, offsetof(struct ctl_ping, url_is_noise), JSON_OMIT, 0, NULL },
	{ "Types", &json_str, offsetof(struct ctl_ping, types), JSON_OMIT, 0, NULL },
	{ "IP", &json_str, offsetof(struct ctl_ping, ip), JSON_OMIT, 0, NULL },
	{ 0 },
};
static const struct json_shape ping_shape = { ping_rows, sizeof(struct ctl_ping), NULL };

#define AT(field) offsetof(struct ctl_map_response, field)
#define RES(name, codec, field, arg) \
	{ \
		name, codec, AT(field), JSON_OMIT, 0, arg \
	}
#define RES_DELTA(name, codec, field, arg) \
	{ \
		name, codec, AT(field), JSON_OMIT | JSON_DELTA, 0, arg \
	}
static const struct json_row debug_rows[] = {
	RES("DisableLogTail", &json_bool, disable_log_tail, NULL),
	RES("SleepSeconds", &json_f64, sleep_seconds, NULL),
	{ 0 },
};
static const struct json_shape debug_shape = { debug_rows, sizeof(struct ctl_map_response), NULL };
static const struct json_row response_rows[] = {
	RES("KeepAlive", &json_bool, keep_alive, NULL),
	RES("PingRequest", &json_pointer, ping, &ping_shape),
	RES_DELTA("Node", &json_pointer, node, &node_shape),
	RES("DERPMap", &json_pointer, derp_map, &derp_map_shape),
	RES_DELTA("Peers", &json_nodes, peers, &node_shape),
	RES_DELTA("PeersChanged", &json_nodes, peers_changed, &node_shape),
	RES_DELTA("PeersRemoved", &json_numbers, peers_removed, NULL),
	RES_DELTA("PeersChangedPatch", &json_list, patches, &patch_shape),
	RES("PeerSeenChange", &json_map_list, seen, &online_map),
	RES("OnlineChange", &json_map_list, online, &online_map),
	RES("DNSConfig", &json_pointer, dns, &dns_shape),
	RES("Domain", &json_str_or_null, domain, NULL),
	{ "PacketFilter", &filter_rules, AT(filter), 0, AT(has_filter), NULL },
	{ "PacketFilters", &filters, 0, JSON_OMIT, 0, &filter_map },
	RES("SSHPolicy", &json_raw, ssh_json, NULL),
	RES("UserProfiles", &json_list, users, &user_shape),
	{ "Health", &json_strings, AT(health), 0, AT(has_health), NULL },
	RES("ControlTime", &json_time, control_time_ms, NULL),
	{ "Debug", &json_inside, 0, 0, AT(has_debug), &debug_shape },
	{ 0 },
};
static const struct json_shape response_shape = { response_rows, sizeof(struct ctl_map_response), NULL };

int ctl_map_response_read(
	struct arena *a, const char *json, size_t len, struct ctl_map_response *out, struct errbuf *eb)
{
	struct json_gaps gaps = { 0 };
	struct ctl_map_response m;
	int err = json_read_items(a, json, len, &response_shape, &m, &gaps, eb);
	if (err)
		return err;
	m.problems = arena_memdup(a, gaps.v, gaps.n * sizeof(*gaps.v));
	if (!m.problems)
		return err_say(eb, ERR_TOO_LARGE, "message needs more memory than it may have");
	m.n_problems = gaps.n;
	m.more_problems = gaps.more;
	m.incomplete = gaps.delta;
	*out = m;
	return 0;
}

bool ctl_map_response_write(struct buf *out, const struct ctl_map_response *m)
{
	return json_write(out, &response_shape, m);
}
