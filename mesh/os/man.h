/* Help texts and man pages of a program, generated from the same tables that parse its command line. */
#ifndef RW_OS_MAN_H
#define RW_OS_MAN_H

#include "mesh/base/text.h"
#include <stdio.h>

struct man_verb {
	const char *name;	       /* "ping"; NULL ends a table */
	const char *words;	       /* "NAME|IP"; "" = none */
	const char *summary;	       /* one line, lower case, no full stop */
	const char *text;	       /* paragraphs, separated by an empty line; NULL = none */
	const struct opt_row *options; /* NULL = none */
};
struct man_item { /* rows of EXIT STATUS, FILES, ENVIRONMENT; ended by a NULL name */
	const char *name, *text;
};
struct man_program {
	const char *name;
	int section;	     /* 1, 5 or 8 */
	const char *summary; /* one line, lower case, no full stop */
	const char *words;   /* synopsis behind the options: "VERB [OPTIONS]" */
	const char *text;
	/* NULL = none. Of verbs without options of their own those for some alone say so in their help: "verb, verb: ..." */
	const struct opt_row *options;
	const struct man_verb *const *verbs;		    /* NULL = none; ended by NULL */
	const struct man_item *exits, *files, *environment; /* NULL = none */
	const char *see_also;				    /* "ropewalkd(8), simnet(1)"; NULL = none */
	/* Words of its command line that print names and addresses of machines, each of letters, digits and ".:-" alone; NULL =
	 * none. */
	const char *machines;
};

/* What --help prints. */
void man_help(const struct man_program *p, FILE *to);
void man_help_verb(const struct man_program *p, const struct man_verb *v, FILE *to);
/* roff (man macros): the program's page with all verbs, or one verb's own page NAME-VERB. */
void man_page(const struct man_program *p, FILE *to);
void man_page_verb(const struct man_program *p, const struct man_verb *v, FILE *to);

#endif
