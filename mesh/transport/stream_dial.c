/* How a stream that somebody asks for gets its socket: the host's addresses are looked up, and tried one after the other
 * until one answers or the time is over. */
#include "mesh/transport/stream_inner.h"

#include "mesh/os/sock.h"
#include "mesh/transport/proxy.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TRY_MS = 1500 /* one address of several, before the next one is tried */ };

static void connect_next(struct stream *s);

void stream_drop_dial(struct stream *s)
{
	if (!s->dial)
		return;
	resolve_cancel(s->dial->lookup);
	if (s->ssl)
		SSL_set_app_data(s->ssl, NULL);
	stream_tunnel_free(s->dial->tunnel);
	free(s->dial);
	s->dial = NULL;
}

const char *stream_dialled(const struct dial *d, char buf[static STREAM_DIALLED])
{
	const char *proxy = d->tunnel ? stream_tunnel_by(d->tunnel)->host : NULL;
	snprintf(buf, STREAM_DIALLED, "%s%s", proxy ? "the proxy " : "", proxy ? proxy : d->host);
	return buf;
}

void stream_connect_failed(struct stream *s, int code)
{
	struct dial *d = s->dial;
	char why[400], whom[STREAM_DIALLED], at[ENDPOINT_TEXT];
	stream_drop_socket(s);
	if (d && d->next < d->n && loop_now_ms(s->loop) < d->deadline_ms) {
		connect_next(s);
		return;
	}
	if (d)
		snprintf(why, sizeof(why), "connect to %s (%s): %s", stream_dialled(d, whom),
			endpoint_format(&d->at[d->next - 1], at), err_text(code));
	stream_end(s, code, d ? why : err_text(code));
}

/* As long as there are more addresses, one has a part of the time. */
static void watch_over(struct stream *s)
{
	const struct dial *d = s->dial;
	uint64_t now = loop_now_ms(s->loop);
	uint64_t left = d->deadline_ms > now ? d->deadline_ms - now : 0;
	loop_timer_set(s->timer, d->next < d->n && left > TRY_MS ? TRY_MS : left);
}

static void connect_next(struct stream *s)
{
	struct dial *d = s->dial;
	const struct endpoint *to = &d->at[d->next++];
	int fd = sock_tcp_connect_hook(to, d->socket_hook, d->socket_arg, NULL);
	if (fd < 0) {
		stream_connect_failed(s, fd);
		return;
	}
	s->fd = fd;
	if (!stream_watch_socket(s)) {
		stream_end(s, -ENOMEM, "out of memory");
		return;
	}
	watch_over(s);
}

static void resolved(void *arg, int code, const struct endpoint *at, size_t n, const char *why)
{
	struct stream *s = arg;
	struct dial *d = s->dial;
	char text[400], whom[STREAM_DIALLED];
	uint16_t port = d->tunnel ? stream_tunnel_by(d->tunnel)->port : d->port;
	d->lookup = NULL;
	if (code) {
		snprintf(text, sizeof(text), "look up %s: %s", stream_dialled(d, whom), why);
		stream_end(s, code, text);
		return;
	}
	d->n = n;
	for (size_t i = 0; i < n; i++) {
		d->at[i] = at[i];
		d->at[i].port = port;
	}
	connect_next(s);
}

static void expect_set(struct tls_check *check, const struct tls_expect *x)
{
	if (!x)
		return;
	snprintf(check->alpn, sizeof(check->alpn), "%s", x->alpn ? x->alpn : "");
	check->n_pins = x->n_pins < TLS_PINS_MAX ? x->n_pins : TLS_PINS_MAX;
	if (check->n_pins)
		memcpy(check->pins, x->pins, check->n_pins * sizeof(check->pins[0]));
	check->pins_alone = x->pins_alone && check->n_pins;
}

