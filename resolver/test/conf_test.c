#include "resolver/conf.h"

#include "mesh/base/buf.h"
#include "resolver/present.h"
#include "resolver/test/fake.h"
#include "resolver/zone.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LISTEN "listen: 127.0.0.1:5300\n"

static void test_errors(void **state)
{
	static const struct {
		const char *text, *want; /* part of the sentence; NULL: no error */
	} rows[] = {
		{ LISTEN, NULL },
		{ "", "empty" },
		{ "upstreams: [1.1.1.1]\n", "\"listen\" is missing" },
		{ LISTEN "upstream: 1.1.1.1\n",
			"f:2:1: unknown key \"upstream\"; did you mean \"upstreams\"?" },
		{ "listen: 127.0.0.1\nrecords:\n\t- name: x\n",
			"f:3:1: a tab: YAML indents by spaces alone" },
		{ "listen: 127.0.0.1\nrecords:\n  - name: \303\244\n   value: x\n",
			"f:4:4: did not find expected '-' indicator, while parsing a block collection that "
			"begins at line 3" },
		{ "listen: 127.0.0.1\n# \303\244\nttl: \"\377\"\n", "f:3:7: invalid leading UTF-8 octet" },
		{ LISTEN "ttl: 5\nttl: 6\n", "f:3:1: \"ttl\" is given twice" },
		{ LISTEN "ttl: soon\n", "f:2:6: ttl: a number" },
		{ LISTEN "ttl: 0\n", "f:2:6: ttl" },
		{ LISTEN "ttl: [5]\n", "f:2:6: ttl" },
		{ LISTEN "blocking: []\n", "f:2:11: \"key: value\"" },
		{ LISTEN "blocking:\n  lists:\n    - { name: a }\n",
			"f:4:7: a list needs a name, and one of" },
		{ LISTEN "blocking: { lists: [ { name: a, file: x, names: [] } ] }\n",
			"one of \"file\", \"url\" and" },
		{ LISTEN "blocking: { lists: [ { name: a, names: [ com ] } ] }\n",
			"f:2:42: \"com\" is not a name" },
		{ LISTEN "blocking: { lists: [ { name: a, names: [ /x(/ ] } ] }\n",
			"f:2:42: the regular expression x(" },
		{ LISTEN "blocking: { lists: [ { name: a, names: [] }, { name: a, names: [] } ] }\n",
			"the list \"a\" is there twice" },
		{ LISTEN "blocking: { lists: [ { name: a, names: [], when: [ noon ] } ] }\n",
			"\"noon\" says no time" },
		{ LISTEN "blocking: { lists: [ { name: a, names: [], allow: maybe } ] }\n",
			"allow: true or false" },
		{ LISTEN "blocking: { groups: [ { name: g, clients: [ 10.0.0.1 ], lists: [ a ] } ] }\n",
			"there is no list of this name above" },
		{ LISTEN "blocking: { groups: [ { name: g } ] }\n", "a group needs a name and clients" },
		{ LISTEN "blocking: { groups: [ { name: g, clients: [ here ] } ] }\n",
			"neither an address nor" },
		{ LISTEN "blocking: { answer: nothing }\n", "f:2:21: answer: null, nxdomain" },
		{ LISTEN "blocking: { lists: [ { name: a, url: ftp://x } ] }\n", "f:2:38: url: https://" },
		{ LISTEN "blocking: { lists: [ { name: A, url: https://x } ], store: /x }\n",
			"is one of a file too" },
		{ LISTEN "blocking: { lists: [ { name: a, url: https://x } ] }\n", "\"store\" has to say" },
		{ LISTEN "blocking: { pause: 2d }\n", "pause: a time from 1s" },
		{ LISTEN "blocking: { refresh: 1m }\n", "refresh: a time from 10m" },
		{ LISTEN "blocking: { ttl: 0 }\n", "ttl: a number from 1" },
		{ LISTEN "page: {}\n", "f:2:7: page: \"listen\" is missing" },
		{ LISTEN "page: { listen: 127.0.0.1 }\n", "\"page\" needs \"state\"" },
		{ LISTEN "state: /x\npage: { listen: 9.9.9.9 }\n",
			"f:3:17: 9.9.9.9 is neither an address of this machine" },
		{ LISTEN "state: /x\npage: { listen: 0.0.0.0 }\n", "0.0.0.0 is neither" },
		{ LISTEN "state: /x\npage: { listen: [ 100.64.0.1, \"::1\", \"[fd00::1]:80\" ], names: [ "
			 "dns.lan ] }\n",
			NULL },
		{ LISTEN "local-zones: [ lan ]\n", "\"suffix: word\" pairs" },
		{ LISTEN "local-zones: { lan: statical }\n",
			"f:2:21: \"statical\" is none of static, refuse" },
		{ LISTEN "local-zones: { lan: static, x.example: always-null }\n", NULL },
		{ LISTEN "query-log: perhaps\n", "f:2:12: query-log: true or false" },
		{ LISTEN "state: /x\nblocking: { lists: [ { name: denied-here, names: [] } ] }\n",
			"f:1:1: the list \"denied-here\" is one that \"state\" has already" },
		{ LISTEN "state: /x\nblocking: { lists: [ { name: a, names: [] } ] }\n", NULL },
		{ LISTEN "names-from: [ { domain: lan } ]\n", "\"hosts\" or \"leases\" is wanted" },
		{ LISTEN "names-from: [ { hosts: /x, leases: /y } ]\n", "either \"hosts\" or" },
		{ LISTEN "rate-limit: 0\n", "rate-limit: a number from 1" },
		{ LISTEN "dns64: 64:ff9b::/95\n",
			"f:2:8: the translator's prefix is wanted here, 64:ff9b::/96 say" },
		{ LISTEN "dns64: [ 64:ff9b::/96 ]\n", "f:2:8:" },
		{ LISTEN "dns64: Discover\n", "f:2:8:" },
		{ LISTEN "mixed-case: 0x20\n", "f:2:13: mixed-case: true or false" },
		{ LISTEN "rebinding: { refuse: yes }\n", "refuse: true or false" },
		{ LISTEN "rebinding: { except: [ a..b ] }\n", "f:2:24: \"a..b\" is not a domain name" },
		{ LISTEN "dnssec: true\n", "f:2:9: \"key: value\" pairs are wanted here" },
		{ LISTEN "dnssec: { validate: maybe }\n", "f:2:21: validate: true or false is wanted here" },
		{ LISTEN "dnssec: { insecure: [ a..b ] }\n", "f:2:23: \"a..b\" is not a domain name" },
		{ LISTEN "serve-stale: 259201\n", "f:2:14: serve-stale: a number from 0 to 259200" },
		{ "listen: here\n", "f:1:9: \"here\" is not an address" },
		{ "listen: {a: b}\n", "f:1:9:" },
		{ LISTEN "upstreams: [1.1.1.1, 1.1.1]\n", "f:2:22: \"1.1.1\" is not an address" },
		{ LISTEN "upstreams: [ \"tls://9.9.9.9#dns.quad9.net\", https://1.1.1.1/dns-query ]\n",
			NULL },
		{ LISTEN "upstreams: tls://9.9.9.9#dns.quad9.net\n", NULL },
		{ LISTEN "upstreams: [ https://dns.quad9.net/dns-query, tls://dns.google ]\n", NULL },
		{ LISTEN "upstreams: [ https://dns.quad9.net/dns-query, tls://dns.google, 192.0.2.1 ]\n",
			"at most 8" },
		{ LISTEN "upstreams: tls://9.9.9\n", "f:2:12: \"tls://9.9.9\" is not an address, nor" },
		{ LISTEN "upstreams: tls://dns.example\n",
			"f:2:12: this server has a name, and who should be asked for it? Give its addresses: "
			"{ server: \"tls://dns.example\", addresses:" },
		{ LISTEN "upstreams: { addresses: [1.1.1.1] }\n", "f:2:12: \"server\" is missing" },
		{ LISTEN "upstreams: { server: tls://dns.example, addresses: [] }\n", "f:2:22: this server" },
		{ LISTEN "upstreams: { server: tls://dns.example, addresses: [a] }\n",
			"f:2:53: \"a\" is not" },
		{ LISTEN "upstreams: { server: tls://dns.example, addresses: 1.1.1.1 }\n",
			"addresses: a list" },
		{ LISTEN "upstreams: { server: tls://1.1.1.1, addresses: [1.1.1.1] }\n",
			"f:2:48: the server has an" },
		{ LISTEN "upstreams: { server: 1.1.1.1, pins: [AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=] "
			 "}\n",
			"f:2:37: only servers by TLS" },
		{ LISTEN "upstreams: { server: tls://1.1.1.1, pins: [AAAA] }\n",
			"f:2:44: \"AAAA\" is not the SHA" },
		{ LISTEN "upstreams: { server: tls://1.1.1.1, pin: [] }\n", "did you mean \"pins\"" },
		{ LISTEN
			"upstreams: [ { server: tls://a.b, addresses: [1.1.1.1, 1.1.1.2, 1.1.1.3, 1.1.1.4] "
			"}, "
			"{ server: tls://a.b, addresses: [1.1.1.1, 1.1.1.2, 1.1.1.3, 1.1.1.4, 1.1.1.5] } ]\n",
			"f:2:86: at most 8 upstreams are possible, each address counts" },
		{ LISTEN "secure: { tls: 127.0.0.1, certificate: a, key: b }\n", NULL },
		{ LISTEN "secure: { certificate: a, key: b }\n",
			"f:2:9: secure: \"tls\" or \"https\" is missing" },
		{ LISTEN "secure: { https: \"::\", key: b }\n", "\"certificate\" and \"key\" have to" },
		{ LISTEN "secure: { tls: x, certificate: a, key: b }\n", "f:2:16: \"x\" is not an address" },
		{ LISTEN "upstream-authorities: []\n", "upstream-authorities: text" },
		{ "upstreams: tls://127.0.0.1:5300\nlisten: \"127.0.0.1:5300\"\n", "it would ask itself" },
		{ LISTEN "upstreams: [1.1.1.1, 1.1.1.2, 1.1.1.3, 1.1.1.4, 1.1.1.5, 1.1.1.6, 1.1.1.7, "
			 "1.1.1.8, 1.1.1.9]\n",
			"at most 8" },
		{ LISTEN "routes: {a.b: 1.1.1.1, A.b.: 1.1.1.2}\n", "\"A.b.\" is given twice" },
		{ LISTEN "routes: {a..b: 1.1.1.1}\n", "f:2:10: \"a..b\" is not a domain name" },
		{ LISTEN "routes: {'a\\032b': 1.1.1.1}\n", "f:2:10: \"a\\032b\" is not a domain name: no" },
		{ LISTEN "records: [{name: 'a\\032b._http._tcp.lan', type: TXT, value: x}]\n", NULL },
		{ LISTEN "routes: [a]\n", "f:2:9: routes" },
		{ LISTEN "routes: {b\xc3\xbc"
			 "cher.example: 1.1.1.1}\n",
			"f:2:10: \"b\xc3\xbc"
			"cher.example\": clients ask for the ASCII form" },
		{ LISTEN "authority: [b\xc3\xbc"
			 "cher.example]\n",
			"f:2:13: \"b\xc3\xbc"
			"cher" },
		{ LISTEN "records: [{name: b\xc3\xbc"
			 "cher.example, value: 1.2.3.4}]\n",
			"f:2:18: \"b\xc3\xbc"
			"cher" },
		{ LISTEN "routes: {192.168.0.0/16: 1.1.1.1, 168.192.in-addr.arpa: 1.1.1.2}\n",
			"f:2:35: \"168.192.in-addr.arpa\" is given twice" },
		{ LISTEN "routes: {172.16.0.0/12: 1.1.1.1, 172.31.0.0/16: 1.1.1.2}\n",
			"\"172.31.0.0/16\" is given twice" },
		{ LISTEN "routes: {192.168.0.0/33: 1.1.1.1}\n", NULL }, /* a name, if an odd one */
		{ LISTEN "allow: 10.0.0.0/8\n", "f:2:8: allow" },
		{ LISTEN "allow: [10.0.0.0/8, here]\n", "f:2:21: \"here\" is not a network" },
		{ LISTEN "allow: []\n", NULL },
		{ LISTEN "records: [{name: a.b, type: TXT, value: '\"open'}]\n",
			"f:2:11: the text is longer" },
		{ LISTEN "records: [{name: a.b}]\n", "a record needs a name and a value" },
		{ LISTEN "records: [{name: a.b, value: x}]\n", "f:2:11: \"x\" is not an address" },
		{ LISTEN "records: [{name: a.b, type: MX, value: x y z}]\n",
			"f:2:11: \"x y z\" is not the value" },
		{ LISTEN "records: [{name: a.b, type: NOPE, value: x}]\n", "is not a record type" },
		{ LISTEN "records: [{name: a.b, value: 1.2.3.4, tyep: A}]\n", "did you mean \"type\"?" },
		{ LISTEN "records: [{name: a.b, value: 1.2.3.4}, {name: A.b., type: CNAME, value: c.}]\n",
			"f:2:40: \"A.b.\" is an alias (CNAME)" },
		{ LISTEN "records: [{name: a.b, type: CNAME, value: c.}, {name: a.b, type: CNAME, value: "
			 "d.}]\n",
			"is an alias (CNAME)" },
		{ LISTEN "records: [{name: a.b, type: CNAME, value: c.}, {name: a.b, value: 1.2.3.4}]\n",
			"is an alias (CNAME)" },
		{ LISTEN "routes: {a.b: [1.1.1.1, \"127.0.0.1:5300\"]}\n",
			"f: the upstream 127.0.0.1:5300 is where this resolver listens" },
		{ "upstreams: 127.0.0.1\nlisten: 0.0.0.0\n", "it would ask itself" },
		{ LISTEN "upstreams: 127.0.0.1\n", NULL },
		{ LISTEN "authority: [a..b]\n", "f:2:13:" },
		{ LISTEN "order: maybe\n", "f:2:8: order" },
		{ "listen: [\n", "f:2:1:" },
		{ LISTEN "---\nttl: 5\n", "f:2:1: a second document" },
		{ LISTEN "---\n", "f:2:1: a second document" },
		{ LISTEN "...\n", NULL },
		{ LISTEN "...\nttl: [\n", "f:3:1:" },
		{ "- a\n", "f:1:1:" },
		{ LISTEN "records: &a [*a]\n", "f:2:10:" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errbuf eb = { 0 };
		struct conf c;
		int err = conf_read("f", rows[i].text, strlen(rows[i].text), &c, &eb);
		if (!err) {
			struct zone *z = conf_zone("f", &c, &eb);
			err = z ? 0 : eb.code;
			zone_put(z);
			conf_free(&c);
		}
		if (!err != !rows[i].want || (err && !strstr(eb.text, rows[i].want)))
			fail_msg("row %zu: %d %s", i, err, eb.text);
	}
}

/* All that is wrong at once, each with its place, and the first as what is said alone. */
static void test_all_errors(void **state)
{
	static const char text[] =
		"lisen: 127.0.0.1\n" /* 1 */
		"ttl: soon\n"
		"upstreams: [ 1.1.1.1, one, two ]\n"
		"routes: { \"#\": 1.1.1.1, a b: 1.1.1.1, a..b: 1.1.1.1, c.d: me }\n"
		"records:\n" /* 5 */
		"  - { name: a.b, value: x }\n"
		"  - { name: a.b }\n"
		"  - { nam: a.b, value: 1.2.3.4 }\n"
		"  - { name: c.b, type: MX, value: x y z }\n"
		"allow: [ 10.0.0.0/8, here, there ]\n" /* 10 */
		"authority: [ \"x y\", ok.test ]\n"
		"names-from: [ { domain: lan }, { hosts: /h, domain: \"#\" } ]\n"
		"local-zones: { a.test: maybe, b.test: static, c.test: never }\n"
		"blocking:\n"
		"  lists: [ { nam: x, file: /f }, { name: y, file: /f, when: [ noon ] } ]\n" /* 15 */
		"  groups: [ { name: g, clients: [ pc ] } ]\n"
		"  ttl: 0\n"
		"dnssec: { validate: maybe, insecure: [ \"#\" ] }\n"
		"ttl: 7\n";
	static const char *const want[] = { "f:1:1: unknown key \"lisen\"; did you mean \"listen\"?",
		"f:2:6: ttl: a number", "f:3:23: \"one\"", "f:3:28: \"two\"",
		"f:4:11: \"#\" is not a domain name: no client asks for one with a blank or # in it",
		"f:4:25: \"a b\" is not a domain name: no", "f:4:39: \"a..b\"", "f:4:59: \"me\"",
		"f:7:5: a record needs", "f:8:7: unknown key \"nam\"", "f:10:22: \"here\"",
		"f:10:28: \"there\"", "f:11:14: \"x y\" is not", "f:12:15: \"hosts\" or",
		"f:12:53: \"#\" is not", "f:13:24: \"maybe\"", "f:13:55: \"never\"",
		"f:15:14: unknown key \"nam\"", "f:15:63: \"noon\"", "f:16:35: \"pc\"", "f:17:8: ttl",
		"f:18:21: validate", "f:18:40: \"#\"", "f:19:1: \"ttl\" is given twice",
		"f:1:1: \"listen\" is missing", "f:6:5: \"x\" is not an address", "f:9:5: \"x y z\" is not" };
	struct buf all = { 0 };
	struct errbuf eb = { 0 };
	struct conf c;
	size_t n = 0;
	(void)state;
	assert_int_equal(conf_read_all("f", text, strlen(text), &c, &all, &eb), ERR_MALFORMED);
	assert_string_equal(eb.text, want[0]);
	char *copy = strdup(buf_cstr(&all)), *rest = NULL;
	for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), n++)
		if (n >= ARRAY_LEN(want) || strncmp(line, want[n], strlen(want[n])) != 0)
			fail_msg("line %zu: %s", n, line);
	assert_int_equal(n, ARRAY_LEN(want));
	free(copy);
	buf_free(&all);
}

