#include "simnet/command.h"

#include "mesh/base/text.h"
#include "mesh/os/completion.h"
#include "mesh/os/man.h"
#include "mesh/os/program_text.h"
#include "simnet/fabric/kernel/engine_kernel.h"
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
			"only scenarios with this tag; '!TAG': without it" \
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
		{ "pcap", NULL, OPT_STRING, offsetof(struct options, pcap), "WHEN", \
			"captures in --out: fail (default), all, off" }, \
	{ \
		"engine", NULL, OPT_STRING, offsetof(struct options, engine), "WHICH", \
			"who plays routers: auto (default), kernel, user" \
	}

static const struct opt_row global_rows[] = {
	HELP,
	{ "man", NULL, OPT_BOOL, offsetof(struct options, man), NULL, "print the man page (roff)" },
	{ "completion", NULL, OPT_STRING, offsetof(struct options, completion), "bash|zsh|fish",
		"print what that shell completes this program's command line with" },
	{ "version", "V", OPT_BOOL, offsetof(struct options, version), NULL, "print the version" },
	{ 0 },
};
#define LIVE \
	{ \
		"live", NULL, OPT_STRING, offsetof(struct options, review.live), "ADDRESS:PORT", \
			"a page that shows the run while it happens, and stays at its end; loopback, as :0" \
	}
static const struct opt_row run_rows[] = {
	ONLY,
	STORY,
	LIVE,
	{ "j", "jobs", OPT_U64, offsetof(struct options, jobs), "N",
		"so many at once (1), 0 for one on each processor; each story is told when it has ended" },
	{ "repeat", NULL, OPT_U64, offsetof(struct options, repeat), "N",
		"run each so often, and say how often it passed, how long it took, and with which seeds it "
		"failed" },
	{ "until-fail", NULL, OPT_BOOL, offsetof(struct options, until_fail), NULL,
		"again and again, until one does not pass; with --repeat, so often at most" },
	{ "retry-slow", NULL, OPT_BOOL, offsetof(struct options, retry_slow), NULL,
		"what was inconclusive runs once more when all have ended, alone; that counts" },
	{ "shard", NULL, OPT_STRING, offsetof(struct options, shard), "I/N",
		"the I-th of N parts of what would be run, as machines share it" },
	{ "keep", NULL, OPT_STRING, offsetof(struct options, keep), "WHEN",
		"on-fail, always: the network stays as it was at the end, for shell and inject, until an "
		"interrupt" },
	{ "step", NULL, OPT_BOOL, offsetof(struct options, step), NULL,
		"stop before each step; Enter goes on, c to the end" },
	{ "list", NULL, OPT_BOOL, offsetof(struct options, list), NULL,
		"name what would be run, and what is to do, and run nothing" },
	{ "todo", NULL, OPT_BOOL, offsetof(struct options, todo), NULL,
		"run those too that say why they cannot pass yet" },
	{ "timeout", NULL, OPT_DURATION_MS, offsetof(struct options, timeout_ms), "TIME",
		"of each scenario, instead of what it says" },
	{ "tap", NULL, OPT_BOOL, offsetof(struct options, tap), NULL, "print TAP 14 instead of the story" },
	{ "junit", NULL, OPT_STRING, offsetof(struct options, junit), "FILE", "write a JUnit report" },
	{ "html", NULL, OPT_STRING, offsetof(struct options, review.html), "FILE",
		"write a page with story, map, timeline, packets, logs and DNS" },
	{ "github", NULL, OPT_BOOL, offsetof(struct options, github), NULL,
		"print GitHub annotations for failures, and add a table to $GITHUB_STEP_SUMMARY" },
	{ "skip-unsupported", NULL, OPT_BOOL, offsetof(struct options, skip), NULL,
		"what this machine cannot run is skipped, not an error" },
	{ "require", NULL, OPT_STRING, offsetof(struct options, require), "NAMES",
		"of that skip only what lacks a program that is none of these, separated by commas; 'none': "
		"any. A "
		"machine that can run nothing is an error then" },
	HELP,
	{ 0 },
};
static const struct opt_row up_rows[] = { ONLY, STORY, LIVE, HELP, { 0 } };
static const struct opt_row choose_rows[] = { ONLY, HELP, { 0 } };
static const struct opt_row lint_rows[] = { ONLY,
	{ "fix", NULL, OPT_BOOL, offsetof(struct options, fix), NULL,
		"put misspelt words right in the files" },
	HELP, { 0 } };
static const struct opt_row new_rows[] = { { "wizard", NULL, OPT_BOOL, offsetof(struct options, wizard), NULL,
						   "ask five questions, and print the scenario that they "
						   "make" },
	HELP, { 0 } };
