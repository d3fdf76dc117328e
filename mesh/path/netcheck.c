#include "mesh/path/path.h"
#include "mesh/path/parts.h"
#include <stdlib.h>
#include <string.h>

enum {
	FULL_TRIES = 3,
	SOME_TRIES = 2,
	TRY_GAP_MS = 100,
	SLOW_GAP_MS = 200,
	STUN_WAIT_MS = 3000,
	FEW_WAIT_MS = 1000,
	HTTPS_AFTER_MS = 150,
	HTTPS_MAX = 8,
	OTHER_FAMILY_MS = 300,
	HTTPS_WAIT_MS = 3000,
	FULL_EVERY_MS = 300000,
	AGAIN_MS = 20000,
	AGAIN_SPREAD_MS = 6000,
	BLOCKED_AGAIN_MS = 10000,
	HOMELESS_AGAIN_MS = 5000,
	SOME_REGIONS = 3,
	PICK_MIN_MS = 5,
	PICK_MAX_MS = 50,
	RESTART_GAP_MS = 1000
};

static void free_regions(struct region *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < v[i].n_servers; k++)
			free(v[i].servers[k].host);
		free(v[i].servers);
	}
	free(v);
}

void netcheck_free(struct path *p)
{
	free_regions(p->regions, p->n_regions);
	free(p->shown_regions);
}

/* --- the relay map --- */

static void set_address(struct server *s, const struct addr *a)
{
	if (addr_is_v4(a)) {
		s->v4 = *a;
		s->has4 = true;
	} else {
		s->v6 = *a;
		s->has6 = true;
	}
}

static bool set_literal(struct server *s, const char *text)
{
	struct addr a;
	if (!text || !*text || !addr_parse(text, &a))
		return false;
	set_address(s, &a);
	return true;
}

static bool set_server(struct path *p, struct server *s, const struct ctl_derp_node *n)
{
	*s = (struct server) { .port = n->stun_port ? (uint16_t)n->stun_port : 3478 };
	s->host = strdup(n->host ? n->host : "");
	if (!s->host)
		return false;
	if (set_literal(s, n->stun_test_ip))
		return true;
	bool told = set_literal(s, n->ipv4);
	told = set_literal(s, n->ipv6) || told;
	if (!told && !set_literal(s, s->host) && *s->host && p->ops.resolve)
		p->ops.resolve(p->ops.arg, s->host);
	return true;
}

static bool set_region(struct path *p, struct region *r, const struct ctl_derp_region *from)
{
	const struct region *old = home_region(p, from->id);
	if (old)
		*r = *old;
	else
		*r = (struct region) { .id = from->id, .low_now_ms = -1, .low_before_ms = -1, .last_ms = -1 };
	r->no_measure = from->no_measure;
	r->has_relay = false;
	r->n_servers = 0;
	r->legs[0] = r->legs[1] = (struct leg) { 0 }; /* a running report asked the old servers */
	r->servers = calloc(from->n_nodes ? from->n_nodes : 1, sizeof(*r->servers));
	if (!r->servers)
		return false;
	for (size_t i = 0; i < from->n_nodes; i++) {
		const struct ctl_derp_node *n = &from->nodes[i];
		if (!n->stun_only)
			r->has_relay = true;
		if (n->stun_port < 0 || n->stun_port > UINT16_MAX)
			continue;
		if (!set_server(p, &r->servers[r->n_servers], n))
			return false;
		r->n_servers++;
	}
	return true;
}

void path_derp_map_set(struct path *p, uint64_t now_ms, const struct ctl_derp_map *m)
{
	if (now_ms > p->now_ms)
		p->now_ms = now_ms;
	struct region *v = calloc(m->n_regions ? m->n_regions : 1, sizeof(*v));
	struct path_region *shown = calloc(m->n_regions ? m->n_regions : 1, sizeof(*shown));
	size_t n = 0;
	bool ok = v && shown;
	for (size_t i = 0; ok && i < m->n_regions; i++, n++)
		ok = set_region(p, &v[n], &m->regions[i]);
	if (!ok) { /* memory is short: the old map serves on */
		if (v)
			free_regions(v, n < m->n_regions ? n + 1 : n);
		free(shown);
		return;
	}
	free_regions(p->regions, p->n_regions);
	free(p->shown_regions);
	p->regions = v;
	p->n_regions = n;
	p->shown_regions = shown;
	if ((p->home && !home_region(p, p->home)) || home_is_only_choice(p))
		home_pick(p);
	netcheck_start(p, true);
	self_flush(p);
}

