#include "simnet/command.h"

#include "mesh/base/text.h"
#include "mesh/os/file.h"
#include "mesh/os/loop.h"
#include "simnet/host/source.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* `simnet run`: every wanted combination of every file is a job, which runs once or several times.
 *
 * With one at a time a run writes its story straight to the terminal. With more, each runs in a process of its own
 * that writes into memory; its story is printed whole when it has ended, and its records are added to those of all in
 * the order of the jobs. Nothing starts before every file is right. */
enum { JOBS_MAX = 20000, FAILED_SEEDS = 8 };

struct job {
	char *path, *title, *name;
	size_t variant;
	/* Of its runs: */
	unsigned n_runs, n_passed, n_failed, n_unsure;
	double *seconds;
	uint64_t failed_seed[FAILED_SEEDS];
};
struct one_run { /* that is going on, or has ended and is not told */
	struct job *job;
	unsigned number; /* which repeat, from 1 */
	uint64_t seed, start_ms;
	pid_t pid;
	int out_fd, records_fd;
	bool again; /* in the place of one that was inconclusive */
};
struct jobs {
	struct job *list;
	size_t n, seen; /* seen: before the shard was cut out */
	unsigned shard, n_shards;
	bool full;
	struct tally tally;
	struct one_run running[RUNS_MAX];
	size_t n_running;
	struct one_run *slow; /* inconclusive, and to run once more at the end */
	size_t n_slow;
	int signo; /* that ends it all; 0 = none */
};

/* ---- which */

bool jobs_takes(struct jobs *j)
{
	return !j->n_shards || j->seen++ % j->n_shards == j->shard - 1;
}

static int add_job(const struct command *c, struct scenario *s)
{
	struct jobs *j = c->jobs;
	char title[300];

	if (!jobs_takes(j))
		return EXIT_PASS;
	struct job *grown = j->n < JOBS_MAX ? realloc(j->list, (j->n + 1) * sizeof(*grown)) : NULL;
	if (!grown) {
		j->full = true;
		return EXIT_BROKEN;
	}
	j->list = grown;
	j->list[j->n] = (struct job) { .path = strdup(s->file),
		.title = strdup(scenario_title(s, title, sizeof(title))),
		.name = strdup(s->name),
		.variant = s->variant };
	const struct job *new = &j->list[j->n++];
	j->full |= !new->path || !new->title || !new->name;
	return EXIT_PASS;
}

static void free_jobs(struct jobs *j)
{
	for (size_t i = 0; i < j->n; i++) {
		free(j->list[i].path);
		free(j->list[i].title);
		free(j->list[i].name);
		free(j->list[i].seconds);
	}
	free(j->list);
	free(j->slow);
}

/* Their evidence would be written over each other's. */
static int check_names(const struct jobs *j, struct errbuf *eb)
{
	for (size_t i = 0; i < j->n; i++)
		for (size_t k = 0; k < i; k++)
			if (!strcmp(j->list[i].name, j->list[k].name) &&
				strcmp(j->list[i].path, j->list[k].path) != 0)
				return err_say(eb, ERR_MALFORMED,
					"%.150s and %.150s are both named '%s': --out keeps only one",
					j->list[k].path, j->list[i].path, j->list[i].name);
	return 0;
}

/* "2/3" */
static int read_shard(const char *text, struct jobs *j, struct errbuf *eb)
{
	const char *slash = text ? strchr(text, '/') : NULL;
	char first[16];
	uint64_t i = 0, n = 0;

	if (!text)
		return 0;
	snprintf(first, sizeof(first), "%.*s", slash ? (int)(slash - text) : 0, text);
	if (!slash || !text_u64(slash + 1, 1, 1000, &n) || !text_u64(first, 1, n, &i))
		return err_say(eb, ERR_MALFORMED, "--shard takes I/N, as 1/3, 2/3 and 3/3, not '%s'", text);
	j->shard = (unsigned)i;
	j->n_shards = (unsigned)n;
	return 0;
}

/* ---- one run */

static uint64_t job_seed(const struct command *c, uint64_t of_file)
{
	uint64_t seed = c->opt.seed ? c->opt.seed : of_file;

	if (!seed && getrandom(&seed, sizeof(seed), 0) == sizeof(seed))
		seed &= 0xffffff; /* short enough to type */
	return seed ? seed : 1;
}

static int play_run(const struct command *c, const struct one_run *r, struct scenario *s)
{
	struct command mine = *c;

	s->seed = r->seed;
	mine.opt.seed = 0;
	mine.again = r->again;
	mine.run_number = c->opt.repeat || c->opt.until_fail ? r->number : 0;
	return files_run_story(&mine, s);
}

