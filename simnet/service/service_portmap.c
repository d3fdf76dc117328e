#include "simnet/service/service.h"

#include "mesh/base/buf.h"
#include "mesh/os/child.h"
#include "simnet/punch/carrier.h"
#include "simnet/service/portmap.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* On a router. An answer goes out when its rule is in force; while nft runs, nothing else does. */
enum { EXPIRE_MS = 500, NFT_MS = 5000 };
struct portmap_service {
	struct service *service;
	struct portmap map;
	struct carrier_udp *udp;
	struct service_queue *queue;
	struct loop_timer *expiry;
};

static bool apply_rules(const struct portmap_service *m)
{
	static const char *const nft[] = { "nft", "-f", "-", NULL };
	struct buf text = { 0 };
	struct errbuf eb = { 0 };
	bool ok = portmap_rules(&m->map, &text) && !child_run(nft, buf_data(&text), text.len, NFT_MS, &eb);

	if (!ok)
		fprintf(stderr, "simnet service: %s\n", eb.text);
	buf_free(&text);
	return ok;
}

static void send_answer(void *arg, const struct endpoint *to, const uint8_t *p, size_t len)
{
	struct portmap_service *m = arg;
	carrier_udp_send(m->udp, to, p, len);
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

static void expiry_due(void *arg)
{
	struct portmap_service *m = arg;

	if (portmap_expire(&m->map, loop_now_ms(m->service->loop)))
		(void)apply_rules(m);
	loop_timer_set(m->expiry, EXPIRE_MS);
}

struct portmap_service *portmap_service_open(struct service *s, struct errbuf *eb)
{
	struct portmap_service *m = calloc(1, sizeof(*m));

	if (!m) {
		err_say(eb, -ENOMEM, "out of memory");
		return NULL;
	}
	*m = (struct portmap_service) { .service = s,
		.map = { .outer = s->outer, .began_ms = loop_now_ms(s->loop) } };
	m->queue = service_queue_new(s);
	m->expiry = loop_timer_new(s->loop, expiry_due, m);
	m->udp = carrier_udp_open(s->loop, &s->at, request_heard, m, eb);
	if (m->udp && m->queue && m->expiry) {
		loop_timer_set(m->expiry, EXPIRE_MS);
		return m;
	}
	if (m->udp)
		err_say(eb, -ENOMEM, "out of memory");
	portmap_service_close(m);
	return NULL;
}

void portmap_service_close(struct portmap_service *m)
{
	if (!m)
		return;
	service_queue_free(m->queue);
	loop_timer_free(m->expiry);
	carrier_udp_close(m->udp);
	free(m);
}
