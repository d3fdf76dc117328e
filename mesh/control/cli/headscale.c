/* Headscale's verbs: a table of what is asked of the REST API and how the answer is shown. Flags are those of that command;
 * JSON and YAML have the names of the REST API, as its 0.30 prints them. */
#include "mesh/control/cli/headscale.h"
#include "mesh/control/cli/not_here.h"

#include "mesh/base/key.h"
#include "mesh/base/text.h"
#include "mesh/control/config/config.h"
#include "mesh/control/config/headscale.h"
#include "mesh/control/control.h"
#include "mesh/os/program_text.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

enum { FLAGS_MAX = 12, TARGET_MAX = 1024 };
#define THEIR_CONFIG "/etc/headscale/config.yaml"
#define OUR_CONFIG "/etc/ropewalk-control/config.yaml"

struct flags {
	const char *config, *output, *identifier, *id, *name, *email, *display_name, *picture_url, *new_name,
		*user, *tags, *prefix, *key, *file, *expiration, *expiry, *routes, *auth_id;
	bool force, reusable, ephemeral, help;
};
static const struct opt_row pool[] = {
	{ "config", "c", OPT_STRING, offsetof(struct flags, config), "FILE", "" },
	{ "output", "o", OPT_STRING, offsetof(struct flags, output), "json|json-line|yaml", "" },
	{ "force", NULL, OPT_BOOL, offsetof(struct flags, force), NULL, "" },
	{ "help", "h", OPT_BOOL, offsetof(struct flags, help), NULL, "" },
	{ "identifier", "i", OPT_STRING, offsetof(struct flags, identifier), "ID", "" },
	{ "id", "i", OPT_STRING, offsetof(struct flags, id), "ID", "" },
	{ "name", "n", OPT_STRING, offsetof(struct flags, name), "NAME", "" },
	{ "email", "e", OPT_STRING, offsetof(struct flags, email), "EMAIL", "" },
	{ "display-name", "d", OPT_STRING, offsetof(struct flags, display_name), "TEXT", "" },
	{ "picture-url", "p", OPT_STRING, offsetof(struct flags, picture_url), "URL", "" },
	{ "new-name", "r", OPT_STRING, offsetof(struct flags, new_name), "NAME", "" },
	{ "user", "u", OPT_STRING, offsetof(struct flags, user), "USER", "" },
	{ "tags", "t", OPT_STRING, offsetof(struct flags, tags), "tag:a,tag:b", "" },
	{ "prefix", "p", OPT_STRING, offsetof(struct flags, prefix), "PREFIX", "" },
	{ "key", "k", OPT_STRING, offsetof(struct flags, key), "KEY", "" },
	{ "auth-id", NULL, OPT_STRING, offsetof(struct flags, auth_id), "ID", "" },
	{ "file", "f", OPT_STRING, offsetof(struct flags, file), "FILE", "" },
	{ "expiration", "e", OPT_STRING, offsetof(struct flags, expiration), "TIME", "" },
	{ "expiry", "e", OPT_STRING, offsetof(struct flags, expiry), "TIME", "" },
	{ "route", "r", OPT_STRING, offsetof(struct flags, routes), "10.0.0.0/8,...", "" },
	{ "routes", "r", OPT_STRING, offsetof(struct flags, routes), "10.0.0.0/8,...", "" },
	{ "reusable", NULL, OPT_BOOL, offsetof(struct flags, reusable), NULL, "" },
	{ "ephemeral", NULL, OPT_BOOL, offsetof(struct flags, ephemeral), NULL, "" },
};
enum { GLOBAL_FLAGS = 4 };

struct verb_row {
	const char *noun, *verbs; /* the first is the usual one; "" noun: the verb stands alone */
	const char *flags;	  /* besides those that all take */
	const char *method;
	const char *target; /* below /api/v1/; {x}: the flag x, {word}: what stands behind the verb */
	const char *
		body; /* "member=flag ...": a text; "member[]=flag": a list; "member!=flag": a yes; "member@=flag": the
			       time so long from now, or that time */
	const char *member; /* of the answer, which is shown; NULL = all of it */
	const char *said;   /* to people; NULL: what member says */
	const char *columns;
	const char *asks; /* first, unless --force */
	const char *life; /* of what is made, when --expiration says none */
	int (*run)(const struct flags *f, const char *word); /* instead of asking the server */
};

