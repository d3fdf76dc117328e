/* Hosts, their files, and that nothing is left of them. */
#include "simnet/fabric/kernel/test/kernel_lab.h"
#include "mesh/os/file.h"
#include "simnet/host/capture.h"
#include "simnet/pcap/pcapng.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- hosts ---- */

static int hosts(void *arg)
{
	struct lab l = { 0 };
	struct stat before, after;
	const char *missing[] = { "/no/such/program", NULL };
	(void)arg;
	if (start_pair(&l))
		return 1;
	(void)stat("/etc", &before);
	CHECK(run_on(&l, ALICE, "test \"$(hostname)\" = alice && getent hosts server >/dev/null") == 0,
		"no names");
	CHECK(run_on(&l, ALICE, "echo nameserver 9.9.9.9 >/etc/r && mv /etc/r /etc/resolv.conf") == 0,
		"no rename");
	CHECK(run_on(&l, ALICE, "grep -q 9.9.9.9 /etc/resolv.conf") == 0, "a host forgets its files");
	CHECK(run_on(&l, BOB, "grep -q 9.9.9.9 /etc/resolv.conf") != 0, "hosts share files");
	CHECK(run_on(&l, BOB, "touch /run/x && test -z \"$(ls /run | grep -v x)\"") == 0,
		"/run is not private");
	CHECK(run_on(&l, ALICE, "test ! -e /run/x") == 0, "hosts share /run");
	CHECK(run_on(&l, ALICE,
		      "for d in /tmp /var /var/log; do echo alice >$d/simnet-test || exit 1; done") == 0,
		"a host cannot write");
	CHECK(run_on(&l, ALICE, "cat /tmp/simnet-test /var/simnet-test /var/log/simnet-test >/dev/null") == 0,
		"a host forgets its files");
	CHECK(run_on(&l, BOB, "cat /tmp/simnet-test || cat /var/simnet-test || cat /var/log/simnet-test") !=
			0,
		"hosts share /tmp or /var");
	CHECK(access("/tmp/simnet-test", F_OK) < 0 && access("/var/simnet-test", F_OK) < 0,
		"the machine's files were written to");
	CHECK(run_on(&l, ALICE, "exit 7") == 7, "exit code lost");
	CHECK(hosts_spawn(l.h, ALICE, missing, NULL, (const int[]) { 2, 2 }, &l.eb) < 0, "started nothing");
	CHECK(strstr(l.eb.text, "/no/such/program") && strstr(l.eb.text, "alice"), "%s", l.eb.text);
	(void)stat("/etc", &after);
	CHECK(before.st_mtim.tv_sec == after.st_mtim.tv_sec, "the machine's /etc was written to");
	stop(&l);
	return 0;
}

/* Whoever looks for a process on one host must find, and end, those of that host alone. */
static int processes(void *arg)
{
	struct lab l = { 0 };
	const char *sleeper[] = { "sleep", "1000", NULL };
	int status = 0, router;
	(void)arg;
	if (start_pair(&l))
		return 1;
	char ours[64] = "", script[160];
	CHECK(readlink("/proc/self/ns/ipc", ours, sizeof(ours) - 1) > 0, "no IPC namespace");
	snprintf(script, sizeof(script), "test \"$(readlink /proc/self/ns/ipc)\" != '%s'", ours);
	CHECK(run_on(&l, ALICE, script) == 0, "hosts share System V IPC");
	pid_t bobs = hosts_spawn(l.h, BOB, sleeper, NULL, (const int[]) { 2, 2 }, &l.eb);
	CHECK(bobs > 0, "%s", l.eb.text);
	CHECK(run_on(&l, ALICE,
		      "for p in /proc/[0-9]*; do read -r n <$p/comm; test $n != sleep || exit 1; done") == 0,
		"a host sees the processes of another");
	CHECK(run_on(&l, ALICE, "kill -9 -1; exit 5") == 5, "a host cannot end its processes");
	CHECK(waitpid(bobs, &status, WNOHANG) == 0, "a host ended a process of another");
	CHECK(run_on(&l, BOB,
		      "for p in /proc/[0-9]*; do read -r n <$p/comm; test $n != sleep || kill ${p#/proc/}; "
		      "done; "
		      "exit 6") == 6,
		"no kill");
	CHECK(waitpid(bobs, &status, 0) == bobs && WIFSIGNALED(status),
		"a host does not see its own processes");
	/* What is left behind ends up with the host's init, which must not keep it as a zombie. */
	CHECK(run_on(&l, ALICE,
		      "sh -c 'true & exec true'; i=0; while grep -qs '^State:.Z' /proc/[0-9]*/status; do "
		      "i=$((i+1)); "
		      "test $i -lt 1000 || exit 1; done") == 0,
		"zombies stay");
	CHECK((router = hosts_find(l.h, "home")) > 0 &&
			run_on(&l, router,
				"ip -br addr show dev wan | grep -q UP && test "
				"\"$(hostname)\" = home") == 0,
		"a router cannot be entered");
	stop(&l);
	return 0;
}

static void test_processes(void **state)
{
	(void)state;
	in_sandbox(processes, NULL);
}

