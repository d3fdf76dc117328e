#include "simnet/matrix/matrix_run.h"

#include "mesh/os/loop.h"
#include "simnet/lab/slowness.h"
#include "simnet/matrix/trial.h"
#include "simnet/scenario/oracle.h"
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The punchers tell each change as a line of JSON, which is all that is read of them; when every pair is what
 * the oracle says and has settled, or the bound has passed, it is over. The hosts end their processes. */
enum { PEERS = 2 * SHEET_CLASSES, LINE_MAX_BYTES = 4096, SERVER_PORT = 7000, LOOK_MS = 200 };

struct matrix;
struct matrix_peer {
	struct matrix *m;
	int fd; /* its standard output; -1 = it has ended */
	struct loop_fd *watch;
	char text[LINE_MAX_BYTES];
	size_t n;
};
struct matrix {
	const struct matrix_job *job;
	struct matrix_result *result;
	struct trial trial;
	struct loop *loop;
	struct loop_timer *look; /* ends a wait */
	struct loop_signal *signals[2];
	bool stopped, lost; /* lost: a puncher has ended */
	int server_fd;
	struct matrix_peer peers[PEERS]; /* side a, then side b */
};

bool matrix_agrees(const struct matrix_verdict *v)
{
	return v->expected == PATH_ANY || v->got == v->expected;
}

enum matrix_finding matrix_find(const struct matrix_result *r, const struct matrix_verdict *v)
{
	if (matrix_agrees(v))
		return MATRIX_RIGHT;
	/* What came did come, however slow the machine. */
	for (int i = 0; i < 2; i++)
		if (v->ends[i] != PATH_ANY && v->ends[i] < v->expected)
			return MATRIX_WRONG;
	return r->slow > SLOWNESS_MOST ? MATRIX_UNSURE : MATRIX_WRONG;
}

/* ---- the loop ---- */

static void stop_matrix(void *arg, int signo)
{
	struct matrix *m = arg;
	(void)signo;
	m->stopped = true;
}

static void look_due(void *arg)
{
	(void)arg; /* the wait looks by itself */
}

static int open_loop(struct matrix *m, struct errbuf *eb)
{
	static const int signals[] = { SIGINT, SIGTERM };
	bool ok = (m->loop = loop_new()) && (m->look = loop_timer_new(m->loop, look_due, NULL));

	for (size_t i = 0; ok && i < ARRAY_LEN(signals); i++)
		ok = (m->signals[i] = loop_signal_new(m->loop, signals[i], stop_matrix, m)) != NULL;
	return ok ? 0 : err_say(eb, -ENOMEM, "out of memory");
}

static void close_loop(struct matrix *m)
{
	loop_timer_free(m->look);
	for (size_t i = 0; i < ARRAY_LEN(m->signals); i++)
		loop_signal_free(m->signals[i]);
	loop_free(m->loop);
}

/* How slow the machine is before anybody searches. Measured anew behind that: what kept us from the loop meanwhile would be
 * taken for slowness. */
static double look_around(struct matrix *m)
{
	struct slowness *s = slowness_open(m->loop);
	struct slowness_mark mark = slowness_now(s);

	loop_timer_set(m->look, LOOK_MS);
	while (loop_timer_is_set(m->look) && !m->stopped)
		loop_run_once(m->loop);
	double slow = slowness_since(s, &mark);
	slowness_close(s);
	return slow;
}

/* ---- the network ---- */

static int open_sheet(struct matrix *m, struct errbuf *eb)
{
	struct buf text = { 0 };
	int err = sheet_write(m->job->sheet, &text) ? 0 : err_say(eb, -ENOMEM, "out of memory");

	if (!err)
		err = trial_open(&m->trial, &text, m->job->engine, m->job->seed, eb);
	buf_free(&text);
	m->result->build_ms = m->trial.build_ms;
	m->result->probe_ms = m->trial.probe_ms;
	m->result->unmeasured = err == -ETIMEDOUT;
	return err;
}

static int host_of(const struct matrix *m, int peer)
{
	char name[16];
	return scenario_find_node(
		&m->trial.s, sheet_host_name("ab"[peer / SHEET_CLASSES], peer % SHEET_CLASSES, name));
}

