/* The node's side of the coordination server: key, login, map stream, updates; always trying, with back-off.
 * tailscale-protocol.md 1.2-1.9. */
#ifndef RW_NODE_LINKS_SERVER_LINK_H
#define RW_NODE_LINKS_SERVER_LINK_H

#include "mesh/node/node.h"

/* Starts at once with n->state; what it learns goes to apply_map and node_set_backend. NULL: memory short. */
struct server_link *server_link_open(struct node *n);
void server_link_close(struct server_link *c);
/* Registers (again), with a new node key where the present one was in use: it is in force when the server has
 * accepted it; until then, and when the server refuses, the present one is. auth_key "" = interactive: the
 * server gives a URL. */
void server_link_login(struct server_link *c, const char *auth_key);
bool server_link_has_key(const struct server_link *c); /* a login with one is under way */
void server_link_logout(
	struct server_link *c, void (*done)(void *arg), void *arg); /* done within 3 s, reached or not */
/* Own endpoints, home relay or host facts changed. */
void server_link_update(struct server_link *c);
/* The machine's links changed, or somebody asks: what waits for another try tries now. */
void server_link_try_now(struct server_link *c);
/* The way to these moved: a connection to one of them begins anew. */
void server_link_ways_moved(struct server_link *c, const struct addr *to, size_t n);
bool server_link_connected(const struct server_link *c);	  /* map stream up */
const char *server_link_waiting_for(const struct server_link *c); /* "" when connected; else a sentence */

#endif
