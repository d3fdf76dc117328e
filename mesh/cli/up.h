/* Joining a network and waiting until it is usable: what up, login and join do. */
#ifndef RW_CLI_UP_H
#define RW_CLI_UP_H

#include "mesh/cli/cli.h"
#include "mesh/cli/pref_options.h"
#include "mesh/cli/ssh_session.h"

struct up_options { /* NULL and 0: not given */
	struct cli_common common;
	struct pref_options prefs;
	const char *login_server, *auth_key;
	const char *
		server_key; /* "mkey:...", of an invitation, whose auth_key is the key itself, never file:PATH */
	uint64_t timeout_ms;
	bool qr, force_reauth, reset;
	const char *accept_risk, *qr_format;
};
#define CLI_ROWS_UP_END \
	CLI_ROW_TAGS(struct up_options), CLI_ROW_RISK(struct up_options), \
	{ \
		"timeout", NULL, OPT_DURATION_MS, offsetof(struct up_options, timeout_ms), "TIME", \
			"give up after this long (exit 4; default: wait)" \
	}

/* enum cli_exit; what went wrong is told. */
int up_join(struct cli *c, const struct up_options *o);

#endif
