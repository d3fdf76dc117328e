/* One provider of logins, as its relying party: what it says of itself is kept fresh, a browser is sent to it, and the
 * code that the browser brings back is exchanged for who it was. OpenID Connect Core 1.0, 3.1; PKCE: RFC 7636;
 * RFC 9700.
 *
 * The discovery document and the keys are asked for when it is opened, every hour after that, and, where that fails,
 * again after 2 s, 4 s, up to a minute; meanwhile what was known holds. An ID token by a key that is not known asks for
 * the keys once more, every ten seconds at most. */
#ifndef RW_OIDC_PROVIDER_H
#define RW_OIDC_PROVIDER_H

#include "mesh/base/buf.h"
#include "mesh/oidc/rules.h"
#include "mesh/os/loop.h"

enum { OIDC_CODE_MAX = 2048, OIDC_EXCHANGES_MAX = 64 };

struct oidc_provider;
struct proxies;
/* settings, redirect, the URL that the browser comes back to, and proxies, by which the provider is reached (NULL: by none),
 * are borrowed. NULL with a sentence: memory is short, or
 * this machine trusts no authority. */
struct oidc_provider *oidc_provider_open(struct loop *l, const struct oidc_settings *settings,
	const char *redirect, const struct proxies *proxies, struct errbuf *eb);
void oidc_provider_close(struct oidc_provider *p); /* exchanges end without a word; NULL is fine */
const struct oidc_settings *oidc_provider_settings(const struct oidc_provider *p);
/* It has answered, so that logins can begin. */
bool oidc_provider_is_ready(const struct oidc_provider *p);
/* The last time that it was asked something went wrong: what; "" = it went well, or nothing was answered yet. */
const char *oidc_provider_trouble(const struct oidc_provider *p);
/* Whether an answer to the browser without `iss` is none of its own. */
bool oidc_provider_says_issuer(const struct oidc_provider *p);

/* Where to send the browser; false: not ready, or memory is short. */
bool oidc_provider_url(const struct oidc_provider *p, const struct oidc_attempt *at, struct buf *out);

struct oidc_exchange;
/* done: once, from the loop: 0 and the claims (valid during the call), or a code and a sentence. NULL: it is not ready,
 * memory is short or too many are on their way, and done is not called. */
struct oidc_exchange *oidc_exchange_begin(struct oidc_provider *p, const char *code,
	const struct oidc_attempt *at,
	void (*done)(void *arg, int err, const struct oidc_claims *claims, const char *why), void *arg);
void oidc_exchange_cancel(struct oidc_exchange *x); /* NULL is fine */

#endif
