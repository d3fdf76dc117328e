#include "simnet/scenario/adapter.h"

#include "simnet/scenario/schema.h"
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct adapter, field)

static const struct schema_form params_form = { .params = true };

static int no_memory(struct yaml_reader *y)
{
	return err_say(y->eb, ERR_TOO_LARGE, "%s: too large to hold in memory", y->file);
}

static int read_params(struct yaml_reader *y, const struct yaml_value *v, const char *what,
	struct scn_param **out, size_t *n)
{
	if (v->type != YAML_MAP)
		return yaml_error(y, v->at, "'%s' must be a map of words, not %s", what, yaml_type_name(v));
	*out = arena_array(y->arena, v->n + 1, sizeof(**out));
	if (!*out)
		return no_memory(y);
	for (size_t i = 0; i < v->n; i++) {
		if (v->pairs[i].value->type != YAML_SCALAR)
			return yaml_error(y, v->pairs[i].value->at, "'%s.%s' must be a word, not %s", what,
				v->pairs[i].key->text, yaml_type_name(v->pairs[i].value));
		(*out)[i] =
			(struct scn_param) { .key = v->pairs[i].key->text, .value = v->pairs[i].value->text };
	}
	*n = v->n;
	return 0;
}

static int read_with(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	struct adapter *a = base;
	return read_params(y, v, "with", &a->with, &a->n_with);
}

static int read_fields(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	struct adapter *a = base;
	return read_params(y, v, "fields", &a->fields, &a->n_fields);
}

static const struct schema_row file_rows[] = {
	{ "path", SCHEMA_STRING, offsetof(struct adapter_file, path), .required = true,
		.doc = "`{dir}/NAME`" },
	{ "text", SCHEMA_STRING, offsetof(struct adapter_file, text), .required = true,
		.doc = "what is in it" },
	{ "each", SCHEMA_STRING, offsetof(struct adapter_file, each),
		.doc = "a role: `item` follows once for every service of it" },
	{ "item", SCHEMA_STRING, offsetof(struct adapter_file, item),
		.doc = "with `{each.FIELD}` of that service" },
	{ 0 },
};
static const struct schema_table file_table = { .name = "file", .rows = file_rows };
static const struct schema_form files_form = { .list = &file_table };

static int read_files(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	struct adapter *a = base;

	if (v->type != YAML_LIST)
		return yaml_error(y, v->at, "'files' must be a list, not %s", yaml_type_name(v));
	a->files = arena_array(y->arena, v->n + 1, sizeof(*a->files));
	if (!a->files)
		return no_memory(y);
	for (size_t i = 0; i < v->n; i++) {
		struct adapter_file *f = &a->files[a->n_files++];
		int err = schema_read_map(y, v->items[i], "file", file_rows, f);
		if (err)
			return err;
		if (!f->each != !f->item)
			return yaml_error(y, v->items[i]->at, "'each' and 'item' of a file go together");
	}
	return 0;
}

static int read_capture(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	struct adapter_command *c = base;
	return read_params(y, v, "capture", &c->capture, &c->n_capture);
}

static int read_until(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	struct adapter_command *c = base;
	return read_params(y, v, "until", &c->until, &c->n_until);
}

static const struct schema_row command_rows[] = {
	{ "on", SCHEMA_STRING, offsetof(struct adapter_command, on),
		.doc = "a node where it runs; its own without it" },
	{ "run", SCHEMA_STRINGS, offsetof(struct adapter_command, argv), .required = true,
		.doc = "the program and its arguments" },
	{ "each", SCHEMA_STRING, offsetof(struct adapter_command, each),
		.doc = "runs it once for every word of this text, as `{each}`" },
	{ "once", SCHEMA_BOOL, offsetof(struct adapter_command, once), .doc = "not after a restart" },
	{ "again", SCHEMA_BOOL, offsetof(struct adapter_command, again), .doc = "until it succeeds" },
	{ "capture", SCHEMA_CUSTOM, .read = read_capture, .form = &params_form,
		.doc = "KEY: a JSON path in its output, or `line`, the first one; becomes `{NODE.KEY}`" },
	{ "until", SCHEMA_CUSTOM, .read = read_until, .form = &params_form,
		.doc = "JSON path: value; run until all hold" },
	{ 0 },
};
static const struct schema_table command_table = { .name = "command", .rows = command_rows };
static const struct schema_form then_form = { .list = &command_table };

