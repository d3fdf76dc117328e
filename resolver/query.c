/* The way of one question.
 *
 *   read      message.c; what is not one well-formed question ends here
 *   zone      a name that has a record here, or that nobody else may speak for (zone_speaks), is answered
 *             here; CNAMEs are followed as long as they stay
 *   policy    policy.c: may the name leave, and to whom
 *   route     the longest suffix; equal to a suffix of the zone or longer, it takes the names without a record
 *   cache     of that route
 *   upstream  flight.c; the question is parked as a waiter until query_done
 *
 * What an upstream says is a chain of CNAMEs and its end. Where the chain enters what the zone speaks for,
 * the zone goes on, whatever the upstream has said beyond. Where it leaves the suffix of the route that was
 * asked, unfinished, the next route is asked (`before` keeps the chain so far). A question ends in one reply:
 * query_finish for what is known at once, query_done for what had to be asked. */
#include "resolver/core.h"
#include "resolver/policy.h"

#include <stdlib.h>

struct asking { /* one question on its way */
	uint64_t now_ms, client;
	const struct dns_query *q;
	struct dns_writer d; /* into r->out */
	uint8_t *before; /* owned: a clean message, the chain so far that led out of a route; NULL: none */
	size_t before_len;
	unsigned hops; /* routes that the chain left */
};

/* ---- ends ---- */

static void send_reply(struct resolver *r, uint64_t client, size_t len)
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
	r->ops.reply(r->ops.arg, client, r->out, len);
}

static bool query_finish(struct resolver *r, struct asking *k, const struct dns_end *end)
{
	send_reply(r, k->client, dns_write_end(&k->d, k->q, end));
	return true;
}

/* Only the question and an rcode. */
static bool finish_error(struct resolver *r, struct asking *k, const struct dns_end *end)
{
	dns_write_begin(&k->d, r->out, sizeof(r->out), k->q);
	return query_finish(r, k, end);
}

static void soa_write(struct dns_writer *d, const struct dns_name *apex)
{
	dns_write_mark(d, DNS_AUTHORITY);
	zone_soa_write(d, apex);
	(void)dns_write_keep(d);
}

/* ---- zone ---- */

enum local {
	LOCAL_DONE,
	LOCAL_FOREIGN, /* the name (or what a CNAME led to) is not ours */
	LOCAL_LOOP,
};

static void set_write(struct resolver *r, struct dns_writer *d, const struct dns_name *owner,
	const struct zone_rr *const *set, uint32_t n)
{
	uint32_t from = n > 1 ? r->turn++ % n : 0; /* clients take the first: spread them */
	dns_write_mark(d, DNS_ANSWER);
	for (uint32_t i = 0; i < n; i++) {
		const struct zone_rr *rr = set[(from + i) % n];
		size_t at = dns_write_rr(d, owner, rr->type, r->mesh_ttl_s);
		wr_bytes(&d->w, rr->rdata, rr->len);
		dns_write_rr_end(d, at);
	}
	(void)dns_write_keep(d);
}

/* The apex of an authority has an SOA and an NS though nobody gave them; without them NXDOMAIN logic of
 * others kills every name below. */
static bool apex_write(struct dns_writer *d, const struct dns_name *apex, uint16_t type)
{
	if (type != DNS_SOA && type != DNS_NS)
		return false;
	dns_write_mark(d, DNS_ANSWER);
	if (type == DNS_SOA) {
		zone_soa_write(d, apex);
	} else {
		size_t at = dns_write_rr(d, apex, DNS_NS, ZONE_NEGATIVE_TTL_S);
		dns_write_name(d, apex, true);
		dns_write_rr_end(d, at);
	}
	(void)dns_write_keep(d);
	return true;
}

/* A route as long as the zone's own suffix, or longer, takes over the names that have no record here:
 * somebody configured it for just those. The default route is nobody's word on any name. */
