/* The resolver behind sockets: UDP and TCP listeners, upstream sockets, one timer. ropewalk-resolver and the
 * node's daemon both use it. */
#ifndef RW_RESOLVER_LISTEN_H
#define RW_RESOLVER_LISTEN_H

#include "mesh/base/addr.h"
#include "mesh/base/err.h"
#include "mesh/base/key.h"
#include "mesh/os/loop.h"
#include "resolver/resolver.h"
#include "resolver/server_options.h"

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
/* resolver_network_changed; connections to upstreams begin anew. */
void resolver_server_network_changed(struct resolver_server *s);
/* resolver_upstream_doubted, now. */
void resolver_server_doubt(struct resolver_server *s, const struct addr *ip);
struct endpoint resolver_server_endpoint(const struct resolver_server *s, size_t i); /* as bound */

const struct resolver_server_stats *resolver_server_stats(const struct resolver_server *s);

#endif
