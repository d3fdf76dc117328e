#include "mesh/node/backend.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void count(void *arg)
{
	++*(unsigned *)arg;
}

/* Every fact from every state, logged in or not. */
static void test_moves(void **state)
{
	enum { STAYS = -1 };
	static const struct {
		int to[2], logged_in; /* to: not logged in, logged in */
	} rows[BACKEND_FACTS] = {
		[BACKEND_UP] = { { BACKEND_NEEDS_LOGIN, BACKEND_STARTING }, STAYS },
		[BACKEND_DOWN] = { { BACKEND_STOPPED, BACKEND_STOPPED }, STAYS },
		[BACKEND_ASKED] = { { BACKEND_NEEDS_LOGIN, BACKEND_NEEDS_LOGIN }, STAYS },
		[BACKEND_WAITS] = { { BACKEND_NEEDS_APPROVAL, BACKEND_NEEDS_APPROVAL }, STAYS },
		[BACKEND_ACCEPTED] = { { BACKEND_STARTING, BACKEND_STARTING }, true },
		[BACKEND_MAP] = { { BACKEND_RUNNING, BACKEND_RUNNING }, STAYS },
		[BACKEND_FORGOTTEN] = { { STAYS, STAYS }, false },
		[BACKEND_EXPIRED] = { { BACKEND_NEEDS_LOGIN, BACKEND_NEEDS_LOGIN }, false },
		[BACKEND_LOGGED_OUT] = { { BACKEND_NEEDS_LOGIN, BACKEND_NEEDS_LOGIN }, false },
	};
	static const enum backend_state from[] = { BACKEND_NO_STATE, BACKEND_NEEDS_LOGIN,
		BACKEND_NEEDS_APPROVAL, BACKEND_STOPPED, BACKEND_STARTING, BACKEND_RUNNING };
	(void)state;
	for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++)
		for (int in = 0; in < 2; in++)
			for (int f = 0; f < BACKEND_FACTS; f++) {
				bool logged_in = in;
				unsigned calls = 0;
				struct backend b;
				backend_init(&b, &logged_in, count, &calls);
				b.state = from[i];
				backend_heard(&b, (enum backend_fact)f);
				int to = rows[f].to[in] == STAYS ? (int)from[i] : rows[f].to[in];
				if (f == BACKEND_ACCEPTED && from[i] == BACKEND_RUNNING)
					to = BACKEND_RUNNING;
				if ((int)b.state != to ||
					logged_in != (rows[f].logged_in == STAYS ? in : rows[f].logged_in) ||
					calls != 1)
					fail_msg("fact %d from %s, logged in %d", f, backend_text(from[i]),
						in);
			}
}

/* Where to go is shown as long as somebody is to go there. */
static void test_url(void **state)
{
	bool logged_in = false;
	unsigned calls = 0;
	struct backend b;
	(void)state;
	backend_init(&b, &logged_in, count, &calls);
	backend_asked(&b, "https://login.test/1");
	assert_string_equal(b.auth_url, "https://login.test/1");
	assert_int_equal(b.state, BACKEND_NEEDS_LOGIN);
	backend_heard(&b, BACKEND_EXPIRED);
	assert_string_equal(b.auth_url, "https://login.test/1");
	backend_heard(&b, BACKEND_ACCEPTED);
	assert_string_equal(b.auth_url, "");
	backend_asked(&b, "https://login.test/2");
	backend_heard(&b, BACKEND_LOGGED_OUT);
	assert_string_equal(b.auth_url, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_moves), cmocka_unit_test(test_url) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
