/* Names that must never leave, a thousand of them and more, asked over sockets in a network whose only way out is a device
 * of the test's own: what leaves is read there. RFC 6761, 6762, 7686, 8375, 9476, 9462, 6303, 7793. */
#include "resolver/listen.h"

#include "mesh/os/netlink.h"
#include "mesh/os/test/own_ns.h"
#include "resolver/test/fake.h"
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const suffixes[] = { "localhost", "invalid", "test", "onion", "alt", "local", "home.arpa",
	"internal", "resolver.arpa", "mesh.example.net", "0.in-addr.arpa", "10.in-addr.arpa",
	"127.in-addr.arpa", "254.169.in-addr.arpa", "168.192.in-addr.arpa", "16.172.in-addr.arpa",
	"23.172.in-addr.arpa", "31.172.in-addr.arpa", "64.100.in-addr.arpa", "99.100.in-addr.arpa",
	"127.100.in-addr.arpa", "2.0.192.in-addr.arpa", "100.51.198.in-addr.arpa", "113.0.203.in-addr.arpa",
	"255.255.255.255.in-addr.arpa",
	"0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
	"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
	"8.b.d.0.1.0.0.2.ip6.arpa", "d.f.ip6.arpa", "8.e.f.ip6.arpa", "9.e.f.ip6.arpa", "a.e.f.ip6.arpa",
	"b.e.f.ip6.arpa", "0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa", "" }; /* a name of one label */
static const char *const prefixes[] = { "", "nas.", "WPAD.", "_ldap._tcp.dc._msdcs.", "b._dns-sd._udp.",
	"5.0.", "a.b.c.d.e.f.g.", "\\000x." };
static const uint16_t types[] = { DNS_A, DNS_AAAA, DNS_PTR, DNS_SOA, DNS_HTTPS, DNS_ANY };

static struct fixture {
	struct loop *loop;
	struct resolver_server *server;
	int uplink, client;
	unsigned asked, answered;
	bool timed_out;
} fx;

/* The device, and all that is not this machine's behind it. negative: this machine gives none. */
static int uplink_make(void)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI, .ifr_name = "uplink" };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr))
		return -1;
	struct errbuf eb = { 0 };
	struct nl *nl = nl_open(&eb);
	struct prefix own, six;
	int up = nl_link_index(nl, "uplink");
	assert_true(prefix_parse("192.0.2.2/24", &own) && prefix_parse("2001:db8::2/64", &six));
	assert_int_equal(nl_link_up(nl, nl_link_index(nl, "lo"), true, &eb), 0);
	assert_int_equal(nl_link_up(nl, up, true, &eb), 0);
	assert_int_equal(nl_addr_add(nl, up, &own, &eb), 0);
	assert_int_equal(nl_addr_add(nl, up, &six, &eb), 0);
	for (int v6 = 0; v6 < 2; v6++) {
		struct nl_route r = { .ifindex = up };
		assert_true(prefix_parse(v6 ? "::/0" : "0.0.0.0/0", &r.dst));
		assert_int_equal(nl_route_add(nl, &r, &eb), 0);
	}
	nl_close(nl);
	return fd;
}

static void server_make(void)
{
	struct endpoint at = { .ip = addr_v4(INADDR_LOOPBACK) };
	struct resolver_server_options o = { .at = &at, .n = 1 };
	struct resolver_upstream ups[2] = { { .at = { .port = 53 } }, { .at = { .port = 53 } } };
	struct resolver_route route = {
		.suffix = "", .upstreams = ups, .n_upstreams = 2, .order = RESOLVER_RACE
	};
	struct zone *z = zone_new();
	struct errbuf eb = { 0 };
	assert_true(addr_parse("203.0.113.53", &ups[0].at.ip) && addr_parse("2001:db8::53", &ups[1].at.ip));
	fx.loop = loop_new();
	fx.server = resolver_server_open(fx.loop, &o, &eb);
	if (!fx.server)
		fail_msg("%s", eb.text);
	assert_true(z && !zone_add_authority(z, "mesh.example.net"));
	resolver_zone_set(resolver_server_core(fx.server), z);
	zone_put(z);
	assert_int_equal(resolver_server_configure(fx.server,
				 &(struct resolver_config) { .routes = &route, .n_routes = 1 }, &eb),
		0);
	struct sockaddr_storage ss;
	at = resolver_server_endpoint(fx.server, 0);
	socklen_t len = endpoint_to_sockaddr(&at, false, &ss);
	fx.client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fx.client >= 0 && !connect(fx.client, (struct sockaddr *)&ss, len));
}

