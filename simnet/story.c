#include "simnet/story.h"

#include "mesh/base/text.h"
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static json_t *number_or_text(const char *text)
{
	char *end = NULL;
	uint64_t n;

	if (text_u64(text, 0, INT64_MAX, &n))
		return json_integer((json_int_t)n);
	double v = strtod(text, &end);
	return *text && !*end ? json_real(v) : json_string(text);
}

static json_t *record_of(const struct story *st, const struct story_item *item, double t)
{
	json_t *r = json_pack("{s:f, s:s, s:s*, s:s*, s:s, s:s*}", "t", t, "scenario", st->scenario,
		"variant", st->variant, "file", st->file, "kind", item->kind, "text", item->text);

	if (r && item->at.line)
		json_object_set_new(r, "line", json_integer(item->at.line));
	for (size_t i = 0; r && i < ARRAY_LEN(item->keys) && item->keys[i]; i++)
		if (item->values[i] && *item->values[i])
			json_object_set_new(r, item->keys[i], number_or_text(item->values[i]));
	return r;
}

static void write_text(const struct story *st, const struct story_item *item, double t)
{
	static const char *const colours[] = { [STORY_PLAIN] = "",
		[STORY_GOOD] = "\033[32m",
		[STORY_BAD] = "\033[31m",
		[STORY_EVENT] = "\033[1m",
		[STORY_NOTE] = "\033[2m" };
	static const char signs[] = { [STORY_PLAIN] = ' ',
		[STORY_GOOD] = '+',
		[STORY_BAD] = '!',
		[STORY_EVENT] = '*',
		[STORY_NOTE] = ' ' };
	const char *colour = st->colour ? colours[item->mark] : "";

	fprintf(st->out, "%8.2f %c %s%s%s\n", t, signs[item->mark], colour, item->text,
		*colour ? "\033[0m" : "");
	fflush(st->out);
}

void story_tell(struct story *st, const struct story_item *item)
{
	double t = (double)(st->now_ms() - st->t0_ms) / 1000;
	json_t *r = record_of(st, item, t);
	char *line = r ? json_dumps(r, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
	FILE *const to[] = { st->records, st->copy, st->view == STORY_JSON ? st->out : NULL };

	for (size_t i = 0; i < ARRAY_LEN(to) && line; i++)
		if (to[i]) {
			fprintf(to[i], "%s\n", line);
			fflush(to[i]);
		}
	if (st->view == STORY_TEXT)
		write_text(st, item, t);
	free(line);
	json_decref(r);
}

void story_say(struct story *st, const char *kind, enum story_mark mark, const char *fmt, ...)
{
	char text[512];
	struct story_item item = { .kind = kind, .mark = mark, .text = text };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	story_tell(st, &item);
}
