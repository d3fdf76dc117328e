/* Who may join and what is known of everyone who did: registration, keys, names, addresses, expiry. Holds the
 * fleet in memory and writes every change to the store first. Takes `now`, knows no socket.
 * tailscale-protocol.md 1.7. */
#ifndef RW_CONTROL_FLEET_REGISTRY_H
#define RW_CONTROL_FLEET_REGISTRY_H

#include "mesh/base/key.h"
#include "mesh/base/log.h"
#include "mesh/control/fleet/alloc.h"
#include "mesh/control/fleet/fleet.h"
#include "mesh/control/fleet/store.h"
#include "mesh/proto/control.h"

enum { REGISTRY_ID = 25, REGISTRY_PENDING_MAX = 4096 };
enum registry_change {
	CHANGE_LITTLE,	 /* endpoints, keys, home relay, online, host info of one node */
	CHANGE_IDENTITY, /* a node came or went, or its user, tags, name, addresses or expiry changed */
};
struct registry_ops {
	void (*changed)(void *arg, int64_t node, enum registry_change what);
	void (*removed)(void *arg, int64_t node);	 /* before CHANGE_IDENTITY of the same node */
	void (*decided)(void *arg, const char *pending); /* somebody may wait for this id */
	/* Of the rules in force: whether tag may be given at all, and by this user. NULL: yes; nobody. */
	bool (*knows_tag)(void *arg, const char *tag);
	bool (*owns_tag)(void *arg, const char *tag, const char *user);
	/* The route (bits 0: an exit) that m offers needs no admin. NULL: it does. */
	bool (*approves)(void *arg, const struct member *m, const struct prefix *route);
	void *arg;
};
struct registry_config {
	struct alloc_pool pool;
	const char *server_url; /* without a slash at the end; borrowed, as all here */
	const char *state_path;
	const struct random *rnd;
	struct machine_private
		secret; /* ids of pending registrations are derived from it, so they outlive a restart */
	uint64_t ephemeral_ms; /* a node made by an ephemeral key is deleted when away that long */
	uint64_t expiry_ms;    /* logins of untagged nodes end after that; 0 = never */
	struct registry_ops ops;
};
struct registry {
	struct fleet fleet;
	struct store *store;
	struct registry_config c;
	struct pending *pending; /* list of registrations that wait for an admin */
	size_t n_pending;
	int64_t ticked_ms, since_ms;	 /* the last tick and the first: nobody was seen before that */
	struct log_limit refused, asked; /* strangers cause these lines */
	struct log_limit unsaved;
	char trouble[384]; /* why the last change of a node was not saved; "" when it was */
};

int registry_open(struct registry *r, const struct registry_config *c, struct errbuf *eb);
void registry_close(struct registry *r);

enum registry_verdict { REGISTRY_ANSWER, REGISTRY_WAIT };
/* WAIT: the followup is not decided; ask again when ops.decided(pending) comes. Refusals are answers with
 * Error. */
enum registry_verdict registry_register(struct registry *r, const struct ctl_register_request *rq,
	const struct machine_key *machine, int64_t now_ms, struct arena *a, struct ctl_register_response *out,
	char pending[static REGISTRY_ID]);

/* Facts from a map request. Returns the node, or NULL: unknown node key, or not from that machine. */
const struct member *registry_map_received(struct registry *r, const struct ctl_map_request *rq,
	const struct machine_key *machine, int64_t now_ms);
void registry_online_set(struct registry *r, int64_t node, bool online, int64_t now_ms);
/* Expired nodes and ephemeral ones that stayed away. Returns when to call again (Unix ms), INT64_MAX = no
 * need. */
int64_t registry_tick(struct registry *r, int64_t now_ms);

/* --- admin --- */
int registry_user_create(
	struct registry *r, const char *name, int64_t now_ms, struct user *out, struct errbuf *eb);
int registry_user_destroy(struct registry *r, const char *name, struct errbuf *eb);
struct preauth_wish {
	const char *user;
	bool create_user, reusable, ephemeral;
	uint64_t lifetime_ms; /* 0 = never expires */
	const char *tags;     /* "tag:a,tag:b" or "" */
};
enum { REGISTRY_KEY_TEXT = 96 };
/* The key itself goes to text and is not kept. */
int registry_preauth_create(struct registry *r, const struct preauth_wish *w, int64_t now_ms,
	char text[static REGISTRY_KEY_TEXT], struct preauth *out, struct errbuf *eb);
int registry_approve(struct registry *r, const char *pending, const char *user, int64_t now_ms, int64_t *node,
	struct errbuf *eb);
int registry_node_delete(struct registry *r, int64_t node, struct errbuf *eb);
int registry_node_expire(struct registry *r, int64_t node, int64_t at_ms, struct errbuf *eb);
int registry_node_rename(struct registry *r, int64_t node, const char *label, struct errbuf *eb);
int registry_node_tag(struct registry *r, int64_t node, const char *tags, struct errbuf *eb);
/* The approved routes of a node, all of them: "10.0.0.0/8,192.0.2.0/24"; "" = none. */
int registry_node_routes(
	struct registry *r, int64_t node, const char *routes, int64_t now_ms, struct errbuf *eb);
struct pending_info {
	const char *id, *hostname, *os;
	int64_t since_ms;
};
void registry_pending_each(
	const struct registry *r, void (*each)(void *arg, const struct pending_info *p), void *arg);
bool registry_pending_find(const struct registry *r, const char *id, struct pending_info *out);

#endif