/* A stream with all it needs to open, but no address and no socket. NULL: memory is short. */
static struct stream *dial_new(struct loop *l, const struct stream_target *to, const struct stream_events *ev)
{
	struct stream *s = stream_new(l, ev);
	struct dial *d = s ? calloc(1, sizeof(*d)) : NULL;
	if (!d) {
		if (s)
			stream_release(s);
		return NULL;
	}
	uint64_t wait = to->timeout_ms ? to->timeout_ms : OPEN_TIMEOUT_MS;
	s->dial = d;
	s->tls = to->tls ? tls_get(to->tls) : NULL;
	snprintf(d->host, sizeof(d->host), "%s", to->host ? to->host : "");
	d->check.host = d->host;
	expect_set(&d->check, to->expect);
	d->port = to->port;
	d->socket_hook = to->socket_hook;
	d->socket_arg = to->socket_arg;
	d->deadline_ms = loop_now_ms(l) + wait;
	s->state = RESOLVING;
	loop_timer_set(s->timer, wait);
	return s;
}

/* A name as strangers' maps have it goes into requests to proxies and relays: none with a line end gets there. */
static bool is_host(const char *text)
{
	for (const uint8_t *p = (const uint8_t *)text; *p; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return false;
	return true;
}

/* By a proxy, if one is to be used. A name is told to it as it is: where there is only a proxy, names outside are often known
 * to it alone. false: memory is short. */
static bool set_tunnel(struct dial *d, const struct stream_target *to)
{
	char literal[ADDR_TEXT];
	const char *host = d->host[0] || !to->at ? d->host : addr_format(&to->at->ip, literal);
	const struct proxy *by = proxies_for(to->proxies, to->tls, host, d->port);
	if (by)
		d->tunnel = stream_tunnel_new(by, host, d->port);
	return !by || d->tunnel;
}

/* fd: connecting to the address before the next one, or a code; those that there are besides come in time. */
static void connect_first(struct stream *s, int fd)
{
	struct dial *d = s->dial;
	const struct endpoint *to = &d->at[d->next - 1];
	char why[400], whom[STREAM_DIALLED], at[ENDPOINT_TEXT];
	s->fd = fd < 0 ? -1 : fd;
	snprintf(why, sizeof(why), "connect to %s (%s): %s", stream_dialled(d, whom), endpoint_format(to, at),
		fd < 0 ? err_text(fd) : "out of memory");
	if (fd < 0 || !stream_watch_socket(s))
		stream_end_later(s, fd < 0 ? fd : -ENOMEM, why);
	else
		watch_over(s);
}

static void connect_listed(struct stream *s, const struct endpoint *at, const struct endpoint *then)
{
	struct dial *d = s->dial;
	int fd;
	d->at[d->n++] = *at;
	if (then)
		d->at[d->n++] = *then;
	do
		fd = sock_tcp_connect_hook(&d->at[d->next++], d->socket_hook, d->socket_arg, NULL);
	while (fd < 0 && d->next < d->n);
	connect_first(s, fd);
}

struct stream *stream_connect(struct loop *l, const struct stream_target *to, const struct stream_events *ev)
{
	struct stream *s = dial_new(l, to, ev);
	struct dial *d = s ? s->dial : NULL;
	if (!d)
		return NULL;
	if (!is_host(d->host)) {
		stream_end_later(s, ERR_MALFORMED, "the name of the host has bytes that no name has");
		return s;
	}
	if (!set_tunnel(d, to)) {
		stream_release(s);
		return NULL;
	}
	const struct proxy *by = d->tunnel ? stream_tunnel_by(d->tunnel) : NULL;
	struct endpoint proxy = { .port = by ? by->port : 0 };
	const struct endpoint *at = !by ? to->at : addr_parse(by->host, &proxy.ip) ? &proxy : NULL;
	if (at) {
		connect_listed(s, at, by ? NULL : to->then);
		return s;
	}
	d->lookup = resolve_start(l, by ? by->host : d->host, resolved, s);
	if (!d->lookup)
		stream_end_later(s, -ENOMEM, "look up the host: out of memory");
	return s;
}

struct stream *stream_connect_socket(
	struct loop *l, int fd, const struct stream_target *to, const struct stream_events *ev)
{
	struct stream *s = dial_new(l, to, ev);
	if (!s || !set_tunnel(s->dial, to)) {
		if (s)
			stream_release(s);
		close(fd);
		return NULL;
	}
	s->dial->at[0] = *to->at;
	s->dial->n = s->dial->next = 1;
	connect_first(s, fd);
	return s;
}
