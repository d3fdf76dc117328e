/* Logins and maps against a server of the test's; what a finished login leaves in memory is looked at. */
#include "mesh/node/links/test/site.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_login_by_key(void **state)
{
	struct site *s = site_new();
	struct node_key ours;
	(void)state;
	site_open(s);
	key_public(s->us.node.b, ours.b);
	server_link_login(s->link, "tskey-secret", false);
	assert_true(server_link_has_key(s->link));
	WAIT(s->n_maps);
	assert_string_equal(s->auth_key, "tskey-secret");
	assert_memory_equal(&s->shown, &ours, sizeof(ours));
	assert_true(s->n_accepted == 1 && s->n_up == 1 && s->n_first == 1 && s->n_server_is);
	assert_memory_equal(&s->us.server, &s->pub, sizeof(s->pub));
	assert_true(server_link_connected(s->link));
	assert_string_equal(server_link_waiting_for(s->link), "");
	/* A used key is not kept, not even a part of it. */
	assert_false(server_link_has_key(s->link));
	assert_false(holds(s->link, sizeof(*s->link), "secret"));
	WAIT(s->n_told);
	site_free(s);
}

static void test_refused_key(void **state)
{
	struct site *s = site_new();
	(void)state;
	s->registers[0] = "{\"Error\":\"the key is used up\"}";
	site_open(s);
	server_link_login(s->link, "tskey-secret", false);
	WAIT(s->refused[0]);
	assert_string_equal(s->refused, "the key is used up");
	assert_false(holds(s->link, sizeof(*s->link), "secret"));
	assert_int_equal(s->n_accepted + s->n_up, 0);
	site_free(s);
}

/* Somebody in between, or another server at the same address: it learns nothing from us, and its key is not
 * kept. */
static void test_other_server(void **state)
{
	struct site *s = site_new();
	struct machine_key joined = { { 7 } };
	(void)state;
	s->us.server = joined;
	s->us.logged_in = true;
	site_open(s);
	WAIT(s->refused[0]);
	assert_non_null(strstr(s->refused, "another key"));
	assert_int_equal(s->n_links + s->n_registers + s->n_streams + s->n_server_is, 0);
	assert_memory_equal(&s->us.server, &joined, sizeof(joined));
	/* Ours may come back: it is looked for on. */
	assert_true(loop_timer_is_set(s->link->retry));
	s->us.server = s->pub;
	server_link_try_now(s->link);
	WAIT(s->n_maps);
	assert_int_equal(s->n_registers, 0); /* what was logged in still is */
	site_free(s);
}

/* Invited to a server with another key: whoever is there is told nothing, the auth key least of all, and nobody is
 * asked again until a person acts. */
static void test_pinned(void **state)
{
	(void)state;
	for (int right = 0; right < 2; right++) {
		struct site *s = site_new();
		s->us.prefs.server_pin = right ? s->pub : (struct machine_key) { { 7 } };
		site_open(s);
		server_link_login(s->link, "tskey-secret", false);
		WAIT(right ? s->n_maps : s->refused[0] != 0);
		assert_int_equal(s->n_server_is, right);
		assert_int_equal(s->n_links, right);
		if (!right) {
			assert_non_null(strstr(s->refused, "than the invitation says"));
			assert_false(loop_timer_is_set(s->link->retry));
			assert_false(holds(s->link, sizeof(*s->link), "secret"));
		}
		site_free(s);
	}
}

static void test_person_is_asked(void **state)
{
	struct site *s = site_new();
	(void)state;
	s->registers[0] = "{\"AuthURL\":\"https://login.test/a/1\"}";
	s->registers[1] = ACCEPTED;
	site_open(s);
	WAIT(s->n_maps);
	assert_string_equal(s->asked, "https://login.test/a/1");
	assert_string_equal(s->followup, "https://login.test/a/1");
	assert_int_equal(s->n_registers, 2);
	site_free(s);
}

