/* What survives on disk, in the state folder (0700): state.json (keys and preferences, 0600) and netmap.json
 * (the last map, 0600), both replaced atomically. A file of another version or cut short is refused with a
 * sentence and left as it is. */
#ifndef RW_NODE_HOST_STATE_H
#define RW_NODE_HOST_STATE_H

#include "mesh/base/addr.h"
#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include "mesh/base/key.h"
#include "mesh/proto/control_node.h"

enum { STATE_VERSION = 1, STATE_OFFERED_MAX = 256, STATE_TAGS_MAX = 512 };

struct state_prefs {
	char control_url[512], hostname[64], operator_user[64]; /* operator_user: may change things too */
	struct machine_key server_pin; /* at control_url no other server is it; zero: the first one is */
	bool want_running, accept_dns;
	bool accept_routes;			  /* networks behind peers */
	bool routes_before_own;			  /* they come before those that this machine is in */
	bool no_snat, unasked;			  /* struct guard_service: plain, unasked */
	bool shields_up;			  /* nothing is let in that was not asked for */
	bool no_netfilter;			  /* no rules of nftables are made */
	char exit_node[256];			  /* as a person named it; "" = none is used */
	char exit_prior[256];			  /* the one before it was turned off */
	bool exit_allow_lan;			  /* private networks around stay reachable under it */
	struct prefix offered[STATE_OFFERED_MAX]; /* masked, each once; the rest is zero */
	size_t n_offered;
	char tags[STATE_TAGS_MAX]; /* asked for at a login, "tag:a,tag:b" */
};

struct state {
	struct machine_private machine;
	struct node_private node;  /* zero: never logged in, or logged out */
	struct machine_key server; /* the one that accepted us; zero: none yet */
	bool logged_in;		   /* the server has accepted `node` */
	struct state_prefs prefs;
	uint64_t handshake_floor_ms; /* Unix; the newest WireGuard timestamp sent (wg_clock_floor) */
	char login_name[256];
	char seen_url[512]; /* of prefs.control_url when its server was reached at `seen`; "": not yet */
	struct addr seen;
};

/* One daemon a state folder, which is made: the lock, an fd, or a negative code with a sentence. Waits two
 * seconds for one that is ending. */
int state_lock(const char *dir, struct errbuf *eb);
/* The text of a state.json; path is for the sentence. *out is untouched on failure. */
int state_read(const char *path, const char *text, size_t len, struct state *out, struct errbuf *eb);
/* Missing file: a fresh state with a new machine key, which is saved. */
int state_load(const char *dir, const struct random *rnd, struct state *out, struct errbuf *eb);
/* What is there already is not written again. */
int state_save(const char *dir, const struct state *s, struct errbuf *eb);
void state_wipe(struct state *s);
/* The server of prefs.control_url was reached there. true: that is news, to be saved. */
bool state_server_reached(struct state *s, const struct addr *at);
/* Where it was last; NULL: not known. */
const struct addr *state_server_seen(const struct state *s);
/* p->tags one by one, in the arena; none when memory is short. */
struct ctl_strings state_tags(struct arena *a, const struct state_prefs *p);

int state_map_save(const char *dir, const void *json, size_t len, struct errbuf *eb);
/* -ENOENT when there is none. */
int state_map_load(const char *dir, struct buf *out, struct errbuf *eb);
void state_map_forget(const char *dir);

#endif
