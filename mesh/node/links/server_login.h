/* What a login shows the server: its auth key, the URL that a person was sent to, and a node key that is not
 * in force yet. Keys are wiped where they end. tailscale-protocol.md 1.5. */
#ifndef RW_NODE_LINKS_SERVER_LOGIN_H
#define RW_NODE_LINKS_SERVER_LOGIN_H

#include "mesh/node/host/state.h"
#include "mesh/proto/control.h"

struct server_login { /* all zero: none under way */
	char auth_key[256], followup[512];
	struct node_private next; /* shown to the server, in force once it has accepted it; zero: none */
	struct node_key old_key;  /* that next takes the place of; zero: none */
};

/* What was shown before is forgotten. auth_key is copied. */
void server_login_begin(struct server_login *g, const char *auth_key);
/* A login takes a new key: what peers have of the old one, sessions too, ends with it. The old one stays in
 * force until the server has accepted the new. */
void server_login_renew_key(struct server_login *g, const struct node_private *in_force);
void server_login_drop_key(struct server_login *g); /* the key in force is shown again */
/* The key that is shown: next, or the one in force. */
const struct node_private *server_login_key(
	const struct server_login *g, const struct node_private *in_force);
void server_login_forget_auth_key(struct server_login *g);
/* The register request, appended to body, which the caller wipes. expiry_ms: Unix, INT64_MIN: the server
 * decides; one of the past says goodbye. false: memory is short. */
bool server_login_write(const struct server_login *g, const struct node_private *in_force,
	const struct ctl_hostinfo *host, int64_t expiry_ms, struct buf *body);

#endif
