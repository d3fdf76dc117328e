/* Persons on disk. */
#include "mesh/control/fleet/store_inner.h"

#include <errno.h>
#include <stdio.h>

int store_load_people(struct store *s, const struct store_sink *sink, struct errbuf *eb)
{
	struct stmt q =
		stmt_new(s, "SELECT user, issuer, subject, email, display, groups FROM people ORDER BY user");
	bool ok = true;
	while (ok && stmt_next(&q)) {
		struct person p = { .user = stmt_take_int(&q) };
		snprintf(p.issuer, sizeof(p.issuer), "%s", stmt_take_text(&q));
		snprintf(p.subject, sizeof(p.subject), "%s", stmt_take_text(&q));
		snprintf(p.email, sizeof(p.email), "%s", stmt_take_text(&q));
		snprintf(p.display, sizeof(p.display), "%s", stmt_take_text(&q));
		p.groups = stmt_take_text(&q);
		ok = sink->person(sink->arg, &p);
	}
	return stmt_taken(&q, ok, "load the persons", eb);
}

int store_person_put(struct store *s, const struct person *p, struct errbuf *eb)
{
	struct stmt q = stmt_new(s,
		"INSERT INTO people (user, issuer, subject, email, display, groups) VALUES (?,?,?,?,?,?)"
		" ON CONFLICT (user) DO UPDATE SET email = excluded.email, display = "
		"excluded.display, groups = excluded.groups");
	stmt_int(&q, p->user);
	stmt_text(&q, p->issuer);
	stmt_text(&q, p->subject);
	stmt_text(&q, p->email);
	stmt_text(&q, p->display);
	stmt_text(&q, p->groups ? p->groups : "");
	return stmt_finish(&q, "keep who a user is", eb);
}

/* --- admins --- */

int store_load_admins(struct store *s, struct admins *to, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "SELECT id, name, hash, created_ms FROM admins ORDER BY id");
	while (stmt_next(&q)) {
		struct admin a = { .id = stmt_take_int(&q) };
		snprintf(a.name, sizeof(a.name), "%s", stmt_take_text(&q));
		snprintf(a.hash, sizeof(a.hash), "%s", stmt_take_text(&q));
		a.created_ms = stmt_take_int(&q);
		(void)admins_put(to, &a);
	}
	return stmt_end(&q, "load the admins", eb);
}

int store_admin_put(struct store *s, struct admin *a, struct errbuf *eb)
{
	struct stmt q =
		stmt_new(s, a->id ? "UPDATE admins SET name = ?, hash = ?, created_ms = ? WHERE id = ?"
				  : "INSERT INTO admins (name, hash, created_ms) VALUES (?,?,?)");
	stmt_text(&q, a->name);
	stmt_text(&q, a->hash);
	stmt_int(&q, a->created_ms);
	if (a->id)
		stmt_int(&q, a->id);
	int err = stmt_finish(&q, "keep an admin", eb);
	if (!err && !a->id)
		a->id = sqlite3_last_insert_rowid(s->db);
	return err;
}

int store_admin_delete(struct store *s, int64_t id, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "DELETE FROM admins WHERE id = ?");
	stmt_int(&q, id);
	return stmt_finish(&q, "delete an admin", eb);
}
