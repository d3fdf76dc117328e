/* The way of one question.
 *
 *   ready     ready.c; what the zone answered to the same datagram before, for as long as it would say it again
 *   read      message.c; what is not one well-formed question ends here
 *   zone      a name that has a record here, or that nobody else may speak for (query_zone_speaks), is
 *             answered here; CNAMEs are followed as long as they stay
 *   policy    policy.c: may the name leave, and to whom. What may not is answered here, and no list has a say
 *   block     block.c: a name that nobody here is to reach. Looked at again for each CNAME of an answer.
 *             What is blocked may be still to come: the question waits (hold.c), and then begins anew
 *   route     the longest suffix; equal to a suffix of the zone or longer, it takes the names without a record
 *   cache     of that route; what it has past its time serves when there is nothing newer (stale_find)
 *   upstream  flight.c; the question is parked as a waiter until query_done
 *
 * What an upstream says is a chain of CNAMEs and its end. Where the chain enters what the zone speaks for,
 * the zone goes on, whatever the upstream has said beyond. Where it leaves the suffix of the route that was
 * asked, unfinished, the next route is asked (`before` keeps the chain so far). A question ends in one reply:
 * query_finish for what is known at once, query_done for what had to be asked. */
#include "mesh/base/buf.h"
#include "resolver/chain.h"
#include "resolver/dns64.h"
#include "resolver/local_zone.h"
#include "resolver/policy.h"
#include "resolver/report.h"
#include "resolver/zone_answer.h"

#include <stdlib.h>

enum { FOUR_AFTER_MS = 1000 };

struct asking { /* one question on its way */
	uint64_t now_ms, client, began_ms;
	enum resolver_source source; /* of what is about to be said */
	const struct dns_query *q;
	struct dns_writer d; /* into r->out */
	uint8_t *before; /* owned: a clean message, the chain so far that led out of a route; NULL: none */
	size_t before_len;
	unsigned hops;	    /* routes that the chain left */
	uint32_t four_s;    /* A is asked for, to be AAAA for so long at most (dns64.h); 0: no */
	const uint8_t *msg; /* as it came; NULL: its answer is not to be kept ready */
	size_t len;
};

/* ---- ends ---- */

static void send_reply(struct resolver *r, const struct asking *k, size_t len)
{
	unsigned rcode = r->out[3] & 15;
	if (rcode == DNS_NXDOMAIN)
		r->stats.nxdomain++;
	else if (rcode == DNS_SERVFAIL)
		r->stats.servfail++;
	else if (rcode == DNS_REFUSED)
		r->stats.refused++;
	else if (rcode == DNS_FORMERR)
		r->stats.formerr++;
	r->stats.truncated += r->out[2] >> 1 & 1;
	if (r->ops.told && k->q->question_len) {
		struct resolver_told t = { .client = k->client,
			.name = &k->q->name,
			.type = k->q->type,
			.rcode = (uint16_t)rcode,
			.source = k->source,
			.took_ms = (uint32_t)(k->now_ms - k->began_ms) };
		r->ops.told(r->ops.arg, &t);
	}
	r->ops.reply(r->ops.arg, k->client, r->out, len);
}

static bool query_finish(struct resolver *r, struct asking *k, const struct dns_end *end)
{
	send_reply(r, k, dns_write_end(&k->d, k->q, end));
	return true;
}

/* Only the question and an rcode. */
static bool finish_error(struct resolver *r, struct asking *k, const struct dns_end *end)
{
	dns_write_begin(&k->d, r->out, sizeof(r->out), k->q);
	return query_finish(r, k, end);
}

/* ---- ready answers ---- */

/* The answer that such a question got before. false: it goes its way. */
static bool ready_reply(struct resolver *r, struct asking *k, struct dns_query *q)
{
	uint64_t changes = zone_changes(r->zone);
	if (changes != r->ready_of_changes)
		ready_forget(r->ready);
	r->ready_of_changes = changes;
	size_t len = ready_find(r->ready, k->msg, k->len, r->out, &q->name);
	if (!len || (r->ops.may_have && !r->ops.may_have(r->ops.arg, k->client)))
		return false;
	q->question_len = (uint16_t)(q->name.len + 4);
	q->type = (uint16_t)be_get(k->msg + DNS_HEADER + q->name.len, 2);
	r->stats.local++;
	k->source = RESOLVER_FROM_ZONE;
	send_reply(r, k, len);
	return true;
}

