#include "resolver/alone/page_inner.h"

#include "mesh/base/text.h"
#include "mesh/web/html.h"
#include "resolver/journal.h"
#include "resolver/message.h"
#include "resolver/present.h"
#include "resolver/report.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOG_SHOWN = 200, TOP_SHOWN = 10, FILTER_MAX = 128, CHART_HEIGHT = 120, BAR = 6 };

/* No script at all, no frame around it, forms to us alone, nothing kept. */
#define PAGE_HEADERS \
	"Cache-Control: no-store\r\n" \
	"Content-Security-Policy: default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; " \
	"frame-ancestors 'none'; base-uri 'none'\r\n" \
	"X-Content-Type-Options: nosniff\r\n" \
	"X-Frame-Options: DENY\r\n" \
	"Referrer-Policy: same-origin\r\n"

void html_raw(struct html *h, const char *fmt, ...)
{
	char text[2048];
	va_list ap;
	va_start(ap, fmt);
	int len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= sizeof(text) || !buf_append(&h->b, text, (size_t)len))
		h->bad = true;
}

void html_put(struct html *h, const char *text)
{
	h->bad = h->bad || !html_text(&h->b, text);
}

void html_reply(struct html *h, struct door_guest *g, int status, const char *extra)
{
	char headers[1024];
	html_raw(h, "</main></body></html>\n");
	snprintf(headers, sizeof(headers), "%s%s", PAGE_HEADERS, extra);
	if (h->bad)
		door_say(g, 503, "memory is short");
	else
		http_reply(g->conn, status, "text/html; charset=utf-8", headers, buf_data(&h->b), h->b.len);
	key_wipe(headers, sizeof(headers)); /* a cookie may be in it */
	buf_wipe(&h->b);
}

static void head(struct html *h, const char *title, const char *more, const char *kind)
{
	html_raw(h,
		"<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
		"content=\"width=device-width,initial-scale=1\"><meta name=\"color-scheme\" content=\"light "
		"dark\">"
		"<title>%s - Ropewalk resolver</title><link rel=\"icon\" href=\"data:,\"><link "
		"rel=\"stylesheet\" href=\"/style.css\">%s</head><body class=\"%s\">",
		title, more, kind);
}

/* ---- parts that pages share ---- */

static void form_open(struct html *h, const struct page_request *q, const char *action, const char *back)
{
	html_raw(h,
		"<form method=\"post\" action=\"%s\"><input type=\"hidden\" name=\"form\" "
		"value=\"%s\"><input "
		"type=\"hidden\" name=\"back\" value=\"%s\">",
		action, q->form, back);
}

/* label: what the button does to what; for who does not see the row it is in. */
static void button(struct html *h, const struct page_request *q, const char *action, const char *back,
	const char *name, const char *word)
{
	form_open(h, q, action, back);
	html_raw(h, "<input type=\"hidden\" name=\"name\" value=\"");
	html_put(h, name);
	html_raw(h, "\"><button aria-label=\"%s ", word);
	html_put(h, name);
	html_raw(h, "\">%s</button></form>", word);
}

static void pause_part(struct html *h, const struct page_request *q)
{
	static const struct {
		const char *time, *word;
	} rows[] = { { "5m", "5 min" }, { "30m", "30 min" }, { "2h", "2 h" } };
	struct blocker_state b;
	blocker_state(q->page->s->blocker, &b);
	html_raw(h, "<section class=\"state %s\" aria-label=\"Blocking\"><p><strong>",
		b.pause_left_ms ? "paused" : "");
	if (b.pause_left_ms) {
		uint64_t s = (b.pause_left_ms + 999) / 1000;
		html_raw(h, "Nothing is blocked</strong> for %" PRIu64 " min %02" PRIu64 " s more</p>",
			s / 60, s % 60);
		form_open(h, q, "/pause", "/");
		html_raw(h, "<button class=\"act\">Block again</button></form></section>");
		return;
	}
	html_raw(h,
		"Blocking is on</strong>: %zu names on %zu lists</p><div class=\"row\"><span>Pause "
		"for</span>",
		b.names, b.lists);
	if (b.trouble[0]) {
		html_raw(h, "<span class=\"bad\">");
		html_put(h, b.trouble);
		html_raw(h, "</span>");
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		form_open(h, q, "/pause", "/");
		html_raw(h,
			"<button name=\"for\" value=\"%s\" aria-label=\"Pause for %s\">%s</button></form>",
			rows[i].time, rows[i].word, rows[i].word);
	}
	html_raw(h, "</div></section>");
}

