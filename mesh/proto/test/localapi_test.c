#include "mesh/proto/localapi.h"
#include "mesh/proto/test/vectors.h"
#include <stdio.h>

#define K64(c) \
	c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c \
		c c c c c c c c c c c c c c
#define ZERO "\"0001-01-01T00:00:00Z\""

static struct api_peer make_peer(uint8_t key, struct addr *ip)
{
	struct api_peer p = { .stable_id = "n2",
		.host_name = "bob",
		.dns_name = "bob.mesh.test.",
		.os = "linux",
		.node_id = 2,
		.user_id = 1,
		.ips = ip,
		.n_ips = 1,
		.cur_addr = "192.0.2.7:41641",
		.relay = "fra",
		.rx_bytes = 10,
		.tx_bytes = 20,
		.created_ms = INT64_MIN,
		.last_write_ms = INT64_MIN,
		.last_seen_ms = 1767225600000,
		.last_handshake_ms = INT64_MIN,
		.key_expiry_ms = INT64_MIN,
		.online = true,
		.active = true,
		.in_network_map = true,
		.in_engine = true,
		.why = "direct" };
	fill_key(p.key.b, key);
	return p;
}

/* The shape that other programs read: golden text. */
static void test_status(void **state)
{
	(void)state;
	static const char want[] =
		"{\"Version\":\"0.1.0\",\"TUN\":true,\"BackendState\":\"Running\",\"HaveNodeKey\":true,"
		"\"AuthURL\":\"\",\"TailscaleIPs\":"
		"[\"100.64.0.1\",\"fd7a:115c:a1e0::1\"],\"Self\":{\"ID\":\"n2\",\"NodeID\":2,\"PublicKey\":"
		"\"nodekey:" K64(
			"1") "\",\"HostName\":\"bob\",\"DNSName\":\"bob.mesh.test.\",\"OS\":"
			     "\"linux\",\"UserID\":1,\"TailscaleIPs\":[\"100.64.0.1\"],"
			     "\"AllowedIPs\":[],\"Addrs\":[],\"CurAddr\":\"192.0.2.7:41641\","
			     "\"Relay\":\"fra\",\"RxBytes\":10,\"TxBytes\":20,"
			     "\"Created\":" ZERO ",\"LastWrite\":" ZERO
			     ",\"LastSeen\":\"2026-01-01T00:00:00Z\",\"LastHandshake\":" ZERO
			     ",\"Online\":true,\"ExitNode\":false,\"ExitNodeOption\":false,\"Active\":true,"
			     "\"PeerAPIURL\":[],\"TaildropTarget\":0,"
			     "\"InNetworkMap\":true,\"InEngine\":"
			     "true,\"Why\":\"direct\"},\"Health\":[\"h\"],"
			     "\"MagicDNSSuffix\":\"mesh.test\",\"CurrentTailnet\":{\"Name\":"
			     "\"home\",\"MagicDNSSuffix\":\"mesh.test\","
			     "\"MagicDNSEnabled\":true},\"User\":{\"1\":{\"ID\":1,"
			     "\"LoginName\":\"u@x\",\"DisplayName\":\"u\"}},"
			     "\"Drops\":{\"bad_source\":3},\"Control\":\"connected\","
			     "\"AEAD\":\"OpenSSL\","
			     "\"DataPath\":{\"Threads\":2,\"SecondRuns\":true,\"SecondPackets\":7,"
			     "\"TSO\":true,\"USO\":false,\"GSO\":true,\"GRO\":true},"
			     "\"Problems\":[\"p\"],\"Peer\":{}}";
	struct addr ips[2];
	assert_true(addr_parse("100.64.0.1", &ips[0]) && addr_parse("fd7a:115c:a1e0::1", &ips[1]));
	const char *health[] = { "h" }, *problems[] = { "p" };
	struct api_user user = { .id = 1, .login_name = "u@x", .display_name = "u" };
	struct api_drop drop = { "bad_source", 3 };
	struct api_status s = { .version = "0.1.0",
		.backend_state = "Running",
		.tun = true,
		.have_node_key = true,
		.ips = ips,
		.n_ips = 2,
		.self = make_peer(0x11, ips),
		.users = &user,
		.n_users = 1,
		.health = health,
		.n_health = 1,
		.magic_suffix = "mesh.test",
		.tailnet = "home",
		.magic_dns = true,
		.drops = &drop,
		.n_drops = 1,
		.control = "connected",
		.aead = "OpenSSL",
		.data = { 2, true, 7, true, false, true, true },
		.problems = problems,
		.n_problems = 1 };
	struct buf b = { 0 };
	assert_true(api_status_write(&b, &s));
	assert_string_equal(buf_cstr(&b), want);
	buf_free(&b);

	struct api_peer peers[2] = { make_peer(0x22, ips), make_peer(0x33, &ips[1]) };
	s.peers = peers;
	s.n_peers = 2;
	struct arena a = { 0 };
	struct errbuf eb = { 0 };
	struct api_status back;
	assert_true(api_status_write(&b, &s));
	if (api_status_read(&a, (const char *)buf_data(&b), b.len, &back, &eb))
		fail_msg("%s", eb.text);
	assert_int_equal(back.n_peers, 2);
	assert_memory_equal(back.peers[1].key.b, peers[1].key.b, KEY_LEN);
	assert_string_equal(back.peers[1].why, "direct");
	assert_string_equal(back.tailnet, "home");
	assert_int_equal(back.drops[0].n, 3);
	assert_true(
		back.data.second_runs && back.data.tso && !back.data.uso && back.data.gso && back.data.gro);
	assert_int_equal(back.data.threads, 2);
	assert_int_equal(back.data.second_packets, 7);
	assert_string_equal(back.users[0].login_name, "u@x");
	buf_free(&b);
	arena_free(&a);

	/* A daemon that says nothing yet. */
	assert_int_equal(api_status_read(&a, "{\"Peer\":null,\"Self\":null}", 25, &back, NULL), 0);
	assert_string_equal(back.backend_state, "");
	assert_string_equal(back.self.host_name, "");
	arena_free(&a);
}

