#include "simnet/service/service.h"

#include "mesh/proto/stun.h"
#include "simnet/punch/carrier.h"
#include <errno.h>
#include <stdlib.h>

struct datagram_service {
	struct service *service;
	struct carrier_udp *udp;
	struct service_queue *queue;
};

static void send_datagram(void *arg, const struct endpoint *to, const uint8_t *p, size_t len)
{
	struct datagram_service *g = arg;
	carrier_udp_send(g->udp, to, p, len);
}

static void datagram_heard(void *owner, const struct endpoint *from, const uint8_t *p, size_t len)
{
	struct datagram_service *g = owner;
	uint8_t tx[STUN_TX], reply[STUN_REPLY_MAX];
	bool official;

	if (g->service->faults.dead)
		return;
	if (g->service->kind == SERVICE_ECHO)
		service_later(g->queue, send_datagram, g, from, p, len);
	else if (stun_request_read(p, len, tx, &official))
		service_later(g->queue, send_datagram, g, from, reply, stun_reply_write(tx, from, reply));
}

struct datagram_service *datagram_service_open(struct service *s, struct errbuf *eb)
{
	struct datagram_service *g = calloc(1, sizeof(*g));

	if (!g) {
		err_say(eb, -ENOMEM, "out of memory");
		return NULL;
	}
	*g = (struct datagram_service) { .service = s, .queue = service_queue_new(s) };
	g->udp = g->queue ? carrier_udp_open(s->loop, &s->at, datagram_heard, g, eb) : NULL;
	if (g->udp)
		return g;
	if (!g->queue)
		err_say(eb, -ENOMEM, "out of memory");
	datagram_service_close(g);
	return NULL;
}

void datagram_service_close(struct datagram_service *g)
{
	if (!g)
		return;
	service_queue_free(g->queue);
	carrier_udp_close(g->udp);
	free(g);
}
