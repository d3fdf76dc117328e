#include "mesh/control/fleet/store_inner.h"

#include <errno.h>
#include <string.h>

/* The library's own word is for its files; what it says of those beside them is the system's. */
static bool is_full(const struct store *s, int rc)
{
	int why = sqlite3_system_errno(s->db);
	return rc == SQLITE_FULL || (rc == SQLITE_IOERR && (why == ENOSPC || why == EDQUOT));
}

int store_fail(struct store *s, struct errbuf *eb, const char *what)
{
	int rc = sqlite3_errcode(s->db) & 0xff;
	if (is_full(s, rc))
		return err_say(eb, -ENOSPC, "%s: database %s: the disk is full; free space and try again",
			what, s->path);
	if (rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB)
		return err_say(eb, ERR_MALFORMED,
			"%s: database %s is damaged (%s): restore it from a backup, or move it away to start "
			"anew",
			what, s->path, sqlite3_errmsg(s->db));
	if (rc == SQLITE_BUSY)
		return err_say(eb, -EBUSY,
			"%s: database %s is held by another program, such as sqlite3 in a transaction: end "
			"that and "
			"try again",
			what, s->path);
	if (rc == SQLITE_READONLY || rc == SQLITE_CANTOPEN || rc == SQLITE_PERM)
		return err_say(eb, -EACCES,
			"%s: database %s: %s; check that this user may write the file and its folder", what,
			s->path, sqlite3_errmsg(s->db));
	return err_say(eb,
		rc == SQLITE_CONSTRAINT ? -EEXIST
		: rc == SQLITE_NOMEM	? -ENOMEM
					: -EIO,
		"%s: database %s: %s", what, s->path, sqlite3_errmsg(s->db));
}

struct stmt stmt_new(struct store *s, const char *sql)
{
	struct stmt q = { .s = s };
	q.rc = sqlite3_prepare_v2(s->db, sql, -1, &q.st, NULL);
	return q;
}

static void stmt_rc(struct stmt *q, int rc)
{
	q->rc = q->rc == SQLITE_OK ? rc : q->rc;
}

void stmt_int(struct stmt *q, int64_t v)
{
	stmt_rc(q, sqlite3_bind_int64(q->st, ++q->at, v));
}

void stmt_time(struct stmt *q, int64_t ms)
{
	if (ms == FLEET_NO_TIME)
		stmt_rc(q, sqlite3_bind_null(q->st, ++q->at));
	else
		stmt_int(q, ms);
}

void stmt_id(struct stmt *q, int64_t id)
{
	if (id)
		stmt_int(q, id);
	else
		stmt_rc(q, sqlite3_bind_null(q->st, ++q->at));
}

void stmt_text(struct stmt *q, const char *v)
{
	stmt_rc(q, sqlite3_bind_text(q->st, ++q->at, v ? v : "", -1, SQLITE_TRANSIENT));
}

void stmt_blob(struct stmt *q, const void *p, int len)
{
	stmt_rc(q, sqlite3_bind_blob(q->st, ++q->at, p, len, SQLITE_TRANSIENT));
}

void stmt_addr(struct stmt *q, bool has, const struct addr *a)
{
	char text[ADDR_TEXT];
	if (has)
		stmt_text(q, addr_format(a, text));
	else
		stmt_rc(q, sqlite3_bind_null(q->st, ++q->at));
}

int stmt_finish(struct stmt *q, const char *what, struct errbuf *eb)
{
	int err = 0;
	if (q->rc != SQLITE_OK || sqlite3_step(q->st) != SQLITE_DONE)
		err = store_fail(q->s, eb, what);
	sqlite3_finalize(q->st);
	return err;
}

bool stmt_next(struct stmt *q)
{
	if (q->rc != SQLITE_OK)
		return false;
	q->rc = sqlite3_step(q->st);
	q->at = 0;
	if (q->rc != SQLITE_ROW)
		return false;
	q->rc = SQLITE_OK;
	return true;
}

int stmt_end(struct stmt *q, const char *what, struct errbuf *eb)
{
	int err = q->rc == SQLITE_DONE ? 0 : store_fail(q->s, eb, what);
	sqlite3_finalize(q->st);
	return err;
}

int stmt_taken(struct stmt *q, bool all, const char *what, struct errbuf *eb)
{
	if (all)
		return stmt_end(q, what, eb);
	sqlite3_finalize(q->st);
	return err_set(eb, -ENOMEM, "%s", what);
}

int64_t stmt_take_int(struct stmt *q)
{
	return sqlite3_column_int64(q->st, q->at++);
}

int64_t stmt_take_time(struct stmt *q)
{
	bool none = sqlite3_column_type(q->st, q->at) == SQLITE_NULL;
	int64_t v = stmt_take_int(q);
	return none ? FLEET_NO_TIME : v;
}

const char *stmt_take_text(struct stmt *q)
{
	const char *t = (const char *)sqlite3_column_text(q->st, q->at++);
	return t ? t : "";
}

void stmt_take_blob(struct stmt *q, void *out, size_t len)
{
	const void *p = sqlite3_column_blob(q->st, q->at);
	if (p && (size_t)sqlite3_column_bytes(q->st, q->at) == len)
		memcpy(out, p, len);
	q->at++;
}
