#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mesh/base/buf.h"
#include "mesh/base/err.h"
#include "mesh/os/file.h"
#include "simnet/fabric/kernel/engine_kernel.h"
#include "simnet/test/scenario_run.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The userspace engine on real packets: whole runs with routers and links of its own, beside the kernel's. */

#define HEAD "simnet: 1\nname: t\n"

/* What has to pass may take as much longer as the machine is slower than an idle one. */
static void expect(const struct engine_ops *engine, const char *text, int code, const char *says)
{
	char *records;
	setenv("SIMNET_SLOWDOWN", code == EXIT_PASS ? "0" : "1", 1); /* 0: it is measured */
	int got = scenario_run_on(engine, text, NULL, &records);
	bool unsure = got == EXIT_UNSURE && code == EXIT_PASS, ok = got == code && strstr(records, says);
	if (!ok) /* whole, which the messages of a test are not */
		fprintf(stderr, "%s engine: exit %d, wanted %d with '%s':\n%s\n%s", engine->name, got, code,
			says, text, records);
	free(records);
	if (unsure)
		skip();
	assert_true(ok);
}

/* What a cut, a reset and a filter do to packets, and what is said of it, is one for both. */
static void test_steps(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *says;
	} rows[] = {
		{ HEAD "routers:\n  home: {nat: home}\nnodes:\n  a: {at: home}\n  b: {at: internet}\nsteps:\n"
		       "  - ping: {from: a, to: b, within: 3s}\n  - cut: home.link\n"
		       "  - ping: {from: a, to: b, fails: true, within: 300ms}\n  - heal: home.link\n"
		       "  - ping: {from: a, to: b, within: 3s}\n  - reset: home\n"
		       "  - ping: {from: a, to: b, within: 3s}\n",
			EXIT_PASS, "home.link is cut" },
		{ HEAD "routers:\n  isp: {nat: cgnat}\n  home: {nat: restricted, behind: isp}\nnodes:\n  a: "
		       "{at: home}\n"
		       "  b: {at: internet}\nsteps:\n  - ping: {from: a, to: b, within: 3s}\n",
			EXIT_PASS, "every router probed" },
		{ HEAD "ipv6: true\nrouters:\n  home: {nat: home}\n  plain: {nat: none}\nnodes:\n  a: {at: "
		       "home}\n"
		       "  b: {at: plain}\nsteps:\n"
		       "  - run: {at: a, argv: [ping, -c1, -W3, '{b.ip}']}\n",
			EXIT_PASS, "every router probed" },
		{ HEAD "routers:\n  home: {nat: home, udp: blocked}\nnodes:\n  a: {at: home}\n  b: {at: "
		       "internet}\n"
		       "steps:\n  - ping: {from: a, to: b, within: 3s}\n",
			EXIT_PASS, "every router probed" },
		{ HEAD "routers:\n  home: {nat: none, firewall: {in: [accept established, drop], out: "
		       "[accept icmp, "
		       "reject]}}\nnodes:\n  a: {at: home}\n  b: {at: internet}\nsteps:\n"
		       "  - run: {at: a, argv: [ping, -c2, -i0.01, -W3, '{b.ip}'], within: 5s}\n"
		       "  - run: {at: b, argv: [ping, -c1, -W1, '{a.ip}'], exit: 1, within: 5s}\n",
			EXIT_PASS, "every router probed" },
		/* Another router stands before it in the file, by which no probe's answer may leave. */
		{ HEAD "routers:\n  plain: {nat: none}\n  home: {nat: none, firewall: {out: [accept udp "
		       "5000-6000, drop]}}\nnodes:\n  a: {at: home}\n  b: {at: internet}\nsteps:\n"
		       "  - run: {at: a, argv: [ping, -c1, -W1, '{b.ip}'], exit: 1, within: 5s}\n",
			EXIT_PASS, "every router probed" },
		/* Whoever has the address behind that of a far pool is as near as he is. */
		{ HEAD "regions: {eu: {us: 300ms}, us: {}}\nrouters:\n  q: {nat: {pool: 2}, ip: "
		       "203.0.113.50, "
		       "region: eu}\nnodes:\n  a: {at: internet, region: us}\n  c: {at: internet, ip: "
		       "203.0.113.51, region: us}\nsteps:\n  - run: {at: a, argv: [ping, -c3, -i0.05, "
		       "'{c.ip}'], "
		       "matches: 'min/avg/max/mdev = [0-9]?[0-9][.]', within: 5s}\n",
			EXIT_PASS, "as expected" },
		/* An address of IPv6 stands in brackets before a port. */
		{ HEAD "ipv6: true\nrouters:\n  six: {nat: none, offers: ipv6}\nservices:\n  stun: {run: "
		       "stun, at: "
		       "six}\n  echo: {run: echo, at: six}\n  one: {run: probe-server, at: six, with: "
		       "{other: two}}\n"
		       "  two: {run: probe-server, at: six, with: {other: one}}\n  http: {run: http, at: "
		       "six}\n"
		       "  bare: {run: [simnet, service, http, --listen, '{ip-literal}:8'], at: six, ready: "
		       "{port: "
		       "'tcp {ip-literal}:8'}}\nnodes:\n  a: {at: six}\nsteps:\n"
		       "  - run: {at: a, argv: [echo, '{stun.at}'], matches: '^\\[2[0-9a-f:]*]:3478$'}\n",
			EXIT_PASS, "as expected" },
		/* What a forward leads to need not be there, nor take what is sent to it. */
		{ HEAD "routers:\n  home: {nat: {forwards: [udp 80 a:80, tcp 80 a:80, tcp 81 "
		       "b:81, tcp 82 c:82]}}\nnodes:\n  c: {interfaces: {e: {at: home, default: false}}}\n"
		       "  a: {at: home, udp: blocked}\n  b: {interfaces: {e: {at: home, up: false}, f: {at: "
		       "internet}}}\nsteps:\n  - interface: {at: b, name: e, up: true}\n"
		       "  - run: {at: b, argv: [ping, -c1, -W3, '{a.ip}'], within: 5s}\n",
			EXIT_PASS, "every router probed" },
		/* Uplinks have the routers measured more than once, and no flow of one time is known at the next. */
		{ HEAD "routers:\n  cone: {nat: full-cone, firewall: {out: [drop established]}}\n  plain: "
		       "{nat: "
		       "none, firewall: {in: [drop established]}}\n  two: {nat: home, uplinks: {one: {at: "
		       "internet}, other: {at: internet}}}\nnodes:\n  a: {at: cone}\n  b: {at: two}\nsteps:\n"
		       "  - ping: {from: a, to: '{two.wan}', fails: true, within: 300ms}\n",
			EXIT_PASS, "every router probed" },
		{ HEAD "routers:\n  home: {nat: home, link: {delay: 1ms}}\nnodes:\n  a: {at: home, link: "
		       "{delay: 1ms}}\n"
		       "  b: {at: internet}\nsteps:\n  - ping: {from: a, to: b, within: 3s}\n  - cut: "
		       "a.carrier\n"
		       "  - run: {at: a, argv: [sh, -c, 'cat /sys/class/net/eth0/carrier'], matches: '^0', "
		       "within: 3s}\n"
		       "  - heal: a.carrier\n"
		       "  - run: {at: a, argv: [sh, -c, 'cat /sys/class/net/eth0/carrier'], matches: '^1', "
		       "within: 3s}\n"
		       "  - ping: {from: a, to: b, within: 3s}\n  - cut: home.carrier\n"
		       "  - ping: {from: a, to: b, fails: true, within: 300ms}\n  - heal: home.carrier\n"
		       "  - ping: {from: a, to: b, within: 3s}\n",
			EXIT_PASS, "every router probed" },
		/* A NAT that becomes another, on a network that goes on. */
		{ HEAD "routers:\n  home: {nat: home}\nnodes:\n  a: {at: home}\n  b: {at: internet}\nsteps:\n"
		       "  - ping: {from: a, to: b, within: 3s}\n  - set: {at: home, nat: {filtering: EIF, "
		       "lifetime: 5s}}\n"
		       "  - ping: {from: a, to: b, within: 3s}\n",
			EXIT_PASS, "router home is another NAT (UDP EIM/EIF, TCP EIM/EIF)" },
		/* A router with two ways out: one dies, and the other is used after a while; it comes back. */
		{ HEAD "routers:\n  isp: {nat: cgnat}\n  home: {nat: home, uplinks: {dsl: {at: internet, "
		       "link: "
		       "{delay: 2ms}}, "
		       "lte: {at: isp, link: {delay: 20ms}}}}\nnodes:\n  a: {at: home}\n  b: {at: "
		       "internet}\n  c: "
		       "{at: isp}\n"
		       "steps:\n  - ping: {from: a, to: b, within: 3s}\n"
		       "  - run: {at: a, argv: [ping, -c1, -W1, '{c.ip}'], exit: 1}\n"
		       "  - interface: {at: home, name: dsl, up: false, for: 200ms}\n"
		       "  - ping: {from: a, to: b, within: 3s}\n"
		       "  - run: {at: a, argv: [ping, -c1, -W3, '{c.ip}'], matches: 'time=[4-9][0-9]', "
		       "within: 5s}\n"
		       "  - interface: {at: home, name: lte, up: false}\n"
		       "  - ping: {from: a, to: b, fails: true, within: 300ms}\n"
		       "  - interface: {at: home, name: dsl, up: true}\n  - ping: {from: a, to: b, within: "
		       "3s}\n"
		       "  - interface: {at: home, name: lte, up: true}\n  - ping: {from: a, to: b, within: "
		       "3s}\n",
			EXIT_PASS,
			"lte of home is up, metric 200; packets still go out by dsl, to the internet as" },
		/* Firewalls that change: of a router, of a host that had none, and back; what was let through stays known. */
		{ HEAD "routers:\n  home: {nat: home}\nservices:\n  site: {run: http}\nnodes:\n  a: {at: "
		       "home}\n"
		       "  b: {at: internet}\nsteps:\n"
		       "  - run: {at: a, argv: [ping, -c1, -W3, '{b.ip}']}\n"
		       "  - set: {at: home, firewall: {out: [accept established, accept tcp 80, reject]}}\n"
		       "  - run: {at: a, argv: [ping, -c1, -W1, '{b.ip}'], exit: 1}\n"
		       "  - run: {at: a, argv: [curl, -sS, 'http://{site.ip}/']}\n"
		       "  - set: {at: home, firewall: {}}\n"
		       "  - set: {at: b, firewall: {in: [drop]}}\n"
		       "  - run: {at: a, argv: [ping, -c1, -W1, '{b.ip}'], exit: 1}\n"
		       "  - set: {at: b, firewall: {in: [accept established, accept icmp]}}\n"
		       "  - run: {at: a, argv: [ping, -c1, -W3, '{b.ip}']}\n",
			EXIT_PASS, "the firewall of home has other rules (3)" },
		/* Flows that are led elsewhere, each as its first packet was judged, and seem to be answered by whom they asked. */
		{ HEAD "routers:\n  home: {nat: home, firewall: {out: [accept tcp 80 to 203.0.113.99, "
		       "redirect tcp 80 into other:8080, redirect udp 53 into other:53, accept icmp, "
		       "reject]}}\n"
		       "services:\n  other: {run: http, with: {port: '8080', faults: redirect=http://x/}}\n"
		       "  site: {run: http, ip: 203.0.113.99}\n  asked: {run: http}\nnodes:\n  a: {at: "
		       "home}\nsteps:\n"
		       "  - run: {at: a, argv: [curl, -sSi, 'http://{asked.ip}/'], matches: ' 302 '}\n"
		       "  - run: {at: a, argv: [curl, -sSi, 'http://{site.ip}/'], matches: ' 200 '}\n"
		       "  - run: {at: a, argv: [curl, -sSi, 'http://{other.ip}:8080/'], exit: 7}\n"
		       "  - run: {at: a, argv: [ping, -c1, -W3, '{asked.ip}']}\n"
		       "  - set: {at: home, firewall: {}}\n"
		       "  - run: {at: a, argv: [curl, -sSi, 'http://{asked.ip}/'], matches: ' 200 '}\n",
			EXIT_PASS, "the firewall of home has other rules (0)" },
		/* Routes that come and go, of a router by whom it has inside, and of a host; what they replaced is back then. */
		{ HEAD "routers:\n  home: {nat: home}\n  lab: {nat: home}\nnodes:\n  a: {at: home}\n"
		       "  box: {interfaces: {eth0: {at: home, ip: 192.168.1.7}, eth1: {at: lab, ip: "
		       "192.168.2.7, "
		       "default: false}}}\n  t: {at: lab}\n  b: {at: internet, ip: 9.9.9.9}\nsteps:\n"
		       "  - run: {at: box, argv: [sysctl, -q, net.ipv4.ip_forward=1]}\n"
		       "  - set: {at: t, routes: [0.0.0.0/0 via 192.168.2.7]}\n"
		       "  - run: {at: a, argv: [ping, -c1, -W1, '{t.ip}'], exit: 1}\n"
		       "  - set: {at: home, routes: [192.168.2.0/24 via 192.168.1.7]}\n"
		       "  - run: {at: a, argv: [ping, -c1, -W3, '{t.ip}'], within: 5s}\n"
		       "  - set: {at: t, routes: []}\n"
		       "  - run: {at: t, argv: [ip, route, show, default], matches: 'via 192.168.2.1 '}\n"
		       "  - run: {at: t, argv: [ping, -c1, -W3, '{b.ip}'], within: 5s}\n"
		       "  - run: {at: a, argv: [ping, -c1, -W1, '{t.ip}'], exit: 1}\n"
		       "  - set: {at: home, routes: [0.0.0.0/0 via 192.168.1.9]}\n"
		       "  - run: {at: a, argv: [ping, -c1, -W1, '{b.ip}'], exit: 1}\n"
		       "  - lease: {at: home, ip: 203.0.113.77}\n"
		       "  - run: {at: a, argv: [ping, -c1, -W1, '{b.ip}'], exit: 1}\n"
		       "  - set: {at: home, routes: []}\n"
		       "  - run: {at: a, argv: [ping, -c1, -W3, '{b.ip}'], within: 5s}\n",
			EXIT_PASS, "home has other routes (1)" },
		/* And from the start. */
		{ HEAD "routers:\n  home: {nat: home, routes: [0.0.0.0/0 via 192.168.1.7]}\nnodes:\n  a: "
		       "{at: "
		       "home}\n  b: {at: internet, ip: 9.9.9.9}\nsteps:\n"
		       "  - run: {at: a, argv: [ping, -c1, -W1, '{b.ip}'], exit: 1}\n",
			EXIT_PASS, "every router probed" },
		/* IPv4 from IPv6 alone, through the router that its own is behind too, by other prefixes, and as the NAT lets it. */
		{ HEAD "ipv6: true\nrouters:\n  home: {nat: home, offers: ipv6, nat64: {}}\n"
		       "  isp: {nat: cgnat, nat64: '2001:db8:64::/48'}\n  deep: {nat: home, behind: isp, "
		       "offers: "
		       "ipv6}\nservices:\n  names: {run: dns, with: {dns64: '64:ff9b::/96', records: "
		       "'www.test A "
		       "{site.ip}'}}\n  site: {run: http}\nnodes:\n"
		       "  a: {at: home, files: {/etc/resolv.conf: {text: 'nameserver "
		       "64:ff9b::{names.ip}'}}}\n"
		       "  b: {at: internet, ip: 9.9.9.9}\n  c: {at: deep}\nsteps:\n"
		       "  - run: {at: a, argv: [ping, -c1, -W3, '64:ff9b::{b.ip}'], within: 5s}\n"
		       "  - run: {at: a, argv: [curl, -sSi, 'http://www.test/'], matches: ' 200 '}\n"
		       "  - run: {at: c, argv: [ping, -c1, -W3, '2001:db8:64:909:9:900::'], within: 5s}\n"
		       "  - run: {at: a, argv: [ping, -c1, -W1, '2001:db8:64:909:9:900::'], exit: 1}\n"
		       "  - reset: home\n"
		       "  - run: {at: a, argv: [ping, -c1, -W3, '64:ff9b::{b.ip}'], within: 5s}\n"
		       "  - set: {at: home, nat: hard}\n"
		       "  - run: {at: a, argv: [curl, -sSi, 'http://www.test/'], matches: ' 200 '}\n",
			EXIT_PASS, "every router probed" },
		/* Prefixes that are exchanged, of a network and one behind it; by the outer one others name who is inside. */
		{ HEAD "ipv6: true\nrouters:\n  home: {nat: home, offers: ipv6, nptv6: {inside: "
		       "'fd00:51::/48', "
		       "outside: '2001:db8:1::/48'}}\n  deep: {nat: none, behind: home}\n  plain: {nat: "
		       "none, nptv6: "
		       "{}}\nservices:\n  site: {run: http, at: plain}\nnodes:\n  a: {at: home}\n  d: {at: "
		       "deep}\n"
		       "  b: {at: internet}\nsteps:\n"
		       "  - run: {at: a, argv: [ip, -6, -br, address, show, eth0], matches: ' "
		       "fd00:51:0:1::a28:a/64'}\n"
		       "  - run: {at: a, argv: [ping, -c1, -W3, '2a0e:5100::cb00:710a'], within: 5s}\n"
		       "  - run: {at: d, argv: [ping, -c1, -W3, '2a0e:5100::cb00:710a'], within: 5s}\n"
		       "  - run: {at: a, argv: [ping, -6, -c1, -W3, site], matches: '2a0e:5101:3:'}\n"
		       "  - run: {at: b, argv: [ping, -6, -c1, -W3, site], matches: '2a0e:5101:3:'}\n"
		       "  - run: {at: b, argv: [ping, -c1, -W1, '2001:db8:1:cf98::a28:a'], exit: 1}\n"
		       "  - set: {at: plain, nptv6: {outside: '2001:db8:7::/48'}}\n"
		       "  - run: {at: b, argv: [ip, -6, route, show, root, '2001:db8:7::/48'], matches: "
		       "'^2001:db8:7:'}\n"
		       "  - run: {at: b, argv: [sh, -c, 'ip -6 route show root 2a0e:5101:3::/48 | wc -l'], "
		       "is: '0'}\n"
		       "  - run: {at: b, argv: [ping, -c1, -W3, '2001:db8:7:cf94::c633:660a'], within: 5s}\n"
		       "  - run: {at: b, argv: [ping, -6, -c1, -W1, site], exit: 1}\n"
		       "  - set: {at: home, nptv6: {outside: '2001:db8:9::/48'}}\n"
		       "  - run: {at: d, argv: [ping, -c1, -W3, '2a0e:5100::cb00:710a'], within: 5s}\n",
			EXIT_PASS, "every router probed" },
		/* Ports that are asked for: not the one of a forward; forgotten with all else, and then at the new address. */
		{ HEAD "routers:\n  home: {nat: {preset: hard, forwards: [udp 7000 a:7000]}, portmap: plain, "
		       "lan: 192.168.1.0/24}\nnodes:\n  a: {at: home, run: echo, with: {port: '7777'}, "
		       "files: "
		       "{/tmp/ask: {text: 'exec 3<>/dev/udp/192.168.1.1/5351; printf \"$1\" >&3; timeout 2 "
		       "dd "
		       "bs=64 count=1 status=none <&3 | od -An -tx1'}}}\n  b: {at: internet, files: "
		       "{/tmp/hello: "
		       "{text: 'exec 3<>/dev/udp/$1/7777; echo hello >&3; timeout $2 dd bs=64 count=1 "
		       "status=none <&3'}}}\nsteps:\n"
		       "  - run: {at: a, argv: [bash, /tmp/ask, "
		       "'\\0\\1\\0\\0\\x1b\\x58\\x1b\\x58\\0\\0\\0\\x3c'], "
		       "matches: ' 1b 58 4e 20 00 00 00 3c$'}\n"
		       "  - run: {at: b, argv: [bash, /tmp/hello, '{home.wan}', '0.3'], fails: true, "
		       "matches: "
		       "hello, "
		       "within: 500ms}\n"
		       "  - run: {at: a, argv: [bash, /tmp/ask, "
		       "'\\0\\1\\0\\0\\x1e\\x61\\x1e\\x61\\0\\0\\0\\x3c'], "
		       "matches: ' 1e 61 1e 61 00 00 00 3c$'}\n"
		       "  - run: {at: b, argv: [bash, /tmp/hello, '{home.wan}', '2'], matches: '^hello$'}\n"
		       "  - reset: home\n"
		       "  - run: {at: b, argv: [bash, /tmp/hello, '{home.wan}', '0.3'], fails: true, "
		       "matches: "
		       "hello, "
		       "within: 500ms}\n"
		       "  - lease: {at: home, ip: 203.0.113.77}\n"
		       "  - run: {at: a, argv: [bash, /tmp/ask, '\\0\\0'], matches: ' cb 00 71 4d$'}\n"
		       "  - run: {at: a, argv: [bash, /tmp/ask, "
		       "'\\0\\1\\0\\0\\x1e\\x61\\x1e\\x61\\0\\0\\0\\x3c'], "
		       "matches: ' 1e 61 1e 61 00 00 00 3c$'}\n"
		       "  - run: {at: b, argv: [bash, /tmp/hello, '{home.wan}', '2'], matches: '^hello$'}\n"
		       "  - run: {at: home, argv: [simnet, service, --tell, /run/portmap.sock, refuse]}\n"
		       "  - run: {at: a, argv: [bash, /tmp/ask, '\\0\\0'], matches: '^ 00 80 00 02 '}\n",
			EXIT_PASS, "every router probed" },
		/* A pinhole in the IPv6 firewall, by UPnP: for one peer, and closed again. */
		{ HEAD "ipv6: true\nrouters:\n  home: {nat: hard, portmap: plain, lan: "
		       "192.168.1.0/24}\nnodes:\n"
		       "  a: {at: home, run: [simnet, service, echo, --listen, '[::]:7777'], ready: {json: "
		       "serving}, "
		       "files: {/tmp/call: {text: 'curl -sS -H \"SOAPAction: "
		       "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1#$1\" -d \"$2\" "
		       "http://[$(ip -6 route show default | cut -d \" \" -f 3)]:5000/firewall'}}}\n"
		       "  b: {at: internet, files: {/tmp/hello: {text: 'exec 3<>/dev/udp/$1/7777; echo hello "
		       ">&3; "
		       "timeout $2 dd bs=64 count=1 status=none <&3'}}}\n  c: {at: internet}\nsteps:\n"
		       "  - run: {at: b, argv: [bash, /tmp/hello, '{a.ip6}', '0.3'], fails: true, matches: "
		       "hello, "
		       "within: 500ms}\n"
		       "  - run: {at: a, argv: [sh, /tmp/call, AddPinhole, '<RemoteHost>{c.ip6}</RemoteHost>"
		       "<RemotePort>0</RemotePort><InternalClient>{a.ip6}</InternalClient>"
		       "<InternalPort>7777</InternalPort><Protocol>17</Protocol><LeaseTime>60</LeaseTime>'], "
		       "matches: '<UniqueID>1<'}\n"
		       "  - run: {at: b, argv: [bash, /tmp/hello, '{a.ip6}', '0.3'], fails: true, matches: "
		       "hello, "
		       "within: 500ms}\n"
		       "  - run: {at: a, argv: [sh, /tmp/call, AddPinhole, '<RemoteHost>{b.ip6}</RemoteHost>"
		       "<RemotePort>0</RemotePort><InternalClient>{a.ip6}</InternalClient>"
		       "<InternalPort>7777</InternalPort><Protocol>17</Protocol><LeaseTime>60</LeaseTime>'], "
		       "matches: '<UniqueID>2<'}\n"
		       "  - run: {at: b, argv: [bash, /tmp/hello, '{a.ip6}', '2'], matches: '^hello$'}\n"
		       "  - run: {at: a, argv: [sh, /tmp/call, DeletePinhole, '<UniqueID>2</UniqueID>'], "
		       "matches: "
		       "DeletePinholeResponse}\n"
		       "  - run: {at: b, argv: [bash, /tmp/hello, '{a.ip6}', '0.3'], fails: true, matches: "
		       "hello, "
		       "within: 500ms}\n",
			EXIT_PASS, "every router probed" },
		/* Flows over two ways out, by each of which answers come; one is pulled, and the other takes all. */
		{ HEAD "routers:\n  isp: {nat: cgnat}\n  office: {nat: hard, balance: flow, uplinks: {dsl: "
		       "{at: "
		       "internet}, lte: {at: isp, link: {delay: 15ms}}}}\nservices:\n  echo: {run: echo}\n"
		       "nodes:\n  a: {at: office, files: {/tmp/flows: {text: 'for i in $(seq 24); do exec "
		       "3<>/dev/udp/$1/7; s=$(date +%s%N); echo $i >&3; head -n 1 <&3 >/dev/null || exit 1; "
		       "[ $(($(date +%s%N) - s)) -lt 30000000 ] && echo near || echo far; done | sort | uniq "
		       "-c "
		       "| tr -s \" \\n\" \" \"'}}}\n  b: {at: internet}\nsteps:\n"
		       "  - run: {at: a, argv: [bash, /tmp/flows, '{echo.ip}'], matches: '[0-9] far .*[0-9] "
		       "near', "
		       "within: 15s}\n"
		       "  - interface: {at: office, name: dsl, up: false}\n"
		       "  - run: {at: a, argv: [bash, /tmp/flows, '{echo.ip}'], matches: ' 24 far', within: "
		       "15s}\n"
		       "  - set: {at: office, nat: home}\n  - reset: office\n"
		       "  - run: {at: a, argv: [ping, -c1, -W3, '{b.ip}'], within: 5s}\n"
		       "  - cut: office.link\n"
		       "  - run: {at: a, argv: [ping, -c1, -W1, '{b.ip}'], exit: 1}\n"
		       "  - heal: office.link\n"
		       "  - run: {at: a, argv: [ping, -c1, -W3, '{b.ip}'], within: 5s}\n"
		       "  - interface: {at: office, name: lte, up: false}\n"
		       "  - run: {at: a, argv: [ping, -c1, -W1, '{b.ip}'], exit: 1}\n"
		       "  - interface: {at: office, name: dsl, up: true}\n"
		       "  - run: {at: a, argv: [ping, -c1, -W3, '{b.ip}'], within: 5s}\n",
			EXIT_PASS, "dsl of office is down; flows go out by 1 uplink" },
		/* The reason of a drop. */
		{ HEAD "routers:\n  home: {nat: home}\nnodes:\n  a: {at: home}\n  b: {at: internet}\nsteps:\n"
		       "  - ping: {from: b, to: a, within: 500ms}\n",
			EXIT_FAILED, "home" },
	};
	static const struct engine_ops *const engines[] = { &engine_auto, &engine_user };
	(void)state;
	for (size_t e = 0; e < ARRAY_LEN(engines); e++)
		for (size_t i = 0; i < ARRAY_LEN(rows); i++)
			expect(engines[e], rows[i].text, rows[i].code, rows[i].says);
}

