/* An exchange is a line of steps, each one request: the code for tokens; the keys, if the ID token's is not known;
 * userinfo, if the ID token leaves open what the settings ask for. */
#include "mesh/oidc/provider.h"

#include "mesh/oidc/id_token.h"
#include "mesh/transport/http.h"
#include <openssl/evp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	REQUEST_MS = 10000,
	FRESH_MS = 3600 * 1000,
	RETRY_MS = 2000,
	RETRY_MAX_MS = 60000,
	KEYS_AGAIN_MS = 10000,
	HASH = 32,
	SAID_MAX = 256
};

struct oidc_provider {
	struct loop *loop;
	const struct oidc_settings *s;
	const char *redirect;
	const struct proxies *proxies;
	struct tls *tls;
	struct http_client *asking; /* discovery or keys */
	struct loop_timer *again;
	uint64_t retry_ms,
		unknown_ms; /* unknown_ms: monotonic, when a key that was not known was asked for; 0 = never */
	struct arena mem;   /* of what is known */
	struct oidc_discovery d;
	struct oidc_keys *keys; /* NULL: not ready */
	struct arena next_mem;	/* of what is being read */
	struct oidc_discovery next;
	struct oidc_exchange *first;
	size_t n;
	char trouble[sizeof(((struct errbuf *)0)->text)];
};

enum step { STEP_TOKEN, STEP_KEYS, STEP_USERINFO };
struct oidc_exchange {
	struct oidc_exchange *next, **at;
	struct oidc_provider *p;
	enum step step;
	struct http_client *rq;
	struct arena mem;
	struct oidc_tokens tokens;
	struct oidc_claims claims;
	char nonce[OIDC_RANDOM];
	void (*done)(void *arg, int err, const struct oidc_claims *claims, const char *why);
	void *arg;
};

/* --- requests --- */

struct question {
	const char *url;
	const struct buf *form; /* NULL = GET */
	const char *extra;	/* header lines */
};

static struct http_client *ask(struct oidc_provider *p, const struct question *q,
	const struct http_client_events *ev, struct errbuf *eb)
{
	struct url u;
	if (!url_parse(q->url, &u)) {
		err_say(eb, ERR_MALFORMED, "\"%.128s\" is no URL that can be asked", q->url);
		return NULL;
	}
	char host[URL_HOST_TEXT];
	struct http_request rq = { .to = { .host = u.host,
					   .port = u.port,
					   .tls = u.https ? p->tls : NULL,
					   .proxies = p->proxies },
		.method = q->form ? "POST" : "GET",
		.target = u.path,
		.host = url_host(&u, host),
		.extra = q->extra,
		.body = q->form ? buf_data(q->form) : NULL,
		.body_len = q->form ? q->form->len : 0,
		.content_type = q->form ? "application/x-www-form-urlencoded" : NULL,
		.body_cap = OIDC_DOCUMENT_MAX,
		.timeout_ms = REQUEST_MS };
	struct http_client *c = http_request(p->loop, &rq, ev);
	if (!c)
		err_say(eb, ERR_TOO_LARGE, "memory is short");
	return c;
}

#define HEADERS "User-Agent: ropewalk-control/" RW_VERSION "\r\nAccept: application/json\r\n"

/* As a form has it: all but letters, digits and four marks as %XX. */
static bool put_encoded(struct buf *to, const char *text)
{
	bool ok = true;
	for (const unsigned char *p = (const unsigned char *)text; *p && ok; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			     (*p >= '0' && *p <= '9') || strchr("-._~", *p);
		ok = buf_printf(to, plain ? "%c" : "%%%02X", *p);
	}
	return ok;
}

static bool put_field(struct buf *to, char before, const char *name, const char *value)
{
	return (!before || buf_append(to, &before, 1)) && put_encoded(to, name) && buf_append(to, "=", 1) &&
	       put_encoded(to, value);
}

/* --- what the provider says of itself --- */

static void refresh_discovery(struct oidc_provider *p);

static void refresh_failed(struct oidc_provider *p, const char *why)
{
	snprintf(p->trouble, sizeof(p->trouble), "%s", why);
	arena_free(&p->next_mem);
	loop_timer_set(p->again, p->retry_ms);
	p->retry_ms = p->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : p->retry_ms * 2;
}

static void take_keys(struct oidc_provider *p, struct oidc_keys *fresh)
{
	oidc_keys_free(p->keys);
	p->keys = fresh;
}

static void keys_answered(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct oidc_provider *p = arg;
	struct errbuf eb = { 0 };
	struct oidc_keys *fresh = NULL;
	p->asking = NULL;
	if (head->status != 200)
		err_say(&eb, ERR_REFUSED, "%.128s answers with status %d", p->next.keys, head->status);
	else
		fresh = oidc_keys_read((const char *)body, len, &eb);
	if (!fresh) {
		refresh_failed(p, eb.text);
		return;
	}
	take_keys(p, fresh);
	arena_free(&p->mem);
	p->mem = p->next_mem;
	p->d = p->next;
	p->next_mem = (struct arena) { 0 };
	p->trouble[0] = 0;
	p->retry_ms = RETRY_MS;
	loop_timer_set(p->again, FRESH_MS);
}

