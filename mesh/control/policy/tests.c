/* "tests" and "sshTests", read: what a file says of itself. */
#include "mesh/control/policy/reader.h"

#include <stdio.h>

enum { PROTO_TCP = 6, PROTO_UDP = 17, PROTO_SCTP = 132 };

/* One thing that a packet can go to. */
static bool is_place(const struct selectors *who)
{
	for (size_t i = 0; i < who->n; i++) {
		const struct selector *s = &who->v[i];
		if (s->kind == SELECT_PREFIX
				? s->net.bits != (addr_is_v4(&s->net.ip) ? 32 : 128)
				: s->kind != SELECT_USER && s->kind != SELECT_GROUP && s->kind != SELECT_TAG)
			return false;
	}
	return who->n > 0;
}

static bool has_ports(const uint8_t *protos, size_t n)
{
	return !n || protos[0] == PROTO_TCP || protos[0] == PROTO_UDP || protos[0] == PROTO_SCTP;
}

static bool read_targets(struct reader *rd, json_t *o, const char *key, const struct policy_test *t,
	const char *where, struct target **out, size_t *n)
{
	json_t *list, *item;
	size_t i;
	if (!reader_strings(rd, o, key, false, where, &list))
		return false;
	*out = arena_array(&rd->p->mem, json_array_size(list), sizeof(**out));
	if (!*out)
		return reader_no_memory(rd);
	json_array_foreach(list, i, item)
	{
		struct target *to = &(*out)[(*n)++];
		char at[WHERE_MAX];
		snprintf(at, sizeof(at), "%s.%s[%zu]", where, key, i);
		if (!access_read_target(rd, json_string_value(item), to, at))
			return false;
		if (!is_place(&to->who))
			return reader_refuse(rd, at,
				"a test's destination is a user, a tag, a host or an address, not a net or "
				"an autogroup");
		if (has_ports(t->protos, t->n_protos) &&
			(to->n_ports != 1 || to->ports[0].first != to->ports[0].last))
			return reader_refuse(rd, at, "a test names one port");
	}
	return true;
}

static bool read_src(struct reader *rd, json_t *o, struct selectors *out, const char *where)
{
	char at[WHERE_MAX];
	const char *src = json_string_value(json_object_get(o, "src"));
	snprintf(at, sizeof(at), "%s.src", where);
	if (!src || !*src)
		return reader_refuse(rd, at, "must be a user, group, tag, host or address");
	return selector_read(rd, out, src, AS_SOURCE, at);
}

static bool read_test(struct reader *rd, json_t *o, struct policy_test *t, const char *where)
{
	static const char *const names[] = { "src", "proto", "accept", "deny", NULL };
	const char *proto = json_string_value(json_object_get(o, "proto"));
	if (!reader_keys(rd, o, names, where) || !read_src(rd, o, &t->src, where))
		return false;
	if (json_object_get(o, "proto") && !proto)
		return reader_refuse(rd, where, "\"proto\" must be a string");
	if ((proto && *proto && !access_read_proto(rd, proto, &t->protos, &t->n_protos, where)) ||
		!read_targets(rd, o, "accept", t, where, &t->accept, &t->n_accept) ||
		!read_targets(rd, o, "deny", t, where, &t->deny, &t->n_deny))
		return false;
	return t->n_accept || t->n_deny || reader_refuse(rd, where, "has neither \"accept\" nor \"deny\"");
}

bool tests_read(struct reader *rd, json_t *root)
{
	json_t *list, *item;
	size_t i;
	if (!reader_objects(rd, root, "tests", &list))
		return false;
	struct rule_place *places = reader_places(rd, "tests", list);
	rd->p->tests = arena_array(&rd->p->mem, json_array_size(list), sizeof(*rd->p->tests));
	if (!places || !rd->p->tests)
		return reader_no_memory(rd);
	json_array_foreach(list, i, item)
	{
		char where[WHERE_MAX];
		snprintf(where, sizeof(where), "tests[%zu]", i);
		rd->p->tests[i].place = places[i];
		rd->p->n_tests++;
		if (!read_test(rd, item, &rd->p->tests[i], where))
			return false;
	}
	return true;
}

static bool read_ssh_names(
	struct reader *rd, json_t *o, const char *key, const char *where, struct ctl_strings *out)
{
	json_t *list;
	if (!reader_strings(rd, o, key, false, where, &list) || !reader_copy_strings(rd, list, out))
		return false;
	for (size_t i = 0; i < out->n; i++) {
		char at[WHERE_MAX];
		snprintf(at, sizeof(at), "%s.%s[%zu]", where, key, i);
		if (!*out->v[i])
			return reader_refuse(rd, at, "is empty");
	}
	return true;
}

static bool read_ssh_test(struct reader *rd, json_t *o, struct ssh_test *t, const char *where)
{
	static const char *const names[] = { "src", "dst", "accept", "deny", "check", NULL };
	char at[WHERE_MAX];
	json_t *dst;
	snprintf(at, sizeof(at), "%s.dst", where);
	if (!reader_keys(rd, o, names, where) || !read_src(rd, o, &t->src, where) ||
		!reader_strings(rd, o, "dst", true, where, &dst) ||
		!selectors_read(rd, dst, "dst", AS_TARGET, where, &t->dst))
		return false;
	if (!is_place(&t->dst))
		return reader_refuse(rd, at, "must name users, tags, hosts or addresses");
	if (!read_ssh_names(rd, o, "accept", where, &t->accept) ||
		!read_ssh_names(rd, o, "deny", where, &t->deny) ||
		!read_ssh_names(rd, o, "check", where, &t->check))
		return false;
	return t->accept.n || t->deny.n || t->check.n ||
	       reader_refuse(rd, where, "has none of \"accept\", \"deny\" and \"check\"");
}

bool tests_read_ssh(struct reader *rd, json_t *root)
{
	json_t *list, *item;
	size_t i;
	if (!reader_objects(rd, root, "sshTests", &list))
		return false;
	struct rule_place *places = reader_places(rd, "sshTests", list);
	rd->p->ssh_tests = arena_array(&rd->p->mem, json_array_size(list), sizeof(*rd->p->ssh_tests));
	if (!places || !rd->p->ssh_tests)
		return reader_no_memory(rd);
	json_array_foreach(list, i, item)
	{
		char where[WHERE_MAX];
		snprintf(where, sizeof(where), "sshTests[%zu]", i);
		rd->p->ssh_tests[i].place = places[i];
		rd->p->n_ssh_tests++;
		if (!read_ssh_test(rd, item, &rd->p->ssh_tests[i], where))
			return false;
	}
	return true;
}
