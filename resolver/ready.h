/* Answers of the zone that are ready: a question by UDP that was asked before, byte for byte but for its id and the case of
 * its name, gets what it got then, as long as what it was made of stands. So nothing is read, looked up and written anew for
 * the names that a mesh asks for all day. What does not age, and is the same for everybody who may have it, can be kept. */
#ifndef RW_RESOLVER_READY_H
#define RW_RESOLVER_READY_H

#include "resolver/name.h"

enum {
	READY_BYTES = 256 << 10, /* of answers; the oldest give way */
	READY_ANSWER_MAX = 512,	 /* what is longer is not kept */
};

struct ready;
/* NULL: memory short. Takes its memory once; what was never used of it is none. */
struct ready *ready_new(void);
void ready_free(struct ready *r); /* NULL is fine, here and below: then nothing is kept */
void ready_forget(struct ready *r);

/* The answer to this datagram into out[READY_ANSWER_MAX], with the id and the name's case that it has; its length, and the
 * name in *name, in lower case. 0: there is none. */
size_t ready_find(const struct ready *r, const uint8_t *msg, size_t len, uint8_t *out, struct dns_name *name);
/* What the question msg, whose one name is `name`, was answered. What asks for anything unusual is not kept. */
void ready_keep(struct ready *r, const uint8_t *msg, size_t len, const struct dns_name *name,
	const uint8_t *answer, size_t answer_len);

#endif