/* What the zone says. It is kept, unless it differs from time to time, or from client to client, or somebody may be found
 * out. */
static bool finish_zone(struct resolver *r, struct asking *k, const struct dns_end *end, bool differs)
{
	size_t len = dns_write_end(&k->d, k->q, end);
	r->stats.local++;
	k->source = RESOLVER_FROM_ZONE;
	if (k->msg && !differs && !check_is_like_canary(&k->q->name))
		ready_keep(r->ready, k->msg, k->len, &k->q->name, r->out, len);
	send_reply(r, k, len);
	return true;
}

/* ---- block ---- */

static enum block_verdict judge(
	const struct resolver *r, const struct asking *k, const struct dns_name *name, unsigned *by)
{
	if (!r->block)
		return BLOCK_PASS;
	uint32_t lists = r->ops.lists ? r->ops.lists(r->ops.arg, k->client) : UINT32_MAX;
	return block_judge(r->block, lists, name, by);
}

/* Nobody knows yet whether it is blocked. */
static bool waits_for_lists(const struct resolver *r, const struct asking *k)
{
	return r->block_waits && (!r->ops.lists || r->ops.lists(r->ops.arg, k->client));
}

static bool finish_blocked(struct resolver *r, struct asking *k, unsigned by)
{
	struct dns_end end = { .ede_text = block_list_name(r->block, by) };
	r->stats.blocked++;
	k->source = RESOLVER_FROM_BLOCK;
	dns_write_begin(&k->d, r->out, sizeof(r->out), k->q);
	block_answer_write(&k->d, k->q, &r->block_answer, &end);
	return query_finish(r, k, &end);
}

/* ---- policy and route ---- */

/* A name that does not leave. */
static void policy_write(
	struct asking *k, const struct dns_name *name, const struct policy *p, struct dns_end *end)
{
	if (p->verdict == POLICY_LOCALHOST && local_zone_localhost_write(&k->d, name, k->q->type))
		return;
	bool exists = p->verdict == POLICY_NODATA || p->verdict == POLICY_LOCALHOST;
	end->rcode = exists ? DNS_NOERROR : DNS_NXDOMAIN;
	if (p->apex) {
		zone_answer_soa(&k->d, p->apex);
		return;
	}
	end->flags = 0;
	end->ede = EDE_OTHER;
	end->ede_text = "single label: add a search domain";
}

/* Only we know some names, or know what is blocked, or will: browsers and phones are asked to stay. */
static bool keeps_clients(const struct resolver *r)
{
	return r->routes->split || r->block || r->block_waits;
}

struct way { /* where a name that is not in the zone goes */
	struct policy policy;
	const struct route *route; /* with POLICY_PASS; NULL: there is none for it */
	unsigned routed;	   /* labels of its suffix, 0: it is the default one */
};

static struct way way_choose(const struct resolver *r, const struct dns_name *name, uint16_t type)
{
	struct policy_question asked = { .name = name, .type = type, .split = keeps_clients(r) };
	int number = suffixes_longest(r->routes->index, name, &asked.routed);
	struct way w = { policy_judge(&r->special, &asked), number < 0 ? NULL : &r->routes->list[number],
		asked.routed };
	if (w.policy.verdict == POLICY_SITE && r->routes->site) {
		w.route = r->routes->site;
		w.policy.verdict = POLICY_PASS;
	}
	return w;
}

const struct route *query_route(const struct resolver *r, const struct dns_name *name, uint16_t type)
{
	struct way w = way_choose(r, name, type);
	return w.policy.verdict == POLICY_PASS ? w.route : NULL;
}

/* What there is to say is known without anybody being asked, and no list has a say in it. */
static bool way_ends_here(const struct way *w)
{
	return w->policy.verdict != POLICY_PASS || (w->route && w->routed && !w->route->n);
}

bool query_ends_here(const struct resolver *r, const struct dns_name *name, uint16_t type)
{
	struct way w = way_choose(r, name, type);
	return way_ends_here(&w);
}

