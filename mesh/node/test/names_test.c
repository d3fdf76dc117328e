#include "mesh/node/names.h"
#include "mesh/base/wire.h"
#include "mesh/base/dns_secure.h"
#include "resolver/ask.h"
#include "resolver/report.h"
#include "mesh/node/host/os_dns.h"
#include "mesh/os/test/own_ns.h"
#include "mesh/os/file.h"
#include "mesh/os/netlink.h"
#include "mesh/os/sock.h"
#include "mesh/node/portal_names.h"
#include "mesh/transport/proxy.h"
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define EXPIRED "\"Expired\":true,"
#define KEY(c) "nodekey:" c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c
#define NODES \
	SELF_WITH("") \
	",\"Peers\":[{\"ID\":2,\"StableID\":\"n2\",\"Name\":\"b.mesh.test.\",\"Key\":\"" KEY( \
		"bb") "\",\"Addresses\":[\"100.64.0.2/32\"]}]"
#define SELF_WITH(more) \
	"\"Node\":{" more "\"ID\":1,\"StableID\":\"n1\",\"Name\":\"a.mesh.test.\",\"Key\":\"" KEY( \
		"aa") "\",\"Addresses\":[\"100.64.0.1/32\",\"fd7a:115c:a1e0::1/128\"]}"

/* An upstream that knows nothing, or one address for whatever is asked, and counts who asks. */
struct upstream {
	int fd;
	struct loop_fd *watch;
	int asked;
	bool knows;
	bool ring; /* sends what it is asked on to the node's resolver, as a dnsmasq does that reads
		      resolv.conf */
};
#define SERVERS(X) \
	X(corp, "127.0.0.9:53") \
	X(fallback, "127.0.0.8:53") \
	X(own, "127.0.0.7:53") \
	X(peer, "100.64.0.2:53") \
	X(self, "100.64.0.1:53")

struct place {
	char dir[64], resolv[96];
	struct names n;
	struct state_prefs prefs;
#define X(name, at) struct upstream name;
	SERVERS(X)
#undef X
};

static const struct endpoint resolver_at = { .ip = { .b = { [10] = 0xff, 0xff, 100, 100, 100, 100 } },
	.port = 53 };

static void answer_nothing(void *arg, int events)
{
	struct upstream *u = arg;
	struct sockaddr_storage from;
	socklen_t n = sizeof(from);
	uint8_t b[1500];
	(void)events;
	ssize_t len = recvfrom(u->fd, b, sizeof(b), 0, (struct sockaddr *)&from, &n);
	if (len < 12 || b[2] & 0x80)
		return;
	u->asked++;
	if (u->ring) {
		struct endpoint service = { .ip = addr_service_v4, .port = 53 };
		n = endpoint_to_sockaddr(&service, false, &from);
		sendto(u->fd, b, (size_t)len, 0, (struct sockaddr *)&from, n);
		return;
	}
	b[2] |= 0x80;
	b[3] = 0x80;
	if (u->knows) {
		static const uint8_t record[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 198, 51, 100, 7 };
		size_t at = 12;
		while (b[at])
			at += b[at] + 1u;
		memcpy(b + at + 5, record, sizeof(record));
		len = (ssize_t)(at + 5 + sizeof(record));
		b[7] = 1;
		b[11] = 0;
	}
	sendto(u->fd, b, (size_t)len, 0, (struct sockaddr *)&from, n);
}

static void upstream_open(struct upstream *u, struct loop *l, const char *at)
{
	struct endpoint e;
	struct errbuf eb;
	assert_true(endpoint_parse(at, &e));
	u->fd = sock_udp(&e, &eb);
	if (u->fd < 0)
		fail_msg("%s", eb.text);
	u->watch = loop_fd_new(l, u->fd, answer_nothing, u);
	loop_fd_set(u->watch, LOOP_READ);
}

static void upstream_close(struct upstream *u)
{
	loop_fd_free(u->watch);
	close(u->fd);
}

static void nothing(void *arg)
{
	(void)arg;
}

