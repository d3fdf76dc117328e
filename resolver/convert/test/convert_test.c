/* Line by line: what is made of it, and what is said. Whatever is made has to be a configuration that is read. */
#include "resolver/convert/convert.h"

#include "mesh/base/err.h"
#include "resolver/conf.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define UP "server=192.0.2.1\nno-hosts\n"
#define ROOT "forward-zone:\n name: .\n forward-addr: 192.0.2.1\nserver:\n"
#define NO_DOMAIN(name) "\"" name "\" is not a domain name: no client asks for one with a blank or # in it"
#define TOML "[dns]\nupstreams = [ \"192.0.2.1\" ]\n"

struct row {
	const char *text, *made,
		*said; /* parts; made NULL: nothing beyond what is always there; said NULL: nothing */
};

static const struct row dnsmasq_rows[] = {
	{ "port=5353", "listen: [ \"[::]:5353\" ]", NULL },
	{ "port=0", NULL, "f:3: port: with port=0 it answers no DNS" },
	{ "port=99999", NULL, "not a port" },
	{ "listen-address=127.0.0.1,::1", "listen: [ \"127.0.0.1\", \"::1\" ]", NULL },
	{ "listen-address=eth0", NULL, "\"eth0\" is not an address" },
	{ "interface=eth0 # home", NULL, "f:3: interface: no counterpart: it listens on addresses" },
	{ "server=9.9.9.9#5353", "upstreams: [ \"192.0.2.1:53\", \"9.9.9.9:5353\" ]", NULL },
	{ "server=2001:db8::1", "\"[2001:db8::1]:53\"", NULL },
	{ "server=9.9.9.9@eth1", "\"9.9.9.9:53\"", "eth1: which interface or address asks" },
	{ "server=/corp.example/10.0.0.53", "routes:\n  \"corp.example\": [ \"10.0.0.53:53\" ]", NULL },
	{ "server=/a.example/b.example/10.0.0.53", "  \"b.example\": [ \"10.0.0.53:53\" ]", NULL },
	{ "server=/.dot.example/10.0.0.53", "\"dot.example\": [", NULL },
	{ "server=/local.example/", "authority: [ \"local.example\" ]", NULL },
	{ "local=/lan/", "authority: [ \"lan\" ]", NULL },
	{ "server=/open.lan/#", "local-zones:\n  \"open.lan\": transparent", NULL },
	{ "server=//10.0.0.53", NULL, "names of one label alone" },
	{ "server=/#/9.9.9.9", "upstreams: [ \"192.0.2.1:53\", \"9.9.9.9:53\" ]\n", NULL },
	{ "server=/#/", NULL, "names without a server have no counterpart" },
	{ "server=/*.x.example/10.0.0.53", NULL, "a suffix has no wildcard" },
	{ "server=dns.example", NULL, "dns.example: not the address of a server" },
	{ "server=", NULL, "f:3: server: it needs a value" },
	{ "rev-server=192.168.0.0/16,192.168.1.1", "\"192.168.0.0/16\": [ \"192.168.1.1:53\" ]", NULL },
	{ "rev-server=here,192.168.1.1", NULL, "a network and a server are wanted" },
	{ "strict-order", "order: strict", NULL },
	{ "all-servers", "order: race", NULL },
	{ "address=/dev.lan/192.168.1.9", "{ name: \"*.dev.lan\", type: A, value: \"192.168.1.9\" }", NULL },
	{ "address=/six.lan/2001:db8::9", "{ name: \"six.lan\", type: AAAA, value: \"2001:db8::9\" }", NULL },
	{ "address=/ads.example/", "\"ads.example\": always-nxdomain", NULL },
	{ "address=/ads.example/#", "\"ads.example\": always-null", NULL },
	{ "address=/#/1.2.3.4", NULL, "an address for every name" },
	{ "address=/*.wild.lan/1.2.3.4",
		"records:\n  - { name: \"*.wild.lan\", type: A, value: \"1.2.3.4\" }\n", NULL },
	{ "address=/*.ads.example/", "\"ads.example\": always-nxdomain",
		"the name itself is as those below it" },
	{ "address=/*wild.lan/1.2.3.4", NULL, "only \"*.\" in front of a name has a counterpart" },
	{ "address=1.2.3.4", NULL, "no domain between slashes" },
	{ "address=/x.lan/nowhere", NULL, "\"nowhere\" is not an address" },
	{ "host-record=nas.lan,192.168.1.5", "records:\n  - { name: \"nas.lan\", value: \"192.168.1.5\" }",
		NULL },
	{ "host-record=a.lan,b.lan,192.168.1.5", "{ name: \"b.lan\", type: A, value: \"192.168.1.5\" }",
		NULL },
	{ "host-record=a.lan,192.168.1.5,300", "{ name: \"a.lan\", value: \"192.168.1.5\" }",
		"one time to live (ttl), not 300" },
	{ "host-record=a.lan", NULL, "there is no address in it" },
	{ "cname=www.lan,nas.lan", "{ name: \"www.lan\", type: CNAME, value: \"nas.lan.\" }", NULL },
	{ "cname=www.lan,nas.lan,60", "type: CNAME, value: \"nas.lan.\"", "not 60" },
	{ "cname=www.lan", NULL, "an alias and its target" },
	{ "mx-host=lan,mail.lan,10", "{ name: \"lan\", type: MX, value: \"10 mail.lan.\" }", NULL },
	{ "mx-host=lan", NULL, "the host that takes the mail" },
	{ "srv-host=_sip._tcp.lan,nas.lan,5060,1,2", "type: SRV, value: \"1 2 5060 nas.lan.\"", NULL },
	{ "txt-record=x.lan,\"v=spf1 -all, more\",two", "value: \"\\\"v=spf1 -all, more\\\" \\\"two\\\"\"",
		NULL },
	{ "ptr-record=9.1.168.192.in-addr.arpa,x.lan", "type: PTR, value: \"x.lan.\"", NULL },
	{ "ptr-record=_http._tcp.lan,\"New Page._http._tcp.lan\"",
		"type: PTR, value: \"New\\\\032Page._http._tcp.lan.\"", NULL },
	{ "naptr-record=n.lan,100,10,u,E2U+sip,!^.*$!sip:i@lan!", "type: NAPTR", NULL },
	{ "caa-record=lan,0,issue,ca.example", "type: CAA, value: \"0 issue \\\"ca.example\\\"\"", NULL },
	{ "dns-rr=raw.lan,65280,01:23:45", "type: TYPE65280, value: \"\\\\# 3 012345\"", NULL },
	{ "dns-rr=raw.lan,many", NULL, "the number of a type" },
	{ "addn-hosts=/etc/more", "names-from:\n  - { hosts: \"/etc/more\" }", NULL },
	{ "hostsdir=/etc/h.d", "{ hosts: \"/etc/h.d\" }", NULL },
	{ "dhcp-leasefile=/var/l", "{ leases: \"/var/l\" }", NULL },
	{ "dhcp-range=10.0.0.5,10.0.0.9", "names-from:\n  - { leases: \"/var/lib/misc/dnsmasq.leases\" }",
		"DHCP, TFTP and router advertisements stay" },
	{ "dhcp-range=10.0.0.5,10.0.0.9\ndhcp-leasefile=/var/l\ndomain=lan",
		"names-from:\n  - { leases: \"/var/l\", domain: \"lan\" }\n", "DHCP, TFTP" },
	{ "addn-hosts=/etc/more\ndomain=Lan", "names-from:\n  - { hosts: \"/etc/more\" }\n", NULL },
	{ "addn-hosts=/etc/more\ndomain=Lan\nexpand-hosts", "  - { hosts: \"/etc/more\", domain: \"lan\" }\n",
		NULL },
	{ "domain=lan,10.0.0.0/8,local", "authority: [ \"lan\" ]", "not for those of 10.0.0.0/8 alone" },
	{ "domain=lan\ndomain=wifi.lan,10.0.0.0/8", NULL, "wifi.lan: all addresses are in one domain, lan" },
	{ "domain=#", NULL, "the domain of resolv.conf is not looked up" },
	{ "domain=a..b", NULL, "\"a..b\" is not a domain name" },
	{ "enable-tftp", NULL, "DHCP, TFTP" },
	{ "stop-dns-rebind\nrebind-domain-ok=/plex.example/",
		"rebinding:\n  refuse: true\n  except: [ \"plex.example\" ]", NULL },
	{ "cache-size=10000", "cache-bytes: 4000000", NULL },
	{ "cache-size=0", NULL, "cannot be turned off" },
	{ "local-ttl=60", "ttl: 60", NULL },
	{ "local-ttl=0", NULL, "1 to 86400" },
	{ "use-stale-cache=3600", "serve-stale: 3600", NULL },
	{ "use-stale-cache=0", "serve-stale: 259200", NULL },
	{ "log-queries=extra", "query-log: true", NULL },
	{ "no-0x20-encode", "mixed-case: false\n", NULL },
	{ "do-0x20-encode", NULL, NULL },
	{ "no-0x20-encode\ndo-0x20-encode", "mixed-case: false\n", NULL },
	{ "domain-needed\nbogus-priv\nbind-interfaces\nno-resolv", NULL, NULL },
	{ "conf-dir=/etc/dnsmasq.d,*.conf", NULL, "give the files of that folder" },
	{ "dnssec", "dnssec:\n  validate: true\n", NULL },
	{ "trust-anchor=.,1,2", NULL, "anchors are in a file" },
	{ "bogus-nxdomain=64.94.110.11", NULL, "not changed by their addresses" },
	{ "ipset=/x/y", NULL, "no firewall is told" },
	{ "frobnicate=1", NULL, "f:3: frobnicate: no counterpart\n" },
	{ "# port=7", NULL, NULL },
	{ "cname=a.lan,b.lan\nhost-record=a.lan,1.2.3.4", "type: CNAME",
		"f:4: a.lan: an alias (CNAME) can have no other record" },
	{ "host-record=a.lan,1.2.3.4\ncname=a.lan,b.lan", "value: \"1.2.3.4\"", "an alias (CNAME)" },
	{ "server=127.0.0.1", NULL, "127.0.0.1:53 is where this resolver listens itself" },
	{ "rev-server=192.168.0.0/16,9.9.9.9\nserver=/168.192.in-addr.arpa/9.9.9.9", "\"192.168.0.0/16\"",
		"another route is for the same names" },
	{ "host-record=b\303\244r.lan,192.168.1.5", NULL, "is not a domain name" },
	{ "server=/corp.example/127.0.0.1#53=/null.example/#", "  \"null.example\": transparent",
		"f:3: 127.0.0.1#53=: " NO_DOMAIN("127.0.0.1#53=") },
	{ "server=/bad name/10.0.0.53", NULL, "f:3: bad name: " NO_DOMAIN("bad name") },
	{ "server=/bad\\032name/10.0.0.53", NULL, NO_DOMAIN("bad\\032name") },
	{ "local=/a#b/", NULL, NO_DOMAIN("a#b") },
	{ "address=/a b.example/", NULL, NO_DOMAIN("a b.example") },
	{ "stop-dns-rebind\nrebind-domain-ok=/a#b/", "rebinding:\n  refuse: true\n", "f:4: a#b: " },
	{ "domain=my lan,10.0.0.0/8,local", NULL, "f:3: domain: " NO_DOMAIN("my lan") },
	/* Services have names that people read: a record's own is another matter. */
	{ "txt-record=New Page._http._tcp.lan,x", "{ name: \"new\\\\032page._http._tcp.lan\"", NULL },
};

