/* What an admin may change: users and auth keys. */
#include "mesh/control/fleet/registry_inner.h"

#include "mesh/base/noise.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- users --- */

static const char name_letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@+";

bool registry_is_name_letter(char c)
{
	return c && strchr(name_letters, c);
}

static int check_user_name(const struct registry *r, const char *name, struct errbuf *eb)
{
	size_t len = strlen(name);
	if (!len || len >= FLEET_USER_NAME || strspn(name, name_letters) != len)
		return err_say(eb, -EINVAL,
			"\"%.64s\" is not a good user name: letters, digits and . - _ + @ only", name);
	if (name[len - 1] == '@')
		return err_say(eb, -EINVAL,
			"\"%.64s\": the @ at the end is only how access rules write a user; leave it out "
			"here",
			name);
	if (fleet_user_named(&r->fleet, name))
		return err_say(eb, -EEXIST, "user \"%s\" exists already", name);
	return 0;
}

static int user_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	int err = check_user_name(r, c->text, eb);
	if (err)
		return err;
	c->user.created_ms = c->now_ms;
	memcpy(c->user.name, c->text, strlen(c->text) + 1);
	return 0;
}

static int user_write(struct store *s, struct change *c, struct errbuf *eb)
{
	return store_user_add(s, &c->user, eb);
}

static int user_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	c->id = c->user.id;
	return fleet_user_put(&r->fleet, &c->user) ? 0 : err_set(eb, -ENOMEM, "create a user");
}

static const struct change_kind user_kind = {
	.prepare = user_prepare, .write = user_write, .publish = user_publish
};

void registry_user_create(struct registry *r, const char *name, int64_t now_ms, struct registry_wait *w)
{
	struct change *c = registry_change_new(r, &user_kind, w);
	if (!c)
		return;
	c->now_ms = now_ms;
	c->text = arena_strdup(&c->mem, name);
	registry_change_submit(c);
}

int registry_publish_user(struct registry *r, const struct user *u, struct errbuf *eb)
{
	int err = 0;
	(void)fleet_user_put(&r->fleet, u); /* it is there: nothing grows */
	for (size_t i = 0; i < r->fleet.n; i++)
		if (r->fleet.v[i]->user == u->id) {
			struct member draft = *r->fleet.v[i];
			draft.role = u->role;
			draft.groups = u->groups;
			err = err_first(err, registry_publish(r, &draft, NEWS_IDENTITY, eb));
		}
	return err;
}

static int rename_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	if (!fleet_user(&r->fleet, c->id))
		return err_say(eb, -ENOENT, "no user %lld: `users list` shows the numbers", (long long)c->id);
	return check_user_name(r, c->text, eb);
}

static int rename_write(struct store *s, struct change *c, struct errbuf *eb)
{
	return store_user_rename(s, c->id, c->text, eb);
}

static int rename_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	const struct user *u = fleet_user(&r->fleet, c->id);
	if (!u)
		return 0;
	c->user = *u;
	memcpy(c->user.name, c->text, strlen(c->text) + 1);
	return registry_publish_user(r, &c->user, eb);
}

static const struct change_kind rename_kind = {
	.prepare = rename_prepare, .write = rename_write, .publish = rename_publish
};

void registry_user_rename(struct registry *r, int64_t id, const char *name, struct registry_wait *w)
{
	struct change *c = registry_change_new(r, &rename_kind, w);
	if (!c)
		return;
	c->id = id;
	c->text = arena_strdup(&c->mem, name);
	registry_change_submit(c);
}

static bool has_owner(const struct fleet *f)
{
	for (size_t i = 0; i < f->n_users; i++)
		if (f->users[i].role == USER_OWNER)
			return true;
	return false;
}

/* Whether u may be made this, or be removed: a member, then. */
static int check_rank(const struct registry *r, const struct user *u, enum user_role then, enum user_role by,
	struct errbuf *eb)
{
	if (u->role == USER_OWNER && then != USER_OWNER)
		return err_say(eb, -EPERM,
			"user \"%s\" is the owner: make another one the owner first, with `users role NAME "
			"owner`",
			u->name);
	if (by < USER_ADMIN && (u->role >= USER_ADMIN || then >= USER_ADMIN))
		return err_say(
			eb, -EPERM, "\"%s\": an admin is made, changed and removed by admins alone", u->name);
	if (by < USER_OWNER && then == USER_OWNER && u->role != USER_OWNER && has_owner(&r->fleet))
		return err_say(eb, -EPERM,
			"there is an owner, who alone makes another user the owner, or root on the server "
			"with `ropewalk-control users role`");
	return 0;
}

int registry_check_maker(const struct user *u, enum user_role by, struct errbuf *eb)
{
	if (by >= USER_ADMIN || u->role < USER_ADMIN)
		return 0;
	return err_say(eb, -EPERM, "\"%s\": machines of admins and of the owner are let in by admins alone",
		u->name);
}

