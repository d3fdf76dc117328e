#include "simnet/service/portmap.h"

#include "mesh/base/wire.h"

enum { PMP = 0, PCP = 2, REPLY = 0x80, FIRST_PORT = 20000, LAST_PORT = 40000 };
enum { UDP = 17, TCP = 6, LIFE_MIN_S = 2 };
/* RFC 6886 section 3.5, RFC 6887 section 7.4. */
enum { OK, UNSUPPORTED_VERSION, NOT_AUTHORIZED, PMP_NO_RESOURCES = 4, PMP_UNSUPPORTED_OPCODE };
enum {
	PCP_MALFORMED = 3,
	PCP_UNSUPPORTED_OPCODE = 4,
	PCP_UNSUPPORTED_OPTION = 5,
	PCP_NO_RESOURCES = 8,
	PCP_MISMATCH = 12
};

struct wish { /* of either protocol */
	uint8_t proto;
	uint16_t inner, outer;
	uint32_t life_s;
	const uint8_t *nonce; /* NULL = NAT-PMP */
};

static uint32_t epoch_s(const struct portmap *p, const struct faults *f, uint64_t now_ms)
{
	return f->no_epoch ? 0 : (uint32_t)((now_ms - p->began_ms) / 1000);
}

static bool is_for_all(const struct portmap_entry *e)
{
	return addr_is_unspecified(&e->peer.ip) && !e->peer.port;
}

static struct portmap_entry *find_entry(
	struct portmap *p, uint8_t proto, const struct addr *ip, uint16_t inner)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].proto == proto && p->v[i].inner.port == inner &&
			addr_equal(&p->v[i].inner.ip, ip) && is_for_all(&p->v[i]))
			return &p->v[i];
	return NULL;
}

bool portmap_is_taken(const struct portmap *p, uint8_t proto, uint16_t outer)
{
	for (size_t i = 0; i < p->n_taken; i++)
		if (p->taken[i].proto == proto && p->taken[i].outer == outer)
			return true;
	return false;
}

static bool is_free(struct portmap *p, uint8_t proto, unsigned outer)
{
	return !portmap_at(p, proto, (uint16_t)outer) && !portmap_is_taken(p, proto, (uint16_t)outer);
}

static uint16_t choose_port(struct portmap *p, const struct faults *f, const struct wish *w)
{
	uint16_t want = w->outer ? w->outer : w->inner;

	if (!f->other_port && want >= 1024 && is_free(p, w->proto, want))
		return want;
	for (unsigned port = FIRST_PORT; port < LAST_PORT; port++)
		if (port != want && is_free(p, w->proto, port))
			return (uint16_t)port;
	return 0;
}

static bool delete_entry(struct portmap *p, struct portmap_entry *e)
{
	portmap_remove(p, e);
	return true;
}

/* The mapping that is there, is made, or NULL: no place. */
static struct portmap_entry *grant(struct portmap *p, uint64_t now_ms, const struct faults *f,
	const struct endpoint *from, const struct wish *w, uint32_t *life_s, bool *changed)
{
	struct portmap_entry *e = find_entry(p, w->proto, &from->ip, w->inner);
	bool four = addr_is_v4(&from->ip);
	uint16_t outer = e ? e->outer : four ? choose_port(p, f, w) : w->inner;

	if (!e && (p->n == PORTMAP_MAX || !outer))
		return NULL;
	if (!e) {
		e = &p->v[p->n++];
		*e = (struct portmap_entry) {
			.proto = w->proto, .outer = outer, .inner = { .ip = from->ip, .port = w->inner }
		};
		e->pcp = w->nonce;
		if (w->nonce)
			memcpy(e->nonce, w->nonce, sizeof(e->nonce));
		p->pinholes |= !four;
		*changed = true;
	}
	*life_s = w->life_s < LIFE_MIN_S	   ? LIFE_MIN_S
		  : w->life_s > PORTMAP_LIFE_MAX_S ? PORTMAP_LIFE_MAX_S
						   : w->life_s;
	e->expires_ms = now_ms + *life_s * 1000ull;
	return e;
}

static const struct addr *told_outer(
	const struct portmap *p, const struct faults *f, const struct addr *client)
{
	bool four = addr_is_v4(client);

	if (f->claims && addr_is_v4(&f->outer) == four)
		return &f->outer;
	return four ? &p->outer : client;
}

