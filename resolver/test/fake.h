/* A resolver with a driver that only writes down what it was told. Time is a number. */
#ifndef RW_RESOLVER_TEST_FAKE_H
#define RW_RESOLVER_TEST_FAKE_H

#include "resolver/answer.h"
#include "resolver/resolver.h"

struct sent {
	uint64_t id;
	struct endpoint to;
	const struct dns_secure *secure;
	bool tcp, fresh, validated, done;
	size_t len;
	uint8_t msg[600];
};
struct fake {
	struct resolver *r;
	uint64_t now_ms;
	bool withhold;						/* names of our domains, from every client */
	uint32_t lists;						/* of every client */
	void (*told)(void *arg, const struct resolver_told *t); /* NULL: nobody listens */
	struct sent sent[8192];
	size_t n_sent;
	size_t n_replies;
	uint64_t client; /* of the last reply */
	size_t reply_len;
	uint8_t reply[DNS_MESSAGE_MAX];
};

/* Zone: bob.mesh (A, AAAA, PTR), two.mesh (2 A), alias.mesh -> bob, out.mesh -> www.out.net, loop.mesh ->
 * itself,
 * *.wild.mesh, _sip._tcp.mesh SRV; authorities mesh and 64.100.in-addr.arpa. Upstreams 192.0.2.1 .. n on the
 * default route, 192.0.2.11 on corp.test.net and on 1.64.100.in-addr.arpa; nothing on only.net. */
void fake_open(struct fake *f, unsigned n_upstreams);
void fake_close(struct fake *f);
struct endpoint fake_upstream(unsigned n);
/* A plain EDNS question. */
bool fake_ask(struct fake *f, uint64_t client, const char *name, uint16_t type);
size_t fake_question(uint8_t *buf, const char *name, uint16_t type, uint16_t flags);
/* Spaces are skipped. */
size_t fake_hex(const char *hex, uint8_t *buf, size_t cap);

/* An answer to what was sent as number i: header with flags and rcode, the question, then `records` in hex
 * (owner c00c is the question), counts an, ns, ar. */
struct fake_answer {
	unsigned flags, rcode, an, ns, ar;
	const char *records;
};
void fake_answer(struct fake *f, size_t i, const struct fake_answer *a);
size_t fake_answer_write(const struct fake *f, size_t i, const struct fake_answer *a, uint8_t *buf);
/* Is this how the question begins that was sent? The case of names does not count. */
bool fake_sent_is(const struct sent *s, const char *begin, size_t len);
/* To the given time, with every timer on the way. */
void fake_until(struct fake *f, uint64_t now_ms);
unsigned fake_rcode(const struct fake *f);
unsigned fake_count(const struct fake *f, unsigned section); /* 1 answer, 2 authority, 3 additional */

#define A_RECORD "c00c 0001 0001 0000003c 0004 c6336407"

#endif
