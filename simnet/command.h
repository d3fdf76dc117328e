/* The command line of simnet: what was asked for, and the verbs that go over scenario files. Shared by main.c
 * and the files of its verbs only. */
#ifndef SIMNET_COMMAND_H
#define SIMNET_COMMAND_H

#include "mesh/base/text.h"
#include "simnet/natprobe/natprobe.h"
#include "simnet/punch/punch.h"
#include "simnet/service/service.h"
#include "simnet/runner.h"

struct options {
	const char *only, *junit, *out, *pcap, *tag, *engine, *completion;
	const char *shard, *lab, *keep, *require;
	uint64_t seed, timeout_ms, jobs, repeat;
	bool step, follow, fix, wizard, tap, json, list, todo, until_fail, retry_slow, github, skip, markdown,
		help, man, version;
	struct review_options {
		const char *as, *html, *live;
		uint64_t at_ms;
		bool diff;
	} review;
	struct punch_options punch;
	struct natprobe_options probe;
	struct service_options service;
	struct sweep_options {
		const char *peer, *saw, *class;
	} sweep;
	struct matrix_options {
		const char *file, *proto;
		uint64_t jobs, try_ms, within_ms;
		bool all, list;
	} matrix;
};

enum { RUNS_MAX = 64 }; /* at once */
struct command {
	struct options opt;
	const char **words;
	int n_words;
	enum pcap_when pcap;
	enum run_keep keep;
	const struct engine_ops *engine;
	FILE *records; /* of all scenarios */
	struct jobs *jobs;
	unsigned run_number; /* of a repeated scenario, from 1; 0 = it runs once */
	bool again;	     /* this run is in the place of one that was inconclusive */
};

/* Prints it; EXIT_USAGE. */
int command_error(const char *text);
/* The exit code of a program that ran until err; -EINVAL says that it was called wrongly. Prints eb. */
int command_end(int err, const struct errbuf *eb);

/* punch_command.c */
extern const struct opt_row punch_rows[];
int punch_command(struct command *c);
/* probe_command.c */
extern const struct opt_row probe_rows[];
int probe_command(struct command *c);
/* service_command.c */
extern const struct opt_row service_rows[];
int service_command(struct command *c);
/* report_command.c */
extern const struct opt_row from_report_rows[], sweep_rows[];
int from_report_command(struct command *c);
int sweep_command(struct command *c);
/* matrix_command.c */
extern const struct opt_row matrix_rows[];
int matrix_command(struct command *c);

/* review.c */
extern const struct opt_row graph_rows[], explain_rows[], replay_rows[];
int review_graph(struct command *c);
int review_explain(struct command *c);
/* The page of these records, to a file. */
int review_page(const char *path, const char *records, size_t len, struct errbuf *eb);
int review_replay(struct command *c);

/* files.c */
struct tally {
	unsigned files, run, failed, unsure, skipped, slow;
	bool lints; /* adapters are checked too */
	unsigned adapters;
	int code;
};
/* Calls each for every wanted combination of every file named; the worst exit code. */
int files_each(
	const struct command *c, struct tally *t, int (*each)(const struct command *c, struct scenario *s));
int files_list(const struct command *c);
/* The scenario, or why it is to do. */
int files_run_story(const struct command *c, struct scenario *s);
bool files_is_skipped(const struct command *c, int code);
int files_exit_code(int code); /* of simnet, where a run ended with code */
int files_worse(int a, int b); /* of two exit codes */
bool files_wanted(const struct command *c, const struct scenario *s);
/* One scenario, told; keep: when it stays; KEEP_NEVER: as --keep says. Its exit code. */
int files_run_one(const struct command *c, struct scenario *s, enum run_keep keep);

/* lint.c */
int lint_command(struct command *c);
/* Puts misspelt words of one file right, and of the parts that it takes in. An exit code; what is left is told by
 * files_each. */
int lint_fix(const char *path);

/* templates.c */
int templates_new(struct command *c);
/* wizard.c */
int wizard_run(void);

/* labs.c */
int labs_shell(struct command *c);
int labs_exec(struct command *c);
int labs_logs(struct command *c);
int labs_tcpdump(struct command *c);
int labs_top(struct command *c);
int labs_inject(struct command *c);
int labs_clean(struct command *c);

/* jobs.c */
int jobs_run(struct command *c);
/* Whether the next scenario is of this machine's shard. */
bool jobs_takes(struct jobs *j);

/* format.c */
int format_schema(struct command *c);
int format_presets(struct command *c);

#endif
