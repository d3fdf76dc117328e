#include "mesh/netmap/netmap.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define KEY "nodekey:"
#define ZEROS "00000000000000000000000000000000000000000000000000000000000000"
#define NODE(id, name, extra) \
	"{\"ID\":" #id ",\"StableID\":\"s" #id "\",\"Name\":\"" name \
	".x.test.\",\"User\":1,\"Key\":\"" KEY ZEROS #id #id "\",\"Addresses\":[\"100.64.0." #id \
	"/32\"],\"AllowedIPs\":null" extra "}"
#define SELF "\"Node\":" NODE(1, "self", "")
#define PEERS "\"Peers\":[" NODE(2, "two", "") "," NODE(3, "three", "") "]"

#define NOW_MS (INT64_C(1700001000) * 1000) /* 2023-11-14T22:30:00Z */

static struct netmap *apply(const struct netmap *old, const char *json)
{
	struct arena a = { 0 };
	struct ctl_map_response m;
	struct errbuf eb = { 0 };
	if (ctl_map_response_read(&a, json, strlen(json), &m, &eb))
		fail_msg("%s in %s", eb.text, json);
	struct netmap *next = netmap_apply(old, &m, NOW_MS, &eb);
	arena_free(&a); /* nothing may point into the message */
	return next;
}

static size_t rules_of(const struct netmap *m, const char *name)
{
	for (size_t i = 0; i < m->n_filters; i++) {
		if (strcmp(m->filters[i].name, name) == 0)
			return m->filters[i].n_rules;
	}
	return 999;
}

#define RULE "{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":0,\"Last\":65535}}]}"

struct row {
	const char *what, *steps[5];
	size_t peers, base_rules; /* 999: no such filter */
	bool block_all, changed;  /* of the last step */
};
static const struct row rows[] = {
	{ "first", { "{" SELF "," PEERS "}" }, 2, 999, true, true },
	{ "keep-alive", { "{" SELF "," PEERS "}", "{\"KeepAlive\":true,\"PeersRemoved\":[2]}" }, 2, 999, true,
		false },
	{ "empty peers say nothing", { "{" SELF "," PEERS "}", "{\"Peers\":[]}" }, 2, 999, true, false },
	{ "null peers say nothing", { "{" SELF "," PEERS "}", "{\"Peers\":null}" }, 2, 999, true, false },
	{ "full replacement", { "{" SELF "," PEERS "}", "{\"Peers\":[" NODE(3, "three", "") "]}" }, 1, 999,
		true, true },
	{ "same again", { "{" SELF "," PEERS "}", "{" SELF "," PEERS "}" }, 2, 999, true, false },
	{ "removed", { "{" SELF "," PEERS "}", "{\"PeersRemoved\":[2,77]}" }, 1, 999, true, true },
	{ "added and renamed",
		{ "{" SELF "," PEERS "}",
			"{\"PeersChanged\":[" NODE(4, "four", "") "," NODE(2, "zwei", "") "]}" },
		3, 999, true, true },
	{ "services, and nothing else",
		{ "{" SELF "," PEERS "}",
			"{\"PeersChanged\":[" NODE(2, "two",
				",\"Hostinfo\":{\"Services\":[{\"Proto\":\"peerapi4\",\"Port\":9}]}") "]}" },
		2, 999, true, true },
	{ "patch of nobody",
		{ "{" SELF "," PEERS "}", "{\"PeersChangedPatch\":[{\"NodeID\":9,\"DERPRegion\":5}]}" }, 2,
		999, true, false },
	{ "patch", { "{" SELF "," PEERS "}", "{\"PeersChangedPatch\":[{\"NodeID\":2,\"DERPRegion\":5}]}" }, 2,
		999, true, true },
	{ "online of nobody", { "{" SELF "," PEERS "}", "{\"OnlineChange\":{\"9\":true}}" }, 2, 999, true,
		false },
	{ "online", { "{" SELF "," PEERS "}", "{\"OnlineChange\":{\"3\":true}}" }, 2, 999, true, true },
	{ "legacy filter is base", { "{" SELF ",\"PacketFilter\":[" RULE "]}" }, 0, 1, false, true },
	{ "empty filter blocks all", { "{" SELF ",\"PacketFilter\":[" RULE "]}", "{\"PacketFilter\":[]}" }, 0,
		0, true, true },
	{ "null filter is unchanged", { "{" SELF ",\"PacketFilter\":[" RULE "]}", "{\"PacketFilter\":null}" },
		0, 1, false, false },
	{ "named base is the same slot",
		{ "{" SELF ",\"PacketFilter\":[" RULE "]}",
			"{\"PacketFilters\":{\"base\":[" RULE "," RULE "]}}" },
		0, 2, false, true },
	{ "null deletes a name",
		{ "{" SELF ",\"PacketFilters\":{\"base\":[" RULE "],\"x\":[" RULE "]}}",
			"{\"PacketFilters\":{\"base\":null}}" },
		0, 999, false, true },
	{ "star clears first",
		{ "{" SELF ",\"PacketFilters\":{\"base\":[" RULE "],\"x\":[" RULE "]}}",
			"{\"PacketFilters\":{\"y\":[],\"*\":null}}" },
		0, 999, true, true },
	{ "the last word on a name",
		{ "{" SELF "}", "{\"PacketFilter\":[" RULE "],\"PacketFilters\":{\"base\":null}}" }, 0, 999,
		true, true },
	{ "what is cleared may be said again",
		{ "{" SELF ",\"PacketFilters\":{\"base\":[" RULE "]}}",
			"{\"PacketFilter\":[" RULE "," RULE "],\"PacketFilters\":{\"*\":null}}" },
		0, 2, false, true },
	{ "deltas add up",
		{ "{" SELF "," PEERS "}", "{\"PeersRemoved\":[3]}",
			"{\"PeersChanged\":[" NODE(5, "five", "") "]}", "{\"PeersRemoved\":[2]}" },
		1, 999, true, true },
};

