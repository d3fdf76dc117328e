/* Files that go to peers, as who watches is told of them: those on their way, and the last of those that ended. */
#include "mesh/base/key.h"
#include "mesh/node/serve/files_inner.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOLD_MS = 250 /* while bytes move */, ENDED_MAX = 32 };

struct outgoing {
	struct outgoing *next;	  /* begun later */
	const struct transfer *t; /* NULL: it has ended */
	char id[FILES_OUTGOING_ID], peer[FILES_STABLE_ID], name[INBOX_NAME];
	int64_t started_ms, size;
	uint64_t sent; /* as it was told last */
	bool succeeded;
};

void transfer_sent(struct transfer *t, uint64_t sent)
{
	__atomic_store_n(&t->sent, sent, __ATOMIC_RELAXED);
}

/* Whether there is news of one on its way. */
static bool look_at(struct outgoing *o)
{
	uint64_t before = o->sent;
	if (o->t)
		o->sent = __atomic_load_n(&o->t->sent, __ATOMIC_RELAXED);
	return o->sent != before;
}

static void tell(struct outgoing_list *l)
{
	if (l->changed)
		l->changed(l->arg);
}

static void tick(void *arg)
{
	struct outgoing_list *l = arg;
	bool news = false, live = false;
	for (struct outgoing *o = l->first; o; o = o->next) {
		news |= look_at(o);
		live |= o->t != NULL;
	}
	if (live)
		loop_timer_set(l->due, TOLD_MS);
	if (news)
		tell(l);
}

bool outgoing_open(struct outgoing_list *l, struct loop *loop)
{
	*l = (struct outgoing_list) { .due = loop_timer_new(loop, tick, l) };
	return l->due;
}

void outgoing_close(struct outgoing_list *l)
{
	while (l->first) {
		struct outgoing *o = l->first;
		l->first = o->next;
		free(o);
	}
	loop_timer_free(l->due);
}

void outgoing_begin(struct outgoing_list *l, const struct transfer *t, const char *peer, int64_t size)
{
	static const char digits[] = "0123456789abcdef";
	struct outgoing *o = calloc(1, sizeof(*o)), **at = &l->first;
	if (!o)
		return; /* it goes all the same */
	uint8_t id[FILES_OUTGOING_ID - 1];
	random_system.fill(random_system.arg, id, sizeof(id));
	for (size_t i = 0; i < sizeof(id); i++)
		o->id[i] = digits[id[i] % 16];
	o->t = t;
	snprintf(o->peer, sizeof(o->peer), "%s", peer);
	snprintf(o->name, sizeof(o->name), "%s", t->name);
	o->started_ms = clock_unix_ms();
	o->size = size;
	while (*at)
		at = &(*at)->next;
	*at = o;
	loop_timer_set(l->due, TOLD_MS);
	tell(l);
}

static void forget_oldest(struct outgoing_list *l)
{
	struct outgoing **oldest = NULL;
	size_t n = 0;
	for (struct outgoing **at = &l->first; *at; at = &(*at)->next) {
		if (!oldest && !(*at)->t)
			oldest = at;
		n += !(*at)->t;
	}
	if (n <= ENDED_MAX)
		return;
	struct outgoing *o = *oldest;
	*oldest = o->next;
	free(o);
}

void outgoing_end(struct outgoing_list *l, const struct transfer *t)
{
	struct outgoing *o = l->first;
	while (o && o->t != t)
		o = o->next;
	if (!o)
		return;
	(void)look_at(o);
	o->t = NULL;
	o->succeeded = !t->why.code;
	forget_oldest(l);
	tell(l);
}

void outgoing_each(
	const struct outgoing_list *l, void (*each)(void *arg, const struct files_outgoing *o), void *arg)
{
	for (const struct outgoing *o = l->first; o; o = o->next) {
		const struct files_outgoing out = { .id = o->id,
			.peer = o->peer,
			.name = o->name,
			.started_ms = o->started_ms,
			.size = o->size,
			.sent = o->sent,
			.finished = !o->t,
			.succeeded = o->succeeded };
		each(arg, &out);
	}
}
