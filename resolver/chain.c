#include "resolver/chain.h"

#include "mesh/base/buf.h"

static bool owner_is(const struct cache_item *item, const struct dns_rr *rr, const struct dns_name *name)
{
	return dns_name_is_at(item->msg, item->len, rr->name_at, name);
}

/* The CNAME of a name in the answer section, into *to. Sets *complete when the name has the type itself. */
static bool link_find(const struct cache_item *item, uint16_t type, const struct dns_name *name,
	struct dns_name *to, bool *complete)
{
	size_t at = dns_name_skip(item->msg, item->len, DNS_HEADER) + 4, next;
	struct dns_rr rr, cname = { 0 };
	for (unsigned n = (unsigned)be_get(item->msg + 6, 2);
		n && dns_rr_next(item->msg, item->len, &at, &rr); n--) {
		if (!owner_is(item, &rr, name))
			continue;
		*complete = *complete || rr.type == type || type == DNS_ANY;
		if (rr.type == DNS_CNAME)
			cname = rr;
	}
	return !*complete && cname.type && dns_name_expand(item->msg, item->len, cname.rdata_at, to, &next);
}

void chain_walk(const struct resolver *r, const struct cache_item *item, uint16_t type, struct chain *c)
{
	struct zone_hit hit BUF_UNSET;
	size_t next;
	c->n = 0;
	c->inward = c->complete = false;
	if (!dns_name_expand(item->msg, item->len, DNS_HEADER, &c->names[0], &next))
		return;
	while (c->n <= ANSWER_CHAIN_MAX &&
		link_find(item, type, &c->names[c->n], &c->names[c->n + 1], &c->complete)) {
		dns_name_fold(&c->names[++c->n]);
		c->inward = query_zone_speaks(r, &c->names[c->n], &hit);
		if (c->inward)
			return;
	}
}

bool chain_is_before_the_end(const struct cache_item *item, const struct dns_rr *rr, const struct chain *c)
{
	for (unsigned i = 0; i < c->n; i++)
		if (owner_is(item, rr, &c->names[i]))
			return true;
	return false;
}
