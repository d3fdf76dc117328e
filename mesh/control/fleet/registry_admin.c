/* What an admin may change. */
#include "mesh/control/fleet/registry_inner.h"

#include "mesh/base/log.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int write_user(struct registry *r, struct user *u, struct errbuf *eb)
{
	int err = store_begin(r->store, true, eb);
	if (err)
		return err;
	if ((err = store_user_add(r->store, u, eb))) {
		store_rollback(r->store);
		return err;
	}
	return store_commit(r->store, eb);
}

int registry_user_create(
	struct registry *r, const char *name, int64_t now_ms, struct user *out, struct errbuf *eb)
{
	struct user u = { .created_ms = now_ms };
	size_t len = strlen(name);
	if (!len || len >= sizeof(u.name) ||
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
	memcpy(u.name, name, len + 1);
	int err = write_user(r, &u, eb);
	if (err)
		return err;
	if (!fleet_user_put(&r->fleet, &u))
		return err_set(eb, -ENOMEM, "create a user");
	*out = u;
	return 0;
}

int registry_user_destroy(struct registry *r, const char *name, struct errbuf *eb)
{
	const struct user *u = fleet_user_named(&r->fleet, name);
	if (!u)
		return err_say(eb, -ENOENT, "no user \"%s\": `users list` shows them", name);
	int64_t id = u->id;
	for (size_t i = 0; i < r->fleet.n; i++)
		if (r->fleet.v[i]->user == id)
			return err_say(eb, -EBUSY, "user \"%s\" still has nodes (%s): delete them first",
				name, r->fleet.v[i]->name);
	int err = store_begin(r->store, true, eb);
	if (err)
		return err;
	if ((err = store_user_delete(r->store, id, eb))) {
		store_rollback(r->store);
		return err;
	}
	if ((err = store_commit(r->store, eb)))
		return err;
	fleet_user_remove(&r->fleet, id);
	return 0;
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

int registry_tags_check(const struct registry *r, const char *tags, struct errbuf *eb)
{
	struct arena a = { 0 };
	struct ctl_strings list;
	int err = 0;
	registry_tags_split(&a, tags, &list);
	for (size_t i = 0; i < list.n && !err; i++) {
		if (strncmp(list.v[i], "tag:", 4) != 0 || !fleet_label_valid(list.v[i] + 4))
			err = err_say(eb, -EINVAL,
				"\"%.64s\" is not a tag: write it as tag:name with a-z, 0-9 and -",
				list.v[i]);
		else if (r->c.ops.knows_tag && !r->c.ops.knows_tag(r->c.ops.arg, list.v[i]))
			err = err_say(eb, -EINVAL,
				"%.64s is not in the policy's \"tagOwners\": add it there and reload",
				list.v[i]);
	}
	arena_free(&a);
	return err;
}

static int check_wish(
	struct registry *r, const struct preauth_wish *w, int64_t now_ms, int64_t *user, struct errbuf *eb)
{
	struct user fresh = { 0 };
	const struct user *u;
	if (!w->user || !*w->user)
		return err_say(eb, -EINVAL, "whose key? say --user NAME");
	if (strlen(w->tags) >= STORE_TAGS)
		return err_say(eb, -EINVAL, "too many tags for one key");
	int err = registry_tags_check(r, w->tags, eb);
	if (err)
		return err;
	u = fleet_user_named(&r->fleet, w->user);
	if (!u && !w->create_user)
		return err_say(eb, -ENOENT,
			"no user \"%s\": make it with `ropewalk-control users create %s`, or add "
			"--create-user",
			w->user, w->user);
	if (!u && (err = registry_user_create(r, w->user, now_ms, &fresh, eb)))
		return err;
	*user = u ? u->id : fresh.id;
	return 0;
}

int registry_preauth_create(struct registry *r, const struct preauth_wish *w, int64_t now_ms,
	char text[static REGISTRY_KEY_TEXT], struct preauth *out, struct errbuf *eb)
{
	struct preauth k = { .reusable = w->reusable,
		.ephemeral = w->ephemeral,
		.created_ms = now_ms,
		.expiry_ms = w->lifetime_ms ? now_ms + (int64_t)w->lifetime_ms : FLEET_NO_TIME };
	int err = check_wish(r, w, now_ms, &k.user, eb);
	if (err)
		return err;
	make_key(r->c.rnd, text);
	registry_auth_hash(text, k.hash);
	snprintf(k.prefix, sizeof(k.prefix), "%.12s", text + strlen("hskey-auth-"));
	snprintf(k.tags, sizeof(k.tags), "%s", w->tags);
	if ((err = store_begin(r->store, true, eb)))
		return err;
	if ((err = store_preauth_add(r->store, &k, eb))) {
		store_rollback(r->store);
		return err;
	}
	if ((err = store_commit(r->store, eb)))
		return err;
	*out = k;
	return 0;
}

static int find_node(const struct registry *r, int64_t node, struct member *draft, struct errbuf *eb)
{
	const struct member *m = fleet_by_id(&r->fleet, node);
	if (!m)
		return err_say(eb, -ENOENT, "no node %lld: `nodes list` shows the numbers", (long long)node);
	*draft = *m;
	return 0;
}

int registry_node_expire(struct registry *r, int64_t node, int64_t at_ms, struct errbuf *eb)
{
	struct member draft;
	int err = find_node(r, node, &draft, eb);
	if (err)
		return err;
	draft.expiry_ms = at_ms;
	return registry_replace(r, &draft, true, CHANGE_IDENTITY, eb);
}

int registry_node_rename(struct registry *r, int64_t node, const char *label, struct errbuf *eb)
{
	struct member draft;
	int err = find_node(r, node, &draft, eb);
	const struct member *other = fleet_by_name(&r->fleet, label);
	if (err)
		return err;
	if (!fleet_label_valid(label))
		return err_say(eb, -EINVAL,
			"\"%.64s\" is not a name: a-z, 0-9 and - inside, at most 63 characters", label);
	if (other && other->id != node)
		return err_say(eb, -EEXIST, "node %lld has that name already", (long long)other->id);
	draft.name = label;
	draft.renamed = true;
	return registry_replace(r, &draft, true, CHANGE_IDENTITY, eb);
}

int registry_node_tag(struct registry *r, int64_t node, const char *tags, struct errbuf *eb)
{
	struct member draft;
	struct arena a = { 0 };
	int err = find_node(r, node, &draft, eb);
	if (!err)
		err = registry_tags_check(r, tags, eb);
	if (err)
		return err;
	registry_tags_split(&a, tags, &draft.tags);
	err = registry_replace(r, &draft, true, CHANGE_IDENTITY, eb);
	arena_free(&a);
	return err;
}
