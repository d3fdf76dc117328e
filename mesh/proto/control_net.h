/* What the network sets for a node: relays (tailscale-protocol.md 2.5), DNS (5.1), packet filter (6.1). Rules
 * of all control structs: control.h. */
#ifndef RW_PROTO_CONTROL_NET_H
#define RW_PROTO_CONTROL_NET_H

#include "mesh/proto/control_node.h"

struct ctl_derp_node {
	const char *name, *host, *cert_name; /* cert_name "" = host */
	int32_t region;
	const char *ipv4, *ipv6;      /* literal, "" = DNS, "none" */
	int32_t stun_port, derp_port; /* 0 = default, -1 = none (stun) */
	const char *stun_test_ip;     /* "" = none */
	bool stun_only, insecure;
};
struct ctl_derp_region {
	int32_t id;
	const char *code, *name;
	double latitude, longitude; /* degrees, of its city; both 0 = not said */
	bool no_measure;
	struct ctl_derp_node *nodes;
	size_t n_nodes;
};
struct ctl_derp_map {
	bool regions_null; /* keep the old regions */
	struct ctl_derp_region *regions;
	size_t n_regions; /* sorted by id */
	bool omit_default;
};

struct ctl_resolver {
	const char *addr;	      /* IP, IP:port or URL */
	struct ctl_strings bootstrap; /* addresses of a URL's name */
	/* Ours: keys, one of which the server has to show, as dns_secure.h writes pins; none: any. Clients of others do not
	 * know the member, and leave it. */
	struct ctl_strings pins;
	bool with_exit; /* also asked by a machine that uses an exit, whose names come from there else */
};
struct ctl_route {
	const char *suffix;
	struct ctl_resolver *resolvers;
	size_t n;
}; /* n == 0: quad-100 is authoritative */
struct ctl_record {
	const char *name, *type, *value;
};
struct ctl_dns {
	struct ctl_resolver *resolvers;
	size_t n_resolvers;
	struct ctl_resolver *fallback;
	size_t n_fallback;
	struct ctl_route *routes;
	size_t n_routes;
	struct ctl_strings domains;
	bool proxied;
	struct ctl_record *extra;
	size_t n_extra;
};

/* What a machine is to block in the names it answers others: the one value of the capability CTL_BLOCKING_CAP of its
 * own node. Ours; clients of others keep capabilities that they do not know. Words as in docs/dns.md. */
#define CTL_BLOCKING_CAP "ropewalk.internal/cap/dns-blocking"
struct ctl_block_list {
	const char *name, *url;	  /* url "" = the names are these: */
	struct ctl_strings names; /* in the forms of lists */
	bool allow;
	struct ctl_strings when; /* none = always */
};
struct ctl_block_group {
	const char *name;
	struct ctl_strings clients; /* "user@", "tag:x", a machine's name, an address or network */
	struct ctl_strings lists;   /* by name; none = nothing is blocked for it */
};
struct ctl_blocking {
	struct ctl_block_list *lists;
	size_t n_lists;
	struct ctl_block_group *groups; /* the first that a client is in is its group; in none: all lists */
	size_t n_groups;
	struct ctl_strings answer;	      /* none = null */
	uint64_t ttl_s, refresh_ms, pause_ms; /* 0 = default */
};

struct ctl_ports {
	struct prefix net;
	bool any_ip;
	uint16_t first, last;
};
struct ctl_ip_range {
	struct addr first, last;
	bool any;
};
struct ctl_rule {
	struct ctl_ip_range *src;
	size_t n_src;
	struct ctl_ports *dst;
	size_t n_dst;
	uint8_t *protos;
	size_t n_protos; /* empty = TCP, UDP, ICMP, ICMPv6 */
	/* CapGrant as it is written: what the sources may ask of programs here. Such a rule lets no packet in: it has no dst.
	 * NULL = none */
	const char *caps_json;
};
struct ctl_filter {
	const char *name;
	bool remove;
	struct ctl_rule *rules;
	size_t n_rules;
};

int ctl_derp_map_read(
	struct arena *a, const char *json, size_t len, struct ctl_derp_map *out, struct errbuf *eb);
bool ctl_derp_map_write(struct buf *out, const struct ctl_derp_map *m);
int ctl_dns_read(struct arena *a, const char *json, size_t len, struct ctl_dns *out, struct errbuf *eb);
bool ctl_dns_write(struct buf *out, const struct ctl_dns *m);
/* All their rules as one list. */
bool ctl_filters_write(struct buf *out, const struct ctl_filter *v, size_t n);
/* Of a node's own CapMap (NULL: none): *out is in a, NULL where it is not said. The writer appends the value. */
int ctl_blocking_read(
	struct arena *a, const char *cap_map_json, const struct ctl_blocking **out, struct errbuf *eb);
bool ctl_blocking_write(struct buf *out, const struct ctl_blocking *m);

#endif
