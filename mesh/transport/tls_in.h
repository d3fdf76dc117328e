/* The way into a TLS session: OpenSSL is given what it asks for, a record's head or the rest of the record, and what one read of the
 * socket brings beyond that is kept here. Kept by OpenSSL itself it is moved to the front of its buffer for each record again. */
#ifndef RW_TRANSPORT_TLS_IN_H
#define RW_TRANSPORT_TLS_IN_H

#include <openssl/ssl.h>
#include <stdbool.h>

/* NULL: memory is short. Outlives what is made with it; BIO_meth_free. */
BIO_METHOD *tls_in_method(void);
/* The session reads this fd (not owned). BIO_pending says how much is kept. false: memory is short. */
bool tls_in_set(SSL *ssl, const BIO_METHOD *m, int fd);
/* From now on one read takes several records; before, it takes what is asked for. */
void tls_in_ahead(SSL *ssl);

#endif