/* Port mapping that a router of the kernel has from a step on. */
static void test_late_service(void **state)
{
	(void)state;
	expect(&engine_auto,
		HEAD
		"routers:\n  home: {nat: hard, lan: 192.168.1.0/24}\nnodes:\n  a: {at: home, files: "
		"{/tmp/ask: "
		"{text: 'exec 3<>/dev/udp/192.168.1.1/5351; printf \"$1\" >&3; timeout $2 dd bs=64 count=1 "
		"status=none <&3 | od -An -tx1'}}}\nsteps:\n"
		"  - run: {at: a, argv: [bash, /tmp/ask, '\\0\\0', '0.2'], fails: true, matches: ' 00 80 ', "
		"within: 400ms}\n"
		"  - run: {at: home, argv: [simnet, service, portmap, --background, --listen, "
		"'0.0.0.0:5351', --outer, '{home.wan}', --socket, /run/portmap.sock]}\n"
		"  - run: {at: a, argv: [bash, /tmp/ask, '\\0\\0', '2'], matches: '^ 00 80 00 00 '}\n"
		"  - run: {at: home, argv: [simnet, service, --tell, /run/portmap.sock, refuse]}\n"
		"  - run: {at: a, argv: [bash, /tmp/ask, '\\0\\0', '2'], matches: '^ 00 80 00 02 '}\n",
		EXIT_PASS, "every router probed");
}

