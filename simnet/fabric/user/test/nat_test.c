#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>

#include "simnet/fabric/user/test/packets.h"
#include "mesh/base/err.h"
#include "simnet/fabric/user/nat.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* The NAT by the definitions of RFC 4787, 5382 and 5508: what a peer sees, who may come in, for how long. */

enum { S = 1000000000 };
static const char inside[] = "192.168.1.10:5000", a1[] = "203.0.113.10:3478", a2[] = "203.0.113.10:3479",
		  b1[] = "203.0.113.20:3478", wan[] = "203.0.113.100";
static const char *const peers[] = { a1, a2, b1 };

static struct nat *make(const struct nat_model *m, struct decision_log *log)
{
	struct nat_config c = { .name = "home", .model = m, .wan = at(wan).ip, .seed = 7, .log = log };
	struct nat *n = nat_new(&c);
	assert_non_null(n);
	return n;
}

/* What `to` sees of a packet from inside; port 0: it did not pass. */
static struct endpoint sent(struct nat *n, const char *from, const char *to, uint64_t now)
{
	struct packet p = udp(from, to, 20, 0);
	struct nat_verdict v = nat_out(n, p.b, &p.v, now);
	if (v.end != NAT_PASSES)
		return (struct endpoint) { 0 };
	look(&p);
	assert_true(is_sound(&p));
	return (struct endpoint) { .ip = p.v.src, .port = p.v.sport };
}

/* Where a packet from outside ends up. */
static bool comes_in(
	struct nat *n, const char *from, const struct endpoint *to, const char *whom, uint64_t now)
{
	char text[ENDPOINT_TEXT];
	struct packet p = udp(from, endpoint_format(to, text), 20, 0);
	struct nat_verdict v = nat_in(n, p.b, &p.v, now);
	if (v.end != NAT_PASSES)
		return false;
	look(&p);
	assert_true(is_sound(&p));
	expect_ends(&p, from, whom);
	return true;
}

static void test_classes(void **state)
{
	(void)state;
	for (int m = 0; m < NAT_MAPPINGS; m++)
		for (int f = 0; f < NAT_FILTERINGS; f++) {
			struct nat_model model = nat_model_default;
			model.udp = (struct nat_class) { (enum nat_mapping)m, (enum nat_filtering)f };
			struct nat *n = make(&model, NULL);
			struct endpoint seen[3];
			for (int i = 0; i < 3; i++)
				seen[i] = sent(n, inside, peers[i], 1);
			assert_int_equal(seen[0].port == seen[1].port, m != NAT_APDM);
			assert_int_equal(seen[0].port == seen[2].port, m == NAT_EIM);
			struct endpoint hole = sent(n, "192.168.1.10:5001", a1, 1);
			assert_int_equal(comes_in(n, b1, &hole, "192.168.1.10:5001", 2), f == NAT_EIF);
			assert_int_equal(comes_in(n, a2, &hole, "192.168.1.10:5001", 2), f != NAT_APDF);
			assert_true(comes_in(n, a1, &hole, "192.168.1.10:5001", 2));
			nat_free(n);
		}
}

static bool is_outside(const struct endpoint *e)
{
	struct endpoint is = at(wan);
	return e->port && addr_equal(&e->ip, &is.ip);
}

static bool is_host(const struct addr *a, const char *host)
{
	struct endpoint is = at(host);
	return addr_equal(a, &is.ip);
}

