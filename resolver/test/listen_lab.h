/* A server on loopback with real sockets, and another as its upstream. Plain clients in the test's thread ask, between turns
 * of the loop. */
#ifndef RW_RESOLVER_TEST_LISTEN_LAB_H
#define RW_RESOLVER_TEST_LISTEN_LAB_H

#include "mesh/os/loop.h"
#include "resolver/listen.h"
#include "resolver/message.h"

struct listen_lab {
	struct loop *loop;
	struct resolver_server *server, *upstream;
	struct endpoint at;
	int hooked;
	int client;
	size_t got_len;
	uint8_t got[DNS_MESSAGE_MAX];
	size_t want; /* stop when this many bytes are in got */
	bool eof, timed_out;
};

extern struct listen_lab lab; /* of the test that runs */

enum { LISTEN_LAB_SHORT_MS = 100 };   /* of a server that cuts off slow clients */
enum { LISTEN_LAB_LIMIT_MS = 60000 }; /* of what never comes */

int listen_lab_setup(void **state);
int listen_lab_setup_hasty(void **state); /* with a server that cuts off slow clients */
int listen_lab_teardown(void **state);
/* A server that knows one name; tcp_ms: how long it waits for a client, 0: as any. */
struct resolver_server *listen_lab_server(const char *name, const char *ip, uint32_t tcp_ms);
void listen_lab_route(const struct endpoint *at); /* all that the server does not know goes there */

void listen_lab_client(int type); /* a new one, connected: SOCK_DGRAM or SOCK_STREAM */
/* Turns the loop until it heard `want` bytes (or the end, with want 0); fails after LISTEN_LAB_LIMIT_MS. */
void listen_lab_wait(size_t want);
/* Of the message at this place of what it heard. */
unsigned listen_lab_rcode(size_t at);
unsigned listen_lab_answers(size_t at);
/* A question as TCP carries it; its length. */
size_t listen_lab_frame(uint8_t *buf, const char *name, uint16_t type);

#endif
