#include "simnet/lab/failure.h"

#include "simnet/scenario/jsonpath.h"
#include "simnet/lab/lab.h"
#include <stdio.h>
#include <string.h>

enum { ROUNDS_MAX = 64, DROPS_SHOWN = 6, TAIL_SHOWN = 5, ASK_MS = 2000 };

/* The oldest of those that matter least. */
static void failure_make_room(const struct lab *l, struct failure_drops *all)
{
	size_t victim = 0;
	unsigned least = UINT32_MAX;

	for (size_t i = 0; i < all->n; i++) {
		unsigned blame = blame_of_packet(l, l->step, &all->list[i].src.ip, &all->list[i].dst.ip);
		if (blame < least) {
			least = blame;
			victim = i;
		}
	}
	memmove(&all->list[victim], &all->list[victim + 1], (--all->n - victim) * sizeof(all->list[0]));
}

static void merge_drop(const struct lab *l, struct failure_drops *all, const struct engine_drop *d)
{
	for (size_t i = 0; i < all->n; i++) {
		struct engine_drop *have = &all->list[i];
		if (have->where == d->where && have->rule == d->rule && have->proto == d->proto &&
			endpoint_equal(&have->src, &d->src) && endpoint_equal(&have->dst, &d->dst)) {
			have->count += d->count ? d->count : 1;
			have->at_ns = d->at_ns;
			return;
		}
	}
	if (all->n == FAILURE_DROPS)
		failure_make_room(l, all);
	all->list[all->n] = *d;
	if (!d->count)
		all->list[all->n].count = 1;
	all->n++;
}

void failure_collect(struct lab *l, struct failure_drops *all)
{
	struct engine_drop some[64];
	size_t n;

	/* A flood must not keep us here. */
	for (unsigned rounds = 0; l->engine && rounds < ROUNDS_MAX; rounds++) {
		n = l->ops->drops(l->engine, some, ARRAY_LEN(some));
		for (size_t i = 0; i < n; i++)
			merge_drop(l, all, &some[i]);
		if (n < ARRAY_LEN(some))
			break;
	}
}

static const char *proto_name(uint8_t proto)
{
	return proto == 17 ? "udp" : proto == 6 ? "tcp" : proto == 1 || proto == 58 ? "icmp" : "ip";
}

static void tell_drop(struct lab *l, const struct engine_drop *d)
{
	char src[ENDPOINT_TEXT], dst[ENDPOINT_TEXT];

	story_say(l->story, "why", STORY_NOTE, "why: %u %s %s -> %s dropped at %s: %s", d->count,
		proto_name(d->proto), endpoint_format(&d->src, src), endpoint_format(&d->dst, dst), d->where,
		d->rule);
}

/* Those that are the step's most; of these the newest. */
static void tell_drops(struct lab *l, const struct scn_step *st, struct failure_drops *all)
{
	unsigned most = 0;
	size_t n = 0;

	failure_collect(l, all);
	for (size_t i = 0; i < all->n; i++) {
		unsigned blame = blame_of_packet(l, st, &all->list[i].src.ip, &all->list[i].dst.ip);
		n = blame > most ? 1 : n + (blame == most);
		most = blame > most ? blame : most;
	}
	for (size_t i = 0; most && i < all->n; i++)
		if (blame_of_packet(l, st, &all->list[i].src.ip, &all->list[i].dst.ip) == most &&
			n-- <= DROPS_SHOWN)
			tell_drop(l, &all->list[i]);
}

void failure_tell_packets(struct lab *l, const struct scn_step *st, struct failure_drops *all)
{
	tell_drops(l, st, all);
	if (l->engine && l->programs)
		evidence_tell(l, st);
}

/* The programs the failed step is about; all of them when it failed before the first step. */
static bool concerns(const struct lab *l, const struct scn_step *st, size_t node)
{
	return l->programs[node].state == PROGRAM_FAILED || !st || blame_asks(l, st, (int)node) ||
	       (blame_mentions(l, st, (int)node) && !l->s->nodes[node].is_service);
}

