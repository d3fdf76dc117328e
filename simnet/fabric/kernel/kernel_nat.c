#include "simnet/fabric/kernel/kernel.h"

#include "mesh/base/table.h"
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
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

/* A NAT of any RFC 4787 class in stock nftables. The external port is a hash of what the mapping may depend
 * on, seeded by scenario, router and number of resets; a chain behind the source NAT learns who owns which
 * external port, and the one before routing lets in from outside what the filtering class allows. In the
 * kernel's packet path, so without the race of a program that watches conntrack. */

static const char *const mapping_keys[] = {
	[NAT_EIM] = "ct original ip saddr . ct original proto-src",
	[NAT_ADM] = "ct original ip saddr . ct original proto-src . ct original ip daddr",
	[NAT_APDM] =
		"ct original ip saddr . ct original proto-src . ct original ip daddr . ct original proto-dst",
};
static const char *const filter_words[] = {
	[NAT_EIF] = "endpoint-independent filtering",
	[NAT_ADF] = "address-dependent filtering",
	[NAT_APDF] = "address and port-dependent filtering",
};
static_assert(ARRAY_LEN(mapping_keys) == NAT_MAPPINGS, "a mapping class has no key");
static_assert(ARRAY_LEN(filter_words) == NAT_FILTERINGS, "a filtering class has no words");

enum { WINDOWS = 5, WINDOW_FIRST = 20000, WINDOW_PORTS = 8000 };

static uint32_t seed_of(const struct scenario *s, int router, uint32_t epoch)
{
	const char *name = s->routers[router].name;
	uint32_t seed = (uint32_t)hash_bytes(name, strlen(name), s->seed, epoch);
	return seed ? seed : 1; /* nft takes 0 as "choose one" */
}

/* A range of ports that no earlier one of the last few resets used. */
static void put_window(const struct scenario *s, int router, uint32_t epoch, char out[16])
{
	unsigned first = WINDOW_FIRST + (seed_of(s, router, 0) + epoch) % WINDOWS * WINDOW_PORTS;
	snprintf(out, 16, "%u-%u", first, first + WINDOW_PORTS - 1);
}

/* ---- the rules ---- */

struct nat { /* what the templates need to know of one router */
	const struct scn_router *r;
	char wan[ADDR_TEXT], window[16], port[192];
	uint32_t timeout_s;
};

static struct nat nat_of(const struct scenario *s, int router, uint32_t epoch)
{
	struct nat n = { .r = &s->routers[router] };
	addr_format(&n.r->wan, n.wan);
	put_window(s, router, epoch, n.window);
	n.timeout_s = n.r->udp_timeout_s ? n.r->udp_timeout_s : KERNEL_UDP_TIMEOUT_S;
	/* nft hands the hash over in the wrong byte order: the low byte becomes the port's high one, and the
	 * bit set in it keeps the port above 4095. */
	snprintf(n.port, sizeof(n.port), "jhash %s mod 65536 seed 0x%" PRIx32 " | 0x10",
		mapping_keys[n.r->mapping], seed_of(s, router, epoch));
	return n;
}

static bool put_sets(const struct nat *n, struct buf *b)
{
	return buf_printf(b,
		" map owner { type inet_service : ipv4_addr . inet_service; flags dynamic,timeout; timeout "
		"%" PRIu32 "s; size 65536; }\n"
		" set mapped { type inet_service; flags dynamic,timeout; timeout %" PRIu32
		"s; size 65536; }\n"
		" set spoken { type inet_service . ipv4_addr; flags dynamic,timeout; timeout %" PRIu32
		"s; size 65536; }\n",
		n->timeout_s, n->timeout_s, n->timeout_s);
}

