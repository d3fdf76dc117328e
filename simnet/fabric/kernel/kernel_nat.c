#include "simnet/fabric/kernel/kernel.h"

#include "simnet/fabric/kernel/netfilter.h"
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Rules into the kernel by the nft program, and mappings out of it by netlink. */

/* ---- nft ---- */

static int text_fd(const void *text, size_t len)
{
	int fd = memfd_create("nft", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (len && (write(fd, text, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) < 0)) {
		close(fd);
		return -ENOMEM;
	}
	return fd;
}

static int spawn_nft(int in, int out, pid_t *pid)
{
	static const char *const paths[] = { "/usr/sbin/nft", "/sbin/nft", "/usr/local/sbin/nft",
		"/usr/bin/nft" };
	char name[] = "nft", option[] = "-f", dash[] = "-";
	char *argv[] = { name, option, dash, NULL };
	posix_spawn_file_actions_t fa;
	int err = posix_spawn_file_actions_init(&fa);
	if (err)
		return -err;
	posix_spawn_file_actions_adddup2(&fa, in, 0);
	posix_spawn_file_actions_adddup2(&fa, out, 1);
	posix_spawn_file_actions_adddup2(&fa, out, 2);
	err = posix_spawnp(pid, name, &fa, NULL, argv, environ);
	for (size_t i = 0; err == ENOENT && i < ARRAY_LEN(paths); i++) /* users' PATH often lacks sbin */
		err = posix_spawn(pid, paths[i], &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	return -err;
}

int kernel_nft_start(struct kernel_nft *n, struct buf *text, struct errbuf *eb)
{
	int in = text_fd(buf_data(text), text->len), out = text_fd(NULL, 0), err;
	*n = (struct kernel_nft) { .pid = -1, .out_fd = out };
	pid_t pid = -1;
	if (in < 0 || out < 0)
		err = err_set(eb, in < 0 ? in : out, "prepare rules for nft");
	else if ((err = spawn_nft(in, out, &pid)) == -ENOENT)
		err_say(eb, err, "the program nft is missing");
	else if (err)
		err_set(eb, err, "run nft");
	if (in >= 0)
		close(in);
	if (err && out >= 0)
		close(out);
	n->pid = err ? -1 : (int)pid;
	return err;
}

int kernel_nft_finish(struct kernel_nft *n, const char *what, struct errbuf *eb)
{
	char said[256] = "";
	int status = 0;
	while (waitpid(n->pid, &status, 0) < 0 && errno == EINTR)
		;
	bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (!ok) {
		ssize_t got = pread(n->out_fd, said, sizeof(said) - 1, 0);
		said[got < 0 ? 0 : got] = '\0';
	}
	close(n->out_fd);
	return ok ? 0 : err_say(eb, ERR_REFUSED, "nft refuses the rules of %s: %s", what, said);
}

/* ---- forgetting, by netlink: a program start would cost more than the whole rest of a self-test ---- */

static struct nlmsghdr *put_message(struct mnl_nlmsg_batch *b, uint16_t type, uint16_t flags, uint16_t res_id)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(mnl_nlmsg_batch_current(b));
	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	h->nlmsg_seq = 1;
	struct nfgenmsg *nf = mnl_nlmsg_put_extra_header(h, sizeof(*nf));
	nf->nfgen_family = type >> 8 == NFNL_SUBSYS_NFTABLES ? NFPROTO_IPV4 : AF_UNSPEC;
	nf->version = NFNETLINK_V0;
	nf->res_id = htons(res_id);
	return h;
}

static void put_flush(struct mnl_nlmsg_batch *b, const char *const *sets)
{
	put_message(b, NFNL_MSG_BATCH_BEGIN, 0, NFNL_SUBSYS_NFTABLES);
	mnl_nlmsg_batch_next(b);
	for (const char *const *set = sets; *set; set++) {
		struct nlmsghdr *h = put_message(
			b, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELSETELEM, set[1] ? 0 : NLM_F_ACK, 0);
		mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, "simnet");
		mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, *set);
		mnl_nlmsg_batch_next(b);
	}
	put_message(b, NFNL_MSG_BATCH_END, 0, NFNL_SUBSYS_NFTABLES);
	mnl_nlmsg_batch_next(b);
}

static void put_flush_sets(struct mnl_nlmsg_batch *b)
{
	put_flush(b, kernel_nat_sets);
}

