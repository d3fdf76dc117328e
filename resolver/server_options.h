/* What a resolver behind sockets is given, and what it counts; listen.h has the rest. */
#ifndef RW_RESOLVER_SERVER_OPTIONS_H
#define RW_RESOLVER_SERVER_OPTIONS_H

#include "mesh/base/addr.h"
#include "mesh/base/key.h"

struct resolver_server_options {
	const struct endpoint
		*at; /* each gets UDP and TCP; port 0 lets the kernel choose (the same for both) */
	size_t n;    /* 1 to RESOLVER_LISTEN_MAX */
	const struct random *rnd; /* NULL = random_system */
	/* On every upstream socket before it connects: a mark, a device. Not 0: the upstream counts as
	 * failed. */
	int (*upstream_socket)(void *arg, int fd, const struct endpoint *to);
	/* On every listener, bound already. A negative code: the server does not open. NULL is fine. */
	int (*listen_socket)(void *arg, int fd);
	/* Which lists of the block set hold for who asks from there, as resolver_ops. NULL: all. */
	uint32_t (*lists)(void *arg, const struct addr *from);
	/* May who asks from there have the names of our domains, as resolver_ops? NULL: every one may. */
	bool (*may_have)(void *arg, const struct addr *from);
	/* May who asks from there ask as much as he likes (resolver_server_rate)? NULL: nobody may. */
	bool (*unlimited)(void *arg, const struct addr *from);
	void *arg;
	uint32_t tcp_message_ms, tcp_idle_ms; /* of TCP clients: 0 = 10 s for a question to come in whole, 30
					       * s between questions */
};
enum { RESOLVER_LISTEN_MAX = 8 };

/* clang-format off */
#define RESOLVER_SERVER_STATS(X)                                                                           \
	X(not_allowed) X(rate_limited) X(udp_full) X(udp_waiting) X(udp_oversize) X(udp_unsent) X(tcp_accepted)           \
	X(tcp_evicted) X(tcp_full) X(tcp_garbage) X(tcp_timeout) X(tcp_paused)
/* clang-format on */
struct resolver_server_stats {
#define X(name) uint64_t name;
	RESOLVER_SERVER_STATS(X)
#undef X
};

#endif
