/* What an admin decided about this machine holds, whatever becomes of what the server sent. */
#include "mesh/node/plane/rules.h"
#include "mesh/node/steps.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static bool memory_is_short;
static char told[64]; /* in this order: allow or forbid, rules, shields */

static void tell(const char *word)
{
	assert_true(strlen(told) + strlen(word) < sizeof(told));
	strcat(told, word);
}

struct filter *__wrap_rules_compile(const struct netmap *m, const struct rules_place *at, struct errbuf *eb);
struct filter *__wrap_rules_compile(const struct netmap *m, const struct rules_place *at, struct errbuf *eb)
{
	static char filter;
	(void)m, (void)at;
	if (!memory_is_short)
		return (struct filter *)&filter;
	err_set(eb, -ENOMEM, "access rules");
	return NULL;
}
void __wrap_dataplane_rules_set(struct plane *d, struct filter *f);
void __wrap_dataplane_rules_set(struct plane *d, struct filter *f)
{
	(void)d;
	tell(f ? "rules " : "shut ");
}
void __wrap_dataplane_shields_set(struct plane *d, bool up);
void __wrap_dataplane_shields_set(struct plane *d, bool up)
{
	(void)d;
	tell(up ? "shields " : "open ");
}
size_t __wrap_iface_around(struct iface *i, struct prefix *out, size_t cap);
size_t __wrap_iface_around(struct iface *i, struct prefix *out, size_t cap)
{
	(void)i, (void)out, (void)cap;
	return 0;
}
void __wrap_iface_rules_allow(struct iface *i, bool allowed);
void __wrap_iface_rules_allow(struct iface *i, bool allowed)
{
	(void)i;
	tell(allowed ? "allow " : "forbid ");
}

/* --netfilter-mode=off is no matter of the rules that the server sent: no table is made where those cannot be. */
static void test_no_netfilter(void **state)
{
	static const struct {
		bool off, is_short;
		const char *want;
	} cases[] = { { false, false, "allow rules open " }, { true, false, "forbid rules open " },
		{ false, true, "allow shut " }, { true, true, "forbid shut " } };
	struct engine e = { 0 };
	struct state_prefs prefs = { 0 };
	struct steps s = { .engine = &e, .prefs = &prefs };
	struct apply_ops ops = steps_ops(&s);
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct errbuf eb = { 0 };
		prefs.no_netfilter = cases[i].off;
		memory_is_short = cases[i].is_short;
		told[0] = 0;
		int err = ops.rules_set(ops.arg, NULL, &eb);
		assert_int_equal(err, memory_is_short ? -ENOMEM : 0);
		if (err)
			ops.rules_shut(ops.arg);
		assert_string_equal(told, cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_no_netfilter) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
