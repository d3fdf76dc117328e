#include "mesh/control/http/policy_verbs.h"

#include "mesh/base/text.h"
#include "mesh/control/policy/difference.h"
#include <stdio.h>
#include <string.h>

void api_policy_now(const struct api *a, struct policy_now *out)
{
	const struct policy_source *s = a->streams->set->source;
	const struct policy_version *v = policies_newest(&a->reg->policies);
	*out = (struct policy_now) {
		.source = s, .tag = s ? s->tag : "", .database = a->cfg->policy_database
	};
	if (s && v && !strcmp(v->tag, s->tag))
		out->version = v;
}

bool api_policy_may_try(const struct api_call *c, size_t len)
{
	if (c->right == API_ADMIN || len <= POLICY_TRY_MAX)
		return true;
	api_reply_error(&c->way, 413,
		"a policy is taken here up to 1 MiB; a longer one by `ropewalk-control policy set FILE` on "
		"the "
		"server, and `policy check FILE` says what is wrong with it");
	return false;
}

struct policy_source *api_policy_try(const struct api *a, const char *text, size_t len, struct errbuf *eb)
{
	struct policy_source *s = policy_source_new(text, len, eb);
	if (s && policy_test(s->rules, &a->reg->fleet, eb)) {
		policy_source_put(s);
		return NULL;
	}
	return s;
}

/* Whose word it is: of who looks at a page their name, of a program its key, of who is on this machine what they say it
 * is. */
static const char *author_of(const struct api_call *c, char program[static POLICIES_AUTHOR])
{
	const char *said = json_string_value(json_object_get(c->args, "author"));
	if (c->right == API_SESSION)
		return c->who;
	if (!c->key)
		return said ? said : "an admin";
	snprintf(program, POLICIES_AUTHOR, "%s %s",
		c->key->kind == API_KEY_ADMIN ? "API key" : "OAuth client", c->key->prefix);
	return program;
}

void api_policy_set(struct api_call *c, const char *text, const char *if_tag, struct registry_wait *w)
{
	char tag[POLICY_TAG], program[POLICIES_AUTHOR];
	policy_tag(text, strlen(text), tag);
	registry_policy_set(c->api->reg,
		&(struct policy_wish) { .text = text,
			.tag = tag,
			.author = author_of(c, program),
			.if_tag = if_tag,
			.now_ms = c->now_ms },
		w);
}

/* --- as an admin's verbs --- */

static json_t *version_value(const struct policy_version *v)
{
	char time[40];
	return json_pack("{s:I, s:s, s:s, s:s, s:I}", "version", (json_int_t)v->id, "set",
		text_time_format(v->created_ms, time), "author", v->author, "etag", v->tag, "bytes",
		(json_int_t)v->len);
}

void admin_policy_get(struct api_call *c)
{
	struct policy_now now;
	api_policy_now(c->api, &now);
	json_t *o = now.version ? version_value(now.version) : json_pack("{s:s}", "etag", now.tag);
	json_object_set_new(o, "mode", json_string(now.database ? "database" : "file"));
	json_object_set_new(o, "policy", json_string(now.source ? now.source->text : ""));
	api_reply_json(&c->way, 200, o);
}

static json_t *policy_set_made(const struct api *a, const struct registry_result *res, const char *text)
{
	const struct policy_version *v = policies_by_id(&a->reg->policies, res->id);
	(void)text;
	return v ? version_value(v) : NULL;
}

/* NULL: answered, it is missing. */
static const char *policy_arg(struct api_call *c)
{
	const char *text = json_string_value(json_object_get(c->args, "policy"));
	if (!text)
		api_reply_error(&c->way, 400, "\"policy\" must be the text of one");
	return text;
}

void admin_policy_set(struct api_call *c)
{
	const char *text = policy_arg(c);
	if (!text || !api_policy_may_try(c, strlen(text)))
		return;
	struct registry_wait *w = api_later(c, policy_set_made, "");
	if (w)
		api_policy_set(c, text, json_string_value(json_object_get(c->args, "if_tag")), w);
}

