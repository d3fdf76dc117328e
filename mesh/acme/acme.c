#include "mesh/acme/acme.h"
#include "mesh/acme/acme_cert.h"
#include "mesh/base/text.h"
#include "mesh/transport/http.h"
#include "mesh/proto/json_memory.h"
#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ANSWER_MAX = 256 * 1024,
	URL_MAX = 512,
	NONCE_MAX = 256,
	WHY_MAX = 384,
	NONCE_TRIES = 8, /* of one request */
	REQUEST_MS = 30000,
	POLL_MS = 500, /* doubled up to POLL_MAX_MS */
	POLL_MAX_MS = 8000,
	POLLS_MAX = 20,
};

enum acme_step {
	ACME_DIRECTORY,
	ACME_NONCE,
	ACME_ACCOUNT,
	ACME_ORDER,
	ACME_AUTHORIZATION, /* which challenge */
	ACME_ACCEPT,	    /* it may look now */
	ACME_DECIDED,	    /* until the authorization is valid */
	ACME_FINALIZE,
	ACME_ISSUED, /* until the order is valid */
	ACME_CERTIFICATE,
	ACME_STEPS
};
static const char *const acme_step_names[] = { [ACME_DIRECTORY] = "its directory",
	[ACME_NONCE] = "a nonce",
	[ACME_ACCOUNT] = "the account",
	[ACME_ORDER] = "the order",
	[ACME_AUTHORIZATION] = "the authorization",
	[ACME_ACCEPT] = "the challenge",
	[ACME_DECIDED] = "the challenge",
	[ACME_FINALIZE] = "the certificate request",
	[ACME_ISSUED] = "the order",
	[ACME_CERTIFICATE] = "the certificate" };
static_assert(
	sizeof(acme_step_names) / sizeof(*acme_step_names) == ACME_STEPS, "acme_step_names misses a step");

struct acme {
	struct loop *loop;
	struct acme_options o;
	struct acme_ops ops;
	enum acme_step step;
	struct tls *tls;
	struct http_client *rq;
	struct loop_timer *later;
	unsigned nonce_tries, polls;
	char nonce[NONCE_MAX];
	char new_nonce[URL_MAX], new_account[URL_MAX], new_order[URL_MAX];
	char account[URL_MAX], order[URL_MAX], authorization[URL_MAX], challenge[URL_MAX], finalize[URL_MAX],
		certificate[URL_MAX];
	char token[ACME_TOKEN_MAX + 1], key_authorization[ACME_TOKEN_MAX + JOSE_THUMBPRINT + 2];
	struct buf key; /* of the certificate, PEM */
};

static void acme_go(struct acme *a, enum acme_step step);

/* --- the end --- */

void acme_free(struct acme *a)
{
	if (!a)
		return;
	http_client_cancel(a->rq);
	loop_timer_free(a->later);
	tls_free(a->tls);
	buf_wipe(&a->key);
	free(a);
}

static void acme_fail(struct acme *a, int code, const char *why)
{
	char text[WHY_MAX];
	snprintf(text, sizeof(text), "%s: %s: %s", a->o.directory, acme_step_names[a->step], why);
	a->ops.done(a->ops.arg, code, NULL, 0, text);
}

static void acme_issued(struct acme *a, const uint8_t *chain, size_t len)
{
	struct buf pem = { 0 };
	if (!len || memcmp(chain, "-----BEGIN", len < 10 ? len : 10) != 0) {
		acme_fail(a, ERR_MALFORMED, "it sent no PEM");
		return;
	}
	bool ok = buf_append(&pem, chain, len) && buf_append(&pem, "\n", chain[len - 1] != '\n') &&
		  buf_append(&pem, buf_data(&a->key), a->key.len);
	if (ok)
		a->ops.done(a->ops.arg, 0, (const char *)buf_data(&pem), pem.len, "");
	else
		acme_fail(a, -ENOMEM, "memory is short");
	buf_wipe(&pem);
}

/* --- what answers say --- */

/* Into out; false when it is no text, too long, or holds what no URL or token does: it goes into signed JSON
 * and into logs. */
static bool take_text(const json_t *from, const char *name, char *out, size_t cap)
{
	const char *text = json_string_value(json_object_get(from, name));
	size_t len = text ? strlen(text) : 0;
	if (!len || len >= cap || strpbrk(text, "\"\\<> "))
		return false;
	for (const char *c = text; *c; c++) {
		if (*c < '!' || *c > '~')
			return false;
	}
	memcpy(out, text, len + 1);
	return true;
}

