#include "simnet/command.h"

#include "mesh/base/text.h"
#include "simnet/host/proc.h"
#include "simnet/host/sandbox.h"
#include "simnet/matrix/grid.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SHEETS_MAX = 64, TRY_MS = 1500, BOUND_MS = 30000 };

#define AT(field) offsetof(struct options, matrix.field)
const struct opt_row matrix_rows[] = {
	{ "all", NULL, OPT_BOOL, AT(all), NULL, "every sheet; without it and without names, the plain one" },
	{ "list", NULL, OPT_BOOL, AT(list), NULL, "say which sheets there are" },
	{ "proto", NULL, OPT_STRING, AT(proto), "WHICH", "udp, tcp or both (both)" },
	{ "j", "jobs", OPT_U64, AT(jobs), "N", "so many sheets at a time (1), 0 for one on each processor" },
	{ "try", NULL, OPT_DURATION_MS, AT(try_ms), "TIME",
		"how long a pair searches before the relay is its verdict (1500ms)" },
	{ "within", NULL, OPT_DURATION_MS, AT(within_ms), "TIME", "how long all pairs have together (30s)" },
	{ "file", NULL, OPT_STRING, AT(file), "A:B",
		"print the scenario of one cell, as EIM/APDF:APDM/APDF, and run nothing" },
	{ "seed", NULL, OPT_U64, offsetof(struct options, seed), "N", "repeat a run's random choices" },
	{ "engine", NULL, OPT_STRING, offsetof(struct options, engine), "WHICH",
		"who plays routers: auto (default), kernel, user" },
	{ "json", NULL, OPT_BOOL, offsetof(struct options, json), NULL,
		"print a line of JSON for each cell" },
	{ "help", "h", OPT_BOOL, offsetof(struct options, help), NULL, "this text" },
	{ 0 },
};

struct one_sheet { /* of this run */
	struct matrix_job job;
	struct matrix_result *result; /* shared with the process that runs it */
	pid_t pid;		      /* 0: not started, or waited for */
};
struct matrix_work {
	const struct command *c;
	char program[1024];
	struct one_sheet sheets[SHEETS_MAX];
	size_t n;
};

static int list_sheets(void)
{
	for (size_t i = 0; i < n_sheets; i++)
		printf("%-14s %s\n", sheets[i].name, sheets[i].about);
	return EXIT_PASS;
}

static int no_sheet(const char *name)
{
	const char *names[SHEETS_MAX + 1] = { NULL };
	char text[200];

	for (size_t i = 0; i < n_sheets && i < SHEETS_MAX; i++)
		names[i] = sheets[i].name;
	const char *near = text_nearest(name, names);
	snprintf(text, sizeof(text), "no sheet '%.60s'%s%s%s 'simnet matrix --list' names them", name,
		near ? "; did you mean '" : "", near ? near : "", near ? "'?" : ";");
	return command_error(text);
}

static bool read_protos(const char *word, bool protos[SHEET_PROTOS])
{
	bool both = !word || !strcmp(word, "both");

	for (int i = 0; i < SHEET_PROTOS; i++)
		protos[i] = both || !strcmp(word, sheet_proto_name((enum sheet_proto)i));
	return protos[SHEET_UDP] || protos[SHEET_TCP];
}

static int print_cell(const struct command *c, const bool protos[SHEET_PROTOS])
{
	const struct sheet *s = sheet_find(c->n_words ? c->words[0] : "plain");
	char first[32];
	const char *colon = strchr(c->opt.matrix.file, ':');
	struct buf text = { 0 };
	int a, b;

	if (!s || c->n_words > 1)
		return s ? command_error("--file takes one sheet; 'simnet matrix --list' names them")
			 : no_sheet(c->words[0]);
	snprintf(first, sizeof(first), "%.*s", colon ? (int)(colon - c->opt.matrix.file) : 0,
		c->opt.matrix.file);
	if (!colon || !sheet_class_parse(first, &a) || !sheet_class_parse(colon + 1, &b))
		return command_error("--file takes two classes, as EIM/APDF:APDM/APDF");
	bool ok = sheet_write_cell(s, a, b, protos[SHEET_UDP] ? SHEET_UDP : SHEET_TCP, &text);
	if (ok)
		fputs(buf_cstr(&text), stdout);
	buf_free(&text);
	return ok ? EXIT_PASS : EXIT_BROKEN;
}

/* ---- running ---- */

static int matrix_body(void *arg)
{
	struct one_sheet *o = arg;
	int err = matrix_run(&o->job, o->result);
	return err == -EINTR ? EXIT_FAILED : EXIT_PASS;
}

/* A process of its own, which waits for its sandbox and goes with us. */
static bool start_sheet(struct one_sheet *o)
{
	pid_t parent = getpid();

	fflush(NULL);
	o->pid = fork();
	if (o->pid < 0)
		err_set(&o->result->why, o->result->code = -errno, "fork");
	if (o->pid != 0)
		return o->pid > 0;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EXIT_BROKEN);
	struct errbuf eb = { 0 };
	int status = sandbox_run(matrix_body, o, &eb);
	if (status < 0) {
		o->result->code = status;
		o->result->why = eb;
	}
	_exit(status == 0				    ? EXIT_PASS
		: status == EXIT_FAILED || status == -EINTR ? EXIT_INTERRUPTED & 127
							    : EXIT_HOST);
}

