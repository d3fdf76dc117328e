/* Small services to put into a network, as one program: `simnet service KIND`. Each says `serving` as a line of JSON
 * when it is open, and takes new faults at its control socket while it runs. */
#ifndef SIMNET_SERVICE_H
#define SIMNET_SERVICE_H

#include "mesh/base/buf.h"
#include "mesh/base/nat64.h"
#include "mesh/os/loop.h"
#include "simnet/service/faults.h"

struct portmap;
struct service_router { /* whose ports portmap maps, where that is not nft's */
	/* The mappings are so from here on; false: they could not be made. NULL: by nft, in the network where it is. */
	bool (*apply)(void *arg, const struct portmap *p);
	void *arg;
	const struct portmap_taken *taken; /* ports that it has no say in */
	size_t n_taken;
	int stop_fd; /* when something can be read there it ends; signals are then not its */
	bool anew;   /* there may be mappings of another one before it, which end */
};
struct service_options { /* as given; NULL = not */
	const char *listen, *records, *dns64, *faults, *socket, *tell, *outer;
	const struct service_router *router; /* of portmap; NULL: all by nft */
	bool background;		     /* return when it serves; it goes on in a process of its own */
};
/* Runs until SIGINT or SIGTERM. 0, -EINVAL for options that make no sense, or another negative code. */
int service_run(const char *kind, const struct service_options *o, struct errbuf *eb);
/* The same without a terminal: what became of its start, an errbuf, is written to told_fd, which is then closed. */
int service_serve(const char *kind, const struct service_options *o, int told_fd, struct errbuf *eb);
/* Tells the service that answers at o->tell its new faults (all of them; "" = none). */
int service_tell(const struct service_options *o, const char *faults, struct errbuf *eb);

/* ---- between the files of this room ---- */
struct service {
	struct loop *loop;
	enum service_kind kind;
	struct faults faults; /* of now */
	struct endpoint at;
	const char *records;
	struct nat64 dns64; /* bits 0: none */
	struct addr outer;  /* of portmap's router */
	struct service_router router;
};
/* Each opens at s->at, and holds s until it is closed. NULL with eb. */
struct dns_service *dns_service_open(struct service *s, struct errbuf *eb);
void dns_service_close(struct dns_service *d);
/* HTTP, the CONNECT proxy, and the echo by TCP; what portmap says by HTTP, at another port than its own. */
struct stream_service;
struct http_head;
struct stream_asked {
	struct endpoint from;
	struct addr own; /* of ours that was asked */
	const struct http_head *head;
	const char *body; /* at head->body_len */
};
struct stream_answer { /* the status of an answer, and its body into out */
	unsigned (*say)(void *arg, const struct stream_asked *rq, struct buf *out);
	void *arg;
};
/* answer: of portmap; else NULL. */
struct stream_service *stream_service_open(
	struct service *s, const struct endpoint *at, const struct stream_answer *answer, struct errbuf *eb);
void stream_service_close(struct stream_service *t);
/* STUN, and the echo by UDP. */
struct datagram_service *datagram_service_open(struct service *s, struct errbuf *eb);
void datagram_service_close(struct datagram_service *g);
/* NAT-PMP, PCP and UPnP, on a router. */
struct portmap_service *portmap_service_open(struct service *s, struct errbuf *eb);
void portmap_service_close(struct portmap_service *m);
/* From the loop, after the faults' delay, at once when there is none: cb(arg, data). data is copied; at most
 * SERVICE_LATER_MAX wait, more are lost. One queue for each service. */
enum { SERVICE_LATER_MAX = 1024 };
struct service_queue;
struct service_queue *service_queue_new(struct service *s);
void service_queue_free(struct service_queue *q); /* what waits is lost */
void service_later(struct service_queue *q,
	void (*cb)(void *arg, const struct endpoint *to, const uint8_t *p, size_t len), void *arg,
	const struct endpoint *to, const uint8_t *p, size_t len);

#endif
