/* "acls" and "grants" as rules. A grant becomes one rule for each protocol that its "ip" names, and one for
 * its "app" capabilities; some capabilities give their counterpart to the other side. */
#include "mesh/control/policy/match.h"
#include "mesh/control/policy/reader.h"

#include "mesh/base/text.h"
#include "mesh/proto/json_memory.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TARGET_NAME_MAX = 256, GRANT_PROTOS_MAX = 64 };

static const struct {
	const char *name;
	uint8_t proto;
} proto_names[] = {
	{ "icmp", 1 },
	{ "igmp", 2 },
	{ "ipv4", 4 },
	{ "ip-in-ip", 4 },
	{ "tcp", 6 },
	{ "egp", 8 },
	{ "igp", 9 },
	{ "udp", 17 },
	{ "gre", 47 },
	{ "esp", 50 },
	{ "ah", 51 },
	{ "ipv6-icmp", 58 },
	{ "sctp", 132 },
	{ "fc", 133 },
};

static bool parse_span(const char *text, struct port_span *out)
{
	uint64_t first, last;
	char low[8];
	const char *dash = strchr(text, '-');
	if (!strcmp(text, "*")) {
		*out = (struct port_span) { 0, UINT16_MAX };
		return true;
	}
	if (dash && (size_t)(dash - text) >= sizeof(low))
		return false;
	snprintf(low, sizeof(low), "%.*s", dash ? (int)(dash - text) : 7, text);
	if (!text_u64(low, 1, UINT16_MAX, &first) ||
		!text_u64(dash ? dash + 1 : text, first, UINT16_MAX, &last))
		return false;
	*out = (struct port_span) { (uint16_t)first, (uint16_t)last };
	return true;
}

/* Adds to what the target has. */
static bool read_ports(struct reader *rd, const char *text, struct target *t, const char *where)
{
	size_t n = 1;
	char *copy = arena_strdup(&rd->p->mem, text), *save = NULL;
	for (const char *c = text; *c; c++)
		n += *c == ',';
	struct port_span *ports = arena_array(&rd->p->mem, t->n_ports + n, sizeof(*ports));
	if (!copy || !ports)
		return reader_no_memory(rd);
	if (t->n_ports)
		memcpy(ports, t->ports, t->n_ports * sizeof(*ports));
	t->ports = ports;
	n = t->n_ports;
	for (char *span = strtok_r(copy, ",", &save); span; span = strtok_r(NULL, ",", &save))
		if (!parse_span(span, &t->ports[t->n_ports++]))
			return reader_refuse(rd, where,
				"\"%.64s\" is no port: write *, 22, 80-90 or a list of these", span);
	return t->n_ports > n ? true : reader_refuse(rd, where, "no port after the \":\"");
}

bool access_read_target(struct reader *rd, const char *text, struct target *t, const char *where)
{
	const char *colon = strrchr(text, ':'); /* a v6 address needs no brackets */
	char name[TARGET_NAME_MAX];
	if (!colon || colon == text || (size_t)(colon - text) >= sizeof(name))
		return reader_refuse(rd, where,
			"\"%.64s\" has no ports: write it as \"%.64s:*\" or with a port", text, text);
	size_t len = (size_t)(colon - text);
	bool bracket = text[0] == '[' && text[len - 1] == ']';
	snprintf(name, sizeof(name), "%.*s", (int)(bracket ? len - 2 : len), bracket ? text + 1 : text);
	return selector_read(rd, &t->who, name, AS_TARGET, where) && read_ports(rd, colon + 1, t, where);
}

bool access_read_proto(struct reader *rd, const char *name, uint8_t **protos, size_t *n, const char *where)
{
	uint64_t number = 0;
	for (size_t i = 0; i < ARRAY_LEN(proto_names); i++)
		if (!strcmp(name, proto_names[i].name))
			number = proto_names[i].proto;
	if (!number && !text_u64(name, 1, 255, &number))
		return reader_refuse(
			rd, where, "unknown protocol \"%.32s\": write tcp, udp, icmp, ... or a number", name);
	*protos = arena_alloc(&rd->p->mem, 1);
	if (!*protos)
		return reader_no_memory(rd);
	(*protos)[0] = (uint8_t)number;
	*n = 1;
	return true;
}