/* ---- NAT-PMP ---- */

static void put_pmp_head(struct wr *w, uint8_t op, unsigned result, uint32_t epoch)
{
	wr_u8(w, PMP);
	wr_u8(w, REPLY | op);
	wr_u16(w, (uint16_t)result);
	wr_u32(w, epoch);
}

/* Inner port 0 deletes all of the host (RFC 6886 section 3.4). */
static bool delete_pmp(struct portmap *p, const struct endpoint *from, const struct wish *w)
{
	bool any = false;

	for (size_t i = p->n; i-- > 0;) {
		struct portmap_entry *e = &p->v[i];
		if (e->proto == w->proto && addr_equal(&e->inner.ip, &from->ip) &&
			(!w->inner || e->inner.port == w->inner))
			any |= delete_entry(p, e);
	}
	return any;
}

static void answer_pmp_map(struct portmap *p, uint64_t now_ms, const struct faults *f,
	const struct endpoint *from, uint8_t op, struct rd r, struct wr *w, bool *changed)
{
	struct wish wish = { .proto = op == 1 ? UDP : TCP };
	uint32_t life_s = 0;

	(void)rd_u16(&r);
	wish.inner = rd_u16(&r);
	wish.outer = rd_u16(&r);
	wish.life_s = rd_u32(&r);
	const struct portmap_entry *e = NULL;
	unsigned result = f->refuse ? NOT_AUTHORIZED : OK;
	if (!result && wish.life_s)
		e = wish.inner ? grant(p, now_ms, f, from, &wish, &life_s, changed) : NULL;
	else if (!result)
		*changed = delete_pmp(p, from, &wish);
	if (!result && wish.life_s && !e)
		result = PMP_NO_RESOURCES;
	put_pmp_head(w, op, result, epoch_s(p, f, now_ms));
	wr_u16(w, wish.inner);
	wr_u16(w, e ? e->outer : 0);
	wr_u32(w, life_s);
}

static void answer_pmp(struct portmap *p, uint64_t now_ms, const struct faults *f,
	const struct endpoint *from, struct rd r, struct wr *w, bool *changed)
{
	uint8_t op = rd_u8(&r);

	if (r.bad || op >= REPLY || (op == 0 && r.left) || ((op == 1 || op == 2) && r.left != 10))
		return;
	if (op == 0) {
		put_pmp_head(w, op, f->refuse ? NOT_AUTHORIZED : OK, epoch_s(p, f, now_ms));
		wr_bytes(w, told_outer(p, f, &from->ip)->b + 12, 4);
	} else if (op <= 2) {
		answer_pmp_map(p, now_ms, f, from, op, r, w, changed);
	} else {
		put_pmp_head(w, op, PMP_UNSUPPORTED_OPCODE, epoch_s(p, f, now_ms));
	}
}

/* ---- PCP ---- */

static void put_pcp_head(struct wr *w, uint8_t op, unsigned result, uint32_t life_s, uint32_t epoch)
{
	wr_u8(w, PCP);
	wr_u8(w, REPLY | op);
	wr_u8(w, 0);
	wr_u8(w, (uint8_t)result);
	wr_u32(w, life_s);
	wr_u32(w, epoch);
	wr_zero(w, 12);
}

struct pcp_map {
	const uint8_t *nonce, *suggested;
	struct wish wish;
};

static unsigned read_pcp_map(struct rd *r, uint32_t life_s, struct pcp_map *m)
{
	m->nonce = rd_take(r, 12);
	m->wish = (struct wish) { .proto = rd_u8(r), .life_s = life_s, .nonce = m->nonce };
	rd_take(r, 3);
	m->wish.inner = rd_u16(r);
	m->wish.outer = rd_u16(r);
	m->suggested = rd_take(r, 16);
	if (r->bad)
		return PCP_MALFORMED;
	if (r->left) /* no option is known, and whether one may be passed over is in its own bits: said of all alike */
		return PCP_UNSUPPORTED_OPTION;
	return (m->wish.proto == UDP || m->wish.proto == TCP) && m->wish.inner ? OK : PCP_MALFORMED;
}

