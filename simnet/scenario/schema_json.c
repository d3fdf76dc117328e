#include "simnet/scenario/schema.h"

#include "simnet/scenario/schema_tables.h"
#include <inttypes.h>
#include <string.h>

/* The tables as JSON Schema. What an editor's YAML reads as a number or a switch is a word to us, so a word may
 * be any of these; and {matrix.x} may stand for every value. */
#define WORD "{\"type\": [\"string\", \"number\", \"boolean\"]}"
#define NAME "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"

/* In the order of the document: printf with a sticky failure. */
struct writer {
	struct buf *out;
	bool full;
};

static void json_put(struct writer *w, const char *text)
{
	w->full |= !buf_append(w->out, text, strlen(text));
}

static void json_quote(struct writer *w, const char *text)
{
	json_put(w, "\"");
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			json_put(w, "\\");
		w->full |= !buf_append(w->out, text, 1);
	}
	json_put(w, "\"");
}

static void json_ref(struct writer *w, const char *name)
{
	w->full |= !buf_printf(w->out, "{\"$ref\": \"#/definitions/%s\"}", name);
}

static void json_words(struct writer *w, const char *const *words)
{
	json_put(w, "{\"enum\": [");
	for (size_t i = 0; words[i]; i++) {
		json_put(w, i ? ", " : "");
		json_quote(w, words[i]);
		/* What the format spells as a word, and YAML reads as something else. */
		if (strspn(words[i], "0123456789") == strlen(words[i]))
			w->full |= !buf_printf(w->out, ", %s", words[i]);
		if (!strcmp(words[i], "off"))
			json_put(w, ", false");
	}
	json_put(w, "]}");
}

static void json_number(struct writer *w, const struct schema_row *row)
{
	w->full |= !buf_printf(w->out, "{\"type\": \"integer\", \"minimum\": %" PRIu64, row->min);
	if (row->max)
		w->full |= !buf_printf(w->out, ", \"maximum\": %" PRIu64, row->max);
	json_put(w, "}");
}

static void json_list(struct writer *w, const char *items)
{
	w->full |= !buf_printf(w->out, "{\"type\": \"array\", \"items\": %s}", items);
}

/* Every alternative, each after a comma. */
static void json_form(struct writer *w, const struct schema_form *f)
{
	if (f->words)
		json_put(w, ", "), json_words(w, f->words);
	if (f->word)
		json_put(w, ", " WORD);
	if (f->number)
		json_put(w, ", {\"type\": \"integer\", \"minimum\": 0}");
	if (f->strings)
		json_put(w, ", "), json_list(w, WORD);
	if (f->params)
		json_put(w, ", {\"type\": \"object\", \"additionalProperties\": " WORD "}");
	if (f->lists)
		json_put(w, ", {\"type\": \"object\", \"additionalProperties\": {\"type\": \"array\", "
			    "\"minItems\": 1, \"items\": " WORD "}}");
	if (f->maps)
		json_put(w, ", {\"type\": \"object\", \"additionalProperties\": {\"type\": \"object\", "
			    "\"additionalProperties\": " WORD "}}");
	if (f->map)
		json_put(w, ", "), json_ref(w, f->map->name);
	if (f->map && f->map->short_key)
		json_put(w, ", " WORD);
	if (f->named) {
		json_put(w, ", {\"type\": \"object\", \"propertyNames\": {\"pattern\": \"" NAME "\", "
			    "\"maxLength\": 32}, \"additionalProperties\": ");
		json_ref(w, f->named->name);
		json_put(w, "}");
	}
	if (f->paths) {
		json_put(w, ", {\"type\": \"object\", \"additionalProperties\": {\"anyOf\": [");
		json_ref(w, f->paths->name);
		json_put(w, f->paths->short_key ? ", " WORD "]}}" : "]}}");
	}
	if (f->list) {
		json_put(w, ", {\"type\": \"array\", \"items\": ");
		json_ref(w, f->list->name);
		json_put(w, "}");
	}
}

static void json_value(struct writer *w, const struct schema_row *row)
{
	json_put(w, "\"anyOf\": [");
	json_ref(w, "template");
	switch (row->kind) {
	case SCHEMA_STRING: json_put(w, ", " WORD); break;
	case SCHEMA_BOOL: json_put(w, ", {\"type\": \"boolean\"}"); break;
	case SCHEMA_U64:
	case SCHEMA_INT: json_put(w, ", "), json_number(w, row); break;
	case SCHEMA_DURATION: json_put(w, ", "), json_ref(w, "duration"); break;
	case SCHEMA_WORD: json_put(w, ", "), json_words(w, row->words); break;
	case SCHEMA_STRINGS: json_put(w, ", "), json_list(w, WORD); break;
	case SCHEMA_KEEP:
	case SCHEMA_CUSTOM: json_form(w, row->form); break;
	}
	json_put(w, "]");
}

static void json_table(struct writer *w, const struct schema_table *t)
{
	const char *comma = "";

	json_put(w, "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {");
	for (const struct schema_row *row = t->rows; row->key; row++, comma = ",") {
		json_put(w, comma);
		json_put(w, "\n    ");
		json_quote(w, row->key);
		json_put(w, ": {");
		json_value(w, row);
		if (row->doc)
			json_put(w, ", \"description\": "), json_quote(w, row->doc);
		json_put(w, "}");
	}
	json_put(w, "}");
	comma = ", \"required\": [";
	for (const struct schema_row *row = t->rows; row->key; row++)
		if (row->required) {
			json_put(w, comma);
			json_quote(w, row->key);
			comma = ", ";
		}
	if (comma[2] == '\0')
		json_put(w, "]");
	comma = ", \"oneOf\": [";
	for (const struct schema_row *row = t->rows; row->key && t->one; row++)
		if (strcmp(row->key, "say") != 0) {
			json_put(w, comma);
			json_put(w, "{\"required\": [");
			json_quote(w, row->key);
			json_put(w, "]}");
			comma = ", ";
		}
	if (t->one)
		json_put(w, "]");
	comma = ", \"oneOf\": [";
	for (const char *const *key = t->either; key && *key; key++, comma = ", ") {
		json_put(w, comma);
		json_put(w, "{\"required\": [");
		json_quote(w, *key);
		json_put(w, "]}");
	}
	json_put(w, t->either ? "]}" : "}");
}

bool schema_write_json(const struct schema_table *top, const char *title, struct buf *out)
{
	const struct schema_table *all[SCHEMA_TABLES_MAX];
	struct writer w = { .out = out };
	size_t n = schema_tables(top, all);

	json_put(&w, "{\"$schema\": \"http://json-schema.org/draft-07/schema#\",\n \"title\": ");
	json_quote(&w, title);
	json_put(&w, ",\n \"allOf\": [");
	json_ref(&w, top->name);
	json_put(&w,
		"],\n \"definitions\": {\n"
		"  \"template\": {\"type\": \"string\", \"pattern\": \"\\\\{(matrix|use)\\\\.[^}]+\\\\}\"},\n"
		"  \"duration\": {\"type\": \"string\", \"pattern\": \"^([0-9]+(ms|[smhdwy]))+$\"}");
	for (size_t i = 0; i < n; i++) {
		json_put(&w, ",\n  ");
		json_quote(&w, all[i]->name);
		json_put(&w, ": ");
		json_table(&w, all[i]);
	}
	json_put(&w, "}}\n");
	return !w.full;
}
