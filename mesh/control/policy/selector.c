/* Names in a policy: what each may stand for, and where it may be written. */
#include "mesh/control/policy/match.h"
#include "mesh/control/policy/reader.h"

#include "mesh/base/text.h"
#include <ctype.h>
#include <string.h>

/* All of them: a group stands in each rule with all its members, so that a small text can be a large policy. */
enum {
	SELECTORS_MAX = 4096,
	SELECTORS_ALL_MAX = 1000 * 1000,
	AS_PERSON = AS_SOURCE | AS_TARGET | AS_OWNER | AS_SSH_TARGET | AS_ATTR
};

static const struct {
	const char *name;
	enum selector_kind kind;
	int uses;
	const char *otherwise; /* said where it may not be written */
	enum user_role role;
} autogroups[] = {
	{ "autogroup:member", SELECT_MEMBER, AS_PERSON, "", USER_MEMBER },
	{ "autogroup:owner", SELECT_ROLE, AS_PERSON, "", USER_OWNER },
	{ "autogroup:admin", SELECT_ROLE, AS_PERSON, "", USER_ADMIN },
	{ "autogroup:network-admin", SELECT_ROLE, AS_PERSON, "", USER_NETWORK_ADMIN },
	{ "autogroup:it-admin", SELECT_ROLE, AS_PERSON, "", USER_IT_ADMIN },
	{ "autogroup:billing-admin", SELECT_ROLE, AS_PERSON, "", USER_BILLING_ADMIN },
	{ "autogroup:auditor", SELECT_ROLE, AS_PERSON, "", USER_AUDITOR },
	{ "autogroup:tagged", SELECT_TAGGED, AS_PERSON, "", USER_MEMBER },
	{ "autogroup:self", SELECT_SELF, AS_TARGET | AS_SSH_TARGET, "can only be a destination",
		USER_MEMBER },
	{ "autogroup:internet", SELECT_INTERNET, AS_TARGET, "can only be a destination", USER_MEMBER },
	{ "autogroup:danger-all", SELECT_WORLD, AS_SOURCE, "can only be a source", USER_MEMBER },
};

bool selector_add(struct reader *rd, struct selectors *out, const struct selector *s, const char *where)
{
	if (++rd->n_selectors > SELECTORS_ALL_MAX)
		return reader_refuse(rd, where,
			"more than %d names up to here, with groups counted by their members: fewer rules, "
			"or "
			"smaller groups",
			SELECTORS_ALL_MAX);
	/* Grown by doubling at powers of two; old copies die with the arena. */
	if ((out->n & (out->n - 1)) == 0) {
		struct selector *v = arena_array(&rd->p->mem, out->n ? out->n * 2 : 1, sizeof(*v));
		if (!v)
			return reader_no_memory(rd);
		if (out->n)
			memcpy(v, out->v, out->n * sizeof(*v));
		out->v = v;
	}
	if (out->n >= SELECTORS_MAX)
		return reader_refuse(rd, where, "more than %d members", SELECTORS_MAX);
	out->v[out->n++] = *s;
	return true;
}

static bool read_user(struct reader *rd, struct selectors *out, const char *name, const char *where)
{
	size_t len = strlen(name);
	struct selector s = { .kind = SELECT_USER };
	if (!strchr(name, '@') || len < 2)
		return reader_refuse(rd, where,
			"\"%s\" is not a user: users are written with an @, as in \"alice@\"", name);
	if (!strncmp(name, "user:*@", 7)) {
		if (!name[7] || strchr(name + 7, '*'))
			return reader_refuse(rd, where, "\"%s\" has no domain after the @", name);
		s.kind = SELECT_DOMAIN;
		s.text = arena_strdup(&rd->p->mem, name + 6);
	} else {
		s.text = arena_strndup(&rd->p->mem, name, name[len - 1] == '@' ? len - 1 : len);
	}
	return s.text ? selector_add(rd, out, &s, where) : reader_no_memory(rd);
}

/* group:NAME@DOMAIN, that "groups" does not have: what a provider says of people. Domains have no case. */
static bool read_provided(struct reader *rd, struct selectors *out, const char *name, const char *where)
{
	struct selector s = { .kind = SELECT_GROUP };
	char *text = arena_strdup(&rd->p->mem, name + 6), *at = text ? strrchr(text, '@') : NULL;
	if (!text)
		return reader_no_memory(rd);
	if (!at || at == text || !at[1])
		return reader_refuse(rd, where, "\"%s\" is no group of a provider: group:NAME@DOMAIN", name);
	for (; *at; at++)
		*at = (char)tolower((unsigned char)*at);
	s.text = text;
	rd->p->groups = true;
	return selector_add(rd, out, &s, where);
}

