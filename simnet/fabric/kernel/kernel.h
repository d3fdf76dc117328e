/* Inside of the kernel engine, shared by its files only: namespaces, links, NAT rules, probes. Everything is
 * held by file descriptor in one process, so that closing it (or dying) is all the clean-up there is. */
#ifndef SIMNET_KERNEL_H
#define SIMNET_KERNEL_H

#include "mesh/base/buf.h"
#include "mesh/os/netlink.h"
#include "simnet/host/capture.h"
#include "simnet/host/hosts.h"
#include "simnet/fabric/engine.h"
#include "simnet/fabric/kernel/trace.h"
#include "simnet/fabric/user/switch.h"

struct kernel_cut { /* what a cut or a blocked host drops; key of the list is target */
	char *target;
	int node, router; /* one of them, the other -1 */
	bool link;	  /* everything on its outer link, else UDP only */
	bool carrier;	  /* of all its outer links: no rule, and not in the list */
	bool permanent;	  /* the file says so */
};

enum engine_choice {   /* of who plays routers and links */
	ENGINE_AUTO,   /* the kernel, and userspace what it cannot be */
	ENGINE_KERNEL, /* the kernel alone */
	ENGINE_USER,   /* every router in userspace */
};
struct engine {
	const struct scenario *s; /* not owned, or now */
	struct scenario now;	  /* once something was moved; `changed` */
	bool changed;
	bool routed; /* routers have the routes of their own: from after the probes, which are no packets of the file */
	enum engine_choice choice;
	struct switch_box *box; /* NULL: nothing is in userspace */
	struct user_far {
		struct link_far *v;
		size_t n;
	} * far; /* of each region: what is farther away from there */
	bool *user_routers;
	int *router_ports;   /* in the box; -1 = none */
	int *uplink_ports;   /* SCN_IFACES_MAX of each router that balances: its uplinks'; -1 = none */
	int *node_ports;     /* SCN_IFACES_MAX of each node */
	struct hosts *hosts; /* not owned */
	struct netns fabric; /* holds every bridge; its ports are the links */
	struct nl *fabric_nl;
	int *bridges;	  /* [0] the internet, [1 + i] the LAN of router i; ifindex in the fabric */
	uint32_t *epochs; /* of each router: how often it was reset */
	struct kernel_portmap *portmaps; /* of each router; kernel_portmap.c */
	struct kernel_cut *cuts;
	size_t n_cuts;
	struct trace *trace;
	struct capture *capture;
	unsigned n_self_tests; /* makes their interface names new: the kernel removes old ones in its own time
				*/
	struct engine_probe_result *measured; /* of each router, by the last self-test */
};

enum { KERNEL_NO_ROUTER = -2, /* -1 is the internet */ KERNEL_LOG_GROUP = 7, KERNEL_NAME = 16 };

/* ---- kernel_engine.c ---- */
const struct netns *kernel_router_net(const struct engine *e, size_t router);

/* ---- kernel_net.c ---- */
int kernel_net_routers(struct engine *e, struct errbuf *eb); /* with the fabric */
int kernel_net_nodes(struct engine *e, struct errbuf *eb);
/* Name of the port in the fabric: "n3", "r2w" (WAN), "r2l" (LAN); out[KERNEL_NAME]. */
void kernel_port_name(char kind, int index, char side, char *out);
void kernel_node_port(int node, size_t iface, char *out); /* of one of its interfaces */
/* One interface of a host or router, in the namespace of n. */
struct kernel_port {
	const struct scenario *s;
	struct nl *n;
	int ifindex, network,
		owner; /* where it is plugged in; the router it belongs to, or KERNEL_NO_ROUTER */
	const struct scn_iface *iface; /* of a node; NULL = a router's */
	struct nl *fabric;
	const char *far; /* its other end there: settled before anything is sent; NULL: nobody sends yet */
};
/* Finds it by name, raises it, and gives it address, neighbours and routes. */
int kernel_port_configure(struct kernel_port *p, const char *name, const struct addr *ip, struct errbuf *eb);
/* Takes the routes that the file gives it, the default and others. Those that are not there are no error. */
void kernel_port_unroute(struct kernel_port *p, const char *name);
/* Routes down to the LANs that are not hidden by a NAT; those that are there already are no error. */
int kernel_port_reach(const struct kernel_port *p, struct errbuf *eb);
/* Of an interface that stays where it is: its own routes are those of p->iface and no more those it had. */
int kernel_port_reroute(
	struct kernel_port *p, const char *name, const struct scn_routes *had, struct errbuf *eb);
