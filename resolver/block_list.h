/* Lists of names as they are published, line by line, each line in whatever form it has:
 *
 *   hosts    0.0.0.0 ads.example tracker.example      the names
 *   plain    ads.example                              the name
 *            *.ads.example                            the name and all under it
 *   ABP      ||ads.example^                           the name and all under it
 *   RPZ      ads.example CNAME .                      the name; *.ads.example: all under it (any action that does
 *                                                     not let it pass; $ORIGIN, or a SOA's owner, is cut off)
 *   regex    /^ads?[0-9]*\./                          what it finds
 *
 * Comments (#, !, ;), headings, and what hosts files say of this machine (localhost) are nothing. Exceptions
 * (@@||name^, rpz-passthru.) are read as what they say in an allow list, and are nothing in others. A line that is
 * none of these is skipped and counted: rules for parts of pages, with options, for single addresses. */
#ifndef RW_RESOLVER_BLOCK_LIST_H
#define RW_RESOLVER_BLOCK_LIST_H

#include "resolver/name.h"
#include <stdbool.h>

enum { BLOCK_LINE_MAX = 1024 }; /* longer ones are skipped */

struct block_item {
	struct dns_name name; /* lower case; len 0: a regular expression */
	unsigned reach;	      /* of enum block_reach */
	const char *regex;    /* valid during the call; without the slashes */
	size_t regex_len;
	uint64_t line; /* from 1 */
};
struct block_list_ops {
	/* 0, or a code that ends the reading. */
	int (*item)(void *arg, const struct block_item *item);
	void *arg;
};
struct block_list {
	const struct block_list_ops *ops;
	bool allows;
	uint64_t line, skipped, first_skipped; /* lines; 0 = none */
	struct dns_name origin;		       /* of an RPZ; len 0: none */
	size_t len;
	bool too_long;
	char held[BLOCK_LINE_MAX]; /* a line that is not whole yet */
};
void block_list_begin(struct block_list *l, bool allows, const struct block_list_ops *ops);
/* The next piece, cut anywhere. 0 or the code of an item. */
int block_list_read(struct block_list *l, const char *p, size_t len);
int block_list_end(struct block_list *l); /* the last line, which may lack its end */

#endif
