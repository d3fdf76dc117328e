/* The value of a TXT record from text. RFC 1035 3.3.14, 5.1; RFC 4408 3.1.3 (a text may be several strings).
 */
#ifndef RW_RESOLVER_TXT_H
#define RW_RESOLVER_TXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Without a quote: all of it is one text, blanks included. With quotes: strings as in a zone file, one after
 * the other. \DDD and \X are escapes in both. What is longer than 255 bytes goes on in the next string.
 * false: a quote without its end, a bad escape, or more than cap. */
bool txt_parse(const char *value, uint8_t *rdata, size_t cap, size_t *len);

#endif
