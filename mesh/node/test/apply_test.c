#include "mesh/node/apply.h"
#include "mesh/netmap/server_clock.h"
#include "mesh/base/text.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { SAID_MAX = 4096, KEYS_MAX = 16, START_MS = 1000000, LOOK_MS = 60000 };
#define YEAR_MS (INT64_C(366) * 24 * 3600 * 1000)
#define START_UNIX_MS (INT64_C(1700001000) * 1000)
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000"
#define NODE(id, name, extra) \
	"{\"ID\":" #id ",\"StableID\":\"s" #id "\",\"Name\":\"" name ".x.test.\",\"User\":1," \
	"\"Key\":\"nodekey:" ZEROS "00" #id "\",\"DiscoKey\":\"discokey:" ZEROS "10" #id \
	"\",\"Addresses\":[\"100.64.0." #id "/32\"]" extra "}"
#define SELF "\"Node\":" NODE(1, "self", "")
#define RULE "{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":0,\"Last\":65535}}]}"
#define FIRST \
	"{" SELF ",\"Peers\":[" NODE(2, "two", "") "," NODE( \
		3, "three", "") "],\"PacketFilter\":[" RULE "],\"DNSConfig\":{\"Proxied\":true}}"

/* A machine and an engine that write down what they are told, and fail when they are told to. */
struct machine {
	struct apply a;
	struct netmap *last;
	uint64_t now_ms;
	int64_t unix_ms; /* the wall clock */
	struct server_clock clock;
	char said[SAID_MAX];
	bool fails[APPLY_STEPS];
	bool slow;	    /* the kernel takes routes when it likes */
	uint64_t fails_for; /* this peer alone; 0: any */
	unsigned changes;
	/* What is in force. */
	bool rules, shut, names, iface, nets, map;
	bool peers[KEYS_MAX];
	size_t addresses[KEYS_MAX]; /* of a peer that is set */
};

static void say(struct machine *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct machine *m, const char *fmt, ...)
{
	size_t at = strlen(m->said);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(m->said + at, sizeof(m->said) - at, fmt, ap);
	va_end(ap);
}

static int step(struct machine *m, enum apply_step s, struct errbuf *eb)
{
	return m->fails[s] ? err_say(eb, -EIO, "step %d does not work", (int)s) : 0;
}

static void map_set(void *arg, struct netmap *map)
{
	struct machine *m = arg;
	m->map = map != NULL;
	say(m, map ? "map " : "no-map ");
}

static int rules_set(void *arg, const struct netmap *map, struct errbuf *eb)
{
	struct machine *m = arg;
	assert_ptr_equal(map, m->a.map);
	int err = step(m, APPLY_RULES, eb);
	say(m, err ? "rules! " : "rules ");
	if (!err) {
		m->rules = true;
		m->shut = false;
	}
	return err;
}

static void rules_shut_now(void *arg)
{
	struct machine *m = arg;
	m->shut = true;
	say(m, "shut ");
}

static int peer_set(void *arg, const struct ctl_node *peer, struct errbuf *eb)
{
	struct machine *m = arg;
	bool fails = m->fails[APPLY_PEERS] && (!m->fails_for || m->fails_for == (uint64_t)peer->id);
	say(m, "+%d%s ", (int)peer->id, fails ? "!" : "");
	m->peers[peer->id] = !fails;
	m->addresses[peer->id] = peer->addresses.n;
	return fails ? step(m, APPLY_PEERS, eb) : 0;
}

static void peer_remove(void *arg, uint64_t id)
{
	struct machine *m = arg;
	m->peers[id] = false;
	say(m, "-%d ", (int)id);
}

static void peer_restarted(void *arg, uint64_t id)
{
	say(arg, "restarted%d ", (int)id);
}

static void peer_offline(void *arg, const struct ctl_node *peer)
{
	say(arg, "offline%d ", (int)peer->id);
}

static void relays_set(void *arg, const struct ctl_derp_map *derp)
{
	assert_non_null(derp);
	say(arg, "relays ");
}

