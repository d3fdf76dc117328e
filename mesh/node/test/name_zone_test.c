/* From map to map: the zone changes by what changed, and says what one says that is made anew. */
#include "mesh/node/name_zone.h"

#include "resolver/message.h"
#include "resolver/zone.h"
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define KEY(c) "nodekey:" c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c
#define NODES \
	"\"Node\":{\"ID\":1,\"StableID\":\"n1\",\"Name\":\"a.mesh.test.\",\"Key\":\"" KEY( \
		"aa") "\",\"Addresses\":[\"100.64.0.1/" \
		      "32\"]},\"Peers\":[{\"ID\":2,\"StableID\":\"n2\",\"Name\":\"b.mesh.test.\"," \
		      "\"Key\":\"" KEY("bb") "\",\"Addresses\":[\"100.64.0.2/32\"]}]"
#define DNS(more) "\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"mesh.test\"]" more "}"
#define RECORD(name, type, value) "{\"Name\":\"" name "\",\"Type\":\"" type "\",\"Value\":\"" value "\"}"
#define EXTRA(records) ",\"ExtraRecords\":[" records "]"

static struct loop *loop;
static struct names stepped, anew;

static struct resolver_server *server_open(void)
{
	struct endpoint at = { .ip = addr_v4(INADDR_LOOPBACK) };
	struct resolver_server_options o = { .at = &at, .n = 1 };
	struct errbuf eb = { 0 };
	struct resolver_server *s = resolver_server_open(loop, &o, &eb);
	if (!s)
		fail_msg("%s", eb.text);
	return s;
}

/* A message onto the map that is there; and a zone made of the whole. */
static void take(const char *json)
{
	struct arena a = { 0 };
	struct ctl_map_response m;
	struct errbuf eb = { 0 };
	if (ctl_map_response_read(&a, json, strlen(json), &m, &eb) != 0)
		fail_msg("%s", eb.text);
	struct netmap *next = netmap_apply(stepped.map, &m, 0, &eb);
	if (!next) {
		fail_msg("%s", eb.text);
		return;
	}
	arena_free(&a);
	netmap_put(stepped.map);
	stepped.map = anew.map = next;
	netmap_put(anew.zone_map);
	anew.zone_map = NULL;
	stepped.odd_dns[0] = anew.odd_dns[0] = 0;
	assert_int_equal(names_zone_apply(&stepped, &eb), 0);
	assert_int_equal(names_zone_apply(&anew, &eb), 0);
}

/* How many records of what types; each weighs differently. */
static unsigned said(const struct zone *z, const char *text)
{
	static const uint16_t types[] = { DNS_A, DNS_AAAA, DNS_PTR, DNS_TXT, DNS_CNAME, DNS_MX };
	struct dns_name name;
	struct zone_hit hit;
	unsigned sum = 0;
	assert_true(dns_name_parse(text, &name));
	zone_find(z, &name, &hit);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		uint32_t n = 0;
		const struct zone_rr *const *set = hit.n ? zone_set(&hit, types[i], &n) : NULL;
		sum = sum * 10 + n;
		for (uint32_t k = 0; set && k < n; k++)
			sum += set[k]->rdata[set[k]->len - 1];
	}
	return sum * 10 + hit.verdict;
}