/* {"type":"urn:ietf:params:acme:error:KIND","detail":"..."}, printable. */
static void say_problem(const json_t *problem, int status, char out[static WHY_MAX])
{
	const char *type = json_string_value(json_object_get(problem, "type")),
		   *detail = json_string_value(json_object_get(problem, "detail"));
	const char *kind = type ? strrchr(type, ':') : NULL;
	if (!detail) {
		snprintf(out, WHY_MAX, status ? "it answered with HTTP status %d" : "it does not say why",
			status);
		return;
	}
	snprintf(out, WHY_MAX, "it says \"%.240s\" (%.60s)", detail, kind ? kind + 1 : "no kind");
	for (char *c = out; *c; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
}

static bool is_kind(const json_t *problem, const char *kind)
{
	const char *type = json_string_value(json_object_get(problem, "type"));
	size_t len = type ? strlen(type) : 0, want = strlen(kind);
	return len > want && type[len - want - 1] == ':' && !strcmp(type + len - want, kind);
}

static bool is_status(const json_t *o, const char *status)
{
	const char *text = json_string_value(json_object_get(o, "status"));
	return text && !strcmp(text, status);
}

static const json_t *find_challenge(const struct acme *a, const json_t *authorization)
{
	static const char *const kinds[] = { [ACME_HTTP_01] = "http-01", [ACME_TLS_ALPN_01] = "tls-alpn-01" };
	const json_t *list = json_object_get(authorization, "challenges");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *c = json_array_get(list, i);
		const char *type = json_string_value(json_object_get(c, "type"));
		if (type && !strcmp(type, kinds[a->o.challenge]))
			return c;
	}
	return NULL;
}

/* --- steps: each takes the answer to its request and names the next --- */

static void acme_poll(struct acme *a)
{
	uint64_t ms = (uint64_t)POLL_MS << (a->polls < 4 ? a->polls : 4);
	if (++a->polls > POLLS_MAX)
		acme_fail(a, -ETIMEDOUT, "it has not decided in two minutes");
	else
		loop_timer_set(a->later, ms < POLL_MAX_MS ? ms : POLL_MAX_MS);
}

static void directory_answered(struct acme *a, const json_t *o)
{
	if (take_text(o, "newNonce", a->new_nonce, URL_MAX) &&
		take_text(o, "newAccount", a->new_account, URL_MAX) &&
		take_text(o, "newOrder", a->new_order, URL_MAX))
		acme_go(a, ACME_NONCE);
	else
		acme_fail(a, ERR_MALFORMED, "this is no ACME directory");
}

static void order_answered(struct acme *a, const json_t *o)
{
	const json_t *first = json_array_get(json_object_get(o, "authorizations"), 0);
	json_t *wrapped = json_pack("{s:s}", "url", json_string_value(first) ? json_string_value(first) : "");
	bool ok = take_text(wrapped, "url", a->authorization, URL_MAX) &&
		  take_text(o, "finalize", a->finalize, URL_MAX);
	json_decref(wrapped);
	if (ok)
		acme_go(a, ACME_AUTHORIZATION);
	else
		acme_fail(a, ERR_MALFORMED, "it names no authorization");
}

static void authorization_refused(struct acme *a, const json_t *o)
{
	char why[WHY_MAX];
	say_problem(json_object_get(find_challenge(a, o), "error"), 0, why);
	acme_fail(a, ERR_REFUSED, why);
}

static void authorization_answered(struct acme *a, const json_t *o)
{
	char thumb[JOSE_THUMBPRINT];
	if (is_status(o, "valid")) { /* from an order before */
		acme_go(a, ACME_FINALIZE);
		return;
	}
	if (is_status(o, "invalid")) {
		authorization_refused(a, o);
		return;
	}
	const json_t *c = find_challenge(a, o);
	if (!c) {
		acme_fail(a, ERR_UNSUPPORTED, "it does not offer the challenge that the settings ask for");
		return;
	}
	bool ok = take_text(c, "token", a->token, sizeof(a->token)) &&
		  take_text(c, "url", a->challenge, URL_MAX) && !strchr(a->token, '/') &&
		  jose_thumbprint(a->o.account, thumb);
	if (!ok) {
		acme_fail(a, ERR_MALFORMED, "its challenge cannot be read");
		return;
	}
	snprintf(a->key_authorization, sizeof(a->key_authorization), "%s.%s", a->token, thumb);
	if (a->ops.prepare(a->ops.arg, a->token, a->key_authorization))
		acme_go(a, ACME_ACCEPT);
	else
		acme_fail(a, ERR_REFUSED, "the answer to it could not be made");
}

