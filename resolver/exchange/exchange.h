/* Questions on their way to upstreams: an id, an address, a message out and messages back, by whatever
 * transport. The core (resolver.h) says which and when to stop; here are the sockets.
 *
 * A question is out from exchange_send until exchange_done or its failure is told. What is asked by UDP leaves, and what
 * fails at once is told, by exchange_settle, not within exchange_send: the owner calls it after each call into the core,
 * until all is settled, since who is told may ask again. */
#ifndef RW_RESOLVER_EXCHANGE_H
#define RW_RESOLVER_EXCHANGE_H

#include "mesh/base/dns_secure.h"
#include "mesh/base/err.h"
#include "mesh/base/key.h"
#include "mesh/os/loop.h"

enum exchange_by {
	EXCHANGE_UDP,
	EXCHANGE_TCP,
	EXCHANGE_TLS,
	EXCHANGE_HTTPS,
	EXCHANGE_HTTP,
	EXCHANGE_VALIDATED,
	EXCHANGE_KINDS
};
struct exchange_to {
	struct endpoint at; /* of no meaning where validate.h has it asked */
	enum exchange_by by;
	bool fresh;			 /* UDP: from a port that no other question has had */
	const struct dns_secure *secure; /* of TLS, HTTPS and HTTP (the path); copied */
};

enum { EXCHANGE_PORT_TAKES_MS = 100, EXCHANGE_PORT_QUESTIONS = 32 };

struct exchange_options {
	struct loop *loop;
	const struct random *rnd;
	/* On every socket before it connects: a mark, a device. Not 0: the question fails. NULL: none. */
	int (*socket)(
		void *arg, int fd, const struct endpoint *to); /* to: nothing, of a proxy that has a name */
	void *socket_arg;
	uint32_t port_takes_ms; /* for how long a port takes questions by UDP; 0: EXCHANGE_PORT_TAKES_MS */
	/* msg is valid during the call. code: a negative errno or enum err; the question is gone then. Both
	 * may call exchange_send and exchange_done. */
	void (*received)(void *arg, uint64_t id, const uint8_t *msg, size_t len);
	void (*failed)(void *arg, uint64_t id, int code);
	void (*woken)(void *arg); /* after a batch of either */
	void *arg;
};

struct exchange;
struct exchange *exchange_open(
	const struct exchange_options *o, struct errbuf *eb); /* NULL with a sentence */
void exchange_close(struct exchange *x);		      /* NULL is fine; tells nothing */
/* id: not out already. */
void exchange_send(
	struct exchange *x, uint64_t id, const struct exchange_to *to, const uint8_t *msg, size_t len);
void exchange_done(struct exchange *x, uint64_t id); /* of an id that is not out: nothing */
bool exchange_is_settled(const struct exchange *x);
/* Tells what has failed so far, each once; what fails of what is asked meanwhile is for the next call. Not from `failed`. */
void exchange_settle(struct exchange *x);
/* The network changed: connections that are kept for the next question may be dead without a word. */
void exchange_forget(struct exchange *x);
/* By which proxies those that are asked by HTTPS are reached, but for who is in the mesh; borrowed, NULL, which is so at
 * first: by none. */
struct proxies;
void exchange_proxies(struct exchange *x, const struct proxies *p);
/* Who signs for servers that are asked by TLS or HTTPS: those of a PEM file alone, NULL: whom the machine knows. It
 * holds for connections from now on; kept ones are closed. An error: as it was. */
int exchange_authorities(struct exchange *x, const char *ca_file, struct errbuf *eb);

#endif
