/* What an authority answers to the steps of an order: an input is a line of answers, with a byte 0x1e between them. The first
 * line of each is "STATUS LETTER NONCE LOCATION", the rest the body; LETTER x: no answer. Checked: the order ends once, with PEM or
 * a sentence, and all of it again with one allocation that fails. */
#include "mesh/acme/acme.h"
#include "mesh/acme/acme_cert.h"
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/key.h"
#include "mesh/transport/http.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { ANSWER_END = 0x1e, TURNS_MAX = 200, POLL_MS = 9000, WORD = 512 };

/* The one request that is under way; in place of transport/http_client.c, so that nothing reaches a network. */
static struct {
	bool waits;
	struct http_client_events ev;
	const uint8_t *script;
	size_t left;
	unsigned ends;
	bool keeps, by_tls; /* the challenge can be answered, and how */
} only;

struct http_client *http_request(
	struct loop *l, const struct http_request *rq, const struct http_client_events *ev)
{
	(void)l;
	must(rq->to.host && *rq->to.host && rq->target[0] == '/' && !strpbrk(rq->target, " \r\n"));
	only.waits = true;
	only.ev = *ev;
	return (struct http_client *)&only;
}

void http_client_cancel(struct http_client *c)
{
	if (c)
		only.waits = false;
}

static void answer_next(void)
{
	const uint8_t *end = memchr(only.script, ANSWER_END, only.left);
	size_t n = end ? (size_t)(end - only.script) : only.left;
	char *text = strndup((const char *)only.script, n), nonce[WORD] = "", location[WORD] = "";
	must(text);
	char *body = strchr(text, '\n');
	body = body ? body + 1 : text + strlen(text);
	int status = 0;
	char letter = 'x';
	(void)sscanf(text, "%3d %c %511s %511s", &status, &letter, nonce, location);
	struct http_head head = { .status = status, .n_headers = 2, .content_length = -1 };
	head.headers[0] = (struct http_header) { "Replay-Nonce", nonce };
	head.headers[1] = (struct http_header) { "Location", location };
	only.script += n + (end != NULL);
	only.left -= n + (end != NULL);
	only.waits = false;
	if (letter == 'x')
		only.ev.failed(only.ev.arg, -1, "no answer");
	else
		only.ev.done(only.ev.arg, &head, (const uint8_t *)body, strlen(body));
	free(text);
}

static bool prepare(void *arg, const char *token, const char *key_authorization)
{
	(void)arg;
	must(*token && !strpbrk(token, "/\" \r\n") && !strncmp(key_authorization, token, strlen(token)));
	struct buf pem = { 0 };
	bool made = !only.by_tls || acme_cert_challenge("hs.test", key_authorization, &pem);
	must(made || trouble_happened());
	buf_wipe(&pem);
	return only.keeps && made;
}

static void done(void *arg, int code, const char *pem, size_t len, const char *why)
{
	(void)arg;
	only.ends++;
	must(code ? *why && !pem : len && !strncmp(pem, "-----BEGIN", len < 10 ? len : 10));
}

/* A key as the state has it. */
static void read_key(const uint8_t *data, size_t len)
{
	struct errbuf eb;
	struct buf pem = { 0 };
	struct jose_key *k = jose_key_read((const char *)data, len, &eb);
	must(!k || jose_key_write(k, &pem) || trouble_happened());
	buf_wipe(&pem);
	jose_key_free(k);
}

static void run(const uint8_t *data, size_t len)
{
	static struct jose_key *key;
	if (!key)
		key = jose_key_make();
	must(key && len);
	struct loop *l = loop_new();
	struct acme_options o = { .directory = "https://ca.test/dir",
		.email = data[0] & 1 ? "a@b.test" : "",
		.host = "hs.test",
		.account = key,
		.challenge = data[0] & 2 ? ACME_TLS_ALPN_01 : ACME_HTTP_01 };
	struct acme_ops ops = { .prepare = prepare, .done = done };
	only.keeps = !(data[0] & 4);
	only.by_tls = data[0] & 2;
	only.script = data + 1;
	only.left = len - 1;
	only.ends = 0;
	only.waits = false;
	trouble_begin();
	read_key(data, len);
	struct acme *a = acme_order(l, &o, &ops);
	must(a || trouble_happened());
	for (int i = 0; a && i < TURNS_MAX && !only.ends; i++) {
		if (only.waits) {
			answer_next();
			continue;
		}
		trouble_pass_ms(i ? POLL_MS : 0);
		loop_run_once(l);
	}
	trouble_end();
	must(!a || only.ends == 1);
	must(!only.waits);
	acme_free(a);
	loop_free(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!key_setup())
		abort();
	return len ? trouble_twice(run, data, len) : 0;
}