#define NODE_COLUMNS \
	"ID:id Hostname:name Name:givenName MachineKey:#machineKey NodeKey:#nodeKey User:user.name " \
	"Tags:tags " \
	"IP_addresses:ipAddresses Ephemeral:preAuthKey.ephemeral Last_seen:@lastSeen Expiration:@expiry " \
	"Connected:~online " \
	"Expired:!expiry"
static int run_generate(const struct flags *f, const char *word);
static int run_version(const struct flags *f, const char *word);
static int run_as_ours(const struct flags *f, const char *word);
static int run_serve(const struct flags *f, const char *word);

static const struct verb_row verbs[] = {
	{ .noun = "", .verbs = "serve", .flags = "", .run = run_serve },
	{ .noun = "", .verbs = "configtest", .flags = "", .run = run_as_ours },
	{ .noun = "", .verbs = "version", .flags = "", .run = run_version },
	{ .noun = "", .verbs = "health", .flags = "", .method = "GET", .target = "health" },
	{ .noun = "generate", .verbs = "private-key", .flags = "", .run = run_generate },
	{ .noun = "users",
		.verbs = "create c new",
		.flags = "display-name email picture-url",
		.method = "POST",
		.target = "user",
		.body = "name=word displayName=display-name email=email pictureUrl=picture-url",
		.member = "user",
		.said = "User created" },
	{ .noun = "users",
		.verbs = "list ls show",
		.flags = "identifier name email",
		.method = "GET",
		.target = "user?id={identifier}&name={name}&email={email}",
		.member = "users",
		.columns = "ID:id Name:displayName Username:name Email:email Created:@createdAt" },
	{ .noun = "users",
		.verbs = "destroy delete",
		.flags = "identifier name",
		.method = "DELETE",
		.target = "user/{identifier}",
		.said = "User destroyed",
		.asks = "Do you want to remove the user and any associated preauthkeys?" },
	{ .noun = "users",
		.verbs = "rename mv",
		.flags = "identifier name new-name",
		.method = "POST",
		.target = "user/{identifier}/rename/{new-name}",
		.member = "user",
		.said = "User renamed" },
	{ .noun = "nodes",
		.verbs = "list ls show",
		.flags = "user",
		.method = "GET",
		.target = "node?user={user}",
		.member = "nodes",
		.columns = NODE_COLUMNS },
	{ .noun = "nodes",
		.verbs = "list-routes lsr routes",
		.flags = "identifier",
		.method = "GET",
		.target = "node",
		.member = "nodes",
		.columns = "ID:id Hostname:givenName Approved:approvedRoutes Available:availableRoutes "
			   "Serving_(Primary):subnetRoutes" },
	{ .noun = "nodes",
		.verbs = "register",
		.flags = "user key",
		.method = "POST",
		.target = "node/register?user={user}&key={key}",
		.member = "node",
		.said = "Node registered" },
	{ .noun = "nodes",
		.verbs = "expire logout exp e",
		.flags = "identifier expiry",
		.method = "POST",
		.target = "node/{identifier}/expire",
		.body = "expiry@=expiry",
		.member = "node",
		.said = "Node expired" },
	{ .noun = "nodes",
		.verbs = "rename",
		.flags = "identifier",
		.method = "POST",
		.target = "node/{identifier}/rename/{word}",
		.member = "node",
		.said = "Node renamed" },
	{ .noun = "nodes",
		.verbs = "delete del",
		.flags = "identifier",
		.method = "DELETE",
		.target = "node/{identifier}",
		.said = "Node deleted",
		.asks = "Do you want to remove the node?" },
	{ .noun = "nodes",
		.verbs = "tag tags t",
		.flags = "identifier tags",
		.method = "POST",
		.target = "node/{identifier}/tags",
		.body = "tags[]=tags",
		.member = "node",
		.said = "Node updated" },
	{ .noun = "nodes",
		.verbs = "approve-routes",
		.flags = "identifier routes",
		.method = "POST",
		.target = "node/{identifier}/approve_routes",
		.body = "routes[]=routes",
		.member = "node",
		.said = "Node updated" },
	{ .noun = "nodes",
		.verbs = "backfillips",
		.flags = "",
		.method = "POST",
		.target = "node/backfillips?confirmed=true",
		.said = "Node IPs backfilled successfully",
		.asks = "Are you sure that you want to assign/remove IPs to/from nodes?" },
	{ .noun = "preauthkeys",
		.verbs = "list ls show",
		.flags = "user",
		.method = "GET",
		.target = "preauthkey",
		.member = "preAuthKeys",
		.columns = "ID:id Key/Prefix:key Reusable:reusable Ephemeral:ephemeral Used:used "
			   "Expiration:@expiration "
			   "Created:@createdAt Owner:user.name Tags:aclTags" },
	{ .noun = "preauthkeys",
		.verbs = "create c new",
		.flags = "user reusable ephemeral expiration tags",
		.method = "POST",
		.target = "preauthkey",
		.body = "user=user reusable!=reusable ephemeral!=ephemeral expiration@=expiration "
			"aclTags[]=tags",
		.member = "preAuthKey",
		.said = "{key}",
		.life = "1h" },
	{ .noun = "preauthkeys",
		.verbs = "expire revoke exp e",
		.flags = "id user",
		.method = "POST",
		.target = "preauthkey/expire",
		.body = "id=id",
		.said = "Key expired" },
	{ .noun = "preauthkeys",
		.verbs = "delete del rm d",
		.flags = "id",
		.method = "DELETE",
		.target = "preauthkey?id={id}",
		.said = "Key deleted" },
	{ .noun = "apikeys",
		.verbs = "list ls show",
		.flags = "",
		.method = "GET",
		.target = "apikey",
		.member = "apiKeys",
		.columns = "ID:id Prefix:prefix Expiration:@expiration Created:@createdAt" },
	{ .noun = "apikeys",
		.verbs = "create c new",
		.flags = "expiration",
		.method = "POST",
		.target = "apikey",
		.body = "expiration@=expiration",
		.member = "apiKey",
		.life = "90d" },
	{ .noun = "apikeys",
		.verbs = "expire revoke exp e",
		.flags = "id prefix",
		.method = "POST",
		.target = "apikey/expire",
		.body = "id=id prefix=prefix",
		.said = "Key expired" },
	{ .noun = "apikeys",
		.verbs = "delete remove del",
		.flags = "id prefix",
		.method = "DELETE",
		.target = "apikey/-?id={id}&prefix={prefix}",
		.said = "Key deleted" },
	{ .noun = "auth",
		.verbs = "register",
		.flags = "user auth-id",
		.method = "POST",
		.target = "auth/register",
		.body = "user=user authId=auth-id",
		.member = "node",
		.said = "Node registered" },
	{ .noun = "auth",
		.verbs = "approve",
		.flags = "auth-id",
		.method = "POST",
		.target = "auth/approve",
		.body = "authId=auth-id",
		.said = "Auth request approved" },
	{ .noun = "auth",
		.verbs = "reject",
		.flags = "auth-id",
		.method = "POST",
		.target = "auth/reject",
		.body = "authId=auth-id",
		.said = "Auth request rejected" },
	{ .noun = "debug",
		.verbs = "create-node",
		.flags = "user key name route",
		.method = "POST",
		.target = "debug/node",
		.body = "user=user key=key name=name routes[]=route",
		.member = "node",
		.said = "Node created" },
	{ .noun = "policy",
		.verbs = "get show view fetch",
		.flags = "",
		.method = "GET",
		.target = "policy",
		.said = "{policy}" },
	{ .noun = "policy",
		.verbs = "set put update",
		.flags = "file",
		.method = "PUT",
		.target = "policy",
		.body = "policy=<file",
		.said = "Policy updated." },
	{ .noun = "policy",
		.verbs = "check",
		.flags = "file",
		.method = "POST",
		.target = "policy/check",
		.body = "policy=<file",
		.said = "Policy is valid" },
};
static const char *const nouns[] = { "users user namespace namespaces ns", "nodes node machine machines",
	"preauthkeys preauthkey authkey pre", "apikeys apikey api", "policy", "generate", "auth", "debug" };

