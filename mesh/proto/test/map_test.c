#include "mesh/proto/control.h"
#include "mesh/proto/test/vectors.h"
#include <stdio.h>
#include <stdlib.h>

#define K64(c) \
	c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c \
		c c c c c c c c c c c c c c
#define NODE_KEY "nodekey:" K64("1")
#define DISCO_KEY "discokey:" K64("2")
#define MACHINE_KEY "mkey:" K64("3")

static int read_text(struct arena *a, const char *json, struct ctl_map_response *out, struct errbuf *eb)
{
	return ctl_map_response_read(a, json, strlen(json), out, eb);
}

/* Reads, writes, reads and writes: both texts must be the same. The first is returned; free it. */
static char *round_trip(const char *json)
{
	char *texts[2] = { NULL, NULL };
	const char *from = json;
	for (size_t i = 0; i < 2; i++) {
		struct arena a = { 0 };
		struct buf b = { 0 };
		struct errbuf eb = { 0 };
		struct ctl_map_response m;
		if (read_text(&a, from, &m, &eb))
			fail_msg("%s in %s", eb.text, from);
		assert_true(ctl_map_response_write(&b, &m));
		texts[i] = strdup(buf_cstr(&b));
		from = texts[i];
		buf_free(&b);
		arena_free(&a);
	}
	assert_string_equal(texts[0], texts[1]);
	free(texts[1]);
	return texts[0];
}

