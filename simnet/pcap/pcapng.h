/* A capture of a whole network in one file: pcapng (draft-ietf-opsawg-pcapng), one section, an interface for every
 * link, an enhanced packet block for every packet, nanoseconds, comments. What is written is little endian and
 * Ethernet; what is read may have blocks and options that are not known here, which are passed over. */
#ifndef SIMNET_PCAPNG_H
#define SIMNET_PCAPNG_H

#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include "mesh/base/wire.h"

enum { PCAPNG_NAME = 64, PCAPNG_LINKS = 4096, PCAPNG_BYTES_MAX = 1 << 16 };

struct pcapng_packet {
	uint32_t frame; /* as other programs count: from 1; writers ignore it */
	uint32_t link;	/* number of its interface, from 0 */
	uint64_t at_ns; /* since 1970 */
	const uint8_t *data;
	size_t len, wire_len; /* kept, and as it was */
	const char *comment;  /* not terminated; NULL = none */
	size_t comment_len;
};

/* Writers append a block to out; false: its cap or memory, and out is as it was. */
bool pcapng_write_head(struct buf *out, const char *program);
bool pcapng_write_link(struct buf *out, const char *name, uint32_t snap_bytes);
bool pcapng_write_packet(struct buf *out, const struct pcapng_packet *p);

/* Reads bytes that stay where they are for as long as the reader and its packets are used. */
struct pcapng_reader {
	struct rd r;
	size_t size;
	uint32_t frames, n_links;
	char (*names)[PCAPNG_NAME]; /* of the links; "link N" where the file has none */
	uint8_t *digits;	    /* of each link: stamps count 10^-digits seconds */
};
/* 0, or ERR_MALFORMED, ERR_UNSUPPORTED or -ENOMEM with what is wrong and at which byte. Close it all the same. */
int pcapng_open(struct pcapng_reader *r, const void *p, size_t len, struct errbuf *eb);
/* 1: *out is the next packet. 0: the end. Negative: as above, and *out untouched. */
int pcapng_next(struct pcapng_reader *r, struct pcapng_packet *out, struct errbuf *eb);
void pcapng_close(struct pcapng_reader *r);

/* The same capture with a comment at each packet that comment() has a word on (NULL: what it had). 0 or negative. */
int pcapng_annotate(const void *p, size_t len,
	const char *(*comment)(void *owner, const char *link, const struct pcapng_packet *p), void *owner,
	struct buf *out, struct errbuf *eb);

#endif
