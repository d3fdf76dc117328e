/* Headscale's REST API: access rules. */
#include "mesh/control/http/v1.h"

#include "mesh/control/http/policy_verbs.h"
#include "mesh/control/http/values.h"
#include <string.h>

static json_t *policy_value(const struct api *a)
{
	struct policy_now now;
	api_policy_now(a, &now);
	return json_pack("{s:s, s:o}", "policy", now.source ? now.source->text : "", "updatedAt",
		value_time(now.version ? now.version->created_ms : FLEET_NO_TIME));
}

void v1_policy_get(struct api_call *c)
{
	struct policy_now now;
	api_policy_now(c->api, &now);
	if (now.source)
		api_reply_json(&c->way, 200, policy_value(c->api));
	else
		api_reply_error(&c->way, 404, "acl policy not found: none is set, and everything is allowed");
}

static json_t *policy_set(const struct api *a, const struct registry_result *res, const char *text)
{
	(void)res;
	(void)text;
	return policy_value(a);
}

void v1_policy_set(struct api_call *c)
{
	const char *text = json_string_value(json_object_get(c->args, "policy"));
	struct registry_wait *w = text ? api_later(c, policy_set, "") : NULL;
	if (w)
		api_policy_set(c, text, NULL, "an API key", w);
	else if (!text)
		api_reply_error(&c->way, 400, "policy: the text of one is wanted");
}

void v1_policy_check(struct api_call *c)
{
	const char *text = json_string_value(json_object_get(c->args, "policy"));
	struct errbuf eb = { 0 };
	if (text && !api_policy_may_try(c, strlen(text)))
		return;
	struct policy_source *s = text ? api_policy_try(c->api, text, strlen(text), &eb) : NULL;
	if (s)
		api_reply_json(&c->way, 200, json_object());
	else
		api_reply_error(&c->way, 400, text ? eb.text : "policy: the text of one is wanted");
	policy_source_put(s);
}
