/* Every choice of the userspace engine: a number that follows from the seed of the run, the name of the object that
 * chooses, what it is about (a flow), how often that has been chosen, and what for. Nothing else, so that two runs with
 * one seed choose alike whatever else is on the network. */
#ifndef SIMNET_USER_DRAW_H
#define SIMNET_USER_DRAW_H

#include "mesh/base/addr.h"
#include "mesh/base/ip.h"

struct draw_key { /* of one object */
	uint64_t k[2];
};
enum draw_purpose {
	DRAW_LOSS,
	DRAW_BURST_CHANGE,
	DRAW_BURST_LOSS,
	DRAW_CLASS_LOSS,
	DRAW_BIG_LOSS,
	DRAW_JITTER,
	DRAW_REORDER,
	DRAW_DUPLICATE,
	DRAW_CORRUPT,
	DRAW_CORRUPT_BIT,
	DRAW_PORT,
	DRAW_ADDRESS,
};

/* What a packet belongs to: protocol, addresses and ports, in the packet's direction. */
struct draw_flow {
	uint8_t proto, pad[3];
	uint16_t sport, dport;
	struct addr src, dst;
};

/* name and part: "home-a", "up". */
struct draw_key draw_key_of(uint64_t seed, const char *name, const char *part);
struct draw_flow draw_flow_of(const struct ip_view *v);
uint64_t draw_hash(const struct draw_key *k, const void *what, size_t len);
/* what: draw_hash of it; n: its number, from 1. Uniform over 64 bits. */
uint64_t draw(const struct draw_key *k, uint64_t what, uint64_t n, enum draw_purpose purpose);
/* true with a chance of ppm in a million. */
bool draw_chance(
	const struct draw_key *k, uint64_t what, uint64_t n, enum draw_purpose purpose, uint32_t ppm);
/* Uniform in 0 .. below - 1; below > 0. */
uint64_t draw_below(
	const struct draw_key *k, uint64_t what, uint64_t n, enum draw_purpose purpose, uint64_t below);

#endif
