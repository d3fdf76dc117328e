/* The set is made from the files of the lists by lists_read, on the caller's thread at the start and on another one
 * later (a million names take half a second). A set that is ready is given to the core between two questions. A
 * change that comes while one is being read is read after it, and the first is dropped; a list that came anew from
 * its URL is such a change, to the same rules. What memory was too short for is tried again.
 *
 * As long as there has never been a set, nobody knows what is blocked: the core holds back what lists could block, and
 * whatever kept the first set from being read is tried again.
 *
 * Hours are looked at once a minute, into `awake`; a question is then a look for its client's group. */
#include "resolver/blocker.h"

#include "mesh/base/key.h"
#include "mesh/base/log.h"
#include "mesh/os/file.h"
#include "mesh/os/work.h"
#include "resolver/list_fetch.h"
#include "resolver/lists.h"
#include "resolver/resolver.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MINUTE_MS = 60000, AGAIN_FIRST_MS = 1000, AGAIN_LONGEST_MS = 60000 };

static const char out_of_memory[] = "out of memory for lists";

struct rules { /* what was configured; does not change */
	unsigned refs;
	struct arena arena; /* owns what `block` points to */
	struct conf_block block;
};
struct reading {
	struct blocker *b; /* NULL: it is gone */
	struct rules *rules;
	uint64_t seed[2];
	struct block *set; /* NULL: eb says why */
	uint32_t missing;  /* lists that had not come by then */
	struct errbuf eb;
	uint64_t took_ms;
};
struct blocker {
	struct loop *loop;
	struct resolver *core; /* NULL: none just now */
	struct block *set;     /* what serves, of `rules`; NULL: nothing is blocked */
	struct loop_timer *minute;
	struct rules *rules;	 /* in force; NULL: none */
	struct reading *reading; /* under way; NULL: none */
	struct rules *next;	 /* to be read after it; NULL: none */
	struct rules *failed;	 /* to be tried again when `again` is due; NULL: none */
	struct loop_timer *again;
	uint64_t again_ms;
	char trouble[320];	  /* of the last reading */
	size_t missing;		  /* lists of `rules` that had not come at that */
	uint32_t awake;		  /* lists whose hour it is */
	struct loop_timer *pause; /* set: nothing is blocked until it is due */
	uint64_t pause_until_ms;
	size_t names;				     /* in the set that serves */
	const struct proxies *proxies;		     /* borrowed */
	struct list_fetch *fetches[BLOCK_LISTS_MAX]; /* of `rules` */
};

/* NULL: memory is short, mem is as it was. */
static struct rules *rules_new(struct arena *mem, const struct conf_block *c)
{
	struct rules *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->refs = 1;
	r->arena = *mem;
	r->block = *c;
	*mem = (struct arena) { 0 };
	return r;
}

static void rules_put(struct rules *r)
{
	if (!r || --r->refs)
		return;
	arena_free(&r->arena);
	free(r);
}

/* ---- reading ---- */

static void reading_run(void *arg)
{
	struct reading *d = arg;
	uint64_t began_ms = clock_now_ms();
	d->missing =
		lists_missing(&d->rules->block); /* before: one that comes meanwhile has all read again */
	d->set = lists_read(&d->rules->block, d->seed, NULL, &d->eb);
	d->took_ms = clock_now_ms() - began_ms;
}

int blocker_check(const struct conf_block *c, struct buf *out, struct errbuf *eb)
{
	static const uint64_t seed[2] = { 0 };
	struct block *set = lists_read(c, seed, out, eb);
	block_put(set);
	return set ? 0 : eb->code;
}

/* ---- hours and groups ---- */

static void hours_look(struct blocker *b)
{
	time_t now = time(NULL);
	struct tm tm;
	b->awake = UINT32_MAX;
	const struct conf_block *c = b->rules ? &b->rules->block : NULL;
	if (!c || !localtime_r(&now, &tm))
		return;
	for (size_t i = 0; i < c->n_lists; i++) {
		const struct conf_list *l = &c->lists[i];
		bool holds = !l->n_when;
		for (size_t k = 0; !holds && k < l->n_when; k++)
			holds = block_hours_hold(
				&l->when[k], (unsigned)tm.tm_wday, (unsigned)(tm.tm_hour * 60 + tm.tm_min));
		if (!holds)
			b->awake &= ~(UINT32_C(1) << i);
	}
}

static void minute_over(void *arg)
{
	struct blocker *b = arg;
	hours_look(b);
	loop_timer_set(b->minute, MINUTE_MS - (uint64_t)clock_unix_ms() % MINUTE_MS);
}

