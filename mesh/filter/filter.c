#include "mesh/filter/filter.h"
#include "mesh/base/sorted.h"
#include "mesh/base/arena.h"
#include "mesh/base/table.h"
#include "mesh/filter/flows.h"

#include <stdlib.h>
#include <string.h>

enum { ICMP_ECHO_REPLY = 0, ICMP_UNREACHABLE = 3, ICMP_TIME_EXCEEDED = 11, ICMP_BAD_PARAMETER = 12 };
enum { ICMP6_ERROR_FIRST = 1, ICMP6_ERROR_LAST = 4, ICMP6_ECHO_REPLY = 129 };
/* Before this a later fragment could overwrite the headers that were judged: longest IPv4 header and TCP
 * header. */
enum { FRAGMENT_MIN_AT = 80 };

enum family { V4, V6, FAMILIES };
struct range {
	struct addr first, last;
};
struct dst {
	struct prefix net;
	bool any;
	uint16_t first, last;
};
struct rule {
	struct range *src[FAMILIES]; /* sorted, apart */
	size_t n_src[FAMILIES];
	struct dst *dst;
	size_t n_dst;
	uint64_t protos[4]; /* bits */
};
struct filter {
	struct arena arena;
	struct rule *rules;
	struct prefix *local;
	size_t n_rules, n_local;
	uint64_t name; /* hash of all that decides: equal names, equal verdicts; never 0 */
};

/* --- compile --- */

static enum family family_of(const struct addr *a)
{
	return addr_is_v4(a) ? V4 : V6;
}

static int compare_addr(const struct addr *a, const struct addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b));
}

static int compare_range(const void *a, const void *b)
{
	return compare_addr(&((const struct range *)a)->first, &((const struct range *)b)->first);
}

static size_t merge_ranges(struct range *r, size_t n)
{
	size_t kept = 0;
	qsort(r, n, sizeof(*r), compare_range);
	for (size_t i = 0; i < n; i++) {
		struct range *last = kept ? &r[kept - 1] : NULL;
		if (!last || compare_addr(&r[i].first, &last->last) > 0)
			r[kept++] = r[i];
		else if (compare_addr(&r[i].last, &last->last) > 0)
			last->last = r[i].last;
	}
	return kept;
}

static struct range everything(enum family f)
{
	struct range r;
	memset(r.first.b, 0, sizeof(r.first.b));
	memset(r.last.b, 0xff, sizeof(r.last.b));
	if (f == V4)
		r = (struct range) { addr_v4(0), addr_v4(UINT32_MAX) };
	return r;
}

static bool compile_sources(struct filter *f, const struct filter_rule *in, struct rule *out)
{
	for (enum family fam = V4; fam < FAMILIES; fam++) {
		struct range *r = arena_array(&f->arena, in->n_src, sizeof(*r));
		size_t n = 0;
		if (!r)
			return false;
		for (size_t i = 0; i < in->n_src; i++) {
			const struct filter_range *s = &in->src[i];
			if (s->any)
				r[n++] = everything(fam);
			else if (family_of(&s->first) == fam && family_of(&s->last) == fam &&
				 compare_addr(&s->first, &s->last) <= 0)
				r[n++] = (struct range) { s->first, s->last };
		}
		out->src[fam] = r;
		out->n_src[fam] = n ? merge_ranges(r, n) : 0;
	}
	return true;
}

static void compile_protos(const struct filter_rule *in, struct rule *out)
{
	static const uint8_t usual[] = { IP_TCP, IP_UDP, IP_ICMP, IP_ICMP6 };
	const uint8_t *protos = in->n_protos ? in->protos : usual;
	size_t n = in->n_protos ? in->n_protos : sizeof(usual);
	for (size_t i = 0; i < n; i++)
		out->protos[protos[i] / 64] |= UINT64_C(1) << protos[i] % 64;
}