static const struct row unbound_rows[] = {
	{ "interface: 192.0.2.9", "listen: [ \"192.0.2.9\" ]", NULL },
	{ "interface: 192.0.2.9@5353", "listen: [ \"192.0.2.9:5353\" ]", NULL },
	{ "interface: 0.0.0.0\ninterface: ::0", "listen: [ \"::\" ]", NULL },
	{ "interface: 192.0.2.9\nport: 5353", "listen: [ \"192.0.2.9:5353\" ]", NULL },
	{ "interface: 192.0.2.9@853", NULL, "need tls-service-pem" },
	{ "interface: 192.0.2.9@853\ninterface: 192.0.2.9@443\ntls-service-pem: /c\ntls-service-key: /k",
		"secure:\n  tls: [ \"192.0.2.9\" ]\n  https: [ \"192.0.2.9\" ]\n  certificate: \"/c\"\n  "
		"key: \"/k\"\n",
		NULL },
	{ "interface: eth0", NULL, "\"eth0\" is not an address" },
	{ "port: none", NULL, "not a port" },
	{ "access-control: 10.0.0.0/8 allow", "allow: [ \"10.0.0.0/8\" ]", NULL },
	{ "access-control: 10.0.0.0/8 allow_snoop", "allow: [ \"10.0.0.0/8\" ]", NULL },
	{ "access-control: 10.9.0.0/16 refuse", NULL, "10.9.0.0/16: who is not in \"allow\"" },
	{ "access-control: 10.9.0.0/16", NULL, "a network and a word" },
	{ "access-control: 10.9.0.0/16 perhaps", NULL, "no such word: perhaps" },
	{ "local-zone: \"lan.\" static", "local-zones:\n  \"lan\": static", NULL },
	{ "local-zone: a.example refuse", "\"a.example\": refuse", NULL },
	{ "local-zone: a.example transparent", "\"a.example\": transparent", NULL },
	{ "local-zone: a.example typetransparent", "\"a.example\": typetransparent", NULL },
	{ "local-zone: a.example redirect", "\"a.example\": redirect", NULL },
	{ "local-zone: a.example always_nxdomain", "\"a.example\": always-nxdomain", NULL },
	{ "local-zone: a.example always_nodata", "\"a.example\": always-nodata", NULL },
	{ "local-zone: a.example always_refuse", "\"a.example\": always-refuse", NULL },
	{ "local-zone: a.example always_null", "\"a.example\": always-null", NULL },
	{ "local-zone: a.example always_transparent", "\"a.example\": always-transparent", NULL },
	{ "local-zone: a.example deny", "\"a.example\": refuse", "deny: who asks is answered" },
	{ "local-zone: a.example inform", "\"a.example\": transparent", "nothing is logged" },
	{ "local-zone: a.example noview", NULL, "no counterpart of the word noview" },
	{ "local-zone: a.example static\nlocal-zone: A.example. refuse", "\"a.example\": refuse",
		"it was \"static\" before" },
	{ "local-zone: a..b static", NULL, "is not a domain name" },
	{ "local-zone: a#b static", NULL, "f:5: a#b: " NO_DOMAIN("a#b") },
	{ "private-address: 10.0.0.0/8\nprivate-domain: a#b", "rebinding:\n  refuse: true\n",
		"f:6: a#b: " NO_DOMAIN("a#b") },
	{ "trust-anchor-file: /x\ndomain-insecure: a#b", "  anchors: \"/x\"\n",
		"f:6: a#b: " NO_DOMAIN("a#b") },
	{ "forward-zone:\n name: a#b\n forward-addr: 10.0.0.53", NULL, "f:5: a#b: " NO_DOMAIN("a#b") },
	{ "local-data: \"nas.lan. 3600 IN A 192.168.1.5\"",
		"{ name: \"nas.lan\", type: A, value: \"192.168.1.5\" }", NULL },
	{ "local-data: \"nas.lan A 192.168.1.5\"", "{ name: \"nas.lan\", type: A, value: \"192.168.1.5\" }",
		NULL },
	{ "local-data: 'x.lan TXT \"one\" \"two words\"'", "value: \"\\\"one\\\" \\\"two words\\\"\"", NULL },
	{ "local-data: \"x.lan mx 10 y.lan.\"", "type: MX, value: \"10 y.lan.\"", NULL },
	{ "local-data: \"x.lan IN\"", NULL, "there is no record in it" },
	{ "local-data: \"x.lan A 1.2.3\"", NULL, "x.lan: " },
	{ "local-data-ptr: \"192.168.1.5 nas.lan\"",
		"{ name: \"5.1.168.192.in-addr.arpa\", type: PTR, value: \"nas.lan.\" }", NULL },
	{ "local-data-ptr: \"192.168.1.5 3600 nas.lan\"", "type: PTR, value: \"nas.lan.\"", NULL },
	{ "local-data-ptr: \"here nas.lan\"", NULL, "an address and a name" },
	{ "private-address: 10.0.0.0/8\nprivate-domain: plex.example", "  except: [ \"plex.example\" ]",
		NULL },
	{ "serve-expired: yes", "serve-stale: 86400", NULL },
	{ "serve-expired: yes\nserve-expired-ttl: 3600", "serve-stale: 3600", NULL },
	{ "serve-expired: no", "serve-stale: 0", NULL },
	{ "ip-ratelimit: 100", "rate-limit: 100", NULL },
	{ "log-queries: yes", "query-log: true", NULL },
	{ "use-caps-for-id: no", "mixed-case: false\n", NULL },
	{ "use-caps-for-id: yes\ncaps-exempt: odd.example", NULL, NULL },
	{ "msg-cache-size: 4m\nrrset-cache-size: 8m", "cache-bytes: 12582912", NULL },
	{ "prefetch: yes\nharden-glue: yes\nnum-threads: 4\nverbosity: 1", NULL, NULL },
	{ "auto-trust-anchor-file: /x", "dnssec:\n  validate: true\n", NULL },
	{ "trust-anchor-file: /x\ndomain-insecure: corp.example",
		"  anchors: \"/x\"\n  insecure: [ \"corp.example\" ]\n", NULL },
	{ "auto-trust-anchor-file: /x\nmodule-config: \"iterator\"", NULL, NULL },
	{ "module-config: \"dns64 iterator\"", "dns64: 64:ff9b::/96\n", NULL },
	{ "dns64-prefix: 2001:db8:64::/48\nmodule-config: \"dns64 iterator\"", "dns64: 2001:db8:64::/48\n",
		NULL },
	{ "dns64-prefix: 2001:db8:64::/48", NULL, NULL }, /* nobody uses it */
	{ "dns64-prefix: 2001:db8:64::/47", NULL, "\"2001:db8:64::/47\" is not a network of 32" },
	{ "cache-min-ttl: 5", NULL, "times are those of the answers" },
	{ "tls-port: 853", NULL, "in \"secure\"" },
	{ "define-tag: \"a b\"", NULL, "groups, for blocking alone" },
	{ "root-hints: /x", NULL, "not the root" },
	{ "frobnicate: 1", NULL, "f:5: frobnicate: no counterpart\n" },
	{ "include: /etc/more.conf", NULL, "give that file to convert as well: /etc/more.conf" },
	{ "just words", NULL, "\"name: value\" is wanted" },
	{ "forward-zone:\n name: corp.example\n forward-addr: 10.0.0.53@5353",
		"\"corp.example\": [ \"10.0.0.53:5353\" ]", NULL },
	{ "forward-zone:\n name: x.example\n forward-tls-upstream: yes\n forward-addr: "
	  "9.9.9.9@853#dns.quad9.net",
		"\"x.example\": [ \"tls://9.9.9.9:853#dns.quad9.net\" ]", NULL },
	{ "forward-zone:\n name: x.example\n forward-host: ns.example", NULL,
		"a server is named by its address" },
	{ "forward-zone:\n name: x.example\n forward-first: yes", NULL, "does not ask the root" },
	{ "forward-zone:\n forward-addr: 10.0.0.53", NULL, "f:5: zone: it has no name" },
	{ "stub-zone:\n name: x.example\n stub-addr: 10.0.0.53", "\"x.example\": [ \"10.0.0.53:53\" ]",
		"stub-zone: its servers" },
	{ "rpz:\n name: r\n zonefile: /etc/r.rpz", "{ name: \"rpz-1\", file: \"/etc/r.rpz\" }", NULL },
	{ "rpz:\n name: r\n url: https://x.example/r", "url: \"https://x.example/r\"", NULL },
	{ "auth-zone:\n name: x\n zonefile: y", NULL, "f:5: auth-zone: no counterpart" },
	{ "remote-control:\n control-enable: yes", NULL, NULL },
	{ "do-ip6: no do-ip4: yes # two on a line", NULL, NULL },
};