/* Every class of mapping and filtering, every hairpin and the trap pass the probes of routers, which are not the engine's. */
static void test_probes(void **state)
{
	static const char *const mappings[] = { "EIM", "ADM", "APDM" },
				 *const filterings[] = { "EIF", "ADF", "APDF" },
				 *const rest[] = { "hairpin: external", "hairpin: internal",
					 "ports: preserve", "ports: sequential", "ports: parity",
					 "ports: block, block: 64" };
	struct buf text = { 0 };
	(void)state;
	assert_true(buf_printf(&text,
		HEAD "routers:\n  trap: {nat: home, accepts-wan: true}\n"
		     "  kept: {nat: {ports: preserve}, accepts-wan: true}\n"
		     "  next: {nat: {mapping: APDM, ports: sequential}, accepts-wan: true}\n"
		     "  over: {nat: {ports: overload, hairpin: external}}\n"));
	for (size_t i = 0; i < 9; i++)
		assert_true(buf_printf(&text, "  r%zu: {nat: {mapping: %s, filtering: %s, %s}}\n", i,
			mappings[i / 3], filterings[i % 3], rest[i % ARRAY_LEN(rest)]));
	assert_true(buf_printf(&text, "nodes:\n  a: {at: r0}\n"));
	expect(&engine_user, buf_cstr(&text), EXIT_PASS, "13 routers and 1 host built");
	buf_free(&text);
}

