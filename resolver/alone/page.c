/* Who may ask what of the page.
 *
 *   near       the peer's address is of this machine, a private network or a mesh, as the listener's is (conf_page.c)
 *   Host       an address, "localhost", or a name that the configuration has: a name of a stranger that leads here (rebinding)
 *              is refused, or their page could read ours
 *   session    a cookie that somebody got for the password (login.h); without it there is the form to log in, and nothing else
 *   form       what changes something is a POST whose form has what only we can make of that cookie, and which no browser says
 *              comes from another site
 *
 * One table of paths. A change that takes time (own_lists.h, login.h) is answered when it is done: the guest waits in a
 * struct page_waiting (struct page_search for what is looked for in lists), and may go before. After a change the browser is sent back to where it was (303), with what was done as
 * a word of the query that only names one of our sentences. */
#include "resolver/alone/page_inner.h"

#include "mesh/base/text.h"
#include "mesh/web/password.h"
#include "resolver/alone/blocked.h"
#include "resolver/alone/numbers.h"
#include "resolver/report_api.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MINUTE_MS = 60000, FORM_NAME_MAX = 1024 };
#define COOKIE "ropewalk-resolver"

extern const unsigned char page_style[];
extern const size_t page_style_len;

static const struct {
	const char *word, *sentence;
} sentences[] = {
	{ "allowed", "The name is let through from now on." },
	{ "denied", "The name is blocked from now on." },
	{ "forgotten", "The name is on neither list any more." },
	{ "paused", "Nothing is blocked for a while." },
	{ "resumed", "Names are blocked again." },
	{ "on", "Questions are written down, in memory." },
	{ "off", "Questions are not written down; what was is forgotten." },
	{ "noname", "That is no name as ads.example or *.ads.example." },
	{ "busy", "Another change is being written: try again in a moment." },
	{ "failed", "That could not be written; the log of the program says why." },
};

struct page_waiting {
	struct door_waiting waiting;
	struct page *page;
	struct door_guest *g;
	char back[16]; /* a path of ours */
	enum own_verb verb;
};

/* ---- guards ---- */

static bool host_is_ours(const struct page *p, const char *host)
{
	char name[256];
	struct endpoint at;
	if (!host || endpoint_parse_or(host, 80, &at))
		return host;
	size_t len = strlen(host);
	if (host[0] == '[' && host[len - 1] == ']' && len < sizeof(name)) { /* [::1], without a port */
		snprintf(name, sizeof(name), "%.*s", (int)(len - 2), host + 1);
		return addr_parse(name, &at.ip);
	}
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(host, ":"), host);
	bool ours = strcasecmp(name, "localhost") == 0;
	for (size_t i = 0; !ours && i < p->n_names; i++)
		ours = strcasecmp(name, p->names[i]) == 0;
	return ours;
}

static bool comes_from_here(const struct http_head *h)
{
	const char *site = http_header(h, "Sec-Fetch-Site"), *origin = http_header(h, "Origin");
	const char *host = http_header(h, "Host");
	if (site && strcmp(site, "same-origin") != 0)
		return false;
	return !origin || (strncmp(origin, "http://", 7) == 0 && host && strcasecmp(origin + 7, host) == 0) ||
	       (strncmp(origin, "https://", 8) == 0 && host && strcasecmp(origin + 8, host) == 0);
}

static bool form_value(const struct page_request *q, const char *name, char *out, size_t cap)
{
	return http_form_value(q->r->body, q->r->len, name, out, cap);
}

static bool form_is_ours(const struct page_request *q)
{
	char given[BROWSER_FORM + 1] = "";
	return *q->token && comes_from_here(q->r->head) && form_value(q, "form", given, sizeof(given)) &&
	       login_form_is(q->page->s->login, q->token, given);
}

/* ---- answers ---- */

static void redirect(struct door_guest *g, const char *to, const char *word, const char *cookie)
{
	char extra[512];
	snprintf(extra, sizeof(extra), "Location: %s%s%s\r\nCache-Control: no-store\r\n%s", to,
		*word ? "?done=" : "", word, cookie);
	http_reply(g->conn, 303, "text/plain", extra, "", 0);
	key_wipe(extra, sizeof(extra));
}

static void cookie_line(const char *token, char out[static 160])
{
	snprintf(out, 160, "Set-Cookie: " COOKIE "=%s; Path=/; HttpOnly; SameSite=Strict\r\n", token);
}

static const char *back_of(const struct page_request *q)
{
	static const char *const paths[] = { "/", "/log", "/lists" };
	char given[16] = "";
	(void)form_value(q, "back", given, sizeof(given));
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (strcmp(paths[i], given) == 0)
			return paths[i];
	return "/";
}

