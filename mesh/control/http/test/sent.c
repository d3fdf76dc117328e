#include "mesh/control/http/test/sent.h"
#include "mesh/transport/http.h"
#include <stdio.h>

struct sent sent;

void sent_put(int status, const void *body, size_t len)
{
	sent.status = status;
	snprintf(sent.body, sizeof(sent.body), "%.*s", (int)len, (const char *)body);
}

void __wrap_http_reply(struct http_server_conn *c, int status, const char *type, const char *extra,
	const void *body, size_t len);
void __wrap_http_reply(struct http_server_conn *c, int status, const char *type, const char *extra,
	const void *body, size_t len)
{
	(void)c, (void)type, (void)extra;
	sent_put(status, body, len);
}