static const struct conf_group *group_of(const struct conf_block *b, const struct blocker_client *c)
{
	for (size_t i = 0; i < b->n_groups; i++) {
		const struct conf_group *g = &b->groups[i];
		for (size_t k = 0; k < g->n_clients; k++)
			if (prefix_contains(&g->clients[k], c->from))
				return g;
		for (size_t k = 0; c->is && k < g->n_who; k++)
			if (c->is(c->arg, g->who[k]))
				return g;
	}
	return NULL;
}

uint32_t blocker_group(const struct conf_block *c, const struct addr *from, const char **name)
{
	const struct conf_group *g = group_of(c, &(struct blocker_client) { .from = from });
	*name = g ? g->name : NULL;
	return g ? g->lists : UINT32_MAX;
}

/* Those that are to be the first to serve; NULL: none are, or some serve. */
static const struct rules *rules_to_come(const struct blocker *b)
{
	const struct rules *r = b->next ? b->next : b->reading ? b->reading->rules : b->failed;
	return !b->rules && r && r->block.n_lists ? r : NULL;
}

static uint32_t awake_now(const struct blocker *b)
{
	return b->rules && !loop_timer_is_set(b->pause) ? b->awake : 0;
}

uint32_t blocker_lists_of(const struct blocker *b, const struct blocker_client *c)
{
	const struct rules *to_come = rules_to_come(b), *r = to_come ? to_come : b->rules;
	uint32_t awake = to_come && !loop_timer_is_set(b->pause) ? UINT32_MAX : awake_now(b);
	const struct conf_group *g = awake ? group_of(&r->block, c) : NULL;
	return g ? g->lists & awake : awake;
}

uint32_t blocker_lists(const struct blocker *b, const struct addr *from)
{
	return blocker_lists_of(b, &(struct blocker_client) { .from = from });
}

static void pause_over(void *arg)
{
	(void)arg;
	log_info("the pause is over: names are blocked again");
}

void blocker_pause_for(struct blocker *b, uint64_t ms)
{
	bool was = loop_timer_is_set(b->pause);
	if (ms) {
		ms = ms < CONF_PAUSE_LONGEST_MS ? ms : CONF_PAUSE_LONGEST_MS;
		b->pause_until_ms = loop_now_ms(b->loop) + ms;
		loop_timer_set(b->pause, ms);
		log_info("nothing is blocked for %" PRIu64 " s", ms / 1000);
	} else if (was) {
		loop_timer_clear(b->pause);
		pause_over(b);
	}
}

void blocker_pause(struct blocker *b)
{
	if (b->rules)
		blocker_pause_for(b, loop_timer_is_set(b->pause) ? 0 : b->rules->block.pause_ms);
}

void blocker_state(const struct blocker *b, struct blocker_state *out)
{
	uint64_t now_ms = loop_now_ms(b->loop);
	*out = (struct blocker_state) { .lists = b->rules ? b->rules->block.n_lists : 0,
		.names = b->names,
		.missing = b->missing,
		.pause_ms = b->rules ? b->rules->block.pause_ms : CONF_PAUSE_MS,
		.trouble = b->trouble };
	if (loop_timer_is_set(b->pause))
		out->pause_left_ms = b->pause_until_ms > now_ms ? b->pause_until_ms - now_ms : 1;
}

const struct conf_block *blocker_conf(const struct blocker *b)
{
	return b->rules ? &b->rules->block : NULL;
}

/* ---- which set serves ---- */

static void reading_start(struct blocker *b, struct rules *r);

/* What is to be read next may be another configuration by now. */
void blocker_reread(struct blocker *b)
{
	struct rules *r = b->next      ? b->next
			  : b->reading ? b->reading->rules
			  : b->failed  ? b->failed
				       : b->rules;
	if (!r)
		return;
	if (r == b->failed)
		b->failed = NULL;
	else
		r->refs++;
	reading_start(b, r);
}

static void list_changed(void *arg)
{
	blocker_reread(arg);
}

static void fetches_stop(struct blocker *b)
{
	for (size_t i = 0; i < BLOCK_LISTS_MAX; i++) {
		list_fetch_stop(b->fetches[i]);
		b->fetches[i] = NULL;
	}
}

static void fetches_start(struct blocker *b)
{
	const struct conf_block *c = &b->rules->block;
	struct errbuf eb = { 0 };
	if (c->store && dir_make(c->store, 0755, &eb))
		log_error("%s; lists of URLs cannot be kept", eb.text);
	for (size_t i = 0; i < c->n_lists; i++) {
		const struct conf_list *l = &c->lists[i];
		struct list_fetch_options o = { .loop = b->loop,
			.name = l->name,
			.url = l->url,
			.path = l->file,
			.every_ms = c->refresh_ms,
			.foreign = c->foreign,
			.proxies = &b->proxies,
			.changed = list_changed,
			.arg = b };
		if (l->url && !(b->fetches[i] = list_fetch_start(&o, &eb)))
			log_error("%s; what is there stays", eb.text);
	}
}

