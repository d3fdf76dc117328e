/* "tests" and "sshTests", run. A name in a test is compared with the names in the rules: a user is covered by that user, by
 * groups with it and by autogroup:member. What a provider's groups are, a fleet says. Where one is given, all nodes of the one name being covered by the other is
 * enough, and an address is the node that has it. */
#include "mesh/control/policy/match.h"
#include "mesh/control/policy/reader.h"

#include <errno.h>
#include <string.h>

enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_ICMP6 = 58 };

static bool text_ends(const char *text, const char *end)
{
	size_t n = strlen(text), d = strlen(end);
	return n > d && !strcmp(text + n - d, end);
}

static bool is_person(enum selector_kind k)
{
	return k == SELECT_USER || k == SELECT_DOMAIN || k == SELECT_GROUP || k == SELECT_MEMBER ||
	       k == SELECT_ROLE;
}

/* Who is in a provider's group is not known, and by that alone it is open whether the one name covers the other. */
static bool may_cover(const struct selector *rule, const struct selector *test)
{
	return is_person(rule->kind) && is_person(test->kind) &&
	       (rule->kind == SELECT_GROUP || test->kind == SELECT_GROUP);
}

/* The name in a rule says all that the name in a test says. user: of that name, NULL: not known. */
static bool name_covers(const struct selector *rule, const struct selector *test, const struct user *user)
{
	bool person = is_person(test->kind);
	switch (rule->kind) {
	case SELECT_ANY:
	case SELECT_WORLD: return true;
	case SELECT_MEMBER: return person;
	case SELECT_ROLE: return test->kind == SELECT_ROLE && match_role(rule, test->role);
	case SELECT_GROUP:
		return (test->kind == SELECT_GROUP && !strcmp(test->text, rule->text)) ||
		       (user && user_groups_have(user->groups, rule->text));
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

/* A name of a test, and the nodes that it stands for. */
struct known {
	struct known *next;
	const struct selector *name;
	const struct user *user; /* of that name; NULL: there is none, or no fleet */
	const struct member **v;
	size_t n;
};
/* Who asks for it waits, and all others of the server with them: names times rules are limited, and who a name stands for is
 * found once. */
struct trial {
	const struct policy *p;
	const struct fleet *f; /* NULL: there is none */
	struct arena mem;
	struct known *known;
	size_t steps; /* names compared so far */
	bool guess;   /* what may_cover is taken for true */
	bool failed;  /* memory is short */
};
enum { STEPS_MAX = 10 * 1000 * 1000 };

static bool is_over(const struct trial *t)
{
	return t->failed || t->steps > STEPS_MAX;
}

static bool same_name(const struct selector *a, const struct selector *b)
{
	return a->kind == b->kind && a->role == b->role &&
	       !strcmp(a->text ? a->text : "", b->text ? b->text : "") && prefix_equal(&a->net, &b->net);
}

/* NULL: the trial is over. */
static const struct known *find_name(struct trial *t, const struct selector *name)
{
	size_t n_fleet = t->f ? t->f->n : 0;
	for (struct known *k = t->known; k; k = k->next, t->steps++)
		if (same_name(k->name, name))
			return k;
	struct known *k = arena_alloc(&t->mem, sizeof(*k));
	t->steps += n_fleet + (t->f ? t->f->n_users : 0);
	if (!k || is_over(t)) {
		t->failed |= !k;
		return NULL;
	}
	*k = (struct known) { .next = t->known, .name = name };
	if (t->f && name->kind == SELECT_USER)
		k->user = fleet_user_named(t->f, name->text);
	for (size_t i = 0; t->f && i < n_fleet; i++)
		k->n += match_target(name, t->f, t->f->v[i]);
	if (!(k->v = arena_array(&t->mem, k->n, sizeof(const struct member *)))) {
		t->failed = true;
		return NULL;
	}
	k->n = 0;
	for (size_t i = 0; t->f && i < n_fleet; i++)
		if (match_target(name, t->f, t->f->v[i]))
			k->v[k->n++] = t->f->v[i];
	t->known = k;
	return k;
}

static bool covers(struct trial *t, const struct selectors *rule, const struct known *test)
{
	size_t in = 0;
	t->steps += rule->n;
	for (size_t i = 0; i < rule->n; i++)
		if (name_covers(&rule->v[i], test->name, test->user) ||
			(t->guess && may_cover(&rule->v[i], test->name)))
			return true;
	for (; in < test->n && match_any(rule, t->f, test->v[in]) && !is_over(t); in++)
		t->steps += rule->n;
	return test->n && in == test->n;
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
static bool rule_passes(struct trial *t, const struct access_rule *r, const struct policy_test *of,
	const struct known *src, const struct target *test, const struct known *dst)
{
	t->steps++;
	if (r->caps || !proto_fits(r, of) || !covers(t, &r->src, src))
		return false;
	for (size_t i = 0; i < r->n_dst; i++) {
		const struct target *to = &r->dst[i];
		t->steps += to->n_ports;
		if (ports_fit(to, test) &&
			(covers(t, &to->who, dst) ||
				(selectors_have(&to->who, SELECT_SELF) && same_person(src->name, dst->name))))
			return true;
	}
	return false;
}

static bool passes(struct trial *t, const struct policy_test *of, const struct known *src,
	const struct target *test, const struct known *dst)
{
	for (size_t i = 0; i < t->p->n_rules && !is_over(t); i++)
		if (rule_passes(t, &t->p->rules[i], of, src, test, dst))
			return true;
	return false;
}

/* An address of the mesh, of which only a fleet says whose it is. */
static bool is_open(const struct trial *t, const struct selector *s)
{
	static const uint8_t mesh6[] = { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0 };
	return !t->f && s->kind == SELECT_PREFIX &&
	       (addr_is_cgnat(&s->net.ip) || !memcmp(s->net.ip.b, mesh6, sizeof(mesh6)));
}

/* The users of a provider's group, as names into v where it is not NULL. How many; a group that nobody is in is one name,
 * its own. */
static size_t put_people(struct trial *t, const struct selector *group, struct selector *v)
{
	size_t n = 0;
	t->steps += t->f->n_users;
	for (size_t i = 0; i < t->f->n_users && !is_over(t); i++)
		if (user_groups_have(t->f->users[i].groups, group->text)) {
			if (v)
				v[n] = (struct selector) { .kind = SELECT_USER, .text = t->f->users[i].name };
			n++;
		}
	if (!n && v)
		*v = *group;
	return n ? n : 1;
}

/* Who is in a provider's group is each looked at, as those of a group of the policy are. */
static struct selectors expand(struct trial *t, const struct selectors *names)
{
	struct selectors out = { .v = NULL };
	size_t n = 0;
	if (!t->f || !selectors_have(names, SELECT_GROUP))
		return *names;
	for (size_t i = 0; i < names->n; i++)
		n += names->v[i].kind == SELECT_GROUP ? put_people(t, &names->v[i], NULL) : 1;
	if (is_over(t) || !(out.v = arena_array(&t->mem, n, sizeof(*out.v)))) {
		t->failed = t->failed || !is_over(t);
		return out;
	}
	for (size_t i = 0; i < names->n; i++)
		if (names->v[i].kind == SELECT_GROUP)
			out.n += put_people(t, &names->v[i], out.v + out.n);
		else
			out.v[out.n++] = names->v[i];
	return out;
}

/* Of all that the two names stand for: all pass, or none. */
static bool target_is(struct trial *t, const struct policy_test *of, const struct target *test, bool want)
{
	const struct selectors from = expand(t, &of->src), to = expand(t, &test->who);
	t->guess = want && !t->f;
	for (size_t i = 0; i < from.n; i++)
		for (size_t k = 0; k < to.n; k++) {
			const struct known *src = find_name(t, &from.v[i]), *dst = find_name(t, &to.v[k]);
			if (!src || !dst)
				return false;
			if (passes(t, of, src, test, dst) != want &&
				!(want && (is_open(t, src->name) || is_open(t, dst->name))))
				return false;
		}
	return true;
}

static int refuse_size(const struct trial *t, const struct rule_place *at, struct errbuf *eb)
{
	if (t->failed)
		return err_set(eb, -ENOMEM, "run the tests of a policy");
	return err_say(eb, ERR_TOO_LARGE,
		"%u:%u: %s[%u]: the tests up to here take %d comparisons with the rules, more than a server "
		"can "
		"make: leave out some",
		at->line, at->column, at->section, at->index, STEPS_MAX);
}

static int run_test(struct trial *t, const struct policy_test *of, struct errbuf *eb)
{
	const char *say = NULL, *list = "accept";
	size_t at = 0;
	for (size_t i = 0; i < of->n_accept && !say; i++)
		if (!target_is(t, of, &of->accept[i], true)) {
			say = "the rules do not allow this";
			at = i;
		}
	for (size_t i = 0; i < of->n_deny && !say; i++)
		if (!target_is(t, of, &of->deny[i], false)) {
			say = "the rules allow this";
			list = "deny";
			at = i;
		}
	if (is_over(t))
		return refuse_size(t, &of->place, eb);
	return say ? err_say(eb, ERR_REFUSED, "%u:%u: %s[%u].%s[%zu]: %s", of->place.line, of->place.column,
			     of->place.section, of->place.index, list, at, say)
		   : 0;
}

/* By a rule of that kind. */
static bool ssh_passes(
	struct trial *t, const char *login, bool check, const struct known *src, const struct known *dst)
{
	for (size_t i = 0; i < t->p->n_ssh && !is_over(t); i++) {
		const struct ssh_rule *r = &t->p->ssh[i];
		t->steps++;
		if (r->check == check && covers(t, &r->src, src) &&
			(covers(t, &r->dst, dst) || (selectors_have(&r->dst, SELECT_SELF) &&
							    same_person(src->name, dst->name))) &&
			ssh_login_fits(r, login, src->name->kind == SELECT_USER ? src->name->text : NULL))
			return true;
	}
	return false;
}

static bool login_is(struct trial *t, const struct ssh_test *of, const char *login, bool check, bool want)
{
	const struct selectors from = expand(t, &of->src), to = expand(t, &of->dst);
	t->guess = want && !t->f;
	for (size_t i = 0; i < from.n; i++)
		for (size_t k = 0; k < to.n; k++) {
			const struct known *src = find_name(t, &from.v[i]), *dst = find_name(t, &to.v[k]);
			if (!src || !dst)
				return false;
			if (ssh_passes(t, login, check, src, dst) != want &&
				!(want && !check && (is_open(t, src->name) || is_open(t, dst->name))))
				return false;
		}
	return true;
}

/* Of all that the names stand for every login passes (want), or none. */
static bool logins_are(
	struct trial *t, const struct ssh_test *of, const struct ctl_strings *logins, bool check, bool want)
{
	for (size_t l = 0; l < logins->n; l++)
		if (!login_is(t, of, logins->v[l], check, want))
			return false;
	return true;
}

static int run_ssh_test(struct trial *t, const struct ssh_test *of, struct errbuf *eb)
{
	const char *what =
		!logins_are(t, of, &of->accept, false, true) ? "accept"
		: !logins_are(t, of, &of->check, true, true) ? "check"
		: !logins_are(t, of, &of->deny, false, false) || !logins_are(t, of, &of->deny, true, false)
			? "deny"
			: NULL;
	if (is_over(t))
		return refuse_size(t, &of->place, eb);
	if (!what)
		return 0;
	return err_say(eb, ERR_REFUSED, "%u:%u: %s[%u].%s: the rules %s this", of->place.line,
		of->place.column, of->place.section, of->place.index, what,
		*what == 'd' ? "allow" : "do not allow");
}

int policy_test(const struct policy *p, const struct fleet *f, struct errbuf *eb)
{
	struct trial t = { .p = p, .f = f };
	int err = 0;
	for (size_t i = 0; p && i < p->n_tests && !err; i++)
		err = run_test(&t, &p->tests[i], eb);
	for (size_t i = 0; p && i < p->n_ssh_tests && !err; i++)
		err = run_ssh_test(&t, &p->ssh_tests[i], eb);
	arena_free(&t.mem);
	return err;
}