/* The same of a router, in its namespace: as e->s says now. */
int kernel_router_reroute(
	struct engine *e, int router, struct nl *n, const struct scn_routes *had, struct errbuf *eb);
struct prefix kernel_port_address(
	const struct kernel_port *p, const struct addr *ip); /* IPv4, with its length */
/* Everybody on the network knows who has the address now, as from an announcement. In no namespace. */
int kernel_net_announce(struct engine *e, struct scn_plug who, struct errbuf *eb);

/* ---- kernel_firewall.c ---- */
/* Appends the ruleset of a host's or router's firewall, text for `nft -f -`; nothing when it has none. false: memory. */
bool kernel_firewall_rules(const struct scn_firewall *f, const char *name, bool router, struct buf *out);
/* Of all nodes and routers, and from here on. The self-test's probes are no packets of the file. */
int kernel_firewalls_load(struct engine *e, struct errbuf *eb);
/* Of routers alone, in both engines. */
int kernel_firewalls_lift(struct engine *e, struct errbuf *eb);
int kernel_firewalls_hold(struct engine *e, struct errbuf *eb);
/* place: as hosts are numbered. */
int kernel_firewall_load(struct engine *e, size_t place, const struct scn_firewall *f, struct errbuf *eb);

/* ---- kernel_prefix.c ---- */
int kernel_set_nptv6(struct engine *e, int router, const struct nptv6 *to, struct errbuf *eb);

/* ---- kernel_move.c ---- */
/* Of all outer links of the node or router. A host sees it fall and come. */
int kernel_carrier(struct engine *e, const struct kernel_cut *whose, bool up, struct errbuf *eb);
/* From the first change on the engine has a scenario of its own, e->now, which says what is now. */
int kernel_own_scenario(struct engine *e, struct errbuf *eb);
int kernel_set_routes(struct engine *e, int router, const struct scn_routes *to, struct errbuf *eb);
int kernel_routes_begin(struct engine *e, struct errbuf *eb); /* of all routers, e->routed from here on */
int kernel_plug(struct engine *e, struct scn_plug which, const struct scn_iface *want, struct errbuf *eb);

/* Locally administered, readable in a capture, and known before the interface exists. */
enum kernel_mac_kind { KERNEL_MAC_NODE = 1, KERNEL_MAC_WAN, KERNEL_MAC_LAN };
struct mac kernel_mac(enum kernel_mac_kind kind, size_t i, size_t iface);

/* ---- kernel_user.c ---- */
int kernel_user_choose(struct engine *e, struct errbuf *eb);
/* The outer side of a router in userspace is where e->s says now. */
int kernel_user_move(struct engine *e, int router, struct errbuf *eb);
int kernel_user_reroute(struct engine *e, int router, struct errbuf *eb); /* likewise, its routes alone */
void kernel_user_fini(struct engine *e);
/* Whether a link is played in userspace: it has a model, or what is there is far from others. */
bool kernel_has_wire(const struct engine *e, const struct link_model *m, int region);
bool kernel_is_user(const struct engine *e, int router);
/* A wire with a model, instead of a veth pair: in `ns` as `interface`, in the fabric as `port`. The process is then in
 * ns. The number of its port in the box, or negative. */
struct user_plug {
	const struct netns *ns;
	const char *interface, *port, *owner;
	const struct mac *mac;
	const struct link_model *model;
	const struct addr *own; /* its address */
	int network, region;
};
int kernel_user_wire(struct engine *e, const struct user_plug *p, struct errbuf *eb);
int kernel_user_router(struct engine *e, int i, struct errbuf *eb);
/* Another outer side of router i, its uplink k, as e->s says now. The number of its port in the box, or negative. */
int kernel_user_way_out(struct engine *e, int i, size_t k, struct errbuf *eb);
int kernel_user_start(struct engine *e, struct errbuf *eb);
int kernel_user_cut(struct engine *e, int router, struct errbuf *eb); /* what is cut at present */
size_t kernel_user_drops(struct engine *e, struct engine_drop *out, size_t cap);

