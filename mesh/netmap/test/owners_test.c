/* Whose an address is that several peers are told to have. */
#include "mesh/netmap/test/told_map.h"
#include "mesh/base/text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ZEROS "00000000000000000000000000000000000000000000000000000000000000"
#define NODE(id, name, rest) \
	"{\"ID\":" #id ",\"Name\":\"" name "\",\"Key\":\"nodekey:" ZEROS "1" #id "\"," rest "}"
#define AT(id, name, addresses) NODE(id, name, "\"Addresses\":[" addresses "]")
#define V4(n) "\"100.64.0." #n "/32\""
#define V6(n) "\"fd7a:115c:a1e0::" #n "/128\""
#define SELF "\"Node\":" AT(1, "self", V4(1))
/* two and four have one address of IPv4, two has one of IPv6 as well. */
#define PEERS \
	"\"Peers\":[" AT(2, "two", V4(2) "," V6(2)) "," AT(3, "three", V4(3)) "," AT(4, "four", V4(2)) "]"
#define FIRST "{" SELF "," PEERS "}"
#define TWO_SAYS "Peers[two].Addresses: 100.64.0.2/32: it is also that of four: two cannot be reached by it"

static struct netmap *step(struct netmap *old, const char *json)
{
	struct netmap *next = told_map(old, json);
	netmap_put(old);
	return next;
}

/* "2: 100.64.0.2 fd7a:115c:a1e0::2, 3: ..." */
static const char *who_has_what(const struct netmap *m)
{
	static char text[2000];
	size_t at = 0;
	text[0] = 0;
	for (size_t i = 0; i < m->n_peers; i++) {
		const struct ctl_node *c = &m->peers[i]->node;
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%d:", i ? ", " : "", (int)c->id);
		for (size_t k = 0; k < c->addresses.n; k++) {
			char ip[ADDR_TEXT];
			assert_ptr_equal(netmap_peer_by_address(m, &c->addresses.v[k].ip), m->peers[i]);
			addr_format(&c->addresses.v[k].ip, ip);
			at += (size_t)snprintf(text + at, sizeof(text) - at, " %s", ip);
		}
	}
	return text;
}

