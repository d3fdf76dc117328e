/* The configuration file of ropewalk-resolver. YAML, strict: an unknown or repeated key, or a value of the
 * wrong kind, is an error with file, line and column. docs/dns.md describes the keys. */
#ifndef RW_RESOLVER_CONF_H
#define RW_RESOLVER_CONF_H

#include "mesh/base/arena.h"
#include "mesh/base/err.h"
#include "resolver/conf_block.h"
#include "resolver/local_names.h"
#include "resolver/resolver.h"

enum { CONF_PAGE_LISTEN_MAX = 8 };
struct conf_record {
	const char *name, *type, *value;
	uint32_t line, column;
};
struct conf_secure { /* clients by TLS and HTTPS */
	struct endpoint *tls, *https;
	size_t n_tls, n_https;
	const char *certificate, *key; /* PEM files; NULL: no such clients */
};
struct conf {
	struct arena arena; /* owns all below */
	struct endpoint *listen;
	size_t n_listen;
	struct resolver_route *routes;
	size_t n_routes;
	struct conf_record *records;
	size_t n_records;
	const char **authority;
	size_t n_authority;
	struct resolver_local_zone *local_zones;
	size_t n_local_zones;
	const char **statics; /* as authority, from local-zones */
	size_t n_statics;
	struct prefix *allow; /* who may ask */
	size_t n_allow;
	struct local_source *names_from;
	size_t n_names_from;
	struct conf_block block;
	struct conf_secure secure;
	uint64_t cache_bytes; /* 0 = default */
	uint64_t ttl_s;	      /* 0 = default */
	uint64_t rate;	      /* questions a second; 0: no limit */
	bool refuse_private;
	bool mixed_case; /* of names, in questions by UDP */
	const char **private_ok;
	size_t n_private_ok;
	struct nat64 dns64;
	bool dns64_find;
	uint32_t stale_s;	      /* as in struct resolver_config */
	bool query_log;		      /* questions are written down from the start */
	bool keep_cache;	      /* over a restart, in state */
	const char *state;	      /* folder for what is set while it runs; NULL: nothing can be */
	struct endpoint *page_listen; /* near addresses alone */
	size_t n_page_listen;
	const char **page_names; /* by which browsers may call it, beside addresses */
	size_t n_page_names;
	const char *authorities; /* a PEM file: who signs for upstreams; NULL: whom the machine knows */
	bool validate;		 /* the default route, by DNSSEC */
	const char *anchors;	 /* a file; set with validate */
	const char **insecure;	 /* names that need not be signed: as given, of routes, of ours */
	size_t n_insecure;
	bool page_metrics; /* GET /metrics without the password */
};
/* file is for messages. 0 or an error "file:line:column: ..."; c is then empty. */
int conf_read(const char *file, const char *text, size_t len, struct conf *c, struct errbuf *eb);
/* The same; all: all that is wrong, a line for each of the first 50, in records too. */
int conf_read_all(
	const char *file, const char *text, size_t len, struct conf *c, struct buf *all, struct errbuf *eb);
/* Of this machine, its links, a private network or a mesh: who may see the page. */
bool conf_is_near(const struct addr *a);
void conf_free(struct conf *c);
/* The zone of records and authorities; NULL with a sentence. */
struct zone *conf_zone(const char *file, const struct conf *c, struct errbuf *eb);
struct zone *conf_zone_all(
	const char *file, const struct conf *c, struct buf *all, struct errbuf *eb); /* all: as above */

#endif
