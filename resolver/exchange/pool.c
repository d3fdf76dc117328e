/* Over connections: kept, and shared by questions to the same upstream. RFC 7766, 7858: questions go out one after the
 * other without waiting, answers come in any order.
 *
 * A link is
 *   opening     until its stream stands, with TLS where that is asked for; questions wait in its list
 *   open        from then on; idle while no question is out on it, and closed after IDLE_MS of that
 *   silent      open, a question on it has waited for DOUBT_MS, and nothing has come since that was asked: it may be
 *               dead, and no other goes out on it until something comes
 *   stale       a question on it was given up and nothing has come since that was asked: it may be dead, so no other
 *               goes out on it. A connection with TLS costs more to make anew: there a question must also have waited
 *               for DOUBT_MS. What was there before the network changed is stale as well.
 *   gone        freed. What was out on it when the other end closed goes out once more on a fresh one, if this
 *               one had answered something before: a server may close an idle connection at that very moment.
 *
 * An answer may end any link, its own too: who delivers one looks at what link_answer says before going on. What an
 * upstream with TLS shows must be right, or nothing is asked: there is no way back to plain text. */
#include "resolver/exchange/pool.h"

#include "mesh/base/log.h"
#include "mesh/transport/proxy.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
	LINKS_MAX = 32,
	QUESTIONS_PER_LINK = 64,
	IDLE_MS = 10000,
	OPEN_MS = 5000,
	DOUBT_MS = 1500,
	TELL_MS = 60000, /* between two words about what upstreams show */
};

struct pool {
	struct loop_timer *idle;
	struct link *links[LINKS_MAX];
	uint64_t serials, told_ms;
	bool told;
};

static const struct framing *const framings[EXCHANGE_KINDS] = { [EXCHANGE_TCP] = &framing_length,
	[EXCHANGE_TLS] = &framing_length,
	[EXCHANGE_HTTPS] = &framing_https,
	[EXCHANGE_HTTP] = &framing_http };
static const bool has_tls[EXCHANGE_KINDS] = { [EXCHANGE_TLS] = true, [EXCHANGE_HTTPS] = true };

/* ---- links ---- */

static struct link **place_of(struct exchange *x, const struct link *l)
{
	for (unsigned i = 0; i < LINKS_MAX; i++)
		if (x->pool->links[i] == l)
			return &x->pool->links[i];
	return NULL;
}

static bool is_there(const struct exchange *x, uint64_t serial)
{
	for (unsigned i = 0; i < LINKS_MAX; i++)
		if (x->pool->links[i] && x->pool->links[i]->serial == serial)
			return true;
	return false;
}

static void link_free(struct link *l)
{
	struct link **place = place_of(l->x, l);
	if (place)
		*place = NULL;
	for (struct link_question *t = l->questions; t; t = t->next)
		t->on = NULL;
	l->by->close(l);
	stream_close(l->stream, false);
	free(l);
}

/* One that has been idle the longest gives its place to a new one. NULL: all are busy. */
static struct link **place_make(struct exchange *x)
{
	struct link **place = place_of(x, NULL), *oldest = NULL;
	for (unsigned i = 0; !place && i < LINKS_MAX; i++) {
		struct link *l = x->pool->links[i];
		if (!l->n_questions && (!oldest || l->idle_ms < oldest->idle_ms))
			oldest = l;
	}
	if (!place && oldest) {
		link_free(oldest);
		place = place_of(x, NULL);
	}
	return place;
}

static void link_opened(void *arg);
static void link_data(void *arg, const uint8_t *p, size_t len);
static void link_closed(void *arg, int code, const char *why);

/* Whom NO_PROXY names, by name or by address, is asked directly, and so is who is in the mesh. NULL: that, or there is no
 * proxy. */
static const struct proxy *proxy_to(const struct link *l, const char *host)
{
	char ip[ADDR_TEXT];
	const struct proxies *p =
		l->kind == EXCHANGE_HTTPS && !addr_is_mesh(&l->to.ip) ? l->x->proxies : NULL;
	bool direct = !proxies_for(p, true, addr_format(&l->to.ip, ip), l->to.port);
	return direct ? NULL : proxies_for(p, true, host, l->to.port);
}

