#include "simnet/command.h"

#include "mesh/os/file.h"
#include "mesh/os/loop.h"
#include "simnet/host/sandbox.h"
#include "simnet/fabric/kernel/engine_kernel.h"
#include "simnet/host/source.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

int command_error(const char *text)
{
	fprintf(stderr, "simnet: %s\n", text);
	return EXIT_USAGE;
}

static uint64_t now_ms(void)
{
	return clock_now_ns() / 1000000;
}

/* ---- which files */

struct files {
	char **path;
	size_t n;
};

static int add_file(struct files *f, const char *path, struct errbuf *eb)
{
	char **p = realloc(f->path, (f->n + 1) * sizeof(*p));

	if (p)
		f->path = p;
	if (!p || !(p[f->n] = strdup(path)))
		return err_say(eb, -ENOMEM, "out of memory");
	f->n++;
	return 0;
}

static void free_files(struct files *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->path[i]);
	free(f->path);
}

static int is_scenario(const struct dirent *e)
{
	size_t n = strlen(e->d_name);
	return e->d_name[0] != '.' && n > 5 && !strcmp(e->d_name + n - 5, ".yaml");
}

static int add_path(struct files *f, const char *path, struct errbuf *eb)
{
	struct dirent **list = NULL;
	struct stat st;
	char full[1024];
	int err = 0;

	if (stat(path, &st) < 0)
		return err_set(eb, -errno, "%s", path);
	if (!S_ISDIR(st.st_mode))
		return add_file(f, path, eb);
	int n = scandir(path, &list, is_scenario, alphasort);
	if (n <= 0)
		return n < 0 ? err_set(eb, -errno, "%s", path)
			     : err_say(eb, -ENOENT, "%s holds no .yaml files", path);
	for (int i = 0; i < n; i++) {
		snprintf(full, sizeof(full), "%s/%s", path, list[i]->d_name);
		if (!err && !source_is_adapter(full))
			err = add_file(f, full, eb);
		free(list[i]);
	}
	free(list);
	return err;
}

static int files_collect(const struct command *c, struct files *f, struct errbuf *eb)
{
	int err = c->n_words ? 0 : err_say(eb, -ENOENT, "no scenario is named; give files or folders");
	for (int i = 0; i < c->n_words && !err; i++)
		err = add_path(f, c->words[i], eb);
	return err;
}

/* ---- run */

enum { BODY_INTERRUPTED = 100 }; /* a sandbox status ends at 125 */

static int in_sandbox(void *arg)
{
	int code = runner_run(arg);
	return code == EXIT_INTERRUPTED ? BODY_INTERRUPTED : code;
}

static int code_of(int status)
{
	if (status == BODY_INTERRUPTED || status == -EINTR)
		return EXIT_INTERRUPTED;
	if (status < 0)
		return status == ERR_CLOSED ? EXIT_BROKEN : EXIT_HOST;
	return status <= EXIT_BROKEN || status == RUN_NO_PROGRAM ? status : EXIT_BROKEN;
}

static enum run_skip skip_of(const struct command *c)
{
	return !c->opt.skip ? SKIP_NOTHING : c->opt.require ? SKIP_PROGRAMS : SKIP_ALL;
}

static bool is_skipped(const struct command *c, int code)
{
	return (code == EXIT_HOST && skip_of(c) == SKIP_ALL) ||
	       (code == RUN_NO_PROGRAM && skip_of(c) != SKIP_NOTHING);
}

static uint64_t chosen_seed(const struct command *c, const struct scenario *s)
{
	uint64_t seed = c->opt.seed ? c->opt.seed : s->seed;

	if (!seed && getrandom(&seed, sizeof(seed), 0) == sizeof(seed))
		seed &= 0xffffff; /* short enough to type */
	return seed ? seed : 1;
}

/* The folder of this scenario's evidence. `dir` is how it is reached from inside the sandbox, whose /run is
 * another. */
struct evidence {
	char name[1100], dir[32];
	int fd;
	FILE *events;
};

