#include "mesh/cli/api.h"
#include "mesh/base/key.h"
#include "mesh/base/text.h"
#include "mesh/proto/json.h"
#include "mesh/transport/http.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

const char api_host[] = "local-tailscaled.sock";
static const char start_hint[] = "Start it with `systemctl start ropewalkd` (`journalctl -u ropewalkd` says "
				 "why it is not there), or run "
				 "`ropewalkd` as root. Another socket: --socket "
				 "PATH or ROPEWALK_SOCKET.";
static const char permission_hint[] = "Run it as root: sudo ropewalk ...; or let this user do it from now "
				      "on: sudo ropewalk up --operator=$USER";

/* --- what can go wrong, in words --- */

int api_tell_unreachable(struct cli *c, int code, const char *why)
{
	struct stat st;
	if (code == -ETIMEDOUT)
		return cli_fail(c, CLI_TIMEOUT, "timeout", "It is busy or stuck; its log says more.",
			"ropewalkd did not answer in time");
	if (stat(c->socket, &st) != 0 && (errno == ENOENT || errno == ENOTDIR))
		return cli_fail(c, CLI_NOT_RUNNING, "not-running", start_hint,
			"ropewalkd is not running: there is no socket %s", c->socket);
	if (code == -EACCES || code == -EPERM || access(c->socket, R_OK | W_OK) != 0)
		return cli_fail(c, CLI_NOT_RUNNING, "permission", permission_hint, "no permission to use %s",
			c->socket);
	if (code == -ECONNREFUSED)
		return cli_fail(c, CLI_NOT_RUNNING, "not-running", start_hint,
			"ropewalkd is not running: nobody listens on %s", c->socket);
	return cli_fail(c, CLI_NOT_RUNNING, "unreachable", start_hint, "cannot talk to ropewalkd at %s: %s",
		c->socket, why);
}

int api_tell_refused(struct cli *c, int status, const struct buf *body)
{
	struct arena a = { .cap = 1 << 20 };
	const char *json = api_error_read(&a, (const char *)buf_data(body), body->len);
	int len = (int)(body->len < 512 ? body->len : 512), code;
	while (len && buf_data(body)[len - 1] <= ' ')
		len--;
	const char *text = json ? json : (const char *)buf_data(body);
	int shown = json ? (int)strlen(json) : len;
	if (status == 403)
		code = cli_fail(c, CLI_NOT_RUNNING, "permission", permission_hint, "no permission: %.*s",
			shown, text ? text : "");
	else if (shown)
		code = cli_fail(c, CLI_FAILED, "refused", NULL, "%.*s", shown, text);
	else
		code = cli_fail(c, CLI_FAILED, "refused", NULL, "ropewalkd answered %d (%s)", status,
			http_status_text(status));
	arena_free(&a);
	return code;
}

/* --- what others chose to call themselves or to say must not steer the terminal --- */

/* "\uXXXX" at p, of which `left` bytes are there: its code unit; -1: it is none. A pair of surrogates is two,
 * neither of them harmful, and nor is what they make. */
static long escape_read(const uint8_t *p, size_t left)
{
	long v = 0;
	if (left < 6 || p[0] != '\\' || p[1] != 'u')
		return -1;
	for (size_t i = 2; i < 6; i++) {
		static const char digits[] = "0123456789abcdef0123456789ABCDEF";
		const char *d = p[i] ? strchr(digits, p[i]) : NULL;
		if (!d)
			return -1;
		v = v << 4 | (d - digits) % 16;
	}
	return v;
}

