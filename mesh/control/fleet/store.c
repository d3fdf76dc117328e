#include "mesh/control/fleet/store.h"

#include "mesh/control/fleet/store_schema.h"
#include "mesh/os/file.h"
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_MS = 3000, PROBE_BYTES = 16384 };

struct store {
	sqlite3 *db;
	int lock_fd;
	bool durable;
	dev_t device; /* the file that was opened */
	ino_t inode;
	char path[1024];
};

/* The library's own word is for its files; what it says of those beside them is the system's. */
static bool is_full(const struct store *s, int rc)
{
	int why = sqlite3_system_errno(s->db);
	return rc == SQLITE_FULL || (rc == SQLITE_IOERR && (why == ENOSPC || why == EDQUOT));
}

static int store_fail(struct store *s, struct errbuf *eb, const char *what)
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

static int store_run(struct store *s, const char *sql, const char *what, struct errbuf *eb)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : store_fail(s, eb, what);
}

/* A statement being bound left to right; any failure sticks. */
struct stmt {
	struct store *s;
	sqlite3_stmt *st;
	int at, rc;
};

static struct stmt prepare(struct store *s, const char *sql)
{
	struct stmt q = { .s = s };
	q.rc = sqlite3_prepare_v2(s->db, sql, -1, &q.st, NULL);
	return q;
}
static void bind_rc(struct stmt *q, int rc)
{
	q->rc = q->rc == SQLITE_OK ? rc : q->rc;
}
static void bind_int(struct stmt *q, int64_t v)
{
	bind_rc(q, sqlite3_bind_int64(q->st, ++q->at, v));
}
static void bind_time(struct stmt *q, int64_t ms)
{
	if (ms == FLEET_NO_TIME)
		bind_rc(q, sqlite3_bind_null(q->st, ++q->at));
	else
		bind_int(q, ms);
}
/* 0: nobody's. */
static void bind_user(struct stmt *q, int64_t user)
{
	if (user)
		bind_int(q, user);
	else
		bind_rc(q, sqlite3_bind_null(q->st, ++q->at));
}
static void bind_text(struct stmt *q, const char *v)
{
	bind_rc(q, sqlite3_bind_text(q->st, ++q->at, v ? v : "", -1, SQLITE_TRANSIENT));
}
static void bind_blob(struct stmt *q, const void *p, int len)
{
	bind_rc(q, sqlite3_bind_blob(q->st, ++q->at, p, len, SQLITE_TRANSIENT));
}
static void bind_addr(struct stmt *q, bool has, const struct addr *a)
{
	char text[ADDR_TEXT];
	if (has)
		bind_text(q, addr_format(a, text));
	else
		bind_rc(q, sqlite3_bind_null(q->st, ++q->at));
}

/* One step of a statement that gives no rows; frees it. */
static int store_finish(struct stmt *q, const char *what, struct errbuf *eb)
{
	int err = 0;
	if (q->rc != SQLITE_OK || sqlite3_step(q->st) != SQLITE_DONE)
		err = store_fail(q->s, eb, what);
	sqlite3_finalize(q->st);
	return err;
}

static bool next_row(struct stmt *q)
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
/* After next_row said false. */
static int end_rows(struct stmt *q, const char *what, struct errbuf *eb)
{
	int err = q->rc == SQLITE_DONE ? 0 : store_fail(q->s, eb, what);
	sqlite3_finalize(q->st);
	return err;
}
static int64_t take_int(struct stmt *q)
{
	return sqlite3_column_int64(q->st, q->at++);
}
static int64_t take_time(struct stmt *q)
{
	bool none = sqlite3_column_type(q->st, q->at) == SQLITE_NULL;
	int64_t v = take_int(q);
	return none ? FLEET_NO_TIME : v;
}
static const char *take_text(struct stmt *q)
{
	const char *t = (const char *)sqlite3_column_text(q->st, q->at++);
	return t ? t : "";
}
static void take_blob(struct stmt *q, void *out, size_t len)
{
	const void *p = sqlite3_column_blob(q->st, q->at);
	if (p && (size_t)sqlite3_column_bytes(q->st, q->at) == len)
		memcpy(out, p, len);
	q->at++;
}

