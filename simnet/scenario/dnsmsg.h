/* As much of DNS as a probe needs (RFC 1035): one question, and the answers as text. */
#ifndef SIMNET_DNSMSG_H
#define SIMNET_DNSMSG_H

#include "mesh/base/buf.h"
#include <stdint.h>

enum { DNSMSG_MAX = 4096 };

/* 0 for a type this does not know. Knows A AAAA PTR CNAME TXT NS SOA MX SRV. */
uint16_t dnsmsg_type(const char *word);
/* Query with RD set and EDNS size 1232; a PTR question may give an address as its name. Length, or 0 when the
 * name is not one. */
size_t dnsmsg_write_query(uint8_t *out, size_t cap, uint16_t id, const char *name, uint16_t type);

struct dnsmsg_reply {
	uint16_t id;
	uint8_t rcode;
	bool truncated;
	unsigned answers; /* of the asked type; their values are lines in `values` */
};
/* Whole or nothing. values: A, AAAA as addresses, PTR, CNAME, NS names in lower case without the last dot,
 * TXT joined. */
bool dnsmsg_read_reply(
	const uint8_t *p, size_t len, uint16_t type, struct dnsmsg_reply *out, struct buf *values);
/* NOERROR with answers "", without "NODATA"; "NXDOMAIN", "SERVFAIL", "REFUSED", "RCODE". */
const char *dnsmsg_rcode_word(const struct dnsmsg_reply *r);

#endif