static int nets_set(void *arg, const struct netmap *map, struct errbuf *eb)
{
	struct machine *m = arg;
	assert_ptr_equal(map, m->a.map);
	int err = step(m, APPLY_NETS, eb);
	m->nets = !err;
	say(m, err ? "nets! " : "nets ");
	return err;
}

static int iface_set(void *arg, const struct netmap *map, struct errbuf *eb)
{
	struct machine *m = arg;
	int err = step(m, APPLY_IFACE, eb);
	assert_ptr_equal(map, m->a.map);
	m->iface = !err;
	say(m, err ? "iface! " : "iface ");
	return err;
}

static int iface_change(void *arg, const struct netmap *was, const struct netmap *map,
	const struct netmap_diff *d, struct errbuf *eb)
{
	struct machine *m = arg;
	int err = step(m, APPLY_IFACE, eb);
	assert_ptr_equal(map, m->a.map);
	assert_true(m->iface && was != map && (d->n_added || d->n_removed || d->addresses));
	m->iface = !err;
	say(m, err ? "iface-change! " : "iface-change ");
	return err ? err : m->slow ? APPLY_BEGUN : 0;
}

static int names_set(void *arg, struct netmap *map, bool self_expired, struct errbuf *eb)
{
	struct machine *m = arg;
	int err = step(m, APPLY_NAMES, eb);
	assert_ptr_equal(map, m->a.map);
	m->names = !err;
	say(m, "names%s%s ", self_expired ? "-expired" : "", err ? "!" : "");
	return err;
}

static void forget(void *arg)
{
	struct machine *m = arg;
	m->names = m->iface = false;
	say(m, "forget ");
}

static void changed(void *arg)
{
	((struct machine *)arg)->changes++;
}

static uint64_t now_ms(void *arg)
{
	return ((struct machine *)arg)->now_ms;
}

static int64_t server_ms(void *arg)
{
	const struct machine *m = arg;
	return server_clock_now(&m->clock, (int64_t)m->now_ms, m->unix_ms);
}

static struct machine *machine_new(void)
{
	struct machine *m = calloc(1, sizeof(*m));
	struct apply_ops ops = { map_set, rules_set, rules_shut_now, peer_set, peer_remove, peer_restarted,
		peer_offline, relays_set, iface_set, iface_change, nets_set, names_set, forget, changed,
		now_ms, server_ms, m };
	m->now_ms = START_MS;
	m->unix_ms = START_UNIX_MS;
	apply_init(&m->a, &ops);
	return m;
}

static void machine_free(struct machine *m)
{
	apply_nothing(&m->a);
	for (size_t i = 0; i < KEYS_MAX; i++)
		assert_false(m->peers[i]);
	assert_false(m->map || m->names || m->iface);
	free(m);
}

static struct netmap *map_read(struct machine *m, const struct netmap *old, const char *json)
{
	struct arena a = { 0 };
	struct ctl_map_response r;
	struct errbuf eb = { 0 };
	if (ctl_map_response_read(&a, json, strlen(json), &r, &eb))
		fail_msg("%s in %s", eb.text, json);
	server_clock_told(&m->clock, r.control_time_ms, (int64_t)m->now_ms);
	struct netmap *next = netmap_apply(old, &r, server_ms(m), &eb);
	if (!next)
		fail_msg("%s in %s", eb.text, json);
	arena_free(&a);
	return next;
}

/* What the next message makes apply say. */
static const char *tell(struct machine *m, const char *json)
{
	unsigned before = m->changes;
	m->said[0] = 0;
	apply_map(&m->a, map_read(m, m->a.map, json));
	assert_int_equal(m->changes, before + 1);
	return m->said;
}

static const char *pass(struct machine *m, uint64_t ms)
{
	m->now_ms += ms;
	m->unix_ms += (int64_t)ms;
	m->said[0] = 0;
	apply_tick(&m->a);
	return m->said;
}

/* --- what a change asks for, and in which order --- */

