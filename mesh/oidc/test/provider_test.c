/* A provider that answers as a row says: each fault ends the login with a sentence, and what was known before stays. What
 * a real one does is scenarios/interop/login-browser.yaml. */
#include "mesh/base/key.h"
#include "mesh/oidc/provider.h"
#include "mesh/os/sock.h"
#include "mesh/proto/json_memory.h"
#include "mesh/transport/http.h"
#include "mesh/os/test/fake_proxy.h"
#include "mesh/transport/proxy.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <jansson.h>
#include <malloc.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <cmocka.h>

enum { LIMIT_MS = 20000, SIGNATURE = 64 };
#define ACCESS "access-0123456789abcdef"
#define BASIC "bWU6YSUzQWIlMkJj" /* "me" and the secret as a form has it, RFC 6749 2.3.1: me:a%3Ab%2Bc */

/* Blocks that are freed with a secret in them; the wrapped free has no argument of its own. */
static size_t left_behind;
void __real_free(void *p);
void __wrap_free(void *p);
void __wrap_free(void *p)
{
	static const char *const secrets[] = { ACCESS, BASIC, "a%3Ab%2Bc" };
	size_t len = p ? malloc_usable_size(p) : 0;
	for (size_t i = 0; i < sizeof(secrets) / sizeof(*secrets); i++)
		left_behind += p && memmem(p, len, secrets[i], strlen(secrets[i]));
	__real_free(p);
}

struct fake {
	struct loop *loop;
	struct loop_fd *watch;
	struct loop_timer *limit;
	struct endpoint at;
	int fd;
	EVP_PKEY *key;
	const char *kid; /* that tokens are signed by */
	const char *shown_kid;
	char issuer[64];
	struct oidc_settings s;
	struct oidc_provider *p;
	struct oidc_attempt attempt;
	/* What one path answers instead of the good thing. */
	const char *odd_path, *odd_body;
	int odd_status;
	bool no_email, in_body;
	unsigned asked, keys_asked;
	char authorization[256], form[1024]; /* of the last token request */
	bool over;
	int code;
	char why[512], email[64];
	size_t n_groups;
};

static void answer(struct http_server_conn *c, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void answer(struct http_server_conn *c, int status, const char *fmt, ...)
{
	char body[4096];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(body, sizeof(body), fmt, ap);
	va_end(ap);
	http_reply(c, status, "application/json", NULL, body, strlen(body));
}

static void put_base64url(char *out, size_t cap, const void *p, size_t len)
{
	sodium_bin2base64(out, cap, p, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

static void answer_keys(struct fake *f, struct http_server_conn *c)
{
	uint8_t x[32];
	size_t len = sizeof(x);
	char text[64];
	f->keys_asked++;
	assert_int_equal(EVP_PKEY_get_raw_public_key(f->key, x, &len), 1);
	put_base64url(text, sizeof(text), x, len);
	answer(c, 200, "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"%s\",\"x\":\"%s\"}]}",
		f->shown_kid, text);
}

static void answer_token(struct fake *f, struct http_server_conn *c)
{
	char header[128], payload[1024], h[256], p[2048], what[3072], s[128];
	uint8_t sig[SIGNATURE];
	size_t len = sizeof(sig);
	long long now = clock_unix_ms() / 1000;
	snprintf(header, sizeof(header), "{\"alg\":\"EdDSA\",\"kid\":\"%s\"}", f->kid);
	snprintf(payload, sizeof(payload),
		"{\"iss\":\"%s\",\"aud\":\"me\",\"sub\":\"u1\",\"nonce\":\"%s\",\"iat\":%lld,\"exp\":%lld%s}",
		f->issuer, f->attempt.nonce, now, now + 60,
		f->no_email ? "" : ",\"email\":\"a@example.com\"");
	put_base64url(h, sizeof(h), header, strlen(header));
	put_base64url(p, sizeof(p), payload, strlen(payload));
	snprintf(what, sizeof(what), "%s.%s", h, p);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, f->key), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &len, (const uint8_t *)what, strlen(what)), 1);
	EVP_MD_CTX_free(ctx);
	put_base64url(s, sizeof(s), sig, len);
	answer(c, 200, "{\"access_token\":\"" ACCESS "\",\"token_type\":\"Bearer\",\"id_token\":\"%s.%s\"}",
		what, s);
}

