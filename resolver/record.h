/* Records in a message: where they are, and whether RDATA is what its type says. RFC 1035 3.2.1, 3597 4. */
#ifndef RW_RESOLVER_RECORD_H
#define RW_RESOLVER_RECORD_H

#include "resolver/name.h"

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_SRV = 33,
	DNS_DNAME = 39,
	DNS_OPT = 41,
	DNS_DS = 43,
	DNS_RRSIG = 46,
	DNS_NSEC = 47,
	DNS_DNSKEY = 48,
	DNS_NSEC3 = 50,
	DNS_SVCB = 64,
	DNS_HTTPS = 65,
	DNS_SPF = 99,
	DNS_TSIG = 250,
	DNS_IXFR = 251,
	DNS_AXFR = 252,
	DNS_ANY = 255,
};

struct dns_rr {
	uint16_t type, class, rdata_len;
	uint32_t ttl_s;
	uint32_t name_at, rdata_at;
};
/* The record at msg[*at]; moves *at past it. Checks bounds, not what RDATA holds. */
bool dns_rr_next(const uint8_t *msg, size_t len, size_t *at, struct dns_rr *out);
/* RDATA of a type, in parts: digits are bytes, n a name that may be compressed again, N one that may not (RFC 3597 4),
 * s a character string, w bytes behind their number in 16 bits, * the rest, + the rest, which is not empty. A type that is
 * unknown here is "*". */
const char *dns_rdata_form(uint16_t type);
/* How long the part at msg[at] is, no name; what is more than end - at is not there. */
size_t dns_rdata_part(char form, const uint8_t *msg, size_t at, size_t end);
/* Has RDATA the shape its type promises? Types unknown to us always do. Records that will not be used are to be
 * judged too: a sender that gets one wrong is not to be trusted with the rest. */
bool dns_rdata_fits(const uint8_t *msg, const struct dns_rr *rr);

#endif
