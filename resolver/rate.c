#include "resolver/rate.h"

#include "mesh/base/table.h"
#include <stdlib.h>
#include <string.h>

enum { WAYS = 4, NET6_LEN = 8, QUESTION = 1000 /* in thousandths */ };

struct place {
	uint64_t client; /* hash; 0: free */
	uint64_t at_ms;	 /* when `left` was true */
	uint64_t left;	 /* thousandths of questions */
};
struct rate {
	uint64_t seed[2];
	uint64_t per_s;
	struct place places[RATE_CLIENTS];
};

struct rate *rate_new(uint32_t per_s, const uint64_t seed[2])
{
	struct rate *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	memcpy(r->seed, seed, sizeof(r->seed));
	r->per_s = per_s;
	return r;
}

void rate_free(struct rate *r)
{
	free(r);
}

/* The client's, or that of who has been quiet the longest of those that share it. */
static struct place *place_find(struct rate *r, const struct addr *client)
{
	size_t len = addr_is_v4(client) ? sizeof(client->b) : NET6_LEN;
	uint64_t hash = hash_bytes(client->b, len, r->seed[0], r->seed[1]) | 1;
	struct place *set = &r->places[(hash >> 1) % (RATE_CLIENTS / WAYS) * WAYS], *oldest = set;
	for (struct place *p = set; p < set + WAYS; p++) {
		if (p->client == hash)
			return p;
		if (p->at_ms < oldest->at_ms)
			oldest = p;
	}
	*oldest = (struct place) { .client = hash, .left = r->per_s * RATE_BURST_S * QUESTION };
	return oldest;
}

bool rate_take(struct rate *r, const struct addr *client, uint64_t now_ms)
{
	struct place *p = place_find(r, client);
	uint64_t most = r->per_s * RATE_BURST_S * QUESTION, past_ms = now_ms - p->at_ms;
	/* a place that is new was never looked at, and is full */
	if (past_ms >= RATE_BURST_S * 1000 || p->left + past_ms * r->per_s > most)
		p->left = most;
	else
		p->left += past_ms * r->per_s;
	p->at_ms = now_ms;
	if (p->left < QUESTION)
		return false;
	p->left -= QUESTION;
	return true;
}
