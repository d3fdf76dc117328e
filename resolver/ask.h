/* One question to a resolver of ours, for tools: the same way every program of the machine asks. */
#ifndef RW_RESOLVER_ASK_H
#define RW_RESOLVER_ASK_H

#include "mesh/base/addr.h"
#include "mesh/base/err.h"
#include "mesh/os/loop.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dns_asking;
/* at: where it listens. type: "A", "AAAA", "TYPE65" ... cb once, with the raw answer or code < 0; freed after it. NULL: a name
 * or type that cannot be asked, or no socket. */
struct dns_asking *dns_ask_start(struct loop *l, const struct endpoint *at, const char *name,
	const char *type, void (*cb)(void *arg, int code, const uint8_t *answer, size_t len), void *arg,
	struct errbuf *eb);
/* The same with a whole message of at most DNS_ASK_MESSAGE_MAX bytes; its id comes back in the answer. */
enum { DNS_ASK_MESSAGE_MAX = 512 };
struct dns_asking *dns_ask_message(struct loop *l, const struct endpoint *at, const uint8_t *msg, size_t len,
	void (*cb)(void *arg, int code, const uint8_t *answer, size_t len), void *arg, struct errbuf *eb);
bool dns_ask_valid(const char *name, const char *type);			  /* it can be asked */
int dns_ask_check(const char *name, const char *type, struct errbuf *eb); /* the same, with the reason */
void dns_ask_cancel(struct dns_asking *q);				  /* no cb after; NULL is fine */

#endif
