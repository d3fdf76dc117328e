/* Settings from the environment: every key of Headscale's settings by its variable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/base/fuzz/trouble.h"
#include "mesh/control/config/config.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- a file, read with variables --- */

static const char small[] = "server_url: https://file.test\n";

static int read_with(const char *text, struct control_config *c, struct errbuf *eb)
{
	char path[] = "/tmp/config_env-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	*eb = (struct errbuf) { 0 };
	int err = config_read(path, c, eb);
	unlink(path);
	return err;
}

/* --- what a setting says, as text --- */

enum shape { TEXT, BOOL, MS, AT_PORT, MODE, NET, TEXTS, NAMES, NETS, REGION, LEVEL };

static void join(char out[static 256], const char *text)
{
	size_t n = strlen(out);
	snprintf(out + n, 256 - n, "%s%s", n ? " " : "", text ? text : "-");
}

static void list_say(const void *field, enum shape shape, char out[static 256])
{
	const struct ctl_strings *texts = field; /* struct oidc_texts has the same members */
	const struct config_servers *servers = field;
	const struct ctl_prefixes *nets = field;
	char net[64];
	for (size_t i = 0; shape == TEXTS && i < texts->n; i++)
		join(out, texts->v[i]);
	for (size_t i = 0; shape == NAMES && i < servers->n; i++)
		join(out, servers->v[i].addr);
	for (size_t i = 0; shape == NETS && i < nets->n; i++) {
		prefix_format(&nets->v[i], net);
		join(out, net);
	}
}

static void say(const void *field, enum shape shape, char out[static 256])
{
	char text[96];
	*out = 0;
	switch (shape) {
	case TEXT: join(out, *(const char *const *)field); break;
	case BOOL: join(out, *(const bool *)field ? "true" : "false"); break;
	case MS: snprintf(out, 256, "%llu", (unsigned long long)*(const uint64_t *)field); break;
	case AT_PORT:
		endpoint_format(field, text);
		join(out, text);
		break;
	case MODE: snprintf(out, 256, "%o", *(const uint32_t *)field); break;
	case NET:
		prefix_format(field, text);
		join(out, text);
		break;
	case REGION: snprintf(out, 256, "%d", *(const int32_t *)field); break;
	case LEVEL: snprintf(out, 256, "%d", (int)*(const enum log_level *)field); break;
	default: list_say(field, shape, out); break;
	}
}

#define C(field) offsetof(struct control_config, field)
#define P(field) offsetof(struct config_provider, field)

/* --- every key --- */

