/* Machines come in, by a key or a word; and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/fleet/test/desk.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_key_kinds(void **state)
{
	struct desk *x = *state;
	char once[REGISTRY_KEY_TEXT], many[REGISTRY_KEY_TEXT];
	desk_key(x, &(struct preauth_wish) { .user = "alice", .tags = "", .lifetime_ms = 1000 }, once);
	registry_preauth_create(&x->r,
		&(struct preauth_wish) { .user = "alice", .tags = "", .lifetime_ms = INT64_MAX }, NOW,
		desk_waits(x));
	assert_int_equal(desk_outcome(x), -EINVAL); /* longer than there are numbers for */
	desk_key(x,
		&(struct preauth_wish) {
			.user = "alice", .tags = "tag:a", .reusable = true, .ephemeral = true },
		many);

	assert_int_equal(
		desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .key = once }), REGISTRY_ANSWER);
	assert_string_equal(x->out.error, "");
	assert_true(x->out.machine_authorized);
	assert_string_equal(x->out.login.login_name, "alice");
	assert_int_equal(x->identity, 1);
	char text[ADDR_TEXT];
	assert_string_equal(addr_format(&desk_node(x, 1)->v4, text), "100.64.0.1");

	/* the same node again: no key is needed or looked at */
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .key = "hskey-auth-nonsense" });
	assert_true(x->out.machine_authorized);

	desk_ask(x, &(struct desk_ask) { .node = 2, .machine = 2, .key = once });
	assert_string_equal(x->out.error,
		"this auth key has been used already and is good for one node only: make a new one with "
		"`ropewalk-control preauthkeys create` (--reusable for several nodes)");
	assert_false(x->out.machine_authorized);
	desk_ask(x, &(struct desk_ask) { .node = 2, .machine = 2, .key = "hskey-auth-nonsense" });
	assert_string_equal(x->out.error,
		"this auth key is not known here: check that all of it was copied, and that it is from "
		"this server");
	desk_ask(x, &(struct desk_ask) { .node = 2, .machine = 2, .key = once, .now_ms = NOW + 1000 });
	assert_string_equal(x->out.error,
		"this auth key has expired: make a new one with `ropewalk-control preauthkeys create`");
	assert_int_equal(x->r.fleet.n, 1);

	desk_ask(x, &(struct desk_ask) { .node = 3, .machine = 3, .key = many });
	desk_ask(x, &(struct desk_ask) { .node = 4, .machine = 4, .key = many });
	assert_int_equal(x->r.fleet.n, 3);
	assert_string_equal(x->out.login.login_name, "tagged-devices");
	assert_int_equal(x->out.user.id, FLEET_TAGGED_USER);
	assert_true(desk_node(x, 4)->ephemeral && member_has_tag(desk_node(x, 4), "tag:a"));
	assert_string_equal(desk_node(x, 4)->name, "box-2");

	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 7 });
	assert_string_equal(x->out.error, "this node key belongs to another machine: do not copy a node's "
					  "state; log this one out and in again");
	desk_ask(x, &(struct desk_ask) { .machine = 7 });
	assert_string_equal(x->out.error, "the request names no node key");
}

/* A user that goes takes the keys of that user along, on the disk too, and no others: not another's, nor those of nobody. */
static void test_keys_of_a_user(void **state)
{
	static const struct preauth_wish wishes[] = { { .user = "alice", .reusable = true, .tags = "" },
		{ .user = "bob", .reusable = true, .tags = "" },
		{ .user = "", .reusable = true, .tags = "tag:web" } };
	struct desk *x = *state;
	char keys[ARRAY_LEN(wishes)][REGISTRY_KEY_TEXT];
	registry_user_create(&x->r, "bob", NOW, desk_waits(x));
	for (size_t i = 0; i < ARRAY_LEN(wishes); i++)
		desk_key(x, &wishes[i], keys[i]);
	registry_user_destroy(&x->r, "bob", USER_OWNER, desk_waits(x));
	assert_int_equal(desk_outcome(x), 0);
	for (uint8_t again = 0; again < 2; again++) {
		for (size_t i = 0; i < ARRAY_LEN(wishes); i++) {
			uint8_t n = (uint8_t)(1 + i + again * ARRAY_LEN(wishes));
			desk_ask(x, &(struct desk_ask) { .node = n, .machine = n, .key = keys[i] });
			if (x->out.machine_authorized != (i != 1) || (desk_node(x, n) != NULL) != (i != 1))
				fail_msg("key %zu, %s: %s", i, again ? "after a restart" : "at once",
					x->out.error);
		}
		assert_int_equal(x->r.keys.n, 2);
		registry_close(&x->r);
		desk_open(x);
	}
}

