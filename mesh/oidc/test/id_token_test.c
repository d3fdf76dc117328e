/* Tokens that are right but for one thing, signed by keys made here. Each row is one of the ways in which others have
 * been fooled (RFC 8725, OpenID Connect Core 16). */
#include "mesh/oidc/id_token.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <sodium.h>
#include <cmocka.h>

#define ISSUER "https://id.example.com"
#define CLIENT "ropewalk"
#define NONCE "n-0S6_WzA2Mj"
#define ACCESS "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
/* OpenID Connect Core A.3: of that access token. */
#define AT_HASH "77QmUPtjPfzWtF2AnpK9RQ"
/* By SHA-512, as Ed25519 has it. */
#define ED25519_HASH "{\"at_hash\":\"q7nS86GgvvFaZkzALLWqJYaJIKw2wCDAVfCAsm5CrBM\"}"
enum { NOW = 1700000000 };

static struct signer {
	EVP_PKEY *rsa, *ec, *ed, *stranger, *weak;
	struct oidc_keys *keys;
} made;

static void put_base64url(json_t *o, const char *name, const uint8_t *p, size_t len)
{
	char text[1024];
	sodium_bin2base64(text, sizeof(text), p, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	json_object_set_new(o, name, json_string(text));
}

static void put_number(json_t *o, const char *name, const EVP_PKEY *key, const char *param)
{
	uint8_t bytes[512];
	BIGNUM *n = NULL;
	assert_int_equal(EVP_PKEY_get_bn_param(key, param, &n), 1);
	put_base64url(o, name, bytes, (size_t)BN_bn2bin(n, bytes));
	BN_free(n);
}

static char *public_of(const EVP_PKEY *key, const char *id, const char *more)
{
	json_t *o = json_object(), *extra = json_loads(more, 0, NULL);
	uint8_t bytes[128];
	size_t len = sizeof(bytes);
	if (EVP_PKEY_is_a(key, "RSA")) {
		json_object_set_new(o, "kty", json_string("RSA"));
		put_number(o, "n", key, OSSL_PKEY_PARAM_RSA_N);
		put_number(o, "e", key, OSSL_PKEY_PARAM_RSA_E);
	} else if (EVP_PKEY_is_a(key, "EC")) {
		assert_int_equal(EVP_PKEY_get_octet_string_param(
					 key, OSSL_PKEY_PARAM_PUB_KEY, bytes, sizeof(bytes), &len),
			1);
		json_object_set_new(o, "kty", json_string("EC"));
		json_object_set_new(o, "crv", json_string("P-256"));
		put_base64url(o, "x", bytes + 1, 32);
		put_base64url(o, "y", bytes + 33, 32);
	} else {
		assert_int_equal(EVP_PKEY_get_raw_public_key(key, bytes, &len), 1);
		json_object_set_new(o, "kty", json_string("OKP"));
		json_object_set_new(o, "crv", json_string("Ed25519"));
		put_base64url(o, "x", bytes, len);
	}
	json_object_set_new(o, "kid", json_string(id));
	json_object_update(o, extra);
	char *out = json_dumps(o, JSON_COMPACT);
	json_decref(extra);
	json_decref(o);
	return out;
}

static int set_up(void **state)
{
	struct errbuf eb = { 0 };
	char *text = NULL;
	(void)state;
	made.rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	made.stranger = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	made.weak = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	made.ec = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	made.ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	char *rsa = public_of(made.rsa, "r", "{\"use\":\"sig\"}"),
	     *ec = public_of(made.ec, "e", "{\"alg\":\"ES256\"}"),
	     *ed = public_of(made.ed, "d", "{\"key_ops\":[\"verify\"]}"),
	     *weak = public_of(made.weak, "w", "{}");
	int len = asprintf(&text,
		"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"11qYAYKxCrfVS_"
		"7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},"
		"{\"kty\":\"oct\",\"k\":\"c2VjcmV0\",\"kid\":\"h\"},7,%s,%s,%s,%s]}",
		weak, rsa, ec, ed);
	made.keys = oidc_keys_read(text, (size_t)len, &eb);
	free(text);
	free(rsa);
	free(ec);
	free(ed);
	free(weak);
	return made.keys ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	oidc_keys_free(made.keys);
	EVP_PKEY_free(made.rsa);
	EVP_PKEY_free(made.ec);
	EVP_PKEY_free(made.ed);
	EVP_PKEY_free(made.stranger);
	EVP_PKEY_free(made.weak);
	return 0;
}

/* The right payload, with these members changed; one that is null is left out. */
static char *payload_with(const char *changes)
{
	json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:i,s:i,s:s,s:b,s:[ss],s:s}", "iss", ISSUER, "aud", CLIENT,
		"sub", "u1", "nonce", NONCE, "exp", NOW + 600, "iat", NOW - 1, "email", "alice@example.com",
		"email_verified", 1, "groups", "staff", "net", "at_hash", AT_HASH);
	json_t *c = json_loads(changes, 0, NULL), *v;
	const char *name;
	assert_non_null(c);
	json_object_foreach(c, name, v)
	{
		if (json_is_null(v))
			json_object_del(o, name);
		else
			json_object_set(o, name, v);
	}
	char *text = json_dumps(o, JSON_COMPACT);
	json_decref(c);
	json_decref(o);
	return text;
}