static void test_ports(void **state)
{
	(void)state;
	struct nat_model model = nat_model_default;
	struct nat *n = make(&model, NULL);
	struct endpoint hashed = sent(n, inside, a1, 1);
	nat_free(n);
	n = make(&model, NULL); /* the seed decides */
	struct endpoint again = sent(n, inside, a1, 1);
	assert_true(endpoint_equal(&hashed, &again) && is_outside(&hashed) && hashed.port != 5000);
	nat_forget(n, true, 2);
	again = sent(n, inside, a1, 3);
	assert_int_not_equal(again.port, hashed.port); /* a reset chooses anew */
	nat_free(n);

	model.ports = NAT_PORTS_PRESERVE;
	n = make(&model, NULL);
	assert_int_equal(sent(n, inside, a1, 1).port, 5000);
	uint16_t other = sent(n, "192.168.1.11:5000", b1, 1).port;
	assert_true(other && other != 5000);
	nat_free(n);

	model.ports = NAT_PORTS_OVERLOAD;
	n = make(&model, NULL);
	assert_int_equal(sent(n, inside, a1, 1).port, 5000);
	assert_int_equal(sent(n, "192.168.1.11:5000", b1, 1).port, 5000);
	other = sent(n, "192.168.1.11:5000", a1, 1).port; /* there it is the first one's */
	assert_true(other && other != 5000);
	struct endpoint shared = { .ip = at(wan).ip, .port = 5000 };
	assert_true(comes_in(n, a1, &shared, inside, 2));
	assert_true(comes_in(n, b1, &shared, "192.168.1.11:5000", 2));
	nat_free(n);

	model.ports = NAT_PORTS_SEQUENTIAL;
	n = make(&model, NULL);
	uint16_t first = sent(n, inside, a1, 1).port;
	assert_int_equal(sent(n, "192.168.1.11:7", a1, 1).port, first + 1);
	assert_int_equal(sent(n, "192.168.1.12:9", a1, 1).port, first + 2);
	nat_free(n);

	model.ports = NAT_PORTS_PARITY;
	n = make(&model, NULL);
	char from[40];
	for (int i = 0; i < 40; i++) {
		snprintf(from, sizeof(from), "192.168.1.10:%d", 6000 + i);
		assert_int_equal(sent(n, from, a1, 1).port % 2, i % 2);
	}
	nat_free(n);
}

static void test_blocks(void **state)
{
	(void)state;
	struct nat_model model = nat_model_default;
	struct decision_log log = { 0 };
	char from[40];
	model.ports = NAT_PORTS_BLOCK;
	model.block_ports = 8;
	struct nat *n = make(&model, &log);
	uint16_t block = 0;
	for (int i = 0; i < 9; i++) {
		snprintf(from, sizeof(from), "192.168.1.10:%d", 6000 + i);
		uint16_t port = sent(n, from, a1, 1).port;
		block = i ? block : (uint16_t)(port / 8);
		assert_int_equal(port, i == 8 ? 0 : port);
		assert_true(i == 8 ? !port : port / 8 == block);
	}
	assert_int_equal(log.v[log.n - 1].kind, DECISION_REFUSED);
	uint16_t other = sent(n, "192.168.1.11:6000", a1, 1).port; /* a neighbour has his own */
	assert_true(other && other / 8 != block);
	nat_free(n);
	decision_fini(&log);
}

/* Blocks have one owner each; who comes when all have theirs gets nothing. */
static void test_block_owners(void **state)
{
	(void)state;
	struct nat_model model = nat_model_default;
	unsigned seen = 0;
	char from[40];
	model.ports = NAT_PORTS_BLOCK;
	model.block_ports = 4096;
	struct nat *n = make(&model, NULL);
	for (int i = 0; i < 20; i++) {
		snprintf(from, sizeof(from), "192.168.1.%d:6000", 10 + i);
		uint16_t port = sent(n, from, a1, 1).port;
		assert_int_equal(port != 0, i < 15);
		seen |= port ? 1U << port / 4096 : 0;
	}
	assert_int_equal(__builtin_popcount(seen), 15);
	nat_free(n);
}

static void test_pool(void **state)
{
	(void)state;
	struct nat_model model = nat_model_default;
	char from[40];
	unsigned seen[2] = { 0 };
	struct endpoint first = at(wan);
	for (int arbitrary = 0; arbitrary < 2; arbitrary++) {
		model.pool = 4;
		model.pool_arbitrary = arbitrary;
		struct nat *n = make(&model, NULL);
		for (int i = 0; i < 64; i++) {
			snprintf(from, sizeof(from), "192.168.1.10:%d", 6000 + i);
			struct endpoint e = sent(n, from, a1, 1);
			assert_true(nat_owns(n, &e.ip));
			seen[arbitrary] |= 1U << (addr_v4_get(&e.ip) - addr_v4_get(&first.ip));
		}
		nat_free(n);
	}
	assert_int_equal(__builtin_popcount(seen[0]), 1);
	assert_int_equal(seen[1], 15);
}

