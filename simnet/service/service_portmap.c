#include "simnet/service/service.h"

#include "mesh/os/child.h"
#include "mesh/os/sock.h"
#include "simnet/punch/carrier.h"
#include "simnet/service/http_head.h"
#include "simnet/service/igd.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* On a router. An answer goes out when its rule is in force; while nft runs, nothing else does. UPnP is at the same
 * address, at ports of its own: a search by datagrams, the rest by HTTP. */
enum { EXPIRE_MS = 500, NFT_MS = 5000 };
static const char inner_side[] = "lan"; /* of every router of a scenario */

struct portmap_service {
	struct service *service;
	struct portmap map;
	struct carrier_udp *udp, *other; /* other: who answers where `other-source` is so */
	struct carrier_udp *search;
	struct stream_service *web;
	struct service_queue *queue;
	struct loop_timer *expiry;
};

static bool apply_rules(const struct portmap_service *m)
{
	static const char *const nft[] = { "nft", "-f", "-", NULL };
	const struct service_router *r = &m->service->router;
	struct buf text = { 0 };
	struct errbuf eb = { 0 };
	if (r->apply)
		return r->apply(r->arg, &m->map);
	bool ok = portmap_rules(&m->map, &text) && !child_run(nft, buf_data(&text), text.len, NFT_MS, &eb);

	if (!ok)
		fprintf(stderr, "simnet service: %s\n", eb.text);
	buf_free(&text);
	return ok;
}

/* ---- NAT-PMP and PCP ---- */

static void send_answer(void *arg, const struct endpoint *to, const uint8_t *p, size_t len)
{
	struct portmap_service *m = arg;
	carrier_udp_send(m->service->faults.other_source ? m->other : m->udp, to, p, len);
}

static void request_heard(void *owner, const struct endpoint *from, const uint8_t *p, size_t len)
{
	struct portmap_service *m = owner;
	uint8_t out[PORTMAP_REPLY_MAX];
	bool changed;
	size_t n = portmap_answer(
		&m->map, loop_now_ms(m->service->loop), &m->service->faults, from, p, len, out, &changed);

	if (n && (!changed || apply_rules(m)))
		service_later(m->queue, send_answer, m, from, out, n);
}

static void nothing_heard(void *owner, const struct endpoint *from, const uint8_t *p, size_t len)
{
	(void)owner, (void)from, (void)p, (void)len;
}

static void expiry_due(void *arg)
{
	struct portmap_service *m = arg;

	if (portmap_expire(&m->map, loop_now_ms(m->service->loop)))
		(void)apply_rules(m);
	loop_timer_set(m->expiry, EXPIRE_MS);
}

/* ---- UPnP ---- */

static void send_found(void *arg, const struct endpoint *to, const uint8_t *p, size_t len)
{
	struct portmap_service *m = arg;
	carrier_udp_send(m->search, to, p, len);
}

static void search_heard(void *owner, const struct endpoint *from, const uint8_t *p, size_t len)
{
	struct portmap_service *m = owner;
	char out[IGD_ANSWERS_MAX][IGD_ANSWER_MAX];
	struct addr own;

	if (!sock_source(&from->ip, &own))
		return;
	size_t n = igd_search(&m->service->faults, &own, p, len, out);
	for (size_t i = 0; i < n; i++)
		service_later(m->queue, send_found, m, from, (const uint8_t *)out[i], strlen(out[i]));
}

static unsigned call_heard(void *arg, const struct stream_asked *rq, struct buf *out)
{
	struct portmap_service *m = arg;
	struct igd_request call = { .method = rq->head->method,
		.target = rq->head->target,
		.action = rq->head->action,
		.body = rq->body,
		.body_len = rq->head->body_len };
	struct igd_reply reply;
	bool changed;

	igd_answer(&m->map, loop_now_ms(m->service->loop), &m->service->faults, &rq->from, &rq->own, &call,
		&reply, &changed);
	if (changed && !apply_rules(m))
		return 500;
	(void)buf_printf(out, "%s", reply.body);
	return reply.status;
}

static bool open_upnp(struct portmap_service *m, struct errbuf *eb)
{
	struct service *s = m->service;
	struct endpoint search = { .ip = s->at.ip, .port = IGD_SEARCH_PORT },
			web = { .ip = s->at.ip, .port = IGD_WEB_PORT };
	struct stream_answer answer = { .say = call_heard, .arg = m };

	m->search = carrier_udp_open(s->loop, &search, search_heard, m, eb);
	m->web = m->search ? stream_service_open(s, &web, &answer, eb) : NULL;
	/* Where there is no such interface, who searches has to ask the router itself. */
	if (m->web)
		(void)carrier_udp_join(m->search, IGD_GROUP, inner_side);
	return m->web;
}

/* ---- life ---- */

struct portmap_service *portmap_service_open(struct service *s, struct errbuf *eb)
{
	struct portmap_service *m = calloc(1, sizeof(*m));
	struct endpoint any = { .ip = s->at.ip };

	if (!m) {
		err_say(eb, -ENOMEM, "out of memory");
		return NULL;
	}
	*m = (struct portmap_service) { .service = s,
		.map = { .outer = s->outer,
			.began_ms = loop_now_ms(s->loop),
			.taken = s->router.taken,
			.n_taken = s->router.n_taken } };
	m->queue = service_queue_new(s);
	m->expiry = loop_timer_new(s->loop, expiry_due, m);
	if (!m->queue || !m->expiry) {
		err_say(eb, -ENOMEM, "out of memory");
		portmap_service_close(m);
		return NULL;
	}
	m->udp = carrier_udp_open(s->loop, &s->at, request_heard, m, eb);
	m->other = m->udp ? carrier_udp_open(s->loop, &any, nothing_heard, m, eb) : NULL;
	if (!m->other || !open_upnp(m, eb)) {
		portmap_service_close(m);
		return NULL;
	}
	if (s->router.anew && !apply_rules(m)) {
		err_say(eb, ERR_CLOSED, "the mappings of another one before it cannot be ended");
		portmap_service_close(m);
		return NULL;
	}
	loop_timer_set(m->expiry, EXPIRE_MS);
	return m;
}

void portmap_service_close(struct portmap_service *m)
{
	if (!m)
		return;
	stream_service_close(m->web);
	carrier_udp_close(m->search);
	service_queue_free(m->queue);
	loop_timer_free(m->expiry);
	carrier_udp_close(m->other);
	carrier_udp_close(m->udp);
	free(m);
}
