#include "mesh/os/nft.h"
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* NEWS_QUEUE: one load of ten thousand peers is news of every one of them, in one burst. */
enum { REQUEST_MAX = 512, NEWS_MAX = 16384, NEWS_QUEUE = 16 << 20 };

/* The first attribute of every message about a table, or about what is in one, is the table's name. */
static_assert(NFTA_TABLE_NAME == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 && NFTA_SET_TABLE == 1,
	"one attribute for all");

static struct nlmsghdr *put_request(void *at, uint16_t type, uint16_t flags, uint16_t about)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(at);
	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->nfgen_family = about == NFNL_SUBSYS_NFTABLES ? AF_UNSPEC : NFPROTO_INET;
	g->version = NFNETLINK_V0;
	g->res_id = htons(about);
	return h;
}

static uint16_t nft_type(uint16_t message)
{
	return (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | message);
}

static int size_read(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *a;
	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == NFTA_TABLE_USE && mnl_attr_get_payload_len(a) == 4)
			*(int *)arg = (int)ntohl(mnl_attr_get_u32(a));
	}
	return MNL_CB_OK;
}

/* One write, then answers until an acknowledgement or an error. */
static int nft_ask(const void *p, size_t len, mnl_cb_t each, void *arg)
{
	_Alignas(struct nlmsghdr) char buf[NEWS_MAX];
	struct mnl_socket *s = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	int err = !s || mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0 || mnl_socket_sendto(s, p, len) < 0
			  ? -errno
			  : 0;
	for (int more = MNL_CB_OK; !err && more > MNL_CB_STOP;) {
		ssize_t n = mnl_socket_recvfrom(s, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		more = n < 0 ? -1 : mnl_cb_run(buf, (size_t)n, 0, mnl_socket_get_portid(s), each, arg);
		if (more < 0)
			err = -errno;
	}
	if (s)
		mnl_socket_close(s);
	return err;
}

int nft_table_size(const char *table, struct errbuf *eb)
{
	_Alignas(struct nlmsghdr) char buf[REQUEST_MAX];
	int size = 0;
	struct nlmsghdr *h = put_request(buf, nft_type(NFT_MSG_GETTABLE), NLM_F_ACK, 0);
	mnl_attr_put_strz(h, NFTA_TABLE_NAME, table);
	int err = nft_ask(buf, h->nlmsg_len, size_read, &size);
	return err ? err_set(eb, err, "look for the nftables table %s", table) : size;
}

int nft_table_del(const char *table, struct errbuf *eb)
{
	_Alignas(struct nlmsghdr) char buf[REQUEST_MAX];
	char *at = buf;
	struct nlmsghdr *h = put_request(at, NFNL_MSG_BATCH_BEGIN, 0, NFNL_SUBSYS_NFTABLES);
	at += NLMSG_ALIGN(h->nlmsg_len);
	h = put_request(at, nft_type(NFT_MSG_DELTABLE), NLM_F_ACK, 0);
	mnl_attr_put_strz(h, NFTA_TABLE_NAME, table);
	at += NLMSG_ALIGN(h->nlmsg_len);
	h = put_request(at, NFNL_MSG_BATCH_END, 0, NFNL_SUBSYS_NFTABLES);
	at += NLMSG_ALIGN(h->nlmsg_len);
	int err = nft_ask(buf, (size_t)(at - buf), NULL, NULL);
	return err == 0 || err == -ENOENT ? 0 : err_set(eb, err, "remove the nftables table %s", table);
}

int nft_watch_open(struct errbuf *eb)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK, .nl_groups = 1u << (NFNLGRP_NFTABLES - 1) };
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		int err = err_set(eb, -errno, "watch for changes of nftables");
		if (fd >= 0)
			close(fd);
		return err;
	}
	int size = NEWS_QUEUE;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return fd;
}

static bool is_about(const struct nlmsghdr *h, const char *table)
{
	const struct nlattr *a = mnl_nlmsg_get_payload_offset(h, sizeof(struct nfgenmsg));
	int left = (int)mnl_nlmsg_get_payload_len(h) - (int)MNL_ALIGN(sizeof(struct nfgenmsg));
	for (; left > 0 && mnl_attr_ok(a, left); left -= MNL_ALIGN(mnl_attr_get_len(a)), a = mnl_attr_next(a))
		if (mnl_attr_get_type(a) == NFTA_TABLE_NAME && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0)
			return strcmp(mnl_attr_get_str(a), table) == 0;
	return false;
}

static void note_news(const struct nlmsghdr *h, const char *table, bool *removed)
{
	if (h->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES)
		return;
	switch (h->nlmsg_type & 0xff) {
	case NFT_MSG_NEWTABLE:
		if (is_about(h, table))
			*removed = false;
		break;
	case NFT_MSG_DELTABLE:
	case NFT_MSG_DELCHAIN:
	case NFT_MSG_DELRULE:
	case NFT_MSG_DELSET: *removed = *removed || is_about(h, table); break;
	default: break;
	}
}

void nft_watch_read(int fd, const char *table, bool *removed)
{
	_Alignas(struct nlmsghdr) char buf[NEWS_MAX];
	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOBUFS) {
			*removed = true;
			continue;
		}
		if (n <= 0)
			return;
		int left = (int)n;
		for (const struct nlmsghdr *h = (const void *)buf; mnl_nlmsg_ok(h, left);
			h = mnl_nlmsg_next(h, &left))
			note_news(h, table, removed);
	}
}