static void decision_answered(struct acme *a, const json_t *o)
{
	if (is_status(o, "valid")) {
		acme_go(a, ACME_FINALIZE);
	} else if (is_status(o, "pending") || is_status(o, "processing")) {
		acme_poll(a);
	} else {
		authorization_refused(a, o);
	}
}

static void issue_answered(struct acme *a, const json_t *o)
{
	char why[WHY_MAX];
	if (is_status(o, "valid") && take_text(o, "certificate", a->certificate, URL_MAX)) {
		acme_go(a, ACME_CERTIFICATE);
	} else if (is_status(o, "processing") || is_status(o, "ready") || is_status(o, "pending")) {
		acme_poll(a);
	} else {
		say_problem(json_object_get(o, "error"), 0, why);
		acme_fail(a, ERR_REFUSED, why);
	}
}

static void json_answered(struct acme *a, const json_t *o)
{
	switch (a->step) {
	case ACME_DIRECTORY: directory_answered(a, o); return;
	case ACME_ORDER: order_answered(a, o); return;
	case ACME_AUTHORIZATION: authorization_answered(a, o); return;
	case ACME_ACCEPT: acme_go(a, ACME_DECIDED); return;
	case ACME_DECIDED: decision_answered(a, o); return;
	case ACME_FINALIZE: acme_go(a, ACME_ISSUED); return;
	case ACME_ISSUED: issue_answered(a, o); return;
	default: acme_fail(a, ERR_MALFORMED, "an answer out of turn"); return;
	}
}

/* --- asking --- */

static bool keep_header(const struct http_head *head, const char *name, char *out, size_t cap)
{
	json_t *o = json_pack("{s:s*}", "v", http_header(head, name));
	bool ok = take_text(o, "v", out, cap);
	json_decref(o);
	return ok;
}

static void problem_answered(struct acme *a, int status, const json_t *problem)
{
	char why[WHY_MAX];
	if (is_kind(problem, "badNonce") && ++a->nonce_tries < NONCE_TRIES && *a->nonce) {
		acme_go(a, a->step);
		return;
	}
	say_problem(problem, status, why);
	acme_fail(a, ERR_REFUSED, why);
}

static void acme_answered(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct acme *a = arg;
	a->rq = NULL;
	a->nonce[0] = 0; /* each is good for one request */
	(void)keep_header(head, "replay-nonce", a->nonce, sizeof(a->nonce));
	bool good = head->status >= 200 && head->status < 300;
	if (good)
		a->nonce_tries = 0;
	if (good && a->step == ACME_NONCE) {
		acme_go(a, ACME_ACCOUNT);
		return;
	}
	if (good && a->step == ACME_CERTIFICATE) {
		acme_issued(a, body, len);
		return;
	}
	if (good && a->step == ACME_ACCOUNT) {
		if (keep_header(head, "location", a->account, URL_MAX))
			acme_go(a, ACME_ORDER);
		else
			acme_fail(a, ERR_MALFORMED, "it names no account");
		return;
	}
	json_t *o = json_memory_load((const char *)body, len, JSON_REJECT_DUPLICATES, NULL, NULL);
	if (!good)
		problem_answered(a, head->status, o);
	else if (!json_is_object(o))
		acme_fail(a, ERR_MALFORMED, "its answer is no JSON object");
	else if (a->step == ACME_ORDER && !keep_header(head, "location", a->order, URL_MAX))
		acme_fail(a, ERR_MALFORMED, "it names no order");
	else
		json_answered(a, o);
	json_decref(o);
}

static void acme_unanswered(void *arg, int code, const char *why)
{
	struct acme *a = arg;
	a->rq = NULL;
	acme_fail(a, code, why);
}

