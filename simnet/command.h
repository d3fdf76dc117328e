/* The command line of simnet: what was asked for, and the verbs that go over scenario files. Shared by main.c
 * and files.c only. */
#ifndef SIMNET_COMMAND_H
#define SIMNET_COMMAND_H

#include "simnet/runner.h"

struct options {
	const char *only, *junit, *out, *pcap, *tag;
	uint64_t seed, lab;
	bool tap, json, github, skip, require, help, man, version;
};

struct command {
	struct options opt;
	const char **words;
	int n_words;
	enum pcap_when pcap;
	FILE *records; /* of all scenarios */
};

/* Prints it; EXIT_USAGE. */
int command_error(const char *text);

/* files.c */
struct tally {
	unsigned files, run, failed, skipped;
	int code;
};
/* Calls each for every wanted combination of every file named; the worst exit code. */
int files_each(
	const struct command *c, struct tally *t, int (*each)(const struct command *c, struct scenario *s));
int files_run(struct command *c);
bool files_wanted(const struct command *c, const struct scenario *s);
/* One scenario, told; keep_going: and held up. Its exit code. */
int files_run_one(const struct command *c, struct scenario *s, bool keep_going);

#endif
