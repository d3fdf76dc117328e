#include "simnet/lab/lab.h"

#include "mesh/os/file.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The life of a node's program. program.h says its states; while it is STARTING it goes through phases, in
 * order:
 *
 *   FILES   the adapter's files are written, all anew
 *   START   the process is started
 *   READY   it says that it is: a line, a line of JSON, a port that accepts, its end
 *   THEN    the adapter's commands run, one at a time, some once for every word
 *
 * A phase whose templates name what is not there yet (TEMPLATE_WAIT) stays where it is, and says in `why`
 * what it waits for; programs_advance tries all programs again whenever one has got a value, so they start in
 * the order of their needs. Events come from the loop (a line, an end, a timer, a port) and end in advance()
 * or in fail(), the only two that move a state on; whoever waits for a program waits in lab_wait and is poked
 * by them. */
enum { PHASE_FILES, PHASE_START, PHASE_READY, PHASE_THEN, PHASE_DONE };
enum { STOP_MS = 5000, LOG_BYTES = 32 << 20 };

const struct scn_node *program_node(const struct program *p)
{
	return &p->lab->s->nodes[p->node];
}

const char *program_dir(const struct program *p, char *buf, size_t cap)
{
	snprintf(buf, cap, "%s/%s", p->lab->work_dir, program_node(p)->name);
	return buf;
}

const char *program_field(const struct program *p, const char *key)
{
	for (size_t i = 0; i < p->n_captures; i++)
		if (!strcmp(p->captures[i].key, key))
			return p->captures[i].value;
	return NULL;
}

void program_fail(struct program *p, int code, const char *text)
{
	if (p->state == PROGRAM_FAILED)
		return;
	p->state = PROGRAM_FAILED;
	record_program(p->lab, p->node, "failed");
	char line[300];
	snprintf(line, sizeof(line), "%.299s", text);
	err_say(&p->why, code, "%s: %s", program_node(p)->name, line);
	if (!p->lab->failed) {
		p->lab->failed = true;
		p->lab->failure = p->why;
	}
	lab_poke(p->lab);
}

struct fields program_fields(const struct program *p)
{
	return (struct fields) { .lab = p->lab, .node = p->node, .each_node = -1 };
}

/* ---- its output */

/* The log is held in memory until the end: a program that never stops talking must not fill it. */
static void log_line(struct program *p, const char *line)
{
	size_t len = strlen(line);

	if (!p->log || p->log_bytes > LOG_BYTES)
		return;
	p->log_bytes += len + 16;
	fprintf(p->log, "%9.3f %s\n", (double)(loop_now_ms(p->lab->loop) - p->lab->story->t0_ms) / 1000,
		p->log_bytes > LOG_BYTES ? "simnet: what follows is not kept, it is too much" : line);
	if (p->log_bytes > LOG_BYTES || p->followed)
		fflush(p->log);
}

void program_follow_log(struct program *p)
{
	p->followed = true;
	if (p->log)
		fflush(p->log);
}

void program_keep_line(struct program *p, bool err, const char *line)
{
	record_line(p->lab, p->node, err, line);
	size_t at = p->n_lines++ % PROGRAM_TAIL;
	free(p->tail[at]);
	p->tail[at] = strdup(line);
	log_line(p, line);
}

static bool line_matches(const char *pattern, const char *line)
{
	regex_t re;
	if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	bool hit = regexec(&re, line, 0, NULL, 0) == 0;
	regfree(&re);
	return hit;
}

static void see_ready(struct program *p, bool err, const char *line)
{
	const struct adapter_ready *r = &p->adapter->ready;
	struct fields f = program_fields(p);
	json_t *root = !err && (r->json || r->n_capture) ? json_loads(line, 0, NULL) : NULL;
	struct buf value = { .cap = 1 << 16 };
	bool hit = r->line ? line_matches(r->line, line)
			   : r->json && root && program_first_value(root, r->json, &value);

	if (hit && program_capture(p, &f, r->capture, r->n_capture, root, line))
		program_fail(p, ERR_REFUSED, "its ready line lacks what the adapter wants to capture");
	else if (hit)
		p->ready_seen = true;
	buf_free(&value);
	json_decref(root);
}

static void program_line(void *owner, bool err, const char *line)
{
	struct program *p = owner;

	program_keep_line(p, err, line);
	if (!p->adapter || p->ready_seen || p->phase > PHASE_READY || p->state != PROGRAM_STARTING)
		return;
	see_ready(p, err, line);
	if (p->ready_seen)
		programs_advance(p->lab);
}

