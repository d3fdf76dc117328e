/* The server's settings: YAML with Headscale's names where a thing is the same, strict (unknown or duplicate
 * key, wrong type: "file:line:column: what, and what to do"). */
#ifndef RW_CONTROL_CONFIG_H
#define RW_CONTROL_CONFIG_H

#include "mesh/base/addr.h"
#include "mesh/base/arena.h"
#include "mesh/base/err.h"
#include "mesh/base/log.h"
#include "mesh/oidc/rules.h"
#include "mesh/proto/control.h"

struct document;

struct config_servers { /* as they are given: nothing is looked up */
	struct ctl_resolver *v;
	size_t n;
};
struct config_split {
	const char *suffix;
	struct config_servers servers;
};
struct config_splits {
	struct config_split *v;
	size_t n;
};
struct config_records {
	struct ctl_record *v;
	size_t n;
};

/* The relay inside the server: Headscale's `derp.server`. */
struct config_relay {
	bool enabled, verify_clients; /* verify: only nodes of this server may use it */
	bool no_region;		      /* the region is not put into the map: a file of derp.paths has it */
	int32_t region;
	const char *code, *name; /* of the region */
	struct endpoint stun;	 /* unset = no STUN */
	const char *key_path;	 /* NULL = beside the Noise key */
	const char *ipv4, *ipv6; /* "" = found by name */
};

/* The machine that answers names for the others, and what it blocks: `dns.blocking`. */
struct config_blocking {
	const char *node; /* NULL: none */
	struct ctl_blocking rules;
};

/* Providers of logins in a browser: `oidc`. */
struct config_provider {
	struct oidc_settings s;
	const char *secret_path; /* "" = the secret stands in the settings, or there is none */
};
struct config_login {
	struct config_provider *v;
	size_t n;
};

/* A key that was accepted and has no effect here; advice may be NULL. */
struct config_unused {
	const char *key, *advice;
	bool matters; /* the network is another one without it */
};

#define CONFIG_SOCKET "/run/ropewalk-control/control.sock" /* unix_socket, unless it is said */

struct control_config {
	struct arena mem; /* all that follows */
	const char *file;
	const char *server_url; /* no slash at the end */
	struct endpoint listen;
	struct endpoint tls_listen;	/* unset = none. Set: TLS there, none at `listen` */
	const char *tls_cert, *tls_key; /* both or neither */
	/* A certificate from an authority; acme_host NULL = none wanted. acme_dir NULL = beside the Noise
	 * key. */
	const char *acme_host, *acme_url, *acme_email, *acme_dir;
	bool acme_alpn;		     /* by TLS-ALPN-01 instead of HTTP-01 */
	struct endpoint acme_listen; /* for HTTP-01 */
	const char *noise_key_path, *database_path, *unix_socket, *policy_path, *records_path;
	uint32_t unix_socket_mode;
	bool policy_database; /* the policy is in the database, policy_path is not read */
	bool has_v4, has_v6;
	struct prefix v4, v6;
	struct ctl_strings derp_paths;
	struct config_relay relay;
	bool magic_dns, override_local_dns;
	const char *base_domain;
	const char *network_name; /* for people; NULL = base_domain */
	struct config_servers nameservers;
	struct ctl_strings search_domains;
	struct config_splits split;
	struct config_records records;
	struct config_blocking blocking;
	struct config_login login;
	struct ctl_prefixes proxies;	  /* whose X-Forwarded-For is believed */
	uint64_t ephemeral_ms, expiry_ms; /* expiry of logins of untagged nodes, 0 = never */
	enum log_level log_level;
	bool log_json;
	struct config_unused *unused;
	size_t n_unused;
};

/* 0 and *out (free with config_free), or a code and the sentence. Relative paths are taken from the file's
 * folder. */
int config_read(const char *path, struct control_config *out, struct errbuf *eb);
/* The same; all: all that is wrong, a line for each of the first 50. */
int config_read_all(const char *path, struct control_config *out, struct buf *all, struct errbuf *eb);
/* text stands for the content of the file `path`. */
int config_parse(
	const char *path, const char *text, size_t len, struct control_config *out, struct errbuf *eb);
void config_free(struct control_config *c);

