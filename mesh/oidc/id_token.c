/* The order of the checks is: form and algorithm, signature, then what it says. Nothing of the payload is believed
 * before the signature is good.
 *
 * The algorithm is one of the list in jwk.c, whatever the header asks for: no "none", and no HS256, by which a public
 * key would be taken for a secret. A key is used with an algorithm of its own kind, so that the header chooses among what
 * is right and nothing else. */
#include "mesh/oidc/id_token.h"

#include "mesh/oidc/jwk.h"
#include "mesh/proto/json.h"
#include <errno.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { SKEW_S = 120, HASH_MAX = 64, SIGNATURE_MAX = 1024 };

/* --- form and signature --- */

/* A token in its parts: what is signed is header.payload. */
struct parts {
	const char *token;
	size_t header, payload, signature; /* lengths of the parts */
};

/* Three parts, each not empty, of the letters of base64url. */
static bool split(const char *token, struct parts *out)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t len[3], at = 0;
	if (strlen(token) > OIDC_TOKEN_MAX)
		return false;
	for (int i = 0; i < 3; i++) {
		len[i] = strspn(token + at, letters);
		at += len[i];
		if (!len[i] || token[at] != (i < 2 ? '.' : 0))
			return false;
		at++;
	}
	*out = (struct parts) { token, len[0], len[1], len[2] };
	return true;
}

