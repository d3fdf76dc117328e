/* Rules, and packets that they are asked about: what is compiled says the same as the rules read one by one. Input: a row of
 * small numbers, in the order in which they are read below; addresses, ports and prefixes are few, so that they meet. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/wire.h"
#include "mesh/filter/filter.h"
#include "mesh/filter/flows.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { RULES = 12, PARTS = 4, PACKETS = 64 };

/* What the bytes say. */
struct said {
	struct filter_rule rules[RULES];
	struct filter_range src[RULES][PARTS];
	struct filter_dst dst[RULES][PARTS];
	uint8_t protos[RULES][PARTS];
	struct prefix local[PARTS], except[PARTS];
	size_t n_rules;
	struct filter_local where;
};

static const uint8_t protos[] = { IP_TCP, IP_UDP, IP_ICMP, IP_ICMP6, IP_SCTP, 47, 255 };

/* Of 10.0.0.0/24, where the family begins or ends, or the like in IPv6. */
static struct addr read_addr(struct rd *r)
{
	uint8_t kind = rd_u8(r), low = rd_u8(r);
	struct addr a = addr_v4(0x0a000000u | low);
	if (kind % 8 == 1)
		a = addr_v4(low);
	if (kind % 8 == 2)
		a = addr_v4(0xffffff00u | low);
	if (kind & 8) {
		a = (struct addr) { .b = { [0] = 0xfd, [15] = low } };
		a.b[0] = kind % 8 == 1 ? 0 : kind % 8 == 2 ? 0xfe : a.b[0];
	}
	return a;
}

static struct prefix read_prefix(struct rd *r)
{
	struct prefix p = { .ip = read_addr(r) };
	uint8_t bits = rd_u8(r);
	p.bits = addr_is_v4(&p.ip) ? bits % 33 : bits % 129;
	return p;
}

static uint16_t read_port(struct rd *r)
{
	uint8_t b = rd_u8(r);
	return b == 255 ? UINT16_MAX : b % 32;
}

static void read_rule(struct rd *r, struct said *s, size_t i)
{
	struct filter_rule *rule = &s->rules[i];
	*rule = (struct filter_rule) { .src = s->src[i], .dst = s->dst[i], .protos = s->protos[i] };
	uint8_t counts = rd_u8(r);
	rule->n_src = counts % PARTS;
	rule->n_dst = counts / PARTS % PARTS;
	rule->n_protos = counts / 16 % PARTS;
	for (size_t k = 0; k < rule->n_src; k++) {
		struct filter_range *f = &s->src[i][k];
		f->first = read_addr(r);
		f->last = read_addr(r);
		f->any = rd_u8(r) % 8 == 1;
	}
	for (size_t k = 0; k < rule->n_dst; k++) {
		struct filter_dst *d = &s->dst[i][k];
		d->net = read_prefix(r);
		d->any = rd_u8(r) % 4 == 1;
		d->first = read_port(r);
		d->last = read_port(r);
	}
	for (size_t k = 0; k < rule->n_protos; k++)
		s->protos[i][k] = protos[rd_u8(r) % sizeof(protos)];
}

static void read_all(struct rd *r, struct said *s)
{
	s->n_rules = rd_u8(r) % RULES;
	for (size_t i = 0; i < s->n_rules; i++)
		read_rule(r, s, i);
	uint8_t counts = rd_u8(r);
	s->where = (struct filter_local) {
		.v = s->local, .except = s->except, .n = counts % PARTS, .n_except = counts / PARTS % PARTS
	};
	for (size_t i = 0; i < s->where.n; i++)
		s->local[i] = read_prefix(r);
	for (size_t i = 0; i < s->where.n_except; i++)
		s->except[i] = read_prefix(r);
}

/* --- the rules, one by one --- */

static bool has(const struct prefix *p, const struct addr *a)
{
	return addr_is_v4(&p->ip) == addr_is_v4(a) && prefix_contains(p, a);
}

static bool is_local(const struct said *s, const struct addr *a)
{
	bool all = false, excepted = false;
	for (size_t i = 0; i < s->where.n; i++) {
		if (s->local[i].bits && has(&s->local[i], a))
			return true;
		all = all || (!s->local[i].bits && has(&s->local[i], a));
	}
	for (size_t i = 0; i < s->where.n_except; i++)
		excepted = excepted || has(&s->except[i], a);
	return all && !excepted;
}