static void test_keys(void **state)
{
	static const struct {
		const char *name, *value;
		size_t at;
		enum shape shape;
		const char *says; /* NULL: the value itself */
	} rows[] = { { "SERVER_URL", "https://env.test", C(server_url), TEXT, NULL },
		{ "LISTEN_ADDR", "127.0.0.1:81", C(listen), AT_PORT, NULL },
		{ "TLS_LETSENCRYPT_HOSTNAME", "env.test", C(acme_host), TEXT, NULL },
		{ "TLS_LETSENCRYPT_CHALLENGE_TYPE", "TLS-ALPN-01", C(acme_alpn), BOOL, "true" },
		{ "TLS_LETSENCRYPT_LISTEN", ":https", C(acme_listen), AT_PORT, "[::]:443" },
		{ "TLS_LETSENCRYPT_CACHE_DIR", "/x/cache", C(acme_dir), TEXT, NULL },
		{ "ACME_URL", "https://ca.test/dir", C(acme_url), TEXT, NULL },
		{ "ACME_EMAIL", "a@env.test", C(acme_email), TEXT, NULL },
		{ "NOISE_PRIVATE_KEY_PATH", "/x/noise", C(noise_key_path), TEXT, NULL },
		{ "PREFIXES_V4", "100.64.9.0/24", C(v4), NET, NULL },
		{ "PREFIXES_V6", "fd7a:115c:a1e0:9::/64", C(v6), NET, NULL },
		{ "DERP_PATHS", "/x/a.yaml /x/b.yaml", C(derp_paths), TEXTS, NULL },
		{ "DERP_SERVER_ENABLED", "true", C(relay.enabled), BOOL, NULL },
		{ "DERP_SERVER_REGION_ID", "901", C(relay.region), REGION, NULL },
		{ "DERP_SERVER_REGION_CODE", "env", C(relay.code), TEXT, NULL },
		{ "DERP_SERVER_REGION_NAME", "From Env", C(relay.name), TEXT, NULL },
		{ "DERP_SERVER_VERIFY_CLIENTS", "0", C(relay.verify_clients), BOOL, "false" },
		{ "DERP_SERVER_STUN_LISTEN_ADDR", "0.0.0.0:3479", C(relay.stun), AT_PORT, NULL },
		{ "DERP_SERVER_PRIVATE_KEY_PATH", "/x/derp", C(relay.key_path), TEXT, NULL },
		{ "DERP_SERVER_AUTOMATICALLY_ADD_EMBEDDED_DERP_REGION", "false", C(relay.no_region), BOOL,
			"true" },
		{ "DERP_SERVER_IPV4", "192.0.2.9", C(relay.ipv4), TEXT, NULL },
		{ "DERP_SERVER_IPV6", "2001:db8::9", C(relay.ipv6), TEXT, NULL },
		{ "DNS_MAGIC_DNS", "false", C(magic_dns), BOOL, NULL },
		{ "DNS_BASE_DOMAIN", "env.mesh", C(base_domain), TEXT, NULL },
		{ "DNS_OVERRIDE_LOCAL_DNS", "F", C(override_local_dns), BOOL, "false" },
		{ "DNS_NAMESERVERS_GLOBAL", "192.0.2.1,192.0.2.2", C(nameservers), NAMES,
			"192.0.2.1 192.0.2.2" },
		{ "DNS_SEARCH_DOMAINS", "a.test b.test", C(search_domains), TEXTS, NULL },
		{ "DNS_EXTRA_RECORDS_PATH", "/x/records.json", C(records_path), TEXT, NULL },
		{ "POLICY_PATH", "/x/policy", C(policy_path), TEXT, NULL },
		{ "POLICY_MODE", "database", C(policy_database), BOOL, "true" },
		{ "DATABASE_SQLITE_PATH", "/x/y.sqlite", C(database_path), TEXT, NULL },
		{ "UNIX_SOCKET", "/x/sock", C(unix_socket), TEXT, NULL },
		{ "UNIX_SOCKET_PERMISSION", "0o770", C(unix_socket_mode), MODE, "770" },
		{ "EPHEMERAL_NODE_INACTIVITY_TIMEOUT", "2m", C(ephemeral_ms), MS, "120000" },
		{ "NODE_EPHEMERAL_INACTIVITY_TIMEOUT", "3m", C(ephemeral_ms), MS, "180000" },
		{ "NODE_EXPIRY", "180d", C(expiry_ms), MS, "15552000000" },
		{ "LOG_LEVEL", "debug", C(log_level), LEVEL, NULL },
		{ "LOG_FORMAT", "json", C(log_json), BOOL, "true" },
		{ "TRUSTED_PROXIES", "127.0.0.1 10.1.0.0/16", C(proxies), NETS,
			"127.0.0.1/32 10.1.0.0/16" } };
	struct control_config c;
	struct errbuf eb;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char name[128], said[256], want[256];
		snprintf(name, sizeof(name), "HEADSCALE_%s", rows[i].name);
		snprintf(want, sizeof(want), "%s", rows[i].says ? rows[i].says : rows[i].value);
		if (rows[i].shape == LEVEL)
			snprintf(want, sizeof(want), "%d", (int)LOG_DEBUG);
		setenv(name, rows[i].value, 1);
		if (read_with(small, &c, &eb))
			fail_msg("%s: %s", name, eb.text);
		unsetenv(name);
		say((const char *)&c + rows[i].at, rows[i].shape, said);
		config_free(&c);
		if (strcmp(said, want) != 0)
			fail_msg("%s: %s", name, said);
		/* It is what the file says without it, which is something else; an empty one is not set. */
		setenv(name, "", 1);
		assert_int_equal(read_with(small, &c, &eb), 0);
		unsetenv(name);
		say((const char *)&c + rows[i].at, rows[i].shape, said);
		config_free(&c);
		if (!strcmp(said, want))
			fail_msg("%s: that is so without it", name);
	}
}