static void test_hosts(void **state)
{
	(void)state;
	in_sandbox(hosts, NULL);
}

static int tcp_connect(struct lab *l, int node, int server_node)
{
	struct sockaddr_storage ss;
	struct endpoint to = at(l, server_node, 4000);
	socklen_t len = endpoint_to_sockaddr(&to, false, &ss);
	int fd = hosts_socket(l->h, node, AF_INET, SOCK_STREAM, 0, &l->eb);
	if (fd < 0 || connect(fd, (struct sockaddr *)&ss, len) < 0)
		return -1;
	return fd;
}

/* How many packets of a link the capture has; -1 when it is none, or not in order of time. */
static int packets_of(const char *dir, const char *link)
{
	char path[256];
	struct buf text = { 0 };
	struct pcapng_reader r = { 0 };
	struct pcapng_packet p;
	uint64_t last = 0;
	int n = 0, got = -1;
	snprintf(path, sizeof(path), "%s/%s", dir, CAPTURE_FILE);
	if (!file_read(path, 1 << 26, &text, NULL) && !pcapng_open(&r, buf_data(&text), text.len, NULL))
		while ((got = pcapng_next(&r, &p, NULL)) == 1 && p.at_ns >= last) {
			n += !strcmp(r.names[p.link], link);
			last = p.at_ns;
		}
	pcapng_close(&r);
	buf_free(&text);
	return got == 0 ? n : -1;
}

/* Sends from the socket, which has that port, until it is seen: one that passed before the capturing process knew that somebody
 * looks on is not told. false: none came in time. What was missed up to there is added. */
static bool glimpse_of(struct lab *l, int fd, uint16_t port, struct capture_glimpse *out, unsigned *missed)
{
	enum { UDP_AT = 14 + 20, SEND_EVERY = 100, BOUND = 10000 };
	struct endpoint to = at(l, SERVER, 4000);
	for (unsigned ms = 0; ms < BOUND; ms += 5) {
		if (ms % SEND_EVERY == 0)
			send_to(fd, &to);
		while (engine_kernel.glimpses(l->e, out, 1) == 1) {
			*missed += out->missed;
			if (out->len > UDP_AT + 2 && out->data[UDP_AT] == port >> 8 &&
				out->data[UDP_AT + 1] == (port & 0xff))
				return true;
		}
		(void)poll(NULL, 0, 5);
	}
	return false;
}

/* Nobody takes what is told of a flood: it is counted, and told with the next that is taken. */
static int glimpses(void *arg)
{
	enum { FLOOD = 4000 }; /* more than a socket holds */
	struct lab l = { 0 };
	struct capture_glimpse g;
	char dir[] = "/tmp/glimpses.XXXXXX", path[64];
	unsigned missed = 0;
	(void)arg;
	if (start_pair(&l))
		return 1;
	CHECK(engine_kernel.glimpses(l.e, &g, 1) == 0, "something is told before anybody looks");
	struct endpoint to = at(&l, SERVER, 4000);
	int one = udp_on(&l, ALICE, 4001), other = udp_on(&l, ALICE, 4002);
	CHECK(glimpse_of(&l, one, 4001, &g, &missed), "nothing is seen");
	CHECK(!missed && g.wire_len == g.len, "%s, %u missed, %u bytes of %u", g.link, missed, g.len,
		g.wire_len);
	for (unsigned i = 0; i < FLOOD; i++)
		send_to(other, &to);
	/* Answers when it has read what has come. */
	CHECK(mkdtemp(dir) && engine_kernel.write_pcaps(l.e, dir, &l.eb) == 0, "%s", l.eb.text);
	CHECK(glimpse_of(&l, one, 4001, &g, &missed), "nothing is seen after a flood");
	/* A packet of before may have waited in the socket: with the next one is told what was missed behind it. */
	for (unsigned i = 0; i < 50 && !missed; i++)
		CHECK(glimpse_of(&l, one, 4001, &g, &missed), "nothing more is seen after a flood");
	CHECK(missed, "none is missed");
	snprintf(path, sizeof(path), "%s/" CAPTURE_FILE, dir);
	unlink(path);
	rmdir(dir);
	stop(&l);
	return 0;
}

static void test_glimpses(void **state)
{
	(void)state;
	in_sandbox(glimpses, NULL);
}

