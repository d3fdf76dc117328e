/* One call of the server's REST API: over the admin socket, or over TLS with a key. */
#include "mesh/control/cli/headscale.h"

#include "mesh/os/loop.h"
#include "mesh/proto/json.h"
#include "mesh/transport/http.h"
#include "mesh/transport/proxy.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 64 * 1024 * 1024 };

struct asking {
	struct loop *loop;
	struct proxies *proxies;
	json_t *answer;
	int err;
	struct errbuf *eb;
};

static void answered(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct asking *a = arg;
	json_t *v = json_open((const char *)body, len, &json_of_own_daemon, NULL);
	const char *said = json_string_value(json_object_get(v, "message"));
	if (head->status == 200 && v)
		a->answer = json_incref(v);
	else
		a->err = err_say(a->eb, -EPROTO, "%s",
			said		      ? said
			: head->status == 200 ? "the server's answer makes no sense"
					      : http_status_text(head->status));
	json_decref(v);
	loop_stop(a->loop);
}

static void failed(void *arg, int code, const char *why)
{
	struct asking *a = arg;
	a->err = err_say(a->eb, code, "%s", why);
	loop_stop(a->loop);
}

/* "host:port", "https://host:port" or http://. */
static bool parse_place(const char *address, struct url *out)
{
	char text[512];
	snprintf(text, sizeof(text), "%s%s", strstr(address, "://") ? "" : "https://", address);
	return url_parse(text, out);
}

static int run(struct asking *a, const struct http_request *rq)
{
	const struct http_client_events ev = { .done = answered, .failed = failed, .arg = a };
	if (!http_request(a->loop, rq, &ev))
		return err_set(a->eb, -ENOMEM, "ask the server");
	loop_run(a->loop);
	return a->err;
}

static int ask_elsewhere(struct asking *a, const struct headscale_place *at, struct http_request *rq)
{
	struct url url;
	char extra[256], host[URL_HOST_TEXT];
	if (!parse_place(at->address, &url))
		return err_say(
			a->eb, -EINVAL, "HEADSCALE_CLI_ADDRESS: \"%.128s\" is no address", at->address);
	struct tls *tls = url.https ? tls_client(at->insecure ? "insecure" : NULL, a->eb) : NULL;
	if (url.https && !tls)
		return a->eb->code;
	snprintf(extra, sizeof(extra), "Authorization: Bearer %.200s\r\n", at->key);
	rq->to = (struct stream_target) {
		.host = url.host, .port = url.port, .tls = tls, .proxies = a->proxies
	};
	rq->host = url_host(&url, host);
	rq->extra = extra;
	int err = run(a, rq);
	tls_free(tls);
	return err;
}

int headscale_ask(const struct headscale_place *at, const char *method, const char *target,
	const json_t *body, json_t **answer, struct errbuf *eb)
{
	struct asking a = { .loop = loop_new(), .proxies = proxies_of_environment(), .eb = eb };
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct http_request rq = { .unix_path = at->socket,
		.method = method,
		.target = target,
		.host = "localhost",
		.body = text,
		.body_len = text ? strlen(text) : 0,
		.body_cap = ANSWER_MAX,
		.content_type = text ? "application/json" : NULL };
	int err = !a.loop || !a.proxies || (body && !text) ? err_set(eb, -ENOMEM, "ask the server")
		  : at->socket				   ? run(&a, &rq)
							   : ask_elsewhere(&a, at, &rq);
	if (a.loop)
		loop_free(a.loop);
	proxies_free(a.proxies);
	free(text);
	*answer = a.answer;
	return err;
}
