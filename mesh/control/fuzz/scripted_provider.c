/* In place of oidc/provider.c: a provider that believes the browser. The code that it brings is what it says of itself: a JSON
 * object of claims, or the sentence by which the exchange fails. An issuer with "away" in it has never answered. */
#include "mesh/oidc/provider.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { WORK_MS = 1 };

struct oidc_provider {
	const struct oidc_settings *settings;
	struct loop *loop;
};
struct oidc_exchange {
	struct oidc_provider *p;
	struct loop_timer *timer;
	void (*done)(void *arg, int err, const struct oidc_claims *claims, const char *why);
	void *arg;
	char code[OIDC_CODE_MAX];
};

struct oidc_provider *oidc_provider_open(struct loop *l, const struct oidc_settings *settings,
	const char *redirect, const struct proxies *proxies, struct errbuf *eb)
{
	struct oidc_provider *p = calloc(1, sizeof(*p));
	(void)redirect, (void)proxies;
	if (!p)
		err_set(eb, ERR_REFUSED, "provider");
	else
		*p = (struct oidc_provider) { settings, l };
	return p;
}

void oidc_provider_close(struct oidc_provider *p)
{
	free(p);
}

const struct oidc_settings *oidc_provider_settings(const struct oidc_provider *p)
{
	return p->settings;
}

bool oidc_provider_is_ready(const struct oidc_provider *p)
{
	return !strstr(p->settings->issuer, "away");
}

const char *oidc_provider_trouble(const struct oidc_provider *p)
{
	return oidc_provider_is_ready(p) ? "" : "does not answer";
}

bool oidc_provider_says_issuer(const struct oidc_provider *p)
{
	return strstr(p->settings->issuer, "strict");
}

bool oidc_provider_url(const struct oidc_provider *p, const struct oidc_attempt *at, struct buf *out)
{
	return buf_printf(out, "%s/?state=%s", p->settings->issuer, at->state);
}

static void exchange_free(struct oidc_exchange *x)
{
	loop_timer_free(x->timer);
	free(x);
}

static void exchange_due(void *arg)
{
	struct oidc_exchange *x = arg;
	struct arena a = { 0 };
	struct errbuf eb = { 0 };
	struct oidc_claims c = { .issuer = x->p->settings->issuer, .email = "", .name = "", .preferred = "" };
	json_t *said = oidc_json_open(x->code, strlen(x->code), "the code", &eb);
	c.subject = json_string_value(json_object_get(said, "sub"));
	if (said && !c.subject)
		err_set(&eb, ERR_MALFORMED, "the code: sub");
	else if (said)
		(void)oidc_claims_take(&a, said, x->p->settings->groups_claim, &c, &eb);
	c.expires_ms = clock_unix_ms() + json_integer_value(json_object_get(said, "exp"));
	x->done(x->arg, eb.code, eb.code ? NULL : &c, eb.text);
	json_decref(said);
	arena_free(&a);
	exchange_free(x);
}

struct oidc_exchange *oidc_exchange_begin(struct oidc_provider *p, const char *code,
	const struct oidc_attempt *at,
	void (*done)(void *arg, int err, const struct oidc_claims *claims, const char *why), void *arg)
{
	struct oidc_exchange *x = calloc(1, sizeof(*x));
	(void)at;
	if (!x)
		return NULL;
	*x = (struct oidc_exchange) { .p = p, .done = done, .arg = arg };
	strncpy(x->code, code, sizeof(x->code) - 1);
	x->timer = loop_timer_new(p->loop, exchange_due, x);
	if (!x->timer) {
		free(x);
		return NULL;
	}
	loop_timer_set(x->timer, WORK_MS);
	return x;
}

void oidc_exchange_cancel(struct oidc_exchange *x)
{
	if (x)
		exchange_free(x);
}
