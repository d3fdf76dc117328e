/* Of a peer that nobody has spoken to there is what the map said and no more; what is asked of it is answered as of one. */
#include "mesh/path/card.h"
#include "mesh/path/state.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { PEERS = 100, HOME = 7, NOW = 1000 };

/* Memory is short. */
static bool no_realloc, no_put;
void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size)
{
	return no_realloc ? NULL : __real_realloc(p, size);
}
bool __real_table_put(struct table *t, const void *key, void *value);
bool __wrap_table_put(struct table *t, const void *key, void *value);
bool __wrap_table_put(struct table *t, const void *key, void *value)
{
	return !no_put && __real_table_put(t, key, value);
}

struct rig {
	struct path *path;
	unsigned by_relay;
};

static void fill(void *arg, void *dst, size_t len)
{
	(void)arg;
	memset(dst, 0x42, len);
}
static void send_udp(
	void *arg, enum path_socket from, const struct endpoint *to, const uint8_t *b, size_t len)
{
	(void)arg, (void)from, (void)to, (void)b, (void)len;
}
static void send_relay(void *arg, int32_t region, const struct node_key *to, const uint8_t *b, size_t len)
{
	(void)region, (void)to, (void)b, (void)len;
	((struct rig *)arg)->by_relay++;
}
static void told(void *arg)
{
	(void)arg;
}
static void home_changed(void *arg, int32_t region)
{
	(void)arg, (void)region;
}
static void way_changed(void *arg, uint64_t peer)
{
	(void)arg, (void)peer;
}

static struct endpoint endpoint_of(size_t i, uint16_t port)
{
	return (struct endpoint) { .ip = addr_v4(0xcb007100u + (uint32_t)i), .port = port };
}

static struct path_peer peer_of(size_t i, const struct endpoint *at, size_t n)
{
	struct path_peer x = { .id = i + 1, .endpoints = at, .n_endpoints = n, .home = HOME };
	memset(x.key.b, (int)i + 1, KEY_LEN);
	memset(x.disco.b, (int)i + 1, KEY_LEN);
	return x;
}

static void rig_open(struct rig *r)
{
	struct path_ops ops = { .send_udp = send_udp,
		.send_relay = send_relay,
		.self_changed = told,
		.home_changed = home_changed,
		.way_changed = way_changed,
		.arg = r };
	struct random rnd = { fill, r };
	*r = (struct rig) { .path = path_new(&(struct node_key) { { 0xee } }, &ops, &rnd) };
	assert_non_null(r->path);
	for (size_t i = 0; i < PEERS; i++) {
		/* Twice the same, and one that nothing can be sent to. */
		struct endpoint at[] = { endpoint_of(i, 1), endpoint_of(i, 1), endpoint_of(i, 0),
			endpoint_of(i, 2) };
		struct path_peer x = peer_of(i, at, ARRAY_LEN(at));
		assert_true(path_peer_set(r->path, NOW, &x));
	}
}

static size_t made(const struct rig *r)
{
	size_t n = 0;
	for (size_t i = 0; i < PEERS; i++)
		n += peer_made(r->path, i + 1) != NULL;
	return n;
}

static void questions_make_nothing(void **state)
{
	struct rig r;
	struct path_state s;
	uint64_t id, ids[4];
	struct endpoint at = endpoint_of(3, 2), nowhere = endpoint_of(3, 3);
	struct path_peer x = peer_of(3, &at, 1);
	(void)state;
	rig_open(&r);
	struct path_way way = path_way(r.path, 4);
	assert_true(way.relay && !way.udp && way.region == HOME);
	assert_true(path_peer_state(r.path, NOW, 4, &s));
	assert_true(!s.direct && !s.active && s.region == HOME);
	assert_string_equal(s.why, "relay: no answer to 0 probes of 2 endpoints");
	assert_true(path_peer_by_key(r.path, &x.key, &id));
	assert_int_equal(id, 4);
	assert_int_equal(path_peers_named(r.path, &at, ids, 4), 1);
	assert_int_equal(ids[0], 4);
	assert_int_equal(path_peers_named(r.path, &nowhere, ids, 4), 0);
	assert_true(path_peer_set(r.path, NOW, &x)); /* the map says another thing */
	assert_true(path_peer_state(r.path, NOW, 4, &s));
	assert_string_equal(s.why, "relay: no answer to 0 probes of 1 endpoints");
	assert_int_equal(made(&r), 0);
	path_free(r.path);
}

