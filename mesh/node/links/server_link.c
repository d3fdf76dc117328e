/* A state machine with one way on and one way back.
 *
 *   IDLE      nothing is open. The retry timer leads to KEY; without it a person must act (server_link_stay_out)
 *   KEY       asks the URL for the server's Noise key (server_key.c): another than the joined server's ends it
 *   LINK      the Noise link is being made
 *   REGISTER  the register request is out: a login, a login that waits for a person (followup, half an hour),
 *             or the goodbye of a logout
 *   STREAM    the map stream is open: maps come in, updates go out
 *
 * Forward: retry_due -> server_link_start -> open_link -> link_ready -> server_register_send or server_stream_open;
 * a login that is accepted opens the stream. Back: whatever fails calls server_link_retry_later, which only sets
 * IDLE and the timer, since it may run below a callback of the link; the timer takes the link down (disconnect)
 * and starts over. Silence beyond a state's time is a failure too. Back-off doubles to SERVER_BACKOFF_MAX_MS and begins
 * anew with a stream that is good.
 *
 * Logout. What asks a person is cancelled; a login whose answer is due is waited for, since the server may
 * have let it in. Then goodbye is said by the key that is shown, and, if that was not yet the one in force, by
 * that too. SERVER_LOGOUT_MS bounds all of it.
 *
 * Place. A server's name is looked up; when nobody with a key is found so, the next try goes to the address that it was reached
 * at last, which is kept on disk, and the one after that to what the name says again. Its Noise key says who it is, whatever
 * led there; another's at that address says no more than that the server has moved.
 *
 * Keys. `next` is shown instead of the key in force from the moment a login wants a new one until the server
 * has accepted it or refused. The auth key is wiped when it was used or refused. The server's identity is its
 * Noise key: nothing but the question for it is sent to another.
 *
 * The link knows no node: it reads the owner's struct state, and tells what it hears through struct
 * server_link_ops. From those ops nothing of this file may be called but server_link_update and the
 * questions; server_link_close may not. */
#include "mesh/node/links/server_link_inner.h"
#include "mesh/base/log.h"
#include "mesh/node/links/server_place.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	/* The server speaks each minute, and most NATs keep idle TCP for much longer. Behind those that do not,
	   the stream looks well and brings nothing: once lost so, TCP asks more often. */
	IDLE_S = 25,
	IDLE_SHORT_S = 12,
	PROBES_MS = 7000, /* then so long without an answer */
};

static void server_link_start(struct server_link *c);

void server_link_enter(struct server_link *c, enum server_stage to)
{
	enum server_stage from = c->stage;
	struct endpoint at;
	c->stage = to;
	if (to == SERVER_IDLE && from > SERVER_KEY)
		c->by_memory = false; /* it was of no use: the name is asked anew */
	if (to == SERVER_STREAM)
		portal_forget(&c->portal);
	if (to == SERVER_STREAM && from != to)
		c->ops.up(c->ops.arg, true, control_client_peer(c->link, &at) ? &at : NULL);
	else if (from == SERVER_STREAM && to != from)
		c->ops.up(c->ops.arg, false, NULL);
}

/* --- giving up and trying again --- */

void server_link_lost(struct server_link *c, int code)
{
	bool forgotten = (code == -ECONNRESET || code == -ETIMEDOUT) && c->stage == SERVER_STREAM;
	if (forgotten && loop_now_ms(c->loop) - c->stream_ms >= (uint64_t)IDLE_SHORT_S * 1000)
		c->idle_s = IDLE_SHORT_S;
}

static void disconnect(struct server_link *c)
{
	server_exchange_cancel(&c->reg);
	server_exchange_cancel(&c->update);
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
	server_link_enter(c, SERVER_IDLE);
}

void server_link_finish_logout(struct server_link *c)
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
		server_link_finish_logout(c);
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

/* A logout waits for no other try. */
static void set_retry(struct server_link *c, uint64_t ms)
{
	loop_timer_set(c->retry, c->logout_done ? 0 : spread(ms));
}

