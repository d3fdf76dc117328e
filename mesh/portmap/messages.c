#include "mesh/portmap/messages.h"

#include "mesh/base/err.h"

enum { PMP = 0, PCP = 2, REPLY = 0x80, UDP = 17, PCP_MAX = 1100 };
enum { PMP_OP_ADDRESS, PMP_OP_MAP_UDP };
enum { PCP_OP_ANNOUNCE, PCP_OP_MAP };

void pmp_write_address(struct wr *w)
{
	wr_u8(w, PMP);
	wr_u8(w, PMP_OP_ADDRESS);
}

void pmp_write_map(struct wr *w, const struct router_wish *m)
{
	wr_u8(w, PMP);
	wr_u8(w, PMP_OP_MAP_UDP);
	wr_zero(w, 2);
	wr_u16(w, m->inner);
	wr_u16(w, m->lifetime_s ? m->outer : 0); /* RFC 6886 section 3.4 */
	wr_u32(w, m->lifetime_s);
}

static void write_pcp_head(struct wr *w, uint8_t op, uint32_t lifetime_s, const struct addr *self)
{
	wr_u8(w, PCP);
	wr_u8(w, op);
	wr_zero(w, 2);
	wr_u32(w, lifetime_s);
	wr_bytes(w, self->b, sizeof(self->b));
}

void pcp_write_announce(struct wr *w, const struct addr *self)
{
	write_pcp_head(w, PCP_OP_ANNOUNCE, 0, self);
}

void pcp_write_map(struct wr *w, const struct router_wish *m)
{
	static const struct addr any4 = { { [10] = 0xff, [11] = 0xff } };
	bool four = addr_is_v4(&m->self);
	const struct addr *address = addr_is_v4(&m->address) == four ? &m->address
				     : four			     ? &any4
								     : &addr_any6;

	write_pcp_head(w, PCP_OP_MAP, m->lifetime_s, &m->self);
	wr_bytes(w, m->nonce, sizeof(m->nonce));
	wr_u8(w, UDP);
	wr_zero(w, 3);
	wr_u16(w, m->inner);
	wr_u16(w, m->outer);
	wr_bytes(w, address->b, sizeof(address->b));
}

static bool read_pmp(struct rd r, uint8_t op, struct router_reply *m)
{
	const uint8_t *ip = NULL;

	m->result = rd_u16(&r);
	(void)rd_u32(&r); /* epoch */
	m->kind = op == PMP_OP_ADDRESS ? ROUTER_PMP_ADDRESS : ROUTER_PMP_MAP;
	if (m->result != ROUTER_DONE)
		return !r.bad;
	m->has_body = true;
	if (op == PMP_OP_ADDRESS) {
		ip = rd_take(&r, 4);
	} else {
		m->inner = rd_u16(&r);
		m->outer = rd_u16(&r);
		m->lifetime_s = rd_u32(&r);
		m->proto = UDP;
	}
	if (!r.bad && ip)
		m->address = addr_v4_bytes(ip);
	return !r.bad && op <= PMP_OP_MAP_UDP;
}

static bool read_pcp(struct rd r, uint8_t op, struct router_reply *m)
{
	(void)rd_u8(&r);
	m->result = rd_u8(&r);
	m->lifetime_s = rd_u32(&r);
	(void)rd_take(&r, 4 + 12); /* epoch, reserved */
	m->kind = op == PCP_OP_ANNOUNCE ? ROUTER_PCP_ANNOUNCE : ROUTER_PCP_MAP;
	if (r.bad || op > PCP_OP_MAP)
		return false;
	if (op == PCP_OP_ANNOUNCE)
		return true;
	struct rd body = r;
	rd_copy(&body, m->nonce, sizeof(m->nonce));
	m->proto = rd_u8(&body);
	(void)rd_take(&body, 3);
	m->inner = rd_u16(&body);
	m->outer = rd_u16(&body);
	rd_copy(&body, m->address.b, sizeof(m->address.b));
	m->has_body = !body.bad; /* options behind it are for what was not asked */
	return m->has_body || m->result != ROUTER_DONE;
}

bool router_reply_read(const uint8_t *p, size_t len, struct router_reply *out)
{
	struct rd r = rd_of(p, len);
	struct router_reply m = { 0 };
	uint8_t version = rd_u8(&r), op = rd_u8(&r);

	if (r.bad || !(op & REPLY) || len > PCP_MAX)
		return false;
	op &= (uint8_t)~REPLY;
	if (version == PMP ? !read_pmp(r, op, &m) : version != PCP || !read_pcp(r, op, &m))
		return false;
	*out = m;
	return true;
}

bool router_address_is_public(const struct addr *a)
{
	return addr_is_v4(a) && addr_v4_get(a) >> 24 != 0 && addr_v4_get(a) >> 28 < 0xe &&
	       !addr_is_private(a) && !addr_is_cgnat(a) && !addr_is_loopback(a) && !addr_is_link_local(a);
}

/* 2000::/3 (RFC 4291 section 2.4), as the registries give them out. */
bool router_address_is_public6(const struct addr *a)
{
	return a->b[0] >> 5 == 1;
}

/* RFC 6886 section 3.5, RFC 6887 section 7.4. */
static const char *const pmp_results[] = { "done", "another version is spoken there",
	"refused by its settings", "it has no address outside", "no room for more mappings",
	"unknown request" };
static const char *const pcp_results[] = { "done", "another version is spoken there",
	"refused by its settings", "malformed request", "unknown request", "unknown option",
	"malformed option", "it has no address outside", "no room for more mappings", "unknown protocol",
	"too many mappings of this machine", "the wanted outer port or address cannot be had",
	"another NAT lies between it and this machine", "too many peers" };

const char *router_result_text(const struct router_reply *r)
{
	bool pmp = r->kind == ROUTER_PMP_ADDRESS || r->kind == ROUTER_PMP_MAP;
	size_t n = pmp ? ARRAY_LEN(pmp_results) : ARRAY_LEN(pcp_results);

	return r->result >= n ? "unknown refusal" : pmp ? pmp_results[r->result] : pcp_results[r->result];
}
