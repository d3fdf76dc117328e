/* Questions whose answers are validated (DNSSEC, RFC 4035): by libunbound, which is looked for when it is wanted and
 * loaded then, so that nothing needs it. It asks where it is told to, without validation (CD), and follows signatures
 * from its anchors down, with a word that only we know in each question; what it says is sent on as an answer: AD where it is signed, SERVFAIL with a reason (RFC 8914,
 * code 6) where it is forged or broken, and as it is where the anchors say that it is not signed. */
#ifndef RW_RESOLVER_VALIDATE_H
#define RW_RESOLVER_VALIDATE_H

#include "resolver/exchange/exchange.h"

struct exchange_validation {
	struct endpoint ask;	     /* IPv4 */
	const char *word;	     /* letters and digits; wiped by whose it is */
	const char *anchors;	     /* file: DS or DNSKEY records as in a zone file */
	const char *const *insecure; /* names; they and what is below need not be signed, whatever is above */
	size_t n_insecure;
};
/* From now on, anew each time; NULL: no more. What was out fails. An error says what to do: all is as it was. */
int exchange_validate(struct exchange *x, const struct exchange_validation *v, struct errbuf *eb);

#endif
