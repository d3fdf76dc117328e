#include "mesh/proto/localapi.h"
#include "mesh/proto/shapes.h"
#include <string.h>

/* Both functions of a message that is one shape. */
#define PLAIN(name, shape) \
	bool api_##name##_write(struct buf *out, const struct api_##name *m) \
	{ \
		return json_write(out, shape, m); \
	} \
	int api_##name##_read( \
		struct arena *a, const char *json, size_t len, struct api_##name *out, struct errbuf *eb) \
	{ \
		return json_read(a, json, len, shape, out, eb); \
	}

/* --- ping --- */
#define PING(name, codec, field) \
	{ \
		name, codec, offsetof(struct api_ping_result, field), JSON_OMIT, 0, NULL \
	}
static const struct json_row ping_rows[] = {
	PING("IP", &json_str, ip),
	PING("NodeIP", &json_str, node_ip),
	PING("NodeName", &json_str, node_name),
	PING("Err", &json_str, err),
	/* Of an answer in no time at all, too: who reads it looks for a number. */
	{ "LatencySeconds", &json_f64, offsetof(struct api_ping_result, latency_s), 0, 0, NULL },
	PING("Endpoint", &json_str, endpoint),
	PING("DERPRegionID", &json_i32, derp_region),
	PING("DERPRegionCode", &json_str, derp_code),
	PING("PeerAPIPort", &json_u16, peer_api_port),
	PING("PeerAPIURL", &json_str, peer_api_url),
	{ 0 },
};
static const struct json_shape ping_shape = { ping_rows, sizeof(struct api_ping_result), NULL };

bool api_ping_write(struct buf *out, const struct api_ping_result *r)
{
	return json_write(out, &ping_shape, r);
}

int api_ping_read(
	struct arena *a, const char *json, size_t len, struct api_ping_result *out, struct errbuf *eb)
{
	return json_read(a, json, len, &ping_shape, out, eb);
}

/* --- netcheck --- */
static void init_unknown(void *field, const struct json_row *row)
{
	(void)row;
	*(int8_t *)field = -1;
}

static bool read_known(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	bool b;
	if (!json_bool.read(in, v, &b, row))
		return false;
	*(int8_t *)field = b;
	return true;
}

static void write_known(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	int8_t v = *(const int8_t *)field;
	json_put(out, v < 0 ? "null" : v ? "true" : "false");
}

static const struct json_codec known_bool = { init_unknown, read_known, write_known, NULL };

#define LAT(name, codec, field) \
	{ \
		name, codec, offsetof(struct api_region_latency, field), 0, 0, NULL \
	}
static const struct json_row region_rows[] = {
	LAT("RegionID", &json_i32, id),
	LAT("RegionCode", &json_str, code),
	LAT("RegionName", &json_str, name),
	LAT("LatencySeconds", &json_f64, seconds),
	{ 0 },
};
static const struct json_shape region_shape = { region_rows, sizeof(struct api_region_latency), NULL };

/* The official report's: nanoseconds by region's id, of those that answered. By one family of addresses alone where that is
 * the only one there is: with both it is not kept by which one an answer came. */
struct family {
	size_t is, other; /* offsets of struct api_netcheck's bools; 0: both */
};
static const struct family by_v4 = { offsetof(struct api_netcheck, ipv4),
	offsetof(struct api_netcheck, ipv6) },
			   by_v6 = { offsetof(struct api_netcheck, ipv6),
				   offsetof(struct api_netcheck, ipv4) };

static bool read_nothing(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	(void)in, (void)v, (void)field, (void)row;
	return true;
}

static void write_latencies(struct json_out *out, const void *field, const struct json_row *row)
{
	const char *whole = (const char *)field - row->at;
	const struct api_netcheck *r = (const void *)whole;
	const struct family *f = row->arg;
	bool first = true;
	bool said = !f || (*(const bool *)(whole + f->is) && !*(const bool *)(whole + f->other));
	json_put(out, "{");
	for (size_t i = 0; said && i < r->n_regions; i++) {
		char name[16];
		if (r->regions[i].seconds <= 0)
			continue;
		snprintf(name, sizeof(name), "%d", r->regions[i].id);
		json_put_name(out, name, &first);
		json_put_i64(out, (int64_t)(r->regions[i].seconds * 1e9 + 0.5));
	}
	json_put(out, "}");
}

