/* The node's side of the coordination server: key, login, map stream, updates; always trying, with back-off.
 * tailscale-protocol.md 1.2-1.9. */
#ifndef RW_NODE_LINKS_SERVER_LINK_H
#define RW_NODE_LINKS_SERVER_LINK_H

#include "mesh/base/nat64.h"
#include "mesh/node/host/state.h"
#include "mesh/os/loop.h"
#include "mesh/proto/control.h"
#include "mesh/transport/proxy.h"

/* What this node is now; strings and arrays live until the request is written. */
struct server_link_self {
	struct ctl_hostinfo host;
	struct disco_key disco; /* zero: none yet */
	struct ctl_endpoints endpoints;
};
struct server_link_ops {
	void (*describe)(void *arg, struct arena *a, struct server_link_self *out); /* *out comes as zero */
	/* --- what is heard --- */
	/* This is the server: the one that was joined, or the first. To be kept as us->server. */
	void (*server_is)(void *arg, const struct machine_key *key);
	/* It has accepted this node key, to be kept as us->node. false: the link goes no further, the owner
	 * will close it (its engine must be another). */
	bool (*accepted)(void *arg, const struct node_private *key, const char *login_name);
	void (*asked)(void *arg, const char *auth_url); /* a person is to go there */
	void (*waits)(void *arg);			/* an admin must approve */
	void (*refused)(void *arg, const char *why);	/* it will not let us in; a sentence */
	/* Our key means nothing to it any more, and is shown anew. why: a sentence, or NULL. */
	void (*forgotten)(void *arg, const char *why);
	/* A map message, the first of its stream or a later one. Not 0, with a sentence: it cannot be used; a
	 * whole map is asked for. */
	int (*map)(void *arg, const struct ctl_map_response *m, bool first, struct errbuf *eb);
	/* The map stream. at: where the server is; NULL: not known, or down. */
	void (*up)(void *arg, bool up, const struct endpoint *at);
	/* Peers have our disco key from the server since then (monotonic ms). Once. */
	void (*told)(void *arg, uint64_t since_ms);
	/* It asks by which way a peer is reached; answered by server_link_pinged, or not. NULL: it is not answered. */
	void (*ping)(void *arg, const struct ctl_ping *p);
	const struct proxies *proxies; /* by which it is reached; borrowed, NULL: none */
	void *arg;
};

struct server_link;
/* Starts at once. us: the owner's, who alone writes it; read anew each time. NULL: memory short. */
struct server_link *server_link_open(
	struct loop *l, const struct state *us, const struct server_link_ops *ops);
void server_link_close(struct server_link *c);
/* Registers (again). auth_key, copied, "" = interactive: the server gives a URL. new_key: the present one was
 * in use; a new one is shown, which is in force when the server has accepted it. Until then, and when the
 * server refuses, the present one is. */
void server_link_login(struct server_link *c, const char *auth_key, bool new_key);
bool server_link_has_key(const struct server_link *c); /* a login with one is under way */
/* The server may know a key of ours which it has not let in yet: a login is out, or waits for a person. */
bool server_link_is_shown(const struct server_link *c);
/* Tells the server that this machine leaves, and that a login which is not decided is off. done once, within
 * 3 s, reached or not, never from inside. */
void server_link_logout(struct server_link *c, void (*done)(void *arg), void *arg);
/* Own endpoints, home relay or host facts changed. */
void server_link_update(struct server_link *c);
/* The answer to ops.ping, to the URL that it came with. */
void server_link_pinged(struct server_link *c, const char *url, const char *json, size_t len);
/* The machine's links changed, or somebody asks: what waits for another try tries now. */
void server_link_try_now(struct server_link *c);
/* How this machine reaches IPv4, copied; bits 0: as it is, which is so at first. A server whose URL has an IPv4
 * address is tried anew by it. */
void server_link_nat64_set(struct server_link *c, const struct nat64 *prefix);
/* The way to these moved: a connection to one of them begins anew. */
void server_link_ways_moved(struct server_link *c, const struct addr *to, size_t n);
bool server_link_connected(const struct server_link *c); /* map stream up */
/* It is behind a proxy: where the connection leads is no place of its own. */
bool server_link_is_proxied(const struct server_link *c);
/* A sentence when a captive portal was found in between; NULL: none is known. */
const char *server_link_portal(const struct server_link *c);
const char *server_link_waiting_for(const struct server_link *c); /* "" when connected; else a sentence */

#endif
