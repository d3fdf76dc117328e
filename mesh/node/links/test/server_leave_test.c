/* Leaving a server: logouts, logins that are taken back, a server that forgets us. */
#include "mesh/node/links/test/site.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_forgotten(void **state)
{
	struct site *s = site_new();
	(void)state;
	s->us.logged_in = true;
	s->us.server = s->pub;
	s->map_status = 404;
	site_open(s);
	WAIT(s->n_forgotten);
	s->map_status = 200;
	WAIT(s->n_maps);
	assert_int_equal(s->n_registers, 1); /* it was shown anew */
	site_free(s);
}

/* Out of an open stream, and with the server away: done is called, once. */
static void test_logout(void **state)
{
	(void)state;
	for (int away = 0; away < 2; away++) {
		struct site *s = site_new();
		s->us.logged_in = true;
		s->us.server = s->pub;
		if (away)
			loop_fd_set(s->watch, 0);
		site_open(s);
		if (!away)
			WAIT(s->n_maps);
		server_link_logout(s->link, logged_out, s);
		WAIT(s->n_logout);
		assert_int_equal(s->n_registers, !away);
		loop_run_once(s->loop);
		assert_int_equal(s->n_logout, 1);
		site_free(s);
	}
}

/* What waits for a person is taken back, and what a server may have let in meanwhile, too: by the key that
 * was shown, and by the one in force where that is another. */
static void test_logout_of_login(void **state)
{
	static const struct {
		bool logged_in, renews;
		size_t goodbyes;
	} rows[] = { { false, false, 1 }, { false, true, 1 }, { true, true, 2 } };
	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		struct site *s = site_new();
		struct node_key ours;
		bool by_key = i >= ARRAY_LEN(rows), other = rows[i % ARRAY_LEN(rows)].renews;
		s->us.logged_in = rows[i % ARRAY_LEN(rows)].logged_in;
		s->us.server = s->pub;
		s->registers[0] = ASKS;
		s->holds_followups = s->holds_keys = true;
		key_public(s->us.node.b, ours.b);
		site_open(s);
		assert_false(server_link_is_shown(s->link));
		server_link_login(s->link, by_key ? "tskey-secret" : "", other);
		WAIT(s->held);
		assert_true(server_link_is_shown(s->link));
		assert_int_equal(key_equal(s->shown.b, ours.b), !other);
		struct node_key shown = s->shown;
		server_link_logout(s->link, logged_out, s);
		if (by_key) /* the server has let it in already */
			h2_respond(s->held, 200, "application/json", ACCEPTED, sizeof(ACCEPTED) - 1);
		WAIT(s->n_logout);
		assert_int_equal(s->n_gone, !by_key);
		assert_int_equal(s->n_accepted + s->n_streams, 0);
		assert_int_equal(s->n_goodbyes, rows[i % ARRAY_LEN(rows)].goodbyes);
		assert_memory_equal(&s->goodbyes[0], &shown, sizeof(shown));
		assert_memory_equal(
			&s->goodbyes[s->n_goodbyes - 1], s->us.logged_in ? &ours : &shown, sizeof(ours));
		assert_false(holds(s->link, sizeof(*s->link), "secret"));
		assert_true(key_is_zero(s->link->login.next.b));
		site_free(s);
	}
}

/* A server that is away is not waited for as long as the other tries are apart. */
static void test_logout_waits_for_no_try(void **state)
{
	struct site *s = site_new();
	(void)state;
	s->us.logged_in = true;
	s->us.server = s->pub;
	loop_fd_set(s->watch, 0);
	assert_int_equal(shutdown(s->fd, SHUT_RD), 0); /* connections are refused */
	site_open(s);
	WAIT(s->link->backoff_ms);
	s->link->backoff_ms = SERVER_BACKOFF_MAX_MS;
	uint64_t from = loop_now_ms(s->loop);
	server_link_logout(s->link, logged_out, s);
	WAIT(s->n_logout);
	assert_in_range(loop_now_ms(s->loop) - from, 0, SERVER_BACKOFF_MAX_MS - 1);
	site_free(s);
}

/* A person is asked, and then there is a key: it is the same login, and leaves none behind on the server. */
static void test_key_for_a_login_that_waits(void **state)
{
	struct site *s = site_new();
	(void)state;
	s->us.logged_in = true;
	s->us.server = s->pub;
	s->registers[0] = ASKS;
	s->holds_followups = true;
	site_open(s);
	server_link_login(s->link, "", true);
	WAIT(s->held);
	struct node_key shown = s->shown;
	s->registers[0] = ACCEPTED;
	s->n_registers = 0;
	server_link_login(s->link, "tskey-secret", true);
	WAIT(s->n_accepted);
	assert_memory_equal(&s->shown, &shown, sizeof(shown));
	site_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forgotten),
		cmocka_unit_test(test_logout),
		cmocka_unit_test(test_logout_of_login),
		cmocka_unit_test(test_logout_waits_for_no_try),
		cmocka_unit_test(test_key_for_a_login_that_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
