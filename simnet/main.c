#include "simnet/command.h"

#include "mesh/base/text.h"
#include "mesh/os/man.h"
#include "simnet/doctor.h"
#include "simnet/host/sandbox.h"
#include "simnet/host/source.h"
#include "simnet/scenario/oracle.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ONLY \
	{ "k", "only", OPT_STRING, offsetof(struct options, only), "NAME", \
		"only scenarios whose name, with its [variant], holds this" }, \
	{ \
		"tag", NULL, OPT_STRING, offsetof(struct options, tag), "TAG", \
			"only scenarios with this tag" \
	}
#define HELP \
	{ \
		"help", "h", OPT_BOOL, offsetof(struct options, help), NULL, "this text" \
	}
#define STORY \
	{ "seed", NULL, OPT_U64, offsetof(struct options, seed), "N", "repeat a run's random choices" }, \
		{ "json", NULL, OPT_BOOL, offsetof(struct options, json), NULL, \
			"print JSON lines instead of the story" }, \
		{ "out", NULL, OPT_STRING, offsetof(struct options, out), "DIR", \
			"keep events, logs and captures there" }, \
	{ \
		"pcap", NULL, OPT_STRING, offsetof(struct options, pcap), "WHEN", \
			"captures in --out: fail (default), all, off" \
	}

static const struct opt_row global_rows[] = {
	HELP,
	{ "man", NULL, OPT_BOOL, offsetof(struct options, man), NULL, "print the man page (roff)" },
	{ "version", NULL, OPT_BOOL, offsetof(struct options, version), NULL, "print the version" },
	{ 0 },
};
static const struct opt_row run_rows[] = {
	ONLY,
	STORY,
	{ "tap", NULL, OPT_BOOL, offsetof(struct options, tap), NULL, "print TAP 14 instead of the story" },
	{ "junit", NULL, OPT_STRING, offsetof(struct options, junit), "FILE", "write a JUnit report" },
	{ "github", NULL, OPT_BOOL, offsetof(struct options, github), NULL,
		"print GitHub annotations for failures" },
	{ "skip-unsupported", NULL, OPT_BOOL, offsetof(struct options, skip), NULL,
		"what this machine cannot run is skipped, not an error" },
	{ "require", NULL, OPT_BOOL, offsetof(struct options, require), NULL,
		"of that skip only what lacks a program: a machine that can run nothing is an error" },
	HELP,
	{ 0 },
};
static const struct opt_row up_rows[] = { ONLY, STORY, HELP, { 0 } };
static const struct opt_row choose_rows[] = { ONLY, HELP, { 0 } };
static const struct opt_row shell_rows[] = {
	{ "lab", NULL, OPT_U64, offsetof(struct options, lab), "PID", "which network, if several are up" },
	HELP,
	{ 0 },
};
static const struct opt_row plain_rows[] = { HELP, { 0 } };

static int check_only(const struct command *c, struct scenario *s)
{
	(void)c, (void)s;
	return EXIT_PASS;
}

static int verb_lint(struct command *c)
{
	struct tally t = { 0 };
	int code = files_each(c, &t, check_only);

	if (code == EXIT_PASS)
		printf("%u file%s, %u scenario%s: good\n", t.files, t.files == 1 ? "" : "s", t.run,
			t.run == 1 ? "" : "s");
	return code;
}

static int verb_up(struct command *c)
{
	struct scenario s = { 0 };
	struct errbuf eb = { 0 };
	size_t n = 1;
	int err = 0;

	if (c->n_words != 1)
		return command_error("up takes one scenario file");
	for (size_t i = 0; i < n && !err; i++) {
		scenario_free(&s);
		if (!(err = source_read_scenario(c->words[0], i, &s, NULL, &eb)) && files_wanted(c, &s))
			break;
		n = s.n_variants;
		if (!err && i + 1 == n)
			err = err_say(&eb, -ENOENT, "no variant of %s matches -k or --tag", c->words[0]);
	}
	if (!err)
		err = runner_check(&s, NULL, &eb);
	s.n_steps = 0;
	int code = err ? command_error(eb.text) : files_run_one(c, &s, true);
	code = code == RUN_NO_PROGRAM ? EXIT_HOST : code;
	scenario_free(&s);
	return code;
}

/* The one that is up, or the one that --lab names. */
static int choose_lab(const struct command *c, struct shell_lab *out)
{
	struct shell_lab labs[64];
	int n = shell_find(labs, (int)ARRAY_LEN(labs));

	for (int i = 0; i < n; i++) {
		*out = labs[i];
		if (n == 1 ? !c->opt.lab || c->opt.lab == (uint64_t)labs[i].pid
			   : c->opt.lab == (uint64_t)labs[i].pid)
			return 0;
	}
	if (!n)
		return command_error("no lab is up; start one with 'simnet up FILE'");
	command_error(
		c->opt.lab ? "no lab has that number" : "more than one lab is up; --lab PID says which");
	for (int i = 0; i < n; i++)
		fprintf(stderr, "  --lab %d   %s\n", labs[i].pid, labs[i].name);
	return EXIT_USAGE;
}