static int check_argv(struct yaml_reader *y, struct scn_at at, const char *const *argv)
{
	return argv[0] && *argv[0]
		       ? 0
		       : yaml_error(y, at, "an empty command; it names a program and its arguments");
}

static int read_then(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	struct adapter *a = base;

	if (v->type != YAML_LIST)
		return yaml_error(y, v->at, "'then' must be a list of commands, not %s", yaml_type_name(v));
	a->then = arena_array(y->arena, v->n + 1, sizeof(*a->then));
	if (!a->then)
		return no_memory(y);
	for (size_t i = 0; i < v->n; i++) {
		int err = schema_read_map(y, v->items[i], "command", command_rows, &a->then[a->n_then]);
		if (!err)
			err = check_argv(y, v->items[i]->at, a->then[a->n_then].argv);
		if (err)
			return err;
		a->n_then++;
	}
	return 0;
}

static int read_ready_capture(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	struct adapter_ready *r = base;
	return read_params(y, v, "capture", &r->capture, &r->n_capture);
}

static const struct schema_row ready_rows[] = {
	{ "line", SCHEMA_STRING, offsetof(struct adapter_ready, line),
		.doc = "a regular expression that a line of its output fits" },
	{ "json", SCHEMA_STRING, offsetof(struct adapter_ready, json),
		.doc = "a JSON path that is there in a line of its standard output" },
	{ "port", SCHEMA_STRING, offsetof(struct adapter_ready, port),
		.doc = "`tcp {ip}:80` takes connections" },
	{ "exit", SCHEMA_BOOL, offsetof(struct adapter_ready, exit), .doc = "it has ended with status 0" },
	{ "capture", SCHEMA_CUSTOM, .read = read_ready_capture, .form = &params_form,
		.doc = "KEY: a JSON path in that line" },
	{ 0 },
};
static const struct schema_table ready_table = { .name = "ready", .rows = ready_rows };
const struct schema_form adapter_ready_form = { .map = &ready_table };

int adapter_read_ready(struct yaml_reader *y, const struct yaml_value *v, struct adapter_ready *r)
{
	int err = schema_read_map(y, v, "ready", ready_rows, r);
	if (err)
		return err;
	regex_t re;
	if (r->line && regcomp(&re, r->line, REG_EXTENDED | REG_NOSUB) != 0)
		return yaml_error(y, yaml_get(v, "line")->at,
			"'%s' is not a regular expression (POSIX extended)%s", r->line,
			strchr(r->line, '{') ? "; there are no templates here, and a brace is written \\{"
					     : "");
	if (r->line)
		regfree(&re);
	if (!!r->line + !!r->json + !!r->port + r->exit != 1)
		return yaml_error(y, v->at, "'ready' needs exactly one of line, json, port and exit");
	if (r->port && strncmp(r->port, "tcp ", 4) != 0 && r->port[0] != '{')
		return yaml_error(y, v->at,
			"'port' of 'ready' is 'tcp ADDRESS:PORT', not '%.60s': nobody is told that a program "
			"listens by UDP; wait for a line of it",
			r->port);
	return 0;
}

static int read_ready(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	return adapter_read_ready(y, v, &((struct adapter *)base)->ready);
}

static const struct schema_row path_rows[] = {
	{ "run", SCHEMA_STRINGS, AT(path_argv), .required = true, .doc = "asks for the path to `{to}`" },
	{ "direct", SCHEMA_STRING, AT(path_direct), .required = true,
		.doc = "a JSON path: there when it is direct" },
	{ "relay", SCHEMA_STRING, AT(path_relay), .required = true, .doc = "likewise" },
	{ 0 },
};
static const struct schema_table path_table = { .name = "path", .rows = path_rows };
static const struct schema_form path_form = { .map = &path_table };

