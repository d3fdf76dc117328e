/* A fixed set of name suffixes with longest match by labels: routes and special-use names. */
#ifndef RW_RESOLVER_SUFFIX_H
#define RW_RESOLVER_SUFFIX_H

#include "resolver/name.h"

struct suffixes;
/* names: lower case. NULL: memory short. */
struct suffixes *suffixes_new(const struct dns_name *names, size_t n, const uint64_t seed[2]);
void suffixes_free(struct suffixes *s);
/* Index in names of the longest one that `name` (lower case) is or lies below, or -1; its labels. */
int suffixes_longest(const struct suffixes *s, const struct dns_name *name, unsigned *labels);
int suffixes_exact(const struct suffixes *s, const struct dns_name *name);
const struct dns_name *suffixes_name(
	const struct suffixes *s, size_t i); /* as given; NULL: there are not so many */

#endif