/* Every rule as one row: what is read, as it would be written. NULL: the same text. */
static void test_rules(void **state)
{
	(void)state;
	static const struct {
		const char *json, *as;
	} rows[] = {
		{ "{}", NULL },
		{ "{\"KeepAlive\":true}", NULL },
		{ "{\"keepalive\":true,\"KEEPaliveX\":[1]}", "{\"KeepAlive\":true}" },
		{ "{\"KeepAlive\":null,\"Node\":null,\"Peers\":null,\"DERPMap\":null,\"DNSConfig\":null,"
		  "\"PacketFilter\":null,"
		  "\"PacketFilters\":null,\"Health\":null,\"Debug\":null,\"ControlTime\":null,"
		  "\"PingRequest\":null,"
		  "\"OnlineChange\":null,\"PeersRemoved\":null,\"Domain\":null,\"UserProfiles\":null}",
			"{}" },
		{ "{\"Peers\":[]}", "{}" },
		{ "{\"Peers\":[null]}", "{}" },
		{ "{\"PeersRemoved\":[9007199254740993,2]}", NULL }, /* above 2^53: no doubles */
		{ "{\"A\":18446744073709551615,\"B\":[-1e999,9223372036854775808],\"KeepAlive\":true}",
			"{\"KeepAlive\":true}" },
		{ "{\"A\":[1e400,1e400,1e400,1e400,1e400,1e400,1e400,1e400,1e400,99999999999999999999],"
		  "\"PeersRemoved\":[-9223372036854775808]}",
			"{\"PeersRemoved\":[-9223372036854775808]}" },
		{ "{\"OnlineChange\":{\"12\":true,\"9\":false}}", NULL },
		{ "{\"PeerSeenChange\":{\"12\":true,\"9\":null}}", "{\"PeerSeenChange\":{\"12\":true}}" },
		{ "{\"Domain\":\"a\\u003cb\\u0026c\"}", "{\"Domain\":\"a<b&c\"}" },
		/* characters that are none */
		{ "{\"Domain\":\"a\\u0000b\"}", "{\"Domain\":\"a\xef\xbf\xbd"
						"b\"}" },
		{ "{\"Domain\":\"\\ud800\\u0041\\udc00\\ud83d\\ude00\"}",
			"{\"Domain\":\"\xef\xbf\xbd"
			"A\xef\xbf\xbd\xf0\x9f\x98\x80\"}" },
		{ "{\"x\\u0000\":\"\\\\u0000\",\"Domain\":\"\xff\xc3\xa4\xed\xa0\x80\"}",
			"{\"Domain\":\"?\xc3\xa4???\"}" },
		{ "{\"Domain\":\"\"}", NULL },
		{ "{\"Health\":[]}", NULL },
		{ "{\"Health\":[\"say \\\"hi\\\"\\n\"]}", "{\"Health\":[\"say \\\"hi\\\"\\u000a\"]}" },
		{ "{\"ControlTime\":\"2026-08-22T10:00:00.123456789Z\"}",
			"{\"ControlTime\":\"2026-08-22T10:00:00.123Z\"}" },
		{ "{\"ControlTime\":\"0001-01-01T00:00:00Z\"}", "{}" },
		{ "{\"Debug\":{\"DisableLogTail\":true,\"SleepSeconds\":0.5}}", NULL },
		{ "{\"Debug\":{}}", NULL },
		{ "{\"PingRequest\":{\"URL\":\"https://x/y\",\"URLIsNoise\":true,\"Log\":true}}",
			"{\"PingRequest\":{\"URL\":\"https://x/y\",\"URLIsNoise\":true}}" },
		{ "{\"UserProfiles\":[{\"ID\":1,\"LoginName\":\"u\",\"DisplayName\":\"U\"}]}", NULL },
		/* filters */
		{ "{\"PacketFilter\":[]}", NULL },
		{ "{\"PacketFilters\":{\"*\":null,\"base\":null}}", NULL },
		{ "{\"PacketFilters\":{\"base\":[],\"*\":null}}",
			"{\"PacketFilters\":{\"*\":null,\"base\":[]}}" },
		{ "{\"PacketFilters\":{\"base\":[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{"
		  "\"First\":0,\"Last\":"
		  "65535}}]}]}}",
			NULL },
		/* DERP */
		{ "{\"DERPMap\":{\"Regions\":null}}", "{\"DERPMap\":{}}" },
		{ "{\"DERPMap\":{\"Regions\":{}}}", NULL },
		{ "{\"DERPMap\":{\"Regions\":{\"0\":{\"RegionID\":5},\"-1\":{},\"65536\":{},\"5\":{}}}}",
			"{\"DERPMap\":{\"Regions\":{\"5\":{\"RegionID\":5,\"RegionCode\":\"\",\"RegionName\":"
			"\"\","
			"\"Nodes\":[]}}}}" },
		{ "{\"DERPMap\":{\"Regions\":{\"70000\":{}}}}", "{\"DERPMap\":{\"Regions\":{}}}" },
		{ "{\"DERPMap\":{\"Regions\":{\"901\":null,\"900\":{\"RegionCode\":\"sim\",\"Nodes\":[{"
		  "\"Name\":\"900a\",\"HostName\":"
		  "\"h\",\"STUNPort\":-1}]}},\"HomeParams\":null}}",
			"{\"DERPMap\":{\"Regions\":{\"900\":{\"RegionID\":900,\"RegionCode\":\"sim\","
			"\"RegionName\":\"\",\"Nodes\":[{"
			"\"Name\":\"900a\",\"RegionID\":900,\"HostName\":\"h\",\"STUNPort\":-1}]}}}}" },
		/* DNS */
		{ "{\"DNSConfig\":{\"Routes\":{\"mesh.test\":null,\"corp.test\":[{\"Addr\":\"10.0.0.53\"}]},"
		  "\"Domains\":["
		  "\"mesh.test\"],\"Proxied\":true}}",
			"{\"DNSConfig\":{\"Routes\":{\"mesh.test\":[],\"corp.test\":[{\"Addr\":\"10.0.0.53\"}"
			"]},\"Domains\":["
			"\"mesh.test\"],\"Proxied\":true}}" },
		{ "{\"DNSConfig\":{\"ExtraRecords\":[{\"Name\":\"a.b\",\"Value\":\"1.2.3.4\"}]}}", NULL },
		/* patches: null means unchanged, an empty list of endpoints does not */
		{ "{\"PeersChangedPatch\":[{\"NodeID\":7,\"Endpoints\":[],\"Key\":null,\"Online\":null}]}",
			"{\"PeersChangedPatch\":[{\"NodeID\":7,\"Endpoints\":[]}]}" },
		{ "{\"PeersChangedPatch\":[{\"NodeID\":7,\"DERPRegion\":2,\"Endpoints\":[\"1.2.3.4:5\",\"["
		  "2001:db8::1]:6\"],\"Key\":\"" NODE_KEY "\",\"DiscoKey\":\"" DISCO_KEY
		  "\",\"Online\":false,\"LastSeen\":\"2026-01-02T03:04:05Z\"}]}",
			NULL },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *got = round_trip(rows[i].json);
		if (strcmp(got, rows[i].as ? rows[i].as : rows[i].json) != 0)
			fail_msg("row %zu: %s", i, got);
		free(got);
	}
}

