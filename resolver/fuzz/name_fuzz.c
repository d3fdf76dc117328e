/* Names and texts that people and servers write: what is taken reads back the same, and nothing is longer
 * than it may be. The first byte says what the rest is. A server that a provider
 * is known to have is found by its address again. */
#include "resolver/name.h"
#include "resolver/providers.h"
#include "resolver/txt.h"
#include <stdlib.h>
#include <string.h>

enum { INPUT_MAX = 2000 };

static void name_check(const char *text)
{
	struct dns_name n, again;
	char buf[DNS_NAME_TEXT];
	size_t next;
	if (!dns_name_parse(text, &n))
		return;
	if (!n.len || n.b[n.len - 1] || dns_name_labels(&n) > DNS_LABELS_MAX)
		abort();
	if (!dns_name_parse(dns_name_format(&n, buf), &again) || again.len != n.len ||
		memcmp(again.b, n.b, n.len) != 0)
		abort();
	if (!dns_name_expand(n.b, n.len, 0, &again, &next) || next != n.len || !dns_name_equal(&n, &again))
		abort();
	if (!dns_name_within(&n, &n) || dns_name_skip(n.b, n.len, 0) != n.len)
		abort();
}

static void network_check(const char *text)
{
	static const struct dns_name tops[] = { { 14, "\7in-addr\4arpa" }, { 10, "\3ip6\4arpa" } };
	struct prefix p;
	struct dns_name n, address;
	if (!prefix_parse(text, &p))
		return;
	dns_name_reverse(&p.ip, &address);
	bool inside = false;
	for (unsigned i = 0; i < dns_reverse_zones(&p); i++) {
		dns_reverse_zone(&p, i, &n);
		if (!dns_name_within(&n, &tops[!addr_is_v4(&p.ip)]))
			abort();
		inside = inside || dns_name_within(&address, &n);
	}
	if (!inside) /* the network's own address is in one of its zones */
		abort();
}

static void txt_check(const char *text)
{
	uint8_t rdata[1000];
	size_t len, at = 0;
	if (!txt_parse(text, rdata, sizeof(rdata), &len))
		return;
	if (!len || len > sizeof(rdata))
		abort();
	while (at < len)
		at += rdata[at] + 1u;
	if (at != len)
		abort();
}

static void server_check(const char *text)
{
	struct addr at[PROVIDER_ADDRESSES];
	struct endpoint literal;
	struct dns_secure s, found;
	bool alone;
	if (!dns_secure_parse(text, &s, &literal))
		return;
	(void)provider_of(&literal.ip, &found, &alone);
	size_t n = provider_addresses(&s, at);
	if (n > PROVIDER_ADDRESSES)
		abort();
	for (size_t i = 0; i < n; i++)
		(void)provider_of(&at[i], &found, &alone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!len || len > INPUT_MAX)
		return 0;
	char *text = malloc(len); /* to the byte: a read past the end is seen */
	if (!text)
		return 0;
	memcpy(text, data + 1, len - 1);
	text[len - 1] = 0;
	switch (data[0] & 0x80 ? 3 : data[0] % 3) {
	case 0: name_check(text); break;
	case 1: network_check(text); break;
	case 2: txt_check(text); break;
	case 3: server_check(text); break;
	}
	(void)dns_text_is_ascii(text);
	free(text);
	return 0;
}
