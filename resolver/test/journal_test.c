/* Questions written down: the last ones in their order, the most frequent whatever else comes. */
#include "resolver/journal.h"

#include "resolver/test/fake.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

static const uint64_t seed[2] = { 1, 2 };

static void add(struct journal *j, const char *name, enum resolver_source source, unsigned client)
{
	struct journal_question q = { .client = addr_v4(client), .type = DNS_A, .source = source };
	assert_true(dns_name_parse(name, &q.name));
	journal_add(j, &q);
}

static void test_order(void **state)
{
	struct journal *j = journal_new(seed);
	char name[32];
	uint64_t last = 0, n = 0;
	(void)state;
	assert_null(journal_next(j, &last));
	for (unsigned i = 1; i <= JOURNAL_QUESTIONS + 10; i++) {
		snprintf(name, sizeof(name), "n%u.example", i);
		add(j, name, RESOLVER_FROM_CACHE, i);
	}
	for (const struct journal_question *q; (q = journal_next(j, &last)); n++) {
		assert_int_equal(last, n + 11); /* the first ten are gone */
		assert_int_equal(addr_v4_get(&q->client), n + 11);
	}
	assert_int_equal(n, JOURNAL_QUESTIONS);
	add(j, "last.example", RESOLVER_FROM_CACHE, 9);
	assert_non_null(journal_next(j, &last));
	assert_null(journal_next(j, &last));
	journal_free(j);
}

/* Ten names that are a third of all, among ten thousand that come once or twice. */
static void test_top(void **state)
{
	struct journal *j = journal_new(seed);
	struct journal_count top[10];
	char name[32];
	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "rare%u.example", i);
		add(j, name, RESOLVER_FROM_UPSTREAM, i);
		snprintf(name, sizeof(name), "often%u.example", i % 10);
		if (i % 2)
			add(j, name, i % 4 == 1 ? RESOLVER_FROM_BLOCK : RESOLVER_FROM_CACHE, 77);
	}
	assert_int_equal(journal_top(j, JOURNAL_CLIENTS, top, 10), 10);
	assert_int_equal(addr_v4_get(&top[0].client), 77);
	assert_true(top[0].n >= 5000 && top[0].n - top[0].over <= 5001);
	assert_int_equal(journal_top(j, JOURNAL_NAMES, top, 5), 5);
	for (unsigned i = 0; i < 5; i++)
		assert_memory_equal(top[i].name.b, "\6often", 6);
	assert_true(top[0].n >= top[4].n);
	assert_int_equal(journal_top(j, JOURNAL_BLOCKED, top, 10), 5);
	assert_int_equal(top[0].over, 0);
	journal_free(j);
}

/* ---- what the resolver tells ---- */

static struct fake f;
static struct resolver_told told[16];
static unsigned n_told;

static void hear(void *arg, const struct resolver_told *t)
{
	(void)arg;
	told[n_told++ % 16] = *t;
}

static void test_told(void **state)
{
	static const struct fake_answer good = { .an = 1, .records = A_RECORD },
					refused = { .rcode = DNS_REFUSED };
	(void)state;
	fake_open(&f, 1);
	f.told = hear;
	fake_ask(&f, 1, "Bob.mesh", DNS_A);
	fake_ask(&f, 2, "host", DNS_A);
	fake_ask(&f, 3, "www.example.com", DNS_A);
	f.now_ms += 30;
	fake_answer(&f, 0, &good);
	fake_ask(&f, 4, "www.example.com", DNS_A);
	fake_ask(&f, 5, "refused.example.com", DNS_A);
	fake_answer(&f, 1, &refused);
	fake_until(&f, f.now_ms + 60000);
	fake_ask(&f, 6, "www.example.com", DNS_A);
	fake_until(&f, f.now_ms + 5000);
	fake_ask(&f, 7, "silent.example.com", DNS_A);
	fake_until(&f, f.now_ms + 5000);
	static const struct {
		enum resolver_source source;
		uint16_t rcode;
	} rows[] = { { RESOLVER_FROM_ZONE, 0 }, { RESOLVER_FROM_RULES, 3 }, { RESOLVER_FROM_UPSTREAM, 0 },
		{ RESOLVER_FROM_CACHE, 0 }, { RESOLVER_FROM_UPSTREAM, 5 }, { RESOLVER_FROM_STALE, 0 },
		{ RESOLVER_FROM_NOWHERE, 2 } };
	assert_int_equal(n_told, ARRAY_LEN(rows));
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
		if (told[i].client != i + 1 || told[i].source != rows[i].source ||
			told[i].rcode != rows[i].rcode)
			fail_msg("row %u: %s, rcode %u", i, resolver_source_text(told[i].source),
				told[i].rcode);
	assert_int_equal(told[2].took_ms, 30);
	uint8_t scrap[12] = { 0 };
	resolver_query(f.r, f.now_ms, 8, scrap, sizeof(scrap), false); /* no question */
	assert_int_equal(n_told, ARRAY_LEN(rows));
	fake_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_order), cmocka_unit_test(test_top),
		cmocka_unit_test(test_told) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
