/* Local admins log in by a password. It is compared on another thread, one at a time: each costs a tenth of a second and
 * 64 MiB, whoever asks. A name that nobody has costs the same. */
#include "mesh/control/http/login_inner.h"

#include "mesh/base/log.h"
#include "mesh/base/text.h"
#include "mesh/os/work.h"
#include "mesh/web/password.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ADMIN_MS = 8 * 3600 * 1000, TRIES_MAX = 8, TRIES_EACH = 2, LINES_PER_SECOND = 5 };

/* One that waits, or is compared. later NULL: nobody waits any more. */
struct login_try {
	struct login_try *next;
	struct login *l;
	struct api_later *later;
	struct addr from;
	struct browser_hash before;
	char pending[REGISTRY_ID];
	char name[ADMIN_NAME], hash[PASSWORD_HASH], password[PASSWORD_MAX + 1];
	int64_t admin; /* 0 = nobody has that name */
	bool right;
};

static void free_try(struct login_try *t)
{
	key_wipe(t, sizeof(*t));
	free(t);
}

/* --- the page --- */

static void show_form(struct api_call *c, int status, const char *complaint, const char *pending)
{
	struct visitor v;
	struct page p;
	login_visitor(c, &v);
	const struct login *l = c->api->login;
	bool first = login_first_is_open(c->api->login);
	page_begin(&p,
		first		    ? "The first admin"
		: l->n && !*pending ? "Log in"
				    : "Log in as an admin",
		"", "");
	if (*complaint) {
		page_raw(&p, "<p class=\"care\" role=\"alert\">");
		page_text(&p, complaint);
		page_raw(&p, "</p>");
	}
	if (!*pending)
		login_put_providers(&p, l, "");
	if (first) {
		login_first_form(&p, c->api->login, &v);
		page_reply(&p, &c->way, status, *v.cookie ? v.cookie : NULL);
		return;
	}
	if (!l->api->reg->admins.n) {
		page_raw(&p,
			"<p class=\"care\">%s there is no admin with a password: on the server, "
			"<code>ropewalk-control admins create NAME</code> makes one.</p>",
			l->n ? "Or as an admin:" : "Nobody can log in yet:");
		page_reply(&p, &c->way, status, *v.cookie ? v.cookie : NULL);
		return;
	}
	page_raw(&p,
		"<form method=\"post\" action=\"/login\"><input type=\"hidden\" name=\"register\" "
		"value=\"%s\">",
		pending);
	login_form_field(&p, l, &v);
	page_raw(&p,
		"<label>Name<input name=\"name\" autocomplete=\"username\" required autofocus></label>"
		"<label>Password<input name=\"password\" type=\"password\" autocomplete=\"current-password\" "
		"required></label><button class=\"button\">Log in</button></form>");
	page_reply(&p, &c->way, status, *v.cookie ? v.cookie : NULL);
}

void login_admin_page(struct api_call *c)
{
	char pending[REGISTRY_ID] = "";
	if (!http_target_query(c->head, "register", pending, sizeof(pending)) ||
		!login_is_pending_id(pending))
		pending[0] = 0;
	show_form(c, 200, "", pending);
}

/* --- compared --- */

static void compare(void *arg)
{
	struct login_try *t = arg;
	t->right = password_is(t->admin ? t->hash : password_of_nobody, t->password) && t->admin;
}

void login_admin_in(struct login *l, const struct api_way *way, const struct admin *who,
	const struct browser_hash *before, const char *pending)
{
	const struct session s = {
		.kind = SESSION_ADMIN, .id = who->id, .until_ms = clock_now_ms() + ADMIN_MS
	};
	char token[BROWSER_TOKEN], cookie[LOGIN_COOKIE_TEXT], path[REGISTRY_ID + 16];
	if (!sessions_begin(&l->sessions, &random_system, &s, clock_now_ms(), token)) {
		page_say(
			way, 503, "Not possible at the moment", "The server is short of memory.", NULL, NULL);
		return;
	}
	log_info("admin %s has logged in", who->name);
	sessions_end(&l->sessions, before);
	login_cookie(l, token, cookie);
	login_page_path(pending, path);
	page_redirect(way, path, cookie);
	key_wipe(cookie, sizeof(cookie));
	key_wipe(token, sizeof(token));
}

static void next_try(struct login *l);

