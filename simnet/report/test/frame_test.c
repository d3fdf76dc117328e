#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mesh/base/err.h"
#include "mesh/base/ip.h"
#include "simnet/report/frame.h"
#include <string.h>

enum { HEAD = 14 + 28 };

static size_t udp_frame(uint8_t *frame, uint16_t sport, uint16_t dport, const void *payload, size_t len)
{
	struct endpoint a = { .ip = addr_v4(0x0a000001), .port = sport },
			b = { .ip = addr_v4(0x0a000002), .port = dport };
	memset(frame, 0, 14);
	memcpy(frame + HEAD, payload, len);
	return 14 + ip_write_udp(frame + 14, &a, &b, len);
}

#define QUESTION "\x12\x34\x01\0\0\1\0\0\0\0\0\0\3Bob\4mesh\0\0\1\0\1"
#define ANSWER \
	"\x12\x34\x81\x80\0\1\0\1\0\0\0\0\3bob\4mesh\0\0\1\0\1\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x64\x40\0\2"

static void test_info(void **state)
{
	static const struct {
		uint16_t sport, dport;
		const char *payload;
		size_t len;
		const char *says;
	} rows[] = {
		{ 4000, 53, QUESTION, sizeof(QUESTION) - 1, "DNS? A bob.mesh" },
		{ 53, 4000, ANSWER, sizeof(ANSWER) - 1, "DNS= A bob.mesh 100.64.0.2" },
		{ 53, 4000, "\x12\x34\x81\x83\0\1\0\0\0\0\0\0\3bob\4mesh\0\0\1\0\1", 26,
			"DNS= A bob.mesh NXDOMAIN" },
		{ 4000, 53, "\x12", 1, "DNS" },
		{ 4000, 53,
			"\x12\x34\x01\0\0\1\0\0\0\0\0\0\x3f"
			"b",
			14, "DNS" },
		{ 1, 2, "TS\xf0\x9f\x92\xac", 6, "disco" },
		{ 1, 2, "\0\1\0\0\x21\x12\xa4\x42", 8, "STUN question" },
		{ 1, 2, "\1\1\0\0\x21\x12\xa4\x42", 8, "STUN answer" },
		{ 1, 2, "\1\0\0\0abcdefghijklmnopqrstuvwxyzabcdef", 36, "WireGuard handshake" },
		{ 1, 2, "\4\0\0\0abcdefghijklmnopqrstuvwxyzabcdef", 36, "WireGuard data" },
		{ 68, 67, "x", 1, "DHCP" },
		{ 1, 2, "x", 1, "" },
	};
	uint8_t frame[200];
	struct frame_view v;
	char info[FRAME_INFO];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = udp_frame(frame, rows[i].sport, rows[i].dport, rows[i].payload, rows[i].len);
		if (!frame_read(frame, len, len, &v) || strcmp(frame_info(&v, info), rows[i].says) != 0)
			fail_msg("row %zu: '%s'", i, info);
	}
}

/* A packet is known again: behind a router that translates it, and where only its beginning was kept. */
static void test_body(void **state)
{
	uint8_t frame[400], body[300] = { 1, 2, 3 };
	struct frame_view a, b;
	(void)state;
	size_t len = udp_frame(frame, 1000, 2000, body, sizeof(body));
	assert_true(frame_read(frame, 256, len, &a));
	assert_int_equal(a.payload_len, 256 - HEAD);
	assert_int_equal(a.payload_wire, sizeof(body));
	frame[14 + 12] = 99;	/* another source */
	frame[14 + 20] = 99;	/* another port */
	frame[14 + 26] ^= 0xff; /* and checksum */
	assert_true(frame_read(frame, 256, len, &b));
	assert_int_equal(a.body, b.body);
	frame[HEAD] = 9;
	assert_true(frame_read(frame, 256, len, &b));
	assert_int_not_equal(a.body, b.body);
	for (size_t n = 0; n < HEAD; n++)
		assert_false(frame_read(frame, n, len, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_body),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
