#include "simnet/run_in.h"

#include "mesh/os/file.h"
#include "simnet/doctor.h"
#include "simnet/host/capture.h"
#include "simnet/host/source.h"
#include "simnet/lab/evidence.h"
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

/* ---- checking without a network */

static int load_adapter(struct lab *l, struct program *p, const struct scn_node *n, struct errbuf *eb)
{
	struct errbuf why = { 0 };

	if (!n->adapter && !n->ready)
		return 0;
	p->adapter = calloc(1, sizeof(*p->adapter));
	if (!p->adapter)
		return err_say(eb, -ENOMEM, "out of memory");
	if (n->ready) { /* a program and when it is ready: an adapter that says no more */
		*p->adapter = (struct adapter) { .name = n->name, .start = n->argv, .ready = *n->ready };
		return 0;
	}
	int err = source_find_adapter(n->adapter, l->s->file, p->adapter, &why);
	return err ? err_say(eb, err, AT_FMT ": %.300s", AT_ARGS(l->s->file, n->at), why.text) : 0;
}

/* eb: the first that is not there, or is wrong; all, which may be NULL: every one. */
static int load_adapters(struct lab *l, struct scn_errors *all, struct errbuf *eb)
{
	int first = 0;

	l->programs = calloc(l->s->n_nodes + 1, sizeof(*l->programs));
	if (!l->programs)
		return err_say(eb, -ENOMEM, "out of memory");
	for (size_t i = 0; i < l->s->n_nodes; i++)
		l->programs[i] = (struct program) { .lab = l, .node = (int)i, .port_fd = -1 };
	for (size_t i = 0; i < l->s->n_nodes; i++) {
		struct errbuf why = { 0 };
		int err = load_adapter(l, &l->programs[i], &l->s->nodes[i], &why);
		if (!err)
			continue;
		scenario_error(all, "%s", why.text);
		first = first ? first : err_say(eb, err, "%s", why.text);
	}
	return first;
}

/* What hosts get from the scenario's folder is there. */
static int check_host_files(const struct scenario *s, struct scn_errors *all, struct errbuf *eb)
{
	int first = 0;

	for (size_t i = 0; i < s->n_nodes; i++)
		for (size_t k = 0; k < s->nodes[i].machine.n_files; k++) {
			const struct scn_file *file = &s->nodes[i].machine.files[k];
			struct errbuf why = { 0 };
			int err = file->from ? source_has_beside(s->file, file->from, &why) : 0;
			if (!err)
				continue;
			scenario_error(all, AT_FMT ": %s", AT_ARGS(s->file, file->at), why.text);
			if (!first)
				first = err_say(eb, err, AT_FMT ": %s", AT_ARGS(s->file, file->at), why.text);
		}
	return first;
}

int runner_check(const struct scenario *s, struct scn_errors *all, struct errbuf *eb)
{
	struct lab l = { .s = s, .work_dir = "/x" };
	struct errbuf why = { 0 };
	int err = load_adapters(&l, all, eb);

	if (!err)
		err = fields_check(&l, all, eb);
	int missing = check_host_files(s, all, err ? &why : eb);
	programs_close(&l);
	return err ? err : missing;
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
			!strncmp(what, "owners/", 7) ? "ci/peers/owners unpacks it"
			: strchr(what, '/')	     ? "ci/peers/install builds it"
						     : "install it");
	if ((fd = open(what, O_RDWR | O_NONBLOCK | O_CLOEXEC)) < 0)
		return err_say(eb, -ENOSYS,
			"%s needs %s, which cannot be opened (%s): run as root, or let this user read and "
			"write it",
			who, what, strerror(errno));
	close(fd);
	return 0;
}

static int need_of_run(struct run *run, const char *what, const char *who, struct errbuf *eb)
{
	int err = need(what, who, eb);

	if (err == -ENOPKG)
		snprintf(run->lacks, sizeof(run->lacks), "%.127s", what);
	return err;
}

/* A foreign program is here or not before anything begins; what PATH has may come with a command of the scenario. */
static int need_of_argv(struct run *run, const char *const *argv, const char *who, struct errbuf *eb)
{
	const char *name = argv ? argv[0] : NULL;
	bool foreign = name && strchr(name, '/') && !strchr("/.{", name[0]);

	return foreign ? need_of_run(run, name, who, eb) : 0;
}

