/* From map to map: the zone changes by what changed, and says what one says that is made anew; what is made on a thread is
 * held there until the test lets it go on. */
#include "mesh/node/map_zone.h"

#include "resolver/message.h"
#include "resolver/listen.h"
#include "resolver/zone.h"
#include "mesh/netmap/test/told_map.h"
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
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
static struct map_zone stepped, anew;
static struct netmap *newest;

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

/* A message onto the newest map. */
static void read_map(const char *json)
{
	struct netmap *next = told_map(newest, json);
	netmap_put(newest);
	newest = next;
}

/* And a zone made of the whole. */
static void take(const char *json)
{
	struct errbuf eb = { 0 };
	read_map(json);
	anew.astray = true;
	assert_int_equal(map_zone_follow(&stepped, newest, &eb), 0);
	assert_int_equal(map_zone_follow(&anew, newest, &eb), 0);
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
	struct resolver_server *servers[2];
	(void)state;
	loop = loop_new();
	stepped = anew = (struct map_zone) { .loop = loop };
	map_zone_serve(&stepped, resolver_server_core(servers[0] = server_open()));
	map_zone_serve(&anew, resolver_server_core(servers[1] = server_open()));
	take("{" NODES "," DNS("") "}");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct zone *before = zone_get(stepped.zone); /* so that none takes its place in memory */
		stepped.moved = false;
		take(rows[i].json);
		if ((stepped.zone != before) != rows[i].whole || !!stepped.odd[0] != rows[i].odd ||
			!stepped.moved)
			fail_msg("%s: whole %d, %s", rows[i].id, stepped.zone != before, stepped.odd);
		for (size_t k = 0; k < ARRAY_LEN(names); k++)
			if (said(stepped.zone, names[k]) != said(anew.zone, names[k]))
				fail_msg("%s: %s: %u, made anew %u", rows[i].id, names[k],
					said(stepped.zone, names[k]), said(anew.zone, names[k]));
		zone_put(before);
	}
	map_zone_fini(&stepped);
	map_zone_fini(&anew);
	netmap_put(newest);
	newest = NULL;
	for (size_t i = 0; i < 2; i++)
		resolver_server_close(servers[i]);
	loop_free(loop);
}

/* A name that a machine lost to what is around has a record of the same address, which is not the machine's to take along. */
static void test_outside_leaves(void **state)
{
	struct addr around = addr_v4(0x64400002);
	const struct addr_set outside = { .v = &around, .n = 1 };
	(void)state;
	loop = loop_new();
	stepped = anew = (struct map_zone) { .loop = loop };
	assert_true(map_zone_outside_set(&stepped, &outside) && map_zone_outside_set(&anew, &outside));
	take("{" NODES "," DNS(EXTRA(RECORD("b.mesh.test", "A", "100.64.0.2"))) "}");
	unsigned all = said(stepped.zone, "b.mesh.test");
	assert_int_equal(all, said(anew.zone, "b.mesh.test"));
	struct zone *before = zone_get(stepped.zone);
	take("{\"PeersRemoved\":[2]}");
	assert_ptr_equal(stepped.zone, before);
	assert_int_equal(said(anew.zone, "b.mesh.test"), all);
	assert_int_equal(said(stepped.zone, "b.mesh.test"), all);
	zone_put(before);
	map_zone_fini(&stepped);
	map_zone_fini(&anew);
	netmap_put(newest);
	newest = NULL;
	loop_free(loop);
}

/* ---- on a thread ---- */

static pthread_t loop_thread;
static sem_t begun, go_on;
static int makings; /* on a thread */
static int make_fails;
static unsigned peers;

int __real_name_zone_fill(struct zone_draft *d, const struct netmap *m);
int __wrap_name_zone_fill(struct zone_draft *d, const struct netmap *m);
int __wrap_name_zone_fill(struct zone_draft *d, const struct netmap *m)
{
	if (pthread_equal(pthread_self(), loop_thread))
		return __real_name_zone_fill(d, m);
	makings++;
	sem_post(&begun);
	sem_wait(&go_on);
	return make_fails ? make_fails : __real_name_zone_fill(d, m);
}

struct place {
	struct map_zone k;
	struct resolver_server *server;
	int told, err; /* how often something was made, and what the newest map came to then */
};

static void follow(struct place *p)
{
	struct errbuf eb = { 0 };
	p->err = map_zone_follow(&p->k, newest, &eb);
}

static void made(void *arg)
{
	struct place *p = arg;
	p->told++;
	follow(p);
}

