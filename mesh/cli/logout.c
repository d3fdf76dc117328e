#include "mesh/cli/api.h"
#include "mesh/cli/ssh_session.h"
#include "mesh/cli/verbs.h"
#include "mesh/cli/wait.h"

struct options {
	struct cli_common common;
	const char *accept_risk, *reason;
};
static const struct opt_row rows[] = { CLI_ROW_REASON(struct options), CLI_ROW_RISK(struct options),
	CLI_ROWS_COMMON(struct options) };

enum { SERVER_MS = 15000 };

static int logout_run(struct cli *c, const void *options, const char *const *words, int n)
{
	const struct options *o = options;
	(void)words;
	(void)n;
	struct api_request r = { .method = "POST", .target = "/localapi/v0/logout", .reason = o->reason };
	int code = api_reason_check(c, o->reason);
	if (code == CLI_OK)
		code = ssh_session_check(c, o->accept_risk, "ropewalk logout");
	if (code == CLI_OK)
		code = api_call(c, &r, NULL, NULL);
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
		"The server forgets the key; the next ropewalk up needs a login or an auth key. Within an "
		"SSH session "
		"that comes through the mesh it is refused.",
		rows },
	.options_size = sizeof(struct options),
	.run = logout_run,
};
