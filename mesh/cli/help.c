#include "mesh/cli/verbs.h"
#include <string.h>

struct options {
	struct cli_common common;
	const char *man;
};
static const struct opt_row rows[] = {
	{ "man", NULL, OPT_STRING, offsetof(struct options, man), "VERB|all",
		"print the man page (roff) of a verb, or of all" },
	CLI_ROWS_COMMON(struct options),
};

static int help_run(struct cli *c, const void *options, const char *const *words, int n)
{
	const struct options *o = options;
	const char *name = o->man ? o->man : n ? words[0] : NULL;
	bool all = !name || (o->man && strcmp(name, "all") == 0);
	const struct cli_verb *v = all ? NULL : cli_verb_find(name);
	if (!all && !v)
		return cli_fail(c, CLI_USAGE, "usage", "ropewalk --help lists the verbs.",
			"there is no verb \"%s\"", name);
	if (o->man && all)
		man_page(&cli_program, c->out);
	else if (o->man)
		man_page_verb(&cli_program, &v->man, c->out);
	else if (v)
		man_help_verb(&cli_program, &v->man, c->out);
	else
		man_help(&cli_program, c->out);
	return CLI_OK;
}

const struct cli_verb verb_help = {
	.man = { "help", "[VERB]", "say how ropewalk or a verb of it is used", NULL, rows },
	.options_size = sizeof(struct options),
	.max_words = 1,
	.run = help_run,
};
