/* Names that are not to be answered: a million of them in a few dozen bytes each, by list, so that different
 * clients can have different lists.
 *
 * A list blocks or allows; what an allow list of a client covers is not blocked for it, whatever else does. The
 * set is made once (block_new, block_add...) and does not change after; it is counted, and replaced whole. */
#ifndef RW_RESOLVER_BLOCK_H
#define RW_RESOLVER_BLOCK_H

#include "mesh/base/addr.h"
#include "mesh/base/err.h"
#include "resolver/message.h"

enum { BLOCK_LISTS_MAX = 32, BLOCK_REGEXES_MAX = 256, BLOCK_LIST_NAME = 48 };
enum block_reach {	 /* bits */
	BLOCK_NAME = 1,	 /* the name itself */
	BLOCK_BELOW = 2, /* every name under it */
};

struct block;
/* seed: random, for the names are chosen by strangers. One reference. NULL: memory short. */
struct block *block_new(const uint64_t seed[2]);
struct block *block_get(struct block *b);
void block_put(struct block *b); /* NULL is fine */
/* A list to add to: its number in *list. name: for people, cut to BLOCK_LIST_NAME. allows: it is an allow list.
 * ERR_TOO_LARGE: BLOCK_LISTS_MAX are there. */
int block_list_add(struct block *b, const char *name, bool allows, unsigned *list);
/* name: in lower case, not the root. reach: of enum block_reach. -ENOMEM; ERR_TOO_LARGE: 4 GiB of names. */
int block_add(struct block *b, unsigned list, const struct dns_name *name, unsigned reach);
/* Errors as block_regex_new's; ERR_TOO_LARGE: BLOCK_REGEXES_MAX are there. */
int block_add_regex(struct block *b, unsigned list, const char *text, size_t len, struct errbuf *eb);

size_t block_names(const struct block *b); /* different ones */
size_t block_bytes(const struct block *b); /* of memory */

enum block_verdict { BLOCK_PASS, BLOCK_ALLOWED, BLOCK_BLOCKED };
/* lists: a bit for each that holds for who asks. *by: the list that said it, unless BLOCK_PASS; NULL is fine.
 * Allocates nothing. b may be NULL. */
enum block_verdict block_judge(
	const struct block *b, uint32_t lists, const struct dns_name *name, unsigned *by);
const char *block_list_name(const struct block *b, unsigned list);

/* What a blocked question gets. */
enum block_answer_kind {
	BLOCK_ANSWER_NULL, /* 0.0.0.0 and ::, nothing of other types */
	BLOCK_ANSWER_NXDOMAIN,
	BLOCK_ANSWER_NODATA,
	BLOCK_ANSWER_REFUSED,
	BLOCK_ANSWER_ADDRESS, /* v4 and v6, where they are set */
};
struct block_answer {
	enum block_answer_kind kind;
	uint32_t ttl_s;	    /* 0 = 10 */
	struct addr v4, v6; /* all zero: none */
};
/* Behind the question, into d: the records, and in *end the rcode and the reason (extended error 15). */
void block_answer_write(
	struct dns_writer *d, const struct dns_query *q, const struct block_answer *how, struct dns_end *end);

#endif
