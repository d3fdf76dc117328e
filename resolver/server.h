/* Inside of the resolver's sockets: listen.c (UDP, the whole), udp_in.c and udp_out.c (UDP read, and sent), stream.c (TCP clients), secure_clients.c (those by TLS and
 * HTTPS), allow.c (who may ask). Those to upstreams are in resolver/exchange. */
#ifndef RW_RESOLVER_SERVER_H
#define RW_RESOLVER_SERVER_H

#include "mesh/base/err.h"
#include "mesh/os/loop.h"
#include "resolver/exchange/exchange.h"
#include "resolver/journal.h"
#include "resolver/message.h"
#include "resolver/rate.h"
#include "resolver/resolver.h"
#include "resolver/server_options.h"
#include <sys/socket.h>

enum {
	UDP_BATCH = 32,
	UDP_IN = 2048,
	UDP_CONTROL = 40,
	UDP_PEERS = 4096 + UDP_BATCH,
	UDP_WAITS_MAX = 1024, /* of one client */
	UDP_WAIT_COUNTS = 4096,
	BATCHES_PER_WAKEUP = 8,
	PORT_TRIES = 32,
	STREAMS_MAX = 256,
	STREAMS_PER_CLIENT = 32,
	TCP_MESSAGE_MS = 10000,
	STREAM_BIT = 1 << 30, /* of the low half of a client handle: by TCP, TLS or HTTPS */
	SECURE_BIT = 1 << 29, /* by TLS or HTTPS */
};

struct udp_peer {		  /* where the answer of a parked question goes */
	struct sockaddr_in6 from; /* or a sockaddr_in in its place */
	socklen_t from_len;
	uint32_t generation;
	uint16_t count; /* which of `waits` it is in */
	uint8_t listener;
	uint8_t control_len; /* packet info of the question, so that the answer comes from where it was asked
			      */
	_Alignas(8) uint8_t control[UDP_CONTROL];
};
struct udp_listener {
	struct resolver_server *server;
	int fd;
	struct loop_fd *watch;
	struct endpoint at;
	bool wildcard;
	unsigned alone; /* wake-ups in a row that brought one datagram */
};
struct tcp_listener {
	struct resolver_server *server;
	int fd;
	struct acceptor *acceptor;
};
struct udp_in { /* one question that is read */
	struct iovec io;
	struct sockaddr_in6 from; /* or a sockaddr_in in its place */
	_Alignas(8) uint8_t control[64];
	uint8_t msg[UDP_IN];
};
struct udp_out { /* one reply waiting for sendmmsg */
	uint32_t peer;
	uint16_t len;
	uint8_t msg[DNS_UDP_SIZE];
};
struct tcp_client;
enum { INNER_WORD = KEY_LEN };
struct resolver_server {
	struct loop *loop;
	struct resolver *core;
	struct resolver_server_options options;
	struct resolver_server_stats stats;
	struct loop_timer *timer;
	uint64_t timer_ms; /* what it is set to; UINT64_MAX = off */
	size_t n;
	struct udp_listener udp[RESOLVER_LISTEN_MAX + 1];
	struct tcp_listener tcp[RESOLVER_LISTEN_MAX + 1];
	size_t inner; /* the number of one, plus 1, at which what validates asks; 0: there is none */
	char inner_word[INNER_WORD +
			1]; /* in each question that is asked there: anybody of this machine finds the port */
	struct prefix *allow; /* owned; NULL: everybody */
	size_t n_allow;
	/* UDP */
	uint32_t *free_peers, n_free_peers;
	uint64_t waits_seed[2];
	struct {
		struct addr from;
		uint16_t count;
	} waits_last;			 /* whose questions were counted last, and where */
	uint16_t waits[UDP_WAIT_COUNTS]; /* questions without an answer yet, by the hash of whose they are */
	struct udp_peer *peers;
	size_t n_out;
	struct udp_out out[UDP_BATCH];
	struct udp_in in[UDP_BATCH];	      /* what is read into; ready for */
	struct mmsghdr in_headers[UDP_BATCH]; /* the next read, */
	bool one_by_one;		      /* answers: they cannot be cut here */
	bool in_control;		      /* with room for packet info or without */
	/* TCP clients */
	struct tcp_client *streams[STREAMS_MAX];
	uint32_t stream_generation;
	uint64_t stream_uses;
	bool streams_dirty;
	struct secure_clients *secure; /* by TLS and HTTPS; NULL: none */
	bool secure_dirty;
	struct exchange *exchange; /* with upstreams */
	struct journal *journal;   /* NULL: off */
	struct rate *rate;	   /* NULL: clients may ask as much as they like */
	uint32_t rate_per_s;
};

/* What the owner does to listeners (options.listen_socket), of the i-th place: to all but the inner one. */
int server_listens(const struct resolver_server *s, size_t i, int fd, struct errbuf *eb);
/* May this address ask? Counts those that may not. */
bool server_allows(struct resolver_server *s, const struct addr *from);
/* One question of it: is it within its rate? */
bool server_takes(struct resolver_server *s, const struct addr *from, uint64_t now_ms);
/* resolver_query, unless the client has asked too much, or asks where it has no business: then it is told so. */
bool server_query(struct resolver_server *s, uint64_t now_ms, uint64_t client, const struct addr *from,
	const uint8_t *msg, size_t len);
/* After every call into the core: what its ops left to do. */
void server_settle(struct resolver_server *s);

/* udp_in.c: into in_headers. How many there are now, at most UDP_BATCH; negative: none. Each is made ready for the next
 * read when it is done with. */
int udp_in_read(struct udp_listener *l);
void udp_in_ready(struct resolver_server *s, size_t i);
void udp_in_all_ready(struct resolver_server *s, bool control);

/* udp_out.c: sends what is in `out`; whose place it has is given back. */
void udp_out_flush(struct resolver_server *s);
void udp_peer_give_back(struct resolver_server *s, uint32_t number);

int streams_open(struct resolver_server *s, size_t i, struct errbuf *eb);
void stream_listener_close(struct tcp_listener *l);
void streams_close(struct resolver_server *s);
bool stream_from(struct resolver_server *s, uint64_t client, struct addr *out); /* false: it is gone */
bool stream_is_inner(const struct resolver_server *s, uint64_t client);
void stream_reply(struct resolver_server *s, uint64_t client, const uint8_t *msg, size_t len);
void streams_flush(struct resolver_server *s);

/* secure_clients.c; of handles with SECURE_BIT */
void secure_close(struct resolver_server *s);					/* the core is gone already */
bool secure_from(struct resolver_server *s, uint64_t client, struct addr *out); /* false: it is gone */
void secure_reply(struct resolver_server *s, uint64_t client, const uint8_t *msg, size_t len);
void secure_flush(struct resolver_server *s);

#endif
