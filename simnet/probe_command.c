#include "simnet/command.h"

#define AT(field) offsetof(struct options, probe.field)
const struct opt_row probe_rows[] = {
	{ "servers", NULL, OPT_STRING, AT(servers), "A:PORT,B:PORT", "ask these two, at two addresses" },
	{ "lifetime", NULL, OPT_DURATION_MS, AT(lifetime_ms), "TIME",
		"also find how long a UDP mapping lives, up to this (at most 128s); takes as long" },
	{ "json", NULL, OPT_BOOL, offsetof(struct options, json), NULL,
		"print a line of JSON, not a stanza" },
	{ "server", NULL, OPT_STRING, AT(listen), "ADDRESS:PORT", "be a server; it uses the next port too" },
	{ "other", NULL, OPT_STRING, AT(other), "ADDRESS:PORT",
		"the other server, for answers from elsewhere" },
	{ "help", "h", OPT_BOOL, offsetof(struct options, help), NULL, "this text" },
	{ 0 },
};

int probe_command(struct command *c)
{
	struct errbuf eb = { 0 };

	if (c->n_words)
		return command_error("probe takes options alone; 'simnet probe --help' lists them");
	c->opt.probe.json = c->opt.json;
	return command_end(natprobe_run(&c->opt.probe, &eb), &eb);
}
