/* Public keys of a provider, and signatures by them: RFC 7517, 7518 3 and 6, 8037. Used inside mesh/oidc. */
#ifndef RW_OIDC_JWK_H
#define RW_OIDC_JWK_H

#include "mesh/oidc/id_token.h"

struct evp_pkey_st;

/* One that an ID token may be signed by. */
struct jwk_algorithm {
	const char *name, *kind, *curve; /* curve: NULL = none */
	const char *hash;		 /* of the signature, and of at_hash */
};
const struct jwk_algorithm *jwk_algorithm_named(const char *name); /* NULL: none of ours */

struct oidc_key {
	struct evp_pkey_st *pkey;
	char id[OIDC_TEXT_MAX + 1];	     /* "" = none */
	const struct jwk_algorithm *only;    /* NULL = any of its kind */
	const struct jwk_algorithm *of_kind; /* one of its kind */
};
enum { JWK_KEYS_MAX = 32 };
struct oidc_keys {
	struct oidc_key v[JWK_KEYS_MAX];
	size_t n;
};

bool jwk_fits(const struct oidc_key *k, const struct jwk_algorithm *a);
/* Over `len` bytes; sig as it stands in a token, decoded. */
bool jwk_verify(const struct oidc_key *k, const struct jwk_algorithm *a, const void *p, size_t len,
	const uint8_t *sig, size_t sig_len);
/* base64url without padding, strictly; false: it is none, or more than cap bytes. */
bool jwk_base64url(const char *text, size_t text_len, uint8_t *out, size_t cap, size_t *len);

#endif
