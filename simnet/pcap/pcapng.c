#include "simnet/pcap/pcapng.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A block is its type, its length, a body, options, and its length again, all in words of four bytes. An option
 * is a code, a length and a value, filled up to a word; code 0 ends them. (draft-ietf-opsawg-pcapng 3.1, 3.5.) */
enum {
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_LINK = 1,
	BLOCK_PACKET = 6,
	ORDER_MARK = 0x1a2b3c4d,
	OPT_END = 0,
	OPT_COMMENT = 1,
	OPT_LINK_NAME = 2,
	OPT_PROGRAM = 4,
	OPT_RESOLUTION = 9,
	LINKTYPE_ETHERNET = 1,
	BLOCK_LEAST = 12,
	NANO = 9,
	MICRO = 6,
	COMMENT_MAX = 1024,
};

/* ---- writing ---- */

static void le(struct wr *w, size_t n, uint64_t v)
{
	uint8_t *p = wr_take(w, n);
	if (p)
		le_put(p, n, v);
}

static void put_padded(struct wr *w, const void *p, size_t n)
{
	wr_bytes(w, p, n);
	wr_zero(w, (4 - n % 4) % 4);
}

static void put_option(struct wr *w, uint16_t code, const void *p, size_t n)
{
	le(w, 2, code);
	le(w, 2, n);
	put_padded(w, p, n);
}

static struct wr block_begin(struct buf *out, size_t room, uint32_t type)
{
	uint8_t *p = buf_room(out, room);
	struct wr w = wr_of(p, p ? room : 0);
	le(&w, 4, type);
	le(&w, 4, 0);
	return w;
}

static bool block_end(struct buf *out, struct wr *w)
{
	le(w, 4, w->len + 4);
	if (w->bad || !w->p)
		return false;
	le_put(w->p + 4, 4, w->len);
	buf_grown(out, w->len);
	return true;
}

bool pcapng_write_head(struct buf *out, const char *program)
{
	struct wr w = block_begin(out, 512, BLOCK_SECTION);
	le(&w, 4, ORDER_MARK);
	le(&w, 2, 1); /* version 1.0 */
	le(&w, 2, 0);
	le(&w, 8, UINT64_MAX); /* how long the section is: not said */
	put_option(&w, OPT_PROGRAM, program, strlen(program));
	le(&w, 4, OPT_END);
	return block_end(out, &w);
}

bool pcapng_write_link(struct buf *out, const char *name, uint32_t snap_bytes)
{
	struct wr w = block_begin(out, 128 + PCAPNG_NAME, BLOCK_LINK);
	le(&w, 2, LINKTYPE_ETHERNET);
	le(&w, 2, 0);
	le(&w, 4, snap_bytes);
	put_option(&w, OPT_LINK_NAME, name, strnlen(name, PCAPNG_NAME));
	put_option(&w, OPT_RESOLUTION, &(uint8_t) { NANO }, 1);
	le(&w, 4, OPT_END);
	return block_end(out, &w);
}

bool pcapng_write_packet(struct buf *out, const struct pcapng_packet *p)
{
	size_t said = p->comment_len < COMMENT_MAX ? p->comment_len : COMMENT_MAX;
	struct wr w = block_begin(out, 64 + p->len + said, BLOCK_PACKET);
	le(&w, 4, p->link);
	le(&w, 4, p->at_ns >> 32);
	le(&w, 4, p->at_ns & UINT32_MAX);
	le(&w, 4, p->len);
	le(&w, 4, p->wire_len);
	put_padded(&w, p->data, p->len);
	if (p->comment) {
		put_option(&w, OPT_COMMENT, p->comment, said);
		le(&w, 4, OPT_END);
	}
	return block_end(out, &w);
}

/* ---- reading ---- */

static size_t offset_of(const struct pcapng_reader *r)
{
	return r->size - r->r.left;
}

static int malformed(const struct pcapng_reader *r, const char *what, struct errbuf *eb)
{
	return err_say(eb, ERR_MALFORMED, "not a whole capture: %s, before byte %zu", what, offset_of(r));
}

struct block {
	uint32_t type;
	struct rd body;
};

/* 1 a block, 0 the end. */
static int next_block(struct pcapng_reader *r, struct block *out, struct errbuf *eb)
{
	struct rd at = r->r;
	*out = (struct block) { 0 };
	if (!at.left)
		return 0;
	uint32_t type = (uint32_t)rd_le(&at, 4), len = (uint32_t)rd_le(&at, 4);
	if (at.bad || len < BLOCK_LEAST || len % 4)
		return malformed(r, "a block has no right length", eb);
	struct rd body = rd_sub(&at, len - BLOCK_LEAST);
	if (rd_le(&at, 4) != len || at.bad)
		return malformed(r, "a block is cut short", eb);
	r->r = at;
	*out = (struct block) { .type = type, .body = body };
	return 1;
}

static bool option_next(struct rd *r, uint16_t *code, struct rd *value)
{
	if (r->bad || r->left < 4)
		return false;
	*code = (uint16_t)rd_le(r, 2);
	size_t len = (size_t)rd_le(r, 2);
	*value = rd_sub(r, len);
	rd_take(r, (4 - len % 4) % 4);
	return !r->bad && *code != OPT_END;
}

static int section_read(struct pcapng_reader *r, struct rd body, struct errbuf *eb)
{
	uint32_t order = (uint32_t)rd_le(&body, 4);
	uint16_t major = (uint16_t)rd_le(&body, 2);
	if (body.bad || (order != ORDER_MARK && order != 0x4d3c2b1a))
		return malformed(r, "it does not begin as pcapng does", eb);
	if (order != ORDER_MARK || major != 1)
		return err_say(eb, ERR_UNSUPPORTED, "a capture of %s is not read here",
			order != ORDER_MARK ? "a big-endian machine" : "another version of pcapng");
	r->n_links = 0; /* interfaces are counted anew in each section */
	return 0;
}