/* Every stanza that both can be, side by side, is told apart by one set of probes, whoever plays it. */
static void test_stanzas(void **state)
{
	static const char *const nats[] = { "{ports: preserve}", "{ports: overload}", "{ports: sequential}",
		"{ports: random}", "{ports: parity}", "{ports: block, block: 64}", "{pool: 4}",
		"{pool: 4, pooling: arbitrary}", "{preset: cgnat, hairpin-filter: true}",
		"{preset: restricted, hairpin: external, hairpin-filter: true}",
		"{hairpin: external, hairpin-filter: true}",
		"{mapping: ADM, filtering: ADF, hairpin: external, hairpin-filter: true}",
		"{lifetime-new: 10s}", "{refresh: out}", "{tcp: {unknown: strict}}",
		"{tcp: {unknown: reset}}", "{tcp: {unknown: silent}}", "{icmp: {errors: lost}}",
		"{table: 100}", "{mapping: APDM, pool: 8, hairpin: external}",
		"{tcp: {mapping: APDM, filtering: EIF}}", "{mapping: ADM, tcp: {mapping: EIM}}", "pfsense",
		"linux-masquerade", "corporate", "hotel", "mobile-4g", "cloud-gateway" };
	static const struct engine_ops *const engines[] = { &engine_kernel, &engine_user };
	struct buf text = { 0 };
	(void)state;
	assert_true(buf_printf(&text, HEAD "ipv6: true\nrouters:\n"));
	for (size_t i = 0; i < ARRAY_LEN(nats); i++)
		assert_true(buf_printf(&text, "  r%zu: {nat: %s}\n", i, nats[i]));
	assert_true(buf_printf(&text, "nodes:\n  a: {at: r0}\n"));
	for (size_t e = 0; e < ARRAY_LEN(engines); e++)
		expect(engines[e], buf_cstr(&text), EXIT_PASS, "every router probed");
	buf_free(&text);
}