static int need_of_node(struct run *run, int node, struct errbuf *eb)
{
	struct lab *l = &run->lab;
	const struct adapter *a = l->programs[node].adapter;
	struct fields f = { .lab = l, .node = node, .each_node = -1 };
	char **needs = NULL;
	int err = a && a->needs ? fields_argv(&f, a->needs, &needs, eb) : 0;

	for (size_t i = 0; needs && needs[i] && !err; i++)
		err = need_of_run(run, needs[i], l->s->nodes[node].name, eb);
	fields_argv_free(needs);
	if (!err && l->s->nodes[node].machine.own_clock)
		err = proc_can_have_clock(eb);
	return err ? err : need_of_argv(run, l->s->nodes[node].argv, l->s->nodes[node].name, eb);
}

static int check_needs(struct run *run, struct errbuf *eb)
{
	const struct lab *l = &run->lab;
	int err = 0;

	for (const char **what = l->s->needs; what && *what && !err; what++)
		err = need_of_run(run, *what, "the scenario", eb);
	for (size_t i = 0; i < l->s->n_nodes && !err; i++)
		err = need_of_node(run, (int)i, eb);
	for (size_t i = 0; i < l->s->n_steps && !err; i++)
		err = need_of_argv(run, l->s->steps[i].argv, "the scenario", eb);
	return err;
}

/* ---- from nothing to running programs */

static void drops_due(void *arg)
{
	struct run *run = arg;
	failure_collect(&run->lab, &run->drops);
	loop_timer_set(run->drop_timer, DROPS_EVERY_MS);
}

static void time_is_over(void *arg)
{
	struct run *run = arg;
	struct lab *l = &run->lab;

	if (!l->failed)
		err_say(&l->failure, -ETIMEDOUT,
			"the time is over: programs and steps may take %.1f s together",
			(double)l->s->timeout_ms / 1000);
	l->failed = l->over = true;
	lab_poke(l);
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
	l->slowness = slowness_open(l->loop);
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	bool ok = (run->drop_timer = loop_timer_new(l->loop, drops_due, run));
	ok &= (run->timeout = loop_timer_new(l->loop, time_is_over, run)) != NULL;
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		ok &= (run->signals[i] = loop_signal_new(l->loop, signals[i], interrupted, run)) != NULL;
	return ok ? 0 : err_say(eb, -ENOMEM, "out of memory");
}

static size_t count_hosts(const struct scenario *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_nodes; i++)
		n += !s->nodes[i].on_router;
	return n;
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
	size_t hosts = count_hosts(l->s);
	loop_timer_set(run->drop_timer, DROPS_EVERY_MS);
	err = l->ops->self_test(l->engine, eb);
	if (err)
		return err;
	failure_collect(l, &run->drops);
	run->drops.n = 0; /* the self-test's own */
	l->open_unix_ns = (uint64_t)clock_unix_ms() * 1000000;
	story_say(l->story, "built", STORY_PLAIN,
		"%zu router%s and %zu host%s built in %llu ms; every router probed, in %llu ms",
		l->s->n_routers, l->s->n_routers == 1 ? "" : "s", hosts, hosts == 1 ? "" : "s",
		(unsigned long long)(built - start), (unsigned long long)(loop_now_ms(l->loop) - built));
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

/* What a program is ready by, as a file says it. */
static void awaited_sign(const struct program *p, char *out, size_t cap)
{
	const struct adapter_ready *r = p->adapter ? &p->adapter->ready : NULL;

	*out = '\0';
	if (r && r->line)
		snprintf(out, cap, ": no line fits '%.120s'", r->line);
	else if (r && r->json)
		snprintf(out, cap, ": no line of JSON has '%.120s'", r->json);
	else if (r && r->port)
		snprintf(out, cap, ": nobody takes connections at '%.120s'", r->port);
	else if (r && r->exit)
		snprintf(out, cap, ": it has not ended");
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
		char sign[160];
		awaited_sign(p, sign, sizeof(sign));
		return err_say(eb, -ETIMEDOUT, "not ready after %.1f s: %s does not say that it is%s", limit,
			l->s->nodes[i].name, sign);
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

int run_step(struct run *run, const struct scn_step *st, struct errbuf *eb)
{
	struct lab *l = &run->lab;

	l->step = st;
	run->slow = slowness_now(l->slowness);
	l->slow = 0;
	l->n_steps++;
	l->step_unix_ns = (uint64_t)clock_unix_ms() * 1000000;
	failure_collect(l, &run->drops);
	run->drops.n = 0;
	record_step(l, st);
	int err = step_run(l, st, eb);
	record_step_end(l, st, err ? eb->text : NULL);
	return err;
}

static int run_steps(struct run *run, struct errbuf *eb)
{
	struct lab *l = &run->lab;
	size_t n = l->s->n_steps; /* what is injected meanwhile comes behind them */
	bool stop = run->r->step_by_step;
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		if (stop)
			stay_before(run, &l->s->steps[i], &stop);
		if (l->interrupted)
			return err_say(eb, -EINTR, "interrupted");
		err = run_step(run, &l->s->steps[i], eb);
	}
	if (!err)
		events_settle(l);
	return err;
}

