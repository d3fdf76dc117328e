#include "mesh/base/text.h"
#include "mesh/os/file.h"
#include "mesh/os/loop.h"
#include "mesh/os/man.h"
#include "simnet/runner.h"
#include "simnet/sandbox.h"
#include <assert.h>
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

struct options {
	const char *only, *junit, *out, *pcap, *tag;
	uint64_t seed;
	bool tap, json, github, help, man, version;
};

static const struct opt_row rows[] = {
	{ "k", "only", OPT_STRING, offsetof(struct options, only), "NAME",
		"only scenarios whose name holds this" },
	{ "tag", NULL, OPT_STRING, offsetof(struct options, tag), "TAG", "only scenarios with this tag" },
	{ "seed", NULL, OPT_U64, offsetof(struct options, seed), "N", "repeat a run's random choices" },
	{ "junit", NULL, OPT_STRING, offsetof(struct options, junit), "FILE", "write a JUnit report" },
	{ "tap", NULL, OPT_BOOL, offsetof(struct options, tap), NULL, "print TAP 14 instead of the story" },
	{ "json", NULL, OPT_BOOL, offsetof(struct options, json), NULL,
		"print JSON lines instead of the story" },
	{ "github", NULL, OPT_BOOL, offsetof(struct options, github), NULL,
		"print GitHub annotations for failures" },
	{ "out", NULL, OPT_STRING, offsetof(struct options, out), "DIR",
		"keep events, logs and captures there" },
	{ "pcap", NULL, OPT_STRING, offsetof(struct options, pcap), "WHEN",
		"captures in --out: fail (default), all, off" },
	{ "help", "h", OPT_BOOL, offsetof(struct options, help), NULL, "this text" },
	{ "man", NULL, OPT_BOOL, offsetof(struct options, man), NULL, "print the man page (roff)" },
	{ "version", NULL, OPT_BOOL, offsetof(struct options, version), NULL, "print the version" },
	{ 0 },
};

struct command {
	struct options opt;
	const char **words;
	int n_words;
	enum pcap_when pcap;
	FILE *records; /* of all scenarios */
};

static int usage_error(const char *text)
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
		if (!err)
			err = add_file(f, full, eb);
		free(list[i]);
	}
	free(list);
	return err;
}

static int collect(const struct command *c, struct files *f, struct errbuf *eb)
{
	int err = c->n_words ? 0 : err_say(eb, -ENOENT, "no scenario is named; give files or folders");
	for (int i = 0; i < c->n_words && !err; i++)
		err = add_path(f, c->words[i], eb);
	return err;
}

/* ---- run */

enum { SANDBOX_INTERRUPTED = 100 }; /* a sandbox status ends at 125 */

static int in_sandbox(void *arg)
{
	int code = runner_run(arg);
	return code == EXIT_INTERRUPTED ? SANDBOX_INTERRUPTED : code;
}

static int code_of(int status)
{
	if (status == SANDBOX_INTERRUPTED)
		return EXIT_INTERRUPTED;
	return status <= EXIT_BROKEN ? status : EXIT_BROKEN;
}

static uint64_t chosen_seed(const struct command *c, const struct scenario *s)
{
	uint64_t seed = c->opt.seed ? c->opt.seed : s->seed;

	if (!seed && getrandom(&seed, sizeof(seed), 0) == sizeof(seed))
		seed &= 0xffffff; /* short enough to type */
	return seed ? seed : 1;
}

static FILE *copy_file(
	const struct command *c, const struct scenario *s, char *dir, size_t cap, struct errbuf *eb)
{
	char path[1200];

	if (s->n_variants > 1)
		snprintf(dir, cap, "%s/%s-%zu", c->opt.out, s->name, s->variant);
	else
		snprintf(dir, cap, "%s/%s", c->opt.out, s->name);
	if (dir_make(dir, 0755, eb))
		return NULL;
	snprintf(path, sizeof(path), "%s/events.jsonl", dir);
	FILE *f = fopen(path, "we");
	if (!f)
		err_set(eb, -errno, "%s", path);
	return f;
}

