#include "mesh/os/program_text.h"

#include "mesh/os/completion.h"
#include <stdio.h>

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
