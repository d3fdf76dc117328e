/* LocalAPI JSON, ecosystem.md 1.4: status, ping result, netcheck report, DNS, preferences. Names are those of
 * the official socket; members of ours are marked. Readers: 0 or a code, *out untouched on failure, memory in
 * the arena; strings are never NULL unless said. Writers: false when memory is short. */
#ifndef RW_PROTO_LOCALAPI_H
#define RW_PROTO_LOCALAPI_H

#include "mesh/proto/control.h"
#include "mesh/proto/localapi_status.h"

/* Why somebody takes the machine off the network: base64, as official clients send --reason (seen of 1.102.5). */
#define API_REASON_HEADER "X-Tailscale-Reason"
enum { API_REASON_MAX = 256 }; /* bytes of the text */

struct api_ping_result {
	const char *ip, *node_ip, *node_name, *err, *endpoint; /* endpoint "" when relayed */
	double latency_s;
	int32_t derp_region;
	const char *derp_code;
	uint16_t peer_api_port;	  /* said with answers by TSMP; 0: none */
	const char *peer_api_url; /* of a ping of the PeerAPI; else "" */
};
bool api_ping_write(struct buf *out, const struct api_ping_result *r);
int api_ping_read(
	struct arena *a, const char *json, size_t len, struct api_ping_result *out, struct errbuf *eb);

struct api_region_latency {
	int32_t id;
	const char *code, *name;
	double seconds;
};
struct api_netcheck {
	bool udp, ipv4, ipv6;
	int8_t mapping_varies, upnp, pmp, pcp; /* -1 unknown; the last three: the router offers it */
	const char *mapped,
		*unmapped; /* ours: the router's port that leads here, or "" and why there is none */
	const char *pinhole6,
		*no_pinhole6; /* ours: where the router's IPv6 firewall lets peers in, or "" and why not */
	const char *global_v4, *global_v6; /* "ip:port" or "" */
	const char *proxy; /* ours: by which HTTP proxies server and relays are reached; "" = none */
	int32_t preferred;
	bool measured; /* ours, as is AgeSeconds: there is a report, and how old it is */
	double age_s;
	int64_t now_ms; /* Unix: when it was made; INT64_MIN = not yet */
	struct api_region_latency
		*regions; /* written also as the official program has them: RegionLatency, by id */
	size_t n_regions;
};
bool api_netcheck_write(struct buf *out, const struct api_netcheck *r);
int api_netcheck_read(
	struct arena *a, const char *json, size_t len, struct api_netcheck *out, struct errbuf *eb);

/* Preferences: GET/PATCH prefs (MaskedPrefs: FooSet + Foo). */
struct api_prefs {
	const char *control_url, *hostname, *operator_user;
	/* Whose login it is; told while there is one: without, the official `up` wants every option again. */
	struct {
		const char *login_name;
	} user;
	bool has_user;
	bool want_running, logged_out, corp_dns, route_all, shields_up;
	struct ctl_prefixes advertise_routes;
	struct ctl_strings advertise_tags; /* asked for at a login; none is left out */
	bool no_snat;
	enum opt_bool no_stateful_filtering;	 /* OPT_ABSENT: as this machine sees fit */
	const char *exit_node_id, *exit_node_ip; /* of those, the first that is not "" */
	const char *exit_prior;			 /* told, never set: the one before it was turned off */
	bool exit_allow_lan;
	const char *routes_prefer; /* ours ("RoutesPrefer"): "lan", "mesh"; "" = as it is */
	const char *server_key; /* ours ("ServerKey"): "mkey:..." of the server at control_url; "" = not known
				      beforehand. Set together with it. */
	enum api_netfilter {
		API_NETFILTER_ON,	/* what is not said */
		API_NETFILTER_NODIVERT, /* rules, which nothing leads to */
		API_NETFILTER_OFF,	/* none */
	} netfilter;
};
struct api_prefs_mask {
	bool control_url, hostname, operator_user, want_running, logged_out, corp_dns, route_all, shields_up;
	bool advertise_routes, advertise_tags, no_snat, no_stateful_filtering, routes_prefer, server_key;
	bool exit_node_id, exit_node_ip, exit_allow_lan, netfilter;
};
bool api_prefs_write(struct buf *out, const struct api_prefs *p,
	const struct api_prefs_mask *mask); /* mask NULL = plain */
