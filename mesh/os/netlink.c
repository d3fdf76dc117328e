#include "mesh/os/netlink_inner.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct nl *nl_open(struct errbuf *eb)
{
	struct nl *n = calloc(1, sizeof(*n));
	if (!n) {
		err_set(eb, -ENOMEM, "open rtnetlink");
		return NULL;
	}
	n->sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	n->ctl = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (!n->sock || n->ctl < 0 || mnl_socket_bind(n->sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		err_set(eb, -errno, "open rtnetlink");
		nl_close(n);
		return NULL;
	}
	int on = 1; /* older kernels without these simply explain less */
	(void)mnl_socket_setsockopt(n->sock, NETLINK_EXT_ACK, &on, sizeof(on));
	(void)mnl_socket_setsockopt(n->sock, NETLINK_CAP_ACK, &on, sizeof(on));
	return n;
}

void nl_close(struct nl *n)
{
	if (!n)
		return;
	if (n->sock)
		mnl_socket_close(n->sock);
	if (n->ctl >= 0)
		close(n->ctl);
	free(n);
}

void *nl_begin(struct nl_request *r, uint16_t type, uint16_t flags, size_t body)
{
	r->msg = mnl_nlmsg_put_header(r->buf);
	r->msg->nlmsg_type = type;
	r->msg->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	return mnl_nlmsg_put_extra_header(r->msg, body);
}

static struct ifinfomsg *begin_link(struct nl_request *r, uint16_t type, uint16_t flags, int ifindex)
{
	struct ifinfomsg *ifi = nl_begin(r, type, flags, sizeof(*ifi));
	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_index = ifindex;
	return ifi;
}

uint8_t nl_family(const struct addr *a)
{
	return addr_is_v4(a) ? AF_INET : AF_INET6;
}

void nl_put_addr(struct nl_request *r, uint16_t type, const struct addr *a)
{
	if (addr_is_v4(a))
		mnl_attr_put(r->msg, type, 4, a->b + 12);
	else
		mnl_attr_put(r->msg, type, 16, a->b);
}

static int answer_read(const struct nlmsghdr *h, void *arg)
{
	struct nl_reply *r = arg;
	return r->each ? r->each(h, r->arg) : MNL_CB_OK;
}

static int ack_read(const struct nlmsghdr *h, void *arg)
{
	struct nl_reply *r = arg;
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);
	if (mnl_nlmsg_get_payload_len(h) < sizeof(*e)) {
		r->err = -EBADMSG;
		return MNL_CB_STOP;
	}
	r->err = e->error;
	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return MNL_CB_STOP;
	size_t skip = sizeof(*e); /* an uncapped error repeats the request's body first */
	if (e->error && !(h->nlmsg_flags & NLM_F_CAPPED))
		skip += mnl_nlmsg_get_payload_len(&e->msg);
	const struct nlattr *a;
	mnl_attr_for_each(a, h, (unsigned)skip)
	{
		if (mnl_attr_get_type(a) != NLMSGERR_ATTR_MSG ||
			mnl_attr_validate(a, MNL_TYPE_NUL_STRING) < 0)
			continue;
		strncpy(r->text, mnl_attr_get_str(a), sizeof(r->text) - 1);
	}
	return MNL_CB_STOP;
}