static void request(
	void *arg, struct http_server_conn *c, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct fake *f = arg;
	const char *p = head->target, *authorization = http_header(head, "Authorization");
	f->asked++;
	if (!strcmp(p, "/t")) {
		snprintf(
			f->authorization, sizeof(f->authorization), "%s", authorization ? authorization : "");
		snprintf(f->form, sizeof(f->form), "%.*s", (int)len, (const char *)body);
	}
	if (f->odd_path && !strcmp(p, f->odd_path))
		answer(c, f->odd_status, "%s", f->odd_body);
	else if (!strcmp(p, "/.well-known/openid-configuration"))
		answer(c, 200,
			"{\"issuer\":\"%s\",\"authorization_endpoint\":\"%s/a?x=1\",\"token_endpoint\":\"%s/"
			"t\",\"jwks_uri\":\"%s/k\","
			"\"userinfo_endpoint\":\"%s/u\"%s}",
			f->issuer, f->issuer, f->issuer, f->issuer, f->issuer,
			f->in_body ? ",\"token_endpoint_auth_methods_supported\":[\"client_secret_post\"]"
				   : "");
	else if (!strcmp(p, "/k"))
		answer_keys(f, c);
	else if (!strcmp(p, "/t"))
		answer_token(f, c);
	else if (!strcmp(p, "/u") && authorization && !strcmp(authorization, "Bearer " ACCESS))
		answer(c, 200,
			"{\"sub\":\"u1\",\"email\":\"b@example.com\",\"email_verified\":true,\"groups\":["
			"\"g\"]}");
	else
		answer(c, 404, "{}");
}

static void readable(void *arg, int events)
{
	struct fake *f = arg;
	const struct stream_events none = { 0 };
	const struct http_server_ops ops = { .request = request, .arg = f };
	int fd = sock_accept(f->fd, NULL);
	(void)events;
	if (fd >= 0)
		(void)http_server_accept(f->loop, stream_accept(f->loop, fd, NULL, &none), &ops);
}

static void too_late(void *arg)
{
	fail_msg("not over in %d ms; %u requests", LIMIT_MS, ((struct fake *)arg)->asked);
}

