#include "simnet/lab/step.h"

#include <stdio.h>
#include <string.h>

/* `move`, `lease` and `interface`: what the file says of an interface from here on, in the order of how it happens. */

static const char *network_of(const struct lab *l, int network)
{
	return network < 0 ? "the internet" : l->s->routers[network].name;
}

static const char *uplink_text(const struct lab *l, const struct scn_step *st, char *buf, size_t cap)
{
	const struct scn_change *c = st->change;
	const struct scn_router *r = &l->s->routers[c->plug.router];
	const char *name = r->uplinks[c->uplink].name;
	char what[96], then[128] = "no other way out is left", ip[ADDR_TEXT], pause[32] = "";

	if (c->off)
		snprintf(what, sizeof(what), "%s of %s is down", name, r->name);
	else
		snprintf(what, sizeof(what), "%s of %s is up, metric %u", name, r->name, (unsigned)c->metric);
	if (r->balances) {
		size_t up = 0;
		for (size_t k = 0; k < r->n_uplinks; k++)
			up += k == c->uplink
				      ? !c->off
				      : !topology_uplink(l->s, lab_step_number(l), c->plug.router, k).off;
		snprintf(buf, cap, "%s of %s is %s; flows go out by %zu uplink%s", name, r->name,
			c->off ? "down" : "up", up, up == 1 ? "" : "s");
		return buf;
	}
	if (c->for_ms)
		snprintf(pause, sizeof(pause), ", after %.1f s,", step_seconds(c->for_ms));
	if (!c->want.off)
		snprintf(then, sizeof(then), "packets%s%s go out by %s, to %s as %s", pause,
			c->idle ? " still" : "", r->uplinks[c->used].name, network_of(l, c->want.network),
			addr_format(&c->want.ip, ip));
	snprintf(buf, cap, "%s; %s", what, then);
	return buf;
}

static const char *change_text(const struct lab *l, const struct scn_step *st, char *buf, size_t cap)
{
	const struct scn_change *c = st->change;
	const char *name = c->want.name, *to = network_of(l, c->want.network);
	char ip[ADDR_TEXT], pause[32] = "";

	if (c->of_uplink)
		return uplink_text(l, st, buf, cap);
	const struct addr at = topology_ip_at(l->s, c->want.network, &c->want.ip);
	addr_format(&at, ip);
	if (c->for_ms)
		snprintf(pause, sizeof(pause), " for %.1f s", step_seconds(c->for_ms));
	if (st->kind == STEP_MOVE && c->make_first)
		snprintf(buf, cap, "%s moves to %s, by %s as %s, before it leaves", st->target, to, name, ip);
	else if (st->kind == STEP_MOVE)
		snprintf(buf, cap, "%s leaves%s and moves to %s, by %s as %s", st->target, pause, to, name,
			ip);
	else if (st->kind == STEP_LEASE && c->for_ms)
		snprintf(buf, cap, "%s has no address%s, and then another: %s is %s", st->target, pause, name,
			ip);
	else if (st->kind == STEP_LEASE)
		snprintf(buf, cap, "%s gets another address: %s is %s", st->target, name, ip);
	else if (c->want.off)
		snprintf(buf, cap, "%s of %s goes down", name, st->target);
	else
		snprintf(buf, cap, "%s of %s is at %s as %s, metric %u", name, st->target, to, ip,
			(unsigned)c->want.metric);
	return buf;
}

static int plug_off(struct lab *l, struct scn_plug which, struct errbuf *eb)
{
	struct scn_iface f = topology_iface(l->s, lab_step_number(l), which);

	if (f.off)
		return 0;
	f.off = true;
	return l->ops->plug(l->engine, which, &f, eb);
}

/* What it leaves, or what it is, is off; the pause; what it wants. */
static int break_first(struct lab *l, const struct scn_change *c, struct errbuf *eb)
{
	struct scn_plug left = c->plug;
	int err = 0;

	if (c->leaves >= 0)
		left.iface = (size_t)c->leaves;
	if (c->leaves >= 0 || c->for_ms)
		err = plug_off(l, left, eb);
	if (!err && c->for_ms)
		lab_sleep(l, c->for_ms);
	return err ? err : l->ops->plug(l->engine, c->plug, &c->want, eb);
}

/* One of several that are in use. */
static int plug_uplink(struct lab *l, const struct scn_change *c, struct errbuf *eb)
{
	struct scn_iface f = l->s->routers[c->plug.router].uplinks[c->uplink];

	f.off = c->off;
	return l->ops->plug(l->engine, (struct scn_plug) { -1, c->plug.router, c->uplink + 1 }, &f, eb);
}

static int make_first(struct lab *l, const struct scn_change *c, struct errbuf *eb)
{
	struct scn_plug left = c->plug;
	int err = l->ops->plug(l->engine, c->plug, &c->want, eb);

	if (err || c->leaves < 0)
		return err;
	lab_sleep(l, c->for_ms);
	left.iface = (size_t)c->leaves;
	return plug_off(l, left, eb);
}

int step_change(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	const struct scn_change *c = st->change;
	char text[300];

	if (!l->ops->plug)
		return err_say(eb, ERR_REFUSED, "the %s engine cannot change where a host is plugged in",
			l->ops->name);
	events_begin(l, scenario_step_name(st->kind), change_text(l, st, text, sizeof(text)));
	bool balanced = c->of_uplink && l->s->routers[c->plug.router].balances;
	int err = balanced	  ? plug_uplink(l, c, eb)
		  : c->idle	  ? 0
		  : c->make_first ? make_first(l, c, eb)
				  : break_first(l, c, eb);
	const struct link_model *link =
		c->of_uplink && !balanced ? l->s->routers[c->plug.router].uplinks[c->used].link : NULL;
	if (!err && link && !c->idle)
		err = l->ops->set_link(l->engine, st->target, link, eb);
	if (!err && c->plug.node >= 0)
		err = streams_follow(l, c->plug.node, lab_step_number(l) + 1, eb);
	return err || !step_should_stop(l, eb) ? err : eb->code;
}
