#include "simnet/doctor.h"

#include "mesh/os/netlink.h"
#include "simnet/host/capture.h"
#include "simnet/host/host_files.h"
#include "simnet/host/proc.h"
#include "simnet/fabric/kernel/kernel.h"
#include "simnet/fabric/kernel/trace.h"
#include "simnet/host/sandbox.h"
#include "simnet/lab/lab.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each ability is tried, not looked up: kernels and containers differ in more ways than any list knows. */

static int try_links(struct errbuf *eb)
{
	struct nl *n = nl_open(eb);
	if (!n)
		return eb->code;
	int err = nl_bridge_add(n, "sw0", eb);
	if (!err)
		err = nl_veth_add(n,
			&(struct nl_veth) { .name = "a",
				.peer = "b",
				.peer_ns = -1,
				.master = nl_link_index(n, "sw0"),
				.up = true },
			eb);
	nl_close(n);
	return err;
}

static int load(struct buf *rules, struct errbuf *eb)
{
	struct kernel_nft job;
	int err = kernel_nft_start(&job, rules, eb);
	return err ? err : kernel_nft_finish(&job, "the check", eb);
}

static int try_nat(struct errbuf *eb)
{
	struct scn_router r = { .name = "check",
		.wan = addr_v4(0xcb007101),
		.behind = -1,
		.nat = true,
		.model = nat_model_default };
	r.model.udp.filtering = r.model.tcp.filtering = NAT_ADF;
	r.model.hairpin = NAT_HAIRPIN_EXTERNAL;
	struct scenario s = { .seed = 1, .routers = &r, .n_routers = 1 };
	struct buf rules = { 0 };
	int err = kernel_nat_rules(&s, 0, 0, &rules) ? load(&rules, eb) : err_set(eb, -ENOMEM, "write rules");
	buf_free(&rules);
	return err ? err : kernel_conntrack_flush(eb);
}

static int try_sysctl(struct errbuf *eb)
{
	int err = netns_sysctl("net/ipv4/ip_forward", "1", eb);
	return err ? err : netns_sysctl("net/netfilter/nf_conntrack_udp_timeout", "120", eb);
}

static int try_log(struct errbuf *eb)
{
	struct trace *t = trace_open();
	int err = t ? trace_watch(t, KERNEL_LOG_GROUP, eb) : err_set(eb, -ENOMEM, "open the packet log");
	trace_close(t);
	return err;
}

static int try_capture(struct errbuf *eb)
{
	struct capture *c = NULL;
	int err = capture_open(NULL, 0, &c, eb);
	capture_close(c);
	return err;
}

static int try_overlay(struct errbuf *eb)
{
	if (unshare(CLONE_NEWNS) < 0)
		return err_set(eb, -errno, "make a mount namespace");
	if (mkdir("/run/upper", 0755) < 0 || mkdir("/run/work", 0755) < 0 ||
		mount("overlay", "/etc", "overlay", 0,
			"lowerdir=/etc,upperdir=/run/upper,workdir=/run/work") < 0)
		return err_set(eb, -errno, "mount an overlay on /etc");
	return 0;
}

/* In mounts of its own, or what is tried next could write nothing. */
static int try_only_read(struct errbuf *eb)
{
	int home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (home < 0 || unshare(CLONE_NEWNS) < 0) {
		err_set(eb, -errno, "make a mount namespace");
		if (home >= 0)
			close(home);
		return eb->code;
	}
	int err = host_files_only_read();
	if (setns(home, CLONE_NEWNS) < 0)
		abort();
	close(home);
	return err ? err_set(eb, err, "make the mounts read-only") : 0;
}

static int try_tun(struct errbuf *eb)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return err_set(eb, -errno, "open /dev/net/tun");
	close(fd);
	return 0;
}

static int try_ipv6(struct errbuf *eb)
{
	return netns_sysctl("net/ipv6/conf/default/accept_dad", "0", eb);
}

