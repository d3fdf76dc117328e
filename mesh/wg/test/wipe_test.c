/* Keys leave memory with what they belong to: every block that the room frees is looked through (free is
 * wrapped by the linker for this test, and no builtin to the compiler: it would drop what is written before a free that
 * reads nothing as far as it knows, the secrets looked for with it). */
#include "mesh/wg/test/pair.h"
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { SECRETS_MAX = 8 };

static struct {
	const uint8_t *p[SECRETS_MAX];
	size_t n, freed, left_behind;
} watched; /* the wrapped free has no argument of its own */

void __real_free(void *p);
void __wrap_free(void *p);
void __wrap_free(void *p)
{
	size_t len = p ? malloc_usable_size(p) : 0;
	for (size_t i = 0; i < watched.n; i++)
		watched.left_behind += len >= KEY_LEN && memmem(p, len, watched.p[i], KEY_LEN) != NULL;
	watched.freed += p != NULL;
	__real_free(p);
}

static void watch(const uint8_t *secret)
{
	watched.p[watched.n++] = secret;
}

/* The wrapped free sees what this room frees at all. */
static void test_sees(void **state)
{
	uint8_t secret[KEY_LEN];
	(void)state;
	memset(secret, 0x5a, sizeof(secret));
	memset(&watched, 0, sizeof(watched));
	watch(secret);
	uint8_t *block = calloc(1, 100);
	memcpy(block + 13, secret, sizeof(secret));
	free(block);
	size_t seen = watched.left_behind;
	memset(&watched, 0, sizeof(watched));
	assert_int_equal(seen, 1);
}

static void test_peer_removed(void **state)
{
	struct pair p;
	uint8_t psk[KEY_LEN];
	(void)state;
	memset(psk, 0xa5, sizeof(psk));
	memset(&watched, 0, sizeof(watched));
	pair_init(&p, psk);
	pair_connect(&p, 0);
	/* Idle, and in the midst of a handshake that nobody answers. */
	watch(psk);
	wg_peer_remove(p.end[0].wg, 1);
	assert_true(watched.freed > 0);
	pair_introduce(&p, 0);
	p.cut[1] = true;
	pair_send(&p, 0, 1);
	wg_peer_remove(p.end[0].wg, 1);
	/* The whole core: its own key, and the peers it still has. */
	struct node_private priv = p.end[1].priv;
	watch(priv.b);
	pair_fini(&p);
	size_t left_behind = watched.left_behind;
	memset(&watched, 0, sizeof(watched));
	assert_int_equal(left_behind, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_sees),
		cmocka_unit_test(test_peer_removed) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
