/* RFC 8906: the 34 checks that ISC's genreport makes of a server, under its names, against a zone of ours over sockets. */
#include "resolver/listen.h"

#include "mesh/os/sock.h"
#include "resolver/test/fake.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define SOME_COOKIE "000a 0008 0102030405060708"
#define NSID "0003 0000"
#define SUBNET "0008 0004 00010000"
#define EXPIRE "0009 0000"
#define UNKNOWN "0064 0000"

enum { ZFLAG = 0x0040, OPCODE_15 = 15 << 11, UNKNOWN_FLAG = 0x0080, DO_BIT = 0x8000 };
enum { OPTION_SUBNET = 8, OPTION_UNKNOWN = 100 };

struct check {
	const char *name;
	unsigned flags; /* opcode too */
	uint16_t type;
	uint16_t size; /* 0: no OPT */
	uint8_t version;
	uint16_t edns_flags;
	bool tcp;
	const char *options; /* hex */
};

static const struct check checks[] = {
	{ "dns", 0, DNS_SOA, 0, 0, 0, false, "" },
	{ "aa", DNS_AA, DNS_SOA, 0, 0, 0, false, "" },
	{ "ad", DNS_AD, DNS_SOA, 0, 0, 0, false, "" },
	{ "cd", DNS_CD, DNS_SOA, 0, 0, 0, false, "" },
	{ "ra", DNS_RA, DNS_SOA, 0, 0, 0, false, "" },
	{ "rd", DNS_RD, DNS_SOA, 0, 0, 0, false, "" },
	{ "tc", DNS_TC, DNS_SOA, 0, 0, 0, false, "" },
	{ "zflag", ZFLAG, DNS_SOA, 0, 0, 0, false, "" },
	{ "opcode", OPCODE_15, 0, 0, 0, 0, false, "" },
	{ "opcodeflg", OPCODE_15 | DNS_TC | DNS_RD | DNS_RA | DNS_CD | DNS_AD | DNS_AA | ZFLAG, 0, 0, 0, 0,
		false, "" },
	{ "type666", 0, 666, 0, 0, 0, false, "" },
	{ "tcp", 0, DNS_SOA, 0, 0, 0, true, "" },
	{ "edns", 0, DNS_SOA, 4096, 0, 0, false, "" },
	{ "edns1", 0, DNS_SOA, 4096, 1, 0, false, "" },
	{ "edns@512", 0, DNS_DNSKEY, 512, 0, DO_BIT, false, "" },
	{ "ednsopt", 0, DNS_SOA, 4096, 0, 0, false, UNKNOWN },
	{ "edns1opt", 0, DNS_SOA, 4096, 1, 0, false, UNKNOWN },
	{ "do", 0, DNS_SOA, 4096, 0, DO_BIT, false, "" },
	{ "docd", DNS_CD, DNS_SOA, 4096, 0, DO_BIT, false, "" },
	{ "edns1do", 0, DNS_SOA, 4096, 1, DO_BIT, false, "" },
	{ "ednsflags", 0, DNS_SOA, 4096, 0, UNKNOWN_FLAG, false, "" },
	{ "optlist", 0, DNS_SOA, 4096, 0, 0, false, NSID SUBNET EXPIRE SOME_COOKIE },
	{ "ednsnsid", 0, DNS_SOA, 4096, 0, 0, false, NSID },
	{ "ednscookie", 0, DNS_SOA, 4096, 0, 0, false, SOME_COOKIE },
	{ "ednsexpire", 0, DNS_SOA, 4096, 0, 0, false, EXPIRE },
	{ "ednssubnet", 0, DNS_SOA, 4096, 0, 0, false, SUBNET },
	{ "edns1nsid", 0, DNS_SOA, 4096, 1, 0, false, NSID },
	{ "edns1cookie", 0, DNS_SOA, 4096, 1, 0, false, SOME_COOKIE },
	{ "edns1expire", 0, DNS_SOA, 4096, 1, 0, false, EXPIRE },
	{ "edns1subnet", 0, DNS_SOA, 4096, 1, 0, false, SUBNET },
	{ "signed", 0, DNS_SOA, 4096, 0, DO_BIT, true, "" }, /* as "do": there are no signatures */
	{ "ednstcp", 0, DNS_DNSKEY, 512, 0, DO_BIT, true, "" },
	{ "bind11", 0, DNS_SOA, 4096, 0, DO_BIT, false, SOME_COOKIE },
	{ "dig11", DNS_RD | DNS_AD, DNS_SOA, 4096, 0, 0, false, SOME_COOKIE },
};