static struct place *place_make(void)
{
	struct errbuf eb = { 0 };
	static const char *const local[] = { "100.100.100.100/32", "100.64.0.1/32", "100.64.0.2/32" };
	if (!own_ns(CLONE_NEWNET)) {
		print_message("skipped: this kernel gives no network namespace\n");
		skip();
	}
	struct place *p = calloc(1, sizeof(*p));
	struct nl *nl = nl_open(&eb);
	int lo = nl_link_index(nl, "lo");
	assert_int_equal(nl_link_up(nl, lo, true, &eb), 0);
	for (size_t i = 0; i < ARRAY_LEN(local); i++) {
		struct prefix a;
		assert_true(prefix_parse(local[i], &a));
		assert_int_equal(nl_addr_add(nl, lo, &a, &eb), 0);
	}
	nl_close(nl);
	strcpy(p->dir, "/tmp/rw-names-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->resolv, sizeof(p->resolv), "%s/resolv.conf", p->dir);
	p->n.loop = loop_new();
	p->n.prefs = &p->prefs;
	p->prefs.accept_dns = true;
#define X(name, at) upstream_open(&p->name, p->n.loop, at);
	SERVERS(X)
#undef X
	return p;
}

static void place_end(struct place *p)
{
	names_forget(&p->n);
	os_dns_close(p->n.os_dns);
#define X(name, at) upstream_close(&p->name);
	SERVERS(X)
#undef X
	loop_free(p->n.loop);
	assert_int_equal(dir_remove(p->dir, NULL), 0);
	free(p);
}

static void use_map_after(struct place *p, const char *json, const struct netmap *before)
{
	struct arena a = { 0 };
	struct ctl_map_response m;
	struct errbuf eb = { 0 };
	if (ctl_map_response_read(&a, json, strlen(json), &m, &eb) != 0)
		fail_msg("%s", eb.text);
	struct netmap *next = netmap_apply(before, &m, 0, &eb);
	if (!next) {
		fail_msg("%s", eb.text);
		return;
	}
	const struct dns_places places = { .resolv_conf = p->resolv,
		.own_path = true,
		.uplinks = "",
		.networkmanager = "",
		.openresolv = "",
		.bus = "" };
	if (!p->n.os_dns)
		p->n.os_dns = os_dns_open(p->n.loop, &places, nothing, NULL);
	(void)names_apply(
		&p->n, next, "", netmap_peer_expired(next->self, clock_unix_ms()), &eb); /* no_dns says */
	netmap_put(next);
	arena_free(&a);
}

static void use_map(struct place *p, const char *json)
{
	use_map_after(p, json, NULL);
}

struct answer {
	int code, rcode, count;
	bool over;
};

static void answered(void *arg, int code, const uint8_t *b, size_t len)
{
	struct answer *a = arg;
	*a = (struct answer) { .code = code, .over = true };
	if (!code && len >= 12) {
		a->rcode = b[3] & 15;
		a->count = (int)be_get(b + 6, 2);
	}
}

static struct answer ask(struct place *p, const char *name, const char *type)
{
	struct answer a = { 0 };
	struct errbuf eb = { 0 };
	if (!dns_ask_start(p->n.loop, &resolver_at, name, type, answered, &a, &eb))
		fail_msg("%s", eb.text);
	while (!a.over)
		loop_run_once(p->n.loop);
	return a;
}

static void test_zone_and_routes(void **state)
{
	static const struct {
		const char *name, *type;
		int rcode, count;
	} rows[] = {
		{ "a.mesh.test", "A", 0, 1 },
		{ "A.Mesh.Test.", "AAAA", 0, 1 },
		{ "b.mesh.test", "A", 0, 1 },
		{ "b.mesh.test", "AAAA", 0, 0 },
		{ "none.mesh.test", "A", 3, 0 },
		{ "2.0.64.100.in-addr.arpa", "PTR", 0, 1 },
		{ "9.0.64.100.in-addr.arpa", "PTR", 3, 0 },
		{ "extra.mesh.test", "A", 0, 1 },
		{ "six.other.test", "AAAA", 0, 1 },
		{ "x.closed.test", "A", 3, 0 },
		{ "alias.mesh.test", "AAAA", 0, 2 },
		{ "mesh.test", "TXT", 0, 1 },
		{ "any.wild.mesh.test", "A", 0, 1 },
		{ "wild.mesh.test", "A", 0, 0 },
		{ "_sip._tcp.mesh.test", "SRV", 0, 1 },
		{ "10-1-1-16-via-7.mesh.test", "AAAA", 0, 1 },
		{ "10-1-1-16-Via-0x7.Mesh.test", "AAAA", 0, 1 },
		{ "10-1-1-16-via-7.mesh.test", "A", 0, 0 },
		{ "10-1-1-16-via-99999.mesh.test", "AAAA", 3, 0 },
		{ "10-1-1-16-via-7.x.mesh.test", "AAAA", 3, 0 },
		{ "10-1-1-16-via-7.x.mesh.test", "A", 3, 0 },
		/* B39 */
		{ "100.100.100.100.in-addr.arpa", "PTR", 0, 1 },
		{ "3.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa", "PTR", 0, 1 },
		{ "resolver.ropewalk.internal", "A", 0, 1 },
		{ "resolver.ropewalk.internal", "AAAA", 0, 1 },
	};
	struct place *p = place_make();
	(void)state;
	use_map(p, "{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],"
		   "\"Routes\":{\"corp.test\":[{\"Addr\":\"127.0.0.9\"}],\"closed.test\":[]},"
		   "\"ExtraRecords\":[{\"Name\":\"extra.mesh.test\",\"Value\":\"100.64.0.9\"},"
		   "{\"Name\":\"six.other.test\",\"Type\":\"AAAA\",\"Value\":\"fd00::1\"},"
		   "{\"Name\":\"alias.mesh.test\",\"Type\":\"CNAME\",\"Value\":\"a.mesh.test.\"},"
		   "{\"Name\":\"mesh.test\",\"Type\":\"TXT\",\"Value\":\"hello\"},"
		   "{\"Name\":\"*.wild.mesh.test\",\"Value\":\"100.64.0.9\"},"
		   "{\"Name\":\"_sip._tcp.mesh.test\",\"Type\":\"SRV\",\"Value\":\"0 5 5060 a.mesh.test.\"},"
		   "{\"Name\":\"bad.other.test\",\"Type\":\"MX\",\"Value\":\"x\"}],"
		   "\"FallbackResolvers\":[{\"Addr\":\"127.0.0.8\"}]}}");
	assert_string_equal(p->n.no_dns, "");
	assert_non_null(strstr(p->n.odd_dns, "bad.other.test"));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct answer a = ask(p, rows[i].name, rows[i].type);
		if (a.code || a.rcode != rows[i].rcode || a.count != rows[i].count)
			fail_msg("row %zu: code %d rcode %d, %d records", i, a.code, a.rcode, a.count);
	}
	assert_int_equal(p->corp.asked + p->fallback.asked, 0);
	ask(p, "host.corp.test", "A");
	assert_true(p->corp.asked > 0 && p->fallback.asked == 0);
	ask(p, "example.com", "A");
	assert_true(p->fallback.asked > 0);
	place_end(p);
}