static void write_null(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)field, (void)row;
	json_put(out, "null");
}

static void leave(void *field, const struct json_row *row)
{
	(void)field, (void)row;
}

static const struct json_codec latencies = { leave, read_nothing, write_latencies, NULL },
			       not_looked_at = { leave, read_nothing, write_null, NULL };

#define NET(name, codec, field, arg) \
	{ \
		name, codec, offsetof(struct api_netcheck, field), 0, 0, arg \
	}
static const struct json_row netcheck_rows[] = {
	NET("UDP", &json_bool, udp, NULL),
	NET("IPv4", &json_bool, ipv4, NULL),
	NET("IPv6", &json_bool, ipv6, NULL),
	NET("MappingVariesByDestIP", &known_bool, mapping_varies, NULL),
	NET("UPnP", &known_bool, upnp, NULL),
	NET("PMP", &known_bool, pmp, NULL),
	NET("PCP", &known_bool, pcp, NULL),
	NET("PortMapped", &json_str, mapped, NULL),
	NET("PortNotMapped", &json_str, unmapped, NULL),
	NET("PinholeIPv6", &json_str, pinhole6, NULL),
	NET("NoPinholeIPv6", &json_str, no_pinhole6, NULL),
	NET("GlobalV4", &json_str, global_v4, NULL),
	NET("GlobalV6", &json_str, global_v6, NULL),
	NET("Proxy", &json_str, proxy, NULL),
	NET("PreferredDERP", &json_i32, preferred, NULL),
	NET("Measured", &json_bool, measured, NULL),
	NET("AgeSeconds", &json_f64, age_s, NULL),
	NET("Regions", &json_list, regions, &region_shape),
	NET("Now", &json_time, now_ms, NULL),
	NET("RegionLatency", &latencies, regions, NULL),
	NET("RegionV4Latency", &latencies, regions, &by_v4),
	NET("RegionV6Latency", &latencies, regions, &by_v6),
	NET("CaptivePortal", &not_looked_at, regions, NULL),
	{ 0 },
};
static const struct json_shape netcheck_shape = { netcheck_rows, sizeof(struct api_netcheck), NULL };
PLAIN(netcheck, &netcheck_shape)

/* --- preferences: one list makes the three tables (plain; what a mask sends; what a mask receives) --- */
struct masked_prefs {
	struct api_prefs p;
	struct api_prefs_mask m;
};
/* preftype.NetfilterMode: 0 = off, 1 = nodivert, 2 = on. */
static bool read_netfilter(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	int32_t n;
	if (!json_i32.read(in, v, &n, row))
		return false;
	if (n < 0 || n > 2)
		return json_fail(in, "not 0 (off), 1 (nodivert) or 2 (on)");
	*(enum api_netfilter *)field = (enum api_netfilter)(2 - n);
	return true;
}

static void write_netfilter(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	json_put_i64(out, 2 - (int)*(const enum api_netfilter *)field);
}

static const struct json_codec netfilter_mode = { NULL, read_netfilter, write_netfilter, NULL };

#define PREFS(X) \
	X("ControlURL", json_str, control_url) \
	X("RouteAll", json_bool, route_all) \
	X("CorpDNS", json_bool, corp_dns) \
	X("WantRunning", json_bool, want_running) \
	X("LoggedOut", json_bool, logged_out) \
	X("ShieldsUp", json_bool, shields_up) \
	X("ExitNodeID", json_str, exit_node_id) \
	X("ExitNodeIP", json_str, exit_node_ip) \
	X("ExitNodeAllowLANAccess", json_bool, exit_allow_lan) \
	X("AdvertiseRoutes", json_prefixes, advertise_routes) \
	X("NoSNAT", json_bool, no_snat) \
	X("NoStatefulFiltering", json_opt, no_stateful_filtering) \
	X("RoutesPrefer", json_str, routes_prefer) \
	X("ServerKey", json_str, server_key) \
	X("Hostname", json_str, hostname) \
	X("OperatorUser", json_str, operator_user) \
	X("NetfilterMode", netfilter_mode, netfilter)
