/* RFC 8484 over HTTP/1.1, as a peer of the mesh offers it that is an exit: inside the tunnel, which keeps it private. Each
 * question is a POST. Answers come in the order of the questions, so one that nobody wants any more is still waited for,
 * and questions are spread over several connections before one waits for another. */
#include "resolver/exchange/pool.h"

#include "mesh/transport/http_parse.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HTTP_OK = 200, SPREAD = 8, DNS_HEADER = 12, HEAD_MAX = 512 + DNS_SECURE_PATH };

static const char media_type[] = "application/dns-message";

struct http_state {
	struct http_parse in;
	uint32_t asked, answered; /* how many; a question is known by its number */
};

static int http_open(struct link *l)
{
	struct http_state *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	http_parse_init(&s->in, false, EXCHANGE_MESSAGE_MAX);
	l->state = s;
	return 0;
}

static int http_ask(struct link *l, struct link_question *t)
{
	struct http_state *s = l->state;
	char out[HEAD_MAX + EXCHANGE_QUESTION_MAX], host[ENDPOINT_TEXT];
	int n = snprintf(out, HEAD_MAX,
		"POST %s HTTP/1.1\r\nHost: %s\r\nAccept: %s\r\nContent-Type: %s\r\nContent-Length: "
		"%u\r\n\r\n",
		l->secure.path, endpoint_format(&l->to, host), media_type, media_type, t->len);
	if (n < 0 || n >= HEAD_MAX)
		return ERR_TOO_LARGE;
	memcpy(out + n, t->msg, t->len);
	be_put((uint8_t *)out + n, 2, 0); /* RFC 8484 4.1 */
	t->wire_id = ++s->asked;
	return stream_write(l->stream, out, (size_t)n + t->len);
}

static bool is_dns(const struct http_head *h)
{
	const char *type = http_header(h, "Content-Type");
	size_t len = sizeof(media_type) - 1;
	return type && strncasecmp(type, media_type, len) == 0 &&
	       (!type[len] || type[len] == ';' || type[len] == ' ');
}

/* The whole answer to the oldest question. false: the link is gone. */
static bool answer_take(struct link *l, struct http_state *s)
{
	struct link_question *t = link_question_find(l, ++s->answered);
	int status = s->in.head.status;
	size_t len = s->in.body.len;
	bool good = status == HTTP_OK && is_dns(&s->in.head) && len >= DNS_HEADER;
	l->stale = l->stale || !s->in.head.keep_alive;
	if (good)
		memcpy(l->x->big, buf_data(&s->in.body), len);
	http_parse_next(&s->in);
	if (!t)
		return true;
	return good ? link_answer(l, t, l->x->big, len)
		    : link_refuse(l, t, status == HTTP_OK ? ERR_MALFORMED : -EPROTO);
}

static int http_received(struct link *l, const uint8_t *p, size_t len)
{
	struct http_state *s = l->state;
	while (len) {
		long used = http_parse_feed(&s->in, p, len);
		if (used < 0 || (s->in.complete && s->answered == s->asked))
			return ERR_MALFORMED; /* or said without having been asked */
		p += used;
		len -= (size_t)used;
		if (s->in.complete && s->in.head.status / 100 == 1) /* not yet the answer */
			http_parse_next(&s->in);
		else if (s->in.complete && !answer_take(l, s))
			return 0;
	}
	return 0;
}

static void http_close(struct link *l)
{
	struct http_state *s = l->state;
	if (s)
		http_parse_fini(&s->in);
	free(s);
}

const struct framing framing_http = {
	.spread = SPREAD, .open = http_open, .ask = http_ask, .received = http_received, .close = http_close
};
