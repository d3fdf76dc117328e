/* One invocation of ropewalk against a daemon of the test's own. */
#ifndef RW_CLI_TEST_LINE_H
#define RW_CLI_TEST_LINE_H

#include "mesh/cli/cli.h"
#include "mesh/cli/test/fake_api.h"

struct result {
	int code;
	char *out, *err;
};
/* Runs "ropewalk LINE" (words split at single spaces) against socket. */
struct result run_line(const char *socket, const char *line);
void result_free(struct result *r);

/* What it prints and how it ends. NULL: not looked at; err is a part of what is there. */
struct want {
	const char *line;
	int code;
	const char *out, *err;
};
void check(const struct fake_route *routes, const struct want *rows, size_t n);

#endif
