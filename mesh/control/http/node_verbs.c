/* The admin's verbs of nodes: those that are in, and those that ask. */
#include "mesh/control/http/verbs.h"

#include "mesh/base/text.h"
#include "mesh/control/http/machine.h"
#include "mesh/control/http/values.h"
#include <string.h>

json_t *verb_node(const struct api *a, const struct member *m)
{
	const struct user *u = fleet_user(&a->reg->fleet, m->user);
	char key[KEY_TEXT];
	json_t *o = json_object();
	json_object_set_new(o, "id", json_integer(m->id));
	json_object_set_new(o, "name", json_string(m->name));
	json_object_set_new(o, "fqdn", json_sprintf("%s.%s", m->name, a->cfg->base_domain));
	json_object_set_new(o, "hostname", json_string(m->hostname));
	json_object_set_new(o, "user", json_string(u ? u->name : ""));
	json_object_set_new(o, "addresses", value_addresses(m));
	json_object_set_new(o, "tags", value_strings(&m->tags));
	json_object_set_new(o, "available_routes", value_prefixes(&m->hostinfo.routable_ips));
	json_object_set_new(o, "approved_routes", value_strings(&m->routes));
	json_object_set_new(o, "subnet_routes", value_prefixes(&m->served));
	json_object_set_new(o, "online", json_boolean(m->online));
	json_object_set_new(o, "expired", json_boolean(member_is_expired(m, clock_unix_ms())));
	json_object_set_new(o, "ephemeral", json_boolean(m->ephemeral));
	json_object_set_new(o, "home_derp", json_integer(m->home_derp));
	json_object_set_new(o, "node_key", json_string(key_format(m->key.b, "nodekey:", key)));
	json_object_set_new(o, "os", json_string(m->hostinfo.os ? m->hostinfo.os : ""));
	json_object_set_new(
		o, "version", json_string(m->hostinfo.ipn_version ? m->hostinfo.ipn_version : ""));
	json_object_set_new(o, "created", value_time(m->created_ms));
	json_object_set_new(o, "last_seen", value_time(m->last_seen_ms));
	json_object_set_new(o, "expiry", value_time(m->expiry_ms));
	return o;
}

bool verb_may_touch(const struct api_call *c, const struct member *m)
{
	return !c->own || (m->user == c->own && !member_is_tagged(m));
}

/* The node that is asked for. false: answered, it is not the caller's to touch; whether it is there is not said. */
static bool node_arg(struct api_call *c, int64_t *id)
{
	char text[96];
	*id = verb_number(c, "id");
	const struct member *m = fleet_by_id(&c->api->reg->fleet, *id);
	if (!c->own || (m && verb_may_touch(c, m)))
		return true;
	snprintf(text, sizeof(text), "you have no node %lld", (long long)*id);
	api_reply_error(&c->way, 404, text);
	return false;
}

static json_t *node_made(const struct api *a, const struct registry_result *res, const char *text)
{
	const struct member *m = fleet_by_id(&a->reg->fleet, res->id);
	(void)text;
	return m ? verb_node(a, m) : NULL;
}

static void add_pending(void *arg, const struct pending_info *p)
{
	char from[ADDR_TEXT], key[KEY_TEXT];
	json_t *o = json_object();
	json_object_set_new(o, "id", json_string(p->id));
	json_object_set_new(o, "hostname", json_string(p->hostname));
	json_object_set_new(o, "os", json_string(p->os));
	json_object_set_new(
		o, "from", json_string(addr_is_unspecified(&p->from) ? "" : addr_format(&p->from, from)));
	json_object_set_new(o, "node_key", json_string(key_format(p->key.b, "nodekey:", key)));
	json_object_set_new(o, "since", value_time(p->since_ms));
	json_array_append_new(arg, o);
}

void admin_nodes_pending(struct api_call *c)
{
	json_t *list = json_array();
	registry_pending_each(c->api->reg, add_pending, list);
	api_reply_json(&c->way, 200, list);
}

void admin_nodes_list(struct api_call *c)
{
	const struct fleet *f = &c->api->reg->fleet;
	const char *name = verb_text(c, "user");
	const struct user *only = *name ? fleet_user_named(f, name) : NULL;
	char text[FLEET_USER_NAME + 64];
	if (*name && !only) {
		snprintf(text, sizeof(text), "no user \"%.*s\": `users list` shows them", FLEET_USER_NAME,
			name);
		api_reply_error(&c->way, 400, text);
		return;
	}
	json_t *list = json_array();
	for (size_t i = 0; i < f->n; i++)
		if ((!only || f->v[i]->user == only->id) && verb_may_touch(c, f->v[i]))
			json_array_append_new(list, verb_node(c->api, f->v[i]));
	api_reply_json(&c->way, 200, list);
}

/* --- one, with what it says of its network --- */

static json_t *yes_no(enum opt_bool b)
{
	return b == OPT_ABSENT ? json_null() : json_boolean(b == OPT_TRUE);
}

/* "1-v4": of the region with that number, the better of both families. */
static json_t *latency_value(const struct ctl_netinfo *n)
{
	json_t *o = json_object();
	for (size_t i = 0; i < n->n_latency; i++) {
		char region[16];
		double ms = n->latency[i].seconds * 1000;
		snprintf(region, sizeof(region), "%.*s", (int)strcspn(n->latency[i].key, "-"),
			n->latency[i].key);
		const json_t *had = json_object_get(o, region);
		if (!had || json_real_value(had) > ms)
			json_object_set_new(o, region, json_real(ms));
	}
	return o;
}