static int version_get(struct store *s, int64_t *out, struct errbuf *eb)
{
	struct stmt q = prepare(s, "PRAGMA user_version");
	*out = next_row(&q) ? take_int(&q) : -1;
	if (*out >= 0)
		(void)next_row(&q);
	return end_rows(&q, "read the version", eb);
}

/* A copy beside the file, named for the format it still has. */
static int back_up(struct store *s, int64_t version, struct errbuf *eb)
{
	char path[sizeof(s->path) + 32];
	struct stmt q = prepare(s, "VACUUM INTO ?");
	snprintf(path, sizeof(path), "%s.format-%lld", s->path, (long long)version);
	bind_text(&q, path);
	return store_finish(&q, "back up before the migration", eb);
}

static int query_text(
	struct store *s, const char *sql, const char *what, char *out, size_t cap, struct errbuf *eb)
{
	struct stmt q = prepare(s, sql);
	out[0] = 0;
	while (next_row(&q))
		snprintf(out, cap, "%s", take_text(&q));
	return end_rows(&q, what, eb);
}

/* A file with tables and no version of ours is somebody else's. */
static int refuse_foreign(struct store *s, struct errbuf *eb)
{
	char table[64];
	int err = query_text(s, "SELECT name FROM sqlite_schema WHERE type = 'table' LIMIT 1", "open", table,
		sizeof(table), eb);
	if (err || !*table)
		return err;
	return err_say(eb, ERR_VERSION,
		"database %s was made by another program (it has a table \"%s\"): give database.sqlite.path "
		"a "
		"file of its own; what Headscale keeps is not taken over",
		s->path, table);
}

/* Better now than when a node needs what cannot be read. */
static int refuse_damaged(struct store *s, struct errbuf *eb)
{
	char said[128];
	int err = query_text(s, "PRAGMA quick_check(1)", "open", said, sizeof(said), eb);
	if (err || !strcmp(said, "ok"))
		return err;
	return err_say(eb, ERR_MALFORMED,
		"database %s is damaged (%s): restore it from a backup, or move it away to start anew",
		s->path, said);
}

static int migrate(struct store *s, struct errbuf *eb)
{
	int64_t version = 0;
	int err = version_get(s, &version, eb);
	if (!err && !version)
		err = refuse_foreign(s, eb);
	if (!err)
		err = refuse_damaged(s, eb);
	if (err)
		return err;
	if (version < 0)
		return err_say(eb, ERR_VERSION, "database %s has format %lld, which no program wrote",
			s->path, (long long)version);
	if (version > STORE_FORMAT)
		return err_say(eb, ERR_VERSION,
			"database %s has format %lld, this program knows up to %d: run the newer program, "
			"or restore the backup made before it",
			s->path, (long long)version, STORE_FORMAT);
	if (version && version < STORE_FORMAT && (err = back_up(s, version, eb)))
		return err;
	for (; version < STORE_FORMAT; version++) {
		char set[64];
		snprintf(set, sizeof(set), "PRAGMA user_version = %lld", (long long)version + 1);
		if ((err = store_begin(s, true, eb)))
			return err;
		if ((err = store_run(s, store_migrations[version], "migrate", eb)) ||
			(err = store_run(s, set, "migrate", eb)) || (err = store_commit(s, eb))) {
			store_rollback(s);
			return err;
		}
	}
	return 0;
}

