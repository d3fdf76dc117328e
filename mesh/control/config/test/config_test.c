#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/log.h"
#include "mesh/control/config/config.h"
#include "mesh/control/config/config_value.h"
#include "mesh/control/config/settings.h"
#include "mesh/control/fleet/test/place.h"
#include "mesh/os/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define URL "server_url: https://hs.test\n"

#define BLOCKING URL "dns:\n  blocking:\n    node: pi\n"
#define L32 "abcdefghijklmnopqrstuvwxyz012345"
#define LISTS BLOCKING "    lists: [{ name: ads, url: https://x/y }]\n"

static void test_errors(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{ "", "c.yaml: server_url is missing: the address nodes reach this server at, such as "
		      "https://mesh.example.com" },
		{ "- a\n", "c.yaml:1:1: the file must be a mapping: key: value" },
		{ "server_url: hs.test\n", "c.yaml:1:13: server_url: \"hs.test\" is not a URL such as "
					   "https://mesh.example.com" },
		{ URL "listen: :80\n", "c.yaml:2:1: unknown key \"listen\"; did you mean \"listen_addr\"?" },
		{ URL "listen_adr: :80\n",
			"c.yaml:2:1: unknown key \"listen_adr\"; did you mean \"listen_addr\"?" },
		{ URL "dns:\n  magicdns: true\n",
			"c.yaml:3:3: unknown key \"dns.magicdns\"; did you mean \"dns.magic_dns\"?" },
		{ URL "dns:\n  magic_dns: maybe\n",
			"c.yaml:3:14: dns.magic_dns: \"maybe\" is not true or false" },
		{ URL "dns: true\n", "c.yaml:2:6: dns must be a mapping" },
		{ URL "dns:\n  nameservers:\n    global: 1.1.1.1\n",
			"c.yaml:4:13: dns.nameservers.global: \"1.1.1.1\" is not a list" },
		{ URL "dns:\n  nameservers:\n    global: [dns.example]\n",
			"c.yaml:4:14: dns.nameservers.global: \"dns.example\" is not an address, "
			"address:port, tls://ADDRESS#NAME or https:// URL" },
		{ URL "dns:\n  nameservers:\n    global: [\"https:///x\"]\n",
			"c.yaml:4:14: dns.nameservers.global: \"https:///x\" is not an address, "
			"address:port, "
			"tls://ADDRESS#NAME or https:// URL" },
		{ URL "dns:\n  nameservers:\n    global: [tls://dns.example#x]\n",
			"c.yaml:4:14: dns.nameservers.global: \"tls://dns.example#x\" is not an address, "
			"address:port, tls://ADDRESS#NAME or https:// URL" },
		{ URL "server_url: http://a\n", "c.yaml:2:1: \"server_url\" is set twice" },
		{ URL "listen_addr: localhost\n", "c.yaml:2:14: listen_addr: \"localhost\" is not an address "
						  "such as 0.0.0.0:8080 or :8080" },
		{ URL "tls_listen_addr: 443\n", "c.yaml:2:18: tls_listen_addr: \"443\" is not an address "
						"such as 0.0.0.0:8080 or :8080" },
		{ URL "prefixes:\n  v4: 10.0.0.0/8\n", "c.yaml:3:7: prefixes.v4: \"10.0.0.0/8\" is not a "
						       "prefix inside 100.64.0.0/10 (clients use no other)" },
		{ URL "network_name: \"a\\nb\"\n",
			"c.yaml:2:15: network_name: \"a\nb\" is not a name: one line, at most 63 letters" },
		{ URL "network_name: 0123456789012345678901234567890123456789012345678901234567890123\n",
			"c.yaml:2:15: network_name: "
			"\"0123456789012345678901234567890123456789012345678901234567890123\" is not a name: "
			"one line, at most 63 letters" },
		{ URL "tls_cert_path: a.pem\n",
			"c.yaml: tls_cert_path and tls_key_path go together: set both or neither" },
		{ URL "dns:\n  base_domain: test\n",
			"c.yaml: dns.base_domain test covers the host of server_url: nodes would look for "
			"this server inside the mesh; "
			"choose another domain" },
		{ URL "dns:\n  base_domain: " L32 L32 ".test\n",
			"c.yaml:3:16: dns.base_domain: \"" L32 L32
			"\" is not a domain name such as mesh.example.com" },
		{ URL "dns:\n  base_domain: a..test\n", "c.yaml:3:16: dns.base_domain: \"a..test\" is not a "
							"domain name such as mesh.example.com" },
		{ URL "dns:\n  base_domain: " L32 "." L32 "." L32 "." L32 "." L32
		      ".1234567890123456789012345\n",
			"c.yaml: dns.base_domain has more than 189 characters: the name of a node in it "
			"would be "
			"too long" },
		{ BLOCKING, "c.yaml:4:5: dns.blocking needs a node and lists" },
		{ LISTS "    nodes: [pi]\n",
			"c.yaml:6:5: dns.blocking: unknown key \"nodes\"; did you mean \"node\"?" },
		{ BLOCKING "    lists: ads\n", "c.yaml:5:12: dns.blocking: a list is wanted here" },
		{ BLOCKING "    lists: [ads]\n",
			"c.yaml:5:13: dns.blocking: \"key: value\" pairs are wanted here" },
		{ BLOCKING "    lists: [{ name: A d, url: https://x/y }]\n",
			"c.yaml:5:21: dns.blocking: the name of a list is one of a file too: a-z, 0-9, - and "
			"_, at most 47" },
		{ BLOCKING "    lists: [{ name: ads, url: /etc/ads }]\n",
			"c.yaml:5:31: dns.blocking: url: https://... or http://... is wanted here" },
		{ BLOCKING "    lists: [{ name: ads, file: /etc/ads }]\n",
			"c.yaml:5:26: dns.blocking: unknown key \"file\"" },
		{ BLOCKING "    lists: [{ name: ads, names: [a.b, '/(/'] }]\n",
			"c.yaml:5:39: dns.blocking: the regular expression ( has a ( without its )" },
		{ BLOCKING "    lists: [{ name: ads, names: [a.b], url: https://x/y }]\n",
			"c.yaml:5:13: dns.blocking: a list needs a name, and one of url and names" },
		{ BLOCKING "    lists: [{ name: ads, names: [a.b], when: [noon] }]\n",
			"c.yaml:5:47: dns.blocking: \"noon\" says no time; write \"22:00-07:00\" or "
			"\"mon-fri "
			"08:00-16:00\"" },
		{ BLOCKING "    lists: [{ name: ads, names: [a.b], allow: maybe }]\n",
			"c.yaml:5:47: dns.blocking: allow: true or false is wanted here" },
		{ BLOCKING "    lists: [{ name: a, names: [a.b] }, { name: a, names: [a.b] }]\n",
			"c.yaml:5:40: dns.blocking: the list \"a\" is there twice" },
		{ LISTS "    groups: [{ name: kids, clients: ['group:kids'] }]\n",
			"c.yaml:6:38: dns.blocking: \"group:kids\" is no client: write user@, tag:name, the "
			"name "
			"of a machine, or an address" },
		{ LISTS "    groups: [{ name: kids, lists: [ads] }]\n",
			"c.yaml:4:5: dns.blocking: a group needs a name and clients" },
		{ LISTS "    groups: [{ name: kids, clients: [tv], lists: [adds] }]\n",
			"c.yaml:4:5: dns.blocking: the group kids names the list \"adds\", which is not "
			"there" },
		{ LISTS "    answer: none\n",
			"c.yaml:6:13: dns.blocking.answer: null, nxdomain, nodata, refused "
			"or addresses are wanted here" },
		{ LISTS "    ttl: 0\n",
			"c.yaml:6:10: dns.blocking.ttl: a number of seconds from 1 to 86400 is wanted here" },
		{ LISTS "    refresh: 1m\n",
			"c.yaml:6:14: dns.blocking: a time is wanted here (refresh: 10m to "
			"30d, pause: 1s to 24h)" },
		{ URL "dns:\n  extra_records:\n    - { name: a.test, type: A, value: \"::1\" }\n",
			"c.yaml:4:7: dns.extra_records: a.test: type A needs an IPv4 address as value, AAAA "
			"an IPv6 one; other types have to be named" },
		{ URL "dns:\n  extra_records:\n    - { name: a.test, type: CNAME, value: b.test. }\n"
		      "    - { name: a.test, value: 1.2.3.4 }\n",
			"c.yaml:5:7: dns.extra_records: a.test: it is an alias (CNAME): no other record may "
			"have its name" },
		{ URL "dns:\n  extra_records:\n    - { name: a.test, ttl: 5 }\n",
			"c.yaml:4:23: unknown key \"ttl\" in dns.extra_records: name, type and value are" },
		{ URL "unix_socket_permission: \"888\"\n",
			"c.yaml:2:25: unix_socket_permission: \"888\" is not a mode such as \"0770\"" },
		{ URL "log:\n  level: loud\n",
			"c.yaml:3:10: log.level: \"loud\" is not error, warn, info or debug" },
		{ URL "dns:\n  extra_records_path: r.json\n  extra_records:\n    - { name: a.test, type: A, "
		      "value: 1.2.3.4 }\n",
			"c.yaml: dns.extra_records and dns.extra_records_path are both set: keep one" },
		{ URL "database: { type: postgres }\n", "c.yaml:2:19: database.type: \"postgres\" is not "
							"sqlite: this server keeps its data in "
							"SQLite only" },
		{ URL "policy: { mode: db }\n", "c.yaml:2:17: policy.mode: \"db\" is not file or database" },
		{ URL "ip_prefixes: [100.64.0.0/10]\n",
			"c.yaml:2:1: ip_prefixes is the name of an older Headscale: it is prefixes.v4 and "
			"prefixes.v6 now" },
		{ URL "oidc: 7\n", "c.yaml:2:7: oidc must be a mapping, or a list of them" },
		{ URL "oidc: { isuer: x }\n",
			"c.yaml:2:9: unknown key \"oidc.isuer\"; did you mean \"oidc.issuer\"?" },
		{ URL "oidc: { issuer: \"http://id.test\" }\n",
			"c.yaml:2:17: oidc.issuer: must be a URL such as https://id.example.com" },
		{ URL "oidc: { issuer: \"https://id.test\", client_id: a, groups_domain: a@b }\n",
			"c.yaml:2:65: oidc.groups_domain: must be a domain such as example.com" },
		{ URL "oidc: { issuer: \"https://id.test\" }\n",
			"c.yaml:2:7: oidc: client_id is missing: the provider gave it with the secret" },
		{ URL "oidc: { issuer: \"https://id.test\", client_id: a, client_secret: b, "
		      "client_secret_path: c }\n",
			"c.yaml:2:7: oidc: client_secret and client_secret_path are both set: keep one" },
		{ URL "oidc: [ { issuer: \"https://id.test\", client_id: a }, { scope: [email] } ]\n",
			"c.yaml:2:63: oidc.scope: must be a list that has `openid`" },
		{ URL "oidc: { extra_params: { state: x } }\n",
			"c.yaml:2:23: oidc.extra_params: must be a mapping of texts, without the parameters "
			"that "
			"the flow has by itself" },
		{ URL "oidc: { pkce: { method: plain } }\n", "c.yaml:2:15: oidc.pkce: must be S256 (method): "
							     "`plain` shows the secret to whoever sees "
							     "the first request" },
		{ URL "oidc: { issuer: \"https://github.com\" }\n",
			"c.yaml:2:17: oidc.issuer: must be a provider of OpenID Connect; GitHub speaks OAuth "
			"2 alone: put one in between that logs in by GitHub, such as Dex or Keycloak" },
		{ URL "trusted_proxies: [\"0.0.0.0/0\"]\n",
			"c.yaml:2:19: trusted_proxies: \"0.0.0.0/0\" is not an address or prefix such as "
			"10.0.0.0/8 (and not all of them)" },
		{ URL "trusted_proxies: proxy\n", "c.yaml:2:18: trusted_proxies must be a list" },
		{ URL "node: { expiry: soon }\n",
			"c.yaml:2:17: node.expiry: \"soon\" is not a time such as 30m" },
		{ "a: [1\n", "c.yaml:2:1: did not find expected ',' or ']', while parsing a flow sequence "
			     "that begins at line 1" },
		{ URL "derp:\n\tserver: x\n",
			"c.yaml:3:1: a tab: YAML indents by spaces alone; put spaces in its place" },
		{ "a: &x 1\nb: *x\n", "c.yaml: YAML aliases (*name) are not allowed: write the value out" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct control_config c;
		struct errbuf eb = { 0 };
		int err = config_parse("c.yaml", rows[i].text, strlen(rows[i].text), &c, &eb);
		if (!err || strcmp(eb.text, rows[i].error) != 0)
			fail_msg("row %zu: %s", i, err ? eb.text : "accepted");
	}
}

