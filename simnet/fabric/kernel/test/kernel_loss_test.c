/* The self-test on a machine that loses packets, which is no router's fault. */
#include "simnet/fabric/kernel/test/kernel_lab.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

/* The first packet of every flow that comes to the router is lost, before anything there has seen it. */
static const char lossy[] =
	"nft -f - <<'END'\n"
	"table ip lossy {\n"
	" set flows { type ipv4_addr . inet_service . ipv4_addr . inet_service; flags dynamic; size 4096; }\n"
	" set pings { type ipv4_addr . ipv4_addr . icmp_type; flags dynamic; size 4096; }\n"
	" chain lose_flow {\n  update @flows { ip saddr . th sport . ip daddr . th dport }\n  drop\n }\n"
	" chain lose_ping {\n  update @pings { ip saddr . ip daddr . icmp type }\n  drop\n }\n"
	" chain first {\n  type filter hook prerouting priority -400;\n"
	"  meta l4proto { tcp, udp } ip saddr . th sport . ip daddr . th dport != @flows jump lose_flow\n"
	"  ip saddr . ip daddr . icmp type != @pings jump lose_ping\n"
	" }\n"
	"}\nEND\n";

struct loss {
	enum nat_mapping mapping;
	enum nat_filtering filtering;
	enum nat_hairpin hairpin;
	void (*change)(struct nat_model *m);
};

static void filter_hairpins(struct nat_model *m)
{
	m->hairpin_filters = true;
}

static void give_in_order(struct nat_model *m)
{
	m->ports = NAT_PORTS_SEQUENTIAL;
	m->icmp_errors_lost = true;
	m->tcp_unknown = NAT_UNKNOWN_STRICT;
}

static int run_lossy(void *arg)
{
	const struct loss *row = arg;
	struct lab l = { 0 };
	struct scn_router *r = add_router(&l, "home", -1);
	set_classes(r, row->mapping, row->filtering);
	r->model.hairpin = row->hairpin;
	if (row->change)
		row->change(&r->model);
	add_node(&l, "alice", 0);
	if (start(&l))
		return 1;
	CHECK(run_on(&l, hosts_find(l.h, "home"), lossy) == 0, "no loss");
	CHECK(self_test(&l) == 0, "%s", l.eb.text);
	CHECK(run_on(&l, hosts_find(l.h, "home"), "nft list set ip lossy flows | grep -q elements") == 0,
		"nothing was lost");
	stop(&l);
	return 0;
}

static void test_first_packets_lost(void **state)
{
	struct loss rows[] = {
		{ NAT_EIM, NAT_EIF, NAT_HAIRPIN_EXTERNAL, NULL },
		{ NAT_EIM, NAT_ADF, NAT_HAIRPIN_EXTERNAL, filter_hairpins },
		{ NAT_APDM, NAT_APDF, NAT_HAIRPIN_OFF, give_in_order },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		print_message("row %zu\n", i);
		in_sandbox(run_lossy, &rows[i]);
	}
}

/* What the kernel says of those who want the processors is ours in this sandbox. */
static bool say_load(const char *line)
{
	char path[] = "/tmp/kernel_loss_test.XXXXXX";
	int fd = mkstemp(path);
	bool ok = fd >= 0 && write(fd, line, strlen(line)) == (ssize_t)strlen(line) &&
		  mount(path, "/proc/loadavg", NULL, MS_BIND, NULL) == 0;
	if (fd >= 0) {
		close(fd);
		(void)unlink(path);
	}
	return ok;
}

/* What does not come on a machine that is slower than bounds can be stretched by condemns no router; what comes counts. */
static int run_too_slow(void *arg)
{
	struct lab l = { 0 };
	(void)arg;
	if (start_pair(&l))
		return 1;
	CHECK(say_load("4000 4000 4000 4000/5000 1\n"), "the load cannot be told: %s", strerror(errno));
	CHECK(engine_kernel.self_test(l.e, &l.eb) == 0, "%s", l.eb.text);
	set_classes(&l.r[0], NAT_ADM, NAT_APDF);
	CHECK(engine_kernel.self_test(l.e, &l.eb) == ERR_REFUSED, "a class that was seen: %s", l.eb.text);
	set_classes(&l.r[0], NAT_EIM, NAT_EIF);
	CHECK(engine_kernel.self_test(l.e, &l.eb) == -ETIMEDOUT &&
			strstr(l.eb.text, "router 'home' cannot be measured on a machine that is ") &&
			strstr(l.eb.text, "measured EIM/APDF"),
		"%s", l.eb.text);
	stop(&l);
	return 0;
}

static void test_too_slow(void **state)
{
	(void)state;
	in_sandbox(run_too_slow, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_packets_lost),
		cmocka_unit_test(test_too_slow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
