#include "mesh/proto/stun.h"
#include "mesh/proto/test/vectors.h"

/* Golden vectors of tailscale-protocol.md 4.2, transaction id 00..0b. */
static const char request_hex[] =
	"000100142112a442000102030405060708090a0b802200087461696c6e6f6465802800048aabad90";
static const struct {
	const char *seen, *hex;
} replies[] = {
	{ "192.0.2.1:41641", "0101000c2112a442000102030405060708090a0b00200008000183bbe112a643" },
	{ "[2001:db8::1]:41641",
		"010100182112a442000102030405060708090a0b00200014000283bb0113a9fa000102030405060708090a0a" },
};

static const uint8_t tx[STUN_TX] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 };

static void test_golden(void **state)
{
	(void)state;
	uint8_t want[64], got[STUN_REPLY_MAX], id[STUN_TX];
	bool official = false;
	size_t len = unhex(request_hex, want, sizeof(want));
	assert_int_equal(len, STUN_REQUEST);
	stun_request_write(tx, got);
	assert_memory_equal(got, want, len);
	assert_true(stun_request_read(want, len, id, &official));
	assert_true(official);
	assert_memory_equal(id, tx, STUN_TX);

	for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
		struct endpoint seen, back;
		assert_true(endpoint_parse(replies[i].seen, &seen));
		len = unhex(replies[i].hex, want, sizeof(want));
		assert_int_equal(stun_reply_write(tx, &seen, got), len);
		assert_memory_equal(got, want, len);
		assert_true(stun_reply_read(want, len, id, &back));
		assert_true(endpoint_equal(&seen, &back));
		assert_memory_equal(id, tx, STUN_TX);
	}
}

#define HEAD(type, len) type len "2112a442000102030405060708090a0b"
static void test_requests(void **state)
{
	(void)state;
	static const struct {
		const char *hex;
		bool ok, official;
	} rows[] = {
		{ HEAD("0001", "0000"), true, false },				  /* plain RFC 8489 */
		{ HEAD("0001", "000c") "802200087461696c6e6f6465", true, false }, /* no fingerprint */
		{ HEAD("0001", "0014") "802200087461696c6e6f6465802800048aabad91", false, 0 }, /* wrong one */
		{ HEAD("0001", "0008") "8022000774657374", false, 0 },	  /* attribute too long */
		{ HEAD("0001", "0008") "8022000374657300", true, false }, /* padded attribute */
		{ HEAD("0001", "0010") "00000000", false, 0 },		  /* header longer than packet */
		{ HEAD("0001", "0002") "0000", false, 0 },		  /* not a multiple of 4 */
		{ HEAD("0101", "0000"), false, 0 },			  /* a reply */
		{ HEAD("4001", "0000"), false, 0 },			  /* first bits */
		{ "000100002112a443000102030405060708090a0b", false, 0 }, /* cookie */
		{ "00010000", false, 0 },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t p[64], id[STUN_TX];
		bool official = false;
		size_t len = unhex(rows[i].hex, p, sizeof(p));
		bool ok = stun_request_read(p, len, id, &official);
		if (ok != rows[i].ok || official != rows[i].official)
			fail_msg("row %zu", i);
	}
}

static void test_replies(void **state)
{
	(void)state;
	static const struct {
		const char *hex, *seen; /* NULL = refused */
	} rows[] = {
		{ HEAD("0101", "000c") "000100080001a2a9c0000201", "192.0.2.1:41641" },
		{ HEAD("0101", "000c") "80200008000183bbe112a643", "192.0.2.1:41641" },
		/* both: the plain one was rewritten on the way */
		{ HEAD("0101", "0018") "00200008000183bbe112a643"
				       "00010008000100010a000001",
			"192.0.2.1:41641" },
		{ HEAD("0101", "0018") "00010008000100010a000001"
				       "00200008000183bbe112a643",
			"192.0.2.1:41641" },
		{ HEAD("0101", "0010") "7f000000"
				       "00200008000183bbe112a643",
			"192.0.2.1:41641" },
		{ HEAD("0101", "0000"), NULL },
		{ HEAD("0101", "000c") "00200008000383bbe112a643", NULL },	   /* family */
		{ HEAD("0101", "0008") "0020000400018301", NULL },		   /* short */
		{ HEAD("0101", "0010") "0020000c000183bbe112a64300000000", NULL }, /* long */
		{ HEAD("0111", "000c") "00200008000183bbe112a643", NULL },	   /* error response */
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t p[64], id[STUN_TX];
		struct endpoint got = { .port = 1 }, want;
		size_t len = unhex(rows[i].hex, p, sizeof(p));
		bool ok = stun_reply_read(p, len, id, &got);
		if (ok != (rows[i].seen != NULL) || (!ok && got.port != 1))
			fail_msg("row %zu", i);
		if (ok && (!endpoint_parse(rows[i].seen, &want) || !endpoint_equal(&want, &got)))
			fail_msg("row %zu: other address", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_replies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
