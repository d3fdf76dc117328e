/* A machine has one login, so there is one line to show and nothing to switch to. */
#include "mesh/cli/api.h"
#include "mesh/cli/verbs.h"
#include <jansson.h>
#include <string.h>

struct options {
	struct cli_common common;
	bool list;
};
static const struct opt_row rows[] = {
	{ "list", NULL, OPT_BOOL, offsetof(struct options, list), NULL, "show the login of this machine" },
	CLI_ROWS_COMMON(struct options),
};

/* The profile that the daemon tells, or NULL: nobody is logged in. */
static const json_t *read_login(struct cli *c, const json_t *all, int *code)
{
	const json_t *one = json_array_get(all, 0);
	if (!json_is_array(all) || (one && !json_is_object(one)))
		*code = cli_fail(c, CLI_FAILED, "malformed", NULL, "ropewalkd's logins cannot be read");
	return one;
}

static const char *text_at(const json_t *profile, const char *part, const char *name)
{
	const char *text =
		json_string_value(json_object_get(part ? json_object_get(profile, part) : profile, name));
	return text ? text : "";
}

static void print_login(struct cli *c, const json_t *l)
{
	if (c->json) {
		json_t *out = json_array();
		if (l)
			json_array_append_new(
				out, json_pack("{s:s,s:s,s:s,s:b}", "id", text_at(l, NULL, "ID"), "tailnet",
					     text_at(l, "NetworkProfile", "DomainName"), "account",
					     text_at(l, "UserProfile", "LoginName"), "selected", 1));
		json_dumpf(out, c->out, JSON_COMPACT);
		json_decref(out);
		fputc('\n', c->out);
		return;
	}
	fprintf(c->out, "ID     Tailnet                  Account\n");
	if (l)
		fprintf(c->out, "%-6s %-24s %s*\n", text_at(l, NULL, "ID"),
			text_at(l, "NetworkProfile", "DomainName"), text_at(l, "UserProfile", "LoginName"));
}

static bool is_login(const json_t *l, const char *word)
{
	return l && (strcmp(word, text_at(l, NULL, "ID")) == 0 ||
			    strcmp(word, text_at(l, "UserProfile", "LoginName")) == 0 ||
			    strcmp(word, text_at(l, "NetworkProfile", "DomainName")) == 0);
}

static int switch_run(struct cli *c, const void *options, const char *const *words, int n)
{
	const struct options *o = options;
	struct api_request r = { .method = "GET", .target = "/localapi/v0/profiles/" };
	json_t *all;
	if (n && strcmp(words[0], "remove") == 0)
		return cli_fail(c, CLI_FAILED, "not-here",
			"ropewalk logout gives up the login of this machine.",
			"ropewalk switch has no remove: a machine has one login here");
	if (n > 1)
		return cli_fail(c, CLI_USAGE, "usage", "ropewalk switch --help says how it is used.",
			"switch: too many words");
	int code = api_call_json(c, &r, &all);
	if (code != CLI_OK)
		return code;
	const json_t *l = read_login(c, all, &code);
	if (code == CLI_OK && (o->list || !n))
		print_login(c, l);
	else if (code == CLI_OK && !is_login(l, words[0]))
		code = cli_fail(c, CLI_FAILED, "one-login",
			"To leave it for another: ropewalk login --login-server URL",
			"a machine has one login here, and \"%s\" is not it", words[0]);
	json_decref(all);
	return code;
}

const struct cli_verb verb_switch = {
	.man = { "switch", "[--list] [ID|ACCOUNT]", "show the login of this machine",
		"There is one. ropewalk login takes another in its place, also of another network.", rows },
	.options_size = sizeof(struct options),
	.max_words = 2, /* remove ID */
	.run = switch_run,
};
