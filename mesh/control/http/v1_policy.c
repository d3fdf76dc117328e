/* Headscale's REST API: access rules. */
#include "mesh/control/http/v1.h"

#include "mesh/control/http/policy_verbs.h"
#include "mesh/control/http/values.h"
#include <stdio.h>
#include <string.h>

/* With a time it can be written: consoles go by that. */
static json_t *policy_value(const struct api *a)
{
	struct policy_now now;
	api_policy_now(a, &now);
	return json_pack("{s:s, s:o}", "policy", now.source ? now.source->text : "", "updatedAt",
		value_time(now.database && now.version ? now.version->created_ms : FLEET_NO_TIME));
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

/* Consoles tell by Headscale's words what went wrong. NULL: nothing did. */
static const char *refused(const struct api *a, const char *text, char say[static 512])
{
	struct errbuf eb = { 0 };
	struct policy_now now;
	api_policy_now(a, &now);
	if (!text)
		return "policy: the text of one is wanted";
	if (!now.database)
		return "update is disabled for modes other than 'database': the settings have the rules in a "
		       "file";
	struct policy_source *s = api_policy_try(a, text, strlen(text), &eb);
	policy_source_put(s);
	snprintf(say, 512, "parsing policy from bytes: %s", eb.text);
	return s ? NULL : say;
}

void v1_policy_set(struct api_call *c)
{
	const char *text = json_string_value(json_object_get(c->args, "policy"));
	char say[512];
	if (text && !api_policy_may_try(c, strlen(text)))
		return;
	const char *why = refused(c->api, text, say);
	struct registry_wait *w = why ? NULL : api_later(c, policy_set, "");
	if (w)
		api_policy_set(c, text, NULL, w);
	else if (why)
		api_reply_error(&c->way, 400, why);
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
