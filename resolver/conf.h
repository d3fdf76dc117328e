/* The configuration file of ropewalk-resolver. YAML, strict: an unknown or repeated key, or a value of the
 * wrong kind, is an error with file, line and column. docs/dns.md describes the keys. */
#ifndef RW_RESOLVER_CONF_H
#define RW_RESOLVER_CONF_H

#include "mesh/base/arena.h"
#include "mesh/base/err.h"
#include "resolver/resolver.h"

struct conf_record {
	const char *name, *type, *value;
	uint32_t line, column;
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
	struct prefix *allow; /* who may ask */
	size_t n_allow;
	uint64_t cache_bytes; /* 0 = default */
	uint64_t ttl_s;	      /* 0 = default */
};
/* file is for messages. 0 or an error "file:line:column: ..."; c is then empty. */
int conf_read(const char *file, const char *text, size_t len, struct conf *c, struct errbuf *eb);
void conf_free(struct conf *c);
/* The zone of records and authorities; NULL with a sentence. */
struct zone *conf_zone(const char *file, const struct conf *c, struct errbuf *eb);

#endif
