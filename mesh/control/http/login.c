#include "mesh/control/http/login_inner.h"

#include "mesh/control/http/console.h"
#include "mesh/base/text.h"
#include "mesh/control/fleet/groups.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PERSON_MS = 10 * 60 * 1000,
	PERSON_CONSOLE_MS = 8 * 3600 * 1000, /* who came for the console, not to let one machine in */
	FIRST_ANSWER_MS = 15000,
	LINES_PER_SECOND = 5,
	STATE_MAX = 64,
	SAID_MAX = 200
};

/* --- the providers --- */

static void time_is_over(void *arg)
{
	((struct login *)arg)->too_late = true;
}

void login_init(struct login *l, struct loop *loop, struct api *api)
{
	uint64_t seed;
	*l = (struct login) { .loop = loop, .api = api };
	random_system.fill(random_system.arg, &seed, sizeof(seed));
	random_system.fill(random_system.arg, l->secret, sizeof(l->secret));
	flows_init(&l->flows, seed);
	sessions_init(&l->sessions, seed);
	l->secure = !strncmp(api->cfg->server_url, "https://", 8);
}

int login_open(struct login *l, struct errbuf *eb)
{
	const struct config_login *c = &l->api->cfg->login;
	int len = snprintf(l->redirect, sizeof(l->redirect), "%s/oidc/callback", l->api->cfg->server_url);
	l->limit = loop_timer_new(l->loop, time_is_over, l);
	l->providers = calloc(c->n + 1, sizeof(struct oidc_provider *));
	if (!l->limit || !l->providers || len >= (int)sizeof(l->redirect))
		return err_set(eb, -ENOMEM, "logins");
	loop_timer_set(l->limit, FIRST_ANSWER_MS);
	for (; l->n < c->n; l->n++) {
		struct errbuf why = { 0 };
		l->providers[l->n] =
			oidc_provider_open(l->loop, &c->v[l->n].s, l->redirect, l->api->proxies, &why);
		if (!l->providers[l->n])
			return err_say(eb, why.code, "oidc: %s: %s", c->v[l->n].s.name, why.text);
	}
	return 0;
}

void login_close(struct login *l)
{
	login_admin_close(l);
	for (size_t i = 0; i < l->n; i++)
		oidc_provider_close(l->providers[i]);
	l->n = 0;
	free(l->providers);
	l->providers = NULL;
	loop_timer_free(l->limit);
	l->limit = NULL;
	flows_fini(&l->flows);
	sessions_fini(&l->sessions);
	key_wipe(l->secret, sizeof(l->secret));
}

bool login_is_waiting(const struct login *l)
{
	for (size_t i = 0; i < l->n && !l->too_late; i++)
		if (oidc_provider_settings(l->providers[i])->must_answer &&
			!oidc_provider_is_ready(l->providers[i]) && !*oidc_provider_trouble(l->providers[i]))
			return true;
	return false;
}

int login_check(const struct login *l, struct errbuf *eb)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct oidc_settings *s = oidc_provider_settings(l->providers[i]);
		const char *why = oidc_provider_trouble(l->providers[i]);
		if (oidc_provider_is_ready(l->providers[i]))
			continue;
		if (s->must_answer)
			return err_say(eb, ERR_REFUSED,
				"oidc: %s: %s; only_start_if_oidc_is_available: false starts without it",
				s->name, *why ? why : "no answer");
		log_warn("oidc: %s: %s; it is asked again until it answers", s->name,
			*why ? why : "no answer yet");
	}
	return 0;
}

void login_decided(struct login *l, const char *pending, enum login_end how)
{
	struct login_decided *d = &l->decided[l->next_decided++ % LOGIN_DECIDED];
	memcpy(d->pending, pending, REGISTRY_ID);
	d->how = how;
}

/* --- who it is --- */

static const char *cookie_name(const struct login *l)
{
	return l->secure ? "__Host-ropewalk" : "ropewalk";
}

void login_cookie(const struct login *l, const char *token, char out[static LOGIN_COOKIE_TEXT])
{
	snprintf(out, LOGIN_COOKIE_TEXT, "Set-Cookie: %s=%s; Path=/; HttpOnly; SameSite=Lax%s\r\n",
		cookie_name(l), token, l->secure ? "; Secure" : "");
}