static const struct {
	const char *what, *steps[4], *has, *says; /* says: the last problem */
	size_t problems;
} cases[] = {
	{ "in the first map", { FIRST }, "2: fd7a:115c:a1e0::2, 3: 100.64.0.3, 4: 100.64.0.2", TWO_SAYS, 1 },
	{ "other news", { FIRST, "{\"Health\":[\"x\"]}" },
		"2: fd7a:115c:a1e0::2, 3: 100.64.0.3, 4: 100.64.0.2", TWO_SAYS, 1 },
	{ "a patch of who is without it",
		{ FIRST, "{\"PeersChangedPatch\":[{\"NodeID\":2,\"DERPRegion\":5}]}" },
		"2: fd7a:115c:a1e0::2, 3: 100.64.0.3, 4: 100.64.0.2", TWO_SAYS, 1 },
	{ "a patch, and then it is alone",
		{ FIRST, "{\"PeersChangedPatch\":[{\"NodeID\":2,\"DERPRegion\":5}]}",
			"{\"PeersRemoved\":[4]}" },
		"2: 100.64.0.2 fd7a:115c:a1e0::2, 3: 100.64.0.3", NULL, 0 },
	{ "a newer one comes", { FIRST, "{\"PeersChanged\":[" AT(5, "five", V4(3)) "]}" },
		"2: fd7a:115c:a1e0::2, 3:, 4: 100.64.0.2, 5: 100.64.0.3",
		"Peers[three].Addresses: 100.64.0.3/32: it is also that of five: three cannot be reached by "
		"it",
		2 },
	{ "an older one comes",
		{ "{" SELF ",\"Peers\":[" AT(4, "four", V4(2)) "]}",
			"{\"PeersChanged\":[" AT(2, "two", V6(2) "," V4(2)) "]}" },
		"2: fd7a:115c:a1e0::2, 4: 100.64.0.2", TWO_SAYS, 1 },
	{ "it takes the other address too",
		{ FIRST, "{\"PeersChanged\":[" AT(3, "three", V4(3) "," V6(2)) "]}" },
		"2:, 3: 100.64.0.3 fd7a:115c:a1e0::2, 4: 100.64.0.2",
		"Peers[two].Addresses: fd7a:115c:a1e0::2/128: it is also that of three", 2 },
	{ "three of them", { FIRST, "{\"PeersChanged\":[" AT(3, "three", V4(2)) "]}" },
		"2: fd7a:115c:a1e0::2, 3:, 4: 100.64.0.2",
		"Peers[three].Addresses: 100.64.0.2/32: it is also that of four", 2 },
	{ "three, and the last goes",
		{ FIRST, "{\"PeersChanged\":[" AT(3, "three", V4(2)) "]}", "{\"PeersRemoved\":[4]}" },
		"2: fd7a:115c:a1e0::2, 3: 100.64.0.2",
		"Peers[two].Addresses: 100.64.0.2/32: it is also that of three", 1 },
	{ "more than two addresses",
		{ FIRST, "{\"PeersChanged\":[" AT(5, "five", V4(9) "," V4(8) "," V4(3)) "]}" },
		"2: fd7a:115c:a1e0::2, 3:, 4: 100.64.0.2, 5: 100.64.0.9 100.64.0.8 100.64.0.3",
		"Peers[three].Addresses: 100.64.0.3/32: it is also that of five", 2 },
	{ "of more than two",
		{ FIRST, "{\"PeersChanged\":[" AT(3, "three", V4(9) "," V4(8) "," V4(3)) "]}",
			"{\"PeersChanged\":[" AT(4, "four", V4(8)) "]}" },
		"2: 100.64.0.2 fd7a:115c:a1e0::2, 3: 100.64.0.9 100.64.0.3, 4: 100.64.0.8",
		"Peers[three].Addresses: 100.64.0.8/32: it is also that of four", 1 },
	{ "the other goes", { FIRST, "{\"PeersRemoved\":[4]}" },
		"2: 100.64.0.2 fd7a:115c:a1e0::2, 3: 100.64.0.3", NULL, 0 },
	{ "the other gets another", { FIRST, "{\"PeersChanged\":[" AT(4, "four", V4(4)) "]}" },
		"2: 100.64.0.2 fd7a:115c:a1e0::2, 3: 100.64.0.3, 4: 100.64.0.4", NULL, 0 },
	{ "it goes itself", { FIRST, "{\"PeersRemoved\":[2]}" }, "3: 100.64.0.3, 4: 100.64.0.2", NULL, 0 },
	{ "it gets another", { FIRST, "{\"PeersChanged\":[" AT(2, "two", V4(4)) "]}" },
		"2: 100.64.0.4, 3: 100.64.0.3, 4: 100.64.0.2", NULL, 0 },
	{ "they change places in one message",
		{ FIRST, "{\"PeersChanged\":[" AT(4, "four", V4(3)) "," AT(3, "three", V4(2)) "]}" },
		"2: fd7a:115c:a1e0::2, 3: 100.64.0.2, 4: 100.64.0.3",
		"Peers[two].Addresses: 100.64.0.2/32: it is also that of three", 1 },
	{ "it goes and comes back in one message",
		{ FIRST, "{\"PeersRemoved\":[2],\"PeersChanged\":[" AT(2, "two", V4(2)) "]}" },
		"2:, 3: 100.64.0.3, 4: 100.64.0.2", TWO_SAYS, 1 },
	{ "all said anew", { FIRST, "{" PEERS "}" }, "2: fd7a:115c:a1e0::2, 3: 100.64.0.3, 4: 100.64.0.2",
		TWO_SAYS, 1 },
	{ "others in their place", { FIRST, "{\"Peers\":[" AT(2, "two", V4(2)) "]}" }, "2: 100.64.0.2", NULL,
		0 },
	{ "twice in one peer", { "{" SELF ",\"Peers\":[" AT(2, "two", V4(2) "," V4(2)) "]}" },
		"2: 100.64.0.2 100.64.0.2", NULL, 0 },
	{ "ours is nobody's", { "{" SELF ",\"Peers\":[" AT(2, "two", V4(1)) "]}" },
		"2:", "Peers[two].Addresses: 100.64.0.1/32: this machine's own", 1 },
	{ "a peer's becomes ours", { FIRST, "{\"Node\":" AT(1, "self", V4(3)) "}" },
		"2: fd7a:115c:a1e0::2, 3:, 4: 100.64.0.2", TWO_SAYS, 2 },
	{ "two have what becomes ours", { FIRST, "{\"Node\":" AT(1, "self", V6(2) "," V4(2)) "}" },
		"2:, 3: 100.64.0.3, 4:", "Peers[four].Addresses: 100.64.0.2/32: this machine's own", 3 },
};