static const struct row pihole_rows[] = {
	{ "upstreams = [ \"9.9.9.9\", \"127.0.0.1#5335\" ]", "\"127.0.0.1:5335\" ]", NULL },
	{ "upstreams = [\n  # ours\n  \"9.9.9.9\", # one\n  \"1.1.1.1\"\n]",
		"\"9.9.9.9:53\", \"1.1.1.1:53\" ]", NULL },
	{ "upstreams = [ \"resolver.example\" ]", NULL, "not the address of a server" },
	{ "hosts = [ \"192.168.1.5 nas.lan nas2.lan\" ]",
		"{ name: \"nas2.lan\", type: A, value: \"192.168.1.5\" }", NULL },
	{ "hosts = [ \"2001:db8::5 nas.lan\" ]", "{ name: \"nas.lan\", value: \"2001:db8::5\" }", NULL },
	{ "hosts = [ \"nas.lan\" ]", NULL, "an address and names are wanted" },
	{ "hosts = [ ]", NULL, NULL },
	{ "cnameRecords = [ \"www.lan,nas.lan\" ]", "type: CNAME, value: \"nas.lan.\"", NULL },
	{ "cnameRecords = [ \"www.lan,nas.lan,300\" ]", "type: CNAME, value: \"nas.lan.\"", "not 300" },
	{ "hostRecord = \"a.lan,192.168.1.9\"", "{ name: \"a.lan\", value: \"192.168.1.9\" }", NULL },
	{ "hostRecord = \"\"", NULL, NULL },
	{ "revServers = [ \"true,192.168.0.0/16,192.168.0.1#53,lan\" ]", "  \"lan\": [ \"192.168.0.1:53\" ]",
		NULL },
	{ "revServers = [ \"true,192.168.0.0/16,192.168.0.1\" ]",
		"\"192.168.0.0/16\": [ \"192.168.0.1:53\" ]", NULL },
	{ "revServers = [ \"true,192.168.0.0/16,192.168.0.1,my lan\" ]", "\"192.168.0.0/16\"",
		"f:3: my lan: " NO_DOMAIN("my lan") },
	{ "revServers = [ \"false,192.168.0.0/16,192.168.0.1,lan\" ]", NULL, NULL },
	{ "revServers = [ \"true,home,192.168.0.1,lan\" ]", NULL, "a network and a server are wanted" },
	{ "port = 5353", "listen: [ \"[::]:5353\" ]", NULL },
	{ "port = 53", NULL, NULL },
	{ "queryLogging = true", "query-log: true", NULL },
	{ "queryLogging = false", NULL, NULL },
	{ "blockTTL = 2\n", NULL, NULL },
	{ "dnssec = true", "dnssec:\n  validate: true\n", NULL },
	{ "dnssec = false", NULL, NULL },
	{ "interface = \"eth0\"", NULL, "name them in \"listen\"" },
	{ "interface = \"\"", NULL, NULL },
	{ "listeningMode = \"ALL\"", NULL, "who may ask is said by \"allow\"" },
	{ "listeningMode = \"LOCAL\" ### CHANGED, default = \"x\"", NULL, NULL },
	{ "bogusPriv = false", NULL, "servers of a site alone" },
	{ "CNAMEdeepInspect = false", NULL, "always looked at" },
	{ "expandHosts = true\ndomain = \"lan\"", "{ hosts: \"/etc/hosts\", domain: \"lan\" }", NULL },
	{ "[dns.cache]\nsize = 10000", "cache-bytes: 4000000", NULL },
	{ "[dns.cache]\noptimizer = 3600", "serve-stale: 3600", NULL },
	{ "[dns.blocking]\nactive = false", NULL, "lists block from the start" },
	{ "[dns.blocking]\nmode = \"NULL\"", NULL, NULL },
	{ "[dns.blocking]\nmode = \"IP\"", NULL, "say the address as \"answer\"" },
	{ "[dns.rateLimit]\ncount = 1000\ninterval = 60", "rate-limit: 17", NULL },
	{ "[dns.rateLimit]\ncount = 0\ninterval = 0", NULL, NULL },
	{ "[dns.specialDomains]\nmozillaCanary = false", NULL, "so whenever something is blocked" },
	{ "[dns.reply.host]\nforce4 = true", NULL, "no name pi.hole" },
	{ "domain = \"lan\"", "authority: [ \"lan\" ]", NULL },
	{ "domain = \"my lan\"\nexpandHosts = true", NULL, "f:3: dns.domain: " NO_DOMAIN("my lan") },
	{ "domain = \"lan\"\ndomainLocal = false", NULL, NULL },
	{ "[dns.domain]\nname = \"lan\"\nlocal = false", NULL, NULL },
	{ "domain = \"lan\"\nrevServers = [ \"true,192.168.0.0/16,192.168.0.1,lan\" ]",
		"  \"lan\": [ \"192.168.0.1:53\" ]\n", NULL },
	{ "domain = \"lan\"\n[dhcp]\nactive = true",
		"  - { leases: \"/etc/pihole/dhcp.leases\", domain: \"lan\" }",
		"a DHCP server is another program" },
	{ "[dhcp]\nactive = true", "  - { leases: \"/etc/pihole/dhcp.leases\" }",
		"a DHCP server is another program" },
	{ "[dhcp]\nactive = false", NULL, NULL },
	{ "[misc]\ndnsmasq_lines = [ \"address=/dev.lan/192.168.1.9\", \"log-facility=/x\" ]",
		"{ name: \"*.dev.lan\", type: A, value: \"192.168.1.9\" }", NULL },
	{ "[misc]\ndnsmasq_lines = [ 'dhcp-option=3,1.2.3.4' ]", NULL, "DHCP, TFTP" },
	{ "[misc]\netc_dnsmasq_d = true", NULL,
		"give the files of that folder to convert as well: /etc/dnsmasq.d" },
	{ "[misc]\netc_dnsmasq_d = false", NULL, NULL },
	{ "[webserver]\nport = \"80o\"", NULL, NULL },
	{ "[dns]\nno equals", NULL, "\"key = value\" is wanted" },
	{ "hosts = [ \"1.2.3.4 open", NULL, "\"key = value\" is wanted" },
};

