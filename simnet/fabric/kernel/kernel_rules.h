/* The text of one router's rules, shared by the files that write it. */
#ifndef SIMNET_KERNEL_RULES_H
#define SIMNET_KERNEL_RULES_H

#include "simnet/fabric/kernel/kernel.h"

/* Tries of a new mapping to find a free port. A window: numbers from 1 to WINDOW_PORTS stand for the ports
 * behind its first one. */
enum { PORT_TRIES = 8, WINDOW_PORTS = 4096, FALLBACK_FIRST = 61440, NAT_PROTOS = 2 };

/* What a mapping depends on: as the inside sees it, and for a connection that began outside. */
struct mapping_key {
	const char *types, *out, *in;
};
struct nat_proto {
	const char *word; /* "udp" */
	uint8_t number;
	struct nat_class class;
	const struct mapping_key *key;
	uint32_t new_s, s;   /* lifetimes of its mappings, and which flows have the longer one */
	const char *settled; /* "seen-reply" */
	bool is_flow;	     /* nat_model_is_conntrack */
};
struct nat { /* what the templates need to know of one router; out takes the text, bad sticks */
	const struct scenario *s;
	int router;
	const struct scn_router *r;
	const struct nat_model *m;
	struct nat_proto protos[NAT_PROTOS];
	char pool[NAT_POOL_MAX][ADDR_TEXT];	     /* pool[0] is the WAN's */
	char pool_set[NAT_POOL_MAX * ADDR_TEXT + 8]; /* "203.0.113.100" or "{ ..., ... }" */
	uint32_t seed, epoch;
	unsigned window; /* its first port */
	/* What names an external port in sets: as the inside began it, as the outside did, and in a packet
	 * from outside ("udp dport", with the protocol's word for %s). */
	const char *external_type, *external_out, *external_in, *external_packet;
	/* A router that accepts on its WAN, and one that overloads ports, leaves them to connection tracking,
	 * which moves a flow to another port when its own tuple is in the way. */
	bool roams;
	struct buf *out;
	bool bad;
};

void nat_put(struct nat *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A rule that drops what `match` selects and says why; nft wants prefix and comment below 128 bytes. */
void nat_put_drop(struct nat *n, const char *match, const char *why);
/* The same with another end: "reject with tcp reset". */
void nat_put_end(struct nat *n, const char *match, const char *why, const char *end);

/* kernel_ports.c: the maps and chains that give a flow its mapping's port: "choose_udp" towards the WAN,
 * "hairpin_udp" for what hairpins, and "shared" for other protocols. */
void nat_put_windows(struct nat *n);
void nat_put_choices(struct nat *n);

#endif