/* NULL: said. */
static struct access_rule *add_rule(struct reader *rd)
{
	struct policy *p = rd->p;
	if (p->n_rules == p->rules_size) {
		size_t size = p->rules_size ? p->rules_size * 2 : 16;
		struct access_rule *v = arena_array(&p->mem, size, sizeof(*v));
		if (!v) {
			reader_no_memory(rd);
			return NULL;
		}
		if (p->n_rules)
			memcpy(v, p->rules, p->n_rules * sizeof(*v));
		p->rules = v;
		p->rules_size = size;
	}
	return &p->rules[p->n_rules++];
}

static bool note_self(struct reader *rd, struct access_rule *r, bool star, const char *where)
{
	char at[WHERE_MAX];
	for (size_t i = 0; i < r->n_dst; i++)
		r->self = r->self || selectors_have(&r->dst[i].who, SELECT_SELF);
	snprintf(at, sizeof(at), "%s.dst", where);
	return !r->self || selectors_fit_self(&r->src, star) ||
	       reader_refuse(
		       rd, at, "autogroup:self is for sources that are users, groups or autogroup:member");
}

/* --- acls --- */

static bool read_acl_targets(struct reader *rd, json_t *list, struct access_rule *r, const char *where)
{
	json_t *item;
	size_t i;
	r->dst = arena_array(&rd->p->mem, json_array_size(list), sizeof(*r->dst));
	if (!r->dst)
		return reader_no_memory(rd);
	json_array_foreach(list, i, item)
	{
		char at[WHERE_MAX];
		snprintf(at, sizeof(at), "%s.dst[%zu]", where, i);
		if (!access_read_target(rd, json_string_value(item), &r->dst[r->n_dst++], at))
			return false;
	}
	return true;
}

static bool read_acl(struct reader *rd, json_t *o, const struct rule_place *place, const char *where)
{
	static const char *const names[] = { "action", "proto", "src", "dst", NULL };
	const char *action = json_string_value(json_object_get(o, "action")),
		   *proto = json_string_value(json_object_get(o, "proto"));
	char at[WHERE_MAX];
	json_t *src, *dst;
	struct access_rule r = { .place = *place }, *to;
	if (!reader_keys(rd, o, names, where))
		return false;
	snprintf(at, sizeof(at), "%s.action", where);
	if (!action || strcmp(action, "accept") != 0)
		return reader_refuse(rd, at, "must be \"accept\" (what no rule accepts is denied)");
	snprintf(at, sizeof(at), "%s.proto", where);
	if (json_object_get(o, "proto") && !proto)
		return reader_refuse(rd, at, "must be a string");
	if ((proto && *proto && !access_read_proto(rd, proto, &r.protos, &r.n_protos, at)) ||
		!reader_strings(rd, o, "src", true, where, &src) ||
		!selectors_read(rd, src, "src", AS_SOURCE, where, &r.src) ||
		!reader_strings(rd, o, "dst", true, where, &dst) || !read_acl_targets(rd, dst, &r, where) ||
		!note_self(rd, &r, true, where) || !(to = add_rule(rd)))
		return false;
	*to = r;
	rd->p->self = rd->p->self || r.self;
	return true;
}

bool access_read_acls(struct reader *rd, json_t *root)
{
	json_t *list, *item;
	size_t i;
	if (!reader_objects(rd, root, "acls", &list))
		return false;
	rd->has_rules = rd->has_rules || list;
	struct rule_place *places = reader_places(rd, "acls", list);
	if (!places)
		return false;
	json_array_foreach(list, i, item)
	{
		char where[WHERE_MAX];
		snprintf(where, sizeof(where), "acls[%zu]", i);
		if (!read_acl(rd, item, &places[i], where))
			return false;
	}
	return true;
}

/* --- grants --- */

struct grant {
	struct rule_place place;
	struct selectors src, dst, via;
	json_t *ip, *app;
};

/* Written as a URL, as the first capabilities were: clients ask for it so. */
#define FILE_SEND "https://tailscale.com/cap/file-send"

/* Which side gets which capability beside the one that was written, so that programs find each other. */
static const struct {
	const char *name, *counterpart;
} counterparts[] = {
	{ "tailscale.com/cap/drive", "tailscale.com/cap/drive-sharer" },
	{ "tailscale.com/cap/relay", "tailscale.com/cap/relay-target" },
	{ FILE_SEND, "https://tailscale.com/cap/file-sharing-target" },
};
/* Those of the official service's own domain that a file may give. */
static const char *const reserved_caps[] = { "tailscale.com/cap/drive", "tailscale.com/cap/relay",
	"tailscale.com/cap/kubernetes", "tailscale.com/cap/webui", FILE_SEND };