static void test_steps(void **state)
{
	static const char *const names[] = { "a.mesh.test", "b.mesh.test", "c.mesh.test", "r1.mesh.test",
		"r2.mesh.test", "r3.example", "alias.mesh.test", "mesh.test", "own.example", "x.own.example",
		"2.0.64.100.in-addr.arpa" };
	static const struct {
		const char *id, *json;
		bool whole, odd; /* whole: by a zone made anew */
	} rows[] = {
		{ "records come",
			"{" DNS(EXTRA(RECORD("r1.mesh.test", "A", "192.0.2.1") "," RECORD("r2.mesh.test",
				"TXT", "one") "," RECORD("alias.mesh.test", "CNAME", "b.mesh.test."))) "}",
			false, false },
		{ "one changes",
			"{" DNS(EXTRA(RECORD("r1.mesh.test", "A", "192.0.2.2") "," RECORD("r2.mesh.test",
				"TXT", "one") "," RECORD("alias.mesh.test", "CNAME", "b.mesh.test."))) "}",
			false, false },
		{ "the same again",
			"{" DNS(EXTRA(RECORD("r1.mesh.test", "A", "192.0.2.2") "," RECORD("r2.mesh.test",
				"TXT", "one") "," RECORD("alias.mesh.test", "CNAME", "b.mesh.test."))) "}",
			false, false },
		{ "one twice, one of a machine's name",
			"{" DNS(EXTRA(RECORD("r1.mesh.test", "", "192.0.2.2") "," RECORD(
				"r1.mesh.test", "A", "192.0.2.2") "," RECORD("b.mesh.test", "A",
				"192.0.2.9") "," RECORD("alias.mesh.test", "CNAME", "b.mesh.test."))) "}",
			false, false },
		{ "an alias becomes a name, a name an alias",
			"{" DNS(EXTRA(RECORD("alias.mesh.test", "A", "192.0.2.2") "," RECORD("r1.mesh.test",
				"CNAME",
				"a.mesh.test.") "," RECORD("r3.example", "MX", "10 a.mesh.test."))) "}",
			false, false },
		{ "a nameserver",
			"{" DNS(",\"Resolvers\":[{\"Addr\":\"192.0.2.53\"}]" EXTRA(
				RECORD("r3.example", "A", "192.0.2.3"))) "}",
			false, false },
		{ "with a machine",
			"{" DNS("") ",\"PeersChanged\":[{\"ID\":3,\"StableID\":\"n3\",\"Name\":\"c.mesh.test."
				    "\",\"Key\":\"" KEY("cc") "\",\"Addresses\":[\"100.64.0.3/32\"]}]}",
			false, false },
		{ "a domain of ours", "{" DNS(",\"Routes\":{\"own.example\":[]}") "}", true, false },
		{ "asked of others", "{" DNS(",\"Routes\":{\"own.example\":[{\"Addr\":\"192.0.2.53\"}]}") "}",
			true, false },
		{ "a record in the place of a machine",
			"{" DNS(EXTRA(RECORD("b.mesh.test", "CNAME", "a.mesh.test."))) "}", true, true },
		{ "and no more", "{" DNS(EXTRA(RECORD("r1.mesh.test", "A", "192.0.2.1"))) "}", true, false },
		{ "no names",
			"{\"DNSConfig\":{\"ExtraRecords\":[" RECORD("r3.example", "A", "192.0.2.3") "]}}",
			true, false },
	};
	(void)state;
	loop = loop_new();
	stepped.dns = server_open();
	anew.dns = server_open();
	take("{" NODES "," DNS("") "}");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct zone *before = zone_get(stepped.zone); /* so that none takes its place in memory */
		stepped.zone_moved = false;
		take(rows[i].json);
		if ((stepped.zone != before) != rows[i].whole || !!stepped.odd_dns[0] != rows[i].odd ||
			!stepped.zone_moved)
			fail_msg("%s: whole %d, %s", rows[i].id, stepped.zone != before, stepped.odd_dns);
		for (size_t k = 0; k < ARRAY_LEN(names); k++)
			if (said(stepped.zone, names[k]) != said(anew.zone, names[k]))
				fail_msg("%s: %s: %u, made anew %u", rows[i].id, names[k],
					said(stepped.zone, names[k]), said(anew.zone, names[k]));
		zone_put(before);
	}
	struct names *both[] = { &stepped, &anew };
	for (size_t i = 0; i < 2; i++) {
		resolver_server_close(both[i]->dns);
		zone_put(both[i]->zone);
		netmap_put(both[i]->zone_map);
	}
	netmap_put(stepped.map);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_steps) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