static void test_defaults(void **state)
{
	struct control_config c;
	struct errbuf eb = { 0 };
	(void)state;
	assert_int_equal(config_parse("/etc/x/c.yaml", URL, strlen(URL), &c, &eb), 0);
	assert_string_equal(c.server_url, "https://hs.test");
	assert_int_equal(c.listen.port, 8080);
	assert_true(c.has_v4 && c.has_v6 && c.magic_dns);
	assert_int_equal(c.v4.bits, 10);
	assert_int_equal(c.unix_socket_mode, 0600);
	assert_string_equal(c.policy_path, "");
	config_free(&c);
}

static void test_whole(void **state)
{
	static const char text[] =
		"server_url: http://192.168.1.2:8080/\n"
		"listen_addr: 192.168.1.2:8080\n"
		"metrics_listen_addr: 127.0.0.1:9090\n"
		"noise:\n  private_key_path: noise.key\n"
		"prefixes: { v4: 100.64.3.0/24 }\n"
		"derp: { paths: [derp.yaml, /a/b.json], urls: [] }\n"
		"dns:\n"
		"  magic_dns: true\n"
		"  base_domain: Mesh.Test.\n"
		"  override_local_dns: false\n"
		"  nameservers:\n"
		"    global: [1.1.1.1, \"[2606:4700:4700::1111]:53\", https://dns.example/dns-query]\n"
		"    split: { corp.test: [10.0.0.53], empty.test: [] }\n"
		"  search_domains: [corp.test]\n"
		"  extra_records:\n"
		"    - { name: nas.mesh.test, type: A, value: 100.64.3.9 }\n"
		"policy: { path: /p.hujson }\n"
		"database: { type: sqlite, sqlite: { path: db.sqlite } }\n"
		"unix_socket: c.sock\n"
		"network_name: Unser Netz, größer\n"
		"unix_socket_permission: \"0770\"\n"
		"log: { level: debug }\n";
	struct control_config c;
	struct errbuf eb = { 0 };
	struct arena a = { 0 };
	struct ctl_dns dns;
	(void)state;
	if (config_parse("/etc/x/c.yaml", text, sizeof(text) - 1, &c, &eb))
		fail_msg("%s", eb.text);
	assert_string_equal(c.server_url, "http://192.168.1.2:8080");
	assert_string_equal(c.noise_key_path, "/etc/x/noise.key");
	assert_string_equal(c.database_path, "/etc/x/db.sqlite");
	assert_string_equal(c.unix_socket, "/etc/x/c.sock");
	assert_string_equal(c.policy_path, "/p.hujson");
	assert_string_equal(c.base_domain, "mesh.test");
	assert_string_equal(c.network_name, "Unser Netz, größer");
	assert_int_equal(c.unix_socket_mode, 0770);
	assert_true(c.has_v4 && !c.has_v6);
	assert_int_equal(c.log_level, LOG_DEBUG);
	assert_int_equal(c.derp_paths.n, 2);
	assert_string_equal(c.derp_paths.v[1], "/a/b.json");
	assert_int_equal(c.n_unused, 1);
	assert_string_equal(c.unused[0].key, "metrics_listen_addr");
	assert_true(config_dns(&c, &c.records, &a, &dns));
	assert_true(dns.proxied);
	assert_int_equal(dns.n_resolvers, 0);
	assert_int_equal(dns.n_fallback, 3);
	assert_int_equal(dns.domains.n, 2);
	assert_string_equal(dns.domains.v[0], "mesh.test");
	assert_int_equal(dns.n_routes, 3);
	assert_string_equal(dns.routes[1].suffix, "corp.test");
	assert_string_equal(dns.routes[1].resolvers[0].addr, "10.0.0.53");
	assert_int_equal(dns.routes[2].n, 0);
	assert_string_equal(dns.extra[0].name, "nas.mesh.test");
	arena_free(&a);
	config_free(&c);
}

