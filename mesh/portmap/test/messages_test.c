/* Bytes as RFC 6886 section 3 and RFC 6887 sections 7 and 11 draw them. */
#include "mesh/portmap/messages.h"

#include "mesh/base/err.h"
#include "mesh/base/key.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct router_wish wish = { .inner = 41641,
	.outer = 443,
	.lifetime_s = 7200,
	.self = { { [10] = 0xff, [11] = 0xff, 192, 168, 1, 7 } },
	.nonce = "abcdefghijkl" };

static void expect_hex(const struct wr *w, const char *hex)
{
	char got[2 * ROUTER_REQUEST_MAX + 1];
	assert_false(w->bad);
	assert_string_equal(hex_encode(w->p, w->len, got), hex);
}

static void test_requests(void **state)
{
	(void)state;
	uint8_t b[ROUTER_REQUEST_MAX];
	struct wr w = wr_of(b, sizeof(b));
	pmp_write_address(&w);
	expect_hex(&w, "0000");
	w = wr_of(b, sizeof(b));
	pmp_write_map(&w, &wish);
	expect_hex(&w, "00010000a2a901bb00001c20");
	w = wr_of(b, sizeof(b));
	pcp_write_announce(&w, &wish.self);
	expect_hex(&w, "020000000000000000000000000000000000ffffc0a80107");
	w = wr_of(b, sizeof(b));
	pcp_write_map(&w, &wish);
	expect_hex(&w, "0201000000001c2000000000000000000000ffffc0a80107"
		       "6162636465666768696a6b6c11000000a2a901bb"
		       "00000000000000000000ffff00000000");
}

/* RFC 6887 section 11: of IPv6 both addresses are whole, and "any" is all zeros. */
static void test_request_six(void **state)
{
	(void)state;
	struct router_wish six = wish;
	uint8_t b[ROUTER_REQUEST_MAX];
	struct wr w = wr_of(b, sizeof(b));
	assert_true(addr_parse("2001:db8::7", &six.self));
	six.address = six.self;
	pcp_write_map(&w, &six);
	expect_hex(&w, "0201000000001c2020010db8000000000000000000000007"
		       "6162636465666768696a6b6c11000000a2a901bb"
		       "20010db8000000000000000000000007");
	w = wr_of(b, sizeof(b));
	six.address = addr_v4(0xcb007109); /* of the other family: none */
	pcp_write_map(&w, &six);
	expect_hex(&w, "0201000000001c2020010db8000000000000000000000007"
		       "6162636465666768696a6b6c11000000a2a901bb"
		       "00000000000000000000000000000000");
}

/* RFC 6886 section 3.4: given back with outer port 0. */
static void test_given_back(void **state)
{
	(void)state;
	struct router_wish back = wish;
	uint8_t b[ROUTER_REQUEST_MAX];
	struct wr w = wr_of(b, sizeof(b));
	back.lifetime_s = 0;
	pmp_write_map(&w, &back);
	expect_hex(&w, "00010000a2a9000000000000");
}

static size_t bytes_of(const char *hex, uint8_t *out)
{
	size_t n = strlen(hex) / 2;
	assert_true(hex_decode(hex, 2 * n, out, n));
	return n;
}

#define PCP_HEAD_OK "0281000000000e1000000064000000000000000000000000"
#define PCP_BODY "6162636465666768696a6b6c11000000a2a9a2aa00000000000000000000ffff01020304"

static void test_replies(void **state)
{
	(void)state;
	static const struct {
		const char *hex;
		bool good;
		enum router_reply_kind kind;
		uint16_t result, outer;
		uint32_t lifetime_s;
	} rows[] = {
		{ "008000000000006401020304", true, ROUTER_PMP_ADDRESS, 0, 0, 0 },
		{ "0080000300000064", true, ROUTER_PMP_ADDRESS, 3, 0, 0 },
		{ "0080000100000064", true, ROUTER_PMP_ADDRESS, ROUTER_OTHER_VERSION, 0, 0 },
		{ "0080000000000064010203", false, 0, 0, 0, 0 }, /* an address of three bytes */
		{ "0081000000000064a2a9a2aa00000e10", true, ROUTER_PMP_MAP, 0, 41642, 3600 },
		{ "0081000000000064a2a9a2aa00000e", false, 0, 0, 0, 0 },
		{ "0082000000000064a2a9a2aa00000e10", false, 0, 0, 0, 0 }, /* TCP was not asked for */
		{ "0001000000000064a2a9a2aa00000e10", false, 0, 0, 0, 0 }, /* a request */
		{ "028000000000000000000064000000000000000000000000", true, ROUTER_PCP_ANNOUNCE, 0, 0, 0 },
		{ "02800000000000000000006400000000000000000000", false, 0, 0, 0, 0 },
		{ PCP_HEAD_OK PCP_BODY, true, ROUTER_PCP_MAP, 0, 41642, 3600 },
		{ PCP_HEAD_OK PCP_BODY "00000000", true, ROUTER_PCP_MAP, 0, 41642, 3600 },
		{ PCP_HEAD_OK, false, 0, 0, 0, 0 }, /* yes, and to what? */
		{ "0281000200000e1000000064000000000000000000000000", true, ROUTER_PCP_MAP, 2, 0, 3600 },
		{ "0282000000000e1000000064000000000000000000000000" PCP_BODY, false, 0, 0, 0, 0 },
		{ "0180000000000064", false, 0, 0, 0, 0 }, /* no version of either */
		{ "", false, 0, 0, 0, 0 },
		{ "02", false, 0, 0, 0, 0 },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t b[128];
		struct router_reply r, before;
		memset(&r, 0x55, sizeof(r));
		before = r;
		bool good = router_reply_read(b, bytes_of(rows[i].hex, b), &r);
		if (good != rows[i].good)
			fail_msg("row %zu: %s", i, rows[i].hex);
		if (!good) {
			assert_memory_equal(&r, &before, sizeof(r));
			continue;
		}
		assert_int_equal(r.kind, rows[i].kind);
		assert_int_equal(r.result, rows[i].result);
		if (r.result == ROUTER_DONE) {
			assert_int_equal(r.outer, rows[i].outer);
			assert_int_equal(r.lifetime_s, rows[i].lifetime_s);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_requests),
		cmocka_unit_test(test_request_six), cmocka_unit_test(test_given_back),
		cmocka_unit_test(test_replies) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
