#include "mesh/node/host/test/lab.h"
#include "mesh/os/child.h"
#include "mesh/os/sock.h"
#include "mesh/os/test/own_ns.h"
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { RUN_MS = 60000, ARRIVE_MS = 60000, AGAIN_MS = 20 };

static struct {
	int ns[LAB_PLACES], outer;
} lab;

/* Enough of a host, a peer, a LAN and a container; addresses of the mesh are the tests'. */
static const char *const build[] = {
	"ip link set lo up; ip link add eth0 type veth peer name lan; ip link add rope0 type veth peer name "
	"mesh;"
	"ip link add name cbr0 type bridge; ip link add port type veth peer name box; ip link set port "
	"master cbr0;"
	"ip link set eth0 address 02:00:00:00:00:0a; ip link set cbr0 address 02:00:00:00:00:0b;"
	"for i in eth0 rope0 cbr0 port; do ip link set $i up; done;"
	"ip addr add 10.9.0.2/24 dev eth0; ip -6 addr add fd09::2/64 dev eth0 nodad;"
	"ip addr add 172.17.0.1/24 dev cbr0; ip -6 addr add fd17::1/64 dev cbr0 nodad;"
	"ip route add default via 10.9.0.1; ip -6 route add default via fd09::1;"
	"sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 "
	"net.ipv4.conf.eth0.rp_filter=0 net.ipv4.conf.cbr0.rp_filter=0 net.ipv4.conf.rope0.rp_filter=0",
	"ip link set lo up; ip link set mesh up; ip addr add 100.64.0.2/32 dev mesh; ip addr add "
	"100.64.0.4/32 dev mesh;"
	"ip -6 addr add fd7a:115c:a1e0::2/128 dev mesh nodad; ip route add default dev mesh;"
	"ip -6 route add default dev mesh; ip neigh add 100.64.0.1 dev mesh lladdr 02:00:00:00:00:09;"
	"ip -6 neigh add fd7a:115c:a1e0::1 dev mesh lladdr 02:00:00:00:00:09",
	"ip link set lo up; ip link set lan up; ip addr add 10.9.0.1/24 dev lan; ip -6 addr add fd09::1/64 "
	"dev lan nodad;"
	"ip addr add 100.64.0.2/32 dev lan; ip -6 addr add fd7a:115c:a1e0::2/128 dev lan nodad;"
	"ip route add default via 10.9.0.2; ip -6 route add default via fd09::2;"
	/* Solicitations would have the forged source. */
	"ip neigh add 10.9.0.2 dev lan lladdr 02:00:00:00:00:0a; ip -6 neigh add fd09::2 dev lan lladdr "
	"02:00:00:00:00:0a",
	"ip link set lo up; ip link set box up; ip addr add 172.17.0.2/24 dev box; ip -6 addr add fd17::2/64 "
	"dev box nodad;"
	"ip addr add 100.64.0.2/32 dev box; ip -6 addr add fd7a:115c:a1e0::2/128 dev box nodad;"
	"ip route add default via 172.17.0.1; ip -6 route add default via fd17::1;"
	"ip neigh add 172.17.0.1 dev box lladdr 02:00:00:00:00:0b; ip -6 neigh add fd17::1 dev box lladdr "
	"02:00:00:00:00:0b",
};

void lab_enter(enum lab_place place)
{
	assert_int_equal(setns(lab.ns[place], CLONE_NEWNET), 0);
}

void lab_run(enum lab_place place, const char *line)
{
	const char *const argv[] = { "sh", "-ec", line, NULL };
	struct errbuf eb = { 0 };
	lab_enter(place);
	if (child_run(argv, NULL, 0, RUN_MS, &eb) != 0)
		fail_msg("%s: %s", line, eb.text);
	lab_enter(LAB_HOST);
}

bool lab_available(void)
{
	static const char *const argv[] = { "nft", "list", "tables", NULL };
	if (own_ns(CLONE_NEWNET) && child_run(argv, NULL, 0, RUN_MS, NULL) == 0)
		return true;
	print_message("skipped: no network namespaces here, or no nft\n");
	return false;
}