/* What goes with another, and what is of several parts. */
static void test_pairs(void **state)
{
	struct control_config c;
	struct errbuf eb;
	(void)state;
	setenv("HEADSCALE_TLS_CERT_PATH", "/x/cert", 1);
	setenv("HEADSCALE_TLS_KEY_PATH", "/x/key", 1);
	setenv("HEADSCALE_DNS_NAMESERVERS_SPLIT",
		"{\"a.test\": [\"192.0.2.1\", \"192.0.2.2\"], \"b.test\": []}", 1);
	setenv("HEADSCALE_DNS_EXTRA_RECORDS",
		"[{\"name\": \"x.env.test\", \"type\": \"A\", \"value\": \"100.64.0.3\"}]", 1);
	if (read_with(small, &c, &eb))
		fail_msg("%s", eb.text);
	assert_string_equal(c.tls_cert, "/x/cert");
	assert_string_equal(c.tls_key, "/x/key");
	assert_int_equal(c.split.n, 2);
	assert_string_equal(c.split.v[0].suffix, "a.test");
	assert_int_equal(c.split.v[0].servers.n, 2);
	assert_string_equal(c.split.v[0].servers.v[1].addr, "192.0.2.2");
	assert_int_equal(c.records.n, 1);
	assert_string_equal(c.records.v[0].value, "100.64.0.3");
	config_free(&c);
	unsetenv("HEADSCALE_TLS_CERT_PATH");
	unsetenv("HEADSCALE_TLS_KEY_PATH");
	unsetenv("HEADSCALE_DNS_NAMESERVERS_SPLIT");
	unsetenv("HEADSCALE_DNS_EXTRA_RECORDS");
}

/* --- logins --- */

static const char *const oidc[][2] = { { "ISSUER", "https://env.test/id" }, { "CLIENT_ID", "from-env" },
	{ "CLIENT_SECRET", "a \"secret\"" }, { "SCOPE", "openid, email" },
	{ "EXTRA_PARAMS", "{\"domain_hint\": \"env.test\"}" }, { "ALLOWED_DOMAINS", "env.test" },
	{ "ALLOWED_USERS", "a@env.test b@env.test" }, { "ALLOWED_GROUPS", "/mesh" },
	{ "EMAIL_VERIFIED_REQUIRED", "false" }, { "USE_EXPIRY_FROM_TOKEN", "true" }, { "EXPIRY", "10d" },
	{ "ONLY_START_IF_OIDC_IS_AVAILABLE", "false" }, { "PKCE_ENABLED", "true" }, { "PKCE_METHOD", "S256" },
	{ "STRIP_EMAIL_DOMAIN", "true" }, { "MAP_LEGACY_USERS", "true" } };

static void set_oidc(bool on)
{
	for (size_t i = 0; i < ARRAY_LEN(oidc); i++) {
		char name[128];
		snprintf(name, sizeof(name), "HEADSCALE_OIDC_%s", oidc[i][0]);
		if (on)
			setenv(name, oidc[i][1], 1);
		else
			unsetenv(name);
	}
}