static bool check_cap_name(struct reader *rd, const char *name, const char *where)
{
	static const char domain[] = "tailscale.com/";
	const char *slash = strchr(name, '/');
	for (size_t i = 0; i < ARRAY_LEN(reserved_caps); i++)
		if (!strcmp(name, reserved_caps[i]))
			return true;
	if (!slash || slash == name || !slash[1] || !memchr(name, '.', (size_t)(slash - name)) ||
		memchr(name, ':', (size_t)(slash - name)))
		return reader_refuse(rd, where, "\"%.80s\" is no capability: write it as domain/path", name);
	return strncmp(name, domain, sizeof(domain) - 1) != 0 ||
	       reader_refuse(rd, where, "\"%.80s\" is in a domain that is not yours", name);
}

static bool check_app(struct reader *rd, const struct grant *g, const char *where)
{
	const char *name;
	json_t *values;
	if (!g->app)
		return true;
	if (!json_is_object(g->app))
		return reader_refuse(rd, where, "\"app\" must be an object of lists");
	json_object_foreach(g->app, name, values)
	{
		if (!check_cap_name(rd, name, where))
			return false;
		if (!json_is_array(values))
			return reader_refuse(rd, where, "\"%.80s\" must be a list", name);
	}
	return !json_object_size(g->app) || !selectors_have(&g->dst, SELECT_INTERNET) ||
	       reader_refuse(rd, where, "capabilities cannot be granted for autogroup:internet");
}

static bool read_grant_targets(struct reader *rd, json_t *list, struct grant *g, const char *where)
{
	json_t *item;
	size_t i;
	char at[WHERE_MAX];
	json_array_foreach(list, i, item)
	{
		size_t before = g->dst.n;
		snprintf(at, sizeof(at), "%s.dst[%zu]", where, i);
		if (!selector_read(rd, &g->dst, json_string_value(item), AS_TARGET, at))
			return false;
		for (size_t k = before; k < g->dst.n; k++)
			if (g->dst.v[k].kind == SELECT_PREFIX && !g->dst.v[k].net.bits)
				return reader_refuse(
					rd, at, "to allow all addresses, write \"*\" or autogroup:internet");
	}
	snprintf(at, sizeof(at), "%s.dst", where);
	return !selectors_have(&g->dst, SELECT_SELF) || selectors_fit_self(&g->src, false) ||
	       reader_refuse(
		       rd, at, "autogroup:self is for sources that are users, groups or autogroup:member");
}

/* A rule from src to dst; ports are those of every target. */
static bool add_grant_rule(struct reader *rd, const struct selectors *src, const struct selectors *dst,
	const struct target *ports, struct access_rule like)
{
	like.src = *src;
	like.dst = arena_alloc(&rd->p->mem, sizeof(*like.dst));
	like.self = selectors_have(dst, SELECT_SELF);
	struct access_rule *r = like.dst ? add_rule(rd) : NULL;
	if (!r)
		return reader_no_memory(rd);
	*like.dst = (struct target) { .who = *dst, .ports = ports->ports, .n_ports = ports->n_ports };
	like.n_dst = 1;
	*r = like;
	rd->p->self = rd->p->self || like.self;
	rd->p->via = rd->p->via || like.via.n;
	return true;
}

static bool add_caps(struct reader *rd, const struct grant *g)
{
	struct target none = { 0 };
	char *text = json_memory_dump(g->app, JSON_COMPACT);
	const char *kept = text ? arena_strdup(&rd->p->mem, text) : NULL;
	json_text_free(text);
	if (!kept)
		return reader_no_memory(rd);
	if (!add_grant_rule(rd, &g->src, &g->dst, &none,
		    (struct access_rule) { .place = g->place, .via = g->via, .caps = kept }))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(counterparts); i++) {
		struct access_rule like = { .place = g->place,
			.via = g->via,
			.caps = arena_printf(&rd->p->mem, "{\"%s\":null}", counterparts[i].counterpart) };
		if (!like.caps)
			return reader_no_memory(rd);
		if (json_object_get(g->app, counterparts[i].name) &&
			!add_grant_rule(rd, &g->dst, &g->src, &none, like))
			return false;
	}
	return true;
}

