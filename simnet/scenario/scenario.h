/* What a scenario file says, read strictly: unknown or duplicate keys and wrong types are errors with
 * file:line:column and a suggestion. Knows nothing of nftables, namespaces or our programs. Format:
 * docs/scenarios.md. */
#ifndef SIMNET_SCENARIO_H
#define SIMNET_SCENARIO_H

#include "mesh/base/addr.h"
#include "mesh/base/arena.h"
#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include "simnet/scenario/scenario_step.h"
#include <stdbool.h>
#include <stdint.h>

/* RFC 4787 section 4.1 and 5. */
enum nat_mapping { NAT_EIM, NAT_ADM, NAT_APDM, NAT_MAPPINGS };
enum nat_filtering { NAT_EIF, NAT_ADF, NAT_APDF, NAT_FILTERINGS };
enum nat_hairpin { NAT_HAIRPIN_OFF, NAT_HAIRPIN_INTERNAL, NAT_HAIRPIN_EXTERNAL };

/* A router has one WAN (the internet, or the LAN of `behind`) and one LAN. A router with nat == false only
 * routes. */
struct scn_router {
	const char *name;
	struct scn_at at;
	int behind; /* index into routers; -1 = the internet */
	bool nat;
	enum nat_mapping mapping;
	enum nat_filtering filtering;
	enum nat_hairpin hairpin;
	bool accepts_wan;	/* no INPUT guard: the trap of simnet.md 3.3 */
	bool udp_blocked;	/* drops all forwarded UDP (DNS included) */
	uint32_t udp_timeout_s; /* mapping lifetime, 0 = 120 */
	/* Filled by topology_plan: */
	struct addr wan, lan; /* own addresses */
	struct prefix lan_net;
	struct addr gateway;
};
struct scn_param {
	const char *key, *value;
	struct scn_at at;
};
struct scn_node {
	const char *name;
	struct scn_at at;
	int router;		  /* index; -1 = directly on the internet */
	bool is_service;	  /* under `services:`: started before the nodes, killed after them */
	const char *adapter;	  /* name of an adapter, or NULL: argv */
	const char **argv;	  /* NULL-terminated, or NULL */
	struct scn_param *params; /* `with:`, given to the adapter's templates as {with.KEY} */
	size_t n_params;
	bool udp_blocked; /* this host alone */
	bool start_later; /* started by a `spawn` step */
	/* Filled by topology_plan: */
	struct addr ip, gateway;
	struct prefix net;
};
struct scenario {
	struct arena arena; /* owns everything below */
	const char *file, *name, *about;
	const char **tags;
	size_t n_tags;
	const char **needs; /* of the machine: files to open for reading and writing, programs; or NULL */
	uint64_t seed;	    /* 0 = chosen and printed by the run */
	uint64_t start_within_ms; /* programs must be ready so soon; 0 = the default */
	bool ipv6;		  /* v6 on the internet and routed behind every router */
	struct scn_router *routers;
	size_t n_routers;
	struct scn_node *nodes;
	size_t n_nodes; /* services first */
	struct scn_step *steps;
	size_t n_steps;
	size_t variant, n_variants; /* of `matrix`: this is number `variant` (from 0) of n_variants (1 without
				       a matrix) */
	const char *variant_name;   /* "home/hard"; NULL without a matrix */
};

/* Everything that is wrong with a file, a line each; what passes SCN_ERRORS_MAX is counted only. */
enum { SCN_ERRORS_MAX = 50 };
struct scn_errors {
	struct buf text;
	unsigned n;
};
/* all may be NULL. */
void scenario_error(struct scn_errors *all, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* 0, or ERR_MALFORMED with "file:line:column: what; did you mean 'X'?" and *out untouched. The caller frees
 * with scenario_free. `variant`: which combination of the file's matrix; 0 always exists. */
int scenario_parse(const char *file, const char *text, size_t len, size_t variant, struct scenario *out,
	struct errbuf *eb);
/* The same; eb has the first error, all (may be NULL) every one. */
int scenario_parse_all(const char *file, const char *text, size_t len, size_t variant, struct scenario *out,
	struct scn_errors *all, struct errbuf *eb);
void scenario_free(struct scenario *s);

/* "name", or "name [variant]"; what `run -k` looks in. Returns buf. */
const char *scenario_title(const struct scenario *s, char *buf, size_t cap);
const char *scenario_step_name(enum step_kind k);		      /* "ping", "resolve", … */
const char *scenario_path_name(enum scn_path p);		      /* "direct", "relay", "none", "any" */
int scenario_find_node(const struct scenario *s, const char *name);   /* index or -1 */
int scenario_find_router(const struct scenario *s, const char *name); /* index or -1 */

/* Addresses and prefixes for everything; public-looking on the internet (203.0.113.0/24, 198.51.100.0/24 …).
 */
int topology_plan(struct scenario *s, struct errbuf *eb);
/* The IPv6 address that goes with v4 on a network: -1 = the internet, else the index of the router whose LAN
 * it is. */
struct prefix topology_v6(int network, const struct addr *v4);

#endif
