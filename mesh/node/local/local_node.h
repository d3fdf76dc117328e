/* All that LocalAPI knows of the node. Questions change nothing, and what they lend stays until the loop goes
 * on. Orders may change everything but the API: watchers are told meanwhile by local_api_state_changed. */
#ifndef RW_NODE_LOCAL_LOCAL_NODE_H
#define RW_NODE_LOCAL_LOCAL_NODE_H

#include "mesh/netmap/netmap.h"
#include "mesh/node/host/state.h"
#include "mesh/proto/localapi.h"

struct local_facts {
	int state; /* LocalAPI's: enum backend_state */
	bool stopped, logged_in;
	bool up;	 /* Starting or Running */
	bool logging_in; /* with an auth key, or a person has been sent to auth_url */
	const char *auth_url, *error, *login_name; /* "" = none */
	const struct state_prefs *prefs;
};
enum { LOCAL_BASE_MAX = 8 };
struct local_os_dns {
	bool active; /* the machine asks the node's resolver */
	struct endpoint base[LOCAL_BASE_MAX];
	size_t n_base; /* the machine's own nameservers */
};
struct local_measured {
	bool running;	/* a new one is under way */
	uint64_t at_ms; /* end of the last, monotonic; 0 = none yet */
};
struct local_node_ops {
	/* questions */
	void (*facts)(void *arg, struct local_facts *out);
	struct netmap *(*map)(void *arg); /* NULL: none; netmap_get keeps it */
	void (*status)(void *arg, struct arena *a, struct api_status *out); /* all but the peers */
	void (*status_peer)(void *arg, const struct netmap *m, const struct netmap_peer *p, struct arena *a,
		struct api_peer *out);
	bool (*netcheck)(void *arg, struct arena *a, struct api_netcheck *out,
		struct local_measured *when);		       /* false: the node is stopped */
	const char *(*region_code)(void *arg, int32_t region); /* "" = unknown */
	const char *(*no_resolver)(void *arg);		       /* NULL: it answers; else why not */
	void (*os_dns)(void *arg, struct local_os_dns *out);
	/* orders */
	void (*prefs_set)(void *arg, const struct state_prefs *p); /* and what they say is done */
	void (*login)(void *arg, const char *auth_key);		   /* "" = a person is asked; also anew */
	void (*logout)(void *arg);
	void (*trying)(void *arg, const char *url); /* of a server that is asked beside ours; "" = no more */
	void (*try_now)(void *arg);		    /* what waits for the server tries it */
	void (*ping)(void *arg, uint64_t peer, uint64_t token); /* answered by local_api_ping_done */
	void (*measure)(void *arg);
	void *arg;
};

#endif
