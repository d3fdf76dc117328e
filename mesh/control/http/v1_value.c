/* Values of Headscale's REST API. Written as text, for a list of a thousand nodes is a megabyte of it; the values that
 * stand in answers of their own are read from that. */
#include "mesh/control/http/v1.h"

#include "mesh/base/text.h"
#include "mesh/control/http/values.h"
#include "mesh/proto/json_memory.h"
#include <string.h>

/* --- text --- */

static void put_name(struct json_out *o, const char *name)
{
	json_put(o, "\"");
	json_put(o, name);
	json_put(o, "\":");
}

static void put_text(struct json_out *o, const char *name, const char *text)
{
	put_name(o, name);
	json_put_string(o, text);
	json_put(o, ",");
}

static void put_flag(struct json_out *o, const char *name, bool on)
{
	put_name(o, name);
	json_put(o, on ? "true," : "false,");
}

static void put_id(struct json_out *o, int64_t id)
{
	put_name(o, "id");
	json_put(o, "\"");
	json_put_i64(o, id);
	json_put(o, "\",");
}

static void put_time(struct json_out *o, const char *name, int64_t ms)
{
	char text[40];
	put_name(o, name);
	if (ms == FLEET_NO_TIME)
		json_put(o, "null");
	else
		json_put_string(o, text_time_format(ms, text));
	json_put(o, ",");
}

static void put_key(
	struct json_out *o, const char *name, const char *prefix, const uint8_t key[static KEY_LEN])
{
	char text[KEY_TEXT];
	put_text(o, name, key_format(key, prefix, text));
}

static void put_strings(struct json_out *o, const char *name, const struct ctl_strings *s)
{
	put_name(o, name);
	json_put(o, "[");
	for (size_t i = 0; i < s->n; i++) {
		json_put(o, i ? "," : "");
		json_put_string(o, s->v[i]);
	}
	json_put(o, "],");
}

static void put_prefixes(struct json_out *o, const char *name, const struct ctl_prefixes *p)
{
	char text[PREFIX_TEXT];
	put_name(o, name);
	json_put(o, "[");
	for (size_t i = 0; i < p->n; i++) {
		json_put(o, i ? "," : "");
		json_put_string(o, prefix_format(&p->v[i], text));
	}
	json_put(o, "],");
}

/* "tag:a,tag:b" as a list. */
static void put_tags(struct json_out *o, const char *name, const char *tags)
{
	put_name(o, name);
	json_put(o, "[");
	for (bool first = true; *tags;) {
		char one[STORE_TAGS];
		size_t len = strcspn(tags, ",");
		snprintf(one, sizeof(one), "%.*s", (int)len, tags);
		if (len) {
			json_put(o, first ? "" : ",");
			json_put_string(o, one);
			first = false;
		}
		tags += len + (tags[len] == ',');
	}
	json_put(o, "]");
}

static void put_addresses(struct json_out *o, const struct member *m)
{
	char text[ADDR_TEXT];
	put_name(o, "ipAddresses");
	json_put(o, "[");
	if (m->has_v4)
		json_put_string(o, addr_format(&m->v4, text));
	if (m->has_v6) {
		json_put(o, m->has_v4 ? "," : "");
		json_put_string(o, addr_format(&m->v6, text));
	}
	json_put(o, "],");
}

/* --- things --- */

/* who: at the provider they log in by; NULL: they do not. */
static void put_user(struct json_out *o, const struct user *u, const struct person *who)
{
	char id[2 * PERSON_TEXT + 1] = "";
	if (who)
		snprintf(id, sizeof(id), "%s/%s", who->issuer, who->subject);
	json_put(o, "{");
	put_id(o, u->id);
	put_text(o, "name", u->name);
	put_time(o, "createdAt", u->created_ms);
	put_text(o, "displayName", who ? who->display : "");
	put_text(o, "email", who ? who->email : "");
	put_text(o, "providerId", id);
	put_text(o, "provider", who ? "oidc" : "");
	json_put(o, "\"profilePicUrl\":\"\"}");
}

/* The owner of a node or key as it is shown: tagged nodes are all of one that is no person. */
static void put_owner(struct json_out *o, const struct api *a, int64_t user, bool tagged)
{
	const struct user *u = fleet_user(&a->reg->fleet, user);
	put_name(o, "user");
	if (tagged)
		put_user(o, &(struct user) { .id = FLEET_TAGGED_USER, .name = "tagged-devices" }, NULL);
	else if (u)
		put_user(o, u, people_of_user(&a->reg->people, u->id));
	else
		json_put(o, "null");
	json_put(o, ",");
}