void path_resolved(struct path *p, uint64_t now_ms, const char *host, const struct addr *addrs, size_t n)
{
	if (now_ms > p->now_ms)
		p->now_ms = now_ms;
	bool news = false;
	for (size_t i = 0; i < p->n_regions; i++) {
		for (size_t k = 0; k < p->regions[i].n_servers; k++) {
			struct server *s = &p->regions[i].servers[k];
			if (s->has4 || s->has6 || strcmp(s->host, host) != 0)
				continue;
			for (size_t j = 0; j < n; j++)
				set_address(s, &addrs[j]);
			news = news || n;
		}
	}
	if (news)
		netcheck_start(p, true);
	self_flush(p);
}

/* --- the plan of a report --- */

static size_t servers_of(const struct region *r, bool v6)
{
	size_t n = 0;
	for (size_t i = 0; i < r->n_servers; i++)
		n += v6 ? r->servers[i].has6 : r->servers[i].has4;
	return n;
}

static const struct server *server_at(const struct region *r, bool v6, size_t k)
{
	k %= servers_of(r, v6);
	for (size_t i = 0; i < r->n_servers; i++) {
		if ((v6 ? r->servers[i].has6 : r->servers[i].has4) && k-- == 0)
			return &r->servers[i];
	}
	return NULL;
}

static void plan_region(struct path *p, struct region *r, uint8_t tries)
{
	for (int v6 = 0; v6 < 2; v6++) {
		bool have = v6 ? p->have6 : p->have4 || !p->have6;
		bool can = have && servers_of(r, v6) > 0;
		r->legs[v6] = (struct leg) { .tries = can ? tries : 0, .next_ms = p->now_ms };
	}
}

/* How many measured regions are nearer than r. */
static size_t rank(const struct path *p, const struct region *r)
{
	size_t n = 0;
	for (size_t i = 0; i < p->n_regions; i++) {
		double l = home_latency(&p->regions[i]);
		n += l >= 0 && (l < home_latency(r) || (l == home_latency(r) && &p->regions[i] < r));
	}
	return n;
}

static void plan(struct path *p)
{
	size_t measured = 0;
	for (size_t i = 0; i < p->n_regions; i++)
		measured += home_latency(&p->regions[i]) >= 0;
	if (measured < 2 || p->now_ms - p->full_ms >= FULL_EVERY_MS)
		p->report_full = true;
	if (p->report_full)
		p->full_ms = p->now_ms;
	for (size_t i = 0; i < p->n_regions; i++) {
		struct region *r = &p->regions[i];
		bool near = home_latency(r) >= 0 && rank(p, r) < SOME_REGIONS;
		r->https_asked = false;
		if (r->no_measure)
			plan_region(p, r, 0);
		else if (p->report_full || r->id == p->home)
			plan_region(p, r, FULL_TRIES);
		else
			plan_region(p, r, near ? SOME_TRIES : 0);
	}
}

void netcheck_start(struct path *p, bool full)
{
	if (!p->n_regions || !p->port)
		return;
	if (!full && p->report_running && p->now_ms - p->report_ms < RESTART_GAP_MS)
		return;
	if (!full && p->report_done && p->now_ms - p->report_ms < RESTART_GAP_MS) {
		if (!p->report_next_ms || p->report_next_ms > p->report_ms + RESTART_GAP_MS)
			p->report_next_ms = p->report_ms + RESTART_GAP_MS;
		path_wake(p, p->report_next_ms);
		return;
	}
	p->report_running = true;
	p->report_full = full;
	p->report_ms = p->now_ms;
	p->report_next_ms = p->first_answer_ms = 0;
	p->n_answers4 = 0;
	p->answers = 0;
	p->https_tried = false;
	plan(p);
	netcheck_tick(p);
}

void netcheck_session(struct path *p)
{
	if (p->report_running || !p->n_regions || !p->port)
		return;
	uint64_t age = p->now_ms - p->report_ms, limit = p->udp ? ENDPOINTS_FRESH_MS : BLOCKED_AGAIN_MS;
	if (age >= limit)
		netcheck_start(p, false);
	else if (!p->report_next_ms)
		p->report_next_ms = p->report_ms + AGAIN_MS;
	if (p->report_next_ms)
		path_wake(p, p->report_next_ms);
}

/* --- requests and replies --- */

