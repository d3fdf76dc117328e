#include "mesh/proto/shapes.h"
#include "mesh/proto/json_memory.h"
#include <string.h>

static const char legacy_derp[] = "127.3.3.40:";

/* DERP: "127.3.3.40:N", what HomeDERP was before capability 111. Only read; HomeDERP wins (finish). */
static bool read_legacy_home(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	(void)row;
	const char *s = json_string_value(v);
	int64_t n = 0;
	if (!s)
		return json_fail(in, "not a string");
	if (strncmp(s, legacy_derp, sizeof(legacy_derp) - 1) == 0)
		s += sizeof(legacy_derp) - 1;
	else if (*s)
		return json_fail(in, "not 127.3.3.40:N");
	if (*s && (!json_text_i64(s, &n) || n < 0 || n > UINT16_MAX))
		return json_fail(in, "not 127.3.3.40:N");
	if (n)
		*(int32_t *)field = (int32_t)n;
	return true;
}

/* HomeDERP stands behind DERP in the table: a region given here is the last word, 0 leaves the legacy one. */
static bool read_home(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	int32_t n;
	if (!json_i32.read(in, v, &n, row))
		return false;
	if (n < 0 || n > UINT16_MAX)
		return json_fail(in, "not a region id");
	if (n)
		*(int32_t *)field = n;
	return true;
}

static void write_home(struct json_out *out, const void *field, const struct json_row *row)
{
	json_i32.write(out, field, row);
}

static void write_nothing(struct json_out *out, const void *field, const struct json_row *row)
{
	(void)field;
	(void)row;
	json_put(out, "\"\"");
}

static bool always_empty(const void *field)
{
	(void)field;
	return true;
}

static bool home_empty(const void *field)
{
	return *(const int32_t *)field == 0;
}

static const struct json_codec legacy_home = { NULL, read_legacy_home, write_nothing, always_empty };
static const struct json_codec home = { NULL, read_home, write_home, home_empty };

static bool finish_node(struct json_in *in, void *obj)
{
	struct ctl_node *n = obj;
	if (n->id <= 0)
		return json_fail(in, "ID is not positive");
	if (!n->allowed_ips.v)
		n->allowed_ips = n->addresses;
	return true;
}

#define NODE(name, codec, field, flags) \
	{ \
		name, codec, offsetof(struct ctl_node, field), flags, 0, NULL \
	}
#define KEY_OF(name, field, prefix, flags) \
	{ \
		name, &json_key, offsetof(struct ctl_node, field), flags, 0, prefix \
	}
static const struct json_row node_rows[] = {
	NODE("ID", &json_i64, id, JSON_MUST),
	NODE("StableID", &json_str, stable_id, 0),
	NODE("Name", &json_str, name, 0),
	NODE("User", &json_i64, user, 0),
	KEY_OF("Key", key, nodekey_prefix, 0),
	NODE("KeyExpiry", &json_until, key_expiry_ms, JSON_OMIT),
	KEY_OF("Machine", machine, machinekey_prefix, JSON_OMIT),
	KEY_OF("DiscoKey", disco, discokey_prefix, JSON_OMIT),
	NODE("Addresses", &json_prefixes, addresses, 0),
	NODE("AllowedIPs", &json_prefixes, allowed_ips, 0),
	NODE("Endpoints", &json_endpoints, endpoints, JSON_OMIT),
	NODE("DERP", &legacy_home, home_derp, JSON_OMIT),
	NODE("HomeDERP", &home, home_derp, JSON_OMIT),
	{ "Hostinfo", &json_inside, offsetof(struct ctl_node, hostinfo), 0, 0, &hostinfo_shape },
	NODE("Created", &json_time, created_ms, 0),
	NODE("Cap", &json_u16, cap, JSON_OMIT),
	NODE("Tags", &json_strings, tags, JSON_OMIT),
	NODE("PrimaryRoutes", &json_prefixes, primary_routes, JSON_OMIT),
	NODE("LastSeen", &json_time, last_seen_ms, JSON_OMIT),
	NODE("Online", &json_opt, online, JSON_OMIT),
	NODE("MachineAuthorized", &json_bool, machine_authorized, JSON_OMIT),
	NODE("Expired", &json_ended, expired, JSON_OMIT),
	NODE("CapMap", &json_raw, cap_map_json, JSON_OMIT),
	{ 0 },
};
const struct json_shape node_shape = { node_rows, sizeof(struct ctl_node), finish_node };

