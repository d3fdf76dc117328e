/* Domain names in wire form. RFC 1035 3.1 and 4.1.4, RFC 4343: bytes are bytes, only ASCII letters fold. */
#ifndef RW_RESOLVER_NAME_H
#define RW_RESOLVER_NAME_H

#include "mesh/base/addr.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { DNS_NAME_MAX = 255, DNS_LABEL_MAX = 63, DNS_LABELS_MAX = 127, DNS_NAME_TEXT = 1024 };

/* Uncompressed, root label included: len is 1 ("." alone) to 255. Length bytes are below 'A', so folding the
 * whole array folds the labels only. */
struct dns_name {
	uint8_t len;
	uint8_t b[DNS_NAME_MAX];
};

/* As by assignment, of what is used of it: a whole one takes a slow instruction. */
static inline void dns_name_copy(struct dns_name *to, const struct dns_name *from)
{
	enum { STEP = 16 };
	_Static_assert(sizeof(*to) % STEP == 0, "steps end where a name does");
	for (size_t at = 0; at <= from->len; at += STEP)
		memcpy((uint8_t *)to + at, (const uint8_t *)from + at, STEP);
}
/* The next character of a text as in zone files, \. and \DDD taken away (RFC 1035 5.1): its value, with *at behind it; -1: a
 * bad escape, and *at is still in the text or at its end. The text is not at its end before. */
int dns_text_byte(const char **at);
/* "host.example", with or without the last dot, \. and \DDD as in zone files. Case is kept. false: out
 * untouched. */
bool dns_name_parse(const char *text, struct dns_name *out);
/* Into buf[DNS_NAME_TEXT], no last dot ("." for the root); returns buf. */
char *dns_name_format(const struct dns_name *n, char *buf);
void dns_name_fold(struct dns_name *n); /* to lower case */
/* len bytes in lower case. The lengths of labels are no letters: a name in wire form stays one. to may be from. */
void dns_fold(uint8_t *to, const uint8_t *from, size_t len);
bool dns_bytes_equal(const uint8_t *a, const uint8_t *b, size_t n); /* in any case */
/* Reads the name at msg[at], following pointers that go strictly backward. *next = offset after it in place.
 */
bool dns_name_expand(const uint8_t *msg, size_t len, size_t at, struct dns_name *out, size_t *next);
/* Is the name at msg[at] this one, in any case? at <= len. */
bool dns_name_is_at(const uint8_t *msg, size_t len, size_t at, const struct dns_name *n);
/* Offset after the name at msg[at] without following a pointer; 0 = malformed. */
size_t dns_name_skip(const uint8_t *msg, size_t len, size_t at);

bool dns_name_equal(const struct dns_name *a, const struct dns_name *b); /* any case */
/* parent == name, or name is below it; any case. */
bool dns_name_within(const struct dns_name *name, const struct dns_name *parent);
unsigned dns_name_labels(const struct dns_name *n); /* root not counted */
/* "5.100.100.100.in-addr.arpa" or the ip6.arpa form; struct addr as v4-mapped. */
void dns_name_reverse(const struct addr *ip, struct dns_name *out);
/* A bit for each letter that can be in upper case: the first letter's is bit 0, those after the 64th have none. */
uint64_t dns_name_letters(const struct dns_name *n);
/* Bytes of a name in lower case: the letters whose bit is set, to upper case. */
void dns_name_mix(uint8_t *b, size_t len, uint64_t upper);
static inline uint8_t dns_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}
/* The reverse zones that make up a prefix (192.168.0.0/16 is 168.192.in-addr.arpa, 172.16.0.0/12 is sixteen),
 * at most 128; the i-th of them. */
unsigned dns_reverse_zones(const struct prefix *p);
void dns_reverse_zone(const struct prefix *p, unsigned i, struct dns_name *out);
/* A name as a client asks for it: no byte over 127, which would have been sent in its ASCII form (xn--). */
bool dns_text_is_ascii(const char *text);
/* A domain whose names clients ask for: one with a blank or # in it is a slip of the pen. */
bool dns_name_is_domain(const struct dns_name *n);

#endif
