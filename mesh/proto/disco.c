#include "mesh/proto/disco.h"
#include "mesh/base/wire.h"

static const uint8_t magic[6] = { 0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac };
enum { BODY_HEADER = 2, ENDPOINT_LEN = 18, BODY_MAX = DISCO_MAX - DISCO_HEADER - BOX_TAG };
_Static_assert(sizeof(magic) + KEY_LEN + BOX_NONCE == DISCO_HEADER, "wire layout");

bool disco_is(const uint8_t *p, size_t len)
{
	return len >= DISCO_HEADER + BOX_TAG + BODY_HEADER && memcmp(p, magic, sizeof(magic)) == 0;
}

bool disco_sender(const uint8_t *p, size_t len, struct disco_key *out)
{
	if (!disco_is(p, len))
		return false;
	memcpy(out->b, p + sizeof(magic), KEY_LEN);
	return true;
}

static void read_endpoint(struct rd *r, struct endpoint *out)
{
	const uint8_t *ip = rd_take(r, 16);
	uint16_t port = rd_u16(r);
	if (!r->bad)
		*out = (struct endpoint) { .ip = addr_v6_bytes(ip), .port = port };
}

static bool read_body(struct rd r, struct disco_message *m)
{
	m->type = rd_u8(&r);
	rd_u8(&r); /* version: later ones only add bytes behind what is read here */
	switch (m->type) {
	case DISCO_PING:
		rd_copy(&r, m->tx, DISCO_TX);
		if (r.left >= KEY_LEN) /* the oldest clients sent no node key */
			rd_copy(&r, m->node.b, KEY_LEN);
		m->padding = r.left;
		break;
	case DISCO_PONG:
		rd_copy(&r, m->tx, DISCO_TX);
		read_endpoint(&r, &m->seen);
		break;
	case DISCO_CALL_ME_MAYBE:
		while (r.left >= ENDPOINT_LEN && m->n_endpoints < DISCO_ENDPOINTS_MAX)
			read_endpoint(&r, &m->endpoints[m->n_endpoints++]);
		break;
	}
	return !r.bad;
}

bool disco_read(const uint8_t *p, size_t len, const struct box_key *shared, struct disco_message *out)
{
	uint8_t body[BODY_MAX];
	if (!disco_is(p, len) || len > DISCO_MAX)
		return false;
	if (!box_open(shared, p + DISCO_HEADER - BOX_NONCE, p + DISCO_HEADER, len - DISCO_HEADER, body))
		return false;
	struct disco_message m = { 0 };
	if (!read_body(rd_of(body, len - DISCO_HEADER - BOX_TAG), &m))
		return false;
	*out = m;
	return true;
}

static void write_endpoint(struct wr *w, const struct endpoint *e)
{
	wr_bytes(w, e->ip.b, sizeof(e->ip.b));
	wr_u16(w, e->port);
}

static void write_body(struct wr *w, const struct disco_message *m)
{
	wr_u8(w, m->type);
	wr_u8(w, 0);
	switch (m->type) {
	case DISCO_PING:
		wr_bytes(w, m->tx, DISCO_TX);
		wr_bytes(w, m->node.b, KEY_LEN);
		wr_zero(w, m->padding);
		break;
	case DISCO_PONG:
		wr_bytes(w, m->tx, DISCO_TX);
		write_endpoint(w, &m->seen);
		break;
	case DISCO_CALL_ME_MAYBE:
		for (size_t i = 0; i < m->n_endpoints && i < DISCO_ENDPOINTS_MAX; i++)
			write_endpoint(w, &m->endpoints[i]);
		break;
	default: w->bad = true;
	}
}

size_t disco_write(const struct disco_message *m, const struct disco_key *us, const struct box_key *shared,
	const uint8_t nonce[static BOX_NONCE], uint8_t *out)
{
	uint8_t body[BODY_MAX];
	struct wr b = wr_of(body, sizeof(body));
	write_body(&b, m);
	if (b.bad || b.len > DISCO_MAX - DISCO_HEADER - BOX_TAG)
		return 0;
	memcpy(out, magic, sizeof(magic));
	memcpy(out + sizeof(magic), us->b, KEY_LEN);
	memcpy(out + sizeof(magic) + KEY_LEN, nonce, BOX_NONCE);
	box_seal(shared, nonce, body, b.len, out + DISCO_HEADER);
	return DISCO_HEADER + b.len + BOX_TAG;
}
