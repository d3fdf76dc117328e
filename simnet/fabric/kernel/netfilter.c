#include "simnet/fabric/kernel/netfilter.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

struct mnl_socket *netfilter_open(const char *what, struct errbuf *eb)
{
	struct mnl_socket *sock = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (sock && mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) >= 0)
		return sock;
	(void)err_set(eb, -errno, "%s", what);
	if (sock)
		mnl_socket_close(sock);
	return NULL;
}

int netfilter_dump(uint16_t type, uint8_t family, const char *table, mnl_cb_t told, void *arg,
	const char *what, struct errbuf *eb)
{
	_Alignas(struct nlmsghdr) char buf[16384];
	struct mnl_socket *sock = netfilter_open(what, eb);
	if (!sock)
		return eb->code;
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = 1;
	struct nfgenmsg *nf = mnl_nlmsg_put_extra_header(h, sizeof(*nf));
	nf->nfgen_family = family;
	nf->version = NFNETLINK_V0;
	if (table)
		mnl_attr_put_strz(h, NFTA_SET_TABLE, table);
	int more = mnl_socket_sendto(sock, h, h->nlmsg_len) < 0 ? MNL_CB_ERROR : MNL_CB_OK;
	while (more > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(sock, buf, sizeof(buf));
		more = n < 0 ? MNL_CB_ERROR
			     : mnl_cb_run(buf, (size_t)n, 1, mnl_socket_get_portid(sock), told, arg);
	}
	int err = more < 0 ? err_set(eb, -errno, "%s", what) : 0;
	mnl_socket_close(sock);
	return err;
}
