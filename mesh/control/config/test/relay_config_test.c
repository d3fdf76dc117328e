/* What a settings file says of relays and of certificates from an authority. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/buf.h"
#include "mesh/control/config/config.h"
#include <string.h>
#include <time.h>

#define URL "server_url: https://hs.test\n"
#define PIN \
	"sha256-raw:00000000000000000000000000000000" \
	"00000000000000000000000000000000"

static void test_derp(void **state)
{
	static const struct {
		const char *text, *error;
		size_t regions;
	} rows[] = {
		{ "regions:\n  900:\n    regionid: 900\n    regioncode: sim\n    nodes:\n      - { name: "
		  "900a, regionid: 900, hostname: "
		  "derp.test, ipv4: 203.0.113.11, ipv6: none, stunport: 3478, certname: \"" PIN "\" }\n",
			NULL, 1 },
		{ "{\"Regions\":{\"900\":{\"RegionID\":900,\"Nodes\":[{\"HostName\":\"a\",\"STUNPort\":-1,"
		  "\"InsecureForTests\":true}]},"
		  "\"901\":{\"Nodes\":null}}}",
			NULL, 2 },
		{ "regions: { 1: { latitude: 47.4, longitude: -8.5 }, 2: { latitude: 0 } }\n", NULL, 2 },
		{ "regions: { 1: { latitude: 90.5 } }\n",
			"d.yaml:1:27: latitude must be degrees from -90 to 90", 0 },
		{ "regions: { 1: { longitude: 8,5 } }\n", "d.yaml:1:30: unknown key \"5\"", 0 },
		{ "regions: { 1: { longitude: 1e1 } }\n",
			"d.yaml:1:28: longitude must be degrees from -180 to 180", 0 },
		{ "regions:\n", NULL, 0 },
		{ "regions: 5\n", "d.yaml:1:1: a DERP map needs \"regions\": a mapping from number to region",
			0 },
		{ "regions:\n  x: {}\n", "d.yaml:2:3: a region's key must be its number, 1 to 65535", 0 },
		{ "regions:\n  1: { nodes: [ { hostname: a, derpport: x } ] }\n",
			"d.yaml:2:42: derpport must be a number from 0 to 65535", 0 },
		{ "regions:\n  1: { nodes: [ { name: a } ] }\n",
			"d.yaml:2:17: a relay needs a hostname (a name or an address)", 0 },
		{ "regions:\n  1: { regionid: 2 }\n", "d.yaml:2:18: regionid 2 of region 1", 0 },
		{ "regions: { 1: { code: x } }\n",
			"d.yaml:1:17: unknown key \"code\"; did you mean \"nodes\"?", 0 },
		{ "regons: {}\n", "d.yaml:1:1: unknown key \"regons\"; did you mean \"regions\"?", 0 },
		{ "regions:\n  1: { nodes: [ { hostname: a, certnme: x } ] }\n",
			"d.yaml:2:32: unknown key \"certnme\"; did you mean \"certname\"?", 0 },
		{ "regions:\n  1: { nodes: [ { hostname: a, certname: \"sha256-raw:0g\" } ] }\n",
			"d.yaml:2:42: certname: behind sha256-raw: come 64 hex digits, as ropewalk-relay "
			"prints "
			"them",
			0 },
		{ "regions:\n  1: { nodes: [ { hostname: a, ipv4: \"::1\" } ] }\n",
			"d.yaml:2:38: ipv4: \"::1\" is not an IPv4 address, nor none", 0 },
		{ "regions:\n  1: { nodes: [ { hostname: a, ipv6: 192.0.2.1 } ] }\n",
			"d.yaml:2:38: ipv6: \"192.0.2.1\" is not an IPv6 address, nor none", 0 },
		{ "regions:\n  1: { nodes: [ { hostname: \"a\\nb\" } ] }\n",
			"d.yaml:2:29: hostname is not a name or an address", 0 },
		{ "regions:\n  1: { nodes: [ { hostname: a, regionid: 2 } ] }\n",
			"d.yaml:2:17: regionid 2 of a relay in region 1", 0 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = { 0 };
		struct ctl_derp_map map = { 0 };
		struct errbuf eb = { 0 };
		int err = config_derp_parse("d.yaml", rows[i].text, strlen(rows[i].text), &a, &map, &eb);
		if (rows[i].error ? !err || strcmp(eb.text, rows[i].error) != 0
				  : err || map.n_regions != rows[i].regions)
			fail_msg("row %zu: %s", i, eb.text);
		if (!i) {
			assert_string_equal(map.regions[0].nodes[0].ipv6, "none");
			assert_string_equal(map.regions[0].nodes[0].cert_name, PIN);
		}
		if (i == 2)
			assert_true(map.regions[0].latitude > 47.3 && map.regions[0].latitude < 47.5 &&
				    map.regions[0].longitude < -8.4 && map.regions[0].longitude > -8.6);
		if (i == 1)
			assert_true(
				map.regions[0].nodes[0].stun_port == -1 && map.regions[0].nodes[0].insecure);
		arena_free(&a);
	}
}

static void read_map(const char *text, struct arena *a, struct ctl_derp_map *map)
{
	struct errbuf eb = { 0 };
	if (config_derp_parse("d.yaml", text, strlen(text), a, map, &eb))
		fail_msg("%s", eb.text);
}

/* However often a region is named, in one file or several: it is as it was said last, and the map by number. */
static void test_regions_once(void **state)
{
	static const char *const names[] = { "five", "seven anew", "eight" };
	static const int32_t ids[] = { 5, 7, 8 };
	struct arena a = { 0 };
	struct ctl_derp_map map = { 0 };
	(void)state;
	read_map("regions: { 8: { regionname: eight }, 7: { regionname: x }, 007: { regionname: seven } }\n",
		&a, &map);
	assert_int_equal(map.n_regions, 2);
	assert_string_equal(config_derp_region(&map, 7)->name, "seven");
	read_map("regions: { 7: { regionname: seven anew }, 5: { regionname: five } }\n", &a, &map);
	assert_int_equal(map.n_regions, ARRAY_LEN(ids));
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		assert_int_equal(map.regions[i].id, ids[i]);
		assert_string_equal(map.regions[i].name, names[i]);
		assert_ptr_equal(config_derp_region(&map, ids[i]), &map.regions[i]);
	}
	assert_null(config_derp_region(&map, 6));
	assert_null(config_derp_region(&map, 9));
	assert_null(config_derp_region(&(struct ctl_derp_map) { 0 }, 1));
	read_map("regions: {}\n", &a, &map); /* takes none away */
	assert_int_equal(map.n_regions, ARRAY_LEN(ids));
	arena_free(&a);
}

