/* The command line: `serve` and the admin verbs, which ask the running server over its socket. */
#include "mesh/control/cli/cli.h"
#include "mesh/control/cli/headscale.h"

#include "mesh/base/key.h"
#include "mesh/base/log.h"
#include "mesh/base/text.h"
#include "mesh/control/control.h"
#include "mesh/control/config/config_value.h"
#include "mesh/control/config/settings.h"
#include "mesh/control/server.h"
#include "mesh/os/completion.h"
#include "mesh/os/file.h"
#include "mesh/os/program_text.h"
#include "mesh/transport/stream.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CONFIG "/etc/ropewalk-control/config.yaml"

static const struct opt_row option_rows[] = {
	{ "config", "c", OPT_STRING, offsetof(struct options, config), "FILE",
		"settings (default " DEFAULT_CONFIG ")" },
	{ "json", NULL, OPT_BOOL, offsetof(struct options, json), NULL, "print JSON" },
	{ "output", "o", OPT_STRING, offsetof(struct options, output), "json", "the same as --json" },
	{ "socket", NULL, OPT_STRING, offsetof(struct options, socket), "PATH",
		"admin socket, instead of the one in the settings" },
	{ "user", "u", OPT_STRING, offsetof(struct options, user), "NAME",
		"invite, preauthkeys create, nodes approve, nodes list: whose key or node it is" },
	{ "create-user", NULL, OPT_BOOL, offsetof(struct options, create_user), NULL,
		"invite, preauthkeys create: make the user if it is missing" },
	{ "reusable", NULL, OPT_BOOL, offsetof(struct options, reusable), NULL,
		"invite, preauthkeys create: the key lets several nodes in" },
	{ "ephemeral", NULL, OPT_BOOL, offsetof(struct options, ephemeral), NULL,
		"invite, preauthkeys create: its nodes are deleted when they stay away" },
	{ "expiration", "e", OPT_DURATION_MS, offsetof(struct options, expiration_ms), "TIME",
		"invite, preauthkeys create, apikeys create: how long the key can be used, by default 1d "
		"of an invitation, 1h of an auth key, 90d of an API key; 0s: for ever" },
	{ "tags", NULL, OPT_STRING, offsetof(struct options, tags), "tag:a,tag:b",
		"invite, preauthkeys create, nodes tag: tags of the nodes; a key with tags needs no user" },
	{ "name", NULL, OPT_STRING, offsetof(struct options, name), "NAME",
		"invite: what the machine is to be called" },
	{ "routes", "r", OPT_STRING, offsetof(struct options, routes), "10.0.0.0/8,0.0.0.0/0,::/0",
		"nodes approve-routes: all that the node may carry" },
	{ "if-match", NULL, OPT_STRING, offsetof(struct options, if_match), "ETAG",
		"policy set: only if the policy in force is the one with this etag (policy get --json)" },
	{ "at", NULL, OPT_STRING, offsetof(struct options, at), "TIME",
		"nodes expire: when, as 2027-01-31T08:00:00Z or from now as 30d" },
	{ "yes", "y", OPT_BOOL, offsetof(struct options, yes), NULL, "policy set: do not ask before saving" },
	{ "noise-key", NULL, OPT_STRING, offsetof(struct options, noise_key), "FILE",
		"import: Headscale's noise_private.key, when it is not beside its database" },
	{ "lax", NULL, OPT_BOOL, offsetof(struct options, lax), NULL,
		"configtest: settings that this server has not are no error" },
	{ "help", "h", OPT_BOOL, offsetof(struct options, help), NULL, "print this" },
	{ "version", "V", OPT_BOOL, offsetof(struct options, version), NULL, "print the version" },
	{ "man", NULL, OPT_BOOL, offsetof(struct options, man), NULL, "print the man page (roff)" },
	{ "completion", NULL, OPT_STRING, offsetof(struct options, completion), "bash|zsh|fish",
		"print what that shell completes this program's command line with" },
	{ 0 },
};

static int complain_test(const struct options *o, const struct control_config *c, const struct errbuf *eb)
{
	char sentence[640];
	snprintf(sentence, sizeof(sentence), "policy %.200s:%s", c->policy_path, eb->text);
	return cli_complain(o, CONTROL_FAILED, sentence);
}

static int run_configtest(const struct options *o, const char **words, int n, struct errbuf *eb);

