#include "simnet/natprobe/natprobe_judge.h"
#include "simnet/natprobe/natprobe_wire.h"

#include "mesh/base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { OUTER = 0xcb007105, INNER = 0xc0a80102 };
static const struct endpoint nobody;

static struct endpoint at(uint32_t ip, uint16_t port)
{
	return (struct endpoint) { .ip = addr_v4(ip), .port = port };
}

static void test_classes(void **state)
{
	static const struct {
		uint16_t first, port, host; /* as seen by each; 0 = no answer */
		unsigned through;
		enum nat_mapping mapping;
		enum nat_filtering filtering;
	} rows[] = {
		{ 1000, 1000, 1000, 7, NAT_EIM, NAT_EIF },
		{ 1000, 1000, 1000, 3, NAT_EIM, NAT_ADF },
		{ 1000, 1000, 1000, 1, NAT_EIM, NAT_APDF },
		{ 1000, 1000, 1001, 1, NAT_ADM, NAT_APDF },
		{ 1000, 1002, 1001, 1, NAT_APDM, NAT_APDF },
		{ 1000, 1002, 1001, 5, NAT_APDM, NAT_EIF },
		{ 1000, 1002, 0, 1, NAT_APDM, NAT_APDF }, /* the other host is silent */
		{ 1000, 0, 1001, 1, NAT_ADM, NAT_APDF },  /* the other port is: not less than ADM */
		{ 1000, 0, 0, 1, NAT_EIM, NAT_APDF },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct natprobe_facts f = {
			.udp = { .local = at(INNER, 5),
				.first = at(OUTER, rows[i].first),
				.other_port = rows[i].port ? at(OUTER, rows[i].port) : nobody,
				.other_host = rows[i].host ? at(OUTER, rows[i].host) : nobody,
				.through = rows[i].through }
		};
		struct natprobe_report r;
		natprobe_judge(&f, &r);
		if (r.udp_class.mapping != rows[i].mapping || r.udp_class.filtering != rows[i].filtering)
			fail_msg("row %zu: %s/%s", i, nat_mapping_words[r.udp_class.mapping],
				nat_filtering_words[r.udp_class.filtering]);
		assert_true(r.udp && !r.tcp && r.translated);
	}
}

static void test_ports(void **state)
{
	static const struct {
		uint16_t local[NATPROBE_PORTS], seen[NATPROBE_PORTS];
		enum nat_ports ports;
		bool known;
	} rows[] = {
		{ { 1, 2, 3, 4, 5, 6, 7, 8 }, { 1, 2, 3, 4, 5, 6, 7, 8 }, NAT_PORTS_PRESERVE, true },
		{ { 9, 5, 3, 4, 7, 6, 2, 8 }, { 50, 51, 52, 54, 55, 56, 57, 58 }, NAT_PORTS_SEQUENTIAL,
			true },
		{ { 1, 2, 3, 4, 5, 6, 7, 8 }, { 91, 4, 33, 78, 5055, 16, 97, 1008 }, NAT_PORTS_PARITY, true },
		{ { 1, 2, 3, 4, 5, 6, 7, 8 }, { 91, 5, 33, 78, 5055, 16, 97, 1008 }, NAT_PORTS_HASH, false },
		{ { 1, 2, 3 }, { 1, 2, 3 }, NAT_PORTS_HASH, false }, /* too few answers */
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct natprobe_facts f = { .udp = { .local = at(INNER, 5), .first = at(OUTER, 6) } };
		struct natprobe_report r;
		for (size_t k = 0; k < NATPROBE_PORTS; k++) {
			f.ports[k].local = rows[i].local[k];
			f.ports[k].seen = rows[i].seen[k];
		}
		natprobe_judge(&f, &r);
		if (r.ports != rows[i].ports || r.ports_known != rows[i].known)
			fail_msg("row %zu: %s", i, nat_ports_words[r.ports]);
	}
}

