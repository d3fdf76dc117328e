#include "mesh/node/plane/ecn.h"
#include "mesh/base/ip.h"
#include "mesh/base/wire.h"

enum { DROP = -1, CHECKSUM_AT = 10, HEADER4 = 20, HEADER6 = 40 };

/* RFC 6040 4.2, figure 4: [inner][outer]. The two that are said to be dangerous are as the figure has them. */
static const int taken[4][4] = {
	[ECN_NOT_CAPABLE] = { ECN_NOT_CAPABLE, ECN_NOT_CAPABLE, ECN_NOT_CAPABLE, DROP },
	[ECN_CAPABLE_0] = { ECN_CAPABLE_0, ECN_CAPABLE_1, ECN_CAPABLE_0, ECN_CONGESTED },
	[ECN_CAPABLE_1] = { ECN_CAPABLE_1, ECN_CAPABLE_1, ECN_CAPABLE_1, ECN_CONGESTED },
	[ECN_CONGESTED] = { ECN_CONGESTED, ECN_CONGESTED, ECN_CONGESTED, ECN_CONGESTED },
};

static bool is_version(const uint8_t *p, size_t len, unsigned version)
{
	return len >= (version == 4 ? HEADER4 : HEADER6) && p[0] >> 4 == version;
}

enum ecn ecn_of(const uint8_t *p, size_t len)
{
	return is_version(p, len, 4) ? p[1] & 3 : is_version(p, len, 6) ? p[1] >> 4 & 3 : ECN_NOT_CAPABLE;
}

/* The sum is made anew from the old one: RFC 1624 3. */
static void set4(uint8_t *p, unsigned ecn)
{
	uint32_t sum = (uint16_t)~be_get(p + CHECKSUM_AT, 2) + (uint32_t)(uint16_t)~be_get(p, 2);
	p[1] = (uint8_t)((p[1] & 0xfc) | ecn);
	sum += (uint32_t)be_get(p, 2);
	be_put(p + CHECKSUM_AT, 2, ip_checksum(NULL, 0, sum));
}

bool ecn_take(uint8_t *p, size_t len, enum ecn outer)
{
	enum ecn inner = ecn_of(p, len);
	int ecn = taken[inner][outer];
	if (ecn == DROP)
		return false;
	if (ecn == (int)inner)
		return true;
	if (is_version(p, len, 4))
		set4(p, (unsigned)ecn);
	else
		p[1] = (uint8_t)((p[1] & 0xcf) | ecn << 4);
	return true;
}
