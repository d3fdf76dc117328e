#include "simnet/punch/punch_wire.h"

#include "mesh/base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* INVITE, nonce 0102030405060708, from "al" to "bob", 203.0.113.9:4660, body "\x1b\x5f" */
static const uint8_t invite[] = { 'R', 'W', 'p', '1', 4, 1, 2, 3, 4, 5, 6, 7, 8, 2, 'a', 'l', 3, 'b', 'o',
	'b', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 9, 0x12, 0x34, 2, 0x1b, 0x5f };

static void test_vector(void **state)
{
	struct punch_message m;
	uint8_t out[PUNCH_MESSAGE_MAX];
	(void)state;

	assert_true(punch_message_read(invite, sizeof(invite), &m));
	assert_int_equal(m.kind, PUNCH_INVITE);
	assert_true(m.nonce == 0x0102030405060708u);
	assert_string_equal(m.from, "al");
	assert_string_equal(m.to, "bob");
	assert_int_equal(m.n_places, 1);
	assert_int_equal(addr_v4_get(&m.places[0].ip), 0xcb007109);
	assert_int_equal(m.places[0].port, 0x1234);
	assert_int_equal(m.n_body, 2);
	assert_int_equal(punch_message_write(&m, out, sizeof(out)), sizeof(invite));
	assert_memory_equal(out, invite, sizeof(invite));
}

/* Whole or not at all: every cut and every longer text is refused, and the caller's struct stays. */
static void test_cut(void **state)
{
	struct punch_message m = { .kind = PUNCH_ECHO, .nonce = 99, .from = "before" };
	uint8_t longer[sizeof(invite) + 1];
	(void)state;

	for (size_t i = 0; i < sizeof(invite); i++)
		if (punch_message_read(invite, i, &m) || m.kind != PUNCH_ECHO || m.nonce != 99 ||
			strcmp(m.from, "before") != 0)
			fail_msg("the first %zu bytes", i);
	memcpy(longer, invite, sizeof(invite));
	longer[sizeof(invite)] = 0;
	assert_false(punch_message_read(longer, sizeof(longer), &m));
}

static void test_refused(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		const char *why;
	} rows[] = {
		{ 0, 'r', "another magic" },
		{ 3, '2', "another version" },
		{ 4, 0, "no kind" },
		{ 4, PUNCH_KINDS, "a kind past the last" },
		{ 13, 33, "a name longer than a name" },
		{ 14, 'A', "a capital letter in a name" },
		{ 15, 0, "a NUL in a name" },
		{ 15, '"', "a quote in a name" },
		{ 20, PUNCH_PLACES_MAX + 1, "more places than there may be" },
		{ 20, 2, "more places than there are" },
		{ 39, PUNCH_BODY_MAX + 1, "a body longer than a body" },
		{ 39, 1, "a byte after the body" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t msg[sizeof(invite)];
		struct punch_message m;
		memcpy(msg, invite, sizeof(msg));
		msg[rows[i].at] = rows[i].value;
		if (punch_message_read(msg, sizeof(msg), &m))
			fail_msg("row %zu: %s", i, rows[i].why);
	}
}

static void test_full(void **state)
{
	struct punch_message m = { .kind = PUNCH_REGISTER,
		.n_places = PUNCH_PLACES_MAX,
		.n_body = PUNCH_BODY_MAX },
			     again;
	uint8_t out[PUNCH_MESSAGE_MAX];
	(void)state;

	memset(m.from, 'x', PUNCH_NAME_MAX);
	memset(m.to, 'y', PUNCH_NAME_MAX);
	assert_int_equal(punch_message_write(&m, out, sizeof(out)), PUNCH_MESSAGE_MAX);
	assert_true(punch_message_read(out, sizeof(out), &again));
	assert_string_equal(again.from, m.from);
	assert_string_equal(again.to, m.to);
	assert_int_equal(again.n_places, PUNCH_PLACES_MAX);
	assert_int_equal(again.n_body, PUNCH_BODY_MAX);
	assert_int_equal(punch_message_write(&m, out, sizeof(out) - 1), 0);
}

static void test_names(void **state)
{
	(void)state;
	assert_true(punch_name_good("home-1"));
	assert_true(punch_name_good("abcdefghijklmnopqrstuvwxyz012345"));
	assert_false(punch_name_good("abcdefghijklmnopqrstuvwxyz0123456"));
	assert_false(punch_name_good(""));
	assert_false(punch_name_good("a b"));
	assert_false(punch_name_good("Bob"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vector),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
