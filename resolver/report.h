/* What is to be known of a resolver from outside: whom it asks, and how they fare. */
#ifndef RW_RESOLVER_REPORT_H
#define RW_RESOLVER_REPORT_H

#include "resolver/name.h"
#include "resolver/resolver.h"

enum resolver_health {
	RESOLVER_WELL,
	RESOLVER_CHECKED, /* silent just now; it is being found out whether it is there */
	RESOLVER_HELD,	  /* asked last, since nothing came from it */
	RESOLVER_RING,	  /* not asked: it sends what we ask it back here */
	RESOLVER_REFUSES, /* left in peace for a while: it refused everything */
	RESOLVER_HEALTHS,
};
const char *resolver_health_text(enum resolver_health h); /* "well", "checked", "held", "ring", "refuses" */
const char *resolver_fault_text(int fault);		  /* "" for none */
const char *resolver_order_text(enum resolver_order o);	  /* "preferred", "strict", "race" */

struct resolver_server_report {
	struct endpoint at;
	const struct dns_secure *secure; /* NULL: plain DNS; as long as the configuration stays */
	int fault;			 /* of the last connection, since it last answered; 0 = none */
	enum resolver_health health;
	uint32_t rtt_ms;   /* smoothed; 0 = unknown */
	bool changes_case; /* of names: it is asked in lower case */
};
struct resolver_route_report {
	char suffix[DNS_NAME_TEXT]; /* "." for the default */
	bool site;		    /* the one for names of a site; its suffix is "." too */
	enum resolver_order order;
	size_t n; /* 0: answered here */
	struct resolver_server_report servers[RESOLVER_UPSTREAMS_MAX];
};
/* "192.0.2.1:53", or the URL, with " at ADDRESS" where it does not say that, into buf[DNS_SECURE_TEXT]; returns
 * buf. */
char *resolver_server_text(const struct resolver_server_report *s, char *buf);
/* The i-th route, those of the configuration first. false: there are not so many. */
bool resolver_route_report(
	const struct resolver *r, uint64_t now_ms, size_t i, struct resolver_route_report *out);
/* Which way a question goes now, whoever asks it; what a CNAME leads to is another question. */
struct resolver_way {
	enum resolver_source source; /* STALE: what is past its time is known, should nobody answer */
	bool has_route;
	struct resolver_route_report route;
};
bool resolver_way(struct resolver *r, uint64_t now_ms, const char *name, uint16_t type,
	struct resolver_way *out); /* false: it is no name */
/* The source, now that it is answered: who was asked may not have known. */
enum resolver_source resolver_way_went(const struct resolver_way *way, const uint8_t *answer, size_t len);
/* The prefixes that names without an address of IPv6 get one of; those that were found among them. */
struct nat64_set resolver_dns64(const struct resolver *r);
/* For struct resolver_ops: says it in the log. */
void resolver_case_say(void *arg, const struct endpoint *at);
size_t resolver_cache_bytes(const struct resolver *r);

#endif