static void waiting_forget(struct door_waiting *w)
{
	struct page_waiting *k = (struct page_waiting *)w;
	own_lists_unask(k->page->s->own, k);
	login_unask(k->page->s->login, k);
	free(k);
}

static struct page_waiting *waiting_new(const struct page_request *q)
{
	struct page_waiting *k = calloc(1, sizeof(*k));
	if (!k) {
		door_say(q->r->guest, 503, "memory is short");
		return NULL;
	}
	*k = (struct page_waiting) { .waiting = { waiting_forget }, .page = q->page, .g = q->r->guest };
	snprintf(k->back, sizeof(k->back), "%s", back_of(q));
	q->r->guest->waits = &k->waiting;
	return k;
}

static struct door_guest *waiting_end(struct page_waiting *k)
{
	struct door_guest *g = k->g;
	g->waits = NULL;
	free(k);
	return g;
}

/* ---- in and out ---- */

/* A cookie for one who has none, so that the form to log in is theirs too. */
static void show_login(struct page_request *q, int status, const char *complaint)
{
	char line[160] = "";
	if (!*q->token) {
		browser_token_make(&random_system, q->token);
		cookie_line(q->token, line);
	}
	login_form(q->page->s->login, q->token, q->form);
	page_login(q, status, complaint, line);
	key_wipe(line, sizeof(line));
}

static const char *complaint_of(const struct page_request *q)
{
	static const struct {
		const char *word, *sentence;
	} rows_of[] = { { "wrong", "That is not the password." },
		{ "busy", "Another password is being compared: try again in a moment." },
		{ "wait", "Too many were wrong: try again in some minutes." },
		{ "failed", "It could not be compared: memory is short." } };
	char why[16] = "";
	(void)http_target_query(q->r->head, "why", why, sizeof(why));
	for (size_t i = 0; i < ARRAY_LEN(rows_of); i++)
		if (strcmp(rows_of[i].word, why) == 0)
			return rows_of[i].sentence;
	return "";
}

static void login_get(struct page_request *q)
{
	if (!login_is_set(q->page->s->login))
		page_nobody(q);
	else if (*q->token && login_is_in(q->page->s->login, q->token))
		redirect(q->r->guest, "/", "", "");
	else
		show_login(q, 200, complaint_of(q));
}

static void login_tried(void *arg, enum login_verdict v, const char *token, const char *why)
{
	static const char *const complaints[] = { [LOGIN_WRONG] = "wrong",
		[LOGIN_BUSY] = "busy",
		[LOGIN_WAIT] = "wait",
		[LOGIN_FAILED] = "failed" };
	struct door_guest *g = waiting_end(arg);
	char line[160], to[32] = "/login";
	(void)why;
	if (v == LOGIN_IN) {
		cookie_line(token, line);
		redirect(g, "/", "", line);
		key_wipe(line, sizeof(line));
		return;
	}
	snprintf(to, sizeof(to), "/login?why=%s",
		v < ARRAY_LEN(complaints) && complaints[v] ? complaints[v] : "failed");
	redirect(g, to, "", "");
}

static void login_post(struct page_request *q)
{
	char password[PASSWORD_MAX + 1] = "";
	if (!form_is_ours(q)) {
		show_login(q, 403, "That form was not of this page, or is too old: try again.");
		return;
	}
	(void)form_value(q, "password", password, sizeof(password));
	struct page_waiting *k = waiting_new(q);
	if (k)
		login_try(q->page->s->login, &q->r->guest->from, password, login_tried, k);
	key_wipe(password, sizeof(password));
}

static void logout_post(struct page_request *q)
{
	login_out(q->page->s->login, q->token);
	redirect(q->r->guest, "/login", "",
		"Set-Cookie: " COOKIE "=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0\r\n");
}

/* ---- changes ---- */

static void name_changed(void *arg, int code, const char *why)
{
	static const char *const words[] = {
		[OWN_ALLOW] = "allowed", [OWN_DENY] = "denied", [OWN_FORGET] = "forgotten"
	};
	struct page_waiting *k = arg;
	char back[sizeof(k->back)];
	const char *word = code ? "failed" : words[k->verb];
	(void)why;
	memcpy(back, k->back, sizeof(back));
	redirect(waiting_end(k), back, word, "");
}

static void name_change(struct page_request *q, enum own_verb verb)
{
	char name[FORM_NAME_MAX] = "";
	struct errbuf eb = { 0 };
	(void)form_value(q, "name", name, sizeof(name));
	struct page_waiting *k = waiting_new(q);
	if (!k)
		return;
	k->verb = verb;
	int err = own_lists_change(q->page->s->own, verb, name, name_changed, k, &eb);
	if (err)
		redirect(waiting_end(k), back_of(q),
			err == -EBUSY	       ? "busy"
			: err == ERR_MALFORMED ? "noname"
					       : "failed",
			"");
}

