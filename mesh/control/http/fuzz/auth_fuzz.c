/* What strangers show as keys, and as forms for a token: the first line is the Authorization header, the second a path, the
 * rest a body. Whatever it is, only the one key that there is opens anything. */
#include "mesh/control/http/asked.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NOW (INT64_C(1700000000) * 1000)
static const char key[] =
	"hskey-api-abcdefghijkl-0123456789012345678901234567890123456789012345678901234567890123";
static const char secret[] =
	"hskey-client-ABCDEFGHIJKL-0123456789012345678901234567890123456789012345678901234567890123";

static void add(struct registry *r, enum api_key_kind kind, const char *text, const char *prefix)
{
	struct api_key k = {
		.id = (int64_t)kind + 1, .kind = kind, .expiry_ms = FLEET_NO_TIME, .seen_ms = NOW
	};
	memcpy(k.prefix, prefix, strlen(prefix) + 1);
	memcpy(k.scopes, "dns:read", sizeof("dns:read"));
	registry_key_hash(text, k.hash);
	(void)api_keys_add(&r->api_keys, &k);
}

/* The next line, NUL-terminated; the caller's. */
static char *take_line(const uint8_t **data, size_t *len)
{
	const uint8_t *end = memchr(*data, '\n', *len);
	size_t n = end ? (size_t)(end - *data) : *len;
	char *line = strndup((const char *)*data, n);
	*data += n + (end != NULL);
	*len -= n + (end != NULL);
	return line;
}

static void ask(struct api_call *c)
{
	char text[64];
	api_authenticate(c);
	if (c->right == API_KEYED && !strstr(c->head->headers[0].value, key) &&
		c->key->kind == API_KEY_ADMIN && strncasecmp(c->head->headers[0].value, "Basic", 5) != 0)
		abort(); /* let in without the key */
	oauth_token(c);
	(void)asked_list(c, "tags", text, sizeof(text));
	(void)asked_number(c, "userId");
	(void)asked_flag(c, "x");
	int64_t at;
	(void)asked_when(c, "expiration", 0, &at);
	uint64_t life;
	(void)asked_lifetime(c, "expirationMs", 0, &life);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct registry r = { .c.secret = { { 7 } } };
	struct api a = { .reg = &r };
	if (!key_setup())
		abort();
	add(&r, API_KEY_ADMIN, key, "abcdefghijkl");
	add(&r, API_KEY_CLIENT, secret, "ABCDEFGHIJKL");
	char *shown = take_line(&data, &len), *path = take_line(&data, &len);
	if (shown && path) {
		struct http_head head = { .method = "POST", .target = path, .n_headers = 1 };
		head.headers[0] = (struct http_header) { "Authorization", shown };
		struct api_call c = {
			.api = &a, .method = "POST", .head = &head, .body = data, .len = len, .now_ms = NOW
		};
		int status;
		if (http_target_path(&head, c.path, sizeof(c.path)))
			(void)api_find("POST", c.path, API_KEYED, &status);
		c.args = json_loadb((const char *)data, len, 0, NULL);
		snprintf(c.path, sizeof(c.path), "/api/v1/node");
		ask(&c);
		json_decref(c.args);
	}
	free(shown);
	free(path);
	api_keys_fini(&r.api_keys);
	return 0;
}
