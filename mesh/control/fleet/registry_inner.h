/* Shared by the registry's files. */
#ifndef RW_CONTROL_FLEET_REGISTRY_INNER_H
#define RW_CONTROL_FLEET_REGISTRY_INNER_H

#include "mesh/control/fleet/registry.h"

/* What a node says of itself goes to all its peers: no more of it is taken than an honest one has. */
enum { REGISTRY_HOSTINFO_MAX = 32 * 1024, REGISTRY_HOSTNAME_MAX = 255, REGISTRY_ENDPOINTS_MAX = 64 };

struct pending {
	struct pending *next;
	char id[REGISTRY_ID];
	struct machine_key machine;
	struct node_key key, old_key;
	char hostname[REGISTRY_HOSTNAME_MAX + 1], os[64], tags[STORE_TAGS]; /* tags: those it asks for */
	char *hostinfo_json;
	bool ephemeral;
	int64_t since_ms;
};

/* How a node comes in: by whose right and as what. */
struct admission {
	int64_t user;
	const char *tags; /* comma separated, "" = none */
	bool ephemeral;
	int64_t preauth; /* used up with the same transaction; 0 = none */
	struct machine_key machine;
	struct node_key key, old_key;
	const char *hostname, *hostinfo_json;
	int64_t now_ms;
};
/* New node, or the machine's old one with a new key. */
int registry_admit(struct registry *r, const struct admission *ad, int64_t *node, struct errbuf *eb);
/* Writes draft over the member with its id, in the store first, and reports the change. What need not be
 * durable holds though it cannot be stored. */
int registry_replace(struct registry *r, const struct member *draft, bool durable, enum registry_change what,
	struct errbuf *eb);
/* Decides anew who carries which route; after anything that may change that. */
void registry_routes_settle(struct registry *r, int64_t now_ms);
void registry_pending_drop_old(struct registry *r, int64_t now_ms);
void registry_pending_free(struct registry *r);
/* "tag:a,tag:b": names and, with a policy, tagOwners. */
int registry_tags_check(const struct registry *r, const char *tags, struct errbuf *eb);
void registry_tags_split(struct arena *a, const char *text, struct ctl_strings *out);
/* Its host name; "" when there is none, or no host can have it. */
const char *registry_hostname(const struct ctl_hostinfo *h);
void registry_auth_hash(const char *key, uint8_t hash[static STORE_HASH]);

#endif
