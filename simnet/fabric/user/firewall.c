#include "simnet/fabric/user/firewall.h"

#include "mesh/base/err.h"
#include "mesh/base/table.h"
#include "mesh/base/text.h"
#include "simnet/fabric/user/divert.h"
#include "simnet/fabric/user/draw.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A flow is established once a packet of each way was let through, or for the answer to one that was. */

enum { UDP_LIFE_S = 120, TCP_LIFE_S = 7440, ICMP_LIFE_S = 30 };
static const uint64_t second_ns = 1000000000;

struct seen {
	uint64_t until_ns;
	bool in, out; /* a packet of that way was let through */
};
struct firewall {
	struct firewall_lines *first;	    /* owned: it may have said why long ago */
	const struct firewall_lines *lines; /* now */
	struct table flows;
	struct diverts diverts;
};

/* "80,443,5000-5010", which the file's reader has checked. */
static void read_ranges(const char *text, struct firewall_ranges *out)
{
	while (text && *text && out->n < FIREWALL_RANGES_MAX) {
		char *end;
		unsigned long first = strtoul(text, &end, 10), last = first;
		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		out->first[out->n] = (uint16_t)first;
		out->last[out->n++] = (uint16_t)last;
		text = *end ? end + 1 : end;
	}
}

static void read_lines(struct firewall_lines *l, struct firewall_line *at, int way,
	const struct firewall_rule *rules, size_t n)
{
	l->n[way] = n;
	for (size_t i = 0; i < n; i++) {
		at[i].rule = rules[i];
		read_ranges(rules[i].ports, &at[i].ports);
		snprintf(at[i].why, sizeof(at[i].why), "firewall, %s: %.60s", way ? "in" : "out",
			rules[i].text);
	}
}

void firewall_lines_of(const struct scn_firewall *f, struct firewall_lines *out)
{
	*out = (struct firewall_lines) { .redirects = firewall_redirects(f->out, f->n_out) };
	read_lines(out, out->v, 0, f->out, f->n_out);
	read_lines(out, out->v + f->n_out, 1, f->in, f->n_in);
}

struct firewall *firewall_new(const struct scn_firewall *f)
{
	struct firewall *w = calloc(1, sizeof(*w));
	if (!w || !(w->first = malloc(sizeof(*w->first)))) {
		free(w);
		return NULL;
	}
	firewall_lines_of(f, w->first);
	w->lines = w->first;
	table_init(&w->flows, sizeof(struct draw_flow), 0);
	diverts_init(&w->diverts);
	return w;
}

void firewall_become(struct firewall *w, const struct firewall_lines *l)
{
	w->lines = l;
}

static void forget_flows(struct firewall *w)
{
	size_t at = 0;
	for (void *p; (p = table_next(&w->flows, &at));)
		free(p);
	table_fini(&w->flows);
}

void firewall_forget(struct firewall *w)
{
	if (!w)
		return;
	forget_flows(w);
	table_init(&w->flows, sizeof(struct draw_flow), 0);
	diverts_fini(&w->diverts);
	diverts_init(&w->diverts);
}

void firewall_free(struct firewall *w)
{
	if (!w)
		return;
	forget_flows(w);
	diverts_fini(&w->diverts);
	free(w->first);
	free(w);
}

/* ---- flows ---- */

/* Two hosts may ask each other for echoes with one identifier: these are two flows. */
static bool is_echo_from_outside(const struct ip_view *v, bool inward)
{
	bool echo = v->proto == IP_ICMP
			    ? v->icmp_type == 8 || v->icmp_type == 0
			    : v->proto == IP_ICMP6 && (v->icmp_type == 128 || v->icmp_type == 129);
	bool request = v->icmp_type == 8 || v->icmp_type == 128;
	return echo && request == inward;
}

static struct draw_flow key_of(const struct ip_view *v, bool inward)
{
	struct draw_flow k = draw_flow_of(v);
	if (inward)
		k = (struct draw_flow) {
			.proto = k.proto, .sport = k.dport, .dport = k.sport, .src = k.dst, .dst = k.src
		};
	k.pad[0] = is_echo_from_outside(v, inward);
	return k;
}

/* An error belongs to the flow that it is about. */
static bool is_about_another(const struct ip_view *v)
{
	return v->proto == IP_ICMP ? v->icmp_type == 3 || v->icmp_type == 11 || v->icmp_type == 12
				   : v->proto == IP_ICMP6 && v->icmp_type >= 1 && v->icmp_type <= 4;
}

