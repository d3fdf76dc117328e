#include "simnet/scenario/scenario_read.h"

#include "mesh/base/text.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The words of a file about a host itself: its clock, its environment, its files, who runs its program. */

int clock_read(struct yaml_reader *y, const struct yaml_value *v, int64_t *out)
{
	const char *text = v->type == YAML_SCALAR ? v->text : "";
	uint64_t ms = 0;

	if ((*text != '+' && *text != '-') || !text_duration_ms(text + 1, &ms))
		return yaml_error(y, v->at,
			"a clock is off by a sign and a duration, as +1h or -30y, not %s%s%s",
			*text ? "'" : "", *text ? text : yaml_type_name(v), *text ? "'" : "");
	*out = (int64_t)(ms / 1000) * (*text == '-' ? -1 : 1);
	return 0;
}

static int read_env(struct yaml_reader *y, const struct yaml_value *v, struct scn_machine *m)
{
	if (v->type != YAML_MAP)
		return yaml_error(y, v->at, "'env' must be a map of words, not %s", yaml_type_name(v));
	m->env = arena_array(y->arena, v->n + 1, sizeof(*m->env));
	if (!m->env)
		return err_say(y->eb, ERR_TOO_LARGE, "%s: too large to hold in memory", y->file);
	int first = 0;
	for (size_t i = 0; i < v->n; i++) {
		const struct yaml_value *key = v->pairs[i].key, *value = v->pairs[i].value;
		int err = 0;
		if (!*key->text || strchr(key->text, '='))
			err = yaml_error(y, key->at, "'%.100s' cannot be the name of a variable", key->text);
		else if (value->type != YAML_SCALAR)
			err = yaml_error(y, value->at, "'env.%.100s' must be a word, not %s", key->text,
				yaml_type_name(value));
		m->env[m->n_env++] = (struct scn_env) { key->text, value->text };
		first = first ? first : err;
	}
	return first;
}

struct file_words {
	const char *text, *from, *mode;
};

#define AT(field) offsetof(struct file_words, field)
static const struct schema_row file_rows[] = {
	{ "text", SCHEMA_STRING, AT(text), .doc = "what is in it; templates are expanded" },
	{ "from", SCHEMA_STRING, AT(from),
		.doc = "a file in the scenario's folder, as it is; instead of `text`" },
	{ "mode", SCHEMA_STRING, AT(mode), .def = "0644", .doc = "its permissions, octal" },
	{ 0 },
};
#undef AT
const struct schema_table host_file_table = { .name = "host-file",
	.about = "By its path on the host, below /etc, /var, /tmp or /run. Folders on the way are made.",
	.rows = file_rows,
	.short_key = "text" };

static int check_path(struct yaml_reader *y, const struct yaml_value *key)
{
	static const char *const own[] = { "/etc/", "/var/", "/tmp/", "/run/" };
	const char *path = key->text;
	bool good = path[0] == '/' && path[1] && !strstr(path, "/../") && !strstr(path, "//"), is_own = false;

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		is_own |= !strncmp(path, own[i], strlen(own[i]));
	if (!good || path[strlen(path) - 1] == '/')
		return yaml_error(
			y, key->at, "'%.200s' is not the path of a file of a host, as /etc/my.conf", path);
	return is_own ? 0
		      : yaml_error(y, key->at,
				"'%.200s' would be on the machine itself; a host's own are /etc, /var, /tmp "
				"and /run",
				path);
}

static int read_file(struct yaml_reader *y, const struct yaml_pair *p, struct scn_file *out)
{
	struct file_words w = { 0 };
	char what[80], *end = NULL;

	snprintf(what, sizeof(what), "file '%.60s'", p->key->text);
	int err = check_path(y, p->key);
	int more = p->value->type == YAML_SCALAR ? schema_read_scalar(y, p->value, what, &file_rows[0], &w)
						 : schema_read_map(y, p->value, what, file_rows, &w);
	err = err ? err : more;
	unsigned long mode = w.mode ? strtoul(w.mode, &end, 8) : 0644;
	if (!err && w.mode && (*end || mode > 07777 || !isdigit((unsigned char)*w.mode)))
		err = yaml_error(y, yaml_get(p->value, "mode")->at, "'%.40s' is no mode, as 0600", w.mode);
	if (!err && !w.text == !w.from)
		err = yaml_error(y, p->value->at, "%s needs 'text' or 'from', and not both", what);
	*out = (struct scn_file) { p->key->text, w.text, w.from, (unsigned)mode, p->key->at };
	return err;
}

static int read_files(struct yaml_reader *y, const struct yaml_value *v, struct scn_machine *m)
{
	if (v->type != YAML_MAP)
		return yaml_error(
			y, v->at, "'files' must be a map of files by path, not %s", yaml_type_name(v));
	m->files = arena_array(y->arena, v->n + 1, sizeof(*m->files));
	if (!m->files)
		return err_say(y->eb, ERR_TOO_LARGE, "%s: too large to hold in memory", y->file);
	int first = 0;
	for (size_t i = 0; i < v->n; i++) {
		int err = read_file(y, &v->pairs[i], &m->files[m->n_files++]);
		first = first ? first : err;
	}
	return first;
}

int machine_read(struct yaml_reader *y, const struct machine_words *w, struct scn_machine *out)
{
	int errors[] = { w->env ? read_env(y, w->env, out) : 0, w->files ? read_files(y, w->files, out) : 0,
		w->clock ? clock_read(y, w->clock, &out->clock_s) : 0 };

	out->own_clock = w->clock;
	out->user = w->user;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		if (errors[i])
			return errors[i];
	return 0;
}