static void put_preauth(struct json_out *o, const struct api *a, const struct preauth *k, const char *secret)
{
	char shown[STORE_PREFIX + 16];
	snprintf(shown, sizeof(shown), V1_AUTH_SHOWN, k->prefix);
	json_put(o, "{");
	put_owner(o, a, k->user, false);
	put_id(o, k->id);
	put_text(o, "key", secret ? secret : shown);
	put_flag(o, "reusable", k->reusable);
	put_flag(o, "ephemeral", k->ephemeral);
	put_flag(o, "used", k->used);
	put_time(o, "expiration", k->expiry_ms);
	put_time(o, "createdAt", k->created_ms);
	put_tags(o, "aclTags", k->tags);
	json_put(o, "}");
}

void v1_put_node(struct json_out *o, const struct api *a, const struct member *m)
{
	const struct preauth *k = m->preauth ? keyring_by_id(&a->reg->keys, m->preauth) : NULL;
	json_put(o, "{");
	put_id(o, m->id);
	put_key(o, "machineKey", "mkey:", m->machine.b);
	put_key(o, "nodeKey", "nodekey:", m->key.b);
	put_key(o, "discoKey", "discokey:", m->disco.b);
	put_addresses(o, m);
	put_text(o, "name", m->hostname);
	put_owner(o, a, m->user, member_is_tagged(m));
	put_time(o, "lastSeen", m->last_seen_ms);
	put_time(o, "expiry", m->expiry_ms);
	put_name(o, "preAuthKey");
	if (k)
		put_preauth(o, a, k, NULL);
	else
		json_put(o, "null");
	json_put(o, ",");
	put_time(o, "createdAt", m->created_ms);
	put_text(o, "registerMethod",
		m->preauth ? "REGISTER_METHOD_AUTH_KEY"
		: m->id	   ? "REGISTER_METHOD_CLI"
			   : "REGISTER_METHOD_UNSPECIFIED");
	put_text(o, "givenName", m->name);
	put_flag(o, "online", m->online);
	put_strings(o, "approvedRoutes", &m->routes);
	put_prefixes(o, "availableRoutes", &m->hostinfo.routable_ips);
	put_prefixes(o, "subnetRoutes", &m->served);
	put_strings(o, "tags", &m->tags);
	put_strings(o, "forcedTags", &m->tags); /* this one and those below: up to 0.27 */
	put_strings(o, "validTags", &m->tags);
	json_put(o, "\"invalidTags\":[]}");
}

/* --- values --- */

/* What was written; NULL: memory is short. */
static json_t *read_back(struct json_out *o)
{
	json_t *v =
		o->bad ? NULL : json_memory_load((const char *)buf_data(o->to), o->to->len, 0, NULL, NULL);
	buf_wipe(o->to); /* a key may be in it */
	return v;
}

json_t *v1_user(const struct api *a, const struct user *u)
{
	struct buf text = { 0 };
	struct json_out o = { .to = &text };
	put_user(&o, u, people_of_user(&a->reg->people, u->id));
	return read_back(&o);
}

json_t *v1_node(const struct api *a, const struct member *m)
{
	struct buf text = { 0 };
	struct json_out o = { .to = &text };
	v1_put_node(&o, a, m);
	return read_back(&o);
}

json_t *v1_preauth(const struct api *a, const struct preauth *k, const char *secret)
{
	struct buf text = { 0 };
	struct json_out o = { .to = &text };
	put_preauth(&o, a, k, secret);
	return read_back(&o);
}

json_t *v1_id(int64_t id)
{
	return json_sprintf("%lld", (long long)id);
}

json_t *v1_one(const char *name, json_t *v)
{
	return json_pack("{s:o}", name, v);
}

json_t *v1_api_key(const struct api_key *k, bool own)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "id", v1_id(k->id), "prefix",
		json_sprintf("%s%s%s", api_key_word(k->kind), k->prefix, own ? "" : "-***"), "expiration",
		value_time(k->expiry_ms), "createdAt", value_time(k->created_ms), "lastSeen",
		value_time(k->seen_ms));
}
