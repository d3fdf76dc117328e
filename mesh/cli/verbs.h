/* One file per verb; each defines its row. */
#ifndef RW_CLI_VERBS_H
#define RW_CLI_VERBS_H

#include "mesh/cli/cli.h"

/* clang-format off */
extern const struct cli_verb
	verb_up,
	verb_login,
	verb_join,
	verb_down,
	verb_logout,
	verb_set,
	verb_get,
	verb_switch,
	verb_status,
	verb_ping,
	verb_ip,
	verb_whois,
	verb_whoami,
	verb_dns,
	verb_netcheck,
	verb_exit_node,
	verb_metrics,
	verb_doctor,
	verb_bugreport,
	verb_wait,
	verb_file,
	verb_debug,
	verb_version,
	verb_completion,
	verb_help;
/* clang-format on */

#endif