/* One read: its length, or a negative code. */
static ssize_t receive(struct nl *n, char buf[static NL_REPLY_MAX])
{
	ssize_t got;
	do
		got = mnl_socket_recvfrom(n->sock, buf, NL_REPLY_MAX);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

int nl_transact(struct nl *n, struct nl_request *q, struct nl_reply *r)
{
	static const mnl_cb_t on_control[NLMSG_ERROR + 1] = { [NLMSG_ERROR] = ack_read };
	_Alignas(struct nlmsghdr) char buf[NL_REPLY_MAX];
	mnl_cb_t control[ARRAY_LEN(on_control)];
	memcpy(control, on_control, sizeof(control));
	q->msg->nlmsg_seq = ++n->seq;
	if (mnl_socket_sendto(n->sock, q->msg, q->msg->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		ssize_t got = receive(n, buf);
		if (got < 0)
			return (int)got;
		int more = mnl_cb_run2(buf, (size_t)got, n->seq, mnl_socket_get_portid(n->sock), answer_read,
			r, control, ARRAY_LEN(control));
		if (more < 0 && errno == ESRCH)
			continue; /* the tail of an earlier answer */
		if (more < 0)
			return -errno;
		if (more == MNL_CB_STOP)
			return r->err;
	}
}

/* The codes of the messages in one read; true once the last has been answered. */
static bool codes_read(const char *buf, int len, uint32_t first, size_t count, int *codes)
{
	bool last = false;
	for (const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)buf; mnl_nlmsg_ok(h, len);
		h = mnl_nlmsg_next(h, &len)) {
		const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);
		uint32_t at = h->nlmsg_seq - first;
		if (h->nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(h) < sizeof(*e) || at >= count)
			continue;
		codes[at] = e->error;
		last = last || at == count - 1;
	}
	return last;
}

int nl_transact_all(struct nl *n, const void *requests, size_t len, size_t count, int *codes)
{
	_Alignas(struct nlmsghdr) char buf[NL_REPLY_MAX];
	uint32_t first = n->seq + 1;
	memset(codes, 0, count * sizeof(*codes));
	n->seq += (unsigned)count;
	if (mnl_socket_sendto(n->sock, requests, len) < 0)
		return -errno;
	for (;;) {
		ssize_t got = receive(n, buf);
		if (got < 0)
			return (int)got;
		if (codes_read(buf, (int)got, first, count, codes))
			return 0;
	}
}

int nl_finish(struct nl *n, struct nl_request *q, struct errbuf *eb, const char *what)
{
	struct nl_reply r = { 0 };
	int err = nl_transact(n, q, &r);
	if (!err)
		return 0;
	return r.text[0] ? err_set(eb, err, "%s (%s)", what, r.text) : err_set(eb, err, "%s", what);
}

/* ---- links ---- */

static int index_read(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
	if (mnl_nlmsg_get_payload_len(h) >= sizeof(*ifi))
		*(int *)arg = ifi->ifi_index;
	return MNL_CB_OK;
}

int nl_link_index(struct nl *n, const char *name)
{
	if (strlen(name) >= IFNAMSIZ)
		return -ENAMETOOLONG;
	struct nl_request q;
	int index = 0;
	struct nl_reply r = { .each = index_read, .arg = &index };
	begin_link(&q, RTM_GETLINK, 0, 0);
	mnl_attr_put_strz(q.msg, IFLA_IFNAME, name);
	int err = nl_transact(n, &q, &r);
	if (err)
		return err;
	return index > 0 ? index : -ENODEV;
}

int nl_link_up(struct nl *n, int ifindex, bool up, struct errbuf *eb)
{
	struct nl_request q;
	struct ifinfomsg *ifi = begin_link(&q, RTM_NEWLINK, 0, ifindex);
	ifi->ifi_change = IFF_UP;
	ifi->ifi_flags = up ? IFF_UP : 0;
	return nl_finish(n, &q, eb, up ? "raise interface" : "take interface down");
}

int nl_link_settle(struct nl *n, const char *name, struct errbuf *eb)
{
	struct ethtool_value v = { .cmd = ETHTOOL_GLINK };
	struct ifreq ifr = { .ifr_data = (char *)&v };
	if (strlen(name) >= IFNAMSIZ)
		return err_set(eb, -ENAMETOOLONG, "ask %s for its link", name);
	strcpy(ifr.ifr_name, name);
	return ioctl(n->ctl, SIOCETHTOOL, &ifr) < 0 ? err_set(eb, -errno, "ask %s for its link", name) : 0;
}

int nl_link_mtu(struct nl *n, int ifindex, uint32_t mtu, struct errbuf *eb)
{
	struct nl_request q;
	begin_link(&q, RTM_NEWLINK, 0, ifindex);
	mnl_attr_put_u32(q.msg, IFLA_MTU, mtu);
	return nl_finish(n, &q, eb, "set interface MTU");
}

