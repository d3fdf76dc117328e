/* Who may have which tags and groups, while memory is short: nobody gets more for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/fuzz/trouble.h"
#include "mesh/control/fleet/registry_inner.h"
#include "mesh/control/fleet/test/place.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1700000000000)
/* What the check says while the piece of memory after so many is refused. */
static void test_checks(void **state)
{
	const struct registry r = { .ticked_ms = 0 };
	const char *want[] = { "tag:web" };
	const struct ctl_strings asked = { .v = want, .n = 1 };
	struct errbuf eb = { 0 };
	(void)state;
	trouble_memory(1);
	assert_int_equal(registry_tags_check(&r, "no tag", &eb), -ENOMEM);
	trouble_memory(1);
	assert_int_equal(registry_tags_check_owner(&r, "tag:web", 1, &eb), -ENOMEM);
	trouble_memory(2); /* in its own form it was found good, whose it is was not read */
	assert_int_equal(registry_tags_check_owner(&r, "tag:web", 1, &eb), -ENOMEM);
	trouble_memory(1);
	assert_int_equal(registry_tags_check_key("tag:web", &asked, &eb), -ENOMEM);
	trouble_memory(0);
	assert_int_equal(registry_tags_check(&r, "no tag", &eb), -EINVAL);
	assert_int_equal(registry_tags_check(&r, "tag:web", &eb), 0);
	assert_int_equal(registry_tags_check_owner(&r, "tag:web", 1, &eb), ERR_REFUSED);
	assert_int_equal(registry_tags_check_key("tag:web", &asked, &eb), 0);
}

static bool knows(void *arg, const char *tag)
{
	(void)arg;
	return strcmp(tag, "tag:unknown") != 0;
}

static bool owns(void *arg, const char *tag, const struct user *user)
{
	(void)arg;
	return user->id == 1 && !strcmp(tag, "tag:web");
}

/* Alice may give tag:web; bob, and who is not there any more, nothing. */
static void test_who_may(void **state)
{
	static const char *had[] = { "tag:db" };
	static const struct ctl_strings has = { .v = had, .n = 1 };
	static const struct {
		const char *tags;
		int64_t user;
		int form, owner, giver, had; /* what is said of their form, and to whom they are another's */
	} rows[] = {
		{ "", 2, 0, 0, 0, 0 },
		{ "tag:web", 1, 0, 0, 0, 0 },
		{ "tag:web", 2, 0, ERR_REFUSED, -EPERM, -EPERM },
		{ "tag:web", 9, 0, ERR_REFUSED, -EPERM, -EPERM },
		{ "tag:db", 1, 0, ERR_REFUSED, -EPERM, 0 },
		{ "tag:db", 2, 0, ERR_REFUSED, -EPERM, 0 },
		{ "tag:web,tag:db", 1, 0, ERR_REFUSED, -EPERM, 0 },
		{ "tag:db,tag:web", 2, 0, ERR_REFUSED, -EPERM, -EPERM },
		{ "tag:web, tag:ops", 1, 0, ERR_REFUSED, -EPERM, -EPERM },
		{ "tag:web", 0, 0, ERR_REFUSED, 0, 0 }, /* no giver: an admin */
		{ "web", 1, -EINVAL, -EINVAL, -EPERM, -EPERM },
		{ "tag:", 1, -EINVAL, -EINVAL, -EPERM, -EPERM },
		{ "tag:a_b", 1, -EINVAL, -EINVAL, -EPERM, -EPERM },
		{ "tag:a.b", 1, -EINVAL, -EINVAL, -EPERM, -EPERM },
		{ "tag:Web", 1, -EINVAL, -EINVAL, -EPERM, -EPERM },
		{ "tag:-a", 1, -EINVAL, -EINVAL, -EPERM, -EPERM },
		{ "tag:web,tag:unknown", 1, -EINVAL, -EINVAL, -EPERM, -EPERM },
	};
	struct registry r = { .c.ops = { .knows_tag = knows, .owns_tag = owns } };
	struct errbuf eb = { 0 };
	(void)state;
	fleet_init(&r.fleet, 1);
	assert_true(fleet_user_put(&r.fleet, &(struct user) { .id = 1, .name = "alice" }) &&
		    fleet_user_put(&r.fleet, &(struct user) { .id = 2, .name = "bob" }));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *t = rows[i].tags;
		if (registry_tags_check(&r, t, &eb) != rows[i].form ||
			registry_tags_check_owner(&r, t, rows[i].user, &eb) != rows[i].owner ||
			registry_tags_check_giver(&r, t, rows[i].user, NULL, &eb) != rows[i].giver ||
			registry_tags_check_giver(&r, t, rows[i].user, &has, &eb) != rows[i].had)
			fail_msg("row %zu: %s", i, eb.text);
	}
	/* a key makes nodes of its own tags alone */
	assert_int_equal(registry_tags_check_key("tag:db,tag:web", &has, &eb), 0);
	assert_int_equal(registry_tags_check_key("tag:web", &has, &eb), ERR_REFUSED);
	assert_int_equal(registry_tags_check_key("", &has, &eb), ERR_REFUSED);
	/* and where no policy says who may, nobody may */
	r.c.ops.owns_tag = NULL;
	assert_int_equal(registry_tags_check_owner(&r, "tag:web", 1, &eb), ERR_REFUSED);
	assert_int_equal(registry_tags_check_giver(&r, "tag:web", 1, NULL, &eb), -EPERM);
	fleet_fini(&r.fleet);
}

