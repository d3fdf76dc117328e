#include "mesh/os/netlink_inner.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

enum {
	BATCH = 256,		   /* routes in one write: their answers fit the socket's buffer */
	BATCH_BYTES = BATCH * 120, /* one message: header, rtmsg, three addresses, three numbers */
	RULE_PROTOCOL = RTPROT_STATIC,
};

static void put_route(struct nl_request *q, const struct nl_route *r)
{
	static const uint8_t types[] = { [NL_ROUTE_TO] = RTN_UNICAST,
		[NL_ROUTE_THROW] = RTN_THROW,
		[NL_ROUTE_NOWHERE] = RTN_UNREACHABLE };
	struct rtmsg *m = mnl_nlmsg_get_payload(q->msg);
	m->rtm_family = nl_family(&r->dst.ip);
	m->rtm_dst_len = r->dst.bits;
	m->rtm_table = RT_TABLE_UNSPEC;
	m->rtm_protocol = RTPROT_STATIC;
	m->rtm_type = types[r->kind];
	bool on_link = r->kind == NL_ROUTE_TO && addr_is_unspecified(&r->via);
	m->rtm_scope = on_link && m->rtm_family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	struct prefix dst = r->dst;
	prefix_mask(&dst);
	if (dst.bits)
		nl_put_addr(q, RTA_DST, &dst.ip);
	if (!addr_is_unspecified(&r->via))
		nl_put_addr(q, RTA_GATEWAY, &r->via);
	if (!addr_is_unspecified(&r->src))
		nl_put_addr(q, RTA_PREFSRC, &r->src);
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

/* ---- many at once ---- */

enum change { CHANGE_ADD, CHANGE_KEEP, CHANGE_DEL };

static size_t put_message(char *at, const struct nl_route *r, enum change how, uint32_t seq, bool last)
{
	static const uint16_t flags[] = { [CHANGE_ADD] = NLM_F_CREATE | NLM_F_REPLACE,
		[CHANGE_KEEP] = NLM_F_CREATE | NLM_F_EXCL,
		[CHANGE_DEL] = 0 };
	struct nl_request q;
	nl_begin(&q, how == CHANGE_DEL ? RTM_DELROUTE : RTM_NEWROUTE, flags[how], sizeof(struct rtmsg));
	put_route(&q, r);
	if (how == CHANGE_DEL)
		((struct rtmsg *)mnl_nlmsg_get_payload(q.msg))->rtm_scope = RT_SCOPE_NOWHERE;
	if (!last)
		q.msg->nlmsg_flags &= (uint16_t)~NLM_F_ACK;
	q.msg->nlmsg_seq = seq;
	memcpy(at, q.buf, q.msg->nlmsg_len);
	return NLMSG_ALIGN(q.msg->nlmsg_len);
}

static int change_batch(struct nl *n, const struct nl_route *v, size_t count, enum change how, int *codes)
{
	_Alignas(struct nlmsghdr) char buf[BATCH_BYTES];
	size_t len = 0;
	for (size_t i = 0; i < count; i++)
		len += put_message(buf + len, &v[i], how, n->seq + 1 + (uint32_t)i, i == count - 1);
	return nl_transact_all(n, buf, len, count, codes);
}

static int change_all(
	struct nl *n, const struct nl_route *v, size_t count, enum change how, int *codes, struct errbuf *eb)
{
	int batch[BATCH], first = 0;
	char text[PREFIX_TEXT];
	for (size_t at = 0; at < count; at += BATCH) {
		size_t k = count - at < BATCH ? count - at : BATCH;
		int err = change_batch(n, v + at, k, how, batch);
		for (size_t i = at; err && codes && i < count; i++)
			codes[i] = err;
		if (err)
			return err_set(eb, err, how == CHANGE_DEL ? "remove routes" : "add routes");
		for (size_t i = 0; i < k; i++) {
			if (how == CHANGE_KEEP && batch[i] == -EEXIST)
				batch[i] = 0;
			if (codes)
				codes[at + i] = batch[i];
			if (batch[i] && !first)
				first = err_set(eb, batch[i], "%s route %s",
					how == CHANGE_DEL ? "remove" : "add",
					prefix_format(&v[at + i].dst, text));
		}
	}
	return first;
}

int nl_route_add_all(struct nl *n, const struct nl_route *v, size_t count, int *codes, struct errbuf *eb)
{
	return change_all(n, v, count, CHANGE_ADD, codes, eb);
}

int nl_route_keep_all(struct nl *n, const struct nl_route *v, size_t count, int *codes, struct errbuf *eb)
{
	return change_all(n, v, count, CHANGE_KEEP, codes, eb);
}

int nl_route_del_all(struct nl *n, const struct nl_route *v, size_t count, int *codes, struct errbuf *eb)
{
	return change_all(n, v, count, CHANGE_DEL, codes, eb);
}

/* ---- all of a table ---- */

enum { FLUSH_STEP = 64 };
struct table_routes {
	uint32_t table;
	struct nl_route v[FLUSH_STEP];
	size_t n;
};

static struct addr addr_in(const struct nlattr *a, bool v6)
{
	return v6 ? addr_v6_bytes(mnl_attr_get_payload(a)) : addr_v4_bytes(mnl_attr_get_payload(a));
}

static int route_read(const struct nlmsghdr *h, void *arg)
{
	struct table_routes *t = arg;
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	if (h->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(h) < sizeof(*m))
		return MNL_CB_OK;
	bool v6 = m->rtm_family == AF_INET6;
	struct nl_route r = { .dst = { .ip = v6 ? addr_any6 : addr_v4(0), .bits = m->rtm_dst_len } };
	const struct nlattr *a;
	mnl_attr_for_each(a, h, sizeof(*m))
	{
		uint16_t type = mnl_attr_get_type(a), len = mnl_attr_get_payload_len(a);
		if (type == RTA_DST && len == (v6 ? 16 : 4))
			r.dst.ip = addr_in(a, v6);
		else if (type == RTA_TABLE && len == 4)
			r.table = mnl_attr_get_u32(a);
		else if (type == RTA_PRIORITY && len == 4)
			r.metric = mnl_attr_get_u32(a);
	}
	if (r.table == t->table && t->n < FLUSH_STEP)
		t->v[t->n++] = r;
	return MNL_CB_OK;
}

static int list_table(struct nl *n, bool v6, struct table_routes *t)
{
	struct nl_request q;
	struct nl_reply r = { .each = route_read, .arg = t };
	struct rtmsg *m = nl_begin(&q, RTM_GETROUTE, NLM_F_DUMP, sizeof(*m));
	m->rtm_family = v6 ? AF_INET6 : AF_INET;
	t->n = 0;
	return nl_transact(n, &q, &r);
}

/* Of whatever kind. */
static int route_del_any(struct nl *n, const struct nl_route *r, struct errbuf *eb)
{
	struct nl_request q;
	nl_begin(&q, RTM_DELROUTE, 0, sizeof(struct rtmsg));
	put_route(&q, r);
	struct rtmsg *m = mnl_nlmsg_get_payload(q.msg);
	m->rtm_scope = RT_SCOPE_NOWHERE;
	m->rtm_type = RTN_UNSPEC;
	return nl_finish(n, &q, eb, "empty a routing table");
}

int nl_table_flush(struct nl *n, uint32_t table, struct errbuf *eb)
{
	struct table_routes t = { .table = table };
	int err = 0;
	for (int v6 = 0; v6 < 2; v6++) {
		do {
			if (list_table(n, v6, &t) != 0)
				break; /* a machine without this family */
			for (size_t i = 0; !err && i < t.n; i++)
				err = route_del_any(n, &t.v[i], eb);
		} while (!err && t.n);
	}
	return err;
}

/* ---- look-up ---- */

static int way_read(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *a;
	struct nl_route *out = arg;
	if (h->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(h) < sizeof(struct rtmsg))
		return MNL_CB_OK;
	mnl_attr_for_each(a, h, sizeof(struct rtmsg))
	{
		if (mnl_attr_get_type(a) == RTA_OIF && mnl_attr_get_payload_len(a) == 4)
			out->ifindex = (int)mnl_attr_get_u32(a);
		if (mnl_attr_get_type(a) != RTA_GATEWAY)
			continue;
		if (mnl_attr_get_payload_len(a) == 4)
			out->via = addr_v4_bytes(mnl_attr_get_payload(a));
		else if (mnl_attr_get_payload_len(a) == 16)
			out->via = addr_v6_bytes(mnl_attr_get_payload(a));
	}
	return MNL_CB_OK;
}

int nl_route_get(struct nl *n, const struct addr *to, uint32_t mark, struct nl_route *out)
{
	struct nl_request q;
	struct nl_reply r = { .each = way_read, .arg = out };
	struct rtmsg *m = nl_begin(&q, RTM_GETROUTE, 0, sizeof(*m));
	m->rtm_family = nl_family(to);
	m->rtm_dst_len = addr_is_v4(to) ? 32 : 128;
	nl_put_addr(&q, RTA_DST, to);
	if (mark)
		mnl_attr_put_u32(q.msg, RTA_MARK, mark);
	*out = (struct nl_route) { .dst = prefix_of(to) };
	return nl_transact(n, &q, &r);
}

/* ---- rules ---- */

static void put_rule(struct nl_request *q, const struct nl_rule *r)
{
	struct fib_rule_hdr *h = mnl_nlmsg_get_payload(q->msg);
	h->family = r->v6 ? AF_INET6 : AF_INET;
	h->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(q->msg, FRA_TABLE, r->table);
	mnl_attr_put_u32(q->msg, FRA_PRIORITY, r->priority);
	mnl_attr_put_u8(q->msg, FRA_PROTOCOL, RULE_PROTOCOL);
	if (!r->mask)
		return;
	h->flags |= FIB_RULE_INVERT;
	mnl_attr_put_u32(q->msg, FRA_FWMARK, r->but);
	mnl_attr_put_u32(q->msg, FRA_FWMASK, r->mask);
}

int nl_rule_add(struct nl *n, const struct nl_rule *r, struct errbuf *eb)
{
	struct nl_request q;
	nl_begin(&q, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct fib_rule_hdr));
	put_rule(&q, r);
	int err = nl_finish(n, &q, eb, "add routing rule");
	return err == -EEXIST ? 0 : err;
}

int nl_rule_del(struct nl *n, const struct nl_rule *r, struct errbuf *eb)
{
	struct nl_request q;
	nl_begin(&q, RTM_DELRULE, 0, sizeof(struct fib_rule_hdr));
	put_rule(&q, r);
	int err = nl_finish(n, &q, eb, "remove routing rule");
	return err == -ENOENT ? 0 : err;
}
