/* Messages put together of parts say what the same message says in one piece. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/fleet/test/net.h"
#include "mesh/control/view/packed.h"
#include "mesh/transport/control_link.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMBERS = 300, SELF = 150, ROUTER = 200, OWN_MOST = 120 };

struct fixture {
	struct fleet f;
	struct settings *set;
	struct view_cache cache;
	struct journal journal;
	struct view_context c;
	struct packed p;
	struct arena mem;
	struct ctl_map_response got;
};

static void add_member(struct fixture *x, int64_t id, const char *name, bool online)
{
	struct member d = { .id = id,
		.user = 1 + id % 2,
		.name = name,
		.hostname = name,
		.has_v4 = true,
		.v4 = addr_v4(0x64400000U + (uint32_t)id),
		.online = online,
		.expiry_ms = FLEET_NO_TIME,
		.last_seen_ms = FLEET_NO_TIME };
	struct prefix net;
	memcpy(d.key.b, &id, sizeof(id));
	memcpy(d.machine.b, &id, sizeof(id));
	if (id == ROUTER && prefix_parse("10.0.0.0/8", &net))
		d.served = (struct ctl_prefixes) { .v = &net, .n = 1 };
	assert_non_null(net_put(&x->f, &d));
	view_cache_changed(&x->cache, id, true);
	packed_forget(&x->p, id);
	journal_touch(&x->journal);
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	char name[32];
	net_init(&x->f);
	x->set = calloc(1, sizeof(*x->set));
	x->set->refs = 1;
	x->set->base_domain = "mesh.test";
	assert_true(view_cache_init(&x->cache, 1));
	packed_init(&x->p, 1);
	x->c = (struct view_context) {
		.fleet = &x->f, .set = x->set, .cache = &x->cache, .journal = &x->journal, .viewer_cap = 119
	};
	for (int64_t id = 1; id <= MEMBERS; id++) {
		snprintf(name, sizeof(name), "n%lld", (long long)id);
		if (id % 7) /* holes in the numbers */
			add_member(x, id, name, false);
	}
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	arena_free(&x->mem);
	packed_fini(&x->p);
	journal_free(&x->journal);
	view_cache_fini(&x->cache);
	settings_put(x->set);
	fleet_fini(&x->f);
	free(x);
	return 0;
}

static void take(void *arg, const char *json, size_t len)
{
	struct fixture *x = arg;
	struct errbuf eb = { 0 };
	if (ctl_map_response_read(&x->mem, json, len, &x->got, &eb))
		fail_msg("%s", eb.text);
}

static void unpack(struct fixture *x, const struct buf *frame, bool zstd)
{
	struct map_frames *m = map_frames_new(zstd);
	arena_free(&x->mem);
	x->got = (struct ctl_map_response) { 0 };
	assert_int_equal(map_frames_feed(m, buf_data(frame), frame->len, take, x), 0);
	map_frames_free(m);
}

/* The whole map of one viewer: packed, and as it would be in one piece. */
static void check_whole(struct fixture *x, int64_t viewer, bool zstd)
{
	const struct member *self = fleet_by_id(&x->f, viewer);
	struct ctl_map_response plain;
	struct view v, again;
	struct arena a = { 0 };
	const struct buf *frame = packed_whole(&x->p, &x->c, self, &v, zstd);
	assert_non_null(frame);
	unpack(x, frame, zstd);
	assert_true(view_whole(&x->c, self, &again, &a, &plain));
	assert_int_equal(x->got.n_peers, plain.n_peers);
	assert_int_equal(x->got.n_users, plain.n_users);
	assert_int_equal(x->got.node->id, viewer);
	for (size_t i = 0; i < plain.n_peers; i++) {
		const struct member *m = fleet_by_id(&x->f, plain.peers[i].id);
		const struct ctl_node *n = &x->got.peers[i];
		assert_int_equal(n->id, m->id);
		assert_memory_equal(n->name, m->name, strlen(m->name));
		assert_int_equal(n->cap, x->c.viewer_cap);
		assert_int_equal(n->online, m->online ? OPT_TRUE : OPT_FALSE);
		assert_int_equal(n->primary_routes.n, m->served.n);
	}
	view_fini(&v);
	view_fini(&again);
	arena_free(&a);
}

