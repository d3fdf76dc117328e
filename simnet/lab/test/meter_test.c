/* The instrument against a network whose losses are known: a script says what happens to every probe, truth
 * is counted beside the meter, and what it says must be the truth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/lab/meter.h"
#include <stdlib.h>
#include <string.h>

enum { EVERY_MS = 25, PROBES_MAX = 4000 };

struct outage {
	uint64_t from, to; /* probes sent in [from, to) are lost */
};
struct line { /* a link of known behaviour */
	struct meter m;
	uint64_t now, delay_ms;
	uint64_t due[PROBES_MAX]; /* arrival of each probe, 0 = never */
	uint64_t slow_until;	  /* the machine is seven times slower */
	const struct outage *outages;
	size_t n_outages;
};

static bool is_out(const struct line *l, uint64_t t)
{
	for (size_t i = 0; i < l->n_outages; i++)
		if (t >= l->outages[i].from && t < l->outages[i].to)
			return true;
	return false;
}

static void deliver(struct line *l, uint64_t until)
{
	for (uint64_t t = l->now; t <= until; t++)
		for (uint32_t i = 0; i < l->m.n; i++)
			if (l->due[i] == t && !l->m.probes[i].got_ms)
				assert_true(meter_received(&l->m, i, t));
}

/* Sends and delivers up to `until`. */
static void play(struct line *l, uint64_t until)
{
	while (l->now < until) {
		uint32_t seq;
		if (l->now % EVERY_MS == 0) {
			struct meter_probe p = { .sent_ms = l->now, .slow = l->now < l->slow_until ? 7 : 1 };
			assert_true(meter_sent(&l->m, &p, &seq));
			l->due[seq] = is_out(l, l->now) ? 0 : l->now + l->delay_ms;
		}
		deliver(l, l->now);
		l->now++;
	}
}

static struct meter_cost settled(struct line *l, const struct meter_window *w)
{
	uint64_t late = meter_settles_ms(&l->m, w, l->now);
	if (late)
		deliver(l, late);
	return meter_read(&l->m, w, late ? late : l->now);
}

static void assert_cost(struct meter_cost c, uint64_t sent, uint64_t lost, uint64_t gap_from, uint64_t gap_to)
{
	assert_int_equal(c.open, 0);
	assert_int_equal(c.sent, sent);
	assert_int_equal(c.lost, lost);
	assert_int_equal(c.answered, sent - lost);
	assert_in_range(c.longest_gap_ms, gap_from, gap_to);
}

/* A second without a link: 40 probes sent, 40 lost, and none of them the next event's. */
static void test_outage_is_its_events(void **state)
{
	static const struct outage dead = { 2000, 3000 };
	struct line l = { .delay_ms = 10, .outages = &dead, .n_outages = 1, .now = 1000 };
	(void)state;

	(void)meter_set_mark(&l.m, 1000);
	play(&l, 2000);
	struct meter_window before = meter_set_mark(&l.m, 2000); /* cut */
	play(&l, 3000);
	struct meter_window cut = meter_set_mark(&l.m, 3000); /* healed */
	/* At this moment only the first of the 40 is old enough to be lost, and nobody may say "lost 1 of
	 * 40". */
	struct meter_cost c = meter_read(&l.m, &cut, 3000);
	assert_int_equal(c.lost, 1);
	assert_int_equal(c.open, 39);
	assert_int_equal(meter_settles_ms(&l.m, &cut, 3000), 2975 + METER_GRACE_MS);
	play(&l, 5000);
	struct meter_window healed = meter_window(&l.m, 5000);
	assert_cost(settled(&l, &before), 40, 0, 15, 25);
	assert_cost(settled(&l, &cut), 40, 40, 990, 1000);
	assert_cost(settled(&l, &healed), 80, 0, 15, 25); /* no silence of the cut */
	meter_fini(&l.m);
}

/* The last probes before a mark are answered after it: theirs is the window they were sent in. */
static void test_late_answers(void **state)
{
	struct line l = { .delay_ms = 400, .now = 1000 };
	(void)state;

	(void)meter_set_mark(&l.m, 1000);
	play(&l, 2000);
	struct meter_window first = meter_set_mark(&l.m, 2000);
	struct meter_cost c = meter_read(&l.m, &first, 2000);
	assert_int_equal(c.answered, 24);
	assert_int_equal(c.open, 16);
	play(&l, 2500);
	assert_int_equal(meter_settles_ms(&l.m, &first, 2500), 0);
	assert_cost(meter_read(&l.m, &first, 2500), 40, 0, 400, 400); /* from the mark to the first answer */
	struct meter_window second = meter_window(&l.m, 2500);
	assert_cost(settled(&l, &second), 20, 0, 25, 25); /* answers of the first window end the silence */
	assert_false(meter_received(&l.m, 0, 6000));	  /* twice */
	assert_false(meter_received(&l.m, 99999, 6000));  /* never sent */
	meter_fini(&l.m);
}

