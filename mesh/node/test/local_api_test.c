#include "mesh/node/test/local_place.h"
#include "mesh/base/log.h"
#include "mesh/node/local/local_api.h"
#include "mesh/proto/localapi.h"
#include "mesh/transport/http.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <cmocka.h>

#define A43 "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE"
#define A344 A43 A43 A43 A43 A43 A43 A43 A43 /* 258 letters */
#define MANY_DIGITS "0000000000000000000000000000000000000000000000000000000000000001"

static void test_routes(void **state)
{
	static const struct {
		struct local_question q;
		int status;
		const char *has;
	} rows[] = {
		{ { .method = "GET", .target = API "status" }, 200, "\"BackendState\":\"NeedsLogin\"" },
		{ { .method = "GET", .target = API "status?peers=false" }, 200, "\"BackendState\"" },
		{ { .method = "GET", .target = API "prefs" }, 200, "\"ControlURL\"" },
		{ { .method = "GET", .target = API "dns-config" }, 200, "{" },
		{ { .method = "GET", .target = API "dns-servers" }, 200, "{\"Routes\":[],\"CacheBytes\":0}" },
		{ { .method = "GET", .target = API "netcheck" }, 503, "ropewalk up" },
		{ { .method = "GET", .target = API "whois" }, 400, "addr=" },
		{ { .method = "GET", .target = API "whois?addr=nonsense" }, 400, "addr=" },
		{ { .method = "GET", .target = API "whois?addr=100.64.0.1:80" }, 404, "no match" },
		{ { .method = "GET", .target = API "whois?addr=[fd7a:115c:a1e0::1]:80" }, 404, "no match" },
		{ { .method = "GET", .target = API "dns-query" }, 400, "name=" },
		{ { .method = "GET", .target = API "dns-query?name=x&type=NONE" }, 400,
			"\"NONE\" is no type of record" },
		{ { .method = "POST", .target = API "ping?ip=100.64.0.9" }, 404, "no peer" },
		{ { .method = "POST", .target = API "ping?ip=bob" }, 400, "ip=" },
		{ { .method = "POST", .target = API "ping?ip=100.64.0.9&size=1472" }, 404, "no peer" },
		{ { .method = "POST", .target = API "ping?ip=100.64.0.9&type=TSMP" }, 404, "no peer" },
		{ { .method = "POST", .target = API "ping?ip=100.64.0.9&type=ICMP" }, 404, "no peer" },
		{ { .method = "POST", .target = API "ping?ip=100.64.0.9&type=peerapi" }, 404, "no peer" },
		{ { .method = "POST", .target = API "ping?ip=100.64.0.9&type=smoke" }, 400, "disco, TSMP" },
		{ { .method = "POST", .target = API "ping?ip=100.64.0.9&type=ICMP&size=9" }, 400,
			"disco pings only" },
		{ { .method = "POST", .target = API "ping?ip=100.64.0.9&size=1473" }, 400, "at most 1472" },
		{ { .method = "POST", .target = API "ping?ip=100.64.0.9&size=-1" }, 400, "at most 1472" },
		{ { .method = "POST", .target = API "ping?ip=100.64.0.9&size=9x" }, 400, "at most 1472" },
		{ { .method = "POST", .target = API "ping?ip=100.64.0.9&size=" }, 400, "at most 1472" },
		{ { .method = "POST", .target = API "ping?ip=100.64.0.9&size=" MANY_DIGITS }, 400,
			"at most 1472" },
		{ { .method = "POST", .target = API "ping?ip=100.64.0.9&type=" MANY_DIGITS }, 400,
			"disco, TSMP" },
		{ { .method = "GET", .target = API "dns-query?name=x&type=" MANY_DIGITS }, 400,
			"is no type of record" },
		{ { .method = "GET", .target = API "dns-log?after=x" }, 400, "after= takes" },
		{ { .method = "GET", .target = API "dns-log?after=" }, 400, "after= takes" },
		{ { .method = "GET", .target = API "dns-log?after=" MANY_DIGITS }, 400, "after= takes" },
		{ { .method = "POST", .target = API "dns-flush?below=yes" }, 400, "below= takes" },
		{ { .method = "POST", .target = API "dns-flush?below=" MANY_DIGITS }, 400, "below= takes" },
		{ { .method = "POST", .target = API "login-interactive" }, 204, "" },
		{ { .method = "POST", .target = API "logout" }, 204, "" },
		{ { .method = "GET", .target = API "nothing" }, 404, "does not do this: GET nothing" },
		{ { .method = "GET", .target = API "profiles/" }, 200, "[]" },
		{ { .method = "GET", .target = API "profiles/current" }, 200, "\"ID\":\"\"" },
		{ { .method = "PUT", .target = API "profiles/" }, 201, "" },
		{ { .method = "POST", .target = API "profiles/x" }, 404, "does not do this" },
		{ { .method = "POST", .target = API "profiles/login" }, 404, "ropewalk up makes one" },
		{ { .method = "POST", .target = API "bugreport" }, 200, "sends no logs" },
		{ { .method = "GET", .target = API "usermetrics" }, 200,
			"# TYPE tailscaled_inbound_bytes_total counter\n"
			"tailscaled_inbound_bytes_total{path=\"direct_ipv4\"} 0\n" },
		{ { .method = "GET", .target = API "usermetrics" }, 200,
			"ropewalk_accept_paused_total{door=\"LocalAPI\"} 0\n" },
		{ { .method = "GET", .target = API "usermetrics" }, 200, "ropewalk_data_threads 1\n" },
		{ { .method = "GET", .target = API "status" }, 200,
			"\"DataPath\":{\"Threads\":1,\"SecondRuns\":false,\"SecondPackets\":0," },
		{ { .method = "GET", .target = API "serve-config" }, 200, "{}" },
		{ { .method = "POST", .target = API "serve-config", .body = "{}" }, 405, "does not do this" },
		{ { .method = "GET", .target = API "tka/status" }, 200, "\"Enabled\":false" },
		{ { .method = "GET", .target = "/" }, 404, "" },
		{ { .method = "DELETE", .target = API "status" }, 405, "" },
		{ { .method = "GET", .target = API "logout" }, 405, "" },
		/* A page in a browser. */
		{ { .method = "GET", .target = API "status", .host = "localhost" }, 403, "" },
		{ { .method = "GET", .target = API "status", .extra = "Origin: http://x\r\n" }, 403, "" },
		{ { .method = "GET", .target = API "status", .extra = "Referer: http://x/\r\n" }, 403, "" },
		{ { .method = "PATCH", .target = API "prefs", .body = "{" }, 400, "" },
		{ { .method = "PATCH", .target = API "prefs", .body = "[]" }, 400, "" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"NetfilterModeSet\":true,\"NetfilterMode\":1}" },
			400, "nodivert" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"NetfilterModeSet\":true,\"NetfilterMode\":7}" },
			400, "NetfilterMode" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"NetfilterModeSet\":true,\"NetfilterMode\":0}" },
			200, "\"NetfilterMode\":0" },
		{ { .method = "GET", .target = API "prefs" }, 200, "\"NetfilterMode\":0" },
		{ { .method = "POST",
			  .target = API "check-prefs",
			  .body = "{\"ControlURL\":\"http://x\",\"NetfilterMode\":1}" },
			200, "nodivert" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"ControlURLSet\":true,\"ControlURL\":\"ftp://x\"}" },
			400, "URL" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"HostnameSet\":true,\"Hostname\":"
				  "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
				  "aaaaaaaaaaaaaaaa\"}" },
			400, "63" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"HostnameSet\":true,\"Hostname\":\"here\"}" },
			200, "\"Hostname\":\"here\"" },
		{ { .method = "PATCH", .target = API "prefs", .body = "{\"Hostname\":\"ignored\"}" }, 200,
			"\"Hostname\":\"here\"" },
		{ { .method = "POST", .target = API "start", .body = "nonsense" }, 400, "" },
		/* What is not here is refused; what changes nothing is not. */
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"ExitNodeIDSet\":true,\"ExitNodeID\":\"n5\",\"ExitNodeIPSet\":true,"
				  "\"ExitNodeIP\":\"\"}" },
			200, "\"ExitNodeID\":\"n5\"" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"ExitNodeIDSet\":true,\"ExitNodeID\":\"auto:any\"}" },
			400, "exit-node suggest" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"AutoExitNodeSet\":true,\"AutoExitNode\":\"any\"}" },
			400, "exit-node suggest" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"AutoExitNodeSet\":true,\"AutoExitNode\":\"\"}" },
			200, "\"ExitNodeID\":\"n5\"" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"ExitNodeAllowLANAccessSet\":true,\"ExitNodeAllowLANAccess\":true}" },
			200, "\"ExitNodeAllowLANAccess\":true" },
		{ { .method = "POST", .target = API "set-use-exit-node-enabled?enabled=false" }, 200,
			"\"InternalExitNodePrior\":\"n5\"" },
		{ { .method = "POST", .target = API "set-use-exit-node-enabled?enabled=true" }, 200,
			"\"ExitNodeID\":\"n5\"" },
		{ { .method = "POST", .target = API "set-use-exit-node-enabled?enabled=maybe" }, 400,
			"enabled=" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"ExitNodeIDSet\":true,\"ExitNodeID\":\"\"}" },
			200, "\"ExitNodeID\":\"\"" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"AdvertiseRoutesSet\":true,\"AdvertiseRoutes\":[\"0.0.0.0/0\"]}" },
			400, "half an exit" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"AdvertiseRoutesSet\":true,\"AdvertiseRoutes\":[\"10.0.0.0/8\","
				  "\"10.0.0.0/8\",\"fd00::/64\"]}" },
			200, "\"AdvertiseRoutes\":[\"10.0.0.0/8\",\"fd00::/64\"]" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"AdvertiseRoutesSet\":true,\"AdvertiseRoutes\":[\"10.0.0.1/8\"]}" },
			400, "bits set behind its length" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"AdvertiseRoutesSet\":true,\"AdvertiseRoutes\":[\"100.64.1.0/24\"]}" },
			400, "the mesh's own range" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"AdvertiseRoutesSet\":true,\"AdvertiseRoutes\":["
				  "\"fd7a:115c:a1e0:b1a:0:7::/96\"]}" },
			400, "4via6 is of one site" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"AdvertiseRoutesSet\":true,\"AdvertiseRoutes\":["
				  "\"fd7a:115c:a1e0:b1a:0:7:a01:100/120\"]}" },
			200, "\"AdvertiseRoutes\":[\"fd7a:115c:a1e0:b1a:0:7:a01:100/120\"]" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"NoSNATSet\":true,\"NoSNAT\":true,\"NoStatefulFilteringSet\":true,"
				  "\"NoStatefulFiltering\":true}" },
			200, "\"NoSNAT\":true,\"NoStatefulFiltering\":true" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"RoutesPreferSet\":true,\"RoutesPrefer\":\"wan\"}" },
			400, "lan or mesh" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"RoutesPreferSet\":true,\"RoutesPrefer\":\"mesh\"}" },
			200, "\"RoutesPrefer\":\"mesh\"" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"AutoUpdateSet\":{\"ApplySet\":true},\"AutoUpdate\":{\"Apply\":true}}" },
			400, "no preference AutoUpdate" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"RouteAllSet\":true,\"RouteAll\":true}" },
			200, "\"RouteAll\":true" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"RunSSHSet\":true,\"RunSSH\":false,\"NetfilterModeSet\":true,"
				  "\"NetfilterMode\":2}" },
			200, "\"Hostname\":\"here\"" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"OperatorUserSet\":true,\"OperatorUser\":\"no such user\"}" },
			400, "no user of this machine" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"OperatorUserSet\":true,\"OperatorUser\":\"root\"}" },
			200, "\"OperatorUser\":\"root\"" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"OperatorUserSet\":true,\"OperatorUser\":\"1000\"}" },
			200, "\"OperatorUser\":\"1000\"" },
		{ { .method = "POST",
			  .target = API "check-prefs",
			  .body = "{\"ControlURL\":\"https://c.test\",\"AdvertiseTags\":[\"web\"]}" },
			200, "a tag is tag: and letters" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"AdvertiseTagsSet\":true,\"AdvertiseTags\":[\"tag:a\",\"tag:b,tag:c\"]"
				  "}" },
			400, "a tag is tag: and letters" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"AdvertiseTagsSet\":true,\"AdvertiseTags\":[\"tag:a\",\"tag:b-2\"]}" },
			200, "\"AdvertiseTags\":[\"tag:a\",\"tag:b-2\"]" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"AdvertiseTagsSet\":true,\"AdvertiseTags\":[]}" },
			200, "\"NoStatefulFiltering\":true" },
		{ { .method = "POST",
			  .target = API "start",
			  .body = "{\"UpdatePrefs\":{\"ControlURL\":\"http://x\",\"RunSSH\":true}}" },
			400, "--ssh" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"ShieldsUpSet\":true,\"ShieldsUp\":true}" },
			200, "\"ShieldsUp\":true" },
		{ { .method = "GET", .target = API "status" }, 200, "shields are up: nothing is let in" },
		{ { .method = "PATCH",
			  .target = API "prefs",
			  .body = "{\"ShieldsUpSet\":true,\"ShieldsUp\":false}" },
			200, "\"ShieldsUp\":false" },
		{ { .method = "GET", .target = API "dns-query?name=x" }, 503, "ropewalk up" },
		{ { .method = "POST", .target = API "dns-flush" }, 503, "ropewalk up" },
		{ { .method = "POST", .target = API "dns-log?on=true" }, 503, "ropewalk up" },
		{ { .method = "GET", .target = API "dns-log" }, 503, "ropewalk up" },
	};
	struct local_place p;
	(void)state;
	local_place_make(&p);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct local_answer a;
		local_ask(&p, &rows[i].q, &a);
		if (a.status != rows[i].status || !strstr(a.body, rows[i].has))
			fail_msg("row %zu: %d %s", i, a.status, a.body);
	}
	/* A change is kept. */
	struct state s;
	struct errbuf eb;
	assert_int_equal(state_load(p.dir, &random_system, &s, &eb), 0);
	assert_string_equal(s.prefs.hostname, "here");
	local_place_end(&p);
}