/* A mapping lives exactly as long as its model says since the last packet that counts. */
static void test_lifetimes(void **state)
{
	(void)state;
	static const struct {
		enum nat_refresh refresh;
		bool outward, lives;
	} rows[] = {
		{ NAT_REFRESH_BOTH, true, true },
		{ NAT_REFRESH_BOTH, false, true },
		{ NAT_REFRESH_OUT, true, true },
		{ NAT_REFRESH_OUT, false, false },
		{ NAT_REFRESH_IN, true, false },
		{ NAT_REFRESH_IN, false, true },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct nat_model model = nat_model_default;
		model.lifetimes.udp_new_s = 10;
		model.lifetimes.udp_s = 30;
		model.refresh = rows[i].refresh;
		struct nat *n = make(&model, NULL);
		uint64_t t = 5ULL * S;
		struct endpoint hole = sent(n, inside, a1, t);
		assert_true(comes_in(n, a1, &hole, inside, t)); /* answered */
		for (int k = 0; k < 4; k++) {
			t += 20ULL * S;
			if (rows[i].outward)
				(void)sent(n, inside, a1, t);
			else if (!comes_in(n, a1, &hole, inside, t))
				break;
		}
		/* An outward packet makes another mapping, of the same port, where the old one has ended; so ask
		 * for sessions by what a stranger's inward packet meets. */
		if (!rows[i].lives && !rows[i].outward)
			assert_int_equal(nat_sessions(n), 0);
		if (rows[i].lives)
			assert_true(comes_in(n, a1, &hole, inside, t + 29ULL * S));
		nat_free(n);
	}
}

/* As Linux has it: an answered flow is a stream, and lives longer, from its first packet after two seconds; the answer itself
 * is none. */
static void test_stream(void **state)
{
	static const struct {
		unsigned answer_s, again_s; /* when it is answered, and sent once more; 0: not */
		unsigned lives_s;	    /* after the last */
	} rows[] = { { 0, 0, 30 }, { 1, 0, 30 }, { 5, 0, 30 }, { 1, 2, 30 }, { 1, 3, 120 }, { 5, 6, 120 },
		{ 0, 20, 30 } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct nat *n = make(&nat_preset_find("linux-masquerade")->model, NULL);
		uint64_t last = 0;
		struct endpoint hole = sent(n, inside, a1, S);
		if (rows[i].answer_s)
			assert_true(comes_in(n, a1, &hole, inside, (last = rows[i].answer_s) * S + S));
		if (rows[i].again_s)
			assert_int_equal(
				sent(n, inside, a1, (last = rows[i].again_s) * S + S).port, hole.port);
		assert_int_equal(nat_deadline_ns(n), (1 + last + rows[i].lives_s) * S);
		nat_free(n);
	}
}

/* What comes unasked is remembered as long as nobody has answered it, from its last packet on; a packet from inside that gets
 * no further than the router keeps a flow, and makes none. */
static void test_open_box(void **state)
{
	struct endpoint hole = at("203.0.113.100:5000");
	struct packet dies = udp(inside, a1, 20, 0);
	(void)state;
	struct nat *n = make(&nat_preset_find("linux-masquerade")->model, NULL);
	assert_false(comes_in(n, b1, &hole, inside, S));
	assert_false(comes_in(n, b1, &hole, inside, 21ULL * S));
	assert_int_not_equal(sent(n, inside, b1, 50ULL * S).port, hole.port);
	nat_free(n);
	n = make(&nat_preset_find("linux-masquerade")->model, NULL);
	assert_false(comes_in(n, b1, &hole, inside, S));
	assert_int_equal(sent(n, inside, b1, 31ULL * S).port, hole.port);
	nat_free(n);
	n = make(&nat_preset_find("linux-masquerade")->model, NULL);
	nat_touch(n, &dies.v, S);
	assert_int_equal(nat_sessions(n), 0);
	(void)sent(n, inside, a1, S);
	nat_touch(n, &dies.v, 25ULL * S);
	assert_int_equal(nat_deadline_ns(n), 55ULL * S);
	nat_free(n);
	n = make(&nat_model_default, NULL);
	(void)sent(n, inside, a1, S);
	nat_touch(n, &dies.v, 25ULL * S); /* not known of another */
	assert_int_equal(nat_deadline_ns(n), 121ULL * S);
	nat_free(n);
}