static void check_provider(const struct control_config *c)
{
	static const struct {
		size_t at;
		enum shape shape;
		const char *says;
	} rows[] = { { P(s.issuer), TEXT, "https://env.test/id" }, { P(s.client), TEXT, "from-env" },
		{ P(s.secret), TEXT, "a \"secret\"" }, { P(s.scope), TEXT, "openid email" },
		{ P(s.domains), TEXTS, "env.test" }, { P(s.users), TEXTS, "a@env.test b@env.test" },
		{ P(s.groups), TEXTS, "/mesh" }, { P(s.verified_email), BOOL, "false" },
		{ P(s.token_expiry), BOOL, "true" }, { P(s.expiry_ms), MS, "864000000" },
		{ P(s.must_answer), BOOL, "false" }, { P(s.name), TEXT, "env.test" } };
	assert_int_equal(c->login.n, 1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char said[256];
		say((const char *)&c->login.v[0] + rows[i].at, rows[i].shape, said);
		if (strcmp(said, rows[i].says) != 0)
			fail_msg("row %zu: %s", i, said);
	}
	assert_int_equal(c->login.v[0].s.n_extra, 1);
	assert_string_equal(c->login.v[0].s.extra[0].name, "domain_hint");
}

static void test_login(void **state)
{
	static const char
		other[] = "server_url: https://file.test\noidc: { issuer: https://file.test/id, client_id: "
			  "of-file, client_secret: s, groups_claim: roles }\n",
		list[] = "server_url: https://file.test\noidc:\n- { issuer: https://file.test/id, client_id: "
			 "x }\n";
	char secret[] = "/tmp/config_env-XXXXXX";
	struct control_config c;
	struct errbuf eb;
	(void)state;
	set_oidc(true);
	/* without a word of the file, with a section of remarks, and in place of what a file says, member by member */
	assert_int_equal(read_with(small, &c, &eb), 0);
	check_provider(&c);
	config_free(&c);
	assert_int_equal(read_with("server_url: https://file.test\noidc:\n  # nothing\n", &c, &eb), 0);
	check_provider(&c);
	config_free(&c);
	if (read_with(other, &c, &eb))
		fail_msg("%s", eb.text);
	check_provider(&c);
	assert_string_equal(c.login.v[0].s.groups_claim, "roles");
	config_free(&c);
	assert_int_not_equal(read_with(list, &c, &eb), 0);
	assert_non_null(
		strstr(eb.text, ":3:1: oidc is a list here, and HEADSCALE_OIDC_ISSUER is for one provider"));
	set_oidc(false);
	/* the secret alone, and one in a file */
	setenv("HEADSCALE_OIDC_CLIENT_SECRET", "of-env", 1);
	assert_int_equal(read_with(other, &c, &eb), 0);
	assert_string_equal(c.login.v[0].s.secret, "of-env");
	config_free(&c);
	assert_int_equal(read_with(small, &c, &eb), 0);
	assert_int_equal(c.login.n, 0);
	config_free(&c);
	unsetenv("HEADSCALE_OIDC_CLIENT_SECRET");
	int fd = mkstemp(secret);
	assert_true(fd >= 0 && write(fd, "of-a-file\n", 10) == 10);
	close(fd);
	setenv("HEADSCALE_OIDC_ISSUER", "https://env.test", 1);
	setenv("HEADSCALE_OIDC_CLIENT_ID", "x", 1);
	setenv("HEADSCALE_OIDC_CLIENT_SECRET_PATH", secret, 1);
	assert_int_equal(read_with(small, &c, &eb), 0);
	assert_string_equal(c.login.v[0].s.secret, "of-a-file");
	config_free(&c);
	unsetenv("HEADSCALE_OIDC_CLIENT_SECRET_PATH");
	unsetenv("HEADSCALE_OIDC_CLIENT_ID");
	assert_int_not_equal(read_with(small, &c, &eb), 0);
	assert_non_null(strstr(eb.text, "HEADSCALE_OIDC_ISSUER:1:1: oidc: client_id is missing"));
	unsetenv("HEADSCALE_OIDC_ISSUER");
	unlink(secret);
}

#define WITH_LOGIN \
	"server_url: https://file.test\noidc: { issuer: https://file.test/id, client_id: x, client_secret: " \
	"s }\n"
#define K32 "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"

