/* In place of resolver/ask.c: a question that goes nowhere. The first letter of the name says what comes of it: t no answer in
 * time, e an error, s an answer that is none, r a refusal, f that it found nothing out, n no socket; else an answer. */
#include "resolver/ask.h"
#include "resolver/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WORK_MS = 1 };

struct dns_asking {
	struct loop_timer *timer;
	char first;
	void (*cb)(void *arg, int code, const uint8_t *answer, size_t len);
	void *arg;
};

static void answered(void *arg)
{
	struct dns_asking q = *(struct dns_asking *)arg;
	uint8_t answer[DNS_HEADER] = { 0 };
	size_t len = q.first == 's' ? 1 : sizeof(answer);
	int code = q.first == 't' ? -ETIMEDOUT : q.first == 'e' ? -EIO : 0;
	answer[3] = q.first == 'r' ? DNS_REFUSED : q.first == 'f' ? DNS_SERVFAIL : 0;
	dns_ask_cancel(arg);
	q.cb(q.arg, code, code ? NULL : answer, code ? 0 : len);
}

struct dns_asking *dns_ask_start(struct loop *l, const struct endpoint *at, const char *name,
	const char *type, void (*cb)(void *arg, int code, const uint8_t *answer, size_t len), void *arg,
	struct errbuf *eb)
{
	struct dns_asking *q = *name == 'n' ? NULL : calloc(1, sizeof(*q));
	(void)at, (void)type;
	if (q)
		*q = (struct dns_asking) { loop_timer_new(l, answered, q), *name, cb, arg };
	if (q && !q->timer) {
		free(q);
		q = NULL;
	}
	if (q)
		loop_timer_set(q->timer, WORK_MS);
	else
		err_set(eb, -EMFILE, "ask");
	return q;
}

bool dns_ask_valid(const char *name, const char *type)
{
	return *name && *name != '.' && *type;
}

void dns_ask_cancel(struct dns_asking *q)
{
	if (!q)
		return;
	loop_timer_free(q->timer);
	free(q);
}