/* All peers of a mesh, by names of a generation; extra: more of the message. */
static void many(unsigned generation, const char *extra)
{
	static char json[1000000];
	size_t at = (size_t)sprintf(json,
		"{\"Node\":{\"ID\":1,\"StableID\":\"n1\",\"Name\":\"a.mesh.test.\",\"Key\":\"" KEY(
			"aa") "\",\"Addresses\":[\"100.64.0.1/32\"]}%s,\"Peers\":[",
		extra);
	for (unsigned i = 2; i < 2 + peers; i++)
		at += (size_t)sprintf(json + at,
			"%s{\"ID\":%u,\"StableID\":\"n%u\",\"Name\":\"p%u-%u.mesh.test.\",\"Key\":"
			"\"nodekey:%064x\",\"Addresses\":[\"100.64.%u.%u/32\"]}",
			i > 2 ? "," : "", i, i, i, generation, i, i >> 8, i & 255);
	sprintf(json + at, "]}");
	read_map(json);
}

static struct place *place_open(unsigned n)
{
	static struct place p;
	sem_init(&begun, 0, 0);
	sem_init(&go_on, 0, 0);
	loop = loop_new();
	makings = make_fails = 0;
	peers = n;
	p = (struct place) { .k = { .loop = loop, .made = made, .arg = &p } };
	p.server = server_open();
	map_zone_serve(&p.k, resolver_server_core(p.server));
	many(1, "," DNS(""));
	follow(&p); /* the first is there at once */
	assert_null(p.k.making);
	assert_int_equal(p.err, 0);
	return &p;
}

static void place_end(struct place *p)
{
	map_zone_fini(&p->k);
	resolver_server_close(p->server);
	netmap_put(newest);
	newest = NULL;
	loop_free(loop);
	sem_destroy(&begun);
	sem_destroy(&go_on);
}

static bool has(struct place *p, const char *text)
{
	struct dns_name name;
	struct zone_hit hit;
	assert_true(dns_name_parse(text, &name));
	zone_find(p->k.zone, &name, &hit);
	return hit.verdict == ZONE_NAME && hit.n;
}

/* The zone that is being made, to its end. */
static void let_go(struct place *p)
{
	int told = p->told;
	sem_post(&go_on);
	while (p->told == told)
		loop_run_once(loop);
}

/* While one is made the old one answers; what comes meanwhile is in the result, and nothing is made beside it. */
static void test_meanwhile(void **state)
{
	struct place *p = place_open(600);
	(void)state;
	many(2, "," DNS(""));
	follow(p);
	sem_wait(&begun);
	assert_true(p->k.making && has(p, "p9-1.mesh.test") && !has(p, "p9-2.mesh.test"));
	read_map("{\"PeersRemoved\":[9]}");
	follow(p);
	read_map("{" DNS(EXTRA(RECORD("r1.mesh.test", "A", "192.0.2.1"))) "}");
	follow(p);
	assert_true(has(p, "p9-1.mesh.test") && !has(p, "r1.mesh.test"));
	p->k.moved = false;
	let_go(p);
	assert_null(p->k.making);
	assert_true(p->k.moved && p->k.map == newest && makings == 1);
	assert_true(has(p, "p10-2.mesh.test") && has(p, "r1.mesh.test"));
	assert_true(!has(p, "p9-2.mesh.test") && !has(p, "p9-1.mesh.test") && !has(p, "p10-1.mesh.test"));
	place_end(p);
}

/* Another big one meanwhile: one waits, however many came, and the newest is it. */
static void test_newest_wins(void **state)
{
	struct place *p = place_open(600);
	(void)state;
	for (unsigned g = 2; g < 6; g++) {
		many(g, "," DNS(""));
		follow(p);
	}
	sem_wait(&begun);
	let_go(p);
	assert_true(has(p, "p9-2.mesh.test") && p->k.making);
	sem_wait(&begun);
	let_go(p);
	assert_true(has(p, "p9-5.mesh.test") && !has(p, "p9-2.mesh.test") && !p->k.making);
	assert_int_equal(makings, 2);
	place_end(p);
}

/* Questions for a domain that becomes ours go where they went until its names are there. */
static void test_settings(void **state)
{
	struct place *p = place_open(600);
	(void)state;
	assert_ptr_equal(map_zone_settings(&p->k, newest), newest->dns);
	struct netmap *before = netmap_get(newest);
	many(1, "," DNS(",\"Routes\":{\"own.example\":[]}"));
	follow(p);
	assert_ptr_equal(map_zone_settings(&p->k, newest), before->dns);
	sem_wait(&begun);
	let_go(p);
	assert_ptr_equal(map_zone_settings(&p->k, newest), newest->dns);
	netmap_put(before);
	place_end(p);
}

