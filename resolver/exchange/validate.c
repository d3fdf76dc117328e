/* libunbound has a thread of its own and a descriptor that says when answers are ready. Its callbacks come from
 * ub_process: what they bring is kept in a list and told when it has returned, for who is told may ask again, take
 * questions back or turn all of this off. */
#include "resolver/exchange/validate.h"

#include "mesh/base/key.h"
#include "mesh/base/log.h"
#include "mesh/base/wire.h"
#include "resolver/exchange/transport.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unbound.h>
#include <unistd.h>

enum {
	HEADER = 12,
	NAME_LEN = 255,
	NAME_TEXT = 4 * NAME_LEN + 1,
	SERVFAIL = 2,
	REFUSED = 5,
	OPT_LEN = 11,
	BOGUS = 6,
	TEXT_MAX = 120
};
enum { FLAG_QR = 0x80, FLAG_RD = 0x01, FLAG_RA = 0x80, FLAG_AD = 0x20 };

/* What of libunbound is used: its name there, what it gives, what it takes. */
#define UNBOUND(X) \
	X(ub_ctx_create, struct ub_ctx *, (void)) \
	X(ub_ctx_delete, void, (struct ub_ctx *)) \
	X(ub_ctx_set_option, int, (struct ub_ctx *, const char *, const char *)) \
	X(ub_ctx_set_fwd, int, (struct ub_ctx *, const char *)) \
	X(ub_ctx_config, int, (struct ub_ctx *, const char *)) \
	X(ub_ctx_add_ta_file, int, (struct ub_ctx *, const char *)) \
	X(ub_ctx_async, int, (struct ub_ctx *, int)) \
	X(ub_fd, int, (struct ub_ctx *)) \
	X(ub_process, int, (struct ub_ctx *)) \
	X(ub_resolve_async, int, (struct ub_ctx *, const char *, int, int, void *, ub_callback_type, int *)) \
	X(ub_cancel, int, (struct ub_ctx *, int)) \
	X(ub_resolve_free, void, (struct ub_result *)) \
	X(ub_strerror, const char *, (int))

struct verdict { /* an answer that is ready */
	struct verdict *next;
	uint64_t id;
	size_t len;
	uint8_t msg[];
};
struct validated {
	struct question q;
	int number; /* libunbound's */
	bool over;  /* it is not out there any more */
	uint16_t len;
	uint8_t msg[EXCHANGE_QUESTION_MAX];
};
struct validator {
	struct exchange *x;
	void *library;
	struct ub_ctx *ctx;
	struct loop_fd *watch;
	struct verdict *ready, **last;
#define X(name, gives, takes) gives(*name) takes; /* NOLINT(bugprone-macro-parentheses): a declaration */
	UNBOUND(X)
#undef X
};

/* ---- answers ---- */

/* The question is as long as it was asked: len covers it. */
static size_t question_len(const uint8_t *msg, size_t len)
{
	size_t at = HEADER;
	while (at < len && msg[at])
		at += 1u + msg[at];
	return at + 5;
}

/* SERVFAIL, with why in words. */
static size_t bogus_write(uint8_t *out, const struct validated *t, const char *why)
{
	size_t at = question_len(t->msg, t->len), n = why ? strnlen(why, TEXT_MAX) : 0;
	memcpy(out, t->msg, at);
	memset(out + 6, 0, 6);
	out[2] = FLAG_QR | FLAG_RD;
	out[3] = FLAG_RA | SERVFAIL;
	if (!why)
		return at;
	out[11] = 1;
	memset(out + at, 0, OPT_LEN);
	out[at + 2] = 41; /* OPT */
	be_put(out + at + 3, 2, 1232);
	be_put(out + at + 9, 2, 6 + n);
	at += OPT_LEN;
	be_put(out + at, 2, 15);
	be_put(out + at + 2, 2, 2 + n);
	be_put(out + at + 4, 2, BOGUS);
	memcpy(out + at + 6, why, n);
	return at + 6 + n;
}

/* What it found, as an answer to what was asked: the id and the letters of the name are the question's. */
static size_t answer_write(uint8_t *out, size_t cap, const struct validated *t, const struct ub_result *r)
{
	size_t question = question_len(t->msg, t->len), len = (size_t)(r->answer_len > 0 ? r->answer_len : 0);
	const uint8_t *from = r->answer_packet;
	if (!from || len < question || len > cap || question_len(from, len) != question ||
		(from[3] & 15) == REFUSED)
		return bogus_write(out, t, NULL);
	memcpy(out, from, len);
	memcpy(out, t->msg, 2);
	memcpy(out + HEADER, t->msg + HEADER, question - HEADER);
	out[2] = (uint8_t)((from[2] & 2) | FLAG_QR | FLAG_RD);
	out[3] = (uint8_t)(FLAG_RA | (r->secure ? FLAG_AD : 0) | (from[3] & 15));
	return len;
}

