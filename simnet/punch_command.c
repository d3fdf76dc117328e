#include "simnet/command.h"

#include "simnet/punch/punch.h"

#define AT(field) offsetof(struct options, punch.field)
const struct opt_row punch_rows[] = {
	{ "serve", NULL, OPT_STRING, AT(serve), "ADDRESS:PORT", "be the rendezvous server" },
	{ "server", NULL, OPT_STRING, AT(server), "ADDRESS:PORT", "be a peer that registers there" },
	{ "name", NULL, OPT_STRING, AT(name), "NAME", "of this peer" },
	{ "call", NULL, OPT_STRING, AT(call), "NAMES", "peers to reach, separated by commas" },
	{ "proto", NULL, OPT_STRING, AT(proto), "WHICH", "udp, tcp or both (udp; the server: both)" },
	{ "port", NULL, OPT_U64, AT(port), "N", "own port; 0 lets the kernel choose" },
	{ "try", NULL, OPT_DURATION_MS, AT(try_ms), "TIME",
		"how long to search before a path counts as settled (3s)" },
	{ "beat", NULL, OPT_DURATION_MS, AT(beat_ms), "TIME",
		"how often a path is proven; silent for three, it is lost (1s)" },
	{ "echo", NULL, OPT_U64, AT(echo), "PORT",
		"whoever reaches this peer finds its echo on 127.0.0.1:PORT of its own host" },
	{ "socket", NULL, OPT_STRING, AT(socket), "PATH", "answer questions there" },
	{ "status", NULL, OPT_STRING, AT(status), "PATH",
		"ask the one that answers there, print its answer" },
	{ "help", "h", OPT_BOOL, offsetof(struct options, help), NULL, "this text" },
	{ 0 },
};

int punch_command(struct command *c)
{
	struct errbuf eb = { 0 };

	if (c->n_words)
		return command_error("punch takes options alone; 'simnet punch --help' lists them");
	return command_end(punch_run(&c->opt.punch, &eb), &eb);
}