int nl_link_del(struct nl *n, int ifindex, struct errbuf *eb)
{
	struct nl_request q;
	begin_link(&q, RTM_DELLINK, 0, ifindex);
	return nl_finish(n, &q, eb, "delete interface");
}

int nl_link_master(struct nl *n, int ifindex, int bridge_ifindex, struct errbuf *eb)
{
	struct nl_request q;
	begin_link(&q, RTM_NEWLINK, 0, ifindex);
	mnl_attr_put_u32(q.msg, IFLA_MASTER, (uint32_t)bridge_ifindex);
	return nl_finish(n, &q, eb, "put interface into bridge");
}

int nl_bridge_add(struct nl *n, const char *name, struct errbuf *eb)
{
	struct nl_request q;
	struct ifinfomsg *ifi = begin_link(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);
	ifi->ifi_flags = ifi->ifi_change = IFF_UP;
	mnl_attr_put_strz(q.msg, IFLA_IFNAME, name);
	struct nlattr *info = mnl_attr_nest_start(q.msg, IFLA_LINKINFO);
	mnl_attr_put_strz(q.msg, IFLA_INFO_KIND, "bridge");
	mnl_attr_nest_end(q.msg, info);
	return nl_finish(n, &q, eb, "add bridge");
}

int nl_veth_add(struct nl *n, const struct nl_veth *v, struct errbuf *eb)
{
	if (strlen(v->name) >= IFNAMSIZ || strlen(v->peer) >= IFNAMSIZ)
		return err_say(eb, -ENAMETOOLONG, "interface name %s or %s is longer than 15 characters",
			v->name, v->peer);
	struct nl_request q;
	struct ifinfomsg *ifi = begin_link(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);
	if (v->up)
		ifi->ifi_flags = ifi->ifi_change = IFF_UP;
	mnl_attr_put_strz(q.msg, IFLA_IFNAME, v->name);
	if (v->mac)
		mnl_attr_put(q.msg, IFLA_ADDRESS, 6, v->mac);
	if (v->master)
		mnl_attr_put_u32(q.msg, IFLA_MASTER, (uint32_t)v->master);
	struct nlattr *info = mnl_attr_nest_start(q.msg, IFLA_LINKINFO);
	mnl_attr_put_strz(q.msg, IFLA_INFO_KIND, "veth");
	struct nlattr *data = mnl_attr_nest_start(q.msg, IFLA_INFO_DATA);
	struct nlattr *peer = mnl_attr_nest_start(q.msg, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(q.msg, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(q.msg, IFLA_IFNAME, v->peer);
	if (v->peer_mac)
		mnl_attr_put(q.msg, IFLA_ADDRESS, 6, v->peer_mac);
	if (v->peer_ns >= 0)
		mnl_attr_put_u32(q.msg, IFLA_NET_NS_FD, (uint32_t)v->peer_ns);
	mnl_attr_nest_end(q.msg, peer);
	mnl_attr_nest_end(q.msg, data);
	mnl_attr_nest_end(q.msg, info);
	return nl_finish(n, &q, eb, "add veth pair");
}

static int mac_read(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *a;
	mnl_attr_for_each(a, h, sizeof(struct ifinfomsg))
	{
		if (mnl_attr_get_type(a) == IFLA_ADDRESS && mnl_attr_get_payload_len(a) == 6)
			memcpy(arg, mnl_attr_get_payload(a), 6);
	}
	return MNL_CB_OK;
}

int nl_link_mac(struct nl *n, int ifindex, uint8_t mac[static 6])
{
	static const uint8_t none[6];
	struct nl_request q;
	struct nl_reply r = { .each = mac_read, .arg = mac };
	memset(mac, 0, 6);
	begin_link(&q, RTM_GETLINK, 0, ifindex);
	int err = nl_transact(n, &q, &r);
	if (err)
		return err;
	return memcmp(mac, none, 6) ? 0 : -ENODATA;
}

/* ---- addresses, neighbours ---- */

static void put_ifaddr(struct nl_request *q, int ifindex, const struct prefix *p)
{
	struct ifaddrmsg *m = mnl_nlmsg_get_payload(q->msg);
	m->ifa_family = nl_family(&p->ip);
	m->ifa_prefixlen = p->bits;
	m->ifa_index = (uint32_t)ifindex;
	m->ifa_flags = m->ifa_family == AF_INET6 ? IFA_F_NODAD : 0;
	nl_put_addr(q, IFA_LOCAL, &p->ip);
	nl_put_addr(q, IFA_ADDRESS, &p->ip);
}

static int add_address(struct nl *n, int ifindex, const struct prefix *p, const struct ifa_cacheinfo *life,
	struct errbuf *eb)
{
	struct nl_request q;
	nl_begin(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifaddrmsg));
	put_ifaddr(&q, ifindex, p);
	if (life)
		mnl_attr_put(q.msg, IFA_CACHEINFO, sizeof(*life), life);
	char text[PREFIX_TEXT], what[PREFIX_TEXT + 16] = "add address ";
	int err = nl_finish(n, &q, eb, strcat(what, prefix_format(p, text)));
	return err == -EEXIST ? 0 : err;
}

int nl_addr_add(struct nl *n, int ifindex, const struct prefix *p, struct errbuf *eb)
{
	return add_address(n, ifindex, p, NULL, eb);
}

int nl_addr_add_deprecated(struct nl *n, int ifindex, const struct prefix *p, struct errbuf *eb)
{
	const struct ifa_cacheinfo life = { .ifa_prefered = 0, .ifa_valid = UINT32_MAX };
	return add_address(n, ifindex, p, &life, eb);
}

int nl_addr_del(struct nl *n, int ifindex, const struct prefix *p, struct errbuf *eb)
{
	struct nl_request q;
	nl_begin(&q, RTM_DELADDR, 0, sizeof(struct ifaddrmsg));
	put_ifaddr(&q, ifindex, p);
	char text[PREFIX_TEXT], what[PREFIX_TEXT + 16] = "remove address ";
	return nl_finish(n, &q, eb, strcat(what, prefix_format(p, text)));
}

int nl_neigh_add(
	struct nl *n, int ifindex, const struct addr *ip, const uint8_t mac[static 6], struct errbuf *eb)
{
	struct nl_request q;
	struct ndmsg *m = nl_begin(&q, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*m));
	m->ndm_family = nl_family(ip);
	m->ndm_ifindex = ifindex;
	m->ndm_state = NUD_PERMANENT;
	nl_put_addr(&q, NDA_DST, ip);
	mnl_attr_put(q.msg, NDA_LLADDR, 6, mac);
	return nl_finish(n, &q, eb, "add neighbour");
}

