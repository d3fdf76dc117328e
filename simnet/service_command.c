#include "simnet/command.h"

#include <string.h>

#define AT(field) offsetof(struct options, service.field)
const struct opt_row service_rows[] = {
	{ "listen", NULL, OPT_STRING, AT(listen), "ADDRESS:PORT", "where it serves" },
	{ "records", NULL, OPT_STRING, AT(records), "LIST",
		"of dns: \"NAME TYPE VALUE; ...\", types A AAAA CNAME TXT" },
	{ "dns64", NULL, OPT_STRING, AT(dns64), "PREFIX",
		"of dns: answers for IPv6 where a name has IPv4 alone, as 64:ff9b::/96" },
	{ "outer", NULL, OPT_STRING, AT(outer), "ADDRESS", "of portmap: the router's address outside" },
	{ "background", NULL, OPT_BOOL, AT(background), NULL, "return when it serves, and let it go on" },
	{ "faults", NULL, OPT_STRING, AT(faults), "LIST", "what it does wrong, separated by commas" },
	{ "socket", NULL, OPT_STRING, AT(socket), "PATH", "take new faults there" },
	{ "tell", NULL, OPT_STRING, AT(tell), "PATH",
		"tell the service there its faults: one word, '' = none" },
	{ "help", "h", OPT_BOOL, offsetof(struct options, help), NULL, "this text" },
	{ 0 },
};

int service_command(struct command *c)
{
	struct errbuf eb = { 0 };
	int err;

	if (c->n_words != 1)
		return command_error(c->opt.service.tell
					     ? "--tell takes the faults as one word"
					     : "say which: dns, http, proxy, echo, stun or portmap");
	if (!strcmp(c->words[0], "faults") && !c->opt.service.tell) {
		faults_print_help(stdout);
		return EXIT_PASS;
	}
	if (!strcmp(c->words[0], "profiles") && !c->opt.service.tell) {
		faults_print_profiles(stdout);
		return EXIT_PASS;
	}
	if (c->opt.service.tell)
		err = service_tell(&c->opt.service, c->words[0], &eb);
	else
		err = service_run(c->words[0], &c->opt.service, &eb);
	return command_end(err, &eb);
}