/* Routers whose networks have the range of what somebody else has outside, and forwards of one that has several addresses. */
static void test_places(void **state)
{
	static const char text[] = HEAD
		"routers:\n  a: {nat: home, lan: 192.168.7.0/24}\n  b: {nat: home, lan: 192.168.7.0/24}\n"
		"  c: {nat: home, behind: a}\n  g: {nat: home, behind: b}\n  d: {nat: home, ip: 10.0.0.7}\n  "
		"e: {nat: home, lan: "
		"10.0.0.0/8}\n"
		"  f: {nat: {pool: 8, forwards: [udp 4242 n:41641, tcp 80 n:80, udp 4243 o:41641, tcp 81 "
		"o:80, udp 4244 p:41641]}}\n"
		"nodes:\n  n: {at: f}\n  o: {at: f}\n  p: {at: f}\n";
	(void)state;
	expect(&engine_kernel, text, EXIT_PASS, "every router probed");
	expect(&engine_user, text, EXIT_PASS, "every router probed");
}

/* A box without an input filter remembers what nobody has answered, and forgets it in the time that is for that. */
static void test_open_box(void **state)
{
	/* At 7000 it tells the port that it sees, or sends where it is told. */
	static const char text[] = HEAD
		"routers:\n  plain: {nat: linux-masquerade}\n"
		"  quick: {nat: {preset: docker, lifetime-new: 2s, lifetime: 120s}}\n"
		"nodes:\n  a: {at: plain}\n  c: {at: quick}\n"
		"  b: {at: internet, ready: {line: serving}, run: [python3, -c, \"import "
		"socket\\ns=socket.socket(2,2)\\ns.bind(('',7000))\\nprint('serving',flush=True)\\nwhile "
		"1:\\n d,a=s.recvfrom(99)\\n w=d.split()"
		"\\n s.sendto(b'hello',(w[0].decode(),5000)) if w else s.sendto(str(a[1]).encode(),a)\"]}\n"
		"steps:\n"
		"  - run: {at: b, argv: [sh, -c, 'for to in {plain.wan} {quick.wan}; do printf $to | socat "
		"-u - "
		"UDP4:{b.ip}:7000; done']}\n"
		"  - run: {at: a, argv: [sh, -c, 'p=$(echo | socat -t3 - UDP4:{b.ip}:7000,sourceport=5000); "
		"echo "
		"$p; [ \"$p\" ] && [ \"$p\" != 5000 ]']}\n"
		"  - run: {at: c, argv: [sh, -c, 'sleep 2.5; echo | socat -t3 - "
		"UDP4:{b.ip}:7000,sourceport=5000'], is: '5000'}\n";
	static const struct engine_ops *const engines[] = { &engine_kernel, &engine_user };
	(void)state;
	for (size_t e = 0; e < ARRAY_LEN(engines); e++)
		expect(engines[e], text, EXIT_PASS, "every router probed");
}