static bool finish_here(
	struct resolver *r, struct asking *k, const struct dns_name *name, const struct way *w)
{
	struct dns_end end = { .flags = DNS_AA, .ede = EDE_NONE };
	r->stats.local++;
	k->source = RESOLVER_FROM_RULES;
	if (w->policy.verdict != POLICY_PASS) {
		policy_write(k, name, &w->policy, &end);
		return query_finish(r, k, &end);
	}
	end.rcode = dns_name_equal(name, &w->route->suffix) ? DNS_NOERROR : DNS_NXDOMAIN;
	zone_answer_soa(&k->d, &w->route->suffix);
	return query_finish(r, k, &end);
}

static bool finish_nobody(struct resolver *r, struct asking *k)
{
	r->stats.local++;
	k->source = RESOLVER_FROM_RULES;
	return query_finish(r, k,
		&(struct dns_end) {
			.rcode = DNS_SERVFAIL, .ede = EDE_OTHER, .ede_text = "no upstream for this name" });
}

/* ---- answers of upstreams ---- */

/* The records of a clean message after what is already written in d; where the chain leads inward, those of
 * the names before it alone. */
static void records_copy(struct asking *k, const struct cache_item *item, const struct chain *c)
{
	unsigned counts[2] = { (unsigned)be_get(item->msg + 6, 2),
		c->inward ? 0 : (unsigned)be_get(item->msg + 8, 2) };
	size_t at = dns_name_skip(item->msg, item->len, DNS_HEADER) + 4;
	for (unsigned s = 0; s < 2; s++)
		for (struct dns_rr rr; counts[s] && dns_rr_next(item->msg, item->len, &at, &rr);
			counts[s]--) {
			if (c->inward && !chain_is_before_the_end(item, &rr, c))
				continue;
			dns_write_mark(&k->d, s ? DNS_AUTHORITY : DNS_ANSWER);
			(void)dns_rr_copy(&k->d, item->msg, item->len, &rr, cache_item_ttl(item, rr.ttl_s));
			if (!dns_write_keep(&k->d))
				return;
		}
}

static enum local zone_write(struct resolver *r, struct asking *k, struct dns_name *name, struct dns_end *end)
{
	struct zone_asked asked = { k->client, k->q->type };
	return zone_answer_write(r, &k->d, &asked, name, end);
}

/* What the zone says of a name that an upstream's chain leads to. */
static void inward_write(struct resolver *r, struct asking *k, struct dns_name *name, struct dns_end *end)
{
	enum local l = zone_write(r, k, name, end);
	if (l == LOCAL_WITHHELD)
		end->rcode = DNS_NOERROR; /* of what led there */
	else if (l != LOCAL_DONE)
		end->rcode = DNS_SERVFAIL;
}

/* An upstream's answer as this client's reply. As it is where it can be; put together where a CNAME of ours
 * leads out to it, or one of its own leads into the zone. */
static void upstream_reply(
	struct resolver *r, struct asking *k, const struct cache_item *item, struct chain *c)
{
	struct dns_name chain BUF_UNSET;
	struct dns_end end = { .flags = item->msg[2] << 8 & DNS_TC, .ede = answer_ede(item) };
	if (!c->inward && dns_name_equal(&c->names[0], &k->q->name)) {
		send_reply(r, k, answer_reply(r->out, sizeof(r->out), k->q, item));
		return;
	}
	dns_name_copy(&chain, &k->q->name);
	dns_write_begin(&k->d, r->out, sizeof(r->out), k->q);
	if (zone_write(r, k, &chain, &end) != LOCAL_FOREIGN || !dns_name_equal(&chain, &c->names[0])) {
		/* the zone changed while the question was out */
		finish_error(r, k, &(struct dns_end) { .rcode = DNS_SERVFAIL, .ede = EDE_NOT_READY });
		return;
	}
	end.rcode = item->msg[3] & 15;
	records_copy(k, item, c);
	if (c->inward)
		inward_write(r, k, &c->names[c->n], &end);
	query_finish(r, k, &end);
}

static bool forward(
	struct resolver *r, struct asking *k, const struct dns_name *name, const struct route *route);

/* The route by which the end of an unfinished chain is to be asked, when it is another than the one that gave
 * the chain: servers of one domain need not know the rest of the world. NULL: the answer is what there is. */