struct whole {
	struct buf text;
	bool over;
};

static void whole_chunk(void *arg, const uint8_t *p, size_t len)
{
	assert_true(buf_append(&((struct whole *)arg)->text, p, len));
}

static void whole_done(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	(void)body;
	(void)len;
	assert_int_equal(head->status, 200);
	((struct whole *)arg)->over = true;
}

static void whole_failed(void *arg, int code, const char *why)
{
	(void)arg;
	fail_msg("%d %s", code, why);
}

/* A network of ten thousand machines, which is more than a connection may have waiting; the map changes while
 * it is told. */
static void test_many_peers(void **state)
{
	enum { PEERS = 10000 };
	struct local_place p;
	struct whole w = { 0 };
	struct arena a = { 0 };
	struct errbuf eb = { 0 };
	struct api_status s;
	const char *tag = "tag:web", *name = "a-machine-with-a-name-of-usual-length.some-network.mesh.test.";
	struct prefix all[2], at;
	(void)state;
	assert_true(prefix_parse("0.0.0.0/0", &all[0]) && prefix_parse("::/0", &all[1]));
	assert_true(prefix_parse("100.64.0.9/32", &at));
	struct ctl_node *nodes = calloc(PEERS + 1, sizeof(*nodes));
	for (uint32_t i = 0; i <= PEERS; i++) {
		nodes[i] = (struct ctl_node) { .id = i + 1,
			.name = name,
			.stable_id = "s",
			.addresses = { &at, 1 },
			.allowed_ips = { all, i == 7 ? 2 : 1 },
			.tags = { &tag, i == 7 },
			.cap_map_json = "{\"a-capability-of-this-machine\":[1,2,3]}",
			.key_expiry_ms = i == 9 ? 1000 : INT64_MIN };
		memcpy(nodes[i].key.b, &i, sizeof(i));
	}
	struct ctl_map_response m = {
		.node = &nodes[PEERS], .peers = nodes, .n_peers = PEERS, .control_time_ms = INT64_MIN
	};
	local_place_make(&p);
	p.n->apply.map = netmap_apply(NULL, &m, 0, &eb);
	assert_non_null(p.n->apply.map);
	struct http_request rq = { .unix_path = p.sock,
		.method = "GET",
		.target = API "status",
		.host = OUR_HOST,
		.body_cap = 64 << 20,
		.timeout_ms = LOCAL_WAIT_MS };
	struct http_client_events ev = {
		.done = whole_done, .chunk = whole_chunk, .failed = whole_failed, .arg = &w
	};
	assert_non_null(http_request(p.n->loop, &rq, &ev));
	while (!w.text.len)
		loop_run_once(p.n->loop);
	netmap_put(p.n->apply.map);
	p.n->apply.map = NULL;
	while (!w.over)
		loop_run_once(p.n->loop);
	if (api_status_read(&a, (const char *)buf_data(&w.text), w.text.len, &s, &eb) != 0)
		fail_msg("%s", eb.text);
	assert_true(w.text.len > 4 << 20);
	assert_int_equal(s.n_peers, PEERS);
	assert_true(s.peers[7].exit_node_option && s.peers[7].tags.n == 1);
	assert_false(s.peers[8].exit_node_option || s.peers[8].tags.n);
	assert_true(s.peers[9].expired && !s.peers[8].expired);
	assert_string_equal(s.peers[3].cap_map_json, "{\"a-capability-of-this-machine\":[1,2,3]}");
	buf_free(&w.text);
	arena_free(&a);
	free(nodes);
	local_place_end(&p);
}

