#include "simnet/fabric/kernel/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

const struct kernel_ns kernel_ns_none = { -1, -1, -1 };

static int open_own(const char *kind)
{
	char path[32];
	snprintf(path, sizeof(path), "/proc/self/ns/%s", kind);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int kernel_ns_home(struct kernel_ns *ns, struct errbuf *eb)
{
	*ns = (struct kernel_ns) { open_own("net"), open_own("mnt"), open_own("uts") };
	if (ns->net < 0 || ns->mnt < 0 || ns->uts < 0)
		return err_set(eb,
			ns->net < 0   ? ns->net
			: ns->mnt < 0 ? ns->mnt
				      : ns->uts,
			"open /proc/self/ns");
	return 0;
}

int kernel_ns_new_net(struct kernel_ns *ns, struct errbuf *eb)
{
	int err = unshare(CLONE_NEWNET) < 0 ? -errno : 0;
	if (err == -ENOSPC)
		return err_say(eb, -ENOSYS,
			"this machine allows no more network namespaces: raise "
			"/proc/sys/user/max_net_namespaces");
	if (err)
		return err_set(eb, err, "make a network namespace");
	ns->net = open_own("net");
	return ns->net < 0 ? err_set(eb, ns->net, "open a network namespace") : 0;
}

int kernel_ns_enter_net(const struct kernel_ns *ns, struct errbuf *eb)
{
	return setns(ns->net, CLONE_NEWNET) < 0 ? err_set(eb, -errno, "enter a network namespace") : 0;
}

void kernel_ns_return(const struct kernel_ns *home)
{
	if (setns(home->net, CLONE_NEWNET) < 0)
		abort();
}

void kernel_ns_close(struct kernel_ns *ns)
{
	int fds[] = { ns->net, ns->mnt, ns->uts };
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	*ns = kernel_ns_none;
}

int kernel_sysctl(const char *name, const char *value, struct errbuf *eb)
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

/* Back where simnet was started, or, where that is gone or not ours to enter, at the root. */
static bool go_home(const struct engine *e)
{
	return (e->cwd && chdir(e->cwd) == 0) || chdir("/") == 0;
}

/* ---- files of a host ---- */

static int write_text(const char *path, const char *text, size_t len, struct errbuf *eb)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ssize_t n = fd < 0 ? -1 : write(fd, text, len);
	int err = n < 0 ? -errno : (size_t)n < len ? -ENOSPC : 0;
	if (fd >= 0)
		close(fd);
	return err ? err_set(eb, err, "write %s", path) : 0;
}

static bool put_hosts(const struct scenario *s, const struct scn_node *self, struct buf *b)
{
	char text[ADDR_TEXT];
	bool ok = buf_printf(b, "127.0.0.1 localhost\n127.0.1.1 %s\n", self->name);
	for (size_t i = 0; ok && i < s->n_nodes; i++) {
		const struct scn_node *n = &s->nodes[i];
		if (!n->is_service)
			continue;
		ok = buf_printf(b, "%s %s\n", addr_format(&n->ip, text), n->name);
		struct prefix v6 = kernel_net_v6(n->router, &n->ip);
		if (ok && s->ipv6)
			ok = buf_printf(b, "%s %s\n", addr_format(&v6.ip, text), n->name);
	}
	return ok;
}

static int write_etc(
	const struct scenario *s, const struct scn_node *self, const char *dir, struct errbuf *eb)
{
	static const char no_nameserver[] = "# simnet: this host has no nameserver of its own\n";
	char path[64];
	struct buf hosts = { 0 };
	if (!put_hosts(s, self, &hosts)) {
		buf_free(&hosts);
		return err_set(eb, -ENOMEM, "write the hosts file of %s", self->name);
	}
	snprintf(path, sizeof(path), "%s/hosts", dir);
	int err = write_text(path, (const char *)buf_data(&hosts), hosts.len, eb);
	buf_free(&hosts);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s/resolv.conf", dir);
	if ((err = write_text(path, no_nameserver, sizeof(no_nameserver) - 1, eb)))
		return err;
	char line[128];
	snprintf(path, sizeof(path), "%s/hostname", dir);
	int n = snprintf(line, sizeof(line), "%s\n", self->name);
	return write_text(path, line, (size_t)n, eb);
}

/* Where no overlay can be had the files are bound one by one: programs may then write them, but not rename
 * over. */
static int bind_etc(const char *dir, struct errbuf *eb)
{
	static const char *const names[] = { "hosts", "resolv.conf", "hostname" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char from[64], to[64];
		snprintf(from, sizeof(from), "%s/%s", dir, names[i]);
		snprintf(to, sizeof(to), "/etc/%s", names[i]);
		if (mount(from, to, NULL, MS_BIND, NULL) < 0 && errno != ENOENT)
			return err_set(eb, -errno, "give a host its own %s", to);
	}
	return 0;
}

static int mount_files(const struct scenario *s, const struct scn_node *self, struct errbuf *eb)
{
	static const char upper[] = "/run/upper", work[] = "/run/work";
	if (sethostname(self->name, strlen(self->name)) < 0)
		return err_set(eb, -errno, "set the host name %s", self->name);
	/* The first tmpfs keeps the overlay's two folders and then disappears under the second. */
	if (mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") < 0 || mkdir(upper, 0755) < 0 ||
		mkdir(work, 0755) < 0)
		return err_set(eb, -errno, "give %s its own /run", self->name);
	int err = write_etc(s, self, upper, eb);
	if (err)
		return err;
	if (mount("overlay", "/etc", "overlay", 0, "lowerdir=/etc,upperdir=/run/upper,workdir=/run/work") <
			0 &&
		(err = bind_etc(upper, eb)))
		return err;
	/* Best effort: the machine's /sys would show other interfaces than this host's. */
	(void)mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL);
	if (mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") < 0)
		return err_set(eb, -errno, "give %s its own /run", self->name);
	return 0;
}

int kernel_ns_host_files(struct engine *e, int node, struct errbuf *eb)
{
	struct kernel_ns *ns = &e->nodes[node];
	if (unshare(CLONE_NEWNS | CLONE_NEWUTS) < 0)
		return err_set(eb, -errno, "make a mount namespace for %s", e->s->nodes[node].name);
	int err = mount_files(e->s, &e->s->nodes[node], eb);
	if (!err) {
		ns->mnt = open_own("mnt");
		ns->uts = open_own("uts");
		if (ns->mnt < 0 || ns->uts < 0)
			err = err_set(eb, -EMFILE, "hold the namespaces of %s", e->s->nodes[node].name);
	}
	if (setns(e->home.mnt, CLONE_NEWNS) < 0 || setns(e->home.uts, CLONE_NEWUTS) < 0 || !go_home(e))
		err = err_set(eb, -errno, "return from the mount namespace of %s", e->s->nodes[node].name);
	return err;
}

int kernel_ns_become(const struct engine *e, int node, struct errbuf *eb)
{
	const struct kernel_ns *ns = &e->nodes[node];
	if (setns(ns->net, CLONE_NEWNET) < 0 || setns(ns->uts, CLONE_NEWUTS) < 0 ||
		setns(ns->mnt, CLONE_NEWNS) < 0 || !go_home(e))
		return err_set(eb, -errno, "enter %s", e->s->nodes[node].name);
	(void)setrlimit(RLIMIT_NOFILE, &e->files);
	return 0;
}
