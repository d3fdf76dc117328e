#include "mesh/os/nft.h"
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* NEWS_QUEUE: one load of ten thousand peers is news of every one of them, in one burst. */
enum {
	REQUEST_MAX = 512,
	ELEMENT_MAX = 4 + 4 + 4 + 16,
	CHANGE_MAX = 16384,
	LISTS_MAX = 4,
	NEWS_MAX = 16384,
	NEWS_QUEUE = 16 << 20
};

/* The first attribute of every message about a table, or about what is in one, is the table's name. */
static_assert(NFTA_TABLE_NAME == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 && NFTA_SET_TABLE == 1,
	"one attribute for all");

/* The names in a request are ours, and short: what is not an element fits beside them. */
static_assert(NFT_ELEMENTS_MAX * ELEMENT_MAX + (LISTS_MAX + 2) * REQUEST_MAX <= CHANGE_MAX,
	"all fit in one message");

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

struct nft_line {
	struct mnl_socket *socket;
};

struct nft_line *nft_line_open(struct errbuf *eb)
{
	struct nft_line *l = calloc(1, sizeof(*l));
	if (l)
		l->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (l && l->socket && mnl_socket_bind(l->socket, 0, MNL_SOCKET_AUTOPID) == 0)
		return l;
	err_set(eb, -errno, "open a socket to nftables");
	nft_line_close(l);
	return NULL;
}

void nft_line_close(struct nft_line *l)
{
	if (l && l->socket)
		mnl_socket_close(l->socket);
	free(l);
}

/* One write, then answers until an acknowledgement or an error. */
static int ask_by(struct mnl_socket *s, const void *p, size_t len, mnl_cb_t each, void *arg)
{
	_Alignas(struct nlmsghdr) char buf[NEWS_MAX];
	int err = mnl_socket_sendto(s, p, len) < 0 ? -errno : 0;
	for (int more = MNL_CB_OK; !err && more > MNL_CB_STOP;) {
		ssize_t n = mnl_socket_recvfrom(s, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		more = n < 0 ? -1 : mnl_cb_run(buf, (size_t)n, 0, mnl_socket_get_portid(s), each, arg);
		if (more < 0)
			err = -errno;
	}
	return err;
}

/* l NULL: by a socket of its own. */
static int nft_ask(struct nft_line *l, const void *p, size_t len, mnl_cb_t each, void *arg)
{
	struct errbuf eb = { 0 };
	struct nft_line *own = l ? NULL : nft_line_open(&eb);
	int err = l || own ? ask_by((l ? l : own)->socket, p, len, each, arg) : eb.code;
	nft_line_close(own);
	return err;
}

int nft_table_size(struct nft_line *l, const char *table, struct errbuf *eb)
{
	_Alignas(struct nlmsghdr) char buf[REQUEST_MAX];
	int size = 0;
	struct nlmsghdr *h = put_request(buf, nft_type(NFT_MSG_GETTABLE), NLM_F_ACK, 0);
	mnl_attr_put_strz(h, NFTA_TABLE_NAME, table);
	int err = nft_ask(l, buf, h->nlmsg_len, size_read, &size);
	return err ? err_set(eb, err, "look for the nftables table %s", table) : size;
}

/* One message for one list. The last one of a transaction asks for the answer: errors come for any of them. */
static struct nlmsghdr *put_elements(char *at, const char *table, const struct nft_elements *l, bool last)
{
	uint16_t type = l->remove ? NFT_MSG_DELSETELEM : NFT_MSG_NEWSETELEM;
	uint16_t flags = (uint16_t)((last ? NLM_F_ACK : 0) | (l->remove ? 0 : NLM_F_CREATE));
	struct nlmsghdr *h = put_request(at, nft_type(type), flags, 0);
	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, table);
	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, l->set);
	struct nlattr *all = mnl_attr_nest_start(h, NFTA_SET_ELEM_LIST_ELEMENTS);
	for (size_t i = 0; i < l->n; i++) {
		struct nlattr *one = mnl_attr_nest_start(h, NFTA_LIST_ELEM);
		struct nlattr *key = mnl_attr_nest_start(h, NFTA_SET_ELEM_KEY);
		mnl_attr_put(h, NFTA_DATA_VALUE, l->key_len, (const char *)l->key + i * l->stride);
		mnl_attr_nest_end(h, key);
		mnl_attr_nest_end(h, one);
	}
	mnl_attr_nest_end(h, all);
	return h;
}

