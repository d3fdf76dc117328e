/* Persons who log in: the same one is the same user, whatever else is said of them; another one never is. */
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

#define NOW INT64_C(1700000000000)
enum { DAY_MS = 86400000 };

struct fixture {
	struct place place;
	char path[256];
	struct registry r;
	struct registry_wait wait;
	int err;
	int64_t id;
	bool ended;
	const char *domain; /* for which the provider speaks */
	unsigned changes;   /* told of nodes */
	int64_t admin_told; /* of which it was said that he is another */
};

static void tell_admin(void *arg, int64_t admin)
{
	((struct fixture *)arg)->admin_told = admin;
}

static const char *domain_of(void *arg, const char *issuer)
{
	return !strcmp(issuer, "https://a") ? ((struct fixture *)arg)->domain : NULL;
}

static void count_changes(
	void *arg, const struct member *old, const struct member *now, enum registry_news what)
{
	(void)old;
	(void)now;
	((struct fixture *)arg)->changes += what == NEWS_IDENTITY;
}

static void ended(void *arg, const struct registry_result *res)
{
	struct fixture *x = arg;
	x->ended = true;
	x->err = res->err;
	x->id = res->id;
}

static struct registry_wait *waits(struct fixture *x)
{
	x->ended = false;
	x->wait = (struct registry_wait) { .done = ended, .arg = x };
	return &x->wait;
}

static void open_registry(struct fixture *x)
{
	struct errbuf eb = { 0 };
	struct registry_config c = { .server_url = "https://hs.test",
		.state_path = x->path,
		.rnd = &random_system,
		.secret = { { 9 } },
		.expiry_ms = 3 * (uint64_t)DAY_MS,
		.ops = { .admin_changed = tell_admin,
			.groups_domain = domain_of,
			.changed = count_changes,
			.arg = x } };
	c.pool.has_v4 = prefix_parse("100.64.0.0/10", &c.pool.v4);
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
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	registry_close(&x->r);
	place_remove(&x->place);
	free(x);
	return 0;
}

static int64_t log_in(struct fixture *x, const char *issuer, const char *subject, const char *email)
{
	const struct person_wish w = { .issuer = issuer, .subject = subject, .email = email, .display = "A" };
	registry_person_login(&x->r, &w, NOW, waits(x));
	assert_true(x->ended && !x->err);
	return x->id;
}

static const char *name_of(const struct fixture *x, int64_t user)
{
	return fleet_user(&x->r.fleet, user)->name;
}

static void test_identity(void **state)
{
	struct fixture *x = *state;
	int64_t alice = log_in(x, "https://a", "1", "alice@example.com");
	assert_string_equal(name_of(x, alice), "alice@example.com");
	/* The same person, whose address is another now; the user's name stays. */
	assert_int_equal(log_in(x, "https://a", "1", "married@example.com"), alice);
	assert_string_equal(name_of(x, alice), "alice@example.com");
	assert_string_equal(people_of_user(&x->r.people, alice)->email, "married@example.com");
	/* Who has that address now, and who has it at another provider, are others, and get none of her rights. */
	int64_t second = log_in(x, "https://a", "2", "alice@example.com"),
		third = log_in(x, "https://b", "1", "alice@example.com");
	assert_true(second != alice && third != alice && third != second);
	assert_string_equal(name_of(x, second), "alice@example.com.2");
	assert_string_equal(name_of(x, third), "alice@example.com.3");
	/* Issuer and subject are two things. */
	assert_true(log_in(x, "https://a1", "x", "x@example.com") !=
		    log_in(x, "https://a", "1x", "x@example.com"));
	/* A user of that name whom an admin has made is not theirs. */
	registry_user_create(&x->r, "bob@example.com", NOW, waits(x));
	int64_t made = x->id;
	assert_true(log_in(x, "https://a", "bob", "bob@example.com") != made);
	/* After a restart as well. */
	registry_close(&x->r);
	open_registry(x);
	assert_int_equal(log_in(x, "https://a", "1", "married@example.com"), alice);
	assert_int_equal(log_in(x, "https://b", "1", "alice@example.com"), third);
}

static void log_in_with(struct fixture *x, const char *issuer, const char *groups)
{
	const struct person_wish w = { issuer, "1", "alice@example.com", "A", groups };
	registry_person_login(&x->r, &w, NOW, waits(x));
	assert_true(x->ended && !x->err);
}