/* In pieces it is the same text; what other programs ask of a machine is all there. */
static void test_status_pieces(void **state)
{
	(void)state;
	struct addr ip;
	struct prefix route;
	const char *tag = "tag:web";
	assert_true(addr_parse("100.64.0.1", &ip) && prefix_parse("10.0.0.0/8", &route));
	struct api_peer peers[2] = { make_peer(0x22, &ip), make_peer(0x33, &ip) };
	peers[1].tags = (struct ctl_strings) { &tag, 1 };
	peers[1].primary_routes = (struct ctl_prefixes) { &route, 1 };
	peers[1].exit_node_option = true;
	const char *url = "http://100.64.0.1:5";
	peers[1].peer_api_urls = (struct ctl_strings) { &url, 1 };
	peers[1].file_target = 4;
	peers[1].cap_map_json = "{\"funnel\":null}";
	struct api_status s = { .self = make_peer(0x11, &ip), .peers = peers, .n_peers = 2 };
	struct buf whole = { 0 }, pieces = { 0 };
	bool first = true;
	assert_true(api_status_write(&whole, &s));
	assert_true(api_status_write_begin(&pieces, &s));
	assert_true(api_status_write_peer(&pieces, &peers[0], &first));
	assert_true(api_status_write_peer(&pieces, &peers[1], &first));
	assert_true(api_status_write_end(&pieces));
	assert_string_equal(buf_cstr(&pieces), buf_cstr(&whole));
	assert_non_null(
		strstr(buf_cstr(&whole), "\"Tags\":[\"tag:web\"],\"PrimaryRoutes\":[\"10.0.0.0/8\"]"));
	assert_non_null(strstr(buf_cstr(&whole),
		"\"ExitNodeOption\":true,\"Active\":true,\"PeerAPIURL\":[\"http://"
		"100.64.0.1:5\"],\"TaildropTarget\":4,\"CapMap\":{\"funnel\":null}"));
	buf_free(&whole);
	buf_free(&pieces);
}

