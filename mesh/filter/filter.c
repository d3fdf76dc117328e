#include "mesh/filter/filter.h"
#include "mesh/base/arena.h"
#include "mesh/base/table.h"
#include "mesh/filter/flows.h"
#include "mesh/filter/index.h"

#include <stdlib.h>
#include <string.h>

enum { ICMP_ECHO_REPLY = 0, ICMP_UNREACHABLE = 3, ICMP_TIME_EXCEEDED = 11, ICMP_BAD_PARAMETER = 12 };
enum { ICMP6_ERROR_FIRST = 1, ICMP6_ERROR_LAST = 4, ICMP6_ECHO_REPLY = 129 };
/* Before this a later fragment could overwrite the headers that were judged: longest IPv4 header and TCP
 * header. */
enum { FRAGMENT_MIN_AT = 80 };

struct filter {
	struct arena arena;
	struct rule *rules;
	size_t n_rules;
	struct index index;
	struct ranges local[FAMILIES]; /* what may be a destination */
	uint64_t name;		       /* hash of all that decides: equal names, equal verdicts; never 0 */
};

/* --- compile --- */

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
				r[n++] = ranges_whole(fam);
			else if (family_of(&s->first) == fam && family_of(&s->last) == fam &&
				 ranges_compare(&s->first, &s->last) <= 0)
				r[n++] = (struct range) { s->first, s->last };
		}
		out->src[fam] = (struct ranges) { r, ranges_merge(r, n) };
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

static uint64_t add_ranges(uint64_t h, const struct ranges *r)
{
	return add_to_name(h, r->v, r->n * sizeof(*r->v));
}

static uint64_t name_of(const struct filter *f)
{
	uint64_t h = f->n_rules;
	for (enum family fam = V4; fam < FAMILIES; fam++)
		h = add_ranges(h, &f->local[fam]);
	for (size_t i = 0; i < f->n_rules; i++) {
		const struct rule *r = &f->rules[i];
		h = add_to_name(h, r->protos, sizeof(r->protos));
		for (enum family fam = V4; fam < FAMILIES; fam++)
			h = add_ranges(h, &r->src[fam]);
		h = add_to_name(h, r->dst, r->n_dst * sizeof(*r->dst)); /* the arena zeroes its padding */
	}
	return h ? h : 1;
}

/* --- what is local --- */

static struct range range_of(const struct prefix *p)
{
	struct prefix net = *p;
	prefix_mask(&net);
	struct range r = { net.ip, net.ip };
	for (unsigned i = p->bits + (addr_is_v4(&p->ip) ? 96u : 0); i < 128; i++)
		r.last.b[i / 8] |= (uint8_t)(0x80 >> i % 8);
	return r;
}

/* The address after a, or before it. */
static struct addr next_to(struct addr a, bool after)
{
	uint8_t wraps = after ? 0 : 0xff, by = after ? 1 : 0xff;
	for (size_t i = sizeof(a.b); i-- > 0;) {
		a.b[i] = (uint8_t)(a.b[i] + by);
		if (a.b[i] != wraps)
			break;
	}
	return a;
}

/* All of the family but `holes`, which are sorted and apart; out has room for one more than them. */
static size_t invert(enum family fam, const struct range *holes, size_t n, struct range *out)
{
	struct range left = ranges_whole(fam), all = left;
	size_t k = 0;
	for (size_t i = 0; i < n; i++) {
		if (ranges_compare(&left.first, &holes[i].first) < 0)
			out[k++] = (struct range) { left.first, next_to(holes[i].first, false) };
		if (ranges_compare(&holes[i].last, &all.last) >= 0)
			return k;
		left.first = next_to(holes[i].last, true);
	}
	out[k++] = left;
	return k;
}

/* A prefix of no bits is its whole family but for what is excepted. */
static bool compile_local(struct filter *f, const struct filter_local *in, enum family fam)
{
	struct range *v = arena_array(&f->arena, in->n + in->n_except + 1, sizeof(*v));
	struct range *holes = arena_array(&f->arena, in->n_except, sizeof(*holes));
	size_t n = 0, n_holes = 0;
	bool all = false;
	if (!v || !holes)
		return false;
	for (size_t i = 0; i < in->n; i++) {
		if (family_of(&in->v[i].ip) != fam)
			continue;
		if (in->v[i].bits)
			v[n++] = range_of(&in->v[i]);
		else
			all = true;
	}
	for (size_t i = 0; i < in->n_except; i++)
		if (family_of(&in->except[i].ip) == fam)
			holes[n_holes++] = range_of(&in->except[i]);
	if (all)
		n += invert(fam, holes, ranges_merge(holes, n_holes), v + n);
	f->local[fam] = (struct ranges) { v, ranges_merge(v, n) };
	return true;
}

struct filter *filter_build(const struct filter_rule *rules, size_t n, const struct filter_local *local)
{
	struct filter *f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->rules = arena_array(&f->arena, n, sizeof(*f->rules));
	if (!f->rules || !compile_local(f, local, V4) || !compile_local(f, local, V6))
		goto free_it;
	for (size_t i = 0; i < n; i++)
		if (!compile_rule(f, &rules[i], &f->rules[i]))
			goto free_it;
	f->n_rules = n;
	if (!index_build(&f->index, &f->arena, f->rules, n))
		goto free_it;
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

bool filter_is_local(const struct filter *f, const struct addr *a)
{
	return ranges_have(&f->local[family_of(a)], a);
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

/* Segments of a connection carry one of the two; what has neither begins one, or feels its way. */
static bool is_in_connection(const struct ip_view *v)
{
	return v->tcp_flags & (TCP_ACK | TCP_RST);
}

static bool passes_rules(
	const struct filter *f, struct filter_flows *t, uint64_t now_ms, const struct ip_view *v)
{
	switch (v->proto) {
	case IP_TCP: return is_in_connection(v) || index_admits(&f->index, v, SCOPE_PORT);
	case IP_ICMP: return v->version == 4 && (is_answer(v) || index_admits(&f->index, v, SCOPE_ADDRESS));
	case IP_ICMP6: return v->version == 6 && (is_answer(v) || index_admits(&f->index, v, SCOPE_ADDRESS));
	case IP_UDP:
	case IP_SCTP:
		if (flows_find(t, now_ms, v, f->name))
			return true;
		if (!index_admits(&f->index, v, SCOPE_PORT))
			return false;
		flows_admitted(t, now_ms, v, f->name);
		return true;
	default: return index_admits(&f->index, v, SCOPE_ALL_PORTS);
	}
}

enum filter_verdict filter_in(const struct filter *f, struct filter_flows *t, uint64_t now_ms,
	const struct ip_view *v, struct filter_drops *drops)
{
	if (check_addresses(v, drops) != FILTER_PASS)
		return FILTER_DROP;
	if (!filter_is_local(f, &v->dst))
		return drop(&drops->not_local);
	if (filter_is_local(f, &v->src))
		return drop(&drops->own_source);
	if (v->later_fragment)
		return v->fragment_at < FRAGMENT_MIN_AT ? drop(&drops->fragment) : FILTER_PASS;
	if (v->proto == IP_TSMP)
		return FILTER_TSMP;
	return passes_rules(f, t, now_ms, v) ? FILTER_PASS : drop(&drops->no_rule);
}

bool filter_in_again(const struct ip_view *v)
{
	return v->proto == IP_UDP || (v->proto == IP_TCP && is_in_connection(v));
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