void server_link_retry_later(struct server_link *c, const char *what, const char *why)
{
	char text[sizeof(c->waiting)];
	struct url url;
	snprintf(text, sizeof(text), "%s %s: %s", what, c->us->prefs.control_url, why);
	/* Said once: a server that is away for a week must not fill the log. */
	log_write(strcmp(text, c->waiting) == 0 ? LOG_DEBUG : LOG_WARN, "control: %s; trying again", text);
	memcpy(c->waiting, text, sizeof(text));
	c->backoff_ms = c->backoff_ms ? c->backoff_ms * 2 : SERVER_BACKOFF_MIN_MS;
	if (c->backoff_ms > SERVER_BACKOFF_MAX_MS)
		c->backoff_ms = SERVER_BACKOFF_MAX_MS;
	if ((c->stage == SERVER_KEY || c->stage == SERVER_LINK) && url_parse(c->us->prefs.control_url, &url))
		portal_look(&c->portal, url.host);
	server_link_enter(c, SERVER_IDLE);
	loop_timer_clear(c->silence);
	set_retry(c, c->backoff_ms);
}

void server_link_stay_out(struct server_link *c, const char *why)
{
	log_write(strcmp(why, c->waiting) == 0 ? LOG_DEBUG : LOG_ERROR, "control: %s", why);
	snprintf(c->waiting, sizeof(c->waiting), "%s", why);
	server_login_forget_auth_key(&c->login);
	server_link_enter(c, SERVER_IDLE);
	c->ops.refused(c->ops.arg, why);
}

static void silent(void *arg)
{
	struct server_link *c = arg;
	server_link_retry_later(c, "waiting for the control server at", "it has stopped answering");
}

static void disco_told(void *arg)
{
	struct server_link *c = arg;
	c->ops.told(c->ops.arg, c->told_ms);
}

/* What comes late, of a try that was given up, means nothing. */
bool server_link_gave_up(const struct server_link *c)
{
	return c->stage == SERVER_IDLE && !c->logout_done;
}

/* --- connecting --- */

static void link_ready(void *arg)
{
	struct server_link *c = arg;
	if (c->logout_done)
		server_register_goodbye(c);
	else if (c->must_register || !c->us->logged_in)
		server_register_send(c);
	else
		server_stream_open(c);
}

static void link_closed(void *arg, int code, const char *why)
{
	struct server_link *c = arg;
	server_link_lost(c, code);
	if (c->stage != SERVER_IDLE)
		server_link_retry_later(c, "waiting for the control server at", why);
}

static void watch_connection(void *arg, int fd)
{
	const struct server_link *c = arg;
	sock_mark_outside(fd);
	sock_tcp_small(fd);
	sock_tcp_liveness(fd, c->idle_s, c->idle_s * 1000 + PROBES_MS);
}

/* Name servers may be gone, or lie (a portal's): a name is tried in turns by what they say, and where the server was. */
static struct server_way way_now(const struct server_link *c)
{
	struct server_way way = c->way;
	way.seen = c->by_memory ? state_server_seen(c->us) : NULL;
	return way;
}

static void open_link(struct server_link *c)
{
	struct url url;
	struct endpoint at;
	struct server_way way = way_now(c);
	bool placed = url_parse(c->us->prefs.control_url, &url) && server_place(&way, &url, &at);
	struct control_client_config cfg = { .server_url = c->us->prefs.control_url,
		.at = placed ? &at : NULL,
		.proxies = c->way.proxies,
		.machine = &c->us->machine,
		.server = &c->server,
		.capver = CONTROL_CAPVER,
		.rnd = &random_system,
		.socket_hook = watch_connection,
		.socket_arg = c };
	struct control_client_events ev = { .ready = link_ready, .closed = link_closed, .arg = c };
	server_link_enter(c, SERVER_LINK);
	c->link = control_client_open(c->loop, &cfg, &ev);
	if (!c->link)
		server_link_retry_later(c, "cannot connect to the control server at", "memory is short");
}

bool server_link_is_pinned(const struct server_link *c)
{
	return !key_is_zero(c->us->prefs.server_pin.b);
}

/* The Noise key is the server's identity: another one is another server, or somebody in between. */
static bool same_server(struct server_link *c, const struct machine_key *k)
{
	const struct state *s = c->us;
	bool joined = s->logged_in && !key_is_zero(s->server.b);
	bool other = joined && !key_equal(s->server.b, k->b);
	if (!other && (!server_link_is_pinned(c) || key_equal(s->prefs.server_pin.b, k->b))) {
		c->ops.server_is(c->ops.arg, k);
		return true;
	}
	if (c->by_memory) { /* it moved, and this one has its place: the name leads to it */
		c->by_memory = false;
		server_link_retry_later(
			c, "cannot use the control server at", "another one is where it was at last");
		return false;
	}
	server_link_stay_out(c,
		other ? "the server at this address has another key than the one this node joined; if it was "
			"set up anew, run `ropewalk logout`, then `ropewalk up` or `ropewalk join` again"
		      : "the server at this address has another key than the invitation says: another "
			"server, "
			"or somebody in between, and it was told nothing; if it was set up anew, ask for a "
			"fresh invitation and run `ropewalk join` again");
	if (joined)
		set_retry(c, SERVER_BACKOFF_MAX_MS); /* ours may come back */
	return false;
}