static const struct json_row login_rows[] = { { "LoginName", &json_str, 0, 0, 0, NULL }, { 0 } };
static const struct json_shape login_shape = { login_rows, sizeof(const char *), NULL };
static const struct json_row config_rows[] = { { "UserProfile", &json_inside, 0, 0, 0, &login_shape },
	{ 0 } };
static const struct json_shape config_shape = { config_rows, sizeof(const char *), NULL };
#define PLAIN_ROW(name, codec, field) { name, &(codec), offsetof(struct masked_prefs, p.field), 0, 0, NULL },
#define SET_ROW(name, codec, field) \
	{ name "Set", &json_bool, offsetof(struct masked_prefs, m.field), JSON_OMIT, 0, NULL },
#define CHOSEN_ROW(name, codec, field) \
	{ name, &(codec), offsetof(struct masked_prefs, p.field), 0, offsetof(struct masked_prefs, m.field), \
		NULL },
/* Official clients send and expect nothing for none, and take an empty list for a change. */
#define TAGS_ROW \
	{ "AdvertiseTags", &json_strings, offsetof(struct masked_prefs, p.advertise_tags), JSON_OMIT, 0, \
		NULL },
static const struct json_row plain_rows[] = { PREFS(PLAIN_ROW) TAGS_ROW { "InternalExitNodePrior", &json_str,
						      offsetof(struct masked_prefs, p.exit_prior), JSON_OMIT,
						      0, NULL },
	{ "Config", &json_inside, offsetof(struct masked_prefs, p.user), JSON_OMIT,
		offsetof(struct masked_prefs, p.has_user), &config_shape },
	{ 0 } };
static const struct json_row received_rows[] = { PREFS(PLAIN_ROW) TAGS_ROW PREFS(SET_ROW)
		SET_ROW("AdvertiseTags", json_strings, advertise_tags) { 0 } };
static const struct json_row sent_rows[] = { PREFS(CHOSEN_ROW) CHOSEN_ROW("AdvertiseTags", json_strings,
	advertise_tags) PREFS(SET_ROW) SET_ROW("AdvertiseTags", json_strings, advertise_tags) { 0 } };
static const struct json_shape plain_shape = { plain_rows, sizeof(struct api_prefs), NULL };
static const struct json_shape received_shape = { received_rows, sizeof(struct masked_prefs), NULL };
static const struct json_shape sent_shape = { sent_rows, sizeof(struct masked_prefs), NULL };

bool api_prefs_write(struct buf *out, const struct api_prefs *p, const struct api_prefs_mask *mask)
{
	if (!mask)
		return json_write(out, &plain_shape, p);
	struct masked_prefs m = { .p = *p, .m = *mask };
	return json_write(out, &sent_shape, &m);
}

int api_prefs_read(struct arena *a, const char *json, size_t len, struct api_prefs *out,
	struct api_prefs_mask *mask, struct errbuf *eb)
{
	struct masked_prefs m;
	int err = json_read(a, json, len, &received_shape, &m, eb);
	if (err)
		return err;
	*out = m.p;
	if (mask)
		*mask = m.m;
	return 0;
}

/* --- start --- */
static const struct json_row start_rows[] = {
	{ "AuthKey", &json_str, offsetof(struct api_start, auth_key), JSON_OMIT, 0, NULL },
	{ "ForceReauth", &json_bool, offsetof(struct api_start, force_reauth), JSON_OMIT, 0, NULL },
	{ "UpdatePrefs", &json_inside, offsetof(struct api_start, prefs), 0,
		offsetof(struct api_start, has_prefs), &plain_shape },
	{ 0 },
};
static const struct json_shape start_shape = { start_rows, sizeof(struct api_start), NULL };
PLAIN(start, &start_shape)

/* --- bus --- */
static void init_state(void *field, const struct json_row *row)
{
	(void)row;
	*(int *)field = -1;
}

