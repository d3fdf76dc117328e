/* Which questions came, from whom, and what became of them: the last ones, and those that come most often. Nothing is
 * kept unless somebody asked for it, and what is kept is bounded: a ring of questions, and for each list of the
 * most frequent as many counters as it has, of which the least gives way to what is new (Metwally 2005: a count
 * is too large by `over` at most, and whatever makes up more than one in JOURNAL_TOP_MAX is in the list). */
#ifndef RW_RESOLVER_JOURNAL_H
#define RW_RESOLVER_JOURNAL_H

#include "resolver/name.h"
#include "resolver/resolver.h"

enum { JOURNAL_QUESTIONS = 2048, JOURNAL_TOP_MAX = 256 };

struct journal_question {
	int64_t unix_ms; /* when it was answered */
	struct addr client;
	struct dns_name name; /* lower case */
	uint16_t type, rcode;
	enum resolver_source source;
	uint32_t took_ms;
};
struct journal_count {
	uint64_t n, over;
	struct dns_name name; /* or: */
	struct addr client;
};
enum journal_list { JOURNAL_NAMES, JOURNAL_BLOCKED, JOURNAL_CLIENTS, JOURNAL_LISTS };

struct journal;
struct journal *journal_new(const uint64_t seed[2]); /* NULL: memory short */
void journal_free(struct journal *j);		     /* NULL is fine */
void journal_add(struct journal *j, const struct journal_question *q);
/* Numbers grow by one from 1. *number: in, the last that is known (0: none); out, that of the result. The oldest
 * that is kept after it; NULL: there is none. Valid until the next add. */
const struct journal_question *journal_next(const struct journal *j, uint64_t *number);
/* The most frequent first, into out[cap]; how many there are. */
size_t journal_top(const struct journal *j, enum journal_list list, struct journal_count *out, size_t cap);

#endif
