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

static size_t head_of(const struct endpoint *e)
{
	return addr_is_v4(&e->ip) ? 20 : 40;
}

/* Of who sends from there. */
static uint8_t icmp_proto(const struct endpoint *from)
{
	return addr_is_v4(&from->ip) ? IP_ICMP : IP_ICMP6;
}

/* Where a transport has its checksum. */
static size_t sum_at(uint8_t proto)
{
	return proto == IP_TCP ? 16 : proto == IP_UDP ? 6 : 2;
}

static void finish(struct packet *p, const struct endpoint *from, const struct endpoint *to, uint8_t proto,
	size_t l4_len)
{
	uint8_t *l4 = p->b + head_of(from);
	p->len = ip_write_header(p->b, &from->ip, &to->ip, proto, l4_len);
	be_put(l4 + sum_at(proto), 2,
		proto == IP_ICMP ? ip_checksum(l4, l4_len, 0)
				 : ip_l4_checksum(&from->ip, &to->ip, proto, l4, l4_len));
	look(p);
}

struct packet udp(const char *from, const char *to, size_t n, uint32_t first)
{
	struct packet p = { 0 };
	struct endpoint a = at(from), b = at(to);
	uint8_t *l4 = p.b + head_of(&a);
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
	uint8_t *l4 = p.b + head_of(&a);
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
	uint8_t *l4 = p.b + head_of(&a);
	l4[0] = addr_is_v4(&a.ip) ? (request ? 8 : 0) : (request ? 128 : 129);
	be_put(l4 + 4, 2, id);
	l4[7] = 1; /* its number */
	finish(&p, &a, &b, icmp_proto(&a), 16);
	return p;
}

struct packet error_about(const struct packet *p, const char *from, uint8_t type, uint8_t code)
{
	struct packet e = { 0 };
	struct endpoint a = at(from), b = { .ip = p->v.src };
	size_t most = head_of(&a) + 8, n = p->len < most ? p->len : most;
	uint8_t *l4 = e.b + head_of(&a);
	l4[0] = type;
	l4[1] = code;
	memcpy(l4 + 8, p->b, n);
	finish(&e, &a, &b, icmp_proto(&a), 8 + n);
	return e;
}

bool is_sound(const struct packet *p)
{
	const uint8_t *l4 = p->b + p->v.l4_at;
	size_t l4_len = p->v.total_len - (size_t)p->v.l4_at;
	uint8_t copy[ETH_IP_MAX];
	bool has_sum = p->v.proto == IP_TCP || p->v.proto == IP_UDP || p->v.proto == IP_ICMP6;
	if (p->v.version == 4 && ip_checksum(p->b, p->v.l4_at, 0) != 0)
		return false;
	if (p->v.proto == IP_ICMP)
		return ip_checksum(l4, l4_len, 0) == 0;
	memcpy(copy, l4, l4_len);
	if (has_sum)
		be_put(copy + sum_at(p->v.proto), 2, 0);
	return !has_sum || ip_l4_checksum(&p->v.src, &p->v.dst, p->v.proto, copy, l4_len) ==
				   be_get(l4 + sum_at(p->v.proto), 2);
}

void expect_ends(const struct packet *p, const char *from, const char *to)
{
	char text[ENDPOINT_TEXT];
	struct endpoint src = { .ip = p->v.src, .port = p->v.sport },
			dst = { .ip = p->v.dst, .port = p->v.dport };
	assert_string_equal(endpoint_format(&src, text), from);
	assert_string_equal(endpoint_format(&dst, text), to);
}
