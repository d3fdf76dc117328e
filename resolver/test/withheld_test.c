/* Names that a client may not have: whichever way leads to one, what is before it is all that the client gets, while one who
 * may gets the rest, in whatever order they ask. */
#include "resolver/core.h"

#include "resolver/test/fake.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#define BOB "03626f62 046d657368 00"
#define BOB_TEXT "\3bob\4mesh"
#define BOB_V4 "\144\100\0\2"
#define BOB_V6 "\xfd\x7a\x11\x5c\xa1\xe0\0\0\0\0\0\0\0\0\0\2"
#define ELSEWHERE "\012\011\011\011" /* 10.9.9.9 */
#define TO_BOB "c00c 0005 0001 0000003c 000a" BOB
#define TO_BOB_LYING TO_BOB BOB "0001 0001 0000003c 0004 06060606"
#define TO_ALIAS "c00c 0005 0001 0000003c 0013 05616c696173 076578616d706c65 036e6574 00"
#define TO_FAR "c00c 0005 0001 0000003c 000d 03666172 03707562 036f7267 00" /* far.pub.org */
#define BOTH(bytes) bytes, sizeof(bytes) - 1

static struct fake f;

static void record_add(struct zone *z, const char *name, uint16_t type, const char *hex)
{
	struct dns_name n;
	uint8_t rdata[256];
	assert_true(dns_name_parse(name, &n));
	assert_int_equal(zone_add_record(z, &n, type, rdata, fake_hex(hex, rdata, sizeof(rdata))), 0);
}

static void address_add(struct zone *z, const char *name, const char *ip, bool with_ptr)
{
	struct addr a;
	assert_true(addr_parse(ip, &a) && !zone_add_address(z, name, &a, with_ptr));
}

static struct zone *zone_make(void)
{
	struct zone *z = zone_new();
	assert_true(z && !zone_add_authority(z, "mesh") && !zone_add_authority(z, "64.100.in-addr.arpa"));
	zone_via6_names(z);
	address_add(z, "bob.mesh", "100.64.0.2", true);
	address_add(z, "Bob.mesh", "fd7a:115c:a1e0::2", true);
	address_add(z, "rob.friends.net", "10.9.9.9", true);
	address_add(z, "printer.example.net", "10.8.8.8", false);
	record_add(z, "8.8.8.10.in-addr.arpa", DNS_PTR, "077072696e746572 076578616d706c65 036e6574 00");
	record_add(z, "out.mesh", DNS_CNAME, "03777777 036f7574 036e6574 00");
	record_add(z, "loop.mesh", DNS_CNAME, "046c6f6f70 046d657368 00");
	record_add(z, "alias.example.net", DNS_CNAME, BOB);
	record_add(z, "twice.example.net", DNS_CNAME, "05616c696173 076578616d706c65 036e6574 00");
	record_add(z, "*.wild.example.net", DNS_CNAME, BOB);
	record_add(z, "rob.example.net", DNS_CNAME, "03726f62 07667269656e6473 036e6574 00");
	record_add(z, "via.example.net", DNS_CNAME, "0f31302d312d312d31362d7669612d37 046d657368 00");
	record_add(z, "through.example.net", DNS_CNAME, "036f7574 046d657368 00");
	record_add(z, "gone.example.net", DNS_CNAME, "046e6f6e65 046d657368 00");
	record_add(z, "round.example.net", DNS_CNAME, "046c6f6f70 046d657368 00");
	record_add(z, "far.example.net", DNS_CNAME, "02696e 076578616d706c65 03636f6d 00");
	record_add(z, "_sip._tcp.example.net", DNS_SRV, "0001 0002 0003" BOB);
	record_add(z, "example.net", DNS_MX, "000a" BOB);
	record_add(z, "word.test.net", DNS_CNAME, BOB);
	return z;
}

