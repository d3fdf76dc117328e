#include "simnet/service/dns_reply.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The first byte chooses a fault, and whether there is DNS64; an answer begins with the id of its question and is not one itself. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const words[] = { "", "truncate", "lie=192.0.2.1", "scope=a",
		"silent=a,servfail=b" };
	static struct dns_records records;
	uint8_t out[DNS_REPLY_MAX];
	struct errbuf eb;
	struct faults f;

	if (!records.n && dns_records_parse("a A 192.0.2.1; b CNAME a; c TXT x; d CNAME d", &records, &eb))
		abort();
	records.dns64.bits = len && data[0] & 0x40 ? 96 : 0;
	if (!len || faults_parse(SERVICE_DNS, words[data[0] % ARRAY_LEN(words)], &f, &eb))
		return 0;
	size_t n = dns_reply_write(&records, &f, data[0] & 0x80, data + 1, len - 1, out);
	if (n && (n < 12 || out[0] != data[1] || out[1] != data[2] || !(out[2] & 0x80)))
		abort();
	if (n && dns_reply_write(&records, &f, true, out, n, out))
		abort();
	return 0;
}
