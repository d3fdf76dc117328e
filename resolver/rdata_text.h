/* The value of a record of the common types from text: RFC 1035 3.3, 3596, 2782, 6672. Nothing is allocated,
 * since ldns, which reads the rest, ends the process when memory is short. */
#ifndef RW_RESOLVER_RDATA_TEXT_H
#define RW_RESOLVER_RDATA_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rdata_text { RDATA_TEXT_OTHER, /* not one of these types */ RDATA_TEXT_WRONG, RDATA_TEXT_READ };
/* TXT and SPF, A, AAAA, NS, CNAME, PTR, DNAME, MX, SRV. Names are taken as full ones. */
enum rdata_text rdata_text_read(uint16_t type, const char *value, uint8_t *rdata, size_t cap, size_t *len);

#endif
