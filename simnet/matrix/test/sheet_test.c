#include "simnet/matrix/sheet.h"
#include "simnet/matrix/grid.h"

#include "mesh/base/err.h"
#include "simnet/scenario/oracle.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void read_text(struct buf *text, struct scenario *s)
{
	struct errbuf eb = { 0 };
	if (scenario_parse("t.yaml", (const char *)buf_data(text), text->len, 0, s, &eb) ||
		topology_plan(s, &eb))
		fail_msg("%s\n%s", eb.text, buf_cstr(text));
	buf_free(text);
}

static enum scn_path ask(const struct scenario *s, int a, int b)
{
	char ha[16], hb[16];
	struct oracle_verdict v;
	oracle_ask(s, 0, scenario_find_node(s, sheet_host_name('a', a, ha)),
		scenario_find_node(s, sheet_host_name('b', b, hb)), &v);
	return v.path;
}

/* RFC 5128 section 3.3, by hand: 57 of 81 (simnet.md 3.4 measured the same). */
static bool plain_is_direct(int a, int b)
{
	enum nat_mapping ma = (enum nat_mapping)(a / 3), mb = (enum nat_mapping)(b / 3);
	enum nat_filtering fa = (enum nat_filtering)(a % 3), fb = (enum nat_filtering)(b % 3);
	return fa == NAT_EIF || fb == NAT_EIF || (ma == NAT_EIM && mb == NAT_EIM) ||
	       (ma == NAT_EIM && fa == NAT_ADF) || (mb == NAT_EIM && fb == NAT_ADF);
}

static void test_every_sheet_is_a_scenario(void **state)
{
	(void)state;
	assert_true(n_sheets >= 8);
	for (size_t i = 0; i < n_sheets; i++) {
		struct buf text = { 0 };
		struct scenario s = { 0 };
		assert_ptr_equal(sheet_find(sheets[i].name), &sheets[i]);
		assert_true(sheet_write(&sheets[i], &text));
		read_text(&text, &s);
		assert_int_equal(s.n_nodes, 2 * SHEET_CLASSES + 1);
		for (int k = 0; k < SHEET_CELLS; k++)
			assert_int_not_equal(ask(&s, k / SHEET_CLASSES, k % SHEET_CLASSES), PATH_ANY);
		scenario_free(&s);
	}
	assert_null(sheet_find("plan"));
}

static void test_plain_is_the_known_grid(void **state)
{
	struct buf text = { 0 };
	struct scenario s = { 0 };
	unsigned direct = 0;
	(void)state;

	assert_true(sheet_write(&sheets[0], &text));
	read_text(&text, &s);
	for (int a = 0; a < SHEET_CLASSES; a++)
		for (int b = 0; b < SHEET_CLASSES; b++) {
			bool is = ask(&s, a, b) == PATH_DIRECT;
			direct += is;
			if (is != plain_is_direct(a, b))
				fail_msg("%d calls %d", a, b);
		}
	assert_int_equal(direct, 57);
	scenario_free(&s);
}

/* A cell alone is a file that reads, with the same verdict as in its sheet. */
static void test_cells(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_sheets; i++) {
		struct buf whole = { 0 };
		struct scenario all = { 0 };
		assert_true(sheet_write(&sheets[i], &whole));
		read_text(&whole, &all);
		for (int k = 0; k < SHEET_CELLS; k++) {
			int a = k / SHEET_CLASSES, b = k % SHEET_CLASSES;
			struct buf text = { 0 };
			struct scenario s = { 0 };
			assert_true(sheet_write_cell(&sheets[i], a, b, SHEET_TCP, &text));
			read_text(&text, &s);
			assert_int_equal(s.n_steps, 2);
			if (ask(&s, a, b) != ask(&all, a, b))
				fail_msg("%s: %d calls %d", sheets[i].name, a, b);
			scenario_free(&s);
		}
		scenario_free(&all);
	}
}

static void test_names(void **state)
{
	char name[16];
	int class = -1;
	(void)state;

	for (int i = 0; i < SHEET_CLASSES; i++) {
		assert_true(sheet_class_parse(sheet_class_name(i, name), &class));
		assert_int_equal(class, i);
	}
	assert_true(sheet_class_parse("adm-eif", &class));
	assert_string_equal(sheet_class_name(class, name), "ADM/EIF");
	assert_false(sheet_class_parse("EIM", &class));
	assert_false(sheet_class_parse("EIM/EIF/and-much-more", &class));
	assert_string_equal(sheet_host_name('b', class, name), "b-adm-eif");
}

/* What is not as expected is counted, marked, and told with the command that repeats it. */
static void test_wrong_cells_are_told(void **state)
{
	static struct matrix_result r;
	struct engine_ops engine = { .name = "test" };
	struct matrix_job j = { .sheet = &sheets[0], .engine = &engine, .protos = { true, true }, .seed = 7 };
	char *text = NULL;
	size_t len;
	(void)state;

	for (int i = 0; i < SHEET_CELLS; i++)
		for (int p = 0; p < SHEET_PROTOS; p++)
			r.cells[i][p] = (struct matrix_verdict) { .expected = PATH_DIRECT,
				.got = PATH_DIRECT,
				.ends = { PATH_DIRECT, PATH_DIRECT } };
	r.cells[80][SHEET_TCP].got = PATH_ANY;
	r.cells[80][SHEET_TCP].ends[1] = PATH_RELAY;
	snprintf(r.reason[80][SHEET_TCP], sizeof(r.reason[80][SHEET_TCP]), "because");
	struct grid_count n = grid_count(&j, &r);
	assert_int_equal(n.cells, 162);
	assert_int_equal(n.direct, 161);
	assert_int_equal(n.wrong, 1);
	FILE *f = open_memstream(&text, &len);
	grid_print(&j, &r, f);
	fclose(f);
	assert_non_null(strstr(text, "APDM/APDF calls APDM/APDF by tcp: direct expected (because), but the "
				     "caller says direct and the called relay"));
	assert_non_null(strstr(text, "simnet matrix plain --file APDM/APDF:APDM/APDF --proto tcp"));
	assert_non_null(strstr(text, "1 not as the oracle says"));
	free(text);
	f = open_memstream(&text, &len);
	grid_print_json(&j, &r, f);
	fclose(f);
	assert_non_null(strstr(text, "\"to\":\"APDM/"
				     "APDF\",\"proto\":\"tcp\",\"expected\":\"direct\",\"caller\":\"direct\","
				     "\"called\":\"relay\",\"ok\":false"));
	free(text);
}

