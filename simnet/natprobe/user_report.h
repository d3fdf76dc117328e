/* What a user's program said of his network, and what is left to guess: pure. Read are the official client's
 * `netcheck --format=json`, ours (`ropewalk netcheck --json`), the text that both print without it, `simnet probe
 * --json`, a file of `ropewalk bugreport`, and what the official bugreport is about: the log of the daemon, or the host information
 * that it tells its server. */
#ifndef SIMNET_NATPROBE_USER_REPORT_H
#define SIMNET_NATPROBE_USER_REPORT_H

#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include "simnet/scenario/nat_model.h"

enum user_word { USER_UNKNOWN, USER_NO, USER_YES };
struct user_report {
	const char *kind; /* "netcheck", "probe" or "bugreport" */
	enum user_word udp, ipv4, ipv6;
	enum user_word varies;	/* the mapping, by destination address */
	enum user_word portmap; /* UPnP, NAT-PMP or PCP was seen */
	enum user_word captive;
	enum user_word translated; /* said by a probe alone */
	enum user_word hairpin;
	int mapping, filtering; /* enum nat_mapping, nat_filtering; -1 = not said */
	double nearest_ms;	/* to the nearest relay and back; 0 = not said */
};
/* Whole, or ERR_MALFORMED with a sentence and *out untouched. */
int user_report_read(const char *text, size_t len, struct user_report *out, struct errbuf *eb);

/* One way that the network could be. */
struct user_guess {
	struct nat_class class;
	bool udp_blocked;
};
/* The most likely of those that fit. */
struct user_guess user_report_guess(const struct user_report *r);
/* NULL, or the first thing that is another in what was seen (of a guess, by a probe): static text. */
const char *user_report_differs(const struct user_report *r, const struct user_report *seen);
/* A scenario with that guess; peer: the `nat` of the other side. false: memory. */
bool user_report_scenario(
	const struct user_report *r, const struct user_guess *g, const char *peer, struct buf *out);

#endif