/* In place; JSON stays JSON, and keeps its line ends. What is printed as JSON keeps its escapes. */
static void tame(const struct cli *c, uint8_t *p, size_t len)
{
	for (size_t i = 0, n = 0; !c->json && i < len; i += n ? n : 1) {
		uint32_t v = 0;
		long unit = escape_read(p + i, len - i);
		if (unit >= 0) {
			n = 6;
			if (text_is_harmful((uint32_t)unit))
				memcpy(p + i + 2, "003f", 4);
		} else if (p[i] == '\\') {
			n = i + 1 < len && p[i + 1] == '\\' ? 2 : 1; /* it begins no other */
			if (i + 1 < len && p[i + 1] && strchr("bfnr", p[i + 1]))
				p[i] = p[i + 1] = ' ';
		} else {
			n = text_utf8(p + i, len - i, &v);
			if (!n || (text_is_harmful(v) && v != '\t' && v != '\n'))
				memset(p + i, '?', n ? n : 1);
		}
	}
}

/* --- one exchange --- */
struct api_exchange {
	struct cli *c;
	struct http_client *http;
	void (*done)(void *arg, bool ok, const uint8_t *body, size_t len);
	void *arg;
	/* for api_call */
	struct buf body;
	int status, code;
	char why[256];
};

static void exchange_done(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct api_exchange *x = arg;
	x->http = NULL;
	x->status = head->status;
	if (len && !buf_append(&x->body, body, len))
		x->code = -ENOMEM;
	else if (len)
		tame(x->c, buf_data(&x->body), x->body.len);
	if (x->done) {
		x->done(x->arg, !x->code && head->status / 100 == 2, buf_data(&x->body), x->body.len);
		buf_free(&x->body);
		free(x);
		return;
	}
	loop_stop(x->c->loop);
}

static void exchange_failed(void *arg, int code, const char *why)
{
	struct api_exchange *x = arg;
	x->http = NULL;
	if (x->done) {
		x->done(x->arg, false, NULL, 0);
		free(x);
		return;
	}
	x->code = code < 0 ? code : ERR_CLOSED;
	snprintf(x->why, sizeof(x->why), "%s", why);
	loop_stop(x->c->loop);
}

static struct http_client *api_begin(
	struct cli *c, const struct api_request *r, const struct http_client_events *ev)
{
	char extra[sizeof(API_REASON_HEADER) + 8 + (API_REASON_MAX + 2) / 3 * 4],
		why[(API_REASON_MAX + 2) / 3 * 4 + 1];
	const char *reason = r->reason ? r->reason : "";
	snprintf(extra, sizeof(extra), API_REASON_HEADER ": %s\r\n",
		base64_encode((const uint8_t *)reason, strnlen(reason, API_REASON_MAX), why));
	struct http_request rq = {
		.unix_path = c->socket,
		.method = r->method,
		.target = r->target,
		.host = api_host,
		.extra = *reason ? extra : NULL,
		.body = r->body ? buf_data(r->body) : NULL,
		.body_len = r->body ? r->body->len : 0,
		.content_type = r->body ? "application/json" : NULL,
		.body_cap = 64 << 20,
		.timeout_ms = r->timeout_ms,
	};
	return http_request(c->loop, &rq, ev);
}

struct api_exchange *api_send(struct cli *c, const struct api_request *r,
	void (*done)(void *arg, bool ok, const uint8_t *body, size_t len), void *arg)
{
	struct api_exchange *x = calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	*x = (struct api_exchange) { .c = c, .done = done, .arg = arg };
	struct http_client_events ev = { .done = exchange_done, .failed = exchange_failed, .arg = x };
	x->http = api_begin(c, r, &ev);
	if (!x->http) {
		free(x);
		return NULL;
	}
	return x;
}

void api_cancel(struct api_exchange *x)
{
	if (!x)
		return;
	http_client_cancel(x->http);
	buf_free(&x->body);
	free(x);
}

int api_call(struct cli *c, const struct api_request *r, struct buf *body, int *status)
{
	struct api_exchange *x = api_send(c, r, NULL, NULL);
	if (!x)
		return cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
	loop_run(c->loop);
	int code = CLI_OK;
	if (x->code)
		code = api_tell_unreachable(c, x->code, x->why);
	else if (x->status == 404 && r->missing_ok)
		code = CLI_FAILED;
	else if (x->status / 100 != 2)
		code = api_tell_refused(c, x->status, &x->body);
	if (status)
		*status = x->status;
	if (code == CLI_OK && body) {
		*body = x->body;
		x->body = (struct buf) { 0 };
	}
	api_cancel(x);
	return code;
}

