#include "simnet/matrix/sweep.h"

#include "mesh/os/loop.h"
#include "simnet/lab/slowness.h"
#include "simnet/matrix/trial.h"
#include "simnet/scenario/oracle.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* First all probes, then all punchers: they would change each other's mappings. */
enum {
	PROBE_MS = 10000,
	PUNCH_MS = 10000,
	TRY_MS = 1500,
	TEXT_MAX = 8192,
	PROBE_PORT = 3478,
	PUNCH_PORT = 7000
};

struct sweep_source { /* what a program says */
	struct sweep *sweep;
	struct loop_fd *watch;
	int fd;
	char text[TEXT_MAX];
	size_t n;
};
struct sweep {
	const struct sweep_job *job;
	struct sweep_result *result;
	struct trial trial;
	struct loop *loop;
	struct loop_timer *look;
	bool punches; /* the sources are punchers now */
	struct sweep_source sources[SWEEP_GUESSES];
	int servers[4]; /* and the peer */
	char probes[2][ENDPOINT_TEXT], rendezvous[ENDPOINT_TEXT];
};

static const char *place_of(
	const struct sweep *w, const char *host, uint16_t port, char text[static ENDPOINT_TEXT])
{
	struct endpoint e = { .ip = w->trial.s.nodes[scenario_find_node(&w->trial.s, host)].ip,
		.port = port };
	return endpoint_format(&e, text);
}

static int start_servers(struct sweep *w, struct errbuf *eb)
{
	place_of(w, "first", PROBE_PORT, w->probes[0]);
	place_of(w, "second", PROBE_PORT, w->probes[1]);
	place_of(w, "rendezvous", PUNCH_PORT, w->rendezvous);
	const char *rows[][8] = {
		{ "first", w->job->program, "probe", "--server", w->probes[0], "--other", w->probes[1],
			NULL },
		{ "second", w->job->program, "probe", "--server", w->probes[1], "--other", w->probes[0],
			NULL },
		{ "rendezvous", w->job->program, "punch", "--serve", w->rendezvous, NULL },
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows) && !err; i++) {
		w->servers[i] = trial_start_server(&w->trial, rows[i][0], rows[i] + 1, eb);
		err = w->servers[i] < 0 ? w->servers[i] : 0;
	}
	return err;
}

static int start_on_all(struct sweep *w, bool punch, struct errbuf *eb)
{
	char servers[2 * ENDPOINT_TEXT + 1], host[16], within[32];
	int err = 0;

	snprintf(servers, sizeof(servers), "%s,%s", w->probes[0], w->probes[1]);
	snprintf(within, sizeof(within), "%llums",
		(unsigned long long)slowness_stretch(w->result->slow, TRY_MS));
	for (int i = 0; i < SWEEP_GUESSES && !err; i++) {
		snprintf(host, sizeof(host), "alice-%d", i);
		const char *probe[] = { w->job->program, "probe", "--json", "--servers", servers, NULL };
		const char *call[] = { w->job->program, "punch", "--server", w->rendezvous, "--name", host,
			"--call", "bob", "--try", within, "--proto",
			sweep_guess(i).udp_blocked ? "tcp" : "udp", NULL };
		w->sources[i].n = 0;
		w->sources[i].fd = trial_start(&w->trial, host, punch ? call : probe, eb);
		err = w->sources[i].fd < 0 ? w->sources[i].fd : 0;
	}
	return err;
}

/* ---- what they say ---- */

static void probe_ended(struct sweep *w, int i)
{
	struct errbuf eb;
	struct sweep_row *row = &w->result->rows[i];
	row->seen_known = !user_report_read(w->sources[i].text, w->sources[i].n, &row->seen, &eb);
}

/* A settled path is the verdict. */
static void punch_said(struct sweep *w, int i)
{
	struct sweep_source *s = &w->sources[i];
	char *end;

	s->text[s->n] = '\0';
	while ((end = memchr(s->text, '\n', s->n))) {
		json_t *root = json_loadb(s->text, (size_t)(end - s->text), 0, NULL);
		const char *path = json_string_value(json_object_get(root, "path"));
		if (path && json_is_true(json_object_get(root, "settled")))
			w->result->rows[i].path = !strcmp(path, "direct")  ? PATH_DIRECT
						  : !strcmp(path, "relay") ? PATH_RELAY
									   : PATH_NONE;
		json_decref(root);
		s->n -= (size_t)(end + 1 - s->text);
		memmove(s->text, end + 1, s->n);
	}
}

