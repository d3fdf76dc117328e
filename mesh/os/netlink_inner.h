/* What the files of rtnetlink share: a request being built, and its way to the kernel and back. */
#ifndef RW_OS_NETLINK_INNER_H
#define RW_OS_NETLINK_INNER_H

#include "mesh/os/netlink.h"
#include <libmnl/libmnl.h>
#include <stddef.h>
#include <stdint.h>

enum {
	NL_REQUEST_MAX = 1024, /* our own messages: a few fixed attributes */
	NL_REPLY_MAX = 32768,  /* what the kernel fills in a dump */
};

struct nl {
	struct mnl_socket *sock;
	int ctl; /* for the one question that has no netlink message on older kernels */
	unsigned seq;
};

/* One request being built; `msg` points into buf. */
struct nl_request {
	_Alignas(struct nlmsghdr) char buf[NL_REQUEST_MAX];
	struct nlmsghdr *msg;
};

struct nl_reply {
	mnl_cb_t each; /* for every answer that is not an acknowledgement; may be NULL */
	void *arg;
	int err;	/* what the kernel said, 0 or -errno */
	char text[160]; /* its own explanation, often empty */
};

/* Begins a request with `body` bytes of the family's own header, zeroed; returns that header. */
void *nl_begin(struct nl_request *r, uint16_t type, uint16_t flags, size_t body);
void nl_put_addr(struct nl_request *r, uint16_t type, const struct addr *a);
uint8_t nl_family(const struct addr *a);
/* Sends and reads until the acknowledgement (or the end of a dump). */
int nl_transact(struct nl *n, struct nl_request *q, struct nl_reply *r);
/* The same for requests without answers: `what` begins the sentence when the kernel refuses. */
int nl_finish(struct nl *n, struct nl_request *q, struct errbuf *eb, const char *what);
/* For many requests in one write: `count` of them, numbered from n->seq + 1. What the kernel said of each
 * goes to codes[count]; all but the last may do without an acknowledgement. 0, or why nothing could be said.
 */
int nl_transact_all(struct nl *n, const void *requests, size_t len, size_t count, int *codes);

#endif
