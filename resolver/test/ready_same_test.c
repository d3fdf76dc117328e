/* Two resolvers are asked the same, one with ready answers and one without, while zone, routes, rules and clients change: each
 * reply is the same to the byte, and so is what is told and counted. The changes are chosen by chance, from a seed. */
#include "resolver/core.h"

#include "resolver/test/fake.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

enum { STEPS = 30000, CHANGE_EACH = 6, RECENT = 16, NEW_EACH = 8, TIMES_MAX = 2, CLIENTS = 2 };

struct side {
	struct resolver *r;
	bool withhold; /* from clients with an odd number */
	unsigned replies, told;
	size_t len;
	uint8_t reply[DNS_MESSAGE_MAX];
	struct resolver_told last;
	struct dns_name name;
};
static struct side with, without;
static struct zone *zone;
static bool authority[2];
static uint64_t state_of_chance;
static unsigned found;

size_t __real_ready_find(
	const struct ready *r, const uint8_t *msg, size_t len, uint8_t *out, struct dns_name *name);
size_t __wrap_ready_find(
	const struct ready *r, const uint8_t *msg, size_t len, uint8_t *out, struct dns_name *name);
size_t __wrap_ready_find(
	const struct ready *r, const uint8_t *msg, size_t len, uint8_t *out, struct dns_name *name)
{
	size_t n = __real_ready_find(r, msg, len, out, name);
	found += n > 0;
	return n;
}

static unsigned chance(unsigned n)
{
	state_of_chance = state_of_chance * 6364136223846793005U + 1442695040888963407U;
	return (unsigned)(state_of_chance >> 33) % n;
}

static void reply(void *arg, uint64_t client, const uint8_t *msg, size_t len)
{
	struct side *s = arg;
	(void)client;
	s->replies++;
	s->len = len;
	memcpy(s->reply, msg, len);
}
static void upstream_send(
	void *arg, uint64_t id, const struct resolver_target *to, const uint8_t *msg, size_t len)
{
	(void)arg, (void)id, (void)to, (void)msg, (void)len;
}
static void upstream_done(void *arg, uint64_t id)
{
	(void)arg, (void)id;
}
static bool may_have(void *arg, uint64_t client)
{
	return !(((struct side *)arg)->withhold && client % 2);
}
static void told(void *arg, const struct resolver_told *t)
{
	struct side *s = arg;
	s->told++;
	s->last = *t;
	dns_name_copy(&s->name, t->name);
	s->last.name = NULL;
}

/* ---- what is asked ---- */

static const char *const names[] = { "bob.mesh", "alice.mesh", "x.wild.mesh", "y.wild.mesh", "alias.mesh",
	"long.mesh", "twice.mesh", "two.mesh", "mesh", "nobody.mesh", "a.sub.mesh", "sub.mesh",
	"b.a.sub.mesh", "out.mesh", "word.test.net", "host.word.test.net", "2.0.64.100.in-addr.arpa",
	"3.0.64.100.in-addr.arpa", "10-1-1-16-via-7.mesh", "alone.example.net", "alias.example.net",
	"2.0.0.0.0.4.4.6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa",
	"long-name-of-a-machine-that-somebody-thought-of.mesh", "localhost", "onion",
	"elsewhere.example.com" };
static const uint16_t types[] = { DNS_A, DNS_AAAA, DNS_PTR, DNS_CNAME, DNS_TXT, DNS_SOA, DNS_NS, DNS_ANY,
	DNS_HTTPS, 97, DNS_SRV, 0, DNS_AXFR };

static size_t question(uint8_t *msg)
{
	static const uint16_t sizes[] = { 0, 512, 1232, 4096 };
	size_t len = fake_question(msg, names[chance(ARRAY_LEN(names))], types[chance(ARRAY_LEN(types))],
		(uint16_t)chance(2) << 8);
	size_t name_end = dns_name_skip(msg, len, DNS_HEADER);
	be_put(msg, 2, chance(65536));
	msg[3] |= (uint8_t)(chance(8) ? 0 : chance(256) & ~15U); /* AD, CD and such */
	if (!chance(4))
		for (size_t i = DNS_HEADER; i < name_end; i++)
			if (msg[i] >= 'a' && msg[i] <= 'z' && chance(2))
				msg[i] -= 32;
	if (!chance(40))
		msg[name_end + 3] = 3; /* another class */
	be_put(msg + len - 8, 2, sizes[chance(ARRAY_LEN(sizes))]);
	if (!chance(4))
		msg[len - 4] |= 0x80; /* DO */
	if (!chance(40))
		msg[len - 5] = 1; /* of EDNS in times to come */
	if (!chance(4)) {
		msg[11] = 0;
		return len - DNS_OPT_LEN;
	}
	if (!chance(8)) { /* a cookie, or something else as long */
		msg[len - 1] = 12;
		memcpy(msg + len, chance(2) ? "\0\12\0\10cookiecu" : "\0\14\0\10\0\0\0\0\0\0\0\0", 12);
		len += 12;
	}
	if (!chance(40))
		msg[len++] = (uint8_t)chance(256); /* of no record */
	return len;
}

