/* DERP frames. tailscale-protocol.md 2.2. */
#ifndef RW_PROTO_DERP_H
#define RW_PROTO_DERP_H

#include "mesh/base/key.h"
#include "mesh/base/wire.h"

/* DERP_FRAME_MAX: what a frame has behind its header; the largest are packets. */
enum {
	DERP_HEADER = 5,
	DERP_PACKET_MAX = 65536,
	DERP_FRAME_MAX = KEY_LEN + DERP_PACKET_MAX,
	DERP_INFO_MAX = 64 * 1024
};
enum derp_type {
	DERP_SERVER_KEY = 1,
	DERP_CLIENT_INFO = 2,
	DERP_SERVER_INFO = 3,
	DERP_SEND_PACKET = 4,
	DERP_RECV_PACKET = 5,
	DERP_KEEP_ALIVE = 6,
	DERP_NOTE_PREFERRED = 7,
	DERP_PEER_GONE = 8,
	DERP_FORWARD_PACKET = 0x0a, /* this and the next two: between relays of one region */
	DERP_WATCH_CONNS = 0x10,
	DERP_CLOSE_PEER = 0x11,
	DERP_PING = 0x12,
	DERP_PONG = 0x13,
	DERP_HEALTH = 0x14,
	DERP_RESTARTING = 0x15,
};
enum { DERP_GONE_DISCONNECTED = 0, DERP_GONE_NOT_HERE = 1 };
struct derp_header {
	uint8_t type;
	uint32_t len;
};
bool derp_header_read(struct rd *r, struct derp_header *out);
void derp_header_write(struct wr *w, uint8_t type, uint32_t len);

struct derp_client_info {
	bool can_ack_pings;
};
/* Payload readers: whole payload in, whole or nothing. Keys of other kinds never come here. */
bool derp_server_key_read(struct rd r, uint8_t server[static KEY_LEN]);
void derp_server_key_write(
	struct wr *w, const uint8_t server[static KEY_LEN]); /* with header; likewise below */
bool derp_client_info_read(struct rd r, const uint8_t server_priv[static KEY_LEN], struct node_key *who,
	struct derp_client_info *out);
void derp_client_info_write(struct wr *w, const struct node_private *us, const struct node_key *us_pub,
	const uint8_t server[static KEY_LEN], const uint8_t nonce[static BOX_NONCE],
	const struct derp_client_info *m);
bool derp_server_info_read(struct rd r, const struct node_private *us, const uint8_t server[static KEY_LEN]);
void derp_server_info_write(struct wr *w, const uint8_t server_priv[static KEY_LEN],
	const struct node_key *to, const uint8_t nonce[static BOX_NONCE]);
/* SendPacket and RecvPacket share a shape: 32-byte key, then data (points into r). */
bool derp_packet_read(struct rd r, struct node_key *who, const uint8_t **data, size_t *len);
void derp_packet_header_write(
	struct wr *w, uint8_t type, const struct node_key *who, size_t data_len); /* data follows */
bool derp_peer_gone_read(struct rd r, struct node_key *who, uint8_t *reason);
void derp_peer_gone_write(struct wr *w, const struct node_key *who, uint8_t reason);

#endif
