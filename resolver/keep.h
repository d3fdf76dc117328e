/* What upstreams said, as bytes that outlive the program: a file's text, written and read. It is that of names of
 * others alone, and of routes that ask the same servers as before; whoever can read it knows what was asked here.
 *
 *   "rwcache1"  written at (u64, ms of the Unix epoch)  about[32]  routes (u16)  { identity[16] } ...
 *   { 1 (u8)  route (u16)  type (u16)  flags (u8: 1 CD, 2 DO)  age and time to live (u32 each, s)
 *     length (u16)  clean message (answer.h) } ...
 *   0 (u8)  BLAKE2s-256 of all before
 *
 * Numbers are big-endian. A route's identity is a hash over its suffix, its servers with all that says how they are
 * spoken to, and what is done with their answers. */
#ifndef RW_RESOLVER_KEEP_H
#define RW_RESOLVER_KEEP_H

#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include "resolver/cache.h"
#include "resolver/resolver.h"

enum { KEEP_BYTES_MAX = 32 << 20, KEEP_ABOUT = 32, KEEP_IDENTITY = 16 };
struct keep_rules {
	uint8_t about
		[KEEP_ABOUT]; /* of what the owner says beside the routes: another one, and nothing is taken */
	bool moves; /* the machine may be elsewhere next time: what servers of a site say, but for trusted ones, stays behind */
};

struct keep_route {
	uint64_t split;
	uint8_t identity[KEEP_IDENTITY];
};
/* A text being written, a part at a time: answers come and go meanwhile, routes may change. All zero is none. */
struct keep_writer {
	struct buf out;
	struct keep_route *routes; /* owned; by split */
	size_t n_routes, head, bucket, buckets;
	uint64_t began_ms;
	const struct resolver *of; /* during a call */
	bool bad;		   /* memory is short */
};
/* Empties the writer first. false: memory is short; it is empty. */
bool keep_begin(struct keep_writer *w, const struct resolver *r, const struct keep_rules *rules,
	uint64_t now_ms, int64_t unix_ms);
/* false: that was the last part. */
bool keep_go_on(struct keep_writer *w, const struct resolver *r, size_t buckets);
/* On any thread. false: memory is short; else out is the text. What is past KEEP_BYTES_MAX is not in it. */
bool keep_end(struct keep_writer *w);
void keep_free(struct keep_writer *w);

/* Into the cache of r, which has its routes and its zone: whole, or nothing at all. 0, ERR_MALFORMED or
 * ERR_UNSUPPORTED with a sentence; counted in stats (kept, kept_left, kept_bad). Time that passed since has passed for
 * each answer as well; a text from more than a minute ahead of the clock is refused. */
int keep_read(struct resolver *r, const struct keep_rules *rules, uint64_t now_ms, int64_t unix_ms,
	const void *text, size_t len, struct errbuf *eb);

#endif