/* A part that is JSON; what says which it is. */
static json_t *open_part(const char *text, size_t len, const char *what, struct errbuf *eb)
{
	uint8_t *bytes = malloc(len);
	size_t n = 0;
	json_t *object = NULL;
	if (!bytes)
		err_set(eb, -ENOMEM, "read an ID token");
	else if (!jwk_base64url(text, len, bytes, len, &n))
		err_say(eb, ERR_MALFORMED, "%s is not base64url", what);
	else
		object = oidc_json_open((const char *)bytes, n, what, eb);
	free(bytes);
	return object;
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

/* The algorithm of the header, or NULL with a sentence. */
static const struct jwk_algorithm *choose_algorithm(const json_t *header, struct errbuf *eb)
{
	const char *alg = text_of(header, "alg"), *type = text_of(header, "typ");
	const struct jwk_algorithm *a = jwk_algorithm_named(alg);
	if (!a)
		err_say(eb, ERR_UNSUPPORTED,
			"the ID token is signed by \"%.16s\": let the provider sign by RS256, PS256, ES256 "
			"or EdDSA",
			alg);
	else if (json_object_get(header, "crit") || json_object_get(header, "b64"))
		err_say(eb, ERR_UNSUPPORTED, "the ID token has critical members that nobody here knows");
	else if (*type && strcasecmp(type, "JWT") != 0)
		err_say(eb, ERR_MALFORMED, "it is a \"%.32s\", and no ID token", type);
	else
		return a;
	return NULL;
}

/* GOOD: by one of the keys that the header names, or, where it names none, by any that fits. */
static enum oidc_verdict check_signature(const struct parts *t, const struct oidc_keys *keys,
	const struct jwk_algorithm *a, const char *id, struct errbuf *eb)
{
	uint8_t sig[SIGNATURE_MAX];
	size_t sig_len = 0, tried = 0, signed_len = t->header + 1 + t->payload;
	if (!jwk_base64url(t->token + signed_len + 1, t->signature, sig, sizeof(sig), &sig_len)) {
		err_say(eb, ERR_MALFORMED, "the ID token's signature is not base64url, or too long");
		return OIDC_BAD;
	}
	for (size_t i = 0; i < keys->n; i++) {
		const struct oidc_key *k = &keys->v[i];
		if (!jwk_fits(k, a) || (*id && strcmp(k->id, id) != 0))
			continue;
		tried++;
		if (jwk_verify(k, a, t->token, signed_len, sig, sig_len))
			return OIDC_GOOD;
	}
	if (!tried || !*id) {
		err_say(eb, ERR_CRYPTO, "the ID token is signed by a key that the provider does not show");
		return OIDC_NO_KEY;
	}
	err_say(eb, ERR_CRYPTO, "the ID token's signature is not the provider's");
	return OIDC_BAD;
}

/* --- what it says --- */

static bool is_audience(const json_t *aud, const char *client, bool *others)
{
	const char *one = json_string_value(aud);
	bool found = one && !strcmp(one, client);
	*others = false;
	for (size_t i = 0; i < json_array_size(aud); i++) {
		const char *text = json_string_value(json_array_get(aud, i));
		if (!text)
			return false;
		if (!strcmp(text, client))
			found = true;
		else
			*others = true;
	}
	return found;
}

/* Seconds, as a whole number or not. */
static bool take_seconds(const json_t *object, const char *name, int64_t *out)
{
	const json_t *v = json_object_get(object, name);
	double d = json_number_value(v);
	if (!json_is_number(v) || !(d > 0 && d < 1e11))
		return false;
	*out = (int64_t)d;
	return true;
}

static bool same_secret(const char *a, const char *b)
{
	size_t len = strlen(b);
	return a && strlen(a) == len && sodium_memcmp(a, b, len) == 0;
}

/* at_hash: the left half of the hash that the signature's algorithm has. */
static bool is_of_access_token(const struct jwk_algorithm *a, const char *at_hash, const char *access_token)
{
	uint8_t hash[HASH_MAX];
	char text[2 * HASH_MAX];
	size_t len;
	if (!EVP_Q_digest(NULL, a->hash, NULL, access_token, strlen(access_token), hash, &len))
		return false;
	sodium_bin2base64(text, sizeof(text), hash, len / 2, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	return same_secret(at_hash, text);
}

static int check_times(const json_t *payload, int64_t now_ms, int64_t *expires_ms, struct errbuf *eb)
{
	int64_t exp, iat, nbf, now = now_ms / 1000;
	if (!take_seconds(payload, "exp", &exp) || !take_seconds(payload, "iat", &iat))
		return err_say(
			eb, ERR_MALFORMED, "the ID token does not say when it was made and when it ends");
	if (exp + SKEW_S <= now)
		return err_say(
			eb, ERR_REFUSED, "the ID token has expired: is the clock of this machine right?");
	if (iat - SKEW_S > now || (take_seconds(payload, "nbf", &nbf) && nbf - SKEW_S > now))
		return err_say(eb, ERR_REFUSED,
			"the ID token is of the future: is the clock of this machine right?");
	*expires_ms = exp * 1000;
	return 0;
}

static int check_payload(const json_t *payload, const struct jwk_algorithm *a,
	const struct oidc_expected *want, struct oidc_claims *c, struct errbuf *eb)
{
	bool others;
	const json_t *azp = json_object_get(payload, "azp");
	if (strcmp(text_of(payload, "iss"), want->issuer) != 0)
		return err_say(eb, ERR_CRYPTO, "the ID token is of another issuer");
	if (!is_audience(json_object_get(payload, "aud"), want->client, &others))
		return err_say(eb, ERR_CRYPTO, "the ID token is not for us (aud)");
	if (azp ? strcmp(text_of(payload, "azp"), want->client) != 0 : others)
		return err_say(eb, ERR_CRYPTO, "the ID token was given to somebody else (azp)");
	if (!same_secret(json_string_value(json_object_get(payload, "nonce")), want->nonce))
		return err_say(eb, ERR_CRYPTO, "the ID token is of another login (nonce)");
	const json_t *at_hash = json_object_get(payload, "at_hash");
	if (at_hash && *want->access_token &&
		!is_of_access_token(a, json_string_value(at_hash), want->access_token))
		return err_say(
			eb, ERR_CRYPTO, "the ID token came with the access token of another login (at_hash)");
	return check_times(payload, want->now_ms, &c->expires_ms, eb);
}

static enum oidc_verdict read_payload(struct arena *a, const struct parts *t, const struct jwk_algorithm *alg,
	const struct oidc_expected *want, struct oidc_claims *out, struct errbuf *eb)
{
	struct errbuf why = { 0 };
	struct oidc_claims c = { 0 };
	json_t *payload = open_part(t->token + t->header + 1, t->payload, "the ID token", eb);
	if (!payload)
		return OIDC_BAD;
	int err = check_payload(payload, alg, want, &c, eb);
	if (!err && (err = oidc_claims_take(a, payload, want->groups_claim, &c, &why)))
		err_say(eb, err, "the ID token: %s", why.text);
	json_decref(payload);
	if (err)
		return OIDC_BAD;
	c.issuer = arena_strdup(a, want->issuer);
	if (!c.issuer) {
		err_set(eb, -ENOMEM, "read an ID token");
		return OIDC_BAD;
	}
	*out = c;
	return OIDC_GOOD;
}

enum oidc_verdict oidc_token_check(struct arena *a, const char *token, const struct oidc_keys *keys,
	const struct oidc_expected *want, struct oidc_claims *out, struct errbuf *eb)
{
	struct parts t;
	enum oidc_verdict v = OIDC_BAD;
	if (!split(token, &t)) {
		err_say(eb, ERR_MALFORMED, "the ID token has not the form of one");
		return OIDC_BAD;
	}
	json_t *header = open_part(token, t.header, "the ID token's header", eb);
	const struct jwk_algorithm *alg = header ? choose_algorithm(header, eb) : NULL;
	if (alg)
		v = check_signature(&t, keys, alg, text_of(header, "kid"), eb);
	if (v == OIDC_GOOD)
		v = read_payload(a, &t, alg, want, out, eb);
	json_decref(header);
	return v;
}
