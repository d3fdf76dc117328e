/* dnsmasq and unbound with a configuration, and this program with what `convert` makes of it: the same questions get the same
 * answers, but for what is said in the rows. Without those programs nothing is compared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/err.h"
#include "mesh/base/key.h"
#include "resolver/alone/test/other.h"
#include "resolver/alone/test/program.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char up_conf[] = "listen: 127.0.0.1:0\nauthority: [ . ]\nrecords:\n"
			      "  - { name: www.example.com, value: 1.2.3.7 }\n"
			      "  - { name: priv.example.com, value: 192.168.3.3 }\n"
			      "  - { name: priv.plex.example, value: 192.168.3.3 }\n"
			      "  - { name: b.trans.example, value: 1.2.3.8 }\n"
			      "  - { name: a.tt.example, type: TXT, value: up }\n"
			      "  - { name: b.tt.example, type: TXT, value: up }\n"
			      "  - { name: b.open.nx.example, value: 1.2.3.9 }\n"
			      "  - { name: x.ads.example, value: 1.2.3.4 }\n"
			      "  - { name: alias.example.com, type: CNAME, value: www.example.com. }\n"
			      "  - { name: ipv4only.arpa, value: 192.0.0.170 }\n"
			      "  - { name: ipv4only.arpa, value: 192.0.0.171 }\n"
			      "  - { name: both.example.com, value: 1.2.3.10 }\n"
			      "  - { name: both.example.com, value: \"2001:db8::10\" }\n";
static const char corp_conf[] =
	"listen: 127.0.0.1:0\nauthority: [ . ]\nrecords:\n"
	"  - { name: h.corp.example, value: 1.2.3.20 }\n"
	"  - { name: 5.7.168.192.in-addr.arpa, type: PTR, value: five.corp.example. }\n";

/* %1$u: its port, %2$u: who knows everything, %3$u: who knows corp.example. */
static const char dnsmasq_conf[] =
	"port=%1$u\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\nserver=127.0.0.1#%2$u\n"
	"server=/corp.example/127.0.0.1#%3$u\nserver=/only.example/\nlocal=/lan/\nrev-server=192.168.7.0/"
	"24,127.0.0.1#%3$u\n"
	"address=/dev.example/192.168.1.9\naddress=/ads.example/\naddress=/null.example/#\naddress=/"
	"six.example/2001:db8::9\n"
	"host-record=nas.lan,nas2.lan,192.168.1.5,2001:db8::5\ncname=www.lan,nas.lan\ncname=a1.lan,a2.lan,"
	"nas.lan\n"
	"mx-host=lan,mail.lan,10\nsrv-host=_sip._tcp.lan,nas.lan,5060,1,2\ntxt-record=txt.lan,\"v=spf1 "
	"-all\",second\n"
	"ptr-record=9.1.168.192.in-addr.arpa,dev.lan\nnaptr-record=n.lan,100,10,u,E2U+sip,!^.*$!sip:info@lan!"
	"\n"
	"caa-record=lan,0,issue,ca.example\ndns-rr=raw.lan,65280,01:23:45\nstop-dns-rebind\nrebind-domain-ok="
	"/plex.example/\n"
	"domain-needed\nbogus-priv\nstrict-order\n";
static const char unbound_conf[] =
	"server:\n  interface: 127.0.0.1@%1$u\n  port: %1$u\n  do-daemonize: no\n  username: \"\"\n  chroot: "
	"\"\"\n  pidfile: \"\"\n"
	"  use-syslog: no\n  do-not-query-localhost: no\n  module-config: \"iterator\"\n  access-control: "
	"127.0.0.0/8 allow\n"
	"  local-zone: \"lan.\" static\n  local-data: \"nas.lan. 3600 IN A 192.168.1.5\"\n  local-data: "
	"\"nas.lan. AAAA 2001:db8::5\"\n"
	"  local-data-ptr: \"192.168.1.5 nas.lan\"\n  local-data: 'txt.lan. TXT \"one\" \"two words\"'\n"
	"  local-data: \"mail.lan MX 10 nas.lan.\"\n  local-zone: \"refuse.example\" refuse\n"
	"  local-data: \"a.refuse.example A 192.0.2.1\"\n  local-zone: \"redir.example.\" redirect\n"
	"  local-data: \"redir.example. A 192.0.2.2\"\n  local-zone: \"trans.example\" transparent\n"
	"  local-data: \"a.trans.example A 192.0.2.3\"\n  local-zone: \"tt.example\" typetransparent\n"
	"  local-data: \"a.tt.example A 192.0.2.3\"\n  local-zone: \"nx.example\" always_nxdomain\n"
	"  local-zone: \"nodata.example\" always_nodata\n  local-zone: \"rf.example\" always_refuse\n"
	"  local-zone: \"null.example\" always_null\n  local-zone: \"open.nx.example\" always_transparent\n"
	"  private-address: 192.168.0.0/16\n  private-domain: \"plex.example\"\n  harden-glue: yes\n"
	"forward-zone:\n  name: \".\"\n  forward-addr: 127.0.0.1@%2$u\nforward-zone:\n  name: "
	"\"corp.example.\"\n"
	"  forward-addr: 127.0.0.1@%3$u # here\nremote-control:\n  control-enable: no\n";

