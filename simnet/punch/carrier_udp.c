#include "simnet/punch/carrier.h"

#include "mesh/os/sock.h"
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DATAGRAM_MAX = 2048, DATAGRAMS_PER_WAKEUP = 64, QUEUE_BYTES = 8 << 20 };

struct carrier_udp {
	carrier_received *received;
	void *owner;
	int fd;
	bool six;
	struct loop_fd *watch;
};

static void read_datagrams(void *arg, int events)
{
	struct carrier_udp *c = arg;
	uint8_t msg[DATAGRAM_MAX];
	(void)events;

	for (int i = 0; i < DATAGRAMS_PER_WAKEUP; i++) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		struct endpoint from;
		ssize_t n = recvfrom(c->fd, msg, sizeof(msg), 0, (struct sockaddr *)&ss, &len);
		if (n < 0)
			return;
		if (endpoint_from_sockaddr((struct sockaddr *)&ss, &from))
			c->received(c->owner, &from, msg, (size_t)n);
	}
}

/* What a burst sends while this program waits for a processor is not lost, for that would be chance. More than the machine's
 * rmem_max takes rights. */
static void make_room(int fd)
{
	int bytes = QUEUE_BYTES;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

struct carrier_udp *carrier_udp_open(
	struct loop *l, const struct endpoint *at, carrier_received *received, void *owner, struct errbuf *eb)
{
	struct carrier_udp *c = calloc(1, sizeof(*c));
	int domain = 0;
	socklen_t len = sizeof(domain);

	if (!c) {
		err_say(eb, -ENOMEM, "out of memory");
		return NULL;
	}
	*c = (struct carrier_udp) { .received = received, .owner = owner, .fd = sock_udp(at, eb) };
	if (c->fd >= 0 && getsockopt(c->fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0)
		c->six = domain == AF_INET6;
	if (c->fd >= 0)
		make_room(c->fd);
	c->watch = c->fd < 0 ? NULL : loop_fd_new(l, c->fd, read_datagrams, c);
	if (c->fd >= 0 && !c->watch)
		err_say(eb, -ENOMEM, "out of memory");
	if (c->watch) {
		loop_fd_set(c->watch, LOOP_READ);
		return c;
	}
	carrier_udp_close(c);
	return NULL;
}

void carrier_udp_send(struct carrier_udp *c, const struct endpoint *to, const uint8_t *p, size_t len)
{
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(to, c->six, &ss);
	/* Where there is no way, as to IPv6 from an IPv4 host, it is lost like any other. */
	(void)!sendto(c->fd, p, len, 0, (struct sockaddr *)&ss, n);
}

bool carrier_udp_join(struct carrier_udp *c, uint32_t group, const char *ifname)
{
	struct ip_mreqn where = { .imr_multiaddr.s_addr = htonl(group),
		.imr_ifindex = (int)if_nametoindex(ifname) };
	return where.imr_ifindex &&
	       setsockopt(c->fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &where, sizeof(where)) == 0;
}

struct endpoint carrier_udp_local(const struct carrier_udp *c)
{
	struct endpoint at = { 0 };
	(void)sock_local(c->fd, &at);
	return at;
}

void carrier_udp_close(struct carrier_udp *c)
{
	if (!c)
		return;
	loop_fd_free(c->watch);
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}
