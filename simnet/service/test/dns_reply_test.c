#include "simnet/service/dns_reply.h"

#include "mesh/base/wire.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* id 0x1234, RD, one question: www.test A IN */
static const uint8_t question[] = { 0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 'w', 'W', 'w', 4, 't', 'e',
	's', 't', 0, 0, 1, 0, 1 };
enum { TYPE_AT = 23 };
static const struct faults none;

static struct dns_records records_of(const char *text)
{
	struct dns_records r;
	struct errbuf eb = { 0 };
	if (dns_records_parse(text, &r, &eb))
		fail_msg("%s", eb.text);
	return r;
}

static struct faults faults_of(const char *text)
{
	struct faults f;
	struct errbuf eb = { 0 };
	if (faults_parse(SERVICE_DNS, text, &f, &eb))
		fail_msg("%s", eb.text);
	return f;
}

static void test_vector(void **state)
{
	struct dns_records r = records_of("www.test A 192.0.2.7");
	uint8_t out[DNS_REPLY_MAX];
	static const uint8_t answer[] = { 0x12, 0x34, 0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 3, 'w', 'W', 'w', 4,
		't', 'e', 's', 't', 0, 0, 1, 0, 1, 3, 'w', 'w', 'w', 4, 't', 'e', 's', 't', 0, 0, 1, 0, 1, 0,
		0, 0, 30, 0, 4, 192, 0, 2, 7 };
	(void)state;

	size_t n = dns_reply_write(&r, &none, false, question, sizeof(question), out);
	assert_int_equal(n, sizeof(answer));
	assert_memory_equal(out, answer, sizeof(answer)); /* the question as it was asked, letters too */
	dns_records_free(&r);
}

static void test_faults(void **state)
{
	static const struct {
		const char *faults;
		bool tcp;
		int rcode; /* -1: silence */
		unsigned answers;
		bool cut;
	} rows[] = {
		{ "", false, 0, 1, false },
		{ "dead", false, -1, 0, false },
		{ "silent=www.test", false, -1, 0, false },
		{ "silent=test", false, -1, 0, false },
		{ "silent=ww.test+other.test", false, 0, 1, false },
		{ "servfail=www.test", false, 2, 0, false },
		{ "all-servfail", true, 2, 0, false },
		{ "nxdomain=WWW.TEST", false, 3, 0, false },
		{ "refused", false, 5, 0, false },
		{ "scope=example", false, 5, 0, false },
		{ "scope=example+test", false, 0, 1, false },
		{ "truncate", false, 0, 0, true },
		{ "truncate", true, 0, 1, false },
		{ "no-tcp", true, -1, 0, false },
		{ "no-tcp", false, 0, 1, false },
		{ "lie=192.0.2.99", false, 0, 1, false },
	};
	struct dns_records r = records_of("www.test A 192.0.2.7");
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct faults f = faults_of(rows[i].faults);
		uint8_t out[DNS_REPLY_MAX] = { 0 };
		size_t n = dns_reply_write(&r, &f, rows[i].tcp, question, sizeof(question), out);
		if ((n == 0) != (rows[i].rcode < 0))
			fail_msg("row %zu: %zu bytes", i, n);
		if (n && ((out[3] & 15) != rows[i].rcode || be_get(out + 6, 2) != rows[i].answers ||
				 !!(out[2] & 2) != rows[i].cut))
			fail_msg("row %zu: rcode %d, %d answers", i, out[3] & 15, out[7]);
		if (n && f.lies)
			assert_int_equal(out[n - 1], 99);
	}
	dns_records_free(&r);
}

/* The answer to a question of that name and type, by TCP. */
static size_t ask(
	const struct dns_records *r, const char *name, uint8_t type, uint8_t out[static DNS_REPLY_MAX])
{
	uint8_t q[64] = { 0, 1, 1, 0, 0, 1 };
	struct wr w = { .p = q, .cap = sizeof(q), .len = 12 };
	for (const char *p = name; *p;) {
		size_t len = strcspn(p, ".");
		wr_u8(&w, (uint8_t)len);
		wr_bytes(&w, p, len);
		p += len + (p[len] == '.');
	}
	wr_u8(&w, 0);
	wr_u16(&w, type);
	wr_u16(&w, 1);
	return dns_reply_write(r, &none, true, q, w.len, out);
}

