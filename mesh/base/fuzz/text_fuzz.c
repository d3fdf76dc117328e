/* Everything that reads short text: what was read must be written so that it reads the same. */
#include "mesh/base/addr.h"
#include "mesh/base/dns_secure.h"
#include "mesh/base/fuzz/must.h"
#include "mesh/base/key.h"
#include "mesh/base/text.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void read_addresses(const char *s)
{
	struct addr a, a2;
	struct endpoint e, e2;
	struct prefix p, p2;
	char text[ENDPOINT_TEXT];
	if (addr_parse(s, &a))
		must(addr_parse(addr_format(&a, text), &a2) && addr_equal(&a, &a2));
	if (endpoint_parse(s, &e))
		must(endpoint_parse(endpoint_format(&e, text), &e2) && endpoint_equal(&e, &e2));
	if (!prefix_parse(s, &p))
		return;
	must(prefix_parse(prefix_format(&p, text), &p2) && prefix_equal(&p, &p2));
	prefix_mask(&p2);
	must(prefix_contains(&p, &p2.ip) && prefix_overlaps(&p, &p2));
}

static void read_keys(const char *s, size_t len)
{
	uint8_t key[KEY_LEN], again[KEY_LEN], raw[256];
	char text[KEY_TEXT], base64[352];
	if (key_parse(s, "nodekey:", key))
		must(key_parse(key_format(key, "nodekey:", text), "nodekey:", again) &&
			key_equal(key, again));
	long n = base64_decode(s, len, raw, sizeof(raw));
	if (n >= 0) {
		must((size_t)n <= sizeof(raw) && base64_text((size_t)n) <= sizeof(base64));
		must(strcmp(base64_encode(raw, (size_t)n, base64), s) == 0);
	}
}

static void read_name_servers(const char *s)
{
	struct dns_secure d, again;
	struct endpoint at, at2;
	char text[DNS_SECURE_TEXT];
	uint8_t pin[32];
	if (dns_secure_parse(s, &d, &at))
		must(dns_secure_parse(dns_secure_format(&d, &at, text), &again, &at2) &&
			dns_secure_equal(&d, &again) && endpoint_equal(&at, &at2));
	(void)dns_secure_pin_parse(s, pin);
}

static void read_times(const char *s)
{
	int64_t ms, again;
	uint64_t v;
	char text[40];
	if (text_time_ms(s, &ms))
		(void)text_time_format(ms, text);
	if (text_time_ms(s, &ms) && ms >= 0 && ms < INT64_C(253402300800000))
		must(text_time_ms(text, &again) && again == ms);
	(void)text_duration_ms(s, &v);
	(void)text_u64(s, 0, UINT64_MAX, &v);
	(void)text_nearest(s, (const char *const[]) { "status", "netcheck", NULL });
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *s = malloc(len + 1);
	if (!s)
		return 0;
	if (len)
		memcpy(s, data, len);
	s[len] = 0;
	read_addresses(s);
	read_keys(s, strlen(s));
	read_times(s);
	read_name_servers(s);
	free(s);
	return 0;
}
