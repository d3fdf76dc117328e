#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/fleet/registry.h"
#include "mesh/control/fleet/test/place.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { T0 = 1700000000 };
#define NOW (T0 * INT64_C(1000))

struct fixture {
	struct place place;
	char path[256];
	struct registry r;
	struct arena a;
	struct ctl_register_response out;
	char pending[REGISTRY_ID];
	unsigned identity, little, removed;
	struct registry_wait wait;
	struct registry_result res; /* of the last change; res.text is in eb */
	char made[REGISTRY_KEY_TEXT];
	struct errbuf eb;
	bool ended;
	char decided[REGISTRY_ID], withdrawn[REGISTRY_ID], rejected[REGISTRY_ID];
	bool has_owners; /* tag:web is alice's to give, tag:db bob's */
};

static void changed(void *arg, const struct member *old, const struct member *now, enum registry_news what)
{
	struct fixture *x = arg;
	(void)old;
	*(what == NEWS_IDENTITY ? &x->identity : &x->little) += 1;
	x->removed += !now;
}

static void ended(void *arg, const struct registry_result *res)
{
	struct fixture *x = arg;
	assert_false(x->ended);
	x->ended = true;
	x->res = *res;
	snprintf(x->made, sizeof(x->made), "%s", res->key ? res->key : "");
	snprintf(x->eb.text, sizeof(x->eb.text), "%s", res->text);
}

/* Who is told how a change ends. */
static struct registry_wait *waits(struct fixture *x)
{
	x->ended = false;
	x->wait = (struct registry_wait) { .done = ended, .arg = x };
	return &x->wait;
}

/* The code of the change that was begun with waits(). */
static int outcome(const struct fixture *x)
{
	assert_true(x->ended);
	assert_null(x->wait.change);
	return x->res.err;
}

static void decided(void *arg, const char *id)
{
	memcpy(((struct fixture *)arg)->decided, id, REGISTRY_ID);
}

static void rejected(void *arg, const char *id)
{
	memcpy(((struct fixture *)arg)->rejected, id, REGISTRY_ID);
}

static void withdrawn(void *arg, const char *id)
{
	memcpy(((struct fixture *)arg)->withdrawn, id, REGISTRY_ID);
}

static bool knows_tag(void *arg, const char *tag)
{
	return !((const struct fixture *)arg)->has_owners || !strcmp(tag, "tag:web") ||
	       !strcmp(tag, "tag:db");
}
static bool owns_tag(void *arg, const char *tag, const struct user *user)
{
	return ((const struct fixture *)arg)->has_owners &&
	       !strcmp(user->name, !strcmp(tag, "tag:web") ? "alice" : "bob");
}

static void open_registry(struct fixture *x)
{
	struct errbuf eb = { 0 };
	struct registry_config c = { .server_url = "https://hs.test",
		.state_path = x->path,
		.rnd = &random_system,
		.secret = { { 9 } },
		.ephemeral_ms = 60000,
		.ops = { .changed = changed,
			.decided = decided,
			.withdrawn = withdrawn,
			.rejected = rejected,
			.knows_tag = knows_tag,
			.owns_tag = owns_tag,
			.arg = x } };
	c.pool.has_v4 = prefix_parse("100.64.0.0/10", &c.pool.v4);
	c.pool.has_v6 = prefix_parse("fd7a:115c:a1e0::/48", &c.pool.v6);
	if (registry_open(&x->r, &c, &eb))
		fail_msg("%s", eb.text);
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	if (!x || !key_setup())
		abort();
	place_make(&x->place);
	place_path(&x->place, "db.sqlite", x->path);
	open_registry(x);
	*state = x;
	registry_user_create(&x->r, "alice", NOW, waits(x));
	return outcome(x);
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	registry_close(&x->r);
	arena_free(&x->a);
	place_remove(&x->place);
	free(x);
	return 0;
}

static void make_key(struct fixture *x, const struct preauth_wish *w, char text[static REGISTRY_KEY_TEXT])
{
	registry_preauth_create(&x->r, w, NOW, waits(x));
	if (outcome(x))
		fail_msg("%s", x->eb.text);
	memcpy(text, x->made, REGISTRY_KEY_TEXT);
	assert_memory_equal(text, "hskey-auth-", 11);
}

struct ask {
	const char *tag; /* asked for by the node */
	uint8_t node, old, machine;
	const char *key, *host, *followup;
	int64_t expiry_ms, now_ms;
};

/* As the server does: what had to be stored is asked for again. */
static enum registry_verdict answer(struct fixture *x, const struct ctl_register_request *rq,
	const struct machine_key *machine, int64_t now_ms)
{
	enum registry_verdict v =
		registry_register(&x->r, rq, machine, now_ms, &x->a, &x->out, x->pending, waits(x));
	if (v != REGISTRY_STORE)
		return v;
	if (outcome(x)) {
		registry_refusal(&x->res, &x->a, &x->out);
		return REGISTRY_ANSWER;
	}
	return registry_register(&x->r, rq, machine, now_ms, &x->a, &x->out, x->pending, waits(x));
}

