/* The command line: `serve` and the admin verbs, which ask the running server over its socket. */
#include "mesh/control/control.h"

#include "mesh/base/log.h"
#include "mesh/base/text.h"
#include "mesh/control/server.h"
#include "mesh/os/file.h"
#include "mesh/transport/http.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CONFIG "/etc/ropewalk-control/config.yaml"
enum { WORDS_MAX = 8, CELL_MAX = 128, COLUMNS_MAX = 10, POLICY_BYTES = 4 * 1024 * 1024 };

struct options {
	const char *config, *socket, *user, *tags, *output;
	uint64_t expiration_ms;
	bool json, reusable, ephemeral, create_user, help, version;
};

static const struct opt_row option_rows[] = {
	{ "config", "c", OPT_STRING, offsetof(struct options, config), "FILE",
		"settings (default " DEFAULT_CONFIG ")" },
	{ "json", NULL, OPT_BOOL, offsetof(struct options, json), NULL, "print JSON" },
	{ "output", "o", OPT_STRING, offsetof(struct options, output), "json", "the same as --json" },
	{ "socket", NULL, OPT_STRING, offsetof(struct options, socket), "PATH",
		"admin socket, instead of the one in the settings" },
	{ "user", "u", OPT_STRING, offsetof(struct options, user), "NAME", "whose key or node it is" },
	{ "create-user", NULL, OPT_BOOL, offsetof(struct options, create_user), NULL,
		"preauthkeys create: make the user if it is missing" },
	{ "reusable", NULL, OPT_BOOL, offsetof(struct options, reusable), NULL,
		"preauthkeys create: the key lets several nodes in" },
	{ "ephemeral", NULL, OPT_BOOL, offsetof(struct options, ephemeral), NULL,
		"preauthkeys create: its nodes are deleted when they stay away" },
	{ "expiration", "e", OPT_DURATION_MS, offsetof(struct options, expiration_ms), "TIME",
		"preauthkeys create: how long the key can be used (default 1h; 0s: for ever)" },
	{ "tags", NULL, OPT_STRING, offsetof(struct options, tags), "tag:a,tag:b",
		"preauthkeys create, nodes tag: tags of the nodes" },
	{ "help", "h", OPT_BOOL, offsetof(struct options, help), NULL, "print this" },
	{ "version", NULL, OPT_BOOL, offsetof(struct options, version), NULL, "print the version" },
	{ 0 },
};

/* words: positional arguments by their JSON names, '#' before those that are numbers. */
struct verb {
	const char *name, *words[3], *help;
	const char *columns; /* of the table; NULL: one line per field */
	int (*run)(const struct options *o, const char **words, int n,
		struct errbuf *eb); /* NULL: ask the server */
};

static int run_configtest(const struct options *o, const char **words, int n, struct errbuf *eb);
static int run_policy_check(const struct options *o, const char **words, int n, struct errbuf *eb);

#define NODE_COLUMNS "id name user addresses tags online expired"
#define KEY_COLUMNS "id user prefix reusable ephemeral used usable expiry tags"
static const struct verb verbs[] = {
	{ "serve", { 0 }, "run the server", NULL, NULL },
	{ "configtest", { 0 }, "check the settings and the files they name", NULL, run_configtest },
	{ "health", { 0 }, "ask the running server how it is", NULL, NULL },
	{ "users create", { "name" }, "add a user", NULL, NULL },
	{ "users list", { 0 }, "list the users", "id name created", NULL },
	{ "users destroy", { "name" }, "remove a user who has no nodes", NULL, NULL },
	{ "preauthkeys create", { 0 }, "make a key that lets a node in", NULL, NULL },
	{ "preauthkeys list", { 0 }, "list the keys (not their secrets)", KEY_COLUMNS, NULL },
	{ "preauthkeys expire", { "#id" }, "make a key useless", NULL, NULL },
	{ "nodes list", { 0 }, "list the nodes", NODE_COLUMNS, NULL },
	{ "nodes pending", { 0 }, "list the nodes that wait for approval", "id hostname os since", NULL },
	{ "nodes approve", { "id" }, "let a waiting node in; its login page shows the id", NULL, NULL },
	{ "nodes delete", { "#id" }, "remove a node", NULL, NULL },
	{ "nodes expire", { "#id" }, "make a node log in again", NULL, NULL },
	{ "nodes rename", { "#id", "name" }, "give a node another name", NULL, NULL },
	{ "nodes tag", { "#id" }, "set a node's tags (--tags; none given: no tags)", NULL, NULL },
	{ "policy check", { "file?" }, "check a policy file (default: the one in the settings)", NULL,
		run_policy_check },
	{ "policy reload", { 0 }, "read policy, DNS settings and DERP files again", NULL, NULL },
	{ "version", { 0 }, "print the version", NULL, NULL },
};

