/* Account keys (P-256) and JSON Web Signatures as ACME uses them: ES256, flattened. RFC 7515, 7518 3.4, 7638,
 * 8555 6.2. */
#ifndef RW_ACME_JOSE_H
#define RW_ACME_JOSE_H

#include "mesh/base/buf.h"
#include "mesh/base/err.h"

enum { JOSE_THUMBPRINT = 44 }; /* text, with its NUL */

struct jose_key;
struct jose_key *jose_key_make(void); /* NULL: memory is short */
/* PEM (PKCS #8). NULL with a sentence: not one, or of another kind. */
struct jose_key *jose_key_read(const char *pem, size_t len, struct errbuf *eb);
bool jose_key_write(const struct jose_key *k, struct buf *pem); /* secret: buf_wipe */
void jose_key_free(struct jose_key *k);				/* NULL is fine */

bool jose_thumbprint(const struct jose_key *k, char out[static JOSE_THUMBPRINT]);
/* The signed body of a request to `url`. account: its URL, NULL = the key itself goes along (a new account).
 * payload: JSON,
 * "" = POST-as-GET. */
struct jose_request {
	const char *url, *nonce, *account, *payload;
};
bool jose_sign(const struct jose_key *k, const struct jose_request *rq, struct buf *out);
/* Appends. */
bool jose_base64url(const void *p, size_t len, struct buf *out);

#endif
