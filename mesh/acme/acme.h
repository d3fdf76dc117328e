/* A certificate from an authority by ACME (RFC 8555): one order for one host name.
 *
 * An order is a line of steps, each one request: directory, nonce, account, order, authorization, challenge,
 * authorization again until it is decided, the certificate request, the order again until it is issued, the
 * certificate. A step that fails ends the order; only a nonce that was used up is tried anew. The owner
 * decides when to order again. */
#ifndef RW_ACME_ACME_H
#define RW_ACME_ACME_H

#include "mesh/acme/jose.h"
#include "mesh/os/loop.h"

enum acme_challenge { ACME_HTTP_01, ACME_TLS_ALPN_01 };
enum { ACME_TOKEN_MAX = 128 };

struct proxies;
struct acme_options {		       /* borrowed until the end */
	const char *directory;	       /* URL, https */
	const char *email;	       /* "" = none */
	const char *host;	       /* a name, no address */
	const struct proxies *proxies; /* by which the authority is reached; NULL: directly */
	const struct jose_key *account;
	enum acme_challenge challenge;
};
struct acme_ops {
	/* The authority is about to look: under /.well-known/acme-challenge/TOKEN (HTTP-01) or by a TLS
	 * handshake. Both strings live as long as the order. No acme call is allowed from it. */
	bool (*prepare)(void *arg, const char *token, const char *key_authorization);
	/* Once, the last: 0 and PEM (chain, then the key; wiped after the call), or a code and a sentence.
	 * From it acme_free is allowed, and nothing else. */
	void (*done)(void *arg, int code, const char *pem, size_t len, const char *why);
	void *arg;
};

struct acme;
struct acme *acme_order(
	struct loop *l, const struct acme_options *o, const struct acme_ops *ops); /* NULL: memory is short */
void acme_free(struct acme *a); /* no op is called any more; NULL is fine */

#endif