static enum registry_verdict ask(struct fixture *x, const struct ask *q)
{
	struct ctl_register_request rq = { .version = 119,
		.auth_key = q->key ? q->key : "",
		.followup = q->followup ? q->followup : "",
		.expiry_ms = q->expiry_ms ? q->expiry_ms : INT64_MIN };
	struct machine_key machine;
	memset(rq.node.b, q->node, KEY_LEN);
	memset(rq.old_node.b, q->old, KEY_LEN);
	memset(machine.b, q->machine, KEY_LEN);
	rq.hostinfo.hostname = q->host ? q->host : "box";
	rq.hostinfo.request_tags = (struct ctl_strings) { .v = (const char **)&q->tag, .n = q->tag != NULL };
	return answer(x, &rq, &machine, q->now_ms ? q->now_ms : NOW);
}

static const struct member *node_of(struct fixture *x, uint8_t key)
{
	struct node_key k;
	memset(k.b, key, KEY_LEN);
	return fleet_by_key(&x->r.fleet, &k);
}

static void test_key_kinds(void **state)
{
	struct fixture *x = *state;
	char once[REGISTRY_KEY_TEXT], many[REGISTRY_KEY_TEXT];
	make_key(x, &(struct preauth_wish) { .user = "alice", .tags = "", .lifetime_ms = 1000 }, once);
	registry_preauth_create(&x->r,
		&(struct preauth_wish) { .user = "alice", .tags = "", .lifetime_ms = INT64_MAX }, NOW,
		waits(x));
	assert_int_equal(outcome(x), -EINVAL); /* longer than there are numbers for */
	make_key(x,
		&(struct preauth_wish) {
			.user = "alice", .tags = "tag:a", .reusable = true, .ephemeral = true },
		many);

	assert_int_equal(ask(x, &(struct ask) { .node = 1, .machine = 1, .key = once }), REGISTRY_ANSWER);
	assert_string_equal(x->out.error, "");
	assert_true(x->out.machine_authorized);
	assert_string_equal(x->out.login.login_name, "alice");
	assert_int_equal(x->identity, 1);
	char text[ADDR_TEXT];
	assert_string_equal(addr_format(&node_of(x, 1)->v4, text), "100.64.0.1");

	/* the same node again: no key is needed or looked at */
	ask(x, &(struct ask) { .node = 1, .machine = 1, .key = "hskey-auth-nonsense" });
	assert_true(x->out.machine_authorized);

	ask(x, &(struct ask) { .node = 2, .machine = 2, .key = once });
	assert_string_equal(x->out.error,
		"this auth key has been used already and is good for one node only: make a new one with "
		"`ropewalk-control preauthkeys create` (--reusable for several nodes)");
	assert_false(x->out.machine_authorized);
	ask(x, &(struct ask) { .node = 2, .machine = 2, .key = "hskey-auth-nonsense" });
	assert_string_equal(x->out.error,
		"this auth key is not known here: check that all of it was copied, and that it is from "
		"this server");
	ask(x, &(struct ask) { .node = 2, .machine = 2, .key = once, .now_ms = NOW + 1000 });
	assert_string_equal(x->out.error,
		"this auth key has expired: make a new one with `ropewalk-control preauthkeys create`");
	assert_int_equal(x->r.fleet.n, 1);

	ask(x, &(struct ask) { .node = 3, .machine = 3, .key = many });
	ask(x, &(struct ask) { .node = 4, .machine = 4, .key = many });
	assert_int_equal(x->r.fleet.n, 3);
	assert_string_equal(x->out.login.login_name, "tagged-devices");
	assert_int_equal(x->out.user.id, FLEET_TAGGED_USER);
	assert_true(node_of(x, 4)->ephemeral && member_has_tag(node_of(x, 4), "tag:a"));
	assert_string_equal(node_of(x, 4)->name, "box-2");

	ask(x, &(struct ask) { .node = 1, .machine = 7 });
	assert_string_equal(x->out.error, "this node key belongs to another machine: do not copy a node's "
					  "state; log this one out and in again");
	ask(x, &(struct ask) { .machine = 7 });
	assert_string_equal(x->out.error, "the request names no node key");
}

static void test_logout_and_rotation(void **state)
{
	struct fixture *x = *state;
	char key[REGISTRY_KEY_TEXT];
	make_key(x, &(struct preauth_wish) { .user = "alice", .tags = "", .reusable = true }, key);
	ask(x, &(struct ask) { .node = 1, .machine = 1, .key = key });
	int64_t id = node_of(x, 1)->id;
	struct addr v4 = node_of(x, 1)->v4;

	ask(x, &(struct ask) { .node = 1, .machine = 1, .expiry_ms = 123000, .now_ms = NOW + 5 });
	assert_true(x->out.node_key_expired);
	assert_true(member_is_expired(node_of(x, 1), NOW + 5));
	ask(x, &(struct ask) { .node = 1, .machine = 1, .key = key, .now_ms = NOW + 6 });
	assert_true(x->out.node_key_expired); /* a new key must be made */

	ask(x, &(struct ask) { .node = 2, .old = 1, .machine = 1, .key = key, .now_ms = NOW + 7 });
	assert_string_equal(x->out.error, "");
	assert_false(x->out.node_key_expired);
	assert_null(node_of(x, 1));
	assert_int_equal(node_of(x, 2)->id, id);
	assert_true(addr_equal(&node_of(x, 2)->v4, &v4));
	assert_int_equal(x->r.fleet.n, 1);

	/* without naming the old key: the machine is known */
	ask(x, &(struct ask) { .node = 3, .machine = 1, .key = key, .now_ms = NOW + 8 });
	assert_int_equal(node_of(x, 3)->id, id);

	registry_close(&x->r);
	open_registry(x);
	assert_int_equal(node_of(x, 3)->id, id);
	assert_false(member_is_expired(node_of(x, 3), NOW + 9));
}

