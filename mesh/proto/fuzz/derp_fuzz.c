#include "mesh/proto/derp.h"
#include <stddef.h>
#include <stdint.h>

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct node_private us = { { 7 } };
	struct rd r = rd_of(data, len);
	struct derp_header h;
	struct node_key who;
	uint8_t key[KEY_LEN] = { 9 }, reason;
	const uint8_t *packet;
	size_t n;
	read_info(data, len);
	while (derp_header_read(&r, &h)) {
		struct rd body = rd_sub(&r, h.len);
		if (body.bad)
			break;
		(void)derp_server_key_read(body, key);
		(void)derp_server_info_read(body, &us, key);
		(void)derp_packet_read(body, &who, &packet, &n);
		(void)derp_peer_gone_read(body, &who, &reason);
	}
	return 0;
}
