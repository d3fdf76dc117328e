/* Keys of the API: made, ended, looked up. */
#include "mesh/control/fleet/registry_inner.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { SEEN_EVERY_MS = 60 * 1000 }; /* when it was used is written that often at most */

/* --- made --- */

static int make_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	struct api_key *k = &c->api_key;
	if (r->api_keys.n >= API_KEYS_MAX)
		return err_say(eb, -ENOSPC,
			"there are %d keys already: delete those that are not used any more", API_KEYS_MAX);
	int err = registry_tags_check(r, k->tags, eb);
	if (err)
		return err;
	registry_key_make(r->c.rnd, api_key_word(k->kind), c->key_text);
	registry_key_hash(c->key_text, k->hash);
	enum api_key_kind kind;
	(void)api_key_parse(c->key_text, &kind, k->prefix);
	return 0;
}

static int make_write(struct store *s, struct change *c, struct errbuf *eb)
{
	return store_api_key_add(s, &c->api_key, eb);
}

static int make_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	c->id = c->api_key.id;
	return api_keys_add(&r->api_keys, &c->api_key) ? 0 : err_set(eb, -ENOMEM, "create an API key");
}

static const struct change_kind make_kind = {
	.prepare = make_prepare, .write = make_write, .publish = make_publish
};

/* What is wished, with the rest empty. NULL: told why not. */
static struct change *wished(struct registry *r, const struct change_kind *kind,
	const struct api_key_wish *wish, int64_t now_ms, struct registry_wait *w)
{
	if (strlen(wish->scopes) >= API_KEY_SCOPES || strlen(wish->about) >= STORE_ABOUT ||
		strlen(wish->tags) >= STORE_TAGS) {
		registry_fail_now(
			w, -EINVAL, "too many scopes or tags, or too long a description, for one key");
		return NULL;
	}
	struct change *c = registry_change_new(r, kind, w);
	if (!c)
		return NULL;
	c->now_ms = now_ms;
	memcpy(c->api_key.about, wish->about, strlen(wish->about) + 1);
	memcpy(c->api_key.scopes, wish->scopes, strlen(wish->scopes) + 1);
	memcpy(c->api_key.tags, wish->tags, strlen(wish->tags) + 1);
	return c;
}

void registry_api_key_create(
	struct registry *r, const struct api_key_wish *wish, int64_t now_ms, struct registry_wait *w)
{
	struct change *c = wished(r, &make_kind, wish, now_ms, w);
	if (!c)
		return;
	c->api_key.kind = wish->kind;
	c->api_key.created_ms = now_ms;
	c->api_key.expiry_ms = wish->expiry_ms;
	c->api_key.seen_ms = c->api_key.updated_ms = FLEET_NO_TIME;
	registry_change_submit(c);
}

/* --- ended, and used --- */

static int find_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	const struct api_key *k = api_keys_by_id(&r->api_keys, c->id);
	if (!k)
		return err_say(eb, -ENOENT, "no such API key: `apikeys list` shows the numbers");
	c->api_key = *k;
	return 0;
}

static int expire_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	int err = find_prepare(r, c, eb);
	c->api_key.expiry_ms = c->now_ms;
	return err;
}

static int seen_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	int err = find_prepare(r, c, eb);
	c->api_key.seen_ms = c->now_ms;
	return err;
}

static int put_write(struct store *s, struct change *c, struct errbuf *eb)
{
	return store_api_key_put(s, &c->api_key, eb);
}

static int put_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	struct api_key *k = api_keys_by_id(&r->api_keys, c->id);
	(void)eb;
	if (k)
		*k = c->api_key;
	return 0;
}

/* What is wished stands in the change; the rest is the key's as it is now. */
static int set_prepare(struct registry *r, struct change *c, struct errbuf *eb)
{
	struct api_key wish = c->api_key, *k = &c->api_key;
	int err = find_prepare(r, c, eb);
	if (!err && k->kind != API_KEY_CLIENT)
		err = err_say(eb, -EINVAL, "a key of an admin has no scopes and no tags: only clients have");
	if (!err)
		err = registry_tags_check(r, wish.tags, eb);
	memcpy(k->about, wish.about, sizeof(wish.about));
	memcpy(k->scopes, wish.scopes, sizeof(wish.scopes));
	memcpy(k->tags, wish.tags, sizeof(wish.tags));
	k->updated_ms = c->now_ms;
	return err;
}
static const struct change_kind set_kind = {
	.prepare = set_prepare, .write = put_write, .publish = put_publish
};

static const struct change_kind expire_kind = {
	.prepare = expire_prepare, .write = put_write, .publish = put_publish
};
static const struct change_kind seen_kind = {
	.prepare = seen_prepare, .write = put_write, .publish = put_publish
};

static int delete_write(struct store *s, struct change *c, struct errbuf *eb)
{
	return store_api_key_delete(s, c->id, eb);
}

static int delete_publish(struct registry *r, struct change *c, struct errbuf *eb)
{
	(void)eb;
	api_keys_remove(&r->api_keys, c->id);
	return 0;
}

static const struct change_kind delete_kind = {
	.prepare = find_prepare, .write = delete_write, .publish = delete_publish
};

static void submit(struct registry *r, const struct change_kind *kind, int64_t id, int64_t now_ms, bool fast,
	struct registry_wait *w)
{
	struct change *c = registry_change_new(r, kind, w);
	if (!c)
		return;
	c->id = id;
	c->now_ms = now_ms;
	c->fast = fast;
	registry_change_submit(c);
}

void registry_api_key_set(struct registry *r, int64_t id, const struct api_key_wish *wish, int64_t now_ms,
	struct registry_wait *w)
{
	struct change *c = wished(r, &set_kind, wish, now_ms, w);
	if (!c)
		return;
	c->id = id;
	registry_change_submit(c);
}

void registry_api_key_expire(struct registry *r, int64_t id, int64_t now_ms, struct registry_wait *w)
{
	submit(r, &expire_kind, id, now_ms, false, w);
}

void registry_api_key_delete(struct registry *r, int64_t id, struct registry_wait *w)
{
	submit(r, &delete_kind, id, 0, false, w);
}

/* --- looked up --- */

bool registry_api_key_is_expired(const struct api_key *k, int64_t now_ms)
{
	return k->expiry_ms != FLEET_NO_TIME && k->expiry_ms <= now_ms;
}

const struct api_key *registry_api_key_find(const struct registry *r, const char *text)
{
	uint8_t hash[STORE_HASH];
	char prefix[STORE_PREFIX];
	enum api_key_kind kind;
	if (!api_key_parse(text, &kind, prefix))
		return NULL;
	const struct api_key *k = api_keys_by_prefix(&r->api_keys, prefix);
	registry_key_hash(text, hash);
	bool same = k && k->kind == kind && key_equal(k->hash, hash); /* in constant time */
	key_wipe(hash, sizeof(hash));
	return same ? k : NULL;
}

void registry_api_key_used(struct registry *r, int64_t id, int64_t now_ms)
{
	struct api_key *k = api_keys_by_id(&r->api_keys, id);
	if (!k || (k->seen_ms != FLEET_NO_TIME && now_ms - k->seen_ms < SEEN_EVERY_MS))
		return;
	k->seen_ms = now_ms; /* one change waits at most */
	submit(r, &seen_kind, id, now_ms, true, NULL);
}
