/* The self-test of routers, shared by its two files: kernel_probe.c measures the UDP classes, kernel_check.c
 * everything else that a file says of a router. */
#ifndef SIMNET_KERNEL_PROBE_H
#define SIMNET_KERNEL_PROBE_H

#include "simnet/fabric/kernel/kernel.h"
#include "simnet/fabric/kernel/kernel_pace.h"

enum { /* numbers in a LAN that topology_plan gives to nobody */
	PROBE_OUT_A = 251,
	PROBE_OUT_B,
	PROBE_IN,
	PROBE_HAIRPIN,
};
/* Of one protocol, that the probes of one router make at most: one whose table or blocks have less room may do as it says, and
 * nobody can tell. */
enum { PROBE_MAPPINGS = 32 };
struct client;
struct probe {
	struct engine *e;
	struct netns inside, outside; /* a foot in every LAN; one in every network that routers face */
	int (*servers)[4];	      /* [network + 1]: A1 A2 B1 B2, or -1 */
	struct client *clients;
	struct pollfd *fds; /* room for all */
	size_t n_routers;
	struct pace pace; /* of the last round */
	double doubt;	  /* pace_doubt of the round that had most of it */
	bool has_crowded;
	int crowded; /* the first router through which not all came and that has no room for the probes */
};
/* Makes the namespaces and plugs them in; nothing is left to do at the end but to close them. */
int probe_connect(struct probe *p, struct errbuf *eb);
/* The kernel removes interfaces of a closed namespace in its own time; until then they answer for the new
 * ones. */
void probe_unplug_last(struct engine *e);
struct addr probe_host(const struct scenario *s, int network, uint32_t number);
bool probe_is_faced(const struct scenario *s, int network);
/* A socket bound to a network's interface and an address there (v6: the one that goes with it), in the
 * namespace where the process is; -1 with errno. */
int probe_socket(int network, int type, const struct endpoint *at);
int probe_raw_socket(int network, int proto, const struct addr *at); /* IPv4 */

bool probe_is_outer(const struct scn_router *r, const struct addr *a); /* one of its external addresses */

/* kernel_check_ports.c: NULL, or how the external ports of new mappings, in the order in which they were
 * made, contradict the model's policy. */
struct probe_port {
	uint32_t host; /* number in the LAN */
	uint16_t inner, outer;
};
const char *probe_ports_trouble(const struct nat_model *m, const struct probe_port *ports, size_t n);

/* After a round in which not all has come that must. */
void probe_gave_up(struct probe *p, const struct pace *round);
/* So many mappings of a protocol at once fit into its table, and into what a host has of its ports. */
bool probe_has_room(const struct scn_router *r, size_t mappings);
/* ERR_REFUSED: router i does not behave as the file says, but so. -ETIMEDOUT: it seems so, and the machine was too slow to
 * tell. */
int probe_say_wrong(const struct probe *p, int i, struct errbuf *eb, const char *what);

/* kernel_check_rest.c: ICMP errors, and TCP that belongs to no connection. Besides, as above. */
int kernel_check_rest(struct probe *p, struct errbuf *eb);

/* kernel_check_forwards.c: static forwards lead to whom the file names. Besides, as above. */
int kernel_check_forwards(struct probe *p, struct errbuf *eb);

/* kernel_check_portmap.c: who asks for a port gets one that leads to him, or none where the file says so. Besides, as above. */
int kernel_check_portmap(struct probe *p, struct errbuf *eb);

/* kernel_check_nat64.c: NAT64 leads to IPv4 and back. Besides, as above. */
int kernel_check_nat64(struct probe *p, struct errbuf *eb);

/* kernel_check_firewall.c: the rules of routers' firewalls, which hold while it is called. Besides, as above. */
int kernel_check_firewalls(struct probe *p, struct errbuf *eb);

/* kernel_check.c: TCP, ICMP, IPv6, lifetimes and the inside guard of every router. ERR_REFUSED names what is
 * wrong. */
int kernel_check(struct probe *p, struct errbuf *eb);

#endif