/* DERP map files, YAML or JSON, names in any case; later files replace regions of earlier ones. */
int config_derp_read(
	const struct ctl_strings *paths, struct arena *a, struct ctl_derp_map *out, struct errbuf *eb);
int config_derp_parse(const char *path, const char *text, size_t len, struct arena *a,
	struct ctl_derp_map *out, struct errbuf *eb);
/* Of a map that was read so: its regions are by number, each once. NULL: there is none of that number. */
const struct ctl_derp_region *config_derp_region(const struct ctl_derp_map *map, int64_t id);
struct config_relay config_relay_defaults(void);
bool config_relay_equal(const struct config_relay *a, const struct config_relay *b);
/* What config.c found below derp.server, a mapping; texts go into mem, paths are taken from folder. */
int config_relay_take(
	struct document *d, void *mapping, struct arena *mem, const char *folder, struct config_relay *out);
const char *config_relay_key(size_t i); /* of those that may stand there; NULL: no more */
/* What the settings as a whole must be for it; a sentence. */
int config_relay_check(const struct control_config *c, struct errbuf *eb);
/* Its region, added to the map. at: where nodes reach it by TLS; pin: of its certificate, "" when that is for
 * everybody. */
bool config_relay_region(const struct control_config *c, const struct endpoint *at,
	const struct endpoint *stun, const char *pin, struct arena *a, struct ctl_derp_map *map);
/* Official clients that come back within two minutes take HTTPS at port 443 and nothing else, unless the host is a private
 * address: they would not find this server. */
bool config_lacks_tls(const struct control_config *c);
/* oidc: a mapping, or a list of them. Secrets that are in files are read by config_login_secrets; both are wiped with the
 * settings. environment: what HEADSCALE_OIDC_... say holds instead, for a provider that is the only one. */
int config_login_take(struct document *d, void *node, struct arena *mem, const char *folder, bool environment,
	struct config_login *out);
/* Where the file has no `oidc`. */
int config_login_environment(
	struct arena *mem, const char *folder, struct config_login *out, struct errbuf *eb);
int config_login_secrets(struct control_config *c, struct errbuf *eb);
void config_login_wipe(struct config_login *l);
bool config_login_equal(const struct config_login *a, const struct config_login *b);
/* The domain for which this provider's groups are known; NULL: for none. */
const char *config_groups_domain(const struct config_login *l, const char *issuer);
/* trusted_proxies: a list of addresses and prefixes. */
int config_proxies_take(struct document *d, void *node, struct arena *mem, struct ctl_prefixes *out);
bool config_proxies_equal(const struct ctl_prefixes *a, const struct ctl_prefixes *b);
/* dns.extra_records, below document: what the records mean is checked as nodes read them. Texts go into mem.
 */
int config_records_take(
	struct document *d, const char *key, void *list, struct arena *mem, struct config_records *out);
/* dns.extra_records_path: a list of { name, type, value }, JSON or YAML. */
int config_records_read(const char *path, struct arena *a, struct config_records *out, struct errbuf *eb);
/* dns.blocking, a mapping; texts go into mem. */
int config_servers_take(
	struct document *d, const char *key, void *list, struct arena *mem, struct config_servers *out);
int config_blocking_take(struct document *d, void *mapping, struct arena *mem, struct config_blocking *out);
/* What nodes are told about names. */
bool config_dns(const struct control_config *c, const struct config_records *records, struct arena *a,
	struct ctl_dns *out);
/* config_dns.c. The section `dns` alone, as JSON: out is freed with config_free, and holds nothing else of use. */
int config_dns_parse(const char *text, size_t len, struct control_config *out, struct errbuf *eb);
/* What a running server may change of it (not base_domain and records) into c, borrowed from `from`. */
void config_dns_take(struct control_config *c, const struct control_config *from);
/* The keys that differ and that a running server cannot change, comma separated, into out; returns out. */
char *config_fixed_differ(
	const struct control_config *a, const struct control_config *b, char *out, size_t cap);
/* Keys that matter and have no effect, comma separated, into out; returns out. */
char *config_unused_that_matter(const struct control_config *c, char *out, size_t cap);
/* "%s has no effect on this server" and advice, for every such key. */
void config_unused_each(
	const struct control_config *c, void (*say)(void *arg, const char *sentence), void *arg);

#endif