/* What the machine that blocks is told. */
static void test_blocking(void **state)
{
	static const char text[] =
		URL "dns:\n  blocking:\n    node: pi\n    lists:\n"
		    "      - { name: ads, url: \"https://lists.example/ads\", when: [ \"22:00-07:00\" ] }\n"
		    "      - { name: fine, allow: true, names: [ ok.example, '/^x[0-9]/' ] }\n"
		    "    groups:\n"
		    "      - { name: kids, clients: [ kid@, a@b.c, tag:tv, tablet, 100.64.0.9 ], lists: [ "
		    "ads ] }\n"
		    "      - { name: free, clients: [ admin@ ], lists: [] }\n"
		    "    answer: [ 192.0.2.1, \"2001:db8::1\" ]\n    ttl: 60\n    refresh: 1h\n"
		    "    pause: 10m\n";
	struct control_config c;
	struct errbuf eb = { 0 };
	struct buf out = { 0 };
	(void)state;
	if (config_parse("c.yaml", text, sizeof(text) - 1, &c, &eb))
		fail_msg("%s", eb.text);
	assert_string_equal(c.blocking.node, "pi");
	assert_true(ctl_blocking_write(&out, &c.blocking.rules));
	assert_string_equal(buf_cstr(&out),
		"{\"Lists\":[{\"Name\":\"ads\",\"URL\":\"https://lists.example/"
		"ads\",\"When\":[\"22:00-07:00\"]},"
		"{\"Name\":\"fine\",\"Names\":[\"ok.example\",\"/^x[0-9]/\"],\"Allow\":true}],"
		"\"Groups\":[{\"Name\":\"kids\",\"Clients\":[\"kid@\",\"a@b.c\",\"tag:tv\",\"tablet\",\"100."
		"64.0.9\"],"
		"\"Lists\":[\"ads\"]},{\"Name\":\"free\",\"Clients\":[\"admin@\"]}],"
		"\"Answer\":[\"192.0.2.1\",\"2001:db8::1\"],\"TTL\":60,\"Refresh\":3600000,\"Pause\":"
		"600000}");
	buf_free(&out);
	config_free(&c);
}