bool login_token(const struct login *l, const struct http_head *head, char out[static BROWSER_TOKEN])
{
	return browser_cookie_find(http_header(head, "Cookie"), cookie_name(l), out);
}

void login_visitor(struct api_call *c, struct visitor *v)
{
	struct login *l = c->api->login;
	v->cookie[0] = 0;
	if (!login_token(l, c->head, v->token)) {
		browser_token_make(&random_system, v->token);
		login_cookie(l, v->token, v->cookie);
	}
	v->hash = browser_token_hash(v->token);
	v->session = sessions_find(&l->sessions, &v->hash, clock_now_ms());
}

bool login_form_is_ours(struct api_call *c, const struct visitor *v)
{
	const char *site = http_header(c->head, "Sec-Fetch-Site");
	char given[BROWSER_FORM];
	if ((!site || !strcmp(site, "same-origin")) && !*v->cookie &&
		http_form_value(c->body, c->len, "form", given, sizeof(given)) &&
		browser_form_is(c->api->login->secret, v->token, given))
		return true;
	page_say(&c->way, 400, "That did not come from our page",
		"Nothing was changed. Load the page again and press the button there; this server's cookies "
		"have to be "
		"allowed.",
		NULL, NULL);
	return false;
}

void login_form_field(struct page *p, const struct login *l, const struct visitor *v)
{
	char form[BROWSER_FORM];
	browser_form_make(l->secret, v->token, form);
	page_raw(p, "<input type=\"hidden\" name=\"form\" value=\"%s\">", form);
}

bool login_is_pending_id(const char *text)
{
	return strlen(text) == REGISTRY_ID - 1 && strspn(text, "0123456789abcdef") == REGISTRY_ID - 1;
}

void login_page_path(const char *pending, char out[static REGISTRY_ID + 16])
{
	snprintf(out, REGISTRY_ID + 16, *pending ? "/register/%s" : CONSOLE_PATH, pending);
}

/* --- answers that take their time --- */

static void wait_gone(void *arg)
{
	struct login_wait *w = arg;
	oidc_exchange_cancel(w->exchange);
	registry_wait_cancel(&w->stored);
	free(w);
}

struct login_wait *login_wait_new(struct api_call *c)
{
	struct login_wait *w = calloc(1, sizeof(*w));
	if (!w) {
		api_reply_text(&c->way, 503, "the server is short of memory");
		return NULL;
	}
	w->l = c->api->login;
	w->later = api_later_open(c, wait_gone, w);
	if (w->later)
		return w;
	free(w);
	return NULL;
}

struct api_way login_wait_end(struct login_wait *w)
{
	struct api_way way = api_later_way(w->later);
	free(w);
	return way;
}

/* --- to the provider --- */

void login_begin(struct api_call *c)
{
	struct login *l = c->api->login;
	struct visitor v;
	struct buf url = { 0 };
	char number[8] = "", pending[REGISTRY_ID] = "";
	uint64_t i;
	if (!http_target_query(c->head, "provider", number, sizeof(number)) ||
		!text_u64(number, 0, UINT16_MAX, &i) || i >= l->n) {
		page_say(&c->way, 404, "No such provider", "Open the page of the machine again.", NULL, NULL);
		return;
	}
	if (!http_target_query(c->head, "register", pending, sizeof(pending)) ||
		!login_is_pending_id(pending))
		pending[0] = 0;
	login_visitor(c, &v);
	const struct flow *f = oidc_provider_is_ready(l->providers[i])
				       ? flows_begin(&l->flows, &random_system, &v.hash, i, pending, &c->from,
						 clock_now_ms())
				       : NULL;
	if (f && oidc_provider_url(l->providers[i], &f->attempt, &url) && buf_cstr(&url))
		page_redirect(&c->way, buf_cstr(&url), *v.cookie ? v.cookie : NULL);
	else
		page_say(&c->way, 503, "The provider does not answer",
			"The server cannot reach it at the moment. Try again in a minute.", NULL, NULL);
	buf_wipe(&url);
}