static void allow_post(struct page_request *q)
{
	name_change(q, OWN_ALLOW);
}
static void deny_post(struct page_request *q)
{
	name_change(q, OWN_DENY);
}
static void forget_post(struct page_request *q)
{
	name_change(q, OWN_FORGET);
}

static void pause_post(struct page_request *q)
{
	char text[16] = "";
	uint64_t ms = 0;
	(void)form_value(q, "for", text, sizeof(text));
	if (!text_duration_ms(text, &ms))
		ms = 0;
	blocker_pause_for(q->page->s->blocker, ms);
	redirect(q->r->guest, back_of(q), ms ? "paused" : "resumed", "");
}

static void log_post(struct page_request *q)
{
	char on[8] = "";
	(void)form_value(q, "on", on, sizeof(on));
	bool yes = strcmp(on, "true") == 0;
	bool failed = resolver_server_journal_set(q->page->s->server, yes);
	redirect(q->r->guest, back_of(q), failed ? "failed" : yes ? "on" : "off", "");
}

/* ---- why a name is blocked ---- */

/* The request, as far as the page that answers it needs it. */
struct page_search {
	struct door_waiting waiting;
	struct blocker_search *search;
	struct page_request q;
	struct door_request r; /* the guest alone */
	struct page_why why;
};

static void search_free(struct page_search *k)
{
	key_wipe(k, sizeof(*k)); /* a cookie is in it */
	free(k);
}

static void search_forget(struct door_waiting *w)
{
	struct page_search *k = (struct page_search *)w;
	blocker_search_cancel(k->search);
	search_free(k);
}

static void search_told(void *arg, int err, const struct blocker_why *w, const struct errbuf *eb)
{
	struct page_search *k = arg;
	struct api_dns_blocked m;
	struct arena a = { 0 };
	k->r.guest->waits = NULL;
	if (err)
		k->why.complaint = eb->text;
	else if (report_api_blocked(&a, w, &m))
		k->why.found = &m;
	else
		k->why.complaint = "memory is short";
	page_why(&k->q, &k->why);
	arena_free(&a);
	search_free(k);
}

static void why_get(struct page_request *q)
{
	struct errbuf eb = { .text = "memory is short" };
	struct page_search *k = calloc(1, sizeof(*k));
	if (!k) {
		door_say(q->r->guest, 503, eb.text);
		return;
	}
	k->waiting.forget = search_forget;
	k->r.guest = q->r->guest;
	k->q = *q;
	k->q.r = &k->r;
	enum http_value name = http_target_find(q->r->head, "name", k->why.name, sizeof(k->why.name)),
			client = http_target_find(q->r->head, "client", k->why.client, sizeof(k->why.client));
	bool named = name != HTTP_VALUE_NONE;
	if (client == HTTP_VALUE_BAD)
		err_say(&eb, ERR_MALFORMED, "a client is an address");
	else if (named)
		k->search = blocked_search(q->page->s, k->why.name, k->why.client, search_told, k, &eb);
	if (k->search) {
		q->r->guest->waits = &k->waiting;
		return;
	}
	k->why.complaint = named ? eb.text : NULL;
	page_why(&k->q, &k->why);
	search_free(k);
}

/* ---- routing ---- */

static void style_get(struct page_request *q)
{
	http_reply(q->r->guest->conn, 200, "text/css",
		"Cache-Control: max-age=3600\r\nX-Content-Type-Options: nosniff\r\n", page_style,
		page_style_len);
}

static void metrics_get(struct page_request *q)
{
	struct buf b = { 0 };
	if (q->page->metrics && numbers_metrics(q->page->s, &b))
		http_reply(q->r->guest->conn, 200, "text/plain; version=0.0.4", NULL, buf_data(&b), b.len);
	else
		door_say(q->r->guest, q->page->metrics ? 503 : 404,
			q->page->metrics ? "memory is short" : "page: { metrics: true } turns them on");
	buf_free(&b);
}

static void overview_get(struct page_request *q)
{
	page_overview(q);
}
static void log_get(struct page_request *q)
{
	page_log(q);
}
static void lists_get(struct page_request *q)
{
	page_lists(q);
}

