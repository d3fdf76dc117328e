/* Inside of questions on connections: pool.c (connections and who is on them), and what is said on one: tcp.c (also
 * over TLS), https.c, http.c. */
#ifndef RW_RESOLVER_POOL_H
#define RW_RESOLVER_POOL_H

#include "mesh/base/buf.h"
#include "mesh/base/wire.h"
#include "mesh/transport/stream.h"
#include "resolver/exchange/transport.h"

struct link;
struct link_question {
	struct question q;
	struct link *on; /* NULL: between two */
	struct link_question *next;
	uint64_t sent_ms;
	uint32_t wire_id; /* what the framing knows it by */
	uint16_t own_id;
	bool again; /* on its second connection */
	/* of https.c */
	bool over, dns, refused; /* its answer has ended; it is said to be DNS; it was not looked at */
	unsigned status;
	uint16_t out_at; /* so much of msg is out */
	struct buf body;
	uint16_t len;
	uint8_t msg[EXCHANGE_QUESTION_MAX];
};

/* How questions and answers stand on a connection. A code ends the connection. */
struct framing {
	const char *alpn; /* NULL: none */
	unsigned
		spread; /* so many connections to one upstream, before a question waits for another's answer */
	int (*open)(struct link *l);
	int (*ask)(struct link *l, struct link_question *t);
	/* May call link_answer and link_refuse; once they say that the link is gone, whatever it returns. */
	int (*received)(struct link *l, const uint8_t *p, size_t len);
	void (*give_up)(struct link *l, struct link_question *t); /* nobody wants its answer; may be NULL */
	void (*close)(struct link *l);				  /* frees l->state, which may be NULL */
};
extern const struct framing framing_length, framing_https, framing_http;

struct link {
	struct exchange *x;
	struct endpoint to;
	struct dns_secure secure; /* of all kinds but TCP */
	enum exchange_by kind;
	const struct framing *by;
	bool tls, opened, answered;
	bool stale; /* something asked on it was given up, or the network changed: no new question trusts it, and it
		       goes with its last */
	uint64_t serial, idle_ms, heard_ms; /* idle: since when; while there are questions: of no meaning */
	struct stream *stream;
	struct link_question *questions;
	unsigned n_questions;
	void *state; /* the framing's */
};
struct link_question *link_question_find(struct link *l, uint32_t wire_id); /* NULL: nobody's */
/* The whole answer (msg is changed) to t; it is not wanted any more then. false: the link is gone. */
bool link_answer(struct link *l, struct link_question *t, uint8_t *msg, size_t len);
bool link_refuse(struct link *l, struct link_question *t, int code);
/* It was not looked at here: once more on another link, which takes that this one is stale, else it fails. */
bool link_move(struct link *l, struct link_question *t, int code);

#endif
