#include "mesh/control/http/page.h"

#include "mesh/web/html.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* No script but ours, no frame around it, forms to us alone, nothing kept. With no-referrer instead of same-origin
 * browsers would not say where a form comes from. */
#define PAGE_HEADERS \
	"Cache-Control: no-store\r\n" \
	"Content-Security-Policy: default-src 'none'; style-src 'self'; script-src 'self'; " \
	"img-src data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'\r\n" \
	"X-Content-Type-Options: nosniff\r\n" \
	"X-Frame-Options: DENY\r\n" \
	"Referrer-Policy: same-origin\r\n"

/* Browsers take it from pages by HTTPS alone, and complain of it on others. */
static const char *opener_header(const struct api_way *w)
{
	return w->https ? "Cross-Origin-Opener-Policy: same-origin\r\n" : "";
}

void page_raw(struct page *p, const char *fmt, ...)
{
	char text[2048];
	va_list ap;
	va_start(ap, fmt);
	int len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= sizeof(text) || !buf_append(&p->b, text, (size_t)len))
		p->bad = true;
}

void page_text(struct page *p, const char *text)
{
	p->bad = p->bad || !html_text(&p->b, text);
}

void page_open(struct page *p, const char *title, const char *style)
{
	*p = (struct page) { 0 };
	page_raw(p, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" "
		    "content=\"width=device-width,initial-scale=1\"><meta name=\"color-scheme\" "
		    "content=\"light dark\"><title>");
	page_text(p, title);
	page_raw(
		p, "</title><link rel=\"icon\" href=\"data:,\"><link rel=\"stylesheet\" href=\"%s\">", style);
}

void page_begin(struct page *p, const char *title, const char *head, const char *body)
{
	page_open(p, title, "/login.css");
	p->framed = true;
	page_raw(p, "%s<body%s%s><main><p class=\"brand\">Ropewalk</p><h1>", head, *body ? " " : "", body);
	page_text(p, title);
	page_raw(p, "</h1>");
}

void page_reply(struct page *p, const struct api_way *w, int status, const char *extra)
{
	struct buf headers = { 0 };
	page_raw(p, "%s</html>", p->framed ? "</main>" : "");
	if (!p->bad && buf_printf(&headers, "%s%s%s", PAGE_HEADERS, opener_header(w), extra ? extra : "") &&
		buf_cstr(&headers))
		api_reply(
			w, status, "text/html; charset=utf-8", buf_cstr(&headers), buf_data(&p->b), p->b.len);
	else
		api_reply_text(w, 503, "the server is short of memory");
	buf_wipe(&headers); /* a cookie may be in it */
	buf_wipe(&p->b);
}

void page_say(const struct api_way *w, int status, const char *heading, const char *sentence,
	const char *link, const char *words)
{
	struct page p;
	page_begin(&p, heading, "", "");
	page_raw(&p, "<p role=\"status\">");
	page_text(&p, sentence);
	page_raw(&p, "</p>");
	if (link)
		page_raw(&p, "<p><a class=\"button\" href=\"%s\">%s</a></p>", link, words);
	page_reply(&p, w, status, NULL);
}

void page_redirect(const struct api_way *w, const char *location, const char *extra)
{
	struct buf headers = { 0 };
	if (buf_printf(&headers, "Location: %s\r\n%s%s%s", location, PAGE_HEADERS, opener_header(w),
		    extra ? extra : "") &&
		buf_cstr(&headers))
		api_reply(w, 303, "text/plain", buf_cstr(&headers), "", 0);
	else
		api_reply_text(w, 503, "the server is short of memory");
	buf_wipe(&headers);
}