enum need { ANYBODY, SESSION, FORM };
static const struct {
	const char *method, *path;
	enum need need;
	void (*run)(struct page_request *q);
} rows[] = {
	{ "GET", "/", SESSION, overview_get },
	{ "GET", "/log", SESSION, log_get },
	{ "GET", "/lists", SESSION, lists_get },
	{ "GET", "/why", SESSION, why_get },
	{ "GET", "/style.css", ANYBODY, style_get },
	{ "GET", "/metrics", ANYBODY, metrics_get },
	{ "GET", "/login", ANYBODY, login_get },
	{ "POST", "/login", ANYBODY, login_post },
	{ "POST", "/logout", FORM, logout_post },
	{ "POST", "/allow", FORM, allow_post },
	{ "POST", "/deny", FORM, deny_post },
	{ "POST", "/forget", FORM, forget_post },
	{ "POST", "/pause", FORM, pause_post },
	{ "POST", "/log", FORM, log_post },
};

static void row_run(struct page_request *q, size_t row)
{
	struct login *l = q->page->s->login;
	char done[16] = "";
	if (rows[row].need != ANYBODY && !(*q->token && login_is_in(l, q->token))) {
		redirect(q->r->guest, "/login", "", "");
		return;
	}
	if (rows[row].need == FORM && !form_is_ours(q)) {
		door_say(q->r->guest, 403,
			"this form was not of this page, or is too old: load the page again");
		return;
	}
	if (*q->token)
		login_form(l, q->token, q->form);
	(void)http_target_query(q->r->head, "done", done, sizeof(done));
	for (size_t i = 0; i < ARRAY_LEN(sentences); i++)
		if (strcmp(sentences[i].word, done) == 0)
			snprintf(q->said, sizeof(q->said), "%s", sentences[i].sentence);
	rows[row].run(q);
}

static void page_asked(void *arg, const struct door_request *r)
{
	struct page_request q = { .page = arg, .r = r };
	const char *method = strcmp(r->head->method, "HEAD") == 0 ? "GET" : r->head->method;
	bool known = false;
	if (!host_is_ours(q.page, http_header(r->head, "Host"))) {
		door_say(r->guest, 421,
			"call this page by its address, or add the name to \"page: { names: [ ... ] }\"");
		return;
	}
	if (!browser_cookie_find(http_header(r->head, "Cookie"), COOKIE, q.token))
		q.token[0] = 0;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (strcmp(rows[i].path, r->path) != 0)
			continue;
		known = true;
		if (strcmp(rows[i].method, method) == 0) {
			row_run(&q, i);
			key_wipe(&q, sizeof(q));
			return;
		}
	}
	door_say(r->guest, known ? 405 : 404, "there is no such page here");
}

static bool is_welcome(void *arg, const struct addr *from)
{
	(void)arg;
	return conf_is_near(from);
}

/* ---- the whole ---- */

static void minute_over(void *arg)
{
	struct page *p = arg;
	history_count(&p->history, resolver_stats(resolver_server_core(p->s->server)), clock_unix_ms());
	loop_timer_set(p->minute, MINUTE_MS);
}

static int names_copy(struct page *p, const struct conf *c)
{
	p->names = calloc(c->n_page_names + 1, sizeof(*p->names));
	for (; p->names && p->n_names < c->n_page_names; p->n_names++)
		if (!(p->names[p->n_names] = strdup(c->page_names[p->n_names])))
			return -ENOMEM;
	return p->names ? 0 : -ENOMEM;
}

struct page *page_open(struct running *s, const struct conf *c, struct errbuf *eb)
{
	struct page *p = calloc(1, sizeof(*p));
	if (!p || names_copy(p, c) || !(p->minute = loop_timer_new(s->loop, minute_over, p))) {
		err_say(eb, -ENOMEM, "out of memory");
		page_close(p);
		return NULL;
	}
	p->s = s;
	p->metrics = c->page_metrics;
	for (; p->n_doors < c->n_page_listen; p->n_doors++) {
		const struct door_options o = { .loop = s->loop,
			.at = &c->page_listen[p->n_doors],
			.asked = page_asked,
			.welcome = is_welcome,
			.arg = p };
		p->doors[p->n_doors] = door_open(&o, eb);
		if (!p->doors[p->n_doors]) {
			page_close(p);
			return NULL;
		}
	}
	minute_over(p);
	return p;
}

void page_close(struct page *p)
{
	if (!p)
		return;
	while (p->n_doors)
		door_close(p->doors[--p->n_doors]);
	while (p->n_names)
		free(p->names[--p->n_names]);
	free(p->names);
	loop_timer_free(p->minute);
	free(p);
}

size_t page_endpoints(const struct page *p, struct endpoint *out, size_t cap)
{
	size_t n = p->n_doors < cap ? p->n_doors : cap;
	for (size_t i = 0; i < n; i++)
		out[i] = door_endpoint(p->doors[i]);
	return n;
}
