#include "mesh/node/serve/sharing.h"
#include "mesh/netmap/exits.h"
#include "mesh/base/text.h"
#include "mesh/proto/json_memory.h"
#include <ctype.h>
#include <jansson.h>
#include <limits.h>
#include <string.h>

#define CAP_SHARING "https://tailscale.com/cap/file-sharing"
/* Of peers: one that may send files here, and one that takes ours. */
#define CAP_SEND "https://tailscale.com/cap/file-send"
#define CAP_TARGET "https://tailscale.com/cap/file-sharing-target"

bool sharing_is_on(const struct netmap *m)
{
	return m && ctl_cap_has(m->self->node.cap_map_json, CAP_SHARING);
}

/* A tagged machine is nobody's, and so is one without a user (0). */
static bool same_owner(const struct netmap *m, const struct ctl_node *peer)
{
	const struct ctl_node *self = &m->self->node;
	return self->user && self->user == peer->user && !self->tags.n && !peer->tags.n;
}

static bool from_range(const struct ctl_rule *r, const struct addr *ip)
{
	for (size_t i = 0; i < r->n_src; i++) {
		const struct ctl_ip_range *s = &r->src[i];
		if (s->any || (addr_is_v4(&s->first) == addr_is_v4(ip) &&
				      memcmp(ip->b, s->first.b, sizeof(ip->b)) >= 0 &&
				      memcmp(ip->b, s->last.b, sizeof(ip->b)) <= 0))
			return true;
	}
	return false;
}

static bool is_ours(const struct netmap *m, const json_t *dsts)
{
	struct prefix p;
	for (size_t i = 0; i < json_array_size(dsts); i++) {
		const char *text = json_string_value(json_array_get(dsts, i));
		for (size_t k = 0; text && prefix_parse(text, &p) && k < m->self->node.addresses.n; k++)
			if (prefix_contains(&p, &m->self->node.addresses.v[k].ip))
				return true;
	}
	return false;
}

/* One of CapGrant's: the names are in a list (old), or are those of a map. */
static bool grants(const struct netmap *m, const json_t *grant, const char *cap)
{
	const json_t *names = json_object_get(grant, "Caps");
	bool named = json_object_get(json_object_get(grant, "CapMap"), cap);
	for (size_t i = 0; i < json_array_size(names) && !named; i++) {
		const char *name = json_string_value(json_array_get(names, i));
		named = name && !strcmp(name, cap);
	}
	return named && is_ours(m, json_object_get(grant, "Dsts"));
}

static bool rule_grants(
	const struct netmap *m, const struct ctl_rule *r, const struct ctl_node *peer, const char *cap)
{
	bool from = false, granted = false;
	/* Most rules do not speak of it: only those that may are read. */
	if (!r->caps_json || !strstr(r->caps_json, cap))
		return false;
	for (size_t i = 0; i < peer->addresses.n && !from; i++)
		from = from_range(r, &peer->addresses.v[i].ip);
	json_t *list = from ? json_memory_load(r->caps_json, strlen(r->caps_json), 0, NULL, NULL) : NULL;
	for (size_t i = 0; i < json_array_size(list) && !granted; i++)
		granted = grants(m, json_array_get(list, i), cap);
	json_decref(list);
	return granted;
}

/* The access rules give the peer this capability, towards us. */
static bool peer_ctl_cap_has(const struct netmap *m, const struct ctl_node *peer, const char *cap)
{
	for (size_t i = 0; i < m->n_filters; i++)
		for (size_t k = 0; k < m->filters[i].n_rules; k++)
			if (rule_grants(m, &m->filters[i].rules[k], peer, cap))
				return true;
	return false;
}

static const struct addr *address_of(const struct ctl_node *n, bool v4)
{
	for (size_t i = 0; i < n->addresses.n; i++)
		if (addr_is_v4(&n->addresses.v[i].ip) == v4)
			return &n->addresses.v[i].ip;
	return NULL;
}