/* The best of a few: what else runs on the machine takes nothing of it. */
static clock_t cost_of(int32_t regions)
{
	struct buf text = { 0 };
	clock_t least = 0;
	assert_true(buf_printf(&text, "regions:\n"));
	for (int32_t id = 1; id <= regions; id++)
		assert_true(buf_printf(&text, "  %d: {}\n", (int)id));
	for (int i = 0; i < 3; i++) {
		struct arena a = { 0 };
		struct ctl_derp_map map = { 0 };
		clock_t began = clock();
		read_map(buf_cstr(&text), &a, &map);
		clock_t spent = clock() - began;
		assert_int_equal(map.n_regions, regions);
		least = !i || spent < least ? spent : least;
		arena_free(&a);
	}
	buf_free(&text);
	return least;
}

/* Sixteen times as many cost sixteen times as much, and not the square of it. */
static void test_many_regions(void **state)
{
	enum { FEW = 2000, TIMES = 16 };
	(void)state;
	clock_t few = cost_of(FEW), many = cost_of(FEW * TIMES);
	if (many > 2 * TIMES * few)
		fail_msg("%d regions take %ld, %d %ld", FEW, (long)few, FEW * TIMES, (long)many);
	print_message("%d regions take %ld, %d %ld\n", FEW, (long)few, FEW * TIMES, (long)many);
}