static void key_told(void *arg, const struct machine_key *key, bool reached, const char *why)
{
	struct server_link *c = arg;
	c->key_ask = NULL;
	if (!key) {
		c->by_memory = !c->by_memory;
		server_link_retry_later(c,
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
		server_link_stay_out(
			c, "no usable login server is set; run `ropewalk up --login-server https://HOST`");
		return;
	}
	server_link_enter(c, SERVER_KEY);
	struct server_way way = way_now(c);
	c->key_ask = server_key_ask(
		c->loop, c->us->prefs.control_url, server_link_is_pinned(c), &way, key_told, c, &eb);
	if (!c->key_ask)
		server_link_retry_later(c, "cannot reach the control server at", eb.text);
}

static void say_connecting(struct server_link *c)
{
	snprintf(c->waiting, sizeof(c->waiting), "connecting to the control server at %s",
		c->us->prefs.control_url);
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
	c->way.proxies = ops->proxies;
	c->idle_s = IDLE_S;
	portal_open(&c->portal, l, ops->proxies);
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
	say_connecting(c);
	loop_timer_set(c->retry, 0);
	return c;
}

void server_link_close(struct server_link *c)
{
	if (!c)
		return;
	disconnect(c);
	portal_forget(&c->portal);
	loop_timer_free(c->retry);
	loop_timer_free(c->silence);
	loop_timer_free(c->told);
	key_wipe(c, sizeof(*c));
	free(c);
}

void server_link_login(struct server_link *c, const char *auth_key, bool new_key)
{
	server_login_begin(&c->login, auth_key);
	say_connecting(c); /* not to a page of before any more */
	c->must_register = true;
	c->backoff_ms = 0;
	if (new_key && key_is_zero(c->login.next.b)) /* a login goes on by the key that it has shown */
		server_login_renew_key(&c->login, &c->us->node);
	loop_timer_set(c->retry, 0);
}

bool server_link_is_shown(const struct server_link *c)
{
	return c->is_shown;
}

bool server_link_has_key(const struct server_link *c)
{
	return c->login.auth_key[0] != 0;
}

void server_link_logout(struct server_link *c, void (*done)(void *arg), void *arg)
{
	bool asks_person = c->stage == SERVER_REGISTER && c->login.followup[0];
	c->logout_done = done;
	c->logout_arg = arg;
	if (asks_person)
		server_exchange_cancel(&c->reg);
	if (asks_person || c->stage == SERVER_STREAM) {
		server_register_goodbye(c);
	} else if (c->stage == SERVER_IDLE) {
		disconnect(c);
		server_link_start(c);
	}
	loop_timer_set(c->retry, c->stage == SERVER_IDLE ? 0 : SERVER_LOGOUT_MS);
}

void server_link_try_now(struct server_link *c)
{
	if (c->stage != SERVER_IDLE || !loop_timer_is_set(c->retry))
		return;
	c->backoff_ms = 0;
	loop_timer_set(c->retry, 0);
}

void server_link_nat64_set(struct server_link *c, const struct nat64 *prefix)
{
	struct url url;
	struct endpoint at;
	c->way.prefix = *prefix;
	if (c->stage == SERVER_STREAM || c->logout_done || !url_parse(c->us->prefs.control_url, &url) ||
		!server_place(&c->way, &url, &at))
		return;
	c->backoff_ms = 0;
	if (c->stage == SERVER_KEY || loop_timer_is_set(c->retry))
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
	if (!moved)
		return;
	c->idle_s = IDLE_S; /* another network */
	loop_timer_set(c->retry, 0);
}

bool server_link_connected(const struct server_link *c)
{
	return c->stage == SERVER_STREAM;
}
bool server_link_is_proxied(const struct server_link *c)
{
	return server_is_proxied(c->way.proxies, c->us->prefs.control_url);
}
const char *server_link_portal(const struct server_link *c)
{
	return portal_line(&c->portal);
}

const char *server_link_waiting_for(const struct server_link *c)
{
	return c->stage == SERVER_STREAM ? "" : c->waiting;
}
