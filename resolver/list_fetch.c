/* One at a time of: waiting for the timer, looking up the host (`lookup`), asking (`client`), writing (`work`, on a
 * thread: it syncs).
 *
 * Who publishes a list on the internet must not have us ask what is in our network: a redirect is followed to an
 * address of it only where the URL that was configured led into it already. So the host of each step is looked up
 * here, and the connection goes to the address that was judged; or to a proxy, which gets the name, and what this machine
 * finds no address of is judged by nobody else. */
#include "resolver/list_fetch.h"

#include "mesh/base/arena.h"
#include "mesh/base/buf.h"
#include "mesh/base/key.h"
#include "mesh/base/log.h"
#include "mesh/base/nat64.h"
#include "mesh/os/file.h"
#include "mesh/os/resolve.h"
#include "mesh/os/work.h"
#include "mesh/transport/http.h"
#include "mesh/transport/proxy.h"
#include "mesh/transport/stream.h"
#include "resolver/block_list.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
	RETRY_MS = 5 * 60 * 1000,
	RETRY_FIRST_MS = 10 * 1000, /* where there is none yet: at the start the network may not be there */
	EXCHANGE_MS = 120 * 1000,
	REDIRECTS_MAX = 5,
	ETAG_MAX = 256,
	NAMES_MIN = 1, /* in a list that is one */
};

struct list_fetch {
	struct list_fetch_options o; /* its strings are in the arena */
	struct arena arena;
	struct loop_timer *timer;
	struct tls *tls; /* made when it is needed; NULL: not yet */
	struct resolve *lookup;
	struct http_client *client;
	struct work *work;
	unsigned redirects; /* so far */
	bool inside;	    /* where the URL itself leads */
	uint64_t retry_ms;  /* after the next failure */
	struct url at;	    /* where it is now */
	struct buf body;
	bool too_long;	     /* or memory was short */
	bool has;	     /* the file is there, and came from this URL */
	char etag[ETAG_MAX]; /* of what is in the body, "" = none */
	/* the thread's while `work` is */
	uint64_t names;
	struct errbuf eb;
};

enum { BESIDE_MAX = 4096 };
static const char etag[] = "etag", from_url[] = "url";

/* What is known of the file, in one beside it. */
static char *beside(const struct list_fetch *f, const char *what, char out[static BESIDE_MAX])
{
	snprintf(out, BESIDE_MAX, "%s.%s", f->o.path, what);
	return out;
}

/* One that came from another URL, before a change of the configuration, serves until this one's is there. */
static bool is_from_here(const struct list_fetch *f)
{
	char path[BESIDE_MAX];
	struct buf b = { 0 };
	bool same = file_read(beside(f, from_url, path), strlen(f->o.url), &b, NULL) == 0 &&
		    b.len == strlen(f->o.url) && memcmp(buf_data(&b), f->o.url, b.len) == 0;
	buf_free(&b);
	return same;
}

/* ---- when ---- */

static void wait_for_retry(struct list_fetch *f, const char *why)
{
	log_warn("the list %s: %s: %s; what is there stays, and it is tried again in %" PRIu64 " s",
		f->o.name, f->o.url, why, f->retry_ms / 1000);
	buf_free(&f->body);
	loop_timer_set(f->timer, f->retry_ms);
	f->retry_ms = f->retry_ms * 2 < f->o.every_ms ? f->retry_ms * 2 : f->o.every_ms;
}

static void wait_for_next(struct list_fetch *f)
{
	buf_free(&f->body);
	f->retry_ms = f->o.retry_ms ? f->o.retry_ms : RETRY_MS;
	loop_timer_set(f->timer, f->o.every_ms);
}

/* ---- what came ---- */

static int name_count(void *arg, const struct block_item *i)
{
	(void)i;
	++*(uint64_t *)arg;
	return 0;
}