static void program_exited(void *owner, int status)
{
	struct program *p = owner;
	char text[300];
	int signo = proc_signal_of(status);
	const char *last = p->n_lines ? p->tail[(p->n_lines - 1) % PROGRAM_TAIL] : NULL;

	p->proc = NULL;
	record_program(p->lab, p->node, "ended");
	if (p->stopping)
		return;
	if (p->adapter ? p->adapter->ready.exit && status == 0 : status == 0) {
		p->ready_seen = true;
		programs_advance(p->lab);
		return;
	}
	snprintf(text, sizeof(text), "the program ended %s %d%s%.180s", signo ? "by signal" : "with status",
		signo ? signo : status, last ? "; it said: " : "", last ? last : "");
	/* By itself: the machine has not stopped it, however slow it is. */
	program_fail(p, ERR_REFUSED, text);
}

/* ---- the port it listens on */

static void drop_port(struct program *p)
{
	loop_fd_free(p->port_watch);
	p->port_watch = NULL;
	if (p->port_fd >= 0)
		close(p->port_fd);
	p->port_fd = -1;
}

static void port_answered(void *arg, int events)
{
	struct program *p = arg;
	(void)events;

	if (sock_error(p->port_fd) == 0)
		p->ready_seen = true;
	drop_port(p);
	if (p->ready_seen)
		programs_advance(p->lab);
	else
		loop_timer_set(p->timer, PROGRAM_RETRY_MS);
}

static int try_port(struct program *p, struct errbuf *eb)
{
	struct fields f = program_fields(p);
	struct buf text = { .cap = 128 };
	struct endpoint ep;
	struct sockaddr_storage sa;

	int err = fields_expand(&f, p->adapter->ready.port, &text, eb);
	const char *spec = err ? "" : buf_cstr(&text);
	if (!err && (strncmp(spec, "tcp ", 4) != 0 || !endpoint_parse(spec + 4, &ep)))
		err = err_say(eb, ERR_MALFORMED,
			"'%s' is not a port, as 'tcp 192.0.2.1:80' or 'tcp [2001:db8::1]:80', which 'tcp "
			"{ip-literal}:80' is",
			spec);
	buf_free(&text);
	if (err)
		return err;
	int family = addr_is_v4(&ep.ip) ? AF_INET : AF_INET6;
	p->port_fd = hosts_socket(
		p->lab->hosts, p->node, family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, eb);
	if (p->port_fd < 0)
		return p->port_fd;
	if (connect(p->port_fd, (struct sockaddr *)&sa, endpoint_to_sockaddr(&ep, false, &sa)) < 0 &&
		errno != EINPROGRESS) {
		drop_port(p);
		loop_timer_set(p->timer, PROGRAM_RETRY_MS);
		return 0;
	}
	p->port_watch = loop_fd_new(p->lab->loop, p->port_fd, port_answered, p);
	if (!p->port_watch)
		return err_say(eb, -ENOMEM, "out of memory");
	loop_fd_set(p->port_watch, LOOP_WRITE);
	return 0;
}

/* ---- the machine */

static int start_process(struct program *p, const char *const *bare, struct errbuf *eb)
{
	static const struct proc_ops ops = { .line = program_line, .exited = program_exited };
	const char *const *argv = p->adapter ? (const char *const *)p->adapter->start : bare;
	struct fields f = program_fields(p);
	char **full = NULL;
	int err = fields_argv(&f, argv, &full, eb);

	if (err)
		return err;
	struct proc_place at = lab_place(p->lab, p->node);
	at.as_user = true;
	p->proc = proc_start(&at, (const char *const *)full, &ops, p, eb);
	fields_argv_free(full);
	return p->proc ? 0 : ERR_REFUSED;
}

static void become_ready(struct program *p)
{
	p->state = PROGRAM_READY;
	record_program(p->lab, p->node, "ready");
	p->ready_ms = loop_now_ms(p->lab->loop);
	p->started_before = true;
	p->why.text[0] = '\0';
	if (p->adapter)
		story_say(p->lab->story, "ready", STORY_PLAIN, "%s is ready, %.2f s after its start",
			program_node(p)->name, (double)(p->ready_ms - p->start_ms) / 1000);
	lab_poke(p->lab);
}

/* One phase further: 1 = go on, 0 = an event will come, TEMPLATE_WAIT is not used here, negative = failed. */
static int advance_phase(struct program *p, struct errbuf *eb)
{
	int err = 0;

	switch (p->phase) {
	case PHASE_FILES: err = program_write_files(p, eb); break;
	case PHASE_START: err = start_process(p, (const char *const *)program_node(p)->argv, eb); break;
	case PHASE_READY:
		if (!p->adapter || p->ready_seen)
			break;
		if (p->adapter->ready.port && p->port_fd < 0 && !loop_timer_is_set(p->timer))
			err = try_port(p, eb);
		else if (!p->adapter->ready.line && !p->adapter->ready.json && !p->adapter->ready.port &&
			 !p->adapter->ready.exit)
			break;
		return err < 0 ? err : 0;
	case PHASE_THEN:
		if (!p->adapter || p->at >= p->adapter->n_then)
			break;
		if (p->job || loop_timer_is_set(p->timer))
			return 0;
		err = program_start_command(p, eb);
		return err ? err : !p->job;
	default: return 0;
	}
	if (err)
		return err;
	p->phase++;
	return 1;
}

