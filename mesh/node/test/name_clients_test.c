/* The node's resolver for clients by TLS and HTTPS, asked by another resolver's upstreams, and how many questions each may
 * ask. Addresses of one namespace stand for this machine and its containers. */
#include "mesh/netmap/test/told_map.h"
#include "mesh/node/metrics.h"
#include "mesh/node/names.h"
#include "mesh/node/node.h"
#include "mesh/node/test/local_place.h"
#include "mesh/os/file.h"
#include "mesh/os/netlink.h"
#include "mesh/os/sock.h"
#include "mesh/os/test/own_lo.h"
#include "mesh/os/test/own_ns.h"
#include "mesh/transport/stream.h"
#include "resolver/ask.h"
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { HTTPS_PORT = 8443, SEEN_MAX = 16 };

#define MAP(more) \
	"{\"Node\":{\"ID\":1,\"StableID\":\"n1\",\"Name\":\"a.mesh.test.\",\"Key\":\"nodekey:" \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"Addresses\":[\"100.64.0.1/" \
	"32\"]" more "},\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"]}}"
static const char map[] = MAP(""),
		  blocks[] = MAP(",\"CapMap\":{\"" CTL_BLOCKING_CAP
				 "\":[{\"Lists\":[{\"Name\":\"ads\",\"Names\":[\"ads.example\"]}]}]}");

struct place {
	struct names n;
	struct state_prefs prefs;
	struct netmap *map;
	char dir[64], cert[96], key[96];
};

/* Sockets that were kept to what comes in by an interface: none of them hears anybody here. */
static struct {
	struct endpoint at[SEEN_MAX];
	char dev[SEEN_MAX][16];
	size_t n;
} kept;

int __wrap_sock_arrive_on(int fd, const char *ifname);
int __wrap_sock_arrive_on(int fd, const char *ifname)
{
	assert_true(kept.n < SEEN_MAX);
	snprintf(kept.dev[kept.n], sizeof(kept.dev[0]), "%s", ifname);
	return sock_local(fd, &kept.at[kept.n++]);
}

static void nothing(void *arg)
{
	(void)arg;
}

static void certificate_make(struct place *p)
{
	static const char *const hosts[] = { "dns.test" };
	struct errbuf eb = { 0 };
	(void)unlink(p->cert);
	(void)unlink(p->key);
	if (tls_self_signed(p->cert, p->key, hosts, ARRAY_LEN(hosts), &eb))
		fail_msg("%s", eb.text);
}

static void certificate_spoil(const struct place *p)
{
	FILE *f = fopen(p->cert, "w");
	assert_non_null(f);
	fputs("no certificate\n", f);
	fclose(f);
}

static void place_open(struct place *p)
{
	static const char *const local[] = { "100.100.100.100/32", "100.64.0.1/32", "100.64.0.2/32",
		"172.18.0.2/32" };
	const struct dns_places places = { .resolv_conf = "/nonexistent/resolv.conf",
		.own_path = true,
		.uplinks = "",
		.networkmanager = "",
		.openresolv = "",
		.bus = "" };
	*p = (struct place) { .dir = "/tmp/rw-clients-XXXXXX", .n = { .prefs = &p->prefs, .guarded = true } };
	kept.n = 0;
	if (!own_ns(CLONE_NEWNET)) {
		print_message("skipped: this kernel gives no network namespace\n");
		skip();
	}
	own_lo(local, ARRAY_LEN(local));
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->cert, sizeof(p->cert), "%s/cert.pem", p->dir);
	snprintf(p->key, sizeof(p->key), "%s/key.pem", p->dir);
	certificate_make(p);
	p->n.loop = loop_new();
	p->n.os_dns = os_dns_open(p->n.loop, &places, nothing, NULL);
	p->n.clients.opt = (struct name_clients_options) {
		.certificate = p->cert, .key = p->key, .https_port = HTTPS_PORT
	};
	p->n.state_dir = p->dir;
	p->map = told_map(NULL, map);
}

