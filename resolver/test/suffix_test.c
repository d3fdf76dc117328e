#include "resolver/suffix.h"

#include "mesh/base/err.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

enum { SETS = 50, NAMES = 60, ASKED = 300 };

/* Of few labels, so that many of them lie below each other. */
static void name_make(unsigned *seed, struct dns_name *out)
{
	static const char *const labels[] = { "a", "b", "ab", "ba", "com", "net", "www", "a-longer-one" };
	char text[128] = "";
	for (unsigned n = (*seed = *seed * 1103515245 + 12345) >> 16 & 3; n; n--) {
		*seed = *seed * 1103515245 + 12345;
		strcat(text, labels[*seed >> 16 & 7]);
		strcat(text, ".");
	}
	assert_true(dns_name_parse(*text ? text : ".", out));
}

/* Against a look at each of them. */
static void test_longest(void **state)
{
	static const uint64_t keys[2] = { 1, 2 };
	unsigned seed = 1;
	(void)state;
	for (unsigned set = 0; set < SETS; set++) {
		struct dns_name names[NAMES], name;
		size_t n = set % NAMES;
		for (size_t i = 0; i < n; i++)
			name_make(&seed, &names[i]);
		struct suffixes *s = suffixes_new(names, n, keys);
		assert_non_null(s);
		for (unsigned k = 0; k < ASKED; k++) {
			unsigned labels, best = 0;
			bool any = false;
			name_make(&seed, &name);
			for (size_t i = 0; i < n; i++) {
				if (!dns_name_within(&name, &names[i]))
					continue;
				unsigned here = dns_name_labels(&names[i]);
				best = here > best ? here : best;
				any = true;
			}
			int found = suffixes_longest(s, &name, &labels);
			assert_int_equal(found >= 0, any);
			assert_int_equal(labels, best);
			if (any)
				assert_true(dns_name_within(&name, &names[found]) &&
					    dns_name_labels(&names[found]) == best);
		}
		suffixes_free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_longest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
