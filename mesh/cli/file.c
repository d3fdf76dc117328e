#include "mesh/cli/file.h"
#include "mesh/cli/verbs.h"
#include <string.h>

enum { WORDS_MAX = 4096, UPDATE_MS = 250 };

static const struct file_options defaults = { .conflict = "skip", .update_ms = UPDATE_MS };
static const struct opt_row rows[] = {
	{ "name", NULL, OPT_STRING, offsetof(struct file_options, name), "NAME",
		"cp: the name that the file gets there; for \"-\", which is standard input, \"stdin\" unless "
		"given" },
	{ "targets", NULL, OPT_BOOL, offsetof(struct file_options, targets), NULL,
		"cp: list the machines that files can be sent to" },
	{ "update-interval", NULL, OPT_DURATION_MS, offsetof(struct file_options, update_ms), "TIME",
		"cp: how often the line of progress is painted, on a terminal (default 250ms; 0s: never)" },
	{ "wait", NULL, OPT_BOOL, offsetof(struct file_options, wait), NULL,
		"get: when none is there, wait for a file" },
	{ "loop", NULL, OPT_BOOL, offsetof(struct file_options, loop), NULL,
		"get: go on for ever, each file as it comes" },
	{ "conflict", NULL, OPT_STRING, offsetof(struct file_options, conflict), "HOW",
		"get: when a file of that name is there: skip (default) leaves the new one waiting, "
		"overwrite "
		"replaces the old one, rename numbers the new one" },
	{ "verbose", NULL, OPT_BOOL, offsetof(struct file_options, verbose), NULL, "say what is done" },
	CLI_ROWS_COMMON(struct file_options),
};

static int misused(struct cli *c, const char *what)
{
	return cli_fail(c, CLI_USAGE, "usage",
		"ropewalk file cp FILES... MACHINE:, or ropewalk file get [--wait|--loop] FOLDER", "file: %s",
		what);
}

static int file_run(struct cli *c, const void *options, const char *const *words, int n)
{
	const struct file_options *o = options;
	if (!strcmp(words[0], "cp")) {
		if (o->wait || o->loop)
			return misused(c, "--wait and --loop are for get");
		if (o->targets)
			return n > 1 ? misused(c, "--targets takes no files") : file_cp_targets(c);
		return n < 3 ? misused(c, "cp needs files and a machine") : file_cp(c, o, words + 1, n - 1);
	}
	if (!strcmp(words[0], "get")) {
		if (o->name || o->targets)
			return misused(c, "--name and --targets are for cp");
		return n != 2 ? misused(c, "get needs one folder") : file_get(c, o, words[1]);
	}
	return misused(c, "neither cp nor get");
}

const struct cli_verb verb_file = {
	.man = { "file", "cp FILES... MACHINE: | get FOLDER",
		"send files to a machine of yours, or take out those that came",
		"cp sends files to another machine of the same user, or to one that the network's access "
		"rules allow. A "
		"machine that has a part of a file already, since the connection broke, gets the rest. \"-\" "
		"is standard "
		"input. get moves what has come into a folder; /dev/null drops it. Folders are not sent: "
		"pack them, as in tar cz "
		"DIR | ropewalk file cp --name=DIR.tgz - MACHINE:",
		rows },
	.options_size = sizeof(struct file_options),
	.defaults = &defaults,
	.min_words = 1,
	.max_words = WORDS_MAX,
	.run = file_run,
};
