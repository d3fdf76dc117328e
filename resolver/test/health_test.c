/* Which upstream is believed to be there, and whose word counts: clients and upstreams played against the
 * resolver on a clock of numbers. Names say what upstreams do with them: lame* is never answered, late*
 * after 3.8 s, odd* by a packet that is no answer, slow* after 500 ms, ref* by REFUSED; private* is known to
 * the first upstream alone and NXDOMAIN elsewhere; fold* have another case in answers by UDP, and by TCP foldr* are refused and
 * folds* never answered; all others are good. */
#include "resolver/core.h"
#include "resolver/test/fake.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

enum { UPSTREAMS = 3, DELAY_MS = 20, STEP_MS = 10 };

struct server {
	bool dead, refuses;
	uint64_t delay_ms; /* 0: DELAY_MS */
	unsigned asked;	   /* not counting checks */
};
static struct fake f;
static struct server servers[UPSTREAMS];
static uint64_t answer_at[ARRAY_LEN(f.sent)]; /* 0: not looked at yet, UINT64_MAX: never, or done */

static bool starts(const struct sent *s, const char *with)
{
	return dns_bytes_equal(
		s->msg + DNS_HEADER + 1, (const uint8_t *)with, strlen(with)); /* in any case */
}

/* Two random labels. */
static bool is_canary(const struct sent *s)
{
	return s->msg[DNS_HEADER] == 16 && s->msg[DNS_HEADER + 17] == 16;
}

static unsigned server_of(const struct sent *s)
{
	return (unsigned)(addr_v4_get(&s->to.ip) & 15) - 1;
}

static uint64_t answer_time(const struct sent *s)
{
	struct server *u = &servers[server_of(s)];
	if (u->dead || starts(s, "lame") || (s->tcp && starts(s, "folds")))
		return UINT64_MAX;
	uint64_t delay = starts(s, "late") ? 3800 : starts(s, "slow") ? 500 : u->delay_ms;
	return f.now_ms + (delay ? delay : DELAY_MS);
}

static void fold(size_t i, const char *records)
{
	uint8_t b[512];
	size_t len = fake_answer_write(&f, i, &(struct fake_answer) { .an = 1, .records = records }, b);
	dns_fold(b + DNS_HEADER, b + DNS_HEADER, dns_name_skip(b, len, DNS_HEADER) - DNS_HEADER);
	resolver_upstream_received(f.r, f.now_ms, f.sent[i].id, b, len);
}

static void answer(size_t i)
{
	const struct sent *s = &f.sent[i];
	unsigned server = server_of(s);
	char records[64];
	snprintf(records, sizeof(records), "c00c 0001 0001 0000012c 0004 c000020%u", server + 1);
	if (s->tcp && starts(s, "foldr"))
		resolver_upstream_failed(f.r, f.now_ms, s->id, -ECONNREFUSED);
	else if (!s->tcp && starts(s, "fold"))
		fold(i, records);
	else if (starts(s, "odd"))
		resolver_upstream_received(f.r, f.now_ms, s->id, (const uint8_t *)"odd", 3);
	else if (servers[server].refuses || starts(s, "ref"))
		fake_answer(&f, i, &(struct fake_answer) { .rcode = DNS_REFUSED });
	else if (is_canary(s) || (server && starts(s, "private")))
		fake_answer(&f, i, &(struct fake_answer) { .rcode = DNS_NXDOMAIN });
	else
		fake_answer(&f, i, &(struct fake_answer) { .an = 1, .records = records });
}

/* Time passes, and upstreams do what they do. */
static void run(uint64_t ms)
{
	for (uint64_t end = f.now_ms + ms; f.now_ms < end;) {
		for (size_t i = 0; i < f.n_sent; i++) {
			if (!answer_at[i]) {
				answer_at[i] = answer_time(&f.sent[i]);
				servers[server_of(&f.sent[i])].asked += !is_canary(&f.sent[i]);
			}
			if (answer_at[i] > f.now_ms)
				continue;
			answer_at[i] = UINT64_MAX;
			if (!f.sent[i].done)
				answer(i);
		}
		fake_until(&f, f.now_ms + STEP_MS);
	}
}

