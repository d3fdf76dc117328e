#include "mesh/control/http/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	WAITERS_MAX = 4096,
	WAITERS_PER_LINK = 4,
	TEXT_MAX = 256,
	FOLLOWUP_MAX = 512,
	HOSTNAME_MAX = 255,
	OS_MAX = 63
};

/* A register request held open. One piece of memory: the texts stand behind it. */
struct waiter {
	struct h2_owner owner;
	struct waiter *next, **at;
	struct api *api;
	struct guest *guest;
	struct h2_stream *stream;
	struct registry_wait stored;
	struct ctl_register_request
		rq; /* what is needed to ask again: no key, and of the host its name, system and tags */
	struct machine_key machine;
	char pending[REGISTRY_ID];
	size_t size;
};

void machines_init(struct machines *m)
{
	*m = (struct machines) { 0 };
	m->end = &m->first;
}

static void machine_refuse(struct h2_stream *s, int status, const char *text)
{
	api_reply_text(&(struct api_way) { .stream = s }, status, text);
}

bool machine_is_old(struct h2_stream *s, unsigned version)
{
	char text[TEXT_MAX];
	if (version >= CONTROL_CAPVER_MIN)
		return false;
	snprintf(text, sizeof(text),
		"this client is too old for this server: it speaks version %u of the protocol, at least %d "
		"(release 1.80) is needed; update it",
		version, CONTROL_CAPVER_MIN);
	machine_refuse(s, 400, text);
	return true;
}

/* --- those that wait --- */

static void free_waiter(struct waiter *w)
{
	struct machines *m = w->api->machines;
	registry_wait_cancel(&w->stored);
	*w->at = w->next;
	if (w->next)
		w->next->at = w->at;
	else
		m->end = w->at;
	m->n--;
	(void)guest_charge(w->guest, -(long)w->size, 0);
	free(w);
}

static void waiter_gone(struct h2_owner *o)
{
	free_waiter((struct waiter *)o);
}

/* The last of it: the stream is nobody's then. */
static void end_waiter(struct waiter *w, int status, const char *type, const void *body, size_t len)
{
	struct h2_stream *s = w->stream;
	h2_stream_data_set(s, NULL);
	free_waiter(w);
	api_reply(&(struct api_way) { .stream = s }, status, type, NULL, body, len);
}

static void end_with_text(struct waiter *w, int status, const char *text)
{
	end_waiter(w, status, "text/plain; charset=utf-8", text, strlen(text));
}

static void answer_register(struct waiter *w, const struct ctl_register_response *out)
{
	struct buf json = { 0 };
	if (ctl_register_response_write(&json, out))
		end_waiter(w, 200, "application/json", buf_data(&json), json.len);
	else
		end_with_text(w, 503, "the server is short of memory");
	buf_free(&json);
}

/* Answers w, or leaves it waiting when nothing is decided or what is decided has to be stored. The one behind
 * it: others may have ended too, of links that made room. */
static struct waiter *ask_registry(struct waiter *w, const struct ctl_register_request *rq)
{
	struct waiter *next = w->next;
	struct arena a = { 0 };
	struct ctl_register_response out;
	enum registry_verdict v = registry_register(
		w->api->reg, rq, &w->machine, clock_unix_ms(), &a, &out, w->pending, &w->stored);
	if (v == REGISTRY_ANSWER && out.machine_authorized)
		guest_is_node(w->guest, &w->machine, clock_now_ms());
	if (v == REGISTRY_ANSWER) {
		next = w->next;
		answer_register(w, &out);
	}
	arena_free(&a);
	return next;
}

/* Official clients try again after a status that is no success, and never after an Error. */
static void register_stored(void *arg, const struct registry_result *res)
{
	struct waiter *w = arg;
	struct arena a = { 0 };
	struct ctl_register_response out;
	if (!res->err) {
		(void)ask_registry(w, &w->rq);
	} else if (res->unsaved) {
		end_with_text(w, 503, res->text);
	} else {
		registry_refusal(res, &a, &out);
		answer_register(w, &out);
		arena_free(&a);
	}
}

void machines_decided(struct machines *m, const char *pending)
{
	for (struct waiter *w = m->first; w;) {
		bool asks = !w->stored.change && !strcmp(w->pending, pending);
		w = asks ? ask_registry(w, &w->rq) : w->next;
	}
}

void machines_withdrawn(struct machines *m, const char *pending)
{
	const struct registry_result res = { .err = ERR_REFUSED, .text = "this machine has logged out" };
	struct ctl_register_response out;
	struct arena a = { 0 };
	registry_refusal(&res, &a, &out);
	struct waiter *next;
	for (struct waiter *w = m->first; w; w = next) {
		next = w->next;
		if (!w->stored.change && !strcmp(w->pending, pending))
			answer_register(w, &out);
	}
	arena_free(&a);
}

void machines_recall(struct machines *m, const char *pending)
{
	const struct pending_info none = { .id = NULL };
	struct pending_info p = none;
	if (m->first && !registry_pending_find(m->first->api->reg, pending, &p))
		machines_decided(m, pending);
}

void machines_close(struct machines *m)
{
	struct waiter *next;
	for (struct waiter *w = m->first; w; w = next) {
		next = w->next;
		end_with_text(w, 503, "the server is going down: try again");
	}
}

/* --- register --- */

static const char *keep_text(char **to, const char *text, size_t most)
{
	size_t len = text ? strnlen(text, most) : 0;
	char *at = *to;
	if (len)
		memcpy(at, text, len);
	at[len] = 0;
	*to += len + 1;
	return at;
}