static void put_flush_tables(struct mnl_nlmsg_batch *b)
{
	static const char *const tables[] = { "mapped_udp", "mapped_tcp", NULL };
	put_flush(b, tables);
}

static void put_flush_conntrack(struct mnl_nlmsg_batch *b)
{
	put_message(b, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, NLM_F_ACK, 0);
	mnl_nlmsg_batch_next(b);
}

static void put_release(struct mnl_nlmsg_batch *b)
{
	put_message(b, NFNL_MSG_BATCH_BEGIN, 0, NFNL_SUBSYS_NFTABLES);
	mnl_nlmsg_batch_next(b);
	struct nlmsghdr *h = put_message(b, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE, NLM_F_ACK, 0);
	mnl_attr_put_strz(h, NFTA_TABLE_NAME, "hold");
	mnl_nlmsg_batch_next(b);
	put_message(b, NFNL_MSG_BATCH_END, 0, NFNL_SUBSYS_NFTABLES);
	mnl_nlmsg_batch_next(b);
}

/* Sends the messages that `put` writes and waits for the one acknowledgement (or the first error). */
static int transact_on(
	struct mnl_socket *sock, void (*put)(struct mnl_nlmsg_batch *b), const char *what, struct errbuf *eb)
{
	_Alignas(struct nlmsghdr) char buf[4096];
	struct mnl_nlmsg_batch *b = mnl_nlmsg_batch_start(buf, sizeof(buf) / 2);
	if (!b)
		return err_set(eb, -errno, "%s", what);
	put(b);
	ssize_t got = mnl_socket_sendto(sock, mnl_nlmsg_batch_head(b), mnl_nlmsg_batch_size(b));
	if (got >= 0)
		got = mnl_socket_recvfrom(sock, buf, sizeof(buf));
	int err = got < 0 || mnl_cb_run(buf, (size_t)got, 1, mnl_socket_get_portid(sock), NULL, NULL) < 0
			  ? err_set(eb, -errno, "%s", what)
			  : 0;
	mnl_nlmsg_batch_stop(b);
	return err;
}

static int transact(void (*put)(struct mnl_nlmsg_batch *b), const char *what, struct errbuf *eb)
{
	struct mnl_socket *sock = netfilter_open(what, eb);
	int err = sock ? transact_on(sock, put, what, eb) : eb->code;
	if (sock)
		mnl_socket_close(sock);
	return err;
}

static uint32_t read_setting(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	return n > 0 ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

/* While an entry of a set may die before its flow (kernel_rules.c), conntrack keeps new flows as long as
 * others, but for those that are mappings themselves. */
struct nat_setting {
	const char *name;
	uint32_t value;
};
enum { NAT_SETTINGS = 13 };

static void list_settings(const struct nat_model *m, struct nat_setting out[NAT_SETTINGS])
{
	const struct nat_lifetimes *l = &m->lifetimes;
	bool loose = m->tcp_unknown == NAT_UNKNOWN_LOOSE;
	const struct nat_setting rows[NAT_SETTINGS] = {
		{ "udp_timeout", nat_model_is_conntrack(m) ? l->udp_new_s : l->udp_s },
		{ "udp_timeout_stream", l->udp_s },
		{ "icmp_timeout", l->icmp_s },
		{ "tcp_timeout_syn_sent", l->tcp_opening_s },
		{ "tcp_timeout_syn_recv", l->tcp_opening_s },
		{ "tcp_timeout_established", l->tcp_s },
		{ "tcp_timeout_fin_wait", l->tcp_closing_s },
		{ "tcp_timeout_close_wait", l->tcp_closing_s },
		{ "tcp_timeout_last_ack", l->tcp_closing_s },
		{ "tcp_timeout_time_wait", l->tcp_closing_s },
		{ "tcp_timeout_close", l->tcp_closing_s },
		{ "tcp_loose", loose },
		/* Else what is out of its window counts as unknown. */
		{ "tcp_be_liberal", !loose },
	};
	memcpy(out, rows, sizeof(rows));
}

int kernel_nat_settings(const struct nat_model *m, struct errbuf *eb)
{
	struct nat_setting rows[NAT_SETTINGS];
	char path[80], value[16];
	int err = 0;
	list_settings(m, rows);
	for (size_t i = 0; !err && i < NAT_SETTINGS; i++) {
		snprintf(path, sizeof(path), "net/netfilter/nf_conntrack_%s", rows[i].name);
		snprintf(value, sizeof(value), "%u", rows[i].value);
		err = netns_sysctl(path, value, eb);
	}
	return err;
}

struct lifetimes { /* of sets: want and has for udp and tcp */
	uint32_t want[2], has[2], table[2];
	unsigned n_sets;
};

static int lifetime_of_set(const struct nlmsghdr *h, void *arg)
{
	struct lifetimes *l = arg;
	const struct nlattr *a, *d;
	const char *name = "";
	uint64_t ms = 0;
	uint32_t size = 0;
	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == NFTA_SET_NAME)
			name = mnl_attr_get_str(a);
		else if (mnl_attr_get_type(a) == NFTA_SET_TIMEOUT)
			ms = be64toh(mnl_attr_get_u64(a));
		else if (mnl_attr_get_type(a) == NFTA_SET_DESC)
			mnl_attr_for_each_nested(d, a) if (mnl_attr_get_type(d) == NFTA_SET_DESC_SIZE) size =
				ntohl(mnl_attr_get_u32(d));
	}
	for (const char *const *set = kernel_nat_sets; *set; set++) {
		unsigned tcp = strstr(name, "_tcp") != NULL;
		if (strcmp(name, *set) != 0)
			continue;
		l->n_sets++;
		if (ms != (uint64_t)l->want[tcp] * 1000)
			l->has[tcp] = (uint32_t)(ms / 1000);
		if (!strncmp(name, "mapped", 6))
			l->table[tcp] = size;
	}
	return MNL_CB_OK;
}