static void verdict_keep(struct validator *v, uint64_t id, size_t len)
{
	struct verdict *d = malloc(sizeof(*d) + len);
	if (!d)
		return; /* the core's patience ends by itself */
	*d = (struct verdict) { .id = id, .len = len };
	memcpy(d->msg, v->x->big, len);
	*v->last = d;
	v->last = &d->next;
}

static void found(void *arg, int err, struct ub_result *r)
{
	struct validated *t = arg;
	struct validator *v = t->q.x->validator;
	uint8_t *out = v->x->big;
	t->over = true;
	size_t len = err || !r	? bogus_write(out, t, NULL)
		     : r->bogus ? bogus_write(out, t, r->why_bogus ? r->why_bogus : "")
				: answer_write(out, sizeof(v->x->big), t, r);
	verdict_keep(v, t->q.id, len);
	if (r)
		v->ub_resolve_free(r);
}

static void validator_ready(void *arg, int events)
{
	struct exchange *x = ((struct validator *)arg)->x;
	struct validator *v = arg;
	(void)events;
	(void)v->ub_process(v->ctx);
	while (x->validator == v && v->ready) {
		struct verdict *d = v->ready;
		v->ready = d->next;
		if (!v->ready)
			v->last = &v->ready;
		if (exchange_find(x, d->id))
			x->o.received(x->o.arg, d->id, d->msg, d->len);
		free(d);
	}
	x->o.woken(x->o.arg);
}

/* ---- questions ---- */

/* As in a zone file, every byte that is no letter, digit, - or _ as \DDD. false: it is cut, or longer than a name. */
static bool name_format(const uint8_t *msg, size_t len, char out[static NAME_TEXT])
{
	size_t at = HEADER;
	char *to = out;
	for (unsigned label; at < len && (label = msg[at++]) != 0; *to++ = '.') {
		if (at + label >= HEADER + NAME_LEN)
			return false;
		for (; label && at < len; label--, at++) {
			uint8_t c = msg[at];
			bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
				     (c >= '0' && c <= '9') || c == '-' || c == '_';
			to += plain ? (*to = (char)c, 1) : snprintf(to, 5, "\\%03u", c);
		}
	}
	if (to == out)
		*to++ = '.';
	*to = 0;
	return at + 4 <= len;
}

static int validate_send(struct exchange *x, uint64_t id, const struct exchange_to *to, const uint8_t *msg,
	size_t len, struct question **out)
{
	struct validator *v = x->validator;
	struct validated *t =
		v && len > HEADER && len <= EXCHANGE_QUESTION_MAX ? calloc(1, sizeof(*t)) : NULL;
	char name[NAME_TEXT];
	(void)to;
	if (!t)
		return v ? -ENOMEM : ERR_REFUSED;
	t->q = (struct question) { .x = x, .by = &transport_validate, .id = id };
	t->len = (uint16_t)len;
	memcpy(t->msg, msg, len);
	if (!name_format(msg, len, name)) {
		free(t);
		return ERR_MALFORMED;
	}
	size_t end = question_len(msg, len);
	int err = v->ub_resolve_async(v->ctx, name, (int)be_get(msg + end - 4, 2),
		(int)be_get(msg + end - 2, 2), t, found, &t->number);
	if (!err) {
		*out = &t->q;
		return 0;
	}
	free(t);
	return err == UB_NOMEM ? -ENOMEM : ERR_REFUSED;
}

static void validate_free(struct question *q)
{
	struct validated *t = (struct validated *)q;
	struct validator *v = q->x->validator;
	if (!t->over && v)
		(void)v->ub_cancel(v->ctx, t->number);
	free(t);
}

/* ---- life ---- */

static void validator_free(struct validator *v)
{
	if (!v)
		return;
	loop_fd_free(v->watch);
	if (v->ctx)
		v->ub_ctx_delete(v->ctx);
	for (struct verdict *d; (d = v->ready);) {
		v->ready = d->next;
		free(d);
	}
	/* the library stays loaded: its threads have ended, what they left behind may not have */
	free(v);
}

