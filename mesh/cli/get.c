/* Preferences under the names of the options that set them. */
#include "mesh/cli/api.h"
#include "mesh/cli/verbs.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct options {
	struct cli_common common;
};
static const struct opt_row rows[] = { CLI_ROWS_COMMON(struct options) };

static const struct {
	const char *name, *pref;
	bool inverted;
} shown[] = {
	{ "accept-dns", "CorpDNS", false },
	{ "accept-routes", "RouteAll", false },
	{ "advertise-routes", "AdvertiseRoutes", false },
	{ "advertise-tags", "AdvertiseTags", false },
	{ "exit-node", "ExitNodeID", false },
	{ "exit-node-allow-lan-access", "ExitNodeAllowLANAccess", false },
	{ "hostname", "Hostname", false },
	{ "login-server", "ControlURL", false },
	{ "operator", "OperatorUser", false },
	{ "routes-prefer", "RoutesPrefer", false },
	{ "shields-up", "ShieldsUp", false },
	{ "snat-subnet-routes", "NoSNAT", true },
	{ "stateful-filtering", "NoStatefulFiltering", true },
};

/* As the option takes it. */
static void print_value(FILE *to, const json_t *v, bool inverted)
{
	size_t i;
	json_t *one;
	if (json_is_boolean(v)) {
		fputs(json_is_true(v) != inverted ? "true" : "false", to);
	} else if (json_is_string(v)) {
		fputs(json_string_value(v), to);
	} else if (json_is_array(v)) {
		json_array_foreach(v, i, one)
		{
			const char *text = json_string_value(one);
			fprintf(to, "%s%s", i ? "," : "", text ? text : "");
		}
	}
}

static json_t *value_of(const json_t *prefs, size_t i)
{
	json_t *v = json_object_get(prefs, shown[i].pref);
	return json_is_null(v) ? NULL : v;
}

static int print_json(struct cli *c, const json_t *prefs, const char *name)
{
	json_t *all = json_object();
	for (size_t i = 0; all && i < ARRAY_LEN(shown); i++) {
		json_t *v = value_of(prefs, i);
		if (!v || (name && strcmp(shown[i].name, name) != 0))
			continue;
		v = json_is_boolean(v) ? json_boolean(json_is_true(v) != shown[i].inverted) : json_incref(v);
		json_object_set_new(all, shown[i].name, v);
	}
	char *text = all ? json_dumps(all, JSON_INDENT(2)) : NULL;
	int code = text ? CLI_OK : cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
	if (text)
		fprintf(c->out, "%s\n", text);
	free(text);
	json_decref(all);
	return code;
}

static void print_table(struct cli *c, const json_t *prefs)
{
	fprintf(c->out, "%-28s VALUE\n", "NAME");
	for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
		const json_t *v = value_of(prefs, i);
		if (!v)
			continue;
		fprintf(c->out, "%-28s ", shown[i].name);
		print_value(c->out, v, shown[i].inverted);
		fputc('\n', c->out);
	}
}

static int print_one(struct cli *c, const json_t *prefs, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
		if (strcmp(shown[i].name, name) != 0 || !value_of(prefs, i))
			continue;
		if (c->json)
			return print_json(c, prefs, name);
		print_value(c->out, value_of(prefs, i), shown[i].inverted);
		fputc('\n', c->out);
		return CLI_OK;
	}
	return cli_fail(
		c, CLI_USAGE, "usage", "ropewalk get lists them.", "get: no preference \"%s\" here", name);
}

static int get_run(struct cli *c, const void *options, const char *const *words, int n)
{
	(void)options;
	struct api_request r = { .method = "GET", .target = "/localapi/v0/prefs" };
	json_t *prefs;
	int code = api_call_json(c, &r, &prefs);
	bool all = n == 0 || strcmp(words[0], "all") == 0;
	if (code == CLI_OK && !json_is_object(prefs))
		code = cli_fail(c, CLI_FAILED, "malformed", NULL, "ropewalkd's preferences cannot be read");
	else if (code == CLI_OK && !json_object_get(prefs, "AdvertiseTags"))
		(void)json_object_set_new(prefs, "AdvertiseTags", json_array()); /* none is left out */
	if (code == CLI_OK && !all)
		code = print_one(c, prefs, words[0]);
	else if (code == CLI_OK && c->json)
		code = print_json(c, prefs, NULL);
	else if (code == CLI_OK)
		print_table(c, prefs);
	json_decref(prefs);
	return code;
}

const struct cli_verb verb_get = {
	.man = { "get", "[NAME|all]", "print the preferences of this machine",
		"Under the names of the options of ropewalk up and set, one a line, or the value of one.",
		rows },
	.options_size = sizeof(struct options),
	.max_words = 1,
	.run = get_run,
};
