#include "mesh/os/program_text.h"

#include "mesh/os/completion.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

bool program_text_is_asked(const struct program_text *t)
{
	return t->help || t->man || t->completion || t->version;
}

int program_text_print(const struct program_text *t, const struct man_program *p, const struct man_verb *verb,
	const char *version, struct errbuf *eb)
{
	if (t->help && verb)
		man_help_verb(p, verb, stdout);
	else if (t->help)
		man_help(p, stdout);
	else if (t->man)
		man_page(p, stdout);
	else if (t->completion)
		return completion_print(p, t->completion, stdout, eb);
	else
		printf("%s\n", version);
	return 0;
}

int program_text_end(const char *program, int code, int failed)
{
	errno = 0;
	if ((fflush(stdout) == 0 && !ferror(stdout)) || code != 0)
		return code;
	/* Why an earlier write failed is not known any more. */
	fprintf(stderr, "%s: what it prints cannot be written%s%s\n", program, errno ? ": " : "",
		errno ? strerror(errno) : "");
	return failed;
}
