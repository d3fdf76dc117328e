/* A state machine with one way on and one way back.
 *
 *   IDLE      nothing is open. The retry timer leads to KEY; without it a person must act (stay_out)
 *   KEY       asks the URL for the server's Noise key (server_key.c): another than the joined server's ends it
 *   LINK      the Noise link is being made
 *   REGISTER  the register request is out: a login, a login that waits for a person (followup, half an hour),
 *             or the goodbye of a logout
 *   STREAM    the map stream is open: maps come in, updates go out
 *
 * Forward: retry_due -> start -> open_link -> link_ready -> send_register or open_stream; registered ->
 * open_stream. Back: whatever fails calls retry_later, which only sets IDLE and the timer, since it may run
 * below a callback of the link; the timer takes the link down (disconnect) and starts over. SILENCE_MS
 * without a byte is a failure too. Back-off doubles to BACKOFF_MAX_MS and begins anew with a stream that is
 * good.
 *
 * Keys. `next` is shown instead of the key in force from the moment a login wants a new one until the server
 * has accepted it or refused. The auth key is wiped when it was used or refused. The server's identity is its
 * Noise key: nothing but the question for it is sent to another.
 *
 * The link knows no node: it reads the owner's struct state, and tells what it hears through struct
 * server_link_ops. From those ops nothing of this file may be called but server_link_update and the
 * questions; server_link_close may not. */
#include "mesh/node/links/server_link.h"
#include "mesh/base/log.h"
#include "mesh/node/links/server_key.h"
#include "mesh/node/links/server_ping.h"
#include "mesh/transport/control_link.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	BACKOFF_MIN_MS = 100,
	BACKOFF_MAX_MS = 10000,
	SILENCE_MS = 120000, /* keep-alives come each 50-59 s */
	REGISTER_MS = 30000,
	FOLLOWUP_MS = 1800000,	/* a person is asked: the server answers when that is done */
	FOLLOWUP_MIN_MS = 1000, /* an answer sooner than this is no long poll: not at once again */
	LOGOUT_MS = 3000,
	CALM_MS = 60000, /* a stream that was good for so long is not one of a bad row */
	TOLD_MS = 300,	 /* until peers have it from the server */
	ANSWER_MAX = 1 << 20,
};

enum server_stage { SERVER_IDLE, SERVER_KEY, SERVER_LINK, SERVER_REGISTER, SERVER_STREAM };

/* A short exchange over the link: whole answer, then done. */
struct exchange {
	struct server_link *c;
	struct h2_request *rq;
	int status;
	struct buf body;
	void (*done)(struct server_link *c, int status, const char *body, size_t len);
};

struct server_link {
	struct loop *loop;
	struct server_link_ops ops;
	const struct state *us; /* the owner's */
	enum server_stage stage;
	struct machine_key server;
	struct server_key_ask *key_ask;
	struct server_ping ping;
	struct control_client_link *link;
	struct exchange reg, update;
	struct h2_request *stream;
	int stream_status;
	struct map_frames *frames;
	struct loop_timer *retry, *silence, *told;
	uint64_t backoff_ms, asked_ms, told_ms; /* told_ms: our disco key; 0 = not yet */
	uint64_t stream_ms, map_backoff_ms;	/* since when; of streams that could not be used */
	bool must_register, update_wanted, first_of_stream;
	char auth_key[256], followup[512], waiting[1024];
	struct node_private next; /* shown to the server, in force once it has accepted it; zero: none */
	struct node_key old_key;  /* that next takes the place of; zero: none */
	void (*logout_done)(void *arg);
	void *logout_arg;
};

static void server_link_start(struct server_link *c);
static void open_stream(struct server_link *c);
static void send_register(struct server_link *c);

/* The one setter. The owner hears of the stream's beginning and end. */
static void enter_stage(struct server_link *c, enum server_stage to)
{
	enum server_stage from = c->stage;
	struct endpoint at;
	c->stage = to;
	if (to == SERVER_STREAM && from != to)
		c->ops.up(c->ops.arg, true, control_client_peer(c->link, &at) ? &at : NULL);
	else if (from == SERVER_STREAM && to != from)
		c->ops.up(c->ops.arg, false, NULL);
}