static void world_open(unsigned n, enum resolver_order order)
{
	struct resolver_upstream up[UPSTREAMS] = { 0 };
	struct resolver_route route = { .suffix = "", .upstreams = up, .n_upstreams = n, .order = order };
	memset(servers, 0, sizeof(servers));
	memset(answer_at, 0, sizeof(answer_at));
	fake_open(&f, 1);
	for (unsigned i = 0; i < n; i++)
		up[i].at = fake_upstream(i + 1);
	assert_int_equal(
		resolver_configure(f.r, &(struct resolver_config) { .routes = &route, .n_routes = 1 }, NULL),
		0);
}

static void ask(const char *kind, unsigned number)
{
	char name[64];
	snprintf(name, sizeof(name), "%s%u.example.com", kind, number);
	assert_true(fake_ask(&f, number, name, DNS_A));
}

/* The last byte of the address in the last reply: which server said it. 0: none. */
static unsigned said_by(void)
{
	size_t question = dns_name_skip(f.reply, f.reply_len, DNS_HEADER) + 4;
	return fake_count(&f, 1) ? f.reply[question + 15] : 0;
}

/* Asks a new good name and waits for what comes. */
static unsigned good_rcode(const char *kind)
{
	static unsigned number = 1000000;
	uint64_t end = f.now_ms + 5000;
	ask(kind, ++number);
	while (f.client != number && f.now_ms < end)
		run(STEP_MS);
	assert_int_equal(f.client, number);
	return fake_rcode(&f);
}

/* Issue: names that are never answered, come late or come wrong take nothing from good names: alone, in
 * order, in a race, with one name or many, asked often or seldom, with good names between them or none for a
 * while. */
static void test_bad_names(void **state)
{
	static const struct {
		const char *kind;
		unsigned n, names, every_ms, good_ms;
		enum resolver_order order;
	} rows[] = {
		{ "lame", 1, 1, 1000, 1000, RESOLVER_PREFERRED },
		{ "lame", 1, 1, 1000, 5000, RESOLVER_PREFERRED },
		{ "lame", 1, 1000000, 200, 1000, RESOLVER_PREFERRED },
		{ "lame", 1, 1000000, 200, 7000, RESOLVER_PREFERRED },
		{ "lame", 1, 3, 100, 3000, RESOLVER_RACE },
		{ "lame", 2, 1000000, 300, 3000, RESOLVER_PREFERRED },
		{ "lame", 3, 1000000, 300, 3000, RESOLVER_RACE },
		{ "lame", 3, 1, 1000, 3000, RESOLVER_STRICT },
		{ "late", 1, 1000000, 1000, 2000, RESOLVER_PREFERRED },
		{ "late", 2, 1000000, 1000, 2000, RESOLVER_STRICT },
		{ "late", 3, 1000000, 300, 2000, RESOLVER_RACE },
		{ "slow", 1, 1000000, 200, 1000, RESOLVER_PREFERRED },
		{ "slow", 3, 1, 1000, 3000, RESOLVER_STRICT },
		{ "odd", 1, 1000000, 500, 2000, RESOLVER_PREFERRED },
		{ "odd", 2, 1000000, 500, 2000, RESOLVER_PREFERRED },
		{ "odd", 3, 3, 200, 2000, RESOLVER_STRICT },
		{ "odd", 3, 1000000, 100, 2000, RESOLVER_RACE },
		{ "ref", 1, 1000000, 100, 2000, RESOLVER_PREFERRED },
		{ "ref", 3, 1000000, 100, 2000, RESOLVER_PREFERRED },
		{ "ref", 2, 1, 500, 2000, RESOLVER_STRICT },
		{ "fold", 1, 1000000, 100, 1000, RESOLVER_PREFERRED },
		{ "fold", 3, 1000000, 100, 2000, RESOLVER_STRICT },
		{ "fold", 3, 3, 1000, 2000, RESOLVER_RACE },
		{ "foldr", 1, 1000000, 100, 1000, RESOLVER_PREFERRED },
		{ "foldr", 2, 1000000, 300, 2000, RESOLVER_RACE },
		{ "folds", 1, 1000000, 100, 1000, RESOLVER_PREFERRED },
		{ "folds", 2, 1000000, 300, 2000, RESOLVER_STRICT },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		world_open(rows[i].n, rows[i].order);
		if (good_rcode("good"))
			fail_msg("row %zu: the first name", i);
		unsigned asked = 0, good = 0, right = 0;
		for (unsigned ms = 0; ms < 28000; ms += 100) {
			if (ms % rows[i].every_ms == 0)
				ask(rows[i].kind, asked++ % rows[i].names);
			run(100);
			if (ms % rows[i].good_ms == rows[i].good_ms - 100) {
				good++;
				right += good_rcode("good") == 0 &&
					 (rows[i].order == RESOLVER_RACE || said_by() == 1);
			}
		}
		if (right != good)
			fail_msg("row %zu: %u of %u good names, by the first upstream", i, right, good);
		run(1000);
		if (rows[i].kind[0] == 'f' && resolver_stats(f.r)->servfail + resolver_stats(f.r)->nxdomain)
			fail_msg("row %zu: a name whose answer has another case is lost", i);
		if (rows[i].kind[0] == 'f' && f.n_replies < asked)
			fail_msg("row %zu: %zu replies", i, f.n_replies);
		fake_close(&f);
	}
}

