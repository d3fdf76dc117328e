/* The mesh node: the one place where the rooms meet. One thread, one loop. */
#ifndef RW_NODE_NODE_H
#define RW_NODE_NODE_H

#include "mesh/base/err.h"
#include "mesh/base/log.h"
#include "mesh/node/apply.h"
#include "mesh/node/backend.h"
#include "mesh/node/engine.h"
#include "mesh/node/host/exit_hold.h"
#include "mesh/node/host/state.h"
#include "mesh/node/names.h"
#include "mesh/node/steps.h"

struct node_options {
	const char *state_dir, *socket, *tun_name, *resolv_conf;
	const char *anchors;		      /* DNSSEC's, a file; NULL: nothing is validated */
	const struct local_node_ops *answers; /* what LocalAPI gets to hear: queries.h */
	struct notify *notify;		      /* borrowed; NULL is fine */
	const struct proxies *proxies;	      /* borrowed; by which server and relays are reached */
	uint16_t port;
	uint32_t mtu;
	unsigned data_threads; /* engine.h */
	bool keep_dns_cache;   /* over a restart, in state_dir */
	struct name_clients_options clients;
};

struct farewell;
struct server_link;
struct map_cache;
struct local_api;
struct local_node_ops;
struct files;
struct peer_api;
struct service_web;

struct node {
	struct loop *loop;
	struct node_options opt;
	struct state state; /* keys, preferences: state.h; logged_in is backend's to set */
	struct backend backend;
	struct engine engine; /* open while the node is up */
	struct steps steps;
	struct server_clock clock; /* what keys end by */
	struct apply apply;	   /* the map, and what of it is not true yet */
	struct names names;
	struct os_dns *os_dns;
	struct journal *journal; /* of changes to this machine */
	struct exit_hold hold;	 /* in force while the node is wanted and an exit is */
	char unheld[256];	 /* why it is not, though it should be; "" = it is */
	struct map_cache *map_cache;
	struct server_link *server; /* NULL while the node is down */
	struct farewell *farewell;  /* to the server of a network that was left; NULL: to none */
	struct local_api *api;
	struct files *files; /* NULL: none come and go, and the log said why */
	struct peer_api *peer_api;
	struct service_web *web;      /* counters for this machine's collectors */
	struct plane_capture capture; /* nobody: all zero */

	char last_error[384]; /* of what a person asked for; "" = none */
	struct log_limit odd_maps;
	char unsaved[384]; /* why the state on disk is older than ours; "" = it is not */
	unsigned key_end;  /* the last stage of key_end.h that the log has */
	bool map_cached;   /* it came from disk and the server has not been heard yet */

	int state_lock; /* fd; one daemon a state folder */
	struct loop_timer *reopen, *relink,
		*forget;	       /* work that must not run inside a callback of the engine */
	struct loop_timer *apply_due;  /* apply_deadline */
	struct loop_timer *save_again; /* what could not be written is tried again */
};

/* Opens everything that must exist from the start; a sentence when it cannot. */
int node_open(struct node *n, struct loop *l, const struct node_options *opt, struct errbuf *eb);
void node_close(struct node *n); /* restores DNS, removes routes; state stays */

/* What this machine is told is told again where it is missing, its nameservers are read anew, connections
 * tried. */
void node_reload(struct node *n);
/* Sets the preferences, and starts, stops or leaves the network as they say. */
void node_prefs_set(struct node *n, const struct state_prefs *p);
/* Log in, also anew: with auth_key ("" = interactive). What is logged in stays so until the server says yes.
 */
void node_login(struct node *n, const char *auth_key);
void node_logout(struct node *n);
/* The interface is gone: opens the engine anew, from the loop. */
void node_reopen(struct node *n);
/* Writes state.prefs, keys and so on; a failure is kept in `unsaved` and the node goes on. */
void node_save(struct node *n);
int64_t node_server_ms(const struct node *n); /* Unix, by the server's clock as far as it is known */
#endif