/* There can be very many: so many lines, and no more. */
static void test_many_errors(void **state)
{
	struct buf text = { 0 }, all = { 0 };
	struct errbuf eb = { 0 };
	struct conf c;
	size_t lines = 0;
	(void)state;
	assert_true(buf_printf(&text, LISTEN "allow:\n"));
	for (int i = 0; i < 1000; i++)
		assert_true(buf_printf(&text, "  - here\n"));
	assert_int_equal(conf_read_all("f", buf_cstr(&text), text.len, &c, &all, &eb), ERR_MALFORMED);
	for (const char *p = buf_cstr(&all); (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, 51);
	assert_non_null(strstr(buf_cstr(&all), "f:52:5: \"here\" is not a network; write 192.0.2.0/24 or "
					       "2001:db8::/32\nand more\n"));
	buf_free(&text);
	buf_free(&all);
}

/* One by name is as many as it has addresses; pins stand before or after. */
static void test_secure(void **state)
{
	static const char text[] =
		"listen: 127.0.0.1\nupstream-authorities: /etc/ca.pem\nupstreams:\n  - 9.9.9.9\n"
		"  - { pins: [ \"sha256/AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\" ], server: "
		"https://dns.example/q, addresses: [ 192.0.2.1, \"2001:db8::1\" ] }\n"
		"  - tls://192.0.2.3#DNS.example\n";
	struct conf c;
	struct errbuf eb = { 0 };
	char buf[ENDPOINT_TEXT];
	(void)state;
	if (conf_read("f", text, strlen(text), &c, &eb))
		fail_msg("%s", eb.text);
	const struct resolver_upstream *u = c.routes[0].upstreams;
	assert_int_equal(c.routes[0].n_upstreams, 4);
	assert_null(u[0].secure);
	assert_string_equal(endpoint_format(&u[1].at, buf), "192.0.2.1:443");
	assert_string_equal(endpoint_format(&u[2].at, buf), "[2001:db8::1]:443");
	assert_ptr_equal(u[1].secure, u[2].secure);
	assert_string_equal(u[1].secure->name, "dns.example");
	assert_string_equal(u[1].secure->path, "/q");
	assert_int_equal(u[1].secure->n_pins, 1);
	assert_int_equal(u[1].secure->pins[0][0], 1);
	assert_string_equal(endpoint_format(&u[3].at, buf), "192.0.2.3:853");
	assert_string_equal(u[3].secure->name, "dns.example");
	assert_int_equal(u[3].secure->n_pins, 0);
	assert_string_equal(c.authorities, "/etc/ca.pem");
	conf_free(&c);
}

static void test_values(void **state)
{
	static const char text[] =
		"routes:\n  corp.example: [10.0.0.53, \"[2001:db8::1]:5353\"]\n  none.example: []\n"
		"upstreams: 9.9.9.9\nlisten: [127.0.0.1, \"::1\"]\norder: race\nttl: 7\ncache-bytes: "
		"1000\nserve-stale: 0\nrebinding: { refuse: true, except: [ plex.direct ] }\n"
		"dns64: 2001:db8:64::/48\nmixed-case: false\n";
	struct conf c;
	struct errbuf eb = { 0 };
	char buf[ENDPOINT_TEXT];
	(void)state;
	if (conf_read("f", text, strlen(text), &c, &eb))
		fail_msg("%s", eb.text);
	assert_int_equal(c.n_listen, 2);
	assert_string_equal(endpoint_format(&c.listen[1], buf), "[::1]:53");
	assert_int_equal(c.n_routes, 3);
	assert_string_equal(c.routes[0].suffix, "");
	assert_int_equal(c.routes[0].order, RESOLVER_RACE);
	assert_string_equal(c.routes[1].suffix, "corp.example");
	assert_string_equal(endpoint_format(&c.routes[1].upstreams[1].at, buf), "[2001:db8::1]:5353");
	assert_int_equal(c.routes[2].n_upstreams, 0);
	struct addr lan = addr_v4(0xc0a80101), other = addr_v4(0xc0000201);
	bool lan_may = false, other_may = false;
	for (size_t i = 0; i < c.n_allow; i++) {
		lan_may = lan_may || prefix_contains(&c.allow[i], &lan);
		other_may = other_may || prefix_contains(&c.allow[i], &other);
	}
	assert_true(lan_may && !other_may);
	assert_int_equal(c.ttl_s, 7);
	assert_int_equal(c.stale_s, UINT32_MAX);
	assert_int_equal(c.dns64.bits, 48);
	assert_true(c.refuse_private && c.n_private_ok == 1);
	assert_false(c.mixed_case); /* true, in alone/mixed_case, where nobody says otherwise */
	assert_int_equal(c.cache_bytes, 1000);
	conf_free(&c);
}

static void test_blocking(void **state)
{
	static const char text[] =
		"listen: 127.0.0.1\nblocking:\n  lists:\n    - { name: ads, file: /x/y, when: [ "
		"\"sat 10:00-11:00\" ] }\n    - { name: fine, allow: true, names: [ \"*.a.example\", "
		"/^b/ ] }\n  groups: [ { name: g, clients: [ 10.0.0.0/8 ], lists: [ fine ] } ]\n"
		"  answer: [ 192.0.2.1, \"2001:db8::1\" ]\n  ttl: 20\n  store: /s\n  refresh: 2h\n";
	struct conf c;
	struct errbuf eb = { 0 };
	char buf[ENDPOINT_TEXT];
	(void)state;
	if (conf_read("f", text, strlen(text), &c, &eb))
		fail_msg("%s", eb.text);
	const struct conf_block *b = &c.block;
	assert_int_equal(b->n_lists, 2);
	assert_string_equal(b->lists[0].file, "/x/y");
	assert_int_equal(b->lists[0].n_when, 1);
	assert_int_equal(b->lists[0].when[0].end, 660);
	assert_true(b->lists[1].allow && b->lists[1].n_names == 2);
	assert_int_equal(b->groups[0].lists, 2);
	assert_int_equal(b->answer.kind, BLOCK_ANSWER_ADDRESS);
	assert_string_equal(addr_format(&b->answer.v4, buf), "192.0.2.1");
	assert_string_equal(addr_format(&b->answer.v6, buf), "2001:db8::1");
	assert_int_equal(b->answer.ttl_s, 20);
	assert_int_equal(b->pause_ms, 300000);
	conf_free(&c);
}

/* Networks stand for their reverse zones. */
static void test_networks(void **state)
{
	static const struct {
		const char *network;
		size_t n;
		const char *first, *last;
	} rows[] = {
		{ "192.168.0.0/16", 1, "168.192.in-addr.arpa", "168.192.in-addr.arpa" },
		{ "192.168.77.5/16", 1, "168.192.in-addr.arpa", "168.192.in-addr.arpa" },
		{ "172.16.0.0/12", 16, "16.172.in-addr.arpa", "31.172.in-addr.arpa" },
		{ "100.64.0.0/10", 64, "64.100.in-addr.arpa", "127.100.in-addr.arpa" },
		{ "10.0.0.0/9", 128, "0.10.in-addr.arpa", "127.10.in-addr.arpa" },
		{ "192.0.2.128/25", 128, "128.2.0.192.in-addr.arpa", "255.2.0.192.in-addr.arpa" },
		{ "192.0.2.7", 1, "7.2.0.192.in-addr.arpa", "7.2.0.192.in-addr.arpa" },
		{ "0.0.0.0/0", 1, "in-addr.arpa", "in-addr.arpa" },
		{ "fd00::/8", 1, "d.f.ip6.arpa", "d.f.ip6.arpa" },
		{ "fc00::/7", 2, "c.f.ip6.arpa", "d.f.ip6.arpa" },
		{ "2001:db8:1230::/45", 8, "0.3.2.1.8.b.d.0.1.0.0.2.ip6.arpa",
			"7.3.2.1.8.b.d.0.1.0.0.2.ip6.arpa" },
		{ "::/0", 1, "ip6.arpa", "ip6.arpa" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[200];
		struct errbuf eb = { 0 };
		struct conf c;
		snprintf(text, sizeof(text), LISTEN "routes: { \"%s\": 192.0.2.53 }\n", rows[i].network);
		if (conf_read("f", text, strlen(text), &c, &eb))
			fail_msg("%s: %s", rows[i].network, eb.text);
		if (c.n_routes != rows[i].n || strcmp(c.routes[0].suffix, rows[i].first) != 0 ||
			strcmp(c.routes[c.n_routes - 1].suffix, rows[i].last) != 0)
			fail_msg("%s: %zu, %s to %s", rows[i].network, c.n_routes, c.routes[0].suffix,
				c.routes[c.n_routes - 1].suffix);
		assert_int_equal(c.routes[c.n_routes - 1].n_upstreams, 1);
		conf_free(&c);
	}
}

/* A wildcard stands for the names under it, whoever owns those, and is no address's name. */
static void test_wildcard(void **state)
{
	static const char text[] =
		"listen: 127.0.0.1\nrecords:\n  - { name: \"*.dev.lan\", value: 192.0.2.7 }\n"
		"  - { name: nas.lan, value: 192.0.2.8 }\n";
	static const struct {
		const char *name;
		enum zone_verdict verdict;
	} rows[] = { { "x.dev.lan", ZONE_NAME }, { "dev.lan", ZONE_FOREIGN }, { "x.lan", ZONE_FOREIGN },
		{ "8.2.0.192.in-addr.arpa", ZONE_NAME }, { "7.2.0.192.in-addr.arpa", ZONE_FOREIGN } };
	struct conf c;
	struct errbuf eb = { 0 };
	(void)state;
	assert_int_equal(conf_read("f", text, strlen(text), &c, &eb), 0);
	struct zone *z = conf_zone("f", &c, &eb);
	assert_non_null(z);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dns_name name;
		struct zone_hit hit;
		assert_true(dns_name_parse(rows[i].name, &name));
		zone_find(z, &name, &hit);
		if (hit.verdict != rows[i].verdict)
			fail_msg("%s: %d", rows[i].name, (int)hit.verdict);
	}
	zone_put(z);
	conf_free(&c);
}

/* What people write for a text, and what it means. hex of RDATA. */
static void test_txt(void **state)
{
	static const struct {
		const char *value, *rdata;
	} rows[] = {
		{ "v=spf1 -all", "0b 763d73706631202d616c6c" },
		{ "\"v=spf1 -all\"", "0b 763d73706631202d616c6c" },
		{ "\"a\" \"b\"", "01 61 01 62" },
		{ "\"a\"b", "01 61 01 62" },
		{ " \"a b\" c ", "03 612062 01 63" },
		{ "\"\"", "00" },
		{ "", "00" },
		{ "a\\;b", "03 613b62" },
		{ "\"\\\"\\065\"", "02 2241" },
		{ "\"a", NULL },
		{ "\"a\\", NULL },
		{ "a\\256", NULL },
		{ "a\\1", NULL },
	};
	static char longest[4000];
	uint8_t rdata[4096], want[64];
	uint16_t type;
	size_t len;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int err = present_rdata_parse("TXT", rows[i].value, rdata, sizeof(rdata), &len, &type, NULL);
		size_t n = rows[i].rdata ? fake_hex(rows[i].rdata, want, sizeof(want)) : 0;
		if (!err != !!rows[i].rdata || (!err && (len != n || memcmp(rdata, want, n) != 0)))
			fail_msg("row %zu: %s", i, rows[i].value);
	}
	/* a DKIM key goes on in the next string */
	memset(longest, 'k', 600);
	for (int quoted = 0; quoted < 2; quoted++) {
		longest[0] = longest[599] = quoted ? '"' : 'k';
		assert_int_equal(
			present_rdata_parse("TXT", longest, rdata, sizeof(rdata), &len, &type, NULL), 0);
		assert_int_equal(len, quoted ? 598 + 3 : 600 + 3);
		assert_int_equal(rdata[0], 255);
		assert_int_equal(rdata[256], 255);
	}
	memset(longest, 'k', sizeof(longest) - 1);
	assert_int_not_equal(present_rdata_parse("TXT", longest, rdata, 3000, &len, &type, NULL), 0);
}

