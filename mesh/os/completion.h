/* Shell completion of a program's verbs and options, from the tables that parse its command line. */
#ifndef RW_OS_COMPLETION_H
#define RW_OS_COMPLETION_H

#include "mesh/os/man.h"

struct errbuf;

/* Writes the script for "bash", "zsh" or "fish"; it is sourced, or put where the shell looks for such files.
 * ERR_MALFORMED, and nothing written, for another shell. */
int completion_print(const struct man_program *p, const char *shell, FILE *to, struct errbuf *eb);

#endif
