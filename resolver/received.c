/* What upstreams say to a flight's questions: answers, errors, cut and wrong packets, sockets that fail.
 * flight.c has the whole. */
#include "resolver/flight.h"

#include "mesh/base/buf.h"

#include <errno.h>
#include <stdlib.h>

enum { BAD_PACKETS_MAX = 10 /* then TCP, where strangers cannot answer */ };

static struct attempt *attempt_find(struct resolver *r, uint64_t handle, struct flight **out)
{
	unsigned slot = handle >> 8 & 0xffff, number = handle & 0xff;
	struct flight *f = slot < FLIGHTS_MAX ? r->slots[slot] : NULL;
	if (!f || f->generation != handle >> 32 || number >= f->n_attempts || !f->attempts[number].waiting)
		return NULL;
	*out = f;
	return &f->attempts[number];
}

static bool is_answer(const struct answer *got)
{
	return !got->no_question && (got->rcode == DNS_NOERROR || got->rcode == DNS_NXDOMAIN);
}

/* The same question by TCP (or without EDNS) to the same server, in place of attempt a. */
static void ask_again(
	struct resolver *r, uint64_t now_ms, struct flight *f, struct attempt *a, struct attempt_how how)
{
	struct upstream *to = a->to;
	attempt_stop(r, f, a);
	if (attempt_send(r, now_ms, f, to, how))
		flight_due_set(r, f);
	else
		flight_drop_upstream(r, now_ms, f, to);
}

static void partial_keep(struct flight *f, const uint8_t *msg, size_t len)
{
	if (f->partial || !len || !(f->partial = malloc(len + DNS_OPT_LEN)))
		return;
	memcpy(f->partial, msg, len);
	f->partial[2] |= DNS_TC >> 8;
	f->partial_len = len;
}

static void error_received(
	struct resolver *r, uint64_t now_ms, struct flight *f, struct attempt *a, const struct answer *got)
{
	if ((got->rcode == DNS_FORMERR || got->rcode == DNS_NOTIMP) && a->edns) {
		ask_again(r, now_ms, f, a, (struct attempt_how) { .tcp = a->tcp, .plain = true });
		return;
	}
	/* extended ones are about our EDNS with the upstream, and no client without EDNS can be told */
	uint16_t rcode = got->rcode > 15 ? DNS_SERVFAIL : got->rcode;
	f->rcode = !f->rcode || f->rcode == rcode ? rcode : DNS_SERVFAIL;
	if (got->ede != EDE_NONE)
		f->ede = got->ede;
	if (rcode == DNS_REFUSED && upstream_refused(a->to, f->key.hash)) {
		if (!a->to->known[0].name.len)
			upstream_refuses_all(a->to, now_ms);
		else if (!a->to->checks)
			check_start(r, now_ms, f->routes, a->to, NULL);
	}
	flight_drop_upstream(r, now_ms, f, a->to);
}

/* A backup's "there is none": kept while a preferred upstream may say otherwise. */
static bool negative_keep(
	struct resolver *r, struct flight *f, struct attempt *a, const struct answer *got, uint64_t until_ms)
{
	if (!until_ms || (got->rcode != DNS_NXDOMAIN && got->complete))
		return false;
	if (!f->kept && (f->kept = malloc(got->len + DNS_OPT_LEN))) {
		memcpy(f->kept, r->clean, got->len);
		f->kept_len = got->len;
		f->kept_until_ms = until_ms;
		f->kept_rank = (uint8_t)flight_rank(f, a->to);
	}
	if (!f->kept)
		return false;
	f->order[flight_rank(f, a->to)].failed = true;
	attempt_stop(r, f, a);
	flight_due_set(r, f);
	return true;
}

/* What came when everybody had his reply: a preferred upstream's word is for the next who asks. */
static void late_received(
	struct resolver *r, uint64_t now_ms, struct flight *f, struct attempt *a, const struct answer *got)
{
	if (got->rcode == DNS_NOERROR || got->rcode == DNS_NXDOMAIN) {
		struct cache_key ck = flight_cache_key(&f->key);
		if (!got->truncated && !flight_preferred_until(f, flight_rank(f, a->to), now_ms))
			cache_put(r->cache, &ck, now_ms, query_life(r, &f->key.name, got->ttl_s), r->clean,
				got->len);
	}
	flight_drop_upstream(r, now_ms, f, a->to);
}

static void answer_received(
	struct resolver *r, uint64_t now_ms, struct flight *f, struct attempt *a, const struct answer *got)
{
	if (got->truncated) {
		partial_keep(f, r->clean, got->len);
		ask_again(r, now_ms, f, a, (struct attempt_how) { .tcp = true });
		return;
	}
	bool plain = !a->edns && now_ms >= a->to->plain_until_ms;
	if (!is_answer(got)) {
		if (!mixed_case_failed(r, now_ms, f, a))
			error_received(r, now_ms, f, a, got);
		return;
	}
	if (plain) /* it answers without EDNS what it would not with */
		a->to->plain_until_ms = now_ms + PLAIN_MS;
	unsigned rank = flight_rank(f, a->to);
	uint64_t preferred_ms = flight_preferred_until(f, rank, now_ms);
	if (negative_keep(r, f, a, got, preferred_ms))
		return;
	struct cache_key ck = flight_cache_key(&f->key);
	if (!preferred_ms)
		cache_put(r->cache, &ck, now_ms, query_life(r, &f->key.name, got->ttl_s), r->clean, got->len);
	attempt_stop(r, f, a);
	flight_land(r, now_ms, f,
		&(struct landing) { .msg = r->clean, .len = got->len, .rcode = got->rcode, .ede = got->ede },
		rank);
}

