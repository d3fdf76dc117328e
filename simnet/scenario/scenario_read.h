/* Parts of the scenario reader, for the files scenario*.c and matrix.c only. Each reads one part of a file and goes on
 * where something is wrong; the first code is returned. */
#ifndef SIMNET_SCENARIO_READ_H
#define SIMNET_SCENARIO_READ_H

#include "simnet/scenario/scenario.h"
#include "simnet/scenario/schema.h"

/* What `use` names is merged into root; what has a `count` is there so often. */
int use_expand(struct yaml_reader *y, struct yaml_value *root);
int count_expand(struct yaml_reader *y, struct yaml_value *root);
/* Replaces {matrix.KEY} in every scalar of root by the words of combination `variant`; fills the scenario's
 * variant fields. A file without a matrix has one variant. */
int matrix_expand(struct yaml_reader *y, struct yaml_value *root, size_t variant, struct scenario *s);

/* Names become host names, file names and interface names. */
int word_check(struct yaml_reader *y, const struct yaml_value *word, size_t most);
int name_check(struct yaml_reader *y, const struct yaml_value *key); /* besides, not one of the format's */

/* A step and where its words stand. */
struct step_place {
	struct yaml_reader *y;
	const struct scenario *s; /* with the steps before this one */
	const struct scn_step *st;
	const struct yaml_value *body;
};

/* The values of the parts of a file; NULL where it has none. Routers first, then nodes, then steps. */
int routers_read(struct yaml_reader *y, const struct yaml_value *v, struct scenario *s);
int nodes_read(struct yaml_reader *y, const struct yaml_value *services, const struct yaml_value *nodes,
	struct scenario *s);
int steps_read(struct yaml_reader *y, const struct yaml_value *list, struct scenario *s);
int step_check(const struct step_place *c);
/* That it is no program of a router; name may be nobody's, or NAME.PART. */
int step_check_own_host(const struct step_place *c, const char *name);
/* Index into routers, or -1 for "internet". */
int router_by_name(
	struct yaml_reader *y, const struct scenario *s, struct scn_at at, const char *name, int *out);

/* ---- scenario_nat.c: a word, or a map */
int nat_read(struct yaml_reader *y, const struct yaml_value *v, struct scn_router *r);
extern const struct schema_table nat_table;
extern const struct schema_form nat_form;

/* ---- scenario_six.c: a prefix, or a map */
int nat64_read(struct yaml_reader *y, const struct yaml_value *v, struct nat64 *out);
extern const struct schema_table nat64_table;
int nptv6_read(struct yaml_reader *y, const struct yaml_value *v, struct nptv6 *out);
extern const struct schema_table nptv6_table;

/* ---- scenario_portmap.c: a word, or a map; *out is text for faults_parse, in the arena */
int portmap_read(struct yaml_reader *y, const struct yaml_value *v, const char **out);
extern const struct schema_form portmap_form;

/* ---- scenario_region.c: first of all; v may be NULL */
int regions_read(struct yaml_reader *y, const struct yaml_value *v, struct scenario *s);
int region_read(struct yaml_reader *y, const struct yaml_value *v, const struct scenario *s, bool on_internet,
	int *out);

/* ---- scenario_link.c: *out is in the arena */
int link_read(struct yaml_reader *y, const struct yaml_value *v, const struct link_model **out);
extern const struct schema_table link_table;
extern const struct schema_form link_form;

/* ---- scenario_host.c: where a host is plugged in, and with which address */
int address_read(struct yaml_reader *y, const struct yaml_value *v, const char *key, struct addr *out);
int router_net_read(struct yaml_reader *y, const struct yaml_value *lan, const struct yaml_value *ip,
	struct scn_router *r);
/* Of a node with `interfaces`, or, with its `at` (in n->router) and perhaps `ip`, of one with a single one. */
int interfaces_read(
	struct yaml_reader *y, const struct scenario *s, const struct yaml_value *v, struct scn_node *n);
int place_read(struct yaml_reader *y, const struct yaml_value *ip, struct scn_node *n);
/* "10.0.0.0/8" or "10.0.0.0/8 via 192.168.1.7", each. */
int routes_read(struct yaml_reader *y, const struct yaml_value *v, struct scn_routes *out);
extern const struct schema_form routes_form;
extern const struct schema_table interface_table;
/* What the name of an interface may be. */
int iface_name_check(struct yaml_reader *y, const struct yaml_value *key);
/* ---- scenario_uplink.c: several outer sides of a router; the routers are known */
int uplinks_read(
	struct yaml_reader *y, const struct scenario *s, const struct yaml_value *v, struct scn_router *r);
extern const struct schema_table uplink_table;
/* Of a router whose uplinks are read. */
int balance_read(struct yaml_reader *y, const struct yaml_value *v, struct scn_router *r);
extern const struct schema_form balance_form;
/* ---- scenario_machine.c: what a host is besides */
struct machine_words {
	const struct yaml_value *env, *files, *clock;
	const char *user;
};
int machine_read(struct yaml_reader *y, const struct machine_words *w, struct scn_machine *out);
int clock_read(struct yaml_reader *y, const struct yaml_value *v, int64_t *out); /* "+1h", in seconds */
extern const struct schema_table host_file_table;
/* ---- firewall_read.c */
int firewall_read(struct yaml_reader *y, const struct yaml_value *v, struct scn_firewall *out);
extern const struct schema_table firewall_table;
/* ---- scenario_change.c: the steps that change that */
struct change_words {
	const char *at, *to, *interface;
	const struct yaml_value *ip;
	int how, metric;
	bool up;
	uint64_t for_ms;
};
extern const struct schema_table move_table, lease_table, interface_step_table; /* into change_words */
/* Index of the node's interface, or -1 with an error at the value of key. */
int iface_by_name(const struct step_place *c, const char *key, int node, const char *name);
/* Makes st->change from the words; a node may get one more interface. */
int change_read(
	const struct step_place *c, struct scenario *s, const struct change_words *w, struct scn_step *st);

bool change_says_up(const struct step_place *c); /* or down */
/* The same for an uplink of a router, in g. */
int uplink_change(const struct step_place *c, const struct scenario *s, const struct change_words *w,
	struct scn_change *g);

/* ---- scenario_set.c: the step `set`, the same way */
struct set_words {
	const char *at, *interface;
	const struct yaml_value *link, *nat, *firewall, *nptv6, *routes;
};
extern const struct schema_table set_table; /* into set_words */
int set_read(const struct step_place *c, struct scenario *s, const struct set_words *w, struct scn_step *st);

/* Place of the value of key, or of the step. */
struct scn_at step_where(const struct step_place *c, const char *key);
int step_unknown_name(const struct step_place *c, const char *key, const char *what, const char *name,
	bool nodes, bool routers);

/* `count`, for the tables of what may have one; gone when they are read. */
#define COUNT_DOC \
	"so many of them, NAME-1, NAME-2 and on, at most 500; `{count}` in their values is the number"
extern const struct schema_form count_form;
int count_skip(struct yaml_reader *y, const struct yaml_value *v, void *base);
extern const char *const scenario_udp_words[]; /* open, blocked */
extern const struct schema_table router_table, node_table, service_table, step_table, use_table;

#endif
