#include "simnet/fabric/kernel/trace.h"

#include "mesh/base/ip.h"
#include "mesh/os/loop.h"
#include "simnet/fabric/kernel/netfilter.h"
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SOCKETS_MAX = 256,
	NAMES_MAX = 1024,
	COPY_BYTES = 0xffff, /* whole packets: a cut one is none to ip_parse */
	READ_BYTES = 128 * 1024,
	READS_MAX = 4096, /* a flood must not keep the caller here */
	SOCKET_BYTES = 1 << 20,
};

struct trace {
	struct mnl_socket *socks[SOCKETS_MAX];
	size_t n_socks;
	char *names[NAMES_MAX]; /* every `where` and `rule` ever handed out, each once */
	size_t n_names;
	uint8_t *buf;
};

struct trace *trace_open(void)
{
	struct trace *t = calloc(1, sizeof(*t));
	if (t && (t->buf = malloc(READ_BYTES)))
		return t;
	free(t);
	return NULL;
}

void trace_close(struct trace *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_socks; i++)
		mnl_socket_close(t->socks[i]);
	for (size_t i = 0; i < t->n_names; i++)
		free(t->names[i]);
	free(t->buf);
	free(t);
}

/* ---- listening ---- */

static struct nlmsghdr *trace_begin(char *buf, uint16_t group)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	h->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	h->nlmsg_seq = 1;
	struct nfgenmsg *nf = mnl_nlmsg_put_extra_header(h, sizeof(*nf));
	nf->nfgen_family = AF_UNSPEC;
	nf->version = NFNETLINK_V0;
	nf->res_id = htons(group);
	return h;
}

static int trace_ask(struct mnl_socket *sock, const struct nlmsghdr *h)
{
	char buf[4096];
	if (mnl_socket_sendto(sock, h, h->nlmsg_len) < 0)
		return -errno;
	ssize_t got = mnl_socket_recvfrom(sock, buf, sizeof(buf));
	if (got < 0 || mnl_cb_run(buf, (size_t)got, 1, mnl_socket_get_portid(sock), NULL, NULL) < 0)
		return -errno;
	return 0;
}

static int configure(struct mnl_socket *sock, uint16_t group)
{
	char buf[256];
	struct nlmsghdr *h = trace_begin(buf, group);
	struct nfulnl_msg_config_cmd bind = { .command = NFULNL_CFG_CMD_BIND };
	mnl_attr_put(h, NFULA_CFG_CMD, sizeof(bind), &bind);
	int err = trace_ask(sock, h);
	if (err)
		return err;
	h = trace_begin(buf, group);
	struct nfulnl_msg_config_mode mode = { .copy_range = htonl(COPY_BYTES),
		.copy_mode = NFULNL_COPY_PACKET };
	mnl_attr_put(h, NFULA_CFG_MODE, sizeof(mode), &mode);
	mnl_attr_put_u32(h, NFULA_CFG_QTHRESH, htonl(1));
	return trace_ask(sock, h);
}

