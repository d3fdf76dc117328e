/* DNS messages: reading what clients ask, writing what they get. RFC 1035, 6891 (EDNS), 8914 (extended
 * errors). */
#ifndef RW_RESOLVER_MESSAGE_H
#define RW_RESOLVER_MESSAGE_H

#include "mesh/base/wire.h"
#include "resolver/record.h"

enum {
	DNS_HEADER = 12,
	DNS_MESSAGE_MAX = 65535,
	DNS_UDP_PLAIN = 512, /* without EDNS */
	DNS_UDP_SIZE = 1232, /* what we offer and never exceed, RFC 9715 */
	DNS_OPT_LEN = 11,    /* an OPT record without options */
	DNS_QUESTION_MAX = DNS_NAME_MAX + 4,
	DNS_TCP_IDLE_MS = 30000, /* how long a client may keep a connection without a word, RFC 7828 */
};
enum {
	DNS_QR = 0x8000,
	DNS_AA = 0x0400,
	DNS_TC = 0x0200,
	DNS_RD = 0x0100,
	DNS_RA = 0x0080,
	DNS_AD = 0x0020,
	DNS_CD = 0x0010
};
enum { DNS_IN = 1 };
enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
	DNS_BADVERS = 16,
};
enum dns_ede { /* RFC 8914 */
	EDE_OTHER = 0,
	EDE_STALE = 3,
	EDE_CACHED_ERROR = 13,
	EDE_NOT_READY = 14,
	EDE_BLOCKED = 15,
	EDE_PROHIBITED = 18,
	EDE_STALE_NXDOMAIN = 19,
	EDE_NO_AUTHORITY = 22,
	EDE_NETWORK = 23,
	EDE_NONE = 0xffff,
};

struct dns_query {
	uint16_t id, type, class, rcode; /* rcode: what to answer when the read says DNS_READ_ERROR */
	uint8_t opcode;
	bool rd, cd, ad, edns, dnssec_ok, tcp, keepalive; /* keepalive: wants to know DNS_TCP_IDLE_MS */
	uint16_t size;					  /* the largest answer this asker may get */
	uint16_t question_len;				  /* 0: none to echo */
	struct dns_name name;				  /* lower case */
	uint8_t question[DNS_QUESTION_MAX];		  /* as it was asked, byte for byte */
};
void dns_query_copy(
	struct dns_query *to, const struct dns_query *from); /* as by assignment, of what is set */
enum dns_read { DNS_READ_OK, DNS_READ_ERROR, DNS_READ_SHORT, DNS_READ_RESPONSE };
/* OK: everything is set. ERROR: enough for dns_write_begin is. Bytes after the counted records are ignored.
 */
enum dns_read dns_query_read(const uint8_t *msg, size_t len, bool tcp, struct dns_query *q);

/* A message being written. What does not fit is cut at an RRset boundary and marked TC; nothing is ever
 * longer than the asker's size, OPT included. */
struct dns_writer {
	struct wr w;
	size_t cap;	    /* of the buffer; w.cap leaves room for OPT */
	uint16_t counts[4]; /* question, answer, authority, additional */
	uint8_t section;    /* index in counts */
	bool truncated;
	uint8_t n_names;
	uint16_t names[48]; /* offsets of label starts that later names may point to */
	size_t mark_len;
	uint16_t mark_counts[4];
	uint8_t mark_names;
};
enum { DNS_ANSWER = 1, DNS_AUTHORITY = 2, DNS_ADDITIONAL = 3 };

/* Header (flags and rcode come at the end), question as asked. cap >= DNS_HEADER + DNS_QUESTION_MAX +
 * DNS_OPT_LEN. */
void dns_write_begin(struct dns_writer *d, void *buf, size_t cap, const struct dns_query *q);
/* Records between mark and keep go in together or, when the room ends, not at all: keep then sets TC. */
void dns_write_mark(struct dns_writer *d, uint8_t section);
bool dns_write_keep(struct dns_writer *d);
void dns_write_name(struct dns_writer *d, const struct dns_name *n, bool compress);
/* Owner, type, class IN, ttl and an RDLENGTH that dns_write_rr_end fills in. Returns its offset. */
size_t dns_write_rr(struct dns_writer *d, const struct dns_name *owner, uint16_t type, uint32_t ttl_s);
void dns_write_rr_end(struct dns_writer *d, size_t rdlength_at);
/* OPT when it was asked with one (ede: EDE_NONE or a code, text NULL or a sentence), header. Returns the
 * length. */
struct dns_end {
	uint16_t flags, rcode, ede;
	const char *ede_text;
};
size_t dns_write_end(struct dns_writer *d, const struct dns_query *q, const struct dns_end *end);
/* The same tail for a message that was copied, not written: buf[len] is whole and len + what OPT needs <=
 * cap. */
size_t dns_write_opt(
	uint8_t *buf, size_t len, size_t cap, const struct dns_query *q, const struct dns_end *end);

/* Pads a whole message that ends in an OPT to a multiple of block (RFC 7830), as far as cap lets. The new length; any
 * other message stays as it is. */
size_t dns_pad(uint8_t *msg, size_t len, size_t cap, size_t block);
uint32_t dns_min_ttl(const uint8_t *msg, size_t len); /* of all records but OPT; 0: there are none */
/* A question of ours: RD set, OPT with DO as wanted unless !edns; padded (with edns): its length says nothing of its
 * name (RFC 7830, blocks of RFC 8467 4.1). buf[DNS_HEADER + DNS_QUESTION_MAX + DNS_OPT_LEN], padded: buf[DNS_ASK_MAX]. */
enum {
	DNS_PAD_BLOCK = 128,
	DNS_OPTION_HEAD = 4,
	DNS_ASK_MAX = (DNS_HEADER + DNS_QUESTION_MAX + DNS_OPT_LEN + DNS_OPTION_HEAD + DNS_PAD_BLOCK - 1) /
		      DNS_PAD_BLOCK * DNS_PAD_BLOCK,
};
struct dns_ask {
	uint16_t id, type;
	bool cd, edns, dnssec_ok, padded;
	const struct dns_name *name;
	uint64_t
		upper; /* letters of it, which is in lower case then, that are written in upper case: dns_name_mix */
};
size_t dns_ask_write(uint8_t *buf, const struct dns_ask *a);
/* "A", "aaaa", "TYPE65". */
bool dns_type_parse(const char *text, uint16_t *out);
/* The same back, into buf[DNS_TYPE_TEXT]; returns buf. */
enum { DNS_TYPE_TEXT = 16 };
char *dns_type_format(uint16_t type, char *buf);

#endif