/* A proxy that has a name: the machine knows it, as it does those of servers and relays. */
static void proxy_hook(void *arg, int fd)
{
	const struct exchange *x = arg;
	if (x->o.socket)
		(void)x->o.socket(x->o.socket_arg, fd, &(struct endpoint) { .port = 0 });
}

static int stream_begin(struct link *l)
{
	struct exchange *x = l->x;
	char ip[ADDR_TEXT];
	int on = 1;
	struct endpoint at = l->to;
	struct tls_expect expect = { .alpn = l->by->alpn,
		.pins = l->secure.pins,
		.n_pins = l->secure.n_pins,
		.pins_alone = !l->secure.name[0] };
	struct stream_target to = { .host = l->secure.name[0] ? l->secure.name : addr_format(&l->to.ip, ip),
		.port = l->to.port,
		.at = &at,
		.tls = l->tls ? x->tls : NULL,
		.expect = l->tls ? &expect : NULL,
		.timeout_ms = OPEN_MS,
		.socket_hook = proxy_hook,
		.socket_arg = x };
	struct stream_events ev = {
		.opened = link_opened, .data = link_data, .closed = link_closed, .arg = l
	};
	const struct proxy *by = proxy_to(l, to.host);
	if (by) {
		to.proxies = x->proxies;
		at = (struct endpoint) { .port = by->port };
		if (!addr_parse(by->host, &at.ip))
			return (l->stream = stream_connect(x->o.loop, &to, &ev)) ? 0 : -ENOMEM;
	}
	int fd = exchange_connect(x, &at, SOCK_STREAM);
	if (fd < 0)
		return fd;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	l->stream = stream_connect_socket(x->o.loop, fd, &to, &ev);
	return l->stream ? 0 : -ENOMEM;
}

static int link_new(struct exchange *x, const struct exchange_to *to, struct link **out)
{
	struct link **place = place_make(x);
	struct link *l = place ? calloc(1, sizeof(*l)) : NULL;
	if (!l)
		return place ? -ENOMEM : -EMFILE;
	*l = (struct link) { .x = x,
		.to = to->at,
		.kind = to->by,
		.by = framings[to->by],
		.tls = has_tls[to->by],
		.serial = ++x->pool->serials };
	if (to->by != EXCHANGE_TCP)
		l->secure = *to->secure;
	if (l->tls && !x->tls)
		x->tls = tls_client(NULL, NULL);
	int code = l->tls && !x->tls ? -ENOMEM : stream_begin(l);
	if (code) {
		free(l);
		return code;
	}
	*place = *out = l;
	return 0;
}

static bool is_to(const struct link *l, const struct exchange_to *to)
{
	return l->kind == to->by && endpoint_equal(&l->to, &to->at) &&
	       (to->by == EXCHANGE_TCP || dns_secure_equal(&l->secure, to->secure));
}

/* The one with the fewest questions, unless those of others are better not waited for. */
/* Something was asked on it long ago, and nothing has come since. */
static bool is_silent(const struct link *l)
{
	uint64_t now_ms = loop_now_ms(l->x->o.loop);
	for (const struct link_question *t = l->questions; t && l->opened; t = t->next)
		if (now_ms >= t->sent_ms + DOUBT_MS && l->heard_ms <= t->sent_ms)
			return true;
	return false;
}

static int link_get(struct exchange *x, const struct exchange_to *to, struct link **out)
{
	struct link *best = NULL;
	unsigned same = 0;
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = x->pool->links[i];
		if (!l || l->stale || !is_to(l, to) || is_silent(l))
			continue;
		same++;
		if (l->n_questions < QUESTIONS_PER_LINK && (!best || l->n_questions < best->n_questions))
			best = l;
	}
	if (!best || (best->n_questions && same < framings[to->by]->spread)) {
		int code = link_new(x, to, out);
		if (!code || !best)
			return code;
	}
	*out = best;
	return 0;
}

/* ---- questions ---- */

