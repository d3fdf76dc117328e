/* debug: what official clients' command calls an action, for somebody who looks for a fault. */
#include "mesh/node/local/local_request.h"
#include "mesh/proto/json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void say_done(struct request *r)
{
	http_reply(r->conn, 200, "text/plain", NULL, "done\n", 5);
}

static void measure_anew(struct request *r)
{
	r->node->measure(r->node->arg);
	say_done(r);
}

static void rebind(struct request *r)
{
	r->node->rebind(r->node->arg);
	say_done(r);
}

static void break_relays(struct request *r)
{
	r->node->break_relays(r->node->arg);
	say_done(r);
}

static void say_state_dir(struct request *r)
{
	struct buf b = { 0 };
	struct json_out o = { .to = &b };
	json_put_string(&o, r->node->state_dir(r->node->arg));
	local_reply_json(r->conn, &b, !o.bad);
}

/* --- the map, as the asker takes it: a network may have many machines --- */

enum { PIECE_BYTES = 32 * 1024 };

struct map_source {
	struct netmap *map;
	size_t at;
	bool begun;
};

static void put_users(struct json_out *o, const struct netmap *m)
{
	bool first = true;
	char id[24];
	json_put(o, ",\"UserProfiles\":{");
	for (size_t i = 0; i < m->n_users; i++) {
		snprintf(id, sizeof(id), "%lld", (long long)m->users[i].id);
		json_put_name(o, id, &first);
		o->bad |= !ctl_user_write(o->to, &m->users[i]);
	}
	json_put(o, "}");
}

/* The names are those of official clients' netmap (v1.102.5). */
static bool write_begin(const struct netmap *m, struct buf *out)
{
	struct json_out o = { .to = out };
	json_put(&o, "{\"SelfNode\":");
	o.bad |= !ctl_node_write(out, &m->self->node);
	json_put(&o, ",\"Domain\":");
	json_put_string(&o, m->domain);
	put_users(&o, m);
	if (m->dns) {
		json_put(&o, ",\"DNS\":");
		o.bad |= !ctl_dns_write(out, m->dns);
	}
	if (m->derp) {
		json_put(&o, ",\"DERPMap\":");
		o.bad |= !ctl_derp_map_write(out, m->derp);
	}
	json_put(&o, ",\"PacketFilterRules\":");
	o.bad |= !ctl_filters_write(out, m->filters, m->n_filters);
	json_put(&o, ",\"Peers\":[");
	return !o.bad;
}

/* Short of memory it ends in the middle: no JSON, which the asker notices. */
static bool map_next(void *arg, struct buf *out)
{
	struct map_source *s = arg;
	bool ok = s->begun || write_begin(s->map, out);
	s->begun = true;
	while (ok && s->at < s->map->n_peers) {
		if (out->len >= PIECE_BYTES)
			return true;
		ok = (!s->at || buf_append(out, ",", 1)) && ctl_node_write(out, &s->map->peers[s->at]->node);
		s->at++;
	}
	if (ok)
		(void)buf_append(out, "]}\n", 3);
	return false;
}

static void map_ended(void *arg)
{
	struct map_source *s = arg;
	netmap_put(s->map);
	free(s);
}

static void say_map(struct request *r)
{
	struct netmap *m = r->node->map(r->node->arg);
	struct map_source *s = m ? malloc(sizeof(*s)) : NULL;
	if (!s) {
		local_reply_error(r->conn, m ? 500 : 400,
			m ? "memory is short" : "no map is known yet; run `ropewalk up` first");
		return;
	}
	*s = (struct map_source) { .map = netmap_get(m) };
	struct http_source from = { .next = map_next, .ended = map_ended, .arg = s };
	http_reply_source(r->conn, 200, "application/json", &from);
}

/* --- which --- */

static const struct {
	const char *action;
	void (*run)(struct request *r);
} actions[] = {
	{ "restun", measure_anew },
	{ "rebind", rebind },
	{ "break-derp-conns", break_relays },
	{ "statedir", say_state_dir },
	{ "current-netmap", say_map },
};

void local_debug(struct request *r)
{
	char action[64] = "", text[128];
	(void)http_target_query(r->head, "action", action, sizeof(action));
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (strcmp(actions[i].action, action) == 0) {
			actions[i].run(r);
			return;
		}
	snprintf(text, sizeof(text), "ropewalkd does not do this: debug %s", action);
	local_reply_error(r->conn, 400, text);
}
