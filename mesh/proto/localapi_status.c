#include "mesh/proto/localapi_status.h"
#include "mesh/proto/shapes.h"
#include <stdio.h>

#define PEER(name, codec, field, arg) \
	{ \
		name, codec, offsetof(struct api_peer, field), 0, 0, arg \
	}
static const struct json_row peer_rows[] = {
	PEER("ID", &json_str, stable_id, NULL),
	PEER("NodeID", &json_i64, node_id, NULL),
	PEER("PublicKey", &json_key, key, nodekey_prefix),
	PEER("HostName", &json_str, host_name, NULL),
	PEER("DNSName", &json_str, dns_name, NULL),
	PEER("OS", &json_str, os, NULL),
	PEER("UserID", &json_i64, user_id, NULL),
	PEER("TailscaleIPs", &json_addr_list, ips, NULL),
	PEER("AllowedIPs", &json_prefixes, allowed, NULL),
	{ "Tags", &json_strings, offsetof(struct api_peer, tags), JSON_OMIT, 0, NULL },
	{ "PrimaryRoutes", &json_prefixes, offsetof(struct api_peer, primary_routes), JSON_OMIT, 0, NULL },
	PEER("Addrs", &json_endpoint_list, addrs, NULL),
	PEER("CurAddr", &json_str, cur_addr, NULL),
	PEER("Relay", &json_str, relay, NULL),
	PEER("RxBytes", &json_u64, rx_bytes, NULL),
	PEER("TxBytes", &json_u64, tx_bytes, NULL),
	PEER("Created", &json_time, created_ms, NULL),
	PEER("LastWrite", &json_time, last_write_ms, NULL),
	PEER("LastSeen", &json_time, last_seen_ms, NULL),
	PEER("LastHandshake", &json_time, last_handshake_ms, NULL),
	PEER("Online", &json_bool, online, NULL),
	PEER("ExitNode", &json_bool, exit_node, NULL),
	PEER("ExitNodeOption", &json_bool, exit_node_option, NULL),
	PEER("Active", &json_bool, active, NULL),
	PEER("PeerAPIURL", &json_strings, peer_api_urls, NULL),
	PEER("TaildropTarget", &json_i32, file_target, NULL),
	{ "CapMap", &json_raw, offsetof(struct api_peer, cap_map_json), JSON_OMIT, 0, NULL },
	PEER("InNetworkMap", &json_bool, in_network_map, NULL),
	PEER("InEngine", &json_bool, in_engine, NULL),
	{ "Expired", &json_bool, offsetof(struct api_peer, expired), JSON_OMIT, 0, NULL },
	{ "KeyExpiry", &json_time, offsetof(struct api_peer, key_expiry_ms), JSON_OMIT, 0, NULL },
	{ "Location", &json_pointer, offsetof(struct api_peer, location), JSON_OMIT, 0, &location_shape },
	{ "Why", &json_str, offsetof(struct api_peer, why), JSON_OMIT, 0, NULL },
	{ 0 },
};
static const struct json_shape peer_shape = { peer_rows, sizeof(struct api_peer), NULL };

/* --- Peer: {"nodekey:...": {...}} --- */
static bool peer_read(struct json_in *in, const char *key, const json_t *v, void *element)
{
	struct api_peer *p = element;
	json_init(&peer_shape, p);
	return json_read_object(in, v, &peer_shape, p) &&
	       (key_parse(key, nodekey_prefix, p->key.b) || json_fail(in, "not a node key"));
}

static void peer_write(struct json_out *out, const void *element, bool *first)
{
	const struct api_peer *p = element;
	char key[KEY_TEXT];
	json_put_name(out, key_format(p->key.b, nodekey_prefix, key), first);
	json_put_object(out, &peer_shape, p);
}

static const struct json_map peer_map = { sizeof(struct api_peer), false, peer_read, peer_write };

/* --- User: {"1": {...}} --- */
static const struct json_row user_rows[] = {
	{ "ID", &json_i64, offsetof(struct api_user, id), 0, 0, NULL },
	{ "LoginName", &json_str, offsetof(struct api_user, login_name), 0, 0, NULL },
	{ "DisplayName", &json_str, offsetof(struct api_user, display_name), 0, 0, NULL },
	{ "ProfilePicURL", &json_str, offsetof(struct api_user, profile_pic), JSON_OMIT, 0, NULL },
	{ 0 },
};
static const struct json_shape api_user_shape = { user_rows, sizeof(struct api_user), NULL };

static bool user_read(struct json_in *in, const char *key, const json_t *v, void *element)
{
	struct api_user *u = element;
	json_init(&api_user_shape, u);
	return json_read_object(in, v, &api_user_shape, u) &&
	       (json_text_i64(key, &u->id) || json_fail(in, "not a user id"));
}

static void user_write(struct json_out *out, const void *element, bool *first)
{
	const struct api_user *u = element;
	char key[24];
	snprintf(key, sizeof(key), "%lld", (long long)u->id);
	json_put_name(out, key, first);
	json_put_object(out, &api_user_shape, u);
}

static const struct json_map user_map = { sizeof(struct api_user), false, user_read, user_write };

