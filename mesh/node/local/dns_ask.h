/* One question to this node's own resolver, for LocalAPI's dns-query: the same way every program of the
 * machine asks. */
#ifndef RW_NODE_LOCAL_DNS_ASK_H
#define RW_NODE_LOCAL_DNS_ASK_H

#include "mesh/base/err.h"
#include "mesh/os/loop.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dns_asking;
/* type: "A", "AAAA", "TYPE65" ... cb once, with the raw answer or code < 0; freed after it. NULL: a name
 * or type that cannot be asked, or no socket. */
struct dns_asking *dns_ask_start(struct loop *l, const char *name, const char *type,
	void (*cb)(void *arg, int code, const uint8_t *answer, size_t len), void *arg, struct errbuf *eb);
bool dns_ask_valid(const char *name, const char *type); /* it can be asked */
void dns_ask_cancel(struct dns_asking *q);		/* no cb after; NULL is fine */

#endif