/* Of the user and, the same, of the user's nodes. */
static void check_groups(struct fixture *x, int64_t user, const char *want)
{
	char text[128] = "";
	const struct user_groups *g = fleet_groups(&x->r.fleet, user);
	for (size_t i = 0; g && i < g->n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", g->v[i]);
	assert_string_equal(text, want);
	for (size_t i = 0; i < x->r.fleet.n; i++)
		if (x->r.fleet.v[i]->user == user)
			assert_ptr_equal(x->r.fleet.v[i]->groups, g);
}

static void open_again(struct fixture *x, const char *domain)
{
	registry_close(&x->r);
	x->domain = domain;
	open_registry(x);
}

/* What a provider said last is kept, and goes with what it said before; the user's nodes, and no others, are told anew. */
static void test_groups(void **state)
{
	struct fixture *x = *state;
	char id[REGISTRY_ID];
	x->domain = "x.test";
	log_in_with(x, "https://a", "staff\nadmins\n");
	int64_t alice = x->id;
	check_groups(x, alice, "admins@x.test staff@x.test ");
	for (int i = 0; i < 3; i++) { /* two of hers, one of somebody else's */
		struct machine_key machine;
		struct node_key key;
		int64_t user = i < 2 ? alice : log_in(x, "https://b", "other", "");
		const struct approve_wish by = { .user = name_of(x, user), .by = USER_OWNER };
		snprintf(id, sizeof(id), "%.*d", REGISTRY_ID - 1, i);
		assert_int_equal(
			registry_pending_invent(&x->r, id, &(struct ctl_hostinfo) { .hostname = "h" }, NOW,
				&machine, &key, &(struct errbuf) { 0 }),
			0);
		registry_approve(&x->r, id, &by, NOW, waits(x));
		assert_true(x->ended && !x->err);
	}
	check_groups(x, alice, "admins@x.test staff@x.test ");
	x->changes = 0;
	log_in_with(x, "https://a", "admins\nstaff\n"); /* the same */
	assert_int_equal(x->changes, 0);
	log_in_with(x, "https://a", "staff\n");
	assert_int_equal(x->changes, 2);
	check_groups(x, alice, "staff@x.test ");
	open_again(x, "x.test");
	check_groups(x, alice, "staff@x.test ");
	registry_user_role(&x->r, name_of(x, alice), "auditor", USER_OWNER, waits(x));
	check_groups(x, alice, "staff@x.test ");
	/* The settings say for what domain, and whether at all. */
	open_again(x, "y.test");
	check_groups(x, alice, "staff@y.test ");
	open_again(x, NULL);
	check_groups(x, alice, "");
	log_in_with(x, "https://a", NULL);
	open_again(x, "x.test"); /* what it said before that is forgotten */
	check_groups(x, alice, "");
	log_in_with(x, "https://a", "staff\n");
	log_in_with(x, "https://a", NULL);
	check_groups(x, alice, "");
	open_again(x, "x.test");
	check_groups(x, alice, "");
	log_in_with(
		x, "https://b", "staff\n"); /* another person, of a provider whose groups rules cannot name */
	assert_int_not_equal(x->id, alice);
	check_groups(x, x->id, "");
}

static void test_names(void **state)
{
	static const struct {
		const char *subject, *email, *name;
	} rows[] = { { "s1", "a b@example.com", "a_b@example.com" }, { "7c9e-11|x", "", "7c9e-11_x" },
		{ "s2", "ends@", "ends" }, { "s3", "@", "user" }, { "s4", "@@", "user.2" },
		/* what looks like an address, and was not vouched for */
		{ "alice@example.com", "", "alice_example.com" } };
	struct fixture *x = *state;
	char longest[PERSON_TEXT];
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(name_of(x, log_in(x, "https://a", rows[i].subject, rows[i].email)),
			    rows[i].name) != 0)
			fail_msg("row %zu", i);
	/* An address that is cut is not one of the domain where it is cut. */
	memset(longest, 'x', sizeof(longest) - 1);
	memcpy(longest + FLEET_USER_NAME - 5 - 12, "@example.com.evil.test",
		sizeof("@example.com.evil.test"));
	assert_null(strchr(name_of(x, log_in(x, "https://a", "s5", longest)), '@'));
	memset(longest, 's', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	int64_t one = log_in(x, "https://a", longest, "");
	longest[200] = 't';
	assert_true(log_in(x, "https://a", longest, "") != one);
	assert_true(strcmp(people_of_user(&x->r.people, x->id)->subject, longest) == 0);
}

/* What is gone is gone on disk as well: the person comes back as another user. */
static void test_destroyed(void **state)
{
	struct fixture *x = *state;
	int64_t alice = log_in(x, "https://a", "1", "alice@example.com");
	registry_user_destroy(&x->r, "alice@example.com", USER_OWNER, waits(x));
	assert_int_equal(x->err, 0);
	assert_null(people_find(&x->r.people, "https://a", "1"));
	registry_close(&x->r);
	open_registry(x);
	assert_null(people_find(&x->r.people, "https://a", "1"));
	assert_true(log_in(x, "https://a", "1", "alice@example.com") != alice);
	assert_string_equal(name_of(x, x->id), "alice@example.com");
}

static const struct member *let_in(struct fixture *x, uint8_t number, int64_t expiry_ms)
{
	struct ctl_register_request rq = { .version = 113,
		.node = { { number } },
		.auth_key = "",
		.followup = "",
		.expiry_ms = FLEET_NO_TIME };
	struct machine_key machine = { { number } };
	struct addr from;
	struct arena a = { 0 };
	struct ctl_register_response out;
	struct registry_wait w;
	struct pending_info p;
	char pending[REGISTRY_ID];
	rq.hostinfo.hostname = "box";
	rq.hostinfo.os = "";
	assert_int_equal(
		registry_register(&x->r, &rq, &machine, NOW, &a, &out, pending, &w), REGISTRY_ANSWER);
	const char *id = strrchr(out.auth_url, '/') + 1;
	assert_true(addr_parse("192.0.2.7", &from));
	registry_pending_seen(&x->r, &machine, &rq.node, &from);
	assert_true(registry_pending_find(&x->r, id, &p));
	assert_true(addr_equal(&p.from, &from) && key_equal(p.key.b, rq.node.b));
	registry_approve(&x->r, id,
		&(struct approve_wish) { .user = "alice@example.com", .expiry_ms = expiry_ms }, NOW,
		waits(x));
	assert_int_equal(x->err, 0);
	arena_free(&a);
	return fleet_by_id(&x->r.fleet, x->id);
}

static void test_expiry(void **state)
{
	struct fixture *x = *state;
	(void)log_in(x, "https://a", "1", "alice@example.com");
	assert_int_equal(let_in(x, 1, 0)->expiry_ms, NOW + 3LL * DAY_MS);
	assert_int_equal(let_in(x, 2, NOW + DAY_MS)->expiry_ms, NOW + DAY_MS);
}

static int put_admin(struct fixture *x, bool fresh, const char *name, const char *hash)
{
	if (fresh)
		registry_admin_create(&x->r, name, hash, NOW, waits(x));
	else
		registry_admin_password(&x->r, name, hash, waits(x));
	assert_true(x->ended);
	return x->err;
}

static void test_admins(void **state)
{
	struct fixture *x = *state;
	char name[ADMIN_NAME];
	assert_int_equal(put_admin(x, false, "root", "one"), -ENOENT);
	assert_int_equal(put_admin(x, true, "root", "one"), 0);
	int64_t root = x->id;
	assert_int_equal(put_admin(x, true, "root", "two"), -EEXIST);
	assert_int_equal(put_admin(x, true, "a b", "one"), -EINVAL);
	assert_int_equal(put_admin(x, true, "", "one"), -EINVAL);
	assert_int_equal(put_admin(x, false, "root", "two"), 0);
	assert_int_equal(x->id, root);
	/* Who is in has to go, whether whoever asked is still there or not. */
	x->admin_told = 0;
	registry_admin_password(&x->r, "root", "two", NULL);
	assert_int_equal(x->admin_told, root);
	registry_close(&x->r);
	open_registry(x);
	const struct admin *a = admins_named(&x->r.admins, "root");
	assert_true(a && a->id == root && a->created_ms == NOW && !strcmp(a->hash, "two"));
	for (int i = 1; i < ADMINS_MAX; i++) {
		snprintf(name, sizeof(name), "a%d", i);
		assert_int_equal(put_admin(x, true, name, "h"), 0);
	}
	assert_int_equal(put_admin(x, true, "one-more", "h"), -ENOSPC);
	x->admin_told = 0;
	registry_admin_delete(&x->r, "root", NULL);
	assert_int_equal(x->admin_told, root);
	registry_admin_delete(&x->r, "root", waits(x));
	assert_int_equal(x->err, -ENOENT);
	registry_close(&x->r);
	open_registry(x);
	assert_null(admins_by_id(&x->r.admins, root));
	assert_int_equal(x->r.admins.n, ADMINS_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_groups, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_destroyed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expiry, setup, teardown),
		cmocka_unit_test_setup_teardown(test_admins, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
