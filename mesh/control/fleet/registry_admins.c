/* Local admins: made, given another password, taken away. */
#include "mesh/control/fleet/registry_inner.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int check_name(const char *name, struct errbuf *eb)
{
	size_t len = strlen(name);
	for (size_t i = 0; i < len; i++)
		if (!registry_is_name_letter(name[i]))
			len = ADMIN_NAME;
	return len && len < ADMIN_NAME ? 0
				       : err_say(eb, -EINVAL,
						 "\"%.64s\" is not a good name: letters, digits and . - _ + "
						 "@ only, %d at most",
						 name, ADMIN_NAME - 1);
}

static int admin_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	const struct admin *old = admins_named(&r->admins, c->admin->name);
	int err = check_name(c->admin->name, eb);
	if (err)
		return err;
	if (!c->admin->created_ms && !old)
		return err_say(eb, -ENOENT, "no admin \"%s\": `admins list` shows them", c->admin->name);
	if (c->admin->created_ms && old)
		return err_say(eb, -EEXIST,
			"admin \"%s\" exists already: `admins password` gives another password",
			c->admin->name);
	if (!old && r->admins.n == ADMINS_MAX)
		return err_say(eb, -ENOSPC, "there are %d admins already", ADMINS_MAX);
	if (old) {
		c->admin->id = old->id;
		c->admin->created_ms = old->created_ms;
	}
	return 0;
}

static int admin_write(struct store *s, struct change *c, struct errbuf *eb)
{
	return store_admin_put(s, c->admin, eb);
}

static void tell_changed(const struct registry *r, int64_t admin)
{
	if (r->c.ops.admin_changed)
		r->c.ops.admin_changed(r->c.ops.arg, admin);
}

static int admin_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	c->id = c->admin->id;
	tell_changed(r, c->id);
	return admins_put(&r->admins, c->admin) ? 0 : err_set(eb, -ENOMEM, "keep an admin");
}

static const struct change_kind admin_kind = {
	.prepare = admin_prepare, .write = admin_write, .publish = admin_publish
};

static void put_admin(
	struct registry *r, const char *name, const char *hash, int64_t created_ms, struct registry_wait *w)
{
	if (strlen(name) >= ADMIN_NAME || strlen(hash) >= ADMIN_HASH) {
		registry_fail_now(w, -EINVAL, "the name of an admin, or the hash of a password, is too long");
		return;
	}
	struct change *c = registry_change_new(r, &admin_kind, w);
	if (!c)
		return;
	c->admin = arena_alloc(&c->mem, sizeof(*c->admin));
	if (c->admin) {
		memcpy(c->admin->name, name, strlen(name) + 1);
		memcpy(c->admin->hash, hash, strlen(hash) + 1);
		c->admin->created_ms = created_ms;
	}
	registry_change_submit(c);
}

void registry_admin_create(
	struct registry *r, const char *name, const char *hash, int64_t now_ms, struct registry_wait *w)
{
	put_admin(r, name, hash, now_ms, w);
}

void registry_admin_password(struct registry *r, const char *name, const char *hash, struct registry_wait *w)
{
	put_admin(r, name, hash, 0, w);
}

static int remove_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	const struct admin *a = admins_named(&r->admins, c->text);
	if (!a)
		return err_say(eb, -ENOENT, "no admin \"%.64s\": `admins list` shows them", c->text);
	c->id = a->id;
	return 0;
}

static int remove_write(struct store *s, struct change *c, struct errbuf *eb)
{
	return store_admin_delete(s, c->id, eb);
}

static int remove_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	(void)eb;
	admins_remove(&r->admins, c->id);
	tell_changed(r, c->id);
	return 0;
}

static const struct change_kind remove_kind = {
	.prepare = remove_prepare, .write = remove_write, .publish = remove_publish
};

void registry_admin_delete(struct registry *r, const char *name, struct registry_wait *w)
{
	struct change *c = registry_change_new(r, &remove_kind, w);
	if (!c)
		return;
	c->text = arena_strdup(&c->mem, name);
	registry_change_submit(c);
}
