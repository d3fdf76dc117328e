/* The official service's REST API: devices. */
#include "mesh/control/http/v2.h"

#include "mesh/base/text.h"
#include <stdio.h>
#include <string.h>

enum { ROUTES_TEXT = 16384 };

json_t *v2_time(int64_t ms)
{
	return ms == FLEET_NO_TIME ? json_string("") : value_time(ms);
}

/* --- values --- */

static json_t *owner_name(const struct api *a, const struct member *m)
{
	const struct user *u = member_is_tagged(m) ? NULL : fleet_user(&a->reg->fleet, m->user);
	return json_string(u ? u->name : "tagged-devices");
}

static json_t *latency_value(const struct api *a, const struct member *m)
{
	const struct ctl_derp_region *home = config_derp_region(&a->streams->set->derp, m->home_derp);
	json_t *o = json_object();
	if (home)
		json_object_set_new(o, home->name, json_pack("{s:b, s:i}", "preferred", 1, "latencyMs", 0));
	return o;
}

static json_t *connectivity_value(const struct api *a, const struct member *m)
{
	char text[ENDPOINT_TEXT];
	json_t *list = json_array();
	for (size_t i = 0; i < m->endpoints.n; i++)
		json_array_append_new(list, json_string(endpoint_format(&m->endpoints.v[i], text)));
	return json_pack("{s:o, s:s, s:b, s:o, s:{}}", "endpoints", list, "derp", "", "mappingVariesByDestIP",
		0, "latency", latency_value(a, m), "clientSupports");
}

static json_t *device_value(const struct api *a, const struct member *m, bool all)
{
	json_t *o = json_object();
	json_object_set_new(o, "id", json_sprintf("%lld", (long long)m->id));
	json_object_set_new(o, "nodeId", json_sprintf("n%lld", (long long)m->id)); /* as the map has it */
	json_object_set_new(o, "name", json_sprintf("%s.%s", m->name, a->cfg->base_domain));
	json_object_set_new(o, "hostname", json_string(m->hostname));
	json_object_set_new(o, "addresses", value_addresses(m));
	json_object_set_new(o, "user", owner_name(a, m));
	json_object_set_new(o, "tags", value_strings(&m->tags));
	json_object_set_new(o, "os", json_string(m->hostinfo.os ? m->hostinfo.os : ""));
	json_object_set_new(
		o, "clientVersion", json_string(m->hostinfo.ipn_version ? m->hostinfo.ipn_version : ""));
	json_object_set_new(o, "created", value_time(m->created_ms));
	json_object_set_new(o, "expires", v2_time(m->expiry_ms));
	json_object_set_new(o, "lastSeen", m->online ? json_null() : value_time(m->last_seen_ms));
	json_object_set_new(o, "connectedToControl", json_boolean(m->online));
	json_object_set_new(o, "authorized", json_true());
	json_object_set_new(o, "isExternal", json_false());
	json_object_set_new(o, "isEphemeral", json_boolean(m->ephemeral));
	json_object_set_new(o, "keyExpiryDisabled", json_boolean(m->expiry_ms == FLEET_NO_TIME));
	json_object_set_new(o, "updateAvailable", json_false());
	json_object_set_new(o, "blocksIncomingConnections", json_false());
	json_object_set_new(o, "machineKey", value_key(m->machine.b, "mkey:"));
	json_object_set_new(o, "nodeKey", value_key(m->key.b, "nodekey:"));
	json_object_set_new(o, "tailnetLockError", json_string(""));
	json_object_set_new(o, "tailnetLockKey", json_string(""));
	if (!all)
		return o;
	json_object_set_new(o, "advertisedRoutes", value_prefixes(&m->hostinfo.routable_ips));
	json_object_set_new(o, "enabledRoutes", value_strings(&m->routes));
	json_object_set_new(o, "clientConnectivity", connectivity_value(a, m));
	json_object_set_new(o, "sshEnabled", json_false());
	return o;
}

static json_t *routes_value(const struct member *m)
{
	return json_pack("{s:o, s:o}", "advertisedRoutes", value_prefixes(&m->hostinfo.routable_ips),
		"enabledRoutes", value_strings(&m->routes));
}