static const char *word_name(const char *w)
{
	return *w == '#' ? w + 1 : w;
}

static void print_help(FILE *to)
{
	fprintf(to, "usage: ropewalk-control [options] VERB\n\nverbs:\n");
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		char left[64];
		int n = snprintf(left, sizeof(left), "%s", verbs[i].name);
		for (size_t k = 0; k < 3 && verbs[i].words[k]; k++) {
			size_t len = strcspn(word_name(verbs[i].words[k]), "?");
			bool optional = strchr(verbs[i].words[k], '?');
			n += snprintf(left + n, sizeof(left) - (size_t)n, optional ? " [%.*s]" : " %.*s",
				(int)len, word_name(verbs[i].words[k]));
		}
		fprintf(to, "  %-28s %s\n", left, verbs[i].help);
	}
	fprintf(to, "\noptions:\n");
	opt_help(option_rows, to);
}

static int complain(const struct options *o, int code, const char *text)
{
	if (o->json) {
		json_t *e = json_pack("{s:{s:s}}", "error", "message", text);
		char *line = json_dumps(e, JSON_COMPACT);
		printf("%s\n", line ? line : "{}");
		free(line);
		json_decref(e);
	} else {
		fprintf(stderr, "ropewalk-control: %s\n", text);
	}
	return code;
}

/* --- printing
 * ---------------------------------------------------------------------------------------------------------
 */