static void set_serve(const struct blocker *b)
{
	if (!b->core)
		return;
	if (rules_to_come(b))
		resolver_block_wait(b->core);
	else
		resolver_block_set(
			b->core, b->set, b->rules ? &b->rules->block.answer : &(struct block_answer) { 0 });
}

void blocker_move(struct blocker *b, struct resolver *core)
{
	b->core = core;
	set_serve(b);
}

/* Not an error: why it has not come is said when it is asked for. */
static void missing_say(struct blocker *b, const struct conf_block *c, uint32_t missing)
{
	static const char one[] =
		"the list %.100s has not come from its URL yet: names are answered without it";
	static const char more[] =
		"the list %.100s and %zu more have not come from their URLs yet: names are answered "
		"without them";
	const char *first = "";
	b->missing = 0;
	b->trouble[0] = 0;
	for (size_t i = 0; i < c->n_lists; i++)
		if (missing >> i & 1 && !b->missing++)
			first = c->lists[i].name;
	if (b->missing == 1)
		snprintf(b->trouble, sizeof(b->trouble), one, first);
	else if (b->missing)
		snprintf(b->trouble, sizeof(b->trouble), more, first, b->missing - 1);
}

/* The set of d->rules serves. */
static void reading_take(struct blocker *b, const struct reading *d)
{
	const struct conf_block *c = &d->rules->block;
	missing_say(b, c, d->missing);
	b->again_ms = AGAIN_FIRST_MS;
	if (b->rules != d->rules) {
		d->rules->refs++;
		fetches_stop(b);
		rules_put(b->rules);
		b->rules = d->rules;
		fetches_start(b);
	}
	minute_over(b);
	b->names = block_names(d->set);
	block_put(b->set);
	b->set = c->n_lists ? block_get(d->set) : NULL;
	set_serve(b);
	if (c->n_lists)
		log_info("%zu names are blocked or allowed by %zu lists, read in %" PRIu64 " ms",
			block_names(d->set), c->n_lists, d->took_ms);
}

static void trouble_set(struct blocker *b, const char *why)
{
	snprintf(b->trouble, sizeof(b->trouble), "%.220s; %s", why,
		b->rules ? "what is blocked stays as it was"
			 : "until the lists can be read, names that they may block do not resolve");
	log_error("%s", b->trouble);
}

/* r: a reference that is taken over. */
static void try_again(struct blocker *b, struct rules *r)
{
	rules_put(b->failed);
	b->failed = r;
	loop_timer_set(b->again, b->again_ms);
	b->again_ms = b->again_ms * 2 < AGAIN_LONGEST_MS ? b->again_ms * 2 : AGAIN_LONGEST_MS;
}

static void again_due(void *arg)
{
	struct blocker *b = arg;
	struct rules *r = b->failed;
	b->failed = NULL;
	if (r)
		reading_start(b, r);
}

static void reading_free(struct reading *d)
{
	if (!d)
		return;
	block_put(d->set);
	rules_put(d->rules);
	free(d);
}

static void reading_failed(struct blocker *b, struct reading *d)
{
	trouble_set(b, d->eb.text);
	if (d->eb.code != -ENOMEM && b->rules)
		return;
	d->rules->refs++;
	try_again(b, d->rules);
}

static void reading_done(void *arg)
{
	struct reading *d = arg;
	struct blocker *b = d->b;
	if (!b) {
		reading_free(d);
		return;
	}
	struct rules *next = b->next;
	b->reading = NULL;
	b->next = NULL;
	if (next)
		reading_start(b, next);
	else if (d->set)
		reading_take(b, d);
	else
		reading_failed(b, d);
	reading_free(d);
}

/* r is taken over, but where memory is short, which is NULL. */
static struct reading *reading_new(struct blocker *b, struct rules *r)
{
	struct reading *d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->b = b;
	d->rules = r;
	random_system.fill(random_system.arg, d->seed, sizeof(d->seed));
	return d;
}

/* r is taken over. */
static void reading_start(struct blocker *b, struct rules *r)
{
	rules_put(b->failed); /* what is read now is newer, or the same */
	b->failed = NULL;
	loop_timer_clear(b->again);
	if (b->reading) {
		rules_put(b->next);
		b->next = r;
		return;
	}
	struct reading *d = reading_new(b, r);
	if (d && work_start(b->loop, reading_run, reading_done, d)) {
		b->reading = d;
		if (rules_to_come(b))
			set_serve(b);
		return;
	}
	trouble_set(b, out_of_memory);
	r->refs++;
	try_again(b, r);
	if (rules_to_come(b))
		set_serve(b);
	if (d)
		reading_free(d);
	else
		rules_put(r);
}

