#include "mesh/control/fleet/store_inner.h"

#include "mesh/control/fleet/store_schema.h"
#include "mesh/os/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_MS = 3000, PROBE_BYTES = 16384 };

static int store_run(struct store *s, const char *sql, const char *what, struct errbuf *eb)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : store_fail(s, eb, what);
}

static int version_get(struct store *s, int64_t *out, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "PRAGMA user_version");
	*out = stmt_next(&q) ? stmt_take_int(&q) : -1;
	if (*out >= 0)
		(void)stmt_next(&q);
	return stmt_end(&q, "read the version", eb);
}

/* A copy beside the file, named for the format it still has. It gets that name when it is whole: one that an earlier start
 * was killed over is begun anew. */
static int back_up(struct store *s, int64_t version, struct errbuf *eb)
{
	char path[sizeof(s->path) + 32], half[sizeof(path) + 8];
	struct stmt q = stmt_new(s, "VACUUM INTO ?");
	snprintf(path, sizeof(path), "%s.format-%lld", s->path, (long long)version);
	snprintf(half, sizeof(half), "%s.half", path);
	(void)unlink(half);
	stmt_text(&q, half);
	int err = stmt_finish(&q, "back up before the migration", eb);
	if (!err && rename(half, path) < 0)
		err = err_set(eb, -errno, "back up before the migration: name %s", path);
	return err;
}

static int query_text(
	struct store *s, const char *sql, const char *what, char *out, size_t cap, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, sql);
	out[0] = 0;
	while (stmt_next(&q))
		snprintf(out, cap, "%s", stmt_take_text(&q));
	return stmt_end(&q, what, eb);
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
		"file of its own; `ropewalk-control import` takes over what Headscale keeps",
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
	struct stmt q = stmt_new(s, "INSERT INTO users (name, created_ms, id) VALUES (?, ?, ?)");
	stmt_text(&q, u->name);
	stmt_int(&q, u->created_ms);
	stmt_id(&q, u->id);
	int err = stmt_finish(&q, "add a user", eb);
	if (!err)
		u->id = sqlite3_last_insert_rowid(s->db);
	return err;
}

int store_user_rename(struct store *s, int64_t id, const char *name, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "UPDATE users SET name = ? WHERE id = ?");
	stmt_text(&q, name);
	stmt_int(&q, id);
	return stmt_finish(&q, "rename a user", eb);
}

int store_user_role(struct store *s, int64_t id, enum user_role role, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "UPDATE users SET role = ? WHERE id = ?");
	stmt_text(&q, user_role_name(role));
	stmt_int(&q, id);
	return stmt_finish(&q, "change a user's role", eb);
}

int store_owner_leaves(struct store *s, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "UPDATE users SET role = ? WHERE role = ?");
	stmt_text(&q, user_role_name(USER_ADMIN));
	stmt_text(&q, user_role_name(USER_OWNER));
	return stmt_finish(&q, "change the owner's role", eb);
}

int store_user_delete(struct store *s, int64_t id, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "DELETE FROM preauth_keys WHERE user = ?");
	stmt_int(&q, id);
	int err = stmt_finish(&q, "delete the user's keys", eb);
	if (err)
		return err;
	q = stmt_new(s, "DELETE FROM users WHERE id = ?");
	stmt_int(&q, id);
	return stmt_finish(&q, "delete a user", eb);
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
	stmt_id(q, m->user);
	stmt_blob(q, m->machine.b, KEY_LEN);
	stmt_blob(q, m->key.b, KEY_LEN);
	stmt_blob(q, m->disco.b, KEY_LEN);
	stmt_text(q, m->name);
	stmt_text(q, m->hostname);
	stmt_addr(q, m->has_v4, &m->v4);
	stmt_addr(q, m->has_v6, &m->v6);
	stmt_int(q, m->home_derp);
	stmt_int(q, m->cap);
	stmt_text(q, endpoints);
	stmt_text(q, m->hostinfo_json);
	stmt_text(q, tags);
	stmt_int(q, m->ephemeral);
	stmt_int(q, m->renamed);
	stmt_int(q, m->created_ms);
	stmt_time(q, m->last_seen_ms);
	stmt_time(q, m->expiry_ms);
	stmt_text(q, routes);
	stmt_int(q, m->preauth);
	free(routes);
	free(endpoints);
	free(tags);
	return ok ? 0 : -ENOMEM;
}

int store_node_add(struct store *s, struct member *draft, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "INSERT INTO nodes (user, machine, node_key, disco, name, hostname, v4, "
				    "v6, home_derp, cap, endpoints, hostinfo,"
				    " tags, ephemeral, renamed, created_ms, last_seen_ms, expiry_ms, routes,"
				    " preauth, id) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
	if (bind_node(&q, draft)) {
		sqlite3_finalize(q.st);
		return err_set(eb, -ENOMEM, "add a node");
	}
	stmt_id(&q, draft->id);
	int err = stmt_finish(&q, "add a node", eb);
	if (!err)
		draft->id = sqlite3_last_insert_rowid(s->db);
	return err;
}

int store_node_put(struct store *s, const struct member *m, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "UPDATE nodes SET user = ?, machine = ?, node_key = ?, disco = ?, name = "
				    "?, hostname = ?, v4 = ?, v6 = ?,"
				    " home_derp = ?, cap = ?, endpoints = ?, hostinfo = ?, tags = ?, "
				    "ephemeral = ?, renamed = ?, created_ms = ?,"
				    " last_seen_ms = ?, expiry_ms = ?, routes = ?, preauth = ? WHERE id = ?");
	if (bind_node(&q, m)) {
		sqlite3_finalize(q.st);
		return err_set(eb, -ENOMEM, "change a node");
	}
	stmt_int(&q, m->id);
	return stmt_finish(&q, "change a node", eb);
}

