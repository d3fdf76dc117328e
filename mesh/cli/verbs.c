#include "mesh/cli/verbs.h"

#define VERBS(X) \
	X(up) X(down) X(logout) X(status) X(ping) X(ip) X(whois) X(dns) X(netcheck) X(wait) X(version) X(help)

#define X(name) &verb_##name,
const struct cli_verb *const cli_verbs[] = { VERBS(X) NULL };
#undef X
#define X(name) &verb_##name.man,
const struct man_verb *const cli_verb_texts[] = { VERBS(X) NULL };
#undef X
