#include "resolver/txt.h"

#include "resolver/name.h"
#include <string.h>

enum { STRING_MAX = 255 };

struct writer { /* character strings, the last one open at `length_at` */
	uint8_t *b;
	size_t cap, len, length_at;
	bool bad;
};

static void string_begin(struct writer *w)
{
	if (w->len >= w->cap) {
		w->bad = true;
		return;
	}
	w->length_at = w->len;
	w->b[w->len++] = 0;
}

static void byte_put(struct writer *w, uint8_t c)
{
	if (!w->bad && w->b[w->length_at] == STRING_MAX)
		string_begin(w);
	if (w->bad || w->len >= w->cap) {
		w->bad = true;
		return;
	}
	w->b[w->len++] = c;
	w->b[w->length_at]++;
}

/* Up to one of `ends`, or the end of the text. */
static bool string_parse(struct writer *w, const char **at, const char *ends)
{
	string_begin(w);
	while (**at && !strchr(ends, **at)) {
		int c = dns_text_byte(at);
		if (c < 0)
			return false;
		byte_put(w, (uint8_t)c);
	}
	return !w->bad;
}

bool txt_parse(const char *value, uint8_t *rdata, size_t cap, size_t *len)
{
	struct writer w = { .b = rdata, .cap = cap };
	bool ok = true;
	if (!strchr(value, '"')) {
		ok = string_parse(&w, &value, "");
		*len = w.len;
		return ok;
	}
	for (value += strspn(value, " \t"); ok && *value; value += strspn(value, " \t")) {
		bool quoted = *value == '"';
		value += quoted;
		ok = string_parse(&w, &value, quoted ? "\"" : " \t\"");
		if (quoted && ok) {
			ok = *value == '"';
			value += ok;
		}
	}
	*len = w.len;
	return ok && w.len;
}
