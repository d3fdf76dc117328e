#include "resolver/exchange/transport.h"

#include "mesh/os/sock.h"
#include "mesh/transport/stream.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { QUESTIONS_MIN = 64 };

static const struct transport *const transports[] = { &transport_udp, &transport_pool, &transport_validate };

struct exchange *exchange_open(const struct exchange_options *o, struct errbuf *eb)
{
	struct exchange *x = calloc(1, sizeof(*x));
	uint64_t seed;
	if (!x) {
		err_say(eb, -ENOMEM, "out of memory for the resolver");
		return NULL;
	}
	size_t half = sock_limit() / 2; /* the rest of the program needs descriptors too */
	x->o = *o;
	if (!x->o.port_takes_ms)
		x->o.port_takes_ms = EXCHANGE_PORT_TAKES_MS;
	x->questions_max = half > QUESTIONS_MIN ? half : QUESTIONS_MIN;
	o->rnd->fill(o->rnd->arg, &seed, sizeof(seed));
	table_init(&x->questions, sizeof(uint64_t), seed);
	for (size_t i = 0; i < ARRAY_LEN(transports); i++)
		if (transports[i]->open(x, eb)) {
			exchange_close(x);
			return NULL;
		}
	return x;
}

static void failures_free(struct failure **all)
{
	for (struct failure *f; (f = *all);) {
		*all = f->next;
		free(f);
	}
}

void exchange_close(struct exchange *x)
{
	size_t at = 0;
	if (!x)
		return;
	for (struct question *q; (q = table_next(&x->questions, &at));) {
		uint64_t id = q->id;
		table_remove(&x->questions, &id);
		q->by->free(q);
	}
	failures_free(&x->failures);
	failures_free(&x->telling);
	for (size_t i = 0; i < ARRAY_LEN(transports); i++)
		transports[i]->close(x);
	table_fini(&x->questions);
	tls_free(x->tls);
	free(x);
}

struct question *exchange_find(struct exchange *x, uint64_t id)
{
	return table_get(&x->questions, &id);
}

void exchange_fail_later(struct exchange *x, uint64_t id, int code)
{
	struct failure *f = malloc(sizeof(*f));
	if (!f)
		return; /* the core's patience ends by itself */
	*f = (struct failure) { .next = x->failures, .id = id, .code = code };
	x->failures = f;
	x->unsettled = true;
}

void exchange_send(
	struct exchange *x, uint64_t id, const struct exchange_to *to, const uint8_t *msg, size_t len)
{
	const struct transport *by = to->by == EXCHANGE_UDP	    ? &transport_udp
				     : to->by == EXCHANGE_VALIDATED ? &transport_validate
								    : &transport_pool;
	struct question *q = NULL;
	int code = x->questions.n >= x->questions_max ? -EMFILE : 0;
	code = code ? code : by->send(x, id, to, msg, len, &q);
	if (!code && !table_put(&x->questions, &q->id, q)) {
		q->by->free(q);
		code = -ENOMEM;
	}
	x->unsettled = true;
	if (code)
		exchange_fail_later(x, id, code);
}

static void failure_drop(struct failure **at, uint64_t id)
{
	for (struct failure *f; (f = *at);)
		if (f->id == id) {
			*at = f->next;
			free(f);
		} else {
			at = &f->next;
		}
}

void exchange_done(struct exchange *x, uint64_t id)
{
	struct question *q = table_remove(&x->questions, &id);
	if (q)
		q->by->free(q);
	failure_drop(&x->failures, id); /* nobody waits for it any more */
	failure_drop(&x->telling, id);
}

void exchange_fail(struct exchange *x, uint64_t id, int code)
{
	exchange_done(x, id);
	x->o.failed(x->o.arg, id, code);
}

bool exchange_is_settled(const struct exchange *x)
{
	return !x->unsettled;
}

/* After most questions of clients there is nothing to do. */
void exchange_settle(struct exchange *x)
{
	if (!x->unsettled)
		return;
	for (size_t i = 0; i < ARRAY_LEN(transports); i++)
		if (transports[i]->flush)
			transports[i]->flush(x);
	x->unsettled = false; /* before anybody is told, who may ask again */
	x->telling = x->failures;
	x->failures = NULL; /* what fails of that is for the next time: this one ends */
	for (struct failure *f; (f = x->telling);) {
		uint64_t id = f->id;
		int code = f->code;
		x->telling = f->next;
		free(f);
		x->o.failed(x->o.arg, id, code);
	}
}

void exchange_forget(struct exchange *x)
{
	for (size_t i = 0; i < ARRAY_LEN(transports); i++)
		if (transports[i]->forget)
			transports[i]->forget(x);
}

void exchange_proxies(struct exchange *x, const struct proxies *p)
{
	if (x->proxies != p)
		exchange_forget(x);
	x->proxies = p;
}

int exchange_authorities(struct exchange *x, const char *ca_file, struct errbuf *eb)
{
	/* Whom the machine knows is set up with the first server that is asked so: most have none, and it takes 2 MiB. */
	struct errbuf own;
	eb = eb ? eb : &own;
	struct tls *tls = ca_file ? tls_client_authorities(ca_file, eb) : NULL;
	if (ca_file && !tls)
		return eb->code;
	tls_free(x->tls);
	x->tls = tls;
	exchange_forget(x);
	return 0;
}

int exchange_connect(struct exchange *x, const struct endpoint *to, int type)
{
	struct sockaddr_storage ss;
	socklen_t ss_len = endpoint_to_sockaddr(to, false, &ss);
	int fd = socket(ss.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), code = 0;
	if (fd < 0)
		return -errno;
	if (x->o.socket && x->o.socket(x->o.socket_arg, fd, to))
		code = ERR_REFUSED;
	else if (connect(fd, (struct sockaddr *)&ss, ss_len) && errno != EINPROGRESS)
		code = -errno;
	if (!code)
		return fd;
	close(fd);
	return code;
}
