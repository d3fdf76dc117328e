#include "mesh/node/plane/tun.h"
#include "mesh/base/log.h"
#include "mesh/node/plane/offload.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Debian 12's headers lack these two; kernels since 6.2 have them. */
enum { RW_TUN_F_USO4 = 0x20, RW_TUN_F_USO6 = 0x40 };
enum { PACKETS_PER_WAKEUP = 512, SUPER_MAX = 65536 + sizeof(struct virtio_net_hdr) };

struct tun_reader {
	int fd;
	bool vnet_hdr;
	void (*received)(void *arg, struct pkt *pkts, size_t n);
	void *arg;
	int budget;   /* packets left of this wake-up */
	size_t bytes; /* the batch's, sealed and in frames */
	_Atomic uint64_t bad_header, too_large;
	uint8_t super[SUPER_MAX];
	struct pkt batch[PKT_BATCH];
};
struct tun {
	int fd;
	bool vnet_hdr;
	struct tun_offloads offloads;
	char name[IFNAMSIZ];
	struct loop_fd *watch;
	struct tun_events ev;
	uint64_t write_failed;
	struct tun_drops drops; /* as of the last tun_drops */
	struct offload_join join;
	struct tun_reader own;
	struct tun_reader *second; /* NULL: none */
};

static void hand_over(struct tun_reader *r, size_t *count)
{
	if (*count)
		r->received(r->arg, r->batch, *count);
	*count = r->bytes = 0;
}

static size_t wrapped(const struct pkt *p)
{
	return ((p->len + 15u) & ~15u) + PKT_WRAPPED; /* WireGuard fills up to 16 */
}

/* One read: a packet, or a super-packet to be cut. What does not fill the batch waits for the next read. 0: there may be more,
 * 1: not now, negative: nothing comes any more. */
static int read_once(struct tun_reader *r, size_t *count)
{
	/* libc's read may be where a thread is cancelled, and has to make sure each time: 4 % of what a small packet costs. */
	ssize_t n = syscall(SYS_read, r->fd, r->super, sizeof(r->super));
	if (n <= 0) {
		/* EIO: down for now. Other errors stay, and would wake us without end. */
		if (n == 0 || (errno != EAGAIN && errno != EINTR && errno != EIO))
			return n ? -errno : -ENODEV;
		return 1;
	}
	struct offload_cut cut;
	if (!offload_cut_begin(&cut, r->super, (size_t)n, r->vnet_hdr)) {
		r->bad_header++;
		return 0;
	}
	for (struct pkt *p; offload_cut_next(&cut, p = &r->batch[*count]);) {
		r->budget--;
		r->bytes += wrapped(p);
		if (++*count == PKT_BATCH || r->bytes > PKT_BATCH_BYTES)
			hand_over(r, count);
	}
	if (cut.bad)
		r->too_large++;
	return 0;
}

/* Small packets come one a read; gathered, those to one peer leave in one system call. */
int tun_reader_read(struct tun_reader *r)
{
	size_t count = 0;
	int end = 0;
	r->budget = PACKETS_PER_WAKEUP;
	for (int i = 0; i < PKT_BATCH && r->budget > 0 && end == 0; i++)
		end = read_once(r, &count);
	hand_over(r, &count);
	return end < 0 ? end : 0;
}

static void tun_readable(void *arg, int events)
{
	struct tun *t = arg;
	(void)events;
	int err = tun_reader_read(&t->own);
	if (!err)
		return;
	loop_fd_set(t->watch, 0);
	t->ev.lost(t->ev.arg, err);
}

struct tun_reader *tun_reader_new(
	struct tun *t, void (*received)(void *arg, struct pkt *pkts, size_t n), void *arg)
{
	struct tun_reader *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->fd = t->fd;
	r->vnet_hdr = t->vnet_hdr;
	r->received = received;
	r->arg = arg;
	t->second = r;
	return r;
}

void tun_reader_free(struct tun *t, struct tun_reader *r)
{
	if (!r)
		return;
	t->own.bad_header += r->bad_header;
	t->own.too_large += r->too_large;
	t->second = NULL;
	free(r);
}

int tun_reader_fd(const struct tun_reader *r)
{
	return r->fd;
}

void tun_reader_stop(struct tun_reader *r)
{
	r->budget = 0;
}

void tun_listen(struct tun *t, bool here)
{
	loop_fd_set(t->watch, here ? LOOP_READ : 0);
}

static struct tun *wrap(struct loop *l, int fd, bool vnet_hdr, const struct tun_events *ev)
{
	struct tun *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->fd = t->own.fd = fd;
	t->vnet_hdr = t->own.vnet_hdr = vnet_hdr;
	t->ev = *ev;
	t->own.received = ev->received;
	t->own.arg = ev->arg;
	t->watch = loop_fd_new(l, fd, tun_readable, t);
	if (!t->watch) {
		free(t);
		return NULL;
	}
	loop_fd_set(t->watch, LOOP_READ);
	return t;
}

