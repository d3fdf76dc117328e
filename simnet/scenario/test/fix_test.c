/* Misspelt words are put right where they stand, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/scenario/scenario.h"
#include "simnet/scenario/scenario_fix.h"
#include <string.h>

#define HEAD "simnet: 1\nname: t\n"

/* As `simnet lint --fix` does, for one file. */
static void fix(struct buf *text)
{
	for (unsigned round = 0, done = 1; round < 9 && done; round++) {
		struct scn_errors all = { 0 };
		struct scenario s = { 0 };
		struct errbuf eb = { 0 };
		(void)scenario_parse_all("t.yaml", buf_cstr(text), text->len, 0, &s, &all, &eb);
		scenario_fix_sort(&all);
		done = 0;
		for (unsigned i = 0; i < all.n_fixes; i++)
			done += scenario_fix_apply(&all.fixes[i], text);
		buf_free(&all.text);
		scenario_free(&s);
	}
}

static void test_words(void **state)
{
	static const struct {
		const char *was, *is;
	} rows[] = {
		/* keys, steps, values, names; of several on one line each */
		{ HEAD "rutters: {home: {nat: hoome}}\nnodes: {alice: {att: home}}\n",
			HEAD "routers: {home: {nat: home}}\nnodes: {alice: {at: home}}\n" },
		{ HEAD "nodes: {alice: {at: internet}, bob: {at: internet}}\nsteps:\n"
		       "  - pign: {from: alise, to: bob}\n  - cut: 'alise.lnik'\n  - ping: {from: alise, to: "
		       "alise}\n",
			HEAD "nodes: {alice: {at: internet}, bob: {at: internet}}\nsteps:\n"
			     "  - ping: {from: alice, to: bob}\n  - cut: 'alice.link'\n  - ping: {from: "
			     "alice, to: alice}\n" },
		/* what cannot be read; in the midst of a value, behind characters of several bytes, in quotes */
		{ HEAD "about: {x\nnodes: {}\n", HEAD "about: {x\nnodes: {}\n" },
		{ HEAD "routers: {h: {nat: home, firewall: {in: [accept establisched, drop]}}}\nnodes: {a: "
		       "{at: "
		       "h}}\n",
			HEAD
			"routers: {h: {nat: home, firewall: {in: [accept established, drop]}}}\nnodes: {a: "
			"{at: h}}\n" },
		{ HEAD "nodes:\n  a: {at: internet, env: {X: \"äöü€\"}, \"clokc\": +1h} # clokc\n",
			HEAD "nodes:\n  a: {at: internet, env: {X: \"äöü€\"}, \"clock\": +1h} # clokc\n" },
		/* two are as near; another number; too short to say */
		{ HEAD "nodes: {node-a: {at: internet}, node-b: {at: internet}}\nsteps:\n  - kill: node-c\n",
			HEAD "nodes: {node-a: {at: internet}, node-b: {at: internet}}\nsteps:\n  - kill: "
			     "node-c\n" },
		{ HEAD "nodes: {phone1: {at: internet}}\nsteps:\n  - kill: phone2\n  - kill: phone\n",
			HEAD "nodes: {phone1: {at: internet}}\nsteps:\n  - kill: phone2\n  - kill: phone\n" },
		{ HEAD "nodes: {ab: {at: internet}}\nsteps:\n  - kill: ac\n",
			HEAD "nodes: {ab: {at: internet}}\nsteps:\n  - kill: ac\n" },
		/* nothing is wrong */
		{ HEAD "nodes: {a: {at: internet}}\n", HEAD "nodes: {a: {at: internet}}\n" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf text = { 0 };
		assert_true(buf_append(&text, rows[i].was, strlen(rows[i].was)));
		fix(&text);
		if (strcmp(buf_cstr(&text), rows[i].is) != 0)
			fail_msg("row %zu is now:\n%s", i, buf_cstr(&text));
		buf_free(&text);
	}
}

/* A place that the text does not have, or a word that does not stand there, changes nothing. */
static void test_places(void **state)
{
	static const struct scn_fix rows[] = {
		{ .at = { .line = 9, .column = 1 }, .word = "one", .near = "two" },
		{ .at = { .line = 1, .column = 99 }, .word = "one", .near = "two" },
		{ .at = { .line = 1, .column = 1 }, .word = "other", .near = "two" },
		{ .at = { .line = 1, .column = 1 }, .word = "ones", .near = "two" },
		{ .at = { .line = 1, .column = 4 }, .word = "three", .near = "two" }, /* of the next value */
		{ .at = { .line = 2, .column = 1 },
			.word = "five",
			.near = "two" }, /* a part of a longer one */
	};
	static const char was[] = "one: {three: 3}\nfive-a a_five\n";
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf text = { 0 };
		assert_true(buf_append(&text, was, strlen(was)));
		if (scenario_fix_apply(&rows[i], &text) || strcmp(buf_cstr(&text), was) != 0)
			fail_msg("row %zu is now:\n%s", i, buf_cstr(&text));
		buf_free(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_words), cmocka_unit_test(test_places) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
