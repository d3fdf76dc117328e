#include "simnet/runner.h"

#include "mesh/os/file.h"
#include "simnet/doctor.h"
#include "simnet/host/source.h"
#include "simnet/lab/failure.h"
#include "simnet/lab/lab.h"
#include "simnet/scenario/oracle.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { START_MS = 20000, DROPS_EVERY_MS = 200 };

struct run {
	struct runner *r;
	struct lab lab;
	struct loop_signal *signals[3];
	struct loop_timer *drop_timer;
	struct failure_drops drops; /* since the step began */
	char work[64];
};

/* ---- checking without a network */

static int load_adapters(struct lab *l, struct errbuf *eb)
{
	l->programs = calloc(l->s->n_nodes + 1, sizeof(*l->programs));
	if (!l->programs)
		return err_say(eb, -ENOMEM, "out of memory");
	for (size_t i = 0; i < l->s->n_nodes; i++) {
		const struct scn_node *n = &l->s->nodes[i];
		struct program *p = &l->programs[i];
		struct errbuf why = { 0 };
		*p = (struct program) { .lab = l, .node = (int)i, .port_fd = -1 };
		if (!n->adapter)
			continue;
		p->adapter = calloc(1, sizeof(*p->adapter));
		if (!p->adapter)
			return err_say(eb, -ENOMEM, "out of memory");
		int err = source_find_adapter(n->adapter, l->s->file, p->adapter, &why);
		if (err)
			return err_say(
				eb, err, "%s:%u:%u: %.300s", l->s->file, n->at.line, n->at.column, why.text);
	}
	return 0;
}

int runner_check(const struct scenario *s, struct scn_errors *all, struct errbuf *eb)
{
	struct lab l = { .s = s, .work_dir = "/x" };
	int err = load_adapters(&l, eb);
	if (err)
		scenario_error(all, "%s", eb->text);
	else
		err = fields_check(&l, all, eb);
	programs_close(&l);
	return err;
}

/* ---- what the machine must have */

static int need(const char *what, const char *who, struct errbuf *eb)
{
	char path[600];
	int fd;

	if (what[0] != '/' && proc_find(what, path, sizeof(path)))
		return 0;
	if (what[0] != '/')
		return err_say(eb, -ENOPKG, "%s needs the program '%s', which is not here: %s", who, what,
			strchr(what, '/') ? "ci/peers/install builds it" : "install it");
	if ((fd = open(what, O_RDWR | O_NONBLOCK | O_CLOEXEC)) < 0)
		return err_say(eb, -ENOSYS,
			"%s needs %s, which cannot be opened (%s): run as root, or let this user read and "
			"write it",
			who, what, strerror(errno));
	close(fd);
	return 0;
}

static int need_of_node(struct lab *l, int node, struct errbuf *eb)
{
	const struct adapter *a = l->programs[node].adapter;
	struct fields f = { .lab = l, .node = node, .each_node = -1 };
	char **needs = NULL;
	int err = a && a->needs ? fields_argv(&f, a->needs, &needs, eb) : 0;

	for (size_t i = 0; needs && needs[i] && !err; i++)
		err = need(needs[i], l->s->nodes[node].name, eb);
	fields_argv_free(needs);
	return err;
}

static int check_needs(struct lab *l, struct errbuf *eb)
{
	int err = 0;

	for (const char **what = l->s->needs; what && *what && !err; what++)
		err = need(*what, "the scenario", eb);
	for (size_t i = 0; i < l->s->n_nodes && !err; i++)
		err = need_of_node(l, (int)i, eb);
	return err;
}

/* ---- from nothing to running programs */

static void drops_due(void *arg)
{
	struct run *run = arg;
	failure_collect(&run->lab, &run->drops);
	loop_timer_set(run->drop_timer, DROPS_EVERY_MS);
}

static void interrupted(void *arg, int signo)
{
	struct run *run = arg;
	(void)signo;
	run->lab.interrupted = true;
	lab_poke(&run->lab);
}

static bool is_empty_dir(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	if (!d)
		return false;
	while (n <= 2 && readdir(d))
		n++;
	closedir(d);
	return n <= 2;
}

/* A tmpfs of the sandbox's own, over a folder nobody misses: it is gone with the last process. Nodes have
 * their own /run, so it cannot be there. */
