/* One step of a scenario. A part of scenario.h. */
#ifndef SIMNET_SCENARIO_STEP_H
#define SIMNET_SCENARIO_STEP_H

#include "simnet/scenario/scenario_error.h"
#include <stdbool.h>
#include <stdint.h>

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
	STEP_SET,
	STEP_MOVE,
	STEP_LEASE,
	STEP_INTERFACE,
	STEP_SLEEP,
	STEP_WAKE,
	STEP_CLOCK,
	STEP_WAIT,
	STEP_MARK,
	STEP_KINDS
};
struct scn_change; /* scenario_iface.h */
struct scn_routes; /* likewise */
struct nat_model;  /* nat_model.h */
struct nptv6;	   /* nptv6.h */
struct link_model; /* link_model.h */
enum scn_path { PATH_ANY, PATH_DIRECT, PATH_RELAY, PATH_NONE };
struct scn_step {
	enum step_kind kind;
	struct scn_at at;
	const char *title; /* optional `say:` */
	/* `to` NULL: expect of a home relay, `name`, at `from`. */
	const char *from, *to;	 /* node names; `to` may also be an address, a DNS name or a {template} */
	const char *target;	 /* kill/spawn/reset/cut/heal: node, router, or "router.udp", "node.udp",
				    "node.link" */
	const char *name, *type, /* mark: what is counted from here */
		*is; /* resolve: question and wanted value(s), or an rcode word (NXDOMAIN SERVFAIL NODATA) */
	enum scn_path path;  /* ping `via`, expect `path … is` */
	bool oracle;	     /* expect: `is: oracle`, path is what oracle_ask says */
	bool fails;	     /* the step must NOT succeed (ping, run, resolve) */
	bool wait_ready;     /* spawn: the step ends when the program is ready, not at once */
	uint64_t within_ms;  /* bound on the event; a bound, never a sleep. 0 = the default of the kind */
	uint64_t for_ms;     /* expect: must hold this long; wait: a plain pause with its reason in `say` */
	uint64_t max_gap_ms; /* expect gap on the running probe from->to; UINT64_MAX = not asked */
	uint64_t max_lost;   /* likewise; UINT64_MAX = not asked */
	const char **argv;   /* run, spawn of a bare program */
	const char *capture, *json_path,
		*matches;	       /* run: store JSON path or regex match under a name; compare to `is` */
	int exit_code;		       /* run: wanted; -1 = any */
	const char *signal;	       /* kill: "KILL" by default */
	int64_t clock_s;	       /* clock: how far the host's is off then */
	const struct link_model *link; /* set: one of these five */
	const struct nat_model *nat;   /* of a router, whose pool and forwards stay */
	struct scn_firewall *firewall;
	const struct nptv6 *nptv6;	 /* of a router, whose inside stays */
	const struct scn_routes *routes; /* of a router; a node's are in `change` as well */
	struct scn_change *change;	 /* move, lease, interface: not NULL */
};

#endif
