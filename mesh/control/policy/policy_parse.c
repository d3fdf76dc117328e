#include "mesh/control/policy/policy_parse.h"

#include "mesh/base/text.h"
#include "mesh/control/policy/hujson.h"
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GROUP_MEMBERS_MAX = 4096, WHERE_MAX = 96 };

struct parse {
	struct policy *p;
	json_t *groups, *hosts, *tag_owners;
	const char *text; /* blanked */
	size_t len;
	struct errbuf *eb;
};

static const char *const sections[] = { "groups", "hosts", "tagOwners", "acls", "grants", "nodeAttrs",
	"autoApprovers", "ssh", "tests", "sshTests", "randomizeClientPort", NULL };
static const char *const unused_sections[] = { "nodeAttrs", "autoApprovers", "ssh", "tests", "sshTests",
	"randomizeClientPort" };
static const char *const autogroups[] = { "autogroup:member", "autogroup:tagged", "autogroup:self",
	"autogroup:internet", "autogroup:danger-all", NULL };

static const struct {
	const char *name;
	uint8_t protos[2];
} proto_names[] = {
	{ "icmp", { 1, 58 } },
	{ "igmp", { 2 } },
	{ "ipv4", { 4 } },
	{ "ip-in-ip", { 4 } },
	{ "tcp", { 6 } },
	{ "egp", { 8 } },
	{ "igp", { 9 } },
	{ "udp", { 17 } },
	{ "gre", { 47 } },
	{ "esp", { 50 } },
	{ "ah", { 51 } },
	{ "ipv6-icmp", { 58 } },
	{ "sctp", { 132 } },
	{ "fc", { 133 } },
};

static bool __attribute__((format(printf, 3, 4)))
refuse(struct parse *ps, const char *where, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	struct hujson_place at = hujson_find(ps->text, ps->len, where);
	err_say(ps->eb, ERR_MALFORMED, "%u:%u: %s: %s", at.line, at.column, where, text);
	return false;
}

static bool no_memory(struct parse *ps)
{
	err_set(ps->eb, -ENOMEM, "policy");
	return false;
}

static bool add(struct parse *ps, struct selectors *out, const struct selector *s, const char *where)
{
	/* Grown by doubling at powers of two; old copies die with the arena. */
	if ((out->n & (out->n - 1)) == 0) {
		struct selector *v = arena_array(&ps->p->mem, out->n ? out->n * 2 : 1, sizeof(*v));
		if (!v)
			return no_memory(ps);
		if (out->n)
			memcpy(v, out->v, out->n * sizeof(*v));
		out->v = v;
	}
	if (out->n >= GROUP_MEMBERS_MAX)
		return refuse(ps, where, "more than %d members", GROUP_MEMBERS_MAX);
	out->v[out->n++] = *s;
	return true;
}

static bool add_user(struct parse *ps, struct selectors *out, const char *name, const char *where)
{
	size_t len = strlen(name);
	struct selector s = { .kind = SELECT_USER };
	if (!strchr(name, '@') || len < 2)
		return refuse(ps, where,
			"\"%s\" is not a user: users are written with an @, as in \"alice@\"", name);
	s.text = arena_strndup(&ps->p->mem, name, name[len - 1] == '@' ? len - 1 : len);
	return s.text ? add(ps, out, &s, where) : no_memory(ps);
}

static bool add_group(struct parse *ps, struct selectors *out, const char *name, const char *where)
{
	json_t *members = json_object_get(ps->groups, name), *m;
	size_t i;
	if (!members)
		return refuse(ps, where, "%s is not in \"groups\"", name);
	json_array_foreach(members, i, m) if (!add_user(ps, out, json_string_value(m), where)) return false;
	return true;
}

static bool add_tag(struct parse *ps, struct selectors *out, const char *name, const char *where)
{
	struct selector s = { .kind = SELECT_TAG, .text = arena_strdup(&ps->p->mem, name) };
	if (!json_object_get(ps->tag_owners, name))
		return refuse(ps, where, "%s is not in \"tagOwners\"", name);
	return s.text ? add(ps, out, &s, where) : no_memory(ps);
}

