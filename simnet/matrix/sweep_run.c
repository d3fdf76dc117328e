#include "simnet/matrix/sweep.h"

#include "mesh/os/loop.h"
#include "simnet/matrix/trial.h"
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* First all probes, then all punchers: they would change each other's mappings. */
enum { PROBE_MS = 10000, PUNCH_MS = 10000, TEXT_MAX = 8192, PROBE_PORT = 3478, PUNCH_PORT = 7000 };

struct sweep_source { /* what a program says */
	int fd;
	char text[TEXT_MAX];
	size_t n;
};
struct sweep {
	const struct sweep_job *job;
	struct sweep_result *result;
	struct trial trial;
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
	char servers[2 * ENDPOINT_TEXT + 1], host[16];
	int err = 0;

	snprintf(servers, sizeof(servers), "%s,%s", w->probes[0], w->probes[1]);
	for (int i = 0; i < SWEEP_GUESSES && !err; i++) {
		snprintf(host, sizeof(host), "alice-%d", i);
		const char *probe[] = { w->job->program, "probe", "--json", "--servers", servers, NULL };
		const char *call[] = { w->job->program, "punch", "--server", w->rendezvous, "--name", host,
			"--call", "bob", "--try", "1500ms", "--proto",
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
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static void source_ready(struct sweep *w, int i, bool punch)
{
	struct sweep_source *s = &w->sources[i];
	ssize_t n = read(s->fd, s->text + s->n, sizeof(s->text) - s->n - 1);

	if (n > 0)
		s->n += (size_t)n;
	if (punch)
		punch_said(w, i);
	else if (n <= 0)
		probe_ended(w, i);
	if (n <= 0 || (punch && w->result->rows[i].path != PATH_ANY))
		hang_up(s);
}

/* Until all have said what they have to, or the time is over. */
static int listen_to_all(struct sweep *w, bool punch, int bound_ms, struct errbuf *eb)
{
	uint64_t end = clock_now_ms() + (uint64_t)bound_ms, now;
	bool open = true;

	while (open && (now = clock_now_ms()) < end) {
		struct pollfd fds[SWEEP_GUESSES];
		for (int i = 0; i < SWEEP_GUESSES; i++)
			fds[i] = (struct pollfd) { .fd = w->sources[i].fd, .events = POLLIN };
		if (poll(fds, SWEEP_GUESSES, (int)(end - now)) < 0)
			return err_set(eb, -errno, "wait for the programs");
		open = false;
		for (int i = 0; i < SWEEP_GUESSES; i++) {
			if (fds[i].fd >= 0 && fds[i].revents)
				source_ready(w, i, punch);
			open |= w->sources[i].fd >= 0;
		}
	}
	for (int i = 0; i < SWEEP_GUESSES; i++)
		hang_up(&w->sources[i]);
	return 0;
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
	struct buf text = { 0 };

	*result = (struct sweep_result) { 0 };
	if (!w || !sweep_write(j->peer, &text)) {
		free(w);
		return result->code = err_say(&result->why, -ENOMEM, "out of memory");
	}
	w->job = j;
	w->result = result;
	for (int i = 0; i < SWEEP_GUESSES; i++) {
		w->sources[i].fd = -1;
		result->rows[i].guess = sweep_guess(i);
	}
	for (size_t i = 0; i < ARRAY_LEN(w->servers); i++)
		w->servers[i] = -1;
	int err = trial_open(&w->trial, &text, j->engine, j->seed, &result->why);
	if (!err)
		err = run_phases(w, &result->why);
	trial_close(&w->trial);
	for (int i = 0; i < SWEEP_GUESSES; i++)
		hang_up(&w->sources[i]);
	for (size_t i = 0; i < ARRAY_LEN(w->servers); i++)
		if (w->servers[i] >= 0)
			close(w->servers[i]);
	buf_free(&text);
	free(w);
	if (!err)
		sweep_judge(j, result);
	return result->code = err;
}
