/* LocalAPI for somebody who looks for a fault: actions, the map, captures. */
#include "mesh/netmap/test/told_map.h"
#include "mesh/node/test/local_place.h"
#include "mesh/proto/capture.h"
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static int ask(struct local_place *p, const char *target, struct local_answer *a)
{
	local_ask(p, &(struct local_question) { "POST", target, NULL, NULL, NULL }, a);
	return a->status;
}

static void test_actions(void **state)
{
	static const struct {
		const char *target;
		int status;
		const char *body;
	} rows[] = {
		{ API "debug?action=restun", 200, "done\n" },
		{ API "debug?action=rebind", 200, "done\n" },
		{ API "debug?action=break-derp-conns", 200, "done\n" },
		{ API "debug?action=current-netmap", 400, "no map is known yet; run `ropewalk up` first" },
		{ API "debug?action=pick-new-derp", 400, "ropewalkd does not do this: debug pick-new-derp" },
		{ API "debug", 400, "ropewalkd does not do this: debug " },
	};
	struct local_place p;
	struct local_answer a;
	char dir[128];
	(void)state;
	local_place_make(&p);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (ask(&p, rows[i].target, &a) != rows[i].status || strcmp(a.body, rows[i].body) != 0)
			fail_msg("%s: %d %s", rows[i].target, a.status, a.body);
	assert_int_equal(ask(&p, API "debug?action=statedir", &a), 200);
	snprintf(dir, sizeof(dir), "\"%s\"", p.dir);
	assert_string_equal(a.body, dir);
	local_place_end(&p);
}

static void test_map(void **state)
{
	static const char text[] =
		"{\"Node\":{\"ID\":1,\"StableID\":\"n1\",\"Name\":\"a.x.\",\"Key\":\"nodekey:"
		"1111111111111111111111111111111111111111111111111111111111111111\",\"Addresses\":[\"100.64."
		"0.1/"
		"32\"],\"Hostinfo\":{\"Hostname\":\"a\"}},\"Peers\":[{\"ID\":2,\"StableID\":\"n2\",\"Name\":"
		"\"b.x.\","
		"\"Key\":\"nodekey:2222222222222222222222222222222222222222222222222222222222222222\","
		"\"Addresses\":[\"100.64.0.2/"
		"32\"]},{\"ID\":3,\"StableID\":\"n3\",\"Name\":\"c.x.\",\"Key\":\"nodekey:"
		"3333333333333333333333333333333333333333333333333333333333333333\",\"Addresses\":[\"100.64."
		"0.3/"
		"32\"]}],\"Domain\":\"x\",\"UserProfiles\":[{\"ID\":5,\"LoginName\":\"ann\"}],"
		"\"PacketFilters\":{\"base\":[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{"
		"\"First\":80,"
		"\"Last\":80}}]}],\"more\":[{\"SrcIPs\":[\"100.64.0.2\"],\"DstPorts\":[{\"IP\":\"*\","
		"\"Ports\":{"
		"\"First\":22,\"Last\":22}}]}]}}";
	struct local_place p;
	struct local_answer a;
	struct arena mem = { 0 };
	struct errbuf eb = { 0 };
	struct ctl_map_response m;
	(void)state;
	local_place_make(&p);
	assert_int_equal(ctl_map_response_read(&mem, text, sizeof(text) - 1, &m, &eb), 0);
	p.n->apply.map = netmap_apply(NULL, &m, 0, &eb);
	assert_non_null(p.n->apply.map);
	assert_int_equal(ask(&p, API "debug?action=current-netmap", &a), 200);
	json_t *v = json_loads(a.body, 0, NULL);
	assert_non_null(v);
	assert_string_equal(json_string_value(json_object_get(v, "Domain")), "x");
	const json_t *self = json_object_get(v, "SelfNode");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(self, "Hostinfo"), "Hostname")), "a");
	assert_int_equal(json_array_size(json_object_get(v, "Peers")), 2);
	assert_int_equal(json_array_size(json_object_get(v, "PacketFilterRules")), 2);
	const json_t *user = json_object_get(json_object_get(v, "UserProfiles"), "5");
	assert_string_equal(json_string_value(json_object_get(user, "LoginName")), "ann");
	json_decref(v);
	netmap_put(p.n->apply.map);
	p.n->apply.map = NULL;
	arena_free(&mem);
	local_place_end(&p);
}

