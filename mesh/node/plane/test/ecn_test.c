#include "mesh/node/plane/ecn.h"
#include "mesh/base/err.h"
#include "mesh/base/ip.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* RFC 6040 figure 4: a row for what the packet had, a column for what its datagram has, in the figure's order (N not
 * capable, 0 and 1 capable, C congested); X: lost. */
static const char columns[] = "N01C";
static const struct {
	char inner;
	const char *out;
} figure[] = { { 'N', "NNNX" }, { '0', "001C" }, { '1', "111C" }, { 'C', "CCCC" } };

static enum ecn named(char c)
{
	return c == 'N'	  ? ECN_NOT_CAPABLE
	       : c == '0' ? ECN_CAPABLE_0
	       : c == '1' ? ECN_CAPABLE_1
			  : ECN_CONGESTED;
}

static size_t make(uint8_t *p, bool v4, enum ecn ecn)
{
	struct addr a = v4 ? addr_v4(0x64400001) : (struct addr) { { 0xfd, [15] = 1 } };
	size_t len = ip_write_header(p, &a, &a, 47, 0);
	p[v4 ? 1 : 0] |= v4 ? 0xb8 : 0x0b; /* a class of service stays as it is */
	p[1] |= (uint8_t)(v4 ? (uint8_t)ecn : 0x80 | ecn << 4);
	if (v4) {
		memset(p + 10, 0, 2);
		uint16_t sum = ip_checksum(p, 20, 0);
		p[10] = (uint8_t)(sum >> 8);
		p[11] = (uint8_t)sum;
	}
	return len;
}

static void test_figure(void **state)
{
	(void)state;
	for (int v4 = 0; v4 < 2; v4++)
		for (size_t r = 0; r < ARRAY_LEN(figure); r++)
			for (size_t c = 0; c < 4; c++) {
				uint8_t p[40], want[40];
				char out = figure[r].out[c];
				size_t len = make(p, v4, named(figure[r].inner));
				assert_int_equal(ecn_of(p, len), named(figure[r].inner));
				assert_int_equal(ecn_take(p, len, named(columns[c])), out != 'X');
				if (out != 'X') {
					make(want, v4, named(out));
					assert_memory_equal(p, want, len);
				}
			}
}

/* Whatever is no whole header is left as it is. */
static void test_no_packet(void **state)
{
	uint8_t p[40], was[40];
	(void)state;
	for (int v4 = 0; v4 < 2; v4++) {
		size_t len = make(p, v4, ECN_CAPABLE_0) - 1;
		memcpy(was, p, sizeof(p));
		assert_int_equal(ecn_of(p, len), ECN_NOT_CAPABLE);
		assert_true(ecn_take(p, len, ECN_CAPABLE_1));
		assert_false(ecn_take(p, len, ECN_CONGESTED));
		assert_memory_equal(p, was, sizeof(p));
	}
	assert_int_equal(ecn_of(p, 0), ECN_NOT_CAPABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_figure),
		cmocka_unit_test(test_no_packet),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
