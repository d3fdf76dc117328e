/* The access rules as they are kept: a new text is decided on when its turn comes, so that of two who began with
 * the same one the second is told. */
#include "mesh/control/fleet/registry_inner.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int set_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	const struct registry_ops *ops = &r->c.ops;
	const struct policy_version *now = policies_newest(&r->policies);
	const char *tag = now ? now->tag : "";
	if (c->if_tag && strcmp(c->if_tag, tag) != 0)
		return err_say(eb, -ESTALE,
			"somebody else has changed the policy meanwhile (it is version %lld now): get it, "
			"put your "
			"change into that, and set it again",
			now ? (long long)now->id : 0LL);
	return ops->policy_check(ops->arg, c->text, c->policy.tag, eb);
}

static int set_write(struct store *s, struct change *c, struct errbuf *eb)
{
	return store_policy_add(s, &c->policy, c->text, eb);
}

static int note_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	c->id = c->policy.id;
	if (!policies_text(&r->policies, c->text))
		return err_set(eb, -ENOMEM, "keep the policy");
	policies_add(&r->policies, &c->policy);
	return 0;
}

static int set_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	int err = note_publish(r, c, eb);
	return err ? err : r->c.ops.policy_taken(r->c.ops.arg, eb);
}

static const struct change_kind set_kind = {
	.prepare = set_prepare, .write = set_write, .publish = set_publish
};

static struct change *new_text(struct registry *r, const struct change_kind *kind,
	const struct policy_wish *wish, struct registry_wait *w)
{
	struct change *c = registry_change_new(r, kind, w);
	if (!c)
		return NULL;
	c->text = arena_strdup(&c->mem, wish->text);
	c->if_tag = wish->if_tag ? arena_strdup(&c->mem, wish->if_tag) : NULL;
	c->policy = (struct policy_version) { .created_ms = wish->now_ms, .len = strlen(wish->text) };
	snprintf(c->policy.author, sizeof(c->policy.author), "%s", wish->author);
	snprintf(c->policy.tag, sizeof(c->policy.tag), "%s", wish->tag);
	return c;
}

void registry_policy_set(struct registry *r, const struct policy_wish *wish, struct registry_wait *w)
{
	struct change *c = new_text(r, &set_kind, wish, w);
	if (c)
		registry_change_submit(c);
}

/* --- what a file says is kept too --- */

static int note_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	const struct policy_version *now = policies_newest(&r->policies);
	return now && !strcmp(now->tag, c->policy.tag) ? err_say(eb, -ENOENT, "the policy is kept already")
						       : 0;
}

static const struct change_kind note_kind = {
	.prepare = note_prepare, .write = set_write, .publish = note_publish
};

void registry_policy_note(struct registry *r, const struct policy_wish *wish)
{
	struct change *c = new_text(r, &note_kind, wish, NULL);
	if (c)
		registry_change_submit(c);
}

/* --- one that was --- */

static int read_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	c->fast = true;
	return policies_by_id(&r->policies, c->id)
		       ? 0
		       : err_say(eb, -ENOENT, "no version %lld of the policy: `policy history` shows them",
				 (long long)c->id);
}

static int read_write(struct store *s, struct change *c, struct errbuf *eb)
{
	return store_policy_text(s, c->id, &c->mem, &c->told, eb);
}

static int read_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	(void)r;
	(void)c;
	(void)eb;
	return 0;
}

static const struct change_kind read_kind = {
	.prepare = read_prepare, .write = read_write, .publish = read_publish
};

void registry_policy_read(struct registry *r, int64_t id, struct registry_wait *w)
{
	struct change *c = registry_change_new(r, &read_kind, w);
	if (!c)
		return;
	c->id = id;
	registry_change_submit(c);
}
