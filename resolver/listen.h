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
/* How many questions a second each client may ask (rate.h); what is more is REFUSED. 0: as
 * many as it likes. -ENOMEM: as it was. */
int resolver_server_rate(struct resolver_server *s, uint32_t per_s, struct errbuf *eb);
uint32_t resolver_server_rate_limit(const struct resolver_server *s); /* what was set */
/* exchange_authorities: who signs for upstreams by TLS and HTTPS. */
int resolver_server_authorities(struct resolver_server *s, const char *ca_file, struct errbuf *eb);
/* exchange_proxies: by which proxies upstreams by HTTPS are reached. */
struct proxies;
void resolver_server_proxies(struct resolver_server *s, const struct proxies *p);
/* Clients by TLS and by HTTPS (at /dns-query), as many listeners as RESOLVER_LISTEN_MAX of each. They are let in from the
 * first certificate on (resolver_server_certificate). */
int resolver_server_listen_secure(
	struct resolver_server *s, const struct endpoint *at, enum dns_secure_by by, struct errbuf *eb);
/* The same at a port of each address at which it answers in clear, but where it does already: to be called again when
 * something was in the way. The first error of them; the others listen. */
int resolver_server_listen_beside(
	struct resolver_server *s, uint16_t port, enum dns_secure_by by, struct errbuf *eb);
/* PEM files: the chain, the key. A new one holds for connections to come. An error: as it was. */
int resolver_server_certificate(
	struct resolver_server *s, const char *cert_file, const char *key_file, struct errbuf *eb);
/* The i-th of them, as bound; false: there are not so many. */
bool resolver_server_secure(
	const struct resolver_server *s, size_t i, struct endpoint *at, enum dns_secure_by *by);
/* resolver_network_changed; connections to upstreams begin anew. */
void resolver_server_network_changed(struct resolver_server *s);
/* resolver_upstream_doubted, now. */
void resolver_server_doubt(struct resolver_server *s, const struct addr *ip);
/* Routes that say `validate` (resolver.h) are validated from these anchors down, by libunbound, which asks back by a
 * listener of its own on loopback: for that one nothing is blocked, written down or validated, and whoever else asks there
 * gets REFUSED. insecure: names; they and what is below need not be signed. NULL: nothing is validated any more. An error
 * says what to do: all is as it was. Where nothing is validated such routes answer SERVFAIL. */
struct resolver_validation {
	const char *anchors; /* a file */
	const char *const *insecure;
	size_t n_insecure;
};
int resolver_server_validate(
	struct resolver_server *s, const struct resolver_validation *v, struct errbuf *eb);
struct endpoint resolver_server_endpoint(const struct resolver_server *s, size_t i); /* as bound */

/* Whether questions are written down (journal.h): off until it is turned on; off forgets them. -ENOMEM. */
struct journal;
int resolver_server_journal_set(struct resolver_server *s, bool on);
const struct journal *resolver_server_journal(const struct resolver_server *s); /* NULL: off */

const struct resolver_server_stats *resolver_server_stats(const struct resolver_server *s);

#endif
