/* DNS on a stream, plain or inside TLS: two bytes of length before each message (RFC 1035 4.2.2, RFC 7858 3.3). Each
 * question has a random id of its own on its connection. */
#include "resolver/exchange/pool.h"

#include <errno.h>
#include <stdlib.h>

struct length_state {
	size_t len;
	uint8_t in[2 + EXCHANGE_MESSAGE_MAX];
};

static int length_open(struct link *l)
{
	l->state = calloc(1, sizeof(struct length_state));
	return l->state ? 0 : -ENOMEM;
}

static int length_ask(struct link *l, struct link_question *t)
{
	uint8_t out[2 + EXCHANGE_QUESTION_MAX];
	uint16_t id;
	do {
		l->x->o.rnd->fill(l->x->o.rnd->arg, &id, sizeof(id));
	} while (!id || link_question_find(l, id)); /* 0: of those that are not asked yet */
	t->wire_id = id;
	be_put(out, 2, t->len);
	memcpy(out + 2, t->msg, t->len);
	be_put(out + 2, 2, id);
	return stream_write(l->stream, out, 2U + t->len);
}

/* A whole message at the front. Who did not ask for it is nobody: the questions that wait have their time. false: the
 * link is gone. */
static bool message_take(struct link *l, struct length_state *s)
{
	size_t len = s->len - 2;
	struct link_question *t = len >= 2 ? link_question_find(l, (uint32_t)be_get(s->in + 2, 2)) : NULL;
	s->len = 0;
	if (!t || !t->wire_id)
		return true;
	memcpy(l->x->big, s->in + 2, len);
	return link_answer(l, t, l->x->big, len);
}

static int length_received(struct link *l, const uint8_t *p, size_t len)
{
	struct length_state *s = l->state;
	while (len) {
		size_t want = s->len < 2 ? 2 : 2 + be_get(s->in, 2);
		size_t n = want - s->len < len ? want - s->len : len;
		memcpy(s->in + s->len, p, n);
		s->len += n;
		p += n;
		len -= n;
		if (s->len >= 2 && s->len == 2 + be_get(s->in, 2) && !message_take(l, s))
			return 0;
	}
	return 0;
}

static void length_close(struct link *l)
{
	free(l->state);
}

const struct framing framing_length = {
	.open = length_open, .ask = length_ask, .received = length_received, .close = length_close
};