static void row_check(
	const struct row *r, size_t i, const char *prefix, enum convert_from from, const char *plain)
{
	char text[4096];
	struct buf out = { 0 };
	struct errbuf eb = { 0 };
	struct conf c;
	struct target t;
	target_init(&t);
	snprintf(text, sizeof(text), "%s%s\n", prefix, r->text);
	(from == CONVERT_DNSMASQ	  ? convert_dnsmasq
		: from == CONVERT_UNBOUND ? convert_unbound
					  : convert_pihole)(&t, "f", text, strlen(text));
	convert_end(&t, 1u << from);
	assert_true(target_write(&t, &out));
	if (conf_read("made", buf_cstr(&out), out.len, &c, &eb))
		fail_msg("row %zu (%s): %s\n%s", i, r->text, eb.text, buf_cstr(&out));
	struct zone *z = conf_zone("made", &c, &eb);
	if (!z)
		fail_msg("row %zu (%s): %s", i, r->text, eb.text);
	zone_put(z);
	conf_free(&c);
	if (r->made ? !strstr(buf_cstr(&out), r->made) : strcmp(buf_cstr(&out), plain) != 0)
		fail_msg("row %zu (%s) made\n%s", i, r->text, buf_cstr(&out));
	if (r->said ? !t.said.len || !strstr(buf_cstr(&t.said), r->said) : t.n_said != 0)
		fail_msg("row %zu (%s) said %s", i, r->text, t.said.len ? buf_cstr(&t.said) : "nothing");
	buf_free(&out);
	target_fini(&t);
}

