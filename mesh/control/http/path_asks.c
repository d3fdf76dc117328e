/* A node is asked by which way it reaches another (PingRequest): it pings that, and tells what it found inside Noise, at a
 * URL that is good once, for that node and for as long as somebody waits. Nothing is kept: a way is true while it is
 * looked at. */
#include "mesh/control/http/api.h"
#include "mesh/control/http/verbs.h"
#include "mesh/proto/json.h"
#include "mesh/transport/control_link.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ASKS_MAX = 64, ASK_MS = 7000, TOKEN_BYTES = 16, ANSWER_MAX = 4096, URL_MAX = 512 };

struct path_ask {
	struct path_ask *next;
	struct api *api;
	struct api_later *later;
	struct loop_timer *late;
	int64_t node, to;
	const char *type;
	char token[2 * TOKEN_BYTES + 1];
};

static const char *const types[] = { "disco", "TSMP", "ICMP", "peerapi" };

static void forget(struct path_ask *k)
{
	struct path_ask **at = &k->api->path_asks;
	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	loop_timer_free(k->late);
	key_wipe(k->token, sizeof(k->token));
	free(k);
}

static void ask_dropped(void *arg)
{
	forget(arg);
}

/* What was found, or why nothing was. */
struct found {
	char direct[ENDPOINT_TEXT], relay[64];
	double ms;
	const char *why;
};

static void answer(struct path_ask *k, const struct found *f)
{
	const struct api_way way = api_later_way(k->later);
	json_t *o = json_pack("{s:I, s:I, s:s, s:b, s:s, s:s, s:f, s:o}", "node", (json_int_t)k->node, "to",
		(json_int_t)k->to, "type", k->type, "answered", !*f->why, "direct", f->direct, "relay",
		f->relay, "latency_ms", f->ms, "why", api_sentence(f->why));
	forget(k);
	api_reply_json(&way, 200, o);
}

static void ask_late(void *arg)
{
	answer(arg, &(struct found) { .why = "it has not told in time: it may be busy, or of a kind that is "
					     "not asked so" });
}

/* --- told --- */

static void name_region(const struct api *a, int64_t id, char *out, size_t cap)
{
	const struct ctl_derp_region *r = config_derp_region(&a->streams->set->derp, id);
	if (r && r->name && *r->name)
		snprintf(out, cap, "%s", r->name);
	else
		snprintf(out, cap, "%lld", (long long)id);
}

/* A stranger's body: all of it is taken, or none. */
static void read_found(const struct api *a, const struct api_call *c, struct found *f)
{
	json_t *v = c->len && c->len <= ANSWER_MAX
			    ? json_open((const char *)c->body, c->len, &json_of_stranger, NULL)
			    : NULL;
	const char *err = json_string_value(json_member(v, "Err")),
		   *at = json_string_value(json_member(v, "Endpoint"));
	int64_t region = json_integer_value(json_member(v, "DERPRegionID"));
	double s = json_number_value(json_member(v, "LatencySeconds"));
	struct endpoint direct;
	if (!json_is_object(v) || !(s >= 0 && s < 1000))
		f->why = "it has told what nobody understands";
	else if (err && *err)
		f->why = "it gets no answer";
	else if (region > 0)
		name_region(a, region, f->relay, sizeof(f->relay));
	else if (at && endpoint_parse(at, &direct))
		endpoint_format(&direct, f->direct);
	if (!*f->why)
		f->ms = (double)(int64_t)(s * 1e6 + 0.5) / 1e3;
	json_decref(v);
}

void machine_ping_told(struct api_call *c)
{
	const struct machine_key *machine = control_server_machine(h2_stream_link(c->way.stream));
	struct path_ask *k = c->api->path_asks;
	struct found f = { .why = "" };
	while (k && strcmp(k->token, c->tail) != 0)
		k = k->next;
	const struct member *m = k ? fleet_by_id(&c->api->reg->fleet, k->node) : NULL;
	if (m && key_equal(m->machine.b, machine->b)) {
		read_found(c->api, c, &f);
		answer(k, &f);
	}
	h2_respond(c->way.stream, 200, "text/plain", "", 0);
}

/* --- asked --- */

static const char *type_of(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (!strcasecmp(*text ? text : types[0], types[i]))
			return types[i];
	return NULL;
}

static size_t count(const struct path_ask *k)
{
	size_t n = 0;
	for (; k; k = k->next)
		n++;
	return n;
}

static struct path_ask *new_ask(
	struct api_call *c, const struct member *m, const struct member *to, const char *type)
{
	struct path_ask *k = calloc(1, sizeof(*k));
	uint8_t random[TOKEN_BYTES];
	if (!k)
		return NULL;
	*k = (struct path_ask) { .api = c->api, .node = m->id, .to = to->id, .type = type };
	k->late = loop_timer_new(c->api->streams->loop, ask_late, k);
	if (!k->late) {
		free(k);
		return NULL;
	}
	random_system.fill(random_system.arg, random, sizeof(random));
	(void)hex_encode(random, sizeof(random), k->token);
	k->token[2 * TOKEN_BYTES] = '\0';
	k->next = c->api->path_asks;
	c->api->path_asks = k;
	return k;
}

static void ask(struct api_call *c, const struct member *m, const struct member *to, const char *type)
{
	char url[URL_MAX], ip[ADDR_TEXT];
	struct path_ask *k = new_ask(c, m, to, type);
	if (!k) {
		api_reply_error(&c->way, 503, "the server is short of memory");
		return;
	}
	k->later = api_later_open(c, ask_dropped, k);
	if (!k->later) { /* answered */
		forget(k);
		return;
	}
	loop_timer_set(k->late, ASK_MS);
	snprintf(url, sizeof(url), "%s/machine/ping-response/%s", c->api->cfg->server_url, k->token);
	addr_format(m->has_v4 && to->has_v4 ? &to->v4 : &to->v6, ip);
	if (!streams_ping(c->api->streams, m->id, url, type, ip))
		answer(k, &(struct found) { .why = "it is not connected" });
}

/* id: who is asked, to: about whom; type: "disco" (which way there is), or what goes by it. */
void admin_nodes_path(struct api_call *c)
{
	const struct fleet *f = &c->api->reg->fleet;
	const struct member *m = fleet_by_id(f, verb_number(c, "id")),
			    *to = fleet_by_id(f, verb_number(c, "to"));
	const char *type = type_of(verb_text(c, "type"));
	if (!m || !to || m == to)
		api_reply_error(
			&c->way, 400, "id, to: two nodes by their numbers, as `nodes list` shows them");
	else if (!type)
		api_reply_error(&c->way, 400, "type: disco, TSMP, ICMP or peerapi");
	else if (!(m->has_v4 && to->has_v4) && !(m->has_v6 && to->has_v6))
		api_reply_error(&c->way, 400, "the two have no addresses of one family");
	else if (count(c->api->path_asks) >= ASKS_MAX)
		api_reply_error(&c->way, 503, "too many nodes are being asked: try again");
	else
		ask(c, m, to, type);
}
