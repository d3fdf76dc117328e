/* An IPv4 NAT, whose inside may also be IPv6 (NAT64), of any class, port policy and lifetime; pure: packets and time come in, rewritten packets and verdicts go
 * out. RFC 4787, 5382, 5508, 7857.
 *
 * A mapping gives an inside end (address and port, or the identifier of an echo) an outside one, towards everybody (EIM),
 * an address (ADM) or an address and port (APDM). Sessions, a mapping's talks with single peers, are what lives and dies;
 * a mapping ends with its last one. */
#ifndef SIMNET_USER_NAT_H
#define SIMNET_USER_NAT_H

#include "mesh/base/table.h"
#include "simnet/fabric/user/decision.h"
#include "simnet/scenario/scenario.h"

enum { NAT_SESSIONS_MAX = 65536, NAT_PORT_FIRST = 4096 };

struct nat_config {
	const char *name;	       /* of the router; lives as long as the NAT */
	const struct nat_model *model; /* copied */
	struct addr wan;	       /* the rest of a pool follows it */
	uint64_t seed;
	const struct addr *pool;  /* NAT_POOL_MAX of them, those from 1 are copied; NULL = those behind wan */
	struct decision_log *log; /* may be NULL */
};

enum nat_end {
	NAT_PASSES,
	NAT_DROPS,
	NAT_RESETS,    /* and its sender is told by a reset */
	NAT_PROHIBITS, /* and by ICMP */
	NAT_WAITS,     /* a fragment whose first has not come: to be tried again behind it */
	NAT_IS_NONE,   /* nothing here translates it, and it is as it was */
};
struct nat_verdict {
	enum nat_end end;
	const char *why; /* of a drop or reset; static */
	struct addr
		inside; /* of what passes inwards: whose it is. IPv6 (NAT64): in its place in the packet are its last four
			     * bytes */
};
struct nat;
struct nat *nat_new(const struct nat_config *c); /* NULL: memory */
void nat_free(struct nat *n);
bool nat_owns(const struct nat *n, const struct addr *a); /* an outside address of its */
/* From inside to outside; from outside to an outside address; from inside to an outside address. v is what ip_parse said
 * of the packet; on NAT_PASSES the packet is rewritten and v is not true any more. */
struct nat_verdict nat_out(struct nat *n, uint8_t *ip, const struct ip_view *v, uint64_t now_ns);
struct nat_verdict nat_in(struct nat *n, uint8_t *ip, const struct ip_view *v, uint64_t now_ns);
/* The same of a port that leads to an inside end, whatever the filtering; NULL: to nobody. */
struct nat_verdict nat_in_to(
	struct nat *n, uint8_t *ip, const struct ip_view *v, const struct endpoint *to, uint64_t now_ns);
struct nat_verdict nat_hairpin(struct nat *n, uint8_t *ip, const struct ip_view *v, uint64_t now_ns);
/* nat_out and nat_hairpin of a packet that was IPv6: of whom it is, which is in v's and the packet's place by its last four
 * bytes. about: the inside host that an ICMP error is about. */
struct nat_verdict nat_out_six(struct nat *n, uint8_t *ip, const struct ip_view *v, const struct addr *inside,
	const struct addr *about, uint64_t now_ns);
struct nat_verdict nat_hairpin_six(
	struct nat *n, uint8_t *ip, const struct ip_view *v, const struct addr *inside, uint64_t now_ns);
/* Whether a packet from inside belongs to a flow that is known, or is an error about one that came in. */
bool nat_knows(struct nat *n, const uint8_t *ip, const struct ip_view *v);
/* A packet from inside ends at the router: where its flow is conntrack's, that is in use all the same. */
void nat_touch(struct nat *n, const struct ip_view *v, uint64_t now_ns);
void nat_tick(struct nat *n, uint64_t now_ns); /* what has had its time ends */
uint64_t nat_deadline_ns(const struct nat *n); /* UINT64_MAX = none */
/* Every mapping is gone; reborn: and what is made next gets another port than it had, where the policy chooses ports. */
void nat_forget(struct nat *n, bool reborn, uint64_t now_ns);
void nat_move(struct nat *n, const struct addr *wan,
	uint64_t now_ns); /* another outside address; mappings are gone */
/* It is another one, with the same outer addresses; mappings are gone. */
void nat_become(struct nat *n, const struct nat_model *m, uint64_t now_ns);
size_t nat_sessions(const struct nat *n);
/* A line for each session: "udp 192.168.1.10:5000 -> 203.0.113.10:3478, outside as 203.0.113.100:17221, 12 s left". false:
 * out is full. */
bool nat_format(const struct nat *n, uint64_t now_ns, struct buf *out);
const struct nat_model *nat_model_of(const struct nat *n);

/* ---- what a firewall has seen go out ---- */

struct nat_flows {
	struct table flows;
};
void nat_flows_init(struct nat_flows *f);
void nat_flows_fini(struct nat_flows *f);
/* Outward packets pass and are remembered for FLOWS_LIFE_S; inward ones pass as their answer, or as an ICMP error. */
bool nat_flows_pass(struct nat_flows *f, const struct ip_view *v, bool inward, uint64_t now_ns);

#endif