/* ---- kernel_balance.c: routers that balance over several uplinks, in userspace ---- */
int kernel_balance_open(struct engine *e, struct errbuf *eb);
/* The uplinks besides the one in use, of router i, which is built. */
int kernel_balance_build(struct engine *e, int i, struct errbuf *eb);
void kernel_uplink_port(int router, size_t uplink, char *out); /* in the fabric */
/* Fills in the ports in the box of a router in userspace; how many. */
size_t kernel_user_ports(const struct engine *e, int router, int out[static SCN_IFACES_MAX]);
/* Of all those routers: packets go out by this one alone, where it is one's, else by the one in use at first; behind and wan
 * are its. For the probes. */
int kernel_balance_narrow(struct engine *e, int router, size_t uplink, struct errbuf *eb);
int kernel_balance_begin(struct engine *e, struct errbuf *eb); /* all that are up, from here on */
int kernel_balance_plug(struct engine *e, struct scn_plug which, bool off, struct errbuf *eb);

/* ---- kernel_portmap.c ---- */
int kernel_portmap_open(struct engine *e, struct errbuf *eb);
void kernel_portmap_close(struct engine *e);
/* Of every router that maps ports, once the network is there. */
int kernel_portmap_start(struct engine *e, struct errbuf *eb);
/* The router has forgotten all, or has another outer address. */
int kernel_portmap_again(struct engine *e, int router, struct errbuf *eb);
/* A descriptor for a router in userspace, by which it is told of mappings; the caller's. Or a negative code. */
int kernel_portmap_rules(struct engine *e, int router, struct errbuf *eb);

/* ---- kernel_rules.c ---- */
extern const char *const kernel_nat_sets[]; /* names of what a router's table has learnt; NULL-terminated */
/* Appends the whole ruleset of a router, replacing what is loaded; text for `nft -f -`. false: memory. */
bool kernel_nat_rules(const struct scenario *s, int router, uint32_t epoch, struct buf *out);
/* Rules of everything cut at present, for the fabric (router == -1) or for one router. */
bool kernel_cut_rules(const struct engine *e, int router, struct buf *out);

/* ---- kernel_nat.c ---- */
/* Runs nft in the namespace where the process is; several may run at once. Both return 0 or a negative code.
 */
struct kernel_nft {
	int pid, out_fd;
};
int kernel_nft_start(struct kernel_nft *n, struct buf *text, struct errbuf *eb);
int kernel_nft_finish(struct kernel_nft *n, const char *what, struct errbuf *eb);
/* Connection tracking as the model wants it, in the namespace where the process is. */
int kernel_nat_settings(const struct nat_model *m, struct errbuf *eb);
/* What the kernel holds of it there, settings and sets: NULL when all is as wanted, else a sentence in out. */
const char *kernel_nat_trouble(const struct nat_model *m, char out[static 120]);
int kernel_conntrack_flush(struct errbuf *eb); /* in the namespace where the process is */
/* (Re)loads the rules of routers first..end-1 and flushes their mappings. jobs: one each; after a failed
 * start, finish must still be called, for those that did. */
int kernel_nat_start(struct engine *e, int first, int end, struct kernel_nft *jobs, struct errbuf *eb);
int kernel_nat_finish(struct engine *e, int first, int end, struct kernel_nft *jobs, struct errbuf *eb);
/* Both for one router that is as e->s says now: other ports, and no mapping is left. */
int kernel_nat_reload(struct engine *e, int router, struct errbuf *eb);
/* The tables of mappings are empty, as after silence, while every flow is still known. */
int kernel_nat_expire(struct engine *e, int router, struct errbuf *eb);
int kernel_nat_forget(
	struct engine *e, struct errbuf *eb); /* every mapping of every router; ports stay as they were */

/* ---- kernel_table.c ---- */
int kernel_table(struct engine *e, int router, struct buf *out, struct errbuf *eb); /* engine.h: table */

/* ---- kernel_probe.c ---- */
int kernel_self_test(struct engine *e, struct errbuf *eb);

#endif
