#include "simnet/scenario/yaml.h"

#include "mesh/base/text.h"
#include "mesh/base/yaml_fault.h"
#include "simnet/scenario/scenario_fix.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

enum { DEPTH_MAX = 32, VALUES_MAX = 20000, TEXT_MAX = 1 << 20 };

int yaml_error(struct yaml_reader *y, struct scn_at at, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	y->n_errors++;
	scenario_error(y->all, AT_FMT ": %s", AT_ARGS(y->file, at), text);
	return err_say(
		y->n_errors == 1 ? y->eb : NULL, ERR_MALFORMED, AT_FMT ": %s", AT_ARGS(y->file, at), text);
}

int yaml_error_near(struct yaml_reader *y, struct scn_at at, const char *word, const char *const *names,
	const char *fmt, ...)
{
	char text[300];
	const char *near = text_nearest(word, names);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	scenario_fix_keep(y->all, at, word, names);
	if (near)
		return yaml_error(y, at, "%s; did you mean '%s'?", text, near);
	return yaml_error(y, at, "%s", text);
}

const char *yaml_type_name(const struct yaml_value *v)
{
	if (v->type == YAML_SCALAR)
		return !v->quoted && !*v->text ? "nothing" : "a word";
	return v->type == YAML_LIST ? "a list" : "a map";
}

struct yaml_value *yaml_get(const struct yaml_value *map, const char *key)
{
	for (size_t i = 0; map->type == YAML_MAP && i < map->n; i++)
		if (!strcmp(map->pairs[i].key->text, key))
			return map->pairs[i].value;
	return NULL;
}

int yaml_no_memory(struct yaml_reader *y)
{
	return err_say(y->eb, ERR_TOO_LARGE, "%s: too large to hold in memory", y->file);
}

/* Doubles an arena array when n is a power of two; the old copy is the arena's to free. */
static void *grown(struct arena *a, void *p, size_t n, size_t size)
{
	if (n & (n - 1))
		return p;
	void *q = arena_array(a, n ? n * 2 : 1, size);
	if (q && n)
		memcpy(q, p, n * size);
	return q;
}

static int check_duplicate(struct yaml_reader *y, const struct yaml_value *map, const struct yaml_value *key)
{
	for (size_t i = 0; i < map->n; i++) {
		const struct yaml_value *old = map->pairs[i].key;
		if (!strcmp(old->text, key->text) && old->at.file == key->at.file)
			return yaml_error(
				y, key->at, "duplicate key '%s'; first at line %u", key->text, old->at.line);
		if (!strcmp(old->text, key->text))
			return yaml_error(y, key->at, "duplicate key '%s'; first at " AT_FMT, key->text,
				AT_ARGS(y->file, old->at));
	}
	return 0;
}

int yaml_add(struct yaml_reader *y, struct yaml_value *map, const struct yaml_pair *pair)
{
	int err = check_duplicate(y, map, pair->key);

	if (err)
		return err;
	map->pairs = grown(y->arena, map->pairs, map->n, sizeof(*map->pairs));
	if (!map->pairs)
		return yaml_no_memory(y);
	map->pairs[map->n++] = *pair;
	return 0;
}

int yaml_append(struct yaml_reader *y, struct yaml_value *list, struct yaml_value *item)
{
	list->items = grown(y->arena, list->items, list->n, sizeof(struct yaml_value *));
	if (!list->items)
		return yaml_no_memory(y);
	list->items[list->n++] = item;
	return 0;
}

struct yaml_value *yaml_copy(struct yaml_reader *y, const struct yaml_value *v, size_t *n_values)
{
	struct yaml_value *copy = arena_alloc(y->arena, sizeof(*copy));

	if (!copy || ++*n_values > VALUES_MAX) {
		if (copy)
			yaml_error(y, v->at, "more than %d values in one file", VALUES_MAX);
		else
			yaml_no_memory(y);
		return NULL;
	}
	*copy = *v;
	copy->visited = 0;
	copy->n = 0;
	copy->items = NULL;
	copy->pairs = NULL;
	for (size_t i = 0; v->type == YAML_LIST && i < v->n; i++) {
		struct yaml_value *item = yaml_copy(y, v->items[i], n_values);
		if (!item || yaml_append(y, copy, item))
			return NULL;
	}
	for (size_t i = 0; v->type == YAML_MAP && i < v->n; i++) {
		struct yaml_pair p = { .key = v->pairs[i].key,
			.value = yaml_copy(y, v->pairs[i].value, n_values) };
		if (!p.value || yaml_add(y, copy, &p))
			return NULL;
	}
	return copy;
}