static int read_path(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	int err = schema_read_map(y, v, "path", path_rows, base);
	return err ? err : check_argv(y, v->at, ((struct adapter *)base)->path_argv);
}

struct probe_words {
	const char *icmp, *udp, *tcp;
	bool word;
};
static const struct schema_row probe_rows[] = {
	{ "icmp", SCHEMA_STRING, offsetof(struct probe_words, icmp), .doc = "an address" },
	{ "udp", SCHEMA_STRING, offsetof(struct probe_words, udp),
		.doc = "ADDRESS:PORT of somebody who sends back what he gets" },
	{ "tcp", SCHEMA_STRING, offsetof(struct probe_words, tcp), .doc = "likewise" },
	{ "word", SCHEMA_BOOL, offsetof(struct probe_words, word), .doc = "not at all: `path` is believed" },
	{ 0 },
};
static const struct schema_table probe_table = { .name = "probe", .rows = probe_rows };
static const struct schema_form probe_form = { .map = &probe_table };

static int read_probe(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	struct adapter *a = base;
	struct probe_words w = { 0 };
	int err = schema_read_map(y, v, "probe", probe_rows, &w);

	if (err)
		return err;
	if (!!w.icmp + !!w.udp + !!w.tcp + w.word != 1)
		return yaml_error(y, v->at, "'probe' needs exactly one of icmp, udp, tcp and word");
	a->probe.to = w.icmp ? w.icmp : w.udp ? w.udp : w.tcp;
	a->probe.how = w.icmp  ? ADAPTER_PROBE_ICMP
		       : w.udp ? ADAPTER_PROBE_UDP
		       : w.tcp ? ADAPTER_PROBE_TCP
			       : ADAPTER_PROBE_WORD;
	return 0;
}

static const struct schema_row home_rows[] = {
	{ "run", SCHEMA_STRINGS, AT(home_argv), .required = true, .doc = "asks for it" },
	{ "json", SCHEMA_STRING, AT(home_json), .required = true, .doc = "JSON path of the relay's code" },
	{ 0 },
};
static const struct schema_table home_table = { .name = "home", .rows = home_rows };
static const struct schema_form home_form = { .map = &home_table };

static int read_home(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	int err = schema_read_map(y, v, "home", home_rows, base);
	return err ? err : check_argv(y, v->at, ((struct adapter *)base)->home_argv);
}

static const struct schema_row drops_rows[] = {
	{ "run", SCHEMA_STRINGS, AT(drops_argv), .required = true, .doc = "asks for them" },
	{ "json", SCHEMA_STRING, AT(drops_json), .required = true,
		.doc = "JSON path of an object: reason and count" },
	{ 0 },
};
static const struct schema_table drops_table = { .name = "drops", .rows = drops_rows };
static const struct schema_form drops_form = { .map = &drops_table };

static int read_drops(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	int err = schema_read_map(y, v, "drops", drops_rows, base);
	return err ? err : check_argv(y, v->at, ((struct adapter *)base)->drops_argv);
}

static int check_version(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	(void)base;
	if (v->type != YAML_SCALAR || strcmp(v->text, "1") != 0)
		return yaml_error(y, v->at, "'adapter' is the version of the format and must be 1");
	return 0;
}