static void cell(const json_t *v, char out[static CELL_MAX])
{
	size_t i;
	json_t *item;
	out[0] = 0;
	if (json_is_string(v))
		snprintf(out, CELL_MAX, "%s", json_string_value(v));
	else if (json_is_integer(v))
		snprintf(out, CELL_MAX, "%lld", (long long)json_integer_value(v));
	else if (json_is_boolean(v))
		snprintf(out, CELL_MAX, "%s", json_is_true(v) ? "yes" : "no");
	else if (json_is_array(v))
		json_array_foreach(v, i, item)
		{
			size_t len = strlen(out);
			snprintf(out + len, CELL_MAX - len, "%s%s", i ? " " : "", json_string_value(item));
		}
	for (char *p = out; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = '?';
	if (!*out)
		memcpy(out, "-", 2);
}

static void print_table(const json_t *list, const char *columns)
{
	char names[COLUMNS_MAX][24], text[CELL_MAX];
	size_t widths[COLUMNS_MAX], n = 0, i;
	json_t *row;
	for (int used; n < COLUMNS_MAX && sscanf(columns, "%23s%n", names[n], &used) == 1;
		columns += used, n++)
		widths[n] = strlen(names[n]);
	for (size_t k = 0; k < n; k++)
		json_array_foreach(list, i, row)
		{
			cell(json_object_get(row, names[k]), text);
			widths[k] = strlen(text) > widths[k] ? strlen(text) : widths[k];
		}
	for (size_t k = 0; k < n; k++)
		printf("%-*s%s", k + 1 < n ? (int)widths[k] : 0, names[k], k + 1 < n ? "  " : "\n");
	json_array_foreach(list, i, row) for (size_t k = 0; k < n; k++)
	{
		cell(json_object_get(row, names[k]), text);
		printf("%-*s%s", k + 1 < n ? (int)widths[k] : 0, text, k + 1 < n ? "  " : "\n");
	}
}

static void print_answer(const struct options *o, const struct verb *v, json_t *answer)
{
	const char *name;
	json_t *value;
	char text[CELL_MAX];
	if (o->json) {
		char *line = json_dumps(answer, JSON_COMPACT);
		printf("%s\n", line ? line : "null");
		free(line);
	} else if (v->columns) {
		print_table(answer, v->columns);
	} else if (json_object_get(answer, "key")) {
		printf("%s\n", json_string_value(json_object_get(answer, "key")));
	} else {
		json_object_foreach(answer, name, value)
		{
			cell(value, text);
			printf("%-14s %s\n", name, text);
		}
	}
}

/* --- asking the server
 * -------------------------------------------------------------------------------------------------- */

struct ask {
	struct loop *loop;
	const struct options *o;
	const struct verb *verb;
	const char *socket;
	int code;
};

static void answered(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct ask *a = arg;
	json_t *answer = json_loadb((const char *)body, len, 0, NULL);
	const char *error = json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
	if (head->status == 200 && answer) {
		print_answer(a->o, a->verb, answer);
		a->code = CONTROL_OK;
	} else {
		a->code = complain(a->o, CONTROL_FAILED,
			error ? error : "the server's answer makes no sense; are both of one version?");
	}
	json_decref(answer);
	loop_stop(a->loop);
}

static void not_answered(void *arg, int code, const char *why)
{
	struct ask *a = arg;
	char text[512];
	if (code == -EACCES || code == -EPERM)
		snprintf(text, sizeof(text), "no permission for %s: run this as root or as the server's user",
			a->socket);
	else if (code == -ENOENT || code == -ECONNREFUSED)
		snprintf(text, sizeof(text),
			"the server is not running (nobody answers on %s): start it with `ropewalk-control "
			"serve -c FILE`, and give the same -c here",
			a->socket);
	else
		snprintf(text, sizeof(text), "%s: %s", a->socket, why);
	a->code = complain(a->o, CONTROL_NOT_RUNNING, text);
	loop_stop(a->loop);
}

static int ask_server(struct ask *a, json_t *args)
{
	char path[64] = "/v1/";
	char *body = json_dumps(args, JSON_COMPACT);
	size_t n = strlen(path);
	for (const char *p = a->verb->name; *p && n + 1 < sizeof(path); p++)
		path[n++] = *p == ' ' ? '/' : *p;
	path[n] = 0;
	a->loop = loop_new();
	const struct http_request rq = { .unix_path = a->socket,
		.method = "POST",
		.target = path,
		.host = "localhost",
		.body = body,
		.body_len = body ? strlen(body) : 0,
		.content_type = "application/json" };
	const struct http_client_events ev = { .done = answered, .failed = not_answered, .arg = a };
	a->code = CONTROL_FAILED;
	if (body && a->loop && http_request(a->loop, &rq, &ev))
		loop_run(a->loop);
	else
		complain(a->o, CONTROL_FAILED, "out of memory");
	if (a->loop)
		loop_free(a->loop);
	free(body);
	return a->code;
}

static bool put_word(json_t *args, const char *word, const char *value)
{
	uint64_t number;
	if (*word != '#')
		return !json_object_set_new(args, word, json_string(value));
	return text_u64(value, 1, INT64_MAX, &number) &&
	       !json_object_set_new(args, word + 1, json_integer((json_int_t)number));
}

static json_t *make_args(
	const struct options *o, const struct verb *v, const char **words, int n, struct errbuf *eb)
{
	json_t *args = json_pack("{s:s, s:s, s:I, s:b, s:b, s:b}", "user", o->user ? o->user : "", "tags",
		o->tags ? o->tags : "", "expiration_ms", (json_int_t)o->expiration_ms, "reusable",
		o->reusable, "ephemeral", o->ephemeral, "create_user", o->create_user);
	for (int i = 0; i < n; i++)
		if (!put_word(args, v->words[i], words[i])) {
			err_say(eb, -EINVAL, "%s: \"%s\" is not a number; the list shows the numbers",
				v->name, words[i]);
			json_decref(args);
			return NULL;
		}
	return args;
}

static int run_remote(
	const struct options *o, const struct verb *v, const char **words, int n, struct errbuf *eb)
{
	struct control_config c = { 0 };
	struct ask a = { .o = o, .verb = v, .socket = o->socket };
	int code = CONTROL_FAILED;
	if (!a.socket) {
		if (config_read(o->config, &c, eb))
			return complain(o, CONTROL_FAILED, eb->text);
		a.socket = c.unix_socket;
	}
	json_t *args = make_args(o, v, words, n, eb);
	code = args ? ask_server(&a, args) : complain(o, CONTROL_USAGE, eb->text);
	json_decref(args);
	config_free(&c);
	return code;
}

/* --- verbs that need no server
 * ------------------------------------------------------------------------------------------- */

static int run_configtest(const struct options *o, const char **words, int n, struct errbuf *eb)
{
	struct control_config c;
	(void)words;
	(void)n;
	if (config_read(o->config, &c, eb))
		return complain(o, CONTROL_FAILED, eb->text);
	struct settings *s = settings_read(&c, eb);
	int code = s ? CONTROL_OK : complain(o, CONTROL_FAILED, eb->text);
	for (size_t i = 0; s && !o->json && i < c.unused.n; i++)
		fprintf(stderr, "%s: %s has no effect on this server\n", c.file, c.unused.v[i]);
	if (s)
		printf(o->json ? "{\"ok\":true}\n" : "%s: good\n", o->config);
	settings_free(s);
	config_free(&c);
	return code;
}

static int run_policy_check(const struct options *o, const char **words, int n, struct errbuf *eb)
{
	struct control_config c = { 0 };
	struct buf text = { 0 };
	struct policy *p = NULL;
	const char *path = n ? words[0] : NULL;
	char sentence[640];
	if (!path && config_read(o->config, &c, eb))
		return complain(o, CONTROL_FAILED, eb->text);
	path = path ? path : c.policy_path;
	snprintf(sentence, sizeof(sentence), "no policy.path in %s: everything is allowed", o->config);
	if (*path && !file_read(path, POLICY_BYTES, &text, eb) &&
		(p = policy_parse((char *)buf_data(&text), text.len, eb)))
		snprintf(sentence, sizeof(sentence), "%.256s: good%s%s", path,
			*policy_unused(p) ? "; without effect here: " : "", policy_unused(p));
	else if (*path)
		snprintf(sentence, sizeof(sentence), "%.200s:%s%s", path,
			eb->text[0] >= '0' && eb->text[0] <= '9' ? "" : " ", eb->text);
	int code = p || !*path ? CONTROL_OK : complain(o, CONTROL_FAILED, sentence);
	if (code == CONTROL_OK)
		printf(o->json ? "{\"ok\":true}\n" : "%s\n", sentence);
	policy_free(p);
	buf_free(&text);
	config_free(&c);
	return code;
}

/* --- choosing
 * ------------------------------------------------------------------------------------------------------------
 */

/* The verb at the front of words; *used = how many of them are its name. */
static const struct verb *find_verb(const char **words, int n, int *used)
{
	char two[64];
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		snprintf(two, sizeof(two), "%s%s%s", words[0], n > 1 ? " " : "", n > 1 ? words[1] : "");
		*used = strchr(verbs[i].name, ' ') ? 2 : 1;
		if (!strcmp(*used == 2 ? two : words[0], verbs[i].name))
			return &verbs[i];
	}
	return NULL;
}

