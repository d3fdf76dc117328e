/* HTTP proxies that lead out of a network (CONNECT, RFC 9110 9.3.6), as the environment names them: HTTPS_PROXY,
 * HTTP_PROXY, NO_PROXY, read as Go's net/http does, since that is what users of this kind of program know.
 */
#ifndef RW_TRANSPORT_PROXY_H
#define RW_TRANSPORT_PROXY_H

#include "mesh/transport/http.h"

enum { PROXY_USER_MAX = 512, PROXY_AUTH_MAX = (PROXY_USER_MAX + 2) / 3 * 4 + 1, PROXY_TEXT = 280 };

struct proxy {
	const char *variable; /* static: where it was said */
	char host[256];	      /* "" = there is none */
	uint16_t port;
	char auth[PROXY_AUTH_MAX]; /* base64 of USER:PASSWORD; "" = without. A secret. */
};
struct proxies {
	struct proxy secure, plain; /* for TLS, for what is not */
	char *none;		    /* NO_PROXY; may be NULL */
	char fault[320]; /* a sentence without secrets: a variable that cannot be used; "" = none */
};

/* By the values of the variables; NULL and "" = not set. A value that cannot be used stands for no proxy, and is told
 * in `fault`. NULL: memory is short. */
struct proxies *proxies_new(const char *https_proxy, const char *http_proxy, const char *no_proxy);
/* The same of this process; HTTPS_PROXY goes before https_proxy. */
struct proxies *proxies_of_environment(void);
/* And the log says what is reached by them, as "server and relays", and which variable cannot be used. */
struct proxies *proxies_found(const char *what);
void proxies_free(struct proxies *p); /* wiped; NULL is fine */
/* By which one host:port is reached; NULL: directly. Loopback is always reached directly. p may be NULL. */
const struct proxy *proxies_for(const struct proxies *p, bool secure, const char *host, uint16_t port);
/* Whether NO_PROXY (a list by commas of *, names, which stand for all below them too, .names for those alone,
 * addresses, networks; all but networks with a port, if wanted) has host:port. */
bool proxy_is_skipped(const char *no_proxy, const char *host, uint16_t port);
enum { PROXIES_TEXT = 2 * PROXY_TEXT + 32 };
/* "HTTPS_PROXY=HOST:PORT, HTTP_PROXY=HOST:PORT", of those there are, without secrets. p may be NULL. */
const char *proxies_text(const struct proxies *p, char buf[static PROXIES_TEXT]);
/* "HOST:PORT", for people. */
const char *proxy_text(const struct proxy *p, char buf[static PROXY_TEXT]);

#endif
