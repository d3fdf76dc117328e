#include "simnet/punch/punch_wire.h"

#include "mesh/base/wire.h"
#include <string.h>

static const uint8_t punch_magic[4] = { 'R', 'W', 'p', '1' };

static bool is_name(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!(p[i] >= 'a' && p[i] <= 'z') && !(p[i] >= '0' && p[i] <= '9') && p[i] != '-')
			return false;
	return len <= PUNCH_NAME_MAX;
}

bool punch_name_good(const char *name)
{
	return *name && is_name((const uint8_t *)name, strlen(name));
}

static void put_name(struct wr *w, const char *name)
{
	size_t len = strlen(name);
	wr_u8(w, (uint8_t)len);
	wr_bytes(w, name, len);
}

size_t punch_message_write(const struct punch_message *m, uint8_t *out, size_t cap)
{
	struct wr w = wr_of(out, cap);

	wr_bytes(&w, punch_magic, sizeof(punch_magic));
	wr_u8(&w, (uint8_t)m->kind);
	wr_u64(&w, m->nonce);
	put_name(&w, m->from);
	put_name(&w, m->to);
	wr_u8(&w, (uint8_t)m->n_places);
	for (size_t i = 0; i < m->n_places; i++) {
		wr_bytes(&w, m->places[i].ip.b, sizeof(m->places[i].ip.b));
		wr_u16(&w, m->places[i].port);
	}
	wr_u8(&w, (uint8_t)m->n_body);
	wr_bytes(&w, m->body, m->n_body);
	return w.bad ? 0 : w.len;
}

static void take_name(struct rd *r, char name[static PUNCH_NAME_MAX + 1])
{
	size_t len = rd_u8(r);
	const uint8_t *p = rd_take(r, len);

	if (r->bad || !is_name(p, len))
		r->bad = true;
	else
		memcpy(name, p, len);
}

bool punch_message_read(const uint8_t *p, size_t len, struct punch_message *out)
{
	struct punch_message m = { 0 };
	struct rd r = rd_of(p, len);
	const uint8_t *mark = rd_take(&r, sizeof(punch_magic));
	uint8_t kind = rd_u8(&r);

	m.nonce = rd_u64(&r);
	take_name(&r, m.from);
	take_name(&r, m.to);
	m.n_places = rd_u8(&r);
	if (m.n_places > PUNCH_PLACES_MAX)
		return false;
	for (size_t i = 0; i < m.n_places; i++) {
		rd_copy(&r, m.places[i].ip.b, sizeof(m.places[i].ip.b));
		m.places[i].port = rd_u16(&r);
	}
	m.n_body = rd_u8(&r);
	if (m.n_body > PUNCH_BODY_MAX)
		return false;
	rd_copy(&r, m.body, m.n_body);
	if (r.bad || r.left || memcmp(mark, punch_magic, sizeof(punch_magic)) != 0 || kind < PUNCH_REGISTER ||
		kind >= PUNCH_KINDS)
		return false;
	m.kind = (enum punch_kind)kind;
	*out = m;
	return true;
}
