/* The node's side of the coordination server: key, login, map stream, updates; always trying, with back-off.
 * tailscale-protocol.md 1.2-1.9. */
#ifndef RW_NODE_CONTROL_H
#define RW_NODE_CONTROL_H

#include "mesh/node/node.h"

/* Starts at once with n->state; what it learns goes to apply_map and node_set_backend. NULL: memory short. */
struct control *control_open(struct node *n);
void control_close(struct control *c);
/* Register (again). auth_key "" = interactive: the server gives a URL. */
void control_login(struct control *c, const char *auth_key);
bool control_has_key(const struct control *c); /* a login with one is under way */
void control_logout(
	struct control *c, void (*done)(void *arg), void *arg); /* done within 3 s, reached or not */
/* Own endpoints, home relay or host facts changed. */
void control_update(struct control *c);
/* The machine's links changed, or somebody asks: what waits for another try tries now. */
void control_try_now(struct control *c);
bool control_connected(const struct control *c);	  /* map stream up */
const char *control_waiting_for(const struct control *c); /* "" when connected; else a sentence */

#endif
