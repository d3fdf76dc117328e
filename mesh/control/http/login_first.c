/* The first admin, made in a browser: while there is none, and no provider either, the server writes a word into its log
 * at its start, and whoever can read that gives it here with a name and a password. The word is of this run, good once, and
 * for nothing when there is an admin by another way. */
#include "mesh/control/http/login_inner.h"

#include "mesh/base/log.h"
#include "mesh/base/text.h"
#include "mesh/os/work.h"
#include "mesh/web/password.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One whose password is hashed, then stored. later NULL: nobody waits any more. */
struct login_first {
	struct login *l;
	struct api_later *later;
	struct work *work; /* NULL: done */
	struct registry_wait stored;
	struct browser_hash before;
	char name[ADMIN_NAME], password[PASSWORD_MAX + 1], hash[PASSWORD_HASH];
	bool hashed;
};

static void free_first(struct login_first *f)
{
	f->l->making = NULL;
	key_wipe(f, sizeof(*f));
	free(f);
}

/* --- the word --- */

void login_first_begin(struct login *l)
{
	uint8_t random[LOGIN_FIRST_BYTES];
	if (l->n || l->api->reg->admins.n)
		return;
	random_system.fill(random_system.arg, random, sizeof(random));
	(void)hex_encode(random, sizeof(random), l->first);
	l->first[2 * LOGIN_FIRST_BYTES] = '\0';
	key_wipe(random, sizeof(random));
	log_warn("there is no admin yet: %s/login makes the first, with the word %s; or `ropewalk-control "
		 "admins create "
		 "NAME`",
		l->api->cfg->server_url, l->first);
}

void login_first_end(struct login *l)
{
	key_wipe(l->first, sizeof(l->first));
}

bool login_first_is_open(const struct login *l)
{
	return *l->first;
}

static bool is_the_word(const struct login *l, const char *given)
{
	_Static_assert(2 * LOGIN_FIRST_BYTES == KEY_LEN, "compared as a key is, in constant time");
	return strlen(given) == KEY_LEN && key_equal((const uint8_t *)l->first, (const uint8_t *)given);
}

/* --- the page --- */

void login_first_form(struct page *p, const struct login *l, const struct visitor *v)
{
	page_raw(p,
		"<p>There is no admin yet. The server has written a word into its log "
		"(<code>journalctl -u ropewalk-control</code>): who can read that makes the first admin "
		"here. Where the log has none (<code>log.level: error</code>), <code>ropewalk-control admins "
		"create NAME</code> on the server does.</p>"
		"<form method=\"post\" action=\"/login/first\">");
	login_form_field(p, l, v);
	page_raw(p,
		"<label>Word from the log<input name=\"word\" autocomplete=\"off\" required "
		"autofocus></label>"
		"<label>Your name<input name=\"name\" autocomplete=\"username\" required></label>"
		"<label>A password, of %d characters or more<input name=\"password\" type=\"password\" "
		"autocomplete=\"new-password\" minlength=\"%d\" required></label>"
		"<label>The password once more<input name=\"again\" type=\"password\" "
		"autocomplete=\"new-password\" required></label>"
		"<button class=\"button\">Make the admin</button></form>",
		PASSWORD_MIN, PASSWORD_MIN);
}

static void say_no(const struct api_way *way, int status, const char *title, const char *text)
{
	page_say(way, status, title, text, "/login", "Try again");
}

/* --- made --- */

static void stored(void *arg, const struct registry_result *res)
{
	struct login_first *f = arg;
	struct login *l = f->l;
	const struct admin *who = res->err ? NULL : admins_by_id(&l->api->reg->admins, res->id);
	if (who)
		log_info("the first admin, %s, was made in a browser", who->name);
	if (f->later) {
		const struct api_way way = api_later_way(f->later);
		if (who)
			login_admin_in(l, &way, who, &f->before, "");
		else
			say_no(&way, 400, "That did not work",
				res->err ? res->text : "The server is short of memory.");
	}
	free_first(f);
}

static void hash(void *arg)
{
	struct login_first *f = arg;
	f->hashed = password_make(f->password, f->hash);
}

