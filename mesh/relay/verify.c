#include "mesh/relay/verify.h"

#include "mesh/base/log.h"
#include "mesh/base/table.h"
#include "mesh/os/file.h"
#include "mesh/os/work.h"
#include "mesh/proto/verify.h"
#include "mesh/transport/http.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	KEYS_FILE_MAX = 4 << 20,
	KEPT_MAX = 65536,
	ASKED_MAX = 64, /* at a time; more are refused and come again */
	ASK_MS = 4000,	/* less than a handshake has */
	ANSWER_MAX = 4096,
	KEEP_MS = 60000,
	NO_SHARE = 30,
	SAY_AGAIN_MS = 60000
};

/* What is known of one key. */
struct kept {
	struct node_key who;
	bool allow;
	uint64_t until_ms; /* a yes is used beyond it while nobody answers */
};

/* One key that somebody is asked about: first the server, then the controller. */
struct asked {
	struct verify *v;
	struct asked *next, **at;
	struct node_key who;
	char source[ADDR_TEXT];
	bool by_url, any_answer;
	struct http_client *http;
	struct buf body;
};

struct verify {
	struct loop *loop;
	struct verify_options o;
	struct url url;
	struct tls *tls;     /* when that is https */
	struct table listed; /* node key -> itself, here a mark */
	struct table kept;   /* node key -> struct kept */
	struct asked *asked;
	size_t n_asked;
	uint64_t keep_ms, said_ms;
};

/* --- the list --- */

static int read_line(const struct verify *v, char *line, size_t n, struct table *to, struct errbuf *eb)
{
	struct node_key who;
	line[strcspn(line, "#\r")] = 0;
	line += strspn(line, " \t");
	line[strcspn(line, " \t")] = 0;
	if (!*line)
		return 0;
	if (!key_parse(line, "nodekey:", who.b))
		return err_say(eb, ERR_MALFORMED,
			"%s:%zu: \"%.80s\" is not a node key: nodekey: and 64 hex digits", v->o.keys_file, n,
			line);
	return table_put(to, who.b, to) ? 0 : err_set(eb, -ENOMEM, "read %s", v->o.keys_file);
}

int verify_reload(struct verify *v, struct errbuf *eb)
{
	struct buf text = { 0 };
	struct table fresh;
	char *save = NULL;
	size_t n = 0;
	if (!v->o.keys_file)
		return 0;
	int err = file_read(v->o.keys_file, KEYS_FILE_MAX, &text, eb);
	if (err)
		return err;
	table_init(&fresh, KEY_LEN, (uint64_t)(uintptr_t)v);
	char *all = (char *)buf_cstr(&text);
	if (!all)
		err = err_set(eb, -ENOMEM, "read %s", v->o.keys_file);
	for (char *line = all; line && !err; line = save) {
		save = strchr(line, '\n');
		if (save)
			*save++ = 0;
		err = read_line(v, line, ++n, &fresh, eb);
	}
	buf_free(&text);
	if (err) {
		table_fini(&fresh);
		return err;
	}
	table_fini(&v->listed);
	v->listed = fresh;
	return 0;
}

/* --- what is known --- */

static void keep(struct verify *v, const struct node_key *who, bool allow)
{
	struct kept *k = table_get(&v->kept, who->b);
	if (!k) {
		size_t at = 0;
		while (v->kept.n >= KEPT_MAX && (k = table_next(&v->kept, &at))) { /* any will do */
			table_remove(&v->kept, k->who.b);
			free(k);
		}
		k = calloc(1, sizeof(*k));
		if (!k || !table_put(&v->kept, who->b, k)) {
			free(k);
			return;
		}
		k->who = *who;
	}
	k->allow = allow;
	k->until_ms = loop_now_ms(v->loop) + (allow ? v->keep_ms : v->keep_ms / NO_SHARE);
}

/* --- asking --- */

static void asked_free(struct asked *a)
{
	*a->at = a->next;
	if (a->next)
		a->next->at = a->at;
	a->v->n_asked--;
	buf_free(&a->body);
	free(a);
}

static bool ask_next(struct asked *a);

static void asked_end(struct asked *a, bool allow)
{
	struct verify *v = a->v;
	struct node_key who = a->who;
	asked_free(a);
	v->o.decided(v->o.arg, &who, allow);
}

/* Nobody is left to ask. */
static void asked_over(struct asked *a)
{
	struct verify *v = a->v;
	const struct kept *k = table_get(&v->kept, a->who.b);
	uint64_t now = loop_now_ms(v->loop);
	if (a->any_answer) {
		keep(v, &a->who, false);
		asked_end(a, false);
		return;
	}
	bool allow = (k && k->allow) || v->o.fail_open;
	if (!v->said_ms || now - v->said_ms >= SAY_AGAIN_MS) {
		log_warn("nobody can be asked which nodes may use this relay; %s",
			v->o.fail_open ? "all may" : "those that were allowed before may");
		v->said_ms = now;
	}
	asked_end(a, allow);
}

