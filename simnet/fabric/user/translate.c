#include "simnet/fabric/user/translate.h"

#include "mesh/base/ip_translate.h"
#include "mesh/base/wire.h"

static struct addr last_bytes(const struct addr *six)
{
	return addr_v4_bytes(six->b + 12);
}

static bool became(struct frame *f, size_t len, uint16_t type)
{
	if (!len)
		return false;
	f->len = (uint16_t)(ETH_HEADER + len);
	be_put(f->b + 12, 2, type);
	return true;
}

/* Of a later one the NAT does not know whose it is, so none is translated. */
static bool is_piece(const uint8_t *ip, const struct ip_view *v)
{
	enum { FRAGMENT_AT = 6, FRAGMENT_BITS = 0x3fff, HEAD6 = 40 };
	return v->version == 4 ? be_get(ip + FRAGMENT_AT, 2) & FRAGMENT_BITS : v->l4_at != HEAD6;
}

bool translate_out(const struct nat64 *n, struct frame *f, const struct ip_view *v, struct addr *about)
{
	uint8_t *ip = f->b + ETH_HEADER;
	struct ip_ends to = { .src = last_bytes(&v->src) }, quoted;
	struct ip_view q;
	bool error = ip_quoted(ip, v, &q);

	*about = addr_any6;
	if (is_piece(ip, v) || !nat64_extract(n, &v->dst, &to.dst))
		return false;
	if (error) {
		if (!nat64_extract(n, &q.src, &quoted.src))
			return false;
		quoted.dst = last_bytes(&q.dst);
		*about = q.dst;
	}
	return became(f, ip_translate(ip, ETH_IP_MAX, v, &to, error ? &quoted : NULL), ETH_TYPE_V4);
}

bool translate_in(const struct nat64 *n, struct frame *f, const struct ip_view *v, const struct addr *inside)
{
	uint8_t *ip = f->b + ETH_HEADER;
	const struct ip_ends to = { .src = nat64_embed(n, &v->src), .dst = *inside };
	struct ip_ends quoted = { .src = *inside };
	struct ip_view q;
	bool error = ip_quoted(ip, v, &q);

	if (is_piece(ip, v))
		return false;
	if (error)
		quoted.dst = nat64_embed(n, &q.dst);
	return became(f, ip_translate(ip, ETH_IP_MAX, v, &to, error ? &quoted : NULL), ETH_TYPE_V6);
}

enum { SRC_AT = 8, DST_AT = 24, HEAD = 40, ICMP_HEAD = 8 };

/* A source goes out, a destination comes in. */
static void exchange_at(const struct nptv6 *n, uint8_t *at, bool out)
{
	struct addr a = addr_v6_bytes(at);
	if (!(out ? nptv6_is_inside(n, &a) : nptv6_is_outside(n, &a)))
		return;
	a = out ? nptv6_out(n, &a) : nptv6_in(n, &a);
	memcpy(at, a.b, sizeof(a.b));
}

void translate_prefix(const struct nptv6 *n, uint8_t *ip, const struct ip_view *v, enum eth_end end)
{
	bool error = v->proto == IP_ICMP6 && !v->later_fragment && v->icmp_type >= 1 && v->icmp_type <= 4;
	size_t inner = (size_t)v->l4_at + ICMP_HEAD;
	exchange_at(n, ip + (end == ETH_SRC ? SRC_AT : DST_AT), end == ETH_SRC);
	if (error && v->total_len >= inner + HEAD)
		exchange_at(n, ip + inner + (end == ETH_SRC ? DST_AT : SRC_AT), end == ETH_SRC);
}
