#include "mesh/cli/verbs.h"

/* clang-format off */
#define VERBS(X) \
	X(up) \
	X(login) \
	X(join) \
	X(down) \
	X(logout) \
	X(set) \
	X(get) \
	X(switch) \
	X(status) \
	X(ping) \
	X(ip) \
	X(whois) \
	X(whoami) \
	X(dns) \
	X(netcheck) \
	X(exit_node) \
	X(metrics) \
	X(doctor) \
	X(bugreport) \
	X(wait) \
	X(file) \
	X(debug) \
	X(version) \
	X(completion) \
	X(help)
/* clang-format on */

#define X(name) &verb_##name,
const struct cli_verb *const cli_verbs[] = { VERBS(X) NULL };
#undef X
#define X(name) &verb_##name.man,
const struct man_verb *const cli_verb_texts[] = { VERBS(X) NULL };
#undef X
