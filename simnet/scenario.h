/* What a scenario file says, read strictly: unknown or duplicate keys and wrong types are errors with
 * file:line:column and a suggestion. Knows nothing of nftables, namespaces or our programs. Format:
 * docs/scenarios.md. */
#ifndef SIMNET_SCENARIO_H
#define SIMNET_SCENARIO_H

#include "mesh/base/addr.h"
#include "mesh/base/arena.h"
#include "mesh/base/err.h"
#include <stdbool.h>
#include <stdint.h>

/* RFC 4787 section 4.1 and 5. */
enum nat_mapping { NAT_EIM, NAT_ADM, NAT_APDM, NAT_MAPPINGS };
enum nat_filtering { NAT_EIF, NAT_ADF, NAT_APDF, NAT_FILTERINGS };
enum nat_hairpin { NAT_HAIRPIN_OFF, NAT_HAIRPIN_INTERNAL, NAT_HAIRPIN_EXTERNAL };

struct scn_at {
	uint32_t line, column;
}; /* where in the file, for messages */

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
enum step_kind {
	STEP_PING,
	STEP_RESOLVE,
	STEP_EXPECT,
	STEP_RUN,
	STEP_SPAWN,
	STEP_KILL,
	STEP_CUT,
	STEP_HEAL,
	STEP_RESET,
	STEP_WAIT,
	STEP_KINDS
};
enum scn_path { PATH_ANY, PATH_DIRECT, PATH_RELAY, PATH_NONE };
struct scn_step {
	enum step_kind kind;
	struct scn_at at;
	const char *title;     /* optional `say:` */
	const char *from, *to; /* node names; `to` may also be an address, a DNS name or a {template} */
	const char *target;    /* kill/spawn/reset/cut/heal: node, router, or "router.udp", "node.udp",
				  "node.link" */
	const char *name, *type,
		*is; /* resolve: question and wanted value(s), or an rcode word (NXDOMAIN SERVFAIL NODATA) */
	enum scn_path path;  /* ping `via`, expect `path … is` */
	bool oracle;	     /* expect: `is: oracle`, path is what topology_oracle says */
	bool fails;	     /* the step must NOT succeed (ping, run, resolve) */
	bool wait_ready;     /* spawn: the step ends when the program is ready, not at once */
	uint64_t within_ms;  /* bound on the event; a bound, never a sleep. 0 = the default of the kind */
	uint64_t for_ms;     /* expect: must hold this long; wait: a plain pause with its reason in `say` */
	uint64_t max_gap_ms; /* expect gap on the running probe from->to; UINT64_MAX = not asked */
	uint64_t max_lost;   /* likewise; UINT64_MAX = not asked */
	const char **argv;   /* run, spawn of a bare program */
	const char *capture, *json_path,
		*matches;   /* run: store JSON path or regex match under a name; compare to `is` */
	int exit_code;	    /* run: wanted; -1 = any */
	const char *signal; /* kill: "KILL" by default */
};
struct scenario {
	struct arena arena; /* owns everything below */
	const char *file, *name, *about;
	const char **tags;
	size_t n_tags;
	const char **needs; /* of the machine: files to open for reading and writing, programs; or NULL */
	uint64_t seed;	    /* 0 = chosen and printed by the run */
	bool ipv6;	    /* v6 on the internet and routed behind every router */
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

/* 0, or ERR_MALFORMED with "file:line:column: what; did you mean 'X'?" and *out untouched. The caller frees
 * with scenario_free. `variant`: which combination of the file's matrix; 0 always exists. */
int scenario_read(const char *path, size_t variant, struct scenario *out, struct errbuf *eb);
int scenario_parse(const char *file, const char *text, size_t len, size_t variant, struct scenario *out,
	struct errbuf *eb);
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
/* Expected path of a punching protocol between two nodes (simnet.md 3.4, with double NAT, shared LAN,
 * hairpin, blocked UDP). */
enum scn_path topology_oracle(const struct scenario *s, int node_a, int node_b, const char **why);

#endif