/* What did not come on a machine slower than bounds stretch is in doubt; what came though it must not is wrong on any. */
static void test_doubt(void **state)
{
	static const struct {
		enum scn_path expected, ends[2];
		enum matrix_finding fast, slow;
	} rows[] = {
		{ PATH_DIRECT, { PATH_DIRECT, PATH_DIRECT }, MATRIX_RIGHT, MATRIX_RIGHT },
		{ PATH_DIRECT, { PATH_RELAY, PATH_RELAY }, MATRIX_WRONG, MATRIX_UNSURE },
		{ PATH_DIRECT, { PATH_DIRECT, PATH_RELAY }, MATRIX_WRONG, MATRIX_UNSURE },
		{ PATH_DIRECT, { PATH_ANY, PATH_NONE }, MATRIX_WRONG, MATRIX_UNSURE },
		{ PATH_RELAY, { PATH_RELAY, PATH_NONE }, MATRIX_WRONG, MATRIX_UNSURE },
		{ PATH_RELAY, { PATH_DIRECT, PATH_DIRECT }, MATRIX_WRONG, MATRIX_WRONG },
		{ PATH_RELAY, { PATH_ANY, PATH_DIRECT }, MATRIX_WRONG, MATRIX_WRONG },
		{ PATH_NONE, { PATH_RELAY, PATH_RELAY }, MATRIX_WRONG, MATRIX_WRONG },
		{ PATH_NONE, { PATH_ANY, PATH_NONE }, MATRIX_WRONG, MATRIX_UNSURE },
		{ PATH_ANY, { PATH_RELAY, PATH_NONE }, MATRIX_RIGHT, MATRIX_RIGHT },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const enum scn_path *ends = rows[i].ends;
		const struct matrix_verdict v = { .expected = rows[i].expected,
			.got = ends[0] == ends[1] ? ends[0] : PATH_ANY,
			.ends = { ends[0], ends[1] } };
		const struct matrix_result none = { 0 }, fast = { .slow = 4 }, slow = { .slow = 4.1 };
		if (matrix_find(&fast, &v) != rows[i].fast || matrix_find(&slow, &v) != rows[i].slow ||
			matrix_find(&none, &v) != rows[i].fast)
			fail_msg("row %zu", i);
	}
}

/* They are counted and marked, and told together: on such a machine they are many. */
static void test_doubt_is_told(void **state)
{
	static struct matrix_result r = { .slow = 6.25 };
	struct engine_ops engine = { .name = "test" };
	struct matrix_job j = { .sheet = &sheets[0], .engine = &engine, .protos = { true }, .seed = 7 };
	char *text = NULL;
	size_t len;
	(void)state;

	for (int i = 0; i < SHEET_CELLS; i++)
		r.cells[i][SHEET_UDP] = (struct matrix_verdict) {
			.expected = PATH_RELAY, .got = PATH_RELAY, .ends = { PATH_RELAY, PATH_RELAY }
		};
	r.cells[0][SHEET_UDP] = (struct matrix_verdict) { .expected = PATH_DIRECT };
	r.cells[1][SHEET_UDP].ends[1] = r.cells[1][SHEET_UDP].got = PATH_ANY;
	r.cells[2][SHEET_UDP].ends[1] = PATH_DIRECT;
	r.cells[2][SHEET_UDP].got = PATH_ANY;
	struct grid_count n = grid_count(&j, &r);
	assert_int_equal(n.cells, 81);
	assert_int_equal(n.unsure, 2);
	assert_int_equal(n.wrong, 1);
	FILE *f = open_memstream(&text, &len);
	grid_print(&j, &r, f);
	fclose(f);
	assert_non_null(strstr(text, " ?~        ?~        ?!        r "));
	assert_null(strstr(text, "EIM/EIF calls EIM/ADF"));
	assert_non_null(strstr(text, "EIM/EIF calls EIM/APDF by udp: relay expected"));
	assert_non_null(
		strstr(text, "2 inconclusive (~): what they wait for had not come, and the machine was 6.2 "
			     "times slower than an idle one; again with --seed 7"));
	free(text);
	f = open_memstream(&text, &len);
	grid_print_json(&j, &r, f);
	fclose(f);
	assert_non_null(strstr(text, "\"caller\":\"any\",\"called\":\"any\",\"ok\":false,\"unsure\":true,"));
	assert_non_null(
		strstr(text, "\"caller\":\"relay\",\"called\":\"direct\",\"ok\":false,\"unsure\":false,"));
	assert_non_null(
		strstr(text, "\"caller\":\"relay\",\"called\":\"relay\",\"ok\":true,\"unsure\":false,"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_sheet_is_a_scenario),
		cmocka_unit_test(test_plain_is_the_known_grid),
		cmocka_unit_test(test_cells),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_wrong_cells_are_told),
		cmocka_unit_test(test_doubt),
		cmocka_unit_test(test_doubt_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