static size_t text_size(const char *text, size_t most)
{
	return (text ? strnlen(text, most) : 0) + 1;
}

/* As much of the request as asking again takes; NULL: memory or budget is short. */
static struct waiter *new_waiter(struct api_call *c, const struct ctl_register_request *rq)
{
	const struct ctl_hostinfo *h = &rq->hostinfo;
	size_t n_tags = 0, size = sizeof(struct waiter) + text_size(rq->followup, FOLLOWUP_MAX) +
				  text_size(h->hostname, HOSTNAME_MAX + 1) + text_size(h->os, OS_MAX);
	for (; n_tags < h->request_tags.n && size < STORE_TAGS + TEXT_MAX * 8; n_tags++)
		size += sizeof(char *) + text_size(h->request_tags.v[n_tags], TEXT_MAX);
	struct waiter *w = guest_charge(c->guest, (long)size, clock_now_ms()) ? calloc(1, size) : NULL;
	if (!w)
		return NULL;
	const char **tags = (const char **)(w + 1);
	char *text = (char *)(tags + n_tags);
	w->size = size;
	w->rq = (struct ctl_register_request) { .version = rq->version,
		.node = rq->node,
		.old_node = rq->old_node,
		.auth_key = "",
		.expiry_ms = rq->expiry_ms,
		.ephemeral = rq->ephemeral };
	w->rq.followup = keep_text(&text, rq->followup, FOLLOWUP_MAX);
	w->rq.hostinfo.hostname = keep_text(&text, h->hostname, HOSTNAME_MAX + 1);
	w->rq.hostinfo.os = keep_text(&text, h->os, OS_MAX);
	for (size_t i = 0; i < n_tags; i++)
		tags[i] = keep_text(&text, h->request_tags.v[i], TEXT_MAX);
	w->rq.hostinfo.request_tags = (struct ctl_strings) { .v = tags, .n = n_tags };
	return w;
}

static size_t waiters_of(const struct machines *m, const struct guest *g)
{
	size_t n = 0;
	for (const struct waiter *w = m->first; w; w = w->next)
		n += w->guest == g;
	return n;
}

static void hold(struct api_call *c, struct waiter *w)
{
	struct machines *m = c->api->machines;
	w->owner.gone = waiter_gone;
	w->api = c->api;
	w->guest = c->guest;
	w->stream = c->way.stream;
	w->machine = *control_server_machine(h2_stream_link(c->way.stream));
	w->stored = (struct registry_wait) { .done = register_stored, .arg = w };
	w->at = m->end;
	*m->end = w;
	m->end = &w->next;
	m->n++;
	h2_stream_data_set(w->stream, &w->owner);
}

void machine_register(struct api_call *c)
{
	struct machines *m = c->api->machines;
	struct arena a = { .secret = true }; /* an auth key */
	struct errbuf eb = { 0 };
	struct ctl_register_request rq;
	struct waiter *w = NULL;
	const struct machine_key machine = *control_server_machine(h2_stream_link(c->way.stream));
	if (waiters_of(m, c->guest) >= WAITERS_PER_LINK)
		machine_refuse(c->way.stream, 429, "too many registrations wait on this connection");
	else if (ctl_register_request_read(&a, (const char *)c->body, c->len, &rq, &eb))
		machine_refuse(c->way.stream, 400, eb.text);
	else if (machine_is_old(c->way.stream, rq.version))
		;
	else if (!(w = new_waiter(c, &rq)))
		machine_refuse(c->way.stream, 503, "too many wait to join: try again");
	if (w) {
		if (m->n >= WAITERS_MAX)
			end_with_text(m->first, 503, "too many wait to join: try again");
		hold(c, w);
		(void)ask_registry(w, &rq);
		registry_pending_seen(c->api->reg, &machine, &rq.node, &c->from);
	}
	arena_free(&a);
}

/* --- map --- */

void machine_map(struct api_call *c)
{
	const struct machine_key *machine = control_server_machine(h2_stream_link(c->way.stream));
	struct h2_stream *s = c->way.stream;
	struct arena a = { 0 };
	struct errbuf eb = { 0 };
	struct ctl_map_request rq;
	const struct member *m = NULL;
	if (ctl_map_request_read(&a, (const char *)c->body, c->len, &rq, &eb))
		machine_refuse(s, 400, eb.text);
	else if (machine_is_old(s, rq.version))
		;
	else if (!(m = registry_map_received(c->api->reg, &rq, machine, c->now_ms)))
		machine_refuse(s, 404, "node not found: register first");
	else
		guest_is_node(c->guest, machine, clock_now_ms());
	if (m && rq.stream)
		streams_accept(c->api->streams, s, m, &rq);
	else if (m)
		h2_respond(s, 200, "application/json", "", 0);
	arena_free(&a);
}

void machine_pinged(struct api_call *c)
{
	const struct machine_key *machine = control_server_machine(h2_stream_link(c->way.stream));
	int64_t node = probes_asked(c->api->probes, c->tail);
	const struct member *m = node ? fleet_by_id(&c->api->reg->fleet, node) : NULL;
	if (m && key_equal(m->machine.b, machine->b))
		probes_answered(c->api->probes, node);
	h2_respond(c->way.stream, 200, "text/plain", "", 0);
}

void machine_unknown(struct api_call *c)
{
	machine_refuse(c->way.stream, 501, "not implemented by this server");
}