/* --- which --- */

/* "12" or "n12". NULL: answered, there is none. */
static const struct member *which(struct api_call *c)
{
	const char *id = c->part[0];
	uint64_t n;
	const struct member *m = text_u64(id + (*id == 'n'), 1, INT64_MAX, &n)
					 ? fleet_by_id(&c->api->reg->fleet, (int64_t)n)
					 : NULL;
	if (!m)
		api_reply_error(&c->way, 404, "no device has this id");
	return m;
}

static bool wants_all(const struct api_call *c)
{
	char text[16];
	return c->head && http_target_query(c->head, "fields", text, sizeof(text)) && !strcmp(text, "all");
}

/* --- filters: members of a device with the values that they may have, several times as any of these --- */

enum { FILTERS_MAX = 32, FILTER_NAME = 48, FILTER_VALUE = 192 };

struct filters {
	size_t n;
	struct filter {
		char name[FILTER_NAME], value[FILTER_VALUE];
	} v[FILTERS_MAX];
};

/* false: answered, they cannot be read. */
static bool filters_read(struct api_call *c, struct filters *out)
{
	char name[FILTER_NAME], value[FILTER_VALUE];
	enum http_value got = HTTP_VALUE_NONE;
	out->n = 0;
	for (size_t i = 0; c->head; i++) {
		got = http_target_nth(c->head, i, name, sizeof(name), value, sizeof(value));
		if (got != HTTP_VALUE_GOOD)
			break;
		if (!strcmp(name, "fields"))
			continue;
		if (out->n == FILTERS_MAX) {
			got = HTTP_VALUE_BAD;
			break;
		}
		memcpy(out->v[out->n].name, name, sizeof(name));
		memcpy(out->v[out->n++].value, value, sizeof(value));
	}
	if (got == HTTP_VALUE_BAD)
		api_reply_error(&c->way, 400, "filters: too many, too long, or badly encoded");
	return got != HTTP_VALUE_BAD;
}

static bool has_value(const json_t *v, const char *text)
{
	char number[32];
	const json_t *item;
	size_t i;
	if (json_is_array(v)) {
		json_array_foreach(v, i, item) if (has_value(item, text)) return true;
		return false;
	}
	if (json_is_boolean(v))
		return !strcmp(text, json_is_true(v) ? "true" : "false");
	if (json_is_integer(v)) {
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(v));
		return !strcmp(text, number);
	}
	return json_is_string(v) && !strcmp(text, json_string_value(v));
}

/* Each name that is filtered by has one of the values that are given for it. */
static bool passes(const struct filters *f, const json_t *device)
{
	for (size_t i = 0; i < f->n; i++) {
		const json_t *v = json_object_get(device, f->v[i].name);
		bool any = false;
		for (size_t k = 0; k < f->n && !any; k++)
			any = !strcmp(f->v[k].name, f->v[i].name) && has_value(v, f->v[k].value);
		if (!any)
			return false;
	}
	return true;
}

void v2_devices_list(struct api_call *c)
{
	const struct fleet *f = &c->api->reg->fleet;
	struct filters wanted;
	bool all = wants_all(c);
	if (!filters_read(c, &wanted))
		return;
	json_t *list = json_array();
	for (size_t i = 0; i < f->n; i++) {
		json_t *device = device_value(c->api, f->v[i], all);
		if (passes(&wanted, device))
			json_array_append(list, device);
		json_decref(device);
	}
	api_reply_json(&c->way, 200, json_pack("{s:o}", "devices", list));
}

void v2_devices_get(struct api_call *c)
{
	const struct member *m = which(c);
	if (m)
		api_reply_json(&c->way, 200, device_value(c->api, m, wants_all(c)));
}

void v2_devices_routes(struct api_call *c)
{
	const struct member *m = which(c);
	if (m)
		api_reply_json(&c->way, 200, routes_value(m));
}

/* --- changes --- */

static json_t *routes_changed(const struct api *a, const struct registry_result *res, const char *text)
{
	const struct member *m = fleet_by_id(&a->reg->fleet, res->id);
	(void)text;
	return m ? routes_value(m) : NULL;
}

