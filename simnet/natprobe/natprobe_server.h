/* A server of `simnet probe`: answers from where it is asked, from its next port, and through the other server.
 * One call serves both protocols; an answer is as long as its question, and goes to whoever asked, or to whom the
 * other server names. */
#ifndef SIMNET_NATPROBE_SERVER_H
#define SIMNET_NATPROBE_SERVER_H

#include "mesh/base/err.h"
#include "mesh/os/loop.h"
#include "simnet/natprobe/natprobe_wire.h"

enum { NATPROBE_PENDING_MAX = 4096 }; /* answers that wait for their time; more are lost */
struct natprobe_server;
/* at: its address and first port; other: the same of the other server, port 0 = none. NULL with eb. */
struct natprobe_server *natprobe_server_open(
	struct loop *l, const struct endpoint *at, const struct endpoint *other, struct errbuf *eb);
void natprobe_server_close(struct natprobe_server *s); /* NULL is fine */

#endif
