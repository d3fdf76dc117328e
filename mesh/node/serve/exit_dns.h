/* Names for peers that use this machine as their exit: one question, as DNS over HTTPS has it (RFC 8484), asked of this
 * machine's own resolver. They get what the internet says: names of the mesh, and those that servers of the network or of
 * the place speak for, are no business of an exit; who may know them asks for them itself. */
#ifndef RW_NODE_SERVE_EXIT_DNS_H
#define RW_NODE_SERVE_EXIT_DNS_H

#include "mesh/os/loop.h"
#include <stddef.h>
#include <stdint.h>

enum { EXIT_DNS_MESSAGE_MAX = 512 };
#define EXIT_DNS_MEDIA "application/dns-message"

struct resolver;
struct exit_dns;
/* answer: a whole message, valid during the call; NULL: none came. */
struct exit_dns_ops {
	/* What that machine's resolver is (zone and routes) now, which listens at the service address; NULL: nothing. Asked
	 * before exit_dns_ask returns, and before done. */
	struct resolver *(*resolver)(void *arg);
	void (*done)(
		void *arg, const uint8_t *answer, size_t len); /* once, maybe before exit_dns_ask returns */
	void *arg;
};
/* false: no question, and done is not told. *out is what to cancel; NULL once done was told. */
bool exit_dns_ask(struct loop *l, const uint8_t *msg, size_t len, const struct exit_dns_ops *ops,
	struct exit_dns **out);
void exit_dns_cancel(struct exit_dns *q); /* done is not told; NULL is fine */

#endif