static int mount_work_dir(struct run *run, struct errbuf *eb)
{
	static const char *const places[] = { "/mnt", "/media", "/srv", "/opt", "/var/tmp" };
	size_t i = 0;

	while (i < ARRAY_LEN(places) - 1 && !is_empty_dir(places[i]))
		i++;
	snprintf(run->work, sizeof(run->work), "%s", places[i]);
	if (mount("simnet", run->work, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") < 0)
		return err_set(eb, -errno, "mount a tmpfs for the run's files on %s", run->work);
	run->lab.work_dir = run->work;
	return 0;
}

static int open_loop(struct run *run, struct errbuf *eb)
{
	struct lab *l = &run->lab;

	l->loop = loop_new();
	if (!l->loop)
		return err_say(eb, -ENOMEM, "out of memory");
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	bool ok = (run->drop_timer = loop_timer_new(l->loop, drops_due, run));
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		ok &= (run->signals[i] = loop_signal_new(l->loop, signals[i], interrupted, run)) != NULL;
	return ok ? 0 : err_say(eb, -ENOMEM, "out of memory");
}

static int build(struct run *run, struct errbuf *eb)
{
	struct lab *l = &run->lab;
	uint64_t start = loop_now_ms(l->loop);
	int err = hosts_open(l->s, run->work, &l->hosts, eb);
	if (!err)
		err = l->ops->open(l->s, l->hosts, &l->engine, eb);
	if (err)
		return err;
	uint64_t built = loop_now_ms(l->loop);
	loop_timer_set(run->drop_timer, DROPS_EVERY_MS);
	err = l->ops->self_test(l->engine, eb);
	if (err)
		return err;
	failure_collect(l, &run->drops);
	run->drops.n = 0; /* the self-test's own */
	story_say(l->story, "built", STORY_PLAIN,
		"%zu routers and %zu hosts built in %llu ms; every router probed, in %llu ms",
		l->s->n_routers, l->s->n_nodes, (unsigned long long)(built - start),
		(unsigned long long)(loop_now_ms(l->loop) - built));
	return 0;
}

struct group {
	struct lab *lab;
	bool services;
};

static bool group_ready(void *arg)
{
	const struct group *g = arg;

	for (size_t i = 0; i < g->lab->s->n_nodes; i++) {
		const struct scn_node *n = &g->lab->s->nodes[i];
		if (n->is_service == g->services && !n->start_later &&
			g->lab->programs[i].state != PROGRAM_READY)
			return g->lab->failed;
	}
	return true;
}

static uint64_t start_limit_ms(const struct lab *l)
{
	return l->s->start_within_ms ? l->s->start_within_ms : START_MS;
}

static int not_ready(struct lab *l, bool services, struct errbuf *eb)
{
	double limit = (double)start_limit_ms(l) / 1000;

	for (size_t i = 0; i < l->s->n_nodes; i++) {
		const struct program *p = &l->programs[i];
		if (l->s->nodes[i].is_service != services || l->s->nodes[i].start_later ||
			p->state == PROGRAM_READY)
			continue;
		if (*p->why.text)
			return err_say(eb, -ETIMEDOUT, "not ready after %.1f s: %.300s", limit, p->why.text);
		return err_say(eb, -ETIMEDOUT, "not ready after %.1f s: %s does not say that it is", limit,
			l->s->nodes[i].name);
	}
	return err_say(eb, -ETIMEDOUT, "not ready after %.1f s", limit);
}

static int start_group(struct lab *l, bool services, struct errbuf *eb)
{
	struct group g = { .lab = l, .services = services };

	for (size_t i = 0; i < l->s->n_nodes; i++) {
		const struct scn_node *n = &l->s->nodes[i];
		int err =
			n->is_service == services && !n->start_later ? program_start(&l->programs[i], eb) : 0;
		if (err)
			return err;
	}
	bool ready = lab_wait(l, group_ready, &g, loop_now_ms(l->loop) + start_limit_ms(l));
	if (l->interrupted)
		return err_say(eb, -EINTR, "interrupted");
	if (l->failed) {
		*eb = l->failure;
		return eb->code;
	}
	return ready ? 0 : not_ready(l, services, eb);
}

static int run_steps(struct run *run, struct errbuf *eb)
{
	struct lab *l = &run->lab;

	for (size_t i = 0; i < l->s->n_steps; i++) {
		run->lab.step = &l->s->steps[i];
		run->lab.step_unix_ns = (uint64_t)clock_unix_ms() * 1000000;
		failure_collect(l, &run->drops);
		run->drops.n = 0;
		int err = step_run(l, &l->s->steps[i], eb);
		if (err)
			return err;
	}
	events_settle(l);
	return 0;
}

static bool has_failed(void *arg)
{
	return ((struct lab *)arg)->failed;
}

static void stay(struct run *run)
{
	struct lab *l = &run->lab;
	char ip[ADDR_TEXT];
	struct shell_server *shells = shell_serve(l, run->r->control_fd);

	for (size_t i = 0; i < l->s->n_nodes; i++)
		story_say(l->story, "node", STORY_PLAIN, "%-16s %-16s %s", l->s->nodes[i].name,
			addr_format(&l->s->nodes[i].ip, ip),
			l->s->nodes[i].router < 0 ? "internet" : l->s->routers[l->s->nodes[i].router].name);
	story_say(
		l->story, "up", STORY_EVENT, "up; 'simnet shell NODE' from another terminal, Ctrl-C ends it");
	while (!l->interrupted) {
		(void)lab_wait(l, has_failed, l, UINT64_MAX);
		if (l->failed)
			story_say(l->story, "failed", STORY_BAD, "%s", l->failure.text);
		l->failed = false;
	}
	shell_server_free(shells);
}

/* ---- the end */

static void copy_logs(struct run *run)
{
	char from[600], to[600];
	struct errbuf eb;

	for (size_t i = 0; i < run->lab.s->n_nodes; i++) {
		struct buf text = { .cap = 64 << 20 };
		const char *name = run->lab.s->nodes[i].name;
		if (run->lab.programs[i].log)
			fflush(run->lab.programs[i].log);
		snprintf(from, sizeof(from), "%s/logs/%s.log", run->work, name);
		snprintf(to, sizeof(to), "%s/%s.log", run->r->out_dir, name);
		if (!file_read(from, 64 << 20, &text, &eb) && text.len &&
			file_write_atomic(to, 0644, buf_data(&text), text.len, &eb))
			story_say(run->lab.story, "note", STORY_BAD, "%s/%s.log is not kept: %s",
				run->r->out_name, name, err_text(eb.code));
		buf_free(&text);
	}
}

static void keep_evidence(struct run *run, bool failed)
{
	struct errbuf eb = { 0 };
	enum pcap_when pcap = run->r->pcap;

	if (!run->r->out_dir)
		return;
	if (run->lab.programs)
		copy_logs(run);
	if (run->lab.engine && (pcap == PCAP_ALL || (pcap == PCAP_FAIL && failed)) &&
		run->lab.ops->write_pcaps(run->lab.engine, run->r->out_dir, &eb))
		story_say(run->lab.story, "note", STORY_NOTE, "captures are not kept in %s: %s",
			run->r->out_name, err_text(eb.code));
	story_say(run->lab.story, "see", STORY_NOTE, "see: %s", run->r->out_name);
}

static void close_run(struct run *run)
{
	struct lab *l = &run->lab;

	streams_close(l);
	programs_close(l);
	while (l->values) {
		struct lab_value *v = l->values;
		l->values = v->next;
		free(v->key);
		free(v->value);
		free(v);
	}
	l->ops->close(l->engine);
	hosts_close(l->hosts);
	loop_timer_free(l->deadline);
	loop_timer_free(run->drop_timer);
	for (size_t i = 0; i < ARRAY_LEN(run->signals); i++)
		loop_signal_free(run->signals[i]);
	loop_free(l->loop);
}

/* How far a run came before it ended. */
enum stage { STAGE_CHECK, STAGE_BUILD, STAGE_RUN };

static int exit_code(const struct run *run, int err, enum stage stage)
{
	if (run->lab.interrupted)
		return run->r->keep_going ? EXIT_PASS : EXIT_INTERRUPTED;
	if (!err)
		return EXIT_PASS;
	if (stage == STAGE_RUN)
		return EXIT_FAILED;
	return err == -ENOSYS ? EXIT_HOST : err == -ENOPKG ? RUN_NO_PROGRAM : EXIT_BROKEN;
}

/* What failed, then why; the programs' own words last. */
static void tell_failure(struct run *run, const struct errbuf *eb, char *message, size_t cap)
{
	const struct scenario *s = run->lab.s;
	const struct scn_step *st = run->lab.step;
	char name[300];

	if (st)
		snprintf(message, cap, "%s:%u: %s: %s", s->file, st->at.line, scenario_step_name(st->kind),
			eb->text);
	else
		snprintf(message, cap, "%s", eb->text);
	story_say(run->lab.story, "failed", STORY_BAD, "FAIL %s  %.800s",
		scenario_title(s, name, sizeof(name)), message);
	failure_tell_packets(&run->lab, st, &run->drops);
	if (st && st->kind == STEP_EXPECT && st->path != PATH_ANY) {
		struct oracle_verdict v;
		oracle_ask(s, (size_t)(st - s->steps), scenario_find_node(s, st->from),
			scenario_find_node(s, st->to), &v);
		if (v.path == PATH_ANY)
			story_say(run->lab.story, "so", STORY_NOTE, "so: %s", v.why);
		else
			story_say(run->lab.story, "so", STORY_NOTE, "so: by this network the path is %s: %s",
				v.path == PATH_RELAY ? "by relay" : scenario_path_name(v.path), v.why);
	}
	failure_tell_programs(&run->lab, st);
}

static const char *end_kind(int code, enum run_skip skip)
{
	if ((code == EXIT_HOST && skip == SKIP_ALL) || (code == RUN_NO_PROGRAM && skip != SKIP_NOTHING))
		return "skip";
	return code == EXIT_PASS ? "pass" : code == EXIT_FAILED ? "fail" : "error";
}

static void tell_end(struct run *run, int code, const char *message, uint64_t start)
{
	const struct scenario *s = run->lab.s;
	char text[900], name[300], took[32], seed[32];
	uint64_t took_ms = clock_now_ns() / 1000000 - start;
	double s_took = (double)took_ms / 1000;
	const char *kind = end_kind(code, run->r->skip);

	snprintf(took, sizeof(took), "%.3f", s_took);
	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)run->r->seed);
	scenario_title(s, name, sizeof(name));
	if (code == EXIT_PASS)
		snprintf(text, sizeof(text), "PASS %s  %zu steps, %.1f s", name, s->n_steps, s_took);
	else if (code == EXIT_FAILED)
		snprintf(text, sizeof(text), "FAIL %s  %.1f s; again with -k '%s' --seed %s", name, s_took,
			name, seed);
	else
		snprintf(text, sizeof(text), "%s %s  %.500s", strcmp(kind, "skip") != 0 ? "ERROR" : "SKIP",
			name, message);
	struct story_item item = { .kind = kind,
		.mark = strcmp(kind, "skip") != 0 ? code ? STORY_BAD : STORY_GOOD : STORY_EVENT,
		.at = run->lab.step ? run->lab.step->at : (struct scn_at) { 1, 1 },
		.text = text,
		.keys = { "message", "seconds", "seed" },
		.values = { message, took, seed } };
	story_tell(run->lab.story, &item);
}

