#include "mesh/os/sock.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/tcp.h> /* the C library's tcp_info ends too early */
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 511, SMALL_MSS = 1080 };

size_t sock_limit(void)
{
	struct rlimit r;
	return getrlimit(RLIMIT_NOFILE, &r) == 0 ? (size_t)r.rlim_cur : 0;
}

size_t sock_limit_raise(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
	return sock_limit();
}

/* An unspecified v6 address is dual stack; a machine without v6 gets the v4 one. */
static int open_bound(const struct endpoint *bind_to, int type, struct errbuf *eb)
{
	char text[ENDPOINT_TEXT];
	const char *what = type == SOCK_DGRAM ? "UDP" : "TCP";
	bool v6 = !addr_is_v4(&bind_to->ip);
	int fd = socket(v6 ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct endpoint at = *bind_to;
	if (fd < 0 && v6 && addr_is_unspecified(&bind_to->ip)) {
		v6 = false;
		at.ip = addr_v4(0);
		fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	}
	if (fd < 0)
		return err_set(eb, -errno, "make a %s socket", what);
	int on = 1, off = 0;
	if (v6)
		setsockopt(
			fd, IPPROTO_IPV6, IPV6_V6ONLY, addr_is_unspecified(&at.ip) ? &off : &on, sizeof(on));
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(&at, v6, &ss);
	if (bind(fd, (struct sockaddr *)&ss, n) != 0) {
		int err = -errno;
		close(fd);
		endpoint_format(bind_to, text);
		if (err == -EADDRINUSE)
			return err_say(eb, err,
				"%s %s is in use by another program; stop it or choose another port", what,
				text);
		if (err == -EACCES)
			return err_say(eb, err,
				"no permission to listen on %s %s; ports below 1024 need root", what, text);
		if (err == -EADDRNOTAVAIL)
			return err_say(eb, err,
				"%s %s: this machine has no such address; see `ip address`, or take [::] for "
				"all",
				what, text);
		return err_set(eb, err, "listen on %s %s", what, text);
	}
	return fd;
}

int sock_udp(const struct endpoint *bind_to, struct errbuf *eb)
{
	return open_bound(bind_to, SOCK_DGRAM, eb);
}

void sock_mark_outside(int fd)
{
	int mark = SOCK_MARK_OUTSIDE;
	setsockopt(fd, SOL_SOCKET, SO_MARK, &mark,
		sizeof(mark)); /* without the right there are no rules either */
}

void sock_tcp_small(int fd)
{
	int mss = SMALL_MSS;
	setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss));
}

void sock_device_hook(void *ifname, int fd)
{
	const char *name = ifname;
	(void)setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name) + 1);
}

void sock_mark_hook(void *arg, int fd)
{
	(void)arg;
	sock_mark_outside(fd);
	sock_tcp_small(fd);
}

int sock_udp_connect(const struct endpoint *to, const struct addr *from, struct errbuf *eb)
{
	struct sockaddr_storage ss, own;
	socklen_t n = endpoint_to_sockaddr(to, false, &ss), n_own = 0;
	int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_set(eb, -errno, "make a UDP socket");
	sock_mark_outside(fd);
	if (from)
		n_own = endpoint_to_sockaddr(&(struct endpoint) { .ip = *from }, false, &own);
	if ((!from || bind(fd, (struct sockaddr *)&own, n_own) == 0) &&
		connect(fd, (struct sockaddr *)&ss, n) == 0)
		return fd;
	char text[ENDPOINT_TEXT];
	int err = err_set(eb, -errno, "speak with %s", endpoint_format(to, text));
	close(fd);
	return err;
}

int sock_udp_shared(bool six, uint16_t port, struct errbuf *eb)
{
	struct endpoint any = { .ip = six ? addr_any6 : addr_v4(0), .port = port };
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(&any, six, &ss);
	int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		return err_set(eb, -errno, "make a UDP socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (six)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&ss, n) == 0)
		return fd;
	int err = err_set(eb, -errno, "listen on UDP port %u", port);
	close(fd);
	return err;
}

int sock_tcp_listen(const struct endpoint *bind_to, struct errbuf *eb)
{
	int fd = open_bound(bind_to, SOCK_STREAM, eb);
	if (fd >= 0 && listen(fd, BACKLOG) != 0) {
		int err = err_set(eb, -errno, "listen");
		close(fd);
		return err;
	}
	return fd;
}

int sock_tcp_connect(const struct endpoint *to, struct errbuf *eb)
{
	return sock_tcp_connect_hook(to, NULL, NULL, eb);
}

int sock_tcp_connect_hook(
	const struct endpoint *to, void (*hook)(void *arg, int fd), void *arg, struct errbuf *eb)
{
	char text[ENDPOINT_TEXT];
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(to, false, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(eb, -errno, "make a TCP socket");
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (hook)
		hook(arg, fd);
	if (connect(fd, (struct sockaddr *)&ss, n) != 0 && errno != EINPROGRESS) {
		int err = err_set(eb, -errno, "connect to %s", endpoint_format(to, text));
		close(fd);
		return err;
	}
	return fd;
}

void sock_tcp_liveness(int fd, int idle_s, int timeout_ms)
{
	enum { PROBE_S = 2, PROBES = 4 };
	int on = 1, every = PROBE_S, count = PROBES;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

int sock_tcp_patience(int fd, int least_ms, int most_ms)
{
	enum { WAITS = 1 + 2 + 4 + 8 }; /* each twice the one before, RFC 6298 section 5.5 */
	struct tcp_info info = { 0 };
	socklen_t n = sizeof(info);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0 || !info.tcpi_rtt)
		return least_ms;
	uint64_t first_us = info.tcpi_backoff < 31 ? info.tcpi_rto >> info.tcpi_backoff : 0;
	uint64_t ms = WAITS * first_us / 1000;
	return ms < (uint64_t)least_ms ? least_ms : ms > (uint64_t)most_ms ? most_ms : (int)ms;
}

void sock_tcp_unsent_max(int fd, int bytes)
{
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof(bytes));
}

uint64_t sock_acked(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t n = sizeof(info);
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 ? info.tcpi_bytes_acked : 0;
}

int sock_tcp_silence(int fd)
{
	struct tcp_info info;
	socklen_t n = sizeof(info);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0 || !info.tcpi_unacked ||
		info.tcpi_backoff < 2)
		return -1;
	return info.tcpi_last_ack_recv < INT_MAX ? (int)info.tcpi_last_ack_recv : INT_MAX;
}

