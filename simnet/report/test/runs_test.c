#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mesh/base/buf.h"
#include "simnet/report/runs.h"
#include <stdlib.h>
#include <string.h>

#define HEAD \
	"{\"t\":0,\"scenario\":\"s\",\"file\":\"s.yaml\",\"kind\":\"run\",\"seed\":7,\"engine\":\"kernel\"," \
	"\"text\":\"about it\"}\n"
#define PLAN(n, what) R("0.1", "plan") ",\"step\":" n ",\"what\":\"run\",\"text\":\"" what "\"}\n"
#define R(t, kind) "{\"t\":" t ",\"scenario\":\"s\",\"kind\":\"" kind "\""
#define STEP(t, n) R(t, "step") ",\"step\":" n ",\"what\":\"run\"}\n"
#define ENDS(t, n, verdict) R(t, "step-end") ",\"step\":" n ",\"verdict\":\"" verdict "\",\"seconds\":1}\n"
#define TOLD(t, kind, text) R(t, kind) ",\"mark\":\"note\",\"text\":\"" text "\"}\n"
#define DROP(t, where) \
	R(t, "drop") \
	",\"where\":\"" where \
	"\",\"rule\":\"UDP is cut\",\"proto\":\"udp\",\"src\":\"1:1\",\"dst\":\"2:2\",\"count\":3}\n"
#define PACKET(t, frame, comment) \
	R(t, "packet") \
	",\"frame\":" frame ",\"link\":\"a\",\"proto\":\"udp\",\"src\":\"1:1\",\"dst\":\"2:2\",\"bytes\":" \
	"43,\"comment\":\"" comment "\"}\n"
#define PATH(t, path) \
	R(t, "path") ",\"mark\":\"note\",\"from\":\"a\",\"to\":\"b\",\"text\":\"a -> b is " path "\"}\n"
#define FAILED \
	HEAD PLAN("1", "a: true") PLAN("2", "a: false") PLAN("3", "never") STEP("1", "1") \
		PATH("1.5", "direct") ENDS("2", "1", "pass") TOLD("2.1", "cut", "home.udp is cut") \
			STEP("2.5", "2") DROP("3", "home") PATH("3.1", "by relay") ENDS("3.5", "2", "fail") \
				TOLD("3.6", "cause", "cause: UDP \\u001b[2J is cut") PACKET("1.2", "11", "") \
					PACKET("3", "12", "dropped at home") \
						R("4", "fail") ",\"mark\":\"bad\",\"text\":\"FAIL s\"}\n"

static struct runs *read_text(const char *text)
{
	struct runs *r = NULL;
	struct errbuf eb = { 0 };
	if (runs_read(text, strlen(text), &r, &eb))
		fail_msg("%s", eb.text);
	return r;
}

static void test_wrong(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "", "no record of a run" },
		{ "{\"t\":0", "no record of a run" },
		{ HEAD "x\n", "line 2 is no record of a run: " },
		{ HEAD "[]\n", "line 2 is no record of a run: it lacks a number 't'" },
		{ "{\"kind\":\"x\"}\n", "line 1 is no record of a run: it lacks" },
		{ "{\"t\":\"1\",\"kind\":\"x\"}\n", "it lacks" },
		{ "{\"t\":1,\"kind\":\"\"}\n", "it lacks" },
		{ "{\"t\":1e300,\"kind\":\"x\"}\n", "it lacks" },
		{ "{\"t\":1,\"t\":2,\"kind\":\"x\"}\n", "duplicate" },
		{ "\n", "line 1 is no record" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct runs *r = NULL;
		struct errbuf eb = { 0 };
		int err = runs_read(rows[i].text, strlen(rows[i].text), &r, &eb);
		if (err != ERR_MALFORMED || r || !strstr(eb.text, rows[i].says))
			fail_msg("row %zu: %d '%s'", i, err, eb.text);
	}
}

/* Two runs side by side in one file, and one that was killed while it wrote. */
static void test_reading(void **state)
{
	(void)state;
	struct runs *r = read_text(
		"{\"t\":0,\"scenario\":\"a\",\"kind\":\"x\"}\n{\"t\":0,\"scenario\":\"b\",\"kind\":\"x\"}\n"
		"{\"t\":1,\"scenario\":\"a\",\"kind\":\"pass\"}\n{\"t\":2,\"scenario\":\"b\",\"kind\":"
		"\"fail\"}\n");
	assert_int_equal(runs_count(r), 2);
	runs_free(r);
	r = read_text(HEAD STEP("1", "1") "{\"t\":2,\"scenario\":\"s\",\"ki");
	assert_int_equal(runs_count(r), 1);
	assert_int_equal(runs_steps(r, 0), 1);
	runs_free(r);
	runs_free(NULL);
}

