#include "mesh/base/via6.h"
#include "mesh/base/text.h"
#include "mesh/base/wire.h"
#include <string.h>
#include <strings.h>

enum { RANGE_LEN = 8, SITE_AT = 8, V4_AT = 12, SITE_BITS = 96 };
static const uint8_t range[RANGE_LEN] = { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, 0x0b, 0x1a };

bool via6_is(const struct addr *a)
{
	return memcmp(a->b, range, sizeof(range)) == 0;
}

bool via6_embed(uint32_t site, const struct prefix *v4, struct prefix *out)
{
	if (site > VIA6_SITE_MAX || !addr_is_v4(&v4->ip) || v4->bits > 32)
		return false;
	struct prefix p = { .bits = (uint8_t)(SITE_BITS + v4->bits) };
	memcpy(p.ip.b, range, sizeof(range));
	be_put(p.ip.b + SITE_AT, 4, site);
	be_put(p.ip.b + V4_AT, 4, addr_v4_get(&v4->ip));
	*out = p;
	return true;
}

bool via6_extract(const struct prefix *p, uint32_t *site, struct prefix *v4)
{
	if (!via6_is(&p->ip) || p->bits < SITE_BITS || be_get(p->ip.b + SITE_AT, 4) > VIA6_SITE_MAX)
		return false;
	*site = (uint32_t)be_get(p->ip.b + SITE_AT, 4);
	*v4 = (struct prefix) { addr_v4_bytes(p->ip.b + V4_AT), (uint8_t)(p->bits - SITE_BITS) };
	return true;
}

bool via6_site_parse(const char *text, size_t len, uint32_t *site)
{
	char digits[12];
	uint64_t n = 0;
	if (!len || len >= sizeof(digits))
		return false;
	memcpy(digits, text, len);
	digits[len] = 0;
	if (digits[0] != '0' || (digits[1] | 0x20) != 'x') {
		bool ok = text_u64(digits, 0, VIA6_SITE_MAX, &n);
		*site = (uint32_t)n;
		return ok;
	}
	for (size_t i = 2; i < len; i++) {
		char c = (char)(digits[i] | 0x20);
		int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
		if (v < 0 || (n = n << 4 | (unsigned)v) > VIA6_SITE_MAX)
			return false;
	}
	*site = (uint32_t)n;
	return len > 2;
}

bool via6_name_parse(const char *label, size_t len, struct addr *out)
{
	static const char between[] = "-via-";
	enum { BETWEEN = sizeof(between) - 1, DOTTED_MAX = 15 };
	char dotted[DOTTED_MAX + 1];
	size_t at = 0;
	uint32_t site;
	struct prefix v4 = { .bits = 32 }, p;
	while (at + BETWEEN <= len && strncasecmp(label + at, between, BETWEEN) != 0)
		at++;
	if (at + BETWEEN > len || at > DOTTED_MAX ||
		!via6_site_parse(label + at + BETWEEN, len - at - BETWEEN, &site))
		return false;
	for (size_t i = 0; i < at; i++) {
		if (label[i] == '.')
			return false;
		dotted[i] = label[i] == '-' ? '.' : label[i];
	}
	dotted[at] = 0;
	if (!addr_parse(dotted, &v4.ip) || !addr_is_v4(&v4.ip) || !via6_embed(site, &v4, &p))
		return false;
	*out = p.ip;
	return true;
}