static void remove_member(struct fixture *x, int64_t id)
{
	fleet_remove(&x->f, id);
	view_cache_changed(&x->cache, id, true);
	packed_forget(&x->p, id);
	journal_touch(&x->journal);
}

static void test_whole(void **state)
{
	struct fixture *x = *state;
	for (int round = 0; round < 2; round++) /* the second from what was kept */
		for (int64_t viewer = 1; viewer <= MEMBERS; viewer += 60)
			check_whole(x, viewer, true);
	check_whole(x, SELF, false);
	x->c.viewer_cap = 145; /* another version, beside the first */
	check_whole(x, SELF, true);
	x->c.viewer_cap = 119;
	check_whole(x, SELF, true);
}

/* Of the peers of a whole map, those are packed for it that are not told all alike, and no others: the parts are what is the
 * viewer's own, the spans of 0, 64 and 128, and the rest with the router and the viewer in it. */
static void test_whole_parts(void **state)
{
	static const uint8_t begin[] = { 0x28, 0xb5, 0x2f, 0xfd }; /* of a frame of zstd */
	struct fixture *x = *state;
	struct view v;
	unsigned parts = 0;
	const struct buf *frame = packed_whole(&x->p, &x->c, fleet_by_id(&x->f, MEMBERS), &v, true);
	assert_non_null(frame);
	for (size_t i = 0; i + sizeof(begin) <= frame->len; i++)
		parts += !memcmp(buf_data(frame) + i, begin, sizeof(begin));
	assert_int_equal(parts, 1 + 3 + 1);
	view_fini(&v);
}

/* Those who come first have no comma before them, also when they were packed with one. */
static void test_whole_first(void **state)
{
	struct fixture *x = *state;
	check_whole(x, SELF, true);
	for (int64_t id = 1; id < 64; id++)
		if (fleet_by_id(&x->f, id))
			remove_member(x, id);
	check_whole(x, SELF, true);
	add_member(x, 1, "n1", false);
	check_whole(x, SELF, true);
}

/* What was kept goes when one of it changes, comes, goes, or is hidden from the viewer. */
static void test_whole_after(void **state)
{
	struct fixture *x = *state;
	check_whole(x, SELF, true);
	add_member(x, 3, "renamed", true);
	add_member(x, 210, "new", true); /* in a hole */
	check_whole(x, SELF, true);
	remove_member(x, 70);
	check_whole(x, SELF, true);
	static const char rules[] =
		"{\"acls\":[{\"action\":\"accept\",\"src\":[\"alice@\"],\"dst\":[\"alice@:*\"]}]}";
	x->set->source = policy_source_new(rules, strlen(rules), NULL);
	assert_non_null(x->set->source);
	x->set->policy = x->set->source->rules;
	view_cache_told(&x->cache);
	settings_put(x->cache.now.set);
	x->cache.now.set = NULL; /* the rules are others */
	check_whole(x, SELF, true);
	assert_true(x->got.n_peers < MEMBERS / 2);
	check_whole(x, SELF + 1, true);
}

static const struct buf *pack_change(struct fixture *x, const char *written)
{
	struct ctl_node node = { .id = 5, .user = 1, .cap = 119, .written = written };
	struct ctl_peer_patch patch = {
		.id = 6, .derp_region = 7, .last_seen_ms = FLEET_NO_TIME, .key_expiry_ms = FLEET_NO_TIME
	};
	struct ctl_map_response r = { .peers_changed = &node,
		.n_changed = 1,
		.patches = &patch,
		.n_patches = 1,
		.control_time_ms = FLEET_NO_TIME };
	return packed_change(&x->p, &x->c, &r, true);
}