static bool has_source(const struct filter_rule *rule, const struct addr *a)
{
	for (size_t i = 0; i < rule->n_src; i++) {
		const struct filter_range *f = &rule->src[i];
		if (f->any)
			return true;
		if (addr_is_v4(&f->first) == addr_is_v4(a) && addr_is_v4(&f->last) == addr_is_v4(a) &&
			memcmp(f->first.b, a->b, sizeof(a->b)) <= 0 &&
			memcmp(a->b, f->last.b, sizeof(a->b)) <= 0)
			return true;
	}
	return false;
}

static bool has_proto(const struct filter_rule *rule, uint8_t proto)
{
	for (size_t i = 0; i < rule->n_protos; i++)
		if (rule->protos[i] == proto)
			return true;
	return !rule->n_protos &&
	       (proto == IP_TCP || proto == IP_UDP || proto == IP_ICMP || proto == IP_ICMP6);
}

static bool rule_admits(const struct filter_rule *rule, const struct ip_view *v)
{
	bool ping = v->proto == IP_ICMP || v->proto == IP_ICMP6, ports = false;
	if (!has_source(rule, &v->src))
		return false;
	/* Who may reach a port may ask whether there is anybody. */
	if (!has_proto(rule, v->proto) && !(ping && (has_proto(rule, IP_TCP) || has_proto(rule, IP_UDP))))
		return false;
	for (size_t i = 0; i < rule->n_dst; i++) {
		const struct filter_dst *d = &rule->dst[i];
		if (!d->any && !has(&d->net, &v->dst))
			continue;
		if (v->proto == IP_TCP || v->proto == IP_UDP || v->proto == IP_SCTP)
			ports = ports || (d->first <= v->dport && v->dport <= d->last);
		else
			ports = ports || ping || (d->first == 0 && d->last == UINT16_MAX);
	}
	return ports;
}

static bool admits(const struct said *s, const struct ip_view *v)
{
	if (!is_local(s, &v->dst) || is_local(s, &v->src))
		return false;
	if ((v->proto == IP_ICMP && v->version != 4) || (v->proto == IP_ICMP6 && v->version != 6))
		return false;
	for (size_t i = 0; i < s->n_rules; i++)
		if (rule_admits(&s->rules[i], v))
			return true;
	return false;
}

/* --- both are asked --- */

static bool is_dropped_for_all(const struct ip_view *v)
{
	return addr_is_multicast(&v->src) || addr_is_multicast(&v->dst) || addr_is_link_local(&v->src) ||
	       addr_is_link_local(&v->dst);
}

/* What leaves is answered, if it is let in where it arrives. */
static void answer(const struct said *s, const struct filter *f, struct filter_flows *t, struct ip_view v)
{
	struct filter_drops drops = { 0 };
	if (v.proto != IP_UDP && v.proto != IP_SCTP)
		return;
	v.sport ^= 0x8000; /* its own flow */
	if (filter_out(t, 1, &v, &drops) != FILTER_PASS)
		abort();
	struct ip_view back = v;
	back.src = v.dst;
	back.dst = v.src;
	back.sport = v.dport;
	back.dport = v.sport;
	bool passes = filter_in(f, t, 2, &back, &drops) == FILTER_PASS;
	if (passes != (is_local(s, &back.dst) && !is_local(s, &back.src)))
		abort();
}

static void ask(
	struct rd *r, const struct said *s, const struct filter *f, struct filter_flows *t, uint16_t i)
{
	struct filter_drops drops = { 0 };
	struct ip_view v = { .src = read_addr(r),
		.dst = read_addr(r),
		.proto = protos[rd_u8(r) % sizeof(protos)],
		.dport = read_port(r),
		.sport = (uint16_t)(1000 + i) };
	v.version = addr_is_v4(&v.src) ? 4 : 6;
	if (addr_is_v4(&v.src) != addr_is_v4(&v.dst) || is_dropped_for_all(&v))
		return;
	if (v.proto == IP_TCP)
		v.tcp_flags = 2; /* SYN */
	if (v.proto == IP_ICMP || v.proto == IP_ICMP6)
		v.icmp_type = v.proto == IP_ICMP ? 8 : 128; /* asks for an echo */
	if ((filter_in(f, t, 1, &v, &drops) == FILTER_PASS) != admits(s, &v))
		abort();
	answer(s, f, t, v);
}

static void rules_target(const uint8_t *data, size_t len)
{
	static struct said s;
	struct rd r = rd_of(data, len);
	read_all(&r, &s);
	trouble_begin();
	struct filter *f = filter_build(s.rules, s.n_rules, &s.where);
	struct filter_flows *t = filter_flows_new(1);
	trouble_end();
	if ((!f || !t) && !trouble_happened())
		abort();
	for (uint16_t i = 0; f && t && r.left && i < PACKETS; i++)
		ask(&r, &s, f, t, i);
	filter_flows_free(t);
	filter_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(rules_target, data, len);
}
