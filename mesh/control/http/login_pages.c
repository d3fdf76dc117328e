/* The page of a machine that waits, and what it asks for while it is open. */
#include "mesh/control/http/login_inner.h"

#include "mesh/base/text.h"

#include "mesh/control/http/machine.h"
#include <stdio.h>
#include <string.h>

enum { KEY_SHOWN = 8 + 12, MINUTE_MS = 60 * 1000 };

extern const unsigned char login_css[], login_js[];
extern const size_t login_css_len, login_js_len;

static const char fixed[] = "Cache-Control: max-age=300\r\nX-Content-Type-Options: nosniff\r\n";

void login_style(struct api_call *c)
{
	api_reply(&c->way, 200, "text/css; charset=utf-8", fixed, login_css, login_css_len);
}

void login_script(struct api_call *c)
{
	api_reply(&c->way, 200, "text/javascript; charset=utf-8", fixed, login_js, login_js_len);
}

/* --- where it stands --- */

enum standing { STANDS_WAITING, STANDS_IN, STANDS_BACK, STANDS_REJECTED, STANDS_UNKNOWN };
static const char *const standing_names[] = { [STANDS_WAITING] = "waiting",
	[STANDS_IN] = "in",
	[STANDS_BACK] = "withdrawn",
	[STANDS_REJECTED] = "rejected",
	[STANDS_UNKNOWN] = "unknown" };

static enum standing find_standing(const struct login *l, const char *id, struct pending_info *p)
{
	if (!login_is_pending_id(id))
		return STANDS_UNKNOWN;
	machines_recall(l->api->machines, id);
	if (registry_pending_find(l->api->reg, id, p))
		return STANDS_WAITING;
	for (size_t i = 0; i < LOGIN_DECIDED && i < l->next_decided; i++) {
		const struct login_decided *d = &l->decided[(l->next_decided - 1 - i) % LOGIN_DECIDED];
		if (!strcmp(d->pending, id))
			return d->how == LOGIN_IN     ? STANDS_IN
			       : d->how == LOGIN_BACK ? STANDS_BACK
						      : STANDS_REJECTED;
	}
	return STANDS_UNKNOWN;
}

/* What the script of an open page asks for, once a second: no connection of a stranger is held for it. */
void login_pending(struct api_call *c)
{
	struct pending_info p;
	enum standing s = find_standing(c->api->login, c->tail, &p);
	char text[64];
	int len = snprintf(text, sizeof(text), "{\"state\":\"%s\"}", standing_names[s]);
	api_reply(&c->way, 200, "application/json", "Cache-Control: no-store\r\n", text, (size_t)len);
}

/* --- the page --- */

static void put_fact(struct page *p, const char *name, const char *value)
{
	page_raw(p, "<dt>%s<dd>", name);
	page_text(p, *value ? value : "not said");
}

static void put_facts(struct page *p, const struct pending_info *m, int64_t now_ms)
{
	char key[KEY_TEXT], from[ADDR_TEXT], since[48], span[TEXT_COUNT];
	int64_t ago = now_ms - m->since_ms;
	key_format(m->key.b, "nodekey:", key);
	memcpy(key + KEY_SHOWN, "\xe2\x80\xa6", sizeof("\xe2\x80\xa6"));
	if (ago < MINUTE_MS)
		snprintf(since, sizeof(since), "just now");
	else
		snprintf(since, sizeof(since), "%s ago", text_span((uint64_t)ago, span));
	page_raw(p, "<dl>");
	put_fact(p, "Machine", m->hostname);
	put_fact(p, "System", m->os);
	put_fact(p, "Asks from", addr_is_unspecified(&m->from) ? "" : addr_format(&m->from, from));
	put_fact(p, "Key", key);
	put_fact(p, "Since", since);
	page_raw(p, "</dl>");
}

static void begin_form(struct page *p, const struct login *l, const struct visitor *v, const char *id)
{
	page_raw(p, "<form method=\"post\" action=\"/register/%s\">", id);
	login_form_field(p, l, v);
}