static void used_ones_are_made(void **state)
{
	struct rig r;
	struct endpoint at = endpoint_of(3, 9);
	struct path_peer x = peer_of(3, &at, 1), y = peer_of(8, NULL, 0);
	(void)state;
	rig_open(&r);
	path_used(r.path, NOW, 4);
	assert_int_equal(made(&r), 1);
	struct peer *e = peer_made(r.path, 4);
	assert_int_equal(e->n_cands, 2);
	assert_null(card_find(r.path, 4)->named);
	assert_true(path_peer_set(r.path, NOW, &x)); /* it has them now */
	assert_int_equal(e->n_cands, 1);
	assert_true(endpoint_equal(&e->cands[0].at, &at));
	(void)path_relay_received(r.path, NOW, 2, &y.key, (const uint8_t *)"x", 1);
	assert_int_equal(made(&r), 2);
	assert_int_equal(path_way(r.path, 9).region, 2); /* where it was heard */
	path_peer_remove(r.path, 4);
	path_peer_remove(r.path, 5);
	assert_null(card_find(r.path, 4));
	assert_null(card_find(r.path, 5));
	path_free(r.path);
}

/* Machines with one disco key (copies of a disk): each is found, spoken to or not. */
static void shared_disco_key(void **state)
{
	struct rig r;
	(void)state;
	rig_open(&r);
	for (size_t i = 0; i < 3; i++) {
		struct path_peer x = peer_of(i, NULL, 0);
		memset(x.disco.b, 1, KEY_LEN);
		if (i == 1)
			path_used(r.path, NOW, x.id);
		assert_true(path_peer_set(r.path, NOW, &x));
	}
	size_t n = 0;
	for (struct card *c = table_get(&r.path->by_disco, card_find(r.path, 1)->disco.b); c;
		c = c->same_disco)
		n++;
	assert_int_equal(n, 3);
	path_peer_remove(r.path, 1);
	path_peer_remove(r.path, 2);
	uint8_t key[KEY_LEN];
	memset(key, 1, sizeof(key));
	assert_ptr_equal(table_get(&r.path->by_disco, key), card_find(r.path, 3));
	path_free(r.path);
}

/* Whole or not at all: nobody says its endpoints again to one that is made. */
static void memory_is_short(void **state)
{
	struct rig r;
	struct endpoint at[5] = { 0 };
	struct path_peer x = peer_of(3, at, ARRAY_LEN(at));
	(void)state;
	rig_open(&r);
	for (size_t i = 0; i < ARRAY_LEN(at); i++)
		at[i] = endpoint_of(3, (uint16_t)(i + 1));
	no_realloc = true;
	assert_null(peer_find(r.path, 4));
	assert_int_equal(card_find(r.path, 4)->n_named, 2);
	no_realloc = false;
	assert_non_null(peer_find(r.path, 4));
	assert_int_equal(peer_made(r.path, 4)->n_cands, 2);
	no_realloc = true;
	assert_false(path_peer_set(r.path, NOW, &x)); /* and is to be told again */
	no_realloc = false;
	assert_true(path_peer_set(r.path, NOW, &x));
	assert_int_equal(peer_made(r.path, 4)->n_cands, 5);
	path_free(r.path);
}

/* A key that could not be taken is news when it is said again. */
static void disco_key_said_again(void **state)
{
	struct rig r;
	(void)state;
	rig_open(&r);
	path_used(r.path, NOW, 4);
	for (size_t i = 3; i < 5; i++) { /* spoken to, and not */
		struct path_peer x = peer_of(i, NULL, 0);
		memset(x.disco.b, 0xc0 + (int)i, KEY_LEN);
		no_put = true;
		assert_false(path_peer_set(r.path, NOW, &x));
		no_put = false;
		assert_true(path_peer_set(r.path, NOW, &x));
		assert_ptr_equal(table_get(&r.path->by_disco, x.disco.b), card_find(r.path, i + 1));
	}
	path_free(r.path);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(questions_make_nothing),
		cmocka_unit_test(used_ones_are_made), cmocka_unit_test(shared_disco_key),
		cmocka_unit_test(memory_is_short), cmocka_unit_test(disco_key_said_again) };
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