static bool add_autogroup(struct parse *ps, struct selectors *out, const char *name, const char *where)
{
	struct selector s;
	if (!strcmp(name, "autogroup:member"))
		s.kind = SELECT_MEMBER;
	else if (!strcmp(name, "autogroup:tagged"))
		s.kind = SELECT_TAGGED;
	else if (!strcmp(name, "autogroup:self"))
		s.kind = SELECT_SELF;
	else if (!strcmp(name, "autogroup:internet"))
		s.kind = SELECT_INTERNET;
	else if (!strcmp(name, "autogroup:danger-all"))
		s.kind = SELECT_ANY;
	else {
		const char *near = text_nearest(name, autogroups);
		return refuse(ps, where, "unknown %s%s%s%s", name, near ? "; did you mean " : "",
			near ? near : "", near ? "?" : "");
	}
	return add(ps, out, &s, where);
}

static bool add_address(struct parse *ps, struct selectors *out, const char *name, const char *where)
{
	struct selector s = { .kind = SELECT_PREFIX };
	const char *text = json_string_value(json_object_get(ps->hosts, name));
	if (!prefix_parse(text ? text : name, &s.net)) {
		if (text)
			return refuse(
				ps, where, "host \"%s\": \"%s\" is not an address or prefix", name, text);
		return refuse(ps, where,
			"\"%s\" is no user (alice@), group:, tag:, autogroup:, address or name in \"hosts\"",
			name);
	}
	prefix_mask(&s.net);
	return add(ps, out, &s, where);
}

/* One name of a src, dst or owner list. */
static bool add_name(struct parse *ps, struct selectors *out, const char *name, const char *where)
{
	struct selector any = { .kind = SELECT_ANY };
	if (!strcmp(name, "*"))
		return add(ps, out, &any, where);
	if (!strncmp(name, "group:", 6))
		return add_group(ps, out, name, where);
	if (!strncmp(name, "tag:", 4))
		return add_tag(ps, out, name, where);
	if (!strncmp(name, "autogroup:", 10))
		return add_autogroup(ps, out, name, where);
	return strchr(name, '@') ? add_user(ps, out, name, where) : add_address(ps, out, name, where);
}

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
	if (!text_u64(low, 0, UINT16_MAX, &first) ||
		!text_u64(dash ? dash + 1 : text, first, UINT16_MAX, &last))
		return false;
	*out = (struct port_span) { (uint16_t)first, (uint16_t)last };
	return true;
}

static bool parse_ports(struct parse *ps, const char *text, struct target *t, const char *where)
{
	size_t n = 1;
	char *copy = arena_strdup(&ps->p->mem, text), *save = NULL;
	for (const char *c = text; *c; c++)
		n += *c == ',';
	t->ports = arena_array(&ps->p->mem, n, sizeof(*t->ports));
	if (!copy || !t->ports)
		return no_memory(ps);
	for (char *span = strtok_r(copy, ",", &save); span; span = strtok_r(NULL, ",", &save))
		if (!parse_span(span, &t->ports[t->n_ports++]))
			return refuse(
				ps, where, "\"%s\" is no port: write *, 22, 80-90 or a list of these", span);
	return t->n_ports ? true : refuse(ps, where, "no port after the \":\"");
}

/* "host:ports"; a v6 address needs no brackets, the last colon counts. */
static bool parse_target(struct parse *ps, const char *text, struct target *t, const char *where)
{
	const char *colon = strrchr(text, ':');
	char name[256];
	if (!colon || colon == text || (size_t)(colon - text) >= sizeof(name))
		return refuse(
			ps, where, "\"%s\" has no ports: write it as \"%s:*\" or with a port", text, text);
	size_t len = (size_t)(colon - text);
	bool bracket = text[0] == '[' && text[len - 1] == ']';
	snprintf(name, sizeof(name), "%.*s", (int)(bracket ? len - 2 : len), bracket ? text + 1 : text);
	return add_name(ps, &t->who, name, where) && parse_ports(ps, colon + 1, t, where);
}

static bool parse_proto(struct parse *ps, const char *name, struct access_rule *r, const char *where)
{
	uint64_t number;
	r->protos = arena_alloc(&ps->p->mem, 2);
	if (!r->protos)
		return no_memory(ps);
	if (text_u64(name, 1, 255, &number)) {
		r->protos[r->n_protos++] = (uint8_t)number;
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(proto_names); i++)
		if (!strcmp(name, proto_names[i].name)) {
			memcpy(r->protos, proto_names[i].protos, 2);
			r->n_protos = proto_names[i].protos[1] ? 2 : 1;
			return true;
		}
	return refuse(ps, where, "unknown protocol \"%s\": write tcp, udp, icmp, ... or a number", name);
}

