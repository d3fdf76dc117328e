/* An engine makes the links and routers of a planned topology, plugs the hosts (simnet/host/hosts.h) into
 * them, and breaks them on request. Everything above knows an engine by this table alone, so another one is
 * another folder beside fabric/kernel and a line in the program that chooses. Calls are synchronous and
 * short; fds are CLOEXEC; what an engine holds dies with the process. */
#ifndef SIMNET_ENGINE_H
#define SIMNET_ENGINE_H

#include "simnet/scenario/scenario.h"

struct engine; /* one running topology */
struct hosts;
struct capture_glimpse;

struct engine_probe_result { /* what the self-test of a router measured */
	enum nat_mapping mapping;
	enum nat_filtering filtering;
	bool hairpin, guarded;
};
struct engine_drop {	  /* one packet that died, newest last */
	uint64_t at_ns;	  /* monotonic */
	uint64_t last_ns; /* of the last of equal ones; 0 = at_ns */
	const char *where,
		*rule; /* "home", "wan: unsolicited, no mapping"; valid until the engine is closed */
	struct endpoint src, dst;
	uint8_t proto;
	uint32_t count; /* equal drops in a row are merged */
};

struct engine_ops {
	const char *name;
	/* Links, addresses, routes, NAT rules. hosts are open and stay so until the engine is closed; routers
	 * may or may not use theirs. */
	int (*open)(const struct scenario *s, struct hosts *hosts, struct engine **out, struct errbuf *eb);
	/* Probes every router with real packets; ERR_REFUSED names the router, what the file says and what
	 * was measured. */
	int (*self_test)(struct engine *e, struct errbuf *eb);
	/* "router.udp" (all forwarded UDP), "node.udp", "node.link", "router.link"; cut drops silently, heal
	 * undoes, and lifts what the file blocks too. */
	int (*cut)(struct engine *e, const char *target, struct errbuf *eb);
	int (*heal)(struct engine *e, const char *target, struct errbuf *eb);
	/* NAT loses all mappings and picks new ports (seed change + conntrack flush). */
	int (*reset)(struct engine *e, int router, struct errbuf *eb);
	/* The interface, a node's or the outer one of a router, becomes as `want` says, and stays where it is
	 * in all else: plugged into want's network, with its address and routes; or off, without them. A
	 * router's mappings are gone. NULL: this engine cannot. */
	int (*plug)(struct engine *e, struct scn_plug which, const struct scn_iface *want, struct errbuf *eb);
	/* Another model for the link of a node or of a router's WAN that the file gives one. What is on its way goes on. */
	int (*set_link)(struct engine *e, const char *target, const struct link_model *m, struct errbuf *eb);
	/* The router is another NAT, and its mappings are gone. NULL: this engine cannot. */
	int (*set_nat)(struct engine *e, int router, const struct nat_model *m, struct errbuf *eb);
	/* Other rules of a node's or router's firewall; flows that were let through stay known. f is copied. NULL: this engine
	 * cannot. */
	int (*set_firewall)(
		struct engine *e, const char *target, const struct scn_firewall *f, struct errbuf *eb);
	/* What is inside of a router has another IPv6 prefix outside, and nobody reaches it by the old one. NULL: this engine
	 * cannot. */
	int (*set_nptv6)(struct engine *e, int router, const struct nptv6 *to, struct errbuf *eb);
	/* A router reaches these networks by these of its neighbours, and no others so. NULL: this engine cannot. */
	int (*set_routes)(struct engine *e, int router, const struct scn_routes *to, struct errbuf *eb);
	/* Drops seen since the last call, at most cap; the count. What is left is for the next call. */
	size_t (*drops)(struct engine *e, struct engine_drop *out, size_t cap);
	/* Writes what was captured of all links to DIR/net.pcapng (simnet/host/capture.h): the link of a host
	 * has its name, those of a router are NAME.wan and NAME.lan. */
	int (*write_pcaps)(struct engine *e, const char *dir, struct errbuf *eb);
	/* Packets of all links since the last call, at most cap; the count. capture_glimpses (simnet/host/capture.h) says more. */
	size_t (*glimpses)(struct engine *e, struct capture_glimpse *out, size_t cap);
	/* Appends what a router remembers of flows, a line each; may be NULL. */
	int (*table)(struct engine *e, int router, struct buf *out, struct errbuf *eb);
	/* Writes DIR/decisions.jsonl: what links and routers in userspace have decided since the self-test, ordered by object
	 * and flow. Nothing there: no file. */
	int (*write_decisions)(struct engine *e, const char *dir, struct errbuf *eb);
	void (*close)(struct engine *e); /* walks the open list backwards; NULL is fine */
};

#endif