int api_prefs_read(struct arena *a, const char *json, size_t len, struct api_prefs *out,
	struct api_prefs_mask *mask, struct errbuf *eb);

/* POST start: Options{AuthKey, UpdatePrefs}; ForceReauth is ours: the key is used though there is a login. */
struct api_start {
	const char *auth_key;
	bool force_reauth;
	struct api_prefs prefs;
	bool has_prefs;
};
bool api_start_write(struct buf *out, const struct api_start *s);
int api_start_read(struct arena *a, const char *json, size_t len, struct api_start *out, struct errbuf *eb);

/* watch-ipn-bus: one Notify a line. Empty members are left out. state: the ints of ipn.State as in status (0
 * NoState, 2 NeedsLogin, 3 NeedsMachineAuth, 4 Stopped, 5 Starting, 6 Running); -1 = absent. */
struct api_outgoing {		      /* a file on its way to a peer, or that was */
	const char *id, *peer, *name; /* peer: its stable id */
	int64_t started_ms;	      /* Unix */
	int64_t size;		      /* -1: not known */
	int64_t sent;
	bool finished, succeeded;
};
struct api_notify {
	const char *version, *error, *browse_to_url;
	int state;
	struct api_outgoing *outgoing;
	size_t n_outgoing;
};
bool api_notify_write(struct buf *out, const struct api_notify *n);
int api_notify_read(struct arena *a, const char *json, size_t len, struct api_notify *out, struct errbuf *eb);

/* dns-query: one answer as it came, and who is asked for such names. Ours: from where it came, the suffix of
 * the route, and how long it took. */
struct api_dns_answer {
	uint8_t *raw; /* DNS message */
	size_t len;
	struct ctl_resolver *resolvers;
	size_t n_resolvers;
	const char *source, *route; /* "" = not said; of source see struct api_dns_question */
	uint64_t took_ms;
};
bool api_dns_answer_write(struct buf *out, const struct api_dns_answer *m);
int api_dns_answer_read(
	struct arena *a, const char *json, size_t len, struct api_dns_answer *out, struct errbuf *eb);

/* dns-osconfig: what the machine itself is set to. dns-config is struct ctl_dns. */
struct api_dns_os {
	struct ctl_strings nameservers, search, match;
	/* Ours. mode: who was told ("systemd-resolved", "direct", ...; "off": nobody); reason: why he. "" = unknown */
	const char *mode, *reason;
};
bool api_dns_os_write(struct buf *out, const struct api_dns_os *m);
int api_dns_os_read(struct arena *a, const char *json, size_t len, struct api_dns_os *out, struct errbuf *eb);

/* dns-servers, of ours: whom the resolver asks for what, and how they fare. */
struct api_dns_server {
	const char *addr, *health; /* "well", "checked", "held", "ring", "refuses" */
	const char *url;	   /* tls:// or https:// as dns_secure.h has it; "" = plain DNS */
	const char *fault;	   /* what its last connection failed of; "" = nothing */
	uint64_t rtt_ms;	   /* 0 = unknown */
	bool changes_case;	   /* of names: it is asked in lower case */
};
struct api_dns_route {
	const char *suffix; /* "." = everything else */
	bool site;	    /* names of the place the machine is at */
	const char *order;  /* "preferred", "strict", "race" */
	struct api_dns_server *servers;
	size_t n_servers; /* 0: answered here */
};
struct api_dns_servers {
	struct api_dns_route *routes;
	size_t n_routes;
	uint64_t cache_bytes;
	struct ctl_strings
		secure;		  /* where it answers by TLS and HTTPS: "tls://ADDRESS:PORT", "https://..." */
	const char *secure_fault; /* why it does not, or not everywhere, though it shall; "" = nothing */
	uint64_t rate_per_s;	  /* questions that one client may ask; 0 = as many as it likes */
	uint64_t rate_limited;	  /* refused for that */
};
bool api_dns_servers_write(struct buf *out, const struct api_dns_servers *m);
int api_dns_servers_read(
	struct arena *a, const char *json, size_t len, struct api_dns_servers *out, struct errbuf *eb);

