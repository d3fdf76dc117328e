#include "mesh/proto/capture.h"
#include "mesh/base/wire.h"

enum { MAGIC = 0xa1b2c3d4, MAJOR = 2, MINOR = 4, LONGEST = 65535, LINK_OFFICIAL = 147, LINK_RAW = 101 };

/* The format may have either order of bytes, the one that official clients write is this. */
static void put_le(struct wr *w, size_t n, uint64_t v)
{
	for (; n; n--, v >>= 8)
		wr_u8(w, (uint8_t)v);
}

bool capture_head_write(struct buf *out, enum capture_form form)
{
	uint8_t head[CAPTURE_HEAD];
	struct wr w = wr_of(head, sizeof(head));
	put_le(&w, 4, MAGIC);
	put_le(&w, 2, MAJOR);
	put_le(&w, 2, MINOR);
	put_le(&w, 8, 0); /* times are UTC */
	put_le(&w, 4, LONGEST);
	put_le(&w, 4, form == CAPTURE_RAW ? LINK_RAW : LINK_OFFICIAL);
	return buf_append(out, head, w.len);
}

bool capture_packet_write(
	struct buf *out, enum capture_form form, unsigned how, int64_t unix_us, const uint8_t *p, size_t len)
{
	uint8_t head[CAPTURE_RECORD + CAPTURE_HOW];
	struct wr w = wr_of(head, sizeof(head));
	size_t before = out->len, more = form == CAPTURE_RAW ? 0 : CAPTURE_HOW;
	put_le(&w, 4, (uint64_t)(unix_us / 1000000));
	put_le(&w, 4, (uint64_t)(unix_us % 1000000));
	put_le(&w, 4, len + more);
	put_le(&w, 4, len + more);
	if (more) {
		put_le(&w, 2, how);
		put_le(&w, 2, 0); /* no address before its translation, of sender and receiver */
	}
	if (buf_append(out, head, w.len) && buf_append(out, p, len))
		return true;
	out->len = before;
	return false;
}