static void page_open_html(
	struct html *h, const struct page_request *q, const char *title, const char *path, const char *more)
{
	static const struct {
		const char *path, *word;
	} links[] = { { "/", "Overview" }, { "/log", "Questions" }, { "/lists", "Names" },
		{ "/why", "Why" } };
	head(h, title, more, "");
	html_raw(h, "<header><p class=\"brand\">Ropewalk resolver</p><nav aria-label=\"Pages\">");
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		html_raw(h, "<a href=\"%s\"%s>%s</a>", links[i].path,
			strcmp(links[i].path, path) == 0 ? " aria-current=\"page\"" : "", links[i].word);
	html_raw(h, "</nav>");
	form_open(h, q, "/logout", "/");
	html_raw(h, "<button class=\"quiet\">Log out</button></form></header><main><h1>%s</h1>", title);
	if (*q->said) {
		html_raw(h, "<p class=\"said\" role=\"status\">");
		html_put(h, q->said);
		html_raw(h, "</p>");
	}
}

static void log_off_part(struct html *h, const struct page_request *q, const char *back)
{
	html_raw(h,
		"<section class=\"card\"><p>Questions are <strong>not written down</strong>: nobody can see "
		"here who "
		"asked for what. Turned on, the last %d are kept in memory, until they are turned off or the "
		"program ends.</p>",
		JOURNAL_QUESTIONS);
	form_open(h, q, "/log", back);
	html_raw(h, "<button name=\"on\" value=\"true\">Write questions down</button></form></section>");
}

/* ---- overview ---- */