static void compared(void *arg)
{
	struct login_try *t = arg;
	struct login *l = t->l;
	const struct admin *now = admins_by_id(&l->api->reg->admins, t->admin);
	bool right = t->right && now && !strcmp(now->hash, t->hash); /* it may be another by now */
	l->comparing = NULL;
	if (right)
		throttle_passed(&l->throttle, &t->from);
	else
		throttle_failed(&l->throttle, &t->from, clock_now_ms());
	if (!right && log_allowed(&l->failed, LINES_PER_SECOND, clock_now_ms())) {
		char at[ADDR_TEXT];
		text_clean(t->name);
		log_warn("login of admin %s from %s: wrong name or password", t->name,
			addr_format(&t->from, at));
	}
	if (t->later) {
		struct api_way way = api_later_way(t->later);
		if (right)
			login_admin_in(l, &way, now, &t->before, t->pending);
		else
			page_say(&way, 403, "Wrong name or password", "Nobody is logged in.", "/login",
				"Try again");
	}
	free_try(t);
	next_try(l);
}

/* One that cannot be compared is told so, and those behind it get their turn. */
static void next_try(struct login *l)
{
	while (!l->comparing && l->tries) {
		struct login_try *t = l->tries;
		l->tries = t->next;
		l->n_tries--;
		l->comparing = t;
		l->compare_work = work_start(l->loop, compare, compared, t);
		if (l->compare_work)
			return;
		l->comparing = NULL;
		struct api_way way = api_later_way(t->later);
		free_try(t);
		page_say(&way, 503, "Not possible at the moment", "The server is short of memory.", NULL,
			NULL);
	}
}

/* Its connection has gone. One that is being compared ends by itself. */
static void try_gone(void *arg)
{
	struct login_try *t = arg;
	struct login *l = t->l;
	t->later = NULL;
	if (l->comparing == t)
		return;
	for (struct login_try **at = &l->tries; *at; at = &(*at)->next)
		if (*at == t) {
			*at = t->next;
			l->n_tries--;
			free_try(t);
			return;
		}
}

void login_admin_close(struct login *l)
{
	login_first_close(l);
	if (l->comparing) {
		(void)work_finish(l->compare_work);
		free_try(l->comparing);
		l->comparing = NULL;
	}
}

/* --- asked --- */

static bool is_of(const struct login_try *t, const struct addr *net)
{
	struct addr theirs = throttle_net(&t->from);
	return addr_equal(&theirs, net);
}

/* Of all who share what one who has come may have whole. */
static size_t tries_of(const struct login *l, const struct addr *from)
{
	const struct addr net = throttle_net(from);
	size_t n = l->comparing && is_of(l->comparing, &net);
	for (const struct login_try *t = l->tries; t; t = t->next)
		n += is_of(t, &net);
	return n;
}

static struct login_try *read_try(struct api_call *c)
{
	struct login_try *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->l = c->api->login;
	t->from = c->from;
	if (!http_form_value(c->body, c->len, "name", t->name, sizeof(t->name)))
		t->name[0] = 0;
	if (!http_form_value(c->body, c->len, "password", t->password, sizeof(t->password)))
		t->password[0] = 0;
	if (!http_form_value(c->body, c->len, "register", t->pending, sizeof(t->pending)) ||
		!login_is_pending_id(t->pending))
		t->pending[0] = 0;
	const struct admin *a = admins_named(&c->api->reg->admins, t->name);
	if (a) {
		t->admin = a->id;
		memcpy(t->hash, a->hash, sizeof(t->hash));
	}
	return t;
}

static void begin_try(struct api_call *c, const struct visitor *v)
{
	struct login *l = c->api->login;
	struct login_try *t = read_try(c), **end = &l->tries;
	if (!t) {
		api_reply_text(&c->way, 503, "the server is short of memory");
		return;
	}
	t->before = v->hash;
	t->later = api_later_open(c, try_gone, t);
	if (!t->later) {
		free_try(t);
		return;
	}
	while (*end)
		end = &(*end)->next;
	*end = t;
	l->n_tries++;
	next_try(l);
}

void login_admin(struct api_call *c)
{
	struct login *l = c->api->login;
	struct visitor v;
	char text[96], span[TEXT_COUNT];
	login_visitor(c, &v);
	if (!login_form_is_ours(c, &v))
		return;
	uint64_t wait = throttle_wait_ms(&l->throttle, &c->from, clock_now_ms());
	if (wait) {
		snprintf(text, sizeof(text), "Too many wrong tries from here: wait %s.",
			text_count((wait + 999) / 1000, "second", span));
		page_say(&c->way, 429, "Not yet", text, NULL, NULL);
	} else if (l->n_tries >= TRIES_MAX || tries_of(l, &c->from) >= TRIES_EACH) {
		page_say(&c->way, 503, "Not possible at the moment",
			"Too many are logging in. Try again in a minute.", NULL, NULL);
	} else {
		begin_try(c, &v);
	}
}