static const char *const adapter_version_words[] = { "1", NULL };
static const struct schema_form adapter_version_form = { .words = adapter_version_words };
static const struct schema_row adapter_rows[] = {
	{ "adapter", SCHEMA_CUSTOM, .required = true, .read = check_version, .form = &adapter_version_form,
		.doc = "version of the format" },
	{ "name", SCHEMA_STRING, AT(name), .required = true, .doc = "as `run` of a node says it" },
	{ "about", SCHEMA_STRING, AT(about), .doc = "one sentence" },
	{ "role", SCHEMA_STRING, AT(role), .doc = "what `each` of a file asks for" },
	{ "needs", SCHEMA_STRINGS, AT(needs), .doc = "as in a scenario; templates are expanded" },
	{ "with", SCHEMA_CUSTOM, .read = read_with, .form = &params_form,
		.doc = "parameters and their defaults; others are refused" },
	{ "fields", SCHEMA_CUSTOM, .read = read_fields, .form = &params_form,
		.doc = "`{NODE.KEY}`: template" },
	{ "files", SCHEMA_CUSTOM, .read = read_files, .form = &files_form,
		.doc = "written before the start, mode 0600" },
	{ "start", SCHEMA_STRINGS, AT(start), .required = true, .doc = "the program and its arguments" },
	{ "ready", SCHEMA_CUSTOM, .read = read_ready, .form = &adapter_ready_form,
		.doc = "when it is; at once without this. One of the first four" },
	{ "then", SCHEMA_CUSTOM, .read = read_then, .form = &then_form,
		.doc = "commands after readiness, in order; the node is ready after the last" },
	{ "mesh-name", SCHEMA_STRING, AT(mesh_name),
		.doc = "what others ping; the underlay address without it" },
	{ "path", SCHEMA_CUSTOM, .read = read_path, .form = &path_form,
		.doc = "how it says which path it uses; the first that selects anything" },
	{ "home", SCHEMA_CUSTOM, .read = read_home, .form = &home_form,
		.doc = "how it says which relay is its home, for `expect: {home}`" },
	{ "probe", SCHEMA_CUSTOM, .read = read_probe, .form = &probe_form,
		.doc = "how to see that packets pass, from here to `{to}`, one of these; ICMP to the mesh "
		       "name without it" },
	{ "drops", SCHEMA_CUSTOM, .read = read_drops, .form = &drops_form,
		.doc = "packets it has dropped itself, for the story of a failure" },
	{ 0 },
};
const struct schema_table adapter_table = { .name = "adapter", .rows = adapter_rows };

int adapter_parse_all(const char *file, const char *text, size_t len, struct adapter *out,
	struct scn_errors *all, struct errbuf *eb)
{
	struct adapter a = { 0 };
	struct yaml_reader y = { .file = file, .arena = &a.arena, .eb = eb, .all = all };
	struct yaml_value *root = NULL;

	int err = yaml_parse(&y, text, len, &root);
	if (!err)
		err = schema_read_map(&y, root, "the adapter", adapter_rows, &a);
	if (!err)
		err = check_argv(&y, root->at, a.start);
	if (!err && a.probe.how == ADAPTER_PROBE_WORD && !a.path_argv)
		err = yaml_error(&y, root->at, "'probe' by word needs 'path': nothing else says a word");
	if (!err && !(a.file = arena_strdup(&a.arena, file)))
		err = no_memory(&y);
	if (err) {
		arena_free(&a.arena);
		return err;
	}
	*out = a;
	return 0;
}

int adapter_parse(const char *file, const char *text, size_t len, struct adapter *out, struct errbuf *eb)
{
	return adapter_parse_all(file, text, len, out, NULL, eb);
}

void adapter_free(struct adapter *a)
{
	if (!a)
		return;
	arena_free(&a->arena);
	memset(a, 0, sizeof(*a));
}

static bool has_key(const struct scn_param *p, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(p[i].key, key))
			return true;
	return false;
}

bool adapter_has_field(const struct adapter *a, const char *key)
{
	if (has_key(a->fields, a->n_fields, key) || has_key(a->ready.capture, a->ready.n_capture, key))
		return true;
	for (size_t i = 0; i < a->n_then; i++) {
		const struct adapter_command *c = &a->then[i];
		for (size_t k = 0; k < c->n_capture; k++) {
			size_t fixed =
				strcspn(c->capture[k].key, "{"); /* "key-{each}" provides every key-… */
			if (c->capture[k].key[fixed] ? !strncmp(c->capture[k].key, key, fixed)
						     : !strcmp(c->capture[k].key, key))
				return true;
		}
	}
	return false;
}