static json_t *names_value(const struct ctl_strings *names)
{
	json_t *list = json_array();
	for (size_t i = 0; i < names->n; i++)
		json_array_append_new(list, json_string(names->v[i]));
	return list;
}

json_t *api_policy_changes(const struct api *a, const struct policy *now)
{
	struct arena mem = { 0 };
	struct difference d;
	json_t *list = NULL;
	if (policy_difference(a->streams->set->policy, now, &a->reg->fleet, &mem, &d)) {
		list = json_array();
		for (size_t i = 0; i < d.n; i++)
			json_array_append_new(list,
				json_pack("{s:s, s:o, s:o, s:s}", "change", d.v[i].gains ? "gains" : "loses",
					"from", names_value(&d.v[i].from), "to", names_value(&d.v[i].to),
					"what", d.v[i].what));
		if (d.cut)
			json_array_append_new(list, json_pack("{s:s}", "change", "more"));
	}
	arena_free(&mem);
	return list;
}

void admin_policy_test(struct api_call *c)
{
	struct errbuf eb = { 0 };
	struct policy_now now;
	const char *text = policy_arg(c);
	if (!text || !api_policy_may_try(c, strlen(text)))
		return;
	struct policy_source *s = api_policy_try(c->api, text, strlen(text), &eb);
	api_policy_now(c->api, &now);
	if (s)
		api_reply_json(&c->way, 200,
			json_pack("{s:b, s:s, s:o}", "ok", 1, "etag", now.tag, "changes",
				api_policy_changes(c->api, s->rules)));
	else
		api_reply_error(&c->way, 400, eb.text);
	policy_source_put(s);
}

/* Beside rules that let nobody reach anybody, all that is there is gained. NULL: memory is short. */
static json_t *reach_value(const struct api *a, const struct policy *p)
{
	char nothing[] = "{\"acls\": []}";
	struct arena mem = { 0 };
	struct difference d;
	struct policy *none = policy_parse(nothing, sizeof(nothing) - 1, NULL);
	json_t *list = NULL;
	if (none && policy_difference(none, p, &a->reg->fleet, &mem, &d)) {
		list = json_array();
		for (size_t i = 0; i < d.n; i++)
			json_array_append_new(
				list, json_pack("{s:o, s:o, s:s}", "from", names_value(&d.v[i].from), "to",
					      names_value(&d.v[i].to), "what", d.v[i].what));
		if (d.cut)
			json_array_append_new(list, json_pack("{s:s}", "what", "more"));
	}
	arena_free(&mem);
	policy_free(none);
	return list;
}

/* Of the policy that is given, or the one in force. */
void admin_policy_reach(struct api_call *c)
{
	const char *text = json_string_value(json_object_get(c->args, "policy"));
	struct errbuf eb = { 0 };
	if (text && !api_policy_may_try(c, strlen(text)))
		return;
	struct policy_source *s = text ? policy_source_new(text, strlen(text), &eb) : NULL;
	if (text && !s)
		api_reply_error(&c->way, 400, eb.text);
	else
		api_reply_json(
			&c->way, 200, reach_value(c->api, s ? s->rules : c->api->streams->set->policy));
	policy_source_put(s);
}

static json_t *policy_read_made(const struct api *a, const struct registry_result *res, const char *text)
{
	const struct policy_version *v = policies_by_id(&a->reg->policies, res->id);
	json_t *o = v ? version_value(v) : NULL;
	(void)text;
	if (o)
		json_object_set_new(o, "policy", json_string(res->text));
	return o;
}

void admin_policy_history(struct api_call *c)
{
	const struct policies *p = &c->api->reg->policies;
	int64_t id = json_integer_value(json_object_get(c->args, "version"));
	if (id) {
		struct registry_wait *w = api_later(c, policy_read_made, "");
		if (w)
			registry_policy_read(c->api->reg, id, w);
		return;
	}
	json_t *list = json_array();
	for (size_t i = p->n; i-- > 0;)
		json_array_append_new(list, version_value(&p->v[i]));
	api_reply_json(&c->way, 200, list);
}
