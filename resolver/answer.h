/* Answers of upstreams: strict reading into a clean message of our own, and that message made into a client's
 * reply. RFC 1035, 2181 5.2 and 8, 2308, 3597 (which types may hold compressed names), 8914. */
#ifndef RW_RESOLVER_ANSWER_H
#define RW_RESOLVER_ANSWER_H

#include "mesh/base/nat64.h"
#include "resolver/cache.h"
#include "resolver/message.h"
#include "resolver/record.h"

enum {
	ANSWER_RRS_MAX = 2048,
	ANSWER_CHAIN_MAX = 11,
	TTL_MAX_S = 86400,
	NEGATIVE_TTL_MAX_S = 3600,
	BARE_NEGATIVE_TTL_S = 5
};

/* Writes a record of another message into d, names in RDATA made whole or compressed anew. false: RDATA is
 * not what its type says; d then has half a record: give it back by dns_write_keep. */
bool dns_rr_copy(
	struct dns_writer *d, const uint8_t *msg, size_t len, const struct dns_rr *rr, uint32_t ttl_s);

struct answer {
	uint16_t rcode;	      /* extended */
	uint16_t ede;	      /* EDE_NONE = none */
	bool truncated;	      /* TC: ask again by TCP */
	bool no_question;     /* an error that echoed none: only its rcode may be used */
	bool complete;	      /* the chain ends in records of the type asked for */
	uint32_t ttl_s;	      /* how long it may be kept */
	struct dns_name last; /* the end of the CNAME chain; the name asked for when there is none */
	size_t len;	      /* of the clean message */
};
enum answer_read {
	ANSWER_OK,
	ANSWER_MISMATCH, /* not an answer to what was asked: keep waiting */
	ANSWER_MALFORMED,
	ANSWER_OTHER_CASE, /* mixed_case.c alone says this */
};
/* Scratch space, about 80 KiB: one per resolver. */
struct answer_work {
	struct dns_rr rrs[ANSWER_RRS_MAX];
	uint8_t keep[ANSWER_RRS_MAX];
	uint16_t n_answer, n_authority;
};
/* The clean message goes to buf[DNS_MESSAGE_MAX]: question in lower case, chain and negative proof only, no
 * OPT; the extended error code stands where the id was. trusted: AD may be believed. */
enum answer_read answer_read(struct answer_work *work, const uint8_t *msg, size_t len,
	const struct dns_ask *asked, bool trusted, struct answer *out, uint8_t *buf);

/* What is to be said with it: the upstream's reason, or that it is stale. */
uint16_t answer_ede(const struct cache_item *item);
/* As it is now, TTLs and reason included, into buf[item->len]. */
void answer_copy(uint8_t *buf, const struct cache_item *item);

/* Does a clean message have an address of a private network, of a link or of the machine itself, in a record or as
 * a hint of where a service is? An IPv6 address by which a translator (those given, and the well-known prefix) leads to such
 * a one is one. */
bool answer_has_private(const uint8_t *msg, size_t len, const struct nat64_set *translators);

/* Two clean messages as one: the chain of the first, and what the second says of its end.
 * buf[DNS_MESSAGE_MAX]. 0: too large. */
size_t answer_join(uint8_t *buf, const struct cache_item *before, const struct cache_item *item);

/* A clean message that only says an error. Returns its length. */
size_t answer_error_write(uint8_t *buf, const struct dns_ask *asked, uint16_t rcode, uint16_t ede);

/* What the client of q gets of a clean message for the same name: TTLs as they are now, cut to its size.
 * buf[cap], cap >= item->len + DNS_OPT_LEN. */
size_t answer_reply(uint8_t *buf, size_t cap, const struct dns_query *q, const struct cache_item *item);

#endif