static void put_logout(struct page *p, const struct login *l, const struct visitor *v, const char *id)
{
	page_raw(p,
		"<form method=\"post\" action=\"/logout\"><input type=\"hidden\" name=\"register\" "
		"value=\"%s\">",
		id);
	login_form_field(p, l, v);
	page_raw(p, "<button class=\"quiet\">Not you? Log out</button></form>");
}

static void put_name(struct page *p, const char *name)
{
	page_raw(p, "<p>You are logged in as <strong>");
	page_text(p, name);
	page_raw(p, "</strong>. ");
}

static void put_confirm(struct page *p, const struct login *l, const struct visitor *v, const char *id)
{
	const struct user *u = fleet_user(&l->api->reg->fleet, v->session->id);
	put_name(p, u ? u->name : "");
	page_raw(p, "The machine will be yours.</p><p class=\"care\">Let it in only if you started this "
		    "yourself, on that "
		    "machine. Whoever sent you this page would have a machine in your name.</p>");
	begin_form(p, l, v, id);
	page_raw(p, "<button class=\"button\">Let it in</button></form>");
	put_logout(p, l, v, id);
}

/* An admin says whose it is. */
static void put_choice(struct page *p, const struct login *l, const struct visitor *v, const char *id)
{
	const struct admin *a = admins_by_id(&l->api->reg->admins, v->session->id);
	const struct fleet *f = &l->api->reg->fleet;
	put_name(p, a ? a->name : "");
	page_raw(p, "As an admin you let it in for any user.</p>");
	if (f->n_users) {
		begin_form(p, l, v, id);
		page_raw(p, "<label>Whose machine it is<select name=\"user\" required>%s",
			f->n_users > 1 ? "<option value=\"\">Choose a user" : "");
		for (size_t i = 0; i < f->n_users; i++) {
			page_raw(p, "<option>");
			page_text(p, f->users[i].name);
		}
		page_raw(p, "</select></label><button class=\"button\">Let it in</button></form>");
	} else {
		page_raw(p, "<p class=\"care\">There is no user yet: <code>ropewalk-control users create "
			    "NAME</code> makes one.</p>");
	}
	put_logout(p, l, v, id);
}

void login_put_providers(struct page *p, const struct login *l, const char *id)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct oidc_settings *s = oidc_provider_settings(l->providers[i]);
		if (oidc_provider_is_ready(l->providers[i])) {
			page_raw(p,
				"<p><a class=\"button\" "
				"href=\"/oidc/begin?provider=%zu&amp;register=%s\">Log in with ",
				i, id);
			page_text(p, s->name);
			page_raw(p, "</a></p>");
		} else {
			page_raw(p, "<p class=\"care\">");
			page_text(p, s->name);
			page_raw(p, " does not answer at the moment.</p>");
		}
	}
}

static void put_command(struct page *p, const struct login *l, const char *id)
{
	page_raw(p, l->n ? "<details><summary>Or an admin lets it in</summary>"
			 : "<p>An admin of this network lets it in.</p>");
	if (l->api->reg->admins.n)
		page_raw(p, "<p><a class=\"%s\" href=\"/login?register=%s\">Log in as an admin</a></p>",
			l->n ? "quiet" : "button", id);
	page_raw(p,
		"<p>On the server:</p><pre>ropewalk-control nodes approve %s</pre><p>With several users, say "
		"whose node it "
		"is: <code>--user NAME</code>. The machine notices by itself, and so does this page.</p>",
		id);
	if (l->n)
		page_raw(p, "</details>");
}

