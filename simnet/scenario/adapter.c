#include "simnet/scenario/adapter.h"

#include "simnet/scenario/yaml.h"
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct adapter, field)

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

static const struct yaml_row file_rows[] = {
	{ "path", YAML_STRING, offsetof(struct adapter_file, path), true, NULL, NULL },
	{ "text", YAML_STRING, offsetof(struct adapter_file, text), true, NULL, NULL },
	{ "each", YAML_STRING, offsetof(struct adapter_file, each), false, NULL, NULL },
	{ "item", YAML_STRING, offsetof(struct adapter_file, item), false, NULL, NULL },
	{ 0 },
};

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
		int err = yaml_read_map(y, v->items[i], "file", file_rows, f);
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

static const struct yaml_row command_rows[] = {
	{ "on", YAML_STRING, offsetof(struct adapter_command, on), false, NULL, NULL },
	{ "run", YAML_STRINGS, offsetof(struct adapter_command, argv), true, NULL, NULL },
	{ "each", YAML_STRING, offsetof(struct adapter_command, each), false, NULL, NULL },
	{ "once", YAML_BOOL, offsetof(struct adapter_command, once), false, NULL, NULL },
	{ "again", YAML_BOOL, offsetof(struct adapter_command, again), false, NULL, NULL },
	{ "capture", YAML_CUSTOM, 0, false, NULL, read_capture },
	{ "until", YAML_CUSTOM, 0, false, NULL, read_until },
	{ 0 },
};

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
		int err = yaml_read_map(y, v->items[i], "command", command_rows, &a->then[a->n_then]);
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

static const struct yaml_row ready_rows[] = {
	{ "line", YAML_STRING, offsetof(struct adapter_ready, line), false, NULL, NULL },
	{ "json", YAML_STRING, offsetof(struct adapter_ready, json), false, NULL, NULL },
	{ "port", YAML_STRING, offsetof(struct adapter_ready, port), false, NULL, NULL },
	{ "exit", YAML_BOOL, offsetof(struct adapter_ready, exit), false, NULL, NULL },
	{ "capture", YAML_CUSTOM, 0, false, NULL, read_ready_capture },
	{ 0 },
};

static int read_ready(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	struct adapter_ready *r = &((struct adapter *)base)->ready;
	int err = yaml_read_map(y, v, "ready", ready_rows, r);
	if (err)
		return err;
	regex_t re;
	if (r->line && regcomp(&re, r->line, REG_EXTENDED | REG_NOSUB) != 0)
		return yaml_error(y, yaml_get(v, "line")->at,
			"'%s' is not a regular expression (POSIX extended)", r->line);
	if (r->line)
		regfree(&re);
	if (!!r->line + !!r->json + !!r->port + r->exit != 1)
		return yaml_error(y, v->at, "'ready' needs exactly one of line, json, port and exit");
	return 0;
}

static const struct yaml_row path_rows[] = {
	{ "run", YAML_STRINGS, AT(path_argv), true, NULL, NULL },
	{ "direct", YAML_STRING, AT(path_direct), true, NULL, NULL },
	{ "relay", YAML_STRING, AT(path_relay), true, NULL, NULL },
	{ 0 },
};

static int read_path(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	int err = yaml_read_map(y, v, "path", path_rows, base);
	return err ? err : check_argv(y, v->at, ((struct adapter *)base)->path_argv);
}

struct probe_words {
	const char *icmp, *udp, *tcp;
	bool word;
};
static const struct yaml_row probe_rows[] = {
	{ "icmp", YAML_STRING, offsetof(struct probe_words, icmp), false, NULL, NULL },
	{ "udp", YAML_STRING, offsetof(struct probe_words, udp), false, NULL, NULL },
	{ "tcp", YAML_STRING, offsetof(struct probe_words, tcp), false, NULL, NULL },
	{ "word", YAML_BOOL, offsetof(struct probe_words, word), false, NULL, NULL },
	{ 0 },
};

static int read_probe(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	struct adapter *a = base;
	struct probe_words w = { 0 };
	int err = yaml_read_map(y, v, "probe", probe_rows, &w);

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

static const struct yaml_row drops_rows[] = {
	{ "run", YAML_STRINGS, AT(drops_argv), true, NULL, NULL },
	{ "json", YAML_STRING, AT(drops_json), true, NULL, NULL },
	{ 0 },
};

static int read_drops(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	int err = yaml_read_map(y, v, "drops", drops_rows, base);
	return err ? err : check_argv(y, v->at, ((struct adapter *)base)->drops_argv);
}

static int check_version(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	(void)base;
	if (v->type != YAML_SCALAR || strcmp(v->text, "1") != 0)
		return yaml_error(y, v->at, "'adapter' is the version of the format and must be 1");
	return 0;
}

static const struct yaml_row adapter_rows[] = {
	{ "adapter", YAML_CUSTOM, 0, true, NULL, check_version },
	{ "name", YAML_STRING, AT(name), true, NULL, NULL },
	{ "about", YAML_STRING, AT(about), false, NULL, NULL },
	{ "role", YAML_STRING, AT(role), false, NULL, NULL },
	{ "needs", YAML_STRINGS, AT(needs), false, NULL, NULL },
	{ "with", YAML_CUSTOM, 0, false, NULL, read_with },
	{ "fields", YAML_CUSTOM, 0, false, NULL, read_fields },
	{ "files", YAML_CUSTOM, 0, false, NULL, read_files },
	{ "start", YAML_STRINGS, AT(start), true, NULL, NULL },
	{ "ready", YAML_CUSTOM, 0, false, NULL, read_ready },
	{ "then", YAML_CUSTOM, 0, false, NULL, read_then },
	{ "mesh-name", YAML_STRING, AT(mesh_name), false, NULL, NULL },
	{ "path", YAML_CUSTOM, 0, false, NULL, read_path },
	{ "probe", YAML_CUSTOM, 0, false, NULL, read_probe },
	{ "drops", YAML_CUSTOM, 0, false, NULL, read_drops },
	{ 0 },
};

int adapter_parse(const char *file, const char *text, size_t len, struct adapter *out, struct errbuf *eb)
{
	struct adapter a = { 0 };
	struct yaml_reader y = { .file = file, .arena = &a.arena, .eb = eb };
	struct yaml_value *root = NULL;

	int err = yaml_parse(&y, text, len, &root);
	if (!err)
		err = yaml_read_map(&y, root, "the adapter", adapter_rows, &a);
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