enum view { EXPLAIN, REPLAY, STATE };
static char *view_of(const char *text, enum view what, unsigned step, double t, int *err)
{
	struct runs *r = read_text(text);
	char *out = NULL;
	size_t len;
	struct runs_look look = { .out = open_memstream(&out, &len) };
	*err = 0;
	if (what == EXPLAIN)
		*err = runs_explain(r, 0, step, &look, NULL);
	else if (what == REPLAY)
		runs_replay(r, 0, step, &look);
	else
		runs_state(r, 0, t, &look);
	fclose(look.out);
	runs_free(r);
	return out;
}

static void test_views(void **state)
{
	static const struct {
		enum view what;
		unsigned step;
		double t;
		const char *has, *has_not;
	} rows[] = {
		{ EXPLAIN, 0, 0, "s   s.yaml, seed 7, kernel engine\nabout it\n", "\033" },
		{ EXPLAIN, 0, 0,
			"   1 + run      a: true   1.00 s\n>  2 ! run      a: false   1.00 s\n   3 . run     "
			" never   not reached\n",
			NULL },
		{ EXPLAIN, 0, 0, "cause: UDP  [2J is cut\n", "a -> b is direct" },
		{ EXPLAIN, 0, 0, "3.000 x 3 udp 1:1 -> 2:2 died at home: UDP is cut\n", NULL },
		{ EXPLAIN, 0, 0, "packets, 1; died: 1\n    3.000 # 12 ", "# 11" },
		{ EXPLAIN, 1, 0, "a -> b is direct", "cause" },
		{ REPLAY, 0, 0, "step 0 of 3  before the first", "packets, " },
		{ REPLAY, 1, 0, "packets, 1; died: 0\n", "cause" },
		{ REPLAY, 2, 0, "  path     a -> b is by relay\n", "  path     a -> b is direct" },
		{ REPLAY, 3, 0, "not reached", NULL },
		{ STATE, 0, 1.0, "at 1.000 s: step 1, run\n", "cut" },
		{ STATE, 0, 2.2, "  path     a -> b is direct\n  cut      home.udp is cut\n  died     0 ",
			NULL },
		{ STATE, 0, 9, "  path     a -> b is by relay\n  died     1 ", "is direct" },
		{ STATE, 0, 9, "  cut      home.udp is cut\n", NULL },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int err;
		char *out = view_of(FAILED, rows[i].what, rows[i].step, rows[i].t, &err);
		if (err || !strstr(out, rows[i].has) || (rows[i].has_not && strstr(out, rows[i].has_not)))
			fail_msg("row %zu:\n%s", i, out);
		free(out);
	}
	int err;
	free(view_of(FAILED, EXPLAIN, 3, 0, &err));
	assert_int_equal(err, ERR_REFUSED);
	char *out =
		view_of(HEAD STEP("1", "1") ENDS("2", "1", "pass") R("3", "pass") "}\n", EXPLAIN, 0, 0, &err);
	assert_non_null(strstr(out, "all passed"));
	free(out);
}