bool sharing_api_at(const struct netmap *m, const struct ctl_node *peer, struct endpoint *out)
{
	static const char *const services[] = { "peerapi4", "peerapi6" };
	for (size_t f = 0; f < ARRAY_LEN(services); f++) {
		const struct addr *ip = address_of(peer, f == 0);
		if (!ip || !address_of(&m->self->node, f == 0))
			continue;
		for (size_t i = 0; i < peer->hostinfo.n_services; i++) {
			const struct ctl_service *s = &peer->hostinfo.services[i];
			if (!s->port || !s->proto || strcmp(s->proto, services[f]) != 0)
				continue;
			*out = (struct endpoint) { .ip = *ip, .port = s->port };
			return true;
		}
	}
	return false;
}

bool sharing_answers_names(const struct netmap *m, const struct ctl_node *exit, struct endpoint *out)
{
	enum { ALL_EXITS_SINCE = 26 }; /* capability version: older ones say it */
	bool says_so = exit->cap >= ALL_EXITS_SINCE;
	for (size_t i = 0; i < exit->hostinfo.n_services; i++) {
		const struct ctl_service *s = &exit->hostinfo.services[i];
		says_so = says_so || (s->port && s->proto && !strcmp(s->proto, "peerapi-dns-proxy"));
	}
	return says_so && netmap_is_exit(exit) && sharing_api_at(m, exit, out);
}

enum sharing_target sharing_target(const struct netmap *m, const struct ctl_node *peer, bool running)
{
	struct endpoint at;
	if (!running)
		return SHARING_NOT_RUNNING;
	if (!m)
		return SHARING_NO_MAP;
	if (!sharing_is_on(m))
		return SHARING_OFF;
	if (!peer)
		return SHARING_NO_PEER;
	if (peer->hostinfo.os && !strcmp(peer->hostinfo.os, "tvOS"))
		return SHARING_SYSTEM;
	if (!same_owner(m, peer) && !peer_ctl_cap_has(m, peer, CAP_TARGET))
		return SHARING_OTHER_USER;
	if (!sharing_api_at(m, peer, &at))
		return SHARING_NO_API;
	return peer->online == OPT_FALSE ? SHARING_OFFLINE : SHARING_AVAILABLE;
}

const char *sharing_why(enum sharing_target t)
{
	switch (t) {
	case SHARING_AVAILABLE:
	case SHARING_OFFLINE: return "";
	case SHARING_NO_MAP: return "this machine has no map of the network yet; try again in a moment";
	case SHARING_NOT_RUNNING:
		return "this machine is not connected to the network; ropewalk up connects it";
	case SHARING_OFF: return "the network does not let this machine share files; ask who runs its server";
	case SHARING_NO_PEER: return "there is no such machine in the network; ropewalk status lists them";
	case SHARING_SYSTEM: return "its system takes no files";
	case SHARING_NO_API:
		return "it does not say where it takes files; is its program older, or just starting?";
	case SHARING_OTHER_USER:
		return "it is another user's machine, or a tagged one, and the access rules do not let files "
		       "go there";
	case SHARING_UNKNOWN: break;
	}
	return "the reason is not known";
}

bool sharing_accepts(const struct netmap *m, const struct ctl_node *peer)
{
	return sharing_is_on(m) && (same_owner(m, peer) || peer_ctl_cap_has(m, peer, CAP_SEND));
}

static bool ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), n = strlen(end);
	return len >= n && !strcmp(name + len - n, end);
}

bool sharing_name_is_fit(const char *name)
{
	size_t len = strlen(name), n;
	uint32_t v;
	if (!len || len > NAME_MAX || !strcmp(name, ".") || !strcmp(name, "..") ||
		ends_with(name, ".partial") || ends_with(name, ".deleted") ||
		isspace((unsigned char)name[0]) || isspace((unsigned char)name[len - 1]))
		return false;
	for (size_t i = 0; i < len; i += n) {
		n = text_utf8((const uint8_t *)name + i, len - i, &v);
		if (!n || text_is_harmful(v) || (v < 0x80 && strchr("/\\:*\"<>|", (int)v)))
			return false;
	}
	return true;
}