static bool state_absent(const void *field)
{
	return *(const int *)field < 0;
}

static bool read_state(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	int32_t n;
	if (!json_i32.read(in, v, &n, row))
		return false;
	*(int *)field = n;
	return true;
}

static void write_state(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)row;
	json_put_i64(out, *(const int *)field);
}

static const struct json_codec state_number = { init_state, read_state, write_state, state_absent };

#define OUT(name, codec, field) \
	{ \
		name, codec, offsetof(struct api_outgoing, field), 0, 0, NULL \
	}
static const struct json_row outgoing_rows[] = {
	OUT("ID", &json_str, id),
	OUT("PeerID", &json_str, peer),
	OUT("Name", &json_str, name),
	OUT("Started", &json_time, started_ms),
	OUT("DeclaredSize", &json_i64, size),
	OUT("Sent", &json_i64, sent),
	OUT("Finished", &json_bool, finished),
	OUT("Succeeded", &json_bool, succeeded),
	{ 0 },
};
static const struct json_shape outgoing_shape = { outgoing_rows, sizeof(struct api_outgoing), NULL };

#define NOTE(name, codec, field, arg) \
	{ \
		name, codec, offsetof(struct api_notify, field), JSON_OMIT, 0, arg \
	}
static const struct json_row notify_rows[] = {
	NOTE("Version", &json_str, version, NULL),
	NOTE("ErrMessage", &json_str, error, NULL),
	NOTE("State", &state_number, state, NULL),
	NOTE("BrowseToURL", &json_str, browse_to_url, NULL),
	NOTE("OutgoingFiles", &json_list, outgoing, &outgoing_shape),
	{ 0 },
};
static const struct json_shape notify_shape = { notify_rows, sizeof(struct api_notify), NULL };
PLAIN(notify, &notify_shape)

/* --- DNS --- */
struct bytes {
	uint8_t *p;
	size_t len;
};

static bool read_bytes(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	(void)row;
	if (!json_is_string(v))
		return json_fail(in, "not base64");
	size_t len = json_string_length(v);
	struct bytes b = { .p = arena_alloc(in->arena, len) };
	if (!b.p)
		return false;
	long n = base64_decode(json_string_value(v), len, b.p, len);
	if (n < 0)
		return json_fail(in, "not base64");
	b.len = (size_t)n;
	memcpy(field, &b, sizeof(b));
	return true;
}

static void write_bytes(struct json_out *out, const void *field, const struct json_row *row)
{
	enum { STEP = 3 * 64 }; /* whole groups of three: padding comes only at the end */
	char text[STEP / 3 * 4 + 1];
	struct bytes b;
	(void)row;
	memcpy(&b, field, sizeof(b));
	json_put(out, "\"");
	for (size_t at = 0; at < b.len; at += STEP)
		json_put(out, base64_encode(b.p + at, b.len - at < STEP ? b.len - at : STEP, text));
	json_put(out, "\"");
}

static const struct json_codec base64_bytes = { NULL, read_bytes, write_bytes, NULL };

static const struct json_row answer_rows[] = {
	{ "Bytes", &base64_bytes, offsetof(struct api_dns_answer, raw), 0, 0, NULL },
	{ "Resolvers", &json_list, offsetof(struct api_dns_answer, resolvers), 0, 0, &resolver_shape },
	{ "Source", &json_str, offsetof(struct api_dns_answer, source), JSON_OMIT, 0, NULL },
	{ "Route", &json_str, offsetof(struct api_dns_answer, route), JSON_OMIT, 0, NULL },
	{ "TookMs", &json_u64, offsetof(struct api_dns_answer, took_ms), 0, 0, NULL },
	{ 0 },
};
static const struct json_shape answer_shape = { answer_rows, sizeof(struct api_dns_answer), NULL };
PLAIN(dns_answer, &answer_shape)

#define OS(name, codec, field) \
	{ \
		name, codec, offsetof(struct api_dns_os, field), 0, 0, NULL \
	}