int store_node_delete(struct store *s, int64_t id, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "DELETE FROM nodes WHERE id = ?");
	stmt_int(&q, id);
	return stmt_finish(&q, "delete a node", eb);
}

static void take_node(struct stmt *q, struct arena *a, struct member *m)
{
	m->id = stmt_take_int(q);
	m->user = stmt_take_int(q);
	stmt_take_blob(q, m->machine.b, KEY_LEN);
	stmt_take_blob(q, m->key.b, KEY_LEN);
	stmt_take_blob(q, m->disco.b, KEY_LEN);
	m->name = stmt_take_text(q);
	m->hostname = stmt_take_text(q);
	m->has_v4 = addr_parse(stmt_take_text(q), &m->v4);
	m->has_v6 = addr_parse(stmt_take_text(q), &m->v6);
	m->home_derp = (int32_t)stmt_take_int(q);
	m->cap = (uint16_t)stmt_take_int(q);
	parse_endpoints(a, stmt_take_text(q), &m->endpoints);
	m->hostinfo_json = stmt_take_text(q);
	parse_tags(a, stmt_take_text(q), &m->tags);
	m->ephemeral = stmt_take_int(q);
	m->renamed = stmt_take_int(q);
	m->created_ms = stmt_take_time(q);
	m->last_seen_ms = stmt_take_time(q);
	m->expiry_ms = stmt_take_time(q);
	parse_tags(a, stmt_take_text(q), &m->routes);
	m->preauth = stmt_take_int(q);
}

static int load_nodes(struct store *s, const struct store_sink *sink, struct errbuf *eb)
{
	struct stmt q =
		stmt_new(s, "SELECT id, user, machine, node_key, disco, name, hostname, v4, v6, home_derp, "
			    "cap, endpoints, hostinfo, tags,"
			    " ephemeral, renamed, created_ms, last_seen_ms, expiry_ms, routes, preauth FROM "
			    "nodes ORDER BY id");
	bool ok = true;
	while (ok && stmt_next(&q)) {
		struct arena a = { 0 };
		struct member m = { 0 };
		take_node(&q, &a, &m);
		ok = !a.failed && sink->node(sink->arg, &m);
		arena_free(&a);
	}
	return stmt_taken(&q, ok, "load the nodes", eb);
}

int store_load(struct store *s, const struct store_sink *sink, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "SELECT id, name, created_ms, role FROM users ORDER BY id");
	bool ok = true;
	while (ok && stmt_next(&q)) {
		struct user u = { .id = stmt_take_int(&q) };
		snprintf(u.name, sizeof(u.name), "%s", stmt_take_text(&q));
		u.created_ms = stmt_take_int(&q);
		if (!user_role_parse(
			    stmt_take_text(&q), &u.role)) /* of a newer program: the least that there is */
			u.role = USER_MEMBER;
		ok = sink->user(sink->arg, &u);
	}
	int err = stmt_taken(&q, ok, "load the users", eb);
	if (!err && sink->person) /* who says what of users goes before their nodes */
		err = store_load_people(s, sink, eb);
	if (!err)
		err = load_nodes(s, sink, eb);
	if (!err && sink->preauth)
		err = store_load_keys(s, sink, eb);
	if (!err && sink->api_key)
		err = store_load_api_keys(s, sink, eb);
	return err;
}

/* --- numbers --- */

int store_number_get(struct store *s, const char *name, int64_t *out, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "SELECT value FROM numbers WHERE name = ?");
	stmt_text(&q, name);
	*out = 0;
	if (stmt_next(&q)) {
		*out = stmt_take_int(&q);
		(void)stmt_next(&q);
	}
	return stmt_end(&q, "read a number", eb);
}

int store_number_put(struct store *s, const char *name, int64_t value, struct errbuf *eb)
{
	struct stmt q = stmt_new(s,
		"INSERT INTO numbers VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value");
	stmt_text(&q, name);
	stmt_int(&q, value);
	return stmt_finish(&q, "store a number", eb);
}

/* --- texts --- */

int store_text_get(struct store *s, const char *name, struct buf *out, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "SELECT value FROM texts WHERE name = ?");
	bool ok = true;
	stmt_text(&q, name);
	while (stmt_next(&q)) {
		const char *text = stmt_take_text(&q);
		ok = ok && buf_append(out, text, strlen(text));
	}
	int err = stmt_end(&q, "read a setting", eb);
	return err || ok ? err : err_set(eb, -ENOMEM, "read a setting");
}

int store_text_put(struct store *s, const char *name, const char *value, struct errbuf *eb)
{
	struct stmt q = stmt_new(
		s, "INSERT INTO texts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value");
	stmt_text(&q, name);
	stmt_text(&q, value);
	return stmt_finish(&q, "store a setting", eb);
}

int store_probe(struct store *s, struct errbuf *eb)
{
	struct stmt q = stmt_new(s, "INSERT INTO numbers VALUES ('probe', zeroblob(?)) "
				    "ON CONFLICT (name) DO UPDATE SET value = excluded.value");
	stmt_int(&q, PROBE_BYTES);
	return stmt_finish(&q, "probe", eb);
}