/* --- giving up and trying again --- */

static void exchange_cancel(struct exchange *x)
{
	if (x->rq)
		h2_request_cancel(x->rq);
	x->rq = NULL;
	buf_free(&x->body);
}

static void disconnect(struct server_link *c)
{
	exchange_cancel(&c->reg);
	exchange_cancel(&c->update);
	if (c->stream)
		h2_request_cancel(c->stream);
	c->stream = NULL;
	map_frames_free(c->frames);
	c->frames = NULL;
	server_key_cancel(c->key_ask);
	c->key_ask = NULL;
	server_ping_cancel(&c->ping);
	control_client_close(c->link);
	c->link = NULL;
	loop_timer_clear(c->silence);
	enter_stage(c, SERVER_IDLE);
}

static void finish_logout(struct server_link *c)
{
	void (*done)(void *arg) = c->logout_done;
	c->logout_done = NULL;
	if (done)
		done(c->logout_arg);
}

/* The link is torn down from a fresh stack: we may be inside one of its callbacks. */
static void retry_due(void *arg)
{
	struct server_link *c = arg;
	if (c->logout_done) {
		finish_logout(c);
		return;
	}
	disconnect(c);
	server_link_start(c);
}

/* Half to one and a half: what a server's death cut off together must not come back together. */
static uint64_t spread(uint64_t ms)
{
	uint64_t r;
	random_system.fill(random_system.arg, &r, sizeof(r));
	return ms / 2 + r % (ms + 1);
}

static void retry_later(struct server_link *c, const char *what, const char *why)
{
	char text[sizeof(c->waiting)];
	snprintf(text, sizeof(text), "%s %s: %s", what, c->us->prefs.control_url, why);
	/* Said once: a server that is away for a week must not fill the log. */
	log_write(strcmp(text, c->waiting) == 0 ? LOG_DEBUG : LOG_WARN, "control: %s; trying again", text);
	memcpy(c->waiting, text, sizeof(text));
	c->backoff_ms = c->backoff_ms ? c->backoff_ms * 2 : BACKOFF_MIN_MS;
	if (c->backoff_ms > BACKOFF_MAX_MS)
		c->backoff_ms = BACKOFF_MAX_MS;
	enter_stage(c, SERVER_IDLE);
	loop_timer_clear(c->silence);
	loop_timer_set(c->retry, spread(c->backoff_ms));
}

static void forget_auth_key(struct server_link *c)
{
	key_wipe(c->auth_key, sizeof(c->auth_key));
}

static void stay_out(struct server_link *c, const char *why)
{
	log_write(strcmp(why, c->waiting) == 0 ? LOG_DEBUG : LOG_ERROR, "control: %s", why);
	snprintf(c->waiting, sizeof(c->waiting), "%s", why);
	forget_auth_key(c);
	enter_stage(c, SERVER_IDLE);
	c->ops.refused(c->ops.arg, why);
}

static void silent(void *arg)
{
	struct server_link *c = arg;
	retry_later(c, "waiting for the control server at", "it has stopped answering");
}

/* --- exchanges --- */

static void exchange_head(void *arg, int status)
{
	((struct exchange *)arg)->status = status;
}

static void exchange_data(void *arg, const uint8_t *p, size_t len)
{
	struct exchange *x = arg;
	x->body.cap = ANSWER_MAX;
	buf_append(&x->body, p, len);
}

static void exchange_done(void *arg, int code)
{
	struct exchange *x = arg;
	struct buf body = x->body;
	x->body = (struct buf) { 0 };
	x->rq = NULL;
	const char *text = buf_cstr(&body);
	if (x->c->stage != SERVER_IDLE || x->c->logout_done)
		x->done(x->c, code ? code : x->status, text ? text : "", body.len);
	buf_free(&body);
}