static void test_dnsmasq(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(dnsmasq_rows); i++)
		row_check(&dnsmasq_rows[i], i, UP, CONVERT_DNSMASQ,
			"listen: [ \"::\" ]\nupstreams: [ \"192.0.2.1:53\" ]\n");
}

static void test_unbound(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(unbound_rows); i++)
		row_check(&unbound_rows[i], i, ROOT, CONVERT_UNBOUND,
			"listen: [ \"127.0.0.1\", \"::1\" ]\nupstreams: [ \"192.0.2.1:53\" ]\nallow: [ "
			"\"127.0.0.0/8\", "
			"\"::1/128\" ]\nserve-stale: 0\n");
}

static void test_pihole(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pihole_rows); i++)
		row_check(&pihole_rows[i], i, TOML, CONVERT_PIHOLE,
			"listen: [ \"::\" ]\nupstreams: [ \"192.0.2.1:53\" ]\n");
}

static void test_guess(void **state)
{
	static const struct {
		const char *text;
		enum convert_from from;
	} rows[] = { { "", CONVERT_UNKNOWN }, { "# only\n", CONVERT_UNKNOWN },
		{ "# a\n\nport=53\n", CONVERT_DNSMASQ }, { "no-resolv", CONVERT_DNSMASQ },
		{ "# x\n  server:\n", CONVERT_UNBOUND }, { "include: /x", CONVERT_UNBOUND },
		{ "# by FTL\n[dns]\n", CONVERT_PIHOLE }, { "SQLite format 3", CONVERT_GRAVITY } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(convert_guess(rows[i].text, strlen(rows[i].text)), rows[i].from);
	for (unsigned f = 0; f < CONVERT_UNKNOWN; f++)
		assert_int_equal(convert_from_parse(convert_from_text((enum convert_from)f)), f);
}

/* As blocklists are given to dnsmasq. */
static void test_long(void **state)
{
	struct target t;
	struct buf in = { 0 }, out = { 0 };
	struct errbuf eb = { 0 };
	struct conf c;
	(void)state;
	for (int i = 0; i < 60000; i++)
		buf_printf(&in, "address=/ads%d.example/#\n", i);
	target_init(&t);
	convert_dnsmasq(&t, "f", buf_cstr(&in), in.len);
	convert_end(&t, 1);
	assert_int_equal(t.zones.n, 60000);
	assert_true(target_write(&t, &out));
	assert_int_equal(conf_read("made", buf_cstr(&out), out.len, &c, &eb), 0);
	assert_int_equal(c.n_local_zones, 60000);
	conf_free(&c);
	buf_free(&in);
	buf_free(&out);
	target_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_dnsmasq), cmocka_unit_test(test_unbound),
		cmocka_unit_test(test_pihole), cmocka_unit_test(test_guess), cmocka_unit_test(test_long) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