static int setup(void **state)
{
	struct resolver_upstream up = { .at = fake_upstream(1) }, corp = { .at = fake_upstream(11) };
	struct resolver_route routes[] = { { .suffix = "", .upstreams = &up, .n_upstreams = 1 },
		{ .suffix = "corp.test.net", .upstreams = &corp, .n_upstreams = 1 } };
	struct resolver_local_zone word = { .suffix = "word.test.net", .word = RESOLVER_REDIRECT };
	struct resolver_config c = {
		.routes = routes, .n_routes = ARRAY_LEN(routes), .local_zones = &word, .n_local_zones = 1
	};
	(void)state;
	fake_open(&f, 1);
	struct zone *z = zone_make();
	resolver_zone_set(f.r, z);
	zone_put(z);
	assert_true(nat64_parse("64:ff9b::/96", &c.dns64));
	assert_int_equal(resolver_configure(f.r, &c, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_close(&f);
	return 0;
}

/* What is asked, what upstreams say to the questions that come of it, and what must not be told. */
struct row {
	const char *name;
	uint16_t type;
	const char *secret; /* what one who may is told; NULL: nothing that is to be seen */
	size_t secret_len;
	unsigned rcode, n; /* of one who may not */
	struct fake_answer says[2];
};

/* Answers what was sent since, and whatever comes of that. */
static void upstreams_answer(const struct row *row, size_t since)
{
	for (size_t i = since, k = 0; i < f.n_sent; i++, k++) {
		assert_true(k < ARRAY_LEN(row->says));
		fake_answer(&f, i, &row->says[k]);
	}
}

static void ask(const struct row *row, bool withhold, bool tcp)
{
	uint8_t msg[DNS_HEADER + DNS_QUESTION_MAX + DNS_OPT_LEN];
	size_t since = f.n_sent, replies = f.n_replies,
	       len = fake_question(msg, row->name, row->type, DNS_RD);
	f.withhold = withhold;
	assert_true(resolver_query(f.r, f.now_ms, 1, msg, len, tcp));
	upstreams_answer(row, since);
	assert_int_equal(f.n_replies, replies + 1);
	bool told = row->secret && memmem(f.reply + len, f.reply_len - len, row->secret, row->secret_len);
	if (withhold && (told || fake_rcode(&f) != row->rcode || fake_count(&f, 1) != row->n ||
				(row->n && fake_count(&f, 2)) || fake_count(&f, 3) != 1))
		fail_msg("%s: rcode %u, %u records%s", row->name, fake_rcode(&f), fake_count(&f, 1),
			told ? ", and it is told" : "");
	if (!withhold && row->secret && !told)
		fail_msg("%s: who may have it does not get it", row->name);
}

static void test_ways_in(void **state)
{
	static const struct row rows[] = {
		{ "bob.mesh", DNS_A, BOTH(BOB_V4), DNS_REFUSED, 0, { { 0 } } },
		{ "bob.mesh", DNS_AAAA, BOTH(BOB_V6), DNS_REFUSED, 0, { { 0 } } },
		{ "bob.mesh", DNS_ANY, BOTH(BOB_V4), DNS_REFUSED, 0, { { 0 } } },
		{ "10-1-1-16-via-7.mesh", DNS_AAAA, BOTH("\xfd\x7a\x11\x5c"), DNS_REFUSED, 0, { { 0 } } },
		{ "none.mesh", DNS_A, NULL, 0, DNS_REFUSED, 0, { { 0 } } },
		{ "mesh", DNS_SOA, BOTH("\6nobody"), DNS_REFUSED, 0, { { 0 } } },
		{ "2.0.64.100.in-addr.arpa", DNS_PTR, BOTH(BOB_TEXT), DNS_REFUSED, 0, { { 0 } } },
		{ "3.0.64.100.in-addr.arpa", DNS_PTR, NULL, 0, DNS_REFUSED, 0, { { 0 } } },
		{ "out.mesh", DNS_A, BOTH("\3www\3out"), DNS_REFUSED, 0, { { 0 } } },
		/* a record of the zone, of anybody's domain */
		{ "alias.example.net", DNS_A, BOTH(BOB_V4), 0, 1, { { 0 } } },
		{ "alias.example.net", DNS_AAAA, BOTH(BOB_V6), 0, 1, { { 0 } } },
		{ "alias.example.net", DNS_TXT, BOTH("\6nobody"), 0, 1, { { 0 } } },
		{ "twice.example.net", DNS_A, BOTH(BOB_V4), 0, 2, { { 0 } } },
		{ "x.wild.example.net", DNS_A, BOTH(BOB_V4), 0, 1, { { 0 } } },
		{ "x.word.test.net", DNS_A, BOTH(BOB_V4), 0, 1, { { 0 } } },
		{ "via.example.net", DNS_AAAA, BOTH("\xfd\x7a\x11\x5c"), 0, 1, { { 0 } } },
		{ "gone.example.net", DNS_A, BOTH("\6nobody"), 0, 1, { { 0 } } },
		{ "round.example.net", DNS_A, NULL, 0, 0, 1, { { 0 } } },
		{ "through.example.net", DNS_A, BOTH("\3www\3out"), 0, 1, { { 0 } } },
		/* what a translator's address is called is a CNAME too */
		{ "2.0.0.0.0.4.4.6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa", DNS_PTR,
			BOTH(BOB_TEXT), 0, 1, { { 0 } } },
		/* what upstreams say, of one route or two, and from a record of ours on */
		{ "in.example.com", DNS_A, BOTH(BOB_V4), 0, 1, { { .an = 1, .records = TO_BOB } } },
		{ "lie.example.com", DNS_A, BOTH(BOB_V4), 0, 1, { { .an = 2, .records = TO_BOB_LYING } } },
		{ "not.example.com", DNS_A, BOTH(BOB_V4), 0, 1,
			{ { .rcode = DNS_NXDOMAIN, .an = 1, .records = TO_BOB } } },
		{ "six.example.com", DNS_AAAA, BOTH(BOB_V6), 0, 1, { { .an = 1, .records = TO_BOB } } },
		{ "an.example.com", DNS_A, BOTH(BOB_V4), 0, 2, { { .an = 1, .records = TO_ALIAS } } },
		{ "below.d.example.com", DNS_A, BOTH(BOB_V4), 0, 1, /* DNAME */
			{ { .an = 2,
				.records = "c012 0027 0001 0000003c 0006 046d657368 00"
					   "c00c 0005 0001 0000003c 000a" BOB } } },
		{ "a.corp.test.net", DNS_A, BOTH(BOB_V4), 0, 2,
			{ { .an = 1, .records = TO_FAR }, { .an = 1, .records = TO_BOB } } },
		{ "far.example.net", DNS_A, BOTH(BOB_V4), 0, 2, { { .an = 1, .records = TO_BOB } } },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (unsigned turn = 0; turn < 8; turn++)
			ask(&rows[i], turn % 2 == (i & 1), turn >= 4);
}

/* Records that everybody may have are whole, and bring nothing with them: not even where they name a machine. */
static void test_for_everybody(void **state)
{
	static const struct row rows[] = {
		{ "printer.example.net", DNS_A, NULL, 0, 0, 1, { { 0 } } },
		{ "8.8.8.10.in-addr.arpa", DNS_PTR, NULL, 0, 0, 1, { { 0 } } },
		{ "_sip._tcp.example.net", DNS_SRV, NULL, 0, 0, 1, { { 0 } } },
		{ "example.net", DNS_MX, NULL, 0, 0, 1, { { 0 } } },
		{ "alias.example.net", DNS_CNAME, NULL, 0, 0, 1, { { 0 } } },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (unsigned turn = 0; turn < 4; turn++) {
			ask(&rows[i], true, turn >= 2);
			assert_null(memmem(f.reply, f.reply_len, BOTH(BOB_V4)));
			ask(&rows[i], false, turn >= 2);
		}
}

/* A host of another network, or of ours where it has no domains: by its name, by its address, and where an alias leads to
 * it; as long as it is a host's. */
static void test_hosts_elsewhere(void **state)
{
	static const struct row rows[] = {
		{ "rob.friends.net", DNS_A, BOTH(ELSEWHERE), DNS_REFUSED, 0, { { 0 } } },
		{ "rob.friends.net", DNS_AAAA, BOTH("\6nobody"), DNS_REFUSED, 0, { { 0 } } },
		{ "9.9.9.10.in-addr.arpa", DNS_PTR, BOTH("\3rob\7friends"), DNS_REFUSED, 0, { { 0 } } },
		{ "rob.example.net", DNS_A, BOTH(ELSEWHERE), 0, 1, { { 0 } } },
	};
	static const struct row alone = { "rob.friends.net", DNS_A, NULL, 0, 0, 1, { { 0 } } };
	struct addr at = addr_v4(0x0a090909);
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (unsigned turn = 0; turn < 8; turn++)
			ask(&rows[i], turn % 2 == (i & 1), turn >= 4);
	/* an extra record says the same */
	assert_int_equal(zone_add_address(f.r->zone, "rob.friends.net", &at, false), 0);
	ask(&rows[0], true, false);
	struct zone *copy = zone_copy(f.r->zone);
	assert_non_null(copy);
	resolver_zone_set(f.r, copy);
	zone_put(copy);
	ask(&rows[0], true, false);
	zone_remove_address(copy, "rob.friends.net", &at, true);
	ask(&alone, true, false);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(zone_add_address(copy, "rob.friends.net", &at, true), 0);
	for (unsigned i = 0; i < 19; i++)
		zone_remove_address(copy, "rob.friends.net", &at, true);
	ask(&rows[0], true, false);
}

int main(void)
{
#define ONE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = { ONE(test_ways_in), ONE(test_hosts_elsewhere),
		ONE(test_for_everybody) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