static void test_steps(void **state)
{
	static const struct {
		const char *what, *json, *says;
	} rows[] = {
		{ "nothing new", "{\"PeersChanged\":[" NODE(2, "two", "") "]}", "map " },
		{ "who is new comes after the rules",
			"{\"PeersChanged\":[" NODE(4, "four", "") "],\"PacketFilter\":[]}",
			"map rules +4 iface-change names " },
		{ "who goes, goes before all else", "{\"PeersRemoved\":[2],\"PacketFilter\":[]}",
			"-2 map rules iface-change names " },
		{ "one goes, one comes", "{\"PeersRemoved\":[2],\"PeersChanged\":[" NODE(4, "four", "") "]}",
			"-2 map +4 iface-change names " },
		{ "another name touches neither routes nor rules",
			"{\"PeersChanged\":[" NODE(2, "zwei", "") "]}", "map +2 names " },
		{ "another address",
			"{\"PeersChanged\":[" NODE(2, "two", ",\"Endpoints\":[\"192.0.2.1:1\"]") "]}",
			"map +2 " },
		{ "what it carries for others",
			"{\"PeersChanged\":[" NODE(
				2, "two", ",\"AllowedIPs\":[\"100.64.0.2/32\",\"10.0.0.0/8\"]") "]}",
			"map +2 nets names " },
		{ "rules alone", "{\"PacketFilter\":[]}", "map rules " },
		{ "expired by the server's word: it goes first, and keeps its name",
			"{\"PeersChanged\":[" NODE(2, "two", ",\"Expired\":true") "],\"PacketFilter\":[]}",
			"-2 map rules -2 " },
		{ "expired by its date",
			"{\"PeersChanged\":[" NODE(2, "two", ",\"KeyExpiry\":\"2020-01-01T00:00:00Z\"") "]}",
			"-2 map -2 " },
		{ "its program is another",
			"{\"PeersChangedPatch\":[{\"NodeID\":2,\"DiscoKey\":\"discokey:" ZEROS "777\"}]}",
			"map +2 restarted2 " },
		{ "relays", "{\"DERPMap\":{\"Regions\":{\"1\":{\"RegionID\":1,\"Nodes\":[]}}}}",
			"map relays names " },
		{ "names", "{\"DNSConfig\":{\"Proxied\":false}}", "map names " },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct machine *m = machine_new();
		assert_string_equal(tell(m, FIRST), "map rules +2 +3 iface nets names ");
		const char *says = tell(m, rows[i].json);
		if (strcmp(says, rows[i].says) != 0)
			fail_msg("%s: \"%s\" instead of \"%s\"", rows[i].what, says, rows[i].says);
		assert_int_equal(m->a.missing, 0);
		machine_free(m);
	}
}

/* Under another key of ours nothing of a peer holds any more: all are told again, whoever stayed as he was. */
static void test_anew(void **state)
{
	struct machine *m = machine_new();
	(void)state;
	(void)tell(m, FIRST);
	m->said[0] = 0;
	apply_anew(&m->a, map_read(m, m->a.map, "{\"PeersRemoved\":[2]}"));
	assert_string_equal(m->said, "-2 map rules +3 iface nets names ");
	m->said[0] = 0;
	apply_anew(&m->a, map_read(m, m->a.map, "{}"));
	assert_string_equal(m->said, "map rules +3 iface nets names ");
	machine_free(m);
}

static void test_offline(void **state)
{
	struct machine *m = machine_new();
	(void)state;
	tell(m, FIRST);
	tell(m, "{\"OnlineChange\":{\"3\":true}}");
	assert_non_null(strstr(tell(m, "{\"OnlineChange\":{\"3\":false}}"), "offline3"));
	machine_free(m);
}

/* --- a kernel that takes its time --- */

#define FOUR "{\"PeersChanged\":[" NODE(4, "four", "") "]}"

/* What routes to peers wait for, apply says when it is there; code: what the kernel said. */
static const char *routed(struct machine *m, int code)
{
	struct errbuf why = { 0 };
	unsigned before = m->changes;
	if (code)
		err_say(&why, code, "routes do not work");
	m->said[0] = 0;
	apply_iface_ended(&m->a, &why);
	assert_int_equal(m->changes, before + 1);
	return m->said;
}

