/* Access rules on disk: each text that was in force, the newest of them. */
#include "mesh/control/fleet/store_inner.h"

#include <errno.h>
#include <stdio.h>

int store_policy_add(struct store *s, struct policy_version *v, const char *text, struct errbuf *eb)
{
	struct stmt q =
		stmt_new(s, "INSERT INTO policies (created_ms, author, tag, bytes, text) VALUES (?,?,?,?,?)");
	stmt_int(&q, v->created_ms);
	stmt_text(&q, v->author);
	stmt_text(&q, v->tag);
	stmt_int(&q, (int64_t)v->len);
	stmt_text(&q, text);
	int err = stmt_finish(&q, "keep the policy", eb);
	if (err)
		return err;
	v->id = sqlite3_last_insert_rowid(s->db);
	q = stmt_new(s, "DELETE FROM policies WHERE id <= (SELECT max(id) FROM policies) - ?");
	stmt_int(&q, POLICIES_KEPT);
	return stmt_finish(&q, "forget the oldest policy", eb);
}

int store_policy_text(struct store *s, int64_t id, struct arena *a, const char **text, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "SELECT text FROM policies WHERE id = ?");
	stmt_int(&q, id);
	*text = NULL;
	while (stmt_next(&q))
		*text = arena_strdup(a, stmt_take_text(&q));
	int err = stmt_end(&q, "read a policy", eb);
	if (!err && a->failed)
		return err_set(eb, -ENOMEM, "read a policy");
	return err || *text ? err
			    : err_say(eb, -ENOENT, "version %lld of the policy is forgotten", (long long)id);
}

int store_load_policies(struct store *s, struct policies *to, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "SELECT id, created_ms, author, tag, bytes FROM policies ORDER BY id");
	while (stmt_next(&q)) {
		struct policy_version v = { .id = stmt_take_int(&q) };
		v.created_ms = stmt_take_int(&q);
		snprintf(v.author, sizeof(v.author), "%s", stmt_take_text(&q));
		snprintf(v.tag, sizeof(v.tag), "%s", stmt_take_text(&q));
		v.len = (size_t)stmt_take_int(&q);
		policies_add(to, &v);
	}
	int err = stmt_end(&q, "load the policies", eb);
	const struct policy_version *newest = policies_newest(to);
	struct arena a = { 0 };
	const char *text = NULL;
	if (!err && newest)
		err = store_policy_text(s, newest->id, &a, &text, eb);
	if (!err && text && !policies_text(to, text))
		err = err_set(eb, -ENOMEM, "load the policy");
	arena_free(&a);
	return err;
}