static void advance(struct program *p)
{
	struct errbuf eb = { 0 };
	int go = 1;

	while (p->state == PROGRAM_STARTING && p->phase != PHASE_DONE && go == 1) {
		go = advance_phase(p, &eb);
		if (go == TEMPLATE_WAIT && eb.code == TEMPLATE_WAIT) {
			err_say(&p->why, ERR_REFUSED, "%s: waiting for %s", program_node(p)->name, eb.text);
			return;
		}
	}
	if (go < 0)
		program_fail(p, lab_short_of(eb.code) ? eb.code : ERR_REFUSED, eb.text);
	else if (p->state == PROGRAM_STARTING && p->phase == PHASE_DONE)
		become_ready(p);
}

void programs_advance(struct lab *l)
{
	for (size_t i = 0; i < l->s->n_nodes; i++)
		advance(&l->programs[i]);
	lab_poke(l);
}

static void retry(void *arg)
{
	advance(arg);
}

int program_start(struct program *p, struct errbuf *eb)
{
	if (p->proc)
		return err_say(eb, -EALREADY, "%s runs already", program_node(p)->name);
	p->state = PROGRAM_STARTING;
	p->phase = PHASE_FILES;
	p->at = p->word = 0;
	p->stopping = p->paused = p->ready_seen = false;
	p->start_ms = loop_now_ms(p->lab->loop);
	if (!p->adapter && !program_node(p)->argv) { /* a host without a program */
		p->state = PROGRAM_READY;
		return program_write_files(p, eb);
	}
	record_program(p->lab, p->node, "starting");
	advance(p);
	return 0;
}

/* ---- its end */

static bool has_ended(void *arg)
{
	const struct program *p = arg;
	return !p->proc && !p->extras;
}

void program_stop(struct program *p, int signo)
{
	if (signo != SIGSTOP && signo != SIGCONT)
		p->stopping = true; /* it may end by it */
	if (signo == SIGSTOP || signo == SIGCONT)
		p->paused = signo == SIGSTOP;
	record_program(p->lab, p->node,
		signo == SIGSTOP   ? "stopped"
		: signo == SIGCONT ? "goes on"
				   : "ended");
	if (signo == SIGKILL || signo == SIGTERM || signo == SIGINT) {
		p->state = PROGRAM_OFF;
		job_free(p->job);
		p->job = NULL;
		loop_timer_clear(p->timer);
		drop_port(p);
	}
	proc_signal(p->proc, signo);
	program_signal_extras(p, signo);
	if (!has_ended(p) && (signo == SIGKILL || signo == SIGTERM || signo == SIGINT) &&
		!lab_wait(p->lab, has_ended, p, loop_now_ms(p->lab->loop) + STOP_MS)) {
		proc_free(p->proc);
		p->proc = NULL;
		program_end_extras(p);
	}
}

static int open_program(struct lab *l, struct program *p, struct errbuf *eb)
{
	char path[600];

	p->timer = loop_timer_new(l->loop, retry, p);
	if (!p->timer)
		return err_say(eb, -ENOMEM, "out of memory");
	snprintf(path, sizeof(path), "%s/logs/%s.log", l->work_dir, program_node(p)->name);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	p->log = fd < 0 ? NULL : fdopen(fd, "a");
	return 0;
}

int programs_open(struct lab *l, struct errbuf *eb)
{
	char dir[512];
	snprintf(dir, sizeof(dir), "%s/logs", l->work_dir);
	int err = dir_make(dir, 0700, eb);
	for (size_t i = 0; i < l->s->n_nodes && !err; i++)
		err = open_program(l, &l->programs[i], eb);
	return err;
}

static void close_program(struct program *p)
{
	p->stopping = true;
	job_free(p->job);
	proc_free(p->proc);
	program_end_extras(p);
	drop_port(p);
	loop_timer_free(p->timer);
	for (size_t i = 0; i < p->n_captures; i++) {
		free((char *)(uintptr_t)p->captures[i].key);
		free((char *)(uintptr_t)p->captures[i].value);
	}
	free(p->captures);
	for (size_t i = 0; i < PROGRAM_TAIL; i++)
		free(p->tail[i]);
	if (p->log)
		fclose(p->log);
	adapter_free(p->adapter);
	free(p->adapter);
}

void programs_close(struct lab *l)
{
	for (size_t i = l->s->n_nodes; l->programs && i-- > 0;)
		close_program(&l->programs[i]);
	free(l->programs);
	l->programs = NULL;
}