/* The keys of a Headscale file as people have them, with the values its sample gives. */
static const char headscale[] =
	"server_url: http://127.0.0.1:8080\nlisten_addr: 127.0.0.1:8080\n"
	"metrics_listen_addr: 127.0.0.1:9090\ngrpc_listen_addr: 127.0.0.1:50443\n"
	"grpc_allow_insecure: false\n"
	"noise: { private_key_path: /x/noise.key }\n"
	"prefixes: { v4: 100.64.0.0/10, v6: fd7a:115c:a1e0::/48, allocation: sequential }\n"
	"derp:\n  server: { enabled: false, region_id: 999, stun_listen_addr: \"0.0.0.0:3478\" }\n"
	"  urls: [https://derp.test/map]\n  paths: []\n  auto_update_enabled: true\n"
	"  update_frequency: 3h\n"
	"disable_check_updates: false\nephemeral_node_inactivity_timeout: 10m\n"
	"node: { expiry: 0, ephemeral: { inactivity_timeout: 20m }, routes: { ha: { probe_interval: 10s } } "
	"}\n"
	"database:\n  type: sqlite\n  debug: false\n  gorm: { prepare_stmt: true, slow_threshold: 1000 }\n"
	"  sqlite: { path: /x/db.sqlite, write_ahead_log: true, wal_autocheckpoint: 1000 }\n"
	"acme_url: https://acme.test/\nacme_email: \"\"\ntls_letsencrypt_hostname: \"\"\n"
	"tls_letsencrypt_cache_dir: /x\ntls_letsencrypt_challenge_type: HTTP-01\n"
	"tls_letsencrypt_listen: \":http\"\ntls_cert_path: \"\"\ntls_key_path: \"\"\n"
	"log: { level: trace, format: text }\npolicy: { mode: file, path: \"\" }\n"
	"dns:\n  magic_dns: true\n  base_domain: mesh.test\n  override_local_dns: true\n"
	"  nameservers:\n    global: [192.0.2.1]\n    split:\n      {}\n  search_domains: []\n"
	"  extra_records: []\nunix_socket: /x/s\nunix_socket_permission: \"0o770\"\n"
	"oidc:\n  only_start_if_oidc_is_available: true\n  issuer: \"https://idp.test\"\n  client_id: hs\n"
	"  client_secret: s3\n  expiry: 180d\n  use_expiry_from_token: false\n  scope: [openid, profile, "
	"email, groups]\n"
	"  extra_params: { domain_hint: example.com, prompt: login }\n  allowed_domains: [example.com]\n"
	"  allowed_groups: [/headscale]\n  allowed_users: [alice@example.com]\n  email_verified_required: "
	"true\n"
	"  pkce: { enabled: false, method: S256 }\n  strip_email_domain: true\n"
	"trusted_proxies: [127.0.0.1, \"10.1.2.3/8\", \"::1/128\"]\n"
	"logtail: { enabled: false }\n"
	"randomize_client_port: false\ntaildrop: { enabled: true }\n"
	"tuning: { batch_change_delay: 800ms }\n";

