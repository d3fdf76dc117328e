#include "mesh/node/serve/sharing.h"
#include "mesh/base/err.h"
#include "mesh/node/serve/block_hash.h"
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void test_names(void **state)
{
	static const struct {
		const char *name;
		bool fit;
	} rows[] = {
		{ "a", true },
		{ "photo.jpg", true },
		{ "a b (1).tar.gz", true },
		{ "\xc3\xa4.txt", true },
		{ ".hidden", true },
		{ "...", true },
		{ "a.partial.txt", true },
		{ "", false },
		{ ".", false },
		{ "..", false },
		{ "a/b", false },
		{ "/etc/passwd", false },
		{ "../a", false },
		{ "a\\b", false },
		{ "a:b", false },
		{ "a*", false },
		{ "a\"", false },
		{ "<a>", false },
		{ "a|b", false },
		{ "a\nb", false },
		{ "a\tb", false },
		{ "a\x1b[2J", false },
		{ "a\x7f", false },
		{ "\xc2\x9b"
		  "2J",
			false }, /* C1 */
		{ "a\xe2\x80\xae"
		  "b",
			false }, /* right-to-left override */
		{ "\xff", false },
		{ "\xc3", false },
		{ " a", false },
		{ "a ", false },
		{ "a.partial", false },
		{ ".partial", false },
		{ "a.deleted", false },
	};
	char longest[NAME_MAX + 2];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (sharing_name_is_fit(rows[i].name) != rows[i].fit)
			fail_msg("row %zu: %s", i, rows[i].name);
	memset(longest, 'x', sizeof(longest));
	longest[NAME_MAX + 1] = 0;
	assert_false(sharing_name_is_fit(longest));
	longest[NAME_MAX] = 0;
	assert_true(sharing_name_is_fit(longest));
}

/* A map of ourselves and one peer, and what a row changes in it. */
struct world {
	struct netmap_peer self, peer;
	const struct netmap_peer *peers[1];
	struct netmap map;
	struct prefix own[2], theirs[2];
	struct ctl_service services[2];
};

static void world_make(struct world *w)
{
	*w = (struct world) { .services = { { "peerapi4", "", 1004 }, { "peerapi6", "", 1006 } } };
	assert_true(prefix_parse("100.64.0.1", &w->own[0]) && prefix_parse("fd7a:115c:a1e0::1", &w->own[1]));
	assert_true(prefix_parse("100.64.0.2", &w->theirs[0]) &&
		    prefix_parse("fd7a:115c:a1e0::2", &w->theirs[1]));
	w->self.node = (struct ctl_node) { .id = 1,
		.user = 7,
		.addresses = { w->own, 2 },
		.cap_map_json = "{\"x\":null,\"https://tailscale.com/cap/file-sharing\":null}" };
	w->peer.node = (struct ctl_node) { .id = 2,
		.user = 7,
		.online = OPT_TRUE,
		.addresses = { w->theirs, 2 },
		.hostinfo = { .os = "linux", .services = w->services, .n_services = 2 } };
	w->peers[0] = &w->peer;
	w->map = (struct netmap) { .refs = 1, .self = &w->self, .peers = w->peers, .n_peers = 1 };
}

static void check(struct world *w, enum sharing_target want, bool accepts, int line)
{
	enum sharing_target got = sharing_target(&w->map, &w->peer.node, true);
	if (got != want || sharing_accepts(&w->map, &w->peer.node) != accepts)
		fail_msg("line %d: %d", line, (int)got);
}