/* The same change is packed once; another, or the same at another moment, is not taken for it. */
static void test_change(void **state)
{
	static const char text[] = "{\"ID\":5,\"Name\":\"a.\"}", other[] = "{\"ID\":5,\"Name\":\"b.\"}";
	struct fixture *x = *state;
	pack_change(x, text);
	const struct packed_last *kept = x->p.last;
	unpack(x, pack_change(x, text), true);
	assert_ptr_equal(x->p.last, kept);
	assert_string_equal(x->got.peers_changed[0].name, "a.");
	assert_int_equal(x->got.patches[0].derp_region, 7);
	unpack(x, pack_change(x, other), true);
	assert_string_equal(x->got.peers_changed[0].name, "b.");
	x->c.viewer_cap = 120;
	unpack(x, pack_change(x, text), true);
	assert_string_equal(x->got.peers_changed[0].name, "a.");
	struct ctl_map_response alive = { .keep_alive = true, .control_time_ms = FLEET_NO_TIME };
	unpack(x, packed_change(&x->p, &x->c, &alive, true), true);
	assert_true(x->got.keep_alive);
}

/* What hundreds of members take that came or came back in one moment is packed once as well, alone or before what is the
 * viewer's own. */
static void test_large_change(void **state)
{
	enum { MANY = 2000, TEXT = 200, PACKED_MIN = 64 * 1024 };
	static struct ctl_node nodes[MANY];
	static char texts[MANY][TEXT];
	struct fixture *x = *state;
	uint64_t mixed[8] = { 1 };
	for (size_t i = 0; i < MANY; i++) {
		for (size_t k = 0; k < ARRAY_LEN(mixed); k++)
			mixed[k] = mixed[(k + 7) % 8] * 6364136223846793005U + 1442695040888963407U;
		snprintf(texts[i], TEXT, "{\"ID\":%zu,\"Name\":\"%016llx%016llx%016llx%016llx.\"}", i + 1,
			(unsigned long long)mixed[0], (unsigned long long)mixed[1],
			(unsigned long long)mixed[2], (unsigned long long)mixed[3]);
		nodes[i] = (struct ctl_node) {
			.id = (int64_t)i + 1, .user = 1, .cap = 119, .written = texts[i]
		};
	}
	struct ctl_map_response r = {
		.peers_changed = nodes, .n_changed = MANY, .control_time_ms = FLEET_NO_TIME
	};
	const struct buf *frame = packed_change(&x->p, &x->c, &r, true);
	assert_non_null(frame);
	assert_true(frame->len > PACKED_MIN);
	const struct packed_last *kept = x->p.last;
	unpack(x, packed_change(&x->p, &x->c, &r, true), true);
	assert_ptr_equal(x->p.last, kept);
	assert_int_equal(x->got.n_changed, MANY);
	struct buf before = { 0 };
	for (uint32_t viewer = 1; viewer <= 3; viewer++) {
		struct addr own = addr_v4(0x64400000U + viewer);
		struct ctl_ports dst = { .net = prefix_of(&own), .first = 22, .last = 22 };
		struct ctl_rule rule = { .dst = &dst, .n_dst = 1 };
		struct ctl_filter filter = { .name = "base", .rules = &rule, .n_rules = 1 };
		r.filters = &filter;
		r.n_filters = 1;
		frame = packed_change(&x->p, &x->c, &r, true);
		assert_non_null(frame);
		if (viewer == 3) /* the second has found what is alike */
			assert_memory_equal(
				buf_data(frame) + 4, buf_data(&before) + 4, before.len - OWN_MOST);
		buf_consume(&before, before.len);
		assert_true(buf_append(&before, buf_data(frame), frame->len));
	}
	buf_free(&before);
}

/* What the viewer is told when a member comes that its rules let in: the sources are the same for all, the
 * destination is its own address. */