static bool is_established(const struct firewall *w, const struct ip_view *v, bool inward, uint64_t now_ns)
{
	struct draw_flow k = key_of(v, inward);
	const struct seen *s = table_get(&w->flows, &k);
	if (v->later_fragment || is_about_another(v))
		return true;
	return s && s->until_ns > now_ns && (inward ? s->out : s->in);
}

static void let_through(struct firewall *w, const struct ip_view *v, bool inward, uint64_t now_ns)
{
	struct draw_flow k = key_of(v, inward);
	struct seen *s = table_get(&w->flows, &k);
	if (!s && w->flows.n >= FIREWALL_FLOWS_MAX) {
		forget_flows(w);
		table_init(&w->flows, sizeof(struct draw_flow), 0);
	}
	if (!s && (s = calloc(1, sizeof(*s))) && !table_put(&w->flows, &k, s)) {
		free(s);
		s = NULL;
	}
	if (!s)
		return;
	if (s->until_ns <= now_ns)
		s->in = s->out = false;
	s->in |= inward;
	s->out |= !inward;
	s->until_ns = now_ns + second_ns * (v->proto == IP_TCP		? TCP_LIFE_S
						   : v->proto == IP_UDP ? UDP_LIFE_S
									: ICMP_LIFE_S);
}

/* ---- rules ---- */

static bool has_port(const struct firewall_ranges *r, const struct ip_view *v)
{
	if (v->later_fragment || (v->proto != IP_TCP && v->proto != IP_UDP))
		return false;
	for (size_t i = 0; i < r->n; i++)
		if (v->dport >= r->first[i] && v->dport <= r->last[i])
			return true;
	return false;
}

static bool is_of(enum firewall_proto p, const struct ip_view *v)
{
	switch (p) {
	case FIREWALL_ANY: return true;
	case FIREWALL_TCP: return v->proto == IP_TCP;
	case FIREWALL_UDP: return v->proto == IP_UDP;
	case FIREWALL_ICMP: return v->proto == IP_ICMP || v->proto == IP_ICMP6;
	}
	return false;
}

static bool matches(const struct firewall_line *l, const struct ip_view *v, bool established)
{
	const struct firewall_rule *r = &l->rule;
	return (!r->established || established) && is_of(r->proto, v) &&
	       (!r->ports || has_port(&l->ports, v)) &&
	       (!r->has_from || prefix_contains(&r->from, &v->src)) &&
	       (!r->has_to || prefix_contains(&r->to, &v->dst));
}

enum firewall_verdict firewall_ask(
	struct firewall *w, const struct ip_view *v, bool inward, uint64_t now_ns, const char **why)
{
	bool established = is_established(w, v, inward, now_ns);
	enum firewall_verdict verdict = FIREWALL_ACCEPT;
	const struct firewall_line *lines = w->lines->v + (inward ? w->lines->n[0] : 0);
	for (size_t i = 0; i < w->lines->n[inward]; i++) {
		const struct firewall_line *l = &lines[i];
		if (l->rule.verdict == FIREWALL_REDIRECT ? !divert_is_done(&w->diverts, v)
							 : !matches(l, v, established))
			continue;
		if (l->rule.verdict == FIREWALL_REDIRECT)
			break;
		verdict = l->rule.verdict;
		*why = l->why;
		break;
	}
	if (verdict == FIREWALL_ACCEPT)
		let_through(w, v, inward, now_ns);
	return verdict;
}

/* ---- redirects ---- */

/* The first rule that matches the first packet of a flow. */
static const struct firewall_rule *rule_of(const struct firewall *w, const struct ip_view *v)
{
	for (size_t i = 0; i < w->lines->n[0]; i++)
		if (matches(&w->lines->v[i], v, false))
			return &w->lines->v[i].rule;
	return NULL;
}

bool firewall_redirect(struct firewall *w, const struct ip_view *v, uint64_t now_ns, struct endpoint *to)
{
	const struct endpoint *known = divert_out(&w->diverts, v);
	if (known)
		*to = *known;
	if (known || !w->lines->redirects)
		return known;
	struct draw_flow k = key_of(v, false);
	const struct seen *s = table_get(&w->flows, &k);
	if (v->later_fragment || (s && s->until_ns > now_ns))
		return false;
	const struct firewall_rule *r = rule_of(w, v);
	if (!r || r->verdict != FIREWALL_REDIRECT || !divert_begin(&w->diverts, v, &r->into_at))
		return false;
	*to = r->into_at;
	return true;
}

bool firewall_redirected(const struct firewall *w, const struct ip_view *v, struct endpoint *from)
{
	const struct endpoint *was = divert_back(&w->diverts, v);
	if (was)
		*from = *was;
	return was;
}