static const struct json_row dns_os_rows[] = {
	OS("Nameservers", &json_strings, nameservers),
	OS("SearchDomains", &json_strings, search),
	OS("MatchDomains", &json_strings, match),
	OS("Mode", &json_str, mode),
	OS("Reason", &json_str, reason),
	{ 0 },
};
static const struct json_shape dns_os_shape = { dns_os_rows, sizeof(struct api_dns_os), NULL };
PLAIN(dns_os, &dns_os_shape)

#define SERVER(name, codec, field) \
	{ \
		name, codec, offsetof(struct api_dns_server, field), 0, 0, NULL \
	}
static const struct json_row dns_server_rows[] = {
	SERVER("Addr", &json_str, addr),
	SERVER("Health", &json_str, health),
	SERVER("RTTMs", &json_u64, rtt_ms),
	{ "URL", &json_str, offsetof(struct api_dns_server, url), JSON_OMIT, 0, NULL },
	{ "Fault", &json_str, offsetof(struct api_dns_server, fault), JSON_OMIT, 0, NULL },
	{ "ChangesCase", &json_bool, offsetof(struct api_dns_server, changes_case), JSON_OMIT, 0, NULL },
	{ 0 },
};
static const struct json_shape dns_server_shape = { dns_server_rows, sizeof(struct api_dns_server), NULL };
static const struct json_row dns_route_rows[] = {
	{ "Suffix", &json_str, offsetof(struct api_dns_route, suffix), 0, 0, NULL },
	{ "Site", &json_bool, offsetof(struct api_dns_route, site), JSON_OMIT, 0, NULL },
	{ "Order", &json_str, offsetof(struct api_dns_route, order), 0, 0, NULL },
	{ "Servers", &json_list, offsetof(struct api_dns_route, servers), 0, 0, &dns_server_shape },
	{ 0 },
};
static const struct json_shape dns_route_shape = { dns_route_rows, sizeof(struct api_dns_route), NULL };
static const struct json_row dns_servers_rows[] = {
	{ "Routes", &json_list, offsetof(struct api_dns_servers, routes), 0, 0, &dns_route_shape },
	{ "CacheBytes", &json_u64, offsetof(struct api_dns_servers, cache_bytes), 0, 0, NULL },
	{ "Secure", &json_strings, offsetof(struct api_dns_servers, secure), JSON_OMIT, 0, NULL },
	{ "SecureFault", &json_str, offsetof(struct api_dns_servers, secure_fault), JSON_OMIT, 0, NULL },
	{ "RateLimit", &json_u64, offsetof(struct api_dns_servers, rate_per_s), JSON_OMIT, 0, NULL },
	{ "RateLimited", &json_u64, offsetof(struct api_dns_servers, rate_limited), JSON_OMIT, 0, NULL },
	{ 0 },
};
static const struct json_shape dns_servers_shape = { dns_servers_rows, sizeof(struct api_dns_servers), NULL };
PLAIN(dns_servers, &dns_servers_shape)

static const struct json_row dns_flushed_rows[] = {
	{ "Forgotten", &json_u64, offsetof(struct api_dns_flushed, n), 0, 0, NULL },
	{ 0 },
};
static const struct json_shape dns_flushed_shape = { dns_flushed_rows, sizeof(struct api_dns_flushed), NULL };
PLAIN(dns_flushed, &dns_flushed_shape)

static const struct json_row dns_blocked_rows[] = {
	{ "On", &json_bool, offsetof(struct api_dns_blocked, on), 0, 0, NULL },
	{ "Blocked", &json_bool, offsetof(struct api_dns_blocked, blocked), 0, 0, NULL },
	{ "Group", &json_str, offsetof(struct api_dns_blocked, group), 0, 0, NULL },
	{ "Lines", &json_strings, offsetof(struct api_dns_blocked, lines), 0, 0, NULL },
	{ "Server", &json_str, offsetof(struct api_dns_blocked, server), 0, 0, NULL },
	{ 0 },
};
static const struct json_shape dns_blocked_shape = { dns_blocked_rows, sizeof(struct api_dns_blocked), NULL };
PLAIN(dns_blocked, &dns_blocked_shape)