static void test_approval(void **state)
{
	struct fixture *x = *state;
	char url[128];
	ask(x, &(struct ask) { .node = 1, .machine = 1 });
	assert_memory_equal(x->out.auth_url, "https://hs.test/register/", 25);
	assert_int_equal(strlen(x->out.auth_url), 25 + REGISTRY_ID - 1);
	strcpy(url, x->out.auth_url);
	ask(x, &(struct ask) { .node = 1, .machine = 1 });
	assert_string_equal(x->out.auth_url, url);
	assert_int_equal(ask(x, &(struct ask) { .node = 1, .machine = 1, .followup = url }), REGISTRY_WAIT);
	assert_string_equal(x->pending, url + 25);
	/* somebody else's url */
	assert_int_equal(ask(x, &(struct ask) { .node = 5, .machine = 5, .followup = url }), REGISTRY_ANSWER);
	assert_string_not_equal(x->out.auth_url, url);

	/* the same id after a restart, so the page stays good */
	registry_close(&x->r);
	open_registry(x);
	assert_int_equal(ask(x, &(struct ask) { .node = 1, .machine = 1, .followup = url }), REGISTRY_WAIT);

	registry_user_create(&x->r, "bob", NOW, waits(x));
	assert_int_equal(outcome(x), 0);
	registry_approve(&x->r, url + 25, &(struct approve_wish) { .user = "" }, NOW, waits(x));
	assert_int_equal(outcome(x), -EINVAL);
	assert_string_equal(x->eb.text, "there are several users: say whose node this is with --user NAME");
	registry_approve(&x->r, url + 25, &(struct approve_wish) { .user = "carol" }, NOW, waits(x));
	assert_int_equal(outcome(x), -ENOENT);
	registry_approve(&x->r, "0000", &(struct approve_wish) { .user = "bob" }, NOW, waits(x));
	assert_int_equal(outcome(x), -ENOENT);
	registry_approve(&x->r, url + 25, &(struct approve_wish) { .user = "bob" }, NOW, waits(x));
	assert_int_equal(outcome(x), 0);
	assert_string_equal(x->decided, url + 25);
	assert_int_equal(ask(x, &(struct ask) { .node = 1, .machine = 1, .followup = url }), REGISTRY_ANSWER);
	assert_string_equal(x->out.login.login_name, "bob");
	assert_true(x->out.machine_authorized);
}

/* Taken back by the machine that asked, and by no other. */
static void test_login_withdrawn(void **state)
{
	struct fixture *x = *state;
	struct pending_info info;
	char url[128];
	ask(x, &(struct ask) { .node = 1, .machine = 1 });
	strcpy(url, x->out.auth_url);
	ask(x, &(struct ask) { .node = 1, .machine = 2, .expiry_ms = 123000 });
	assert_true(x->out.node_key_expired);
	assert_true(registry_pending_find(&x->r, url + 25, &info));
	assert_string_not_equal(x->withdrawn, url + 25);
	ask(x, &(struct ask) { .node = 1, .machine = 1, .followup = url, .expiry_ms = 123000 });
	assert_true(x->out.node_key_expired);
	assert_string_equal(x->out.auth_url, "");
	assert_false(registry_pending_find(&x->r, url + 25, &info));
	assert_string_equal(x->withdrawn, url + 25);
	assert_int_equal(x->r.n_pending, 0);
	ask(x, &(struct ask) { .node = 1, .machine = 1, .expiry_ms = 123000 }); /* once more */
	assert_true(x->out.node_key_expired);
}

