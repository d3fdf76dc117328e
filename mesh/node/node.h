/* The mesh node: the one place where the rooms meet. One thread, one loop. */
#ifndef RW_NODE_NODE_H
#define RW_NODE_NODE_H

#include "mesh/base/err.h"
#include "mesh/base/log.h"
#include "mesh/filter/filter.h"
#include "mesh/netmap/netmap.h"
#include "mesh/node/host/state.h"
#include "mesh/node/names.h"
#include "mesh/node/plane/tun.h"
#include "mesh/node/plane/udp.h"
#include "mesh/os/loop.h"
#include "mesh/path/path.h"
#include "mesh/wg/wg.h"

enum node_backend { /* names and numbers of LocalAPI's State */
	NODE_NO_STATE = 0,
	NODE_NEEDS_LOGIN = 2,
	NODE_NEEDS_APPROVAL = 3,
	NODE_STOPPED = 4,
	NODE_STARTING = 5,
	NODE_RUNNING = 6,
};

struct node_options {
	const char *state_dir, *socket, *tun_name, *resolv_conf;
	uint16_t port;
	uint32_t mtu;
};

#define NODE_DROPS(X) \
	X(out_malformed) \
	X(out_no_way) \
	X(in_malformed) X(relay_queue_full) X(relay_oversize) X(to_service_address) X(rejected_by_peer)
struct node_drops {
#define X(name) uint64_t name;
	NODE_DROPS(X)
#undef X
};

struct relays;
struct server_link;
struct os_dns;
struct local_api;
struct iface;
struct lookup;

struct node {
	struct loop *loop;
	struct node_options opt;
	struct state state; /* keys, preferences: state.h */
	enum node_backend backend;
	char auth_url[512], last_error[384];
	char unsaved[384]; /* why the state on disk is older than ours; "" = it is not */
	char unsaved_map[384];

	/* The engine: exists while the node is up (node_engine.c). */
	int state_lock;			    /* fd; one daemon a state folder */
	struct loop_timer *reopen, *forget; /* work that must not run inside a callback of the engine */
	struct tun *tun;
	struct udp *udp;
	struct node_key engine_key; /* the key it was opened with */
	struct wg *wg;
	struct path *path;
	struct filter *filter;
	struct filter_flows *flows;
	struct relays *relays;
	struct pkt relayed[PKT_BATCH]; /* opened, waiting for the end of the relay's read */
	size_t n_relayed;
	struct loop_timer *tick;
	struct node_drops drops;
	struct filter_drops filter_drops;
	struct log_limit rejections; /* told by peers */
	int monitor_fd;
	struct loop_fd *monitor;
	struct lookup *lookups; /* names of relays being resolved */

	struct netmap *map; /* what apply.c made true; NULL before the first */
	bool map_cached;    /* it came from disk and the server has not been heard yet */
	struct iface *iface;
	struct os_dns *os_dns;
	struct names names;
	struct server_link *server;
	struct local_api *api;
	struct loop_timer *map_save;   /* debounce of the cached map */
	struct loop_timer *expiry;     /* of the key that is next, ours or a peer's */
	struct loop_timer *save_again; /* what could not be written is tried again */
};

/* Opens everything that must exist from the start; a sentence when it cannot. */
int node_open(struct node *n, struct loop *l, const struct node_options *opt, struct errbuf *eb);
void node_close(struct node *n); /* restores DNS, removes routes; state stays */

/* Preferences changed (state.prefs): start, stop or reconnect as they say. */
void node_prefs_changed(struct node *n);
/* Log in: with auth_key ("" = interactive). */
void node_login(struct node *n, const char *auth_key);
void node_logout(struct node *n);
/* The node key changed, or the interface is gone: opens the engine anew, from the loop. */
void node_reopen(struct node *n);
/* Writes state.prefs, keys and so on; a failure is kept in `unsaved` and the node goes on. */
void node_save(struct node *n);
void node_set_backend(struct node *n, enum node_backend s);
const char *node_backend_text(enum node_backend s);
/* Lets path tell its events, and asks for a tick no later than the cores' next deadline. Called at the end of
 * every entry from the loop, when nothing that an event may change is in use. */
void node_rearm(struct node *n);

/* engine.c */
int engine_open(struct node *n, struct errbuf *eb);
void engine_close(struct node *n);

/* dataplane.c */
extern const struct wg_ops dataplane_wg_ops; /* arg is struct node */
void dataplane_tun_received(void *arg, struct pkt *pkts, size_t n);
void dataplane_udp_received(void *arg, struct pkt *pkts, const struct endpoint *from, size_t n);
void dataplane_relay_received(
	struct node *n, int32_t region, const struct node_key *from, const uint8_t *p, size_t len);
void dataplane_relay_flush(struct node *n);
/* What the engine itself says to a peer inside the tunnel: by this way, and no sign that the peer is in use.
 * Left out while there is no session. */
void dataplane_send_inner(struct node *n, uint64_t peer, const struct path_way *way, struct pkt *p);

/* apply.c: the one consumer of map changes. */
int apply_map(struct node *n, struct netmap *next, struct errbuf *eb); /* takes the reference */
void apply_nothing(struct node *n);				       /* leave no trace of the present map */
void apply_expiry(struct node *n); /* keys end by the clock too, with the server away */
bool apply_self_expired(const struct node *n);

#endif