static void test_diff(void **state)
{
#define RUN(inside, verdict) \
	HEAD PLAN("1", "x") STEP("1", "1") inside ENDS("2", "1", verdict) R("4", "fail") "}\n"
	static const struct {
		const char *a, *b;
		int differ;
		const char *says;
	} rows[] = {
		{ FAILED, FAILED, 0, "no difference in 3 steps" },
		/* Times and numbers are none; nor is another order. */
		{ RUN(TOLD("1", "ping", "after 0.12 s") PATH("1", "direct"), "pass"),
			RUN(PATH("1.1", "direct") TOLD("1.5", "ping", "after 1.55 s"), "pass"), 0,
			"no difference" },
		{ RUN("", "pass"), RUN(TOLD("1", "cause", "cause: x"), "fail"), 1,
			"step 1: the verdicts differ\n  A: pass\n  B: fail\nstep 1: the causes differ\n  A: "
			"(nothing else)\n  B: cause: x\n" },
		{ RUN(PATH("1", "direct"), "pass"), RUN(PATH("1", "by relay"), "pass"), 1,
			"step 1: the paths differ\n  A: a -> b is direct\n  B: a -> b is by relay\n" },
		{ RUN(DROP("1", "home"), "pass"), RUN(DROP("1", "office"), "pass"), 1,
			"step 1: the packets that died differ\n  A: udp died at home: UDP is cut\n  B: udp "
			"died at office: UDP is cut\n" },
		{ HEAD PLAN("1", "x") R("4", "fail") "}\n", HEAD PLAN("1", "y") R("4", "fail") "}\n", 1,
			"step 1: the files ask for different things\n  A: x\n  B: y\n" },
		{ HEAD PLAN("1", "x") STEP("1", "1") R("4", "fail") "}\n",
			HEAD PLAN("1", "x") R("4", "fail") "}\n", 1, "  A: did not end\n  B: not reached\n" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct runs *a = read_text(rows[i].a), *b = read_text(rows[i].b);
		char *out = NULL;
		size_t len;
		struct runs_look look = { .out = open_memstream(&out, &len) };
		int differ = runs_diff(a, b, 0, &look);
		fclose(look.out);
		if (differ != rows[i].differ || !strstr(out, rows[i].says))
			fail_msg("row %zu: %d\n%s", i, differ, out);
		free(out);
		runs_free(a);
		runs_free(b);
	}
}

/* Every text of a record, in every view: ESC, and CSI in one character. */
#define EVIL "\\u001b[2J\\u009b2J"
static const char hostile[] =
	"{\"t\":0,\"scenario\":\"" EVIL "\",\"variant\":\"" EVIL "\",\"file\":\"" EVIL
	"\",\"kind\":\"run\",\"seed\":1,\"engine\":\"" EVIL "\",\"text\":\"" EVIL "\"}\n"
#define H(t, kind) \
	"{\"t\":" t ",\"scenario\":\"" EVIL "\",\"variant\":\"" EVIL "\",\"step\":1,\"kind\":\"" kind "\""
#define T(key) ",\"" key "\":\"" EVIL "\""
	H("0", "plan") T("what") T("text") "}\n" H("1", "step") T("what") T("text") "}\n" H("1", "program") T(
		"node") T("state") "}\n" H("1", "path") T("from") T("to")
		T("text") ",\"mark\":\"good\"}\n" H("1", "cut") T("text") ",\"mark\":\"bad\"}\n" H(
			"1", "drop") ",\"count\":1" T("proto") T("src") T("dst") T("where")
			T("rule") "}\n" H("1", "line") T("node") T("text") "}\n" H("1",
				"packet") ",\"frame\":1,\"bytes\":1" T("link") T("proto") T("src") T("dst")
				T("info") T("comment") "}\n" H("2", "step-end") ",\"verdict\":\"fail\"" T(
					"text") "}\n" H("3", "fail") T("text") "}\n";

static void check_clean(char *out, const char *which)
{
	if (!*out || strstr(out, "\033") || strstr(out, "\xc2\x9b"))
		fail_msg("%s moves the cursor:\n%s", which, out);
	free(out);
}

static void test_hostile(void **state)
{
	static const char good[] =
		HEAD PLAN("1", "x") STEP("1", "1") ENDS("2", "1", "pass") R("3", "pass") "}\n";
	char *out = NULL;
	size_t len;
	int err;
	(void)state;
	check_clean(view_of(hostile, EXPLAIN, 0, 0, &err), "explain");
	check_clean(view_of(hostile, EXPLAIN, 1, 0, &err), "explain 1");
	check_clean(view_of(hostile, REPLAY, 0, 0, &err), "replay");
	check_clean(view_of(hostile, REPLAY, 1, 0, &err), "replay 1");
	check_clean(view_of(hostile, STATE, 0, 9, &err), "state");
	struct runs *a = read_text(hostile), *b = read_text(good);
	struct runs_look look = { .out = open_memstream(&out, &len) };
	assert_int_equal(runs_diff(a, b, 0, &look), 1);
	fclose(look.out);
	check_clean(out, "diff");
	runs_free(a);
	runs_free(b);
}

/* More runs at once than are read: what was gathered goes. */
static void test_many(void **state)
{
	struct buf text = { 0 };
	struct runs *r = NULL;
	struct errbuf eb = { 0 };
	(void)state;
	for (int i = 0; i < 65; i++)
		assert_true(buf_printf(&text, "{\"t\":0,\"scenario\":\"s%d\",\"kind\":\"x\"}\n", i));
	assert_int_equal(runs_read(buf_cstr(&text), text.len, &r, &eb), ERR_TOO_LARGE);
	assert_null(r);
	buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_reading),
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_diff),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
