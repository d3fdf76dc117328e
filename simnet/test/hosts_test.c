/* Where hosts are plugged in, in whole runs: what the file chooses is what the kernel has. */
#include "simnet/fabric/kernel/engine_kernel.h"
#include "simnet/test/scenario_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define HEAD "simnet: 1\nname: t\n"
#define HOMES \
	"routers:\n  isp: {nat: cgnat, lan: 100.64.0.0/16}\n" \
	"  h1: {nat: home, lan: 192.168.1.0/24, behind: isp, ip: 100.64.7.9}\n" \
	"  h2: {nat: home, lan: 192.168.1.0/24, ip: 5.6.7.8}\n  h3: {nat: home}\n"

struct row {
	const char *text;
	int code;
	const char *says;
};

static void run_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char *records = NULL;
		int code = scenario_run(rows[i].text, &records);
		const char *wrong = records ? strstr(records, "\"kind\":\"failed\"") : NULL;
		if (code != rows[i].code || !records || !strstr(records, rows[i].says))
			fail_msg("row %zu: code %d\n%.600s", i, code, wrong ? wrong : records ? records : "");
		free(records);
	}
}

static void test_addresses(void **state)
{
	static const struct row rows[] = {
		/* Two homes of one range, one of them behind a carrier: each reaches the internet as itself. */
		{ HEAD HOMES
			"nodes:\n  s: {at: internet, ip: 9.9.9.9}\n  a: {at: h1}\n  b: {at: h2}\nsteps:\n"
			"  - run: {at: a, argv: [ip, -4, -br, addr, show, eth0], matches: ' "
			"192.168.1.10/24'}\n"
			"  - run: {at: b, argv: [ip, -4, -br, addr, show, eth0], matches: ' "
			"192.168.1.10/24'}\n"
			"  - run: {at: h1, argv: [ip, -4, -br, addr, show, wan], matches: ' 100.64.7.9/16'}\n"
			"  - ping: {from: a, to: s, within: 5s}\n  - ping: {from: b, to: s, within: 5s}\n",
			EXIT_PASS, "\"kind\":\"pass\"" },
		/* The default route goes by the smallest metric, another one as the file says. */
		{ HEAD HOMES
			"nodes:\n  s: {at: internet, ip: 9.9.9.9}\n"
			"  a: {interfaces: {eth0: {at: h1}, wlan0: {at: h3, metric: 7}, "
			"wwan0: {at: isp, default: false, routes: [10.0.0.0/8, 10.9.0.0/16 via 100.64.7.9]}, "
			"spare: {at: h2, up: false}}}\nsteps:\n"
			"  - run: {at: a, argv: [ip, route, get, 9.9.9.9], matches: 'dev wlan0'}\n"
			"  - run: {at: a, argv: [ip, route, get, 10.1.1.1], matches: 'via 100.64.0.1 dev "
			"wwan0'}\n"
			"  - run: {at: a, argv: [ip, route, get, 10.9.1.1], matches: 'via 100.64.7.9 dev "
			"wwan0'}\n"
			"  - run: {at: a, argv: [sh, -c, 'ip route show default | wc -l'], is: '2'}\n"
			"  - run: {at: a, argv: [ip, -br, addr, show, spare], matches: 'DOWN *$'}\n"
			"  - ping: {from: a, to: s, within: 5s}\n  - cut: a.link\n"
			"  - ping: {from: a, to: s, within: 300ms, fails: true}\n",
			EXIT_PASS, "\"kind\":\"pass\"" },
		/* A host has the addresses that its network offers, also after a move. */
		{ HEAD "ipv6: true\n"
		       "routers:\n"
		       "  six: {nat: home, offers: ipv6}\n"
		       "  four: {nat: home, offers: ipv4}\n"
		       "  hard: {nat: hard}\n"
		       "nodes:\n"
		       "  server: {at: internet}\n"
		       "  a: {at: six}\n"
		       "  b: {at: four}\n"
		       "  c: {at: hard}\n"
		       "steps:\n"
		       "  - run: {at: a, argv: [sh, -c, \"ip -4 addr show eth0; ip -4 route; ip -6 -br addr "
		       "show eth0\"], matches: \"2a0e:5100:\"}\n"
		       "  - run: {at: a, argv: [sh, -c, \"[ -z \\\"$(ip -4 -o addr show eth0)\\\" ] && [ -z "
		       "\\\"$(ip -4 route)\\\" ]\"]}\n"
		       "  - run: {at: b, argv: [sh, -c, \"[ -z \\\"$(ip -6 -o addr show eth0 scope "
		       "global)\\\" ]\"]}\n"
		       "  - run: {at: a, argv: [sh, -c, \"ping -6 -c1 -W1 server || ping -c1 -W1 "
		       "2a0e:5100::cb00:710a\"]}\n"
		       "  - ping: {from: b, to: server}\n"
		       "  - ping: {from: a, to: \"2a0e:5100::cb00:710a\"}\n"
		       "  - ping: {from: c, to: server}\n"
		       "  - run: {at: server, argv: [echo, \"{a.ip} {oracle.a->b} {oracle.a->c} "
		       "{oracle.b->c}\"], matches: \"^2a0e.* relay direct relay\"}\n"
		       "  - move: {at: c, to: six}\n"
		       "  - run: {at: c, argv: [sh, -c, \"[ -z \\\"$(ip -4 -o addr show eth0)\\\" ]\"]}\n"
		       "  - ping: {from: c, to: a}\n"
		       "  - move: {at: c, to: four}\n"
		       "  - run: {at: c, argv: [sh, -c, \"[ -z \\\"$(ip -6 -o addr show eth0 scope "
		       "global)\\\" ]\"]}\n"
		       "  - ping: {from: c, to: server}\n",
			EXIT_PASS, "\"kind\":\"pass\"" },
	};
	(void)state;
	run_rows(rows, ARRAY_LEN(rows));
}