static void rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct netmap *m = NULL;
		bool changed = false;
		for (size_t k = 0; k < 5 && rows[i].steps[k]; k++) {
			struct netmap *next = apply(m, rows[i].steps[k]);
			assert_non_null(next);
			changed = next != m;
			netmap_put(m);
			m = next;
		}
		if (!m)
			fail_msg("row %zu has no steps", i);
		else if (m->n_peers != rows[i].peers || rules_of(m, "base") != rows[i].base_rules ||
			 m->block_all != rows[i].block_all || changed != rows[i].changed)
			fail_msg("row %zu (%s): %zu peers, base %zu, block %d, changed %d", i, rows[i].what,
				m->n_peers, rules_of(m, "base"), m->block_all, changed);
		netmap_put(m);
	}
}

static void first_needs_node(void **state)
{
	(void)state;
	assert_null(apply(NULL, "{\"KeepAlive\":true}"));
	assert_null(apply(NULL, "{" PEERS "}"));
}

static void patch_is_exact_and_shares(void **state)
{
	(void)state;
	struct netmap *a = apply(NULL, "{" SELF "," PEERS "}");
	struct netmap *b = apply(a,
		"{\"PeersChangedPatch\":[{\"NodeID\":3,\"DERPRegion\":7,\"Endpoints\":[\"1.2.3.4:5\"],"
		"\"Online\":true,\"Cap\":119,\"DiscoKey\":\"discokey:" ZEROS "ff\"}]}");
	assert_ptr_equal(a->peers[0], b->peers[0]);
	assert_ptr_equal(a->self, b->self);
	const struct ctl_node *n = &netmap_peer_by_id(b, 3)->node, *was = &netmap_peer_by_id(a, 3)->node;
	assert_int_equal(n->home_derp, 7);
	assert_int_equal(n->cap, 119);
	assert_int_equal(n->endpoints.n, 1);
	assert_int_equal(n->online, OPT_TRUE);
	assert_int_equal(n->disco.b[31], 0xff);
	assert_string_equal(n->name, "three.x.test.");
	assert_int_equal(n->allowed_ips.n, 1); /* null: as the addresses */
	assert_int_equal(was->home_derp, 0);   /* the old snapshot is as it was */
	struct netmap *c = apply(b, "{\"PeersChangedPatch\":[{\"NodeID\":3,\"Endpoints\":[]}]}");
	assert_int_equal(netmap_peer_by_id(c, 3)->node.home_derp, 7);
	assert_int_equal(b->version + 1, c->version);
	netmap_put(a);
	netmap_put(c);
	netmap_put(b);
}

