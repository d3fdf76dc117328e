#include "simnet/report/story.h"

#include "mesh/base/buf.h"
#include "mesh/base/text.h"
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Length of the character at s that every view can carry: UTF-8 (RFC 3629) without control characters and the
 * two that XML refuses. 0 = none. */
static size_t character_at(const unsigned char *s)
{
	static const struct {
		unsigned char lead, mask;
		unsigned least;
	} forms[] = { { 0xc0, 0xe0, 0x80 }, { 0xe0, 0xf0, 0x800 }, { 0xf0, 0xf8, 0x10000 } };

	if (*s < 0x80)
		return (*s >= 0x20 && *s != 0x7f) || *s == '\n' || *s == '\t';
	for (size_t n = 0; n < ARRAY_LEN(forms); n++) {
		if ((*s & forms[n].mask) != forms[n].lead)
			continue;
		unsigned c = *s & (unsigned char)~forms[n].mask;
		for (size_t i = 1; i <= n + 1; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (s[i] & 0x3f);
		}
		bool good = c >= forms[n].least && c >= 0xa0 && c <= 0x10ffff && c >> 11 != 0xd800 >> 11 &&
			    c != 0xfffe && c != 0xffff;
		return good ? n + 2 : 0;
	}
	return 0;
}

/* Programs say any bytes; what cannot be shown becomes U+FFFD. Heap memory, or NULL. */
static char *shown(const char *text)
{
	static const char unknown[] = "\xef\xbf\xbd";
	char *out = malloc(strlen(text) * (sizeof(unknown) - 1) + 1), *to = out;

	while (out && *text) {
		size_t n = character_at((const unsigned char *)text);
		to = mempcpy(to, n ? text : unknown, n ? n : sizeof(unknown) - 1);
		text += n ? n : 1;
	}
	if (out)
		*to = '\0';
	return out;
}

static json_t *text_member(const char *text)
{
	char *clean = text ? shown(text) : NULL;
	json_t *v = clean ? json_string(clean) : NULL;

	free(clean);
	return v;
}

static bool is_number(const char *key)
{
	static const char *const keys[] = { "sent", "lost", "gap", "seconds", "seed", "step", "frame",
		"count", "bytes", "unix", "format", "steps", "missed" };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (!strcmp(keys[i], key))
			return true;
	return false;
}

static json_t *member(const char *key, const char *text)
{
	uint64_t n;

	if (!is_number(key))
		return text_member(text);
	return text_u64(text, 0, INT64_MAX, &n) ? json_integer((json_int_t)n) : json_real(strtod(text, NULL));
}

static json_t *record_of(const struct story *st, const struct story_item *item, double t)
{
	static const char *const marks[] = { "plain", "good", "bad", "event", "note", NULL };
	json_t *r = json_pack("{s:f, s:o*, s:o*, s:o*, s:o*, s:o*}", "t", t, "scenario",
		text_member(st->scenario), "variant", text_member(st->variant), "file", text_member(st->file),
		"kind", text_member(item->kind), "text", text_member(item->text));

	if (r && marks[item->mark])
		json_object_set_new(r, "mark", json_string(marks[item->mark]));
	if (r && item->at.line)
		json_object_set_new(r, "line", json_integer(item->at.line));
	for (size_t i = 0; r && i < ARRAY_LEN(item->keys) && item->keys[i]; i++)
		if (item->values[i] && *item->values[i])
			json_object_set_new(r, item->keys[i], member(item->keys[i], item->values[i]));
	return r;
}

static void write_line(struct story *st, FILE *to, const char *text)
{
	bool good = fputs(text, to) >= 0 && fflush(to) == 0;

	if (!good && !st->lost)
		st->lost = errno ? errno : EIO;
}

static void write_text(struct story *st, const struct story_item *item, const char *text, double t)
{
	static const char *const colours[] = { [STORY_PLAIN] = "",
		[STORY_GOOD] = "\033[32m",
		[STORY_BAD] = "\033[31m",
		[STORY_EVENT] = "\033[1m",
		[STORY_NOTE] = "\033[2m",
		[STORY_SILENT] = "" };
	static const char signs[] = { [STORY_PLAIN] = ' ',
		[STORY_GOOD] = '+',
		[STORY_BAD] = '!',
		[STORY_EVENT] = '*',
		[STORY_NOTE] = ' ',
		[STORY_SILENT] = ' ' };
	const char *colour = st->colour ? colours[item->mark] : "";
	struct buf line = { .cap = 1 << 16 };

	if (buf_printf(
		    &line, "%8.2f %c %s%s%s\n", t, signs[item->mark], colour, text, *colour ? "\033[0m" : ""))
		write_line(st, st->out, buf_cstr(&line));
	buf_free(&line);
}

/* Seconds since the run began. */
static double time_of(const struct story *st, const struct story_item *item)
{
	return item->at_ns ? (double)item->at_ns / 1e9 - (double)st->t0_ms / 1000
			   : (double)(st->now_ms() - st->t0_ms) / 1000;
}

static bool put_record(const json_t *r, struct buf *out)
{
	char *dump = r ? json_dumps(r, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
	bool ok = dump && buf_printf(out, "%s\n", dump);

	free(dump);
	return ok;
}

bool story_line(const struct story *st, const struct story_item *item, struct buf *out)
{
	json_t *r = record_of(st, item, time_of(st, item));
	bool ok = put_record(r, out);

	json_decref(r);
	return ok;
}

void story_tell(struct story *st, const struct story_item *item)
{
	double t = time_of(st, item);
	bool told = item->mark != STORY_SILENT;
	FILE *const to[] = { told || st->whole ? st->records : NULL, st->copy,
		told && st->view == STORY_JSON ? st->out : NULL };

	if (!told && !to[0] && !to[1] && !st->heard)
		return;
	json_t *r = record_of(st, item, t);
	struct buf line = { .cap = 1 << 20 };

	if (put_record(r, &line)) {
		for (size_t i = 0; i < ARRAY_LEN(to); i++)
			if (to[i])
				write_line(st, to[i], buf_cstr(&line));
		if (st->heard)
			st->heard(st->listener, buf_cstr(&line));
		if (told && st->view == STORY_TEXT)
			write_text(st, item, json_string_value(json_object_get(r, "text")), t);
	} else if (!st->lost) {
		st->lost = ENOMEM;
	}
	buf_free(&line);
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
