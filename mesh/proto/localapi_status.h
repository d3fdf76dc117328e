/* LocalAPI's status. Rules of all its messages: localapi.h. */
#ifndef RW_PROTO_LOCALAPI_STATUS_H
#define RW_PROTO_LOCALAPI_STATUS_H

#include "mesh/base/addr.h"
#include "mesh/base/arena.h"
#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include "mesh/base/key.h"

struct api_peer {
	const char *stable_id, *host_name, *dns_name, *os; /* dns_name with trailing dot */
	int64_t node_id, user_id;
	struct node_key key;
	struct addr *ips;
	size_t n_ips;
	struct prefix *allowed;
	size_t n_allowed;
	struct endpoint *addrs;
	size_t n_addrs;	      /* known endpoints */
	const char *cur_addr; /* "ip:port" when direct, else "" */
	const char *relay;    /* code of the home region, "" = none */
	uint64_t rx_bytes, tx_bytes;
	/* INT64_MIN = zero time */
	int64_t created_ms, last_write_ms, last_seen_ms, last_handshake_ms, key_expiry_ms;
	bool online, active, in_engine, expired, in_network_map;
	const char *why; /* ours ("Why"): reason of the present path; "" = none */
};
struct api_user {
	int64_t id;
	const char *login_name, *display_name;
};
struct api_drop {
	const char *name;
	uint64_t n;
};
struct api_status {
	const char *version, *auth_url;
	const char *backend_state; /* NoState NeedsLogin NeedsMachineAuth Stopped Starting Running */
	bool tun, have_node_key;
	struct addr *ips;
	size_t n_ips;
	struct api_peer self;
	struct api_peer *peers;
	size_t n_peers;
	struct api_user *users;
	size_t n_users;
	const char **health;
	size_t n_health;
	const char **problems; /* ours ("Problems"): what of the server's map is not used, and why */
	size_t n_problems;
	const char *magic_suffix, *tailnet;
	bool magic_dns;
	struct api_drop *drops;
	size_t n_drops;	     /* ours ("Drops") */
	const char *control; /* ours ("Control"): "connected", "waiting: …" */
};
bool api_status_write(struct buf *out, const struct api_status *s);
int api_status_read(struct arena *a, const char *json, size_t len, struct api_status *out, struct errbuf *eb);

#endif