static void host_cannot(struct story *st, const struct errbuf *eb)
{
	struct story_item item = { .kind = "error", .mark = STORY_BAD, .text = eb->text };
	story_tell(st, &item);
	if (st->view != STORY_TEXT)
		fprintf(stderr, "simnet: %s\n", eb->text);
}

static int run_one(const struct command *c, struct scenario *s, bool keep_going)
{
	char dir[1100];
	struct errbuf eb = { 0 };
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
		.keep_going = keep_going,
		.control_fd = -1 };

	r.seed = s->seed = chosen_seed(c, s);
	if (c->opt.out) {
		r.out_dir = dir;
		story.copy = copy_file(c, s, dir, sizeof(dir), &eb);
		if (!story.copy) {
			fprintf(stderr, "simnet: %s\n", eb.text);
			return EXIT_BROKEN;
		}
	}
	if (keep_going && (r.control_fd = shell_listen(&eb)) < 0)
		fprintf(stderr, "simnet: %s\n", eb.text);
	if (story.view == STORY_TEXT)
		printf("%s%s%s%s: %s   (seed %llu)\n", s->name, s->variant_name ? " [" : "",
			s->variant_name ? s->variant_name : "", s->variant_name ? "]" : "",
			s->about ? s->about : s->file, (unsigned long long)r.seed);
	fflush(NULL);
	int code = sandbox_run(in_sandbox, &r, &eb);
	if (code < 0) {
		host_cannot(&story, &eb);
		code = EXIT_HOST;
	} else {
		code = code_of(code);
	}
	if (story.copy)
		fclose(story.copy);
	if (r.control_fd >= 0)
		close(r.control_fd);
	return code;
}

static int worse(int a, int b)
{
	static const int order[] = { EXIT_INTERRUPTED, EXIT_HOST, EXIT_BROKEN, EXIT_FAILED, EXIT_PASS };
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		if (a == order[i] || b == order[i])
			return order[i];
	return EXIT_BROKEN;
}

static bool wanted(const struct command *c, const struct scenario *s)
{
	bool tagged = !c->opt.tag;

	for (size_t i = 0; i < s->n_tags && !tagged; i++)
		tagged = !strcmp(s->tags[i], c->opt.tag);
	return tagged && (!c->opt.only || strstr(s->name, c->opt.only));
}

struct tally {
	unsigned run, failed;
	int code;
};

/* Every combination of one file. each: called for those wanted, its result an exit code. */
static int each_variant(const struct command *c, const char *path, struct tally *t,
	int (*each)(const struct command *c, struct scenario *s))
{
	size_t n = 1;

	for (size_t i = 0; i < n; i++) {
		struct scenario s = { 0 };
		struct errbuf eb = { 0 };
		int err = scenario_read(path, i, &s, &eb);
		if (!err)
			err = runner_check(&s, &eb);
		if (err) {
			fprintf(stderr, "%s\n", eb.text);
			scenario_free(&s);
			return EXIT_USAGE;
		}
		n = s.n_variants;
		if (wanted(c, &s)) {
			int code = each(c, &s);
			t->run++;
			t->failed += code != EXIT_PASS;
			t->code = worse(t->code, code);
		}
		scenario_free(&s);
		if (t->code == EXIT_INTERRUPTED)
			return t->code;
	}
	return 0;
}

static int run_story(const struct command *c, struct scenario *s)
{
	return run_one(c, s, false);
}

static int check_only(const struct command *c, struct scenario *s)
{
	(void)c, (void)s;
	return EXIT_PASS;
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
		if (f)
			fclose(f);
	}
	buf_free(&text);
	if (err)
		fprintf(stderr, "simnet: %s\n", eb.text);
	return err ? EXIT_BROKEN : EXIT_PASS;
}