void lab_settle(enum lab_place place)
{
	lab_run(place, "for a in $(ip -6 -o addr show scope global | sed 's/.*inet6 \\([^/]*\\).*/\\1/'); do "
		       "until ip -6 route show table local | grep -q \"^local $a \"; do :; done; done");
}

bool lab_open(void)
{
	static const char *const ends[] = { NULL, "mesh", "lan", "box" };
	char line[128];
	lab.outer = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < LAB_PLACES; i++) {
		if (unshare(CLONE_NEWNET) != 0)
			return false;
		lab.ns[i] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	}
	lab_run(LAB_HOST, build[LAB_HOST]);
	for (int i = LAB_MESH; i < LAB_PLACES; i++) {
		snprintf(line, sizeof(line), "ip link set %s netns /proc/%d/fd/%d", ends[i], (int)getpid(),
			lab.ns[i]);
		lab_run(LAB_HOST, line);
		lab_run(i, build[i]);
	}
	lab_run(LAB_HOST, "ip link set rope0 address 02:00:00:00:00:09");
	for (int i = LAB_HOST; i < LAB_PLACES; i++)
		lab_settle(i);
	return true;
}

void lab_close(void)
{
	for (int i = 0; i < LAB_PLACES; i++)
		close(lab.ns[i]);
	(void)setns(lab.outer, CLONE_NEWNET);
	close(lab.outer);
}

int lab_listen(uint16_t port)
{
	struct endpoint any = { .port = port };
	struct errbuf eb = { 0 };
	int fd = sock_udp(&any, &eb);
	if (fd < 0)
		fail_msg("%s", eb.text);
	return fd;
}

void lab_send(enum lab_place from, const char *source, const char *to, uint16_t port, char mark)
{
	struct endpoint src = { 0 }, dst = { .port = port };
	struct sockaddr_storage ss;
	struct errbuf eb = { 0 };
	assert_true(addr_parse(source, &src.ip) && addr_parse(to, &dst.ip));
	lab_enter(from);
	int fd = sock_udp(&src, &eb);
	lab_enter(LAB_HOST);
	if (fd < 0)
		fail_msg("%s", eb.text);
	socklen_t n = endpoint_to_sockaddr(&dst, false, &ss);
	assert_int_equal(sendto(fd, &mark, 1, 0, (struct sockaddr *)&ss, n), 1);
	close(fd);
}

bool lab_reaches(int listener, enum lab_place from, const char *source, const char *to, uint16_t port)
{
	static const char *const own[][2] = {
		[LAB_LAN] = { "10.9.0.1", "fd09::1" }, [LAB_BOX] = { "172.17.0.2", "fd17::2" }
	};
	static const char *const host[][2] = {
		[LAB_LAN] = { "10.9.0.2", "fd09::2" }, [LAB_BOX] = { "172.17.0.1", "fd17::1" }
	};
	bool v6 = strchr(to, ':');
	struct pollfd f = { .fd = listener, .events = POLLIN };
	char got = 0;
	bool reached = false;
	lab_send(from, source, to, port, 'x');
	/* Veth pairs keep the order: once the second is here, the first will never be. */
	if (from != LAB_MESH)
		lab_send(from, own[from][v6], host[from][v6], port, 'y');
	for (;;) {
		assert_int_equal(poll(&f, 1, ARRIVE_MS), 1);
		assert_int_equal(recv(listener, &got, 1, 0), 1);
		reached = reached || got == 'x';
		if (got == 'y' || from == LAB_MESH)
			return reached;
	}
}

struct await {
	struct loop_timer *again;
	uint64_t until_ms;
};

static void await_again(void *arg)
{
	loop_timer_set(((struct await *)arg)->again, AGAIN_MS);
}

/* What makes it true may be no event of the loop's: it is asked at each event, and now and then. */
void lab_await(struct loop *l, const char *line)
{
	struct await a = { .until_ms = loop_now_ms(l) + RUN_MS };
	a.again = loop_timer_new(l, await_again, &a);
	await_again(&a);
	bool is_true;
	while (!(is_true = system(line) == 0) && loop_now_ms(l) < a.until_ms)
		loop_run_once(l);
	loop_timer_free(a.again);
	if (!is_true)
		fail_msg("never came true: %s", line);
}
