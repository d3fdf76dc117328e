/* The lists of a configuration, read from where they are: into a set, or for what covers a name. */
#ifndef RW_RESOLVER_LISTS_H
#define RW_RESOLVER_LISTS_H

#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include "resolver/conf_block.h"
#include "resolver/name.h"

struct block;
/* All lists of c as a set, the caller's: block_put. out (NULL is fine): a line on what is in each. NULL: eb says which cannot be
 * read, and why. */
struct block *lists_read(
	const struct conf_block *c, const uint64_t seed[2], struct buf *out, struct errbuf *eb);
/* Those that have never come from their URL, a bit for each: nothing is in them yet. */
uint32_t lists_missing(const struct conf_block *c);
/* Which of these lists cover the name (lower case), and by what, each a line in out; and how many. awake: those that hold
 * now; the others are named, and not counted. */
struct lists_found {
	size_t blocks, allows;
};
int lists_explain(const struct conf_block *c, uint32_t lists, uint32_t awake, const struct dns_name *name,
	struct buf *out, struct lists_found *found, struct errbuf *eb);

#endif
