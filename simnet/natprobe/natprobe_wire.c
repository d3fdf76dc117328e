#include "simnet/natprobe/natprobe_wire.h"

#include "mesh/base/wire.h"

static const uint8_t natprobe_magic[4] = { 'R', 'W', 'q', '1' };

void natprobe_message_write(const struct natprobe_message *m, uint8_t out[static NATPROBE_SIZE])
{
	struct wr w = wr_of(out, NATPROBE_SIZE);

	wr_bytes(&w, natprobe_magic, sizeof(natprobe_magic));
	wr_u32(&w, (uint32_t)(uint8_t)m->kind << 24 | (uint32_t)(uint8_t)m->answers << 16);
	wr_u64(&w, m->nonce);
	wr_u32(&w, m->delay_ms);
	wr_bytes(&w, m->at.ip.b, sizeof(m->at.ip.b));
	wr_u16(&w, m->at.port);
	wr_zero(&w, NATPROBE_SIZE - w.len);
}

bool natprobe_message_read(const uint8_t *p, size_t len, struct natprobe_message *out)
{
	struct natprobe_message m = { 0 };
	struct rd r = rd_of(p, len);
	const uint8_t *mark = rd_take(&r, sizeof(natprobe_magic));
	uint8_t kind = rd_u8(&r), zero = 0;

	m.answers = rd_u8(&r);
	zero |= (uint8_t)(rd_u16(&r) != 0);
	m.nonce = rd_u64(&r);
	m.delay_ms = rd_u32(&r);
	rd_copy(&r, m.at.ip.b, sizeof(m.at.ip.b));
	m.at.port = rd_u16(&r);
	while (r.left && !r.bad)
		zero |= rd_u8(&r);
	if (r.bad || len != NATPROBE_SIZE || zero ||
		memcmp(mark, natprobe_magic, sizeof(natprobe_magic)) != 0 || kind < NATPROBE_ASK ||
		kind >= NATPROBE_KINDS || m.answers > NATPROBE_ANSWERS || m.delay_ms > NATPROBE_DELAY_MAX_MS)
		return false;
	m.kind = (enum natprobe_kind)kind;
	*out = m;
	return true;
}