struct tun *tun_adopt(struct loop *l, int fd, bool vnet_hdr, const struct tun_events *ev)
{
	return wrap(l, fd, vnet_hdr, ev);
}

static int explain_open(int err, struct errbuf *eb)
{
	if (err == -ENOENT || err == -ENXIO || err == -ENODEV)
		return err_say(eb, err,
			"no /dev/net/tun on this machine: load the kernel's tun module (modprobe tun), or "
			"give the "
			"container the device");
	if (err == -EACCES || err == -EPERM)
		return err_say(eb, err,
			"no permission to open /dev/net/tun: run ropewalkd as root or with CAP_NET_ADMIN");
	return err_set(eb, err, "open /dev/net/tun");
}

static bool may_set_up_interfaces(void)
{
	struct __user_cap_header_struct who = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = { 0 };
	return syscall(SYS_capget, &who, caps) != 0 || (caps[0].effective & 1u << CAP_NET_ADMIN);
}

int tun_check(struct errbuf *eb)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), err = fd < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	if (err == -ENOENT || err == -ENXIO || err == -ENODEV)
		return err_say(eb, err,
			"no /dev/net/tun on this machine: load the kernel's tun module (modprobe tun), or "
			"give the container the device");
	if (err)
		return err_say(eb, err,
			"cannot open /dev/net/tun (%s): run ropewalkd as root or with CAP_NET_ADMIN",
			strerror(-err));
	if (!may_set_up_interfaces())
		return err_say(eb, -EPERM,
			"no permission to set up network interfaces: run ropewalkd as root or with "
			"CAP_NET_ADMIN");
	return 0;
}

struct tun *tun_open(struct loop *l, const char *name, const struct tun_events *ev, struct errbuf *eb)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		explain_open(-errno, eb);
		return NULL;
	}
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, TUNSETIFF, &ifr) != 0) {
		int err = -errno;
		close(fd);
		if (err == -EBUSY)
			err_say(eb, err,
				"interface %s is in use by another program; choose another with --tun", name);
		else if (err == -EINVAL)
			err_say(eb, err,
				"there is an interface %s already, which is no TUN; choose another name with "
				"--tun",
				name);
		else if (err == -EPERM)
			err_say(eb, err,
				"no permission to make interface %s: run ropewalkd as root or with "
				"CAP_NET_ADMIN",
				name);
		else
			err_set(eb, err, "make interface %s", name);
		return NULL;
	}
	unsigned long tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
	bool udp = ioctl(fd, TUNSETOFFLOAD, tcp | RW_TUN_F_USO4 | RW_TUN_F_USO6) == 0;
	struct tun_offloads got = { .tcp = udp || ioctl(fd, TUNSETOFFLOAD, tcp) == 0, .udp = udp };
	if (!got.tcp)
		log_info("tun %s: no segmentation offload: %s", name, strerror(errno));
	struct tun *t = wrap(l, fd, true, ev);
	if (!t) {
		err_set(eb, -ENOMEM, "open tun %s", name);
		close(fd);
		return NULL;
	}
	memcpy(t->name, ifr.ifr_name, IFNAMSIZ);
	t->offloads = got;
	t->join.udp = udp;
	return t;
}

void tun_close(struct tun *t)
{
	if (!t)
		return;
	loop_fd_free(t->watch);
	close(t->fd);
	free(t);
}

const char *tun_name(const struct tun *t)
{
	return t->name;
}
struct tun_offloads tun_offloads(const struct tun *t)
{
	return t->offloads;
}
const struct tun_drops *tun_drops(struct tun *t)
{
	const struct tun_reader *second = t->second;
	t->drops = (struct tun_drops) { .tun_write_failed = t->write_failed,
		.tun_bad_header = t->own.bad_header + (second ? second->bad_header : 0),
		.tun_too_large = t->own.too_large + (second ? second->too_large : 0) };
	return &t->drops;
}

void tun_write_batch(struct tun *t, struct pkt *const *pkts, size_t n)
{
	for (size_t i = 0; i < n;) {
		struct iovec iov[OFFLOAD_IOV_MAX];
		size_t n_iov, took;
		if (t->vnet_hdr) {
			took = offload_join_next(&t->join, pkts + i, n - i, iov, &n_iov);
		} else {
			iov[0] = (struct iovec) { pkt_data(pkts[i]), pkts[i]->len };
			n_iov = took = 1;
		}
		if (writev(t->fd, iov, (int)n_iov) < 0)
			t->write_failed += took;
		i += took;
	}
}