static int run_files(struct command *c, const struct files *f)
{
	struct tally t = { 0 };

	for (size_t i = 0; i < f->n; i++) /* nothing starts before every file is right */
		if (each_variant(c, f->path[i], &(struct tally) { 0 }, check_only))
			return EXIT_USAGE;
	for (size_t i = 0; i < f->n && t.code != EXIT_INTERRUPTED; i++)
		each_variant(c, f->path[i], &t, run_story);
	t.code = worse(t.code, write_reports(c));
	if (!t.run)
		return usage_error("no scenario matches -k or --tag");
	if (t.run > 1 && !c->opt.tap && !c->opt.json)
		printf("%u run, %u passed, %u failed\n", t.run, t.run - t.failed, t.failed);
	return t.code;
}

static int verb_run(struct command *c)
{
	struct files f = { 0 };
	struct errbuf eb = { 0 };
	int fd = memfd_create("simnet-records", MFD_CLOEXEC);
	int code;

	c->records = fd >= 0 ? fdopen(fd, "w+") : NULL;
	if (!c->records)
		return usage_error("no memory for the records of the run");
	/* The sandbox children write there too: append, whoever is first. */
	fcntl(fd, F_SETFL, O_APPEND);
	if (collect(c, &f, &eb))
		code = usage_error(eb.text);
	else
		code = run_files(c, &f);
	free_files(&f);
	fclose(c->records);
	return code;
}

/* ---- the other verbs */

static int verb_lint(struct command *c)
{
	struct files f = { 0 };
	struct errbuf eb = { 0 };
	struct tally t = { 0 };
	int code = EXIT_PASS;

	if (collect(c, &f, &eb))
		code = usage_error(eb.text);
	for (size_t i = 0; i < f.n; i++)
		if (each_variant(c, f.path[i], &t, check_only))
			code = EXIT_USAGE;
	if (code == EXIT_PASS)
		printf("%zu files, %u scenarios: good\n", f.n, t.run);
	free_files(&f);
	return code;
}

static int verb_up(struct command *c)
{
	struct scenario s = { 0 };
	struct errbuf eb = { 0 };

	if (c->n_words != 1)
		return usage_error("up takes one scenario file");
	int err = scenario_read(c->words[0], 0, &s, &eb);
	if (!err)
		err = runner_check(&s, &eb);
	if (err)
		return usage_error(eb.text);
	s.n_steps = 0;
	int code = run_one(c, &s, true);
	scenario_free(&s);
	return code;
}

static int verb_shell(struct command *c)
{
	int pids[64], n = shell_find(pids, (int)ARRAY_LEN(pids));
	struct errbuf eb = { 0 };

	if (!c->n_words)
		return usage_error(
			"shell takes the name of a node, and a command if it is not to be a shell");
	if (!n)
		return usage_error("no lab is up; start one with 'simnet up FILE'");
	if (n > 1)
		return usage_error("more than one lab is up; end the others first");
	const char *const *argv = c->words + 1;
	if (*argv && !strcmp(*argv, "--"))
		argv++;
	int code = shell_run(pids[0], c->words[0], argv, &eb);
	return code < 0 ? usage_error(eb.text) : code;
}

static int verb_doctor(struct command *c)
{
	struct sandbox_check checks[64];
	int n = sandbox_doctor(checks, (int)ARRAY_LEN(checks)), missing = 0;
	(void)c;

	for (int i = 0; i < n; i++) {
		missing += checks[i].needed && !checks[i].ok;
		printf("%-4s %-34s %s\n",
			checks[i].ok	   ? "ok"
			: checks[i].needed ? "NO"
					   : "no",
			checks[i].what, checks[i].detail);
	}
	printf(missing ? "simnet cannot run here until the lines with NO are right\n"
		       : "simnet can run here\n");
	return missing ? EXIT_HOST : EXIT_PASS;
}

