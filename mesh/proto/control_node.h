/* Machines and people in control messages: host facts, nodes, changes of nodes, users.
 * tailscale-protocol.md 1.8. Rules of all control structs: control.h. */
#ifndef RW_PROTO_CONTROL_NODE_H
#define RW_PROTO_CONTROL_NODE_H

#include "mesh/base/addr.h"
#include "mesh/base/arena.h"
#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include "mesh/base/key.h"
#include <stdbool.h>
#include <stdint.h>

/* A byte each: a map of thousands of machines holds many. */
enum __attribute__((packed)) opt_bool { OPT_ABSENT, OPT_FALSE, OPT_TRUE };
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
	uint8_t *types; /* enum endpoint_type; may be NULL */
	size_t n;
	bool present;
};

struct ctl_latency {
	const char *key; /* "1-v4" */
	double seconds;
};
struct ctl_netinfo {
	enum opt_bool mapping_varies, working_ipv6, os_has_ipv6, working_udp, working_icmp4, upnp, pmp, pcp;
	int32_t preferred_derp; /* 0 = none */
	const char *link_type;
	struct ctl_latency *latency;
	size_t n_latency;
};
struct ctl_service { /* what listens on a node: "peerapi4", "tcp" */
	const char *proto, *description;
	uint16_t port;
};
/* Where a machine is, as it says or the server does: a city's middle, perhaps. Texts "" and numbers 0 = not said. */
struct ctl_location {
	const char *country, *country_code, *city, *city_code; /* "Canada", "CA", "Squamish", "YSE" */
	double latitude, longitude;			       /* degrees */
	int32_t priority;				       /* of exits at one place, the highest first */
};
struct ctl_hostinfo {
	const char *ipn_version, *backend_log_id, *os, *os_version, *hostname, *machine, *go_arch;
	struct ctl_prefixes routable_ips;
	struct ctl_strings request_tags;
	bool shields_up; /* it lets in nothing that it has not asked for */
	struct ctl_service *services;
	size_t n_services;
	const struct ctl_netinfo *netinfo;   /* NULL: not said */
	const struct ctl_location *location; /* NULL: not said */
};

struct ctl_user {
	int64_t id;
	const char *login_name, *display_name, *profile_pic;
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
	struct ctl_hostinfo hostinfo;
	int64_t created_ms, last_seen_ms, key_expiry_ms; /* INT64_MIN = none */
	int32_t home_derp; /* from HomeDERP or legacy DERP "127.3.3.40:N"; 0 = none */
	uint16_t cap;
	bool machine_authorized, expired;
	enum opt_bool online;
	struct ctl_strings tags;
	struct ctl_prefixes primary_routes;
	const char *cap_map_json; /* raw object text or NULL */
	/* For writing in lists: all of the object but Cap, made by ctl_node_write with cap 0; or NULL. */
	const char *written;
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

int ctl_hostinfo_read(
	struct arena *a, const char *json, size_t len, struct ctl_hostinfo *out, struct errbuf *eb);
bool ctl_hostinfo_write(struct buf *out, const struct ctl_hostinfo *m);
bool ctl_location_write(struct buf *out, const struct ctl_location *m);
bool ctl_node_write(struct buf *out, const struct ctl_node *m);
bool ctl_user_write(struct buf *out, const struct ctl_user *m);
bool ctl_cap_has(const char *cap_map_json, const char *cap);	   /* NULL: no; nor where memory is short */
bool ctl_node_has(const struct ctl_node *n, const struct addr *a); /* among its own addresses */

#endif