static void body_write(void *arg)
{
	struct list_fetch *f = arg;
	struct block_list_ops ops = { name_count, &f->names };
	struct block_list *l = malloc(sizeof(*l));
	char path[BESIDE_MAX];
	f->names = 0;
	f->eb.code = l ? 0 : err_say(&f->eb, -ENOMEM, "out of memory");
	if (l) {
		block_list_begin(l, true, &ops);
		(void)block_list_read(l, (const char *)buf_data(&f->body), f->body.len);
		(void)block_list_end(l);
	}
	free(l);
	if (!f->eb.code && f->names < NAMES_MIN)
		err_say(&f->eb, ERR_MALFORMED, "what came has no names in it");
	/* A URL may have a password in it. */
	if (!f->eb.code && !file_write_atomic(f->o.path, 0644, buf_data(&f->body), f->body.len, &f->eb) &&
		!file_write_atomic(beside(f, etag, path), 0644, f->etag, strlen(f->etag), &f->eb))
		(void)file_write_atomic(beside(f, from_url, path), 0600, f->o.url, strlen(f->o.url), &f->eb);
}

static void body_written(void *arg)
{
	struct list_fetch *f = arg;
	f->work = NULL;
	if (f->eb.code) {
		wait_for_retry(f, f->eb.text);
		return;
	}
	log_info("the list %s: %" PRIu64 " names from %s", f->o.name, f->names, f->o.url);
	f->has = true;
	wait_for_next(f);
	f->o.changed(f->o.arg);
}

/* ---- asking ---- */

static void look_up(struct list_fetch *f);

static void redirected(struct list_fetch *f, const struct http_head *head)
{
	const char *to = http_header(head, "Location");
	struct url next;
	if (++f->redirects > REDIRECTS_MAX)
		wait_for_retry(f, "it leads from one place to the next without an end");
	else if (!to || !url_join(&f->at, to, &next))
		wait_for_retry(f, "it leads to what is no URL, or a very long one");
	else if (f->at.https && !next.https)
		wait_for_retry(f, "it leads from https to http");
	else {
		f->at = next;
		buf_free(&f->body);
		look_up(f);
	}
}

static void answered(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct list_fetch *f = arg;
	char why[64];
	const char *tag = http_header(head, "ETag");
	(void)body, (void)len;
	f->client = NULL;
	if (head->status == 304) {
		wait_for_next(f);
	} else if (head->status >= 301 && head->status <= 308 && http_header(head, "Location")) {
		redirected(f, head);
	} else if (head->status != 200) {
		snprintf(why, sizeof(why), "it answers with the status %d", head->status);
		wait_for_retry(f, why);
	} else if (f->too_long) {
		wait_for_retry(f, "it is longer than 64 MiB, or memory is short");
	} else {
		snprintf(f->etag, sizeof(f->etag), "%s", tag && strlen(tag) < ETAG_MAX ? tag : "");
		f->work = work_start(f->o.loop, body_write, body_written, f);
		if (!f->work)
			wait_for_retry(f, "out of memory");
	}
}

static void piece_came(void *arg, const uint8_t *p, size_t len)
{
	struct list_fetch *f = arg;
	f->too_long = f->too_long || !buf_append(&f->body, p, len);
}

static void ask_failed(void *arg, int code, const char *why)
{
	struct list_fetch *f = arg;
	f->client = NULL;
	wait_for_retry(f, why && *why ? why : err_text(code));
}

/* The ETag of the file, as a header line. */
static const char *known_header(const struct list_fetch *f, char *out, size_t cap)
{
	char path[BESIDE_MAX];
	struct buf b = { 0 };
	struct stat st;
	out[0] = 0;
	if (f->has && stat(f->o.path, &st) == 0 &&
		file_read(beside(f, etag, path), ETAG_MAX, &b, NULL) == 0 && b.len &&
		!memchr(buf_data(&b), '\n', b.len) && !memchr(buf_data(&b), '\r', b.len))
		snprintf(out, cap, "If-None-Match: %s\r\n", buf_cstr(&b));
	buf_free(&b);
	return out[0] ? out : NULL;
}

static const struct proxies *proxies_now(const struct list_fetch *f)
{
	return f->o.proxies ? *f->o.proxies : NULL;
}