/* A link with a model is played whoever plays the routers, and by nobody where the kernel is to do it alone. */
static void test_links(void **state)
{
#define TWO(link) \
	HEAD "routers:\n  home: {nat: home, " link "}\nnodes:\n  a: {at: home}\n  b: {at: " \
	     "internet}\nsteps:\n"
	static const char delayed[] =
		TWO("link: {delay: 30ms}") "  - run: {at: a, argv: [ping, -c3, -i0.05, '{b.ip}'], matches: "
					   "'min/avg/max/mdev = 6[0-9][.]', within: 5s}\n";
	static const char lost[] =
		TWO("link: {up: {dead: true}}") "  - ping: {from: a, to: b, within: 500ms}\n";
	static const char nth[] =
		TWO("link: {up: {nth: [1, 3]}}") "  - run: {at: a, argv: [ping, -c4, -i0.01, '{b.ip}'], "
						 "matches: '4 packets transmitted, 2 received', "
						 "within: 5s}\n";
	/* Too big for the way, and told so: the sender then knows the size. */
	static const char mtu[] =
		TWO("link: {mtu: 1000}") "  - run: {at: a, argv: [sh, -c, 'ping -M do -s 1400 -c1 -W1 "
					 "{b.ip}; ping -M do -s 1400 -c1 -W1 {b.ip}'], "
					 "matches: 'mtu ?= ?1000', exit: 1, within: 5s}\n"
					 "  - run: {at: a, argv: [ping, -M, dont, -s, '1400', -c1, -W1, "
					 "'{b.ip}'], within: 5s}\n";
	static const struct engine_ops *const engines[] = { &engine_auto, &engine_user };
	(void)state;
	for (size_t e = 0; e < ARRAY_LEN(engines); e++) {
		expect(engines[e], delayed, EXIT_PASS, "as expected");
		expect(engines[e], lost, EXIT_FAILED, "the link carries nothing this way");
		expect(engines[e], nth, EXIT_PASS, "as expected");
		expect(engines[e], mtu, EXIT_PASS, "as expected");
	}
	/* Regions are as far from each other as they say, both ways together. */
	expect(&engine_auto,
		HEAD "regions: {eu: {us: 30ms}, us: {}}\nrouters:\n  home: {nat: home, region: eu}\nnodes:\n "
		     " a: {at: home}\n"
		     "  b: {at: internet, region: us}\n  c: {at: internet, region: eu}\nsteps:\n"
		     "  - run: {at: a, argv: [ping, -c3, -i0.05, '{b.ip}'], matches: 'min/avg/max/mdev = "
		     "6[0-9][.]', within: "
		     "5s}\n"
		     "  - run: {at: b, argv: [ping, -c3, -i0.05, '{c.ip}'], matches: 'min/avg/max/mdev = "
		     "6[0-9][.]', within: "
		     "5s}\n"
		     "  - run: {at: a, argv: [ping, -c3, -i0.05, '{c.ip}'], matches: 'min/avg/max/mdev = "
		     "[0-9][.]', within: "
		     "5s}\n",
		EXIT_PASS, "as expected");
	expect(&engine_kernel,
		HEAD "ipv6: true\nrouters:\n  r: {nat: home, nat64: {}}\nnodes:\n  a: {at: r}\n", EXIT_HOST,
		"NAT64: nftables makes no IPv4 of IPv6");
	expect(&engine_kernel,
		HEAD "routers:\n  r: {nat: home, balance: flow, uplinks: {x: {at: internet}, y: {at: "
		     "internet}}}\nnodes:\n  a: {at: r}\n",
		EXIT_HOST, "flows balanced over uplinks: the rules of nftables have one outer side");
	expect(&engine_kernel, nth, EXIT_HOST, "the link of 'home' needs the userspace engine");
}

