#include "mesh/path/netcheck.h"
#include "mesh/path/events.h"
#include "mesh/path/home.h"
#include "mesh/path/region.h"
#include "mesh/path/self.h"
#include "mesh/path/spare.h"
#include "mesh/path/state.h"
#include <stdlib.h>
#include <string.h>

/* A report asks STUN servers of the regions by IPv4 and IPv6: where others see us, how far each region is,
 * and whether our NAT maps each destination differently. One runs at a time.
 *
 * idle -> running
 *     netcheck_start: links or map changed, something of ours may be lost (full or not), or report_next_ms
 *     has passed while peers are in use. Full: every region; else the home and the nearest few.
 * running
 *     Each region and family is a leg: a request, again after a gap that grows, `tries` times. An answer is
 *     used at once (answered); only the choice of home waits for the end. No answer at all after
 *     HTTPS_AFTER_MS and no home yet: latency by HTTPS is asked for.
 * running -> idle
 *     is_over: every leg is done, or those that matter, or time is up. finish() settles whether UDP works at
 *     all, forgets endpoints that no server sees any more, picks a home after a full report, and says when
 *     the next is due.
 *
 * A request that is lost costs a try, not the report. A reply counts once, from the server asked. */
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
	SPARE_REGIONS = 2,
	FEW_MAX = SOME_REGIONS,
	PICK_MIN_MS = 5,
	PICK_MAX_MS = 50,
	RESTART_GAP_MS = 1000
};

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
		bool have = v6 ? p->have6 : p->have4 || p->nat64 || !p->have6;
		bool can = have && servers_of(r, v6) > 0;
		r->legs[v6] = (struct leg) { .tries = can ? tries : 0, .next_ms = p->now_ms };
	}
}

/* The nearest of those that were measured, at most FEW_MAX, in order; of two that are as near the one with the lower
 * id. */
struct few {
	const struct region *v[FEW_MAX];
	size_t n;
};

static struct few nearest_few(const struct path *p, size_t most)
{
	struct few f = { .n = 0 };
	for (size_t i = 0; i < p->n_regions; i++) {
		const struct region *r = &p->regions[i];
		double l = region_latency(r);
		size_t at = f.n;
		while (l >= 0 && at && l < region_latency(f.v[at - 1]))
			at--;
		if (l < 0 || at == most)
			continue;
		f.n += f.n < most;
		memmove(&f.v[at + 1], &f.v[at], (f.n - at - 1) * sizeof(void *));
		f.v[at] = r;
	}
	return f;
}

static bool is_among(const struct few *f, const struct region *r)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i] == r)
			return true;
	return false;
}

