#include "resolver/exchange/test/asker.h"

#include "mesh/base/wire.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

enum { LIMIT_MS = 60000, ID_BASE = 0x1000 };

static void event(struct asker *a)
{
	if (++a->events >= a->want)
		loop_stop(a->loop);
}

static void received(void *arg, uint64_t id, const uint8_t *msg, size_t len)
{
	struct asker *a = arg;
	assert_int_equal(len, a->question);
	memcpy(a->last, msg, len);
	a->answered[id]++;
	exchange_done(a->x, id);
	event(a);
}

static void failed(void *arg, uint64_t id, int code)
{
	struct asker *a = arg;
	a->failed[id]++;
	a->code = code;
	event(a);
}

static void woken(void *arg)
{
	exchange_settle(((struct asker *)arg)->x);
}

static void gave_up(void *arg)
{
	struct asker *a = arg;
	a->timed_out = true;
	loop_stop(a->loop);
}

void asker_open(struct asker *a, size_t question)
{
	struct errbuf eb;
	*a = (struct asker) { .loop = loop_new(), .question = question };
	struct exchange_options o = { .loop = a->loop, .rnd = &random_system, .arg = a };
	o.received = received;
	o.failed = failed;
	o.woken = woken;
	a->x = exchange_open(&o, &eb);
	if (!a->x)
		fail_msg("%s", eb.text);
}

void asker_wait(struct asker *a, unsigned events)
{
	struct loop_timer *limit = loop_timer_new(a->loop, gave_up, a);
	a->want = a->events + events;
	loop_timer_set(limit, LIMIT_MS);
	exchange_settle(a->x);
	if (a->events < a->want)
		loop_run(a->loop);
	loop_timer_free(limit);
	assert_false(a->timed_out);
}

void asker_ask(struct asker *a, uint64_t id, const struct exchange_to *to)
{
	uint8_t msg[ASKER_QUESTION] = { 0 };
	be_put(msg, 2, ID_BASE + id);
	msg[a->question - 1] = (uint8_t)id;
	exchange_send(a->x, id, to, msg, a->question);
}

bool asker_is_answered(struct asker *a, uint64_t id, const struct exchange_to *to)
{
	unsigned before = a->answered[id];
	asker_ask(a, id, to);
	asker_wait(a, 1);
	bool yes = a->answered[id] > before;
	assert_true(!yes || (be_get(a->last, 2) == ID_BASE + id && a->last[a->question - 1] == id));
	return yes;
}