static void ask_oracle(struct matrix *m)
{
	for (int cell = 0; cell < SHEET_CELLS; cell++)
		for (int proto = 0; proto < SHEET_PROTOS; proto++) {
			struct oracle_verdict v;
			const struct oracle_question q = { .a = host_of(m, cell / SHEET_CLASSES),
				.b = host_of(m, SHEET_CLASSES + cell % SHEET_CLASSES),
				.tcp = proto == SHEET_TCP };
			oracle_answer(&m->trial.s, &q, &v);
			m->result->cells[cell][proto].expected = v.path;
			snprintf(m->result->reason[cell][proto], sizeof(m->result->reason[cell][proto]),
				"%.95s", v.why);
		}
}

/* ---- programs ---- */

static const char *protos_word(const struct matrix_job *j)
{
	return j->protos[SHEET_UDP] && j->protos[SHEET_TCP] ? "both" : j->protos[SHEET_UDP] ? "udp" : "tcp";
}

static int start_server(struct matrix *m, char at[static ENDPOINT_TEXT], struct errbuf *eb)
{
	int host = scenario_find_node(&m->trial.s, "rendezvous");
	struct endpoint e = { .ip = m->trial.s.nodes[host].ip, .port = SERVER_PORT };
	const char *argv[] = { m->job->program, "punch", "--serve", endpoint_format(&e, at), NULL };

	m->server_fd = trial_start_server(&m->trial, "rendezvous", argv, eb);
	return m->server_fd < 0 ? m->server_fd : 0;
}

/* All that the sides are to reach: the callers name them all. */
static void write_calls(char *out, size_t cap)
{
	size_t at = 0;
	for (int i = 0; i < SHEET_CLASSES; i++) {
		char name[16];
		at += (size_t)snprintf(
			out + at, cap - at, "%s%s", i ? "," : "", sheet_host_name('b', i, name));
	}
}

static int start_peers(struct matrix *m, const char *server, struct errbuf *eb)
{
	char calls[SHEET_CLASSES * 17 + 1], within[32];
	int err = 0;

	write_calls(calls, sizeof(calls));
	snprintf(within, sizeof(within), "%llums",
		(unsigned long long)slowness_stretch(look_around(m), m->job->try_ms));
	/* Those who are called first, so that nobody waits for them. */
	for (int k = 0; k < PEERS && !err; k++) {
		int i = (k + SHEET_CLASSES) % PEERS;
		char name[16];
		const char *argv[] = { m->job->program, "punch", "--server", server, "--name",
			sheet_host_name("ab"[i / SHEET_CLASSES], i % SHEET_CLASSES, name), "--proto",
			protos_word(m->job), "--try", within, i < SHEET_CLASSES ? "--call" : NULL, calls,
			NULL };
		m->peers[i].fd = trial_start(&m->trial, name, argv, eb);
		err = m->peers[i].fd < 0 ? m->peers[i].fd : 0;
	}
	return err;
}

/* ---- what they say ---- */

static enum scn_path path_of(const char *word)
{
	return !strcmp(word, "direct") ? PATH_DIRECT : !strcmp(word, "relay") ? PATH_RELAY : PATH_NONE;
}

static void line_said(struct matrix *m, int peer, const char *line)
{
	json_t *root = json_loads(line, 0, NULL);
	const char *event = "", *other = "", *proto = "", *path = "";
	int settled = 0, cell_at = -1;
	double direct_ms = 0;
	bool a = peer < SHEET_CLASSES;

	if (!json_unpack(root, "{s:s, s:s, s:s, s:s, s:b, s?F}", "event", &event, "peer", &other, "proto",
		    &proto, "path", &path, "settled", &settled, "first_direct_ms", &direct_ms))
		for (int i = 0; i < SHEET_CLASSES && cell_at < 0; i++) {
			char name[16];
			if (!strcmp(sheet_host_name(a ? 'b' : 'a', i, name), other))
				cell_at = a ? peer * SHEET_CLASSES + i
					    : i * SHEET_CLASSES + peer - SHEET_CLASSES;
		}
	if (cell_at >= 0) {
		struct matrix_verdict *v =
			&m->result->cells[cell_at][strcmp(proto, "tcp") ? SHEET_UDP : SHEET_TCP];
		v->ends[!a] = path_of(path);
		v->settled[!a] = settled;
		if (direct_ms > v->direct_ms)
			v->direct_ms = (uint32_t)(direct_ms + 0.5);
		v->got = v->ends[0] == v->ends[1] ? v->ends[0] : PATH_ANY;
	}
	json_decref(root);
}

