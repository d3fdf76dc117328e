/* The control socket: what the program's own command line asks of the resolver that runs. HTTP over a socket of the
 * machine that its owner and root alone may connect to; answers are JSON, refusals a line of text. */
#ifndef RW_RESOLVER_ALONE_CONTROL_H
#define RW_RESOLVER_ALONE_CONTROL_H

#include "resolver/alone/running.h"

#define CONTROL_SOCKET "/run/ropewalk-resolver/control.sock"
struct control;
/* NULL with a sentence. s outlives it. */
struct control *control_open(struct running *s, const char *path, struct errbuf *eb);
void control_close(struct control *c); /* NULL is fine */

#endif