static int prepare(struct run *run, struct errbuf *eb)
{
	int err = open_loop(run, eb);

	if (!err)
		err = load_adapters(&run->lab, eb);
	if (!err)
		err = fields_check(&run->lab, NULL, eb);
	if (!err)
		err = check_needs(&run->lab, eb);
	if (!err)
		err = mount_work_dir(run, eb);
	return err ? err : programs_open(&run->lab, eb);
}

/* A build that fails for want of something in the machine is not the file's fault. */
static int build_or_explain(struct run *run, struct errbuf *eb)
{
	struct errbuf lack = { 0 };
	int err = build(run, eb);

	if (err && err != -EINTR && err != -ENOSYS && doctor_lacks(&lack)) {
		*eb = lack;
		err = lack.code;
	}
	return err;
}

static int play(struct run *run, struct errbuf *eb)
{
	int err = start_group(&run->lab, true, eb);

	if (!err)
		err = start_group(&run->lab, false, eb);
	if (!err)
		err = run_steps(run, eb);
	if (!err && run->r->keep_going)
		stay(run);
	return err;
}

int runner_run(struct runner *r)
{
	struct run *run = calloc(1, sizeof(*run));
	struct errbuf eb = { 0 };
	uint64_t start = clock_now_ns() / 1000000;
	enum stage stage = STAGE_CHECK;
	char message[700];

	if (!run)
		return EXIT_BROKEN;
	run->r = r;
	run->lab = (struct lab) { .s = r->scenario, .ops = r->engine, .story = r->story };
	int err = prepare(run, &eb);
	if (!err) {
		stage = STAGE_BUILD;
		err = build_or_explain(run, &eb);
	}
	if (!err) {
		stage = STAGE_RUN;
		err = play(run, &eb);
	}
	if (run->lab.loop)
		lab_sleep(&run->lab, 1); /* a signal that came meanwhile */
	int code = exit_code(run, err, stage);
	snprintf(message, sizeof(message), "%s",
		code == EXIT_PASS	   ? ""
		: code == EXIT_INTERRUPTED ? "interrupted"
					   : eb.text);
	if (code == EXIT_FAILED)
		tell_failure(run, &eb, message, sizeof(message));
	if (run->lab.loop)
		keep_evidence(run, code != EXIT_PASS);
	tell_end(run, code, message, start);
	close_run(run);
	free(run);
	if (r->story->lost) {
		fprintf(stderr, "simnet: the story cannot be written whole: %s\n", strerror(r->story->lost));
		code = code == EXIT_PASS || code == EXIT_FAILED ? EXIT_BROKEN : code;
	}
	return code;
}
