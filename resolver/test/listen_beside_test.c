/* Doors by TLS and HTTPS beside those in clear: at which addresses, what is done to their sockets, and what is in the way. */
#include "resolver/listen.h"

#include "mesh/os/sock.h"
#include "mesh/os/test/own_ns.h"
#include "resolver/report_api.h"
#include "resolver/report_text.h"
#include "resolver/resolver.h"
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <net/if.h>
#include <unistd.h>
#include <cmocka.h>

enum { PLAIN = 53, SEEN_MAX = 16 };

struct fixture {
	struct loop *loop;
	struct resolver_server *server;
	struct endpoint seen[SEEN_MAX]; /* the sockets that the owner was shown */
	size_t n_seen;
	bool refuses;
};

static int look(void *arg, int fd)
{
	struct fixture *x = arg;
	if (x->refuses)
		return -EPERM;
	assert_true(x->n_seen < SEEN_MAX);
	assert_int_equal(sock_local(fd, &x->seen[x->n_seen++]), 0);
	return 0;
}

static struct endpoint at(unsigned last, uint16_t port)
{
	return (struct endpoint) { .ip = addr_v4(0x7f000000 | last), .port = port };
}

static void lo_up(void)
{
	struct ifreq r = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &r), 0);
	close(fd);
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	const struct endpoint where[] = { at(2, PLAIN), at(3, PLAIN) };
	struct errbuf eb = { 0 };
	*state = x;
	if (!own_ns(CLONE_NEWNET)) {
		print_message("skipped: this kernel gives no network namespace\n");
		return 0;
	}
	lo_up();
	x->loop = loop_new();
	struct resolver_server_options o = { .at = where, .n = 2, .listen_socket = look, .arg = x };
	x->server = resolver_server_open(x->loop, &o, &eb);
	if (!x->server)
		fail_msg("%s", eb.text);
	x->n_seen = 0;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	resolver_server_close(x->server);
	loop_free(x->loop);
	free(x);
	return 0;
}

static struct fixture *of(void **state)
{
	struct fixture *x = *state;
	if (!x->server)
		skip();
	return x;
}

static size_t count(const struct fixture *x)
{
	struct endpoint e;
	enum dns_secure_by by;
	size_t n = 0;
	while (resolver_server_secure(x->server, n, &e, &by))
		n++;
	return n;
}

static void expect(const struct fixture *x, size_t i, const struct endpoint *want, enum dns_secure_by by)
{
	struct endpoint e;
	enum dns_secure_by is;
	assert_true(resolver_server_secure(x->server, i, &e, &is));
	assert_true(endpoint_equal(&e, want));
	assert_int_equal(is, by);
}

static void test_beside_all(void **state)
{
	struct fixture *x = of(state);
	const struct endpoint want[] = { at(2, DNS_TLS_PORT), at(3, DNS_TLS_PORT), at(2, DNS_HTTPS_PORT),
		at(3, DNS_HTTPS_PORT) };
	struct errbuf eb = { 0 };
	for (int again = 0; again < 2; again++) { /* where it listens already nothing is done */
		assert_int_equal(
			resolver_server_listen_beside(x->server, DNS_TLS_PORT, DNS_SECURE_TLS, &eb), 0);
		assert_int_equal(
			resolver_server_listen_beside(x->server, DNS_HTTPS_PORT, DNS_SECURE_HTTPS, &eb), 0);
	}
	assert_int_equal(count(x), ARRAY_LEN(want));
	assert_int_equal(
		x->n_seen, ARRAY_LEN(want)); /* the owner says who is heard there, as for those in clear */
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		expect(x, i, &want[i], i < 2 ? DNS_SECURE_TLS : DNS_SECURE_HTTPS);
		assert_true(endpoint_equal(&x->seen[i], &want[i]));
	}
}