static const char dns64_conf[] =
	"server:\n  interface: 127.0.0.1@%1$u\n  port: %1$u\n  do-daemonize: no\n  username: \"\"\n  chroot: "
	"\"\"\n  pidfile: \"\"\n  use-syslog: no\n  do-not-query-localhost: no\n  module-config: \"dns64 "
	"iterator\"\n"
	"  dns64-prefix: 2001:db8:64::/96\nforward-zone:\n  name: \".\"\n  forward-addr: 127.0.0.1@%2$u\n"
	"remote-control:\n  control-enable: no\n";

struct row {
	const char *name, *types; /* types: "A AAAA", NULL: many */
	const char *differs;	  /* NULL: not; else why ours is another */
};
static const struct row dnsmasq_rows[] = { { "www.example.com", NULL, NULL },
	{ "nope.example.com", NULL, NULL }, { "alias.example.com", "A", NULL },
	{ "h.corp.example", NULL, NULL }, { "no.corp.example", NULL, NULL }, { "x.only.example", NULL, NULL },
	{ "only.example", "A", "a domain that is ours exists" }, { "lan", NULL, NULL },
	{ "nas.lan", NULL, NULL }, { "nas2.lan", NULL, NULL }, { "www.lan", NULL, NULL },
	{ "a1.lan", "A AAAA", NULL }, { "a2.lan", "A AAAA", NULL }, { "_sip._tcp.lan", "SRV A", NULL },
	{ "txt.lan", NULL, NULL }, { "no.lan", NULL, NULL }, { "dev.example", "A AAAA", NULL },
	{ "x.dev.example", "A AAAA", NULL }, { "a.b.dev.example", "A AAAA", NULL },
	{ "ads.example", NULL, NULL }, { "x.ads.example", NULL, NULL }, { "null.example", "A AAAA", NULL },
	{ "x.null.example", "A AAAA", NULL }, { "six.example", "AAAA", NULL },
	{ "x.six.example", "AAAA", NULL }, { "n.lan", "NAPTR", NULL }, { "lan", "CAA", NULL },
	{ "raw.lan", "TYPE65280", NULL }, { "9.1.168.192.in-addr.arpa", "PTR", NULL },
	{ "5.1.168.192.in-addr.arpa", "PTR", NULL }, { "5.7.168.192.in-addr.arpa", "PTR", NULL },
	{ "8.7.168.192.in-addr.arpa", "PTR", NULL }, { "4.4.168.192.in-addr.arpa", "PTR", NULL },
	{ "priv.example.com", "A", NULL }, { "priv.plex.example", "A", NULL }, { "single", "A", NULL } };
static const struct row unbound_rows[] = { { "www.example.com", NULL, NULL },
	{ "nope.example.com", NULL, NULL }, { "alias.example.com", "A", NULL },
	{ "h.corp.example", NULL, NULL }, { "no.corp.example", NULL, NULL }, { "lan", "A TXT", NULL },
	{ "nas.lan", NULL, NULL }, { "txt.lan", NULL, NULL }, { "mail.lan", NULL, NULL },
	{ "no.lan", NULL, NULL }, { "a.refuse.example", NULL, NULL }, { "b.refuse.example", NULL, NULL },
	{ "refuse.example", NULL, NULL }, { "redir.example", NULL, NULL }, { "x.redir.example", NULL, NULL },
	{ "a.b.redir.example", NULL, NULL }, { "a.trans.example", NULL, NULL },
	{ "b.trans.example", NULL, NULL }, { "a.tt.example", NULL, NULL }, { "b.tt.example", NULL, NULL },
	{ "nx.example", NULL, NULL }, { "x.nx.example", NULL, NULL }, { "b.open.nx.example", NULL, NULL },
	{ "nodata.example", NULL, NULL }, { "x.nodata.example", NULL, NULL }, { "rf.example", NULL, NULL },
	{ "x.rf.example", NULL, NULL }, { "null.example", NULL, NULL }, { "x.null.example", NULL, NULL },
	{ "priv.example.com", "A", NULL }, { "priv.plex.example", "A", NULL },
	{ "5.1.168.192.in-addr.arpa", "PTR", NULL }, { "6.1.168.192.in-addr.arpa", "PTR", NULL },
	{ "localhost", "A AAAA", NULL }, { "x.onion", NULL, NULL } };

