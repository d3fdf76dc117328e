/* All that LocalAPI knows of the node. Questions change nothing, and what they lend stays until the loop goes
 * on. Orders may change everything but the API: watchers are told meanwhile by local_api_state_changed. */
#ifndef RW_NODE_LOCAL_LOCAL_NODE_H
#define RW_NODE_LOCAL_LOCAL_NODE_H

#include "mesh/node/links/server_place.h"
#include "mesh/netmap/netmap.h"
#include "mesh/node/host/state.h"
#include "mesh/node/serve/files.h"
#include "mesh/proto/localapi.h"

struct blocker;
struct blocker_search;
struct blocker_why;
struct dns_name;
struct resolver_server;
struct local_facts {
	int state; /* LocalAPI's: enum backend_state */
	bool stopped, logged_in;
	bool up;	 /* Starting or Running */
	bool logging_in; /* with an auth key, or a person has been sent to auth_url */
	const char *auth_url, *error, *login_name; /* "" = none */
	const struct state_prefs *prefs;
	const struct machine_key *server; /* that was joined; zero: none */
	struct server_way way;
};
enum { LOCAL_BASE_MAX = 8, LOCAL_MATCH_MAX = 256, LOCAL_PING_MAX = 1472 };
struct local_os_dns {
	bool active;		    /* the machine asks the node's resolver */
	const char *owner, *reason; /* who was told of it ("systemd-resolved", "direct", "off"), and why he */
	const char *match[LOCAL_MATCH_MAX];
	size_t n_match; /* not 0: it asks for these domains alone */
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
	void (*status_peer)(void *arg, const struct netmap_peer *p, struct arena *a, struct api_peer *out);
	bool (*netcheck)(void *arg, struct arena *a, struct api_netcheck *out,
		struct local_measured *when);			       /* false: the node is stopped */
	const char *(*region_code)(void *arg, int32_t region);	       /* "" = unknown */
	bool (*relay_at)(void *arg, int32_t region, struct addr *out); /* false: not connected */
	/* Of the ways to a peer, as far as they are remembered, the oldest first; from and to in words, "" = none. */
	void (*way_changes)(void *arg, uint64_t peer,
		void (*each)(void *k, int64_t unix_ms, const char *from, const char *to), void *k);
	const char *(*no_resolver)(void *arg);	     /* NULL: it answers; else why not */
	bool (*metrics)(void *arg, struct buf *out); /* Prometheus' text; false: memory is short */
	void (*os_dns)(void *arg, struct local_os_dns *out);
	struct resolver_server *(*resolver)(void *arg); /* NULL: not open; no_resolver says why */
	const char *(*secure_fault)(
		void *arg);	   /* why clients by TLS are not served; "" = they are, or shall not */
	bool (*blocks)(void *arg); /* names, for the others of the mesh */
	struct blocker *(*blocker)(
		void *arg); /* what does; NULL: it does not, or not yet. Its state and pauses alone */
	/* resolver/blocker.h, for who asks from there; told comes later. NULL: nothing is blocked yet, or memory is short. */
	struct blocker_search *(*blocked)(void *arg, const struct addr *from, const struct dns_name *name,
		void (*told)(void *k, int err, const struct blocker_why *w, const struct errbuf *eb),
		void *k);
	struct files *(*files)(void *arg); /* NULL: none are taken here; may be asked for all of files.h */
	const char *(*ifname)(void *arg);  /* of the mesh; the node is up */
	/* orders */
	void (*prefs_set)(void *arg, const struct state_prefs *p); /* and what they say is done */
	void (*login)(void *arg, const char *auth_key);		   /* "" = a person is asked; also anew */
	void (*logout)(void *arg);
	void (*trying)(void *arg, const char *url); /* of a server that is asked beside ours; "" = no more */
	void (*try_now)(void *arg);		    /* what waits for the server tries it */
	/* Answered by local_api_ping_done. size: bytes of the datagram's payload, at most LOCAL_PING_MAX. */
	void (*ping)(void *arg, uint64_t peer, uint64_t token, uint16_t size);
	/* Inside the tunnel, by ICMP or TSMP; answered by local_api_echo_answered. false: it cannot be asked. */
	bool (*echo)(void *arg, uint64_t peer, const struct addr *at, bool icmp, uint64_t token);
	/* What a ping that the server asked for has found. */
	void (*tell_server)(void *arg, const char *url, const char *json, size_t len);
	void (*measure)(void *arg);
	void (*rebind)(void *arg);	 /* as if the machine's links had changed */
	void (*break_relays)(void *arg); /* connections to relays begin anew */
	/* Packets inside the tunnel are told from now on; packet NULL: no more. how: as in official clients' captures, 0 from
	 * this machine, 1 from a peer, 2 and 3 of the node's own to this machine and to a peer. From packet nothing of
	 * the node may be called. */
	void (*capture)(
		void *arg, void (*packet)(void *k, unsigned how, const uint8_t *p, size_t len), void *k);
	const char *(*state_dir)(void *arg);
	void *arg;
};

#endif