static void ask(struct path *p, struct region *r, bool v6)
{
	struct leg *leg = &r->legs[v6];
	const struct server *s = server_at(r, v6, leg->sent);
	struct stun_pending *q = &p->pending[p->pending_next++ % STUN_PENDING];
	uint8_t request[STUN_REQUEST];
	*q = (struct stun_pending) { .region = r->id, .sent_ms = p->now_ms, .used = true };
	q->to = (struct endpoint) { .ip = v6 ? s->v6 : s->v4, .port = s->port };
	p->rnd.fill(p->rnd.arg, q->tx, sizeof(q->tx));
	stun_request_write(q->tx, request);
	leg->sent++;
	uint64_t gap = (uint64_t)TRY_GAP_MS * leg->sent;
	if (!p->report_full)
		gap = r->last_ms < 0 ? SLOW_GAP_MS : (uint64_t)(r->last_ms * 1.2) + 50;
	leg->next_ms = p->now_ms + gap;
	struct endpoint to = q->to;
	p->ops.send_udp(p->ops.arg, &to, request, sizeof(request));
}

static void note_seen4(struct path *p, const struct endpoint *server, const struct endpoint *seen)
{
	for (size_t i = 0; i < p->n_answers4; i++) {
		if (addr_equal(&p->answers4[i].server, &server->ip)) {
			p->answers4[i].seen = *seen;
			return;
		}
	}
	if (p->n_answers4 < SERVERS_MAX) {
		p->answers4[p->n_answers4].server = server->ip;
		p->answers4[p->n_answers4++].seen = *seen;
	}
	if (p->n_answers4 < 2) /* one server cannot tell */
		return;
	enum opt_bool varies = OPT_FALSE;
	for (size_t i = 1; i < p->n_answers4; i++) {
		if (!endpoint_equal(&p->answers4[i].seen, &p->answers4[0].seen))
			varies = OPT_TRUE;
	}
	if (varies != p->varies) {
		p->varies = varies;
		self_changed(p);
	}
}

static void answered(
	struct path *p, struct region *r, const struct stun_pending *q, const struct endpoint *seen)
{
	double latency = (double)(p->now_ms - q->sent_ms);
	bool v6 = !addr_is_v4(&q->to.ip);
	r->legs[v6].done = true;
	home_sample(p, r, latency);
	if (!p->udp)
		self_changed(p);
	p->udp = true;
	*(v6 ? &p->ipv6 : &p->ipv4) = true;
	p->stun_ok_ms = p->now_ms;
	p->answers++;
	if (!p->first_answer_ms)
		p->first_answer_ms = p->now_ms;
	*(v6 ? &p->global6 : &p->global4) = *seen;
	if (!v6)
		note_seen4(p, &q->to, seen);
	self_seen(p, seen);
	if (!p->home && !p->home_pick_ms) {
		double wait = latency < PICK_MIN_MS   ? PICK_MIN_MS
			      : latency > PICK_MAX_MS ? PICK_MAX_MS
						      : latency;
		p->home_pick_ms = p->now_ms + (uint64_t)wait;
	}
	path_wake(p, p->now_ms);
}

bool netcheck_received(struct path *p, const struct endpoint *from, const uint8_t *b, size_t len)
{
	uint8_t tx[STUN_TX];
	struct endpoint seen;
	if (!stun_reply_read(b, len, tx, &seen) || !seen.port) {
		p->drops.stun_malformed++;
		return false;
	}
	for (size_t i = 0; i < STUN_PENDING; i++) {
		struct stun_pending *q = &p->pending[i];
		if (!q->used || memcmp(q->tx, tx, STUN_TX) != 0 || !endpoint_equal(&q->to, from))
			continue;
		struct stun_pending done = *q;
		q->used = false;
		struct region *r = home_region(p, done.region);
		if (!r || p->now_ms - done.sent_ms > STUN_WAIT_MS)
			break;
		answered(p, r, &done, &seen);
		return true;
	}
	p->drops.stun_unknown++;
	return false;
}

void path_https_latency(struct path *p, uint64_t now_ms, int32_t region, double latency_ms)
{
	if (now_ms > p->now_ms)
		p->now_ms = now_ms;
	struct region *r = home_region(p, region);
	if (r && latency_ms >= 0) {
		home_sample(p, r, latency_ms);
		if (!p->home && !p->home_pick_ms) {
			p->home_pick_ms = p->now_ms + PICK_MAX_MS;
			path_wake(p, p->home_pick_ms);
		}
	}
	self_flush(p);
}

/* --- time --- */

