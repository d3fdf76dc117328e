#include "mesh/node/local/local_request.h"
#include <string.h>

static const struct ctl_node *node_at(const struct netmap *m, size_t i)
{
	return i ? &m->peers[i - 1]->node : &m->self->node;
}

/* "IP", "IP:port" (a service asks about a connection) or "nodekey:..." (a relay asks about a client). */
static bool find_node(const struct netmap *m, const char *text, const struct ctl_node **out)
{
	struct node_key key;
	struct endpoint at;
	bool by_key = key_parse(text, "nodekey:", key.b);
	*out = NULL;
	if (!by_key && !addr_parse(text, &at.ip) && !endpoint_parse(text, &at))
		return false;
	for (size_t i = 0; m && !*out && i <= m->n_peers; i++) {
		const struct ctl_node *c = node_at(m, i);
		if (by_key ? key_equal(c->key.b, key.b) : ctl_node_has(c, &at.ip))
			*out = c;
	}
	return true;
}

void local_whois(struct request *r)
{
	char text[128];
	const struct ctl_node *found;
	const struct netmap *m = r->node->map(r->node->arg);
	if (!http_target_query(r->head, "addr", text, sizeof(text)) || !find_node(m, text, &found)) {
		local_reply_error(r->conn, 400, "addr= must be IP, IP:port or nodekey:HEX");
		return;
	}
	if (!found) {
		local_reply_error(r->conn, 404, "no match for this address among the machines of the mesh");
		return;
	}
	struct ctl_node node = *found;
	struct ctl_user user;
	struct api_whois w = { .node = &node };
	for (size_t i = 0; i < m->n_users; i++) {
		if (m->users[i].id != node.user)
			continue;
		user = m->users[i];
		w.user = &user;
	}
	struct buf b = { 0 };
	bool ok = api_whois_write(&b, &w);
	local_reply_json(r->conn, &b, ok);
}