/* nth: of the allocations, the one that finds no memory. */
static int read_short(const char *text, unsigned nth, struct errbuf *eb)
{
	struct control_config c;
	trouble_memory(nth);
	int err = read_with(text, &c, eb);
	if (!err)
		config_free(&c);
	return err;
}

/* Memory that was short for a setting is not forgotten for a wrong key further down. */
static void test_first_error(void **state)
{
	struct errbuf eb;
	unsigned seen = 0;
	(void)state;
	setenv("HEADSCALE_OIDC_CLIENT_ID", "x", 1);
	for (unsigned nth = 1;; nth++) {
		(void)read_short(WITH_LOGIN, nth, &eb);
		if (!trouble_happened())
			break;
		if (!strstr(eb.text, "HEADSCALE_OIDC_CLIENT_ID"))
			continue;
		seen++;
		assert_int_equal(read_short(WITH_LOGIN K32 K32 K32 K32 K32 ": x\n", nth, &eb), -ENOMEM);
	}
	trouble_memory(0);
	assert_true(seen);
	unsetenv("HEADSCALE_OIDC_CLIENT_ID");
}

/* --- what is wrong, and what has no effect here --- */

static void test_wrong(void **state)
{
	static const struct {
		const char *name, *value, *wrong;			/* NULL: nothing */
	} rows[] = { { "HEADSCALE_PORT", "tcp://10.0.0.1:8080", NULL }, /* of an orchestrator, no setting */
		{ "HEADSCALE_SERVICE_HOST", "10.0.0.1", NULL },
		{ "HEADSCALE_LISTEN_ADDR", "a \"b\"",
			"HEADSCALE_LISTEN_ADDR:1:1: listen_addr: \"a \"b\"\" is not" },
		{ "HEADSCALE_DNS_MAGIC_DNS", "maybe", "HEADSCALE_DNS_MAGIC_DNS:1:1: dns.magic_dns: " },
		{ "HEADSCALE_DNS_NAMESERVERS_SPLIT", "a.test",
			"HEADSCALE_DNS_NAMESERVERS_SPLIT:1:1: dns.nameservers" },
		{ "HEADSCALE_DNS_NAMESERVERS_SPLIT", "{", "HEADSCALE_DNS_NAMESERVERS_SPLIT:" },
		{ "HEADSCALE_DERP_SERVER_REGION_ID", "x", "HEADSCALE_DERP_SERVER_REGION_ID:1:" },
		{ "HEADSCALE_OIDC_EXTRA_PARAMS", "x",
			"HEADSCALE_OIDC_EXTRA_PARAMS:1:1: oidc.extra_params: must be" },
		{ "HEADSCALE_OIDC_PKCE_METHOD", "plain",
			"HEADSCALE_OIDC_PKCE_METHOD:1:1: oidc.pkce: must be S256" },
		{ "HEADSCALE_OIDC_EXPIRY", "soon", "HEADSCALE_OIDC_EXPIRY:1:1: oidc.expiry: must be a time" },
		{ "HEADSCALE_DATABASE_TYPE", "postgres", "HEADSCALE_DATABASE_TYPE:1:1: database.type" },
		{ "HEADSCALE_DB_TYPE", "sqlite3", "HEADSCALE_DB_TYPE:1:1: db_type is the name of an older" },
		{ "HEADSCALE_ACL_POLICY_PATH", "/x",
			"HEADSCALE_ACL_POLICY_PATH:1:1: acl_policy_path is the" },
		{ "HEADSCALE_IP_PREFIXES", "100.64.0.0/10", "HEADSCALE_IP_PREFIXES:1:1: ip_prefixes is" },
		{ "HEADSCALE_DNS_CONFIG_BASE_DOMAIN", "x.test",
			"HEADSCALE_DNS_CONFIG_BASE_DOMAIN:1:1: dns_config is" } };
	struct control_config c;
	struct errbuf eb;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		setenv(rows[i].name, rows[i].value, 1);
		int err = read_with(small, &c, &eb);
		unsetenv(rows[i].name);
		if (!err)
			config_free(&c);
		if (!err != !rows[i].wrong ||
			(err && strncmp(eb.text, rows[i].wrong, strlen(rows[i].wrong)) != 0))
			fail_msg("%s: %s", rows[i].name, err ? eb.text : "taken");
	}
}