/* The types that are read here, and not by ldns. */
static void test_rdata_text(void **state)
{
	static const struct {
		const char *type, *value, *rdata; /* NULL: refused */
	} rows[] = {
		{ "A", "192.0.2.1", "c0000201" },
		{ "A", " 192.0.2.1\t", "c0000201" },
		{ "A", "2001:db8::1", NULL },
		{ "A", "192.0.2.1 192.0.2.2", NULL },
		{ "A", "192.0.2.256", NULL },
		{ "A", "", NULL },
		{ "AAAA", "2001:db8::1", "20010db8000000000000000000000001" },
		{ "AAAA", "192.0.2.1", NULL },
		{ "CNAME", "a.test.", "0161 0474657374 00" },
		{ "NS", "a.test", "0161 0474657374 00" },
		{ "PTR", ".", "00" },
		{ "DNAME", "a..test", NULL },
		{ "MX", "10 a.test", "000a 0161 0474657374 00" },
		{ "MX", "65536 a.test", NULL },
		{ "MX", "a.test", NULL },
		{ "MX", "10", NULL },
		{ "SRV", "1 2 443 a.test.", "0001 0002 01bb 0161 0474657374 00" },
		{ "SRV", "1 2 a.test.", NULL },
		{ "SRV", "1 2 443 a.test. x", NULL },
		{ "SRV", "-1 2 443 a.test.", NULL },
		/* ldns, for the rest. */
		{ "CAA", "0 issue \"ca.test\"", "00 05 6973737565 63612e74657374" },
	};
	uint8_t rdata[256], want[64];
	uint16_t type;
	size_t len;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int err = present_rdata_parse(
			rows[i].type, rows[i].value, rdata, sizeof(rdata), &len, &type, NULL);
		size_t n = rows[i].rdata ? fake_hex(rows[i].rdata, want, sizeof(want)) : 0;
		if (!err != !!rows[i].rdata || (!err && (len != n || memcmp(rdata, want, n) != 0)))
			fail_msg("row %zu: %s %s", i, rows[i].type, rows[i].value);
		/* No room is an error, not half a value. */
		if (!err &&
			!present_rdata_parse(rows[i].type, rows[i].value, rdata, len - 1, &len, &type, NULL))
			fail_msg("row %zu: cut", i);
	}
}