static void test_logout_and_rotation(void **state)
{
	struct desk *x = *state;
	char key[REGISTRY_KEY_TEXT];
	desk_key(x, &(struct preauth_wish) { .user = "alice", .tags = "", .reusable = true }, key);
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .key = key });
	int64_t id = desk_node(x, 1)->id;
	struct addr v4 = desk_node(x, 1)->v4;

	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .expiry_ms = 123000, .now_ms = NOW + 5 });
	assert_true(x->out.node_key_expired);
	assert_true(member_is_expired(desk_node(x, 1), NOW + 5));
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .key = key, .now_ms = NOW + 6 });
	assert_true(x->out.node_key_expired); /* a new key must be made */

	desk_ask(x, &(struct desk_ask) { .node = 2, .old = 1, .machine = 1, .key = key, .now_ms = NOW + 7 });
	assert_string_equal(x->out.error, "");
	assert_false(x->out.node_key_expired);
	assert_null(desk_node(x, 1));
	assert_int_equal(desk_node(x, 2)->id, id);
	assert_true(addr_equal(&desk_node(x, 2)->v4, &v4));
	assert_int_equal(x->r.fleet.n, 1);

	/* without naming the old key: the machine is known */
	desk_ask(x, &(struct desk_ask) { .node = 3, .machine = 1, .key = key, .now_ms = NOW + 8 });
	assert_int_equal(desk_node(x, 3)->id, id);

	registry_close(&x->r);
	desk_open(x);
	assert_int_equal(desk_node(x, 3)->id, id);
	assert_false(member_is_expired(desk_node(x, 3), NOW + 9));
}

static void test_approval(void **state)
{
	struct desk *x = *state;
	char url[128];
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1 });
	assert_memory_equal(x->out.auth_url, "https://hs.test/register/", 25);
	assert_int_equal(strlen(x->out.auth_url), 25 + REGISTRY_ID - 1);
	strcpy(url, x->out.auth_url);
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1 });
	assert_string_equal(x->out.auth_url, url);
	assert_int_equal(
		desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .followup = url }), REGISTRY_WAIT);
	assert_string_equal(x->pending, url + 25);
	/* somebody else's url */
	assert_int_equal(desk_ask(x, &(struct desk_ask) { .node = 5, .machine = 5, .followup = url }),
		REGISTRY_ANSWER);
	assert_string_not_equal(x->out.auth_url, url);

	/* the same id after a restart, so the page stays good */
	registry_close(&x->r);
	desk_open(x);
	assert_int_equal(
		desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .followup = url }), REGISTRY_WAIT);

	registry_user_create(&x->r, "bob", NOW, desk_waits(x));
	assert_int_equal(desk_outcome(x), 0);
	registry_approve(&x->r, url + 25, &(struct approve_wish) { .user = "" }, NOW, desk_waits(x));
	assert_int_equal(desk_outcome(x), -EINVAL);
	assert_string_equal(x->eb.text, "there are several users: say whose node this is with --user NAME");
	registry_approve(&x->r, url + 25, &(struct approve_wish) { .user = "carol" }, NOW, desk_waits(x));
	assert_int_equal(desk_outcome(x), -ENOENT);
	registry_approve(&x->r, "0000", &(struct approve_wish) { .user = "bob" }, NOW, desk_waits(x));
	assert_int_equal(desk_outcome(x), -ENOENT);
	registry_approve(&x->r, url + 25, &(struct approve_wish) { .user = "bob" }, NOW, desk_waits(x));
	assert_int_equal(desk_outcome(x), 0);
	assert_string_equal(x->decided, url + 25);
	assert_int_equal(desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .followup = url }),
		REGISTRY_ANSWER);
	assert_string_equal(x->out.login.login_name, "bob");
	assert_true(x->out.machine_authorized);
}