/* --- which verb --- */

static bool is_word_of(const char *list, const char *word)
{
	size_t n = strlen(word);
	for (const char *at = list; n && (at = strstr(at, word)); at++)
		if ((at == list || at[-1] == ' ') && (!at[n] || at[n] == ' '))
			return true;
	return false;
}

/* The words of the command line, flags of all verbs and their values left out. */
static int find_words(int argc, char **argv, const char *words[static 2])
{
	int n = 0;
	words[0] = words[1] = "";
	for (int i = 1; i < argc && n < 2; i++) {
		const char *a = argv[i];
		if (!strcmp(a, "-c") || !strcmp(a, "--config") || !strcmp(a, "-o") || !strcmp(a, "--output"))
			i++;
		else if (*a != '-')
			words[n++] = a;
	}
	return n;
}

static const struct verb_row *find_verb(const char *const words[static 2], int *used)
{
	const char *noun = "";
	for (size_t i = 0; i < ARRAY_LEN(nouns); i++)
		if (is_word_of(nouns[i], words[0]))
			noun = nouns[i];
	*used = *noun ? 2 : 1;
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if ((*noun ? *verbs[i].noun && is_word_of(noun, verbs[i].noun) : !*verbs[i].noun) &&
			is_word_of(verbs[i].verbs, words[*used - 1]))
			return &verbs[i];
	return NULL;
}

