#include "simnet/fabric/user/divert.h"

#include "simnet/fabric/user/draw.h"
#include <stdlib.h>

/* Both keys are in the direction of the inside: what it sends, and what leaves. */
struct divert {
	struct endpoint is; /* the other end, as the side that does not know it has it */
};

void diverts_init(struct diverts *d)
{
	table_init(&d->out, sizeof(struct draw_flow), 0);
	table_init(&d->back, sizeof(struct draw_flow), 0);
}

static void forget(struct table *t)
{
	size_t at = 0;
	for (void *p; (p = table_next(t, &at));)
		free(p);
	table_fini(t);
}

void diverts_fini(struct diverts *d)
{
	forget(&d->out);
	forget(&d->back);
}

const struct endpoint *divert_out(const struct diverts *d, const struct ip_view *v)
{
	struct draw_flow k = draw_flow_of(v);
	const struct divert *it = table_get(&d->out, &k);
	return it ? &it->is : NULL;
}

static const struct endpoint *old_end(const struct diverts *d, const struct draw_flow *k)
{
	const struct divert *it = table_get(&d->back, k);
	return it ? &it->is : NULL;
}

const struct endpoint *divert_back(const struct diverts *d, const struct ip_view *v)
{
	struct draw_flow k = draw_flow_of(v);
	k = (struct draw_flow) {
		.proto = k.proto, .sport = k.dport, .dport = k.sport, .src = k.dst, .dst = k.src
	};
	return old_end(d, &k);
}

bool divert_is_done(const struct diverts *d, const struct ip_view *v)
{
	struct draw_flow k = draw_flow_of(v);
	return old_end(d, &k);
}

static bool put(struct table *t, const struct draw_flow *k, const struct endpoint *is)
{
	struct divert *it = table_get(t, k), *made = it ? NULL : calloc(1, sizeof(*it));
	if (made && !table_put(t, k, made)) {
		free(made);
		return false;
	}
	it = it ? it : made;
	if (it)
		it->is = *is;
	return it;
}

bool divert_begin(struct diverts *d, const struct ip_view *v, const struct endpoint *to)
{
	struct draw_flow out = draw_flow_of(v), back = out;
	struct endpoint from = { .ip = v->dst, .port = v->dport };
	if (d->out.n >= DIVERTS_MAX) {
		diverts_fini(d);
		diverts_init(d);
	}
	back.dst = to->ip;
	back.dport = to->port;
	return put(&d->out, &out, to) && put(&d->back, &back, &from);
}