static void parts(void **state)
{
	(void)state;
	struct netmap *a = apply(NULL,
		"{" SELF ",\"DERPMap\":{\"Regions\":{\"900\":{\"RegionID\":900,\"Nodes\":[{\"Name\":\"a\","
		"\"RegionID\":900,\"HostName\":\"r\"}]},\"7\":null}},\"Domain\":\"x.test\","
		"\"UserProfiles\":[{\"ID\":2,\"LoginName\":\"b\"},{\"ID\":1,\"LoginName\":\"a\"}],"
		"\"Health\":[\"bad\"],\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"x.test\"],"
		"\"Routes\":{\"corp\":null}},\"ControlTime\":\"2023-11-14T22:33:20Z\"}");
	assert_int_equal(a->derp->n_regions, 1);
	assert_int_equal(a->users[0].id, 1);
	struct netmap *b =
		apply(a, "{\"DERPMap\":{\"Regions\":null},\"UserProfiles\":[{\"ID\":2,\"LoginName\":\"x\"},"
			 "{\"ID\":2,\"LoginName\":\"bb\"}],"
			 "\"Health\":[]}");
	assert_int_equal(b->derp->n_regions, 1);
	assert_int_equal(b->n_users, 2);
	assert_string_equal(b->users[0].login_name, "a");
	assert_string_equal(b->users[1].login_name, "bb");
	assert_int_equal(b->n_health, 0);
	assert_string_equal(b->domain, "x.test");
	assert_true(b->dns->proxied);
	struct netmap_diff d;
	assert_true(netmap_compare(a, b, &d));
	assert_true(d.users && d.health && !d.derp && !d.dns && !d.self && !d.names && !d.filters);
	netmap_diff_fini(&d);
	netmap_put(a);
	netmap_put(b);
}

static void compare(void **state)
{
	(void)state;
	struct netmap *a = apply(NULL, "{" SELF ",\"Peers\":[" NODE(2, "two", "") "," NODE(
					       3, "three", "") "," NODE(4, "four", "") "]}");
	struct netmap *b = apply(NULL, "{" SELF ",\"Peers\":[" NODE(2, "two", "") "," NODE(
					       4, "four", ",\"HomeDERP\":3") "," NODE(5, "five", "") "]}");
	struct netmap_diff d;
	assert_true(netmap_compare(a, b, &d)); /* two streams: equal peers are equal by content */
	assert_int_equal(d.n_added, 1);
	assert_int_equal(d.added[0]->node.id, 5);
	assert_int_equal(d.n_removed, 1);
	assert_int_equal(d.removed[0]->node.id, 3);
	assert_int_equal(d.n_changed, 1);
	assert_int_equal(d.changed[0]->node.home_derp, 3);
	assert_true(d.names && !d.self && !d.derp && !d.filters);
	netmap_diff_fini(&d);
	assert_true(netmap_compare(NULL, b, &d));
	assert_true(d.self && d.names && d.n_added == 3);
	netmap_diff_fini(&d);
	netmap_put(a);
	netmap_put(b);
}