/* Taken back by the machine that asked, and by no other. */
static void test_login_withdrawn(void **state)
{
	struct desk *x = *state;
	struct pending_info info;
	char url[128];
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1 });
	strcpy(url, x->out.auth_url);
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 2, .expiry_ms = 123000 });
	assert_true(x->out.node_key_expired);
	assert_true(registry_pending_find(&x->r, url + 25, &info));
	assert_string_not_equal(x->withdrawn, url + 25);
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .followup = url, .expiry_ms = 123000 });
	assert_true(x->out.node_key_expired);
	assert_string_equal(x->out.auth_url, "");
	assert_false(registry_pending_find(&x->r, url + 25, &info));
	assert_string_equal(x->withdrawn, url + 25);
	assert_int_equal(x->r.n_pending, 0);
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .expiry_ms = 123000 }); /* once more */
	assert_true(x->out.node_key_expired);
}

/* Who was rejected is told so for a time, waits no longer, and may ask anew when it is over; or an admin thinks again. */
static void test_login_rejected(void **state)
{
	struct desk *x = *state;
	struct pending_info info;
	char url[128];
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1 });
	strcpy(url, x->out.auth_url);
	assert_int_equal(registry_pending_reject(&x->r, "0000", NOW, &x->eb), -ENOENT);
	assert_int_equal(registry_pending_reject(&x->r, url + 25, NOW, &x->eb), 0);
	assert_string_equal(x->rejected, url + 25);
	assert_false(registry_pending_find(&x->r, url + 25, &info));
	assert_int_equal(registry_pending_reject(&x->r, url + 25, NOW, &x->eb), -ENOENT);
	for (int i = 0; i < 2; i++) { /* as one who waits, and as one who comes anew */
		desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .followup = i ? NULL : url });
		assert_non_null(strstr(x->out.error, "rejected"));
		assert_string_equal(x->out.auth_url, "");
	}
	desk_ask(x, &(struct desk_ask) { .node = 2, .machine = 2 });
	assert_string_equal(x->out.error, "");
	registry_user_create(&x->r, "bob", NOW, desk_waits(x));
	registry_approve(&x->r, url + 25, &(struct approve_wish) { .user = "bob" }, NOW, desk_waits(x));
	assert_int_equal(desk_outcome(x), 0);
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1 });
	assert_true(x->out.machine_authorized);

	strcpy(url, "");
	desk_ask(x, &(struct desk_ask) { .node = 3, .machine = 3 });
	strcpy(url, x->out.auth_url);
	assert_int_equal(registry_pending_reject(&x->r, url + 25, NOW - REGISTRY_REJECTED_MS, &x->eb), 0);
	desk_ask(x, &(struct desk_ask) { .node = 3, .machine = 3 });
	assert_string_equal(x->out.auth_url, url);
	assert_true(registry_pending_find(&x->r, url + 25, &info));
}

/* Who waits for a person and then has a key is in, and waits no longer. */
static void test_key_settles_login(void **state)
{
	struct desk *x = *state;
	struct pending_info info;
	char url[128], key[REGISTRY_KEY_TEXT];
	desk_key(x, &(struct preauth_wish) { .user = "alice", .tags = "" }, key);
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1 });
	strcpy(url, x->out.auth_url);
	assert_true(registry_pending_find(&x->r, url + 25, &info));
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .key = key });
	assert_true(x->out.machine_authorized);
	assert_false(registry_pending_find(&x->r, url + 25, &info));
	assert_string_equal(x->decided, url + 25);
	registry_approve(&x->r, url + 25, &(struct approve_wish) { .user = "alice" }, NOW, desk_waits(x));
	assert_int_equal(desk_outcome(x), -ENOENT);
}