static bool exchange_start(struct exchange *x, const char *path, const struct buf *body)
{
	struct h2_request_events ev = {
		.head = exchange_head, .data = exchange_data, .done = exchange_done, .arg = x
	};
	x->status = 0;
	x->rq = control_client_request(x->c->link, "POST", path, NULL, NULL, buf_data(body), body->len, &ev);
	return x->rq != NULL;
}

/* --- registering --- */

/* A login takes a new key: what peers have of the old one, sessions too, ends with it. The old one stays in
 * force until the server has accepted the new. */
static void begin_next_key(struct server_link *c)
{
	key_public(c->us->node.b, c->old_key.b);
	key_generate(&random_system, c->next.b);
}

static void drop_next_key(struct server_link *c)
{
	key_wipe(&c->next, sizeof(c->next));
	c->old_key = (struct node_key) { 0 };
}

static const struct node_private *shown_key(const struct server_link *c)
{
	return key_is_zero(c->next.b) ? &c->us->node : &c->next;
}

/* The server says no. A login that is still good goes on as if nobody had asked. */
static void refused(struct server_link *c, const char *why)
{
	bool other = !key_is_zero(c->next.b);
	drop_next_key(c);
	stay_out(c, why);
	if (!other || !c->us->logged_in)
		return;
	c->must_register = false;
	c->followup[0] = 0;
	loop_timer_set(c->retry, 0);
}

static void registered(struct server_link *c, const struct ctl_register_response *r)
{
	struct node_private key = *shown_key(c);
	c->must_register = false;
	c->followup[0] = 0;
	forget_auth_key(c);
	drop_next_key(c);
	bool goes_on = c->ops.accepted(c->ops.arg, &key, r->user.login_name);
	key_wipe(&key, sizeof(key));
	if (goes_on)
		open_stream(c);
}

static void register_answered(struct server_link *c, int status, const char *body, size_t len)
{
	struct arena a = { 0 };
	struct ctl_register_response r;
	struct errbuf eb;
	loop_timer_clear(c->silence);
	if (c->logout_done) {
		finish_logout(c);
		return;
	}
	if (status != 200) {
		char why[128];
		snprintf(why, sizeof(why), status < 0 ? "%s" : "the server answered %s%d",
			status < 0 ? err_text(status) : "", status);
		retry_later(c, "cannot register with the control server at", why);
		return;
	}
	if (ctl_register_response_read(&a, body, len, &r, &eb) != 0) {
		retry_later(c, "cannot register with the control server at", eb.text);
	} else if (r.error[0]) {
		refused(c, r.error);
	} else if (r.node_key_expired && !key_is_zero(c->old_key.b)) {
		retry_later(c, "cannot register with the control server at",
			"the server calls a key expired that was made just now");
	} else if (r.node_key_expired) {
		begin_next_key(c);
		c->ops.forgotten(c->ops.arg, NULL);
		send_register(c);
	} else if (r.auth_url[0]) {
		bool again = strcmp(c->followup, r.auth_url) == 0;
		snprintf(c->followup, sizeof(c->followup), "%s", r.auth_url);
		snprintf(c->waiting, sizeof(c->waiting), "waiting for approval: visit %s", r.auth_url);
		c->ops.asked(c->ops.arg, r.auth_url);
		if (again && loop_now_ms(c->loop) - c->asked_ms < FOLLOWUP_MIN_MS)
			retry_later(c, "waiting for approval at", r.auth_url);
		else
			send_register(c);
	} else if (!r.machine_authorized) {
		c->ops.waits(c->ops.arg);
		retry_later(c, "waiting for approval at", "this machine is not approved yet");
	} else {
		registered(c, &r);
	}
	arena_free(&a);
}

static void send_register_with(struct server_link *c, int64_t expiry_ms)
{
	struct buf body = { 0 };
	struct arena a = { 0 };
	struct ctl_register_request m = { .version = CONTROL_CAPVER,
		.old_node = c->old_key,
		.auth_key = c->auth_key,
		.followup = c->followup,
		.expiry_ms = expiry_ms };
	struct server_link_self self = { 0 };
	c->ops.describe(c->ops.arg, &a, &self);
	key_public(shown_key(c)->b, m.node.b);
	m.hostinfo = self.host;
	enter_stage(c, SERVER_REGISTER);
	c->asked_ms = loop_now_ms(c->loop);
	c->reg.done = register_answered;
	loop_timer_set(c->silence, c->followup[0] ? FOLLOWUP_MS : REGISTER_MS);
	if (!ctl_register_request_write(&body, &m) || !exchange_start(&c->reg, "/machine/register", &body))
		retry_later(c, "cannot register with the control server at",
			"memory is short or the connection closed");
	buf_wipe(&body);
	arena_free(&a);
}

