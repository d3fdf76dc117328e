/* Whom the node asks for which name: nameservers of the network, of the place, of an exit. */
#include "mesh/node/test/names_place.h"
#include "mesh/base/dns_secure.h"
#include "mesh/node/portal_names.h"
#include "mesh/os/file.h"
#include "mesh/transport/proxy.h"
#include "resolver/report.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* The machine's own nameserver is asked before the server's fallback, and follows the machine's file. */
static void test_own_before_fallback(void **state)
{
	struct names_place *p = names_place_make();
	struct errbuf eb;
	(void)state;
	FILE *f = fopen(p->resolv, "w");
	fputs("nameserver 127.0.0.7\n", f);
	fclose(f);
	names_place_use(p, "{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],"
			   "\"FallbackResolvers\":[{\"Addr\":\"127.0.0.8\"}]}}");
	assert_true(os_dns_active(p->n.os_dns));
	names_place_ask(p, "example.com", "A");
	assert_true(p->own.asked > 0 && p->fallback.asked == 0);
	/* Not wanted any more: the file is the machine's own again. */
	p->prefs.accept_dns = false;
	assert_int_equal(names_apply(&p->n, p->n.map, "", false, &eb), 0);
	assert_false(os_dns_active(p->n.os_dns));
	names_place_end(p);
}

static bool names_us(const struct names_place *p)
{
	struct buf b = { 0 };
	bool yes = file_read(p->resolv, 4096, &b, NULL) == 0 && b.len &&
		   strstr(buf_cstr(&b), "nameserver 100.100.100.100\n");
	buf_free(&b);
	return yes;
}

/* While the interface is made anew nobody answers, and nobody else is asked; then it goes on, or it ends. */
static void test_left(void **state)
{
	struct names_place *p = names_place_make();
	(void)state;
	FILE *f = fopen(p->resolv, "w");
	fputs("nameserver 127.0.0.7\n", f);
	fclose(f);
	names_place_use(p, "{" NODES ",\"DNSConfig\":{\"Proxied\":true}}");
	assert_true(names_us(p));
	names_leave(&p->n);
	assert_true(!p->n.dns && !p->n.map && os_dns_active(p->n.os_dns) && names_us(p));
	names_place_use(p, "{" NODES ",\"DNSConfig\":{\"Proxied\":true}}");
	assert_int_equal(names_place_ask(p, "b.mesh.test", "A").count, 1);
	assert_true(names_us(p));
	names_leave(&p->n);
	names_forget(&p->n);
	assert_false(os_dns_active(p->n.os_dns) || names_us(p));
	names_place_end(p);
}

/* Under an exit the machine's own nameservers, which are of the place, hear of the server's name alone; and the
 * resolver is pointed at though the map has no settings. */
static void test_exit(void **state)
{
	struct names_place *p = names_place_make();
	(void)state;
	FILE *f = fopen(p->resolv, "w");
	fputs("nameserver 127.0.0.7\n", f);
	fclose(f);
	strcpy(p->prefs.exit_node, "fra");
	strcpy(p->prefs.control_url, "https://ctl.example.net");
	struct proxies *by = proxies_new("http://proxy.example:3128", NULL, NULL);
	p->n.proxies = by; /* by which the server is reached */
	names_place_use(p, "{" NODES ",\"DNSConfig\":{\"FallbackResolvers\":[{\"Addr\":\"127.0.0.8\"}]}}");
	assert_true(os_dns_active(p->n.os_dns));
	names_place_ask(p, "example.com", "A");
	names_place_ask(p, "nas.home.arpa", "A");
	assert_true(p->own.asked == 0 && p->fallback.asked > 0);
	names_place_ask(p, "ctl.example.net", "A");
	names_place_ask(p, "proxy.example", "A");
	assert_int_equal(p->own.asked, 2);
	assert_string_equal(p->n.odd_dns, "");
	/* C26: a nameserver that the network names goes on to be asked, here one of the mesh */
	names_place_use(
		p, "{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Resolvers\":[{\"Addr\":\"127.0.0.9\"}]}}");
	names_place_ask(p, "example.net", "A");
	names_place_ask(p, "captive.apple.com", "A");
	assert_int_equal(p->corp.asked, 2);
	names_place_use(p, "{" NODES ",\"DNSConfig\":{\"Proxied\":true}}");
	assert_int_equal(names_place_ask(p, "example.org", "A").rcode, 2);
	assert_int_equal(p->own.asked, 2);
	assert_non_null(strstr(p->n.odd_dns, "uses an exit"));
	names_place_end(p);
	proxies_free(by);
}