/* Who was rejected is told so for a time, waits no longer, and may ask anew when it is over; or an admin thinks again. */
static void test_login_rejected(void **state)
{
	struct fixture *x = *state;
	struct pending_info info;
	char url[128];
	ask(x, &(struct ask) { .node = 1, .machine = 1 });
	strcpy(url, x->out.auth_url);
	assert_int_equal(registry_pending_reject(&x->r, "0000", NOW, &x->eb), -ENOENT);
	assert_int_equal(registry_pending_reject(&x->r, url + 25, NOW, &x->eb), 0);
	assert_string_equal(x->rejected, url + 25);
	assert_false(registry_pending_find(&x->r, url + 25, &info));
	assert_int_equal(registry_pending_reject(&x->r, url + 25, NOW, &x->eb), -ENOENT);
	for (int i = 0; i < 2; i++) { /* as one who waits, and as one who comes anew */
		ask(x, &(struct ask) { .node = 1, .machine = 1, .followup = i ? NULL : url });
		assert_non_null(strstr(x->out.error, "rejected"));
		assert_string_equal(x->out.auth_url, "");
	}
	ask(x, &(struct ask) { .node = 2, .machine = 2 });
	assert_string_equal(x->out.error, "");
	registry_user_create(&x->r, "bob", NOW, waits(x));
	registry_approve(&x->r, url + 25, &(struct approve_wish) { .user = "bob" }, NOW, waits(x));
	assert_int_equal(outcome(x), 0);
	ask(x, &(struct ask) { .node = 1, .machine = 1 });
	assert_true(x->out.machine_authorized);

	strcpy(url, "");
	ask(x, &(struct ask) { .node = 3, .machine = 3 });
	strcpy(url, x->out.auth_url);
	assert_int_equal(registry_pending_reject(&x->r, url + 25, NOW - REGISTRY_REJECTED_MS, &x->eb), 0);
	ask(x, &(struct ask) { .node = 3, .machine = 3 });
	assert_string_equal(x->out.auth_url, url);
	assert_true(registry_pending_find(&x->r, url + 25, &info));
}

/* Who waits for a person and then has a key is in, and waits no longer. */
static void test_key_settles_login(void **state)
{
	struct fixture *x = *state;
	struct pending_info info;
	char url[128], key[REGISTRY_KEY_TEXT];
	make_key(x, &(struct preauth_wish) { .user = "alice", .tags = "" }, key);
	ask(x, &(struct ask) { .node = 1, .machine = 1 });
	strcpy(url, x->out.auth_url);
	assert_true(registry_pending_find(&x->r, url + 25, &info));
	ask(x, &(struct ask) { .node = 1, .machine = 1, .key = key });
	assert_true(x->out.machine_authorized);
	assert_false(registry_pending_find(&x->r, url + 25, &info));
	assert_string_equal(x->decided, url + 25);
	registry_approve(&x->r, url + 25, &(struct approve_wish) { .user = "alice" }, NOW, waits(x));
	assert_int_equal(outcome(x), -ENOENT);
}

/* Strangers fill the list of those that wait: the oldest goes, and comes back when its node asks. */
static void test_many_pending(void **state)
{
	struct fixture *x = *state;
	struct machine_key machine = { { 7 } };
	struct pending_info info;
	char url[128];
	ask(x, &(struct ask) { .node = 1, .machine = 1 });
	strcpy(url, x->out.auth_url);
	for (unsigned i = 0; i < REGISTRY_PENDING_MAX; i++) {
		struct ctl_register_request rq = { .followup = "", .auth_key = "", .expiry_ms = INT64_MIN };
		memcpy(rq.node.b, &i, sizeof(i));
		rq.node.b[KEY_LEN - 1] = 1;
		answer(x, &rq, &machine, NOW);
		assert_string_equal(x->out.error, "");
	}
	assert_int_equal(x->r.n_pending, REGISTRY_PENDING_MAX);
	assert_false(registry_pending_find(&x->r, url + 25, &info));
	assert_int_equal(ask(x, &(struct ask) { .node = 1, .machine = 1, .followup = url }), REGISTRY_WAIT);
	assert_true(registry_pending_find(&x->r, url + 25, &info));
	assert_int_equal(x->r.n_pending, REGISTRY_PENDING_MAX);
}

/* node.expiry: logins of users' machines end, and a new one begins anew; tagged machines stay. */
static void test_default_expiry(void **state)
{
	struct fixture *x = *state;
	char key[REGISTRY_KEY_TEXT], tagged[REGISTRY_KEY_TEXT];
	x->r.c.expiry_ms = 1000;
	make_key(x, &(struct preauth_wish) { .user = "alice", .tags = "", .reusable = true }, key);
	make_key(x, &(struct preauth_wish) { .user = "alice", .tags = "tag:web" }, tagged);
	ask(x, &(struct ask) { .node = 1, .machine = 1, .key = key });
	ask(x, &(struct ask) { .node = 2, .machine = 2, .key = tagged });
	assert_int_equal(node_of(x, 1)->expiry_ms, NOW + 1000);
	assert_int_equal(node_of(x, 2)->expiry_ms, FLEET_NO_TIME);
	assert_int_equal(registry_tick(&x->r, NOW + 1), NOW + 1000);
	ask(x, &(struct ask) { .node = 1, .machine = 1, .now_ms = NOW + 1000 });
	assert_true(x->out.node_key_expired);
	ask(x, &(struct ask) { .node = 3, .old = 1, .machine = 1, .key = key, .now_ms = NOW + 1500 });
	assert_false(x->out.node_key_expired);
	assert_int_equal(node_of(x, 3)->expiry_ms, NOW + 2500);
	assert_int_equal(x->r.fleet.n, 2);
}