/* A peer's address turns out to be the gateway's while its name is made. */
static void test_outside_meanwhile(void **state)
{
	struct place *p = place_open(600);
	struct addr gateway = addr_v4(0x64400009);
	(void)state;
	many(2, "," DNS(""));
	follow(p);
	sem_wait(&begun);
	assert_true(map_zone_outside_set(&p->k, &(struct addr_set) { .v = &gateway, .n = 1 }));
	let_go(p);
	assert_true(p->k.making && has(p, "p9-2.mesh.test"));
	sem_wait(&begun);
	let_go(p);
	assert_true(!p->k.making && !has(p, "p9-2.mesh.test") && has(p, "p10-2.mesh.test"));
	place_end(p);
}

/* Said once, by whoever comes next; then it is made again. */
static void test_no_memory(void **state)
{
	struct place *p = place_open(600);
	(void)state;
	make_fails = -ENOMEM;
	many(2, "," DNS(""));
	follow(p);
	sem_wait(&begun);
	let_go(p);
	assert_int_equal(p->err, -ENOMEM);
	assert_true(has(p, "p9-1.mesh.test") && !p->k.making);
	make_fails = 0;
	follow(p);
	assert_int_equal(p->err, 0);
	sem_wait(&begun);
	let_go(p);
	assert_true(has(p, "p9-2.mesh.test") && !p->k.making);
	place_end(p);
}

/* Two names that clash: one is told of, once for each map, and is not made again and again. */
static void test_clash(void **state)
{
	struct place *p = place_open(600);
	(void)state;
	many(2, "," DNS(EXTRA(RECORD("p9-2.mesh.test", "CNAME", "a.mesh.test."))));
	follow(p);
	sem_wait(&begun);
	let_go(p);
	assert_true(p->k.odd[0] && !p->k.making);
	follow(p);
	assert_true(p->k.odd[0] && !p->k.making);
	assert_int_equal(makings, 1);
	read_map("{\"PeersRemoved\":[9]}");
	follow(p);
	sem_wait(&begun);
	let_go(p);
	assert_true(!p->k.odd[0] && has(p, "p9-2.mesh.test"));
	place_end(p);
}

/* They leave a few at a time: what their names took is given back all the same, once. */
static void test_leave(void **state)
{
	enum { PEERS = 4000, AT_ONCE = 50 };
	struct place *p = place_open(PEERS);
	(void)state;
	for (unsigned i = 2; i < 2 + PEERS - AT_ONCE; i += AT_ONCE) {
		char json[1024] = "{\"PeersRemoved\":[";
		for (unsigned k = 0; k < AT_ONCE; k++)
			sprintf(json + strlen(json), "%s%u", k ? "," : "", i + k);
		strcat(json, "]}");
		read_map(json);
		sem_post(&go_on); /* a thread is welcome */
		follow(p);
		while (p->k.making)
			loop_run_once(loop);
	}
	assert_int_equal(makings, 1);
	assert_true(has(p, "p4000-1.mesh.test") && !has(p, "p2-1.mesh.test"));
	place_end(p);
}

/* The resolver closes, opens anew, or all ends while a thread is at it. */
static void test_close(void **state)
{
	struct place *p = place_open(600);
	(void)state;
	many(2, "," DNS(""));
	follow(p);
	sem_wait(&begun);
	map_zone_serve(&p->k, NULL);
	resolver_server_close(p->server);
	p->server = server_open();
	map_zone_serve(&p->k, resolver_server_core(p->server));
	let_go(p);
	assert_true(has(p, "p9-2.mesh.test"));
	many(3, "," DNS(""));
	follow(p);
	sem_wait(&begun);
	sem_post(&go_on);
	int told = p->told;
	place_end(p);
	assert_int_equal(p->told, told);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_steps),
		cmocka_unit_test(test_outside_leaves), cmocka_unit_test(test_meanwhile),
		cmocka_unit_test(test_newest_wins), cmocka_unit_test(test_settings),
		cmocka_unit_test(test_outside_meanwhile), cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_clash), cmocka_unit_test(test_leave), cmocka_unit_test(test_close) };
	loop_thread = pthread_self();
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
