#include "mesh/base/addr.h"
#include "mesh/base/table.h"
#include "mesh/base/text.h"
#include "mesh/base/wire.h"
#include <arpa/inet.h>
#include <assert.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Callers take its bytes as what tells endpoints apart: no padding. */
static_assert(sizeof(struct endpoint) == 20, "layout");
const struct addr addr_any6 = { { 0 } };

uint32_t addr_v4_get(const struct addr *a)
{
	return (uint32_t)be_get(a->b + 12, 4);
}
bool addr_is_unspecified(const struct addr *a)
{
	return addr_equal(a, &addr_any6) || (addr_is_v4(a) && addr_v4_get(a) == 0);
}

static bool in4(const struct addr *a, uint32_t net, unsigned bits)
{
	return addr_is_v4(a) && (addr_v4_get(a) ^ net) >> (32 - bits) == 0;
}

bool addr_is_loopback(const struct addr *a)
{
	static const struct addr one = { { [15] = 1 } };
	return addr_is_v4(a) ? in4(a, 0x7f000000, 8) : addr_equal(a, &one);
}
bool addr_is_link_local(const struct addr *a)
{
	return addr_is_v4(a) ? in4(a, 0xa9fe0000, 16) : a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}
bool addr_is_multicast(const struct addr *a)
{
	return addr_is_v4(a) ? in4(a, 0xe0000000, 4) : a->b[0] == 0xff;
}
bool addr_is_private(const struct addr *a)
{
	if (!addr_is_v4(a))
		return (a->b[0] & 0xfe) == 0xfc;
	return in4(a, 0x0a000000, 8) || in4(a, 0xac100000, 12) || in4(a, 0xc0a80000, 16);
}
bool addr_is_cgnat(const struct addr *a)
{
	return in4(a, 0x64400000, 10);
}

bool addr_is_inside(const struct addr *a)
{
	return addr_is_private(a) || addr_is_cgnat(a) || addr_is_loopback(a) || addr_is_link_local(a) ||
	       addr_is_unspecified(a);
}

const struct prefix addr_mesh[ADDR_MESH] = {
	{ { { [10] = 0xff, [11] = 0xff, [12] = 100, [13] = 64 } }, 10 },
	{ { { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0 } }, 48 },
};

bool addr_is_mesh(const struct addr *a)
{
	return addr_is_cgnat(a) || memcmp(a->b, addr_mesh[1].ip.b, 6) == 0;
}

const struct addr addr_service_v4 = {
	{ [10] = 0xff, [11] = 0xff, [12] = 100, [13] = 100, [14] = 100, [15] = 100 }
};
const struct addr addr_service_v6 = { { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, [15] = 0x53 } };

bool addr_is_service(const struct addr *a)
{
	return addr_equal(a, &addr_service_v4) || addr_equal(a, &addr_service_v6);
}

bool addr_parse(const char *text, struct addr *out)
{
	uint8_t b[16];
	if (inet_pton(AF_INET, text, b) == 1) {
		*out = addr_v4_bytes(b);
		return true;
	}
	if (inet_pton(AF_INET6, text, b) == 1) {
		*out = addr_v6_bytes(b);
		return true;
	}
	return false;
}

char *addr_format(const struct addr *a, char *buf)
{
	if (addr_is_v4(a))
		inet_ntop(AF_INET, a->b + 12, buf, ADDR_TEXT);
	else
		inet_ntop(AF_INET6, a->b, buf, ADDR_TEXT);
	return buf;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && a->scope == b->scope && addr_equal(&a->ip, &b->ip);
}
bool endpoint_is_set(const struct endpoint *e)
{
	return e->port != 0;
}

/* An address, and for a link-local one where it is: "fe80::1%eth0". Nothing else has an interface. */
static bool scoped_parse(const char *text, struct endpoint *out)
{
	const char *percent = strchr(text, '%');
	char host[ADDR_TEXT];
	size_t n = percent ? (size_t)(percent - text) : strlen(text);
	struct endpoint e = { .port = out->port };
	uint64_t scope = 0;
	if (n >= sizeof(host))
		return false;
	memcpy(host, text, n);
	host[n] = 0;
	if (!addr_parse(host, &e.ip))
		return false;
	if (percent && (addr_is_v4(&e.ip) || !addr_is_link_local(&e.ip)))
		return false;
	if (percent && !text_u64(percent + 1, 1, UINT16_MAX, &scope))
		scope = if_nametoindex(percent + 1);
	if (scope > UINT16_MAX || (percent && !scope))
		return false;
	e.scope = (uint16_t)scope;
	*out = e;
	return true;
}

bool endpoint_parse(const char *text, struct endpoint *out)
{
	char host[ADDR_TEXT + IF_NAMESIZE];
	const char *start = text, *end, *port;
	if (*text == '[') {
		start = text + 1;
		end = strchr(start, ']');
		if (!end || end[1] != ':')
			return false;
		port = end + 2;
	} else {
		end = strrchr(text, ':');
		if (!end || memchr(text, ':', (size_t)(end - text)))
			return false;
		port = end + 1;
	}
	size_t n = (size_t)(end - start);
	uint64_t v;
	struct endpoint e = { 0 };
	if (n >= sizeof(host) || !text_u64(port, 0, 65535, &v))
		return false;
	memcpy(host, start, n);
	host[n] = 0;
	if (!scoped_parse(host, &e) || (*text == '[') != (strchr(host, ':') != NULL))
		return false;
	e.port = (uint16_t)v;
	*out = e;
	return true;
}

bool endpoint_parse_or(const char *text, uint16_t port, struct endpoint *out)
{
	struct endpoint e = { .port = port };
	if (!endpoint_parse(text, &e) && !scoped_parse(text, &e))
		return false;
	*out = e;
	return true;
}