/* Issue: an upstream that answers slowly keeps its place, and what only it knows is believed. */
static void test_slow_first(void **state)
{
	(void)state;
	world_open(2, RESOLVER_PREFERRED);
	assert_int_equal(good_rcode("good"), 0);
	for (unsigned i = 0; i < 20; i++) {
		/* it may serve its own question, */
		assert_int_equal(good_rcode("slow"), 0);
		/* but not say that there is nothing, */
		servers[0].delay_ms = 500;
		assert_int_equal(good_rcode("private"), 0);
		assert_int_equal(said_by(), 1);
		servers[0].delay_ms = 0;
		/* nor take over, */
		assert_int_equal(good_rcode("good"), 0);
		assert_int_equal(said_by(), 1);
	}
	/* nor stay in the cache: the first one's own word does. */
	servers[0].delay_ms = 900;
	ask("cached", 1);
	run(850);
	assert_int_equal(said_by(), 2);
	size_t replies = f.n_replies;
	ask("cached", 1);
	assert_int_equal(f.n_replies, replies);
	run(200);
	unsigned asked = servers[0].asked;
	ask("cached", 1);
	assert_int_equal(said_by(), 1);
	run(STEP_MS);
	assert_int_equal(servers[0].asked, asked);
	fake_close(&f);
}

/* A backup's NXDOMAIN counts when the first one has nothing to say to it. */
static void test_negative_of_backup(void **state)
{
	(void)state;
	world_open(2, RESOLVER_PREFERRED);
	assert_int_equal(good_rcode("good"), 0);
	uint64_t start = f.now_ms;
	servers[0].dead = true;
	assert_int_equal(good_rcode("private"), DNS_NXDOMAIN);
	assert_in_range(f.now_ms - start, 600, 1200);
	start = f.now_ms;
	assert_int_equal(good_rcode("private"), DNS_NXDOMAIN); /* held: no wait any more */
	assert_in_range(f.now_ms - start, 0, 100);
	servers[0].dead = false;
	run(2500);
	(void)good_rcode("good");
	run(500);
	servers[0].refuses = true;
	assert_int_equal(good_rcode("private"), DNS_NXDOMAIN);
	fake_close(&f);
}

/* C11: one of three is dead: a second of waits that are shorter, then nothing; and it comes back in its
 * place. The backup sees nothing while the first is well. */