static void test_names_and_types(void **state)
{
	struct dns_records r = records_of("www.test. A 192.0.2.7; www.test AAAA 2001:db8::1; a.test CNAME "
					  "b.test; b.test CNAME www.test;\n"
					  "loop.test CNAME loop.test; t.test TXT hello there;");
	static const struct {
		const char *name;
		uint8_t type;
		int rcode;
		unsigned answers;
	} rows[] = {
		{ "www.test", 1, 0, 1 },
		{ "www.test", 28, 0, 1 },
		{ "www.test", 16, 0, 0 },
		{ "www.test", 255, 0, 2 },
		{ "a.test", 1, 0, 3 },
		{ "a.test", 5, 0, 1 },
		{ "loop.test", 1, 0, 8 },
		{ "t.test", 16, 0, 1 },
		{ "x.test", 1, 3, 0 },
		{ "test", 1, 3, 0 },
	};
	(void)state;

	assert_int_equal(r.n, 6);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t out[DNS_REPLY_MAX];
		size_t n = ask(&r, rows[i].name, rows[i].type, out);
		if (!n || (out[3] & 15) != rows[i].rcode || be_get(out + 6, 2) != rows[i].answers)
			fail_msg("row %zu: %zu bytes, rcode %d, %d answers", i, n, out[3] & 15, out[7]);
	}
	dns_records_free(&r);
}

/* Who has IPv4 alone is behind the prefix, by whatever name; who has IPv6 is where he says. */
static void test_dns64(void **state)
{
	struct dns_records r =
		records_of("four.test A 192.0.2.7; four.test A 192.0.2.8; six.test A 192.0.2.9;"
			   "six.test AAAA 2001:db8::1; a.test CNAME four.test; t.test TXT x");
	static const struct {
		const char *name;
		uint8_t type;
		int rcode;
		unsigned answers;
		const char *last; /* its data; NULL: not looked at */
	} rows[] = {
		{ "four.test", 28, 0, 2, "64:ff9b::192.0.2.8" },
		{ "four.test", 1, 0, 2, NULL },
		{ "four.test", 255, 0, 2, NULL },
		{ "six.test", 28, 0, 1, "2001:db8::1" },
		{ "a.test", 28, 0, 3, "64:ff9b::192.0.2.8" },
		{ "t.test", 28, 0, 0, NULL },
		{ "x.test", 28, 3, 0, NULL },
		{ "ipv4only.arpa", 28, 0, 2, "64:ff9b::192.0.0.171" },
		{ "ipv4only.arpa", 1, 0, 2, NULL },
		{ "six.test", 1, 0, 1, NULL },
	};
	uint8_t out[DNS_REPLY_MAX];
	struct addr want;
	(void)state;

	assert_true(nat64_parse("64:ff9b::/96", &r.dns64));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n = ask(&r, rows[i].name, rows[i].type, out);
		bool same = n && (out[3] & 15) == rows[i].rcode && be_get(out + 6, 2) == rows[i].answers;
		if (same && rows[i].last)
			same = addr_parse(rows[i].last, &want) && !memcmp(out + n - 16, want.b, 16);
		if (!same)
			fail_msg("row %zu: %zu bytes, rcode %d, %d answers", i, n, out[3] & 15, out[7]);
	}
	r.dns64.bits = 0;
	assert_true(ask(&r, "ipv4only.arpa", 28, out) && (out[3] & 15) == 3);
	dns_records_free(&r);
}