#define NODE_COLUMNS "id name user addresses tags online expired"
#define KEY_COLUMNS "id user prefix reusable ephemeral used usable expiry tags"
#define PROGRAM_KEY_COLUMNS "id prefix usable created expiry last_seen scopes description"
#define VERB(name, words, help) .man = { name, words, help, NULL, NULL }
static const struct verb verbs[] = {
	{ VERB("serve", "", "run the server") },
	{ VERB("configtest", "", "check the settings and the files they name"), .run = run_configtest },
	{ VERB("import", "FILE",
		  "take over users, nodes and keys from Headscale's SQLite file, with no server running"),
		.words = { "file" }, .run = import_run },
	{ VERB("health", "", "ask the running server how it is") },
	{ VERB("log show", "", "show the newest lines of the running server's log"),
		.columns = "time level text" },
	{ VERB("relays list", "", "list the relays that nodes are told, and how near nodes are to them"),
		.columns = "id code name measured_by latency_ms home_of" },
	{ VERB("users create", "NAME", "add a user"), .words = { "name" } },
	{ VERB("users list", "", "list the users"), .columns = "id name role created groups" },
	{ VERB("users role", "NAME ROLE",
		  "what a user is to the access rules: owner, admin, network-admin, it-admin, billing-admin, "
		  "auditor or member"),
		.words = { "name", "role" } },
	{ VERB("users destroy", "NAME", "remove a user who has no nodes"), .words = { "name" } },
	{ VERB("admins create", "NAME",
		  "add an admin who may log in in a browser; the password is asked for, or a line of "
		  "standard input"),
		.words = { "name" }, .run = admins_run_create },
	{ VERB("admins list", "", "list these admins"), .columns = "id name created" },
	{ VERB("admins password", "NAME", "give such an admin another password, and end their logins"),
		.words = { "name" }, .run = admins_run_password },
	{ VERB("admins delete", "NAME", "remove such an admin, and end their logins"), .words = { "name" } },
	{ VERB("invite", "",
		  "print a line by which a machine joins (`ropewalk join LINE`): it has this server, its "
		  "key, and "
		  "a new auth key"),
		.run = invite_run },
	{ VERB("preauthkeys create", "", "make a key that lets a node in"), .lifetime_ms = 3600 * 1000 },
	{ VERB("preauthkeys list", "", "list the keys (not their secrets)"), .columns = KEY_COLUMNS },
	{ VERB("preauthkeys expire", "ID", "make a key useless"), .words = { "#id" } },
	{ VERB("apikeys create", "", "make a key for programs that use the API"),
		.lifetime_ms = UINT64_C(90) * 24 * 3600 * 1000 },
	{ VERB("apikeys list", "", "list these keys (not their secrets)"), .columns = PROGRAM_KEY_COLUMNS },
	{ VERB("apikeys expire", "ID", "make such a key useless"), .words = { "#id" } },
	{ VERB("apikeys delete", "ID", "forget such a key"), .words = { "#id" } },
	{ VERB("nodes list", "", "list the nodes"), .columns = NODE_COLUMNS },
	{ VERB("nodes pending", "", "list the nodes that wait for approval"),
		.columns = "id hostname os since" },
	{ VERB("nodes approve", "ID", "let a waiting node in; its login page shows the ID"),
		.words = { "id" } },
	{ VERB("nodes reject", "ID", "say no to a waiting node"), .words = { "id" } },
	{ VERB("nodes show", "ID", "show a node and what it says of its network"), .words = { "#id" } },
	{ VERB("nodes path", "ID OTHER-ID", "ask a node by which way it reaches another now"),
		.words = { "#id", "#to" } },
	{ VERB("nodes delete", "ID", "remove a node"), .words = { "#id" } },
	{ VERB("nodes expire", "ID", "make a node log in again (--at: then)"), .words = { "#id" } },
	{ VERB("nodes keep", "ID",
		  "let a node's key last: it need not log in again, and comes back if it had to"),
		.words = { "#id" } },
	{ VERB("nodes rename", "ID NAME", "give a node another name"), .words = { "#id", "name" } },
	{ VERB("nodes tag", "ID", "set a node's tags (--tags, one at least)"), .words = { "#id" } },
	{ VERB("nodes approve-routes", "ID",
		  "set the routes a node may carry, of those it offers (--routes; \"\": none)"),
		.words = { "#id" } },
	{ VERB("nodes list-routes", "", "list the nodes that offer or may carry routes"),
		.columns = "id name available_routes approved_routes subnet_routes" },
	{ VERB("dns show", "", "show the DNS settings that nodes are told") },
	{ VERB("dns servers", "",
		  "list these nameservers: which node one is, and how many others may ask it"),
		.columns = "suffix address name online asked_by machines without" },
	{ VERB("dns check", "ADDRESS", "ask a nameserver something, from here, and say how it fares"),
		.words = { "server" } },
	{ VERB("dns reset", "", "forget the DNS settings made by the API: those of the file hold again") },
	{ VERB("ssh list", "", "list the logins that wait to be let in (action \"check\" of the policy)"),
		.columns = "id from to as" },
	{ VERB("ssh approve", "ID", "let such a login in"), .words = { "id" } },
	{ VERB("ssh reject", "ID", "refuse such a login"), .words = { "id" } },
	{ VERB("policy check", "[FILE]", "check a policy file (default: the one in the settings)"),
		.words = { "file?" }, .run = policy_run_check },
	{ VERB("policy test", "[FILE]",
		  "run a policy file's tests with the nodes that there are (default: the policy in force)"),
		.words = { "file?" }, .run = policy_run_test },
	{ VERB("policy reach", "[FILE]",
		  "who reaches what, of the nodes that there are, by a policy file (default: the policy in "
		  "force)"),
		.words = { "file?" }, .run = policy_run_reach },
	{ VERB("policy get", "", "print the policy in force"), .run = policy_run_get },
	{ VERB("policy set", "FILE",
		  "put a policy into force that is kept in the database (policy.mode); - reads standard "
		  "input"),
		.words = { "file" }, .run = policy_run_set },
	{ VERB("policy history", "[VERSION]", "list the policies that were in force, or print one of them"),
		.words = { "version?" }, .run = policy_run_history },
	{ VERB("policy explain", "FROM TO [PORT]",
		  "which rule lets one node send to another, or why none does (443, udp:53, icmp; none: "
		  "anything)"),
		.words = { "from", "to", "port?" } },
	{ VERB("policy reload", "", "read policy, DNS settings and DERP files again, as SIGHUP does") },
	{ VERB("version", "", "print the version") },
	{ VERB("help", "[VERB]", "say how a verb is used") },
};