static void test_expiry(void **state)
{
	(void)state;
	static const struct {
		enum nat_ports ports;
		enum nat_expiry expiry;
		bool same;
	} rows[] = {
		{ NAT_PORTS_HASH, NAT_EXPIRY_POLICY, true },
		{ NAT_PORTS_HASH, NAT_EXPIRY_KEEP, true },
		{ NAT_PORTS_HASH, NAT_EXPIRY_MOVE, false },
		{ NAT_PORTS_RANDOM, NAT_EXPIRY_POLICY, false },
		{ NAT_PORTS_RANDOM, NAT_EXPIRY_KEEP, true },
		{ NAT_PORTS_SEQUENTIAL, NAT_EXPIRY_POLICY, false },
		{ NAT_PORTS_SEQUENTIAL, NAT_EXPIRY_KEEP, true },
		{ NAT_PORTS_PRESERVE, NAT_EXPIRY_POLICY, true },
		{ NAT_PORTS_PRESERVE, NAT_EXPIRY_MOVE, false },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct nat_model model = nat_model_default;
		struct decision_log log = { 0 };
		model.ports = rows[i].ports;
		model.expiry = rows[i].expiry;
		model.lifetimes.udp_new_s = 10;
		struct nat *n = make(&model, &log);
		struct endpoint first = sent(n, inside, a1, S);
		assert_int_equal(nat_deadline_ns(n), 11ULL * S);
		nat_tick(n, 11ULL * S - 1);
		assert_int_equal(nat_sessions(n), 1);
		nat_tick(n, 11ULL * S);
		assert_int_equal(nat_sessions(n), 0);
		assert_int_equal(log.v[1].kind, DECISION_EXPIRED);
		assert_false(comes_in(n, a1, &first, inside, 12ULL * S));
		struct endpoint second = sent(n, inside, a1, 12ULL * S);
		if ((second.port == first.port) != rows[i].same)
			fail_msg("row %zu", i);
		nat_free(n);
		decision_fini(&log);
	}
}

/* ---- hairpin ---- */

static struct nat_verdict hairpin(
	struct nat *n, const char *from, const struct endpoint *to, struct packet *p)
{
	char text[ENDPOINT_TEXT];
	*p = udp(from, endpoint_format(to, text), 20, 0);
	struct nat_verdict v = nat_hairpin(n, p->b, &p->v, 1);
	if (v.end == NAT_PASSES)
		look(p);
	return v;
}

static void test_hairpin(void **state)
{
	(void)state;
	struct packet p;
	char text[ENDPOINT_TEXT];
	for (int h = 0; h < NAT_HAIRPINS; h++)
		for (int filters = 0; filters < 2; filters++) {
			struct nat_model model = nat_model_default;
			model.hairpin = (enum nat_hairpin)h;
			model.hairpin_filters = filters;
			struct nat *n = make(&model, NULL);
			struct endpoint hole = sent(n, inside, a1, 1);
			struct nat_verdict v = hairpin(n, "192.168.1.11:6000", &hole, &p);
			assert_int_equal(v.end == NAT_PASSES, h != NAT_HAIRPIN_OFF && !filters);
			if (v.end == NAT_PASSES) {
				struct endpoint own = sent(n, "192.168.1.11:6000", a1, 1);
				expect_ends(&p,
					h == NAT_HAIRPIN_INTERNAL ? "192.168.1.11:6000"
								  : endpoint_format(&own, text),
					inside);
				assert_true(is_sound(&p));
			}
			hole.port = 4;
			assert_int_equal(hairpin(n, "192.168.1.11:6001", &hole, &p).end, NAT_DROPS);
			nat_free(n);
		}
}

/* ---- ICMP ---- */

static void test_echo(void **state)
{
	(void)state;
	struct nat_model model = nat_model_default;
	struct nat *n = make(&model, NULL);
	struct packet p = echo("192.168.1.10", "203.0.113.10", 0, true), q;
	assert_int_equal(nat_out(n, p.b, &p.v, 1).end, NAT_PASSES);
	look(&p);
	assert_true(is_sound(&p));
	assert_true(is_outside(&(struct endpoint) { .ip = p.v.src, .port = 1 }));
	q = echo("203.0.113.10", wan, p.v.sport, false);
	assert_int_equal(nat_in(n, q.b, &q.v, 2).end, NAT_PASSES);
	look(&q);
	assert_true(is_sound(&q));
	assert_int_equal(q.v.sport, 0);
	assert_true(is_host(&q.v.dst, inside));
	q = echo("203.0.113.20", wan, p.v.sport, false); /* who was not asked does not answer */
	assert_int_equal(nat_in(n, q.b, &q.v, 2).end, NAT_DROPS);
	q = echo("203.0.113.10", wan, 77, true); /* for the router itself */
	assert_int_equal(nat_in(n, q.b, &q.v, 2).end, NAT_IS_NONE);
	nat_free(n);
}

