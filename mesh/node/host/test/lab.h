/* A machine for tests of what the node tells it, in namespaces of its own: "host" with an interface into the
 * mesh (rope0), one to a network around it (eth0), and a bridge of containers (cbr0); at the other ends
 * "mesh", "lan" and "box". All v4 and v6; the host's addresses around it are 10.9.0.2, fd09::2, on the bridge
 * 172.17.0.1, fd17::1. */
#ifndef RW_NODE_HOST_TEST_LAB_H
#define RW_NODE_HOST_TEST_LAB_H

#include "mesh/base/addr.h"
#include "mesh/os/loop.h"
#include <stdbool.h>

enum lab_place { LAB_HOST, LAB_MESH, LAB_LAN, LAB_BOX, LAB_PLACES };

/* For main(): false, and said, where this kernel gives no namespaces or the machine has no nft. */
bool lab_available(void);
/* false: it could not be built. The calling thread is in the host's afterwards. */
bool lab_open(void);
void lab_close(void);
void lab_enter(enum lab_place place); /* sockets are made where the thread is */

/* Runs a shell line in that place; fails the test when it fails. */
void lab_run(enum lab_place place, const char *line);
/* Addresses that were added there hold: the kernel makes an IPv6 address reachable a moment later, from a queue
 * of its own. */
void lab_settle(enum lab_place place);
/* A UDP socket of the host that takes everything at this port, of both families. */
int lab_listen(uint16_t port);
/* A datagram of one byte. */
void lab_send(enum lab_place from, const char *source, const char *to, uint16_t port, char mark);
/* Does a datagram from this source, which may be forged, reach the listener? Decided without waiting: one
 * that is allowed follows it on the same way, from `after`. */
bool lab_reaches(int listener, enum lab_place from, const char *source, const char *to, uint16_t port);
/* Turns the loop until the shell line succeeds in the host; fails the test when it never does. */
void lab_await(struct loop *l, const char *line);

#endif
