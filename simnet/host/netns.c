#include "simnet/host/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct netns netns_none = { -1 };

int netns_open_own(struct netns *ns, struct errbuf *eb)
{
	ns->fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return ns->fd < 0 ? err_set(eb, -errno, "open a network namespace") : 0;
}

int netns_new(struct netns *ns, struct errbuf *eb)
{
	int err = unshare(CLONE_NEWNET) < 0 ? -errno : 0;
	if (err == -ENOSPC)
		return err_say(eb, -ENOSYS,
			"this machine allows no more network namespaces: raise "
			"/proc/sys/user/max_net_namespaces");
	return err ? err_set(eb, err, "make a network namespace") : netns_open_own(ns, eb);
}

int netns_enter(const struct netns *ns, struct errbuf *eb)
{
	return setns(ns->fd, CLONE_NEWNET) < 0 ? err_set(eb, -errno, "enter a network namespace") : 0;
}

void netns_return(const struct netns *home)
{
	if (setns(home->fd, CLONE_NEWNET) < 0)
		abort();
}

void netns_close(struct netns *ns)
{
	if (ns->fd >= 0)
		close(ns->fd);
	*ns = netns_none;
}

int netns_sysctl(const char *name, const char *value, struct errbuf *eb)
{
	char path[128];
	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, value, strlen(value));
	int err = n < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	return err ? err_set(eb, err, "write %s to %s", value, path) : 0;
}
