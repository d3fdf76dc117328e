/* What the relay's own files share. */
#ifndef RW_RELAY_INNER_H
#define RW_RELAY_INNER_H

#include "mesh/base/buf.h"
#include "mesh/base/table.h"
#include "mesh/proto/derp_queue.h"
#include "mesh/relay/places.h"
#include "mesh/relay/relay.h"
#include "mesh/transport/http.h"

struct stun_server;
struct client;
struct visit;

struct relay {
	struct loop *loop;
	struct relay_options options;
	const struct random *rnd;
	uint8_t priv[KEY_LEN], pub[KEY_LEN];
	char pin[80];
	struct tls *tls;
	int fd;
	struct acceptor *acceptor;
	struct endpoint at;
	struct stun_server *stun[RELAY_STUN_MAX];
	struct table clients;		    /* node key -> the client that was active last */
	struct client *all;		    /* every connection that speaks DERP */
	struct visit *visits, **visits_end; /* the oldest first */
	size_t n_visits, visits_max;
	uint64_t visit_ms, handshake_ms;
	struct loop_timer *overdue; /* the oldest visit has had all its time */
	struct places places;	    /* of visits and clients */
	uint64_t write_ms;
	struct client *dirty; /* those with frames to write at the end of this read */
	struct relay_stats stats;
};

/* client.c */
/* Takes the stream of an upgrade request over, and the visit until the client has shown its key. */
void client_start(struct relay *r, struct http_server_conn *conn, struct visit *visit, bool fast);
/* There is no room: it is told so, and its connection ends. */
void client_turn_away(struct http_server_conn *conn);
void client_close(struct client *c);
int client_fd(const struct client *c); /* until it is closed */
/* When it waits with this key for a verdict. */
void client_admit(struct client *c, const struct node_key *who, bool allow);

/* visit.c */
struct visit {
	struct relay *r;
	struct http_server_conn *conn;
	struct client *client; /* after the upgrade, instead */
	struct place *place;   /* goes to the client with the key */
	struct visit *next, **at;
	uint64_t since_ms;
	bool asked; /* something was, or it is known why nothing will be */
};

/* NULL: no place for one more from there, or memory is short. */
struct visit *visit_new(struct relay *r, const struct endpoint *from);
void visits_overdue(void *relay);
void visit_upgraded(struct visit *v, struct client *c); /* NULL is fine, here and below */
void visit_end(struct visit *v);
void visit_drop(struct visit *v);
void visit_gone(void *relay, struct http_server_conn *c);
bool visits_are_crowded(const struct relay *r);

/* stun_server.c */
struct stun_server *stun_server_open(
	struct loop *l, const struct endpoint *at, struct relay_stats *stats, struct errbuf *eb);
void stun_server_close(struct stun_server *s);
struct endpoint stun_server_at(const struct stun_server *s);

#endif
