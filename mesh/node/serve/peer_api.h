/* PeerAPI: an HTTP/1.1 server on this machine's mesh addresses, for its peers. Who calls is known by the source address,
 * which WireGuard has checked; what they may is the table of peer_api.c. tailscale-protocol.md 7.2. */
#ifndef RW_NODE_SERVE_PEER_API_H
#define RW_NODE_SERVE_PEER_API_H

#include "mesh/netmap/netmap.h"
#include "mesh/node/serve/files.h"

struct peer_api;
struct resolver;
struct peer_api_ops {			 /* none of them may call peer_api.h but peer_api_services */
	int64_t (*server_ms)(void *arg); /* Unix, the server's clock: what keys end by */
	void (*listens)(void *arg);	 /* peer_api_services has changed */
	/* This machine is an exit to the internet for a peer with that address, by the rules of the moment. */
	bool (*is_exit_for)(void *arg, const struct addr *peer);
	bool (*offers_exit)(void *arg);		 /* to anybody */
	struct resolver *(*resolver)(void *arg); /* of this machine; NULL: it is not open */
	void *arg;
};
/* files: borrowed; NULL: it takes none. NULL: memory is short. */
struct peer_api *peer_api_open(struct loop *l, struct files *files, const struct peer_api_ops *ops);
void peer_api_close(struct peer_api *p); /* NULL is fine */
/* Listens on the addresses of this map, on that interface alone; what cannot be had is tried again. NULL: nowhere. With the
 * map that is there: whose key ended meanwhile is hung up on. */
void peer_api_apply(struct peer_api *p, struct netmap *map, const char *ifname);
/* For the server: where peers find it. Strings are static. */
enum { PEER_API_SERVICES = 3 };
size_t peer_api_services(const struct peer_api *p, struct ctl_service out[static PEER_API_SERVICES]);
/* How often connections waited for want of descriptors or memory. NULL is fine. */
uint64_t peer_api_paused(const struct peer_api *p);
/* The routes it has, for the test that goes through all: false behind the last. Strings are static; a path that ends in a
 * slash is that of all below it. */
bool peer_api_route(size_t i, const char **method, const char **path);
uint16_t peer_api_port(const struct peer_api *p, bool v4); /* 0: does not listen there */

#endif
