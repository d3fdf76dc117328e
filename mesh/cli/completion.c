#include "mesh/os/completion.h"
#include "mesh/cli/verbs.h"

struct options {
	struct cli_common common;
};
static const struct opt_row rows[] = {
	CLI_ROWS_COMMON(struct options),
};

static int completion_run(struct cli *c, const void *options, const char *const *words, int n)
{
	struct errbuf eb = { 0 };
	(void)options, (void)n;
	if (completion_print(&cli_program, words[0], c->out, &eb))
		return cli_fail(c, CLI_USAGE, "usage", "ropewalk completion --help says how it is used.",
			"%s", eb.text);
	return CLI_OK;
}

const struct cli_verb verb_completion = {
	.man = { "completion", "bash|zsh|fish", "print what a shell completes this command line with",
		"bash: put it into /usr/share/bash-completion/completions/ropewalk, or source it. zsh: a "
		"file _ropewalk "
		"in a folder of $fpath. fish: /usr/share/fish/vendor_completions.d/ropewalk.fish.",
		rows },
	.options_size = sizeof(struct options),
	.min_words = 1,
	.max_words = 1,
	.run = completion_run,
};