/* dns-flush, of ours: how many answers were forgotten. */
struct api_dns_flushed {
	uint64_t n;
};
bool api_dns_flushed_write(struct buf *out, const struct api_dns_flushed *m);
int api_dns_flushed_read(
	struct arena *a, const char *json, size_t len, struct api_dns_flushed *out, struct errbuf *eb);

/* dns-blocked, of ours: whether a name is blocked for a client, and by which lines of which lists. */
struct api_dns_blocked {
	bool on; /* this machine blocks names */
	bool blocked;
	const char *group; /* of the client; "" = none */
	struct ctl_strings
		lines;	    /* what covers the name, "blocked by the list ads, /path:7: *.ads.example" */
	const char *server; /* the machine that the network's names come from instead; "" = none */
};
bool api_dns_blocked_write(struct buf *out, const struct api_dns_blocked *m);
int api_dns_blocked_read(
	struct arena *a, const char *json, size_t len, struct api_dns_blocked *out, struct errbuf *eb);

/* dns-blocking, of ours: whether this machine blocks names for the others, and how much. dns-pause answers it too. */
struct api_dns_blocking {
	bool on;
	uint64_t lists, names;
	uint64_t pause_left_ms; /* 0: it blocks */
};
bool api_dns_blocking_write(struct buf *out, const struct api_dns_blocking *m);
int api_dns_blocking_read(
	struct arena *a, const char *json, size_t len, struct api_dns_blocking *out, struct errbuf *eb);

/* dns-log and dns-top, of ours: questions to the resolver while it writes them down. */
struct api_dns_question {
	int64_t unix_ms;
	const char *client, *name;
	uint16_t type, rcode;
	const char *source; /* "zone", "rules", "block", "cache", "stale", "upstream", "nowhere" */
	uint64_t took_ms;
};
struct api_dns_log {
	bool on;
	uint64_t last; /* number of the last question; ask for those after it */
	struct api_dns_question *questions;
	size_t n_questions;
};
bool api_dns_log_write(struct buf *out, const struct api_dns_log *m);
int api_dns_log_read(
	struct arena *a, const char *json, size_t len, struct api_dns_log *out, struct errbuf *eb);
struct api_dns_count {
	const char *what; /* a name, or who asked */
	uint64_t n;
};
struct api_dns_top {
	bool on;
	struct api_dns_count *names; /* not those that are blocked */
	size_t n_names;
	struct api_dns_count *blocked;
	size_t n_blocked;
	struct api_dns_count *clients;
	size_t n_clients;
};
bool api_dns_top_write(struct buf *out, const struct api_dns_top *m);
int api_dns_top_read(
	struct arena *a, const char *json, size_t len, struct api_dns_top *out, struct errbuf *eb);

struct api_whois {
	struct ctl_node *node; /* NULL = not said; likewise user */
	struct ctl_user *user;
};
bool api_whois_write(struct buf *out, const struct api_whois *m);
int api_whois_read(struct arena *a, const char *json, size_t len, struct api_whois *out, struct errbuf *eb);

/* Failures: {"error":"..."}. NULL when the body is not one. */
bool api_error_write(struct buf *out, const char *error);
const char *api_error_read(struct arena *a, const char *json, size_t len);

#endif
