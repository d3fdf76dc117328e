/* ts2021 control messages as pure structs. tailscale-protocol.md 1.7-1.10, 2.5, 5.1, 6.1.
 * Readers are tolerant as 1.10 says (case-insensitive names, unknown ignored, null for anything) and decode
 * whole or not at all. All memory is in the arena given; strings are NUL-terminated, never NULL unless said.
 * Writers append JSON text to a buf. Zero/absent = "unchanged" in map responses; has_* and the tri-state enum
 * tell absent from empty. */
#ifndef RW_PROTO_CONTROL_H
#define RW_PROTO_CONTROL_H

#include "mesh/proto/control_net.h"
#include "mesh/proto/control_node.h"
#include "mesh/proto/control_problem.h"

enum { CONTROL_CAPVER = 119, CONTROL_CAPVER_MIN = 113 };

struct ctl_register_request {
	uint16_t version;
	struct node_key node, old_node; /* zero = none */
	const char *auth_key;		/* "" = none */
	int64_t expiry_ms;		/* Unix; INT64_MIN = the zero time */
	const char *followup;		/* "" = none */
	bool ephemeral;
	struct ctl_hostinfo hostinfo;
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

struct ctl_ping {
	const char *url,
		*types; /* types: "disco" and the like, with commas between; "" = only whether we are there */
	const char *ip; /* whom to ping so; "" = nobody */
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
	size_t n_filters;     /* PacketFilters, in order of the text */
	const char *ssh_json; /* SSHPolicy as it is written; NULL = unchanged */
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
	/* By the reader: what was left out; more = beyond those named. */
	struct ctl_problem *problems;
	size_t n_problems, more_problems;
	bool incomplete; /* among it what may take something away: only a whole map can tell */
};

struct ctl_key_response {
	struct machine_key server;
};

/* 0 or ERR_MALFORMED with the JSON path of the offence. *out is untouched on failure. A map response is read
 * item by item: only a text that is no object is refused, else see `problems`. What is left out never leaves
 * more allowed than was said: a rule that is not whole is no rule, a filter that cannot be read allows
 * nothing, a key whose end cannot be read has ended. */
int ctl_key_response_read(const char *json, size_t len, struct ctl_key_response *out, struct errbuf *eb);
int ctl_register_request_read(
	struct arena *a, const char *json, size_t len, struct ctl_register_request *out, struct errbuf *eb);
int ctl_register_response_read(
	struct arena *a, const char *json, size_t len, struct ctl_register_response *out, struct errbuf *eb);
int ctl_map_request_read(
	struct arena *a, const char *json, size_t len, struct ctl_map_request *out, struct errbuf *eb);
int ctl_map_response_read(
	struct arena *a, const char *json, size_t len, struct ctl_map_response *out, struct errbuf *eb);

/* Append JSON text; false when memory is short. */
bool ctl_key_response_write(struct buf *out, const struct ctl_key_response *m);
bool ctl_register_request_write(struct buf *out, const struct ctl_register_request *m);
bool ctl_register_response_write(struct buf *out, const struct ctl_register_response *m);
bool ctl_map_request_write(struct buf *out, const struct ctl_map_request *m);
bool ctl_map_response_write(struct buf *out, const struct ctl_map_response *m);

#endif
