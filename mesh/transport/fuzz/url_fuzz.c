/* A URL, what it leads to that was found at another, and the same text as the values of HTTPS_PROXY and NO_PROXY. */
#include "mesh/transport/proxy.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

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
	proxies_free(p);
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
	as_proxy(text);
	if (url_join(&base, text, &u) &&
		(!u.host[0] || !u.port || u.path[0] != '/' || strlen(u.path) >= sizeof(u.path)))
		abort();
	free(text);
	return 0;
}