static void show_waiting(struct api_call *c, const struct visitor *v, const struct pending_info *m)
{
	static const char
		script[] = "<script src=\"/login.js\" defer></script>",
		reload[] = "<script src=\"/login.js\" defer></script><noscript><meta http-equiv=\"refresh\" "
			   "content=\"5\"></noscript>";
	const struct login *l = c->api->login;
	char title[300], body[80];
	struct page p;
	snprintf(title, sizeof(title), "%s asks to join", *m->hostname ? m->hostname : "A machine");
	snprintf(body, sizeof(body), "data-pending=\"%s\"", m->id);
	/* Without a script a page that waits for somebody else is loaded again; not while there is something to press. */
	page_begin(&p, title, v->session ? script : reload, body);
	put_facts(&p, m, c->now_ms);
	if (!v->session) {
		login_put_providers(&p, l, m->id);
		put_command(&p, l, m->id);
	} else if (v->session->kind == SESSION_ADMIN) {
		put_choice(&p, l, v, m->id);
	} else {
		put_confirm(&p, l, v, m->id);
	}
	page_reply(&p, &c->way, 200, *v->cookie ? v->cookie : NULL);
}

void login_register(struct api_call *c)
{
	struct pending_info m;
	struct visitor v;
	switch (find_standing(c->api->login, c->tail, &m)) {
	case STANDS_WAITING:
		login_visitor(c, &v);
		show_waiting(c, &v, &m);
		return;
	case STANDS_IN:
		page_say(&c->way, 200, "The machine is in",
			"It has noticed by itself. You can close this page.", NULL, NULL);
		return;
	case STANDS_BACK:
		page_say(&c->way, 200, "Taken back", "The machine does not ask any more.", NULL, NULL);
		return;
	case STANDS_REJECTED:
		page_say(&c->way, 200, "Rejected",
			"An admin does not let this machine in. It may ask again in some minutes.", NULL,
			NULL);
		return;
	case STANDS_UNKNOWN:
		page_say(&c->way, 404, "Nothing waits here",
			"This machine has been let in already, or its request is too old: run `ropewalk up` "
			"on it again.",
			NULL, NULL);
		return;
	}
}

/* --- let in --- */

static void approved(void *arg, const struct registry_result *res)
{
	struct login_wait *w = arg;
	char path[REGISTRY_ID + 16];
	login_page_path(w->pending, path);
	struct api_way way = login_wait_end(w);
	if (res->err)
		page_say(&way, res->unsaved ? 503 : 400, "The machine was not let in", res->text, NULL, NULL);
	else
		page_redirect(&way, path, NULL);
}

/* For whom the visitor may let a machine in: into name. false: nobody is logged in (any more). */
static bool choose_owner(struct api_call *c, const struct visitor *v, char name[static FLEET_USER_NAME])
{
	const struct registry *r = c->api->reg;
	name[0] = 0;
	if (!v->session)
		return false;
	if (v->session->kind == SESSION_ADMIN) {
		(void)http_form_value(c->body, c->len, "user", name, FLEET_USER_NAME);
		return admins_by_id(&r->admins, v->session->id);
	}
	const struct user *u = fleet_user(&r->fleet, v->session->id);
	if (u)
		memcpy(name, u->name, sizeof(u->name));
	return u;
}

void login_approve(struct api_call *c)
{
	struct login *l = c->api->login;
	struct visitor v;
	char path[REGISTRY_ID + 16], owner[FLEET_USER_NAME];
	if (!login_is_pending_id(c->tail)) {
		page_say(&c->way, 404, "Nothing waits here", "Open the page of the machine again.", NULL,
			NULL);
		return;
	}
	login_visitor(c, &v);
	if (!login_form_is_ours(c, &v))
		return;
	if (!choose_owner(c, &v, owner)) { /* the login has ended meanwhile */
		login_page_path(c->tail, path);
		page_redirect(&c->way, path, NULL);
		return;
	}
	struct login_wait *w = login_wait_new(c);
	if (!w)
		return;
	memcpy(w->pending, c->tail, REGISTRY_ID);
	w->stored = (struct registry_wait) { .done = approved, .arg = w };
	machines_recall(l->api->machines, w->pending);
	/* their own machine, or by an admin of this server's */
	registry_approve(l->api->reg, w->pending,
		&(struct approve_wish) {
			.user = owner, .by = USER_ADMIN, .expiry_ms = v.session->key_expiry_ms },
		c->now_ms, &w->stored);
}