/* Who goes is out at once, who comes may speak at once; a name leads to nobody before a route does. */
static void test_slow_routes(void **state)
{
	struct machine *m = machine_new();
	(void)state;
	tell(m, FIRST);
	m->slow = true;
	assert_string_equal(tell(m, FOUR), "map +4 iface-change ");
	assert_string_equal(tell(m, "{\"PeersRemoved\":[2]}"), "-2 map iface-change ");
	assert_string_equal(tell(m, "{\"DNSConfig\":{\"Proxied\":false}}"), "map ");
	assert_false(m->peers[2]);
	assert_int_equal(m->a.missing, 0);
	assert_string_equal(routed(m, 0), "names ");
	assert_int_equal(m->a.missing, 0);
	/* What asks for names alone waits as well, and what tells the interface whole waits for nothing. */
	assert_string_equal(tell(m, "{\"PeersChanged\":[" NODE(2, "two", "") "]}"), "map +2 iface-change ");
	m->said[0] = 0;
	apply_again(&m->a, APPLY_NAMES);
	assert_string_equal(m->said, "");
	assert_string_equal(tell(m, "{" SELF "}"), "map ");
	assert_non_null(
		strstr(tell(m, "{\"Node\":" NODE(1, "self", ",\"Tags\":[\"tag:x\"]") "}"), "iface names "));
	unsigned before = m->changes;
	apply_iface_ended(&m->a, &(struct errbuf) { .code = -EIO, .text = "too late" });
	assert_int_equal(m->changes, before);
	assert_int_equal(m->a.missing, 0);
	machine_free(m);
}

static void test_routes_refused(void **state)
{
	struct machine *m = machine_new();
	(void)state;
	tell(m, FIRST);
	m->slow = true;
	tell(m, FOUR);
	assert_string_equal(routed(m, -ENETDOWN), "names ");
	assert_true(apply_is_missing(&m->a, APPLY_IFACE));
	assert_string_equal(m->a.why[APPLY_IFACE], "routes do not work");
	assert_true(apply_deadline(&m->a) < UINT64_MAX);
	assert_string_equal(pass(m, 1000), "iface ");
	assert_int_equal(m->a.missing, 0);
	/* One that could not even begin is not made good by the end of one before. */
	tell(m, "{\"PeersRemoved\":[4]}");
	m->fails[APPLY_IFACE] = true;
	tell(m, FOUR);
	m->fails[APPLY_IFACE] = false;
	(void)routed(m, 0);
	assert_true(apply_is_missing(&m->a, APPLY_IFACE));
	assert_string_equal(pass(m, 1000), "iface ");
	assert_int_equal(m->a.missing, 0);
	machine_free(m);
}

/* --- steps that fail --- */

/* A revocation that cannot be compiled: what was let in before must not be let in any longer. */
static void test_rules_fail_closed(void **state)
{
	struct machine *m = machine_new();
	(void)state;
	tell(m, FIRST);
	assert_true(m->rules && !m->shut);
	m->fails[APPLY_RULES] = true;
	assert_string_equal(tell(m, "{\"PacketFilter\":[],\"PeersRemoved\":[3]}"),
		"-3 map rules! shut iface-change names ");
	assert_true(m->shut && apply_is_missing(&m->a, APPLY_RULES) && !m->peers[3]);
	assert_non_null(strstr(m->a.why[APPLY_RULES], "nothing is let in"));
	/* Shut it stays, whatever else comes, until the rules of the newest map are in force. */
	tell(m, "{\"PeersChanged\":[" NODE(4, "four", "") "]}");
	assert_true(m->shut);
	m->fails[APPLY_RULES] = false;
	assert_string_equal(pass(m, 999), "");
	assert_string_equal(pass(m, 1), "rules ");
	assert_false(m->shut);
	assert_int_equal(m->a.missing, 0);
	assert_string_equal(m->a.why[APPLY_RULES], "");
	machine_free(m);
}

