#include "simnet/matrix/sweep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_is_a_scenario(void **state)
{
	(void)state;
	for (size_t i = 0; i < nat_n_presets; i++) {
		struct buf text = { 0 };
		struct scenario s = { 0 };
		struct errbuf eb = { 0 };
		assert_true(sweep_write(nat_presets[i].word, &text));
		if (scenario_parse("t.yaml", buf_cstr(&text), text.len, 0, &s, &eb))
			fail_msg("%s\n%s", eb.text, buf_cstr(&text));
		assert_int_equal(s.n_routers, SWEEP_GUESSES + 1);
		for (int k = 0; k < SWEEP_GUESSES; k++) {
			struct user_guess g = sweep_guess(k);
			char name[16];
			snprintf(name, sizeof(name), "net-%d", k);
			const struct scn_router *r = &s.routers[scenario_find_router(&s, name)];
			assert_int_equal(r->model.udp.mapping, g.class.mapping);
			assert_int_equal(r->model.udp.filtering, g.class.filtering);
			assert_int_equal(r->udp_blocked, g.udp_blocked);
		}
		scenario_free(&s);
		buf_free(&text);
	}
}

static void test_judged_and_told(void **state)
{
	struct user_report report = { .udp = USER_YES, .varies = USER_NO, .mapping = -1, .filtering = -1 };
	struct engine_ops engine = { .name = "test" };
	struct sweep_job j = {
		.report = &report, .peer = "home", .saw = PATH_DIRECT, .engine = &engine, .seed = 5
	};
	static struct sweep_result r;
	char *text = NULL;
	size_t len;
	(void)state;

	for (int i = 0; i < SWEEP_GUESSES; i++)
		r.rows[i] = (struct sweep_row) { .guess = sweep_guess(i),
			.seen_known = i != 8,
			.seen = { .udp = USER_YES,
				.varies = i < 3 ? USER_NO : USER_YES,
				.mapping = -1,
				.filtering = -1 },
			.path = i == 2 ? PATH_RELAY : PATH_DIRECT };
	sweep_judge(&j, &r);
	assert_null(r.rows[0].differs);
	assert_null(r.rows[1].differs);
	assert_string_equal(r.rows[2].differs, "the path is by relay");
	assert_string_equal(r.rows[3].differs, "the mapping varies by destination");
	assert_string_equal(r.rows[8].differs, "the probe did not end");
	FILE *f = open_memstream(&text, &len);
	sweep_print(&j, &r, false, f);
	fclose(f);
	assert_non_null(strstr(text, "yes  EIM/EIF       direct\n"));
	assert_non_null(strstr(text, "no   EIM/APDF      relay   the path is by relay"));
	assert_non_null(strstr(text, "2 of 10 reproduce the report"));
	free(text);
	f = open_memstream(&text, &len);
	sweep_print(&j, &r, true, f);
	fclose(f);
	assert_non_null(strstr(text,
		"{\"mapping\":\"EIM\",\"filtering\":\"EIF\",\"udp_blocked\":false,\"path\":\"direct\","
		"\"reproduces\":true,\"unsure\":false,\"differs\":\"\"}\n"));
	free(text);
}

/* On a machine that is too slow to tell, what is not as it must be behind such a router says nothing: neither that it
 * reproduces the report nor that it does not. */
static void test_slow_machine(void **state)
{
	struct user_report report = { .udp = USER_YES, .mapping = NAT_EIM, .filtering = NAT_APDF };
	struct engine_ops engine = { .name = "test" };
	struct sweep_job j = {
		.report = &report, .peer = "home", .saw = PATH_DIRECT, .engine = &engine, .seed = 5
	};
	static const struct {
		struct user_report seen; /* behind EIM/ADF */
		bool known;
		enum scn_path path;
		double slow;
		const char *says;
	} rows[] = {
		{ { .udp = USER_YES, .mapping = NAT_EIM, .filtering = NAT_ADF }, true, PATH_DIRECT, 8,
			"no   EIM/ADF" },
		{ { .udp = USER_YES, .mapping = NAT_EIM, .filtering = NAT_APDF }, true, PATH_DIRECT, 8,
			"~    EIM/ADF" },
		{ { .udp = USER_YES, .mapping = NAT_EIM, .filtering = NAT_APDF }, true, PATH_DIRECT, 3,
			"yes  EIM/ADF" },
		{ { .udp = USER_YES, .mapping = NAT_EIM, .filtering = NAT_ADF }, true, PATH_RELAY, 8,
			"~    EIM/ADF" },
		{ { .udp = USER_NO, .mapping = -1, .filtering = -1 }, true, PATH_DIRECT, 8, "~    EIM/ADF" },
		{ { .udp = USER_YES }, false, PATH_DIRECT, 8, "too slow to tell\n" },
		{ { .udp = USER_YES }, false, PATH_DIRECT, 2, "the probe did not end\n" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		static struct sweep_result r;
		char *text = NULL;
		size_t len;
		FILE *f = open_memstream(&text, &len);
		r = (struct sweep_result) { .slow = rows[i].slow };
		for (int k = 0; k < SWEEP_GUESSES; k++)
			r.rows[k] = (struct sweep_row) { .guess = sweep_guess(1),
				.seen_known = rows[i].known,
				.seen = rows[i].seen,
				.path = rows[i].path,
				.expected = PATH_DIRECT };
		sweep_judge(&j, &r);
		sweep_print(&j, &r, false, f);
		fclose(f);
		if (!strstr(text, rows[i].says) ||
			!strstr(text, "inconclusive (~)") != !strstr(text, "too slow"))
			fail_msg("row %zu: no '%s' in\n%s", i, rows[i].says, text);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is_a_scenario),
		cmocka_unit_test(test_judged_and_told),
		cmocka_unit_test(test_slow_machine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
