/* Theory of operation in console.h. */
#include "mesh/control/http/console.h"

#include "mesh/control/console/assets.h"
#include "mesh/base/log.h"
#include "mesh/control/http/login_inner.h"
#include <stdio.h>
#include <string.h>

#define FORM_HEADER "X-Ropewalk-Form"

/* --- rights --- */

/* What a role opens, beside the person's own nodes; "all": whatever an admin may. Roles as the official service has
 * them: machines are the it-admin's, what they carry and reach is the network admin's. Who gives which tags: api_giver. */
static const char *const role_scopes[USER_ROLES] = { [USER_MEMBER] = "",
	[USER_AUDITOR] = "all:read",
	[USER_BILLING_ADMIN] = "all:read",
	[USER_IT_ADMIN] = "all:read devices:core auth_keys users",
	[USER_NETWORK_ADMIN] = "all:read devices:routes policy_file dns",
	[USER_ADMIN] = "all",
	[USER_OWNER] = "all" };

static const char *scopes_of(const struct api *a, const struct session *s)
{
	if (s->kind == SESSION_ADMIN)
		return "all";
	return role_scopes[fleet_role(&a->reg->fleet, s->id)];
}

/* NULL: who that was has gone. */
static const char *name_of(const struct api *a, const struct session *s)
{
	if (s->kind == SESSION_ADMIN) {
		const struct admin *admin = admins_by_id(&a->reg->admins, s->id);
		return admin ? admin->name : NULL;
	}
	const struct user *u = fleet_user(&a->reg->fleet, s->id);
	return u ? u->name : NULL;
}

bool console_rights(struct api_call *c, const struct browser_hash *who)
{
	const struct session *s = sessions_find(&c->api->login->sessions, who, clock_now_ms());
	const char *name = s ? name_of(c->api, s) : NULL;
	char say[64];
	if (!name)
		return false;
	c->whole = !strcmp(scopes_of(c->api, s), "all");
	(void)api_scopes_read(scopes_of(c->api, s), &c->scopes, say, sizeof(say));
	c->own = c->person = s->kind == SESSION_PERSON ? s->id : 0;
	c->rank = s->kind == SESSION_PERSON ? fleet_role(&c->api->reg->fleet, s->id) : USER_ADMIN;
	snprintf(c->who, sizeof(c->who), "%s", name);
	return true;
}

/* The cookie, when the request comes from a page of ours. */
static bool is_from_page(const struct login *l, const struct http_head *head, struct browser_hash *who)
{
	const char *site = http_header(head, "Sec-Fetch-Site"), *form = http_header(head, FORM_HEADER);
	char token[BROWSER_TOKEN];
	bool ok = form && (!site || !strcmp(site, "same-origin")) && login_token(l, head, token) &&
		  browser_form_is(l->secret, token, form);
	if (ok)
		*who = browser_token_hash(token);
	key_wipe(token, sizeof(token));
	return ok;
}

static bool opens(const char *path)
{
	static const char *const roots[] = { "/v1/", "/api/", CONSOLE_PATH "/" };
	for (size_t i = 0; i < ARRAY_LEN(roots); i++)
		if (!strncmp(path, roots[i], strlen(roots[i])))
			return true;
	return false;
}

void console_authenticate(struct api_call *c)
{
	struct browser_hash who;
	if (c->right == API_ANYBODY && opens(c->path) && is_from_page(c->api->login, c->head, &who) &&
		console_rights(c, &who))
		c->right = API_SESSION;
}

bool console_may_send(const struct api *a, const struct http_head *head)
{
	struct browser_hash who;
	if (!is_from_page(a->login, head, &who))
		return false;
	const struct session *s = sessions_find(&a->login->sessions, &who, clock_now_ms());
	return s && name_of(a, s) && *scopes_of(a, s);
}

/* Reading is not said; of what is changed no secret is, such as a password's hash. */
void console_note(const struct api_call *c, const struct api_row *r)
{
	static const char *const told[] = { "id", "name", "user", "role", "tags", "routes", "at" };
	const char *end = strrchr(r->path, '/');
	char text[256];
	size_t n = 0;
	if (c->right != API_SESSION || !strcmp(r->method, "GET") || (r->scope && strstr(r->scope, ":read")) ||
		!strcmp(end, "/list"))
		return;
	for (size_t i = 0; i < ARRAY_LEN(told) && n < sizeof(text) - 1; i++) {
		const json_t *v = json_object_get(c->args, told[i]);
		if (json_is_string(v))
			n += (size_t)snprintf(
				text + n, sizeof(text) - n, " %s=%.64s", told[i], json_string_value(v));
		else if (json_is_integer(v))
			n += (size_t)snprintf(text + n, sizeof(text) - n, " %s=%lld", told[i],
				(long long)json_integer_value(v));
	}
	log_info("console: %s asks for %s %s%s", c->who, r->method, c->path, n ? text : "");
}

/* --- pages --- */

static void put_attribute(struct page *p, const char *name, const char *value)
{
	page_raw(p, " data-%s=\"", name);
	page_text(p, value);
	page_raw(p, "\"");
}

/* The frame that the scripts fill. What they need to know of who sits there stands in it. */
static void show_frame(struct api_call *c, const struct visitor *v)
{
	const struct api *a = c->api;
	char form[BROWSER_FORM];
	struct page p;
	browser_form_make(a->login->secret, v->token, form);
	page_open(&p, "Ropewalk", "/admin/style.css");
	for (const struct console_asset *f = console_assets; f->name; f++)
		if (f->at_once)
			page_raw(&p, "<link rel=\"modulepreload\" href=\"/admin/%s\">", f->name);
	page_raw(&p, "<script type=\"module\" src=\"/admin/app.js\"></script><body");
	put_attribute(&p, "form", form);
	put_attribute(&p, "name", name_of(a, v->session));
	put_attribute(&p, "kind", v->session->kind == SESSION_ADMIN ? "admin" : "person");
	put_attribute(&p, "scopes", scopes_of(a, v->session));
	put_attribute(&p, "server", a->cfg->server_url);
	put_attribute(&p, "domain", a->cfg->base_domain);
	put_attribute(&p, "version", RW_VERSION);
	page_raw(&p,
		"><noscript><p>The console needs scripts; they come from this server alone.</p></noscript>");
	page_reply(&p, &c->way, 200, NULL);
}

void console_page(struct api_call *c)
{
	struct visitor v;
	login_visitor(c, &v);
	if (v.session && name_of(c->api, v.session))
		show_frame(c, &v);
	else
		page_redirect(&c->way, "/login", *v.cookie ? v.cookie : NULL);
}

/* As people write it. */
void console_slash(struct api_call *c)
{
	page_redirect(&c->way, "/admin", NULL);
}

/* Asked for again with each page, and sent again when it is another: scripts of two versions do not meet. */
void console_asset(struct api_call *c)
{
	const struct console_asset *f = console_asset_find(c->tail);
	const char *has = http_header(c->head, "If-None-Match");
	char tag[CONSOLE_TAG], extra[256];
	if (!f) {
		api_reply_text(&c->way, 404, "not found");
		return;
	}
	console_asset_tag(f, tag);
	snprintf(extra, sizeof(extra),
		"Cache-Control: no-cache\r\nETag: %s\r\nX-Content-Type-Options: nosniff\r\n"
		"Cross-Origin-Resource-Policy: same-origin\r\n",
		tag);
	if (has && !strcmp(has, tag))
		api_reply(&c->way, 304, f->type, extra, "", 0);
	else
		api_reply(&c->way, 200, f->type, extra, f->bytes, *f->len);
}