/* Nothing can be written: what nodes say of themselves holds, what an admin wants does not. */
static void test_unsaved(void **state)
{
	struct fixture *x = *state;
	char key[REGISTRY_KEY_TEXT], aside[256];
	struct endpoint ep = { .ip = addr_v4(0xc0000201U), .port = 1 };
	struct machine_key machine;
	struct ctl_map_request rq = { .endpoints = { .v = &ep, .n = 1, .present = true } };
	make_key(x, &(struct preauth_wish) { .user = "alice", .tags = "" }, key);
	ask(x, &(struct ask) { .node = 1, .machine = 1, .key = key });
	memset(rq.node.b, 1, KEY_LEN);
	memset(machine.b, 1, KEY_LEN);
	assert_int_equal(rename(x->path, place_path(&x->place, "aside", aside)), 0);
	assert_non_null(registry_map_received(&x->r, &rq, &machine, NOW + 1));
	assert_int_equal(node_of(x, 1)->endpoints.n, 1);
	assert_non_null(strstr(x->r.trouble, "was removed or replaced"));
	registry_node_rename(&x->r, node_of(x, 1)->id, "other", waits(x));
	assert_int_equal(outcome(x), -ENOENT);
	assert_string_equal(node_of(x, 1)->name, "box");
	assert_int_equal(rename(aside, x->path), 0);
	registry_node_rename(&x->r, node_of(x, 1)->id, "other", waits(x));
	assert_int_equal(outcome(x), 0);
	assert_string_equal(x->r.trouble, "");
}

/* A node may not hand on more of itself than a real one has to say. */
static void test_much_to_say(void **state)
{
	struct fixture *x = *state;
	char key[REGISTRY_KEY_TEXT], *text = calloc(1, 40001);
	struct endpoint ep[100];
	struct machine_key machine;
	memset(text, 'x', 40000);
	make_key(x, &(struct preauth_wish) { .user = "alice", .tags = "" }, key);
	ask(x, &(struct ask) { .node = 1, .machine = 1, .key = key, .host = text });
	assert_string_equal(x->out.error, "");
	assert_string_equal(node_of(x, 1)->name, "node");
	assert_string_equal(node_of(x, 1)->hostinfo_json, "");
	for (size_t i = 0; i < ARRAY_LEN(ep); i++)
		ep[i] = (struct endpoint) { .ip = addr_v4(0xc0000200U + (uint32_t)i), .port = 1 };
	struct ctl_map_request rq = { .has_hostinfo = true,
		.endpoints = { .v = ep, .n = ARRAY_LEN(ep), .present = true } };
	memset(rq.node.b, 1, KEY_LEN);
	memset(machine.b, 1, KEY_LEN);
	rq.hostinfo.hostname = "box";
	rq.hostinfo.os = text;
	assert_non_null(registry_map_received(&x->r, &rq, &machine, NOW));
	assert_string_equal(node_of(x, 1)->name, "node");
	assert_string_equal(node_of(x, 1)->hostinfo_json, "");
	assert_int_equal(node_of(x, 1)->endpoints.n, 64);
	free(text);
}

/* Logged in again with a new key, a node is the one it was, with the tags an admin gave it meanwhile. */
static void test_tagged_again(void **state)
{
	struct fixture *x = *state;
	char key[REGISTRY_KEY_TEXT];
	make_key(x, &(struct preauth_wish) { .user = "alice", .tags = "", .reusable = true }, key);
	ask(x, &(struct ask) { .node = 1, .machine = 1, .key = key });
	const int64_t id = node_of(x, 1)->id;
	registry_node_tag(&x->r, id, "tag:web", waits(x));
	assert_int_equal(outcome(x), 0);
	registry_node_expire(&x->r, id, NOW, NOW, waits(x));
	assert_int_equal(outcome(x), 0);
	ask(x, &(struct ask) { .node = 2, .old = 1, .machine = 1, .key = key, .now_ms = NOW + 1 });
	assert_string_equal(x->out.error, "");
	assert_int_equal(x->r.fleet.n, 1);
	assert_int_equal(node_of(x, 2)->id, id);
	assert_true(member_has_tag(node_of(x, 2), "tag:web"));
	assert_false(member_is_expired(node_of(x, 2), NOW + 1));
}

