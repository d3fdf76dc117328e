/* A firewall in a file: rules in order, of which the first that matches decides. A part of scenario.h. */
#ifndef SIMNET_SCENARIO_FIREWALL_H
#define SIMNET_SCENARIO_FIREWALL_H

#include "mesh/base/addr.h"
#include "simnet/scenario/scenario_error.h"
#include <stddef.h>

enum firewall_verdict {
	FIREWALL_ACCEPT,
	FIREWALL_DROP,
	FIREWALL_REJECT,
	FIREWALL_REDIRECT,
	FIREWALL_VERDICTS
};
enum { FIREWALL_RULES_MAX = 64 }; /* of one firewall, both lists together */
enum firewall_proto { FIREWALL_ANY, FIREWALL_TCP, FIREWALL_UDP, FIREWALL_ICMP };
struct firewall_rule {
	struct scn_at at;
	const char *text; /* as the file has it */
	enum firewall_verdict verdict;
	enum firewall_proto proto;
	const char *ports; /* of the destination, "80,443,5000-5010"; NULL = all */
	bool established;  /* only what belongs to a flow that was let through */
	bool has_from, has_to;
	struct prefix from, to;	 /* of either family */
	const char *into;	 /* redirect: a host's name */
	struct endpoint into_at; /* and where that is, port included; its address is the plan's */
};
struct scn_firewall { /* what no rule matches is accepted */
	struct firewall_rule *in, *out;
	size_t n_in, n_out;
	bool changes; /* a step gives it other rules: its flows are known from the start */
};

/* Whether there is anything that flows meet: rules, now or later. */
bool firewall_is_there(const struct scn_firewall *f);

/* Whether any rule redirects. */
bool firewall_redirects(const struct firewall_rule *rules, size_t n);

/* What a list says of UDP whose addresses and ports nobody knows: FIREWALL_ACCEPT, FIREWALL_DROP (or reject), or
 * FIREWALL_VERDICTS when that depends on them. established: of a flow that was let through. */
enum firewall_verdict firewall_says_udp(const struct firewall_rule *rules, size_t n, bool established);

#endif
