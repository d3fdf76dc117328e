/* One file per verb; each defines its row. */
#ifndef RW_CLI_VERBS_H
#define RW_CLI_VERBS_H

#include "mesh/cli/cli.h"

extern const struct cli_verb verb_up, verb_down, verb_logout, verb_status, verb_ping, verb_ip, verb_whois,
	verb_dns, verb_netcheck, verb_wait, verb_version, verb_help;

#endif