static bool compile_rule(struct filter *f, const struct filter_rule *in, struct rule *out)
{
	out->dst = arena_array(&f->arena, in->n_dst, sizeof(*out->dst));
	if (!out->dst || !compile_sources(f, in, out))
		return false;
	for (size_t i = 0; i < in->n_dst; i++) {
		const struct filter_dst *d = &in->dst[i];
		out->dst[i].any = d->any;
		out->dst[i].net = d->net;
		out->dst[i].first = d->first;
		out->dst[i].last = d->last;
	}
	out->n_dst = in->n_dst;
	compile_protos(in, out);
	return true;
}

static uint64_t add_to_name(uint64_t name, const void *p, size_t len)
{
	return hash_bytes(p, len, name, len);
}

static uint64_t name_of(const struct filter *f)
{
	uint64_t h = f->n_rules;
	for (size_t i = 0; i < f->n_local; i++) {
		h = add_to_name(h, f->local[i].ip.b, sizeof(f->local[i].ip.b));
		h = add_to_name(h, &f->local[i].bits, 1);
	}
	for (size_t i = 0; i < f->n_rules; i++) {
		const struct rule *r = &f->rules[i];
		h = add_to_name(h, r->protos, sizeof(r->protos));
		for (enum family fam = V4; fam < FAMILIES; fam++)
			h = add_to_name(h, r->src[fam], r->n_src[fam] * sizeof(*r->src[fam]));
		h = add_to_name(h, r->dst, r->n_dst * sizeof(*r->dst)); /* the arena zeroes its padding */
	}
	return h ? h : 1;
}

struct filter *filter_build(
	const struct filter_rule *rules, size_t n, const struct prefix *local, size_t n_local)
{
	struct filter *f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->rules = arena_array(&f->arena, n, sizeof(*f->rules));
	f->local = arena_array(&f->arena, n_local, sizeof(*f->local));
	if (!f->rules || !f->local)
		goto free_it;
	for (size_t i = 0; i < n; i++)
		if (!compile_rule(f, &rules[i], &f->rules[i]))
			goto free_it;
	for (size_t i = 0; i < n_local; i++)
		f->local[i] = local[i];
	f->n_rules = n;
	f->n_local = n_local;
	f->name = name_of(f);
	return f;
free_it:
	filter_free(f);
	return NULL;
}

void filter_free(struct filter *f)
{
	if (!f)
		return;
	arena_free(&f->arena);
	free(f);
}

/* --- judge --- */

static bool range_before(const void *v, size_t i, const void *a)
{
	return compare_addr(&((const struct range *)v)[i].first, a) <= 0;
}

static bool admits_source(const struct rule *r, const struct addr *a)
{
	enum family fam = family_of(a);
	size_t n = sorted_before(
		r->src[fam], r->n_src[fam], a, range_before); /* those that start at or before a */
	return n && compare_addr(a, &r->src[fam][n - 1].last) <= 0;
}

static bool has_proto(const struct rule *r, uint8_t proto)
{
	return r->protos[proto / 64] >> proto % 64 & 1;
}

/* What a rule must cover to let a packet in. */
enum scope { SCOPE_PORT, SCOPE_ADDRESS, SCOPE_ALL_PORTS };

static bool admits_proto(const struct rule *r, const struct ip_view *v, enum scope scope)
{
	if (scope == SCOPE_ADDRESS) /* who may connect may ping */
		return has_proto(r, IP_TCP) || has_proto(r, IP_UDP) || has_proto(r, v->proto);
	return has_proto(r, v->proto);
}

static bool admits_destination(const struct dst *d, const struct ip_view *v, enum scope scope)
{
	if (!d->any && !prefix_contains(&d->net, &v->dst))
		return false;
	if (scope == SCOPE_ADDRESS)
		return true;
	if (scope == SCOPE_ALL_PORTS)
		return d->first == 0 && d->last == UINT16_MAX;
	return v->dport >= d->first && v->dport <= d->last;
}

static bool admits(const struct filter *f, const struct ip_view *v, enum scope scope)
{
	for (size_t i = 0; i < f->n_rules; i++) {
		const struct rule *r = &f->rules[i];
		bool there = false;
		if (!admits_proto(r, v, scope))
			continue;
		for (size_t j = 0; j < r->n_dst && !there; j++)
			there = admits_destination(&r->dst[j], v, scope);
		if (there && admits_source(r, &v->src))
			return true;
	}
	return false;
}