static void test_facts(void **state)
{
	struct fixture *x = *state;
	char key[REGISTRY_KEY_TEXT];
	struct machine_key machine, other;
	struct endpoint ep;
	make_key(x, &(struct preauth_wish) { .user = "alice", .tags = "" }, key);
	ask(x, &(struct ask) { .node = 1, .machine = 1, .key = key });
	memset(machine.b, 1, KEY_LEN);
	memset(other.b, 2, KEY_LEN);
	assert_true(endpoint_parse("192.0.2.1:41641", &ep));
	struct ctl_map_request rq = {
		.version = 119, .has_hostinfo = true, .endpoints = { .v = &ep, .n = 1, .present = true }
	};
	memset(rq.node.b, 1, KEY_LEN);
	memset(rq.disco.b, 6, KEY_LEN);
	rq.hostinfo.hostname = "box";
	rq.hostinfo.netinfo = &(struct ctl_netinfo) { .preferred_derp = 900 };
	assert_null(registry_map_received(&x->r, &rq, &other, NOW));
	const struct member *m = registry_map_received(&x->r, &rq, &machine, NOW);
	assert_int_equal(m->home_derp, 900);
	assert_int_equal(m->endpoints.n, 1);
	assert_int_equal(x->little, 1);
	assert_ptr_equal(registry_map_received(&x->r, &rq, &machine, NOW), m); /* nothing new */
	assert_int_equal(x->little, 1);

	/* a bare stream request takes nothing back */
	struct ctl_map_request bare = { .version = 119,
		.node = rq.node,
		.stream = true,
		.has_hostinfo = true,
		.endpoints = { .present = true } };
	bare.hostinfo.hostname = "box";
	m = registry_map_received(&x->r, &bare, &machine, NOW);
	assert_int_equal(m->home_derp, 900);
	assert_int_equal(m->endpoints.n, 1);

	rq.hostinfo.hostname = "Other Box.local";
	m = registry_map_received(&x->r, &rq, &machine, NOW);
	assert_string_equal(m->name, "other-box");
	assert_int_equal(x->identity, 2);
	rq.read_only = true;
	rq.hostinfo.hostname = "x";
	assert_string_equal(registry_map_received(&x->r, &rq, &machine, NOW)->name, "other-box");
	memset(rq.node.b, 9, KEY_LEN);
	assert_null(registry_map_received(&x->r, &rq, &machine, NOW));
}

static void test_time(void **state)
{
	struct fixture *x = *state;
	char key[REGISTRY_KEY_TEXT], gone[REGISTRY_KEY_TEXT];
	make_key(x, &(struct preauth_wish) { .user = "alice", .tags = "" }, key);
	make_key(x, &(struct preauth_wish) { .user = "alice", .tags = "", .ephemeral = true }, gone);
	ask(x, &(struct ask) { .node = 1, .machine = 1, .key = key });
	ask(x, &(struct ask) { .node = 2, .machine = 2, .key = gone });
	registry_node_expire(&x->r, 1, NOW + 30000, NOW, waits(x));
	assert_int_equal(outcome(x), 0);
	assert_int_equal(registry_tick(&x->r, NOW), NOW + 30000);
	unsigned before = x->identity;
	assert_int_equal(registry_tick(&x->r, NOW + 30000), NOW + 60000);
	assert_int_equal(x->identity, before + 1);
	registry_online_set(&x->r, 2, true, NOW + 40000);
	assert_int_equal(registry_tick(&x->r, NOW + 70000), INT64_MAX);
	assert_int_equal(x->r.fleet.n, 2);
	registry_online_set(&x->r, 2, false, NOW + 80000);
	assert_int_equal(registry_tick(&x->r, NOW + 80000), NOW + 140000);
	/* the server was away for long, the node perhaps not at all */
	registry_close(&x->r);
	open_registry(x);
	assert_int_equal(registry_tick(&x->r, NOW + 900000), NOW + 960000);
	assert_int_equal(x->r.fleet.n, 2);
	registry_tick(&x->r, NOW + 960000);
	assert_int_equal(x->r.fleet.n, 1);
	assert_int_equal(x->removed, 1);
}

/* Tags come from keys, admins, or a login approved by somebody who may give them. */
static void test_requested_tags(void **state)
{
	struct fixture *x = *state;
	char plain[REGISTRY_KEY_TEXT], tagged[REGISTRY_KEY_TEXT];
	x->has_owners = true;
	make_key(x, &(struct preauth_wish) { .user = "alice", .tags = "", .reusable = true }, plain);
	make_key(
		x, &(struct preauth_wish) { .user = "", .tags = "tag:web,tag:db", .reusable = true }, tagged);
	ask(x, &(struct ask) { .node = 1, .machine = 1, .key = plain, .tag = "tag:web" }); /* hers to give */
	assert_string_equal(x->out.error, "this auth key does not make nodes tag:web: leave --advertise-tags "
					  "out, or use a key with that "
					  "tag (`ropewalk-control preauthkeys create --tags ...`)");
	static const char *const wrong[] = { "tag:none", "tag:x", "web", "" };
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		ask(x, &(struct ask) { .node = 1, .machine = 1, .key = tagged, .tag = wrong[i] });
		assert_non_null(strstr(x->out.error, "this auth key does not make nodes"));
	}
	assert_int_equal(x->r.fleet.n, 0);
	ask(x, &(struct ask) { .node = 1, .machine = 1, .key = tagged, .tag = "tag:db" }); /* the key's own */
	assert_string_equal(x->out.error, "");
	assert_string_equal(x->out.login.login_name, "tagged-devices");
	assert_true(member_has_tag(node_of(x, 1), "tag:web") && member_has_tag(node_of(x, 1), "tag:db"));
	assert_int_equal(node_of(x, 1)->user, 0);

	/* nobody's, after a restart too; and the machine is known again */
	registry_close(&x->r);
	open_registry(x);
	assert_int_equal(node_of(x, 1)->user, 0);
	ask(x, &(struct ask) { .node = 2, .machine = 1, .key = tagged, .now_ms = NOW + 1 });
	assert_int_equal(x->r.fleet.n, 1);

	ask(x, &(struct ask) { .node = 3, .machine = 3, .tag = "tag:db" });
	registry_approve(&x->r, strrchr(x->out.auth_url, '/') + 1, &(struct approve_wish) { .user = "alice" },
		NOW, waits(x));
	assert_int_equal(outcome(x), ERR_REFUSED);
	assert_string_equal(x->eb.text,
		"this node may not be tag:db: \"tagOwners\" in the policy does not give that tag to alice");
	ask(x, &(struct ask) { .node = 4, .machine = 4, .tag = "tag:web" });
	registry_approve(&x->r, strrchr(x->out.auth_url, '/') + 1, &(struct approve_wish) { .user = "alice" },
		NOW, waits(x));
	assert_int_equal(outcome(x), 0);
	assert_true(member_has_tag(node_of(x, 4), "tag:web"));

	registry_node_tag(&x->r, node_of(x, 4)->id, "", waits(x));
	assert_int_equal(outcome(x), -EINVAL);
	registry_node_tag(&x->r, node_of(x, 4)->id, " , ", waits(x));
	assert_int_equal(outcome(x), -EINVAL);
	assert_true(member_has_tag(node_of(x, 4), "tag:web"));
}

