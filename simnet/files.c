#include "simnet/command.h"

#include "mesh/os/file.h"
#include "mesh/os/loop.h"
#include "simnet/host/sandbox.h"
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

int command_end(int err, const struct errbuf *eb)
{
	if (!err)
		return EXIT_PASS;
	int code = command_error(eb->text);
	return err == -EINVAL ? code : EXIT_BROKEN;
}

/* ---- which files */

struct files {
	char **path;
	size_t n;
	bool adapters; /* those of a folder too */
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
		enum source_kind kind = source_kind_of(full);
		if (!err && (kind == SOURCE_SCENARIO || (kind == SOURCE_ADAPTER && f->adapters)))
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
	return status <= EXIT_UNSURE || status == RUN_NO_PROGRAM || status == RUN_REQUIRED ? status
											   : EXIT_BROKEN;
}

int files_exit_code(int code)
{
	return code == RUN_NO_PROGRAM || code == RUN_REQUIRED ? EXIT_HOST : code;
}

static enum run_skip skip_of(const struct command *c)
{
	return !c->opt.skip ? SKIP_NOTHING : c->opt.require ? SKIP_PROGRAMS : SKIP_ALL;
}

bool files_is_skipped(const struct command *c, int code)
{
	return code == RUN_TODO || (code == EXIT_HOST && skip_of(c) == SKIP_ALL) ||
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

/* What a run writes but run.jsonl, which is written anew. */
static bool is_evidence(const char *name)
{
	size_t n = strlen(name);
	return (n > 4 && !strcmp(name + n - 4, ".log")) || !strcmp(name, "net.pcapng") ||
	       !strcmp(name, "decisions.jsonl");
}

static void remove_evidence(int folder, const char *sub)
{
	int fd = openat(folder, sub, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (is_evidence(e->d_name))
			(void)unlinkat(fd, e->d_name, 0);
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
}

/* Of an earlier run, where this one keeps its own: a log or a capture of then would be taken for this run's. */
static void remove_earlier(int folder)
{
	struct stat st;

	if (fstatat(folder, "run.jsonl", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	remove_evidence(folder, ".");
	remove_evidence(folder, "steps");
}

static int open_evidence(
	const struct command *c, const struct scenario *s, struct evidence *v, struct errbuf *eb)
{
	char path[1200];

	int len = s->n_variants > 1
			  ? snprintf(v->name, sizeof(v->name), "%s/%s-%zu", c->opt.out, s->name, s->variant)
			  : snprintf(v->name, sizeof(v->name), "%s/%s", c->opt.out, s->name);
	if (c->run_number && len > 0 && (size_t)len < sizeof(v->name))
		snprintf(v->name + len, sizeof(v->name) - (size_t)len, "/run-%02u", c->run_number);
	int err = dir_make(v->name, 0755, eb);
	if (err)
		return err;
	v->fd = open(v->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (v->fd >= 0)
		remove_earlier(v->fd);
	snprintf(v->dir, sizeof(v->dir), "/proc/self/fd/%d", v->fd);
	snprintf(path, sizeof(path), "%s/run.jsonl", v->name);
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
static void tell_no_end(struct story *st, bool skipped, bool again, const struct errbuf *eb)
{
	struct story_item item = { .kind = skipped ? "skip" : "error",
		.mark = skipped ? STORY_EVENT : STORY_BAD,
		.text = eb->text,
		.keys = { "earlier" },
		.values = { again ? "unsure" : "" } };
	story_tell(st, &item);
	if (st->view != STORY_TEXT)
		fprintf(stderr, "simnet: %s\n", eb->text);
}

static void print_head(const struct scenario *s, bool again)
{
	char title[300];

	printf("%s: %s   (seed %llu%s)\n", scenario_title(s, title, sizeof(title)),
		s->about ? s->about : s->file, (unsigned long long)s->seed,
		again ? ", once more, alone: it was inconclusive" : "");
}

static struct story open_story(const struct command *c, const struct scenario *s)
{
	return (struct story) { .view = c->opt.json  ? STORY_JSON
					: c->opt.tap ? STORY_QUIET
						     : STORY_TEXT,
		.out = stdout,
		.records = c->records,
		.whole = c->opt.review.html != NULL,
		.now_ms = clock_now_ms,
		.t0_ms = clock_now_ms(),
		.scenario = s->name,
		.file = s->file,
		.variant = s->variant_name,
		.colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR") };
}

/* Its address is for a person, wherever the story goes. */
static int open_door(const struct command *c, struct live_door *door)
{
	struct errbuf eb = { 0 };
	char url[160];

	if (c->opt.jobs > 1)
		return command_error("--live shows one run at a time: leave -j out");
	if (live_listen(c->opt.review.live, door, &eb))
		return command_error(eb.text);
	fprintf(stderr, "live page: %s   (Ctrl-C ends the run)\n", live_url(door, url, sizeof(url)));
	return 0;
}

int files_run_one(const struct command *c, struct scenario *s, enum run_keep keep)
{
	struct errbuf eb = { 0 };
	struct evidence kept = { .fd = -1 };
	struct live_door door = { .fd = -1 };
	struct story story = open_story(c, s);
	struct runner r = { .scenario = s,
		.engine = c->engine,
		.story = &story,
		.pcap = c->pcap,
		.skip = skip_of(c),
		.required = c->opt.require,
		.keep = keep ? keep : c->keep,
		.step_by_step = c->opt.step,
		.again = c->again,
		.control_fd = -1 };

	r.seed = s->seed = chosen_seed(c, s);
	if (c->opt.timeout_ms)
		s->timeout_ms = c->opt.timeout_ms;
	if (c->opt.review.live && open_door(c, &door))
		return EXIT_USAGE;
	r.live = door.fd >= 0 ? &door : NULL;
	if (c->opt.out && open_evidence(c, s, &kept, &eb)) {
		fprintf(stderr, "simnet: %s\n", eb.text);
		close_evidence(&kept);
		live_door_close(&door);
		return EXIT_BROKEN;
	}
	if (c->opt.out)
		r.out_dir = kept.dir, r.out_name = kept.name, story.copy = kept.events;
	if ((r.keep || r.step_by_step) && (r.control_fd = shell_listen(s->name, &eb)) < 0)
		fprintf(stderr, "simnet: %s\n", eb.text);
	if (story.view == STORY_TEXT)
		print_head(s, c->again);
	fflush(NULL);
	int status = sandbox_run(in_sandbox, &r, &eb), code = code_of(status);
	if (status < 0)
		tell_no_end(&story, files_is_skipped(c, code), c->again, &eb);
	close_evidence(&kept);
	live_door_close(&door);
	if (r.control_fd >= 0)
		close(r.control_fd);
	return code;
}

int files_worse(int a, int b)
{
	static const int order[] = { EXIT_INTERRUPTED, EXIT_USAGE, EXIT_HOST, EXIT_BROKEN, EXIT_FAILED,
		EXIT_UNSURE, EXIT_PASS };
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		if (a == order[i] || b == order[i])
			return order[i];
	return EXIT_BROKEN;
}

bool files_wanted(const struct command *c, const struct scenario *s)
{
	const char *tag = c->opt.tag;
	bool without = tag && *tag == '!', tagged = false;
	char title[300];

	for (size_t i = 0; tag && i < s->n_tags && !tagged; i++)
		tagged = !strcmp(s->tags[i], tag + without);
	return (!tag || tagged != without) &&
	       (!c->opt.only || strstr(scenario_title(s, title, sizeof(title)), c->opt.only));
}

static void count(const struct command *c, struct tally *t, int code)
{
	bool skipped = files_is_skipped(c, code);

	t->run++;
	t->skipped += skipped;
	t->failed += code != EXIT_PASS && !skipped;
	if (!skipped)
		t->code = files_worse(t->code, files_exit_code(code));
}

/* Prints all that is wrong with a file. */
static void print_errors(const char *path, struct scn_errors *all, const struct errbuf *eb)
{
	if (all->text.len)
		fputs(buf_cstr(&all->text), stderr);
	else
		fprintf(stderr, "%s\n", eb->text);
	if (all->n > SCN_ERRORS_MAX)
		fprintf(stderr, "%s: and %u more\n", path, all->n - SCN_ERRORS_MAX);
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
		print_errors(path, &all, &eb);
	buf_free(&all.text);
	return err;
}

static int check_adapter(const char *path)
{
	struct adapter a = { 0 };
	struct scn_errors all = { 0 };
	struct errbuf eb = { 0 };
	int err = source_read_adapter(path, &a, &all, &eb);

	if (err)
		print_errors(path, &all, &eb);
	buf_free(&all.text);
	adapter_free(&a);
	return err ? EXIT_USAGE : EXIT_PASS;
}

/* A file that is named and is none of a scenario. */
static int other_file(const char *path, enum source_kind kind, struct tally *t)
{
	if (kind == SOURCE_ADAPTER && t->lints) {
		t->adapters++;
		return check_adapter(path);
	}
	fprintf(stderr, "%s: %s\n", path,
		kind == SOURCE_ADAPTER
			? "an adapter, no scenario; name the scenario that uses it"
			: "a part, no scenario; it is checked with each scenario that uses it");
	return EXIT_USAGE;
}

/* Every combination of one file. each: called for those wanted, its result an exit code. */
static int each_variant(const struct command *c, const char *path, struct tally *t,
	int (*each)(const struct command *c, struct scenario *s))
{
	size_t n = 1;
	enum source_kind kind = source_kind_of(path);

	if (kind != SOURCE_SCENARIO)
		return other_file(path, kind, t);
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

/* Not run, and not forgotten. */
static void tell_todo(const struct command *c, const struct scenario *s)
{
	struct story story = open_story(c, s);
	char text[600], title[300], message[300];

	snprintf(message, sizeof(message), "todo: %.280s", s->todo);
	snprintf(text, sizeof(text), "SKIP %s  %s", scenario_title(s, title, sizeof(title)), message);
	story_tell(&story, &(struct story_item) { .kind = "skip",
				   .mark = STORY_EVENT,
				   .at = { .line = 1, .column = 1 },
				   .text = text,
				   .keys = { "message", "seconds", "seed" },
				   .values = { message, "0", "0" } });
}

static int list_one(const struct command *c, struct scenario *s)
{
	char title[300];

	if (!jobs_takes(c->jobs))
		return EXIT_PASS;
	printf("%s", scenario_title(s, title, sizeof(title)));
	for (size_t i = 0; i < s->n_tags; i++)
		printf("%s%s", i ? " " : "  #", s->tags[i]);
	printf(s->todo ? "  todo: %s\n" : "\n", s->todo);
	return EXIT_PASS;
}

int files_run_story(const struct command *c, struct scenario *s)
{
	if (s->todo && !c->opt.todo) {
		tell_todo(c, s);
		return RUN_TODO;
	}
	return files_run_one(c, s, KEEP_NEVER);
}

int files_each(
	const struct command *c, struct tally *t, int (*each)(const struct command *c, struct scenario *s))
{
	struct files f = { .adapters = t->lints };
	struct errbuf eb = { 0 };
	int code = files_collect(c, &f, &eb) ? command_error(eb.text) : EXIT_PASS;

	for (size_t i = 0; t->lints && c->opt.fix && i < f.n; i++)
		code = files_worse(code, lint_fix(f.path[i]));
	for (size_t i = 0; i < f.n && code != EXIT_INTERRUPTED; i++, t->files++)
		code = files_worse(code, each_variant(c, f.path[i], t, each));
	free_files(&f);
	return code;
}

int files_list(const struct command *c)
{
	return files_each(c, &(struct tally) { 0 }, list_one);
}
