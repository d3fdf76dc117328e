#include "mesh/web/throttle.h"

#include <string.h>

struct addr throttle_net(const struct addr *who)
{
	struct addr net = *who;
	if (!addr_is_v4(&net))
		memset(net.b + 8, 0, 8);
	return net;
}

static const struct throttle_place *find(const struct throttle *t, const struct addr *net, uint64_t now_ms)
{
	for (size_t i = 0; i < THROTTLE_PLACES; i++)
		if (t->v[i].wrong && now_ms - t->v[i].at_ms < THROTTLE_FORGET_MS &&
			addr_equal(&t->v[i].net, net))
			return &t->v[i];
	return NULL;
}

uint64_t throttle_wait_ms(const struct throttle *t, const struct addr *from, uint64_t now_ms)
{
	struct addr net = throttle_net(from);
	const struct throttle_place *p = find(t, &net, now_ms);
	if (!p || p->wrong < THROTTLE_FREE)
		return 0;
	uint64_t pause = THROTTLE_PAUSE_MS, gone = now_ms - p->at_ms;
	for (unsigned i = THROTTLE_FREE; i < p->wrong && pause < THROTTLE_PAUSE_MAX_MS; i++)
		pause *= 2;
	if (pause > THROTTLE_PAUSE_MAX_MS)
		pause = THROTTLE_PAUSE_MAX_MS;
	return gone < pause ? pause - gone : 0;
}

void throttle_failed(struct throttle *t, const struct addr *from, uint64_t now_ms)
{
	struct addr net = throttle_net(from);
	const struct throttle_place *known = find(t, &net, now_ms);
	struct throttle_place *p = known ? &t->v[known - t->v] : &t->v[0];
	for (size_t i = 0; !known && i < THROTTLE_PLACES; i++)
		if (!t->v[i].wrong || (p->wrong && t->v[i].at_ms < p->at_ms))
			p = &t->v[i];
	if (!known)
		*p = (struct throttle_place) { .net = net };
	p->wrong++;
	p->at_ms = now_ms;
}

void throttle_passed(struct throttle *t, const struct addr *from)
{
	struct addr net = throttle_net(from);
	for (size_t i = 0; i < THROTTLE_PLACES; i++)
		if (addr_equal(&t->v[i].net, &net))
			t->v[i].wrong = 0;
}