static void number(struct html *h, const char *what, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void number(struct html *h, const char *what, const char *fmt, ...)
{
	char text[64];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	html_raw(h, "<div><dt>%s</dt><dd>%s</dd></div>", what, text);
}

static unsigned percent(uint64_t part, uint64_t whole)
{
	return whole ? (unsigned)((part * 100 + whole / 2) / whole) : 0;
}

static void numbers_part(struct html *h, const struct page_request *q)
{
	const struct resolver_stats *s = resolver_stats(resolver_server_core(q->page->s->server));
	uint64_t answered = s->local + s->blocked + s->cached + s->stale;
	html_raw(h, "<dl class=\"numbers\">");
	number(h, "Questions", "%" PRIu64, s->queries);
	number(h, "Blocked", "%" PRIu64 " (%u&nbsp;%%)", s->blocked, percent(s->blocked, s->queries));
	number(h, "Answered here", "%" PRIu64 " (%u&nbsp;%%)", answered - s->blocked,
		percent(answered - s->blocked, s->queries));
	number(h, "Nobody knew", "%" PRIu64, s->servfail);
	html_raw(h, "</dl>");
}

static void clock_text(int64_t unix_ms, const char *format, char out[static 32])
{
	time_t t = (time_t)(unix_ms / 1000);
	struct tm tm;
	if (!localtime_r(&t, &tm) || !strftime(out, 32, format, &tm))
		out[0] = 0;
}

/* One bar for ten minutes: what was blocked on top of the rest. */
static void bar(struct html *h, size_t i, const struct history_slot *v, uint64_t most)
{
	char at[32];
	unsigned all = (unsigned)(v->queries * CHART_HEIGHT / most),
		 blocked = (unsigned)(v->blocked * CHART_HEIGHT / most);
	if (!v->queries)
		return;
	all = all ? all : 1;
	blocked = v->blocked && !blocked ? 1 : blocked;
	clock_text(v->number * HISTORY_SLOT_MS, "%H:%M", at);
	html_raw(h,
		"<g><title>%s: %" PRIu64 " questions, %" PRIu64
		" blocked</title><rect class=\"passed\" x=\"%zu\" y=\"%u\" width=\"%d\" height=\"%u\"/><rect "
		"class=\"blocked\" "
		"x=\"%zu\" y=\"%u\" width=\"%d\" height=\"%u\"/></g>",
		at, v->queries, v->blocked, i * BAR, CHART_HEIGHT - all, BAR - 1, all, i * BAR,
		CHART_HEIGHT - all, BAR - 1, blocked);
}

static void chart_part(struct html *h, struct page *p)
{
	int64_t now_ms = clock_unix_ms();
	uint64_t most = 1, all = 0, blocked = 0;
	history_count(&p->history, resolver_stats(resolver_server_core(p->s->server)), now_ms);
	for (size_t i = 0; i < HISTORY_SLOTS; i++) {
		struct history_slot v = history_at(&p->history, i, now_ms);
		most = v.queries > most ? v.queries : most;
		all += v.queries;
		blocked += v.blocked;
	}
	html_raw(h,
		"<section class=\"card\"><h2>The last day</h2><svg class=\"chart\" viewBox=\"0 0 %d %d\" "
		"preserveAspectRatio=\"none\" role=\"img\" aria-label=\"%" PRIu64
		" questions in the last day, %" PRIu64 " of them blocked; at most %" PRIu64
		" in ten minutes\">",
		HISTORY_SLOTS * BAR, CHART_HEIGHT, all, blocked, most);
	for (size_t i = 0; i < HISTORY_SLOTS; i++) {
		struct history_slot v = history_at(&p->history, i, now_ms);
		bar(h, i, &v, most);
	}
	html_raw(h, "</svg><p class=\"axis\"><span>a day ago</span><span class=\"key\"><i "
		    "class=\"passed\"></i>answered "
		    "<i "
		    "class=\"blocked\"></i>blocked</span><span>now</span></p></section>");
}

static void top_part(struct html *h, const struct page_request *q, enum journal_list list, const char *title)
{
	const struct journal *j = resolver_server_journal(q->page->s->server);
	struct journal_count top[TOP_SHOWN];
	char text[DNS_NAME_TEXT];
	size_t n = journal_top(j, list, top, TOP_SHOWN);
	html_raw(h, "<section class=\"card\"><h2>%s</h2>%s<table>", title,
		n ? "" : "<p class=\"dim\">None yet.</p>");
	for (size_t i = 0; i < n; i++) {
		html_raw(h, "<tr><td class=\"n\">%" PRIu64 "</td><td class=\"name\">", top[i].n);
		html_put(h, list == JOURNAL_CLIENTS ? addr_format(&top[i].client, text)
						    : dns_name_format(&top[i].name, text));
		html_raw(h, "</td>");
		if (list != JOURNAL_CLIENTS) {
			html_raw(h, "<td class=\"do\">");
			if (list == JOURNAL_BLOCKED)
				button(h, q, "/allow", "/", text, "Allow");
			else
				button(h, q, "/deny", "/", text, "Block");
			html_raw(h, "</td>");
		}
		html_raw(h, "</tr>");
	}
	html_raw(h, "</table></section>");
}

static void servers_part(struct html *h, const struct page_request *q)
{
	static const char *const words[RESOLVER_HEALTHS] = { [RESOLVER_WELL] = "answers",
		[RESOLVER_CHECKED] = "is being looked at",
		[RESOLVER_HELD] = "does not answer",
		[RESOLVER_RING] = "asks us back",
		[RESOLVER_REFUSES] = "refuses" };
	const struct resolver *core = resolver_server_core(q->page->s->server);
	struct resolver_route_report route;
	char at[DNS_SECURE_TEXT];
	html_raw(h, "<section class=\"card\"><h2>Who is asked</h2><table>");
	for (size_t i = 0; resolver_route_report(core, loop_now_ms(q->page->s->loop), i, &route); i++)
		for (size_t k = 0; k < route.n; k++) {
			const struct resolver_server_report *s = &route.servers[k];
			html_raw(h, "<tr><td class=\"name\">");
			html_put(h, resolver_server_text(s, at));
			html_raw(h, "</td><td>");
			html_put(h, route.site			     ? "names of the place"
				    : strcmp(route.suffix, ".") == 0 ? "everything else"
								     : route.suffix);
			html_raw(h, "</td><td class=\"%s\">%s</td><td class=\"n\">",
				s->health == RESOLVER_WELL ? "good" : "bad", words[s->health]);
			if (s->rtt_ms)
				html_raw(h, "%u ms", s->rtt_ms);
			html_raw(h, "</td></tr>");
		}
	html_raw(h, "</table></section>");
}

void page_overview(const struct page_request *q)
{
	struct html h = { 0 };
	page_open_html(&h, q, "Overview", "/", "");
	pause_part(&h, q);
	numbers_part(&h, q);
	chart_part(&h, q->page);
	if (resolver_server_journal(q->page->s->server)) {
		html_raw(&h, "<div class=\"columns\">");
		top_part(&h, q, JOURNAL_NAMES, "Most asked for");
		top_part(&h, q, JOURNAL_BLOCKED, "Most blocked");
		top_part(&h, q, JOURNAL_CLIENTS, "Who asks most");
		servers_part(&h, q);
		html_raw(&h, "</div>");
	} else {
		log_off_part(&h, q, "/");
		servers_part(&h, q);
	}
	html_reply(&h, q->r->guest, 200, "");
}

/* ---- questions ---- */

struct filter {
	char text[FILTER_MAX]; /* part of the name or of the client, lower case */
	bool blocked, follow;
};

static void filter_read(const struct page_request *q, struct filter *f)
{
	char text[FILTER_MAX] = "", word[8] = "";
	(void)http_target_query(q->r->head, "q", text, sizeof(text));
	if (!text_lower(text, f->text, sizeof(f->text)))
		f->text[0] = 0;
	f->blocked = http_target_query(q->r->head, "blocked", word, sizeof(word)) && strcmp(word, "yes") == 0;
	f->follow = http_target_query(q->r->head, "follow", word, sizeof(word)) && strcmp(word, "yes") == 0;
}

static void why_link(struct html *h, const char *name, const char *client)
{
	char escaped[3 * DNS_NAME_TEXT], from[3 * ADDR_TEXT];
	http_escape(name, escaped, sizeof(escaped));
	http_escape(client, from, sizeof(from));
	html_raw(h, "<a href=\"/why?name=%s&amp;client=%s\" aria-label=\"Why ", escaped, from);
	html_put(h, name);
	html_raw(h, "\">Why</a> ");
}

static void question_row(struct html *h, const struct page_request *q, const struct journal_question *of,
	const struct filter *f, size_t *n)
{
	static const char *const froms[] = { [RESOLVER_FROM_ZONE] = "from records",
		[RESOLVER_FROM_RULES] = "by a rule",
		[RESOLVER_FROM_BLOCK] = "blocked",
		[RESOLVER_FROM_CACHE] = "from the cache",
		[RESOLVER_FROM_STALE] = "past its time",
		[RESOLVER_FROM_UPSTREAM] = "asked",
		[RESOLVER_FROM_NOWHERE] = "nobody knew" };
	char name[DNS_NAME_TEXT], client[ADDR_TEXT], at[32], type[DNS_TYPE_TEXT];
	bool blocked = of->source == RESOLVER_FROM_BLOCK, says = !blocked && of->rcode != DNS_NOERROR;
	dns_name_format(&of->name, name);
	addr_format(&of->client, client);
	if ((f->blocked && !blocked) || (*f->text && !strstr(name, f->text) && !strstr(client, f->text)))
		return;
	clock_text(of->unix_ms, "%H:%M:%S", at);
	html_raw(h, "<tr%s><td>%s</td><td>", blocked ? " class=\"is-blocked\"" : "", at);
	html_put(h, client);
	html_raw(h, "</td><td class=\"name\">");
	html_put(h, name);
	html_raw(h, "</td><td>%s</td><td>%s%s%s</td><td class=\"n\">%u ms</td><td class=\"do\">",
		dns_type_format(of->type, type), says ? present_rcode(of->rcode) : "", says ? ", " : "",
		froms[of->source], of->took_ms);
	if (blocked)
		why_link(h, name, client);
	if (of->source != RESOLVER_FROM_ZONE && of->source != RESOLVER_FROM_RULES)
		button(h, q, blocked ? "/allow" : "/deny", "/log", name, blocked ? "Allow" : "Block");
	html_raw(h, "</td></tr>");
	++*n;
}

/* The newest first. */
static size_t questions_part(struct html *h, const struct page_request *q, const struct filter *f)
{
	const struct journal *j = resolver_server_journal(q->page->s->server);
	const struct journal_question **all = calloc(JOURNAL_QUESTIONS, sizeof(struct journal_question *));
	size_t total = 0, shown = 0;
	uint64_t number = 0;
	while (all && total < JOURNAL_QUESTIONS && (all[total] = journal_next(j, &number)))
		total++;
	while (total && shown < LOG_SHOWN)
		question_row(h, q, all[--total], f, &shown);
	h->bad = h->bad || !all;
	free(all);
	return shown;
}

static void filter_part(struct html *h, const struct filter *f)
{
	html_raw(h, "<form class=\"filter\" method=\"get\" action=\"/log\" role=\"search\"><label>Name or "
		    "client <input "
		    "name=\"q\" value=\"");
	html_put(h, f->text);
	html_raw(h,
		"\"></label><label class=\"check\"><input type=\"checkbox\" name=\"blocked\" "
		"value=\"yes\"%s> blocked "
		"ones alone</label><label class=\"check\"><input type=\"checkbox\" name=\"follow\" "
		"value=\"yes\"%s> every 5 "
		"s</label><button>Show</button></form>",
		f->blocked ? " checked" : "", f->follow ? " checked" : "");
}

void page_log(const struct page_request *q)
{
	struct html h = { 0 };
	struct filter f;
	filter_read(q, &f);
	page_open_html(
		&h, q, "Questions", "/log", f.follow ? "<meta http-equiv=\"refresh\" content=\"5\">" : "");
	if (!resolver_server_journal(q->page->s->server)) {
		log_off_part(&h, q, "/log");
	} else {
		filter_part(&h, &f);
		html_raw(&h, "<div class=\"wide\" tabindex=\"0\" role=\"region\" "
			     "aria-label=\"Questions\"><table class=\"log\"><thead><tr>"
			     "<th>When</th><th>Who</th><th>Name</th><th>Type</th><th>Answer</th><th>Took</"
			     "th><th>Do</th></tr></thead><tbody>");
		size_t n = questions_part(&h, q, &f);
		html_raw(&h, "</tbody></table></div><p class=\"dim\">%s</p>",
			n == LOG_SHOWN ? "The last 200; a filter finds older ones."
			: n	       ? ""
				       : "No question is like that.");
		form_open(&h, q, "/log", "/log");
		html_raw(&h, "<button name=\"on\" value=\"false\">Forget them, and write no more "
			     "down</button></form>");
	}
	html_reply(&h, q->r->guest, 200, "");
}

/* ---- names ---- */

static void own_part(struct html *h, const struct page_request *q, enum own_verb which, const char *title)
{
	struct buf text = { 0 };
	struct errbuf eb = { 0 };
	int err = own_lists_text(q->page->s->own, which, &text, &eb);
	const char *at = err ? NULL : buf_cstr(&text);
	size_t n = 0;
	html_raw(h, "<section class=\"card\"><h2>%s</h2><table>", title);
	for (size_t len; at && *at; at += len + (at[len] == '\n')) {
		char line[DNS_NAME_TEXT + 2];
		len = strcspn(at, "\n");
		if (!len || len >= sizeof(line))
			continue;
		snprintf(line, sizeof(line), "%.*s", (int)len, at);
		html_raw(h, "<tr><td class=\"name\">");
		html_put(h, line);
		html_raw(h, "</td><td class=\"do\">");
		button(h, q, "/forget", "/lists", line, "Remove");
		html_raw(h, "</td></tr>");
		n++;
	}
	html_raw(h, "</table>");
	if (err) {
		html_raw(h, "<p role=\"alert\">");
		html_put(h, eb.text);
		html_raw(h, "</p>");
	} else if (!n) {
		html_raw(h, "<p class=\"dim\">None.</p>");
	}
	html_raw(h, "</section>");
	buf_free(&text);
}

static void conf_lists_part(struct html *h, const struct page_request *q)
{
	const struct conf_block *c = blocker_conf(q->page->s->blocker);
	html_raw(h, "<section class=\"card\"><h2>Lists of the configuration</h2><table>");
	for (size_t i = 0; c && i < c->n_lists; i++) {
		const struct conf_list *l = &c->lists[i];
		if (l->own)
			continue;
		html_raw(h, "<tr><td>");
		html_put(h, l->name);
		html_raw(h, "</td><td>%s%s</td><td class=\"name\">", l->allow ? "lets through" : "blocks",
			l->n_when ? ", at its hours" : "");
		html_put(h, l->url ? l->url : l->file ? l->file : "names in the configuration");
		html_raw(h, "</td></tr>");
	}
	html_raw(h, "</table></section>");
}

void page_lists(const struct page_request *q)
{
	struct html h = { 0 };
	page_open_html(&h, q, "Names", "/lists", "");
	html_raw(&h, "<section class=\"card\"><h2>Add a name</h2>");
	form_open(&h, q, "/deny", "/lists");
	html_raw(&h,
		"<label>Name, or *.name for all below it <input name=\"name\" required "
		"autocapitalize=\"none\" "
		"spellcheck=\"false\"></label><div class=\"row\"><button class=\"act\">Block</button><button "
		"formaction=\"/allow\">Allow</button></div></form></section><div class=\"columns\">");
	own_part(&h, q, OWN_DENY, "Blocked by hand");
	own_part(&h, q, OWN_ALLOW, "Let through by hand");
	html_raw(&h, "</div>");
	conf_lists_part(&h, q);
	html_reply(&h, q->r->guest, 200, "");
}

/* ---- why ---- */

static void why_form(struct html *h, const struct page_why *w)
{
	html_raw(h,
		"<form class=\"filter\" method=\"get\" action=\"/why\" role=\"search\"><label>Name <input "
		"name=\"name\" required autocapitalize=\"none\" spellcheck=\"false\" value=\"");
	html_put(h, w->name);
	html_raw(h, "\"></label><label>For the client with this address <input name=\"client\" "
		    "placeholder=\"one of no group\" value=\"");
	html_put(h, w->client);
	html_raw(h, "\"></label><button>Look</button></form>");
}

static void why_found(struct html *h, const struct page_why *w)
{
	const struct api_dns_blocked *m = w->found;
	html_raw(h, "<section class=\"card\"><h2>");
	html_put(h, w->name);
	html_raw(h, " is%s blocked", m->blocked ? "" : " not");
	html_put(h, *w->client ? " for " : "");
	html_put(h, w->client);
	html_put(h, *m->group ? ", of the group " : "");
	html_put(h, m->group);
	html_raw(h, "</h2>%s<table>", m->lines.n ? "" : "<p class=\"dim\">No list has it.</p>");
	for (size_t i = 0; i < m->lines.n; i++) {
		html_raw(h, "<tr><td class=\"name\">");
		html_put(h, m->lines.v[i]);
		html_raw(h, "</td></tr>");
	}
	html_raw(h, "</table></section>");
}

void page_why(const struct page_request *q, const struct page_why *w)
{
	struct html h = { 0 };
	page_open_html(&h, q, "Why a name is blocked", "/why", "");
	why_form(&h, w);
	if (w->complaint) {
		html_raw(&h, "<p class=\"care\" role=\"alert\">");
		html_put(&h, w->complaint);
		html_raw(&h, "</p>");
	} else if (w->found) {
		why_found(&h, w);
	}
	html_reply(&h, q->r->guest, 200, "");
}

/* ---- before it ---- */

void page_login(const struct page_request *q, int status, const char *complaint, const char *cookie)
{
	struct html h = { 0 };
	head(&h, "Log in", "", "narrow");
	html_raw(&h, "<main><p class=\"brand\">Ropewalk resolver</p><h1>Log in</h1>");
	if (*complaint)
		html_raw(&h, "<p class=\"care\" role=\"alert\">%s</p>", complaint);
	html_raw(&h,
		"<form method=\"post\" action=\"/login\"><input type=\"hidden\" name=\"form\" "
		"value=\"%s\"><label>Password "
		"<input name=\"password\" type=\"password\" autocomplete=\"current-password\" required "
		"autofocus></label>"
		"<button class=\"act\">Log in</button></form>",
		q->form);
	html_reply(&h, q->r->guest, status, cookie);
}

void page_nobody(const struct page_request *q)
{
	struct html h = { 0 };
	head(&h, "No password yet", "", "narrow");
	html_raw(&h, "<main><p class=\"brand\">Ropewalk resolver</p><h1>No password yet</h1><p>Nobody can "
		     "log in before "
		     "there is one. On the machine, as root:</p><pre>ropewalk-resolver password</pre>");
	html_reply(&h, q->r->guest, 200, "");
}