static void add_line(void *arg, const char *sentence)
{
	buf_printf(arg, "%s\n", sentence);
}

static void test_headscale(void **state)
{
	struct control_config c;
	struct errbuf eb = { 0 };
	struct buf lines = { 0 };
	(void)state;
	if (config_parse("/h.yaml", headscale, sizeof(headscale) - 1, &c, &eb))
		fail_msg("%s", eb.text);
	assert_true(!c.tls_cert && !c.tls_key && !c.expiry_ms && !*c.policy_path);
	assert_int_equal(c.ephemeral_ms, 20 * 60 * 1000);
	assert_int_equal(c.unix_socket_mode, 0770);
	assert_int_equal(c.log_level, LOG_DEBUG);
	config_unused_each(&c, add_line, &lines);
	assert_string_equal(buf_cstr(&lines),
		"derp.urls has no effect on this server: name relays in a file of derp.paths\n"
		"metrics_listen_addr, grpc_listen_addr, derp.auto_update_enabled, derp.update_frequency, "
		"node.routes, database.gorm, database.sqlite.write_ahead_log, "
		"database.sqlite.wal_autocheckpoint, taildrop, tuning have no effect on "
		"this server\n");
	assert_int_equal(c.login.n, 1);
	const struct oidc_settings *o = &c.login.v[0].s;
	assert_string_equal(o->issuer, "https://idp.test");
	assert_string_equal(o->name, "idp.test");
	assert_string_equal(o->client, "hs");
	assert_string_equal(o->secret, "s3");
	assert_string_equal(o->scope, "openid profile email groups");
	assert_string_equal(o->groups_claim, "groups");
	assert_int_equal(o->n_extra, 2);
	assert_string_equal(o->extra[1].value, "login");
	assert_true(o->verified_email && !o->token_expiry && o->must_answer);
	assert_int_equal(o->expiry_ms, 180LL * 24 * 3600 * 1000);
	assert_true(o->domains.n == 1 && o->groups.n == 1 && o->users.n == 1);
	assert_int_equal(c.proxies.n, 3);
	assert_int_equal(c.proxies.v[0].bits, 32);
	assert_true(c.proxies.v[1].bits == 8 && c.proxies.v[1].ip.b[13] == 0);
	/* Named, but no certificate is wanted. */
	assert_true(!c.acme_host && !c.acme_alpn && c.acme_listen.port == 80);
	assert_string_equal(c.acme_url, "https://acme.test");
	buf_free(&lines);
	config_free(&c);
}