static void test_one_dead_of_three(void **state)
{
	(void)state;
	for (int strict = 0; strict < 2; strict++) {
		world_open(3, strict ? RESOLVER_STRICT : RESOLVER_PREFERRED);
		for (int i = 0; i < 20; i++)
			assert_int_equal(good_rcode("good"), 0);
		assert_int_equal(servers[1].asked + servers[2].asked, 0);
		servers[0].dead = true;
		uint64_t start = f.now_ms;
		unsigned slow = 0;
		for (int i = 0; i < 100; i++) {
			uint64_t asked_ms = f.now_ms;
			assert_int_equal(good_rcode("good"), 0);
			assert_int_equal(said_by(), 2);
			slow += f.now_ms - asked_ms > 100;
			if (slow && f.now_ms - asked_ms > 100)
				assert_in_range(f.now_ms - start, 0, 1500);
			run(20);
		}
		assert_in_range(slow, 1, strict ? 1 : 4);
		servers[0].dead = false;
		run(2000);
		(void)good_rcode("good"); /* takes a check along */
		run(100);
		assert_int_equal(good_rcode("good"), 0);
		assert_int_equal(said_by(), 1);
		fake_close(&f);
	}
}

/* Strict: slowness of the first is nobody else's business. */
static void test_strict(void **state)
{
	(void)state;
	world_open(2, RESOLVER_STRICT);
	servers[0].delay_ms = 900;
	for (int i = 0; i < 10; i++) {
		assert_int_equal(good_rcode("good"), 0);
		assert_int_equal(said_by(), 1);
	}
	assert_int_equal(servers[1].asked, 0);
	servers[0].refuses = true;
	assert_int_equal(good_rcode("good"), 0); /* what it fails, the next may answer */
	assert_int_equal(said_by(), 2);
	fake_close(&f);
}

/* A link with a long round trip: each answer takes more than a second, and none is lost. */
static void test_long_way(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 2; n++) {
		world_open(n, RESOLVER_PREFERRED);
		servers[0].delay_ms = servers[1].delay_ms = 1800;
		for (int i = 0; i < 10; i++) {
			assert_int_equal(good_rcode("good"), 0);
			run(3000);
		}
		fake_close(&f);
	}
}

/* C38: a limit was reached at all of them: 50 names are not 150 questions, and when it is over all is well.
 */
static void test_all_refuse(void **state)
{
	(void)state;
	for (int known = 0; known < 2; known++) {
		world_open(3, RESOLVER_PREFERRED);
		if (known)
			assert_int_equal(good_rcode("good"), 0);
		servers[0].refuses = servers[1].refuses = servers[2].refuses = true;
		unsigned before = servers[0].asked + servers[1].asked + servers[2].asked;
		for (int i = 0; i < 50; i++)
			assert_int_equal(good_rcode("good"), DNS_REFUSED);
		assert_in_range(servers[0].asked + servers[1].asked + servers[2].asked - before, 3, 50);
		servers[0].refuses = false;
		run(8000);
		assert_int_equal(good_rcode("good"), 0);
		assert_int_equal(good_rcode("good"), 0);
		fake_close(&f);
	}
}

/* Issue: an upstream that sends on to us what it is asked (systemd-resolved, a dnsmasq, a pi-hole that uses
 * this machine's resolv.conf) is found out by its canary, costs nothing from then on, and is asked again when
 * it has stopped. */
static void test_ring(void **state)
{
	size_t looped = 0;
	struct endpoint ring;
	(void)state;
	for (unsigned n = 1; n <= 2; n++) {
		world_open(n, RESOLVER_PREFERRED);
		servers[0].dead = true;
		uint64_t end = f.now_ms + 1500;
		ask("good", 1);
		for (looped = 0; f.now_ms < end; run(STEP_MS))
			for (; looped < f.n_sent; looped++)
				if (server_of(&f.sent[looped]) == 0)
					resolver_query(f.r, f.now_ms, 100 + looped, f.sent[looped].msg,
						f.sent[looped].len, false);
		assert_int_equal(resolver_rings(f.r, &ring, 1), 1);
		struct endpoint first = fake_upstream(1);
		assert_true(endpoint_equal(&ring, &first));
		assert_int_equal(resolver_stats(f.r)->loop, 1);
		unsigned asked = servers[0].asked;
		for (int i = 0; i < 50; i++) {
			uint64_t start = f.now_ms;
			assert_int_equal(good_rcode("good"), n == 1 ? DNS_SERVFAIL : 0);
			assert_in_range(f.now_ms - start, 0, 50);
		}
		assert_int_equal(servers[0].asked, asked);
		servers[0].dead = false;
		run(31000);
		(void)good_rcode("good");
		run(100);
		assert_int_equal(good_rcode("good"), 0);
		assert_int_equal(said_by(), 1);
		assert_int_equal(resolver_rings(f.r, &ring, 1), 0);
		fake_close(&f);
	}
}

