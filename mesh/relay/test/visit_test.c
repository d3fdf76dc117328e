/* How long a connection may take to show its key. An hour passes at once: what a handshake takes on a busy machine is nothing
 * beside it. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/os/file.h"
#include "mesh/relay/test/derp_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { HOUR_MS = 3600 * 1000 };

struct lab {
	struct loop *loop;
	char dir[64];
	struct derp_peer keyless, member;
};

static int setup(void **state)
{
	struct lab *l = calloc(1, sizeof(*l));
	assert_non_null(l);
	strcpy(l->dir, "/tmp/rw-visit-XXXXXX");
	assert_non_null(mkdtemp(l->dir));
	l->loop = loop_new();
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	struct lab *l = *state;
	loop_free(l->loop);
	dir_remove(l->dir, NULL);
	free(l);
	return 0;
}

static struct relay *open_relay(struct lab *l, uint64_t handshake_ms)
{
	struct relay_options o = { .listen = { .ip = addr_v4(0x7f000001) },
		.hostname = "relay.test",
		.state_dir = l->dir,
		.handshake_ms = handshake_ms,
		.write_ms = 10 * HOUR_MS };
	struct relay *r = relay_open(l->loop, &o, NULL);
	assert_non_null(r);
	return r;
}

static void test_nothing_said(void **state)
{
	struct lab *l = *state;
	struct relay *r = open_relay(l, 50);
	int fd = derp_peer_knock(r);
	while (!relay_stats(r)->drop_no_request)
		loop_run_once(l->loop);
	assert_int_equal(relay_stats(r)->drop_no_request, 1);
	assert_int_equal(relay_stats(r)->drop_handshake, 0);
	close(fd);
	relay_close(r);
}

static void answered(struct lab *l, size_t n)
{
	derp_peer_frame(&l->member, DERP_PING, "12345678", 8);
	(void)derp_peer_wait(&l->member, DERP_PONG, n);
}

/* One that upgrades and shows no key loses its place; who has shown it stays. */
static void test_no_key(void **state)
{
	struct lab *l = *state;
	struct relay *r = open_relay(l, HOUR_MS);
	l->keyless.mute = true;
	derp_peer_start(&l->keyless, l->loop, r, false);
	(void)derp_peer_wait(&l->keyless, DERP_SERVER_KEY, 1);
	derp_peer_start(&l->member, l->loop, r, true);
	(void)derp_peer_wait(&l->member, DERP_SERVER_INFO, 1);
	trouble_pass_ms(HOUR_MS / 2);
	answered(l, 1);
	assert_int_equal(relay_stats(r)->drop_handshake, 0);
	assert_false(l->keyless.closed);
	trouble_pass_ms(HOUR_MS);
	while (!l->keyless.closed)
		loop_run_once(l->loop);
	assert_int_equal(relay_stats(r)->drop_handshake, 1);
	assert_int_equal(relay_stats(r)->drop_no_request, 0);
	answered(l, 2);
	derp_peer_stop(&l->keyless);
	derp_peer_stop(&l->member);
	relay_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_said, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_key, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
