#include "mesh/node/links/portal.h"

#include "mesh/base/log.h"
#include "mesh/base/text.h"
#include "mesh/os/sock.h"
#include "mesh/transport/http.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { LOOK_MS = 3000, BODY_MAX = 65536, NETWORK_AUTHENTICATION_REQUIRED = 511 }; /* RFC 6585 6 */

/* A server that leads from HTTP to HTTPS, or to another page of its own, is no portal. */
static bool is_own_page(const char *host, const char *location)
{
	struct url u;
	return location[0] == '/' || (url_parse(location, &u) && !strcasecmp(u.host, host));
}

void portal_read(const char *host, int status, const char *location, char out[static PORTAL_URL])
{
	struct url u;
	out[0] = 0;
	if (status == NETWORK_AUTHENTICATION_REQUIRED)
		snprintf(out, PORTAL_URL, "http://%s/", host);
	else if (status >= 300 && status < 400 && location && !is_own_page(host, location) &&
		 url_parse(location, &u) && strlen(location) < PORTAL_URL)
		snprintf(out, PORTAL_URL, "%s", location);
	text_clean(out);
}

void portal_open(struct portal *p, struct loop *l, const struct proxies *proxies)
{
	*p = (struct portal) { .loop = l, .proxies = proxies };
}

static void learn(struct portal *p, const char url[static PORTAL_URL])
{
	p->rq = NULL;
	if (url[0] && strcmp(url, p->url) != 0)
		log_warn("this network wants a login in a browser: %s", url);
	snprintf(p->url, sizeof(p->url), "%s", url);
	snprintf(p->line, sizeof(p->line), "this network has a captive portal: log in at %s in a browser",
		url);
}

static void page_answered(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct portal *p = arg;
	char url[PORTAL_URL];
	(void)body;
	(void)len;
	portal_read(p->host, head->status, http_header(head, "Location"), url);
	learn(p, url);
}

static void page_failed(void *arg, int code, const char *why)
{
	static const char none[PORTAL_URL];
	(void)code;
	(void)why;
	learn(arg, none);
}

void portal_look(struct portal *p, const char *host)
{
	const struct http_client_events ev = { .done = page_answered, .failed = page_failed, .arg = p };
	if (p->rq || strlen(host) >= sizeof(p->host))
		return;
	snprintf(p->host, sizeof(p->host), "%s", host);
	struct http_request rq = {
		.to = { .host = p->host, .port = 80, .proxies = p->proxies, .socket_hook = sock_mark_hook },
		.method = "GET",
		.target = "/generate_204",
		.host = p->host,
		.extra = "X-Tailscale-Challenge: ropewalk\r\n",
		.body_cap = BODY_MAX,
		.timeout_ms = LOOK_MS
	};
	p->rq = http_request(p->loop, &rq, &ev); /* NULL: memory is short; the next try asks */
}

void portal_forget(struct portal *p)
{
	http_client_cancel(p->rq);
	p->rq = NULL;
	p->url[0] = 0;
}

const char *portal_line(const struct portal *p)
{
	return p->url[0] ? p->line : NULL;
}
