/* The running server: the rooms put together, with the loop, the clock and the signals. */
#ifndef RW_CONTROL_SERVER_H
#define RW_CONTROL_SERVER_H

#include "mesh/base/err.h"
#include "mesh/os/loop.h"
#include <stdbool.h>

/* Serves until a signal; the exit status of the program. config: path. */
int server_run(const char *config, bool json);

/* The same in somebody else's process, which keeps its rights and runs the loop. NULL with the sentence. */
struct server;
struct server *server_open(const char *config, struct errbuf *eb);
struct loop *server_loop(struct server *s);
void server_close(struct server *s); /* NULL is fine */

#endif
