/* What peers carry for us is made true, in the end also for one that could not be told. */
#include "mesh/node/nets.h"
#include "mesh/netmap/test/told_map.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define ZEROS "00000000000000000000000000000000000000000000000000000000000000"
#define NODE(id, allowed) \
	"{\"ID\":" #id ",\"StableID\":\"s" #id "\",\"Name\":\"n" #id \
	".x.test.\",\"User\":1,\"Key\":\"nodekey:" ZEROS "0" #id "\",\"Addresses\":[\"100.64.0." #id \
	"/32\"],\"AllowedIPs\":[\"100.64.0." #id "/32\"" allowed "]}"
#define MAP(two) "{\"Node\":" NODE(1, "") ",\"Peers\":[" NODE(2, two) "," NODE(3, "") "]}"
#define NET ",\"10.0.0.0/8\""

/* What the engine was told: how many prefixes each peer has, of numbers 0 to 3. */
static size_t has[4], told;
static bool memory_is_short;

int __wrap_engine_peer_set(
	struct engine *e, const struct ctl_node *c, const struct ctl_prefixes *allowed, struct errbuf *eb);
int __wrap_engine_peer_set(
	struct engine *e, const struct ctl_node *c, const struct ctl_prefixes *allowed, struct errbuf *eb)
{
	(void)e;
	if (memory_is_short)
		return err_set(eb, -ENOMEM, "peer %s", c->name);
	has[c->id] = allowed->n;
	told++;
	return 0;
}
bool __wrap_wg_peer_stats(const struct wg *w, uint64_t peer, struct wg_peer_stats *out);
bool __wrap_wg_peer_stats(const struct wg *w, uint64_t peer, struct wg_peer_stats *out)
{
	(void)w, (void)peer, (void)out;
	return true;
}
static bool cannot_serve;
bool __wrap_iface_serve(struct iface *f, const struct guard_service *s);
bool __wrap_iface_serve(struct iface *f, const struct guard_service *s)
{
	(void)f, (void)s;
	return !cannot_serve;
}
int __wrap_iface_nets_set(struct iface *f, const struct iface_nets *w, struct errbuf *eb);
int __wrap_iface_nets_set(struct iface *f, const struct iface_nets *w, struct errbuf *eb)
{
	(void)f, (void)w, (void)eb;
	return 0;
}

static int use_map(struct nets *t, const char *json)
{
	static const struct state_prefs prefs = { .accept_routes = true };
	struct engine e = { 0 };
	struct errbuf eb = { 0 };
	struct netmap *map = told_map(NULL, json);
	int err = nets_apply(t, &e, map, &prefs, &eb);
	netmap_put(map);
	return err;
}

/* A network that was taken away is taken away by the next try, though nothing changed since; then no more is told. */
static void test_told_again(void **state)
{
	struct engine e = { 0 };
	struct nets t = { 0 };
	(void)state;
	assert_int_equal(use_map(&t, MAP(NET)), 0);
	assert_int_equal(has[2], 2);
	assert_int_equal(told, 1);
	memory_is_short = true;
	assert_int_equal(use_map(&t, MAP("")), -ENOMEM);
	assert_int_equal(use_map(&t, MAP("")), -ENOMEM);
	memory_is_short = false;
	assert_int_equal(use_map(&t, MAP("")), 0);
	assert_int_equal(has[2], 1);
	told = 0;
	assert_int_equal(use_map(&t, MAP("")), 0);
	assert_int_equal(told, 0);
	/* nor is anything well while what this machine carries is not guarded */
	cannot_serve = true;
	assert_int_equal(use_map(&t, MAP("")), -ENOMEM);
	cannot_serve = false;
	assert_int_equal(use_map(&t, MAP("")), 0);
	nets_forget(&t, &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_told_again) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