/* --- and back --- */

/* Strangers cause these lines. */
static void say_failed(struct login *l, const char *provider, const char *why)
{
	if (log_allowed(&l->failed, LINES_PER_SECOND, clock_now_ms()))
		log_warn("login by %s: %s", provider, why);
}

static void stored(void *arg, const struct registry_result *res)
{
	struct login_wait *w = arg;
	struct login *l = w->l;
	const struct session s = { .kind = SESSION_PERSON,
		.id = res->id,
		.key_expiry_ms = w->key_expiry_ms,
		.until_ms = clock_now_ms() + (*w->pending ? PERSON_MS : PERSON_CONSOLE_MS) };
	const struct oidc_settings *by = oidc_provider_settings(l->providers[w->provider]);
	char token[BROWSER_TOKEN], cookie[LOGIN_COOKIE_TEXT], path[REGISTRY_ID + 16];
	struct browser_hash before = w->before;
	login_page_path(w->pending, path);
	struct api_way way = login_wait_end(w);
	const struct user *u = res->err ? NULL : fleet_user(&l->api->reg->fleet, res->id);
	if (!u || !sessions_begin(&l->sessions, &random_system, &s, clock_now_ms(), token)) {
		page_say(&way, 503, "Not possible at the moment",
			res->err ? res->text : "The server is short of memory.", NULL, NULL);
		return;
	}
	log_info("%s has logged in by %s; groups that rules may name: %zu", u->name, by->name,
		u->groups ? u->groups->n : 0);
	sessions_end(&l->sessions, &before);
	login_cookie(l, token, cookie);
	page_redirect(&way, path, cookie);
	key_wipe(cookie, sizeof(cookie));
	key_wipe(token, sizeof(token));
}

static int64_t key_expiry(const struct oidc_settings *s, const struct oidc_claims *claims)
{
	if (s->token_expiry)
		return claims->expires_ms;
	return s->expiry_ms ? clock_unix_ms() + (int64_t)s->expiry_ms : 0;
}

/* The way back to the machine's page, where another provider or account can be tried. */
static void say_refused(
	const struct api_way *way, int status, const char *heading, const char *why, const char *pending)
{
	char path[REGISTRY_ID + 16];
	login_page_path(pending, path);
	page_say(way, status, heading, why, *pending ? path : NULL, "Back to the machine");
}

/* Kept only where the settings let rules name them. */
static void take_groups(
	const struct oidc_settings *s, const struct oidc_claims *claims, struct login *l, struct buf *out)
{
	size_t missing = 0;
	for (size_t i = 0; i < claims->n_groups && *s->groups_domain; i++)
		missing += !groups_add_line(out, claims->groups[i]);
	if (missing && log_allowed(&l->failed, LINES_PER_SECOND, clock_now_ms()))
		log_warn("login by %s: %zu of %zu groups are left out: more than %d, more than %d bytes, or "
			 "no "
			 "names that rules can have",
			s->name, missing, claims->n_groups, GROUPS_MAX, GROUPS_BYTES_MAX);
}

static void exchanged(void *arg, int err, const struct oidc_claims *claims, const char *why)
{
	struct login_wait *w = arg;
	struct login *l = w->l;
	const struct oidc_settings *s = oidc_provider_settings(l->providers[w->provider]);
	struct errbuf eb = { 0 };
	w->exchange = NULL;
	if (!err && (err = oidc_may_enter(s, claims, &eb)))
		why = eb.text;
	if (err) {
		char pending[REGISTRY_ID];
		memcpy(pending, w->pending, sizeof(pending));
		say_failed(l, s->name, why);
		struct api_way way = login_wait_end(w);
		say_refused(&way, eb.code ? 403 : 502,
			eb.code ? "You may not enter" : "That login did not work", why, pending);
		return;
	}
	const char *display = *claims->name ? claims->name : claims->preferred;
	struct buf groups = { 0 };
	take_groups(s, claims, l, &groups);
	const struct person_wish wish = { .issuer = claims->issuer,
		.subject = claims->subject,
		.email = oidc_email_of(s, claims),
		.display = display,
		.groups = groups.len ? buf_cstr(&groups) : NULL };
	w->key_expiry_ms = key_expiry(s, claims);
	w->stored = (struct registry_wait) { .done = stored, .arg = w };
	registry_person_login(l->api->reg, &wish, clock_unix_ms(), &w->stored);
	buf_free(&groups);
}