static int lock(struct store *s, struct errbuf *eb)
{
	char path[sizeof(s->path) + 8];
	struct errbuf why = { 0 };
	snprintf(path, sizeof(path), "%s.lock", s->path);
	s->lock_fd = file_lock(path, &why);
	if (s->lock_fd >= 0)
		return 0;
	if (s->lock_fd == -EAGAIN || s->lock_fd == -EWOULDBLOCK)
		return err_say(eb, -EAGAIN,
			"another ropewalk-control uses database %s: stop it first, or give this one its own "
			"database.sqlite.path",
			s->path);
	return err_say(eb, s->lock_fd, "database %s: %s", s->path, why.text);
}

static int open_database(struct store *s, struct errbuf *eb)
{
	struct stat st = { 0 };
	int fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(eb, -errno, "open database %s", s->path);
	(void)fstat(fd, &st);
	s->device = st.st_dev;
	s->inode = st.st_ino;
	close(fd);
	if (sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
		return store_fail(s, eb, "open");
	sqlite3_busy_timeout(s->db, BUSY_MS);
	int err = store_run(s,
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON", "open", eb);
	s->durable = true;
	return err ? err : migrate(s, eb);
}

struct store *store_open(const char *path, struct errbuf *eb)
{
	struct store *s = calloc(1, sizeof(*s));
	if (!s || strlen(path) >= sizeof(s->path)) {
		err_set(eb, s ? -ENAMETOOLONG : -ENOMEM, "open database %s", path);
		free(s);
		return NULL;
	}
	snprintf(s->path, sizeof(s->path), "%s", path);
	s->lock_fd = -1;
	if (lock(s, eb) || open_database(s, eb)) {
		store_close(s);
		return NULL;
	}
	return s;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	sqlite3_close(s->db);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	free(s);
}

/* What is written to a file that has no name any more is lost with the process. */
static int check_place(const struct store *s, struct errbuf *eb)
{
	struct stat st;
	if (!stat(s->path, &st) && st.st_dev == s->device && st.st_ino == s->inode)
		return 0;
	return err_say(eb, -ENOENT,
		"database %s was removed or replaced while the server uses it: put it back, or restart the "
		"server "
		"to use what is there now",
		s->path);
}

int store_begin(struct store *s, bool durable, struct errbuf *eb)
{
	int gone = check_place(s, eb);
	if (gone)
		return gone;
	if (durable != s->durable) {
		int err = store_run(s, durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL",
			"begin", eb);
		if (err)
			return err;
		s->durable = durable;
	}
	return store_run(s, "BEGIN IMMEDIATE", "begin", eb);
}

int store_commit(struct store *s, struct errbuf *eb)
{
	int err = store_run(s, "COMMIT", "commit", eb);
	if (err)
		store_rollback(s);
	return err;
}

void store_rollback(struct store *s)
{
	if (!sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

/* --- users --- */

int store_user_add(struct store *s, struct user *u, struct errbuf *eb)
{
	struct stmt q = prepare(s, "INSERT INTO users (name, created_ms) VALUES (?, ?)");
	bind_text(&q, u->name);
	bind_int(&q, u->created_ms);
	int err = store_finish(&q, "add a user", eb);
	if (!err)
		u->id = sqlite3_last_insert_rowid(s->db);
	return err;
}

int store_user_delete(struct store *s, int64_t id, struct errbuf *eb)
{
	struct stmt q = prepare(s, "DELETE FROM preauth_keys WHERE user = ?");
	bind_int(&q, id);
	int err = store_finish(&q, "delete the user's keys", eb);
	if (err)
		return err;
	q = prepare(s, "DELETE FROM users WHERE id = ?");
	bind_int(&q, id);
	return store_finish(&q, "delete a user", eb);
}

/* --- nodes --- */

/* "type address:port" lines. */
static char *format_endpoints(const struct ctl_endpoints *e)
{
	size_t size = e->n * (ENDPOINT_TEXT + 6) + 1, len = 0;
	char *text = malloc(size), ep[ENDPOINT_TEXT];
	if (!text)
		return NULL;
	text[0] = 0;
	for (size_t i = 0; i < e->n; i++)
		len += (size_t)snprintf(text + len, size - len, "%u %s\n", e->types ? e->types[i] : 0U,
			endpoint_format(&e->v[i], ep));
	return text;
}

static void parse_endpoints(struct arena *a, const char *text, struct ctl_endpoints *out)
{
	size_t lines = 0;
	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	*out = (struct ctl_endpoints) { .v = arena_array(a, lines, sizeof(*out->v)),
		.types = arena_alloc(a, lines) };
	if (!out->v || !out->types)
		return;
	for (const char *p = text; *p && out->n < lines; p = strchr(p, '\n') + 1) {
		char ep[ENDPOINT_TEXT];
		unsigned type;
		if (sscanf(p, "%u %55[^\n]", &type, ep) == 2 && endpoint_parse(ep, &out->v[out->n]))
			out->types[out->n++] = (uint8_t)type;
	}
	out->present = true;
}

static char *format_tags(const struct ctl_strings *tags)
{
	size_t size = 1;
	for (size_t i = 0; i < tags->n; i++)
		size += strlen(tags->v[i]) + 1;
	char *text = calloc(1, size), *at = text;
	for (size_t i = 0; text && i < tags->n; i++)
		at += sprintf(at, "%s%s", i ? "," : "", tags->v[i]);
	return text;
}

static void parse_tags(struct arena *a, const char *text, struct ctl_strings *out)
{
	char *copy = arena_strdup(a, text), *save = NULL;
	out->v = arena_array(a, strlen(text) / 2 + 1, sizeof(*out->v));
	for (char *t = copy && out->v ? strtok_r(copy, ",", &save) : NULL; t; t = strtok_r(NULL, ",", &save))
		out->v[out->n++] = t;
}

/* Columns in the order of the two statements below; the id comes last. */
static int bind_node(struct stmt *q, const struct member *m)
{
	char *endpoints = format_endpoints(&m->endpoints), *tags = format_tags(&m->tags),
	     *routes = format_tags(&m->routes);
	bool ok = endpoints && tags && routes;
	bind_user(q, m->user);
	bind_blob(q, m->machine.b, KEY_LEN);
	bind_blob(q, m->key.b, KEY_LEN);
	bind_blob(q, m->disco.b, KEY_LEN);
	bind_text(q, m->name);
	bind_text(q, m->hostname);
	bind_addr(q, m->has_v4, &m->v4);
	bind_addr(q, m->has_v6, &m->v6);
	bind_int(q, m->home_derp);
	bind_int(q, m->cap);
	bind_text(q, endpoints);
	bind_text(q, m->hostinfo_json);
	bind_text(q, tags);
	bind_int(q, m->ephemeral);
	bind_int(q, m->renamed);
	bind_int(q, m->created_ms);
	bind_time(q, m->last_seen_ms);
	bind_time(q, m->expiry_ms);
	bind_text(q, routes);
	free(routes);
	free(endpoints);
	free(tags);
	return ok ? 0 : -ENOMEM;
}

int store_node_add(struct store *s, struct member *draft, struct errbuf *eb)
{
	struct stmt q = prepare(s, "INSERT INTO nodes (user, machine, node_key, disco, name, hostname, v4, "
				   "v6, home_derp, cap, endpoints, hostinfo,"
				   " tags, ephemeral, renamed, created_ms, last_seen_ms, expiry_ms, routes)"
				   " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
	if (bind_node(&q, draft)) {
		sqlite3_finalize(q.st);
		return err_set(eb, -ENOMEM, "add a node");
	}
	int err = store_finish(&q, "add a node", eb);
	if (!err)
		draft->id = sqlite3_last_insert_rowid(s->db);
	return err;
}

int store_node_put(struct store *s, const struct member *m, struct errbuf *eb)
{
	struct stmt q = prepare(s, "UPDATE nodes SET user = ?, machine = ?, node_key = ?, disco = ?, name = "
				   "?, hostname = ?, v4 = ?, v6 = ?,"
				   " home_derp = ?, cap = ?, endpoints = ?, hostinfo = ?, tags = ?, "
				   "ephemeral = ?, renamed = ?, created_ms = ?,"
				   " last_seen_ms = ?, expiry_ms = ?, routes = ? WHERE id = ?");
	if (bind_node(&q, m)) {
		sqlite3_finalize(q.st);
		return err_set(eb, -ENOMEM, "change a node");
	}
	bind_int(&q, m->id);
	return store_finish(&q, "change a node", eb);
}

int store_node_delete(struct store *s, int64_t id, struct errbuf *eb)
{
	struct stmt q = prepare(s, "DELETE FROM nodes WHERE id = ?");
	bind_int(&q, id);
	return store_finish(&q, "delete a node", eb);
}

static void take_node(struct stmt *q, struct arena *a, struct member *m)
{
	m->id = take_int(q);
	m->user = take_int(q);
	take_blob(q, m->machine.b, KEY_LEN);
	take_blob(q, m->key.b, KEY_LEN);
	take_blob(q, m->disco.b, KEY_LEN);
	m->name = take_text(q);
	m->hostname = take_text(q);
	m->has_v4 = addr_parse(take_text(q), &m->v4);
	m->has_v6 = addr_parse(take_text(q), &m->v6);
	m->home_derp = (int32_t)take_int(q);
	m->cap = (uint16_t)take_int(q);
	parse_endpoints(a, take_text(q), &m->endpoints);
	m->hostinfo_json = take_text(q);
	parse_tags(a, take_text(q), &m->tags);
	m->ephemeral = take_int(q);
	m->renamed = take_int(q);
	m->created_ms = take_time(q);
	m->last_seen_ms = take_time(q);
	m->expiry_ms = take_time(q);
	parse_tags(a, take_text(q), &m->routes);
}

static int load_nodes(struct store *s, const struct store_sink *sink, struct errbuf *eb)
{
	struct stmt q = prepare(s,
		"SELECT id, user, machine, node_key, disco, name, hostname, v4, v6, home_derp, "
		"cap, endpoints, hostinfo, tags,"
		" ephemeral, renamed, created_ms, last_seen_ms, expiry_ms, routes FROM nodes ORDER BY id");
	bool ok = true;
	while (ok && next_row(&q)) {
		struct arena a = { 0 };
		struct member m = { 0 };
		take_node(&q, &a, &m);
		ok = !a.failed && sink->node(sink->arg, &m);
		arena_free(&a);
	}
	if (ok)
		return end_rows(&q, "load the nodes", eb);
	sqlite3_finalize(q.st);
	return err_set(eb, -ENOMEM, "load the nodes");
}

static void take_preauth(struct stmt *q, struct preauth *k)
{
	*k = (struct preauth) { .id = take_int(q) };
	k->user = take_int(q);
	take_blob(q, k->hash, STORE_HASH);
	snprintf(k->prefix, sizeof(k->prefix), "%s", take_text(q));
	k->reusable = take_int(q);
	k->ephemeral = take_int(q);
	k->used = take_int(q);
	k->created_ms = take_int(q);
	k->expiry_ms = take_time(q);
	k->tags = take_text(q);
}

#define PREAUTH_COLUMNS "user, hash, prefix, reusable, ephemeral, used, created_ms, expiry_ms, tags"

static int load_keys(struct store *s, const struct store_sink *sink, struct errbuf *eb)
{
	struct stmt q = prepare(s, "SELECT id, " PREAUTH_COLUMNS " FROM preauth_keys ORDER BY id");
	bool ok = true;
	while (ok && next_row(&q)) {
		struct preauth k;
		take_preauth(&q, &k);
		ok = sink->preauth(sink->arg, &k);
	}
	if (ok)
		return end_rows(&q, "load the auth keys", eb);
	sqlite3_finalize(q.st);
	return err_set(eb, -ENOMEM, "load the auth keys");
}

int store_load(struct store *s, const struct store_sink *sink, struct errbuf *eb)
{
	struct stmt q = prepare(s, "SELECT id, name, created_ms FROM users ORDER BY id");
	bool ok = true;
	while (ok && next_row(&q)) {
		struct user u = { .id = take_int(&q) };
		snprintf(u.name, sizeof(u.name), "%s", take_text(&q));
		u.created_ms = take_int(&q);
		ok = sink->user(sink->arg, &u);
	}
	if (!ok) {
		sqlite3_finalize(q.st);
		return err_set(eb, -ENOMEM, "load the users");
	}
	int err = end_rows(&q, "load the users", eb);
	if (!err)
		err = load_nodes(s, sink, eb);
	return err || !sink->preauth ? err : load_keys(s, sink, eb);
}

/* --- pre-auth keys --- */

int store_preauth_add(struct store *s, struct preauth *k, struct errbuf *eb)
{
	struct stmt q =
		prepare(s, "INSERT INTO preauth_keys (" PREAUTH_COLUMNS ") VALUES (?,?,?,?,?,?,?,?,?)");
	bind_user(&q, k->user);
	bind_blob(&q, k->hash, STORE_HASH);
	bind_text(&q, k->prefix);
	bind_int(&q, k->reusable);
	bind_int(&q, k->ephemeral);
	bind_int(&q, k->used);
	bind_int(&q, k->created_ms);
	bind_time(&q, k->expiry_ms);
	bind_text(&q, k->tags);
	int err = store_finish(&q, "add an auth key", eb);
	if (!err)
		k->id = sqlite3_last_insert_rowid(s->db);
	return err;
}

static int change_preauth(struct store *s, struct stmt *q, const char *what, struct errbuf *eb)
{
	int err = store_finish(q, what, eb);
	return err ? err
	       : sqlite3_changes(s->db)
		       ? 0
		       : err_say(eb, -ENOENT, "no such auth key: `preauthkeys list` shows the numbers");
}

int store_preauth_use(struct store *s, int64_t id, struct errbuf *eb)
{
	struct stmt q = prepare(s, "UPDATE preauth_keys SET used = 1 WHERE id = ?");
	bind_int(&q, id);
	return change_preauth(s, &q, "use an auth key", eb);
}

int store_preauth_expire(struct store *s, int64_t id, int64_t now_ms, struct errbuf *eb)
{
	struct stmt q = prepare(s, "UPDATE preauth_keys SET expiry_ms = ? WHERE id = ?");
	bind_int(&q, now_ms);
	bind_int(&q, id);
	return change_preauth(s, &q, "expire an auth key", eb);
}

/* --- numbers --- */

int store_number_get(struct store *s, const char *name, int64_t *out, struct errbuf *eb)
{
	struct stmt q = prepare(s, "SELECT value FROM numbers WHERE name = ?");
	bind_text(&q, name);
	*out = 0;
	if (next_row(&q)) {
		*out = take_int(&q);
		(void)next_row(&q);
	}
	return end_rows(&q, "read a number", eb);
}

int store_number_put(struct store *s, const char *name, int64_t value, struct errbuf *eb)
{
	struct stmt q = prepare(s,
		"INSERT INTO numbers VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value");
	bind_text(&q, name);
	bind_int(&q, value);
	return store_finish(&q, "store a number", eb);
}

int store_probe(struct store *s, struct errbuf *eb)
{
	struct stmt q = prepare(s, "INSERT INTO numbers VALUES ('probe', zeroblob(?)) "
				   "ON CONFLICT (name) DO UPDATE SET value = excluded.value");
	bind_int(&q, PROBE_BYTES);
	return store_finish(&q, "probe", eb);
}
