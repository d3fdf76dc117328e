/* The preferences of a machine as options: of up, which sets them on the way, and of set. */
#ifndef RW_CLI_PREF_OPTIONS_H
#define RW_CLI_PREF_OPTIONS_H

#include "mesh/cli/cli.h"
#include "mesh/cli/exit_options.h"

struct pref_options { /* NULL and 0: not given */
	const char *hostname, *operator_user, *advertise_routes, *advertise_tags, *routes_prefer;
	int accept_dns, accept_routes, snat, stateful, shields_up; /* OPT_GIVEN_BOOL */
	const char *netfilter;
	struct exit_options exit;
};
/* For a struct with a member `prefs`. */
#define CLI_ROWS_PREFS(type) \
	{ "hostname", NULL, OPT_STRING, offsetof(type, prefs.hostname), "NAME", \
		"name of this machine in the network" }, \
		{ "accept-dns", NULL, OPT_GIVEN_BOOL, offsetof(type, prefs.accept_dns), NULL, \
			"let the network set the DNS of this machine (true at first)" }, \
		{ "accept-routes", NULL, OPT_GIVEN_BOOL, offsetof(type, prefs.accept_routes), NULL, \
			"reach the networks that other machines carry (false at first)" }, \
		{ "advertise-routes", NULL, OPT_STRING, offsetof(type, prefs.advertise_routes), "NET,NET", \
			"networks behind this machine to carry for others, such as 192.168.1.0/24; \"\" " \
			"for none" }, \
		{ "snat-subnet-routes", NULL, OPT_GIVEN_BOOL, offsetof(type, prefs.snat), NULL, \
			"what comes from the mesh for those networks gets this machine's address (true at " \
			"first)" }, \
		{ "stateful-filtering", NULL, OPT_GIVEN_BOOL, offsetof(type, prefs.stateful), NULL, \
			"hosts of those networks only answer, and begin nothing (true at first)" }, \
		{ "routes-prefer", NULL, OPT_STRING, offsetof(type, prefs.routes_prefer), "lan|mesh", \
			"who wins where another machine carries a network that this one is in (lan at " \
			"first)" }, \
		{ "shields-up", NULL, OPT_GIVEN_BOOL, offsetof(type, prefs.shields_up), NULL, \
			"let nothing in that this machine has not asked for, whatever the network's rules " \
			"say (false at first)" }, \
		{ "netfilter-mode", NULL, OPT_STRING, offsetof(type, prefs.netfilter), "on|off", \
			"off: make no rules of nftables; what they are for is then yours (on at first)" }, \
		CLI_ROWS_EXIT(type), \
	{ \
		"operator", NULL, OPT_STRING, offsetof(type, prefs.operator_user), "USER", \
			"a user who may use up, down and logout without being root; remembered, \"\" for " \
			"nobody" \
	}

/* Of what joins: the network gives tags at a login alone. */
#define CLI_ROW_TAGS(type) \
	{ \
		"advertise-tags", NULL, OPT_STRING, offsetof(type, prefs.advertise_tags), "TAG,TAG", \
			"be tag:NAME of the network's access rules, not a user's machine, where they let " \
			"the user; others than before take a new login, \"\" for none" \
	}

bool pref_options_given(const struct pref_options *o);
/* What is not given becomes what it is of a machine that nobody has set. */
void pref_options_reset(struct pref_options *o);
/* *need: --advertise-tags names others than are kept in now, and than this machine has, of one that is logged in. CLI_OK, or told. */
int pref_options_need_login(
	struct cli *c, const struct pref_options *o, const struct api_prefs *now, bool *need);
/* Those that were given, and the server's URL (NULL: not) with its key ("mkey:..."; NULL: not known). Nothing given: nothing
 * is asked. CLI_OK, or told. */
int pref_options_set(
	struct cli *c, const struct pref_options *o, const char *login_server, const char *server_key);

#endif