static const struct man_item exits[] = {
	{ "0", "done" },
	{ "1", "failed; standard error says why and what to do" },
	{ "2", "the command line is wrong" },
	{ "78", "serve: the settings, or a file they name, are wrong or not there" },
	{ "3", "the server is not running, or this user may not talk to it" },
	{ NULL, NULL },
};
static const struct man_item environment[] = {
	{ "HTTPS_PROXY, HTTP_PROXY, NO_PROXY",
		"as of ropewalkd(8), of the authority for certificates and of providers of logins" },
	{ NULL, NULL },
};
static const struct man_item files[] = {
	{ DEFAULT_CONFIG, "settings, YAML with the names that Headscale uses" },
	{ "/var/lib/ropewalk-control", "database and Noise key, unless the settings say otherwise" },
	{ CONFIG_SOCKET, "the admin socket; who may open it is an admin" },
	{ NULL, NULL },
};

/* Whether a verb of two words has word as its first. */
static bool begins_with(const char *verb, const char *word)
{
	size_t n = strlen(word);
	return !strncmp(verb, word, n) && verb[n] == ' ';
}

/* What --help, --man and --completion print. group: the first word of the verbs that --help is asked for; NULL: all. */
static int print_help(
	const struct options *o, const struct verb *v, const char *group, FILE *to, struct errbuf *eb)
{
	size_t n = 0;
	const struct man_verb *list[ARRAY_LEN(verbs) + 1] = { NULL };
	const struct man_program program = { .name = "ropewalk-control",
		.section = 8,
		.summary = "coordination server of a mesh network",
		.words = "[-c FILE] VERB [OPTIONS]",
		.text = "ropewalk-control lets nodes join, tells each which others there are, what they may "
			"do and what "
			"names mean, and keeps all of it in an SQLite database. Verbs other than serve ask "
			"the running "
			"server over its admin socket.",
		.options = option_rows,
		.verbs = list,
		.exits = exits,
		.environment = environment,
		.files = files,
		.see_also = "ropewalk(1), ropewalkd(8), ropewalk-relay(8)" };
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (!group || begins_with(verbs[i].man.name, group))
			list[n++] = &verbs[i].man;
	if (o->completion)
		return completion_print(&program, o->completion, to, eb);
	if (o->man)
		man_page(&program, to);
	else if (v)
		man_help_verb(&program, &v->man, to);
	else
		man_help(&program, to);
	return 0;
}

int cli_complain(const struct options *o, int code, const char *text)
{
	if (o->json) {
		json_t *e = json_pack("{s:{s:s}}", "error", "message", text);
		char *line = json_dumps(e, JSON_COMPACT);
		printf("%s\n", line ? line : "{}");
		free(line);
		json_decref(e);
	} else {
		char line[1024];
		snprintf(line, sizeof(line), "%s", text);
		text_clean(line);
		fprintf(stderr, "ropewalk-control: %s\n", line);
	}
	return code;
}

