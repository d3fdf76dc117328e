/* Broken runs: what the story says must be the cause, and nobody else's trouble may be blamed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mesh/base/err.h"
#include "simnet/test/story_rows.h"

#define HOME HEAD "routers: {home: {nat: home}, other: {nat: home}}\n"
/* Sends one datagram to {s.ip}:3478 and wants an answer; ends by itself, as all that the rows run: no bound of a step is
 * what they are about. */
#define ASK(ip) \
	"[python3, -c, \"import socket; s=socket.socket(2,2); s.settimeout(.5); s.sendto(b'x',('" ip \
	"',3478)); s.recv(9)\"]"
#define ECHO \
	"[python3, -c, \"import socket\\ns=socket.socket(2,2); s.bind(('',3478)); print('up',flush=True)\\n" \
	"while 1: d,a=s.recvfrom(99); s.sendto(d,a)\"]"
#define UP "  - run: {at: s, argv: [sh, -c, \"until grep -q ':0D96 ' /proc/net/udp; do sleep .02; done\"]}\n"
#define SERVED HOME "services: {s: {run: " ECHO "}}\nnodes: {c: {at: home}, d: {at: internet}}\nsteps:\n" UP
#define SIX \
	HEAD "ipv6: true\nrouters: {home: {nat: home, offers: ipv6}}\nservices: {s: {run: " ECHO \
	     "}}\nnodes: {c: {at: home}}\nsteps:\n"
/* A nameserver that asks another, for whoever asks. */
#define LOOP(other) \
	"import socket,time\\ns=socket.socket(2,2); s.bind(('',53))\\n" \
	"while 1: d,a=s.recvfrom(999); time.sleep(.005); s.sendto(d,('" other "',53))"
#define DNS_UP(at) \
	"  - run: {at: " at \
	", argv: [sh, -c, \"until grep -q ':0035 ' /proc/net/udp; do sleep .02; done\"]}\n"
#define RUN_ASK "  - run: {at: c, argv: " ASK("{s.ip}") "}\n"
#define CONNECT(port) \
	"[python3, -c, \"import socket; socket.create_connection(('{s.ip}'," port "),timeout=.6)\"]"
/* A stranger scans a router all the time. */
#define SCAN(router) \
	"  - spawn: {at: d, argv: [python3, -c, \"import socket,time\\ns=socket.socket(2,2)\\nwhile 1:\\n" \
	" [s.sendto(b'x',('{" router \
	".wan}',p)) for p in range(1000,1400)]; time.sleep(.1)\"], ready: false}\n"
#define NOISE SCAN("other")