static const struct row dns64_rows[] = { { "www.example.com", NULL, NULL },
	{ "alias.example.com", "A AAAA", NULL }, { "both.example.com", "A AAAA", NULL },
	{ "priv.example.com", "AAAA", NULL }, { "a.tt.example", "AAAA TXT", NULL },
	{ "nope.example.com", "AAAA", NULL },
	{ "7.0.3.0.2.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.4.6.0.0.8.b.d.0.1.0.0.2.ip6.arpa", "PTR",
		"an alias of the address inside, not a PTR of its own" } };

/* Of both files. */
static const struct row included_rows[] = { { "www.example.com", "A", NULL }, { "h.corp.example", "A", NULL },
	{ "nas.lan", "A AAAA", NULL }, { "more.example", "A", NULL }, { "nope.example.com", "A", NULL } };

static void file_write(const char *path, const char *format, unsigned own, unsigned up, unsigned corp)
{
	FILE *to = fopen(path, "we");
	assert_non_null(to);
	fprintf(to, format, own, up, corp);
	fclose(to);
}

/* What convert makes of the file, with another port, as the configuration of a program that is then started. */
static void ours_start(struct program *p, const char *path)
{
	char out[32768], *made;
	char text[OTHER_TEXT * 2];
	struct program none = { 0 };
	assert_int_equal(
		program_tell(&none, out, sizeof(out), (const char *const[]) { "convert", path, NULL }), 0);
	made = strstr(out, "listen: ");
	assert_non_null(made);
	char *listen = strchr(made, '\n'), *said = strstr(made, "have no counterpart, or not the same one\n");
	char *nothing = strstr(made, "everything has a counterpart");
	if (nothing)
		*nothing = 0;
	if (said) /* standard error came first or last, never between */
		while (said > made && said[-1] != '\n')
			*--said = 0;
	assert_non_null(listen);
	assert_null(strchr(made, '%'));
	snprintf(text, sizeof(text), "listen: 127.0.0.1:0%s", listen);
	program_start(p, text);
}

static void rows_check(const struct row *rows, size_t n, unsigned theirs, unsigned ours)
{
	char a[OTHER_TEXT], b[OTHER_TEXT], types[64], *save = NULL;
	for (size_t i = 0; i < n; i++) {
		snprintf(types, sizeof(types), "%s", rows[i].types ? rows[i].types : "A AAAA TXT MX PTR");
		for (char *t = strtok_r(types, " ", &save); t; t = strtok_r(NULL, " ", &save)) {
			if (!other_answer(theirs, rows[i].name, t, a) ||
				!other_answer(ours, rows[i].name, t, b))
				fail_msg("%s %s: no answer", rows[i].name, t);
			if ((strcmp(a, b) != 0) != (rows[i].differs != NULL))
				fail_msg("%s %s: theirs %s ours %s", rows[i].name, t, a, b);
		}
	}
}

static void text_write(const char *folder, const char *name, const char *format, char path[static 128])
{
	snprintf(path, 128, "%s/%s", folder, name);
	FILE *to = fopen(path, "we");
	assert_non_null(to);
	fprintf(to, format, folder);
	fclose(to);
}

/* path: of the one that includes. Beside it are files that are left alone. */
static void main_write(const char *folder, const char *main, char path[static 128])
{
	text_write(folder, "d/a.conf.bak", "nonsense\n", path);
	text_write(folder, "d/a.more",
		main[0] == 'c' ? "address=/more.example/192.168.1.8\n"
			       : "local-data: \"more.example. A 192.168.1.8\"\n",
		path);
	text_write(folder, "theirs.conf", main, path);
}