static void send_register(struct server_link *c)
{
	if (key_is_zero(shown_key(c)->b))
		key_generate(&random_system, c->next.b);
	send_register_with(c, INT64_MIN);
}

/* --- map stream --- */

static bool write_map_request(struct server_link *c, bool stream, struct buf *body)
{
	struct arena a = { 0 };
	struct server_link_self self = { 0 };
	struct ctl_map_request m = { .version = CONTROL_CAPVER,
		.compress = "zstd",
		.keep_alive = true,
		.stream = stream,
		.omit_peers = !stream,
		.has_hostinfo = true };
	c->ops.describe(c->ops.arg, &a, &self);
	key_public(c->us->node.b, m.node.b);
	m.hostinfo = self.host;
	m.disco = self.disco;
	m.endpoints = self.endpoints;
	bool ok = ctl_map_request_write(body, &m);
	arena_free(&a);
	return ok;
}

/* What this stream says from here on is not the whole truth. A new one begins with all of it; one that is
 * never good is asked for less and less often. */
static void ask_whole_map(struct server_link *c, const char *why)
{
	if (loop_now_ms(c->loop) - c->stream_ms > CALM_MS)
		c->map_backoff_ms = 0;
	c->backoff_ms = c->map_backoff_ms;
	retry_later(c, "cannot use what came from the control server at", why);
	c->map_backoff_ms = c->backoff_ms;
}

/* The first message of a stream is the whole truth; what the old map said besides is forgotten. */
static void use_map(struct server_link *c, const struct ctl_map_response *m)
{
	struct errbuf eb = { 0 };
	bool first = c->first_of_stream;
	if (c->ops.map(c->ops.arg, m, first, &eb) != 0) {
		ask_whole_map(c, eb.text);
		return;
	}
	c->first_of_stream = false;
	if (m->incomplete && !first)
		ask_whole_map(c, m->problems[0].text);
}

static void map_received(void *arg, const char *json, size_t len)
{
	struct server_link *c = arg;
	struct arena a = { 0 };
	struct ctl_map_response m;
	struct errbuf eb;
	if (c->stage != SERVER_STREAM)
		return; /* given up, with more in the buffer */
	loop_timer_set(c->silence, SILENCE_MS);
	if (ctl_map_response_read(&a, json, len, &m, &eb) != 0) {
		ask_whole_map(c, eb.text);
	} else {
		if (m.ping)
			server_ping_answer(&c->ping, c->loop, c->link, c->us->prefs.control_url, m.ping);
		if (!m.keep_alive)
			use_map(c, &m);
	}
	arena_free(&a);
}

static void disco_told(void *arg)
{
	struct server_link *c = arg;
	c->ops.told(c->ops.arg, c->told_ms);
}

static void stream_head(void *arg, int status)
{
	struct server_link *c = arg;
	c->stream_status = status;
	if (status != 200)
		return;
	c->backoff_ms = 0;
	c->waiting[0] = 0;
	enter_stage(c, SERVER_STREAM);
	c->stream_ms = loop_now_ms(c->loop);
	log_info("control: map stream open");
	if (!c->told_ms) {
		c->told_ms = loop_now_ms(c->loop);
		loop_timer_set(c->told, TOLD_MS);
	}
	if (c->update_wanted)
		server_link_update(c);
}

static void stream_data(void *arg, const uint8_t *p, size_t len)
{
	struct server_link *c = arg;
	if (c->stream_status != 200 || c->stage != SERVER_STREAM)
		return;
	int err = map_frames_feed(c->frames, p, len, map_received, c);
	if (err)
		ask_whole_map(c, err_text(err));
}

