/* Regular expressions over domain names, in time that grows with the name and the expression and never
 * faster: no way through the expression is tried twice at one place, so there is no expression that a stranger's
 * name makes slow.
 *
 * POSIX extended, as pi-hole's lists have them: . [] [^] [[:alpha:]] () | * + ? {m,n} ^ $ and \d \w \s \D \W \S;
 * a backslash before anything else is that character. No references back. Names are matched as text in lower
 * case without the last dot; an expression in capitals means the same. */
#ifndef RW_RESOLVER_BLOCK_REGEX_H
#define RW_RESOLVER_BLOCK_REGEX_H

#include "mesh/base/err.h"
#include <stdbool.h>
#include <stddef.h>

enum { BLOCK_REGEX_MAX = 512 }; /* length of an expression */

struct block_regex;
/* NULL with a sentence: where it is wrong, that it is too large, or that memory is short. */
struct block_regex *block_regex_new(const char *text, size_t len, struct errbuf *eb);
void block_regex_free(struct block_regex *x); /* NULL is fine */
/* Is there a match anywhere in s? Allocates nothing. */
bool block_regex_matches(const struct block_regex *x, const char *s, size_t len);
size_t block_regex_bytes(const struct block_regex *x);

#endif
