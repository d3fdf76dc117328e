/* LocalAPI's status. Rules of all its messages: localapi.h. */
#ifndef RW_PROTO_LOCALAPI_STATUS_H
#define RW_PROTO_LOCALAPI_STATUS_H

#include "mesh/proto/control_net.h"
#include "mesh/proto/control_node.h"

struct api_peer {
	const char *stable_id, *host_name, *dns_name, *os; /* dns_name with trailing dot */
	int64_t node_id, user_id;
	struct node_key key;
	struct addr *ips;
	size_t n_ips;
	struct prefix *allowed;
	size_t n_allowed;
	struct ctl_strings tags;
	struct ctl_prefixes primary_routes;
	const char *cap_map_json; /* raw object text or NULL */
	struct endpoint *addrs;
	size_t n_addrs;	      /* known endpoints */
	const char *cur_addr; /* "ip:port" when direct, else "" */
	const char *relay;    /* code of the home region, "" = none */
	uint64_t rx_bytes, tx_bytes;
	/* INT64_MIN = zero time */
	int64_t created_ms, last_write_ms, last_seen_ms, last_handshake_ms, key_expiry_ms;
	bool online, active, in_engine, expired, in_network_map;
	struct ctl_strings peer_api_urls;    /* "http://ip:port" */
	int32_t file_target;		     /* whether it takes files, and why not: node/serve/sharing.h */
	bool exit_node;			     /* all that has no better way goes by it */
	bool exit_node_option;		     /* the network lets it be one */
	const struct ctl_location *location; /* NULL: not said */
	const char *why;		     /* ours ("Why"): reason of the present path; "" = none */
};
struct api_user {
	int64_t id;
	const char *login_name, *display_name, *profile_pic;
};
struct api_drop {
	const char *name;
	uint64_t n;
};
/* The health line of a machine whose own key has ended. */
#define API_CLOCKS "the clock of this machine and the control server's are " /* ... apart */
#define API_EXPIRED "The key of this machine has expired. To log in anew: ropewalk up"
/* How packets go through this machine. */
struct api_data_path {
	int64_t threads;	 /* that may be used: 1, 2 */
	bool second_runs;	 /* the second sends at this moment */
	uint64_t second_packets; /* sent by it */
	bool tso, uso, gso,
		gro; /* super-packets with the kernel: of TCP and of UDP at the interface, sent and received at the
					socket */
};
struct api_status {
	const char *version, *auth_url;
	const char *backend_state; /* NoState NeedsLogin NeedsMachineAuth Stopped Starting Running */
	bool tun, have_node_key;
	struct addr *ips;
	size_t n_ips;
	struct api_peer self;
	struct api_exit { /* that is used */
		const char *id;
		bool online;
		struct ctl_prefixes ips;
	} * exit; /* NULL = none */
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
	size_t n_drops;		   /* ours ("Drops") */
	const char *control;	   /* ours ("Control"): "connected", "waiting: …" */
	const char *aead;	   /* ours ("AEAD"): what seals packets, "ipsec-mb, AVX512" */
	struct api_data_path data; /* ours ("DataPath") */
	struct ctl_record *extra;
	size_t n_extra; /* names of the network beside the machines' */
};
/* Whole, or in pieces: all but the peers, each peer, the end. */
bool api_status_write(struct buf *out, const struct api_status *s);
bool api_status_write_begin(struct buf *out, const struct api_status *s);
bool api_status_write_peer(struct buf *out, const struct api_peer *p, bool *first);
bool api_status_write_end(struct buf *out);
int api_status_read(struct arena *a, const char *json, size_t len, struct api_status *out, struct errbuf *eb);

#endif
