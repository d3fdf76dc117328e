#include "mesh/cli/api.h"
#include "mesh/cli/verbs.h"

struct options {
	struct cli_common common;
};
static const struct opt_row rows[] = { CLI_ROWS_COMMON(struct options) };

static int run(struct cli *c, const void *options, const char *const *words, int n)
{
	(void)options;
	(void)words;
	(void)n;
	struct api_prefs p = { .want_running = false };
	struct api_prefs_mask mask = { .want_running = true };
	return api_prefs_set(c, &p, &mask);
}

const struct cli_verb verb_down = {
	.man = { "down", "", "leave the network, stay logged in",
		"The interface, routes and DNS settings go away; ropewalk up brings them back. Doing it "
		"twice is not an error.",
		rows },
	.options_size = sizeof(struct options),
	.run = run,
};
