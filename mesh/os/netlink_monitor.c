#include "mesh/os/netlink_inner.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel drops what `own` caused before it is queued: ten thousand routes of our own would push everybody
 * else's news out of the socket. */
static int leave_out_own(int fd, const struct nl *const *own, size_t n)
{
	struct sock_filter code[NL_OWN_MAX + 3] = { BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)) };
	if (n > NL_OWN_MAX)
		return -E2BIG;
	for (size_t i = 0; i < n; i++) /* to the last */
		code[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			htonl(mnl_socket_get_portid(own[i]->sock)), (uint8_t)(n - i), 0);
	code[1 + n] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
	code[2 + n] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog filter = { .len = (unsigned short)(n + 3), .filter = code };
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) == 0 ? 0 : -errno;
}

int nl_monitor_open(const struct nl *const *own, size_t n, struct errbuf *eb)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	struct sockaddr_nl sa = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
			     RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_RULE | 1u << (RTNLGRP_IPV6_RULE - 1),
	};
	int err = fd < 0 ? -errno : leave_out_own(fd, own, n);
	if (!err && bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		err = -errno;
	if (err) {
		if (fd >= 0)
			close(fd);
		return err_set(eb, err, "watch for network changes");
	}
	return fd;
}

/* The number that an attribute of a message holds; 0: there is none. */
static uint32_t number_in(const struct nlmsghdr *h, size_t header, uint16_t type)
{
	const struct nlattr *a;
	if (mnl_nlmsg_get_payload_len(h) < header)
		return 0;
	mnl_attr_for_each(a, h, (unsigned)header)
	{
		if (mnl_attr_get_type(a) == type && mnl_attr_get_payload_len(a) == sizeof(uint32_t))
			return mnl_attr_get_u32(a);
	}
	return 0;
}

static bool is_table(const struct nl_part *ours, uint32_t table)
{
	return table == ours->tables[0] || table == ours->tables[1];
}

/* Was something of ours touched, and not merely added to? */
static bool is_about(const struct nlmsghdr *h, const struct nl_part *ours)
{
	size_t len = mnl_nlmsg_get_payload_len(h);
	const void *p = mnl_nlmsg_get_payload(h);
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return len >= sizeof(struct ifinfomsg) &&
		       ((const struct ifinfomsg *)p)->ifi_index == ours->ifindex;
	case RTM_DELADDR:
		return len >= sizeof(struct ifaddrmsg) &&
		       (int)((const struct ifaddrmsg *)p)->ifa_index == ours->ifindex;
	case RTM_DELROUTE: return is_table(ours, number_in(h, sizeof(struct rtmsg), RTA_TABLE));
	case RTM_DELRULE: return is_table(ours, number_in(h, sizeof(struct fib_rule_hdr), FRA_TABLE));
	default: return false;
	}
}

unsigned nl_monitor_read(int fd, const struct nl_part *ours)
{
	_Alignas(struct nlmsghdr) char buf[NL_REPLY_MAX];
	unsigned news = 0;
	for (;;) {
		ssize_t got = recv(fd, buf, sizeof(buf), 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == ENOBUFS) { /* some were lost: they may have been about anything */
			news = NL_NEWS_ANY | NL_NEWS_OURS;
			continue;
		}
		if (got <= 0)
			return news;
		int left = (int)got;
		for (const struct nlmsghdr *h = (const void *)buf; mnl_nlmsg_ok(h, left);
			h = mnl_nlmsg_next(h, &left))
			news |= NL_NEWS_ANY | (ours && is_about(h, ours) ? NL_NEWS_OURS : 0);
	}
}