/* What was stopped or killed may be the cause wherever it is; what has not been started, or has ended by
 * itself, only where the step is about it. */
static void tell_idle(struct lab *l, const struct scn_step *st)
{
	for (size_t i = 0; i < l->s->n_nodes && st; i++) {
		const struct program *p = &l->programs[i];
		const struct scn_node *n = &l->s->nodes[i];
		bool named = concerns(l, st, i) || blame_mentions(l, st, (int)i);
		if ((!named && !p->paused && !p->stopping) || (!n->adapter && !n->argv) ||
			(p->proc && !p->paused))
			continue;
		story_say(l->story, "why", STORY_NOTE, "why: %s %s", n->name,
			p->proc			  ? "is stopped by a signal"
			: p->stopping		  ? "was killed and does not run"
			: p->state == PROGRAM_OFF ? "does not run"
						  : "has ended");
	}
}

/* Appends "filtered 3, bad_source 1", what it says to have dropped since its start; the count of reasons. */
static int own_drops(struct program *p, struct buf *out)
{
	const struct adapter *a = p->adapter;
	struct fields f = { .lab = p->lab, .node = p->node, .each_node = -1 };
	struct buf text = { .cap = 4 << 20 }, found = { .cap = 1 << 16 };
	struct errbuf eb;
	char **argv = NULL;
	const char *reason;
	json_t *n;

	if (!p->proc || !a || !a->drops_argv || fields_argv(&f, a->drops_argv, &argv, &eb))
		return 0;
	int status = lab_run(p->lab, p->node, (const char *const *)argv, ASK_MS, &text, &eb), count = 0;
	fields_argv_free(argv);
	json_t *root = status || !text.len ? NULL : json_loads(buf_cstr(&text), JSON_DISABLE_EOF_CHECK, NULL);
	json_t *all = root && jsonpath_select(root, a->drops_json, &found, &eb) == 1
			      ? json_loads(buf_cstr(&found), JSON_DISABLE_EOF_CHECK, NULL)
			      : NULL;
	/* clang-format off */
	json_object_foreach(all, reason, n) {
		/* clang-format on */
		json_int_t dropped = json_integer_value(n);
		if (dropped > 0 &&
			buf_printf(out, "%s%s %" JSON_INTEGER_FORMAT, count ? ", " : "", reason, dropped))
			count++;
	}
	json_decref(all);
	json_decref(root);
	buf_free(&text);
	buf_free(&found);
	return count;
}

static void tell_own_drops(struct lab *l, const struct scn_step *st)
{
	for (size_t i = 0; i < l->s->n_nodes && st; i++) {
		struct buf text = { .cap = 400 };
		if (concerns(l, st, i) && !l->programs[i].paused && own_drops(&l->programs[i], &text))
			story_say(l->story, "why", STORY_NOTE, "why: %s itself has dropped: %s",
				l->s->nodes[i].name, buf_cstr(&text));
		buf_free(&text);
	}
}

static void tell_logs(struct lab *l, const struct scn_step *st)
{
	for (size_t i = 0; i < l->s->n_nodes; i++) {
		const struct program *p = &l->programs[i];
		size_t n = p->n_lines < TAIL_SHOWN ? p->n_lines : TAIL_SHOWN;
		for (size_t k = p->n_lines - n; concerns(l, st, i) && k < p->n_lines; k++)
			story_say(l->story, "log", STORY_NOTE, "log: %s: %s", l->s->nodes[i].name,
				p->tail[k % PROGRAM_TAIL] ? p->tail[k % PROGRAM_TAIL] : "");
	}
}

void failure_tell_programs(struct lab *l, const struct scn_step *st)
{
	tell_idle(l, st);
	tell_own_drops(l, st);
	tell_logs(l, st);
}
