#include "simnet/punch/punch_server.h"

#include <string.h>

void punch_server_init(struct punch_server *s, const struct punch_server_ops *ops, void *owner)
{
	*s = (struct punch_server) { .ops = ops, .owner = owner };
}

static bool is_there(const struct punch_client *c, uint64_t now_us)
{
	return c->name[0] && now_us - c->heard_us < PUNCH_CLIENT_SILENT_US;
}

static struct punch_client *find_client(struct punch_server *s, const char *name, uint64_t now_us)
{
	for (size_t i = 0; *name && i < PUNCH_CLIENTS_MAX; i++)
		if (is_there(&s->clients[i], now_us) && !strcmp(s->clients[i].name, name))
			return &s->clients[i];
	return NULL;
}

static struct punch_client *find_free(struct punch_server *s, uint64_t now_us)
{
	for (size_t i = 0; i < PUNCH_CLIENTS_MAX; i++)
		if (!is_there(&s->clients[i], now_us))
			return &s->clients[i];
	return NULL;
}

static void tell(struct punch_server *s, const struct endpoint *to, const struct punch_message *m)
{
	uint8_t out[PUNCH_MESSAGE_MAX];
	s->ops->send(s->owner, to, out, punch_message_write(m, out, sizeof(out)));
}

/* From the other port: once would do, were nothing ever lost. */
static void tell_open(struct punch_server *s, struct punch_client *c)
{
	struct punch_message open = { .kind = PUNCH_OPEN };
	uint8_t out[PUNCH_MESSAGE_MAX];

	if (c->told_open == PUNCH_OPEN_TIMES)
		return;
	c->told_open++;
	memcpy(open.to, c->name, sizeof(open.to));
	s->ops->send_other(s->owner, &c->at, out, punch_message_write(&open, out, sizeof(out)));
}

static void register_client(
	struct punch_server *s, uint64_t now_us, const struct endpoint *from, const struct punch_message *m)
{
	struct punch_client *c = find_client(s, m->from, now_us);
	struct punch_message seen = {
		.kind = PUNCH_SEEN, .nonce = m->nonce, .places = { *from }, .n_places = 1
	};

	if (!m->from[0]) {
		s->drops.unexpected++;
		return;
	}
	if (!c && !(c = find_free(s, now_us))) {
		s->drops.full++;
		return;
	}
	bool same = is_there(c, now_us) && endpoint_equal(&c->at, from);
	*c = (struct punch_client) { .at = *from,
		.n_own = m->n_places,
		.n_body = m->n_body,
		.heard_us = now_us,
		.told_open = same ? c->told_open : 0 };
	memcpy(c->name, m->from, sizeof(c->name));
	memcpy(c->own, m->places, sizeof(c->own));
	memcpy(c->body, m->body, sizeof(c->body));
	memcpy(seen.to, m->from, sizeof(seen.to));
	tell(s, from, &seen);
	tell_open(s, c);
}

/* The address that it was seen at comes first; what does not fit is left out. */
static void invite(struct punch_server *s, const struct punch_client *who, const struct punch_client *to)
{
	struct punch_message m = { .kind = PUNCH_INVITE, .places = { who->at }, .n_places = 1 };

	memcpy(m.from, who->name, sizeof(m.from));
	memcpy(m.body, who->body, sizeof(m.body));
	m.n_body = who->n_body;
	memcpy(m.to, to->name, sizeof(m.to));
	for (size_t i = 0; i < who->n_own && m.n_places < PUNCH_PLACES_MAX; i++)
		if (!endpoint_equal(&who->own[i], &who->at))
			m.places[m.n_places++] = who->own[i];
	tell(s, &to->at, &m);
}

static void pass_on(struct punch_server *s, uint64_t now_us, const struct endpoint *from,
	const struct punch_message *m, const uint8_t *p, size_t len)
{
	const struct punch_client *a = find_client(s, m->from, now_us), *b = find_client(s, m->to, now_us);

	if (!a || !endpoint_equal(&a->at, from)) {
		s->drops.unregistered++;
	} else if (!b) {
		s->drops.unknown_name++;
	} else if (m->kind == PUNCH_CALL) {
		invite(s, a, b);
		invite(s, b, a);
	} else {
		s->relayed++;
		s->ops->send(s->owner, &b->at, p, len);
	}
}

void punch_server_received(
	struct punch_server *s, uint64_t now_us, const struct endpoint *from, const uint8_t *p, size_t len)
{
	struct punch_message m;

	if (!punch_message_read(p, len, &m)) {
		s->drops.malformed++;
		return;
	}
	switch (m.kind) {
	case PUNCH_REGISTER: register_client(s, now_us, from, &m); break;
	case PUNCH_CALL:
	case PUNCH_PROBE:
	case PUNCH_ANSWER:
	case PUNCH_ECHO:
	case PUNCH_ECHOED: pass_on(s, now_us, from, &m, p, len); break;
	case PUNCH_SEEN:
	case PUNCH_INVITE:
	case PUNCH_OPEN:
	case PUNCH_KINDS: s->drops.unexpected++; break;
	}
}