/* main: NULL, or what includes `conf` as %1$s/d/b.conf. */
static void compare(const char *binary, const char *conf, const char *main, const char *const *arguments,
	const struct row *rows, size_t n)
{
	struct program up, corp, ours;
	char path[128];
	const char *argv[8] = { binary };
	if (access(binary, X_OK) != 0)
		skip();
	program_start(&up, up_conf);
	program_start(&corp, corp_conf);
	unsigned port = other_port(); /* after those that took what the kernel gave */
	snprintf(path, sizeof(path), "%s/d", up.folder);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), main ? "%s/d/b.conf" : "%s/theirs.conf", up.folder);
	file_write(path, conf, port, up.dns.port, corp.dns.port);
	if (main)
		main_write(up.folder, main, path);
	for (int i = 0; arguments[i]; i++)
		argv[i + 1] = strcmp(arguments[i], "FILE") == 0 ? path : arguments[i];
	pid_t other = other_start(argv, port);
	ours_start(&ours, path);
	rows_check(rows, n, port, ours.dns.port);
	other_stop(other);
	program_stop(&ours);
	program_stop(&corp);
	program_stop(&up);
}

static void test_dnsmasq(void **state)
{
	static const char *const arguments[] = { "-k", "--user=root", "--pid-file=", "-C", "FILE", NULL };
	(void)state;
	compare("/usr/sbin/dnsmasq", dnsmasq_conf, NULL, arguments, dnsmasq_rows, ARRAY_LEN(dnsmasq_rows));
}

static void test_dnsmasq_included(void **state)
{
	static const char *const arguments[] = { "-k", "--user=root", "--pid-file=", "-C", "FILE", NULL };
	(void)state;
	compare("/usr/sbin/dnsmasq", dnsmasq_conf, "conf-dir=%1$s/d,*.conf\nconf-file=%1$s/d/a.more\n",
		arguments, included_rows, ARRAY_LEN(included_rows));
}

static void test_unbound_included(void **state)
{
	static const char *const arguments[] = { "-d", "-c", "FILE", NULL };
	(void)state;
	compare("/usr/sbin/unbound", unbound_conf,
		"include-toplevel: \"%1$s/d/*.conf\"\nserver:\n  include: %1$s/d/a.more\n", arguments,
		included_rows, ARRAY_LEN(included_rows));
}

static void test_unbound(void **state)
{
	static const char *const arguments[] = { "-d", "-c", "FILE", NULL };
	(void)state;
	compare("/usr/sbin/unbound", unbound_conf, NULL, arguments, unbound_rows, ARRAY_LEN(unbound_rows));
}

static void test_unbound_dns64(void **state)
{
	static const char *const arguments[] = { "-d", "-c", "FILE", NULL };
	(void)state;
	compare("/usr/sbin/unbound", dns64_conf, NULL, arguments, dns64_rows, ARRAY_LEN(dns64_rows));
}

/* The translator that unbound knows, found by asking it; all else is asked of somebody who knows none. */
static void test_unbound_dns64_found(void **state)
{
	static const char found[] = "listen: 127.0.0.1:0\nupstreams: 127.0.0.1:%u\ndns64: discover\n"
				    "routes: { ipv4only.arpa: [ \"127.0.0.1:%u\" ] }\n";
	struct program up, corp, ours;
	char path[128], conf[256], out[32768] = "";
	(void)state;
	if (access("/usr/sbin/unbound", X_OK) != 0)
		skip();
	program_start(&up, up_conf);
	program_start(&corp, corp_conf);
	unsigned port = other_port();
	snprintf(path, sizeof(path), "%s/theirs.conf", up.folder);
	file_write(path, dns64_conf, port, up.dns.port, corp.dns.port);
	const char *argv[] = { "/usr/sbin/unbound", "-d", "-c", path, NULL };
	pid_t other = other_start(argv, port);
	snprintf(conf, sizeof(conf), found, up.dns.port, port);
	program_start(&ours, conf);
	for (int i = 0; i < 500 && !strstr(out, "\nropewalk_resolver_dns64_prefixes 1\n"); i++) {
		usleep(10000);
		program_tell(&ours, out, sizeof(out), (const char *const[]) { "metrics", NULL });
	}
	assert_non_null(strstr(out, "\nropewalk_resolver_dns64_prefixes 1\n"));
	rows_check(dns64_rows, ARRAY_LEN(dns64_rows), port, ours.dns.port);
	other_stop(other);
	program_stop(&ours);
	program_stop(&corp);
	program_stop(&up);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_dnsmasq), cmocka_unit_test(test_unbound),
		cmocka_unit_test(test_unbound_dns64), cmocka_unit_test(test_unbound_dns64_found),
		cmocka_unit_test(test_dnsmasq_included), cmocka_unit_test(test_unbound_included) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
