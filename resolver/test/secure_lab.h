/* A server for clients by TLS and by HTTPS on loopback, and one such client, in the server's loop. */
#ifndef RW_RESOLVER_TEST_SECURE_LAB_H
#define RW_RESOLVER_TEST_SECURE_LAB_H

#include "mesh/base/buf.h"
#include "mesh/os/loop.h"
#include "mesh/transport/stream.h"
#include "resolver/listen.h"
#include <nghttp2/nghttp2.h>

enum { SECURE_LAB_LIMIT_MS = 60000, SECURE_LAB_ASKS = 160 };

struct secure_asked {
	int32_t stream;
	unsigned status;
	bool over, dns;
	char age[32];
	struct buf body;
};
struct secure_lab {
	struct loop *loop;
	struct resolver_server *server;
	struct endpoint tls_at, https_at;
	char dir[64], cert[96], key[96];
	struct tls *tls;
	/* the client */
	struct stream *stream;
	nghttp2_session *session; /* by HTTPS */
	struct secure_asked asked[SECURE_LAB_ASKS];
	size_t n_asked, n_over;
	struct buf got;
	bool opened, closed, timed_out;
};

extern struct secure_lab secure_lab; /* of the test that runs */

int secure_lab_setup(void **state);
int secure_lab_setup_hasty(void **state); /* with a server that cuts off slow clients */
/* Slow as the machine may be, it is not for its slowness that a client is cut off. */
int secure_lab_setup_patient(void **state);
int secure_lab_teardown(void **state);

/* The client: connected, or refused, when it returns. */
void secure_lab_connect(const struct endpoint *at, const char *alpn);
void secure_lab_hang_up(void); /* it is a new one */
/* Turns the loop until this is so; fails after SECURE_LAB_LIMIT_MS. */
void secure_lab_until(bool (*done)(void));
bool secure_lab_is_closed(void);

#endif
