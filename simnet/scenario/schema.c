#include "simnet/scenario/schema.h"

#include "mesh/base/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NAMES_MAX = 256 };

const struct schema_row *schema_find(const struct schema_row *rows, const char *key)
{
	for (; rows->key; rows++)
		if (!strcmp(rows->key, key))
			return rows;
	return NULL;
}

/* The key whose map has key, or NULL. */
static const char *inner_owner(const struct schema_row *rows, const char *key)
{
	for (; rows->key; rows++)
		if (rows->form && rows->form->map && schema_find(rows->form->map->rows, key))
			return rows->key;
	return NULL;
}

static int unknown_key(
	struct yaml_reader *y, const struct yaml_value *key, const char *what, const struct schema_row *rows)
{
	const struct schema_row *all = rows;
	const char *names[NAMES_MAX + 1];
	size_t n = 0;

	for (; rows->key && n < NAMES_MAX; rows++)
		names[n++] = rows->key;
	names[n] = NULL;
	const char *inner = inner_owner(all, key->text);
	if (inner)
		return yaml_error(y, key->at,
			"unknown key '%s' in %s; it is one of '%s' there: {%s: {%s: ...}}", key->text, what,
			inner, inner, key->text);
	return yaml_error_near(y, key->at, key->text, names, "unknown key '%s' in %s", key->text, what);
}

static int read_word(struct yaml_reader *y, const struct yaml_value *v, const char *key,
	const struct schema_row *row, int *out)
{
	char list[320] = "";
	size_t len = 0;

	for (int i = 0; row->words[i]; i++)
		if (!strcmp(row->words[i], v->text)) {
			*out = i;
			return 0;
		}
	for (int i = 0; row->words[i] && len < sizeof(list); i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", i ? ", " : "", row->words[i]);
	return yaml_error_near(
		y, v->at, v->text, row->words, "'%s' is not a value of '%s' (%s)", v->text, key, list);
}

static int read_bool(struct yaml_reader *y, const struct yaml_value *v, const char *key, bool *out)
{
	if (strcmp(v->text, "true") != 0 && strcmp(v->text, "false") != 0)
		return yaml_error(y, v->at, "'%s' must be true or false, not '%s'", key, v->text);
	*out = v->text[0] == 't';
	return 0;
}

static int read_number(struct yaml_reader *y, const struct yaml_value *v, const char *key,
	const struct schema_row *row, uint64_t *out)
{
	uint64_t most = row->kind == SCHEMA_INT ? INT32_MAX : UINT64_MAX, max = row->max ? row->max : most;

	if (!text_u64(v->text, row->min, max, out))
		return yaml_error(y, v->at, "'%s' must be a number from %" PRIu64 " to %" PRIu64 ", not '%s'",
			key, row->min, max, v->text);
	return 0;
}

int schema_read_scalar(struct yaml_reader *y, const struct yaml_value *v, const char *key,
	const struct schema_row *row, void *base)
{
	void *to = (char *)base + row->at;
	uint64_t u = 0;
	int err;

	if (v->type != YAML_SCALAR || (!v->quoted && !*v->text))
		return yaml_error(y, v->at, "'%s' must be a word, not %s", key, yaml_type_name(v));
	switch (row->kind) {
	case SCHEMA_STRING: *(const char **)to = v->text; return 0;
	case SCHEMA_BOOL: return read_bool(y, v, key, to);
	case SCHEMA_U64: return read_number(y, v, key, row, to);
	case SCHEMA_INT:
		err = read_number(y, v, key, row, &u);
		if (!err)
			*(int *)to = (int)u;
		return err;
	case SCHEMA_DURATION:
		if (text_duration_ms(v->text, to) && *(uint64_t *)to)
			return 0;
		if (strspn(v->text, "0123456789") && !v->text[strspn(v->text, "0123456789mshd")] &&
			strspn(v->text, "0123456789") < strlen(v->text) && *v->text != '0')
			return yaml_error(y, v->at, "'%s' is too long a time, or none: '%s'", key, v->text);
		return yaml_error(y, v->at,
			"'%s' must be a duration with its unit, as 500ms, 5s or 1m30s, not '%s'", key,
			v->text);
	default: return read_word(y, v, key, row, to);
	}
}

int schema_read_strings(struct yaml_reader *y, const struct yaml_value *v, const char *key, const char ***out)
{
	if (v->type != YAML_LIST)
		return yaml_error(y, v->at, "'%s' must be a list, not %s", key, yaml_type_name(v));
	const char **list = arena_array(y->arena, v->n + 1, sizeof(*list));
	if (!list)
		return err_say(y->eb, ERR_TOO_LARGE, "%s: too large to hold in memory", y->file);
	for (size_t i = 0; i < v->n; i++) {
		if (v->items[i]->type != YAML_SCALAR)
			return yaml_error(y, v->items[i]->at, "'%s' must be a list of words; this is %s", key,
				yaml_type_name(v->items[i]));
		list[i] = v->items[i]->text;
	}
	*out = list;
	return 0;
}

static int read_one(
	struct yaml_reader *y, const struct yaml_pair *p, const struct schema_row *row, void *base)
{
	void *to = (char *)base + row->at;
	int err = 0;

	if (row->kind == SCHEMA_KEEP)
		*(const struct yaml_value **)to = p->value;
	else if (row->kind == SCHEMA_STRINGS)
		err = schema_read_strings(y, p->value, row->key, to);
	else if (row->kind != SCHEMA_CUSTOM)
		err = schema_read_scalar(y, p->value, row->key, row, base);
	return err || !row->read ? err : row->read(y, p->value, base);
}

int schema_read_map(struct yaml_reader *y, const struct yaml_value *v, const char *what,
	const struct schema_row *rows, void *base)
{
	if (v->type != YAML_MAP)
		return yaml_error(y, v->at, "%s must be a map, not %s", what, yaml_type_name(v));
	int first = 0;
	for (size_t i = 0; i < v->n; i++) {
		const struct schema_row *row = schema_find(rows, v->pairs[i].key->text);
		int err = row ? read_one(y, &v->pairs[i], row, base)
			      : unknown_key(y, v->pairs[i].key, what, rows);
		first = first ? first : err;
	}
	for (const struct schema_row *row = rows; row->key; row++)
		if (row->required && !yaml_get(v, row->key)) {
			int err = yaml_error(y, v->at, "%s has no '%s'", what, row->key);
			first = first ? first : err;
		}
	return first;
}