static void test_targets(void **state)
{
	struct world w;
	const char *tag = "tag:x";
	(void)state;
	world_make(&w);
	check(&w, SHARING_AVAILABLE, true, __LINE__);
	assert_int_equal(sharing_target(&w.map, &w.peer.node, false), SHARING_NOT_RUNNING);
	assert_int_equal(sharing_target(NULL, &w.peer.node, true), SHARING_NO_MAP);
	assert_int_equal(sharing_target(&w.map, NULL, true), SHARING_NO_PEER);
	assert_false(sharing_accepts(NULL, &w.peer.node));
	w.peer.node.online = OPT_FALSE;
	check(&w, SHARING_OFFLINE, true, __LINE__);
	w.peer.node.online = OPT_ABSENT;
	check(&w, SHARING_AVAILABLE, true, __LINE__);
	w.peer.node.hostinfo.os = "tvOS";
	check(&w, SHARING_SYSTEM, true, __LINE__);
	w.peer.node.hostinfo.os = NULL;
	w.peer.node.hostinfo.n_services = 0;
	check(&w, SHARING_NO_API, true, __LINE__);
	w.peer.node.user = 8;
	check(&w, SHARING_OTHER_USER, false, __LINE__);
	w.self.node.user = w.peer.node.user = 0; /* nobody's, both of them */
	check(&w, SHARING_OTHER_USER, false, __LINE__);

	world_make(&w);
	w.peer.node.tags = (struct ctl_strings) { &tag, 1 };
	check(&w, SHARING_OTHER_USER, false, __LINE__);
	world_make(&w);
	w.self.node.tags = (struct ctl_strings) { &tag, 1 };
	check(&w, SHARING_OTHER_USER, false, __LINE__);
	world_make(&w);
	w.self.node.cap_map_json = "{\"https://tailscale.com/cap/file-sharing-target\":null}";
	check(&w, SHARING_OFF, false, __LINE__);
	w.self.node.cap_map_json = NULL;
	check(&w, SHARING_OFF, false, __LINE__);
	for (int t = SHARING_UNKNOWN; t <= SHARING_OTHER_USER; t++)
		assert_int_equal(!*sharing_why((enum sharing_target)t),
			t == SHARING_AVAILABLE || t == SHARING_OFFLINE);
}

