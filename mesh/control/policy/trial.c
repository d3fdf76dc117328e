/* "tests" and "sshTests", run. A name in a test is compared with the names in the rules: a user is covered by that user, by
 * groups with it and by autogroup:member. Where a fleet is given, all nodes of the one name being covered by the other is
 * enough, and an address is the node that has it. */
#include "mesh/control/policy/match.h"
#include "mesh/control/policy/reader.h"

#include <string.h>

enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_ICMP6 = 58 };

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
