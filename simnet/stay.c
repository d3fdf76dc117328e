#include "simnet/run_in.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A network that stays: after the steps (`up`), after one that failed (`--keep`), or before each (`--step`). It
 * takes the same steps that a file has, by `simnet inject`, one order at a time: it is read and checked against the
 * running scenario, appended to its steps, and run as they are; its story goes to whoever ordered it as well. What is
 * wrong with it, or fails, ends the order and nothing else. */

/* ---- who listens */

struct tee {
	FILE *own;
	int fd; /* of who ordered; -1 when that went away */
};

static ssize_t tee_write(void *cookie, const char *text, size_t len)
{
	struct tee *t = cookie;

	fwrite(text, 1, len, t->own);
	fflush(t->own);
	for (size_t at = 0; t->fd >= 0 && at < len;) {
		ssize_t n = write(t->fd, text + at, len - at);
		if (n <= 0)
			t->fd = -1;
		else
			at += (size_t)n;
	}
	return (ssize_t)len;
}

/* ---- an order */

/* "cut home.udp" is short for "cut: home.udp". */
static const char *spell_out(const char *text, char *buf, size_t cap)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz");

	if (!n || text[n] != ' ' || strchr(text, '\n'))
		return text;
	snprintf(buf, cap, "%.*s: %s", (int)n, text, text + n + 1);
	return buf;
}

static int run_steps_of(struct run *run, size_t first, struct errbuf *eb)
{
	struct scenario *s = run->r->scenario;
	int err = 0;

	for (size_t i = first; i < s->n_steps && !err; i++)
		if ((err = run_step(run, &s->steps[i], eb)))
			s->n_steps = i + 1; /* those behind it never happen */
	return err;
}

/* Its exit code; the sentence of what is wrong with the order itself goes to why. */
static int run_order(struct run *run, const char *text, struct buf *why)
{
	struct scenario *s = run->r->scenario;
	struct lab *l = &run->lab;
	struct scn_errors all = { 0 };
	struct errbuf eb = { 0 };
	char spelled[512], message[700];
	size_t first = s->n_steps;

	text = spell_out(text, spelled, sizeof(spelled));
	int err = scenario_add_steps(s, "inject", text, strlen(text), &all, &eb);
	if (!err && (err = fields_check(l, &all, &eb)))
		s->n_steps = first;
	if (err) {
		(void)buf_append(why, buf_data(&all.text), all.text.len);
		buf_free(&all.text);
		return EXIT_USAGE;
	}
	err = run_steps_of(run, first, &eb);
	if (!err)
		events_tell(l);
	if (err && !l->interrupted)
		run_tell_failure(run, &eb, message, sizeof(message));
	int code = err && l->interrupted ? EXIT_INTERRUPTED : run_exit_code(run, err, STAGE_RUN);
	l->failed = false;
	l->step = NULL;
	return code;
}

static void obey(struct run *run, struct shell_order *o)
{
	struct story *st = run->lab.story;
	struct tee tee = { .own = st->out, .fd = shell_order_fd(o) };
	FILE *both = fopencookie(&tee, "w", (cookie_io_functions_t) { .write = tee_write });
	struct buf why = { .cap = 1 << 16 };

	if (both) {
		setvbuf(both, NULL, _IOLBF, 0);
		st->out = both;
	}
	int code = run_order(run, shell_order_text(o), &why);
	if (both) {
		fclose(both);
		st->out = tee.own;
	}
	shell_order_end(o, code, why.len ? buf_cstr(&why) : NULL);
	buf_free(&why);
}

/* ---- staying */

static bool has_news(void *arg)
{
	const struct run *run = arg;
	return run->lab.failed || shell_has_order(run->shells);
}

static void obey_all(struct run *run)
{
	for (struct shell_order *o; (o = shell_next_order(run->shells));)
		obey(run, o);
}

static const char *place_name(const struct scenario *s, int router)
{
	return router < 0 ? "internet" : s->routers[router].name;
}

/* Where all are now: steps may have moved them. */
static void tell_places(struct lab *l)
{
	const struct scenario *s = l->s;
	const size_t done = l->n_steps < s->n_steps ? l->n_steps : s->n_steps;
	char ip[ADDR_TEXT];

	for (int i = 0; i < (int)s->n_routers; i++) {
		const struct scn_iface wan = topology_iface(s, done, (struct scn_plug) { -1, i, 0 });
		story_say(l->story, "router-at", STORY_PLAIN, "%-16s %-16s %s, a router", s->routers[i].name,
			addr_format(&wan.ip, ip), place_name(s, wan.network));
	}
	for (int i = 0; i < (int)s->n_nodes; i++) {
		const size_t used = (size_t)topology_in_use(s, done, i);
		const struct scn_iface f = topology_iface(s, done, (struct scn_plug) { i, -1, used });
		const struct addr at = topology_ip(s, done, i);
		story_say(l->story, "node", STORY_PLAIN, "%-16s %-16s %s", s->nodes[i].name,
			addr_format(&at, ip), place_name(s, f.network));
	}
}

void stay(struct run *run, const char *why)
{
	struct lab *l = &run->lab;

	l->failed = l->over = false;
	tell_places(l);
	story_say(l->story, "up", STORY_EVENT,
		"%s; 'simnet shell NODE' and 'simnet inject STEP' from another terminal, Ctrl-C ends it",
		why);
	while (!l->interrupted && !l->story->lost) {
		(void)lab_wait(l, has_news, run, UINT64_MAX);
		if (l->failed)
			story_say(l->story, "failed", STORY_BAD, "%s", l->failure.text);
		l->failed = false;
		obey_all(run);
	}
}

/* ---- step by step */

struct pause {
	struct run *run;
	char line[16];
	size_t len;
	bool entered;
};

static void line_entered(void *arg, int events)
{
	struct pause *p = arg;
	(void)events;

	char c = '\0';
	ssize_t n = read(STDIN_FILENO, &c, 1); /* what follows the line is for the next pause */

	if (n <= 0) { /* nobody is there */
		p->line[0] = 'c';
		p->entered = true;
	} else if (c == '\n') {
		p->entered = true;
	} else if (p->len < sizeof(p->line) - 1) {
		p->line[p->len++] = c;
	}
	lab_poke(&p->run->lab);
}

static bool may_go_on(void *arg)
{
	const struct pause *p = arg;
	return p->entered || has_news(p->run);
}

void stay_before(struct run *run, const struct scn_step *st, bool *stop)
{
	struct lab *l = &run->lab;
	struct pause p = { .run = run };
	/* The loop makes it one that does not wait, for whoever else has this terminal too. */
	int flags = fcntl(STDIN_FILENO, F_GETFL);
	struct loop_fd *input = loop_fd_new(l->loop, STDIN_FILENO, line_entered, &p);

	story_say(l->story, "pause", STORY_EVENT, "next: line %u, %s%s%s%s%s. Enter goes on, c to the end",
		st->at.line, scenario_step_name(st->kind), st->from || st->target ? " " : "",
		st->from     ? st->from
		: st->target ? st->target
			     : "",
		st->to ? " -> " : "", st->to ? st->to : "");
	if (input)
		loop_fd_set(input, LOOP_READ);
	while (input && !p.entered && !l->interrupted && !l->failed && !l->story->lost) {
		(void)lab_wait(l, may_go_on, &p, UINT64_MAX);
		if (!l->failed)
			obey_all(run);
	}
	loop_fd_free(input);
	if (flags >= 0)
		(void)fcntl(STDIN_FILENO, F_SETFL, flags);
	*stop = input && p.line[0] != 'c';
}