static void test_each_step_is_tried_again(void **state)
{
	static const char *const says[APPLY_STEPS] = { [APPLY_RULES] = "rules ",
		[APPLY_PEERS] = "+2 +3 nets ",
		[APPLY_IFACE] = "iface ",
		[APPLY_NETS] = "nets ",
		[APPLY_NAMES] = "names " };
	(void)state;
	for (size_t s = 0; s < APPLY_STEPS; s++) {
		struct machine *m = machine_new();
		m->fails[s] = true;
		tell(m, FIRST);
		/* The others are done all the same. */
		assert_int_equal(m->a.missing, 1u << s);
		assert_true(m->rules == (s != APPLY_RULES) && m->peers[2] == (s != APPLY_PEERS) &&
			    m->iface == (s != APPLY_IFACE) && m->nets == (s != APPLY_NETS) &&
			    m->names == (s != APPLY_NAMES));
		assert_non_null(strstr(m->a.why[s], "does not work"));
		/* Less and less often, never more than a minute apart. */
		uint64_t gap = 0, most = 0;
		for (size_t i = 0; i < 12; i++) {
			uint64_t due = apply_deadline(&m->a);
			assert_true(due > m->now_ms && due - m->now_ms >= gap);
			gap = due - m->now_ms;
			most = gap > most ? gap : most;
			pass(m, gap);
			assert_int_not_equal(m->said[0], 0);
		}
		assert_int_equal(most, 60000);
		m->fails[s] = false;
		assert_string_equal(pass(m, gap), says[s]);
		assert_int_equal(m->a.missing, 0);
		assert_true(apply_deadline(&m->a) == UINT64_MAX);
		machine_free(m);
	}
}

/* A new map does not wait for the time: it tries what is missing too. */
static void test_next_map_tries_too(void **state)
{
	struct machine *m = machine_new();
	(void)state;
	for (size_t s = 0; s < APPLY_STEPS; s++)
		m->fails[s] = true;
	tell(m, FIRST);
	assert_int_equal(m->a.missing, (1u << APPLY_STEPS) - 1);
	memset(m->fails, 0, sizeof(m->fails));
	assert_string_equal(tell(m, "{\"PeersChangedPatch\":[{\"NodeID\":3,\"DERPRegion\":5}]}"),
		"map rules +2 +3 iface nets names ");
	assert_int_equal(m->a.missing, 0);
	machine_free(m);
}

/* The peer may have another key or address now: what is left of the old one would let the wrong one in. */
static void test_peer_that_fails_is_out(void **state)
{
	struct machine *m = machine_new();
	(void)state;
	tell(m, FIRST);
	m->fails[APPLY_PEERS] = true;
	m->fails_for = 3;
	assert_string_equal(tell(m, "{\"PeersChangedPatch\":[{\"NodeID\":3,\"Key\":\"nodekey:" ZEROS "099\"},"
				    "{\"NodeID\":2,\"DERPRegion\":5}]}"),
		"map +2 +3! -3 nets ");
	assert_true(m->peers[2] && !m->peers[3]);
	m->fails[APPLY_PEERS] = false;
	pass(m, 1000);
	assert_true(m->peers[2] && m->peers[3]);
	machine_free(m);
}

#define KEY_OF_TWO "\"Key\":\"nodekey:" ZEROS "002\""
#define TWIN "{\"ID\":4,\"Name\":\"four.x.test.\"," KEY_OF_TWO ",\"Addresses\":[\"100.64.0.4/32\"]}"

/* The server gave one key to two: the older record is out, and in again when it is alone, though nothing was said of it. */
static void test_two_of_one_key(void **state)
{
	struct machine *m = machine_new();
	(void)state;
	tell(m, FIRST);
	assert_string_equal(
		tell(m, "{\"PeersChanged\":[" TWIN "]}"), "map -2 +3 +4 iface-change nets names ");
	assert_true(!m->peers[2] && m->peers[3] && m->peers[4]);
	assert_string_equal(
		tell(m, "{\"PeersChangedPatch\":[{\"NodeID\":2,\"DERPRegion\":5}]}"), "-2 map -2 ");
	assert_int_equal(m->a.missing, 0);
	assert_string_equal(tell(m, "{\"PeersRemoved\":[4]}"), "-4 map +2 +3 iface-change nets names ");
	assert_true(m->peers[2] && m->peers[3] && !m->peers[4]);
	machine_free(m);
}

