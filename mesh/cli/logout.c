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
	struct api_request r = { .method = "POST", .target = "/localapi/v0/logout" };
	return api_call(c, &r, NULL, NULL);
}

const struct cli_verb verb_logout = {
	.man = { "logout", "", "leave the network and give up this machine's key",
		"The server forgets the key; the next ropewalk up needs a login or an auth key.", rows },
	.options_size = sizeof(struct options),
	.run = run,
};
