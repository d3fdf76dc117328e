#include "mesh/base/nat64.h"
#include <string.h>

enum { RESERVED = 8 }; /* RFC 6052 2.2: this octet is zero, the IPv4 address goes around it */
/* The longest first: a shorter reading of the same bytes would be chance. RFC 7050 3. */
static const uint8_t lengths[] = { 96, 64, 56, 48, 40, 32 };

const struct nat64 nat64_well_known = { .prefix = { { 0x00, 0x64, 0xff, 0x9b } }, .bits = 96 };

void nat64_set_add(struct nat64_set *s, const struct nat64 *prefix)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].bits == prefix->bits && addr_equal(&s->v[i].prefix, &prefix->prefix))
			return;
	if (prefix->bits && s->n < NAT64_SET_MAX)
		s->v[s->n++] = *prefix;
}

static size_t octet(uint8_t bits, size_t i)
{
	size_t at = bits / 8u + i;
	return bits < 96 && at >= RESERVED ? at + 1 : at;
}

static struct addr read_v4(const struct addr *a, uint8_t bits)
{
	uint8_t b[4];
	for (size_t i = 0; i < 4; i++)
		b[i] = a->b[octet(bits, i)];
	return addr_v4_bytes(b);
}

/* What is neither prefix nor IPv4 address is zero. */
static bool is_clean(const struct addr *a, uint8_t bits)
{
	for (size_t i = octet(bits, 3) + 1; i < sizeof(a->b); i++) {
		if (a->b[i])
			return false;
	}
	return bits == 96 || a->b[RESERVED] == 0;
}

/* No answer may lead what is for the IPv4 internet to this machine, to all on its link, or back into the mesh. */
static bool is_usable(const struct addr *prefix)
{
	return !addr_is_unspecified(prefix) && !addr_is_loopback(prefix) && !addr_is_link_local(prefix) &&
	       !addr_is_multicast(prefix) && !addr_is_mesh(prefix);
}

bool nat64_parse(const char *text, struct nat64 *out)
{
	struct prefix p, masked;
	if (!strchr(text, '/') || !prefix_parse(text, &p) || addr_is_v4(&p.ip) ||
		!memchr(lengths, p.bits, sizeof(lengths)))
		return false;
	masked = p;
	prefix_mask(&masked);
	if (!prefix_equal(&masked, &p) || p.ip.b[RESERVED] || !is_usable(&p.ip))
		return false;
	*out = (struct nat64) { .prefix = p.ip, .bits = p.bits };
	return true;
}

bool nat64_find(const struct addr *answer, struct nat64 *out)
{
	for (size_t i = 0; i < sizeof(lengths); i++) {
		struct addr v4 = read_v4(answer, lengths[i]);
		uint32_t v = addr_v4_get(&v4);
		if (addr_is_v4(answer) || (v != 0xc00000aa && v != 0xc00000ab) ||
			!is_clean(answer, lengths[i]))
			continue;
		struct nat64 found = { .bits = lengths[i] };
		memcpy(found.prefix.b, answer->b, lengths[i] / 8);
		if (!is_usable(&found.prefix))
			continue;
		*out = found;
		return true;
	}
	return false;
}

struct addr nat64_embed(const struct nat64 *n, const struct addr *v4)
{
	struct addr a = n->prefix;
	uint32_t v = addr_v4_get(v4);
	for (size_t i = 0; i < 4; i++)
		a.b[octet(n->bits, i)] = (uint8_t)(v >> (24 - 8 * i));
	return a;
}

bool nat64_extract(const struct nat64 *n, const struct addr *v6, struct addr *v4)
{
	if (!n->bits || addr_is_v4(v6) || memcmp(v6->b, n->prefix.b, n->bits / 8u) != 0 ||
		!is_clean(v6, n->bits))
		return false;
	*v4 = read_v4(v6, n->bits);
	return true;
}

static bool leads_inside(const struct nat64 *by, const struct addr *a)
{
	struct addr v4;
	return nat64_extract(by, a, &v4) && addr_is_inside(&v4);
}

bool nat64_is_inside(const struct addr *a, const struct nat64_set *known)
{
	bool inside = addr_is_inside(a) || leads_inside(&nat64_well_known, a);
	for (size_t i = 0; i < known->n; i++)
		inside = inside || leads_inside(&known->v[i], a);
	return inside;
}
