#include "simnet/fabric/kernel/kernel.h"

#include "simnet/fabric/kernel/netfilter.h"
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdio.h>
#include <string.h>

/* What a router remembers: its table of connections, as the kernel gives it (nfnetlink_conntrack.h). An entry has the packet as
 * it came first, and the packet that would answer it, which shows what was translated. */
struct tuple {
	struct endpoint src, dst;
	uint8_t proto;
};

static void read_nest(const struct nlattr *nest, const struct nlattr **out, int max)
{
	const struct nlattr *a;
	mnl_attr_for_each_nested(a, nest)
	{
		if (mnl_attr_get_type(a) <= max)
			out[mnl_attr_get_type(a)] = a;
	}
}

static struct addr table_address(const struct nlattr *v4, const struct nlattr *v6)
{
	if (v4 && mnl_attr_get_payload_len(v4) == 4)
		return addr_v4_bytes(mnl_attr_get_payload(v4));
	if (v6 && mnl_attr_get_payload_len(v6) == 16)
		return addr_v6_bytes(mnl_attr_get_payload(v6));
	return (struct addr) { 0 };
}

static uint16_t table_port(const struct nlattr *a)
{
	return a && mnl_attr_get_payload_len(a) == 2 ? ntohs(mnl_attr_get_u16(a)) : 0;
}

static struct tuple read_tuple(const struct nlattr *a)
{
	const struct nlattr *t[CTA_TUPLE_MAX + 1] = { NULL }, *ip[CTA_IP_MAX + 1] = { NULL },
					       *proto[CTA_PROTO_MAX + 1] = { NULL };
	struct tuple out = { 0 };
	if (a)
		read_nest(a, t, CTA_TUPLE_MAX);
	if (t[CTA_TUPLE_IP])
		read_nest(t[CTA_TUPLE_IP], ip, CTA_IP_MAX);
	if (t[CTA_TUPLE_PROTO])
		read_nest(t[CTA_TUPLE_PROTO], proto, CTA_PROTO_MAX);
	out.src.ip = table_address(ip[CTA_IP_V4_SRC], ip[CTA_IP_V6_SRC]);
	out.dst.ip = table_address(ip[CTA_IP_V4_DST], ip[CTA_IP_V6_DST]);
	if (proto[CTA_PROTO_NUM] && mnl_attr_get_payload_len(proto[CTA_PROTO_NUM]) == 1)
		out.proto = mnl_attr_get_u8(proto[CTA_PROTO_NUM]);
	out.src.port =
		table_port(proto[CTA_PROTO_SRC_PORT] ? proto[CTA_PROTO_SRC_PORT] : proto[CTA_PROTO_ICMP_ID]);
	out.dst.port = table_port(proto[CTA_PROTO_DST_PORT]);
	return out;
}

static const char *protocol_word(uint8_t proto)
{
	return proto == IPPROTO_TCP ? "tcp" : proto == IPPROTO_UDP ? "udp" : "icmp";
}

static int entry_told(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *top[CTA_MAX + 1] = { NULL }, *a;
	char from[ENDPOINT_TEXT], to[ENDPOINT_TEXT], as[ENDPOINT_TEXT], inner[ENDPOINT_TEXT];
	struct buf *out = arg;
	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) <= CTA_MAX)
			top[mnl_attr_get_type(a)] = a;
	}
	struct tuple one = read_tuple(top[CTA_TUPLE_ORIG]), answer = read_tuple(top[CTA_TUPLE_REPLY]);
	uint32_t left = top[CTA_TIMEOUT] && mnl_attr_get_payload_len(top[CTA_TIMEOUT]) == 4
				? ntohl(mnl_attr_get_u32(top[CTA_TIMEOUT]))
				: 0;
	uint32_t status = top[CTA_STATUS] && mnl_attr_get_payload_len(top[CTA_STATUS]) == 4
				  ? ntohl(mnl_attr_get_u32(top[CTA_STATUS]))
				  : 0;
	bool ok = buf_printf(out, "%s %s -> %s", protocol_word(one.proto), endpoint_format(&one.src, from),
		endpoint_format(&one.dst, to));
	if (ok && !endpoint_equal(&answer.dst, &one.src) && one.dst.port)
		ok = buf_printf(out, ", outside as %s", endpoint_format(&answer.dst, as));
	if (ok && !endpoint_equal(&answer.src, &one.dst) && one.dst.port)
		ok = buf_printf(out, ", handed to %s", endpoint_format(&answer.src, inner));
	ok = ok && buf_printf(out, "%s, %u s left\n", status & IPS_SEEN_REPLY ? "" : ", not answered", left);
	return ok ? MNL_CB_OK : MNL_CB_STOP;
}

int kernel_table(struct engine *e, int router, struct buf *out, struct errbuf *eb)
{
	char what[80];
	snprintf(what, sizeof(what), "read the flows of router %s", e->s->routers[router].name);
	int err = netns_enter(kernel_router_net(e, (size_t)router), eb);
	if (!err)
		err = netfilter_dump(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, AF_UNSPEC, NULL,
			entry_told, out, what, eb);
	netns_return(hosts_home(e->hosts));
	return err;
}
