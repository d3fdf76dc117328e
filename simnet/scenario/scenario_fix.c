#include "simnet/scenario/scenario_fix.h"

#include "mesh/base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* NULL when two are as near: text_nearest takes the first of them. */
static const char *only_nearest(const char *word, const char *const *names)
{
	const char *back[512], *near = text_nearest(word, names);
	size_t n = 0, i = 0;

	while (names[n])
		n++;
	if (n >= ARRAY_LEN(back))
		return NULL;
	for (; i < n; i++)
		back[i] = names[n - 1 - i];
	back[n] = NULL;
	const char *other = text_nearest(word, back);
	return near && !strcmp(near, other) ? near : NULL;
}

/* Another number, or a letter in place of another, is no slip: 'b2' is not meant to be 'b1'. */
static bool is_slip(const char *word, const char *near)
{
	const char *digits = "0123456789";

	if (strlen(word) < 3)
		return false;
	for (;; word++, near++) {
		word += strcspn(word, digits);
		near += strcspn(near, digits);
		if (*word != *near)
			return false;
		if (!*word)
			return true;
	}
}

void scenario_fix_keep(struct scn_errors *all, struct scn_at at, const char *word, const char *const *names)
{
	const char *near = all && all->n_fixes < SCN_ERRORS_MAX && at.line ? only_nearest(word, names) : NULL;
	struct scn_fix f = { .at = { .line = at.line, .column = at.column } };

	if (!near || !is_slip(word, near) || strlen(word) >= sizeof(f.word) ||
		strlen(near) >= sizeof(f.near) || (at.file && strlen(at.file) >= sizeof(f.file)))
		return;
	snprintf(f.word, sizeof(f.word), "%s", word);
	snprintf(f.near, sizeof(f.near), "%s", near);
	snprintf(f.file, sizeof(f.file), "%s", at.file ? at.file : "");
	all->fixes[all->n_fixes++] = f;
}

static int order(const void *a, const void *b)
{
	const struct scn_fix *x = a, *y = b;
	int by_file = strcmp(x->file, y->file);

	if (by_file)
		return by_file;
	if (x->at.line != y->at.line)
		return x->at.line < y->at.line ? 1 : -1;
	return x->at.column == y->at.column ? 0 : x->at.column < y->at.column ? 1 : -1;
}

void scenario_fix_sort(struct scn_errors *all)
{
	qsort(all->fixes, all->n_fixes, sizeof(*all->fixes), order);
}

static bool is_of_word(const char *s)
{
	return (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
	       *s == '_' || (*s == '-' && s[1] != '>');
}

/* The place counts characters. NULL: the text has no such place. */
static const char *place(const char *text, const struct scn_at *at)
{
	for (uint32_t line = 1; text && line < at->line; line++)
		if ((text = strchr(text, '\n')))
			text++;
	for (uint32_t column = 1; text && column < at->column; column++) {
		if (!*text || *text == '\n')
			return NULL;
		do
			text++;
		while (((unsigned char)*text & 0xc0) == 0x80);
	}
	return text;
}

/* In the value that begins there, which may be quoted, or say more than the word: "accept udp", "home.link". */
static const char *find(const char *from, const char *word)
{
	size_t n = strlen(word);

	for (const char *s = from; *s && !strchr("\n{}[]#,", *s); s++) {
		if (s > from && *s == ':' && s[1] == ' ')
			break;
		if (!strncmp(s, word, n) && !is_of_word(s + n) && (s == from || !is_of_word(s - 1)))
			return s;
	}
	return NULL;
}

bool scenario_fix_apply(const struct scn_fix *fix, struct buf *text)
{
	struct buf out = { .cap = text->cap };
	const char *all = buf_cstr(text), *from = all ? place(all, &fix->at) : NULL;
	const char *at = from ? find(from, fix->word) : NULL, *rest = at ? at + strlen(fix->word) : NULL;

	if (!at || !buf_append(&out, all, (size_t)(at - all)) || !buf_printf(&out, "%s%s", fix->near, rest)) {
		buf_free(&out);
		return false;
	}
	buf_free(text);
	*text = out;
	return true;
}
