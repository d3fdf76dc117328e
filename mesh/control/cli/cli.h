/* The command line's own types. */
#ifndef RW_CONTROL_CLI_H
#define RW_CONTROL_CLI_H

#include "mesh/base/err.h"
#include "mesh/os/man.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct options {
	const char *config, *socket, *user, *tags, *routes, *output, *completion, *if_match, *at, *noise_key,
		*name;
	uint64_t expiration_ms;
	bool json, lax, yes, reusable, ephemeral, create_user, help, version, man;
};

#define LIFETIME_NOT_SAID UINT64_MAX
enum { VERB_WORDS = 3 };
struct verb {
	struct man_verb man;
	const char *words[VERB_WORDS]; /* JSON names of the positional arguments; '#': a number, '?' at the
					  end: optional */
	const char *columns;	       /* of the table; NULL: one line per field */
	uint64_t lifetime_ms;	       /* of what it makes, when --expiration says none */
	/* NULL: ask the server. Returns the exit code. */
	int (*run)(const struct options *o, const char **words, int n, struct errbuf *eb);
};
int invite_run(const struct options *o, const char **words, int n, struct errbuf *eb);
int admins_run_create(const struct options *o, const char **words, int n, struct errbuf *eb);
int admins_run_password(const struct options *o, const char **words, int n, struct errbuf *eb);
int policy_run_check(const struct options *o, const char **words, int n, struct errbuf *eb);
int policy_run_test(const struct options *o, const char **words, int n, struct errbuf *eb);
int policy_run_get(const struct options *o, const char **words, int n, struct errbuf *eb);
int policy_run_set(const struct options *o, const char **words, int n, struct errbuf *eb);
int policy_run_reach(const struct options *o, const char **words, int n, struct errbuf *eb);
int policy_run_history(const struct options *o, const char **words, int n, struct errbuf *eb);

/* Says what went wrong, as JSON on standard output with --json; returns code. */
int cli_complain(const struct options *o, int code, const char *text);
/* Takes over what Headscale keeps. Returns the exit code. */
int import_run(const struct options *o, const char **words, int n, struct errbuf *eb);
/* The sentence for whom nobody answers on socket. */
void ask_not_running(const char *socket, char *text, size_t cap);
void cli_print_json(const json_t *answer); /* on a line of its own */
/* A list of objects; columns: names of members, the blank between. */
void cli_print_table(const json_t *list, const char *columns);
/* Asks the running server for /v1/what with args, which is taken. 0 and *answer, or an exit code: said. */
int ask_call(const struct options *o, const char *what, json_t *args, json_t **answer, struct errbuf *eb);
/* Asks the running server and prints its answer. Returns the exit code. */
int ask_run(const struct options *o, const struct verb *v, const char **words, int n, struct errbuf *eb);

#endif
