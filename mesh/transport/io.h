/* One non-blocking read or write on a socket, plain or through TLS, for stream.c alone. */
#ifndef RW_TRANSPORT_IO_H
#define RW_TRANSPORT_IO_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum io {
	IO_SOME,    /* bytes moved, more may be possible at once */
	IO_BLOCKED, /* wait for the socket; io_read may have moved bytes all the same */
	IO_END,	    /* over, see struct io_end; io_read may have moved bytes before it */
};
struct io_end {
	int code;	 /* 0 = orderly end by the other side */
	const char *why; /* static text */
};
/* ssl NULL = plain. *n must be 0 and becomes the bytes moved. io_read joins several TLS records. */
enum io io_read(int fd, SSL *ssl, uint8_t *p, size_t cap, size_t *n, struct io_end *e);
enum io io_write(int fd, SSL *ssl, const uint8_t *p, size_t len, size_t *n, struct io_end *e);
/* Through TLS, what io_write moved may be held still. Never IO_SOME while some is. */
enum io io_flush(SSL *ssl, struct io_end *e);
size_t io_held(SSL *ssl); /* bytes; 0 for plain */
/* Bytes have left the socket that io_read has not given yet: the socket wakes nobody for them. false for plain. */
bool io_pending(SSL *ssl);
/* What an OpenSSL call that returned ret <= 0 means. errno and the error queue must be as it left them. */
enum io io_tls_end(SSL *ssl, int ret, struct io_end *e);

#endif
