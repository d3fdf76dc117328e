/* Host names to addresses by the system's resolver (getaddrinfo), off the loop's thread. */
#ifndef RW_OS_RESOLVE_H
#define RW_OS_RESOLVE_H

#include "mesh/base/addr.h"
#include "mesh/os/loop.h"

enum { RESOLVE_MAX = 16 };

struct resolve; /* one lookup in flight */
/* cb once, from the loop: code 0 and n >= 1 addresses (port 0) in the system's order of preference, or a
 * negative code, n 0, and why in words. Literals are answered the same way. The lookup is freed after cb.
 * NULL only when memory is short. */
struct resolve *resolve_start(struct loop *l, const char *host,
	void (*cb)(void *arg, int code, const struct endpoint *at, size_t n, const char *why), void *arg);
/* No cb any more. The lookup's thread may go on for a while; loop_free waits for it. NULL is fine. */
void resolve_cancel(struct resolve *r);

#endif