/* Any answer will do: upstream_heard was told. */
static void check_received(
	struct resolver *r, uint64_t now_ms, struct flight *f, struct attempt *a, const struct answer *got)
{
	if (!f->canary && got->rcode == DNS_REFUSED && a->to->refusals == REFUSALS_MAX)
		upstream_refuses_all(a->to, now_ms);
	flight_end(r, now_ms, f);
}

/* A name of strangers that leads into the network around us lets their pages talk to what is there. Their answer
 * becomes "there is none", with a reason, before anybody sees it. Not from servers of a site, nor by a route of its
 * own: there, such addresses are what is asked for. */
static void private_refuse(
	struct resolver *r, const struct flight *f, const struct attempt *a, struct answer *got)
{
	const struct routes *routes = f->routes;
	struct dns_ask asked = { .type = f->key.type, .name = &f->key.name };
	unsigned labels;
	if (!routes->refuse_private || f->checks || f->key.route->suffix.len > 1 || a->to->site ||
		!got->len || !answer_has_private(r->clean, got->len, &r->dns64) ||
		suffixes_longest(routes->private_ok, &f->key.name, &labels) >= 0)
		return;
	r->stats.rebinding++;
	got->truncated = false;
	got->ttl_s = BARE_NEGATIVE_TTL_S;
	got->ede = EDE_BLOCKED;
	got->len = answer_error_write(r->clean, &asked, DNS_NOERROR, EDE_BLOCKED);
}

/* The wait goes on: a forged packet must not end it for the real one. */
static void wrong_received(
	struct resolver *r, uint64_t now_ms, struct flight *f, struct attempt *a, enum answer_read verdict)
{
	++*(verdict == ANSWER_MISMATCH	       ? &r->stats.upstream_mismatch
		: verdict == ANSWER_OTHER_CASE ? &r->stats.upstream_case
					       : &r->stats.upstream_malformed);
	if (attempt_is_stream(a)) {
		if (!mixed_case_failed(r, now_ms, f, a))
			flight_drop_upstream(r, now_ms, f, a->to);
		return;
	}
	if (verdict == ANSWER_OTHER_CASE)
		mixed_case_changed(r, now_ms, f, a);
	if (++a->bad < BAD_PACKETS_MAX)
		return;
	if (!a->settles && mixed_case_settles(f, a->to)) /* by TCP already, or where that failed */
		attempt_stop(r, f, a);
	else
		ask_again(r, now_ms, f, a, (struct attempt_how) { .tcp = true });
}

void resolver_upstream_received(
	struct resolver *r, uint64_t now_ms, uint64_t id, const uint8_t *msg, size_t len)
{
	struct flight *f;
	struct attempt *a = attempt_find(r, id, &f);
	struct answer got BUF_UNSET;
	if (!a)
		return;
	upstream_heard(a->to, now_ms);
	enum answer_read verdict = mixed_case_read(r, now_ms, f, a, msg, len, &got);
	if (verdict == ANSWER_OK && got.truncated && attempt_is_stream(a)) /* nothing could be cut there */
		verdict = ANSWER_MALFORMED;
	if (verdict != ANSWER_OK) {
		wrong_received(r, now_ms, f, a, verdict);
		return;
	}
	bool answered = is_answer(&got);
	private_refuse(r, f, a, &got);
	if (!got.no_question && (answered || !a->tcp))
		mixed_case_learn(r, now_ms, f, a);
	if (answered && !f->canary)
		upstream_answered(a->to, now_ms, a->sent_ms, &f->key.name, f->key.type);
	if (f->checks)
		check_received(r, now_ms, f, a, &got);
	else if (f->lingering)
		late_received(r, now_ms, f, a, &got);
	else
		answer_received(r, now_ms, f, a, &got);
}

void resolver_upstream_failed(struct resolver *r, uint64_t now_ms, uint64_t id, int code)
{
	struct flight *f;
	struct attempt *a = attempt_find(r, id, &f);
	if (!a)
		return;
	r->stats.upstream_failed++;
	if (a->to->validates) {
		flight_drop_upstream(r, now_ms, f, a->to);
		return;
	}
	if (mixed_case_failed(r, now_ms, f, a))
		return;
	bool ours = code == -EMFILE || code == -ENFILE || code == -ENOMEM || code == -ENOBUFS;
	bool spoke = a->to->secure && (code == -EPROTO || code == ERR_MALFORMED); /* an error of HTTP, say */
	if (spoke)
		upstream_heard(a->to, now_ms);
	else if (!a->tcp && !ours) /* many servers are closed to TCP and well otherwise */
		upstream_rejected(a->to, now_ms);
	if (!ours && !a->tcp)
		a->to->fault = code;
	f->own_trouble |= ours;
	f->untrusted |= code == ERR_CRYPTO;
	if (f->ede == EDE_NONE)
		f->ede = ours ? EDE_OTHER : EDE_NETWORK;
	flight_drop_upstream(r, now_ms, f, a->to);
}
