#include "simnet/natprobe/natprobe_server.h"

#include "simnet/punch/carrier.h"
#include <errno.h>
#include <stdlib.h>

enum { DOORS = 2 }; /* the port, and the next one */
struct natprobe_door {
	struct natprobe_server *server;
	int index;
	bool tcp;
	struct carrier_udp *by_udp; /* one of them */
	struct carrier_tcp *by_tcp;
};
struct natprobe_later { /* an answer that waits */
	struct natprobe_server *server;
	struct natprobe_later *next;
	struct natprobe_door *door;
	struct natprobe_message answer;
	struct endpoint to;
	struct loop_timer *timer;
};
struct natprobe_server {
	struct loop *loop;
	struct endpoint other;
	struct natprobe_door udp[DOORS], tcp[DOORS];
	struct natprobe_later *later;
	size_t n_later;
};

static void door_send(struct natprobe_door *d, const struct endpoint *to, const struct natprobe_message *m)
{
	uint8_t out[NATPROBE_SIZE];

	natprobe_message_write(m, out);
	if (d->by_udp)
		carrier_udp_send(d->by_udp, to, out, sizeof(out));
	else if (d->by_tcp)
		carrier_tcp_send(d->by_tcp, to, out, sizeof(out));
}

static void send_later(void *arg)
{
	struct natprobe_later *w = arg, **at = &w->server->later;

	door_send(w->door, &w->to, &w->answer);
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	w->server->n_later--;
	loop_timer_free(w->timer);
	free(w);
}

static void answer_later(struct natprobe_door *d, const struct endpoint *to,
	const struct natprobe_message *answer, uint32_t delay_ms)
{
	struct natprobe_server *s = d->server;
	struct natprobe_later *w = s->n_later < NATPROBE_PENDING_MAX ? malloc(sizeof(*w)) : NULL;

	if (!w)
		return;
	*w = (struct natprobe_later) {
		.server = s, .next = s->later, .door = d, .answer = *answer, .to = *to
	};
	w->timer = loop_timer_new(s->loop, send_later, w);
	if (!w->timer) {
		free(w);
		return;
	}
	loop_timer_set(w->timer, delay_ms);
	s->later = w;
	s->n_later++;
}

static void ask_received(
	struct natprobe_door *d, const struct endpoint *from, const struct natprobe_message *m)
{
	struct natprobe_server *s = d->server;
	struct natprobe_message answer = { .kind = NATPROBE_ANSWER, .nonce = m->nonce, .at = *from };

	if (m->answers & NATPROBE_OTHER_PORT) {
		answer.answers = NATPROBE_OTHER_PORT;
		door_send(d->tcp ? &s->tcp[1 - d->index] : &s->udp[1 - d->index], from, &answer);
	}
	if ((m->answers & NATPROBE_OTHER_HOST) && s->other.port) {
		struct natprobe_message pass = { .kind = NATPROBE_PASS,
			.nonce = m->nonce,
			.at = *from,
			.answers = NATPROBE_OTHER_HOST | (d->tcp ? NATPROBE_BY_TCP : 0) };
		door_send(&s->udp[0], &s->other, &pass);
	}
	answer.answers = NATPROBE_SELF;
	if ((m->answers & NATPROBE_SELF) && m->delay_ms)
		answer_later(d, from, &answer, m->delay_ms);
	else if (m->answers & NATPROBE_SELF)
		door_send(d, from, &answer);
}

static void server_heard(void *owner, const struct endpoint *from, const uint8_t *p, size_t len)
{
	struct natprobe_door *d = owner;
	struct natprobe_server *s = d->server;
	struct natprobe_message m;

	if (!natprobe_message_read(p, len, &m))
		return;
	if (m.kind == NATPROBE_ASK) {
		ask_received(d, from, &m);
	} else if (m.kind == NATPROBE_PASS && !d->tcp && endpoint_equal(from, &s->other)) {
		struct natprobe_message answer = {
			.kind = NATPROBE_ANSWER, .nonce = m.nonce, .at = m.at, .answers = NATPROBE_OTHER_HOST
		};
		door_send(m.answers & NATPROBE_BY_TCP ? &s->tcp[0] : &s->udp[0], &m.at, &answer);
	}
}

static bool open_door(struct natprobe_door *d, const struct endpoint *at, struct errbuf *eb)
{
	struct endpoint here = { .ip = at->ip, .port = (uint16_t)(at->port + d->index) };

	if (d->tcp)
		d->by_tcp = carrier_tcp_open(d->server->loop, &here, true, server_heard, d, eb);
	else
		d->by_udp = carrier_udp_open(d->server->loop, &here, server_heard, d, eb);
	return d->by_tcp || d->by_udp;
}

struct natprobe_server *natprobe_server_open(
	struct loop *l, const struct endpoint *at, const struct endpoint *other, struct errbuf *eb)
{
	struct natprobe_server *s = calloc(1, sizeof(*s));
	bool ok = s;

	if (!s) {
		err_say(eb, -ENOMEM, "out of memory");
		return NULL;
	}
	s->loop = l;
	s->other = *other;
	for (int i = 0; i < DOORS; i++) {
		s->udp[i] = (struct natprobe_door) { .server = s, .index = i };
		s->tcp[i] = (struct natprobe_door) { .server = s, .index = i, .tcp = true };
		ok = ok && open_door(&s->udp[i], at, eb) && open_door(&s->tcp[i], at, eb);
	}
	if (ok)
		return s;
	natprobe_server_close(s);
	return NULL;
}

void natprobe_server_close(struct natprobe_server *s)
{
	if (!s)
		return;
	while (s->later) {
		struct natprobe_later *w = s->later;
		s->later = w->next;
		loop_timer_free(w->timer);
		free(w);
	}
	for (int i = 0; i < DOORS; i++) {
		carrier_udp_close(s->udp[i].by_udp);
		carrier_tcp_close(s->tcp[i].by_tcp);
	}
	free(s);
}