static const struct route *route_onward(const struct resolver *r, const struct asking *k,
	const struct cache_item *item, const struct chain *c)
{
	struct policy_question asked = {
		.name = &c->names[c->n], .type = k->q->type, .split = keeps_clients(r)
	};
	unsigned labels;
	bool open = !c->complete && !c->inward && c->n && (item->msg[3] & 15) == DNS_NOERROR;
	if (!open || k->hops == ANSWER_CHAIN_MAX || k->q->type == DNS_CNAME || !k->q->rd)
		return NULL;
	int from = suffixes_longest(r->routes->index, &c->names[c->n - 1], &labels);
	int to = suffixes_longest(r->routes->index, asked.name, &asked.routed);
	if (from == to || to < 0 || !r->routes->list[to].n)
		return NULL;
	return policy_judge(&r->special, &asked).verdict == POLICY_PASS ? &r->routes->list[to] : NULL;
}

/* A name that is not blocked may be the mask of one that is. One that is allowed by itself may lead anywhere, and
 * so may a record of ours. */
static bool chain_is_blocked(
	const struct resolver *r, const struct asking *k, const struct chain *c, unsigned *by)
{
	if (!c->n || !dns_name_equal(&c->names[0], &k->q->name))
		return false;
	for (unsigned i = 1; i < c->n + !c->inward; i++)
		if (judge(r, k, &c->names[i], by) == BLOCK_BLOCKED)
			return judge(r, k, &c->names[0], NULL) != BLOCK_ALLOWED;
	return false;
}

/* Is A asked for where there is no AAAA, and whom? RFC 6147 5.5: not by those who validate. */
static const struct route *four_route(
	const struct resolver *r, const struct asking *k, const struct dns_name *name)
{
	bool wanted = r->dns64.n && k->q->type == DNS_AAAA && k->q->rd && !k->four_s &&
		      !(k->q->dnssec_ok && k->q->cd);
	const struct route *route = wanted ? query_route(r, name, DNS_A) : NULL;
	return route && route->n ? route : NULL;
}

/* Nobody has an IPv6 address for the name at the end of the chain; an error says no more than that (5.1.2). */
static bool is_without_six(const struct cache_item *item, const struct chain *c)
{
	return !c->inward && (item->msg[3] & 15) != DNS_NXDOMAIN && !(item->msg[2] & DNS_TC >> 8) &&
	       (!c->complete || dns64_only_mapped(item));
}

/* What there is so far goes on as `before`. false: memory is short. */
static bool keep_before(struct asking *k, const uint8_t *msg, size_t len)
{
	uint8_t *copy = len ? malloc(len) : NULL;
	if (!copy)
		return false;
	memcpy(copy, msg, len);
	free(k->before);
	k->before = copy;
	k->before_len = len;
	return true;
}

/* The reply to what is whole now, or one more link of the chain. */
static void chain_go_on(struct resolver *r, struct asking *k, const struct cache_item *whole)
{
	struct chain c BUF_UNSET;
	unsigned by = 0;
	chain_walk(r, whole, k->q->type, &c);
	if (c.n > ANSWER_CHAIN_MAX) {
		finish_error(r, k,
			&(struct dns_end) {
				.rcode = DNS_SERVFAIL, .ede = EDE_OTHER, .ede_text = "CNAME loop" });
		return;
	}
	if (chain_is_blocked(r, k, &c, &by)) {
		(void)finish_blocked(r, k, by);
		return;
	}
	const struct route *onward = route_onward(r, k, whole, &c);
	if (onward)
		answer_copy(r->out, whole);
	if (onward && keep_before(k, r->out, whole->len)) {
		k->hops++;
		forward(r, k, &c.names[c.n], onward);
		return;
	}
	bool six = !r->dns64.n || !is_without_six(whole, &c);
	const struct route *four = six ? NULL : four_route(r, k, &c.names[c.n]);
	uint32_t four_s = four ? dns64_ttl(whole) : 0;
	if (four && keep_before(k, r->out, dns64_write(r->out, whole, &r->dns64, four_s))) {
		k->four_s = four_s;
		forward(r, k, &c.names[c.n], four);
		return;
	}
	upstream_reply(r, k, whole, &c);
}

