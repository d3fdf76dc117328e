#include "mesh/proto/verify.h"
#include "mesh/proto/shapes.h"

static const struct json_row request_rows[] = {
	{ "NodePublic", &json_key, offsetof(struct verify_request, who), JSON_MUST, 0, nodekey_prefix },
	{ "Source", &json_str, offsetof(struct verify_request, source), 0, 0, NULL },
	{ 0 },
};
static const struct json_shape request_shape = { request_rows, sizeof(struct verify_request), NULL };
static const struct json_row response_rows[] = {
	{ "Allow", &json_bool, offsetof(struct verify_response, allow), 0, 0, NULL },
	{ 0 },
};
static const struct json_shape response_shape = { response_rows, sizeof(struct verify_response), NULL };

int verify_request_read(
	struct arena *a, const char *json, size_t len, struct verify_request *out, struct errbuf *eb)
{
	return json_read(a, json, len, &request_shape, out, eb);
}

bool verify_request_write(struct buf *out, const struct verify_request *m)
{
	return json_write(out, &request_shape, m);
}

int verify_response_read(
	struct arena *a, const char *json, size_t len, struct verify_response *out, struct errbuf *eb)
{
	return json_read(a, json, len, &response_shape, out, eb);
}

bool verify_response_write(struct buf *out, const struct verify_response *m)
{
	return json_write(out, &response_shape, m);
}
