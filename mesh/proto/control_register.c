#include "mesh/proto/control.h"
#include "mesh/proto/shapes.h"
#include <string.h>

static const struct json_row auth_rows[] = {
	{ "AuthKey", &json_str, offsetof(struct ctl_register_request, auth_key), JSON_OMIT, 0, NULL },
	{ 0 },
};
static const struct json_shape auth_shape = { auth_rows, sizeof(struct ctl_register_request), NULL };

/* Auth is an object of its own in JSON; without a key there is none. The field is the key. */
static bool auth_empty(const void *field)
{
	return json_str.empty(field);
}

static bool read_auth(struct json_in *in, const json_t *v, void *field, const struct json_row *row)
{
	char *request = (char *)field - row->at;
	return json_read_object(in, v, &auth_shape, request);
}

static void write_auth(struct json_out *out, const void *field, const struct json_row *row)
{
	json_put_object(out, &auth_shape, (const char *)field - row->at);
}

static void init_auth(void *field, const struct json_row *row)
{
	(void)row;
	*(const char **)field = "";
}

static const struct json_codec auth = { init_auth, read_auth, write_auth, auth_empty };

#define REQ(name, codec, field, flags, arg) \
	{ \
		name, codec, offsetof(struct ctl_register_request, field), flags, 0, arg \
	}
static const struct json_row request_rows[] = {
	REQ("Version", &json_u16, version, 0, NULL),
	REQ("NodeKey", &json_key, node, 0, nodekey_prefix),
	REQ("OldNodeKey", &json_key, old_node, 0, nodekey_prefix),
	REQ("Auth", &auth, auth_key, JSON_OMIT, NULL),
	REQ("Expiry", &json_time, expiry_ms, 0, NULL),
	REQ("Followup", &json_str, followup, 0, NULL),
	REQ("Hostinfo", &json_inside, hostinfo, 0, &hostinfo_shape),
	REQ("Ephemeral", &json_bool, ephemeral, JSON_OMIT, NULL),
	{ 0 },
};
static const struct json_shape request_shape = { request_rows, sizeof(struct ctl_register_request), NULL };

int ctl_register_request_read(
	struct arena *a, const char *json, size_t len, struct ctl_register_request *out, struct errbuf *eb)
{
	return json_read(a, json, len, &request_shape, out, eb);
}

bool ctl_register_request_write(struct buf *out, const struct ctl_register_request *m)
{
	return json_write(out, &request_shape, m);
}

#define RES(name, codec, field, arg) \
	{ \
		name, codec, offsetof(struct ctl_register_response, field), 0, 0, arg \
	}
static const struct json_row response_rows[] = {
	RES("User", &json_inside, user, &user_shape),
	RES("Login", &json_inside, login, &user_shape),
	RES("NodeKeyExpired", &json_bool, node_key_expired, NULL),
	RES("MachineAuthorized", &json_bool, machine_authorized, NULL),
	RES("AuthURL", &json_str, auth_url, NULL),
	RES("Error", &json_str, error, NULL),
	{ 0 },
};
static const struct json_shape response_shape = { response_rows, sizeof(struct ctl_register_response), NULL };

int ctl_register_response_read(
	struct arena *a, const char *json, size_t len, struct ctl_register_response *out, struct errbuf *eb)
{
	return json_read(a, json, len, &response_shape, out, eb);
}

bool ctl_register_response_write(struct buf *out, const struct ctl_register_response *m)
{
	return json_write(out, &response_shape, m);
}

struct key_response {
	struct machine_key legacy, server;
};
static const struct json_row key_rows[] = {
	{ "legacyPublicKey", &json_key, offsetof(struct key_response, legacy), 0, 0, machinekey_prefix },
	{ "publicKey", &json_key, offsetof(struct key_response, server), 0, 0, machinekey_prefix },
	{ 0 },
};
static const struct json_shape key_shape = { key_rows, sizeof(struct key_response), NULL };

int ctl_key_response_read(const char *json, size_t len, struct ctl_key_response *out, struct errbuf *eb)
{
	enum { ANSWER_MAX = 65536, SCRATCH = 4096 };
	struct arena a = { .cap = SCRATCH };
	struct key_response m;
	if (len > ANSWER_MAX)
		return err_set(eb, ERR_TOO_LARGE, "answer to /key");
	int err = json_read(&a, json, len, &key_shape, &m, eb);
	arena_free(&a);
	if (!err && key_is_zero(m.server.b))
		err = err_say(eb, ERR_MALFORMED, "publicKey: missing or zero");
	if (!err)
		out->server = m.server;
	return err;
}

bool ctl_key_response_write(struct buf *out, const struct ctl_key_response *m)
{
	struct key_response r = { .server = m->server };
	return json_write(out, &key_shape, &r);
}
