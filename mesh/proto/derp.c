#include "mesh/proto/derp.h"
#include "mesh/proto/json.h"
#include <stdio.h>
#include <stdlib.h>

static const uint8_t magic[8] = { 0x44, 0x45, 0x52, 0x50, 0xf0, 0x9f, 0x94, 0x91 };
enum { PROTOCOL_VERSION = 2 };
static const struct json_caps info_caps = {
	.bytes = DERP_INFO_MAX, .containers = 100, .depth = 8, .string = DERP_INFO_MAX
};

bool derp_header_read(struct rd *r, struct derp_header *out)
{
	struct rd t = *r;
	uint8_t type = rd_u8(&t);
	uint32_t len = rd_u32(&t);
	if (t.bad)
		return false;
	*out = (struct derp_header) { .type = type, .len = len };
	*r = t;
	return true;
}

void derp_header_write(struct wr *w, uint8_t type, uint32_t len)
{
	wr_u8(w, type);
	wr_u32(w, len);
}

bool derp_server_key_read(struct rd r, uint8_t server[static KEY_LEN])
{
	const uint8_t *m = rd_take(&r, sizeof(magic)), *key = rd_take(&r, KEY_LEN);
	if (r.bad || memcmp(m, magic, sizeof(magic)) != 0)
		return false;
	memcpy(server, key, KEY_LEN);
	return true; /* the rest is room for later versions */
}

void derp_server_key_write(struct wr *w, const uint8_t server[static KEY_LEN])
{
	derp_header_write(w, DERP_SERVER_KEY, sizeof(magic) + KEY_LEN);
	wr_bytes(w, magic, sizeof(magic));
	wr_bytes(w, server, KEY_LEN);
}

/* Opens the box that is the rest of r and hands back its JSON; the caller calls json_close. NULL when it is
 * not one. */
static json_t *open_info(struct rd *r, const uint8_t priv[static KEY_LEN], const uint8_t pub[static KEY_LEN])
{
	const uint8_t *nonce = rd_take(r, BOX_NONCE);
	if (r->bad || r->left < BOX_TAG || r->left > DERP_INFO_MAX)
		return NULL;
	size_t len = r->left;
	const uint8_t *box = rd_take(r, len);
	struct box_key shared;
	if (!box_precompute(priv, pub, &shared))
		return NULL;
	json_t *doc = NULL;
	uint8_t *text = malloc(len);
	if (text && box_open(&shared, nonce, box, len, text))
		doc = json_open((const char *)text, len - BOX_TAG, &info_caps, NULL);
	key_wipe(&shared, sizeof(shared));
	if (text)
		key_wipe(text, len); /* may hold a mesh key */
	free(text);
	if (doc && !json_is_object(doc)) {
		json_decref(doc);
		return NULL;
	}
	return doc;
}

bool derp_client_info_read(struct rd r, const uint8_t server_priv[static KEY_LEN], struct node_key *who,
	struct derp_client_info *out)
{
	struct node_key key;
	rd_copy(&r, key.b, KEY_LEN);
	json_t *doc = r.bad ? NULL : open_info(&r, server_priv, key.b);
	if (!doc)
		return false;
	*who = key;
	*out = (struct derp_client_info) { .can_ack_pings = json_is_true(json_member(doc, "CanAckPings")) };
	json_decref(doc);
	return true;
}

static void write_box(struct wr *w, const struct box_key *shared, const uint8_t *nonce, const char *text)
{
	size_t len = strlen(text);
	wr_bytes(w, nonce, BOX_NONCE);
	uint8_t *p = wr_take(w, len + BOX_TAG);
	if (p)
		box_seal(shared, nonce, text, len, p);
}

void derp_client_info_write(struct wr *w, const struct node_private *us, const struct node_key *us_pub,
	const uint8_t server[static KEY_LEN], const uint8_t nonce[static BOX_NONCE],
	const struct derp_client_info *m)
{
	char text[96];
	int len = snprintf(text, sizeof(text), "{\"version\":%d,\"CanAckPings\":%s,\"IsProber\":false}",
		PROTOCOL_VERSION, m->can_ack_pings ? "true" : "false");
	struct box_key shared;
	if (!box_precompute(us->b, server, &shared)) {
		w->bad = true;
		return;
	}
	derp_header_write(w, DERP_CLIENT_INFO, (uint32_t)(KEY_LEN + BOX_NONCE + BOX_TAG + (size_t)len));
	wr_bytes(w, us_pub->b, KEY_LEN);
	write_box(w, &shared, nonce, text);
	key_wipe(&shared, sizeof(shared));
}

bool derp_server_info_read(struct rd r, const struct node_private *us, const uint8_t server[static KEY_LEN])
{
	json_t *doc = open_info(&r, us->b, server);
	json_decref(doc);
	return doc != NULL;
}

void derp_server_info_write(struct wr *w, const uint8_t server_priv[static KEY_LEN],
	const struct node_key *to, const uint8_t nonce[static BOX_NONCE])
{
	char text[32];
	int len = snprintf(text, sizeof(text), "{\"version\":%d}", PROTOCOL_VERSION);
	struct box_key shared;
	if (!box_precompute(server_priv, to->b, &shared)) {
		w->bad = true;
		return;
	}
	derp_header_write(w, DERP_SERVER_INFO, (uint32_t)(BOX_NONCE + BOX_TAG + (size_t)len));
	write_box(w, &shared, nonce, text);
	key_wipe(&shared, sizeof(shared));
}

bool derp_packet_read(struct rd r, struct node_key *who, const uint8_t **data, size_t *len)
{
	const uint8_t *key = rd_take(&r, KEY_LEN);
	if (r.bad || r.left > DERP_PACKET_MAX)
		return false;
	memcpy(who->b, key, KEY_LEN);
	*len = r.left;
	*data = rd_take(&r, r.left);
	return true;
}

void derp_packet_header_write(struct wr *w, uint8_t type, const struct node_key *who, size_t data_len)
{
	if (data_len > DERP_PACKET_MAX) {
		w->bad = true;
		return;
	}
	derp_header_write(w, type, (uint32_t)(KEY_LEN + data_len));
	wr_bytes(w, who->b, KEY_LEN);
}

bool derp_peer_gone_read(struct rd r, struct node_key *who, uint8_t *reason)
{
	const uint8_t *key = rd_take(&r, KEY_LEN);
	if (r.bad)
		return false;
	memcpy(who->b, key, KEY_LEN);
	*reason = r.left ? rd_u8(&r) : DERP_GONE_DISCONNECTED; /* old servers send the key alone */
	return true;
}

void derp_peer_gone_write(struct wr *w, const struct node_key *who, uint8_t reason)
{
	derp_header_write(w, DERP_PEER_GONE, KEY_LEN + 1);
	wr_bytes(w, who->b, KEY_LEN);
	wr_u8(w, reason);
}
