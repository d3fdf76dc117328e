#include "simnet/service/service.h"

#include "simnet/punch/carrier.h"
#include "simnet/service/dns_reply.h"
#include <errno.h>
#include <stdlib.h>

/* A message by TCP has its length in front, as carrier.h's frames do (RFC 1035 section 4.2.2). */
struct dns_service {
	struct service *service;
	struct dns_records records;
	struct carrier_udp *udp;
	struct carrier_tcp *tcp;
	struct service_queue *queue;
};

static void send_udp(void *arg, const struct endpoint *to, const uint8_t *p, size_t len)
{
	struct dns_service *d = arg;
	carrier_udp_send(d->udp, to, p, len);
}

static void send_tcp(void *arg, const struct endpoint *to, const uint8_t *p, size_t len)
{
	struct dns_service *d = arg;
	carrier_tcp_send(d->tcp, to, p, len);
}

static void question_by_udp(void *owner, const struct endpoint *from, const uint8_t *p, size_t len)
{
	struct dns_service *d = owner;
	uint8_t out[DNS_REPLY_MAX];
	size_t n = dns_reply_write(&d->records, &d->service->faults, false, p, len, out);

	if (n)
		service_later(d->queue, send_udp, d, from, out, n);
}

static void question_by_tcp(void *owner, const struct endpoint *from, const uint8_t *p, size_t len)
{
	struct dns_service *d = owner;
	uint8_t out[DNS_REPLY_MAX];
	size_t n = dns_reply_write(&d->records, &d->service->faults, true, p, len, out);

	if (n)
		service_later(d->queue, send_tcp, d, from, out, n);
}

struct dns_service *dns_service_open(struct service *s, struct errbuf *eb)
{
	struct dns_service *d = calloc(1, sizeof(*d));

	if (!d) {
		err_say(eb, -ENOMEM, "out of memory");
		return NULL;
	}
	d->service = s;
	if (dns_records_parse(s->records ? s->records : "", &d->records, eb)) {
		free(d);
		return NULL;
	}
	d->records.dns64 = s->dns64;
	d->queue = service_queue_new(s);
	d->udp = carrier_udp_open(s->loop, &s->at, question_by_udp, d, eb);
	d->tcp = d->udp ? carrier_tcp_open(s->loop, &s->at, false, question_by_tcp, d, eb) : NULL;
	if (d->queue && d->tcp)
		return d;
	if (!d->queue)
		err_say(eb, -ENOMEM, "out of memory");
	dns_service_close(d);
	return NULL;
}

void dns_service_close(struct dns_service *d)
{
	if (!d)
		return;
	service_queue_free(d->queue);
	carrier_udp_close(d->udp);
	carrier_tcp_close(d->tcp);
	dns_records_free(&d->records);
	free(d);
}