static json_t *network_value(const struct ctl_netinfo *n)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o}", "mapping_varies",
		yes_no(n->mapping_varies), "udp", yes_no(n->working_udp), "ipv6", yes_no(n->working_ipv6),
		"upnp", yes_no(n->upnp), "pmp", yes_no(n->pmp), "pcp", yes_no(n->pcp), "link",
		n->link_type ? n->link_type : "", "latency_ms", latency_value(n));
}

static json_t *endpoints_value(const struct ctl_endpoints *e)
{
	json_t *list = json_array();
	char text[ENDPOINT_TEXT];
	for (size_t i = 0; i < e->n; i++)
		json_array_append_new(list, json_string(endpoint_format(&e->v[i], text)));
	return list;
}

void admin_nodes_show(struct api_call *c)
{
	char text[64];
	int64_t id;
	if (!node_arg(c, &id))
		return;
	const struct member *m = fleet_by_id(&c->api->reg->fleet, id);
	if (!m) {
		snprintf(text, sizeof(text), "no node %lld: `nodes list` shows the numbers", (long long)id);
		api_reply_error(&c->way, 400, text);
		return;
	}
	const struct ctl_derp_region *home = config_derp_region(&c->api->streams->set->derp, m->home_derp);
	json_t *o = verb_node(c->api, m);
	json_object_set_new(o, "home_relay", json_string(home ? home->name : ""));
	json_object_set_new(o, "endpoints", endpoints_value(&m->endpoints));
	json_object_set_new(
		o, "os_version", json_string(m->hostinfo.os_version ? m->hostinfo.os_version : ""));
	json_object_set_new(
		o, "network", m->hostinfo.netinfo ? network_value(m->hostinfo.netinfo) : json_null());
	api_reply_json(&c->way, 200, o);
}

void admin_nodes_list_routes(struct api_call *c)
{
	const struct fleet *f = &c->api->reg->fleet;
	json_t *list = json_array();
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i]->routes.n || f->v[i]->hostinfo.routable_ips.n)
			json_array_append_new(list, verb_node(c->api, f->v[i]));
	api_reply_json(&c->way, 200, list);
}

void admin_nodes_approve(struct api_call *c)
{
	struct registry_wait *w = api_later(c, node_made, "");
	machines_recall(c->api->machines, verb_text(c, "id"));
	if (w)
		registry_approve(c->api->reg, verb_text(c, "id"),
			&(struct approve_wish) { .user = verb_text(c, "user"), .by = api_rank(c) }, c->now_ms,
			w);
}

void admin_nodes_reject(struct api_call *c)
{
	struct errbuf eb = { 0 };
	machines_recall(c->api->machines, verb_text(c, "id"));
	if (registry_pending_reject(c->api->reg, verb_text(c, "id"), c->now_ms, &eb))
		api_reply_error(&c->way, 400, eb.text);
	else
		api_reply_json(&c->way, 200, json_pack("{s:s}", "rejected", verb_text(c, "id")));
}

void admin_nodes_delete(struct api_call *c)
{
	int64_t id;
	struct registry_wait *w = node_arg(c, &id) ? api_later(c, verb_deleted, "") : NULL;
	if (w)
		registry_node_delete(c->api->reg, id, w);
}

/* A moment, or a time from now; "" is now. false: neither, or beyond what is counted. */
static bool read_when(const char *text, int64_t now_ms, int64_t *out)
{
	uint64_t ms;
	*out = now_ms;
	if (!*text || text_time_ms(text, out))
		return true;
	return text_duration_ms(text, &ms) && ms <= INT64_MAX &&
	       !__builtin_add_overflow(now_ms, (int64_t)ms, out);
}

void admin_nodes_expire(struct api_call *c)
{
	int64_t id, at;
	if (!node_arg(c, &id))
		return;
	if (!read_when(verb_text(c, "at"), c->now_ms, &at)) {
		api_reply_error(&c->way, 400,
			"--at is a time such as 2027-01-31T08:00:00Z, or one from now such as 30d");
		return;
	}
	struct registry_wait *w = api_later(c, node_made, "");
	if (w)
		registry_node_expire(c->api->reg, id, at, c->now_ms, w);
}

void admin_nodes_keep(struct api_call *c)
{
	struct registry_wait *w = api_later(c, node_made, "");
	if (w)
		registry_node_expire(c->api->reg, verb_number(c, "id"), FLEET_NO_TIME, c->now_ms, w);
}

void admin_nodes_rename(struct api_call *c)
{
	int64_t id;
	struct registry_wait *w = node_arg(c, &id) ? api_later(c, node_made, "") : NULL;
	if (w)
		registry_node_rename(c->api->reg, id, verb_text(c, "name"), w);
}

void admin_nodes_tag(struct api_call *c)
{
	struct registry_wait *w = api_later(c, node_made, "");
	if (w)
		registry_node_tag(c->api->reg, verb_number(c, "id"), verb_text(c, "tags"), w);
}

void admin_nodes_approve_routes(struct api_call *c)
{
	struct registry_wait *w = api_later(c, node_made, "");
	if (w)
		registry_node_routes(c->api->reg, verb_number(c, "id"), verb_text(c, "routes"), w);
}
