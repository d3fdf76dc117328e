#include "resolver/providers.h"

#include "mesh/base/err.h"
#include "mesh/base/key.h"
#include "mesh/base/wire.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usual_path[] = "/dns-query";

/* As their operators publish them. */
static const struct provider {
	const char *name, *path; /* NULL: the usual one */
	bool alone;
	const char *at[PROVIDER_ADDRESSES];
} providers[] = {
	{ "cloudflare-dns.com", NULL, false,
		{ "1.1.1.1", "1.0.0.1", "2606:4700:4700::1111", "2606:4700:4700::1001" } },
	{ "security.cloudflare-dns.com", NULL, false,
		{ "1.1.1.2", "1.0.0.2", "2606:4700:4700::1112", "2606:4700:4700::1002" } },
	{ "family.cloudflare-dns.com", NULL, false,
		{ "1.1.1.3", "1.0.0.3", "2606:4700:4700::1113", "2606:4700:4700::1003" } },
	{ "dns.google", NULL, false,
		{ "8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844" } },
	{ "dns.quad9.net", NULL, false, { "9.9.9.9", "149.112.112.112", "2620:fe::fe", "2620:fe::9" } },
	{ "dns10.quad9.net", NULL, false, { "9.9.9.10", "149.112.112.10", "2620:fe::10", "2620:fe::fe:10" } },
	{ "dns11.quad9.net", NULL, false, { "9.9.9.11", "149.112.112.11", "2620:fe::11", "2620:fe::fe:11" } },
	{ "dns.mullvad.net", NULL, false, { "194.242.2.2", "2a07:e340::2" } },
	{ "adblock.dns.mullvad.net", NULL, false, { "194.242.2.3", "2a07:e340::3" } },
	{ "base.dns.mullvad.net", NULL, false, { "194.242.2.4", "2a07:e340::4" } },
	{ "extended.dns.mullvad.net", NULL, false, { "194.242.2.5", "2a07:e340::5" } },
	{ "family.dns.mullvad.net", NULL, false, { "194.242.2.6", "2a07:e340::6" } },
	{ "all.dns.mullvad.net", NULL, false, { "194.242.2.9", "2a07:e340::9" } },
	{ "wikimedia-dns.org", NULL, true, { "185.71.138.138", "2001:67c:930::1" } },
	{ "freedns.controld.com", "/p0", false,
		{ "76.76.2.0", "76.76.10.0", "2606:1a40::", "2606:1a40:1::" } },
	{ "freedns.controld.com", "/p1", false,
		{ "76.76.2.1", "76.76.10.1", "2606:1a40::1", "2606:1a40:1::1" } },
	{ "freedns.controld.com", "/p2", false,
		{ "76.76.2.2", "76.76.10.2", "2606:1a40::2", "2606:1a40:1::2" } },
	{ "freedns.controld.com", "/p3", false,
		{ "76.76.2.3", "76.76.10.3", "2606:1a40::3", "2606:1a40:1::3" } },
	{ "freedns.controld.com", "/family", false,
		{ "76.76.2.4", "76.76.10.4", "2606:1a40::4", "2606:1a40:1::4" } },
};

/* Providers whose users have a path of their own, which stands in the IPv6 address too: NextDNS as bytes in hex at
 * its end, Control D as a number to the base 36 in bytes 6 to 13. */
static const char nextdns[] = "dns.nextdns.io", controld[] = "dns.controld.com";
static const char *const nextdns_v4[] = { "45.90.28.0", "45.90.30.0" }, *const controld_v4[] = { "76.76.2.22",
	"76.76.10.22" };
static const uint8_t nextdns_v6[2][4] = { { 0x2a, 0x07, 0xa8, 0xc0 }, { 0x2a, 0x07, 0xa8, 0xc1 } },
		     controld_v6[2][6] = { { 0x26, 0x06, 0x1a, 0x40, 0, 0 },
			     { 0x26, 0x06, 0x1a, 0x40, 0, 1 } };
enum { NEXTDNS_ID = 12, CONTROLD_AT = 6, CONTROLD_ID = 8 };

static struct addr address(const char *text)
{
	struct addr a = { 0 };
	(void)addr_parse(text, &a);
	return a;
}

/* The first part of a path, without its slash; false: it does not fit. */
static bool first_part(const char *path, char *out, size_t cap)
{
	size_t n = strcspn(path + 1, "/?");
	if (!n || n >= cap)
		return false;
	memcpy(out, path + 1, n);
	out[n] = 0;
	return true;
}