/* Who takes the machine off the network, and why, stands in the log; as text of one line, whatever they say. */
static void keep_line(void *arg, enum log_level level, const char *text)
{
	(void)level;
	if (strstr(text, "off the network") || strstr(text, "logged out"))
		snprintf(arg, 400, "%s", text);
}

static void test_reason(void **state)
{
	static const char down[] = "{\"WantRunningSet\":true,\"WantRunning\":false}";
	static const struct {
		const char *reason, *has;
		int status;
	} rows[] = { { "", "by user %u", 200 }, { "X-Tailscale-Reason: \r\n", "by user %u", 200 },
		{ "X-Tailscale-Reason: aXQgaXMgbGF0ZQ==\r\n", "by user %u: it is late", 200 },
		{ "X-Tailscale-Reason: YQpiG1szMW3Cmw==\r\n", "by user %u: a?b?[31m?", 200 },
		{ "X-Tailscale-Reason: it is late\r\n", "", 400 },
		{ "X-Tailscale-Reason: " A344 "\r\n", "", 400 } };
	struct local_place p;
	struct local_answer a;
	char line[400], want[128];
	(void)state;
	local_place_make(&p);
	log_tell(keep_line, line);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (int out = 0; out < 2; out++) {
			struct local_question q = {
				.method = "POST", .target = API "logout", .extra = rows[i].reason
			};
			if (!out)
				q.method = "PATCH", q.target = API "prefs", q.body = down;
			p.n->state.prefs.want_running = true;
			line[0] = 0;
			local_ask(&p, &q, &a);
			snprintf(want, sizeof(want), rows[i].has, (unsigned)geteuid());
			const char *at = strstr(line, want);
			if (a.status != (out && rows[i].status == 200 ? 204 : rows[i].status) || !at ||
				strcmp(at, want) != 0)
				fail_msg("row %zu, %s: %d \"%s\"", i, q.target, a.status, line);
			if (!out && p.n->state.prefs.want_running != (rows[i].status != 200))
				fail_msg("row %zu: it is %s", i, rows[i].status == 200 ? "up" : "down");
		}
	/* what is off is not taken off again */
	p.n->state.prefs.want_running = false;
	line[0] = 0;
	local_ask(
		&p, &(struct local_question) { .method = "PATCH", .target = API "prefs", .body = down }, &a);
	assert_string_equal(line, "");
	log_tell(NULL, NULL);
	local_place_end(&p);
}

