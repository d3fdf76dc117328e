/* The zone of a map, and what of it reaches the machine. */
#include "mesh/node/test/names_place.h"
#include "mesh/os/file.h"
#include "resolver/ask.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

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
	struct names_place *p = names_place_make();
	(void)state;
	names_place_use(p,
		"{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],"
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
		struct names_answer a = names_place_ask(p, rows[i].name, rows[i].type);
		if (a.code || a.rcode != rows[i].rcode || a.count != rows[i].count)
			fail_msg("row %zu: code %d rcode %d, %d records", i, a.code, a.rcode, a.count);
	}
	assert_int_equal(p->corp.asked + p->fallback.asked, 0);
	names_place_ask(p, "host.corp.test", "A");
	assert_true(p->corp.asked > 0 && p->fallback.asked == 0);
	names_place_ask(p, "example.com", "A");
	assert_true(p->fallback.asked > 0);
	names_place_end(p);
}

/* A route for "." is the default route, whatever else is one; it does not turn the names off. */
static void test_root_route(void **state)
{
	struct names_place *p = names_place_make();
	(void)state;
	names_place_use(p,
		"{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],"
		"\"Resolvers\":[{\"Addr\":\"127.0.0.8\"}],\"Routes\":{\".\":[{\"Addr\":\"127.0.0.9\"}]}}}");
	assert_string_equal(p->n.no_dns, "");
	names_place_ask(p, "example.com", "A");
	assert_true(p->corp.asked > 0 && p->fallback.asked == 0);
	names_place_end(p);
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
	struct names_place *p = names_place_make();
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char json[2048];
		snprintf(json, sizeof(json), "{%s,\"DNSConfig\":%s}", NODES, rows[i].dns);
		names_place_use(p, json);
		if (os_dns_active(p->n.os_dns) != rows[i].active)
			fail_msg("%s", rows[i].dns);
	}
	names_place_end(p);
}

/* B42: an expired key takes the mesh's nameservers out of reach; the machine must not be left without. The
 * server names no peers then: the names stay as they were. */
static void test_expired(void **state)
{
	static const char dns[] = ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],"
				  "\"Resolvers\":[{\"Addr\":\"127.0.0.8\"}]}}";
	char json[4096];
	struct names_place *p = names_place_make();
	(void)state;
	FILE *f = fopen(p->resolv, "w");
	fputs("nameserver 127.0.0.7\n", f);
	fclose(f);
	for (int expired = 0; expired < 2; expired++) {
		snprintf(json, sizeof(json), "{%s%s", expired ? SELF_WITH(EXPIRED) : NODES, dns);
		names_place_use(p, json);
		assert_int_equal(os_dns_active(p->n.os_dns), !expired);
		assert_int_equal(names_place_ask(p, "b.mesh.test", "A").count, 1);
		names_place_ask(p, expired ? "one.example" : "two.example", "A");
		assert_int_equal(p->fallback.asked, 1);
		assert_int_equal(p->own.asked, expired);
		names_trying(&p->n, "other.example"); /* changes nothing of that */
		names_place_ask(p, expired ? "three.example" : "four.example", "A");
		assert_int_equal(p->fallback.asked, expired ? 1 : 2);
		p->fallback.asked = 1;
		p->own.asked = expired;
	}
	names_place_end(p);
}

/* A resolv.conf that cannot be written is said, and the names are served all the same. */
static void test_no_file(void **state)
{
	struct names_place *p = names_place_make();
	(void)state;
	snprintf(p->resolv, sizeof(p->resolv), "%s/none/resolv.conf", p->dir);
	names_place_use(p, "{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"]}}");
	assert_non_null(strstr(p->n.no_dns, "resolv.conf"));
	assert_int_equal(names_place_ask(p, "b.mesh.test", "A").count, 1);
	names_place_end(p);
}

/* An answer of any length comes whole, and what cannot be asked is said. */
static void test_long_answer(void **state)
{
	const struct endpoint service = { .ip = addr_service_v4, .port = 53 };
	static const char *const bad[][2] = { { "a..b", "A" }, { "a.b", "NOPE" }, { "", "A" } };
	char json[8000] =
		"{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],\"ExtraRecords\":[";
	struct names_place *p = names_place_make();
	struct errbuf eb = { 0 };
	(void)state;
	for (unsigned i = 0; i < 100; i++)
		sprintf(json + strlen(json), "%s{\"Name\":\"many.mesh.test\",\"Value\":\"192.0.2.%u\"}",
			i ? "," : "", i);
	strcat(json, "]}}");
	names_place_use(p, json);
	assert_int_equal(names_place_ask(p, "many.mesh.test", "A").count, 100);
	assert_int_equal(names_place_ask(p, "many.mesh.test", "TYPE65280").rcode, 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_null(dns_ask_start(p->n.loop, &service, bad[i][0], bad[i][1], NULL, NULL, &eb));
		assert_int_equal(eb.code, ERR_MALFORMED);
	}
	names_place_end(p);
}