/* Header, payload and signature as they are given, in base64url. */
static char *by_hand(const char *header, const char *payload, const void *sig, size_t sig_len)
{
	char h[512], p[2048], s[1024], *out = NULL;
	sodium_bin2base64(h, sizeof(h), (const uint8_t *)header, strlen(header),
		sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_bin2base64(p, sizeof(p), (const uint8_t *)payload, strlen(payload),
		sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_bin2base64(s, sizeof(s), sig, sig_len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	assert_true(asprintf(&out, "%s.%s%s%s", h, p, sig_len ? "." : "", sig_len ? s : "") > 0);
	return out;
}

/* OpenSSL's sequence of r and s as ES256 has it. */
static size_t to_raw(uint8_t *sig, size_t len)
{
	const uint8_t *p = sig;
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &p, (long)len);
	assert_non_null(s);
	BN_bn2binpad(ECDSA_SIG_get0_r(s), sig, 32);
	BN_bn2binpad(ECDSA_SIG_get0_s(s), sig + 32, 32);
	ECDSA_SIG_free(s);
	return 64;
}

static char *sign(EVP_PKEY *key, const char *alg, const char *kid, const char *payload)
{
	char header[128];
	uint8_t sig[512];
	size_t len = sizeof(sig);
	EVP_PKEY_CTX *how;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	snprintf(header, sizeof(header), "{\"alg\":\"%s\"%s%s%s}", alg, kid ? ",\"kid\":\"" : "",
		kid ? kid : "", kid ? "\"" : "");
	char *what = by_hand(header, payload, "", 0);
	assert_int_equal(EVP_DigestSignInit_ex(ctx, &how, EVP_PKEY_is_a(key, "ED25519") ? NULL : "SHA256",
				 NULL, NULL, key, NULL),
		1);
	if (!strcmp(alg, "PS256"))
		assert_true(EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) == 1 &&
			    EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) == 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &len, (const uint8_t *)what, strlen(what)), 1);
	EVP_MD_CTX_free(ctx);
	free(what);
	if (EVP_PKEY_is_a(key, "EC"))
		len = to_raw(sig, len);
	return by_hand(header, payload, sig, len);
}

static enum oidc_verdict check(const char *token, struct arena *a, struct oidc_claims *c, struct errbuf *eb)
{
	const struct oidc_expected want = { .issuer = ISSUER,
		.client = CLIENT,
		.nonce = NONCE,
		.access_token = ACCESS,
		.groups_claim = "groups",
		.now_ms = NOW * INT64_C(1000) };
	return oidc_token_check(a, token, made.keys, &want, c, eb);
}

static void test_good(void **state)
{
	const struct {
		EVP_PKEY *key;
		const char *alg, *kid;
	} rows[] = { { made.rsa, "RS256", "r" }, { made.rsa, "PS256", "r" }, { made.ec, "ES256", "e" },
		{ made.rsa, "RS256", NULL }, { made.ed, "EdDSA", "d" } };
	(void)state;
	assert_int_equal(oidc_keys_count(made.keys), 3); /* neither the weak one nor those of other kinds */
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = { 0 };
		struct oidc_claims c = { 0 };
		struct errbuf eb = { 0 };
		char *payload = payload_with(rows[i].key == made.ed ? ED25519_HASH : "{}"),
		     *token = sign(rows[i].key, rows[i].alg, rows[i].kid, payload);
		if (check(token, &a, &c, &eb) != OIDC_GOOD)
			fail_msg("row %zu: %s", i, eb.text);
		assert_string_equal(c.issuer, ISSUER);
		assert_string_equal(c.subject, "u1");
		assert_string_equal(c.email, "alice@example.com");
		assert_true(
			c.email_verified && c.has_groups && c.n_groups == 2 && !strcmp(c.groups[1], "net"));
		assert_int_equal(c.expires_ms, (NOW + 600) * INT64_C(1000));
		free(payload);
		free(token);
		arena_free(&a);
	}
}