/* The name in c->text, the role's in c->wish.user. */
static int role_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	const struct user *u = fleet_user_named(&r->fleet, c->text);
	if (!u)
		return err_say(eb, -ENOENT, "no user \"%s\": `users list` shows them", c->text);
	c->user = *u;
	c->id = u->id;
	if (!user_role_parse(c->wish.user, &c->user.role))
		return err_say(eb, -EINVAL,
			"\"%.32s\" is no role: owner, admin, network-admin, it-admin, billing-admin, auditor "
			"or "
			"member",
			c->wish.user);
	return check_rank(r, u, c->user.role, c->by, eb);
}

static int role_write(struct store *s, struct change *c, struct errbuf *eb)
{
	int err = c->user.role == USER_OWNER ? store_owner_leaves(s, eb) : 0;
	return err ? err : store_user_role(s, c->id, c->user.role, eb);
}

static int role_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	int err = 0;
	for (size_t i = 0; c->user.role == USER_OWNER && !err && i < r->fleet.n_users; i++) {
		struct user before = r->fleet.users[i];
		if (before.role != USER_OWNER || before.id == c->id)
			continue;
		before.role = USER_ADMIN;
		err = registry_publish_user(r, &before, eb);
	}
	return err ? err : registry_publish_user(r, &c->user, eb);
}

static const struct change_kind role_kind = {
	.prepare = role_prepare, .write = role_write, .publish = role_publish
};

void registry_user_role(
	struct registry *r, const char *name, const char *role, enum user_role by, struct registry_wait *w)
{
	struct change *c = registry_change_new(r, &role_kind, w);
	if (!c)
		return;
	c->by = by;
	c->text = arena_strdup(&c->mem, name);
	c->wish.user = arena_strdup(&c->mem, role);
	registry_change_submit(c);
}

static int destroy_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	const struct user *u = fleet_user_named(&r->fleet, c->text);
	if (!u)
		return err_say(eb, -ENOENT, "no user \"%s\": `users list` shows them", c->text);
	int err = check_rank(r, u, USER_MEMBER, c->by, eb);
	c->id = u->id;
	for (size_t i = 0; !err && i < r->fleet.n; i++)
		if (r->fleet.v[i]->user == u->id)
			err = err_say(eb, -EBUSY, "user \"%s\" still has nodes (%s): delete them first",
				c->text, r->fleet.v[i]->name);
	return err;
}

static int destroy_write(struct store *s, struct change *c, struct errbuf *eb)
{
	return store_user_delete(s, c->id, eb);
}

static int destroy_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	(void)eb;
	keyring_drop_user(&r->keys, c->id);
	people_remove(&r->people, c->id);
	fleet_user_remove(&r->fleet, c->id);
	return 0;
}

static const struct change_kind destroy_kind = {
	.prepare = destroy_prepare, .write = destroy_write, .publish = destroy_publish
};

void registry_user_destroy(struct registry *r, const char *name, enum user_role by, struct registry_wait *w)
{
	struct change *c = registry_change_new(r, &destroy_kind, w);
	if (!c)
		return;
	c->by = by;
	c->text = arena_strdup(&c->mem, name);
	registry_change_submit(c);
}

/* --- auth keys --- */

void registry_key_hash(const char *key, uint8_t hash[static STORE_HASH])
{
	blake2s_hash(&(struct noise_part) { key, strlen(key) }, 1, hash);
}

void registry_key_make(const struct random *rnd, const char *word, char text[static REGISTRY_KEY_TEXT])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_x";
	uint8_t bytes[76];
	size_t len = (size_t)snprintf(text, REGISTRY_KEY_TEXT, "%.16s", word);
	rnd->fill(rnd->arg, bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		if (i == 12)
			text[len++] = '-';
		text[len++] = digits[bytes[i] & 63];
	}
	text[len] = 0;
	key_wipe(bytes, sizeof(bytes));
}

#define AUTH_WORD "hskey-auth-"

static int preauth_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	const struct preauth_wish *w = &c->wish;
	struct preauth *k = &c->key;
	if (!*w->user && !*w->tags)
		return err_say(
			eb, -EINVAL, "whose key? say --user NAME, or --tags for machines that are nobody's");
	if (strlen(w->tags) >= STORE_TAGS || strlen(w->about) >= STORE_ABOUT)
		return err_say(eb, -EINVAL, "too many tags, or too long a description, for one key");
	int err = registry_tags_check(r, w->tags, eb);
	if (err || (err = registry_tags_check_giver(r, w->tags, c->giver, NULL, eb)))
		return err;
	const struct user *u = *w->user ? fleet_user_named(&r->fleet, w->user) : NULL;
	if (*w->user && !u && !w->create_user)
		return err_say(eb, -ENOENT,
			"no user \"%s\": make it with `ropewalk-control users create %s`, or add "
			"--create-user",
			w->user, w->user);
	if (u && (err = registry_check_maker(u, w->by, eb)))
		return err;
	c->text = w->user;
	if (*w->user && !u && (err = user_prepare(r, c, eb)))
		return err;
	*k = (struct preauth) { .user = u ? u->id : 0,
		.reusable = w->reusable,
		.ephemeral = w->ephemeral,
		.created_ms = c->now_ms,
		.expiry_ms = FLEET_NO_TIME,
		.humble = w->by < USER_ADMIN,
		.unapproved = w->unapproved,
		.tags = w->tags };
	if (w->lifetime_ms && __builtin_add_overflow(c->now_ms, w->lifetime_ms, &k->expiry_ms))
		return err_say(eb, -EINVAL, "no key lasts that long");
	memcpy(k->about, w->about, strlen(w->about) + 1);
	registry_key_make(r->c.rnd, AUTH_WORD, c->key_text);
	registry_key_hash(c->key_text, k->hash);
	snprintf(k->prefix, sizeof(k->prefix), "%.12s", c->key_text + strlen(AUTH_WORD));
	return 0;
}