static void check_default(struct names_place *p, const char *want)
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
	struct names_place *p = names_place_make();
	(void)state;
	strcpy(p->prefs.exit_node, "fra");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		names_place_use(p, rows[i].map);
		assert_string_equal(p->n.odd_dns, "");
		check_default(p, rows[i].want);
	}
	names_place_end(p);
}

/* Issue: joining takes no name of the LAN away: they go to the machine's own nameservers, with a global
 * nameserver and without one, and to the global one never. One route without sense is one bad item. */
static void test_site(void **state)
{
	static const char *const global[] = { "", "\"Resolvers\":[{\"Addr\":\"127.0.0.8\"}]," };
	static const char *const names[] = { "nas.home.arpa", "nas", "dc1.corp.local", "vm.internal",
		"svc.test" };
	struct names_place *p = names_place_make();
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
		names_place_use(p, json);
		assert_string_equal(p->n.no_dns, "");
		assert_non_null(strstr(p->n.odd_dns, "a..b"));
		int asked = p->own.asked, elsewhere = p->fallback.asked;
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			assert_int_equal(
				names_place_ask(p, names[i] + g, "A").rcode, 0); /* another name each time */
		assert_int_equal(p->own.asked - asked, ARRAY_LEN(names));
		assert_int_equal(p->fallback.asked, elsewhere);
		names_place_ask(p, g ? "a.corp.example" : "b.corp.example", "A");
		assert_int_equal(p->corp.asked, g + 1);
	}
	names_place_end(p);
}

static size_t routes_of(const struct names_place *p)
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
	struct names_place *p = names_place_make();
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
	names_place_use(p, json);
	assert_int_equal(routes_of(p), RELAYS + OTHERS + portal_names_n + 1);
	for (unsigned i = 0; i < RELAYS; i += RELAYS - 1) {
		char name[64];
		int asked = p->own.asked;
		sprintf(name, "Relay-%u.example", i);
		names_place_ask(p, name, "A");
		assert_int_equal(p->own.asked, asked + 1);
		assert_int_equal(p->fallback.asked, 0);
	}
	names_place_ask(p, "relay.example", "A");
	assert_int_equal(p->fallback.asked, 1);
	names_place_end(p);
	proxies_free(by);
}

/* C5: the machine's own nameserver asks us again: the ring is named, and costs two questions. */
static void test_ring(void **state)
{
	struct names_place *p = names_place_make();
	char text[256];
	(void)state;
	FILE *f = fopen(p->resolv, "w");
	fputs("nameserver 127.0.0.7\n", f);
	fclose(f);
	names_place_use(p, "{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"]}}");
	assert_false(names_ring(&p->n, text, sizeof(text)));
	p->own.ring = true;
	assert_int_equal(names_place_ask(p, "one.example.com", "A").rcode, 2);
	assert_true(names_ring(&p->n, text, sizeof(text)));
	assert_non_null(strstr(text, "127.0.0.7:53"));
	int asked = p->own.asked;
	assert_in_range(asked, 2, 6);
	assert_int_equal(names_place_ask(p, "two.example.com", "A").rcode, 2);
	assert_int_equal(p->own.asked, asked);
	assert_int_equal(names_place_ask(p, "b.mesh.test", "A").count, 1);
	names_place_end(p);
}

