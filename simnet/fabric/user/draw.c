#include "simnet/fabric/user/draw.h"

#include "mesh/base/table.h"
#include <assert.h>
#include <string.h>

enum { MILLION = 1000000 };
static_assert(sizeof(struct draw_flow) == 40, "a flow is hashed as its bytes");

struct draw_key draw_key_of(uint64_t seed, const char *name, const char *part)
{
	struct draw_key k;
	k.k[0] = hash_bytes(name, strlen(name), seed, 0x73696d6e6574ULL);
	k.k[1] = hash_bytes(part, strlen(part), seed, k.k[0]);
	return k;
}

struct draw_flow draw_flow_of(const struct ip_view *v)
{
	return (struct draw_flow) {
		.proto = v->proto, .sport = v->sport, .dport = v->dport, .src = v->src, .dst = v->dst
	};
}

uint64_t draw_hash(const struct draw_key *k, const void *what, size_t len)
{
	return hash_bytes(what, len, k->k[0], k->k[1]);
}

uint64_t draw(const struct draw_key *k, uint64_t what, uint64_t n, enum draw_purpose purpose)
{
	const uint64_t about[] = { what, n, (uint64_t)purpose };
	return hash_bytes(about, sizeof(about), k->k[0], k->k[1]);
}

uint64_t draw_below(
	const struct draw_key *k, uint64_t what, uint64_t n, enum draw_purpose purpose, uint64_t below)
{
	return draw(k, what, n, purpose) % below;
}

bool draw_chance(const struct draw_key *k, uint64_t what, uint64_t n, enum draw_purpose purpose, uint32_t ppm)
{
	return ppm && draw_below(k, what, n, purpose, MILLION) < ppm;
}
