/* A machine with a resolver at the service address, in a network namespace: zone, a route for some names, and an upstream
 * that gives every name an address, which its first label chooses. */
#include "mesh/node/serve/exit_dns.h"
#include "mesh/base/wire.h"
#include "mesh/os/sock.h"
#include "mesh/os/test/own_lo.h"
#include "mesh/os/test/own_ns.h"
#include "resolver/listen.h"
#include "resolver/message.h"
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

struct place {
	struct loop *loop;
	struct resolver_server *server;
	struct zone *zone;
	int fd, asked;
	struct loop_fd *watch;
	struct exit_dns *question;
	uint8_t answer[EXIT_DNS_MESSAGE_MAX];
	size_t len;
	bool over;
};

/* By the last letter of the first label: to the internet, to the corp's names, to those of the place, to the mesh. NULL: it
 * has an address. */
static const char *alias_of(const struct dns_name *n)
{
	static const char *const to[] = { "www.example.net", "git.corp.example", "nas.home.arpa",
		"b.mesh.test" };
	unsigned i = n->b[0] == 6 && memcmp(n->b + 1, "alias", 5) == 0 ? n->b[6] - '0' : 99;
	return i < sizeof(to) / sizeof(to[0]) ? to[i] : NULL;
}

static void upstream_asked(void *arg, int events)
{
	struct place *p = arg;
	struct sockaddr_storage from;
	struct dns_query q;
	socklen_t n = sizeof(from);
	uint8_t b[1500];
	(void)events;
	ssize_t len = recvfrom(p->fd, b, sizeof(b), 0, (struct sockaddr *)&from, &n);
	if (len < 12 || dns_query_read(b, (size_t)len, false, &q) != DNS_READ_OK)
		return;
	p->asked++;
	struct dns_writer d;
	dns_write_begin(&d, b, sizeof(b), &q);
	dns_write_mark(&d, 1);
	const char *to = alias_of(&q.name);
	bool six = !to && q.type == DNS_AAAA;
	size_t rr = dns_write_rr(&d, &q.name, to ? DNS_CNAME : six ? DNS_AAAA : DNS_A, 60);
	struct dns_name end;
	if (six) /* by a translator */
		wr_bytes(&d.w, "\0\144\377\233\0\0\0\0\0\0\0\0", 12);
	if (to && dns_name_parse(to, &end))
		wr_bytes(&d.w, end.b, end.len);
	else
		wr_bytes(&d.w,
			q.name.b[1] == 'l'   ? "\12\0\0\1"
			: q.name.b[1] == 'm' ? "\144\100\0\2"
					     : "\10\10\10\10",
			4);
	dns_write_rr_end(&d, rr);
	(void)dns_write_keep(&d);
	size_t out = dns_write_end(&d, &q, &(struct dns_end) { .ede = EDE_NONE });
	sendto(p->fd, b, out, 0, (struct sockaddr *)&from, n);
}

static struct place *place_make(void)
{
	struct endpoint service = { .ip = addr_service_v4, .port = 53 }, up;
	struct resolver_server_options o = { .at = &service, .n = 1 };
	struct errbuf eb = { 0 };
	struct addr ip;
	const char *at = "100.100.100.100/32";
	if (!own_ns(CLONE_NEWNET)) {
		print_message("skipped: this kernel gives no network namespace\n");
		skip();
	}
	own_lo(&at, 1);
	struct place *p = calloc(1, sizeof(*p));
	p->loop = loop_new();
	assert_true(endpoint_parse("127.0.0.9:53", &up) && addr_parse("100.64.0.2", &ip));
	p->fd = sock_udp(&up, &eb);
	assert_true(p->fd >= 0);
	p->watch = loop_fd_new(p->loop, p->fd, upstream_asked, p);
	loop_fd_set(p->watch, LOOP_READ);
	p->server = resolver_server_open(p->loop, &o, &eb);
	if (!p->server)
		fail_msg("%s", eb.text);
	p->zone = zone_new();
	assert_int_equal(zone_add_address(p->zone, "b.mesh.test", &ip, true), 0);
	assert_int_equal(zone_add_authority(p->zone, "mesh.test"), 0);
	resolver_zone_set(resolver_server_core(p->server), p->zone);
	struct resolver_upstream ups = { .at = up }, site = { .at = up, .site = true };
	struct resolver_route routes[] = { { .suffix = "", .upstreams = &ups, .n_upstreams = 1 },
		{ .suffix = "corp.example", .upstreams = &ups, .n_upstreams = 1 } };
	struct resolver_config c = { .routes = routes, .n_routes = 2, .site = &site, .n_site = 1 };
	assert_int_equal(resolver_server_configure(p->server, &c, &eb), 0);
	return p;
}