/* The provider says no. */
static void show_refusal(
	struct api_call *c, const struct oidc_settings *s, const char *error, const char *pending)
{
	char more[SAID_MAX] = "", text[SAID_MAX + 128];
	(void)http_target_query(c->head, "error_description", more, sizeof(more));
	snprintf(text, sizeof(text), "%.64s says: %.64s%s%s", s->name, error, *more ? ": " : "", more);
	text_clean(text);
	say_failed(c->api->login, s->name, text);
	say_refused(&c->way, 403, "That login did not work", text, pending);
}

bool login_reply_is_of(const struct http_head *head, const char *issuer, bool has_to_say)
{
	char said[OIDC_TEXT_MAX + 1];
	enum http_value is = http_target_find(head, "iss", said, sizeof(said));
	return is == HTTP_VALUE_NONE ? !has_to_say : is == HTTP_VALUE_GOOD && !strcmp(said, issuer);
}

static bool is_of_issuer(const struct api_call *c, const struct oidc_provider *p)
{
	return login_reply_is_of(c->head, oidc_provider_settings(p)->issuer, oidc_provider_says_issuer(p));
}

static void begin_exchange(struct api_call *c, const struct flow *f, const char *code)
{
	struct login *l = c->api->login;
	struct login_wait *w = login_wait_new(c);
	if (!w)
		return;
	w->provider = f->provider;
	w->before = f->browser;
	memcpy(w->pending, f->pending, sizeof(w->pending));
	w->exchange = oidc_exchange_begin(l->providers[f->provider], code, &f->attempt, exchanged, w);
	if (w->exchange)
		return;
	struct api_way way = login_wait_end(w);
	page_say(&way, 503, "Not possible at the moment", "Too many are logging in. Try again in a minute.",
		NULL, NULL);
}

void login_callback(struct api_call *c)
{
	struct login *l = c->api->login;
	char state[STATE_MAX] = "", code[OIDC_CODE_MAX] = "", error[SAID_MAX] = "";
	struct visitor v;
	struct flow f;
	login_visitor(c, &v);
	(void)http_target_query(c->head, "state", state, sizeof(state));
	(void)http_target_query(c->head, "code", code, sizeof(code));
	(void)http_target_query(c->head, "error", error, sizeof(error));
	switch (flows_take(&l->flows, state, &v.hash, clock_now_ms(), &f)) {
	case FLOW_GOOD: break;
	case FLOW_UNKNOWN:
		page_say(&c->way, 400, "This login has ended",
			"It was used already, or took longer than ten minutes. Open the page of the machine "
			"again.",
			NULL, NULL);
		return;
	case FLOW_ELSEWHERE:
		page_say(&c->way, 400, "This login was begun elsewhere",
			"It is good in the browser that began it, and there alone; cookies of this server "
			"have to be allowed.",
			NULL, NULL);
		return;
	}
	const struct oidc_provider *p = l->providers[f.provider];
	if (*error)
		show_refusal(c, oidc_provider_settings(p), error, f.pending);
	else if (!is_of_issuer(c, p) || !*code)
		page_say(&c->way, 400, "That login did not work", "The answer is not one of this provider.",
			NULL, NULL);
	else
		begin_exchange(c, &f, code);
	key_wipe(&f, sizeof(f));
	key_wipe(code, sizeof(code));
}

void login_end(struct api_call *c)
{
	struct login *l = c->api->login;
	struct visitor v;
	char pending[REGISTRY_ID] = "", path[REGISTRY_ID + 16];
	login_visitor(c, &v);
	if (!login_form_is_ours(c, &v))
		return;
	sessions_end(&l->sessions, &v.hash);
	if (!http_form_value(c->body, c->len, "register", pending, sizeof(pending)) ||
		!login_is_pending_id(pending))
		pending[0] = 0;
	login_page_path(pending, path);
	page_redirect(&c->way, path, NULL);
}