struct blocker *blocker_new(struct loop *l, struct resolver *core)
{
	struct blocker *b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->loop = l;
	b->core = core;
	b->minute = loop_timer_new(l, minute_over, b);
	b->pause = loop_timer_new(l, pause_over, b);
	b->again = loop_timer_new(l, again_due, b);
	b->again_ms = AGAIN_FIRST_MS;
	if (b->minute && b->pause && b->again)
		return b;
	loop_timer_free(b->minute);
	loop_timer_free(b->pause);
	loop_timer_free(b->again);
	free(b);
	return NULL;
}

void blocker_proxies(struct blocker *b, const struct proxies *p)
{
	b->proxies = p;
}

void blocker_free(struct blocker *b)
{
	if (!b)
		return;
	fetches_stop(b);
	if (b->reading)
		b->reading->b = NULL; /* it frees itself when it has read */
	rules_put(b->next);
	rules_put(b->failed);
	if (b->core)
		resolver_block_set(b->core, NULL, &(struct block_answer) { 0 });
	block_put(b->set);
	rules_put(b->rules);
	loop_timer_free(b->minute);
	loop_timer_free(b->pause);
	loop_timer_free(b->again);
	free(b);
}

int blocker_configure(struct blocker *b, struct arena *mem, const struct conf_block *c, struct errbuf *eb)
{
	struct rules *r = rules_new(mem, c);
	struct reading *d = r ? reading_new(b, r) : NULL;
	if (!d) {
		rules_put(r);
		arena_free(mem);
		return err_say(eb, -ENOMEM, "%s", out_of_memory);
	}
	reading_run(d);
	int err = d->set ? 0 : err_say(eb, d->eb.code, "%s", d->eb.text);
	if (!err)
		reading_take(b, d);
	reading_free(d);
	return err;
}

int blocker_reconfigure(struct blocker *b, struct arena *mem, const struct conf_block *c, struct errbuf *eb)
{
	struct rules *r = rules_new(mem, c);
	if (!r)
		return err_say(eb, -ENOMEM, "%s; what is blocked stays as it was", out_of_memory);
	reading_start(b, r);
	return 0;
}

/* ---- why ---- */

int blocker_explain(const struct conf_block *c, uint32_t lists, const struct dns_name *name, struct buf *out,
	struct lists_found *found, struct errbuf *eb)
{
	return lists_explain(c, lists, UINT32_MAX, name, out, found, eb);
}

/* It outlives the blocker, if need be: the rules are its own reference, and nothing else of the blocker is touched. */
struct blocker_search {
	struct rules *rules;
	struct dns_name name;
	uint32_t lists, awake;
	struct blocker_why why;
	struct buf lines;
	struct errbuf eb;
	int err;
	void (*told)(void *arg, int err, const struct blocker_why *w,
		const struct errbuf *eb); /* NULL: nobody waits */
	void *arg;
};

static void search_free(struct blocker_search *s)
{
	rules_put(s->rules);
	buf_free(&s->lines);
	free(s);
}

static void search_run(void *arg)
{
	struct blocker_search *s = arg;
	s->err = lists_explain(
		&s->rules->block, s->lists, s->awake, &s->name, &s->lines, &s->why.found, &s->eb);
}

static void search_done(void *arg)
{
	struct blocker_search *s = arg;
	s->why.lines = s->err ? "" : buf_cstr(&s->lines);
	if (s->told)
		s->told(s->arg, s->err, &s->why, &s->eb);
	search_free(s);
}

struct blocker_search *blocker_search_start(struct blocker *b, const struct blocker_client *c,
	const struct dns_name *name,
	void (*told)(void *arg, int err, const struct blocker_why *w, const struct errbuf *eb), void *arg)
{
	struct blocker_search *s = calloc(1, sizeof(*s));
	if (!s || !b->rules) {
		free(s);
		return NULL;
	}
	const struct conf_group *g = group_of(&b->rules->block, c);
	s->rules = b->rules;
	s->rules->refs++;
	s->name = *name;
	s->why.group = g ? g->name : "";
	s->lists = g ? g->lists : UINT32_MAX;
	s->awake = awake_now(b);
	s->told = told;
	s->arg = arg;
	if (work_start(b->loop, search_run, search_done, s))
		return s;
	search_free(s);
	return NULL;
}

void blocker_search_cancel(struct blocker_search *s)
{
	if (s)
		s->told = NULL; /* its thread goes on to its end: the loop does not wait for that */
}