/* What a person, or a program for them, is told to open is a page on the web. */
static void test_login_at_no_page(void **state)
{
#define A100 \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aa"
	static const struct {
		const char *url;
		bool page;
	} rows[] = { { "https://login.test/a/1?x=%20", true }, { "HTTP://10.0.0.1:8080/register/x", true },
		{ "file:///etc/passwd", false }, { "javascript:alert(1)", false },
		{ "ssh://-oProxyCommand=x", false }, { "https:///a", false }, { "//login.test/a", false },
		{ "login.test/a", false }, { "https://login.test/a b", false },
		{ "https://login.test/\\u001b[2J", false }, { "https://login.test/\\u00e4", false },
		{ " https://login.test/", false },
		{ "https://login.test/" A100 A100 A100 A100 A100, false } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct site *s = site_new();
		char text[700];
		snprintf(text, sizeof(text), "{\"AuthURL\":\"%s\"}", rows[i].url);
		s->registers[0] = text;
		s->holds_followups = true;
		site_open(s);
		WAIT(s->asked[0] || strstr(server_link_waiting_for(s->link), "no http:// or https:// page"));
		if ((s->asked[0] != 0) != rows[i].page ||
			(rows[i].page && strcmp(s->asked, rows[i].url) != 0))
			fail_msg("row %zu: \"%s\", %s", i, s->asked, server_link_waiting_for(s->link));
		if (rows[i].page)
			WAIT(s->held);
		assert_string_equal(s->followup, rows[i].page ? rows[i].url : "");
		site_free(s);
	}
}

static void test_admin_is_asked(void **state)
{
	struct site *s = site_new();
	(void)state;
	s->registers[0] = "{\"MachineAuthorized\":false,\"User\":{\"ID\":1}}";
	s->registers[1] = ACCEPTED;
	site_open(s);
	WAIT(s->n_maps);
	assert_int_equal(s->n_waits, 1);
	site_free(s);
}

/* The new key is shown beside the old one, and is in force only when it was accepted. */
static void test_new_key(void **state)
{
	(void)state;
	for (int refuse = 0; refuse < 2; refuse++) {
		struct site *s = site_new();
		struct node_private before = s->us.node;
		struct node_key was;
		s->us.logged_in = true;
		s->us.server = s->pub;
		if (refuse)
			s->registers[0] = "{\"Error\":\"no\"}";
		site_open(s);
		WAIT(s->n_maps);
		key_public(before.b, was.b);
		server_link_login(s->link, "tskey-secret", true);
		WAIT(refuse ? s->n_streams == 2 : s->n_accepted == 1);
		assert_memory_equal(&s->old, &was, sizeof(was));
		assert_memory_not_equal(&s->shown, &was, sizeof(was));
		assert_int_equal(memcmp(&before, &s->us.node, sizeof(before)) == 0, refuse);
		assert_true(key_is_zero(s->link->login.next.b));
		site_free(s);
	}
}

/* An engine of another key is made first: this link must not go on with the new one. */
static void test_stays_away(void **state)
{
	struct site *s = site_new();
	(void)state;
	s->stays_away = true;
	site_open(s);
	WAIT(s->n_accepted);
	assert_null(s->link->stream);
	assert_int_equal(s->n_up, 0);
	site_free(s);
}

/* What cannot be used ends the stream; the next begins with a whole map. */
static void test_map_without_use(void **state)
{
	struct site *s = site_new();
	(void)state;
	s->maps[1] = s->maps[0];
	s->map_err = ERR_MALFORMED;
	site_open(s);
	WAIT(s->n_maps == 1);
	assert_non_null(strstr(server_link_waiting_for(s->link), "no use"));
	s->map_err = 0;
	WAIT(s->n_maps == 2);
	assert_int_equal(s->n_first, 2);
	assert_int_equal(s->n_streams, 2);
	assert_true(server_link_connected(s->link));
	site_free(s);
}

/* The server gives the stream to another machine with the same keys, which wants it back as we do: each asks later each time. */
static void test_ended_again_and_again(void **state)
{
	struct site *s = site_new();
	(void)state;
	s->us.logged_in = true;
	s->us.server = s->pub;
	s->ends_streams = true;
	site_open(s);
	for (uint64_t i = 1, later = SERVER_BACKOFF_MIN_MS; i <= 3; i++, later *= 2) {
		WAIT(s->n_down == i);
		assert_int_equal(s->link->map_backoff_ms, later);
	}
	assert_non_null(strstr(server_link_waiting_for(s->link), "the stream ended"));
	s->ends_streams = false;
	WAIT(s->n_maps == 4);
	assert_true(server_link_connected(s->link));
	site_free(s);
}

/* What may be a revocation and cannot be read is not passed over: the whole map is asked for. An odd item of
 * another kind, and one in a whole map, is no reason to begin anew. */