static void one_address_twice(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct netmap *m = step(NULL, cases[i].steps[0]);
		for (size_t k = 1; k < ARRAY_LEN(cases[i].steps) && cases[i].steps[k]; k++)
			m = step(m, cases[i].steps[k]);
		const char *has = who_has_what(m),
			   *said = m->n_problems ? m->problems[m->n_problems - 1].text : "";
		if (strcmp(has, cases[i].has) != 0 || m->n_problems != cases[i].problems ||
			(cases[i].says && strncmp(said, cases[i].says, strlen(cases[i].says)) != 0))
			fail_msg("%s: %s, %zu problems, %s", cases[i].what, has, m->n_problems, said);
		netmap_put(m);
	}
}

/* What it is not allowed goes with the address, and what it carries stays. */
static void networks_stay(void **state)
{
	(void)state;
	struct netmap *m =
		told_map(NULL, "{" SELF ",\"Peers\":[" NODE(2, "two",
				       "\"Addresses\":[" V4(2) "],\"AllowedIPs\":[" V4(
					       2) ",\"10.0.0.0/8\",\"0.0.0.0/0\",\"100.64.0.2/0\"]") "," AT(4,
				       "four", V4(2)) "]}");
	const struct ctl_prefixes *l = &m->peers[0]->node.allowed_ips;
	char text[PREFIX_TEXT];
	assert_int_equal(l->n, 3);
	assert_string_equal(prefix_format(&l->v[0], text), "10.0.0.0/8");
	assert_int_equal(l->v[1].bits, 0);
	assert_int_equal(l->v[2].bits, 0);
	netmap_put(m);
}

/* Who lost an address and who got one are others than before, and what is left alone is the same snapshot. */
static void differences(void **state)
{
	struct netmap_diff d;
	(void)state;
	struct netmap *a = told_map(NULL,
			      "{" SELF ",\"Peers\":[" AT(2, "two", V4(2)) "," AT(3, "three", V4(3)) "]}"),
		      *b = told_map(a, "{\"PeersChanged\":[" AT(4, "four", V4(2)) "]}"),
		      *c = told_map(b, "{\"PeersRemoved\":[4]}"),
		      *same = told_map(b, "{\"PeersRemoved\":[9]}"),
		      *again = told_map(b, "{\"PeersChanged\":[" AT(2, "two", V4(2)) "]}");
	assert_true(netmap_compare(a, b, &d));
	assert_true(
		d.n_changed == 1 && d.changed[0]->node.id == 2 && d.n_added == 1 && d.addresses && d.names);
	netmap_diff_fini(&d);
	assert_true(netmap_compare(b, c, &d));
	assert_true(d.n_changed == 1 && d.changed[0]->node.id == 2 && d.n_removed == 1 && d.addresses);
	netmap_diff_fini(&d);
	assert_ptr_equal(c->peers[0], a->peers[0]);
	assert_ptr_equal(same, b);
	assert_ptr_equal(again, b);
	netmap_put(same);
	netmap_put(again);
	netmap_put(c);
	netmap_put(b);
	netmap_put(a);
}

