/* A socket at which HTTP/1.1 is spoken: one of the machine's own (a path) or of the network near. Connections are
 * bounded, of the network for one address too, and each asks one thing at a time. Who comes when all places are taken has that of
 * whoever has asked nothing for the longest. */
#ifndef RW_RESOLVER_ALONE_DOOR_H
#define RW_RESOLVER_ALONE_DOOR_H

#include "mesh/transport/http.h"

enum { DOOR_GUESTS_MAX = 64, DOOR_GUESTS_EACH = 16, DOOR_PATH_MAX = 256 };
struct door;
/* At the head of what an answer is made in. Who answers sets door_guest.waits to NULL first. */
struct door_waiting {
	void (*forget)(struct door_waiting *w); /* the guest has gone: there is nobody to answer */
};
struct door_guest {
	struct door *door;
	unsigned slot;
	uint64_t used; /* in the order of last requests */
	struct http_server_conn *conn;
	struct addr from;	    /* of the network; all zero: the machine's own socket */
	struct door_waiting *waits; /* for an answer that takes time; NULL: for nothing */
};
struct door_request {
	struct door_guest *guest;
	const struct http_head *head;
	const char *path;    /* decoded, without the query */
	const uint8_t *body; /* may be NULL where len is 0 */
	size_t len;
};
struct door_options {
	struct loop *loop;
	const char *unix_path;	   /* owner and root may connect; or NULL: */
	const struct endpoint *at; /* TCP */
	/* Answers now or later (door_say..., http_reply on guest->conn). Valid during the call. */
	void (*asked)(void *arg, const struct door_request *r);
	bool (*welcome)(void *arg, const struct addr *from); /* NULL: everybody */
	void *arg;
};
/* NULL with a sentence. */
struct door *door_open(const struct door_options *o, struct errbuf *eb);
void door_close(struct door *d);		     /* NULL is fine; those who wait are forgotten */
struct endpoint door_endpoint(const struct door *d); /* of TCP, as bound */

void door_say(struct door_guest *g, int status, const char *text); /* a line of text */
void door_say_json(struct door_guest *g, struct buf *b, bool ok);  /* frees b; not ok: memory was short */

#endif
