/* Settings from the environment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/control/config/config.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The environment's word holds instead of the file's; what is wrong with it is said by the variable's name. */
static void test_environment(void **state)
{
	static const struct {
		const char *name, *value, *wrong; /* NULL: nothing */
	} rows[] = { { "HEADSCALE_SERVER_URL", "https://env.test", NULL },
		{ "HEADSCALE_DNS_BASE_DOMAIN", "env.mesh", NULL },
		{ "HEADSCALE_DNS_MAGIC_DNS", "false", NULL },
		{ "HEADSCALE_DNS_NAMESERVERS_GLOBAL", "192.0.2.1 192.0.2.2", NULL },
		{ "HEADSCALE_DATABASE_SQLITE_PATH", "/x/y.sqlite", NULL },
		{ "HEADSCALE_PORT", "tcp://10.0.0.1:8080", NULL }, /* of an orchestrator, no setting */
		{ "HEADSCALE_LISTEN_ADDR", "a \"b\"", "HEADSCALE_LISTEN_ADDR:1:" },
		{ "HEADSCALE_OIDC_CLIENT_SECRET", "x",
			"HEADSCALE_OIDC_CLIENT_SECRET: the settings below oidc" } };
	char path[] = "/tmp/config_env-XXXXXX";
	struct control_config c;
	struct errbuf eb = { 0 };
	int fd = mkstemp(path);
	(void)state;
	assert_true(fd >= 0);
	static const char text[] =
		"server_url: https://file.test\ndns: { base_domain: file.mesh, nameservers: { global: "
		"[192.0.2.9] } }\n";
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		setenv(rows[i].name, rows[i].value, 1);
		int err = config_read(path, &c, &eb);
		if (rows[i].wrong) {
			assert_int_not_equal(err, 0);
			assert_memory_equal(eb.text, rows[i].wrong, strlen(rows[i].wrong));
			unsetenv(rows[i].name);
			continue;
		}
		if (err)
			fail_msg("%s: %s", rows[i].name, eb.text);
		config_free(&c);
	}
	assert_int_equal(config_read(path, &c, &eb), 0);
	assert_string_equal(c.server_url, "https://env.test");
	assert_string_equal(c.base_domain, "env.mesh");
	assert_false(c.magic_dns);
	assert_int_equal(c.nameservers.n, 2);
	assert_string_equal(c.nameservers.v[1].addr, "192.0.2.2");
	assert_string_equal(c.database_path, "/x/y.sqlite");
	config_free(&c);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		unsetenv(rows[i].name);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_environment) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