#define LAB \
	{ \
		"lab", NULL, OPT_STRING, offsetof(struct options, lab), "NAME", \
			"which network, if several are up: its scenario, or the number of its process" \
	}
static const struct opt_row shell_rows[] = { LAB, HELP, { 0 } };
static const struct opt_row logs_rows[] = {
	{ "f", NULL, OPT_BOOL, offsetof(struct options, follow), NULL,
		"go on with what is said from now on" },
	LAB,
	HELP,
	{ 0 },
};
static const struct opt_row schema_rows[] = {
	{ "markdown", NULL, OPT_BOOL, offsetof(struct options, markdown), NULL,
		"print the tables of the reference instead" },
	HELP,
	{ 0 },
};
static const struct opt_row presets_rows[] = {
	{ "markdown", NULL, OPT_BOOL, offsetof(struct options, markdown), NULL,
		"print the table of the reference instead" },
	HELP,
	{ 0 },
};
static const struct opt_row plain_rows[] = { HELP, { 0 } };

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
	int code = err ? command_error(eb.text) : files_run_one(c, &s, KEEP_UP);
	code = code == RUN_NO_PROGRAM ? EXIT_HOST : code;
	scenario_free(&s);
	return code;
}

static int verb_doctor(struct command *c)
{
	struct doctor_check checks[64];

	if (c->n_words)
		return command_error("doctor takes no words");
	int n = doctor_checks(checks, (int)ARRAY_LEN(checks)), missing = 0;
	for (int i = 0; i < n; i++) {
		missing += checks[i].needed && !checks[i].ok;
		printf("%-4s %-*s%s%s\n",
			checks[i].ok	   ? "ok"
			: checks[i].needed ? "NO"
					   : "no",
			*checks[i].detail ? 34 : 0, checks[i].what, *checks[i].detail ? " " : "",
			checks[i].detail);
	}
	printf(missing ? "simnet cannot run here until the lines with NO are right\n"
		       : "simnet can run here\n");
	return missing ? EXIT_HOST : EXIT_PASS;
}

static int print_plan(const struct command *c, struct scenario *s)
{
	char a[ADDR_TEXT], b[PREFIX_TEXT], title[300];
	(void)c;

	printf("%s\n", scenario_title(s, title, sizeof(title)));
	for (size_t i = 0; i < s->n_routers; i++) {
		const struct scn_router *r = &s->routers[i];
		char model[NAT_MODEL_TEXT];
		printf("  router  %-12s %-15s %-18s %s%s%s\n", r->name, addr_format(&r->wan, a),
			prefix_format(&r->lan_net, b), r->nat ? nat_model_format(&r->model, model) : "no NAT",
			r->portmap ? ", gives ports to who asks: " : "", r->portmap ? r->portmap : "");
	}
	for (int i = 0; i < (int)s->n_nodes; i++) {
		struct addr ip = topology_ip(s, 0, i);
		printf("  %-7s %-12s %-15s %s\n", s->nodes[i].is_service ? "service" : "node",
			s->nodes[i].name, addr_format(&ip, a),
			s->nodes[i].router < 0 ? "internet" : s->routers[s->nodes[i].router].name);
	}
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
	jobs_run
};
static const struct verb verb_lint_row = { { "lint", "FILES|FOLDERS",
						   "check scenarios and adapters without a network",
						   "With --fix a word that is misspelt, and like one that "
						   "may stand there alone, is put right in "
						   "its file first; each is told.",
						   lint_rows },
	lint_command };
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
	labs_shell
};
static const struct verb verb_exec_row = { { "exec", "NODE|ROUTER -- COMMAND",
						   "a command in a host of the network that is up", NULL,
						   shell_rows },
	labs_exec };
static const struct verb verb_logs_row = {
	{ "logs", "NODE", "what a node's programs have said in the network that is up", NULL, logs_rows },
	labs_logs
};
static const struct verb verb_tcpdump_row = {
	{ "tcpdump", "NODE[:INTERFACE] [-- ARGUMENTS]",
		"watch the packets of a host of the network that is up",
		"Runs tcpdump there, on all its interfaces unless one is named.", shell_rows },
	labs_tcpdump
};
static const struct verb verb_top_row = {
	{ "top", "",
		"what the hosts of the network that is up do: programs, memory, bytes, "
		"flows of routers",
		"Once; on a terminal every second until q is typed.", shell_rows },
	labs_top
};
static const struct verb verb_inject_row = {
	{ "inject", "STEP...", "run steps on the network that is up",
		"A step is written as in a file, 'ping: {from: a, to: b}', or short, 'cut home.udp'. It is "
		"checked, run, "
		"and told here and there. The exit code is that of a run with this step.",
		shell_rows },
	labs_inject
};
static const struct verb verb_schema_row = {
	{ "schema", "[scenario|adapter]", "print the format of files as JSON Schema",
		"For editors: they complete keys, show what each means, and mark "
		"what is wrong while it is written.",
		schema_rows },
	format_schema
};
static const struct verb verb_presets_row = {
	{ "presets", "", "the words for NATs: what each stands for, and by which source", NULL,
		presets_rows },
	format_presets
};
static const struct verb verb_new_row = {
	{ "new", "[hosts|service|punch|home-cgnat|corp|roaming|pi-hole]",
		"print a scenario to begin with; without a name, which there are",
		"simnet new hosts >my-hosts.yaml, or simnet new --wizard >my-test.yaml, which asks five "
		"questions.",
		new_rows },
	templates_new
};
static const struct verb verb_doctor_row = {
	{ "doctor", "", "what this machine lacks, and how to get it", NULL, plain_rows }, verb_doctor
};
static const struct verb verb_clean_row = { { "clean", "", "what runs have left behind", NULL, plain_rows },
	labs_clean };
