/* What packets on the links say about a failure, and what is surest of all that is known. Pure: captures and names in,
 * sentences out. */
#ifndef SIMNET_WHY_H
#define SIMNET_WHY_H

#include "mesh/base/addr.h"
#include "mesh/base/err.h"
#include <stdarg.h>

/* ---- what is known, in order of how sure it is that it made the step fail */
enum why_rank {
	WHY_DIED,    /* a program that the step needs has ended or failed */
	WHY_IDLE,    /* one does not run: stopped, killed, never started */
	WHY_ORACLE,  /* the network cannot do what the file expects */
	WHY_ROUTE,   /* there is no way to send */
	WHY_DROP,    /* packets of the step died at a named rule */
	WHY_REFUSED, /* somebody said no */
	WHY_CLOCK,   /* the clock of one that the step is about is far off */
	WHY_NEAR,    /* packets of one end of the step died at a named rule */
	WHY_SILENT,  /* nobody said anything */
	WHY_ASIDE,   /* what is not about the step as far as one can see, but may be */
};
enum { WHY_LINES = 32, WHY_TEXT = 480, WHY_SLOW = 96 };
struct why_lines {
	struct why_line {
		enum why_rank rank;
		char text[WHY_TEXT];
	} list[WHY_LINES];
	size_t n;
};
/* After all of the same rank. What does not fit, or was said before, is left out. */
void why_add(struct why_lines *all, enum why_rank rank, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- packets */
struct why_packet {
	uint64_t at_ns; /* since 1970 */
	uint32_t frame; /* its number in the capture; 0 = not known */
	int link;	/* of the host that it was seen at: index in why_facts.hosts */
	char side;	/* of a router's link: 'w' its WAN, 'l' its LAN; of a host 0 */
	uint32_t body;	/* the same wherever the packet was seen (frame.h) */
	struct endpoint src, dst;
	uint8_t proto, tcp_flags, icmp_type, icmp_code;
	bool refuses;	/* a reset that answers a first packet, or an ICMP error */
	bool too_large; /* and that: it does not fit on the next link */
	/* ARP (RFC 826), neighbour discovery (RFC 4861): who has cited_dst.ip? Or that somebody has. */
	bool asks_who, tells_who;
	/* ICMP errors: the packet that could not go on. */
	struct endpoint cited_src, cited_dst;
	uint8_t cited_proto;
};
struct why_host {
	const char *name;
	struct addr ip, ip6, lan; /* unset: none; lan: of a router, inside */
	bool asks;		  /* the failed step is about what this one sends */
	bool in_mesh;		  /* its UDP is its tunnel's: silence there says nothing */
	bool has_firewall;	  /* rules of its own */
	bool is_router;
	char slow
		[WHY_SLOW]; /* "the link of home takes 10.0 s", where it may be that what is missing comes later */
	const char *state;   /* "is stopped by a signal", …; NULL = nothing to say */
	uint16_t asked_port; /* that it was refused at first, and asked about */
	uint16_t local_port; /* the same, where a program listens on 127.0.0.1 alone; 0 = none does */
};
/* The packets of a capture (pcapng) at or after since_ns on links of hosts or their routers, at most per_link of each link (the
 * first of them) and cap of all; the count. What is neither IP nor ARP is left out. */
size_t why_read_capture(const uint8_t *p, size_t len, uint64_t since_ns, const struct why_host *hosts,
	size_t n_hosts, size_t per_link, struct why_packet *out, size_t cap);

struct why_facts {
	const struct why_host *hosts;
	size_t n_hosts;
	const struct why_packet *packets; /* of all links */
	size_t n_packets;
	uint64_t end_ns; /* when the step failed, since 1970; 0 = not known */
};
/* Adds a line for every conclusion; the count. */
unsigned why_conclude(const struct why_facts *f, struct why_lines *out);
/* " (frames 13, 17, …)" of the packets of a flow that were seen at that router or host; "" = none. Returns buf. */
const char *why_frames(const struct why_facts *f, const char *where, const struct endpoint *src,
	const struct endpoint *dst, uint8_t proto, char *buf, size_t cap);

#endif