static void test_payload(void **state)
{
	static const struct {
		const char *changes, *says; /* says: NULL = good */
	} rows[] = {
		{ "{\"iss\":\"https://id.example.com/\"}", "issuer" },
		{ "{\"iss\":null}", "issuer" },
		{ "{\"aud\":\"other\"}", "aud" },
		{ "{\"aud\":null}", "aud" },
		{ "{\"aud\":[]}", "aud" },
		{ "{\"aud\":[\"ropewalk\",7]}", "aud" },
		{ "{\"aud\":[\"ropewalk\"]}", NULL },
		{ "{\"aud\":[\"other\",\"ropewalk\"]}", "azp" },
		{ "{\"aud\":[\"other\",\"ropewalk\"],\"azp\":\"ropewalk\"}", NULL },
		{ "{\"azp\":\"other\"}", "azp" },
		{ "{\"azp\":7}", "azp" },
		{ "{\"nonce\":\"n-0S6_WzA2Mk\"}", "nonce" },
		{ "{\"nonce\":null}", "nonce" },
		{ "{\"nonce\":\"\"}", "nonce" },
		{ "{\"at_hash\":null}", NULL },
		{ "{\"at_hash\":\"77QmUPtjPfzWtF2AnpK9RR\"}", "at_hash" },
		{ "{\"at_hash\":1}", "at_hash" },
		{ "{\"exp\":1699999880}", "expired" },
		{ "{\"exp\":1699999881}", NULL },
		{ "{\"exp\":null}", "when" },
		{ "{\"exp\":\"1700000600\"}", "when" },
		{ "{\"exp\":1e300}", "when" },
		{ "{\"exp\":-1}", "when" },
		{ "{\"iat\":null}", "when" },
		{ "{\"iat\":1700000120}", NULL },
		{ "{\"iat\":1700000121}", "future" },
		{ "{\"nbf\":1700000121}", "future" },
		{ "{\"sub\":null}", "sub" },
		{ "{\"sub\":\"\"}", "sub" },
		{ "{\"sub\":7}", "sub" },
		{ "{\"sub\":\"a\\nb\"}", "sub" },
		{ "{\"email_verified\":\"true\"}", NULL },
		{ "{\"email_verified\":\"yes\"}", "email_verified" },
		{ "{\"email_verified\":1}", "email_verified" },
		{ "{\"groups\":\"staff\"}", NULL },
		{ "{\"groups\":{\"a\":1}}", "groups" },
		{ "{\"groups\":[1]}", "groups" },
		{ "{\"email\":[\"a\"]}", "email" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = { 0 };
		struct oidc_claims c = { .n_groups = 77 };
		struct errbuf eb = { 0 };
		char *payload = payload_with(rows[i].changes), *token = sign(made.ec, "ES256", "e", payload);
		enum oidc_verdict v = check(token, &a, &c, &eb);
		if (v != (rows[i].says ? OIDC_BAD : OIDC_GOOD) ||
			(rows[i].says && !strstr(eb.text, rows[i].says)))
			fail_msg("row %zu: %d, %s", i, v, eb.text);
		if (rows[i].says)
			assert_int_equal(c.n_groups, 77); /* whole or nothing */
		free(payload);
		free(token);
		arena_free(&a);
	}
}

static void test_headers(void **state)
{
	static const struct {
		const char *header, *says;
	} rows[] = {
		{ "{\"alg\":\"none\"}", "\"none\"" },
		{ "{\"alg\":\"None\"}", "\"None\"" },
		{ "{\"alg\":\"HS256\",\"kid\":\"h\"}", "HS256" },
		{ "{\"alg\":\"EdDSA\",\"kid\":\"e\"}", "does not show" },
		{ "{\"alg\":\"RS1\"}", "RS1" },
		{ "{}", "signed by \"\"" },
		{ "{\"alg\":[\"RS256\"]}", "signed by \"\"" },
		{ "{\"alg\":\"RS256\",\"crit\":[\"exp\"]}", "critical" },
		{ "{\"alg\":\"RS256\",\"b64\":false}", "critical" },
		{ "{\"alg\":\"RS256\",\"typ\":\"at+jwt\"}", "no ID token" },
		{ "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"r\"}", "signature" },
		{ "{\"alg\":\"ES256\",\"kid\":\"r\"}", "does not show" }, /* the key of another kind */
		{ "{\"alg\":\"RS256\",\"kid\":\"e\"}", "does not show" },
		{ "{\"alg\":\"RS256\",\"kid\":\"w\"}", "does not show" }, /* too weak to be there */
		{ "[]", "no JSON object" },
		{ "{", "not JSON" },
	};
	static const uint8_t sig[64] = { 1 };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = { 0 };
		struct oidc_claims c;
		struct errbuf eb = { 0 };
		char *payload = payload_with("{}"),
		     *token = by_hand(rows[i].header, payload, sig, sizeof(sig));
		if (check(token, &a, &c, &eb) == OIDC_GOOD || !strstr(eb.text, rows[i].says))
			fail_msg("row %zu: %s", i, eb.text);
		free(payload);
		free(token);
		arena_free(&a);
	}
}

