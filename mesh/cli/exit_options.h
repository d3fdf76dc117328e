/* Exits as options, of up and of whatever sets preferences: to be one, and to use one. */
#ifndef RW_CLI_EXIT_OPTIONS_H
#define RW_CLI_EXIT_OPTIONS_H

#include "mesh/cli/cli.h"
#include "mesh/proto/localapi.h"

struct exit_options { /* NULL and 0: not given */
	const char *use;
	int offer, allow_lan; /* OPT_GIVEN_BOOL */
};
/* For a struct with a member `prefs.exit`. */
#define CLI_ROWS_EXIT(type) \
	{ "advertise-exit-node", NULL, OPT_GIVEN_BOOL, offsetof(type, prefs.exit.offer), NULL, \
		"let others send all that they say to the internet by this machine (false at first)" }, \
		{ "exit-node", NULL, OPT_STRING, offsetof(type, prefs.exit.use), "NAME|IP", \
			"send all that this machine says to the internet by that one; \"\" for none" }, \
	{ \
		"exit-node-allow-lan-access", NULL, OPT_GIVEN_BOOL, offsetof(type, prefs.exit.allow_lan), \
			NULL, "reach private networks around this machine all the same (false at first)" \
	}

bool exit_options_offered(const struct api_prefs *p); /* the machine offers to be one */
/* An exit that is named must be one, as far as the daemon knows. CLI_OK, or told. */
int exit_options_check(struct cli *c, const struct exit_options *o);
/* Sets what was given; offered: whether it was before --advertise-routes, which leaves that as it is. */
int exit_options_set(struct cli *c, const struct exit_options *o, bool offered);

#endif
