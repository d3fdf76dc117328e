#include "resolver/record.h"

#include "mesh/base/buf.h"
#include "mesh/base/wire.h"

/* A place for each type of a record; the few that have high numbers stand by themselves. */
static const char *const low[] = {
	[DNS_A] = "4",
	[DNS_AAAA] = "88",
	[DNS_NS] = "n",
	[DNS_CNAME] = "n",
	[DNS_PTR] = "n",
	[DNS_SOA] = "nn884",
	[DNS_MX] = "2n",
	[DNS_SRV] = "6N",
	[DNS_DNAME] = "N",
	[DNS_RRSIG] = "99N*",
	[DNS_NSEC] = "N*",
	[DNS_TXT] = "+",
	[DNS_DS] = "+",
	[DNS_DNSKEY] = "+",
	[DNS_NSEC3] = "+",
	[DNS_SVCB] = "+",
	[DNS_HTTPS] = "+",
	[DNS_SPF] = "+",
	[3] = "n",
	[4] = "n",
	[7] = "n",
	[8] = "n",
	[9] = "n",
	[13] = "+",
	[14] = "nn",
	[17] = "NN",
	[18] = "2N",
	[21] = "2N",
	[23] = "N",
	[24] = "99N*",
	[25] = "+",
	[26] = "2NN",
	[29] = "88",
	[30] = "N*",
	[35] = "4sssN",
	[36] = "2N",
	[37] = "+",
	[44] = "+",
	[45] = "+",
	[49] = "+",
	[51] = "+",
	[52] = "+",
	[53] = "+",
	[59] = "+",
	[60] = "+",
	[61] = "+",
	[62] = "+",
	[63] = "+",
	[104] = "55",
	[105] = "6",
	[106] = "55",
	[107] = "2N",
	[108] = "6",
	[109] = "8",
};
static const struct {
	uint16_t type;
	const char *form;
} high[] = {
	{ DNS_TSIG, "N8w4w" },
	{ 249, "N84ww" },
	{ DNS_IXFR, "+" },
	{ DNS_AXFR, "+" },
	{ DNS_ANY, "+" },
	{ 256, "+" },
	{ 257, "+" },
};

const char *dns_rdata_form(uint16_t type)
{
	if (type < sizeof(low) / sizeof(low[0]))
		return low[type] ? low[type] : "*";
	for (size_t i = 0; i < sizeof(high) / sizeof(high[0]); i++)
		if (high[i].type == type)
			return high[i].form;
	return "*";
}

bool dns_rr_next(const uint8_t *msg, size_t len, size_t *at, struct dns_rr *out)
{
	size_t next = dns_name_skip(msg, len, *at);
	if (!next || len - next < 10)
		return false;
	out->name_at = (uint32_t)*at;
	out->type = (uint16_t)be_get(msg + next, 2);
	out->class = (uint16_t)be_get(msg + next + 2, 2);
	out->ttl_s = (uint32_t)be_get(msg + next + 4, 4);
	out->rdata_len = (uint16_t)be_get(msg + next + 8, 2);
	out->rdata_at = (uint32_t)next + 10;
	if (len - out->rdata_at < out->rdata_len)
		return false;
	*at = out->rdata_at + out->rdata_len;
	return true;
}

static bool name_fits(const uint8_t *msg, size_t end, size_t *at)
{
	struct dns_name n BUF_UNSET;
	return dns_name_expand(msg, end, *at, &n, at);
}

size_t dns_rdata_part(char form, const uint8_t *msg, size_t at, size_t end)
{
	size_t left = end - at;
	switch (form) {
	case '*': return left;
	case '+': return left ? left : SIZE_MAX;
	case 's': return left ? msg[at] + 1u : SIZE_MAX;
	case 'w': return left < 2 ? SIZE_MAX : be_get(msg + at, 2) + 2;
	default: return (size_t)(form - '0');
	}
}

bool dns_rdata_fits(const uint8_t *msg, const struct dns_rr *rr)
{
	size_t at = rr->rdata_at, end = rr->rdata_at + (size_t)rr->rdata_len;
	for (const char *f = dns_rdata_form(rr->type); *f; f++) {
		if (*f == 'n' || *f == 'N') {
			if (!name_fits(msg, end, &at))
				return false;
			continue;
		}
		size_t n = dns_rdata_part(*f, msg, at, end);
		if (n > end - at)
			return false;
		at += n;
	}
	return at == end;
}