static void try_https(struct path *p)
{
	size_t n = 0;
	p->https_tried = true;
	for (size_t i = 0; i < p->n_regions && n < HTTPS_MAX; i++) {
		struct region *r = &p->regions[i];
		if (r->no_measure || !r->has_relay || r->https_asked)
			continue;
		r->https_asked = true;
		n++;
		if (p->ops.https_probe)
			p->ops.https_probe(p->ops.arg, r->id);
	}
}

static void finish(struct path *p)
{
	bool had = p->udp;
	p->report_running = false;
	p->report_done = true;
	p->udp = p->answers > 0;
	if (!p->udp)
		p->ipv4 = p->ipv6 = false;
	if (had != p->udp)
		self_changed(p);
	if (p->udp)
		self_forget_before(p, p->report_ms);
	if (p->report_full || !p->home)
		home_pick(p);
	bool used = p->last_send_ms && p->now_ms - p->last_send_ms < SESSION_MS;
	if (!p->home)
		p->report_next_ms = p->now_ms + HOMELESS_AGAIN_MS;
	else if (used)
		p->report_next_ms =
			p->now_ms + (p->udp ? AGAIN_MS + path_random(p, AGAIN_SPREAD_MS) : BLOCKED_AGAIN_MS);
}

/* Sends what is due; counts regions asked, answered and still to be asked. */
static void send_due(struct path *p, size_t *asked, size_t *got, size_t *pending)
{
	*asked = *got = *pending = 0;
	for (size_t i = 0; i < p->n_regions; i++) {
		struct region *r = &p->regions[i];
		bool any = false, done = false, open = false;
		for (int v6 = 0; v6 < 2; v6++) {
			struct leg *leg = &r->legs[v6];
			any = any || leg->tries;
			done = done || leg->done;
			if (leg->done || !leg->tries)
				continue;
			open = true;
			if (leg->sent < leg->tries && leg->next_ms <= p->now_ms)
				ask(p, r, v6);
			if (leg->sent < leg->tries)
				path_wake(p, leg->next_ms);
		}
		*asked += any;
		*got += done;
		*pending += open;
	}
}

static bool is_over(const struct path *p, size_t asked, size_t got, size_t pending)
{
	uint64_t age = p->now_ms - p->report_ms;
	if (pending == 0 && (asked > 0 || p->https_tried))
		return asked > 0 || age >= HTTPS_WAIT_MS;
	if (got == asked && got > 0)
		return age >= OTHER_FAMILY_MS; /* only the other family is missing */
	if (got >= SOME_REGIONS &&
		p->now_ms - p->first_answer_ms >= 2 * (p->first_answer_ms - p->report_ms) + PICK_MAX_MS)
		return true;
	return age >= (got ? FEW_WAIT_MS : STUN_WAIT_MS);
}

void netcheck_tick(struct path *p)
{
	size_t asked, got, pending;
	if (p->report_next_ms && p->now_ms >= p->report_next_ms) {
		bool used = p->last_send_ms && p->now_ms - p->last_send_ms < SESSION_MS;
		p->report_next_ms = 0;
		if (used || !p->home) {
			netcheck_start(p, !p->home);
			return;
		}
	}
	if (p->report_next_ms)
		path_wake(p, p->report_next_ms);
	if (!p->report_running)
		return;
	send_due(p, &asked, &got, &pending);
	uint64_t age = p->now_ms - p->report_ms;
	if (!got && !p->answers && !p->home && !p->https_tried) {
		if (age >= HTTPS_AFTER_MS || !asked)
			try_https(p);
		else
			path_wake(p, p->report_ms + HTTPS_AFTER_MS);
	}
	if (is_over(p, asked, got, pending)) {
		finish(p);
		if (p->report_next_ms)
			path_wake(p, p->report_next_ms);
		return;
	}
	path_wake(p, p->now_ms + (age < 500 ? 20 : 100));
	if (!p->home && !p->home_pick_ms && age >= HTTPS_WAIT_MS - 500)
		p->home_pick_ms = p->now_ms;
}

void path_report(const struct path *p, struct path_report *out)
{
	*out = (struct path_report) {
		.done = p->report_done, .udp = p->udp, .ipv4 = p->ipv4, .ipv6 = p->ipv6
	};
	out->mapping_varies = p->varies;
	out->global4 = p->ipv4 ? p->global4 : (struct endpoint) { 0 };
	out->global6 = p->ipv6 ? p->global6 : (struct endpoint) { 0 };
	out->home = p->home;
	for (size_t i = 0; i < p->n_regions; i++)
		p->shown_regions[i] = (struct path_region) { p->regions[i].id, home_latency(&p->regions[i]) };
	out->regions = p->shown_regions;
	out->n_regions = p->n_regions;
}