/* "*", "443", "tcp:443", "icmp:*": what stands before the colon, "" for none. */
static const char *span_of(const char *text, char proto[static 16])
{
	const char *colon = strchr(text, ':');
	snprintf(proto, 16, "%.*s", colon ? (int)(colon - text) : 0, text);
	return colon ? colon + 1 : text;
}

/* The ports of one protocol, in one rule. */
static bool add_proto(struct reader *rd, const struct grant *g, const char *proto, const char *where)
{
	struct access_rule like = { .place = g->place, .via = g->via };
	struct target ports = { 0 };
	json_t *item;
	size_t i;
	json_array_foreach(g->ip, i, item)
	{
		char at[WHERE_MAX], its[16];
		const char *span = span_of(json_string_value(item), its);
		snprintf(at, sizeof(at), "%s.ip[%zu]", where, i);
		if (strcmp(its, proto) != 0)
			continue;
		if (!read_ports(rd, span, &ports, at) ||
			(*proto && !like.n_protos &&
				!access_read_proto(rd, proto, &like.protos, &like.n_protos, at)))
			return false;
	}
	return add_grant_rule(rd, &g->src, &g->dst, &ports, like);
}

static bool add_protos(struct reader *rd, const struct grant *g, const char *where)
{
	json_t *item, *other;
	size_t i, k, n = 0;
	json_array_foreach(g->ip, i, item)
	{
		char proto[16], before[16];
		bool had = false;
		span_of(json_string_value(item), proto);
		json_array_foreach(g->ip, k, other)
		{
			span_of(json_string_value(other), before);
			had = had || (k < i && !strcmp(proto, before));
		}
		if (++n > GRANT_PROTOS_MAX)
			return reader_refuse(rd, where, "more than %d entries in \"ip\"", GRANT_PROTOS_MAX);
		if (!had && !add_proto(rd, g, proto, where))
			return false;
	}
	return true;
}

static bool read_via(struct reader *rd, json_t *o, struct grant *g, const char *where)
{
	json_t *list, *item;
	size_t i;
	if (!reader_strings(rd, o, "via", false, where, &list))
		return false;
	json_array_foreach(list, i, item)
	{
		char at[WHERE_MAX];
		snprintf(at, sizeof(at), "%s.via[%zu]", where, i);
		if (strncmp(json_string_value(item), "tag:", 4) != 0)
			return reader_refuse(rd, at, "must be a tag");
		if (!selector_read(rd, &g->via, json_string_value(item), AS_SOURCE, at))
			return false;
	}
	return true;
}

static bool read_grant(struct reader *rd, json_t *o, const struct rule_place *place, const char *where)
{
	static const char *const names[] = { "src", "dst", "ip", "app", "via", NULL };
	struct grant g = { .place = *place, .app = json_object_get(o, "app") };
	json_t *src, *dst;
	if (!reader_keys(rd, o, names, where) || !reader_strings(rd, o, "src", true, where, &src) ||
		!selectors_read(rd, src, "src", AS_SOURCE, where, &g.src) ||
		!reader_strings(rd, o, "dst", true, where, &dst) || !read_grant_targets(rd, dst, &g, where) ||
		!reader_strings(rd, o, "ip", false, where, &g.ip) || !read_via(rd, o, &g, where) ||
		!check_app(rd, &g, where))
		return false;
	if (!json_array_size(g.ip) && !json_object_size(g.app))
		return reader_refuse(rd, where, "\"ip\" and \"app\" are both empty: nothing is granted");
	return add_protos(rd, &g, where) && (!json_object_size(g.app) || add_caps(rd, &g));
}

bool access_read_grants(struct reader *rd, json_t *root)
{
	json_t *list, *item;
	size_t i;
	if (!reader_objects(rd, root, "grants", &list))
		return false;
	rd->has_rules = rd->has_rules || list;
	struct rule_place *places = reader_places(rd, "grants", list);
	if (!places)
		return false;
	json_array_foreach(list, i, item)
	{
		char where[WHERE_MAX];
		snprintf(where, sizeof(where), "grants[%zu]", i);
		if (!read_grant(rd, item, &places[i], where))
			return false;
	}
	return true;
}

bool access_allow_all(struct reader *rd)
{
	struct selectors any = { 0 };
	struct target all = { 0 };
	return selector_read(rd, &any, "*", AS_SOURCE, "") && read_ports(rd, "*", &all, "") &&
	       add_grant_rule(rd, &any, &any, &all, (struct access_rule) { 0 });
}
