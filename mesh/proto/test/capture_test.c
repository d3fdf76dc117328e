/* Captures, byte for byte: what official clients write, and bare packets. */
#include "mesh/proto/capture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const uint8_t packet[] = { 0x45, 1, 2 };
/* 2026-01-02T03:04:05.678901Z */
static const int64_t when_us = 1767323045678901;
static const struct {
	enum capture_form form;
	unsigned how;
	size_t len;
	uint8_t bytes[CAPTURE_HEAD + CAPTURE_RECORD + CAPTURE_HOW + sizeof(packet)];
} rows[] = {
	{ CAPTURE_OFFICIAL, 1, 47,
		{ 0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 147, 0, 0, 0,
			0xa5, 0x35, 0x57, 0x69, 0xf5, 0x5b, 0x0a, 0, 7, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0x45,
			1, 2 } },
	{ CAPTURE_RAW, 1, 43,
		{ 0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 101, 0, 0, 0,
			0xa5, 0x35, 0x57, 0x69, 0xf5, 0x5b, 0x0a, 0, 3, 0, 0, 0, 3, 0, 0, 0, 0x45, 1, 2 } },
};

static void test_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b = { 0 };
		assert_true(capture_head_write(&b, rows[i].form));
		assert_int_equal(b.len, CAPTURE_HEAD);
		assert_true(
			capture_packet_write(&b, rows[i].form, rows[i].how, when_us, packet, sizeof(packet)));
		assert_int_equal(b.len, rows[i].len);
		assert_memory_equal(buf_data(&b), rows[i].bytes, rows[i].len);
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_bytes) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
