#include "mesh/cli/pref_options.h"
#include "mesh/cli/api.h"
#include "mesh/proto/control_equal.h"
#include <string.h>

enum { ROUTES_MAX = 256 };

/* "10.0.0.0/8,fd00::/64" */
static int read_routes(struct cli *c, const char *text, struct prefix *out, size_t *n)
{
	while (*text) {
		size_t len = strcspn(text, ",");
		char one[PREFIX_TEXT];
		snprintf(one, sizeof(one), "%.*s", (int)(len < PREFIX_TEXT ? len : PREFIX_TEXT), text);
		if (*n == ROUTES_MAX || !prefix_parse(one, &out[*n]))
			return cli_fail(c, CLI_USAGE, "usage",
				"Such as --advertise-routes=192.168.1.0/24,fd00:1::/64",
				"--advertise-routes: \"%s\" is no network, or one too many", one);
		struct prefix net = out[*n];
		char meant[PREFIX_TEXT];
		prefix_mask(&net);
		if (!prefix_equal(&net, &out[*n]))
			return cli_fail(c, CLI_USAGE, "usage", "A network is named by its first address.",
				"--advertise-routes: %s is the network %s: write that", one,
				prefix_format(&net, meant));
		++*n;
		text += len + (text[len] == ',');
	}
	return CLI_OK;
}

/* "tag:a,tag:b"; false: memory is short. */
static bool read_tags(struct arena *a, const char *text, struct ctl_strings *out)
{
	char *copy = arena_strdup(a, text), *save = NULL;
	*out = (struct ctl_strings) { .v = arena_array(a, strlen(text) / 2 + 1, sizeof(*out->v)) };
	for (char *t = copy && out->v ? strtok_r(copy, ",", &save) : NULL; t; t = strtok_r(NULL, ",", &save))
		out->v[out->n++] = t;
	return !a->failed;
}

int pref_options_need_login(
	struct cli *c, const struct pref_options *o, const struct api_prefs *now, bool *need)
{
	struct arena a = { 0 };
	struct ctl_strings tags;
	struct api_status s;
	int code = CLI_OK;
	*need = false;
	if (!o->advertise_tags)
		return CLI_OK;
	if (!read_tags(&a, o->advertise_tags, &tags)) {
		code = cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
	} else if (!ctl_strings_equal(&tags, &now->advertise_tags)) {
		code = api_status(c, &a, &s);
		*need = code == CLI_OK && !ctl_strings_same(&tags, &s.self.tags);
	}
	arena_free(&a);
	return code;
}

static bool is_plain_given(const struct pref_options *o)
{
	return o->hostname || o->operator_user || o->advertise_routes || o->advertise_tags ||
	       o->routes_prefer || o->accept_dns || o->accept_routes || o->snat || o->stateful ||
	       o->shields_up || o->netfilter;
}

bool pref_options_given(const struct pref_options *o)
{
	return is_plain_given(o) || o->exit.use || o->exit.offer || o->exit.allow_lan;
}

void pref_options_reset(struct pref_options *o)
{
	enum { NO = 1, YES = 2 }; /* OPT_GIVEN_BOOL */
	const char **texts[] = { &o->hostname, &o->operator_user, &o->advertise_routes, &o->advertise_tags,
		&o->exit.use };
	int *are[] = { &o->accept_dns, &o->snat, &o->stateful };
	int *are_not[] = { &o->accept_routes, &o->shields_up, &o->exit.offer, &o->exit.allow_lan };
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		*texts[i] = *texts[i] ? *texts[i] : "";
	for (size_t i = 0; i < ARRAY_LEN(are); i++)
		*are[i] = *are[i] ? *are[i] : YES;
	for (size_t i = 0; i < ARRAY_LEN(are_not); i++)
		*are_not[i] = *are_not[i] ? *are_not[i] : NO;
	if (!o->routes_prefer)
		o->routes_prefer = "lan";
	if (!o->netfilter)
		o->netfilter = "on";
}

/* CLI_OK, or it was said. */
static int read_netfilter(struct cli *c, const char *text, enum api_netfilter *out)
{
	static const char *const names[] = {
		[API_NETFILTER_ON] = "on", [API_NETFILTER_NODIVERT] = "nodivert", [API_NETFILTER_OFF] = "off"
	};
	*out = API_NETFILTER_ON;
	for (size_t i = 0; text && i < ARRAY_LEN(names); i++)
		if (!strcmp(text, names[i])) {
			*out = (enum api_netfilter)i;
			return CLI_OK;
		}
	return text ? cli_fail(c, CLI_USAGE, "usage", NULL, "--netfilter-mode is on or off, not \"%s\"", text)
		    : CLI_OK;
}

static int set_plain(
	struct cli *c, const struct pref_options *o, const char *login_server, const char *server_key)
{
	struct prefix routes[ROUTES_MAX];
	size_t n_routes = 0;
	int code = o->advertise_routes ? read_routes(c, o->advertise_routes, routes, &n_routes) : CLI_OK;
	struct arena a = { 0 };
	struct ctl_strings tags = { 0 };
	enum api_netfilter netfilter = API_NETFILTER_ON;
	if (code == CLI_OK)
		code = read_netfilter(c, o->netfilter, &netfilter);
	if (code == CLI_OK && o->advertise_tags && !read_tags(&a, o->advertise_tags, &tags))
		code = cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
	if (code != CLI_OK) {
		arena_free(&a);
		return code;
	}
	struct api_prefs p = { .control_url = login_server ? login_server : "",
		.hostname = o->hostname ? o->hostname : "",
		.operator_user = o->operator_user ? o->operator_user : "",
		.corp_dns = o->accept_dns == 2,
		.route_all = o->accept_routes == 2,
		.advertise_routes = { .v = routes, .n = n_routes },
		.advertise_tags = tags,
		.shields_up = o->shields_up == 2,
		.netfilter = netfilter,
		.no_snat = o->snat == 1,
		.no_stateful_filtering = o->stateful == 1 ? OPT_TRUE : OPT_FALSE,
		.routes_prefer = o->routes_prefer ? o->routes_prefer : "",
		.server_key = server_key ? server_key : "" };
	struct api_prefs_mask m = { .control_url = login_server != NULL,
		.hostname = o->hostname != NULL,
		.operator_user = o->operator_user != NULL,
		.corp_dns = o->accept_dns != 0,
		.route_all = o->accept_routes != 0,
		.advertise_routes = o->advertise_routes != NULL,
		.advertise_tags = o->advertise_tags != NULL,
		.shields_up = o->shields_up != 0,
		.netfilter = o->netfilter != NULL,
		.no_snat = o->snat != 0,
		.no_stateful_filtering = o->stateful != 0,
		.routes_prefer = o->routes_prefer != NULL,
		.server_key = server_key != NULL };
	code = is_plain_given(o) || login_server ? api_prefs_set(c, &p, &m) : CLI_OK;
	arena_free(&a);
	return code;
}

int pref_options_set(
	struct cli *c, const struct pref_options *o, const char *login_server, const char *server_key)
{
	struct arena a = { 0 };
	struct api_prefs now = { 0 };
	int code = exit_options_check(c, &o->exit);
	if (code == CLI_OK && o->advertise_routes)
		code = api_prefs(c, &a, &now);
	bool offered = exit_options_offered(&now);
	arena_free(&a);
	if (code == CLI_OK)
		code = set_plain(c, o, login_server, server_key);
	return code == CLI_OK ? exit_options_set(c, &o->exit, offered) : code;
}
