#include "simnet/fabric/user/test/packets.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>

#include "mesh/base/wire.h"
#include <cmocka.h>
#include <string.h>

struct endpoint at(const char *text)
{
	struct endpoint e;
	if (!endpoint_parse_or(text, 0, &e))
		fail_msg("%s is no endpoint", text);
	return e;
}

void look(struct packet *p)
{
	if (!ip_parse(p->b, p->len, &p->v))
		fail_msg("not one well-formed packet");
}

static void finish(struct packet *p, const struct endpoint *from, const struct endpoint *to, uint8_t proto,
	size_t l4_len)
{
	uint8_t *l4 = p->b + 20;
	p->len = ip_write_header(p->b, &from->ip, &to->ip, proto, l4_len);
	if (proto == IP_TCP || proto == IP_UDP)
		be_put(l4 + (proto == IP_TCP ? 16 : 6), 2,
			ip_l4_checksum(&from->ip, &to->ip, proto, l4, l4_len));
	else
		be_put(l4 + 2, 2, ip_checksum(l4, l4_len, 0));
	look(p);
}

struct packet udp(const char *from, const char *to, size_t n, uint32_t first)
{
	struct packet p = { 0 };
	struct endpoint a = at(from), b = at(to);
	uint8_t *l4 = p.b + 20;
	be_put(l4, 2, a.port);
	be_put(l4 + 2, 2, b.port);
	be_put(l4 + 4, 2, 8 + n);
	if (n >= 4)
		be_put(l4 + 8, 4, first);
	finish(&p, &a, &b, IP_UDP, 8 + n);
	return p;
}

struct packet tcp(const char *from, const char *to, uint8_t flags)
{
	struct packet p = { 0 };
	struct endpoint a = at(from), b = at(to);
	uint8_t *l4 = p.b + 20;
	be_put(l4, 2, a.port);
	be_put(l4 + 2, 2, b.port);
	be_put(l4 + 4, 4, 1000);
	l4[12] = 5 << 4;
	l4[13] = flags;
	finish(&p, &a, &b, IP_TCP, 20);
	return p;
}

struct packet echo(const char *from, const char *to, uint16_t id, bool request)
{
	struct packet p = { 0 };
	struct endpoint a = at(from), b = at(to);
	p.b[20] = request ? 8 : 0;
	be_put(p.b + 24, 2, id);
	p.b[27] = 1; /* its number */
	finish(&p, &a, &b, IP_ICMP, 16);
	return p;
}

struct packet error_about(const struct packet *p, const char *from, uint8_t type, uint8_t code)
{
	struct packet e = { 0 };
	struct endpoint a = at(from), b = { .ip = p->v.src };
	size_t n = p->len < 28 ? p->len : 28;
	e.b[20] = type;
	e.b[21] = code;
	memcpy(e.b + 28, p->b, n);
	finish(&e, &a, &b, IP_ICMP, 8 + n);
	return e;
}

bool is_sound(const struct packet *p)
{
	const uint8_t *l4 = p->b + p->v.l4_at;
	size_t l4_len = p->v.total_len - (size_t)p->v.l4_at;
	uint8_t copy[ETH_IP_MAX];
	int sum = p->v.proto == IP_TCP ? 16 : p->v.proto == IP_UDP ? 6 : -1;
	if (ip_checksum(p->b, p->v.l4_at, 0) != 0)
		return false;
	if (p->v.proto == IP_ICMP)
		return ip_checksum(l4, l4_len, 0) == 0;
	memcpy(copy, l4, l4_len);
	if (sum >= 0)
		be_put(copy + sum, 2, 0);
	return sum < 0 ||
	       ip_l4_checksum(&p->v.src, &p->v.dst, p->v.proto, copy, l4_len) == be_get(l4 + sum, 2);
}

void expect_ends(const struct packet *p, const char *from, const char *to)
{
	char text[ENDPOINT_TEXT];
	struct endpoint src = { .ip = p->v.src, .port = p->v.sport },
			dst = { .ip = p->v.dst, .port = p->v.dport };
	assert_string_equal(endpoint_format(&src, text), from);
	assert_string_equal(endpoint_format(&dst, text), to);
}
