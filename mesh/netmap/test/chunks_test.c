#include "mesh/netmap/chunks.h"
#include "mesh/netmap/walk.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { IDS = 1000, ROUNDS = 300, CHANGES_MAX = 40 };

/* Which allocation fails, counted from 1; 0: none. */
static unsigned fails_at;

static bool is_short(void)
{
	return fails_at && !--fails_at;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	return is_short() ? NULL : __real_malloc(size);
}

void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size)
{
	return is_short() ? NULL : __real_realloc(p, size);
}

/* Numbers without a pattern, the same in each run. */
static unsigned next_random(unsigned *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static struct netmap_peer *new_peer(int64_t id)
{
	struct ctl_node c = { .id = id, .name = "", .stable_id = "" };
	struct prefix at[3] = { prefix_of(&(struct addr) { { 0xfd, [15] = 7 } }),
		prefix_of(&(struct addr) { { 0xfd, [12] = 1, [15] = 9 } }), { .bits = 128 } };
	memcpy(c.key.b, &id, sizeof(id));
	c.addresses = (struct ctl_prefixes) { .v = at, .n = (size_t)id % 4 };
	struct netmap_peer *p = peer_new(&c);
	assert_non_null(p);
	return p;
}

/* As an array by number says it. */
struct model {
	const struct netmap_peer *at[IDS];
};

/* What a chunk says of a peer is so. */
static void assert_ends(const struct netmap_chunk *k, unsigned at)
{
	static const uint32_t ends[4][2] = { { 0, 0 }, { 7, 7 }, { 7, 0x01000009 },
		{ ENDS_MANY, ENDS_MANY } };
	const struct ctl_node *c = &k->peers[at]->node;
	assert_int_equal(k->keys[at], key_start(&c->key));
	assert_memory_equal(k->ends[at], ends[c->id % 4], sizeof(k->ends[at]));
}

static void assert_holds(const struct netmap_chunks *c, const struct model *want)
{
	const struct netmap_peer **all = chunks_list(c);
	size_t n = 0;
	assert_non_null(all);
	for (int64_t id = 0; id < IDS; id++) {
		assert_ptr_equal(chunks_find(c, id), want->at[id]);
		if (want->at[id])
			assert_ptr_equal(all[n++], want->at[id]);
	}
	assert_int_equal(chunks_count(c), n);
	for (size_t i = 0; i < c->n; i++) {
		const struct netmap_chunk *k = c->v[i];
		assert_true(k->n >= 1 && k->n <= CHUNK_PEERS);
		for (unsigned at = 0; at < k->n; at++)
			assert_ends(k, at);
	}
	free(all);
}

static void change(struct netmap_chunks *c, struct model *m, int64_t id, bool comes)
{
	if (comes) {
		struct netmap_peer *p = new_peer(id);
		assert_true(chunks_put(c, p));
		m->at[id] = p;
	} else {
		assert_true(chunks_remove(c, id));
		m->at[id] = NULL;
	}
}

static struct netmap as_map(const struct netmap_chunks *c)
{
	struct netmap m = { .chunks = *c, .n_peers = chunks_count(c), .peers = chunks_list(c) };
	assert_non_null(m.peers);
	return m;
}

static void assert_walk(const struct netmap_chunks *a, const struct model *was, const struct netmap_chunks *b,
	const struct model *is)
{
	struct netmap from = as_map(a), to = as_map(b);
	struct netmap_walk w = { .from.map = &from, .to.map = &to };
	for (int64_t id = 0; id < IDS; id++) {
		if (was->at[id] == is->at[id])
			continue;
		assert_true(netmap_walk_next(&w));
		assert_ptr_equal(w.goes, was->at[id]);
		assert_ptr_equal(w.comes, is->at[id]);
	}
	assert_false(netmap_walk_next(&w));
	free(from.peers);
	free(to.peers);
}

static void snapshots_hold_what_they_held(void **state)
{
	struct netmap_chunks now = { 0 }, next;
	struct model was = { 0 }, is = { 0 };
	unsigned seed = 7;
	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		/* They come, many at first; then most of them leave. */
		unsigned n = 1 + next_random(&seed) % CHANGES_MAX, stays = round < ROUNDS / 2 ? 70 : 25;
		assert_true(chunks_share(&next, &now));
		while (n--)
			change(&next, &is, next_random(&seed) % IDS, next_random(&seed) % 100 < stays);
		assert_holds(&now, &was);
		assert_holds(&next, &is);
		assert_walk(&now, &was, &next, &is);
		assert_walk(&next, &is, &now, &was);
		chunks_free(&now);
		now = next;
		was = is;
	}
	chunks_free(&now);
}

static void fill(struct netmap_chunks *c, struct model *m, unsigned n)
{
	*c = (struct netmap_chunks) { 0 };
	*m = (struct model) { 0 };
	for (unsigned i = 0; i < n; i++)
		change(c, m, i * 2, true);
}

