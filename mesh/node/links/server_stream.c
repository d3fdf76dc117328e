/* The link's STREAM state: maps in, updates out. server_link.c says how the states follow each other. */
#include "mesh/node/links/server_link_inner.h"
#include "mesh/base/log.h"
#include <stdio.h>
#include <string.h>

enum {
	SILENCE_MS = 120000, /* keep-alives come each 50-59 s */
	CALM_MS = 60000,     /* a stream that was good for so long is not one of a bad row */
	TOLD_MS = 300,	     /* until peers have it from the server */
};

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

/* A new stream, later than the one before it when that did not last either. */
static void ask_anew(struct server_link *c, const char *what, const char *why)
{
	if (loop_now_ms(c->loop) - c->stream_ms > CALM_MS)
		c->map_backoff_ms = 0;
	c->backoff_ms = c->map_backoff_ms;
	server_link_retry_later(c, what, why);
	c->map_backoff_ms = c->backoff_ms;
}

/* What this stream says from here on is not the whole truth. A new one begins with all of it; one that is
 * never good is asked for less and less often. */
static void ask_whole_map(struct server_link *c, const char *why)
{
	ask_anew(c, "cannot use what came from the control server at", why);
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
		if (m.ping && m.ping->types[0]) {
			if (c->ops.ping && m.ping->url_is_noise)
				c->ops.ping(c->ops.arg, m.ping);
		} else if (m.ping)
			server_ping_answer(&c->ping, c->loop, c->link, c->us->prefs.control_url,
				server_link_is_pinned(c), &c->way, m.ping);
		if (!m.keep_alive)
			use_map(c, &m);
	}
	arena_free(&a);
}

static void stream_head(void *arg, int status)
{
	struct server_link *c = arg;
	c->stream_status = status;
	if (status != 200)
		return;
	c->backoff_ms = 0;
	c->waiting[0] = 0;
	server_link_enter(c, SERVER_STREAM);
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
	server_link_lost(c, code);
	if (c->stream_status == 404) {
		/* The server forgot this node key: ask again; the machine key may still be known. */
		c->must_register = true;
		c->ops.forgotten(c->ops.arg, forgotten);
		server_link_retry_later(
			c, "waiting for the control server at", "it does not know this node's key");
		return;
	}
	/* The server has ended it: it goes, or another machine with this one's keys has come, which asks again as we do. */
	if (c->stream_status == 200 && !code) {
		ask_anew(c, "waiting for the control server at", "the stream ended");
		return;
	}
	char why[64];
	snprintf(why, sizeof(why), "the map request was answered %d", c->stream_status);
	server_link_retry_later(c, "waiting for the control server at",
		c->stream_status && c->stream_status != 200 ? why
		: code					    ? err_text(code)
							    : "the stream ended");
}

void server_stream_open(struct server_link *c)
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
		server_link_retry_later(c, "cannot ask for the map from the control server at",
			"memory is short or the connection closed");
}

static void update_answered(void *arg, int status, const char *body, size_t len)
{
	struct server_link *c = arg;
	(void)body;
	(void)len;
	if (server_link_gave_up(c))
		return;
	if (status != 200)
		log_info("control: update answered %d", status);
	if (c->update_wanted)
		server_link_update(c);
}

void server_link_pinged(struct server_link *c, const char *url, const char *json, size_t len)
{
	if (c->stage == SERVER_STREAM && c->link)
		server_ping_tell(&c->ping, c->link, url, json, len);
}

void server_link_update(struct server_link *c)
{
	c->update_wanted = true;
	if (c->stage != SERVER_STREAM || c->update.rq)
		return; /* goes with the stream request, or after the one in flight */
	struct buf body = { 0 };
	if (write_map_request(c, false, &body) &&
		server_exchange_start(&c->update, c->link, "/machine/map", &body, update_answered, c))
		c->update_wanted = false;
	buf_free(&body);
}
