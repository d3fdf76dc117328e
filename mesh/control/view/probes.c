#include "mesh/control/view/probes.h"
#include "mesh/base/key.h"
#include "mesh/base/log.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	LOOK_MS = 500,	  /* while there is somebody to look after */
	IDLE_MS = 2000,	  /* else */
	ASK_MS = 2000,	  /* between questions */
	SILENT_MS = 2500, /* a busy machine answers in a second */
	AWAY_LOOKS = 2,
	TOKEN_LEN = 16
};

struct probe {
	struct probe *next;
	int64_t node;
	uint64_t sent_ms, open_ms; /* the last question; the first that is not answered, 0 = all are */
	unsigned away;		   /* looks that found no stream */
	bool silent, kept;
	char token[TOKEN_LEN + 1];
};

static struct probe *find_probe(const struct probes *p, int64_t node)
{
	struct probe *x = p->first;
	while (x && x->node != node)
		x = x->next;
	return x;
}

static void set_silent(struct probes *p, struct probe *x, bool silent)
{
	if (x->silent == silent)
		return;
	x->silent = silent;
	log_info("node %" PRId64 ": %s", x->node,
		silent ? "does not answer; what it carries goes to another" : "answers again");
	p->ops.silent(p->ops.arg, x->node, silent);
}

static void probe_ask(struct probes *p, struct probe *x, uint64_t now)
{
	char url[512];
	uint64_t random;
	if (!x->open_ms) {
		random_system.fill(random_system.arg, &random, sizeof(random));
		snprintf(x->token, sizeof(x->token), "%016" PRIx64, random);
	}
	snprintf(url, sizeof(url), "%s/machine/ping-response/%s", p->url, x->token);
	if (!streams_ping(p->streams, x->node, url, "", "")) {
		x->away++;
		return;
	}
	x->away = 0;
	x->sent_ms = now;
	x->open_ms = x->open_ms ? x->open_ms : now;
}

static void look_at(struct probes *p, struct probe *x, uint64_t now)
{
	if (x->away || now - x->sent_ms >= ASK_MS || !x->sent_ms)
		probe_ask(p, x, now);
	if (x->away >= AWAY_LOOKS || (x->open_ms && now - x->open_ms >= SILENT_MS))
		set_silent(p, x, true);
}

static void keep_rivals(struct probes *p, const struct id_list *rivals)
{
	for (struct probe *x = p->first; x; x = x->next)
		x->kept = id_list_has(rivals, x->node);
	for (struct probe **at = &p->first, *x; (x = *at);) {
		if (x->kept) {
			at = &x->next;
			continue;
		}
		*at = x->next;
		if (x->silent)
			p->ops.silent(p->ops.arg, x->node, false);
		free(x);
	}
	for (size_t i = 0; i < rivals->n; i++) {
		struct probe *x = find_probe(p, rivals->v[i]) ? NULL : calloc(1, sizeof(*x));
		if (!x)
			continue; /* it is there; or, memory is short, looked for again */
		x->node = rivals->v[i];
		x->next = p->first;
		p->first = x;
	}
}

static void look(void *arg)
{
	struct probes *p = arg;
	struct id_list rivals = { 0 };
	uint64_t now = loop_now_ms(p->loop);
	p->ops.rivals(p->ops.arg, &rivals);
	keep_rivals(p, &rivals);
	id_list_clear(&rivals);
	for (struct probe *x = p->first; x; x = x->next)
		look_at(p, x, now);
	loop_timer_set(p->timer, p->first ? LOOK_MS : IDLE_MS);
}

int64_t probes_asked(const struct probes *p, const char *token)
{
	for (const struct probe *x = p->first; x; x = x->next)
		if (x->token[0] && strcmp(x->token, token) == 0)
			return x->node;
	return 0;
}

void probes_answered(struct probes *p, int64_t node)
{
	struct probe *x = find_probe(p, node);
	if (!x)
		return;
	x->open_ms = 0;
	set_silent(p, x, false);
}

int probes_open(struct probes *p, struct loop *l, struct streams *s, const char *url,
	const struct probes_ops *ops, struct errbuf *eb)
{
	*p = (struct probes) { .loop = l, .streams = s, .url = url, .ops = *ops };
	p->timer = loop_timer_new(l, look, p);
	if (!p->timer)
		return err_set(eb, -ENOMEM, "start");
	loop_timer_set(p->timer, IDLE_MS);
	return 0;
}

void probes_close(struct probes *p)
{
	for (struct probe *x = p->first, *next; x; x = next) {
		next = x->next;
		free(x);
	}
	loop_timer_free(p->timer);
	*p = (struct probes) { 0 };
}