/* Bytes that are no question are answered by nothing; with EDNS there is room for more. */
static void test_hostile(void **state)
{
	struct dns_records r = records_of("www.test A 192.0.2.7");
	uint8_t out[DNS_REPLY_MAX], q[sizeof(question)], edns[sizeof(question) + 11];
	static const struct {
		size_t at;
		uint8_t value;
	} rows[] = { { 2, 0x81 }, { 2, 0x11 }, { 5, 0 }, { 5, 2 }, { 7, 1 }, { 9, 1 }, { 12, 0xc0 },
		{ 12, 64 }, { 13, '.' }, { 13, 0 }, { 13, 0x80 } };
	(void)state;

	for (size_t len = 0; len < sizeof(question); len++)
		assert_int_equal(dns_reply_write(&r, &none, false, question, len, out), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		memcpy(q, question, sizeof(q));
		q[rows[i].at] = rows[i].value;
		if (dns_reply_write(&r, &none, false, q, sizeof(q), out))
			fail_msg("row %zu", i);
	}
	static const uint8_t opt[] = { 0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0 };
	memcpy(edns, question, sizeof(question));
	memcpy(edns + sizeof(question), opt, sizeof(opt));
	edns[11] = 1;
	size_t n = dns_reply_write(&r, &none, false, edns, sizeof(edns), out);
	assert_int_equal(out[11], 1);
	assert_memory_equal(out + n - sizeof(opt), opt, sizeof(opt));
	dns_records_free(&r);
}

/* What does not fit is cut where it was asked by UDP, and whole by TCP. */
static void test_large(void **state)
{
	char text[8192] = "";
	for (int i = 0; i < 20; i++)
		strcat(text, "www.test TXT aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;");
	struct dns_records r = records_of(text);
	uint8_t q[sizeof(question)], out[DNS_REPLY_MAX];
	(void)state;

	memcpy(q, question, sizeof(q));
	q[TYPE_AT] = 16;
	size_t n = dns_reply_write(&r, &none, false, q, sizeof(q), out);
	assert_int_equal(n, sizeof(q));
	assert_true(out[2] & 2);
	n = dns_reply_write(&r, &none, true, q, sizeof(q), out);
	assert_true(n > 512 && !(out[2] & 2));
	assert_int_equal(out[7], 20);
	dns_records_free(&r);
}

static void test_wrong_words(void **state)
{
	static const struct {
		enum service_kind kind;
		const char *text, *says;
	} rows[] = {
		{ SERVICE_DNS, "ded", "did you mean 'dead'?" },
		{ SERVICE_DNS, "dead=1", "'dead' takes no value" },
		{ SERVICE_DNS, "slow=5", "'slow' wants slow=TIME" },
		{ SERVICE_DNS, "lie=nowhere", "'lie' wants lie=ADDRESS" },
		{ SERVICE_DNS, "silent=", "'silent' wants silent=NAMES" },
		{ SERVICE_HTTP, "truncate", "'truncate' is no fault of http" },
		{ SERVICE_DNS, "auth=a:b", "'auth' is no fault of dns" },
		{ SERVICE_HTTP, "status=1000", "'status' wants status=N" },
	};
	static const struct {
		const char *text, *says;
	} records[] = {
		{ "www.test", "is no record; write NAME TYPE VALUE" },
		{ "www.test MX 1 x", "none of A AAAA CNAME TXT" },
		{ "www.test A 2001:db8::1", "is no value of that type" },
		{ "www.test CNAME a..b", "is no value of that type" },
	};
	struct faults f = { .dead = true };
	struct errbuf eb;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (faults_parse(rows[i].kind, rows[i].text, &f, &eb) != -EINVAL ||
			!strstr(eb.text, rows[i].says) || !f.dead)
			fail_msg("row %zu: %s", i, eb.text);
	for (size_t i = 0; i < ARRAY_LEN(records); i++) {
		struct dns_records r;
		if (dns_records_parse(records[i].text, &r, &eb) != -EINVAL ||
			!strstr(eb.text, records[i].says))
			fail_msg("record %zu: %s", i, eb.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vector),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_names_and_types),
		cmocka_unit_test(test_dns64),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_wrong_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