/* --- verbs that need no server --- */

static void print_unused(void *arg, const char *sentence)
{
	fprintf(stderr, "%s: %s\n", ((const struct control_config *)arg)->file, sentence);
}

/* What the settings ask for that would make another network than this server does. */
static int complain_missing(const struct options *o, const struct control_config *c)
{
	char keys[256], text[512];
	if (o->lax || !*config_unused_that_matter(c, keys, sizeof(keys)))
		return CONTROL_OK;
	snprintf(text, sizeof(text),
		"%s asks for what this server has not: %s; take that out, or accept the network without it "
		"with "
		"--lax",
		o->config, keys);
	return cli_complain(o, CONTROL_FAILED, text);
}

/* That it is there, fits its key, and what clients have against it, which is no reason not to start. */
static int check_certificate(const struct options *o, const struct control_config *c, struct errbuf *eb)
{
	char name[CONFIG_HOST_TEXT];
	uint16_t port;
	struct tls *t = c->tls_cert ? tls_server(c->tls_cert, c->tls_key, eb) : NULL;
	if (c->tls_cert && !t)
		return cli_complain(o, CONTROL_FAILED, eb->text);
	tls_free(t);
	config_value_host(c->server_url, name, &port);
	if (t &&
		tls_cert_fault(c->tls_cert, strncmp(c->server_url, "https://", 8) == 0 ? name : NULL, eb) !=
			0 &&
		!o->json)
		fprintf(stderr, "%s: %s\n", c->file, eb->text);
	return CONTROL_OK;
}

static int complain_all(const struct options *o, struct buf *all, const struct errbuf *eb)
{
	const char *line = all->len && !o->json ? buf_cstr(all) : NULL;
	if (!line)
		(void)cli_complain(o, CONTROL_FAILED, eb->text);
	for (size_t n; line && *line; line += n + (line[n] == '\n')) {
		char one[sizeof(eb->text)];
		n = strcspn(line, "\n");
		snprintf(one, sizeof(one), "%.*s", (int)n, line);
		(void)cli_complain(o, CONTROL_FAILED, one);
	}
	buf_free(all);
	return CONTROL_FAILED;
}

static int first(int code, int next)
{
	return code == CONTROL_OK ? next : code;
}

static int run_configtest(const struct options *o, const char **words, int n, struct errbuf *eb)
{
	struct control_config c;
	(void)words;
	(void)n;
	struct buf all = { .secret = true }; /* what is wrong is told as it stands */
	if (config_read_all(o->config, &c, &all, eb))
		return complain_all(o, &all, eb);
	struct settings *s = settings_read(&c, NULL, NULL, NULL, eb);
	int code = s ? CONTROL_OK : cli_complain(o, CONTROL_FAILED, eb->text);
	if (s && policy_test(s->policy, NULL, eb))
		code = complain_test(o, &c, eb);
	if (code == CONTROL_OK || !o->json) /* all that is wrong, and of JSON one document */
		code = first(code, check_certificate(o, &c, eb));
	if (s && !o->json)
		config_unused_each(&c, print_unused, &c);
	if (code == CONTROL_OK || !o->json)
		code = first(code, complain_missing(o, &c));
	if (code == CONTROL_OK)
		printf(o->json ? "{\"ok\":true}\n" : "%s: good\n", o->config);
	settings_put(s);
	config_free(&c);
	return code;
}

/* --- choosing --- */

static const struct verb *find_verb(const char **words, int n, int *used)
{
	char two[64];
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		snprintf(two, sizeof(two), "%s%s%s", words[0], n > 1 ? " " : "", n > 1 ? words[1] : "");
		*used = strchr(verbs[i].man.name, ' ') ? 2 : 1;
		if (!strcmp(*used == 2 ? two : words[0], verbs[i].man.name))
			return &verbs[i];
	}
	return NULL;
}

/* A first word of verbs of two. */
static bool is_group(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (begins_with(verbs[i].man.name, word))
			return true;
	return false;
}

/* The second words of the verbs that begin with `word`, into out; false: there are none. */
static bool second_words(const char *word, char *out, size_t cap)
{
	size_t len = 0, n = strlen(word);
	for (size_t i = 0; i < ARRAY_LEN(verbs) && len < cap; i++)
		if (begins_with(verbs[i].man.name, word))
			len += (size_t)snprintf(
				out + len, cap - len, "%s%s", len ? ", " : "", verbs[i].man.name + n + 1);
	return len;
}

