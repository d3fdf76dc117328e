#include "resolver/zone_soa.h"

void zone_soa_write(struct dns_writer *d, const struct dns_name *apex)
{
	static const struct dns_name hostmaster = { 16, "\6nobody\7invalid" };
	static const uint32_t fields[] = { 1, 3600, 1200, 604800, ZONE_NEGATIVE_TTL_S };
	size_t at = dns_write_rr(d, apex, DNS_SOA, ZONE_NEGATIVE_TTL_S);
	dns_write_name(d, apex, true);
	dns_write_name(d, &hostmaster, true);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		wr_u32(&d->w, fields[i]);
	dns_write_rr_end(d, at);
}