/* --- Drops: {"name": n} --- */
static bool drop_read(struct json_in *in, const char *key, const json_t *v, void *element)
{
	struct api_drop *d = element;
	d->name = arena_strdup(in->arena, key);
	return d->name && json_u64.read(in, v, &d->n, NULL);
}

static void drop_write(struct json_out *out, const void *element, bool *first)
{
	const struct api_drop *d = element;
	json_put_name(out, d->name, first);
	json_u64.write(out, &d->n, NULL);
}

static const struct json_map drop_map = { sizeof(struct api_drop), false, drop_read, drop_write };

/* --- the whole --- */
#define STATUS(name, codec, field, arg) \
	{ \
		name, codec, offsetof(struct api_status, field), 0, 0, arg \
	}
/* CurrentTailnet: members of the same struct in an object of their own. */
static const struct json_row tailnet_rows[] = {
	STATUS("Name", &json_str, tailnet, NULL),
	STATUS("MagicDNSSuffix", &json_str, magic_suffix, NULL),
	STATUS("MagicDNSEnabled", &json_bool, magic_dns, NULL),
	{ 0 },
};
static const struct json_shape tailnet_shape = { tailnet_rows, sizeof(struct api_status), NULL };
static const struct json_row exit_rows[] = {
	{ "ID", &json_str, offsetof(struct api_exit, id), 0, 0, NULL },
	{ "Online", &json_bool, offsetof(struct api_exit, online), 0, 0, NULL },
	{ "TailscaleIPs", &json_prefixes, offsetof(struct api_exit, ips), 0, 0, NULL },
	{ 0 },
};
static const struct json_shape exit_shape = { exit_rows, sizeof(struct api_exit), NULL };
#define DATA(name, codec, field) \
	{ \
		name, codec, offsetof(struct api_data_path, field), 0, 0, NULL \
	}
static const struct json_row data_rows[] = {
	DATA("Threads", &json_i64, threads),
	DATA("SecondRuns", &json_bool, second_runs),
	DATA("SecondPackets", &json_u64, second_packets),
	DATA("TSO", &json_bool, tso),
	DATA("USO", &json_bool, uso),
	DATA("GSO", &json_bool, gso),
	DATA("GRO", &json_bool, gro),
	{ 0 },
};
static const struct json_shape data_shape = { data_rows, sizeof(struct api_data_path), NULL };
#define STATUS_ROWS \
	STATUS("Version", &json_str, version, NULL), STATUS("TUN", &json_bool, tun, NULL), \
		STATUS("BackendState", &json_str, backend_state, NULL), \
		STATUS("HaveNodeKey", &json_bool, have_node_key, NULL), \
		STATUS("AuthURL", &json_str, auth_url, NULL), \
		STATUS("TailscaleIPs", &json_addr_list, ips, NULL), \
		STATUS("Self", &json_inside, self, &peer_shape), \
		{ "ExitNodeStatus", &json_pointer, offsetof(struct api_status, exit), JSON_OMIT, 0, \
			&exit_shape }, \
		STATUS("Health", &json_strings, health, NULL), \
		STATUS("MagicDNSSuffix", &json_str, magic_suffix, NULL), \
		{ "CurrentTailnet", &json_inside, 0, 0, 0, &tailnet_shape }, \
		STATUS("User", &json_map_list, users, &user_map), \
		STATUS("Drops", &json_map_list, drops, &drop_map), \
		STATUS("Control", &json_str, control, NULL), STATUS("AEAD", &json_str, aead, NULL), \
		STATUS("DataPath", &json_inside, data, &data_shape), \
		{ "ExtraRecords", &json_list, offsetof(struct api_status, extra), JSON_OMIT, 0, \
			&record_shape }, \
	{ \
		"Problems", &json_strings, offsetof(struct api_status, problems), JSON_OMIT, 0, NULL \
	}
/* Peer is the last member: a node with many writes it piece by piece. */
#define STATUS_PEER STATUS("Peer", &json_map_list, peers, &peer_map)
static const struct json_row head_rows[] = { STATUS_ROWS, { 0 } };
static const struct json_row status_rows[] = { STATUS_ROWS, STATUS_PEER, { 0 } };
static const struct json_shape head_shape = { head_rows, sizeof(struct api_status), NULL };
static const struct json_shape status_shape = { status_rows, sizeof(struct api_status), NULL };

bool api_status_write_begin(struct buf *out, const struct api_status *s)
{
	size_t before = out->len;
	struct json_out o = { .to = out };
	bool first = true;
	json_put(&o, "{");
	json_put_rows(&o, &head_shape, s, &first);
	json_put_name(&o, "Peer", &first);
	json_put(&o, "{");
	if (o.bad)
		out->len = before;
	return !o.bad;
}

bool api_status_write_peer(struct buf *out, const struct api_peer *p, bool *first)
{
	size_t before = out->len;
	struct json_out o = { .to = out };
	peer_write(&o, p, first);
	if (o.bad)
		out->len = before;
	return !o.bad;
}

bool api_status_write_end(struct buf *out)
{
	return buf_append(out, "}}", 2);
}

bool api_status_write(struct buf *out, const struct api_status *s)
{
	return json_write(out, &status_shape, s);
}

int api_status_read(struct arena *a, const char *json, size_t len, struct api_status *out, struct errbuf *eb)
{
	return json_read_own(a, json, len, &status_shape, out, eb);
}
