#include "resolver/dns64.h"

#include "resolver/answer.h"
#include <string.h>

enum { TTL_UNKNOWN_S = 600, NIBBLES = 32 };

/* Calls of it go over the records of an answer, then over those of its authority. */
struct records {
	const struct cache_item *item;
	size_t at;
	unsigned left[2]; /* answer, authority */
	bool authority;	  /* the last one was of it */
};

static struct records records_of(const struct cache_item *item)
{
	return (struct records) { .item = item,
		.at = dns_name_skip(item->msg, item->len, DNS_HEADER) + 4,
		.left = { (unsigned)be_get(item->msg + 6, 2), (unsigned)be_get(item->msg + 8, 2) } };
}

static bool records_next(struct records *r, struct dns_rr *rr)
{
	r->authority = !r->left[0];
	if (!r->left[r->authority])
		return false;
	r->left[r->authority]--;
	return dns_rr_next(r->item->msg, r->item->len, &r->at, rr);
}

uint32_t dns64_ttl(const struct cache_item *item)
{
	struct records r = records_of(item);
	uint32_t ttl_s = TTL_UNKNOWN_S;
	for (struct dns_rr rr; records_next(&r, &rr);)
		if (r.authority && rr.type == DNS_SOA)
			ttl_s = cache_item_ttl(item, rr.ttl_s);
	return ttl_s ? ttl_s : 1;
}

/* IPv4 in disguise is what this program holds IPv4 as. */
static bool is_mapped(const struct cache_item *item, const struct dns_rr *rr)
{
	struct addr ip = addr_v6_bytes(item->msg + rr->rdata_at);
	return addr_is_v4(&ip);
}

bool dns64_only_mapped(const struct cache_item *item)
{
	struct records r = records_of(item);
	unsigned mapped = 0, other = 0;
	for (struct dns_rr rr; records_next(&r, &rr);)
		if (!r.authority && rr.type == DNS_AAAA) {
			mapped += is_mapped(item, &rr);
			other += !is_mapped(item, &rr);
		}
	return mapped && !other;
}

/* Signatures and proofs are of what is not said here. */
static bool is_left_out(const struct records *r, const struct dns_rr *rr)
{
	return r->authority ? rr->type != DNS_SOA
			    : rr->type == DNS_RRSIG || (rr->type == DNS_AAAA && is_mapped(r->item, rr));
}

static bool may_embed(const struct nat64 *n, const struct addr *v4)
{
	bool known = n->bits == nat64_well_known.bits && addr_equal(&n->prefix, &nat64_well_known.prefix);
	return !known || !addr_is_inside(v4);
}

static bool aaaa_write(struct dns_writer *d, const struct cache_item *item, const struct dns_rr *rr,
	const struct addr *at, uint32_t ttl_s)
{
	struct dns_name owner;
	size_t next;
	if (!dns_name_expand(item->msg, item->len, rr->name_at, &owner, &next))
		return false;
	size_t begun = dns_write_rr(d, &owner, DNS_AAAA, ttl_s);
	wr_bytes(&d->w, at->b, sizeof(at->b));
	dns_write_rr_end(d, begun);
	return true;
}

static bool addresses_write(struct dns_writer *d, const struct cache_item *item, const struct dns_rr *rr,
	const struct nat64_set *of, uint32_t ttl_s)
{
	struct addr v4 = addr_v4_bytes(item->msg + rr->rdata_at);
	bool ok = true;
	for (size_t i = 0; ok && i < of->n; i++) {
		struct addr at = nat64_embed(&of->v[i], &v4);
		ok = !may_embed(&of->v[i], &v4) || aaaa_write(d, item, rr, &at, ttl_s);
	}
	return ok;
}

static bool record_write(struct dns_writer *d, const struct records *r, const struct dns_rr *rr,
	const struct nat64_set *of, uint32_t most_s)
{
	const struct cache_item *item = r->item;
	uint32_t ttl_s = cache_item_ttl(item, rr->ttl_s);
	bool as_is = r->authority || rr->type != DNS_A;
	dns_write_mark(d, r->authority ? DNS_AUTHORITY : DNS_ANSWER);
	bool ok = as_is ? dns_rr_copy(d, item->msg, item->len, rr, ttl_s)
			: addresses_write(d, item, rr, of, ttl_s < most_s ? ttl_s : most_s);
	return ok && dns_write_keep(d);
}

size_t dns64_write(uint8_t *buf, const struct cache_item *item, const struct nat64_set *of, uint32_t ttl_s)
{
	struct dns_query q = { .id = answer_ede(item), .rd = true, .tcp = true, .size = DNS_MESSAGE_MAX };
	struct records r = records_of(item);
	struct dns_writer d;
	q.question_len = (uint16_t)(r.at - DNS_HEADER);
	if (q.question_len > sizeof(q.question))
		return 0;
	q.name.len = (uint8_t)(q.question_len - 4);
	memcpy(q.name.b, item->msg + DNS_HEADER, q.name.len);
	memcpy(q.question, item->msg + DNS_HEADER, q.question_len);
	dns_write_begin(&d, buf, DNS_MESSAGE_MAX, &q);
	for (struct dns_rr rr; records_next(&r, &rr);)
		if (!is_left_out(&r, &rr) && !record_write(&d, &r, &rr, of, ttl_s))
			return 0;
	size_t len = dns_write_end(&d, &q, &(struct dns_end) { .rcode = item->msg[3] & 15, .ede = EDE_NONE });
	buf[2] |= item->msg[2] & DNS_TC >> 8;
	return len;
}

static int nibble(uint8_t c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool dns64_reverse(const struct nat64_set *of, const struct dns_name *name, struct dns_name *to)
{
	static const uint8_t zone[] = "\3ip6\4arpa"; /* with the root */
	struct addr v4;
	uint8_t b[16] = { 0 };
	if (!of->n || name->len != 2 * NIBBLES + sizeof(zone) ||
		memcmp(name->b + 2 * (size_t)NIBBLES, zone, sizeof(zone)) != 0)
		return false;
	for (size_t i = 0; i < NIBBLES; i++) {
		int v = name->b[2 * i] == 1 ? nibble(name->b[2 * i + 1]) : -1;
		if (v < 0)
			return false;
		b[15 - i / 2] |= (uint8_t)(v << 4 * (i & 1));
	}
	struct addr v6 = addr_v6_bytes(b);
	for (size_t i = 0; i < of->n; i++)
		if (nat64_extract(&of->v[i], &v6, &v4)) {
			dns_name_reverse(&v4, to);
			return true;
		}
	return false;
}

void dns64_prefixes(const struct cache_item *item, struct nat64_set *out, uint32_t *ttl_s)
{
	struct records r = records_of(item);
	uint32_t lack_s = dns64_ttl(item);
	out->n = 0;
	*ttl_s = UINT32_MAX;
	for (struct dns_rr rr; records_next(&r, &rr);) {
		struct nat64 found = { .bits = 0 };
		uint32_t left_s = cache_item_ttl(item, rr.ttl_s);
		if (r.authority || rr.type != DNS_AAAA)
			continue;
		struct addr at = addr_v6_bytes(item->msg + rr.rdata_at);
		if (!nat64_find(&at, &found))
			continue;
		nat64_set_add(out, &found);
		*ttl_s = left_s < *ttl_s ? left_s : *ttl_s;
	}
	*ttl_s = out->n ? *ttl_s : lack_s;
}