void v2_devices_delete(struct api_call *c)
{
	const struct member *m = which(c);
	struct registry_wait *w = m ? api_later(c, made_nothing, "") : NULL;
	if (w)
		registry_node_delete(c->api->reg, m->id, w);
}

/* Whoever is in is authorized. */
void v2_devices_authorize(struct api_call *c)
{
	if (!which(c))
		return;
	if (json_is_true(json_object_get(c->args, "authorized")))
		api_reply_json(&c->way, 200, json_object());
	else
		api_reply_error(&c->way, 501,
			"a device cannot be kept and not be authorized here: expire it, or delete it");
}

void v2_devices_expire(struct api_call *c)
{
	const struct member *m = which(c);
	struct registry_wait *w = m ? api_later(c, made_nothing, "") : NULL;
	if (w)
		registry_node_expire(c->api->reg, m->id, c->now_ms, c->now_ms, w);
}

/* "laptop", or with the network's domain behind it; "" gives it back the name of its host. */
void v2_devices_rename(struct api_call *c)
{
	char name[256] = "", label[FLEET_LABEL];
	const struct member *m = which(c);
	if (!m)
		return;
	(void)asked_text(c, "name", name, sizeof(name));
	size_t len = strcspn(name, ".");
	if (name[len] && strcmp(name + len + 1, c->api->cfg->base_domain) != 0) {
		api_reply_error(&c->way, 400, "this name is not of the network's domain");
		return;
	}
	name[len] = 0;
	if (!len) {
		fleet_label_unique(&c->api->reg->fleet, m->hostname, m->id, label);
		memcpy(name, label, sizeof(label));
	}
	struct registry_wait *w = api_later(c, made_nothing, "");
	if (w)
		registry_node_rename(c->api->reg, m->id, name, w);
}

void v2_devices_tag(struct api_call *c)
{
	char tags[STORE_TAGS];
	const struct member *m = which(c);
	if (!m || !asked_whole_list(c, "tags", tags, sizeof(tags)))
		return;
	if (!v2_may_give(c, tags, &m->tags)) {
		api_reply_error(&c->way, 403, "tags: a client gives tags that it has itself");
		return;
	}
	struct registry_wait *w = api_later(c, made_nothing, "");
	if (w)
		registry_node_tag(c->api->reg, m->id, tags, w);
}

/* Turned on again, the key lasts as long as one that is made now. */
void v2_devices_key(struct api_call *c)
{
	const struct member *m = which(c);
	const json_t *off = json_object_get(c->args, "keyExpiryDisabled");
	int64_t at = m ? m->expiry_ms : 0, life = (int64_t)c->api->reg->c.expiry_ms;
	if (!m)
		return;
	if (json_is_true(off))
		at = FLEET_NO_TIME;
	else if (json_is_false(off) && at == FLEET_NO_TIME && life)
		at = c->now_ms + life;
	struct registry_wait *w = api_later(c, made_nothing, "");
	if (w)
		registry_node_expire(c->api->reg, m->id, at, c->now_ms, w);
}

void v2_devices_address(struct api_call *c)
{
	char text[ADDR_TEXT] = "";
	struct addr a;
	const struct member *m = which(c);
	if (!m)
		return;
	if (!asked_text(c, "ipv4", text, sizeof(text)) || !addr_parse(text, &a) || !addr_is_v4(&a)) {
		api_reply_error(&c->way, 400, "ipv4: this is no IPv4 address");
		return;
	}
	struct registry_wait *w = api_later(c, made_nothing, "");
	if (w)
		registry_node_address(c->api->reg, m->id, &a, w);
}

void v2_devices_approve_routes(struct api_call *c)
{
	char routes[ROUTES_TEXT];
	const struct member *m = which(c);
	if (!m || !asked_whole_list(c, "routes", routes, sizeof(routes)))
		return;
	struct registry_wait *w = api_later(c, routes_changed, "");
	if (w)
		registry_node_routes(c->api->reg, m->id, routes, w);
}