static void acme_send(struct acme *a, const char *method, const char *to, const struct buf *body)
{
	const struct http_client_events ev = { .done = acme_answered, .failed = acme_unanswered, .arg = a };
	struct url u;
	if (!url_parse(to, &u) || !u.https) {
		acme_fail(a, ERR_MALFORMED, "it names an address that is not https://");
		return;
	}
	char host[URL_HOST_TEXT];
	struct http_request rq = {
		.to = { .host = u.host, .port = u.port, .tls = a->tls, .proxies = a->o.proxies },
		.method = method,
		.target = u.path,
		.host = url_host(&u, host),
		.extra = "User-Agent: ropewalk/" RW_VERSION "\r\n",
		.body = body ? buf_data(body) : NULL,
		.body_len = body ? body->len : 0,
		.content_type = body ? "application/jose+json" : NULL,
		.body_cap = ANSWER_MAX,
		.timeout_ms = REQUEST_MS
	};
	a->rq = http_request(a->loop, &rq, &ev);
	if (!a->rq)
		acme_fail(a, -ENOMEM, "memory is short");
}

static void acme_post(struct acme *a, const char *to, const char *payload)
{
	struct buf body = { 0 };
	struct jose_request rq = { .url = to,
		.nonce = a->nonce,
		.account = a->step == ACME_ACCOUNT ? NULL : a->account,
		.payload = payload };
	if (!*a->nonce)
		acme_fail(a, ERR_MALFORMED, "it gave no nonce");
	else if (!jose_sign(a->o.account, &rq, &body))
		acme_fail(a, -ENOMEM, "memory is short");
	else
		acme_send(a, "POST", to, &body);
	buf_free(&body);
}

static void post_account(struct acme *a)
{
	char payload[URL_MAX];
	snprintf(payload, sizeof(payload),
		*a->o.email ? "{\"termsOfServiceAgreed\":true,\"contact\":[\"mailto:%.300s\"]}"
			    : "{\"termsOfServiceAgreed\":true}",
		a->o.email);
	acme_post(a, a->new_account, payload);
}

static void post_order(struct acme *a)
{
	char payload[URL_MAX];
	snprintf(payload, sizeof(payload), "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"%.255s\"}]}",
		a->o.host);
	acme_post(a, a->new_order, payload);
}

static void post_request(struct acme *a)
{
	struct buf der = { 0 }, payload = { 0 };
	buf_wipe(&a->key);
	bool ok = acme_cert_request(a->o.host, &der, &a->key) && buf_printf(&payload, "{\"csr\":\"") &&
		  jose_base64url(buf_data(&der), der.len, &payload) && buf_printf(&payload, "\"}") &&
		  buf_cstr(&payload);
	if (ok)
		acme_post(a, a->finalize, buf_cstr(&payload));
	else
		acme_fail(a, -ENOMEM, "memory is short");
	buf_free(&der);
	buf_free(&payload);
}

static void acme_go(struct acme *a, enum acme_step step)
{
	if (a->step != step)
		a->polls = 0;
	a->step = step;
	switch (step) {
	case ACME_DIRECTORY: acme_send(a, "GET", a->o.directory, NULL); return;
	case ACME_NONCE: acme_send(a, "HEAD", a->new_nonce, NULL); return;
	case ACME_ACCOUNT: post_account(a); return;
	case ACME_ORDER: post_order(a); return;
	case ACME_AUTHORIZATION:
	case ACME_DECIDED: acme_post(a, a->authorization, ""); return;
	case ACME_ACCEPT: acme_post(a, a->challenge, "{}"); return;
	case ACME_FINALIZE: post_request(a); return;
	case ACME_ISSUED: acme_post(a, a->order, ""); return;
	case ACME_CERTIFICATE: acme_post(a, a->certificate, ""); return;
	case ACME_STEPS: return;
	}
}

static void acme_later(void *arg)
{
	struct acme *a = arg;
	acme_go(a, a->step);
}

struct acme *acme_order(struct loop *l, const struct acme_options *o, const struct acme_ops *ops)
{
	struct acme *a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	*a = (struct acme) { .loop = l, .o = *o, .ops = *ops, .step = ACME_DIRECTORY };
	a->tls = tls_client(NULL, NULL);
	a->later = loop_timer_new(l, acme_later, a);
	if (!a->tls || !a->later) {
		acme_free(a);
		return NULL;
	}
	loop_timer_set(a->later, 0); /* so that no op is called before the owner has it */
	return a;
}
