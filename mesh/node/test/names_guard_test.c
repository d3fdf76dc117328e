/* Whom the sockets of the node's resolver hear, as the interface is guarded or not. What keeps a socket to this machine is
 * replaced by what keeps it to nobody, so that it can be seen from here. */
#include "mesh/netmap/test/told_map.h"
#include "mesh/node/names.h"
#include "mesh/os/netlink.h"
#include "mesh/os/sock.h"
#include "mesh/os/test/own_lo.h"
#include "mesh/os/test/own_ns.h"
#include "resolver/ask.h"
#include <errno.h>
#include <linux/filter.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

static const char map[] =
	"{\"Node\":{\"ID\":1,\"StableID\":\"n1\",\"Name\":\"a.mesh.test.\",\"Key\":\"nodekey:"
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"Addresses\":[\"100.64.0.1/"
	"32\"]},"
	"\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"]}}";

static bool refused; /* no socket can be kept to anybody */

int __wrap_sock_arrive_on(int fd, const char *ifname);
int __wrap_sock_arrive_on(int fd, const char *ifname)
{
	struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog filter = { .len = 1, .filter = &none };
	(void)ifname;
	if (refused) {
		errno = EPERM;
		return -1;
	}
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter));
}

struct asked {
	bool over;
	int code;
};

static void answered(void *arg, int code, const uint8_t *b, size_t len)
{
	(void)b, (void)len;
	*(struct asked *)arg = (struct asked) { true, code };
}

static bool is_heard(struct names *n)
{
	const struct endpoint at = { .ip = addr_service_v4, .port = 53 };
	struct asked a = { .over = false };
	struct errbuf eb = { 0 };
	assert_non_null(dns_ask_start(n->loop, &at, "a.mesh.test", "A", answered, &a, &eb));
	while (!a.over)
		loop_run_once(n->loop);
	return !a.code;
}

static void apply(struct names *n, struct netmap *m, bool guarded)
{
	struct errbuf eb = { 0 };
	n->guarded = guarded;
	if (names_apply(n, m, "lo", false, &eb) != 0)
		fail_msg("%s", eb.text);
}

static void nothing(void *arg)
{
	(void)arg;
}

struct place {
	struct names n;
	struct state_prefs prefs;
	struct netmap *map;
};

static void place_open(struct place *p)
{
	const char *service = "100.100.100.100/32";
	*p = (struct place) { .prefs = { .accept_dns = false }, .n.prefs = &p->prefs };
	if (!own_ns(CLONE_NEWNET)) {
		print_message("skipped: this kernel gives no network namespace\n");
		skip();
	}
	own_lo(&service, 1);
	p->n.loop = loop_new();
	struct dns_places places = { .resolv_conf = "/nonexistent/resolv.conf",
		.own_path = true,
		.uplinks = "",
		.networkmanager = "",
		.openresolv = "",
		.bus = "" };
	p->n.os_dns = os_dns_open(p->n.loop, &places, nothing, NULL);
	p->map = told_map(NULL, map);
}

static void place_end(struct place *p)
{
	netmap_put(p->map);
	names_forget(&p->n);
	os_dns_close(p->n.os_dns);
	loop_free(p->n.loop);
}

/* The guard works late, and is lost again. */
static void test_turns(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	apply(&p.n, p.map, false);
	assert_false(is_heard(&p.n));
	apply(&p.n, p.map, true);
	assert_true(is_heard(&p.n));
	apply(&p.n, p.map, false);
	assert_false(is_heard(&p.n));
	place_end(&p);
}

/* What somebody wants to be told of questions goes on when the resolver is there again, and ends with the mesh. */
static void test_journal(void **state)
{
	struct errbuf eb = { 0 };
	struct place p;
	(void)state;
	place_open(&p);
	apply(&p.n, p.map, true);
	assert_null(resolver_server_journal(p.n.dns));
	assert_int_equal(resolver_server_journal_set(p.n.dns, true), 0);
	refused = true;
	p.n.guarded = false;
	for (int i = 0; i < 2; i++) {
		assert_int_not_equal(names_apply(&p.n, p.map, "lo", false, &eb), 0);
		assert_null(p.n.dns);
	}
	refused = false;
	apply(&p.n, p.map, false);
	assert_non_null(resolver_server_journal(p.n.dns));
	names_forget(&p.n);
	apply(&p.n, p.map, false);
	assert_null(resolver_server_journal(p.n.dns));
	place_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_turns), cmocka_unit_test(test_journal) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