static void ask(struct side *s, uint64_t client, const uint8_t *msg, size_t len, bool tcp)
{
	s->replies = s->told = 0;
	(void)resolver_query(s->r, 1000, client, msg, len, tcp);
	resolver_client_gone(s->r, client);
}

/* A new question, or one of the last again. By TCP it is as well another as not. */
static void asked_same(void)
{
	static struct {
		size_t len;
		uint8_t msg[600];
	} last[RECENT];
	unsigned which = chance(RECENT);
	if (!last[which].len || !chance(NEW_EACH))
		last[which].len = question(last[which].msg);
	uint8_t *msg = last[which].msg;
	size_t len = last[which].len;
	bool tcp = !chance(8);
	for (unsigned times = 1 + chance(TIMES_MAX); times; times--) {
		uint64_t client = chance(CLIENTS);
		be_put(msg, 2, chance(65536));
		ask(&with, client, msg, len, tcp);
		ask(&without, client, msg, len, tcp);
		assert_int_equal(with.replies, without.replies);
		assert_int_equal(with.told, without.told);
		if (with.replies) {
			assert_int_equal(with.len, without.len);
			assert_memory_equal(with.reply, without.reply, with.len);
		}
		if (with.told) {
			assert_int_equal(with.last.client, without.last.client);
			assert_int_equal(with.last.type, without.last.type);
			assert_int_equal(with.last.rcode, without.last.rcode);
			assert_int_equal(with.last.source, without.last.source);
			assert_int_equal(with.last.took_ms, without.last.took_ms);
			assert_true(with.name.len == without.name.len);
			assert_memory_equal(with.name.b, without.name.b, with.name.len);
		}
		assert_memory_equal(
			resolver_stats(with.r), resolver_stats(without.r), sizeof(struct resolver_stats));
	}
}

/* ---- what changes ---- */

static void record_change(const char *name, uint16_t type, const char *hex)
{
	struct dns_name n;
	uint8_t rdata[256];
	size_t len = fake_hex(hex, rdata, sizeof(rdata));
	assert_true(dns_name_parse(name, &n));
	if (chance(3))
		(void)zone_add_record(zone, &n, type, rdata, len);
	else
		zone_remove_record(zone, &n, type, rdata, len);
}

/* One that does not fit into a plain answer by UDP. */
static void long_record_change(void)
{
	static const uint8_t text[600] = { [0] = 255, [256] = 255, [512] = 87 };
	struct dns_name n;
	assert_true(dns_name_parse("long.mesh", &n));
	if (chance(3))
		(void)zone_add_record(zone, &n, DNS_TXT, text, sizeof(text));
	else
		zone_remove_record(zone, &n, DNS_TXT, text, sizeof(text));
}

static void authority_change(unsigned i)
{
	static const char *const of[] = { "mesh", "64.100.in-addr.arpa" };
	if (authority[i])
		zone_remove_authority(zone, of[i]);
	else
		assert_int_equal(zone_add_authority(zone, of[i]), 0);
	authority[i] = !authority[i];
}

static void zone_change(void)
{
	struct addr v4 = addr_v4(0x64400002 + chance(2)), v6;
	const char *host = names[chance(2)];
	assert_true(addr_parse("fd7a:115c:a1e0::2", &v6));
	switch (chance(14)) {
	case 0: (void)zone_add_address(zone, host, &v4, true); break;
	case 1: (void)zone_add_address(zone, host, &v6, chance(2)); break;
	case 2: zone_remove_address(zone, host, &v4, true); break;
	case 3: zone_remove_address(zone, host, &v6, chance(2)); break;
	case 4: record_change("two.mesh", DNS_A, chance(2) ? "0a000001" : "0a000002"); break;
	case 5: record_change("alias.mesh", DNS_CNAME, "03626f62 046d657368 00"); break;
	case 6: record_change("twice.mesh", DNS_CNAME, "05616c696173 046d657368 00"); break;
	case 7: record_change("*.wild.mesh", chance(2) ? DNS_TXT : DNS_HTTPS, "026869"); break;
	case 8: record_change("out.mesh", DNS_CNAME, "09656c73657768657265 03636f6d 00"); break;
	case 9: record_change("alone.example.net", DNS_A, "0a000003"); break;
	case 10: long_record_change(); break;
	case 11: authority_change(chance(2)); break;
	case 12: record_change("alias.example.net", DNS_CNAME, "03626f62 046d657368 00"); break;
	default: zone_via6_names(zone); break;
	}
}