static void refresh_unanswered(void *arg, int code, const char *why)
{
	struct oidc_provider *p = arg;
	struct errbuf eb = { 0 };
	p->asking = NULL;
	err_say(&eb, code, "%.128s: %s", p->s->issuer, why);
	refresh_failed(p, eb.text);
}

static void discovery_answered(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct oidc_provider *p = arg;
	struct errbuf eb = { 0 };
	const struct http_client_events ev = {
		.done = keys_answered, .failed = refresh_unanswered, .arg = p
	};
	p->asking = NULL;
	arena_free(&p->next_mem);
	if (head->status != 200)
		err_say(&eb, ERR_REFUSED,
			"%.128s/.well-known/openid-configuration answers with status %d: is this the issuer?",
			p->s->issuer, head->status);
	else if (!oidc_discovery_read(&p->next_mem, (const char *)body, len, p->s->issuer, &p->next, &eb))
		p->asking = ask(p, &(struct question) { .url = p->next.keys, .extra = HEADERS }, &ev, &eb);
	if (!p->asking)
		refresh_failed(p, eb.text);
}

static void refresh_discovery(struct oidc_provider *p)
{
	const struct http_client_events ev = {
		.done = discovery_answered, .failed = refresh_unanswered, .arg = p
	};
	struct errbuf eb = { 0 };
	struct buf url = { 0 };
	size_t len = strlen(p->s->issuer);
	while (len && p->s->issuer[len - 1] == '/')
		len--;
	if (buf_printf(&url, "%.*s/.well-known/openid-configuration", (int)len, p->s->issuer) &&
		buf_cstr(&url))
		p->asking = ask(p, &(struct question) { .url = buf_cstr(&url), .extra = HEADERS }, &ev, &eb);
	buf_free(&url);
	if (!p->asking)
		refresh_failed(p, *eb.text ? eb.text : "memory is short");
}

static void refresh_due(void *arg)
{
	refresh_discovery(arg);
}

struct oidc_provider *oidc_provider_open(struct loop *l, const struct oidc_settings *settings,
	const char *redirect, const struct proxies *proxies, struct errbuf *eb)
{
	struct oidc_provider *p = calloc(1, sizeof(*p));
	if (!p) {
		err_say(eb, ERR_TOO_LARGE, "memory is short");
		return NULL;
	}
	*p = (struct oidc_provider) {
		.loop = l, .s = settings, .redirect = redirect, .proxies = proxies, .retry_ms = RETRY_MS
	};
	p->again = loop_timer_new(l, refresh_due, p);
	p->tls = p->again ? tls_client(NULL, eb) : NULL;
	if (!p->tls) {
		if (!p->again)
			err_say(eb, ERR_TOO_LARGE, "memory is short");
		oidc_provider_close(p);
		return NULL;
	}
	refresh_discovery(p);
	return p;
}

void oidc_provider_close(struct oidc_provider *p)
{
	if (!p)
		return;
	for (struct oidc_exchange *x = p->first, *next; x; x = next) {
		next = x->next;
		oidc_exchange_cancel(x);
	}
	http_client_cancel(p->asking);
	loop_timer_free(p->again);
	tls_free(p->tls);
	oidc_keys_free(p->keys);
	arena_free(&p->next_mem);
	arena_free(&p->mem);
	free(p);
}

const struct oidc_settings *oidc_provider_settings(const struct oidc_provider *p)
{
	return p->s;
}

bool oidc_provider_is_ready(const struct oidc_provider *p)
{
	return p->keys != NULL;
}

const char *oidc_provider_trouble(const struct oidc_provider *p)
{
	return p->trouble;
}

bool oidc_provider_says_issuer(const struct oidc_provider *p)
{
	return p->keys && p->d.says_issuer_in_reply;
}

/* --- to the provider --- */