static void test_lifetime_and_hairpin(void **state)
{
	struct natprobe_facts f = { .udp = { .local = at(INNER, 5), .first = at(OUTER, 6) }, .n_lifes = 4 };
	struct natprobe_report r;
	(void)state;

	f.life_came[0] = f.life_came[1] = f.life_came[3] =
		true; /* one that is late in the line proves nothing */
	natprobe_judge(&f, &r);
	assert_int_equal(r.lifetime_s, 2);
	assert_false(r.lifetime_at_least);
	assert_int_equal(r.hairpin, NAT_HAIRPIN_OFF);
	f.life_came[2] = true;
	f.hairpinned = true;
	f.hairpin_local = at(INNER, 7);
	f.hairpin_from = at(OUTER, 99);
	natprobe_judge(&f, &r);
	assert_int_equal(r.lifetime_s, 4);
	assert_true(r.lifetime_at_least);
	assert_int_equal(r.hairpin, NAT_HAIRPIN_EXTERNAL);
	f.hairpin_from = at(INNER, 7);
	natprobe_judge(&f, &r);
	assert_int_equal(r.hairpin, NAT_HAIRPIN_INTERNAL);
}

static void test_stanzas(void **state)
{
	struct natprobe_facts f = { .udp = { .local = at(INNER, 5), .first = at(INNER, 5) } };
	struct natprobe_report r;
	struct buf text = { 0 };
	(void)state;

	natprobe_judge(&f, &r);
	assert_true(natprobe_stanza(&r, &text));
	assert_non_null(strstr(buf_cstr(&text), "nat: none"));
	buf_free(&text);
	f.udp.first = nobody;
	f.tcp = (struct natprobe_seen_by) {
		.local = at(INNER, 5), .first = at(OUTER, 9), .other_host = at(OUTER, 8)
	};
	natprobe_judge(&f, &r);
	assert_true(natprobe_stanza(&r, &text));
	assert_non_null(strstr(buf_cstr(&text), "mapping: ADM"));
	assert_non_null(strstr(buf_cstr(&text), "udp: blocked"));
	assert_non_null(strstr(buf_cstr(&text), "lifetime: 120s"));
	assert_non_null(strstr(buf_cstr(&text), "assumed: not asked for"));
	buf_free(&text);
	assert_true(natprobe_json(&r, &text));
	assert_string_equal(buf_cstr(&text),
		"{\"udp\":false,\"tcp\":true,\"ipv6\":false,\"translated\":true,\"outer\":\"203.0.113.5\","
		"\"tcp_mapping\":\"ADM\",\"tcp_filtering\":\"APDF\"}\n");
	buf_free(&text);
}

/* ---- messages ---- */

static void test_wire(void **state)
{
	struct natprobe_message m = { .kind = NATPROBE_ASK,
		.answers = NATPROBE_SELF | NATPROBE_OTHER_HOST,
		.nonce = 0x0102030405060708,
		.delay_ms = 1500,
		.at = at(OUTER, 0x1234) };
	static const uint8_t vector[] = { 'R', 'W', 'q', '1', 1, 5, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 5,
		0xdc, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 5, 0x12, 0x34, 0 };
	static const struct {
		size_t at;
		uint8_t value;
		const char *why;
	} rows[] = {
		{ 0, 'r', "another magic" },
		{ 4, 0, "no kind" },
		{ 4, NATPROBE_KINDS, "a kind past the last" },
		{ 5, 16, "an answer nobody knows" },
		{ 6, 1, "what must be 0" },
		{ 16, 1, "a delay past the most" },
		{ 63, 1, "something at the end" },
	};
	uint8_t out[NATPROBE_SIZE + 1];
	struct natprobe_message again = { .nonce = 9 };
	(void)state;

	natprobe_message_write(&m, out);
	assert_memory_equal(out, vector, sizeof(vector));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t bad[NATPROBE_SIZE];
		memcpy(bad, out, sizeof(bad));
		bad[rows[i].at] = rows[i].value;
		if (natprobe_message_read(bad, sizeof(bad), &again) || again.nonce != 9)
			fail_msg("row %zu: %s", i, rows[i].why);
	}
	for (size_t len = 0; len <= sizeof(out); len++)
		assert_int_equal(natprobe_message_read(out, len, &again), len == NATPROBE_SIZE);
	assert_true(again.nonce == m.nonce && again.delay_ms == 1500 && endpoint_equal(&again.at, &m.at));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_lifetime_and_hairpin),
		cmocka_unit_test(test_stanzas),
		cmocka_unit_test(test_wire),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
