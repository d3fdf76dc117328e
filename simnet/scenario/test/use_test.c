/* Parts, counts and conditions: what becomes of a file before it is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/scenario/condition.h"
#include "simnet/scenario/scenario.h"
#include <stdio.h>
#include <string.h>

#define HEAD "simnet: 1\nname: t\n"

/* The files of a folder called dir. */
static const struct {
	const char *path, *text;
} folder[] = {
	{ "dir/mesh.yaml", "part: 1\nabout: a home with a host\nwith: {n: , kind: home}\nrouters:\n"
			   "  home-{use.n}: {nat: home}\n  net: {nat: '{use.kind}'}\nnodes:\n  p: {at: net}\n"
			   "steps:\n  - mark: 'part {use.n}'\ntags: [parts]\n" },
	{ "dir/more.yaml", "part: 1\nnodes:\n  q: {at: internet}\nsteps:\n  - mark: more\n" },
	{ "dir/wrong.yaml", "part: 1\nnodes:\n  q: {at: nowhere}\n" },
	{ "dir/clash.yaml", "part: 1\nnodes:\n  alice: {at: internet}\n" },
	{ "dir/full.yaml", "simnet: 1\nname: x\nnodes: {a: {at: internet}}\n" },
	{ "dir/named.yaml", "part: 1\nname: x\n" },
	{ "dir/twice.yaml", "part: 1\nwith: {a: , b: }\nrouters:\n  'r-{use.a}': {nat: home}\n  'r-{use.b}': "
			    "{nat: home}\n" },
	{ "dir/list.yaml", "- part\n" },
	{ "dir/bad.yaml", "part: 1\nnodes: {\n" },
};

static int read_folder(void *owner, const char *path, struct buf *out, struct errbuf *eb)
{
	(void)owner;
	for (size_t i = 0; i < ARRAY_LEN(folder); i++)
		if (!strcmp(folder[i].path, path))
			return buf_append(out, folder[i].text, strlen(folder[i].text)) ? 0 : -1;
	return err_say(eb, ERR_CLOSED, "%s: No such file", path);
}

static int read_text(const char *text, struct scenario *s, struct errbuf *eb)
{
	struct scn_text in = { .file = "dir/s.yaml", .text = text, .len = strlen(text), .read = read_folder };
	*eb = (struct errbuf) { 0 };
	return scenario_read(&in, s, NULL, eb);
}

static void test_parts(void **state)
{
	struct scenario s = { 0 };
	struct errbuf eb;
	(void)state;

	int err = read_text(HEAD
		"tags: [own]\nuse:\n  - {file: mesh.yaml, with: {n: one, kind: hard}}\n  - more.yaml\n"
		"nodes:\n  alice: {at: net}\nsteps:\n  - mark: own\n",
		&s, &eb);
	if (err)
		fail_msg("%s", eb.text);
	assert_int_equal(s.n_nodes, 3);
	assert_int_equal(scenario_find_node(&s, "alice"), 0);
	int net = scenario_find_router(&s, "net");
	assert_int_equal(s.nodes[scenario_find_node(&s, "p")].router, net);
	assert_int_equal(s.routers[net].model.udp.mapping, NAT_APDM);
	/* Those of parts first, in their order. */
	assert_int_equal(s.n_steps, 3);
	assert_string_equal(s.steps[0].name, "part one");
	assert_string_equal(s.steps[1].name, "more");
	assert_string_equal(s.steps[2].name, "own");
	assert_string_equal(s.steps[0].at.file, "dir/mesh.yaml");
	assert_null(s.steps[2].at.file);
	assert_true(scenario_find_router(&s, "home-one") >= 0);
	assert_int_equal(s.n_tags, 2);
	assert_string_equal(s.tags[0], "parts");
	scenario_free(&s);
}

