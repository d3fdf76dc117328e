#include "resolver/block.h"
#include "resolver/zone_soa.h"

enum { TTL_S = 10 };

static void address_write(
	struct dns_writer *d, const struct dns_query *q, const struct addr *ip, uint32_t ttl_s)
{
	dns_write_mark(d, DNS_ANSWER);
	size_t at = dns_write_rr(d, &q->name, q->type, ttl_s);
	if (q->type == DNS_A)
		wr_bytes(&d->w, ip->b + 12, 4);
	else
		wr_bytes(&d->w, ip->b, 16);
	dns_write_rr_end(d, at);
	(void)dns_write_keep(d);
}

void block_answer_write(
	struct dns_writer *d, const struct dns_query *q, const struct block_answer *how, struct dns_end *end)
{
	static const struct addr null = { { 0 } };
	const struct addr *ip = q->type == DNS_A ? &how->v4 : &how->v6;
	bool wanted = q->type == DNS_A || q->type == DNS_AAAA;
	end->ede = EDE_BLOCKED;
	end->rcode = how->kind == BLOCK_ANSWER_NXDOMAIN	 ? DNS_NXDOMAIN
		     : how->kind == BLOCK_ANSWER_REFUSED ? DNS_REFUSED
							 : DNS_NOERROR;
	if (how->kind == BLOCK_ANSWER_REFUSED)
		return;
	if (how->kind == BLOCK_ANSWER_NULL)
		ip = &null;
	wanted = wanted && (how->kind == BLOCK_ANSWER_NULL ||
				   (how->kind == BLOCK_ANSWER_ADDRESS && !addr_is_unspecified(ip)));
	if (wanted) {
		address_write(d, q, ip, how->ttl_s ? how->ttl_s : TTL_S);
		return;
	}
	dns_write_mark(d, DNS_AUTHORITY);
	zone_soa_write(d, &q->name);
	(void)dns_write_keep(d);
}