static void answer_pcp_map(struct portmap *p, uint64_t now_ms, const struct faults *f,
	const struct endpoint *from, struct rd r, uint32_t life_s, unsigned result, struct wr *w,
	bool *changed)
{
	struct pcp_map m = { 0 };
	unsigned read = read_pcp_map(&r, life_s, &m);
	uint32_t granted_s = 0;

	if (!m.suggested) {
		put_pcp_head(w, 1, read, 0, epoch_s(p, f, now_ms));
		return;
	}
	result = result ? result : read;
	struct portmap_entry *e = result ? NULL : find_entry(p, m.wish.proto, &from->ip, m.wish.inner);
	if (e && e->pcp && memcmp(e->nonce, m.nonce, sizeof(e->nonce)) != 0)
		result = NOT_AUTHORIZED;
	uint16_t outer = e ? e->outer : 0;
	if (!result && !life_s)
		*changed = e && delete_entry(p, e);
	else if (!result && (e = grant(p, now_ms, f, from, &m.wish, &granted_s, changed)))
		outer = e->outer;
	else if (!result)
		result = PCP_NO_RESOURCES;
	put_pcp_head(w, 1, result, result ? LIFE_MIN_S : granted_s, epoch_s(p, f, now_ms));
	wr_bytes(w, m.nonce, 12);
	wr_u8(w, m.wish.proto);
	wr_zero(w, 3);
	wr_u16(w, m.wish.inner);
	wr_u16(w, result ? m.wish.outer : outer);
	wr_bytes(w, result ? m.suggested : told_outer(p, f, &from->ip)->b, 16);
}

static void answer_pcp(struct portmap *p, uint64_t now_ms, const struct faults *f,
	const struct endpoint *from, struct rd r, struct wr *w, bool *changed)
{
	uint8_t op = rd_u8(&r);
	(void)rd_u16(&r);
	uint32_t life_s = rd_u32(&r);
	const uint8_t *client = rd_take(&r, 16);

	if (r.bad || op >= REPLY)
		return;
	unsigned result = memcmp(client, from->ip.b, 16) != 0 ? PCP_MISMATCH
			  : f->refuse			      ? NOT_AUTHORIZED
							      : OK;
	if (op == 1)
		answer_pcp_map(p, now_ms, f, from, r, life_s, result, w, changed);
	else
		put_pcp_head(w, op, op == 0 ? result : PCP_UNSUPPORTED_OPCODE, 0, epoch_s(p, f, now_ms));
}

size_t portmap_answer(struct portmap *p, uint64_t now_ms, const struct faults *f, const struct endpoint *from,
	const uint8_t *msg, size_t len, uint8_t out[static PORTMAP_REPLY_MAX], bool *changed)
{
	struct rd r = rd_of(msg, len);
	struct wr w = wr_of(out, PORTMAP_REPLY_MAX);
	uint8_t version = rd_u8(&r);
	bool four = addr_is_v4(&from->ip);

	*changed = false;
	if (r.bad || f->dead || (f->no_pcp && (f->no_pmp || !four))) /* NAT-PMP is of IPv4 */
		return 0;
	if (version == PMP && !f->no_pmp && four)
		answer_pmp(p, now_ms, f, from, r, &w, changed);
	else if (version == PCP && !f->no_pcp)
		answer_pcp(p, now_ms, f, from, r, &w, changed);
	else if ((version == PMP && four) || f->no_pcp) /* in the form of the one that is spoken here */
		put_pmp_head(&w, 0, UNSUPPORTED_VERSION, epoch_s(p, f, now_ms));
	else
		put_pcp_head(&w, 0, UNSUPPORTED_VERSION, 0, epoch_s(p, f, now_ms));
	return w.bad ? 0 : w.len;
}

struct portmap_entry *portmap_at(struct portmap *p, uint8_t proto, uint16_t outer)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].proto == proto && p->v[i].outer == outer && addr_is_v4(&p->v[i].inner.ip))
			return &p->v[i];
	return NULL;
}

bool portmap_put(struct portmap *p, uint64_t now_ms, uint8_t proto, uint16_t outer,
	const struct endpoint *inner, uint64_t life_s)
{
	struct portmap_entry *e = portmap_at(p, proto, outer);

	if (!e && p->n == PORTMAP_MAX)
		return false;
	if (!e)
		e = &p->v[p->n++];
	*e = (struct portmap_entry) { .proto = proto,
		.outer = outer,
		.inner = *inner,
		.expires_ms = life_s ? now_ms + life_s * 1000 : UINT64_MAX };
	return true;
}