static bool route_wins(const struct resolver *r, const struct dns_name *name, unsigned apex_labels)
{
	unsigned labels;
	int number = suffixes_longest(r->routes->index, name, &labels);
	if (number < 0 || !labels || labels < apex_labels)
		return false;
	return labels > apex_labels || r->routes->list[number].n;
}

/* Is it the zone that speaks for this name? */
static bool zone_speaks(const struct resolver *r, const struct dns_name *name, struct zone_hit *hit)
{
	zone_find(r->zone, name, hit);
	bool empty = hit->verdict == ZONE_NO_NAME || (!hit->n && !hit->is_apex);
	return hit->verdict != ZONE_FOREIGN && !(empty && route_wins(r, name, hit->apex_labels));
}

/* Writes what the zone knows about *name, following its CNAMEs; *name ends as the last of them. */
static enum local zone_write(
	struct resolver *r, struct dns_writer *d, uint16_t type, struct dns_name *name, uint16_t *rcode)
{
	struct zone_hit hit;
	uint32_t n;
	for (unsigned hops = 0; hops <= ANSWER_CHAIN_MAX; hops++) {
		if (!zone_speaks(r, name, &hit))
			return LOCAL_FOREIGN;
		const struct zone_rr *const *set = zone_set(&hit, type, &n);
		if (n) {
			*rcode = DNS_NOERROR;
			set_write(r, d, name, set, n);
			return LOCAL_DONE;
		}
		set = zone_set(&hit, DNS_CNAME, &n);
		size_t next;
		if (!n) {
			*rcode = hit.verdict == ZONE_NO_NAME ? DNS_NXDOMAIN : DNS_NOERROR;
			if (!hit.is_apex || !apex_write(d, &hit.apex, type))
				soa_write(d, &hit.apex);
			return LOCAL_DONE;
		}
		set_write(r, d, name, set, 1);
		if (!dns_name_expand(set[0]->rdata, set[0]->len, 0, name, &next))
			return LOCAL_LOOP;
		dns_name_fold(name);
	}
	return LOCAL_LOOP;
}

/* ---- policy and route ---- */

static bool localhost_write(struct dns_writer *d, const struct dns_name *name, uint16_t type)
{
	static const uint8_t loopback[16] = { [15] = 1 };
	if (type != DNS_A && type != DNS_AAAA)
		return false;
	dns_write_mark(d, DNS_ANSWER);
	size_t at = dns_write_rr(d, name, type, ZONE_NEGATIVE_TTL_S);
	if (type == DNS_A)
		wr_bytes(&d->w, "\177\0\0\1", 4);
	else
		wr_bytes(&d->w, loopback, 16);
	dns_write_rr_end(d, at);
	(void)dns_write_keep(d);
	return true;
}

/* A name that does not leave. */
static void policy_write(
	struct asking *k, const struct dns_name *name, const struct policy *p, struct dns_end *end)
{
	if (p->verdict == POLICY_LOCALHOST && localhost_write(&k->d, name, k->q->type))
		return;
	bool exists = p->verdict == POLICY_NODATA || p->verdict == POLICY_LOCALHOST;
	end->rcode = exists ? DNS_NOERROR : DNS_NXDOMAIN;
	if (p->apex) {
		soa_write(&k->d, p->apex);
		return;
	}
	end->flags = 0;
	end->ede = EDE_OTHER;
	end->ede_text = "single label: add a search domain";
}