static void expect(
	struct local_place *p, const char *method, const char *target, int status, const char *body)
{
	struct local_answer a;
	local_ask(p, &(struct local_question) { method, target, NULL, NULL, NULL }, &a);
	if (a.status != status || strcmp(a.body, body) != 0)
		fail_msg("%s: %d %s", target, a.status, a.body);
}

/* Of a relay, and of the ways to a peer, what is known; nobody is asked. */
static void test_reach(void **state)
{
	static const char map[] =
		"{\"Node\":{\"ID\":1,\"Name\":\"a.x.\",\"Key\":\"nodekey:"
		"1111111111111111111111111111111111111111111111111111111111111111\","
		"\"Addresses\":[\"100.64.0.1/32\"]},\"Peers\":[{\"ID\":2,\"Name\":\"b.x.\",\"Key\":\"nodekey:"
		"2222222222222222222222222222222222222222222222222222222222222222\","
		"\"Addresses\":[\"100.64.0.2/32\"]}],\"DERPMap\":{\"Regions\":{"
		"\"7\":{\"RegionID\":7,\"RegionCode\":\"port\",\"RegionName\":\"\",\"Nodes\":["
		"{\"Name\":\"7a\",\"RegionID\":7,\"HostName\":\"r.test\",\"DERPPort\":8443},"
		"{\"Name\":\"7b\",\"RegionID\":7,\"HostName\":\"s.test\",\"STUNOnly\":true}]},"
		"\"8\":{\"RegionID\":8,\"RegionCode\":\"none\",\"RegionName\":\"\",\"Nodes\":[]}}}}";
#define NOT_UP "this machine is not connected: run `ropewalk up` first"
#define REGION API "debug-derp-region"
#define WAYS API "debug-peer-endpoint-changes"
	struct local_place p;
	struct way_place to = { .region = 7 };
	(void)state;
	local_place_make(&p);
	expect(&p, "POST", REGION "?region=7", 200,
		"{\"Info\":[],\"Warnings\":[],\"Errors\":[\"no relays are known yet; run `ropewalk up` "
		"first\"]}");
	expect(&p, "GET", WAYS "?ip=100.64.0.2", 404,
		"no match for this address among the other machines of the mesh");
	p.n->apply.map = told_map(NULL, map);
	static const char port[] =
		"{\"Info\":[\"region 7 is port\",\"r.test relays at port 8443\",\"s.test answers STUN "
		"alone\","
		"\"this machine is not connected to it now\"],\"Warnings\":[],\"Errors\":[\"" NOT_UP "\"]}";
	expect(&p, "POST", REGION "?region=7", 200, port);
	expect(&p, "POST", REGION "?region=port", 200, port);
	expect(&p, "POST", REGION "?region=none", 200,
		"{\"Info\":[\"region 8 is none\",\"this machine is not connected to it "
		"now\"],\"Warnings\":[],"
		"\"Errors\":[\"nobody in this region relays\",\"" NOT_UP "\"]}");
	expect(&p, "POST", REGION "?region=9", 200,
		"{\"Info\":[],\"Warnings\":[],\"Errors\":[\"the network has no relay region 9\"]}");
	expect(&p, "GET", WAYS, 400, "ip= must be an address of a machine");
	expect(&p, "GET", WAYS "?ip=100.64.0.1", 404,
		"no match for this address among the other machines of the mesh");
	expect(&p, "GET", WAYS "?ip=100.64.0.2", 200, "[]");
	way_log_add(&p.n->engine.ways, 0, 2, &to);
	assert_true(endpoint_parse("192.0.2.1:41641", &to.at));
	to.region = 0;
	way_log_add(&p.n->engine.ways, 1500, 2, &to);
	expect(&p, "GET", WAYS "?ip=100.64.0.2", 200,
		"[{\"When\":\"1970-01-01T00:00:00Z\",\"What\":\"way\",\"To\":\"relay 7\"},"
		"{\"When\":\"1970-01-01T00:00:01.500Z\",\"What\":\"way\",\"From\":\"relay "
		"7\",\"To\":\"192.0.2.1:41641\"}]");
	way_log_fini(&p.n->engine.ways);
	netmap_put(p.n->apply.map);
	p.n->apply.map = NULL;
	local_place_end(&p);
}