static void apply(struct place *p)
{
	struct errbuf eb = { 0 };
	if (names_apply(&p->n, p->map, "lo", false, &eb) != 0)
		fail_msg("%s", eb.text);
}

static void place_end(struct place *p)
{
	netmap_put(p->map);
	names_forget(&p->n);
	assert_string_equal(p->n.clients.trouble, "");
	os_dns_close(p->n.os_dns);
	loop_free(p->n.loop);
	assert_int_equal(dir_remove(p->dir, NULL), 0);
}

struct asked {
	bool over;
	int code;
	unsigned rcode, count;
};

static void answered(void *arg, int code, const uint8_t *b, size_t len)
{
	struct asked *a = arg;
	*a = (struct asked) { .over = true, .code = code };
	if (!code && len >= 12) {
		a->rcode = b[3] & 15;
		a->count = (unsigned)(b[6] << 8 | b[7]);
	}
}

/* Is a.mesh.test told there to a client of this machine that trusts who signs for `authority`? */
static bool is_told_at(struct place *p, const struct addr *ip, enum dns_secure_by by, const char *authority)
{
	const struct dns_secure how = { .by = by, .name = "dns.test", .path = "/dns-query" };
	const struct resolver_upstream up = {
		.at = { .ip = *ip, .port = by == DNS_SECURE_TLS ? DNS_TLS_PORT : HTTPS_PORT },
		.secure = &how,
		.site = true
	};
	const struct resolver_route route = { .suffix = "", .upstreams = &up, .n_upstreams = 1 };
	const struct resolver_config c = { .routes = &route, .n_routes = 1 };
	const struct endpoint any = { .ip = addr_v4(0x7f000001) };
	struct resolver_server_options o = { .at = &any, .n = 1 };
	struct errbuf eb = { 0 };
	struct asked a = { .over = false };
	struct resolver_server *client = resolver_server_open(p->n.loop, &o, &eb);
	if (!client || resolver_server_authorities(client, authority, &eb) ||
		resolver_server_configure(client, &c, &eb))
		fail_msg("%s", eb.text);
	struct endpoint at = resolver_server_endpoint(client, 0);
	assert_non_null(dns_ask_start(p->n.loop, &at, "a.mesh.test", "A", answered, &a, &eb));
	while (!a.over)
		loop_run_once(p->n.loop);
	resolver_server_close(client);
	return !a.code && !a.rcode && a.count == 1;
}

static bool is_told(struct place *p, enum dns_secure_by by, const char *authority)
{
	return is_told_at(p, &addr_service_v4, by, authority);
}

static bool is_told_plain(struct place *p)
{
	const struct endpoint at = { .ip = addr_service_v4, .port = 53 };
	struct asked a = { .over = false };
	struct errbuf eb = { 0 };
	assert_non_null(dns_ask_start(p->n.loop, &at, "a.mesh.test", "A", answered, &a, &eb));
	while (!a.over)
		loop_run_once(p->n.loop);
	return !a.code && !a.rcode && a.count == 1;
}

static size_t doors(const struct place *p)
{
	struct endpoint at;
	enum dns_secure_by by;
	size_t n = 0;
	while (resolver_server_secure(p->n.dns, n, &at, &by))
		n++;
	return n;
}

static void test_served(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	apply(&p);
	assert_string_equal(p.n.clients.trouble, "");
	assert_true(is_told(&p, DNS_SECURE_TLS, p.cert));
	assert_true(is_told(&p, DNS_SECURE_HTTPS, p.cert));
	assert_true(is_told_plain(&p));
	assert_int_equal(doors(&p), 2);
	assert_int_equal(kept.n, 0);
	place_end(&p);
}

/* A machine that blocks for the others answers them in the mesh, by TLS and HTTPS too, and no more when it does not. */
static void test_blocks(void **state)
{
	struct addr own;
	struct place p;
	(void)state;
	place_open(&p);
	assert_true(addr_parse("100.64.0.1", &own));
	for (int i = 0; i < 2; i++) {
		netmap_put(p.map);
		p.map = told_map(NULL, i ? map : blocks);
		apply(&p);
		assert_int_equal(doors(&p), i ? 2 : 4);
		assert_true(is_told(&p, DNS_SECURE_TLS, p.cert));
		assert_int_equal(is_told_at(&p, &own, DNS_SECURE_TLS, p.cert), !i);
		assert_int_equal(is_told_at(&p, &own, DNS_SECURE_HTTPS, p.cert), !i);
	}
	place_end(&p);
}