/* A network of many machines: more than a stranger may send. */
static void test_status_large(void **state)
{
	(void)state;
	enum { PEERS = 30000 };
	struct addr ip;
	struct buf text = { 0 };
	struct arena a = { 0 };
	struct errbuf eb = { 0 };
	bool first = true;
	assert_true(addr_parse("100.64.0.1", &ip));
	struct api_status s = { .self = make_peer(0x11, &ip) }, back;
	struct api_peer p = make_peer(0x22, &ip);
	assert_true(api_status_write_begin(&text, &s));
	for (uint32_t i = 0; i < PEERS; i++) {
		memcpy(p.key.b, &i, sizeof(i));
		assert_true(api_status_write_peer(&text, &p, &first));
	}
	assert_true(api_status_write_end(&text));
	if (api_status_read(&a, (const char *)buf_data(&text), text.len, &back, &eb))
		fail_msg("%s", eb.text);
	assert_int_equal(back.n_peers, PEERS);
	buf_free(&text);
	arena_free(&a);
}

static void test_prefs(void **state)
{
	(void)state;
	struct buf b = { 0 };
	struct arena a = { 0 };
	struct prefix ten = { .ip = addr_v4(0x0a000000), .bits = 8 };
	struct api_prefs p = { .control_url = "http://10.0.0.1",
		.advertise_routes = { &ten, 1 },
		.no_stateful_filtering = OPT_TRUE,
		.routes_prefer = "lan",
		.exit_node_id = "n5",
		.exit_allow_lan = true,
		.hostname = "a",
		.operator_user = "",
		.want_running = true,
		.corp_dns = true },
			 back;
	struct api_prefs_mask mask = { .want_running = true, .shields_up = true }, got;
	assert_true(api_prefs_write(&b, &p, &mask));
	assert_string_equal(buf_cstr(&b),
		"{\"WantRunning\":true,\"ShieldsUp\":false,\"WantRunningSet\":true,\"ShieldsUpSet\":true}");
	assert_int_equal(api_prefs_read(&a, (const char *)buf_data(&b), b.len, &back, &got, NULL), 0);
	assert_memory_equal(&got, &mask, sizeof(mask));
	assert_true(back.want_running);
	buf_free(&b);

	assert_true(api_prefs_write(&b, &p, NULL));
	assert_string_equal(buf_cstr(&b),
		"{\"ControlURL\":\"http://10.0.0.1\",\"RouteAll\":false,\"CorpDNS\":true,\"WantRunning\":"
		"true,\"LoggedOut\":false,\"ShieldsUp\":false,\"ExitNodeID\":\"n5\",\"ExitNodeIP\":\"\","
		"\"ExitNodeAllowLANAccess\":true,\"AdvertiseRoutes\":[\"10.0.0.0/8\"],"
		"\"NoSNAT\":false,\"NoStatefulFiltering\":true,\"RoutesPrefer\":\"lan\",\"ServerKey\":\"\","
		"\"Hostname\":\"a\","
		"\"OperatorUser\":\"\",\"NetfilterMode\":2}");
	assert_int_equal(api_prefs_read(&a, (const char *)buf_data(&b), b.len, &back, &got, NULL), 0);
	assert_string_equal(back.control_url, p.control_url);
	assert_false(got.control_url); /* a value without its Set member changes nothing */
	buf_free(&b);

	const char *tags[] = { "tag:a", "tag:b" };
	p.advertise_tags = (struct ctl_strings) { tags, 2 };
	assert_true(api_prefs_write(&b, &p, &(struct api_prefs_mask) { .advertise_tags = true }));
	assert_string_equal(
		buf_cstr(&b), "{\"AdvertiseTags\":[\"tag:a\",\"tag:b\"],\"AdvertiseTagsSet\":true}");
	assert_int_equal(api_prefs_read(&a, (const char *)buf_data(&b), b.len, &back, &got, NULL), 0);
	assert_true(got.advertise_tags && back.advertise_tags.n == 2);
	assert_string_equal(back.advertise_tags.v[1], "tag:b");
	buf_free(&b);
	p.advertise_tags.n = 0; /* to be none is a wish too */
	assert_true(api_prefs_write(&b, &p, &(struct api_prefs_mask) { .advertise_tags = true }));
	assert_string_equal(buf_cstr(&b), "{\"AdvertiseTags\":[],\"AdvertiseTagsSet\":true}");
	buf_free(&b);

	struct api_start s = { .auth_key = "k", .prefs = p, .has_prefs = true }, started;
	assert_true(api_start_write(&b, &s));
	assert_int_equal(api_start_read(&a, (const char *)buf_data(&b), b.len, &started, NULL), 0);
	assert_string_equal(started.auth_key, "k");
	assert_true(started.has_prefs && started.prefs.corp_dns);
	assert_int_equal(api_start_read(&a, "{}", 2, &started, NULL), 0);
	assert_string_equal(started.auth_key, "");
	assert_false(started.has_prefs);
	buf_free(&b);
	arena_free(&a);
}