static void answer_received(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct asked *a = arg;
	struct verify_response r;
	struct arena mem = { .cap = ANSWER_MAX };
	struct errbuf eb;
	bool good = head->status == 200 && !verify_response_read(&mem, (const char *)body, len, &r, &eb);
	arena_free(&mem);
	a->http = NULL;
	a->any_answer = a->any_answer || good;
	if (good && r.allow) {
		keep(a->v, &a->who, true);
		asked_end(a, true);
	} else if (!ask_next(a)) {
		asked_over(a);
	}
}

static void answer_failed(void *arg, int code, const char *why)
{
	struct asked *a = arg;
	(void)code;
	(void)why;
	a->http = NULL;
	if (!ask_next(a))
		asked_over(a);
}

/* false: there is nobody else, or it cannot be asked. */
static bool ask_next(struct asked *a)
{
	const struct verify *v = a->v;
	bool local = v->o.socket_path && !a->by_url && !a->body.len;
	struct http_request rq = { .method = "POST",
		.content_type = "application/json",
		.body_cap = ANSWER_MAX,
		.timeout_ms = ASK_MS };
	struct http_client_events ev = { .done = answer_received, .failed = answer_failed, .arg = a };
	char host[URL_HOST_TEXT];
	if (!local && (a->by_url || !v->o.url))
		return false;
	a->by_url = !local;
	buf_free(&a->body);
	if (!verify_request_write(&a->body, &(struct verify_request) { .who = a->who, .source = a->source }))
		return false;
	rq.body = buf_data(&a->body);
	rq.body_len = a->body.len;
	if (local) {
		rq.unix_path = v->o.socket_path;
		rq.target = "/verify";
		rq.host = "localhost";
	} else {
		rq.to = (struct stream_target) {
			.host = v->url.host, .port = v->url.port, .tls = v->tls, .proxies = v->o.proxies
		};
		rq.target = v->url.path;
		rq.host = url_host(&v->url, host);
	}
	return (a->http = http_request(v->loop, &rq, &ev));
}

/* Somebody asks about this key already. */
static bool is_asked(const struct verify *v, const struct node_key *who)
{
	for (const struct asked *a = v->asked; a; a = a->next)
		if (key_equal(a->who.b, who->b))
			return true;
	return false;
}

enum relay_verdict verify_admits(void *arg, const struct node_key *who, const struct endpoint *from)
{
	struct verify *v = arg;
	if (table_get(&v->listed, who->b))
		return RELAY_YES;
	if (!v->o.socket_path && !v->o.url)
		return RELAY_NO;
	const struct kept *k = table_get(&v->kept, who->b);
	if (k && loop_now_ms(v->loop) < k->until_ms)
		return k->allow ? RELAY_YES : RELAY_NO;
	if (is_asked(v, who))
		return RELAY_LATER;
	struct asked *a = v->n_asked < ASKED_MAX ? calloc(1, sizeof(*a)) : NULL;
	if (!a)
		return RELAY_NO;
	*a = (struct asked) { .v = v, .next = v->asked, .at = &v->asked, .who = *who };
	addr_format(&from->ip, a->source);
	if (a->next)
		a->next->at = &a->next;
	v->asked = a;
	v->n_asked++;
	if (ask_next(a))
		return RELAY_LATER;
	asked_free(a);
	return k && k->allow ? RELAY_YES : v->o.fail_open ? RELAY_YES : RELAY_NO;
}

/* --- life --- */

struct verify *verify_open(struct loop *l, const struct verify_options *o, struct errbuf *eb)
{
	struct verify *v = calloc(1, sizeof(*v));
	if (!v) {
		err_set(eb, -ENOMEM, "start");
		return NULL;
	}
	v->loop = l;
	v->o = *o;
	v->keep_ms = o->keep_ms ? o->keep_ms : KEEP_MS;
	table_init(&v->listed, KEY_LEN, (uint64_t)(uintptr_t)v);
	table_init(&v->kept, KEY_LEN, (uint64_t)(uintptr_t)v);
	if (o->url && !url_parse(o->url, &v->url))
		err_say(eb, ERR_MALFORMED, "\"%.200s\" is not a URL: http:// or https://, a host, a path",
			o->url);
	else if (o->url && !work_ready(l)) /* its host is looked up by the pool's threads */
		err_set(eb, -ENOMEM, "start");
	else if ((!v->url.https || (v->tls = tls_client(NULL, eb))) && !verify_reload(v, eb))
		return v;
	verify_close(v);
	return NULL;
}

void verify_close(struct verify *v)
{
	size_t at = 0;
	if (!v)
		return;
	for (struct asked *a = v->asked, *next; a; a = next) {
		next = a->next;
		http_client_cancel(a->http);
		buf_free(&a->body);
		free(a);
	}
	for (struct kept *k; (k = table_next(&v->kept, &at));)
		free(k);
	table_fini(&v->kept);
	table_fini(&v->listed);
	tls_free(v->tls);
	free(v);
}