struct link_question *link_question_find(struct link *l, uint32_t wire_id)
{
	struct link_question *t = l->questions;
	while (t && t->wire_id != wire_id)
		t = t->next;
	return t;
}

static int question_put(struct link *l, struct link_question *t)
{
	t->on = l;
	t->next = l->questions;
	t->sent_ms = loop_now_ms(l->x->o.loop);
	t->wire_id = 0;
	l->questions = t;
	l->n_questions++;
	int code = l->opened ? l->by->ask(l, t) : 0;
	if (!code || code == ERR_CLOSED) /* link_closed is due, and takes care of it */
		return 0;
	l->questions = t->next;
	l->n_questions--;
	t->on = NULL;
	return code;
}

static void question_take(struct link *l, struct link_question *t)
{
	struct link_question **at = &l->questions;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	t->on = NULL;
	if (--l->n_questions)
		return;
	l->idle_ms = loop_now_ms(l->x->o.loop);
	if (!loop_timer_is_set(l->x->pool->idle))
		loop_timer_set(l->x->pool->idle, IDLE_MS);
}

bool link_answer(struct link *l, struct link_question *t, uint8_t *msg, size_t len)
{
	struct exchange *x = l->x;
	uint64_t id = t->q.id, serial = l->serial;
	l->answered = true;
	be_put(msg, 2, t->own_id);
	question_take(l, t);
	x->o.received(x->o.arg, id, msg, len);
	if (exchange_find(x, id)) /* an answer it did not want: no other will come */
		exchange_fail(x, id, ERR_MALFORMED);
	return is_there(x, serial);
}

bool link_refuse(struct link *l, struct link_question *t, int code)
{
	struct exchange *x = l->x;
	uint64_t serial = l->serial;
	question_take(l, t);
	exchange_fail(x, t->q.id, code);
	return is_there(x, serial);
}

static struct exchange_to link_to(const struct link *l, const struct dns_secure *secure)
{
	return (struct exchange_to) { .at = l->to, .by = l->kind, .secure = secure };
}

/* false: it fails. */
static bool question_again(struct exchange *x, const struct exchange_to *to, struct link_question *t)
{
	struct link *fresh;
	bool moved = !t->again && !link_get(x, to, &fresh) && !question_put(fresh, t);
	t->again = true;
	return moved;
}

bool link_move(struct link *l, struct link_question *t, int code)
{
	struct exchange *x = l->x;
	struct dns_secure secure = l->secure; /* without t, l may be idle and give its place away */
	struct exchange_to to = link_to(l, &secure);
	uint64_t serial = l->serial;
	question_take(l, t);
	if (!question_again(x, &to, t))
		exchange_fail(x, t->q.id, code);
	return is_there(x, serial);
}

/* The link ended: what was out on it is asked once more, or fails. */
static void link_end(struct link *l, int code)
{
	struct exchange *x = l->x;
	struct link_question *left = l->questions;
	struct dns_secure secure = l->secure;
	struct exchange_to to = link_to(l, &secure);
	bool again = l->answered;
	uint64_t ids[QUESTIONS_PER_LINK];
	unsigned n = 0;
	link_free(l);
	for (struct link_question *t = left, *next; t; t = next) {
		next = t->next;
		if (!again || !question_again(x, &to, t))
			ids[n++] = t->q.id;
	}
	for (unsigned i = 0; i < n; i++)
		if (exchange_find(x, ids[i])) /* an earlier failure may have ended it */
			exchange_fail(x, ids[i], code);
}

/* ---- events of the stream ---- */

static void link_opened(void *arg)
{
	struct link *l = arg;
	struct exchange *x = l->x;
	l->opened = true;
	int code = l->by->open(l);
	for (struct link_question *t = l->questions; t && !code; t = t->next)
		code = l->by->ask(l, t);
	if (code && code != ERR_CLOSED)
		link_end(l, code);
	x->o.woken(x->o.arg);
}

static void link_data(void *arg, const uint8_t *p, size_t len)
{
	struct link *l = arg;
	struct exchange *x = l->x;
	uint64_t serial = l->serial;
	l->heard_ms = loop_now_ms(x->o.loop);
	int code = l->by->received(l, p, len);
	if (code && is_there(x, serial))
		link_end(l, code);
	x->o.woken(x->o.arg);
}

