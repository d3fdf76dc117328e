#include "resolver/zone_answer.h"

#include "resolver/dns64.h"
#include "resolver/local_zone.h"
#include "resolver/zone_soa.h"

enum { TRANSLATED_TTL_S = 3600 };

void zone_answer_soa(struct dns_writer *d, const struct dns_name *apex)
{
	dns_write_mark(d, DNS_AUTHORITY);
	zone_soa_write(d, apex);
	(void)dns_write_keep(d);
}

static void set_write(struct resolver *r, struct dns_writer *d, const struct dns_name *owner,
	const struct zone_rr *const *set, uint32_t n)
{
	uint32_t from = n > 1 ? r->turn++ % n : 0; /* clients take the first: spread them */
	dns_write_mark(d, DNS_ANSWER);
	for (uint32_t i = 0; i < n; i++) {
		const struct zone_rr *rr = set[(from + i) % n];
		size_t at = dns_write_rr(d, owner, rr->type, r->mesh_ttl_s);
		wr_bytes(&d->w, rr->rdata, rr->len);
		dns_write_rr_end(d, at);
	}
	(void)dns_write_keep(d);
}

/* The apex of an authority has an SOA and an NS though nobody gave them; without them NXDOMAIN logic of
 * others kills every name below. */
static bool apex_write(struct dns_writer *d, const struct dns_name *apex, uint16_t type)
{
	if (type != DNS_SOA && type != DNS_NS)
		return false;
	dns_write_mark(d, DNS_ANSWER);
	if (type == DNS_SOA) {
		zone_soa_write(d, apex);
	} else {
		size_t at = dns_write_rr(d, apex, DNS_NS, ZONE_NEGATIVE_TTL_S);
		dns_write_name(d, apex, true);
		dns_write_rr_end(d, at);
	}
	(void)dns_write_keep(d);
	return true;
}

/* A route as long as the zone's own suffix, or longer, takes over the names that have no record here:
 * somebody configured it for just those. The default route is nobody's word on any name. */
static bool route_wins(const struct resolver *r, const struct dns_name *name, unsigned apex_labels)
{
	unsigned labels;
	int number = suffixes_longest(r->routes->index, name, &labels);
	if (number < 0 || !labels || labels < apex_labels)
		return false;
	return labels > apex_labels || r->routes->list[number].n;
}

static bool zone_speaks(
	const struct resolver *r, const struct dns_name *name, struct zone_hit *hit, enum resolver_word *word)
{
	const struct dns_name *suffix;
	*word = local_zones_word(r->routes->local_zones, name, &suffix);
	zone_find(r->zone, name, hit);
	if (*word != RESOLVER_WORD_NONE)
		return local_zone_speaks(*word, suffix, r->zone, hit);
	bool empty = hit->verdict == ZONE_NO_NAME || (!hit->n && !hit->is_apex && !hit->via6);
	return hit->verdict != ZONE_FOREIGN && !(empty && route_wins(r, name, hit->apex_labels));
}

bool query_zone_speaks(const struct resolver *r, const struct dns_name *name, struct zone_hit *hit)
{
	enum resolver_word word;
	return zone_speaks(r, name, hit, &word);
}

static void via6_write(
	struct resolver *r, struct dns_writer *d, const struct dns_name *owner, const struct addr *at)
{
	dns_write_mark(d, DNS_ANSWER);
	size_t rr = dns_write_rr(d, owner, DNS_AAAA, r->mesh_ttl_s);
	wr_bytes(&d->w, at->b, sizeof(at->b));
	dns_write_rr_end(d, rr);
	(void)dns_write_keep(d);
}

/* What a translator's address is called is what the IPv4 address in it is called. */
static bool translated_write(struct resolver *r, struct dns_writer *d, struct dns_name *name)
{
	struct dns_name to;
	if (!dns64_reverse(&r->dns64, name, &to))
		return false;
	dns_write_mark(d, DNS_ANSWER);
	size_t rr = dns_write_rr(d, name, DNS_CNAME, TRANSLATED_TTL_S);
	dns_write_name(d, &to, true);
	dns_write_rr_end(d, rr);
	(void)dns_write_keep(d);
	*name = to;
	return true;
}

/* Machines have names outside of our domains too: where those are not proxied, and those of other networks. */
static bool is_ours(const struct zone_hit *hit)
{
	bool ours = hit->owned;
	for (uint32_t i = 0; !ours && i < hit->n; i++)
		ours = hit->rrs[i]->hosts;
	return ours;
}

static bool is_withheld(const struct resolver *r, uint64_t client, const struct zone_hit *hit)
{
	return r->ops.may_have && is_ours(hit) && !r->ops.may_have(r->ops.arg, client);
}

/* hops: what everybody may have led there. */
static void withheld_say(struct dns_end *end, unsigned hops)
{
	end->rcode = hops ? DNS_NOERROR : DNS_REFUSED;
	end->ede = EDE_PROHIBITED;
	end->ede_text = "each machine of the mesh knows these names itself";
}

enum local zone_answer_write(struct resolver *r, struct dns_writer *d, const struct zone_asked *asked,
	struct dns_name *name, struct dns_end *end)
{
	uint16_t type = asked->type;
	enum resolver_word word;
	struct zone_hit *hit = &r->hit;
	uint32_t n;
	for (unsigned hops = 0; hops <= ANSWER_CHAIN_MAX; hops++) {
		if (type == DNS_PTR && translated_write(r, d, name))
			continue;
		if (!zone_speaks(r, name, hit, &word))
			return LOCAL_FOREIGN;
		if (is_withheld(r, asked->client, hit)) {
			withheld_say(end, hops);
			return LOCAL_WITHHELD;
		}
		if (local_zone_is_final(word)) {
			end->rcode = local_zone_write(d, name, type, word, r->mesh_ttl_s);
			return LOCAL_DONE;
		}
		if (hit->via6 && (type == DNS_AAAA || type == DNS_ANY)) {
			end->rcode = DNS_NOERROR;
			via6_write(r, d, name, &hit->via6_at);
			return LOCAL_DONE;
		}
		const struct zone_rr *const *set = zone_set(hit, type, &n);
		if (n) {
			end->rcode = DNS_NOERROR;
			set_write(r, d, name, set, n);
			return LOCAL_DONE;
		}
		set = zone_set(hit, DNS_CNAME, &n);
		size_t next;
		if (!n && word == RESOLVER_TYPETRANSPARENT)
			return LOCAL_FOREIGN;
		if (!n && word == RESOLVER_REFUSE) {
			end->rcode = DNS_REFUSED;
			return LOCAL_DONE;
		}
		if (!n) {
			end->rcode = hit->verdict == ZONE_NO_NAME ? DNS_NXDOMAIN : DNS_NOERROR;
			if (!hit->is_apex || !apex_write(d, &hit->apex, type))
				zone_answer_soa(d, &hit->apex);
			return LOCAL_DONE;
		}
		set_write(r, d, name, set, 1);
		if (!dns_name_expand(set[0]->rdata, set[0]->len, 0, name, &next))
			return LOCAL_LOOP;
		dns_name_fold(name);
	}
	return LOCAL_LOOP;
}
