#include "mesh/node/test/local_place.h"
#include "mesh/node/farewell.h"
#include "mesh/node/local/local_api.h"
#include "mesh/node/queries.h"
#include "mesh/os/file.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void state_changed(void *arg)
{
	struct node *n = arg;
	if (n->api)
		local_api_state_changed(n->api);
}

static int64_t unix_ms(void *arg)
{
	(void)arg;
	return clock_unix_ms();
}

void local_place_make(struct local_place *p)
{
	*p = (struct local_place) { .dir = "/tmp/rw-api-XXXXXX", .n = calloc(1, sizeof(*p->n)) };
	struct errbuf eb = { 0 };
	assert_non_null(mkdtemp(p->dir));
	/* The folder of the socket is made. */
	snprintf(p->sock, sizeof(p->sock), "%s/run/x/s.sock", p->dir);
	struct node *n = p->n;
	n->loop = loop_new();
	n->opt = (struct node_options) { .state_dir = p->dir, .socket = p->sock };
	n->state_lock = -1;
	n->apply.ops.server_ms = unix_ms;
	backend_init(&n->backend, &n->state.logged_in, state_changed, n);
	backend_heard(&n->backend, BACKEND_ASKED);
	assert_int_equal(state_load(p->dir, &random_system, &n->state, &eb), 0);
	struct local_node_ops ops = queries_ops(n);
	n->api = local_api_open(n->loop, p->sock, &ops, &eb);
	if (!n->api)
		fail_msg("%s", eb.text);
}

void local_place_end(struct local_place *p)
{
	farewell_close(p->n->farewell);
	local_api_close(p->n->api);
	assert_int_not_equal(access(p->sock, F_OK), 0);
	loop_free(p->n->loop);
	free(p->n);
	assert_int_equal(dir_remove(p->dir, NULL), 0);
}

static void took(struct local_answer *a, const uint8_t *p, size_t len)
{
	assert_true(a->len + len < sizeof(a->body));
	if (len)
		memcpy(a->body + a->len, p, len);
	a->len += len;
	a->body[a->len] = 0;
}

static void done(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct local_answer *a = arg;
	a->status = head->status;
	took(a, body, len);
	a->over = true;
}

static void chunk(void *arg, const uint8_t *p, size_t len)
{
	took(arg, p, len);
}

static void failed(void *arg, int code, const char *why)
{
	struct local_answer *a = arg;
	(void)why;
	a->status = code;
	a->over = true;
}

struct http_client *local_begin(
	struct local_place *p, const struct local_question *q, struct local_answer *a, bool stream)
{
	struct http_request rq = { .unix_path = p->sock,
		.method = q->method,
		.target = q->target,
		.host = q->host ? q->host : OUR_HOST,
		.extra = q->extra,
		.body = q->body,
		.body_len = q->body ? strlen(q->body) : 0,
		.timeout_ms = LOCAL_WAIT_MS };
	struct http_client_events ev = {
		.done = done, .chunk = stream ? chunk : NULL, .failed = failed, .arg = a
	};
	*a = (struct local_answer) { 0 };
	return http_request(p->n->loop, &rq, &ev);
}

void local_ask(struct local_place *p, const struct local_question *q, struct local_answer *a)
{
	assert_non_null(local_begin(p, q, a, false));
	while (!a->over)
		loop_run_once(p->n->loop);
}