static bool challenge_of(const char *verifier, char out[static OIDC_RANDOM])
{
	uint8_t hash[HASH];
	return EVP_Q_digest(NULL, "SHA256", NULL, verifier, strlen(verifier), hash, NULL) == 1 &&
	       sodium_bin2base64(out, OIDC_RANDOM, hash, HASH, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

bool oidc_provider_url(const struct oidc_provider *p, const struct oidc_attempt *at, struct buf *out)
{
	char challenge[OIDC_RANDOM];
	if (!p->keys || !challenge_of(at->verifier, challenge))
		return false;
	const struct oidc_extra own[] = { { "response_type", "code" }, { "client_id", p->s->client },
		{ "redirect_uri", p->redirect }, { "scope", p->s->scope }, { "state", at->state },
		{ "nonce", at->nonce }, { "code_challenge", challenge },
		{ "code_challenge_method", "S256" } };
	bool ok = buf_printf(out, "%s", p->d.authorization);
	for (size_t i = 0; ok && i < ARRAY_LEN(own); i++)
		ok = put_field(
			out, i || strchr(p->d.authorization, '?') ? '&' : '?', own[i].name, own[i].value);
	for (size_t i = 0; ok && i < p->s->n_extra; i++)
		ok = put_field(out, '&', p->s->extra[i].name, p->s->extra[i].value);
	return ok;
}

/* --- from the provider --- */

static void exchange_free(struct oidc_exchange *x)
{
	*x->at = x->next;
	if (x->next)
		x->next->at = x->at;
	x->p->n--;
	http_client_cancel(x->rq);
	sodium_memzero(x->nonce, sizeof(x->nonce));
	arena_free(&x->mem);
	free(x);
}

void oidc_exchange_cancel(struct oidc_exchange *x)
{
	if (x)
		exchange_free(x);
}

static void exchange_end(struct oidc_exchange *x, int err, const char *why)
{
	void (*done)(void *, int, const struct oidc_claims *, const char *) = x->done;
	void *arg = x->arg;
	/* Out of the provider's list first: what done does may close it. */
	struct arena mem = x->mem;
	const struct oidc_claims claims = x->claims;
	x->mem = (struct arena) { 0 };
	exchange_free(x);
	done(arg, err, err ? NULL : &claims, why);
	arena_free(&mem);
}

static void exchange_unanswered(void *arg, int code, const char *why)
{
	struct oidc_exchange *x = arg;
	struct errbuf eb = { 0 };
	x->rq = NULL;
	exchange_end(x, code, (err_say(&eb, code, "%s cannot be reached: %s", x->p->s->name, why), eb.text));
}

static void exchange_answered(void *arg, const struct http_head *head, const uint8_t *body, size_t len);

static void exchange_ask(struct oidc_exchange *x, enum step step, const struct question *q)
{
	const struct http_client_events ev = {
		.done = exchange_answered, .failed = exchange_unanswered, .arg = x
	};
	struct errbuf eb = { 0 };
	x->step = step;
	x->rq = ask(x->p, q, &ev, &eb);
	if (!x->rq)
		exchange_end(x, eb.code, eb.text);
}

static bool lacks_something(const struct oidc_exchange *x)
{
	const struct oidc_claims *c = &x->claims;
	bool wanted = x->p->s->groups.n || *x->p->s->groups_domain;
	return !*c->email || (wanted && !c->has_groups);
}

static void ask_userinfo(struct oidc_exchange *x)
{
	struct buf extra = { .secret = true };
	if (buf_printf(&extra, HEADERS "Authorization: Bearer %s\r\n", x->tokens.access_token) &&
		buf_cstr(&extra))
		exchange_ask(x, STEP_USERINFO,
			&(struct question) { .url = x->p->d.userinfo, .extra = buf_cstr(&extra) });
	else
		exchange_end(x, ERR_TOO_LARGE, "memory is short");
	buf_wipe(&extra);
}

/* The issuer's other name, where it has one, is tried first: a refusal of the real one is what is told. */
static enum oidc_verdict check_token(struct oidc_exchange *x, struct errbuf *eb)
{
	const struct oidc_quirk *q = oidc_quirk_of(x->p->s->issuer);
	struct oidc_expected want = { .client = x->p->s->client,
		.nonce = x->nonce,
		.access_token = x->tokens.access_token,
		.groups_claim = x->p->s->groups_claim,
		.now_ms = clock_unix_ms() };
	if (q && q->also_issuer) {
		want.issuer = q->also_issuer;
		if (oidc_token_check(&x->mem, x->tokens.id_token, x->p->keys, &want, &x->claims, eb) ==
			OIDC_GOOD) {
			x->claims.issuer = x->p->s->issuer; /* one person, by whichever name */
			return OIDC_GOOD;
		}
	}
	want.issuer = x->p->s->issuer;
	return oidc_token_check(&x->mem, x->tokens.id_token, x->p->keys, &want, &x->claims, eb);
}

/* Keys change, and anybody can bring a token of a key that there never was. */
static bool may_look_again(struct oidc_provider *p)
{
	uint64_t now = loop_now_ms(p->loop);
	if (p->unknown_ms && now - p->unknown_ms < KEYS_AGAIN_MS)
		return false;
	p->unknown_ms = now;
	return true;
}

static void judge(struct oidc_exchange *x)
{
	struct oidc_provider *p = x->p;
	struct errbuf eb = { 0 };
	enum oidc_verdict v = check_token(x, &eb);
	if (v == OIDC_NO_KEY && x->step == STEP_TOKEN && may_look_again(p))
		exchange_ask(x, STEP_KEYS, &(struct question) { .url = p->d.keys, .extra = HEADERS });
	else if (v != OIDC_GOOD)
		exchange_end(x, eb.code, eb.text);
	else if (lacks_something(x) && *p->d.userinfo && *x->tokens.access_token &&
		 !strpbrk(x->tokens.access_token, "\r\n"))
		ask_userinfo(x);
	else
		exchange_end(x, 0, "");
}

/* 0: x has gone on, or has ended; else a code, and x is still there. */
static int take_answer(struct oidc_exchange *x, const char *body, size_t len, struct errbuf *eb)
{
	struct oidc_keys *fresh;
	int err;
	switch (x->step) {
	case STEP_TOKEN:
		if ((err = oidc_tokens_read(&x->mem, body, len, &x->tokens, eb)))
			return err;
		judge(x);
		return 0;
	case STEP_KEYS:
		if (!(fresh = oidc_keys_read(body, len, eb)))
			return eb->code;
		take_keys(x->p, fresh);
		judge(x);
		return 0;
	case STEP_USERINFO:
		if ((err = oidc_userinfo_read(&x->mem, body, len, x->p->s->groups_claim, &x->claims, eb)))
			return err;
		exchange_end(x, 0, "");
		return 0;
	}
	return 0;
}

static void exchange_answered(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct oidc_exchange *x = arg;
	struct errbuf eb = { 0 };
	char said[SAID_MAX];
	int err;
	x->rq = NULL;
	if (head->status == 200) {
		err = take_answer(x, (const char *)body, len, &eb);
	} else {
		oidc_refusal_read((const char *)body, len, said, sizeof(said));
		err = err_say(
			&eb, ERR_REFUSED, "%s refuses (status %d): %s", x->p->s->name, head->status, said);
	}
	if (err)
		exchange_end(x, err, eb.text);
}

/* The secret goes into a header, unless the provider wants it in the form (RFC 6749 2.3.1). */
static bool put_client(const struct oidc_provider *p, struct buf *form, struct buf *extra)
{
	struct buf pair = { .secret = true };
	bool ok = buf_printf(extra, HEADERS);
	if (!*p->s->secret || p->d.secret_in_body)
		return ok && put_field(form, '&', "client_id", p->s->client) &&
		       (!*p->s->secret || put_field(form, '&', "client_secret", p->s->secret));
	ok = ok && put_encoded(&pair, p->s->client) && buf_append(&pair, ":", 1) &&
	     put_encoded(&pair, p->s->secret);
	char *text = ok ? malloc(sodium_base64_encoded_len(pair.len, sodium_base64_VARIANT_ORIGINAL)) : NULL;
	if (text) {
		size_t room = sodium_base64_encoded_len(pair.len, sodium_base64_VARIANT_ORIGINAL);
		sodium_bin2base64(text, room, buf_data(&pair), pair.len, sodium_base64_VARIANT_ORIGINAL);
		ok = buf_printf(extra, "Authorization: Basic %s\r\n", text);
		sodium_memzero(text, room);
	}
	ok = ok && text;
	free(text);
	buf_wipe(&pair);
	return ok;
}

struct oidc_exchange *oidc_exchange_begin(struct oidc_provider *p, const char *code,
	const struct oidc_attempt *at,
	void (*done)(void *arg, int err, const struct oidc_claims *claims, const char *why), void *arg)
{
	struct buf form = { .secret = true }, extra = { .secret = true };
	struct oidc_exchange *x = p->keys && p->n < OIDC_EXCHANGES_MAX ? calloc(1, sizeof(*x)) : NULL;
	if (!x)
		return NULL;
	*x = (struct oidc_exchange) {
		.next = p->first, .at = &p->first, .p = p, .mem.secret = true, .done = done, .arg = arg
	};
	if (p->first)
		p->first->at = &x->next;
	p->first = x;
	p->n++;
	memcpy(x->nonce, at->nonce, sizeof(x->nonce));
	const struct http_client_events ev = {
		.done = exchange_answered, .failed = exchange_unanswered, .arg = x
	};
	if (put_field(&form, 0, "grant_type", "authorization_code") && put_field(&form, '&', "code", code) &&
		put_field(&form, '&', "redirect_uri", p->redirect) &&
		put_field(&form, '&', "code_verifier", at->verifier) && put_client(p, &form, &extra) &&
		buf_cstr(&extra))
		x->rq = ask(p,
			&(struct question) { .url = p->d.token, .form = &form, .extra = buf_cstr(&extra) },
			&ev, NULL);
	buf_wipe(&form);
	buf_wipe(&extra);
	if (x->rq)
		return x;
	exchange_free(x);
	return NULL;
}