/* Neither without a certificate, by HTTPS only where a port was given. */
static void test_not_asked_for(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	p.n.clients.opt.https_port = 0;
	apply(&p);
	assert_int_equal(doors(&p), 1);
	names_forget(&p.n);
	p.n.clients.opt = (struct name_clients_options) { 0 };
	apply(&p);
	assert_int_equal(doors(&p), 0);
	assert_true(is_told_plain(&p));
	place_end(&p);
}

/* Without a guard of the interface the sockets are kept to what this machine says to itself, as those in clear are, and
 * again when the guard is lost later. */
static void test_strangers(void **state)
{
	struct place p;
	size_t tls = 0, https = 0;
	(void)state;
	place_open(&p);
	apply(&p);
	assert_int_equal(kept.n, 0);
	p.n.guarded = false;
	apply(&p);
	assert_int_equal(doors(&p), 2);
	for (size_t i = 0; i < kept.n; i++) {
		assert_string_equal(kept.dev[i], "lo");
		tls += kept.at[i].port == DNS_TLS_PORT;
		https += kept.at[i].port == HTTPS_PORT;
	}
	assert_int_equal(tls, 1);
	assert_int_equal(https, 1);
	place_end(&p);
}

/* A certificate that cannot be used: the rest of names goes on, it is said, and another one is taken when it is there. */
static void test_certificates(void **state)
{
	struct place p;
	char before[96];
	(void)state;
	place_open(&p);
	certificate_spoil(&p);
	apply(&p);
	assert_non_null(strstr(p.n.clients.trouble, p.cert));
	assert_non_null(strstr(p.n.clients.trouble, "SIGHUP"));
	assert_int_equal(doors(&p), 0);
	assert_true(is_told_plain(&p));
	certificate_make(&p);
	names_reload(&p.n);
	assert_string_equal(p.n.clients.trouble, "");
	assert_true(is_told(&p, DNS_SECURE_TLS, p.cert));
	snprintf(before, sizeof(before), "%s/before.pem", p.dir);
	assert_int_equal(rename(p.cert, before), 0);
	certificate_make(&p);
	names_reload(&p.n);
	assert_true(is_told(&p, DNS_SECURE_TLS, p.cert));
	assert_false(is_told(&p, DNS_SECURE_TLS, before));
	assert_int_equal(rename(p.cert, before), 0);
	certificate_spoil(&p);
	names_reload(&p.n);
	assert_non_null(strstr(p.n.clients.trouble, p.cert));
	assert_true(is_told(&p, DNS_SECURE_HTTPS, before)); /* that of before serves */
	assert_int_equal(doors(&p), 2);
	place_end(&p);
}

/* A web server has the port. */
static void test_in_the_way(void **state)
{
	const struct endpoint at = { .ip = addr_service_v4, .port = HTTPS_PORT };
	struct errbuf eb = { 0 };
	struct place p;
	(void)state;
	place_open(&p);
	int other = sock_tcp_listen(&at, &eb);
	assert_true(other >= 0);
	apply(&p);
	assert_non_null(strstr(p.n.clients.trouble, "by HTTPS: "));
	assert_non_null(strstr(p.n.clients.trouble, "100.100.100.100:8443"));
	assert_true(is_told(&p, DNS_SECURE_TLS, p.cert));
	close(other);
	names_reload(&p.n);
	assert_string_equal(p.n.clients.trouble, "");
	assert_true(is_told(&p, DNS_SECURE_HTTPS, p.cert));
	place_end(&p);
}