static bool library_load(struct validator *v, struct errbuf *eb)
{
	const char *missing = NULL;
	v->library = dlopen("libunbound.so.8", RTLD_NOW | RTLD_LOCAL);
	if (!v->library) {
		err_say(eb, ERR_UNSUPPORTED,
			"DNSSEC cannot be validated: libunbound is not there (apt install libunbound8)");
		return false;
	}
#define X(name, gives, takes) \
	*(void **)&v->name = dlsym(v->library, #name); \
	missing = v->name ? missing : #name;
	UNBOUND(X)
#undef X
	if (!missing)
		return true;
	err_say(eb, ERR_UNSUPPORTED, "DNSSEC cannot be validated: this libunbound is another one (no %s)",
		missing);
	return false;
}

/* Small: the answers are in the resolver's own cache. */
static const char *const options[][2] = { { "do-not-query-localhost:", "no" },
	{ "msg-cache-size:", "262144" }, { "rrset-cache-size:", "524288" }, { "key-cache-size:", "262144" },
	{ "neg-cache-size:", "65536" }, { "infra-cache-numhosts:", "16" }, { "qname-minimisation:", "no" },
	{ "use-syslog:", "no" }, { "outgoing-range:", "64" }, { "val-log-level:", "0" } };

/* The word, as an option of EDNS. It is no option that ub_ctx_set_option takes, and it is nothing for a file: a pipe. */
static int word_set(struct validator *v, const struct exchange_validation *how)
{
	char ip[ADDR_TEXT], text[160], path[32];
	int end[2], err = UB_PIPE;
	if (pipe2(end, O_CLOEXEC) != 0)
		return err;
	int len = snprintf(text, sizeof(text), "server:\n\tedns-client-string: %s/32 %s\n",
		addr_format(&how->ask.ip, ip), how->word);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", end[0]);
	bool written = write(end[1], text, (size_t)len) == len;
	close(end[1]);
	if (written)
		err = v->ub_ctx_config(v->ctx, path);
	close(end[0]);
	key_wipe(text, sizeof(text));
	return err;
}

static int validator_set(struct validator *v, const struct exchange_validation *how, struct errbuf *eb)
{
	char at[ENDPOINT_TEXT];
	int err = UB_NOERROR;
	endpoint_format(&how->ask, at);
	*strchr(at, ':') = '@';
	for (size_t i = 0; !err && i < ARRAY_LEN(options); i++)
		err = v->ub_ctx_set_option(v->ctx, options[i][0], options[i][1]);
	for (size_t i = 0; !err && i < how->n_insecure; i++)
		err = v->ub_ctx_set_option(v->ctx, "domain-insecure:", how->insecure[i]);
	err = err ? err : word_set(v, how);
	err = err ? err : v->ub_ctx_set_fwd(v->ctx, at);
	err = err ? err : v->ub_ctx_add_ta_file(v->ctx, how->anchors);
	err = err ? err : v->ub_ctx_async(v->ctx, 1);
	if (!err)
		return 0;
	return err_say(eb, err == UB_NOMEM ? -ENOMEM : ERR_UNSUPPORTED, "DNSSEC cannot be validated: %s",
		v->ub_strerror(err));
}

/* libunbound takes a file that is not there without a word, and all is bogus then. */
static int anchors_check(const char *path, struct errbuf *eb)
{
	FILE *f = fopen(path, "re");
	if (!f)
		return err_set(eb, -errno,
			"DNSSEC cannot be validated: open the trust anchors %s (apt install dns-root-data)",
			path);
	fclose(f);
	return 0;
}

static int validator_new(
	struct exchange *x, const struct exchange_validation *how, struct validator **out, struct errbuf *eb)
{
	struct validator *v = calloc(1, sizeof(*v));
	if (!v)
		return err_say(eb, -ENOMEM, "out of memory for DNSSEC");
	v->x = x;
	v->last = &v->ready;
	int err = anchors_check(how->anchors, eb);
	if (!err && !library_load(v, eb))
		err = ERR_UNSUPPORTED;
	if (!err) {
		v->ctx = v->ub_ctx_create();
		err = v->ctx ? validator_set(v, how, eb) : err_say(eb, -ENOMEM, "out of memory for DNSSEC");
	}
	if (!err && !(v->watch = loop_fd_new(x->o.loop, v->ub_fd(v->ctx), validator_ready, v)))
		err = err_say(eb, -ENOMEM, "out of memory for DNSSEC");
	if (err) {
		validator_free(v);
		return err;
	}
	loop_fd_set(v->watch, LOOP_READ);
	*out = v;
	return 0;
}

/* What is out there goes with it; who asked hears of it at the next settling. */
static void questions_fail(struct exchange *x)
{
	size_t at = 0;
	for (struct question *q; (q = table_next(&x->questions, &at));)
		if (q->by == &transport_validate) {
			uint64_t id = q->id;
			table_remove(&x->questions, &id);
			validate_free(q);
			exchange_fail_later(x, id, ERR_CLOSED);
		}
}

int exchange_validate(struct exchange *x, const struct exchange_validation *how, struct errbuf *eb)
{
	struct validator *fresh = NULL, *old = x->validator;
	int err = how ? validator_new(x, how, &fresh, eb) : 0;
	if (err)
		return err;
	questions_fail(x);
	x->validator = fresh;
	validator_free(old);
	return 0;
}

static int validate_open(struct exchange *x, struct errbuf *eb)
{
	(void)x, (void)eb;
	return 0;
}

static void validate_close(struct exchange *x)
{
	validator_free(x->validator);
	x->validator = NULL;
}

const struct transport transport_validate = {
	.open = validate_open, .send = validate_send, .free = validate_free, .close = validate_close
};
