#include "simnet/matrix/matrix_run.h"

#include "mesh/os/loop.h"
#include "simnet/matrix/trial.h"
#include "simnet/scenario/oracle.h"
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The punchers tell each change as a line of JSON, which is all that is read of them; when every pair is what
 * the oracle says and has settled, or the bound has passed, it is over. The hosts end their processes. */
enum { PEERS = 2 * SHEET_CLASSES, LINE_MAX_BYTES = 4096, SERVER_PORT = 7000 };

struct matrix_peer {
	int fd; /* its standard output; -1 = it has ended */
	char text[LINE_MAX_BYTES];
	size_t n;
};
struct matrix {
	const struct matrix_job *job;
	struct matrix_result *result;
	struct trial trial;
	int server_fd;
	struct matrix_peer peers[PEERS]; /* side a, then side b */
};

static volatile sig_atomic_t matrix_stopped;

static void stop_matrix(int signo)
{
	(void)signo;
	matrix_stopped = 1;
}

bool matrix_agrees(const struct matrix_verdict *v)
{
	return v->expected == PATH_ANY || v->got == v->expected;
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
	snprintf(within, sizeof(within), "%llums", (unsigned long long)m->job->try_ms);
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

static void read_peer(struct matrix *m, int peer)
{
	struct matrix_peer *p = &m->peers[peer];
	ssize_t n = read(p->fd, p->text + p->n, sizeof(p->text) - p->n - 1);
	char *end;

	if (n <= 0) {
		close(p->fd);
		p->fd = -1;
		return;
	}
	p->n += (size_t)n;
	p->text[p->n] = '\0';
	while ((end = strchr(p->text, '\n'))) {
		*end = '\0';
		line_said(m, peer, p->text);
		p->n -= (size_t)(end + 1 - p->text);
		memmove(p->text, end + 1, p->n + 1);
	}
	if (p->n + 1 == sizeof(p->text)) /* no line of theirs is so long */
		p->n = 0;
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
	uint64_t start = clock_now_ms(), now;

	while (!all_settled(m) && !matrix_stopped && (now = clock_now_ms()) < start + m->job->bound_ms) {
		struct pollfd fds[PEERS];
		for (int i = 0; i < PEERS; i++)
			fds[i] = (struct pollfd) { .fd = m->peers[i].fd, .events = POLLIN };
		if (poll(fds, PEERS, (int)(start + m->job->bound_ms - now)) < 0 && errno != EINTR)
			return err_set(eb, -errno, "poll");
		for (int i = 0; i < PEERS; i++) {
			if (fds[i].fd >= 0 && (fds[i].revents & (POLLIN | POLLHUP)))
				read_peer(m, i);
			if (m->peers[i].fd < 0)
				return err_say(eb, ERR_CLOSED, "a puncher has ended");
		}
	}
	m->result->punch_ms = (uint32_t)(clock_now_ms() - start);
	return matrix_stopped ? err_say(eb, -EINTR, "interrupted") : 0;
}

int matrix_run(const struct matrix_job *job, struct matrix_result *result)
{
	struct matrix *m = calloc(1, sizeof(*m));
	struct sigaction on_stop = { .sa_handler = stop_matrix };
	char server[ENDPOINT_TEXT];

	*result = (struct matrix_result) { 0 };
	if (!m)
		return result->code = err_say(&result->why, -ENOMEM, "out of memory");
	m->job = job;
	m->result = result;
	m->server_fd = -1;
	for (int i = 0; i < PEERS; i++)
		m->peers[i].fd = -1;
	sigaction(SIGINT, &on_stop, NULL);
	sigaction(SIGTERM, &on_stop, NULL);
	int err = open_sheet(m, &result->why);
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
		if (m->peers[i].fd >= 0)
			close(m->peers[i].fd);
	if (m->server_fd >= 0)
		close(m->server_fd);
	free(m);
	return result->code = err;
}