/* So many questions from there by UDP; how many of the answers say REFUSED. */
static unsigned refused(struct place *p, const char *from, unsigned n)
{
	static const uint8_t q[] = "\0\1\1\0\0\1\0\0\0\0\0\0\1a\4mesh\4test\0\0\1\0\1";
	struct sockaddr_storage ss;
	const struct endpoint to = { .ip = addr_service_v4, .port = 53 };
	struct endpoint at = { 0 };
	struct errbuf eb = { 0 };
	unsigned count = 0;
	assert_true(addr_parse(from, &at.ip));
	int fd = sock_udp(&at, &eb);
	socklen_t len = endpoint_to_sockaddr(&to, false, &ss);
	for (unsigned i = 0; i < n; i++) {
		uint8_t got[512];
		ssize_t k;
		assert_int_equal(sendto(fd, q, sizeof(q) - 1, 0, (struct sockaddr *)&ss, len), sizeof(q) - 1);
		while ((k = recv(fd, got, sizeof(got), MSG_DONTWAIT)) < 0)
			loop_run_once(p->n.loop);
		assert_true(k >= 12);
		count += (got[3] & 15) == 5;
	}
	close(fd);
	return count;
}

/* A container that asks without end is told to stop; the machine itself, at whichever of its addresses, is not. */
static void test_rate(void **state)
{
	enum { MANY = 60 };
	struct place p;
	(void)state;
	place_open(&p);
	p.n.clients.opt.per_s = 1;
	apply(&p);
	assert_int_equal(refused(&p, "100.100.100.100", MANY), 0);
	assert_int_equal(refused(&p, "127.0.0.1", MANY), 0);
	assert_int_equal(refused(&p, "100.64.0.1", MANY), 0);
	assert_int_equal(resolver_server_stats(p.n.dns)->rate_limited, 0);
	unsigned of = refused(&p, "172.18.0.2", MANY); /* a slow machine gives some back meanwhile */
	assert_in_range(of, 1, MANY - 10);
	assert_int_equal(resolver_server_stats(p.n.dns)->rate_limited, of);
	assert_in_range(refused(&p, "100.64.0.2", MANY), 1, MANY - 10); /* nor a machine of the mesh */
	place_end(&p);
}

/* ---- what is told of it ---- */

static void test_told(void **state)
{
	struct local_place p;
	struct local_answer got;
	struct buf text = { 0 };
	struct errbuf eb = { 0 };
	const struct endpoint at = { .ip = addr_v4(0x7f000001) };
	struct resolver_server_options o = { .at = &at, .n = 1 };
	(void)state;
	local_place_make(&p);
	struct names *n = &p.n->names;
	assert_true(metrics_write(p.n, &text));
	assert_null(strstr(buf_cstr(&text), "ropewalk_resolver_"));
	buf_free(&text);
	assert_non_null(n->dns = resolver_server_open(p.n->loop, &o, &eb));
	n->clients.opt = (struct name_clients_options) {
		.certificate = "/nonexistent/c.pem", .key = "/nonexistent/k.pem", .per_s = 20
	};
	name_clients_serve(&n->clients, n->dns);
	assert_true(metrics_write(p.n, &text));
	assert_non_null(strstr(buf_cstr(&text), "\nropewalk_resolver_rate_limited_total 0\n"));
	assert_non_null(strstr(buf_cstr(&text), "\nropewalk_resolver_queries_total 0\n"));
	local_ask(&p, &(struct local_question) { .method = "GET", .target = API "dns-servers" }, &got);
	assert_int_equal(got.status, 200);
	assert_non_null(strstr(got.body, "\"SecureFault\":\"clients of the resolver by TLS: "));
	assert_non_null(strstr(got.body, "/nonexistent/c.pem"));
	assert_non_null(strstr(got.body, "\"RateLimit\":20"));
	local_ask(&p, &(struct local_question) { .method = "GET", .target = API "status" }, &got);
	assert_non_null(strstr(got.body, "clients of the resolver by TLS: ")); /* among what is wrong */
	buf_free(&text);
	resolver_server_close(n->dns);
	n->dns = NULL;
	local_place_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_served), cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_not_asked_for), cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_certificates), cmocka_unit_test(test_in_the_way),
		cmocka_unit_test(test_rate), cmocka_unit_test(test_told) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