/* ldns as the oracle: our answers are messages to others too, and say what we meant. */
static void test_present(void **state)
{
	static struct fake f;
	static const struct {
		const char *name;
		uint16_t type;
		const char *text;
	} rows[] = {
		{ "bob.mesh", DNS_A, "NOERROR\nbob.mesh.\t5\tIN\tA\t100.64.0.2\n" },
		{ "alias.mesh", DNS_AAAA,
			"NOERROR\nalias.mesh.\t5\tIN\tCNAME\tbob.mesh.\nbob.mesh.\t5\tIN\tAAAA\tfd7a:115c:"
			"a1e0::2\n" },
		{ "nobody.mesh", DNS_A,
			"NXDOMAIN\nmesh.\t10\tIN\tSOA\tmesh. nobody.invalid. 1 3600 1200 604800 10\n" },
		{ "_sip._tcp.mesh", DNS_SRV, "NOERROR\n_sip._tcp.mesh.\t5\tIN\tSRV\t1 2 3 bob.mesh.\n" },
		{ "2.0.64.100.in-addr.arpa", DNS_PTR,
			"NOERROR\n2.0.64.100.in-addr.arpa.\t5\tIN\tPTR\tBob.mesh.\n" },
	};
	(void)state;
	fake_open(&f, 1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out = { 0 };
		fake_ask(&f, 1, rows[i].name, rows[i].type);
		assert_true(present_message(f.reply, f.reply_len, &out));
		assert_string_equal(buf_cstr(&out), rows[i].text);
		assert_false(present_message(f.reply, f.reply_len - 1, &out));
		buf_free(&out);
	}
	struct buf out = { 0 };
	uint8_t tsigs[64]; /* two TSIG in 34 bytes make ldns leak: never shown to it */
	size_t len = fake_hex(
		"1234 8180 0000 0000 0000 0002 00 00fa 00ff 00000000 0000 00 00fa 00ff 00000000 0000", tsigs,
		sizeof(tsigs));
	assert_false(present_message(tsigs, len, &out));
	buf_free(&out);
	fake_close(&f);
}