static void round_trip(void **state)
{
	(void)state;
	struct netmap *a =
		apply(NULL, "{" SELF "," PEERS ",\"PacketFilters\":{\"base\":[" RULE "],\"x\":[" RULE "]},"
			    "\"Domain\":\"d\",\"DNSConfig\":{\"Proxied\":true},\"UserProfiles\":[{\"ID\":2}],"
			    "\"DERPMap\":{\"Regions\":{\"900\":{\"RegionID\":900,\"Nodes\":[{\"Name\":\"a\","
			    "\"RegionID\":900,\"HostName\":\"r\",\"STUNPort\":-1}]}}}}");
	struct buf text = { 0 };
	assert_true(netmap_write(a, &text));
	struct netmap *b = apply(NULL, buf_cstr(&text));
	buf_free(&text);
	struct netmap_diff d;
	assert_true(netmap_compare(a, b, &d));
	assert_int_equal(d.n_added + d.n_removed + d.n_changed, 0);
	assert_false(d.self || d.derp || d.dns || d.filters || d.users || d.health || d.names);
	assert_string_equal(a->domain, b->domain);
	netmap_diff_fini(&d);
	netmap_put(a);
	netmap_put(b);
}

static void expiry(void **state)
{
	(void)state;
	struct netmap *a = apply(NULL,
		"{" SELF ",\"Peers\":[" NODE(2, "two", ",\"KeyExpiry\":\"2023-11-14T22:43:20Z\"") "," NODE(
			3, "three", ",\"Expired\":true") "," NODE(4, "four", "") "," NODE(5, "five",
			",\"KeyExpiry\":\"0001-01-01T00:00:00Z\"") "," NODE(6, "six",
			",\"KeyExpiry\":\"9999-12-31T23:59:59Z\"") "]}");
	static const struct {
		int64_t id, unix_ms;
		bool expired;
	} cases[] = { { 2, NOW_MS + 799999, false }, { 2, NOW_MS + 800000, true }, { 3, 0, true },
		{ 4, INT64_MAX / 2, false }, { 5, INT64_MAX / 2, false }, /* Go's zero is never */
		{ 6, NOW_MS, false }, { 6, INT64_C(253402300798999), false },
		{ 6, INT64_C(253402300799000), true } };
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (netmap_peer_expired(netmap_peer_by_id(a, cases[i].id), cases[i].unix_ms) !=
			cases[i].expired)
			fail_msg("row %zu", i);
	}
	netmap_put(a);
}

static const char *problem_of(const struct netmap *m, int64_t node)
{
	for (size_t i = 0; i < m->n_problems; i++) {
		if (m->problems[i].node == node)
			return m->problems[i].text;
	}
	return NULL;
}

#define AT(id, addresses) \
	"{\"ID\":" #id ",\"Name\":\"p" #id ".x.test.\",\"Key\":\"" KEY ZEROS #id #id \
	"\",\"Addresses\":[" addresses "]}"

/* A control server gives away addresses of the mesh, not the machine's or the world's. */
static void addresses(void **state)
{
	(void)state;
	static const struct {
		const char *addresses;
		size_t kept;
		const char *says;
	} cases[] = {
		{ "\"100.64.0.2/32\",\"fd7a:115c:a1e0::2/128\"", 2, NULL },
		{ "\"100.64.0.2\"", 1, NULL },
		{ "\"0.0.0.0/0\",\"::/0\",\"100.64.0.2/32\"", 1, "0.0.0.0/0: not a single address" },
		{ "\"0.0.0.0/1\",\"128.0.0.0/1\"", 0, "0.0.0.0/1: not a single address" },
		{ "\"8.8.8.8/32\"", 0, "8.8.8.8/32: not a single address" },
		{ "\"192.168.1.1/32\"", 0, "192.168.1.1/32: not a single address" },
		{ "\"127.0.0.0/8\"", 0, "127.0.0.0/8: not a single address" },
		{ "\"127.0.0.1/32\"", 0, "127.0.0.1/32: not a single address" },
		{ "\"100.64.0.0/10\"", 0, "100.64.0.0/10: not a single address" },
		{ "\"100.64.0.99/31\"", 0, "100.64.0.99/31: not a single address" },
		{ "\"100.128.0.0/32\"", 0, "100.128.0.0/32: not a single address" },
		{ "\"fd7a:115c:a1e0::/48\"", 0, "not a single address" },
		{ "\"fd7a:115c:a1e1::1/128\"", 0, "not a single address" },
		{ "\"2001:db8::1/128\"", 0, "2001:db8::1/128: not a single address" },
		{ "\"100.100.100.100/32\"", 0, "100.100.100.100/32: the address of every" },
		{ "\"fd7a:115c:a1e0::53/128\"", 0, "fd7a:115c:a1e0::53/128: the address of every" },
		{ "\"100.64.0.1/32\",\"100.64.0.2/32\"", 1, "100.64.0.1/32: this machine's own" },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char json[1000];
		snprintf(json, sizeof(json), "{" SELF ",\"Peers\":[" AT(2, "%s") "]}", cases[i].addresses);
		struct netmap *m = apply(NULL, json);
		const struct ctl_node *n = &netmap_peer_by_id(m, 2)->node;
		const char *said = problem_of(m, 2);
		if (n->addresses.n != cases[i].kept || n->allowed_ips.n != cases[i].kept ||
			(cases[i].says ? !said || !strstr(said, cases[i].says) : said != NULL))
			fail_msg("row %zu: %zu kept, %s", i, n->addresses.n, said ? said : "nothing said");
		netmap_put(m);
	}
	struct netmap *m = apply(NULL,
		"{\"Node\":" AT(1, "\"127.0.0.1/8\",\"0.0.0.0/0\",\"10.9.0.4/24\",\"100.64.0.1/32\"") "}");
	assert_int_equal(m->self->node.addresses.n, 1);
	assert_int_equal(m->n_problems, 3);
	assert_string_equal(m->problems[0].text, "Node.Addresses: 127.0.0.1/8: not a single address of the "
						 "mesh (100.64.0.0/10, fd7a:115c:a1e0::/48)");
	netmap_put(m);
}