int nft_elements_change(
	struct nft_line *l, const char *table, const struct nft_elements *v, size_t n, struct errbuf *eb)
{
	_Alignas(struct nlmsghdr) char buf[CHANGE_MAX];
	char *at = buf;
	size_t total = 0, last = n;
	for (size_t i = 0; i < n; i++) {
		total += v[i].n;
		if (v[i].n)
			last = i;
	}
	if (n > LISTS_MAX || total > NFT_ELEMENTS_MAX)
		return err_set(eb, -E2BIG, "change the nftables table %s", table);
	if (!total)
		return 0;
	at += NLMSG_ALIGN(put_request(at, NFNL_MSG_BATCH_BEGIN, 0, NFNL_SUBSYS_NFTABLES)->nlmsg_len);
	for (size_t i = 0; i <= last; i++)
		if (v[i].n)
			at += NLMSG_ALIGN(put_elements(at, table, &v[i], i == last)->nlmsg_len);
	at += NLMSG_ALIGN(put_request(at, NFNL_MSG_BATCH_END, 0, NFNL_SUBSYS_NFTABLES)->nlmsg_len);
	int err = nft_ask(l, buf, (size_t)(at - buf), NULL, NULL);
	return err ? err_set(eb, err, "change the nftables table %s", table) : 0;
}

struct barrier_look {
	struct nft_barrier *out;
	const char *ifname;
	bool found, named;
};

static const char *text_of(const struct nlattr *a)
{
	return mnl_attr_validate(a, MNL_TYPE_NUL_STRING) < 0 ? "" : mnl_attr_get_str(a);
}

static bool hooks_forward(const struct nlattr *hook)
{
	const struct nlattr *a;
	mnl_attr_for_each_nested(a, hook)
	{
		if (mnl_attr_get_type(a) == NFTA_HOOK_HOOKNUM && mnl_attr_get_payload_len(a) == 4)
			return ntohl(mnl_attr_get_u32(a)) == NF_INET_FORWARD;
	}
	return false;
}

/* The first table with such a chain. */
static int barrier_chain(const struct nlmsghdr *h, void *arg)
{
	struct barrier_look *l = arg;
	const struct nlattr *a;
	const char *table = "";
	bool forward = false, drops = false;
	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == NFTA_CHAIN_TABLE)
			table = text_of(a);
		else if (mnl_attr_get_type(a) == NFTA_CHAIN_HOOK)
			forward = hooks_forward(a);
		else if (mnl_attr_get_type(a) == NFTA_CHAIN_POLICY && mnl_attr_get_payload_len(a) == 4)
			drops = ntohl(mnl_attr_get_u32(a)) == NF_DROP;
	}
	if (!l->found && forward && drops && strlen(table) < sizeof(l->out->table)) {
		*l->out = (struct nft_barrier) { .docker = false };
		memcpy(l->out->table, table, strlen(table));
		l->found = true;
	}
	return MNL_CB_OK;
}

static int barrier_owner(const struct nlmsghdr *h, void *arg)
{
	struct barrier_look *l = arg;
	const struct nlattr *a;
	const char *table = "", *chain = "";
	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == NFTA_CHAIN_TABLE)
			table = text_of(a);
		else if (mnl_attr_get_type(a) == NFTA_CHAIN_NAME)
			chain = text_of(a);
	}
	if (strcmp(table, l->out->table) == 0) {
		l->out->docker = l->out->docker || strcmp(chain, "DOCKER-USER") == 0;
		l->out->ufw = l->out->ufw || strstr(chain, "-user-forward") != NULL;
	}
	return MNL_CB_OK;
}

/* A rule compares with the name as it is: what the rule then does is its author's business. */
static int barrier_rule(const struct nlmsghdr *h, void *arg)
{
	struct barrier_look *l = arg;
	l->named = l->named || memmem(h, h->nlmsg_len, l->ifname, strlen(l->ifname) + 1);
	return MNL_CB_OK;
}

static int dump(uint16_t message, uint8_t family, const char *table, mnl_cb_t each, void *arg)
{
	_Alignas(struct nlmsghdr) char buf[REQUEST_MAX];
	struct nlmsghdr *h = put_request(buf, nft_type(message), NLM_F_DUMP, 0);
	((struct nfgenmsg *)mnl_nlmsg_get_payload(h))->nfgen_family = family;
	if (table)
		mnl_attr_put_strz(h, NFTA_RULE_TABLE, table);
	return nft_ask(NULL, buf, h->nlmsg_len, each, arg);
}

static bool barrier_find(uint8_t family, const char *ifname, struct nft_barrier *out)
{
	struct barrier_look l = { .out = out, .ifname = ifname };
	return dump(NFT_MSG_GETCHAIN, family, NULL, barrier_chain, &l) == 0 && l.found &&
	       dump(NFT_MSG_GETCHAIN, family, NULL, barrier_owner, &l) == 0 &&
	       dump(NFT_MSG_GETRULE, family, out->table, barrier_rule, &l) == 0 && !l.named;
}

bool nft_forward_barrier(const char *ifname, bool v4, struct nft_barrier *out)
{
	return barrier_find(v4 ? NFPROTO_IPV4 : NFPROTO_IPV6, ifname, out) ||
	       barrier_find(NFPROTO_INET, ifname, out);
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
	int err = nft_ask(NULL, buf, (size_t)(at - buf), NULL, NULL);
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
