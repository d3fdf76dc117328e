/* From the map to names: the resolver's zone and routes, and the machine's resolv.conf.
 * tailscale-protocol.md 5.1, 5.4. */
#ifndef RW_NODE_NAMES_H
#define RW_NODE_NAMES_H

#include "mesh/netmap/netmap.h"
#include "mesh/node/blocking.h"
#include "mesh/node/host/os_dns.h"
#include "mesh/node/host/state.h"
#include "mesh/node/name_clients.h"
#include "mesh/node/validation.h"
#include "mesh/node/map_zone.h"
#include "resolver/keeper.h"
#include "resolver/listen.h"

/* Embedded in its owner, who sets the first seven and leaves the rest at zero. */
struct names {
	struct loop *loop;
	void (*made)(
		void *arg); /* from the loop: a big zone is made; names_apply is to be called again, with the newest
				  * map, and does what waited for that */
	void *arg;
	struct os_dns *os_dns;		 /* borrowed */
	const struct state_prefs *prefs; /* borrowed, read anew each time: control_url, accept_dns */
	const struct proxies
		*proxies;      /* borrowed; NULL: none. Not used under an exit, which leads out itself */
	const char *state_dir; /* borrowed; for lists of blocked names */
	bool guarded; /* set by the owner: nobody but this machine and its containers reaches its resolver */
	struct netmap *map; /* what is applied, a reference of our own; NULL: nothing */
	bool expired;	    /* our own key */
	char trying[256];   /* host of a server that is tried beside ours; "" = none */
	char dev[16];	    /* the mesh interface */
	struct nat64
		nat64; /* by which this machine, without IPv4, reaches it; bits 0: it has IPv4, or no way there */
	struct resolver_server *dns; /* NULL: not open */
	struct keeper *keeper;	     /* names_keep; NULL: what nameservers said ends with us */
	bool logs;		     /* it kept a journal, or the one before it that was closed */
	struct blocking blocking;
	struct validation validation; /* its owner sets the anchors */
	struct name_clients clients;  /* its owner sets the options */
	bool open_guarded;	      /* `guarded` as the resolver's sockets were opened */
	struct addr served[2];	      /* own addresses of the mesh at which others may ask */
	size_t n_served;
	struct map_zone zones;
	char no_dns[384]; /* why the machine does not ask our resolver; "" = it does, or shall not */
	char unserved
		[256]; /* why others cannot ask this machine, though they shall; "" = they can, or shall not */
	char odd_dns[384]; /* the first of the map's DNS settings that cannot be used */
};

/* Whether what nameservers said is there after a restart, in a file of the state folder (resolver/keeper.h): never what
 * those of the place say. Once, before anything else. false: memory is short. */
bool names_keep(struct names *n, bool keep);
void names_keep_end(struct names *n); /* after names_forget */
/* outside: peers' addresses that lead to somebody else on this machine; names do without them. Copied. false:
 * memory is short, nothing has changed. */
bool names_outside_set(struct names *n, const struct addr_set *outside);
/* expired: our own key has; dev: the mesh interface, copied. A failure leaves what could be done, and is kept
 * in n->no_dns as well: a mesh without names is better than none. */
int names_apply(struct names *n, struct netmap *m, const char *dev, bool expired, struct errbuf *eb);
void names_forget(struct names *n); /* resolv.conf back, resolver closed */
/* names_forget, but the machine goes on to ask 100.100.100.100, where nobody answers, until the next names_apply: for the
 * moment in which the interface is made anew. */
void names_leave(struct names *n);
/* The host of another server is looked up as ours is, by the machine's own nameservers: it may lie below a
 * name of this mesh. "" = no more. */
void names_trying(struct names *n, const char *host);
/* The translator that leads this machine to IPv4 is another: names with IPv4 alone get addresses of it (DNS64), for this
 * machine's own questions, as long as it leaves by the network around it. bits 0: none. */
void names_nat64_set(struct names *n, const struct nat64 *prefix);
/* The server lost sight of a peer. It may be a nameserver. */
void names_peer_gone(struct names *n, const struct ctl_node *peer);
/* Files that were given by name may be others: the certificate of clients by TLS. */
void names_reload(struct names *n);
/* The machine's links changed. true: its own nameservers are others, and names_apply should look at them. */
bool names_links_changed(struct names *n);
/* A nameserver that asks us what we ask it. false: none does. */
bool names_ring(const struct names *n, char *text, size_t cap);
/* A way to somewhere opened or closed: upstreams that were given up may answer again. */
void names_network_changed(struct names *n);

#endif