static int try_clock(struct errbuf *eb)
{
	return proc_can_have_clock(eb);
}

static const struct ability {
	const char *what;
	int (*try)(struct errbuf *eb);
	bool needed;
	const char *fix;
} abilities[] = {
	{ "bridges and veth pairs", try_links, true,
		"the kernel needs CONFIG_BRIDGE and CONFIG_VETH (modprobe bridge veth)" },
	{ "nftables with NAT and connection tracking", try_nat, true,
		"install nftables; the kernel needs nf_tables, nft_nat, nft_hash and nf_conntrack" },
	{ "settings per network namespace", try_sysctl, true, "mount /proc writable; modprobe nf_conntrack" },
	{ "reasons of dropped packets (NFLOG)", try_log, true, "modprobe nfnetlink_log" },
	{ "captures (packet sockets)", try_capture, true, "the kernel needs CONFIG_PACKET" },
	{ "own /etc, /var, /tmp per host (overlay)", try_overlay, false,
		"modprobe overlay; without it /var and /tmp of hosts are empty, and programs cannot rename "
		"files over "
		"/etc/resolv.conf" },
	{ "the machine's files read-only", try_only_read, false,
		"Linux 5.12 has mount_setattr; without it programs that run as root can write on this "
		"machine outside "
		"/etc, /var, /tmp and /run" },
	{ "tunnels (/dev/net/tun)", try_tun, false,
		"modprobe tun, and let the user open it: chmod 0666 /dev/net/tun; without it no mesh node "
		"can run" },
	{ "clocks of their own (clock_shift.so)", try_clock, false,
		"Build it too (target clock_shift, or programs), or install simnet whole; without it no "
		"scenario with 'clock' can run" },
	{ "IPv6", try_ipv6, false, "boot without ipv6.disable=1; without it scenarios with ipv6 cannot run" },
};

int doctor_lacks(struct errbuf *eb)
{
	struct errbuf why = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(abilities); i++)
		if (abilities[i].needed && abilities[i].try(&why) && !lab_short_of(why.code))
			return err_say(eb, -ENOSYS, "this machine has no %s: %.200s. %s", abilities[i].what,
				why.text, abilities[i].fix);
	return 0;
}

struct findings {
	bool ok[ARRAY_LEN(abilities)];
	char text[ARRAY_LEN(abilities)][192];
};

static int try_all(void *arg)
{
	struct findings *f = arg;
	for (size_t i = 0; i < ARRAY_LEN(abilities); i++) {
		struct errbuf eb = { 0 };
		f->ok[i] = abilities[i].try(&eb) == 0;
		snprintf(f->text[i], sizeof(f->text[i]), "%.191s", eb.text);
	}
	return 0;
}

static int add(struct doctor_check *out, int cap, int n, const struct doctor_check *row)
{
	if (n < cap)
		out[n] = *row;
	return n < cap ? n + 1 : n;
}

int doctor_checks(struct doctor_check *out, int cap)
{
	struct errbuf eb = { 0 };
	struct findings *f =
		mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (f == MAP_FAILED)
		return 0;
	int r = sandbox_run(try_all, f, &eb);
	struct doctor_check row = { .what = geteuid() == 0 ? "private namespaces (as root)"
							   : "private namespaces (rootless)",
		.ok = r == 0,
		.needed = true };
	snprintf(row.detail, sizeof(row.detail), "%.255s",
		r == 0	     ? ""
		: eb.text[0] ? eb.text
			     : "the check died");
	int n = add(out, cap, 0, &row);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(abilities); i++) {
		row = (struct doctor_check) {
			.what = abilities[i].what, .ok = f->ok[i], .needed = abilities[i].needed
		};
		if (!row.ok)
			snprintf(row.detail, sizeof(row.detail), "%.120s. %s", f->text[i], abilities[i].fix);
		n = add(out, cap, n, &row);
	}
	munmap(f, sizeof(*f));
	return n;
}
