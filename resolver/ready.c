/* A ring of bytes, in which one answer stands behind the other, and an index into it. A place in the ring is the number of
 * bytes that were ever written before it: what is READY_BYTES behind has been written over, and what is before `since` is
 * forgotten, without a look at any of it.
 *
 * The index has sets of four places, and a set's oldest gives way. Who knows how names are hashed can make answers give way
 * to each other, which costs the way by the zone and nothing else; so the hash is a quick one, without a key. */
#include "resolver/ready.h"

#include "resolver/message.h"
#include <stdalign.h>
#include <stdlib.h>

enum {
	WAYS = 4,
	SET_BITS = 10,
	SETS = 1 << SET_BITS,
	ID_LEN = 2,
	HEAD = DNS_HEADER - ID_LEN,
	TYPE_CLASS = 4,
};

struct answer_kept {
	uint16_t len, asked_len; /* of the answer; of what asked for it */
	uint8_t name_len, head[HEAD], opt[DNS_OPT_LEN];
	uint8_t msg[]; /* its question has the name in lower case */
};
struct place {
	uint64_t hash, at;
};
struct ready {
	uint64_t written, since;
	struct place index[SETS][WAYS];
	alignas(struct answer_kept) uint8_t ring[READY_BYTES];
};

struct ready *ready_new(void)
{
	struct ready *r = calloc(1, sizeof(*r));
	if (r)
		ready_forget(r);
	return r;
}

void ready_free(struct ready *r)
{
	free(r);
}

/* A place that was never used says 0. */
void ready_forget(struct ready *r)
{
	if (!r)
		return;
	r->written += alignof(struct answer_kept);
	r->since = r->written;
}

static uint64_t word_get(const uint8_t *p)
{
	uint64_t w;
	memcpy(&w, p, sizeof(w));
	return w;
}

static uint64_t word_add(uint64_t h, uint64_t w)
{
	const uint64_t each = UINT64_C(0x0101010101010101), odd = UINT64_C(0x9e3779b97f4a7c15);
	h = (h ^ (w | each * 0x20)) *
	    odd; /* letters in one case; what else meets so is told apart by its bytes */
	return h ^ h >> 32;
}

/* Of all but the id. len >= DNS_HEADER. */
static uint64_t hash_of(const uint8_t *msg, size_t len)
{
	uint64_t h = len;
	size_t at = ID_LEN;
	for (; len - at > sizeof(uint64_t); at += sizeof(uint64_t))
		h = word_add(h, word_get(msg + at));
	return word_add(h, word_get(msg + len - sizeof(uint64_t)));
}

/* The upper bits: what comes last has not reached the others. */
static unsigned set_of(uint64_t hash)
{
	return (unsigned)(hash >> (64 - SET_BITS));
}

static bool is_kept(const struct ready *r, const struct place *p)
{
	return p->at >= r->since && r->written - p->at <= READY_BYTES;
}

static size_t opt_len(const struct answer_kept *k)
{
	return k->asked_len - (size_t)DNS_HEADER - k->name_len - TYPE_CLASS;
}

/* Letters fold in the name alone: a type may be the code of one. */
static bool is_asked(const struct answer_kept *k, const uint8_t *msg, size_t len)
{
	size_t name_end = (size_t)DNS_HEADER + k->name_len;
	return k->asked_len == len && !memcmp(msg + ID_LEN, k->head, HEAD) &&
	       dns_bytes_equal(msg + DNS_HEADER, k->msg + DNS_HEADER, k->name_len) &&
	       !memcmp(msg + name_end, k->msg + name_end, TYPE_CLASS) &&
	       !memcmp(msg + name_end + TYPE_CLASS, k->opt, opt_len(k));
}

static const struct answer_kept *kept_find(const struct ready *r, const uint8_t *msg, size_t len)
{
	uint64_t hash = hash_of(msg, len);
	const struct place *set = r->index[set_of(hash)];
	for (unsigned i = 0; i < WAYS; i++) {
		const struct answer_kept *k = (const void *)(r->ring + set[i].at % READY_BYTES);
		if (set[i].hash == hash && is_kept(r, &set[i]) && is_asked(k, msg, len))
			return k;
	}
	return NULL;
}

size_t ready_find(const struct ready *r, const uint8_t *msg, size_t len, uint8_t *out, struct dns_name *name)
{
	const struct answer_kept *k = r && len > DNS_HEADER ? kept_find(r, msg, len) : NULL;
	if (!k)
		return 0;
	name->len = k->name_len;
	memcpy(name->b, k->msg + DNS_HEADER, k->name_len);
	memcpy(out, k->msg, k->len);
	memcpy(out, msg, ID_LEN);
	memcpy(out + DNS_HEADER, msg + DNS_HEADER, k->name_len);
	return k->len;
}

/* Room for so many bytes that are not cut by the ring's end. */
static struct answer_kept *room_take(struct ready *r, size_t size, uint64_t *at)
{
	const size_t align = alignof(struct answer_kept);
	size_t left = READY_BYTES - r->written % READY_BYTES;
	size = (size + align - 1) / align * align;
	if (left < size)
		r->written += left;
	*at = r->written;
	r->written += size;
	return (void *)(r->ring + *at % READY_BYTES);
}

void ready_keep(struct ready *r, const uint8_t *msg, size_t len, const struct dns_name *name,
	const uint8_t *answer, size_t answer_len)
{
	size_t question = (size_t)DNS_HEADER + name->len + TYPE_CLASS;
	bool plain = len == question || len == question + DNS_OPT_LEN;
	if (!r || !plain || answer_len > READY_ANSWER_MAX || answer_len < question)
		return;
	uint64_t hash = hash_of(msg, len);
	struct place *set = r->index[set_of(hash)], *p = set;
	for (unsigned i = 1; i < WAYS; i++)
		if (set[i].at < p->at)
			p = &set[i];
	p->hash = hash;
	struct answer_kept *k = room_take(r, sizeof(*k) + answer_len, &p->at);
	*k = (struct answer_kept) {
		.len = (uint16_t)answer_len, .asked_len = (uint16_t)len, .name_len = name->len
	};
	memcpy(k->head, msg + ID_LEN, HEAD);
	memcpy(k->opt, msg + question, len - question);
	memcpy(k->msg, answer, answer_len);
	memcpy(k->msg + DNS_HEADER, name->b, name->len);
}