char *endpoint_format_ip(const struct endpoint *e, char *buf)
{
	char ip[ADDR_TEXT], name[IF_NAMESIZE];
	addr_format(&e->ip, ip);
	if (!e->scope)
		snprintf(buf, ENDPOINT_TEXT, "%s", ip);
	else if (if_indextoname(e->scope, name))
		snprintf(buf, ENDPOINT_TEXT, "%s%%%s", ip, name);
	else
		snprintf(buf, ENDPOINT_TEXT, "%s%%%u", ip, e->scope);
	return buf;
}

char *endpoint_format(const struct endpoint *e, char *buf)
{
	char ip[ENDPOINT_TEXT];
	endpoint_format_ip(e, ip);
	snprintf(buf, ENDPOINT_TEXT, addr_is_v4(&e->ip) ? "%s:%u" : "[%s]:%u", ip, e->port);
	return buf;
}

bool endpoint_from_sockaddr(const struct sockaddr *sa, struct endpoint *out)
{
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)sa;
		*out = (struct endpoint) { .ip = addr_v4(ntohl(in->sin_addr.s_addr)),
			.port = ntohs(in->sin_port) };
		return true;
	}
	if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const void *)sa;
		*out = (struct endpoint) { .ip = addr_v6_bytes(in->sin6_addr.s6_addr),
			.port = ntohs(in->sin6_port) };
		if (addr_is_link_local(&out->ip) && !addr_is_v4(&out->ip) && in->sin6_scope_id <= UINT16_MAX)
			out->scope = (uint16_t)in->sin6_scope_id;
		return true;
	}
	return false;
}

socklen_t endpoint_to_sockaddr(const struct endpoint *e, bool want6, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof(*out));
	if (addr_is_v4(&e->ip) && !want6) {
		struct sockaddr_in *in = (void *)out;
		in->sin_family = AF_INET;
		in->sin_port = htons(e->port);
		memcpy(&in->sin_addr, e->ip.b + 12, 4);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in = (void *)out;
	in->sin6_family = AF_INET6;
	in->sin6_port = htons(e->port);
	/* 0.0.0.0 in a v6 socket means every address, not ::ffff:0.0.0.0 */
	if (!addr_is_unspecified(&e->ip))
		memcpy(&in->sin6_addr, e->ip.b, 16);
	in->sin6_scope_id = e->scope;
	return sizeof(*in);
}

bool prefix_parse(const char *text, struct prefix *out)
{
	char host[ADDR_TEXT];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	if (n >= sizeof(host))
		return false;
	memcpy(host, text, n);
	host[n] = 0;
	struct prefix p;
	if (!addr_parse(host, &p.ip))
		return false;
	uint64_t max = addr_is_v4(&p.ip) ? 32 : 128, bits = max;
	if (slash && !text_u64(slash + 1, 0, max, &bits))
		return false;
	p.bits = (uint8_t)bits;
	*out = p;
	return true;
}

char *prefix_format(const struct prefix *p, char *buf)
{
	char ip[ADDR_TEXT];
	snprintf(buf, PREFIX_TEXT, "%s/%u", addr_format(&p->ip, ip), p->bits);
	return buf;
}

struct prefix prefix_of(const struct addr *a)
{
	return (struct prefix) { .ip = *a, .bits = addr_is_v4(a) ? 32 : 128 };
}

static unsigned full_bits(const struct prefix *p)
{
	return addr_is_v4(&p->ip) ? p->bits + 96u : p->bits;
}

static bool same_bits(const struct addr *a, const struct addr *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;
	if (memcmp(a->b, b->b, whole) != 0)
		return false;
	return !rest || ((a->b[whole] ^ b->b[whole]) >> (8 - rest)) == 0;
}

void prefix_mask(struct prefix *p)
{
	unsigned bits = full_bits(p);
	for (unsigned i = 0; i < 16; i++) {
		if (bits >= 8 * (i + 1))
			continue;
		p->ip.b[i] &= bits <= 8 * i ? 0 : (uint8_t)(0xff << (8 * (i + 1) - bits));
	}
}

bool prefix_contains(const struct prefix *p, const struct addr *a)
{
	return addr_is_v4(&p->ip) == addr_is_v4(a) && same_bits(&p->ip, a, full_bits(p));
}

bool prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
	const struct prefix *wide = a->bits < b->bits ? a : b, *narrow = wide == a ? b : a;
	return prefix_contains(wide, &narrow->ip);
}

bool prefix_equal(const struct prefix *a, const struct prefix *b)
{
	return a->bits == b->bits && addr_equal(&a->ip, &b->ip);
}

const char *prefix_route_fault(const struct prefix *p)
{
	static const struct prefix via = { { { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, 0x0b, 0x1a } }, 64 };
	if (!p->bits)
		return NULL;
	if (addr_is_loopback(&p->ip) || addr_is_link_local(&p->ip) || addr_is_multicast(&p->ip))
		return "no network that a peer can carry";
	bool mesh = addr_is_mesh(&p->ip) && p->bits >= (addr_is_v4(&p->ip) ? 10 : 48);
	return mesh && !(prefix_contains(&via, &p->ip) && p->bits >= via.bits)
		       ? "inside the range of the mesh's own addresses"
		       : NULL;
}

uint64_t addr_hash(const struct addr *a, uint64_t seed)
{
	return hash_bytes(a->b, sizeof(a->b), seed, ~seed);
}

uint64_t endpoint_hash(const struct endpoint *e, uint64_t seed)
{
	uint8_t b[20];
	memcpy(b, e->ip.b, 16);
	be_put(b + 16, 2, e->port);
	be_put(b + 18, 2, e->scope);
	return hash_bytes(b, sizeof(b), seed, ~seed);
}
