/* Packets for the tests of this room. */
#ifndef SIMNET_USER_TEST_PACKETS_H
#define SIMNET_USER_TEST_PACKETS_H

#include "simnet/fabric/user/eth.h"

struct packet {
	uint8_t b[ETH_IP_MAX];
	size_t len;
	struct ip_view v;
};
struct endpoint at(const char *text); /* "10.0.0.2:1000", "[2001:db8::1]:1000"; packets are of that family */
/* Of n bytes of payload, whose first four are `first`. */
struct packet udp(const char *from, const char *to, size_t n, uint32_t first);
struct packet tcp(const char *from, const char *to, uint8_t flags);
struct packet echo(const char *from, const char *to, uint16_t id, bool request);
/* An ICMP error of this type and code about p, from somebody on its way. */
struct packet error_about(const struct packet *p, const char *from, uint8_t type, uint8_t code);
void look(struct packet *p); /* its bytes have changed */
/* Every checksum in it is right: of IP, of the transport, and of what an ICMP error carries. */
bool is_sound(const struct packet *p);
void expect_ends(const struct packet *p, const char *from, const char *to);

#endif