/* Another program has one of the places: the other is served, and when it has gone that one as well. */
static void test_in_the_way(void **state)
{
	struct fixture *x = of(state);
	struct endpoint first = at(2, DNS_TLS_PORT), second = at(3, DNS_TLS_PORT);
	struct errbuf eb = { 0 };
	int other = sock_tcp_listen(&first, &eb);
	assert_true(other >= 0);
	assert_int_equal(
		resolver_server_listen_beside(x->server, DNS_TLS_PORT, DNS_SECURE_TLS, &eb), -EADDRINUSE);
	assert_non_null(strstr(eb.text, "127.0.0.2:853"));
	assert_int_equal(count(x), 1);
	expect(x, 0, &second, DNS_SECURE_TLS);
	close(other);
	assert_int_equal(resolver_server_listen_beside(x->server, DNS_TLS_PORT, DNS_SECURE_TLS, &eb), 0);
	assert_int_equal(count(x), 2);
	expect(x, 1, &first, DNS_SECURE_TLS);
}

/* A socket that nobody can be kept from is none. */
static void test_refused(void **state)
{
	struct fixture *x = of(state);
	struct endpoint first = at(2, DNS_TLS_PORT);
	struct errbuf eb = { 0 };
	x->refuses = true;
	assert_int_equal(resolver_server_listen_beside(x->server, DNS_TLS_PORT, DNS_SECURE_TLS, &eb), -EPERM);
	assert_int_equal(count(x), 0);
	int free_again = sock_tcp_listen(&first, &eb);
	assert_true(free_again >= 0);
	close(free_again);
}

/* Where libunbound asks no door is beside. */
static void test_not_inner(void **state)
{
	struct fixture *x = of(state);
	static const char anchor[] = ". IN DS 20326 8 2 "
				     "E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n";
	char anchors[] = "/tmp/beside_test.XXXXXX";
	struct errbuf eb = { 0 };
	int fd = mkstemp(anchors);
	assert_int_equal(write(fd, anchor, strlen(anchor)), strlen(anchor));
	close(fd);
	int err = resolver_server_validate(
		x->server, &(struct resolver_validation) { .anchors = anchors }, &eb);
	unlink(anchors);
	if (err == ERR_UNSUPPORTED) {
		print_message("skipped: %s\n", eb.text);
		skip();
	}
	assert_int_equal(err, 0);
	assert_int_equal(resolver_server_listen_beside(x->server, DNS_TLS_PORT, DNS_SECURE_TLS, &eb), 0);
	assert_int_equal(count(x), 2);
}

/* What people and tools are told of it. */
static void test_told(void **state)
{
	struct fixture *x = of(state);
	static const char plain[] = "Cache: 0 KiB\n",
			  served[] = "Cache: 0 KiB\n"
				     "Clients by TLS and HTTPS: tls://127.0.0.2:853 tls://127.0.0.3:853 "
				     "https://127.0.0.2:443/dns-query https://127.0.0.3:443/dns-query\n"
				     "Not by TLS and HTTPS: there is no cake\n"
				     "Each client: 7 questions a second, 0 refused so far\n";
	struct api_dns_servers m = { 0 }, read;
	struct arena a = { 0 };
	struct buf text = { 0 }, json = { 0 };
	struct errbuf eb = { 0 };
	assert_true(report_api_clients(&a, x->server, &m));
	report_text_servers(&text, &m);
	assert_string_equal(buf_cstr(&text), plain);
	assert_true(api_dns_servers_write(&json, &m));
	assert_string_equal(buf_cstr(&json), "{\"Routes\":[],\"CacheBytes\":0}");
	buf_free(&text);
	buf_free(&json);
	assert_int_equal(resolver_server_listen_beside(x->server, DNS_TLS_PORT, DNS_SECURE_TLS, &eb), 0);
	assert_int_equal(resolver_server_listen_beside(x->server, DNS_HTTPS_PORT, DNS_SECURE_HTTPS, &eb), 0);
	assert_int_equal(resolver_server_rate(x->server, 7, &eb), 0);
	assert_true(report_api_clients(&a, x->server, &m));
	m.secure_fault = "there is no cake";
	assert_true(api_dns_servers_write(&json, &m));
	assert_int_equal(api_dns_servers_read(&a, (const char *)buf_data(&json), json.len, &read, &eb), 0);
	report_text_servers(&text, &read);
	assert_string_equal(buf_cstr(&text), served);
	buf_free(&text);
	buf_free(&json);
	arena_free(&a);
}

int main(void)
{
#define ONE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = { ONE(test_beside_all), ONE(test_in_the_way), ONE(test_refused),
		ONE(test_not_inner), ONE(test_told) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
