/* LocalAPI JSON, ecosystem.md 1.4: status, ping result, netcheck report, DNS, preferences. Names are those of
 * the official socket; members of ours are marked. Readers: 0 or a code, *out untouched on failure, memory in
 * the arena; strings are never NULL unless said. Writers: false when memory is short. */
#ifndef RW_PROTO_LOCALAPI_H
#define RW_PROTO_LOCALAPI_H

#include "mesh/proto/control.h"
#include "mesh/proto/localapi_status.h"

struct api_ping_result {
	const char *ip, *node_ip, *node_name, *err, *endpoint; /* endpoint "" when relayed */
	double latency_s;
	int32_t derp_region;
	const char *derp_code;
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
	int8_t mapping_varies;		   /* -1 unknown */
	const char *global_v4, *global_v6; /* "ip:port" or "" */
	int32_t preferred;
	bool measured; /* ours, as is AgeSeconds: there is a report, and how old it is */
	double age_s;
	struct api_region_latency *regions;
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
	int32_t netfilter_mode; /* told, never set: the official command line asks to repeat all but its
				   default */
};
enum { API_NETFILTER_ON = 2 };
struct api_prefs_mask {
	bool control_url, hostname, operator_user, want_running, logged_out, corp_dns, route_all, shields_up;
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
struct api_notify {
	const char *version, *error, *browse_to_url;
	int state;
};
bool api_notify_write(struct buf *out, const struct api_notify *n);
int api_notify_read(struct arena *a, const char *json, size_t len, struct api_notify *out, struct errbuf *eb);

/* dns-query: one answer as it came, and who was asked. */
struct api_dns_answer {
	uint8_t *raw; /* DNS message */
	size_t len;
	struct ctl_resolver *resolvers;
	size_t n_resolvers;
};
bool api_dns_answer_write(struct buf *out, const struct api_dns_answer *m);
int api_dns_answer_read(
	struct arena *a, const char *json, size_t len, struct api_dns_answer *out, struct errbuf *eb);

/* dns-osconfig: what the machine itself is set to. dns-config is struct ctl_dns. */
struct api_dns_os {
	struct ctl_strings nameservers, search, match;
	const char *mode; /* ours ("Mode"): "direct", "off"; "" = unknown */
};
bool api_dns_os_write(struct buf *out, const struct api_dns_os *m);
int api_dns_os_read(struct arena *a, const char *json, size_t len, struct api_dns_os *out, struct errbuf *eb);

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