/* --- the bus --- */
enum { LINE_MAX_BYTES = 16 << 20 };

struct api_watch {
	struct cli *c;
	struct api_watch_events ev;
	struct http_client *http;
	struct buf line;
	bool dead; /* closed by its own event */
	bool busy; /* inside one */
};

static void take_line(struct api_watch *w, uint8_t *json, size_t len)
{
	struct arena a = { 0 };
	struct api_notify n;
	tame(w->c, json, len);
	if (len && w->ev.line)
		w->ev.line(w->ev.arg, (const char *)json, len);
	else if (len && api_notify_read(&a, (const char *)json, len, &n, NULL) == 0)
		w->ev.notify(w->ev.arg, &n);
	arena_free(&a);
}

static void watch_free(struct api_watch *w)
{
	buf_free(&w->line);
	free(w);
}

static void watch_chunk(void *arg, const uint8_t *p, size_t len)
{
	struct api_watch *w = arg;
	if (w->line.len + len > LINE_MAX_BYTES || !buf_append(&w->line, p, len))
		return;
	w->busy = true;
	const uint8_t *end;
	while (!w->dead && w->line.len && (end = memchr(buf_data(&w->line), '\n', w->line.len))) {
		size_t n = (size_t)(end - buf_data(&w->line));
		take_line(w, buf_data(&w->line), n);
		if (!w->dead)
			buf_consume(&w->line, n + 1);
	}
	w->busy = false;
	if (w->dead)
		watch_free(w);
}

static void watch_done(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct api_watch *w = arg;
	w->http = NULL;
	struct buf b = { 0 };
	if (len)
		(void)buf_append(&b, body, len);
	else if (w->line.len)
		(void)buf_append(&b, buf_data(&w->line), w->line.len);
	int code = head->status / 100 == 2 ? cli_fail(w->c, CLI_NOT_RUNNING, "not-running", start_hint,
						     "ropewalkd stopped while this was waiting for it")
					   : api_tell_refused(w->c, head->status, &b);
	buf_free(&b);
	w->ev.ended(w->ev.arg, code);
}

static void watch_failed(void *arg, int code, const char *why)
{
	struct api_watch *w = arg;
	w->http = NULL;
	w->ev.ended(w->ev.arg, api_tell_unreachable(w->c, code, why));
}

struct api_watch *api_watch_open(struct cli *c, const struct api_watch_events *ev)
{
	struct api_watch *w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	*w = (struct api_watch) { .c = c, .ev = *ev };
	struct http_client_events hev = {
		.done = watch_done, .chunk = watch_chunk, .failed = watch_failed, .arg = w
	};
	struct api_request r = {
		.method = "GET",
		.target = "/localapi/v0/watch-ipn-bus?mask=2", /* 2: begin with the present state */
		.timeout_ms = UINT64_MAX,
	};
	w->http = api_begin(c, &r, &hev);
	if (!w->http) {
		free(w);
		return NULL;
	}
	return w;
}

void api_watch_close(struct api_watch *w)
{
	if (!w)
		return;
	http_client_cancel(w->http);
	w->http = NULL;
	w->dead = true;
	if (!w->busy)
		watch_free(w);
}

/* --- common calls --- */

int api_tell_malformed(struct cli *c, const struct errbuf *eb)
{
	return cli_fail(c, CLI_FAILED, "malformed",
		"Are ropewalk and ropewalkd of the same version? See `ropewalk version --daemon`.",
		"ropewalkd's answer cannot be read: %s", eb->text);
}