/* A node that offers 10.1.0.0/16, to be an exit, and what nobody may carry. */
static void join_as_router(struct fixture *x, uint8_t n, const char *key)
{
	struct prefix routes[3];
	struct machine_key machine;
	struct ctl_map_request rq = { .version = 119, .has_hostinfo = true };
	ask(x, &(struct ask) { .node = n, .machine = n, .key = key });
	memset(machine.b, n, KEY_LEN);
	memset(rq.node.b, n, KEY_LEN);
	assert_true(prefix_parse("10.1.0.0/16", &routes[0]) && prefix_parse("0.0.0.0/0", &routes[1]) &&
		    prefix_parse("100.64.0.0/16", &routes[2]));
	rq.hostinfo.routable_ips = (struct ctl_prefixes) { .v = routes, .n = 3 };
	assert_non_null(registry_map_received(&x->r, &rq, &machine, NOW));
}

static size_t served_by(struct fixture *x, int64_t id)
{
	return fleet_by_id(&x->r.fleet, id)->served.n;
}

static void test_routes(void **state)
{
	struct fixture *x = *state;
	char key[REGISTRY_KEY_TEXT];
	make_key(x, &(struct preauth_wish) { .user = "alice", .tags = "", .reusable = true }, key);
	join_as_router(x, 1, key);
	join_as_router(x, 2, key);
	assert_int_equal(served_by(x, 1), 0);
	registry_node_routes(&x->r, 1, "10.1", waits(x));
	assert_int_equal(outcome(x), -EINVAL);
	registry_node_routes(&x->r, 1, "10.1.0.0/16,100.64.0.0/16", waits(x));
	assert_int_equal(outcome(x), -EINVAL);
	assert_string_equal(x->eb.text,
		"no node can carry 100.64.0.0/16: it is inside the range of the mesh's own addresses");
	registry_node_routes(&x->r, 9, "", waits(x));
	assert_int_equal(outcome(x), -ENOENT);
	registry_node_routes(&x->r, 1, "10.1.2.3/16,0.0.0.0/0,10.9.0.0/16", waits(x));
	assert_int_equal(outcome(x), 0);
	registry_node_routes(&x->r, 2, "10.1.0.0/16,0.0.0.0/0", waits(x));
	assert_int_equal(outcome(x), 0);
	assert_int_equal(served_by(x, 1), 2); /* not what it never offered */
	assert_int_equal(served_by(x, 2), 1); /* the exit; the subnet has one carrier */
	registry_online_set(&x->r, 2, true, NOW);
	assert_int_equal(served_by(x, 1), 1);
	assert_int_equal(served_by(x, 2), 2);
	registry_online_set(&x->r, 1, true, NOW);
	assert_int_equal(served_by(x, 1), 1); /* it does not go back by itself */
	struct id_list rivals = { 0 };
	registry_rivals(&x->r, &rivals);
	assert_int_equal(rivals.n, 2);
	id_list_clear(&rivals);
	registry_silent_set(&x->r, 2, true);
	assert_int_equal(served_by(x, 1), 2);
	assert_int_equal(served_by(x, 2), 1);
	registry_silent_set(&x->r, 1, true); /* one that hangs is as good as another */
	assert_int_equal(served_by(x, 1), 2);
	registry_silent_set(&x->r, 2, false);
	assert_int_equal(served_by(x, 2), 2);
	registry_silent_set(&x->r, 1, false);
	registry_online_set(&x->r, 2, false, NOW);
	assert_int_equal(served_by(x, 1), 2);
	registry_close(&x->r);
	open_registry(x); /* approval is kept */
	registry_online_set(&x->r, 1, true, NOW);
	assert_int_equal(served_by(x, 1), 2);
	registry_node_delete(&x->r, 1, waits(x));
	assert_int_equal(outcome(x), 0);
	assert_int_equal(served_by(x, 2), 2);
	registry_node_routes(&x->r, 2, "", waits(x));
	assert_int_equal(outcome(x), 0);
	assert_int_equal(served_by(x, 2), 0);
}