/* The machine's own nameserver is asked before the server's fallback, and follows the machine's file. */
static void test_own_before_fallback(void **state)
{
	struct place *p = place_make();
	struct errbuf eb;
	(void)state;
	FILE *f = fopen(p->resolv, "w");
	fputs("nameserver 127.0.0.7\n", f);
	fclose(f);
	use_map(p, "{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],"
		   "\"FallbackResolvers\":[{\"Addr\":\"127.0.0.8\"}]}}");
	assert_true(os_dns_active(p->n.os_dns));
	ask(p, "example.com", "A");
	assert_true(p->own.asked > 0 && p->fallback.asked == 0);
	/* Not wanted any more: the file is the machine's own again. */
	p->prefs.accept_dns = false;
	assert_int_equal(names_apply(&p->n, p->n.map, "", false, &eb), 0);
	assert_false(os_dns_active(p->n.os_dns));
	place_end(p);
}

/* Under an exit the machine's own nameservers, which are of the place, hear of the server's name alone; and the
 * resolver is pointed at though the map has no settings. */
static void test_exit(void **state)
{
	struct place *p = place_make();
	(void)state;
	FILE *f = fopen(p->resolv, "w");
	fputs("nameserver 127.0.0.7\n", f);
	fclose(f);
	strcpy(p->prefs.exit_node, "fra");
	strcpy(p->prefs.control_url, "https://ctl.example.net");
	struct proxies *by = proxies_new("http://proxy.example:3128", NULL, NULL);
	p->n.proxies = by; /* by which the server is reached */
	use_map(p, "{" NODES ",\"DNSConfig\":{\"FallbackResolvers\":[{\"Addr\":\"127.0.0.8\"}]}}");
	assert_true(os_dns_active(p->n.os_dns));
	ask(p, "example.com", "A");
	ask(p, "nas.home.arpa", "A");
	assert_true(p->own.asked == 0 && p->fallback.asked > 0);
	ask(p, "ctl.example.net", "A");
	ask(p, "proxy.example", "A");
	assert_int_equal(p->own.asked, 2);
	assert_string_equal(p->n.odd_dns, "");
	/* C26: a nameserver that the network names goes on to be asked, here one of the mesh */
	use_map(p, "{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Resolvers\":[{\"Addr\":\"127.0.0.9\"}]}}");
	ask(p, "example.net", "A");
	ask(p, "captive.apple.com", "A");
	assert_int_equal(p->corp.asked, 2);
	use_map(p, "{" NODES ",\"DNSConfig\":{\"Proxied\":true}}");
	assert_int_equal(ask(p, "example.org", "A").rcode, 2);
	assert_int_equal(p->own.asked, 2);
	assert_non_null(strstr(p->n.odd_dns, "uses an exit"));
	place_end(p);
	proxies_free(by);
}

static void check_default(struct place *p, const char *want)
{
	struct resolver_route_report r;
	char text[DNS_SECURE_TEXT];
	struct resolver *core = resolver_server_core(p->n.dns);
	for (size_t i = 0; resolver_route_report(core, 0, i, &r); i++) {
		if (r.site || strcmp(r.suffix, ".") != 0)
			continue;
		assert_int_equal(r.n, 1);
		assert_string_equal(resolver_server_text(&r.servers[0], text), want);
		return;
	}
	fail_msg("no default route");
}

/* An exit that resolves names is asked for those of the internet, before the fallback and after what the network names;
 * one that does not say it must be new enough. */