struct portmap_entry *portmap_pinhole(struct portmap *p, uint16_t id)
{
	for (size_t i = 0; i < p->n; i++)
		if (id && p->v[i].id == id)
			return &p->v[i];
	return NULL;
}

static void give_id(struct portmap *p, struct portmap_entry *e)
{
	while (!e->id) {
		uint16_t id = ++p->last_id;
		e->id = portmap_pinhole(p, id) ? 0 : id;
	}
}

struct portmap_entry *portmap_open(struct portmap *p, uint64_t now_ms, uint8_t proto,
	const struct endpoint *inner, const struct endpoint *peer, uint64_t life_s)
{
	struct portmap_entry *e = NULL;

	for (size_t i = 0; i < p->n && !e; i++)
		if (p->v[i].proto == proto && endpoint_equal(&p->v[i].inner, inner) &&
			endpoint_equal(&p->v[i].peer, peer))
			e = &p->v[i];
	if (!e && p->n == PORTMAP_MAX)
		return NULL;
	if (!e) {
		e = &p->v[p->n++];
		*e = (struct portmap_entry) {
			.proto = proto, .outer = inner->port, .inner = *inner, .peer = *peer
		};
	}
	give_id(p, e);
	p->pinholes = true;
	e->expires_ms = now_ms + life_s * 1000;
	return e;
}

void portmap_remove(struct portmap *p, struct portmap_entry *e)
{
	*e = p->v[--p->n];
}

bool portmap_expire(struct portmap *p, uint64_t now_ms)
{
	bool any = false;

	for (size_t i = p->n; i-- > 0;)
		if (p->v[i].expires_ms <= now_ms)
			any |= delete_entry(p, &p->v[i]);
	return any;
}

static bool put_pinhole(const struct portmap_entry *e, struct buf *out)
{
	char inner[ADDR_TEXT], peer[ADDR_TEXT];
	const char *proto = e->proto == TCP ? "tcp" : "udp";
	bool ok = buf_printf(
		out, "  ip6 daddr %s %s dport %u ", addr_format(&e->inner.ip, inner), proto, e->inner.port);

	if (!addr_is_unspecified(&e->peer.ip))
		ok = ok && buf_printf(out, "ip6 saddr %s ", addr_format(&e->peer.ip, peer));
	if (e->peer.port)
		ok = ok && buf_printf(out, "%s sport %u ", proto, e->peer.port);
	return ok && buf_printf(out, "accept comment \"a pinhole\"\n");
}

/* Into a chain that the router's firewall goes through. */
static bool put_pinholes(const struct portmap *p, struct buf *out)
{
	bool ok =
		buf_printf(out, "table ip6 simnet { chain pinholes { }; }\nflush chain ip6 simnet pinholes\n"
				"table ip6 simnet {\n chain pinholes {\n");

	for (size_t i = 0; i < p->n && ok; i++)
		ok = addr_is_v4(&p->v[i].inner.ip) || put_pinhole(&p->v[i], out);
	return ok && buf_printf(out, " }\n}\n");
}

bool portmap_rules(const struct portmap *p, struct buf *out)
{
	char outer[ADDR_TEXT], inner[ADDR_TEXT];
	bool ok = buf_printf(out, "table ip portmap\ndelete table ip portmap\ntable ip portmap {\n"
				  " chain inbound { type nat hook prerouting priority dstnat - 5;\n");

	addr_format(&p->outer, outer);
	for (size_t i = 0; i < p->n && ok; i++)
		ok = !addr_is_v4(&p->v[i].inner.ip) ||
		     buf_printf(out,
			     "  iifname \"wan\" ip daddr %s %s dport %u dnat to %s:%u comment \"a port "
			     "mapping\"\n",
			     outer, p->v[i].proto == TCP ? "tcp" : "udp", p->v[i].outer,
			     addr_format(&p->v[i].inner.ip, inner), p->v[i].inner.port);
	return ok && buf_printf(out, " }\n}\n") && (!p->pinholes || put_pinholes(p, out));
}
