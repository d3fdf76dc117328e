#include "simnet/command.h"

#include "mesh/base/text.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is asked of a network that is up, or that stays after a run. */
enum { LABS_MAX = 64, CAPTURE_ARGS = 64 };

/* The one that is up, or the one that --lab names: the number of its process, or its scenario. */
static int choose_lab(const struct command *c, struct shell_lab *out)
{
	struct shell_lab labs[LABS_MAX];
	int n = shell_find(labs, LABS_MAX), fits = 0;
	uint64_t pid = 0;
	bool number = c->opt.lab && text_u64(c->opt.lab, 1, INT32_MAX, &pid);

	for (int i = 0; i < n; i++)
		if (!c->opt.lab || (number ? labs[i].pid == (int)pid : !strcmp(labs[i].name, c->opt.lab))) {
			*out = labs[i];
			fits++;
		}
	if (fits == 1)
		return 0;
	if (!n)
		return command_error("no lab is up; start one with 'simnet up FILE'");
	command_error(fits ? "more than one lab is up; --lab says which" : "no lab has that name or number");
	for (int i = 0; i < n; i++)
		fprintf(stderr, "  --lab %d   %s\n", labs[i].pid, labs[i].name);
	return EXIT_USAGE;
}

static int run_there(const struct command *c, const char *node, const char *const *argv)
{
	struct shell_lab lab;
	struct errbuf eb = { 0 };
	int code = choose_lab(c, &lab);

	if (!code && (code = shell_run(&lab, node, argv, &eb)) < 0)
		code = command_error(eb.text);
	return code;
}

/* What follows the node's name, without the "--" before it. */
static const char *const *command_of(const struct command *c)
{
	const char *const *argv = c->words + 1;
	return *argv && !strcmp(*argv, "--") ? argv + 1 : argv;
}

int labs_shell(struct command *c)
{
	if (!c->n_words)
		return command_error(
			"shell takes the name of a node or router, and a command if it is not to be a shell");
	return run_there(c, c->words[0], command_of(c));
}

int labs_exec(struct command *c)
{
	if (!c->n_words || !*command_of(c))
		return command_error("exec takes the name of a node or router, and a command");
	return run_there(c, c->words[0], command_of(c));
}

/* NODE or NODE:INTERFACE, then what tcpdump takes. As root of the network, or it would change to a user that is not there. */
int labs_tcpdump(struct command *c)
{
	const char *argv[CAPTURE_ARGS] = { "tcpdump", "-Z", "root", "-n", "-l", "-i" };
	size_t n = 6;
	char node[64];

	if (!c->n_words)
		return command_error("tcpdump takes NODE or NODE:INTERFACE, and what tcpdump takes");
	const char *colon = strchr(c->words[0], ':');
	snprintf(node, sizeof(node), "%.*s", (int)(colon ? colon - c->words[0] : 63), c->words[0]);
	argv[n++] = colon ? colon + 1 : "any";
	for (const char *const *word = command_of(c); *word && n < ARRAY_LEN(argv) - 1; word++)
		argv[n++] = *word;
	return run_there(c, node, argv);
}

int labs_logs(struct command *c)
{
	struct shell_lab lab;
	struct errbuf eb = { 0 };

	if (c->n_words != 1)
		return command_error("logs takes the name of a node");
	int code = choose_lab(c, &lab);
	if (!code && (code = shell_logs(&lab, c->words[0], c->opt.follow, &eb)) < 0)
		code = command_error(eb.text);
	return code;
}

int labs_top(struct command *c)
{
	struct shell_lab lab;
	struct errbuf eb = { 0 };

	if (c->n_words)
		return command_error("top takes no words; --lab says which network");
	int code = choose_lab(c, &lab);
	if (!code && (code = shell_top(&lab, &eb)) < 0)
		code = command_error(eb.text);
	return code;
}

/* One after the other, until one fails. */
int labs_inject(struct command *c)
{
	struct shell_lab lab;
	struct errbuf eb = { 0 };

	if (!c->n_words)
		return command_error(
			"inject takes steps, each as one word: 'cut home.udp', 'ping: {from: a, to: b}'");
	int code = choose_lab(c, &lab);
	for (int i = 0; i < c->n_words && !code; i++)
		if ((code = shell_inject(&lab, c->words[i], &eb)) < 0)
			code = command_error(eb.text);
	return code;
}

/* Everything a run makes belongs to its sandbox or to nothing, so there is only something to say. */
int labs_clean(struct command *c)
{
	struct shell_lab labs[LABS_MAX];

	if (c->n_words)
		return command_error("clean takes no words");
	int n = shell_find(labs, LABS_MAX);
	printf("nothing to remove: runs keep nothing outside their own namespaces\n");
	for (int i = 0; i < n; i++)
		printf("lab %s is up, process %d; Ctrl-C there, or 'kill %d', ends it\n", labs[i].name,
			labs[i].pid, labs[i].pid);
	return EXIT_PASS;
}
