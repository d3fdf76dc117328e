/* A DNS server's answer to one question, with the faults it is told to have (RFC 1035, 6891): pure. */
#ifndef SIMNET_SERVICE_DNS_REPLY_H
#define SIMNET_SERVICE_DNS_REPLY_H

#include "mesh/base/arena.h"
#include "mesh/base/nat64.h"
#include "simnet/service/faults.h"

enum { DNS_REPLY_MAX = 4096, DNS_RECORDS_MAX = 256 };
struct dns_record {
	const char *name; /* lower case, no last dot */
	uint16_t type;
	const uint8_t *data; /* as on the wire */
	size_t len;
};
struct dns_records {
	struct arena arena;
	struct dns_record v[DNS_RECORDS_MAX];
	size_t n;
	struct nat64
		dns64; /* RFC 6147: AAAA where there is A alone, of ipv4only.arpa too (RFC 7050); bits 0: none */
};
/* "www.test A 192.0.2.7; www.test TXT hello there; alias.test CNAME www.test"; types A AAAA CNAME TXT. Whole, or
 * -EINVAL with a sentence; then free is not needed. */
int dns_records_parse(const char *text, struct dns_records *out, struct errbuf *eb);
void dns_records_free(struct dns_records *r);

/* The answer's length into out; 0: none (it is no question, or a fault wants silence). */
size_t dns_reply_write(const struct dns_records *records, const struct faults *f, bool tcp,
	const uint8_t *question, size_t len, uint8_t out[static DNS_REPLY_MAX]);

#endif
