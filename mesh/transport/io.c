#include "mesh/transport/io.h"
#include "mesh/base/err.h"
#include "mesh/transport/tls_out.h"

#include <errno.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

static enum io errno_end(struct io_end *e)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		return IO_BLOCKED;
	*e = (struct io_end) { -errno, err_text(-errno) };
	return IO_END;
}

static struct io_end library_end(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *text = ERR_reason_error_string(code);
	if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return (struct io_end) { ERR_CLOSED, "connection cut off" };
	return (struct io_end) { ERR_CRYPTO, text ? text : "unknown TLS error" };
}

enum io io_tls_end(SSL *ssl, int ret, struct io_end *e)
{
	switch (SSL_get_error(ssl, ret)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE: return IO_BLOCKED;
	case SSL_ERROR_ZERO_RETURN: *e = (struct io_end) { 0, "closed" }; return IO_END;
	case SSL_ERROR_SYSCALL:
		*e = errno ? (struct io_end) { -errno, err_text(-errno) } : library_end();
		return IO_END;
	default: *e = library_end(); return IO_END;
	}
}

static enum io read_plain(int fd, uint8_t *p, size_t cap, size_t *n, struct io_end *e)
{
	ssize_t got = read(fd, p, cap);
	if (got < 0)
		return errno_end(e);
	*n = (size_t)got;
	if (got == 0) {
		*e = (struct io_end) { 0, "closed" };
		return IO_END;
	}
	/* A short read means the socket is empty: the next call would only say so. */
	return *n < cap ? IO_BLOCKED : IO_SOME;
}

/* Those of this thread, so that SSL_get_error speaks of the next call alone. To clear an empty queue costs more than to look. */
static void clear_errors(void)
{
	if (ERR_peek_error())
		ERR_clear_error();
}

enum io io_read(int fd, SSL *ssl, uint8_t *p, size_t cap, size_t *n, struct io_end *e)
{
	if (!ssl)
		return read_plain(fd, p, cap, n, e);
	while (*n < cap) {
		size_t got = 0;
		clear_errors();
		errno = 0;
		int ret = SSL_read_ex(ssl, p + *n, cap - *n, &got);
		if (ret <= 0)
			return io_tls_end(ssl, ret, e);
		*n += got;
	}
	return IO_SOME;
}

enum io io_write(int fd, SSL *ssl, const uint8_t *p, size_t len, size_t *n, struct io_end *e)
{
	if (ssl) {
		clear_errors();
		errno = 0;
		tls_out_last(ssl, len <= SSL3_RT_MAX_PLAIN_LENGTH);
		int ret = SSL_write_ex(ssl, p, len, n);
		tls_out_last(ssl, false);
		return ret > 0 ? IO_SOME : io_tls_end(ssl, ret, e);
	}
	ssize_t sent = send(fd, p, len, MSG_NOSIGNAL);
	if (sent < 0)
		return errno_end(e);
	*n = (size_t)sent;
	return IO_SOME;
}

enum io io_flush(SSL *ssl, struct io_end *e)
{
	if (!ssl)
		return IO_SOME;
	errno = 0;
	if (BIO_flush(SSL_get_wbio(ssl)) > 0)
		return IO_SOME;
	if (BIO_should_retry(SSL_get_wbio(ssl)))
		return IO_BLOCKED;
	*e = (struct io_end) { -errno, err_text(-errno) };
	return IO_END;
}

size_t io_held(SSL *ssl)
{
	return ssl ? BIO_wpending(SSL_get_wbio(ssl)) : 0;
}

bool io_pending(SSL *ssl)
{
	return ssl && (SSL_has_pending(ssl) || BIO_pending(SSL_get_rbio(ssl)) > 0);
}