static void zone_exchange(void)
{
	bool copy = chance(2);
	struct zone *next = copy ? zone_copy(zone) : zone_new();
	assert_non_null(next);
	for (unsigned i = 0; !copy && i < ARRAY_LEN(authority); i++)
		authority[i] = false;
	if (!chance(3))
		zone_via6_names(chance(2) ? next : zone);
	struct dns_name root = { .len = 1 };
	uint64_t missing = zone_changes(zone) - zone_changes(next);
	if (!chance(2) && zone_changes(zone) > zone_changes(next)) { /* another one, and changed as often */
		while (missing--)
			zone_remove_record(next, &root, DNS_A, NULL, 0);
		assert_int_equal(zone_changes(next), zone_changes(zone));
	}
	resolver_zone_set(with.r, next);
	resolver_zone_set(without.r, next);
	zone_put(zone);
	zone = next;
}

static void configure(void)
{
	struct resolver_upstream up = { .at = fake_upstream(1) };
	struct resolver_route routes[] = {
		{ .suffix = "" },
		{ .suffix = "sub.mesh", .upstreams = &up, .n_upstreams = chance(2) },
		{ .suffix = "mesh", .upstreams = &up, .n_upstreams = 1 },
	};
	struct resolver_local_zone word = { .suffix = "word.test.net",
		.word = (enum resolver_word)(1 + chance(RESOLVER_WORDS - 1)) };
	struct resolver_config c = { .routes = routes,
		.n_routes = 1 + chance(ARRAY_LEN(routes)),
		.mesh_ttl_s = chance(2) ? 60 : 0,
		.local_zones = &word,
		.n_local_zones = chance(2) };
	if (chance(2))
		assert_true(nat64_parse("64:ff9b::/96", &c.dns64));
	assert_int_equal(resolver_configure(with.r, &c, NULL), 0);
	assert_int_equal(resolver_configure(without.r, &c, NULL), 0);
}

static void block_change(void)
{
	static const uint64_t seed[2] = { 1, 2 };
	struct block_answer how = { 0 };
	struct dns_name name;
	unsigned list;
	struct block *b = chance(2) ? block_new(seed) : NULL;
	if (b)
		assert_true(!block_list_add(b, "bench", false, &list) && dns_name_parse("mesh", &name) &&
			    !block_add(b, list, &name, BLOCK_NAME));
	resolver_block_set(with.r, b, &how);
	resolver_block_set(without.r, b, &how);
	block_put(b);
}

static void change(void)
{
	switch (chance(8)) {
	case 0: zone_exchange(); break;
	case 1: configure(); break;
	case 2: block_change(); break;
	case 3: with.withhold = without.withhold = chance(2); break;
	default: zone_change(); break;
	}
}

static void side_open(struct side *s, bool ready)
{
	struct resolver_ops ops = { .reply = reply,
		.upstream_send = upstream_send,
		.upstream_done = upstream_done,
		.may_have = may_have,
		.told = told,
		.arg = s };
	*s = (struct side) { .r = resolver_new(&ops, &random_system) };
	assert_true(s->r && s->r->ready);
	if (!ready) {
		ready_free(s->r->ready);
		s->r->ready = NULL;
	}
	resolver_zone_set(s->r, zone);
}

static void run(uint64_t seed)
{
	state_of_chance = seed;
	found = 0;
	zone = zone_new();
	assert_non_null(zone);
	authority[0] = authority[1] = false;
	side_open(&with, true);
	side_open(&without, false);
	for (unsigned i = 0; i < STEPS; i++) {
		if (!chance(CHANGE_EACH))
			change();
		asked_same();
	}
	assert_true(found > STEPS / 20); /* else nothing was tried */
	resolver_free(with.r);
	resolver_free(without.r);
	zone_put(zone);
}

static void test_same(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++)
		run(seed);
}

/* Whether a name is the one by which a ring is found out is asked each time. */
static void test_canary(void **state)
{
	static const char name[] = "0123456789abcdef.0123456789abcdef";
	struct addr ip = addr_v4(0x64400002);
	uint8_t msg[600];
	(void)state;
	found = 0;
	zone = zone_new();
	assert_true(zone && !zone_add_address(zone, name, &ip, false) &&
		    !zone_add_address(zone, "bob.mesh", &ip, false));
	side_open(&with, true);
	for (unsigned i = 0; i < 2; i++)
		ask(&with, 0, msg, fake_question(msg, name, DNS_A, DNS_RD), false);
	assert_int_equal(with.replies, 1);
	assert_int_equal(found, 0);
	for (unsigned i = 0; i < 2; i++)
		ask(&with, 0, msg, fake_question(msg, "bob.mesh", DNS_A, DNS_RD), false);
	assert_int_equal(found, 1);
	resolver_free(with.r);
	zone_put(zone);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_same), cmocka_unit_test(test_canary) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
