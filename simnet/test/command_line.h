/* A folder with files, and the program as people call it there. For tests. */
#ifndef SIMNET_TEST_COMMAND_LINE_H
#define SIMNET_TEST_COMMAND_LINE_H

#include "mesh/base/buf.h"

struct command_line_file {
	const char *name, *text;
};
/* Makes the folder; -1 where programs are not known. */
int command_line_open(const struct command_line_file *files, size_t n);
int command_line_close(void);
/* The exit code of a shell command in the folder, whose outputs go to said. */
int command_line_run(const char *command, struct buf *said);
/* Fails the test unless it ends with code and says so. */
void command_line_expect(const char *command, int code, const char *says);
/* Skips the test on a machine that can run no scenario. */
void command_line_needs_namespaces(void);

#endif
