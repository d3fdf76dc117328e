#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/test/browser.h"
#include "mesh/web/password.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PASSWORD "a long password"

static void answered(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct browser *b = arg;
	const char *set = http_header(head, "Set-Cookie"), *to = http_header(head, "Location"),
		   *csp = http_header(head, "Content-Security-Policy"),
		   *opener = http_header(head, "Cross-Origin-Opener-Policy");
	b->status = head->status;
	snprintf(b->set_cookie, sizeof(b->set_cookie), "%s", set ? set : "");
	snprintf(b->location, sizeof(b->location), "%s", to ? to : "");
	snprintf(b->csp, sizeof(b->csp), "%s", csp ? csp : "");
	snprintf(b->opener, sizeof(b->opener), "%s", opener ? opener : "");
	if (set)
		snprintf(b->cookie, sizeof(b->cookie), "Cookie: %.*s\r\n", (int)strcspn(set, ";"), set);
	b->page = strndup(len ? (const char *)body : "", len);
	b->done = true;
	loop_stop(b->w->loop);
}

static void failed(void *arg, int code, const char *why)
{
	(void)arg;
	fail_msg("request: %d %s", code, why);
}

void browser_send(struct browser *b, const char *target, const char *form, const char *extra)
{
	char host[64], lines[256];
	const struct http_client_events ev = { .done = answered, .failed = failed, .arg = b };
	addr_format(&b->w->at.ip, host);
	snprintf(lines, sizeof(lines), "%s%s", b->cookie, extra);
	struct http_request rq = { .method = form ? "POST" : "GET",
		.target = target,
		.host = "hs.test",
		.extra = lines,
		.body = form,
		.body_len = form ? strlen(form) : 0,
		.content_type = form ? "application/x-www-form-urlencoded" : NULL };
	rq.to = (struct stream_target) { .host = host, .port = b->w->at.port, .at = &b->w->at };
	free(b->page);
	b->page = NULL;
	b->done = false;
	(void)world_request(b->w, &rq, &ev);
}

const char *browser_visit(struct browser *b, const char *target, const char *form, const char *site)
{
	char extra[64] = "";
	if (site)
		snprintf(extra, sizeof(extra), "Sec-Fetch-Site: %s\r\n", site);
	browser_send(b, target, form, extra);
	WAIT(b->w, b->done);
	return b->page;
}

void browser_form(const struct browser *b, char out[static 80])
{
	static const char field[] = "name=\"form\" value=\"";
	const char *at = strstr(b->page, field);
	assert_non_null(at);
	if (at)
		snprintf(out, 80, "form=%.*s", BROWSER_FORM - 1, at + strlen(field));
}

void world_make_admin(struct world *w, const char *verb)
{
	char hash[PASSWORD_HASH], args[256];
	assert_true(password_make(PASSWORD, hash));
	snprintf(args, sizeof(args), "{\"name\":\"root\",\"hash\":\"%s\"}", hash);
	json_t *v = world_admin(w, verb, args);
	assert_string_equal(json_string_value(json_object_get(v, "name")), "root");
	json_decref(v);
}

void browser_log_in(struct browser *b, const char *password, const char *site)
{
	char form[80], text[256];
	(void)browser_visit(b, "/login", NULL, NULL);
	browser_form(b, form);
	snprintf(text, sizeof(text), "%s&name=root&password=%s", form, password);
	(void)browser_visit(b, "/login", text, site);
}
