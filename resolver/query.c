/* The way of one question: parse -> longest suffix -> zone | cache | upstream -> write. Whatever way it
 * takes, it ends in one reply: `finish` for what is known at once, query_done for what had to be asked. */
#include "resolver/core.h"
#include "resolver/policy.h"

#include <stdlib.h>

struct asking { /* one question on its way */
	uint64_t now_ms, client;
	const struct dns_query *q;
	struct dns_writer d; /* into r->out */
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

static bool finish(struct resolver *r, struct asking *k, const struct dns_end *end)
{
	send_reply(r, k->client, dns_write_end(&k->d, k->q, end));
	return true;
}

/* Only the question and an rcode. */
static bool finish_error(struct resolver *r, struct asking *k, const struct dns_end *end)
{
	dns_write_begin(&k->d, r->out, sizeof(r->out), k->q);
	return finish(r, k, end);
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

/* A route that is longer than the zone's own suffix takes over the names that have no record here. */
static bool route_is_deeper(const struct resolver *r, const struct dns_name *name, unsigned apex_labels)
{
	unsigned labels;
	return suffixes_longest(r->routes->index, name, &labels) >= 0 && labels > apex_labels;
}

/* Writes what the zone knows about *name, following its CNAMEs; *name ends as the last of them. */
static enum local zone_write(
	struct resolver *r, struct dns_writer *d, uint16_t type, struct dns_name *name, uint16_t *rcode)
{
	struct zone_hit hit;
	uint32_t n;
	for (unsigned hops = 0; hops <= ANSWER_CHAIN_MAX; hops++) {
		zone_find(r->zone, name, &hit);
		if (hit.verdict == ZONE_FOREIGN)
			return LOCAL_FOREIGN;
		bool empty = hit.verdict == ZONE_NO_NAME || (!hit.n && !hit.is_apex);
		if (empty && route_is_deeper(r, name, hit.apex_labels))
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

/* Does a clean message end in a CNAME to something it does not have? Then *last is that name. */
static bool is_unfinished(const uint8_t *msg, size_t len, const struct dns_query *q, struct dns_name *last)
{
	unsigned n = (unsigned)be_get(msg + 6, 2);
	size_t at = DNS_HEADER, next;
	struct dns_rr rr, cname = { 0 };
	if (!n || q->type == DNS_CNAME || q->type == DNS_ANY)
		return false;
	at = dns_name_skip(msg, len, at) + 4;
	for (unsigned i = 0; i < n && dns_rr_next(msg, len, &at, &rr); i++) {
		if (rr.type == q->type)
			return false;
		if (rr.type == DNS_CNAME)
			cname = rr;
	}
	if (!cname.type || !dns_name_expand(msg, len, cname.rdata_at, last, &next))
		return false;
	dns_name_fold(last);
	return true;
}

/* The records of a clean message after what is already written in d. */
static void records_copy(struct asking *k, const struct cache_item *item, bool authority)
{
	unsigned counts[2] = { (unsigned)be_get(item->msg + 6, 2),
		authority ? (unsigned)be_get(item->msg + 8, 2) : 0 };
	size_t at = dns_name_skip(item->msg, item->len, DNS_HEADER) + 4;
	for (unsigned s = 0; s < 2; s++)
		for (struct dns_rr rr; counts[s] && dns_rr_next(item->msg, item->len, &at, &rr);
			counts[s]--) {
			dns_write_mark(&k->d, s ? DNS_AUTHORITY : DNS_ANSWER);
			(void)dns_rr_copy(&k->d, item->msg, item->len, &rr,
				rr.ttl_s > item->age_s ? rr.ttl_s - item->age_s : 0);
			if (!dns_write_keep(&k->d))
				return;
		}
}

/* An upstream's answer as this client's reply. As it is where it can be; put together where a CNAME of ours
 * leads out to it, or one of its own leads into the zone. `name` is what the upstream was asked. */
static void upstream_reply(
	struct resolver *r, struct asking *k, const struct dns_name *name, const struct cache_item *item)
{
	struct dns_name last, chain = k->q->name;
	struct dns_end end = { .flags = item->msg[2] << 8 & DNS_TC, .ede = (uint16_t)be_get(item->msg, 2) };
	struct zone_hit hit = { 0 };
	bool inward = is_unfinished(item->msg, item->len, k->q, &last);
	if (inward)
		zone_find(r->zone, &last, &hit);
	inward = inward && hit.verdict != ZONE_FOREIGN;
	if (!inward && dns_name_equal(name, &k->q->name)) {
		send_reply(r, k->client,
			answer_reply(r->out, sizeof(r->out), k->q, item->msg, item->len, item->age_s));
		return;
	}
	dns_write_begin(&k->d, r->out, sizeof(r->out), k->q);
	if (zone_write(r, &k->d, k->q->type, &chain, &end.rcode) != LOCAL_FOREIGN ||
		!dns_name_equal(&chain, name)) {
		/* the zone changed while the question was out */
		finish_error(r, k, &(struct dns_end) { .rcode = DNS_SERVFAIL, .ede = EDE_NOT_READY });
		return;
	}
	end.rcode = item->msg[3] & 15;
	records_copy(k, item, !inward);
	if (inward && zone_write(r, &k->d, k->q->type, &last, &end.rcode) != LOCAL_DONE)
		end.rcode = DNS_SERVFAIL;
	finish(r, k, &end);
}

void query_done(struct resolver *r, uint64_t now_ms, struct waiter *w, const struct landing *l)
{
	struct asking k = { .now_ms = now_ms, .client = w->client, .q = &w->q };
	struct dns_end end = { .rcode = l->rcode, .ede = l->ede, .ede_text = l->ede_text };
	struct cache_item item = { .msg = l->msg, .len = l->len };
	struct dns_name name;
	size_t next;
	r->n_waiters--;
	if (l->truncated && w->q.tcp)
		finish_error(r, &k,
			&(struct dns_end) { .rcode = DNS_SERVFAIL,
				.ede = EDE_NO_AUTHORITY,
				.ede_text = "upstream does not answer by TCP" });
	else if (l->msg && dns_name_expand(l->msg, l->len, DNS_HEADER, &name, &next))
		upstream_reply(r, &k, &name, &item);
	else
		finish_error(r, &k, &end);
	free(w);
}

/* ---- the way ---- */

static bool park(struct resolver *r, struct asking *k, const struct flight_key *key)
{
	while (r->n_waiters == WAITERS_MAX && flights_yield(r, k->now_ms))
		;
	struct waiter *w = r->n_waiters < WAITERS_MAX ? malloc(sizeof(*w)) : NULL;
	if (w) {
		*w = (struct waiter) { .client = k->client, .q = *k->q };
		r->n_waiters++;
		if (flight_join(r, key, w)) {
			r->stats.merged++;
			return true;
		}
		r->stats.forwarded++;
		if ((r->n_free || flights_yield(r, k->now_ms)) && flight_start(r, k->now_ms, key, w))
			return true;
		r->n_waiters--;
		free(w);
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
		upstream_reply(r, k, name, &item);
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
	case LOCAL_DONE: r->stats.local++; return finish(r, k, &end);
	case LOCAL_LOOP:
		return finish_error(r, k,
			&(struct dns_end) {
				.rcode = DNS_SERVFAIL, .ede = EDE_OTHER, .ede_text = "CNAME loop" });
	case LOCAL_FOREIGN: break;
	}
	if (route_find(r, k, &name, &route, &end))
		return forward(r, k, &name, route);
	r->stats.local++;
	return finish(r, k, &end);
}

bool resolver_query(
	struct resolver *r, uint64_t now_ms, uint64_t client, const uint8_t *msg, size_t len, bool tcp)
{
	struct dns_query q;
	struct asking k;
	k.now_ms = now_ms;
	k.client = client;
	k.q = &q;
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
	return answer(r, &k);
}

void resolver_client_gone(struct resolver *r, uint64_t client)
{
	flights_forget(r, client);
}
