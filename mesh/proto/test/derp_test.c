#include "mesh/proto/derp.h"
#include "mesh/proto/test/vectors.h"

/* Golden vector of tailscale-protocol.md 2.2. */
static const char info_frame[] = "020000007913be4feaeaf204c7fd3358fc9c00721881d174278128227ec674f37f7fe97b6d0"
				 "a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"
				 "0a0a0a0a0a0ab51f4980bd35aabad5e8357aab43aa78502c87713f530bad682f6df0dcd5ec7"
				 "06d580e4f07f17e660bfb94477fd3c1b8"
				 "c8cf49532e16d2c2396a562b0e4ad9ef27";

struct sides {
	struct node_private node;
	struct node_key node_pub;
	uint8_t server[KEY_LEN], server_pub[KEY_LEN], nonce[BOX_NONCE];
};

static struct sides make_sides(void)
{
	struct sides s;
	fill_key(s.node.b, 7);
	fill_key(s.server, 8);
	key_public(s.node.b, s.node_pub.b);
	key_public(s.server, s.server_pub);
	memset(s.nonce, 0x0a, sizeof(s.nonce));
	return s;
}

static void test_client_info_golden(void **state)
{
	(void)state;
	struct sides s = make_sides();
	uint8_t want[256], got[256];
	size_t len = unhex(info_frame, want, sizeof(want));
	struct wr w = wr_of(got, sizeof(got));
	derp_client_info_write(&w, &s.node, &s.node_pub, s.server_pub, s.nonce,
		&(struct derp_client_info) { .can_ack_pings = true });
	assert_false(w.bad);
	assert_int_equal(w.len, len);
	assert_memory_equal(got, want, len);

	struct rd r = rd_of(want, len);
	struct derp_header h;
	struct node_key who = { { 0 } };
	struct derp_client_info info = { 0 };
	assert_true(derp_header_read(&r, &h));
	assert_int_equal(h.type, DERP_CLIENT_INFO);
	assert_int_equal(h.len, r.left);
	assert_true(derp_client_info_read(r, s.server, &who, &info));
	assert_memory_equal(who.b, s.node_pub.b, KEY_LEN);
	assert_true(info.can_ack_pings);
}

static void test_client_info_damaged(void **state)
{
	(void)state;
	struct sides s = make_sides();
	uint8_t frame[256];
	size_t len = unhex(info_frame, frame, sizeof(frame));
	struct node_key who, before;
	struct derp_client_info info;
	memset(&who, 0x55, sizeof(who));
	before = who;
	for (size_t i = DERP_HEADER; i < len; i++) {
		assert_false(derp_client_info_read(
			rd_of(frame + DERP_HEADER, i - DERP_HEADER), s.server, &who, &info));
		frame[i] ^= 1;
		if (derp_client_info_read(
			    rd_of(frame + DERP_HEADER, len - DERP_HEADER), s.server, &who, &info))
			fail_msg("byte %zu", i);
		frame[i] ^= 1;
	}
	assert_memory_equal(&who, &before, sizeof(who));
}

static void test_server_frames(void **state)
{
	(void)state;
	struct sides s = make_sides();
	uint8_t b[256], key[KEY_LEN];
	struct wr w = wr_of(b, sizeof(b));
	derp_server_key_write(&w, s.server_pub);
	assert_int_equal(w.len, DERP_HEADER + 40);
	assert_true(derp_server_key_read(rd_of(b + DERP_HEADER, 40), key));
	assert_memory_equal(key, s.server_pub, KEY_LEN);
	assert_false(derp_server_key_read(rd_of(b + DERP_HEADER, 39), key));
	b[DERP_HEADER] ^= 1;
	assert_false(derp_server_key_read(rd_of(b + DERP_HEADER, 40), key));

	w = wr_of(b, sizeof(b));
	derp_server_info_write(&w, s.server, &s.node_pub, s.nonce);
	assert_false(w.bad);
	assert_true(
		derp_server_info_read(rd_of(b + DERP_HEADER, w.len - DERP_HEADER), &s.node, s.server_pub));
	b[w.len - 1] ^= 1;
	assert_false(
		derp_server_info_read(rd_of(b + DERP_HEADER, w.len - DERP_HEADER), &s.node, s.server_pub));
}

static void test_packet_and_gone(void **state)
{
	(void)state;
	struct sides s = make_sides();
	uint8_t b[128];
	struct wr w = wr_of(b, sizeof(b));
	derp_packet_header_write(&w, DERP_SEND_PACKET, &s.node_pub, 3);
	wr_bytes(&w, "abc", 3);
	struct rd r = rd_of(b, w.len);
	struct derp_header h;
	struct node_key who;
	const uint8_t *data;
	size_t len;
	assert_true(derp_header_read(&r, &h));
	assert_int_equal(h.len, 35);
	assert_true(derp_packet_read(r, &who, &data, &len));
	assert_int_equal(len, 3);
	assert_memory_equal(data, "abc", 3);
	assert_false(derp_packet_read(rd_of(b, 31), &who, &data, &len));
	assert_true(derp_packet_read(rd_of(b, 32), &who, &data, &len));
	assert_int_equal(len, 0);

	w = wr_of(b, sizeof(b));
	derp_packet_header_write(&w, DERP_SEND_PACKET, &s.node_pub, DERP_PACKET_MAX + 1);
	assert_true(w.bad);

	uint8_t reason = 9;
	w = wr_of(b, sizeof(b));
	derp_peer_gone_write(&w, &s.node_pub, DERP_GONE_NOT_HERE);
	assert_true(derp_peer_gone_read(rd_of(b + DERP_HEADER, w.len - DERP_HEADER), &who, &reason));
	assert_int_equal(reason, DERP_GONE_NOT_HERE);
	assert_true(derp_peer_gone_read(rd_of(b + DERP_HEADER, KEY_LEN), &who, &reason));
	assert_int_equal(reason, DERP_GONE_DISCONNECTED);
	assert_false(derp_peer_gone_read(rd_of(b + DERP_HEADER, KEY_LEN - 1), &who, &reason));

	struct rd four = rd_of(b, 4);
	assert_false(derp_header_read(&four, &h));
	assert_int_equal(four.left, 4); /* untouched: more bytes may come */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_client_info_golden),
		cmocka_unit_test(test_client_info_damaged),
		cmocka_unit_test(test_server_frames),
		cmocka_unit_test(test_packet_and_gone),
	};
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