static void test_exit_names(void **state)
{
#define EXIT(more, dns) \
	"{" SELF_WITH("") ",\"Peers\":[{\"ID\":3,\"StableID\":\"n3\",\"Name\":\"fra.mesh.test.\",\"Key\":" \
			  "\"" KEY("cc") "\",\"Addresses\":[\"100.64.0.2/32\"]," more \
					 "}],\"DNSConfig\":{" dns "}}"
#define ALL "\"AllowedIPs\":[\"100.64.0.2/32\",\"0.0.0.0/0\",\"::/0\"]"
#define API "{\"Proto\":\"peerapi4\",\"Port\":4242}"
#define PROXY ",{\"Proto\":\"peerapi-dns-proxy\",\"Port\":1}"
#define SERVICES(list) ",\"Hostinfo\":{\"Services\":[" list "]}"
#define FALLBACK "\"FallbackResolvers\":[{\"Addr\":\"127.0.0.8\"}]"
	static const struct {
		const char *map, *want;
	} rows[] = {
		{ EXIT(ALL SERVICES(API PROXY), FALLBACK), "http://100.64.0.2:4242/dns-query" },
		{ EXIT(ALL ",\"Cap\":26" SERVICES(API), FALLBACK), "http://100.64.0.2:4242/dns-query" },
		{ EXIT(ALL ",\"Cap\":25" SERVICES(API), FALLBACK), "127.0.0.8:53" },
		{ EXIT(ALL SERVICES(""), FALLBACK), "127.0.0.8:53" },
		{ EXIT("\"AllowedIPs\":[\"100.64.0.2/32\"]" SERVICES(API PROXY), FALLBACK), "127.0.0.8:53" },
		{ EXIT(ALL SERVICES(API PROXY), FALLBACK ",\"Resolvers\":[{\"Addr\":\"127.0.0.9\"}]"),
			"127.0.0.9:53" },
	};
	struct place *p = place_make();
	(void)state;
	strcpy(p->prefs.exit_node, "fra");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		use_map(p, rows[i].map);
		assert_string_equal(p->n.odd_dns, "");
		check_default(p, rows[i].want);
	}
	place_end(p);
}

/* Issue: joining takes no name of the LAN away: they go to the machine's own nameservers, with a global
 * nameserver and without one, and to the global one never. One route without sense is one bad item. */
static void test_site(void **state)
{
	static const char *const global[] = { "", "\"Resolvers\":[{\"Addr\":\"127.0.0.8\"}]," };
	static const char *const names[] = { "nas.home.arpa", "nas", "dc1.corp.local", "vm.internal",
		"svc.test" };
	struct place *p = place_make();
	char json[4096];
	(void)state;
	FILE *f = fopen(p->resolv, "w");
	fputs("nameserver 127.0.0.7\n", f);
	fclose(f);
	for (size_t g = 0; g < ARRAY_LEN(global); g++) {
		snprintf(json, sizeof(json),
			"{%s,\"DNSConfig\":{%s\"Proxied\":true,\"Domains\":[\"mesh.example\"],"
			"\"Routes\":{\"a..b\":[{\"Addr\":\"127.0.0.9\"}],\"corp.example\":[{\"Addr\":\"127.0."
			"0.9\"}],"
			"\"Corp.Example.\":[{\"Addr\":\"127.0.0.8\"}]}}}",
			NODES, global[g]);
		use_map(p, json);
		assert_string_equal(p->n.no_dns, "");
		assert_non_null(strstr(p->n.odd_dns, "a..b"));
		int asked = p->own.asked, elsewhere = p->fallback.asked;
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			assert_int_equal(ask(p, names[i] + g, "A").rcode, 0); /* another name each time */
		assert_int_equal(p->own.asked - asked, ARRAY_LEN(names));
		assert_int_equal(p->fallback.asked, elsewhere);
		ask(p, g ? "a.corp.example" : "b.corp.example", "A");
		assert_int_equal(p->corp.asked, g + 1);
	}
	place_end(p);
}

static size_t routes_of(const struct place *p)
{
	struct resolver_route_report r;
	size_t n = 0;
	for (size_t i = 0; resolver_route_report(resolver_server_core(p->n.dns), 0, i, &r); i++)
		n += !r.site;
	return n;
}

/* However many relays there are, their names do not hang on the mesh's nameservers; nor do the server's, a new server's,
 * those of both proxies and of the translator, and all portals find their place beside them. */
