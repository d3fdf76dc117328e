/* Inside of clients by TLS and by HTTPS: secure_clients.c (connections, questions, what is said inside TLS),
 * https_clients.c (HTTP/2). */
#ifndef RW_RESOLVER_SECURE_CLIENTS_H
#define RW_RESOLVER_SECURE_CLIENTS_H

#include "mesh/base/buf.h"
#include "mesh/transport/stream.h"
#include "resolver/server.h"

enum {
	SECURE_MESSAGE_IN = 4096, /* a question is never longer */
	SECURE_PENDING = 100,	  /* questions of one connection */
	SECURE_OUT = 512 << 10,	  /* of answers that it does not read */
};

struct secure_client;
struct secure_request { /* a question, from its beginning until its answer is out */
	struct secure_client *on;
	struct secure_request *next; /* of the connection's, or of those that are free */
	uint32_t generation;
	uint64_t begun_ms; /* by the loop; 0: all of it has come */
	bool asked;	   /* the core has it */
	/* of https_clients.c */
	int32_t stream;
	enum { HTTP_OTHER, HTTP_GET, HTTP_POST } method;
	bool path, media, long_body, posted;
	struct buf body; /* what comes, then what goes */
	size_t out_at, held;
};

/* How questions and answers stand on a connection. A code ends it. */
struct secure_framing {
	int (*open)(struct secure_client *c);
	int (*received)(struct secure_client *c, const uint8_t *p, size_t len);
	/* There are two bytes of room in front of msg. */
	int (*reply)(struct secure_client *c, struct secure_request *q, uint8_t *msg, size_t len);
	int (*flush)(struct secure_client *c);	/* after replies; may be NULL */
	void (*close)(struct secure_client *c); /* frees c->state, which may be NULL */
};
extern const struct secure_framing secure_framing_tls, secure_framing_https;

struct secure_client {
	struct resolver_server *server;
	const struct secure_framing *by;
	struct stream *stream;
	struct loop_timer *timer;
	struct endpoint from;
	unsigned slot, n_requests;
	uint64_t used; /* in the order of last whole questions */
	bool broken, dirty, paused;
	struct secure_request *requests;
	void *state;
};

/* One more on the connection; NULL: there is no place for it. */
struct secure_request *secure_request_new(struct secure_client *c);
void secure_request_free(struct secure_request *q); /* the core has it no more */
/* Asks the core. The reply may come meanwhile, and q be gone. false: none will come; q is still there. */
bool secure_request_ask(struct secure_request *q, const uint8_t *msg, size_t len);
/* Whoever asked it does not want to know any more. */
void secure_request_drop(struct secure_request *q);
/* Keeps an answer in its body until it is out. Where too much waits, whoever has the most of it ends. false: that is who
 * asked it, or memory is short. */
bool secure_request_hold(struct secure_request *q, const uint8_t *msg, size_t len);
/* A question has begun to come: it has tcp_message_ms, and no more by others that begin. */
void secure_client_waits(struct secure_client *c);

#endif
