#include "mesh/node/links/server_login.h"
#include <stdio.h>

void server_login_begin(struct server_login *g, const char *auth_key)
{
	server_login_forget_auth_key(g); /* a longer one may have been there */
	snprintf(g->auth_key, sizeof(g->auth_key), "%s", auth_key);
	g->followup[0] = 0;
}

void server_login_renew_key(struct server_login *g, const struct node_private *in_force)
{
	key_public(in_force->b, g->old_key.b);
	key_generate(&random_system, g->next.b);
}

void server_login_drop_key(struct server_login *g)
{
	key_wipe(&g->next, sizeof(g->next));
	g->old_key = (struct node_key) { 0 };
}

const struct node_private *server_login_key(const struct server_login *g, const struct node_private *in_force)
{
	return key_is_zero(g->next.b) ? in_force : &g->next;
}

void server_login_forget_auth_key(struct server_login *g)
{
	key_wipe(g->auth_key, sizeof(g->auth_key));
}

bool server_login_write(const struct server_login *g, const struct node_private *in_force,
	const struct ctl_hostinfo *host, int64_t expiry_ms, struct buf *body)
{
	struct ctl_register_request m = { .version = CONTROL_CAPVER,
		.old_node = g->old_key,
		.auth_key = g->auth_key,
		.followup = g->followup,
		.hostinfo = *host,
		.expiry_ms = expiry_ms };
	key_public(server_login_key(g, in_force)->b, m.node.b);
	return ctl_register_request_write(body, &m);
}