/* Where a name that is not in the zone goes: true and *route, or false after writing what there is to say. */
static bool route_find(struct resolver *r, struct asking *k, const struct dns_name *name,
	const struct route **route, struct dns_end *end)
{
	struct policy_question asked = { .name = name, .type = k->q->type, .split = r->routes->split };
	int number = suffixes_longest(r->routes->index, name, &asked.routed);
	*route = number < 0 ? NULL : &r->routes->list[number];
	struct policy p = policy_judge(&r->special, &asked);
	if (p.verdict == POLICY_SITE && r->routes->site) {
		*route = r->routes->site;
		p.verdict = POLICY_PASS;
	}
	if (p.verdict != POLICY_PASS) {
		policy_write(k, name, &p, end);
		return false;
	}
	if (!*route || (!(*route)->n && !asked.routed)) {
		*end = (struct dns_end) {
			.rcode = DNS_SERVFAIL, .ede = EDE_OTHER, .ede_text = "no upstream for this name"
		};
		return false;
	}
	if ((*route)->n)
		return true;
	end->rcode = dns_name_equal(name, &(*route)->suffix) ? DNS_NOERROR : DNS_NXDOMAIN;
	soa_write(&k->d, &(*route)->suffix);
	return false;
}

/* ---- answers of upstreams ---- */

/* The CNAMEs of a clean message from the name it was asked for, up to where somebody else speaks. */
struct chain {
	struct dns_name names[ANSWER_CHAIN_MAX + 2]; /* names[n] is where it stands */
	unsigned n;
	bool inward;   /* names[n] is ours: what the upstream says of it and beyond does not count */
	bool complete; /* names[n] has records of the type here */
};

static bool owner_is(const struct cache_item *item, const struct dns_rr *rr, const struct dns_name *name)
{
	struct dns_name owner;
	size_t next;
	return dns_name_expand(item->msg, item->len, rr->name_at, &owner, &next) &&
	       dns_name_equal(&owner, name);
}

/* The CNAME of a name in the answer section, into *to. Sets *complete when the name has the type itself. */
static bool link_find(const struct cache_item *item, uint16_t type, const struct dns_name *name,
	struct dns_name *to, bool *complete)
{
	size_t at = dns_name_skip(item->msg, item->len, DNS_HEADER) + 4, next;
	struct dns_rr rr, cname = { 0 };
	for (unsigned n = (unsigned)be_get(item->msg + 6, 2);
		n && dns_rr_next(item->msg, item->len, &at, &rr); n--) {
		if (!owner_is(item, &rr, name))
			continue;
		*complete = *complete || rr.type == type || type == DNS_ANY;
		if (rr.type == DNS_CNAME)
			cname = rr;
	}
	return !*complete && cname.type && dns_name_expand(item->msg, item->len, cname.rdata_at, to, &next);
}

static void chain_walk(
	const struct resolver *r, const struct cache_item *item, uint16_t type, struct chain *c)
{
	struct zone_hit hit;
	size_t next;
	c->n = 0;
	c->inward = c->complete = false;
	if (!dns_name_expand(item->msg, item->len, DNS_HEADER, &c->names[0], &next))
		return;
	while (c->n <= ANSWER_CHAIN_MAX &&
		link_find(item, type, &c->names[c->n], &c->names[c->n + 1], &c->complete)) {
		dns_name_fold(&c->names[++c->n]);
		c->inward = zone_speaks(r, &c->names[c->n], &hit);
		if (c->inward)
			return;
	}
}

static bool is_before_the_end(const struct cache_item *item, const struct dns_rr *rr, const struct chain *c)
{
	for (unsigned i = 0; i < c->n; i++)
		if (owner_is(item, rr, &c->names[i]))
			return true;
	return false;
}

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
			if (c->inward && !is_before_the_end(item, &rr, c))
				continue;
			dns_write_mark(&k->d, s ? DNS_AUTHORITY : DNS_ANSWER);
			(void)dns_rr_copy(&k->d, item->msg, item->len, &rr,
				rr.ttl_s > item->age_s ? rr.ttl_s - item->age_s : 0);
			if (!dns_write_keep(&k->d))
				return;
		}
}

/* An upstream's answer as this client's reply. As it is where it can be; put together where a CNAME of ours
 * leads out to it, or one of its own leads into the zone. */