struct fixture {
	struct place place;
	char path[256], key[REGISTRY_KEY_TEXT];
	struct registry r;
	int err;
	unsigned told, bare; /* of members: so many, and so many without tags */
};

static void ended(void *arg, const struct registry_result *res)
{
	struct fixture *x = arg;
	x->err = res->err;
	if (res->key && *res->key)
		memcpy(x->key, res->key, strlen(res->key) + 1);
}

static void changed(void *arg, const struct member *old, const struct member *now, enum registry_news what)
{
	struct fixture *x = arg;
	(void)old, (void)what;
	x->told++;
	x->bare += now && !now->tags.n;
}

/* The machine comes again, by another node key. */
static int join(struct fixture *x, uint8_t n)
{
	struct ctl_register_request rq = {
		.version = 119, .auth_key = x->key, .followup = "", .expiry_ms = INT64_MIN
	};
	struct registry_wait w = { .done = ended, .arg = x };
	const struct machine_key machine = { { 1 } };
	struct ctl_register_response out;
	struct arena a = { 0 };
	char pending[REGISTRY_ID];
	memset(rq.node.b, n, KEY_LEN);
	rq.hostinfo.hostname = "box";
	x->err = -ECANCELED;
	(void)registry_register(&x->r, &rq, &machine, NOW, &a, &out, pending, &w);
	arena_free(&a);
	return x->err;
}

static const char *domain_of(void *arg, const char *issuer)
{
	(void)arg, (void)issuer;
	return "x.test";
}

static void open_registry(struct fixture *x)
{
	struct errbuf eb = { 0 };
	assert_true(key_setup());
	place_make(&x->place);
	place_path(&x->place, "db.sqlite", x->path);
	struct registry_config c = { .server_url = "https://hs.test",
		.state_path = x->path,
		.rnd = &random_system,
		.secret = { { 9 } },
		.ops = { .changed = changed, .groups_domain = domain_of, .arg = x } };
	c.pool.has_v4 = prefix_parse("100.64.0.0/10", &c.pool.v4);
	if (registry_open(&x->r, &c, &eb))
		fail_msg("%s", eb.text);
}

/* Whichever piece of memory cannot be had: it comes with its tags, or not at all. */
static void test_join(void **state)
{
	static const char tags[] = "tag:a-long-name-for-what-a-machine-does,tag:another-name-as-long-as-that,"
				   "tag:and-one-more-so-that-they-fill-a-page,tag:web";
	struct fixture x = { .err = 0 };
	struct registry_wait w = { .done = ended, .arg = &x };
	uint8_t n = 1;
	(void)state;
	open_registry(&x);
	registry_preauth_create(
		&x.r, &(struct preauth_wish) { .user = "", .reusable = true, .tags = tags }, NOW, &w);
	assert_int_equal(x.err, 0);
	assert_int_equal(join(&x, n++), 0);
	do {
		trouble_memory(n - 1U);
		(void)join(&x, n++);
	} while (trouble_happened());
	trouble_memory(0); /* it took no more than were to be had */
	assert_int_equal(x.err, 0);
	assert_true(x.told > 1);
	assert_int_equal(x.bare, 0);
	assert_int_equal(x.r.fleet.n, 1);
	assert_int_equal(x.r.fleet.v[0]->tags.n, 4);
	registry_close(&x.r);
	place_remove(&x.place);
}

static int log_in(struct fixture *x, const char *groups)
{
	const struct person_wish wish = { "https://a", "1", "a@x.test", "A", groups };
	struct registry_wait w = { .done = ended, .arg = x };
	x->err = -ECANCELED;
	registry_person_login(&x->r, &wish, NOW, &w);
	return x->err;
}

/* A group that somebody has lost is gone from their machines with the next login that is heard to its end. */
static void test_groups_lost(void **state)
{
	struct fixture x = { .err = 0 };
	struct registry_wait w = { .done = ended, .arg = &x };
	bool enough = false;
	(void)state;
	open_registry(&x);
	assert_int_equal(log_in(&x, NULL), 0);
	registry_preauth_create(
		&x.r, &(struct preauth_wish) { .user = "a@x.test", .reusable = true, .tags = "" }, NOW, &w);
	assert_int_equal(join(&x, 1), 0);
	for (unsigned i = 0; !enough; i++) {
		assert_int_equal(log_in(&x, "staff\n"), 0);
		assert_non_null(x.r.fleet.v[0]->groups);
		trouble_memory(i + 1);
		(void)log_in(&x, NULL);
		enough = !trouble_happened();
		trouble_memory(0);
		assert_int_equal(log_in(&x, NULL), 0);
		assert_null(x.r.fleet.v[0]->groups);
	}
	registry_close(&x.r);
	place_remove(&x.place);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_checks), cmocka_unit_test(test_who_may),
		cmocka_unit_test(test_join), cmocka_unit_test(test_groups_lost) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