/* What is kept on disk says what the server said. */
static void written_as_told(void **state)
{
	struct buf text = { 0 };
	(void)state;
	struct netmap *m = told_map(NULL, FIRST);
	assert_true(netmap_write(m, &text));
	buf_append(&text, "", 1);
	m = step(m, "{\"PeersRemoved\":[2,3,4]}");
	m = step(m, (const char *)buf_data(&text));
	m = step(m, "{\"PeersRemoved\":[4]}");
	assert_string_equal(who_has_what(m), "2: 100.64.0.2 fd7a:115c:a1e0::2, 3: 100.64.0.3");
	netmap_put(m);
	buf_free(&text);
}

/* --- many changes --- */

enum { IDS = 200, POOL = 250, ROUNDS = 400, TOLD_MAX = 4 };

struct model {
	unsigned n[IDS], told[IDS][TOLD_MAX]; /* n: of told, plus one; 0: it is not there */
};

static unsigned next_random(unsigned *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Some come, change or leave. */
static void random_message(struct model *all, unsigned *seed, char *json, size_t cap)
{
	bool touched[IDS] = { false };
	size_t at = (size_t)snprintf(json, cap, "{\"PeersChanged\":[");
	char removed[400] = "";
	const char *comma = "";
	for (unsigned i = 0, n = 1 + next_random(seed) % 8; i < n; i++) {
		unsigned id = 2 + next_random(seed) % (IDS - 2);
		if (touched[id])
			continue;
		touched[id] = true;
		if (next_random(seed) % 4 == 0) {
			size_t len = strlen(removed);
			snprintf(removed + len, sizeof(removed) - len, "%s%u", len ? "," : "", id);
			all->n[id] = 0;
			continue;
		}
		all->n[id] = 1 + next_random(seed) % (TOLD_MAX + 1);
		at += (size_t)snprintf(json + at, cap - at,
			"%s{\"ID\":%u,\"Name\":\"p\",\"Key\":\"nodekey:%064x\",\"Addresses\":[", comma, id,
			id);
		comma = ",";
		for (unsigned k = 0; k + 1 < all->n[id]; k++) {
			all->told[id][k] = 2 + next_random(seed) % POOL;
			at += (size_t)snprintf(
				json + at, cap - at, "%s\"100.64.0.%u/32\"", k ? "," : "", all->told[id][k]);
		}
		at += (size_t)snprintf(json + at, cap - at, "]}");
	}
	at += (size_t)snprintf(json + at, cap - at, "],\"PeersRemoved\":[%s]}", removed);
	assert_true(at < cap);
}

static unsigned owner_of(const struct model *all, unsigned host)
{
	unsigned owner = 0;
	for (unsigned id = 2; id < IDS; id++)
		for (unsigned k = 0; k + 1 < all->n[id]; k++)
			owner = all->told[id][k] == host ? id : owner;
	return owner;
}

static void assert_is(const struct netmap *m, const struct model *all)
{
	unsigned owners[POOL + 2];
	size_t there = 0;
	for (unsigned host = 2; host < POOL + 2; host++) {
		struct addr ip = addr_v4(0x64400000 + host);
		const struct netmap_peer *p = netmap_peer_by_address(m, &ip);
		owners[host] = owner_of(all, host);
		assert_int_equal(p ? p->node.id : 0, owners[host]);
	}
	for (unsigned id = 2; id < IDS; id++) {
		const struct netmap_peer *p = netmap_peer_by_id(m, id);
		size_t has = 0;
		assert_int_equal(p != NULL, all->n[id] != 0);
		for (unsigned k = 0; k + 1 < all->n[id]; k++)
			has += owners[all->told[id][k]] == id;
		if (p)
			assert_int_equal(p->node.addresses.n, has);
		there += p != NULL;
	}
	assert_int_equal(m->n_peers, there);
}

static void many_changes(void **state)
{
	static struct model all;
	static char json[20000];
	unsigned seed = 5;
	(void)state;
	struct netmap *m = told_map(NULL, "{" SELF "}");
	for (unsigned round = 0; round < ROUNDS; round++) {
		random_message(&all, &seed, json, sizeof(json));
		m = step(m, json);
		assert_is(m, &all);
	}
	netmap_put(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_address_twice),
		cmocka_unit_test(networks_stay),
		cmocka_unit_test(differences),
		cmocka_unit_test(written_as_told),
		cmocka_unit_test(many_changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
