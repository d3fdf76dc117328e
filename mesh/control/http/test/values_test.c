/* Users as the REST API shows them: with and without a provider that they log in by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/http/v1.h"
#include <stdlib.h>
#include <string.h>

static void expect(const json_t *user, const char *name, const char *want)
{
	const char *got = json_string_value(json_object_get(user, name));
	if (!got || strcmp(got, want) != 0)
		fail_msg("%s is %s", name, got ? got : "nothing");
}

static void test_people(void **state)
{
	struct registry *r = calloc(1, sizeof(*r));
	struct api a = { .reg = r };
	const struct user alice = { .id = 1, .name = "alice" }, bob = { .id = 2, .name = "bob" };
	const struct person who = { .user = 1,
		.issuer = "https://id.test",
		.subject = "77",
		.email = "alice@b.test",
		.display = "Alice \"A\" B" };
	(void)state;
	people_init(&r->people, 1);
	assert_true(people_put(&r->people, &who));
	json_t *v = v1_user(&a, &alice);
	expect(v, "id", "1");
	expect(v, "displayName", "Alice \"A\" B");
	expect(v, "email", "alice@b.test");
	expect(v, "providerId", "https://id.test/77");
	expect(v, "provider", "oidc");
	json_decref(v);
	v = v1_user(&a, &bob);
	expect(v, "email", "");
	expect(v, "provider", "");
	expect(v, "profilePicUrl", "");
	json_decref(v);
	people_fini(&r->people);
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_people) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
