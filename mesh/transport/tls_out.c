#include "mesh/transport/tls_out.h"
#include "mesh/base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
	HELD_MAX = 64 << 10, /* and one record more */
	RECORD_MAX = 17 << 10,
};

struct tls_out {
	int fd;
	bool last; /* the next record is */
	struct buf held;
};

/* false: the socket takes no more, and BIO_should_retry; or errno says what is wrong with it. */
static bool send_held(BIO *b)
{
	struct tls_out *o = BIO_get_data(b);
	BIO_clear_retry_flags(b);
	while (o->held.len) {
		ssize_t n = send(o->fd, buf_data(&o->held), o->held.len, MSG_NOSIGNAL);
		if (n < 0) {
			if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
				BIO_set_retry_write(b);
			return false;
		}
		buf_consume(&o->held, (size_t)n);
	}
	buf_free(&o->held); /* idle sessions hold none */
	return true;
}

/* What is held, and p behind it, by one call; how many bytes of p left. What is wrong with the socket is for send_held to
 * find. */
static size_t send_last(struct tls_out *o, const char *p, size_t len)
{
	struct iovec iov[2] = { { buf_data(&o->held), o->held.len }, { (char *)(uintptr_t)p, len } };
	const struct msghdr m = { .msg_iov = iov + !o->held.len, .msg_iovlen = 1 + (o->held.len > 0) };
	ssize_t n = sendmsg(o->fd, &m, MSG_NOSIGNAL);
	if (n <= 0)
		return 0;
	size_t held = (size_t)n < o->held.len ? (size_t)n : o->held.len;
	buf_consume(&o->held, held);
	if (!o->held.len)
		buf_free(&o->held);
	return (size_t)n - held;
}

static int out_write(BIO *b, const char *p, int len)
{
	struct tls_out *o = BIO_get_data(b);
	if (o->held.len >= HELD_MAX && !send_held(b))
		return -1;
	BIO_clear_retry_flags(b);
	size_t left = (size_t)len - (o->last ? send_last(o, p, (size_t)len) : 0);
	if (!left)
		return len;
	if (!o->held.len)
		(void)buf_room(&o->held, HELD_MAX + RECORD_MAX); /* at once, not by doubling */
	if (buf_append(&o->held, p + len - left, left))
		return len;
	errno = ENOMEM;
	return -1;
}

static long out_ctrl(BIO *b, int what, long n, void *p)
{
	struct tls_out *o = BIO_get_data(b);
	(void)n;
	(void)p;
	switch (what) {
	case BIO_CTRL_FLUSH: return send_held(b) ? 1 : -1;
	case BIO_CTRL_WPENDING: return (long)o->held.len;
	default: return 0;
	}
}

static int out_destroy(BIO *b)
{
	struct tls_out *o = BIO_get_data(b);
	if (o)
		buf_free(&o->held);
	free(o);
	return 1;
}

BIO_METHOD *tls_out_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "TLS, joined");
	bool ok = m && BIO_meth_set_write(m, out_write) && BIO_meth_set_ctrl(m, out_ctrl) &&
		  BIO_meth_set_destroy(m, out_destroy);
	if (ok)
		return m;
	BIO_meth_free(m);
	return NULL;
}

void tls_out_last(SSL *ssl, bool last)
{
	struct tls_out *o = BIO_get_data(SSL_get_wbio(ssl));
	o->last = last;
}

bool tls_out_set(SSL *ssl, const BIO_METHOD *m, int fd)
{
	struct tls_out *o = calloc(1, sizeof(*o));
	BIO *b = o ? BIO_new(m) : NULL;
	if (!b) {
		free(o);
		return false;
	}
	o->fd = fd;
	BIO_set_data(b, o);
	BIO_set_init(b, 1);
	SSL_set0_wbio(ssl, b);
	return true;
}