/* Over a restart the network's nameservers need not be asked again; what those of the place say stays there. */
static void test_kept(void **state)
{
	static const char map[] = "{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],"
				  "\"Routes\":{\"corp.test\":[{\"Addr\":\"127.0.0.9\"}]}}}";
	struct names_place *p = names_place_make();
	char file[128];
	(void)state;
	p->n.state_dir = p->dir;
	snprintf(file, sizeof(file), "%s/" KEEPER_FILE, p->dir);
	assert_int_equal(file_write_atomic(p->resolv, 0644, "nameserver 127.0.0.7\n", 21, NULL), 0);
	assert_true(names_keep(&p->n, true));
	p->corp.knows = p->own.knows = true;
	for (int i = 1; i <= 2; i++) {
		names_place_use(p, map);
		assert_int_equal(names_place_ask(p, "host.corp.test", "A").count, 1);
		assert_int_equal(p->corp.asked, 1);
		assert_int_equal(names_place_ask(p, "www.example.com", "A").count, 1);
		assert_int_equal(p->own.asked, i);
		names_forget(&p->n);
		assert_int_equal(access(file, F_OK), 0);
	}
	/* its sockets are opened anew: the next has what it heard, and no file is written for that */
	names_place_use(p, map);
	assert_int_equal(names_place_ask(p, "new.corp.test", "A").count, 1);
	assert_int_equal(p->corp.asked, 2);
	assert_int_equal(unlink(file), 0);
	for (int i = 0; i < 2; i++) {
		p->n.guarded = !p->n.guarded;
		names_place_use(p, map);
		assert_true(p->n.open_guarded == p->n.guarded);
	}
	assert_int_equal(names_place_ask(p, "new.corp.test", "A").count, 1);
	assert_int_equal(names_place_ask(p, "host.corp.test", "A").count, 1);
	assert_int_equal(p->corp.asked, 2);
	assert_int_not_equal(access(file, F_OK), 0);
	names_forget(&p->n);
	assert_int_equal(access(file, F_OK), 0);
	keeper_forget(p->n.keeper); /* the network was left */
	assert_int_not_equal(access(file, F_OK), 0);
	names_place_use(p, map);
	names_place_ask(p, "host.corp.test", "A");
	assert_int_equal(p->corp.asked, 3);
	names_forget(&p->n);
	names_keep_end(&p->n);
	assert_int_equal(access(file, F_OK), 0);
	assert_true(names_keep(&p->n, false));
	assert_int_not_equal(access(file, F_OK), 0);
	names_place_end(p);
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
	struct names_place *p = names_place_make();
	(void)state;
	names_place_use(p, "{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"]}}");
	const struct zone *z = p->n.zones.zone;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		names_place_use_after(p, rows[i].delta, p->n.map);
		assert_ptr_equal(p->n.zones.zone, z);
		for (unsigned k = 0; k < 3; k++) {
			char reverse[64];
			snprintf(reverse, sizeof(reverse), "%u.0.64.100.in-addr.arpa", k + 2);
			assert_int_equal(names_place_ask(p, reverse, "PTR").rcode, rows[i].names[k] ? 0 : 3);
			if (rows[i].names[k])
				assert_int_equal(names_place_ask(p, rows[i].names[k], "A").count, 1);
		}
		assert_int_equal(names_place_ask(p, rows[i].names[3], "A").rcode, 3);
	}
	names_place_end(p);
}

/* A peer with the name of an alias: one of the two is told, and when the alias' name is free it works. */
static void test_clash(void **state)
{
	struct names_place *p = names_place_make();
	(void)state;
	names_place_use(p,
		"{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"],"
		"\"ExtraRecords\":[{\"Name\":\"b.mesh.test\",\"Type\":\"CNAME\",\"Value\":\"a.mesh.test."
		"\"}]}}");
	assert_non_null(strstr(p->n.odd_dns, "b.mesh.test"));
	assert_int_equal(names_place_ask(p, "b.mesh.test", "A").count, 1);
	names_place_use_after(p, "{\"PeersRemoved\":[2]}", p->n.map);
	assert_string_equal(p->n.odd_dns, "");
	assert_int_equal(names_place_ask(p, "b.mesh.test", "A").count, 2);
	names_place_use_after(
		p, "{\"PeersChanged\":[" PEER("2", "b.mesh.test.", "100.64.0.2") "]}", p->n.map);
	assert_non_null(strstr(p->n.odd_dns, "b.mesh.test"));
	assert_int_equal(names_place_ask(p, "b.mesh.test", "A").count, 1);
	names_place_end(p);
}

/* A peer has the address of the gateway: its name leads to its other address, in whole maps and in steps. */
static void test_outside(void **state)
{
	struct names_place *p = names_place_make();
	struct addr gateway[] = { addr_v4(0x64400002), addr_v4(0x64400003) };
	struct addr_set outside = { .v = gateway, .n = 2 };
	(void)state;
	assert_true(names_outside_set(&p->n, &outside));
	names_place_use(p, "{" NODES ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"]}}");
	names_place_use_after(p,
		"{\"PeersChanged\":[{\"ID\":3,\"StableID\":\"n3\",\"Name\":\"c.mesh.test.\",\"Key\":\"" KEY(
			"cc") "\",\"Addresses\":[\"100.64.0.3/32\",\"fd7a:115c:a1e0::3/128\"]}]}",
		p->n.map);
	assert_int_equal(names_place_ask(p, "b.mesh.test", "A").count, 0);
	assert_int_equal(names_place_ask(p, "c.mesh.test", "A").count, 0);
	assert_int_equal(names_place_ask(p, "c.mesh.test", "AAAA").count, 1);
	assert_int_equal(names_place_ask(p, "3.0.64.100.in-addr.arpa", "PTR").count, 0);
	outside.n = 0; /* at another place */
	assert_true(names_outside_set(&p->n, &outside));
	names_place_use_after(p, "{\"PeersRemoved\":[9]}", p->n.map);
	assert_int_equal(names_place_ask(p, "b.mesh.test", "A").count, 1);
	assert_int_equal(names_place_ask(p, "c.mesh.test", "A").count, 1);
	names_place_end(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zone_and_routes),
		cmocka_unit_test(test_root_route),
		cmocka_unit_test(test_what_points_the_machine),
		cmocka_unit_test(test_expired),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_long_answer),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_peers_change),
		cmocka_unit_test(test_clash),
		cmocka_unit_test(test_outside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