/* The array `key` of strings in o; NULL (said) when it is missing or something else. */
static json_t *string_list(struct parse *ps, json_t *o, const char *key, const char *where)
{
	json_t *list = json_object_get(o, key), *item;
	size_t i;
	if (!json_is_array(list)) {
		refuse(ps, where, "\"%s\" must be a list of strings", key);
		return NULL;
	}
	json_array_foreach(list, i, item) if (!json_is_string(item))
	{
		refuse(ps, where, "\"%s\" must be a list of strings", key);
		return NULL;
	}
	return list;
}

static bool parse_src(struct parse *ps, json_t *o, struct access_rule *r, const char *where)
{
	json_t *list = string_list(ps, o, "src", where), *item;
	char at[WHERE_MAX];
	size_t i;
	if (!list)
		return false;
	json_array_foreach(list, i, item)
	{
		snprintf(at, sizeof(at), "%s.src[%zu]", where, i);
		if (!strcmp(json_string_value(item), "autogroup:self") ||
			!strcmp(json_string_value(item), "autogroup:internet"))
			return refuse(ps, at, "%s can only be a destination", json_string_value(item));
		if (!add_name(ps, &r->src, json_string_value(item), at))
			return false;
	}
	return true;
}

static bool known_keys(struct parse *ps, json_t *o, const char *const *names, const char *where)
{
	const char *key;
	json_t *value;
	json_object_foreach(o, key, value)
	{
		size_t i = 0;
		while (names[i] && strcmp(names[i], key) != 0)
			i++;
		if (names[i])
			continue;
		const char *near = text_nearest(key, names);
		char at[WHERE_MAX];
		snprintf(at, sizeof(at), "%s%s%.40s", where, *where ? "." : "", key);
		return refuse(ps, at, "no such field%s%s%s", near ? "; did you mean \"" : "",
			near ? near : "", near ? "\"?" : "");
	}
	return true;
}

static bool parse_acl(struct parse *ps, json_t *o, struct access_rule *r, const char *where)
{
	static const char *const names[] = { "action", "proto", "src", "dst", NULL };
	const char *action = json_string_value(json_object_get(o, "action")),
		   *proto = json_string_value(json_object_get(o, "proto"));
	char at[WHERE_MAX];
	json_t *list, *item;
	size_t i;
	if (!json_is_object(o))
		return refuse(ps, where, "must be an object");
	if (!known_keys(ps, o, names, where))
		return false;
	snprintf(at, sizeof(at), "%s.action", where);
	if (!action || strcmp(action, "accept") != 0)
		return refuse(ps, at, "must be \"accept\" (what no rule accepts is denied)");
	snprintf(at, sizeof(at), "%s.proto", where);
	if (json_object_get(o, "proto") && !proto)
		return refuse(ps, at, "must be a string");
	if ((proto && *proto && !parse_proto(ps, proto, r, at)) || !parse_src(ps, o, r, where) ||
		!(list = string_list(ps, o, "dst", where)))
		return false;
	r->dst = arena_array(&ps->p->mem, json_array_size(list), sizeof(*r->dst));
	if (!r->dst)
		return no_memory(ps);
	json_array_foreach(list, i, item)
	{
		snprintf(at, sizeof(at), "%s.dst[%zu]", where, i);
		if (!parse_target(ps, json_string_value(item), &r->dst[r->n_dst++], at))
			return false;
	}
	return true;
}

static bool parse_acls(struct parse *ps, json_t *list)
{
	json_t *item;
	size_t i;
	if (!list || json_is_null(list))
		return true;
	if (!json_is_array(list))
		return refuse(ps, "acls", "must be a list");
	ps->p->allow_all = false;
	ps->p->rules = arena_array(&ps->p->mem, json_array_size(list), sizeof(*ps->p->rules));
	if (!ps->p->rules)
		return no_memory(ps);
	json_array_foreach(list, i, item)
	{
		char where[WHERE_MAX];
		snprintf(where, sizeof(where), "acls[%zu]", i);
		if (!parse_acl(ps, item, &ps->p->rules[ps->p->n_rules++], where))
			return false;
	}
	return true;
}