/* It counts as what the run in its place comes to. */
static bool runs_again(const struct command *c, struct jobs *j, const struct one_run *r, int code)
{
	if (!c->opt.retry_slow || code != EXIT_UNSURE || r->again)
		return false;
	struct one_run *more = reallocarray(j->slow, j->n_slow + 1, sizeof(*more));
	if (!more)
		return false;
	j->slow = more;
	j->slow[j->n_slow] = *r;
	j->slow[j->n_slow++].again = true;
	return true;
}

static void count_run(const struct command *c, struct jobs *j, const struct one_run *r, int code)
{
	struct job *job = r->job;
	bool skipped = files_is_skipped(c, code);

	if (runs_again(c, j, r, code))
		return;
	double *grown = realloc(job->seconds, (job->n_runs + 1) * sizeof(*grown));
	j->tally.run++;
	j->tally.skipped += skipped;
	j->tally.unsure += code == EXIT_UNSURE;
	j->tally.slow += code == EXIT_PASS && r->again;
	j->tally.failed += code != EXIT_PASS && code != EXIT_UNSURE && !skipped;
	if (!skipped)
		j->tally.code = files_worse(j->tally.code, files_exit_code(code));
	if (grown) {
		job->seconds = grown;
		grown[job->n_runs++] = (double)(clock_now_ms() - r->start_ms) / 1000;
	}
	job->n_passed += code == EXIT_PASS;
	job->n_unsure += code == EXIT_UNSURE;
	if (code == EXIT_FAILED && job->n_failed < FAILED_SEEDS)
		job->failed_seed[job->n_failed] = r->seed;
	job->n_failed += code == EXIT_FAILED;
}

/* ---- side by side */

static void copy_fd(int fd, FILE *to)
{
	char some[65536];
	off_t at = 0;

	for (ssize_t n; (n = pread(fd, some, sizeof(some), at)) > 0; at += n)
		fwrite(some, 1, (size_t)n, to);
}

__attribute__((noreturn)) static void become_run(
	const struct command *c, const struct one_run *r, struct scenario *s, const sigset_t *mask)
{
	struct command mine = *c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	if (dup2(r->out_fd, STDOUT_FILENO) < 0 || dup2(r->out_fd, STDERR_FILENO) < 0)
		_exit(EXIT_BROKEN);
	mine.records = fdopen(r->records_fd, "a");
	int code = mine.records ? play_run(&mine, r, s) : EXIT_BROKEN;
	fflush(NULL);
	_exit(code);
}

static int start_run(const struct command *c, struct jobs *j, struct one_run *r, struct scenario *s,
	const sigset_t *mask, struct errbuf *eb)
{
	r->out_fd = memfd_create("simnet-story", MFD_CLOEXEC);
	r->records_fd = memfd_create("simnet-records", MFD_CLOEXEC);
	if (r->out_fd < 0 || r->records_fd < 0)
		return err_set(eb, -errno, "make room for a story");
	fcntl(r->out_fd, F_SETFL, O_APPEND);
	fcntl(r->records_fd, F_SETFL, O_APPEND);
	fflush(NULL); /* or the child prints it again */
	r->pid = fork();
	if (r->pid < 0)
		return err_set(eb, -errno, "start a run");
	if (r->pid == 0)
		become_run(c, r, s, mask);
	j->running[j->n_running++] = *r;
	return 0;
}

static void tell_run(const struct command *c, struct jobs *j, size_t i, int status)
{
	struct one_run r = j->running[i];
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_BROKEN;

	j->running[i] = j->running[--j->n_running];
	copy_fd(r.out_fd, stdout);
	copy_fd(r.records_fd, c->records);
	fflush(stdout);
	close(r.out_fd);
	close(r.records_fd);
	count_run(c, j, &r, j->signo ? EXIT_INTERRUPTED : code);
}

/* Waits until one has ended, or a signal says that all shall. */
static void await_run(const struct command *c, struct jobs *j, const sigset_t *set)
{
	siginfo_t info;
	int signo = sigwaitinfo(set, &info), status;

	if (signo > 0 && signo != SIGCHLD) {
		j->signo = signo;
		for (size_t i = 0; i < j->n_running && info.si_code != SI_KERNEL; i++)
			kill(j->running[i].pid, signo); /* the terminal tells them itself */
	}
	for (size_t i = 0; i < j->n_running;) {
		if (waitpid(j->running[i].pid, &status, WNOHANG) == j->running[i].pid)
			tell_run(c, j, i, status);
		else
			i++;
	}
}

/* ---- all of them */

