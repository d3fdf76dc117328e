/* One table of what may be asked. Most answers are there at once; a question (/query) and what is kept on disk take
 * time: who asked waits in door_guest.waits, and may go before the answer comes. */
#include "resolver/alone/control.h"

#include "mesh/base/text.h"
#include "resolver/alone/blocked.h"
#include "resolver/alone/door.h"
#include "mesh/web/password.h"
#include "resolver/alone/login.h"
#include "resolver/alone/numbers.h"
#include "resolver/alone/own_lists.h"
#include "resolver/ask.h"
#include "resolver/message.h"
#include "resolver/report.h"
#include "resolver/report_api.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct control {
	struct running *s;
	struct door *door;
};
struct control_request {
	struct control *c;
	struct running *s;
	struct door_guest *g;
	const struct door_request *r;
};

static enum http_value control_value(const struct control_request *q, const char *name, char *out, size_t cap)
{
	return http_target_find(q->r->head, name, out, cap);
}

/* ---- numbers and lists ---- */

static void get_stats(struct control_request *q)
{
	struct buf b = { 0 };
	char first[64];
	snprintf(first, sizeof(first), "\"since_unix_ms\":%" PRId64, q->s->since_unix_ms);
	bool ok = numbers_json(q->s, first, &b);
	door_say_json(q->g, &b, ok);
}

static void get_metrics(struct control_request *q)
{
	struct buf b = { 0 };
	if (numbers_metrics(q->s, &b))
		http_reply(q->g->conn, 200, "text/plain; version=0.0.4", NULL, buf_data(&b), b.len);
	else
		door_say(q->g, 503, "memory is short");
	buf_free(&b);
}

static void get_servers(struct control_request *q)
{
	struct api_dns_servers m;
	struct arena a = { 0 };
	struct buf b = { 0 };
	bool ok = report_api_servers(&a, resolver_server_core(q->s->server), loop_now_ms(q->s->loop), &m) &&
		  report_api_clients(&a, q->s->server, &m) && api_dns_servers_write(&b, &m);
	door_say_json(q->g, &b, ok);
	arena_free(&a);
}

static void get_top(struct control_request *q)
{
	struct api_dns_top m;
	struct arena a = { 0 };
	struct buf b = { 0 };
	bool ok = report_api_top(&a, resolver_server_journal(q->s->server), &m) && api_dns_top_write(&b, &m);
	door_say_json(q->g, &b, ok);
	arena_free(&a);
}

static void get_log(struct control_request *q)
{
	struct api_dns_log m;
	struct arena a = { 0 };
	struct buf b = { 0 };
	char text[24] = "0";
	uint64_t after = 0;
	if (control_value(q, "after", text, sizeof(text)) == HTTP_VALUE_BAD ||
		!text_u64(text, 0, UINT64_MAX, &after)) {
		door_say(q->g, 400, "after= takes the number of a question");
		return;
	}
	bool ok = report_api_log(&a, resolver_server_journal(q->s->server), after, &m) &&
		  api_dns_log_write(&b, &m);
	door_say_json(q->g, &b, ok);
	arena_free(&a);
}

static void set_log(struct control_request *q)
{
	char on[8] = "";
	(void)control_value(q, "on", on, sizeof(on));
	bool yes = strcmp(on, "true") == 0;
	if (!yes && strcmp(on, "false") != 0)
		door_say(q->g, 400, "on= takes true or false");
	else if (resolver_server_journal_set(q->s->server, yes))
		door_say(q->g, 503, "memory is short");
	else
		door_say(q->g, 200,
			yes ? "questions are written down, in memory, until `log off` or a restart"
			    : "questions are not written down; what was is forgotten");
}

/* ---- orders ---- */

struct control_reload {
	struct door_waiting waiting;
	struct reload_waiter waiter;
	struct running *s;
	struct door_guest *g;
};

static void reload_forget(struct door_waiting *w)
{
	struct control_reload *k = (struct control_reload *)w;
	running_reload_forget(k->s, &k->waiter);
	free(k);
}