static const struct verb verb_punch_row = {
	{ "punch", "", "a plain hole puncher: rendezvous server, peer, or a question to a peer",
		"Prints a line of JSON for each event: 'serving', 'mapped' (how the server sees this peer), "
		"'path' "
		"(to a peer: direct, relay or none). Runs until it is interrupted.",
		punch_rows },
	punch_command
};

static const struct verb verb_matrix_row = { { "matrix", "[SHEETS]",
						     "every class of NAT against every other, by UDP and TCP",
						     "Puts a 'simnet punch' behind a router of every class, "
						     "twice, and lets all pairs find their path "
						     "side by side; each verdict is compared with the "
						     "oracle. Other sheets change the network: NATs in "
						     "front, hairpins, IPv6.",
						     matrix_rows },
	matrix_command };

static const struct verb verb_from_report_row = {
	{ "from-report", "FILE", "make a scenario from what a user's program said of his network",
		"FILE is what 'tailscale netcheck --format=json', 'ropewalk netcheck --json', either without "
		"JSON, "
		"or 'simnet probe --json' printed, a file of 'ropewalk bugreport', or the log that an "
		"official "
		"bugreport is about. What it does not say is guessed, and marked 'assumed'.",
		from_report_rows },
	from_report_command
};
static const struct verb verb_sweep_row = {
	{ "sweep", "FILE", "try every guess about a user's network, and name those that his report fits",
		"Builds a network with a router for each guess, measures each as the user's program did, and "
		"finds "
		"the path from behind it to a peer. 1 when none fits.",
		sweep_rows },
	sweep_command
};
static const struct verb verb_service_row = {
	{ "service", "KIND",
		"a small service to put into a network, with faults: dns, http, proxy, echo, stun, portmap",
		"Serves until it is interrupted. Its faults are words, given at the start or later by "
		"--tell; "
		"'simnet service faults' lists them, 'simnet service profiles' the routers that portmap can "
		"be "
		"like.",
		service_rows },
	service_command
};
static const struct verb verb_probe_row = {
	{ "probe", "", "measure the NAT this host is behind, and say it as a stanza of a scenario",
		"Asks two servers ('simnet probe --server', at two addresses) how it is seen by UDP and TCP, "
		"who "
		"gets through to it, whether the NAT hairpins and how long it remembers (RFC 5780, 4787, "
		"5382).",
		probe_rows },
	probe_command
};
static const struct verb verb_graph_row = {
	{ "graph", "FILE", "draw a scenario's network",
		"A tree of lines, an SVG picture for light and dark, or a "
		"flowchart in Mermaid's or Graphviz's language. Needs no rights.",
		graph_rows },
	review_graph
};
static const struct verb verb_explain_row = {
	{ "explain", "RUN [STEP]", "what is known of a finished run's failure, or of one of its steps",
		"RUN is a folder that 'simnet run --out DIR' has made in DIR.", explain_rows },
	review_explain
};
static const struct verb verb_replay_row = {
	{ "replay", "RUN [RUN]", "step through a finished run, or compare two",
		"On a terminal it waits after each step; otherwise all steps are printed. With --diff the "
		"first "
		"difference of two runs is named, and the exit code is 1 where there is one.",
		replay_rows },
	review_replay
};

static const struct verb *const verbs[] = { &verb_run_row, &verb_lint_row, &verb_plan_row, &verb_new_row,
	&verb_schema_row, &verb_up_row, &verb_shell_row, &verb_exec_row, &verb_logs_row, &verb_tcpdump_row,
	&verb_top_row, &verb_inject_row, &verb_doctor_row, &verb_clean_row, &verb_punch_row, &verb_matrix_row,
	&verb_probe_row, &verb_graph_row, &verb_explain_row, &verb_replay_row, &verb_presets_row,
	&verb_service_row, &verb_from_report_row, &verb_sweep_row };
