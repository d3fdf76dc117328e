/* A database in which names of nodes are none: the work of another program, or of a hand. Nobody's map lacks anything, and the
 * log says which they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/fleet/store.h"
#include "mesh/control/test/world.h"
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

enum { NODES = 6 };

static bool any_user(void *arg, const struct user *u)
{
	(void)arg, (void)u;
	return true;
}

static bool any_key(void *arg, const struct preauth *k)
{
	(void)arg, (void)k;
	return true;
}

static bool any_api_key(void *arg, const struct api_key *k)
{
	(void)arg, (void)k;
	return true;
}

static bool any_person(void *arg, const struct person *p)
{
	(void)arg, (void)p;
	return true;
}

static bool keep(void *arg, const struct member *m)
{
	struct member **all = arg;
	assert_true(m->id >= 1 && m->id <= NODES);
	return (all[m->id - 1] = member_copy(m)) != NULL;
}

/* Of the nodes 2, 3, ...; the server is not there. */
static void name_in_database(struct world *w, const char *const names[NODES - 1])
{
	char path[256];
	struct errbuf eb = { 0 };
	struct member *all[NODES] = { NULL };
	struct store *st = store_open(place_path(&w->place, "db.sqlite", path), &eb);
	assert_non_null(st);
	assert_int_equal(
		store_load(st, &(struct store_sink) { any_user, keep, any_key, any_api_key, any_person, all },
			&eb),
		0);
	assert_int_equal(store_begin(st, true, &eb), 0);
	for (size_t i = 0; i < NODES; i++) {
		assert_non_null(all[i]);
		if (i) {
			struct member draft = *all[i];
			draft.name = names[i - 1];
			assert_int_equal(store_node_put(st, &draft, &eb), 0);
		}
		member_put(all[i]);
	}
	assert_int_equal(store_commit(st, &eb), 0);
	store_close(st);
}

/* What the server says while it starts. */
static char *start_heard(struct world *w)
{
	char path[256];
	FILE *log = fopen(place_path(&w->place, "log", path), "w+");
	assert_non_null(log);
	int before = dup(STDERR_FILENO);
	assert_true(before >= 0 && dup2(fileno(log), STDERR_FILENO) >= 0);
	world_server_start(w);
	assert_true(dup2(before, STDERR_FILENO) >= 0);
	close(before);
	rewind(log);
	char *text = calloc(1, 16384);
	assert_non_null(text);
	(void)!fread(text, 1, 16383, log);
	fclose(log);
	return text;
}

static void test_names_of_the_database(void **state)
{
	static const char *const stored[NODES - 1] = { "", "Bad Name!", HUNDRED HUNDRED HUNDRED "-1", "-beta",
		"wpad" };
	static const char *const now[NODES - 1] = { "beta.", "beta-1.", "beta-2.", "beta-3.", "beta-4." };
	struct world *w = *state;
	struct world_node a, other;
	char key[128];
	size_t seen = 0;
	world_key(w, "{\"user\":\"alice\",\"create_user\":true,\"reusable\":true}", key);
	world_node_open(&a, w);
	world_node_join(&a, key, "alpha");
	for (size_t i = 1; i < NODES; i++) {
		world_node_open(&other, w);
		world_node_join(&other, key, "beta");
		world_node_close(&other);
	}
	world_server_kill(w, SIGTERM, 0);
	name_in_database(w, stored);
	char *said = start_heard(w);
	assert_non_null(strstr(said, "the name of node 2 in the database is \"\", which is none"));
	assert_non_null(strstr(said, "the name of node 3 in the database is \"Bad Name!\", which is none"));
	assert_non_null(strstr(said, "node 3 is beta-1 now"));
	free(said);
	world_node_connect(&a);
	world_node_ask_map(&a, true, NULL);
	const struct ctl_map_response *m = world_node_next(&a, &seen);
	assert_int_equal(m->n_peers, NODES - 1);
	assert_int_equal(m->n_problems, 0);
	for (size_t i = 0; i < m->n_peers; i++)
		if (strncmp(m->peers[i].name, now[i], strlen(now[i])) != 0)
			fail_msg("node %zu is %s", i + 2, m->peers[i].name);
	/* and so is what comes later: a machine of that name, the end of one of them */
	world_node_open(&other, w);
	world_node_join(&other, key, "beta");
	json_decref(world_admin(w, "/v1/nodes/delete", "{\"id\":4}"));
	do
		m = world_node_next(&a, &seen);
	while (!m->n_removed);
	assert_int_equal(m->peers_removed[0], 4);
	world_node_close(&other);
	world_node_close(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(
		test_names_of_the_database, world_setup, world_teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