static void test_refused(void **state)
{
	(void)state;
	static const struct {
		const char *json, *says;
	} rows[] = {
		{ "", "not JSON" },
		{ "[]", "message: not an object" },
		{ "{\"Domain\":\"a\\u00", "not JSON" },
		{ "{\"Domain\":\"\\ud800\\u", "not JSON" },
		{ "{\"Domain\":\"a\\", "not JSON" },
		{ "{\"PeersRemoved\":[18446744073709551615", "not JSON" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = { 0 };
		struct errbuf eb = { 0 };
		struct ctl_map_response m, before;
		memset(&m, 0x5a, sizeof(m));
		before = m;
		int err = read_text(&a, rows[i].json, &m, &eb);
		if (err >= 0 || !strstr(eb.text, rows[i].says))
			fail_msg("row %zu: %d %s", i, err, eb.text);
		assert_memory_equal(&m, &before, sizeof(m));
		arena_free(&a);
	}
}

static void test_hostile_sizes(void **state)
{
	(void)state;
	enum { DEPTH = 100000 };
	char *deep = malloc(DEPTH * 6 + 1);
	for (size_t i = 0; i < DEPTH; i++)
		memcpy(deep + i * 5, "{\"a\":", 5);
	deep[DEPTH * 5] = 0;
	struct arena a = { 0 };
	struct errbuf eb = { 0 };
	struct ctl_map_response m;
	assert_true(read_text(&a, deep, &m, &eb) < 0);
	assert_non_null(strstr(eb.text, "too deep"));

	/* 190,000 peers of two bytes each */
	char *p = deep;
	p += sprintf(p, "{\"Peers\":[{}");
	for (size_t i = 0; i < 190000; i++)
		p += sprintf(p, ",{}");
	sprintf(p, "]}");
	assert_int_equal(read_text(&a, deep, &m, &eb), 0);
	assert_true(m.n_peers == 0 && m.incomplete);
	assert_string_equal(m.problems[0].text, "Peers: too many elements");
	free(deep);
	arena_free(&a);

	a.cap = 200;
	assert_int_equal(read_text(&a, "{\"Domain\":\"x\"}", &m, &eb), ERR_TOO_LARGE);
	arena_free(&a);
}

static void test_node(void **state)
{
	(void)state;
	static const char json[] =
		"{\"Node\":{\"ID\":9007199254740993,\"StableID\":\"n1\",\"Name\":\"a.mesh.test.\",\"User\":5,"
		"\"Key\":\"" NODE_KEY "\",\"Machine\":\"" MACHINE_KEY "\",\"DiscoKey\":\"" DISCO_KEY
		"\",\"Addresses\":[\"100.64.0.1/32\","
		"\"fd7a:115c:a1e0::1/"
		"128\"],\"AllowedIPs\":null,\"Endpoints\":[\"192.0.2.1:41641\"],\"DERP\":\"127.3.3.40:7\","
		"\"Hostinfo\":{\"OS\":\"linux\",\"Hostname\":\"a\",\"Services\":[{\"Proto\":"
		"\"peerapi4\",\"Port\":4711}],\"RoutableIPs\":[\"10.0.0.0/"
		"8\"],\"NetInfo\":{\"WorkingUDP\":true,"
		"\"MappingVariesByDestIP\":false,\"WorkingIPv6\":null,\"PreferredDERP\":7,\"DERPLatency\":{"
		"\"7-v4\":0.012}}},"
		"\"Created\":\"2026-01-01T00:00:00Z\",\"KeyExpiry\":\"0001-01-01T00:00:00Z\",\"Cap\":119,"
		"\"Online\":true,"
		"\"MachineAuthorized\":true,\"Tags\":[\"tag:x\"],\"CapMap\":{\"is-admin\":null,\"k\":[1,{"
		"\"a\":2}]}}}";
	struct arena a = { 0 };
	struct errbuf eb = { 0 };
	struct ctl_map_response m;
	if (read_text(&a, json, &m, &eb))
		fail_msg("%s", eb.text);
	const struct ctl_node *n = m.node;
	assert_int_equal(n->id, 9007199254740993);
	assert_string_equal(n->stable_id, "n1");
	assert_int_equal(n->key.b[0], 0x11);
	assert_int_equal(n->addresses.n, 2);
	assert_int_equal(n->allowed_ips.n, 2); /* null: the addresses */
	assert_int_equal(n->endpoints.n, 1);
	assert_int_equal(n->home_derp, 7);
	assert_non_null(n->hostinfo.netinfo);
	assert_int_equal(n->hostinfo.n_services, 1);
	assert_string_equal(n->hostinfo.services[0].proto, "peerapi4");
	assert_int_equal(n->hostinfo.services[0].port, 4711);
	assert_int_equal(n->hostinfo.netinfo->mapping_varies, OPT_FALSE);
	assert_int_equal(n->hostinfo.netinfo->working_ipv6, OPT_ABSENT);
	assert_string_equal(n->hostinfo.netinfo->latency[0].key, "7-v4");
	assert_string_equal(n->hostinfo.os_version, ""); /* never NULL */
	assert_true(n->created_ms == 1767225600000);
	assert_true(n->key_expiry_ms == INT64_MIN && n->last_seen_ms == INT64_MIN);
	assert_int_equal(n->online, OPT_TRUE);
	assert_string_equal(n->cap_map_json, "{\"is-admin\":null,\"k\":[1,{\"a\":2}]}");
	arena_free(&a);
	free(round_trip(json));
}

static void test_home_region(void **state)
{
	(void)state;
	static const struct {
		const char *members;
		int home;
	} rows[] = {
		{ "", 0 },
		{ ",\"HomeDERP\":3", 3 },
		{ ",\"HomeDERP\":3,\"DERP\":\"127.3.3.40:4\"", 3 },
		{ ",\"HomeDERP\":0,\"DERP\":\"127.3.3.40:4\"", 4 },
		{ ",\"DERP\":\"\"", 0 },
		{ ",\"DERP\":\"127.3.3.40:0\"", 0 },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char json[128];
		struct arena a = { 0 };
		struct ctl_map_response m;
		snprintf(json, sizeof(json), "{\"Node\":{\"ID\":1%s}}", rows[i].members);
		assert_int_equal(read_text(&a, json, &m, NULL), 0);
		if (m.node->home_derp != rows[i].home)
			fail_msg("row %zu: %d", i, m.node->home_derp);
		arena_free(&a);
	}
}

/* Cost of the server's largest message: a thousand peers there and back. */
static void test_thousand_peers(void **state)
{
	(void)state;
	enum { PEERS = 1000 };
	static struct ctl_node peers[PEERS];
	struct prefix address;
	assert_true(prefix_parse("100.64.0.9/32", &address));
	for (int i = 0; i < PEERS; i++)
		peers[i] = (struct ctl_node) { .id = i + 1,
			.stable_id = "n",
			.name = "n.mesh.test.",
			.user = 1,
			.addresses = { &address, 1 },
			.allowed_ips = { &address, 1 },
			.created_ms = 0,
			.last_seen_ms = INT64_MIN,
			.key_expiry_ms = INT64_MIN,
			.online = OPT_TRUE };
	struct ctl_map_response m = { .peers = peers, .n_peers = PEERS, .control_time_ms = INT64_MIN }, back;
	struct buf b = { 0 };
	struct arena a = { 0 };
	assert_true(ctl_map_response_write(&b, &m));
	assert_int_equal(ctl_map_response_read(&a, (const char *)buf_data(&b), b.len, &back, NULL), 0);
	assert_int_equal(back.n_peers, PEERS);
	assert_int_equal(back.peers[999].id, 1000);
	assert_int_equal(back.peers[999].online, OPT_TRUE);
	buf_free(&b);

	b.cap = 1000; /* does not fit: nothing is written */
	assert_true(buf_append(&b, "x", 1));
	assert_false(ctl_map_response_write(&b, &m));
	assert_int_equal(b.len, 1);
	buf_free(&b);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_hostile_sizes),
		cmocka_unit_test(test_node),
		cmocka_unit_test(test_home_region),
		cmocka_unit_test(test_thousand_peers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