static int unknown_verb(const struct options *o, const char **words, int n)
{
	const char *names[ARRAY_LEN(verbs) + 1];
	char typed[64], text[256], words_of[160];
	if (n == 1 && second_words(words[0], words_of, sizeof(words_of))) {
		snprintf(text, sizeof(text), "%.30s what? One of: %s", words[0], words_of);
		return cli_complain(o, CONTROL_USAGE, text);
	}
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		names[i] = verbs[i].man.name;
	names[ARRAY_LEN(verbs)] = NULL;
	snprintf(typed, sizeof(typed), "%.30s%s%.30s", words[0], n > 1 ? " " : "", n > 1 ? words[1] : "");
	const char *near = text_nearest(typed, names);
	snprintf(text, sizeof(text), "unknown verb \"%s\"%s%s%s", typed,
		near ? "; did you mean \"" : "; --help lists them", near ? near : "", near ? "\"?" : "");
	return cli_complain(o, CONTROL_USAGE, text);
}

static int run_verb(const struct options *o, const struct verb *v, const char **words, int n)
{
	struct errbuf eb = { 0 };
	int need = 0, most = 0;
	char text[256];
	for (; most < VERB_WORDS && v->words[most]; most++)
		need += !strchr(v->words[most], '?');
	if (n < need || n > most) {
		snprintf(text, sizeof(text),
			n < need ? "%s needs %s; see --help" : "%s: too many words (\"%.64s\")", v->man.name,
			n < need ? v->man.words : words[most]);
		return cli_complain(o, CONTROL_USAGE, text);
	}
	if (!strcmp(v->man.name, "nodes approve-routes") && !o->routes)
		return cli_complain(o, CONTROL_USAGE,
			"nodes approve-routes needs --routes, all that the node may carry (`nodes "
			"list-routes` shows "
			"what it offers); --routes \"\" takes all of them back");
	if (!strcmp(v->man.name, "serve"))
		return server_run(o->config, o->json);
	if (!strcmp(v->man.name, "version")) {
		printf(o->json ? "{\"version\":\"" RW_VERSION "\"}\n" : "ropewalk-control " RW_VERSION "\n");
		return CONTROL_OK;
	}
	return v->run ? v->run(o, words, n, &eb) : ask_run(o, v, words, n, &eb);
}

int control_main(int argc, char **argv)
{
	struct options o = { .config = DEFAULT_CONFIG, .expiration_ms = LIFETIME_NOT_SAID };
	struct errbuf eb = { 0 };
	const char **words = calloc((size_t)argc + 1, sizeof(*words));
	int n = 0, used = 0, code;
	log_setup(LOG_INFO, false);
	if (!words || !key_setup()) {
		free(words);
		return cli_complain(&o, CONTROL_FAILED, "no memory or no randomness on this machine");
	}
	if (headscale_is_name(argv[0])) {
		free(words);
		return headscale_main(argc, argv);
	}
	int err = opt_parse(option_rows, argc, argv, false, &o, words, &n, &eb);
	if (!err && o.output && strcmp(o.output, "json") != 0 && strcmp(o.output, "json-line") != 0)
		err = err_say(&eb, -EINVAL, "--output \"%.32s\": json is the only format", o.output);
	o.json = o.json || (!err && o.output);
	const char **about = words; /* what the command line is about */
	if (!err && n && !strcmp(words[0], "help")) {
		o.help = true;
		about++;
		n--;
	}
	const struct verb *v = n ? find_verb(about, n, &used) : NULL;
	const bool texts = o.help || o.man || o.completion;
	if (err) {
		o.json |= opt_flag_given("json", argc, argv);
		code = cli_complain(&o, CONTROL_USAGE, eb.text);
	} else if (o.version) {
		printf("ropewalk-control " RW_VERSION "\n");
		code = CONTROL_OK;
	} else if (!n || (texts && (v || is_group(about[0])))) {
		code = texts ? CONTROL_OK : CONTROL_USAGE;
		if (print_help(&o, v, n && !v ? about[0] : NULL, texts ? stdout : stderr, &eb))
			code = cli_complain(&o, CONTROL_USAGE, eb.text);
	} else {
		code = v ? run_verb(&o, v, about + used, n - used) : unknown_verb(&o, about, n);
	}
	free(words);
	return v && !strcmp(v->man.name, "serve") && !texts
		       ? code
		       : program_text_end("ropewalk-control", code, CONTROL_FAILED);
}