static void test_notify(void **state)
{
	(void)state;
	static struct api_outgoing files[] = {
		{ "0a", "n1", "a.jpg", 1700000000000, -1, 7, false, false },
		{ "0b", "n2", "b", 1700000000500, 9, 9, true, true },
	};
	static const struct {
		struct api_notify n;
		const char *json;
	} rows[] = {
		{ { .version = "1", .state = -1 }, "{\"Version\":\"1\"}" },
		{ { .state = 0 }, "{\"State\":0}" },
		{ { .state = 6 }, "{\"State\":6}" },
		{ { .browse_to_url = "https://c/r", .state = -1 }, "{\"BrowseToURL\":\"https://c/r\"}" },
		{ { .error = "no \"key\"", .state = -1 }, "{\"ErrMessage\":\"no \\\"key\\\"\"}" },
		{ { .state = -1, .outgoing = files, .n_outgoing = 2 },
			"{\"OutgoingFiles\":[{\"ID\":\"0a\",\"PeerID\":\"n1\",\"Name\":\"a.jpg\",\"Started\":"
			"\"2023-11-14T22:13:20Z\",\"DeclaredSize\":-1,\"Sent\":7,\"Finished\":false,"
			"\"Succeeded\":false},{\"ID\":\"0b\",\"PeerID\":\"n2\",\"Name\":\"b\",\"Started\":"
			"\"2023-11-14T22:13:20.500Z\",\"DeclaredSize\":9,\"Sent\":9,\"Finished\":true,"
			"\"Succeeded\":true}]}" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = { 0 };
		struct arena a = { 0 };
		struct api_notify back;
		assert_true(api_notify_write(&b, &rows[i].n));
		assert_string_equal(buf_cstr(&b), rows[i].json);
		assert_int_equal(api_notify_read(&a, rows[i].json, strlen(rows[i].json), &back, NULL), 0);
		assert_int_equal(back.state, rows[i].n.state);
		assert_int_equal(back.n_outgoing, rows[i].n.n_outgoing);
		assert_string_equal(back.error, rows[i].n.error ? rows[i].n.error : "");
		buf_free(&b);
		arena_free(&a);
	}
}

static void test_small_ones(void **state)
{
	(void)state;
	struct buf b = { 0 };
	struct arena a = { 0 };
	struct api_ping_result ping = { .ip = "100.64.0.2",
		.node_name = "bob",
		.latency_s = 0.0231,
		.derp_region = 900,
		.derp_code = "fra" },
			       ping2;
	assert_true(api_ping_write(&b, &ping));
	assert_string_equal(buf_cstr(&b),
		"{\"IP\":\"100.64.0.2\",\"NodeName\":\"bob\",\"LatencySeconds\":0.0231,\"DERPRegionID\":"
		"900,\"DERPRegionCode\":\"fra\"}");
	assert_int_equal(api_ping_read(&a, (const char *)buf_data(&b), b.len, &ping2, NULL), 0);
	assert_string_equal(ping2.endpoint, "");
	buf_free(&b);
	ping.latency_s = 0; /* the clock of paths counts milliseconds */
	assert_true(api_ping_write(&b, &ping));
	assert_non_null(strstr(buf_cstr(&b), ",\"LatencySeconds\":0,"));
	buf_free(&b);

	struct api_region_latency lat = { 900, "fra", "Frankfurt", 0.0123 };
	struct api_netcheck net = { .udp = true,
		.ipv4 = true,
		.mapping_varies = -1,
		.global_v4 = "192.0.2.1:4",
		.preferred = 900,
		.now_ms = 1767225600000,
		.regions = &lat,
		.n_regions = 1 },
			    net2;
	assert_true(api_netcheck_write(&b, &net));
	assert_int_equal(api_netcheck_read(&a, (const char *)buf_data(&b), b.len, &net2, NULL), 0);
	assert_int_equal(net2.mapping_varies, -1);
	assert_string_equal(net2.regions[0].name, "Frankfurt");
	assert_int_equal(net2.now_ms, 1767225600000);
	/* as the official program's report: nanoseconds by id, and by family while it is the only one */
	assert_non_null(
		strstr(buf_cstr(&b), "\"RegionLatency\":{\"900\":12300000},\"RegionV4Latency\":{\"900\":"
				     "12300000},\"RegionV6Latency\":{},\"CaptivePortal\":null"));
	assert_non_null(strstr(buf_cstr(&b), "\"Now\":\"2026-01-01T00:00:00Z\""));
	buf_free(&b);
	net.ipv6 = true;
	assert_true(api_netcheck_write(&b, &net));
	assert_non_null(strstr(buf_cstr(&b), "\"RegionV4Latency\":{},\"RegionV6Latency\":{}"));
	buf_free(&b);

	uint8_t raw[500];
	for (size_t i = 0; i < sizeof(raw); i++)
		raw[i] = (uint8_t)(i * 7);
	for (size_t len = 0; len <= sizeof(raw); len += 1 + len / 3) {
		struct api_dns_answer ans = { .raw = raw, .len = len }, ans2;
		assert_true(api_dns_answer_write(&b, &ans));
		assert_int_equal(api_dns_answer_read(&a, (const char *)buf_data(&b), b.len, &ans2, NULL), 0);
		assert_int_equal(ans2.len, len);
		assert_memory_equal(ans2.raw, raw, len);
		buf_free(&b);
	}
	assert_true(api_error_write(&b, "no such peer"));
	assert_string_equal(api_error_read(&a, (const char *)buf_data(&b), b.len), "no such peer");
	assert_null(api_error_read(&a, "access denied", 13));
	buf_free(&b);

	struct api_whois who;
	static const char json[] = "{\"Node\":{\"ID\":3,\"Name\":\"a.b.\"},\"UserProfile\":{\"ID\":1,"
				   "\"LoginName\":\"u\"},\"CapMap\":null}";
	assert_int_equal(api_whois_read(&a, json, strlen(json), &who, NULL), 0);
	assert_string_equal(who.node->name, "a.b.");
	assert_string_equal(who.user->login_name, "u");
	assert_int_equal(api_whois_read(&a, "{}", 2, &who, NULL), 0);
	assert_null(who.node);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_status_pieces),
		cmocka_unit_test(test_status_large),
		cmocka_unit_test(test_prefs),
		cmocka_unit_test(test_notify),
		cmocka_unit_test(test_small_ones),
	};
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
