/* What the readers of a configuration's parts (conf.c, conf_block.c) share: YAML nodes into values, with a sentence
 * that says file, line and column where they are wrong. */
#ifndef RW_RESOLVER_CONF_READER_H
#define RW_RESOLVER_CONF_READER_H

#include "resolver/conf.h"
#include <yaml.h>

/* What is wrong: the first in eb, all of it in `all`. */
struct conf_faults {
	struct errbuf *eb;
	struct buf *all; /* a line for each, as many as have room; NULL: the first is enough */
	size_t n;
};
struct conf_reader {
	const char *file, *text;
	size_t len; /* of text */
	yaml_document_t doc;
	struct conf *c;
	struct conf_faults *faults;
};
/* Code, as err_say. */
int conf_fault(struct conf_faults *f, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* ERR_MALFORMED, said with its place. */
int conf_bad(const struct conf_reader *r, const yaml_node_t *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
yaml_node_t *conf_node(struct conf_reader *r, int number);
const char *conf_scalar(const yaml_node_t *n); /* without a NUL inside, or NULL */
/* Values; what: the key, for messages. Strings belong to the configuration's arena. */
int conf_string(
	struct conf_reader *r, const yaml_node_t *n, const char *what, const char **out); /* not empty */
struct conf_range {
	uint64_t min, max;
};
int conf_number(struct conf_reader *r, const yaml_node_t *n, const char *what, struct conf_range range,
	uint64_t *out);
int conf_name(struct conf_reader *r, const yaml_node_t *n, const char *what,
	const char **out); /* a domain name as a client asks for it */
/* The same, of a domain with all that is below it. */
int conf_suffix(struct conf_reader *r, const yaml_node_t *n, const char *what, const char **out);
int conf_bool(const struct conf_reader *r, const yaml_node_t *n, const char *what, bool *out);
/* A list of at most max items: room for them, each of `size` bytes and zeroed, as *(void **)out. */
int conf_items(struct conf_reader *r, const yaml_node_t *n, const char *what, size_t max, size_t size,
	void *out, size_t *count);
/* One endpoint or a list of them; port: of addresses alone. */
int conf_endpoints(struct conf_reader *r, yaml_node_t *n, size_t max, uint16_t port, struct endpoint **out,
	size_t *count);
yaml_node_t *conf_item(struct conf_reader *r, const yaml_node_t *n, size_t i);
int conf_secure_key(struct conf_reader *r, yaml_node_t *n, void *into); /* conf_clients.c */
/* conf_upstream.c: addresses, servers by TLS and HTTPS, one or a list of them; one that is known by a name is an
 * upstream for each of its addresses. */
int conf_upstreams(struct conf_reader *r, yaml_node_t *n, struct resolver_route *out);

/* conf_page.c: the keys of the program alone, and what "state" adds to the lists when all keys are read. */
int conf_query_log_key(struct conf_reader *r, yaml_node_t *n, void *into);
int conf_keep_cache_key(struct conf_reader *r, yaml_node_t *n, void *into);
int conf_state_key(struct conf_reader *r, yaml_node_t *n, void *into);
int conf_page_key(struct conf_reader *r, yaml_node_t *n, void *into);
int conf_local_zones_key(struct conf_reader *r, yaml_node_t *n, void *into);
int conf_own_lists(struct conf_reader *r, const yaml_node_t *at);

struct conf_key {
	const char *name; /* NULL ends the table */
	int (*read)(struct conf_reader *r, yaml_node_t *value, void *into);
};
/* Every mapping goes through here: known keys, each once, values by their reader. */
int conf_keys(struct conf_reader *r, const yaml_node_t *map, const struct conf_key *keys, void *into);

/* conf_dnssec.c: the key "dnssec"; and when all keys are read, which routes are validated, and what need not be signed. */
int conf_dnssec_key(struct conf_reader *r, yaml_node_t *n, void *into);
int conf_dnssec_finish(struct conf_reader *r);

#endif