static void reload_told(void *arg, int err, const struct errbuf *eb)
{
	struct control_reload *k = arg;
	struct door_guest *g = k->g;
	g->waits = NULL;
	free(k);
	if (!err) {
		door_say(g, 200, "read again; lists are being read");
		return;
	}
	door_say(g, 409, eb->text);
}

static void do_reload(struct control_request *q)
{
	struct control_reload *k = calloc(1, sizeof(*k));
	if (!k) {
		door_say(q->g, 503, "memory is short");
		return;
	}
	*k = (struct control_reload) { .waiting = { reload_forget },
		.waiter = { .told = reload_told, .arg = k },
		.s = q->s,
		.g = q->g };
	q->g->waits = &k->waiting;
	running_reload(q->s, &k->waiter);
}

static void do_flush(struct control_request *q)
{
	char name[256], below[8] = "false";
	struct buf b = { 0 };
	size_t n = 0;
	enum http_value named = control_value(q, "name", name, sizeof(name));
	bool good = control_value(q, "below", below, sizeof(below)) != HTTP_VALUE_BAD;
	bool all = strcmp(below, "true") == 0;
	if (!good || (!all && strcmp(below, "false") != 0)) {
		door_say(q->g, 400, "below= takes true or false");
		return;
	}
	if (named == HTTP_VALUE_BAD || resolver_flush(resolver_server_core(q->s->server),
					       named == HTTP_VALUE_GOOD ? name : NULL, all, &n)) {
		door_say(q->g, 400, "name= is not a domain name");
		return;
	}
	bool ok = api_dns_flushed_write(&b, &(struct api_dns_flushed) { .n = n });
	door_say_json(q->g, &b, ok);
}

static void do_pause(struct control_request *q)
{
	struct blocker_state b;
	char text[24], said[96];
	uint64_t ms;
	blocker_state(q->s->blocker, &b);
	ms = b.pause_ms;
	enum http_value given = control_value(q, "for", text, sizeof(text));
	if (given == HTTP_VALUE_GOOD && strcmp(text, "off") == 0) {
		ms = 0;
	} else if (given == HTTP_VALUE_BAD ||
		   (given && (!text_duration_ms(text, &ms) || !ms || ms > CONF_PAUSE_LONGEST_MS))) {
		door_say(q->g, 400, "a pause lasts up to 24h, as 10m; \"off\" ends it");
		return;
	}
	blocker_pause_for(q->s->blocker, ms);
	snprintf(said, sizeof(said), ms ? "nothing is blocked for %" PRIu64 " s" : "names are blocked",
		ms / 1000);
	door_say(q->g, 200, said);
}

/* ---- one question ---- */

struct control_ask {
	struct door_waiting waiting;
	struct dns_asking *q;
	struct door_guest *g;
	struct loop *loop;
	uint64_t began_ms;
	bool has_way;
	struct resolver_way way;
};

static void ask_forget(struct door_waiting *w)
{
	struct control_ask *k = (struct control_ask *)w;
	dns_ask_cancel(k->q);
	free(k);
}

static void ask_answered(void *arg, int code, const uint8_t *answer, size_t len)
{
	struct control_ask *k = arg;
	struct door_guest *g = k->g;
	struct arena a = { 0 };
	struct buf b = { 0 };
	struct api_dns_answer m = { .len = len, .took_ms = loop_now_ms(k->loop) - k->began_ms };
	g->waits = NULL;
	m.raw = code ? NULL : arena_memdup(&a, answer, len);
	m.source = k->has_way && m.raw ? resolver_source_text(resolver_way_went(&k->way, answer, len)) : "";
	m.route = k->has_way && k->way.has_route ? k->way.route.suffix : "";
	if (m.raw) {
		bool ok = api_dns_answer_write(&b, &m);
		door_say_json(g, &b, ok && !a.failed);
	} else {
		door_say(g, 504, "the resolver did not answer");
	}
	arena_free(&a);
	free(k);
}

