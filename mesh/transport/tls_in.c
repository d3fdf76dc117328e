#include "mesh/transport/tls_in.h"
#include "mesh/base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { AHEAD = 64 << 10 };

struct tls_in {
	int fd;
	bool ahead;
	struct buf kept; /* sealed records, and pieces of such */
};

/* Bytes for p; what comes behind them is kept. As read(2), and errno. */
static ssize_t read_socket(struct tls_in *in, char *p, size_t len)
{
	uint8_t *room = in->ahead ? buf_room(&in->kept, AHEAD) : NULL;
	struct iovec to[2] = { { p, len }, { room, room ? AHEAD : 0 } };
	ssize_t n = readv(in->fd, to, room ? 2 : 1);
	if (n > 0 && (size_t)n > len)
		buf_grown(&in->kept, (size_t)n - len);
	else
		buf_free(&in->kept); /* idle sessions hold none */
	return n > 0 && (size_t)n > len ? (ssize_t)len : n;
}

static int in_read(BIO *b, char *p, int len)
{
	struct tls_in *in = BIO_get_data(b);
	BIO_clear_flags(b, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY | BIO_FLAGS_IN_EOF);
	if (len <= 0)
		return 0;
	if (in->kept.len) {
		size_t n = in->kept.len < (size_t)len ? in->kept.len : (size_t)len;
		memcpy(p, buf_data(&in->kept), n);
		buf_consume(&in->kept, n);
		return (int)n;
	}
	errno = 0;
	ssize_t n = read_socket(in, p, (size_t)len);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		BIO_set_retry_read(b);
	else if (n == 0)
		BIO_set_flags(b, BIO_FLAGS_IN_EOF);
	return (int)n;
}

static long in_ctrl(BIO *b, int what, long n, void *p)
{
	const struct tls_in *in = BIO_get_data(b);
	(void)n;
	(void)p;
	switch (what) {
	case BIO_CTRL_EOF: return BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0;
	case BIO_CTRL_PENDING: return (long)in->kept.len;
	default: return 0;
	}
}

static int in_destroy(BIO *b)
{
	struct tls_in *in = BIO_get_data(b);
	if (in)
		buf_free(&in->kept);
	free(in);
	return 1;
}

BIO_METHOD *tls_in_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "TLS, ahead");
	bool ok = m && BIO_meth_set_read(m, in_read) && BIO_meth_set_ctrl(m, in_ctrl) &&
		  BIO_meth_set_destroy(m, in_destroy);
	if (ok)
		return m;
	BIO_meth_free(m);
	return NULL;
}

bool tls_in_set(SSL *ssl, const BIO_METHOD *m, int fd)
{
	struct tls_in *in = calloc(1, sizeof(*in));
	BIO *b = in ? BIO_new(m) : NULL;
	if (!b) {
		free(in);
		return false;
	}
	in->fd = fd;
	BIO_set_data(b, in);
	BIO_set_init(b, 1);
	SSL_set0_rbio(ssl, b);
	return true;
}

void tls_in_ahead(SSL *ssl)
{
	struct tls_in *in = BIO_get_data(SSL_get_rbio(ssl));
	in->ahead = true;
}