/* A second without a link, 500 ms of them on a slow machine, in eight seconds: only what the machine was then counts. Where nothing
 * is lost, the longest silence is one of many. */
static void test_slow_then(void **state)
{
	static const struct outage dead = { 1500, 2500 };
	(void)state;

	for (size_t outages = 0; outages < 2; outages++) {
		struct line l = { .delay_ms = 10,
			.outages = &dead,
			.n_outages = outages,
			.now = 1000,
			.slow_until = 2000 };
		(void)meter_set_mark(&l.m, 1000);
		play(&l, 9000);
		struct meter_window w = meter_window(&l.m, 9000);
		struct meter_cost c = settled(&l, &w);
		assert_int_equal(c.lost, outages ? 40 : 0);
		assert_true(outages ? c.lost_slow == 4 : c.lost_slow == 1);
		assert_true(outages ? c.gap_slow > 3.8 && c.gap_slow < 4.2 : c.gap_slow == 7);
		meter_fini(&l.m);
	}
}

/* Any script, any marks: the windows' sums are the truth, no probe is counted twice or left out. */
/* The sender stands still for 3 s on a sound path, and on one that is dead until 500 ms after: the first is no silence. */
static void test_sender_stalls(void **state)
{
	static const struct outage dead = { 1500, 5500 };
	(void)state;

	for (size_t outages = 0; outages < 2; outages++) {
		struct line l = { .delay_ms = 10, .outages = &dead, .n_outages = outages, .now = 1000 };
		uint32_t seq;
		(void)meter_set_mark(&l.m, 1000);
		play(&l, 2000);
		l.now = 5000;
		deliver(&l, 5000);
		assert_true(
			meter_sent(&l.m, &(struct meter_probe) { .sent_ms = 5000, .late_ms = 3000 }, &seq));
		l.due[seq] = outages ? 0 : 5010;
		l.now++;
		play(&l, 7000);
		struct meter_window w = meter_window(&l.m, 7000);
		if (outages)
			assert_cost(settled(&l, &w), 120, 40, 3990, 4025);
		else
			assert_cost(settled(&l, &w), 120, 0, 15, 50);
		meter_fini(&l.m);
	}
}

static void test_sums(void **state)
{
	uint32_t random = 12345;
	(void)state;

	for (unsigned run = 0; run < 60; run++) {
		struct outage outages[4];
		struct meter_window windows[16];
		size_t n = 0;
		uint64_t at = 1000, truth_lost = 0, sent = 0, lost = 0;
		for (size_t i = 0; i < 4; i++) {
			random = random * 1103515245 + 12345;
			outages[i].from = at + random / 65536 % 900;
			random = random * 1103515245 + 12345;
			at = outages[i].to = outages[i].from + random / 65536 % 1500;
		}
		struct line l = { .delay_ms = random % 300, .outages = outages, .n_outages = 4, .now = 1000 };
		(void)meter_set_mark(&l.m, 1000);
		while (l.now < at + 2000 && n < 15) {
			random = random * 1103515245 + 12345;
			play(&l, l.now + random / 65536 % 1200);
			windows[n++] = meter_set_mark(&l.m, l.now);
		}
		windows[n++] = meter_window(&l.m, l.now);
		for (size_t i = 0; i < l.m.n; i++)
			truth_lost += l.due[i] == 0;
		for (size_t i = 0; i < n; i++) {
			struct meter_cost c = settled(&l, &windows[i]);
			assert_int_equal(c.sent, c.answered + c.lost);
			sent += c.sent;
			lost += c.lost;
			assert_true(c.longest_gap_ms <= windows[i].to_ms - windows[i].from_ms);
		}
		assert_int_equal(sent, l.m.n);
		assert_int_equal(lost, truth_lost);
		meter_fini(&l.m);
	}
}

static void test_nothing_sent(void **state)
{
	struct meter m = { 0 };
	struct meter_window w = meter_window(&m, 0);
	struct meter_cost c = meter_read(&m, &w, 5000);
	(void)state;
	assert_int_equal(c.sent + c.lost + c.open + c.answered + c.longest_gap_ms, 0);
	assert_int_equal(meter_settles_ms(&m, &w, 5000), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outage_is_its_events),
		cmocka_unit_test(test_late_answers),
		cmocka_unit_test(test_sender_stalls),
		cmocka_unit_test(test_slow_then),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_nothing_sent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
