/* What open pages of the console are told. Theory of operation in console.h. */
#include "mesh/control/http/console.h"

#include "mesh/control/http/login_inner.h"
#include "mesh/control/http/verbs.h"
#include "mesh/proto/json_memory.h"
#include <stdlib.h>
#include <string.h>

enum {
	TURN_MS = 500,
	QUIET_TURNS =
		30, /* so many without news: a line that says nothing, for proxies that end what is silent */
	NODES_AT_ONCE = 256,
	QUEUED_MAX = 256 * 1024
};

struct viewer {
	struct viewer *next;
	struct console *console;
	struct api_later *later;
	struct browser_hash who; /* its session */
	uint64_t seq;		 /* what it knows */
	uint64_t other;		 /* changes of the registry that it knows */
};

void console_init(struct console *k, struct loop *l, struct api *api)
{
	*k = (struct console) { .loop = l, .api = api };
}

void console_close(struct console *k)
{
	loop_timer_free(k->turn);
	k->turn = NULL;
}

void console_node_changed(struct console *k, const struct member *old, const struct member *now)
{
	if (k->n) /* nobody who comes later needs it */
		k->news[k->seq++ % CONSOLE_NEWS] = (struct console_news) { .node = old ? old->id : now->id,
			.was = old && !member_is_tagged(old) ? old->user : 0 };
}

/* Its connection has gone. */
static void viewer_gone(void *arg)
{
	struct viewer *v = arg;
	for (struct viewer **at = &v->console->first; *at; at = &(*at)->next)
		if (*at == v) {
			*at = v->next;
			v->console->n--;
			break;
		}
	free(v);
}

/* --- told --- */

static void tell(struct viewer *v, const char *event, json_t *data)
{
	const struct api_way way = api_later_peek(v->later);
	char *text = data ? json_memory_dump(data, JSON_COMPACT) : NULL;
	struct buf out = { 0 };
	json_decref(data);
	if (!text || !buf_printf(&out, "event: %s\ndata: ", event) || !buf_append(&out, text, strlen(text)) ||
		!buf_append(&out, "\n\n", 2) || http_reply_chunk(way.conn, buf_data(&out), out.len))
		http_server_close(way.conn, false); /* v is gone: it comes back and asks for the whole */
	json_text_free(text);
	buf_free(&out);
}

static bool is_new(const int64_t *had, size_t n, int64_t id)
{
	for (size_t i = 0; i < n; i++)
		if (had[i] == id)
			return false;
	return true;
}

/* What changed since v was told last, each node once. Of nodes that are and were of others a member hears nothing, not
 * even that there was something. */
static void tell_nodes(struct viewer *v, const struct api_call *c)
{
	const struct console *k = v->console;
	int64_t had[NODES_AT_ONCE];
	size_t n = 0;
	int failed = 0;
	json_t *nodes = json_array(), *gone = json_array();
	for (; v->seq < k->seq && n < NODES_AT_ONCE; v->seq++) {
		const struct console_news *of = &k->news[v->seq % CONSOLE_NEWS];
		const struct member *m = fleet_by_id(&k->api->reg->fleet, of->node);
		bool sees = m && verb_may_touch(c, m), saw = !c->own || of->was == c->own;
		if ((!sees && !saw) || !is_new(had, n, of->node))
			continue;
		had[n++] = of->node;
		failed |= sees ? json_array_append_new(nodes, verb_node(k->api, m))
			       : json_array_append_new(gone, json_integer(of->node));
	}
	json_t *told = json_pack("{s:o, s:o}", "nodes", nodes, "gone", gone);
	if (failed) { /* one is missing: as if there were none of it */
		json_decref(told);
		told = NULL;
	}
	if (n || !told)
		tell(v, "nodes", told);
	else
		json_decref(told);
}

/* Whether v still may look: its login may have ended, its role be another. */
static bool find_rights(const struct viewer *v, struct api_call *c)
{
	static const struct api_row row = { .method = "GET", .scope = "devices:core", .flags = API_OWN };
	*c = (struct api_call) { .api = v->console->api, .right = API_SESSION };
	return console_rights(c, &v->who) && api_may(c, &row);
}

static void tell_news(struct viewer *v)
{
	struct console *k = v->console;
	const struct api_way way = api_later_peek(v->later);
	struct api_call c;
	if (!find_rights(v, &c)) {
		http_server_close(way.conn, true);
		return;
	}
	if (stream_queued(http_conn_stream(way.conn)) > QUEUED_MAX)
		return;
	/* After tell() v may be gone. */
	const uint64_t changes = k->api->reg->changes;
	if (k->seq - v->seq > CONSOLE_NEWS) {
		v->seq = k->seq;
		v->other = changes;
		tell(v, "all", json_object());
	} else if (v->seq != k->seq) {
		tell_nodes(v, &c);
	} else if (v->other != changes) {
		v->other = changes;
		tell(v, "other", json_object());
	} else if (k->turns % QUIET_TURNS == 0 && http_reply_chunk(way.conn, ": \n\n", 4)) {
		http_server_close(way.conn, false);
	}
}

static void turn_due(void *arg)
{
	struct console *k = arg;
	k->turns++;
	for (struct viewer *v = k->first, *next; v; v = next) {
		next = v->next;
		tell_news(v);
	}
	if (k->n)
		loop_timer_set(k->turn, TURN_MS);
}

/* --- asked --- */

static bool begin_turns(struct console *k)
{
	if (!k->turn)
		k->turn = loop_timer_new(k->loop, turn_due, k);
	if (!k->turn)
		return false;
	if (!k->n)
		loop_timer_set(k->turn, TURN_MS);
	return true;
}

/* Who goes comes back, if anybody still looks. */
static void make_room(struct console *k, const struct browser_hash *who)
{
	struct viewer *oldest = NULL;
	size_t same = 0;
	for (struct viewer *v = k->first; v; v = v->next)
		if (browser_hash_equal(&v->who, who)) {
			same++;
			oldest = oldest ? oldest : v;
		}
	if (same < CONSOLE_VIEWERS_EACH)
		oldest = k->n == CONSOLE_VIEWERS ? k->first : NULL;
	if (oldest)
		http_server_close(api_later_peek(oldest->later).conn, true);
}

static void add_viewer(struct console *k, struct viewer *v)
{
	struct viewer **end = &k->first;
	make_room(k, &v->who);
	while (*end)
		end = &(*end)->next;
	*end = v;
	k->n++;
}

void console_events(struct api_call *c)
{
	static const char extra[] = "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n"
				    "X-Content-Type-Options: nosniff\r\n";
	struct console *k = c->api->console;
	char token[BROWSER_TOKEN];
	struct viewer *v = !strcmp(c->method, "GET") && login_token(c->api->login, c->head, token)
				   ? calloc(1, sizeof(*v))
				   : NULL;
	if (!v || !begin_turns(k)) {
		free(v);
		api_reply_text(&c->way, 503, "the server is short of memory");
		return;
	}
	*v = (struct viewer) {
		.console = k, .who = browser_token_hash(token), .seq = k->seq, .other = k->api->reg->changes
	};
	key_wipe(token, sizeof(token));
	v->later = api_later_open(c, viewer_gone, v);
	if (!v->later) {
		free(v);
		return;
	}
	add_viewer(k, v);
	http_reply_begin(c->way.conn, 200, "text/event-stream", extra);
	tell(v, "all", json_object());
}
