/* The engine on real devices, in a network namespace of the test's own. */
#include "mesh/node/engine.h"
#include "mesh/os/netlink.h"
#include "mesh/os/resolve.h"
#include "mesh/os/test/own_ns.h"
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { WAIT_MS = 60000 };

struct place {
	struct loop *loop;
	struct loop_timer *late;
	struct engine e;
	struct node_private us;
	unsigned self_changes, ways, gone, pings, links, lost;
};

static void self_changed(void *arg)
{
	((struct place *)arg)->self_changes++;
}

static void way_changed(void *arg, uint64_t peer)
{
	(void)peer;
	((struct place *)arg)->ways++;
}

static void peer_gone(void *arg, const struct ctl_node *peer)
{
	(void)peer;
	((struct place *)arg)->gone++;
}

static void ping_done(
	void *arg, uint64_t token, uint64_t peer, const struct endpoint *at, int32_t region, double ms)
{
	(void)token, (void)peer, (void)at, (void)region, (void)ms;
	((struct place *)arg)->pings++;
}

static void echo_answered(void *arg, uint64_t token, uint64_t peer, uint16_t peer_api)
{
	(void)arg, (void)token, (void)peer, (void)peer_api;
}

static void ways_moved(void *arg, const struct addr *to, size_t n)
{
	(void)arg, (void)to, (void)n;
}

static void links_changed(void *arg)
{
	((struct place *)arg)->links++;
}

static void routed(void *arg, const struct errbuf *why)
{
	(void)arg, (void)why;
}

static void lost(void *arg)
{
	((struct place *)arg)->lost++;
}

static void nat64_changed(void *arg)
{
	(void)arg;
}

static void too_late(void *arg)
{
	(void)arg;
	fail_msg("what is waited for does not come");
}

static int place_open(struct place *p, struct errbuf *eb)
{
	struct engine_config cfg = {
		.loop = p->loop, .tun_name = "rwtest0", .mtu = 1280, .us = &p->us, .handshake_floor_ms = 0
	};
	struct engine_events ev = { .self_changed = self_changed,
		.way_changed = way_changed,
		.peer_gone = peer_gone,
		.ping_done = ping_done,
		.echo_answered = echo_answered,
		.ways_moved = ways_moved,
		.links_changed = links_changed,
		.routed = routed,
		.nat64_changed = nat64_changed,
		.lost = lost,
		.arg = p };
	return engine_open(&p->e, &cfg, &ev, eb);
}

static int place_make(void **state)
{
	if (!own_ns(CLONE_NEWNET) || access("/dev/net/tun", R_OK | W_OK) != 0) {
		print_message("skipped: no network namespace or no TUN device here\n");
		*state = NULL;
		return 0;
	}
	struct place *p = calloc(1, sizeof(*p));
	p->loop = loop_new();
	p->late = loop_timer_new(p->loop, too_late, p);
	key_generate(&random_system, p->us.b);
	*state = p;
	return 0;
}

static int place_end(void **state)
{
	struct place *p = *state;
	if (!p)
		return 0;
	engine_close(&p->e);
	loop_timer_free(p->late);
	loop_free(p->loop);
	free(p);
	return 0;
}

static struct place *place_of(void **state)
{
	if (!*state)
		skip();
	return *state;
}

static bool exists(const char *name)
{
	struct errbuf eb;
	struct nl *nl = nl_open(&eb);
	assert_non_null(nl);
	bool yes = nl_link_index(nl, name) > 0;
	nl_close(nl);
	return yes;
}

/* Opened and closed as a whole, as often as wanted; closed, it answers what may be asked of it. */
static void test_life(void **state)
{
	struct place *p = place_of(state);
	struct errbuf eb;
	for (int i = 0; i < 3; i++) {
		assert_false(engine_is_open(&p->e));
		assert_int_equal(engine_handshake_floor(&p->e), 0);
		engine_rearm(&p->e);
		engine_server_up(&p->e, true);
		if (place_open(p, &eb) != 0)
			fail_msg("%s", eb.text);
		assert_true(engine_is_open(&p->e) && exists("rwtest0"));
		for (int k = 0; k < 3; k++)
			engine_rearm(&p->e);
		engine_close(&p->e);
		engine_close(&p->e);
		assert_null(p->e.tick);
		assert_false(exists("rwtest0"));
	}
}

/* What cannot be opened leaves nothing behind, and says why. */
static void test_all_or_nothing(void **state)
{
	struct place *p = place_of(state);
	struct place *other = calloc(1, sizeof(*other));
	struct errbuf eb = { 0 };
	other->loop = p->loop;
	other->us = p->us;
	assert_int_equal(place_open(p, &eb), 0);
	assert_int_not_equal(place_open(other, &eb), 0);
	assert_non_null(strstr(eb.text, "rwtest0"));
	assert_false(engine_is_open(&other->e));
	assert_true(engine_is_open(&p->e));
	free(other);
}