static const struct man_verb *const verb_texts[] = { &verb_run_row.man, &verb_lint_row.man,
	&verb_plan_row.man, &verb_new_row.man, &verb_schema_row.man, &verb_up_row.man, &verb_shell_row.man,
	&verb_exec_row.man, &verb_logs_row.man, &verb_tcpdump_row.man, &verb_top_row.man,
	&verb_inject_row.man, &verb_doctor_row.man, &verb_clean_row.man, &verb_punch_row.man,
	&verb_matrix_row.man, &verb_probe_row.man, &verb_graph_row.man, &verb_explain_row.man,
	&verb_replay_row.man, &verb_presets_row.man, &verb_service_row.man, &verb_from_report_row.man,
	&verb_sweep_row.man, NULL };
static_assert(ARRAY_LEN(verb_texts) == ARRAY_LEN(verbs) + 1, "verb_texts misses a verb");

static const struct man_item exits[] = {
	{ "0", "all passed" },
	{ "1", "a scenario failed" },
	{ "2", "the command line or a file is wrong" },
	{ "3", "this machine cannot run it; simnet doctor says what it lacks" },
	{ "4", "the network could not be built as the file asks, the output not be written, or no process or "
	       "descriptor was left" },
	{ "5", "the machine was too slow to tell whether a scenario passes: inconclusive" },
	{ "130", "interrupted" },
	{ NULL, NULL },
};
static const struct man_item environment[] = {
	{ "RW_BIN_DIR", "where programs of scenarios are looked for first" },
	{ "RW_PEERS_DIR", "where foreign programs with a folder in their name are looked for" },
	{ "SIMNET_ADAPTERS", "a folder of adapters, before the installed ones" },
	{ "SIMNET_WRITABLE", "a folder of the machine's in which hosts may write, for what is to stay" },
	{ "SIMNET_SLOWDOWN", "how many times slower than an idle one this machine is taken to be, instead of "
			     "measuring it" },
	{ "RW_IDLE_TASKS",
		"a file with the number of tasks in the idle class (chrt -i), which make no machine slow" },
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

static int read_engine(struct command *c)
{
	static const struct engine_ops *const engines[] = { &engine_auto, &engine_kernel, &engine_user };

	c->engine = engines[0];
	for (size_t i = 0; c->opt.engine && i <= ARRAY_LEN(engines); i++) {
		if (i == ARRAY_LEN(engines))
			return command_error("--engine is auto, kernel or user");
		c->engine = engines[i];
		if (!strcmp(engines[i]->name, c->opt.engine))
			break;
	}
	return EXIT_PASS;
}

static void read_jobs(struct command *c)
{
	uint64_t *jobs[] = { &c->opt.jobs, &c->opt.matrix.jobs };
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		if (!*jobs[i])
			*jobs[i] = processors < 1	   ? 1
				   : processors > RUNS_MAX ? RUNS_MAX
							   : (uint64_t)processors;
}

static int read_keep(struct command *c)
{
	if (c->opt.keep && strcmp(c->opt.keep, "on-fail") != 0 && strcmp(c->opt.keep, "always") != 0)
		return command_error("--keep is on-fail or always");
	if ((c->opt.keep || c->opt.step) && c->opt.jobs > 1)
		return command_error("--keep and --step are for one scenario at a time, not for -j");
	c->keep = !c->opt.keep ? KEEP_NEVER : !strcmp(c->opt.keep, "always") ? KEEP_ALWAYS : KEEP_FAILED;
	return 0;
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
	bool stop = v->run == labs_shell || v->run == labs_exec || v->run == labs_tcpdump;

	if (opt_parse(v->man.options, argc, argv, stop, &c->opt, words, &n, &eb))
		return command_error(eb.text);
	if (c->opt.help) {
		man_help_verb(&program, &v->man, stdout);
		return EXIT_PASS;
	}
	words[n] = NULL; /* the first parse left more; a shell's command ends here */
	c->words = words;
	c->n_words = n;
	read_jobs(c);
	return read_pcap(c) || read_engine(c) || read_keep(c) ? EXIT_USAGE : v->run(c);
}

static int run_command(int argc, char **argv, const char **words)
{
	struct command c = { .opt = { .jobs = 1, .matrix.jobs = 1 } };
	struct errbuf eb = { 0 };
	int n = 0;

	if (opt_parse(global_rows, argc, argv, true, &c.opt, words, &n, &eb))
		return command_error(eb.text);
	if (c.opt.version)
		printf("simnet " RW_VERSION "\n");
	else if (c.opt.man)
		man_page(&program, stdout);
	else if (c.opt.completion)
		return completion_print(&program, c.opt.completion, stdout, &eb) ? command_error(eb.text)
										 : EXIT_PASS;
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
	return program_text_end("simnet", code, EXIT_BROKEN);
}