static void test_errors(void **state)
{
	(void)state;
	for (int lost = 0; lost < 2; lost++) {
		struct nat_model model = nat_model_default;
		model.icmp_errors_lost = lost;
		struct nat *n = make(&model, NULL);
		struct packet p = udp(inside, a1, 20, 0), e;
		assert_int_equal(nat_out(n, p.b, &p.v, 1).end, NAT_PASSES);
		look(&p);
		e = error_about(&p, "203.0.113.77", 3, 4);
		assert_int_equal(nat_in(n, e.b, &e.v, 1).end, lost ? NAT_DROPS : NAT_PASSES);
		if (!lost) {
			struct ip_view inner;
			uint16_t inner_at;
			look(&e);
			assert_true(is_sound(&e));
			expect_ends(&e, "203.0.113.77:0", "192.168.1.10:0");
			assert_true(eth_read_error(e.b, &e.v, e.len, &inner, &inner_at));
			assert_int_equal(inner.sport, 5000);
			assert_true(is_host(&inner.src, inside));
			assert_int_equal(ip_checksum(e.b + inner_at, inner.l4_at, 0), 0);
		}
		/* The inside refuses an answer: its error is about a packet that came in. */
		struct packet answer = udp(a1, inside, 20, 0);
		e = error_about(&answer, "192.168.1.10", 3, 3);
		assert_int_equal(nat_out(n, e.b, &e.v, 1).end, lost ? NAT_DROPS : NAT_PASSES);
		look(&e);
		if (!lost)
			assert_true(
				is_sound(&e) && is_outside(&(struct endpoint) { .ip = e.v.src, .port = 1 }));
		struct packet unknown = udp("203.0.113.100:9", b1, 20, 0);
		e = error_about(&unknown, "203.0.113.77", 3, 3);
		assert_int_equal(nat_in(n, e.b, &e.v, 1).end, NAT_IS_NONE);
		nat_free(n);
	}
}

/* ---- TCP ---- */

static void test_tcp_unknown(void **state)
{
	(void)state;
	static const enum nat_end ends[] = { [NAT_UNKNOWN_LOOSE] = NAT_PASSES,
		[NAT_UNKNOWN_STRICT] = NAT_PROHIBITS,
		[NAT_UNKNOWN_RESET] = NAT_RESETS,
		[NAT_UNKNOWN_SILENT] = NAT_DROPS };
	for (int u = 0; u < NAT_UNKNOWNS; u++) {
		struct nat_model model = nat_model_default;
		model.tcp_unknown = (enum nat_unknown)u;
		struct nat *n = make(&model, NULL);
		struct packet p = tcp(inside, a1, TCP_ACK);
		assert_int_equal(nat_out(n, p.b, &p.v, 1).end, ends[u]);
		p = tcp(a1, "203.0.113.100:9", TCP_ACK);
		assert_int_equal(
			nat_in(n, p.b, &p.v, 1).end, u == NAT_UNKNOWN_RESET ? NAT_RESETS : NAT_IS_NONE);
		nat_free(n);
	}
}

static void test_tcp_lifetimes(void **state)
{
	(void)state;
	struct nat_model model = nat_model_default;
	model.lifetimes.tcp_opening_s = 5;
	model.lifetimes.tcp_s = 100;
	model.lifetimes.tcp_closing_s = 7;
	struct nat *n = make(&model, NULL);
	struct packet p = tcp(inside, a1, TCP_SYN), q;
	char text[ENDPOINT_TEXT];
	assert_int_equal(nat_out(n, p.b, &p.v, S).end, NAT_PASSES);
	look(&p);
	assert_true(is_sound(&p));
	assert_int_equal(nat_deadline_ns(n), 6ULL * S);
	struct endpoint hole = { .ip = p.v.src, .port = p.v.sport };
	q = tcp(a1, endpoint_format(&hole, text), TCP_SYN | TCP_ACK);
	assert_int_equal(nat_in(n, q.b, &q.v, S).end, NAT_PASSES);
	assert_int_equal(nat_deadline_ns(n), 101ULL * S);
	p = tcp(inside, a1, TCP_FIN | TCP_ACK);
	assert_int_equal(nat_out(n, p.b, &p.v, 2ULL * S).end, NAT_PASSES);
	assert_int_equal(nat_deadline_ns(n), 9ULL * S);
	/* Simultaneous open: another SYN meets the mapping only if the filter says so. */
	q = tcp(a2, endpoint_format(&hole, text), TCP_SYN);
	assert_int_equal(nat_in(n, q.b, &q.v, 2ULL * S).end, NAT_DROPS);
	nat_free(n);
}

