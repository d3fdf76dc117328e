/* Names of machines out of hosts files and files of leases. */
#include "resolver/hosts.h"

#include "mesh/base/err.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static char said[1024];

/* "name=address" and a ! for the address's own name. */
static int entry(void *arg, const struct addr *ip, const struct dns_name *name, bool own)
{
	char text[DNS_NAME_TEXT], at[64];
	(void)arg;
	size_t n = strlen(said);
	snprintf(said + n, sizeof(said) - n, "%s=%s%s ", dns_name_format(name, text), addr_format(ip, at),
		own ? "!" : "");
	return strcmp(text, "stop") == 0 ? ERR_REFUSED : 0;
}

static const struct hosts_ops ops = { entry, NULL };

static void test_hosts(void **state)
{
	static const struct {
		const char *text, *said;
	} rows[] = {
		{ "192.168.1.5 nas.lan nas\n", "nas.lan=192.168.1.5! nas=192.168.1.5 " },
		{ "192.168.1.5\tNAS.Lan. # a comment\r\n#192.168.1.6 x\n\n", "nas.lan=192.168.1.5! " },
		{ "fd00::5 nas", "nas=fd00::5! " },
		{ "192.168.1.5 nas#x\n", "nas=192.168.1.5! " },
		{ "127.0.0.1 localhost\n127.0.1.1 me\n::1 me\n0.0.0.0 ads.example\nff02::1 all\n", "" },
		{ "nonsense\n192.168.1.5\n192.168.1.300 x\nfe80::1%eth0 x\n", "" },
		{ "192.168.1.5 a..b ok\n", "ok=192.168.1.5! " },
		{ "192.168.1.5 stop b\n192.168.1.6 c\n", "stop=192.168.1.5! " },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		said[0] = 0;
		(void)hosts_read(rows[i].text, strlen(rows[i].text), &ops);
		if (strcmp(said, rows[i].said) != 0)
			fail_msg("row %zu: %s", i, said);
	}
}

#define KEA \
	"address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_" \
	"context\n"

#define ISC(ends, binding, name) \
	"lease 192.168.1.5 {\n  " ends "\n  binding state " binding ";\n  client-hostname \"" name "\";\n}" \
	"\n"

#define NETWORKD(address, name, until) \
	" {\"BootID\":\"x\",\"Address\":[192,168,1,1],\"PrefixLength\":24,\"Leases\":[{\"ClientId\":[1,2]," \
	"\"Address\":" address ",\"Hostname\":\"" name \
	"\",\"ExpirationUSec\":1,\"ExpirationRealtimeUSec\":" until "}]}"

static void test_leases(void **state)
{
	static const struct {
		const char *text, *said;
	} rows[] = {
		{ "2000 aa:bb:cc:dd:ee:ff 192.168.1.5 nas 01:aa\n", "nas=192.168.1.5! " },
		{ "0 aa:bb:cc:dd:ee:ff 192.168.1.5 nas *\n", "nas=192.168.1.5! " },
		{ "1000 aa:bb:cc:dd:ee:ff 192.168.1.5 nas *\n", "" }, /* over */
		{ "2000 aa:bb:cc:dd:ee:ff 192.168.1.5 * 01:aa\n", "" },
		{ "duid 00:01:00:01\n2000 1 fd00::5 nas 00:01\n", "nas=fd00::5! " },
		{ "2000 aa:bb:cc:dd:ee:ff 192.168.1.5\nx y z w\n", "" },
		{ KEA "192.168.1.5,aa:bb,,3600,2000,1,0,0,nas,0,\n", "nas=192.168.1.5! " },
		{ KEA "192.168.1.5,aa:bb,,3600,2000,1,0,0,old,0,\n192.168.1.6,aa:bc,,3600,2000,1,0,0,two.lan."
		      ",0,\n"
		      "192.168.1.5,aa:bb,,3600,2000,1,0,0,new,0,\n",
			"two.lan=192.168.1.6! new=192.168.1.5! " },
		{ KEA "192.168.1.5,aa:bb,,3600,2000,1,0,0,nas,0,\n192.168.1.5,aa:bb,,3600,2000,1,0,0,nas,2,"
		      "\n",
			"" },
		{ KEA "192.168.1.5,aa:bb,,3600,900,1,0,0,nas,0,\n192.168.1.6,aa,\n,,,,,,,,,,\n", "" },
		{ "# written by dhcpd\nauthoring-byte-order little-endian;\n\nlease 192.168.1.5 {\n  starts "
		  "4 1970/01/01 "
		  "00:00:00;\n  ends 4 1970/01/01 00:33:20;\n  binding state active;\n  hardware ethernet "
		  "aa:bb;\n  "
		  "client-hostname \"nas\";\n}\nlease 192.168.1.6 {\n  ends never;\n  binding state "
		  "active;\n  "
		  "client-hostname \"tv\";\n}\n",
			"nas=192.168.1.5! tv=192.168.1.6! " },
		{ ISC("ends epoch 2000; # a comment", "active", "nas"), "nas=192.168.1.5! " },
		{ ISC("ends epoch 2000;", "active", "nas"), "nas=192.168.1.5! " },
		{ ISC("ends epoch 900;", "active", "nas"), "" },
		{ ISC("ends epoch 2000;", "free", "nas"), "" },
		{ ISC("ends epoch 2000;", "active", "nas") ISC("ends epoch 2000;", "free", "nas"), "" },
		{ ISC("ends epoch 2000;", "active", "old") ISC("ends epoch 2000;", "active", "new"),
			"new=192.168.1.5! " },
		{ "lease 192.168.1.5 {\n  binding state active;\n  client-hostname \"nas\";\n}\n", "" },
		{ "lease 192.168.1.5 {\n  ends never;\n  binding state active;\n  client-hostname \"nas\";\n",
			"" },
		{ NETWORKD("[192,168,1,5]", "nas", "2000000000"), "nas=192.168.1.5! " },
		{ NETWORKD("[192,168,1,5]", "nas", "999000000"), "" }, /* over */
		{ NETWORKD("[192,168,1,5]", "nas", "\"never\""), "" },
		{ NETWORKD("[192,168,1]", "nas", "2000000000"), "" },
		{ NETWORKD("[192,168,1,256]", "nas", "2000000000"), "" },
		{ NETWORKD("[127,0,0,1]", "nas", "2000000000"), "" },
		{ NETWORKD("[192,168,1,5]", "two words.", "2000000000") "x", "" },
		{ NETWORKD("[192,168,1,5]", "*", "2000000000"), "" },
		{ "{\"Leases\":{}}", "" },
		{ "{\"Leases\":[1,{},null]}", "" },
		{ "{", "" },
		{ KEA, "" },
		{ "", "" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		said[0] = 0;
		assert_int_equal(leases_read(rows[i].text, strlen(rows[i].text), 1000, &ops), 0);
		if (strcmp(said, rows[i].said) != 0)
			fail_msg("row %zu: %s", i, said);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_hosts), cmocka_unit_test(test_leases) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
