/* The real ropewalk-resolver, started with a configuration, and asked by its own command line. */
#ifndef RW_RESOLVER_ALONE_TEST_PROGRAM_H
#define RW_RESOLVER_ALONE_TEST_PROGRAM_H

#include "mesh/base/addr.h"
#include <sys/types.h>

struct program {
	char folder[64]; /* of its own: conf.yaml, socket, log, and what the configuration names */
	pid_t pid;
	struct endpoint dns, page; /* as it says; port 0: none */
};
/* conf: printf with the folder as its only argument, as often as it likes (%1$s). Ends the test when it does not start. */
void program_start(struct program *p, const char *conf);
void program_stop(struct program *p); /* it has to end by itself, with 0; the folder goes */
void program_kill(struct program *p); /* SIGKILL; the folder goes */
int program_ended(struct program *p); /* waits for that, however it comes: as waitpid says; the folder goes */
/* The command line with --socket; its words end with NULL. Standard output and errors come into out. The exit status. */
int program_tell(const struct program *p, char *out, size_t cap, const char *const *words);
/* The same with standard output to this descriptor. */
int program_tell_to(const struct program *p, int to, char *out, size_t cap, const char *const *words);

#endif