#define OF_TWO \
	"{\"PeersChanged\":[{\"ID\":4,\"Key\":\"nodekey:" ZEROS "004\",\"Addresses\":[\"100.64.0.2/32\"]}]}"

/* The server gave one address to two: the older record is set without it, and with it again when it is alone. */
static void test_two_of_one_address(void **state)
{
	struct machine *m = machine_new();
	(void)state;
	tell(m, FIRST);
	assert_string_equal(tell(m, OF_TWO), "map +4 +2 iface-change names ");
	assert_true(m->addresses[2] == 0 && m->addresses[3] == 1 && m->addresses[4] == 1);
	assert_string_equal(tell(m, OF_TWO), "map ");
	assert_string_equal(tell(m, "{\"PeersChangedPatch\":[{\"NodeID\":2,\"DERPRegion\":5}]}"), "map +2 ");
	assert_int_equal(m->addresses[2], 0);
	assert_string_equal(tell(m, "{\"PeersRemoved\":[4]}"), "-4 map +2 iface-change names ");
	assert_true(m->peers[2] && m->addresses[2] == 1 && !m->peers[4]);
	machine_free(m);
}

static void test_again(void **state)
{
	struct machine *m = machine_new();
	(void)state;
	apply_again(&m->a, APPLY_NAMES); /* without a map there is nothing to do */
	assert_int_equal(m->changes, 0);
	tell(m, FIRST);
	m->said[0] = 0;
	m->fails[APPLY_NAMES] = true;
	apply_again(&m->a, APPLY_NAMES);
	assert_string_equal(m->said, "names! ");
	m->fails[APPLY_NAMES] = false;
	assert_string_equal(pass(m, 1000), "names ");
	machine_free(m);
}

/* --- keys that end --- */

/* 2023-11-14T22:30:00Z is START_UNIX_MS. */
static void test_keys_end_by_the_clock(void **state)
{
	struct machine *m = machine_new();
	(void)state;
	tell(m, "{" SELF ",\"Peers\":[" NODE(2, "two", ",\"KeyExpiry\":\"2023-11-14T22:30:40Z\"") "," NODE(
			3, "three", ",\"KeyExpiry\":\"2023-11-14T22:30:10Z\"") "," NODE(4, "four", "") "]}");
	assert_int_equal(apply_deadline(&m->a) - m->now_ms, 10000);
	assert_string_equal(pass(m, 9999), "");
	assert_string_equal(pass(m, 1), "-3 nets ");
	assert_true(m->peers[2] && !m->peers[3] && m->peers[4]);
	assert_int_equal(apply_deadline(&m->a) - m->now_ms, 30000);
	assert_string_equal(pass(m, 30000), "-2 -3 nets ");
	assert_int_equal(apply_deadline(&m->a) - m->now_ms, LOOK_MS);
	/* Later than the map, and it counts all the same: a patch may bring it. */
	tell(m, "{\"PeersChangedPatch\":[{\"NodeID\":4,\"KeyExpiry\":\"2023-11-14T22:40:40Z\"}]}");
	assert_int_equal(apply_deadline(&m->a) - m->now_ms, LOOK_MS);
	assert_string_equal(pass(m, 600000), "-2 -3 -4 nets ");
	machine_free(m);
}

/* A clock that was wrong ended keys that are good: they are let in again when the server says what time it is. */
static void test_keys_return_with_the_clock(void **state)
{
	struct machine *m = machine_new();
	(void)state;
	tell(m, "{\"ControlTime\":\"2033-11-14T22:30:00Z\"," SELF ",\"Peers\":[" NODE(
			2, "two", ",\"KeyExpiry\":\"2024-11-14T22:40:10Z\"") "," NODE(3, "three", "") "]}");
	assert_true(!m->peers[2] && m->peers[3]);
	/* The same peers, as the first map of a new stream has them. */
	tell(m, "{\"ControlTime\":\"2023-11-14T22:30:00Z\"," SELF ",\"Peers\":[" NODE(
			2, "two", ",\"KeyExpiry\":\"2024-11-14T22:40:10Z\"") "," NODE(3, "three", "") "]}");
	assert_true(m->peers[2] && m->peers[3]);
	machine_free(m);
}