static bool check_groups(struct parse *ps)
{
	const char *name;
	json_t *members, *m;
	size_t i;
	json_object_foreach(ps->groups, name, members)
	{
		char where[WHERE_MAX];
		snprintf(where, sizeof(where), "groups.%.64s", name);
		if (strncmp(name, "group:", 6) != 0)
			return refuse(ps, where, "a group's name begins with \"group:\"");
		if (!string_list(ps, ps->groups, name, where))
			return false;
		json_array_foreach(members, i, m) if (!strchr(json_string_value(m), '@')) return refuse(ps,
			where, "\"%s\" is not a user: users are written with an @, as in \"alice@\"",
			json_string_value(m));
	}
	return true;
}

static bool parse_tag_owners(struct parse *ps)
{
	const char *tag;
	json_t *list, *item;
	size_t i;
	ps->p->owners = arena_array(&ps->p->mem, json_object_size(ps->tag_owners), sizeof(*ps->p->owners));
	if (!ps->p->owners)
		return no_memory(ps);
	json_object_foreach(ps->tag_owners, tag, list)
	{
		struct tag_owner *o = &ps->p->owners[ps->p->n_owners++];
		char where[WHERE_MAX];
		snprintf(where, sizeof(where), "tagOwners.%.64s", tag);
		o->tag = arena_strdup(&ps->p->mem, tag);
		if (strncmp(tag, "tag:", 4) != 0 || !tag[4])
			return refuse(ps, where, "a tag's name begins with \"tag:\"");
		if (!string_list(ps, ps->tag_owners, tag, where))
			return false;
		json_array_foreach(list, i,
			item) if (!add_name(ps, &o->owners, json_string_value(item), where)) return false;
	}
	return true;
}

static bool check_hosts(struct parse *ps)
{
	const char *name;
	json_t *value;
	json_object_foreach(ps->hosts, name, value)
	{
		struct prefix net;
		char where[WHERE_MAX];
		snprintf(where, sizeof(where), "hosts.%.64s", name);
		if (!json_is_string(value) || !prefix_parse(json_string_value(value), &net))
			return refuse(ps, where, "must be an address or prefix");
	}
	return true;
}

static bool note_unused(struct parse *ps, json_t *root)
{
	char text[128] = "";
	size_t len = 0;
	for (size_t i = 0; i < ARRAY_LEN(unused_sections); i++)
		if (json_object_get(root, unused_sections[i]))
			len += (size_t)snprintf(
				text + len, sizeof(text) - len, "%s%s", len ? ", " : "", unused_sections[i]);
	ps->p->unused = arena_strdup(&ps->p->mem, text);
	return ps->p->unused || no_memory(ps);
}

static bool parse_document(struct parse *ps, json_t *root)
{
	const char *const objects[] = { "groups", "hosts", "tagOwners" };
	json_t **slots[] = { &ps->groups, &ps->hosts, &ps->tag_owners };
	if (!known_keys(ps, root, sections, ""))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
		*slots[i] = json_object_get(root, objects[i]);
		if (*slots[i] && !json_is_object(*slots[i]) && !json_is_null(*slots[i]))
			return refuse(ps, objects[i], "must be an object");
	}
	if (json_object_get(root, "grants"))
		return refuse(ps, "grants", "is not supported: write the rules as \"acls\"");
	return check_groups(ps) && check_hosts(ps) && parse_tag_owners(ps) &&
	       parse_acls(ps, json_object_get(root, "acls")) && note_unused(ps, root);
}

struct policy *policy_parse(char *text, size_t len, struct errbuf *eb)
{
	struct errbuf scratch;
	json_error_t je;
	hujson_blank(text, len);
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
	struct parse ps = {
		.p = calloc(1, sizeof(*ps.p)), .text = text, .len = len, .eb = eb ? eb : &scratch
	};
	if (!root || !json_is_object(root)) {
		err_say(ps.eb, ERR_MALFORMED,
			root ? "1:1: the policy must be an object: { ... }" : "%d:%d: %s", je.line, je.column,
			je.text);
		goto drop;
	}
	if (!ps.p) {
		no_memory(&ps);
		goto drop;
	}
	ps.p->allow_all = true;
	if (!parse_document(&ps, root))
		goto drop;
	json_decref(root);
	return ps.p;
drop:
	json_decref(root);
	policy_free(ps.p);
	return NULL;
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	arena_free(&p->mem);
	free(p);
}

const char *policy_unused(const struct policy *p)
{
	return p ? p->unused : "";
}