/* Where this program reaches its own listener. */
static struct endpoint own_listener(const struct running *s)
{
	struct endpoint at = resolver_server_endpoint(s->server, 0);
	if (addr_is_unspecified(&at.ip))
		at.ip = addr_is_v4(&at.ip) ? addr_v4(0x7f000001)
					   : addr_v6_bytes((const uint8_t[16]) { [15] = 1 });
	return at;
}

static void get_query(struct control_request *q)
{
	char name[256] = "", type[16] = "A";
	struct endpoint at = own_listener(q->s);
	struct errbuf eb = { .text = "that is no type of record" };
	uint16_t number = 0;
	(void)control_value(q, "name", name, sizeof(name));
	if (control_value(q, "type", type, sizeof(type)) == HTTP_VALUE_BAD ||
		dns_ask_check(name, type, &eb)) {
		door_say(q->g, 400, eb.text);
		return;
	}
	struct control_ask *k = calloc(1, sizeof(*k));
	if (k) {
		*k = (struct control_ask) { .waiting = { ask_forget },
			.g = q->g,
			.loop = q->s->loop,
			.began_ms = loop_now_ms(q->s->loop) };
		k->has_way = dns_type_parse(type, &number) && resolver_way(resolver_server_core(q->s->server),
								      k->began_ms, name, number, &k->way);
		k->q = dns_ask_start(q->s->loop, &at, name, type, ask_answered, k, &eb);
	}
	if (!k || !k->q) {
		free(k);
		door_say(q->g, 503, eb.text);
		return;
	}
	q->g->waits = &k->waiting;
}

/* ---- why a name is blocked ---- */

struct control_search {
	struct door_waiting waiting;
	struct blocker_search *search;
	struct door_guest *g;
};

static void search_forget(struct door_waiting *w)
{
	struct control_search *k = (struct control_search *)w;
	blocker_search_cancel(k->search);
	free(k);
}

static void search_told(void *arg, int err, const struct blocker_why *w, const struct errbuf *eb)
{
	struct control_search *k = arg;
	struct door_guest *g = k->g;
	struct api_dns_blocked m;
	struct arena a = { 0 };
	struct buf b = { 0 };
	g->waits = NULL;
	free(k);
	if (err) {
		door_say(g, 500, eb->text);
		return;
	}
	bool ok = report_api_blocked(&a, w, &m) && api_dns_blocked_write(&b, &m);
	door_say_json(g, &b, ok);
	arena_free(&a);
}

static void get_blocked(struct control_request *q)
{
	char name[256] = "", client[256] = "";
	struct errbuf eb = { .text = "memory is short" };
	(void)control_value(q, "name", name, sizeof(name));
	if (control_value(q, "client", client, sizeof(client)) == HTTP_VALUE_BAD) {
		door_say(q->g, 400, "client= is no address");
		return;
	}
	struct control_search *k = calloc(1, sizeof(*k));
	if (k) {
		*k = (struct control_search) { .waiting = { search_forget }, .g = q->g };
		k->search = blocked_search(q->s, name, client, search_told, k, &eb);
	}
	if (k && k->search) {
		q->g->waits = &k->waiting;
		return;
	}
	door_say(q->g, eb.code == ERR_MALFORMED ? 400 : 503, eb.text);
	free(k);
}

/* ---- what is kept ---- */

struct control_change {
	struct door_waiting waiting;
	struct running *s;
	struct door_guest *g;
	char name[DNS_NAME_TEXT + 2];
};

static void change_forget(struct door_waiting *w)
{
	struct control_change *k = (struct control_change *)w;
	own_lists_unask(k->s->own, k);
	login_unask(k->s->login, k);
	free(k);
}

/* NULL: the reply says why. */
static struct control_change *change_begin(struct control_request *q)
{
	struct control_change *k = q->s->own ? calloc(1, sizeof(*k)) : NULL;
	if (!k) {
		door_say(q->g, q->s->own ? 503 : 409,
			q->s->own
				? "memory is short"
				: "nothing can be kept: the configuration has no \"state\", a folder for it");
		return NULL;
	}
	*k = (struct control_change) { .waiting = { change_forget }, .s = q->s, .g = q->g };
	q->g->waits = &k->waiting;
	return k;
}

