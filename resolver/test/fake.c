#include "resolver/test/fake.h"

#include "resolver/zone.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

static void reply(void *arg, uint64_t client, const uint8_t *msg, size_t len)
{
	struct fake *f = arg;
	f->n_replies++;
	f->client = client;
	f->reply_len = len;
	memcpy(f->reply, msg, len);
}

static void upstream_send(
	void *arg, uint64_t id, const struct resolver_target *to, const uint8_t *msg, size_t len)
{
	struct fake *f = arg;
	assert_true(f->n_sent < ARRAY_LEN(f->sent) && len <= sizeof(f->sent[0].msg));
	struct sent *s = &f->sent[f->n_sent++];
	*s = (struct sent) { .id = id,
		.to = to->at,
		.secure = to->secure,
		.tcp = to->tcp,
		.fresh = to->fresh,
		.validated = to->validated,
		.len = len };
	memcpy(s->msg, msg, len);
}

static void upstream_done(void *arg, uint64_t id)
{
	struct fake *f = arg;
	for (size_t i = 0; i < f->n_sent; i++)
		if (f->sent[i].id == id) {
			assert_false(f->sent[i].done);
			f->sent[i].done = true;
			return;
		}
	fail_msg("done for what was never sent");
}

static uint16_t who(void *arg, uint64_t client)
{
	(void)arg;
	return (uint16_t)(client % RESOLVER_WHO);
}

static bool may_have(void *arg, uint64_t client)
{
	(void)client;
	return !((struct fake *)arg)->withhold;
}

static uint32_t lists(void *arg, uint64_t client)
{
	(void)client;
	return ((const struct fake *)arg)->lists;
}

static void told(void *arg, const struct resolver_told *t)
{
	const struct fake *f = arg;
	if (f->told)
		f->told(arg, t);
}

struct endpoint fake_upstream(unsigned n)
{
	return (struct endpoint) { .ip = addr_v4(0xc0000200 + n), .port = 53 };
}

static void record_add(struct zone *z, const char *name, uint16_t type, const char *hex)
{
	struct dns_name n;
	uint8_t rdata[256];
	assert_true(dns_name_parse(name, &n));
	assert_true(!zone_add_record(z, &n, type, rdata, fake_hex(hex, rdata, sizeof(rdata))));
}

static void address_add(struct zone *z, const char *name, const char *ip, bool with_ptr)
{
	struct addr a;
	assert_true(addr_parse(ip, &a) && !zone_add_address(z, name, &a, with_ptr));
}

static struct zone *zone_make(void)
{
	struct zone *z = zone_new();
	assert_true(!zone_add_authority(z, "mesh") && !zone_add_authority(z, "64.100.in-addr.arpa."));
	address_add(z, "Bob.mesh", "100.64.0.2", true);
	address_add(z, "bob.mesh", "fd7a:115c:a1e0::2", true);
	address_add(z, "two.mesh", "100.64.0.3", false);
	address_add(z, "two.mesh", "100.64.0.4", false);
	address_add(z, "four.mesh", "100.64.0.5", true);
	record_add(z, "alias.mesh", DNS_CNAME, "03626f62 046d657368 00");
	record_add(z, "out.mesh", DNS_CNAME, "03777777 036f7574 036e6574 00");
	record_add(z, "loop.mesh", DNS_CNAME, "046c6f6f70 046d657368 00");
	record_add(z, "*.wild.mesh", DNS_TXT, "026869");
	record_add(z, "_sip._tcp.mesh", DNS_SRV, "0001 0002 0003 03626f62 046d657368 00");
	assert_non_null(z);
	return z;
}