static int parse(const struct verb_row *v, int argc, char **argv, struct flags *f, const char **words, int *n,
	struct errbuf *eb)
{
	struct opt_row rows[FLAGS_MAX + 1] = { 0 };
	size_t many = 0;
	for (size_t i = 0; i < ARRAY_LEN(pool) && many < FLAGS_MAX; i++)
		if (i < GLOBAL_FLAGS || is_word_of(v->flags, pool[i].name))
			rows[many++] = pool[i];
	return opt_parse(rows, argc, argv, false, f, words, n, eb);
}

/* --- what is asked --- */

static const char *flag(const struct flags *f, const char *name, size_t len, const char *word)
{
	if (len == 4 && !strncmp(name, "word", 4))
		return word;
	for (size_t i = 0; i < ARRAY_LEN(pool); i++)
		if (strlen(pool[i].name) == len && !strncmp(pool[i].name, name, len)) {
			const void *at = (const char *)f + pool[i].at;
			return pool[i].kind == OPT_BOOL ? (*(const bool *)at ? "true" : NULL)
							: *(const char *const *)at;
		}
	return NULL;
}

/* With what a URL cannot have as %XX. */
static size_t put_escaped(char *out, size_t cap, const char *text)
{
	size_t n = 0;
	for (; *text && n + 4 < cap; text++)
		if ((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
			(*text >= '0' && *text <= '9') || strchr("-._~", *text))
			out[n++] = *text;
		else
			n += (size_t)snprintf(out + n, cap - n, "%%%02X", (unsigned char)*text);
	out[n] = 0;
	return n;
}

static int make_target(const struct verb_row *v, const struct flags *f, const char *word,
	char out[static TARGET_MAX], struct errbuf *eb)
{
	size_t n = (size_t)snprintf(out, TARGET_MAX, "/api/v1/");
	bool query = false;
	for (const char *p = v->target; *p && n + 8 < TARGET_MAX; p++) {
		query = query || *p == '?';
		if (*p != '{') {
			out[n++] = *p;
			out[n] = 0;
			continue;
		}
		size_t len = strcspn(p + 1, "}");
		const char *value = flag(f, p + 1, len, word);
		if ((!value || !*value) && !query)
			return err_say(eb, -EINVAL,
				!strncmp(p + 1, "word", len) ? "a name is missing"
							     : "required flag(s) \"%.*s\" not set",
				(int)len, p + 1);
		n += put_escaped(out + n, TARGET_MAX - n, value ? value : "");
		p += len + 1;
	}
	return 0;
}

/* One "member=flag" of len bytes. 0, also when the flag was not given. */
static int put_member(json_t *body, const struct verb_row *v, const struct flags *f, const char *word,
	const char *item, size_t len, struct errbuf *eb)
{
	char name[32];
	size_t at = strcspn(item, "[!@=");
	const char *from = memchr(item, '=', len);
	snprintf(name, sizeof(name), "%.*s", (int)at, item);
	bool file = from[1] == '<';
	const char *text = flag(f, from + 1 + file, len - (size_t)(from + 1 + file - item), word);
	if (!text && item[at] == '@')
		text = v->life;
	if (!text && item[at] == '[')
		text = "";
	if (!text)
		return file ? err_say(eb, -EINVAL, "required flag(s) \"file\" not set") : 0;
	json_t *value = file		  ? headscale_file(text, eb)
			: item[at] == '[' ? headscale_list(text)
			: item[at] == '!' ? json_true()
			: item[at] == '@' ? headscale_time(text)
					  : json_string(text);
	if (!value)
		return eb->code ? eb->code
				: err_say(eb, -EINVAL,
					  "\"%.64s\" is no time: write 24h, or 2030-01-31T12:00:00Z", text);
	json_object_set_new(body, name, value);
	return 0;
}

static int make_body(
	const struct verb_row *v, const struct flags *f, const char *word, json_t **out, struct errbuf *eb)
{
	*out = v->body ? json_object() : NULL;
	int err = 0;
	for (const char *p = v->body ? v->body : ""; *p && !err;) {
		size_t len = strcspn(p, " ");
		err = put_member(*out, v, f, word, p, len, eb);
		p += len + (p[len] == ' ');
	}
	return err;
}

/* --- how it ends --- */

static int complain(const struct flags *f, const struct errbuf *eb)
{
	json_t *e = json_pack("{s:s}", "error", eb->text);
	char *text = f->output ? json_dumps(e, JSON_COMPACT) : NULL;
	fprintf(stderr, "%s\n", text ? text : eb->text);
	free(text);
	json_decref(e);
	return CONTROL_FAILED;
}

/* "{key}" is that member of what is shown. */
static void say(const char *said, const json_t *shown)
{
	char name[32];
	if (*said == '{') {
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(said + 1, "}"), said + 1);
		said = json_string_value(json_object_get(shown, name));
	}
	printf("%s\n", said ? said : "");
}

