/* The command line's own types. */
#ifndef RW_CONTROL_CLI_H
#define RW_CONTROL_CLI_H

#include "mesh/base/err.h"
#include "mesh/os/man.h"
#include <stdbool.h>
#include <stdint.h>

struct options {
	const char *config, *socket, *user, *tags, *routes, *output;
	uint64_t expiration_ms;
	bool json, lax, reusable, ephemeral, create_user, help, version, man;
};

enum { VERB_WORDS = 3 };
struct verb {
	struct man_verb man;
	const char *words[VERB_WORDS]; /* JSON names of the positional arguments; '#': a number, '?' at the
					  end: optional */
	const char *columns;	       /* of the table; NULL: one line per field */
	/* NULL: ask the server. Returns the exit code. */
	int (*run)(const struct options *o, const char **words, int n, struct errbuf *eb);
};

/* Says what went wrong, as JSON on standard output with --json; returns code. */
int cli_complain(const struct options *o, int code, const char *text);
/* Asks the running server and prints its answer. Returns the exit code. */
int ask_run(const struct options *o, const struct verb *v, const char **words, int n, struct errbuf *eb);

#endif
