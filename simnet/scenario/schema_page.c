#include "simnet/scenario/schema_tables.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* The tables as Markdown, for the reference. */

static size_t add_table(const struct schema_table *t, const struct schema_table **out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!t || out[i] == t)
			return n;
	assert(n < SCHEMA_TABLES_MAX);
	out[n++] = t;
	for (const struct schema_row *row = t->rows; row->key; row++) {
		const struct schema_form *f = row->form;
		if (!f)
			continue;
		n = add_table(f->map, out, n);
		n = add_table(f->named, out, n);
		n = add_table(f->paths, out, n);
		n = add_table(f->list, out, n);
	}
	return n;
}

size_t schema_tables(const struct schema_table *top, const struct schema_table *out[SCHEMA_TABLES_MAX])
{
	return add_table(top, out, 0);
}

static bool page_words(struct buf *out, const char *const *words)
{
	bool ok = true;

	for (size_t i = 0; words[i]; i++)
		ok &= buf_printf(out, "%s`%s`", i ? " " : "", words[i]);
	return ok;
}

static bool page_form(struct buf *out, const struct schema_form *f)
{
	const char * or = "";
	bool ok = true;

	if (f->words)
		ok &= page_words(out, f->words), or = ", or ";
	if (f->word)
		ok &= buf_printf(out, "%sa word", or), or = ", or ";
	if (f->number)
		ok &= buf_printf(out, "%sa number", or), or = ", or ";
	if (f->strings)
		ok &= buf_printf(out, "%sa list of words", or), or = ", or ";
	if (f->params)
		ok &= buf_printf(out, "%sa map of words", or), or = ", or ";
	if (f->lists)
		ok &= buf_printf(out, "%sa map of lists", or), or = ", or ";
	if (f->maps)
		ok &= buf_printf(out, "%sa map of maps", or), or = ", or ";
	if (f->map && f->map->short_key)
		ok &= buf_printf(out, "%sa word (its `%s`)", or, f->map->short_key), or = ", or ";
	if (f->map)
		ok &= buf_printf(out, "%sa map: [%s](#%s)", or, f->map->name, f->map->name), or = ", or ";
	if (f->paths)
		ok &= buf_printf(out, "%sby path, each %sa [%s](#%s)", or,
			f->paths->short_key ? "a word or " : "", f->paths->name, f->paths->name);
	if (f->named)
		ok &= buf_printf(out, "%sby name, each a [%s](#%s)", or, f->named->name, f->named->name),
			or = ", or ";
	if (f->list)
		ok &= buf_printf(out, "%sa list of [%s](#%s)", or, f->list->name, f->list->name);
	return ok;
}

static bool page_value(struct buf *out, const struct schema_row *row)
{
	switch (row->kind) {
	case SCHEMA_STRING: return buf_printf(out, "a word");
	case SCHEMA_BOOL: return buf_printf(out, "`true` `false`");
	case SCHEMA_U64:
	case SCHEMA_INT:
		if (row->max)
			return buf_printf(out, "%llu to %llu", (unsigned long long)row->min,
				(unsigned long long)row->max);
		return buf_printf(out, "a number");
	case SCHEMA_DURATION: return buf_printf(out, "a duration");
	case SCHEMA_WORD: return page_words(out, row->words);
	case SCHEMA_STRINGS: return buf_printf(out, "a list of words");
	case SCHEMA_KEEP:
	case SCHEMA_CUSTOM: return page_form(out, row->form);
	}
	return false;
}

static bool page_row(struct buf *out, const struct schema_row *row)
{
	bool ok = buf_printf(out, "| `%s`%s | ", row->key, row->required ? " (needed)" : "");

	ok &= page_value(out, row);
	if (row->def)
		ok &= buf_printf(out, " | %s", row->def);
	else
		ok &= buf_printf(out, " |");
	return ok && buf_printf(out, " | %s |\n", row->doc ? row->doc : "");
}

bool schema_write_page(const struct schema_table *top, unsigned depth, struct buf *out)
{
	const struct schema_table *all[SCHEMA_TABLES_MAX];
	size_t n = schema_tables(top, all);
	bool ok = true;

	for (size_t i = 0; i < n; i++) {
		ok &= buf_printf(out, "%s%.*s %s\n\n", i ? "\n" : "", (int)depth, "######", all[i]->name);
		if (all[i]->about)
			ok &= buf_printf(out, "%s\n\n", all[i]->about);
		ok &= buf_printf(out, "| key | value | without it | meaning |\n|---|---|---|---|\n");
		for (const struct schema_row *row = all[i]->rows; row->key; row++)
			ok &= page_row(out, row);
	}
	return ok;
}