/* Strangers fill the list of those that wait: the oldest goes, and comes back when its node asks. */
static void test_many_pending(void **state)
{
	struct desk *x = *state;
	struct machine_key machine = { { 7 } };
	struct pending_info info;
	char url[128];
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1 });
	strcpy(url, x->out.auth_url);
	for (unsigned i = 0; i < REGISTRY_PENDING_MAX; i++) {
		struct ctl_register_request rq = { .followup = "", .auth_key = "", .expiry_ms = INT64_MIN };
		memcpy(rq.node.b, &i, sizeof(i));
		rq.node.b[KEY_LEN - 1] = 1;
		desk_answer(x, &rq, &machine, NOW);
		assert_string_equal(x->out.error, "");
	}
	assert_int_equal(x->r.n_pending, REGISTRY_PENDING_MAX);
	assert_false(registry_pending_find(&x->r, url + 25, &info));
	assert_int_equal(
		desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .followup = url }), REGISTRY_WAIT);
	assert_true(registry_pending_find(&x->r, url + 25, &info));
	assert_int_equal(x->r.n_pending, REGISTRY_PENDING_MAX);
}

/* node.expiry: logins of users' machines end, and a new one begins anew; tagged machines stay. */
static void test_default_expiry(void **state)
{
	struct desk *x = *state;
	char key[REGISTRY_KEY_TEXT], tagged[REGISTRY_KEY_TEXT];
	x->r.c.expiry_ms = 1000;
	desk_key(x, &(struct preauth_wish) { .user = "alice", .tags = "", .reusable = true }, key);
	desk_key(x, &(struct preauth_wish) { .user = "alice", .tags = "tag:web" }, tagged);
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .key = key });
	desk_ask(x, &(struct desk_ask) { .node = 2, .machine = 2, .key = tagged });
	assert_int_equal(desk_node(x, 1)->expiry_ms, NOW + 1000);
	assert_int_equal(desk_node(x, 2)->expiry_ms, FLEET_NO_TIME);
	assert_int_equal(registry_tick(&x->r, NOW + 1), NOW + 1000);
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .now_ms = NOW + 1000 });
	assert_true(x->out.node_key_expired);
	(void)registry_tick(&x->r, NOW + 1000);
	assert_true(desk_node(x, 1)->expired);
	desk_ask(x,
		&(struct desk_ask) { .node = 3, .old = 1, .machine = 1, .key = key, .now_ms = NOW + 1500 });
	assert_false(x->out.node_key_expired);
	assert_false(desk_node(x, 3)->expired); /* at once: its peers see it, and its routes count */
	assert_int_equal(desk_node(x, 3)->expiry_ms, NOW + 2500);
	assert_int_equal(x->r.fleet.n, 2);
}

/* Logged in again with a new key, a node is the one it was, with the tags an admin gave it meanwhile. */
static void test_tagged_again(void **state)
{
	struct desk *x = *state;
	char key[REGISTRY_KEY_TEXT];
	desk_key(x, &(struct preauth_wish) { .user = "alice", .tags = "", .reusable = true }, key);
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .key = key });
	const int64_t id = desk_node(x, 1)->id;
	registry_node_tag(&x->r, id, "tag:web", desk_waits(x));
	assert_int_equal(desk_outcome(x), 0);
	registry_node_expire(&x->r, id, NOW, NOW, desk_waits(x));
	assert_int_equal(desk_outcome(x), 0);
	desk_ask(x, &(struct desk_ask) { .node = 2, .old = 1, .machine = 1, .key = key, .now_ms = NOW + 1 });
	assert_string_equal(x->out.error, "");
	assert_int_equal(x->r.fleet.n, 1);
	assert_int_equal(desk_node(x, 2)->id, id);
	assert_true(member_has_tag(desk_node(x, 2), "tag:web"));
	assert_false(member_is_expired(desk_node(x, 2), NOW + 1));
}