static int link_read(struct pcapng_reader *r, struct rd body, struct errbuf *eb)
{
	uint16_t type = (uint16_t)rd_le(&body, 2), code;
	struct rd value;
	rd_take(&body, 6);
	if (body.bad)
		return malformed(r, "an interface is cut short", eb);
	if (type != LINKTYPE_ETHERNET)
		return err_say(eb, ERR_UNSUPPORTED, "interface %u is not Ethernet", r->n_links);
	if (r->n_links == PCAPNG_LINKS)
		return err_say(eb, ERR_TOO_LARGE, "more than %d interfaces", PCAPNG_LINKS);
	char *name = r->names[r->n_links];
	uint8_t digits = MICRO;
	snprintf(name, PCAPNG_NAME, "link %u", r->n_links);
	while (option_next(&body, &code, &value))
		if (code == OPT_LINK_NAME)
			snprintf(name, PCAPNG_NAME, "%.*s", (int)value.left, (const char *)value.p);
		else if (code == OPT_RESOLUTION && value.left == 1)
			digits = value.p[0];
	if (body.bad)
		return malformed(r, "an interface's options are cut short", eb);
	if (digits > NANO)
		return err_say(
			eb, ERR_UNSUPPORTED, "interface %u has stamps that are not read here", r->n_links);
	r->digits[r->n_links++] = digits;
	return 0;
}

static uint64_t nanoseconds(uint64_t stamp, uint8_t digits)
{
	for (int i = digits; i < NANO; i++)
		stamp = stamp > UINT64_MAX / 10 ? UINT64_MAX : stamp * 10;
	return stamp;
}

static int packet_read(struct pcapng_reader *r, struct rd body, struct pcapng_packet *out, struct errbuf *eb)
{
	struct pcapng_packet p = { .frame = r->frames + 1, .link = (uint32_t)rd_le(&body, 4) };
	uint64_t high = rd_le(&body, 4), stamp = high << 32 | rd_le(&body, 4);
	uint16_t code;
	struct rd value;
	p.len = (size_t)rd_le(&body, 4);
	p.wire_len = (size_t)rd_le(&body, 4);
	p.data = rd_take(&body, p.len);
	rd_take(&body, (4 - p.len % 4) % 4);
	if (body.bad)
		return malformed(r, "a packet is cut short", eb);
	if (p.link >= r->n_links)
		return malformed(r, "a packet is of an interface that is not there", eb);
	p.at_ns = nanoseconds(stamp, r->digits[p.link]);
	while (option_next(&body, &code, &value))
		if (code == OPT_COMMENT && !p.comment) {
			p.comment = (const char *)value.p;
			p.comment_len = value.left;
		}
	if (body.bad)
		return malformed(r, "a packet's options are cut short", eb);
	r->frames++;
	*out = p;
	return 1;
}

int pcapng_open(struct pcapng_reader *r, const void *p, size_t len, struct errbuf *eb)
{
	struct block b = { 0 };
	*r = (struct pcapng_reader) { .r = rd_of(p, len), .size = len };
	r->names = calloc(PCAPNG_LINKS, sizeof(*r->names));
	r->digits = calloc(PCAPNG_LINKS, 1);
	if (!r->names || !r->digits)
		return err_set(eb, -ENOMEM, "read a capture");
	int got = next_block(r, &b, eb);
	if (got < 0)
		return got;
	if (!got || b.type != BLOCK_SECTION)
		return malformed(r, "it does not begin as pcapng does", eb);
	return section_read(r, b.body, eb);
}

int pcapng_next(struct pcapng_reader *r, struct pcapng_packet *out, struct errbuf *eb)
{
	struct block b = { 0 };
	int got;
	while ((got = next_block(r, &b, eb)) > 0) {
		int err = b.type == BLOCK_SECTION ? section_read(r, b.body, eb)
			  : b.type == BLOCK_LINK  ? link_read(r, b.body, eb)
						  : 0;
		if (err)
			return err;
		if (b.type == BLOCK_PACKET)
			return packet_read(r, b.body, out, eb);
	}
	return got;
}

void pcapng_close(struct pcapng_reader *r)
{
	free(r->names);
	free(r->digits);
	*r = (struct pcapng_reader) { 0 };
}

/* ---- again, with words ---- */

int pcapng_annotate(const void *p, size_t len,
	const char *(*comment)(void *owner, const char *link, const struct pcapng_packet *p), void *owner,
	struct buf *out, struct errbuf *eb)
{
	struct pcapng_reader r;
	struct pcapng_packet one = { 0 };
	uint32_t links = 0;
	int got = pcapng_open(&r, p, len, eb);
	bool room = !got && pcapng_write_head(out, "simnet");
	while (!got && room && (got = pcapng_next(&r, &one, eb)) > 0) {
		got = 0;
		for (; room && links < r.n_links; links++)
			room = pcapng_write_link(out, r.names[links], PCAPNG_BYTES_MAX);
		const char *said = comment(owner, r.names[one.link], &one);
		if (said) {
			one.comment = said;
			one.comment_len = strlen(said);
		}
		room = room && pcapng_write_packet(out, &one);
	}
	for (; !got && room && links < r.n_links; links++)
		room = pcapng_write_link(out, r.names[links], PCAPNG_BYTES_MAX);
	pcapng_close(&r);
	return got < 0 ? got
	       : room  ? 0
		       : err_say(eb, ERR_TOO_LARGE, "no room for the capture with its comments");
}