static int open_evidence(
	const struct command *c, const struct scenario *s, struct evidence *v, struct errbuf *eb)
{
	char path[1200];

	if (s->n_variants > 1)
		snprintf(v->name, sizeof(v->name), "%s/%s-%zu", c->opt.out, s->name, s->variant);
	else
		snprintf(v->name, sizeof(v->name), "%s/%s", c->opt.out, s->name);
	int err = dir_make(v->name, 0755, eb);
	if (err)
		return err;
	v->fd = open(v->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(v->dir, sizeof(v->dir), "/proc/self/fd/%d", v->fd);
	snprintf(path, sizeof(path), "%s/events.jsonl", v->name);
	v->events = v->fd < 0 ? NULL : fopen(path, "we");
	return v->events ? 0 : err_set(eb, -errno, "%s", path);
}

static void close_evidence(struct evidence *v)
{
	if (v->events)
		fclose(v->events);
	if (v->fd >= 0)
		close(v->fd);
}

/* The sandbox did not live to tell its own end. */
static void tell_no_end(struct story *st, bool skipped, const struct errbuf *eb)
{
	struct story_item item = { .kind = skipped ? "skip" : "error",
		.mark = skipped ? STORY_EVENT : STORY_BAD,
		.text = eb->text };
	story_tell(st, &item);
	if (st->view != STORY_TEXT)
		fprintf(stderr, "simnet: %s\n", eb->text);
}

static void print_head(const struct scenario *s)
{
	char title[300];

	printf("%s: %s   (seed %llu)\n", scenario_title(s, title, sizeof(title)),
		s->about ? s->about : s->file, (unsigned long long)s->seed);
}

int files_run_one(const struct command *c, struct scenario *s, bool keep_going)
{
	struct errbuf eb = { 0 };
	struct evidence kept = { .fd = -1 };
	struct story story = { .view = c->opt.json  ? STORY_JSON
				       : c->opt.tap ? STORY_QUIET
						    : STORY_TEXT,
		.out = stdout,
		.records = c->records,
		.now_ms = now_ms,
		.t0_ms = now_ms(),
		.scenario = s->name,
		.file = s->file,
		.variant = s->variant_name,
		.colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR") };
	struct runner r = { .scenario = s,
		.engine = &engine_kernel,
		.story = &story,
		.pcap = c->pcap,
		.skip = skip_of(c),
		.keep_going = keep_going,
		.control_fd = -1 };

	r.seed = s->seed = chosen_seed(c, s);
	if (c->opt.out && open_evidence(c, s, &kept, &eb)) {
		fprintf(stderr, "simnet: %s\n", eb.text);
		close_evidence(&kept);
		return EXIT_BROKEN;
	}
	if (c->opt.out)
		r.out_dir = kept.dir, r.out_name = kept.name, story.copy = kept.events;
	if (keep_going && (r.control_fd = shell_listen(s->name, &eb)) < 0)
		fprintf(stderr, "simnet: %s\n", eb.text);
	if (story.view == STORY_TEXT)
		print_head(s);
	fflush(NULL);
	int status = sandbox_run(in_sandbox, &r, &eb), code = code_of(status);
	if (status < 0)
		tell_no_end(&story, is_skipped(c, code), &eb);
	close_evidence(&kept);
	if (r.control_fd >= 0)
		close(r.control_fd);
	return code;
}

static int worse(int a, int b)
{
	static const int order[] = { EXIT_INTERRUPTED, EXIT_USAGE, EXIT_HOST, EXIT_BROKEN, EXIT_FAILED,
		EXIT_PASS };
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		if (a == order[i] || b == order[i])
			return order[i];
	return EXIT_BROKEN;
}

bool files_wanted(const struct command *c, const struct scenario *s)
{
	bool tagged = !c->opt.tag;
	char title[300];

	for (size_t i = 0; i < s->n_tags && !tagged; i++)
		tagged = !strcmp(s->tags[i], c->opt.tag);
	return tagged && (!c->opt.only || strstr(scenario_title(s, title, sizeof(title)), c->opt.only));
}

static void count(const struct command *c, struct tally *t, int code)
{
	bool skipped = is_skipped(c, code);

	t->run++;
	t->skipped += skipped;
	t->failed += code != EXIT_PASS && !skipped;
	if (!skipped)
		t->code = worse(t->code, code == RUN_NO_PROGRAM ? EXIT_HOST : code);
}

/* One combination of a file, checked; everything that is wrong is printed. */
static int read_whole(const char *path, size_t variant, struct scenario *s)
{
	struct scn_errors all = { 0 };
	struct errbuf eb = { 0 };
	int err = source_read_scenario(path, variant, s, &all, &eb);

	if (!err)
		err = runner_check(s, &all, &eb);
	if (err)
		fputs(all.text.len ? buf_cstr(&all.text) : eb.text, stderr);
	if (all.n > SCN_ERRORS_MAX)
		fprintf(stderr, "%s: and %u more\n", path, all.n - SCN_ERRORS_MAX);
	buf_free(&all.text);
	return err;
}

/* Every combination of one file. each: called for those wanted, its result an exit code. */
static int each_variant(const struct command *c, const char *path, struct tally *t,
	int (*each)(const struct command *c, struct scenario *s))
{
	size_t n = 1;

	for (size_t i = 0; i < n; i++) {
		struct scenario s = { 0 };
		if (read_whole(path, i, &s)) {
			scenario_free(&s);
			return EXIT_USAGE;
		}
		n = s.n_variants;
		if (files_wanted(c, &s)) {
			count(c, t, each(c, &s));
		}
		scenario_free(&s);
		if (t->code == EXIT_INTERRUPTED)
			return t->code;
	}
	return 0;
}

static int run_story(const struct command *c, struct scenario *s)
{
	return files_run_one(c, s, false);
}

static int check_only(const struct command *c, struct scenario *s)
{
	(void)c, (void)s;
	return EXIT_PASS;
}

int files_each(
	const struct command *c, struct tally *t, int (*each)(const struct command *c, struct scenario *s))
{
	struct files f = { 0 };
	struct errbuf eb = { 0 };
	int code = files_collect(c, &f, &eb) ? command_error(eb.text) : EXIT_PASS;

	for (size_t i = 0; i < f.n && code != EXIT_INTERRUPTED; i++, t->files++)
		code = worse(code, each_variant(c, f.path[i], t, each));
	free_files(&f);
	return code;
}

static int write_reports(struct command *c)
{
	struct errbuf eb = { 0 };
	struct buf text = { 0 };
	char path[64];
	int err = 0;

	fflush(c->records);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fileno(c->records));
	err = file_read(path, 256 << 20, &text, &eb);
	const char *records = (const char *)buf_data(&text);
	if (!err && c->opt.tap)
		err = report_write(REPORT_TAP, records, text.len, stdout, &eb);
	if (!err && c->opt.github)
		err = report_write(REPORT_GITHUB, records, text.len, stdout, &eb);
	if (!err && c->opt.junit) {
		FILE *f = fopen(c->opt.junit, "we");
		err = f ? report_write(REPORT_JUNIT, records, text.len, f, &eb)
			: err_set(&eb, -errno, "%s", c->opt.junit);
		if (f && fclose(f) != 0 && !err)
			err = err_set(&eb, -errno, "%s", c->opt.junit);
	}
	buf_free(&text);
	if (err)
		fprintf(stderr, "simnet: %s\n", eb.text);
	return err ? EXIT_BROKEN : EXIT_PASS;
}

/* Their evidence would be written over each other's. */
static int check_names(const struct files *f)
{
	struct scenario *all = calloc(f->n, sizeof(*all));
	struct errbuf eb = { 0 };
	int code = all ? 0 : EXIT_BROKEN;

	for (size_t i = 0; i < f->n && !code; i++) {
		if (source_read_scenario(f->path[i], 0, &all[i], NULL, &eb))
			code = command_error(eb.text);
		for (size_t k = 0; k < i && !code; k++)
			if (!strcmp(all[i].name, all[k].name)) {
				err_say(&eb, ERR_MALFORMED,
					"%.150s and %.150s are both named '%s': --out keeps only one",
					f->path[k], f->path[i], all[i].name);
				code = command_error(eb.text);
			}
	}
	for (size_t i = 0; all && i < f->n; i++)
		scenario_free(&all[i]);
	free(all);
	return code;
}

static int run_files(struct command *c, const struct files *f)
{
	struct tally t = { 0 };

	for (size_t i = 0; i < f->n; i++) /* nothing starts before every file is right */
		if (each_variant(c, f->path[i], &(struct tally) { 0 }, check_only))
			return EXIT_USAGE;
	if (c->opt.out && check_names(f))
		return EXIT_USAGE;
	for (size_t i = 0; i < f->n && t.code != EXIT_INTERRUPTED; i++)
		t.code = worse(t.code, each_variant(c, f->path[i], &t, run_story));
	t.code = worse(t.code, write_reports(c));
	if (!t.run)
		return command_error("no scenario matches -k or --tag");
	if (t.run > 1 && !c->opt.tap && !c->opt.json)
		printf("%u run, %u passed, %u failed, %u skipped\n", t.run - t.skipped,
			t.run - t.failed - t.skipped, t.failed, t.skipped);
	return t.code;
}

int files_run(struct command *c)
{
	struct files f = { 0 };
	struct errbuf eb = { 0 };
	int fd = memfd_create("simnet-records", MFD_CLOEXEC);
	int code;

	c->records = fd >= 0 ? fdopen(fd, "w+") : NULL;
	if (!c->records)
		return command_error("no memory for the records of the run");
	/* The sandbox children write there too: append, whoever is first. */
	fcntl(fd, F_SETFL, O_APPEND);
	if (c->opt.tap + c->opt.json > 1 || (c->opt.json && c->opt.github))
		code = command_error("--json, --tap and --github all want the standard output: choose one");
	else if (files_collect(c, &f, &eb))
		code = command_error(eb.text);
	else
		code = run_files(c, &f);
	free_files(&f);
	fclose(c->records);
	return code;
}