/* ---- listing ---- */

struct listing {
	struct nl_addr *out; /* filled to cap; n counts all */
	size_t cap, n;
};

static int address_read(const struct nlmsghdr *h, void *arg)
{
	struct listing *l = arg;
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	if (h->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(h) < sizeof(*m))
		return MNL_CB_OK;
	size_t want = m->ifa_family == AF_INET ? 4 : 16;
	if (m->ifa_family != AF_INET && m->ifa_family != AF_INET6)
		return MNL_CB_OK;
	const uint8_t *local = NULL, *address = NULL; /* on point-to-point links ADDRESS is the other end */
	const struct nlattr *a;
	mnl_attr_for_each(a, h, sizeof(*m))
	{
		if (mnl_attr_get_payload_len(a) != want)
			continue;
		if (mnl_attr_get_type(a) == IFA_LOCAL)
			local = mnl_attr_get_payload(a);
		else if (mnl_attr_get_type(a) == IFA_ADDRESS)
			address = mnl_attr_get_payload(a);
	}
	const uint8_t *ip = local ? local : address;
	if (!ip)
		return MNL_CB_OK;
	if (l->n < l->cap)
		l->out[l->n] = (struct nl_addr) {
			.ifindex = (int)m->ifa_index,
			.p = { .ip = want == 4 ? addr_v4_bytes(ip) : addr_v6_bytes(ip),
				.bits = m->ifa_prefixlen },
		};
	l->n++;
	return MNL_CB_OK;
}