static bool approves(void *arg, const struct member *m, const struct prefix *route)
{
	(void)arg;
	return m->id == 1 && route->bits == 16;
}

/* What the rules approve needs no admin, and comes back when it is taken away. */
static void test_approved_routes(void **state)
{
	struct fixture *x = *state;
	char key[REGISTRY_KEY_TEXT];
	x->r.c.ops.approves = approves;
	make_key(x, &(struct preauth_wish) { .user = "alice", .tags = "", .reusable = true }, key);
	join_as_router(x, 1, key);
	join_as_router(x, 2, key);
	assert_int_equal(served_by(x, 1), 1); /* the subnet, not the exit, and nothing of the mesh */
	assert_int_equal(fleet_by_id(&x->r.fleet, 1)->carries.n, 1);
	assert_int_equal(served_by(x, 2), 0);
	registry_close(&x->r);
	open_registry(x);
	registry_online_set(&x->r, 1, true, NOW);
	assert_int_equal(served_by(x, 1), 1);
	x->r.c.ops.approves = approves;
	registry_node_routes(&x->r, 1, "", waits(x));
	assert_int_equal(outcome(x), 0);
	assert_int_equal(served_by(x, 1), 1);
}

static void test_admin(void **state)
{
	struct fixture *x = *state;
	char key[REGISTRY_KEY_TEXT];
	registry_user_create(&x->r, "alice", NOW, waits(x));
	assert_int_equal(outcome(x), -EEXIST);
	assert_string_equal(x->eb.text, "user \"alice\" exists already");
	registry_user_create(&x->r, "a b", NOW, waits(x));
	assert_int_equal(outcome(x), -EINVAL);
	registry_user_create(&x->r, "bob@", NOW, waits(x));
	assert_int_equal(outcome(x), -EINVAL);
	struct preauth_wish w = { .user = "carol", .tags = "" };
	registry_preauth_create(&x->r, &w, NOW, waits(x));
	assert_int_equal(outcome(x), -ENOENT);
	assert_string_equal(x->eb.text,
		"no user \"carol\": make it with `ropewalk-control users create carol`, "
		"or add --create-user");
	w.create_user = true;
	make_key(x, &w, key);
	w = (struct preauth_wish) { .user = "", .tags = "" };
	registry_preauth_create(&x->r, &w, NOW, waits(x));
	assert_int_equal(outcome(x), -EINVAL);
	w = (struct preauth_wish) { .user = "carol", .tags = "web" };
	registry_preauth_create(&x->r, &w, NOW, waits(x));
	assert_int_equal(outcome(x), -EINVAL);
	w.tags = "";
	make_key(x, &w, key);
	ask(x, &(struct ask) { .node = 1, .machine = 1, .key = key });
	registry_user_destroy(&x->r, "carol", USER_OWNER, waits(x));
	assert_int_equal(outcome(x), -EBUSY);
	assert_string_equal(x->eb.text, "user \"carol\" still has nodes (box): delete them first");
	registry_node_rename(&x->r, 1, "Bad Name", waits(x));
	assert_int_equal(outcome(x), -EINVAL);
	registry_node_rename(&x->r, 1, "good", waits(x));
	assert_int_equal(outcome(x), 0);
	registry_node_tag(&x->r, 1, "tag:a,tag:b", waits(x));
	assert_int_equal(outcome(x), 0);
	assert_true(member_has_tag(node_of(x, 1), "tag:b"));
	registry_node_delete(&x->r, 9, waits(x));
	assert_int_equal(outcome(x), -ENOENT);
	registry_node_delete(&x->r, 1, waits(x));
	assert_int_equal(outcome(x), 0);
	registry_user_destroy(&x->r, "carol", USER_OWNER, waits(x));
	assert_int_equal(outcome(x), 0);
	registry_user_destroy(&x->r, "carol", USER_OWNER, waits(x));
	assert_int_equal(outcome(x), -ENOENT);
	/* a number is never given twice, nor is an address soon */
	w = (struct preauth_wish) { .user = "alice", .tags = "" };
	make_key(x, &w, key);
	ask(x, &(struct ask) { .node = 1, .machine = 1, .key = key });
	assert_int_equal(node_of(x, 1)->id, 2);
	assert_int_equal(addr_v4_get(&node_of(x, 1)->v4), 0x64400002);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_key_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_logout_and_rotation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_approval, setup, teardown),
		cmocka_unit_test_setup_teardown(test_login_withdrawn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_login_rejected, setup, teardown),
		cmocka_unit_test_setup_teardown(test_key_settles_login, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_pending, setup, teardown),
		cmocka_unit_test_setup_teardown(test_default_expiry, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unsaved, setup, teardown),
		cmocka_unit_test_setup_teardown(test_much_to_say, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tagged_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_facts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_requested_tags, setup, teardown),
		cmocka_unit_test_setup_teardown(test_admin, setup, teardown),
		cmocka_unit_test_setup_teardown(test_routes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_approved_routes, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
