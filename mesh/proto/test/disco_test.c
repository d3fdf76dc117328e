#include "mesh/proto/disco.h"
#include "mesh/proto/test/vectors.h"

/* Golden vectors of tailscale-protocol.md 3.1. */
static const char ping_hex[] =
	"5453f09f92ac50a61409b1ddd0325e9b16b700e719e9772c07000b1bd7786e907c653d20495d0a0a0a0a0a0a0a0a0a0a"
	"0a0a0a0a0a0a0a0a0a0a0a0a0a0aae9a67d2248ff14aa45db00d2d0d8bb2878e27f10ec5c2bf881bf17ae382f742370f"
	"e14f90dfaebbc932f6367b359aaf2febec7149c582b3c9f03f3ed040";
static const char pong_hex[] =
	"5453f09f92acf5b2d6e60f9477e310c2982daaa6c9136c108a1777c5947e448fa37d681745570a0a0a0a0a0a0a0a0a0a"
	"0a0a0a0a0a0a0a0a0a0a0a0a0a0a36eecd730c6b63c47b8865d3527369f5848e27f10ec5c2bf881bf17ae382e4fc78e5"
	"0bbd941853886e31aa360b2cb9d7";

struct sides {
	struct disco_private a, b;
	struct disco_key a_pub, b_pub;
	struct node_key node;
	struct box_key shared;
	uint8_t nonce[BOX_NONCE];
};

static struct sides make_sides(void)
{
	struct sides s;
	struct node_private node;
	fill_key(s.a.b, 5);
	fill_key(s.b.b, 6);
	fill_key(node.b, 7);
	key_public(s.a.b, s.a_pub.b);
	key_public(s.b.b, s.b_pub.b);
	key_public(node.b, s.node.b);
	assert_true(box_precompute(s.a.b, s.b_pub.b, &s.shared));
	memset(s.nonce, 0x0a, sizeof(s.nonce));
	return s;
}

static struct disco_message make_message(uint8_t type, const struct sides *s)
{
	struct disco_message m = { .type = type, .node = s->node };
	for (size_t i = 0; i < DISCO_TX; i++)
		m.tx[i] = (uint8_t)i;
	assert_true(endpoint_parse("192.0.2.1:41641", &m.seen));
	return m;
}

static void check_golden(const char *hex, const struct disco_message *m, const struct disco_key *us)
{
	struct sides s = make_sides();
	uint8_t want[256], got[DISCO_MAX];
	size_t len = unhex(hex, want, sizeof(want));
	assert_int_equal(disco_write(m, us, &s.shared, s.nonce, got), len);
	assert_memory_equal(got, want, len);

	struct disco_message back;
	struct disco_key sender;
	assert_true(disco_is(want, len));
	assert_true(disco_sender(want, len, &sender));
	assert_memory_equal(sender.b, us->b, KEY_LEN);
	assert_true(disco_read(want, len, &s.shared, &back));
	assert_int_equal(back.type, m->type);
	assert_memory_equal(back.tx, m->tx, DISCO_TX);
	if (m->type == DISCO_PING)
		assert_memory_equal(back.node.b, m->node.b, KEY_LEN);
	else
		assert_true(endpoint_equal(&back.seen, &m->seen));
}

static void test_golden(void **state)
{
	(void)state;
	struct sides s = make_sides();
	struct disco_message ping = make_message(DISCO_PING, &s), pong = make_message(DISCO_PONG, &s);
	check_golden(ping_hex, &ping, &s.a_pub);
	check_golden(pong_hex, &pong, &s.b_pub);
}

static void test_damage(void **state)
{
	(void)state;
	struct sides s = make_sides();
	uint8_t p[256];
	size_t len = unhex(ping_hex, p, sizeof(p));
	struct disco_message m = { .type = 77 };
	for (size_t i = 0; i < len; i++) {
		assert_false(disco_read(p, i, &s.shared, &m));
		p[i] ^= 1;
		bool covered =
			i < 6 || i >= DISCO_HEADER - BOX_NONCE; /* the sender's key is not under the box */
		if (covered && disco_read(p, len, &s.shared, &m))
			fail_msg("byte %zu", i);
		p[i] ^= 1;
	}
	assert_int_equal(m.type, 77);
}

static void test_call_me_maybe(void **state)
{
	(void)state;
	static const size_t counts[] = { 0, 1, 7, DISCO_ENDPOINTS_MAX };
	struct sides s = make_sides();
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		struct disco_message m = { .type = DISCO_CALL_ME_MAYBE, .n_endpoints = counts[i] }, back;
		for (size_t j = 0; j < counts[i]; j++) {
			m.endpoints[j] = (struct endpoint) { .ip = addr_v4(0x0a000000u + (uint32_t)j),
				.port = (uint16_t)(j + 1) };
			if (j == 3)
				assert_true(endpoint_parse("[2001:db8::1]:4", &m.endpoints[j]));
		}
		uint8_t p[DISCO_MAX];
		size_t len = disco_write(&m, &s.a_pub, &s.shared, s.nonce, p);
		assert_int_equal(len, DISCO_HEADER + BOX_TAG + 2 + 18 * counts[i]);
		assert_true(disco_read(p, len, &s.shared, &back));
		assert_int_equal(back.n_endpoints, counts[i]);
		for (size_t j = 0; j < counts[i]; j++)
			assert_true(endpoint_equal(&back.endpoints[j], &m.endpoints[j]));
	}
}

static void test_padding_and_unknown(void **state)
{
	(void)state;
	struct sides s = make_sides();
	struct disco_message m = make_message(DISCO_PING, &s), back;
	uint8_t p[DISCO_MAX];
	m.padding = 1200;
	size_t len = disco_write(&m, &s.a_pub, &s.shared, s.nonce, p);
	assert_int_equal(len, 124 + 1200);
	assert_true(disco_read(p, len, &s.shared, &back));
	assert_int_equal(back.padding, 1200);
	m.padding = DISCO_MAX;
	assert_int_equal(disco_write(&m, &s.a_pub, &s.shared, s.nonce, p), 0);
	m.type = 9;
	assert_int_equal(disco_write(&m, &s.a_pub, &s.shared, s.nonce, p), 0);

	/* Types of later clients: opened, named, otherwise left alone. */
	static const uint8_t body[] = { 7, 0, 1, 2, 3 };
	struct {
		uint8_t b[DISCO_HEADER + BOX_TAG + sizeof(body)];
	} later;
	(void)unhex(ping_hex, p, sizeof(p));
	memcpy(later.b, p, DISCO_HEADER);
	box_seal(&s.shared, s.nonce, body, sizeof(body), later.b + DISCO_HEADER);
	assert_true(disco_read(later.b, sizeof(later.b), &s.shared, &back));
	assert_int_equal(back.type, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_call_me_maybe),
		cmocka_unit_test(test_padding_and_unknown),
	};
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
