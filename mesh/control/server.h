/* The running server: the rooms put together, with the loop, the clock and the signals. */
#ifndef RW_CONTROL_SERVER_H
#define RW_CONTROL_SERVER_H

#include <stdbool.h>

/* Serves until a signal; the exit status of the program. config: path. */
int server_run(const char *config, bool json);

#endif