static void test_many_relays(void **state)
{
	enum { RELAYS = 200, OTHERS = 5 };
	static char json[40000];
	struct place *p = place_make();
	struct proxies *by = proxies_new("http://proxy.example:3128", "http://plain.example:3128", NULL);
	(void)state;
	p->n.proxies = by;
	strcpy(p->prefs.control_url, "https://ctl.example.net");
	strcpy(p->n.trying, "new.example.net");
	FILE *f = fopen(p->resolv, "w");
	fputs("nameserver 127.0.0.7\n", f);
	fclose(f);
	size_t at = (size_t)sprintf(json,
		"{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],"
		"\"Resolvers\":[{\"Addr\":\"127.0.0.8\"}]},\"DERPMap\":{\"Regions\":"
		"{\"1\":{\"RegionID\":1,\"RegionCode\":\"r\",\"Nodes\":[");
	for (unsigned i = 0; i < RELAYS; i++)
		at += (size_t)sprintf(json + at,
			"%s{\"Name\":\"%u\",\"RegionID\":1,\"HostName\":\"relay-%u.example\"}", i ? "," : "",
			i, i);
	sprintf(json + at, "]}}}}");
	use_map(p, json);
	assert_int_equal(routes_of(p), RELAYS + OTHERS + portal_names_n + 1);
	for (unsigned i = 0; i < RELAYS; i += RELAYS - 1) {
		char name[64];
		int asked = p->own.asked;
		sprintf(name, "Relay-%u.example", i);
		ask(p, name, "A");
		assert_int_equal(p->own.asked, asked + 1);
		assert_int_equal(p->fallback.asked, 0);
	}
	ask(p, "relay.example", "A");
	assert_int_equal(p->fallback.asked, 1);
	place_end(p);
	proxies_free(by);
}

/* C5: the machine's own nameserver asks us again: the ring is named, and costs two questions. */
static void test_ring(void **state)
{
	struct place *p = place_make();
	char text[256];
	(void)state;
	FILE *f = fopen(p->resolv, "w");
	fputs("nameserver 127.0.0.7\n", f);
	fclose(f);
	use_map(p, "{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"]}}");
	assert_false(names_ring(&p->n, text, sizeof(text)));
	p->own.ring = true;
	assert_int_equal(ask(p, "one.example.com", "A").rcode, 2);
	assert_true(names_ring(&p->n, text, sizeof(text)));
	assert_non_null(strstr(text, "127.0.0.7:53"));
	int asked = p->own.asked;
	assert_in_range(asked, 2, 6);
	assert_int_equal(ask(p, "two.example.com", "A").rcode, 2);
	assert_int_equal(p->own.asked, asked);
	assert_int_equal(ask(p, "b.mesh.test", "A").count, 1);
	place_end(p);
}

/* A route for "." is the default route, whatever else is one; it does not turn the names off. */
static void test_root_route(void **state)
{
	struct place *p = place_make();
	(void)state;
	use_map(p,
		"{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],"
		"\"Resolvers\":[{\"Addr\":\"127.0.0.8\"}],\"Routes\":{\".\":[{\"Addr\":\"127.0.0.9\"}]}}}");
	assert_string_equal(p->n.no_dns, "");
	ask(p, "example.com", "A");
	assert_true(p->corp.asked > 0 && p->fallback.asked == 0);
	place_end(p);
}

/* A nameserver by HTTPS at the addresses that the server gives, a known one by HTTPS first. */
static void test_secure_servers(void **state)
{
	struct place *p = place_make();
	struct resolver_route_report r = { 0 };
	char text[DNS_SECURE_TEXT];
	static const char *const want[] = { "https://dns.example/q at 192.0.2.7:443",
		"https://dns.quad9.net/dns-query at 9.9.9.9:443", "9.9.9.9:53" };
	(void)state;
	use_map(p,
		"{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],"
		"\"Resolvers\":[{\"Addr\":\"https://dns.example/q\",\"BootstrapResolution\":[\"192.0.2.7\"]},"
		"{\"Addr\":\"9.9.9.9\"}]}}");
	const struct resolver *core = resolver_server_core(p->n.dns);
	size_t i = 0;
	do
		assert_true(resolver_route_report(core, 0, i++, &r));
	while (strcmp(r.suffix, ".") != 0);
	assert_int_equal(r.n, ARRAY_LEN(want));
	for (i = 0; i < ARRAY_LEN(want); i++)
		assert_string_equal(resolver_server_text(&r.servers[i], text), want[i]);
	assert_string_equal(endpoint_format(&r.servers[0].at, text), "192.0.2.7:443");
	place_end(p);
}

/* C33: whatever the map says about DNS reaches the machine; a map that says nothing leaves it alone. */
static void test_what_points_the_machine(void **state)
{
	static const struct {
		const char *dns;
		bool active;
	} rows[] = {
		{ "{}", false },
		{ "{\"FallbackResolvers\":[{\"Addr\":\"127.0.0.8\"}]}", false },
		{ "{\"Domains\":[\"mesh.test\"]}", false },
		{ "{\"Proxied\":true}", true },
		{ "{\"Resolvers\":[{\"Addr\":\"127.0.0.8\"}]}", true },
		{ "{\"Routes\":{\"corp.test\":[{\"Addr\":\"127.0.0.9\"}]}}", true },
		{ "{\"ExtraRecords\":[{\"Name\":\"x.test\",\"Value\":\"192.0.2.1\"}]}", true },
	};
	struct place *p = place_make();
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char json[2048];
		snprintf(json, sizeof(json), "{%s,\"DNSConfig\":%s}", NODES, rows[i].dns);
		use_map(p, json);
		if (os_dns_active(p->n.os_dns) != rows[i].active)
			fail_msg("%s", rows[i].dns);
	}
	place_end(p);
}

