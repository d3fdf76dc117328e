/* Persons who log in by a provider: the user that they are, made the first time. */
#include "mesh/control/fleet/registry_inner.h"

#include "mesh/base/log.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { NAMES_TRIED = 100 };

/* The address, where the provider vouches for one; else what it calls the person, which at some providers the person
 * chooses. So an @ is in the name of a whole address alone: neither what looks like one nor what is left of a long one is
 * taken for it. */
static void base_name(const struct person *p, char out[static FLEET_USER_NAME])
{
	const size_t most = FLEET_USER_NAME - sizeof(".100");
	bool whole = *p->email && strlen(p->email) <= most;
	const char *from = *p->email ? p->email : p->subject;
	size_t n = 0;
	for (; *from && n < most; from++)
		out[n++] = registry_is_name_letter(*from) && (*from != '@' || whole) ? *from : '_';
	while (n && out[n - 1] == '@')
		n--;
	out[n] = 0;
	if (!n)
		snprintf(out, FLEET_USER_NAME, "user");
}

/* A name that another user has is not shared: what rules give to that one is not this one's. The number behind it is
 * behind the domain, too, which therefore is another. */
static int choose_name(
	const struct registry *r, const struct person *p, char out[static FLEET_USER_NAME], struct errbuf *eb)
{
	char base[FLEET_USER_NAME];
	base_name(p, base);
	memcpy(out, base, sizeof(base));
	for (int i = 2; fleet_user_named(&r->fleet, out); i++) {
		if (i > NAMES_TRIED)
			return err_say(eb, -EEXIST, "too many users are called \"%.64s\"", base);
		snprintf(out, FLEET_USER_NAME, "%.*s.%d", FLEET_USER_NAME - 8, base, i);
	}
	if (strcmp(out, base) != 0)
		log_warn("user \"%s\" is somebody else than \"%s\", who had the name first", out, base);
	return 0;
}

bool registry_groups(const struct registry *r, const struct person *p, struct user_groups **out)
{
	const struct registry_ops *ops = &r->c.ops;
	const char *domain = ops->groups_domain ? ops->groups_domain(ops->arg, p->issuer) : NULL;
	*out = NULL;
	return !domain || !p->groups || user_groups_new(p->groups, domain, out);
}

static int person_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	struct person *p = c->person;
	const struct person *old = people_find(&r->people, p->issuer, p->subject);
	if (!registry_groups(r, p, &c->groups))
		return err_set(eb, -ENOMEM, "log in");
	if (!old) {
		c->user.created_ms = c->now_ms;
		c->user.groups = c->groups;
		return choose_name(r, p, c->user.name, eb);
	}
	p->user = old->user;
	c->same = !strcmp(old->email, p->email) && !strcmp(old->display, p->display) &&
		  old->has_groups == (p->groups && *p->groups) &&
		  user_groups_equal(fleet_groups(&r->fleet, old->user), c->groups);
	return 0;
}

static int person_write(struct store *s, struct change *c, struct errbuf *eb)
{
	int err = c->person->user ? 0 : store_user_add(s, &c->user, eb);
	if (err || c->same)
		return err;
	if (!c->person->user)
		c->person->user = c->user.id;
	return store_person_put(s, c->person, eb);
}

/* Where memory was short at the login before, machines may have what the user has not any more. */
static bool have_groups(const struct fleet *f, const struct user *u, const struct user_groups *groups)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i]->user == u->id && !user_groups_equal(f->v[i]->groups, groups))
			return false;
	return user_groups_equal(u->groups, groups);
}

static int person_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	c->id = c->person->user;
	if ((c->user.id && !fleet_user_put(&r->fleet, &c->user)) ||
		(!c->same && !people_put(&r->people, c->person)))
		return err_set(eb, -ENOMEM, "log in");
	const struct user *u = fleet_user(&r->fleet, c->id);
	if (!u || have_groups(&r->fleet, u, c->groups))
		return 0;
	struct user now = *u;
	now.groups = c->groups;
	return registry_publish_user(r, &now, eb);
}

static const struct change_kind person_kind = {
	.prepare = person_prepare, .write = person_write, .publish = person_publish
};

static bool keep_text(char to[static PERSON_TEXT], const char *from, bool cut)
{
	size_t len = strlen(from);
	if (len >= PERSON_TEXT && !cut)
		return false;
	snprintf(to, PERSON_TEXT, "%.*s", PERSON_TEXT - 1, from);
	return true;
}

void registry_person_login(
	struct registry *r, const struct person_wish *wish, int64_t now_ms, struct registry_wait *w)
{
	struct change *c = registry_change_new(r, &person_kind, w);
	if (!c)
		return;
	c->now_ms = now_ms;
	c->person = arena_alloc(&c->mem, sizeof(*c->person));
	if (c->person && (!keep_text(c->person->issuer, wish->issuer, false) ||
				 !keep_text(c->person->subject, wish->subject, false)))
		c->mem.failed = true; /* half a name would be another person's */
	if (c->person) {
		(void)keep_text(c->person->email, wish->email, true);
		(void)keep_text(c->person->display, wish->display, true);
		c->person->groups = arena_strdup(&c->mem, wish->groups);
	}
	registry_change_submit(c);
}
