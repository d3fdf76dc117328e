/* Read and write cursors over bytes. Failure sticks: take everything, look at `bad` once, then commit. */
#ifndef RW_BASE_WIRE_H
#define RW_BASE_WIRE_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rd {
	const uint8_t *p;
	size_t left;
	bool bad;
};

static inline struct rd rd_of(const void *p, size_t len)
{
	return (struct rd) { .p = p, .left = len };
}

/* The next n bytes, or NULL (and bad) when there are fewer. The bytes belong to the underlying buffer. */
static inline const uint8_t *rd_take(struct rd *r, size_t n)
{
	if (r->bad || n > r->left) {
		r->bad = true;
		return NULL;
	}
	const uint8_t *p = r->p;
	r->p = n ? p + n : p;
	r->left -= n;
	return p;
}

/* A reader over the next n bytes, taken from r. */
static inline struct rd rd_sub(struct rd *r, size_t n)
{
	const uint8_t *p = rd_take(r, n);
	return (struct rd) { .p = p, .left = r->bad ? 0 : n, .bad = r->bad };
}

static inline void rd_copy(struct rd *r, void *dst, size_t n)
{
	const uint8_t *p = rd_take(r, n);
	if (!r->bad && n)
		memcpy(dst, p, n);
}

/* Whole words by one load: where n is known at the call, the rest is not there. */
static inline uint64_t be_get(const uint8_t *p, size_t n)
{
	uint64_t v = 0;
	if (n == 2) {
		uint16_t two;
		memcpy(&two, p, sizeof(two));
		return be16toh(two);
	}
	if (n == 4) {
		uint32_t four;
		memcpy(&four, p, sizeof(four));
		return be32toh(four);
	}
	if (n == 8) {
		memcpy(&v, p, sizeof(v));
		return be64toh(v);
	}
	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}
static inline uint64_t le_get(const uint8_t *p, size_t n)
{
	uint64_t v = 0;
	while (n--)
		v = v << 8 | p[n];
	return v;
}
static inline void be_put(uint8_t *p, size_t n, uint64_t v)
{
	while (n--) {
		p[n] = (uint8_t)v;
		v >>= 8;
	}
}
static inline void le_put(uint8_t *p, size_t n, uint64_t v)
{
	for (size_t i = 0; i < n; i++, v >>= 8)
		p[i] = (uint8_t)v;
}

static inline uint64_t rd_be(struct rd *r, size_t n)
{
	const uint8_t *p = rd_take(r, n);
	return r->bad ? 0 : be_get(p, n);
}
static inline uint64_t rd_le(struct rd *r, size_t n)
{
	const uint8_t *p = rd_take(r, n);
	return r->bad ? 0 : le_get(p, n);
}
static inline uint8_t rd_u8(struct rd *r)
{
	return (uint8_t)rd_be(r, 1);
}
static inline uint16_t rd_u16(struct rd *r)
{
	return (uint16_t)rd_be(r, 2);
}
static inline uint32_t rd_u32(struct rd *r)
{
	return (uint32_t)rd_be(r, 4);
}
static inline uint64_t rd_u64(struct rd *r)
{
	return rd_be(r, 8);
}

struct wr {
	uint8_t *p;
	size_t cap, len;
	bool bad;
};

static inline struct wr wr_of(void *p, size_t cap)
{
	return (struct wr) { .p = p, .cap = cap };
}

/* Room for n bytes at the end, or NULL (and bad) when the buffer is full. */
static inline uint8_t *wr_take(struct wr *w, size_t n)
{
	if (w->bad || n > w->cap - w->len) {
		w->bad = true;
		return NULL;
	}
	uint8_t *p = w->p + w->len;
	w->len += n;
	return p;
}
static inline void wr_bytes(struct wr *w, const void *src, size_t n)
{
	uint8_t *p = wr_take(w, n);
	if (p && n)
		memcpy(p, src, n);
}
static inline void wr_zero(struct wr *w, size_t n)
{
	uint8_t *p = wr_take(w, n);
	if (p && n)
		memset(p, 0, n);
}
static inline void wr_be(struct wr *w, size_t n, uint64_t v)
{
	uint8_t *p = wr_take(w, n);
	if (p)
		be_put(p, n, v);
}
static inline void wr_u8(struct wr *w, uint8_t v)
{
	wr_be(w, 1, v);
}
static inline void wr_u16(struct wr *w, uint16_t v)
{
	wr_be(w, 2, v);
}
static inline void wr_u32(struct wr *w, uint32_t v)
{
	wr_be(w, 4, v);
}
static inline void wr_u64(struct wr *w, uint64_t v)
{
	wr_be(w, 8, v);
}

#endif
