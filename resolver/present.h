/* Records and messages as text, by ldns. Bytes reach ldns only after our own strict reader passed them. */
#ifndef RW_RESOLVER_PRESENT_H
#define RW_RESOLVER_PRESENT_H

#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include "resolver/name.h"

/* One line per record: "bob.mesh.example.	5	IN	A	100.64.0.2", sections in order, each
 * line ended by \n; the first line says the rcode ("NOERROR", ...). false: not a whole well-formed answer, or
 * memory short. */
bool present_message(const uint8_t *msg, size_t len, struct buf *out);
/* Appends why an answer is as it is (the extended error of RFC 8914): "no reachable authority: ...", its words and what
 * the sender said, on one line without its end; nothing where it says none. false: as above. */
bool present_reason(const uint8_t *msg, size_t len, struct buf *out);
const char *present_rcode(unsigned rcode); /* "NXDOMAIN"; "RCODE23" has no name: "unknown" */
/* "10 mail.example." of type MX etc. into uncompressed wire form. 0 or a sentence that names what was wrong.
 */
int present_rdata_parse(const char *type, const char *value, uint8_t *rdata, size_t cap, size_t *len,
	uint16_t *type_out, struct errbuf *eb);

#endif