/* Who shows the wrong thing is worth a word: the name server is there, and not asked. Where nobody is, status says so. */
static void fault_tell(const struct link *l, const char *why)
{
	struct pool *p = l->x->pool;
	uint64_t now_ms = loop_now_ms(l->x->o.loop);
	char text[DNS_SECURE_TEXT];
	if (p->told && now_ms < p->told_ms + TELL_MS)
		return;
	p->told = true;
	p->told_ms = now_ms;
	log_warn("the name server %s is not asked: %s", dns_secure_format(&l->secure, &l->to, text), why);
}

static void link_closed(void *arg, int code, const char *why)
{
	struct link *l = arg;
	struct exchange *x = l->x;
	if (l->tls && !l->opened && (code == ERR_CRYPTO || code == ERR_UNSUPPORTED))
		fault_tell(l, why);
	link_end(l, code ? code : ERR_CLOSED);
	x->o.woken(x->o.arg);
}

/* ---- the transport ---- */

static void idle_close(void *arg)
{
	struct exchange *x = arg;
	uint64_t now_ms = loop_now_ms(x->o.loop);
	bool any = false;
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = x->pool->links[i];
		if (l && !l->n_questions && now_ms >= l->idle_ms + IDLE_MS)
			link_free(l);
		else
			any = any || l;
	}
	if (any)
		loop_timer_set(x->pool->idle, IDLE_MS);
}

static int pool_open(struct exchange *x, struct errbuf *eb)
{
	x->pool = calloc(1, sizeof(*x->pool));
	if (!x->pool || !(x->pool->idle = loop_timer_new(x->o.loop, idle_close, x)))
		return err_say(eb, -ENOMEM, "out of memory for the resolver");
	return 0;
}

static int pool_send(struct exchange *x, uint64_t id, const struct exchange_to *to, const uint8_t *msg,
	size_t len, struct question **out)
{
	struct link *l;
	struct link_question *t = len >= 2 && len <= EXCHANGE_QUESTION_MAX ? calloc(1, sizeof(*t)) : NULL;
	if (!t)
		return -ENOMEM;
	t->q = (struct question) { .x = x, .by = &transport_pool, .id = id };
	t->own_id = (uint16_t)be_get(msg, 2);
	t->len = (uint16_t)len;
	t->body.cap = EXCHANGE_MESSAGE_MAX;
	memcpy(t->msg, msg, len);
	int code = link_get(x, to, &l);
	code = code ? code : question_put(l, t);
	if (code)
		free(t);
	else
		*out = &t->q;
	return code;
}

static bool is_in_doubt(const struct link *l, const struct link_question *t)
{
	bool heard = l->heard_ms && l->heard_ms >= t->sent_ms;
	return !heard && (!l->tls || loop_now_ms(l->x->o.loop) >= t->sent_ms + DOUBT_MS);
}

static void pool_free(struct question *q)
{
	struct link_question *t = (struct link_question *)q;
	struct link *l = t->on;
	if (l) {
		l->stale = l->stale || is_in_doubt(l, t);
		if (l->opened && l->by->give_up)
			l->by->give_up(l, t);
		question_take(l, t);
		if (!l->n_questions && l->stale)
			link_free(l);
	}
	buf_free(&t->body);
	free(t);
}

/* What is out stays out: its own time decides. */
static void pool_forget(struct exchange *x)
{
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = x->pool->links[i];
		if (l && l->n_questions)
			l->stale = true;
		else if (l)
			link_free(l);
	}
}

static void pool_close(struct exchange *x)
{
	if (!x->pool)
		return;
	for (unsigned i = 0; i < LINKS_MAX; i++)
		if (x->pool->links[i])
			link_free(x->pool->links[i]);
	loop_timer_free(x->pool->idle);
	free(x->pool);
}

const struct transport transport_pool = {
	.open = pool_open, .send = pool_send, .free = pool_free, .forget = pool_forget, .close = pool_close
};