/* Why an answer is as it is: the extended error of its OPT (RFC 8914). */
static void test_reason(void **state)
{
#define FAILED "0000 8182 0000 0000 0000 0001 00 0029 0200 00000000 "
	static const struct {
		const char *hex, *text; /* NULL: refused */
	} rows[] = {
		{ "0000 8182 0000 0000 0000 0000", "" },
		{ FAILED "0000", "" },
		{ FAILED "0006 000f 0002 0017", "network error" },
		{ FAILED "0008 000f 0004 0006 6f6b", "DNSSEC: it is bogus: ok" },
		{ FAILED "000e 000a 0004 01020304 000f 0002 0000", "another error" }, /* behind a cookie */
		{ FAILED "0006 000f 0002 ffff", "an error without a name" },
		{ FAILED "000a 000f 0006 000f 1b5b0a41", "blocked: ?[?A" },
		{ FAILED "0009 000f 0005 000f 410041", "blocked: A" },
		{ FAILED "0005 000f 0001 17", "" },   /* too short for a code */
		{ FAILED "0006 000f 0009 0017", "" }, /* longer than what there is */
		{ FAILED "0006 000f 0002 00", NULL },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out = { 0 };
		uint8_t msg[128];
		size_t len = fake_hex(rows[i].hex, msg, sizeof(msg));
		bool ok = present_reason(msg, len, &out);
		if (ok != (rows[i].text != NULL) || (ok && strcmp(buf_cstr(&out), rows[i].text) != 0))
			fail_msg("row %zu: %d %s", i, ok, buf_cstr(&out));
		buf_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_errors), cmocka_unit_test(test_all_errors),
		cmocka_unit_test(test_many_errors), cmocka_unit_test(test_values),
		cmocka_unit_test(test_secure), cmocka_unit_test(test_blocking),
		cmocka_unit_test(test_wildcard), cmocka_unit_test(test_networks), cmocka_unit_test(test_txt),
		cmocka_unit_test(test_rdata_text), cmocka_unit_test(test_present),
		cmocka_unit_test(test_reason) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