#define BAD AT(2, "\"8.8.8.8/32\"")
#define GOOD AT(2, "\"100.64.0.2/32\"")
#define ODD_DNS "\"DNSConfig\":{\"Proxied\":5}"

/* A problem lasts until the server says that part anew. */
static void problems_last(void **state)
{
	(void)state;
	static const struct {
		const char *what, *first, *then;
		size_t problems;
	} cases[] = {
		{ "other news", "\"Peers\":[" BAD "]," ODD_DNS, "{\"Health\":[\"x\"]}", 2 },
		{ "a patch", "\"Peers\":[" BAD "]", "{\"PeersChangedPatch\":[{\"NodeID\":2,\"Cap\":5}]}", 1 },
		{ "said anew, wrong again", "\"Peers\":[" BAD "]", "{\"PeersChanged\":[" BAD "]}", 1 },
		{ "said anew", "\"Peers\":[" BAD "]," ODD_DNS, "{\"PeersChanged\":[" GOOD "]}", 1 },
		{ "gone", "\"Peers\":[" BAD "]", "{\"PeersRemoved\":[2]}", 0 },
		{ "replaced", "\"Peers\":[" BAD "]", "{\"Peers\":[" NODE(3, "three", "") "]}", 0 },
		{ "names said anew", "\"Peers\":[" BAD "]," ODD_DNS, "{\"DNSConfig\":{}}", 1 },
		{ "self said anew", "\"Peers\":[]", "{\"Node\":" AT(1, "\"1.2.3.4/32\"") "}", 1 },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char json[1000];
		snprintf(json, sizeof(json), "{" SELF ",%s}", cases[i].first);
		struct netmap *a = apply(NULL, json), *b = apply(a, cases[i].then);
		if (b->n_problems != cases[i].problems)
			fail_msg("row %zu (%s): %zu, %s", i, cases[i].what, b->n_problems,
				b->n_problems ? b->problems[0].text : "");
		netmap_put(a);
		netmap_put(b);
	}
}

#define TWIN(id, name, key) \
	"{\"ID\":" #id ",\"Name\":\"" name "\",\"Key\":\"" KEY ZEROS #key \
	"\",\"Addresses\":[\"100.64.0." #id "/32\"]}"
#define TWINS "\"Peers\":[" TWIN(2, "two", 77) "," TWIN(3, "three", 88) "," TWIN(4, "four", 77) "]"

