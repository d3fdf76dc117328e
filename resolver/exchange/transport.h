/* What a transport is to exchange.c. Each keeps what belongs to it in a struct of its own that begins with a
 * struct question. */
#ifndef RW_RESOLVER_TRANSPORT_H
#define RW_RESOLVER_TRANSPORT_H

#include "mesh/base/table.h"
#include "resolver/exchange/exchange.h"

enum { EXCHANGE_MESSAGE_MAX = 65535, EXCHANGE_QUESTION_MAX = 512 };

struct question {
	struct exchange *x;
	const struct transport *by;
	uint64_t id;
};
struct transport {
	int (*open)(struct exchange *x, struct errbuf *eb);
	/* Out it goes, or a code: *out is untouched then. len <= EXCHANGE_QUESTION_MAX. */
	int (*send)(struct exchange *x, uint64_t id, const struct exchange_to *to, const uint8_t *msg,
		size_t len, struct question **out);
	void (*free)(struct question *q); /* it is not in the table any more */
	void (*forget)(struct exchange *x);
	void (*close)(struct exchange *x); /* no question is out */
	/* What is collected leaves; what fails of it is told by exchange_settle. NULL: nothing is collected. */
	void (*flush)(struct exchange *x);
};
extern const struct transport transport_udp, transport_pool, transport_validate;

struct failure {
	struct failure *next;
	uint64_t id;
	int code;
};
struct udp_sockets;
struct validator;
struct pool;
struct tls;
struct exchange {
	struct exchange_options o;
	struct table questions;
	size_t questions_max;
	struct failure *failures; /* to be told by the next exchange_settle */
	struct failure *telling;  /* what is left to tell of one that is under way */
	bool unsettled;		  /* since exchange_settle something was sent, or failed */
	struct udp_sockets *udp;
	struct pool *pool;
	struct validator *validator; /* validate.h; NULL: nothing is validated */
	const struct proxies *proxies;
	struct tls *tls; /* for servers that are spoken to in private; NULL: not needed yet */
	uint8_t big[2 + EXCHANGE_MESSAGE_MAX];
};

struct question *exchange_find(struct exchange *x, uint64_t id); /* NULL: it is not out (any more) */
void exchange_fail(struct exchange *x, uint64_t id, int code);
void exchange_fail_later(
	struct exchange *x, uint64_t id, int code); /* of one that is not out: told by exchange_settle */
/* A socket of this kind to there, connecting, with the owner's hook on it; or a code. */
int exchange_connect(struct exchange *x, const struct endpoint *to, int type);

#endif