static bool read_group(struct reader *rd, struct selectors *out, const char *name, const char *where)
{
	json_t *members = json_object_get(rd->groups, name), *m;
	size_t i;
	if (!members && strchr(name, '@'))
		return read_provided(rd, out, name, where);
	if (!members)
		return reader_refuse(rd, where, "%s is not in \"groups\": add it there", name);
	json_array_foreach(members, i, m)
	{
		const char *text = json_string_value(m);
		if (!(strncmp(text, "group:", 6) ? read_user : read_provided)(rd, out, text, where))
			return false;
	}
	return true;
}

static bool read_tag(struct reader *rd, struct selectors *out, const char *name, const char *where)
{
	struct selector s = { .kind = SELECT_TAG, .text = arena_strdup(&rd->p->mem, name) };
	if (!json_object_get(rd->tag_owners, name))
		return reader_refuse(rd, where, "%s is not in \"tagOwners\": add it there", name);
	return s.text ? selector_add(rd, out, &s, where) : reader_no_memory(rd);
}

static bool read_autogroup(
	struct reader *rd, struct selectors *out, const char *name, enum selector_use use, const char *where)
{
	const char *names[ARRAY_LEN(autogroups) + 1] = { NULL };
	for (size_t i = 0; i < ARRAY_LEN(autogroups); i++) {
		struct selector s = { .kind = autogroups[i].kind, .role = autogroups[i].role };
		names[i] = autogroups[i].name;
		if (s.kind == SELECT_INTERNET && !(s.nets = internet_nets(&rd->p->mem, &s.n_nets)))
			return reader_no_memory(rd);
		if (strcmp(name, autogroups[i].name) != 0)
			continue;
		if (autogroups[i].uses & (int)use)
			return selector_add(rd, out, &s, where);
		return reader_refuse(rd, where, "%s %s", name,
			use == AS_SOURCE || use == AS_TARGET ? autogroups[i].otherwise
							     : "cannot be written here");
	}
	if (!strcmp(name, "autogroup:shared"))
		return reader_refuse(
			rd, where, "%s is not supported: this server shares no machines with others", name);
	const char *near = text_nearest(name, names);
	return reader_refuse(rd, where, "unknown %s%s%s%s", name, near ? "; did you mean " : "",
		near ? near : "", near ? "?" : "");
}

static bool read_address(struct reader *rd, struct selectors *out, const char *name, const char *where)
{
	struct selector s = { .kind = SELECT_PREFIX };
	const char *text = json_string_value(json_object_get(rd->hosts, name));
	if (!prefix_parse(text ? text : name, &s.net)) {
		if (text)
			return reader_refuse(
				rd, where, "host \"%s\": \"%s\" is not an address or prefix", name, text);
		return reader_refuse(rd, where,
			"\"%s\" is no user (alice@), group:, tag:, autogroup:, ipset:, address or name in "
			"\"hosts\"",
			name);
	}
	prefix_mask(&s.net);
	return selector_add(rd, out, &s, where);
}

bool selector_read(
	struct reader *rd, struct selectors *out, const char *text, enum selector_use use, const char *where)
{
	struct selector any = { .kind = SELECT_ANY };
	const char *name = reader_trimmed(rd, text);
	if (!name)
		return false;
	if (!strcmp(name, "*"))
		return use == AS_SSH_TARGET
			       ? reader_refuse(rd, where,
					 "\"*\" cannot be written here: name a tag: or autogroup:self")
			       : selector_add(rd, out, &any, where);
	if (!strncmp(name, "group:", 6))
		return read_group(rd, out, name, where);
	if (!strncmp(name, "tag:", 4))
		return read_tag(rd, out, name, where);
	if (!strncmp(name, "autogroup:", 10))
		return read_autogroup(rd, out, name, use, where);
	if (!strncmp(name, "ipset:", 6) && (use == AS_SOURCE || use == AS_TARGET))
		return ipset_select(rd, out, name, use == AS_SOURCE, where);
	if (strchr(name, '@'))
		return read_user(rd, out, name, where);
	if (use == AS_OWNER || use == AS_SSH_TARGET)
		return reader_refuse(
			rd, where, "\"%s\" is no user (alice@), group:, tag: or autogroup:", name);
	return read_address(rd, out, name, where);
}

bool selectors_read(struct reader *rd, json_t *list, const char *key, enum selector_use use,
	const char *where, struct selectors *out)
{
	json_t *item;
	size_t i;
	json_array_foreach(list, i, item)
	{
		char at[WHERE_MAX];
		snprintf(at, sizeof(at), "%s%s%s[%zu]", where, *key ? "." : "", key, i);
		if (!selector_read(rd, out, json_string_value(item), use, at))
			return false;
	}
	return true;
}

bool selectors_fit_self(const struct selectors *src, bool star)
{
	for (size_t i = 0; i < src->n; i++) {
		enum selector_kind k = src->v[i].kind;
		if (k != SELECT_USER && k != SELECT_DOMAIN && k != SELECT_GROUP && k != SELECT_MEMBER &&
			k != SELECT_ROLE && !(star && k == SELECT_ANY))
			return false;
	}
	return true;
}