/* One node key is one machine: who of several peers is not reached by it, as long as it is so, and how that is said. */
static void one_key_twice(void **state)
{
	(void)state;
	static const struct {
		const char *what, *steps[3];
		int64_t doubles[3];
		const char *says;
	} cases[] = {
		{ "in the first map", { "{" SELF "," TWINS "}" }, { 2 },
			"Peers[two].Key: it is also that of four: two cannot be reached" },
		{ "other news", { "{" SELF "," TWINS "}", "{\"Health\":[\"x\"]}" }, { 2 },
			"Peers[two].Key: it is also that of four: two cannot be reached" },
		{ "comes later", { "{" SELF "," TWINS "}", "{\"PeersChanged\":[" TWIN(5, "five", 88) "]}" },
			{ 2, 3 }, "Peers[three].Key: it is also that of five: three cannot be reached" },
		{ "an older one comes later",
			{ "{" SELF "," PEERS "}", "{\"PeersChanged\":[" TWIN(5, "five", 77) "]}",
				"{\"PeersChanged\":[" TWIN(4, "four", 77) "]}" },
			{ 4 }, "Peers[four].Key: it is also that of five" },
		{ "by a patch",
			{ "{" SELF "," PEERS "}",
				"{\"PeersChangedPatch\":[{\"NodeID\":2,\"Key\":\"" KEY ZEROS "33\"}]}" },
			{ 2 }, "Peers[two.x.test.].Key: it is also that of three.x.test." },
		{ "three of them",
			{ "{" SELF ",\"Peers\":[" TWIN(2, "two", 77) "," TWIN(3, "three", 77) "," TWIN(
				4, "four", 77) "]}" },
			{ 2, 3 }, "Peers[three].Key: it is also that of four" },
		{ "the other goes", { "{" SELF "," TWINS "}", "{\"PeersRemoved\":[4]}" }, { 0 }, NULL },
		{ "it goes itself", { "{" SELF "," TWINS "}", "{\"PeersRemoved\":[2]}" }, { 0 }, NULL },
		{ "it gets another",
			{ "{" SELF "," TWINS "}", "{\"PeersChanged\":[" TWIN(2, "two", 99) "]}" }, { 0 },
			NULL },
		{ "it moves in one message",
			{ "{" SELF "," TWINS "}",
				"{\"PeersRemoved\":[3],\"PeersChanged\":[" TWIN(2, "two", 88) "]}" },
			{ 0 }, NULL },
		{ "they are replaced", { "{" SELF "," TWINS "}", "{" PEERS "}" }, { 0 }, NULL },
		{ "no key is none",
			{ "{" SELF ",\"Peers\":[" TWIN(2, "two", 00) "," TWIN(3, "three", 00) "]}" }, { 0 },
			NULL },
		{ "one id twice", { "{" SELF ",\"Peers\":[" TWIN(2, "two", 77) "," TWIN(2, "zwei", 88) "]}" },
			{ 0 }, "Peers[zwei].ID: it is also that of two, which is not used" },
		{ "one id twice, said anew",
			{ "{" SELF ",\"Peers\":[" TWIN(2, "two", 77) "," TWIN(2, "zwei", 88) "]}",
				"{" TWINS "}" },
			{ 2 }, "Peers[two].Key: it is also that of four" },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct netmap *m = NULL;
		bool said = !cases[i].says;
		size_t n = 0;
		for (size_t k = 0; k < 3 && cases[i].steps[k]; k++) {
			struct netmap *next = apply(m, cases[i].steps[k]);
			netmap_put(m);
			m = next;
		}
		for (size_t k = 0; k < m->n_problems; k++)
			said = said || !strncmp(m->problems[k].text, cases[i].says, strlen(cases[i].says));
		for (int64_t id = 0; id < 9; id++) {
			bool is = netmap_peer_is_double(m, id);
			if (is != (id && (id == cases[i].doubles[0] || id == cases[i].doubles[1])))
				fail_msg("%s: peer %d", cases[i].what, (int)id);
			n += is;
		}
		if (!said || m->n_problems != n + (cases[i].says && !n))
			fail_msg("%s: %s", cases[i].what,
				m->n_problems ? m->problems[0].text : "nothing said");
		netmap_put(m);
	}
}

