/* What an admin may change: users and auth keys. */
#include "mesh/control/fleet/registry_inner.h"

#include "mesh/base/noise.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- users --- */

static int check_user_name(const struct registry *r, const char *name, struct errbuf *eb)
{
	size_t len = strlen(name);
	if (!len || len >= FLEET_USER_NAME ||
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@+") != len)
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

static int destroy_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	const struct user *u = fleet_user_named(&r->fleet, c->text);
	if (!u)
		return err_say(eb, -ENOENT, "no user \"%s\": `users list` shows them", c->text);
	c->id = u->id;
	for (size_t i = 0; i < r->fleet.n; i++)
		if (r->fleet.v[i]->user == u->id)
			return err_say(eb, -EBUSY, "user \"%s\" still has nodes (%s): delete them first",
				c->text, r->fleet.v[i]->name);
	return 0;
}

static int destroy_write(struct store *s, struct change *c, struct errbuf *eb)
{
	return store_user_delete(s, c->id, eb);
}

static int destroy_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	(void)eb;
	keyring_drop_user(&r->keys, c->id);
	fleet_user_remove(&r->fleet, c->id);
	return 0;
}

static const struct change_kind destroy_kind = {
	.prepare = destroy_prepare, .write = destroy_write, .publish = destroy_publish
};

void registry_user_destroy(struct registry *r, const char *name, struct registry_wait *w)
{
	struct change *c = registry_change_new(r, &destroy_kind, w);
	if (!c)
		return;
	c->text = arena_strdup(&c->mem, name);
	registry_change_submit(c);
}

/* --- auth keys --- */

void registry_auth_hash(const char *key, uint8_t hash[static STORE_HASH])
{
	blake2s_hash(&(struct noise_part) { key, strlen(key) }, 1, hash);
}

/* 12 characters to tell keys apart, 64 of secret; 6 bits each. */
static void make_key(const struct random *rnd, char text[static REGISTRY_KEY_TEXT])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_x";
	uint8_t bytes[76];
	size_t len = (size_t)snprintf(text, REGISTRY_KEY_TEXT, "hskey-auth-");
	rnd->fill(rnd->arg, bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		if (i == 12)
			text[len++] = '-';
		text[len++] = digits[bytes[i] & 63];
	}
	text[len] = 0;
	key_wipe(bytes, sizeof(bytes));
}

static int preauth_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	const struct preauth_wish *w = &c->wish;
	struct preauth *k = &c->key;
	if (!*w->user && !*w->tags)
		return err_say(
			eb, -EINVAL, "whose key? say --user NAME, or --tags for machines that are nobody's");
	if (strlen(w->tags) >= STORE_TAGS)
		return err_say(eb, -EINVAL, "too many tags for one key");
	int err = registry_tags_check(r, w->tags, eb);
	if (err)
		return err;
	const struct user *u = *w->user ? fleet_user_named(&r->fleet, w->user) : NULL;
	if (*w->user && !u && !w->create_user)
		return err_say(eb, -ENOENT,
			"no user \"%s\": make it with `ropewalk-control users create %s`, or add "
			"--create-user",
			w->user, w->user);
	c->text = w->user;
	if (*w->user && !u && (err = user_prepare(r, c, eb)))
		return err;
	*k = (struct preauth) { .user = u ? u->id : 0,
		.reusable = w->reusable,
		.ephemeral = w->ephemeral,
		.created_ms = c->now_ms,
		.expiry_ms = w->lifetime_ms ? c->now_ms + (int64_t)w->lifetime_ms : FLEET_NO_TIME,
		.tags = w->tags };
	make_key(r->c.rnd, c->key_text);
	registry_auth_hash(c->key_text, k->hash);
	snprintf(k->prefix, sizeof(k->prefix), "%.12s", c->key_text + strlen("hskey-auth-"));
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
