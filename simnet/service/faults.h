/* What a small service does wrong on purpose: words that a file or a step gives, the whole list at a time. Pure. */
#ifndef SIMNET_SERVICE_FAULTS_H
#define SIMNET_SERVICE_FAULTS_H

#include "mesh/base/addr.h"
#include "mesh/base/err.h"
#include <stdio.h>

enum service_kind {
	SERVICE_DNS,
	SERVICE_HTTP,
	SERVICE_PROXY,
	SERVICE_ECHO,
	SERVICE_STUN,
	SERVICE_PORTMAP,
	SERVICE_KINDS
};
enum { FAULT_TEXT = 256 };

struct faults {
	bool dead;	  /* hears everything and says nothing */
	uint64_t slow_ms; /* before each answer */
	/* DNS: */
	char silent[FAULT_TEXT]; /* names that get no answer at all */
	char servfail[FAULT_TEXT], nxdomain[FAULT_TEXT];
	bool all_servfail, refused;
	bool truncate; /* answers by UDP are empty and say "ask by TCP" */
	bool no_tcp;
	bool lies;
	struct addr lie;	/* for every A question */
	char scope[FAULT_TEXT]; /* names outside it are refused */
	/* HTTP: */
	char redirect[FAULT_TEXT]; /* every answer is a 302 to there */
	uint32_t status;	   /* of every answer */
	uint64_t
		cut_bytes; /* a connection ends after so many bytes of answer; for the proxy, of what comes back */
	/* Port mapping: */
	bool refuse, other_port, no_pmp, no_pcp, no_upnp, no_epoch, other_source;
	bool v1, ppp, roots, root_only, dead_control; /* of UPnP, as are these: */
	bool no_outer, permanent, conflict, unconfirmed;
	bool claims;
	struct addr outer; /* what it says its outer address is */
	/* Proxy: */
	char auth[FAULT_TEXT]; /* USER:PASSWORD, else 407 */
	char only[FAULT_TEXT]; /* hosts it connects to, else 403 */
};

bool service_kind_parse(const char *word, enum service_kind *out);
const char *service_kind_name(enum service_kind kind);
/* "slow=500ms,silent=www.test"; "" = none. Names are separated by '+'. Whole, or -EINVAL with a sentence and *out
 * untouched. */
int faults_parse(enum service_kind kind, const char *text, struct faults *out, struct errbuf *eb);
/* The words that `like` takes, NULL at the end. */
extern const char *const faults_profiles[];
/* Whether name is in a list separated by '+', or below one of it; case does not matter. */
bool faults_name_in(const char *list, const char *name);
void faults_print_help(FILE *out);     /* a line for each word */
void faults_print_profiles(FILE *out); /* a line for each name of `like` */

#endif
