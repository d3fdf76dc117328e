/* What packets on the links say about a failure. Pure: captures and names in, sentences out. */
#ifndef SIMNET_WHY_H
#define SIMNET_WHY_H

#include "mesh/base/addr.h"
#include "mesh/base/buf.h"

struct why_packet {
	uint64_t at_ns; /* since 1970 */
	int link;	/* of the host that it was seen at: index in why_facts.hosts */
	struct endpoint src, dst;
	uint8_t proto, tcp_flags, icmp_type, icmp_code;
	bool refuses; /* a reset that answers a first packet, or an ICMP error */
	/* ICMP errors: the packet that could not go on. */
	struct endpoint cited_src, cited_dst;
	uint8_t cited_proto;
};
/* The packets of a capture (classic pcap, nanoseconds, Ethernet) at or after since_ns, oldest first, at most
 * cap; the count. What it cannot read, or holds only the beginning of, is left out. */
size_t why_read_capture(
	const uint8_t *p, size_t len, int link, uint64_t since_ns, struct why_packet *out, size_t cap);

struct why_host {
	const char *name;
	struct addr ip, ip6; /* unset: none */
	bool asks;	     /* the failed step is about what this one sends */
	bool in_mesh;	     /* its UDP is its tunnel's: silence there says nothing */
	bool has_firewall;   /* rules of its own */
	const char *state;   /* "is stopped by a signal", …; NULL = nothing to say */
};
struct why_facts {
	const struct why_host *hosts;
	size_t n_hosts;
	const struct why_packet *packets; /* of all links */
	size_t n_packets;
};
/* Appends a line for every conclusion, the surest first; the count. */
unsigned why_conclude(const struct why_facts *f, struct buf *out);

#endif