/* Another user's machine, by what the access rules say. */
static void test_granted(void **state)
{
#define GRANT(dst, caps) "[{\"Dsts\":[\"" dst "\"]," caps "}]"
#define SEND "\"CapMap\":{\"https://tailscale.com/cap/file-send\":null}"
#define TARGET "\"CapMap\":{\"https://tailscale.com/cap/file-sharing-target\":[]}"
	static const struct {
		const char *from, *caps;
		bool accepts, target;
	} rows[] = {
		{ "100.64.0.2", GRANT("100.64.0.1/32", SEND), true, false },
		{ "100.64.0.2", GRANT("100.64.0.1/32", TARGET), false, true },
		{ "100.64.0.2", GRANT("100.64.0.0/10", SEND), true, false },
		{ "fd7a:115c:a1e0::2", GRANT("fd7a:115c:a1e0::1", SEND), true, false },
		{ "100.64.0.3", GRANT("100.64.0.1/32", SEND), false, false },
		{ "100.64.0.2", GRANT("100.64.0.9/32", SEND), false, false },
		{ "100.64.0.2",
			GRANT("100.64.0.1/32", "\"Caps\":[\"x\",\"https://tailscale.com/cap/file-send\"]"),
			true, false },
		{ "100.64.0.2",
			GRANT("100.64.0.1/32", "\"CapMap\":{\"https://tailscale.com/cap/file-send-x\":null}"),
			false, false },
		{ "100.64.0.2", "[{\"CapMap\":{\"https://tailscale.com/cap/file-send\":null}}]", false,
			false },
		{ "100.64.0.2", "{\"https://tailscale.com/cap/file-send\":null}", false, false },
		{ "100.64.0.2", "\"https://tailscale.com/cap/file-send\"", false, false },
		{ "100.64.0.2", "[7,null,{\"Dsts\":7,\"Caps\":\"https://tailscale.com/cap/file-send\"}]",
			false, false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world w;
		struct ctl_ip_range from;
		struct ctl_rule rule = { .src = &from, .n_src = 1, .caps_json = rows[i].caps };
		struct ctl_filter filter = { .name = "base", .rules = &rule, .n_rules = 1 };
		world_make(&w);
		w.peer.node.user = 8;
		w.map.filters = &filter;
		w.map.n_filters = 1;
		from = (struct ctl_ip_range) { 0 };
		assert_true(addr_parse(rows[i].from, &from.first));
		from.last = from.first;
		bool accepts = sharing_accepts(&w.map, &w.peer.node);
		bool target = sharing_target(&w.map, &w.peer.node, true) == SHARING_AVAILABLE;
		if (accepts != rows[i].accepts || target != rows[i].target)
			fail_msg("row %zu: %d %d", i, accepts, target);
		/* All the same, the network may not let this machine share at all. */
		w.self.node.cap_map_json = "{}";
		assert_false(sharing_accepts(&w.map, &w.peer.node));
	}
}

static void test_where(void **state)
{
	struct world w;
	struct endpoint at = { 0 };
	char text[ENDPOINT_TEXT];
	(void)state;
	world_make(&w);
	assert_true(sharing_api_at(&w.map, &w.peer.node, &at));
	assert_string_equal(endpoint_format(&at, text), "100.64.0.2:1004");
	w.services[0].port = 0;
	assert_true(sharing_api_at(&w.map, &w.peer.node, &at));
	assert_string_equal(endpoint_format(&at, text), "[fd7a:115c:a1e0::2]:1006");
	/* A family that this machine has no address of is no way. */
	w.self.node.addresses.n = 1;
	assert_false(sharing_api_at(&w.map, &w.peer.node, &at));
	w.services[0].port = 1;
	w.peer.node.addresses = (struct ctl_prefixes) { &w.theirs[1], 1 };
	assert_false(sharing_api_at(&w.map, &w.peer.node, &at));
}

static void test_block_lines(void **state)
{
#define ZEROS "00000000000000000000000000000000000000000000000000000000000000"
	static const struct {
		const char *line;
		size_t size; /* 0: refused */
	} rows[] = {
		{ "{\"checksum\":\"" ZEROS "fF\",\"algo\":\"sha256\",\"size\":65536}", 65536 },
		{ "{\"size\":1,\"algo\":\"sha256\",\"checksum\":\"" ZEROS "ff\",\"more\":[]}", 1 },
		{ "{\"checksum\":\"" ZEROS "ff\",\"algo\":\"sha256\",\"size\":65537}", 0 },
		{ "{\"checksum\":\"" ZEROS "ff\",\"algo\":\"sha256\",\"size\":0}", 0 },
		{ "{\"checksum\":\"" ZEROS "ff\",\"algo\":\"sha256\",\"size\":-1}", 0 },
		{ "{\"checksum\":\"" ZEROS "ff\",\"algo\":\"md5\",\"size\":1}", 0 },
		{ "{\"checksum\":\"" ZEROS "f\",\"algo\":\"sha256\",\"size\":1}", 0 },
		{ "{\"checksum\":\"" ZEROS "fg\",\"algo\":\"sha256\",\"size\":1}", 0 },
		{ "{\"checksum\":7,\"algo\":\"sha256\",\"size\":1}", 0 },
		{ "{\"algo\":\"sha256\",\"size\":1}", 0 },
		{ "[]", 0 },
		{ "null", 0 },
		{ "{", 0 },
		{ "", 0 },
	};
	uint8_t hash[BLOCK_HASH], again[BLOCK_HASH];
	struct buf line = { 0 };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t size = 0;
		memset(hash, 0x55, sizeof(hash));
		bool ok = block_line_read(rows[i].line, strlen(rows[i].line), hash, &size);
		if (ok != (rows[i].size != 0) || size != rows[i].size ||
			hash[BLOCK_HASH - 1] != (ok ? 0xff : 0x55))
			fail_msg("row %zu", i);
	}
	/* FIPS 180-2, B.1 */
	assert_true(block_hash((const uint8_t *)"abc", 3, hash));
	assert_true(block_line_write(&line, hash, 3));
	assert_string_equal(buf_cstr(&line),
		"{\"checksum\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\","
		"\"algo\":\"sha256\",\"size\":3}\n");
	size_t size = 0;
	assert_true(block_line_read((const char *)buf_data(&line), line.len, again, &size));
	assert_memory_equal(hash, again, sizeof(hash));
	buf_free(&line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_granted),
		cmocka_unit_test(test_where),
		cmocka_unit_test(test_block_lines),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
