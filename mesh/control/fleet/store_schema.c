#include "mesh/control/fleet/store_schema.h"

const char *const store_migrations[STORE_FORMAT] = {
	"CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, created_ms "
	"INTEGER NOT NULL);"
	"CREATE TABLE nodes (id INTEGER PRIMARY KEY AUTOINCREMENT, user INTEGER NOT NULL REFERENCES "
	"users(id),"
	" machine BLOB NOT NULL, node_key BLOB NOT NULL UNIQUE, disco BLOB NOT NULL, name TEXT NOT NULL "
	"UNIQUE,"
	" hostname TEXT NOT NULL, v4 TEXT UNIQUE, v6 TEXT UNIQUE, home_derp INTEGER NOT NULL, cap INTEGER "
	"NOT NULL,"
	" endpoints TEXT NOT NULL, hostinfo TEXT NOT NULL, tags TEXT NOT NULL, ephemeral INTEGER NOT NULL,"
	" renamed INTEGER NOT NULL, created_ms INTEGER NOT NULL, last_seen_ms INTEGER, expiry_ms INTEGER);"
	"CREATE TABLE preauth_keys (id INTEGER PRIMARY KEY AUTOINCREMENT, user INTEGER NOT NULL REFERENCES "
	"users(id),"
	" hash BLOB NOT NULL UNIQUE, prefix TEXT NOT NULL, reusable INTEGER NOT NULL, ephemeral INTEGER NOT "
	"NULL,"
	" used INTEGER NOT NULL, created_ms INTEGER NOT NULL, expiry_ms INTEGER, tags TEXT NOT NULL);"
	"CREATE TABLE numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;",
	"ALTER TABLE nodes ADD COLUMN routes TEXT NOT NULL DEFAULT '';",
	/* Tagged nodes, and keys for them, need be nobody's. The numbers that were given stay given. */
	"CREATE TABLE new_nodes (id INTEGER PRIMARY KEY AUTOINCREMENT, user INTEGER REFERENCES users(id),"
	" machine BLOB NOT NULL, node_key BLOB NOT NULL UNIQUE, disco BLOB NOT NULL, name TEXT NOT NULL "
	"UNIQUE,"
	" hostname TEXT NOT NULL, v4 TEXT UNIQUE, v6 TEXT UNIQUE, home_derp INTEGER NOT NULL, cap INTEGER "
	"NOT NULL,"
	" endpoints TEXT NOT NULL, hostinfo TEXT NOT NULL, tags TEXT NOT NULL, ephemeral INTEGER NOT NULL,"
	" renamed INTEGER NOT NULL, created_ms INTEGER NOT NULL, last_seen_ms INTEGER, expiry_ms INTEGER,"
	" routes TEXT NOT NULL);"
	"INSERT INTO new_nodes SELECT id, user, machine, node_key, disco, name, hostname, v4, v6, home_derp, "
	"cap,"
	" endpoints, hostinfo, tags, ephemeral, renamed, created_ms, last_seen_ms, expiry_ms, routes FROM "
	"nodes;"
	"DELETE FROM sqlite_sequence WHERE name = 'new_nodes';"
	"INSERT INTO sqlite_sequence SELECT 'new_nodes', seq FROM sqlite_sequence WHERE name = 'nodes';"
	"DROP TABLE nodes; ALTER TABLE new_nodes RENAME TO nodes;"
	"CREATE TABLE new_keys (id INTEGER PRIMARY KEY AUTOINCREMENT, user INTEGER REFERENCES users(id),"
	" hash BLOB NOT NULL UNIQUE, prefix TEXT NOT NULL, reusable INTEGER NOT NULL, ephemeral INTEGER NOT "
	"NULL,"
	" used INTEGER NOT NULL, created_ms INTEGER NOT NULL, expiry_ms INTEGER, tags TEXT NOT NULL);"
	"INSERT INTO new_keys SELECT id, user, hash, prefix, reusable, ephemeral, used, created_ms, "
	"expiry_ms,"
	" tags FROM preauth_keys;"
	"DELETE FROM sqlite_sequence WHERE name = 'new_keys';"
	"INSERT INTO sqlite_sequence SELECT 'new_keys', seq FROM sqlite_sequence WHERE name = "
	"'preauth_keys';"
	"DROP TABLE preauth_keys; ALTER TABLE new_keys RENAME TO preauth_keys;",
	"ALTER TABLE nodes ADD COLUMN preauth INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE api_keys (id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, hash BLOB NOT "
	"NULL "
	"UNIQUE,"
	" prefix TEXT NOT NULL UNIQUE, created_ms INTEGER NOT NULL, expiry_ms INTEGER, seen_ms INTEGER,"
	" about TEXT NOT NULL, scopes TEXT NOT NULL, tags TEXT NOT NULL);",
	"ALTER TABLE users ADD COLUMN role TEXT NOT NULL DEFAULT 'member';",
	"ALTER TABLE preauth_keys ADD COLUMN about TEXT NOT NULL DEFAULT '';"
	"CREATE TABLE texts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;",
	"CREATE TABLE policies (id INTEGER PRIMARY KEY AUTOINCREMENT, created_ms INTEGER NOT NULL, author "
	"TEXT "
	"NOT NULL,"
	" tag TEXT NOT NULL, bytes INTEGER NOT NULL, text TEXT NOT NULL);",
	"CREATE TABLE people (user INTEGER PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE, issuer TEXT "
	"NOT "
	"NULL,"
	" subject TEXT NOT NULL, email TEXT NOT NULL, display TEXT NOT NULL, UNIQUE (issuer, subject));",
	"CREATE TABLE admins (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, hash TEXT NOT "
	"NULL,"
	" created_ms INTEGER NOT NULL);",
	"ALTER TABLE people ADD COLUMN groups TEXT NOT NULL DEFAULT '';",
	"ALTER TABLE api_keys ADD COLUMN updated_ms INTEGER;",
	"ALTER TABLE preauth_keys ADD COLUMN humble INTEGER NOT NULL DEFAULT 0;",
	"ALTER TABLE preauth_keys ADD COLUMN unapproved INTEGER NOT NULL DEFAULT 0;",
};