static int tcp_and_captures(void *arg)
{
	struct lab l = { 0 };
	const char *dir = arg;
	char path[256];
	if (start_pair(&l))
		return 1;
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(4000) };
	int listener = hosts_socket(l.h, SERVER, AF_INET, SOCK_STREAM, 0, &l.eb);
	CHECK(bind(listener, (struct sockaddr *)&any, sizeof(any)) == 0 && listen(listener, 4) == 0, "%s",
		strerror(errno));
	int tcp = tcp_connect(&l, ALICE, SERVER);
	CHECK(tcp >= 0, "TCP does not pass: %s", strerror(errno));
	CHECK(engine_kernel.reset(l.e, 0, &l.eb) == 0, "%s", l.eb.text);
	struct pollfd pf = { .fd = tcp, .events = POLLIN };
	CHECK(write(tcp, "x", 1) == 1 && poll(&pf, 1, ARRIVE_MS) == 1, "an old TCP flow hangs after a reset");
	CHECK(read(tcp, path, 1) < 0 && errno == ECONNRESET, "an old TCP flow lives on");
	CHECK(run_on(&l, BOB, "ping -c1 -W2 server >/dev/null") == 0, "ICMP does not pass");
	CHECK(engine_kernel.write_pcaps(l.e, dir, &l.eb) == 0, "%s", l.eb.text);
	static const char *const links[] = { "server", "alice", "bob", "home.wan", "home.lan", "office.wan" };
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		CHECK(packets_of(dir, links[i]) >= 2, "no packets of %s in order of time", links[i]);
	CHECK(engine_kernel.write_pcaps(l.e, "/no/such/dir", &l.eb) < 0, "wrote into nowhere");
	stop(&l);
	return 0;
}

static void test_tcp_and_captures(void **state)
{
	char dir[] = "/tmp/kernel_test.XXXXXX", command[64];
	(void)state;
	assert_non_null(mkdtemp(dir));
	in_sandbox(tcp_and_captures, dir);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

/* ---- nothing is left ---- */

/* Cgroups by name: /proc/cgroups counts those of whoever shares the kernel, and those that are still dying. */
static void describe_machine(char *out, size_t cap)
{
	static const char command[] =
		"cat /proc/net/dev | cut -d: -f1; ls /run/netns 2>/dev/null; cat /proc/mounts;"
		"nft list ruleset 2>/dev/null; cat /proc/sys/net/ipv4/ip_forward;"
		"find /sys/fs/cgroup -type d 2>/dev/null | sort";
	FILE *f = popen(command, "r");
	size_t n = f ? fread(out, 1, cap - 1, f) : 0;
	out[n] = '\0';
	if (f)
		pclose(f);
}

static int build_and_linger(void *arg)
{
	struct lab l = { 0 };
	const char *argv[] = { "sh", "-c", "setsid sleep 1000 & exec sleep 1000", NULL };
	if (start_pair(&l))
		return 1;
	(void)hosts_spawn(l.h, ALICE, argv, NULL, (const int[]) { 2, 2 }, &l.eb);
	if (!arg) {
		stop(&l);
		return 0;
	}
	pause();
	return 0;
}

static void test_nothing_is_left(void **state)
{
	static char before[65536], after[65536];
	(void)state;
	describe_machine(before, sizeof(before));
	in_sandbox(build_and_linger, NULL);
	describe_machine(after, sizeof(after));
	assert_string_equal(before, after);
}

/* As subreaper we inherit every orphan, and hear of its death: when no child is left, no process is, and so no namespace. */
static void wait_for_all(void)
{
	enum { GONE_S = 60 }; /* what they run takes a thousand */
	const struct timespec most = { .tv_sec = GONE_S };
	sigset_t deaths, before;
	int left;
	assert_false(sigemptyset(&deaths) || sigaddset(&deaths, SIGCHLD));
	assert_int_equal(sigprocmask(SIG_BLOCK, &deaths, &before), 0);
	do {
		while ((left = waitpid(-1, NULL, WNOHANG)) > 0)
			;
	} while (left == 0 &&
		 (sigtimedwait(&deaths, NULL, &most) > 0 || errno == EINTR)); /* a stop ends it too */
	assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
	if (left == 0)
		fail_msg("a process of the sandbox is left");
}

static pid_t child_of(pid_t pid)
{
	char path[64];
	int child = 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	FILE *f = fopen(path, "r");
	if (!f || fscanf(f, "%d", &child) != 1)
		child = 0;
	if (f)
		fclose(f);
	return child ? child : pid;
}

/* The caller, the sandbox's pid 1, or the body that runs the engine. */
static void test_kill_at_any_moment(void **state)
{
	static char before[65536], after[65536];
	(void)state;
	in_sandbox(build_and_linger, NULL); /* or skip */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	describe_machine(before, sizeof(before));
	for (unsigned i = 0; i < 51; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			struct errbuf eb = { 0 };
			int stay = 1;
			_exit(sandbox_run(build_and_linger, &stay, &eb) ? 1 : 0);
		}
		(void)poll(
			NULL, 0, (int)(i * i / 9)); /* a moment of its life, from birth to running programs */
		pid_t victim = pid;
		for (unsigned depth = i % 3; depth; depth--)
			victim = child_of(victim);
		kill(victim, SIGKILL);
		waitpid(pid, NULL, 0);
		wait_for_all();
	}
	describe_machine(after, sizeof(after));
	assert_string_equal(before, after);
}

static void test_rootless(void **state)
{
	(void)state;
	in_rootless_sandbox(hosts);
	in_rootless_sandbox(processes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_processes),
		cmocka_unit_test(test_tcp_and_captures),
		cmocka_unit_test(test_glimpses),
		cmocka_unit_test(test_nothing_is_left),
		cmocka_unit_test(test_kill_at_any_moment),
		cmocka_unit_test(test_rootless),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