static const char forgotten[] = "the control server does not know this machine any more: it was removed "
				"there, or the server has lost "
				"its data; ropewalk up asks to be let in again";

static void stream_done(void *arg, int code)
{
	struct server_link *c = arg;
	c->stream = NULL;
	if (c->stage == SERVER_IDLE)
		return; /* given up already */
	if (c->stream_status == 404) {
		/* The server forgot this node key: ask again; the machine key may still be known. */
		c->must_register = true;
		c->ops.forgotten(c->ops.arg, forgotten);
		retry_later(c, "waiting for the control server at", "it does not know this node's key");
		return;
	}
	char why[64];
	snprintf(why, sizeof(why), "the map request was answered %d", c->stream_status);
	retry_later(c, "waiting for the control server at",
		c->stream_status && c->stream_status != 200 ? why
		: code					    ? err_text(code)
							    : "the stream ended");
}

static void open_stream(struct server_link *c)
{
	struct buf body = { 0 };
	struct h2_request_events ev = {
		.head = stream_head, .data = stream_data, .done = stream_done, .arg = c
	};
	map_frames_free(c->frames);
	c->frames = map_frames_new(true);
	c->first_of_stream = true;
	c->stream_status = 0;
	c->update_wanted = true; /* since version 68 a server need not read them from the stream request */
	if (c->frames && write_map_request(c, true, &body))
		c->stream = control_client_request(
			c->link, "POST", "/machine/map", NULL, NULL, buf_data(&body), body.len, &ev);
	buf_free(&body);
	loop_timer_set(c->silence, SILENCE_MS);
	if (!c->stream)
		retry_later(c, "cannot ask for the map from the control server at",
			"memory is short or the connection closed");
}

static void update_answered(struct server_link *c, int status, const char *body, size_t len)
{
	(void)body;
	(void)len;
	if (status != 200)
		log_info("control: update answered %d", status);
	if (c->update_wanted)
		server_link_update(c);
}

void server_link_update(struct server_link *c)
{
	c->update_wanted = true;
	if (c->stage != SERVER_STREAM || c->update.rq)
		return; /* goes with the stream request, or after the one in flight */
	struct buf body = { 0 };
	c->update.done = update_answered;
	if (write_map_request(c, false, &body) && exchange_start(&c->update, "/machine/map", &body))
		c->update_wanted = false;
	buf_free(&body);
}

/* --- connecting --- */

static void link_ready(void *arg)
{
	struct server_link *c = arg;
	if (c->logout_done)
		send_register_with(c, 123000); /* a past expiry says goodbye */
	else if (c->must_register || !c->us->logged_in)
		send_register(c);
	else
		open_stream(c);
}

static void link_closed(void *arg, int code, const char *why)
{
	struct server_link *c = arg;
	(void)code;
	if (c->stage != SERVER_IDLE)
		retry_later(c, "waiting for the control server at", why);
}

static void open_link(struct server_link *c)
{
	struct control_client_config cfg = { .server_url = c->us->prefs.control_url,
		.machine = &c->us->machine,
		.server = &c->server,
		.capver = CONTROL_CAPVER,
		.rnd = &random_system };
	struct control_client_events ev = { .ready = link_ready, .closed = link_closed, .arg = c };
	enter_stage(c, SERVER_LINK);
	c->link = control_client_open(c->loop, &cfg, &ev);
	if (!c->link)
		retry_later(c, "cannot connect to the control server at", "memory is short");
}

/* The Noise key is the server's identity: another one is another server, or somebody in between. */
static bool same_server(struct server_link *c, const struct machine_key *k)
{
	const struct state *s = c->us;
	if (s->logged_in && !key_is_zero(s->server.b) && !key_equal(s->server.b, k->b)) {
		stay_out(c, "the server at this address has another key than the one this node joined; if it "
			    "was set up anew, run "
			    "`ropewalk logout`, then `ropewalk up` again");
		loop_timer_set(c->retry, spread(BACKOFF_MAX_MS)); /* ours may come back */
		return false;
	}
	c->ops.server_is(c->ops.arg, k);
	return true;
}

