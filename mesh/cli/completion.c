#include "mesh/os/completion.h"
#include "mesh/cli/api.h"
#include "mesh/cli/verbs.h"
#include <string.h>

struct options {
	struct cli_common common;
};
static const struct opt_row rows[] = {
	CLI_ROWS_COMMON(struct options),
};

/* A shell expands what it is told: nothing that is no letter of a name goes there, whatever a server calls its machines. */
static void print_machine(struct cli *c, const struct api_peer *p)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	char text[ADDR_TEXT];
	size_t n = strcspn(p->dns_name, ".");
	if (n && strspn(p->dns_name, letters) == n)
		fprintf(c->out, "%.*s\n", (int)n, p->dns_name);
	for (size_t i = 0; i < p->n_ips; i++)
		fprintf(c->out, "%s\n", addr_format(&p->ips[i], text));
}

static int print_machines(struct cli *c)
{
	struct arena a = { 0 };
	struct api_status s;
	int code = api_status(c, &a, &s);
	for (size_t i = 0; code == CLI_OK && i < s.n_peers; i++)
		print_machine(c, &s.peers[i]);
	arena_free(&a);
	return code;
}

static int completion_run(struct cli *c, const void *options, const char *const *words, int n)
{
	struct errbuf eb = { 0 };
	(void)options, (void)n;
	if (strcmp(words[0], "machines") == 0)
		return print_machines(c);
	if (completion_print(&cli_program, words[0], c->out, &eb))
		return cli_fail(c, CLI_USAGE, "usage", "ropewalk completion --help says how it is used.",
			"%s", eb.text);
	return CLI_OK;
}

const struct cli_verb verb_completion = {
	.man = { "completion", "bash|zsh|fish | machines",
		"print what a shell completes this command line with",
		"bash: put it into /usr/share/bash-completion/completions/ropewalk, or source it. zsh: a "
		"file _ropewalk "
		"in a folder of $fpath. fish: /usr/share/fish/vendor_completions.d/ropewalk.fish. "
		"machines prints what they offer where a machine is meant: names and addresses of the "
		"others.",
		rows },
	.options_size = sizeof(struct options),
	.min_words = 1,
	.max_words = 1,
	.run = completion_run,
};
