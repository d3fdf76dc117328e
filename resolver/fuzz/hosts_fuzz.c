/* Files of other programs: what is read is a name and an address that others can use. */
#include "resolver/hosts.h"
#include <stdlib.h>

static int entry(void *arg, const struct addr *ip, const struct dns_name *name, bool own)
{
	char text[DNS_NAME_TEXT];
	struct dns_name again;
	(void)arg, (void)own;
	if (addr_is_loopback(ip) || addr_is_unspecified(ip) || name->len < 3)
		abort();
	if (!dns_name_parse(dns_name_format(name, text), &again) || !dns_name_equal(name, &again))
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct hosts_ops ops = { entry, NULL };
	if (hosts_read((const char *)data, len, &ops) || leases_read((const char *)data, len, 1000, &ops))
		abort();
	return 0;
}