int api_call_json(struct cli *c, const struct api_request *r, json_t **out)
{
	struct buf b = { 0 };
	struct errbuf eb = { 0 };
	int code = api_call(c, r, &b, NULL);
	*out = NULL;
	if (code == CLI_OK &&
		!(*out = json_open((const char *)buf_data(&b), b.len, &json_of_own_daemon, &eb)))
		code = api_tell_malformed(c, &eb);
	buf_free(&b);
	return code;
}

int api_status(struct cli *c, struct arena *a, struct api_status *out)
{
	struct api_request r = { .method = "GET", .target = "/localapi/v0/status" };
	struct buf b = { 0 };
	struct errbuf eb = { 0 };
	int code = api_call(c, &r, &b, NULL);
	if (code == CLI_OK && api_status_read(a, (const char *)buf_data(&b), b.len, out, &eb) != 0)
		code = api_tell_malformed(c, &eb);
	buf_free(&b);
	return code;
}

int api_prefs(struct cli *c, struct arena *a, struct api_prefs *out)
{
	struct api_request r = { .method = "GET", .target = "/localapi/v0/prefs" };
	struct buf b = { 0 };
	struct errbuf eb = { 0 };
	int code = api_call(c, &r, &b, NULL);
	if (code == CLI_OK && api_prefs_read(a, (const char *)buf_data(&b), b.len, out, NULL, &eb) != 0)
		code = api_tell_malformed(c, &eb);
	buf_free(&b);
	return code;
}

int api_reason_check(struct cli *c, const char *reason)
{
	if (!reason || strlen(reason) <= API_REASON_MAX)
		return CLI_OK;
	return cli_fail(c, CLI_USAGE, "usage", NULL, "--reason takes up to %d bytes", API_REASON_MAX);
}

int api_prefs_set(struct cli *c, const struct api_prefs *p, const struct api_prefs_mask *mask)
{
	return api_prefs_set_for(c, p, mask, NULL);
}

int api_prefs_set_for(
	struct cli *c, const struct api_prefs *p, const struct api_prefs_mask *mask, const char *reason)
{
	struct buf b = { 0 };
	struct api_request r = {
		.method = "PATCH", .target = "/localapi/v0/prefs", .body = &b, .reason = reason
	};
	if (!api_prefs_write(&b, p, mask))
		return cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
	int code = api_call(c, &r, NULL, NULL);
	buf_free(&b);
	return code;
}

void api_target_add(char target[static API_TARGET_MAX], const char *name, const char *value)
{
	size_t at = strlen(target);
	int n = snprintf(target + at, API_TARGET_MAX - at, "%c%s=", strchr(target, '?') ? '&' : '?', name);
	at += n > 0 ? (size_t)n : 0;
	if (at < API_TARGET_MAX)
		http_escape(value, target + at, API_TARGET_MAX - at);
}

/* "bob", "bob.mesh.test" and "bob.mesh.test." all name bob.mesh.test. */
static bool has_name(const struct api_peer *p, const char *word)
{
	size_t full = strlen(p->dns_name), len = strlen(word);
	if (full && p->dns_name[full - 1] == '.')
		full--;
	if (len && word[len - 1] == '.')
		len--;
	if (!len || strncasecmp(p->dns_name, word, len) != 0)
		return !*p->dns_name && *word && strcasecmp(p->host_name, word) == 0;
	return len == full || p->dns_name[len] == '.';
}

static bool has_ip(const struct api_peer *p, const struct addr *ip)
{
	for (size_t i = 0; i < p->n_ips; i++)
		if (addr_equal(&p->ips[i], ip))
			return true;
	return false;
}

const struct api_peer *api_peer_find(const struct api_status *s, const char *word, struct addr *ip)
{
	struct addr at;
	bool literal = addr_parse(word, &at);
	for (size_t i = 0; i <= s->n_peers; i++) {
		const struct api_peer *p = i ? &s->peers[i - 1] : &s->self;
		if (literal ? !has_ip(p, &at) : !has_name(p, word))
			continue;
		if (!literal && !p->n_ips)
			continue;
		*ip = literal ? at : p->ips[0];
		return p;
	}
	return NULL;
}
