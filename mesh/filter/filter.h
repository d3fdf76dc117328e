/* Compiled access rules and the return-traffic table. tailscale-protocol.md 6.2. Pure. */
#ifndef RW_FILTER_FILTER_H
#define RW_FILTER_FILTER_H

#include "mesh/base/addr.h"
#include "mesh/base/ip.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct filter_range { /* first and last are of one family */
	struct addr first, last;
	bool any;
};
struct filter_dst {
	struct prefix net;
	bool any;
	uint16_t first, last; /* ports */
};
struct filter_rule { /* borrowed during filter_build */
	const struct filter_range *src;
	size_t n_src;
	const struct filter_dst *dst;
	size_t n_dst;
	const uint8_t *protos;
	size_t n_protos; /* none = TCP, UDP, ICMP, ICMPv6 */
};

struct filter; /* rules: immutable; swap whole. State (flows) lives in struct filter_flows, which survives the
		  swap. */
/* Our own addresses and routed prefixes: what may be a destination. One of no bits is all of its family, but
 * for what is in `except`. Borrowed during filter_build. */
struct filter_local {
	const struct prefix *v, *except;
	size_t n, n_except;
};
struct filter *filter_build(
	const struct filter_rule *rules, size_t n, const struct filter_local *local); /* NULL: memory short */
void filter_free(struct filter *f);						      /* NULL is fine */

struct filter_flows;
/* At most 8192 flows, each for 10 minutes after its last packet; the oldest leave. NULL: memory short. */
struct filter_flows *filter_flows_new(uint64_t seed);
void filter_flows_free(struct filter_flows *t); /* NULL is fine */

enum filter_verdict { FILTER_PASS, FILTER_DROP, FILTER_TSMP /* hand to the engine, not to the TUN */ };
#define FILTER_DROPS(X) \
	X(malformed) X(not_local) X(own_source) X(multicast) X(link_local) X(no_rule) X(fragment)
struct filter_drops {
#define X(name) uint64_t name;
	FILTER_DROPS(X)
#undef X
};
/* From the mesh to us. now_ms ages flows. drops gets the reason; `malformed` is for the caller whose ip_parse
 * failed too. The source was checked against allowed-ips already. A dropped TCP SYN deserves a TSMP reject
 * (filter_wants_reject). */
enum filter_verdict filter_in(const struct filter *f, struct filter_flows *t, uint64_t now_ms,
	const struct ip_view *v, struct filter_drops *drops);
/* One more packet of a flow, right after another that filter_in passed with the same rules and time: whether it passes too. false:
 * filter_in must be asked. */
bool filter_in_again(const struct ip_view *v);
/* Among what f was built for: what leaves us has such a source. */
bool filter_is_local(const struct filter *f, const struct addr *a);
/* From us to the mesh: remembers the flow so that its answers pass. */
enum filter_verdict filter_out(
	struct filter_flows *t, uint64_t now_ms, const struct ip_view *v, struct filter_drops *drops);
/* A TCP connection attempt: the sender should be told that the rules forbid it. */
bool filter_wants_reject(const struct ip_view *v);

#endif