static void hang_up(struct matrix_peer *p)
{
	loop_fd_free(p->watch);
	p->watch = NULL;
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

static void read_peer(void *arg, int events)
{
	struct matrix_peer *p = arg;
	ssize_t n = read(p->fd, p->text + p->n, sizeof(p->text) - p->n - 1);
	char *end;
	(void)events;

	if (n <= 0) {
		p->m->lost = true;
		hang_up(p);
		return;
	}
	p->n += (size_t)n;
	p->text[p->n] = '\0';
	while ((end = strchr(p->text, '\n'))) {
		*end = '\0';
		line_said(p->m, (int)(p - p->m->peers), p->text);
		p->n -= (size_t)(end + 1 - p->text);
		memmove(p->text, end + 1, p->n + 1);
	}
	if (p->n + 1 == sizeof(p->text)) /* no line of theirs is so long */
		p->n = 0;
}

static int watch_peers(struct matrix *m, struct errbuf *eb)
{
	for (int i = 0; i < PEERS; i++) {
		m->peers[i].m = m;
		m->peers[i].watch = loop_fd_new(m->loop, m->peers[i].fd, read_peer, &m->peers[i]);
		if (!m->peers[i].watch)
			return err_say(eb, -ENOMEM, "out of memory");
		loop_fd_set(m->peers[i].watch, LOOP_READ);
	}
	return 0;
}

static bool all_settled(const struct matrix *m)
{
	for (int i = 0; i < SHEET_CELLS; i++)
		for (int proto = 0; proto < SHEET_PROTOS; proto++) {
			const struct matrix_verdict *v = &m->result->cells[i][proto];
			if (m->job->protos[proto] && (!matrix_agrees(v) || !v->settled[0] || !v->settled[1]))
				return false;
		}
	return true;
}

static int listen_to_peers(struct matrix *m, struct errbuf *eb)
{
	struct slowness *slowness = slowness_open(m->loop);
	struct slowness_mark mark = slowness_now(slowness);
	uint64_t start = loop_now_ms(m->loop), now = start, bound = m->job->bound_ms;
	int err = watch_peers(m, eb);

	while (!err && !m->stopped && !m->lost && !all_settled(m) && now < start + bound) {
		loop_timer_set(m->look, start + bound - now);
		loop_run_once(m->loop);
		now = loop_now_ms(m->loop);
		m->result->slow = slowness_since(slowness, &mark);
		bound = slowness_stretch(m->result->slow, m->job->bound_ms);
	}
	slowness_close(slowness);
	m->result->punch_ms = (uint32_t)(now - start);
	return err	    ? err
	       : m->stopped ? err_say(eb, -EINTR, "interrupted")
	       : m->lost    ? err_say(eb, ERR_CLOSED, "a puncher has ended")
			    : 0;
}

int matrix_run(const struct matrix_job *job, struct matrix_result *result)
{
	struct matrix *m = calloc(1, sizeof(*m));
	char server[ENDPOINT_TEXT];

	*result = (struct matrix_result) { 0 };
	if (!m)
		return result->code = err_say(&result->why, -ENOMEM, "out of memory");
	m->job = job;
	m->result = result;
	m->server_fd = -1;
	for (int i = 0; i < PEERS; i++)
		m->peers[i].fd = -1;
	int err = open_loop(m, &result->why);
	if (!err)
		err = open_sheet(m, &result->why);
	if (!err) {
		ask_oracle(m);
		err = start_server(m, server, &result->why);
	}
	if (!err)
		err = start_peers(m, server, &result->why);
	if (!err)
		err = listen_to_peers(m, &result->why);
	trial_close(&m->trial);
	for (int i = 0; i < PEERS; i++)
		hang_up(&m->peers[i]);
	close_loop(m);
	if (m->server_fd >= 0)
		close(m->server_fd);
	free(m);
	return result->code = err;
}
