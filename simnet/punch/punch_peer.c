#include "simnet/punch/punch_peer.h"

#include "mesh/base/err.h"
#include "mesh/base/wire.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { SILENT_BEATS = 3 };

const char *punch_path_name(enum punch_path path)
{
	static const char *const names[] = {
		[PUNCH_NONE] = "none", [PUNCH_RELAY] = "relay", [PUNCH_DIRECT] = "direct"
	};
	static_assert(ARRAY_LEN(names) == PUNCH_DIRECT + 1, "names misses a path");
	return names[path];
}

void punch_peer_init(struct punch_peer *p, const struct punch_peer_conf *conf,
	const struct punch_peer_ops *ops, void *owner)
{
	*p = (struct punch_peer) { .conf = *conf, .ops = ops, .owner = owner };
}

static struct punch_remote *find_remote(struct punch_peer *p, const char *name)
{
	for (size_t i = 0; i < p->n_remotes; i++)
		if (!strcmp(p->remotes[i].name, name))
			return &p->remotes[i];
	return NULL;
}

static struct punch_remote *add_remote(struct punch_peer *p, const char *name)
{
	struct punch_remote *r = find_remote(p, name);

	if (r || p->n_remotes == PUNCH_REMOTES_MAX)
		return r;
	r = &p->remotes[p->n_remotes++];
	*r = (struct punch_remote) { 0 };
	snprintf(r->name, sizeof(r->name), "%s", name);
	return r;
}

bool punch_peer_call(struct punch_peer *p, const char *name)
{
	struct punch_remote *r = add_remote(p, name);
	if (r)
		r->calling = true;
	return r;
}

/* ---- sending ---- */

static void send_message(struct punch_peer *p, const struct endpoint *to, struct punch_message *m)
{
	uint8_t out[PUNCH_MESSAGE_MAX];

	memcpy(m->from, p->conf.name, sizeof(m->from));
	p->ops->send(p->owner, to, out, punch_message_write(m, out, sizeof(out)));
}

static void send_register(struct punch_peer *p, uint64_t now_us)
{
	struct punch_message m = { .kind = PUNCH_REGISTER, .nonce = p->conf.nonce, .n_body = 2 };

	memcpy(m.places, p->conf.own, sizeof(m.places));
	m.n_places = p->conf.n_own;
	be_put(m.body, 2, p->conf.echo_port);
	send_message(p, &p->conf.server, &m);
	p->registered_us = now_us;
	p->register_next_us = now_us + (p->seen.port ? p->conf.beat_us : PUNCH_CALL_US);
}

static void send_to_remote(struct punch_peer *p, const struct punch_remote *r, const struct endpoint *to,
	struct punch_message *m)
{
	memcpy(m->to, r->name, sizeof(m->to));
	send_message(p, to, m);
}

static void send_probe(
	struct punch_peer *p, struct punch_remote *r, uint64_t now_us, const struct endpoint *to)
{
	struct punch_message m = { .kind = PUNCH_PROBE, .nonce = p->conf.nonce++ };
	size_t i = r->n_sent++ % PUNCH_SENT_MAX;

	r->sent[i].nonce = m.nonce;
	r->sent[i].at_us = now_us;
	r->sent[i].to = *to;
	send_to_remote(p, r, to, &m);
}

void punch_peer_echo(struct punch_peer *p, const struct punch_remote *remote, const uint8_t *msg, size_t len)
{
	struct punch_message m = { .kind = PUNCH_ECHO, .n_body = len };

	if (remote->path == PUNCH_NONE || len > PUNCH_BODY_MAX)
		return;
	memcpy(m.body, msg, len);
	send_to_remote(p, remote, remote->path == PUNCH_DIRECT ? &remote->direct : &p->conf.server, &m);
}

/* ---- the path ---- */

/* What counts as heard lately; the search counts too, for the first answers take their time. */
static bool is_fresh(const struct punch_peer *p, uint64_t at_us, uint64_t now_us)
{
	return at_us && now_us - at_us < SILENT_BEATS * p->conf.beat_us;
}

static void start_search(struct punch_peer *p, struct punch_remote *r, uint64_t now_us)
{
	r->search_us = now_us;
	r->settled = false;
	r->probe_next_us = now_us;
	p->register_next_us = now_us;
	r->call_next_us = now_us;
	r->heard_us = 0;
	r->near = false;
}

static void judge_path(struct punch_peer *p, struct punch_remote *r, uint64_t now_us)
{
	enum punch_path was = r->path, is = is_fresh(p, r->direct_us, now_us)  ? PUNCH_DIRECT
					    : is_fresh(p, r->relay_us, now_us) ? PUNCH_RELAY
									       : PUNCH_NONE;
	bool settled = is == PUNCH_DIRECT || (r->search_us && now_us - r->search_us >= p->conf.try_us);

	if (is == was && settled == r->settled)
		return;
	r->path = is;
	r->settled = settled;
	if (was == PUNCH_DIRECT && is != PUNCH_DIRECT)
		start_search(p, r, now_us);
	if (is == PUNCH_DIRECT)
		r->direct_after_us = now_us - r->search_us;
	p->ops->changed(p->owner, r);
}

