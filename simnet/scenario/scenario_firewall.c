#include "simnet/scenario/scenario_firewall.h"

bool firewall_is_there(const struct scn_firewall *f)
{
	return f->n_in || f->n_out || f->changes;
}

bool firewall_redirects(const struct firewall_rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (rules[i].verdict == FIREWALL_REDIRECT)
			return true;
	return false;
}

enum firewall_verdict firewall_says_udp(const struct firewall_rule *rules, size_t n, bool established)
{
	for (size_t i = 0; i < n; i++) {
		const struct firewall_rule *r = &rules[i];
		if ((r->proto != FIREWALL_ANY && r->proto != FIREWALL_UDP) ||
			(r->established && !established))
			continue;
		if (r->ports || r->has_from || r->has_to)
			return FIREWALL_VERDICTS;
		return r->verdict == FIREWALL_ACCEPT ? FIREWALL_ACCEPT : FIREWALL_DROP;
	}
	return FIREWALL_ACCEPT;
}
