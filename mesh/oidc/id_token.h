/* ID tokens: who a provider says has logged in, and whether it is the provider that says so, to us, about this login.
 * OpenID Connect Core 1.0, 3.1.3.7 and 3.1.3.6; RFC 7515, 7517, 7518; RFC 8725 for what goes wrong. */
#ifndef RW_OIDC_ID_TOKEN_H
#define RW_OIDC_ID_TOKEN_H

#include "mesh/oidc/documents.h"

/* A provider's public keys (JWKS). */
struct oidc_keys;
/* NULL with a sentence; oidc_keys_free. Keys of kinds that sign nothing here (encryption, other curves, RSA below 2048
 * bits) are passed over; a set without one that is good is refused. */
struct oidc_keys *oidc_keys_read(const char *text, size_t len, struct errbuf *eb);
void oidc_keys_free(struct oidc_keys *k); /* NULL is fine */
size_t oidc_keys_count(const struct oidc_keys *k);

/* What the token must say; all borrowed. */
struct oidc_expected {
	const char *issuer, *client, *nonce;
	const char *access_token; /* "" = none came with it */
	const char *groups_claim;
	int64_t now_ms; /* Unix */
};
enum oidc_verdict {
	OIDC_GOOD,
	OIDC_NO_KEY, /* signed by a key that is not in the set: it may have been changed, read it anew */
	OIDC_BAD
};
/* GOOD: *out is who it is. Otherwise *out is as it was, and eb has the sentence. */
enum oidc_verdict oidc_token_check(struct arena *a, const char *token, const struct oidc_keys *keys,
	const struct oidc_expected *want, struct oidc_claims *out, struct errbuf *eb);

#endif