/* Everything a run makes belongs to its sandbox or to nothing, so there is only something to say. */
static int verb_clean(struct command *c)
{
	int pids[64], n = shell_find(pids, (int)ARRAY_LEN(pids));
	(void)c;

	printf("nothing to remove: runs keep nothing outside their own namespaces\n");
	for (int i = 0; i < n; i++)
		printf("a lab is up, process %d; Ctrl-C there, or 'kill %d', ends it\n", pids[i], pids[i]);
	return EXIT_PASS;
}

static int print_plan(const struct command *c, struct scenario *s)
{
	char a[ADDR_TEXT], b[PREFIX_TEXT];
	(void)c;

	printf("%s%s%s\n", s->name, s->variant_name ? " " : "", s->variant_name ? s->variant_name : "");
	for (size_t i = 0; i < s->n_routers; i++)
		printf("  router  %-12s %-15s %s\n", s->routers[i].name, addr_format(&s->routers[i].wan, a),
			prefix_format(&s->routers[i].lan_net, b));
	for (size_t i = 0; i < s->n_nodes; i++)
		printf("  %-7s %-12s %-15s %s\n", s->nodes[i].is_service ? "service" : "node",
			s->nodes[i].name, addr_format(&s->nodes[i].ip, a),
			s->nodes[i].router < 0 ? "internet" : s->routers[s->nodes[i].router].name);
	for (size_t i = 0; i < s->n_nodes; i++)
		for (size_t k = i + 1; k < s->n_nodes; k++) {
			const char *why = "";
			if (s->nodes[i].is_service || s->nodes[k].is_service)
				continue;
			enum scn_path p = topology_oracle(s, (int)i, (int)k, &why);
			printf("  oracle  %s -> %s: %s; %s\n", s->nodes[i].name, s->nodes[k].name,
				scenario_path_name(p), why);
		}
	return EXIT_PASS;
}

static int verb_plan(struct command *c)
{
	struct files f = { 0 };
	struct errbuf eb = { 0 };
	struct tally t = { 0 };
	int code = collect(c, &f, &eb) ? usage_error(eb.text) : EXIT_PASS;

	for (size_t i = 0; i < f.n && code == EXIT_PASS; i++)
		code = each_variant(c, f.path[i], &t, print_plan);
	free_files(&f);
	return code;
}

struct verb {
	struct man_verb man;
	int (*run)(struct command *c);
};
static const struct verb verb_run_row = {
	{ "run", "FILES|FOLDERS", "run scenarios and tell what happens",
		"Builds each scenario's network, probes its routers, starts the programs, runs the steps and "
		"takes everything away "
		"again. The story is printed as it happens.",
		NULL },
	verb_run
};
static const struct verb verb_lint_row = {
	{ "lint", "FILES|FOLDERS", "check scenarios without a network", NULL, NULL }, verb_lint
};
static const struct verb verb_plan_row = {
	{ "plan", "FILES|FOLDERS", "print addresses and the path expected between every two nodes", NULL,
		NULL },
	verb_plan
};
static const struct verb verb_up_row = {
	{ "up", "FILE", "build a scenario's network, start its programs, and stay",
		"The steps are not run. An interrupt (Ctrl-C) ends it.", NULL },
	verb_up
};
static const struct verb verb_shell_row = {
	{ "shell", "NODE [-- COMMAND]", "a shell, or a command, in a node of the network that is up", NULL,
		NULL },
	verb_shell
};
static const struct verb verb_doctor_row = {
	{ "doctor", "", "what this machine lacks, and how to get it", NULL, NULL }, verb_doctor
};
static const struct verb verb_clean_row = { { "clean", "", "what runs have left behind", NULL, NULL },
	verb_clean };

static const struct verb *const verbs[] = { &verb_run_row, &verb_lint_row, &verb_plan_row, &verb_up_row,
	&verb_shell_row, &verb_doctor_row, &verb_clean_row };
static const struct man_verb *const verb_texts[] = { &verb_run_row.man, &verb_lint_row.man,
	&verb_plan_row.man, &verb_up_row.man, &verb_shell_row.man, &verb_doctor_row.man, &verb_clean_row.man,
	NULL };
