/* Inside of the resolver's sockets: listen.c (UDP, the whole), stream.c (TCP clients). Those to upstreams are
 * in resolver/exchange. */
#ifndef RW_RESOLVER_SERVER_H
#define RW_RESOLVER_SERVER_H

#include "mesh/base/err.h"
#include "mesh/os/loop.h"
#include "resolver/exchange/exchange.h"
#include "resolver/message.h"
#include "resolver/resolver.h"
#include "resolver/server_options.h"
#include <sys/socket.h>

enum {
	UDP_BATCH = 32,
	UDP_IN = 2048,
	UDP_PEERS = 4096 + UDP_BATCH,
	BATCHES_PER_WAKEUP = 8,
	PORT_TRIES = 32,
	STREAMS_MAX = 256,
	STREAMS_PER_CLIENT = 32,
	TCP_MESSAGE_MS = 10000,
	STREAM_BIT = 1 << 30, /* of the low half of a client handle */
};

struct udp_peer {		  /* where the answer of a parked question goes */
	struct sockaddr_in6 from; /* or a sockaddr_in in its place */
	socklen_t from_len;
	uint32_t generation;
	uint8_t listener;
	uint8_t control_len; /* packet info of the question, so that the answer comes from where it was asked
			      */
	_Alignas(8) uint8_t control[40];
};
struct udp_listener {
	struct resolver_server *server;
	int fd;
	struct loop_fd *watch;
	struct endpoint at;
	bool wildcard;
};
struct tcp_listener {
	struct resolver_server *server;
	int fd;
	struct loop_fd *watch;
};
struct udp_out { /* one reply waiting for sendmmsg */
	uint32_t peer;
	uint16_t len;
	uint8_t msg[DNS_UDP_SIZE];
};
struct tcp_client;
struct resolver_server {
	struct loop *loop;
	struct resolver *core;
	struct resolver_server_options options;
	struct resolver_server_stats stats;
	struct loop_timer *timer;
	uint64_t timer_ms; /* what it is set to; UINT64_MAX = off */
	size_t n;
	struct udp_listener udp[RESOLVER_LISTEN_MAX];
	struct tcp_listener tcp[RESOLVER_LISTEN_MAX];
	struct prefix *allow; /* owned; NULL: everybody */
	size_t n_allow;
	/* UDP */
	uint32_t *free_peers, n_free_peers;
	struct udp_peer *peers;
	size_t n_out;
	struct udp_out out[UDP_BATCH];
	uint8_t in[UDP_BATCH][UDP_IN];
	/* TCP clients */
	struct tcp_client *streams[STREAMS_MAX];
	uint32_t stream_generation;
	uint64_t stream_uses;
	bool streams_dirty;
	struct exchange *exchange; /* with upstreams */
};

/* May this address ask? Counts those that may not. */
bool server_allows(struct resolver_server *s, const struct addr *from);
/* After every call into the core: what its ops left to do. */
void server_settle(struct resolver_server *s);

int streams_open(struct resolver_server *s, size_t i, struct errbuf *eb);
void streams_close(struct resolver_server *s);
void stream_reply(struct resolver_server *s, uint64_t client, const uint8_t *msg, size_t len);
void streams_flush(struct resolver_server *s);

#endif