/* ---- the trap ---- */

static void test_accepts_wan(void **state)
{
	(void)state;
	for (int accepts = 0; accepts < 2; accepts++) {
		struct nat_model model = nat_model_default;
		struct decision_log log = { 0 };
		model.accepts_wan = accepts;
		struct nat *n = make(&model, &log);
		struct endpoint hole = sent(n, inside, a1, 1);	 /* as STUN saw it */
		assert_false(comes_in(n, b1, &hole, inside, 2)); /* the peer's probe comes early */
		struct endpoint to_peer = sent(n, inside, b1, 3);
		assert_int_equal(to_peer.port == hole.port, !accepts);
		assert_int_equal(sent(n, inside, a2, 3).port, hole.port);
		assert_int_equal(log.v[log.n - 1].kind == DECISION_MOVED, accepts);
		nat_free(n);
		decision_fini(&log);
	}
}

static void test_format(void **state)
{
	(void)state;
	struct buf out = { 0 };
	char want[160];
	struct nat *n = make(&nat_model_default, NULL);
	struct endpoint hole = sent(n, inside, a1, S);
	assert_true(nat_format(n, 21ULL * S, &out));
	snprintf(want, sizeof(want),
		"udp 192.168.1.10:5000 -> 203.0.113.10:3478, outside as 203.0.113.100:%u, not answered, 100 "
		"s left\n",
		hole.port);
	assert_string_equal(buf_cstr(&out), want);
	buf_free(&out);
	nat_free(n);
}

static void test_table(void **state)
{
	(void)state;
	struct nat_model model = nat_model_default;
	char from[40];
	model.table = 3;
	struct nat *n = make(&model, NULL);
	for (int i = 0; i < 5; i++) {
		snprintf(from, sizeof(from), "192.168.1.10:%d", 6000 + i);
		assert_int_equal(sent(n, from, a1, 1).port != 0, i < 3);
	}
	struct packet p = tcp(inside, a1, TCP_SYN); /* each protocol has its own */
	assert_int_equal(nat_out(n, p.b, &p.v, 1).end, NAT_PASSES);
	nat_free(n);
}

static void test_forwards(void **state)
{
	(void)state;
	struct nat_model model = nat_model_default;
	model.forwards[0] = (struct nat_forward) {
		.proto = IP_UDP, .port = 4000, .to_port = 53, .ip = at("192.168.1.12").ip
	};
	model.n_forwards = 1;
	struct nat *n = make(&model, NULL);
	struct endpoint outer = { .ip = at(wan).ip, .port = 4000 };
	assert_true(comes_in(n, b1, &outer, "192.168.1.12:53", 1));
	assert_int_equal(sent(n, "192.168.1.12:53", b1, 1).port, 4000);
	assert_int_equal(sent(n, "192.168.1.12:53", a1, 1).port, 4000);
	outer.port = 4001;
	assert_false(comes_in(n, b1, &outer, "192.168.1.12:53", 1));
	nat_free(n);
}

/* ---- IPv6 ---- */

static void test_v6_firewall(void **state)
{
	(void)state;
	struct nat_flows f;
	nat_flows_init(&f);
	struct ip_view out = { .version = 6, .proto = IP_UDP, .sport = 1, .dport = 2 }, in = out;
	out.src.b[0] = 0x20;
	out.dst.b[0] = 0x21;
	in.src = out.dst;
	in.dst = out.src;
	in.sport = 2;
	in.dport = 1;
	assert_false(nat_flows_pass(&f, &in, true, 1));
	assert_true(nat_flows_pass(&f, &out, false, 1));
	assert_true(nat_flows_pass(&f, &in, true, 2));
	in.sport = 3;
	assert_false(nat_flows_pass(&f, &in, true, 2));
	in.sport = 2;
	assert_false(nat_flows_pass(&f, &in, true, 200ULL * S));
	nat_flows_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_block_owners),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_lifetimes),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_open_box),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_hairpin),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_tcp_unknown),
		cmocka_unit_test(test_tcp_lifetimes),
		cmocka_unit_test(test_accepts_wan),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_forwards),
		cmocka_unit_test(test_v6_firewall),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
