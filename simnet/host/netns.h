/* Network namespaces, held by file descriptor: closing it, or dying, is all the clean-up there is. */
#ifndef SIMNET_NETNS_H
#define SIMNET_NETNS_H

#include "mesh/base/err.h"

struct netns {
	int fd; /* -1 = none */
};
extern const struct netns netns_none;

int netns_open_own(struct netns *ns, struct errbuf *eb); /* where the process is */
/* The process stays inside the new one until netns_return. -ENOSYS when the machine allows no more. */
int netns_new(struct netns *ns, struct errbuf *eb);
int netns_enter(const struct netns *ns, struct errbuf *eb);
/* Cannot fail (or nothing else would make sense: aborts). */
void netns_return(const struct netns *home);
void netns_close(struct netns *ns);
/* In the namespace where the process is: "net/ipv4/ip_forward". */
int netns_sysctl(const char *name, const char *value, struct errbuf *eb);

#endif