/* One that has no room for the probes keeps the others waiting, whose mappings may be over then; it is the one to blame. */
static void test_crowded(void **state)
{
	(void)state;
	expect(&engine_user,
		HEAD "routers:\n  q: {nat: {mapping: ADM, filtering: EIF, lifetime-new: 2s}}\n"
		     "  r: {nat: {mapping: APDM, table: 4}}\nnodes:\n  a: {at: q}\n",
		EXIT_BROKEN, "router 'r' cannot be measured: it seems that not all comes");
}

/* A router that cannot be measured makes a run inconclusive, and no failure. */
static int cannot_measure(struct engine *e, struct errbuf *eb)
{
	(void)e;
	return err_say(
		eb, -ETIMEDOUT, "t.yaml:4:3: router 'home' cannot be measured on a machine that is 20");
}

static void test_slow_machine(void **state)
{
	struct engine_ops slow = engine_auto;
	(void)state;
	slow.self_test = cannot_measure;
	expect(&slow, HEAD "routers:\n  home: {nat: home}\nnodes:\n  a: {at: home}\n", EXIT_UNSURE,
		"router 'home' cannot be measured on a machine that is 20; again with -k");
}

/* ---- one seed, one log ---- */

static struct buf log_of(const char *text)
{
	char dir[] = "/tmp/engines_test.XXXXXX", path[64], command[64], *records;
	struct buf log = { 0 };
	struct errbuf eb;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/decisions.jsonl", dir);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	int code = scenario_run_on(&engine_user, text, dir, &records),
	    err = file_read(path, 1 << 20, &log, &eb);
	if (code != EXIT_PASS)
		fprintf(stderr, "%s", records);
	free(records);
	assert_int_equal(system(command), 0);
	assert_int_equal(code, EXIT_PASS);
	if (err)
		fail_msg("%s", eb.text);
	char *all = (char *)(uintptr_t)buf_cstr(&log), *to = all;
	for (const char *at = all; *at;) { /* but what is not to be compared */
		if (!strncmp(at, ",\"at_ms\":", 9))
			at += strcspn(at, "}");
		*to++ = *at++;
	}
	log.len = (size_t)(to - all);
	return log;
}