static bool put_inbound(const struct nat *n, struct buf *b)
{
	bool ok = buf_printf(b, " chain inbound { type nat hook prerouting priority dstnat;\n");
	if (ok && n->r->hairpin != NAT_HAIRPIN_OFF)
		ok = buf_printf(b,
			"  iifname \"lan\" ip daddr %s meta l4proto udp meta mark set 0x1 dnat ip addr . "
			"port to udp dport "
			"map @owner comment \"hairpin: a mapping, reached from inside\"\n",
			n->wan);
	if (ok && n->r->filtering == NAT_EIF)
		ok = buf_printf(b,
			"  iifname \"wan\" ip daddr %s meta l4proto udp dnat ip addr . port to udp dport map "
			"@owner "
			"comment \"anyone may send to a mapping\"\n",
			n->wan);
	if (ok && n->r->filtering == NAT_ADF)
		ok = buf_printf(b,
			"  iifname \"wan\" ip daddr %s udp dport . ip saddr @spoken dnat ip addr . port to "
			"udp dport map "
			"@owner comment \"an address it has sent to may send to a mapping\"\n",
			n->wan);
	return ok && buf_printf(b, " }\n");
}

static bool put_outbound(const struct nat *n, struct buf *b)
{
	/* A router that accepts on its WAN must be able to move to another port when its own tuple is in the
	 * way: that is the trap. An exact port would be dropped instead. */
	bool roams = n->r->accepts_wan && n->r->mapping != NAT_ADM;
	bool ok = buf_printf(b, " chain outbound { type nat hook postrouting priority srcnat;\n");
	if (ok && roams)
		ok = buf_printf(b, "  oifname \"wan\" meta l4proto udp masquerade to :%s%s\n", n->window,
			n->r->mapping == NAT_APDM ? " fully-random" : "");
	else if (ok)
		ok = buf_printf(b, "  oifname \"wan\" meta l4proto udp masquerade to :%s\n", n->port);
	if (ok && n->r->hairpin == NAT_HAIRPIN_EXTERNAL)
		ok = buf_printf(b,
			"  oifname \"lan\" meta mark 0x1 meta l4proto udp snat ip to %s:%s comment "
			"\"hairpin: seen by its "
			"external address\"\n",
			n->wan, n->port);
	return ok && buf_printf(b,
			     "  oifname \"wan\" meta l4proto tcp masquerade to :%s\n"
			     "  oifname \"wan\" masquerade\n"
			     " }\n",
			     n->window);
}

static bool put_learning(struct buf *b)
{
	return buf_printf(b,
		" chain learning { type filter hook postrouting priority 150;\n"
		"  oifname \"wan\" meta l4proto udp ct direction original"
		" update @owner { ct reply proto-dst : ct original ip saddr . ct original proto-src }"
		" update @mapped { ct reply proto-dst } update @spoken { ct reply proto-dst . ip daddr }\n"
		"  oifname \"wan\" meta l4proto udp ct direction reply ct status dnat"
		" update @owner { ct original proto-dst : ct reply ip saddr . ct reply proto-src }"
		" update @mapped { ct original proto-dst } update @spoken { ct original proto-dst . ip daddr "
		"}\n"
		"  oifname \"lan\" meta mark 0x1 meta l4proto udp ct direction original ct status snat"
		" update @owner { ct reply proto-dst : ct original ip saddr . ct original proto-src }"
		" update @mapped { ct reply proto-dst }\n"
		" }\n");
}

/* nft wants prefix and comment below 128 bytes, so a long name is cut. */
static bool put_drop(struct buf *b, const char *match, const char *where, const char *why)
{
	return buf_printf(b,
		"  %s log prefix \"%.31s|%s\" group %d queue-threshold 1 drop comment \"%.31s: %s\"\n", match,
		where, why, KERNEL_LOG_GROUP, where, why);
}

static bool put_guard(const struct nat *n, struct buf *b)
{
	const char *name = n->r->name;
	char why[96], hairpin[96];
	snprintf(
		why, sizeof(why), "wan: mapped, but not for this sender (%s)", filter_words[n->r->filtering]);
	snprintf(hairpin, sizeof(hairpin), "iifname \"lan\" ip daddr %s meta l4proto udp", n->wan);
	bool ok = buf_printf(b, " chain guard { type filter hook input priority filter;\n"
				"  ct state established,related accept\n");
	if (ok)
		ok = put_drop(b, hairpin, name,
			n->r->hairpin == NAT_HAIRPIN_OFF ? "lan: the router does not hairpin"
							 : "lan: hairpin to a port without a mapping");
	if (ok && !n->r->accepts_wan)
		ok = put_drop(b, "iifname \"wan\" udp dport @mapped", name, why) &&
		     put_drop(b, "iifname \"wan\"", name, "wan: unsolicited, no mapping");
	ok = ok && buf_printf(b, " }\n chain inside { type filter hook forward priority filter;\n");
	return ok &&
	       put_drop(b, "iifname \"wan\" ct state new ct status ! dnat", name,
		       "wan: an inside address, reached for from outside") &&
	       buf_printf(b, " }\n");
}