static const struct buf *pack_rules(struct fixture *x, uint32_t viewer, size_t n_src, bool zstd)
{
	struct ctl_node node = { .id = 5, .user = 1, .cap = 119, .written = "{\"ID\":5,\"Name\":\"a.\"}" };
	struct ctl_ip_range src[200] = { 0 };
	struct addr own = addr_v4(0x64400000U + viewer);
	struct ctl_ports dst = { .net = prefix_of(&own), .first = 22, .last = 22 };
	struct ctl_rule rule = { .src = src, .n_src = n_src, .dst = &dst, .n_dst = 1 };
	struct ctl_filter filter = { .name = "base", .rules = &rule, .n_rules = 1 };
	for (size_t i = 0; i < n_src; i++)
		src[i].first = src[i].last = addr_v4(0x64410000U + (uint32_t)(i * 2));
	struct ctl_map_response r = { .peers_changed = &node,
		.n_changed = 1,
		.filters = &filter,
		.n_filters = 1,
		.control_time_ms = FLEET_NO_TIME };
	const struct buf *frame = packed_change(&x->p, &x->c, &r, zstd);
	assert_non_null(frame);
	return frame;
}

static void check_rules(struct fixture *x, uint32_t viewer, size_t n_src)
{
	const struct addr own = addr_v4(0x64400000U + viewer);
	assert_string_equal(x->got.peers_changed[0].name, "a.");
	assert_int_equal(x->got.n_filters, 1);
	assert_int_equal(x->got.filters[0].n_rules, 1);
	assert_int_equal(x->got.filters[0].rules[0].n_src, n_src);
	for (size_t i = 0; i < n_src; i++) {
		const struct addr at = addr_v4(0x64410000U + (uint32_t)(i * 2));
		assert_true(addr_equal(&x->got.filters[0].rules[0].src[i].first, &at));
	}
	assert_int_equal(x->got.filters[0].rules[0].n_dst, 1);
	assert_true(addr_equal(&x->got.filters[0].rules[0].dst[0].net.ip, &own));
}

/* Each hears of its own rules; what these have alike is packed once for those who are told one after the other. */
static void test_rules(void **state)
{
	static const struct {
		uint32_t viewer;
		size_t n_src;
		bool kept; /* the front that was packed serves this one */
	} rows[] = {
		{ 1, 200, false }, /* there is none */
		{ 2, 200, false }, /* it is found */
		{ 3, 200, true },
		{ 14, 200, true },
		{ 255, 200, true },
		{ 256, 200, false }, /* a byte earlier something differs: a shorter one */
		{ 257, 200, true },
		{ 9, 200, true },
		{ 1000, 90, false }, /* others rules */
		{ 1001, 90, false },
		{ 1002, 90, true },
		{ 1003, 200, false },
		{ 1004, 200, false },
		{ 1004, 200, true },
	};
	struct fixture *x = *state;
	struct buf before = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct buf *frame = pack_rules(x, rows[i].viewer, rows[i].n_src, true);
		unpack(x, frame, true);
		check_rules(x, rows[i].viewer, rows[i].n_src);
		size_t n = 4;
		while (n < frame->len && n < before.len && buf_data(frame)[n] == buf_data(&before)[n])
			n++;
		if (rows[i].kept != (n + OWN_MOST > frame->len))
			fail_msg("row %zu: %zu bytes of %zu are those of the one before", i, n, frame->len);
		buf_consume(&before, before.len);
		assert_true(buf_append(&before, buf_data(frame), frame->len));
	}
	buf_free(&before);
	unpack(x, pack_rules(x, 7, 200, false), false); /* to one that unpacks nothing */
	check_rules(x, 7, 200);
	journal_touch(&x->journal); /* at another moment it is looked for anew */
	unpack(x, pack_rules(x, 8, 200, true), true);
	check_rules(x, 8, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_whole_parts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_whole_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_whole_after, setup, teardown),
		cmocka_unit_test_setup_teardown(test_change, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_change, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rules, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