static int code_of_sheet(const struct one_sheet *o)
{
	int code = o->result->code;

	if (code == -EINTR)
		return EXIT_INTERRUPTED;
	if (code == -EPERM || code == -EACCES || code == -ENOSPC || code == -EUSERS || code == -ENOSYS)
		return EXIT_HOST;
	if (code)
		return o->result->unmeasured ? EXIT_UNSURE : EXIT_BROKEN;
	struct grid_count n = grid_count(&o->job, o->result);
	return n.wrong ? EXIT_FAILED : n.unsure ? EXIT_UNSURE : EXIT_PASS;
}

static int tell_sheet(const struct matrix_work *w, const struct one_sheet *o)
{
	int code = code_of_sheet(o);

	if (!w->c->opt.json)
		printf("%s: %s   (seed %llu)\n", o->job.sheet->name, o->job.sheet->about,
			(unsigned long long)o->job.seed);
	if (o->result->code)
		fprintf(stderr, "simnet: %s: %s\n", o->job.sheet->name, o->result->why.text);
	else if (w->c->opt.json)
		grid_print_json(&o->job, o->result, stdout);
	else
		grid_print(&o->job, o->result, stdout);
	fflush(stdout);
	return code;
}

/* Tells them in their order, while later ones run. */
static int run_sheets(struct matrix_work *w)
{
	size_t started = 0, running = 0, jobs = w->c->opt.matrix.jobs;
	int code = EXIT_PASS;

	for (size_t i = 0; i < w->n; i++) {
		while (started < w->n && running < jobs && code != EXIT_INTERRUPTED)
			running += start_sheet(&w->sheets[started++]);
		if (w->sheets[i].pid > 0 && waitpid(w->sheets[i].pid, NULL, 0) > 0)
			running--;
		int of_it = i < started ? tell_sheet(w, &w->sheets[i]) : EXIT_INTERRUPTED;
		code = files_worse(code, of_it);
	}
	return code;
}

static int add_sheet(struct matrix_work *w, const struct sheet *s, const bool protos[SHEET_PROTOS])
{
	struct one_sheet *o = &w->sheets[w->n];

	o->result = mmap(NULL, sizeof(*o->result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w->n == SHEETS_MAX || o->result == MAP_FAILED)
		return command_error("too many sheets at once");
	o->result->code = ERR_CLOSED; /* until it has run */
	err_say(&o->result->why, ERR_CLOSED, "its process was killed");
	o->job = (struct matrix_job) { .sheet = s,
		.engine = w->c->engine,
		.program = w->program,
		.seed = w->c->opt.seed,
		.try_ms = w->c->opt.matrix.try_ms ? w->c->opt.matrix.try_ms : TRY_MS,
		.bound_ms = w->c->opt.matrix.within_ms ? w->c->opt.matrix.within_ms : BOUND_MS };
	if (!o->job.seed && getrandom(&o->job.seed, sizeof(o->job.seed), 0) == sizeof(o->job.seed))
		o->job.seed = (o->job.seed & 0xffffff) + 1;
	memcpy(o->job.protos, protos, sizeof(o->job.protos));
	w->n++;
	return EXIT_PASS;
}

static int choose_sheets(struct matrix_work *w, const bool protos[SHEET_PROTOS])
{
	const struct command *c = w->c;
	int code = EXIT_PASS;

	for (size_t i = 0; c->opt.matrix.all && i < n_sheets && !code; i++)
		code = add_sheet(w, &sheets[i], protos);
	for (int i = 0; i < c->n_words && !code; i++) {
		const struct sheet *s = sheet_find(c->words[i]);
		code = s ? add_sheet(w, s, protos) : no_sheet(c->words[i]);
	}
	return code || w->n ? code : add_sheet(w, &sheets[0], protos);
}

int matrix_command(struct command *c)
{
	struct matrix_work w = { .c = c };
	bool protos[SHEET_PROTOS];
	int code;

	if (c->opt.matrix.list)
		return list_sheets();
	if (!read_protos(c->opt.matrix.proto, protos))
		return command_error("--proto is udp, tcp or both");
	if (c->opt.matrix.file)
		return print_cell(c, protos);
	if (c->opt.matrix.all && c->n_words)
		return command_error("--all or names, not both");
	if (!proc_find("simnet", w.program, sizeof(w.program)))
		return command_error(
			"the program simnet is not found: not in RW_BIN_DIR, beside this one, or in PATH");
	code = choose_sheets(&w, protos);
	if (!code)
		code = run_sheets(&w);
	for (size_t i = 0; i < w.n; i++)
		munmap(w.sheets[i].result, sizeof(*w.sheets[i].result));
	return code;
}