/* Packets that programs made: neighbours and groups of IPv6 are the kernel's talk. */
static unsigned packets_left(void)
{
	uint8_t b[2048];
	unsigned n = 0;
	while (read(fx.uplink, b, sizeof(b)) > 0) {
		uint8_t protocol = b[0] >> 4 == 4 ? b[9] : b[6];
		n += protocol == IPPROTO_UDP || protocol == IPPROTO_TCP;
	}
	return n;
}

static void answered(void *arg, int events)
{
	uint8_t b[2048];
	(void)arg, (void)events;
	while (recv(fx.client, b, sizeof(b), MSG_DONTWAIT) > 0)
		fx.answered++;
	if (fx.answered == fx.asked)
		loop_stop(fx.loop);
}

static void gave_up(void *arg)
{
	fx.timed_out = true;
	loop_stop(arg);
}

static void ask(const char *name, uint16_t type)
{
	uint8_t q[DNS_HEADER + DNS_QUESTION_MAX];
	size_t len = fake_question(q, name, type, DNS_RD);
	assert_int_equal(send(fx.client, q, len, 0), len);
	fx.asked++;
}

static void loop_until_answered(void)
{
	struct loop_timer *limit = loop_timer_new(fx.loop, gave_up, fx.loop);
	loop_timer_set(limit, 8000);
	if (fx.answered < fx.asked)
		loop_run(fx.loop);
	loop_timer_free(limit);
	assert_false(fx.timed_out);
}

static void uplink_readable(void *arg, int events)
{
	(void)events;
	*(unsigned *)arg += packets_left();
	if (*(unsigned *)arg)
		loop_stop(fx.loop);
}

static void test_nothing_leaves(void **state)
{
	unsigned seen = 0;
	(void)state;
	if (!own_ns(CLONE_NEWNET) || (fx.uplink = uplink_make()) < 0) {
		print_message("skipped: no network namespace or no TUN device here\n");
		skip();
	}
	server_make();
	struct loop_fd *watch = loop_fd_new(fx.loop, fx.client, answered, NULL);
	loop_fd_set(watch, LOOP_READ);
	for (size_t s = 0; s < ARRAY_LEN(suffixes); s++)
		for (size_t p = 0; p < ARRAY_LEN(prefixes); p++) {
			char name[256];
			bool whole = suffixes[s][0];
			snprintf(name, sizeof(name), "%s%s", prefixes[p], suffixes[s]);
			if (!whole && (!name[0] || strchr(name, '.') != name + strlen(name) - 1))
				continue;
			for (size_t t = 0; t < ARRAY_LEN(types); t++)
				ask(name, types[t]);
			loop_until_answered();
			if (packets_left())
				fail_msg("%s left", name);
		}
	print_message("%u questions\n", fx.asked);
	assert_true(fx.asked > 1000);
	/* It would have been seen. */
	struct loop_fd *uplink = loop_fd_new(fx.loop, fx.uplink, uplink_readable, &seen);
	struct loop_timer *limit = loop_timer_new(fx.loop, gave_up, fx.loop);
	loop_fd_set(uplink, LOOP_READ);
	loop_timer_set(limit, 8000);
	ask("www.example.com", DNS_A);
	loop_run(fx.loop);
	assert_true(seen && !fx.timed_out);
	loop_timer_free(limit);
	loop_fd_free(uplink);
	loop_fd_free(watch);
	resolver_server_close(fx.server);
	loop_free(fx.loop);
	close(fx.client);
	close(fx.uplink);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_nothing_leaves) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
