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

struct kernel_cut { /* what a cut or a blocked host drops; key of the list is target */
	char *target;
	int node, router; /* one of them, the other -1 */
	bool link;	  /* everything on its outer link, else UDP only */
	bool permanent;	  /* the file says so */
};

struct engine {
	const struct scenario *s; /* not owned */
	struct hosts *hosts;	  /* not owned */
	struct netns fabric;	  /* holds every bridge; its ports are the links */
	struct nl *fabric_nl;
	int *bridges;	  /* [0] the internet, [1 + i] the LAN of router i; ifindex in the fabric */
	uint32_t *epochs; /* of each router: how often it was reset */
	struct kernel_cut *cuts;
	size_t n_cuts;
	struct trace *trace;
	struct capture *capture;
	unsigned n_self_tests; /* makes their interface names new: the kernel removes old ones in its own time
				*/
	struct engine_probe_result *measured; /* of each router, by the last self-test */
};

enum { KERNEL_LOG_GROUP = 7, KERNEL_NAME = 16, KERNEL_UDP_TIMEOUT_S = 120 };

/* ---- kernel_engine.c ---- */
const struct netns *kernel_router_net(const struct engine *e, size_t router);

/* ---- kernel_net.c ---- */
int kernel_net_routers(struct engine *e, struct errbuf *eb); /* with the fabric */
int kernel_net_nodes(struct engine *e, struct errbuf *eb);
/* Name of the port in the fabric: "n3", "r2w" (WAN), "r2l" (LAN); out[KERNEL_NAME]. */
void kernel_port_name(char kind, int index, char side, char *out);

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
/* How long the kernel holds a UDP mapping in the namespace where the process is: want, or the first of its
 * settings that is another; 0 when that cannot be read. */
uint32_t kernel_nat_lifetime_s(uint32_t want);
int kernel_conntrack_flush(struct errbuf *eb); /* in the namespace where the process is */
/* (Re)loads the rules of routers first..end-1 and flushes their mappings. jobs: one each; after a failed
 * start, finish must still be called, for those that did. */
int kernel_nat_start(struct engine *e, int first, int end, struct kernel_nft *jobs, struct errbuf *eb);
int kernel_nat_finish(struct engine *e, int first, int end, struct kernel_nft *jobs, struct errbuf *eb);
int kernel_nat_forget(
	struct engine *e, struct errbuf *eb); /* every mapping of every router; ports stay as they were */

/* ---- kernel_probe.c ---- */
int kernel_self_test(struct engine *e, struct errbuf *eb);

#endif
