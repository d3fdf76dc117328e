/* Does what runs here come in through the mesh? Whoever cuts the mesh then cuts off themselves. */
#ifndef RW_CLI_SSH_SESSION_H
#define RW_CLI_SSH_SESSION_H

#include "mesh/base/addr.h"
#include "mesh/cli/cli.h"

enum { SSH_SESSIONS_MAX = 8 };

/* Own addresses that the SSH sessions came to in which this runs: by own, the value of SSH_CONNECTION (NULL:
 * not set), and that of the processes from parent upwards, as sudo takes it away from its children. proc:
 * "/proc". Returns the count, at most SSH_SESSIONS_MAX. */
size_t ssh_session_addresses(
	const char *own, const char *proc, long parent, struct addr out[static SSH_SESSIONS_MAX]);

#define CLI_ROW_RISK(type) \
	{ \
		"accept-risk", NULL, OPT_STRING, offsetof(type, accept_risk), "lose-ssh", \
			"go on although it ends the SSH session that this comes from" \
	}
/* Before the mesh is cut: CLI_OK, or told. accept: of --accept-risk, or NULL. what: "ropewalk down". */
int ssh_session_check(struct cli *c, const char *accept, const char *what);

#endif
