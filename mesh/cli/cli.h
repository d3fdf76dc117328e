/* The command line of the node: one invocation is one struct cli and one verb of the table in verbs.c. */
#ifndef RW_CLI_CLI_H
#define RW_CLI_CLI_H

#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include "mesh/os/loop.h"
#include "mesh/os/man.h"
#include <stdbool.h>
#include <stdio.h>

enum cli_exit { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_NOT_RUNNING = 3, CLI_TIMEOUT = 4 };

#define CLI_SOCKET_DEFAULT "/run/ropewalk/ropewalkd.sock"

struct cli {
	struct loop *loop;
	FILE *out, *err;    /* results; everything else */
	const char *socket; /* path of ropewalkd's socket */
	bool json;
	bool terminal; /* err is one: a QR code can be shown */
};

/* The first member of every verb's options. */
struct cli_common {
	const char *socket;
	bool json, help;
};
#define CLI_ROW_SOCKET(type) \
	{ \
		"socket", NULL, OPT_STRING, offsetof(type, common.socket), "PATH", "socket of ropewalkd" \
	}
#define CLI_ROW_JSON(type) \
	{ \
		"json", NULL, OPT_BOOL, offsetof(type, common.json), NULL, "print JSON, errors too" \
	}
#define CLI_ROW_HELP(type) \
	{ \
		"help", "h", OPT_BOOL, offsetof(type, common.help), NULL, "say how this verb is used" \
	}
/* Ends a table. */
#define CLI_ROWS_COMMON(type) \
	CLI_ROW_JSON(type), CLI_ROW_SOCKET(type), CLI_ROW_HELP(type), \
	{ \
		0 \
	}

struct cli_verb {
	struct man_verb man;
	size_t options_size;  /* of the struct that begins with struct cli_common */
	const void *defaults; /* such a struct, or NULL = zero */
	int min_words, max_words;
	int (*run)(struct cli *c, const void *options, const char *const *words, int n); /* enum cli_exit */
};

extern const struct cli_verb *const cli_verbs[];      /* ended by NULL */
extern const struct man_verb *const cli_verb_texts[]; /* the same rows, as the help sees them */
extern const struct man_program cli_program;
const struct cli_verb *cli_verb_find(const char *name); /* NULL: unknown */

/* Parses and runs; the whole program but for setting it up. argv[0] is the program. Returns the exit code. */
int cli_run(struct cli *c, int argc, char **argv);

void cli_pause(struct cli *c, uint64_t ms); /* the loop goes on meanwhile */
/* Says so where the file of a secret is open to every user of the machine. */
void cli_warn_secret(struct cli *c, const char *path);
/* Says what is wrong (and, hint not NULL, what to do), as text or JSON with a stable id. Returns code. */
int cli_fail(struct cli *c, enum cli_exit code, const char *id, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

#endif
