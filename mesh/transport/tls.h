/* OpenSSL sessions over file descriptors, for stream.c alone. */
#ifndef RW_TRANSPORT_TLS_H
#define RW_TRANSPORT_TLS_H

#include "mesh/transport/stream.h"
#include <openssl/ssl.h>

/* What the check of the server's certificate needs and finds. Must outlive the session; `host` is borrowed.
 */
struct tls_check {
	const char *host;
	char alpn[TLS_ALPN_TEXT]; /* "" = none */
	uint8_t pins[TLS_PINS_MAX][32];
	size_t n_pins;
	bool pins_alone;
	char why[192]; /* a sentence when the certificate was refused */
};

/* A session on fd (not owned); check NULL = server side. NULL when memory is short. Drop with SSL_free. */
SSL *tls_session_new(struct tls *t, int fd, struct tls_check *check);
/* The handshake is done: was the protocol agreed on that check asks for? else check->why says so. */
bool tls_session_agreed(const SSL *ssl, struct tls_check *check);
void tls_session_opened(SSL *ssl);  /* the handshake is done: room for many records */
struct tls *tls_get(struct tls *t); /* one more reference; tls_free drops it */
/* The DERP server key of the peer's metacert (tailscale-protocol.md 2.1). */
bool tls_session_metacert(const SSL *ssl, uint8_t out[static 32]);

#endif