static int link_name_read(const struct nlmsghdr *h, void *arg)
{
	struct listing *l = arg;
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
	if (h->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(h) < sizeof(*ifi))
		return MNL_CB_OK;
	const char *name = "";
	const struct nlattr *a;
	mnl_attr_for_each(a, h, sizeof(*ifi))
	{
		if (mnl_attr_get_type(a) == IFLA_IFNAME && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0)
			name = mnl_attr_get_str(a);
	}
	for (size_t i = 0; i < l->n && i < l->cap; i++) {
		if (l->out[i].ifindex != ifi->ifi_index)
			continue;
		strncpy(l->out[i].ifname, name, sizeof(l->out[i].ifname) - 1);
		l->out[i].up = ifi->ifi_flags & IFF_UP;
	}
	return MNL_CB_OK;
}

int nl_addr_list(struct nl *n, struct nl_addr *out, size_t cap, struct errbuf *eb)
{
	struct listing l = { .out = out, .cap = cap };
	struct nl_reply r = { .each = address_read, .arg = &l };
	struct nl_request q;
	struct ifaddrmsg *m = nl_begin(&q, RTM_GETADDR, NLM_F_DUMP, sizeof(*m));
	m->ifa_family = AF_UNSPEC;
	int err = nl_transact(n, &q, &r);
	if (err)
		return err_set(eb, err, "list addresses");
	r = (struct nl_reply) { .each = link_name_read, .arg = &l };
	begin_link(&q, RTM_GETLINK, NLM_F_DUMP, 0);
	if ((err = nl_transact(n, &q, &r)))
		return err_set(eb, err, "list interfaces");
	return (int)l.n;
}

/* Text of an attribute that need not end in a NUL, cut to out[cap]. */
static void text_read(const struct nlattr *a, char *out, size_t cap)
{
	size_t n = strnlen(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));
	n = n < cap ? n : cap - 1;
	memcpy(out, mnl_attr_get_payload(a), n);
	out[n] = 0;
}

struct links {
	struct nl_link *out; /* filled to cap; n counts all */
	size_t cap, n;
};

static int link_read(const struct nlmsghdr *h, void *arg)
{
	struct links *l = arg;
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
	const struct nlattr *a, *b;
	if (h->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(h) < sizeof(*ifi))
		return MNL_CB_OK;
	struct nl_link link = { .ifindex = ifi->ifi_index, .up = ifi->ifi_flags & IFF_UP };
	mnl_attr_for_each(a, h, sizeof(*ifi))
	{
		if (mnl_attr_get_type(a) == IFLA_IFNAME)
			text_read(a, link.name, sizeof(link.name));
		else if (mnl_attr_get_type(a) == IFLA_MASTER && mnl_attr_get_payload_len(a) == 4)
			link.master = (int)mnl_attr_get_u32(a);
		if (mnl_attr_get_type(a) != IFLA_LINKINFO)
			continue;
		mnl_attr_for_each_nested(b, a)
		{
			if (mnl_attr_get_type(b) == IFLA_INFO_KIND)
				text_read(b, link.kind, sizeof(link.kind));
		}
	}
	if (l->n < l->cap)
		l->out[l->n] = link;
	l->n++;
	return MNL_CB_OK;
}

int nl_link_list(struct nl *n, struct nl_link *out, size_t cap, struct errbuf *eb)
{
	struct links l = { .out = out, .cap = cap };
	struct nl_reply r = { .each = link_read, .arg = &l };
	struct nl_request q;
	begin_link(&q, RTM_GETLINK, NLM_F_DUMP, 0);
	int err = nl_transact(n, &q, &r);
	return err ? err_set(eb, err, "list interfaces") : (int)l.n;
}
