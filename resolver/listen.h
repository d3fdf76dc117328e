/* The resolver behind sockets: UDP and TCP listeners, upstream sockets, one timer. ropewalk-resolver and the
 * node's daemon both use it. */
#ifndef RW_RESOLVER_LISTEN_H
#define RW_RESOLVER_LISTEN_H

#include "mesh/base/addr.h"
#include "mesh/base/err.h"
#include "mesh/base/key.h"
#include "mesh/os/loop.h"
#include "resolver/resolver.h"

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
	void *arg;
	uint32_t tcp_message_ms, tcp_idle_ms; /* of TCP clients: 0 = 10 s for a question to come in whole, 30
					       * s between questions */
};
enum { RESOLVER_LISTEN_MAX = 8 };

struct resolver_server;
/* NULL with a sentence: port in use, no permission, no such address. The resolver is unconfigured: it answers
 * special names and SERVFAIL. */
struct resolver_server *resolver_server_open(
	struct loop *l, const struct resolver_server_options *o, struct errbuf *eb);
void resolver_server_close(struct resolver_server *s); /* NULL is fine */
/* For resolver_zone_set, resolver_stats; belongs to the server. */
struct resolver *resolver_server_core(struct resolver_server *s);
/* resolver_configure with `own` set to the listeners. */
int resolver_server_configure(struct resolver_server *s, const struct resolver_config *c, struct errbuf *eb);
/* Who may ask, copied; others get REFUSED by UDP and no connection by TCP. Until it is called everybody may.
 * -ENOMEM: as it was. */
int resolver_server_allow(struct resolver_server *s, const struct prefix *allow, size_t n, struct errbuf *eb);
/* resolver_upstream_doubted, now. */
void resolver_server_doubt(struct resolver_server *s, const struct addr *ip);
struct endpoint resolver_server_endpoint(const struct resolver_server *s, size_t i); /* as bound */

#define RESOLVER_SERVER_STATS(X) \
	X(not_allowed) \
	X(udp_full) \
	X(udp_oversize) X(udp_unsent) X(tcp_accepted) X(tcp_evicted) X(tcp_full) X(tcp_garbage) X(tcp_timeout)
struct resolver_server_stats {
#define X(name) uint64_t name;
	RESOLVER_SERVER_STATS(X)
#undef X
};
const struct resolver_server_stats *resolver_server_stats(const struct resolver_server *s);

#endif
