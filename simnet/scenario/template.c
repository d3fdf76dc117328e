#include "simnet/scenario/template.h"

#include <string.h>

enum { DEPTH_MAX = 8, TEXT_MAX = 1 << 18 };

static int expand_to(const char **at, char until, const struct template_values *v, struct buf *out,
	unsigned depth, struct errbuf *eb);

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_key_char(char c)
{
	return is_letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' || c == '>';
}

/* A key begins at p, just behind its brace: a letter after any number of further braces, and a closing brace.
 */
static bool is_key(const char *p)
{
	unsigned open = 1;
	bool first = true;

	for (; *p && open; p++) {
		if (*p == '{')
			open++;
		else if (*p == '}')
			open--;
		else if (first ? !is_letter(*p) : !is_key_char(*p))
			return false;
		else
			first = false;
	}
	return !open && !first;
}

/* "%{http_code}" and "${count}": a word behind such a sign is curl's, a shell's or some other program's. */
static bool is_of_others(const char *begin, const char *brace)
{
	const char *p = brace + 1;

	if (brace == begin || (brace[-1] != '%' && brace[-1] != '$'))
		return false;
	while (is_letter(*p) || (*p >= '0' && *p <= '9') || *p == '_')
		p++;
	return *p == '}';
}

static int expand_key(
	const char **at, const struct template_values *v, struct buf *out, unsigned depth, struct errbuf *eb)
{
	struct buf key = { .cap = 512 };
	int err = expand_to(at, '}', v, &key, depth + 1, eb);

	if (!err) {
		const char *text = buf_cstr(&key);
		err = text ? v->lookup(v->owner, text, out, eb) : err_say(eb, ERR_TOO_LARGE, "out of memory");
		++*at;
	}
	buf_free(&key);
	return err;
}

static int expand_to(const char **at, char until, const struct template_values *v, struct buf *out,
	unsigned depth, struct errbuf *eb)
{
	const char *begin = *at;

	if (depth > DEPTH_MAX)
		return err_say(eb, ERR_TOO_LARGE, "a template is nested deeper than %d levels", DEPTH_MAX);
	while (**at && **at != until) {
		if (**at == '{' && is_key(*at + 1) && !is_of_others(begin, *at)) {
			++*at;
			int err = expand_key(at, v, out, depth, eb);
			if (err)
				return err;
			continue;
		}
		if (out->len > TEXT_MAX || !buf_append(out, *at, 1))
			return err_say(eb, ERR_TOO_LARGE, "a template grows too large");
		++*at;
	}
	return 0;
}

int template_expand(const char *text, const struct template_values *v, struct buf *out, struct errbuf *eb)
{
	return expand_to(&text, '\0', v, out, 0, eb);
}
