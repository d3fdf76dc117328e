#include "mesh/proto/stun.h"
#include "mesh/base/wire.h"

enum {
	HEADER = 20,
	COOKIE = 0x2112a442,
	BINDING_REQUEST = 0x0001,
	BINDING_SUCCESS = 0x0101,
	ATTR_MAPPED = 0x0001,
	ATTR_XOR_MAPPED = 0x0020,
	ATTR_XOR_MAPPED_OLD = 0x8020, /* before RFC 5389 took 0x0020 */
	ATTR_SOFTWARE = 0x8022,
	ATTR_FINGERPRINT = 0x8028,
	FINGERPRINT_XOR = 0x5354554e,
	FAMILY_4 = 1,
	FAMILY_6 = 2,
};
static const char software[8] = "tailnode"; /* not a C string: exactly these bytes */

/* CRC-32 of ITU V.42, four bits at a time. */
static uint32_t crc32_of(const uint8_t *p, size_t len)
{
	static const uint32_t nibble[16] = { 0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190,
		0x6b6b51f4, 0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c };
	uint32_t c = UINT32_MAX;
	for (size_t i = 0; i < len; i++) {
		c = nibble[(c ^ p[i]) & 15] ^ (c >> 4);
		c = nibble[(c ^ (p[i] >> 4)) & 15] ^ (c >> 4);
	}
	return ~c;
}

bool stun_is(const uint8_t *p, size_t len)
{
	if (len < HEADER || (p[0] & 0xc0) != 0 || be_get(p + 4, 4) != COOKIE)
		return false;
	size_t body = be_get(p + 2, 2);
	return body % 4 == 0 && body <= len - HEADER;
}

static void write_header(struct wr *w, uint16_t type, size_t body, const uint8_t *tx)
{
	wr_u16(w, type);
	wr_u16(w, (uint16_t)body);
	wr_u32(w, COOKIE);
	wr_bytes(w, tx, STUN_TX);
}

void stun_request_write(const uint8_t tx[static STUN_TX], uint8_t out[static STUN_REQUEST])
{
	struct wr w = wr_of(out, STUN_REQUEST);
	write_header(&w, BINDING_REQUEST, STUN_REQUEST - HEADER, tx);
	wr_u16(&w, ATTR_SOFTWARE);
	wr_u16(&w, sizeof(software));
	wr_bytes(&w, software, sizeof(software));
	uint32_t crc = crc32_of(out, w.len) ^ FINGERPRINT_XOR;
	wr_u16(&w, ATTR_FINGERPRINT);
	wr_u16(&w, 4);
	wr_u32(&w, crc);
}

struct attr {
	uint16_t type;
	struct rd body;
};

/* false at the end; then look at r->bad. */
static bool attr_next(struct rd *r, struct attr *out)
{
	if (r->left == 0)
		return false;
	uint16_t type = rd_u16(r), len = rd_u16(r);
	struct rd body = rd_sub(r, len);
	rd_take(r, (4 - len % 4) % 4);
	*out = (struct attr) { .type = type, .body = body };
	return !r->bad;
}

/* The attributes of a message of this type; bad when it is another. */
static struct rd message_body(const uint8_t *p, size_t len, uint16_t type)
{
	if (!stun_is(p, len) || be_get(p, 2) != type)
		return (struct rd) { .bad = true };
	return rd_of(p + HEADER, be_get(p + 2, 2));
}

bool stun_request_read(const uint8_t *p, size_t len, uint8_t tx[static STUN_TX], bool *official)
{
	struct rd r = message_body(p, len, BINDING_REQUEST);
	struct attr a;
	bool named = false, printed = false;
	while (attr_next(&r, &a)) {
		if (a.type == ATTR_SOFTWARE)
			named = a.body.left == sizeof(software) &&
				memcmp(a.body.p, software, sizeof(software)) == 0;
		if (a.type != ATTR_FINGERPRINT)
			continue;
		size_t covered = (size_t)(a.body.p - 4 - p);
		uint32_t crc = rd_u32(&a.body);
		if (a.body.bad || a.body.left || r.left || crc != (crc32_of(p, covered) ^ FINGERPRINT_XOR))
			return false;
		printed = true;
	}
	if (r.bad)
		return false;
	memcpy(tx, p + HEADER - STUN_TX, STUN_TX);
	*official = named && printed;
	return true;
}

size_t stun_reply_write(
	const uint8_t tx[static STUN_TX], const struct endpoint *seen, uint8_t out[static STUN_REPLY_MAX])
{
	bool v4 = addr_is_v4(&seen->ip);
	size_t ip_len = v4 ? 4 : 16;
	const uint8_t *ip = v4 ? seen->ip.b + 12 : seen->ip.b;
	struct wr w = wr_of(out, STUN_REPLY_MAX);
	write_header(&w, BINDING_SUCCESS, 8 + ip_len, tx);
	wr_u16(&w, ATTR_XOR_MAPPED);
	wr_u16(&w, (uint16_t)(4 + ip_len));
	wr_u8(&w, 0);
	wr_u8(&w, v4 ? FAMILY_4 : FAMILY_6);
	wr_u16(&w, (uint16_t)(seen->port ^ (COOKIE >> 16)));
	const uint8_t *mask = out + 4; /* cookie, then transaction id: both already there */
	for (size_t i = 0; i < ip_len; i++)
		wr_u8(&w, ip[i] ^ mask[i]);
	return w.len;
}

static bool read_mapped(struct rd r, const uint8_t *mask, struct endpoint *out)
{
	rd_take(&r, 1);
	uint8_t family = rd_u8(&r);
	uint16_t port = rd_u16(&r);
	size_t ip_len = family == FAMILY_4 ? 4 : family == FAMILY_6 ? 16 : 0;
	uint8_t ip[16] = { 0 };
	rd_copy(&r, ip, ip_len);
	if (r.bad || r.left || !ip_len)
		return false;
	if (mask) {
		port ^= COOKIE >> 16;
		for (size_t i = 0; i < ip_len; i++)
			ip[i] ^= mask[i];
	}
	*out = (struct endpoint) { .ip = ip_len == 4 ? addr_v4_bytes(ip) : addr_v6_bytes(ip), .port = port };
	return true;
}

bool stun_reply_read(const uint8_t *p, size_t len, uint8_t tx[static STUN_TX], struct endpoint *seen)
{
	struct rd r = message_body(p, len, BINDING_SUCCESS);
	struct attr a;
	struct endpoint mapped;
	bool have = false, xored = false;
	while (attr_next(&r, &a)) {
		bool x = a.type == ATTR_XOR_MAPPED || a.type == ATTR_XOR_MAPPED_OLD;
		if ((!x && a.type != ATTR_MAPPED) || (xored && !x))
			continue; /* the plain form is rewritten by some NATs: the other one counts */
		if (!read_mapped(a.body, x ? p + 4 : NULL, &mapped))
			return false;
		have = true;
		xored = x;
	}
	if (r.bad || !have)
		return false;
	memcpy(tx, p + HEADER - STUN_TX, STUN_TX);
	*seen = mapped;
	return true;
}
