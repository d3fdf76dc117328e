#include "resolver/record.h"

#include "mesh/base/wire.h"

static const struct {
	uint16_t type;
	const char *form;
} forms[] = {
	{ DNS_A, "4" },
	{ DNS_AAAA, "88" },
	{ DNS_NS, "n" },
	{ DNS_CNAME, "n" },
	{ DNS_PTR, "n" },
	{ DNS_SOA, "nn884" },
	{ DNS_MX, "2n" },
	{ DNS_SRV, "6N" },
	{ DNS_DNAME, "N" },
	{ DNS_RRSIG, "99N*" },
	{ DNS_NSEC, "N*" },
	{ 3, "n" },
	{ 4, "n" },
	{ 7, "n" },
	{ 8, "n" },
	{ 9, "n" },
	{ 14, "nn" },
	{ 17, "NN" },
	{ 18, "2N" },
	{ 21, "2N" },
	{ 24, "99N*" },
	{ 26, "2NN" },
	{ 30, "N*" },
	{ 35, "4sssN" },
	{ 36, "2N" },
};

const char *dns_rdata_form(uint16_t type)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (forms[i].type == type)
			return forms[i].form;
	return "*";
}

bool dns_rr_next(const uint8_t *msg, size_t len, size_t *at, struct dns_rr *out)
{
	size_t next = dns_name_skip(msg, len, *at);
	if (!next || len - next < 10)
		return false;
	out->name_at = (uint32_t)*at;
	out->type = (uint16_t)be_get(msg + next, 2);
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
	struct dns_name n;
	return dns_name_expand(msg, end, *at, &n, at);
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
		size_t n = *f == '*'   ? end - at
			   : *f == 's' ? (at < end ? msg[at] + 1u : 1)
				       : (size_t)(*f - '0');
		if (n > end - at)
			return false;
		at += n;
	}
	return at == end;
}