static const struct json_row dns_blocking_rows[] = {
	{ "On", &json_bool, offsetof(struct api_dns_blocking, on), 0, 0, NULL },
	{ "Lists", &json_u64, offsetof(struct api_dns_blocking, lists), 0, 0, NULL },
	{ "Names", &json_u64, offsetof(struct api_dns_blocking, names), 0, 0, NULL },
	{ "PauseLeftMs", &json_u64, offsetof(struct api_dns_blocking, pause_left_ms), 0, 0, NULL },
	{ 0 },
};
static const struct json_shape dns_blocking_shape = { dns_blocking_rows, sizeof(struct api_dns_blocking),
	NULL };
PLAIN(dns_blocking, &dns_blocking_shape)

#define QUESTION(name, codec, field) \
	{ \
		name, codec, offsetof(struct api_dns_question, field), 0, 0, NULL \
	}
static const struct json_row dns_question_rows[] = {
	QUESTION("UnixMs", &json_i64, unix_ms),
	QUESTION("Client", &json_str, client),
	QUESTION("Name", &json_str, name),
	QUESTION("Type", &json_u16, type),
	QUESTION("RCode", &json_u16, rcode),
	QUESTION("Source", &json_str, source),
	QUESTION("TookMs", &json_u64, took_ms),
	{ 0 },
};
static const struct json_shape dns_question_shape = { dns_question_rows, sizeof(struct api_dns_question),
	NULL };
static const struct json_row dns_log_rows[] = {
	{ "On", &json_bool, offsetof(struct api_dns_log, on), 0, 0, NULL },
	{ "Last", &json_u64, offsetof(struct api_dns_log, last), 0, 0, NULL },
	{ "Questions", &json_list, offsetof(struct api_dns_log, questions), 0, 0, &dns_question_shape },
	{ 0 },
};
static const struct json_shape dns_log_shape = { dns_log_rows, sizeof(struct api_dns_log), NULL };
PLAIN(dns_log, &dns_log_shape)

static const struct json_row dns_count_rows[] = {
	{ "What", &json_str, offsetof(struct api_dns_count, what), 0, 0, NULL },
	{ "N", &json_u64, offsetof(struct api_dns_count, n), 0, 0, NULL },
	{ 0 },
};
static const struct json_shape dns_count_shape = { dns_count_rows, sizeof(struct api_dns_count), NULL };
static const struct json_row dns_top_rows[] = {
	{ "On", &json_bool, offsetof(struct api_dns_top, on), 0, 0, NULL },
	{ "Names", &json_list, offsetof(struct api_dns_top, names), 0, 0, &dns_count_shape },
	{ "Blocked", &json_list, offsetof(struct api_dns_top, blocked), JSON_OMIT, 0, &dns_count_shape },
	{ "Clients", &json_list, offsetof(struct api_dns_top, clients), 0, 0, &dns_count_shape },
	{ 0 },
};
static const struct json_shape dns_top_shape = { dns_top_rows, sizeof(struct api_dns_top), NULL };
PLAIN(dns_top, &dns_top_shape)

/* --- whois and failures --- */
static const struct json_row whois_rows[] = {
	{ "Node", &json_pointer, offsetof(struct api_whois, node), JSON_OMIT, 0, &node_shape },
	{ "UserProfile", &json_pointer, offsetof(struct api_whois, user), JSON_OMIT, 0, &user_shape },
	{ 0 },
};
static const struct json_shape whois_shape = { whois_rows, sizeof(struct api_whois), NULL };
PLAIN(whois, &whois_shape)

struct api_error {
	const char *error;
};
static const struct json_row error_rows[] = {
	{ "error", &json_str_or_null, offsetof(struct api_error, error), 0, 0, NULL },
	{ 0 },
};
static const struct json_shape error_shape = { error_rows, sizeof(struct api_error), NULL };

bool api_error_write(struct buf *out, const char *error)
{
	return json_write(out, &error_shape, &(struct api_error) { .error = error });
}

const char *api_error_read(struct arena *a, const char *json, size_t len)
{
	struct api_error e = { 0 };
	return json_read(a, json, len, &error_shape, &e, NULL) == 0 ? e.error : NULL;
}
