#include "mesh/node/links/server_ping.h"
#include "mesh/node/links/server_place.h"
#include "mesh/base/log.h"
#include "mesh/os/sock.h"
#include <string.h>
#include <strings.h>

enum { INSIDE_MAX = 16 };

static void ping_answered(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	(void)head;
	(void)body;
	(void)len;
	((struct server_ping *)arg)->rq = NULL;
}

static void ping_failed(void *arg, int code, const char *why)
{
	(void)code;
	log_info("control: a ping of the server could not be answered: %s", why);
	((struct server_ping *)arg)->rq = NULL;
}

static void inside_done(void *arg, int code)
{
	(void)code;
	((struct server_ping *)arg)->inside--;
}

/* A server that asks on and on and reads no answer is told no more. */
static void say_inside(struct server_ping *s, struct control_client_link *link, const char *method,
	const char *url, const void *body, size_t len)
{
	const struct h2_request_events ev = { .done = inside_done, .arg = s };
	const char *path = strstr(url, "://");
	path = path ? strchr(path + 3, '/') : url;
	if (path && s->inside < INSIDE_MAX)
		s->inside += control_client_request(link, method, path, NULL, NULL, body, len, &ev) != NULL;
}

void server_ping_tell(struct server_ping *s, struct control_client_link *link, const char *url,
	const char *json, size_t len)
{
	say_inside(s, link, "POST", url, json, len);
}

void server_ping_answer(struct server_ping *s, struct loop *l, struct control_client_link *link,
	const char *own_url, bool pinned, const struct server_way *way, const struct ctl_ping *p)
{
	struct url to, own;
	struct endpoint at;
	struct errbuf eb;
	char host[URL_HOST_TEXT];
	if (!p->url[0] || p->types[0])
		return;
	if (p->url_is_noise && link) {
		say_inside(s, link, "HEAD", p->url, NULL, 0);
		return;
	}
	if (s->rq || !url_parse(p->url, &to) || !url_parse(own_url, &own) ||
		strcasecmp(to.host, own.host) != 0)
		return;
	struct http_request rq = { .to = { .host = to.host,
					   .port = to.port,
					   .proxies = way->proxies,
					   .socket_hook = sock_mark_hook },
		.method = "HEAD",
		.target = to.path,
		.host = url_host(&to, host) };
	if (server_place(way, &to, &at))
		rq.to.at = &at;
	if (to.https && !(rq.to.tls = tls_client(pinned ? "insecure" : NULL, &eb)))
		return;
	struct http_client_events ev = { .done = ping_answered, .failed = ping_failed, .arg = s };
	s->rq = http_request(l, &rq, &ev);
	if (rq.to.tls)
		tls_free(rq.to.tls);
}

void server_ping_cancel(struct server_ping *s)
{
	http_client_cancel(s->rq);
	*s = (struct server_ping) { 0 }; /* those inside end with the link, and say nothing */
}