static bool is_over(const struct command *c, const struct jobs *j)
{
	return j->signo || j->tally.code == EXIT_INTERRUPTED ||
	       (c->opt.until_fail && (j->tally.failed || j->tally.unsure));
}

static int one_more(const struct command *c, struct jobs *j, struct job *job, unsigned number, size_t at_once,
	const sigset_t *set, const sigset_t *mask, struct errbuf *eb)
{
	struct one_run r = { .job = job, .number = number, .out_fd = -1, .records_fd = -1 };
	struct scenario s = { 0 };
	int err = source_read_scenario(job->path, job->variant, &s, NULL, eb);

	if (err)
		return err;
	r.seed = job_seed(c, s.seed);
	r.start_ms = clock_now_ms();
	if (at_once == 1) {
		count_run(c, j, &r, play_run(c, &r, &s));
	} else {
		while (j->n_running >= at_once)
			await_run(c, j, set);
		r.start_ms = clock_now_ms();
		if (!is_over(c, j))
			err = start_run(c, j, &r, &s, mask, eb);
	}
	scenario_free(&s);
	return err;
}

/* Alone, with the seeds they had. Where all is over already they stay inconclusive. */
static int run_slow(const struct command *c, struct jobs *j, struct errbuf *eb)
{
	int err = 0;

	for (size_t i = 0; i < j->n_slow; i++) {
		struct one_run r = j->slow[i];
		struct scenario s = { 0 };
		bool over = err || is_over(c, j);
		if (!over && !(err = source_read_scenario(r.job->path, r.job->variant, &s, NULL, eb))) {
			r.start_ms = clock_now_ms();
			count_run(c, j, &r, play_run(c, &r, &s));
		} else {
			count_run(c, j, &r, EXIT_UNSURE);
		}
		scenario_free(&s);
	}
	return err;
}

static int run_all(const struct command *c, struct jobs *j, struct errbuf *eb)
{
	size_t at_once = c->opt.jobs;
	uint64_t rounds = c->opt.repeat ? c->opt.repeat : c->opt.until_fail ? UINT32_MAX : 1;
	sigset_t set, mask;
	int err = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (at_once > 1)
		sigprocmask(SIG_BLOCK, &set, &mask);
	for (unsigned round = 1; round <= rounds && !err && !is_over(c, j); round++)
		for (size_t i = 0; i < j->n && !err && !is_over(c, j); i++)
			err = one_more(c, j, &j->list[i], round, at_once, &set, &mask, eb);
	while (j->n_running)
		await_run(c, j, &set);
	if (at_once > 1)
		sigprocmask(SIG_SETMASK, &mask, NULL);
	return err ? err : run_slow(c, j, eb);
}

/* ---- what came of it */

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* "flat: 20 runs, 19 passed, 1 failed; 0.8 s to 2.1 s, median 0.9 s; failed with seed 77" */
static void print_statistics(struct job *job)
{
	if (job->n_runs < 2)
		return;
	qsort(job->seconds, job->n_runs, sizeof(*job->seconds), by_size);
	printf("%s: %u runs, %u passed, %u failed, %u inconclusive; %.1f s to %.1f s, median %.1f s",
		job->title, job->n_runs, job->n_passed, job->n_failed, job->n_unsure, job->seconds[0],
		job->seconds[job->n_runs - 1], job->seconds[job->n_runs / 2]);
	for (unsigned i = 0; i < job->n_failed && i < FAILED_SEEDS; i++)
		printf("%s%llu", i ? ", " : "; failed with seed ", (unsigned long long)job->failed_seed[i]);
	printf("%s\n", job->n_failed > FAILED_SEEDS ? " and more" : "");
}

static void print_totals(const struct command *c, struct jobs *j)
{
	const struct tally *t = &j->tally;

	if (c->opt.tap || c->opt.json)
		return;
	for (size_t i = 0; i < j->n; i++)
		print_statistics(&j->list[i]);
	if (t->run < 2)
		return;
	printf("%u run, %u passed, %u failed, %u skipped", t->run - t->skipped,
		t->run - t->failed - t->unsure - t->skipped, t->failed, t->skipped);
	if (t->slow)
		printf(", %u slow at first", t->slow);
	printf(t->unsure ? ", %u inconclusive\n" : "\n", t->unsure);
}

static int write_report(enum report_kind kind, const struct buf *records, const char *path, struct errbuf *eb)
{
	FILE *f = path ? fopen(path, kind == REPORT_SUMMARY ? "ae" : "we") : stdout;
	int err = f ? report_write(kind, (const char *)buf_data(records), records->len, f, eb)
		    : err_set(eb, -errno, "%s", path);

	if (f && path && fclose(f) != 0 && !err)
		err = err_set(eb, -errno, "%s", path);
	return err;
}

