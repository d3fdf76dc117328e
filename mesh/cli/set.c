#include "mesh/cli/pref_options.h"
#include "mesh/cli/verbs.h"

struct options {
	struct cli_common common;
	struct pref_options prefs;
};
static const struct opt_row rows[] = { CLI_ROWS_PREFS(struct options), CLI_ROWS_COMMON(struct options) };

static int set_run(struct cli *c, const void *options, const char *const *words, int n)
{
	(void)words;
	(void)n;
	const struct options *o = options;
	if (!pref_options_given(&o->prefs))
		return cli_fail(c, CLI_USAGE, "usage",
			"ropewalk set --help lists the options, ropewalk get the values.",
			"set: no preference is named");
	return pref_options_set(c, &o->prefs, NULL, NULL);
}

const struct cli_verb verb_set = {
	.man = { "set", "", "change preferences of this machine",
		"Those that are named, and no others; in the network or not, it stays where it is. ropewalk "
		"get shows them.",
		rows },
	.options_size = sizeof(struct options),
	.run = set_run,
};