int trace_watch(struct trace *t, uint16_t group, struct errbuf *eb)
{
	if (t->n_socks == SOCKETS_MAX)
		return err_say(eb, ERR_TOO_LARGE, "at most %d places can be watched for dropped packets",
			SOCKETS_MAX);
	struct mnl_socket *sock = netfilter_open("open the packet log", eb);
	if (!sock)
		return eb->code;
	int err = configure(sock, group);
	if (err) {
		mnl_socket_close(sock);
		return err_set(eb, err, "listen to the packet log (NFLOG)");
	}
	int bytes = SOCKET_BYTES; /* best effort: a full buffer loses reasons, not packets */
	(void)setsockopt(mnl_socket_get_fd(sock), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	t->socks[t->n_socks++] = sock;
	return 0;
}

/* ---- one entry ---- */

static void split_prefix(const char *prefix, size_t len, struct trace_entry *out)
{
	const char *bar = memchr(prefix, '|', len);
	size_t where = bar ? (size_t)(bar - prefix) : 0, skip = bar ? where + 1 : 0;
	snprintf(out->where, sizeof(out->where), "%.*s", (int)where, prefix);
	snprintf(out->rule, sizeof(out->rule), "%.*s", (int)(len - skip), prefix + skip);
}

static void read_stamp(const struct nlattr *a, struct trace_entry *out)
{
	struct nfulnl_msg_packet_timestamp ts;
	if (mnl_attr_get_payload_len(a) != sizeof(ts))
		return;
	memcpy(&ts, mnl_attr_get_payload(a), sizeof(ts));
	out->unix_ns = be64toh(ts.sec) * 1000000000u + be64toh(ts.usec) * 1000u;
}

bool trace_decode(const void *msg, size_t len, struct trace_entry *out)
{
	struct trace_entry e = { 0 };
	struct ip_view ip = { 0 };
	bool named = false, packet = false;
	if (len < sizeof(struct nfgenmsg))
		return false;
	const struct nlattr *a;
	const uint8_t *attrs = (const uint8_t *)msg + sizeof(struct nfgenmsg);
	for (a = (const void *)attrs;
		mnl_attr_ok(a, (int)(len - (size_t)((const uint8_t *)a - (const uint8_t *)msg)));
		a = mnl_attr_next(a)) {
		const void *p = mnl_attr_get_payload(a);
		size_t n = mnl_attr_get_payload_len(a);
		switch (mnl_attr_get_type(a)) {
		case NFULA_PREFIX:
			split_prefix(p, strnlen(p, n), &e);
			named = n > 0;
			break;
		case NFULA_TIMESTAMP: read_stamp(a, &e); break;
		case NFULA_PAYLOAD: packet = ip_parse(p, n, &ip); break;
		}
	}
	if (!named || !packet)
		return false;
	e.src = (struct endpoint) { .ip = ip.src, .port = ip.sport };
	e.dst = (struct endpoint) { .ip = ip.dst, .port = ip.dport };
	e.proto = ip.proto;
	*out = e;
	return true;
}

/* ---- reading ---- */

static const char *keep(struct trace *t, const char *name)
{
	for (size_t i = 0; i < t->n_names; i++)
		if (!strcmp(t->names[i], name))
			return t->names[i];
	char *copy = t->n_names < NAMES_MAX ? strdup(name) : NULL;
	if (!copy)
		return "";
	return t->names[t->n_names++] = copy;
}

struct reading {
	struct trace *t;
	struct engine_drop *out;
	size_t cap, n;
	int64_t unix_to_mono_ns;
};

static bool same(const struct engine_drop *a, const struct engine_drop *b)
{
	return a->where == b->where && a->rule == b->rule && a->proto == b->proto &&
	       endpoint_equal(&a->src, &b->src) && endpoint_equal(&a->dst, &b->dst);
}

static int entry_read(const struct nlmsghdr *h, void *arg)
{
	struct reading *r = arg;
	struct trace_entry entry;
	if (h->nlmsg_type != (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET) ||
		!trace_decode(mnl_nlmsg_get_payload(h), mnl_nlmsg_get_payload_len(h), &entry))
		return MNL_CB_OK;
	int64_t at = entry.unix_ns ? (int64_t)entry.unix_ns + r->unix_to_mono_ns : (int64_t)clock_now_ns();
	struct engine_drop d = { .at_ns = at > 0 ? (uint64_t)at : 0,
		.where = keep(r->t, entry.where),
		.rule = keep(r->t, entry.rule),
		.src = entry.src,
		.dst = entry.dst,
		.proto = entry.proto,
		.count = 1 };
	if (r->n && same(&r->out[r->n - 1], &d)) {
		r->out[r->n - 1].count++;
		r->out[r->n - 1].last_ns = d.at_ns;
		return MNL_CB_OK;
	}
	if (r->n < r->cap) /* every message is one entry, and none is read when there is no room */
		r->out[r->n++] = d;
	return MNL_CB_OK;
}

static int by_time(const void *a, const void *b)
{
	const struct engine_drop *x = a, *y = b;
	return x->at_ns < y->at_ns ? -1 : x->at_ns > y->at_ns;
}

size_t trace_read(struct trace *t, struct engine_drop *out, size_t cap)
{
	struct reading r = { .t = t, .out = out, .cap = cap };
	r.unix_to_mono_ns = (int64_t)clock_now_ns() - clock_unix_ns();
	for (size_t i = 0; cap && i < t->n_socks; i++) {
		for (int reads = 0; reads < READS_MAX && r.n < cap; reads++) {
			ssize_t got = recv(mnl_socket_get_fd(t->socks[i]), t->buf, READ_BYTES, MSG_DONTWAIT);
			if (got < 0 && (errno == ENOBUFS || errno == EINTR))
				continue;
			if (got <= 0)
				break;
			(void)mnl_cb_run(t->buf, (size_t)got, 0, 0, entry_read, &r);
		}
	}
	if (r.n > 1)
		qsort(out, r.n, sizeof(*out), by_time);
	return r.n;
}