static void test_peers(void **state)
{
	struct place *p = place_of(state);
	struct errbuf eb;
	struct prefix ip, routes[3];
	struct wg_peer_stats stats;
	struct path_state way;
	assert_true(prefix_parse("100.64.0.9/32", &ip) && prefix_parse("0.0.0.0/0", &routes[1]) &&
		    prefix_parse("10.0.0.0/8", &routes[2]));
	routes[0] = ip;
	struct ctl_node c = {
		.id = 9, .name = "x", .home_derp = 1, .addresses = { &ip, 1 }, .allowed_ips = { routes, 3 }
	};
	memset(c.key.b, 9, sizeof(c.key.b));
	memset(c.disco.b, 8, sizeof(c.disco.b));
	assert_int_equal(place_open(p, &eb), 0);
	assert_int_equal(engine_peer_set(&p->e, &c, &c.addresses, &eb), 0);
	assert_int_equal(wg_route(p->e.plane.wg, &ip.ip), 9);
	/* What it carries for others is not taken: nobody asked for it. */
	assert_int_equal(wg_route(p->e.plane.wg, &routes[1].ip), 0);
	assert_int_equal(wg_route(p->e.plane.wg, &routes[2].ip), 0);
	assert_true(path_peer_state(p->e.path, loop_now_ms(p->loop), 9, &way));
	engine_peer_remove(&p->e, 9);
	assert_int_equal(wg_route(p->e.plane.wg, &ip.ip), 0);
	assert_false(wg_peer_stats(p->e.plane.wg, 9, &stats));
	assert_false(path_peer_state(p->e.path, loop_now_ms(p->loop), 9, &way));
	engine_peer_remove(&p->e, 9); /* unknown is fine */
	/* A key that is our own, or none, is refused, in both cores or in none, and called what it is. */
	c.key = p->e.key;
	assert_int_equal(engine_peer_set(&p->e, &c, &c.addresses, &eb), -EINVAL);
	assert_string_equal(eb.text, "peer x: its key is this machine's own; it cannot be reached");
	memset(c.key.b, 0, sizeof(c.key.b));
	assert_int_equal(engine_peer_set(&p->e, &c, &c.addresses, &eb), -EINVAL);
	assert_string_equal(eb.text, "peer x: its key is missing; it cannot be reached");
	assert_int_equal(wg_route(p->e.plane.wg, &ip.ip), 0);
}

static int link_number(const char *name)
{
	struct errbuf eb;
	struct nl *nl = nl_open(&eb);
	assert_non_null(nl);
	int index = nl_link_index(nl, name);
	nl_close(nl);
	return index;
}

/* Another node key: the interface, its socket and what peers know of us stay, sessions and peers do not. */
static void test_key(void **state)
{
	struct place *p = place_of(state);
	struct errbuf eb = { 0 };
	struct prefix ip;
	struct node_private next;
	struct node_key pub;
	assert_true(prefix_parse("100.64.0.9/32", &ip));
	struct ctl_node c = { .id = 9, .name = "x", .home_derp = 1, .addresses = { &ip, 1 } };
	memset(c.key.b, 9, sizeof(c.key.b));
	assert_int_equal(place_open(p, &eb), 0);
	assert_int_equal(engine_peer_set(&p->e, &c, &c.addresses, &eb), 0);
	struct disco_key disco = *path_disco_key(p->e.path);
	int index = link_number("rwtest0");
	uint16_t port = udp_port(p->e.udp);
	uint64_t floor_ms = engine_handshake_floor(&p->e);
	for (int i = 0; i < 2; i++) {
		key_generate(&random_system, next.b);
		key_public(next.b, pub.b);
		if (engine_key_set(&p->e, &next, &eb) != 0)
			fail_msg("%s", eb.text);
		assert_true(key_equal(p->e.key.b, pub.b));
		assert_int_equal(link_number("rwtest0"), index);
		assert_int_equal(udp_port(p->e.udp), port);
		assert_true(key_equal(path_disco_key(p->e.path)->b, disco.b));
		assert_true(engine_handshake_floor(&p->e) >= floor_ms);
		assert_int_equal(wg_route(p->e.plane.wg, &ip.ip), 0);
		assert_int_equal(engine_peer_set(&p->e, &c, &c.addresses, &eb), 0);
		assert_int_equal(wg_route(p->e.plane.wg, &ip.ip), 9);
	}
	c.key = pub; /* the new one is our own now */
	assert_int_equal(engine_peer_set(&p->e, &c, &c.addresses, &eb), -EINVAL);
}