static int unknown_verb(const struct options *o, const char **words, int n)
{
	const char *names[ARRAY_LEN(verbs) + 1];
	char typed[64], text[256];
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		names[i] = verbs[i].name;
	names[ARRAY_LEN(verbs)] = NULL;
	snprintf(typed, sizeof(typed), "%.30s%s%.30s", words[0], n > 1 ? " " : "", n > 1 ? words[1] : "");
	const char *near = text_nearest(typed, names);
	snprintf(text, sizeof(text), "unknown verb \"%s\"%s%s%s", typed,
		near ? "; did you mean \"" : "; --help lists them", near ? near : "", near ? "\"?" : "");
	return complain(o, CONTROL_USAGE, text);
}

static int run_verb(const struct options *o, const struct verb *v, const char **words, int n)
{
	struct errbuf eb = { 0 };
	int need = 0, most = 0;
	char text[256];
	for (; most < 3 && v->words[most]; most++)
		need += !strchr(v->words[most], '?');
	if (n < need || n > most) {
		snprintf(text, sizeof(text),
			n < need ? "%s needs a %s; see --help" : "%s: too many words (\"%.64s\")", v->name,
			n < need ? word_name(v->words[n]) : words[most]);
		return complain(o, CONTROL_USAGE, text);
	}
	if (!strcmp(v->name, "serve"))
		return server_run(o->config, o->json);
	if (!strcmp(v->name, "version")) {
		printf(o->json ? "{\"version\":\"" RW_VERSION "\"}\n" : "ropewalk-control " RW_VERSION "\n");
		return CONTROL_OK;
	}
	return v->run ? v->run(o, words, n, &eb) : run_remote(o, v, words, n, &eb);
}

int control_main(int argc, char **argv)
{
	struct options o = { .config = DEFAULT_CONFIG, .expiration_ms = 3600 * 1000 };
	struct errbuf eb = { 0 };
	const char **words = calloc((size_t)argc + 1, sizeof(*words));
	int n = 0, used = 0, code;
	log_setup(LOG_INFO, false);
	if (!words || !key_setup()) {
		free(words);
		return complain(&o, CONTROL_FAILED, "no memory or no randomness on this machine");
	}
	int err = opt_parse(option_rows, argc, argv, false, &o, words, &n, &eb);
	if (o.output && !strcmp(o.output, "json"))
		o.json = true;
	const struct verb *v = n ? find_verb(words, n, &used) : NULL;
	if (err) {
		code = complain(&o, CONTROL_USAGE, eb.text);
	} else if (o.version) {
		printf("ropewalk-control " RW_VERSION "\n");
		code = CONTROL_OK;
	} else if (o.help || !n) {
		print_help(o.help ? stdout : stderr);
		code = o.help ? CONTROL_OK : CONTROL_USAGE;
	} else {
		code = v ? run_verb(&o, v, words + used, n - used) : unknown_verb(&o, words, n);
	}
	free(words);
	return code;
}