/* Each gap is what the file says the change takes, and what a program would see is what the host has. */
static void test_changes(void **state)
{
	static const struct row rows[] = {
		{ HEAD "routers:\n"
		       "  isp: {nat: cgnat, lan: 100.64.0.0/16}\n"
		       "  home-a: {nat: home, lan: 192.168.1.0/24, behind: isp}\n"
		       "  home-b: {nat: home, lan: 192.168.1.0/24}\n"
		       "  cell: {nat: hard}\n"
		       "nodes:\n"
		       "  server: {at: internet, ip: 9.9.9.9}\n"
		       "  alice: {at: home-a}\n"
		       "  bob: {at: internet}\n"
		       "steps:\n"
		       "  - ping: {from: alice, to: server}\n"
		       "  - ping: {from: server, to: bob}\n"
		       "  - lease: bob\n"
		       "  - ping: {from: server, to: bob}\n"
		       "  - run: {at: bob, argv: [sh, -c, \"ip -4 -o addr show eth0 | grep -q "
		       "{bob.ip}/24\"]}\n"
		       "  - move: {at: alice, to: home-b}\n"
		       "  - expect: {gap: alice->server, max: 5s}\n"
		       "  - run: {at: alice, argv: [ip, -4, -br, addr], matches: "
		       "\"eth0@.*192.168.1.1[01]/24\"}\n"
		       "  - move: {at: alice, to: cell, for: 1s}\n"
		       "  - expect: {gap: alice->server, max: 5s}\n"
		       "  - run: {at: alice, argv: [ip, route], matches: \"default via 192.168.[34].1 dev "
		       "eth0\"}\n"
		       "  - move: {at: alice, to: home-a, how: make-before-break}\n"
		       "  - expect: {gap: alice->server, max: 5s}\n"
		       "  - run: {at: alice, argv: [ip, route], matches: \"default via 192.168.1.1 dev "
		       "eth1\"}\n"
		       "  - run: {at: alice, argv: [ip, -br, link, show, eth0], matches: \"DOWN\"}\n"
		       "  - lease: {at: alice, for: 500ms}\n"
		       "  - expect: {gap: alice->server, max: 5s}\n"
		       "  - lease: {at: home-a, ip: 100.64.9.9}\n"
		       "  - expect: {gap: alice->server, max: 5s}\n"
		       "  - move: {at: home-a, to: internet}\n"
		       "  - expect: {gap: alice->server, max: 5s}\n"
		       "  - run: {at: server, argv: [sh, -c, \"[ {home-a.wan} = 203.0.113.103 ]\"]}\n"
		       "  - interface: {at: alice, name: eth0, up: true, to: cell, metric: 5}\n"
		       "  - run: {at: alice, argv: [ip, route, get, 9.9.9.9], matches: \"dev eth0\"}\n"
		       "  - interface: {at: alice, name: eth0, metric: 5000}\n"
		       "  - run: {at: alice, argv: [ip, route, get, 9.9.9.9], matches: \"dev eth1\"}\n"
		       "  - interface: {at: alice, name: eth0, up: false}\n"
		       "  - interface: {at: alice, name: eth1, up: false}\n"
		       "  - ping: {from: alice, to: server, fails: true, within: 200ms}\n",
			EXIT_PASS, "\"kind\":\"pass\"" },
		/* Who is on no network hears nothing, and the oracle says so. */
		{ HEAD "routers:\n  h: {nat: home}\nnodes:\n  a: {at: h}\n  b: {at: internet}\nsteps:\n"
		       "  - interface: {at: a, name: eth0, up: false}\n"
		       "  - run: {at: b, argv: [echo, '{oracle.a->b}'], is: none}\n"
		       "  - interface: {at: a, name: eth0, up: true, to: internet}\n"
		       "  - run: {at: b, argv: [echo, '{oracle.a->b}'], is: direct}\n"
		       "  - ping: {from: b, to: a, within: 2s}\n",
			EXIT_PASS, "\"kind\":\"pass\"" },
		/* An address that somebody else had before is the new one's at once. */
		{ HEAD "nodes:\n  a: {at: internet}\n  b: {at: internet, ip: 203.0.113.50}\n"
		       "  c: {at: internet}\nsteps:\n  - ping: {from: a, to: 203.0.113.50, within: 2s}\n"
		       "  - lease: b\n  - lease: {at: c, ip: 203.0.113.50}\n"
		       "  - run: {at: c, argv: [sh, -c, 'ping -c1 -W1 -q {a.ip} && ip -4 addr show eth0'], "
		       "matches: 203.0.113.50}\n  - ping: {from: a, to: c, within: 2s}\n",
			EXIT_PASS, "c gets another address: eth0 is 203.0.113.50" },
	};
	(void)state;
	run_rows(rows, ARRAY_LEN(rows));
}

