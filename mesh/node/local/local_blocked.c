/* Names that this machine blocks: how many, a pause, and why one is: then the lists are read through on a thread, and the
 * answer waits for that. */
#include "mesh/node/local/local_request.h"
#include "mesh/base/text.h"
#include "resolver/blocker.h"
#include "resolver/name.h"
#include "resolver/report_api.h"
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct searched {
	struct blocker_search *search;
	struct local_client *client;
};

/* The machine that names of the network come from, where there is one. */
static const char *server_of(const struct netmap *m)
{
	const struct ctl_dns *dns = m ? m->dns : NULL;
	struct addr ip;
	if (!dns || !dns->n_resolvers || !addr_parse(dns->resolvers[0].addr, &ip))
		return "";
	const struct netmap_peer *peer = netmap_peer_by_address(m, &ip);
	return peer ? peer->node.name : "";
}

static bool is_called(const struct ctl_node *c, const char *text)
{
	size_t len = strcspn(c->name, ".");
	return c->addresses.n &&
	       (strcmp(c->name, text) == 0 || (strlen(text) == len && strncmp(c->name, text, len) == 0));
}

/* An address, or the name of a machine. */
static bool client_of(const struct netmap *m, const char *text, struct addr *out)
{
	if (addr_parse(text, out))
		return true;
	for (size_t i = 0; m && i <= m->n_peers; i++) {
		const struct ctl_node *c = i ? &m->peers[i - 1]->node : &m->self->node;
		if (is_called(c, text)) {
			*out = c->addresses.v[0].ip;
			return true;
		}
	}
	return false;
}

static void blocked_say(struct http_server_conn *c, const struct api_dns_blocked *m)
{
	struct buf b = { 0 };
	bool ok = api_dns_blocked_write(&b, m);
	local_reply_json(c, &b, ok);
}

static void blocked_told(void *arg, int err, const struct blocker_why *w, const struct errbuf *eb)
{
	struct searched *k = arg;
	struct http_server_conn *c = k->client->conn;
	struct arena a = { 0 };
	struct api_dns_blocked m;
	k->client->searched = NULL;
	free(k);
	if (err || !report_api_blocked(&a, w, &m))
		local_reply_error(c, 500, err ? eb->text : "memory is short");
	else
		blocked_say(c, &m);
	arena_free(&a);
}

void local_blocked_gone(struct local_client *c)
{
	if (!c->searched)
		return;
	blocker_search_cancel(c->searched->search);
	free(c->searched);
	c->searched = NULL;
}

void local_dns_blocked(struct request *r)
{
	const struct netmap *m = r->node->map(r->node->arg);
	char text[256], who[256] = "127.0.0.1";
	struct dns_name name;
	struct addr from;
	if (!http_target_query(r->head, "name", text, sizeof(text)) || !dns_name_parse(text, &name) ||
		name.len == 1) {
		local_reply_error(r->conn, 400, "name= is not a domain name");
		return;
	}
	if (http_target_find(r->head, "client", who, sizeof(who)) == HTTP_VALUE_BAD ||
		!client_of(m, who, &from)) {
		local_reply_error(r->conn, 400, "client= is neither an address nor a machine of the mesh");
		return;
	}
	if (!r->node->blocks(r->node->arg)) {
		blocked_say(r->conn, &(struct api_dns_blocked) { .group = "", .server = server_of(m) });
		return;
	}
	struct searched *k = calloc(1, sizeof(*k));
	dns_name_fold(&name);
	if (k)
		k->search = r->node->blocked(r->node->arg, &from, &name, blocked_told, k);
	if (!k || !k->search) {
		free(k);
		local_reply_error(r->conn, 503, "the lists are not read yet; try again in a moment");
		return;
	}
	k->client = r->client;
	r->client->searched = k;
}

void local_dns_blocking(struct request *r)
{
	struct blocker *b = r->node->blocker(r->node->arg);
	struct blocker_state state = { 0 };
	struct buf out = { 0 };
	if (b)
		blocker_state(b, &state);
	struct api_dns_blocking m = { .on = r->node->blocks(r->node->arg),
		.lists = state.lists,
		.names = state.names,
		.pause_left_ms = state.pause_left_ms };
	bool ok = api_dns_blocking_write(&out, &m);
	local_reply_json(r->conn, &out, ok);
}

void local_dns_pause(struct request *r)
{
	struct blocker *b = r->node->blocker(r->node->arg);
	struct blocker_state state;
	char text[24];
	if (!b) {
		local_reply_error(r->conn, 409, "this machine blocks no names");
		return;
	}
	blocker_state(b, &state);
	uint64_t ms = state.pause_ms;
	enum http_value given = http_target_find(r->head, "for", text, sizeof(text));
	if (given == HTTP_VALUE_GOOD && strcmp(text, "off") == 0) {
		ms = 0;
	} else if (given == HTTP_VALUE_BAD ||
		   (given && (!text_duration_ms(text, &ms) || !ms || ms > CONF_PAUSE_LONGEST_MS))) {
		local_reply_error(r->conn, 400, "for= is a time up to 24h, as 10m, or off");
		return;
	}
	blocker_pause_for(b, ms);
	local_dns_blocking(r);
}
