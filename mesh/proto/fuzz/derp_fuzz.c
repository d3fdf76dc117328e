#include "mesh/base/fuzz/trouble.h"
#include "mesh/proto/derp.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A stream of frames, and the same bytes as the inside of a client info box. */
static void read_info(const uint8_t *data, size_t len)
{
	static const uint8_t priv[KEY_LEN] = { 8 };
	enum { HEAD = KEY_LEN + BOX_NONCE, MAX = 4096 };
	uint8_t p[HEAD + BOX_TAG + MAX] = { 9 };
	struct box_key shared;
	struct node_key who;
	struct derp_client_info info;
	if (len > MAX || !box_precompute(priv, p, &shared))
		return;
	box_seal(&shared, p + KEY_LEN, data, len, p + HEAD);
	(void)derp_client_info_read(rd_of(p, HEAD + BOX_TAG + len), priv, &who, &info);
}

/* What we write is read as it was meant; where it does not fit nothing of it is taken for whole. */
static void write_and_read(const uint8_t *data, size_t len)
{
	static const struct node_private us = { { 7 } };
	static const uint8_t server_priv[KEY_LEN] = { 8 };
	uint8_t out[600], server[KEY_LEN], nonce[BOX_NONCE] = { 1 }, reason;
	uint8_t how = len ? data[0] : 0;
	struct wr w = wr_of(out, how & 1 ? sizeof(out) : len % sizeof(out));
	struct node_key pub, who;
	struct derp_client_info info = { .can_ack_pings = len & 1 };
	struct derp_header h;
	key_public(us.b, pub.b);
	key_public(server_priv, server);
	derp_server_key_write(&w, server);
	if (how & 2) /* no agreement can be made with this key */
		memset(how & 4 ? pub.b : server, 0, KEY_LEN);
	derp_client_info_write(&w, &us, &pub, server, nonce, &info);
	derp_server_info_write(&w, server_priv, &pub, nonce);
	derp_peer_gone_write(&w, &pub, 1);
	derp_packet_header_write(&w, DERP_RECV_PACKET, &pub, how & 8 ? (size_t)1 << 20 : 0);
	struct rd r = rd_of(out, w.len);
	while (!w.bad && derp_header_read(&r, &h)) {
		struct rd body = rd_sub(&r, h.len);
		bool right = !body.bad;
		if (h.type == DERP_SERVER_KEY)
			right = derp_server_key_read(body, server);
		else if (h.type == DERP_CLIENT_INFO)
			right = derp_client_info_read(body, server_priv, &who, &info) &&
				key_equal(who.b, pub.b);
		else if (h.type == DERP_SERVER_INFO)
			right = derp_server_info_read(body, &us, server);
		else if (h.type == DERP_PEER_GONE)
			right = derp_peer_gone_read(body, &who, &reason) && reason == 1;
		if (!right && !trouble_happened())
			__builtin_trap();
	}
}

static void derp_target(const uint8_t *data, size_t len)
{
	static const struct node_private us = { { 7 } };
	struct rd r = rd_of(data, len);
	struct derp_header h;
	struct node_key who;
	uint8_t key[KEY_LEN] = { 9 }, reason;
	const uint8_t *packet;
	size_t n;
	trouble_begin();
	read_info(data, len);
	write_and_read(data, len);
	while (derp_header_read(&r, &h)) {
		struct rd body = rd_sub(&r, h.len);
		if (body.bad)
			break;
		(void)derp_server_key_read(body, key);
		(void)derp_server_info_read(body, &us, key);
		(void)derp_packet_read(body, &who, &packet, &n);
		(void)derp_peer_gone_read(body, &who, &reason);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(derp_target, data, len);
}