/* Several providers, and a secret that is in a file, which the environment may name. */
static void test_providers(void **state)
{
	static const char text[] = URL
		"oidc:\n"
		"  - { issuer: \"https://accounts.google.com\", client_id: a, client_secret_path: secret }\n"
		"  - { issuer: \"http://127.0.0.1:9000/x\", client_id: b, name: Ours, groups_claim: roles,\n"
		"      groups_domain: Example.COM,\n"
		"      client_secret_path: \"${RW_CONFIG_TEST}/secret\" }\n"
		"  - { issuer: \"\" }\n";
	struct place place, *p = &place;
	(void)state;
	place_make(p);
	struct control_config c, again = { 0 };
	struct errbuf eb = { 0 };
	char path[256];
	snprintf(path, sizeof(path), "%s/c.yaml", p->dir);
	assert_int_equal(file_write_atomic(path, 0600, text, sizeof(text) - 1, &eb), 0);
	assert_int_not_equal(config_read(path, &c, &eb), 0);
	assert_non_null(strstr(eb.text, "/secret"));
	snprintf(path, sizeof(path), "%s/secret", p->dir);
	assert_int_equal(file_write_atomic(path, 0600, "s3cret\n", 7, &eb), 0);
	snprintf(path, sizeof(path), "%s/c.yaml", p->dir);
	assert_int_not_equal(config_read(path, &c, &eb), 0);
	assert_non_null(strstr(eb.text, "nothing in the environment"));
	setenv("RW_CONFIG_TEST", p->dir, 1);
	if (config_read(path, &c, &eb) || config_read(path, &again, &eb))
		fail_msg("%s", eb.text);
	unsetenv("RW_CONFIG_TEST");
	assert_int_equal(c.login.n, 2);
	assert_string_equal(c.login.v[0].s.name, "Google");
	assert_string_equal(c.login.v[0].s.secret, "s3cret");
	assert_string_equal(c.login.v[1].s.name, "Ours");
	assert_string_equal(c.login.v[1].s.secret, "s3cret");
	assert_string_equal(c.login.v[1].s.groups_claim, "roles");
	assert_string_equal(c.login.v[0].s.groups_domain, "");
	assert_string_equal(c.login.v[1].s.groups_domain, "example.com");
	char keys[256];
	assert_string_equal(config_fixed_differ(&c, &again, keys, sizeof(keys)), "");
	if (again.login.v)
		again.login.v[1].s.token_expiry = true;
	assert_string_equal(config_fixed_differ(&c, &again, keys, sizeof(keys)), "oidc");
	config_free(&c);
	config_free(&again);
	place_remove(p);
}