static void change_end(struct control_change *k, int status, const char *text)
{
	k->g->waits = NULL;
	door_say(k->g, status, text);
	free(k);
}

static void name_changed(void *arg, int code, const char *why)
{
	struct control_change *k = arg;
	char text[sizeof(k->name) + 64];
	snprintf(text, sizeof(text), "%s is %s", k->name, why);
	change_end(k, code ? 500 : 200, code ? why : text);
}

static void name_change(struct control_request *q, enum own_verb verb)
{
	struct errbuf eb = { 0 };
	struct control_change *k = change_begin(q);
	if (!k)
		return;
	(void)control_value(q, "name", k->name, sizeof(k->name));
	if (own_lists_change(q->s->own, verb, k->name, name_changed, k, &eb))
		change_end(k, 409, eb.text);
}

static void do_allow(struct control_request *q)
{
	name_change(q, OWN_ALLOW);
}
static void do_deny(struct control_request *q)
{
	name_change(q, OWN_DENY);
}
static void do_forget(struct control_request *q)
{
	name_change(q, OWN_FORGET);
}

static void password_set(void *arg, enum login_verdict v, const char *token, const char *why)
{
	(void)token;
	if (v == LOGIN_CHANGED)
		change_end(arg, 200, "the page has this password now; whoever was logged in is not any more");
	else
		change_end(
			arg, 409, v == LOGIN_BUSY ? "another password is being looked at: try again" : why);
}

/* The hash alone comes here. */
static void do_password(struct control_request *q)
{
	char hash[PASSWORD_HASH] = "";
	struct control_change *k = change_begin(q);
	if (!k)
		return;
	if (q->r->len && q->r->len < sizeof(hash))
		memcpy(hash, q->r->body, q->r->len);
	login_set(q->s->login, hash, password_set, k);
	key_wipe(hash, sizeof(hash));
}

/* ---- routing ---- */

static const struct {
	const char *method, *path;
	void (*run)(struct control_request *q);
} routes[] = {
	{ "GET", "/stats", get_stats },
	{ "GET", "/metrics", get_metrics },
	{ "GET", "/servers", get_servers },
	{ "GET", "/top", get_top },
	{ "GET", "/log", get_log },
	{ "POST", "/log", set_log },
	{ "POST", "/reload", do_reload },
	{ "POST", "/flush", do_flush },
	{ "POST", "/pause", do_pause },
	{ "GET", "/query", get_query },
	{ "GET", "/blocked", get_blocked },
	{ "POST", "/allow", do_allow },
	{ "POST", "/deny", do_deny },
	{ "POST", "/forget", do_forget },
	{ "POST", "/password", do_password },
};

static void control_asked(void *arg, const struct door_request *r)
{
	struct control *c = arg;
	struct control_request q = { .c = c, .s = c->s, .g = r->guest, .r = r };
	bool known = false;
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (strcmp(routes[i].path, r->path) != 0)
			continue;
		known = true;
		if (strcmp(routes[i].method, r->head->method) == 0) {
			routes[i].run(&q);
			return;
		}
	}
	door_say(r->guest, known ? 405 : 404, "this ropewalk-resolver does not do that");
}

struct control *control_open(struct running *s, const char *path, struct errbuf *eb)
{
	struct control *c = calloc(1, sizeof(*c));
	if (!c) {
		err_say(eb, ERR_TOO_LARGE, "out of memory");
		return NULL;
	}
	c->s = s;
	c->door = door_open(
		&(struct door_options) {
			.loop = s->loop, .unix_path = path, .asked = control_asked, .arg = c },
		eb);
	if (c->door)
		return c;
	free(c);
	return NULL;
}

void control_close(struct control *c)
{
	if (!c)
		return;
	door_close(c->door);
	free(c);
}