/* Somebody takes the interface away: told once, and closing is the owner's. */
static void test_lost(void **state)
{
	struct place *p = place_of(state);
	struct errbuf eb;
	assert_int_equal(place_open(p, &eb), 0);
	assert_int_equal(system("ip link del rwtest0"), 0);
	loop_timer_set(p->late, WAIT_MS);
	while (!p->lost)
		loop_run_once(p->loop);
	loop_timer_clear(p->late);
	assert_int_equal(p->lost, 1);
	assert_true(engine_is_open(&p->e));
}

/* ---- the network's translator ---- */

static struct lookup {
	bool out;
	unsigned n;
	void (*cb)(void *arg, int code, const struct endpoint *at, size_t n, const char *why);
	void *arg;
} lookup;

struct resolve *__wrap_resolve_start(struct loop *l, const char *host,
	void (*cb)(void *arg, int code, const struct endpoint *at, size_t n, const char *why), void *arg);
struct resolve *__wrap_resolve_start(struct loop *l, const char *host,
	void (*cb)(void *arg, int code, const struct endpoint *at, size_t n, const char *why), void *arg)
{
	(void)l;
	assert_string_equal(host, NAT64_NAME);
	assert_false(lookup.out);
	lookup = (struct lookup) { .out = true, .n = lookup.n + 1, .cb = cb, .arg = arg };
	return (struct resolve *)&lookup;
}
void __wrap_resolve_cancel(struct resolve *r);
void __wrap_resolve_cancel(struct resolve *r)
{
	assert_true(!r || lookup.out);
	lookup.out = lookup.out && !r;
}

/* By an address of the prefix; NULL: there is no such name. */
static void look_up(const char *address)
{
	struct endpoint at = { .port = 0 };
	assert_true(lookup.out && (!address || addr_parse(address, &at.ip)));
	lookup.out = false;
	lookup.cb(lookup.arg, address ? 0 : -ENOENT, &at, address != NULL, "none");
}

static void move(struct place *p, const char *command)
{
	unsigned before = lookup.n;
	assert_int_equal(system(command), 0);
	loop_timer_set(p->late, WAIT_MS);
	while (lookup.n == before)
		loop_run_once(p->loop);
	loop_timer_clear(p->late);
}

static void expect_translator(const struct place *p, const char *prefix)
{
	struct nat64 want;
	assert_true(nat64_parse(prefix, &want));
	assert_true(p->e.nat64.bits == want.bits && addr_equal(&p->e.nat64.prefix, &want.prefix));
}

/* A machine without IPv4 that moves asks anew, and what the network before says then is not listened to. Where nobody
 * says anything the old one stays. */
static void test_translator(void **state)
{
	struct place *p = place_of(state);
	struct errbuf eb;
	lookup = (struct lookup) { .out = false };
	assert_int_equal(
		system("ip link add v0 type veth peer name v1 && ip link set v1 up && ip link set v0 up && "
		       "ip addr add 2001:db8:1::1/64 dev v0 nodad"),
		0);
	assert_int_equal(place_open(p, &eb), 0);
	look_up("2001:db8:64::192.0.0.170");
	expect_translator(p, "2001:db8:64::/96");
	move(p, "ip addr replace 2001:db8:2::1/64 dev v0 nodad; ip addr del 2001:db8:1::1/64 dev v0");
	expect_translator(p, "2001:db8:64::/96");
	look_up(NULL);
	expect_translator(p, "2001:db8:64::/96");
	move(p, "ip addr add 2001:db8:3::1/64 dev v0 nodad");
	move(p, "ip addr del 2001:db8:2::1/64 dev v0"); /* while it is looked up */
	look_up("64:ff9b::192.0.0.170");
	expect_translator(p, "64:ff9b::/96");
	assert_int_equal(system("ip addr add 192.0.2.1/24 dev v0"), 0);
	loop_timer_set(p->late, WAIT_MS);
	while (p->e.nat64.bits)
		loop_run_once(p->loop);
	loop_timer_clear(p->late);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_life, place_make, place_end),
		cmocka_unit_test_setup_teardown(test_all_or_nothing, place_make, place_end),
		cmocka_unit_test_setup_teardown(test_peers, place_make, place_end),
		cmocka_unit_test_setup_teardown(test_key, place_make, place_end),
		cmocka_unit_test_setup_teardown(test_lost, place_make, place_end),
		cmocka_unit_test_setup_teardown(test_translator, place_make, place_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