static void test_fixed(void **state)
{
	static const char before[] =
		"server_url: https://hs.test\npolicy: { path: a }\nprefixes: { v4: 100.64.0.0/16 }\n"
		"dns: { extra_records_path: b }\nunix_socket: s\nnode: { expiry: 1d }\n",
			  after[] = "server_url: https://other.test\npolicy: { path: c }\n"
				    "dns: { magic_dns: false, search_domains: [x.test] }\nunix_socket: t\n"
				    "listen_addr: :80\ntls_cert_path: x\ntls_key_path: y\n";
	struct control_config a, b;
	struct errbuf eb = { 0 };
	char keys[256];
	(void)state;
	assert_int_equal(config_parse("/c.yaml", before, sizeof(before) - 1, &a, &eb), 0);
	assert_int_equal(config_parse("/c.yaml", after, sizeof(after) - 1, &b, &eb), 0);
	assert_string_equal(config_fixed_differ(&a, &a, keys, sizeof(keys)), "");
	assert_string_equal(config_fixed_differ(&a, &b, keys, sizeof(keys)),
		"server_url, listen_addr, tls_cert_path, tls_key_path, prefixes.v4, prefixes.v6, "
		"unix_socket");
	config_free(&a);
	config_free(&b);
}

static void test_records_file(void **state)
{
	static const struct {
		const char *text, *error;
		size_t n;
	} rows[] = {
		{ "[{\"name\": \"a.test\", \"type\": \"A\", \"value\": \"100.64.0.3\"},\n"
		  " {\"name\": \"b.test\", \"type\": \"AAAA\", \"value\": \"fd00::1\"}]",
			NULL, 2 },
		{ "[]", NULL, 0 },
		{ "", NULL, 0 },
		{ "{\"name\": \"a.test\"}", "1:1: extra records must be a list of { name, type, value }", 0 },
		{ "[{\"name\": \"a.test\",\n\"value\": \"x\"}]",
			"1:2: extra records: a.test: type A needs an IPv4 address as value, AAAA an IPv6 "
			"one; "
			"other types have to be named",
			0 },
	};
	struct place p;
	char path[256], want[512];
	place_make(&p);
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = { 0 };
		struct config_records got;
		struct errbuf eb = { 0 };
		FILE *f = fopen(place_path(&p, "r.json", path), "w");
		fputs(rows[i].text, f);
		fclose(f);
		int err = config_records_read(path, &a, &got, &eb);
		snprintf(want, sizeof(want), "%s:%s", path, rows[i].error ? rows[i].error : "");
		if (rows[i].error ? !err || strcmp(eb.text, want) != 0 : err || got.n != rows[i].n)
			fail_msg("row %zu: %s", i, eb.text);
		arena_free(&a);
	}
	place_remove(&p);
}

static void test_host(void **state)
{
	static const struct {
		const char *url, *host;
		uint16_t port;
	} rows[] = {
		{ "http://192.0.2.1:8080", "192.0.2.1", 8080 },
		{ "https://hs.test", "hs.test", 0 },
		{ "https://hs.test:8443/a:1", "hs.test", 8443 },
		{ "https://hs.test/x", "hs.test", 0 },
		{ "http://[2001:db8::1]:8080", "2001:db8::1", 8080 },
		{ "http://[2001:db8::1]", "2001:db8::1", 0 },
		{ "http://[2001:db8::1", "2001:db8::1", 0 },
		{ "http://a:70000", "a", 0 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char host[CONFIG_HOST_TEXT];
		uint16_t port;
		config_value_host(rows[i].url, host, &port);
		if (strcmp(host, rows[i].host) != 0 || port != rows[i].port)
			fail_msg("row %zu: %s %u", i, host, port);
	}
}

/* Every type and wildcards, as docs/dns.md shows them; what means nothing is refused at its line. */
static void test_records(void **state)
{
	static const char text[] = URL
		"dns:\n  extra_records:\n"
		"    - { name: WIKI.mesh.example., value: 100.64.0.7 }\n"
		"    - { name: stats.mesh.example, type: CNAME, value: wiki.mesh.example. }\n"
		"    - { name: \"*.apps.mesh.example\", type: A, value: 100.64.0.2 }\n"
		"    - { name: mesh.example, type: MX, value: \"10 wiki.mesh.example.\" }\n"
		"    - { name: mesh.example, type: TXT, value: '\"v=spf1 -all\"' }\n"
		"    - { name: _sip._tcp.mesh.example, type: SRV, value: \"0 5 5060 wiki.mesh.example.\" }\n";
	static const struct {
		const char *record, *says;
	} bad[] = { { "{ name: a.test, type: MX, value: 1.2.3.4 }",
			    "c.yaml:4:7: dns.extra_records: a.test: " },
		{ "{ name: a.test, type: NONE, value: x }", "c.yaml:4:7: dns.extra_records: a.test: " },
		{ "{ name: a.test, value: bob }", "c.yaml:4:7: dns.extra_records: a.test: type A needs" },
		{ "{ name: a..test, value: 1.2.3.4 }",
			"c.yaml:4:7: dns.extra_records: a..test: not a domain name" },
		{ "{ name: a.test }", "c.yaml:4:7: dns.extra_records: a record needs a name and a value" } };
	struct control_config c;
	struct errbuf eb = { 0 };
	char one[512];
	(void)state;
	if (config_parse("c.yaml", text, sizeof(text) - 1, &c, &eb))
		fail_msg("%s", eb.text);
	assert_int_equal(c.records.n, 6);
	assert_string_equal(c.records.v[0].name, "wiki.mesh.example");
	assert_string_equal(c.records.v[2].name, "*.apps.mesh.example");
	assert_string_equal(c.records.v[5].type, "SRV");
	config_free(&c);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(one, sizeof(one), URL "dns:\n  extra_records:\n    - %s\n", bad[i].record);
		assert_true(config_parse("c.yaml", one, strlen(one), &c, &eb) != 0);
		if (strncmp(eb.text, bad[i].says, strlen(bad[i].says)) != 0)
			fail_msg("row %zu: %s", i, eb.text);
	}
}