/* Places from the server come first and replace the last ones; sources of probes stay while there is room. */
static void set_places(struct punch_remote *r, const struct punch_message *m)
{
	struct endpoint old[PUNCH_PLACES_MAX];
	size_t n_old = r->n_places - r->n_kept;

	memcpy(old, &r->places[r->n_kept], n_old * sizeof(old[0]));
	memcpy(r->places, m->places, m->n_places * sizeof(m->places[0]));
	r->n_places = r->n_kept = m->n_places;
	for (size_t i = 0; i < n_old; i++) {
		bool known = r->n_places == PUNCH_PLACES_MAX;
		for (size_t k = 0; k < r->n_places; k++)
			known |= endpoint_equal(&r->places[k], &old[i]);
		if (!known)
			r->places[r->n_places++] = old[i];
	}
}

/* Full: the oldest source makes way; what the server named stays. */
static void learn_place(struct punch_remote *r, const struct endpoint *from)
{
	for (size_t i = 0; i < r->n_places; i++)
		if (endpoint_equal(&r->places[i], from))
			return;
	if (r->n_places == PUNCH_PLACES_MAX) {
		if (r->n_kept == PUNCH_PLACES_MAX)
			return;
		memmove(&r->places[r->n_kept], &r->places[r->n_kept + 1],
			(PUNCH_PLACES_MAX - r->n_kept - 1) * sizeof(r->places[0]));
		r->n_places--;
	}
	r->places[r->n_places++] = *from;
}

/* ---- receiving ---- */

static void seen_received(struct punch_peer *p, uint64_t now_us, const struct punch_message *m)
{
	if (m->n_places != 1 || endpoint_equal(&m->places[0], &p->seen))
		return;
	if (!p->seen.port) {
		p->server_rtt_us = now_us - p->registered_us;
		p->speak_us = now_us + 2 * p->server_rtt_us + PUNCH_SETTLE_US;
	}
	p->seen = m->places[0];
	p->ops->mapped(p->owner, &p->seen);
}

static void invite_received(struct punch_peer *p, uint64_t now_us, const struct punch_message *m)
{
	struct punch_remote *r = add_remote(p, m->from);

	if (!r) {
		p->drops.full++;
		return;
	}
	set_places(r, m);
	if (m->n_body == 2)
		r->echo_port = (uint16_t)be_get(m->body, 2);
	if (!r->search_us) {
		start_search(p, r, now_us);
		r->call_next_us = now_us + PUNCH_CALL_US;
		if (p->ops->invited)
			p->ops->invited(p->owner, r);
	}
}

static void probe_received(struct punch_peer *p, struct punch_remote *r, const struct endpoint *from,
	bool relayed, const struct punch_message *m)
{
	struct punch_message answer = {
		.kind = PUNCH_ANSWER, .nonce = m->nonce, .places = { *from }, .n_places = 1
	};
	if (!relayed) {
		learn_place(r, from);
		r->near = true;
	}
	send_to_remote(p, r, from, &answer);
}

static void answer_received(struct punch_peer *p, struct punch_remote *r, uint64_t now_us, bool relayed,
	const struct punch_message *m)
{
	size_t i = 0;

	while (i < PUNCH_SENT_MAX && (!r->sent[i].at_us || r->sent[i].nonce != m->nonce))
		i++;
	if (i == PUNCH_SENT_MAX || endpoint_equal(&r->sent[i].to, &p->conf.server) != relayed) {
		p->drops.unknown_answer++;
		return;
	}
	if (relayed) {
		r->relay_us = now_us;
	} else {
		/* The first place that answers stays the path, so that it does not change all the time. */
		if (!is_fresh(p, r->direct_us, now_us))
			r->direct = r->sent[i].to;
		if (!endpoint_equal(&r->direct, &r->sent[i].to))
			return;
		r->direct_us = now_us;
		if (m->n_places)
			r->seen_as = m->places[0];
	}
	if (!relayed || r->path != PUNCH_DIRECT)
		r->rtt_us = now_us - r->sent[i].at_us;
	judge_path(p, r, now_us);
}

static void remote_received(
	struct punch_peer *p, uint64_t now_us, const struct endpoint *from, struct punch_message *m)
{
	struct punch_remote *r = find_remote(p, m->from);
	bool relayed = endpoint_equal(from, &p->conf.server);