/* Tags come from keys, admins, or a login approved by somebody who may give them. */
static void test_requested_tags(void **state)
{
	struct desk *x = *state;
	char plain[REGISTRY_KEY_TEXT], tagged[REGISTRY_KEY_TEXT];
	x->has_owners = true;
	desk_key(x, &(struct preauth_wish) { .user = "alice", .tags = "", .reusable = true }, plain);
	desk_key(
		x, &(struct preauth_wish) { .user = "", .tags = "tag:web,tag:db", .reusable = true }, tagged);
	desk_ask(x, &(struct desk_ask) {
			    .node = 1, .machine = 1, .key = plain, .tag = "tag:web" }); /* hers to give */
	assert_string_equal(x->out.error, "this auth key does not make nodes tag:web: leave --advertise-tags "
					  "out, or use a key with that "
					  "tag (`ropewalk-control preauthkeys create --tags ...`)");
	static const char *const wrong[] = { "tag:none", "tag:x", "web", "" };
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1, .key = tagged, .tag = wrong[i] });
		assert_non_null(strstr(x->out.error, "this auth key does not make nodes"));
	}
	assert_int_equal(x->r.fleet.n, 0);
	desk_ask(x, &(struct desk_ask) {
			    .node = 1, .machine = 1, .key = tagged, .tag = "tag:db" }); /* the key's own */
	assert_string_equal(x->out.error, "");
	assert_string_equal(x->out.login.login_name, "tagged-devices");
	assert_true(member_has_tag(desk_node(x, 1), "tag:web") && member_has_tag(desk_node(x, 1), "tag:db"));
	assert_int_equal(desk_node(x, 1)->user, 0);

	/* nobody's, after a restart too; and the machine is known again */
	registry_close(&x->r);
	desk_open(x);
	assert_int_equal(desk_node(x, 1)->user, 0);
	desk_ask(x, &(struct desk_ask) { .node = 2, .machine = 1, .key = tagged, .now_ms = NOW + 1 });
	assert_int_equal(x->r.fleet.n, 1);

	desk_ask(x, &(struct desk_ask) { .node = 3, .machine = 3, .tag = "tag:db" });
	registry_approve(&x->r, strrchr(x->out.auth_url, '/') + 1, &(struct approve_wish) { .user = "alice" },
		NOW, desk_waits(x));
	assert_int_equal(desk_outcome(x), ERR_REFUSED);
	assert_string_equal(x->eb.text,
		"this node may not be tag:db: \"tagOwners\" in the policy does not give that tag to alice");
	desk_ask(x, &(struct desk_ask) { .node = 4, .machine = 4, .tag = "tag:web" });
	registry_approve(&x->r, strrchr(x->out.auth_url, '/') + 1, &(struct approve_wish) { .user = "alice" },
		NOW, desk_waits(x));
	assert_int_equal(desk_outcome(x), 0);
	assert_true(member_has_tag(desk_node(x, 4), "tag:web"));

	registry_node_tag(&x->r, desk_node(x, 4)->id, "", desk_waits(x));
	assert_int_equal(desk_outcome(x), -EINVAL);
	registry_node_tag(&x->r, desk_node(x, 4)->id, " , ", desk_waits(x));
	assert_int_equal(desk_outcome(x), -EINVAL);
	assert_true(member_has_tag(desk_node(x, 4), "tag:web"));
}