static void wait_for(struct local_place *p, const struct local_answer *a, size_t len)
{
	while (!a->over && a->len < len)
		loop_run_once(p->n->loop);
	assert_int_equal(a->len, len);
}

static void begin_capture(struct local_place *p, const char *target, struct local_answer *a)
{
	assert_non_null(
		local_begin(p, &(struct local_question) { "POST", target, NULL, NULL, NULL }, a, true));
}

/* The node tells packets for as long as somebody wants them, and each asker gets as many as it asked for. */
static void test_capture(void **state)
{
	enum { BYTES = 3, ONE = CAPTURE_RECORD + CAPTURE_HOW + BYTES };
	static const uint8_t packet[BYTES] = { 0x45, 1, 2 };
	struct local_place p;
	struct local_answer all, two, more;
	(void)state;
	local_place_make(&p);
	assert_null(p.n->capture.packet);
	struct http_client *without_end = local_begin(
		&p, &(struct local_question) { "POST", API "debug-capture", NULL, NULL, NULL }, &all, true);
	assert_non_null(without_end);
	begin_capture(&p, API "debug-capture?count=2&form=raw", &two);
	wait_for(&p, &all, CAPTURE_HEAD);
	wait_for(&p, &two, CAPTURE_HEAD);
	assert_int_equal((uint8_t)all.body[20], 147);
	assert_int_equal((uint8_t)two.body[20], 101);
	assert_non_null(p.n->capture.packet);
	for (int i = 0; i < 3; i++)
		p.n->capture.packet(p.n->capture.arg, PLANE_FROM_PEER, packet, sizeof(packet));
	wait_for(&p, &all, CAPTURE_HEAD + 3 * ONE);
	while (!two.over)
		loop_run_once(p.n->loop);
	assert_int_equal(two.status, 200);
	assert_int_equal(two.len, CAPTURE_HEAD + 2 * (CAPTURE_RECORD + BYTES));
	assert_int_equal((uint8_t)all.body[CAPTURE_HEAD + CAPTURE_RECORD], PLANE_FROM_PEER);
	assert_memory_equal(all.body + CAPTURE_HEAD + ONE - BYTES, packet, BYTES);
	/* Its place is free again, and four at most have one. */
	begin_capture(&p, API "debug-capture?count=1", &more);
	wait_for(&p, &more, CAPTURE_HEAD);
	p.n->capture.packet(p.n->capture.arg, PLANE_FROM_LOCAL, packet, sizeof(packet));
	while (!more.over)
		loop_run_once(p.n->loop);
	assert_int_equal(more.len, CAPTURE_HEAD + ONE);
	struct local_answer three[3], fifth;
	for (int i = 0; i < 3; i++) {
		begin_capture(&p, API "debug-capture?count=1", &three[i]);
		wait_for(&p, &three[i], CAPTURE_HEAD);
	}
	assert_int_equal(ask(&p, API "debug-capture", &fifth), 503);
	assert_int_equal(ask(&p, API "debug-capture?count=0", &fifth), 400);
	assert_int_equal(ask(&p, API "debug-capture?count=few", &fifth), 400);
	assert_int_equal(ask(&p, API "debug-capture?count=%zz", &fifth), 400);
	assert_int_equal(ask(&p, API "debug-capture?count=000000000000000000000000000001", &fifth), 400);
	p.n->capture.packet(p.n->capture.arg, PLANE_FROM_LOCAL, packet, sizeof(packet));
	for (int i = 0; i < 3; i++)
		while (!three[i].over)
			loop_run_once(p.n->loop);
	/* The last leaves, and nobody is told any more. */
	assert_non_null(p.n->capture.packet);
	http_client_cancel(without_end);
	while (p.n->capture.packet)
		loop_run_once(p.n->loop);
	local_place_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_actions), cmocka_unit_test(test_map),
		cmocka_unit_test(test_reach), cmocka_unit_test(test_capture) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