/* at: NULL, what only a proxy knows. */
static void ask(struct list_fetch *f, const struct endpoint *at)
{
	struct http_client_events ev = {
		.done = answered, .chunk = piece_came, .failed = ask_failed, .arg = f
	};
	struct errbuf eb = { 0 };
	char known[ETAG_MAX + 32], host[URL_HOST_TEXT];
	if (f->at.https && !f->tls && !(f->tls = tls_client(NULL, &eb))) {
		wait_for_retry(f, eb.text);
		return;
	}
	struct http_request rq = { .to = { .host = f->at.host,
					   .port = f->at.port,
					   .at = at,
					   .proxies = proxies_now(f),
					   .tls = f->at.https ? f->tls : NULL },
		.method = "GET",
		.target = f->at.path,
		.host = url_host(&f->at, host),
		.extra = known_header(f, known, sizeof(known)),
		.body_cap = LIST_FETCH_MAX,
		.timeout_ms = EXCHANGE_MS };
	f->body.cap = LIST_FETCH_MAX;
	f->too_long = false;
	f->client = http_request(f->o.loop, &rq, &ev);
	if (!f->client)
		wait_for_retry(f, "out of memory");
}

static void looked_up(void *arg, int code, const struct endpoint *at, size_t n, const char *why)
{
	struct list_fetch *f = arg;
	static const struct nat64_set none;
	bool inside = false, here = false;
	f->lookup = NULL;
	for (size_t i = 0; i < n; i++) {
		bool leads = nat64_is_inside(&at[i].ip, &none);
		inside = inside || leads;
		here = here || (leads && !addr_is_mesh(&at[i].ip)) || addr_is_service(&at[i].ip);
	}
	if (!f->redirects) /* by the address that is asked: any other beside it is the publisher's word */
		f->inside = n && nat64_is_inside(&at[0].ip, &none);
	if (code && proxies_for(proxies_now(f), f->at.https, f->at.host, f->at.port)) {
		ask(f, NULL);
	} else if (code) {
		wait_for_retry(f, why && *why ? why : err_text(code));
	} else if (here && f->o.foreign) {
		wait_for_retry(
			f, "it leads into the network of this machine, which a list of the server must not");
	} else if (inside && f->redirects && !f->inside) {
		wait_for_retry(f, "it leads from the internet into this network");
	} else {
		struct endpoint to = at[0];
		to.port = f->at.port;
		ask(f, &to);
	}
}

static void look_up(struct list_fetch *f)
{
	f->lookup = resolve_start(f->o.loop, f->at.host, looked_up, f);
	if (!f->lookup)
		wait_for_retry(f, "out of memory");
}

static void timer_due(void *arg)
{
	struct list_fetch *f = arg;
	f->redirects = 0;
	if (url_parse(f->o.url, &f->at))
		look_up(f);
}

struct list_fetch *list_fetch_start(const struct list_fetch_options *o, struct errbuf *eb)
{
	struct list_fetch *f = calloc(1, sizeof(*f));
	struct stat st;
	struct url at;
	if (!f || !url_parse(o->url, &at)) {
		err_say(eb, ERR_MALFORMED, "the list %s: \"%s\" is not a URL", o->name, o->url);
		free(f);
		return NULL;
	}
	f->o = *o;
	f->o.name = arena_strdup(&f->arena, o->name);
	f->o.url = arena_strdup(&f->arena, o->url);
	f->o.path = arena_strdup(&f->arena, o->path);
	f->timer = loop_timer_new(o->loop, timer_due, f);
	if (f->arena.failed || !f->timer) {
		err_say(eb, -ENOMEM, "out of memory for the list %s", o->name);
		list_fetch_stop(f);
		return NULL;
	}
	f->has = stat(o->path, &st) == 0 && is_from_here(f);
	f->retry_ms = o->retry_ms ? o->retry_ms : f->has ? RETRY_MS : RETRY_FIRST_MS;
	int64_t age_ms = f->has ? clock_unix_ms() - (int64_t)st.st_mtime * 1000 : INT64_MAX;
	bool is_new = age_ms >= 0 && (uint64_t)age_ms < o->every_ms;
	loop_timer_set(f->timer, is_new ? o->every_ms - (uint64_t)age_ms : 0);
	return f;
}

void list_fetch_stop(struct list_fetch *f)
{
	if (!f)
		return;
	if (f->work)
		(void)work_finish(f->work);
	resolve_cancel(f->lookup);
	http_client_cancel(f->client);
	loop_timer_free(f->timer);
	tls_free(f->tls);
	buf_free(&f->body);
	arena_free(&f->arena);
	free(f);
}