/* ---- the end */

/* What a run leaves is a part of it: one that could not write it has no verdict. */
static void not_kept(struct run *run, int err, const char *what)
{
	struct errbuf eb = { 0 };

	err_set(&eb, err, "%.300s is not kept", what);
	story_say(run->lab.story, "note", STORY_BAD, "%s", eb.text);
	if (!run->lost.code)
		run->lost = eb;
}

static int verdict_without(int code)
{
	return code == EXIT_PASS || code == EXIT_FAILED || code == EXIT_UNSURE ? EXIT_BROKEN : code;
}

/* What the commands of steps said: NAME/steps/NN-run.log, by the number of the step. */
static void copy_outputs(struct run *run)
{
	char from[600], to[600];
	struct errbuf eb;

	snprintf(to, sizeof(to), "%s/steps", run->r->out_dir);
	(void)dir_make(to, 0755, &eb);
	for (unsigned i = 1; i <= run->lab.n_steps; i++) {
		struct buf text = { .cap = 8 << 20 };
		snprintf(from, sizeof(from), "%s/steps/%02u-run.log", run->work, i);
		snprintf(to, sizeof(to), "%s/steps/%02u-run.log", run->r->out_dir, i);
		int err = file_read(from, 8 << 20, &text, &eb)
				  ? 0
				  : file_write_atomic(to, 0644, buf_data(&text), text.len, &eb);
		snprintf(to, sizeof(to), "%s/steps/%02u-run.log", run->r->out_name, i);
		if (err)
			not_kept(run, err, to);
		buf_free(&text);
	}
}

static void copy_logs(struct run *run)
{
	char from[600], to[600];
	struct errbuf eb;

	for (size_t i = 0; i < run->lab.s->n_nodes; i++) {
		struct buf text = { .cap = 64 << 20 };
		const char *name = run->lab.s->nodes[i].name;
		FILE *log = run->lab.programs[i].log;
		errno = 0;
		int err = log && (fflush(log) || ferror(log)) ? -(errno ? errno : EIO) : 0;
		snprintf(from, sizeof(from), "%s/logs/%s.log", run->work, name);
		snprintf(to, sizeof(to), "%s/%s.log", run->r->out_dir, name);
		if (!file_read(from, 64 << 20, &text, &eb) && text.len &&
			file_write_atomic(to, 0644, buf_data(&text), text.len, &eb))
			err = eb.code;
		snprintf(to, sizeof(to), "%s/%s.log", run->r->out_name, name);
		if (err)
			not_kept(run, err, to);
		buf_free(&text);
	}
}

static void keep_capture(struct run *run)
{
	char from[600], to[600];
	struct errbuf eb = { 0 };
	const char *dir = run->r->out_dir;

	snprintf(to, sizeof(to), "%s/%s", dir ? dir : "", CAPTURE_FILE);
	int err = evidence_capture(&run->lab, &eb);
	if (!err)
		err = record_capture(
			&run->lab, evidence_file(&run->lab, from, sizeof(from)), dir ? to : NULL, &eb);
	snprintf(to, sizeof(to), "%s/" CAPTURE_FILE, dir ? run->r->out_name : "");
	if (err && dir)
		not_kept(run, err, to);
	else if (err)
		story_say(run->lab.story, "note", STORY_NOTE, "the capture is not kept: %s", eb.text);
}

static void keep_decisions(struct run *run)
{
	struct errbuf eb = { 0 };
	char what[600];

	snprintf(what, sizeof(what), "%s/decisions.jsonl", run->r->out_name);
	if (run->r->out_dir && run->lab.engine &&
		run->lab.ops->write_decisions(run->lab.engine, run->r->out_dir, &eb))
		not_kept(run, eb.code, what);
}

static void keep_evidence(struct run *run, bool failed)
{
	enum pcap_when pcap = run->r->pcap;

	if (run->r->out_dir && run->lab.programs)
		copy_logs(run);
	if (run->r->out_dir && run->lab.n_steps)
		copy_outputs(run);
	if ((run->r->out_dir || run->r->story->whole || run->r->live) && run->lab.engine &&
		(pcap == PCAP_ALL || (pcap == PCAP_FAIL && failed)))
		keep_capture(run);
	keep_decisions(run);
	if (run->r->out_dir)
		story_say(run->lab.story, "see", STORY_NOTE, "see: %s", run->r->out_name);
}

