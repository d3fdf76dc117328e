/* IP addresses, endpoints and prefixes. IPv4 is held v4-mapped (::ffff:a.b.c.d), as disco carries it. */
#ifndef RW_BASE_ADDR_H
#define RW_BASE_ADDR_H

#include <endian.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct addr {
	uint8_t b[16];
};
struct endpoint {
	struct addr ip;
	uint16_t port;	/* host order; 0 = none */
	uint16_t scope; /* a link-local IPv6 address alone: index of the interface it is on; 0 = none */
};
struct prefix {
	struct addr ip; /* masked by prefix_parse when asked; see there */
	uint8_t bits;	/* 0..32 for v4, 0..128 for v6, in the family's own count */
};

enum { ADDR_TEXT = 46, ENDPOINT_TEXT = 72, PREFIX_TEXT = 52 }; /* buffer sizes for the formatters */

extern const struct addr addr_any6; /* :: */
/* What a node's own resolver has on the mesh interface: 100.100.100.100 and fd7a:115c:a1e0::53. */
extern const struct addr addr_service_v4, addr_service_v6;

/* Inline: packets ask these several times each. */
static inline struct addr addr_v4_bytes(const uint8_t b[static 4])
{
	struct addr a = { { [10] = 0xff, [11] = 0xff } };
	memcpy(a.b + 12, b, 4);
	return a;
}
static inline struct addr addr_v4(uint32_t host_order)
{
	uint32_t four = htobe32(host_order);
	struct addr a = { { [10] = 0xff, [11] = 0xff } };
	memcpy(a.b + 12, &four, sizeof(four));
	return a;
}
static inline struct addr addr_v6_bytes(const uint8_t b[static 16])
{
	struct addr a;
	memcpy(a.b, b, sizeof(a.b));
	return a;
}
static inline bool addr_is_v4(const struct addr *a)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	return memcmp(a->b, mapped, sizeof(mapped)) == 0;
}
static inline bool addr_equal(const struct addr *a, const struct addr *b)
{
	uint64_t x[2], y[2];
	memcpy(x, a->b, sizeof(x));
	memcpy(y, b->b, sizeof(y));
	return x[0] == y[0] && x[1] == y[1];
}
uint32_t addr_v4_get(const struct addr *a);	/* host order; a must be v4 */
bool addr_is_unspecified(const struct addr *a); /* 0.0.0.0 or :: */
bool addr_is_loopback(const struct addr *a);
bool addr_is_link_local(const struct addr *a);
bool addr_is_multicast(const struct addr *a);
bool addr_is_private(const struct addr *a); /* RFC 1918 or ULA fc00::/7 */
bool addr_is_cgnat(const struct addr *a);   /* 100.64.0.0/10 */
/* Of a place and not of the internet: private, of a carrier's NAT, of a link or this machine, or unspecified. */
bool addr_is_inside(const struct addr *a);
enum { ADDR_MESH = 2 };
extern const struct prefix
	addr_mesh[ADDR_MESH];		    /* the ranges of every mesh: 100.64.0.0/10, fd7a:115c:a1e0::/48 */
bool addr_is_mesh(const struct addr *a);    /* in one of them */
bool addr_is_service(const struct addr *a); /* addr_service_v4 or addr_service_v6 */
/* Text form without zone or port; false (out untouched) when it is not one. */
bool addr_parse(const char *text, struct addr *out);
/* Into buf[ADDR_TEXT]; returns buf. */
char *addr_format(const struct addr *a, char *buf);

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
bool endpoint_is_set(const struct endpoint *e);
/* "1.2.3.4:5", "[2001:db8::1]:5" and "[fe80::1%eth0]:5"; the interface, by name or number, must be there. */
bool endpoint_parse(const char *text, struct endpoint *out);
/* The same, or an address alone, which gets this port. */
bool endpoint_parse_or(const char *text, uint16_t port, struct endpoint *out);
char *endpoint_format(const struct endpoint *e, char *buf);
/* The same without brackets and port: "fe80::1%eth0". */
char *endpoint_format_ip(const struct endpoint *e, char *buf);
/* false for families other than AF_INET and AF_INET6; v4-mapped v6 becomes v4. */
bool endpoint_from_sockaddr(const struct sockaddr *sa, struct endpoint *out);
/* want6: also write v4 as v4-mapped AF_INET6 (for dual-stack sockets). Returns the length. */
socklen_t endpoint_to_sockaddr(const struct endpoint *e, bool want6, struct sockaddr_storage *out);

/* "10.0.0.0/8"; a bare address gets full length. Host bits are kept; prefix_mask clears them. */
bool prefix_parse(const char *text, struct prefix *out);
char *prefix_format(const struct prefix *p, char *buf);
struct prefix prefix_of(const struct addr *a); /* full length */
void prefix_mask(struct prefix *p);
bool prefix_contains(const struct prefix *p, const struct addr *a); /* families must agree */
bool prefix_overlaps(const struct prefix *a, const struct prefix *b);
bool prefix_equal(const struct prefix *a, const struct prefix *b);
/* Why p, host bits cleared, may not be a network behind a node of the mesh, as words after "it is"; NULL: it may. What
 * covers more than the mesh is fine, since single addresses win, and so are exits and 4via6. */
const char *prefix_route_fault(const struct prefix *p);
uint64_t addr_hash(const struct addr *a, uint64_t seed);
uint64_t endpoint_hash(const struct endpoint *e, uint64_t seed);

#endif
