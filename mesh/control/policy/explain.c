/* Why one packet from one node to another passes, or does not: the same questions as filter.c asks when it makes the
 * packet filter, put to one rule after the other, and how far the best of them came. */
#include "mesh/control/policy/match.h"

enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_ICMP6 = 58, PROTO_SCTP = 132 };

static bool names_address(const struct selector *s, const struct addr *at)
{
	return s->kind == SELECT_PREFIX && prefix_contains(&s->net, at);
}

/* A source that is an address is that address alone, not what else its node is. */
static bool from_fits(
	const struct selectors *src, const struct policy_question *q, const struct fleet *f, bool self)
{
	for (size_t i = 0; i < src->n; i++) {
		const struct selector *s = &src->v[i];
		if (s->kind == SELECT_PREFIX && !self ? names_address(s, &q->from_at)
						      : match_target(s, f, q->from))
			return true;
	}
	return false;
}

static bool to_fits(
	const struct selectors *who, const struct policy_question *q, const struct fleet *f, bool self)
{
	for (size_t i = 0; i < who->n; i++) {
		const struct selector *s = &who->v[i];
		if (self ? s->kind == SELECT_SELF && !member_is_tagged(q->to)
			 : names_address(s, &q->to_at) ||
					(s->kind != SELECT_PREFIX && match_target(s, f, q->to)))
			return true;
	}
	return false;
}

static bool is_ping(uint8_t proto)
{
	return proto == PROTO_ICMP || proto == PROTO_ICMP6;
}

/* As the nodes' filters read a rule: protocols without ports take all of them, but for ICMP. */
static bool has_port(const struct target *t, const struct policy_question *q)
{
	bool ports = q->proto == PROTO_TCP || q->proto == PROTO_UDP || q->proto == PROTO_SCTP;
	if (q->any_port || is_ping(q->proto))
		return true;
	for (size_t i = 0; i < t->n_ports; i++)
		if (ports ? q->port >= t->ports[i].first && q->port <= t->ports[i].last
			  : !t->ports[i].first && t->ports[i].last == UINT16_MAX)
			return true;
	return false;
}

/* What a rule without "proto" is about. */
static bool is_usual(const struct policy_question *q)
{
	return q->any_port || q->proto == PROTO_TCP || q->proto == PROTO_UDP || is_ping(q->proto);
}

static bool has_proto(const struct access_rule *r, const struct policy_question *q)
{
	if (!r->n_protos)
		return is_usual(q);
	for (size_t i = 0; i < r->n_protos; i++) {
		uint8_t its = r->protos[i];
		if (q->any_port || its == q->proto ||
			(is_ping(q->proto) && (its == PROTO_TCP || its == PROTO_UDP)))
			return true; /* who may connect may ping */
	}
	return false;
}

/* How far the packet comes by this rule. What a rule says of autogroup:self has other sources than the rest of it. */
static enum policy_step follow_rule(
	const struct access_rule *r, const struct policy_question *q, const struct fleet *f, bool self)
{
	enum policy_step step = POLICY_NO_SOURCE;
	if (r->caps || r->via.n || (self && (!r->self || !match_same_person(q->from, q->to))) ||
		!from_fits(&r->src, q, f, self))
		return step;
	step = POLICY_NO_TARGET;
	for (size_t i = 0; i < r->n_dst; i++) {
		if (!to_fits(&r->dst[i].who, q, f, self))
			continue;
		step = step > POLICY_NO_PORT ? step : POLICY_NO_PORT;
		if (has_port(&r->dst[i], q) && has_proto(r, q))
			return POLICY_PASSES;
	}
	return step;
}

void policy_explain(const struct policy *p, const struct fleet *f, const struct policy_question *q,
	struct policy_answer *out)
{
	*out = (struct policy_answer) { .step = p	      ? POLICY_NO_SOURCE
						: is_usual(q) ? POLICY_PASSES
							      : POLICY_NO_PORT };
	for (size_t i = 0; p && i < p->n_rules && out->step != POLICY_PASSES; i++)
		for (int self = 0; self < 2; self++) {
			enum policy_step step = follow_rule(&p->rules[i], q, f, self);
			if (step <= out->step)
				continue;
			const struct rule_place *at = &p->rules[i].place;
			*out = (struct policy_answer) {
				.step = step, .section = at->section, .index = at->index, .line = at->line
			};
		}
}
