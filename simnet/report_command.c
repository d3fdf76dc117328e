#include "simnet/command.h"

#include "mesh/os/file.h"
#include "simnet/host/proc.h"
#include "simnet/host/sandbox.h"
#include "simnet/matrix/sweep.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

/* From a user's report: a scenario, and which guesses fit. */
enum { REPORT_BYTES = 64 << 20 }; /* a log of weeks, or a bugreport of a node with 10,000 peers */

#define AT(field) offsetof(struct options, sweep.field)
const struct opt_row from_report_rows[] = {
	{ "peer", NULL, OPT_STRING, AT(peer), "NAT",
		"what the other side is behind: a word for a NAT (home)" },
	{ "class", NULL, OPT_STRING, AT(class), "CLASS", "this guess, as sweep names it: EIM/APDF" },
	{ "help", "h", OPT_BOOL, offsetof(struct options, help), NULL, "this text" },
	{ 0 },
};
const struct opt_row sweep_rows[] = {
	{ "peer", NULL, OPT_STRING, AT(peer), "NAT",
		"what the other side is behind: a word for a NAT (home)" },
	{ "saw", NULL, OPT_STRING, AT(saw), "PATH", "the path the user saw to it: direct, relay or none" },
	{ "engine", NULL, OPT_STRING, offsetof(struct options, engine), "WHICH", "auto, kernel or user" },
	{ "seed", NULL, OPT_U64, offsetof(struct options, seed), "N", "repeat a run's random choices" },
	{ "json", NULL, OPT_BOOL, offsetof(struct options, json), NULL,
		"print a line of JSON for each guess" },
	{ "help", "h", OPT_BOOL, offsetof(struct options, help), NULL, "this text" },
	{ 0 },
};
#undef AT

static int read_report(const struct command *c, struct user_report *r)
{
	struct buf text = { 0 };
	struct errbuf eb = { 0 };
	bool from_stdin = c->n_words == 1 && !strcmp(c->words[0], "-");

	if (c->n_words != 1)
		return command_error("say which report: a file, or - for the standard input");
	int err = file_read(from_stdin ? "/dev/stdin" : c->words[0], REPORT_BYTES, &text, &eb);
	if (!err)
		err = user_report_read((const char *)buf_data(&text), text.len, r, &eb);
	buf_free(&text);
	return err ? command_error(eb.text) : EXIT_PASS;
}

/* Only what a file may have there: it is written into one. */
static const char *peer_of(const struct command *c)
{
	const char *peer = c->opt.sweep.peer ? c->opt.sweep.peer : "home";
	return nat_preset_find(peer) ? peer : NULL;
}

int from_report_command(struct command *c)
{
	struct user_report r;
	struct buf text = { 0 };
	const char *peer = peer_of(c);
	int class, code = read_report(c, &r);

	if (code)
		return code;
	if (!peer)
		return command_error("--peer is no word for a NAT; 'simnet presets' lists them");
	struct user_guess g = user_report_guess(&r);
	if (c->opt.sweep.class) {
		if (!sheet_class_parse(c->opt.sweep.class, &class))
			return command_error("--class is a mapping and a filtering, as EIM/APDF");
		g.class = sweep_guess(class).class;
	}
	bool ok = user_report_scenario(&r, &g, peer, &text);
	if (ok)
		fputs(buf_cstr(&text), stdout);
	buf_free(&text);
	return ok ? EXIT_PASS : EXIT_BROKEN;
}

/* ---- sweep ---- */

struct sweep_shared {
	struct sweep_job job;
	struct sweep_result result;
};

static int sweep_body(void *arg)
{
	struct sweep_shared *s = arg;
	return sweep_run(&s->job, &s->result) ? EXIT_BROKEN : EXIT_PASS;
}

static int read_saw(const struct command *c, enum scn_path *saw)
{
	static const enum scn_path paths[] = { PATH_DIRECT, PATH_RELAY, PATH_NONE };

	*saw = PATH_ANY;
	for (size_t i = 0; c->opt.sweep.saw && i < ARRAY_LEN(paths); i++)
		if (!strcmp(scenario_path_name(paths[i]), c->opt.sweep.saw))
			*saw = paths[i];
	return c->opt.sweep.saw && *saw == PATH_ANY ? command_error("--saw is direct, relay or none")
						    : EXIT_PASS;
}

static int tell_sweep(
	const struct command *c, const struct sweep_shared *s, int status, const struct errbuf *eb)
{
	bool any = false, unsure = false;

	if (status < 0) {
		fprintf(stderr, "simnet: %s\n", eb->text);
		return status == -EINTR ? EXIT_INTERRUPTED : status == ERR_CLOSED ? EXIT_BROKEN : EXIT_HOST;
	}
	if (s->result.code) {
		fprintf(stderr, "simnet: %s\n", s->result.why.text);
		return s->result.unmeasured ? EXIT_UNSURE : EXIT_BROKEN;
	}
	sweep_print(&s->job, &s->result, c->opt.json, stdout);
	for (int i = 0; i < SWEEP_GUESSES; i++)
		any |= !s->result.rows[i].differs, unsure |= s->result.rows[i].unsure;
	return any ? EXIT_PASS : unsure ? EXIT_UNSURE : EXIT_FAILED;
}

int sweep_command(struct command *c)
{
	static char program[1024];
	struct user_report r;
	struct errbuf eb = { 0 };
	enum scn_path saw;
	int code = read_report(c, &r);

	if (code || (code = read_saw(c, &saw)))
		return code;
	if (!peer_of(c))
		return command_error("--peer is no word for a NAT; 'simnet presets' lists them");
	if (!proc_find("simnet", program, sizeof(program)))
		return command_error(
			"the program simnet is not found: not in RW_BIN_DIR, beside this one, or in PATH");
	struct sweep_shared *s =
		mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED)
		return command_error("out of memory");
	s->job = (struct sweep_job) { .report = &r,
		.peer = peer_of(c),
		.saw = saw,
		.engine = c->engine,
		.program = program,
		.seed = c->opt.seed };
	if (!s->job.seed && getrandom(&s->job.seed, 3, 0) == 3)
		s->job.seed++;
	fflush(NULL);
	int status = sandbox_run(sweep_body, s, &eb);
	code = tell_sweep(c, s, status, &eb);
	munmap(s, sizeof(*s));
	return code;
}
