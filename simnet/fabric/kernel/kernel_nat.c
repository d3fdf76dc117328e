#include "simnet/fabric/kernel/kernel.h"

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

static void put_flush_sets(struct mnl_nlmsg_batch *b)
{
	put_message(b, NFNL_MSG_BATCH_BEGIN, 0, NFNL_SUBSYS_NFTABLES);
	mnl_nlmsg_batch_next(b);
	for (const char *const *set = kernel_nat_sets; *set; set++) {
		struct nlmsghdr *h = put_message(
			b, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELSETELEM, set[1] ? 0 : NLM_F_ACK, 0);
		mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, "simnet");
		mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, *set);
		mnl_nlmsg_batch_next(b);
	}
	put_message(b, NFNL_MSG_BATCH_END, 0, NFNL_SUBSYS_NFTABLES);
	mnl_nlmsg_batch_next(b);
}

static void put_flush_conntrack(struct mnl_nlmsg_batch *b)
{
	put_message(b, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, NLM_F_ACK, 0);
	mnl_nlmsg_batch_next(b);
}

/* Sends the messages that `put` writes and waits for the one acknowledgement (or the first error). */
static int transact(void (*put)(struct mnl_nlmsg_batch *b), const char *what, struct errbuf *eb)
{
	_Alignas(struct nlmsghdr) char buf[4096];
	struct mnl_socket *sock = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	struct mnl_nlmsg_batch *b = mnl_nlmsg_batch_start(buf, sizeof(buf) / 2);
	int err = 0;
	if (!sock || !b || mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0)
		err = err_set(eb, -errno, "%s", what);
	ssize_t got = -1;
	if (!err) {
		put(b);
		got = mnl_socket_sendto(sock, mnl_nlmsg_batch_head(b), mnl_nlmsg_batch_size(b));
		if (got >= 0)
			got = mnl_socket_recvfrom(sock, buf, sizeof(buf));
	}
	if (!err && (got < 0 || mnl_cb_run(buf, (size_t)got, 1, mnl_socket_get_portid(sock), NULL, NULL) < 0))
		err = err_set(eb, -errno, "%s", what);
	if (b)
		mnl_nlmsg_batch_stop(b);
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

struct lifetime {
	uint32_t want, has;
	unsigned n_sets;
};

static int lifetime_of_set(const struct nlmsghdr *h, void *arg)
{
	struct lifetime *l = arg;
	const struct nlattr *a;
	const char *name = "";
	uint64_t ms = 0;
	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == NFTA_SET_NAME)
			name = mnl_attr_get_str(a);
		else if (mnl_attr_get_type(a) == NFTA_SET_TIMEOUT)
			ms = be64toh(mnl_attr_get_u64(a));
	}
	if (!strstr(name, "_udp"))
		return MNL_CB_OK;
	l->n_sets++;
	if (ms != (uint64_t)l->want * 1000)
		l->has = (uint32_t)(ms / 1000);
	return MNL_CB_OK;
}

static bool read_sets(struct lifetime *l)
{
	_Alignas(struct nlmsghdr) char buf[16384];
	struct mnl_socket *sock = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	h->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETSET;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = 1;
	struct nfgenmsg *nf = mnl_nlmsg_put_extra_header(h, sizeof(*nf));
	nf->nfgen_family = NFPROTO_IPV4;
	nf->version = NFNETLINK_V0;
	mnl_attr_put_strz(h, NFTA_SET_TABLE, "simnet");
	bool ok = sock && mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) == 0 &&
		  mnl_socket_sendto(sock, h, h->nlmsg_len) >= 0;
	for (int more = ok ? MNL_CB_OK : MNL_CB_STOP; more > MNL_CB_STOP;) {
		ssize_t n = mnl_socket_recvfrom(sock, buf, sizeof(buf));
		more = n < 0 ? -1
			     : mnl_cb_run(buf, (size_t)n, 1, mnl_socket_get_portid(sock), lifetime_of_set, l);
		ok = more >= 0;
	}
	if (sock)
		mnl_socket_close(sock);
	return ok && l->n_sets;
}

uint32_t kernel_nat_lifetime_s(uint32_t want)
{
	static const char *const settings[] = { "/proc/sys/net/netfilter/nf_conntrack_udp_timeout",
		"/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream" };
	struct lifetime l = { .want = want, .has = want };
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		uint32_t has = read_setting(settings[i]);
		if (has != want)
			return has;
	}
	return read_sets(&l) ? l.has : 0;
}

int kernel_conntrack_flush(struct errbuf *eb)
{
	return transact(put_flush_conntrack, "flush connection tracking", eb);
}

int kernel_nat_forget(struct engine *e, struct errbuf *eb)
{
	int err = 0;
	for (size_t i = 0; !err && i < e->s->n_routers; i++) {
		if (!e->s->routers[i].nat)
			continue;
		err = netns_enter(kernel_router_net(e, i), eb);
		if (!err)
			err = transact(put_flush_sets, "flush learned mappings", eb);
		if (!err)
			err = kernel_conntrack_flush(eb);
	}
	netns_return(hosts_home(e->hosts));
	return err;
}

/* ---- all routers at once ---- */

static int start_router(struct engine *e, int i, struct kernel_nft *job, struct errbuf *eb)
{
	struct buf text = { 0 };
	int err = kernel_nat_rules(e->s, i, e->epochs[i], &text) && kernel_cut_rules(e, i, &text)
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
	return err || !e->s->routers[i].nat ? err : kernel_conntrack_flush(eb);
}

int kernel_nat_start(struct engine *e, int first, int end, struct kernel_nft *jobs, struct errbuf *eb)
{
	int err = 0;
	for (int i = first; i < end; i++)
		jobs[i - first].pid = -1;
	for (int i = first; !err && i < end; i++)
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
		err = flush_router(e, i, eb);
	netns_return(hosts_home(e->hosts));
	return err;
}