bool ctl_node_write(struct buf *out, const struct ctl_node *m)
{
	return json_write(out, &node_shape, m);
}

static bool read_nodes(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	return json_list.read(in, v, field, row);
}

static void write_node(struct json_out *out, const struct ctl_node *n)
{
	size_t len = n->written ? strlen(n->written) : 0;
	if (len < 2) {
		json_put_object(out, &node_shape, n);
		return;
	}
	json_put_bytes(out, n->written, n->cap ? len - 1 : len);
	if (n->cap) {
		json_put(out, ",\"Cap\":");
		json_put_i64(out, n->cap);
		json_put(out, "}");
	}
}

struct node_list {
	const struct ctl_node *v;
	size_t n;
};

static void write_nodes(struct json_out *out, const void *field, const struct json_row *row)
{
	struct node_list list;
	(void)row;
	memcpy(&list, field, sizeof(list));
	json_put(out, "[");
	for (size_t i = 0; i < list.n; i++) {
		json_put(out, i ? "," : "");
		write_node(out, &list.v[i]);
	}
	json_put(out, "]");
}

static bool no_nodes(const void *field)
{
	struct node_list list;
	memcpy(&list, field, sizeof(list));
	return !list.n;
}

const struct json_codec json_nodes = { NULL, read_nodes, write_nodes, no_nodes };

#define PATCH(name, codec, field, flags, has, arg) \
	{ \
		name, codec, offsetof(struct ctl_peer_patch, field), flags, has, arg \
	}
#define HAS(field) offsetof(struct ctl_peer_patch, field)
static const struct json_row patch_rows[] = {
	PATCH("NodeID", &json_i64, id, JSON_MUST, 0, NULL),
	PATCH("DERPRegion", &json_i32, derp_region, JSON_OMIT, 0, NULL),
	PATCH("Cap", &json_u16, cap, JSON_OMIT, 0, NULL),
	PATCH("Endpoints", &json_endpoints, endpoints, JSON_OMIT, 0, NULL),
	PATCH("Key", &json_key, key, JSON_MUST, HAS(has_key), nodekey_prefix),
	PATCH("DiscoKey", &json_key, disco, 0, HAS(has_disco), discokey_prefix),
	PATCH("Online", &json_opt, online, JSON_OMIT, 0, NULL),
	PATCH("LastSeen", &json_time, last_seen_ms, 0, HAS(has_last_seen), NULL),
	PATCH("KeyExpiry", &json_time, key_expiry_ms, JSON_MUST, HAS(has_key_expiry), NULL),
	{ 0 },
};

static bool finish_patch(struct json_in *in, void *obj)
{
	return ((struct ctl_peer_patch *)obj)->id > 0 || json_fail(in, "NodeID is not positive");
}

const struct json_shape patch_shape = { patch_rows, sizeof(struct ctl_peer_patch), finish_patch };

#define USER(name, codec, field) \
	{ \
		name, codec, offsetof(struct ctl_user, field), 0, 0, NULL \
	}
static const struct json_row user_rows[] = {
	USER("ID", &json_i64, id),
	USER("LoginName", &json_str, login_name),
	USER("DisplayName", &json_str, display_name),
	{ "ProfilePicURL", &json_str, offsetof(struct ctl_user, profile_pic), JSON_OMIT, 0, NULL },
	{ 0 },
};
const struct json_shape user_shape = { user_rows, sizeof(struct ctl_user), NULL };

bool ctl_user_write(struct buf *out, const struct ctl_user *m)
{
	return json_write(out, &user_shape, m);
}

bool ctl_node_has(const struct ctl_node *n, const struct addr *a)
{
	for (size_t i = 0; i < n->addresses.n; i++)
		if (addr_equal(&n->addresses.v[i].ip, a))
			return true;
	return false;
}

bool ctl_cap_has(const char *cap_map_json, const char *cap)
{
	json_t *o = cap_map_json ? json_memory_load(cap_map_json, strlen(cap_map_json), 0, NULL, NULL) : NULL;
	bool has = json_object_get(o, cap);
	json_decref(o);
	return has;
}