static bool is_local(const struct filter *f, const struct addr *a)
{
	for (size_t i = 0; i < f->n_local; i++)
		if (prefix_contains(&f->local[i], a))
			return true;
	return false;
}

static enum filter_verdict drop(uint64_t *why)
{
	++*why;
	return FILTER_DROP;
}

/* What no direction lets through. */
static enum filter_verdict check_addresses(const struct ip_view *v, struct filter_drops *drops)
{
	static const uint8_t metadata_service[4] = { 169, 254, 169, 254 };
	if (v->version == 6 && (addr_is_v4(&v->src) || addr_is_v4(&v->dst)))
		return drop(&drops->malformed); /* a mapped address would pass for a real one */
	if (addr_is_multicast(&v->dst) || addr_is_multicast(&v->src))
		return drop(&drops->multicast);
	if (addr_is_link_local(&v->src))
		return drop(&drops->link_local);
	struct addr cloud = addr_v4_bytes(metadata_service);
	if (addr_is_link_local(&v->dst) && !addr_equal(&v->dst, &cloud))
		return drop(&drops->link_local);
	return FILTER_PASS;
}

bool filter_wants_reject(const struct ip_view *v)
{
	return v->proto == IP_TCP && !v->later_fragment && (v->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static bool is_answer(const struct ip_view *v)
{
	if (v->proto == IP_ICMP)
		return v->icmp_type == ICMP_ECHO_REPLY || v->icmp_type == ICMP_UNREACHABLE ||
		       v->icmp_type == ICMP_TIME_EXCEEDED || v->icmp_type == ICMP_BAD_PARAMETER;
	return v->icmp_type == ICMP6_ECHO_REPLY ||
	       (v->icmp_type >= ICMP6_ERROR_FIRST && v->icmp_type <= ICMP6_ERROR_LAST);
}

static bool has_flows(const struct ip_view *v)
{
	return v->proto == IP_UDP || v->proto == IP_SCTP;
}

static bool passes_rules(
	const struct filter *f, struct filter_flows *t, uint64_t now_ms, const struct ip_view *v)
{
	switch (v->proto) {
	/* Segments of a connection carry one of the two; what has neither begins one, or feels its way. */
	case IP_TCP: return (v->tcp_flags & (TCP_ACK | TCP_RST)) || admits(f, v, SCOPE_PORT);
	case IP_ICMP: return v->version == 4 && (is_answer(v) || admits(f, v, SCOPE_ADDRESS));
	case IP_ICMP6: return v->version == 6 && (is_answer(v) || admits(f, v, SCOPE_ADDRESS));
	case IP_UDP:
	case IP_SCTP:
		if (flows_find(t, now_ms, v, f->name))
			return true;
		if (!admits(f, v, SCOPE_PORT))
			return false;
		flows_admitted(t, now_ms, v, f->name);
		return true;
	default: return admits(f, v, SCOPE_ALL_PORTS);
	}
}

enum filter_verdict filter_in(const struct filter *f, struct filter_flows *t, uint64_t now_ms,
	const struct ip_view *v, struct filter_drops *drops)
{
	if (check_addresses(v, drops) != FILTER_PASS)
		return FILTER_DROP;
	if (!is_local(f, &v->dst))
		return drop(&drops->not_local);
	if (is_local(f, &v->src))
		return drop(&drops->own_source);
	if (v->later_fragment)
		return v->fragment_at < FRAGMENT_MIN_AT ? drop(&drops->fragment) : FILTER_PASS;
	if (v->proto == IP_TSMP)
		return FILTER_TSMP;
	return passes_rules(f, t, now_ms, v) ? FILTER_PASS : drop(&drops->no_rule);
}

enum filter_verdict filter_out(
	struct filter_flows *t, uint64_t now_ms, const struct ip_view *v, struct filter_drops *drops)
{
	if (check_addresses(v, drops) != FILTER_PASS)
		return FILTER_DROP;
	if (has_flows(v) && !v->later_fragment)
		flows_sent(t, now_ms, v);
	return FILTER_PASS;
}
