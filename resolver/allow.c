/* Who may ask, and how often. */
#include "resolver/listen.h"
#include "resolver/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool server_allows(struct resolver_server *s, const struct addr *from)
{
	for (size_t i = 0; i < s->n_allow; i++)
		if (prefix_contains(&s->allow[i], from))
			return true;
	s->stats.not_allowed += s->allow != NULL;
	return !s->allow;
}

int resolver_server_allow(struct resolver_server *s, const struct prefix *allow, size_t n, struct errbuf *eb)
{
	struct prefix *copy = calloc(n + 1, sizeof(*copy));
	if (!copy)
		return err_say(eb, -ENOMEM, "out of memory for the networks that may ask");
	if (n)
		memcpy(copy, allow, n * sizeof(*copy));
	free(s->allow);
	s->allow = copy;
	s->n_allow = n;
	return 0;
}

int resolver_server_rate(struct resolver_server *s, uint32_t per_s, struct errbuf *eb)
{
	uint64_t seed[2];
	struct rate *rate = NULL;
	if (per_s == s->rate_per_s)
		return 0;
	s->options.rnd->fill(s->options.rnd->arg, seed, sizeof(seed));
	if (per_s && !(rate = rate_new(per_s, seed)))
		return err_say(eb, -ENOMEM, "out of memory for the rates of clients");
	rate_free(s->rate);
	s->rate = rate;
	s->rate_per_s = per_s;
	return 0;
}

uint32_t resolver_server_rate_limit(const struct resolver_server *s)
{
	return s->rate_per_s;
}

bool server_takes(struct resolver_server *s, const struct addr *from, uint64_t now_ms)
{
	bool counts = s->rate && !(s->options.unlimited && s->options.unlimited(s->options.arg, from));
	return !counts || rate_take(s->rate, from, now_ms);
}
