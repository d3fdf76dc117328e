/* Why a name is blocked, as it is asked on the command line, over the control socket and on the page. */
#ifndef RW_RESOLVER_ALONE_BLOCKED_H
#define RW_RESOLVER_ALONE_BLOCKED_H

#include "resolver/alone/running.h"

/* A name and a client ("": one who is in no group) as a person writes them: the name in lower case, and the address.
 * ERR_MALFORMED with a sentence. */
int blocked_read(
	const char *name, const char *client, struct dns_name *out, struct addr *from, struct errbuf *eb);
/* blocker_search_start for these in what runs. NULL with a sentence; -ENOMEM is a moment's matter. */
struct blocker_search *blocked_search(struct running *s, const char *name, const char *client,
	void (*told)(void *arg, int err, const struct blocker_why *w, const struct errbuf *eb), void *arg,
	struct errbuf *eb);

#endif