enum { WARNINGS = 8 };
struct warnings {
	char text[WARNINGS][160];
	size_t n;
};

static void keep_warning(void *arg, enum log_level level, const char *text)
{
	struct warnings *w = arg;
	if (level == LOG_WARN && strstr(text, "every user") && w->n < WARNINGS)
		snprintf(w->text[w->n++], sizeof(w->text[0]), "%s", text);
}

static bool is_warned_of(const struct warnings *w, const char *path, const char *what)
{
	for (size_t i = 0; i < w->n; i++)
		if (strstr(w->text[i], path) && strstr(w->text[i], what))
			return true;
	return false;
}

/* Each file that decides who is in the mesh, and what for: told of where every user of the machine may change it, or read a
 * secret. */
static void test_open_files(void **state)
{
	static const struct {
		const char *name, *text, *what;
	} files[] = { { "c.yaml", NULL, "written" }, { "secret", "s", "read" },
		{ "p.hujson", "{}", "written" }, { "r.json", "[]", "written" },
		{ "d.yaml",
			"regions:\n  900: { regionid: 900, regioncode: a, regionname: A, nodes: [ { name: n, "
			"regionid: 900, "
			"hostname: r.test } ] }\n",
			"written" } };
	struct place p;
	struct control_config c;
	struct errbuf eb = { 0 };
	char path[ARRAY_LEN(files)][256], text[2048];
	(void)state;
	place_make(&p);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		place_path(&p, files[i].name, path[i]);
	snprintf(text, sizeof(text),
		URL "policy: { path: %s }\ndns: { extra_records_path: %s }\nderp: { paths: [ %s ] }\n"
		    "oidc: { issuer: \"https://id.test\", client_id: a, client_secret_path: %s }\n",
		path[2], path[3], path[4], path[1]);
	for (int open = 0; open < 2; open++) {
		struct warnings w = { .n = 0 };
		for (size_t i = 0; i < ARRAY_LEN(files); i++) {
			const char *t = files[i].text ? files[i].text : text;
			mode_t mode = !open ? 0640 : files[i].what[0] == 'r' ? 0644 : 0666;
			assert_int_equal(file_write_atomic(path[i], 0600, t, strlen(t), &eb), 0);
			assert_int_equal(chmod(path[i], mode), 0);
		}
		log_tell(keep_warning, &w);
		if (config_read(path[0], &c, &eb))
			fail_msg("%s", eb.text);
		struct settings *s = settings_read(&c, NULL, NULL, NULL, &eb);
		log_tell(NULL, NULL);
		if (!s)
			fail_msg("%s", eb.text);
		settings_put(s);
		config_free(&c);
		assert_int_equal(w.n, open ? ARRAY_LEN(files) : 0);
		for (size_t i = 0; i < ARRAY_LEN(files) && open; i++)
			if (!is_warned_of(&w, path[i], files[i].what))
				fail_msg("%s", files[i].name);
	}
	place_remove(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_records), cmocka_unit_test(test_errors),
		cmocka_unit_test(test_blocking), cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_whole), cmocka_unit_test(test_headscale),
		cmocka_unit_test(test_providers), cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_records_file), cmocka_unit_test(test_host),
		cmocka_unit_test(test_open_files) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
