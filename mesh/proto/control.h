/* ts2021 control messages as pure structs. tailscale-protocol.md 1.7-1.10, 2.5, 5.1, 6.1.
 * Readers are tolerant as 1.10 says (case-insensitive names, unknown ignored, null for anything) and decode
 * whole or not at all. All memory is in the arena given; strings are NUL-terminated, never NULL unless said.
 * Writers append JSON text to a buf. Zero/absent = "unchanged" in map responses; has_* and the tri-state enum
 * tell absent from empty. */
#ifndef RW_PROTO_CONTROL_H
#define RW_PROTO_CONTROL_H

#include "mesh/base/addr.h"
#include "mesh/base/arena.h"
#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include "mesh/base/key.h"
#include <stdbool.h>
#include <stdint.h>

enum { CONTROL_CAPVER = 119, CONTROL_CAPVER_MIN = 113 };
enum opt_bool { OPT_ABSENT, OPT_FALSE, OPT_TRUE };
enum endpoint_type {
	ENDPOINT_UNKNOWN,
	ENDPOINT_LOCAL,
	ENDPOINT_STUN,
	ENDPOINT_PORTMAPPED,
	ENDPOINT_STUN4_LOCAL,
	ENDPOINT_EXPLICIT
};

struct ctl_strings {
	const char **v;
	size_t n;
};
struct ctl_prefixes {
	struct prefix *v;
	size_t n;
};
struct ctl_endpoints {
	struct endpoint *v;
	uint8_t *types;
	size_t n;
	bool present;
}; /* types may be NULL */

struct ctl_latency {
	const char *key;
	double seconds;
}; /* "1-v4" */
struct ctl_netinfo {
	enum opt_bool mapping_varies, working_ipv6, os_has_ipv6, working_udp, working_icmp4, upnp, pmp, pcp;
	int32_t preferred_derp; /* 0 = none */
	const char *link_type;
	struct ctl_latency *latency;
	size_t n_latency;
};
struct ctl_hostinfo {
	const char *ipn_version, *backend_log_id, *os, *os_version, *hostname, *machine, *go_arch;
	struct ctl_prefixes routable_ips;
	struct ctl_strings request_tags;
	bool has_netinfo;
	struct ctl_netinfo netinfo;
};

struct ctl_register_request {
	uint16_t version;
	struct node_key node, old_node; /* zero = none */
	const char *auth_key;		/* "" = none */
	int64_t expiry_ms;		/* Unix; INT64_MIN = the zero time */
	const char *followup;		/* "" = none */
	bool ephemeral;
	struct ctl_hostinfo hostinfo;
};
struct ctl_user {
	int64_t id;
	const char *login_name, *display_name, *profile_pic;
};
struct ctl_register_response {
	struct ctl_user user, login;
	bool node_key_expired, machine_authorized;
	const char *auth_url, *error; /* "" = none */
};

struct ctl_map_request {
	uint16_t version;
	const char *compress; /* "zstd" or "" */
	bool keep_alive, stream, omit_peers, read_only;
	struct node_key node;
	struct disco_key disco;
	bool has_hostinfo;
	struct ctl_hostinfo hostinfo;
	struct ctl_endpoints endpoints;
};

struct ctl_node {
	int64_t id;
	const char *stable_id, *name; /* FQDN with trailing dot */
	int64_t user;
	struct node_key key;
	struct machine_key machine;
	struct disco_key disco;
	struct ctl_prefixes addresses, allowed_ips; /* allowed_ips null/absent = addresses */
	struct ctl_endpoints endpoints;
	int32_t home_derp; /* from HomeDERP or legacy DERP "127.3.3.40:N"; 0 = none */
	struct ctl_hostinfo hostinfo;
	int64_t created_ms, last_seen_ms, key_expiry_ms; /* INT64_MIN = none */
	uint16_t cap;
	bool machine_authorized, expired;
	enum opt_bool online;
	struct ctl_strings tags;
	struct ctl_prefixes primary_routes;
	const char *cap_map_json; /* raw object text or NULL */
};
struct ctl_peer_patch {
	int64_t id;
	int32_t derp_region;		/* 0 = unchanged */
	uint16_t cap;			/* 0 = unchanged */
	struct ctl_endpoints endpoints; /* present tells */
	bool has_key, has_disco;
	struct node_key key;
	struct disco_key disco;
	enum opt_bool online;
	bool has_last_seen, has_key_expiry;
	int64_t last_seen_ms, key_expiry_ms;
};

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
struct ctl_rule { /* CapGrant rules are skipped by the reader */
	struct ctl_ip_range *src;
	size_t n_src;
	struct ctl_ports *dst;
	size_t n_dst;
	uint8_t *protos;
	size_t n_protos; /* empty = TCP, UDP, ICMP, ICMPv6 */
};
struct ctl_filter {
	const char *name;
	bool remove;
	struct ctl_rule *rules;
	size_t n_rules;
};