static bool read_sets(struct lifetimes *l)
{
	struct errbuf eb;
	return netfilter_dump(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETSET, NFPROTO_IPV4, "simnet",
		       lifetime_of_set, l, "read the sets of mappings", &eb) == 0;
}

const char *kernel_nat_trouble(const struct nat_model *m, char out[static 120])
{
	struct nat_setting rows[NAT_SETTINGS];
	char path[80];
	uint32_t udp = m->lifetimes.udp_s, tcp = m->lifetimes.tcp_s;
	struct lifetimes l = { .want = { udp, tcp }, .has = { udp, tcp } };
	size_t n_sets = 0;

	list_settings(m, rows);
	for (size_t i = 0; i < NAT_SETTINGS; i++) {
		snprintf(path, sizeof(path), "/proc/sys/net/netfilter/nf_conntrack_%s", rows[i].name);
		uint32_t has = read_setting(path);
		if (has == rows[i].value)
			continue;
		snprintf(out, 120, "conntrack's %s is %u, declared %u", rows[i].name, has, rows[i].value);
		return out;
	}
	while (kernel_nat_sets[n_sets])
		n_sets++;
	if (!read_sets(&l) || l.n_sets != n_sets) {
		snprintf(out, 120, "%u of %zu sets of its mappings are there", l.n_sets, n_sets);
		return out;
	}
	for (unsigned i = 0; i < 2; i++) {
		if (l.has[i] == l.want[i])
			continue;
		snprintf(out, 120, "a %s mapping lives %u s, declared %u s", i ? "TCP" : "UDP", l.has[i],
			l.want[i]);
		return out;
	}
	if (l.table[0] != m->table || l.table[1] != m->table) {
		snprintf(out, 120, "its tables hold %u and %u mappings, declared %u", l.table[0], l.table[1],
			m->table);
		return out;
	}
	return NULL;
}

int kernel_conntrack_flush(struct errbuf *eb)
{
	return transact(put_flush_conntrack, "flush connection tracking", eb);
}

int kernel_nat_expire(struct engine *e, int router, struct errbuf *eb)
{
	int err = netns_enter(kernel_router_net(e, (size_t)router), eb);
	if (!err)
		err = transact(put_flush_tables, "let mappings expire", eb);
	netns_return(hosts_home(e->hosts));
	return err;
}

/* One that only routes still knows flows where its firewall asks for them. */
static bool remembers(const struct engine *e, int router)
{
	const struct scn_router *r = &e->s->routers[router];
	return !kernel_is_user(e, router) && (r->nat || firewall_is_there(&r->firewall));
}

static int forget_router(struct engine *e, int router, struct mnl_socket **sock, struct errbuf *eb)
{
	int err = netns_enter(kernel_router_net(e, (size_t)router), eb);
	if (!err && !(*sock = netfilter_open("flush learned mappings", eb)))
		err = eb->code;
	if (!err && e->s->routers[router].nat)
		err = transact_on(*sock, put_flush_sets, "flush learned mappings", eb);
	return err ? err : transact_on(*sock, put_flush_conntrack, "flush connection tracking", eb);
}

