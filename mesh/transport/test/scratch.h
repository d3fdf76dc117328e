/* A temporary folder with a self-signed certificate, for the tests of this room. */
#ifndef RW_TRANSPORT_TEST_SCRATCH_H
#define RW_TRANSPORT_TEST_SCRATCH_H

#include "mesh/transport/stream.h"

struct scratch {
	char dir[64], cert[96], key[96], sock[96], pin[80];
};
void scratch_init(struct scratch *s); /* certificate for "relay.test" and 127.0.0.1 */
void scratch_fini(struct scratch *s);
/* A listening TCP socket on loopback; *at says where. */
int scratch_listen(struct endpoint *at);
struct tls *scratch_server(const struct scratch *s);

#endif