static void upstream_reply(
	struct resolver *r, struct asking *k, const struct cache_item *item, struct chain *c)
{
	struct dns_name chain = k->q->name;
	struct dns_end end = { .flags = item->msg[2] << 8 & DNS_TC, .ede = (uint16_t)be_get(item->msg, 2) };
	if (!c->inward && dns_name_equal(&c->names[0], &k->q->name)) {
		send_reply(r, k->client,
			answer_reply(r->out, sizeof(r->out), k->q, item->msg, item->len, item->age_s));
		return;
	}
	dns_write_begin(&k->d, r->out, sizeof(r->out), k->q);
	if (zone_write(r, &k->d, k->q->type, &chain, &end.rcode) != LOCAL_FOREIGN ||
		!dns_name_equal(&chain, &c->names[0])) {
		/* the zone changed while the question was out */
		finish_error(r, k, &(struct dns_end) { .rcode = DNS_SERVFAIL, .ede = EDE_NOT_READY });
		return;
	}
	end.rcode = item->msg[3] & 15;
	records_copy(k, item, c);
	if (c->inward && zone_write(r, &k->d, k->q->type, &c->names[c->n], &end.rcode) != LOCAL_DONE)
		end.rcode = DNS_SERVFAIL;
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
		.name = &c->names[c->n], .type = k->q->type, .split = r->routes->split
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

/* The reply to what is whole now, or one more link of the chain. */
static void chain_go_on(struct resolver *r, struct asking *k, const struct cache_item *whole)
{
	struct chain c;
	chain_walk(r, whole, k->q->type, &c);
	if (c.n > ANSWER_CHAIN_MAX) {
		finish_error(r, k,
			&(struct dns_end) {
				.rcode = DNS_SERVFAIL, .ede = EDE_OTHER, .ede_text = "CNAME loop" });
		return;
	}
	const struct route *onward = route_onward(r, k, whole, &c);
	uint8_t *copy = onward ? malloc(whole->len) : NULL;
	if (!copy) {
		upstream_reply(r, k, whole, &c);
		return;
	}
	memcpy(copy, whole->msg, whole->len);
	free(k->before);
	k->before = copy;
	k->before_len = whole->len;
	k->hops++;
	forward(r, k, &c.names[c.n], onward);
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
	if (whole.len)
		chain_go_on(r, k, &whole);
	else
		finish_error(r, k,
			&(struct dns_end) { .rcode = answered ? DNS_SERVFAIL : rcode,
				.ede = (uint16_t)be_get(item->msg, 2) });
	free(joined);
}

void waiter_free(struct waiter *w)
{
	free(w->before);
	free(w);
}

void query_done(struct resolver *r, uint64_t now_ms, struct waiter *w, const struct landing *l)
{
	struct asking k = { .now_ms = now_ms, .client = w->client, .q = &w->q };
	struct dns_end end = { .rcode = l->rcode, .ede = l->ede, .ede_text = l->ede_text };
	struct cache_item item = { .msg = l->msg, .len = l->len };
	k.before = w->before;
	k.before_len = w->before_len;
	k.hops = w->hops;
	w->before = NULL;
	r->n_waiters--;
	if (l->truncated && w->q.tcp)
		finish_error(r, &k,
			&(struct dns_end) { .rcode = DNS_SERVFAIL,
				.ede = EDE_NO_AUTHORITY,
				.ede_text = "upstream does not answer by TCP" });
	else if (l->msg)
		upstream_answered_reply(r, &k, &item);
	else
		finish_error(r, &k, &end);
	free(k.before);
	waiter_free(w);
}

/* ---- the way ---- */

static bool park(struct resolver *r, struct asking *k, const struct flight_key *key)
{
	while (r->n_waiters == WAITERS_MAX && flights_yield(r, k->now_ms))
		;
	struct waiter *w = r->n_waiters < WAITERS_MAX ? malloc(sizeof(*w)) : NULL;
	if (w) {
		*w = (struct waiter) { .client = k->client, .q = *k->q, .hops = (uint8_t)k->hops };
		w->before = k->before;
		w->before_len = k->before_len;
		k->before = NULL;
		r->n_waiters++;
		if (flight_join(r, key, w)) {
			r->stats.merged++;
			return true;
		}
		r->stats.forwarded++;
		if ((r->n_free || flights_yield(r, k->now_ms)) && flight_start(r, k->now_ms, key, w))
			return true;
		r->n_waiters--;
		waiter_free(w);
	}
	r->stats.drop_full++;
	return finish_error(r, k,
		&(struct dns_end) {
			.rcode = DNS_SERVFAIL, .ede = EDE_OTHER, .ede_text = "too many questions at once" });
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
	struct flight_key key = { .route = route,
		.name = *name,
		.type = k->q->type,
		.dnssec_ok = k->q->dnssec_ok,
		.checking_disabled = k->q->cd };
	struct cache_key ck = { .split = route->split,
		.name = name,
		.type = key.type,
		.dnssec_ok = key.dnssec_ok,
		.checking_disabled = key.checking_disabled };
	struct cache_item item;
	if (cache_find(r->cache, &ck, k->now_ms, &item)) {
		r->stats.cached++;
		upstream_answered_reply(r, k, &item);
		return true;
	}
	if (!k->q->rd)
		return finish_error(r, k, &(struct dns_end) { .rcode = DNS_REFUSED, .ede = EDE_NONE });
	check_route(r, k->now_ms, route);
	if (route_refuses(route, k->now_ms))
		return finish_error(r, k,
			&(struct dns_end) { .rcode = DNS_REFUSED,
				.ede = EDE_PROHIBITED,
				.ede_text = "every nameserver of this name refuses this machine" });
	return park(r, k, &key);
}

static bool answer(struct resolver *r, struct asking *k)
{
	struct dns_name name;
	struct dns_end end = { .flags = DNS_AA, .ede = EDE_NONE };
	const struct route *route;
	if (!k->q->type) /* B14: nothing can have type 0 */
		return finish_error(r, k, &(struct dns_end) { .ede = EDE_NONE });
	name.len = k->q->name.len;
	memcpy(name.b, k->q->name.b, name.len);
	dns_write_begin(&k->d, r->out, sizeof(r->out), k->q);
	switch (zone_write(r, &k->d, k->q->type, &name, &end.rcode)) {
	case LOCAL_DONE: r->stats.local++; return query_finish(r, k, &end);
	case LOCAL_LOOP:
		return finish_error(r, k,
			&(struct dns_end) {
				.rcode = DNS_SERVFAIL, .ede = EDE_OTHER, .ede_text = "CNAME loop" });
	case LOCAL_FOREIGN: break;
	}
	if (route_find(r, k, &name, &route, &end))
		return forward(r, k, &name, route);
	r->stats.local++;
	return query_finish(r, k, &end);
}

bool resolver_query(
	struct resolver *r, uint64_t now_ms, uint64_t client, const uint8_t *msg, size_t len, bool tcp)
{
	struct dns_query q;
	struct asking k;
	k.now_ms = now_ms;
	k.client = client;
	k.q = &q;
	k.before = NULL;
	k.hops = 0;
	r->stats.queries++;
	switch (dns_query_read(msg, len, tcp, &q)) {
	case DNS_READ_SHORT: r->stats.drop_short++; return false;
	case DNS_READ_RESPONSE: r->stats.drop_response++; return false;
	case DNS_READ_ERROR:
		return finish_error(r, &k, &(struct dns_end) { .rcode = q.rcode, .ede = EDE_NONE });
	case DNS_READ_OK: break;
	}
	if (check_canary_came(r, now_ms, &q.name)) /* a ring ends here */
		return finish_error(r, &k, &(struct dns_end) { .rcode = DNS_REFUSED, .ede = EDE_PROHIBITED });
	(void)answer(r, &k);
	free(k.before);
	return true;
}

void resolver_client_gone(struct resolver *r, uint64_t client)
{
	flights_forget(r, client);
}