static void close_run(struct run *run)
{
	struct lab *l = &run->lab;

	shell_server_free(run->shells);
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
	free(l->record);
	loop_timer_free(l->deadline);
	loop_timer_free(run->drop_timer);
	loop_timer_free(run->timeout);
	slowness_close(l->slowness);
	for (size_t i = 0; i < ARRAY_LEN(run->signals); i++)
		loop_signal_free(run->signals[i]);
	loop_free(l->loop);
}

static int prepare(struct run *run, struct errbuf *eb)
{
	int err = open_loop(run, eb);

	if (!err && !(run->lab.record = calloc(1, sizeof(*run->lab.record))))
		err = err_say(eb, -ENOMEM, "out of memory");
	if (!err && run->r->live) {
		run->live = live_open(&run->lab, run->r->live, eb);
		run->r->story->heard = live_heard;
		run->r->story->listener = run->live;
		err = run->live ? 0 : eb->code;
	}
	if (!err)
		record_run(&run->lab, run->r->seed);
	if (!err)
		err = load_adapters(&run->lab, NULL, eb);
	if (!err)
		err = fields_check(&run->lab, NULL, eb);
	if (!err)
		err = check_needs(run, eb);
	if (!err)
		err = mount_work_dir(run, eb);
	return err ? err : programs_open(&run->lab, eb);
}

/* A build that fails for want of something in the machine is not the file's fault. */
static int build_or_explain(struct run *run, struct errbuf *eb)
{
	struct errbuf lack = { 0 };
	int err = build(run, eb);

	if (err && err != -EINTR && err != -ENOSYS && err != ERR_UNSUPPORTED && doctor_lacks(&lack)) {
		*eb = lack;
		err = lack.code;
	}
	return err;
}

static int play(struct run *run, struct errbuf *eb)
{
	if (run->lab.s->timeout_ms)
		loop_timer_set(run->timeout, run->lab.s->timeout_ms);
	run->shells = shell_serve(&run->lab, run->r->control_fd);
	int err = start_group(&run->lab, true, eb);

	if (!err)
		err = start_group(&run->lab, false, eb);
	if (!err)
		err = run_steps(run, eb);
	loop_timer_clear(run->timeout);
	if (!err && run->r->keep == KEEP_UP)
		stay(run, "up");
	return err;
}

int runner_run(struct runner *r)
{
	struct run *run = calloc(1, sizeof(*run));
	struct errbuf eb = { 0 };
	uint64_t start = clock_now_ms();
	enum stage stage = STAGE_CHECK;
	char message[700];

	if (!run)
		return EXIT_BROKEN;
	run->r = r;
	run->lab = (struct lab) {
		.s = r->scenario, .ops = r->engine, .story = r->story, .out_name = r->out_name
	};
	int err = prepare(run, &eb);
	if (!err) {
		stage = STAGE_BUILD;
		err = build_or_explain(run, &eb);
	}
	if (!err) {
		stage = STAGE_RUN;
		err = play(run, &eb);
	}
	if (lab_short_of(err)) {
		const struct errbuf was = eb;
		err_say(&eb, err, "%.300s: %s", was.text, lab_short_of(err));
	}
	if (run->lab.loop)
		lab_sleep(&run->lab, 1); /* a signal that came meanwhile */
	int code = run_exit_code(run, err, stage);
	snprintf(message, sizeof(message), "%s",
		code == EXIT_PASS	   ? ""
		: code == EXIT_INTERRUPTED ? "interrupted"
					   : eb.text);
	if (code == EXIT_FAILED || code == EXIT_UNSURE)
		run_tell_failure(run, &eb, message, sizeof(message));
	if (run->lab.loop)
		keep_evidence(run, code != EXIT_PASS);
	int told = run->lost.code ? verdict_without(code) : code;
	run_tell_end(run, told, told != code ? run->lost.text : message, start);
	if (stage == STAGE_RUN &&
		(r->keep == KEEP_ALWAYS ||
			(r->keep == KEEP_FAILED && (code == EXIT_FAILED || code == EXIT_UNSURE))) &&
		!run->lab.interrupted)
		stay(run, code ? "the network stays as it failed" : "the network stays");
	else
		live_hold(run->live);
	run->r->story->heard = NULL;
	live_close(run->live);
	close_run(run);
	free(run);
	if (r->story->lost) {
		fprintf(stderr, "simnet: the story cannot be written whole: %s\n", strerror(r->story->lost));
		told = verdict_without(told);
	}
	return told;
}
