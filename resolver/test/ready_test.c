/* Answers that are kept ready, by themselves: which question has one, and for how long. */
#include "resolver/ready.h"

#include "resolver/message.h"
#include "resolver/test/fake.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

struct question {
	struct dns_name name; /* lower case */
	size_t len;
	uint8_t msg[600];
};

static void ask_make(struct question *q, const char *name, uint16_t type)
{
	q->len = fake_question(q->msg, name, type, DNS_RD);
	assert_true(dns_name_parse(name, &q->name));
	dns_name_fold(&q->name);
}

/* Not what a resolver would say, but of its form: the question, and then `tail` bytes of this value. */
static size_t answer_make(const struct question *q, uint8_t value, size_t tail, uint8_t *out)
{
	size_t question = (size_t)DNS_HEADER + q->name.len + 4;
	memcpy(out, q->msg, question);
	out[2] |= 0x80;
	memset(out + question, value, tail);
	return question + tail;
}

static void keep(struct ready *r, const struct question *q, uint8_t value)
{
	uint8_t b[DNS_UDP_SIZE];
	size_t len = answer_make(q, value, 16, b);
	ready_keep(r, q->msg, q->len, &q->name, b, len);
}

/* The value it was kept with; -1: there is none. What is there is the answer to this very datagram. */
static int value_of(const struct ready *r, const struct question *q)
{
	uint8_t got[READY_ANSWER_MAX], want[DNS_UDP_SIZE];
	struct dns_name name;
	size_t len = ready_find(r, q->msg, q->len, got, &name);
	if (!len)
		return -1;
	assert_int_equal(len, answer_make(q, got[len - 1], 16, want));
	assert_memory_equal(got, want, len);
	assert_int_equal(name.len, q->name.len);
	assert_memory_equal(name.b, q->name.b, name.len);
	return got[len - 1];
}

/* The id and the case of the name are the asker's. */
static void test_found(void **state)
{
	struct ready *r = ready_new();
	struct question q, upper;
	(void)state;
	ask_make(&q, "bob.mesh", DNS_A);
	ask_make(&upper, "BoB.mEsh", DNS_A);
	be_put(upper.msg, 2, 0x4321); /* fake_question has another */
	assert_int_equal(value_of(r, &q), -1);
	keep(r, &upper, 7);
	assert_int_equal(value_of(r, &q), 7);
	assert_int_equal(value_of(r, &upper), 7);
	ready_forget(r);
	assert_int_equal(value_of(r, &q), -1);
	keep(r, &q, 8);
	assert_int_equal(value_of(r, &upper), 8);
	ready_free(r);
}

/* Every other byte is another question; so is every other length. The code of a type may be a letter. */
static void test_others(void **state)
{
	struct ready *r = ready_new();
	struct question q, other;
	(void)state;
	ask_make(&q, "bob.mesh", DNS_HTTPS); /* 65 is 'A' */
	keep(r, &q, 7);
	for (size_t at = 2; at < q.len; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			other = q;
			other.msg[at] ^= (uint8_t)(1U << bit);
			bool letter =
				at > DNS_HEADER && at < DNS_HEADER + 9 && at != DNS_HEADER + 4 && bit == 5;
			assert_int_equal(value_of(r, &other), letter ? 7 : -1);
		}
	for (other = q; other.len; other.len--)
		assert_int_equal(value_of(r, &other), other.len == q.len ? 7 : -1);
	other = q;
	other.len++;
	assert_int_equal(value_of(r, &other), -1);
	ready_free(r);
}

/* Options, records and bytes behind it: such a question may never come again. Nor is kept what is long. */
static void test_unusual(void **state)
{
	struct ready *r = ready_new();
	struct question q, other;
	uint8_t b[DNS_UDP_SIZE];
	(void)state;
	ask_make(&q, "bob.mesh", DNS_A);
	for (size_t more = 1; more < 40; more++) {
		other = q;
		other.len += more;
		memset(other.msg + q.len, 0, more);
		keep(r, &other, 7);
		assert_int_equal(value_of(r, &other), -1);
	}
	other = q;
	other.len -= DNS_OPT_LEN; /* plain DNS */
	other.msg[11] = 0;
	keep(r, &other, 7);
	assert_int_equal(value_of(r, &other), 7);
	ready_keep(r, q.msg, q.len, &q.name, b, answer_make(&q, 7, READY_ANSWER_MAX, b));
	assert_int_equal(value_of(r, &q), -1);
	keep(NULL, &q, 7);
	assert_int_equal(value_of(NULL, &q), -1);
	ready_forget(NULL);
	ready_free(r);
}

/* More than there is room for: the oldest give way, and what is found is always the right one. The last are there, but those
 * whose places are taken. */