static int setup(void **state)
{
	struct fake *f = calloc(1, sizeof(*f));
	struct errbuf eb = { 0 };
	char at[ENDPOINT_TEXT];
	if (!f || !key_setup())
		abort();
	f->loop = loop_new();
	f->limit = loop_timer_new(f->loop, too_late, f);
	loop_timer_set(f->limit, LIMIT_MS);
	assert_true(endpoint_parse("127.0.0.1:0", &f->at));
	f->fd = sock_tcp_listen(&f->at, &eb);
	assert_true(f->fd >= 0);
	sock_local(f->fd, &f->at);
	f->watch = loop_fd_new(f->loop, f->fd, readable, f);
	loop_fd_set(f->watch, LOOP_READ);
	f->key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	f->kid = f->shown_kid = "one";
	snprintf(f->issuer, sizeof(f->issuer), "http://%s", endpoint_format(&f->at, at));
	f->s = (struct oidc_settings) { .name = "it",
		.issuer = f->issuer,
		.client = "me",
		.secret = "a:b+c",
		.scope = "openid email",
		.groups_claim = "groups",
		.groups_domain = "" };
	strcpy(f->attempt.state, "state");
	strcpy(f->attempt.nonce, "nonce");
	strcpy(f->attempt.verifier, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fake *f = *state;
	oidc_provider_close(f->p);
	loop_fd_free(f->watch);
	close(f->fd);
	loop_timer_free(f->limit);
	loop_free(f->loop);
	EVP_PKEY_free(f->key);
	free(f);
	return 0;
}

static void open_provider(struct fake *f)
{
	struct errbuf eb = { 0 };
	f->p = oidc_provider_open(f->loop, &f->s, "https://hs.test/oidc/callback", NULL, &eb);
	if (!f->p)
		fail_msg("%s", eb.text);
	while (!oidc_provider_is_ready(f->p) && !*oidc_provider_trouble(f->p))
		loop_run_once(f->loop);
}

static void done(void *arg, int err, const struct oidc_claims *claims, const char *why)
{
	struct fake *f = arg;
	f->over = true;
	f->code = err;
	snprintf(f->why, sizeof(f->why), "%s", why);
	snprintf(f->email, sizeof(f->email), "%s", err ? "" : claims->email);
	f->n_groups = err ? 0 : claims->n_groups;
}

static void exchange(struct fake *f)
{
	f->over = false;
	left_behind = 0;
	assert_non_null(oidc_exchange_begin(f->p, "c&de", &f->attempt, done, f));
	while (!f->over)
		loop_run_once(f->loop);
	assert_int_equal(left_behind, 0);
}

static void test_flow(void **state)
{
	struct fake *f = *state;
	struct oidc_extra extra = { "prompt", "log in" };
	struct buf url = { 0 };
	char want[1024];
	f->s.extra = &extra;
	f->s.n_extra = 1;
	open_provider(f);
	assert_true(oidc_provider_is_ready(f->p));
	assert_true(oidc_provider_url(f->p, &f->attempt, &url));
	/* The challenge is that of RFC 7636, appendix B. */
	snprintf(want, sizeof(want),
		"%s/"
		"a?x=1&response_type=code&client_id=me&redirect_uri=https%%3A%%2F%%2Fhs.test%%2Foidc%%"
		"2Fcallback"
		"&scope=openid%%20email&state=state&nonce=nonce&code_challenge="
		"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
		"&code_challenge_method=S256&prompt=log%%20in",
		f->issuer);
	assert_string_equal(buf_cstr(&url), want);
	buf_free(&url);
	exchange(f);
	if (f->code)
		fail_msg("%s", f->why);
	assert_string_equal(f->email, "a@example.com");
	assert_string_equal(f->authorization, "Basic " BASIC);
	assert_string_equal(f->form, "grant_type=authorization_code&code=c%26de&redirect_uri=https%3A%2F%"
				     "2Fhs.test%2Foidc%2Fcallback"
				     "&code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
}

static void test_secret_in_body(void **state)
{
	struct fake *f = *state;
	f->in_body = true;
	open_provider(f);
	exchange(f);
	assert_int_equal(f->code, 0);
	assert_string_equal(f->authorization, "");
	assert_non_null(strstr(f->form, "&client_id=me&client_secret=a%3Ab%2Bc"));
}

/* What the ID token leaves open is asked for. */
static void test_userinfo(void **state)
{
	struct fake *f = *state;
	const char *staff[] = { "g" };
	open_provider(f);
	f->no_email = true;
	exchange(f);
	assert_string_equal(f->email, "b@example.com");
	f->no_email = false;
	f->s.groups = (struct oidc_texts) { .v = staff, .n = 1 };
	exchange(f);
	assert_string_equal(f->email, "a@example.com");
	assert_int_equal(f->n_groups, 1);
}

static void test_faults(void **state)
{
	static const struct {
		const char *path;
		int status;
		const char *body, *says;
		bool no_email;
	} rows[] = {
		{ "/t", 400, "{\"error\":\"invalid_grant\"}", "it refuses (status 400): invalid_grant",
			false },
		{ "/t", 302, "", "status 302", false },
		{ "/t", 200, "<html>", "not JSON", false },
		{ "/t", 200, "{\"access_token\":\"a\"}", "no ID token", false },
		{ "/t", 200, "{\"id_token\":\"a.b.c\"}", "header", false },
		{ "/u", 200, "{\"sub\":\"u2\"}", "another person", true },
		{ "/u", 500, "", "status 500", true },
	};
	struct fake *f = *state;
	open_provider(f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		f->odd_path = rows[i].path;
		f->odd_status = rows[i].status;
		f->odd_body = rows[i].body;
		f->no_email = rows[i].no_email;
		exchange(f);
		if (!f->code || !strstr(f->why, rows[i].says))
			fail_msg("row %zu: %d %s", i, f->code, f->why);
	}
}

/* A key that is not known is asked for, but not again and again. */
static void test_new_key(void **state)
{
	struct fake *f = *state;
	open_provider(f);
	assert_int_equal(f->keys_asked, 1);
	f->kid = f->shown_kid = "two";
	exchange(f);
	assert_int_equal(f->code, 0);
	assert_int_equal(f->keys_asked, 2);
	f->kid = "three"; /* which there never is */
	exchange(f);
	assert_non_null(strstr(f->why, "does not show"));
	assert_int_equal(f->keys_asked, 2);
	f->kid = "two";
	exchange(f);
	assert_int_equal(f->code, 0);
}

static void test_not_there(void **state)
{
	static const struct {
		const char *path;
		int status;
		const char *body, *says;
	} rows[] = { { "/.well-known/openid-configuration", 404, "{}", "is this the issuer?" },
		{ "/.well-known/openid-configuration", 200, "{}", "issuer" }, { "/k", 500, "", "status 500" },
		{ "/k", 200, "{\"keys\":[]}", "no key" } };
	struct fake *f = *state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct buf url = { 0 };
		f->odd_path = rows[i].path;
		f->odd_status = rows[i].status;
		f->odd_body = rows[i].body;
		open_provider(f);
		if (oidc_provider_is_ready(f->p) || !strstr(oidc_provider_trouble(f->p), rows[i].says))
			fail_msg("row %zu: %s", i, oidc_provider_trouble(f->p));
		assert_false(oidc_provider_url(f->p, &f->attempt, &url));
		assert_null(oidc_exchange_begin(f->p, "c", &f->attempt, done, f));
		oidc_provider_close(f->p);
	}
	/* It is asked again by itself. */
	open_provider(f);
	f->odd_path = NULL;
	while (!oidc_provider_is_ready(f->p))
		loop_run_once(f->loop);
	assert_string_equal(oidc_provider_trouble(f->p), "");
}

/* Those on their way end without a word, by one call or with the provider; no more than there is room for. */
static void test_cancelled(void **state)
{
	struct fake *f = *state;
	struct oidc_exchange *first = NULL;
	open_provider(f);
	for (int i = 0; i < OIDC_EXCHANGES_MAX; i++) {
		struct oidc_exchange *x = oidc_exchange_begin(f->p, "c", &f->attempt, done, f);
		assert_non_null(x);
		first = first ? first : x;
	}
	assert_null(oidc_exchange_begin(f->p, "c", &f->attempt, done, f));
	oidc_exchange_cancel(first);
	assert_non_null(oidc_exchange_begin(f->p, "c", &f->attempt, done, f));
	oidc_provider_close(f->p);
	f->p = NULL;
	assert_false(f->over);
}

/* The provider is asked by a proxy, if that is what leads out. */
static void test_proxied(void **state)
{
	struct fake *f = *state;
	struct errbuf eb = { 0 };
	struct fake_proxy *proxy = fake_proxy_open(f->loop);
	struct proxies *by = proxies_new(NULL, fake_proxy_url(proxy), NULL);
	f->s.issuer = "http://issuer.test";
	f->p = oidc_provider_open(f->loop, &f->s, "https://hs.test/oidc/callback", by, &eb);
	assert_non_null(f->p);
	while (!*oidc_provider_trouble(f->p))
		loop_run_once(f->loop);
	assert_string_equal(fake_proxy_asked(proxy), "CONNECT issuer.test:80 HTTP/1.1");
	assert_non_null(
		strstr(fake_proxy_inside(proxy), "GET /.well-known/openid-configuration HTTP/1.1\r\n"));
	oidc_provider_close(f->p);
	f->p = NULL;
	fake_proxy_close(proxy);
	proxies_free(by);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_flow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_secret_in_body, setup, teardown),
		cmocka_unit_test_setup_teardown(test_userinfo, setup, teardown),
		cmocka_unit_test_setup_teardown(test_faults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_new_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancelled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_proxied, setup, teardown) };
	json_memory_wipes();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