static void place_end(struct place *p)
{
	exit_dns_cancel(p->question);
	resolver_server_close(p->server);
	zone_put(p->zone);
	loop_fd_free(p->watch);
	close(p->fd);
	loop_free(p->loop);
	free(p);
}

static struct resolver *resolver_of(void *arg)
{
	return resolver_server_core(((struct place *)arg)->server);
}

static void done(void *arg, const uint8_t *answer, size_t len)
{
	struct place *p = arg;
	assert_false(p->over);
	p->over = true;
	p->len = answer ? len : 0;
	assert_true(p->len <= sizeof(p->answer));
	if (answer)
		memcpy(p->answer, answer, len);
}

/* For IPv6 where the name has a 6. */
static size_t question(const char *name, uint8_t out[static DNS_ASK_MAX])
{
	struct dns_name wire;
	assert_true(dns_name_parse(name, &wire));
	return dns_ask_write(out, &(struct dns_ask) { .id = 0x4242,
					  .type = strchr(name, '6') ? DNS_AAAA : DNS_A,
					  .name = &wire,
					  .edns = true });
}

static void ask(struct place *p, const char *name)
{
	uint8_t msg[DNS_ASK_MAX];
	struct exit_dns_ops ops = { .resolver = resolver_of, .done = done, .arg = p };
	p->over = false;
	size_t len = question(name, msg);
	assert_true(exit_dns_ask(p->loop, msg, len, &ops, &p->question));
	while (!p->over)
		loop_run_once(p->loop);
	assert_null(p->question);
}

static void test_names(void **state)
{
	static const struct {
		const char *name;
		int rcode, answers, asked; /* asked: of the upstream */
	} rows[] = {
		{ "www.example.org", 0, 1, 1 }, { "www.example.org", 0, 1, 0 }, /* known */
		{ "b.mesh.test", DNS_REFUSED, 0, 0 }, { "none.mesh.test", DNS_REFUSED, 0, 0 },
		{ "git.corp.example", DNS_REFUSED, 0, 0 }, /* a server for these names alone */
		{ "nas.home.arpa", DNS_REFUSED, 0, 0 },	   /* of the place that we are at */
		{ "x.onion", DNS_NXDOMAIN, 0, 0 },	   /* of nobody */
		{ "lan.example.org", DNS_REFUSED, 0, 1 },  /* 10.0.0.1 */
		{ "mesh.example.org", DNS_REFUSED, 0, 1 }, /* 100.64.0.2 */
		{ "alias0.example.org", 0, 1, 1 },
		{ "alias1.example.org", DNS_REFUSED, 0, 2 }, /* whatever the corp's server says */
		{ "alias2.example.org", DNS_REFUSED, 0, 1 }, { "alias3.example.org", DNS_REFUSED, 0, 1 },
		{ "www6.example.org", 0, 1, 1 },	   /* 64:ff9b::8.8.8.8 */
		{ "lan6.example.org", DNS_REFUSED, 0, 1 }, /* 64:ff9b::10.0.0.1 */
	};
	struct place *p = place_make();
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		p->asked = 0;
		ask(p, rows[i].name);
		assert_true(p->len >= DNS_HEADER);
		assert_int_equal(be_get(p->answer, 2), 0x4242);
		if ((p->answer[3] & 15) != rows[i].rcode ||
			be_get(p->answer + 6, 2) != (uint64_t)rows[i].answers || p->asked != rows[i].asked)
			fail_msg("%s: rcode %d, %d answers, asked %d times", rows[i].name, p->answer[3] & 15,
				(int)be_get(p->answer + 6, 2), p->asked);
	}
	place_end(p);
}

/* No question; and one whose asker leaves before it is answered. */
static void test_ends(void **state)
{
	struct place *p = place_make();
	uint8_t msg[DNS_ASK_MAX], long_one[EXIT_DNS_MESSAGE_MAX + 1] = { 0 };
	struct exit_dns_ops ops = { .resolver = resolver_of, .done = done, .arg = p };
	(void)state;
	size_t len = question("www.example.org", msg);
	assert_false(exit_dns_ask(p->loop, msg, 11, &ops, &p->question));
	assert_false(exit_dns_ask(p->loop, long_one, sizeof(long_one), &ops, &p->question));
	msg[2] |= 0x80; /* an answer */
	assert_false(exit_dns_ask(p->loop, msg, len, &ops, &p->question));
	msg[2] &= 0x7f;
	assert_true(exit_dns_ask(p->loop, msg, len, &ops, &p->question));
	assert_non_null(p->question);
	exit_dns_cancel(p->question);
	p->question = NULL;
	ask(p, "other.example.org");
	assert_int_equal(p->answer[3] & 15, 0);
	place_end(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_names), cmocka_unit_test(test_ends) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