/* Nothing can be written: the answer stands, and status says what to do. */
static void test_full_disk(void **state)
{
	struct local_place p;
	struct local_answer a;
	(void)state;
	local_place_make(&p);
	p.n->opt.state_dir = "/nonexistent";
	local_ask(&p,
		&(struct local_question) { .method = "PATCH",
			.target = API "prefs",
			.body = "{\"HostnameSet\":true,\"Hostname\":\"h\"}" },
		&a);
	assert_int_equal(a.status, 200);
	local_ask(&p, &(struct local_question) { .method = "GET", .target = API "status" }, &a);
	assert_non_null(strstr(a.body, "a restart loses"));
	p.n->opt.state_dir = p.dir;
	local_ask(&p,
		&(struct local_question) { .method = "PATCH",
			.target = API "prefs",
			.body = "{\"HostnameSet\":true,\"Hostname\":\"h2\"}" },
		&a);
	local_ask(&p, &(struct local_question) { .method = "GET", .target = API "status" }, &a);
	assert_null(strstr(a.body, "a restart loses"));
	local_place_end(&p);
}

static void test_watch(void **state)
{
	struct local_place p;
	struct local_answer a, b;
	(void)state;
	local_place_make(&p);
	struct local_question q = { .method = "GET", .target = API "watch-ipn-bus" };
	struct http_client *leaves = local_begin(&p, &q, &a, true), *stays = local_begin(&p, &q, &b, true);
	while (!strstr(a.body, "\"State\":2") || !strstr(b.body, "\"State\":2"))
		loop_run_once(p.n->loop);
	http_client_cancel(leaves);
	backend_asked(&p.n->backend, "https://login.test/x");
	while (!strstr(b.body, "https://login.test/x"))
		loop_run_once(p.n->loop);
	backend_heard(&p.n->backend, BACKEND_ACCEPTED);
	while (!strstr(b.body, "\"State\":5"))
		loop_run_once(p.n->loop);
	/* Closed under an open connection: the watcher sees its end. */
	local_api_close(p.n->api);
	p.n->api = NULL;
	while (!b.over)
		loop_run_once(p.n->loop);
	(void)stays;
	local_place_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_many_peers),
		cmocka_unit_test(test_reason),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_watch),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