/* B42: an expired key takes the mesh's nameservers out of reach; the machine must not be left without. The
 * server names no peers then: the names stay as they were. */
static void test_expired(void **state)
{
	static const char dns[] = ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],"
				  "\"Resolvers\":[{\"Addr\":\"127.0.0.8\"}]}}";
	char json[4096];
	struct place *p = place_make();
	(void)state;
	FILE *f = fopen(p->resolv, "w");
	fputs("nameserver 127.0.0.7\n", f);
	fclose(f);
	for (int expired = 0; expired < 2; expired++) {
		snprintf(json, sizeof(json), "{%s%s", expired ? SELF_WITH(EXPIRED) : NODES, dns);
		use_map(p, json);
		assert_int_equal(os_dns_active(p->n.os_dns), !expired);
		assert_int_equal(ask(p, "b.mesh.test", "A").count, 1);
		ask(p, expired ? "one.example" : "two.example", "A");
		assert_int_equal(p->fallback.asked, 1);
		assert_int_equal(p->own.asked, expired);
		names_trying(&p->n, "other.example"); /* changes nothing of that */
		ask(p, expired ? "three.example" : "four.example", "A");
		assert_int_equal(p->fallback.asked, expired ? 1 : 2);
		p->fallback.asked = 1;
		p->own.asked = expired;
	}
	place_end(p);
}

/* A resolv.conf that cannot be written is said, and the names are served all the same. */
static void test_no_file(void **state)
{
	struct place *p = place_make();
	(void)state;
	snprintf(p->resolv, sizeof(p->resolv), "%s/none/resolv.conf", p->dir);
	use_map(p, "{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"]}}");
	assert_non_null(strstr(p->n.no_dns, "resolv.conf"));
	assert_int_equal(ask(p, "b.mesh.test", "A").count, 1);
	place_end(p);
}

/* An answer of any length comes whole, and what cannot be asked is said. */
static void test_long_answer(void **state)
{
	static const char *const bad[][2] = { { "a..b", "A" }, { "a.b", "NOPE" }, { "", "A" } };
	char json[8000] =
		"{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],\"ExtraRecords\":[";
	struct place *p = place_make();
	struct errbuf eb = { 0 };
	(void)state;
	for (unsigned i = 0; i < 100; i++)
		sprintf(json + strlen(json), "%s{\"Name\":\"many.mesh.test\",\"Value\":\"192.0.2.%u\"}",
			i ? "," : "", i);
	strcat(json, "]}}");
	use_map(p, json);
	assert_int_equal(ask(p, "many.mesh.test", "A").count, 100);
	assert_int_equal(ask(p, "many.mesh.test", "TYPE65280").rcode, 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_null(
			dns_ask_start(p->n.loop, &resolver_at, bad[i][0], bad[i][1], answered, NULL, &eb));
		assert_int_equal(eb.code, ERR_MALFORMED);
	}
	place_end(p);
}

/* B71: a nameserver of the mesh is asked through the tunnel or not at all, even where the network around
 * leads to one of its address. This machine itself needs no tunnel. */
static void test_mesh_server_stays_in(void **state)
{
	struct place *p = place_make();
	(void)state;
	use_map(p, "{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],"
		   "\"Routes\":{\"self.test\":[{\"Addr\":\"100.64.0.1\"}]},"
		   "\"Resolvers\":[{\"Addr\":\"100.64.0.2\"}]}}");
	assert_int_equal(ask(p, "example.com", "A").rcode, 2);
	assert_int_equal(p->peer.asked, 0);
	assert_int_equal(ask(p, "x.self.test", "A").rcode, 0);
	assert_int_equal(p->self.asked, 1);
	place_end(p);
}

/* A machine without IPv4: whoever knows the translator is of the place, and names that have IPv4 alone get an address of
 * it, but not where they lead out elsewhere. */
static void test_nat64(void **state)
{
	static const char map[] = "{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],"
				  "\"Resolvers\":[{\"Addr\":\"127.0.0.9\"}]}}";
	const struct nat64 none = { .bits = 0 };
	struct place *p = place_make();
	struct nat64 prefix;
	(void)state;
	assert_true(nat64_parse("64:ff9b::/96", &prefix));
	assert_int_equal(file_write_atomic(p->resolv, 0644, "nameserver 127.0.0.7\n", 21, NULL), 0);
	p->corp.knows = true;
	use_map(p, map);
	ask(p, NAT64_NAME, "AAAA");
	assert_int_equal(p->corp.asked, 0);
	assert_int_equal(p->own.asked, 1);
	assert_int_equal(ask(p, "www.example.com", "AAAA").count, 0);
	names_nat64_set(&p->n, &prefix);
	assert_int_equal(ask(p, "www.example.com", "AAAA").count, 1);
	assert_int_equal(ask(p, "b.mesh.test", "AAAA").count, 0);
	strcpy(p->prefs.exit_node, "n2");
	use_map(p, map);
	assert_int_equal(ask(p, "www.example.com", "AAAA").count, 0);
	p->prefs.exit_node[0] = 0;
	use_map(p, map);
	assert_int_equal(ask(p, "www.example.com", "AAAA").count, 1);
	names_nat64_set(&p->n, &none);
	assert_int_equal(ask(p, "www.example.com", "AAAA").count, 0);
	place_end(p);
}