/* What an upstream or the cache says to the last name asked. */
static void upstream_answered_reply(struct resolver *r, struct asking *k, const struct cache_item *item)
{
	struct cache_item before = { .msg = k->before, .len = k->before_len }, whole = { 0 };
	unsigned rcode = item->msg[3] & 15;
	uint8_t *joined;
	if (!k->before) {
		chain_go_on(r, k, item);
		return;
	}
	bool answered = rcode == DNS_NOERROR || rcode == DNS_NXDOMAIN;
	whole.msg = joined = answered ? malloc(DNS_MESSAGE_MAX) : NULL;
	whole.len = joined ? answer_join(joined, &before, item) : 0;
	if (whole.len && k->four_s) {
		whole.len = dns64_write(r->out, &whole, &r->dns64, k->four_s);
		memcpy(joined, r->out, whole.len);
	}
	if (whole.len)
		chain_go_on(r, k, &whole);
	else
		finish_error(r, k,
			&(struct dns_end) {
				.rcode = answered ? DNS_SERVFAIL : rcode, .ede = answer_ede(item) });
	free(joined);
}

/* ---- past its time ---- */

struct cache_life query_life(const struct resolver *r, const struct dns_name *name, uint32_t ttl_s)
{
	struct zone_hit hit BUF_UNSET;
	zone_find(r->zone, name, &hit);
	return (struct cache_life) { ttl_s, hit.verdict == ZONE_FOREIGN ? r->stale_s : 0 };
}

/* An answer past its time, if it may serve now: the zone may have come to own the name meanwhile. */
static bool stale_find(
	const struct resolver *r, uint64_t now_ms, const struct cache_key *ck, struct cache_item *item)
{
	return query_life(r, ck->name, 0).stale_s && cache_find_stale(r->cache, ck, now_ms, item) &&
	       item->stale;
}

static bool stale_reply(struct resolver *r, struct asking *k, const struct cache_item *item)
{
	r->stats.stale++;
	k->source = RESOLVER_FROM_STALE;
	upstream_answered_reply(r, k, item);
	return true;
}

/* Servers fail at AAAA that have A. Where that took long, there is no time for another question. */
static bool four_after_error(struct resolver *r, struct asking *k, const struct dns_name *name)
{
	struct dns_ask asked = { .type = DNS_AAAA, .name = &k->q->name };
	const struct route *four =
		name && k->now_ms - k->began_ms < FOUR_AFTER_MS ? four_route(r, k, name) : NULL;
	if (!four || (!k->before && !keep_before(k, r->out,
					    answer_error_write(r->out, &asked, DNS_NOERROR, EDE_NONE))))
		return false;
	k->four_s = dns64_ttl(&(struct cache_item) { .msg = k->before, .len = k->before_len });
	return forward(r, k, name, four);
}

void waiter_free(struct resolver *r, struct waiter *w)
{
	free(w->before);
	r->out_of[w->who] -= w->counted;
	spare_put(&r->spare_waiters, w, sizeof(*w));
}

void query_done(struct resolver *r, uint64_t now_ms, struct waiter *w, const struct landing *l)
{
	struct asking k BUF_UNSET;
	if (w->search) {
		dns64_search_done(r, now_ms, w, l);
		return;
	}
	struct dns_end end = { .rcode = l->rcode, .ede = l->ede, .ede_text = l->ede_text };
	struct cache_item item = { .msg = l->msg, .len = l->len };
	k.now_ms = now_ms;
	k.client = w->client;
	k.began_ms = w->began_ms;
	k.q = &w->q;
	k.before = w->before;
	k.before_len = w->before_len;
	k.hops = w->hops;
	k.four_s = w->four_s;
	k.msg = NULL;
	w->before = NULL;
	r->n_waiters--;
	k.source = l->msg || l->rcode != DNS_SERVFAIL ? RESOLVER_FROM_UPSTREAM : RESOLVER_FROM_NOWHERE;
	if ((!l->msg || l->truncated) && l->stale && stale_find(r, now_ms, l->stale, &item))
		(void)stale_reply(r, &k, &item);
	else if (l->truncated && w->q.tcp)
		finish_error(r, &k,
			&(struct dns_end) { .rcode = DNS_SERVFAIL,
				.ede = EDE_NO_AUTHORITY,
				.ede_text = "upstream does not answer by TCP" });
	else if (l->msg)
		upstream_answered_reply(r, &k, &item);
	else if (l->rcode == DNS_NXDOMAIN || !four_after_error(r, &k, l->name))
		finish_error(r, &k, &end);
	free(k.before);
	waiter_free(r, w);
}