static void key_told(void *arg, const struct machine_key *key, bool reached, const char *why)
{
	struct server_link *c = arg;
	c->key_ask = NULL;
	if (!key) {
		retry_later(c,
			reached ? "cannot use the control server at" : "cannot reach the control server at",
			why);
	} else if (same_server(c, key)) {
		c->server = *key;
		open_link(c);
	}
}

static void server_link_start(struct server_link *c)
{
	struct url url;
	struct errbuf eb = { 0 };
	if (!url_parse(c->us->prefs.control_url, &url)) {
		stay_out(c, "no usable login server is set; run `ropewalk up --login-server https://HOST`");
		return;
	}
	enter_stage(c, SERVER_KEY);
	c->key_ask = server_key_ask(c->loop, c->us->prefs.control_url, key_told, c, &eb);
	if (!c->key_ask)
		retry_later(c, "cannot reach the control server at", eb.text);
}

/* --- public --- */

struct server_link *server_link_open(
	struct loop *l, const struct state *us, const struct server_link_ops *ops)
{
	struct server_link *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->loop = l;
	c->us = us;
	c->ops = *ops;
	c->reg.c = c->update.c = c;
	c->retry = loop_timer_new(l, retry_due, c);
	c->silence = loop_timer_new(l, silent, c);
	c->told = loop_timer_new(l, disco_told, c);
	if (!c->retry || !c->silence || !c->told) {
		loop_timer_free(c->told);
		loop_timer_free(c->retry);
		loop_timer_free(c->silence);
		free(c);
		return NULL;
	}
	snprintf(c->waiting, sizeof(c->waiting), "connecting to the control server at %s",
		us->prefs.control_url);
	loop_timer_set(c->retry, 0);
	return c;
}

void server_link_close(struct server_link *c)
{
	if (!c)
		return;
	disconnect(c);
	loop_timer_free(c->retry);
	loop_timer_free(c->silence);
	loop_timer_free(c->told);
	key_wipe(c, sizeof(*c));
	free(c);
}

void server_link_login(struct server_link *c, const char *auth_key, bool new_key)
{
	forget_auth_key(c); /* a longer one may have been there */
	snprintf(c->auth_key, sizeof(c->auth_key), "%s", auth_key);
	c->followup[0] = 0;
	c->must_register = true;
	c->backoff_ms = 0;
	if (new_key)
		begin_next_key(c);
	loop_timer_set(c->retry, 0);
}

bool server_link_has_key(const struct server_link *c)
{
	return c->auth_key[0] != 0;
}

void server_link_logout(struct server_link *c, void (*done)(void *arg), void *arg)
{
	drop_next_key(c); /* it is the present one that says goodbye */
	c->logout_done = done;
	c->logout_arg = arg;
	if (c->stage == SERVER_STREAM) {
		send_register_with(c, 123000);
	} else if (c->stage == SERVER_IDLE) {
		disconnect(c);
		server_link_start(c);
	}
	/* Unless it failed already. */
	if (c->stage != SERVER_IDLE)
		loop_timer_set(c->retry, LOGOUT_MS);
	else if (!loop_timer_is_set(c->retry))
		loop_timer_set(c->retry, 0);
}

void server_link_try_now(struct server_link *c)
{
	if (c->stage != SERVER_IDLE || !loop_timer_is_set(c->retry))
		return;
	c->backoff_ms = 0;
	loop_timer_set(c->retry, 0);
}

void server_link_ways_moved(struct server_link *c, const struct addr *to, size_t n)
{
	struct endpoint at;
	bool moved = false;
	if (!c->link || !control_client_peer(c->link, &at))
		return;
	for (size_t i = 0; i < n && !moved; i++)
		moved = addr_equal(&at.ip, &to[i]);
	if (moved)
		loop_timer_set(c->retry, 0);
}

bool server_link_connected(const struct server_link *c)
{
	return c->stage == SERVER_STREAM;
}
const char *server_link_waiting_for(const struct server_link *c)
{
	return c->stage == SERVER_STREAM ? "" : c->waiting;
}
