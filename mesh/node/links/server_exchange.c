#include "mesh/node/links/server_exchange.h"

enum { ANSWER_MAX = 1 << 20 };

static void exchange_head(void *arg, int status)
{
	((struct server_exchange *)arg)->status = status;
}

static void exchange_data(void *arg, const uint8_t *p, size_t len)
{
	struct server_exchange *x = arg;
	x->body.cap = ANSWER_MAX;
	buf_append(&x->body, p, len);
}

static void exchange_done(void *arg, int code)
{
	struct server_exchange *x = arg;
	struct buf body = x->body;
	x->body = (struct buf) { 0 };
	x->rq = NULL;
	const char *text = buf_cstr(&body);
	x->done(x->arg, code ? code : x->status, text ? text : "", body.len);
	buf_free(&body);
}

bool server_exchange_start(struct server_exchange *x, struct control_client_link *link, const char *path,
	const struct buf *body, void (*done)(void *arg, int status, const char *body, size_t len), void *arg)
{
	struct h2_request_events ev = {
		.head = exchange_head, .data = exchange_data, .done = exchange_done, .arg = x
	};
	x->status = 0;
	x->done = done;
	x->arg = arg;
	x->rq = control_client_request(link, "POST", path, NULL, NULL, buf_data(body), body->len, &ev);
	return x->rq != NULL;
}

void server_exchange_cancel(struct server_exchange *x)
{
	if (x->rq)
		h2_request_cancel(x->rq);
	x->rq = NULL;
	buf_free(&x->body);
}