/* ---- the way ---- */

/* Else one who asks for names of silent nameservers takes all places, and keeps them as fast as they fall free. */
static bool has_many_out(const struct resolver *r, uint16_t who)
{
	return r->ops.who && r->out_of[who] > MANY_OUT;
}

/* NULL: there is no room. */
static struct waiter *waiter_new(struct resolver *r, struct asking *k)
{
	uint16_t who = r->ops.who ? r->ops.who(r->ops.arg, k->client) : 0;
	size_t most = has_many_out(r, who) ? WAITERS_MAX - WAITERS_KEPT : WAITERS_MAX;
	while (r->n_waiters == WAITERS_MAX && flights_yield(r, k->now_ms))
		;
	struct waiter *w = r->n_waiters < most ? spare_get(&r->spare_waiters, sizeof(*w)) : NULL;
	if (!w)
		return NULL;
	memset(w, 0, offsetof(struct waiter, q));
	w->client = k->client;
	w->began_ms = k->began_ms;
	w->before = k->before;
	w->before_len = k->before_len;
	w->hops = (uint8_t)k->hops;
	w->four_s = k->four_s;
	dns_query_copy(&w->q, k->q);
	k->before = NULL;
	w->who = who;
	w->counted = true;
	r->out_of[who]++;
	r->n_waiters++;
	return w;
}

static bool finish_full(struct resolver *r, struct asking *k)
{
	r->stats.drop_full++;
	return finish_error(r, k,
		&(struct dns_end) {
			.rcode = DNS_SERVFAIL, .ede = EDE_OTHER, .ede_text = "too many questions at once" });
}

static bool hold(struct resolver *r, struct asking *k)
{
	struct waiter *w = waiter_new(r, k);
	if (!w)
		return finish_full(r, k);
	hold_add(r, w);
	return true;
}

static bool park(struct resolver *r, struct asking *k, const struct flight_key *key, bool stale)
{
	struct waiter *w = waiter_new(r, k);
	if (w) {
		w->stale = stale;
		if (flight_join(r, key, w)) {
			r->stats.merged++;
			return true;
		}
		r->stats.forwarded++;
		unsigned kept = has_many_out(r, w->who) ? FLIGHTS_KEPT : 0;
		if ((r->n_free > kept || flights_yield(r, k->now_ms)) && flight_start(r, k->now_ms, key, w))
			return true;
		r->n_waiters--;
		waiter_free(r, w);
	}
	return finish_full(r, k);
}

/* A limit was reached at all of them, or they do not want us: asking on would only make it longer. */
static bool route_refuses(const struct route *route, uint64_t now_ms)
{
	bool all = true;
	for (unsigned i = 0; i < route->n; i++)
		all = upstream_is_refusing(route->upstreams[i], now_ms) && all;
	return all;
}

static bool forward(
	struct resolver *r, struct asking *k, const struct dns_name *name, const struct route *route)
{
	struct flight_key key BUF_UNSET;
	key.route = route;
	key.type = k->four_s ? DNS_A : k->q->type;
	key.dnssec_ok = k->q->dnssec_ok;
	key.checking_disabled = k->q->cd;
	dns_name_copy(&key.name, name);
	flight_key_hash(r, &key);
	struct cache_key ck = flight_cache_key(&key);
	struct cache_item item;
	bool known = cache_find_stale(r->cache, &ck, k->now_ms, &item);
	if (known && !item.stale) {
		bool refresh = item.refresh && k->q->rd && !route_is_in_doubt(route);
		r->stats.cached++;
		k->source = RESOLVER_FROM_CACHE;
		upstream_answered_reply(r, k, &item);
		r->stats.prefetched += refresh && flight_refresh(r, k->now_ms, &key);
		return true;
	}
	if (!k->q->rd)
		return finish_error(r, k, &(struct dns_end) { .rcode = DNS_REFUSED, .ede = EDE_NONE });
	check_route(r, k->now_ms, route);
	bool stale = known && query_life(r, name, 0).stale_s;
	if (stale && item.tried)
		return stale_reply(r, k, &item);
	bool refuses = route_refuses(route, k->now_ms);
	if (stale && (refuses || route_is_in_doubt(route))) { /* nobody is worth waiting for */
		if (!refuses)
			(void)flight_refresh(r, k->now_ms, &key);
		if (stale_find(r, k->now_ms, &ck, &item))
			return stale_reply(r, k, &item);
	}
	if (refuses)
		return finish_error(r, k,
			&(struct dns_end) { .rcode = DNS_REFUSED,
				.ede = EDE_PROHIBITED,
				.ede_text = "every nameserver of this name refuses this machine" });
	return park(r, k, &key, stale);
}