static void hashed(void *arg)
{
	struct login_first *f = arg;
	struct login *l = f->l;
	f->work = NULL;
	key_wipe(f->password, sizeof(f->password));
	if (f->later && f->hashed && login_first_is_open(l)) {
		f->stored = (struct registry_wait) { .done = stored, .arg = f };
		registry_admin_create(l->api->reg, f->name, f->hash, clock_unix_ms(), &f->stored);
		return;
	}
	if (f->later) {
		const struct api_way way = api_later_way(f->later);
		say_no(&way, 503, "Not possible at the moment",
			f->hashed ? "There is an admin already." : "The server is short of memory.");
	}
	free_first(f);
}

/* Its connection has gone: what is under way ends by itself. */
static void first_gone(void *arg)
{
	((struct login_first *)arg)->later = NULL;
}

void login_first_close(struct login *l)
{
	struct login_first *f = l->making;
	if (f && f->work)
		(void)work_finish(f->work);
	if (f) {
		registry_wait_cancel(&f->stored);
		free_first(f);
	}
	login_first_end(l);
}

/* --- asked --- */

static void value_of(const struct api_call *c, const char *name, char *out, size_t cap)
{
	if (!http_form_value(c->body, c->len, name, out, cap))
		out[0] = '\0';
}

/* false: answered. */
static bool may_make(struct api_call *c)
{
	struct login *l = c->api->login;
	char word[2 * KEY_LEN + 1], text[96], span[TEXT_COUNT];
	uint64_t wait = throttle_wait_ms(&l->throttle, &c->from, clock_now_ms());
	if (wait) {
		snprintf(text, sizeof(text), "Too many wrong tries from here: wait %s.",
			text_count((wait + 999) / 1000, "second", span));
		page_say(&c->way, 429, "Not yet", text, NULL, NULL);
		return false;
	}
	if (!login_first_is_open(l)) {
		page_say(&c->way, 403, "There is an admin already",
			"The first one alone is made here: more are made on the server, by `ropewalk-control "
			"admins create NAME`.",
			"/login", "Log in");
		return false;
	}
	value_of(c, "word", word, sizeof(word));
	bool right = is_the_word(l, word);
	key_wipe(word, sizeof(word));
	if (right)
		return true;
	throttle_failed(&l->throttle, &c->from, clock_now_ms());
	if (log_allowed(&l->failed, 1, clock_now_ms()))
		log_warn("the first admin: a wrong word, from %s", addr_format(&c->from, text));
	say_no(&c->way, 403, "Wrong word",
		"It stands in the newest log of the server: each start makes another.");
	return false;
}

/* NULL: what was given is good. */
static const char *fault_of(const struct api_call *c, struct login_first *f)
{
	char again[PASSWORD_MAX + 1];
	value_of(c, "name", f->name, sizeof(f->name));
	value_of(c, "password", f->password, sizeof(f->password));
	value_of(c, "again", again, sizeof(again));
	bool same = !strcmp(f->password, again);
	key_wipe(again, sizeof(again));
	if (!*f->name)
		return "A name is wanted, and not so long a one.";
	if (strlen(f->password) < PASSWORD_MIN)
		return "The password is too short, or far too long.";
	return same ? NULL : "The password was not the same both times.";
}

void login_first(struct api_call *c)
{
	struct login *l = c->api->login;
	struct visitor v;
	login_visitor(c, &v);
	if (!login_form_is_ours(c, &v) || !may_make(c))
		return;
	struct login_first *f = l->making ? NULL : calloc(1, sizeof(*f));
	if (!f) {
		say_no(&c->way, 503, "Not possible at the moment",
			"One is being made. Try again in a minute.");
		return;
	}
	*f = (struct login_first) { .l = l, .before = v.hash };
	l->making = f;
	const char *fault = fault_of(c, f);
	if (!fault && !(f->later = api_later_open(c, first_gone, f))) { /* answered */
		free_first(f);
		return;
	}
	f->work = fault ? NULL : work_start(l->loop, hash, hashed, f);
	if (f->work)
		return;
	const struct api_way way = f->later ? api_later_way(f->later) : c->way;
	free_first(f);
	say_no(&way, fault ? 400 : 503, fault ? "That did not work" : "Not possible at the moment",
		fault ? fault : "The server is short of memory.");
}
