/* The server's memory on disk: SQLite in WAL mode. Each change is one transaction: after kill -9 at any
 * moment the file holds what was answered for. Schema versions are PRAGMA user_version, migrated forward when
 * opened. Any thread may call it, one at a time. */
#ifndef RW_CONTROL_FLEET_STORE_H
#define RW_CONTROL_FLEET_STORE_H

#include "mesh/base/err.h"
#include "mesh/control/fleet/fleet.h"

enum { STORE_HASH = 32, STORE_PREFIX = 16, STORE_TAGS = 512 };

struct preauth {
	int64_t id, user;	   /* user 0: of tagged nodes, nobody's */
	uint8_t hash[STORE_HASH];  /* of the whole key; the key itself is not kept */
	char prefix[STORE_PREFIX]; /* its first characters, to tell keys apart in lists */
	bool reusable, ephemeral, used;
	int64_t created_ms, expiry_ms; /* expiry FLEET_NO_TIME = never */
	const char *tags;	       /* "tag:a,tag:b" */
};

struct store;
/* Opens or creates (0600). ERR_VERSION: a newer program wrote it. -EAGAIN: another server holds it. */
struct store *store_open(const char *path, struct errbuf *eb);
void store_close(struct store *s);

struct store_sink {
	bool (*user)(void *arg, const struct user *u);	     /* false stops with -ENOMEM */
	bool (*node)(void *arg, const struct member *draft); /* valid during the call */
	bool (*preauth)(void *arg, const struct preauth *k); /* so is its text */
	void *arg;
};
int store_load(struct store *s, const struct store_sink *sink, struct errbuf *eb);

/* durable: on the disk when commit returns, even if power fails then. Otherwise safe from a crash of the
 * program. */
int store_begin(struct store *s, bool durable, struct errbuf *eb);
int store_commit(struct store *s, struct errbuf *eb);
void store_rollback(struct store *s); /* nothing open: does nothing */

int store_user_add(struct store *s, struct user *u, struct errbuf *eb); /* sets u->id; -EEXIST */
int store_user_delete(struct store *s, int64_t id, struct errbuf *eb);

int store_node_add(
	struct store *s, struct member *draft, struct errbuf *eb); /* sets draft->id, never used before */
int store_node_put(struct store *s, const struct member *m, struct errbuf *eb);
int store_node_delete(struct store *s, int64_t id, struct errbuf *eb);

int store_preauth_add(struct store *s, struct preauth *k, struct errbuf *eb);
int store_preauth_use(struct store *s, int64_t id, struct errbuf *eb);
int store_preauth_expire(struct store *s, int64_t id, int64_t now_ms, struct errbuf *eb); /* -ENOENT */
/* Small numbers that outlive the process, e.g. the next address; 0 when never set. */
int store_number_get(struct store *s, const char *name, int64_t *out, struct errbuf *eb);
int store_number_put(struct store *s, const char *name, int64_t value, struct errbuf *eb);
/* Writes as much as a change of the ordinary kind, over what the last probe wrote. */
int store_probe(struct store *s, struct errbuf *eb);

#endif