static_assert(ARRAY_LEN(verb_texts) == ARRAY_LEN(verbs) + 1, "verb_texts misses a verb");

static const struct man_item exits[] = {
	{ "0", "all passed" },
	{ "1", "a scenario failed" },
	{ "2", "the command line or a file is wrong" },
	{ "3", "this machine cannot run it; simnet doctor says what it lacks" },
	{ "4", "the network could not be built as the file asks" },
	{ "130", "interrupted" },
	{ NULL, NULL },
};
static const struct man_item environment[] = {
	{ "RW_BIN_DIR", "where programs of scenarios are looked for first" },
	{ "SIMNET_ADAPTERS", "a folder of adapters, before the installed ones" },
	{ "NO_COLOR", "no colours on a terminal" },
	{ NULL, NULL },
};
static const struct man_program program = {
	.name = "simnet",
	.section = 1,
	.summary = "run programs in networks of namespaces, as a scenario says",
	.words = "VERB [OPTIONS]",
	.text = "simnet builds networks with routers of every kind of NAT out of namespaces of this machine, "
		"runs any programs in "
		"them, breaks things on purpose, and checks and explains what comes of it. Nothing of it is "
		"seen outside, and "
		"nothing is left afterwards.",
	.options = rows,
	.verbs = verb_texts,
	.exits = exits,
	.environment = environment,
	.see_also = "ropewalk(1), ropewalkd(8)",
};

static const struct verb *find_verb(const char *name)
{
	const char *names[ARRAY_LEN(verbs) + 1] = { NULL };

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		names[i] = verbs[i]->man.name;
		if (!strcmp(names[i], name))
			return verbs[i];
	}
	const char *near = text_nearest(name, names);
	if (near)
		fprintf(stderr, "simnet: no verb '%s'; did you mean '%s'?\n", name, near);
	else
		fprintf(stderr, "simnet: no verb '%s'; 'simnet --help' lists them\n", name);
	return NULL;
}

static int read_pcap(struct command *c)
{
	static const char *const words[] = { [PCAP_OFF] = "off", [PCAP_FAIL] = "fail", [PCAP_ALL] = "all" };

	c->pcap = PCAP_FAIL;
	if (!c->opt.pcap)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (!strcmp(words[i], c->opt.pcap)) {
			c->pcap = (enum pcap_when)i;
			return 0;
		}
	return usage_error("--pcap is fail, all or off");
}

int main(int argc, char **argv)
{
	struct command c = { 0 };
	struct errbuf eb = { 0 };
	const char **words = calloc((size_t)argc + 1, sizeof(*words));
	int n = 0, code;

	if (!words)
		return EXIT_BROKEN;
	/* What is run in a node has options of its own. */
	bool shell = argc > 1 && !strcmp(argv[1], "shell");
	if (shell)
		words[0] = argv[1];
	if (opt_parse(rows, argc - shell, argv + shell, shell, &c.opt, words + shell, &n, &eb)) {
		code = usage_error(eb.text);
	} else if (c.opt.version) {
		printf("simnet " RW_VERSION "\n");
		code = EXIT_PASS;
	} else if (c.opt.man) {
		man_page(&program, stdout);
		code = EXIT_PASS;
	} else if ((n += shell) == 0 || c.opt.help) {
		const struct verb *v = n ? find_verb(words[0]) : NULL;
		if (v)
			man_help_verb(&program, &v->man, stdout);
		else
			man_help(&program, c.opt.help ? stdout : stderr);
		code = c.opt.help ? EXIT_PASS : EXIT_USAGE;
	} else {
		const struct verb *v = find_verb(words[0]);
		c.words = words + 1;
		c.n_words = n - 1;
		code = !v || read_pcap(&c) ? EXIT_USAGE : v->run(&c);
	}
	free(words);
	return code;
}
