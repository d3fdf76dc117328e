/* The self-test of routers, shared by its two files: kernel_probe.c measures the UDP classes, kernel_check.c
 * everything else that a file says of a router. */
#ifndef SIMNET_KERNEL_PROBE_H
#define SIMNET_KERNEL_PROBE_H

#include "simnet/fabric/kernel/kernel.h"

enum { /* numbers in a LAN that topology_plan gives to nobody */
	PROBE_OUT_A = 251,
	PROBE_OUT_B,
	PROBE_IN,
	PROBE_HAIRPIN,
};
struct client;
struct probe {
	struct engine *e;
	struct netns inside, outside; /* a foot in every LAN; one in every network that routers face */
	int (*servers)[4];	      /* [network + 1]: A1 A2 B1 B2, or -1 */
	struct client *clients;
	struct pollfd *fds; /* room for all */
	size_t n_routers;
};
struct addr probe_host(const struct scenario *s, int network, uint32_t number);
bool probe_is_faced(const struct scenario *s, int network);
/* A socket bound to a network's interface and an address there (v6: the one that goes with it), in the
 * namespace where the process is; -1 with errno. */
int probe_socket(int network, int type, const struct endpoint *at);

/* kernel_check.c: TCP, ICMP, IPv6, lifetimes and the inside guard of every router. ERR_REFUSED names what is
 * wrong. */
int kernel_check(struct probe *p, struct errbuf *eb);

#endif
