#include "mesh/os/netlink_inner.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

static void put_route(struct nl_request *q, const struct nl_route *r)
{
	struct rtmsg *m = mnl_nlmsg_get_payload(q->msg);
	m->rtm_family = nl_family(&r->dst.ip);
	m->rtm_dst_len = r->dst.bits;
	m->rtm_table = RT_TABLE_UNSPEC;
	m->rtm_protocol = RTPROT_STATIC;
	m->rtm_type = RTN_UNICAST;
	bool on_link = addr_is_unspecified(&r->via);
	m->rtm_scope = on_link && m->rtm_family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	struct prefix dst = r->dst;
	prefix_mask(&dst);
	if (dst.bits)
		nl_put_addr(q, RTA_DST, &dst.ip);
	if (!on_link)
		nl_put_addr(q, RTA_GATEWAY, &r->via);
	if (r->ifindex)
		mnl_attr_put_u32(q->msg, RTA_OIF, (uint32_t)r->ifindex);
	if (r->metric)
		mnl_attr_put_u32(q->msg, RTA_PRIORITY, r->metric);
	mnl_attr_put_u32(q->msg, RTA_TABLE, r->table ? r->table : RT_TABLE_MAIN);
}

static int add_route(struct nl *n, const struct nl_route *r, int flag, struct errbuf *eb)
{
	struct nl_request q;
	nl_begin(&q, RTM_NEWROUTE, NLM_F_CREATE | flag, sizeof(struct rtmsg));
	put_route(&q, r);
	char text[PREFIX_TEXT], what[PREFIX_TEXT + 16] = "add route ";
	return nl_finish(n, &q, eb, strcat(what, prefix_format(&r->dst, text)));
}

int nl_route_add(struct nl *n, const struct nl_route *r, struct errbuf *eb)
{
	return add_route(n, r, NLM_F_REPLACE, eb);
}

int nl_route_keep(struct nl *n, const struct nl_route *r, struct errbuf *eb)
{
	int err = add_route(n, r, NLM_F_EXCL, eb);
	return err == -EEXIST ? 0 : err;
}

int nl_route_del(struct nl *n, const struct nl_route *r, struct errbuf *eb)
{
	struct nl_request q;
	nl_begin(&q, RTM_DELROUTE, 0, sizeof(struct rtmsg));
	put_route(&q, r);
	struct rtmsg *m = mnl_nlmsg_get_payload(q.msg);
	m->rtm_scope = RT_SCOPE_NOWHERE; /* any */
	char text[PREFIX_TEXT], what[PREFIX_TEXT + 16] = "remove route ";
	return nl_finish(n, &q, eb, strcat(what, prefix_format(&r->dst, text)));
}