/* A nameserver by HTTPS at the addresses that the server gives, a known one by HTTPS first. */
static void test_secure_servers(void **state)
{
	struct names_place *p = names_place_make();
	struct resolver_route_report r = { 0 };
	char text[DNS_SECURE_TEXT];
	static const char *const want[] = { "https://dns.example/q at 192.0.2.7:443",
		"https://dns.quad9.net/dns-query at 9.9.9.9:443", "9.9.9.9:53" };
	(void)state;
	names_place_use(p,
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
	names_place_end(p);
}

/* B71: a nameserver of the mesh is asked through the tunnel or not at all, even where the network around
 * leads to one of its address. This machine itself needs no tunnel. */
static void test_mesh_server_stays_in(void **state)
{
	struct names_place *p = names_place_make();
	(void)state;
	names_place_use(p, "{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],"
			   "\"Routes\":{\"self.test\":[{\"Addr\":\"100.64.0.1\"}]},"
			   "\"Resolvers\":[{\"Addr\":\"100.64.0.2\"}]}}");
	assert_int_equal(names_place_ask(p, "example.com", "A").rcode, 2);
	assert_int_equal(p->peer.asked, 0);
	assert_int_equal(names_place_ask(p, "x.self.test", "A").rcode, 0);
	assert_int_equal(p->self.asked, 1);
	names_place_end(p);
}

/* A machine without IPv4: whoever knows the translator is of the place, and names that have IPv4 alone get an address of
 * it, but not where they lead out elsewhere. */
static void test_nat64(void **state)
{
	static const char map[] = "{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],"
				  "\"Resolvers\":[{\"Addr\":\"127.0.0.9\"}]}}";
	const struct nat64 none = { .bits = 0 };
	struct names_place *p = names_place_make();
	struct nat64 prefix;
	(void)state;
	assert_true(nat64_parse("64:ff9b::/96", &prefix));
	assert_int_equal(file_write_atomic(p->resolv, 0644, "nameserver 127.0.0.7\n", 21, NULL), 0);
	p->corp.knows = true;
	names_place_use(p, map);
	names_place_ask(p, NAT64_NAME, "AAAA");
	assert_int_equal(p->corp.asked, 0);
	assert_int_equal(p->own.asked, 1);
	assert_int_equal(names_place_ask(p, "www.example.com", "AAAA").count, 0);
	names_nat64_set(&p->n, &prefix);
	assert_int_equal(names_place_ask(p, "www.example.com", "AAAA").count, 1);
	assert_int_equal(names_place_ask(p, "b.mesh.test", "AAAA").count, 0);
	strcpy(p->prefs.exit_node, "n2");
	names_place_use(p, map);
	assert_int_equal(names_place_ask(p, "www.example.com", "AAAA").count, 0);
	p->prefs.exit_node[0] = 0;
	names_place_use(p, map);
	assert_int_equal(names_place_ask(p, "www.example.com", "AAAA").count, 1);
	names_nat64_set(&p->n, &none);
	assert_int_equal(names_place_ask(p, "www.example.com", "AAAA").count, 0);
	names_place_end(p);
}

/* What shall be validated and cannot be does not resolve, and why is said; names of the mesh and of its routes do. */
static void test_cannot_validate(void **state)
{
	struct names_place *p = names_place_make();
	(void)state;
	p->n.validation.anchors = "/nonexistent/root.key";
	names_place_use(p, "{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],"
			   "\"Routes\":{\"corp.test\":[{\"Addr\":\"127.0.0.9\"}]},"
			   "\"FallbackResolvers\":[{\"Addr\":\"127.0.0.8\"}]}}");
	assert_non_null(
		strstr(p->n.odd_dns, "names of the internet do not resolve: DNSSEC cannot be validated: open "
				     "the trust anchors /nonexistent/root.key"));
	assert_int_equal(names_place_ask(p, "b.mesh.test", "A").rcode, 0);
	assert_int_equal(names_place_ask(p, "host.corp.test", "A").rcode, 0);
	assert_int_equal(p->corp.asked, 1);
	assert_int_equal(names_place_ask(p, "example.com", "A").rcode, 2);
	assert_int_equal(p->fallback.asked, 0);
	names_place_end(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_before_fallback),
		cmocka_unit_test(test_left),
		cmocka_unit_test(test_exit),
		cmocka_unit_test(test_exit_names),
		cmocka_unit_test(test_site),
		cmocka_unit_test(test_many_relays),
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_secure_servers),
		cmocka_unit_test(test_mesh_server_stays_in),
		cmocka_unit_test(test_nat64),
		cmocka_unit_test(test_cannot_validate),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