/* Over a restart the network's nameservers need not be asked again; what those of the place say stays there. */
static void test_kept(void **state)
{
	static const char map[] = "{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],"
				  "\"Routes\":{\"corp.test\":[{\"Addr\":\"127.0.0.9\"}]}}}";
	struct place *p = place_make();
	char file[128];
	(void)state;
	p->n.state_dir = p->dir;
	snprintf(file, sizeof(file), "%s/" KEEPER_FILE, p->dir);
	assert_int_equal(file_write_atomic(p->resolv, 0644, "nameserver 127.0.0.7\n", 21, NULL), 0);
	assert_true(names_keep(&p->n, true));
	p->corp.knows = p->own.knows = true;
	for (int i = 1; i <= 2; i++) {
		use_map(p, map);
		assert_int_equal(ask(p, "host.corp.test", "A").count, 1);
		assert_int_equal(p->corp.asked, 1);
		assert_int_equal(ask(p, "www.example.com", "A").count, 1);
		assert_int_equal(p->own.asked, i);
		names_forget(&p->n);
		assert_int_equal(access(file, F_OK), 0);
	}
	/* its sockets are opened anew: the next has what it heard, and no file is written for that */
	use_map(p, map);
	assert_int_equal(ask(p, "new.corp.test", "A").count, 1);
	assert_int_equal(p->corp.asked, 2);
	assert_int_equal(unlink(file), 0);
	for (int i = 0; i < 2; i++) {
		p->n.guarded = !p->n.guarded;
		use_map(p, map);
		assert_true(p->n.open_guarded == p->n.guarded);
	}
	assert_int_equal(ask(p, "new.corp.test", "A").count, 1);
	assert_int_equal(ask(p, "host.corp.test", "A").count, 1);
	assert_int_equal(p->corp.asked, 2);
	assert_int_not_equal(access(file, F_OK), 0);
	names_forget(&p->n);
	assert_int_equal(access(file, F_OK), 0);
	keeper_forget(p->n.keeper); /* the network was left */
	assert_int_not_equal(access(file, F_OK), 0);
	use_map(p, map);
	ask(p, "host.corp.test", "A");
	assert_int_equal(p->corp.asked, 3);
	names_forget(&p->n);
	names_keep_end(&p->n);
	assert_int_equal(access(file, F_OK), 0);
	assert_true(names_keep(&p->n, false));
	assert_int_not_equal(access(file, F_OK), 0);
	place_end(p);
}

/* One peer's change is a change of its names alone: the zone is the same one, and says what the map says. */
static void test_peers_change(void **state)
{
#define PEER(id, name, ip) \
	"{\"ID\":" id ",\"StableID\":\"n" id "\",\"Name\":\"" name \
	"\",\"Key\":\"" KEY("b" id) "\",\"Addresses\":[\"" ip "/32\"]}"
	static const struct {
		const char *delta;
		const char *names[4]; /* of 100.64.0.2, .3, .4; of nobody any more */
	} rows[] = {
		{ "{\"PeersChanged\":[" PEER("3", "c.mesh.test.", "100.64.0.3") "]}",
			{ "b.mesh.test", "c.mesh.test", NULL, "d.mesh.test" } },
		{ "{\"PeersChanged\":[" PEER("2", "c.mesh.test.", "100.64.0.2") "," PEER(
			  "3", "b.mesh.test.", "100.64.0.3") "]}",
			{ "c.mesh.test", "b.mesh.test", NULL, "d.mesh.test" } },
		{ "{\"PeersRemoved\":[2],\"PeersChanged\":[" PEER("4", "d.mesh.test.", "100.64.0.4") "]}",
			{ NULL, "b.mesh.test", "d.mesh.test", "c.mesh.test" } },
		/* one that is told to have what b has, for a while */
		{ "{\"PeersChanged\":[" PEER("5", "e.mesh.test.", "100.64.0.3") "]}",
			{ NULL, "e.mesh.test", "d.mesh.test", "b.mesh.test" } },
		{ "{\"PeersRemoved\":[5]}", { NULL, "b.mesh.test", "d.mesh.test", "e.mesh.test" } },
	};
	struct place *p = place_make();
	(void)state;
	use_map(p, "{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"]}}");
	const struct zone *z = p->n.zones.zone;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		use_map_after(p, rows[i].delta, p->n.map);
		assert_ptr_equal(p->n.zones.zone, z);
		for (unsigned k = 0; k < 3; k++) {
			char reverse[64];
			snprintf(reverse, sizeof(reverse), "%u.0.64.100.in-addr.arpa", k + 2);
			assert_int_equal(ask(p, reverse, "PTR").rcode, rows[i].names[k] ? 0 : 3);
			if (rows[i].names[k])
				assert_int_equal(ask(p, rows[i].names[k], "A").count, 1);
		}
		assert_int_equal(ask(p, rows[i].names[3], "A").rcode, 3);
	}
	place_end(p);
}

