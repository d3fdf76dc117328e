/* The way out of a TLS session: its records are gathered, and several leave by one system call. For the kernel that is one large
 * packet, cut where the network wants it, and not one for each record. */
#ifndef RW_TRANSPORT_TLS_OUT_H
#define RW_TRANSPORT_TLS_OUT_H

#include <openssl/ssl.h>
#include <stdbool.h>

/* NULL: memory is short. Outlives what is made with it; BIO_meth_free. */
BIO_METHOD *tls_out_method(void);
/* The session writes to this fd (not owned). What the way out holds leaves by BIO_flush, or when it is much; BIO_wpending
 * says how much that is. false: memory is short. */
bool tls_out_set(SSL *ssl, const BIO_METHOD *m, int fd);
/* A flush follows on the next record: it may leave at once with what is held, without being copied. */
void tls_out_last(SSL *ssl, bool last);

#endif
