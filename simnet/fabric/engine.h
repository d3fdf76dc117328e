/* An engine makes a planned topology real and does things to it. The kernel engine is simnet/kernel_*.c; a
 * second, userspace one will have the same ops. The caller is the supervisor's child: pid 1 of a private user
 * + pid + mount + net namespace (sandbox.h), so everything dies with it. Calls are synchronous and short; fds
 * are CLOEXEC. */
#ifndef SIMNET_ENGINE_H
#define SIMNET_ENGINE_H

#include "simnet/scenario/scenario.h"
#include <sys/types.h>

struct engine; /* one running topology */

struct engine_probe_result { /* what the self-test of a router measured */
	enum nat_mapping mapping;
	enum nat_filtering filtering;
	bool hairpin, guarded;
};
struct engine_drop { /* one packet that died, newest last */
	uint64_t at_ns;
	const char *where,
		*rule; /* "home", "wan: unsolicited, no mapping"; valid until the engine is closed */
	struct endpoint src, dst;
	uint8_t proto;
	uint32_t count; /* equal drops in a row are merged */
};

struct engine_ops {
	const char *name;
	/* Namespaces, links, addresses, routes, NAT rules. work_dir: for per-host /etc overlays, /run and
	 * pcaps. */
	int (*open)(const struct scenario *s, const char *work_dir, struct engine **out, struct errbuf *eb);
	/* Probes every router with real packets; ERR_REFUSED names the router, what the file says and what
	 * was measured. */
	int (*self_test)(struct engine *e, struct errbuf *eb);
	/* Starts argv in node's namespaces (net, mount with own /etc overlay and tmpfs /run; hosts file names
	 * every service). out/err: fds to use as stdout and stderr; stdin is empty; env NULL: ours.
	 * It leads a session of its own and dies with this process. Returns the pid or a negative code. */
	pid_t (*spawn)(struct engine *e, int node, const char *const *argv, const char *const *env, int out,
		int err, struct errbuf *eb);
	/* A socket made in node's network namespace (socket(2) arguments); for probes. */
	int (*socket)(struct engine *e, int node, int domain, int type, int protocol, struct errbuf *eb);
	/* "router.udp" (all forwarded UDP), "node.udp", "node.link", "router.link"; cut drops silently, heal
	 * undoes, and lifts what the file blocks too. */
	int (*cut)(struct engine *e, const char *target, struct errbuf *eb);
	int (*heal)(struct engine *e, const char *target, struct errbuf *eb);
	/* NAT loses all mappings and picks new ports (seed change + conntrack flush). */
	int (*reset)(struct engine *e, int router, struct errbuf *eb);
	/* Drops seen since the last call, at most cap (the oldest of the rest are lost); returns the count.
	 */
	size_t (*drops)(struct engine *e, struct engine_drop *out, size_t cap);
	/* Writes the capture ring of every link to DIR/LINK.pcap. */
	int (*write_pcaps)(struct engine *e, const char *dir, struct errbuf *eb);
	/* Interactive: exec argv inside node's namespaces, replacing this process (used by `shell`). */
	int (*enter)(struct engine *e, int node, struct errbuf *eb);
	void (*close)(struct engine *e); /* walks the open list backwards; NULL is fine */
};
extern const struct engine_ops engine_kernel;

#endif