static int write_reports(const struct command *c)
{
	const char *summary = getenv("GITHUB_STEP_SUMMARY");
	struct errbuf eb = { 0 };
	struct buf text = { 0 };
	char path[64];

	fflush(c->records);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fileno(c->records));
	int err = file_read(path, 256 << 20, &text, &eb);
	if (!err && c->opt.tap)
		err = write_report(REPORT_TAP, &text, NULL, &eb);
	if (!err && !c->opt.tap && !c->opt.json && c->jobs->tally.run > 1)
		err = write_report(REPORT_NOTES, &text, NULL, &eb);
	if (!err && c->opt.github)
		err = write_report(REPORT_GITHUB, &text, NULL, &eb);
	if (!err && c->opt.github && summary && *summary)
		err = write_report(REPORT_SUMMARY, &text, summary, &eb);
	if (!err && c->opt.junit)
		err = write_report(REPORT_JUNIT, &text, c->opt.junit, &eb);
	if (!err && c->opt.review.html)
		err = review_page(c->opt.review.html, (const char *)buf_data(&text), text.len, &eb);
	buf_free(&text);
	if (err)
		fprintf(stderr, "simnet: %s\n", eb.text);
	return err ? EXIT_BROKEN : EXIT_PASS;
}

/* Before anything runs: a report that cannot be written at the end would have cost the whole run. */
static int check_report(const char *path, struct errbuf *eb)
{
	char dir[PATH_MAX];
	struct stat st;

	if (!path || !*path)
		return 0;
	const char *slash = strrchr(path, '/');
	if (stat(path, &st) == 0)
		return S_ISDIR(st.st_mode)  ? err_set(eb, -EISDIR, "write %s", path)
		       : access(path, W_OK) ? err_set(eb, -errno, "write %s", path)
					    : 0;
	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
	return access(dir, W_OK | X_OK) ? err_set(eb, -errno, "write %s: the folder %s", path, dir) : 0;
}

static int check_reports(const struct command *c, struct errbuf *eb)
{
	const char *const paths[] = { c->opt.junit, c->opt.review.html,
		c->opt.github ? getenv("GITHUB_STEP_SUMMARY") : NULL };
	int err = 0;

	for (size_t i = 0; i < ARRAY_LEN(paths) && !err; i++)
		err = check_report(paths[i], eb);
	return err;
}

static int run_jobs(struct command *c, struct jobs *j)
{
	struct errbuf eb = { 0 };
	int code = files_each(c, &(struct tally) { 0 }, add_job);

	if (code != EXIT_PASS)
		return j->full ? command_error("more scenarios than fit in memory") : code;
	if (!j->n)
		return command_error(
			j->n_shards && j->seen
				? "there are fewer scenarios than shards: nothing is left for this one"
				: "no scenario matches -k or --tag");
	if (c->opt.out && check_names(j, &eb))
		return command_error(eb.text);
	if (check_reports(c, &eb)) {
		fprintf(stderr, "simnet: %s\n", eb.text);
		return EXIT_BROKEN;
	}
	int err = run_all(c, j, &eb);
	if (err)
		fprintf(stderr, "simnet: %s\n", eb.text);
	code = files_worse(j->tally.code, err ? EXIT_BROKEN : EXIT_PASS);
	if (j->signo)
		code = EXIT_INTERRUPTED;
	code = files_worse(code, write_reports(c));
	print_totals(c, j);
	return code;
}

int jobs_run(struct command *c)
{
	struct jobs j = { .n = 0 };
	struct errbuf eb = { 0 };
	int fd = memfd_create("simnet-records", MFD_CLOEXEC);
	int code;

	c->records = fd >= 0 ? fdopen(fd, "w+") : NULL;
	if (!c->records)
		return command_error("no memory for the records of the run");
	/* The sandbox children write there too: append, whoever is first. */
	fcntl(fd, F_SETFL, O_APPEND);
	c->jobs = &j;
	if (read_shard(c->opt.shard, &j, &eb))
		code = command_error(eb.text);
	else if (c->opt.list)
		code = files_list(c);
	else if (c->opt.retry_slow && c->opt.until_fail)
		code = command_error("--until-fail ends at the first run that does not pass: leave "
				     "--retry-slow out");
	else if (c->opt.tap + c->opt.json > 1 || (c->opt.json && c->opt.github))
		code = command_error("--json, --tap and --github all want the standard output: choose one");
	else if (c->opt.jobs > RUNS_MAX)
		code = command_error("-j is 64 at most");
	else
		code = run_jobs(c, &j);
	free_jobs(&j);
	c->jobs = NULL;
	fclose(c->records);
	return code;
}