/* The kernel frees what a transaction has removed in its own time, but he who closes the socket waits for that, and
 * then everybody's is freed: so the sockets of many are closed together. */
int kernel_nat_forget(struct engine *e, struct errbuf *eb)
{
	enum { OPEN_AT_ONCE = 32 };
	struct mnl_socket *socks[OPEN_AT_ONCE] = { NULL };
	int err = e->box ? switch_forget(e->box, eb) : 0, i = 0, n = (int)e->s->n_routers;
	while (!err && i < n) {
		size_t k = 0;
		for (; !err && i < n && k < OPEN_AT_ONCE; i++)
			if (remembers(e, i))
				err = forget_router(e, i, &socks[k++], eb);
		while (k--) {
			if (socks[k])
				mnl_socket_close(socks[k]);
			socks[k] = NULL;
		}
	}
	netns_return(hosts_home(e->hosts));
	return err;
}

/* ---- all routers at once ---- */

/* New rules come before the flows of the old ones are forgotten, and would learn their mappings from a packet in between: so
 * nothing passes a router that changes until it has forgotten, also what it learned from packets that were inside. */
static bool put_hold(const struct engine *e, int i, struct buf *out)
{
	return !e->epochs[i] || !e->s->routers[i].nat ||
	       buf_printf(out, "table ip hold {\n chain hold { type filter hook prerouting priority raw; "
			       "policy drop; }\n}\n");
}

static int forget_flows(const struct engine *e, int i, struct errbuf *eb)
{
	struct errbuf later = { 0 };
	int err = kernel_conntrack_flush(eb);
	if (!e->epochs[i])
		return err;
	if (!err)
		err = transact(put_flush_sets, "flush learned mappings", eb);
	int released = transact(put_release, "let packets pass", err ? &later : eb);
	return err ? err : released;
}

static int start_router(struct engine *e, int i, struct kernel_nft *job, struct errbuf *eb)
{
	struct buf text = { 0 };
	int err = put_hold(e, i, &text) && kernel_nat_rules(e->s, i, e->epochs[i], &text) &&
				  kernel_cut_rules(e, i, &text)
			  ? 0
			  : err_set(eb, -ENOMEM, "write the rules of router %s", e->s->routers[i].name);
	if (!err)
		err = netns_enter(kernel_router_net(e, i), eb);
	if (!err)
		err = kernel_nft_start(job, &text, eb);
	buf_free(&text);
	return err;
}

static int flush_router(struct engine *e, int i, struct errbuf *eb)
{
	int err = netns_enter(kernel_router_net(e, i), eb);
	return err || !e->s->routers[i].nat ? err : forget_flows(e, i, eb);
}

int kernel_nat_start(struct engine *e, int first, int end, struct kernel_nft *jobs, struct errbuf *eb)
{
	int err = 0;
	for (int i = first; i < end; i++)
		jobs[i - first].pid = -1;
	for (int i = first; !err && i < end; i++)
		if (!kernel_is_user(e, i))
			err = start_router(e, i, &jobs[i - first], eb);
	netns_return(hosts_home(e->hosts));
	return err;
}

int kernel_nat_finish(struct engine *e, int first, int end, struct kernel_nft *jobs, struct errbuf *eb)
{
	int err = 0;
	for (int i = first; i < end; i++) {
		struct errbuf *say =
			err ? &(struct errbuf) { 0 } : eb; /* the first sentence counts, all are waited for */
		int one = jobs[i - first].pid < 0
				  ? 0
				  : kernel_nft_finish(&jobs[i - first], e->s->routers[i].name, say);
		err = err ? err : one;
	}
	for (int i = first; !err && i < end; i++)
		if (!kernel_is_user(e, i))
			err = flush_router(e, i, eb);
	netns_return(hosts_home(e->hosts));
	return err;
}

int kernel_nat_reload(struct engine *e, int router, struct errbuf *eb)
{
	struct kernel_nft job;
	struct errbuf later = { 0 };
	e->epochs[router]++;
	int err = kernel_nat_start(e, router, router + 1, &job, eb);
	int loaded = kernel_nat_finish(e, router, router + 1, &job, err ? &later : eb);
	return err ? err : loaded;
}
