/* The server's memory on disk: SQLite in WAL mode. Each change is one transaction: after kill -9 at any
 * moment the file holds what was answered for. Schema versions are PRAGMA user_version, migrated forward when
 * opened. Any thread may call it, one at a time. */
#ifndef RW_CONTROL_FLEET_STORE_H
#define RW_CONTROL_FLEET_STORE_H

#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include "mesh/control/fleet/admins.h"
#include "mesh/control/fleet/fleet.h"
#include "mesh/control/fleet/policies.h"
#include "mesh/control/fleet/people.h"

enum { STORE_HASH = 32, STORE_PREFIX = 16, STORE_TAGS = 512, STORE_ABOUT = 128 };

struct preauth {
	int64_t id, user;	   /* user 0: of tagged nodes, nobody's */
	uint8_t hash[STORE_HASH];  /* of the whole key; the key itself is not kept */
	char prefix[STORE_PREFIX]; /* its first characters, to tell keys apart in lists */
	bool reusable, ephemeral, used;
	bool humble;	 /* who made it was less than an admin */
	bool unapproved; /* made with no word that whom it lets in is approved; only told again */
	int64_t created_ms, expiry_ms; /* expiry FLEET_NO_TIME = never */
	const char *tags;	       /* "tag:a,tag:b" */
	char about[STORE_ABOUT];       /* what it is for, in words */
};

/* What opens the API to programs: a key of an admin, or a client that gets tokens for some rights alone. */
enum api_key_kind { API_KEY_ADMIN, API_KEY_CLIENT };
enum { API_KEY_SCOPES = 512 };
struct api_key {
	int64_t id;
	enum api_key_kind kind;
	uint8_t hash[STORE_HASH];		/* of the whole key; the key itself is not kept */
	char prefix[STORE_PREFIX];		/* its public part */
	int64_t created_ms, expiry_ms, seen_ms; /* FLEET_NO_TIME = never */
	int64_t updated_ms;			/* what follows was set anew; FLEET_NO_TIME = never */
	char about[STORE_ABOUT];		/* what it is for, in words */
	char scopes[API_KEY_SCOPES];		/* of a client: "devices:core dns:read" */
	char tags[STORE_TAGS];			/* of a client: what its auth keys give to nodes */
};

struct store;
/* Opens or creates (0600). ERR_VERSION: a newer program wrote it. -EAGAIN: another server holds it. */
struct store *store_open(const char *path, struct errbuf *eb);
void store_close(struct store *s);

struct store_sink {
	bool (*user)(void *arg, const struct user *u);	     /* false stops with -ENOMEM */
	bool (*node)(void *arg, const struct member *draft); /* valid during the call */
	bool (*preauth)(void *arg, const struct preauth *k); /* so is its text */
	bool (*api_key)(void *arg, const struct api_key *k); /* NULL: they are not wanted, as above */
	bool (*person)(void *arg, const struct person *p);   /* the same */
	void *arg;
};
int store_load(struct store *s, const struct store_sink *sink, struct errbuf *eb);

/* durable: on the disk when commit returns, even if power fails then. Otherwise safe from a crash of the
 * program. */
int store_begin(struct store *s, bool durable, struct errbuf *eb);
int store_commit(struct store *s, struct errbuf *eb);
void store_rollback(struct store *s); /* nothing open: does nothing */

/* What is added has the number it says; 0: it gets one that never was given, and is told. -EEXIST. */
int store_user_add(struct store *s, struct user *u, struct errbuf *eb);
int store_user_rename(struct store *s, int64_t id, const char *name, struct errbuf *eb);
int store_user_role(struct store *s, int64_t id, enum user_role role, struct errbuf *eb);
/* Whoever was the owner is an admin. */
int store_owner_leaves(struct store *s, struct errbuf *eb);
int store_user_delete(struct store *s, int64_t id, struct errbuf *eb);

int store_node_add(struct store *s, struct member *draft, struct errbuf *eb);
int store_node_put(struct store *s, const struct member *m, struct errbuf *eb);
int store_node_delete(struct store *s, int64_t id, struct errbuf *eb);

int store_preauth_add(struct store *s, struct preauth *k, struct errbuf *eb);
int store_preauth_use(struct store *s, int64_t id, struct errbuf *eb);
int store_preauth_expire(struct store *s, int64_t id, int64_t now_ms, struct errbuf *eb); /* -ENOENT */
int store_preauth_delete(struct store *s, int64_t id, struct errbuf *eb);		  /* -ENOENT */

int store_api_key_add(struct store *s, struct api_key *k, struct errbuf *eb); /* sets k->id */
/* All but its kind, its text and when it was made. */
int store_api_key_put(struct store *s, const struct api_key *k, struct errbuf *eb);
int store_api_key_delete(struct store *s, int64_t id, struct errbuf *eb);

/* Sets v->id; more than POLICIES_KEPT are not kept. */
int store_policy_add(struct store *s, struct policy_version *v, const char *text, struct errbuf *eb);
int store_policy_text(struct store *s, int64_t id, struct arena *a, const char **text, struct errbuf *eb);
int store_load_policies(struct store *s, struct policies *to, struct errbuf *eb);
/* Of a user that is there, or what the provider says of one that was kept before. Goes with its user. */
int store_person_put(struct store *s, const struct person *p, struct errbuf *eb);

int store_load_admins(struct store *s, struct admins *to, struct errbuf *eb);
int store_admin_put(struct store *s, struct admin *a, struct errbuf *eb); /* id 0: a new one, which gets it */
int store_admin_delete(struct store *s, int64_t id, struct errbuf *eb);

/* Small numbers that outlive the process, e.g. the next address; 0 when never set. */
int store_number_get(struct store *s, const char *name, int64_t *out, struct errbuf *eb);
int store_number_put(struct store *s, const char *name, int64_t value, struct errbuf *eb);
/* Settings that are made while the server runs, whole; an absent one is "". */
int store_text_get(struct store *s, const char *name, struct buf *out, struct errbuf *eb);
int store_text_put(struct store *s, const char *name, const char *value, struct errbuf *eb);
/* Writes as much as a change of the ordinary kind, over what the last probe wrote. */
int store_probe(struct store *s, struct errbuf *eb);

#endif