/* Hosts and routers move in userspace as well. */
static void test_userspace(void **state)
{
	static const struct row rows[] = {
		{ HEAD "routers: {h: {nat: home}, g: {nat: home}}\nnodes: {a: {at: h}, b: {at: "
		       "internet}}\nsteps:\n"
		       "  - ping: {from: a, to: b, within: 5s}\n  - move: {at: a, to: g}\n"
		       "  - run: {at: a, argv: [ip, -4, -br, addr, show, eth0], matches: 192.168.2.10}\n"
		       "  - ping: {from: a, to: b, within: 5s}\n  - sleep: {at: a, for: 300ms}\n"
		       "  - ping: {from: a, to: b, within: 5s}\n",
			EXIT_PASS, "\"kind\":\"pass\"" },
		{ HEAD "routers: {isp: {nat: cgnat}, h: {nat: home, behind: isp, link: {delay: 1ms}}}\n"
		       "nodes: {a: {at: h}, b: {at: internet}}\nsteps:\n"
		       "  - ping: {from: a, to: b, within: 5s}\n  - lease: {at: h, for: 300ms}\n"
		       "  - ping: {from: a, to: b, within: 5s}\n  - cut: isp.link\n  - move: {at: h, to: "
		       "internet}\n"
		       "  - ping: {from: a, to: b, within: 5s}\n  - move: {at: h, to: isp, for: 300ms}\n"
		       "  - ping: {from: a, to: b, fails: true, within: 300ms}\n  - heal: isp.link\n"
		       "  - ping: {from: a, to: b, within: 5s}\n",
			EXIT_PASS, "\"kind\":\"pass\"" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *records = NULL;
		int code = scenario_run_on(&engine_user, rows[i].text, NULL, &records);
		if (code != rows[i].code || !records || !strstr(records, rows[i].says))
			fail_msg("row %zu: code %d\n%.900s", i, code, records ? records : "");
		free(records);
	}
}

/* Two programs on one router: its interfaces and processes are theirs, and each ends alone. */
static void test_on_router(void **state)
{
	static const struct row rows[] = {
		{ HEAD "ipv6: true\nrouters:\n  h: {nat: home, lan: 192.168.7.0/24, ip: 5.6.7.8}\nservices:\n"
		       "  p: {router: h, run: [sh, -c, 'echo $X; exec sleep 61'], ready: {line: '^from p$'}, "
		       "env: {X: from p}, files: {/etc/p: {text: '{router}'}}}\n"
		       "  q: {router: h, run: [socat, 'TCP-LISTEN:80,fork', 'EXEC:cat /etc/p'], "
		       "ready: {port: 'tcp {ip}:80'}, start: later}\n"
		       "nodes:\n  a: {at: h}\nsteps:\n"
		       "  - spawn: q\n"
		       "  - run: {at: p, argv: [ip, -4, -br, addr, show, lan], matches: ' 192.168.7.1/24'}\n"
		       "  - run: {at: p, argv: [echo, '{p.ip} {p.ip6} {h.lan} {h.lan6} {p.dir}'], "
		       "matches: '^192.168.7.1 2a0e:[^ ]* 192.168.7.0/24 2a0e:[^ ]*/64 /.*/p$'}\n"
		       "  - run: {at: a, argv: [socat, -u, 'TCP:q:80', '-'], is: h}\n"
		       "  - run: {at: h, argv: [pgrep, -fc, 'sleep 61'], is: '1'}\n"
		       "  - ping: {from: a, to: '{p.ip}', within: 2s}\n"
		       "  - kill: p\n"
		       "  - run: {at: h, argv: [pgrep, -fc, 'sleep 61'], exit: 1, is: '0'}\n"
		       "  - run: {at: a, argv: [socat, -u, 'TCP:q:80', '-'], is: h}\n"
		       "  - spawn: p\n"
		       "  - run: {at: h, argv: [pgrep, -fc, 'sleep 61'], is: '1'}\n",
			EXIT_PASS, "1 router and 1 host built" },
		{ HEAD "ipv6: true\nrouters:\n  h: {nat: home, nat64: {}}\nservices:\n  p: {router: h, run: "
		       "[x]}\n"
		       "nodes:\n  a: {at: h}\n",
			EXIT_HOST,
			"'p' cannot run on router 'h', which is in userspace: NAT64: nftables makes no "
			"IPv4" },
	};
	static const char ends[] = HEAD "routers:\n  h: {nat: home}\nservices:\n"
					"  p: {router: h, run: [sh, -c, 'echo no; exit 3'], ready: {line: "
					"never}}\nnodes:\n  a: {at: h}\n";
	static const char beside[] =
		HEAD "routers:\n  h: {nat: home}\nservices:\n  p: {router: h, run: ['true']}\n"
		     "  q: {router: h, run: [sleep, '62']}\nnodes:\n  a: {at: h}\nsteps:\n"
		     "  - run: {at: a, argv: [socat, -u, 'TCP:p:80', '-'], within: 2s}\n";
	static const char in_user[] = HEAD
		"routers:\n  h: {nat: home}\nservices:\n  p: {router: h, run: [x]}\nnodes:\n  a: {at: h}\n";
	char *records = NULL;
	(void)state;
	run_rows(rows, ARRAY_LEN(rows));
	assert_int_equal(scenario_run_on(&engine_user, in_user, NULL, &records), EXIT_HOST);
	assert_non_null(strstr(records, "programs run on routers of the kernel engine alone"));
	free(records);
	assert_int_equal(scenario_run(ends, &records), EXIT_FAILED);
	assert_non_null(strstr(records, "cause: p: the program ended with status 3; it said: no"));
	assert_null(strstr(records, "firewall rules of its own"));
	free(records);
	/* that another one goes on there says nothing of it */
	assert_int_equal(scenario_run(beside, &records), EXIT_FAILED);
	assert_non_null(strstr(records, "p has ended"));
	assert_null(strstr(records, "went into the background"));
	free(records);
}

/* Its clock, variables, files and sleep. */
static void test_machine(void **state)
{
	static const struct row rows[] = {
		{ HEAD "routers:\n"
		       "  home: {nat: home}\n"
		       "nodes:\n"
		       "  server: {at: internet}\n"
		       "  alice:\n"
		       "    at: home\n"
		       "    run: [sh, -c, \"id -u >{dir}/who; cat /etc/my/conf >{dir}/saw; echo $WORD "
		       ">>{dir}/saw; ls -l /etc/my/conf | cut -c1-10 >>{dir}/saw; i=0; while :; do "
		       "i=$((i+1)); echo $i >{dir}/next; mv {dir}/next {dir}/count; sleep 0.05; done\"]\n"
		       "    env: {WORD: \"two words\"}\n"
		       "    files:\n"
		       "      /etc/my/conf: \"for {server.ip}\\n\"\n"
		       "      /var/lib/x/y: {text: secret, mode: \"0600\"}\n"
		       "    clock: -100d\n"
		       "  bob: {at: internet, clock: +1h}\n"
		       "steps:\n"
		       "  - run: {at: alice, argv: [cat, \"{dir}/saw\"], is: \"for {server.ip}\"}\n"
		       "  - run: {at: alice, argv: [cat, \"{dir}/saw\"], is: \"two words\"}\n"
		       "  - run: {at: alice, argv: [cat, \"{dir}/saw\"], is: \"-rw-r--r--\"}\n"
		       "  - run: {at: alice, argv: [stat, -c, \"%a\", /var/lib/x/y], is: \"600\"}\n"
		       "  - run: {at: alice, argv: [sh, -c, \"echo $(( $(date +%s) + 8640000 ))\"], capture: "
		       "now}\n"
		       "  - run: {at: server, argv: [sh, -c, \"d=$(( {capture.now} - $(date +%s) )); [ $d "
		       "-ge -2 ] && [ $d -le 2 ]\"]}\n"
		       "  - run: {at: bob, argv: [sh, -c, \"echo $(( $(date +%s) - 3600 ))\"], capture: "
		       "bobs}\n"
		       "  - run: {at: server, argv: [sh, -c, \"d=$(( {capture.bobs} - $(date +%s) )); [ $d "
		       "-ge -2 ] && [ $d -le 2 ]\"]}\n"
		       "  - ping: {from: alice, to: server}\n"
		       "  - sleep: {at: alice, for: 2s}\n"
		       "  - expect: {gap: alice->server, max: 5s, for: 500ms}\n"
		       "  - sleep: alice\n"
		       "  - run: {at: server, argv: [echo, \"{oracle.alice->server}\"], is: none}\n"
		       "  - run: {at: server, argv: [sh, -c, \"a=$(cat {alice.dir}/count); sleep 0.3; [ $a = "
		       "$(cat {alice.dir}/count) ]\"]}\n"
		       "  - run: {at: alice, argv: [cat, /sys/class/net/eth0/carrier], is: \"0\"}\n"
		       "  - ping: {from: alice, to: server, fails: true, within: 300ms}\n"
		       "  - wake: alice\n"
		       "  - run: {at: server, argv: [sh, -c, \"a=$(cat {alice.dir}/count); sleep 0.3; [ $a "
		       "!= $(cat {alice.dir}/count) ]\"]}\n"
		       "  - run: {at: alice, argv: [cat, /sys/class/net/eth0/carrier], is: \"1\"}\n"
		       "  - expect: {gap: alice->server, max: 5s}\n"
		       "  - clock: {at: bob, is: -1d}\n"
		       "  - run: {at: bob, argv: [sh, -c, \"echo $(( $(date +%s) + 86400 ))\"], capture: t}\n"
		       "  - run: {at: server, argv: [sh, -c, \"d=$(( {capture.t} - $(date +%s) )); [ $d -ge "
		       "-2 ] && [ $d -le 2 ]\"]}\n",
			EXIT_PASS, "\"kind\":\"pass\"" },
		/* What is the host's own is not another's, nor the machine's; and processes are not seen. */
		{ HEAD "nodes:\n  a: {at: internet, run: [sleep, '61'], files: {/etc/mine: x, /tmp/mine: x, "
		       "/var/mine: x, "
		       "/run/mine: x}}\n  b: {at: internet, run: [sleep, '62']}\nsteps:\n"
		       "  - run: {at: a, argv: [cat, /etc/mine, /tmp/mine, /var/mine, /run/mine], is: xxxx}\n"
		       "  - run: {at: b, argv: [sh, -c, 'ls /etc/mine /tmp/mine /var/mine /run/mine 2>&1 | "
		       "grep -c No'], "
		       "is: '4'}\n"
		       "  - run: {at: a, argv: [sh, -c, 'cat /proc/[0-9]*/cmdline | tr \"\\\\0\" \" \"'], "
		       "matches: 'sleep 61'}\n"
		       "  - run: {at: b, argv: [sh, -c, '! cat /proc/[0-9]*/cmdline | tr \"\\\\0\" \" \" | "
		       "grep -q \"sleep 6[1]\"']}\n",
			EXIT_PASS, "\"kind\":\"pass\"" },
		/* A link leads to what is not the host's: it is replaced, and not followed. */
		{ HEAD "nodes:\n  a: {at: internet, run: [sleep, '63'], files: {/etc/link: mine}}\nsteps:\n"
		       "  - run: {at: a, argv: [sh, -c, 'echo theirs >{dir}/t; ln -sf {dir}/t /etc/link']}\n"
		       "  - kill: a\n  - spawn: a\n"
		       "  - run: {at: a, argv: [cat, '{dir}/t', /etc/link], matches: '^theirs$'}\n"
		       "  - run: {at: a, argv: [cat, /etc/link], is: mine}\n",
			EXIT_PASS, "\"kind\":\"pass\"" },
		{ HEAD "nodes:\n  a: {at: internet, run: [sleep, '64'], files: {/etc/d/x: mine}}\nsteps:\n"
		       "  - run: {at: a, argv: [sh, -c, 'rm -r /etc/d; mkdir {dir}/d; ln -s {dir}/d "
		       "/etc/d']}\n"
		       "  - kill: a\n  - spawn: a\n",
			EXIT_FAILED, "/etc/d/x of a would be written on the machine itself" },
	};
	(void)state;
	run_rows(rows, ARRAY_LEN(rows));
	assert_int_not_equal(access("/tmp/mine", F_OK), 0);
}

/* What is not a host's own can be read and not written, by root either, on a node and on a router. */
static void test_only_read(void **state)
{
	char cwd[512], text[3000];
	char *records = NULL;
	(void)state;
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	static const char *const places[] = { "node", "router" };
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		snprintf(text, sizeof(text),
			HEAD "routers:\n  router: {nat: home}\nnodes:\n  node: {at: router}\nsteps:\n"
			     "  - run:\n      at: %s\n      argv: [sh, -c, \"for d in / /usr /usr/local "
			     "/root /opt /home "
			     "/dev %s; do touch $d/simnet-writes 2>&1; rm -f $d/simnet-writes; done | "
			     "grep -cE 'Read-only file system%s'\"]\n      is: '8'\n"
			     "  - run: {at: %s, argv: [ls, /usr/bin, '%s'], matches: '^env$'}\n"
			     "  - run: {at: node, argv: [sh, -ec, 'for d in {dir} /etc /var /var/tmp /tmp "
			     "/run /dev/shm; do "
			     "echo x >$d/simnet-writes; done; echo x >/dev/null; echo 1 "
			     ">/proc/sys/net/ipv4/ip_forward']}\n"
			     "  - run: {at: router, argv: [ls, /dev/shm], is: ''}\n",
			places[i], cwd, /* a user may not write to most of them anyway */
			geteuid() == 0 ? "" : "|Permission denied", places[i], cwd);
		int code = scenario_run(text, &records);
		const char *failed = records ? strstr(records, "\"kind\":\"fail\"") : NULL;
		if (code != EXIT_PASS)
			fail_msg("%s: code %d\n%.900s", places[i], code, failed ? failed : "");
		free(records);
		assert_int_not_equal(access("/dev/shm/simnet-writes", F_OK), 0);
	}
}