/* ---- from libyaml's events to the tree */

struct anchor {
	const char *name;
	struct yaml_value *value; /* NULL while it is being read: an alias inside itself */
	struct anchor *next;
};
struct builder {
	struct yaml_reader *y;
	const char *text;
	size_t len;
	yaml_parser_t parser;
	struct anchor *anchors;
	size_t values;
};

static struct scn_at yaml_place(const struct builder *b, const yaml_mark_t *m)
{
	return (struct scn_at) {
		.line = (uint32_t)m->line + 1, .column = (uint32_t)m->column + 1, .file = b->y->part
	};
}

static int next_event(struct builder *b, yaml_event_t *e)
{
	char what[YAML_FAULT_TEXT];

	if (yaml_parser_parse(&b->parser, e))
		return 0;
	struct yaml_fault f = YAML_FAULT(&b->parser);
	yaml_fault_say(&f, b->text, b->len, what);
	const struct scn_at at = {
		.line = (uint32_t)f.line, .column = (uint32_t)f.column, .file = b->y->part
	};
	return yaml_error(b->y, at, "%s", what);
}

static const char *tag_of(const yaml_event_t *e)
{
	const yaml_char_t *t = NULL;
	if (e->type == YAML_SCALAR_EVENT)
		t = e->data.scalar.tag;
	else if (e->type == YAML_SEQUENCE_START_EVENT)
		t = e->data.sequence_start.tag;
	else if (e->type == YAML_MAPPING_START_EVENT)
		t = e->data.mapping_start.tag;
	return (const char *)t;
}

static const char *anchor_of(const yaml_event_t *e)
{
	const yaml_char_t *t = NULL;
	if (e->type == YAML_SCALAR_EVENT)
		t = e->data.scalar.anchor;
	else if (e->type == YAML_SEQUENCE_START_EVENT)
		t = e->data.sequence_start.anchor;
	else if (e->type == YAML_MAPPING_START_EVENT)
		t = e->data.mapping_start.anchor;
	return (const char *)t;
}

static int build(struct builder *b, yaml_event_t *e, unsigned depth, struct yaml_value **out);

static int no_memory(struct builder *b)
{
	return yaml_no_memory(b->y);
}

static int build_list(struct builder *b, struct yaml_value *v, unsigned depth)
{
	yaml_event_t e;

	for (;;) {
		int err = next_event(b, &e);
		if (err)
			return err;
		if (e.type == YAML_SEQUENCE_END_EVENT)
			break;
		struct yaml_value *item = NULL;
		err = build(b, &e, depth, &item);
		yaml_event_delete(&e);
		if (err)
			return err;
		if ((err = yaml_append(b->y, v, item)))
			return err;
	}
	yaml_event_delete(&e);
	return 0;
}

static int check_key(struct builder *b, const struct yaml_value *map, const struct yaml_value *key)
{
	if (key->type != YAML_SCALAR || !*key->text)
		return yaml_error(b->y, key->at, "a key must be a word, not %s", yaml_type_name(key));
	if (!strcmp(key->text, "<<"))
		return yaml_error(b->y, key->at,
			"merge keys ('<<') are not allowed; use an anchor for the whole value");
	return check_duplicate(b->y, map, key);
}

static int build_map(struct builder *b, struct yaml_value *v, unsigned depth)
{
	yaml_event_t e;

	for (;;) {
		struct yaml_pair pair = { 0 };
		int err = next_event(b, &e);
		if (err)
			return err;
		if (e.type == YAML_MAPPING_END_EVENT)
			break;
		err = build(b, &e, depth, &pair.key);
		yaml_event_delete(&e);
		if (!err)
			err = check_key(b, v, pair.key);
		if (err || (err = next_event(b, &e)))
			return err;
		err = build(b, &e, depth, &pair.value);
		yaml_event_delete(&e);
		if (err)
			return err;
		v->pairs = grown(b->y->arena, v->pairs, v->n, sizeof(*v->pairs));
		if (!v->pairs)
			return no_memory(b);
		v->pairs[v->n++] = pair;
	}
	yaml_event_delete(&e);
	return 0;
}

static int build_alias(struct builder *b, const yaml_event_t *e, struct yaml_value **out)
{
	const char *name = (const char *)e->data.alias.anchor;

	for (struct anchor *a = b->anchors; a; a = a->next) {
		if (strcmp(a->name, name) != 0)
			continue;
		if (!a->value)
			return yaml_error(b->y, yaml_place(b, &e->start_mark),
				"alias '*%s' is inside its own anchor", name);
		*out = a->value;
		return 0;
	}
	return yaml_error(b->y, yaml_place(b, &e->start_mark), "alias '*%s' has no anchor above it", name);
}