/* derp.server: what is read of it, and the region that nodes are told. */
static void test_relay_inside(void **state)
{
#define TLS "tls_listen_addr: 192.0.2.1:8443\n"
	static const struct {
		const char *text, *error;
		const char *host, *ipv4, *ipv6, *pin; /* of the region */
		int32_t id, derp_port, stun_port;
	} rows[] = {
		{ "server_url: http://192.0.2.1:8080\n" TLS "derp: { server: { enabled: true } }\n", NULL,
			"192.0.2.1", "192.0.2.1", "", PIN, 999, 8443, 3478 },
		{ "server_url: http://[2001:db8::1]:8080\n" TLS
		  "derp: { server: { enabled: true, region_id: 7, ipv4: 192.0.2.9, stun_listen_addr: \":99\" "
		  "} }\n",
			NULL, "2001:db8::1", "192.0.2.9", "2001:db8::1", PIN, 7, 8443, 99 },
		/* A proxy speaks TLS for it: its port, its certificate. */
		{ "server_url: https://hs.test\nderp: { server: { enabled: true, stun_listen_addr: \"\" } "
		  "}\n",
			NULL, "hs.test", "", "", "", 999, 0, -1 },
		{ "server_url: https://hs.test:8443/\n" TLS "derp: { server: { enabled: true } }\n", NULL,
			"hs.test", "", "", PIN, 999, 8443, 3478 },
		{ "server_url: http://192.0.2.1:8080\nderp: { server: { enabled: true } }\n",
			"c.yaml: derp.server: nodes come to a relay by TLS, and nothing here speaks it: set "
			"tls_listen_addr "
			"(such as \":443\"; a certificate is made when none is given)",
			NULL, NULL, NULL, NULL, 0, 0, 0 },
		{ "server_url: https://a\nderp: { server: { enable: true } }\n",
			"c.yaml:2:19: unknown key \"derp.server.enable\"; did you mean "
			"\"derp.server.enabled\"?",
			NULL, NULL, NULL, NULL, 0, 0, 0 },
		{ "server_url: https://a\nderp: { server: { region_id: 0 } }\n",
			"c.yaml:2:30: derp.server.region_id: must be a number from 1 to 65535", NULL, NULL,
			NULL, NULL, 0, 0, 0 },
		{ "server_url: https://a\nderp: { server: { ipv4: \"::1\" } }\n",
			"c.yaml:2:25: derp.server.ipv4: must be an IPv4 address", NULL, NULL, NULL, NULL, 0,
			0, 0 },
		{ "server_url: https://a\nderp: { server: { verify_clients: [] } }\n",
			"c.yaml:2:35: derp.server.verify_clients: must be a single value", NULL, NULL, NULL,
			NULL, 0, 0, 0 },
		{ "server_url: https://a\nderp: { server: x }\n",
			"c.yaml:2:17: derp.server must be a mapping", NULL, NULL, NULL, NULL, 0, 0, 0 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct control_config c;
		struct errbuf eb = { 0 };
		struct ctl_derp_map map = { 0 };
		int err = config_parse("c.yaml", rows[i].text, strlen(rows[i].text), &c, &eb);
		if (!err != !rows[i].error || (err && strcmp(eb.text, rows[i].error) != 0))
			fail_msg("row %zu: %s", i, eb.text);
		if (err)
			continue;
		assert_true(c.relay.verify_clients);
		assert_true(config_relay_region(&c, &c.tls_listen, &c.relay.stun, PIN, &c.mem, &map));
		const struct ctl_derp_node *n = map.regions[0].nodes;
		if (map.n_regions != 1 || map.regions[0].id != rows[i].id ||
			n->derp_port != rows[i].derp_port || n->stun_port != rows[i].stun_port ||
			strcmp(n->host, rows[i].host) != 0 || strcmp(n->ipv4, rows[i].ipv4) != 0 ||
			strcmp(n->ipv6, rows[i].ipv6) != 0 || strcmp(n->cert_name, rows[i].pin) != 0)
			fail_msg("row %zu: %s %s %s %s %d %d %d", i, n->host, n->ipv4, n->ipv6, n->cert_name,
				map.regions[0].id, n->derp_port, n->stun_port);
		config_free(&c);
	}
}

/* The relay's region goes into its place among those of the files. */
static void test_relay_region_order(void **state)
{
	static const char text[] =
		"server_url: https://hs.test\nderp: { server: { enabled: true, region_id: 5 } }\n";
	static const struct {
		const char *files, *ids;
	} rows[] = {
		{ "regions: {}\n", "5 " },
		{ "regions: { 1: {}, 9: {} }\n", "1 5 9 " },
		{ "regions: { 5: { regioncode: old }, 9: {} }\n", "5 9 " },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct control_config c;
		struct errbuf eb = { 0 };
		struct ctl_derp_map map = { 0 };
		struct buf ids = { 0 };
		assert_int_equal(config_parse("c.yaml", text, sizeof(text) - 1, &c, &eb), 0);
		assert_int_equal(
			config_derp_parse("d.yaml", rows[i].files, strlen(rows[i].files), &c.mem, &map, &eb),
			0);
		assert_true(config_relay_region(&c, &c.tls_listen, &c.relay.stun, "", &c.mem, &map));
		for (size_t k = 0; k < map.n_regions; k++) {
			buf_printf(&ids, "%d ", map.regions[k].id);
			if (map.regions[k].id == 5)
				assert_string_equal(map.regions[k].code, "ropewalk");
		}
		assert_string_equal(buf_cstr(&ids), rows[i].ids);
		buf_free(&ids);
		config_free(&c);
	}
}

/* A certificate from an authority. */
static void test_acme(void **state)
{
	static const struct {
		const char *text, *error;
		bool alpn;
		uint16_t port;
	} rows[] = {
		{ URL "tls_letsencrypt_hostname: hs.test\n", NULL, false, 80 },
		{ URL "tls_letsencrypt_hostname: hs.test\ntls_letsencrypt_challenge_type: TLS-ALPN-01\n"
		      "tls_letsencrypt_listen: \":8081\"\n",
			NULL, true, 8081 },
		{ URL "tls_letsencrypt_hostname: hs.test\ntls_cert_path: a\ntls_key_path: b\n",
			"c.yaml: tls_letsencrypt_hostname and tls_cert_path are both set: keep one", false,
			0 },
		{ URL "tls_letsencrypt_hostname: 192.0.2.1\n",
			"c.yaml: tls_letsencrypt_hostname is an address: it must be the name that the "
			"certificate is for",
			false, 0 },
		{ URL "tls_letsencrypt_challenge_type: DNS-01\n",
			"c.yaml:2:33: tls_letsencrypt_challenge_type: \"DNS-01\" is not HTTP-01 or "
			"TLS-ALPN-01",
			false, 0 },
		{ URL "acme_email: 'a\"b'\n", "c.yaml: acme_email is no address", false, 0 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct control_config c;
		struct errbuf eb = { 0 };
		int err = config_parse("c.yaml", rows[i].text, strlen(rows[i].text), &c, &eb);
		if (!err != !rows[i].error || (err && strcmp(eb.text, rows[i].error) != 0))
			fail_msg("row %zu: %s", i, eb.text);
		if (err)
			continue;
		if (strcmp(c.acme_host, "hs.test") != 0 || c.acme_alpn != rows[i].alpn ||
			c.acme_listen.port != rows[i].port)
			fail_msg("row %zu: %s %d %u", i, c.acme_host, c.acme_alpn, c.acme_listen.port);
		config_free(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_derp), cmocka_unit_test(test_regions_once),
		cmocka_unit_test(test_many_regions), cmocka_unit_test(test_acme),
		cmocka_unit_test(test_relay_inside), cmocka_unit_test(test_relay_region_order) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
