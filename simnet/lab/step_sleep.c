#include "simnet/lab/step.h"

#include <signal.h>
#include <stdio.h>

/* A host that sleeps: every process in it is stopped by a signal, and its interfaces have no carrier. What runs on is
 * what no namespace holds: the clocks. MONOTONIC, which stands still on a machine that sleeps, is ahead by that time
 * when it wakes, and timers that were set before are due at once. */

static int set_carrier(struct lab *l, const char *node, bool up, struct errbuf *eb)
{
	char target[64];

	snprintf(target, sizeof(target), "%.48s.carrier", node);
	return up ? l->ops->heal(l->engine, target, eb) : l->ops->cut(l->engine, target, eb);
}

static int wake(struct lab *l, const char *name, struct errbuf *eb)
{
	int node = scenario_find_node(l->s, name);
	char text[100];

	snprintf(text, sizeof(text), "%s wakes", name);
	events_begin(l, "wake", text);
	int err = set_carrier(l, name, true, eb);
	if (!err)
		err = hosts_signal(l->hosts, node, SIGCONT, eb);
	l->programs[node].asleep = false;
	return err;
}

int step_sleep(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	int node = scenario_find_node(l->s, st->target);
	char text[100];

	if (st->for_ms)
		snprintf(text, sizeof(text), "%s sleeps for %.1f s", st->target, step_seconds(st->for_ms));
	else
		snprintf(text, sizeof(text), "%s falls asleep", st->target);
	events_begin(l, "sleep", text);
	int err = hosts_signal(l->hosts, node, SIGSTOP, eb);
	if (!err)
		err = set_carrier(l, st->target, false, eb);
	l->programs[node].asleep = !err;
	if (err || !st->for_ms)
		return err;
	lab_sleep(l, st->for_ms);
	err = wake(l, st->target, eb);
	return err || !step_should_stop(l, eb) ? err : eb->code;
}

int step_wake(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	return wake(l, st->target, eb);
}

int step_clock(struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	char text[120];

	snprintf(text, sizeof(text), "the clock of %s is now off by %+lld s", st->target,
		(long long)st->clock_s);
	events_begin(l, "clock", text);
	return hosts_set_clock(l->hosts, scenario_find_node(l->s, st->target), st->clock_s, eb);
}
