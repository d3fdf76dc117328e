/* A URL, what it leads to that was found at another, and the same text as the values of HTTPS_PROXY and NO_PROXY, as one
 * part of a path and as a form. */
#include "mesh/transport/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { PART = 300 };

static void as_proxy(const char *text)
{
	char buf[PROXY_TEXT];
	struct proxies *p = proxies_new(text, NULL, text);
	if (!p)
		return;
	/* A name is there with its port, or there is none, and that is told. */
	if (p->secure.host[0] ? !p->secure.port || p->fault[0] : *text && !p->fault[0])
		abort();
	if (p->secure.host[0] && !strchr(proxy_text(&p->secure, buf), ':'))
		abort();
	(void)proxies_for(p, true, "a.example.com", 443);
	(void)proxies_for(p, true, "10.0.0.1", 443);
	(void)proxies_for(p, true, text, 80);
	char both[PROXIES_TEXT];
	if (!*proxies_text(p, both) != !p->secure.host[0])
		abort();
	proxies_free(p);
}

/* What was escaped is again what it was, as long as it fits. */
static void as_part(const char *text, size_t len)
{
	char escaped[3 * PART + 1], back[3 * PART + 1], value[PART];
	http_escape(text, escaped, sizeof(escaped));
	if (!http_unescape(escaped, strlen(escaped), back, sizeof(back)) ||
		strncmp(back, text, strlen(back)) != 0 || (strlen(text) < PART && strcmp(back, text) != 0))
		abort();
	(void)http_form_value(text, len, "a", value, sizeof(value));
}

/* Written again as a Host header has it, it leads to the same place, and not to where another port is. */
static void as_host(const char *text, const struct url *u)
{
	char again[URL_HOST_TEXT + sizeof(u->path) + 16], host[URL_HOST_TEXT], elsewhere[32];
	snprintf(again, sizeof(again), "%s://%s%s", u->https ? "https" : "http", url_host(u, host), u->path);
	snprintf(elsewhere, sizeof(elsewhere), "http://other.test:%d/", u->port == 1 ? 2 : 1);
	if (!url_same(text, again) || !url_same(again, text) || url_same(again, elsewhere))
		abort();
}

/* As a program finds them at its start. */
static void in_environment(void)
{
	static bool done;
	if (done)
		return;
	done = true;
	if (setenv("HTTPS_PROXY", "http://[::1]:81", 1) != 0 || setenv("HTTP_PROXY", "ftp://a", 1) != 0)
		abort();
	proxies_free(proxies_found("fuzz"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1);
	struct url u;
	static const struct url base = { .https = true, .host = "a.test", .port = 443, .path = "/b/c?d" };
	if (!text)
		return 0;
	if (len)
		memcpy(text, data, len);
	text[len] = '\0';
	if (url_parse(text, &u) && (!u.host[0] || !u.port || u.path[0] != '/'))
		abort();
	in_environment();
	if (url_parse(text, &u))
		as_host(text, &u);
	as_part(text, len);
	as_proxy(text);
	if (url_join(&base, text, &u) &&
		(!u.host[0] || !u.port || u.path[0] != '/' || strlen(u.path) >= sizeof(u.path)))
		abort();
	free(text);
	return 0;
}
