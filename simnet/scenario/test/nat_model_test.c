#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/scenario/nat_model.h"
#include <stdio.h>
#include <string.h>

/* Each row breaks the default in one place. */
static void test_contradictions(void **state)
{
	struct nat_model rows[14];
	static const char *const want[] = { "power of two", "power of two", "size of blocks", "1 to 8",
		"1 to 8", "arbitrary pool", "without a hairpin", "1 to 65536", "1 s to 120 h", "1 s to 120 h",
		"at least as long", "two forwards", "'mapping: EIM'", "'mapping: EIM'" };
	(void)state;
	for (size_t i = 0; i < 14; i++)
		rows[i] = nat_model_default;
	rows[0].ports = NAT_PORTS_BLOCK;
	rows[1].ports = NAT_PORTS_BLOCK;
	rows[1].block_ports = 48;
	rows[2].block_ports = 64;
	rows[3].pool = 0;
	rows[4].pool = NAT_POOL_MAX + 1;
	rows[5].pool_arbitrary = true;
	rows[6].hairpin_filters = true;
	rows[7].table = NAT_TABLE_MAX + 1;
	rows[8].lifetimes.icmp_s = 0;
	rows[9].lifetimes.tcp_s = NAT_LIFETIME_MAX_S + 1;
	rows[10].lifetimes.udp_new_s = 121;
	rows[11].forwards[0] = rows[11].forwards[1] =
		(struct nat_forward) { .proto = 17, .port = 4242, .to = "alice", .to_port = 1 };
	rows[11].n_forwards = 2;
	rows[12].ports = rows[13].ports = NAT_PORTS_OVERLOAD;
	rows[12].udp.mapping = NAT_ADM;
	rows[13].tcp.mapping = NAT_APDM;
	assert_null(nat_model_trouble(&nat_model_default));
	for (size_t i = 0; i < 14; i++) {
		const char *got = nat_model_trouble(&rows[i]);
		if (!got || !strstr(got, want[i]))
			fail_msg("row %zu: %s, not %s", i, got ? got : "nothing", want[i]);
	}
}

static void test_presets(void **state)
{
	(void)state;
	for (size_t i = 0; i < nat_n_presets; i++) {
		const struct nat_preset *p = &nat_presets[i];
		const char *trouble = nat_model_trouble(&p->model);
		if (trouble)
			fail_msg("%s: %s", p->word, trouble);
		assert_ptr_equal(nat_preset_find(p->word), p);
		assert_string_equal(nat_preset_words[i], p->word);
		assert_true(p->source && *p->source);
	}
	assert_null(nat_preset_find("homes"));
}

static void test_format(void **state)
{
	char text[NAT_MODEL_TEXT];
	struct nat_model m = nat_model_default;
	(void)state;
	assert_string_equal(nat_model_format(&m, text),
		"UDP EIM/APDF, TCP EIM/APDF, ports hash, hairpin off, UDP 120/120 s, TCP 120/7440/120 s, "
		"ICMP 30 s, unknown TCP loose");
	m.ports = NAT_PORTS_BLOCK;
	m.block_ports = 64;
	m.pool = 2;
	m.table = 100;
	m.accepts_wan = true;
	m.forwards[0] = (struct nat_forward) { .proto = 6, .port = 80, .to = "web", .to_port = 8080 };
	m.n_forwards = 1;
	assert_non_null(strstr(nat_model_format(&m, text),
		", ports block of 64, hairpin off, UDP 120/120 s, TCP 120/7440/120 s, ICMP 30 s, unknown TCP "
		"loose, pool of 2 addresses, paired, at most 100 mappings, accepts what comes to its WAN, "
		"forwards tcp 80 to web:8080"));
	/* What does not fit is cut, not written behind the end. */
	m.n_forwards = NAT_FORWARDS_MAX;
	for (size_t i = 1; i < NAT_FORWARDS_MAX; i++)
		m.forwards[i] = (struct nat_forward) {
			.proto = 17, .port = (uint16_t)i, .to = "a-name-of-thirty-letters-or-so", .to_port = 1
		};
	assert_int_equal(strlen(nat_model_format(&m, text)), NAT_MODEL_TEXT - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_contradictions),
		cmocka_unit_test(test_presets),
		cmocka_unit_test(test_format),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