/* With the user, when it is new. */
static int preauth_write(struct store *s, struct change *c, struct errbuf *eb)
{
	int err = *c->user.name ? store_user_add(s, &c->user, eb) : 0;
	if (err)
		return err;
	if (*c->user.name)
		c->key.user = c->user.id;
	return store_preauth_add(s, &c->key, eb);
}

static int preauth_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	c->id = c->key.id;
	if ((*c->user.name && !fleet_user_put(&r->fleet, &c->user)) || !keyring_add(&r->keys, &c->key))
		return err_set(eb, -ENOMEM, "create an auth key");
	return 0;
}

static const struct change_kind preauth_kind = {
	.prepare = preauth_prepare, .write = preauth_write, .publish = preauth_publish
};

void registry_preauth_create(
	struct registry *r, const struct preauth_wish *wish, int64_t now_ms, struct registry_wait *w)
{
	struct change *c = registry_change_new(r, &preauth_kind, w);
	if (!c)
		return;
	c->now_ms = now_ms;
	c->wish = *wish;
	c->wish.user = arena_strdup(&c->mem, wish->user ? wish->user : "");
	c->wish.tags = arena_strdup(&c->mem, wish->tags);
	c->wish.about = arena_strdup(&c->mem, wish->about ? wish->about : "");
	registry_change_submit(c);
}

static int expire_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	return keyring_by_id(&r->keys, c->id)
		       ? 0
		       : err_say(eb, -ENOENT, "no such auth key: `preauthkeys list` shows the numbers");
}

static int expire_write(struct store *s, struct change *c, struct errbuf *eb)
{
	return store_preauth_expire(s, c->id, c->now_ms, eb);
}

static int expire_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	struct preauth *k = keyring_by_id(&r->keys, c->id);
	(void)eb;
	if (k)
		k->expiry_ms = c->now_ms;
	return 0;
}

static const struct change_kind expire_kind = {
	.prepare = expire_prepare, .write = expire_write, .publish = expire_publish
};

void registry_preauth_expire(struct registry *r, int64_t id, int64_t now_ms, struct registry_wait *w)
{
	struct change *c = registry_change_new(r, &expire_kind, w);
	if (!c)
		return;
	c->id = id;
	c->now_ms = now_ms;
	registry_change_submit(c);
}

static int delete_write(struct store *s, struct change *c, struct errbuf *eb)
{
	return store_preauth_delete(s, c->id, eb);
}

static int delete_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	(void)eb;
	keyring_remove(&r->keys, c->id);
	return 0;
}

static const struct change_kind delete_kind = {
	.prepare = expire_prepare, .write = delete_write, .publish = delete_publish
};

void registry_preauth_delete(struct registry *r, int64_t id, struct registry_wait *w)
{
	struct change *c = registry_change_new(r, &delete_kind, w);
	if (!c)
		return;
	c->id = id;
	registry_change_submit(c);
}

/* --- settings --- */

int registry_text(struct registry *r, const char *name, struct buf *out, struct errbuf *eb)
{
	return store_text_get(r->store, name, out, eb);
}

static int text_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	(void)r;
	(void)c;
	(void)eb;
	return 0;
}

static int text_write(struct store *s, struct change *c, struct errbuf *eb)
{
	return store_text_put(s, c->text, c->value, eb);
}

static int text_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	(void)eb;
	if (r->c.ops.text)
		r->c.ops.text(r->c.ops.arg, c->text, c->value);
	return 0;
}

static const struct change_kind text_kind = {
	.prepare = text_prepare, .write = text_write, .publish = text_publish
};

bool registry_text_waits(const struct registry *r)
{
	return (r->busy && r->busy->kind == &text_kind) || registry_change_find(r, &text_kind, 0);
}

void registry_text_put(struct registry *r, const char *name, const char *value, struct registry_wait *w)
{
	struct change *c = registry_change_new(r, &text_kind, w);
	if (!c)
		return;
	c->text = arena_strdup(&c->mem, name);
	c->value = arena_strdup(&c->mem, value);
	registry_change_submit(c);
}