static void write_in(const char *parent)
{
	char dir[64], inside[80], text[1500], got[8] = { 0 };
	char *records = NULL;
	snprintf(dir, sizeof(dir), "%s/simnet-writable-XXXXXX", parent);
	if (!mkdtemp(dir))
		return; /* it is not everybody's */
	snprintf(inside, sizeof(inside), "%s/left", dir);
	snprintf(text, sizeof(text),
		HEAD "routers:\n  router: {nat: home}\nnodes:\n  node: {at: router}\nsteps:\n"
		     "  - run: {at: node, argv: [sh, -ec, 'echo one >%s']}\n"
		     "  - run: {at: router, argv: [sh, -ec, 'echo two >>%s']}\n"
		     "  - run: {at: node, argv: [touch, /usr/simnet-writes], fails: true}\n",
		inside, inside);
	assert_int_equal(setenv("SIMNET_WRITABLE", dir, 1), 0);
	int code = scenario_run(text, &records);
	unsetenv("SIMNET_WRITABLE");
	const char *failed = records ? strstr(records, "\"kind\":\"fail\"") : NULL;
	FILE *f = fopen(inside, "re");
	size_t n = f ? fread(got, 1, sizeof(got), f) : 0;
	if (f)
		fclose(f);
	(void)unlink(inside);
	(void)rmdir(dir);
	if (code != EXIT_PASS)
		fail_msg("%s: code %d\n%.900s", parent, code, failed ? failed : "");
	free(records);
	assert_int_equal(n, sizeof(got));
	assert_memory_equal(got, "one\ntwo\n", sizeof(got));
}