static void hang_up(struct sweep_source *s)
{
	loop_fd_free(s->watch);
	s->watch = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static void source_ready(void *arg, int events)
{
	struct sweep_source *s = arg;
	struct sweep *w = s->sweep;
	int i = (int)(s - w->sources);
	ssize_t n = read(s->fd, s->text + s->n, sizeof(s->text) - s->n - 1);
	(void)events;

	if (n > 0)
		s->n += (size_t)n;
	if (w->punches)
		punch_said(w, i);
	else if (n <= 0)
		probe_ended(w, i);
	if (n <= 0 || (w->punches && w->result->rows[i].path != PATH_ANY))
		hang_up(s);
}

static int watch_all(struct sweep *w, struct errbuf *eb)
{
	for (int i = 0; i < SWEEP_GUESSES; i++) {
		struct sweep_source *s = &w->sources[i];
		s->watch = loop_fd_new(w->loop, s->fd, source_ready, s);
		if (!s->watch)
			return err_say(eb, -ENOMEM, "out of memory");
		loop_fd_set(s->watch, LOOP_READ);
	}
	return 0;
}

static bool any_open(const struct sweep *w)
{
	for (int i = 0; i < SWEEP_GUESSES; i++)
		if (w->sources[i].fd >= 0)
			return true;
	return false;
}

/* Until all have said what they have to, or the time is over, which stretches by how slow the machine is. */
static int listen_to_all(struct sweep *w, bool punches, uint64_t bound_ms, struct errbuf *eb)
{
	struct slowness *slowness = slowness_open(w->loop);
	struct slowness_mark mark = slowness_now(slowness);
	uint64_t start = loop_now_ms(w->loop), now = start, bound = bound_ms;
	double slow = 1;
	int err = watch_all(w, eb);

	w->punches = punches;
	while (!err && any_open(w) && now < start + bound) {
		loop_timer_set(w->look, start + bound - now);
		loop_run_once(w->loop);
		now = loop_now_ms(w->loop);
		slow = slowness_since(slowness, &mark);
		bound = slowness_stretch(slow, bound_ms);
	}
	slowness_close(slowness);
	if (slow > w->result->slow)
		w->result->slow = slow;
	for (int i = 0; i < SWEEP_GUESSES; i++)
		hang_up(&w->sources[i]);
	return err;
}

static void look_due(void *arg)
{
	(void)arg; /* the wait looks by itself */
}

static void ask_oracle(struct sweep *w)
{
	const struct scenario *s = &w->trial.s;

	for (int i = 0; i < SWEEP_GUESSES; i++) {
		struct oracle_verdict v;
		char host[16];
		snprintf(host, sizeof(host), "alice-%d", i);
		const struct oracle_question q = { .a = scenario_find_node(s, host),
			.b = scenario_find_node(s, "bob"),
			.tcp = w->result->rows[i].guess.udp_blocked };
		oracle_answer(s, &q, &v);
		w->result->rows[i].expected = v.path;
	}
}

static int open_all(struct sweep *w, struct errbuf *eb)
{
	struct buf text = { 0 };
	bool ok = sweep_write(w->job->peer, &text) && (w->loop = loop_new()) &&
		  (w->look = loop_timer_new(w->loop, look_due, NULL));
	int err = ok ? trial_open(&w->trial, &text, w->job->engine, w->job->seed, eb)
		     : err_say(eb, -ENOMEM, "out of memory");

	buf_free(&text);
	w->result->unmeasured = err == -ETIMEDOUT;
	if (!err)
		ask_oracle(w);
	return err;
}

static void close_all(struct sweep *w)
{
	trial_close(&w->trial);
	for (int i = 0; i < SWEEP_GUESSES; i++)
		hang_up(&w->sources[i]);
	for (size_t i = 0; i < ARRAY_LEN(w->servers); i++)
		if (w->servers[i] >= 0)
			close(w->servers[i]);
	loop_timer_free(w->look);
	if (w->loop)
		loop_free(w->loop);
}

static int run_phases(struct sweep *w, struct errbuf *eb)
{
	const char *peer[] = { w->job->program, "punch", "--server", w->rendezvous, "--name", "bob",
		"--proto", "both", NULL };
	int err = start_servers(w, eb);

	if (!err)
		err = start_on_all(w, false, eb);
	if (!err)
		err = listen_to_all(w, false, PROBE_MS, eb);
	if (!err) {
		w->servers[3] = trial_start_server(&w->trial, "bob", peer, eb);
		err = w->servers[3] < 0 ? w->servers[3] : start_on_all(w, true, eb);
	}
	return err ? err : listen_to_all(w, true, PUNCH_MS, eb);
}

int sweep_run(const struct sweep_job *j, struct sweep_result *result)
{
	struct sweep *w = calloc(1, sizeof(*w));

	*result = (struct sweep_result) { .slow = 1 };
	if (!w)
		return result->code = err_say(&result->why, -ENOMEM, "out of memory");
	w->job = j;
	w->result = result;
	for (int i = 0; i < SWEEP_GUESSES; i++) {
		w->sources[i] = (struct sweep_source) { .sweep = w, .fd = -1 };
		result->rows[i].guess = sweep_guess(i);
	}
	for (size_t i = 0; i < ARRAY_LEN(w->servers); i++)
		w->servers[i] = -1;
	int err = open_all(w, &result->why);
	if (!err)
		err = run_phases(w, &result->why);
	close_all(w);
	free(w);
	if (!err)
		sweep_judge(j, result);
	return result->code = err;
}