static size_t nextdns_addresses(const char *path, struct addr out[static PROVIDER_ADDRESSES])
{
	char text[2 * NEXTDNS_ID + 1];
	uint8_t id[NEXTDNS_ID];
	size_t n = 0;
	if (first_part(path, text, sizeof(text)) && strlen(text) % 2 == 0 &&
		hex_decode(text, strlen(text), id, strlen(text) / 2))
		n = strlen(text) / 2;
	for (unsigned i = 0; i < 2; i++) {
		uint8_t b[16] = { 0 };
		out[i] = address(nextdns_v4[i]);
		memcpy(b, nextdns_v6[i], sizeof(nextdns_v6[i]));
		memcpy(b + sizeof(b) - n, id, n);
		out[2 + i] = addr_v6_bytes(b);
	}
	return n ? 4 : 2;
}

static size_t controld_addresses(const char *path, struct addr out[static PROVIDER_ADDRESSES])
{
	char text[14], *end = text;
	uint64_t id = first_part(path, text, sizeof(text)) && text[0] != '-' ? strtoull(text, &end, 36) : 0;
	bool known = id && id != UINT64_MAX && !*end; /* else what strtoull says to what is too large */
	for (unsigned i = 0; i < 2; i++) {
		uint8_t b[16] = { 0 };
		out[i] = address(controld_v4[i]);
		memcpy(b, controld_v6[i], sizeof(controld_v6[i]));
		be_put(b + CONTROLD_AT, CONTROLD_ID, id);
		out[2 + i] = addr_v6_bytes(b);
	}
	return known ? 4 : 2;
}

size_t provider_addresses(const struct dns_secure *s, struct addr out[static PROVIDER_ADDRESSES])
{
	bool https = s->by == DNS_SECURE_HTTPS;
	if (https && strcmp(s->name, nextdns) == 0)
		return nextdns_addresses(s->path, out);
	if (https && strcmp(s->name, controld) == 0)
		return controld_addresses(s->path, out);
	for (size_t i = 0; i < ARRAY_LEN(providers); i++) {
		const struct provider *p = &providers[i];
		size_t n = 0;
		/* by TLS there is no path that tells apart what one name stands for */
		if (strcmp(s->name, p->name) != 0 || (p->path && (!https || strcmp(s->path, p->path) != 0)))
			continue;
		while (n < PROVIDER_ADDRESSES && p->at[n]) {
			out[n] = address(p->at[n]);
			n++;
		}
		return n;
	}
	return 0;
}

static void server_set(struct dns_secure *out, const char *name)
{
	*out = (struct dns_secure) { .by = DNS_SECURE_HTTPS };
	snprintf(out->name, sizeof(out->name), "%s", name);
}

static bool is_nextdns(const uint8_t b[static 16], struct dns_secure *out)
{
	size_t at = 4;
	if ((memcmp(b, nextdns_v6[0], 4) != 0 && memcmp(b, nextdns_v6[1], 4) != 0) ||
		b[4] & 0x80) /* of a /33 */
		return false;
	while (at < 16 && !b[at])
		at++;
	server_set(out, nextdns);
	out->path[0] = '/';
	hex_encode(b + at, 16 - at, out->path + 1);
	return at < 16;
}

static bool is_controld(const uint8_t b[static 16], struct dns_secure *out)
{
	char digits[CONTROLD_ID * 2];
	size_t n = 0, len = 1;
	uint64_t id = be_get(b + CONTROLD_AT, CONTROLD_ID);
	if (!id || (memcmp(b, controld_v6[0], 6) != 0 && memcmp(b, controld_v6[1], 6) != 0))
		return false;
	for (; id; id /= 36)
		digits[n++] = "0123456789abcdefghijklmnopqrstuvwxyz"[id % 36];
	server_set(out, controld);
	out->path[0] = '/';
	while (n)
		out->path[len++] = digits[--n];
	return true;
}

bool provider_of(const struct addr *ip, struct dns_secure *out, bool *alone)
{
	for (size_t i = 0; i < ARRAY_LEN(providers); i++)
		for (size_t k = 0; k < PROVIDER_ADDRESSES && providers[i].at[k]; k++) {
			struct addr at = address(providers[i].at[k]);
			if (!addr_equal(&at, ip))
				continue;
			server_set(out, providers[i].name);
			snprintf(out->path, sizeof(out->path), "%s",
				providers[i].path ? providers[i].path : usual_path);
			*alone = providers[i].alone;
			return true;
		}
	*alone = true;
	return !addr_is_v4(ip) && (is_nextdns(ip->b, out) || is_controld(ip->b, out));
}