static void test_full(void **state)
{
	enum { NAMES = 20000, LAST = 500 };
	struct ready *r = ready_new();
	struct question q;
	char name[40];
	unsigned last = 0, found = 0;
	(void)state;
	for (unsigned i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "host-%u.a%0*u.mesh", i, 1 + (int)(i % 9), 1);
		ask_make(&q, name, DNS_A);
		keep(r, &q, (uint8_t)(i % 251));
		assert_int_equal(value_of(r, &q), i % 251);
	}
	for (unsigned i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "host-%u.a%0*u.mesh", i, 1 + (int)(i % 9), 1);
		ask_make(&q, name, DNS_A);
		int value = value_of(r, &q);
		assert_true(value == -1 || value == (int)(i % 251));
		found += value >= 0;
		last += value >= 0 && i >= NAMES - LAST;
	}
	assert_in_range(last, LAST * 95 / 100, LAST);
	assert_in_range(found, 1000, READY_BYTES / 64);
	ready_free(r);
}

/* What was written over is gone, even where what stands there now is to the byte what stood there, but for what it says: an
 * answer whose data are such bytes, as it may come to lie in the ring. */
static void test_written_over(void **state)
{
	enum {
		BEFORE = 64,
		TAIL = 16,
		FIRST = 200,
		FORGED = 9,
		FILLERS = READY_BYTES / READY_ANSWER_MAX + 8
	};
	struct question first, q, filler;
	uint8_t image[BEFORE + DNS_UDP_SIZE], b[DNS_UDP_SIZE];
	char name[40];
	(void)state;
	ask_make(&first, "first.mesh", DNS_A);
	ask_make(&q, "bob.mesh", DNS_A);
	struct ready *r = ready_new();
	keep(r, &q, FORGED);
	const uint8_t *at = memmem(r, READY_BYTES, q.name.b, q.name.len);
	assert_non_null(at); /* in the ring, which is behind all else */
	size_t len = BEFORE + answer_make(&q, FORGED, TAIL, b);
	memcpy(image, at - DNS_HEADER - BEFORE, len);
	ready_free(r);
	for (size_t shift = 0; shift + len + DNS_HEADER + DNS_QUESTION_MAX / 4 <= READY_ANSWER_MAX; shift++) {
		r = ready_new();
		ready_keep(r, first.msg, first.len, &first.name, b, answer_make(&first, 1, FIRST, b));
		keep(r, &q, 7);
		int value = 7;
		for (unsigned i = 0; i < FILLERS; i++) {
			snprintf(name, sizeof(name), "filler-%u.mesh", i);
			ask_make(&filler, name, DNS_A);
			size_t question = answer_make(&filler, 0, 0, b);
			memset(b + question, 0, sizeof(b) - question);
			memcpy(b + question + shift, image, len);
			ready_keep(r, filler.msg, filler.len, &filler.name, b, READY_ANSWER_MAX);
			int now = value_of(r, &q);
			assert_true(now == value || (now == -1 && i > FILLERS / 2));
			value = now;
		}
		assert_int_equal(value, -1);
		ready_free(r);
	}
}

/* Questions that differ in any one byte have places of their own: none is left out of what says where they stand. */
static void test_spread(void **state)
{
	enum { VALUES = 16 };
	struct question q, other;
	(void)state;
	ask_make(&q, "a-machine-of-some-name.tail-net.mesh", DNS_A);
	size_t name_end = (size_t)DNS_HEADER + q.name.len;
	for (size_t at = 2; at < q.len; at++) {
		bool in_name = at >= DNS_HEADER && at < name_end;
		if (in_name && (q.msg[at] < 'a' || q.msg[at] > 'z'))
			continue;
		struct ready *r = ready_new();
		for (unsigned kept = 0; kept < 2; kept++)
			for (unsigned v = 0; v < VALUES; v++) {
				other = q;
				other.msg[at] = (uint8_t)(in_name ? 'a' + v : v);
				if (in_name)
					other.name.b[at - DNS_HEADER] = other.msg[at];
				if (!kept)
					keep(r, &other, (uint8_t)v);
				else
					assert_int_equal(value_of(r, &other), v);
			}
		ready_free(r);
	}
}

/* Nor do bytes far from each other meet in few of the bits that say it: of names that differ in three, nearly all are kept. */
static void test_spread_far(void **state)
{
	enum { VALUES = 8, ALL = VALUES * VALUES * VALUES, SIDE = 8 };
	struct question q;
	unsigned least = ALL;
	(void)state;
	for (size_t first = 1; first <= SIDE; first++) {
		struct ready *r = ready_new();
		unsigned found = 0;
		for (unsigned i = 0; i < 2 * ALL; i++) {
			ask_make(&q, "a-machine-of-some-name-that-is-long-enough.mesh", DNS_A);
			for (unsigned k = 0, v = i % ALL; k < 3; k++, v /= VALUES) {
				size_t at = first + (size_t)k * SIDE;
				q.msg[DNS_HEADER + at] = q.name.b[at] = (uint8_t)('a' + v % VALUES);
			}
			if (i < ALL)
				keep(r, &q, (uint8_t)i);
			else
				found += value_of(r, &q) == (uint8_t)i;
		}
		ready_free(r);
		least = found < least ? found : least;
	}
	assert_in_range(least, ALL * 98 / 100, ALL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_unusual),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_written_over),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_spread_far),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