	if (!r || !r->search_us) {
		p->drops.stranger++;
		return;
	}
	r->heard_us = now_us;
	if (m->kind == PUNCH_PROBE) {
		probe_received(p, r, from, relayed, m);
	} else if (m->kind == PUNCH_ANSWER) {
		answer_received(p, r, now_us, relayed, m);
	} else if (m->kind == PUNCH_ECHO) {
		m->kind = PUNCH_ECHOED;
		send_to_remote(p, r, from, m);
	} else if (p->ops->echoed) {
		p->ops->echoed(p->owner, r, m->body, m->n_body);
	}
}

void punch_peer_received(
	struct punch_peer *p, uint64_t now_us, const struct endpoint *from, const uint8_t *msg, size_t len)
{
	struct punch_message m;
	bool from_server = endpoint_equal(from, &p->conf.server);

	if (!punch_message_read(msg, len, &m)) {
		p->drops.malformed++;
		return;
	}
	if (strcmp(m.to, p->conf.name) != 0) {
		p->drops.not_for_us++;
		return;
	}
	switch (m.kind) {
	case PUNCH_PROBE:
	case PUNCH_ANSWER:
	case PUNCH_ECHO:
	case PUNCH_ECHOED: remote_received(p, now_us, from, &m); return;
	case PUNCH_SEEN:
		if (from_server) {
			seen_received(p, now_us, &m);
			return;
		}
		break;
	case PUNCH_INVITE:
		if (from_server && m.from[0]) {
			invite_received(p, now_us, &m);
			return;
		}
		break;
	case PUNCH_OPEN:
		if (addr_equal(&from->ip, &p->conf.server.ip) && from->port == p->conf.server.port + 1) {
			p->open = true;
			return;
		}
		break;
	case PUNCH_REGISTER:
	case PUNCH_CALL:
	case PUNCH_KINDS: break;
	}
	p->drops.unexpected++;
}

/* ---- time ---- */

static bool is_fast(const struct punch_peer *p, const struct punch_remote *r, uint64_t now_us)
{
	return r->path != PUNCH_DIRECT && now_us - r->search_us < p->conf.try_us;
}

static bool may_speak(const struct punch_peer *p, const struct punch_remote *r, uint64_t now_us)
{
	uint64_t wait = p->open && !r->near ? PUNCH_WAIT_US + 2 * p->server_rtt_us : 0;
	return now_us >= p->speak_us && now_us - r->search_us >= wait;
}

static void probe_all(struct punch_peer *p, struct punch_remote *r, uint64_t now_us)
{
	bool fast = is_fast(p, r, now_us);

	if (r->path == PUNCH_DIRECT)
		send_probe(p, r, now_us, &r->direct);
	for (size_t i = 0; r->path != PUNCH_DIRECT && may_speak(p, r, now_us) && i < r->n_places; i++)
		send_probe(p, r, now_us, &r->places[i]);
	send_probe(p, r, now_us, &p->conf.server);
	/* A path that there is answers within the first few; many peers that search would only be in each other's
	 * way. */
	uint64_t slower = PUNCH_FAST_US + (now_us - r->search_us) / 8;
	r->probe_next_us = now_us + (fast && slower < p->conf.beat_us ? slower : p->conf.beat_us);
}

static void tick_remote(struct punch_peer *p, struct punch_remote *r, uint64_t now_us)
{
	if (r->search_us)
		judge_path(p, r, now_us);
	/* Until the other has been heard, and again while there is no direct path: its address may be new. */
	if (r->calling && p->seen.port && now_us >= r->call_next_us) {
		struct punch_message call = { .kind = PUNCH_CALL };
		if (r->path != PUNCH_DIRECT)
			send_to_remote(p, r, &p->conf.server, &call);
		r->call_next_us = now_us + (r->heard_us ? p->conf.beat_us : PUNCH_CALL_US);
	}
	if (r->search_us && now_us >= r->probe_next_us)
		probe_all(p, r, now_us);
}

void punch_peer_tick(struct punch_peer *p, uint64_t now_us)
{
	for (size_t i = 0; i < p->n_remotes; i++)
		tick_remote(p, &p->remotes[i], now_us);
	if (now_us >= p->register_next_us)
		send_register(p, now_us);
}

uint64_t punch_peer_deadline(const struct punch_peer *p)
{
	uint64_t at = p->register_next_us;

	for (size_t i = 0; i < p->n_remotes; i++) {
		const struct punch_remote *r = &p->remotes[i];
		if (r->calling && p->seen.port && r->call_next_us < at)
			at = r->call_next_us;
		if (r->search_us && r->probe_next_us < at)
			at = r->probe_next_us;
		if (r->search_us && !r->settled && r->search_us + p->conf.try_us < at)
			at = r->search_us + p->conf.try_us;
	}
	return at;
}