/* But for one folder that is named for it, wherever it is: what is written there is there afterwards. */
static void test_writable(void **state)
{
	static const char *const parents[] = { "/var/tmp", "/tmp", "/dev/shm" };
	char *records = NULL;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(parents); i++)
		write_in(parents[i]);
	assert_int_equal(setenv("SIMNET_WRITABLE", "here", 1), 0);
	int code = scenario_run(HEAD "nodes:\n  node: {at: internet}\nsteps:\n"
				     "  - run: {at: node, argv: [\"true\"]}\n",
		&records);
	unsetenv("SIMNET_WRITABLE");
	assert_int_not_equal(code, EXIT_PASS);
	assert_non_null(records);
	assert_non_null(strstr(records, "SIMNET_WRITABLE is 'here', which is no path from the root on"));
	free(records);
}

/* A server, another, an office behind a router with rules, and bob with rules of his own. */
#define FIREWALLS \
	HEAD "ipv6: true\n" \
	     "routers:\n" \
	     "  office:\n" \
	     "    nat: home\n" \
	     "    firewall:\n" \
	     "      in: [accept established, accept tcp 7 from 203.0.113.0/24, drop]\n" \
	     "      out: [accept icmp, accept tcp 7-10, accept udp 53, reject tcp, drop]\n" \
	     "nodes:\n" \
	     "  server: {at: internet, run: [python3, -m, http.server, \"7\"], ready: {port: \"tcp " \
	     "{ip}:7\"}}\n" \
	     "  other: {at: internet, run: [python3, -m, http.server, \"80\"], ready: {port: \"tcp " \
	     "{ip}:80\"}}\n" \
	     "  alice: {at: office}\n" \
	     "  bob: {at: internet, firewall: {in: [accept established, accept icmp from " \
	     "203.0.113.0/24, accept icmp from 2a0e:5100::/64, drop], out: [\"drop udp 9 to " \
	     "203.0.113.0/24\"]}, run: [python3, -m, http.server, \"80\"], ready: {port: \"tcp " \
	     "{ip}:80\"}}\n" \
	     "steps:\n" \
	     "  - ping: {from: alice, to: server, within: 2s}\n" \
	     "  - ping: {from: server, to: bob, within: 2s}\n" \
	     "  - run: {at: alice, argv: [bash, -c, \"exec 3<>/dev/tcp/{server.ip}/7\"]}\n" \
	     "  - run: {at: alice, argv: [bash, -c, \"exec 3<>/dev/tcp/{other.ip}/80\"], fails: " \
	     "true, within: 900ms}\n" \
	     "    say: reject answers at once\n" \
	     "  - run: {at: bob, argv: [bash, -c, \"exec 3<>/dev/tcp/{other.ip}/80\"]}\n" \
	     "  - run: {at: other, argv: [timeout, \"0.5\", bash, -c, \"exec " \
	     "3<>/dev/tcp/{bob.ip}/80\"], exit: 124}\n" \
	     "  - run: {at: bob, argv: [bash, -c, \"echo x >/dev/udp/{server.ip}/9\"], fails: " \
	     "true}\n" \
	     "  - run: {at: bob, argv: [bash, -c, \"echo x >/dev/udp/{server.ip}/10\"]}\n" \
	     "  - run: {at: alice, argv: [sh, -c, \"ping -6 -c1 -W1 $(ip -6 route show default | " \
	     "cut -d' ' -f3)\"]}\n"
