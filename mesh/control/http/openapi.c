/* The API described by itself: OpenAPI 3.0, made from the table of rows, so that it lacks none. */
#include "mesh/control/http/api.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* What a {} stands for is called by what comes before it: /node/{} is {node}. */
static void name_parts(const char *path, char *out, size_t cap, json_t *parameters)
{
	char word[32] = "", name[40];
	size_t n = 0, len = 0;
	for (; *path && n + sizeof(name) < cap; path++) {
		if (*path == '/') {
			len = 0;
		} else if (*path != '{' && len + 1 < sizeof(word)) {
			word[len++] = *path;
			word[len] = 0;
		}
		if (*path != '{') {
			out[n++] = *path;
			continue;
		}
		snprintf(name, sizeof(name), "%s%s", word, !strcmp(word, "rename") ? "To" : "Id");
		n += (size_t)snprintf(out + n, cap - n, "{%s}", name);
		json_array_append_new(parameters, json_pack("{s:s, s:s, s:b, s:{s:s}}", "name", name, "in",
							  "path", "required", 1, "schema", "type", "string"));
		path++; /* the } */
	}
	out[n] = 0;
}

/* "getApiV1Node": of method and path. */
static void operation_id(const char *method, const char *path, char *out, size_t cap)
{
	size_t n = 0;
	bool up = true;
	for (const char *p = method; *p && n + 1 < cap; p++)
		out[n++] = (char)tolower((unsigned char)*p);
	for (const char *p = path; *p && n + 1 < cap; p++) {
		bool plain = isalnum((unsigned char)*p);
		if (plain)
			out[n++] = (char)(up ? toupper((unsigned char)*p) : *p);
		up = !plain;
	}
	out[n] = 0;
}

static json_t *operation(const struct api_row *r, json_t *parameters)
{
	char id[160];
	operation_id(r->method, r->path, id, sizeof(id));
	json_t *o = json_pack("{s:s, s:O, s:{s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}}}", "operationId", id,
		"parameters", parameters, "responses", "200", "description", "done", "400", "description",
		"wrong: the answer says what", "401", "description", "no key that is good", "404",
		"description", "there is none");
	if (r->scope)
		json_object_set_new(o, "x-scope", json_string(r->scope));
	if (!strcmp(r->method, "GET") || !strcmp(r->method, "DELETE"))
		return o;
	json_object_set_new(o, "requestBody",
		json_pack("{s:{s:{s:{s:s}}}}", "content", "application/json", "schema", "type", "object"));
	return o;
}

void api_openapi(struct api_call *c)
{
	json_t *paths = json_object();
	for (const struct api_row *r = api_rows; r->path; r++) {
		char path[256], method[16];
		size_t n = 0;
		if (r->right != API_KEYED || strchr(r->path, '*'))
			continue;
		json_t *parameters = json_array();
		name_parts(r->path, path, sizeof(path), parameters);
		for (; r->method[n] && n + 1 < sizeof(method); n++)
			method[n] = (char)tolower((unsigned char)r->method[n]);
		method[n] = 0;
		if (!json_object_get(paths, path))
			json_object_set_new(paths, path, json_object());
		json_object_set_new(json_object_get(paths, path), method, operation(r, parameters));
		json_decref(parameters);
	}
	api_reply_json(&c->way, 200,
		json_pack("{s:s, s:{s:s, s:s}, s:[{s:s}], s:[{s:[]}], s:{s:{s:{s:s, s:s}}}, s:o}", "openapi",
			"3.0.3", "info", "title", "ropewalk-control", "version", RW_VERSION, "servers", "url",
			c->api->cfg->server_url, "security", "key", "components", "securitySchemes", "key",
			"type", "http", "scheme", "bearer", "paths", paths));
}
