/* "tests" and "sshTests": what a file says of itself. A name in a test is compared with the names in the
 * rules: a user is covered by that user, by groups with it and by autogroup:member. Where a fleet is given,
 * all nodes of the one name being covered by the other is enough, and an address is the node that has it. */
#include "mesh/control/policy/match.h"
#include "mesh/control/policy/reader.h"

#include <stdio.h>
#include <string.h>

enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_ICMP6 = 58, PROTO_SCTP = 132 };

/* --- reading --- */

/* One thing that a packet can go to. */
static bool is_place(const struct selectors *who)
{
	for (size_t i = 0; i < who->n; i++) {
		const struct selector *s = &who->v[i];
		if (s->kind == SELECT_PREFIX ? s->net.bits != (addr_is_v4(&s->net.ip) ? 32 : 128)
					     : s->kind != SELECT_USER && s->kind != SELECT_TAG)
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

/* --- running --- */

static bool text_ends(const char *text, const char *end)
{
	size_t n = strlen(text), d = strlen(end);
	return n > d && !strcmp(text + n - d, end);
}

/* The name in a rule says all that the name in a test says. */
static bool name_covers(const struct selector *rule, const struct selector *test)
{
	bool person = test->kind == SELECT_USER || test->kind == SELECT_DOMAIN ||
		      test->kind == SELECT_MEMBER || test->kind == SELECT_ROLE;
	switch (rule->kind) {
	case SELECT_ANY:
	case SELECT_WORLD: return true;
	case SELECT_MEMBER: return person;
	case SELECT_ROLE: return test->kind == SELECT_ROLE && match_role(rule, test->role);
	case SELECT_TAGGED: return test->kind == SELECT_TAGGED || test->kind == SELECT_TAG;
	case SELECT_USER:
	case SELECT_TAG: return test->kind == rule->kind && !strcmp(test->text, rule->text);
	case SELECT_DOMAIN:
		return (test->kind == SELECT_USER && text_ends(test->text, rule->text)) ||
		       (test->kind == SELECT_DOMAIN && !strcmp(test->text, rule->text));
	case SELECT_PREFIX:
		return test->kind == SELECT_PREFIX && rule->net.bits <= test->net.bits &&
		       prefix_contains(&rule->net, &test->net.ip);
	case SELECT_SELF:
	case SELECT_INTERNET: return false;
	}
	return false;
}

static bool covers(const struct selectors *rule, const struct selector *test, const struct fleet *f)
{
	size_t n = 0, in = 0;
	for (size_t i = 0; i < rule->n; i++)
		if (name_covers(&rule->v[i], test))
			return true;
	for (size_t i = 0; f && i < f->n; i++)
		if (match_target(test, f, f->v[i])) {
			n++;
			in += match_any(rule, f, f->v[i]);
		}
	return n && in == n;
}

static bool same_person(const struct selector *src, const struct selector *dst)
{
	return src->kind == SELECT_USER && dst->kind == SELECT_USER && !strcmp(src->text, dst->text);
}

static bool proto_fits(const struct access_rule *r, const struct policy_test *t)
{
	uint8_t want = t->n_protos ? t->protos[0] : PROTO_TCP;
	for (size_t i = 0; i < r->n_protos; i++)
		if (r->protos[i] == want)
			return true;
	return !r->n_protos &&
	       (want == PROTO_TCP || want == PROTO_UDP || want == PROTO_ICMP || want == PROTO_ICMP6);
}

static bool ports_fit(const struct target *rule, const struct target *test)
{
	for (size_t i = 0; i < rule->n_ports; i++)
		if (rule->ports[i].first <= test->ports[0].first &&
			test->ports[0].last <= rule->ports[i].last)
			return true;
	return false;
}

/* One rule lets one source to one destination. */
static bool rule_passes(const struct access_rule *r, const struct policy_test *t, const struct selector *src,
	const struct target *test, const struct selector *dst, const struct fleet *f)
{
	if (r->caps || !proto_fits(r, t) || !covers(&r->src, src, f))
		return false;
	for (size_t i = 0; i < r->n_dst; i++) {
		const struct target *to = &r->dst[i];
		if (ports_fit(to, test) &&
			(covers(&to->who, dst, f) ||
				(selectors_have(&to->who, SELECT_SELF) && same_person(src, dst))))
			return true;
	}
	return false;
}

static bool passes(const struct policy *p, const struct policy_test *t, const struct selector *src,
	const struct target *test, const struct selector *dst, const struct fleet *f)
{
	for (size_t i = 0; i < p->n_rules; i++)
		if (rule_passes(&p->rules[i], t, src, test, dst, f))
			return true;
	return false;
}

/* An address of the mesh, of which only a fleet says whose it is. */
static bool is_open(const struct selector *s, const struct fleet *f)
{
	static const uint8_t mesh6[] = { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0 };
	return !f && s->kind == SELECT_PREFIX &&
	       (addr_is_cgnat(&s->net.ip) || !memcmp(s->net.ip.b, mesh6, sizeof(mesh6)));
}

/* Of all that the two names stand for: all pass, or none. */
static bool target_is(const struct policy *p, const struct policy_test *t, const struct target *test,
	const struct fleet *f, bool want)
{
	for (size_t i = 0; i < t->src.n; i++)
		for (size_t k = 0; k < test->who.n; k++) {
			const struct selector *src = &t->src.v[i], *dst = &test->who.v[k];
			if (passes(p, t, src, test, dst, f) != want &&
				!(want && (is_open(src, f) || is_open(dst, f))))
				return false;
		}
	return true;
}

static int run_test(
	const struct policy *p, const struct policy_test *t, const struct fleet *f, struct errbuf *eb)
{
	for (size_t i = 0; i < t->n_accept; i++)
		if (!target_is(p, t, &t->accept[i], f, true))
			return err_say(eb, ERR_REFUSED,
				"%u:%u: %s[%u].accept[%zu]: the rules do not allow this", t->place.line,
				t->place.column, t->place.section, t->place.index, i);
	for (size_t i = 0; i < t->n_deny; i++)
		if (!target_is(p, t, &t->deny[i], f, false))
			return err_say(eb, ERR_REFUSED, "%u:%u: %s[%u].deny[%zu]: the rules allow this",
				t->place.line, t->place.column, t->place.section, t->place.index, i);
	return 0;
}

/* By a rule of that kind. */
static bool ssh_passes(const struct policy *p, const char *login, bool check, const struct fleet *f,
	const struct selector *src, const struct selector *dst)
{
	for (size_t i = 0; i < p->n_ssh; i++) {
		const struct ssh_rule *r = &p->ssh[i];
		if (r->check == check && covers(&r->src, src, f) &&
			(covers(&r->dst, dst, f) ||
				(selectors_have(&r->dst, SELECT_SELF) && same_person(src, dst))) &&
			ssh_login_fits(r, login, src->kind == SELECT_USER ? src->text : NULL))
			return true;
	}
	return false;
}

/* Of all that the names stand for every login passes (want), or none. */
static bool logins_are(const struct policy *p, const struct ssh_test *t, const struct ctl_strings *logins,
	bool check, bool want, const struct fleet *f)
{
	for (size_t l = 0; l < logins->n; l++)
		for (size_t i = 0; i < t->src.n; i++)
			for (size_t k = 0; k < t->dst.n; k++)
				if (ssh_passes(p, logins->v[l], check, f, &t->src.v[i], &t->dst.v[k]) !=
						want &&
					!(want && !check &&
						(is_open(&t->src.v[i], f) || is_open(&t->dst.v[k], f))))
					return false;
	return true;
}

static int run_ssh_test(
	const struct policy *p, const struct ssh_test *t, const struct fleet *f, struct errbuf *eb)
{
	const char *what =
		!logins_are(p, t, &t->accept, false, true, f) ? "accept"
		: !logins_are(p, t, &t->check, true, true, f) ? "check"
		: !logins_are(p, t, &t->deny, false, false, f) || !logins_are(p, t, &t->deny, true, false, f)
			? "deny"
			: NULL;
	if (!what)
		return 0;
	return err_say(eb, ERR_REFUSED, "%u:%u: %s[%u].%s: the rules %s this", t->place.line, t->place.column,
		t->place.section, t->place.index, what, *what == 'd' ? "allow" : "do not allow");
}

int policy_test(const struct policy *p, const struct fleet *f, struct errbuf *eb)
{
	int err = 0;
	for (size_t i = 0; p && i < p->n_tests && !err; i++)
		err = run_test(p, &p->tests[i], f, eb);
	for (size_t i = 0; p && i < p->n_ssh_tests && !err; i++)
		err = run_ssh_test(p, &p->ssh_tests[i], f, eb);
	return err;
}