static void test_wrong_parts(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "use: [none.yaml]\n", "dir/s.yaml:3:7: dir/none.yaml: No such file" },
		{ "use: [wrong.yaml]\n", "dir/wrong.yaml:3:11: no router 'nowhere'" },
		{ "use: [clash.yaml]\n",
			"dir/clash.yaml:3:3: duplicate key 'alice'; first at dir/s.yaml:5:3" },
		{ "use: [full.yaml]\n", "dir/full.yaml:1:1: a part begins with 'part: 1'" },
		{ "use: [named.yaml]\n", "dir/named.yaml:2:7: a part has no 'name': that is said by the "
					 "scenario that uses it" },
		{ "use: [list.yaml]\n", "dir/list.yaml:1:1: a part must be a map, not a list" },
		{ "use: [bad.yaml]\n", "dir/bad.yaml:3:1: did not find expected node content" },
		{ "use: [mesh.yaml]\n",
			"dir/mesh.yaml:5:3: no value for '{use.n}': 'with' of mesh.yaml gives none, "
			"and it has no default" },
		{ "use: [{file: mesh.yaml, with: {n: '1', kin: x}}]\n",
			"dir/s.yaml:3:40: mesh.yaml knows no parameter 'kin'; did you mean 'kind'?" },
		{ "use: [{file: mesh.yaml, with: {n: '1'}}, {file: twice.yaml, with: {a: x, b: x}}]\n",
			"dir/twice.yaml:5:3: duplicate key 'r-x'; first at line 4" },
		{ "use: [more.yaml, more.yaml]\n",
			"dir/more.yaml:3:3: duplicate key 'q'; first at dir/more.yaml:3:3" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct scenario s = { 0 };
		struct errbuf eb;
		char text[300];
		snprintf(text, sizeof(text), HEAD "%snodes:\n  alice: {at: internet}\n", rows[i].text);
		if (!read_text(text, &s, &eb))
			fail_msg("row %zu is taken", i);
		if (strcmp(eb.text, rows[i].want) != 0)
			fail_msg("row %zu\n got %s\nwant %s", i, eb.text, rows[i].want);
	}
}

static void test_count(void **state)
{
	struct scenario s = { 0 };
	struct errbuf eb;
	(void)state;

	int err = read_text(HEAD
		"routers:\n  home: {nat: home, count: 3}\nnodes:\n"
		"  n: {at: 'home-{count}', count: 3, run: [echo, 'number {count} of {count}']}\n"
		"  one: {at: home-2}\n",
		&s, &eb);
	if (err)
		fail_msg("%s", eb.text);
	assert_int_equal(s.n_routers, 3);
	assert_int_equal(s.n_nodes, 4);
	assert_string_equal(s.routers[2].name, "home-3");
	assert_string_equal(s.nodes[1].name, "n-2");
	assert_int_equal(s.nodes[1].router, 1);
	assert_string_equal(s.nodes[2].argv[1], "number 3 of 3");
	scenario_free(&s);
	/* 500 copies of a large thing are no way around the bound. */
	char text[8192] = HEAD "nodes:\n  n: {at: internet, count: 500, run: [";
	for (unsigned i = 0; i < 100; i++)
		strcat(text, "x, ");
	strcat(text, "x]}\n");
	assert_int_not_equal(read_text(text, &s, &eb), 0);
	assert_string_equal(eb.text, "dir/s.yaml:4:177: more than 20000 values in one file");
}

static void test_conditions(void **state)
{
	static const struct {
		const char *condition, *lines;
		bool holds;
	} rows[] = {
		{ ">= 3", "3", true },
		{ ">= 3", "2.9", false },
		{ ">=3", "ab\n 4 \n", true },
		{ "<= -1", "-1.5\n", true },
		{ "< 1e3", "999.9", true },
		{ "< 1000", "1000", false },
		{ "> 0", "0", false },
		{ "== 7", "7.0", true },
		{ "== 7", "07x", false },
		{ "!= 7", "8", true },
		{ "!= 7", "7\n", false },
		{ "> 1", "", false },
		{ "> 1", "0x10", false },
		{ "> 1", "inf", false },
	};
	static const char *const wrong[] = { ">=", "> x", "< 1 2", ">= nan", "=> 3", "3", "" };
	struct condition c;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(condition_meant(rows[i].condition) && condition_parse(rows[i].condition, &c));
		if (condition_holds(&c, rows[i].lines) != rows[i].holds)
			fail_msg("row %zu: %s of '%s'", i, rows[i].condition, rows[i].lines);
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		if (condition_parse(wrong[i], &c))
			fail_msg("'%s' is taken", wrong[i]);
	assert_false(condition_meant("= 3"));
	assert_false(condition_meant("-> b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_wrong_parts),
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_conditions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