/* Of hosts and routers, both families; what dies by a rule is in the story under its words. */
static void test_firewall(void **state)
{
	static const struct row rows[] = {
		{ FIREWALLS "  - run: {at: other, argv: [timeout, \"0.5\", bash, -c, \"exec "
			    "3<>/dev/tcp/{bob.ip}/80\"]}\n",
			EXIT_FAILED, "dropped at bob: firewall, in: drop" },
		{ FIREWALLS, EXIT_PASS, "\"kind\":\"pass\"" },
		{ HEAD "routers:\n  r: {nat: home, firewall: {in: [drop udp]}}\nnodes:\n  a: {at: r}\n  b: "
		       "{at: internet}\n"
		       "steps:\n  - ping: {from: a, to: b, within: 2s}\n",
			EXIT_PASS, "\"kind\":\"pass\"" },
	};
	(void)state;
	run_rows(rows, ARRAY_LEN(rows));
}

/* Where a link leads out of the host, nothing is made there either. */
static void test_led_out(void **state)
{
	char cwd[512], folder[] = "led-out-XXXXXX", text[2048];
	static const char *const paths[] = { "/etc/d/x", "/etc/d/e/x" };
	char *records = NULL;
	(void)state;
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_non_null(mkdtemp(folder));
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		snprintf(text, sizeof(text),
			HEAD "nodes:\n  a: {at: internet, run: [sleep, '64'], files: {%s: mine}}\nsteps:\n"
			     "  - run: {at: a, argv: [sh, -c, 'rm -r /etc/d; ln -s %s/%s /etc/d']}\n"
			     "  - kill: a\n  - spawn: a\n",
			paths[i], cwd, folder);
		assert_int_equal(scenario_run(text, &records), EXIT_FAILED);
		assert_non_null(strstr(records, " of a would be written on the machine itself"));
		free(records);
	}
	assert_int_equal(rmdir(folder), 0); /* it is empty */
}

/* Only root can be somebody else inside. */
static void test_user(void **state)
{
	struct row row = { HEAD
		"nodes:\n  a: {at: internet, user: nobody, files: {/etc/x: {text: x, mode: '0600'}}, "
		"run: [sh, -c, 'id -u >{dir}/who; cat /etc/x >>{dir}/who; exec sleep 60']}\nsteps:\n"
		"  - run: {at: a, argv: [cat, '{dir}/who'], is: '65534', within: 3s}\n"
		"  - run: {at: a, argv: [cat, '{dir}/who'], is: x, within: 3s}\n"
		"  - run: {at: a, argv: [id, -u], is: '0'}\n",
		EXIT_PASS, "\"kind\":\"pass\"" };
	(void)state;
	if (geteuid() != 0) {
		row.code = EXIT_HOST;
		row.says = "needs root";
	}
	run_rows(&row, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_addresses), cmocka_unit_test(test_changes),
		cmocka_unit_test(test_machine), cmocka_unit_test(test_user), cmocka_unit_test(test_firewall),
		cmocka_unit_test(test_userspace), cmocka_unit_test(test_on_router),
		cmocka_unit_test(test_led_out), cmocka_unit_test(test_only_read),
		cmocka_unit_test(test_writable) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