static int verb_shell(struct command *c)
{
	struct shell_lab lab;
	struct errbuf eb = { 0 };

	if (!c->n_words)
		return command_error(
			"shell takes the name of a node or router, and a command if it is not to be a shell");
	const char *const *argv = c->words + 1;
	if (*argv && !strcmp(*argv, "--"))
		argv++;
	int code = choose_lab(c, &lab);
	if (!code && (code = shell_run(&lab, c->words[0], argv, &eb)) < 0)
		code = command_error(eb.text);
	return code;
}

static int verb_doctor(struct command *c)
{
	struct doctor_check checks[64];
	int n = doctor_checks(checks, (int)ARRAY_LEN(checks)), missing = 0;
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
	struct shell_lab labs[64];
	int n = shell_find(labs, (int)ARRAY_LEN(labs));
	(void)c;

	printf("nothing to remove: runs keep nothing outside their own namespaces\n");
	for (int i = 0; i < n; i++)
		printf("lab %s is up, process %d; Ctrl-C there, or 'kill %d', ends it\n", labs[i].name,
			labs[i].pid, labs[i].pid);
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
			struct oracle_verdict v;
			if (s->nodes[i].is_service || s->nodes[k].is_service)
				continue;
			oracle_ask(s, 0, (int)i, (int)k, &v);
			printf("  oracle  %s -> %s: %s; %s\n", s->nodes[i].name, s->nodes[k].name,
				scenario_path_name(v.path), v.why);
		}
	return EXIT_PASS;
}

static int verb_plan(struct command *c)
{
	return files_each(c, &(struct tally) { 0 }, print_plan);
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
		run_rows },
	files_run
};
static const struct verb verb_lint_row = {
	{ "lint", "FILES|FOLDERS", "check scenarios without a network", NULL, choose_rows }, verb_lint
};
static const struct verb verb_plan_row = {
	{ "plan", "FILES|FOLDERS", "print addresses and the path expected between every two nodes", NULL,
		choose_rows },
	verb_plan
};
static const struct verb verb_up_row = { { "up", "FILE",
						 "build a scenario's network, start its programs, and stay",
						 "The steps are not run. Of a matrix -k chooses the variant, "
						 "otherwise it is the first. An interrupt "
						 "(Ctrl-C) ends it.",
						 up_rows },
	verb_up };
static const struct verb verb_shell_row = {
	{ "shell", "NODE|ROUTER [-- COMMAND]", "a shell, or a command, in a host of the network that is up",
		NULL, shell_rows },
	verb_shell
};
static const struct verb verb_doctor_row = {
	{ "doctor", "", "what this machine lacks, and how to get it", NULL, plain_rows }, verb_doctor
};
static const struct verb verb_clean_row = { { "clean", "", "what runs have left behind", NULL, plain_rows },
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
	{ "4", "the network could not be built as the file asks, or the output not be written" },
	{ "130", "interrupted" },
	{ NULL, NULL },
};
static const struct man_item environment[] = {
	{ "RW_BIN_DIR", "where programs of scenarios are looked for first" },
	{ "RW_PEERS_DIR", "where foreign programs with a folder in their name are looked for" },
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
	.options = global_rows,
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
	return command_error("--pcap is fail, all or off");
}

/* Or the first file we open is taken for the standard output. */
static void open_missing_fds(void)
{
	int fd;

	while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
		;
	if (fd >= 0)
		close(fd);
}

static int run_verb(struct command *c, const struct verb *v, int argc, char **argv, const char **words)
{
	struct errbuf eb = { 0 };
	int n = 0;
	/* What is run in a node has options of its own. */
	bool stop = v->run == verb_shell;

	if (opt_parse(v->man.options, argc, argv, stop, &c->opt, words, &n, &eb))
		return command_error(eb.text);
	if (c->opt.help) {
		man_help_verb(&program, &v->man, stdout);
		return EXIT_PASS;
	}
	words[n] = NULL; /* the first parse left more; a shell's command ends here */
	c->words = words;
	c->n_words = n;
	return read_pcap(c) ? EXIT_USAGE : v->run(c);
}

static int run_command(int argc, char **argv, const char **words)
{
	struct command c = { 0 };
	struct errbuf eb = { 0 };
	int n = 0;

	if (opt_parse(global_rows, argc, argv, true, &c.opt, words, &n, &eb))
		return command_error(eb.text);
	if (c.opt.version)
		printf("simnet " RW_VERSION "\n");
	else if (c.opt.man)
		man_page(&program, stdout);
	else if (c.opt.help || !n)
		man_help(&program, c.opt.help ? stdout : stderr);
	if (c.opt.version || c.opt.man || c.opt.help || !n)
		return c.opt.version || c.opt.man || c.opt.help ? EXIT_PASS : EXIT_USAGE;
	const struct verb *v = find_verb(words[0]);
	int skip = argc - n;
	return v ? run_verb(&c, v, n, argv + skip, words) : EXIT_USAGE;
}

int main(int argc, char **argv)
{
	const char **words = calloc((size_t)argc + 1, sizeof(*words));

	if (!words)
		return EXIT_BROKEN;
	open_missing_fds();
	int code = run_command(argc, argv, words);
	free(words);
	if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_PASS) {
		fprintf(stderr, "simnet: the output cannot be written: %s\n", strerror(errno));
		code = EXIT_BROKEN;
	}
	return code;
}
