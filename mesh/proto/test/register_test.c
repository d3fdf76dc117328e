#include "mesh/proto/control.h"
#include "mesh/proto/test/vectors.h"

#define K64(c) \
	c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c \
		c c c c c c c c c c c c c c

static void test_request(void **state)
{
	(void)state;
	static const char json[] =
		"{\"Version\":119,\"NodeKey\":\"nodekey:" K64("a") "\",\"OldNodeKey\":\"nodekey:" K64(
			"0") "\",\"Auth\":{\"AuthKey\":\"hskey-auth-x\"},\"Expiry\":\"0001-01-01T00:00:00Z\","
			     "\"Followup\":\"\",\"Hostinfo\":{\"OS\":"
			     "\"linux\",\"Hostname\":\"alice\"},\"Ephemeral\":true}";
	struct arena a = { 0 };
	struct buf b = { 0 };
	struct errbuf eb = { 0 };
	struct ctl_register_request m;
	if (ctl_register_request_read(&a, json, strlen(json), &m, &eb))
		fail_msg("%s", eb.text);
	assert_int_equal(m.version, 119);
	assert_string_equal(m.auth_key, "hskey-auth-x");
	assert_true(m.expiry_ms == INT64_MIN);
	assert_true(key_is_zero(m.old_node.b));
	assert_true(m.ephemeral);
	assert_true(ctl_register_request_write(&b, &m));
	assert_string_equal(buf_cstr(&b), json);
	buf_free(&b);
	arena_free(&a);

	/* What clients send besides, and none of what may be left out. */
	static const char odd[] =
		"{\"version\":130,\"nodekey\":\"nodekey:" K64("b") "\",\"NLKey\":\"nlpub:" K64(
			"0") "\",\"Auth\":null,\"Hostinfo\":null,\"Expiry\":\"1970-01-01T00:02:03Z\","
			     "\"Timestamp\":null,\"Tailnet\":\"x\"}";
	assert_int_equal(ctl_register_request_read(&a, odd, strlen(odd), &m, &eb), 0);
	assert_int_equal(m.version, 130);
	assert_string_equal(m.auth_key, "");
	assert_string_equal(m.followup, "");
	assert_string_equal(m.hostinfo.hostname, "");
	assert_true(m.expiry_ms == 123000); /* in the past: a logout */
	arena_free(&a);
}

static void test_response(void **state)
{
	(void)state;
	static const char json[] = "{\"User\":{\"ID\":1,\"LoginName\":\"\",\"DisplayName\":\"u\"},\"Login\":{"
				   "\"ID\":2,\"LoginName\":"
				   "\"u@x\",\"DisplayName\":\"u\"},\"NodeKeyExpired\":false,"
				   "\"MachineAuthorized\":true,\"AuthURL\":\"https://c/register/1\","
				   "\"Error\":\"\"}";
	struct arena a = { 0 };
	struct buf b = { 0 };
	struct ctl_register_response m;
	assert_int_equal(ctl_register_response_read(&a, json, strlen(json), &m, NULL), 0);
	assert_string_equal(m.login.login_name, "u@x");
	assert_string_equal(m.auth_url, "https://c/register/1");
	assert_true(ctl_register_response_write(&b, &m));
	assert_string_equal(buf_cstr(&b), json);
	buf_free(&b);

	/* A zeroed struct with NULL strings is writable too. */
	assert_true(ctl_register_response_write(&b, &(struct ctl_register_response) { .error = "no" }));
	assert_int_equal(ctl_register_response_read(&a, (const char *)buf_data(&b), b.len, &m, NULL), 0);
	assert_string_equal(m.error, "no");
	assert_string_equal(m.auth_url, "");
	buf_free(&b);
	arena_free(&a);
}

static void test_server_key(void **state)
{
	(void)state;
	static const struct {
		const char *json;
		bool ok;
	} rows[] = {
		{ "{\"legacyPublicKey\":\"mkey:" K64("0") "\",\"publicKey\":\"mkey:" K64("a") "\"}", true },
		{ "{\"publicKey\":\"mkey:" K64("a") "\"}", true },
		{ "{\"publicKey\":\"mkey:" K64("0") "\"}", false },
		{ "{\"publicKey\":\"nodekey:" K64("a") "\"}", false },
		{ "{\"publicKey\":\"\"}", false },
		{ "{}", false },
		{ "<html>", false },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ctl_key_response m = { .server = { { 1 } } };
		bool ok = ctl_key_response_read(rows[i].json, strlen(rows[i].json), &m, NULL) == 0;
		if (ok != rows[i].ok || m.server.b[0] != (ok ? 0xaa : 1))
			fail_msg("row %zu", i);
	}
	struct buf b = { 0 };
	struct ctl_key_response m = { .server = { { 0 } } };
	fill_key(m.server.b, 0xaa);
	assert_true(ctl_key_response_write(&b, &m));
	assert_string_equal(buf_cstr(&b), rows[0].json);
	buf_free(&b);
}

static void test_map_request(void **state)
{
	(void)state;
	static const char json[] = "{\"Version\":119,\"Compress\":\"zstd\",\"KeepAlive\":true,\"NodeKey\":"
				   "\"nodekey:" K64("a") "\",\"DiscoKey\":\"discokey:" K64(
					   "b") "\",\"Stream\":true,\"Hostinfo\":{\"Hostname\":\"a\","
						"\"NetInfo\":{\"PreferredDERP\":"
						"900}},\"Endpoints\":[\"10.0.0.2:41641\",\"192.0.2.1:9\"],"
						"\"EndpointTypes\":[1,2],\"OmitPeers\":true}";
	struct arena a = { 0 };
	struct buf b = { 0 };
	struct errbuf eb = { 0 };
	struct ctl_map_request m;
	if (ctl_map_request_read(&a, json, strlen(json), &m, &eb))
		fail_msg("%s", eb.text);
	assert_true(m.has_hostinfo && m.stream && m.omit_peers && m.endpoints.present);
	assert_int_equal(m.endpoints.types[1], ENDPOINT_STUN);
	assert_true(ctl_map_request_write(&b, &m));
	assert_string_equal(buf_cstr(&b), json);
	buf_free(&b);

	static const char uneven[] = "{\"EndpointTypes\":[1,2],\"Endpoints\":[\"1.2.3.4:5\"]}";
	assert_int_equal(ctl_map_request_read(&a, uneven, strlen(uneven), &m, &eb), 0);
	assert_null(m.endpoints.types);
	assert_int_equal(m.endpoints.n, 1);
	static const char strange[] =
		"{\"EndpointTypes\":[-1,99],\"Endpoints\":[\"1.2.3.4:5\",\"1.2.3.4:6\"]}";
	assert_int_equal(ctl_map_request_read(&a, strange, strlen(strange), &m, &eb), 0);
	assert_int_equal(m.endpoints.types[0] + m.endpoints.types[1], ENDPOINT_UNKNOWN);
	static const char none[] = "{\"Endpoints\":null}";
	assert_int_equal(ctl_map_request_read(&a, none, strlen(none), &m, &eb), 0);
	assert_false(m.endpoints.present);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_response),
		cmocka_unit_test(test_server_key),
		cmocka_unit_test(test_map_request),
	};
	return key_setup() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
