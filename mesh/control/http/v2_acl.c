/* The official service's REST API: access rules, as HuJSON or JSON, with the tag of their text as ETag. Where none are set
 * the answer is what then holds, and its tag is "ts-default", as that service has it; an empty text of HuJSON sets that. */
#include "mesh/control/http/v2.h"

#include "mesh/control/http/policy_verbs.h"
#include "mesh/control/policy/hujson.h"
#include "mesh/proto/json_memory.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_TAG "ts-default"
static const char default_text[] =
	"{\"acls\": [{\"action\": \"accept\", \"src\": [\"*\"], \"dst\": [\"*:*\"]}]}";

/* Comments and order go; NULL: memory is short. */
static json_t *as_json(const char *text)
{
	char *copy = strdup(text);
	if (!copy)
		return NULL;
	hujson_blank(copy, strlen(copy));
	json_t *v = json_memory_load(copy, strlen(copy), 0, NULL, NULL);
	free(copy);
	return v;
}

static bool is_default(const struct policy_now *now)
{
	return !now->source || !strcmp(now->source->text, default_text);
}

static void reply_policy(const struct api *a, const struct api_way *w, bool hujson)
{
	struct policy_now now;
	char extra[POLICY_TAG + 16];
	api_policy_now(a, &now);
	const char *text = now.source ? now.source->text : default_text;
	snprintf(extra, sizeof(extra), "ETag: \"%s\"\r\n", is_default(&now) ? DEFAULT_TAG : now.tag);
	json_t *v = hujson ? NULL : as_json(text);
	char *json = v ? json_memory_dump(v, JSON_INDENT(2)) : NULL;
	if (hujson)
		api_reply(w, 200, "application/hujson", extra, text, strlen(text));
	else if (json)
		api_reply(w, 200, "application/json", extra, json, strlen(json));
	else
		api_reply_error(w, 503, "the server is short of memory");
	free(json);
	json_decref(v);
}

/* The caller's; NULL: memory is short. */
static char *body_text(const struct api_call *c)
{
	return c->len ? strndup((const char *)c->body, c->len) : strdup("");
}

static bool wants_hujson(const struct api_call *c)
{
	const char *accept = c->head ? http_header(c->head, "Accept") : NULL;
	return accept && strstr(accept, "application/hujson");
}

void v2_acl_get(struct api_call *c)
{
	reply_policy(c->api, &c->way, wants_hujson(c));
}

/* --- set --- */

static void answer_set(const struct api *a, const struct api_way *w, const struct registry_result *res)
{
	(void)res;
	reply_policy(a, w, false);
}

/* Of If-Match, without its quotes; *none: the request has none. "" = while no policy is set. */
static void wanted_tag(const struct api_call *c, char tag[static POLICY_TAG], bool *none)
{
	const char *h = c->head ? http_header(c->head, "If-Match") : NULL;
	*none = !h || !*h || !strcmp(h, "*");
	if (*none)
		return;
	h += *h == '"';
	snprintf(tag, POLICY_TAG, "%.*s", (int)strcspn(h, "\""), h);
	if (strcmp(tag, DEFAULT_TAG) != 0)
		return;
	struct policy_now now;
	api_policy_now(c->api, &now);
	snprintf(tag, POLICY_TAG, "%s", now.source && is_default(&now) ? now.tag : "");
}

/* Nothing at all is no wish, but where HuJSON is said to come: so it is written to go back to what holds without rules. */
static bool is_reset(const struct api_call *c, const char *text)
{
	const char *type = c->head ? http_header(c->head, "Content-Type") : NULL;
	return !text[strspn(text, " \t\r\n")] && type && strstr(type, "application/hujson");
}

void v2_acl_set(struct api_call *c)
{
	char tag[POLICY_TAG];
	bool none;
	if (!api_policy_may_try(c, c->len))
		return;
	char *text = body_text(c);
	wanted_tag(c, tag, &none);
	struct registry_wait *w = text ? api_later_answer(c, answer_set) : NULL;
	if (w)
		api_policy_set(c, is_reset(c, text) ? default_text : text, none ? NULL : tag, w);
	else if (!text)
		api_reply_error(&c->way, 503, "the server is short of memory");
	free(text);
}

/* --- tried --- */

/* A list of tests alone is for the rules in force. The caller's; NULL: memory is short. */
static char *text_to_try(const struct api_call *c)
{
	struct policy_now now;
	char *text = body_text(c);
	json_t *tests = text && text[strspn(text, " \t\r\n")] == '[' ? as_json(text) : NULL;
	if (!tests)
		return text;
	api_policy_now(c->api, &now);
	json_t *whole = as_json(now.source ? now.source->text : default_text);
	free(text);
	text = json_object_set_new(whole, "tests", tests) ? NULL : json_memory_dump(whole, JSON_COMPACT);
	json_decref(whole);
	return text;
}