static void drop_others(json_t *list, const char *id)
{
	for (size_t i = json_array_size(list); i-- > 0;)
		if (strcmp(json_string_value(json_object_get(json_array_get(list, i), "id")), id) != 0)
			json_array_remove(list, i);
}

static void show(const struct verb_row *v, const struct flags *f, json_t *answer)
{
	json_t *shown = v->member ? json_object_get(answer, v->member) : answer;
	if (v->columns && f->identifier && !strcmp(v->target, "node"))
		drop_others(shown, f->identifier);
	if (f->output)
		headscale_print(f->output, shown);
	else if (v->columns)
		headscale_print_table(shown, v->columns);
	else if (v->said)
		say(v->said, shown);
	else if (json_is_string(shown))
		printf("%s\n", json_string_value(shown));
	else
		headscale_print("json-line", shown);
}

/* --- the whole --- */

static int find_place(
	struct flags *f, struct control_config *c, struct headscale_place *at, struct errbuf *eb)
{
	const char *insecure = getenv("HEADSCALE_CLI_INSECURE");
	at->address = getenv("HEADSCALE_CLI_ADDRESS");
	at->key = getenv("HEADSCALE_CLI_API_KEY");
	at->insecure = insecure && (!strcmp(insecure, "true") || !strcmp(insecure, "1"));
	if (at->address && *at->address)
		return at->key && *at->key
			       ? 0
			       : err_say(eb, -EINVAL,
					 "HEADSCALE_CLI_API_KEY environment variable needs to be set");
	int err = config_read(f->config, c, eb);
	at->socket = c->unix_socket;
	return err;
}

/* --name stands for the number of the user who is called so. */
static int find_user(const struct headscale_place *at, struct flags *f, char id[static 32], struct errbuf *eb)
{
	char target[TARGET_MAX];
	json_t *answer;
	size_t n = (size_t)snprintf(target, sizeof(target), "/api/v1/user?name=");
	put_escaped(target + n, sizeof(target) - n, f->name);
	int err = headscale_ask(at, "GET", target, NULL, &answer, eb);
	const json_t *list = json_object_get(answer, "users");
	if (!err && json_array_size(list) != 1)
		err = err_say(eb, -ENOENT, "no user is called \"%.64s\"", f->name);
	if (!err)
		snprintf(id, 32, "%s", json_string_value(json_object_get(json_array_get(list, 0), "id")));
	f->identifier = id;
	json_decref(answer);
	return err;
}

static bool is_confirmed(const struct verb_row *v, const struct flags *f)
{
	char line[16];
	if (!v->asks || f->force)
		return true;
	fprintf(stderr, "%s [y/n] ", v->asks);
	return fgets(line, sizeof(line), stdin) && (*line == 'y' || *line == 'Y');
}

static int ask(const struct verb_row *v, struct flags *f, const char *word, struct errbuf *eb)
{
	struct control_config c = { 0 };
	struct headscale_place at = { 0 };
	char target[TARGET_MAX], id[32];
	json_t *body = NULL, *answer = NULL;
	int err = find_place(f, &c, &at, eb);
	if (!err && f->name && !f->identifier && strstr(v->target, "/{identifier}"))
		err = find_user(&at, f, id, eb);
	if (!err && !(err = make_target(v, f, word, target, eb)))
		err = make_body(v, f, word, &body, eb);
	if (!err && !is_confirmed(v, f))
		printf("Nothing was done\n");
	else if (!err)
		err = headscale_ask(&at, v->method, target, body, &answer, eb);
	if (answer)
		show(v, f, answer);
	json_decref(answer);
	json_decref(body);
	config_free(&c);
	return err;
}

