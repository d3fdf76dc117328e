#include "mesh/node/links/server_key.h"
#include "mesh/node/links/server_place.h"
#include "mesh/proto/control.h"
#include "mesh/transport/http.h"
#include "mesh/os/sock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 65536 };

struct server_key_ask {
	struct http_client *rq;
	void (*cb)(void *arg, const struct machine_key *key, bool reached, const char *why);
	void *arg;
};

static void key_tell(struct server_key_ask *a, const struct machine_key *key, bool reached, const char *why)
{
	struct server_key_ask told = *a;
	free(a);
	told.cb(told.arg, key, reached, why);
}

static void key_received(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct ctl_key_response k;
	struct errbuf eb;
	char why[64];
	if (head->status != 200) {
		snprintf(why, sizeof(why), "/key was answered %d", head->status);
		key_tell(arg, NULL, true, why);
	} else if (ctl_key_response_read((const char *)body, len, &k, &eb) != 0) {
		key_tell(arg, NULL, true, eb.text);
	} else {
		key_tell(arg, &k.server, true, NULL);
	}
}

static void key_failed(void *arg, int code, const char *why)
{
	(void)code;
	key_tell(arg, NULL, false, why);
}

struct server_key_ask *server_key_ask(struct loop *l, const char *server_url, bool pinned,
	const struct server_way *way,
	void (*cb)(void *arg, const struct machine_key *key, bool reached, const char *why), void *arg,
	struct errbuf *eb)
{
	struct url url;
	struct endpoint at;
	char target[640], host[URL_HOST_TEXT];
	if (!url_parse(server_url, &url)) {
		err_say(eb, ERR_MALFORMED, "no URL of a control server");
		return NULL;
	}
	snprintf(target, sizeof(target), "%s/key?v=%d", strcmp(url.path, "/") == 0 ? "" : url.path,
		CONTROL_CAPVER);
	struct http_request rq = { .to = { .host = url.host,
					   .port = url.port,
					   .proxies = way->proxies,
					   .socket_hook = sock_mark_hook },
		.method = "GET",
		.target = target,
		.host = url_host(&url, host),
		.body_cap = BODY_MAX };
	if (server_place(way, &url, &at))
		rq.to.at = &at;
	if (url.https && !(rq.to.tls = tls_client(pinned ? "insecure" : NULL, eb)))
		return NULL;
	struct server_key_ask *a = malloc(sizeof(*a));
	struct http_client_events ev = { .done = key_received, .failed = key_failed, .arg = a };
	if (a)
		*a = (struct server_key_ask) { .cb = cb, .arg = arg };
	if (a && !(a->rq = http_request(l, &rq, &ev))) {
		free(a);
		a = NULL;
	}
	if (rq.to.tls)
		tls_free(rq.to.tls);
	if (!a)
		err_say(eb, -ENOMEM, "memory is short");
	return a;
}

void server_key_cancel(struct server_key_ask *a)
{
	if (!a)
		return;
	http_client_cancel(a->rq);
	free(a);
}
