#include "mesh/base/err.h"
#include "mesh/base/text.h"
#include <stdio.h>
#include <string.h>

enum { ROWS_MAX = 64 };

static const struct opt_row *find_row(const struct opt_row *rows, const char *name, size_t n, size_t *index)
{
	for (const struct opt_row *r = rows; r->name; r++) {
		*index = (size_t)(r - rows);
		if ((strlen(r->name) == n && memcmp(r->name, name, n) == 0) ||
			(r->alias && strlen(r->alias) == n && memcmp(r->alias, name, n) == 0))
			return r;
	}
	return NULL;
}

/* "-j2", of a letter that takes a number. Of others a wrong name would be taken for a letter's value. */
static const struct opt_row *find_number(
	const struct opt_row *rows, const char *typed, size_t *index, const char **value)
{
	const struct opt_row *r = typed[1] != '-' && typed[2] ? find_row(rows, typed + 1, 1, index) : NULL;
	bool is = r && r->kind == OPT_U64 && typed[2 + strspn(typed + 2, "0123456789")] == '\0';
	if (is)
		*value = typed + 2;
	return is ? r : NULL;
}

/* typed: as it stands in the command line, with its dashes. */
static int unknown(
	const struct opt_row *rows, const char *typed, const char *name, size_t n, struct errbuf *eb)
{
	const char *names[ROWS_MAX + 1] = { NULL };
	char word[64];
	int dashes = (int)(name - typed);
	for (size_t i = 0; i < ROWS_MAX && rows[i].name; i++)
		names[i] = rows[i].name;
	snprintf(word, sizeof(word), "%.*s", (int)n, name);
	const char *near = text_nearest(word, names);
	if (near)
		return err_say(eb, ERR_MALFORMED, "unknown option %.*s%s; did you mean --%s?", dashes, typed,
			word, near);
	return err_say(eb, ERR_MALFORMED, "unknown option %.*s%s; see --help", dashes, typed, word);
}

/* As it is written: a name of one letter has one dash. */
static const char *dashes_of(const struct opt_row *r)
{
	return r->name[1] ? "--" : "-";
}

static int store(const struct opt_row *r, const char *value, void *out, struct errbuf *eb)
{
	char *at = (char *)out + r->at;
	switch (r->kind) {
	case OPT_STRING: *(const char **)(void *)at = value; return 0;
	case OPT_BOOL:
	case OPT_GIVEN_BOOL:
		if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
			return err_say(eb, ERR_MALFORMED, "%s%s takes true or false, not \"%s\"",
				dashes_of(r), r->name, value);
		if (r->kind == OPT_BOOL)
			*(bool *)at = *value == 't';
		else
			*(int *)(void *)at = *value == 't' ? 2 : 1;
		return 0;
	case OPT_U64:
		if (!text_u64(value, 0, UINT64_MAX, (uint64_t *)(void *)at))
			return err_say(eb, ERR_MALFORMED, "%s%s takes a number, not \"%s\"", dashes_of(r),
				r->name, value);
		return 0;
	case OPT_DURATION_MS:
		if (!text_duration_ms(value, (uint64_t *)(void *)at))
			return err_say(eb, ERR_MALFORMED,
				"%s%s takes a time such as 500ms, 5s or 2m, not \"%s\"", dashes_of(r),
				r->name, value);
		return 0;
	}
	return ERR_MALFORMED;
}

int opt_parse(const struct opt_row *rows, int argc, char **argv, bool stop_at_word, void *out,
	const char **words, int *n_words, struct errbuf *eb)
{
	bool seen[ROWS_MAX] = { false };
	*n_words = 0;
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];
		bool is_opt = a[0] == '-' && a[1] && strcmp(a, "--") != 0;
		if (!is_opt) {
			bool end = strcmp(a, "--") == 0;
			if (end || stop_at_word) {
				for (i += end; i < argc; i++)
					words[(*n_words)++] = argv[i];
				return 0;
			}
			words[(*n_words)++] = a;
			continue;
		}
		const char *name = a + (a[1] == '-' ? 2 : 1), *eq = strchr(name, '=');
		size_t n = eq ? (size_t)(eq - name) : strlen(name), index;
		const char *value = eq ? eq + 1 : NULL;
		const struct opt_row *r = find_row(rows, name, n, &index);
		if (!r)
			r = find_number(rows, a, &index, &value);
		if (!r)
			return unknown(rows, a, name, n, eb);
		if (seen[index])
			return err_say(eb, ERR_MALFORMED, "%s%s is given twice", dashes_of(r), r->name);
		seen[index] = true;
		bool is_flag = r->kind == OPT_BOOL || r->kind == OPT_GIVEN_BOOL;
		if (!value)
			value = is_flag ? "true" : i + 1 < argc ? argv[++i] : NULL;
		if (!value)
			return err_say(eb, ERR_MALFORMED, "%s%s needs a value: %s%s %s", dashes_of(r),
				r->name, dashes_of(r), r->name, r->arg);
		int err = store(r, value, out, eb);
		if (err)
			return err;
	}
	return 0;
}

bool opt_flag_given(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const char *a = argv[i] + (argv[i][0] == '-') + (argv[i][0] == '-' && argv[i][1] == '-');
		size_t n = strlen(name);
		if (a != argv[i] && strncmp(a, name, n) == 0 && (!a[n] || strcmp(a + n, "=true") == 0))
			return true;
	}
	return false;
}