static bool put_v6(const struct nat *n, struct buf *b)
{
	return buf_printf(b, "table ip6 simnet\ndelete table ip6 simnet\ntable ip6 simnet {\n"
			     " chain inside { type filter hook forward priority filter;\n"
			     "  ct state established,related accept\n"
			     "  iifname \"lan\" accept\n"
			     "  icmpv6 type { destination-unreachable, packet-too-big, "
			     "time-exceeded, parameter-problem } accept\n") &&
	       put_drop(b, "iifname \"wan\"", n->r->name,
		       "wan: unsolicited, the IPv6 firewall lets only answers in") &&
	       buf_printf(b, " }\n}\n");
}

bool kernel_nat_rules(const struct scenario *s, int router, uint32_t epoch, struct buf *out)
{
	struct nat n = nat_of(s, router, epoch);
	if (!n.r->nat)
		return true;
	bool ok = buf_printf(out, "table ip simnet\ndelete table ip simnet\ntable ip simnet {\n") &&
		  put_sets(&n, out) && put_inbound(&n, out) && put_outbound(&n, out) && put_learning(out) &&
		  put_guard(&n, out) && buf_printf(out, "}\n");
	return ok && (!s->ipv6 || put_v6(&n, out));
}

/* ---- cuts ---- */

static bool put_cut(const struct engine *e, const struct kernel_cut *c, struct buf *b)
{
	char port[KERNEL_NAME], match[64];
	const char *where = c->node >= 0 ? e->s->nodes[c->node].name : e->s->routers[c->router].name;
	const char *why = c->link ? "the link is cut" : c->permanent ? "UDP is blocked" : "UDP is cut";
	if (c->node < 0 && !c->link)
		return put_drop(b, "meta l4proto udp", where, why);
	if (c->node >= 0)
		kernel_port_name('n', c->node, 0, port);
	else
		kernel_port_name('r', c->router, 'w', port);
	for (int out = 0; out < 2; out++) {
		snprintf(match, sizeof(match), "%s \"%s\"%s", out ? "oifname" : "iifname", port,
			c->link ? "" : " meta l4proto udp");
		if (!put_drop(b, match, where, why))
			return false;
	}
	return true;
}

/* Before connection tracking in a router, so that a dead packet refreshes no mapping. Never at the sender's
 * own output, where the program would be told. */
bool kernel_cut_rules(const struct engine *e, int router, struct buf *out)
{
	const char *family = router < 0 ? "bridge" : "inet";
	bool ok = buf_printf(out,
		"table %s cuts\ndelete table %s cuts\ntable %s cuts {\n"
		" chain cuts { type filter hook %s priority -300;\n",
		family, family, family, router < 0 ? "forward" : "prerouting");
	for (size_t i = 0; ok && i < e->n_cuts; i++) {
		const struct kernel_cut *c = &e->cuts[i];
		int at = c->node < 0 && !c->link ? c->router : -1;
		if (at == router)
			ok = put_cut(e, c, out);
	}
	return ok && buf_printf(out, " }\n}\n");
}

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
	static const char *const sets[] = { "owner", "mapped", "spoken" };
	put_message(b, NFNL_MSG_BATCH_BEGIN, 0, NFNL_SUBSYS_NFTABLES);
	mnl_nlmsg_batch_next(b);
	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		struct nlmsghdr *h = put_message(b, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELSETELEM,
			i + 1 == ARRAY_LEN(sets) ? NLM_F_ACK : 0, 0);
		mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, "simnet");
		mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, sets[i]);
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