/* ci/long asks for a hundred runs. */
static void expect_one_log(const char *text)
{
	const char *more = getenv("RW_ENGINE_RUNS");
	unsigned runs = more ? (unsigned)atoi(more) : 3;
	struct buf first = log_of(text);
	assert_true(first.len > 1000);
	assert_non_null(strstr(buf_cstr(&first), "\"decision\":\"mapped\""));
	assert_non_null(strstr(buf_cstr(&first), "\"decision\":\"lost\""));
	assert_non_null(strstr(buf_cstr(&first), "\"decision\":\"doubled\""));
	for (unsigned i = 1; i < runs; i++) {
		struct buf next = log_of(text);
		if (next.len != first.len || memcmp(buf_data(&next), buf_data(&first), first.len) != 0)
			fail_msg("run %u:\n%s\nthe first:\n%s", i + 1, buf_cstr(&next), buf_cstr(&first));
		buf_free(&next);
	}
	buf_free(&first);
}

/* Two hosts of one home at a time, over links with losses and jitter. */
static void test_log(void **state)
{
	static const char text[] = HEAD
		"routers:\n  home: {nat: {mapping: APDM, filtering: APDF, ports: random}, "
		"link: {delay: 3ms, jitter: 2ms, loss: 20%, up: {duplicate: 10%}}}\n"
		"nodes:\n  a: {at: home, link: {loss: 10%}}\n  b: {at: home}\n  c: {at: internet}\nsteps:\n"
		"  - run: {at: a, argv: [sh, -c, 'for i in 1 2 3; do ping -e 7$i -c20 -i0.002 -W1 {c.ip}; "
		"done; true']}\n"
		"  - run: {at: b, argv: [sh, -c, 'ping -e 9 -c20 -i0.002 -W1 {c.ip}; ping -e 9 -c20 -i0.002 "
		"-W1 {a.ip}; true']}\n";
	(void)state;
	expect_one_log(text);
}

/* A client that sends 2,000 datagrams at once, of which this seed lets 1,753 come back: it waits for them all. */
static void test_burst_log(void **state)
{
	static const char text[] =
		HEAD "routers:\n  home: {nat: {mapping: APDM, filtering: APDF, ports: random}, "
		     "link: {up: {loss: 20%, duplicate: 10%}}}\n"
		     "services:\n  echo: {run: echo, with: {port: '7777'}}\nnodes:\n  a: {at: home}\nsteps:\n"
		     "  - run: {at: a, argv: [python3, -c, \"import socket,select\\ns=[socket.socket(2,2) "
		     "for i in "
		     "range(4)]\\nfor k,x in enumerate(s): x.setsockopt(1,33,1<<23); "
		     "x.bind(('',6000+k))\\nfor i in "
		     "range(500):\\n for x in s: x.sendto(b'x'*64,('{echo.ip}',7777))\\nn=0\\nwhile "
		     "n<1753:\\n for x "
		     "in "
		     "select.select(s,[],[])[0]: x.recv(99); n+=1\\n\"], within: 20s}\n";
	(void)state;
	if (geteuid() != 0)
		skip(); /* such queues of sockets take rights */
	expect_one_log(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crowded),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_late_service),
		cmocka_unit_test(test_probes),
		cmocka_unit_test(test_stanzas),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_open_box),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_slow_machine),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_burst_log),
	};
	const char *only = getenv("RW_ENGINE_TEST");
	if (only)
		cmocka_set_test_filter(only);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