static int run_generate(const struct flags *f, const char *word)
{
	uint8_t key[KEY_LEN];
	char text[KEY_TEXT];
	(void)word;
	key_generate(&random_system, key);
	json_t *v = json_pack("{s:s}", "private_key", key_format(key, "privkey:", text));
	if (f->output)
		headscale_print(f->output, v);
	else
		printf("%s\n", text);
	json_decref(v);
	key_wipe(key, sizeof(key));
	key_wipe(text, sizeof(text));
	return CONTROL_OK;
}

static int run_version(const struct flags *f, const char *word)
{
	(void)word;
	json_t *v = json_pack("{s:s}", "version", HEADSCALE_VERSION);
	if (f->output)
		headscale_print(f->output, v);
	else
		printf("headscale version " HEADSCALE_VERSION "\n");
	json_decref(v);
	return CONTROL_OK;
}

static int run_ours(const struct flags *f, const char *verb)
{
	char program[] = "ropewalk-control", c[] = "-c", lax[] = "--lax", name[16], path[1024];
	snprintf(name, sizeof(name), "%s", verb);
	snprintf(path, sizeof(path), "%s", f->config);
	char *argv[] = { program, name, c, path, strcmp(verb, "serve") ? lax : NULL, NULL };
	return control_main(argv[4] ? 5 : 4, argv);
}

static int run_as_ours(const struct flags *f, const char *word)
{
	(void)word;
	return run_ours(f, "configtest");
}

static int run_serve(const struct flags *f, const char *word)
{
	(void)word;
	return run_ours(f, "serve");
}

static int print_verbs(void)
{
	printf("Headscale's command, on a server of Ropewalk.\n\n");
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		printf("  headscale %s%s%.*s%s%s\n", verbs[i].noun, *verbs[i].noun ? " " : "",
			(int)strcspn(verbs[i].verbs, " "), verbs[i].verbs,
			*verbs[i].flags ? "   flags: " : "", verbs[i].flags);
	printf("\nAll take --config FILE, --output json|json-line|yaml and --force.\n");
	return CONTROL_OK;
}

static void refuse_words(const char *const words[static 2], struct errbuf *eb)
{
	const char *instead = headscale_not_here(words[0]);
	if (instead)
		err_say(eb, -EINVAL, "\"%.32s\" is not here: %s", words[0], instead);
	else
		err_say(eb, -EINVAL, "unknown command \"%.32s%s%.32s\" for \"headscale\"", words[0],
			*words[1] ? " " : "", words[1]);
}

bool headscale_is_name(const char *program)
{
	const char *slash = program ? strrchr(program, '/') : NULL;
	return program && !strcmp(slash ? slash + 1 : program, "headscale");
}

int headscale_main(int argc, char **argv)
{
	const char *words[2], *given = getenv("HEADSCALE_CONFIG");
	struct flags f = { .config = given && *given		  ? given
				     : access(THEIR_CONFIG, F_OK) ? OUR_CONFIG
								  : THEIR_CONFIG };
	struct errbuf eb = { 0 };
	int used, n = find_words(argc, argv, words), code;
	const struct verb_row *v = find_verb(words, &used);
	if (!n)
		return program_text_end("headscale", print_verbs(), CONTROL_FAILED);
	if (!v) {
		refuse_words(words, &eb);
		return complain(&f, &eb);
	}
	const char **rest = calloc((size_t)argc + 1, sizeof(*rest));
	int err = rest ? parse(v, argc, argv, &f, rest, &n, &eb) : err_set(&eb, -ENOMEM, "start");
	if (!err && f.output && strcmp(f.output, "json") != 0 && strcmp(f.output, "json-line") != 0 &&
		strcmp(f.output, "yaml") != 0)
		err = err_say(&eb, -EINVAL, "output \"%.32s\": json, json-line and yaml are there", f.output);
	const char *word = rest && !err && n > used ? rest[used] : "";
	if (!err && f.help)
		code = print_verbs();
	else if (!err && v->run)
		code = v->run(&f, word);
	else
		code = err || ask(v, &f, word, &eb) ? complain(&f, &eb) : CONTROL_OK;
	free(rest);
	return v->run == run_serve ? code : program_text_end("headscale", code, CONTROL_FAILED);
}