static void keep(void *arg, const char *sentence)
{
	strncat(arg, sentence, 1000 - strlen(arg));
	strncat(arg, "\n", 1000 - strlen(arg));
}

static void test_unused(void **state)
{
	static const char *const rows[][3] = { { "METRICS_LISTEN_ADDR", "127.0.0.1:9090",
						       "metrics_listen_addr" },
		{ "GRPC_LISTEN_ADDR", ":50443", "grpc_listen_addr" },
		{ "GRPC_ALLOW_INSECURE", "true", "grpc_allow_insecure" },
		{ "PREFIXES_ALLOCATION", "random", "prefixes.allocation" },
		{ "DERP_URLS", "https://derp.test/map", "derp.urls" },
		{ "DERP_AUTO_UPDATE_ENABLED", "true", "derp.auto_update_enabled" },
		{ "DERP_UPDATE_FREQUENCY", "3h", "derp.update_frequency" },
		{ "DISABLE_CHECK_UPDATES", "true", "disable_check_updates" },
		{ "DATABASE_SQLITE_WRITE_AHEAD_LOG", "true", "database.sqlite.write_ahead_log" },
		{ "DATABASE_SQLITE_WAL_AUTOCHECKPOINT", "1000", "database.sqlite.wal_autocheckpoint" },
		{ "DATABASE_POSTGRES_HOST", "db.test", "database.postgres" },
		{ "DATABASE_DEBUG", "true", "database.debug" },
		{ "DATABASE_GORM_SLOW_THRESHOLD", "1", "database.gorm" },
		{ "RANDOMIZE_CLIENT_PORT", "true", "randomize_client_port" },
		{ "LOGTAIL_ENABLED", "true", "logtail" }, { "TAILDROP_ENABLED", "true", "taildrop" },
		{ "AUTO_UPDATE_ENABLED", "true", "auto_update" },
		{ "NODE_ROUTES_HA_PROBE_INTERVAL", "10s", "node.routes" },
		{ "TUNING_BATCH_CHANGE_DELAY", "800ms", "tuning" }, { "CLI_ADDRESS", "x.test:1", "cli" },
		{ "NODE_UPDATE_CHECK_INTERVAL", "10s", "node_update_check_interval" },
		{ "PRIVATE_KEY_PATH", "/x", "private_key_path" } };
	struct control_config c;
	struct errbuf eb;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char name[128], said[1024] = "";
		snprintf(name, sizeof(name), "HEADSCALE_%s", rows[i][0]);
		setenv(name, rows[i][1], 1);
		if (read_with(small, &c, &eb))
			fail_msg("%s: %s", name, eb.text);
		config_unused_each(&c, keep, said);
		config_free(&c);
		unsetenv(name);
		const size_t len = strlen(rows[i][2]);
		if (strncmp(said, rows[i][2], len) != 0 || said[len] != ' ')
			fail_msg("%s: %s", name, said);
	}
	/* turned off it says nothing; in both places it is said once */
	setenv("HEADSCALE_LOGTAIL_ENABLED", "false", 1);
	assert_int_equal(read_with(small, &c, &eb), 0);
	assert_int_equal(c.n_unused, 0);
	config_free(&c);
	setenv("HEADSCALE_LOGTAIL_ENABLED", "true", 1);
	assert_int_equal(
		read_with("server_url: https://file.test\nlogtail: { enabled: true }\n", &c, &eb), 0);
	assert_int_equal(c.n_unused, 1);
	config_free(&c);
	unsetenv("HEADSCALE_LOGTAIL_ENABLED");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_keys), cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_login), cmocka_unit_test(test_first_error),
		cmocka_unit_test(test_wrong), cmocka_unit_test(test_unused) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
