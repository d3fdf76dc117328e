/* The firewall of a router in a file, for what the router forwards: rules of simnet/scenario/scenario_firewall.h. Packets are
 * as the inside sees them: behind the translation of what comes in, before that of what goes out. */
#ifndef SIMNET_USER_FIREWALL_H
#define SIMNET_USER_FIREWALL_H

#include "mesh/base/ip.h"
#include "simnet/scenario/scenario_firewall.h"
#include <stdint.h>

struct firewall;
enum { FIREWALL_FLOWS_MAX = 16384 }; /* then all flows are forgotten */

/* The rules, read once, in one piece. */
enum { FIREWALL_RANGES_MAX = 32, FIREWALL_WHY = 112 };
struct firewall_lines {
	size_t n[2];	/* out, in: so many of v each, in this order */
	bool redirects; /* some line of out does */
	struct firewall_line {
		struct firewall_rule rule; /* its texts are those of the file, and may be gone */
		struct firewall_ranges {
			uint16_t first[FIREWALL_RANGES_MAX], last[FIREWALL_RANGES_MAX];
			size_t n;
		} ports;
		char why[FIREWALL_WHY]; /* of a drop or reject */
	} v[FIREWALL_RULES_MAX];
};
void firewall_lines_of(const struct scn_firewall *f, struct firewall_lines *out);

struct firewall *firewall_new(const struct scn_firewall *f); /* NULL: memory */
void firewall_free(struct firewall *w);			     /* NULL is fine */
/* Other rules, which live as long as w and all that it has said; flows stay known. */
void firewall_become(struct firewall *w, const struct firewall_lines *l);
void firewall_forget(struct firewall *w); /* all flows, and where they were led; NULL is fine */
/* What becomes of a packet that crosses to the inside (inward) or from it; *why: of a drop or reject, as long as w. A flow
 * whose packet is accepted is known from then on. */
enum firewall_verdict firewall_ask(
	struct firewall *w, const struct ip_view *v, bool inward, uint64_t now_ns, const char **why);

/* Redirects, before a packet of IPv4 that goes out is asked about. true: it goes to *to instead. */
bool firewall_redirect(struct firewall *w, const struct ip_view *v, uint64_t now_ns, struct endpoint *to);
/* And behind that of one that comes in. true: it is the answer of *from. */
bool firewall_redirected(const struct firewall *w, const struct ip_view *v, struct endpoint *from);

#endif