static void a_change_takes_one_chunk(void **state)
{
	struct netmap_chunks all, next;
	struct model m;
	(void)state;
	fill(&all, &m, IDS / 2);
	assert_int_equal(all.n, (IDS / 2 + CHUNK_PEERS - 1) / CHUNK_PEERS);
	for (int64_t id = 0; id < 200;
		id++) { /* another one, or a new one in a full chunk, at each place of it */
		struct model changed = m;
		size_t others = 0, k = 0;
		assert_true(chunks_share(&next, &all));
		change(&next, &changed, id, true);
		for (size_t i = 0; i < next.n; i++) {
			while (k < all.n && all.v[k] != next.v[i])
				k++;
			others += k == all.n;
			k = k == all.n ? 0 : k;
		}
		assert_in_range(others, 1, 2);
		assert_holds(&all, &m);
		chunks_free(&next);
	}
	chunks_free(&all);
}

/* Who is in a chunk of both is not even looked at: here they would differ. */
static void a_walk_skips_what_is_shared(void **state)
{
	struct netmap_chunks all, next;
	struct model m, changed;
	(void)state;
	fill(&all, &m, IDS / 2);
	changed = m;
	assert_true(chunks_share(&next, &all));
	change(&next, &changed, 500, true);
	change(&next, &changed, 501, true);
	change(&next, &changed, 502, false);
	struct netmap from = as_map(&all), to = as_map(&next);
	for (size_t i = 0; i < CHUNK_PEERS; i++)
		from.peers[i] = to.peers[to.n_peers - 1 - i] = NULL;
	struct netmap_walk w = { .from.map = &from, .to.map = &to };
	for (int64_t id = 500; id < 503; id++) {
		assert_true(netmap_walk_next(&w));
		assert_ptr_equal(w.goes, m.at[id]);
		assert_ptr_equal(w.comes, changed.at[id]);
	}
	assert_false(netmap_walk_next(&w));
	free(from.peers);
	free(to.peers);
	chunks_free(&next);
	chunks_free(&all);
}

/* Maps that nobody made by a message have peers, and no chunks. */
static void a_walk_needs_no_chunks(void **state)
{
	const struct netmap_peer *a = new_peer(1), *b = new_peer(2), *c = new_peer(3);
	const struct netmap_peer *some[] = { a, b }, *others[] = { b, c };
	struct netmap from = { .peers = some, .n_peers = 2 }, to = { .peers = others, .n_peers = 2 };
	struct netmap_walk w = { .from.map = &from, .to.map = &to };
	(void)state;
	assert_true(netmap_walk_next(&w));
	assert_true(w.goes == a && !w.comes);
	assert_true(netmap_walk_next(&w));
	assert_true(!w.goes && w.comes == c);
	assert_false(netmap_walk_next(&w));
	w = (struct netmap_walk) { .to.map = &from };
	assert_true(netmap_walk_next(&w) && netmap_walk_next(&w) && w.comes == b);
	assert_false(netmap_walk_next(&w));
	peer_put(a);
	peer_put(b);
	peer_put(c);
}

/* Each allocation of a change fails once: it is not made then, and both snapshots are whole. */
static void short_of_memory(void **state)
{
	static const struct {
		int64_t id;
		bool comes;
		size_t chunks;
	} rows[] = {
		{ 100, true, 6 },  /* one that is there */
		{ 101, true, 7 },  /* a new one, in a full chunk */
		{ 900, true, 7 },  /* behind all, where the last chunk is full */
		{ 100, false, 6 }, /* of many */
		{ 130, false, 5 }, /* what is left of its chunk goes into one with the next */
	};
	struct netmap_chunks all, next = { 0 };
	struct model m, changed;
	(void)state;
	fill(&all, &m, 6 * CHUNK_PEERS);
	for (int64_t id = 162; id < 384; id += id == 254 ? 34 : 2) /* 17 and 16 of two chunks stay */
		change(&all, &m, id, false);
	assert_int_equal(all.n, 6);
	for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
		const int64_t id = rows[row].id;
		bool done = false, comes = rows[row].comes;
		for (unsigned at = 1; !done; at++) {
			struct netmap_peer *p = comes ? new_peer(id) : NULL;
			changed = m;
			fails_at = at;
			bool shared = chunks_share(&next, &all);
			done = shared && (comes ? chunks_put(&next, p) : chunks_remove(&next, id));
			if (done)
				changed.at[id] = p;
			else
				peer_put(p);
			done = done && fails_at;
			if (done) /* without a failure */
				assert_int_equal(next.n, rows[row].chunks);
			fails_at = 0;
			assert_holds(&all, &m);
			if (shared)
				assert_holds(&next, &changed);
			chunks_free(&next);
			assert_true(at < 10);
		}
	}
	chunks_free(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(snapshots_hold_what_they_held),
		cmocka_unit_test(a_change_takes_one_chunk),
		cmocka_unit_test(a_walk_skips_what_is_shared),
		cmocka_unit_test(a_walk_needs_no_chunks),
		cmocka_unit_test(short_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