static struct fixture {
	struct loop *loop;
	struct resolver_server *server;
	struct endpoint at;
	int client;
	bool timed_out;
	size_t len;
	uint8_t got[4096];
} fx;

static int setup(void **state)
{
	struct endpoint at = { .ip = addr_v4(INADDR_LOOPBACK) };
	struct resolver_server_options o = { .at = &at, .n = 1 };
	struct errbuf eb = { 0 };
	struct zone *z = zone_new();
	(void)state;
	fx.loop = loop_new();
	fx.server = resolver_server_open(fx.loop, &o, &eb);
	if (!fx.server)
		fail_msg("%s", eb.text);
	fx.at = resolver_server_endpoint(fx.server, 0);
	assert_true(z && !zone_add_authority(z, "mesh"));
	resolver_zone_set(resolver_server_core(fx.server), z);
	zone_put(z);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	resolver_server_close(fx.server);
	loop_free(fx.loop);
	return 0;
}

static size_t question(const struct check *c, uint8_t *buf)
{
	struct wr w = wr_of(buf, 512);
	uint8_t options[64];
	struct dns_name zone;
	bool bare = c->flags & OPCODE_15; /* a header alone */
	assert_true(dns_name_parse("mesh", &zone));
	wr_u16(&w, 0x1234);
	wr_u16(&w, (uint16_t)c->flags);
	wr_u16(&w, !bare);
	wr_u32(&w, 0);
	wr_u16(&w, c->size != 0);
	if (!bare) {
		wr_bytes(&w, zone.b, zone.len);
		wr_u16(&w, c->type);
		wr_u16(&w, DNS_IN);
	}
	if (c->size) {
		wr_u8(&w, 0);
		wr_u16(&w, DNS_OPT);
		wr_u16(&w, c->size);
		wr_u32(&w, (uint32_t)c->version << 16 | c->edns_flags);
		size_t n = fake_hex(c->options, options, sizeof(options));
		wr_u16(&w, (uint16_t)n);
		wr_bytes(&w, options, n);
	}
	return w.len;
}

static void received(void *arg, int events)
{
	size_t head = *(const bool *)arg ? 2 : 0; /* TCP says how long it is */
	(void)events;
	ssize_t n = recv(fx.client, fx.got + fx.len, sizeof(fx.got) - fx.len, MSG_DONTWAIT);
	fx.len += n > 0 ? (size_t)n : 0;
	if (n <= 0 || !head || (fx.len >= 2 && fx.len >= 2 + be_get(fx.got, 2)))
		loop_stop(fx.loop);
}

static void gave_up(void *arg)
{
	fx.timed_out = true;
	loop_stop(arg);
}

/* The answer comes into fx.got. */
static void ask(const struct check *c)
{
	uint8_t buf[600];
	struct sockaddr_storage ss;
	bool tcp = c->tcp;
	socklen_t ss_len = endpoint_to_sockaddr(&fx.at, false, &ss);
	size_t len = question(c, buf + 2), head = tcp ? 2 : 0;
	be_put(buf, 2, len);
	fx.client = socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
	assert_true(fx.client >= 0 && !connect(fx.client, (struct sockaddr *)&ss, ss_len));
	assert_int_equal(send(fx.client, buf + 2 - head, len + head, 0), len + head);
	struct loop_timer *limit = loop_timer_new(fx.loop, gave_up, fx.loop);
	struct loop_fd *watch = loop_fd_new(fx.loop, fx.client, received, &tcp);
	fx.len = 0;
	loop_timer_set(limit, 8000);
	loop_fd_set(watch, LOOP_READ);
	loop_run(fx.loop);
	loop_fd_free(watch);
	loop_timer_free(limit);
	close(fx.client);
	if (fx.timed_out || fx.len < head + DNS_HEADER)
		fail_msg("%s: no answer", c->name);
	fx.len -= head;
	memmove(fx.got, fx.got + head, fx.len);
}