static void configure(struct fake *f, unsigned n_upstreams)
{
	struct resolver_upstream up[8] = { 0 }, corp = { .at = fake_upstream(11) };
	for (unsigned i = 0; i < n_upstreams; i++)
		up[i].at = fake_upstream(i + 1);
	struct resolver_route routes[] = {
		{ .suffix = "", .upstreams = up, .n_upstreams = n_upstreams },
		{ .suffix = "corp.test.net", .upstreams = &corp, .n_upstreams = 1 },
		{ .suffix = "1.64.100.in-addr.arpa", .upstreams = &corp, .n_upstreams = 1 },
		{ .suffix = "only.net" },
	};
	struct resolver_config c = { .routes = routes, .n_routes = ARRAY_LEN(routes) };
	assert_int_equal(resolver_configure(f->r, &c, NULL), 0);
}

void fake_open(struct fake *f, unsigned n_upstreams)
{
	struct resolver_ops ops = { .reply = reply,
		.upstream_send = upstream_send,
		.upstream_done = upstream_done,
		.lists = lists,
		.who = who,
		.may_have = may_have,
		.told = told,
		.arg = f };
	memset(f, 0, sizeof(*f));
	f->now_ms = 1000000;
	f->r = resolver_new(&ops, &random_system);
	assert_non_null(f->r);
	struct zone *z = zone_make();
	resolver_zone_set(f->r, z);
	zone_put(z);
	configure(f, n_upstreams);
}

void fake_close(struct fake *f)
{
	resolver_free(f->r);
}

size_t fake_hex(const char *hex, uint8_t *buf, size_t cap)
{
	size_t n = 0;
	for (; *hex; hex++) {
		unsigned v;
		if (*hex == ' ')
			continue;
		assert_int_equal(sscanf(hex, "%2x", &v), 1);
		assert_true(n < cap);
		buf[n++] = (uint8_t)v;
		hex++;
	}
	return n;
}

size_t fake_question(uint8_t *buf, const char *name, uint16_t type, uint16_t flags)
{
	struct dns_name n;
	assert_true(dns_name_parse(name, &n));
	struct dns_ask ask = { .id = 0x1234, .type = type, .edns = true, .name = &n };
	size_t len = dns_ask_write(buf, &ask);
	be_put(buf + 2, 2, flags);
	return len;
}

bool fake_ask(struct fake *f, uint64_t client, const char *name, uint16_t type)
{
	uint8_t msg[DNS_HEADER + DNS_QUESTION_MAX + DNS_OPT_LEN];
	size_t len = fake_question(msg, name, type, DNS_RD);
	return resolver_query(f->r, f->now_ms, client, msg, len, false);
}

size_t fake_answer_write(const struct fake *f, size_t i, const struct fake_answer *a, uint8_t *buf)
{
	assert_true(i < f->n_sent);
	const struct sent *s = &f->sent[i];
	size_t end = dns_name_skip(s->msg, s->len, DNS_HEADER) + 4;
	memcpy(buf, s->msg, end);
	be_put(buf + 2, 2, 0x8180 | a->flags | a->rcode);
	be_put(buf + 6, 2, a->an);
	be_put(buf + 8, 2, a->ns);
	be_put(buf + 10, 2, a->ar);
	return end + fake_hex(a->records ? a->records : "", buf + end, 60000);
}

void fake_answer(struct fake *f, size_t i, const struct fake_answer *a)
{
	static uint8_t buf[DNS_MESSAGE_MAX];
	size_t len = fake_answer_write(f, i, a, buf);
	resolver_upstream_received(f->r, f->now_ms, f->sent[i].id, buf, len);
}

bool fake_sent_is(const struct sent *s, const char *begin, size_t len)
{
	return s->len >= DNS_HEADER + len &&
	       dns_bytes_equal(s->msg + DNS_HEADER, (const uint8_t *)begin, len);
}

void fake_until(struct fake *f, uint64_t now_ms)
{
	for (uint64_t due; (due = resolver_deadline(f->r)) <= now_ms;) {
		f->now_ms = due > f->now_ms ? due : f->now_ms;
		resolver_tick(f->r, f->now_ms);
	}
	f->now_ms = now_ms;
}

unsigned fake_rcode(const struct fake *f)
{
	return f->reply[3] & 15;
}
unsigned fake_count(const struct fake *f, unsigned section)
{
	return (unsigned)be_get(f->reply + 4 + 2 * section, 2);
}