static bool answer(struct resolver *r, struct asking *k)
{
	struct dns_name *name = &r->leads_to;
	struct dns_end end = { .flags = DNS_AA, .ede = EDE_NONE };
	unsigned by = 0;
	uint32_t turn = r->turn;
	if (!k->q->type) /* B14: nothing can have type 0 */
		return finish_error(r, k, &(struct dns_end) { .ede = EDE_NONE });
	dns_name_copy(name, &k->q->name);
	dns_write_begin(&k->d, r->out, sizeof(r->out), k->q);
	switch (zone_write(r, k, name, &end)) {
	case LOCAL_DONE: return finish_zone(r, k, &end, r->turn != turn);
	case LOCAL_WITHHELD:
		if (end.rcode == DNS_REFUSED)
			end.flags = 0;
		return finish_zone(r, k, &end, true);
	case LOCAL_LOOP:
		return finish_error(r, k,
			&(struct dns_end) {
				.rcode = DNS_SERVFAIL, .ede = EDE_OTHER, .ede_text = "CNAME loop" });
	case LOCAL_FOREIGN: break;
	}
	struct way w = way_choose(r, name, k->q->type);
	if (way_ends_here(&w))
		return finish_here(r, k, name, &w);
	bool own = !dns_name_equal(name, &k->q->name); /* a record of ours leads there */
	if (!own && waits_for_lists(r, k))
		return hold(r, k);
	if (!own && judge(r, k, name, &by) == BLOCK_BLOCKED)
		return finish_blocked(r, k, by);
	return w.route && w.route->n ? forward(r, k, name, w.route) : finish_nobody(r, k);
}

bool resolver_query(
	struct resolver *r, uint64_t now_ms, uint64_t client, const uint8_t *msg, size_t len, bool tcp)
{
	struct dns_query *q = &r->asked;
	struct asking k BUF_UNSET;
	k.now_ms = k.began_ms = now_ms;
	k.client = client;
	k.source = RESOLVER_FROM_NOWHERE;
	k.q = q;
	k.before = NULL;
	k.hops = 0;
	k.four_s = 0;
	k.msg = tcp ? NULL : msg;
	k.len = len;
	r->stats.queries++;
	if (k.msg && ready_reply(r, &k, q))
		return true;
	switch (dns_query_read(msg, len, tcp, q)) {
	case DNS_READ_SHORT: r->stats.drop_short++; return false;
	case DNS_READ_RESPONSE: r->stats.drop_response++; return false;
	case DNS_READ_ERROR:
		return finish_error(r, &k, &(struct dns_end) { .rcode = q->rcode, .ede = EDE_NONE });
	case DNS_READ_OK: break;
	}
	if (check_canary_came(r, now_ms, &q->name)) /* a ring ends here */
		return finish_error(r, &k, &(struct dns_end) { .rcode = DNS_REFUSED, .ede = EDE_PROHIBITED });
	(void)answer(r, &k);
	free(k.before);
	return true;
}

void query_resume(struct resolver *r, uint64_t now_ms, struct waiter *w)
{
	struct asking k = { .now_ms = now_ms,
		.client = w->client,
		.began_ms = w->began_ms,
		.source = RESOLVER_FROM_NOWHERE,
		.q = &w->q };
	r->n_waiters--;
	(void)answer(r, &k);
	free(k.before);
	waiter_free(r, w);
}

void resolver_client_gone(struct resolver *r, uint64_t client)
{
	flights_forget(r, client);
	hold_forget(r, client);
}