static const struct story_row rows[] = {
	{ "UDP is cut at the home", SERVED "  - cut: home.udp\n" RUN_ASK, "dropped at home: UDP is cut",
		NULL },
	{ "the same beside noise", SERVED "  - cut: home.udp\n" NOISE RUN_ASK, "dropped at home: UDP is cut",
		"at other" },
	{ "the server's link is cut", SERVED "  - cut: s.link\n" RUN_ASK, "dropped at s: the link is cut",
		NULL },
	{ "the client's link is cut", SERVED "  - cut: c.link\n" RUN_ASK, "dropped at c: the link is cut",
		NULL },
	{ "UDP is blocked from the beginning",
		HEAD "routers: {home: {nat: home, udp: blocked}}\nservices: {s: {run: " ECHO
		     "}}\nnodes: {c: {at: home}}\nsteps:\n" UP RUN_ASK,
		"dropped at home: UDP is blocked", NULL },
	{ "cut two routers away",
		HEAD "routers: {isp: {nat: cgnat}, home: {nat: home, behind: isp}}\nservices: {s: {run: " ECHO
		     "}}\nnodes: {c: {at: home}}\nsteps:\n" UP "  - cut: isp.udp\n" RUN_ASK,
		"dropped at isp: UDP is cut", NULL },
	{ "an old drop beside a new failure",
		SERVED "  - cut: home.udp\n  - run: {at: c, argv: " ASK(
			"{s.ip}") ", exit: 1}\n  - heal: home.udp\n"
				  "  - run: {at: c, argv: " CONNECT("81") "}\n",
		"s says no to c: nothing listens on tcp port 81 there", "dropped at" },
	{ "nothing listens on a UDP port", HOME "nodes: {c: {at: home}, s: {at: internet}}\nsteps:\n" RUN_ASK,
		"s says no to c: nothing listens on udp port 3478 there", NULL },
	{ "the server was killed", SERVED "  - kill: s\n" RUN_ASK, "s was killed and does not run", NULL },
	{ "the server is stopped", SERVED "  - kill: {at: s, signal: STOP}\n" RUN_ASK,
		"s is stopped by a signal", NULL },
	{ "the server ended by itself",
		HOME "nodes: {c: {at: home}, s: {at: internet, run: ['true']}}\nsteps:\n" RUN_ASK,
		"s has ended", NULL },
	{ "a daemon in the background, beside a refusal",
		HOME
		"nodes: {c: {at: home}, s: {at: internet, run: [sh, -c, 'sleep 60 &']}}\nsteps:\n" RUN_ASK,
		"s says no to c: nothing listens on udp port 3478 there", NULL },
	{ "the server listens to itself alone",
		HOME
		"services: {s: {run: [python3, -m, http.server, '80', --bind, 127.0.0.1]}}\nnodes: {c: {at: "
		"home}}\nsteps:\n"
		"  - run: {at: s, argv: [sh, -c, \"until grep -q ':0050 ' /proc/net/tcp; do sleep .02; "
		"done\"]}\n"
		"  - run: {at: c, argv: " CONNECT("80") "}\n",
		"s says no to c: on tcp port 80 it listens to itself alone, on 127.0.0.1", NULL },
	{ "the server sleeps", SERVED "  - sleep: s\n" RUN_ASK, "s is asleep", NULL },
	{ "an error before advice",
		HOME "nodes: {c: {at: home}}\nsteps:\n  - run: {at: c, argv: [sh, -c, 'echo \"curl: (60) the "
		     "reason\" >&2; echo read the manual: it helps >&2; exit 60']}\n",
		"'sh' ended with status 60: curl: (60) the reason", NULL },
	{ "an error that was said where answers are",
		HOME
		"nodes: {c: {at: home}}\nsteps:\n  - run: {at: c, argv: [sh, -c, 'echo one; nosuch 2>&1']}\n",
		"1: nosuch: not found", NULL },
	{ "an error of the program's own, at last",
		HOME "nodes: {c: {at: home}}\nsteps:\n  - run: {at: c, argv: [python3, -c, 'raise "
		     "TimeoutError(\"too late\")']}\n",
		"'python3' ended with status 1: TimeoutError: too late", NULL },
	{ "the server was not started",
		HOME "nodes: {c: {at: home}, s: {at: internet, run: [sleep, '9'], start: "
		     "later}}\nsteps:\n" RUN_ASK,
		"s does not run", NULL },
	{ "the host's own firewall",
		SERVED "  - run: {at: s, argv: [nft, 'table inet f { chain i { type filter hook input "
		       "priority 0; udp dport 3478 drop; }; "
		       "}']}\n" RUN_ASK,
		"came to udp port 3478 of s from c, and nothing was said: the host has firewall rules of its "
		"own",
		NULL },
	{ "the client's own firewall",
		SERVED "  - run: {at: c, argv: [nft, 'table inet f { chain i { type filter hook input "
		       "priority 0; udp sport 3478 drop; }; "
		       "}']}\n" RUN_ASK,
		"what came back to c may have been dropped by firewall rules of its own", NULL },
	{ "a program that hears and says nothing",
		HOME "services: {s: {run: [python3, -c, \"import socket\\ns=socket.socket(2,2); "
		     "s.bind(('',3478))\\nwhile 1: s.recv(9)\"]}}\n"
		     "nodes: {c: {at: home}}\nsteps:\n" UP RUN_ASK,
		"came to udp port 3478 of s from c, and nothing was said: the program there does not answer",
		NULL },
	{ "no route", SERVED "  - run: {at: c, argv: [ip, route, del, default]}\n" RUN_ASK,
		"c has no way to s", NULL },
	{ "a host without IPv4, which is not what is wrong",
		SIX "  - run: {at: c, argv: [sh, -c, 'echo {s.ip6}; exit 3']}\n", "ended with status 3",
		"has no way to" },
	{ "no route of IPv6",
		SIX "  - run: {at: c, argv: [sh, -c, 'ip -6 route del default; echo {s.ip6}; exit 3']}\n",
		"c has no way to s (2a0e:", NULL },
	{ "an interface that is down", SERVED "  - run: {at: c, argv: [ip, link, set, eth0, down]}\n" RUN_ASK,
		"c has no way to s", NULL },
	{ "an address that nobody has", SERVED "  - run: {at: c, argv: " ASK("203.0.113.99") "}\n",
		"203.0.113.99", NULL },
	{ "the answer is dropped on its way",
		SERVED "  - run: {at: home, argv: [nft, 'table inet f { chain i { type filter hook forward "
		       "priority 0; udp sport 3478 drop; }; "
		       "}']}\n" RUN_ASK,
		"s answered c, and the answer did not come back", NULL },
	{ "a stranger at a mapping, told by class",
		HEAD "routers: {home: {nat: restricted}}\nservices: {s: {run: " ECHO
		     "}}\nnodes: {c: {at: home}, d: {at: internet}}\nsteps:\n" UP
		     "  - run: {at: c, argv: [python3, -c, \"import socket; s=socket.socket(2,2); "
		     "s.bind(('',4000)); s.settimeout(1); "
		     "s.sendto(b'x',('{s.ip}',3478)); s.recv(9)\"]}\n"
		     "  - run: {at: home, argv: [nft, list, map, ip, simnet, owner_udp], matches: '([0-9]+) "
		     "expires', capture: port}\n"
		     "  - run: {at: d, argv: [python3, -c, \"import socket; "
		     "s=socket.socket(2,2); s.settimeout(.5); s.sendto(b'x',('{home.wan}',{capture.port})); "
		     "s.recv(9)\"]}\n",
		"mapped, but not for this sender (address-dependent filtering)", NULL },
	{ "unsolicited IPv6",
		HEAD
		"ipv6: true\nrouters: {home: {nat: home}}\nnodes: {c: {at: home}, d: {at: "
		"internet}}\nsteps:\n"
		"  - run: {at: c, argv: [sh, -c, \"ip -6 -o a show scope global | grep -o '2a0e[^/]*'\"], "
		"matches: '2a0e.*', "
		"capture: v6}\n  - run: {at: d, argv: [ping, -6, -c1, -W1, '{capture.v6}']}\n",
		"the IPv6 firewall lets only answers in", NULL },
	{ "no nameserver",
		HOME "nodes: {c: {at: home}}\nsteps:\n  - resolve: {from: c, name: x.test, within: 300ms}\n",
		"c has no nameserver in /etc/resolv.conf", NULL },
	{ "a nameserver of a family that the host has not",
		SIX "  - run: {at: c, argv: [sh, -c, 'echo nameserver {s.ip} >/etc/resolv.conf']}\n"
		    "  - run: {at: c, argv: [python3, -c, \"import socket; "
		    "socket.getaddrinfo('x.test',80)\"]}\n",
		"c has no way to its nameserver 203.0.113.10: Network is unreachable", NULL },
	{ "the same, asked by a step",
		SIX "  - run: {at: c, argv: [sh, -c, 'echo nameserver {s.ip} >/etc/resolv.conf']}\n"
		    "  - resolve: {from: c, name: x.test, within: 300ms}\n",
		"c has no way to its nameserver 203.0.113.10: Network is unreachable", NULL },
	{ "the same, which is not what is wrong",
		SIX "  - run: {at: c, argv: [sh, -c, 'echo nameserver {s.ip} >/etc/resolv.conf; exit 3']}\n",
		"ended with status 3", "nameserver 203" },
	{ "the same while its router is scanned",
		HOME "nodes: {c: {at: home}, d: {at: internet}}\nsteps:\n" SCAN(
			"home") "  - resolve: {from: c, name: x.test, within: 300ms}\n",
		"c has no nameserver in /etc/resolv.conf", NULL },
	{ "what must not be, while its router is scanned",
		SERVED SCAN("home") "  - ping: {from: c, to: s, fails: true, within: 300ms}\n",
		"s answered c, and must not", "dropped at home" },
	{ "a nameserver where none is",
		HOME "nodes: {c: {at: home}, s: {at: internet}}\nsteps:\n"
		     "  - run: {at: c, argv: [sh, -c, 'echo nameserver {s.ip} >/etc/resolv.conf']}\n"
		     "  - resolve: {from: c, name: x.test, within: 500ms}\n",
		"nothing listens on udp port 53 there", NULL },
	{ "a program that is not there",
		HOME "nodes: {c: {at: home}}\nsteps:\n  - run: {at: c, argv: [nosuch]}\n",
		"no program 'nosuch'", NULL },
	{ "a program that crashes",
		HOME "nodes: {c: {at: home, run: [sh, -c, 'echo oops: bad thing >&2; sleep .2; kill -SEGV "
		     "$$']}}\nsteps:\n"
		     "  - wait: 60s\n    say: it crashes\n",
		"the program ended by signal 11; it said: oops: bad thing", NULL },
	{ "a program that ends with -1",
		HOME "nodes: {c: {at: home, run: [sh, -c, 'echo usage >&2; sleep .2; exit 255']}}\nsteps:\n"
		     "  - wait: 60s\n    say: it ends\n",
		"the program ended with status 255; it said: usage", NULL },
	{ "the router's own rules, on the way out",
		SERVED "  - run: {at: home, argv: [nft, 'table inet f { chain i { type filter hook forward "
		       "priority 0; "
		       "udp dport 3478 drop; }; }']}\n" RUN_ASK,
		"what c sent to udp port 3478 of s did not arrive there: frame ", "home.wan" },
	{ "an uninvited caller at a home",
		HOME "nodes: {c: {at: home}, d: {at: internet}}\nsteps:\n  - run: {at: d, argv: " ASK(
			"{home.wan}") "}\n",
		"dropped at home: wan: unsolicited", NULL },
	{ "a black hole among the routes",
		SERVED "  - run: {at: c, argv: [ip, route, add, blackhole, 203.0.113.0/24]}\n" RUN_ASK,
		"c has no way to s", NULL },
	{ "a host firewall that says no",
		SERVED
		"  - run: {at: s, argv: [nft, 'table inet f { chain i { type filter hook input priority 0; "
		"udp dport 3478 reject with icmp type admin-prohibited; }; }']}\n" RUN_ASK,
		"s says that s is forbidden for c", NULL },
	{ "a host firewall that resets",
		SERVED
		"  - run: {at: s, argv: [nft, 'table inet f { chain i { type filter hook input priority 0; "
		"tcp dport 81 reject with tcp reset; }; }']}\n  - run: {at: c, argv: " CONNECT("81") "}\n",
		"s says no to c: nothing listens on tcp port 81 there, or its own firewall rules say so",
		NULL },
	{ "a link that carries small packets alone",
		SERVED "  - run: {at: home, argv: [ip, link, set, wan, mtu, '600']}\n  - run: {at: c, argv: "
		       "[ping, -M, do, -c1, -W1, "
		       "-s, '1000', '{s.ip}']}\n",
		"home says that a packet of c is too large", NULL },
	{ "a nameserver that fails",
		HOME
		"services: {s: {run: [python3, -c, \"import socket\\ns=socket.socket(2,2); s.bind(('',53))\\n"
		"while 1: d,a=s.recvfrom(999); "
		"s.sendto(d[:2]+bytes([0x81,0x82])+d[4:10]+bytes(2)+d[12:-11],a)\"]}}\nnodes: {c: "
		"{at: home}}\nsteps:\n"
		"  - run: {at: c, argv: [sh, -c, 'echo nameserver {s.ip} >/etc/resolv.conf']}\n"
		"  - run: {at: s, argv: [sh, -c, \"until grep -q ':0035 ' /proc/net/udp; do sleep .02; "
		"done\"]}\n  - resolve: {from: c, name: x.test, is: 1.2.3.4, within: 600ms}\n",
		"SERVFAIL", NULL },
	{ "a nameserver that is stopped",
		SERVED "  - run: {at: c, argv: [sh, -c, 'echo nameserver {s.ip} >/etc/resolv.conf']}\n"
		       "  - kill: {at: s, signal: STOP}\n  - resolve: {from: c, name: s, within: 600ms}\n",
		"s is stopped by a signal", NULL },
	{ "a nameserver behind a cut",
		SERVED "  - run: {at: c, argv: [sh, -c, 'echo nameserver {s.ip} >/etc/resolv.conf']}\n"
		       "  - cut: home.udp\n  - resolve: {from: c, name: x.test, within: 600ms}\n",
		"dropped at home: UDP is cut", NULL },
	{ "a program with a wrong answer",
		HOME "nodes: {c: {at: home}}\nsteps:\n  - run: {at: c, argv: [echo, '3'], is: '4', within: "
		     "300ms}\n",
		"it says '3', wanted '4'", NULL },
	{ "a certificate of another time",
		HOME "services: {s: {run: [sh, -c, 'openssl req -x509 -newkey ec -pkeyopt "
		     "ec_paramgen_curve:P-256 -nodes -subj "
		     "/CN=s.test -keyout /tmp/k -out /tmp/c -days 9 2>/dev/null; exec openssl s_server "
		     "-accept 443 -key /tmp/k -cert /tmp/c "
		     "-quiet']}}\nnodes: {c: {at: home, clock: -53y}}\nsteps:\n"
		     "  - run: {at: s, argv: [sh, -c, \"until grep -q ':01BB ' /proc/net/tcp*; do sleep .05; "
		     "done\"]}\n"
		     "  - run: {at: c, argv: [sh, -c, \"openssl s_client -connect {s.ip}:443 "
		     "</dev/null 2>&1 | "
		     "grep -o 'certificate is not yet valid' >&2; exit 1\"], within: 5s}\n",
		"certificate is not yet valid", NULL },
	{ "a certificate, and what is tried afterwards",
		SERVED
		"  - run: {at: c, argv: [python3, -c, \"import socket,sys\\ntry: "
		"socket.create_connection(('{s.ip}',81))\\nexcept OSError: sys.exit('the certificate has "
		"expired')\"]}\n",
		"the certificate has expired", "says no" },
	{ "a certificate, and a clock that is an hour off",
		HOME
		"services: {s: {run: " ECHO "}}\nnodes: {c: {at: home, clock: -1h, run: [python3, -u, -c, "
		"'import time; print(time.strftime(chr(37)+\"Y-\"+chr(37)+\"m-\"+chr(37)+\"dT\"+chr(37)+"
		"\"H:\"+chr(37)+\"M:\"+chr(37)+\"SZ\",time.gmtime()), \"info up\"); time.sleep(60)'], "
		"ready: {line: 'info up'}}}\nsteps:\n"
		"  - run: {at: c, argv: [python3, -c, \"import socket,sys\\ntry: "
		"socket.create_connection(('{s.ip}',81))\\nexcept OSError: sys.exit('certificate is not yet "
		"valid')\"]}\n",
		"the clock of c is off by -60 minutes", NULL },
	{ "an address that nobody has in the host's own network",
		HOME "nodes: {c: {at: home}, d: {at: internet}}\nsteps:\n  - run: {at: d, argv: " ASK(
			"203.0.113.99") "}\n",
		"d asks its network who has 203.0.113.99, and nobody answers: no node has that address",
		NULL },
	{ "a netmask that takes all the world for neighbours",
		SERVED "  - run: {at: c, argv: [sh, -c, 'ip address add {c.ip}/1 dev eth0']}\n" RUN_ASK,
		"c asks its network who has 203.0.113.10, and nobody answers; it is the address of s", NULL },
	{ "a port that a router leads to another one",
		HEAD "routers: {home: {nat: {preset: home, forwards: [tcp 80 s:8080]}}}\nnodes: {c: {at: "
		     "internet}, s: {at: "
		     "home}}\nsteps:\n  - run: {at: c, argv: [python3, -c, \"import socket; "
		     "socket.create_connection(('{home.wan}',80),timeout=.6)\"]}\n",
		"s says no to c: nothing listens on tcp port 8080 there, where home leads its tcp port 80",
		NULL },
	{ "two nameservers that ask each other",
		HEAD "services: {one: {run: [python3, -c, \"" LOOP(
			"203.0.113.42") "\"], ip: 203.0.113.41}, two: {run: "
					"[python3, -c, \"" LOOP(
						"203.0.113.41") "\"], ip: 203.0.113.42}}\nnodes: {c: {at: "
								"internet, files: "
								"{/etc/resolv.conf: {text: nameserver "
								"203.0.113.41}}}}\nsteps:\n" DNS_UP("one")
									DNS_UP("two") "  - resolve: {from: "
										      "c, name: x.test, "
										      "within: 600ms}\n",
		"one and two ask each other for names, ", NULL },
	{ "behind one carrier that does not hairpin",
		HEAD "routers: {isp: {nat: home}, home: {nat: home, behind: isp}}\nservices: {s: {run: " ECHO
		     "}}\nnodes: {c: {at: home}}\nsteps:\n" UP
		     "  - run: {at: c, argv: " ASK("{isp.wan}") "}\n",
		"dropped at isp: lan: the router does not hairpin", NULL },
};

static void test_causes(void **state)
{
	(void)state;
	story_rows_check(rows, ARRAY_LEN(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_causes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