struct ctl_ping {
	const char *url, *types;
	bool url_is_noise;
};
struct ctl_online {
	int64_t id;
	bool online;
};
struct ctl_map_response {
	bool keep_alive;
	struct ctl_node *node; /* NULL = unchanged */
	struct ctl_node *peers;
	size_t n_peers; /* non-empty = full replacement */
	struct ctl_node *peers_changed;
	size_t n_changed;
	int64_t *peers_removed;
	size_t n_removed;
	struct ctl_peer_patch *patches;
	size_t n_patches;
	struct ctl_online *online;
	size_t n_online; /* OnlineChange */
	struct ctl_online *seen;
	size_t n_seen; /* PeerSeenChange */
	struct ctl_derp_map *derp_map;
	struct ctl_dns *dns;
	bool has_filter; /* legacy PacketFilter present (may be empty: block all) */
	struct ctl_rule *filter;
	size_t n_filter;
	bool filters_clear; /* "*": null */
	struct ctl_filter *filters;
	size_t n_filters; /* PacketFilters, in order of the text */
	struct ctl_user *users;
	size_t n_users;
	const char *domain;	 /* NULL = unchanged */
	int64_t control_time_ms; /* INT64_MIN = none */
	bool has_debug;
	bool disable_log_tail;
	double sleep_seconds;
	bool has_health;
	struct ctl_strings health;
	struct ctl_ping *ping;
};

struct ctl_key_response {
	struct machine_key server;
};

/* 0 or ERR_MALFORMED with the JSON path of the offence. *out is untouched on failure. */
int ctl_key_response_read(const char *json, size_t len, struct ctl_key_response *out, struct errbuf *eb);
int ctl_register_request_read(
	struct arena *a, const char *json, size_t len, struct ctl_register_request *out, struct errbuf *eb);
int ctl_register_response_read(
	struct arena *a, const char *json, size_t len, struct ctl_register_response *out, struct errbuf *eb);
int ctl_map_request_read(
	struct arena *a, const char *json, size_t len, struct ctl_map_request *out, struct errbuf *eb);
int ctl_map_response_read(
	struct arena *a, const char *json, size_t len, struct ctl_map_response *out, struct errbuf *eb);
int ctl_derp_map_read(
	struct arena *a, const char *json, size_t len, struct ctl_derp_map *out, struct errbuf *eb);
int ctl_dns_read(struct arena *a, const char *json, size_t len, struct ctl_dns *out, struct errbuf *eb);
int ctl_hostinfo_read(
	struct arena *a, const char *json, size_t len, struct ctl_hostinfo *out, struct errbuf *eb);

/* Append JSON text; false when memory is short. */
bool ctl_key_response_write(struct buf *out, const struct ctl_key_response *m);
bool ctl_register_request_write(struct buf *out, const struct ctl_register_request *m);
bool ctl_register_response_write(struct buf *out, const struct ctl_register_response *m);
bool ctl_map_request_write(struct buf *out, const struct ctl_map_request *m);
bool ctl_map_response_write(struct buf *out, const struct ctl_map_response *m);
bool ctl_derp_map_write(struct buf *out, const struct ctl_derp_map *m);
bool ctl_dns_write(struct buf *out, const struct ctl_dns *m);
bool ctl_hostinfo_write(struct buf *out, const struct ctl_hostinfo *m);

#endif
