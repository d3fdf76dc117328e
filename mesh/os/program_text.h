/* The options of a program that print a text about it and end. */
#ifndef RW_OS_PROGRAM_TEXT_H
#define RW_OS_PROGRAM_TEXT_H

#include "mesh/os/man.h"
#include <stdbool.h>
#include <stddef.h>

struct errbuf;

struct program_text { /* a member of the program's options */
	bool help, version, man;
	const char *completion;
};
/* Rows of struct opt_row for all but help, whose place and words are each program's own. at: of the member. */
#define PROGRAM_TEXT_ROWS(at) \
	{ "version", "V", OPT_BOOL, (at) + offsetof(struct program_text, version), NULL, \
		"print the version" }, \
		{ "man", NULL, OPT_BOOL, (at) + offsetof(struct program_text, man), NULL, \
			"print the man page (roff)" }, \
	{ \
		"completion", NULL, OPT_STRING, (at) + offsetof(struct program_text, completion), \
			"bash|zsh|fish", "print what that shell completes this program's command line with" \
	}

bool program_text_is_asked(const struct program_text *t);
/* Prints what is asked for to standard output; help of the verb, where it is not NULL. version: the line. */
int program_text_print(const struct program_text *t, const struct man_program *p, const struct man_verb *verb,
	const char *version, struct errbuf *eb);
/* The end of a command that has printed to standard output: its exit code, or failed when that was to be 0 and not all that
 * it printed can be written, as on a full disk, which is then said. */
int program_text_end(const char *program, int code, int failed);

#endif