int sock_arrive_on(int fd, const char *ifname)
{
	unsigned index = if_nametoindex(ifname);
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_IFINDEX)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, index, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog filter = { .len = ARRAY_LEN(code), .filter = code };
	if (!index)
		return -ENODEV;
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) == 0 ? 0 : -errno;
}

int sock_accept(int fd, struct endpoint *from)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t n = sizeof(ss);
	int c = accept4(fd, (struct sockaddr *)&ss, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (c < 0)
		return -errno;
	if (ss.ss_family != AF_UNIX) {
		int on = 1;
		setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	}
	if (from && !endpoint_from_sockaddr((struct sockaddr *)&ss, from))
		*from = (struct endpoint) { 0 };
	return c;
}

int sock_error(int fd)
{
	int err = 0;
	socklen_t n = sizeof(err);
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n) == 0 ? -err : -errno;
}

int sock_local(int fd, struct endpoint *out)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	if (getsockname(fd, (struct sockaddr *)&ss, &n) != 0)
		return -errno;
	return endpoint_from_sockaddr((struct sockaddr *)&ss, out) ? 0 : -EAFNOSUPPORT;
}

bool sock_source(const struct addr *to, struct addr *out)
{
	struct endpoint at = { .ip = *to, .port = 1 }, own;
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(&at, false, &ss);
	int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool found = fd >= 0 && connect(fd, (struct sockaddr *)&ss, n) == 0 && sock_local(fd, &own) == 0;
	if (fd >= 0)
		close(fd);
	if (found)
		*out = own.ip;
	return found;
}

static int unix_address(const char *path, struct sockaddr_un *un, struct errbuf *eb)
{
	*un = (struct sockaddr_un) { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(un->sun_path))
		return err_say(eb, -ENAMETOOLONG, "socket path %s is longer than %zu bytes", path,
			sizeof(un->sun_path) - 1);
	strcpy(un->sun_path, path);
	return 0;
}

int sock_unix_connect(const char *path, struct errbuf *eb)
{
	struct sockaddr_un un;
	int err = unix_address(path, &un, eb);
	if (err)
		return err;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(eb, -errno, "make a unix socket");
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) != 0) {
		err = err_set(eb, -errno, "connect to %s", path);
		close(fd);
		return err;
	}
	return fd;
}

/* A file in the place of our socket: a stale socket of this user's, which may go, or something that may not.
 */
static int check_stale(const char *path, struct errbuf *eb)
{
	struct stat st;
	if (lstat(path, &st) != 0)
		return errno == ENOENT ? -ENOENT : err_set(eb, -errno, "look at %s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_say(eb, -EEXIST,
			"%s is there already, and is no socket: move it away, or name another path", path);
	if (st.st_uid != geteuid())
		return err_say(eb, -EEXIST,
			"%s is a socket of user %u, not of this one: remove it, or name another path", path,
			(unsigned)st.st_uid);
	return 0;
}

int sock_unix_listen(const char *path, mode_t mode, struct errbuf *eb)
{
	struct sockaddr_un un;
	int err = unix_address(path, &un, eb);
	if (err)
		return err;
	err = check_stale(path, eb);
	if (err && err != -ENOENT)
		return err;
	int live = err ? err : sock_unix_connect(path, NULL);
	if (live >= 0) {
		close(live);
		return err_say(eb, -EADDRINUSE, "another program already listens on %s", path);
	}
	if (live == -ECONNREFUSED)
		unlink(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(eb, -errno, "make a unix socket");
	/* The mode must hold from the first moment, so it is set on the unbound socket; what the umask took
	 * from it is given to the file that was made, and to no other that a link may have put there since.
	 */
	fchmod(fd, mode);
	if (bind(fd, (struct sockaddr *)&un, sizeof(un)) != 0 ||
		fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW) != 0 || listen(fd, BACKLOG) != 0) {
		err = err_set(eb, -errno, "listen on %s", path);
		close(fd);
		return err;
	}
	return fd;
}

void sock_unix_unlink(const char *path)
{
	if (check_stale(path, NULL) == 0)
		unlink(path);
}

int sock_unix_peer(int fd, struct sock_peer *out)
{
	struct ucred c;
	socklen_t n = sizeof(c);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &n) != 0)
		return -errno;
	*out = (struct sock_peer) { .pid = c.pid, .uid = c.uid, .gid = c.gid };
	return 0;
}