static void test_signatures(void **state)
{
	struct arena a = { 0 };
	struct oidc_claims c;
	struct errbuf eb = { 0 };
	char *payload = payload_with("{}");
	(void)state;
	/* Of a key that calls itself like ours, of one that is not shown, and of one that is not shown and has no name. */
	char *forged = sign(made.stranger, "RS256", "r", payload),
	     *other = sign(made.stranger, "RS256", "new", payload),
	     *nameless = sign(made.stranger, "RS256", NULL, payload);
	assert_int_equal(check(forged, &a, &c, &eb), OIDC_BAD);
	assert_int_equal(check(other, &a, &c, &eb), OIDC_NO_KEY);
	assert_int_equal(check(nameless, &a, &c, &eb), OIDC_NO_KEY);
	free(forged);
	free(other);
	free(nameless);
	/* A good one with any one letter of its signature changed, or cut anywhere. */
	char *token = sign(made.ec, "ES256", "e", payload);
	size_t len = strlen(token);
	assert_int_equal(check(token, &a, &c, &eb), OIDC_GOOD);
	for (size_t i = 0; i + 1 < len; i += 7) { /* the last letter has bits that mean nothing */
		char was = token[i];
		token[i] = was == 'A' ? 'B' : 'A';
		if (check(token, &a, &c, &eb) == OIDC_GOOD)
			fail_msg("byte %zu", i);
		token[i] = was;
	}
	for (size_t i = 0; i < len; i += 5) {
		char was = token[i];
		token[i] = 0;
		if (check(token, &a, &c, &eb) == OIDC_GOOD)
			fail_msg("cut at %zu", i);
		token[i] = was;
	}
	free(token);
	free(payload);
	arena_free(&a);
}

static void test_form(void **state)
{
	static const char *const rows[] = { "", ".", "..", "a.b", "a.b.c.d", "a..c", "a.b.", ".b.c", "a=.b.c",
		"a b.c.d", "a.b.c\n" };
	char *big = malloc(OIDC_TOKEN_MAX + 2);
	struct arena a = { 0 };
	struct oidc_claims c;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errbuf eb = { 0 };
		if (check(rows[i], &a, &c, &eb) != OIDC_BAD || !strstr(eb.text, "form"))
			fail_msg("row %zu: %s", i, eb.text);
	}
	memset(big, 'a', OIDC_TOKEN_MAX + 1);
	big[OIDC_TOKEN_MAX + 1] = 0;
	big[10] = big[20] = '.';
	struct errbuf eb = { 0 };
	assert_true(check(big, &a, &c, &eb) == OIDC_BAD && strstr(eb.text, "form"));
	free(big);
	arena_free(&a);
}

static void test_keys(void **state)
{
	/* No point of the curve. */
	static const char off_curve[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
					"\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
					"\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}]}";
	static const char *const bad[] = { "", "[]", "{}", "{\"keys\":[]}", "{\"keys\":7}", "{\"keys\":[{}]}",
		"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
		"{\"keys\":[{\"kty\":\"RSA\",\"use\":\"enc\"}]}",
		"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}]}", off_curve };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct errbuf eb = { 0 };
		struct oidc_keys *k = oidc_keys_read(bad[i], strlen(bad[i]), &eb);
		if (k || !*eb.text)
			fail_msg("row %zu", i);
	}
	/* What a key says it is for is held to. */
	static const char *const not_ours[] = { "{\"use\":\"enc\"}", "{\"key_ops\":[\"encrypt\"]}",
		"{\"alg\":\"RS512\"}", "{\"alg\":\"RSA-OAEP\"}" };
	for (size_t i = 0; i < ARRAY_LEN(not_ours); i++) {
		char *key = public_of(made.rsa, "r", not_ours[i]), *text = NULL;
		int len = asprintf(&text, "{\"keys\":[%s]}", key);
		struct oidc_keys *k = oidc_keys_read(text, (size_t)len, NULL);
		if (k)
			fail_msg("row %zu", i);
		free(text);
		free(key);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_good), cmocka_unit_test(test_payload),
		cmocka_unit_test(test_headers), cmocka_unit_test(test_signatures),
		cmocka_unit_test(test_form), cmocka_unit_test(test_keys) };
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
