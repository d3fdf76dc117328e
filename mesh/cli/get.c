/* Preferences under the names of the options that set them. */
#include "mesh/cli/api.h"
#include "mesh/cli/verbs.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct options {
	struct cli_common common;
	bool set_flags;
};
static const struct opt_row rows[] = {
	{ "set-flags", NULL, OPT_BOOL, offsetof(struct options, set_flags), NULL,
		"print them as the options of ropewalk set that make them so" },
	CLI_ROWS_COMMON(struct options),
};

static const struct {
	const char *name, *pref;
	bool inverted, at_login; /* at_login: ropewalk set does not take it */
} shown[] = {
	{ "accept-dns", "CorpDNS", false, false },
	{ "accept-routes", "RouteAll", false, false },
	{ "advertise-exit-node", "AdvertiseExitNode", false, false }, /* made by split_routes */
	{ "advertise-routes", "AdvertiseRoutes", false, false },
	{ "advertise-tags", "AdvertiseTags", false, true },
	{ "exit-node", "ExitNodeID", false, false },
	{ "exit-node-allow-lan-access", "ExitNodeAllowLANAccess", false, false },
	{ "hostname", "Hostname", false, false },
	{ "login-server", "ControlURL", false, true },
	{ "netfilter-mode", "NetfilterMode", false, false }, /* a word, by name_mode */
	{ "operator", "OperatorUser", false, false },
	{ "routes-prefer", "RoutesPrefer", false, false },
	{ "shields-up", "ShieldsUp", false, false },
	{ "snat-subnet-routes", "NoSNAT", true, false },
	{ "stateful-filtering", "NoStatefulFiltering", true, false },
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

/* An argument of a shell's line. */
static void print_quoted(FILE *to, const char *text)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.,:/@%+=";
	if (!text[strspn(text, plain)]) {
		fputs(text, to);
		return;
	}
	fputc('\'', to);
	for (; *text; text++)
		fputs(*text == '\'' ? "'\\''" : (const char[]) { *text, 0 }, to);
	fputc('\'', to);
}

static int print_flags(struct cli *c, const json_t *prefs, const char *name)
{
	bool first = true;
	for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
		const json_t *v = value_of(prefs, i);
		char *value = NULL;
		size_t len;
		FILE *to = NULL;
		if (!v || (name ? strcmp(shown[i].name, name) != 0 : shown[i].at_login))
			continue;
		to = open_memstream(&value, &len);
		if (to)
			print_value(to, v, shown[i].inverted);
		if (!to || fclose(to) != 0) {
			free(value);
			return cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
		}
		fprintf(c->out, "%s--%s=", first ? "" : " ", shown[i].name);
		print_quoted(c->out, value);
		free(value);
		first = false;
	}
	fputc('\n', c->out);
	return CLI_OK;
}

static bool is_known(const json_t *prefs, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(shown); i++)
		if (!strcmp(shown[i].name, name))
			return value_of(prefs, i) != NULL;
	return false;
}

/* --- as the options have it, not as LocalAPI does --- */

/* An exit is offered as both default routes. */
static void split_routes(json_t *prefs)
{
	json_t *all = json_object_get(prefs, "AdvertiseRoutes");
	bool offered = false;
	for (size_t i = json_array_size(all); i--;) {
		const char *text = json_string_value(json_array_get(all, i));
		struct prefix net;
		if (!text || !prefix_parse(text, &net) || net.bits)
			continue;
		(void)json_array_remove(all, i);
		offered = true;
	}
	if (json_is_array(all))
		(void)json_object_set_new(prefs, "AdvertiseExitNode", json_boolean(offered));
}

static void name_mode(json_t *prefs)
{
	static const char *const names[] = { "off", "nodivert", "on" };
	const json_t *mode = json_object_get(prefs, "NetfilterMode");
	const json_int_t n = json_is_integer(mode) ? json_integer_value(mode) : -1;
	if (n >= 0 && n < (json_int_t)ARRAY_LEN(names))
		(void)json_object_set_new(prefs, "NetfilterMode", json_string(names[n]));
}

/* The exit is kept by its ID, which people do not know, and named by its address. */
struct naming {
	struct loop *loop;
	json_t *prefs;
	const char *id;
};

static void status_came(void *arg, bool ok, const uint8_t *body, size_t len)
{
	struct naming *k = arg;
	struct arena a = { 0 };
	struct api_status s = { 0 };
	char text[ADDR_TEXT];
	const struct api_peer *exit = NULL;
	if (ok && api_status_read(&a, (const char *)body, len, &s, NULL) == 0)
		for (size_t i = 0; !exit && i < s.n_peers; i++)
			if (!strcmp(s.peers[i].stable_id, k->id) && s.peers[i].n_ips)
				exit = &s.peers[i];
	if (exit)
		(void)json_object_set_new(
			k->prefs, "ExitNodeID", json_string(addr_format(&exit->ips[0], text)));
	arena_free(&a);
	loop_stop(k->loop);
}

/* Where the status does not say it the ID stays: all else is known. */
static void name_exit(struct cli *c, json_t *prefs)
{
	const char *id = json_string_value(json_object_get(prefs, "ExitNodeID"));
	struct api_request r = { .method = "GET", .target = "/localapi/v0/status" };
	struct naming k = { .loop = c->loop, .prefs = prefs, .id = id };
	if (id && *id && api_send(c, &r, status_came, &k))
		loop_run(c->loop);
}

static int get_run(struct cli *c, const void *options, const char *const *words, int n)
{
	const struct options *o = options;
	struct api_request r = { .method = "GET", .target = "/localapi/v0/prefs" };
	json_t *prefs;
	int code = api_call_json(c, &r, &prefs);
	bool all = n == 0 || strcmp(words[0], "all") == 0;
	if (code == CLI_OK && !json_is_object(prefs))
		code = cli_fail(c, CLI_FAILED, "malformed", NULL, "ropewalkd's preferences cannot be read");
	if (code == CLI_OK) {
		if (!json_object_get(prefs, "AdvertiseTags"))
			(void)json_object_set_new(
				prefs, "AdvertiseTags", json_array()); /* none is left out */
		split_routes(prefs);
		name_mode(prefs);
		if (all || strcmp(words[0], "exit-node") == 0)
			name_exit(c, prefs);
	}
	if (code == CLI_OK && o->set_flags && !c->json && (all || is_known(prefs, words[0])))
		code = print_flags(c, prefs, all ? NULL : words[0]);
	else if (code == CLI_OK && !all)
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
		"Under the names of the options of ropewalk up and set, one a line, or the value of one. "
		"What "
		"--set-flags prints goes behind ropewalk set, on this machine or another.",
		rows },
	.options_size = sizeof(struct options),
	.max_words = 1,
	.run = get_run,
};
