#include "mesh/cli/api.h"
#include "mesh/cli/ssh_session.h"
#include "mesh/cli/verbs.h"

struct options {
	struct cli_common common;
	const char *accept_risk, *reason;
};
static const struct opt_row rows[] = { CLI_ROW_REASON(struct options), CLI_ROW_RISK(struct options),
	CLI_ROWS_COMMON(struct options) };

static int down_run(struct cli *c, const void *options, const char *const *words, int n)
{
	const struct options *o = options;
	(void)words;
	(void)n;
	struct api_prefs p = { .want_running = false };
	struct api_prefs_mask mask = { .want_running = true };
	int code = api_reason_check(c, o->reason);
	if (code == CLI_OK)
		code = ssh_session_check(c, o->accept_risk, "ropewalk down");
	return code == CLI_OK ? api_prefs_set_for(c, &p, &mask, o->reason) : code;
}

const struct cli_verb verb_down = {
	.man = { "down", "", "leave the network, stay logged in",
		"The interface, routes and DNS settings go away; ropewalk up brings them back. Doing it "
		"twice is not an error. Within an SSH session that comes through the mesh it is refused.",
		rows },
	.options_size = sizeof(struct options),
	.run = down_run,
};