static void test_odd_messages(void **state)
{
	static const struct {
		const char *first, *then;
		size_t maps; /* before the stream ends, or of it */
		bool anew;
	} rows[] = {
		{ SELF, "{\"Peers\":[", 1, true },
		{ SELF, "{\"PeersRemoved\":[7,\"x\"]}", 2, true }, /* 7 goes at once */
		{ SELF, "{\"PeersChanged\":[{\"ID\":\"x\"}]}", 2, true },
		{ SELF, "{\"PeersChangedPatch\":[{\"NodeID\":7,\"KeyExpiry\":\"x\"}]}", 2, true },
		{ SELF, "{\"PacketFilter\":7}", 2, true },
		{ SELF, "{\"PeersChanged\":[{\"ID\":7,\"KeyExpiry\":\"x\"}],\"Domain\":1}", 3, false },
		{ SELF, "{\"OnlineChange\":{\"x\":true}}", 3, false },
		{ "{\"Node\":{\"ID\":1},\"Peers\":5,\"PacketFilter\":7}", "{\"PeersRemoved\":[7]}", 3,
			false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct site *s = site_new();
		s->us.logged_in = true;
		s->us.server = s->pub;
		s->maps[0] = rows[i].first;
		s->deltas[0] = rows[i].then;
		s->deltas[1] = rows[i].anew ? NULL : "{\"Health\":[]}";
		site_open(s);
		WAIT(s->n_maps == rows[i].maps && (s->n_down || !rows[i].anew));
		if (s->n_streams != 1)
			fail_msg("row %zu: %zu streams", i, s->n_streams);
		if (rows[i].anew)
			WAIT(s->n_streams == 2 && s->n_first == 2);
		/* A server that is never right is asked less and less often. */
		assert_int_equal(s->link->map_backoff_ms, rows[i].anew ? SERVER_BACKOFF_MIN_MS : 0);
		assert_true(server_link_connected(s->link));
		site_free(s);
	}
}

/* The server asks by which way a peer is reached: inside the link alone, and it is told there. */
static void test_asked_for_a_way(void **state)
{
#define WAY(noise) \
	"{\"KeepAlive\":true,\"PingRequest\":{\"URL\":\"https://ctl.test/machine/ping-response/abc\"," noise \
	"\"Types\":\"disco,TSMP\",\"IP\":\"100.64.0.2\"}}"
	struct site *s = site_new();
	(void)state;
	s->us.logged_in = true;
	s->us.server = s->pub;
	s->deltas[0] = WAY("");
	s->deltas[1] = WAY("\"URLIsNoise\":true,");
	site_open(s);
	WAIT(s->pinged[0]);
	assert_string_equal(s->pinged, "/machine/ping-response/abc {}");
	assert_int_equal(s->n_asked, 1);
	site_free(s);
}

/* It asks whether we are there, on and on, and reads no answer: what waits for it is bounded, and maps go on. */
static void test_pings_without_end(void **state)
{
	struct site *s = site_new();
	(void)state;
	s->us.logged_in = true;
	s->us.server = s->pub;
	s->holds_pings = true;
	s->deltas[0] = "{\"KeepAlive\":true,\"PingRequest\":{\"URL\":\"https://ctl.test/machine/ping/1\","
		       "\"URLIsNoise\":true}}";
	s->deltas[1] = "{\"Health\":[]}";
	s->repeats = 90; /* fewer than the streams that this server allows at once */
	site_open(s);
	WAIT(s->n_maps == 2);
	for (int i = 0; i < 2; i++) { /* what is asked now comes behind what was before */
		size_t before = s->n_updates;
		server_link_update(s->link);
		WAIT(s->n_updates > before);
	}
	assert_int_equal(s->n_pinged, 16);
	assert_true(server_link_connected(s->link));
	site_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_login_by_key),
		cmocka_unit_test(test_refused_key),
		cmocka_unit_test(test_other_server),
		cmocka_unit_test(test_pinned),
		cmocka_unit_test(test_person_is_asked),
		cmocka_unit_test(test_login_at_no_page),
		cmocka_unit_test(test_admin_is_asked),
		cmocka_unit_test(test_new_key),
		cmocka_unit_test(test_stays_away),
		cmocka_unit_test(test_map_without_use),
		cmocka_unit_test(test_ended_again_and_again),
		cmocka_unit_test(test_odd_messages),
		cmocka_unit_test(test_asked_for_a_way),
		cmocka_unit_test(test_pings_without_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
