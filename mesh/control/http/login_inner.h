/* Shared by the files of the login. */
#ifndef RW_CONTROL_HTTP_LOGIN_INNER_H
#define RW_CONTROL_HTTP_LOGIN_INNER_H

#include "mesh/control/http/login.h"
#include "mesh/control/http/page.h"

enum { LOGIN_COOKIE_TEXT = 160 };

/* Who sits at the browser. */
struct visitor {
	char token[BROWSER_TOKEN]; /* its cookie; made anew when it had none */
	struct browser_hash hash;
	char cookie[LOGIN_COOKIE_TEXT]; /* header line that sets a new one; "" = it has one */
	const struct session *session;	/* NULL = nobody that we know */
};
void login_visitor(struct api_call *c, struct visitor *v);
/* The token of a request's cookie. false: it has none. */
bool login_token(const struct login *l, const struct http_head *head, char out[static BROWSER_TOKEN]);
/* The header line for a token. */
void login_cookie(const struct login *l, const char *token, char out[static LOGIN_COOKIE_TEXT]);
/* Whether the call's body is a form of one of our pages, sent from it; else it is refused. */
bool login_form_is_ours(struct api_call *c, const struct visitor *v);
/* The hidden field by which it is. */
void login_form_field(struct page *p, const struct login *l, const struct visitor *v);
/* Links to the providers; pending: what is to be let in then, or "". */
void login_put_providers(struct page *p, const struct login *l, const char *pending);

/* Whether what a browser brings from a provider is of this one (RFC 9207): it names no other, and itself where it has to. One that
 * cannot be read is another's. */
bool login_reply_is_of(const struct http_head *head, const char *issuer, bool has_to_say);

/* An answer that takes its time: for an exchange, then for what is stored. */
struct login_wait {
	struct login *l;
	struct api_later *later;
	struct oidc_exchange *exchange;
	struct registry_wait stored;
	size_t provider;
	struct browser_hash before; /* the cookie until now */
	char pending[REGISTRY_ID];
	int64_t key_expiry_ms;
};
/* NULL: answered, there is no memory. */
struct login_wait *login_wait_new(struct api_call *c);
/* Ends it; the answer is due at once. */
struct api_way login_wait_end(struct login_wait *w);
void login_admin_close(struct login *l); /* what is being compared is waited for */
/* Logged in: the answer, with a cookie in the place of the one before. */
void login_admin_in(struct login *l, const struct api_way *way, const struct admin *who,
	const struct browser_hash *before, const char *pending);
/* The first admin (login_first.c): whether one can be made here, its form, and the end of what is under way. */
bool login_first_is_open(const struct login *l);
void login_first_form(struct page *p, const struct login *l, const struct visitor *v);
void login_first_close(struct login *l);
/* Has the form of an id of something that waits. */
bool login_is_pending_id(const char *text);
/* Where the page of something that waits is; "" stands for nothing that waits: the console. */
void login_page_path(const char *pending, char out[static REGISTRY_ID + 16]);

#endif
