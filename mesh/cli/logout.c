#include "mesh/cli/api.h"
#include "mesh/cli/verbs.h"
#include "mesh/cli/wait.h"

struct options {
	struct cli_common common;
};
static const struct opt_row rows[] = { CLI_ROWS_COMMON(struct options) };

enum { SERVER_MS = 15000 };

static int run(struct cli *c, const void *options, const char *const *words, int n)
{
	(void)options;
	(void)words;
	(void)n;
	struct api_request r = { .method = "POST", .target = "/localapi/v0/logout" };
	int code = api_call(c, &r, NULL, NULL);
	if (code == CLI_OK) /* the server is told first */
		code = wait_for_state(c, STATE_NEEDS_LOGIN, SERVER_MS);
	if (code == CLI_TIMEOUT)
		cli_fail(c, code, "timeout",
			"ropewalkd goes on trying; ropewalk status says when it is done.",
			"the control server was not told in time that this machine leaves");
	return code;
}

const struct cli_verb verb_logout = {
	.man = { "logout", "", "leave the network and give up this machine's key",
		"The server forgets the key; the next ropewalk up needs a login or an auth key.", rows },
	.options_size = sizeof(struct options),
	.run = run,
};
