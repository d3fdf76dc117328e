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
	const char *addr;
}; /* IP, IP:port or URL */
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
	/* CapGrant as it is written, instead of dst; such rules are skipped by the reader. NULL = none */
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

#endif