/* By the server's clock, ten minutes ahead of ours; and a far date is looked at each minute, for the
 * clock may be set. */
static void test_keys_end_by_the_servers_clock(void **state)
{
	struct machine *m = machine_new();
	(void)state;
	tell(m, "{\"ControlTime\":\"2023-11-14T22:40:00Z\"," SELF
		",\"Peers\":[" NODE(2, "two", ",\"KeyExpiry\":\"2023-11-14T22:40:10Z\"") "]}");
	assert_string_equal(pass(m, 10000), "-2 nets ");
	tell(m, "{\"PeersChangedPatch\":[{\"NodeID\":2,\"KeyExpiry\":\"2024-11-14T22:40:40Z\"}]}");
	assert_int_equal(apply_deadline(&m->a) - m->now_ms, LOOK_MS);
	assert_true(m->peers[2]);
	machine_free(m);
}

/* The wall clock is set, by a year or by ten, with no word from the server: what it has said of the time goes
 * on with the steady clock. Before it has said anything, the wall clock is all there is, and it is followed both ways. */
static void test_wall_clock_is_set(void **state)
{
	static const int64_t steps[] = { -YEAR_MS, YEAR_MS, -10 * YEAR_MS, 10 * YEAR_MS };
	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(steps); i++) {
		struct machine *m = machine_new();
		bool known = i >= ARRAY_LEN(steps), ahead = steps[i % ARRAY_LEN(steps)] > 0;
		if (known)
			tell(m, "{\"ControlTime\":\"2023-11-14T22:30:00Z\"," SELF "}");
		tell(m, "{" SELF
			",\"Peers\":[" NODE(2, "two", ",\"KeyExpiry\":\"2023-11-14T22:40:00Z\"") "," NODE(
				3, "three", ",\"KeyExpiry\":\"2023-11-14T22:20:00Z\"") "]}");
		assert_true(m->peers[2] && !m->peers[3]);
		m->unix_ms += steps[i % ARRAY_LEN(steps)];
		assert_true(apply_deadline(&m->a) - m->now_ms <= LOOK_MS);
		pass(m, LOOK_MS);
		assert_int_equal(m->peers[2], known || !ahead);
		assert_int_equal(m->peers[3], !known && !ahead);
		m->unix_ms -= steps[i % ARRAY_LEN(steps)];
		pass(m, LOOK_MS);
		assert_true(m->peers[2] && !m->peers[3]);
		assert_string_equal(pass(m, LOOK_MS), ""); /* once */
		machine_free(m);
	}
}

static void test_own_key_ends(void **state)
{
	struct machine *m = machine_new();
	(void)state;
	tell(m, "{\"Node\":" NODE(1, "self", ",\"KeyExpiry\":\"2023-11-14T22:30:10Z\"") ",\"Peers\":[" NODE(
			2, "two", "") "]}");
	assert_false(apply_self_expired(&m->a));
	unsigned before = m->changes;
	assert_string_equal(pass(m, 10000), "names-expired ");
	assert_true(apply_self_expired(&m->a));
	assert_int_equal(m->changes, before + 1);
	assert_int_equal(apply_deadline(&m->a) - m->now_ms, LOOK_MS);
	machine_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_anew),
		cmocka_unit_test(test_offline),
		cmocka_unit_test(test_slow_routes),
		cmocka_unit_test(test_routes_refused),
		cmocka_unit_test(test_rules_fail_closed),
		cmocka_unit_test(test_each_step_is_tried_again),
		cmocka_unit_test(test_next_map_tries_too),
		cmocka_unit_test(test_peer_that_fails_is_out),
		cmocka_unit_test(test_two_of_one_key),
		cmocka_unit_test(test_two_of_one_address),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_keys_end_by_the_clock),
		cmocka_unit_test(test_keys_return_with_the_clock),
		cmocka_unit_test(test_keys_end_by_the_servers_clock),
		cmocka_unit_test(test_wall_clock_is_set),
		cmocka_unit_test(test_own_key_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