struct seen {
	bool opt, soa;
	unsigned answers, authorities, rcode, version, edns_flags, forbidden;
};

static void options_read(const struct dns_rr *rr, struct seen *s)
{
	struct rd r = rd_of(fx.got + rr->rdata_at, rr->rdata_len);
	s->opt = true;
	s->rcode |= rr->ttl_s >> 24 << 4;
	s->version = rr->ttl_s >> 16 & 0xff;
	s->edns_flags = rr->ttl_s & 0xffff;
	while (r.left && !r.bad) {
		uint16_t code = rd_u16(&r);
		(void)rd_sub(&r, rd_u16(&r));
		s->forbidden += code == OPTION_UNKNOWN || code == OPTION_SUBNET;
	}
	assert_false(r.bad);
}

static void answer_look(const struct check *c, struct seen *s)
{
	size_t at = DNS_HEADER;
	*s = (struct seen) { .rcode = fx.got[3] & 15 };
	if (be_get(fx.got + 4, 2))
		at = dns_name_skip(fx.got, fx.len, at) + 4;
	for (unsigned section = 1; section < 4; section++)
		for (uint64_t n = be_get(fx.got + 4 + 2 * section, 2); n; n--) {
			struct dns_rr rr = { 0 };
			if (!dns_rr_next(fx.got, fx.len, &at, &rr) || !dns_rdata_fits(fx.got, &rr))
				fail_msg("%s: malformed", c->name);
			s->answers += section == DNS_ANSWER;
			s->authorities += section == DNS_AUTHORITY;
			s->soa |= section == DNS_ANSWER && rr.type == DNS_SOA;
			if (rr.type == DNS_OPT && s->opt)
				fail_msg("%s: two OPTs", c->name);
			if (rr.type == DNS_OPT)
				options_read(&rr, s);
		}
	if (at != fx.len)
		fail_msg("%s: bytes behind it", c->name);
}

/* RFC 8906 8, for a server that is asked for a zone of its own. */
static const char *fault(const struct check *c)
{
	unsigned flags = (unsigned)be_get(fx.got + 2, 2) & 0xfff0u, may = DNS_RA;
	struct seen s;
	answer_look(c, &s);
	if (be_get(fx.got, 2) != 0x1234)
		return "another id";
	if (c->flags & OPCODE_15) {
		if (s.rcode != DNS_NOTIMP)
			return "an opcode that is not there, and not NOTIMP";
		return flags != (DNS_QR | OPCODE_15) ? "flags that a question has only"
		       : fx.len != DNS_HEADER	     ? "more than a header"
						     : NULL;
	}
	if (s.opt != (c->size != 0))
		return "OPT, and none was asked with, or none";
	if (s.version || (s.edns_flags & ~DO_BIT) || s.forbidden)
		return "an unknown version, flag or option";
	if (s.rcode != (c->version ? DNS_BADVERS : DNS_NOERROR))
		return "the rcode";
	if (c->version)
		return s.answers || s.authorities ? "more than BADVERS" : NULL;
	may |= c->flags & DNS_AD || c->edns_flags & DO_BIT ? DNS_AD : 0;
	if ((flags & ~may) != (DNS_QR | DNS_AA | (c->flags & (DNS_RD | DNS_CD))))
		return "flags";
	if (s.soa != (c->type == DNS_SOA) || s.answers != s.soa || s.authorities != !s.soa)
		return "not the SOA, or not NODATA";
	if (s.edns_flags != (c->edns_flags & DO_BIT))
		return "DO";
	if (!c->tcp && fx.len > (c->size && c->size > DNS_UDP_PLAIN ? c->size : DNS_UDP_PLAIN))
		return "longer than may be";
	return NULL;
}

static void test_checks(void **state)
{
	unsigned failed = 0;
	(void)state;
	assert_int_equal(ARRAY_LEN(checks), 34);
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		ask(&checks[i]);
		const char *what = fault(&checks[i]);
		if (what)
			print_error("%s: %s (flags %04x)\n", checks[i].name, what,
				(unsigned)be_get(fx.got + 2, 2));
		failed += what != NULL;
	}
	assert_int_equal(failed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_checks, setup, teardown) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
