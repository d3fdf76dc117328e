#include "resolver/special.h"

#include "resolver/suffix.h"
#include <stdio.h>
#include <stdlib.h>

static const struct {
	const char *name;
	enum special_kind kind;
} rows[] = {
	{ "localhost", SPECIAL_LOCALHOST },
	{ "invalid", SPECIAL_NXDOMAIN },
	{ "test", SPECIAL_SITE },
	{ "onion", SPECIAL_NXDOMAIN },
	{ "alt", SPECIAL_NXDOMAIN },
	{ "local", SPECIAL_SITE },
	{ "home.arpa", SPECIAL_SITE },
	{ "internal", SPECIAL_SITE },
	{ "resolver.arpa", SPECIAL_NODATA },
	{ "use-application-dns.net", SPECIAL_SPLIT },
	{ "mask.icloud.com", SPECIAL_SPLIT },
	{ "mask-h2.icloud.com", SPECIAL_SPLIT },
	{ "0.in-addr.arpa", SPECIAL_NXDOMAIN },
	{ "10.in-addr.arpa", SPECIAL_SITE },
	{ "127.in-addr.arpa", SPECIAL_NXDOMAIN },
	{ "254.169.in-addr.arpa", SPECIAL_NXDOMAIN },
	{ "168.192.in-addr.arpa", SPECIAL_SITE },
	{ "2.0.192.in-addr.arpa", SPECIAL_NXDOMAIN },
	{ "100.51.198.in-addr.arpa", SPECIAL_NXDOMAIN },
	{ "113.0.203.in-addr.arpa", SPECIAL_NXDOMAIN },
	{ "255.255.255.255.in-addr.arpa", SPECIAL_NXDOMAIN },
	{ "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa", SPECIAL_NXDOMAIN },
	{ "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa", SPECIAL_NXDOMAIN },
	{ "8.b.d.0.1.0.0.2.ip6.arpa", SPECIAL_NXDOMAIN },
	{ "d.f.ip6.arpa", SPECIAL_SITE },
	{ "8.e.f.ip6.arpa", SPECIAL_NXDOMAIN },
	{ "9.e.f.ip6.arpa", SPECIAL_NXDOMAIN },
	{ "a.e.f.ip6.arpa", SPECIAL_NXDOMAIN },
	{ "b.e.f.ip6.arpa", SPECIAL_NXDOMAIN },
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]), RANGES = 16 + 64 };

bool special_init(struct special *s, const uint64_t seed[2])
{
	*s = (struct special) { 0 };
	s->suffixes = calloc(ROWS + RANGES, sizeof(*s->suffixes));
	s->kinds = calloc(ROWS + RANGES, 1);
	if (!s->suffixes || !s->kinds)
		goto fail;
	for (; s->n < ROWS; s->n++) {
		(void)dns_name_parse(rows[s->n].name, &s->suffixes[s->n]);
		s->kinds[s->n] = (uint8_t)rows[s->n].kind;
	}
	for (unsigned i = 0; i < RANGES; i++, s->n++) {
		char text[40]; /* 172.16/12 and 100.64/10 */
		snprintf(text, sizeof(text), i < 16 ? "%u.172.in-addr.arpa" : "%u.100.in-addr.arpa",
			i < 16 ? 16 + i : 48 + i);
		(void)dns_name_parse(text, &s->suffixes[s->n]);
		s->kinds[s->n] = SPECIAL_SITE;
	}
	s->index = suffixes_new(s->suffixes, s->n, seed);
	if (s->index)
		return true;
fail:
	special_fini(s);
	return false;
}

void special_fini(struct special *s)
{
	free(s->suffixes);
	free(s->kinds);
	suffixes_free(s->index);
	*s = (struct special) { 0 };
}

bool special_is_reverse(const struct special *s, int number)
{
	static const struct dns_name zones[] = { { 14, "\7in-addr\4arpa" }, { 10, "\3ip6\4arpa" } };
	return dns_name_within(&s->suffixes[number], &zones[0]) ||
	       dns_name_within(&s->suffixes[number], &zones[1]);
}