/* Well: no body. Else a sentence, in an answer that is a success too: the question was answered. */
void v2_acl_validate(struct api_call *c)
{
	struct errbuf eb = { 0 };
	if (!api_policy_may_try(c, c->len))
		return;
	char *text = text_to_try(c);
	struct policy_source *s = text ? api_policy_try(c->api, text, strlen(text), &eb) : NULL;
	if (s)
		api_reply(&c->way, 200, "application/json", NULL, "", 0);
	else if (text)
		api_reply_json(&c->way, 200, json_pack("{s:s, s:[]}", "message", eb.text, "data"));
	else
		api_reply_error(&c->way, 503, "the server is short of memory");
	policy_source_put(s);
	free(text);
}

/* --- which rules are about somebody --- */

struct preview {
	const json_t *policy; /* as it is written */
	json_t *matches;
};

static void add_texts(json_t *to, const json_t *list)
{
	const json_t *item;
	size_t i;
	json_array_foreach(list, i, item) json_array_append(to, (json_t *)(uintptr_t)item);
}

/* A grant has its ports apart from its targets. */
static json_t *ports_of(const json_t *rule)
{
	const json_t *dst = json_object_get(rule, "dst"), *ip = json_object_get(rule, "ip"), *to, *port;
	json_t *list = json_array();
	size_t i, k;
	if (!ip)
		add_texts(list, dst);
	json_array_foreach(dst, i, to)
	{
		json_array_foreach(ip, k, port) json_array_append_new(
			list, json_sprintf("%s:%s", json_string_value(to), json_string_value(port)));
	}
	return list;
}

static void add_match(void *arg, const char *section, unsigned index, unsigned line)
{
	struct preview *v = arg;
	const json_t *rule = json_array_get(json_object_get(v->policy, section), index);
	json_t *users = json_array(), *one;
	add_texts(users, json_object_get(rule, "src"));
	one = json_pack("{s:o, s:o, s:i, s:[]}", "users", users, "ports", ports_of(rule), "lineNumber",
		(int)line, "postures");
	if (json_array_size(json_object_get(rule, "via")))
		json_object_set(one, "via", json_object_get(rule, "via"));
	json_array_append_new(v->matches, one);
}

/* NULL, or what is wrong with the question. */
static const char *read_about(
	const struct api_call *c, const char *type, const char *whom, struct policy_about *out)
{
	char name[FLEET_USER_NAME];
	size_t len = strlen(whom);
	*out = (struct policy_about) { 0 };
	if (!strcmp(type, "ipport"))
		return endpoint_parse(whom, &out->to)
			       ? NULL
			       : "previewFor must be an address and a port: 100.64.0.1:22";
	if (strcmp(type, "user") != 0)
		return "type must be \"user\" or \"ipport\"";
	out->user = fleet_user_named(&c->api->reg->fleet, whom);
	if (!out->user && len && whom[len - 1] == '@') { /* as policies have it */
		snprintf(name, sizeof(name), "%.*s", (int)(len - 1), whom);
		out->user = fleet_user_named(&c->api->reg->fleet, name);
	}
	return out->user ? NULL : "there is no such user";
}

void v2_acl_preview(struct api_call *c)
{
	char type[16] = "", whom[FLEET_USER_NAME] = "";
	struct errbuf eb = { .text = "the server is short of memory" };
	struct policy_about about;
	if (!api_policy_may_try(c, c->len))
		return;
	char *text = text_to_try(c);
	if (c->head) {
		(void)http_target_query(c->head, "type", type, sizeof(type));
		(void)http_target_query(c->head, "previewFor", whom, sizeof(whom));
	}
	const char *wrong = read_about(c, type, whom, &about);
	struct policy_source *s = wrong || !text ? NULL : policy_source_new(text, strlen(text), &eb);
	if (s) {
		json_t *policy = as_json(text);
		struct preview v = { .policy = policy, .matches = json_array() };
		policy_preview(s->rules, &c->api->reg->fleet, &about, add_match, &v);
		api_reply_json(&c->way, 200,
			json_pack("{s:o, s:s, s:s}", "matches", v.matches, "type", type, "previewFor", whom));
		json_decref(policy);
	} else {
		api_reply_error(&c->way, 400, wrong ? wrong : eb.text);
	}
	policy_source_put(s);
	free(text);
}
