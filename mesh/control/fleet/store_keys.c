/* Keys on disk: of nodes that join, and of programs that use the API. */
#include "mesh/control/fleet/store_inner.h"

#include <errno.h>
#include <stdio.h>

static void take_preauth(struct stmt *q, struct preauth *k)
{
	*k = (struct preauth) { .id = stmt_take_int(q) };
	k->user = stmt_take_int(q);
	stmt_take_blob(q, k->hash, STORE_HASH);
	snprintf(k->prefix, sizeof(k->prefix), "%s", stmt_take_text(q));
	k->reusable = stmt_take_int(q);
	k->ephemeral = stmt_take_int(q);
	k->used = stmt_take_int(q);
	k->created_ms = stmt_take_int(q);
	k->expiry_ms = stmt_take_time(q);
	k->tags = stmt_take_text(q);
	snprintf(k->about, sizeof(k->about), "%s", stmt_take_text(q));
	k->humble = stmt_take_int(q);
	k->unapproved = stmt_take_int(q);
}

#define PREAUTH_COLUMNS \
	"user, hash, prefix, reusable, ephemeral, used, created_ms, expiry_ms, tags, about, humble, " \
	"unapproved"

int store_load_keys(struct store *s, const struct store_sink *sink, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "SELECT id, " PREAUTH_COLUMNS " FROM preauth_keys ORDER BY id");
	bool ok = true;
	while (ok && stmt_next(&q)) {
		struct preauth k;
		take_preauth(&q, &k);
		ok = sink->preauth(sink->arg, &k);
	}
	return stmt_taken(&q, ok, "load the auth keys", eb);
}

int store_preauth_add(struct store *s, struct preauth *k, struct errbuf *eb)
{
	struct stmt q = stmt_new(
		s, "INSERT INTO preauth_keys (" PREAUTH_COLUMNS ", id) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)");
	stmt_id(&q, k->user);
	stmt_blob(&q, k->hash, STORE_HASH);
	stmt_text(&q, k->prefix);
	stmt_int(&q, k->reusable);
	stmt_int(&q, k->ephemeral);
	stmt_int(&q, k->used);
	stmt_int(&q, k->created_ms);
	stmt_time(&q, k->expiry_ms);
	stmt_text(&q, k->tags);
	stmt_text(&q, k->about);
	stmt_int(&q, k->humble);
	stmt_int(&q, k->unapproved);
	stmt_id(&q, k->id);
	int err = stmt_finish(&q, "add an auth key", eb);
	if (!err)
		k->id = sqlite3_last_insert_rowid(s->db);
	return err;
}

static int change_preauth(struct store *s, struct stmt *q, const char *what, struct errbuf *eb)
{
	int err = stmt_finish(q, what, eb);
	return err ? err
	       : sqlite3_changes(s->db)
		       ? 0
		       : err_say(eb, -ENOENT, "no such auth key: `preauthkeys list` shows the numbers");
}

int store_preauth_use(struct store *s, int64_t id, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "UPDATE preauth_keys SET used = 1 WHERE id = ?");
	stmt_int(&q, id);
	return change_preauth(s, &q, "use an auth key", eb);
}

int store_preauth_expire(struct store *s, int64_t id, int64_t now_ms, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "UPDATE preauth_keys SET expiry_ms = ? WHERE id = ?");
	stmt_int(&q, now_ms);
	stmt_int(&q, id);
	return change_preauth(s, &q, "expire an auth key", eb);
}

int store_preauth_delete(struct store *s, int64_t id, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "DELETE FROM preauth_keys WHERE id = ?");
	stmt_int(&q, id);
	return change_preauth(s, &q, "delete an auth key", eb);
}

/* --- keys of the API --- */

#define API_KEY_COLUMNS "kind, hash, prefix, created_ms, expiry_ms, seen_ms, about, scopes, tags, updated_ms"

static void take_api_key(struct stmt *q, struct api_key *k)
{
	*k = (struct api_key) { .id = stmt_take_int(q) };
	k->kind = stmt_take_int(q) == API_KEY_CLIENT ? API_KEY_CLIENT : API_KEY_ADMIN;
	stmt_take_blob(q, k->hash, STORE_HASH);
	snprintf(k->prefix, sizeof(k->prefix), "%s", stmt_take_text(q));
	k->created_ms = stmt_take_int(q);
	k->expiry_ms = stmt_take_time(q);
	k->seen_ms = stmt_take_time(q);
	snprintf(k->about, sizeof(k->about), "%s", stmt_take_text(q));
	snprintf(k->scopes, sizeof(k->scopes), "%s", stmt_take_text(q));
	snprintf(k->tags, sizeof(k->tags), "%s", stmt_take_text(q));
	k->updated_ms = stmt_take_time(q);
}

int store_load_api_keys(struct store *s, const struct store_sink *sink, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "SELECT id, " API_KEY_COLUMNS " FROM api_keys ORDER BY id");
	bool ok = true;
	while (ok && stmt_next(&q)) {
		struct api_key k;
		take_api_key(&q, &k);
		ok = sink->api_key(sink->arg, &k);
	}
	return stmt_taken(&q, ok, "load the API keys", eb);
}

int store_api_key_add(struct store *s, struct api_key *k, struct errbuf *eb)
{
	struct stmt q =
		stmt_new(s, "INSERT INTO api_keys (" API_KEY_COLUMNS ") VALUES (?,?,?,?,?,?,?,?,?,?)");
	stmt_int(&q, k->kind);
	stmt_blob(&q, k->hash, STORE_HASH);
	stmt_text(&q, k->prefix);
	stmt_int(&q, k->created_ms);
	stmt_time(&q, k->expiry_ms);
	stmt_time(&q, k->seen_ms);
	stmt_text(&q, k->about);
	stmt_text(&q, k->scopes);
	stmt_text(&q, k->tags);
	stmt_time(&q, k->updated_ms);
	int err = stmt_finish(&q, "add an API key", eb);
	if (!err)
		k->id = sqlite3_last_insert_rowid(s->db);
	return err;
}

int store_api_key_put(struct store *s, const struct api_key *k, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "UPDATE api_keys SET expiry_ms = ?, seen_ms = ?, about = ?, scopes = ?, "
				    "tags = ?, updated_ms = ? WHERE id = ?");
	stmt_time(&q, k->expiry_ms);
	stmt_time(&q, k->seen_ms);
	stmt_text(&q, k->about);
	stmt_text(&q, k->scopes);
	stmt_text(&q, k->tags);
	stmt_time(&q, k->updated_ms);
	stmt_int(&q, k->id);
	return stmt_finish(&q, "change an API key", eb);
}

int store_api_key_delete(struct store *s, int64_t id, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "DELETE FROM api_keys WHERE id = ?");
	stmt_int(&q, id);
	return stmt_finish(&q, "delete an API key", eb);
}