static int remember_anchor(struct builder *b, const char *name, struct anchor **out)
{
	struct anchor *a = arena_alloc(b->y->arena, sizeof(*a));
	if (!a || !(a->name = arena_strdup(b->y->arena, name)))
		return no_memory(b);
	a->next = b->anchors;
	b->anchors = *out = a;
	return 0;
}

static int fill(struct builder *b, const yaml_event_t *e, unsigned depth, struct yaml_value *v)
{
	const char *text = (const char *)e->data.scalar.value;

	switch (e->type) {
	case YAML_SCALAR_EVENT:
		v->type = YAML_SCALAR;
		v->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
		if (strlen(text) != e->data.scalar.length)
			return yaml_error(b->y, v->at, "a text must not hold a NUL byte");
		if (!v->quoted && (!strcmp(text, "~") || !strcmp(text, "null")))
			text = "";
		v->text = arena_strdup(b->y->arena, text);
		return v->text ? 0 : no_memory(b);
	case YAML_SEQUENCE_START_EVENT: v->type = YAML_LIST; return build_list(b, v, depth + 1);
	case YAML_MAPPING_START_EVENT: v->type = YAML_MAP; return build_map(b, v, depth + 1);
	default: return yaml_error(b->y, v->at, "unexpected end of the file");
	}
}

static int build(struct builder *b, yaml_event_t *e, unsigned depth, struct yaml_value **out)
{
	struct scn_at at = yaml_place(b, &e->start_mark);
	struct anchor *anchor = NULL;
	int err;

	if (e->type == YAML_ALIAS_EVENT)
		return build_alias(b, e, out);
	if (depth > DEPTH_MAX)
		return yaml_error(b->y, at, "nested deeper than %d levels", DEPTH_MAX);
	if (++b->values > VALUES_MAX)
		return yaml_error(b->y, at, "more than %d values in one file", VALUES_MAX);
	if (tag_of(e))
		return yaml_error(b->y, at, "tags ('%s') are not allowed", tag_of(e));
	if (anchor_of(e) && (err = remember_anchor(b, anchor_of(e), &anchor)))
		return err;
	struct yaml_value *v = arena_alloc(b->y->arena, sizeof(*v));
	if (!v)
		return no_memory(b);
	v->at = at;
	if ((err = fill(b, e, depth, v)))
		return err;
	if (anchor)
		anchor->value = v;
	*out = v;
	return 0;
}

/* Stream start, document start, the value, document end, stream end. */
static int build_document(struct builder *b, struct yaml_value **out)
{
	yaml_event_t e;
	int err = 0;

	for (unsigned i = 0; i < 2 && !err; i++) {
		if ((err = next_event(b, &e)))
			return err;
		if (e.type == YAML_STREAM_END_EVENT)
			err = yaml_error(b->y, yaml_place(b, &e.start_mark), "the file is empty");
		yaml_event_delete(&e);
	}
	if (err || (err = next_event(b, &e)))
		return err;
	err = build(b, &e, 0, out);
	yaml_event_delete(&e);
	for (unsigned i = 0; i < 2 && !err; i++) {
		if ((err = next_event(b, &e)))
			return err;
		if (i == 1 && e.type != YAML_STREAM_END_EVENT)
			err = yaml_error(b->y, yaml_place(b, &e.start_mark),
				"a second document; one file is one document");
		yaml_event_delete(&e);
	}
	return err;
}

int yaml_parse(struct yaml_reader *y, const char *text, size_t len, struct yaml_value **out)
{
	static const char mark[] = "\xef\xbb\xbf"; /* some editors begin a file with it */
	size_t skip = len >= 3 && !memcmp(text, mark, 3) ? 3 : 0;
	struct builder b = { .y = y, .text = text + skip, .len = len - skip };
	struct yaml_value *v = NULL;

	if (len > TEXT_MAX)
		return err_say(y->eb, ERR_TOO_LARGE, "%s: larger than %d bytes", y->file, TEXT_MAX);
	if (!yaml_parser_initialize(&b.parser))
		return no_memory(&b);
	yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)b.text, b.len);
	int err = build_document(&b, &v);
	yaml_parser_delete(&b.parser);
	if (!err)
		*out = v;
	return err;
}