static void plan(struct path *p)
{
	size_t measured = 0;
	for (size_t i = 0; i < p->n_regions; i++)
		measured += region_latency(&p->regions[i]) >= 0;
	if (measured < 2 || p->now_ms - p->full_ms >= FULL_EVERY_MS)
		p->report_full = true;
	if (p->report_full)
		p->full_ms = p->now_ms;
	const struct few few = nearest_few(p, SOME_REGIONS);
	for (size_t i = 0; i < p->n_regions; i++) {
		struct region *r = &p->regions[i];
		bool near = is_among(&few, r);
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
		state_wake(p, p->report_next_ms);
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

void netcheck_again(struct path *p)
{
	if (!p->report_running || p->answers || p->now_ms - p->report_ms >= RESTART_GAP_MS) {
		netcheck_start(p, false);
		return;
	}
	p->report_next_ms = p->report_ms + RESTART_GAP_MS;
	state_wake(p, p->report_next_ms);
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
		state_wake(p, p->report_next_ms);
}

/* --- requests and replies --- */

static void send_request(
	struct path *p, const struct region *r, const struct server *s, bool v6, enum path_socket from)
{
	struct stun_pending *q = &p->pending[p->pending_next++ % STUN_PENDING];
	uint8_t request[STUN_REQUEST];
	*q = (struct stun_pending) { .region = r->id, .sent_ms = p->now_ms, .from = from, .used = true };
	q->to = (struct endpoint) { .ip = v6 ? s->v6 : s->v4, .port = s->port };
	p->rnd.fill(p->rnd.arg, q->tx, sizeof(q->tx));
	stun_request_write(q->tx, request);
	struct endpoint to = q->to;
	p->ops.send_udp(p->ops.arg, from, &to, request, sizeof(request));
}

static void netcheck_ask(struct path *p, struct region *r, bool v6)
{
	struct leg *leg = &r->legs[v6];
	const struct server *s = server_at(r, v6, leg->sent);
	leg->sent++;
	uint64_t gap = (uint64_t)TRY_GAP_MS * leg->sent;
	if (!p->report_full)
		gap = r->last_ms < 0 ? SLOW_GAP_MS : (uint64_t)(r->last_ms * 1.2) + 50;
	leg->next_ms = p->now_ms + gap;
	send_request(p, r, s, v6, PATH_MAIN);
}

void netcheck_ask_spare(struct path *p)
{
	const struct few few = nearest_few(p, SPARE_REGIONS);
	for (size_t i = 0; i < p->n_regions; i++) {
		const struct region *r = &p->regions[i];
		if ((region_latency(r) < 0 || is_among(&few, r)) && servers_of(r, false))
			send_request(p, r, server_at(r, false, 0), false, PATH_SPARE);
	}
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
		events_self_changed(p);
	}
}

static void netcheck_answered(
	struct path *p, struct region *r, const struct stun_pending *q, const struct endpoint *seen)
{
	double latency = (double)(p->now_ms - q->sent_ms);
	bool v6 = !addr_is_v4(&q->to.ip);
	r->legs[v6].done = true;
	region_sample(p, r, latency);
	if (!p->udp)
		events_self_changed(p);
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
	state_wake(p, p->now_ms);
}

bool netcheck_received(
	struct path *p, enum path_socket at, const struct endpoint *from, const uint8_t *b, size_t len)
{
	uint8_t tx[STUN_TX];
	struct endpoint seen;
	if (!stun_reply_read(b, len, tx, &seen) || !seen.port) {
		p->drops.stun_malformed++;
		return false;
	}
	for (size_t i = 0; i < STUN_PENDING; i++) {
		struct stun_pending *q = &p->pending[i];
		if (!q->used || q->from != at || memcmp(q->tx, tx, STUN_TX) != 0 ||
			!endpoint_equal(&q->to, from))
			continue;
		struct stun_pending done = *q;
		q->used = false;
		struct region *r = region_find(p, done.region);
		if (!r || p->now_ms - done.sent_ms > STUN_WAIT_MS)
			break;
		if (at == PATH_SPARE)
			spare_seen(p, &seen);
		else
			netcheck_answered(p, r, &done, &seen);
		return true;
	}
	p->drops.stun_unknown++;
	return false;
}

void path_https_latency(struct path *p, uint64_t now_ms, int32_t region, double latency_ms)
{
	state_advance(p, now_ms);
	struct region *r = region_find(p, region);
	if (r && latency_ms >= 0) {
		region_sample(p, r, latency_ms);
		if (!p->home && !p->home_pick_ms) {
			p->home_pick_ms = p->now_ms + PICK_MAX_MS;
			state_wake(p, p->home_pick_ms);
		}
	}
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
		r->https_wanted = p->regions_wanted = true;
	}
}

static void netcheck_finish(struct path *p)
{
	bool had = p->udp;
	p->report_running = false;
	p->report_done = true;
	p->report_ended_ms = p->now_ms;
	p->udp = p->answers > 0;
	if (!p->udp)
		p->ipv4 = p->ipv6 = false;
	if (had != p->udp)
		events_self_changed(p);
	if (p->udp)
		self_forget_before(p, p->report_ms);
	if (p->report_full || !p->home)
		home_pick(p);
	bool used = p->last_send_ms && p->now_ms - p->last_send_ms < SESSION_MS;
	if (!p->home)
		p->report_next_ms = p->now_ms + HOMELESS_AGAIN_MS;
	else if (used)
		p->report_next_ms =
			p->now_ms + (p->udp ? AGAIN_MS + state_random(p, AGAIN_SPREAD_MS) : BLOCKED_AGAIN_MS);
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
				netcheck_ask(p, r, v6);
			if (leg->sent < leg->tries)
				state_wake(p, leg->next_ms);
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
		state_wake(p, p->report_next_ms);
	if (!p->report_running)
		return;
	send_due(p, &asked, &got, &pending);
	uint64_t age = p->now_ms - p->report_ms;
	if (!got && !p->answers && !p->home && !p->https_tried) {
		if (age >= HTTPS_AFTER_MS || !asked)
			try_https(p);
		else
			state_wake(p, p->report_ms + HTTPS_AFTER_MS);
	}
	if (is_over(p, asked, got, pending)) {
		netcheck_finish(p);
		if (p->report_next_ms)
			state_wake(p, p->report_next_ms);
		return;
	}
	state_wake(p, p->now_ms + (age < 500 ? 20 : 100));
	if (!p->home && !p->home_pick_ms && age >= HTTPS_WAIT_MS - 500)
		p->home_pick_ms = p->now_ms;
}