/* Those who wait for a ring have their failure a few at a time. */
static void test_ring_in_pieces(void **state)
{
	enum { MANY = 4 * DUE_AT_ONCE };
	size_t n = 0;
	unsigned ticks = 0;
	(void)state;
	world_open(1, RESOLVER_PREFERRED);
	servers[0].dead = true;
	for (unsigned i = 0; i < MANY; i++)
		ask("good", i);
	for (const uint64_t end = f.now_ms + 1000; f.now_ms < end && !resolver_stats(f.r)->probes;)
		run(STEP_MS);
	while (n < f.n_sent && !is_canary(&f.sent[n]))
		n++;
	assert_in_range(n, 0, f.n_sent - 1);
	const struct sent *canary = &f.sent[n];
	n = f.n_replies;
	resolver_query(f.r, f.now_ms, MANY, canary->msg, canary->len, false);
	assert_in_range(f.n_replies - n, 0, 1); /* to the ring itself */
	for (n = f.n_replies; resolver_deadline(f.r) <= f.now_ms; n = f.n_replies, ticks++) {
		resolver_tick(f.r, f.now_ms);
		assert_in_range(f.n_replies - n, 1, DUE_AT_ONCE);
		assert_int_equal(fake_rcode(&f), DNS_SERVFAIL);
	}
	assert_int_equal(ticks, MANY / DUE_AT_ONCE);
	fake_close(&f);
}

/* How many questions for these names went to the first upstream from the i-th on. */
static unsigned first_asked(size_t i, const char *with)
{
	unsigned n = 0;
	for (; i < f.n_sent; i++)
		n += server_of(&f.sent[i]) == 0 && starts(&f.sent[i], with);
	return n;
}

/* A check asks nothing that has another route by now, and nothing from before the network changed. */
static void test_check_keeps_routes(void **state)
{
	(void)state;
	for (int changed = 0; changed < 2; changed++) {
		world_open(1, RESOLVER_PREFERRED);
		for (unsigned i = 1; i <= 2; i++) {
			ask("good", i);
			run(100);
			assert_int_equal(fake_rcode(&f), 0);
		}
		struct resolver_upstream up[] = { { .at = fake_upstream(1) }, { .at = fake_upstream(2) } };
		struct resolver_route routes[] = { { .suffix = "", .upstreams = &up[0], .n_upstreams = 1 },
			{ .suffix = "good2.example.com", .upstreams = &up[1], .n_upstreams = 1 } };
		assert_int_equal(resolver_configure(f.r,
					 &(struct resolver_config) { .routes = routes, .n_routes = 2 }, NULL),
			0);
		if (changed)
			resolver_network_changed(f.r);
		size_t before = f.n_sent, probes = resolver_stats(f.r)->probes;
		servers[0].dead = true;
		ask("new", 3);
		run(2000);
		assert_true(resolver_stats(f.r)->probes > probes);
		assert_int_equal(first_asked(before, "good2"), 0);
		assert_int_equal(first_asked(before, "good1") > 0, !changed);
		fake_close(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_slow_first),
		cmocka_unit_test(test_negative_of_backup),
		cmocka_unit_test(test_one_dead_of_three),
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_long_way),
		cmocka_unit_test(test_all_refuse),
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_ring_in_pieces),
		cmocka_unit_test(test_check_keeps_routes),
	};
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
