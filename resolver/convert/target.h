/* The configuration that is being made out of others' (convert.h), and what is said of lines that are not in it. Each value is
 * looked at as it is added: what the reader of configurations (conf.h) would not take is not added, and said. */
#ifndef RW_RESOLVER_CONVERT_TARGET_H
#define RW_RESOLVER_CONVERT_TARGET_H

#include "mesh/base/arena.h"
#include "mesh/base/buf.h"
#include "mesh/base/table.h"
#include "resolver/name.h"
#include <stdbool.h>
#include <stdint.h>

enum { TARGET_WORD_MAX = 1024 };
struct target_items { /* texts, in order; owned by the arena of the target */
	const char **v;
	size_t n, cap;
};
struct target_pair { /* "suffix: word", or "suffix: [ upstreams ]" */
	const char *name, *word;
	struct target_items items;
};
struct target_pairs {
	struct target_pair *v;
	size_t n, cap;
};
struct target_list {
	const char *name, *file, *url;
	struct target_items names;
	bool allow;
};
struct target_group {
	const char *name;
	struct target_items clients, lists;
};
struct target;
/* Files that a line means beside its own. */
struct target_include {
	const char *what; /* the word of the line */
	const char *path; /* of a file, or of several as glob(7) has it; of a folder, with */
	const char *only; /* which of its files, in dnsmasq's words: "*.conf,.bak"; NULL: it is no folder */
	bool once;	  /* not those that were read before, as dnsmasq has it */
	void (*take)(void *arg, const char *file, const char *text, size_t len); /* of each, in order */
	void *arg;
};
struct target {
	struct arena arena;
	const char *file; /* that is being read, and its line: for what is said */
	unsigned line;
	struct buf said; /* a line for each thing without a counterpart */
	size_t n_said;
	bool short_of_memory;
	struct table seen; /* which texts are where: lists can be long */

	/* Has each of them taken; file and line are the line's again afterwards. NULL: nobody reads files, which is said. */
	void (*include)(void *arg, struct target *t, const struct target_include *i);
	void *include_arg;

	uint16_t port; /* of listen; 0 = 53 */
	struct target_items listen, upstreams, authority, allow, except;
	struct target_items records;	/* whole YAML items */
	struct target_items names_from; /* likewise */
	struct target_pairs routes, zones;
	struct target_list *lists;
	size_t n_lists;
	struct target_group *groups;
	size_t n_groups;
	const char *order, *answer, *answer_v6, *store;
	uint64_t ttl, block_ttl, cache_bytes, rate;
	int64_t stale_s; /* -1: not said */
	bool refuse_private, query_log, validate;
	bool lower_case;			  /* names in questions are not in random case */
	bool no_hosts;				  /* dnsmasq: not the names of /etc/hosts */
	struct target_items hosts, leases;	  /* dnsmasq: files of names; */
	const char *domain;			  /* in which they are: of leases, and of hosts with */
	bool expand_hosts, is_dhcp;		  /* is_dhcp: it gives addresses, and keeps leases */
	struct target_items insecure, tls, https; /* tls, https: where clients come by them */
	const char *anchors, *certificate, *key;
	const char *dns64; /* NULL: nothing is translated */
};

void target_init(struct target *t);
void target_fini(struct target *t);
/* "FILE:LINE: what: why". */
void target_say(struct target *t, const char *what, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

const char *target_text(struct target *t, const char *s, size_t len); /* a copy; "" when memory is short */
void target_add(struct target *t, struct target_items *to, const char *s); /* unless it is there */
/* A scalar of YAML in double quotes; s: see target_is_plain. false: memory is short, and some of it may be there. */
bool target_quote(struct buf *b, const char *s);
/* Printable ASCII, and something of it; else it is said. */
bool target_is_plain(struct target *t, const char *what, const char *s);
/* The form that the same domain always has, as conf.h takes it; else it is said. */
bool target_domain(struct target *t, const char *what, const char *text, char out[static DNS_NAME_TEXT]);
/* All of these say what they do not take. A bare address gets the port; "" of a suffix: the default route. */
void target_listen(struct target *t, const char *ip, unsigned port); /* port 0: that of the target */
void target_upstream(struct target *t, const char *suffix, const char *server);
bool target_has_route(const struct target *t, const char *suffix);	  /* in small letters */
void target_zone(struct target *t, const char *suffix, const char *word); /* of local-zones */
void target_authority(struct target *t, const char *suffix);
/* type NULL: an address, and its PTR. value: as in a zone file. */
void target_record(struct target *t, const char *name, const char *type, const char *value);
void target_allow(struct target *t, const char *network);
void target_insecure(struct target *t, const char *name);
void target_except(struct target *t, const char *name);
void target_names_from(struct target *t, const char *kind, const char *path, const char *domain);
struct target_list *target_list_add(
	struct target *t, const char *name); /* NULL: there are too many, which was said */
struct target_group *target_group_add(struct target *t, const char *name);

void target_include(struct target *t, const struct target_include *i);

/* The configuration as YAML, appended to out. false: memory is short. */
bool target_write(const struct target *t, struct buf *out);

#endif