/* More of them than are named, beside what was refused: they are counted once, as long as they are there. */
static void many_doubles(void **state)
{
	enum { TWINS_MANY = 40 };
	struct buf json = { 0 };
	char text[400];
	(void)state;
	snprintf(text, sizeof(text), "{" SELF ",\"Peers\":[" AT(2, "\"8.8.8.8/32\""));
	buf_append(&json, text, strlen(text));
	for (int i = 0; i < TWINS_MANY; i++) {
		snprintf(text, sizeof(text),
			",{\"ID\":%d,\"Name\":\"n\",\"Key\":\"" KEY ZEROS "77\",\"Addresses\":[]}", i + 3);
		buf_append(&json, text, strlen(text));
	}
	buf_append(&json, "]}", 3);
	struct netmap *m = apply(NULL, (const char *)buf_data(&json));
	static const char *const news[] = { "{\"Health\":[\"x\"]}", "{\"Health\":[\"y\"]}",
		"{\"Peers\":[" NODE(3, "three", "") "]}" };
	for (size_t i = 0;; i++) {
		const bool there = i < 3;
		assert_int_equal(m->n_problems + m->more_problems, there ? 1 + TWINS_MANY - 1 : 0);
		assert_int_equal(m->n_doubles, there ? TWINS_MANY - 1 : 0);
		if (!there)
			break;
		struct netmap *next = apply(m, news[i]);
		netmap_put(m);
		m = next;
	}
	netmap_put(m);
	buf_free(&json);
}

/* What cannot be read of a peer or a rule takes away, in deltas as in whole maps. */
static void revocation_holds(void **state)
{
	(void)state;
	struct netmap *a = apply(NULL, "{" SELF "," PEERS ",\"PacketFilter\":[" RULE "]}");
	struct netmap *b = apply(a, "{\"PeersChanged\":[" NODE(2, "two",
					    ",\"KeyExpiry\":\"x\"") "],\"PeersRemoved\":[3],"
								    "\"PacketFilter\":[{\"SrcIPs\":7}]}");
	assert_int_equal(b->n_peers, 1);
	assert_true(netmap_peer_expired(b->peers[0], NOW_MS));
	assert_true(b->block_all);
	assert_int_equal(b->n_problems, 2);
	netmap_put(a);
	netmap_put(b);
}

static void patch_cost(void **state)
{
	(void)state;
	enum { N = 1000 };
	struct ctl_node *nodes = calloc(N, sizeof(*nodes));
	struct ctl_node self = { .id = N + 1, .created_ms = INT64_MIN, .key_expiry_ms = INT64_MIN };
	for (int i = 0; i < N; i++)
		nodes[i] = (struct ctl_node) { .id = i + 1, .name = "n.x.test.", .stable_id = "s" };
	struct ctl_map_response m = {
		.node = &self, .peers = nodes, .n_peers = N, .control_time_ms = INT64_MIN
	};
	struct netmap *a = netmap_apply(NULL, &m, 0, NULL);
	struct ctl_peer_patch p = { .id = 500, .derp_region = 4 };
	struct ctl_map_response one = { .patches = &p, .n_patches = 1, .control_time_ms = INT64_MIN };
	struct netmap *b = netmap_apply(a, &one, 0, NULL);
	size_t shared = 0;
	for (int i = 0; i < N; i++)
		shared += a->peers[i] == b->peers[i];
	assert_int_equal(shared, N - 1);
	netmap_put(a);
	netmap_put(b);
	free(nodes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules),
		cmocka_unit_test(first_needs_node),
		cmocka_unit_test(patch_is_exact_and_shares),
		cmocka_unit_test(parts),
		cmocka_unit_test(compare),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(expiry),
		cmocka_unit_test(addresses),
		cmocka_unit_test(problems_last),
		cmocka_unit_test(one_key_twice),
		cmocka_unit_test(many_doubles),
		cmocka_unit_test(revocation_holds),
		cmocka_unit_test(patch_cost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
