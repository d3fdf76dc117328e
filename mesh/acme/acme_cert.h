/* What ACME asks for in certificates. RFC 8555 7.4, 8737 3. */
#ifndef RW_ACME_ACME_CERT_H
#define RW_ACME_ACME_CERT_H

#include "mesh/base/buf.h"

/* A request (DER) for a certificate of `host`, and the new P-256 key it is for (PEM; secret: buf_wipe). */
bool acme_cert_request(const char *host, struct buf *der, struct buf *key_pem);
/* The certificate that answers a TLS-ALPN-01 challenge, and its key, as one PEM text. */
bool acme_cert_challenge(const char *host, const char *key_authorization, struct buf *pem);

#endif