/* A peer with the name of an alias: one of the two is told, and when the alias' name is free it works. */
static void test_clash(void **state)
{
	struct place *p = place_make();
	(void)state;
	use_map(p, "{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],"
		   "\"ExtraRecords\":[{\"Name\":\"b.mesh.test\",\"Type\":\"CNAME\",\"Value\":\"a.mesh.test."
		   "\"}]}}");
	assert_non_null(strstr(p->n.odd_dns, "b.mesh.test"));
	assert_int_equal(ask(p, "b.mesh.test", "A").count, 1);
	use_map_after(p, "{\"PeersRemoved\":[2]}", p->n.map);
	assert_string_equal(p->n.odd_dns, "");
	assert_int_equal(ask(p, "b.mesh.test", "A").count, 2);
	use_map_after(p, "{\"PeersChanged\":[" PEER("2", "b.mesh.test.", "100.64.0.2") "]}", p->n.map);
	assert_non_null(strstr(p->n.odd_dns, "b.mesh.test"));
	assert_int_equal(ask(p, "b.mesh.test", "A").count, 1);
	place_end(p);
}

/* A peer has the address of the gateway: its name leads to its other address, in whole maps and in steps. */
static void test_outside(void **state)
{
	struct place *p = place_make();
	struct addr gateway[] = { addr_v4(0x64400002), addr_v4(0x64400003) };
	struct addr_set outside = { .v = gateway, .n = 2 };
	(void)state;
	assert_true(names_outside_set(&p->n, &outside));
	use_map(p, "{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"]}}");
	use_map_after(p,
		"{\"PeersChanged\":[{\"ID\":3,\"StableID\":\"n3\",\"Name\":\"c.mesh.test.\",\"Key\":\"" KEY(
			"cc") "\",\"Addresses\":[\"100.64.0.3/32\",\"fd7a:115c:a1e0::3/128\"]}]}",
		p->n.map);
	assert_int_equal(ask(p, "b.mesh.test", "A").count, 0);
	assert_int_equal(ask(p, "c.mesh.test", "A").count, 0);
	assert_int_equal(ask(p, "c.mesh.test", "AAAA").count, 1);
	assert_int_equal(ask(p, "3.0.64.100.in-addr.arpa", "PTR").count, 0);
	outside.n = 0; /* at another place */
	assert_true(names_outside_set(&p->n, &outside));
	use_map_after(p, "{\"PeersRemoved\":[9]}", p->n.map);
	assert_int_equal(ask(p, "b.mesh.test", "A").count, 1);
	assert_int_equal(ask(p, "c.mesh.test", "A").count, 1);
	place_end(p);
}

/* What shall be validated and cannot be does not resolve, and why is said; names of the mesh and of its routes do. */
static void test_cannot_validate(void **state)
{
	struct place *p = place_make();
	(void)state;
	p->n.validation.anchors = "/nonexistent/root.key";
	use_map(p, "{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],"
		   "\"Routes\":{\"corp.test\":[{\"Addr\":\"127.0.0.9\"}]},"
		   "\"FallbackResolvers\":[{\"Addr\":\"127.0.0.8\"}]}}");
	assert_non_null(
		strstr(p->n.odd_dns, "names of the internet do not resolve: DNSSEC cannot be validated: open "
				     "the trust anchors /nonexistent/root.key"));
	assert_int_equal(ask(p, "b.mesh.test", "A").rcode, 0);
	assert_int_equal(ask(p, "host.corp.test", "A").rcode, 0);
	assert_int_equal(p->corp.asked, 1);
	assert_int_equal(ask(p, "example.com", "A").rcode, 2);
	assert_int_equal(p->fallback.asked, 0);
	place_end(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zone_and_routes),
		cmocka_unit_test(test_own_before_fallback),
		cmocka_unit_test(test_exit_names),
		cmocka_unit_test(test_exit),
		cmocka_unit_test(test_site),
		cmocka_unit_test(test_many_relays),
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_root_route),
		cmocka_unit_test(test_secure_servers),
		cmocka_unit_test(test_what_points_the_machine),
		cmocka_unit_test(test_expired),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_long_answer),
		cmocka_unit_test(test_mesh_server_stays_in),
		cmocka_unit_test(test_nat64),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_peers_change),
		cmocka_unit_test(test_clash),
		cmocka_unit_test(test_outside),
		cmocka_unit_test(test_cannot_validate),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