/* Whose node a machine gets back: its own, of that user and of that kind; whatever key it says it had before. */
static void test_whose_node(void **state)
{
	struct desk *x = *state;
	char own[REGISTRY_KEY_TEXT], bobs[REGISTRY_KEY_TEXT], tagged[REGISTRY_KEY_TEXT];
	registry_user_create(&x->r, "bob", NOW, desk_waits(x));
	desk_key(x, &(struct preauth_wish) { .user = "alice", .tags = "", .reusable = true }, own);
	desk_key(x, &(struct preauth_wish) { .user = "bob", .tags = "", .reusable = true }, bobs);
	desk_key(x, &(struct preauth_wish) { .user = "alice", .tags = "tag:web", .reusable = true }, tagged);
	const struct {
		struct desk_ask q;
		size_t nodes; /* that there are then */
	} rows[] = { { { .node = 1, .machine = 1, .key = own }, 1 },
		{ { .node = 2, .old = 1, .machine = 2, .key = own }, 2 },  /* another machine's key */
		{ { .node = 3, .old = 1, .machine = 1, .key = bobs }, 3 }, /* another user's node */
		{ { .node = 4, .machine = 1, .key = tagged }, 4 }, /* nobody's, and not alice's any more */
		{ { .node = 5, .machine = 2, .key = bobs }, 5 },
		{ { .node = 6, .machine = 2, .key = own }, 5 },		   /* in place of 2 */
		{ { .node = 7, .old = 3, .machine = 1, .key = bobs }, 5 }, /* in place of 3 */
		{ { .node = 8, .machine = 1, .key = tagged }, 5 } };	   /* in place of 4 */
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		desk_ask(x, &rows[i].q);
		if (*x->out.error || x->r.fleet.n != rows[i].nodes || !desk_node(x, rows[i].q.node))
			fail_msg("row %zu: %zu nodes %s", i, x->r.fleet.n, x->out.error);
	}
	assert_non_null(desk_node(x, 1));
	assert_int_equal(desk_node(x, 1)->machine.b[0], 1);
	assert_null(desk_node(x, 2));
	assert_null(desk_node(x, 3));
	assert_null(desk_node(x, 4));
}

/* Who waits with a key that has become another machine's meanwhile gets nothing by an admin's word. */
static void test_key_of_another(void **state)
{
	struct desk *x = *state;
	char key[REGISTRY_KEY_TEXT], id[REGISTRY_ID];
	desk_key(x, &(struct preauth_wish) { .user = "alice", .tags = "" }, key);
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 1 });
	snprintf(id, sizeof(id), "%s", strrchr(x->out.auth_url, '/') + 1);
	desk_ask(x, &(struct desk_ask) { .node = 1, .machine = 2, .key = key });
	assert_string_equal(x->out.error, "");
	registry_approve(
		&x->r, id, &(struct approve_wish) { .user = "alice", .by = USER_OWNER }, NOW, desk_waits(x));
	assert_int_equal(desk_outcome(x), ERR_REFUSED);
	assert_int_equal(x->r.fleet.n, 1);
	assert_int_equal(desk_node(x, 1)->machine.b[0], 2);
}

/* One that is ephemeral is gone with its login; another has to log in again. */
static void test_logout_ends(void **state)
{
	struct desk *x = *state;
	char key[REGISTRY_KEY_TEXT];
	for (int ephemeral = 0; ephemeral < 2; ephemeral++) {
		const uint8_t n = (uint8_t)(1 + ephemeral);
		const struct preauth_wish wish = { .user = "alice", .tags = "", .ephemeral = ephemeral };
		desk_key(x, &wish, key);
		desk_ask(x, &(struct desk_ask) { .node = n, .machine = n, .key = key });
		assert_non_null(desk_node(x, n));
		desk_ask(x, &(struct desk_ask) { .node = n, .machine = n, .expiry_ms = NOW - 1 });
		assert_true(x->out.node_key_expired);
		if (ephemeral)
			assert_null(desk_node(x, n));
		else
			assert_true(member_is_expired(desk_node(x, n), NOW));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_key_kinds, desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_keys_of_a_user, desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_logout_and_rotation, desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_approval, desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_login_withdrawn, desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_login_rejected, desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_key_settles_login, desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_many_pending, desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_default_expiry, desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_tagged_again, desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_requested_tags, desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_whose_node, desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_key_of_another, desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_logout_ends, desk_setup, desk_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
